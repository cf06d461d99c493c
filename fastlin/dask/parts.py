"""What becomes of a partition on the worker that holds it: rows in a type that kernels take, with classes and weights.

A partition is decoded, then described to the client, and encoded once the client knows the classes of all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from fastlin.containers import read_container
from fastlin.matrices import DTYPES, as_matrix
from fastlin.typing import Array

if TYPE_CHECKING:
    from fastlin.matrices.dense import DenseMatrix
    from fastlin.matrices.sparse import SparseMatrix

ACCEPTED = "Partitions hold two-dimensional NumPy arrays, or SciPy sparse matrices, of real numbers."


@dataclass(frozen=True, eq=False)
class Part:
    """The rows of a partition.

    Attributes
    ----------
    name : str
        What the partition is called where something is wrong with it.
    X : ndarray or CSR of shape (m, d)
        Finite numbers of one of the types of fits.
    labels : ndarray of shape (m,)
        The labels as they came, and once they are encoded the numbers of the classes, int32.
    sample_weight : ndarray of shape (m,), float64, or None
        The weights of the rows; None means ones.
    """

    name: str
    X: Any
    labels: np.ndarray
    sample_weight: np.ndarray | None

    @cached_property
    def matrix(self) -> DenseMatrix | SparseMatrix:
        """X as a DenseMatrix or a SparseMatrix."""
        return as_matrix(self.X)

    def __sizeof__(self) -> int:
        """Return the bytes of the rows, by which a scheduler judges what it takes to move them."""
        arrays = [self.X.data, self.X.indices, self.X.indptr] if sparse.issparse(self.X) else [self.X]
        arrays += [self.labels] + ([] if self.sample_weight is None else [self.sample_weight])
        return object.__sizeof__(self) + sum(array.nbytes for array in arrays)


@dataclass(frozen=True, eq=False)
class Description:
    """What the client has to know of a partition.

    Attributes
    ----------
    name : str
        What the partition is called.
    shape : tuple of int
        The number of rows m and of columns d.
    dtype : dtype
        The type of X.
    is_sparse : bool
        Whether X is sparse.
    n_entries, longest_row : int
        The number of entries, and that of the longest row.
    classes : ndarray
        The labels that it has, sorted.
    first_rows : ndarray
        The number of the first row of each of them.
    counts : ndarray
        The number of rows of each of them.
    weights, largest : ndarray
        The sum of the sample weights of each of them, and the largest one.
    """

    name: str
    shape: tuple
    dtype: np.dtype
    is_sparse: bool
    n_entries: int
    longest_row: int
    classes: np.ndarray
    first_rows: np.ndarray
    counts: np.ndarray
    weights: np.ndarray
    largest: np.ndarray


def decode(X: Any, y: ArrayLike, sample_weight: ArrayLike | None, name: str) -> Part:
    """Return the Part of a partition.

    Raises
    ------
    ValueError
        What the partition holds is not what a fit takes; the error has its name.
    """
    X = read_container(X, f"{name} of X")[0] if sparse.issparse(X) else np.asarray(X)
    if X.ndim == 2 and not X.shape[0] and not sparse.issparse(X):
        # An empty partition of a dataframe may have any type.
        X = np.empty(X.shape)
    if X.ndim != 2 or X.dtype.kind not in "fiub":
        raise ValueError(f"{name} of X is a {X.ndim}-D {type(X).__name__} of {X.dtype}. {ACCEPTED}")
    if X.dtype not in DTYPES:
        X = X.astype(np.float64)
    _check_finite(X.data if sparse.issparse(X) else X, f"{name} of X")
    n_rows = X.shape[0]
    labels = _read_labels(_read_column(y, n_rows, f"{name} of y"), f"{name} of y")
    if labels.dtype.kind == "f":
        _check_finite(labels, f"{name} of y")
        if (labels != np.floor(labels)).any():
            raise ValueError(f"Unknown label type: continuous. {name} of y holds numbers that are not whole.")
    if sample_weight is not None:
        sample_weight = _read_column(sample_weight, n_rows, f"{name} of sample_weight").astype(np.float64)
        _check_finite(sample_weight, f"{name} of sample_weight")
        if (sample_weight < 0).any():
            raise ValueError(f"Negative values in data passed to `sample_weight`: {name} has {sample_weight.min()}.")
    return Part(name, X, labels, sample_weight)


def _read_column(values, n_rows, name):
    """Return labels or weights as an array with one entry a row; a single column may be two-dimensional."""
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (n_rows,):
        raise ValueError(f"{name} has the shape {values.shape}, but X has {n_rows} rows there.")
    return values


def _read_labels(labels, name):
    """Return labels in the type of numbers where objects are numbers, once none of them is missing."""
    if labels.dtype.kind != "O":
        return labels
    if any(map(_is_missing, labels)):
        raise ValueError(f"{name} contains NaN, or None, where a label is missing.")
    if any(isinstance(label, str) for label in labels):
        return labels
    numbers = np.array(labels.tolist())
    return numbers if numbers.dtype.kind in "biuf" and numbers.shape == labels.shape else labels


def _is_missing(label):
    try:
        return label is None or bool(label != label)
    except TypeError:
        # The missing value of pandas is neither equal nor unequal to itself.
        return True


def _check_finite(values, name):
    """Raise a ValueError where values are not finite."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        what = "NaN" if np.isnan(values).any() else "infinity"
        raise ValueError(f"{name} contains {what}.")


def describe(part: Part) -> Description:
    """Return the Description of a decoded Part."""
    try:
        classes, first_rows, labels, counts = np.unique(
            part.labels, return_index=True, return_inverse=True, return_counts=True
        )
    except TypeError as error:
        raise ValueError(f"{part.name} of y has labels of types that cannot be compared: {error}") from error
    weights, largest = counts, np.ones(len(classes))
    if part.sample_weight is not None:
        weights, largest = np.bincount(labels, part.sample_weight, len(classes)), np.zeros(len(classes))
        np.maximum.at(largest, labels, part.sample_weight)
    is_sparse = sparse.issparse(part.X)
    lengths = np.diff(part.X.indptr) if is_sparse else None
    return Description(
        name=part.name,
        shape=part.X.shape,
        dtype=part.X.dtype,
        is_sparse=is_sparse,
        n_entries=part.X.nnz if is_sparse else part.X.size,
        longest_row=int(lengths.max(initial=0)) if lengths is not None else part.X.shape[1],
        classes=classes,
        first_rows=first_rows,
        counts=counts,
        weights=weights.astype(np.float64),
        largest=largest,
    )


def encode(parts: Iterable[Part], first: int, dtype: np.dtype[Any], classes: Array) -> Group:
    """Return a group: Parts by their numbers from first on, with X of one type and labels that number the classes."""
    group = {}
    for number, part in enumerate(parts, first):
        labels = np.searchsorted(classes, part.labels).astype(np.int32)
        group[number] = replace(part, X=part.X.astype(dtype, copy=False), labels=labels)
    return Group(group)


class Group(dict):
    """Parts by their numbers: consecutive partitions, which one worker holds."""

    def __sizeof__(self) -> int:
        """Return the bytes of the rows."""
        return super().__sizeof__() + sum(part.__sizeof__() for part in self.values())
