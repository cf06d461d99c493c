"""What every form of X answers, stated once: the matrix, its columns, and the passes that an objective is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import RLock
from typing import Any, NamedTuple, TypeVar

import numpy as np

from fastlin.kernels.linear.operands import NO_DOUBLE, NO_ROWS, Curvature, Kept, Losses, ProblemBatch, Samples
from fastlin.kernels.machine.threads import MAX_BLOCKS, add_blocks
from fastlin.kernels.machine.tiles import Scaling
from fastlin.typing import Array, FloatArray, FloatType, IntArray

# Below this many multiply-adds a pass takes less than the rest of an iteration, and float64 is as fast.
MIN_FLOAT32_WORK = 20_000_000
# No more rows than this part of X are copied, rather than read among the others. Of text, 20,000 x 20,000 with 20
# classes, the copy of a quarter takes 5 ms by rows and by columns, and each pass 5 in place of 12; of half of the rows
# it pays after three passes. Of dense 20,000 x 200 the copy of a quarter is measured in 0.9 ms, all rows in 1.4.
COPIED_PART = 0.25
# Bytes of rows and their scores that are held together where the scores of all rows are not wanted themselves.
SCORE_BYTES = 8 << 20
# Bytes of probabilities held at a time if the probabilities of all rows are not kept.
PROBABILITY_BYTES = 32 << 20

Sum = TypeVar("Sum")


class Columns(NamedTuple):
    """Statistics of the columns of X, weighted by s: arrays of shape (d,), float64."""

    mean: np.ndarray
    # What rounding took from the means. It counts where a column's spread is small relative to its mean.
    remainder: np.ndarray
    # Zero where all rows of weight above zero have one number, and where the squares leave the range of float64.
    variance: np.ndarray
    smallest: np.ndarray  # over all rows, whatever their weights, as is `largest`
    largest: np.ndarray

    @property
    def standard_deviation(self) -> FloatArray:
        """The weighted standard deviations; zero where a column is constant."""
        with np.errstate(over="ignore", invalid="ignore"):
            standard_deviation = np.sqrt(self.variance)
            # Squares of numbers beyond 1e+-150 leave the range of float64.
            if not (standard_deviation.min(initial=np.inf) > 1e-150 and standard_deviation.max(initial=0.0) < np.inf):
                half = 0.5 * self.largest - 0.5 * self.smallest
                standard_deviation = np.where(
                    ~np.isfinite(standard_deviation) | ((standard_deviation <= 1e-150) & (half < 1e-140)),
                    half,
                    standard_deviation,
                )
        return standard_deviation

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
        """Return scale, a power of two, and shift (d,): x scale + shift has mean zero and a spread near one."""
        standard_deviation = self.standard_deviation
        exponents = -np.log2(standard_deviation, where=standard_deviation > 0, out=np.zeros_like(standard_deviation))
        scale = 2.0 ** np.clip(np.round(exponents), -1000, 1000)
        return scale, -self.mean * scale


def merge_columns(totals: FloatArray, moments: Sequence[Columns]) -> Columns:
    """Return the Columns of several blocks of rows from their weights (B,), some above zero, and their Columns."""
    mean, remainder, variance, smallest, largest = (np.array(each) for each in zip(*moments, strict=True))
    fractions = (totals / totals.sum())[:, None]
    counts = totals > 0
    with np.errstate(over="ignore", invalid="ignore"):
        # From the mean of the heaviest block, so that blocks of one number leave exactly this and no variance.
        origin = mean[np.argmax(totals)]
        distances, fractions = (mean - origin + remainder)[counts], fractions[counts]
        shift = np.add.reduce(fractions * distances)
        # Chan, Golub and LeVeque 1979: the variances within, and the variance of the means.
        variance = np.add.reduce(fractions * (variance[counts] + (distances - shift) ** 2))
        return Columns(*add_exactly(origin, shift), variance, smallest.min(axis=0), largest.max(axis=0))


def add_exactly(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a + b and what it lost when it was rounded (Knuth 1969, section 4.2.2)."""
    total = a + b
    own = total - a
    return total, (a - (total - own)) + (b - own)


