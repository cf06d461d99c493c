"""Kernels for the vectors of solvers, with results that do not depend on the number of BLAS threads."""

from fastlin.kernels.machine.compilation import kernel

# The number of entries of a vector that stay in the L1 cache while all rows are processed.
COLUMNS_PER_CHUNK = 1024


@kernel
def dot(a, b):
    """Return the sum of a_j b_j in float64, bitwise equal for any number of threads, unlike ddot of BLAS."""
    total = 0.0
    for j in range(a.shape[0]):
        total += a[j] * b[j]
    return total


@kernel(reassociate=False)
def compensated_dot(first, a, b):
    """Return first + sum a_j b_j with compensated summation (Neumaier 1974)."""
    total, compensation = first, 0.0
    for j in range(a.shape[0]):
        product = a[j] * b[j]
        new_total = total + product
        compensation += (total - new_total) + product if abs(total) >= abs(product) else (product - new_total) + total
        total = new_total
    # The rounding error of an infinite sum is NaN.
    return total + compensation if compensation == compensation else total


@kernel
def fill_block_products(block, n_blocks, rows, n_rows, vector, products):
    """Fill products[block, i] with the inner product of rows[i] and `vector` over the block's columns (i < n_rows)."""
    n_columns = vector.shape[0]
    end = (block + 1) * n_columns // n_blocks
    for i in range(n_rows):
        products[block, i] = 0
    for first in range(block * n_columns // n_blocks, end, COLUMNS_PER_CHUNK):
        last = first + COLUMNS_PER_CHUNK if first + COLUMNS_PER_CHUNK < end else end
        v = vector[first:last]
        for i in range(n_rows):
            row, total = rows[i, first:last], 0.0
            for j in range(v.shape[0]):
                total += row[j] * v[j]
            products[block, i] += total


@kernel
def add_block_linear_combination(block, n_blocks, rows, n_rows, factors, vector):
    """Add the sum of factors[i] rows[i] over i < n_rows to the block's columns of `vector`."""
    n_columns = vector.shape[0]
    end = (block + 1) * n_columns // n_blocks
    for first in range(block * n_columns // n_blocks, end, COLUMNS_PER_CHUNK):
        last = first + COLUMNS_PER_CHUNK if first + COLUMNS_PER_CHUNK < end else end
        v = vector[first:last]
        for i in range(n_rows):
            row, factor = rows[i, first:last], factors[i]
            for j in range(v.shape[0]):
                v[j] += factor * row[j]


@kernel
def find_first_loop_scales(products, cross_products, newest, n_pairs, scales):
    """Fill `scales` (m,) with the coefficients of the first loop of L-BFGS (Nocedal and Wright 2006, algorithm 7.4).

    From the newest pair to the oldest, the loop subtracts scale_i change_i from a vector q, which is initially the
    gradient, with scale_i = step_i . q / step_i . change_i. Here the scales are computed from inner products alone
    (Byrd, Nocedal and Schnabel 1994). `products` (m,) are the inner products of the steps and the gradient, and
    cross_products[i, l] = step_i . change_l for l equal to or newer than i. The pairs are stored in a ring buffer, and
    row ``newest`` is the newest pair.
    """
    m = scales.shape[0]
    for i in range(n_pairs):
        row = (newest - i) % m
        difference = products[row]
        for other in range(i):
            newer_pair_row = (newest - other) % m
            difference -= scales[newer_pair_row] * cross_products[row, newer_pair_row]
        scales[row] = difference / cross_products[row, row]


@kernel
def find_second_loop_scales(products, cross_products, newest, n_pairs, scales):
    """Subtract from `scales` the coefficients of the second loop of L-BFGS, from the oldest pair to the newest.

    This loop adds scale_i step_i with the resulting scales. `products` (m,) are the inner products of the changes and
    the result of the first loop, multiplied by the initial inverse Hessian. For the other arguments, see
    `find_first_loop_scales`.
    """
    m = scales.shape[0]
    for i in range(n_pairs - 1, -1, -1):
        row = (newest - i) % m
        scale_correction = products[row]
        for other in range(n_pairs - 1, i, -1):
            older_pair_row = (newest - other) % m
            scale_correction += scales[older_pair_row] * cross_products[older_pair_row, row]
        scales[row] -= scale_correction / cross_products[row, row]


@kernel(inner=True)
def copy_rows(source, target):
    """Copy the first d columns of `source` to `target` (m, d)."""
    for i in range(target.shape[0]):
        source_row, target_row = source[i, : target.shape[1]], target[i]
        for j in range(target_row.shape[0]):
            target_row[j] = source_row[j]
