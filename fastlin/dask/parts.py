"""What becomes of a partition on the worker that holds it: rows in a type that kernels take, with classes and weights.

A partition is decoded, described to the client, and encoded once all classes are known. One that is computed again is
compared with what it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.validation import assert_all_finite

from fastlin.blocks.blocks import add_row_lengths, digest_rows, digest_values, read_type
from fastlin.containers import read_container
from fastlin.estimators.features import is_missing
from fastlin.estimators.labels import (
    are_certain,
    choose_unit,
    encode_labels,
    find_most_probable,
    named,
    read_labels,
    read_offset_numbers,
    read_probabilities,
    to_targets,
    weigh_targets,
)
from fastlin.estimators.scikit_learn import check_sample_weight
from fastlin.exceptions import DataChangedError
from fastlin.kernels.linear.operands import NO_DOUBLE, NO_ROWS, Samples
from fastlin.matrices import as_matrix
from fastlin.typing import Array, FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.matrices.dense import DenseMatrix
    from fastlin.matrices.sparse import SparseMatrix

NO_SAMPLES = Samples(NO_ROWS, NO_ROWS, np.empty(0))


@dataclass(frozen=True, eq=False)
class Part:
    """The rows of a partition: X, an array or CSR of finite numbers in a type of fits.

    labels are int32 numbers of the classes, which are those of the whole fit once encoded. folds are the fold of each
    row, soft (m, n_classes) soft labels, and offsets (m, K) are added to the scores. samples of an encoded Part are the
    rows as a pass reads them.
    """

    name: str
    X: Any
    classes: np.ndarray
    labels: np.ndarray
    sample_weight: np.ndarray | None
    folds: np.ndarray | None = None
    soft: np.ndarray | None = None
    offsets: np.ndarray | None = None
    samples: Samples = NO_SAMPLES

    @cached_property
    def matrix(self) -> DenseMatrix | SparseMatrix:
        """X as a DenseMatrix or a SparseMatrix."""
        return as_matrix(self.X)

    def __sizeof__(self) -> int:
        """Return the bytes of the rows, which tell a scheduler the cost of a move."""
        arrays = [self.X.data, self.X.indices, self.X.indptr] if sparse.issparse(self.X) else [self.X]
        others = self.labels, self.sample_weight, self.folds, self.soft, self.offsets, *self.samples
        arrays += [each for each in others if each is not None]
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
            "labels": digest_values(part.classes) + digest_values(part.labels if part.soft is None else part.soft),
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


class LabelTable(NamedTuple):
    """The labels that some partitions have, sorted, and what their rows come to.

    weights are the sums of the sample weights of each class, divided by `unit`. are_certain says whether all soft
    labels are 0 or 1; None: labels are not soft.
    """

    classes: Array
    weights: FloatArray
    largest: float
    are_certain: bool | None = None

    @property
    def unit(self) -> float:
        """A power of two near the largest sample weight."""
        return choose_unit(self.largest)

    @classmethod
    def of(cls, part: Part) -> Self:
        """Return the table of a decoded Part."""
        n, soft = len(part.labels), part.soft
        weights = np.ones(n) if part.sample_weight is None else part.sample_weight
        largest = float(weights.max(initial=0.0))
        weights = weights / choose_unit(largest)
        if soft is not None:
            # A partition without rows tells nothing.
            return cls(part.classes, weights @ soft, largest, are_certain(soft) if n else None)
        return cls(part.classes, np.bincount(part.labels, weights, len(part.classes)).astype(np.float64), largest)

    @classmethod
    def join(cls, tables: Sequence[Self]) -> Self:
        """Return the table of all partitions, of which some have rows."""
        named = {number: table for number, table in enumerate(tables) if len(table.classes)}
        first, *others = named
        kinds = {number: table.classes.dtype for number, table in named.items()}
        for number in others:
            if (kinds[number].kind in "biuf") != (kinds[first].kind in "biuf"):
                raise ValueError(
                    f"{name_partition(number)} of y has labels of {kinds[number]}, but {name_partition(first)} of "
                    f"{kinds[first]}; all must be numbers, or none."
                )
        classes, weights, largest, certain = zip(*named.values(), strict=True)
        together, places = np.unique(np.concatenate(classes), return_inverse=True)
        units = np.array([table.unit for table in named.values()]) / choose_unit(max(largest))
        shares = np.concatenate(weights) * np.repeat(units, [*map(len, classes)])
        known = [each for each in certain if each is not None]
        return cls(
            together, np.bincount(places, shares).astype(np.float64), max(largest), all(known) if known else None
        )


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
        classes, labels, soft = _read_labels(np.asarray(y), X.shape[0], f"{name} of y")
    weights = offsets = None
    if sample_weight is not None:
        with named(f"{name} of sample_weight"):
            given = np.asarray(sample_weight)
            weights = check_sample_weight(given, labels, dtype=np.float64, ensure_non_negative=True)
    if offset is not None:
        offsets = read_offset_numbers(offset, f"{name} of offset")
        if len(offsets) != X.shape[0]:
            raise ValueError(f"{name} of offset has the shape {offsets.shape}, but X has {X.shape[0]} rows there.")
        offsets = offsets[:, None] if offsets.ndim == 1 else offsets
    return Part(name, X, classes, labels, weights, soft=soft, offsets=offsets)


def _read_labels(y, n_rows, name):
    """Return the classes, the number of each row's most probable one, and soft labels (m, n_classes) or None."""
    if y.ndim == 2 and y.shape[1] > 1:
        if y.dtype.kind != "f" or len(y) != n_rows:
            raise ValueError(
                f"{name} has the shape {y.shape} and {y.dtype}, but X has {n_rows} rows there; y holds a label for "
                "each row, or its probabilities of the classes, which are floats."
            )
        soft = read_probabilities(y, name) if n_rows else y.astype(np.float64)
        return np.arange(y.shape[1]), find_most_probable(soft), soft
    if y.dtype.kind == "O":
        if any(map(is_missing, y.flat)):
            raise ValueError(f"{name} contains NaN, or None, where a label is missing.")
        numbers = np.array(y.tolist())
        y = numbers if numbers.dtype.kind in "biuf" else y
    labels = read_labels(None, y[:, 0] if y.ndim == 2 else y, n_rows)
    return *encode_labels(labels, np.int32), None


