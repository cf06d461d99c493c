"""Rows for a fitted model: their columns and classes are those of its fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from fastlin.blocks.blocks import Blocks
from fastlin.estimators.coefficients import check_coefficients
from fastlin.estimators.labels import are_soft, choose_labels, read_labels
from fastlin.estimators.parameters import limit_jobs
from fastlin.estimators.training_data import make_training_data, read_blocks, read_matrix
from fastlin.typing import MatrixLike

if TYPE_CHECKING:
    from fastlin.estimators.training_data import TrainingData


@contextmanager
def reading_known_data(
    model: Any,
    X: MatrixLike | Blocks,
    y: ArrayLike | None,
    sample_weight: ArrayLike | None,
    offset: ArrayLike | None,
) -> Iterator[TrainingData]:
    """Yield the TrainingData of the fit of a model, within the limits of its `n_jobs`.

    Raises
    ------
    ValueError
        The rows are not those of such a fit.
    """
    check_is_fitted(model)
    # What overflows at extreme scales is looked for in what is found.
    with limit_jobs(model.n_jobs), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if isinstance(X, Blocks):
            matrix: Any = read_blocks(model, X, reset=False)
            y, sample_weight = choose_labels(X, y, sample_weight)
        else:
            # The measurement of the columns finds out whether X is finite.
            matrix = read_matrix(model, X, reset=False, ensure_all_finite=False)
        y = read_labels(model, y, matrix.shape[0])
        check_coefficients(model, matrix.shape[1])
        # Its checks may not change the model.
        classes = model.classes_ if are_soft(y) else None
        data = make_training_data(copy(model), matrix, y, sample_weight, offset, classes)
        _check_classes(data.classes, model.classes_)
        yield data


def _check_classes(found, known):
    """Raise a ValueError where rows do not have the classes of a model."""
    if found.shape == known.shape and (found == known).all():
        return
    unknown = [label for label in found.tolist() if label not in known.tolist()]
    if unknown:
        raise ValueError(f"y holds {unknown[0]!r}, which is none of the classes of the model, {known.tolist()}.")
    missing = [label for label in known.tolist() if label not in found.tolist()]
    raise ValueError(f"No row of y has the class {missing[0]!r} of the model: its coefficients have no finite optimum.")
