"""Inference by Firth's penalized likelihood, compared with firthmodels, closed forms and equivalent models."""

import pickle

import numpy as np
import pytest
from conftest import assert_raises
from reference import log_likelihood
from scipy.stats import norm

from fastlin import FirthLogisticRegression

from .conftest import make_rows


def infer(X, y, tol=1e-9):
    return FirthLogisticRegression(tol=tol).fit(X, y).inference(X, y)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_estimates_tests_and_intervals_match_firthmodels():
    firthmodels = pytest.importorskip("firthmodels")
    for seed, has_weights in ((0, False), (1, True)):
        X, y = make_rows(2, n=60, seed=seed)
        weights = np.random.default_rng(seed).integers(1, 4, len(X)).astype(float) if has_weights else None
        baseline = firthmodels.FirthLogisticRegression(backend="numpy", gtol=1e-6, xtol=1e-6, max_iter=500)
        baseline.fit(X, y, sample_weight=weights)
        baseline.lrt()
        model = FirthLogisticRegression(tol=1e-9).fit(X, y, weights)
        result = model.inference(X, y, weights)
        errors = result.std_errors[0]
        assert (abs(result.coef[0] - np.append(baseline.coef_, baseline.intercept_)) < 1e-6 * errors).all()
        assert model.penalized_log_likelihood_ == pytest.approx(baseline.loglik_, abs=1e-9)
        np.testing.assert_allclose(result.p_values[0], baseline.lrt_pvalues_, rtol=1e-5)
        interval = baseline.conf_int(method="pl", tol=1e-9, max_iter=200)
        assert (abs(result.conf_int()[0] - interval) < 1e-6 * errors[:, None]).all()
        # The errors of firthmodels are those of rows whose weights are increased by the leverages.
        s, design = np.ones(len(X)) if weights is None else weights, np.column_stack([X, np.ones(len(X))])
        inverse = np.linalg.inv(log_likelihood(result.coef, design, y, s, False)[1])
        np.testing.assert_allclose(result.covariance_matrix(), inverse, rtol=1e-6)
        p = model.predict_proba(X)[:, 1]
        augmented_weights = s + s * p * (1 - p) * np.einsum("ij,jk,ik->i", design, inverse, design)
        augmented_covariance = np.linalg.inv(log_likelihood(result.coef, design, y, augmented_weights, False)[1])
        np.testing.assert_allclose(baseline.bse_, np.sqrt(np.diagonal(augmented_covariance)), rtol=1e-6)


def test_contingency_tables_match_their_closed_form():
    # In a saturated model the penalty adds half a row to each cell.
    counts = np.array([[7, 0], [3, 9]])
    X = np.repeat([[0.0], [0.0], [1.0], [1.0]], counts.ravel(), axis=0)
    result = infer(X, np.repeat([0, 1, 0, 1], counts.ravel()), tol=1e-10)
    n_negative, n_positive = (counts + 0.5).T
    log_odds = np.log(n_positive / n_negative)
    np.testing.assert_allclose(result.coef[0], [log_odds[1] - log_odds[0], log_odds[0]], rtol=1e-8)
    # In a null model each class gets half a row: the penalty of K classes is half the sum of the log probabilities.
    y = np.repeat(["a", "b", "c"], [5, 2, 11])
    model = FirthLogisticRegression(fit_intercept=False).fit(np.ones((18, 1)), y)
    np.testing.assert_allclose(model.predict_proba([[1.0]])[0], np.array([5.5, 2.5, 11.5]) / 19.5, rtol=1e-6)
    test = infer(np.random.default_rng(0).normal(size=(18, 1)), y).lr_test(["x0"])
    assert (test.df, test.name) == (2, "penalized likelihood ratio")


def test_results_do_not_depend_on_the_reference_class_or_a_linear_map_of_columns():
    X, y = make_rows(3, n=60)
    model = FirthLogisticRegression(tol=1e-9).fit(X, y)
    first_class_result, last_class_result, symmetric_result = (
        model.inference(X, y, reference=reference) for reference in (None, 2, "symmetric")
    )
    np.testing.assert_allclose(first_class_result.coef[1], -last_class_result.coef[0], rtol=1e-9)
    np.testing.assert_allclose(first_class_result.std_errors[1], last_class_result.std_errors[0], rtol=1e-9)
    np.testing.assert_allclose(first_class_result.p_values[1], last_class_result.p_values[0], rtol=1e-6)
    np.testing.assert_allclose(first_class_result.conf_int()[1], -last_class_result.conf_int()[0][:, ::-1], rtol=1e-6)
    np.testing.assert_allclose(symmetric_result.coef, np.column_stack([model.coef_, model.intercept_]), atol=1e-7)
    for result in (first_class_result, symmetric_result):
        wald_interval = result.conf_int(0.9, "wald")
        np.testing.assert_allclose(wald_interval[..., 1] - result.coef, norm.ppf(0.95) * result.std_errors)
        assert result.lr_test("x1").statistic == pytest.approx(last_class_result.lr_test("x1").statistic, rel=1e-6)
    linear_map = np.array([[2.0, 1.0, 0.0], [0.0, 1e-3, 0.0], [0.0, 0.0, 50.0]])
    mapped = FirthLogisticRegression(tol=1e-9).fit(X @ linear_map + [5, 0, 1], y)
    np.testing.assert_allclose(mapped.coef_ @ linear_map.T, model.coef_, atol=1e-6)
    assert mapped.log_likelihood_ == pytest.approx(model.log_likelihood_, rel=1e-9)
    difference = model.penalized_log_likelihood_ - mapped.penalized_log_likelihood_
    assert difference == pytest.approx(-2 * np.log(np.linalg.det(linear_map)), rel=1e-6)


def test_firth_inference_is_printed_and_pickled():
    X, y = make_rows(2, n=60)
    result = infer(X, y)
    assert "Firth's penalized likelihood" in str(result.summary())
    np.testing.assert_array_equal(result.table()["lower"], result.conf_int()[0, :, 0])
    restored_result = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(restored_result.coef, result.coef)
    np.testing.assert_array_equal(restored_result.p_values, result.p_values)
    assert_raises("rows are not available", restored_result.conf_int, error=RuntimeError)
    assert repr(result) == "<Inference of 4 coefficients, covariance='model'>"
    assert result.marginal_effects().effects.shape == (2, 3)
    assert_raises("names of the columns to test", result.lr_test, restored_result, error=TypeError)
    for arguments, message in (({"method": "exact"}, "method must be"), ({"level": 1.5}, "level must be")):
        assert_raises(message, result.conf_int, **arguments)


@pytest.mark.parametrize("seed", [0, 1])
def test_nearly_collinear_columns_have_intervals(seed):
    # Rounding errors of the log-determinant affect where the profile crosses its threshold.
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(200, 2))
    y = (X @ generator.normal(size=(2, 2)) + generator.gumbel(size=(200, 2))).argmax(axis=1)
    result = infer(np.column_stack([X, X[:, 0] + 1e-5 * generator.normal(size=200)]), y)
    lengths = np.diff(result.conf_int()[0])[:, 0] / (2 * norm.ppf(0.975) * result.std_errors[0])
    np.testing.assert_allclose(lengths, 1, atol=0.05)
    assert np.isfinite(result.p_values).all()
