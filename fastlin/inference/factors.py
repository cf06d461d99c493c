"""The Cholesky factor of an information matrix, and what follows from it, the same bits for any number of threads."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from fastlin.matrices.dense import DenseMatrix
from fastlin.solvers.preconditioners import Preconditioner
from fastlin.typing import FloatArray

# A column whose pivot is below this part of its diagonal entry depends on those before it, as far as sums over rows
# tell. So does one to whose entry the kernel has added more than this part, to make the matrix positive definite.
SMALLEST_PIVOT, MOST_ADDED = 1e-12, 1e-9


class Factor(Preconditioner):
    """U with U' U = A for a symmetric A (m, m) of finite numbers, whose upper triangle is read.

    `diagonal` and `squares` (m,) are the diagonals of A and U' U, larger if the kernel has added to A.
    `first_dependent` is the first column that depends on those before it; None if A is positive definite.
    """

    def __init__(self, matrix: FloatArray) -> None:
        super().__init__(1, len(matrix), np.float64)
        self.factorize(0, matrix[None], 0.0)
        self.diagonal, self.squares = np.diagonal(matrix).copy(), self.square_columns()
        sizes = np.where(self.diagonal > 0, self.diagonal, 1.0)
        is_definite = self.squares - self.diagonal <= MOST_ADDED * sizes
        is_definite &= self._find_pivots() ** 2 > SMALLEST_PIVOT * sizes
        self.first_dependent = None if is_definite.all() else int(np.argmin(is_definite))

    def _find_pivots(self):
        lengths = np.arange(self._size, 0, -1)
        return self._factors[0, np.cumsum(lengths) - lengths]

    @property
    def log_determinant(self) -> float:
        """The logarithm of the determinant of A."""
        return 2.0 * float(np.add.reduce(np.log(self._find_pivots())))

    def invert(self) -> FloatArray:
        """Return A^-1."""
        return self.solve(np.eye(self._size))

    @cached_property
    def inverse_root(self) -> FloatArray:
        """U A^-1 = U'^-1, R with R' R = A^-1, so that x' A^-1 x is the square of the length of R x."""
        return multiply(self.unpack()[0], self.invert())


def multiply(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return left @ right of matrices (m, n) and (n, k), the same bits for any number of threads of BLAS."""
    return DenseMatrix(left).compute_scores(np.ascontiguousarray(right.T), np.zeros(right.shape[1]))
