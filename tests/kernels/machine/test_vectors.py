"""The loops of L-BFGS against the matrix they stand for."""

import numpy as np
import pytest

from fastlin.kernels.machine import vectors
from fastlin.kernels.machine.threads import run_blocks


def make_pairs(p, m, n_pairs):
    """Return the last m of n_pairs steps and changes in a ring, their products, the newest row, and all in order."""
    generator = np.random.default_rng(0)
    factor = generator.normal(size=(p, p))
    moves, n_kept = generator.normal(size=(n_pairs, p)), min(m, n_pairs)
    kept = list(zip(moves, moves @ (factor @ factor.T + np.eye(p)), strict=True))
    steps, changes = np.full((2, m, p), np.nan)
    for i, (step, change) in enumerate(kept):
        steps[i % m], changes[i % m] = step, change
    # What is not of a step and a change as old or newer is never read.
    crossed = np.full((m, m), np.nan)
    for i in range(n_kept):
        for j in range(i + 1):
            older, newer = (n_pairs - 1 - i) % m, (n_pairs - 1 - j) % m
            crossed[older, newer] = steps[older] @ changes[newer]
    return (steps, changes, crossed, (n_pairs - 1) % m, n_kept), kept[-m:]


def multiply(start, steps, changes, crossed, newest, n_pairs, vector):
    """Return what the loops of L-BFGS around a starting matrix make of a vector."""
    scales, partials, found = np.full(len(steps), np.nan), np.empty((2, len(steps))), vector.copy()
    run_blocks(vectors.fill_block_products, 2, steps, n_pairs, found, partials)
    vectors.find_first_scales(partials[:, :n_pairs].sum(axis=0), crossed, newest, n_pairs, scales)
    run_blocks(vectors.add_block_combination, 2, changes, n_pairs, -scales[:n_pairs], found)
    found = start @ found
    run_blocks(vectors.fill_block_products, 2, changes, n_pairs, found, partials)
    vectors.find_second_scales(partials[:, :n_pairs].sum(axis=0), crossed, newest, n_pairs, scales)
    run_blocks(vectors.add_block_combination, 2, steps, n_pairs, scales[:n_pairs], found)
    return found


def test_a_dot_product_is_the_sum_of_products_and_a_compensated_one_keeps_what_rounding_takes():
    assert vectors.dot(np.arange(7.0), np.arange(7.0) - 3) == 28
    a, b = np.array([1e16, 1.0, -1e16, 3.0]), np.array([1.0, 1.0, 1.0, 0.5])
    assert vectors.compensated_dot(0.25, a, b) == 2.75
    assert vectors.compensated_dot(-1e16, np.array([1.0, 1e16]), np.ones(2)) == 1.0


@pytest.mark.parametrize("n_columns", [1, 5, vectors.COLUMNS_CACHED, 2 * vectors.COLUMNS_CACHED + 3])
@pytest.mark.parametrize("n_blocks", [1, 3])
def test_products_and_combinations_are_of_the_first_rows(n_columns, n_blocks):
    generator = np.random.default_rng(n_columns)
    rows, vector = generator.normal(size=(4, n_columns)), generator.normal(size=n_columns)
    rows[3] = np.nan
    for kind in (np.float64, np.float32):
        kept = rows.astype(kind)
        partials = np.full((n_blocks, 4), -1.0)
        run_blocks(vectors.fill_block_products, n_blocks, kept, 3, vector, partials)
        np.testing.assert_allclose(partials.sum(axis=0)[:3], kept[:3].astype(float) @ vector, atol=1e-12 * n_columns)
        np.testing.assert_array_equal(partials[:, 3], -1.0)
        combined = vector.copy()
        run_blocks(vectors.add_block_combination, n_blocks, kept, 3, np.array([1.0, -2.0, 0.5, np.nan]), combined)
        expected = vector + np.array([1.0, -2.0, 0.5]) @ kept[:3].astype(float)
        np.testing.assert_allclose(combined, expected, atol=1e-13)


def test_both_loops_around_a_starting_matrix_are_the_bfgs_matrix():
    for n_pairs in (0, 1, 3, 4, 6, 9):
        ring, kept = make_pairs(5, 4, n_pairs)
        generator = np.random.default_rng(n_pairs)
        start = np.diag(generator.uniform(0.5, 2, 5))
        matrix = start.copy()
        for step, change in kept:
            rho = 1 / (step @ change)
            left = np.eye(5) - rho * np.outer(step, change)
            matrix = left @ matrix @ left.T + rho * np.outer(step, step)
        vector = generator.normal(size=5)
        np.testing.assert_allclose(multiply(start, *ring, vector), matrix @ vector, rtol=1e-9, atol=1e-12)
