"""The comparison of linearised probabilities, against NumPy."""

import numpy as np
import pytest

from fastlin.kernels.linear.divergence import (
    DECIDED,
    DIVERGENCE,
    LARGEST_MOVE,
    N_DECIDED,
    N_LEAVING,
    fill_block_divergences,
)

NO_ROWS = np.empty(0, np.int64)


def compare(before, after, weights, rows=NO_ROWS, n_blocks=3):
    sums, leaving = np.empty((n_blocks, 3)), np.empty(before.shape[1], np.bool_)
    for block in range(n_blocks):
        fill_block_divergences(block, n_blocks, before, after, rows, weights, sums, leaving)
    return sums.sum(axis=0), leaving


def naive(before, after, weights):
    """Return the sum of the divergences in extended precision, and which rows leave."""
    p, q = before.astype(np.longdouble), after.astype(np.longdouble)
    if len(p) == 1:
        p, q = np.concatenate([1 - p, p]), np.concatenate([1 - q, q])
    moves = np.log(q / p)
    linear = p * (1 + moves - (p * moves).sum(axis=0))
    stays = (linear > 0).all(axis=0) & (np.abs(moves) <= LARGEST_MOVE).all(axis=0)
    divergences = (linear * np.log(np.where(linear > 0, linear, 1) / q)).sum(axis=0)
    return np.sum(np.where(stays, weights * divergences, 0)), ~stays & (weights > 0)


@pytest.mark.parametrize("n_classes", [1, 3, 5])
@pytest.mark.parametrize("size", [1e-6, 0.1, 1.0])
def test_divergences_agree_with_naive(n_classes, size):
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(max(n_classes, 2), 700)) * 3
    ends = scores + size * generator.normal(size=scores.shape)
    before, after = (np.exp(s) / np.exp(s).sum(axis=0) for s in (scores, ends))
    before, after = (np.ascontiguousarray(p[-n_classes:]) for p in (before, after))
    weights = generator.uniform(size=700) * (generator.uniform(size=700) < 0.8)
    expected, expected_leaving = naive(before, after, weights)
    sums, leaving = compare(before, after, weights)
    np.testing.assert_array_equal(leaving, expected_leaving)
    assert sums[N_LEAVING] == leaving.sum()
    assert sums[N_DECIDED] == 0
    assert sums[DIVERGENCE] == pytest.approx(float(expected), rel=1e-9, abs=1e-13)
    assert leaving.any() == (size == 1.0)
    rows = generator.permutation(900)[:700]
    spread = np.zeros(900)
    spread[rows] = weights
    np.testing.assert_array_equal(compare(before, after, spread, rows)[0], sums)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_probabilities_without_digits_leave_unless_they_are_certain_at_both_ends():
    tiny = DECIDED / 4
    before = np.array([[1.0, 0.5, 1.0, tiny, 0.0, 0.5, 1 - tiny]])
    after = np.array([[1.0, 1.0, 0.5, 0.0, 0.0, 0.6, 1.0]])
    sums, leaving = compare(before, after, np.empty(0), n_blocks=1)
    np.testing.assert_array_equal(leaving, [False, True, True, False, False, False, False])
    assert sums[N_DECIDED] == 4
    assert 0 < sums[DIVERGENCE] < 1
    # Of three classes a probability that vanishes has no logarithm.
    before, after = np.array([[0.0, 0.5], [0.5, 0.25], [0.5, 0.25]]), np.array([[0.0, 0.5], [0.5, 0.25], [0.5, 0.25]])
    sums, leaving = compare(before, after, np.empty(0), n_blocks=1)
    np.testing.assert_array_equal(leaving, [True, False])
    assert sums[DIVERGENCE] == pytest.approx(0, abs=1e-15)
