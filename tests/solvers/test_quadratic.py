"""Quadratic models: the least point of each against the model's own optimality conditions and against the other."""

import numpy as np
import pytest
from conftest import make_objective, make_problem
from scipy import sparse

from fastlin.kernels.machine import threads
from fastlin.kernels.machine.threads import limit_threads
from fastlin.matrices import dense
from fastlin.objective import LinearObjective
from fastlin.solvers import quadratic

FACTORS = np.array([1.0, 0.0, 0.5, 9.0, 1.0, 1.0])


def make_start(objective, seed=3):
    """Return the Evaluation at parameters some of which are zero, with the probabilities of that point kept."""
    generator = np.random.default_rng(seed)
    parameters = 0.3 * generator.normal(size=objective.shape)
    parameters[:, :-1][:, generator.uniform(size=objective.shape[1] - 1) < 0.5] = 0
    if not objective.fit_intercept:
        parameters[:, -1] = 0
    return objective.evaluate(parameters)


def violation(objective, evaluation, point):
    """Return how far the model's smallest subgradient at a point is from zero, in its largest entry."""
    step = point - evaluation.parameters
    slopes = evaluation.gradient + (objective.hessian() @ step.ravel()).reshape(step.shape)
    largest = 0.0
    for j, threshold in enumerate(objective.thresholds):
        for rows in [slice(None)] if objective.group_by_class else [[k] for k in range(len(point))]:
            z, slope = point[rows, j], slopes[rows, j]
            if z.any():
                left = np.abs(slope + threshold * z / np.linalg.norm(z)).max()
            else:
                left = max(np.linalg.norm(slope) - threshold, 0)
            largest = max(largest, left)
    return largest


def model_by_columns(objective, evaluation, precision=np.float64):
    working_set = np.ones((objective.shape[0], objective.shape[1] - 1), bool)
    return quadratic.ColumnModel(objective, evaluation, working_set, precision)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("l2", [0.0, 0.05])
def test_both_models_are_least_where_their_subgradient_is_zero(l2, n_classes, grouped, fit_intercept):
    objective, _ = make_objective(
        50, 6, n_classes, l1=0.04, l2=l2, penalty_factors=FACTORS, group_by_class=grouped, fit_intercept=fit_intercept
    )
    evaluation = make_start(objective)
    before = evaluation.parameters.copy()
    assert violation(objective, evaluation, before) > 0.01
    for model in (quadratic.HessianModel(objective, evaluation), model_by_columns(objective, evaluation)):
        point = model.minimize(1e-13)
        assert violation(objective, evaluation, point) < 1e-6
        assert (point == 0).any()
        np.testing.assert_array_equal(evaluation.parameters, before)


