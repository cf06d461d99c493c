"""The columns of X in one walk over its rows: statistics for centring and scaling, and X transposed."""

import numpy as np

from fastlin.kernels.linear.dense_rows import block_rows
from fastlin.kernels.linear.residuals import weight_of
from fastlin.kernels.machine import simd
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.simd import VECTOR_BYTES, compile_small
from fastlin.kernels.machine.tiles import load_tile, ones_and_zeros, pad_vector, zeros_padded


@kernel
def fill_block_column_statistics(block, n_blocks, X, weights, origins, tile_rows, sums, squares, smallest, largest):
    """Fill the block's slice of sums, squares, smallest and largest (B, d), float64, over the block's rows of X.

    sums = sum s (x - origin) and squares = sum s (x - origin)^2 with origins (d,), float64, a row of X, so that the
    variance does not cancel; the smallest and the largest x. All of a column are finite where smallest and largest are
    and squares is not NaN. weights s (n,), or without entries for ones.
    """
    compile_small()
    n_rows, n_features = X.shape
    first, last = block * n_rows // n_blocks, (block + 1) * n_rows // n_blocks
    rows = block_rows(block, n_blocks, n_rows)
    tile = zeros_padded(tile_rows, n_features, origins.dtype)
    shifts = pad_vector(origins, tile)
    factors, zeros = ones_and_zeros(tile)
    width, lanes = tile.shape[1], VECTOR_BYTES // tile.itemsize
    figures, row_weights = zeros_aligned((4, width), np.float64), zeros_aligned(tile_rows, np.float64)
    for j in range(width):
        figures[2, j], figures[3, j] = np.inf, -np.inf
    for start in range(0, last - first, tile_rows):
        stop = start + tile_rows if start + tile_rows < last - first else last - first
        load_tile(X, rows, start, stop, factors, zeros, tile)
        for i in range(stop - start):
            row_weights[i] = weight_of(weights, rows[start + i])
        j = 0
        while j < width:
            if j + 4 * lanes <= width:
                simd.take_4_vectors(tile, stop - start, row_weights, shifts, figures, j)
                j += 4 * lanes
            else:
                simd.take_1_vector(tile, stop - start, row_weights, shifts, figures, j)
                j += lanes
    for j in range(n_features):
        sums[block, j], squares[block, j] = figures[0, j], figures[1, j]
        smallest[block, j], largest[block, j] = figures[2, j], figures[3, j]


@kernel
def fill_block_panel(block, n_blocks, X, units, offsets, tile_rows, like, panel):
    """panel[j, i] = X[i, j] units[j] + offsets[j] for the block's rows i, in the type of like (0,)."""
    compile_small()
    n_rows, n_features = X.shape
    first, last = block * n_rows // n_blocks, (block + 1) * n_rows // n_blocks
    rows = block_rows(block, n_blocks, n_rows)
    tile = zeros_padded(tile_rows, n_features, like.dtype)
    factors, shifts = pad_vector(units, tile), pad_vector(offsets, tile)
    for start in range(0, last - first, tile_rows):
        stop = start + tile_rows if start + tile_rows < last - first else last - first
        load_tile(X, rows, start, stop, factors, shifts, tile)
        for j in range(n_features):
            row = panel[j, first + start : first + stop]
            for i in range(row.shape[0]):
                row[i] = tile[i, j]
