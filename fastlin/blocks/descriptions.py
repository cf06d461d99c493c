"""What is known of rows of X in pieces, blocks or partitions: what they have in common, and whether one has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from fastlin.tensors import choose_type

ACCEPTED = "Accepted are two-dimensional NumPy arrays, or SciPy sparse matrices, of real numbers."


@dataclass(frozen=True)
class Description:
    """A piece, or all of them; the type is the one of DTYPES that the rows are read in."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_sparse: bool
    n_entries: int
    longest_row: int
    # Of labels and the like, and of rows; none where the rows cannot change unseen.
    digests: dict[str, bytes] = field(default_factory=dict)
    # The labels in words.
    classes: str = field(compare=False, default="")

    def __str__(self) -> str:
        """Return shape, type and kind in words."""
        kind = f"sparse with {self.n_entries} entries" if self.is_sparse else "dense"
        return f"{self.shape[0]} x {self.shape[1]} {self.dtype}, {kind}"

    def find_change(self, found: Self) -> str:
        """Return in words what is new in a piece that is read or computed again; an empty text for nothing."""
        if found == self:
            return ""
        if replace(found, digests=self.digests) != self:
            return f"was {self} and is {found} now"
        changed = next(name for name, digest in self.digests.items() if found.digests[name] != digest)
        if changed == "labels" and self.classes:
            return f"has other labels, which were {self.classes} and are {found.classes} now"
        return f"has other {changed}"


def read_type(X: Any, name: str) -> np.dtype[Any]:
    """Return the type of DTYPES that a block X is read in."""
    if not (isinstance(X, np.ndarray) or sparse.issparse(X)) or X.ndim != 2 or X.dtype.kind not in "fiub":
        found = f"{X.ndim}-D {type(X).__name__} of {X.dtype}" if hasattr(X, "dtype") else type(X).__name__
        raise ValueError(f"{name} is a {found}. {ACCEPTED}")
    return choose_type(X.dtype)


def describe_rows(X: Any, name: str, classes: str = "", **told: ArrayLike | None) -> Description:
    """Return the Description of an array or CSR matrix; it has digests where it is told labels or the like by name."""
    dtype = read_type(X, name)
    n_entries, longest_row = X.size, X.shape[1]
    if sparse.issparse(X):
        lengths = np.diff(X.indptr)
        n_entries, longest_row = int(lengths.sum()), int(lengths.max(initial=0))
    digests = {what: _digest_values(values) for what, values in told.items()}
    if told:
        digests["rows"] = _digest_rows(X)
    return Description(name, X.shape, dtype, sparse.issparse(X), n_entries, longest_row, digests, classes)


def join_descriptions(pieces: Sequence[Description], what: str, are_of_one_type: bool = True) -> Description:
    """Return the Description of all pieces together, or the ValueError for pieces that are not alike."""
    first = pieces[0]
    for each in pieces:
        is_like = each.shape[1] == first.shape[1] and each.is_sparse == first.is_sparse
        if not is_like or (are_of_one_type and each.dtype != first.dtype):
            raise ValueError(f"{each.name} of X is {each}, but {first.name} is {first}. All {what} must be alike.")
    return replace(
        first,
        name=what,
        shape=(sum(each.shape[0] for each in pieces), first.shape[1]),
        dtype=choose_type(np.result_type(*{each.dtype for each in pieces})),
        n_entries=sum(each.n_entries for each in pieces),
        longest_row=max(each.longest_row for each in pieces),
    )


def _digest_rows(X):
    """Return what tells one piece from another: the first, middle and last row, or such entries of CSR rows."""
    digest = hashlib.blake2b(digest_size=16)
    for array in (X.data, X.indices) if sparse.issparse(X) else (X,):
        middle = len(array) // 2
        digest.update(str(array.shape).encode())
        for part in (array[:1], array[middle : middle + 1], array[-1:]):
            digest.update(part.tobytes())
    return digest.digest()


def _digest_values(values):
    """Return a digest of labels, weights or offsets, or of none."""
    array = np.asarray(values)
    told = repr(array.tolist()).encode() if array.dtype.kind == "O" else array.tobytes()
    return hashlib.blake2b(told, digest_size=16).digest()
