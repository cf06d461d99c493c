"""The rows that the training of a network is validated on: given by the caller, or set aside."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_array

from fastlin.containers import read_if_sparse
from fastlin.estimators.scikit_learn import check_feature_names
from fastlin.estimators.targets import read_targets
from fastlin.matrices import DTYPES, as_matrix
from fastlin.networks import Examples

if TYPE_CHECKING:
    from fastlin.estimators import TrainedEstimator


def read_validation(estimator: TrainedEstimator, X_val: Any, y_val: Any, kind: str) -> Examples | None:
    """Return the Examples to validate on that `fit` was given, or None where there are none.

    `kind` is that of the Targets to train on.

    Raises
    ------
    ValueError
        They are of another shape, kind or classes than the rows to train on, or not finite.
    """
    if X_val is None and y_val is None:
        return None
    if X_val is None or y_val is None:
        raise ValueError(f"X_val and y_val must be given together, got only {'y_val' if X_val is None else 'X_val'}")
    with _named("X_val"):
        check_feature_names(estimator, X_val, reset=False)
        # Our own checks come first: scikit-learn would convert a broken container without a look at it.
        X_val = check_array(read_if_sparse(X_val, "X_val"), accept_sparse="csr", dtype=DTYPES, input_name="X_val")
    with _named("y_val"):
        y_val = check_array(
            read_if_sparse(y_val, "y_val"), accept_sparse="csr", ensure_2d=False, dtype=None, input_name="y_val"
        )
        targets = read_targets(y_val).seen_as(kind, len(estimator.classes_))
    if X_val.shape != (len(targets.labels), estimator.n_features_in_):
        raise ValueError(
            f"X_val must have the {estimator.n_features_in_} columns of X and a row for each of the "
            f"{len(targets.labels)} labels of y_val, got the shape {X_val.shape}"
        )
    if targets.kind != kind:
        raise ValueError(f"y_val must be of the kind of y, {kind}, got {targets.kind}")
    return Examples(as_matrix(X_val), targets.among(estimator.classes_, "y_val"))


def set_aside(
    estimator: TrainedEstimator, examples: Examples, random_state: np.random.RandomState
) -> Iterator[Examples]:
    """Return Examples to train on and Examples to validate on, as scikit-learn's MLPClassifier splits them.

    Raises
    ------
    ValueError
        Too few rows, or rows without weight, are left to train or to validate on.
    """
    is_binary = len(estimator.classes_) == 2 and examples.labels.ndim == 1
    try:
        train, val = train_test_split(
            np.arange(len(examples)),
            random_state=random_state,
            test_size=estimator.validation_fraction,
            # The column that scikit-learn has: its message names these values.
            stratify=examples.labels[:, np.newaxis].astype(bool) if is_binary else None,
        )
        if len(val) < 2:
            raise ValueError("at least 2 rows are needed")
    except ValueError as error:
        raise ValueError(
            f"validation_fraction={estimator.validation_fraction} of {len(examples)} rows cannot be set aside to "
            f"validate on: change it, or give X_val and y_val ({error})."
        ) from error
    if examples.weights is not None and not (examples.weights[train].any() and examples.weights[val].any()):
        raise ValueError(
            "sample_weight leaves no weight above zero to the rows to train on or to those that "
            f"validation_fraction={estimator.validation_fraction} sets aside; give X_val and y_val."
        )
    return (Examples(examples.matrix, examples.labels, examples.weights, rows) for rows in (train, val))


@contextlib.contextmanager
def _named(argument):
    """Put the name of an argument before the message of an error that does not have it."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if argument not in str(error):
            error.args = (f"{argument}: {error}",)
        raise
