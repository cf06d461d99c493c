"""Kernels over the columns alone: the coordinates that they enter in, and coefficients as a fit returns them.

In NumPy these took a hundred calls on arrays of a few numbers, a third of the time of a small fit.
"""

import numpy as np

from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.vectors import compensated_dot

# A float64 has an exponent above the bits of its fraction, ONE for the numbers from 1 on. ROOT_OF_2 is the fraction of
# the square root of two.
FRACTION_BITS, ONE = 52, 1023
FRACTION, ROOT_OF_2 = (1 << FRACTION_BITS) - 1, 0x6A09E667F3BCC
# Scales are no further from one than this power of two.
LARGEST_EXPONENT = 1000
# Scales beyond these powers of two are not computed with in float32, whose range ends at 2^128.
FLOAT32_EXPONENTS = 60
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
# A shift is rounded to float32 where that moves the mean of the scaled column, whose spread is about one, by no more.
MOST_MOVED = 0.1
# The relative error of a rounded operation.
UNIT_ROUNDOFF = float(np.finfo(np.float64).eps) / 2


@kernel(reassociate=False)
def fill_coordinates(mean, remainder, spread, farthest, largest, is_centred, bits, found, mean_squares):
    """Fill found (4, d) with scale, shift, mean and peaks, and mean_squares (d + 1,), as `Coordinates` has them.

    found[0] comes with the numbers whose reciprocals, rounded to powers of two, are the scales. bits (d,), int64, is
    the memory of found[0]. The other arrays (d,) are those of `Columns`; is_centred says whether columns are shifted.
    The last entry of mean_squares stays.

    Returns
    -------
    n_vanishing : int
        The number of columns that are zero once they are centred.
    allows_float32 : bool
        Whether the scaled columns lie within the range of float32.
    """
    scale, shift, means, peaks = found[0], found[1], found[2], found[3]
    n_vanishing, allows_float32 = 0, True
    for j in range(mean.shape[0]):
        exponent = 0
        if scale[j] > 0:
            # The logarithm of fraction and exponent, rounded: no logarithm is computed.
            exponent = ONE - (bits[j] >> FRACTION_BITS)
            exponent -= 1 if bits[j] & FRACTION > ROOT_OF_2 else 0
            exponent = max(-LARGEST_EXPONENT, min(exponent, LARGEST_EXPONENT))
        bits[j] = (exponent + ONE) << FRACTION_BITS
        exact = -mean[j] * scale[j] if is_centred else 0.0
        # A float32 number, so that both precisions share one system of coordinates.
        rounded = float(np.float32(exact)) if abs(exact) <= LARGEST_FLOAT32 else np.inf
        is_near = abs(rounded - exact) <= MOST_MOVED
        shift[j] = rounded if is_near else exact
        is_small = abs(exponent) < FLOAT32_EXPONENTS and largest[j] * scale[j] < 2.0**FLOAT32_EXPONENTS
        allows_float32 = allows_float32 and is_near and is_small
        # The sum in brackets is exact: its terms are the same number, or one is the other rounded to float32.
        means[j] = (mean[j] * scale[j] + shift[j]) + remainder[j] * scale[j]
        deviation = scale[j] * spread[j]
        mean_squares[j] = means[j] * means[j] + deviation * deviation
        if is_centred and spread[j] == 0:
            n_vanishing += 1
            mean_squares[j] = 0.0
        reach = (farthest[j] if is_centred else largest[j]) * scale[j]
        peaks[j] = reach * reach / mean_squares[j] if mean_squares[j] > 0 else 0.0
    return n_vanishing, allows_float32


@kernel
def fill_coefficients(parameters, gradient, scale, shift, curvatures, mean_square, coef, intercept, change):
    """Fill coef (K, d) and intercept (K,), rounded to their type, and change (K, d + 1), which rounding has brought.

    parameters (K, d + 1) have the gradient (K, d + 1) and the curvatures (d + 1,) of a quadratic penalty. mean_square
    is the mean over the rows of the square of a scaled row.

    Returns
    -------
    is_finite : bool
        Whether all coefficients are within the range of their type.
    rise : float
        An upper bound of what the change adds to the objective without a penalty by size, as `Objective.finish` says.
    """
    n_classes, n_features = coef.shape
    is_finite, rise = True, 0.0
    for k in range(n_classes):
        row, slopes, changed = parameters[k, :n_features], gradient[k], change[k]
        exact = compensated_dot(parameters[k, n_features], row, shift)
        intercept[k] = exact
        is_finite = is_finite and abs(intercept[k]) < np.inf
        size, moved, square, bent = 0.0, 0.0, 0.0, 0.0
        for j in range(n_features):
            coefficient = row[j] * scale[j]
            coef[k, j] = coefficient
            is_finite = is_finite and abs(coef[k, j]) < np.inf
            changed[j] = (coef[k, j] - coefficient) / scale[j]
            size += abs(row[j] * shift[j])
            moved += abs(changed[j] * shift[j])
            square += changed[j] * changed[j]
            bent += curvatures[j] * changed[j] * changed[j]
            rise += abs(slopes[j] * changed[j])
        # The float64 intercept is rounded, and so is each product that it is the sum of; then what rounding it further
        # adds.
        last = UNIT_ROUNDOFF * (abs(exact) + 2 * size) + abs(intercept[k] - exact) + moved
        changed[n_features] = last
        rise += abs(slopes[n_features] * last) + 0.25 * mean_square * (square + last * last) + 0.5 * bent
    return is_finite, rise
