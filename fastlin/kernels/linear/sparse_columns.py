"""Kernels over sparse columns, the entries of a CSC matrix: gradients, statistics, and Gram matrices of weighted rows.

Column j has the entries indptr[j] to indptr[j + 1] of data, in the rows that indices name, in ascending order. Blocks
divide the columns, so that every number is summed by one of them. Everything is computed in float64; a column enters
as x~ = x factor + offset.
"""

import numpy as np

from fastlin.kernels.linear.residuals import weight_of
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.gather import combine_rows

# Columns whose sums are written together: writing waits for memory, and each column for the one before. The gradient of
# text (56,436 columns, 20 classes) takes 8.2 ms of one thread, written one column at a time 11.3.
STRIP = 64


@kernel
def fill_block_product(
    block, n_blocks, data, indices, indptr, borders, first_row, last_row, table, table_sums, factors, offsets, adds,
    product,
):  # fmt: skip
    """product[k, j] = factors[j] (sum over the rows i of x_ij table[i - first_row, k]) + offsets[j] table_sums[k].

    For the columns j from borders[block] to borders[block + 1], over the rows from first_row to last_row: with the
    residuals in the table, the gradient by the scaled coefficients. Added to what product (K, d or more) holds where
    adds is true.
    """
    sums = zeros_aligned((STRIP, table.shape[1]), np.float64)
    for first in range(borders[block], borders[block + 1], STRIP):
        count = STRIP if first + STRIP < borders[block + 1] else borders[block + 1] - first
        for j in range(count):
            begin, end = np.int64(indptr[first + j]), np.int64(indptr[first + j + 1])
            if begin < end and (indices[begin] < first_row or indices[end - 1] >= last_row):
                begin, end = _find_row(indices, begin, end, first_row), _find_row(indices, begin, end, last_row)
            combine_rows(data, indices, begin, end, table, first_row, sums, j)
        for j in range(count):
            factor, offset = factors[first + j], offsets[first + j]
            column, entries = product[: table_sums.shape[0], first + j], sums[j]
            if adds:
                for k in range(column.shape[0]):
                    column[k] += factor * entries[k] + offset * table_sums[k]
            else:
                for k in range(column.shape[0]):
                    column[k] = factor * entries[k] + offset * table_sums[k]


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
    block, n_blocks, data, indices, indptr, borders, n_rows, weights, total_weight, means, variances, smallest, largest
):
    """Fill what the block's columns have for mean and variance, weighted by s, and for extremes: (d,), float64.

    Entries that are not stored count as zeros, of n_rows rows whose weights (n,) sum to total_weight; without entries
    weights stand for ones. A NaN makes the smallest NaN.
    """
    for j in range(borders[block], borders[block + 1]):
        begin, end = np.int64(indptr[j]), np.int64(indptr[j + 1])
        total, weight, low, high = 0.0, 0.0, np.inf, -np.inf
        if end - begin < n_rows:
            low, high = 0.0, 0.0
        for p in range(begin, end):
            x, s = np.float64(data[p]), weight_of(weights, indices[p])
            total += s * x
            weight += s
            low = x if (x < low) | (x != x) else low
            high = x if x > high else high
        mean = total / total_weight
        rest = total_weight - weight
        square = (rest if rest > 0 else 0.0) * mean * mean
        for p in range(begin, end):
            difference = np.float64(data[p]) - mean
            square += weight_of(weights, indices[p]) * difference * difference
        means[j], variances[j], smallest[j], largest[j] = mean, square / total_weight, low, high


@kernel(reassociate=False)
def fill_block_sparse_gram(block, n_blocks, data, indices, indptr, rows, row_weights, halves, totals):
    """Fill the block's slice of halves (B, d, d) and totals (B, d), float64, over the block's part of rows (m,).

    halves + halves' = sum over i of row_weights[i] x_i x_i', and totals = sum over i of row_weights[i] x_i. data,
    indices and indptr are those of the CSR matrix, row_weights (m,) stand in the order of rows.
    """
    half, total = halves[block], totals[block]
    for j in range(half.shape[0]):
        total[j] = 0
        line = half[j]
        for h in range(line.shape[0]):
            line[h] = 0
    n_rows = rows.shape[0]
    for i in range(block * n_rows // n_blocks, (block + 1) * n_rows // n_blocks):
        weight = row_weights[i]
        if weight == 0:
            continue
        begin, end = np.int64(indptr[rows[i]]), np.int64(indptr[rows[i] + 1])
        values, columns = data[begin:end], indices[begin:end]
        for p in range(values.shape[0]):
            j, x = columns[p], weight * np.float64(values[p])
            total[j] += x
            line = half[j]
            # Each pair once, in the order of the entries, whichever side of the diagonal that is.
            for q in range(p):
                line[np.uint64(columns[q])] += x * np.float64(values[q])
            line[j] += 0.5 * x * np.float64(values[p])


@kernel
def count_block_disorder(block, n_blocks, indices, indptr, borders, counts):
    """counts[block] = how many indices of the block's rows or columns are below, and how many equal, the one before."""
    falls, repeats = 0, 0
    for i in range(borders[block], borders[block + 1]):
        line = indices[np.int64(indptr[i]) : np.int64(indptr[i + 1])]
        for p in range(1, line.shape[0]):
            falls += line[p] < line[p - 1]
            repeats += line[p] == line[p - 1]
    counts[block, 0], counts[block, 1] = falls, repeats
