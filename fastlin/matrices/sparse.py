"""Sparse X, by rows and by columns: statistics of its columns, predictions, an objective's passes; never densified."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from threading import RLock

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
    fill_block_sparse_best_class,
    fill_block_sparse_rows,
    fill_block_sparse_scores,
)
from fastlin.kernels.machine.gather import zeros_table
from fastlin.kernels.machine.threads import MAX_BLOCKS, MAX_PARTIAL_BYTES, run_blocks
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.columns import Columns, Moments, Transposed
from fastlin.matrices.compressed import compressed, count_blocks_with_sums, count_line_blocks, count_starts, cut_lines
from fastlin.matrices.row_products import SparseRowProducts
from fastlin.matrices.sparse_passes import PassesByColumns, PassesByRows, SparsePasses, fill_table
from fastlin.typing import FloatArray, FloatType, IntArray, SparseContainer

# Numbers of the partial sums of a Gram matrix that are put together in a block.
MIN_GRAM_BLOCK = 200_000
# A column whose mean is so many times its spread loses ten of the sixteen digits of a variance.
MAX_GRAM_SHIFT = 1e5
# Batches of X are multiplied as they are up to this density, where whole ones take as many multiply-adds; else dense.
# 128 rows x 20,000 with 1 %, 20 classes, take a fifth of the time, 128 x 1,000 with two classes twice as long.
MAX_DENSITY = 0.03
MIN_DENSE_WORK = 2_000_000
# No row numbers: all rows.
ALL = np.empty(0, np.int64)
# Values that are looked at before all are, to see whether all are one.
ONES_TRIED = 64


class SparseMatrix:
    """X of shape (n, d) by rows (CSR) as it came and, once that is needed, by columns (CSC): one transposed copy.

    Entries may be unsorted; where there are several of one place, one copy is made that holds their sum.

    Parameters
    ----------
    X : SciPy sparse container of shape (n, d)
        The data, real numbers. It is not changed.

    Attributes
    ----------
    X : SciPy CSR matrix or array
        The data by rows; the caller's own where it is CSR.
    shape : tuple of int
        The number of rows n and of columns d.
    dtype : dtype
        The type of the values.

    Raises
    ------
    ValueError
        X is not two-dimensional, its values are not real numbers, or its arrays contradict each other.
    """

    # Some of its rows, and all of its columns, may be had without reading X anew.
    lies_in_memory = True

    def __init__(self, X: SparseContainer) -> None:
        self.X, csc = read_container(X)
        self.shape, self.dtype = X.shape, self.X.dtype
        # Sums of whole numbers and of truth values are those of their type, as in a dense array.
        if self.dtype.kind != "f" and _count_disorder(self.X).any():
            self.X = _sum_duplicates(self.X)
        self._lock = RLock()
        self._transposed: dict[FloatType, Transposed] = {}
        self._csc = csc if csc is not None and not _count_disorder(csc).any() else None

    @property
    def nbytes(self) -> int:
        """The bytes of the entries by rows."""
        return self.X.data.nbytes + self.X.indices.nbytes + self.X.indptr.nbytes

    @property
    def csc(self) -> SparseContainer:
        """X as CSC whose rows ascend in each column."""
        # Folds in threads ask for it at once.
        with self._lock:
            if self._csc is None:
                self._csc = self.X.tocsc()
                if _count_disorder(self._csc).any():
                    self.X = _sum_duplicates(self.X)
                    self._csc = self.X.tocsc()
        return self._csc

    def gains_from_float32(self, n_rows_coef: int) -> bool:
        """Say whether passes are faster in float32: they are not, since entries are widened one by one."""
        return False

    def resolves_gram(self, shift: FloatArray) -> bool:
        """Say whether Gram matrices of columns with such shifts (d,) keep their digits.

        Sums are taken of the entries as they are, and centred later.
        """
        return bool(np.abs(shift).max(initial=0.0) <= MAX_GRAM_SHIFT)

    @cached_property
    def entries(self) -> Compressed:
        """X by rows, without its values where all of them are one."""
        X = compressed(self.X)
        # Most other data differ from one early on.
        is_one = (X.data[:ONES_TRIED] == 1).all() and (X.data == 1).all()
        return X._replace(data=X.data[:0]) if is_one else X

    @property
    def n_entries(self) -> int:
        """The number of entries that a pass reads."""
        return int(self.X.indptr[-1])

    def count_gram_work(self) -> int:
        """Return the multiply-adds of a Gram matrix of the columns, each entry with those of its row.

        One of them takes as long as four of dense rows.
        """
        return 4 * self.n_entries**2 // max(1, self.shape[0])

    def measure(self, weights: FloatArray | None = None) -> Columns:
        """Return the Columns, the statistics of the columns of X.

        Non-finite values are reported in `Columns.finite`; they do not raise.

        Parameters
        ----------
        weights : ndarray of shape (n,) or None
            The weights of the rows; None stands for ones.

        Returns
        -------
        Columns
        """
        return Columns.from_moments(self.find_moments(weights))

    def find_moments(self, weights: FloatArray | None = None) -> Moments:
        """Return the Moments of the columns, with weights (n,) of the rows or None."""
        n, d = self.shape
        n_blocks = count_blocks_with_sums(n, self.n_entries, d)
        if weights is None and self._csc is None and n_blocks and not _count_disorder(self.X).any():
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
        """Return X coef' + intercept, of shape (n, K), in the type of coef (K, d); or (m, K), of rows (m,)."""
        scores = np.empty((len(rows) or self.shape[0], len(coef)), coef.dtype)
        self._score(fill_block_sparse_scores, coef, intercept, scores, rows)
        return scores

    def sum_squared_scores(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Return the sum of the squares of the scores of each row, (n,) float32."""
        scores = self.compute_scores(coef, intercept)
        with np.errstate(over="ignore"):
            return np.einsum("ik,ik->i", scores, scores).astype(np.float32)

    def find_best_class(self, coef: FloatArray, intercept: FloatArray) -> IntArray:
        """Return the class of the largest of the scores of each row, (n,) int64; the scores of all rows are never held.

        Of equal scores the first class is best. With one row of coef, class 1 is best where the score is above 0.
        """
        best = np.empty(self.shape[0], np.int64)
        self._score(fill_block_sparse_best_class, coef, intercept, best)
        return best

    def _score(self, kernel, coef, intercept, found, rows=ALL):
        K, d = coef.shape
        table = zeros_table(d, K)
        fill_table(coef.astype(np.float64), Scaling(np.ones(d), np.zeros(d)), table)
        X = compressed(self.X)
        starts = count_starts(X.indptr, rows)
        borders = cut_lines(starts, count_line_blocks(len(found), starts[-1] - starts[0], K))
        parameters = TableParameters(table, intercept.astype(np.float64))
        run_blocks(kernel, len(borders) - 1, X, rows, borders, parameters, found)

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

    def select(self, rows: IntArray) -> tuple[SparseMatrix, IntArray]:
        """Return the matrix that passes over the given rows are made of, and their numbers in it."""
        return self, rows

    def parts(self) -> Iterator[tuple[str, SparseMatrix]]:
        """Yield what X is called where something is wrong with it, and the matrix."""
        yield "X", self

    def transposed(self, precision: FloatType, features: IntArray | None) -> Transposed:
        """Return X column by column: the entries as they are, columns far from zero whole and centred.

        A column far from zero that is not centred is nearly a multiple of the intercept. More than half of such a
        column is filled, so that whole it takes no more memory than its entries.

        Parameters
        ----------
        precision : type
            The type, float64 or float32, that whole columns are kept in.
        features : ndarray of int64 or None
            The columns that will be used. All are kept for the next call.

        Returns
        -------
        Transposed
        """
        with self._lock:
            if precision not in self._transposed:
                self._transposed[precision] = self._transpose(precision)
        return self._transposed[precision]

    def _transpose(self, precision):
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

    def passes(
        self,
        *,
        rows: IntArray,
        labels: IntArray,
        weights: FloatArray,
        n_rows_coef: int,
        scale: FloatArray,
        shift: FloatArray,
    ) -> SparsePasses:
        """Return the SparsePasses over the given rows, or all; parameters as `DensePasses` has them."""
        kind = PassesByRows if PassesByRows.suit(self, rows, n_rows_coef) else PassesByColumns
        return kind(self, Samples(rows, labels, weights), n_rows_coef, Scaling(scale, shift))

    def row_products(self, n_rows_coef: int, factors: FloatArray, allows_gram: bool) -> SparseRowProducts:
        """Return the SparseRowProducts for K rows of coefficients and penalty factors (d,); they keep no matrix."""
        return SparseRowProducts(self.X, self.csc, n_rows_coef, factors)

    def take(self, rows: IntArray) -> SparseMatrix:
        """Return the matrix of the given row numbers, in their order."""
        return SparseMatrix(self.X[rows])

    def gram(self, rows: IntArray, row_weights: FloatArray, scaling: Scaling) -> FloatArray:
        """Return sum over i of row_weights[i] [x~_i, 1] [x~_i, 1]', of shape (d + 1, d + 1), float64.

        rows (m,) are row numbers and row_weights (m,) stand in their order; scaling is a Scaling in float64.
        """
        d = self.shape[1]
        X = self.entries
        # For each entry the entries of its row.
        row_length = max(1, self.n_entries // max(1, self.shape[0]))
        n_blocks = count_line_blocks(len(rows), len(rows) * row_length**2 // 2, 1)
        n_blocks = max(1, min(MAX_PARTIAL_BYTES // (8 * d * d), n_blocks))
        halves, totals = np.empty((n_blocks, d, d)), np.empty((n_blocks, d))
        run_blocks(fill_block_sparse_gram, n_blocks, X, rows, row_weights, halves, totals)
        gram = np.empty((d + 1, d + 1))
        n_blocks = max(1, min(halves.size // MIN_GRAM_BLOCK, MAX_BLOCKS))
        run_blocks(fill_block_centred_gram, n_blocks, halves, totals, row_weights.sum(), scaling, gram)
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
