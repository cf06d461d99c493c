"""Profiles of likelihoods: intervals and tests, against maximisation by SciPy and root finders."""

import pickle

import numpy as np
import pytest
from naive_likelihood import sum_rows
from scipy.optimize import brentq, minimize
from scipy.stats import chi2

from fastlin import FirthLogisticRegression, LogisticRegression
from fastlin.inference import profile
from fastlin.inference.likelihood import Likelihood
from fastlin.inference.profile import find_end
from fastlin.objective import Objective


def make_rows(n_classes, n=70, seed=0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, 2))
    return X, (X @ random.normal(size=(2, n_classes)) + random.gumbel(size=(n, n_classes))).argmax(axis=1)


def maximise_held(X, labels, R, is_firth, place=None, value=None):
    """Return the maximum of the likelihood and where it lies, by SciPy; one of the coefficients may be held."""
    design, free = np.column_stack([X, np.ones(len(X))]), np.arange(3 * R) != place
    coef = np.zeros(3 * R)
    if place is not None:
        coef[place] = value

    def lose(entries):
        coef[free] = entries
        return -sum_rows(coef.reshape(R, 3), design, labels, np.ones(len(X)), is_firth)[0]

    found = minimize(lose, np.zeros(np.count_nonzero(free)), method="BFGS", options={"gtol": 1e-7})
    coef[free] = found.x
    return -found.fun, coef.copy()


@pytest.mark.thorough
def test_intervals_and_tests_are_those_of_a_root_finder():
    fall = chi2.ppf(0.9, 1) / 2
    for n_classes, is_firth in ((2, False), (2, True), (3, False), (3, True)):
        X, labels = make_rows(n_classes)
        R = n_classes - 1
        largest, coef = maximise_held(X, labels, R, is_firth)
        made = FirthLogisticRegression() if is_firth else LogisticRegression(C=np.inf, tol=1e-12)
        found = made.fit(X, labels).inference(X, labels)
        np.testing.assert_allclose(found.coef.ravel(), coef, atol=1e-5)
        ends = found.profile_conf_int(level=0.9)
        for place in (0, 3 * R - 1):
            k, j = divmod(place, 3)

            def miss(value, place=place, data=(X, labels, R, is_firth), least=largest - fall):
                return maximise_held(*data, place, value)[0] - least

            error = found.std_errors[k, j]
            for side, end in ((-1, ends[k, j, 0]), (1, ends[k, j, 1])):
                root = brentq(miss, coef[place], coef[place] + side * 5 * error, xtol=1e-7)
                assert abs(end - root) < 1e-4 * error
        if is_firth:
            held = maximise_held(X, labels, R, True, 0, 0.0)[0]
            assert found.p_values[0, 0] == pytest.approx(chi2.sf(2 * (largest - held), 1), rel=1e-5)
        np.testing.assert_array_equal(found.profile_conf_int("x1", level=0.9), ends[:, 1:2])
        if not is_firth:
            some = made.inference(X, labels, features=["intercept", "x1"])
            np.testing.assert_array_equal(some.profile_conf_int("x1", level=0.9), ends[:, 1:2])


def test_statsmodels_and_the_likelihood_ratio_agree_with_the_profile():
    statsmodels = pytest.importorskip("statsmodels.api")
    data = statsmodels.datasets.spector.load()
    X, y = data.exog.to_numpy(), data.endog.to_numpy().astype(int)
    model = LogisticRegression(C=np.inf, tol=1e-13, solver="newton-cholesky").fit(X, y)
    found = model.inference(X, y)
    ends = found.profile_conf_int()
    # At an end of its interval a coefficient has half of the quantile less likelihood, with an offset in its place.
    fall = chi2.ppf(0.95, 1) / 2
    for j in range(X.shape[1]):
        rest = statsmodels.add_constant(np.delete(X, j, axis=1))
        for end in ends[0, j]:
            held = statsmodels.GLM(y, rest, family=statsmodels.families.Binomial(), offset=end * X[:, j]).fit(tol=1e-12)
            assert held.llf == pytest.approx(found.log_likelihood - fall, abs=1e-7)


@pytest.mark.thorough
def test_ends_far_out_are_those_on_the_way_and_one_that_is_never_reached_is_infinite():
    random = np.random.default_rng(5)
    X = random.normal(size=(24, 2))
    y = (X @ random.normal(size=(2, 3)) * 50 + random.gumbel(size=(24, 3))).argmax(axis=1)
    found = FirthLogisticRegression(tol=1e-9).fit(X, y).inference(X, y)
    end, design, free = found.conf_int()[1, 0, 1], np.column_stack([X, np.ones(len(X))]), np.arange(6) != 3
    assert end > found.coef[1, 0] + 2 * found.std_errors[1, 0]
    coef = found.coef.ravel().copy()
    rest, largest = coef[free], sum_rows(found.coef, design, y, np.ones(len(X)), True)[0]

    def lose(entries):
        coef[free] = entries
        return -sum_rows(coef.reshape(2, 3), design, y, np.ones(len(X)), True)[0]

    # Other maxima of the profile lie apart from this way.
    for value in np.linspace(coef[3], end, 60):
        coef[3] = value
        nearest = minimize(lose, rest, method="BFGS", options={"gtol": 1e-6})
        rest = nearest.x
    assert -nearest.fun == pytest.approx(largest - chi2.ppf(0.95, 1) / 2, abs=1e-6)
    X, y = np.array([[-1.0], [-1.0], [1.0], [1.0]]), np.array([0, 0, 1, 1])
    likelihood = Likelihood.of_model(Objective.over(X, y, 2, fit_intercept=False), 1.0)
    state, direction = likelihood.at(np.zeros((1, 1))), np.ones((1, 1))
    # The likelihood of separable classes rises without end on one side.
    assert find_end(state, direction, 0.5, 1) == np.inf
    end = find_end(state, direction, 0.5, -1)
    assert likelihood.at(np.array([[end]])).value == pytest.approx(state.value - 0.5, abs=1e-8)


def test_what_has_no_profile_is_refused(monkeypatch):
    X, y = make_rows(2)
    model = LogisticRegression(C=np.inf, tol=1e-12).fit(X, y)
    for found, text in (
        (LogisticRegression(tol=1e-12).fit(X, y).inference(X, y, penalised="laplace"), "needs covariance='model'"),
        (model.inference(X, y, covariance="HC0"), "needs covariance='model'"),
    ):
        with pytest.raises(ValueError, match=text):
            found.profile_conf_int()
    with pytest.raises(RuntimeError, match="rows are not at hand"):
        pickle.loads(pickle.dumps(model.inference(X, y))).profile_conf_int()
    with pytest.raises(ValueError, match="no column 'x7'"):
        model.inference(X, y).profile_conf_int(["x0", "x7"])
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        model.inference(X, y).profile_conf_int(level=2)
    monkeypatch.setattr(profile, "MOST_PROFILED", X.shape[1])
    with pytest.raises(ValueError, match=f"profiles are made for up to {X.shape[1]}; use conf_int"):
        model.inference(X, y).profile_conf_int()
