"""Kernels over the columns of dense X: statistics, the coordinates that they enter in, X transposed, coefficients.

Those over X pass over its rows once. X comes as `any_layout` makes it, and a small one as float64 in C order. In NumPy
those over the columns alone took a hundred calls on arrays of a few numbers, a third of the time of a small fit.
"""

import numpy as np

from fastlin.kernels.linear.dense_rows import block_rows
from fastlin.kernels.linear.residuals import weight_of
from fastlin.kernels.machine import simd
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.instructions import compile_small
from fastlin.kernels.machine.tiles import load_tile, no_scaling, pad_scaling, pad_vector, zeros_padded
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
# Rows, and sums of rows, that are added one after the other to the sum of a class.
SUMMED_TOGETHER = 64
# The relative error of a rounded operation.
UNIT_ROUNDOFF = float(np.finfo(np.float64).eps) / 2
# Roundings of a row beside its sums: an exponential and a logarithm of a few units in the last place, the shift by the
# largest score, divisions and weights.
ROW_ROUNDINGS = 16


@kernel
def fill_block_column_statistics(block, n_blocks, X, weights, origins, tile_rows, sums, squares, smallest, largest):
    """Fill the block's slice of sums, squares, smallest and largest (B, d), float64, over the block's rows of X.

    sums = sum s (x - origin) and squares = sum s (x - origin)^2 with origins (d,), float64, a row of X, so that the
    variance does not cancel; smallest and largest are the extremes of x. All numbers of a column are finite where
    smallest and largest are and squares is not NaN. weights s (n,) without entries stand for ones.
    """
    compile_small()
    X = X[0]
    n_rows, n_features = X.shape
    rows = block_rows(block, n_blocks, n_rows)
    tile = zeros_padded(tile_rows, n_features, origins.dtype)
    padded_origins, unscaled = pad_vector(origins, tile), no_scaling(tile)
    width, lanes = tile.shape[1], VECTOR_BYTES // tile.itemsize
    statistics, row_weights = zeros_aligned((4, width), np.float64), zeros_aligned(tile_rows, np.float64)
    for j in range(width):
        statistics[2, j], statistics[3, j] = np.inf, -np.inf
    for start in range(0, rows.shape[0], tile_rows):
        stop = start + tile_rows if start + tile_rows < rows.shape[0] else rows.shape[0]
        load_tile(X, rows[start:stop], unscaled, tile)
        for i in range(stop - start):
            row_weights[i] = weight_of(weights, rows[start + i])
        for j in range(0, width, lanes):
            simd.take_statistics(tile, stop - start, row_weights, padded_origins, statistics, j)
    for j in range(n_features):
        sums[block, j], squares[block, j] = statistics[0, j], statistics[1, j]
        smallest[block, j], largest[block, j] = statistics[2, j], statistics[3, j]


@kernel(reassociate=False)
def fill_moments(X, weights, moments):
    """Fill moments (5, d) with the mean, remainder, variance, smallest and largest of the columns of X (n, d).

    They are those of `Moments`. X is small and float64 in C order: its rows are neither cut into blocks nor loaded as
    tiles. weights s (n,) without entries stand for ones. The smallest number of a column that holds NaN is NaN.
    """
    n_rows, n_features = X.shape
    # The origin is the heaviest row: a light one far from the others would leave of the spread what rounding does.
    heaviest, total = 0, float(n_rows)
    if weights.shape[0]:
        total = 0.0
        for i in range(n_rows):
            total += weights[i]
            heaviest = i if weights[i] > weights[heaviest] else heaviest
    share = (weights[heaviest] if weights.shape[0] else 1.0) / total
    origins, sums, squares, smallest, largest = X[heaviest], moments[0], moments[2], moments[3], moments[4]
    for j in range(n_features):
        sums[j], squares[j], smallest[j], largest[j] = 0.0, 0.0, np.inf, -np.inf
    for i in range(n_rows):
        weight, row = weights[i] if weights.shape[0] else 1.0, X[i]
        for j in range(n_features):
            distance = row[j] - origins[j]
            sums[j] += weight * distance
            squares[j] += weight * distance * distance
            smallest[j] = row[j] if row[j] < smallest[j] else smallest[j]
            largest[j] = row[j] if row[j] > largest[j] else largest[j]
    for j in range(n_features):
        # The comparisons pass over NaN.
        smallest[j] = smallest[j] if squares[j] == squares[j] else np.nan
        shift, square = sums[j] / total, squares[j] / total
        # The inequality of Cauchy and Schwarz: the row at the origin adds nothing to the square. So the variance is
        # zero where all rows have one number, and nowhere else.
        variance, least = square - shift * shift, share * square
        squares[j] = variance if variance > least else least
        # As `add_exactly` does.
        mean = origins[j] + shift
        own = mean - origins[j]
        moments[0, j], moments[1, j] = mean, (origins[j] - (mean - own)) + (shift - own)


@kernel
def fill_block_panel(block, n_blocks, X, scaling, tile_rows, like, panel):
    """Fill panel[j, i] = X[i, j] scale[j] + shift[j] for the block's rows i, rounded to the type of like (0,)."""
    compile_small()
    X = X[0]
    n_rows, n_features = X.shape
    first = block * n_rows // n_blocks
    rows = block_rows(block, n_blocks, n_rows)
    tile = zeros_padded(tile_rows, n_features, like.dtype)
    padded_scaling = pad_scaling(scaling, tile)
    for start in range(0, rows.shape[0], tile_rows):
        stop = start + tile_rows if start + tile_rows < rows.shape[0] else rows.shape[0]
        load_tile(X, rows[start:stop], padded_scaling, tile)
        for j in range(n_features):
            row = panel[j, first + start : first + stop]
            for i in range(row.shape[0]):
                row[i] = tile[i, j]


@kernel(reassociate=False)
def fill_block_class_sums(block, n_blocks, X, numbers, ends, weights, scaling, sums):
    """Fill sums[k] with the sum of s_i (X_i scale + shift), float64, over the rows of class k, the block's number.

    The rows of class k are numbers[ends[k]] to numbers[ends[k + 1] - 1]; weights without entries are ones. No more than
    SUMMED_TOGETHER rows, and as many sums of rows, are added one after the other, then the sums of these.
    """
    compile_small()
    X = X[0]
    n_features = X.shape[1]
    tile = zeros_padded(SUMMED_TOGETHER, n_features, scaling.scale.dtype)
    padded_scaling = pad_scaling(scaling, tile)
    levels = zeros_aligned((3, n_features), np.float64)
    of_tile, of_tiles, total = levels[0], levels[1], levels[2]
    for start in range(ends[block], ends[block + 1], SUMMED_TOGETHER):
        stop = start + SUMMED_TOGETHER if start + SUMMED_TOGETHER < ends[block + 1] else ends[block + 1]
        load_tile(X, numbers[start:stop], padded_scaling, tile)
        for i in range(stop - start):
            row, weight = tile[i], weights[numbers[start + i]] if weights.shape[0] > 0 else 1.0
            for j in range(n_features):
                of_tile[j] += weight * row[j]
        is_last = stop == ends[block + 1] or (stop - ends[block]) % SUMMED_TOGETHER**2 == 0
        for j in range(n_features):
            of_tiles[j] += of_tile[j]
            of_tile[j] = 0
            if is_last:
                total[j] += of_tiles[j]
                of_tiles[j] = 0
    for j in range(n_features):
        sums[block, j] = total[j]


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
