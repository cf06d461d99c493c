"""Kernels of the logistic loss over sparse rows: score, residual and gradient of a tile of rows, in one walk over X.

Rows are the lines of a CSR matrix, `Compressed`, whose indices may stand in any order. Values without entries stand for
ones, as one-hot columns have them, and take no memory. A block adds up the gradient of its rows in an array of its own.
Everything is computed in float64. Columns enter as in sparse_rows.py.
"""

import numpy as np

from fastlin.kernels.linear.curvature import turn_products_to_slopes
from fastlin.kernels.linear.residuals import are_plain, gather_logistic, open_logistic_room, turn_logistic_scores
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.gather import add_entries, dot_entries


@kernel(reassociate=False)
def fill_block_logistic_pass(block, n_blocks, X, samples, borders, coef, intercept, tile_rows, losses, sums, kept):
    """Fill sums[block] with sum r_i [x_i, 1], r_i = s_i dl_i / dscore, and losses[block] with sum s_i l_i.

    The scores are x_i coef + intercept, with coef (d,). The block's rows stand at borders[block] to borders[block + 1]
    of the rows of samples; sums are (B, d + 1). What is Kept takes the probabilities of the rows.
    """
    own, loss = _zeros_of(sums, block), 0.0
    tile, numbers = zeros_aligned((1, tile_rows), np.float64), np.empty(tile_rows, np.int64)
    rows, labels, weights = samples.rows, samples.labels, samples.weights
    rooms, no_targets = open_logistic_room(tile_rows, tile), zeros_aligned(0, np.float64)
    is_gathered = (rows.shape[0] > 0) | (not are_plain(samples))
    for start in range(borders[block], borders[block + 1], tile_rows):
        stop = start + tile_rows if start + tile_rows < borders[block + 1] else borders[block + 1]
        tile_numbers = numbers[: stop - start]
        _fill_scores(X, rows, start, tile_numbers, coef, intercept, tile[0])
        scores = tile[0, : stop - start]
        if is_gathered:
            loss += gather_logistic(scores, tile_numbers, samples, kept, start)
        else:
            own_weights = weights[start:stop] if weights.shape[0] > 0 else weights
            loss += turn_logistic_scores(scores, labels[start:stop], no_targets, own_weights, kept, start, *rooms)
        _add_rows(X, tile_numbers, tile[0], own)
    losses[block] = loss


@kernel(reassociate=False)
def fill_block_logistic_product(
    block, n_blocks, X, rows, row_weights, borders, coef, intercept, tile_rows, sums, probabilities
):
    """Fill sums[block] with sum s_i p_i (1 - p_i) t_i [x_i, 1], t the scores of a direction, its coef and intercept.

    row_weights (m,) and probabilities (1, m) stand in the order of rows. Everything else is as in
    fill_block_logistic_pass.
    """
    own = _zeros_of(sums, block)
    tile, numbers = zeros_aligned((1, tile_rows), np.float64), np.empty(tile_rows, np.int64)
    for start in range(borders[block], borders[block + 1], tile_rows):
        stop = start + tile_rows if start + tile_rows < borders[block + 1] else borders[block + 1]
        tile_numbers = numbers[: stop - start]
        _fill_scores(X, rows, start, tile_numbers, coef, intercept, tile[0])
        turn_products_to_slopes(tile, stop - start, row_weights, probabilities, start)
        _add_rows(X, tile_numbers, tile[0], own)


@kernel(inline=True)
def _zeros_of(sums, block):
    """Return sums[block], filled with zeros."""
    own = sums[block]
    for j in range(own.shape[0]):
        own[j] = 0
    return own


@kernel(inner=True, reassociate=False)
def _fill_scores(X, rows, start, numbers, coef, intercept, scores):
    """Fill numbers[i] with rows[start + i], or start + i where rows has no entries, and scores[i] with its score."""
    data, indices, indptr = X
    for i in range(numbers.shape[0]):
        numbers[i] = rows[start + i] if rows.shape[0] > 0 else start + i
        first, last = np.int64(indptr[numbers[i]]), np.int64(indptr[numbers[i] + 1])
        scores[i] = dot_entries(data, indices, first, last, coef) + intercept


@kernel(inner=True, reassociate=False)
def _add_rows(X, numbers, residuals, sums):
    """Add residuals[i] [x, 1], x the row numbers[i], to sums (d + 1,)."""
    data, indices, indptr = X
    total = 0.0
    for i in range(numbers.shape[0]):
        first, last = np.int64(indptr[numbers[i]]), np.int64(indptr[numbers[i] + 1])
        total += residuals[i]
        add_entries(data, indices, first, last, residuals[i], sums)
    sums[sums.shape[0] - 1] += total
