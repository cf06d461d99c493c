"""The two products of a tile, scores and sums, in the type computed in; the first scores read X and fill the tile."""

import numpy as np

from fastlin.kernels.machine import simd
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.instructions import compile_small
from fastlin.kernels.machine.prefetch import next_lines
from fastlin.kernels.machine.simd import CLASSES_TOGETHER, LOADED_ROWS
from fastlin.kernels.machine.tiles import load_tile, no_scaling, zeros_padded

# Scores pass over at most so many bytes of each row: five classes, the scaling and four rows of it, of X and of the
# tile, fit into the first-level cache.
CHUNK_BYTES = 2_200
# Where nothing but coefficients and four rows of X has to fit there, ten classes do: whole groups of them.
CLASSES_CACHED = 10 // CLASSES_TOGETHER * CLASSES_TOGETHER


@kernel(reassociate=False, inline=True)
def load_and_multiply(X, numbers, scaling, tile, coef, intercept, scores, ahead):
    """Load the rows ``numbers`` into tile as `load_tile` does, and fill scores[k, i] = coef[k] tile[i] + intercept[k].

    coef (K, width) holds whole aligned vectors. Where a row of X is one piece of memory, the products of the first
    classes read it themselves. The rows of tile (tile rows, width) are a multiple of ROW_GROUP; those beyond the last
    number, to the end of the last group, are overwritten with copies of the last row, and the scores (K, tile rows)
    likewise. Meanwhile the memory of the list ``ahead`` is asked for.
    """
    n_classes, width = coef.shape
    lanes = VECTOR_BYTES // tile.itemsize
    chunk = _chunk(width, lanes)
    count = _classes_together(n_classes)
    fill_rows(intercept, scores)
    if X.strides[1] != X.itemsize:
        load_tile(X, numbers, scaling, tile)
        add_scores(tile, numbers.shape[0], coef, np.int64(0), scores, ahead)
        return
    for first in range(0, width, chunk):
        last = first + chunk if first + chunk < width else width
        n_lines = (last - first) // lanes * _lines_in_step(count, X.itemsize, tile.itemsize)
        for i in range(0, numbers.shape[0], LOADED_ROWS if count == 1 else 4):
            lines = next_lines(ahead, n_lines, tile)
            if count == CLASSES_TOGETHER:
                simd.load_and_multiply_4_rows(X, numbers, i, scaling, tile, coef, first, last, scores, lines)
            elif count == 3:
                simd.load_and_multiply_4_rows_3_classes(X, numbers, i, scaling, tile, coef, first, last, scores, lines)
            else:
                simd.load_and_multiply_rows_1_class(X, numbers, i, scaling, tile, coef, first, last, scores, lines)
    add_scores(tile, numbers.shape[0], coef, count, scores, ahead)


_lines_in_step = kernel(simd.lines_in_step, inline=True)


@kernel(inline=True)
def spare_tile(X, tile_rows, coef):
    """Return the tile that `read_and_multiply` takes, which has no rows where a row of X is one piece of memory."""
    return zeros_padded(0 if X.strides[1] == X.itemsize else tile_rows, X.shape[1], coef.dtype)


@kernel(reassociate=False, inline=True)
def read_and_multiply(X, numbers, tile, coef, intercept, scores, ahead):
    """Fill scores[k, i] = coef[k] X[numbers[i]] + intercept[k] as `load_and_multiply` does, without scale and shift.

    Where a row of X is one piece of memory nothing is stored into tile. In the course's training, whose validations
    take most of the time, storing it cost a quarter.
    """
    n_classes, width = coef.shape
    lanes = VECTOR_BYTES // coef.itemsize
    chunk = _chunk(width, lanes)
    fill_rows(intercept, scores)
    if X.strides[1] != X.itemsize:
        load_tile(X, numbers, no_scaling(tile), tile)
        add_scores(tile, numbers.shape[0], coef, np.int64(0), scores, ahead)
        return
    for first in range(0, width, chunk):
        last = first + chunk if first + chunk < width else width
        for first_class in range(0, n_classes, CLASSES_CACHED):
            end = first_class + CLASSES_CACHED if first_class + CLASSES_CACHED < n_classes else n_classes
            for i in range(0, numbers.shape[0], 4):
                k = first_class
                while k < end:
                    count = _classes_together(end - k)
                    n_lines = (last - first) // lanes * _lines_in_step(count, X.itemsize, coef.itemsize)
                    if count == CLASSES_TOGETHER:
                        lines = next_lines(ahead, n_lines, coef)
                        simd.read_and_multiply_4_rows(X, numbers, i, coef, k, first, last, scores, lines)
                    elif count == 3:
                        lines = next_lines(ahead, n_lines, coef)
                        simd.read_and_multiply_4_rows_3_classes(X, numbers, i, coef, k, first, last, scores, lines)
                    elif i % LOADED_ROWS == 0:
                        lines = next_lines(ahead, n_lines, coef)
                        simd.read_and_multiply_rows_1_class(X, numbers, i, coef, k, first, last, scores, lines)
                    k += count


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
def _classes_together(n_left):
    return CLASSES_TOGETHER if n_left >= CLASSES_TOGETHER else 3 if n_left >= 3 else 1


