"""Influence of rows, compared with statsmodels, explicit Newton steps, exact refits, and other formats."""

import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises
from scipy.special import softmax

import fastlin.inference.influence as module
from fastlin import FirthLogisticRegression, LogisticRegression

from .conftest import infer, list_input_formats, make_rows

pytestmark = pytest.mark.usefixtures("force_sparse_kernels")
thorough = partial(pytest.param, marks=pytest.mark.thorough)
NAMES = (
    "leverage",
    "pearson_residuals",
    "deviance_residuals",
    "cooks_distance",
    "dfbetas",
    "leave_one_out_probabilities",
)


def assert_equal_influence(result, expected, rtol=1e-8, names=NAMES):
    for name in names:
        np.testing.assert_allclose(getattr(result, name), getattr(expected, name), rtol=rtol, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("covariance", ["model", thorough("HC0")])
def test_two_classes_match_statsmodels(covariance):
    statsmodels = pytest.importorskip("statsmodels.api")
    X, y = make_rows(2, 150)
    offset = np.random.default_rng(1).normal(size=150)
    glm = statsmodels.GLM(y, statsmodels.add_constant(X, prepend=False), statsmodels.families.Binomial(), offset=offset)
    options = {} if covariance == "model" else {"cov_type": covariance}
    expected = glm.fit(tol=1e-15, maxiter=100, tol_criterion="params", **options)
    influence = expected.get_influence()
    result = infer(X, y, offset=offset, covariance=covariance).influence()
    np.testing.assert_allclose(result.leverage, influence.hat_matrix_diag, rtol=1e-8)
    np.testing.assert_allclose(result.pearson_residuals, expected.resid_pearson, rtol=1e-8)
    np.testing.assert_allclose(result.deviance_residuals, expected.resid_deviance, rtol=1e-8)
    np.testing.assert_allclose(result.cooks_distance, influence.cooks_distance[0], rtol=1e-8)
    np.testing.assert_allclose(result.dfbetas[:, 0], influence.dfbetas, rtol=1e-6, atol=1e-12)


def compute_naive_influence(result, X, targets, weights, offset, penalty):
    """Return the arrays of an Influence, from the explicit Hessian of the scores of all classes except the first.

    The `penalty` is the curvature of the objective for each coefficient of each class, without the intercepts. `result`
    has the first class as the reference.
    """
    rows, K = np.column_stack([X, np.ones(len(X))]), targets.shape[1]
    coef = np.vstack([np.zeros(rows.shape[1]), result.coef])
    P = softmax(rows @ coef.T + offset, axis=1)
    jacobians = [np.kron(np.eye(K)[:, 1:], row) for row in rows]
    blocks = [weight * (np.diag(p) - np.outer(p, p)) for weight, p in zip(weights, P, strict=True)]
    # A penalty on the coefficients of all classes is minimized over the coefficients that are added to all classes.
    between = np.eye(K - 1) - 1 / K
    total_penalty = np.kron(between, np.diag([*np.full(X.shape[1], penalty), 0.0]))
    H = sum(J.T @ W @ J for J, W in zip(jacobians, blocks, strict=True)) + total_penalty
    values = {name: [] for name in NAMES}
    for i, (J, W) in enumerate(zip(jacobians, blocks, strict=True)):
        eigenvalues, vectors = np.linalg.eigh(W)
        root = vectors * np.sqrt(np.maximum(eigenvalues, 0)) @ vectors.T
        values["leverage"].append(np.trace(root @ J @ np.linalg.solve(H, J.T @ root)))
        residuals = targets[i] - P[i]
        variance = (np.diag(P[i]) - np.outer(P[i], P[i]))[1:, 1:]
        pearson = np.sqrt(residuals[1:] @ np.linalg.solve(variance, residuals[1:]))
        with np.errstate(divide="ignore", invalid="ignore"):
            divergence = np.nansum(targets[i] * np.log(targets[i] / P[i]))
        sign = np.sign(residuals[1]) if K == 2 else 1
        values["pearson_residuals"].append(sign * pearson)
        values["deviance_residuals"].append(sign * np.sqrt(2 * divergence))
        # The gradient of the other rows at the estimates is the negative gradient of this row.
        change = np.linalg.solve(H - J.T @ W @ J, weights[i] * J.T @ residuals)
        values["dfbetas"].append((change / result.std_errors.ravel()).reshape(result.coef.shape))
        values["cooks_distance"].append(change @ H @ change)
        values["leave_one_out_probabilities"].append(softmax(np.log(P[i]) - J @ change))
    values["cooks_distance"] = np.array(values["cooks_distance"]) / (result.df_model + K - 1)
    return type("Naive", (), {name: np.array(value) for name, value in values.items()})


@pytest.mark.parametrize(
    ("n_classes", "C", "kind"),
    [
        (2, np.inf, "frequency"),
        (3, np.inf, "frequency"),
        thorough(4, np.inf, "sampling"),
        (3, 0.2, "frequency"),
        thorough(2, 0.2, "frequency"),
        (3, np.inf, "soft"),
        thorough(2, np.inf, "soft"),
    ],
)
def test_influence_matches_newton_steps_with_explicit_hessians(monkeypatch, n_classes, C, kind):
    monkeypatch.setattr(module, "BYTES_PER_BATCH", 20_000)
    X, y = make_rows(n_classes, 90)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    generator = np.random.default_rng(1)
    offset = 0.5 * generator.normal(size=(90, n_classes))
    offset[:, 0] = 0
    targets, labels, weights, options = np.eye(n_classes)[y], y, np.ones(90), {}
    if kind == "soft":
        labels = targets = 0.3 / n_classes + 0.7 * targets
        options = {"covariance": "HC0"}
    else:
        weights = generator.integers(0, 4, 90).astype(float)
    if kind == "sampling":
        options = {"covariance": "HC1", "weight_type": "sampling"}
    if np.isfinite(C):
        options["penalized"] = "sandwich"
    result = infer(X, labels, weights, offset[:, 1] if n_classes == 2 else offset, {"C": C}, **options)
    influence = result.influence()
    # The penalty is 1 / C per squared coefficient; with two classes, the coefficient is a difference.
    penalty = 0.0 if C == np.inf else (2 if n_classes == 2 else 1) / C
    expected = compute_naive_influence(result, X, targets, weights, offset, penalty)
    if kind == "sampling":
        # Sampling weights are scaled to a mean of one over the rows of positive weight.
        expected.cooks_distance *= np.count_nonzero(weights) / weights.sum()
    assert_equal_influence(influence, expected, rtol=1e-6)
    assert influence.leverage.sum() == pytest.approx(result.df_model + n_classes - 1)
    # Rows of weight zero have residuals, but no influence.
    without = weights == 0
    assert not influence.dfbetas[without].any()
    assert not influence.cooks_distance[without].any()


def measure_one_step_errors(n_classes, seed):
    """Return, for each row of a small sample, the largest of its exact dfbetas, and the errors of two approximations.

    The errors are the largest errors of dfbetas and of leave-one-out probabilities.
    """
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(40, 3))
    X[0] *= 4
    scores = X @ generator.normal(size=(3, n_classes)) * 0.5 + generator.gumbel(size=(40, n_classes))
    y = scores.argmax(axis=1)
    result, rows = infer(X, y), []
    influence = result.influence()
    for i in range(40):
        refit = infer(X, y, (np.arange(40) != i).astype(float))
        dfbetas = (result.coef - refit.coef) / result.std_errors
        probabilities = refit.predict(X[[i]]).probabilities[0]
        errors = influence.dfbetas[i] - dfbetas, influence.leave_one_out_probabilities[i] - probabilities
        rows.append([np.abs(values).max() for values in (dfbetas, *errors)])
    return rows


