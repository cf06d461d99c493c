"""Kernels over sparse rows: dense copies of rows, scores, residuals or slopes of the Hessian, sums per column.

X is a `CompressedMatrix` in CSR format with indices in any order. Everything is computed in float64. Tables have one
row per feature or row of the data and one column per class (machine/gather.py). K and labels are as in dense_rows.py.
The scaling x~ = scale x + shift is folded into the table of coefficients (scale) and the intercepts (shift). A pass of
the logistic loss reads X once. In such a pass, empty data mean all ones.
"""

import numpy as np

from fastlin.kernels.linear.residuals import (
    allocate_logistic_buffers,
    convert_consecutive_logistic_scores,
    convert_logistic_scores_of_batch,
    convert_products_to_slopes,
    convert_scores_to_residuals,
    gather_and_convert_logistic_scores,
    sum_values,
)
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.gather import (
    SCATTERED_COLUMNS,
    add_sparse_entries,
    combine_rows,
    dot_sparse_entries,
    scatter_row,
)
from fastlin.kernels.machine.intrinsics import optimize_for_size
from fastlin.kernels.machine.tiles import slice_rows, transpose_tile

# The number of problems of a batch for which a pass reads X once
# (docs/benchmarks/design-choices.md: problems per pass over sparse rows).
PROBLEMS_PER_GROUP = SCATTERED_COLUMNS


@kernel
def fill_block_coefficient_table(block, n_blocks, coef, scaling, table, shifts):
    """Fill table[j, k] with coef[k, j] scale[j], and shifts[block, k] with sum_j coef[k, j] shift[j].

    The columns j are those of the block. `coef` has shape (K, d or more), `table` (d, K or more) and `shifts` (B, K).
    All arrays are float64.
    """
    n_classes, n_features = coef.shape[0], table.shape[0]
    first, last = block * n_features // n_blocks, (block + 1) * n_features // n_blocks
    total = zeros_aligned(n_classes, np.float64)
    for j in range(first, last):
        column, row, scale, shift = coef[:, j], table[j], scaling.scale[j], scaling.shift[j]
        for k in range(column.shape[0]):
            row[k] = column[k] * scale
            total[k] += column[k] * shift
    for k in range(n_classes):
        shifts[block, k] = total[k]


@kernel
def fill_block_row_chunk(block, n_blocks, X, rows, borders, parameters, tile_rows, chunk, sums, losses, curvature):
    """Fill the block's rows of a `RowChunk` with residuals or slopes, and sums[block] (K,) with the sums of them.

    With Losses, the values are the residuals s_i dl_i / dscore_k, and losses.values[block] is sum s_i l_i. With a
    Curvature, the values are s_i p_k (t_k - sum_l p_l t_l), or s_i p (1 - p) t for K = 1, where t are the scores. X is
    a `CompressedMatrix` in CSR format, and parameters.coef is a table. The block's rows are
    rows[borders[block]:borders[block + 1]]; empty ``rows`` means all rows.
    """
    loss = 0.0
    sums[block] = 0
    first, last = borders[block], borders[block + 1]
    row_indices = slice_rows(rows, first, last)
    row_values = zeros_aligned((tile_rows, parameters.coef.shape[1]), np.float64)
    tile = zeros_aligned((parameters.intercept.shape[0], tile_rows), np.float64)
    for start in range(first, last, tile_rows):
        stop = start + tile_rows if start + tile_rows < last else last
        tile_indices = row_indices[start - first : stop - first]
        _fill_tile(X, tile_indices, parameters, row_values, tile)
        if losses is not None:
            loss += convert_scores_to_residuals(tile, tile_indices, losses.samples, losses.probability_output, start)
        if curvature is not None:
            convert_products_to_slopes(tile, stop - start, curvature, start)
        _store_tile(tile, tile_indices, chunk, sums[block])
    if losses is not None:
        losses.values[block] = loss


@kernel(reassociate=False)
def fill_block_logistic_pass(block, n_blocks, X, rows, borders, coef, intercept, tile_rows, sums, losses, curvature):
    """Fill sums[block] (d + 1,) with sum r_i [x_i, 1] over the block's rows.

    The scores are x_i coef + intercept, with coef (d,). With Losses, r_i are the residuals s_i dl_i / dscore, and
    losses.values[block] is sum s_i l_i. With a Curvature, r_i is s_i p_i (1 - p_i) times the score. The block's rows
    are rows[borders[block]:borders[block + 1]]; empty ``rows`` means all rows.
    """
    gradient, loss = sums[block], 0.0
    gradient[:] = 0
    first, last = borders[block], borders[block + 1]
    tile, row_indices = zeros_aligned((1, tile_rows), np.float64), slice_rows(rows, first, last)
    buffers = allocate_logistic_buffers(tile_rows, tile)
    for start in range(first, last, tile_rows):
        stop = start + tile_rows if start + tile_rows < last else last
        tile_indices, scores = row_indices[start - first : stop - first], tile[0, : stop - start]
        _fill_logistic_scores(X, tile_indices, coef, intercept, scores)
        if losses is not None:
            if rows.shape[0] > 0:
                loss += gather_and_convert_logistic_scores(
                    scores, tile_indices, losses.samples, losses.probability_output, start
                )
            else:
                loss += convert_consecutive_logistic_scores(
                    scores, losses.samples, losses.probability_output, start, buffers
                )
        if curvature is not None:
            convert_products_to_slopes(tile, stop - start, curvature, start)
        _add_logistic_rows(X, tile_indices, scores, gradient)
    if losses is not None:
        losses.values[block] = loss


