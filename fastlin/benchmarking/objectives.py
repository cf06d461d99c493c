"""Objectives that benchmarks evaluate in float64 with NumPy, independently of the compared libraries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from scipy.special import logsumexp

import fastlin
from fastlin.benchmarking.candidate import MAX_DIFFERENCE_BELOW_MINIMUM, ROUNDING_ERROR
from fastlin.typing import Array, FloatArray, IntArray

# Tolerance of the fits whose objective is the minimum.
MINIMUM_TOL = 1e-12


def read_coefficients(model: Any, n_features: int) -> tuple[FloatArray, FloatArray]:
    """Return coef (K, d) and intercept (K,) of a linear model in float64. A ValueError is raised for other shapes."""
    coef = np.atleast_2d(np.asarray(model.coef_, np.float64))
    intercept = np.asarray(getattr(model, "intercept_", 0.0), np.float64).ravel()
    if coef.ndim != 2 or coef.shape[1] != n_features or intercept.size not in (1, len(coef)):
        raise ValueError(
            f"coef_ must have the shape (K, {n_features}) and intercept_ (K,), got {np.shape(model.coef_)} and "
            f"{np.shape(getattr(model, 'intercept_', 0.0))}"
        )
    return coef, np.broadcast_to(intercept, len(coef))


def compute_linear_predictors(X: Any, coef: FloatArray, intercept: FloatArray) -> FloatArray:
    """Return X coef' + intercept (n, K) in float64, for coef (K, d) and intercept (K,)."""
    predictors: FloatArray = _convert_to_float64(X) @ coef.T + intercept
    return predictors


def compute_class_scores(X: Any, coef: FloatArray, intercept: FloatArray) -> FloatArray:
    """Return the scores (n, n_classes). For K = 1, those of the first class are zero."""
    scores = compute_linear_predictors(X, coef, intercept)
    # The logistic loss is the softmax cross-entropy with scores 0 and z.
    return np.hstack([np.zeros_like(scores), scores]) if len(coef) == 1 else scores


def average_cross_entropy(scores: FloatArray, labels: IntArray) -> float:
    """Return the mean softmax cross-entropy of scores (n, n_classes) for labels 0, 1, ..., n_classes - 1."""
    return float(np.mean(logsumexp(scores, axis=1) - scores[np.arange(len(labels)), labels]))


def _convert_to_float64(X):
    return X.astype(np.float64, copy=False) if issparse(X) else np.asarray(X, np.float64)


@dataclass(frozen=True)
class LogisticObjective:
    """Penalized logistic or softmax regression, in scikit-learn's parameters.

    The objective is the mean loss plus (1 - l1_ratio) / (2 C n) times the sum of squared coefficients plus
    l1_ratio / (C n) times the sum of their magnitudes. The intercept is not penalized. Models need the attributes
    ``coef_`` (K, d), ``intercept_`` (K,) and ``classes_``.

    Parameters
    ----------
    C : float, default=1.0
        The inverse penalty strength.
    l1_ratio : float, default=0.0
        The fraction of the L1 penalty.
    fit_intercept : bool, default=True
        Whether the models have an intercept. It determines the minimum.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fastlin.benchmarking import LogisticObjective
    >>> X, y = load_iris(return_X_y=True)
    >>> objective = LogisticObjective(C=1.0)
    >>> minimum = objective.find_minimum(X, y)
    >>> bool(minimum < objective(LogisticRegression(tol=0.1).fit(X, y), X, y))
    True
    """

    C: float = 1.0
    l1_ratio: float = 0.0
    fit_intercept: bool = True

    def __call__(self, model: Any, X: Any, y: Array) -> float:
        """Return the objective of a fitted model."""
        coef, intercept = read_coefficients(model, X.shape[1])
        classes, y = np.asarray(model.classes_), np.asarray(y)
        if len(coef) not in ((1, 2) if len(classes) == 2 else (len(classes),)):
            raise ValueError(f"coef_ has {len(coef)} rows, which does not match {len(classes)} classes")
        scores = compute_class_scores(X, coef, intercept)
        positions = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
        if not np.array_equal(classes[positions], y):
            raise ValueError("classes_ must be sorted and contain all labels of y")
        penalty = 0.5 * (1 - self.l1_ratio) * np.sum(coef**2) + self.l1_ratio * np.sum(np.abs(coef))
        return average_cross_entropy(scores, positions) + float(penalty) / (self.C * len(y))

    def find_minimum(self, X: Any, y: Array) -> float:
        """Return the minimum, from a fit of fastlin. A ValueError is raised if the fit is not certified as accurate."""
        model = fastlin.LogisticRegression(
            C=self.C, l1_ratio=self.l1_ratio, fit_intercept=self.fit_intercept, tol=MINIMUM_TOL, max_iter=10_000
        )
        minimum = self(model.fit(_convert_to_float64(X), y), X, y)
        if not model.certificate_ <= MAX_DIFFERENCE_BELOW_MINIMUM * minimum + ROUNDING_ERROR:
            raise ValueError(f"the objective of the fit may be {model.certificate_:.1e} above the minimum")
        return minimum


@dataclass(frozen=True)
class LeastSquaresObjective:
    """Penalized least squares, in the parameters of scikit-learn's ElasticNet.

    The objective is half the mean squared error plus alpha l1_ratio times the sum of the magnitudes of the coefficients
    plus alpha (1 - l1_ratio) / 2 times the sum of their squares. The intercept is not penalized. Models need the
    attributes ``coef_`` (d,) and ``intercept_``.

    Parameters
    ----------
    alpha : float, default=1.0
        The penalty strength.
    l1_ratio : float, default=1.0
        The fraction of the L1 penalty. The default is the lasso.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Lasso
    >>> from fastlin.benchmarking import LeastSquaresObjective
    >>> X, y = load_diabetes(return_X_y=True)
    >>> round(LeastSquaresObjective(alpha=0.1)(Lasso(alpha=0.1).fit(X, y), X, y))
    1629
    """

    alpha: float = 1.0
    l1_ratio: float = 1.0

    def __call__(self, model: Any, X: Any, y: Array) -> float:
        """Return the objective of a fitted model."""
        coef, intercept = read_coefficients(model, X.shape[1])
        residuals = compute_linear_predictors(X, coef, intercept)[:, 0] - np.asarray(y, np.float64)
        penalty = self.l1_ratio * np.sum(np.abs(coef)) + 0.5 * (1 - self.l1_ratio) * np.sum(coef**2)
        return float(0.5 * np.mean(residuals**2) + self.alpha * penalty)
