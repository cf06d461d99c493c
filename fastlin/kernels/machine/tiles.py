"""Tiles: some rows of X at a time, of any type and layout, as scaled and shifted vectors of the type computed in.

Whatever X is made of, everything behind a tile sees one type, one layout and whole aligned vectors. The products are
therefore compiled once, and X is never copied as a whole.
"""

from typing import NamedTuple

import numpy as np

from fastlin.kernels.machine import simd
from fastlin.kernels.machine.arrays import dense_row, zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.instructions import compile_apart, compile_small
from fastlin.kernels.machine.simd import CLASSES_PER_TILE, ROW_GROUP

# A tile, its scores, the coefficients and the next tile's rows share the second-level cache (1 MB and more).
TILE_BYTES = 300_000
# Also the number of rows that float32 products add up before the sum goes on in float64.
MAX_TILE_ROWS = 128
CACHE_SETS_BYTES = 512


class Scaling(NamedTuple):
    """The columns of X enter as scale[j] x_j + shift[j]; scale and shift (d,) are of one type.

    That type computes product and sum: float64 centers numbers that a float32 tile cannot hold before it rounds them.
    """

    scale: np.ndarray
    shift: np.ndarray


def uses_transposed_tile(n_features: int, n_classes: int) -> bool:
    """Say whether scores are sums over the columns of a tile as rows.

    Sums over the lanes of vectors take most of a pass where each has few columns: 20,000 x 50 with 1,000 classes takes
    1.4 times as long in float32 with them, 20,000 x 20 with 10 classes 1.2.
    """
    return n_classes > CLASSES_PER_TILE and 2 * n_classes >= n_features


def count_tile_rows(n_features: int, n_classes: int, itemsize: int) -> int:
    """Return the rows of a tile: whole groups, from the shape alone."""
    if uses_transposed_tile(n_features, n_classes):
        return MAX_TILE_ROWS
    rows = TILE_BYTES // (itemsize * max(1, n_features + n_classes))
    return int(min(max(rows // ROW_GROUP, 1), MAX_TILE_ROWS // ROW_GROUP)) * ROW_GROUP


@kernel(inner=True)
def zeros_padded(n_rows, n_columns, dtype):
    """Return zeros of a type, (n_rows, n_columns rounded up to whole vectors), that start on a cache line."""
    compile_small()
    itemsize = zeros_aligned(0, dtype).itemsize
    lanes = VECTOR_BYTES // itemsize
    width = (n_columns + lanes - 1) // lanes * lanes
    # Rows that lie a multiple of 4,096 bytes apart compete for the eight lines of a set.
    if width * itemsize % CACHE_SETS_BYTES == 0:
        width += lanes
    return zeros_aligned((n_rows, width), dtype)


@kernel(inner=True)
def pad_columns(values):
    """Return a copy of values (m, d) with zeros up to the padded width, which starts on a cache line."""
    compile_small()
    padded = zeros_padded(values.shape[0], values.shape[1], values.dtype)
    for k in range(values.shape[0]):
        for j in range(values.shape[1]):
            padded[k, j] = values[k, j]
    return padded


@kernel(inner=True)
def pad_vector(values, tile):
    """Return a copy of values (d,) with zeros up to the width of tile, which starts on a cache line."""
    compile_small()
    padded = zeros_aligned(tile.shape[1], values.dtype)
    for j in range(values.shape[0]):
        padded[j] = values[j]
    return padded


@kernel(inline=True)
def pad_scaling(scaling, tile):
    """Return a copy of the scaling with zeros up to the width of tile, each vector on a cache line."""
    return Scaling(pad_vector(scaling.scale, tile), pad_vector(scaling.shift, tile))


@kernel(inner=True)
def no_scaling(tile):
    """Return the scaling of tile's width and type that leaves X as it is."""
    scale, shift = zeros_aligned(tile.shape[1], tile.dtype), zeros_aligned(tile.shape[1], tile.dtype)
    scale[:] = 1
    return Scaling(scale, shift)


@kernel(inner=True)
def number_rows(first, last):
    """Return the numbers from first to last - 1, of rows that follow each other."""
    compile_small()
    numbers = zeros_aligned(last - first, np.int64)
    for i in range(last - first):
        numbers[i] = first + i
    return numbers


@kernel(inline=True)
def rows_between(rows, first, last):
    """Return rows[first:last]; without entries ``rows`` are all rows."""
    return rows[first:last] if rows.shape[0] > 0 else number_rows(first, last)


@kernel(inline=True)
def follow_each_other(numbers):
    """Say whether each of the numbers is the one before it plus one."""
    # Not a constant, for which Numba would compile what takes it again.
    follow = numbers.shape[0] > 0
    for i in range(1, numbers.shape[0]):
        follow &= numbers[i] == numbers[i - 1] + 1
    return follow


@kernel(reassociate=False, inner=True)
def load_tile(X, numbers, scaling, tile):
    """Fill tile[i, j] = X[numbers[i], j] scale[j] + shift[j], computed in the type of scale.

    X (n, d) of any type and strides; numbers (m,), int64, m at most the rows of tile; scale and shift (tile's width,),
    aligned. Behind the last feature tile[i, j] = shift[j]. The further rows of tile stay as they are.
    """
    compile_small()
    n_rows, n_features = numbers.shape[0], X.shape[1]
    if X.strides[1] == X.itemsize:
        for i in range(n_rows):
            simd.load_row(X, numbers[i], scaling, tile, i)
        return
    # Some columns at a time are read into rows, and these are turned in squares.
    lanes = VECTOR_BYTES // tile.itemsize
    n_whole = n_rows // lanes * lanes
    columns = zeros_aligned((lanes, (n_rows + lanes - 1) // lanes * lanes), tile.dtype)
    follow = X.strides[0] == X.itemsize and follow_each_other(numbers)
    for begin in range(0, tile.shape[1], lanes):
        for j in range(begin, begin + lanes):
            if j >= n_features:
                columns[j - begin] = scaling.shift[j]
            elif follow:
                column = dense_row(X.T, j)[numbers[0] : numbers[0] + n_rows]
                _scale_column(column, scaling, j, columns[j - begin])
            else:
                for i in range(n_rows):
                    x = scaling.scale.dtype.type(X[numbers[i], j])
                    columns[j - begin, i] = x * scaling.scale[j] + scaling.shift[j]
        for i in range(0, n_whole, lanes):
            simd.transpose_square(columns, np.int64(0), i, tile, i, begin)
        for i in range(n_whole, n_rows):
            for j in range(lanes):
                tile[i, begin + j] = columns[j, i]


@kernel(reassociate=False, inner=True)
def _scale_column(x, scaling, j, scaled):
    """Fill scaled[i] with x[i], an entry of column j, scaled and shifted."""
    compile_apart()
    scale, shift = scaling.scale[j], scaling.shift[j]
    for i in range(x.shape[0]):
        scaled[i] = scaling.scale.dtype.type(x[i]) * scale + shift


@kernel(inner=True)
def transpose_tile(tile, n_rows, n_columns, columns):
    """Fill columns[j, i] = tile[i, j] for i < n_rows and j < n_columns, in squares of whole vectors."""
    compile_small()
    lanes = VECTOR_BYTES // tile.itemsize
    for i in range(0, n_rows, lanes):
        for j in range(0, n_columns, lanes):
            simd.transpose_square(tile, i, j, columns, j, i)
