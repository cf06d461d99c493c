"""The Cholesky factor of an information matrix, and what follows from it, the same bits for any number of threads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from fastlin.kernels.machine.cholesky import factorize_block
from fastlin.kernels.machine.threads import run_blocks
from fastlin.typing import FloatArray

# A column whose pivot is below this part of its diagonal entry depends on those before it, as far as sums over rows
# tell. So does one to whose entry the kernel has added more than this part, to make the matrix positive definite.
SMALLEST_PIVOT, MOST_ADDED = 1e-12, 1e-9


@dataclass(frozen=True, eq=False)
class Factor:
    """U with U' U = A for a symmetric A of shape (m, m).

    Attributes
    ----------
    triangle : ndarray of shape (m, m)
        U, upper triangular.
    first_dependent : int or None
        The first column of A that depends on those before it, as far as rounding lets one tell. None where A is
        positive definite.
    """

    triangle: np.ndarray
    first_dependent: int | None

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
        is_dependent = ~((added <= MOST_ADDED) & (np.diagonal(triangle) ** 2 > SMALLEST_PIVOT))
        return cls(triangle * roots, int(np.argmax(is_dependent)) if is_dependent.any() else None)

    @property
    def is_definite(self) -> bool:
        """Whether A is positive definite; otherwise U' U is not A."""
        return self.first_dependent is None

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
