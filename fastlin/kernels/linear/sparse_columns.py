"""Kernels over sparse columns: gradients, statistics, and Gram matrices of weighted rows.

Columns are the lines of a CSC matrix, `Compressed`, whose row numbers ascend. Blocks divide the columns, so that every
number is summed by one of them. Everything is computed in float64; a column enters as x~ = scale x + shift.
"""

import numpy as np

from fastlin.kernels.linear.residuals import weight_of
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.gather import combine_rows

# Columns whose sums are written together: writing waits for memory, and each column for the one before. The gradient of
# text (56,436 columns, 20 classes) takes 8.2 ms of one thread; written one column at a time it takes 11.3.
COLUMNS_WRITTEN = 64
# Of a difference that leaves less than this part of the total weight rounding leaves few digits. Such a column has
# entries in nearly all rows, so that to add up the weights of the others takes about as long as to read it.
SMALL_REST = 1e-3


@kernel
def fill_block_product(block, n_blocks, X, borders, chunk, chunk_sums, scaling, adds, product):
    """Fill product[k, j] = scale[j] (sum over the chunk's rows i of x_ij table[i - first, k]) + shift[j] chunk_sums[k].

    X is Compressed by columns, and the columns j are those from borders[block] to borders[block + 1]. With the
    residuals in the Chunk and their sums (K,) the product is the gradient by the scaled coefficients. It is added to
    what product (K, d or more) holds where ``adds`` is true.
    """
    indices, table, first_row = X.indices, chunk.table, chunk.first
    last_row = first_row + table.shape[0]
    sums = zeros_aligned((COLUMNS_WRITTEN, table.shape[1]), np.float64)
    for first in range(borders[block], borders[block + 1], COLUMNS_WRITTEN):
        count = COLUMNS_WRITTEN if first + COLUMNS_WRITTEN < borders[block + 1] else borders[block + 1] - first
        for j in range(count):
            begin, end = np.int64(X.indptr[first + j]), np.int64(X.indptr[first + j + 1])
            if begin < end and (indices[begin] < first_row or indices[end - 1] >= last_row):
                begin, end = _find_row(indices, begin, end, first_row), _find_row(indices, begin, end, last_row)
            combine_rows(X.data, indices, begin, end, table, first_row, sums, j)
        for j in range(count):
            scale, shift = scaling.scale[first + j], scaling.shift[first + j]
            column, entries = product[: chunk_sums.shape[0], first + j], sums[j]
            for k in range(column.shape[0]):
                own = scale * entries[k] + shift * chunk_sums[k]
                column[k] = column[k] + own if adds else own


@kernel(inner=True)
def _find_row(indices, begin, end, row):
    """Return the first place from begin on, at most end, whose index is not below row; indices ascend."""
    while begin < end:
        middle = begin + (end - begin) // 2
        if indices[middle] < row:
            begin = middle + 1
        else:
            end = middle
    return begin


@kernel
def fill_block_sparse_statistics(
    block, n_blocks, X, borders, n_rows, weights, total_weight, means, variances, smallest, largest
):
    """Fill the weighted means and variances, and the extremes, of the block's columns: (d,), float64.

    X is Compressed by columns. Entries that are not stored count as zeros, of n_rows rows whose weights (n,) sum to
    total_weight; weights without entries stand for ones. A NaN makes the smallest NaN. A column whose rows of weight
    above zero have one number has this as its mean and no variance.
    """
    data, indices, indptr = X.data, X.indices, X.indptr
    for j in range(borders[block], borders[block + 1]):
        begin, end = np.int64(indptr[j]), np.int64(indptr[j + 1])
        total, weight, low, high = 0.0, 0.0, np.inf, -np.inf
        first, varies = 0.0, False
        if end - begin < n_rows:
            low, high = 0.0, 0.0
        for p in range(begin, end):
            x, s = np.float64(data[p]), weight_of(weights, indices[p])
            first = x if (weight == 0) & (s > 0) else first
            varies |= (s > 0) & (x != first)
            total += s * x
            weight += s
            low = x if (x < low) | (x != x) else low
            high = x if x > high else high
        rest = total_weight - weight
        if weights.shape[0] > 0 and rest < SMALL_REST * total_weight:
            rest = _weigh_others(indices, begin, end, n_rows, weights)
        mean = total / total_weight if varies | (rest > 0) else first
        square = rest * mean * mean
        for p in range(begin, end):
            s = weight_of(weights, indices[p])
            # Without weight even a square that is infinite counts for nothing.
            difference = np.float64(data[p]) - mean if s > 0 else 0.0
            square += s * difference * difference
        means[j], variances[j], smallest[j], largest[j] = mean, square / total_weight, low, high


@kernel(inner=True)
def _weigh_others(indices, begin, end, n_rows, weights):
    """Return the sum of the weights of the rows, of n_rows, that are not among indices[begin:end], which ascend."""
    rest = 0.0
    for i in range(n_rows):
        if begin < end and indices[begin] == i:
            begin += 1
        else:
            rest += weights[i]
    return rest


@kernel(reassociate=False)
def fill_block_sparse_gram(block, n_blocks, X, rows, row_weights, halves, totals):
    """Fill the block's slice of halves (B, d, d) and totals (B, d), float64, over the block's part of rows (m,).

    halves + halves' = sum over i of row_weights[i] x_i x_i', and totals = sum over i of row_weights[i] x_i. X is
    Compressed by rows, and values without entries stand for ones; row_weights (m,) stand in the order of rows.
    """
    data, indices, indptr = X.data, X.indices, X.indptr
    half, total = halves[block], totals[block]
    half[:], total[:] = 0, 0
    n_rows = rows.shape[0]
    for i in range(block * n_rows // n_blocks, (block + 1) * n_rows // n_blocks):
        weight = row_weights[i]
        if weight == 0:
            continue
        begin, end = np.int64(indptr[rows[i]]), np.int64(indptr[rows[i] + 1])
        # Each pair once, in the order of the entries, whichever side of the diagonal that is.
        for p in range(begin, end):
            j, own = np.uint64(indices[np.uint64(p)]), np.float64(data[np.uint64(p)]) if data.shape[0] > 0 else 1.0
            x = weight * own
            total[j] += x
            for q in range(begin, p):
                other = np.float64(data[np.uint64(q)]) if data.shape[0] > 0 else 1.0
                half[j, np.uint64(indices[np.uint64(q)])] += x * other
            half[j, j] += 0.5 * x * own
