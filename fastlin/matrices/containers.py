"""SciPy's sparse containers, checked and turned into rows; a broken one is never read out of its bounds."""

import numpy as np
from scipy import sparse

from fastlin.typing import SparseContainer

ACCEPTED = "X may be a NumPy array or a SciPy sparse matrix or array whose index arrays lie within its shape."


def read_container(X: SparseContainer) -> tuple[SparseContainer, SparseContainer | None]:
    """Return a SciPy sparse container as CSR, and as CSC where it came so.

    The caller's object stays as it is. It is returned itself where it is CSR with int32 or int64 indices and values
    that are read as they are: float64, float32, bool and whole numbers. Other values become float64.

    Parameters
    ----------
    X : SciPy sparse container
        The data, of any format.

    Returns
    -------
    csr : CSR matrix or array
    csc : CSC matrix or array, or None

    Raises
    ------
    ValueError
        X is not two-dimensional, its values are not real numbers, or its arrays contradict each other.
    """
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, but X is a sparse array of shape {X.shape}. {ACCEPTED}")
    if X.dtype.kind not in "fbiu":
        kind = "Complex" if X.dtype.kind == "c" else str(X.dtype)
        raise ValueError(f"{kind} data not supported: X holds values of type {X.dtype}, but real numbers are needed.")
    match X.format:
        case "csr" | "csc" | "bsr":
            _check_compressed(X)
        case "coo":
            _check_coordinates(X)
        case "lil":
            if [len(columns) for columns in X.rows] != [len(values) for values in X.data]:
                raise ValueError(f"X is a LIL matrix with rows of other lengths in its data than in rows. {ACCEPTED}")
        case "dia":
            if X.data.ndim != 2 or X.offsets.shape != X.data.shape[:1]:
                raise ValueError(
                    f"X is a DIA matrix with offsets of shape {X.offsets.shape} for data of {X.data.shape}. {ACCEPTED}"
                )
    if X.format in ("dok", "dia"):
        X = X.tocoo()
        _check_coordinates(X)
    X = _with_native_types(X)
    csr = X.tocsr()
    if X.format == "lil":
        _check_compressed(csr)
    return csr, X if X.format == "csc" else None


def _check_compressed(X):
    """Raise a ValueError unless the arrays of a CSR, CSC or BSR matrix agree with each other and with its shape."""
    name, (n_lines, n_places) = X.format.upper(), X.shape if X.format != "csc" else X.shape[::-1]
    if X.format == "bsr":
        if X.data.ndim != 3 or n_lines % X.data.shape[1] or n_places % X.data.shape[2]:
            raise ValueError(f"X is a BSR matrix of shape {X.shape} with data of shape {X.data.shape}. {ACCEPTED}")
        n_lines, n_places = n_lines // X.data.shape[1], n_places // X.data.shape[2]
    elif X.data.ndim != 1:
        raise ValueError(f"X is a {name} matrix whose data have {X.data.ndim} dimensions instead of one. {ACCEPTED}")
    _check_whole_numbers(name, indptr=X.indptr, indices=X.indices)
    found = ""
    if len(X.indptr) != n_lines + 1:
        found = f"indptr has {len(X.indptr)} entries instead of {n_lines + 1}"
    elif X.indptr[0] != 0:
        found = f"indptr starts at {X.indptr[0]} instead of 0"
    elif (X.indptr[1:] < X.indptr[:-1]).any():
        found = "indptr falls, but each row or column must end where the next begins"
    elif len(X.indices) != len(X.data):
        found = f"indices has {len(X.indices)} entries, but data {len(X.data)}"
    elif X.indptr[-1] > len(X.indices):
        found = f"indptr ends at {X.indptr[-1]}, beyond the {len(X.indices)} entries of indices"
    if found:
        raise ValueError(f"X is a broken {name} matrix of shape {X.shape}: {found}. {ACCEPTED}")
    _check_range(X, X.indices[: X.indptr[-1]], n_places)


def _check_coordinates(X):
    """Raise a ValueError unless the coordinates of a COO matrix agree with its values and its shape."""
    _check_whole_numbers("COO", row=X.row, col=X.col)
    if not len(X.row) == len(X.col) == len(X.data):
        raise ValueError(
            f"X is a broken COO matrix: it has {len(X.row)} rows, {len(X.col)} columns and {len(X.data)} values of "
            f"entries. {ACCEPTED}"
        )
    _check_range(X, X.row, X.shape[0])
    _check_range(X, X.col, X.shape[1])


def _check_whole_numbers(name, **arrays):
    for array_name, array in arrays.items():
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise ValueError(
                f"X is a broken {name} matrix: {array_name} must be a 1-D array of whole numbers, but is a "
                f"{array.ndim}-D array of {array.dtype}. {ACCEPTED}"
            )


def _check_range(X, indices, n_places):
    if len(indices) and not (indices.min() >= 0 and indices.max() < n_places):
        outside = indices.min() if indices.min() < 0 else indices.max()
        raise ValueError(
            f"X is a broken {X.format.upper()} matrix of shape {X.shape}: its index {outside} lies outside of the "
            f"{n_places} rows or columns that there are. {ACCEPTED}"
        )


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
