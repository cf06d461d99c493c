"""Matrices: X in the form it came in, and the passes over it that an objective is made of."""

from typing import Any

from fastlin.matrices.dense import DenseMatrix
from fastlin.matrices.matrix import Matrix, Passes
from fastlin.matrices.pieces import BlockMatrix, PiecewiseMatrix
from fastlin.matrices.sparse import SparseMatrix
from fastlin.matrices.table_matrix import Codes, TableMatrix
from fastlin.typing import Array, SparseContainer


def as_matrix(X: Array | SparseContainer | Matrix) -> Any:
    """Return X as a matrix that an objective works on; raise ValueError for a container that SparseMatrix refuses."""
    if isinstance(X, Matrix):
        return X
    return DenseMatrix(X) if hasattr(X, "strides") else SparseMatrix(X)


__all__ = [
    "BlockMatrix",
    "Codes",
    "DenseMatrix",
    "Matrix",
    "Passes",
    "PiecewiseMatrix",
    "SparseMatrix",
    "TableMatrix",
    "as_matrix",
]