@dataclass(frozen=True, eq=False)
class Transposed:
    """X column by column: column j holds scale_j x_j + shift_j of all rows, whole or as entries."""

    panel: np.ndarray  # (m, n), the columns that are kept whole
    positions: np.ndarray  # (d,) int64, the place of column j in panel; -1 where it is kept as entries
    starts: np.ndarray  # The entries of column j are those from starts[j] to starts[j + 1].
    indices: np.ndarray  # the row of each entry
    values: np.ndarray
    scale: np.ndarray  # (d,) float64
    shift: np.ndarray  # (d,) float64, zero for a column that is kept as entries


class Matrix:
    """X of shape (n, d) in one of its forms; a pass reads `n_entries` entries.

    Passes over sparse X sum entries as they are and center the sums; dense rows are centered one by one. A fit's budget
    in addition to X follows from `budget_bytes`: the bytes of X, or a part of them if X need not lie in memory.
    """

    # Some of the rows, and all columns, may be had without reading X again.
    lies_in_memory = True
    # Passes can fill the probabilities of the rows.
    keeps_probabilities = True
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

    @cached_property
    def longest_row(self) -> int:
        """The most entries of a row that a pass multiplies."""
        return self.shape[1]

    @property
    def shift_roundings(self) -> float:
        """`Passes.shift_roundings` of columns whose entries are not centered first: the shifts of all are one sum.

        They are two at least, as those of a slope are.
        """
        return max(2.0, 1 + (self.shape[1] + 1) / (self.longest_row + 4))

    @property
    def row_bytes(self) -> int:
        """The mean of the bytes that a copy of a row takes: an entry of sparse rows has an index too."""
        bytes_an_entry = self.dtype.itemsize + (8 if self.is_sparse else 0)
        return -(-self.n_entries * bytes_an_entry // max(1, self.shape[0]))

    def gains_from_float32(self, n_rows_coef: int) -> bool:
        """Say whether passes are faster in float32, for K rows of coefficients; sparse entries are widened anyway."""
        return not self.is_sparse and self.n_entries * n_rows_coef >= MIN_FLOAT32_WORK

    def count_gram_work(self) -> int:
        """Return the multiply-adds of a Gram matrix of the columns; a product of two sparse entries counts as four."""
        n, d = self.shape
        return 4 * self.n_entries**2 // max(1, n) if self.is_sparse else n * (d + 1) ** 2

    def measure(self, weights: FloatArray | None = None) -> Columns:
        """Return the Columns with weights (n,) of the rows, None for ones; non-finite values do not raise."""
        raise NotImplementedError

    def compute_scores(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Return X coef' + intercept, of shape (n, K), in the type of coef (K, d)."""
        scores = np.empty((self.shape[0], len(coef)), coef.dtype)
        self.score(coef, intercept, scores, NO_ROWS)
        return scores

    def find_best_class(self, coef: FloatArray, intercept: FloatArray) -> IntArray:
        """Return the first class of the largest score of each row, (n,); with one row of coef, 1 above 0."""
        best = np.empty(self.shape[0], np.int64)
        self.score(coef, intercept, np.empty((0, len(coef)), coef.dtype), best)
        return best

    def score(self, coef: FloatArray, intercept: FloatArray, scores: FloatArray, best: IntArray) -> None:
        """Fill scores (n, K) and best (n,), either of which may have no rows, in one pass."""
        raise NotImplementedError

    def take(self, rows: IntArray | slice) -> Matrix:
        """Return the matrix of some rows: a slice, or row numbers in their order."""
        raise NotImplementedError

    def densify(self, rows: IntArray | slice) -> Array:
        """Return some rows as a dense array (m, d), of a type of NumPy's."""
        raise NotImplementedError

    def copies(self, rows: IntArray) -> bool:
        """Say whether some of the rows, of which there are few, are copied before they are read."""
        return 0 < len(rows) <= COPIED_PART * self.shape[0]

    def extracts(self, rows: IntArray) -> bool:
        """Say whether passes over some of the rows are made of the matrix that `take` returns, not of this one."""
        return not self.lies_in_memory

    def parts(self) -> Iterator[tuple[str, Matrix]]:
        """Yield the name of each part of X for error messages, and its matrix."""
        yield "X", self

    def transposed(self, precision: FloatType, features: IntArray | None = None) -> Transposed:
        """Return X column by column, a copy for each precision; columns outside of ``features`` may be empty."""
        with self._lock:
            if precision not in self._transposed:
                self._transposed[precision] = self._transpose(precision)
        return self._transposed[precision]

    def _transpose(self, precision):
        raise NotImplementedError

    def row_products(self, n_rows_coef: int, factors: FloatArray, allows_gram: bool) -> Any:
        """Return the products by the inner products of the rows; allows_gram says that these fit and lose no digits."""
        raise NotImplementedError

    def passes(self, samples: Samples, scaling: Scaling, n_rows_coef: int) -> Passes:
        """Return the Passes over Samples, whose columns enter by a Scaling in float64, for K rows of coefficients."""
        raise NotImplementedError


class Passes:
    """The sums over some rows that an objective is made of, each one pass over X; they are not divided by the weight.

    A row enters as x~ = x scale + shift, with a Scaling in float64. Parameters and sums have the shape (K, d + 1); K is
    1 for two classes, else the number of classes. `lies_in_cache` says that a pass reads a copy in the second-level
    cache of a core. `shift_roundings`, a number or (d,), counts the roundings of a column's shift relative to those of
    a product, none where entries are centered first. `gram_lengths`, a number or (d,), are the lengths of columns as
    they enter a Gram matrix, relative to centered ones.
    """

    _n_blocks: int  # Rows are cut into so many, each with a loss of its own.
    lies_in_cache = False
    shift_roundings: float | FloatArray = 0.0
    gram_lengths: float | FloatArray = 1.0

    def __init__(self, matrix: Matrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        n, d = matrix.shape
        self._matrix: Any = matrix
        self.samples, self._scaling = samples, scaling
        # What a pass reads, where that is a copy of the rows.
        self._read = samples
        self._n_rows = len(samples.rows) or n
        self.shape = n_rows_coef, d + 1

    @property
    def longest_row(self) -> int:
        """The most additions that a product of a row goes through, but for its intercept."""
        return self._matrix.longest_row

    @property
    def longest_sum(self) -> int:
        """The most additions that a term of a sum over the rows goes through, in any order."""
        return self._n_rows + MAX_BLOCKS

    def measure_error_weights(self, sizes: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return how much a unit of each column's parameter perturbs a score, and one of the residuals a slope, (d,) each.

        sizes (d,) are those of the columns as they enter. Where shifts are added later, the entries of a slope may be
        larger by the shift, and the shift times the sum of the residuals is added: two shifts, and no more.
        """
        shifts = np.abs(self._scaling.shift)
        return sizes + self.shift_roundings * shifts, sizes + 2.0 * np.sign(self.shift_roundings) * shifts

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """Return sum s_i l_i; fill gradient (K, d + 1), float64, and probabilities (K, m), unless they are None.

        The last column of parameters (K, d + 1), float64 or float32, holds the intercepts. Dense products are computed
        in their type, all others in float64; sums over rows are float64.
        """
        losses = Losses(self._read, np.empty(self._n_blocks), Kept.of(probabilities))
        self._run(parameters, gradient, losses, None)
        return float(np.add.reduce(losses.values))

    def evaluate_batch(
        self, parameters: FloatArray, labels: Array, weights: FloatArray, gradients: FloatArray
    ) -> FloatArray:
        """Return sum s_i l_i and sum s_i p_ik p_il of pairs of classes, of B problems over all rows, (1 + pairs, B).

        gradients (B k, d + 1) are filled, of the k rows of coefficients of each problem. B k is no more than K; k is
        one for sparse rows. labels (B, n) are uint8; weights (B, n) without entries are ones. The bits of a problem
        depend neither on the others nor on B.
        """
        batch = ProblemBatch.over(labels, weights, self.samples.offsets, len(parameters) // len(labels), self._n_blocks)
        self._run(parameters, gradients, None, None, batch)
        return add_blocks(batch.values.swapaxes(0, 1))

    def without_offsets(self) -> Passes:
        """Return the passes over the same rows as if they had no offsets."""
        if not len(self.samples.offsets):
            return self
        return self._matrix.passes(self.samples._replace(offsets=NO_DOUBLE), self._scaling, self.shape[0])

    def hessian_product(self, direction: FloatArray, probabilities: FloatArray) -> FloatArray:
        """Return the Hessian of sum s_i l_i at the probabilities (K, m) times direction (K, d + 1), in their type."""
        precision = probabilities.dtype.type
        curvature = Curvature(self._read.weigh().astype(precision, copy=False), probabilities)
        return self._run(direction.astype(precision, copy=False), np.empty(self.shape), None, curvature)

    def _run(self, parameters, total, losses, curvature, batch=None):
        """Fill and return total (K, d + 1), the sums of a pass by Losses, a Curvature or a Batch."""
        raise NotImplementedError

    def compute_scores(self, directions: FloatArray) -> FloatArray:
        """Return the products of the rows with directions (C, d + 1) in the space of parameters, (m, C), float64."""
        return np.concatenate([scores for _, scores in self.score_parts(directions.astype(np.float64))])

    def gram(self, rows: IntArray, row_weights: FloatArray, precision: FloatType) -> FloatArray:
        """Return sum over i of row_weights[c, i] [x~_i, 1] [x~_i, 1]', of shape (C, d + 1, d + 1), in ``precision``.

        rows (m,), int64, are row numbers of X, none for all. row_weights (C, m) stand in their order.
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

        The probabilities (K, m) at parameters (K, d + 1) are computed again, which takes one more pass.
        """

        def find(part):
            probabilities = np.empty((len(parameters), part._n_rows), parameters.dtype)
            part.evaluate(parameters, probabilities, np.empty(parameters.shape))
            return term(part, probabilities, *arguments)

        max_rows = max(1, PROBABILITY_BYTES // (parameters.itemsize * len(parameters)))
        return add(find(part) for part in self.split(max_rows))

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

    def take(self, positions: IntArray) -> Passes:
        """Return passes over some of the rows, by their places among these, ascending."""
        rows = self.samples.rows
        samples = self.samples._replace(rows=rows[positions] if len(rows) else positions)
        return self._matrix.passes(samples, self._scaling, self.shape[0])

    def score_parts(self, parameters: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
        """Yield slices of the passes' rows and their scores (m, M) at parameters (M, d + 1), for any M, in order."""
        rows, (scale, shift) = self.samples.rows, self._scaling
        coef = parameters[:, :-1] * scale
        intercept = parameters[:, -1] + np.einsum("kj,j->k", parameters[:, :-1], shift)
        together = max(1, SCORE_BYTES // (8 * len(parameters) + self._matrix.row_bytes))
        for first in range(0, self._n_rows, together):
            part = slice(first, min(first + together, self._n_rows))
            yield part, self._matrix.take(rows[part] if len(rows) else part).compute_scores(coef, intercept)

    def split(self, max_rows: int) -> Iterator[Passes]:
        """Yield passes over the rows one after the other, no more than max_rows of them at a time."""
        if self._n_rows <= max_rows:
            # Without numbers a pass reads all rows, and those in their order faster.
            yield self
            return
        rows = self.samples.rows
        for first in range(0, self._n_rows, max_rows):
            last = min(first + max_rows, self._n_rows)
            numbers = rows[first:last] if len(rows) else np.arange(first, last)
            yield self._matrix.passes(self.samples._replace(rows=numbers), self._scaling, self.shape[0])


def add(sums: Iterable[Sum]) -> Sum:
    """Return the sum of arrays, or of other objects with +=; the first is overwritten."""
    total: Any = next(sums := iter(sums))
    for each in sums:
        total += each
    return total
