"""Kernels over dense rows: converted rows, scores, and the sums of the logistic and the softmax loss.

X (n, d) has any type and strides and is passed as the view from `make_any_layout_view`. A row x enters the computations
as x~ = scale x + shift. All computations are in the type of coef. K = 1 means the logistic loss with labels 0 and 1,
and K >= 3 means the softmax loss with labels 0 to K - 1. A pass computes scores, residuals and gradient of a tile of
rows while the tile is in the L2 cache, so X is read from memory once. If X contains the numeric columns of a table,
``categorical`` are the categorical columns of the table; otherwise ``categorical`` is None.
"""

import numpy as np

from fastlin.kernels.linear.residuals import (
    allocate_logistic_buffers,
    convert_products_to_slopes,
    convert_scores_of_batch,
    convert_scores_to_residuals,
    sum_values,
)
from fastlin.kernels.linear.table_rows import add_category_scores, add_category_sums, allocate_categorical_tile
from fastlin.kernels.machine.arrays import get_contiguous_row, zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.intrinsics import optimize_for_size
from fastlin.kernels.machine.products import (
    add_matrix_product,
    allocate_read_tile,
    allocate_tile,
    load_and_multiply_tile,
)
from fastlin.kernels.machine.tiles import make_row_range, slice_rows
from fastlin.kernels.machine.vectors import copy_rows


@kernel(reassociate=False)
def fill_block_pass(
    block,
    n_blocks,
    X,
    row_indices,
    scaling,
    parameters,
    tile_rows,
    sums,
    losses,
    curvature,
    categorical=None,
    batch=None,
):
    """Fill the block's slice of `sums`, a BlockSums, in one pass over the block's slice of the rows.

    The rows are ``row_indices`` (m,), or all rows if ``row_indices`` is empty. With Losses, the sums are the gradient
    of losses.values[block] = sum s_i l_i with respect to coef and intercept. With a Curvature in the type of coef, the
    parameters are a direction, and the sums are the product of the Hessian and this direction: sum u x~_i' and sum u,
    with u_k = s_i p_k (t_k - sum_l p_l t_l) for the scores t. With a ProblemBatchArrays, coef contains the coefficients
    of all problems, and the sums are over all rows. Sums over a tile of ``tile_rows`` rows are in the type of coef, and
    all other sums are float64. If ``categorical`` is not None, their coefficients contribute to the scores, and the
    kernel writes the block's sums per category to categorical.sums.
    """
    optimize_for_size()
    X = X[0]
    coef, intercept = parameters
    intercept_sums = sums.intercept[block]
    n_rows = row_indices.shape[0] if row_indices.shape[0] > 0 else X.shape[0]
    first, last = block * n_rows // n_blocks, (block + 1) * n_rows // n_blocks
    rows, n_rows = slice_rows(row_indices, first, last), last - first
    # The tiles of a ProblemBatchArrays are not transposed, so that the result of a problem is bitwise independent of
    # the other problems.
    tile = allocate_tile(coef, scaling, tile_rows, batch is None)
    coef_sums = zeros_aligned(tile.coef.shape, np.float64)
    intercept_sums[:] = 0
    if categorical is not None:
        categorical_tile = allocate_categorical_tile(categorical, block, tile_rows)
    if batch is not None:
        buffers = allocate_logistic_buffers(tile_rows, tile.scores)
        batch.values[:, block] = 0
    loss = 0.0
    for start in range(0, n_rows, tile_rows):
        stop = start + tile_rows if start + tile_rows < n_rows else n_rows
        tile_indices = rows[start:stop]
        load_and_multiply_tile(X, rows, start, stop, intercept, tile)
        if categorical is not None:
            add_category_scores(categorical, tile_indices, categorical_tile, tile.scores)
        if losses is not None:
            loss += convert_scores_to_residuals(
                tile.scores, tile_indices, losses.samples, losses.probability_output, first + start
            )
        if curvature is not None:
            convert_products_to_slopes(tile.scores, stop - start, curvature, first + start)
        if batch is not None:
            convert_scores_of_batch(tile.scores, stop - start, batch, batch.n_classes, block, first + start, buffers)
        for k in range(intercept.shape[0]):
            intercept_sums[k] += sum_values(tile.scores[k, : stop - start])
        add_matrix_product(tile.rows, stop - start, tile.scores, coef_sums)
        if categorical is not None:
            add_category_sums(tile.scores, stop - start, categorical_tile)
    if losses is not None:
        losses.values[block] = loss
    copy_rows(coef_sums, sums.coef[block])


