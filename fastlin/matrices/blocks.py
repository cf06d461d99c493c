"""X in blocks of rows, wherever they lie: the passes of dense and sparse matrices, added in the order of the blocks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.columns import Moments, Transposed, merge_moments
from fastlin.matrices.dense import DenseMatrix
from fastlin.matrices.matrix import Passes
from fastlin.matrices.piecewise import PiecewiseMatrix
from fastlin.matrices.sparse import SparseMatrix
from fastlin.typing import FloatArray, FloatType, IntArray


class BlockMatrix(PiecewiseMatrix):
    """X of shape (n, d) whose rows come block by block, in the same order for each pass.

    While one block is computed with, another thread reads the next one. Sums are added in the order of the blocks, so
    that bits depend on where the rows are cut, and not on where they lie.

    Parameters
    ----------
    blocks : object
        What `fastlin.blocks.Blocks` is: `shape`, `dtype`, `is_sparse`, `borders`, `names`, `n_entries`, `nbytes`,
        `longest_row` and `read`, which returns an iterator of the blocks of X.

    Attributes
    ----------
    n_reads : int
        How many times all blocks have been read.
    """

    def __init__(self, blocks: Any) -> None:
        super().__init__(blocks.shape, blocks.dtype, blocks.is_sparse, blocks.n_entries, blocks.longest_row)
        self._blocks = blocks
        self.n_reads = 0

    def read(self) -> Iterator[tuple[int, int, DenseMatrix | SparseMatrix]]:
        """Yield the first and the last row number, less one, of each block with rows, and its matrix.

        The next block is read meanwhile.

        Yields
        ------
        first, last : int
            The rows of the block are those from first to last - 1.
        matrix : DenseMatrix or SparseMatrix
            The block.
        """
        for (first, last), (_, block) in zip(pairwise(self._blocks.borders), self.parts(), strict=True):
            if last > first:
                yield int(first), int(last), block

    def parts(self) -> Iterator[tuple[str, DenseMatrix | SparseMatrix]]:
        """As `Matrix.parts` has it: each block."""
        make: Callable[[Any], DenseMatrix | SparseMatrix] = SparseMatrix if self.is_sparse else DenseMatrix
        process = os.getpid()
        coming, reader = self._blocks.read(), ThreadPoolExecutor(1, "fastlin-blocks")
        try:
            ahead = reader.submit(next, coming, None)
            for name in self._blocks.names:
                if os.getpid() != process:
                    raise RuntimeError("Blocks that were read before a fork cannot be read on in the child.")
                X = ahead.result()
                ahead = reader.submit(next, coming, None)
                try:
                    block = make(X)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from error
                yield f"{name} of X", block
            # What follows the last block is the end, or an error.
            ahead.result()
            self.n_reads += 1
        finally:
            # Where the reader is still at work, and the user presses Ctrl-C again, it ends by itself.
            reader.submit(coming.close)
            reader.shutdown()

    def count_read_bytes(self) -> int:
        """Return how many bytes have been read so far, in whole readings of all blocks."""
        return self.n_reads * self._blocks.nbytes

    def find_moments(self, weights: FloatArray | None = None) -> Moments:
        """As `Matrix.find_moments` has it."""
        totals, moments = [], []
        for first, last, block in self.read():
            part = None if weights is None else weights[first:last]
            totals.append(float(last - first) if part is None else float(part.sum()))
            moments.append(block.find_moments(part if totals[-1] > 0 else None))
        return merge_moments(np.array(totals), moments)

    def sum_squared_scores(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """As `Matrix.sum_squared_scores` has it."""
        return np.concatenate([block.sum_squared_scores(coef, intercept) for _, _, block in self.read()])

    def take(self, rows: IntArray | slice) -> DenseMatrix | SparseMatrix:
        """As `Matrix.take` has it: a copy in memory."""
        rows = np.arange(self.shape[0])[rows] if isinstance(rows, slice) else rows
        if self.is_sparse:
            found = [(places, block.X[own]) for places, own, block in self._find(rows)]
            order = np.argsort(np.concatenate([places for places, _ in found]), kind="stable")
            return SparseMatrix(sparse.vstack([piece for _, piece in found], format="csr")[order])
        taken = np.empty((len(rows), self.shape[1]), self.dtype)
        for places, own, block in self._find(rows):
            taken[places] = block.X[own]
        return DenseMatrix(taken)

    def _find(self, rows):
        """Yield for each block which of the row numbers lie in it, what they are there, and its matrix."""
        for first, last, block in self.read():
            places = np.flatnonzero((rows >= first) & (rows < last))
            yield places, rows[places] - first, block

    def select(self, rows: IntArray) -> tuple[DenseMatrix | SparseMatrix, IntArray]:
        """As `Matrix.select` has it: a copy in memory, of which all rows are meant."""
        return self.take(rows), rows[:0]

    def transposed(self, precision: FloatType, features: IntArray | None = None) -> Transposed:
        """As `Matrix.transposed` has it: the columns that will be used, from one pass and not kept."""
        features = np.arange(self.shape[1]) if features is None else features
        pieces = [block.X[:, features] for _, _, block in self.read()]
        if self.is_sparse:
            found = SparseMatrix(sparse.vstack(pieces, format="csr"))
        else:
            found = DenseMatrix(np.concatenate(pieces))
        del pieces
        return _spread(found.transposed(precision), features, self.shape[1])

    def passes(self, samples: Samples, scaling: Scaling, n_rows_coef: int) -> BlockPasses:
        """As `Matrix.passes` has it, over all rows."""
        if len(samples.rows):
            raise ValueError("A matrix in blocks makes passes over all of its rows; `select` takes some of them.")
        return BlockPasses(self, samples, scaling, n_rows_coef)


class BlockPasses(Passes):
    """The sums of all blocks, added in their order.

    Parameters
    ----------
    matrix : BlockMatrix
        The data.
    samples, scaling, n_rows_coef
        As `Passes` takes them.
    """

    def __init__(self, matrix: BlockMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        self._matrix = matrix
        self._roundings = 0, 0

    @property
    def roundings(self) -> tuple[int, int]:
        """As `Passes.roundings` has it: the most that a pass took so far."""
        return self._roundings

    @property
    def shift_roundings(self) -> float:
        """As `Passes.shift_roundings` has it: the most that the passes of a block may take."""
        return self._matrix.count_shift_roundings(self._scaling, self._shape[0])

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """As `Passes.evaluate` has it."""
        loss, part = 0.0, np.empty(self._shape)
        gradient[:] = 0
        for n_added, (first, last, passes) in enumerate(self._read()):
            kept = None if probabilities is None else np.empty((len(probabilities), last - first), probabilities.dtype)
            loss += passes.evaluate(parameters, kept, part)
            gradient += part
            if kept is not None and probabilities is not None:
                probabilities[:, first:last] = kept
            of_product, of_sum = passes.roundings
            self._roundings = max(self._roundings[0], of_product), max(self._roundings[1], of_sum + n_added + 1)
        return loss

    def hessian_product(self, direction: FloatArray, probabilities: FloatArray) -> FloatArray:
        """As `Passes.hessian_product` has it."""
        product = np.zeros(self._shape)
        for first, last, passes in self._read():
            product += passes.hessian_product(direction, np.ascontiguousarray(probabilities[:, first:last]))
        return product

    def gram(self, rows: IntArray, row_weights: FloatArray, precision: FloatType) -> FloatArray:
        """As `Passes.gram` has it."""
        size = self._shape[1]
        gram = np.zeros((len(row_weights), size, size))
        for first, last, passes in self._read():
            places = np.flatnonzero((rows >= first) & (rows < last)) if len(rows) else np.arange(first, last)
            if len(places):
                own = rows[places] - first if len(rows) else rows
                gram += passes.gram(own, np.ascontiguousarray(row_weights[:, places]), precision)
        return gram.astype(precision, copy=False)

    def class_pair_gram(self, probabilities: FloatArray) -> FloatArray:
        """As `Passes.class_pair_gram` has it."""
        size = self._shape[0] * self._shape[1]
        hessian = np.zeros((size, size))
        for first, last, passes in self._read():
            hessian += passes.class_pair_gram(np.ascontiguousarray(probabilities[:, first:last]))
        return hessian

    def _read(self):
        """Yield the rows of each block and the passes over it."""
        rows, labels, weights = self._samples
        for first, last, block in self._matrix.read():
            samples = Samples(rows, labels[first:last], weights[first:last] if len(weights) else weights)
            yield first, last, block.passes(samples, self._scaling, self._shape[0])


def _spread(found, features, d):
    """Return the Transposed of some columns as one of d columns, of which the others are empty."""
    places, lengths, scale, shift = np.full(d, -1), np.zeros(d, np.int64), np.ones(d), np.zeros(d)
    places[features], lengths[features] = found.places, np.diff(found.starts)
    scale[features], shift[features] = found.scale, found.shift
    starts = np.append(0, np.cumsum(lengths))
    return Transposed(found.panel, places, starts, found.indices, found.values, scale, shift)
