"""What every form of X answers, stated once: the matrix, its columns, and the passes that an objective is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import RLock
from typing import Any, NamedTuple, TypeVar

import numpy as np

from fastlin.kernels.linear.operands import NO_DOUBLE, NO_ROWS, Samples
from fastlin.kernels.machine.threads import MAX_BLOCKS
from fastlin.kernels.machine.tiles import Scaling
from fastlin.typing import Array, FloatArray, FloatType, IntArray

# Below this many multiply-adds a pass takes less than the rest of an iteration, and float64 is as fast.
MIN_FLOAT32_WORK = 20_000_000
# No more rows than this part of X are copied, rather than read among the others. Of text, 20,000 x 20,000 with 20
# classes, the copy of a quarter takes 5 ms by rows and by columns, and each pass 5 in place of 12; of half of the rows
# it pays after three passes. Of dense 20,000 x 200 the copy of a quarter is measured in 0.9 ms, all rows in 1.4.
COPIED_PART = 0.25
# Bytes of the scores that are held together where the scores of all rows are not wanted themselves.
SCORE_BYTES = 8 << 20
# Bytes of the probabilities that are held together where those of all rows are not kept.
PROBABILITY_BYTES = 32 << 20

Sum = TypeVar("Sum")


class Columns(NamedTuple):
    """Statistics of the columns of X, weighted by s: arrays of shape (d,), float64.

    Attributes
    ----------
    mean : ndarray of shape (d,)
        The means, rounded.
    remainder : ndarray of shape (d,)
        What the means lost when they were rounded, which counts where a column varies by little beside its mean.
    variance : ndarray of shape (d,)
        The variances. That of a column is zero where all rows of weight above zero have the same number, and where
        the squares of its distances leave the range of float64.
    smallest, largest : ndarray of shape (d,)
        The extremes over all rows, whatever their weights.
    """

    mean: np.ndarray
    remainder: np.ndarray
    variance: np.ndarray
    smallest: np.ndarray
    largest: np.ndarray

    @property
    def spread(self) -> FloatArray:
        """The weighted standard deviations; zero where a column is constant."""
        with np.errstate(over="ignore", invalid="ignore"):
            spread = np.sqrt(self.variance)
            # Squares of numbers beyond 1e+-150 leave the range of float64.
            if not (spread.min(initial=np.inf) > 1e-150 and spread.max(initial=0.0) < np.inf):
                half = 0.5 * self.largest - 0.5 * self.smallest
                spread = np.where(~np.isfinite(spread) | ((spread <= 1e-150) & (half < 1e-140)), half, spread)
        return spread

    @property
    def magnitude(self) -> FloatArray:
        """The largest magnitudes over all rows."""
        return np.maximum(np.abs(self.smallest), np.abs(self.largest))

    @property
    def farthest(self) -> FloatArray:
        """The largest distances of an entry from the mean, over all rows."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.maximum(self.mean - self.smallest, self.largest - self.mean)

    @property
    def finite(self) -> bool:
        """Whether X holds finite numbers only."""
        return bool(self.magnitude.max(initial=0.0) < np.inf)

    def choose_coordinates(self) -> tuple[FloatArray, FloatArray]:
        """Return scale and shift (d,) for which x scale + shift has a spread near one and a mean of zero.

        The scale is a power of two, so that it rounds nothing.
        """
        spread = self.spread
        exponents = -np.log2(spread, where=spread > 0, out=np.zeros_like(spread))
        scale = 2.0 ** np.clip(np.round(exponents), -1000, 1000)
        return scale, -self.mean * scale


def merge_columns(totals: FloatArray, moments: Sequence[Columns]) -> Columns:
    """Return the Columns of several blocks of rows from those of each.

    Parameters
    ----------
    totals : ndarray of shape (B,)
        The weight of each block, of which some is above zero.
    moments : sequence of B Columns
        Those of a block without weight tell its smallest and largest entries.
    """
    mean, remainder, variance, smallest, largest = (np.array(each) for each in zip(*moments, strict=True))
    shares = (totals / totals.sum())[:, None]
    counts = totals > 0
    with np.errstate(over="ignore", invalid="ignore"):
        # From the mean of the heaviest block, so that blocks of one number leave exactly this and no variance.
        origin = mean[np.argmax(totals)]
        distances, shares = (mean - origin + remainder)[counts], shares[counts]
        shift = np.add.reduce(shares * distances)
        # Chan, Golub and LeVeque 1979: the variances, and that of the means.
        variance = np.add.reduce(shares * (variance[counts] + (distances - shift) ** 2))
        return Columns(*add_exactly(origin, shift), variance, smallest.min(axis=0), largest.max(axis=0))


