"""Blocks that a function makes anew for each pass."""

import numpy as np
from scipy import sparse

from fastlin.blocks.blocks import Blocks, add_row_lengths, check_alike, check_rows, read_type


def from_batches(make_batches):
    """Return Blocks of what a function makes, which may come from anywhere and fit into memory one by one.

    Parameters
    ----------
    make_batches : callable
        Returns an iterable of batches, the same ones in the same order each time, since a fit asks for them once a
        pass. A batch is X, or a tuple of X and y, or of X, y and weights: X an array or CSR matrix of shape (n_b, d),
        all of one type, and y and weights of shape (n_b,). It is called once here, to learn of shapes and labels.

    Returns
    -------
    Blocks

    Raises
    ------
    TypeError
        make_batches cannot be called, as an iterator that ends after one pass.
    ValueError
        There are no batches, a batch is none of these, or differs from the first one in its columns or its type. Later
        too, where the batches, their shapes or labels are others in another pass. Errors name the batch.

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
    found, first, row_lengths = [], None, (0, 0)
    for number, batch in enumerate(make_batches()):
        name = f"batch {number}"
        X, y, weights = _split(batch, name)
        dtype = read_type(X, name)
        check_alike(name, X.shape[1], dtype, sparse.issparse(X), first)
        first = X.shape[1], dtype, sparse.issparse(X)
        n = X.shape[0]
        found.append((n, check_rows(y, n, f"y of {name}"), check_rows(weights, n, f"weights of {name}")))
        if first[2]:
            row_lengths = add_row_lengths(X, row_lengths)
    if not found:
        raise ValueError("make_batches gave no batch; at least one is needed.")
    d, dtype, is_sparse = first
    borders = np.append(0, np.cumsum([n for n, _, _ in found]))
    y, weights = (_join([each[place] for each in found], name) for place, name in ((1, "y"), (2, "weights")))

    def read():
        for number, batch in enumerate(make_batches()):
            X, labels, _ = _split(batch, f"batch {number}")
            # Labels tell whether these are the same rows; a batch too many is told by Blocks.
            if y is not None and number < len(found) and not np.array_equal(labels, found[number][1]):
                raise ValueError(
                    f"The labels of batch {number} are others than in the first pass. make_batches must give the same "
                    "batches in the same order each time."
                )
            X = X.tocsr() if is_sparse and sparse.issparse(X) else X
            yield X.astype(dtype) if X.dtype != dtype and read_type(X, f"batch {number}") == dtype else X

    names = [f"batch {number}" for number in range(len(found))]
    row_lengths = row_lengths if is_sparse else None
    return Blocks(read, borders, names, (borders[-1], d), dtype, y, weights, row_lengths=row_lengths)


def _split(batch, name):
    """Return X, y and weights of a batch; the last two may be None."""
    parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    if not 1 <= len(parts) <= 3:
        raise ValueError(f"{name} has {len(parts)} parts; a batch is X, or (X, y), or (X, y, weights).")
    return (*parts, None, None)[:3]


def _join(parts, name):
    """Return labels or weights of all batches, or None where there are none."""
    missing = [number for number, part in enumerate(parts) if part is None]
    if len(missing) == len(parts):
        return None
    if missing:
        raise ValueError(f"batch {missing[0]} has no {name}, but others have: all batches must have them, or none.")
    return np.concatenate(parts)
