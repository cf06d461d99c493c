"""Sparse X in CSR and CSC format: column statistics, predictions and passes, without a dense copy of X."""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from scipy import sparse

from fastlin.containers.sparse_containers import validate_container
from fastlin.kernels.linear.operands import (
    NO_ROWS,
    CompressedMatrix,
    Parameters,
    ProblemBatchArrays,
    RowChunk,
    Samples,
)
from fastlin.kernels.linear.row_multipliers import fill_block_matrix_line_products
from fastlin.kernels.linear.sparse_columns import (
    fill_block_chunk_products,
    fill_block_sparse_gram,
    fill_block_sparse_statistics,
)
from fastlin.kernels.linear.sparse_rows import (
    PROBLEMS_PER_GROUP,
    fill_block_batch_pass,
    fill_block_coefficient_table,
    fill_block_column_squares,
    fill_block_column_sums,
    fill_block_logistic_pass,
    fill_block_row_chunk,
    fill_block_sparse_rows,
    fill_block_sparse_scores,
)
from fastlin.kernels.machine.arrays import writable_view, zeros_aligned
from fastlin.kernels.machine.gather import count_table_columns, make_zero_table
from fastlin.kernels.machine.threads import (
    COPIED_NUMBER_WORK,
    MAX_PARTIAL_SUM_BYTES,
    count_work_blocks,
    run_blocks,
    sum_blocks,
)
from fastlin.kernels.machine.tiles import Scaling, count_tile_rows
from fastlin.matrices.matrix import MAX_COPIED_ROW_FRACTION, ColumnStatistics, ColumnwiseCopy, Matrix, Passes
from fastlin.typing import Array, FloatArray, IntArray, SparseContainer

# Products with mini-batches are sparse if the density is at most MAX_SPARSE_PRODUCT_DENSITY and dense products take at
# least MIN_DENSE_MULTIPLY_ADDS multiply-adds (docs/benchmarks/design-choices.md: sparse mini-batches).
MAX_SPARSE_PRODUCT_DENSITY = 0.03
MIN_DENSE_MULTIPLY_ADDS = 2_000_000
# If the mean of a column exceeds FAR standard deviations, Gram matrices center each entry of the column. Centering the
# sums would multiply the rounding error by the square of this ratio.
MAX_UNCENTERED_SHIFT = 8
# The number of rows of a Gram matrix that are centered together. With 1,000 columns they fit into the L2 cache.
CENTERING_BLOCK_ROWS = 64
# The number of values that are compared with one before all values are compared.
N_PROBED_VALUES = 64
# The maximum number of bytes of the residuals that are stored between the pass over rows and the pass over columns. If
# the coefficients take more bytes, the residuals may take as many.
MAX_RESIDUAL_BYTES = 8 << 20
# The rows per tile of a pass that reads X only by rows and stores only scores.
TILE_ROWS = 512
# With at least this many columns per entry, predictions copy only the coefficients of columns that have entries.
MIN_COLUMNS_PER_ENTRY = 16
# The overhead of a row or column, in units of the work of one entry.
ROW_OR_COLUMN_OVERHEAD = 8
# A block has at least this many entries per column, so that adding the sums of all blocks takes little time.
MIN_ENTRIES_PER_COLUMN = 4


