"""Kernels over the columns of dense X: statistics for scaling and shifting them, and X transposed.

Each passes over the rows of X once. X comes as `any_layout` makes it, and a small one as float64 in C order.
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
        j = 0
        while j < width:
            if j + 4 * lanes <= width:
                simd.take_4_vectors(tile, stop - start, row_weights, padded_origins, statistics, j)
                j += 4 * lanes
            else:
                simd.take_1_vector(tile, stop - start, row_weights, padded_origins, statistics, j)
                j += lanes
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