def add_exactly(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a + b and what it lost when it was rounded (Knuth 1969, section 4.2.2)."""
    total = a + b
    own = total - a
    return total, (a - (total - own)) + (b - own)


@dataclass(frozen=True, eq=False)
class Transposed:
    """X column by column: column j holds scale_j x_j + shift_j of all rows, whole or as entries.

    Attributes
    ----------
    panel : ndarray of shape (m, n)
        The columns that are kept whole.
    places : ndarray of shape (d,), int64
        Where column j stands in panel; -1 for one that is kept as entries.
    starts, indices, values : ndarray
        The entries of column j are those from starts[j] to starts[j + 1]; each has a row of its own.
    scale, shift : ndarray of shape (d,), float64
        How the columns are scaled and shifted; the shift of a column that is kept as entries is zero.
    """

    panel: np.ndarray
    places: np.ndarray
    starts: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    scale: np.ndarray
    shift: np.ndarray


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
        raise NotImplementedError

    def compute_scores(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Return X coef' + intercept, of shape (n, K), in the type of coef (K, d)."""
        scores = np.empty((self.shape[0], len(coef)), coef.dtype)
        self.score(coef, intercept, scores, NO_ROWS)
        return scores

    def find_best_class(self, coef: FloatArray, intercept: FloatArray) -> IntArray:
        """Return the class of the largest of the scores of each row, (n,) int64; the scores of all rows are never held.

        Of equal scores the first class is best. With one row of coef, class 1 is best where the score is above 0.
        """
        best = np.empty(self.shape[0], np.int64)
        self.score(coef, intercept, np.empty((0, len(coef)), coef.dtype), best)
        return best

    def score(self, coef: FloatArray, intercept: FloatArray, scores: FloatArray, best: IntArray) -> None:
        """Fill scores (n, K) and best (n,), either of which may have no rows, in one pass."""
        raise NotImplementedError

    def sum_squared_scores(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Return the sum of the squares of the scores of each row, (n,) float32; those of all rows are never held."""
        n, together = self.shape[0], max(1, SCORE_BYTES // (8 * len(coef)))
        squares = np.empty(n, np.float32)
        for first in range(0, n, together):
            part = slice(first, min(first + together, n))
            scores = self.take(part).compute_scores(coef, intercept)
            with np.errstate(over="ignore"):
                np.einsum("ik,ik->i", scores, scores, out=squares[part], casting="same_kind")
        return squares

    def take(self, rows: IntArray | slice) -> Matrix:
        """Return the matrix of some rows: a slice, or row numbers in their order."""
        raise NotImplementedError

    def densify(self, rows: IntArray | slice) -> Array:
        """Return some rows as a dense array (m, d), of a type of NumPy's."""
        raise NotImplementedError

    def copies(self, rows: IntArray) -> bool:
        """Say whether some of the rows, of which there are few, are copied before they are read."""
        return 0 < len(rows) <= COPIED_PART * self.shape[0]

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

    def row_products(self, n_rows_coef: int, factors: FloatArray, allows_gram: bool) -> Any:
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

    Attributes
    ----------
    samples
        The parameter.
    shape : tuple of int
        The shape (K, d + 1) of parameters and sums.
    lies_in_cache : bool
        Whether a pass reads a copy that lies in the second-level cache of a core.
    longest_product, longest_sum : int
        No term of the score of a row, or of a sum over the rows, goes through more roundings one after the other, in
        float64.
    shift_roundings : float or ndarray of shape (d,)
        How many roundings the shift of a column takes part in, relative to those of a product: none where its entries
        are centred before anything else, else that of an entry and those of a sum over the columns.
    """

    lies_in_cache = False
    shift_roundings: float | FloatArray = 0.0

    def __init__(self, matrix: Matrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        n, d = matrix.shape
        self._matrix: Any = matrix
        self.samples, self._scaling = samples, scaling
        self._n_rows = len(samples.rows) or n
        self.shape = n_rows_coef, d + 1
        # In any order: the products, the intercept and its parts; the rows of a block and the blocks.
        self.longest_product, self.longest_sum = d + 4, self._n_rows + MAX_BLOCKS

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

    def without_offsets(self) -> Passes:
        """Return the passes over the same rows as if they had no offsets."""
        if not len(self.samples.offsets):
            return self
        return self._matrix.passes(self.samples._replace(offsets=NO_DOUBLE), self._scaling, self.shape[0])

    def hessian_product(self, direction: FloatArray, probabilities: FloatArray) -> FloatArray:
        """Return the Hessian of sum s_i l_i at the probabilities (K, m) times direction (K, d + 1), in their type."""
        raise NotImplementedError

    def compute_scores(self, directions: FloatArray) -> FloatArray:
        """Return the products of the rows with directions (C, d + 1) in the space of parameters, (m, C), float64."""
        return np.concatenate([scores for _, scores in self.score_parts(directions.astype(np.float64))])

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
        grams = np.empty((len(row_weights), self.shape[1], self.shape[1]), precision)
        for gram, weights in zip(grams, row_weights.astype(np.float64), strict=True):
            gram[:] = self._matrix.gram(rows, weights, self._scaling)
        return grams

    def class_pair_gram(self, probabilities: FloatArray) -> FloatArray:
        """Return the Hessian of sum s_i l_i at the probabilities (K, m), (K (d + 1), K (d + 1)), by classes."""
        K, size = self.shape
        hessian = np.empty((K * size, K * size))
        blocks = hessian.reshape(K, size, K, size)
        # One call of `gram` for each pair would take a third longer where rows are few.
        all_rows, all_weights = self.samples.rows, self.samples.weigh()
        rows = all_rows if len(all_rows) else np.arange(self._matrix.shape[0])
        for k in range(K):
            weights = all_weights * probabilities[k]
            for other in range(k + 1):
                rest = 1 - probabilities[k] if other == k else -probabilities[other]
                gram = self._matrix.gram(rows, weights * rest, self._scaling)
                blocks[k, :, other], blocks[other, :, k] = gram, gram
        return hessian

    def sum_curvature(self, term: Callable[..., Sum], parameters: FloatArray, *arguments: Any) -> Sum:
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

    def read_rows(self) -> FloatArray:
        """Return the rows [x~, 1], dense, (m, d + 1), float64."""
        rows, (scale, shift) = self.samples.rows, self._scaling
        X = self._matrix.densify(rows if len(rows) else slice(None))
        read = np.ones((len(X), X.shape[1] + 1))
        np.multiply(X, scale, out=read[:, :-1])
        read[:, :-1] += shift
        return read

    def find_ranges(self) -> tuple[FloatArray, FloatArray]:
        """Return the smallest and the largest number of each column of the rows, as they are: (d,) and (d,)."""
        rows = self.samples.rows
        columns = (self._matrix.take(rows) if len(rows) else self._matrix).measure()
        return columns.smallest, columns.largest

    def take(self, places: IntArray) -> Passes:
        """Return passes over some of the rows, by their places among these, ascending."""
        rows = self.samples.rows
        samples = self.samples._replace(rows=rows[places] if len(rows) else places)
        return self._matrix.passes(samples, self._scaling, self.shape[0])

    def score_parts(self, parameters: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
        """Yield places of some rows of the passes after the other, and their scores (m, M) at parameters (M, d + 1).

        M need not be the number of rows of coefficients.
        """
        rows, (scale, shift) = self.samples.rows, self._scaling
        coef = parameters[:, :-1] * scale
        intercept = parameters[:, -1] + np.einsum("kj,j->k", parameters[:, :-1], shift)
        together = max(1, SCORE_BYTES // (8 * len(parameters)))
        for first in range(0, self._n_rows, together):
            part = slice(first, min(first + together, self._n_rows))
            yield part, self._matrix.take(rows[part] if len(rows) else part).compute_scores(coef, intercept)

    def split(self, most_rows: int) -> Iterator[Passes]:
        """Yield passes over the rows one after the other, no more than most_rows of them at a time."""
        if self._n_rows <= most_rows:
            # Without numbers a pass reads all rows, and those in their order faster.
            yield self
            return
        rows = self.samples.rows
        for first in range(0, self._n_rows, most_rows):
            last = min(first + most_rows, self._n_rows)
            numbers = rows[first:last] if len(rows) else np.arange(first, last)
            yield self._matrix.passes(self.samples._replace(rows=numbers), self._scaling, self.shape[0])


def add(sums: Iterable[Sum]) -> Sum:
    """Return the sum of arrays, or of what else takes in others by +=, of which the first is overwritten."""
    total: Any = next(sums := iter(sums))
    for each in sums:
        total += each
    return total
