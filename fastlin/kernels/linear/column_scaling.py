"""Kernels over the columns of dense X: statistics, the coordinates that they enter in, coefficients.

Those over X, which comes from `any_layout`, pass over its rows once.
"""

import numpy as np

from fastlin.kernels.linear.residuals import weight_of
from fastlin.kernels.machine.arrays import dense_row
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
MAX_MOVED = 0.1
# The relative error of a rounded operation.
UNIT_ROUNDOFF = float(np.finfo(np.float64).eps) / 2
# Rows whose numbers of a column are added up before they are added to the others, so that what is kept for a column is
# read and written a quarter as often: 2,000 x 20,000 takes 13 ms so, row by row 24.
ROWS_MEASURED = 4
# Narrower rows are measured column by column, ROWS_PER_BATCH at a time: they stay in the first-level cache.
NARROW, ROWS_PER_BATCH = 16, 256
# Roundings of a row in addition to its sums: an exponential and a logarithm of a few units in the last place, the shift
# by the largest score, divisions and weights.
ROW_ROUNDINGS = 16


@kernel(reassociate=False)
def fill_block_column_statistics(block, n_blocks, X, weights, origins, statistics):
    """Fill statistics[:, block], of (4, B, d), float64, over the block's rows of X: sums, squares and extremes.

    The sums are sum s (x - origin) and the squares sum s (x - origin)^2 with origins (d,), float64, a row of X, so that
    the variance does not cancel; then come the smallest and the largest x. All numbers of a column are finite where its
    extremes are and the squares are not NaN. weights s (n,) without entries stand for ones.
    """
    X = X[0]
    first, last = block * X.shape[0] // n_blocks, (block + 1) * X.shape[0] // n_blocks
    end = first + (last - first) // ROWS_MEASURED * ROWS_MEASURED
    sums, squares = statistics[0, block], statistics[1, block]
    smallest, largest = statistics[2, block], statistics[3, block]
    for j in range(sums.shape[0]):
        sums[j], squares[j], smallest[j], largest[j] = 0.0, 0.0, np.inf, -np.inf
    if X.strides[1] == X.itemsize and X.shape[1] >= NARROW:
        for i in range(first, end, ROWS_MEASURED):
            a, b, c, d = dense_row(X, i), dense_row(X, i + 1), dense_row(X, i + 2), dense_row(X, i + 3)
            four = _weights_of_four(weights, i)
            # Loops that write to two arrays: LLVM makes vectors of these, and none of one that writes to four.
            for j in range(a.shape[0]):
                shift, square = _sum_four((a[j], b[j], c[j], d[j]), four, origins[j])
                sums[j] += shift
                squares[j] += square
            for j in range(a.shape[0]):
                low, high = _extremes_of_four((a[j], b[j], c[j], d[j]))
                smallest[j] = low if low < smallest[j] else smallest[j]
                largest[j] = high if high > largest[j] else largest[j]
    else:
        for start in range(first, end, ROWS_PER_BATCH):
            stop = min(start + ROWS_PER_BATCH, end)
            for j in range(sums.shape[0]):
                shift, square, low, high = 0.0, 0.0, smallest[j], largest[j]
                for i in range(start, stop, ROWS_MEASURED):
                    four = X[i, j], X[i + 1, j], X[i + 2, j], X[i + 3, j]
                    more_shift, more_square = _sum_four(four, _weights_of_four(weights, i), origins[j])
                    more_low, more_high = _extremes_of_four(four)
                    shift += more_shift
                    square += more_square
                    low = more_low if more_low < low else low
                    high = more_high if more_high > high else high
                sums[j] += shift
                squares[j] += square
                smallest[j], largest[j] = low, high
    for i in range(end, last):
        for j in range(sums.shape[0]):
            x, weight = np.float64(X[i, j]), weight_of(weights, i)
            distance = x - origins[j]
            sums[j] += weight * distance
            squares[j] += weight * distance * distance
            smallest[j] = x if x < smallest[j] else smallest[j]
            largest[j] = x if x > largest[j] else largest[j]


@kernel(inline=True)
def _weights_of_four(weights, i):
    """Return the weights of four rows from the row i on."""
    return weight_of(weights, i), weight_of(weights, i + 1), weight_of(weights, i + 2), weight_of(weights, i + 3)


