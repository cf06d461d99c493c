"""Sums over pieces of rows that need not lie in memory, and what a fit may take beside such an X.

A piece is a matrix with labels and weights. Each sum over the rows has a term and a join: the term is a function of one
piece, or of the passes over one, and the join adds up the terms of several pieces in their order. Blocks are joined in
a loop, as they are read (`blocks.py`), and partitions in a tree over the workers that hold them (`fastlin.dask`). Terms
and joins are functions of modules, which workers can be sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from fastlin.kernels.linear.logistic_rows import SHIFT_ROUNDINGS, allows_folding
from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.columns import Moments, merge_moments
from fastlin.matrices.dense import DenseMatrix
from fastlin.matrices.matrix import Matrix, Passes
from fastlin.typing import FloatArray

# A fit may take four times `budget_bytes`, an eighth of X: all that it takes together then fits into a quarter.
PART_IN_MEMORY = 32
# The budget does not grow with data on disk or on other machines.
MOST_BYTES = 1 << 30

# The total weight of some rows, and the moments of their columns.
Measured: TypeAlias = tuple[float, Moments]


class PiecewiseMatrix(Matrix):
    """X of shape (n, d) in pieces of rows, which are all dense or all sparse.

    Parameters
    ----------
    shape : tuple of int
        The number of rows n and of columns d.
    dtype : dtype
        The type of X.
    is_sparse : bool
        Whether the pieces are sparse.
    n_entries : int
        The number of entries that a pass reads.
    longest_row : int
        The number of entries of the longest row.

    Attributes
    ----------
    longest_row
        The parameter.
    """

    lies_in_memory = False

    def __init__(
        self, shape: tuple[int, int], dtype: np.dtype[Any], is_sparse: bool, n_entries: int, longest_row: int
    ) -> None:
        n_bytes = n_entries * (dtype.itemsize + (4 if is_sparse else 0))
        super().__init__(shape, dtype, is_sparse, n_entries, min(n_bytes // PART_IN_MEMORY, MOST_BYTES))
        self.longest_row = longest_row

    def count_shift_roundings(self, scaling: Scaling, n_rows_coef: int) -> float:
        """Return how many roundings the shift of a column takes part in at most, relative to those of a product.

        The passes over the pieces have K rows of coefficients, and columns that enter by a Scaling.
        """
        if self.is_sparse:
            return 1 + (self.shape[1] + 1) / (self.longest_row + 2)
        return SHIFT_ROUNDINGS if n_rows_coef == 1 and allows_folding(*scaling, np.float64) else 0.0


class PiecewisePasses(Passes):
    """The sums over the rows of X in pieces. A subclass knows where the pieces are, and joins their terms.

    Parameters
    ----------
    matrix : PiecewiseMatrix
        The data.
    samples, scaling, n_rows_coef
        As `Passes` takes them.
    """

    def __init__(self, matrix: PiecewiseMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        self._shift_roundings = matrix.count_shift_roundings(scaling, n_rows_coef)
        self._roundings = 0, 0

    @property
    def roundings(self) -> tuple[int, int]:
        """As `Passes.roundings` has it: those of the last pass."""
        return self._roundings

    @property
    def shift_roundings(self) -> float:
        """As `Passes.shift_roundings` has it: the most that the passes of a piece may take."""
        return self._shift_roundings

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """As `Passes.evaluate` has it."""
        loss, gradient[:], *self._roundings = self._evaluate(parameters, probabilities)
        return loss

    def hessian_product(self, direction: FloatArray, curved: FloatArray) -> FloatArray:
        """As `Passes.hessian_product` has it, for what `MeanSums.curved_at` returns."""
        return self._add(find_hessian_product, curved, direction)

    def class_pair_gram(self, curved: FloatArray) -> FloatArray:
        """As `Passes.class_pair_gram` has it, for what `MeanSums.curved_at` returns."""
        return self._add(find_class_pair_gram, curved)

    def _evaluate(self, parameters, probabilities):
        """Return the Evaluated of all pieces, and fill probabilities where they are given."""
        raise NotImplementedError

    def _add(self, term, curved, *arguments):
        """Return the sum of what a term of `Passes.sum_curvature` returns for the pieces."""
        raise NotImplementedError


def measure(matrix: Matrix, weights: FloatArray) -> Measured:
    """Return the total weight and the moments of a piece; weights (m,) without entries are ones."""
    if not matrix.shape[0]:
        zeros, none = np.zeros(matrix.shape[1]), np.full(matrix.shape[1], np.inf)
        return 0.0, Moments(zeros, zeros, zeros, none, -none)
    total = float(weights.sum()) if len(weights) else float(matrix.shape[0])
    # Rows without weight have a smallest and a largest entry all the same.
    return total, matrix.find_moments(weights if len(weights) and total > 0 else None)


def merge(measured: Iterable[Measured]) -> Measured:
    """Return the total weight and the moments of several pieces together."""
    found, moments = zip(*measured, strict=True)
    totals = np.array(found)
    return float(totals.sum()), merge_moments(totals if totals.any() else np.ones(len(totals)), moments)


class Evaluated(NamedTuple):
    """The loss over some rows, its gradient, and the roundings of both.

    Attributes
    ----------
    loss : float
        The sum of s_i l_i.
    gradient : ndarray of shape (K, d + 1)
        Its derivative.
    n_products, n_sums : int
        As `Passes.roundings` has them.
    """

    loss: float
    gradient: np.ndarray
    n_products: int
    n_sums: int


def evaluate(passes: Passes, parameters: FloatArray, probabilities: FloatArray | None = None) -> Evaluated:
    """Return the Evaluated of a piece at parameters (K, d + 1), and fill probabilities where they are given."""
    gradient = np.empty(parameters.shape)
    loss = passes.evaluate(parameters, probabilities, gradient)
    return Evaluated(loss, gradient, *passes.roundings)


def add_evaluated(evaluated: Iterable[Evaluated]) -> Evaluated:
    """Return the Evaluated of several pieces together; the gradient of the first is overwritten."""
    loss, gradient, n_products, n_sums = next(evaluated := iter(evaluated))
    for each in evaluated:
        loss += each.loss
        gradient += each.gradient
        n_products, n_sums = max(n_products, each.n_products), max(n_sums, each.n_sums) + 1
    return Evaluated(loss, gradient, n_products, n_sums)


def find_hessian_product(passes: Passes, probabilities: FloatArray, direction: FloatArray) -> FloatArray:
    """Return `Passes.hessian_product` of a piece, as a term of `Passes.sum_curvature`."""
    return passes.hessian_product(direction.astype(probabilities.dtype, copy=False), probabilities)


def find_class_pair_gram(passes: Passes, probabilities: FloatArray) -> FloatArray:
    """Return `Passes.class_pair_gram` of a piece, as a term of `Passes.sum_curvature`."""
    return passes.class_pair_gram(probabilities)


def multiply_probabilities(passes: Passes, probabilities: FloatArray) -> FloatArray:
    """Return sum over i of s_i [p_i, 1] [p_i, 1]' of a piece, (K + 1, K + 1), as a term of `Passes.sum_curvature`."""
    precision = probabilities.dtype.type
    return DenseMatrix(probabilities.T).gram(passes.weigh(), precision).astype(np.float64)
