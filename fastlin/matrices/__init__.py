"""Matrix formats of X, and the passes over the rows of X from which an objective is computed.

This layer calls the kernels in `fastlin.kernels`, and `fastlin.objective` uses it.
"""

from typing import Any

from fastlin.matrices.dense import DenseMatrix
from fastlin.matrices.matrix import Matrix, Passes
from fastlin.matrices.pieces import BlockMatrix, PiecewiseMatrix
from fastlin.matrices.sparse import SparseMatrix
from fastlin.matrices.table_matrix import CategoricalColumn, TableMatrix
from fastlin.typing import Array, SparseContainer


def as_matrix(X: Array | SparseContainer | Matrix) -> Any:
    """Return X as a Matrix; raise a ValueError if X is a sparse container that SparseMatrix does not accept."""
    if isinstance(X, Matrix):
        return X
    return DenseMatrix(X) if hasattr(X, "strides") else SparseMatrix(X)


__all__ = [
    "BlockMatrix",
    "CategoricalColumn",
    "DenseMatrix",
    "Matrix",
    "Passes",
    "PiecewiseMatrix",
    "SparseMatrix",
    "TableMatrix",
    "as_matrix",
]
