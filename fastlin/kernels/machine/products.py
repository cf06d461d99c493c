"""The two products of a tile, scores and sums, in the type computed in; the first scores read X and fill the tile."""

from typing import NamedTuple

import numpy as np

from fastlin.kernels.machine import simd
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.instructions import compile_small
from fastlin.kernels.machine.prefetch import empty_list, list_rows, next_lines
from fastlin.kernels.machine.simd import CLASSES_PER_TILE, ROW_GROUP, lines_in_step
from fastlin.kernels.machine.tiles import (
    MAX_TILE_ROWS,
    Scaling,
    uses_transposed_tile,
    load_tile,
    no_scaling,
    pad_columns,
    pad_scaling,
    transpose_tile,
    zeros_padded,
)

# Scores pass over at most CHUNK_BYTES of each row: five classes, the scaling and four rows of it, of X and of the
# tile, fit into the first-level cache.
CHUNK_BYTES = 2_200
# Where nothing but coefficients and four rows of X has to fit there, ten classes do: whole groups of them.
CLASSES_CACHED = 10 // CLASSES_PER_TILE * CLASSES_PER_TILE


class Tile(NamedTuple):
    """Some rows of X as the products take them, and their operands."""

    rows: np.ndarray  # (tile rows, width), scaled and shifted; whole vectors, and whole groups of rows
    scaling: Scaling  # of the columns of X, for all columns of the tile
    coef: np.ndarray  # (K, width)
    scores: np.ndarray  # (K, tile rows), of the rows, which kernels overwrite
    ahead: np.ndarray  # int64, the list of the memory that the next tile is read from
    turned: np.ndarray  # (width, tile rows), the columns of the rows; without entries they are not turned


_is_turned = kernel(uses_transposed_tile, inline=True)


@kernel(inner=True)
def open_tile(coef, scaling, tile_rows, turns):
    """Return a Tile of ``tile_rows`` rows for coef (K, d), turned if it ``turns`` and `uses_transposed_tile` says so."""
    compile_small()
    rows = zeros_padded(tile_rows, coef.shape[1], coef.dtype)
    scores = zeros_aligned((coef.shape[0], tile_rows), coef.dtype)
    turns &= _is_turned(coef.shape[1], coef.shape[0]) and tile_rows == MAX_TILE_ROWS
    turned = zeros_aligned((rows.shape[1] if turns else 0, tile_rows), coef.dtype)
    return Tile(rows, pad_scaling(scaling, rows), pad_columns(coef), scores, empty_list(tile_rows), turned)


@kernel(inner=True)
def open_tile_to_read(X, coef, tile_rows):
    """Return a Tile to read X, which needs no rows where a row of X is one piece of memory; they are not turned."""
    compile_small()
    rows = zeros_padded(0 if X.strides[1] == X.itemsize else tile_rows, coef.shape[1], coef.dtype)
    scores, turned = zeros_aligned((coef.shape[0], tile_rows), coef.dtype), rows[:0]
    return Tile(rows, no_scaling(rows), pad_columns(coef), scores, empty_list(tile_rows), turned)


@kernel(reassociate=False, inner=True)
def load_and_multiply(X, numbers, start, stop, intercept, tile, reads=None):
    """Load the rows ``numbers[start:stop]`` of X into the tile; fill its scores[k, i] = coef[k] rows[i] + intercept[k].

    Where a row of X is one piece of memory, the products of the first classes read it themselves. Rows and scores are
    overwritten to the end of the last group of rows. Meanwhile the memory of the rows from ``stop`` on is asked for.
    If it ``reads``, X is taken as it is, and such rows are not stored: None leaves that out of what is compiled.
    """
    compile_small()
    rows, scaling, coef, scores, ahead, turned = tile
    n_classes, width = coef.shape
    n_rows, zero = stop - start, np.int64(0)
    list_rows(X, numbers, stop, ahead)
    numbers = numbers[start:stop]
    fill_rows(intercept, scores)
    # A tile that is less than half full is not turned: all of its rows would be.
    turns = turned.shape[0] > 0 and 2 * n_rows > turned.shape[1]
    if turns or X.strides[1] != X.itemsize:
        load_tile(X, numbers, scaling, rows)
        if turns:
            transpose_tile(rows, n_rows, X.shape[1], turned)
            add_product(turned, X.shape[1], coef, scores, ahead)
        else:
            add_scores(rows, n_rows, n_rows, coef, zero, scores, ahead)
        return
    if reads is not None:
        add_scores(X, numbers, n_rows, coef, zero, scores, ahead)
        return
    count, lanes = _classes_per_batch(n_classes), VECTOR_BYTES // coef.itemsize
    chunk = _chunk(width, lanes)
    for first in range(0, width, chunk):
        last = first + chunk if first + chunk < width else width
        n_lines = (last - first) // lanes * _lines_in_step(count, X.itemsize, coef.itemsize)
        for i in range(0, n_rows, 8 if count == 1 else 4):
            lines = next_lines(ahead, n_lines, coef)
            if count == CLASSES_PER_TILE:
                simd.load_and_multiply_4_rows(X, numbers, i, coef, zero, first, last, scores, lines, scaling, rows)
            elif count == 3:
                simd.load_and_multiply_4_rows_3_classes(
                    X, numbers, i, coef, zero, first, last, scores, lines, scaling, rows
                )
            else:
                simd.load_and_multiply_8_rows_1_class(
                    X, numbers, i, coef, zero, first, last, scores, lines, scaling, rows
                )
    add_scores(rows, n_rows, n_rows, coef, count, scores, ahead)


