"""Kernels over the rows of a table, whose columns are codes of levels or numbers, each an array of its own.

The columns come as addresses, `TableColumns`, so that everything is compiled once, whatever types they have. A tile of
rows is read column by column: numbers as float64 into a small dense matrix, of which the products are those of
dense_rows.py, and codes as rows of a table of levels, which has a column for each class (machine/gather.py). The score
of a row is the product of its numbers and the sum of the rows of its levels.
"""

import numpy as np

from fastlin.kernels.linear.curvature import turn_products_to_slopes
from fastlin.kernels.linear.dense_rows import add_score_rows, block_rows, rows_of_block
from fastlin.kernels.linear.operands import TableTile
from fastlin.kernels.linear.residuals import turn_scores_to_residuals, weight_of
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.gather import add_named, add_to_named
from fastlin.kernels.machine.instructions import compile_apart, compile_small, read_at
from fastlin.kernels.machine.prefetch import empty_list
from fastlin.kernels.machine.products import add_product, load_and_multiply, open_tile
from fastlin.kernels.machine.tiles import follow_each_other, zeros_padded
from fastlin.kernels.machine.vectors import copy_rows

# Rows whose products are summed at a time: their codes, numbers and weights lie in the first-level cache.
GRAM_ROWS = 128


@kernel(reassociate=False)
def fill_block_table_loss_and_gradient(
    block, n_blocks, columns, samples, scaling, parameters, levels, tile_rows, losses, sums, level_sums, kept
):
    """Fill the block's slice of losses (B,), of sums, BlockSums, and of level_sums (B, d + C, columns of a table).

    As `fill_block_loss_and_gradient`, for a table, which has as many rows as there are labels: scaling and parameters
    are those of the columns of numbers, and levels (d + C, columns of a table) has the coefficients of the levels. The
    last C are those of missing values in each of the C columns of codes.
    """
    compile_small()
    rows, first = rows_of_block(block, n_blocks, samples.rows, samples.labels.shape[0])
    n_rows = rows.shape[0]
    dense = open_tile(parameters.coef, scaling, tile_rows)
    gradient = zeros_aligned(dense.coef.shape, np.float64)
    tile = _open_tile(columns, parameters, levels, tile_rows)
    intercept_sums, own_sums = sums.intercept[block], level_sums[block]
    intercept_sums[:] = 0
    own_sums[:] = 0
    loss = 0.0
    for start in range(0, n_rows, tile_rows):
        stop = start + tile_rows if start + tile_rows < n_rows else n_rows
        numbers = rows[start:stop]
        _fill_scores(columns, numbers, dense, parameters.intercept, levels, tile)
        loss += turn_scores_to_residuals(dense.scores, numbers, samples, kept, first + start)
        add_score_rows(dense.scores, stop - start, intercept_sums)
        _add_scores(stop - start, dense, tile, gradient, own_sums)
    losses[block] = loss
    copy_rows(gradient, sums.coef[block])


@kernel(reassociate=False)
def fill_block_table_hessian_product(
    block,
    n_blocks,
    columns,
    rows,
    row_weights,
    probabilities,
    scaling,
    direction,
    levels,
    tile_rows,
    products,
    level_products,
):
    """Fill the block's slice of products, BlockSums, and of level_products (B, d + C, columns of a table).

    As `fill_block_hessian_product`, for a table: the direction has the columns of numbers, levels that of the levels.
    """
    compile_small()
    first, last = block * rows.shape[0] // n_blocks, (block + 1) * rows.shape[0] // n_blocks
    dense = open_tile(direction.coef, scaling, tile_rows)
    sums = zeros_aligned(dense.coef.shape, np.float64)
    tile = _open_tile(columns, direction, levels, tile_rows)
    intercept_products, own_products = products.intercept[block], level_products[block]
    intercept_products[:] = 0
    own_products[:] = 0
    for start in range(first, last, tile_rows):
        stop = start + tile_rows if start + tile_rows < last else last
        _fill_scores(columns, rows[start:stop], dense, direction.intercept, levels, tile)
        turn_products_to_slopes(dense.scores, stop - start, row_weights, probabilities, start)
        add_score_rows(dense.scores, stop - start, intercept_products)
        _add_scores(stop - start, dense, tile, sums, own_products)
    copy_rows(sums, products.coef[block])


