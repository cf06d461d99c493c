"""Kernels over sparse rows: the rows themselves, scores, residuals or slopes of a Hessian, sums by columns.

Rows are the lines of a CSR matrix, `Compressed`, whose indices may stand in any order. Everything is computed in
float64. Tables hold a row for each feature or row of the data and a column for each class (machine/gather.py); K and
labels are those of dense_rows.py. A column enters as x~ = scale x + shift without being changed: the scale goes into
the table of coefficients, the shift into the intercepts. A pass of the logistic loss walks over X once; values without
entries stand there for ones.
"""

import numpy as np

from fastlin.kernels.linear.residuals import (
    convert_logistic_rows,
    convert_logistic_scores_of_batch,
    convert_products_to_slopes,
    convert_scores_to_residuals,
    gather_logistic,
    open_logistic_buffer,
)
from fastlin.kernels.machine.arrays import CACHE_LINE, zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.gather import add_entries, combine_rows, dot_entries
from fastlin.kernels.machine.instructions import compile_small
from fastlin.kernels.machine.tiles import rows_between

# Problems of a batch that are passed over together: a row of their table is a cache line.
CLASSES_PER_CACHE_LINE = CACHE_LINE // 8


@kernel
def fill_block_table(block, n_blocks, coef, scaling, table, shifts):
    """Fill table[j, k] = coef[k, j] scale[j] and shifts[block, k] = sum of coef[k, j] shift[j].

    j are the block's columns. coef (K, d or more), table (d, at least K), shifts (B, K) and the scaling are float64.
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
def fill_block_chunk(block, n_blocks, X, rows, borders, parameters, tile_rows, chunk, sums, losses, curvature):
    """Fill the block's rows of a Chunk with what a pass sums, and sums[block, k], of sums (B, K), with their sums.

    With Losses these are the residuals s_i dl_i / dscore_k, and the block's place of them takes sum s_i l_i. With a
    Curvature they are s_i p_k (t_k - sum_l p_l t_l), for K = 1 s_i p (1 - p) t, t the scores. X is Compressed by rows,
    parameters are Parameters with a table. The block's rows stand at borders[block] to borders[block + 1] of ``rows``,
    without entries of all rows.
    """
    loss = 0.0
    sums[block] = 0
    first, last = borders[block], borders[block + 1]
    numbers = rows_between(rows, first, last)
    rowwise = zeros_aligned((tile_rows, parameters.coef.shape[1]), np.float64)
    tile = zeros_aligned((parameters.intercept.shape[0], tile_rows), np.float64)
    for start in range(first, last, tile_rows):
        stop = start + tile_rows if start + tile_rows < last else last
        tile_numbers = numbers[start - first : stop - first]
        _fill_tile(X, tile_numbers, parameters, rowwise, tile)
        if losses is not None:
            loss += convert_scores_to_residuals(tile, tile_numbers, losses.samples, losses.kept, start)
        if curvature is not None:
            convert_products_to_slopes(tile, stop - start, curvature, start)
        _store_tile(tile, tile_numbers, chunk, sums[block])
    if losses is not None:
        losses.values[block] = loss


@kernel(reassociate=False)
def fill_block_logistic_pass(block, n_blocks, X, rows, borders, coef, intercept, tile_rows, sums, losses, curvature):
    """Fill sums[block], of sums (B, d + 1), with sum r_i [x_i, 1] over the block's rows.

    The scores are x_i coef + intercept, with coef (d,). With Losses r are the residuals s_i dl_i / dscore, and the
    block's place of them takes sum s_i l_i. With a Curvature they are s_i p_i (1 - p_i) times the score. The block's
    rows stand at borders[block] to borders[block + 1] of ``rows``, without entries of all rows.
    """
    own, loss = sums[block], 0.0
    own[:] = 0
    first, last = borders[block], borders[block + 1]
    tile, numbers = zeros_aligned((1, tile_rows), np.float64), rows_between(rows, first, last)
    buffers = open_logistic_buffer(tile_rows, tile)
    for start in range(first, last, tile_rows):
        stop = start + tile_rows if start + tile_rows < last else last
        tile_numbers, scores = numbers[start - first : stop - first], tile[0, : stop - start]
        _fill_logistic_scores(X, tile_numbers, coef, intercept, scores)
        if losses is not None:
            if rows.shape[0] > 0:
                loss += gather_logistic(scores, tile_numbers, losses.samples, losses.kept, start)
            else:
                loss += convert_logistic_rows(scores, losses.samples, losses.kept, start, buffers)
        if curvature is not None:
            convert_products_to_slopes(tile, stop - start, curvature, start)
        _add_logistic_rows(X, tile_numbers, scores, own)
    if losses is not None:
        losses.values[block] = loss


@kernel(inner=True, reassociate=False)
def _fill_logistic_scores(X, numbers, coef, intercept, scores):
    """Fill scores[i] with the score of the row numbers[i]."""
    data, indices, indptr = X
    for i in range(numbers.shape[0]):
        first, last = np.int64(indptr[numbers[i]]), np.int64(indptr[numbers[i] + 1])
        scores[i] = dot_entries(data, indices, first, last, coef) + intercept


@kernel(inner=True, reassociate=False)
def _add_logistic_rows(X, numbers, residuals, sums):
    """Add residuals[i] [x, 1], x the row numbers[i], to sums (d + 1,)."""
    data, indices, indptr = X
    total = 0.0
    for i in range(numbers.shape[0]):
        first, last = np.int64(indptr[numbers[i]]), np.int64(indptr[numbers[i] + 1])
        total += residuals[i]
        add_entries(data, indices, first, last, residuals[i], sums)
    sums[sums.shape[0] - 1] += total


@kernel(reassociate=False)
def fill_block_batch_pass(block, n_blocks, X, borders, tables, intercepts, tile_rows, sums, batch):
    """Fill sums[part, group] (d + 1, CLASSES_PER_CACHE_LINE) with sum r_i [x_i, 1] of a group of problems of a Batch.

    The block is a group of a part of the rows, those from borders[part] to borders[part + 1]. tables (groups, d,
    CLASSES_PER_CACHE_LINE) and intercepts (groups, CLASSES_PER_CACHE_LINE) hold the coefficients.
    """
    compile_small()
    data, indices, indptr = X
    part, group = block // tables.shape[0], block % tables.shape[0]
    own, table, first = sums[part, group], tables[group], CLASSES_PER_CACHE_LINE * group
    n_problems = min(CLASSES_PER_CACHE_LINE, batch.labels.shape[0] - first)
    own[:] = 0
    rowwise, tile = (
        zeros_aligned((tile_rows, CLASSES_PER_CACHE_LINE), np.float64),
        zeros_aligned((n_problems, tile_rows), np.float64),
    )
    buffers, total = open_logistic_buffer(tile_rows, tile), own[own.shape[0] - 1]
    batch.values[:, part, first : first + n_problems] = 0
    for start in range(borders[part], borders[part + 1], tile_rows):
        n_rows = tile_rows if start + tile_rows < borders[part + 1] else borders[part + 1] - start
        for i in range(n_rows):
            _combine_line(X, start + i, table, rowwise, i)
        for k in range(n_problems):
            for i in range(n_rows):
                tile[k, i] = rowwise[i, k] + intercepts[group, k]
        convert_logistic_scores_of_batch(tile, n_rows, batch, first, part, start, buffers)
        for i in range(n_rows):
            residuals = rowwise[i]
            for k in range(n_problems):
                residuals[k] = tile[k, i]
            for k in range(CLASSES_PER_CACHE_LINE):
                total[k] += residuals[k]
            for p in range(np.int64(indptr[start + i]), np.int64(indptr[start + i + 1])):
                row, x = own[np.uint64(indices[np.uint64(p)])], 1.0
                if data.shape[0] > 0:
                    x = np.float64(data[np.uint64(p)])
                for k in range(CLASSES_PER_CACHE_LINE):
                    row[k] += x * residuals[k]


@kernel
def fill_block_sparse_scores(block, n_blocks, X, rows, borders, parameters, scores, best):
    """Fill scores[i] = x_i table + intercept, and best[i] with the class of the largest, as `fill_block_scores` does.

    x_i is the row rows[i] of X, or the row i where rows has no entries. The block's i are those from borders[block] to
    borders[block + 1].
    """
    table, intercept = parameters.coef, parameters.intercept
    sums = zeros_aligned((1, table.shape[1]), np.float64)
    for i in range(borders[block], borders[block + 1]):
        _combine_line(X, rows[i] if rows.shape[0] > 0 else i, table, sums, np.int64(0))
        largest, found = sums[0, 0] + intercept[0], 0
        if intercept.shape[0] == 1:
            found = 1 if largest > 0 else 0
        for k in range(1, intercept.shape[0]):
            if sums[0, k] + intercept[k] > largest:
                largest, found = sums[0, k] + intercept[k], k
        if best.shape[0] > 0:
            best[i] = found
        for k in range(scores.shape[1] if scores.shape[0] > 0 else 0):
            scores[i, k] = sums[0, k] + intercept[k]


@kernel(inline=True)
def _combine_line(X, line, table, sums, i):
    """Fill sums[i] with the sum of the rows of table that the entries of a line of X name, times the entries."""
    first, last = np.int64(X.indptr[line]), np.int64(X.indptr[line + 1])
    combine_rows(X.data, X.indices, first, last, table, np.int64(0), sums, i)


@kernel(inner=True)
def _fill_tile(X, numbers, parameters, rowwise, tile):
    """Fill tile[k, i] with the score of class k of the row numbers[i]; rowwise takes them by rows."""
    for i in range(numbers.shape[0]):
        _combine_line(X, numbers[i], parameters.coef, rowwise, i)
    for k in range(parameters.intercept.shape[0]):
        scores = tile[k]
        for i in range(numbers.shape[0]):
            scores[i] = rowwise[i, k] + parameters.intercept[k]


@kernel(inner=True)
def _store_tile(tile, numbers, chunk, sums):
    """Write tile[k, i] into the Chunk at the row numbers[i] and class k, and add the sum of tile[k] to sums[k]."""
    for k in range(tile.shape[0]):
        values = tile[k]
        total = 0.0
        for i in range(numbers.shape[0]):
            total += values[i]
            chunk.table[numbers[i] - chunk.first, k] = values[i]
        sums[k] += total


@kernel
def fill_block_sparse_rows(block, n_blocks, X, rows, gathered):
    """Fill gathered (m, d) with the rows rows_i of X, Compressed, for the block's part of rows (m,); add up repeats."""
    data, indices, indptr = X
    kind = gathered.dtype.type
    for i in range(block * rows.shape[0] // n_blocks, (block + 1) * rows.shape[0] // n_blocks):
        target = gathered[i]
        target[:] = 0
        for position in range(indptr[rows[i]], indptr[rows[i] + 1]):
            target[indices[position]] += kind(data[position])


@kernel
def fill_block_row_sums(block, n_blocks, X, borders, sums):
    """Fill sums[block, j], of sums (B, d, 4), with the count, the sum and the extremes of the entries of column j.

    They are those of the rows from borders[block] to borders[block + 1] of X, Compressed, which has no two entries of
    one place; values without entries stand for ones. A NaN makes the smallest NaN.
    """
    data, indices, indptr = X
    own = sums[block]
    for j in range(own.shape[0]):
        own[j, 0], own[j, 1], own[j, 2], own[j, 3] = 0, 0, np.inf, -np.inf
    first, last = np.int64(indptr[borders[block]]), np.int64(indptr[borders[block + 1]])
    for p in range(first, last):
        j, x = np.uint64(indices[np.uint64(p)]), np.float64(data[np.uint64(p)]) if data.shape[0] > 0 else 1.0
        own[j, 0] += 1
        own[j, 1] += x
        own[j, 2] = x if (x < own[j, 2]) | (x != x) else own[j, 2]
        own[j, 3] = x if x > own[j, 3] else own[j, 3]


@kernel
def fill_block_row_squares(block, n_blocks, X, borders, means, squares):
    """Fill squares[block, j] (B, d) with the sum of (x - means[j])^2; all else is as in `fill_block_row_sums`."""
    data, indices, indptr = X
    own = squares[block]
    own[:] = 0
    for p in range(np.int64(indptr[borders[block]]), np.int64(indptr[borders[block + 1]])):
        j = np.uint64(indices[np.uint64(p)])
        difference = (np.float64(data[np.uint64(p)]) if data.shape[0] > 0 else 1.0) - means[j]
        own[j] += difference * difference
