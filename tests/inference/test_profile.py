"""Profile likelihoods: intervals and tests, compared with maximization and root finding by SciPy."""

import pickle

import numpy as np
import pytest
from conftest import assert_raises
from objectives import build_objective
from reference import log_likelihood
from scipy.optimize import brentq, minimize
from scipy.stats import chi2

from fastlin import FirthLogisticRegression, LogisticRegression
from fastlin.inference import profile
from fastlin.inference.likelihood import Likelihood
from fastlin.inference.profile import find_interval_limit

from .conftest import infer


def make_rows(n_classes, n=70, seed=0, size=1):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, 2))
    return X, (X @ random.normal(size=(2, n_classes)) * size + random.gumbel(size=(n, n_classes))).argmax(axis=1)


def maximize_likelihood(data, index, value, start, gtol=1e-7):
    """Return the maximum of the likelihood and its coefficients, found by SciPy. The coefficient `index` is `value`."""
    (X, labels, is_firth), coef = data, start.copy()
    design, free = np.column_stack([X, np.ones(len(X))]), np.arange(len(coef)) != index
    coef[~free] = value

    def evaluate_loss(entries):
        coef[free] = entries
        return -log_likelihood(coef.reshape(-1, 3), design, labels, np.ones(len(X)), is_firth)[0]

    result = minimize(evaluate_loss, coef[free], method="BFGS", options={"gtol": gtol})
    coef[free] = result.x
    return -result.fun, coef


@pytest.mark.thorough
@pytest.mark.parametrize("is_firth", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_profile_intervals_and_tests_match_a_root_finder(n_classes, is_firth):
    (X, labels), size = make_rows(n_classes), 3 * (n_classes - 1)
    data, zeros = (X, labels, is_firth), np.zeros(size)
    largest, coef = maximize_likelihood(data, None, None, zeros)
    threshold = largest - chi2.ppf(0.9, 1) / 2
    model = FirthLogisticRegression() if is_firth else LogisticRegression(C=np.inf, tol=1e-12)
    result = model.fit(X, labels).inference(X, labels)
    np.testing.assert_allclose(result.coef.ravel(), coef, atol=1e-5)
    limits, errors = result.profile_conf_int(level=0.9), result.std_errors.ravel()
    for index in (0, size - 1):

        def compute_threshold_difference(value, index=index):
            return maximize_likelihood(data, index, value, zeros)[0] - threshold

        for side, limit in zip((-5, 5), limits.reshape(-1, 2)[index], strict=True):
            root = brentq(compute_threshold_difference, coef[index], coef[index] + side * errors[index], xtol=1e-7)
            assert abs(limit - root) < 1e-4 * errors[index]
    np.testing.assert_array_equal(result.profile_conf_int("x1", level=0.9), limits[:, 1:2])
    if is_firth:
        constrained_maximum, _ = maximize_likelihood(data, 0, 0.0, zeros)
        assert result.p_values[0, 0] == pytest.approx(chi2.sf(2 * (largest - constrained_maximum), 1), rel=1e-5)
    else:
        selected = model.inference(X, labels, features=["intercept", "x1"])
        np.testing.assert_array_equal(selected.profile_conf_int("x1", level=0.9), limits[:, 1:2])


def test_profiles_match_statsmodels_and_the_likelihood_ratio():
    statsmodels = pytest.importorskip("statsmodels.api")
    data = statsmodels.datasets.spector.load()
    X, y = data.exog.to_numpy(), data.endog.to_numpy().astype(int)
    result = infer(X, y)
    limits = result.profile_conf_int()
    # At a limit of the interval the profile likelihood is lower by half the quantile. An offset fixes the coefficient.
    decrease = chi2.ppf(0.95, 1) / 2
    for j in range(X.shape[1]):
        other_columns = statsmodels.add_constant(np.delete(X, j, axis=1))
        for limit in limits[0, j]:
            restricted_model = statsmodels.GLM(
                y, other_columns, family=statsmodels.families.Binomial(), offset=limit * X[:, j]
            ).fit(tol=1e-12)
            assert restricted_model.llf == pytest.approx(result.log_likelihood - decrease, abs=1e-7)


@pytest.mark.thorough
def test_distant_interval_limits_are_found():
    X, y = make_rows(3, n=24, seed=5, size=50)
    result = FirthLogisticRegression(tol=1e-9).fit(X, y).inference(X, y)
    limit, coef = result.conf_int()[1, 0, 1], result.coef.ravel()
    assert limit > result.coef[1, 0] + 2 * result.std_errors[1, 0]
    largest = log_likelihood(result.coef, np.column_stack([X, np.ones(len(X))]), y, np.ones(len(X)), True)[0]
    # Small steps follow one branch of the profile, which has other local maxima.
    for value in np.linspace(coef[3], limit, 60):
        constrained_maximum, coef = maximize_likelihood((X, y, True), 3, value, coef, gtol=1e-6)
    assert constrained_maximum == pytest.approx(largest - chi2.ppf(0.95, 1) / 2, abs=1e-6)
    # The likelihood of separable classes rises without end on one side.
    X, y = np.array([[-1.0], [-1.0], [1.0], [1.0]]), np.array([0, 0, 1, 1])
    likelihood = Likelihood(build_objective(X, y, 2, fit_intercept=False), 1.0, False, np.array([True, False]))
    state, direction = likelihood.at(np.zeros(1)), np.ones(1)
    assert find_interval_limit(state, direction, 0.5, 1) == np.inf
    limit = find_interval_limit(state, direction, 0.5, -1)
    assert likelihood.at(np.array([limit])).value == pytest.approx(state.value - 0.5, abs=1e-8)


def test_profiles_of_unsupported_models_raise_an_error(monkeypatch):
    X, y = make_rows(2)
    result = infer(X, y)
    for other in (infer(X, y, parameters={"C": 1.0}, penalized="laplace"), infer(X, y, covariance="HC0")):
        assert_raises("need a likelihood: covariance='model'", other.profile_conf_int)
    assert_raises("rows are not available", pickle.loads(pickle.dumps(result)).profile_conf_int, error=RuntimeError)
    for arguments, message in (
        ({"features": ["x0", "x7"]}, "no coefficient 'x7'"),
        ({"level": 2}, "level must be between 0"),
    ):
        assert_raises(message, result.profile_conf_int, **arguments)
    monkeypatch.setattr(profile, "MAX_PROFILE_PARAMETERS", X.shape[1])
    assert_raises(f"profile intervals are limited to {X.shape[1]}. Use conf_int", result.profile_conf_int)
