"""Matrices: X in the form it came in, and the walks over it that an objective is made of."""

from fastlin.matrices.dense import DTYPES, DenseMatrix
from fastlin.matrices.sparse import SparseMatrix


def as_matrix(X):
    """Return X, an ndarray or a SciPy sparse container, as a matrix that an objective works on; X itself if it is one.

    Raises
    ------
    ValueError
        As SparseMatrix has it.
    """
    if isinstance(X, (DenseMatrix, SparseMatrix)):
        return X
    return DenseMatrix(X) if hasattr(X, "strides") else SparseMatrix(X)


__all__ = ["DTYPES", "DenseMatrix", "SparseMatrix", "as_matrix"]
