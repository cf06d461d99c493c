"""Predicted probabilities of new rows, with standard errors and intervals from the delta method.

The interval of class k is computed for the log odds of the class against all other classes, and then converted to
probabilities, so its limits are between 0 and 1. With scores s_l, the log odds are s_k - log sum_(l != k) exp(s_l), and
their derivative with respect to s_l is minus the probability of class l among the other classes. For two classes, the
log odds are the linear predictor, so the variance is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy.special import expit, logsumexp, softmax

from fastlin.inference import tables
from fastlin.inference.contrasts import find_reported_classes
from fastlin.inference.hessian import BYTES_PER_BATCH, multiply
from fastlin.matrices import Matrix
from fastlin.typing import Array, FloatArray, IntArray


class NewRows(NamedTuple):
    """Rows to predict, in the coding of the model.

    `columns` are the indices in the `matrix` (n, d) of the features of an inference, in their order. The `offsets` (n,
    K) are added to the scores of the last K classes; None means zeros.
    """

    matrix: Matrix
    columns: IntArray
    offsets: FloatArray | None


# A function that returns the NewRows for the arguments X_new and offset of a user. It must be possible to pickle it.
EncodeRows: TypeAlias = Callable[[Any, Any], NewRows]


@dataclass(frozen=True, eq=False, repr=False)
class PredictedProbabilities:
    """Predicted probabilities with standard errors and confidence intervals, returned by `Inference.predict`.

    Attributes
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        The predicted probabilities, at the estimates of the inference.
    std_errors : ndarray of shape (n_samples, n_classes)
        The standard errors of the probabilities, from the delta method. They are NaN if a variance is negative, which
        is possible with several cluster keys.
    lower, upper : ndarray of shape (n_samples, n_classes)
        The limits of the intervals. Each interval has the confidence level `level` for a single probability.
    classes : ndarray of shape (n_classes,)
        The classes.
    level : float
        The confidence level.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from fastlin import LogisticRegression
    >>> X, y = load_wine(return_X_y=True)
    >>> model = LogisticRegression(C=float("inf"), tol=1e-12).fit(X[:, 1:3], y)
    >>> predicted = model.inference(X[:, 1:3], y).predict(X[:2, 1:3])
    >>> predicted.probabilities.shape
    (2, 3)
    >>> bool((predicted.lower < predicted.probabilities).all() and (predicted.upper < 1).all())
    True
    """

    probabilities: FloatArray
    std_errors: FloatArray
    lower: FloatArray
    upper: FloatArray
    classes: Array
    level: float

    def to_frame(self) -> Any:
        """Return the probabilities with their standard errors and intervals, one row per row of X_new and class.

        Returns
        -------
        pandas.DataFrame or dict of ndarray
            The columns row, class, probability, std_error, lower and upper: a DataFrame indexed by row and class, or a
            dict if pandas is not installed.
        """
        n_rows, n_classes = self.probabilities.shape
        columns = {
            "row": np.repeat(np.arange(n_rows), n_classes),
            "class": np.tile(self.classes, n_rows),
            "probability": self.probabilities.ravel(),
            "std_error": self.std_errors.ravel(),
            "lower": self.lower.ravel(),
            "upper": self.upper.ravel(),
        }
        return tables.build_dataframe(columns, index=("row", "class"))

    def __repr__(self) -> str:
        """Return the numbers of rows and classes, and the confidence level."""
        n_rows, n_classes = self.probabilities.shape
        return f"<PredictedProbabilities of {n_rows:,} rows and {n_classes} classes, level={self.level:g}>"


def predict_probabilities(
    rows: NewRows, coef: FloatArray, covariance: FloatArray, reference: int | None, quantile: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the probabilities, their standard errors, and the limits of the intervals, each (n, n_classes).

    `coef` (K', p) are contrasts with the class of index `reference`, or with the mean of all classes if it is None.
    Columns after those of `rows` are the intercept. `covariance` has shape (K' p, K' p). An interval extends `quantile`
    standard errors to each side of the log odds.
    """
    (n_reported, p), n = coef.shape, rows.matrix.shape[0]
    reported = find_reported_classes(reference, n_reported)
    n_classes = n_reported + (reference is not None)
    blocks = covariance.reshape(n_reported, p, n_reported * p)
    log_odds, std_errors = np.empty((2, n, n_classes))
    row_bytes = 8 * (rows.matrix.shape[1] + (n_reported + 1) * p + 4 * n_classes**2)
    batch_size = max(1, BYTES_PER_BATCH // row_bytes)
    for first in range(0, n, batch_size):
        part = slice(first, min(first + batch_size, n))
        x = np.ones((part.stop - first, p))
        x[:, : len(rows.columns)] = rows.matrix.densify(part)[:, rows.columns]
        scores, score_covariances = np.zeros((len(x), n_classes)), np.zeros((len(x), n_classes, n_classes))
        scores[:, reported] = multiply(x, coef.T)
        if rows.offsets is not None:
            scores[:, -rows.offsets.shape[1] :] += rows.offsets[part]
        for k, block in zip(reported, blocks, strict=True):
            products = multiply(x, block).reshape(len(x), n_reported, p)
            score_covariances[:, k, reported] = np.einsum("ibj,ij->ib", products, x)
        log_odds[part], fractions = compute_log_odds(scores)
        gradients = np.eye(n_classes) - fractions
        products = np.einsum("ikl,ilm->ikm", gradients, score_covariances)
        with np.errstate(invalid="ignore"):
            std_errors[part] = np.sqrt(np.einsum("ikm,ikm->ik", products, gradients))
    probabilities = expit(log_odds)
    lower, upper = expit(log_odds - quantile * std_errors), expit(log_odds + quantile * std_errors)
    return probabilities, probabilities * expit(-log_odds) * std_errors, lower, upper


def compute_log_odds(scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the log odds (m, n_classes) of each class against the rest, for scores (m, n_classes).

    The second result (m, n_classes, n_classes) contains, for each class k, the probabilities of the other classes,
    divided by their sum. The entry of class k itself is zero.
    """
    other_scores = np.where(np.eye(scores.shape[1], dtype=bool), -np.inf, scores[:, None])
    return scores - logsumexp(other_scores, axis=2), softmax(other_scores, axis=2)
