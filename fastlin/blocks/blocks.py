"""Blocks of rows, and what is known of all of them before a fit begins."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from fastlin.exceptions import DataChangedError
from fastlin.tensors import choose_type
from fastlin.typing import Array, IntArray, SparseContainer

# Blocks of this size hide what it takes to begin one, and two of them fit beside anything.
BLOCK_BYTES = 64 << 20
ACCEPTED = "Accepted are two-dimensional NumPy arrays, or SciPy sparse matrices, of real numbers."


class Kind(NamedTuple):
    """What all blocks have in common: their number of columns, the type of DTYPES that they are read in, and how."""

    d: int
    dtype: np.dtype[Any]
    is_sparse: bool


class Blocks:
    """Rows of X in blocks, with their labels and weights, which can be read again and again.

    The functions of this module make them. Iterating yields the blocks, each a tuple of X, y and weights; the last two
    are None where there are none.

    Parameters
    ----------
    read : callable
        Returns an iterator of the blocks of X: all arrays, or all CSR matrices, of one type of DTYPES.
    borders : sequence of int
        Where the blocks begin, and where the last one ends: 0, ..., n.
    names : sequence of str
        What each block is called where something is wrong with it.
    shape : tuple of int
        The number of rows n and of columns d.
    dtype : dtype
        The type of X.
    y : ndarray of shape (n,) or (n, n_classes), or None
        The labels, or soft labels.
    sample_weight : ndarray of shape (n,) or None
        The weights.
    feature_names : list of str or None
        The names of the columns.
    row_lengths : tuple of int or None
        The number of all entries of sparse blocks and that of the longest row; None where blocks are dense.

    Attributes
    ----------
    borders, names, shape, dtype, y, sample_weight, feature_names
        The parameters.
    is_sparse : bool
        Whether the blocks are CSR matrices.
    n_entries : int
        The number of entries that are read in a pass.
    longest_row : int
        The number of entries of the longest row.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin import blocks
    >>> rows = blocks.from_arrays(np.ones((5, 2)), [0, 1, 0, 1, 1], rows_per_block=3)
    >>> rows
    <2 blocks of 5 x 2 float64>
    >>> [X.shape for X, y, sample_weight in rows]
    [(3, 2), (2, 2)]
    """

    def __init__(
        self,
        read: Callable[[], Iterator[Any]],
        borders: Sequence[int] | IntArray,
        names: Sequence[str],
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        feature_names: list[str] | None = None,
        row_lengths: tuple[int, int] | None = None,
    ) -> None:
        self._read = read
        self.borders, self.names = np.asarray(borders, np.int64), list(names)
        self.shape, self.dtype = tuple(map(int, shape)), np.dtype(dtype)
        self.y = check_rows(y, self.shape[0], "y", takes_columns=True)
        self.sample_weight = check_rows(sample_weight, self.shape[0], "sample_weight")
        self.feature_names = feature_names
        self.is_sparse = row_lengths is not None
        self.n_entries, self.longest_row = row_lengths or (self.shape[0] * self.shape[1], self.shape[1])

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self.names)

    def __repr__(self) -> str:
        """Return how many blocks there are, and their shape together."""
        kind = "sparse " if self.is_sparse else ""
        return f"<{len(self)} blocks of {self.shape[0]:,} x {self.shape[1]:,} {kind}{self.dtype}>"

    def __iter__(self) -> Iterator[tuple[Array | SparseContainer, Array | None, Array | None]]:
        """Yield X, y and weights of each block."""
        for first, last, X in zip(self.borders[:-1], self.borders[1:], self.read(), strict=True):
            y, weights = (None if each is None else each[first:last] for each in (self.y, self.sample_weight))
            yield X, y, weights

    @property
    def nbytes(self) -> int:
        """The bytes of the entries that a pass reads."""
        return self.n_entries * (self.dtype.itemsize + (4 if self.is_sparse else 0))

    def read(self) -> Iterator[Array | SparseContainer]:
        """Yield the blocks of X.

        Raises
        ------
        DataChangedError
            A block is not what it was when the Blocks were made; the error names it.
        """
        n_read = 0
        for X in self._read():
            if n_read < len(self):
                name = self.names[n_read]
                read_type(X, name)
                shape = int(self.borders[n_read + 1] - self.borders[n_read]), self.shape[1]
                if X.shape != shape or X.dtype != self.dtype or sparse.issparse(X) != self.is_sparse:
                    raise DataChangedError(
                        f"{name} has changed: it was {shape} {self.dtype} when the blocks were made, and is {X.shape} "
                        f"{X.dtype} now."
                    )
                yield X
            n_read += 1
        if n_read != len(self):
            raise DataChangedError(
                f"The blocks have changed: there were {len(self)} when they were made, and {n_read} are left now."
            )

    def __reduce__(self) -> NoReturn:
        """Raise a TypeError: what is read may be files that are there for this object alone."""
        raise TypeError("Blocks cannot be copied nor pickled; make them where they are used.")


def join_blocks(
    read: Callable[[], Iterator[Any]], lengths: Iterable[int], names: Sequence[str], kind: Kind, **known: Any
) -> Blocks:
    """Return Blocks of a kind that have so many rows each; what else is known of them is as Blocks has it."""
    borders = np.append(0, np.cumsum(list(lengths), dtype=np.int64))
    return Blocks(read, borders, names, (borders[-1], kind.d), kind.dtype, **known)


def take_rows(blocks: Blocks, rows: IntArray) -> Blocks:
    """Return Blocks of copies of some of the rows, by their sorted numbers, without labels and names.

    Blocks that have none of these rows are left out.
    """
    borders = np.searchsorted(rows, blocks.borders)

    def read():
        for first, (begin, end), X in zip(blocks.borders[:-1], pairwise(borders), blocks.read(), strict=True):
            if begin < end:
                yield X[rows[begin:end] - first]

    names = [name for name, (begin, end) in zip(blocks.names, pairwise(borders), strict=True) if begin < end]

    shape = len(rows), blocks.shape[1]
    # Of sparse rows that is more than they have, as far as is known.
    row_lengths = (blocks.n_entries, blocks.longest_row) if blocks.is_sparse else None
    return Blocks(read, np.unique(borders), names, shape, blocks.dtype, row_lengths=row_lengths)


def read_type(X: Any, name: str) -> np.dtype[Any]:
    """Return the type of DTYPES that a block X is read in."""
    if not (isinstance(X, np.ndarray) or sparse.issparse(X)) or X.ndim != 2 or X.dtype.kind not in "fiub":
        found = f"{X.ndim}-D {type(X).__name__} of {X.dtype}" if hasattr(X, "dtype") else type(X).__name__
        raise ValueError(f"{name} is a {found}. {ACCEPTED}")
    return choose_type(X.dtype)


def find_kind(X: Any, name: str, first: Kind | None) -> Kind:
    """Return the Kind of a block X, which must be that of the first one, unless X itself is the first."""
    dtype = read_type(X, name)
    kind = Kind(X.shape[1], dtype, sparse.issparse(X))
    if first is not None and kind != first:
        found, expected = (
            f"{'sparse' if each.is_sparse else 'dense'} {each.dtype} with {each.d} columns" for each in (kind, first)
        )
        raise ValueError(f"{name} is {found}, but the first is {expected}. All blocks must be alike.")
    return kind


def add_row_lengths(X: SparseContainer, before: tuple[int, int]) -> tuple[int, int]:
    """Return the number of all entries and that of the longest row, of CSR X and of the blocks before it."""
    lengths = np.diff(X.indptr)
    return before[0] + int(lengths.sum()), max(before[1], int(lengths.max(initial=0)))


def digest_rows(X: Any) -> bytes:
    """Return what tells one block from another at the cost of a few numbers.

    These are the first, the middle and the last row of an array, and such entries of CSR rows with their number.
    """
    digest = hashlib.blake2b(digest_size=16)
    for array in (X.data, X.indices) if sparse.issparse(X) else (X,):
        middle = len(array) // 2
        digest.update(str(array.shape).encode())
        for part in (array[:1], array[middle : middle + 1], array[-1:]):
            digest.update(part.tobytes())
    return digest.digest()


def check_rows(each: ArrayLike | None, n: int, name: str, *, takes_columns: bool = False) -> Array | None:
    """Return labels or weights as an array (n,), or None where there are none; those in columns are soft labels."""
    if each is None:
        return None
    array = np.asarray(each)
    if array.shape != (n,) and not (takes_columns and array.ndim == 2 and len(array) == n and array.dtype.kind == "f"):
        raise ValueError(f"{name} must have one entry for each of the {n} rows of the blocks, got shape {array.shape}")
    return array


def cut(n_rows: int, row_bytes: int, rows_per_block: int | None = None) -> IntArray:
    """Return the borders of blocks of n_rows rows: of so many rows each, or of BLOCK_BYTES."""
    if rows_per_block is None:
        rows_per_block = max(1, BLOCK_BYTES // max(1, row_bytes))
    elif not (isinstance(rows_per_block, (int, np.integer)) and rows_per_block >= 1):
        raise ValueError(f"rows_per_block must be a whole number of at least 1, got {rows_per_block!r}")
    return np.append(np.arange(0, n_rows, rows_per_block), n_rows)