class SparseMatrix(Matrix):
    """Sparse X of shape (n, d) with real entries. CSR arrays are read in place, and CSC copies are made when needed.

    If entries are unsorted or duplicated, passes read a copy. The constructor raises a ValueError if X is not
    two-dimensional or not real, or if its arrays are inconsistent.
    """

    def __init__(self, X: SparseContainer) -> None:
        csr, csc = validate_container(X)
        # Duplicate integers and booleans are added in their own type, as in SciPy's conversion to a dense array.
        if csr.dtype.kind != "f" and not _has_canonical_order(csr):
            csr = _sum_duplicates(csr)
        n_bytes = csr.data.nbytes + csr.indices.nbytes + csr.indptr.nbytes
        super().__init__(csr.shape, csr.dtype, True, int(csr.indptr[-1]), n_bytes)
        self._centered_cache: tuple[Any, Any, Any] = (None, None, None)
        self._X, self._csc = csr, csc if csc is not None and _has_canonical_order(csc) else None

    @cached_property
    def csr(self) -> SparseContainer:
        """X in CSR format with ascending column indices and without duplicates: the input itself or a copy."""
        return self.X if _has_canonical_order(self.X) else _sum_duplicates(self.X)

    @property
    def csc(self) -> SparseContainer:
        """X in CSC format with ascending row indices and without duplicates."""
        # Cross-validation folds in several threads may request the copy at the same time.
        with self._lock:
            if self._csc is None:
                self._csc = self.csr.tocsc()
            return self._csc

    @cached_property
    def entries(self) -> CompressedMatrix:
        """X in CSR format, without its values if all of them are one."""
        X = as_compressed_matrix(self.csr)
        # Most data have a different value among the first ones, so all values are rarely read.
        are_all_values_one = (X.data[:N_PROBED_VALUES] == 1).all() and (X.data == 1).all()
        return X._replace(data=X.data[:0]) if are_all_values_one else X

    @cached_property
    def longest_row(self) -> int:
        """The number of entries of the longest row."""
        return int(np.diff(self.csr.indptr).max(initial=0))

    def measure(self, weights: FloatArray | None = None) -> ColumnStatistics:
        """See `Matrix.measure`."""
        n, d = self.shape
        n_blocks = count_blocks_with_sums(n, self.n_entries, d)
        if weights is None and self._csc is None and n_blocks:
            return self._measure_by_rows(n_blocks)
        columns = as_compressed_matrix(self.csc)
        borders = cut_balanced_blocks(columns.indptr, count_entry_blocks(d, len(columns.data), 1))
        row_weights = np.empty(0) if weights is None else weights
        total = float(n) if weights is None else float(weights.sum())
        outputs = mean, variance, smallest, largest = np.empty((4, d))
        run_blocks(fill_block_sparse_statistics, len(borders) - 1, columns, borders, n, row_weights, total, *outputs)
        # The remainder is zero because the other sums are not centered, so their rounding error is as large as the
        # rounding error of the mean.
        return ColumnStatistics(mean, np.zeros(d), variance, smallest, largest)

    def _measure_by_rows(self, n_blocks):
        """Return the column statistics of unweighted rows from sums over row blocks, without a transposed copy of X."""
        n, d = self.shape
        borders = cut_balanced_blocks(self.entries.indptr, n_blocks)
        sums, squares = np.empty((n_blocks, d, 4)), np.empty((n_blocks, d))
        run_blocks(fill_block_column_sums, n_blocks, self.entries, borders, sums)
        smallest, largest = sums[:, :, 2].min(axis=0), sums[:, :, 3].max(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            count, total = np.add.reduce(sums[:, :, :2]).T
            # A constant column has its exact mean, and a variance of zero.
            mean = np.where((count == n) & (smallest == largest), smallest, total / n)
            run_blocks(fill_block_column_squares, n_blocks, self.entries, borders, mean, squares)
            variance = ((n - count) * mean**2 + np.add.reduce(squares)) / n
        smallest = np.where(count < n, np.minimum(smallest, 0.0), smallest)
        largest = np.where(count < n, np.maximum(largest, 0.0), largest)
        return ColumnStatistics(mean, np.zeros(d), variance, smallest, largest)

    def score(
        self, coef: FloatArray, intercept: FloatArray, scores: FloatArray, best: IntArray, rows: IntArray = NO_ROWS
    ) -> None:
        """See `Matrix.score`; ``rows`` (m,) are the row indices to score, or empty for all rows."""
        X = as_compressed_matrix(self.X)
        if MIN_COLUMNS_PER_ENTRY * self.n_entries <= coef.shape[1]:
            # For a few rows of text data, copying all coefficients would take most of the time.
            columns, positions = np.unique(X.indices[: self.n_entries], return_inverse=True)
            coef, X = coef[:, columns], X._replace(indices=positions.astype(X.indices.dtype))
        K, d = coef.shape
        table = make_zero_table(d, K)
        fill_coef_table(coef.astype(np.float64), Scaling(np.ones(d), np.zeros(d)), table)
        starts = compute_row_starts(X.indptr, rows)
        borders = cut_balanced_blocks(starts, count_entry_blocks(len(starts) - 1, starts[-1] - starts[0], K))
        parameters = Parameters(table, intercept.astype(np.float64))
        run_blocks(fill_block_sparse_scores, len(borders) - 1, X, rows, borders, parameters, scores, best)

    def take_rows(self, rows: IntArray | slice, out: FloatArray) -> FloatArray:
        """Fill ``out`` (m, d) with the rows of X, dense and converted to its type, and return it."""
        if isinstance(rows, slice):
            rows = np.arange(rows.start, rows.stop)
        n_blocks = count_entry_blocks(len(rows), out.size, 1)
        run_blocks(fill_block_sparse_rows, n_blocks, as_compressed_matrix(self.X), rows, out)
        return out

    def take_sparse_rows(self, rows: IntArray | slice, dtype: DTypeLike, n_columns: int) -> SparseContainer | None:
        """Return a CSR copy of rows of X for products with n_columns columns, or None if dense rows are faster."""
        n, d = self.X.shape
        if isinstance(rows, slice):
            rows = np.arange(rows.start, rows.stop)
        if self.X.nnz > MAX_SPARSE_PRODUCT_DENSITY * n * d or len(rows) * d * n_columns < MIN_DENSE_MULTIPLY_ADDS:
            return None
        return self.X[rows].astype(dtype, copy=False)

    def _transpose(self, precision):
        """Return a column-wise copy.

        Columns far from zero have few zeros, and are stored as centered dense columns. Others are stored as entries.
        """
        values, indices, starts = as_compressed_matrix(self.csc)
        n, d = self.shape
        scale, shift = self.measure().choose_coordinates()
        columns_far_from_zero = np.flatnonzero(np.abs(shift) > 1)
        panel = np.empty((len(columns_far_from_zero), n), precision)
        positions = np.full(d, -1)
        positions[columns_far_from_zero] = np.arange(len(columns_far_from_zero))
        for row, j in zip(panel, columns_far_from_zero, strict=True):
            # The column is centered in float64, before it is rounded to float32.
            whole = np.zeros(n)
            whole[indices[starts[j] : starts[j + 1]]] = values[starts[j] : starts[j + 1]]
            row[:] = whole * scale[j] + shift[j]
        applied_scale, applied_shift = np.ones(d), np.zeros(d)
        applied_scale[columns_far_from_zero], applied_shift[columns_far_from_zero] = (
            scale[columns_far_from_zero],
            shift[columns_far_from_zero],
        )
        return ColumnwiseCopy(panel, positions, starts, indices, values, applied_scale, applied_shift)

    def passes(self, samples: Samples, scaling: Scaling, n_rows_coef: int) -> SparsePasses:
        """See `Matrix.passes`."""
        uses_row_passes = n_rows_coef == 1 and self.count_row_blocks(samples.rows) > 0
        kind = SparseRowPasses if uses_row_passes else SparseColumnPasses
        return kind(self, samples, scaling, n_rows_coef)

    def count_row_blocks(self, rows: IntArray) -> int:
        """Return the number of row blocks of passes that read X only by rows; 0 if columns have too few entries."""
        # `n_entries` may include duplicates, unlike `entries`.
        starts = compute_row_starts(self.entries.indptr, rows)
        return count_blocks_with_sums(len(starts) - 1, int(starts[-1] - starts[0]), self.shape[1])

    def row_products(self, n_rows_coef: int, factors: FloatArray, allows_gram: bool) -> SparseRowProducts:
        """See `Matrix.row_products`; the Gram matrix is never formed."""
        return SparseRowProducts(self.csr, self.csc, n_rows_coef, factors)

    def should_copy_rows(self, rows: IntArray) -> bool:
        """See `Matrix.should_copy_rows`. The number of entries decides, because a few rows may contain most of them."""
        starts = self.csr.indptr
        return (
            len(rows) > 0 and int(np.sum(starts[rows + 1] - starts[rows])) <= MAX_COPIED_ROW_FRACTION * self.n_entries
        )

    def take(self, rows: IntArray | slice) -> SparseMatrix:
        """See `Matrix.take`."""
        return SparseMatrix(self.csr[rows])

    def densify(self, rows: IntArray | slice) -> Array:
        """See `Matrix.densify`."""
        return self.csr[rows].toarray()

    def gram(self, rows: IntArray, row_weights: FloatArray, scaling: Scaling) -> FloatArray:
        """Return the float64 matrix (d + 1, d + 1), sum over `rows` (m,) of row_weights[i] [x~_i, 1] [x~_i, 1]'."""
        columns_far_from_zero = np.abs(scaling.shift) > MAX_UNCENTERED_SHIFT
        if columns_far_from_zero.any():
            others = Scaling(
                np.where(columns_far_from_zero, 1.0, scaling.scale), np.where(columns_far_from_zero, 0.0, scaling.shift)
            )
            return self._center_columns(columns_far_from_zero, scaling).gram(rows, row_weights, others)
        d = self.shape[1]
        X = self.entries
        # Each entry is multiplied by the entries of its row.
        mean_row_length = max(1, self.n_entries // max(1, self.shape[0]))
        n_blocks = count_entry_blocks(len(rows), len(rows) * mean_row_length**2 // 2, 1)
        n_blocks = max(1, min(MAX_PARTIAL_SUM_BYTES // (8 * d * d), n_blocks))
        half_grams, totals = np.empty((n_blocks, d, d)), np.empty((n_blocks, d))
        run_blocks(fill_block_sparse_gram, n_blocks, X, rows, row_weights, half_grams, totals)
        return center_gram(half_grams, totals, row_weights.sum(), scaling)

    def _center_columns(self, columns_far_from_zero, scaling):
        """Return X with the columns in the mask ``columns_far_from_zero`` (d,) as dense, scaled and centered columns.

        The result for the last mask and scaling is cached.
        """
        far_from_zero_scaling = Scaling(scaling.scale[columns_far_from_zero], scaling.shift[columns_far_from_zero])
        cached_mask, cached_scaling, centered = self._centered_cache
        if not (
            np.array_equal(cached_mask, columns_far_from_zero) and np.array_equal(cached_scaling, far_from_zero_scaling)
        ):
            dense_columns = sparse.csr_array(
                self.csr[:, columns_far_from_zero].toarray() * far_from_zero_scaling.scale + far_from_zero_scaling.shift
            )
            positions = np.argsort(np.argsort(columns_far_from_zero, kind="stable"))
            centered = SparseMatrix(
                sparse.hstack([self.csr[:, ~columns_far_from_zero], dense_columns], format="csr")[:, positions]
            )
            self._centered_cache = columns_far_from_zero, far_from_zero_scaling, centered
        return centered


class SparsePasses(Passes):
    """The sums over rows of sparse X. Subclasses implement `_run` and differ in the order in which they read X."""

    def __init__(self, matrix: SparseMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        self.relative_shift_errors, self.relative_gram_norms = (
            matrix.relative_shift_errors,
            compute_relative_gram_norms(scaling.shift),
        )
        self._coef_table = make_zero_table(matrix.shape[1], n_rows_coef)
        self._tile_rows = count_tile_rows(n_rows_coef, n_rows_coef, 8)

    def evaluate_batch(
        self, parameters: FloatArray, labels: Array, weights: FloatArray, gradients: FloatArray
    ) -> FloatArray:
        """See `Passes.evaluate_batch`; sums are separate for each row block and each group of problems."""
        matrix, (scale, shift), (n, d) = self._matrix, self._scaling, self._matrix.shape
        n_problems = len(parameters)
        n_groups = -(-n_problems // PROBLEMS_PER_GROUP)
        n_parts = max(1, count_blocks_with_sums(n, matrix.n_entries, d))
        X = as_compressed_matrix(matrix.csr)
        borders = cut_balanced_blocks(X.indptr, n_parts)
        padded = np.zeros((n_groups * PROBLEMS_PER_GROUP, d + 1))
        padded[:n_problems] = parameters
        intercepts = padded[:, -1] + np.einsum("kj,j->k", padded[:, :-1], shift)
        tables = zeros_aligned((n_groups * d, PROBLEMS_PER_GROUP), np.float64).reshape(n_groups, d, PROBLEMS_PER_GROUP)
        tables[:] = (padded[:, :-1] * scale).reshape(n_groups, PROBLEMS_PER_GROUP, d).transpose(0, 2, 1)
        sums = zeros_aligned((n_parts * n_groups * (d + 1), PROBLEMS_PER_GROUP), np.float64)
        sums = sums.reshape(n_parts, n_groups, d + 1, PROBLEMS_PER_GROUP)
        batch = ProblemBatchArrays.allocate(labels, weights, self.samples.offsets, 1, n_parts)
        intercepts = intercepts.reshape(n_groups, PROBLEMS_PER_GROUP)
        operands = X, borders, tables, intercepts, TILE_ROWS, sums, batch
        run_blocks(fill_block_batch_pass, n_parts * n_groups, *operands)
        total = np.add.reduce(sums).transpose(0, 2, 1).reshape(-1, d + 1)[:n_problems]
        gradients[:, -1] = total[:, -1]
        gradients[:, :-1] = scale * total[:, :-1] + shift * total[:, -1:]
        return sum_blocks(batch.values.swapaxes(0, 1))


class SparseRowPasses(SparsePasses):
    """Passes of the logistic loss (K = 1) that read X once, by rows. Each row block has a separate gradient."""

    def __init__(self, matrix: SparseMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        self._tile_rows, self._n_blocks = TILE_ROWS, matrix.count_row_blocks(samples.rows)
        self._borders = cut_balanced_blocks(compute_row_starts(matrix.entries.indptr, samples.rows), self._n_blocks)
        self._sums = np.empty((self._n_blocks, self.shape[1]))

    def _run(self, parameters, total, losses, curvature, batch=None):
        (intercept,), coef = fill_coef_table(parameters, self._scaling, self._coef_table), self._coef_table[:, 0]
        operands = self._matrix.entries, self.samples.rows, self._borders, coef, intercept, self._tile_rows
        run_blocks(fill_block_logistic_pass, self._n_blocks, *operands, self._sums, losses, curvature)
        sums = self._sums[0] if self._n_blocks == 1 else np.add.reduce(self._sums)
        total[0, :-1] = self._scaling.scale * sums[:-1] + self._scaling.shift * sums[-1]
        total[0, -1] = sums[-1]
        return total


class SparseColumnPasses(SparsePasses):
    """Passes that read X by rows for residuals, then by columns for the gradient.

    Small subsets of the rows are copied.
    """

    def __init__(self, matrix: SparseMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        rows = samples.rows
        if len(rows) and (matrix.should_copy_rows(rows) or (rows[1:] <= rows[:-1]).any()):
            matrix, samples = matrix.take(rows), samples.take(rows)
        self._read = samples
        n, d = matrix.shape
        K = n_rows_coef
        columns = matrix.csc
        self._csr_operand, self._csc_operand = as_compressed_matrix(matrix.csr), as_compressed_matrix(columns)
        # The rows are divided into chunks whose residuals take at most n_bytes bytes.
        n_bytes = max(MAX_RESIDUAL_BYTES, 8 * K * (d + 1))
        n_chunks = max(1, -(-n // max(1, n_bytes // (8 * count_table_columns(K)))))
        self._residuals = make_zero_table(-(-n // n_chunks), K)
        self._chunks = [self._make_chunk(i * n // n_chunks, (i + 1) * n // n_chunks) for i in range(n_chunks)]
        self._n_blocks = sum(len(borders) - 1 for _, borders in self._chunks)
        self._column_borders = cut_balanced_blocks(columns.indptr, count_entry_blocks(d, columns.indptr[-1], K))

    def _make_chunk(self, first, last):
        """Return the Chunk for a range of rows, and the borders of its blocks as positions in the rows of the pass."""
        indptr, rows = self._csr_operand.indptr, self._read.rows
        if not len(rows):
            starts, position = indptr[first : last + 1], first
        else:
            position, end = np.searchsorted(rows, (first, last))
            rows = rows[position:end]
            starts = compute_row_starts(indptr, rows)
        n_blocks = count_entry_blocks(len(starts) - 1, starts[-1] - starts[0], self.shape[0])
        return RowChunk(first, self._residuals[: last - first]), position + cut_balanced_blocks(starts, n_blocks)

    def _run(self, parameters, total, losses, curvature, batch=None):
        coef_table_parameters = Parameters(
            self._coef_table, fill_coef_table(parameters, self._scaling, self._coef_table)
        )
        totals, n_before = np.zeros(self.shape[0]), 0
        for chunk, borders in self._chunks:
            if len(self._read.rows) and len(self._chunks) > 1:
                # Rows that are not part of the pass would otherwise keep the values of the previous chunk.
                self._residuals[:] = 0
            sums = np.empty((len(borders) - 1, self.shape[0]))
            operands = self._csr_operand, self._read.rows, borders, coef_table_parameters, self._tile_rows, chunk, sums
            part = slice(n_before, n_before + len(sums))
            chunk_losses = None if losses is None else losses._replace(values=losses.values[part])
            run_blocks(fill_block_row_chunk, len(sums), *operands, chunk_losses, curvature)
            n_before = part.stop
            chunk_sums = np.add.reduce(sums)
            run_blocks(
                fill_block_chunk_products,
                len(self._column_borders) - 1,
                self._csc_operand,
                self._column_borders,
                chunk,
                chunk_sums,
                self._scaling,
                chunk.first > 0,
                total,
            )
            totals += chunk_sums
        total[:, -1] = totals
        return total


def compute_relative_gram_norms(shift: FloatArray) -> FloatArray:
    """Return `Passes.relative_gram_norms` for columns with shifts (d,). Columns far from zero are centered."""
    return np.hypot(1, np.where(np.abs(shift) > MAX_UNCENTERED_SHIFT, 0, shift))


def fill_coef_table(coef: FloatArray, scaling: Scaling, table: FloatArray) -> FloatArray:
    """Fill `table` (d, n_columns) with the transpose of scale times coef.

    Return the intercepts (K,) including the shifts.
    """
    n_blocks = count_work_blocks(COPIED_NUMBER_WORK * table.size, len(table))
    shifts = np.empty((n_blocks, len(coef)))
    run_blocks(fill_block_coefficient_table, n_blocks, np.ascontiguousarray(coef, np.float64), scaling, table, shifts)
    intercept = np.add.reduce(shifts)
    return intercept + coef[:, -1] if coef.shape[1] > len(table) else intercept


class SparseRowProducts:
    """Products for sparse X: a pass over columns, then a pass over rows. The penalty factors (d,) are positive."""

    def __init__(self, csr: SparseContainer, csc: SparseContainer, n_rows_coef: int, factors: FloatArray) -> None:
        self._operands = [
            (
                as_compressed_matrix(X),
                cut_balanced_blocks(X.indptr, count_entry_blocks(len(X.indptr) - 1, X.indptr[-1], n_rows_coef)),
            )
            for X in (csc, csr)
        ]
        self._factors = [1 / factors, np.ones(csr.shape[0])]
        self._coef = make_zero_table(len(factors), n_rows_coef)

    def combine_rows(self, vector: FloatArray, coef: FloatArray) -> None:
        """Fill coef (K, d) with F^-1 X' vector."""
        self._fill_product(0, vector, self._coef)
        coef[:] = self._coef[:, : len(coef)].T

    def multiply(self, vector: FloatArray, product: FloatArray) -> None:
        """Fill the first n rows of product with G vector."""
        self._fill_product(0, vector, self._coef)
        self._fill_product(1, self._coef, product)

    def _fill_product(self, side, table, product):
        X, borders = self._operands[side]
        run_blocks(fill_block_matrix_line_products, len(borders) - 1, X, borders, table, self._factors[side], product)


def count_entry_blocks(n_lines: int, n_entries: int, n_classes: int) -> int:
    """Return the number of blocks for n_lines rows or columns. It depends only on the shape of the data."""
    width = 1 + count_table_columns(n_classes) // 8
    return count_work_blocks(COPIED_NUMBER_WORK * width * (int(n_entries) + ROW_OR_COLUMN_OVERHEAD * n_lines))


def count_blocks_with_sums(n_rows: int, n_entries: int, n_columns: int) -> int:
    """Return the number of row blocks if each block has sums for all columns; 0 if there are too few entries."""
    return min(count_entry_blocks(n_rows, n_entries, 1), n_entries // (MIN_ENTRIES_PER_COLUMN * max(1, n_columns)))


def compute_row_starts(indptr: IntArray, rows: IntArray) -> IntArray:
    """Return the row pointers (m + 1,) of the matrix of the selected rows; empty ``rows`` means all rows."""
    if not len(rows):
        return indptr
    return np.append(0, np.cumsum(indptr[rows + 1] - indptr[rows], dtype=np.int64))


def cut_balanced_blocks(starts: IntArray, n_blocks: int) -> IntArray:
    """Return the n_blocks + 1 borders of blocks of rows or columns with about equal work.

    Row or column i starts at entry starts[i].
    """
    n_lines, origin = len(starts) - 1, int(starts[0])

    def work(i):
        return int(starts[i]) - origin + ROW_OR_COLUMN_OVERHEAD * i

    total = work(n_lines)
    borders = [bisect_left(range(n_lines), total * block // n_blocks, key=work) for block in range(n_blocks)]
    return np.array([*borders, n_lines])


def as_compressed_matrix(matrix: SparseContainer) -> CompressedMatrix:
    """Return a kernel operand that shares the memory of a CSR or CSC matrix."""
    data = matrix.data.view(np.uint8) if matrix.dtype == bool else matrix.data
    arrays = (writable_view(np.ascontiguousarray(array)) for array in (data, matrix.indices, matrix.indptr))
    return CompressedMatrix(*arrays)


def center_gram(half_grams: FloatArray, totals: FloatArray, total_weight: float, scaling: Scaling) -> FloatArray:
    """Return sum over i of s_i [x~_i, 1] [x~_i, 1]' from the sums of blocks.

    The sum of `half_grams` (B, d, d) and their transposes is sum s_i x_i x_i'. The sum of `totals` (B, d) is
    sum s_i x_i.
    """
    total = np.add.reduce(totals) * scaling.scale
    d = len(total)
    gram = np.empty((d + 1, d + 1))
    # Each of the two mixed products contains half of the product of the shifts.
    mixed_products = total + 0.5 * total_weight * scaling.shift
    run_blocks(_fill_centered_rows, -(-d // CENTERING_BLOCK_ROWS), half_grams, mixed_products, scaling, gram)
    gram[-1, :-1] = gram[:-1, -1] = total + scaling.shift * total_weight
    gram[-1, -1] = total_weight
    return gram


# Products overflow at extreme scales. The callers check that the matrix is finite.
@np.errstate(over="ignore", invalid="ignore")
def _fill_centered_rows(block, n_blocks, half_grams, mixed_products, scaling, gram):
    scale, shift = scaling.scale, scaling.shift
    part = slice(block * CENTERING_BLOCK_ROWS, min((block + 1) * CENTERING_BLOCK_ROWS, len(mixed_products)))
    rows = gram[part, :-1]
    np.add(np.add.reduce(half_grams[:, part]), np.add.reduce(half_grams[:, :, part]).T, out=rows)
    rows *= scale[part, None] * scale
    # With this order of operations, the matrix is exactly symmetric.
    rows += mixed_products[part, None] * shift + shift[part, None] * mixed_products


def _has_canonical_order(matrix):
    """Return whether the indices in each row of a CSR matrix, or column of a CSC matrix, ascend without duplicates."""
    # The check uses a new object, because the flag of the caller's object may be wrong.
    make = getattr(sparse, f"{matrix.format}_array")
    return make((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape).has_canonical_format


def _sum_duplicates(csr):
    """Return a copy of a CSR matrix with sorted indices and without duplicates."""
    csr = csr.copy()
    csr.sum_duplicates()
    return csr