@kernel(inline=True)
def _sum_four(numbers, weights, origin):
    """Return sum s (x - origin) and sum s (x - origin)^2 of four numbers of a column."""
    a, b = np.float64(numbers[0]) - origin, np.float64(numbers[1]) - origin
    c, d = np.float64(numbers[2]) - origin, np.float64(numbers[3]) - origin
    of_a, of_b, of_c, of_d = weights[0] * a, weights[1] * b, weights[2] * c, weights[3] * d
    return (of_a + of_b) + (of_c + of_d), (of_a * a + of_b * b) + (of_c * c + of_d * d)


@kernel(inline=True)
def _extremes_of_four(numbers):
    """Return the smallest and the largest of four numbers; comparisons pass over NaN."""
    a, b, c, d = np.float64(numbers[0]), np.float64(numbers[1]), np.float64(numbers[2]), np.float64(numbers[3])
    low, high = b if b < a else a, a if b < a else b
    other_low, other_high = d if d < c else c, c if d < c else d
    return other_low if other_low < low else low, other_high if other_high > high else high


@kernel(reassociate=False)
def join_column_statistics(statistics, origins, total, fraction, columns):
    """Fill columns (5, d) with the arrays of `Columns` from the statistics (4, B, d) of all blocks.

    total is the weight of all rows, and share the part of it that the row of the origins has.
    """
    for j in range(origins.shape[0]):
        shift, square, low, high = 0.0, 0.0, np.inf, -np.inf
        for block in range(statistics.shape[1]):
            shift += statistics[0, block, j]
            square += statistics[1, block, j]
            low = min(low, statistics[2, block, j])
            high = max(high, statistics[3, block, j])
        # The comparisons pass over NaN.
        low = low if square == square else np.nan
        shift, square = shift / total, square / total
        # The inequality of Cauchy and Schwarz: the row at the origin adds nothing to the square. So the variance is
        # zero where all rows have one number, and nowhere else.
        variance, least = square - shift * shift, fraction * square
        # As `add_exactly` does.
        mean = origins[j] + shift
        own = mean - origins[j]
        columns[0, j], columns[1, j] = mean, (origins[j] - (mean - own)) + (shift - own)
        columns[2, j], columns[3, j], columns[4, j] = variance if variance > least else least, low, high


@kernel(reassociate=False)
def fill_coordinates(mean, remainder, standard_deviation, farthest, largest, is_centered, bits, found, mean_squares):
    """Fill found (4, d) with scale, shift, mean and peaks, and mean_squares (d + 1,) except its last, of `Coordinates`.

    found[0] comes with the numbers whose reciprocals, rounded to powers of two, are the scales; bits (d,), int64, is
    its memory. The other arrays (d,) are those of `Columns`; is_centered says whether columns are shifted. Return the
    number of columns that are zero once centered, and whether the scaled columns lie within the range of float32.
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
        exact = -mean[j] * scale[j] if is_centered else 0.0
        # A float32 number, so that both precisions share one system of coordinates.
        rounded = float(np.float32(exact)) if abs(exact) <= LARGEST_FLOAT32 else np.inf
        is_near = abs(rounded - exact) <= MAX_MOVED
        shift[j] = rounded if is_near else exact
        is_small = abs(exponent) < FLOAT32_EXPONENTS and largest[j] * scale[j] < 2.0**FLOAT32_EXPONENTS
        allows_float32 = allows_float32 and is_near and is_small
        # The sum in brackets is exact: its terms are the same number, or one is the other rounded to float32.
        means[j] = (mean[j] * scale[j] + shift[j]) + remainder[j] * scale[j]
        deviation = scale[j] * standard_deviation[j]
        mean_squares[j] = means[j] * means[j] + deviation * deviation
        if is_centered and standard_deviation[j] == 0:
            n_vanishing += 1
            mean_squares[j] = 0.0
        reach = (farthest[j] if is_centered else largest[j]) * scale[j]
        peaks[j] = reach * reach / mean_squares[j] if mean_squares[j] > 0 else 0.0
    return n_vanishing, allows_float32


@kernel
def fill_coefficients(parameters, gradient, scale, shift, curvatures, mean_square, coef, intercept, change):
    """Fill coef (K, d) and intercept (K,), rounded to their type, and change (K, d + 1), the change by rounding.

    parameters (K, d + 1) have the gradient (K, d + 1) and the curvatures (d + 1,) of a quadratic penalty. mean_square
    is the mean over the rows of the square of a scaled row. Return whether all coefficients are within the range of
    their type, and an upper bound of the rise of the objective without a penalty by size, as `Objective.finish` says.
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
