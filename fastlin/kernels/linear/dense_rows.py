"""Kernels over dense rows: the rows themselves, scores, and the sums of the logistic and the softmax loss.

X (n, d) is of any type and strides, and comes as `any_layout` makes it. A row enters as x~ = scale x + shift, and
everything else in the type of coef, which is the one computed in. K = 1 is the logistic loss with labels 0 and 1,
K >= 3 the softmax with labels 0 to K - 1. A pass computes scores, residuals and gradient of a tile of rows while the
tile lies in the second-level cache, so that X is read from memory once. Where X is the numbers of a table, the levels
of its other columns are given too; else these are None.
"""

import numpy as np

from fastlin.kernels.linear.residuals import (
    add_up,
    convert_products_to_slopes,
    convert_scores_of_batch,
    convert_scores_to_residuals,
    open_logistic_buffer,
)
from fastlin.kernels.linear.table_rows import add_level_scores, add_to_levels, open_levels
from fastlin.kernels.machine.arrays import dense_row, zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.instructions import compile_small
from fastlin.kernels.machine.products import (
    add_product,
    load_and_multiply,
    open_tile,
    open_tile_to_read,
)
from fastlin.kernels.machine.tiles import number_rows, rows_between
from fastlin.kernels.machine.vectors import copy_rows


@kernel(reassociate=False)
def fill_block_pass(
    block, n_blocks, X, numbers, scaling, parameters, tile_rows, sums, losses, curvature, levels=None, batch=None
):
    """Fill the block's slice of sums, BlockSums, over its part of the rows ``numbers`` (m,), in one pass.

    With Losses these are the derivatives of sum s_i l_i, which the block's place of them takes, by coef and intercept.
    With a Curvature, in the type of coef, they are the Hessian of that times the parameters, a direction: sum u x~_i'
    and sum u for u_k = s_i p_k (t_k - sum_l p_l t_l), t the scores. Numbers without entries are all rows. The sum over
    a tile of ``tile_rows`` rows is made in the type of coef, beyond that in float64. Levels add their coefficients to
    the scores, and take the block's sums by level. With a Batch coef holds the rows of its problems, over all rows.
    """
    compile_small()
    X = X[0]
    coef, intercept = parameters
    intercept_sums = sums.intercept[block]
    n_rows = numbers.shape[0] if numbers.shape[0] > 0 else X.shape[0]
    first, last = block * n_rows // n_blocks, (block + 1) * n_rows // n_blocks
    rows, n_rows = rows_between(numbers, first, last), last - first
    # What a problem of a Batch comes to has the same bits with any number of others.
    tile = open_tile(coef, scaling, tile_rows, batch is None)
    coef_sums = zeros_aligned(tile.coef.shape, np.float64)
    intercept_sums[:] = 0
    if levels is not None:
        of_levels = open_levels(levels, block, tile_rows)
    if batch is not None:
        buffers = open_logistic_buffer(tile_rows, tile.scores)
        batch.values[:, block] = 0
    loss = 0.0
    for start in range(0, n_rows, tile_rows):
        stop = start + tile_rows if start + tile_rows < n_rows else n_rows
        own = rows[start:stop]
        load_and_multiply(X, rows, start, stop, intercept, tile)
        if levels is not None:
            add_level_scores(levels, own, of_levels, tile.scores)
        if losses is not None:
            loss += convert_scores_to_residuals(tile.scores, own, losses.samples, losses.kept, first + start)
        if curvature is not None:
            convert_products_to_slopes(tile.scores, stop - start, curvature, first + start)
        if batch is not None:
            convert_scores_of_batch(tile.scores, stop - start, batch, batch.n_classes, block, first + start, buffers)
        for k in range(intercept.shape[0]):
            intercept_sums[k] += add_up(tile.scores[k, : stop - start])
        add_product(tile.rows, stop - start, tile.scores, coef_sums, tile.ahead)
        if levels is not None:
            add_to_levels(tile.scores, stop - start, of_levels)
    if losses is not None:
        losses.values[block] = loss
    copy_rows(coef_sums, sums.coef[block])


@kernel(reassociate=False)
def fill_block_scores(block, n_blocks, X, parameters, tile_rows, scores, best, levels=None):
    """Fill scores[i] = coef x_i + intercept for the rows i of the block, and best[i] with the class of the largest.

    Either of scores (n, K) and best (n,), int64, may have no rows; it is not filled then. Of equal scores the first
    class is best, and for K = 1 it is 1 where the score is above 0, else 0. For the classes no more than the scores of
    a tile are held. Levels add their coefficients.
    """
    X = X[0]
    coef = parameters.coef
    rows = number_rows(block * X.shape[0] // n_blocks, (block + 1) * X.shape[0] // n_blocks)
    n_rows = rows.shape[0]
    tile = open_tile_to_read(X, coef, tile_rows)
    of_tile = tile.scores
    largest = zeros_aligned(tile_rows, coef.dtype)
    if levels is not None:
        of_levels = open_levels(levels, block, tile_rows)
    for start in range(0, n_rows, tile_rows):
        stop = start + tile_rows if start + tile_rows < n_rows else n_rows
        load_and_multiply(X, rows, start, stop, parameters.intercept, tile, True)
        if levels is not None:
            add_level_scores(levels, rows[start:stop], of_levels, of_tile)
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
    """Fill scores and best as `fill_block_scores`, for a small X (n, d) in C order and coef's type; compiles faster."""
    kind = coef.dtype.type
    for i in range(X.shape[0]):
        row, largest, found, score = X[i], kind(0), 0, kind(0)
        for k in range(coef.shape[0]):
            factors, score = coef[k], kind(0)
            for j in range(row.shape[0]):
                score += row[j] * factors[j]
            score += intercept[k]
            if scores.shape[0] > 0:
                scores[i, k] = score
            is_best = (score > largest) | (k == 0)
            found, largest = k if is_best else found, score if is_best else largest
        if best.shape[0] > 0:
            best[i] = found if coef.shape[0] > 1 else np.int64(score > 0)


@kernel
def fill_block_rows(block, n_blocks, X, rows, gathered):
    """Fill gathered (m, d) with X[rows_i], converted, for the block's part of rows (m,); X comes from `any_layout`."""
    X = X[0]
    for i in range(block * rows.shape[0] // n_blocks, (block + 1) * rows.shape[0] // n_blocks):
        if X.strides[1] == X.itemsize:
            source, target = dense_row(X, rows[i]), gathered[i]
            for j in range(target.shape[0]):
                target[j] = source[j]
        else:
            for j in range(X.shape[1]):
                gathered[i, j] = X[rows[i], j]
