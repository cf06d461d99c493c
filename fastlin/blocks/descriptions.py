"""Descriptions of blocks or partitions of X, used to check that they are compatible and have not changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from fastlin.containers.tensors import choose_kernel_dtype

ACCEPTED_ARRAYS = "Accepted are two-dimensional NumPy arrays, or SciPy sparse matrices, of real numbers."


@dataclass(frozen=True)
class RowsDescription:
    """The description of a block or partition, or of all of them together.

    Rows are converted to `dtype`, one of DTYPES.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_sparse: bool
    n_entries: int
    longest_row: int
    # Digests of labels, weights, offsets and rows. The dict is empty if changes in the rows are detected by other
    # means.
    digests: dict[str, bytes] = field(default_factory=dict)
    # The classes as text, for messages.
    classes: str = field(compare=False, default="")

    def __str__(self) -> str:
        """Return the shape, dtype and format as text."""
        kind = f"sparse with {self.n_entries} entries" if self.is_sparse else "dense"
        return f"{self.shape[0]} x {self.shape[1]} {self.dtype}, {kind}"

    def describe_change(self, other: Self) -> str:
        """Return a phrase that says how rows that were read again differ; empty if they do not differ."""
        if other == self:
            return ""
        if replace(other, digests=self.digests) != self:
            return f"was {self} and is {other} now"
        changed = next(name for name, digest in self.digests.items() if other.digests[name] != digest)
        if changed == "labels" and self.classes:
            return f"has different labels: {self.classes} before, and {other.classes} now"
        return f"has different {changed}"


def check_dtype(X: Any, name: str) -> np.dtype[Any]:
    """Return the dtype, one of DTYPES, to which a block X is converted; raise a ValueError if X is unsupported."""
    if not (isinstance(X, np.ndarray) or sparse.issparse(X)) or X.ndim != 2 or X.dtype.kind not in "fiub":
        kind = f"{X.ndim}-D {type(X).__name__} of {X.dtype}" if hasattr(X, "dtype") else type(X).__name__
        raise ValueError(f"{name} is a {kind}. {ACCEPTED_ARRAYS}")
    return choose_kernel_dtype(X.dtype)


def describe_rows(X: Any, name: str, classes: str = "", **arrays: ArrayLike | None) -> RowsDescription:
    """Return the description of an array or CSR matrix.

    If named arrays are passed, include digests of them and of X.
    """
    dtype = check_dtype(X, name)
    n_entries, longest_row = X.size, X.shape[1]
    if sparse.issparse(X):
        lengths = np.diff(X.indptr)
        n_entries, longest_row = int(lengths.sum()), int(lengths.max(initial=0))
    digests = {array_name: _digest_values(values) for array_name, values in arrays.items()}
    if arrays:
        digests["rows"] = _digest_rows(X)
    return RowsDescription(name, X.shape, dtype, sparse.issparse(X), n_entries, longest_row, digests, classes)


def join_descriptions(
    pieces: Sequence[RowsDescription], noun: str, must_have_same_dtype: bool = True
) -> RowsDescription:
    """Return the description of all blocks or partitions together.

    Raise a ValueError if they differ in the number of columns or the format. Also raise it if they differ in dtype and
    `must_have_same_dtype` is true.
    """
    first = pieces[0]
    for piece in pieces:
        is_compatible = piece.shape[1] == first.shape[1] and piece.is_sparse == first.is_sparse
        if not is_compatible or (must_have_same_dtype and piece.dtype != first.dtype):
            kind = "number of columns, format and dtype" if must_have_same_dtype else "number of columns and format"
            raise ValueError(
                f"{piece.name} of X is {piece}, but {first.name} is {first}. All {noun} must have the same {kind}."
            )
    return replace(
        first,
        name=noun,
        shape=(sum(piece.shape[0] for piece in pieces), first.shape[1]),
        dtype=choose_kernel_dtype(np.result_type(*{piece.dtype for piece in pieces})),
        n_entries=sum(piece.n_entries for piece in pieces),
        longest_row=max(piece.longest_row for piece in pieces),
    )


def _digest_rows(X):
    """Return a digest of the first, middle and last row of an array, or stored entry of a CSR matrix."""
    digest = hashlib.blake2b(digest_size=16)
    for array in (X.data, X.indices) if sparse.issparse(X) else (X,):
        middle_index = len(array) // 2
        digest.update(str(array.shape).encode())
        for part in (array[:1], array[middle_index : middle_index + 1], array[-1:]):
            digest.update(part.tobytes())
    return digest.digest()


def _digest_values(values):
    """Return a digest of labels, weights or offsets, which may be None."""
    array = np.asarray(values)
    content = repr(array.tolist()).encode() if array.dtype.kind == "O" else array.tobytes()
    return hashlib.blake2b(content, digest_size=16).digest()
