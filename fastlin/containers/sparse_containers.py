"""Validation of SciPy sparse containers, and conversion to CSR. SciPy itself does not validate index arrays."""

from copy import copy
from operator import index
from typing import Any

import numpy as np
from scipy import sparse

from fastlin.typing import SparseContainer

ACCEPTED = "Accepted are NumPy arrays, and SciPy sparse matrices and arrays whose index arrays lie within their shape."

SUPPORTED_INDEX_DTYPES = {np.dtype(np.int32)}, {np.dtype(np.int64)}


def validate_if_sparse(data: Any, name: str = "X") -> Any:
    """Return a sparse container as CSR (see `validate_container`). Other data are returned unchanged."""
    return validate_container(data, name)[0] if sparse.issparse(data) else data


def validate_container(X: SparseContainer, name: str = "X") -> tuple[SparseContainer, SparseContainer | None]:
    """Return a SciPy sparse container of any format as CSR. If X is in CSC format, also return it as CSC.

    The second result is None for other formats. CSR containers with dtypes that kernels support are not copied. Values
    of other dtypes are converted to float64. Error messages contain `name`.
    """
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, but {name} is a sparse array of shape {X.shape}. {ACCEPTED}")
    if X.dtype.kind not in "fbiu":
        kind = "Complex" if X.dtype.kind == "c" else str(X.dtype)
        raise ValueError(f"{kind} data not supported: {name} has dtype {X.dtype}, but real numbers are required.")
    try:
        checked_matrix = _validate_matrix(X)
    except (TypeError, ValueError, IndexError, ArithmeticError) as error:
        raise ValueError(
            f"{name} is an invalid {X.format.upper()} matrix of shape {X.shape}: {error}. {ACCEPTED}"
        ) from error
    return checked_matrix.tocsr(), checked_matrix if checked_matrix.format == "csc" else None


def _validate_matrix(X):
    """Return X as a valid CSR, CSC or BSR matrix with dtypes that kernels support. If possible, X is not copied."""
    if X.format == "lil":
        if any(len(columns) != len(values) for columns, values in zip(X.rows, X.data, strict=False)):
            raise ValueError("a row has more columns than values, or fewer")
        # `index` raises a TypeError for non-integers.
        indices = np.array([index(column) for columns in X.rows for column in columns], np.int64)
        data = np.array([value for values in X.data for value in values], X.dtype)
        X = sparse.csr_array((data, indices, np.cumsum([0, *map(len, X.rows)])), shape=X.shape)
    elif X.format == "dia":
        X = sparse.dia_array((X.data, X.offsets), shape=X.shape).tocoo()
    elif X.format == "dok":
        X = X.tocoo()
    index_arrays = [X.row, X.col] if X.format == "coo" else [X.indptr, X.indices]
    if any(array.dtype.kind not in "iu" for array in index_arrays):
        # SciPy would round such indices.
        raise ValueError(f"its indices have dtypes {index_arrays[0].dtype} and {index_arrays[1].dtype}, not integers")
    container_class = getattr(sparse, f"{X.format}_array")
    if X.format == "coo":
        X = container_class((X.data, (X.row, X.col)), shape=X.shape)
    elif (
        not type(X).__module__.startswith("scipy.")
        or {array.dtype for array in index_arrays} not in SUPPORTED_INDEX_DTYPES
    ):
        # SciPy's methods would call the constructor of a subclass.
        X = container_class((X.data, X.indices, X.indptr), shape=X.shape)
    if (X.dtype.kind == "f" and X.dtype not in (np.float32, np.float64)) or not X.dtype.isnative:
        X = X.astype(np.float64)
    X = X.tocsr() if X.format == "coo" else X
    # A copy is checked, because `check_format` truncates the arrays after the last entry.
    copy(X).check_format(full_check=True)
    return X
