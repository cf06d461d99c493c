"""The data of a training of networks: targets, weights, and the rows to validate on, given or set aside.

A target is one class a row, several labels a row, or a probability for each class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from fastlin.estimators.labels import ROWS, SUM_TOLERANCE, encode_labels, named, read_labels, read_several, weigh_rows
from fastlin.estimators.training_data import read_matrix
from fastlin.networks import Examples
from fastlin.tensors import to_numbers
from fastlin.typing import Array

if TYPE_CHECKING:
    from fastlin.estimators import TrainedEstimator

# Sums of weights times losses of up to 1e8 a row stay finite below it.
HEAVIEST = 1e300


@dataclass(frozen=True, eq=False)
class Targets:
    """The targets of some rows, by their kind.

    "class" is one class a row: classes are those that occur, sorted, and labels the number of each row's class. With
    "multilabel", zeros and ones for each label, and "soft", probabilities that sum to one, classes are numbers from 0
    for the columns of labels (n, n_classes), float64.
    """

    kind: str
    classes: np.ndarray
    labels: np.ndarray

    def seen_as(self, kind: str, n_classes: int) -> Targets:
        """Return the Targets as probabilities, where the others are and these are certain; else as they are."""
        is_certain = self.kind == "multilabel" and (self.labels.sum(axis=1) == 1).all()
        if kind == "soft" and is_certain:
            return Targets("soft", self.classes, self.labels)
        is_number = self.kind == "class" and self.classes.dtype.kind in "iu"
        if kind == "soft" and is_number and np.isin(self.classes, np.arange(n_classes)).all():
            return Targets("soft", np.arange(n_classes), np.eye(n_classes)[self.classes[self.labels]])
        return self

    def among(self, classes: Array, name: str) -> Array:
        """Return the labels, numbered by the given classes.

        Raises
        ------
        ValueError
            A label is not among them; name says whose.
        """
        if self.kind != "class":
            if len(classes) != len(self.classes):
                raise ValueError(
                    f"{name} must have a column for each of {len(classes)} classes, got {len(self.classes)}"
                )
            return self.labels
        if np.array_equal(classes, self.classes):
            return self.labels
        unknown = self.classes[~np.isin(self.classes, classes)]
        if len(unknown):
            raise ValueError(f"{name} must hold classes of {classes} only, got {unknown}")
        return np.searchsorted(classes, self.classes)[self.labels]


def read_targets(y: Any) -> Targets:
    """Return the Targets in y, of shape (n,) or (n, n_classes), after scikit-learn's checks.

    Zeros and ones in several columns are labels of which each row may have several, as in scikit-learn. Other numbers
    from 0 to 1 that sum to one in each row are probabilities of the classes.

    Raises
    ------
    ValueError
        y holds neither.
    """
    is_sparse: bool = sparse.issparse(y)
    y = y if is_sparse else to_numbers(np.asarray(y))
    if y.ndim < 2 or (y.ndim == 2 and y.shape[1] == 1 and not is_sparse):
        return Targets("class", *encode_labels(column_or_1d(y, warn=True)))
    kind = type_of_target(y, input_name="y")
    targets: Any = cast("Any", y).toarray() if is_sparse else y
    if kind == "continuous-multioutput":
        sums = targets.sum(axis=1)
        if not (targets.min() >= 0 and np.abs(sums - 1).max() <= SUM_TOLERANCE):
            raise ValueError(
                "y must hold one class a row, zeros and ones, or probabilities of at least 0 that sum to one in each "
                f"row; its rows sum to numbers from {sums.min():.6g} to {sums.max():.6g}, its smallest entry is "
                f"{targets.min():.6g}"
            )
        kind = "soft"
    elif kind == "multilabel-indicator":
        # Whatever two numbers there are, as for scikit-learn.
        kind, targets = "multilabel", targets != 0
    else:
        check_classification_targets(y)
        raise ValueError(f"y must hold one class a row, zeros and ones, or probabilities, got {kind} data")
    return Targets(kind, np.arange(targets.shape[1]), targets.astype(np.float64))


def make_examples(
    estimator: TrainedEstimator, matrix: Any, targets: Targets, sample_weight: ArrayLike | None
) -> Examples:
    """Return Examples of rows with Targets, whose weights count as they are in a training.

    Raises
    ------
    ValueError
        A label is not among the classes of the estimator, the sum of the weights is above HEAVIEST, or the classes are
        to be weighed where a row may have several.
    """
    classes, class_weight = estimator.classes_, estimator.class_weight
    if class_weight is not None and targets.kind != "class":
        raise ValueError(f"class_weight needs one class a row in y, got {targets.kind} y; give sample_weight.")
    labels = targets.among(classes, "y")
    weights, _ = weigh_rows(labels, classes, sample_weight, class_weight)
    if weights is not None:
        with np.errstate(over="ignore"):
            total = weights.sum()
        if total > HEAVIEST:
            raise ValueError(
                f"sample_weight times class_weight must sum to at most {HEAVIEST:g}, got {total:.3g}: divide all "
                "weights by the largest."
            )
    return Examples(matrix, labels, weights)


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
    with named(ROWS):
        matrix = read_matrix(estimator, X_val, reset=False)
    with named("y_val"):
        y_val = read_labels(estimator, y_val, matrix.shape[0], read_several, "_val")
        targets = read_targets(y_val).seen_as(kind, len(estimator.classes_))
    if targets.kind != kind:
        raise ValueError(f"y_val must be of the kind of y, {kind}, got {targets.kind}")
    return Examples(matrix, targets.among(estimator.classes_, "y_val"))


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
