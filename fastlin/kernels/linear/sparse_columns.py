"""Kernels over sparse columns: gradients, statistics, and Gram matrices of weighted rows.

X is a `CompressedMatrix` in CSC format with ascending row indices. Blocks are ranges of columns, so each sum is
computed by one block. Everything is computed in float64. A column x enters the computations as x~ = scale x + shift.
"""

import numpy as np

from fastlin.kernels.linear.residuals import get_weight
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.gather import combine_rows

# The sums of this many columns are written together, because otherwise the latency of a write would delay each column
# (docs/benchmarks/design-choices.md: columns written together).
COLUMNS_PER_WRITE = 64
# If the rows without an entry in a column have less than this fraction of the total weight, their weights are summed.
# The difference between the total weight and the weight of the entries would be inaccurate. Such a column has entries
# in nearly all rows, so the sum takes about as long as reading the column.
MIN_ZERO_ROW_FRACTION = 1e-3


@kernel
def fill_block_chunk_products(block, n_blocks, X, borders, chunk, chunk_sums, scaling, should_accumulate, product):
    """Fill product[k, j] with the product of column j and the values of the chunk for class k.

    The result is scale[j] (sum over the chunk's rows i of x_ij table[i - first, k]) + shift[j] chunk_sums[k]. X is a
    `CompressedMatrix` in CSC format. The columns j are borders[block] to borders[block + 1] - 1. If the `RowChunk`
    contains residuals and `chunk_sums` (K,) are the sums of the residuals, the result is the gradient with respect to
    the scaled coefficients. If ``should_accumulate``, the result is added to `product` (K, d or more).
    """
    indices, table, first_row = X.indices, chunk.table, chunk.first
    last_row = first_row + table.shape[0]
    sums = zeros_aligned((COLUMNS_PER_WRITE, table.shape[1]), np.float64)
    for first in range(borders[block], borders[block + 1], COLUMNS_PER_WRITE):
        count = COLUMNS_PER_WRITE if first + COLUMNS_PER_WRITE < borders[block + 1] else borders[block + 1] - first
        for j in range(count):
            begin, end = np.int64(X.indptr[first + j]), np.int64(X.indptr[first + j + 1])
            if begin < end and (indices[begin] < first_row or indices[end - 1] >= last_row):
                begin, end = _find_row(indices, begin, end, first_row), _find_row(indices, begin, end, last_row)
            combine_rows(X.data, indices, begin, end, table, first_row, sums, j)
        for j in range(count):
            scale, shift = scaling.scale[first + j], scaling.shift[first + j]
            column, entries = product[: chunk_sums.shape[0], first + j], sums[j]
            for k in range(column.shape[0]):
                value = scale * entries[k] + shift * chunk_sums[k]
                column[k] = column[k] + value if should_accumulate else value


@kernel(inner=True)
def _find_row(indices, begin, end, row):
    """Return the first position from `begin` whose index is at least `row`, or `end` if there is none.

    Indices are in ascending order.
    """
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
    """Fill the weighted means and variances, minima and maxima of the block's columns.

    All outputs are (d,), float64. X is a `CompressedMatrix` in CSC format with n_rows rows. Entries that are not stored
    are zeros. The sum of the weights (n,) is total_weight; empty weights mean all ones. If a column contains NaN, its
    minimum is NaN. If all rows of positive weight have the same value in a column, the mean is exactly this value, and
    the variance is zero.
    """
    data, indices, indptr = X.data, X.indices, X.indptr
    for j in range(borders[block], borders[block + 1]):
        begin, end = np.int64(indptr[j]), np.int64(indptr[j + 1])
        total, weight, minimum, maximum = 0.0, 0.0, np.inf, -np.inf
        first_value, has_distinct_values = 0.0, False
        if end - begin < n_rows:
            minimum, maximum = 0.0, 0.0
        for p in range(begin, end):
            x, s = np.float64(data[p]), get_weight(weights, indices[p])
            first_value = x if (weight == 0) & (s > 0) else first_value
            has_distinct_values |= (s > 0) & (x != first_value)
            total += s * x
            weight += s
            minimum = x if (x < minimum) | (x != x) else minimum
            maximum = x if x > maximum else maximum
        zero_row_weight = total_weight - weight
        if weights.shape[0] > 0 and zero_row_weight < MIN_ZERO_ROW_FRACTION * total_weight:
            zero_row_weight = _sum_zero_row_weights(indices, begin, end, n_rows, weights)
        mean = total / total_weight if has_distinct_values | (zero_row_weight > 0) else first_value
        square = zero_row_weight * mean * mean
        for p in range(begin, end):
            s = get_weight(weights, indices[p])
            # A row of weight zero contributes nothing, even if the square of its value is infinite.
            difference = np.float64(data[p]) - mean if s > 0 else 0.0
            square += s * difference * difference
        means[j], variances[j], smallest[j], largest[j] = mean, square / total_weight, minimum, maximum


@kernel(inner=True)
def _sum_zero_row_weights(indices, begin, end, n_rows, weights):
    """Return the total weight of the rows 0 to n_rows - 1 that are not in indices[begin:end].

    Indices are in ascending order.
    """
    zero_row_weight = 0.0
    for i in range(n_rows):
        if begin < end and indices[begin] == i:
            begin += 1
        else:
            zero_row_weight += weights[i]
    return zero_row_weight


@kernel(reassociate=False)
def fill_block_sparse_gram(block, n_blocks, X, rows, row_weights, half_grams, totals):
    """Fill the block's slice of `half_grams` and `totals` over the block's slice of `rows` (m,).

    `half_grams` (B, d, d) and `totals` (B, d) are float64. The sum of a half Gram matrix and its transpose is the sum
    over i of row_weights[i] x_i x_i', and totals is the sum over i of row_weights[i] x_i. X is a `CompressedMatrix` in
    CSR format; empty data mean all ones. `row_weights` (m,) are in the order of `rows`.
    """
    data, indices, indptr = X.data, X.indices, X.indptr
    half_gram, total = half_grams[block], totals[block]
    half_gram[:], total[:] = 0, 0
    n_rows = rows.shape[0]
    for i in range(block * n_rows // n_blocks, (block + 1) * n_rows // n_blocks):
        weight = row_weights[i]
        if weight == 0:
            continue
        begin, end = np.int64(indptr[rows[i]]), np.int64(indptr[rows[i] + 1])
        # Each pair of entries is added once, above or below the diagonal, depending on the order of the entries.
        for p in range(begin, end):
            j, value = np.uint64(indices[np.uint64(p)]), np.float64(data[np.uint64(p)]) if data.shape[0] > 0 else 1.0
            x = weight * value
            total[j] += x
            for q in range(begin, p):
                other = np.float64(data[np.uint64(q)]) if data.shape[0] > 0 else 1.0
                half_gram[j, np.uint64(indices[np.uint64(q)])] += x * other
            half_gram[j, j] += 0.5 * x * value
