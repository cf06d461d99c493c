"""Standard errors of selected coefficients by conjugate gradients, compared with the inverse of the whole Hessian."""

import numpy as np
import pytest
from conftest import assert_raises
from scipy import sparse

import fastlin.inference.estimation as estimation
import fastlin.inference.hessian as module
from fastlin import LogisticRegression
from fastlin.exceptions import CollinearityError, ConvergenceWarning, SeparationError, SeparationWarning
from fastlin.inference.optimum import MAX_SCORE_CHANGE

from .conftest import make_rows
from .test_existence import make_separating_pair

NAMES, COEF_INDICES = ["x1", "intercept", "x5", "x0"], [1, 6, 5, 0]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_selected_coefficients_match_the_full_covariance(monkeypatch, n_classes):
    X, y = make_rows(n_classes, n=300, d=6)
    weights = np.random.default_rng(1).integers(0, 4, len(X)).astype(float)
    for C, sample_weight, options in (
        (np.inf, None, {}),
        (np.inf, weights, {"covariance": "HC1", "use_t": True}),
        (np.inf, weights + 0.5, {"covariance": "HC0", "weight_type": "sampling"}),
        (np.inf, None, {"reference": "symmetric"}),
        (np.inf, None, {"reference": n_classes - 1}),
        (1.0, None, {"penalized": "laplace"}),
        (1.0, weights, {"penalized": "sandwich"}),
        (1.0, None, {"penalized": "sandwich", "covariance": "HC0"}),
    ):
        model = LogisticRegression(C=C, tol=1e-10).fit(X, y, sample_weight)
        whole = model.inference(X, y, sample_weight, **options)
        options["features"] = NAMES
        selected = model.inference(X, y, sample_weight, **options)
        with monkeypatch.context() as patch:
            patch.setattr(estimation, "MAX_PARAMETERS", 3)
            named = model.inference(X, y, sample_weight, **options)
            # Probabilities that exceed the memory limit are computed again.
            patch.setattr(estimation, "make_probability_buffer", lambda objective: None)
            recomputed_result = model.inference(X, y, sample_weight, **options)
        np.testing.assert_array_equal(selected.std_errors, whole.std_errors[:, COEF_INDICES])
        np.testing.assert_allclose(named.coef, whole.coef[:, COEF_INDICES], rtol=0, atol=1e-7 * whole.std_errors.min())
        # The coefficients of the two Hessians may differ; the curvature of a row then changes by at most this much.
        np.testing.assert_allclose(named.std_errors, selected.std_errors, rtol=MAX_SCORE_CHANGE)
        sizes = np.outer(selected.std_errors, selected.std_errors)
        np.testing.assert_allclose(named.covariance_matrix() / sizes, selected.covariance_matrix() / sizes, atol=1e-8)
        np.testing.assert_allclose(recomputed_result.std_errors, named.std_errors, rtol=1e-8)
        assert named.names.tolist() == NAMES
        np.testing.assert_allclose(named.p_values, selected.p_values, rtol=1e-6)
        assert named.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-12)
        assert named.wald_test(["x1", "x0"]).statistic == pytest.approx(whole.wald_test(["x1", "x0"]).statistic)


def test_a_few_of_many_features_have_standard_errors():
    generator = np.random.default_rng(0)
    n, d = 500, 4_200
    X = sparse.csr_array(sparse.random(n, d, density=0.02, random_state=0))
    X.data[:] = 1
    y = (X @ (generator.normal(size=d) * (generator.random(d) < 0.1)) + generator.logistic(size=n) > 0).astype(int)
    model = LogisticRegression(C=1.0, tol=1e-13).fit(X, y)
    assert_raises(
        r"4,201 parameters; .* Select the columns .* with features", model.inference, X, y, penalized="laplace"
    )
    result = model.inference(X, y, penalized="laplace", features=["x7", "x4000", "intercept"])
    # By the inner products of the rows (Woodbury): H = (X' D X + I) for C = 1, with the intercept free.
    p = model.predict_proba(X)[:, 1]
    curvature = np.sqrt(p * (1 - p))
    rows = X.toarray() * curvature[:, None]
    named = np.column_stack([rows[:, [7, 4000]], curvature])
    inner = named.T @ np.linalg.solve(np.eye(n) + rows @ rows.T, named)
    variances = np.append(1 - np.diagonal(inner)[:2] + inner[:2, 2] ** 2 / inner[2, 2], 1 / inner[2, 2])
    np.testing.assert_allclose(result.std_errors[0], np.sqrt(variances), rtol=1e-6)
    assert np.isnan(result.df_model)
    with pytest.warns(ConvergenceWarning, match="separable"):
        model = LogisticRegression(C=np.inf).fit(X, y)
    assert_raises("separat", model.inference, X, y, features=["x7"], error=SeparationError)


def test_selections_without_standard_errors_raise_an_error(monkeypatch):
    monkeypatch.setattr(estimation, "MAX_PARAMETERS", 3)
    X, y = make_rows(2, n=300, d=6)
    model = LogisticRegression(C=np.inf, tol=1e-10).fit(X, y)
    for features in (["x9"], [], ["x1", "x1"]):
        with pytest.raises(ValueError, match="features must be names of coefficients"):
            model.inference(X, y, features=features)
    with pytest.raises(ValueError, match="covariance='cluster' is limited to models of 3 parameters"):
        model.inference(X, y, features="x1", covariance="cluster", clusters=np.arange(len(X)) // 2)
    for features in (["x1"], ["intercept", *(f"x{j}" for j in range(6))]):
        assert_raises(r"call inference\(\) for all columns", model.inference(X, y, features=features).marginal_effects)
    monkeypatch.setattr(module, "MAX_CG_STEPS", 1)
    with pytest.raises(CollinearityError, match="for a standard error did not converge in 1 steps"):
        model.inference(X, y, features=["x1"])


def test_a_separation_of_a_large_model_raises_an_error_or_a_warning(monkeypatch):
    monkeypatch.setattr(estimation, "MAX_PARAMETERS", 3)
    monkeypatch.setattr("fastlin.inference.separation.MAX_PROGRAM_VARIABLES", 2)
    X, y = make_separating_pair(300, 1, 9)
    model = LogisticRegression(C=np.inf).fit(X, y)
    # Newton's step is along the separating direction.
    assert_raises(r"the columns x[01], x[01] together", model.inference, X, y, features=["x0"], error=SeparationError)
    monkeypatch.setattr("fastlin.inference.separation.find_separation", lambda *arguments: "there are too many")
    message = "Could not decide whether the classes are separated: there are too many"
    with pytest.warns(SeparationWarning, match=message) as caught:
        model.inference(X, y, features=["x4"])
    assert [warning.filename for warning in caught] == [__file__]
    for total in (0, 2):
        y[np.flatnonzero(X[:, 0] + X[:, 1] == total)[:3]] ^= 1
    model = LogisticRegression(C=np.inf, tol=1e-10).fit(X, y)
    assert np.isfinite(model.inference(X, y, features=["x0"]).std_errors).all()


def test_a_constant_column_has_a_standard_error_only_if_penalized(monkeypatch):
    X, y = make_rows(2)
    X[:, 1] = 7.0
    monkeypatch.setattr(estimation, "MAX_PARAMETERS", 3)
    model = LogisticRegression(C=100.0).fit(X, y)
    assert model.inference(X, y, penalized="laplace", features={"x1"}).std_errors == pytest.approx(10.0)
    model = LogisticRegression(C=np.inf).fit(X, y)
    assert_raises("A column is constant", model.inference, X, y, features=["x1"], error=CollinearityError)
