"""Partitions on the workers: rows in a dtype that kernels support, with labels, weights and offsets.

A worker decodes a partition and sends its description, labels, weights and offsets to the client. If a partition is
computed again, it is compared with its description.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.validation import assert_all_finite

from fastlin.blocks.descriptions import RowsDescription, check_dtype, describe_rows
from fastlin.containers.sparse_containers import validate_if_sparse
from fastlin.estimators.labels import (
    encode_labels,
    prefix_error_messages,
    validate_labels,
    validate_offset_values,
    validate_weights,
)
from fastlin.estimators.table_columns import is_missing
from fastlin.exceptions import DataChangedError
from fastlin.matrices import DenseMatrix, SparseMatrix, as_matrix
from fastlin.typing import Array, FloatArray


@dataclass(frozen=True, eq=False)
class PartitionData:
    """The rows of a partition. X is an array or CSR matrix of finite numbers, with a dtype that `fit` supports.

    `y` contains labels (m,) or soft labels (m, n_classes), and `classes` contains the distinct labels. `offsets` (m, K)
    are added to the scores. After these arrays are sent to the client, only X is stored.
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
        """Return the size in bytes. Dask's scheduler estimates the cost of a transfer from it."""
        arrays = [self.X.data, self.X.indices, self.X.indptr] if sparse.issparse(self.X) else [self.X]
        arrays += [array for array in (self.y, self.sample_weight, self.offsets) if array is not None]
        return object.__sizeof__(self) + sum(array.nbytes for array in arrays)


def name_partition(number: int) -> str:
    """Return the name of a partition for error messages."""
    return f"Partition {number}"


def decode_partition(
    X: Any, y: ArrayLike, sample_weight: ArrayLike | None, name: str, offset: ArrayLike | None = None
) -> PartitionData:
    """Return the decoded rows of a partition. Raise a ValueError that names the partition if its content is invalid."""
    X = validate_if_sparse(X, f"{name} of X") if sparse.issparse(X) else np.asarray(X)
    if X.ndim == 2 and not X.shape[0] and not sparse.issparse(X):
        # An empty partition of a DataFrame may have any dtype.
        X = np.empty(X.shape)
    X = X.astype(check_dtype(X, f"{name} of X"), copy=False)
    assert_all_finite(X, input_name=f"{name} of X")
    with prefix_error_messages(f"{name} of y"):
        y, classes = _check_labels(np.asarray(y), X.shape[0])
    weights = offsets = None
    if sample_weight is not None:
        with prefix_error_messages(f"{name} of sample_weight"):
            weights = validate_weights(np.asarray(sample_weight, np.float64), y)
    if offset is not None:
        offsets = validate_offset_values(offset, f"{name} of offset")
        if len(offsets) != X.shape[0]:
            raise ValueError(f"{name} of offset has shape {offsets.shape}, but {name} of X has {X.shape[0]} rows.")
        offsets = offsets[:, None] if offsets.ndim == 1 else offsets
    return PartitionData(name, X, y, classes, weights, offsets)


def _check_labels(y, n_rows):
    """Return valid labels (m,) or soft labels (m, n_classes), and their classes."""
    if y.ndim == 2 and y.shape[1] > 1:
        soft_labels = validate_labels(None, y, n_rows, are_probabilities=True) if y.size else y.astype(np.float64)
        return soft_labels, np.arange(y.shape[1])
    if y.dtype.kind == "O":
        if any(map(is_missing, y.flat)):
            raise ValueError("it has missing labels (NaN or None). Drop those rows.")
        numbers = np.array(y.tolist())
        y = numbers if numbers.dtype.kind in "biuf" else y
    labels = validate_labels(None, y[:, 0] if y.ndim == 2 else y, n_rows)
    return labels, encode_labels(labels)[0]


def describe(part: PartitionData) -> RowsDescription:
    """Return the description of a decoded partition."""
    arrays = {"labels": part.y, "weights": part.sample_weight, "offsets": part.offsets}
    return describe_rows(part.X, part.name, _format_labels(part.classes), **arrays)


def describe_and_read_arrays(
    part: PartitionData,
) -> tuple[RowsDescription, Array | None, FloatArray | None, FloatArray | None]:
    """Return the description of a decoded partition, and its labels, weights and offsets."""
    return describe(part), part.y, part.sample_weight, part.offsets


def encode_partition(part: PartitionData, dtype: np.dtype[Any], expected: RowsDescription) -> PartitionData:
    """Return a partition with only X, in the given dtype.

    Raise a DataChangedError if the partition does not match `expected`.
    """
    change = expected.describe_change(describe(part))
    if change:
        raise DataChangedError(
            f"{part.name} was computed again, for example because a worker was lost, and {change}. Partitions must not "
            "change: persist the data before the fit, and set the seed of every function that draws random numbers."
        )
    return PartitionData(part.name, part.X.astype(dtype, copy=False))


def _format_labels(labels):
    """Return labels as a string, abbreviated if there are many."""
    return f"{labels.tolist()}" if len(labels) <= 10 else f"{len(labels)} from {labels[0]!r} to {labels[-1]!r}"