def test_errors_of_one_newton_step_compared_with_exact_refits():
    """The documentation of `Influence` states these errors."""
    samples = [measure_one_step_errors(n_classes, seed) for n_classes in (2, 3) for seed in range(6)]
    sizes, errors, probability_errors = np.concatenate(samples).T
    # The error of a Newton step is of second order in the change.
    assert (errors <= 0.01 + 1.2 * sizes**2).all()
    is_small, is_large = sizes < 0.5, sizes > 1
    assert np.median((errors / sizes)[is_small]) < 0.035
    assert 0.2 < np.median((errors / sizes)[is_large]) < 0.4
    assert probability_errors.max() < 0.03


def test_influence_does_not_depend_on_the_reference_or_the_format(monkeypatch):
    monkeypatch.setattr(module, "BYTES_PER_BATCH", 20_000)
    X, y = make_rows(3, d=4)
    X[:, 0] = np.maximum(X[:, 0], 0)
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(X, y)
    expected, *others = (model.inference(*form).influence() for form in list_input_formats(X, y))
    for other in others:
        assert_equal_influence(other, expected)
    without_dfbetas = [name for name in NAMES if name != "dfbetas"]
    for reference in (2, "symmetric"):
        result = model.inference(X, y, reference=reference)
        influence = result.influence()
        assert_equal_influence(influence, expected, names=without_dfbetas)
        assert influence.classes.tolist() == result.classes.tolist()
    # Row 0 of `changes` is the difference from the mean of the classes, as in the symmetric coefficients.
    changes = expected.dfbetas * model.inference(X, y).std_errors
    np.testing.assert_allclose(-changes.mean(axis=1) * 2 / 3, (influence.dfbetas * result.std_errors)[:, 0], atol=1e-10)
    selected = model.inference(X, y, features=["x3", "x1"]).influence()
    np.testing.assert_allclose(selected.dfbetas, expected.dfbetas[..., [3, 1]], rtol=1e-8)
    assert_equal_influence(selected, expected, names=without_dfbetas)
    assert selected.names.tolist() == ["x3", "x1"]


