"""Signals that lower the objective by less than tol of it are fitted: small columns, rare positives, a small C.

A column times s with a penalty of C is the column itself with a penalty of s^2 C (with L1 s C), and its coefficient is
divided by s. So scikit-learn's fit of columns of unit size judges those of any size.
"""

from itertools import product

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.metrics import roc_auc_score

import fastlin


def draw(n_rows=2_000, part=0.05, signal=1.0):
    """Return columns of unit size and labels, a part of them positive, about which three columns tell."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(n_rows, 5))
    scores = np.log(part / (1 - part)) + signal * (X[:, :3] @ [0.5, -0.5, 0.3])
    return X, (generator.random(n_rows) < 1 / (1 + np.exp(-scores))).astype(int)


def fit_reference(X, y, C):
    return ScikitLearnLogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=300).fit(X, y)


def assert_equal_models(model, X, y, expected, scale):
    """Assert that coefficients and ranking are those of a model of the columns before they were scaled."""
    assert model.converged_
    largest = np.abs(expected.coef_).max()
    np.testing.assert_allclose(model.coef_ * scale, expected.coef_, rtol=0, atol=1e-2 * largest)
    ranking = roc_auc_score(y, model.decision_function(scale * X))
    assert ranking == pytest.approx(roc_auc_score(y, expected.decision_function(X)), abs=2e-3)


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "newton-cg", "newton-cholesky"])
def test_columns_of_any_size_have_the_model_of_columns_of_unit_size(solver):
    X, y = draw()
    for scale, C in product((1e-6, 1e-3, 1.0, 1e3, 1e6), (1e-4, 1.0, np.inf)):
        model = fastlin.LogisticRegression(C=C, solver=solver).fit(scale * X, y)
        if C < np.inf and C * scale**2 * len(y) < 1e-8:
            # A penalty that is far above all curvature leaves the direction of the gradient.
            exact = C * scale * (X - X.mean(axis=0)).T @ y
            np.testing.assert_allclose(model.coef_[0], exact, rtol=1e-4)
            assert model.converged_ and model.n_iter_[0] > 0
        else:
            assert_equal_models(model, X, y, fit_reference(X, y, C * scale**2), scale)


@pytest.mark.parametrize("signal", [0.05, 3.0])
@pytest.mark.parametrize("part", [0.002, 0.05, 0.5])
def test_rare_positives_and_weak_signals_are_fitted(part, signal):
    X, y = draw(part=part, signal=signal)
    for C in (1e-4, 1.0):
        model = fastlin.LogisticRegression(C=C).fit(1e-3 * X, y)
        assert_equal_models(model, X, y, fit_reference(X, y, 1e-6 * C), 1e-3)


def test_more_classes_and_l1_penalties_leave_a_weak_signal_its_coefficients():
    X, y = draw()
    several = np.argmax(X[:, :3] + np.random.default_rng(1).gumbel(size=(len(X), 3)), axis=1)
    model, expected = fastlin.LogisticRegression().fit(1e-4 * X, several), fit_reference(X, several, 1e-8)
    np.testing.assert_allclose(1e-4 * model.coef_, expected.coef_, atol=1e-2 * np.abs(expected.coef_).max())
    model = fastlin.LogisticRegression(C=1e4, l1_ratio=1.0).fit(1e-3 * X, y)
    expected = fastlin.LogisticRegression(C=10.0, l1_ratio=1.0, tol=1e-12).fit(X, y)
    assert_equal_models(model, X, y, expected, 1e-3)