_lines_in_step = kernel(lines_in_step, inline=True)


@kernel(inline=True)
def fill_rows(values, filled):
    """Fill filled[k, i] = values[k]."""
    for k in range(filled.shape[0]):
        for i in range(filled.shape[1]):
            filled[k, i] = values[k]


@kernel(inline=True)
def _chunk(width, lanes):
    """Return the columns that are passed over at a time: whole vectors, CHUNK_BYTES at most."""
    n_chunks = (width // lanes * VECTOR_BYTES + CHUNK_BYTES - 1) // CHUNK_BYTES
    return (width // lanes + n_chunks - 1) // n_chunks * lanes


@kernel(inline=True)
def _classes_per_batch(n_left):
    return CLASSES_PER_TILE if n_left >= CLASSES_PER_TILE else 3 if n_left >= 3 else 1


@kernel(reassociate=False, inner=True)
def add_scores(X, numbers, n_rows, coef, first_class, scores, ahead):
    """Add coef[k] X[numbers[i]] to scores[k, i] for i < n_rows and k from first_class on.

    X has its columns next to each other; n_rows itself in the place of numbers stands for the first rows. coef (K,
    width) holds whole aligned vectors; scores (K, tile rows) is changed up to the end of the last group of rows.
    Meanwhile the memory of the list ``ahead`` is asked for.
    """
    compile_small()
    n_classes, width = coef.shape
    lanes = VECTOR_BYTES // coef.itemsize
    chunk = _chunk(width, lanes)
    for first in range(0, width, chunk):
        last = first + chunk if first + chunk < width else width
        for group in range(first_class, n_classes, CLASSES_CACHED):
            end = group + CLASSES_CACHED if group + CLASSES_CACHED < n_classes else n_classes
            for i in range(0, n_rows, 4):
                k = group
                while k < end:
                    count = _classes_per_batch(end - k)
                    n_lines = (last - first) // lanes * _lines_in_step(count, X.itemsize, coef.itemsize)
                    if count == CLASSES_PER_TILE:
                        lines = next_lines(ahead, n_lines, coef)
                        simd.multiply_4_rows(X, numbers, i, coef, k, first, last, scores, lines)
                    elif count == 3:
                        lines = next_lines(ahead, n_lines, coef)
                        simd.multiply_4_rows_3_classes(X, numbers, i, coef, k, first, last, scores, lines)
                    elif i % ROW_GROUP == 0:
                        lines = next_lines(ahead, n_lines, coef)
                        simd.multiply_8_rows_1_class(X, numbers, i, coef, k, first, last, scores, lines)
                    k += count


@kernel(reassociate=False, inner=True)
def add_product(tile, n_rows, multipliers, sums, ahead):
    """Add the sum over i < n_rows of multipliers[k, i] tile[i, j] to sums[k, j].

    multipliers (K, tile rows); sums (K, width), aligned, float64 or of tile's type: the rows of a tile are added up in
    tile's type before. Meanwhile the memory of the list ``ahead`` is asked for.
    """
    compile_small()
    n_classes, width = sums.shape
    lanes = VECTOR_BYTES // tile.itemsize
    j = 0
    while j < width:
        is_wide = j + 4 * lanes <= width
        k = 0
        while k < n_classes:
            count = _classes_per_batch(n_classes - k)
            count = count if is_wide or count == CLASSES_PER_TILE else 1
            lines = next_lines(ahead, n_rows, tile)
            if is_wide and count == CLASSES_PER_TILE:
                simd.add_4_vectors(tile, n_rows, j, multipliers, k, sums, lines)
            elif is_wide and count == 3:
                simd.add_4_vectors_3_classes(tile, n_rows, j, multipliers, k, sums, lines)
            elif is_wide:
                simd.add_4_vectors_1_class(tile, n_rows, j, multipliers, k, sums, lines)
            elif count == CLASSES_PER_TILE:
                simd.add_1_vector(tile, n_rows, j, multipliers, k, sums, lines)
            else:
                simd.add_1_vector_1_class(tile, n_rows, j, multipliers, k, sums, lines)
            k += count
        j += 4 * lanes if is_wide else lanes


@kernel(reassociate=False, inner=True)
def add_triangle(tile, n_rows, n_columns, multipliers, sums):
    """Add to sums[k, j] as `add_product` does, for k <= j < n_columns.

    Entries below the diagonal change too, up to the end of a vector and of a group of classes; sums have whole groups.
    """
    compile_small()
    lanes, lines = VECTOR_BYTES // tile.itemsize, next_lines(empty_list(0), 0, tile)
    for j in range(0, n_columns, lanes):
        end = j + lanes if j + lanes < sums.shape[0] else sums.shape[0]
        for k in range(0, end, CLASSES_PER_TILE):
            simd.add_1_vector(tile, n_rows, j, multipliers, k, sums, lines)
