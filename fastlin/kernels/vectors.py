"""Kernels over the solvers' own vectors, whose sums come out the same for any number of BLAS threads."""

import numpy as np

from fastlin.kernels.compilation import kernel


@kernel
def dot(a, b):
    """Return the sum of a_j b_j, float64 (BLAS's ddot splits vectors above 10,000 entries by thread count)."""
    total = 0.0
    for j in range(a.shape[0]):
        total += a[j] * b[j]
    return total


@kernel
def apply_inverse_hessian(steps, changes, inner_products, newest, n_pairs, vector):
    """Overwrite vector (p,) with H vector, H the L-BFGS approximation of the inverse Hessian.

    Two-loop recursion (Nocedal and Wright 2006, algorithm 7.4) over n_pairs pairs of steps (m, p) and gradient
    changes (m, p), kept in a ring whose newest row is ``newest``; inner_products (m,) holds steps . changes.
    """
    m = steps.shape[0]
    scales = np.empty(n_pairs)
    for i in range(n_pairs):
        row = (newest - i) % m
        scales[i] = dot(steps[row], vector) / inner_products[row]
        for j in range(vector.shape[0]):
            vector[j] -= scales[i] * changes[row, j]
    if n_pairs > 0:
        curvature = inner_products[newest] / dot(changes[newest], changes[newest])
        for j in range(vector.shape[0]):
            vector[j] *= curvature
    for i in range(n_pairs - 1, -1, -1):
        row = (newest - i) % m
        scale = scales[i] - dot(changes[row], vector) / inner_products[row]
        for j in range(vector.shape[0]):
            vector[j] += scale * steps[row, j]
