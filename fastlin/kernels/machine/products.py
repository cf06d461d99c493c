"""The two products with a tile of rows: scores, and sums of multiplied rows. The first scores also fill the tile."""

from typing import NamedTuple

import numpy as np

from fastlin.kernels.machine import simd
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.intrinsics import optimize_for_size
from fastlin.kernels.machine.simd import CLASSES_PER_TILE, ROWS_PER_GROUP
from fastlin.kernels.machine.tiles import (
    MAX_TILE_ROWS,
    Scaling,
    load_tile,
    make_identity_scaling,
    pad_columns,
    pad_scaling,
    transpose_tile,
    uses_transposed_tile,
    zeros_padded,
)

# Scores are computed in chunks of at most CHUNK_BYTES per row. With this limit, five classes, the scaling, and four
# rows of X and of the tile fit into the L1 cache.
CHUNK_BYTES = 2_200
# If the cache contains only coefficients and four rows of X, ten classes fit, rounded down to whole groups.
MAX_CACHED_CLASSES = 10 // CLASSES_PER_TILE * CLASSES_PER_TILE


class Tile(NamedTuple):
    """A tile of rows of X, and the operands and outputs of the products with it."""

    rows: np.ndarray  # (tile rows, width), scaled and shifted; padded to whole vectors and whole groups of rows
    scaling: Scaling  # for the columns of X, padded to the width of the tile
    coef: np.ndarray  # (K, width)
    scores: np.ndarray  # (K, tile rows), which kernels overwrite
    transposed_rows: np.ndarray  # (width, tile rows), the transposed rows; empty if the tile is not transposed


_uses_transposed_tile = kernel(uses_transposed_tile, inline=True)


@kernel(inline=True)
def _allows_transposed_tile(coef, tile_rows):
    """Return whether scores for coef (K, d) are computed from transposed tiles, and a tile has enough rows."""
    return _uses_transposed_tile(coef.shape[1], coef.shape[0]) and tile_rows == MAX_TILE_ROWS


@kernel(inner=True)
def allocate_tile(coef, scaling, tile_rows, is_transposed):
    """Return a Tile of ``tile_rows`` rows for coef (K, d).

    The tile is transposed if ``is_transposed`` and `_allows_transposed_tile`.
    """
    optimize_for_size()
    rows = zeros_padded(tile_rows, coef.shape[1], coef.dtype)
    scores = zeros_aligned((coef.shape[0], tile_rows), coef.dtype)
    is_transposed &= _allows_transposed_tile(coef, tile_rows)
    transposed_rows = zeros_aligned((rows.shape[1] if is_transposed else 0, tile_rows), coef.dtype)
    return Tile(rows, pad_scaling(scaling, rows), pad_columns(coef), scores, transposed_rows)


@kernel(inner=True)
def allocate_read_tile(X, coef, tile_rows):
    """Return a Tile for scores of unscaled X. If contiguous rows of X are read in place, it has no memory for rows."""
    optimize_for_size()
    is_transposed = _allows_transposed_tile(coef, tile_rows)
    is_read_in_place = X.strides[1] == X.itemsize and not is_transposed
    rows = zeros_padded(0 if is_read_in_place else tile_rows, coef.shape[1], coef.dtype)
    transposed_rows = zeros_aligned((rows.shape[1] if is_transposed else 0, tile_rows), coef.dtype)
    scores = zeros_aligned((coef.shape[0], tile_rows), coef.dtype)
    return Tile(rows, make_identity_scaling(rows), pad_columns(coef), scores, transposed_rows)


@kernel(reassociate=False, inner=True)
def load_and_multiply_tile(X, row_indices, start, stop, intercept, tile, should_skip_storing=None):
    """Load X[row_indices[start:stop]] into the tile, and fill scores[k, i] with coef[k] rows[i] + intercept[k].

    `rows`, `coef` and `scores` are those of the tile. If the rows of X are contiguous, the products with the first
    classes read X directly. Rows and scores are overwritten up to the end of the last group of rows. If
    ``should_skip_storing`` is not None, X is not scaled, and contiguous rows are not stored unless they are transposed.
    Numba compiles this branch only if ``should_skip_storing`` is not None.
    """
    optimize_for_size()
    rows, scaling, coef, scores, transposed_rows = tile
    n_classes, width = coef.shape
    n_rows, zero = stop - start, np.int64(0)
    row_indices = row_indices[start:stop]
    fill_rows_with_values(intercept, scores)
    # A tile that is less than half full is not transposed, because its transposition would cost as much as that of a
    # full tile.
    is_transposed = transposed_rows.shape[0] > 0 and 2 * n_rows > transposed_rows.shape[1]
    if is_transposed or X.strides[1] != X.itemsize:
        load_tile(X, row_indices, scaling, rows)
        if is_transposed:
            transpose_tile(rows, n_rows, X.shape[1], transposed_rows)
            add_matrix_product(transposed_rows, X.shape[1], coef, scores)
        else:
            add_scores(rows, n_rows, n_rows, coef, zero, scores)
        return
    if should_skip_storing is not None:
        add_scores(X, row_indices, n_rows, coef, zero, scores)
        return
    count, lanes = _classes_per_batch(n_classes), VECTOR_BYTES // coef.itemsize
    chunk_width = _choose_chunk_width(width, lanes)
    for first in range(0, width, chunk_width):
        last = first + chunk_width if first + chunk_width < width else width
        for i in range(0, n_rows, 8 if count == 1 else 4):
            if count == CLASSES_PER_TILE:
                simd.load_and_multiply_4_rows(X, row_indices, i, coef, zero, first, last, scores, scaling, rows)
            elif count == 3:
                simd.load_and_multiply_4_rows_3_classes(
                    X, row_indices, i, coef, zero, first, last, scores, scaling, rows
                )
            else:
                simd.load_and_multiply_8_rows_1_class(X, row_indices, i, coef, zero, first, last, scores, scaling, rows)
    add_scores(rows, n_rows, n_rows, coef, count, scores)


