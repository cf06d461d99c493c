"""Tiles: batches of rows of X that are converted, scaled, shifted and stored as whole aligned vectors.

All further computations use the tile. Its type and layout do not depend on those of X. Therefore, the products are
compiled only once, and X is never copied as a whole.
"""

from typing import NamedTuple

import numpy as np

from fastlin.kernels.machine import simd
from fastlin.kernels.machine.arrays import get_contiguous_row, zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.intrinsics import optimize_for_size, prevent_inlining
from fastlin.kernels.machine.simd import CLASSES_PER_TILE, ROWS_PER_GROUP

# A tile, its scores and the coefficients fit into the L2 cache together (1 MB or more).
TILE_BYTES = 300_000
# This is also the maximum number of rows that are summed in float32 before the sum continues in float64.
MAX_TILE_ROWS = 128
CACHE_SET_STRIDE_BYTES = 512


class Scaling(NamedTuple):
    """The scale and shift of the columns of X. A column x_j enters the computations as scale[j] x_j + shift[j].

    scale and shift (d,) have the same type. The result is computed in this type: float64 data are centered before they
    are rounded to a float32 tile, because the raw values may overflow in float32.
    """

    scale: np.ndarray
    shift: np.ndarray


def uses_transposed_tile(n_features: int, n_classes: int) -> bool:
    """Return whether scores are computed from the transposed tile.

    This avoids sums over vector lanes, which take most of the time if there are few columns and many classes
    (docs/benchmarks/design-choices.md: transposed tiles).
    """
    return n_classes > CLASSES_PER_TILE and 2 * n_classes >= n_features


