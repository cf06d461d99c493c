"""The search for the optimum, its certified distance, and the warning about an inaccurate model."""

import warnings

import numpy as np
import pytest
from objectives import build_objective

import fastlin.inference.optimum as module
from fastlin import LogisticRegression
from fastlin.exceptions import InferenceWarning
from fastlin.inference.hessian import InformationMatrix
from fastlin.inference.optimum import find_optimum, make_probability_buffer, take_last_step
from fastlin.objective.rows import Rows

from .conftest import infer, make_rows


def make_objective(n_classes):
    X, y = make_rows(n_classes, n=600, d=4)
    return build_objective(X, y, n_classes)


def minimize(objective):
    """Minimize the objective by plain Newton steps and return the Point at the minimum."""
    point = objective.at(objective.center(objective.start()))
    for _ in range(30):
        step = InformationMatrix(point).direction.step
        point = objective.at(objective.center(point.parameters + step))
    return point


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_optimum_does_not_depend_on_the_kind_of_hessian(monkeypatch, n_classes):
    objective = make_objective(n_classes)
    expected = minimize(objective)
    information = InformationMatrix(expected)
    for n_bytes in (module.PROBABILITY_BATCH_BYTES, 0):
        monkeypatch.setattr(module, "PROBABILITY_BATCH_BYTES", n_bytes)
        start = objective.at(objective.center(objective.start()), out=make_probability_buffer(objective))
        optimum = find_optimum(start, InformationMatrix, 600)
        np.testing.assert_allclose(optimum.point.parameters, expected.parameters, atol=1e-9)
        np.testing.assert_allclose(optimum.curvature.of_loss, information.of_loss, rtol=0, atol=1e-6)
        np.testing.assert_allclose(optimum.curvature.variances, information.variances, rtol=1e-6)
        assert optimum.is_certified
        assert optimum.distance < 1e-6


@pytest.mark.parametrize("n_classes", [2, 3])
def test_certified_distances_bound_the_true_distances(n_classes):
    objective = make_objective(n_classes)
    minimizer = minimize(objective).parameters
    generator = np.random.default_rng(0)
    for size in (1e-2, 1e-4, 1e-8):
        point = objective.at(objective.center(minimizer + size * generator.normal(size=minimizer.shape)))
        information = InformationMatrix(point)
        optimum = take_last_step(point, information, information.direction, 600)
        errors = np.sqrt(information.variances / 600)
        # The standard errors of centered parameters are at most those of the factorized Hessian.
        assert optimum.distance >= (np.abs(point.parameters - minimizer) / errors).max() * (1 - 1e-6)
        assert optimum.is_certified


def test_the_warning_of_an_inaccurate_model_recommends_a_sufficient_tol():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(4000, 5))
    y = (X.sum(axis=1) + generator.logistic(size=4000) > 0).astype(int)
    model = LogisticRegression(C=np.inf, solver="lbfgs", tol=0.02).fit(X, y)
    with pytest.warns(InferenceWarning, match="is too large; fit with tol=[0-9e-]+") as caught:
        result = model.inference(X, y)
    assert [warning.filename for warning in caught] == [__file__]
    exact = LogisticRegression(C=np.inf, tol=1e-13).fit(X, y)
    errors = np.abs(np.append(model.coef_, model.intercept_) - result.coef) / result.std_errors
    assert result.coef_error == pytest.approx(errors.max(), rel=1e-9)
    assert result.coef_error > 0.01
    np.testing.assert_allclose(result.coef[0, :-1], exact.coef_[0], atol=1e-7 * result.std_errors.min())
    tol = float(str(caught[0].message).partition("tol=")[2].partition(" ")[0])
    with warnings.catch_warnings(action="error"):
        accurate_result = infer(X, y, parameters={"tol": tol})
    assert accurate_result.coef_error < 0.01
    # From distant coefficients, such as those of other data, the solvers reach the same optimum.
    model.coef_ = 30 * model.coef_[:, ::-1] - 5
    with pytest.warns(InferenceWarning):
        restored = model.inference(X, y)
    np.testing.assert_allclose(restored.coef, result.coef, atol=1e-6 * result.std_errors.min())


def test_the_hessian_is_computed_once(monkeypatch):
    X, y = make_rows(2, n=4000)
    model, shapes, hessian = LogisticRegression(C=np.inf, tol=1e-13).fit(X, y), [], Rows.hessian
    monkeypatch.setattr(Rows, "hessian", lambda rows, curved: shapes.append(curved.shape) or hessian(rows, curved))
    model.inference(X, y)
    assert shapes.count((1, 4000)) == 1
