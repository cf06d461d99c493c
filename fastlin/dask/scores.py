"""The scores of rows by a model: what a mean over them is the accuracy, or the negative logarithmic loss, of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastlin.typing import Array, FloatArray, SparseContainer

if TYPE_CHECKING:
    from fastlin.estimators import LogisticRegression, LogisticRegressionCV


def score_rows(
    model: LogisticRegression | LogisticRegressionCV, X: Array | SparseContainer, y: Array, scoring: str
) -> FloatArray:
    """Return the score of each row, (m,).

    Parameters
    ----------
    model : LogisticRegression
        A fitted model for arrays.
    X : ndarray or sparse matrix of shape (m, d)
        The rows.
    y : ndarray of shape (m,)
        Their labels.
    scoring : {"accuracy", "neg_log_loss"}
        Whether a row has one where its class is predicted, or the logarithm of the probability of its class.
    """
    if scoring == "accuracy":
        return model.predict(X) == y
    labels = np.minimum(np.searchsorted(model.classes_, y), len(model.classes_) - 1)
    if (model.classes_[labels] != y).any():
        raise ValueError(
            f"y has the label {y[model.classes_[labels] != y].tolist()[0]!r}, which the model does not know."
        )
    probabilities = model.predict_proba(X)[np.arange(len(labels)), labels]
    # As in scikit-learn's log_loss.
    smallest = np.finfo(probabilities.dtype).eps
    return np.log(np.clip(probabilities, smallest, 1 - smallest))
