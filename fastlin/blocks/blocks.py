"""`Blocks`, rows of X that are read block by block, and the functions that create them."""

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

from fastlin.blocks.descriptions import RowsDescription, check_dtype, describe_rows, join_descriptions
from fastlin.containers.sparse_containers import validate_if_sparse
from fastlin.containers.tensors import choose_kernel_dtype
from fastlin.exceptions import DataChangedError
from fastlin.typing import Array, IntArray, SparseContainer

# A block is large enough that its overhead is negligible, and small enough that two blocks fit into memory.
BLOCK_BYTES = 64 << 20
# Linux reads at most this many bytes ahead per call (docs/benchmarks/design-choices.md: read-ahead).
READ_AHEAD_BYTES = 128 << 10
# A suffix for the names of the blocks of an array, and the function that loads the array. The suffix follows the range
# of rows.
SuffixAndArrayLoader: TypeAlias = tuple[str, Callable[[], Array]]


class Blocks:
    """Rows of X in blocks, with their labels and weights. The rows can be read any number of times.

    The functions of this module create them. Iteration yields one tuple (X, y, weights) per block. y is None if there
    are no labels, and weights is None if there are no weights.

    Parameters
    ----------
    read : callable
        Returns an iterator over the blocks of X. The blocks are either all arrays or all CSR matrices, and they have
        the same supported dtype.
    borders : sequence of int
        The index of the first row of each block, followed by the number of rows: 0, ..., n.
    names : sequence of str
        The name of each block in error messages.
    shape : tuple of int
        The number of rows n and of columns d.
    dtype : dtype
        The dtype of X.
    y, sample_weight : ndarray or None
        The labels, of shape (n,), or soft labels or multilabel indicators, of shape (n, n_classes); and the weights, of
        shape (n,).
    feature_names : list of str or None
        The names of the columns.
    row_lengths : tuple of int or None
        The number of stored entries in all sparse blocks, and in their longest row. None if the blocks are dense.

    Attributes
    ----------
    borders, names, shape, dtype, y, sample_weight, feature_names
        The parameters.
    is_sparse : bool
        Whether the blocks are CSR matrices.
    n_entries, longest_row : int
        The number of entries read per pass, and the number of entries of the longest row.

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
        self.y = validate_labels_or_weights(y, self.shape[0], "y", allow_2d=True)
        self.sample_weight = validate_labels_or_weights(sample_weight, self.shape[0], "sample_weight")
        self.feature_names = feature_names
        self.is_sparse = row_lengths is not None
        self.n_entries, self.longest_row = row_lengths or (self.shape[0] * self.shape[1], self.shape[1])

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self.names)

    def __repr__(self) -> str:
        """Return the number of blocks, and the shape and dtype of X."""
        kind = "sparse " if self.is_sparse else ""
        return f"<{len(self)} blocks of {self.shape[0]:,} x {self.shape[1]:,} {kind}{self.dtype}>"

    def __iter__(self) -> Iterator[tuple[Array | SparseContainer, Array | None, Array | None]]:
        """Yield X, y and weights of each block."""
        for first, last, X in zip(self.borders[:-1], self.borders[1:], self.read(), strict=True):
            y, weights = (None if array is None else array[first:last] for array in (self.y, self.sample_weight))
            yield X, y, weights

    @property
    def nbytes(self) -> int:
        """The number of bytes that a pass reads."""
        return self.n_entries * (self.dtype.itemsize + (4 if self.is_sparse else 0))

    def read(self) -> Iterator[Array | SparseContainer]:
        """Yield the blocks of X.

        Raises
        ------
        DataChangedError
            A block has changed since the Blocks were created. The error names the block.
        """
        n_blocks = 0
        for n_blocks, X in enumerate(self._read(), 1):
            if n_blocks <= len(self):
                shape = int(self.borders[n_blocks] - self.borders[n_blocks - 1]), self.shape[1]
                if X.shape != shape or X.dtype != self.dtype or sparse.issparse(X) != self.is_sparse:
                    raise DataChangedError(
                        f"{self.names[n_blocks - 1]} has changed: it was {shape} {self.dtype} when the blocks were "
                        f"created, and is {X.shape} {X.dtype} now. Create the blocks again."
                    )
                yield X
        if n_blocks != len(self):
            raise DataChangedError(
                f"The number of blocks has changed: it was {len(self)} when they were created, and is {n_blocks} now. "
                "Create the blocks again."
            )

    def __reduce__(self) -> NoReturn:
        """Raise a TypeError, because temporary files may belong to this object only."""
        raise TypeError("Blocks cannot be copied or pickled. Create them in the process that uses them.")


def create_blocks(
    read: Callable[[], Iterator[Any]], block_descriptions: Sequence[RowsDescription], **options: Any
) -> Blocks:
    """Return Blocks with one block per description. The blocks must be compatible. `options` are passed to `Blocks`."""
    joined_description = join_descriptions(block_descriptions, "blocks")
    borders = np.append(0, np.cumsum([description.shape[0] for description in block_descriptions], dtype=np.int64))
    row_lengths = (
        (joined_description.n_entries, joined_description.longest_row) if joined_description.is_sparse else None
    )
    names = [description.name for description in block_descriptions]
    return Blocks(
        read,
        borders,
        names,
        (borders[-1], joined_description.shape[1]),
        joined_description.dtype,
        row_lengths=row_lengths,
        **options,
    )


def take_rows(blocks: Blocks, rows: IntArray) -> Blocks:
    """Return Blocks with copies of the rows whose sorted indices are `rows`, without labels and feature names."""
    borders = np.searchsorted(rows, blocks.borders)

    def read():
        for first, (begin, end), X in zip(blocks.borders[:-1], pairwise(borders), blocks.read(), strict=True):
            if begin < end:
                yield X[rows[begin:end] - first]

    names = [name for name, (begin, end) in zip(blocks.names, pairwise(borders), strict=True) if begin < end]

    shape = len(rows), blocks.shape[1]
    # These are upper bounds, because the lengths of the selected rows are unknown.
    row_lengths = (blocks.n_entries, blocks.longest_row) if blocks.is_sparse else None
    return Blocks(read, np.unique(borders), names, shape, blocks.dtype, row_lengths=row_lengths)


def validate_labels_or_weights(values: ArrayLike | None, n: int, name: str, *, allow_2d: bool = False) -> Array | None:
    """Return labels or weights as an array of shape (n,), or None if there are none.

    If `allow_2d` is true, the shape may also be (n, n_classes).
    """
    if values is None:
        return None
    array = np.asarray(values)
    is_numeric_2d = array.ndim == 2 and len(array) == n and array.dtype.kind in "biuf"
    if array.shape != (n,) and not (allow_2d and is_numeric_2d):
        raise ValueError(f"{name} must have one entry for each of the {n} rows of the blocks, got shape {array.shape}.")
    return array


def compute_block_borders(n_rows: int, row_bytes: int, rows_per_block: int | None = None) -> IntArray:
    """Return the borders of blocks of `rows_per_block` rows, or of BLOCK_BYTES bytes if `rows_per_block` is None."""
    if rows_per_block is None:
        rows_per_block = max(1, BLOCK_BYTES // max(1, row_bytes))
    elif not (isinstance(rows_per_block, (int, np.integer)) and rows_per_block >= 1):
        raise ValueError(f"rows_per_block must be an integer of at least 1, got {rows_per_block!r}.")
    # An empty array becomes one empty block, which stores the number of columns.
    return np.append(np.arange(0, max(n_rows, 1), rows_per_block), n_rows)


def from_arrays(
    X: Array | Sequence[Array],
    y: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    rows_per_block: int | None = None,
) -> Blocks:
    """Return Blocks from one or several arrays, which may be memory-mapped files.

    No data are copied if `fit` supports the dtype of X. Otherwise, for example for int64, each block is converted to
    float64 when it is read.

    Parameters
    ----------
    X : ndarray of shape (n, d), or sequence of such arrays
        The rows, for example ``np.load("X.npy", mmap_mode="r")``.
    y : array-like of shape (n,) or (n, n_classes), or None
        The labels, soft labels, or multilabel indicators; None if they are passed to `fit`.
    sample_weight : array-like of shape (n,) or None
        The weights of the rows; None means ones.
    rows_per_block : int or None
        Number of rows per block, at least 1. None means 64 MB per block. A block never contains rows from two arrays.

    Returns
    -------
    Blocks
        The rows, their labels and weights.

    Raises
    ------
    ValueError
        An array is not two-dimensional, its dtype or number of columns differs from the first array, or y or
        sample_weight has the wrong length.

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
            raise ValueError(f"{name} is sparse, but from_arrays accepts dense arrays. Use blocks.from_csr.")
        check_dtype(array, name)
    name_suffixes = ["" if name == "X" else f" of {name}" for name in names]
    sources = [(suffix, partial(np.asanyarray, array)) for suffix, array in zip(name_suffixes, arrays, strict=True)]
    return split_into_blocks(sources, rows_per_block, y=y, sample_weight=sample_weight)


