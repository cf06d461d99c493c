"""The Cholesky factor of an information matrix, and what follows from it, the same bits for any number of threads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from fastlin.kernels.machine.cholesky import factorize_block
from fastlin.kernels.machine.threads import run_blocks
from fastlin.typing import FloatArray, IntArray

# The kernel adds to the diagonal of a matrix what makes it positive definite. Where it adds more than this part of an
# entry, the column depends on those before it.
MOST_ADDED = 1e-9


@dataclass(frozen=True, eq=False)
class Factor:
    """U with U' U = A for a symmetric A of shape (m, m).

    Attributes
    ----------
    triangle : ndarray of shape (m, m)
        U, upper triangular.
    dependent : ndarray of int
        The columns of A that depend on those before them, as far as rounding lets one tell. Without them A is positive
        definite; with them U' U is not A.
    """

    triangle: np.ndarray
    dependent: IntArray

    @classmethod
    def of(cls, matrix: FloatArray) -> Self:
        """Return the Factor of a symmetric matrix of finite numbers, whose upper triangle is read."""
        size = len(matrix)
        # With a diagonal of ones rounding counts alike in all columns.
        diagonal = np.diagonal(matrix)
        roots = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        scaled = np.ascontiguousarray(matrix / roots / roots[:, None])
        packed, triangle = np.empty((1, size * (size + 1) // 2)), np.zeros((size, size))
        run_blocks(factorize_block, 1, scaled[None], 0.0, packed)
        triangle[np.triu_indices(size)] = packed[0]
        added = np.einsum("ij,ij->j", triangle, triangle) - np.diagonal(scaled)
        return cls(triangle * roots, np.flatnonzero(~(added <= MOST_ADDED)))

    @property
    def log_determinant(self) -> float:
        """The logarithm of the determinant of A."""
        return 2.0 * float(np.add.reduce(np.log(np.diagonal(self.triangle))))

    @cached_property
    def inverse_root(self) -> FloatArray:
        """The lower triangular U'^-1, R with R' R = A^-1, so that x' A^-1 x is the square of the length of R x."""
        # einsum, not BLAS, whose bits depend on its threads.
        upper = np.zeros_like(self.triangle)
        for i in reversed(range(len(upper))):
            upper[i, i + 1 :] = -np.einsum("j,jk->k", self.triangle[i, i + 1 :], upper[i + 1 :, i + 1 :])
            upper[i, i] = 1.0
            upper[i] /= self.triangle[i, i]
        return np.ascontiguousarray(upper.T)

    @cached_property
    def inverse(self) -> FloatArray:
        """A^-1."""
        return np.einsum("ki,kj->ij", self.inverse_root, self.inverse_root)
