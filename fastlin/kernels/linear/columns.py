"""Kernels over the columns of dense X: statistics for scaling and shifting them, and X transposed.

Both pass over the rows of X once. X comes as `any_layout` makes it.
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
