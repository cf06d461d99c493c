"""Blocks of rows, facts about all of them before a fit begins, and the functions that make them."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from fastlin.blocks.descriptions import Description, describe_rows, join_descriptions, read_type
from fastlin.containers import read_if_sparse
from fastlin.exceptions import DataChangedError
from fastlin.tensors import choose_type
from fastlin.typing import Array, IntArray, SparseContainer

# Blocks of this size hide the cost of beginning one, and two of them fit into any memory.
BLOCK_BYTES = 64 << 20
# Linux reads no more than this ahead at once, whatever it is asked for: 3 GB came at 1.5 GB/s so, by themselves at 0.6.
READ_AHEAD = 128 << 10
# What follows the numbers of its rows in the name of a block of an array, and what loads the array.
Source: TypeAlias = tuple[str, Callable[[], Array]]


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
    y, sample_weight : ndarray or None
        The labels, (n,), or soft labels or several labels per row, (n, n_classes), and the weights, (n,).
    feature_names : list of str or None
        The names of the columns.
    row_lengths : tuple of int or None
        The number of entries of sparse blocks, and of their longest row; None if blocks are dense.

    Attributes
    ----------
    borders, names, shape, dtype, y, sample_weight, feature_names
        The parameters.
    is_sparse : bool
        Whether the blocks are CSR matrices.
    n_entries, longest_row : int
        The number of entries that are read in a pass, and that of the longest row.

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
        for n_read, X in enumerate(self._read(), 1):
            if n_read <= len(self):
                shape = int(self.borders[n_read] - self.borders[n_read - 1]), self.shape[1]
                if X.shape != shape or X.dtype != self.dtype or sparse.issparse(X) != self.is_sparse:
                    raise DataChangedError(
                        f"{self.names[n_read - 1]} has changed: it was {shape} {self.dtype} when the blocks were made, "
                        f"and is {X.shape} {X.dtype} now."
                    )
                yield X
        if n_read != len(self):
            raise DataChangedError(
                f"The blocks have changed: there were {len(self)} when they were made, and {n_read} are left now."
            )

    def __reduce__(self) -> NoReturn:
        """Raise a TypeError: the files may exist for this object alone."""
        raise TypeError("Blocks cannot be copied nor pickled; make them where they are used.")


def join_pieces(read: Callable[[], Iterator[Any]], pieces: Sequence[Description], **known: Any) -> Blocks:
    """Return Blocks of pieces that must be alike; further arguments go to Blocks."""
    whole = join_descriptions(pieces, "blocks")
    borders = np.append(0, np.cumsum([piece.shape[0] for piece in pieces], dtype=np.int64))
    row_lengths = (whole.n_entries, whole.longest_row) if whole.is_sparse else None
    names = [piece.name for piece in pieces]
    return Blocks(read, borders, names, (borders[-1], whole.shape[1]), whole.dtype, row_lengths=row_lengths, **known)


def take_rows(blocks: Blocks, rows: IntArray) -> Blocks:
    """Return Blocks of copies of some of the rows, by their sorted numbers, without labels and names."""
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


def check_rows(each: ArrayLike | None, n: int, name: str, *, takes_columns: bool = False) -> Array | None:
    """Return labels or weights as an array (n,), or None where there are none; labels may be numbers in columns."""
    if each is None:
        return None
    array = np.asarray(each)
    are_columns = array.ndim == 2 and len(array) == n and array.dtype.kind in "biuf"
    if array.shape != (n,) and not (takes_columns and are_columns):
        raise ValueError(f"{name} must have one entry for each of the {n} rows of the blocks, got shape {array.shape}")
    return array


def cut(n_rows: int, row_bytes: int, rows_per_block: int | None = None) -> IntArray:
    """Return the borders of blocks of n_rows rows: of rows_per_block each, or of BLOCK_BYTES."""
    if rows_per_block is None:
        rows_per_block = max(1, BLOCK_BYTES // max(1, row_bytes))
    elif not (isinstance(rows_per_block, (int, np.integer)) and rows_per_block >= 1):
        raise ValueError(f"rows_per_block must be a whole number of at least 1, got {rows_per_block!r}")
    # Without rows there is one block all the same, which has the columns.
    return np.append(np.arange(0, max(n_rows, 1), rows_per_block), n_rows)


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
        The labels, soft labels, or several labels per row; None where `fit` is given them.
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
    names = ["X"] if len(arrays) == 1 else [f"array {number}" for number in range(len(arrays))]
    for name, array in zip(names, arrays, strict=True):
        if sparse.issparse(array):
            raise ValueError(f"{name} is sparse; blocks.from_csr takes sparse rows.")
        read_type(array, name)
    suffixes = ["" if name == "X" else f" of {name}" for name in names]
    sources = [(suffix, partial(np.asanyarray, array)) for suffix, array in zip(suffixes, arrays, strict=True)]
    return cut_sources(sources, rows_per_block, y=y, sample_weight=sample_weight)


def cut_sources(
    sources: Iterable[Source], rows_per_block: int | None = None, has_files: bool = True, **known: Any
) -> Blocks:
    """Return Blocks of the arrays of all sources, whose files, if there are any, are watched.

    Further arguments go to Blocks.
    """
    loads, pieces = [], []
    for suffix, load in sources:
        array = load()
        check = watch_files([array] if has_files else [])
        row_bytes = array.shape[1] * choose_type(array.dtype).itemsize
        for first, last in pairwise(cut(len(array), row_bytes, rows_per_block)):
            loads.append(partial(_load_rows, load, check, slice(first, last)))
            pieces.append(describe_rows(array[first:last], f"rows {first} to {last - 1}{suffix}"))
    return join_pieces(lambda: (load() for load in loads), pieces, **known)


def _load_rows(load, check, rows):
    """Return some rows of a source as a block, after a check of its file."""
    check()
    block = load()[rows]
    read_ahead(block)
    return np.asarray(block, choose_type(block.dtype))


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
        A piece is not sparse, or what `from_arrays` refuses.

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
    loads, described = [], []
    for number, piece in enumerate(pieces):
        name = f"piece {number}"
        if not sparse.issparse(piece):
            raise ValueError(f"{name} is a {type(piece).__name__}; blocks.from_arrays takes dense arrays.")
        load = partial(_load_piece, piece, name, watch_files(vars(piece).values()))
        loads.append(load)
        described.append(describe_rows(load(), name))
    return join_pieces(lambda: (load() for load in loads), described, y=y, sample_weight=sample_weight)


def _load_piece(piece, name, check):
    """Return a sparse container as CSR, after a check of its files.

    A pass checks the indices of what is CSR itself, as SparseMatrix is made of it.
    """
    check()
    rows = piece if piece.format == "csr" else read_if_sparse(piece, name)
    return rows.astype(read_type(piece, name), copy=False)


def watch_files(arrays: Iterable[object]) -> Callable[[], None]:
    """Return a check, 2 microseconds a file, that raises a DataChangedError if mapped files change or are gone."""
    maps = [mapped for mapped in map(find_map, arrays) if mapped is not None]
    files = {mapped.filename: _look(mapped.filename) for mapped in maps if mapped.filename}

    def check():
        for filename, before in files.items():
            try:
                now = _look(filename)
            except OSError as error:
                raise DataChangedError(f"{filename} cannot be read any more: {error}") from error
            if now != before:
                sizes = f"had {before[0]} bytes, and has {now[0]} now" if now[0] != before[0] else "was written to"
                raise DataChangedError(
                    f"{filename} has changed while it was in use: it {sizes}. Make the blocks again."
                )

    return check


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


def from_batches(make_batches: Callable[[], Iterable[Any]]) -> Blocks:
    """Return Blocks of what a function makes, which may come from anywhere and fit into memory one by one.

    Parameters
    ----------
    make_batches : callable
        Returns an iterable of batches, the same ones in the same order each time, since a fit asks for them once a
        pass. A batch is X, or a tuple of X and y, or of X, y and weights: X an array or CSR matrix of shape (n_b, d),
        all of one type, and y and weights of shape (n_b,); y may be soft labels of shape (n_b, n_classes). It is called
        once here, to learn of shapes and labels.

    Returns
    -------
    Blocks

    Raises
    ------
    TypeError
        make_batches cannot be called, as an iterator that ends after one pass.
    ValueError
        There are no batches, a batch is none of these, or differs from the first one in its columns or its type. The
        error names the batch.
    DataChangedError
        By a fit, where the batches, their shapes or labels are others in another pass.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin import LogisticRegression, blocks
    >>> def make_batches():
    ...     for seed in range(5):
    ...         X = np.random.default_rng(seed).normal(size=(200, 3))
    ...         yield X, X[:, 0] > 0
    >>> rows = blocks.from_batches(make_batches)
    >>> LogisticRegression().fit(rows).score(rows)
    0.99...
    """
    if not callable(make_batches):
        raise TypeError(
            f"make_batches must be a function that returns the batches, got {type(make_batches).__name__}: each pass "
            "over the data asks for them again."
        )
    pieces: list[Description] = []
    labels: list[Array | None] = []
    weights: list[Array | None] = []
    previous, is_reused = np.empty(0), False
    for X, piece, *given in _read(make_batches):
        # Copies, since the function may fill the arrays again, or they may be parts of all of X.
        for kept, own, what in zip((labels, weights), given, ("y", "weights"), strict=True):
            copied = None if own is None else np.array(own)
            kept.append(check_rows(copied, X.shape[0], f"{what} of {piece.name}", takes_columns=what == "y"))
        numbers = X.data if piece.is_sparse else X
        is_reused, previous = is_reused or np.may_share_memory(numbers, previous), numbers
        pieces.append(piece)
    if not pieces:
        raise ValueError("make_batches gave no batch; at least one is needed.")

    def read():
        for number, (X, found, *_) in enumerate(_read(make_batches)):
            change = pieces[number].find_change(found) if number < len(pieces) else ""
            if change:
                raise DataChangedError(
                    f"{found.name} {change}: make_batches must give the same batches in the same order each time."
                )
            # A batch is computed with while the next one is made, in the same memory if the function has but one.
            yield X.astype(found.dtype, copy=is_reused)

    return join_pieces(read, pieces, y=_join(labels, "y"), sample_weight=_join(weights, "weights"))


def _read(make_batches):
    """Yield X, its Description, y and weights of each batch; the last two may be None."""
    batches = make_batches()
    if not hasattr(batches, "__iter__"):
        raise TypeError(f"make_batches must return an iterable of batches, got {type(batches).__name__}.")
    for number, batch in enumerate(batches):
        parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        if not 1 <= len(parts) <= 3:
            raise ValueError(f"batch {number} has {len(parts)} parts; a batch is X, or (X, y), or (X, y, weights).")
        X, y, weights = (*parts, None, None)[:3]
        X = read_if_sparse(X, f"batch {number}")
        yield X, describe_rows(X, f"batch {number}", labels=y), y, weights


def _join(parts, name):
    """Return labels or weights of all batches, or None where there are none."""
    missing = [number for number, part in enumerate(parts) if part is None]
    if len(missing) == len(parts):
        return None
    if missing:
        raise ValueError(f"batch {missing[0]} has no {name}, but others have: all batches must have them, or none.")
    return np.concatenate(parts)
