"""Kernels over the categorical columns of a table, whose rows have codes of levels.

The columns come as addresses, `Levels.columns`, so that everything is compiled once, whatever types they have. The
codes of a tile of rows are read column by column, as rows of a table of levels, which has a column for each class
(machine/gather.py). The score of a row is the sum of the rows of its levels and the product of its numbers.
"""

import numpy as np

from fastlin.kernels.linear.operands import LevelTile
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.gather import add_rows
from fastlin.kernels.machine.instructions import compile_apart, compile_small, read_at
from fastlin.kernels.machine.tiles import follow_each_other, load_tile, pad_scaling, zeros_padded

# Rows whose products are summed at a time: their codes, numbers and weights lie in the first-level cache.
GRAM_ROWS = 128


@kernel(inline=True)
def open_levels(levels, block, tile_rows):
    """Return the LevelTile of a block, whose sums become zeros."""
    sums = levels.sums[block]
    sums[:] = 0
    return LevelTile(
        zeros_aligned((levels.columns.shape[0], tile_rows), np.int32),
        zeros_aligned((tile_rows, levels.table.shape[1]), np.float64),
        sums,
    )


@kernel(inner=True)
def add_level_scores(levels, numbers, tile, scores):
    """Read the codes of the rows ``numbers`` into tile, a LevelTile, and add their levels to scores (K, tile rows)."""
    n_rows, rowwise = numbers.shape[0], tile.rowwise
    follow = follow_each_other(numbers)
    rowwise[:] = 0
    for c in range(levels.columns.shape[0]):
        _read_codes(levels.columns[c], numbers, follow, tile.codes[c])
        add_rows(levels.table, tile.codes[c], n_rows, rowwise, True)
    for k in range(scores.shape[0]):
        s = scores[k]
        for i in range(n_rows):
            s[i] += rowwise[i, k]


@kernel(inner=True)
def add_to_levels(scores, n_rows, tile):
    """Add scores (K, tile rows) of the rows of tile, a LevelTile, to the sums of their levels."""
    rowwise = tile.rowwise
    for k in range(scores.shape[0]):
        s = scores[k]
        for i in range(n_rows):
            rowwise[i, k] = s[i]
    for c in range(tile.codes.shape[0]):
        add_rows(rowwise, tile.codes[c], n_rows, tile.sums, False)


@kernel(reassociate=False)
def fill_block_level_gram(block, n_blocks, columns, X, rows, row_weights, scaling, crosses, pairs):
    """Fill the block's slice of crosses (B, d + C, M + 1) and pairs (B, d + C, d + C), over its part of rows (m,).

    crosses[block] takes the sums by level of s_i [x~_i, 1], x~_i the M numbers of a row of X, scaled and shifted, and
    pairs[block], zeros before, those of s_i over the rows that have two levels, for one order of the two. row_weights
    s (m,) stand in the order of rows. The last C places are those of missing values.
    """
    compile_small()
    X = X[0]
    n_numbers, own, cross = X.shape[1], pairs[block], crosses[block]
    weighted = zeros_padded(np.int64(GRAM_ROWS), n_numbers + 1, pairs.dtype)
    padded_scaling = pad_scaling(scaling, weighted)
    padded_scaling.shift[n_numbers] = 1
    codes = zeros_aligned((columns.shape[0], GRAM_ROWS), np.int32)
    sums = zeros_aligned((own.shape[0], weighted.shape[1]), np.float64)
    last = (block + 1) * rows.shape[0] // n_blocks
    for start in range(block * rows.shape[0] // n_blocks, last, GRAM_ROWS):
        stop = start + GRAM_ROWS if start + GRAM_ROWS < last else last
        numbers, weights = rows[start:stop], row_weights[start:stop]
        load_tile(X, numbers, padded_scaling, weighted)
        for i in range(stop - start):
            for j in range(n_numbers + 1):
                weighted[i, j] *= weights[i]
        follow = follow_each_other(numbers)
        for c in range(codes.shape[0]):
            _read_codes(columns[c], numbers, follow, codes[c])
            add_rows(weighted, codes[c], stop - start, sums, False)
        _add_pairs(codes, weights, own)
    for f in range(cross.shape[0]):
        for j in range(n_numbers + 1):
            cross[f, j] = sums[f, j]


@kernel(inner=True)
def _add_pairs(codes, weights, pairs):
    """Add weights[i] to the pairs of levels of row i: each pair once, whichever side of the diagonal that is."""
    compile_apart()
    for i in range(weights.shape[0]):
        for c in range(codes.shape[0]):
            line = pairs[np.uint64(codes[c, i])]
            for other in range(c):
                line[np.uint64(codes[other, i])] += weights[i]


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


@kernel(inner=True)
def _read_column(column, numbers, follow, dtype, codes):
    compile_apart()
    stride, first, missing = column[1], np.int32(column[3]), np.int32(column[4])
    start = column[0] + numbers[0] * stride
    for i in range(numbers.shape[0]):
        address = start + i * stride if follow else column[0] + numbers[i] * stride
        code = np.int32(read_at(address, dtype))
        codes[i] = first + code if code >= 0 else missing