@kernel(inner=True, reassociate=False)
def _fill_logistic_scores(X, row_indices, coef, intercept, scores):
    """Fill scores[i] with the score of row row_indices[i]."""
    data, indices, indptr = X
    for i in range(row_indices.shape[0]):
        first, last = np.int64(indptr[row_indices[i]]), np.int64(indptr[row_indices[i] + 1])
        scores[i] = dot_sparse_entries(data, indices, first, last, coef) + intercept


@kernel(inner=True, reassociate=False)
def _add_logistic_rows(X, row_indices, residuals, sums):
    """Add residuals[i] [x, 1] to `sums` (d + 1,) for all i, where x is the row row_indices[i] of X."""
    data, indices, indptr = X
    total = 0.0
    for i in range(row_indices.shape[0]):
        first, last = np.int64(indptr[row_indices[i]]), np.int64(indptr[row_indices[i] + 1])
        total += residuals[i]
        add_sparse_entries(data, indices, first, last, residuals[i], sums)
    sums[sums.shape[0] - 1] += total


@kernel(reassociate=False)
def fill_block_batch_pass(block, n_blocks, X, borders, tables, intercepts, tile_rows, sums, batch):
    """Fill sums[part, group] with sum r_i [x_i, 1] for a group of problems of a batch.

    `sums` has shape (parts, groups, d + 1, PROBLEMS_PER_GROUP). A block processes one group of problems and the rows
    borders[part] to borders[part + 1] - 1. `tables` (groups, d, PROBLEMS_PER_GROUP) and `intercepts` (groups,
    PROBLEMS_PER_GROUP) are the coefficients. `batch` is a ProblemBatchArrays. The kernel also fills batch.values. The
    data of X are not empty, even if all of them are one.
    """
    optimize_for_size()
    data, indices, indptr = X
    part, group = block // tables.shape[0], block % tables.shape[0]
    gradients, table, first = sums[part, group], tables[group], PROBLEMS_PER_GROUP * group
    n_problems = min(PROBLEMS_PER_GROUP, batch.labels.shape[0] - first)
    gradients[:] = 0
    row_values = zeros_aligned((tile_rows, PROBLEMS_PER_GROUP), np.float64)
    tile = zeros_aligned((PROBLEMS_PER_GROUP, tile_rows), np.float64)
    buffers, total = allocate_logistic_buffers(tile_rows, tile), gradients[gradients.shape[0] - 1]
    batch.values[:, part, first : first + n_problems] = 0
    for start in range(borders[part], borders[part + 1], tile_rows):
        n_rows = tile_rows if start + tile_rows < borders[part + 1] else borders[part + 1] - start
        for i in range(n_rows):
            _multiply_row_by_table(X, start + i, table, row_values, i)
        transpose_tile(row_values, n_rows, PROBLEMS_PER_GROUP, tile)
        _add_to_rows(intercepts[group], n_rows, tile)
        convert_logistic_scores_of_batch(tile[:n_problems], n_rows, batch, first, part, start, buffers)
        for k in range(n_problems):
            total[k] += sum_values(tile[k, :n_rows])
        transpose_tile(tile, PROBLEMS_PER_GROUP, n_rows, row_values)
        for i in range(n_rows):
            first_entry, last_entry = np.int64(indptr[start + i]), np.int64(indptr[start + i + 1])
            scatter_row(data, indices, first_entry, last_entry, row_values, i, gradients)


@kernel(inner=True)
def _add_to_rows(values, n_columns, table):
    """Add values[k] to table[k, i] for i < n_columns."""
    for k in range(values.shape[0]):
        row = table[k, :n_columns]
        for i in range(n_columns):
            row[i] += values[k]


