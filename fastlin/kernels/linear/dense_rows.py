"""Kernels over dense rows: the rows themselves, scores, losses and gradients of the logistic and the softmax loss.

X (n, d) is of any type and strides, and comes as `any_layout` makes it. A row enters as x~ = scale x + shift, and
everything else in the type of coef, which is the one computed in. K = 1 is the logistic loss with labels 0 and 1,
K >= 3 the softmax with labels 0 to K - 1. A pass works on tiles of rows, a few hundred kilobytes each: scores,
residuals and gradient of a tile follow one another while it lies in the second-level cache, so that X is read from
memory once.
"""

import numpy as np

from fastlin.kernels.linear.residuals import turn_scores_to_residuals
from fastlin.kernels.machine.arrays import CACHE_LINE, dense_row, zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.instructions import compile_small, read_number, request_line
from fastlin.kernels.machine.panels import (
    add_tile,
    copy_sums,
    load_and_multiply,
    open_panels,
    open_panels_to_read,
    open_sums,
    read_and_multiply,
)
from fastlin.kernels.machine.prefetch import empty_list, list_rows

# Rows are requested from memory this many rows ahead.
ROWS_AHEAD = 4


@kernel(inner=True)
def block_rows(block, n_blocks, n_rows):
    """Return the row numbers of one of n_blocks blocks of n_rows rows."""
    compile_small()
    first = block * n_rows // n_blocks
    rows = zeros_aligned((block + 1) * n_rows // n_blocks - first, np.int64)
    for i in range(rows.shape[0]):
        rows[i] = first + i
    return rows


@kernel(inline=True)
def rows_of_block(block, n_blocks, rows, n_rows):
    """Return one of n_blocks blocks of rows, which without entries are all of n_rows, and the place of its first."""
    if rows.shape[0] == 0:
        return block_rows(block, n_blocks, n_rows), block * n_rows // n_blocks
    first = block * rows.shape[0] // n_blocks
    return rows[first : (block + 1) * rows.shape[0] // n_blocks], first


@kernel(reassociate=False, inline=True)
def add_score_rows(scores, n_rows, sums):
    """Add scores (K, tile rows) over the first n_rows rows to sums (K,), float64, one row after the other."""
    n_classes = scores.shape[0]
    n_in_fours = n_classes - n_classes % 4
    # An addition waits for the one before it: four classes side by side keep the processor busy. With 1,000 classes one
    # at a time took an eighth of a pass.
    for k in range(0, n_in_fours, 4):
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        for i in range(n_rows):
            a += np.float64(scores[k, i])
            b += np.float64(scores[k + 1, i])
            c += np.float64(scores[k + 2, i])
            d += np.float64(scores[k + 3, i])
        sums[k] += a
        sums[k + 1] += b
        sums[k + 2] += c
        sums[k + 3] += d
    for k in range(n_in_fours, n_classes):
        total = 0.0
        for i in range(n_rows):
            total += np.float64(scores[k, i])
        sums[k] += total


@kernel(reassociate=False)
def fill_block_loss_and_gradient(block, n_blocks, X, samples, scaling, parameters, tile_rows, losses, sums, kept):
    """Fill the block's slice of losses (B,), float64, and of sums, BlockSums: loss and gradient in one pass.

    losses[block] is sum s_i l_i and the sums are its derivatives by coef and intercept, over the block's part of the
    rows of samples. The gradient of a tile of ``tile_rows`` rows is summed in the type of coef, beyond that in float64.
    What is Kept takes the probabilities of the block's rows.
    """
    compile_small()
    X = X[0]
    coef, intercept = parameters
    intercept_sums = sums.intercept[block]
    n_classes = coef.shape[0]
    rows, first = rows_of_block(block, n_blocks, samples.rows, X.shape[0])
    n_rows = rows.shape[0]
    panels = open_panels(coef, scaling, tile_rows)
    gradient = open_sums(panels, n_classes)
    ahead = empty_list(tile_rows)
    scores = zeros_aligned((n_classes, tile_rows), coef.dtype)
    for k in range(n_classes):
        intercept_sums[k] = 0
    loss = 0.0
    for start in range(0, n_rows, tile_rows):
        stop = start + tile_rows if start + tile_rows < n_rows else n_rows
        numbers = rows[start:stop]
        list_rows(X, rows, stop, tile_rows, n_rows, ahead)
        load_and_multiply(X, numbers, panels, intercept, scores, ahead)
        loss += turn_scores_to_residuals(scores, numbers, samples, kept, first + start)
        add_score_rows(scores, stop - start, intercept_sums)
        add_tile(panels, stop - start, scores, gradient, ahead)
    losses[block] = loss
    copy_sums(gradient, sums.coef[block])


@kernel(reassociate=False)
def fill_block_scores(block, n_blocks, X, parameters, tile_rows, scores, best):
    """Fill scores[i] = coef x_i + intercept for the rows i of the block, and best[i] with the class of the largest.

    Either of scores (n, K) and best (n,), int64, may have no rows; it is not filled then. Of equal scores the first
    class is best, and for K = 1 it is 1 where the score is above 0, else 0. For the classes no more than the scores of
    a tile are held.
    """
    X = X[0]
    coef = parameters.coef
    rows = block_rows(block, n_blocks, X.shape[0])
    n_rows = rows.shape[0]
    panels = open_panels_to_read(X, coef, tile_rows)
    ahead = empty_list(tile_rows)
    of_tile = zeros_aligned((coef.shape[0], tile_rows), coef.dtype)
    largest = zeros_aligned(tile_rows, coef.dtype)
    for start in range(0, n_rows, tile_rows):
        stop = start + tile_rows if start + tile_rows < n_rows else n_rows
        list_rows(X, rows, stop, tile_rows, n_rows, ahead)
        read_and_multiply(X, rows[start:stop], panels, parameters.intercept, of_tile, ahead)
        if scores.shape[0] > 0:
            for i in range(stop - start):
                for k in range(coef.shape[0]):
                    scores[rows[start + i], k] = of_tile[k, i]
        if best.shape[0] > 0:
            found = best[rows[start] : rows[start] + stop - start]
            for i in range(stop - start):
                found[i] = np.int64(coef.shape[0] == 1 and of_tile[0, i] > 0)
                largest[i] = of_tile[0, i]
            for k in range(1, coef.shape[0]):
                s = of_tile[k]
                for i in range(stop - start):
                    found[i] = k if s[i] > largest[i] else found[i]
                    largest[i] = s[i] if s[i] > largest[i] else largest[i]


@kernel
def fill_scores(X, coef, intercept, scores, best):
    """Fill scores and best as `fill_block_scores` does, for a small X (n, d) in C order and of the type of coef (K, d).

    It is neither cut into blocks nor loaded as tiles, which takes a tenth of the time to compile.
    """
    for i in range(X.shape[0]):
        row, largest = X[i], -np.inf
        for k in range(coef.shape[0]):
            factors, score = coef[k], coef.dtype.type(0)
            for j in range(row.shape[0]):
                score += row[j] * factors[j]
            score += intercept[k]
            if scores.shape[0] > 0:
                scores[i, k] = score
            if best.shape[0] > 0:
                if coef.shape[0] == 1:
                    best[i] = score > 0
                elif k == 0 or score > largest:
                    best[i], largest = k, score


@kernel
def fill_block_rows(block, n_blocks, X, rows, gathered):
    """Fill gathered (m, d) with gathered_i = X[rows_i], converted, for the block's part of rows (m,).

    X is (n, d), of any type and layout.
    """
    X = X[0]
    end = (block + 1) * rows.shape[0] // n_blocks
    for i in range(block * rows.shape[0] // n_blocks, end):
        if X.strides[1] != X.itemsize:
            for j in range(X.shape[1]):
                gathered[i, j] = read_number(X[rows[i], j])
            continue
        if i + ROWS_AHEAD < end:
            # The processor does not foresee rows that are out of order: 17 instead of 21 microseconds.
            ahead = dense_row(X, rows[i + ROWS_AHEAD])
            for offset in range(0, ahead.shape[0] * X.itemsize, CACHE_LINE):
                request_line(ahead.ctypes.data + offset)
        source, target = dense_row(X, rows[i]), gathered[i]
        for j in range(target.shape[0]):
            target[j] = read_number(source[j])
