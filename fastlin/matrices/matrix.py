"""What every form of X answers, stated once: the matrix, and the passes over its rows that an objective is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.columns import Columns, Moments, Transposed
from fastlin.typing import FloatArray, FloatType, IntArray

if TYPE_CHECKING:
    from fastlin.matrices.row_products import DenseRowProducts, SparseRowProducts

# Below this many multiply-adds a pass takes less than the rest of an iteration, and float64 is as fast.
MIN_FLOAT32_WORK = 20_000_000
# A column whose mean is so many times its spread loses ten of the sixteen digits of a variance.
MAX_GRAM_SHIFT = 1e5
# No more rows than this part of X are copied, rather than read among the others. Of text, 20,000 x 20,000 with 20
# classes, the copy of a quarter takes 5 ms by rows and by columns, and each pass 5 in place of 12; of half of the rows
# it pays after three passes. Of dense 20,000 x 200 the copy of a quarter is measured in 0.9 ms, all rows in 1.4.
COPIED_PART = 0.25
# Bytes of the scores that are held together where the scores of all rows are not wanted themselves.
SCORE_BYTES = 8 << 20
# Bytes of the probabilities that are held together where those of all rows are not kept.
PROBABILITY_BYTES = 32 << 20


class Matrix:
    """X of shape (n, d) in one of its forms.

    Parameters
    ----------
    shape : tuple of int
        The number of rows n and of columns d.
    dtype : dtype
        The type of the entries.
    is_sparse : bool
        Whether a pass sums entries as they are, and centres the sums; dense rows are centred one by one.
    n_entries : int
        The number of entries that a pass reads.
    budget_bytes : int
        What a fit may take beside X follows from it: the bytes of X, or a part of them where X need not lie in memory.

    Attributes
    ----------
    shape, dtype, is_sparse, n_entries, budget_bytes
        The parameters.
    """

    # Some of the rows, and all columns, may be had without reading X anew.
    lies_in_memory = True
    _X: Any = None

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], is_sparse: bool, n_entries: int, budget_bytes: int
    ) -> None:
        n, d = shape
        self.shape, self.dtype, self.is_sparse = (n, d), dtype, is_sparse
        self.n_entries, self.budget_bytes = n_entries, budget_bytes
        self._transposed: dict[FloatType, Transposed] = {}
        # Folds in threads ask for a copy at once.
        self._lock = RLock()

    @property
    def X(self) -> Any:
        """The data, which can be asked for some of their rows; None where they need not lie in memory."""
        return self._X

    @property
    def row_bytes(self) -> int:
        """The mean of the bytes that a copy of a row takes: an entry of sparse rows has an index too."""
        bytes_an_entry = self.dtype.itemsize + (8 if self.is_sparse else 0)
        return -(-self.n_entries * bytes_an_entry // max(1, self.shape[0]))

    def gains_from_float32(self, n_rows_coef: int) -> bool:
        """Say whether passes are faster in float32, for K rows of coefficients; sparse entries are widened anyway."""
        return not self.is_sparse and self.n_entries * n_rows_coef >= MIN_FLOAT32_WORK

    def resolves_gram(self, shift: FloatArray) -> bool:
        """Say whether Gram matrices of columns with such shifts (d,) keep their digits."""
        return not self.is_sparse or bool(np.abs(shift).max(initial=0.0) <= MAX_GRAM_SHIFT)

    def count_gram_work(self) -> int:
        """Return the multiply-adds of a Gram matrix of the columns.

        Each sparse entry is multiplied with those of its row, which takes as long as four of dense rows.
        """
        n, d = self.shape
        return 4 * self.n_entries**2 // max(1, n) if self.is_sparse else n * (d + 1) ** 2

    def measure(self, weights: FloatArray | None = None) -> Columns:
        """Return the Columns, the statistics of the columns, with weights (n,) of the rows or None for ones.

        Non-finite values are reported in `Columns.finite`; they do not raise.
        """
        return Columns.from_moments(self.find_moments(weights))

    def find_moments(self, weights: FloatArray | None = None) -> Moments:
        """Return the Moments of the columns, with weights (n,) of the rows or None for ones."""
        raise NotImplementedError

    def compute_scores(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Return X coef' + intercept, of shape (n, K), in the type of coef (K, d)."""
        raise NotImplementedError

    def find_best_class(self, coef: FloatArray, intercept: FloatArray) -> IntArray:
        """Return the class of the largest of the scores of each row, (n,) int64; the scores of all rows are never held.

        Of equal scores the first class is best. With one row of coef, class 1 is best where the score is above 0.
        """
        best = np.empty(self.shape[0], np.int64)
        for part, scores in self._score_parts(coef, intercept):
            best[part] = scores[:, 0] > 0 if len(coef) == 1 else scores.argmax(axis=1)
        return best

    def sum_squared_scores(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Return the sum of the squares of the scores of each row, (n,) float32; those of all rows are never held."""
        squares = np.empty(self.shape[0], np.float32)
        for part, scores in self._score_parts(coef, intercept):
            with np.errstate(over="ignore"):
                np.einsum("ik,ik->i", scores, scores, out=squares[part], casting="same_kind")
        return squares

    def _score_parts(self, coef, intercept):
        """Yield slices of the rows, and the scores of each."""
        n, together = self.shape[0], max(1, SCORE_BYTES // (8 * len(coef)))
        for first in range(0, n, together):
            part = slice(first, min(first + together, n))
            yield part, self._score_part(part, coef, intercept)

    def _score_part(self, part, coef, intercept):
        return self.take(part).compute_scores(coef, intercept)

    def take(self, rows: IntArray | slice) -> Matrix:
        """Return the matrix of some rows: a slice, or row numbers in their order."""
        raise NotImplementedError

    def copies(self, n_rows: int) -> bool:
        """Say whether so few of the rows are copied before they are read."""
        return n_rows <= COPIED_PART * self.shape[0]

    def select(self, rows: IntArray) -> tuple[Matrix, IntArray]:
        """Return the matrix that passes over the given rows are made of, and their numbers in it."""
        return self, rows

    def parts(self) -> Iterator[tuple[str, Matrix]]:
        """Yield what the parts of X are called where something is wrong with them, and the matrix of each."""
        yield "X", self

    def transposed(self, precision: FloatType, features: IntArray | None = None) -> Transposed:
        """Return X column by column, in a copy that is made once for each precision.

        Parameters
        ----------
        precision : type
            The type, float64 or float32, of columns that are kept scaled and shifted.
        features : ndarray of int64 or None
            The columns that will be used, ascending. Others may be empty.

        Returns
        -------
        Transposed
        """
        with self._lock:
            if precision not in self._transposed:
                self._transposed[precision] = self._transpose(precision)
        return self._transposed[precision]

    def _transpose(self, precision):
        raise NotImplementedError

    def row_products(
        self, n_rows_coef: int, factors: FloatArray, allows_gram: bool
    ) -> DenseRowProducts | SparseRowProducts:
        """Return the products by the inner products of the rows, for K rows of coefficients and penalty factors (d,).

        allows_gram says whether the inner products of the rows may be kept, and lose no digits.
        """
        raise NotImplementedError

    def passes(self, samples: Samples, scaling: Scaling, n_rows_coef: int) -> Passes:
        """Return the Passes over Samples, whose columns enter by a Scaling in float64, for K rows of coefficients."""
        raise NotImplementedError


class Passes:
    """The sums over some rows that an objective is made of, each one pass over X.

    A row enters as x~ = x scale + shift. Sums are not divided by the total weight.

    Parameters
    ----------
    matrix : Matrix
        The data.
    samples : Samples
        The rows of the matrix that are meant, with labels and weights.
    scaling : Scaling
        How the columns enter, in float64.
    n_rows_coef : int
        K: 1 for two classes, else the number of classes.
    """

    def __init__(self, matrix: Matrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        n, d = matrix.shape
        self._matrix: Any = matrix
        self._samples, self._scaling = samples, scaling
        self._n_rows = len(samples.rows) or n
        self._shape = n_rows_coef, d + 1

    @property
    def lies_in_cache(self) -> bool:
        """Whether a pass reads a copy that lies in the second-level cache of a core."""
        return False

    @property
    def roundings(self) -> tuple[int, int]:
        """How many roundings a product of a row, and a sum over the rows, take one after the other, in float64."""
        raise NotImplementedError

    @property
    def shift_roundings(self) -> float | FloatArray:
        """How many roundings the shift of a column takes part in, relative to those of a product; or of each, (d,)."""
        raise NotImplementedError

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """Return sum s_i l_i, and fill gradient with its derivative by parameters.

        Parameters
        ----------
        parameters : ndarray of shape (K, d + 1), float64 or float32
            The coefficients, and the intercepts in the last column. Dense products are computed in their type, all
            others in float64. Sums over rows are float64.
        probabilities : ndarray of shape (K, m), float64 or float32, or None
            It takes the probabilities of the rows; None leaves them out.
        gradient : ndarray of shape (K, d + 1), float64
            It takes the derivative.

        Returns
        -------
        float
        """
        raise NotImplementedError

    def hessian_product(self, direction: FloatArray, probabilities: FloatArray) -> FloatArray:
        """Return the Hessian of sum s_i l_i at the probabilities (K, m) times direction (K, d + 1), in their type."""
        raise NotImplementedError

    def gram(self, rows: IntArray, row_weights: FloatArray, precision: FloatType) -> FloatArray:
        """Return sum over i of row_weights[c, i] [x~_i, 1] [x~_i, 1]', of shape (C, d + 1, d + 1).

        Parameters
        ----------
        rows : ndarray of shape (m,), int64
            The row numbers of X; without entries all rows.
        row_weights : ndarray of shape (C, m)
            Weights in the order of the rows.
        precision : type
            The type of the result, float64 or float32, and the narrowest that may be computed in.

        Returns
        -------
        ndarray of shape (C, d + 1, d + 1)
        """
        rows = rows if len(rows) else np.arange(self._matrix.shape[0])
        grams = np.empty((len(row_weights), self._shape[1], self._shape[1]), precision)
        for gram, weights in zip(grams, row_weights.astype(np.float64), strict=True):
            gram[:] = self._matrix.gram(rows, weights, self._scaling)
        return grams

    def class_pair_gram(self, probabilities: FloatArray) -> FloatArray:
        """Return the Hessian of sum s_i l_i at the probabilities (K, m), (K (d + 1), K (d + 1)), by classes."""
        K, size = self._shape
        hessian = np.empty((K * size, K * size))
        blocks = hessian.reshape(K, size, K, size)
        for k in range(K):
            weights = self.weigh() * probabilities[k]
            for other in range(k + 1):
                rest = 1 - probabilities[k] if other == k else -probabilities[other]
                (gram,) = self.gram(self.rows, (weights * rest)[None], np.float64)
                blocks[k, :, other], blocks[other, :, k] = gram, gram
        return hessian

    @property
    def rows(self) -> IntArray:
        """The numbers (m,) of the rows that are meant; without entries all rows of the matrix."""
        return self._samples.rows

    def weigh(self) -> FloatArray:
        """Return s_i of the rows that are meant, (m,), float64."""
        return self._samples.weigh()

    def sum_curvature(self, term: Callable[..., FloatArray], parameters: FloatArray, *arguments: Any) -> FloatArray:
        """Return the sum of ``term(passes, probabilities, *arguments)`` over passes that have some of the rows each.

        The probabilities (K, m) of the rows at parameters (K, d + 1) are computed anew, in the type of the parameters,
        so that those of all rows are never held. That takes a pass beside what the term takes.
        """

        def find(part):
            probabilities = np.empty((len(parameters), part._n_rows), parameters.dtype)
            part.evaluate(parameters, probabilities, np.empty(parameters.shape))
            return term(part, probabilities, *arguments)

        most_rows = max(1, PROBABILITY_BYTES // (parameters.itemsize * len(parameters)))
        return add(find(part) for part in self.split(most_rows))

    def split(self, most_rows: int) -> Iterator[Passes]:
        """Yield passes over the rows one after the other, no more than most_rows of them at a time."""
        if self._n_rows <= most_rows:
            # Without numbers a pass reads all rows, and those in their order faster.
            yield self
            return
        rows, labels, weights = self._samples
        for first in range(0, self._n_rows, most_rows):
            last = min(first + most_rows, self._n_rows)
            numbers = rows[first:last] if len(rows) else np.arange(first, last)
            yield self._matrix.passes(Samples(numbers, labels, weights), self._scaling, self._shape[0])


def add(sums: Iterable[FloatArray]) -> FloatArray:
    """Return the sum of arrays, of which the first is overwritten."""
    total = next(sums := iter(sums))
    for each in sums:
        total += each
    return total
