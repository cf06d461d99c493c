"""The loops of L-BFGS against the matrix they stand for."""

import numpy as np

from fastlin.kernels.machine.threads import run_blocks
from fastlin.kernels.machine.vectors import add_steps, compensated_dot, dot, fill_block_dots, subtract_changes


def make_pairs(p, m, n_pairs, seed=0):
    """Return a ring of the last m of n_pairs steps and changes, inner products, the newest row, and all in order."""
    generator = np.random.default_rng(seed)
    factor = generator.normal(size=(p, p))
    hessian = factor @ factor.T + np.eye(p)
    steps, changes, products = np.full((m, p), np.nan), np.full((m, p), np.nan), np.full(m, np.nan)
    kept = []
    for i in range(n_pairs):
        step = generator.normal(size=p)
        change = hessian @ step
        steps[i % m], changes[i % m], products[i % m] = step, change, step @ change
        kept.append((step, change))
    return (steps, changes, products, (n_pairs - 1) % m, min(m, n_pairs)), kept[-m:]


def test_dot():
    a, b = np.arange(7.0), np.arange(7.0) - 3
    assert dot(a, b) == np.sum(a * b)


def test_a_compensated_dot_keeps_what_rounding_takes():
    a, b = np.array([1e16, 1.0, -1e16, 3.0]), np.array([1.0, 1.0, 1.0, 0.5])
    assert compensated_dot(0.25, a, b) == 2.75
    assert compensated_dot(-1e16, np.array([1.0, 1e16]), np.ones(2)) == 1.0


def test_dots_of_the_first_rows_leave_the_others_alone():
    rows = np.arange(12.0).reshape(4, 3)
    products = np.full(4, -1.0)
    run_blocks(fill_block_dots, 2, rows, 3, np.array([1.0, 5.0, 2.0]), np.array([1.0, 0.0, 1.0]), products)
    np.testing.assert_array_equal(products, [4.0, 13.0, 22.0, -1.0])


def test_both_loops_around_a_starting_matrix_are_the_bfgs_matrix():
    for n_pairs in (1, 3, 4, 6, 9):
        ring, kept = make_pairs(5, 4, n_pairs)
        generator = np.random.default_rng(n_pairs)
        start = np.diag(generator.uniform(0.5, 2, 5))
        matrix = start.copy()
        for step, change in kept:
            rho = 1 / (step @ change)
            left = np.eye(5) - rho * np.outer(step, change)
            matrix = left @ matrix @ left.T + rho * np.outer(step, step)
        vector = generator.normal(size=5)
        found, scales = vector.copy(), np.full(4, np.nan)
        subtract_changes(*ring, found, scales)
        found = start @ found
        add_steps(*ring, found, scales)
        np.testing.assert_allclose(found, matrix @ vector, rtol=1e-9, atol=1e-12)


def test_the_matrix_maps_the_newest_change_to_its_step():
    ring, kept = make_pairs(6, 3, 5)
    step, change = kept[-1]
    found, scales = change.copy(), np.empty(3)
    subtract_changes(*ring, found, scales)
    add_steps(*ring, found, scales)
    np.testing.assert_allclose(found, step, rtol=1e-9, atol=1e-12)


def test_without_pairs_nothing_changes():
    vector = np.array([1.0, -2.0])
    ring = np.empty((3, 2)), np.empty((3, 2)), np.empty(3), -1, 0
    subtract_changes(*ring, vector, np.empty(3))
    add_steps(*ring, vector, np.empty(3))
    np.testing.assert_array_equal(vector, [1.0, -2.0])