@pytest.mark.parametrize("kind", ["float32", "uint8", "int32", "sparse", "sparse and far from zero"])
@pytest.mark.parametrize("rows", ["all", "some", "repeated"])
@pytest.mark.parametrize("weighted", [True, False])
def test_both_models_agree_for_all_data(kind, rows, weighted):
    whole = kind in ("uint8", "int32")
    X, labels, weights, *_ = make_problem(50, 6, 3, np.dtype(kind) if whole else np.float64)
    X = X.astype(kind) if kind == "float32" else X
    if kind.startswith("sparse"):
        X[np.random.default_rng(0).uniform(size=X.shape) < 0.5] = 0
        X[:, 1:3] += 20 if "far" in kind else 0
        X = sparse.csr_array(X)
    rows = {"all": None, "some": np.arange(0, 50, 2), "repeated": np.random.default_rng(0).integers(0, 50, 70)}[rows]
    scale = 100 if whole else 1
    objective = LinearObjective(
        X, labels, 3, weights=weights if weighted else None, l1=0.02 * scale, l2=0.01 * scale, rows=rows
    )
    evaluation = make_start(objective)
    expected = quadratic.HessianModel(objective, evaluation).minimize(1e-14)
    assert violation(objective, evaluation, expected) < 1e-6
    for precision, tolerance in [(np.float64, 1e-5), (np.float32, 2e-3)]:
        found = model_by_columns(objective, evaluation, precision).minimize(1e-14 if tolerance < 1e-4 else 1e-7)
        # Adding a number to all intercepts changes nothing.
        np.testing.assert_allclose(objective.center(found), objective.center(expected), atol=tolerance)
        assert violation(objective, evaluation, found) < tolerance


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_outside_of_the_working_set_nothing_moves(n_classes, grouped):
    objective, _ = make_objective(50, 6, n_classes, l1=0.02, group_by_class=grouped)
    evaluation = make_start(objective)
    working_set = np.ones((objective.shape[0], 6), bool)
    working_set[:, [1, 4]] = False
    if not grouped:
        working_set[0, 2] = False
    point = quadratic.ColumnModel(objective, evaluation, working_set, np.float64).minimize(1e-6)
    np.testing.assert_array_equal(point[:, :-1][~working_set], evaluation.parameters[:, :-1][~working_set])
    assert (point[:, :-1][working_set] != evaluation.parameters[:, :-1][working_set]).any()
    none = quadratic.ColumnModel(objective, evaluation, np.zeros_like(working_set), np.float64).minimize(1e-6)
    np.testing.assert_array_equal(none[:, :-1], evaluation.parameters[:, :-1])
    assert (none[:, -1] != evaluation.parameters[:, -1]).all()


def test_the_panel_of_other_coordinates_is_used_again():
    X, labels, *_ = make_problem(50, 6, 3)
    X = dense.DenseMatrix(X * 10.0 ** np.arange(6))
    strong = LinearObjective(X, labels, 3, l1=0.01, l2=1e4)
    model_by_columns(strong, make_start(strong))
    weak = LinearObjective(X, labels, 3, l1=0.01, l2=1e-3)
    assert (strong.scale != weak.scale).any()
    evaluation = make_start(weak)
    found, expected = (
        model.minimize(1e-14)
        for model in (model_by_columns(weak, evaluation), quadratic.HessianModel(weak, evaluation))
    )
    np.testing.assert_allclose(weak.center(found), weak.center(expected), atol=1e-6)
    assert len(X._transposed) == 1


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [(0.3, [False, True, True, True, False]), (1e-3, [False, True, True, True, False, True, False])],
)
def test_sweeps_end_where_one_of_all_gains_too_little(accuracy, expected):
    gains, kinds = iter([8.0, 1.0, 0.5, 1e-9, 0.25, 1e-9, 1e-9]), []

    def visit(only_active):
        kinds.append(only_active)
        return next(gains)

    assert quadratic.descend(visit, accuracy) == pytest.approx(9.75)
    assert kinds == expected


def test_sweeps_without_end_are_cut():
    kinds = []
    quadratic.descend(lambda only_active: kinds.append(only_active) or 1.0, 1e-12)
    assert quadratic.MAX_SWEEPS <= len(kinds) <= quadratic.MAX_SWEEPS + quadratic.ACTIVE_SWEEPS + 1
    assert kinds.count(True) == pytest.approx(
        len(kinds) * quadratic.ACTIVE_SWEEPS / (1 + quadratic.ACTIVE_SWEEPS), abs=11
    )


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_the_bits_do_not_depend_on_threads(monkeypatch, kind):
    monkeypatch.setattr(threads, "MIN_BLOCK_WORK", 50_000)
    X, labels, *_ = make_problem(1000, 80, 4)
    if kind == "sparse":
        X[np.random.default_rng(0).uniform(size=X.shape) < 0.5] = 0
        X = sparse.csr_array(X)
    objective = LinearObjective(X, labels, 4, l1=0.02)
    points = []
    for n_threads in (1, 2, 3):
        with limit_threads(n_threads):
            evaluation = make_start(objective)
            points.append(model_by_columns(objective, evaluation).minimize(1e-2))
    np.testing.assert_array_equal(points[1], points[0])
    np.testing.assert_array_equal(points[2], points[0])