@kernel(reassociate=False)
def fill_block_scores(block, n_blocks, X, parameters, tile_rows, scores, best_classes, categorical=None):
    """Fill scores[i] with coef x_i + intercept and best_classes[i] with the class of the largest.

    i are the rows of the block.

    `scores` (n, K) or `best_classes` (n,), int64, is not filled if it has no rows. In a tie the first class wins. For K
    = 1, the class is 1 if the score is positive, else 0. If `scores` has no rows, the kernel stores the scores of only
    one tile. If ``categorical`` is not None, their coefficients contribute to the scores.
    """
    X = X[0]
    coef = parameters.coef
    rows = make_row_range(block * X.shape[0] // n_blocks, (block + 1) * X.shape[0] // n_blocks)
    n_rows = rows.shape[0]
    tile = allocate_read_tile(X, coef, tile_rows)
    tile_scores = tile.scores
    largest = zeros_aligned(tile_rows, coef.dtype)
    if categorical is not None:
        categorical_tile = allocate_categorical_tile(categorical, block, tile_rows)
    for start in range(0, n_rows, tile_rows):
        stop = start + tile_rows if start + tile_rows < n_rows else n_rows
        load_and_multiply_tile(X, rows, start, stop, parameters.intercept, tile, True)
        if categorical is not None:
            add_category_scores(categorical, rows[start:stop], categorical_tile, tile_scores)
        if scores.shape[0] > 0:
            for i in range(stop - start):
                for k in range(coef.shape[0]):
                    scores[rows[start + i], k] = tile_scores[k, i]
        if best_classes.shape[0] > 0:
            classes = best_classes[rows[start] : rows[start] + stop - start]
            for i in range(stop - start):
                classes[i] = np.int64(coef.shape[0] == 1 and tile_scores[0, i] > 0)
                largest[i] = tile_scores[0, i]
            for k in range(1, coef.shape[0]):
                s = tile_scores[k]
                for i in range(stop - start):
                    classes[i] = k if s[i] > largest[i] else classes[i]
                    largest[i] = s[i] if s[i] > largest[i] else largest[i]


@kernel
def fill_scores(X, coef, intercept, scores, best_classes):
    """Fill `scores` and `best_classes` like `fill_block_scores`, for X (n, d) in C order and in the type of coef.

    For large X, this kernel is slower than `fill_block_scores`, but it compiles faster.
    """
    kind = coef.dtype.type
    for i in range(X.shape[0]):
        row, largest, best_class, score = X[i], kind(0), 0, kind(0)
        for k in range(coef.shape[0]):
            factors, score = coef[k], kind(0)
            for j in range(row.shape[0]):
                score += row[j] * factors[j]
            score += intercept[k]
            if scores.shape[0] > 0:
                scores[i, k] = score
            is_new_best_class = (score > largest) | (k == 0)
            best_class, largest = k if is_new_best_class else best_class, score if is_new_best_class else largest
        if best_classes.shape[0] > 0:
            best_classes[i] = best_class if coef.shape[0] > 1 else np.int64(score > 0)


@kernel
def fill_block_gathered_rows(block, n_blocks, X, rows, destination_rows):
    """Fill destination_rows[i] with the converted row X[rows[i]], for the block's slice of `rows` (m,).

    X is a view from `make_any_layout_view`.
    """
    X = X[0]
    for i in range(block * rows.shape[0] // n_blocks, (block + 1) * rows.shape[0] // n_blocks):
        if X.strides[1] == X.itemsize:
            source, target = get_contiguous_row(X, rows[i]), destination_rows[i]
            for j in range(target.shape[0]):
                target[j] = source[j]
        else:
            for j in range(X.shape[1]):
                destination_rows[i, j] = X[rows[i], j]