def count_tile_rows(n_features: int, n_classes: int, itemsize: int) -> int:
    """Return the number of rows per tile, in whole groups. The result depends only on the shape and the item size."""
    if uses_transposed_tile(n_features, n_classes):
        return MAX_TILE_ROWS
    rows = TILE_BYTES // (itemsize * max(1, n_features + n_classes))
    return int(min(max(rows // ROWS_PER_GROUP, 1), MAX_TILE_ROWS // ROWS_PER_GROUP)) * ROWS_PER_GROUP


@kernel(inner=True)
def zeros_padded(n_rows, n_columns, dtype):
    """Return zeros of shape (n_rows, n_columns rounded up to whole vectors). They start on a cache line."""
    optimize_for_size()
    itemsize = zeros_aligned(0, dtype).itemsize
    lanes = VECTOR_BYTES // itemsize
    width = (n_columns + lanes - 1) // lanes * lanes
    # Rows whose distance in memory is a multiple of 4,096 bytes would compete for the eight cache lines of a set.
    if width * itemsize % CACHE_SET_STRIDE_BYTES == 0:
        width += lanes
    return zeros_aligned((n_rows, width), dtype)


@kernel(inner=True)
def pad_columns(values):
    """Return a copy of `values` (m, d), padded with zeros to whole vectors. The copy starts on a cache line."""
    optimize_for_size()
    padded_copy = zeros_padded(values.shape[0], values.shape[1], values.dtype)
    for k in range(values.shape[0]):
        for j in range(values.shape[1]):
            padded_copy[k, j] = values[k, j]
    return padded_copy


@kernel(inner=True)
def pad_vector(values, tile):
    """Return a copy of `values` (d,), padded with zeros to the width of `tile`. The copy starts on a cache line."""
    optimize_for_size()
    padded_copy = zeros_aligned(tile.shape[1], values.dtype)
    for j in range(values.shape[0]):
        padded_copy[j] = values[j]
    return padded_copy


@kernel(inline=True)
def pad_scaling(scaling, tile):
    """Return a copy of the scaling, padded with zeros to the width of `tile`. Both arrays start on a cache line."""
    return Scaling(pad_vector(scaling.scale, tile), pad_vector(scaling.shift, tile))


@kernel(inner=True)
def make_identity_scaling(tile):
    """Return the identity scaling with the width and the type of `tile`."""
    scale, shift = zeros_aligned(tile.shape[1], tile.dtype), zeros_aligned(tile.shape[1], tile.dtype)
    scale[:] = 1
    return Scaling(scale, shift)


@kernel(inner=True)
def make_row_range(first, last):
    """Return the row indices from `first` to last - 1."""
    optimize_for_size()
    row_indices = zeros_aligned(last - first, np.int64)
    for i in range(last - first):
        row_indices[i] = first + i
    return row_indices


@kernel(inline=True)
def slice_rows(rows, first, last):
    """Return rows[first:last]; empty ``rows`` means all rows."""
    return rows[first:last] if rows.shape[0] > 0 else make_row_range(first, last)


@kernel(inline=True)
def are_consecutive(row_indices):
    """Return whether the row indices are consecutive and ascending."""
    # The initial value is not a literal, because Numba would compile the callers again for a literal.
    is_consecutive = row_indices.shape[0] > 0
    for i in range(1, row_indices.shape[0]):
        is_consecutive &= row_indices[i] == row_indices[i - 1] + 1
    return is_consecutive


@kernel(reassociate=False, inner=True)
def load_tile(X, row_indices, scaling, tile):
    """Fill tile[i, j] with X[row_indices[i], j] scale[j] + shift[j], computed in the type of `scale`.

    X (n, d) has any type and strides. `row_indices` (m,) are int64, and m is at most the number of rows of `tile`. The
    scale and the shift are aligned and have the width of `tile`. The padding is tile[i, j] = shift[j]. The remaining
    rows of `tile` are not changed.
    """
    optimize_for_size()
    n_rows, n_features = row_indices.shape[0], X.shape[1]
    if X.strides[1] == X.itemsize:
        for i in range(n_rows):
            simd.load_row(X, row_indices[i], scaling, tile, i)
        return
    # Each step reads as many columns as a vector has lanes, and transposes these columns in square blocks.
    lanes = VECTOR_BYTES // tile.itemsize
    n_full_rows = n_rows // lanes * lanes
    columns = zeros_aligned((lanes, (n_rows + lanes - 1) // lanes * lanes), tile.dtype)
    is_consecutive = X.strides[0] == X.itemsize and are_consecutive(row_indices)
    for begin in range(0, tile.shape[1], lanes):
        for j in range(begin, begin + lanes):
            if j >= n_features:
                columns[j - begin] = scaling.shift[j]
            elif is_consecutive:
                column = get_contiguous_row(X.T, j)[row_indices[0] : row_indices[0] + n_rows]
                _scale_column(column, scaling, j, columns[j - begin])
            else:
                for i in range(n_rows):
                    x = scaling.scale.dtype.type(X[row_indices[i], j])
                    columns[j - begin, i] = x * scaling.scale[j] + scaling.shift[j]
        for i in range(0, n_full_rows, lanes):
            simd.transpose_square(columns, np.int64(0), i, tile, i, begin)
        for i in range(n_full_rows, n_rows):
            for j in range(lanes):
                tile[i, begin + j] = columns[j, i]


@kernel(reassociate=False, inner=True)
def _scale_column(x, scaling, j, scaled):
    """Fill scaled[i] with x[i] scale[j] + shift[j], where x is column j."""
    prevent_inlining()
    scale, shift = scaling.scale[j], scaling.shift[j]
    for i in range(x.shape[0]):
        scaled[i] = scaling.scale.dtype.type(x[i]) * scale + shift


@kernel(inner=True)
def transpose_tile(tile, n_rows, n_columns, columns):
    """Fill columns[j, i] with tile[i, j] for i < n_rows and j < n_columns, in squares of whole vectors."""
    optimize_for_size()
    lanes = VECTOR_BYTES // tile.itemsize
    for i in range(0, n_rows, lanes):
        for j in range(0, n_columns, lanes):
            simd.transpose_square(tile, i, j, columns, j, i)
