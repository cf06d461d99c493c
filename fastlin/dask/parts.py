"""What becomes of a partition on the worker that holds it: rows in a type that kernels take, with labels and weights.

A partition is decoded, and described to the client, which gets its labels, weights and offsets. One that is computed
again is compared with what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.validation import assert_all_finite

from fastlin.blocks.descriptions import Description, describe_rows, read_type
from fastlin.containers import read_if_sparse
from fastlin.estimators.labels import encode_labels, prefix_errors, read_labels, read_offset_numbers, read_weights
from fastlin.estimators.table_columns import is_missing
from fastlin.exceptions import DataChangedError
from fastlin.matrices import DenseMatrix, SparseMatrix, as_matrix
from fastlin.typing import Array, FloatArray


@dataclass(frozen=True, eq=False)
class Part:
    """The rows of a partition: X, an array or CSR of finite numbers in a type of fits.

    y are labels (m,), or soft ones (m, n_classes), and `classes` the different ones. offsets (m, K) are added to the
    scores. Once the client has them, a Part has X alone.
    """

    name: str
    X: Any
    y: np.ndarray | None = None
    classes: np.ndarray | None = None
    sample_weight: np.ndarray | None = None
    offsets: np.ndarray | None = None

    @cached_property
    def matrix(self) -> DenseMatrix | SparseMatrix:
        """X as a DenseMatrix or a SparseMatrix."""
        return as_matrix(self.X)

    def __sizeof__(self) -> int:
        """Return the bytes of the rows, which tell a scheduler the cost of a move."""
        arrays = [self.X.data, self.X.indices, self.X.indptr] if sparse.issparse(self.X) else [self.X]
        arrays += [each for each in (self.y, self.sample_weight, self.offsets) if each is not None]
        return object.__sizeof__(self) + sum(array.nbytes for array in arrays)


def name_partition(number: int) -> str:
    """Return the name of a partition in errors."""
    return f"Partition {number}"


def decode(X: Any, y: ArrayLike, sample_weight: ArrayLike | None, name: str, offset: ArrayLike | None = None) -> Part:
    """Return the Part of a partition; the ValueError for content that a fit refuses names the partition."""
    X = read_if_sparse(X, f"{name} of X") if sparse.issparse(X) else np.asarray(X)
    if X.ndim == 2 and not X.shape[0] and not sparse.issparse(X):
        # An empty partition of a dataframe may have any type.
        X = np.empty(X.shape)
    X = X.astype(read_type(X, f"{name} of X"), copy=False)
    assert_all_finite(X, input_name=f"{name} of X")
    with prefix_errors(f"{name} of y"):
        y, classes = _read_labels(np.asarray(y), X.shape[0])
    weights = offsets = None
    if sample_weight is not None:
        with prefix_errors(f"{name} of sample_weight"):
            weights = read_weights(np.asarray(sample_weight, np.float64), y)
    if offset is not None:
        offsets = read_offset_numbers(offset, f"{name} of offset")
        if len(offsets) != X.shape[0]:
            raise ValueError(f"{name} of offset has the shape {offsets.shape}, but X has {X.shape[0]} rows there.")
        offsets = offsets[:, None] if offsets.ndim == 1 else offsets
    return Part(name, X, y, classes, weights, offsets)


def _read_labels(y, n_rows):
    """Return labels (m,) or soft labels (m, n_classes), and their classes."""
    if y.ndim == 2 and y.shape[1] > 1:
        soft = read_labels(None, y, n_rows, are_probabilities=True) if y.size else y.astype(np.float64)
        return soft, np.arange(y.shape[1])
    if y.dtype.kind == "O":
        if any(map(is_missing, y.flat)):
            raise ValueError("it contains NaN, or None, where a label is missing.")
        numbers = np.array(y.tolist())
        y = numbers if numbers.dtype.kind in "biuf" else y
    labels = read_labels(None, y[:, 0] if y.ndim == 2 else y, n_rows)
    return labels, encode_labels(labels)[0]


def describe(part: Part) -> Description:
    """Return the Description of a decoded Part."""
    told = {"labels": part.y, "weights": part.sample_weight, "offsets": part.offsets}
    return describe_rows(part.X, part.name, _shorten(part.classes), **told)


def tell(part: Part) -> tuple[Description, Array | None, FloatArray | None, FloatArray | None]:
    """Return the Description of a decoded Part, and its labels, weights and offsets."""
    return describe(part), part.y, part.sample_weight, part.offsets


def encode(part: Part, dtype: np.dtype[Any], expected: Description) -> Part:
    """Return X of a decoded Part in a type, once the Part is what was expected."""
    change = expected.find_change(describe(part))
    if change:
        raise DataChangedError(
            f"{part.name} was computed again, as where a worker is lost, and {change}. A partition must be the same "
            "each time: persist the data before the fit, and give functions that draw random numbers a seed."
        )
    return Part(part.name, part.X.astype(dtype, copy=False))


def _shorten(labels):
    """Return labels in words, not all of them where there are many."""
    return f"{labels.tolist()}" if len(labels) <= 10 else f"{len(labels)} from {labels[0]!r} to {labels[-1]!r}"
