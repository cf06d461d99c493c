"""The rows that the sums of an objective run over: weights, class sums, Gram matrices, lengths, passes counted."""

import numpy as np
import pytest
from conftest import evaluate, make_objective, make_problem, marked
from scipy import sparse

from fastlin.objective import Objective, weigh_by_counts


def test_the_gram_of_no_rows_is_zero():
    objective, _ = make_objective(20, 3, 3)
    gram = objective.rows.gram(np.empty(0, np.int64), np.empty((2, 0)), np.float32)
    assert (gram.shape, gram.dtype, objective.n_passes) == ((2, 4, 4), np.float32, 0)
    assert not gram.any()


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_of_rows_and_classes(weighted, named):
    X, labels, weights, *_ = make_problem(40, 3, 3)
    numbers = np.array([5, 5, 1, 30, 30, 30, 2, 9]) if named else np.arange(40)
    given, weights = (weights, weights) if weighted else (None, np.ones(40))
    objective = Objective.over(X, labels, 4, weights=given, numbers=numbers if named else None)
    # Rows count as often as they are named.
    counted = np.bincount(numbers, minlength=40) * weights
    np.testing.assert_array_equal(weigh_by_counts(numbers, given, 40), counted)
    shares = np.bincount(labels, counted, minlength=4)
    np.testing.assert_allclose(objective.class_weights, shares / shares.sum(), rtol=1e-14)
    assert objective.rows.total_weight == pytest.approx(counted.sum(), rel=1e-14)
    assert objective.n_rows == len(numbers)
    found = np.broadcast_to(objective.rows.weights_of(objective.rows.numbers), objective.n_rows)
    np.testing.assert_array_equal(found, weights[numbers])


@pytest.mark.parametrize("dtype", [np.float64, *marked(pytest.mark.thorough, np.float32, np.uint8)])
def test_class_features_are_float64_also_where_the_fit_is_in_float32(dtype):
    for n_classes, weighted in [(2, True), (3, True), (3, False)]:
        X, labels, weights, *_ = make_problem(2000, 5, n_classes, dtype)
        given, weights = (weights, weights) if weighted else (None, np.ones(2000))
        objectives = [Objective.over(X, labels, n_classes, weights=given, l2=0.1) for _ in range(2)]
        for objective, precision in zip(objectives, (np.float32, np.float64), strict=True):
            # Points in float32 leave no features behind; those of a point of zeros in float64 save a pass.
            objective.at(objective.start(), precision).lower_bound()
            n_passes = objective.n_passes
            scaled = X.astype(np.longdouble) * objective.coordinates.scale + objective.coordinates.shift
            shares = np.eye(n_classes)[labels] * (weights / weights.sum(dtype=np.longdouble))[:, None]
            found = objective.rows.class_features()
            assert found.dtype == np.float64
            np.testing.assert_allclose(found, (shares.T @ scaled).astype(float), rtol=1e-13, atol=1e-14)
            assert precision is np.float32 or objective.n_passes == n_passes == 1


def test_passes_are_counted_with_those_of_parts():
    objective, parameters = make_objective(80, 3, 3, l2=0.1)
    point = evaluate(objective, parameters)
    point.hessian_product(parameters)
    point.hessian()
    assert objective.n_passes == 3
    part = objective.sample(20)
    part.at(parameters)
    assert objective.n_passes == part.n_passes == 3.25
    other, _ = make_objective(80, 3, 3, l2=0.1)
    assert other.n_passes == 0


def test_lower_bounds_do_not_depend_on_the_points_before():
    bounds = []
    for is_first in (True, False):
        objective, parameters = make_objective(60, 4, 3, l2=0.1, columns="shifted")
        if not is_first:
            # The sums by class, which all bounds share, then come from this point.
            objective.at(objective.start())
        point = objective.at(parameters)
        bounds.append(point.lower_bound())
    assert abs(bounds[0] - bounds[1]) <= point.dual_rounding


def make_uneven(n, d, kind="dense", **options):
    X, labels, *_ = make_problem(n, d, 3)
    X[: n // 50] *= 30
    X = sparse.csr_array(X) if kind == "sparse" else X
    return Objective.over(X, labels, 3, l2=1e-3, **options), X


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_long_rows_have_more_influence(kind):
    objective, X = make_uneven(1000, 40, kind)
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
    objective, _ = make_uneven(1000, 5)
    n_passes = objective.n_passes
    whole = objective.rows.influence
    assert objective.rows.influence is whole and objective.n_passes == n_passes + 1
    # Rows are measured as they are in X, copied or not.
    for numbers in (np.arange(0, 1000, 50), np.arange(0, 1000, 2)):
        part, expected = objective.rows.take(numbers).influence - 0.5, whole[numbers] - 0.5
        np.testing.assert_allclose(part / part.mean(), expected / expected.mean(), rtol=1e-5, atol=1e-6)
    # Rows of normal numbers are not measured.
    even, _ = make_objective(500, 5, 3, l2=1e-3)
    assert even.rows.influence == 1.0 and even.n_passes == 0


def test_rows_without_weight_have_no_part_in_the_mean():
    X, labels, *_ = make_problem(500, 5, 3)
    X[:10] *= 100
    expected = Objective.over(X, labels, 3, l2=1e-3).rows.influence
    X, labels, weights = np.vstack([X, np.full(5, 1e150)]), np.append(labels, 0), np.append(np.ones(500), 0)
    found = Objective.over(X, labels, 3, l2=1e-3, weights=weights).rows.influence
    np.testing.assert_allclose(found[:500], expected, rtol=1e-5)
    assert found[500] == 0.5