@kernel(reassociate=False, inner=True)
def add_scores(tile, n_rows, coef, first_class, scores, ahead):
    """Add coef[k] tile[i] to scores[k, i] for i < n_rows and k from first_class on.

    tile (tile rows, width) and coef (K, width) hold whole aligned vectors; scores (K, tile rows) is changed up to the
    end of the last group of rows. Meanwhile the memory of the list ``ahead`` is asked for.
    """
    compile_small()
    n_classes, width = coef.shape
    lanes = VECTOR_BYTES // tile.itemsize
    chunk = _chunk(width, lanes)
    for first in range(0, width, chunk):
        last = first + chunk if first + chunk < width else width
        k = first_class
        while k < n_classes:
            count = _classes_together(n_classes - k)
            for i in range(0, n_rows, 8 if count == 1 else 4):
                lines = next_lines(ahead, (last - first) // lanes, tile)
                if count == CLASSES_TOGETHER:
                    simd.multiply_4_rows(tile, i, coef, k, first, last, scores, lines)
                elif count == 3:
                    simd.multiply_4_rows_3_classes(tile, i, coef, k, first, last, scores, lines)
                else:
                    simd.multiply_8_rows_1_class(tile, i, coef, k, first, last, scores, lines)
            k += count


@kernel(reassociate=False, inner=True)
def add_product(tile, n_rows, multipliers, first_column, sums, ahead):
    """Add the sum over i < n_rows of multipliers[k, i] tile[i, j] to sums[k, j], for j from first_column on.

    multipliers (K, tile rows); first_column is a whole number of vectors; sums (K, width), aligned, float64 or of
    tile's type: the rows of a tile are added up in tile's type before. Meanwhile the memory of the list ``ahead`` is
    asked for.
    """
    compile_small()
    n_classes, width = sums.shape
    lanes = VECTOR_BYTES // tile.itemsize
    j = first_column
    while j + 4 * lanes <= width:
        _add_4_vectors(tile, n_rows, j, multipliers, sums, j, ahead)
        j += 4 * lanes
    while j < width:
        k = 0
        while k < n_classes:
            lines = next_lines(ahead, n_rows, tile)
            if n_classes - k >= CLASSES_TOGETHER:
                simd.add_1_vector(tile, n_rows, j, multipliers, k, sums, j, lines)
                k += CLASSES_TOGETHER
            else:
                simd.add_1_vector_1_class(tile, n_rows, j, multipliers, k, sums, j, lines)
                k += 1
        j += lanes


@kernel(reassociate=False, inner=True)
def add_panel(panel, n_rows, multipliers, sums, column, ahead):
    """Add the sum over i < n_rows of multipliers[k, i] panel[i] to sums[k, column:], as `add_product` does.

    panel (rows, four vectors); sums of panel's type or float64.
    """
    compile_small()
    _add_4_vectors(panel, n_rows, np.int64(0), multipliers, sums, column, ahead)


@kernel(reassociate=False, inner=True)
def add_triangle(panel, n_rows, n_columns, multipliers, sums, ahead):
    """Add what `add_panel` does to sums[k, j] for k <= j < n_columns.

    Entries below the diagonal are added to as well, up to the end of a vector and of a group of classes, which the rows
    of sums are whole groups of.
    """
    compile_small()
    lanes = VECTOR_BYTES // panel.itemsize
    for j in range(0, n_columns, lanes):
        end = j + lanes if j + lanes < sums.shape[0] else sums.shape[0]
        for k in range(0, end, CLASSES_TOGETHER):
            simd.add_1_vector(panel, n_rows, j, multipliers, k, sums, j, next_lines(ahead, n_rows, panel))


@kernel(reassociate=False, inline=True)
def _add_4_vectors(tile, n_rows, j, multipliers, sums, column, ahead):
    """Add a product as `add_product` does, of four vectors of tile from column j on, to sums from ``column`` on."""
    k = 0
    while k < sums.shape[0]:
        count = _classes_together(sums.shape[0] - k)
        lines = next_lines(ahead, n_rows, tile)
        if count == CLASSES_TOGETHER:
            simd.add_4_vectors(tile, n_rows, j, multipliers, k, sums, column, lines)
        elif count == 3:
            simd.add_4_vectors_3_classes(tile, n_rows, j, multipliers, k, sums, column, lines)
        else:
            simd.add_4_vectors_1_class(tile, n_rows, j, multipliers, k, sums, column, lines)
        k += count
