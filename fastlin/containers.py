"""SciPy's sparse containers, checked and turned into rows; a broken one is never read out of its bounds.

SciPy's own conversions trust the index arrays. So every room reads what a caller gives by these functions first.
"""

from typing import Any

import numpy as np
from scipy import sparse

from fastlin.typing import SparseContainer

ACCEPTED = "Accepted are NumPy arrays, and SciPy sparse matrices and arrays whose index arrays lie within their shape."


def read_if_sparse(data: Any, name: str = "X") -> Any:
    """Return a sparse container as CSR, as `read_container` does, and anything else as it is."""
    return read_container(data, name)[0] if sparse.issparse(data) else data


def read_container(X: SparseContainer, name: str = "X") -> tuple[SparseContainer, SparseContainer | None]:
    """Return a SciPy sparse container of any format as CSR, and as CSC where it came so; errors call it by the name.

    The caller's object stays as it is. It is returned itself where it is CSR with int32 or int64 indices and values
    that are read as they are: float64, float32, bool and whole numbers. Other values become float64.

    Raises
    ------
    ValueError
        X is not two-dimensional, its values are not real numbers, or its arrays contradict each other.
    """
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, but {name} is a sparse array of shape {X.shape}. {ACCEPTED}")
    if X.dtype.kind not in "fbiu":
        kind = "Complex" if X.dtype.kind == "c" else str(X.dtype)
        raise ValueError(f"{kind} data not supported: {name} holds {X.dtype}, but real numbers are needed.")
    _check(X, name)
    if X.format in ("dok", "dia", "lil"):
        try:
            X = X.tocsr() if X.format == "lil" else X.tocoo()
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            raise ValueError(
                f"{name} is a broken {X.format.upper()} matrix of shape {X.shape}: {error}. {ACCEPTED}"
            ) from error
        _check(X, name)
    X = _with_native_types(X)
    return X.tocsr(), X if X.format == "csc" else None


def _check(X, name):
    """Raise a ValueError unless the arrays of a container agree with each other and with its shape."""
    fault = _find_fault(X)
    if fault:
        raise ValueError(f"{name} is a broken {X.format.upper()} matrix of shape {X.shape}: {fault}. {ACCEPTED}")


def _find_fault(X):
    """Return in words what is wrong with the arrays of a container, and no words where nothing is."""
    match X.format:
        case "csr" | "csc" | "bsr":
            return _find_compressed_fault(X)
        case "coo":
            if not len(X.row) == len(X.col) == len(X.data):
                return f"it has {len(X.row)} rows, {len(X.col)} columns and {len(X.data)} values of entries"
            outside = (_find_outside(*places) for places in zip((X.row, X.col), X.shape, strict=True))
            return _find_wrong_type(row=X.row, col=X.col) or next(filter(None, outside), "")
        case "lil":
            if not X.rows.shape == X.data.shape == X.shape[:1]:
                return f"it has {len(X.rows)} rows of columns and {len(X.data)} of values"
            lines = [*X.rows, *X.data]
            if not all(isinstance(line, list) for line in lines):
                return "a row is no list"
            if not all(isinstance(column, (int, np.integer)) for columns in X.rows for column in columns):
                return "a column is no whole number"
            if [len(columns) for columns in X.rows] != [len(values) for values in X.data]:
                return "a row has more columns than values, or fewer"
        case "dia":
            if X.data.ndim != 2 or X.offsets.shape != X.data.shape[:1]:
                return f"its offsets have the shape {X.offsets.shape}, and its data {X.data.shape}"
    return ""


def _find_compressed_fault(X):
    """Return what is wrong with a CSR, CSC or BSR matrix, as `_find_fault` does."""
    n_lines, n_places = X.shape if X.format != "csc" else X.shape[::-1]
    if X.format == "bsr":
        if X.data.ndim != 3 or 0 in X.data.shape[1:] or n_lines % X.data.shape[1] or n_places % X.data.shape[2]:
            return f"its data have the shape {X.data.shape}"
        n_lines, n_places = n_lines // X.data.shape[1], n_places // X.data.shape[2]
    elif X.data.ndim != 1:
        return f"its data have {X.data.ndim} dimensions instead of one"
    wrong_type = _find_wrong_type(indptr=X.indptr, indices=X.indices)
    if wrong_type:
        return wrong_type
    if len(X.indptr) != n_lines + 1:
        return f"indptr has {len(X.indptr)} entries instead of {n_lines + 1}"
    if X.indptr[0] != 0:
        return f"indptr starts at {X.indptr[0]} instead of 0"
    if (X.indptr[1:] < X.indptr[:-1]).any():
        return "indptr falls, but each row or column must end where the next begins"
    if len(X.indices) != len(X.data):
        return f"indices has {len(X.indices)} entries, but data {len(X.data)}"
    if X.indptr[-1] > len(X.indices):
        return f"indptr ends at {X.indptr[-1]}, beyond the {len(X.indices)} entries of indices"
    return _find_outside(X.indices[: X.indptr[-1]], n_places)


def _find_wrong_type(**arrays):
    """Return which of the arrays is none of whole numbers, as `_find_fault` does."""
    for name, array in arrays.items():
        if array.ndim != 1 or array.dtype.kind not in "iu":
            return f"{name} must be a 1-D array of whole numbers, but is a {array.ndim}-D array of {array.dtype}"
    return ""


def _find_outside(indices, n_places):
    """Return which index is none of n_places, as `_find_fault` does."""
    if len(indices) and not (indices.min() >= 0 and indices.max() < n_places):
        outside = indices.min() if indices.min() < 0 else indices.max()
        return f"its index {outside} lies outside of the {n_places} rows or columns that there are"
    return ""


def _with_native_types(X):
    """Return X with values and indices of types that SciPy and the kernels read; X itself where it has them."""
    if (X.dtype.kind == "f" and X.dtype not in (np.float32, np.float64)) or not X.dtype.isnative:
        X = X.astype(np.float64)
    if X.format in ("csr", "csc"):
        kinds = {X.indices.dtype, X.indptr.dtype}
        if kinds != {np.dtype(np.int32)} and kinds != {np.dtype(np.int64)}:
            make = sparse.csr_array if X.format == "csr" else sparse.csc_array
            X = make((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), shape=X.shape)
    return X
