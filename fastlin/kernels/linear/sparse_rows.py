"""Kernels over sparse rows: scores, losses, residuals and what a Hessian makes of a direction.

Rows are those of a CSR matrix: row i has the entries indptr[i] to indptr[i + 1] of data, of any type, in the columns
that indices name, int32 or int64, in any order. Everything is computed in float64. Tables hold a row for each feature
or row of the data and a column for each class (gather.py); K = 1 is the logistic loss, K >= 3 the softmax, as in
dense.py. A column enters as x~ = x factor + offset without being changed: factors go into the table of coefficients,
offsets into the intercepts.
"""

import numpy as np

from fastlin.kernels.linear.curvature import turn_products_to_slopes
from fastlin.kernels.linear.residuals import turn_scores_to_residuals
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.gather import combine_rows


@kernel
def fill_block_table(block, n_blocks, coef, factors, offsets, table, shifts):
    """table[j, k] = coef[k, j] factors[j]; shifts[block, k] = sum of coef[k, j] offsets[j], over the block's columns j.

    coef (K, d or more), table (d, at least K), shifts (B, K), all float64.
    """
    n_classes, n_features = coef.shape[0], table.shape[0]
    first, last = block * n_features // n_blocks, (block + 1) * n_features // n_blocks
    total = zeros_aligned(n_classes, np.float64)
    for j in range(first, last):
        column, row, factor, offset = coef[:, j], table[j], factors[j], offsets[j]
        for k in range(column.shape[0]):
            row[k] = column[k] * factor
            total[k] += column[k] * offset
    for k in range(n_classes):
        shifts[block, k] = total[k]


@kernel
def fill_block_residuals(
    block, n_blocks, data, indices, indptr, rows, borders, labels, weights, table, intercept, tile_rows, origin,
    residuals, losses, sums, probabilities,
):  # fmt: skip
    """residuals[row - origin, k] = s_i dl_i / dscore_k of the block's rows; losses[block] = sum s_i l_i over them.

    The block's rows stand at borders[block] to borders[block + 1] of the row numbers rows (m,), or of all rows where
    rows is empty. sums[block, k], of sums (B, K), are their sums; probabilities (K, m) takes the probabilities of the
    rows, (K, 0) leaves them out. table (d, columns) as of fill_block_table, intercept (K,).
    """
    loss = 0.0
    for k in range(intercept.shape[0]):
        sums[block, k] = 0
    numbers = np.empty(tile_rows, np.int64)
    rowwise, tile = _empty_tile(table, intercept, tile_rows)
    for start in range(borders[block], borders[block + 1], tile_rows):
        stop = start + tile_rows if start + tile_rows < borders[block + 1] else borders[block + 1]
        _list_numbers(rows, start, stop, numbers)
        _fill_tile(data, indices, indptr, numbers, stop - start, table, intercept, rowwise, tile)
        loss += turn_scores_to_residuals(tile, stop - start, labels, weights, numbers, 0, probabilities, start)
        _store_tile(tile, numbers, stop - start, origin, residuals, sums[block])
    losses[block] = loss


@kernel
def fill_block_slopes(
    block, n_blocks, data, indices, indptr, rows, borders, row_weights, table, intercept, tile_rows, origin, slopes,
    sums, probabilities,
):  # fmt: skip
    """slopes[row - origin, k] = s_i p_k (t_k - sum_l p_l t_l) of the block's rows, for K = 1 s_i p (1 - p) t.

    t are the scores by table and intercept, of a direction; row_weights (m,) and probabilities (K, m) stand in the
    order of rows. Everything else as in fill_block_residuals.
    """
    for k in range(intercept.shape[0]):
        sums[block, k] = 0
    numbers = np.empty(tile_rows, np.int64)
    rowwise, tile = _empty_tile(table, intercept, tile_rows)
    for start in range(borders[block], borders[block + 1], tile_rows):
        stop = start + tile_rows if start + tile_rows < borders[block + 1] else borders[block + 1]
        _list_numbers(rows, start, stop, numbers)
        _fill_tile(data, indices, indptr, numbers, stop - start, table, intercept, rowwise, tile)
        turn_products_to_slopes(tile, stop - start, row_weights, probabilities, start)
        _store_tile(tile, numbers, stop - start, origin, slopes, sums[block])


@kernel
def fill_block_sparse_scores(block, n_blocks, data, indices, indptr, borders, table, intercept, scores):
    """scores[i] = x_i table + intercept for the rows i of the block; scores (n, K) of any float type."""
    sums = zeros_aligned((1, table.shape[1]), np.float64)
    for i in range(borders[block], borders[block + 1]):
        combine_rows(data, indices, np.int64(indptr[i]), np.int64(indptr[i + 1]), table, np.int64(0), sums, np.int64(0))
        for k in range(intercept.shape[0]):
            scores[i, k] = sums[0, k] + intercept[k]


@kernel
def fill_block_sparse_best_class(block, n_blocks, data, indices, indptr, borders, table, intercept, best):
    """best[i] = the class of the largest score of row i, the first of equal ones; K = 1: 1 for a score above 0, else 0.

    best (n,), int64, for the rows i of the block.
    """
    sums = zeros_aligned((1, table.shape[1]), np.float64)
    for i in range(borders[block], borders[block + 1]):
        combine_rows(data, indices, np.int64(indptr[i]), np.int64(indptr[i + 1]), table, np.int64(0), sums, np.int64(0))
        largest, found = sums[0, 0] + intercept[0], 0
        if intercept.shape[0] == 1:
            found = 1 if largest > 0 else 0
        for k in range(1, intercept.shape[0]):
            if sums[0, k] + intercept[k] > largest:
                largest, found = sums[0, k] + intercept[k], k
        best[i] = found


@kernel(inline=True)
def _empty_tile(table, intercept, tile_rows):
    """Return the scores of a tile by rows (tile rows, columns of the table) and by classes (K, tile rows)."""
    rowwise = zeros_aligned((tile_rows, table.shape[1]), np.float64)
    return rowwise, zeros_aligned((intercept.shape[0], tile_rows), np.float64)


@kernel(inner=True)
def _list_numbers(rows, start, stop, numbers):
    """numbers[i] = rows[start + i], or start + i where rows has no entries, up to stop."""
    for i in range(stop - start):
        numbers[i] = rows[start + i] if rows.shape[0] > 0 else start + i


@kernel(inner=True)
def _fill_tile(data, indices, indptr, numbers, n_rows, table, intercept, rowwise, tile):
    """tile[k, i] = the score of class k of the row numbers[i], i < n_rows; rowwise takes them by rows."""
    for i in range(n_rows):
        row = numbers[i]
        combine_rows(data, indices, np.int64(indptr[row]), np.int64(indptr[row + 1]), table, np.int64(0), rowwise, i)
    for k in range(intercept.shape[0]):
        scores = tile[k]
        for i in range(n_rows):
            scores[i] = rowwise[i, k] + intercept[k]


@kernel(inner=True)
def _store_tile(tile, numbers, n_rows, origin, table, sums):
    """table[numbers[i] - origin, k] = tile[k, i] and sums[k] += the sum of tile[k], i < n_rows."""
    for k in range(tile.shape[0]):
        values = tile[k]
        total = 0.0
        for i in range(n_rows):
            total += values[i]
            table[numbers[i] - origin, k] = values[i]
        sums[k] += total
