"""The L-BFGS recursion against the matrix it stands for."""

import numpy as np

from fastlin.kernels.vectors import apply_inverse_hessian, dot


def test_dot():
    a, b = np.arange(7.0), np.arange(7.0) - 3
    assert dot(a, b) == np.sum(a * b)


def test_recursion_is_the_bfgs_matrix():
    generator = np.random.default_rng(0)
    p, m, n_pairs = 5, 4, 6
    factor = generator.normal(size=(p, p))
    hessian = factor @ factor.T + np.eye(p)
    steps, changes, products = np.empty((m, p)), np.empty((m, p)), np.empty(m)
    kept = []
    for i in range(n_pairs):
        step = generator.normal(size=p)
        change = hessian @ step
        steps[i % m], changes[i % m], products[i % m] = step, change, step @ change
        kept.append((step, change))
    newest_step, newest_change = kept[-1]
    matrix = np.eye(p) * (newest_step @ newest_change) / (newest_change @ newest_change)
    for step, change in kept[-m:]:
        rho = 1 / (step @ change)
        left = np.eye(p) - rho * np.outer(step, change)
        matrix = left @ matrix @ left.T + rho * np.outer(step, step)
    vector = generator.normal(size=p)
    found = vector.copy()
    apply_inverse_hessian(steps, changes, products, (n_pairs - 1) % m, m, found)
    np.testing.assert_allclose(found, matrix @ vector, rtol=1e-10)


def test_without_pairs_nothing_changes():
    vector = np.array([1.0, -2.0])
    apply_inverse_hessian(np.empty((3, 2)), np.empty((3, 2)), np.empty(3), -1, 0, vector)
    np.testing.assert_array_equal(vector, [1.0, -2.0])
