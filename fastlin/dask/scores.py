"""The scores of rows by a model, whose mean is the accuracy or the negative logarithmic loss, and sums of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastlin.estimators.training_data import choose_unit
from fastlin.typing import Array, FloatArray, SparseContainer

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator


def score_rows(model: LinearEstimator, X: Array | SparseContainer, y: Array, scoring: str) -> FloatArray:
    """Return the score of each row, (m,), by a fitted model for arrays.

    By "accuracy" a row has one where its class is predicted, by "neg_log_loss" the logarithm of the probability of its
    class.
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


def sum_scores(
    models: Sequence[LinearEstimator],
    X: Array | SparseContainer,
    y: Array,
    sample_weight: FloatArray | None,
    scoring: str,
) -> FloatArray:
    """Return the weighted sum of the scores of some rows by each model, their weight, and the unit of both: (n + 2,).

    X, y and scoring are as `score_rows` takes them. The unit is a power of two: the weights' own sum may overflow.
    """
    sums = np.zeros(len(models) + 2)
    if len(y):
        weights = np.ones(len(y)) if sample_weight is None else sample_weight
        unit = choose_unit(weights.max())
        weights = weights / unit
        scores = [np.sum(weights * score_rows(model, X, y, scoring)) for model in models]
        sums[:] = *scores, weights.sum(), unit
    return sums


def average_scores(found: Iterable[FloatArray]) -> FloatArray:
    """Return the mean score of all rows by each model, (n,), from the sums of their parts by `sum_scores`."""
    sums = np.array(list(found))
    units = sums[:, -1]
    *totals, weight = (units / units.max()) @ sums[:, :-1]
    return np.array(totals) / weight
