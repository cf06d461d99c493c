"""What a network is trained towards: one class a row, several labels a row, or a probability for each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy import sparse
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from fastlin.estimators.training_data import encode_labels
from fastlin.typing import Array

# By how much the probabilities of a row may miss the sum of one, for float32.
SUM_TOLERANCE = 1e-5


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
    y = y if is_sparse else np.asarray(y)
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
