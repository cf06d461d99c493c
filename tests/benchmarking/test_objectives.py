"""Objectives of benchmarks agree with formulas, and their minima with fits of scikit-learn."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge

from fastlin.benchmarking import LeastSquaresObjective, LogisticObjective
from fastlin.exceptions import ConvergenceWarning

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 4))


@pytest.mark.parametrize("labels", [np.array(["no", "yes"]), np.array([3, 5, 9])])
@pytest.mark.parametrize("container", [np.asarray, csr_array])
def test_the_logistic_objective_is_that_of_scikit_learn(labels, container):
    y = labels[GENERATOR.integers(0, len(labels), 60)]
    objective, model = LogisticObjective(C=0.5), LogisticRegression(C=0.5, tol=1e-10, max_iter=1000).fit(X, y)
    probabilities = model.predict_proba(X)[np.arange(60), np.searchsorted(labels, y)]
    expected = -np.mean(np.log(probabilities)) + 0.5 * np.sum(model.coef_**2) / (0.5 * 60)
    assert objective(model, container(X), y) == pytest.approx(expected, rel=1e-12)
    # The minimum is lower than any other value.
    minimum = objective.find_minimum(container(X), y)
    assert minimum == pytest.approx(expected, rel=1e-9)
    model.coef_ = model.coef_ + 0.01
    assert objective(model, X, y) > minimum


def test_the_l1_penalty_is_a_fraction_of_the_penalty():
    y = (X[:, 0] > 0).astype(int)
    model = LogisticRegression(C=0.5).fit(X, y)
    ridge, lasso, mixed = (LogisticObjective(0.5, l1_ratio)(model, X, y) for l1_ratio in (0.0, 1.0, 0.25))
    assert mixed == pytest.approx(0.75 * ridge + 0.25 * lasso, rel=1e-12)
    assert lasso - ridge == pytest.approx(np.sum(np.abs(model.coef_) - 0.5 * model.coef_**2) / 30, rel=1e-9)


@pytest.mark.parametrize(("alpha", "l1_ratio"), [(0.1, 1.0), (0.2, 0.3)])
def test_elastic_net_minimizes_the_least_squares_objective(alpha, l1_ratio):
    y = X @ [1.0, -2.0, 0.0, 0.5] + GENERATOR.normal(size=60)
    objective = LeastSquaresObjective(alpha, l1_ratio)
    model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, tol=1e-12).fit(X, y)
    minimum = objective(model, X, y)
    residuals = y - model.predict(X)
    penalty = alpha * (l1_ratio * np.abs(model.coef_).sum() + 0.5 * (1 - l1_ratio) * np.sum(model.coef_**2))
    assert minimum == pytest.approx(0.5 * np.mean(residuals**2) + penalty, rel=1e-12)
    for step in np.eye(4) * 1e-3:
        model.coef_ = model.coef_ + step
        assert objective(model, X, y) > minimum
        model.coef_ = model.coef_ - step


def test_unknown_labels_and_minima_without_a_certificate_raise_an_error():
    y = (X[:, 0] > 0).astype(int)
    # Without a penalty, the objective of separable data has no minimum.
    with (
        pytest.warns(ConvergenceWarning, match="separable"),
        pytest.raises(ValueError, match="the objective of the fit may be inf above the minimum"),
    ):
        LogisticObjective(C=np.inf).find_minimum(X, y)
    model = LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match="classes_ must be sorted and contain all labels"):
        LogisticObjective()(model, X, y + 1)


def test_coefficients_of_a_wrong_shape_raise_an_error():
    model = Ridge().fit(X, X[:, 0])
    model.coef_ = np.zeros(3)
    with pytest.raises(ValueError, match=r"coef_ must have the shape \(K, 4\) and intercept_ \(K,\), got \(3,\)"):
        LeastSquaresObjective()(model, X, X[:, 0])
