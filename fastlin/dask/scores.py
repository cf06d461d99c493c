"""The scores of rows by a model, whose mean is the accuracy or the negative logarithmic loss, and sums of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastlin.estimators.labels import choose_unit
from fastlin.estimators.linear_predictions import score_rows
from fastlin.typing import Array, FloatArray, SparseContainer

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator


def sum_scores(
    models: Sequence[LinearEstimator],
    X: Array | SparseContainer,
    y: Array,
    sample_weight: FloatArray | None,
    scoring: str,
    offset: FloatArray | None = None,
) -> FloatArray:
    """Return the weighted sum of the scores of some rows by each model, their weight, and the unit of both: (n + 2,).

    X, y, scoring and offset are as `score_rows` takes them. The unit is a power of two: the weights' own sum may
    overflow.
    """
    sums = np.zeros(len(models) + 2)
    if len(y):
        weights = np.ones(len(y)) if sample_weight is None else sample_weight
        unit = choose_unit(weights.max())
        weights = weights / unit
        scores = [np.sum(weights * score_rows(model, X, y, scoring, offset)) for model in models]
        sums[:] = *scores, weights.sum(), unit
    return sums


def average_scores(found: Iterable[FloatArray]) -> FloatArray:
    """Return the mean score of all rows by each model, (n,), from the sums of their parts by `sum_scores`."""
    sums = np.array(list(found))
    units = sums[:, -1]
    *totals, weight = (units / units.max()) @ sums[:, :-1]
    return np.array(totals) / weight
