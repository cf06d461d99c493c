"""Accuracy and log loss of rows by a fitted model, which see the offsets of the rows and take soft labels.

A row with soft labels has the mean of the scores of its classes, weighted by their probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import get_scorer

from fastlin.blocks.blocks import Blocks
from fastlin.estimators.labels import are_soft
from fastlin.estimators.scikit_learn import check_sample_weight, give_labels
from fastlin.typing import Array, FloatArray

SCORINGS = "accuracy", "neg_log_loss"


def score_rows(model: Any, X: Any, y: Array, scoring: str, offset: ArrayLike | None = None) -> FloatArray:
    """Return the score of each row, (m,), by a fitted model.

    By "accuracy" a row has one where its class is predicted, or the probability of that class by its soft labels; by
    "neg_log_loss" the logarithm of the probability of its class.

    Raises
    ------
    ValueError
        The model does not know a label, or has another number of classes than the soft labels; or accuracy and log
        loss are not what is asked for.
    """
    # A user's subclass may predict without offsets.
    given = {} if offset is None else {"offset": offset}
    classes = model.classes_
    if are_soft(y):
        if y.shape[1] != len(classes):
            raise ValueError(f"y must have a column for each of the {len(classes)} classes, got the shape {y.shape}.")
        if scoring == "accuracy":
            best = np.searchsorted(classes, join(model.predict(X, **given)))
            return np.take_along_axis(y, best[:, None], axis=1)[:, 0]
        logarithms = _find_logarithms(join(model.predict_proba(X, **given)))
        return np.einsum("ik,ik->i", y, logarithms, dtype=np.float64)
    if scoring == "accuracy":
        return join(model.predict(X, **given)) == y
    labels = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    if (classes[labels] != y).any():
        raise ValueError(f"y has the label {y[classes[labels] != y].tolist()[0]!r}, which the model does not know.")
    return _find_logarithms(join(model.predict_proba(X, **given))[np.arange(len(labels)), labels])


class ScoredRows(NamedTuple):
    """Rows that models are scored on, and their labels, of some classes.

    X are rows of numbers, a table's matrix or Blocks, and params metadata of the rows for the scorer.
    """

    X: Any
    y: np.ndarray
    classes: np.ndarray
    offsets: ArrayLike | None
    params: Mapping[str, Any]

    def score(self, model: Any, scoring: Any) -> float:
        """Return the score of a model by the parameter `scoring`."""
        name = name_row_scores(scoring, self.y, self.offsets)
        if name is not None:
            # scikit-learn's checks take most of the time of small searches: 8 milliseconds a score of 83 rows.
            return average_rows(model, self.X, self.y, name, self.params.get("sample_weight"), self.offsets)
        # The rows need not hold every class.
        scorer = give_labels(get_scorer(scoring), self.classes)
        return scorer(join_answers(model) if isinstance(self.X, Blocks) else model, self.X, self.y, **self.params)


def average_rows(
    model: Any, X: Any, y: Array, scoring: str, sample_weight: ArrayLike | None, offset: ArrayLike | None = None
) -> float:
    """Return the weighted mean of what `score_rows` returns."""
    scores = score_rows(model, X, y, scoring, offset)
    weights = None if sample_weight is None else check_sample_weight(sample_weight, scores)
    return float(np.average(scores.astype(np.float64), weights=weights))


def name_row_scores(scoring: Any, y: Any, offset: Any) -> str | None:
    """Return which of SCORINGS `scoring` names, and None for another scorer.

    Raises
    ------
    ValueError
        The rows have offsets or soft labels, which no other scorer sees.
    """
    name = "accuracy" if scoring is None else scoring
    if isinstance(name, str) and name in SCORINGS:
        return name
    if offset is not None or are_soft(y):
        raise ValueError(
            f"scoring must be 'accuracy', 'neg_log_loss' or None for rows with "
            f"{'soft labels' if offset is None else 'an offset'}, which no other scorer sees, got {scoring!r}."
        )
    return None


def join_answers(model: Any) -> Any:
    """Return a shallow copy of a fitted model that answers for Blocks with one array, as scorers want it."""
    joined = copy(model)
    joined._answer = lambda method, X, offset=None: join(model._answer(method, X, offset))
    return joined


def join(answer: Any) -> Array:
    """Return an answer for rows, or those for Blocks, as one array."""
    return answer if isinstance(answer, np.ndarray) else np.concatenate(list(answer))


def _find_logarithms(probabilities):
    # As in scikit-learn's log_loss.
    smallest = np.finfo(probabilities.dtype).eps
    return np.log(np.clip(probabilities, smallest, 1 - smallest))
