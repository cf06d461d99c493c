"""Sparse X, by rows and by columns: statistics of its columns, predictions, an objective's passes; never densified."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from scipy import sparse

from fastlin.containers import read_container
from fastlin.kernels.linear.operands import Compressed, Samples, TableParameters
from fastlin.kernels.linear.sparse_columns import (
    count_block_disorder,
    fill_block_centred_gram,
    fill_block_sparse_gram,
    fill_block_sparse_statistics,
)
from fastlin.kernels.linear.sparse_rows import (
    fill_block_row_squares,
    fill_block_row_sums,
    fill_block_sparse_rows,
    fill_block_sparse_scores,
)
from fastlin.kernels.machine.gather import zeros_table
from fastlin.kernels.machine.threads import MAX_PARTIAL_BYTES, NUMBER_WORK, cut_work, run_blocks
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.compressed import compressed, count_blocks_with_sums, count_line_blocks, count_starts, cut_lines
from fastlin.matrices.matrix import COPIED_PART, Matrix, Moments, Transposed
from fastlin.matrices.row_products import SparseRowProducts
from fastlin.matrices.sparse_passes import PassesByColumns, PassesByRows, SparsePasses, fill_table
from fastlin.typing import Array, FloatArray, IntArray, SparseContainer

# Batches of X are multiplied as they are up to this density, where whole ones take as many multiply-adds; else dense.
# 128 rows x 20,000 with 1 %, 20 classes, take a fifth of the time, 128 x 1,000 with two classes twice as long.
MAX_DENSITY = 0.03
MIN_DENSE_WORK = 2_000_000
# No row numbers: all rows.
ALL = np.empty(0, np.int64)
# Columns whose mean is so many times their spread are centred one entry after the other in Gram matrices. Else these
# would lose the square of it in digits: with 1,000 of 16 six, and standard errors of correlated columns all.
FAR = 8
# Values that are looked at before all are, to see whether all are one.
ONES_TRIED = 64


class SparseMatrix(Matrix):
    """X of shape (n, d) by rows (CSR) as it came and, once that is needed, by columns (CSC): one transposed copy.

    The property X holds the rows, the caller's own where they are CSR. Entries may be unsorted; where there are several
    of one place, one copy is made that holds their sum.

    Parameters
    ----------
    X : SciPy sparse container of shape (n, d)
        The data, real numbers. It is not changed.

    Raises
    ------
    ValueError
        X is not two-dimensional, its values are not real numbers, or its arrays contradict each other.
    """

    def __init__(self, X: SparseContainer) -> None:
        csr, csc = read_container(X)
        # Sums of whole numbers and of truth values are those of their type, as in a dense array.
        if csr.dtype.kind != "f" and _count_disorder(csr).any():
            csr = _sum_duplicates(csr)
        n_bytes = csr.data.nbytes + csr.indices.nbytes + csr.indptr.nbytes
        super().__init__(csr.shape, csr.dtype, True, int(csr.indptr[-1]), n_bytes)
        self._centred: tuple[Any, Any, Any] = (None, None, None)
        self._X, self._ordered = csr, None if csc is None or _count_disorder(csc).any() else (csr, csc)

    @cached_property
    def csr(self) -> SparseContainer:
        """X by rows, with one entry for each place: as it came, or a copy where there were several."""
        return self._order()[0] if self._ordered is not None or _count_disorder(self.X).any() else self.X

    @property
    def csc(self) -> SparseContainer:
        """X by columns whose rows ascend, with one entry for each place."""
        return self._order()[1]

    def _order(self):
        """Return X by rows and by columns."""
        # Folds in threads ask for it at once.
        with self._lock:
            if self._ordered is None:
                csc = self.X.tocsc()
                if _count_disorder(csc).any():
                    csr = _sum_duplicates(self.X)
                    self._ordered = csr, csr.tocsc()
                else:
                    self._ordered = self.X, csc
            return self._ordered

    @cached_property
    def entries(self) -> Compressed:
        """X by rows, without its values where all of them are one."""
        X = compressed(self.csr)
        # Most other data differ from one early on.
        is_one = (X.data[:ONES_TRIED] == 1).all() and (X.data == 1).all()
        return X._replace(data=X.data[:0]) if is_one else X

    @cached_property
    def longest_row(self) -> int:
        """The number of entries of the longest row."""
        return int(np.diff(self.csr.indptr).max(initial=0))

    def find_moments(self, weights: FloatArray | None = None) -> Moments:
        """As `Matrix.find_moments` has it."""
        n, d = self.shape
        n_blocks = count_blocks_with_sums(n, self.n_entries, d)
        if weights is None and self._ordered is None and n_blocks and self.csr is self.X:
            return self._find_moments_by_rows(n_blocks)
        columns = compressed(self.csc)
        borders = cut_lines(columns.indptr, count_line_blocks(d, len(columns.data), 1))
        row_weights = np.empty(0) if weights is None else weights
        total = float(n) if weights is None else float(weights.sum())
        outputs = mean, variance, smallest, largest = np.empty((4, d))
        run_blocks(fill_block_sparse_statistics, len(borders) - 1, columns, borders, n, row_weights, total, *outputs)
        # Sums of entries that are not centred round by as much as a mean does.
        return Moments(mean, np.zeros(d), variance, smallest, largest)

    def _find_moments_by_rows(self, n_blocks):
        """Return the Moments of rows that count alike, from blocks of rows, without a transposed copy of X."""
        n, d = self.shape
        borders = cut_lines(self.entries.indptr, n_blocks)
        sums, squares = np.empty((n_blocks, d, 4)), np.empty((n_blocks, d))
        run_blocks(fill_block_row_sums, n_blocks, self.entries, borders, sums)
        smallest, largest = sums[:, :, 2].min(axis=0), sums[:, :, 3].max(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            count, total = np.add.reduce(sums[:, :, :2]).T
            # A column of one number has this as its mean, and no variance.
            mean = np.where((count == n) & (smallest == largest), smallest, total / n)
            run_blocks(fill_block_row_squares, n_blocks, self.entries, borders, mean, squares)
            variance = ((n - count) * mean**2 + np.add.reduce(squares)) / n
        smallest = np.where(count < n, np.minimum(smallest, 0.0), smallest)
        largest = np.where(count < n, np.maximum(largest, 0.0), largest)
        return Moments(mean, np.zeros(d), variance, smallest, largest)

    def compute_scores(self, coef: FloatArray, intercept: FloatArray, rows: IntArray = ALL) -> FloatArray:
        """As `Matrix.compute_scores` has it; or (m, K), of rows (m,)."""
        scores = np.empty((len(rows) or self.shape[0], len(coef)), coef.dtype)
        self._score(coef, intercept, rows, scores, np.empty(0, np.int64))
        return scores

    def find_best_class(self, coef: FloatArray, intercept: FloatArray) -> IntArray:
        """As `Matrix.find_best_class` has it, in one pass."""
        best = np.empty(self.shape[0], np.int64)
        self._score(coef, intercept, ALL, np.empty((0, len(coef)), coef.dtype), best)
        return best

    def _score_part(self, part, coef, intercept):
        # Rows that are taken would be copied.
        return self.compute_scores(coef, intercept, np.arange(part.start, part.stop))

    def _score(self, coef, intercept, rows, scores, best):
        K, d = coef.shape
        table = zeros_table(d, K)
        fill_table(coef.astype(np.float64), Scaling(np.ones(d), np.zeros(d)), table)
        X = compressed(self.X)
        starts = count_starts(X.indptr, rows)
        borders = cut_lines(starts, count_line_blocks(len(starts) - 1, starts[-1] - starts[0], K))
        parameters = TableParameters(table, intercept.astype(np.float64))
        run_blocks(fill_block_sparse_scores, len(borders) - 1, X, rows, borders, parameters, scores, best)

    def take_rows(self, rows: IntArray | slice, out: FloatArray) -> FloatArray:
        """Return rows of X as a dense array.

        Parameters
        ----------
        rows : ndarray of shape (m,), int64, or slice
            The row numbers, in any order.
        out : ndarray of shape (m, d)
            It takes the rows, in its type.

        Returns
        -------
        ndarray of shape (m, d)
            ``out``.
        """
        if isinstance(rows, slice):
            rows = np.arange(rows.start, rows.stop)
        n_blocks = count_line_blocks(len(rows), out.size, 1)
        run_blocks(fill_block_sparse_rows, n_blocks, compressed(self.X), rows, out)
        return out

    def take_sparse_rows(self, rows: IntArray | slice, dtype: DTypeLike, n_columns: int) -> SparseContainer | None:
        """Return rows of X as a CSR array of a type, for products with so many columns.

        Parameters
        ----------
        rows : ndarray of shape (m,), int64, or slice
            The row numbers, in any order.
        dtype : dtype
            The type of its entries.

        Returns
        -------
        csr_array of shape (m, d)
            A copy, or None where the whole rows are multiplied faster.
        """
        n, d = self.X.shape
        if isinstance(rows, slice):
            rows = np.arange(rows.start, rows.stop)
        if self.X.nnz > MAX_DENSITY * n * d or len(rows) * d * n_columns < MIN_DENSE_WORK:
            return None
        # SciPy takes rows of the types that it knows, without float16.
        firsts = self.X.indptr[rows]
        indptr = np.concatenate([[0], np.cumsum(self.X.indptr[rows + 1] - firsts)])
        places = np.repeat(firsts - indptr[:-1], np.diff(indptr)) + np.arange(indptr[-1])
        entries = self.X.data[places].astype(dtype), self.X.indices[places], indptr
        return sparse.csr_array(entries, shape=(len(rows), d))

    def _transpose(self, precision):
        """Return the entries as they are, and columns far from zero whole and centred.

        A column far from zero that is not centred is nearly a multiple of the intercept. More than half of such a
        column is filled, so that whole it takes no more memory than its entries.
        """
        values, indices, starts = compressed(self.csc)
        n, d = self.shape
        scale, shift = self.measure().choose_coordinates()
        far = np.flatnonzero(np.abs(shift) > 1)
        panel = np.empty((len(far), n), precision)
        places = np.full(d, -1)
        places[far] = np.arange(len(far))
        for row, j in zip(panel, far, strict=True):
            # Centred before float32 rounds it.
            whole = np.zeros(n)
            whole[indices[starts[j] : starts[j + 1]]] = values[starts[j] : starts[j + 1]]
            row[:] = whole * scale[j] + shift[j]
        stored_scale, stored_shift = np.ones(d), np.zeros(d)
        stored_scale[far], stored_shift[far] = scale[far], shift[far]
        return Transposed(panel, places, starts, indices, values, stored_scale, stored_shift)

    def passes(self, samples: Samples, scaling: Scaling, n_rows_coef: int) -> SparsePasses:
        """As `Matrix.passes` has it."""
        kind = PassesByRows if PassesByRows.suit(self, samples.rows, n_rows_coef) else PassesByColumns
        return kind(self, samples, scaling, n_rows_coef)

    def row_products(self, n_rows_coef: int, factors: FloatArray, allows_gram: bool) -> SparseRowProducts:
        """As `Matrix.row_products` has it; they keep no matrix."""
        return SparseRowProducts(self.csr, self.csc, n_rows_coef, factors)

    def copies(self, rows: IntArray) -> bool:
        """As `Matrix.copies` has it, by their entries: few rows of text may hold most of them."""
        starts = self.csr.indptr
        return len(rows) > 0 and int(np.sum(starts[rows + 1] - starts[rows])) <= COPIED_PART * self.n_entries

    def take(self, rows: IntArray | slice) -> SparseMatrix:
        """As `Matrix.take` has it."""
        return SparseMatrix(self.csr[rows])

    def densify(self, rows: IntArray | slice) -> Array:
        """As `Matrix.densify` has it."""
        return self.csr[rows].toarray()

    def gram(self, rows: IntArray, row_weights: FloatArray, scaling: Scaling) -> FloatArray:
        """Return sum over i of row_weights[i] [x~_i, 1] [x~_i, 1]', of shape (d + 1, d + 1), float64.

        rows (m,) are row numbers and row_weights (m,) stand in their order; scaling is a Scaling in float64.
        """
        far = np.abs(scaling.shift) > FAR
        if far.any():
            others = Scaling(np.where(far, 1.0, scaling.scale), np.where(far, 0.0, scaling.shift))
            return self._centre(far, scaling).gram(rows, row_weights, others)
        d = self.shape[1]
        X = self.entries
        # For each entry the entries of its row.
        row_length = max(1, self.n_entries // max(1, self.shape[0]))
        n_blocks = count_line_blocks(len(rows), len(rows) * row_length**2 // 2, 1)
        n_blocks = max(1, min(MAX_PARTIAL_BYTES // (8 * d * d), n_blocks))
        halves, totals = np.empty((n_blocks, d, d)), np.empty((n_blocks, d))
        run_blocks(fill_block_sparse_gram, n_blocks, X, rows, row_weights, halves, totals)
        return centre_gram(halves, totals, row_weights.sum(), scaling)

    def _centre(self, far, scaling):
        """Return the columns as they are, but those that are far from zero whole, scaled and centred.

        That of the last scaling is kept: a column far from zero has nearly all of its entries anyway.
        """
        own = Scaling(scaling.scale[far], scaling.shift[far])
        kept, others, centred = self._centred
        if not (np.array_equal(kept, far) and np.array_equal(others, own)):
            whole = sparse.csr_array(self.csr[:, far].toarray() * own.scale + own.shift)
            places = np.argsort(np.argsort(far, kind="stable"))
            centred = SparseMatrix(sparse.hstack([self.csr[:, ~far], whole], format="csr")[:, places])
            self._centred = far, own, centred
        return centred


def centre_gram(halves: FloatArray, totals: FloatArray, total_weight: float, scaling: Scaling) -> FloatArray:
    """Return sum over i of s_i [x~_i, 1] [x~_i, 1]' from the sums of blocks, halves and totals (B, d) of s_i x_i."""
    size = totals.shape[1] + 1
    gram = np.empty((size, size))
    n_blocks = cut_work(NUMBER_WORK * halves.size, size - 1)
    run_blocks(fill_block_centred_gram, n_blocks, halves, totals, total_weight, scaling, gram)
    return gram


def _count_disorder(matrix):
    """Return how many entries of a CSR or CSC matrix follow a later place, or the same, in their row or column."""
    _, indices, indptr = compressed(matrix)
    borders = cut_lines(indptr, count_line_blocks(len(indptr) - 1, len(indices), 1))
    counts = np.empty((len(borders) - 1, 2), np.int64)
    run_blocks(count_block_disorder, len(counts), indices, indptr, borders, counts)
    return counts.sum(axis=0)


def _sum_duplicates(csr):
    """Return a copy of a CSR matrix with one entry for each place, in ascending order."""
    csr = csr.copy()
    csr.sum_duplicates()
    return csr
