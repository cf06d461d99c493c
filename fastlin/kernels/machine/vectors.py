"""Kernels over the solvers' own vectors, whose sums come out the same for any number of BLAS threads."""

from fastlin.kernels.machine.compilation import kernel

# The entries of a vector that stay in the first-level cache while those of all rows pass.
COLUMNS_CACHED = 1024


@kernel
def dot(a, b):
    """Return the sum of a_j b_j, float64 (BLAS's ddot splits vectors above 10,000 entries by thread count)."""
    total = 0.0
    for j in range(a.shape[0]):
        total += a[j] * b[j]
    return total


@kernel(reassociate=False)
def compensated_dot(first, a, b):
    """Return first + the sum of a_j b_j, corrected by the rounding errors of the additions (Neumaier 1974)."""
    total, lost = first, 0.0
    for j in range(a.shape[0]):
        product = a[j] * b[j]
        longer = total + product
        lost += (total - longer) + product if abs(total) >= abs(product) else (product - longer) + total
        total = longer
    # The rounding errors of infinite sums are NaN.
    return total + lost if lost == lost else total


@kernel
def fill_block_products(block, n_blocks, rows, n_rows, vector, products):
    """Fill products[block, i] with rows[i] . vector over the block's columns, for the first n_rows of rows."""
    n_columns = vector.shape[0]
    end = (block + 1) * n_columns // n_blocks
    for i in range(n_rows):
        products[block, i] = 0
    for first in range(block * n_columns // n_blocks, end, COLUMNS_CACHED):
        last = first + COLUMNS_CACHED if first + COLUMNS_CACHED < end else end
        v = vector[first:last]
        for i in range(n_rows):
            row, total = rows[i, first:last], 0.0
            for j in range(v.shape[0]):
                total += row[j] * v[j]
            products[block, i] += total


@kernel
def add_block_combination(block, n_blocks, rows, n_rows, factors, vector):
    """Add the sum over the first n_rows of factors[i] rows[i] to vector, in the block's columns."""
    n_columns = vector.shape[0]
    end = (block + 1) * n_columns // n_blocks
    for first in range(block * n_columns // n_blocks, end, COLUMNS_CACHED):
        last = first + COLUMNS_CACHED if first + COLUMNS_CACHED < end else end
        v = vector[first:last]
        for i in range(n_rows):
            row, factor = rows[i, first:last], factors[i]
            for j in range(v.shape[0]):
                v[j] += factor * row[j]


@kernel
def find_first_scales(products, crossed, newest, n_pairs, scales):
    """Fill scales (m,) with those of the first loop of L-BFGS (Nocedal and Wright 2006, algorithm 7.4).

    The loop takes scale_i change_i from the gradient, from the newest pair to the oldest, with scale_i = step_i . what
    is left / step_i . change_i. Here it runs over inner products alone (Byrd, Nocedal and Schnabel 1994): products (m,)
    are those of the steps with the gradient, and crossed[i, l] = step_i . change_l, l = i or newer. The pairs stand in
    a ring whose newest row is ``newest``.
    """
    m = scales.shape[0]
    for i in range(n_pairs):
        row = (newest - i) % m
        left = products[row]
        for other in range(i):
            newer = (newest - other) % m
            left -= scales[newer] * crossed[row, newer]
        scales[row] = left / crossed[row, row]


@kernel
def find_second_scales(products, crossed, newest, n_pairs, scales):
    """Take from scales those of the second loop of L-BFGS, which adds the rest times step_i, from the oldest pair on.

    products (m,) are those of the changes with the result of the first loop times the starting matrix; the other
    arguments are those of `find_first_scales`.
    """
    m = scales.shape[0]
    for i in range(n_pairs - 1, -1, -1):
        row = (newest - i) % m
        added = products[row]
        for other in range(n_pairs - 1, i, -1):
            older = (newest - other) % m
            added += scales[older] * crossed[older, row]
        scales[row] -= added / crossed[row, row]


@kernel(inner=True)
def copy_rows(source, target):
    """Fill target (m, d) with the first columns of source."""
    for i in range(target.shape[0]):
        from_row, to_row = source[i, : target.shape[1]], target[i]
        for j in range(to_row.shape[0]):
            to_row[j] = from_row[j]