@kernel(reassociate=False)
def fill_block_table_scores(block, n_blocks, columns, scaling, parameters, levels, tile_rows, scores):
    """Fill scores[i], of scores (n, K), with the scores of the rows i of the block; the rest is as for the loss."""
    compile_small()
    rows = block_rows(block, n_blocks, scores.shape[0])
    dense = open_tile(parameters.coef, scaling, tile_rows)
    tile = _open_tile(columns, parameters, levels, tile_rows)
    for start in range(0, rows.shape[0], tile_rows):
        stop = start + tile_rows if start + tile_rows < rows.shape[0] else rows.shape[0]
        _fill_scores(columns, rows[start:stop], dense, parameters.intercept, levels, tile)
        for i in range(stop - start):
            for k in range(scores.shape[1]):
                scores[rows[start + i], k] = dense.scores[k, i]


@kernel(reassociate=False)
def fill_block_table_gram(block, n_blocks, columns, rows, row_weights, scaling, number_features, halves, totals):
    """Fill the block's slice of halves (B, d + C, d + C), zeros before, and totals (B, d), over its part of rows (m,).

    halves + halves' = sum over i of row_weights[i] x_i x_i', and totals = sum over i of row_weights[i] x_i, as in
    `fill_block_sparse_gram`: levels as they are, and the columns of numbers, number_features (M,), scaled and shifted.
    row_weights (m,) stand in the order of rows. The last C places are those of missing values.
    """
    compile_small()
    n_columns, nothing = number_features.shape[0], empty_list(np.int64(0))
    half, total = halves[block], totals[block]
    weighted = zeros_padded(GRAM_ROWS, n_columns + 1, np.float64)
    found = zeros_aligned((n_columns, GRAM_ROWS), np.float64)
    codes = zeros_aligned((columns.codes.shape[0], GRAM_ROWS), np.int32)
    number_sums = zeros_aligned((n_columns, weighted.shape[1]), np.float64)
    level_sums = zeros_aligned((half.shape[0], weighted.shape[1]), np.float64)
    last = (block + 1) * rows.shape[0] // n_blocks
    for start in range(block * rows.shape[0] // n_blocks, last, GRAM_ROWS):
        stop = start + GRAM_ROWS if start + GRAM_ROWS < last else last
        numbers, weights = rows[start:stop], row_weights[start:stop]
        follow = follow_each_other(numbers)
        for j in range(n_columns):
            _read_numbers(columns.numbers[j], numbers, follow, found[j])
            for i in range(stop - start):
                found[j, i] = found[j, i] * scaling.scale[j] + scaling.shift[j]
                weighted[i, j] = found[j, i] * weights[i]
        for i in range(stop - start):
            weighted[i, n_columns] = weights[i]
        add_product(weighted, stop - start, found, number_sums, nothing)
        for c in range(codes.shape[0]):
            _read_codes(columns.codes[c], numbers, follow, codes[c])
            add_to_named(weighted, codes[c], stop - start, level_sums)
        _add_pairs(codes, weights, half)
    for f in range(total.shape[0]):
        total[f] = level_sums[f, n_columns]
        half[f, f] = 0.5 * total[f]
        for j in range(n_columns):
            half[f, number_features[j]] = level_sums[f, j]
    for j in range(n_columns):
        total[number_features[j]] = number_sums[j, n_columns]
        for other in range(n_columns):
            half[number_features[j], number_features[other]] = 0.5 * number_sums[j, other]


@kernel(inner=True)
def _add_pairs(codes, weights, half):
    """Add weights[i] to half[codes[c, i], codes[e, i]] for all e < c."""
    compile_apart()
    for i in range(weights.shape[0]):
        for c in range(1, codes.shape[0]):
            line = half[np.uint64(codes[c, i])]
            for other in range(c):
                line[np.uint64(codes[other, i])] += weights[i]


@kernel(inline=True)
def _open_tile(columns, parameters, levels, tile_rows):
    """Return room for a tile of rows."""
    n_columns = parameters.coef.shape[1]
    # Numba then takes the numbers for a part of an array, as X of `any_layout` is, and compiles no product again.
    return TableTile(
        zeros_aligned((tile_rows, n_columns + 1), np.float64)[:, :n_columns],
        zeros_aligned((columns.codes.shape[0], tile_rows), np.int32),
        np.arange(tile_rows),
        zeros_aligned((tile_rows, levels.shape[1]), np.float64),
    )


@kernel(inner=True)
def _fill_scores(columns, numbers, dense, intercept, levels, tile):
    """Read the rows ``numbers`` of the table into tile, and fill the scores of the Tile ``dense``."""
    n_rows, rowwise = numbers.shape[0], tile.rowwise
    follow = follow_each_other(numbers)
    for j in range(columns.numbers.shape[0]):
        _read_numbers(columns.numbers[j], numbers, follow, tile.numbers[:, j])
    load_and_multiply(tile.numbers, tile.places[:n_rows], np.int64(0), n_rows, intercept, dense)
    rowwise[:] = 0
    for c in range(columns.codes.shape[0]):
        _read_codes(columns.codes[c], numbers, follow, tile.codes[c])
        add_named(levels, tile.codes[c], n_rows, rowwise)
    for k in range(dense.scores.shape[0]):
        scores = dense.scores[k]
        for i in range(n_rows):
            scores[i] += rowwise[i, k]


@kernel(inner=True)
def _add_scores(n_rows, dense, tile, sums, level_sums):
    """Add the sums over the tile's rows of the scores times numbers to sums, and times levels to level_sums."""
    add_product(dense.rows, n_rows, dense.scores, sums, dense.ahead)
    rowwise = tile.rowwise
    for k in range(dense.scores.shape[0]):
        scores = dense.scores[k]
        for i in range(n_rows):
            rowwise[i, k] = scores[i]
    for c in range(tile.codes.shape[0]):
        add_to_named(rowwise, tile.codes[c], n_rows, level_sums)


@kernel(inner=True)
def _read_codes(column, numbers, follow, codes):
    """Fill codes[i] with the row of a table of levels that the code of the row numbers[i] names."""
    compile_small()
    if column[2] == 1:
        _read_column(column, numbers, follow, np.int8, codes)
    elif column[2] == 2:
        _read_column(column, numbers, follow, np.int16, codes)
    else:
        _read_column(column, numbers, follow, np.int32, codes)
    _name_rows(codes[: numbers.shape[0]], np.int32(column[3]), np.int32(column[4]))


@kernel(inner=True)
def _name_rows(codes, first, missing):
    compile_apart()
    for i in range(codes.shape[0]):
        codes[i] = first + codes[i] if codes[i] >= 0 else missing


@kernel(inner=True)
def _read_numbers(column, numbers, follow, found):
    """Fill found[i] with the number of the row numbers[i], in float64."""
    compile_small()
    if column[2] == 0:
        _read_column(column, numbers, follow, np.float64, found)
    elif column[2] == 1:
        _read_column(column, numbers, follow, np.float32, found)
    elif column[2] == 2:
        _read_column(column, numbers, follow, np.int64, found)
    elif column[2] == 3:
        _read_column(column, numbers, follow, np.int32, found)
    elif column[2] == 4:
        _read_column(column, numbers, follow, np.int16, found)
    elif column[2] == 5:
        _read_column(column, numbers, follow, np.int8, found)
    else:
        _read_column(column, numbers, follow, np.uint8, found)


@kernel(inner=True)
def _read_column(column, numbers, follow, dtype, found):
    compile_apart()
    stride = column[1]
    if follow:
        start = column[0] + numbers[0] * stride
        for i in range(numbers.shape[0]):
            found[i] = read_at(start + i * stride, dtype)
    else:
        for i in range(numbers.shape[0]):
            found[i] = read_at(column[0] + numbers[i] * stride, dtype)


@kernel
def fill_block_level_weights(block, n_blocks, columns, weights, n_rows, totals):
    """Fill totals[block], of totals (B, d + C), with the weight of each level over the block's rows.

    weights (n,) without entries are ones. The last C are those of missing values which have no level.
    """
    rows = block_rows(block, n_blocks, n_rows)
    own = totals[block]
    own[:] = 0
    codes = np.empty(rows.shape[0], np.int32)
    for c in range(columns.codes.shape[0]):
        _read_codes(columns.codes[c], rows, True, codes)
        for i in range(rows.shape[0]):
            own[codes[i]] += weight_of(weights, rows[i])
