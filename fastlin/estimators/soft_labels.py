"""Soft labels: y of shape (n, K) that says how probable each class is, as teachers and annotators have it.

A row with soft labels counts as K copies of it do, one for each class, weighted by the probabilities.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from fastlin.tensors import read_in_place, to_numbers
from fastlin.typing import Array, FloatArray, IntArray

# By how much the probabilities of a row may miss the sum of one, for float32; those of float16 by its rounding.
SUM_TOLERANCE = 1e-5


def are_soft(y: Any) -> bool:
    """Say whether labels are soft, once `read_soft_labels` has found out; others may be no array yet."""
    return isinstance(y, np.ndarray) and y.ndim == 2


def read_soft_labels(y: ArrayLike | None, name: str = "y") -> FloatArray | None:
    """Return y as float64 (n, K) whose rows sum to one, where it has soft labels, else None.

    Soft labels are floats in at least two columns, some of them neither 0 nor 1: a matrix of zeros and ones is what it
    is without them. Rows that miss the sum of one are scaled, in a copy.

    Raises
    ------
    ValueError
        Some are not finite or below 0, or the sum of a row misses one by more than SUM_TOLERANCE; or there is one
        column of them.
    """
    given = _as_matrix(y, name)
    if given is None or given.dtype.kind != "f" or not given.size:
        return None
    if given.shape[1] == 1:
        if ((given > 0) & (given < 1)).any():
            raise ValueError(
                f"{name} has one column of probabilities, but soft labels have a column for each class, at least two: "
                f"for instance np.column_stack([1 - {name}, {name}])."
            )
        return None
    return None if are_certain(given) else read_probabilities(given, name)


def are_certain(soft: Array) -> bool:
    """Say whether all of some probabilities are 0 or 1."""
    return bool(((soft == 0) | (soft == 1)).all())


def read_probabilities(soft: Array, name: str) -> FloatArray:
    """Return floats in at least two columns as float64 (n, K) whose rows sum to one.

    Raises
    ------
    ValueError
        Some are not finite or below 0, or the sum of a row misses one by more than rounding to their type explains.
    """
    tolerance = max(SUM_TOLERANCE, float(np.finfo(soft.dtype).eps))
    soft = soft.astype(np.float64, copy=False)
    sums = soft.sum(axis=1)
    fits = (np.abs(sums - 1) <= tolerance) & (soft.min(axis=1) >= 0)
    if not fits.all():
        i = int(np.argmin(fits))
        wrong = soft[i][~(soft[i] >= 0) | (soft[i] == np.inf)]
        found = f"holds {wrong[0]:g}" if len(wrong) else f"sums to {sums[i]:.6g}"
        raise ValueError(
            f"{name} has {soft.shape[1]} columns and entries other than 0 and 1, so that its rows are probabilities of "
            f"the classes. They must be finite, at least 0 and sum to one within {tolerance:.2g} in each row, but "
            f"row {i} {found}."
        )
    return soft if (sums == 1).all() else soft / sums[:, None]


def find_most_probable(soft: FloatArray) -> IntArray:
    """Return the number of the most probable class of each row, (n,) int32, of equal ones the first."""
    return soft.argmax(axis=1).astype(np.int32)


def name_classes(classes: ArrayLike | None, n_classes: int) -> Array:
    """Return the classes that the columns of soft labels stand for: those that are given, or numbers from 0 on.

    Raises
    ------
    ValueError
        They are not as many different labels in ascending order, in which all of scikit-learn takes `classes_`.
    """
    if classes is None:
        return np.arange(n_classes)
    names = np.asarray(classes)
    if names.shape != (n_classes,):
        raise ValueError(f"classes must name each of the {n_classes} columns of y, got the shape {names.shape}.")
    if not np.array_equal(sort_classes(names), names):
        raise ValueError(
            f"classes must be different labels in ascending order, got {names.tolist()!r:.200}; bring the columns of y "
            "into the order of the sorted labels."
        )
    return names


def sort_classes(classes: ArrayLike) -> Array:
    """Return the different ones of classes that a user gives, sorted.

    Raises
    ------
    ValueError
        They cannot be compared with each other.
    """
    try:
        return np.unique(np.asarray(classes))
    except TypeError as error:
        raise ValueError(f"classes must be labels that can be sorted, got {classes!r:.200}: {error}") from error


def make_certain(y: Array, classes: Array) -> FloatArray:
    """Return labels among sorted classes as soft labels (n, n_classes)."""
    return (y[:, None] == classes).astype(np.float64)


def to_targets(soft: FloatArray) -> FloatArray:
    """Return soft labels as fits take them, in C order: (n, K), or those of the second of two classes, (n, 1)."""
    return np.ascontiguousarray(soft[:, 1:] if soft.shape[1] == 2 else soft)


def weigh_targets(soft: FloatArray, class_weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what the weights of the classes, (K,), make of the weights of rows, (n,) float64, and of their labels.

    sum_k w_k y_ik l_k is the row's weight sum_k w_k y_ik times the loss for soft labels in proportion to w_k y_ik. A
    row whose classes have no weight keeps its labels.
    """
    # Relative to the largest, since sums may overflow.
    largest = class_weights.max() or 1.0
    shares = soft @ (class_weights / largest)
    with np.errstate(divide="ignore", invalid="ignore"):
        targets = soft * (class_weights / largest) / shares[:, None]
    targets[shares == 0] = soft[shares == 0]
    with np.errstate(over="ignore"):
        return shares * largest, targets


def _as_matrix(y, name):
    """Return y as an array of two dimensions, or None where it is something else."""
    if y is None or sparse.issparse(y):
        return None
    if isinstance(y, (list, tuple)):
        # Labels alone are not looked at: a list of a million takes 40 milliseconds.
        if not (len(y) and isinstance(y[0], (list, tuple, np.ndarray))):
            return None
        try:
            y = np.asarray(y)
        except ValueError:
            return None
    if len(getattr(y, "shape", ())) != 2:
        return None
    return to_numbers(np.asarray(read_in_place(y, name)))