@kernel
def fill_block_sparse_scores(block, n_blocks, X, rows, borders, parameters, scores, best_classes):
    """Fill scores[i] with x_i table + intercept, and best_classes[i] with the class of the largest score.

    Ties and K = 1 are as in `fill_block_scores`. x_i is row rows[i] of X, or row i if `rows` is empty. The indices i
    are borders[block] to borders[block + 1] - 1.
    """
    table, intercept = parameters.coef, parameters.intercept
    sums = zeros_aligned((1, table.shape[1]), np.float64)
    for i in range(borders[block], borders[block + 1]):
        _multiply_row_by_table(X, rows[i] if rows.shape[0] > 0 else i, table, sums, np.int64(0))
        largest, best_class = sums[0, 0] + intercept[0], 0
        if intercept.shape[0] == 1:
            best_class = 1 if largest > 0 else 0
        for k in range(1, intercept.shape[0]):
            if sums[0, k] + intercept[k] > largest:
                largest, best_class = sums[0, k] + intercept[k], k
        if best_classes.shape[0] > 0:
            best_classes[i] = best_class
        for k in range(scores.shape[1] if scores.shape[0] > 0 else 0):
            scores[i, k] = sums[0, k] + intercept[k]


@kernel(inline=True)
def _multiply_row_by_table(X, line, table, sums, i):
    """Fill sums[i] with sum_j x_j table[j] over the entries x_j of a line of X."""
    first, last = np.int64(X.indptr[line]), np.int64(X.indptr[line + 1])
    combine_rows(X.data, X.indices, first, last, table, np.int64(0), sums, i)


@kernel(inner=True)
def _fill_tile(X, row_indices, parameters, row_values, tile):
    """Fill tile[k, i] with the score of row row_indices[i] for class k. The kernel overwrites ``row_values``."""
    for i in range(row_indices.shape[0]):
        _multiply_row_by_table(X, row_indices[i], parameters.coef, row_values, i)
    for k in range(parameters.intercept.shape[0]):
        scores = tile[k]
        for i in range(row_indices.shape[0]):
            scores[i] = row_values[i, k] + parameters.intercept[k]


@kernel(inner=True)
def _store_tile(tile, row_indices, chunk, sums):
    """Write tile[k, i] to the `RowChunk` at row row_indices[i] and class k, and add the sum of tile[k] to sums[k]."""
    for k in range(tile.shape[0]):
        values = tile[k]
        total = 0.0
        for i in range(row_indices.shape[0]):
            total += values[i]
            chunk.table[row_indices[i] - chunk.first, k] = values[i]
        sums[k] += total


@kernel
def fill_block_sparse_rows(block, n_blocks, X, rows, destination_rows):
    """Fill destination_rows[i] (d,) with row rows[i] of X, for the block's slice of `rows` (m,).

    Duplicate entries are summed.

    X is a `CompressedMatrix` in CSR format.
    """
    data, indices, indptr = X
    kind = destination_rows.dtype.type
    for i in range(block * rows.shape[0] // n_blocks, (block + 1) * rows.shape[0] // n_blocks):
        target = destination_rows[i]
        target[:] = 0
        for position in range(indptr[rows[i]], indptr[rows[i] + 1]):
            target[indices[position]] += kind(data[position])


@kernel
def fill_block_column_sums(block, n_blocks, X, borders, sums):
    """Fill sums[block, j] (4,) with statistics of the entries of column j in the block's rows.

    The statistics are the number of entries and their sum, minimum and maximum. The block's rows are borders[block] to
    borders[block + 1] - 1. X is a `CompressedMatrix` in CSR format without duplicates; empty data mean all ones. If a
    column contains NaN, its minimum is NaN.
    """
    data, indices, indptr = X
    columns = sums[block]
    for j in range(columns.shape[0]):
        columns[j, 0], columns[j, 1], columns[j, 2], columns[j, 3] = 0, 0, np.inf, -np.inf
    first, last = np.int64(indptr[borders[block]]), np.int64(indptr[borders[block + 1]])
    for p in range(first, last):
        j, x = np.uint64(indices[np.uint64(p)]), np.float64(data[np.uint64(p)]) if data.shape[0] > 0 else 1.0
        columns[j, 0] += 1
        columns[j, 1] += x
        columns[j, 2] = x if (x < columns[j, 2]) | (x != x) else columns[j, 2]
        columns[j, 3] = x if x > columns[j, 3] else columns[j, 3]


@kernel
def fill_block_column_squares(block, n_blocks, X, borders, means, squares):
    """Fill squares[block, j], (B, d), with sum (x - means[j])^2 over the entries x of column j in the block's rows.

    For the other arguments, see `fill_block_column_sums`.
    """
    data, indices, indptr = X
    columns = squares[block]
    columns[:] = 0
    for p in range(np.int64(indptr[borders[block]]), np.int64(indptr[borders[block + 1]])):
        j = np.uint64(indices[np.uint64(p)])
        difference = (np.float64(data[np.uint64(p)]) if data.shape[0] > 0 else 1.0) - means[j]
        columns[j] += difference * difference
