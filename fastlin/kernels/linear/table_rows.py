"""Kernels for the categorical columns of a table, which contain the codes of categories.

The columns are passed as addresses, `CategoricalColumns.columns`, so that each kernel is compiled only once for all
types of codes. The codes of a tile of rows are read column by column. They are converted to row indices of a table of
categories, which has one column per class (machine/gather.py). The score of a row is the sum of the table rows of its
categories, plus the score of its numeric columns.
"""

import numpy as np

from fastlin.kernels.linear.operands import CategoricalTile
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.gather import add_rows
from fastlin.kernels.machine.intrinsics import optimize_for_size, prevent_inlining, read_address
from fastlin.kernels.machine.tiles import are_consecutive, load_tile, pad_scaling, zeros_padded

# The number of rows per step of a Gram matrix. The codes, numbers and weights of these rows fit into the L1 cache.
GRAM_ROWS = 128


@kernel(inline=True)
def allocate_categorical_tile(categorical, block, tile_rows):
    """Return a CategoricalTile for a block, and set the sums of the block to zero."""
    sums = categorical.sums[block]
    sums[:] = 0
    return CategoricalTile(
        zeros_aligned((categorical.columns.shape[0], tile_rows), np.int32),
        zeros_aligned((tile_rows, categorical.table.shape[1]), np.float64),
        sums,
    )


@kernel(inner=True)
def add_category_scores(categorical, row_indices, tile, scores):
    """Read the codes of ``row_indices`` into a CategoricalTile, and add the coefficients of the categories to `scores`.

    `scores` has shape (K, tile rows).
    """
    n_rows, row_values = row_indices.shape[0], tile.row_values
    is_consecutive = are_consecutive(row_indices)
    row_values[:] = 0
    for c in range(categorical.columns.shape[0]):
        _read_codes(categorical.columns[c], row_indices, is_consecutive, tile.codes[c])
        add_rows(categorical.table, tile.codes[c], n_rows, row_values, True)
    for k in range(scores.shape[0]):
        s = scores[k]
        for i in range(n_rows):
            s[i] += row_values[i, k]


@kernel(inner=True)
def add_category_sums(scores, n_rows, tile):
    """Add `scores` (K, tile rows), the values of a CategoricalTile's rows, to the sums of the rows' categories."""
    row_values = tile.row_values
    for k in range(scores.shape[0]):
        s = scores[k]
        for i in range(n_rows):
            row_values[i, k] = s[i]
    for c in range(tile.codes.shape[0]):
        add_rows(row_values, tile.codes[c], n_rows, tile.sums, False)


@kernel(reassociate=False)
def fill_block_categorical_gram(block, n_blocks, columns, X, rows, row_weights, scaling, cross_sums, pairs):
    """Fill the block's slices of `cross_sums` and `pairs` over the block's slice of `rows` (m,).

    `cross_sums` has shape (B, d + C, M + 1), and `pairs` has shape (B, d + C, d + C). cross_sums[block] are the sums
    per category of s_i [x~_i, 1], where x~_i are the M scaled and shifted numeric columns of row i. pairs[block], zero
    on entry, are the sums of s_i over the rows that have both categories of a pair. Each pair of categories is stored
    in one order only. `row_weights` s (m,) are in the order of `rows`. The last C rows and columns belong to missing
    values.
    """
    optimize_for_size()
    X = X[0]
    n_numeric_columns, block_pair_sums, block_cross_sums = X.shape[1], pairs[block], cross_sums[block]
    weighted_rows = zeros_padded(np.int64(GRAM_ROWS), n_numeric_columns + 1, pairs.dtype)
    padded_scaling = pad_scaling(scaling, weighted_rows)
    padded_scaling.shift[n_numeric_columns] = 1
    codes = zeros_aligned((columns.shape[0], GRAM_ROWS), np.int32)
    sums = zeros_aligned((block_pair_sums.shape[0], weighted_rows.shape[1]), np.float64)
    last = (block + 1) * rows.shape[0] // n_blocks
    for start in range(block * rows.shape[0] // n_blocks, last, GRAM_ROWS):
        stop = start + GRAM_ROWS if start + GRAM_ROWS < last else last
        row_indices, weights = rows[start:stop], row_weights[start:stop]
        load_tile(X, row_indices, padded_scaling, weighted_rows)
        for i in range(stop - start):
            for j in range(n_numeric_columns + 1):
                weighted_rows[i, j] *= weights[i]
        is_consecutive = are_consecutive(row_indices)
        for c in range(codes.shape[0]):
            _read_codes(columns[c], row_indices, is_consecutive, codes[c])
            add_rows(weighted_rows, codes[c], stop - start, sums, False)
        _add_category_pairs(codes, weights, block_pair_sums)
    for f in range(block_cross_sums.shape[0]):
        for j in range(n_numeric_columns + 1):
            block_cross_sums[f, j] = sums[f, j]


@kernel(inner=True)
def _add_category_pairs(codes, weights, pairs):
    """Add weights[i] to each pair of categories of row i. Each pair is stored once, above or below the diagonal."""
    prevent_inlining()
    for i in range(weights.shape[0]):
        for c in range(codes.shape[0]):
            pair_row = pairs[np.uint64(codes[c, i])]
            for other in range(c):
                pair_row[np.uint64(codes[other, i])] += weights[i]


@kernel(inner=True)
def _read_codes(column, row_indices, is_consecutive, codes):
    """Fill codes[i] with the code of row row_indices[i], converted to a row index in a table of categories."""
    optimize_for_size()
    if column[2] == 1:
        _read_column(column, row_indices, is_consecutive, np.int8, codes)
    elif column[2] == 2:
        _read_column(column, row_indices, is_consecutive, np.int16, codes)
    else:
        _read_column(column, row_indices, is_consecutive, np.int32, codes)


@kernel(inner=True)
def _read_column(column, row_indices, is_consecutive, dtype, codes):
    prevent_inlining()
    stride, first, missing_index = column[1], np.int32(column[3]), np.int32(column[4])
    start = column[0] + row_indices[0] * stride
    for i in range(row_indices.shape[0]):
        address = start + i * stride if is_consecutive else column[0] + row_indices[i] * stride
        code = np.int32(read_address(address, dtype))
        codes[i] = first + code if code >= 0 else missing_index
