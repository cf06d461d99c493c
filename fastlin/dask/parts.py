"""What becomes of a partition on the worker that holds it: rows in a type that kernels take, with labels and weights.

A partition is decoded, and described to the client, which gets its labels, weights and offsets. One that is computed
again is compared with what it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.validation import assert_all_finite

from fastlin.blocks.blocks import add_row_lengths, digest_rows, digest_values, read_type
from fastlin.containers import read_container
from fastlin.estimators.columns import is_missing
from fastlin.estimators.labels import encode_labels, named, read_labels, read_offset_numbers, read_probabilities
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


@dataclass(frozen=True)
class Description:
    """What the client knows of a partition; the digests of rows must be the same when it is computed again."""

    name: str
    shape: tuple
    dtype: np.dtype
    is_sparse: bool
    n_entries: int
    longest_row: int
    digests: dict[str, bytes]
    classes: str = field(compare=False, default="")

    @classmethod
    def of(cls, part: Part) -> Self:
        """Return the Description of a decoded Part."""
        is_sparse = sparse.issparse(part.X)
        n_entries, longest_row = add_row_lengths(part.X, (0, 0)) if is_sparse else (part.X.size, part.X.shape[1])
        digests = {
            "labels": digest_values(part.y),
            "weights": digest_values(part.sample_weight),
            "offsets": digest_values(part.offsets),
            "rows": digest_rows(part.X),
        }
        kind = part.X.shape, part.X.dtype, is_sparse, n_entries, longest_row
        return cls(part.name, *kind, digests, _shorten(part.classes))

    def check(self, part: Part) -> None:
        """Raise a DataChangedError where a decoded Part is not what it was."""
        found = Description.of(part)
        if found == self:
            return
        if replace(found, digests=self.digests) != self:
            what = f"was {self} and is {found} now"
        else:
            changed = next(name for name, known in self.digests.items() if found.digests[name] != known)
            what = f"has other {changed}"
            if changed == "labels":
                what += f", which were {self.classes} and are {_shorten(part.classes)} now"
        raise DataChangedError(
            f"{part.name} was computed again, as where a worker is lost, and {what}. A partition must be the same each "
            "time: persist the data before the fit, and give functions that draw random numbers a seed."
        )

    def __str__(self) -> str:
        """Return shape, type and kind in words."""
        kind = f"sparse with {self.n_entries} entries" if self.is_sparse else "dense"
        return f"{self.shape[0]} x {self.shape[1]} {self.dtype}, {kind}"


def name_partition(number: int) -> str:
    """Return the name of a partition in errors."""
    return f"Partition {number}"


def decode(X: Any, y: ArrayLike, sample_weight: ArrayLike | None, name: str, offset: ArrayLike | None = None) -> Part:
    """Return the Part of a partition; the ValueError for content that a fit refuses names the partition."""
    X = read_container(X, f"{name} of X")[0] if sparse.issparse(X) else np.asarray(X)
    if X.ndim == 2 and not X.shape[0] and not sparse.issparse(X):
        # An empty partition of a dataframe may have any type.
        X = np.empty(X.shape)
    X = X.astype(read_type(X, f"{name} of X"), copy=False)
    assert_all_finite(X, input_name=f"{name} of X")
    with named(f"{name} of y"):
        y, classes = _read_labels(np.asarray(y), X.shape[0], f"{name} of y")
    weights = offsets = None
    if sample_weight is not None:
        with named(f"{name} of sample_weight"):
            weights = np.asarray(sample_weight).astype(np.float64)
            if weights.shape != y.shape[:1]:
                raise ValueError(f"it has the shape {weights.shape}, but X has {len(y)} rows there.")
            assert_all_finite(weights, input_name="it")
            if (weights < 0).any():
                raise ValueError("Negative values in data passed to `sample_weight`.")
    if offset is not None:
        offsets = read_offset_numbers(offset, f"{name} of offset")
        if len(offsets) != X.shape[0]:
            raise ValueError(f"{name} of offset has the shape {offsets.shape}, but X has {X.shape[0]} rows there.")
        offsets = offsets[:, None] if offsets.ndim == 1 else offsets
    return Part(name, X, y, classes, weights, offsets)


def _read_labels(y, n_rows, name):
    """Return labels (m,) or soft labels (m, n_classes), and their classes."""
    if y.ndim == 2 and y.shape[1] > 1:
        if y.dtype.kind != "f" or len(y) != n_rows:
            raise ValueError(
                f"{name} has the shape {y.shape} and {y.dtype}, but X has {n_rows} rows there; y holds a label for "
                "each row, or its probabilities of the classes, which are floats."
            )
        return read_probabilities(y, name) if n_rows else y.astype(np.float64), np.arange(y.shape[1])
    if y.dtype.kind == "O":
        if any(map(is_missing, y.flat)):
            raise ValueError(f"{name} contains NaN, or None, where a label is missing.")
        numbers = np.array(y.tolist())
        y = numbers if numbers.dtype.kind in "biuf" else y
    labels = read_labels(None, y[:, 0] if y.ndim == 2 else y, n_rows)
    return labels, encode_labels(labels)[0]


def describe(part: Part) -> tuple[Description, Array | None, FloatArray | None, FloatArray | None]:
    """Return the Description of a decoded Part, and its labels, weights and offsets."""
    return Description.of(part), part.y, part.sample_weight, part.offsets


def encode(part: Part, dtype: np.dtype[Any], expected: Description) -> Part:
    """Return X of a decoded Part in a type, once the Part is what was expected."""
    expected.check(part)
    return Part(part.name, part.X.astype(dtype, copy=False))


def _shorten(labels):
    """Return labels in words, not all of them where there are many."""
    return f"{labels.tolist()}" if len(labels) <= 10 else f"{len(labels)} from {labels[0]!r} to {labels[-1]!r}"