def split_into_blocks(
    sources: Iterable[SuffixAndArrayLoader], rows_per_block: int | None = None, has_files: bool = True, **options: Any
) -> Blocks:
    """Return Blocks with the rows of all sources. If `has_files` is true, changes in the mapped files raise an error.

    `options` are passed to `Blocks`.
    """
    block_loaders, block_descriptions = [], []
    for suffix, load in sources:
        array = load()
        check_files = make_file_check([array] if has_files else [])
        row_bytes = array.shape[1] * choose_kernel_dtype(array.dtype).itemsize
        for first, last in pairwise(compute_block_borders(len(array), row_bytes, rows_per_block)):
            block_loaders.append(partial(_load_dense_block, load, check_files, slice(first, last)))
            block_descriptions.append(describe_rows(array[first:last], f"rows {first} to {last - 1}{suffix}"))
    return create_blocks(lambda: (load() for load in block_loaders), block_descriptions, **options)


def _load_dense_block(load, check_files, rows):
    """Return rows of a source as a block, after a check that the mapped file has not changed."""
    check_files()
    block = load()[rows]
    read_ahead(block)
    return np.asarray(block, choose_kernel_dtype(block.dtype))


def from_csr(
    X: SparseContainer | Sequence[SparseContainer], y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> Blocks:
    """Return Blocks from sparse matrices.

    Parameters
    ----------
    X : sequence of SciPy sparse containers of shape (n_b, d)
        The blocks, as CSR matrices or CSR arrays, which may be memory-mapped. Containers in other formats are converted
        when they are read.
    y, sample_weight
        Labels and weights of all rows; see `from_arrays`.

    Returns
    -------
    Blocks
        The rows, their labels and weights.

    Raises
    ------
    ValueError
        A block is not sparse. For other cases, see `from_arrays`.

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
    parts: list[Any] = [X] if sparse.issparse(X) else list(X)
    if not parts:
        raise ValueError("X is an empty list; it must hold at least one sparse matrix.")
    block_loaders, block_descriptions = [], []
    for number, part in enumerate(parts):
        name = f"piece {number}"
        if not sparse.issparse(part):
            raise ValueError(
                f"{name} is a {type(part).__name__}, but from_csr accepts sparse containers. Use blocks.from_arrays "
                "for dense arrays."
            )
        load = partial(_load_sparse_block, part, name, make_file_check(vars(part).values()))
        block_loaders.append(load)
        block_descriptions.append(describe_rows(load(), name))
    return create_blocks(
        lambda: (load() for load in block_loaders), block_descriptions, y=y, sample_weight=sample_weight
    )


def _load_sparse_block(part, name, check_files):
    """Return a sparse container in CSR format, after a check that its mapped files have not changed.

    The indices of CSR containers are checked in each pass, when a SparseMatrix is created.
    """
    check_files()
    rows = part if part.format == "csr" else validate_if_sparse(part, name)
    return rows.astype(check_dtype(part, name), copy=False)


def make_file_check(arrays: Iterable[object]) -> Callable[[], None]:
    """Return a fast function that raises a DataChangedError if a file that backs one of the arrays has changed."""
    memory_maps = [memory_map for memory_map in map(find_memory_map, arrays) if memory_map is not None]
    files = {
        memory_map.filename: _get_size_and_mtime(memory_map.filename)
        for memory_map in memory_maps
        if memory_map.filename
    }

    def check_files():
        for filename, before in files.items():
            try:
                now = _get_size_and_mtime(filename)
            except OSError as error:
                raise DataChangedError(
                    f"{filename} can no longer be read: {error}. Restore the file and create the blocks again."
                ) from error
            if now != before:
                sizes = f"had {before[0]} bytes, and has {now[0]} now" if now[0] != before[0] else "was written to"
                raise DataChangedError(
                    f"{filename} has changed while it was in use: it {sizes}. Create the blocks again."
                )

    return check_files


def _get_size_and_mtime(filename):
    file_status = os.stat(filename)
    return file_status.st_size, file_status.st_mtime_ns


def find_memory_map(array: Any) -> np.memmap[Any, Any] | None:
    """Return the memory map that backs an array, or None. If memory maps are nested, return the outermost one."""
    memory_map = None
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            memory_map = array
        array = array.base
    return memory_map


def read_ahead(block: Array) -> None:
    """Advise the operating system to read a block from disk, if its rows are contiguous in a mapped file."""
    memory_map = find_memory_map(block)
    if memory_map is None or not isinstance(memory_map.base, mmap.mmap) or not block.flags.c_contiguous:
        return
    if not hasattr(memory_map.base, "madvise"):
        return
    first = memory_map.offset % mmap.ALLOCATIONGRANULARITY + block.ctypes.data - memory_map.ctypes.data
    for offset in range(first - first % mmap.PAGESIZE, first + block.nbytes, READ_AHEAD_BYTES):
        memory_map.base.madvise(mmap.MADV_WILLNEED, offset, min(READ_AHEAD_BYTES, len(memory_map.base) - offset))


def from_batches(make_batches: Callable[[], Iterable[Any]]) -> Blocks:
    """Return Blocks from a function that generates batches; only one batch at a time must fit into memory.

    Parameters
    ----------
    make_batches : callable
        Returns an iterable of batches. The function must return the same batches in the same order each time, because a
        fit calls it once per pass. `from_batches` also calls it once. A batch is X, (X, y) or (X, y, weights). X is an
        array or CSR matrix of shape (n_b, d), with the same dtype in all batches. y and weights have shape (n_b,); soft
        labels have shape (n_b, n_classes).

    Returns
    -------
    Blocks
        The rows, their labels and weights.

    Raises
    ------
    TypeError
        make_batches is not callable, for example because it is an iterator, which ends after one pass.
    ValueError
        There are no batches, a batch has another form, or its number of columns or dtype differs from the first batch.
        The error names the batch.
    DataChangedError
        In a fit, the batches differ between passes.

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
            f"make_batches must be a function that returns an iterable of batches, got {type(make_batches).__name__}. "
            "Each pass over the data calls it again."
        )
    batch_descriptions: list[RowsDescription] = []
    labels: list[Array | None] = []
    weights: list[Array | None] = []
    previous_numbers, is_memory_reused = np.empty(0), False
    for X, piece, y, sample_weight in _read_batches(make_batches):
        # Labels and weights are copied, because the function may reuse them, or they may be views of a larger array.
        for collected_arrays, values, name in ((labels, y, "y"), (weights, sample_weight, "weights")):
            copied_values = None if values is None else np.array(values)
            collected_arrays.append(
                validate_labels_or_weights(copied_values, X.shape[0], f"{name} of {piece.name}", allow_2d=name == "y")
            )
        numbers = X.data if piece.is_sparse else X
        is_memory_reused, previous_numbers = is_memory_reused or np.may_share_memory(numbers, previous_numbers), numbers
        batch_descriptions.append(piece)
    if not batch_descriptions:
        raise ValueError("make_batches returned no batches; at least one is required.")

    def read():
        for number, (X, piece, *_) in enumerate(_read_batches(make_batches)):
            change = batch_descriptions[number].describe_change(piece) if number < len(batch_descriptions) else ""
            if change:
                raise DataChangedError(
                    f"{piece.name} {change}: make_batches must return the same batches in the same order each time."
                )
            # The function may write the next batch into the same memory while this one is in use.
            yield X.astype(piece.dtype, copy=is_memory_reused)

    return create_blocks(
        read,
        batch_descriptions,
        y=_join_batch_values(labels, "y"),
        sample_weight=_join_batch_values(weights, "weights"),
    )


def _read_batches(make_batches):
    """Yield X, its Description, y and weights of each batch; y and weights may be None."""
    batches = make_batches()
    if not hasattr(batches, "__iter__"):
        raise TypeError(f"make_batches must return an iterable of batches, got {type(batches).__name__}.")
    for number, batch in enumerate(batches):
        parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        if not 1 <= len(parts) <= 3:
            raise ValueError(f"batch {number} has {len(parts)} elements; a batch is X, (X, y) or (X, y, weights).")
        X, y, weights = (*parts, None, None)[:3]
        X = validate_if_sparse(X, f"batch {number}")
        yield X, describe_rows(X, f"batch {number}", labels=y), y, weights


def _join_batch_values(parts, name):
    """Return the labels or weights of all batches, or None if there are none."""
    missing = [number for number, part in enumerate(parts) if part is None]
    if len(missing) == len(parts):
        return None
    if missing:
        raise ValueError(f"batch {missing[0]} has no {name}, but other batches do. Either all or none must have them.")
    return np.concatenate(parts)
