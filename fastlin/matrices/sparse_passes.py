"""The sums over the rows of sparse X that an objective is made of: by rows alone, or by rows and then by columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.linear.operands import Chunk, Kept, Samples, TableParameters
from fastlin.kernels.linear.sparse_columns import fill_block_product
from fastlin.kernels.linear.sparse_logistic import fill_block_logistic_pass, fill_block_logistic_product
from fastlin.kernels.linear.sparse_rows import fill_block_residuals, fill_block_slopes, fill_block_table
from fastlin.kernels.machine.gather import count_columns, zeros_table
from fastlin.kernels.machine.threads import NUMBER_WORK, cut_work, run_blocks
from fastlin.kernels.machine.tiles import Scaling, count_tile_rows
from fastlin.matrices.compressed import compressed, count_blocks_with_sums, count_line_blocks, count_starts, cut_lines
from fastlin.matrices.matrix import Passes
from fastlin.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.matrices.sparse import SparseMatrix

# Residuals of so many bytes, or of as many as the coefficients take, lie between the pass by rows and that by columns.
RESIDUAL_BYTES = 8 << 20
# Rows of a tile in a pass by rows alone, of which only the scores are kept.
TILE_ROWS = 512


class SparsePasses(Passes):
    """The sums over rows that an objective is made of, without those that a subclass makes by its own way through X."""

    def __init__(self, matrix: SparseMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        self.longest_product = matrix.longest_row + 4
        self.shift_roundings = 1 + self._shape[1] / self.longest_product
        self._table = zeros_table(matrix.shape[1], n_rows_coef)
        self._tile_rows = count_tile_rows(n_rows_coef, n_rows_coef, 8)


class PassesByRows(SparsePasses):
    """Passes of the logistic loss that read X row by row, once: each block of rows has a gradient of its own.

    The parameters are those of SparsePasses; K is 1.
    """

    def __init__(self, matrix: SparseMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        self._tile_rows = TILE_ROWS
        starts = count_starts(matrix.entries.indptr, samples.rows)
        self._n_sums = count_blocks_with_sums(self._n_rows, int(starts[-1] - starts[0]), matrix.shape[1])
        self._borders = cut_lines(starts, self._n_sums)
        self._sums = np.empty((self._n_sums, self._shape[1]))

    @staticmethod
    def suit(matrix: SparseMatrix, rows: IntArray, n_rows_coef: int) -> bool:
        """Say whether these passes are faster than those by rows and columns: with enough entries for each column."""
        if n_rows_coef > 1:
            return False
        n_entries = int(count_starts(matrix.entries.indptr, rows)[-1]) if len(rows) else matrix.n_entries
        return count_blocks_with_sums(len(rows) or matrix.shape[0], n_entries, matrix.shape[1]) > 0

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """As `Passes.evaluate` has it."""
        losses, rest = np.empty(self._n_sums), (self._sums, Kept.of(probabilities))
        self._run(fill_block_logistic_pass, parameters, (self.samples,), (losses, *rest), gradient)
        return float(np.add.reduce(losses))

    def hessian_product(self, direction: FloatArray, probabilities: FloatArray) -> FloatArray:
        """As `Passes.hessian_product` has it."""
        rows = self.samples.rows, self.samples.weigh()
        rest = self._sums, probabilities
        return self._run(fill_block_logistic_product, direction, rows, rest, np.empty(self._shape))

    def _run(self, kernel, parameters, rows, rest, product):
        """Run a kernel that fills the sums, and fill and return product (1, d + 1) with them, in the coordinates."""
        (intercept,), coef = fill_table(parameters, self._scaling, self._table), self._table[:, 0]
        entries, tile_rows = self._matrix.entries, self._tile_rows
        run_blocks(kernel, self._n_sums, entries, *rows, self._borders, coef, intercept, tile_rows, *rest)
        total = self._sums[0] if self._n_sums == 1 else np.add.reduce(self._sums)
        product[0, :-1] = self._scaling.scale * total[:-1] + self._scaling.shift * total[-1]
        product[0, -1] = total[-1]
        return product


class PassesByColumns(SparsePasses):
    """Passes that read X by rows, for the residuals, and then by columns, for the gradient.

    The parameters are those of SparsePasses. Few rows, or rows in another order, are copied with their columns.
    """

    def __init__(self, matrix: SparseMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        rows = samples.rows
        if len(rows) and (matrix.copies(rows) or (rows[1:] <= rows[:-1]).any()):
            matrix, samples = matrix.take(rows), samples.take(rows)
        self._read = samples
        n, d = matrix.shape
        K = n_rows_coef
        columns = matrix.csc
        self._by_rows, self._by_columns = compressed(matrix.csr), compressed(columns)
        n_chunks = count_chunks(n, d, K)
        self._residuals = zeros_table(-(-n // n_chunks), K)
        self._chunks = [self._chunk(i * n // n_chunks, (i + 1) * n // n_chunks) for i in range(n_chunks)]
        self.longest_sum += n_chunks
        self._column_borders = cut_lines(columns.indptr, count_line_blocks(d, columns.indptr[-1], K))

    def _chunk(self, first, last):
        """Return the Chunk of a range of rows, and the places among the rows of the pass where its blocks begin."""
        indptr, rows = self._by_rows.indptr, self._read.rows
        if not len(rows):
            starts, place = indptr[first : last + 1], first
        else:
            place, end = np.searchsorted(rows, (first, last))
            rows = rows[place:end]
            starts = count_starts(indptr, rows)
        n_blocks = count_line_blocks(len(starts) - 1, starts[-1] - starts[0], self._shape[0])
        return Chunk(first, self._residuals[: last - first]), place + cut_lines(starts, n_blocks)

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """As `Passes.evaluate` has it."""
        losses, kept = [], Kept.of(probabilities)
        by_table = TableParameters(self._table, fill_table(parameters, self._scaling, self._table))

        def fill_residuals(chunk, borders, sums):
            losses.append(np.empty(len(sums)))
            run_blocks(
                fill_block_residuals,
                len(sums),
                self._by_rows,
                self._read,
                borders,
                by_table,
                self._tile_rows,
                chunk,
                losses[-1],
                sums,
                kept,
            )

        self._multiply_columns(fill_residuals, gradient)
        return float(np.add.reduce(losses[0] if len(losses) == 1 else np.concatenate(losses)))

    def hessian_product(self, direction: FloatArray, probabilities: FloatArray) -> FloatArray:
        """As `Passes.hessian_product` has it."""
        row_weights = self._read.weigh()
        by_table = TableParameters(self._table, fill_table(direction, self._scaling, self._table))

        def fill_slopes(chunk, borders, sums):
            run_blocks(
                fill_block_slopes,
                len(sums),
                self._by_rows,
                self._read.rows,
                row_weights,
                borders,
                by_table,
                self._tile_rows,
                chunk,
                sums,
                probabilities,
            )

        return self._multiply_columns(fill_slopes, np.empty(self._shape))

    def _multiply_columns(self, fill_chunk, product):
        """Return product (K, d + 1) = sum over i of r_ki [x~_i, 1]', chunk by chunk of rows.

        fill_chunk takes a Chunk, the borders of its blocks and room for the sums of each (B, K). It fills the Chunk
        with the numbers r of its rows, and their sums.
        """
        totals = np.zeros(self._shape[0])
        for chunk, borders in self._chunks:
            if len(self._read.rows) and len(self._chunks) > 1:
                # Rows that the pass leaves out would keep the numbers of another chunk.
                self._residuals[:] = 0
            sums = np.empty((len(borders) - 1, self._shape[0]))
            fill_chunk(chunk, borders, sums)
            chunk_sums = np.add.reduce(sums)
            run_blocks(
                fill_block_product,
                len(self._column_borders) - 1,
                self._by_columns,
                self._column_borders,
                chunk,
                chunk_sums,
                self._scaling,
                chunk.first > 0,
                product,
            )
            totals += chunk_sums
        product[:, -1] = totals
        return product


def count_chunks(n_rows: int, n_features: int, n_rows_coef: int) -> int:
    """Return how many chunks of rows have their residuals kept at a time."""
    n_bytes = max(RESIDUAL_BYTES, 8 * n_rows_coef * (n_features + 1))
    return max(1, -(-n_rows // max(1, n_bytes // (8 * count_columns(n_rows_coef)))))


def fill_table(coef: FloatArray, scaling: Scaling, table: FloatArray) -> FloatArray:
    """Fill table (d, columns) with the transposed coef (K, d) times scale; return sum_j coef_kj shift_j, (K,).

    Where coef is of shape (K, d + 1), its last column is an intercept and added to that.
    """
    n_blocks = cut_work(NUMBER_WORK * table.size, len(table))
    shifts = np.empty((n_blocks, len(coef)))
    run_blocks(fill_block_table, n_blocks, np.ascontiguousarray(coef, np.float64), scaling, table, shifts)
    intercept = np.add.reduce(shifts)
    return intercept + coef[:, -1] if coef.shape[1] > len(table) else intercept
