"""Blocks that a function makes anew for each pass."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastlin.blocks.blocks import Blocks, add_row_lengths, check_rows, digest_rows, find_kind, join_blocks, read_type
from fastlin.containers import read_if_sparse
from fastlin.exceptions import DataChangedError
from fastlin.typing import Array


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
            "over the data asks for them anew."
        )
    lengths, digests = [], []
    labels: list[Array | None] = []
    weights: list[Array | None] = []
    kind: Any = None
    row_lengths, previous, is_reused = (0, 0), np.empty(0), False
    for name, X, batch_labels, batch_weights in _read(make_batches):
        kind, n = find_kind(X, name, kind), X.shape[0]
        # Copies, since they may be parts of what the function fills again, or of all of X.
        for kept, given, what in ((labels, batch_labels, "y"), (weights, batch_weights, "weights")):
            checked = check_rows(given, n, f"{what} of {name}", takes_columns=what == "y")
            kept.append(None if checked is None else np.array(checked))
        if kind.is_sparse:
            X = read_if_sparse(X, name)
            row_lengths = add_row_lengths(X, row_lengths)
        numbers = X.data if kind.is_sparse else X
        is_reused, previous = is_reused or np.may_share_memory(numbers, previous), numbers
        lengths.append(n)
        digests.append(digest_rows(X))
    if kind is None:
        raise ValueError("make_batches gave no batch; at least one is needed.")
    borders = np.append(0, np.cumsum(lengths))
    y, sample_weight = _join(labels, "y"), _join(weights, "weights")
    del weights, X, numbers, previous, batch_labels, batch_weights, labels

    def read():
        for number, (name, X, own_labels, _) in enumerate(_read(make_batches)):
            is_known = number < len(digests) and read_type(X, name) == kind.dtype
            X = read_if_sparse(X, name)
            if is_known and X.shape == (lengths[number], kind.d):
                expected = None if y is None else y[borders[number] : borders[number + 1]]
                is_same = expected is None or np.array_equal(np.asarray(own_labels), expected)
                if not is_same or digest_rows(X) != digests[number]:
                    raise DataChangedError(
                        f"{name} has other {'rows' if is_same else 'labels'} than in the first pass. make_batches must "
                        "give the same batches in the same order each time."
                    )
            # A batch is computed with while the next one is made, in the same memory if the function has but one.
            yield X.astype(kind.dtype, copy=is_reused) if is_known else X

    names = [f"batch {number}" for number in range(len(lengths))]
    sparse_lengths = row_lengths if kind.is_sparse else None
    return join_blocks(read, lengths, names, kind, y=y, sample_weight=sample_weight, row_lengths=sparse_lengths)


def _read(make_batches):
    """Yield the name, X, y and weights of each batch; the last two may be None."""
    batches = make_batches()
    if not hasattr(batches, "__iter__"):
        raise TypeError(f"make_batches must return an iterable of batches, got {type(batches).__name__}.")
    for number, batch in enumerate(batches):
        parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        if not 1 <= len(parts) <= 3:
            raise ValueError(f"batch {number} has {len(parts)} parts; a batch is X, or (X, y), or (X, y, weights).")
        yield (f"batch {number}", *parts, None, None)[:4]


def _join(parts, name):
    """Return labels or weights of all batches, or None where there are none."""
    missing = [number for number, part in enumerate(parts) if part is None]
    if len(missing) == len(parts):
        return None
    if missing:
        raise ValueError(f"batch {missing[0]} has no {name}, but others have: all batches must have them, or none.")
    return np.concatenate(parts)
