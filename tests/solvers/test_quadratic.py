"""Quadratic models: minimizers satisfy the optimality conditions and agree with each other."""

import numpy as np
import pytest
import reference
from conftest import make_problem, mark_params
from objectives import build_objective, evaluate, make_objective
from scipy import sparse

from fastlin.matrices import dense
from fastlin.solvers import quadratic


def make_start(objective, seed=3):
    """Return a point with probabilities. Some of its random parameters are zero."""
    generator = np.random.default_rng(seed)
    parameters = 0.3 * generator.normal(size=objective.shape)
    parameters[:, :-1][:, generator.uniform(size=objective.shape[1] - 1) < 0.5] = 0
    if not objective.fit_intercept:
        parameters[:, -1] = 0
    return evaluate(objective, parameters)


def violation(start, parameters, curvature_point=None):
    """Return the largest entry of the minimum-norm subgradient of the model around `start`, at the parameters."""
    step, penalty = parameters - start.parameters, start.objective.penalty
    hessian = (curvature_point or start).compute_loss_hessian() + np.diag(np.tile(penalty.curvatures, len(parameters)))
    slopes = start.gradient + (hessian @ step.ravel()).reshape(step.shape)
    return reference.min_norm_subgradient(slopes, parameters, penalty.thresholds, penalty.group_lasso).max()


def make_column_model(start, precision=np.float64):
    working_set = np.ones(start.parameters[:, :-1].shape, bool)
    return quadratic.ColumnModel(start, start, working_set, precision)


@pytest.mark.parametrize(
    "kind",
    ["dense", "sparse", "sparse and far from zero", *mark_params(pytest.mark.thorough, "float32", "uint8", "int32")],
)
def test_both_models_agree_for_all_data(kind):
    for rows, weighted in [("all", True), ("all", False), ("some", True), ("repeated", True)]:
        is_integer = kind in ("uint8", "int32")
        X, labels, weights, *_ = make_problem(50, 6, 3, np.dtype(kind) if is_integer else np.float64)
        X = X.astype(kind) if kind == "float32" else X
        if kind.startswith("sparse"):
            X[np.random.default_rng(0).uniform(size=X.shape) < 0.5] = 0
            X[:, 1:3] += 20 if "far" in kind else 0
            X = sparse.csr_array(X)
        row_indices = {
            "all": None,
            "some": np.arange(0, 50, 2),
            "repeated": np.random.default_rng(0).integers(0, 50, 70),
        }
        size = 100 if is_integer else 1
        options = {"weights": weights if weighted else None, "row_indices": row_indices[rows]}
        objective = build_objective(X, labels, 3, l1=0.02 * size, l2=0.01 * size, **options)
        start = make_start(objective)
        expected = quadratic.HessianModel(start, start).minimize(1e-14)
        assert violation(start, expected) < 1e-6
        for precision, tolerance, n_sweeps in [(np.float64, 1e-5, 0), (np.float64, 1e-5, 1), (np.float32, 2e-3, 1)]:
            model = make_column_model(start, precision)
            model._n_sweeps = n_sweeps
            # The columns contain all rows.
            assert model._curvature.probabilities.shape[1] == 50
            actual = model.minimize(1e-14 if tolerance < 1e-4 else 1e-7)
            # Adding a constant to all intercepts changes nothing.
            np.testing.assert_allclose(objective.center(actual), objective.center(expected), atol=tolerance)
            assert violation(start, actual) < tolerance


def test_newton_steps_solve_one_hot_columns_with_an_intercept():
    categories = np.random.default_rng(0).integers(0, 8, (500, 2))
    X = sparse.csr_array((np.ones(1000), (categories + np.array([0, 8])).ravel(), np.arange(0, 1001, 2)), (500, 16))
    start = make_start(build_objective(X, categories.sum(axis=1) % 2, 2, l1=1e-3))
    models = make_column_model(start), make_column_model(start)
    models[0]._n_sweeps, models[1]._n_sweeps = 10, 0
    newton_violation, sweep_violation = (violation(start, model.minimize(1e-10)) for model in models)
    assert newton_violation < 1e-7 < 1e-6 < sweep_violation


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("part", [0.1, 0.7])
def test_a_model_with_sampled_curvature_has_the_gradient_of_all_rows(kind, part):
    X, labels, weights, *_ = make_problem(300, 4, 3)
    objective = build_objective(sparse.csr_array(X) if kind == "sparse" else X, labels, 3, weights=weights, l1=0.02)
    start = make_start(objective)
    curvature_point = evaluate(objective.sample(int(300 * part)), start.parameters)
    hessian = quadratic.HessianModel(start, curvature_point)
    columns = quadratic.ColumnModel(start, curvature_point, np.ones((3, 4), bool), np.float64)
    # A much smaller sample is copied. Otherwise, rows outside the sample have weight zero.
    assert columns._curvature.probabilities.shape[1] == (30 if part == 0.1 else 300)
    expected, actual = hessian.minimize(1e-13), columns.minimize(1e-13)
    np.testing.assert_allclose(objective.center(actual), objective.center(expected), atol=1e-5)
    assert violation(start, actual, curvature_point) < 1e-6


def test_the_column_panel_is_reused_in_other_coordinates():
    X, labels, *_ = make_problem(50, 6, 3)
    X = dense.DenseMatrix(X * 10.0 ** np.arange(6))
    strong, weak = (build_objective(X, labels, 3, l1=0.01, l2=l2) for l2 in (1e4, 1e-3))
    assert (strong.coordinates.scale != weak.coordinates.scale).any()
    make_column_model(make_start(strong))
    start = make_start(weak)
    models = make_column_model(start), quadratic.HessianModel(start, start)
    actual, expected = (weak.center(model.minimize(1e-14)) for model in models)
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    assert len(X._columnwise_copies) == 1


def test_a_reused_hessian_model_has_the_gradient_of_the_new_point():
    objective, _ = make_objective(60, 6, 3, l1=0.02, l2=0.1)
    first = make_start(objective)
    source = quadratic.HessianModel(first, first)
    second = evaluate(objective.with_penalty(0.3, 0.05), 2 * first.parameters)
    model = quadratic.HessianModel(second, second, source)
    assert model.is_reused and not source.is_reused
    assert violation(second, model.minimize(1e-13), first) < 1e-6


@pytest.mark.parametrize(
    ("accuracy", "gains", "expected"),
    [
        (0.3, [8.0, 1.0, 0.5, 1e-9, 0.25], [False, True, True, True, False]),
        (1e-3, [8.0, 1.0, 0.5, 1e-9, 0.25, 1e-9, 1e-9], [False, True, True, True, False, True, False]),
        # The number of sweeps is limited.
        (1e-12, [1.0] * 110, [False, *[True] * quadratic.N_CHEAP_STEPS] * quadratic.N_CHEAP_STEPS),
    ],
)
def test_sweeps_end_if_a_sweep_over_all_coordinates_gains_too_little(accuracy, gains, expected):
    scripted_gains, kinds = iter(gains), []
    gain = quadratic._alternate_full_and_active_sweeps(
        lambda should_skip_inactive: kinds.append(should_skip_inactive) or next(scripted_gains), accuracy
    )
    assert gain == pytest.approx(sum(gains))
    assert kinds == expected
