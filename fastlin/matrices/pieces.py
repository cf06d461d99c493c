"""Sums over pieces of rows that need not lie in memory, and what a fit may take beside such an X.

A piece is a matrix with labels and weights. Each sum over the rows has a term and a join: the term is a function of one
piece, or of the passes over one, and the join adds up the terms of several pieces in their order. Blocks are joined in
a loop, as they are read (`block_matrix.py`), and partitions in a tree over the workers that hold them (`fastlin.dask`).
Terms and joins are functions of modules, which workers can be sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from fastlin.kernels.linear.logistic_rows import allows_folding
from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.threads import MAX_BLOCKS
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.dense import DenseMatrix, count_roundings
from fastlin.matrices.matrix import Matrix, Moments, Passes, merge_moments
from fastlin.matrices.sparse_passes import count_chunks
from fastlin.typing import FloatArray

# A fit may take four times `budget_bytes`, an eighth of X: all that it takes together then fits into a quarter.
PART_IN_MEMORY = 32
# The budget does not grow with data on disk or on other machines.
MOST_BYTES = 1 << 30

# The total weight of some rows, and the moments of their columns.
Measured: TypeAlias = tuple[float, Moments]
# The loss over some rows, sum s_i l_i, and its derivative (K, d + 1).
Evaluated: TypeAlias = tuple[float, FloatArray]


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
    pieces : sequence of (int, dtype)
        The rows of each piece, which may have none, and their type.

    Attributes
    ----------
    longest_row, pieces
        The parameters.
    """

    lies_in_memory = False

    def __init__(
        self,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        is_sparse: bool,
        n_entries: int,
        longest_row: int,
        pieces: Sequence[tuple[int, np.dtype[Any]]],
    ) -> None:
        n_bytes = n_entries * (dtype.itemsize + (4 if is_sparse else 0))
        super().__init__(shape, dtype, is_sparse, n_entries, min(n_bytes // PART_IN_MEMORY, MOST_BYTES))
        self.longest_row, self.pieces = longest_row, pieces


class PiecewisePasses(Passes):
    """The sums over the rows of X in pieces. A subclass knows where the pieces are, and joins their terms.

    Roundings are the most that the passes over a piece may take, whatever its layout.

    Parameters
    ----------
    matrix : PiecewiseMatrix
        The data.
    samples, scaling, n_rows_coef
        As `Passes` takes them.
    counts : sequence of int
        How many rows of each piece are meant.
    n_joins : int
        How many additions the term of a piece goes through.
    """

    def __init__(
        self,
        matrix: PiecewiseMatrix,
        samples: Samples,
        scaling: Scaling,
        n_rows_coef: int,
        counts: Sequence[int],
        n_joins: int,
    ) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        d, K, pieces = matrix.shape[1], n_rows_coef, matrix.pieces
        if matrix.is_sparse:
            self.longest_product = matrix.longest_row + 4
            self.shift_roundings = 1 + (d + 1) / self.longest_product
            self.longest_sum = max(counts) + MAX_BLOCKS + max(count_chunks(n, d, K) for n, _ in pieces)
        else:
            self.shift_roundings = 2.0 if K == 1 and allows_folding(*scaling, np.float64) else 0.0
            kinds = {(n, dtype.itemsize) for n, (_, dtype) in zip(counts, pieces, strict=True) if n}
            self.longest_product, self.longest_sum = max(count_roundings(n, d, K, itemsize) for n, itemsize in kinds)
        self.longest_sum += n_joins

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """As `Passes.evaluate` has it."""
        loss, gradient[:] = self._evaluate(parameters, probabilities)
        return loss

    def hessian_product(self, direction: FloatArray, curved: FloatArray) -> FloatArray:
        """As `Passes.hessian_product` has it, for what `MeanSums.curved_at` returns."""
        return self._add(find_hessian_product, curved, direction)

    def class_pair_gram(self, curved: FloatArray) -> FloatArray:
        """As `Passes.class_pair_gram` has it, for what `MeanSums.curved_at` returns."""
        return self._add(find_class_pair_gram, curved)

    def _evaluate(self, parameters, probabilities):
        """Return what `evaluate` returns for all pieces, and fill probabilities where they are given."""
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


def evaluate(passes: Passes, parameters: FloatArray, probabilities: FloatArray | None = None) -> Evaluated:
    """Return the loss of a piece and its gradient at parameters (K, d + 1), and fill probabilities, if given."""
    gradient = np.empty(parameters.shape)
    return passes.evaluate(parameters, probabilities, gradient), gradient


def add_evaluated(evaluated: Iterable[Evaluated]) -> Evaluated:
    """Return the loss and the gradient of several pieces together; the gradient of the first is overwritten."""
    loss, gradient = next(evaluated := iter(evaluated))
    for other_loss, other in evaluated:
        loss += other_loss
        gradient += other
    return loss, gradient


def find_hessian_product(passes: Passes, probabilities: FloatArray, direction: FloatArray) -> FloatArray:
    """Return `Passes.hessian_product` of a piece, as a term of `Passes.sum_curvature`."""
    return passes.hessian_product(direction.astype(probabilities.dtype, copy=False), probabilities)


def find_class_pair_gram(passes: Passes, probabilities: FloatArray) -> FloatArray:
    """Return `Passes.class_pair_gram` of a piece, as a term of `Passes.sum_curvature`."""
    return passes.class_pair_gram(probabilities)


def multiply_probabilities(passes: Passes, probabilities: FloatArray) -> FloatArray:
    """Return sum over i of s_i [p_i, 1] [p_i, 1]' of a piece, (K + 1, K + 1), as a term of `Passes.sum_curvature`."""
    precision, weights = probabilities.dtype.type, passes.samples.weigh()
    # Relative to the largest, so that weights of any unit lie within the range of float32.
    unit = weights.max(initial=0.0) or 1.0
    return DenseMatrix(probabilities.T).gram(weights / unit, precision).astype(np.float64) * unit