@kernel(inline=True)
def fill_rows_with_values(values, destination_rows):
    """Fill destination_rows[k, i] with values[k]."""
    for k in range(destination_rows.shape[0]):
        for i in range(destination_rows.shape[1]):
            destination_rows[k, i] = values[k]


@kernel(inline=True)
def _choose_chunk_width(width, lanes):
    """Return the number of columns per chunk: whole vectors, with at most CHUNK_BYTES bytes per row."""
    n_chunks = (width // lanes * VECTOR_BYTES + CHUNK_BYTES - 1) // CHUNK_BYTES
    return (width // lanes + n_chunks - 1) // n_chunks * lanes


@kernel(inline=True)
def _classes_per_batch(n_remaining_classes):
    return CLASSES_PER_TILE if n_remaining_classes >= CLASSES_PER_TILE else 3 if n_remaining_classes >= 3 else 1


@kernel(reassociate=False, inner=True)
def add_scores(X, row_indices, n_rows, coef, first_class, scores):
    """Add coef[k] X[row_indices[i]] to scores[k, i] for i < n_rows and k >= first_class.

    The rows of X are contiguous. `row_indices` may also be the integer n_rows, which selects the first n_rows rows.
    `coef` (K, width) consists of whole aligned vectors. `scores` (K, tile rows) are overwritten up to the end of the
    last group of rows.
    """
    optimize_for_size()
    n_classes, width = coef.shape
    lanes = VECTOR_BYTES // coef.itemsize
    chunk_width = _choose_chunk_width(width, lanes)
    for first in range(0, width, chunk_width):
        last = first + chunk_width if first + chunk_width < width else width
        for group in range(first_class, n_classes, MAX_CACHED_CLASSES):
            end = group + MAX_CACHED_CLASSES if group + MAX_CACHED_CLASSES < n_classes else n_classes
            for i in range(0, n_rows, 4):
                k = group
                while k < end:
                    count = _classes_per_batch(end - k)
                    if count == CLASSES_PER_TILE:
                        simd.multiply_4_rows(X, row_indices, i, coef, k, first, last, scores)
                    elif count == 3:
                        simd.multiply_4_rows_3_classes(X, row_indices, i, coef, k, first, last, scores)
                    elif i % ROWS_PER_GROUP == 0:
                        simd.multiply_8_rows_1_class(X, row_indices, i, coef, k, first, last, scores)
                    k += count


@kernel(reassociate=False, inner=True)
def add_matrix_product(tile, n_rows, multipliers, sums):
    """Add the sum over i < n_rows of multipliers[k, i] tile[i, j] to sums[k, j].

    `multipliers` has shape (K, tile rows). `sums` (K, width) is aligned, and is either float64 or of the type of
    `tile`. The sum over the rows of a tile is first computed in the type of `tile`.
    """
    optimize_for_size()
    n_classes, width = sums.shape
    lanes = VECTOR_BYTES // tile.itemsize
    j = 0
    while j < width:
        has_four_vectors = j + 4 * lanes <= width
        k = 0
        while k < n_classes:
            count = _classes_per_batch(n_classes - k)
            count = count if has_four_vectors or count == CLASSES_PER_TILE else 1
            if has_four_vectors and count == CLASSES_PER_TILE:
                simd.add_4_vectors(tile, n_rows, j, multipliers, k, sums)
            elif has_four_vectors and count == 3:
                simd.add_4_vectors_3_classes(tile, n_rows, j, multipliers, k, sums)
            elif has_four_vectors:
                simd.add_4_vectors_1_class(tile, n_rows, j, multipliers, k, sums)
            elif count == CLASSES_PER_TILE:
                simd.add_1_vector(tile, n_rows, j, multipliers, k, sums)
            else:
                simd.add_1_vector_1_class(tile, n_rows, j, multipliers, k, sums)
            k += count
        j += 4 * lanes if has_four_vectors else lanes


@kernel(reassociate=False, inner=True)
def add_triangle_product(tile, n_rows, n_columns, multipliers, sums):
    """Add to sums[k, j] for k <= j < n_columns, like `add_matrix_product`.

    Entries below the diagonal are overwritten up to the end of a vector and of a group of classes. The number of rows
    of `sums` is a multiple of the group size.
    """
    optimize_for_size()
    lanes = VECTOR_BYTES // tile.itemsize
    for j in range(0, n_columns, lanes):
        end = j + lanes if j + lanes < sums.shape[0] else sums.shape[0]
        for k in range(0, end, CLASSES_PER_TILE):
            simd.add_1_vector(tile, n_rows, j, multipliers, k, sums)
