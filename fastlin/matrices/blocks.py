"""X in blocks of rows, wherever they lie: the passes of dense and sparse matrices, added in the order of the blocks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from fastlin.matrices.columns import Columns, Transposed, merge_moments
from fastlin.matrices.dense import DenseMatrix
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
        """Yield the name of each block, as it is called where something is wrong with it, and its matrix."""
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

    def measure(self, weights: FloatArray | None = None) -> Columns:
        """Return the Columns, the statistics of the columns of X, with weights (n,) of the rows or None."""
        totals, moments = [], []
        for first, last, block in self.read():
            part = None if weights is None else weights[first:last]
            totals.append(float(last - first) if part is None else float(part.sum()))
            moments.append(block.find_moments(part if totals[-1] > 0 else None))
        return Columns.from_moments(merge_moments(np.array(totals), moments))

    def sum_squared_scores(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Return the sum of the squares of the scores of each row, (n,) float32."""
        return np.concatenate([block.sum_squared_scores(coef, intercept) for _, _, block in self.read()])

    def take(self, rows: IntArray) -> DenseMatrix | SparseMatrix:
        """Return the matrix of the given row numbers, in their order, in memory."""
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
        """Return a copy of the given rows in memory, and no numbers: all rows of it are meant."""
        return self.take(rows), rows[:0]

    def transposed(self, precision: FloatType, features: IntArray) -> Transposed:
        """Return some columns of X, as `DenseMatrix.transposed` and `SparseMatrix.transposed` have them: one pass.

        Parameters
        ----------
        precision : type
            float64 or float32.
        features : ndarray of int64
            The columns, ascending. Others are empty.

        Returns
        -------
        Transposed
        """
        pieces = [block.X[:, features] for _, _, block in self.read()]
        if self.is_sparse:
            found = SparseMatrix(sparse.vstack(pieces, format="csr"))
        else:
            found = DenseMatrix(np.concatenate(pieces))
        del pieces
        return _spread(found.transposed(precision, None), features, self.shape[1])

    def passes(
        self,
        *,
        rows: IntArray,
        labels: IntArray,
        weights: FloatArray,
        n_rows_coef: int,
        scale: FloatArray,
        shift: FloatArray,
    ) -> BlockPasses:
        """Return the BlockPasses over all rows."""
        if len(rows):
            raise ValueError("A matrix in blocks makes passes over all of its rows; `select` takes some of them.")
        return BlockPasses(self, labels, weights, n_rows_coef, scale, shift)


class BlockPasses:
    """The sums over rows that an objective is made of: those of all blocks, added in their order.

    Parameters
    ----------
    matrix : BlockMatrix
        The data.
    labels, weights, n_rows_coef, scale, shift
        As DensePasses takes them, for all rows.
    """

    def __init__(
        self,
        matrix: BlockMatrix,
        labels: IntArray,
        weights: FloatArray,
        n_rows_coef: int,
        scale: FloatArray,
        shift: FloatArray,
    ) -> None:
        self._matrix, self._labels, self._weights = matrix, labels, weights
        self._given: dict[str, Any] = {"n_rows_coef": n_rows_coef, "scale": scale, "shift": shift}
        self._shape = n_rows_coef, matrix.shape[1] + 1
        self._roundings = 0, 0

    @property
    def roundings(self) -> tuple[int, int]:
        """How many roundings a product of a row, and a sum over the rows, took one after the other, in float64."""
        return self._roundings

    @property
    def shift_roundings(self) -> float:
        """How many roundings the shift of a column takes part in at most, in the passes of the blocks."""
        return self._matrix.count_shift_roundings(**self._given)

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """Return sum s_i l_i, and fill gradient with its derivative by parameters, as `DensePasses.evaluate`."""
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
        """Return the Hessian of sum s_i l_i at the probabilities (K, n) times direction (K, d + 1), in their type."""
        product = np.zeros(self._shape)
        for first, last, passes in self._read():
            product += passes.hessian_product(direction, np.ascontiguousarray(probabilities[:, first:last]))
        return product

    def gram(self, rows: IntArray, row_weights: FloatArray, precision: FloatType) -> FloatArray:
        """Return sum over i of row_weights[c, i] [x~_i, 1] [x~_i, 1]', as `DensePasses.gram`."""
        size = self._shape[1]
        gram = np.zeros((len(row_weights), size, size))
        for first, last, passes in self._read():
            places = np.flatnonzero((rows >= first) & (rows < last)) if len(rows) else np.arange(first, last)
            if len(places):
                own = rows[places] - first if len(rows) else rows
                gram += passes.gram(own, np.ascontiguousarray(row_weights[:, places]), precision)
        return gram.astype(precision, copy=False)

    def class_pair_gram(self, probabilities: FloatArray) -> FloatArray:
        """Return the Hessian of sum s_i l_i at the probabilities (K, n), (K (d + 1), K (d + 1)), by classes."""
        size = self._shape[0] * self._shape[1]
        hessian = np.zeros((size, size))
        for first, last, passes in self._read():
            hessian += passes.class_pair_gram(np.ascontiguousarray(probabilities[:, first:last]))
        return hessian

    def _read(self):
        """Yield the rows of each block and the passes over it."""
        no_rows = np.empty(0, np.int64)
        for first, last, block in self._matrix.read():
            weights = self._weights[first:last] if len(self._weights) else self._weights
            yield (
                first,
                last,
                block.passes(rows=no_rows, labels=self._labels[first:last], weights=weights, **self._given),
            )


def _spread(found, features, d):
    """Return the Transposed of some columns as one of d columns, of which the others are empty."""
    places, lengths, scale, shift = np.full(d, -1), np.zeros(d, np.int64), np.ones(d), np.zeros(d)
    places[features], lengths[features] = found.places, np.diff(found.starts)
    scale[features], shift[features] = found.scale, found.shift
    starts = np.append(0, np.cumsum(lengths))
    return Transposed(found.panel, places, starts, found.indices, found.values, scale, shift)
