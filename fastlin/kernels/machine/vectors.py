"""Kernels over the solvers' own vectors, whose sums come out the same for any number of BLAS threads."""

from fastlin.kernels.machine.compilation import kernel


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
    return total + lost


@kernel
def fill_block_dots(block, n_blocks, rows, n_rows, weights, vector, products):
    """Fill products[i] = sum of weights_j rows[i, j] vector_j, for the block's part of the first n_rows of rows."""
    for i in range(block * n_rows // n_blocks, (block + 1) * n_rows // n_blocks):
        row, total = rows[i], 0.0
        for j in range(row.shape[0]):
            total += weights[j] * row[j] * vector[j]
        products[i] = total


@kernel
def subtract_changes(steps, changes, inner_products, newest, n_pairs, vector, scales):
    """Take scale_i change_i from vector, from the newest pair to the oldest; scale_i = step_i . vector / product_i.

    This is the first loop of L-BFGS (Nocedal and Wright 2006, algorithm 7.4) over n_pairs pairs of steps (m, p) and
    gradient changes (m, p), kept in a ring whose newest row is ``newest``. inner_products (m,) are those of the pairs;
    scales (m,) takes the scales.
    """
    m = steps.shape[0]
    for i in range(n_pairs):
        row = (newest - i) % m
        scales[row] = dot(steps[row], vector) / inner_products[row]
        for j in range(vector.shape[0]):
            vector[j] -= scales[row] * changes[row, j]


@kernel
def add_steps(steps, changes, inner_products, newest, n_pairs, vector, scales):
    """Add (scale_i - change_i . vector / product_i) step_i to vector, from the oldest pair to the newest.

    This is the second loop of L-BFGS, with the scales of the first; arguments are those of `subtract_changes`.
    """
    m = steps.shape[0]
    for i in range(n_pairs - 1, -1, -1):
        row = (newest - i) % m
        scale = scales[row] - dot(changes[row], vector) / inner_products[row]
        for j in range(vector.shape[0]):
            vector[j] += scale * steps[row, j]
