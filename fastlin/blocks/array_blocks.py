"""Blocks of arrays that are there: in memory, or mapped from files, and of sparse rows."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from fastlin.blocks.blocks import Blocks, Kind, add_row_lengths, cut, find_kind, join_blocks
from fastlin.containers import read_container
from fastlin.exceptions import DataChangedError
from fastlin.typing import Array, PathLike, SparseContainer

# Linux reads no more than this ahead at once, whatever it is asked for: 3 GB came at 1.5 GB/s so, by themselves at 0.6.
READ_AHEAD = 128 << 10


def from_arrays(
    X: Array | Sequence[Array],
    y: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    rows_per_block: int | None = None,
) -> Blocks:
    """Return Blocks of an array or of several, which may be memory-mapped files.

    Nothing is copied, unless X is of a type that fits do not read, such as int64: its blocks become float64 as they are
    read.

    Parameters
    ----------
    X : ndarray of shape (n, d), or sequence of such arrays
        The rows, for instance of ``np.load("X.npy", mmap_mode="r")``.
    y : array-like of shape (n,) or (n, n_classes), or None
        The labels, or soft labels; None where `fit` is given them.
    sample_weight : array-like of shape (n,) or None
        The weights of the rows; None means ones.
    rows_per_block : int or None
        Rows of a block, at least 1. None takes as many as have 64 MB. A block never holds rows of two arrays.

    Returns
    -------
    Blocks

    Raises
    ------
    ValueError
        An array has not two dimensions, or another type or number of columns than the first; y or sample_weight has
        another length.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin import LogisticRegression, blocks
    >>> X = np.random.default_rng(0).normal(size=(1000, 3))
    >>> rows = blocks.from_arrays(X, X[:, 0] > 0, rows_per_block=100)
    >>> rows
    <10 blocks of 1,000 x 3 float64>
    >>> LogisticRegression().fit(rows).score(rows)
    0.99...
    """
    arrays: list[Any] = list(X) if isinstance(X, (list, tuple)) else [X]
    if not arrays:
        raise ValueError("X is an empty list; it must hold at least one array.")
    sources: list[Source] = []
    kind: Any = None
    for number, array in enumerate(arrays):
        name = "X" if len(arrays) == 1 else f"array {number}"
        if sparse.issparse(array):
            raise ValueError(f"{name} is sparse; blocks.from_csr takes sparse rows.")
        kind = find_kind(array, name, kind)
        suffix = "" if name == "X" else f" of {name}"
        sources.append(Source(suffix, len(array), partial(np.asanyarray, array), FileCheck.of([array])))
    return cut_sources(sources, kind, rows_per_block, y=y, sample_weight=sample_weight)


class Source(NamedTuple):
    """Rows that lie in one array: what follows their numbers in a name, how many, and a function for the array."""

    suffix: str
    n_rows: int
    load: Callable[[], Array]
    files: FileCheck


def cut_sources(sources: Sequence[Source], kind: Kind, rows_per_block: int | None = None, **known: Any) -> Blocks:
    """Return Blocks of the arrays of all sources; what else is known of them is as Blocks has it."""
    parts = [
        (source, slice(*rows))
        for source in sources
        for rows in pairwise(cut(source.n_rows, kind.d * kind.dtype.itemsize, rows_per_block))
    ]

    def read():
        for source, rows in parts:
            source.files.check()
            block = source.load()[rows]
            read_ahead(block)
            yield np.asarray(block, kind.dtype) if block.dtype != kind.dtype else block.view(np.ndarray)

    lengths = [rows.stop - rows.start for _, rows in parts]
    names = [f"rows {rows.start} to {rows.stop - 1}{source.suffix}" for source, rows in parts]
    return join_blocks(read, lengths, names, kind, **known)


def from_csr(
    X: SparseContainer | Sequence[SparseContainer], y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> Blocks:
    """Return Blocks of sparse rows.

    Parameters
    ----------
    X : sequence of SciPy sparse containers of shape (n_b, d)
        The blocks: CSR matrices or arrays, whose memory may be mapped from files. Containers of another format are
        converted as they are read.
    y, sample_weight
        As `from_arrays` has them, of all rows.

    Returns
    -------
    Blocks

    Raises
    ------
    ValueError
        A piece is not sparse, or has another type or number of columns than the first; y or sample_weight has another
        length.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from fastlin import LogisticRegression, blocks
    >>> X = sparse.random_array((1000, 20), density=0.2, format="csr", rng=np.random.default_rng(0))
    >>> y = np.asarray(X.sum(axis=1)) > 2
    >>> rows = blocks.from_csr([X[:600], X[600:]], y)
    >>> rows.shape
    (1000, 20)
    >>> LogisticRegression(C=100).fit(rows).score(rows) > 0.9
    True
    """
    pieces: list[Any] = [X] if sparse.issparse(X) else list(X)
    if not pieces:
        raise ValueError("X is an empty list; it must hold at least one sparse matrix.")
    names = [f"piece {number}" for number in range(len(pieces))]
    kind: Any = None
    row_lengths = 0, 0
    for name, piece in zip(names, pieces, strict=True):
        if not sparse.issparse(piece):
            raise ValueError(f"{name} is a {type(piece).__name__}; blocks.from_arrays takes dense arrays.")
        kind = find_kind(piece, name, kind)
        row_lengths = add_row_lengths(_as_csr(piece, name), row_lengths)
    checks = [FileCheck.of(vars(piece).values()) for piece in pieces]

    def read():
        for name, piece, files in zip(names, pieces, checks, strict=True):
            files.check()
            yield _as_csr(piece, name).astype(kind.dtype, copy=False)

    lengths = [piece.shape[0] for piece in pieces]
    return join_blocks(read, lengths, names, kind, y=y, sample_weight=sample_weight, row_lengths=row_lengths)


def _as_csr(piece, name):
    """Return a sparse container as CSR; one that is CSR is checked by each pass, as SparseMatrix is made of it."""
    return piece if piece.format == "csr" else read_container(piece, name)[0]


class FileCheck:
    """Files that are mapped, and whether they are what they were: `check` takes 2 microseconds for each of them."""

    def __init__(self, filenames: Iterable[PathLike]) -> None:
        self._files = {filename: self._look(filename) for filename in filenames}

    @classmethod
    def of(cls, arrays: Iterable[object]) -> Self:
        """Return the check of the files that some of the arrays are mapped, or cut, from."""
        maps = [mapped for mapped in map(find_map, arrays) if mapped is not None]
        return cls(mapped.filename for mapped in maps if mapped.filename)

    def check(self) -> None:
        """Raise a DataChangedError where a file has changed or is gone: reading what was cut off ends the process."""
        for filename, before in self._files.items():
            try:
                now = self._look(filename)
            except OSError as error:
                raise DataChangedError(f"{filename} cannot be read any more: {error}") from error
            if now != before:
                sizes = f"had {before[0]} bytes, and has {now[0]} now" if now[0] != before[0] else "was written to"
                raise DataChangedError(f"{filename} has changed while it was in use: it {sizes}. Make the blocks anew.")

    @staticmethod
    def _look(filename):
        found = os.stat(filename)
        return found.st_size, found.st_mtime_ns


def find_map(array: Any) -> np.memmap[Any, Any] | None:
    """Return the memmap that an array is a part of, from the beginning of its file, or None."""
    found = None
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            found = array
        array = array.base
    return found


def read_ahead(block: Array) -> None:
    """Ask the system to bring the rows of a block from disk, where they are mapped from a file and lie together."""
    mapped = find_map(block)
    if mapped is None or not isinstance(mapped.base, mmap.mmap) or not block.flags.c_contiguous:
        return
    if not hasattr(mapped.base, "madvise"):
        return
    first = mapped.offset % mmap.ALLOCATIONGRANULARITY + block.ctypes.data - mapped.ctypes.data
    for offset in range(first - first % mmap.PAGESIZE, first + block.nbytes, READ_AHEAD):
        mapped.base.madvise(mmap.MADV_WILLNEED, offset, min(READ_AHEAD, len(mapped.base) - offset))