def describe(part: Part) -> tuple[Description, LabelTable]:
    """Return the Description of a decoded Part, and the table of its labels."""
    return Description.of(part), LabelTable.of(part)


def number_labels(part: Part, classes: Array) -> IntArray:
    """Return the number of each row's class among all classes, int32."""
    return np.searchsorted(classes, part.classes).astype(np.int32)[part.labels]


def encode(
    part: Part,
    dtype: np.dtype[Any],
    classes: Array,
    factors: FloatArray | None,
    expected: Description,
    folds: IntArray | None = None,
) -> Part:
    """Return a decoded Part with X of a type, numbered labels, and folds, once it is what was expected."""
    # Kernels trust the numbers of classes.
    expected.check(part)
    labels = number_labels(part, classes)
    weights, soft = part.sample_weight, part.soft
    if factors is not None:
        of_classes, soft = (factors[labels], None) if soft is None else weigh_targets(soft, factors)
        weights = of_classes if weights is None else weights * of_classes
    samples = Samples(
        NO_ROWS,
        labels,
        np.empty(0) if weights is None else weights,
        NO_DOUBLE if part.offsets is None else part.offsets,
        NO_DOUBLE if soft is None else to_targets(soft),
    )
    X = part.X.astype(dtype, copy=False)
    return replace(part, X=X, classes=classes, labels=labels, folds=folds, samples=samples)


def _shorten(labels):
    """Return labels in words, not all of them where there are many."""
    return f"{labels.tolist()}" if len(labels) <= 10 else f"{len(labels)} from {labels[0]!r} to {labels[-1]!r}"