def test_tables_match_dummy_variables():
    generator = np.random.default_rng(0)
    table = pd.DataFrame({"kind": generator.choice(["p", "q", "r"], 200), "size": generator.normal(size=200)})
    y = (table["size"] + (table["kind"] == "q") + generator.logistic(size=200) > 0).to_numpy()
    encoded = pd.get_dummies(table, dtype=float)[["kind_q", "kind_r", "size"]]
    result = infer(table, y, parameters={"categorical_features": ["kind"]}).influence()
    assert_equal_influence(result, infer(encoded, y).influence(), rtol=1e-7)


def test_a_row_that_is_necessary_for_the_estimates_has_nan():
    X, y = make_rows(2, 100)
    # The coefficient of the last column is estimated from one row, whose soft label makes it finite.
    X, targets = np.column_stack([X, np.eye(100)[5]]), np.eye(2)[y]
    targets[5] = 0.4, 0.6
    influence = infer(X, targets, covariance="HC0").influence()
    assert influence.leverage[5] == pytest.approx(1)
    for name in ("cooks_distance", "dfbetas", "leave_one_out_probabilities"):
        is_nan = np.isnan(getattr(influence, name)).reshape(100, -1).any(axis=1)
        assert np.flatnonzero(is_nan).tolist() == [5]
    assert repr(influence) == "<Influence of 100 rows, largest Cook's distance nan (row 5)>"


def test_unavailable_influence_raises_errors(monkeypatch):
    X, y = make_rows(3)
    result = infer(X, y)
    assert_raises("rows are not available", pickle.loads(pickle.dumps(result)).influence, error=RuntimeError)
    firth = FirthLogisticRegression().fit(X, y).inference(X, y)
    assert_raises("not available for Firth's method", firth.influence)
    assert result.std_errors.all()
    monkeypatch.setattr(module, "MAX_PARAMETERS", 11)
    assert_raises("limited to models of 11 parameters, got 12", result.influence)
