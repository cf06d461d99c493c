"""X in pieces, which are blocks or partitions of the rows, the sums over the pieces, and the memory budget of a fit.

Pieces need not be in memory. For each sum, one function computes the term of one piece from the passes over the piece,
and another function adds the terms in the order of the pieces. `BlockMatrix` adds blocks in a loop; `fastlin.dask` adds
partitions in a tree over the workers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse

from fastlin.kernels.linear.logistic_rows import allows_folding
from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.threads import MAX_BLOCKS
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.dense import DenseMatrix
from fastlin.matrices.matrix import ColumnStatistics, ColumnwiseCopy, Matrix, Passes, add, merge_column_statistics
from fastlin.matrices.sparse import SparseMatrix, compute_relative_gram_norms
from fastlin.typing import FloatArray, FloatType, IntArray

# A fit may use four times `budget_bytes`, an eighth of the size of X, so that its total memory is at most a quarter of
# the size of X.
DATA_TO_BUDGET_RATIO = 32
# The budget has an upper limit because the data may be on disk or on other machines.
MAX_BUDGET_BYTES = 1 << 30

# The total weight of a set of rows, and the column statistics of these rows.
WeightedStatistics: TypeAlias = tuple[float, ColumnStatistics]
# The loss over a set of rows, sum s_i l_i, and its gradient (K, d + 1).
LossAndGradient: TypeAlias = tuple[float, FloatArray]


class PiecewiseMatrix(Matrix):
    """X of shape (n, d) in pieces, which are all dense or all sparse.

    `pieces` lists the number of rows and the dtype of each piece.
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
        super().__init__(shape, dtype, is_sparse, n_entries, min(n_bytes // DATA_TO_BUDGET_RATIO, MAX_BUDGET_BYTES))
        self.longest_row, self.pieces = longest_row, pieces


class PiecewisePasses(Passes):
    """The sums over the rows of X in pieces. Subclasses access the pieces and add the terms."""

    def __init__(self, matrix: PiecewiseMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        if matrix.is_sparse:
            self.relative_shift_errors, self.relative_gram_norms = (
                matrix.relative_shift_errors,
                compute_relative_gram_norms(scaling.shift),
            )
        elif n_rows_coef == 1 and allows_folding(*scaling, np.float64):
            self.relative_shift_errors = 2.0

    @property
    def max_additions_per_sum(self) -> int:
        """See `Passes.max_additions_per_sum`. It is rows per piece + blocks per piece + number of pieces."""
        pieces = self._matrix.pieces
        return max(n for n, _ in pieces) + MAX_BLOCKS + len(pieces)

    def hessian_product(self, direction: FloatArray, hessian_argument: FloatArray) -> FloatArray:
        """See `Passes.hessian_product`; ``hessian_argument`` is the result of `Rows.get_hessian_argument`."""
        return self._add_hessian_terms(compute_hessian_product, hessian_argument, direction)

    def class_pair_gram(self, hessian_argument: FloatArray) -> FloatArray:
        """See `Passes.class_pair_gram`; ``hessian_argument`` is the result of `Rows.get_hessian_argument`."""
        return self._add_hessian_terms(compute_class_pair_gram, hessian_argument)

    def _add_hessian_terms(self, term, hessian_argument, *arguments):
        """Return the sum of a term of `Passes.sum_with_probabilities` over the pieces."""
        raise NotImplementedError


def measure(matrix: Matrix, weights: FloatArray) -> WeightedStatistics:
    """Return the total weight and the column statistics of a piece. Empty `weights` (m,) mean all ones."""
    if not matrix.shape[0]:
        zeros, infinities = np.zeros(matrix.shape[1]), np.full(matrix.shape[1], np.inf)
        return 0.0, ColumnStatistics(zeros, zeros, zeros, infinities, -infinities)
    total = float(weights.sum()) if len(weights) else float(matrix.shape[0])
    # The minimum and the maximum include rows of weight zero.
    return total, matrix.measure(weights if len(weights) and total > 0 else None)


def merge_statistics(measured: Iterable[WeightedStatistics]) -> WeightedStatistics:
    """Return the total weight and the column statistics of several pieces combined."""
    weights, moments = zip(*measured, strict=True)
    totals = np.array(weights)
    return float(totals.sum()), merge_column_statistics(totals if totals.any() else np.ones(len(totals)), moments)


def evaluate(passes: Passes, parameters: FloatArray, probabilities: FloatArray | None = None) -> LossAndGradient:
    """Return the loss of a piece and its gradient at `parameters` (K, d + 1).

    Fill `probabilities` unless it is None.
    """
    gradient = np.empty(parameters.shape)
    return passes.evaluate(parameters, probabilities, gradient), gradient


def add_losses_and_gradients(losses_and_gradients: Iterable[LossAndGradient]) -> LossAndGradient:
    """Return the loss and the gradient of several pieces combined. The first gradient is overwritten."""
    loss, gradient = next(losses_and_gradients := iter(losses_and_gradients))
    for other_loss, other in losses_and_gradients:
        loss += other_loss
        gradient += other
    return loss, gradient


def compute_hessian_product(passes: Passes, probabilities: FloatArray, direction: FloatArray) -> FloatArray:
    """Return `Passes.hessian_product` of a piece, as a term of `Passes.sum_with_probabilities`."""
    return passes.hessian_product(direction.astype(probabilities.dtype, copy=False), probabilities)


def compute_class_pair_gram(passes: Passes, probabilities: FloatArray) -> FloatArray:
    """Return `Passes.class_pair_gram` of a piece, as a term of `Passes.sum_with_probabilities`."""
    return passes.class_pair_gram(probabilities)


def sum_probability_outer_products(passes: Passes, probabilities: FloatArray) -> FloatArray:
    """Return the sum (K + 1, K + 1) of s_i [p_i, 1] [p_i, 1]' over a piece.

    It is a term of `Passes.sum_with_probabilities`.
    """
    precision, weights = probabilities.dtype.type, passes.samples.get_row_weights()
    # Weights are divided by the largest weight, so that they do not overflow or underflow in float32.
    unit = weights.max(initial=0.0) or 1.0
    return DenseMatrix(probabilities.T).gram(weights / unit, precision).astype(np.float64) * unit


class BlockMatrix(PiecewiseMatrix):
    """X of shape (n, d) from a `fastlin.blocks.Blocks`. Each pass reads the blocks in the same order.

    A thread reads the next block while the kernels process the current block. `n_reads` is the number of times that all
    blocks have been read completely.
    """

    def __init__(self, blocks: Any) -> None:
        pieces = [(n, blocks.dtype) for n in np.diff(blocks.borders).tolist()]
        super().__init__(blocks.shape, blocks.dtype, blocks.is_sparse, blocks.n_entries, blocks.longest_row, pieces)
        self.blocks = blocks
        self.n_reads = 0

    def read(self) -> Iterator[tuple[int, int, DenseMatrix | SparseMatrix]]:
        """Yield `first, last, matrix` for each block with rows first to last - 1, and read the next block ahead."""
        for (first, last), (_, block) in zip(pairwise(self.blocks.borders), self.parts(), strict=True):
            if last > first:
                yield int(first), int(last), block

    def parts(self) -> Iterator[tuple[str, DenseMatrix | SparseMatrix]]:
        """See `Matrix.parts`; each block is a part."""
        make: Callable[[Any], DenseMatrix | SparseMatrix] = SparseMatrix if self.is_sparse else DenseMatrix
        process = os.getpid()
        blocks, reader = self.blocks.read(), ThreadPoolExecutor(1, "fastlin-blocks")
        try:
            next_block_future = reader.submit(next, blocks, None)
            for name in self.blocks.names:
                if os.getpid() != process:
                    raise RuntimeError("Blocks that were read before a fork cannot be read on in the child.")
                X = next_block_future.result()
                next_block_future = reader.submit(next, blocks, None)
                try:
                    block = make(X)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from error
                yield f"{name} of X", block
            # The generator ends after the last block, or raises an error.
            next_block_future.result()
            self.n_reads += 1
        finally:
            # If a second Ctrl-C interrupts the wait for the reader, the reader still ends by itself.
            reader.submit(blocks.close)
            reader.shutdown()

    def count_read_bytes(self) -> int:
        """Return the number of bytes read so far, without incomplete passes over the blocks."""
        return self.n_reads * self.blocks.nbytes

    def measure(self, weights: FloatArray | None = None) -> ColumnStatistics:
        """See `Matrix.measure`."""
        row_weights = np.empty(0) if weights is None else weights
        _, moments = merge_statistics(measure(block, row_weights[first:last]) for first, last, block in self.read())
        return moments

    def take(self, rows: IntArray | slice) -> DenseMatrix | SparseMatrix:
        """See `Matrix.take`; the rows are copied into memory."""
        rows = np.arange(self.shape[0])[rows] if isinstance(rows, slice) else rows
        if self.is_sparse:
            pieces = [(positions, block.X[block_rows]) for positions, block_rows, block in self._locate_rows(rows)]
            order = np.argsort(np.concatenate([positions for positions, _ in pieces]), kind="stable")
            return SparseMatrix(sparse.vstack([piece for _, piece in pieces], format="csr")[order])
        taken_rows = np.empty((len(rows), self.shape[1]), self.dtype)
        for positions, block_rows, block in self._locate_rows(rows):
            taken_rows[positions] = block.X[block_rows]
        return DenseMatrix(taken_rows)

    def _locate_rows(self, rows):
        """Yield, per block, the positions of its rows in ``rows``, their indices in the block, and the matrix."""
        for first, last, block in self.read():
            positions = np.flatnonzero((rows >= first) & (rows < last))
            yield positions, rows[positions] - first, block

    def transposed(self, precision: FloatType, features: IntArray | None = None) -> ColumnwiseCopy:
        """See `Matrix.transposed`; one pass reads the requested columns, and the result is not cached."""
        features = np.arange(self.shape[1]) if features is None else features
        pieces = [block.X[:, features] for _, _, block in self.read()]
        if self.is_sparse:
            columns = SparseMatrix(sparse.vstack(pieces, format="csr"))
        else:
            columns = DenseMatrix(np.concatenate(pieces))
        del pieces
        return _insert_columns(columns.transposed(precision), features, self.shape[1])

    def passes(self, samples: Samples, scaling: Scaling, n_rows_coef: int) -> BlockPasses:
        """See `Matrix.passes`; the rows must be sorted."""
        return BlockPasses(self, samples, scaling, n_rows_coef)


class BlockPasses(PiecewisePasses):
    """The sums over all blocks, added as the blocks are read. The rows of the samples must be sorted."""

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """See `Passes.evaluate`."""

        def evaluate_block(positions, passes):
            if probabilities is None:
                return evaluate(passes, parameters)
            block_probabilities = np.empty(probabilities[:, positions].shape, probabilities.dtype)
            loss_and_gradient = evaluate(passes, parameters, block_probabilities)
            probabilities[:, positions] = block_probabilities
            return loss_and_gradient

        loss, gradient[:] = add_losses_and_gradients(
            evaluate_block(*block) for block in self._cut_into_blocks(self.samples.rows)
        )
        return loss

    def _add_hessian_terms(self, term, hessian_argument, *arguments):
        return self._sum_over_blocks(self.samples.rows, term, hessian_argument, *arguments)

    def gram(self, rows: IntArray, row_weights: FloatArray, precision: FloatType) -> FloatArray:
        """See `Passes.gram`; the rows must be sorted."""
        return self._sum_over_blocks(rows, _compute_block_gram, row_weights, precision).astype(precision, copy=False)

    def split(self, max_rows: int) -> Iterator[Passes]:
        """See `Passes.split`; the blocks are read once."""
        for _, passes in self._cut_into_blocks(self.samples.rows):
            yield from passes.split(max_rows)

    def _sum_over_blocks(self, rows, term, row_values, *arguments):
        """Return the sum of ``term(passes, columns, *arguments)`` over blocks.

        ``columns`` are the columns of `row_values` that belong to a block. Column i of `row_values` belongs to
        ``rows[i]``. `rows` must be sorted.
        """
        return add(
            term(passes, np.ascontiguousarray(row_values[:, positions]), *arguments)
            for positions, passes in self._cut_into_blocks(rows)
        )

    def _cut_into_blocks(self, rows):
        """Yield, per block, the slice of the sorted ``rows`` that lie in the block, and the passes over these rows."""
        if (rows[1:] < rows[:-1]).any():
            raise ValueError("Passes over blocks require sorted row indices, but `rows` is not sorted. Sort it first.")
        for first, last, block in self._matrix.read():
            positions, block_rows = slice(first, last), rows
            if len(rows):
                positions = slice(*np.searchsorted(rows, (first, last)))
                block_rows = rows[positions] - first
                if not len(block_rows):
                    continue
                if len(block_rows) == last - first and (np.diff(block_rows) == 1).all():
                    # A pass over all rows is faster without row indices.
                    block_rows = block_rows[:0]
            samples = self.samples.take(slice(first, last))._replace(rows=block_rows)
            yield positions, block.passes(samples, self._scaling, self.shape[0])


def _compute_block_gram(passes, row_weights, precision):
    return passes.gram(passes.samples.rows, row_weights, precision).astype(np.float64, copy=False)


def _insert_columns(columns, features, d):
    """Return a column-wise copy with d columns. It contains the columns ``features``; all other columns are empty."""
    positions, lengths, scale, shift = np.full(d, -1), np.zeros(d, np.int64), np.ones(d), np.zeros(d)
    positions[features], lengths[features] = columns.positions, np.diff(columns.starts)
    scale[features], shift[features] = columns.scale, columns.shift
    starts = np.append(0, np.cumsum(lengths))
    return ColumnwiseCopy(columns.panel, positions, starts, columns.indices, columns.values, scale, shift)
