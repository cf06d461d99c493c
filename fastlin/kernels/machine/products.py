"""The two products of a tile, scores and sums, in the type computed in; the first scores read X and fill the tile."""

import numpy as np

from fastlin.kernels.machine import simd
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.prefetch import next_address
from fastlin.kernels.machine.simd import CLASSES, LOADED_ROWS, VECTOR_BYTES, compile_small
from fastlin.kernels.machine.tiles import load_tile

# Scores walk at most so many bytes of each row: five classes, the factors and offsets and four rows of it, of X and of
# the tile, fit into the first-level cache.
CHUNK_BYTES = 2_200


@kernel(inline=True)
def load_and_multiply(X, rows, start, stop, factors, offsets, tile, coef, intercept, scores, ahead):
    """Load the rows ``rows[start:stop]`` into tile as `load_tile` does; scores[k, i] = coef[k] tile[i] + intercept[k].

    Where a row of X is one piece of memory, the products of the first classes read it themselves. The rows of tile
    (tile rows, width) are a multiple of ROW_GROUP; those beyond stop - start, to the end of the last group, are
    overwritten with copies of the last row, and the scores (K, tile rows) likewise.
    """
    n_classes, width = coef.shape
    lanes = VECTOR_BYTES // tile.itemsize
    chunk = _chunk(width, lanes)
    count = _classes_together(n_classes)
    for k in range(n_classes):
        for i in range(scores.shape[1]):
            scores[k, i] = intercept[k]
    if X.strides[1] != X.itemsize:
        load_tile(X, rows, start, stop, factors, offsets, tile)
        add_scores(tile, stop - start, coef, np.int64(0), scores, ahead)
        return
    for first in range(0, width, chunk):
        last = first + chunk if first + chunk < width else width
        for i in range(0, stop - start, LOADED_ROWS if count == 1 else 4):
            n_lines = (last - first) // lanes * _lines_in_step(count, X.itemsize, tile.itemsize)
            address, step = next_address(ahead, n_lines, tile)
            if count == CLASSES:
                simd.load_and_multiply_4_rows(
                    X, rows, start, stop, i, factors, offsets, tile, coef, first, last, scores, address, step
                )
            elif count == 3:
                simd.load_and_multiply_4_rows_3_classes(
                    X, rows, start, stop, i, factors, offsets, tile, coef, first, last, scores, address, step
                )
            else:
                simd.load_and_multiply_rows_1_class(
                    X, rows, start, stop, i, factors, offsets, tile, coef, first, last, scores, address, step
                )
    add_scores(tile, stop - start, coef, count, scores, ahead)


_lines_in_step = kernel(simd.lines_in_step, inline=True)


@kernel(inline=True)
def _chunk(width, lanes):
    """Return the columns that are walked at a time: whole vectors, CHUNK_BYTES at most."""
    n_chunks = (width // lanes * VECTOR_BYTES + CHUNK_BYTES - 1) // CHUNK_BYTES
    return (width // lanes + n_chunks - 1) // n_chunks * lanes


@kernel(inline=True)
def _classes_together(n_left):
    return CLASSES if n_left >= CLASSES else 3 if n_left >= 3 else 1


@kernel(reassociate=False, inner=True)
def add_scores(tile, n_rows, coef, first_class, scores, ahead):
    """scores[k, i] += coef[k] tile[i] for i < n_rows and k from first_class on.

    tile (tile rows, width) and coef (K, width) hold whole aligned vectors; scores (K, tile rows) is changed up to the
    end of the last group of rows. Meanwhile rows of the next tile are prefetched, as `ahead` says.
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
                address, step = next_address(ahead, (last - first) // lanes, tile)
                if count == CLASSES:
                    simd.multiply_4_rows(tile, i, coef, k, first, last, scores, address, step)
                elif count == 3:
                    simd.multiply_4_rows_3_classes(tile, i, coef, k, first, last, scores, address, step)
                else:
                    simd.multiply_8_rows_1_class(tile, i, coef, k, first, last, scores, address, step)
            k += count


@kernel(reassociate=False, inner=True)
def add_product(tile, n_rows, multipliers, first_column, sums, ahead):
    """sums[k, j] += sum over i < n_rows of multipliers[k, i] tile[i, j], for j from first_column on.

    multipliers (K, tile rows); first_column is a whole number of vectors; sums (K, width), aligned, float64 or of
    tile's type: the rows of a tile are added up in tile's type before. `ahead` goes on as in add_scores.
    """
    compile_small()
    n_classes, width = sums.shape
    lanes = VECTOR_BYTES // tile.itemsize
    j = first_column
    while j < width:
        n_vectors = 4 if j + 4 * lanes <= width else 1
        k = 0
        while k < n_classes:
            count = _classes_together(n_classes - k)
            address, step = next_address(ahead, n_rows, tile)
            if n_vectors == 4:
                if count == CLASSES:
                    simd.add_4_vectors(tile, n_rows, j, multipliers, k, sums, address, step)
                elif count == 3:
                    simd.add_4_vectors_3_classes(tile, n_rows, j, multipliers, k, sums, address, step)
                else:
                    simd.add_4_vectors_1_class(tile, n_rows, j, multipliers, k, sums, address, step)
            elif count == CLASSES:
                simd.add_1_vector(tile, n_rows, j, multipliers, k, sums, address, step)
            else:
                simd.add_1_vector_1_class(tile, n_rows, j, multipliers, k, sums, address, step)
                count = 1
            k += count
        j += n_vectors * lanes
