"""Rows of an objective: how long they are, and the order in which samples are drawn."""

import numpy as np
import pytest
from conftest import make_problem
from scipy import sparse

from fastlin.objective import Objective, subsets


def make(n, d, kind="dense", **options):
    X, labels, *_ = make_problem(n, d, 3)
    X[: n // 50] *= 30
    X = sparse.csr_array(X) if kind == "sparse" else X
    return Objective.over(X, labels, 3, l2=1e-3, **options), X


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_long_rows_have_more_influence(kind):
    objective, X = make(1000, 40, kind)
    coordinates = objective.coordinates
    rows = X.toarray() if kind == "sparse" else X
    squares = ((rows * coordinates.scale + coordinates.shift) ** 2).sum(axis=1)
    influence = objective.rows.influence
    assert influence.mean() == pytest.approx(1) and influence.min() >= 0.5
    # The mean of four squares of sums with random signs has a relative deviation of sqrt(1/2).
    deviations = (influence - 0.5) / (0.5 * squares / squares.mean()) - 1
    assert abs(deviations.mean()) < 0.2 and deviations.std() < 1.2
    assert influence[:20].min() > np.median(influence)


def test_influence_takes_one_pass_and_belongs_to_the_rows_it_is_of():
    objective, _ = make(1000, 5)
    n_passes = objective.n_passes
    whole = objective.rows.influence
    assert objective.rows.influence is whole and objective.n_passes == n_passes + 1
    # Rows are measured as they are in X, copied or not.
    for numbers in (np.arange(0, 1000, 50), np.arange(0, 1000, 2)):
        part, expected = objective.rows.take(numbers).influence - 0.5, whole[numbers] - 0.5
        np.testing.assert_allclose(part / part.mean(), expected / expected.mean(), rtol=1e-5, atol=1e-6)


def test_rows_of_normal_numbers_are_not_measured():
    X, labels, *_ = make_problem(500, 5, 3)
    objective = Objective.over(X, labels, 3, l2=1e-3)
    assert objective.rows.influence == 1.0 and objective.n_passes == 0


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("numbered", [False, True])
def test_samples_are_the_rows_of_one_order_however_many_are_sorted_together(monkeypatch, weighted, numbered):
    X, labels, *_ = make_problem(300, 2, 5)
    weights = np.random.default_rng(0).integers(0, 2, 300).astype(float) if weighted else None
    numbers = np.arange(0, 300, 2) if numbered else None
    objective = Objective.over(X, labels, 5, weights=weights, numbers=numbers)
    order = np.argsort(labels if numbers is None else labels[numbers], kind="stable")
    order = order if numbers is None else numbers[order]
    order = order if weights is None else order[weights[order] > 0]
    places = (np.arange(20) + np.random.default_rng(0).random(20)) * (len(order) / 20)
    expected = np.sort(order[places.astype(int)])
    for together in (1, 7, 1000):
        monkeypatch.setattr(subsets, "ROWS_TOGETHER", together)
        np.testing.assert_array_equal(objective.sample(20).rows.numbers, expected)


def test_rows_without_weight_have_no_part_in_the_mean():
    X, labels, *_ = make_problem(500, 5, 3)
    X[:10] *= 100
    weights = np.ones(501)
    weights[500] = 0
    expected = Objective.over(X, labels, 3, l2=1e-3).rows.influence
    X, labels = np.vstack([X, np.full(5, 1e150)]), np.append(labels, 0)
    found = Objective.over(X, labels, 3, l2=1e-3, weights=weights).rows.influence
    np.testing.assert_allclose(found[:500], expected, rtol=1e-5)
    assert found[500] == 0.5
