"""Matrices: X in the form it came in, and the passes over it that an objective is made of."""

import math
from typing import TypeVar, overload

from fastlin.matrices.dense import DenseMatrix
from fastlin.matrices.matrix import Matrix, Passes
from fastlin.matrices.pieces import BlockMatrix, PiecewiseMatrix
from fastlin.matrices.sparse import SparseMatrix
from fastlin.matrices.table_matrix import Codes, TableMatrix
from fastlin.typing import Array, SparseContainer

Given = TypeVar("Given", bound=Matrix)

# A dense copy of an X with so many of its entries takes no more memory than its rows and columns do as sparse ones.
# Fits of five tables with as many or more took 1.15 to 7 times as long by sparse passes.
FILLED = 1 / 3


@overload
def as_matrix(X: Given) -> Given: ...
@overload
def as_matrix(X: Array) -> DenseMatrix: ...
@overload
def as_matrix(X: SparseContainer) -> SparseMatrix: ...
def as_matrix(X: Array | SparseContainer | Matrix) -> Matrix:
    """Return X as a matrix that an objective works on.

    Parameters
    ----------
    X : ndarray, SciPy sparse container or one of these matrices
        The data; a matrix is returned as it is.

    Returns
    -------
    Matrix

    Raises
    ------
    ValueError
        X is a sparse container that SparseMatrix refuses.
    """
    if isinstance(X, Matrix):
        return X
    return DenseMatrix(X) if hasattr(X, "strides") else SparseMatrix(X)


def choose_form(matrix: Matrix) -> Matrix:
    """Return a matrix in the form in which passes over it are fast: dense where a sparse one is FILLED."""
    if isinstance(matrix, SparseMatrix) and matrix.n_entries >= FILLED * math.prod(matrix.shape):
        return DenseMatrix(matrix.csr.toarray())
    return matrix


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
    "choose_form",
]
