"""The interface that every format of X implements: `Matrix`, `ColumnStatistics` and the `Passes` over rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import RLock
from typing import Any, NamedTuple, TypeVar

import numpy as np

from fastlin.kernels.linear.operands import (
    EMPTY_FLOAT64_MATRIX,
    NO_ROWS,
    Curvature,
    Losses,
    ProbabilityOutput,
    ProblemBatchArrays,
    Samples,
)
from fastlin.kernels.machine.threads import MAX_BLOCKS, sum_blocks
from fastlin.kernels.machine.tiles import Scaling
from fastlin.typing import Array, FloatArray, FloatType, IntArray

# A pass with fewer multiply-adds takes less time than the rest of an iteration, so float32 would save little.
MIN_FLOAT32_MULTIPLY_ADDS = 20_000_000
# A subset of the rows is copied before it is read, unless it is a larger fraction of X. Copying a quarter of the rows
# pays off within one pass; copying half of them pays off only after several passes (docs/benchmarks/design-choices.md:
# copied rows).
MAX_COPIED_ROW_FRACTION = 0.25
# The number of bytes of rows and scores per step of a loop that does not need all scores at once.
SCORE_BATCH_BYTES = 8 << 20
# The number of bytes of probabilities per step of a loop that does not store all probabilities.
PROBABILITY_BATCH_BYTES = 32 << 20

Sum = TypeVar("Sum")


class ColumnStatistics(NamedTuple):
    """Weighted statistics of the columns of X, as float64 arrays of shape (d,)."""

    mean: np.ndarray
    # The rounding error of the means. It matters if the standard deviation of a column is small relative to the mean.
    remainder: np.ndarray
    # The variance is zero if all rows of positive weight have the same value or if the squares underflow. It is
    # infinite if the squares overflow.
    variance: np.ndarray
    smallest: np.ndarray  # over all rows, including rows of weight zero, like `largest`
    largest: np.ndarray

    @property
    def standard_deviation(self) -> FloatArray:
        """The weighted standard deviations; zero for constant columns."""
        with np.errstate(over="ignore", invalid="ignore"):
            standard_deviation = np.sqrt(self.variance)
            # Squares of values beyond 1e+-150 overflow or underflow.
            if not (standard_deviation.min(initial=np.inf) > 1e-150 and standard_deviation.max(initial=0.0) < np.inf):
                half = 0.5 * self.largest - 0.5 * self.smallest
                standard_deviation = np.where(
                    ~np.isfinite(standard_deviation) | ((standard_deviation <= 1e-150) & (half < 1e-140)),
                    half,
                    standard_deviation,
                )
        return standard_deviation

    @property
    def largest_magnitudes(self) -> FloatArray:
        """The largest magnitudes over all rows."""
        return np.maximum(np.abs(self.smallest), np.abs(self.largest))

    @property
    def largest_deviations(self) -> FloatArray:
        """The largest absolute deviations from the mean, over all rows."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.maximum(self.mean - self.smallest, self.largest - self.mean)

    @property
    def is_finite(self) -> bool:
        """Whether all values of X are finite."""
        return bool(self.largest_magnitudes.max(initial=0.0) < np.inf)

    def choose_coordinates(self) -> tuple[FloatArray, FloatArray]:
        """Return scale and shift, of shape (d,) each.

        Scales are powers of two. The columns x scale + shift have mean 0 and a standard deviation near 1.
        """
        standard_deviation = self.standard_deviation
        scale_exponents = -np.log2(
            standard_deviation, where=standard_deviation > 0, out=np.zeros_like(standard_deviation)
        )
        scale = 2.0 ** np.clip(np.round(scale_exponents), -1000, 1000)
        return scale, -self.mean * scale


def merge_column_statistics(totals: FloatArray, moments: Sequence[ColumnStatistics]) -> ColumnStatistics:
    """Return the column statistics of all rows.

    `moments` contains the statistics of B blocks, and `totals` (B,) their total weights, which must not all be zero.
    """
    mean, remainder, variance, smallest, largest = (np.array(values) for values in zip(*moments, strict=True))
    fractions = (totals / totals.sum())[:, None]
    has_weight = totals > 0
    with np.errstate(over="ignore", invalid="ignore"):
        # Sums are relative to the mean of the block with the largest weight, so a constant column has its exact mean
        # and zero variance.
        origin = mean[np.argmax(totals)]
        mean_distances, fractions = (mean - origin + remainder)[has_weight], fractions[has_weight]
        shift = np.add.reduce(fractions * mean_distances)
        # Chan, Golub and LeVeque 1979: the variances within blocks plus the variance of the means.
        variance = np.add.reduce(fractions * (variance[has_weight] + (mean_distances - shift) ** 2))
        return ColumnStatistics(*add_exactly(origin, shift), variance, smallest.min(axis=0), largest.max(axis=0))


def add_exactly(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a + b and its rounding error (Knuth 1969, section 4.2.2)."""
    total = a + b
    rounded_b = total - a
    return total, (a - (total - rounded_b)) + (b - rounded_b)


@dataclass(frozen=True, eq=False)
class ColumnwiseCopy:
    """A column-wise copy of X: column j is scale_j x_j + shift_j, stored either densely or as its nonzero entries."""

    panel: np.ndarray  # (m, n), the dense columns
    positions: np.ndarray  # (d,) int64, the row of panel that contains column j; -1 for a column stored as entries
    starts: np.ndarray  # (d + 1,); column j has the entries starts[j] to starts[j + 1] - 1
    indices: np.ndarray  # the row index of each entry
    values: np.ndarray
    scale: np.ndarray  # (d,) float64
    shift: np.ndarray  # (d,) float64, zero for a column that is stored as entries


class Matrix:
    """X of shape (n, d) in a specific format; a pass reads `n_entries` entries.

    Passes over sparse X sum the raw entries and then center the sums. Passes over dense X center each row.
    `budget_bytes` determines the memory that a fit may use in addition to X. It is the size of X in bytes, or a
    fraction of that if X need not be in memory.
    """

    # Whether subsets of the rows, and all columns, are available without reading X again.
    lies_in_memory = True
    # Whether passes can return the probabilities.
    stores_probabilities = True
    _X: Any = None

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], is_sparse: bool, n_entries: int, budget_bytes: int
    ) -> None:
        n, d = shape
        self.shape, self.dtype, self.is_sparse = (n, d), dtype, is_sparse
        self.n_entries, self.budget_bytes = n_entries, budget_bytes
        self._columnwise_copies: dict[FloatType, ColumnwiseCopy] = {}
        # Cross-validation folds in several threads may request a copy at the same time.
        self._lock = RLock()

    @property
    def X(self) -> Any:
        """The data, which can be indexed by rows, or None if the data need not be in memory."""
        return self._X

    @cached_property
    def longest_row(self) -> int:
        """The largest number of entries per row that a pass multiplies."""
        return self.shape[1]

    @property
    def relative_shift_errors(self) -> float:
        """The value of `Passes.relative_shift_errors` for columns whose shifts are added as one sum.

        The value is at least two, which is the value for the derivative with respect to a coefficient.
        """
        return max(2.0, 1 + (self.shape[1] + 1) / (self.longest_row + 4))

    @property
    def row_bytes(self) -> int:
        """The mean number of bytes per row of a copy, including the indices of sparse entries."""
        bytes_per_entry = self.dtype.itemsize + (8 if self.is_sparse else 0)
        return -(-self.n_entries * bytes_per_entry // max(1, self.shape[0]))

    def is_faster_in_float32(self, n_rows_coef: int) -> bool:
        """Return whether passes with K rows of coefficients are faster in float32. Sparse passes are never faster."""
        return not self.is_sparse and self.n_entries * n_rows_coef >= MIN_FLOAT32_MULTIPLY_ADDS

    def count_gram_work(self) -> int:
        """Return the multiply-adds of a Gram matrix of the columns. A product of two sparse entries counts as four."""
        n, d = self.shape
        return 4 * self.n_entries**2 // max(1, n) if self.is_sparse else n * (d + 1) ** 2

    def measure(self, weights: FloatArray | None = None) -> ColumnStatistics:
        """Return the column statistics for row weights (n,); None means all ones.

        Non-finite values do not raise an error.
        """
        raise NotImplementedError

    def compute_scores(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Return the scores X coef' + intercept (n, K), in the type of `coef` (K, d)."""
        scores = np.empty((self.shape[0], len(coef)), coef.dtype)
        self.score(coef, intercept, scores, NO_ROWS)
        return scores

    def find_best_class(self, coef: FloatArray, intercept: FloatArray) -> IntArray:
        """Return the index (n,) of the class with the largest score of each row.

        In a tie, it is the first class. For K = 1, it is 1 if the score is positive, otherwise 0.
        """
        best = np.empty(self.shape[0], np.int64)
        self.score(coef, intercept, np.empty((0, len(coef)), coef.dtype), best)
        return best

    def score(self, coef: FloatArray, intercept: FloatArray, scores: FloatArray, best: IntArray) -> None:
        """Fill scores (n, K) and the best classes (n,) in one pass. An array without rows is not filled."""
        raise NotImplementedError

    def take(self, rows: IntArray | slice) -> Matrix:
        """Return the matrix of a subset of the rows: a slice, or row indices in any order."""
        raise NotImplementedError

    def densify(self, rows: IntArray | slice) -> Array:
        """Return a subset of the rows as a dense NumPy array (m, d)."""
        raise NotImplementedError

    def should_copy_rows(self, rows: IntArray) -> bool:
        """Return whether a subset of the rows is small enough to be copied before it is read."""
        return 0 < len(rows) <= MAX_COPIED_ROW_FRACTION * self.shape[0]

    def should_extract_rows(self, rows: IntArray) -> bool:
        """Return whether passes over a subset of the rows should use the matrix that `take` returns."""
        return not self.lies_in_memory

    def parts(self) -> Iterator[tuple[str, Matrix]]:
        """Yield the name of each part of X, for error messages, and the matrix of the part."""
        yield "X", self

    def transposed(self, precision: FloatType, features: IntArray | None = None) -> ColumnwiseCopy:
        """Return a column-wise copy of X, cached per precision. Columns that are not in ``features`` may be empty."""
        with self._lock:
            if precision not in self._columnwise_copies:
                self._columnwise_copies[precision] = self._transpose(precision)
        return self._columnwise_copies[precision]

    def _transpose(self, precision):
        raise NotImplementedError

    def row_products(self, n_rows_coef: int, factors: FloatArray, allows_gram: bool) -> Any:
        """Return an object that multiplies by the row Gram matrix G.

        `allows_gram` is true if G fits into memory and is accurate.
        """
        raise NotImplementedError

    def passes(self, samples: Samples, scaling: Scaling, n_rows_coef: int) -> Passes:
        """Return the Passes over samples, with columns scaled by a float64 Scaling, for K rows of coefficients."""
        raise NotImplementedError


class Passes:
    """Sums over rows from which an objective is computed: one pass per sum, without division by the total weight.

    All sums use the scaled rows x~ = x scale + shift, with a float64 Scaling. Parameters and sums have the
    shape (K, d + 1). K is 1 for two classes and the number of classes otherwise. `lies_in_cache` is True if
    a pass reads a copy that fits into the L2 cache of a CPU core. `relative_shift_errors` is the rounding error
    of the shift of a column, relative to the rounding error of a product. It is zero if entries are
    centered first. `relative_gram_norms` is the norm of a column in Gram matrices, relative to the norm of the
    centered column. Each of the two is a number or has shape (d,).
    """

    _n_blocks: int  # the number of row blocks; each block has its own loss
    lies_in_cache = False
    relative_shift_errors: float | FloatArray = 0.0
    relative_gram_norms: float | FloatArray = 1.0

    def __init__(self, matrix: Matrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        n, d = matrix.shape
        self._matrix: Any = matrix
        self.samples, self._scaling = samples, scaling
        # The samples of the matrix that passes read. This matrix may be a copy of the rows.
        self._read = samples
        self._n_rows = len(samples.rows) or n
        self.shape = n_rows_coef, d + 1

    @property
    def longest_row(self) -> int:
        """The largest number of additions per term of a linear predictor, excluding the addition of the intercept."""
        return self._matrix.longest_row

    @property
    def max_additions_per_sum(self) -> int:
        """The largest number of additions per term of a sum over rows, for any order of summation."""
        return self._n_rows + MAX_BLOCKS

    def find_error_bound_weights(self, sizes: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the error bound weights (d,) of a score per unit of parameter, and of a slope per unit of residual.

        `sizes` (d,) are the sizes of the scaled columns. If shifts are added after the sum, the error of a slope has
        two more terms: raw entries may be larger by the shift, and the shift times the sum of the residuals is added.
        """
        shifts = np.abs(self._scaling.shift)
        return sizes + self.relative_shift_errors * shifts, sizes + 2.0 * np.sign(self.relative_shift_errors) * shifts

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """Return sum s_i l_i. Fill `gradient` (K, d + 1), float64, and `probabilities` (K, m) unless it is None.

        `parameters` (K, d + 1) are float64 or float32. Their last column contains the intercepts. Products with dense
        rows are computed in the type of the parameters. All other products, and the sums over rows, are computed in
        float64.
        """
        losses = Losses(self._read, np.empty(self._n_blocks), ProbabilityOutput.of(probabilities))
        self._run(parameters, gradient, losses, None)
        return float(np.add.reduce(losses.values))

    def evaluate_batch(
        self, parameters: FloatArray, labels: Array, weights: FloatArray, gradients: FloatArray
    ) -> FloatArray:
        """Return sum s_i l_i and, per pair of classes, sum s_i p_ik p_il over all rows of B problems.

        The result has shape (1 + n_pairs, B). Fill `gradients` (B k, d + 1), with k rows of coefficients per problem. B
        k is at most K, and k is 1 for sparse rows. `labels` (B, n) are uint8. Empty `weights` (B, n) mean all ones. The
        result of a problem is bitwise independent of the other problems and of B.
        """
        batch = ProblemBatchArrays.allocate(
            labels, weights, self.samples.offsets, len(parameters) // len(labels), self._n_blocks
        )
        self._run(parameters, gradients, None, None, batch)
        return sum_blocks(batch.values.swapaxes(0, 1))

    def drop_offsets(self) -> Passes:
        """Return the passes over the same rows without offsets."""
        if not len(self.samples.offsets):
            return self
        return self._matrix.passes(self.samples._replace(offsets=EMPTY_FLOAT64_MATRIX), self._scaling, self.shape[0])

    def hessian_product(self, direction: FloatArray, probabilities: FloatArray) -> FloatArray:
        """Return the Hessian of sum s_i l_i at `probabilities` (K, m) times `direction` (K, d + 1).

        The product is computed in the type of the probabilities.
        """
        precision = probabilities.dtype.type
        curvature = Curvature(self._read.get_row_weights().astype(precision, copy=False), probabilities)
        return self._run(direction.astype(precision, copy=False), np.empty(self.shape), None, curvature)

    def _run(self, parameters, total, losses, curvature, batch=None):
        """Fill total (K, d + 1) with the sums of a pass with Losses, Curvature or ProblemBatchArrays, and return it."""
        raise NotImplementedError

    def compute_scores(self, directions: FloatArray) -> FloatArray:
        """Return the linear predictors (m, C), float64, for directions (C, d + 1), which are C rows of parameters."""
        return np.concatenate([scores for _, scores in self.iterate_score_chunks(directions.astype(np.float64))])

    def gram(self, rows: IntArray, row_weights: FloatArray, precision: FloatType) -> FloatArray:
        """Return matrices (C, d + 1, d + 1), sums over i of row_weights[c, i] [x~_i, 1] [x~_i, 1]', in ``precision``.

        `rows` (m,), int64, are row indices of X; empty means all rows. Column i of `row_weights` (C, m) belongs to
        rows[i].
        """
        rows = rows if len(rows) else np.arange(self._matrix.shape[0])
        grams = np.empty((len(row_weights), self.shape[1], self.shape[1]), precision)
        for gram, weights in zip(grams, row_weights.astype(np.float64), strict=True):
            gram[:] = self._matrix.gram(rows, weights, self._scaling)
        return grams

    def grams_of_samples(
        self, rows: IntArray, starts: IntArray, row_weights: FloatArray, precision: FloatType
    ) -> FloatArray:
        """Return the Gram matrices (C, d + 1, d + 1) of C samples of rows, in ``precision``. See `gram`.

        `rows` (m,), int64, are the row indices of all samples, and `row_weights` (m,) their weights. Sample c is the
        slice from starts[c] up to starts[c + 1]. `starts` (C + 1,) are int64.
        """
        grams = np.zeros((len(starts) - 1, self.shape[1], self.shape[1]), precision)
        for gram, first, last in zip(grams, starts[:-1], starts[1:], strict=True):
            if last > first:
                gram[:] = self.gram(rows[first:last], row_weights[None, first:last], precision)[0]
        return grams

    def class_pair_gram(self, probabilities: FloatArray) -> FloatArray:
        """Return the Hessian (K (d + 1), K (d + 1)) of sum s_i l_i at `probabilities` (K, m), ordered by class."""
        K, size = self.shape
        hessian = np.empty((K * size, K * size))
        blocks = hessian.reshape(K, size, K, size)
        # One call of `gram` per pair of classes is slower if there are few rows.
        all_rows, all_weights = self.samples.rows, self.samples.get_row_weights()
        rows = all_rows if len(all_rows) else np.arange(self._matrix.shape[0])
        for k in range(K):
            weights = all_weights * probabilities[k]
            for other in range(k + 1):
                rest = 1 - probabilities[k] if other == k else -probabilities[other]
                gram = self._matrix.gram(rows, weights * rest, self._scaling)
                blocks[k, :, other], blocks[other, :, k] = gram, gram
        return hessian

    def sum_with_probabilities(self, term: Callable[..., Sum], parameters: FloatArray, *arguments: Any) -> Sum:
        """Return the sum of ``term(passes, probabilities, *arguments)`` over passes that each cover some of the rows.

        The probabilities (K, m) at parameters (K, d + 1) are recomputed, which takes one more pass.
        """

        def compute_part_term(part):
            probabilities = np.empty((len(parameters), part._n_rows), parameters.dtype)
            part.evaluate(parameters, probabilities, np.empty(parameters.shape))
            return term(part, probabilities, *arguments)

        max_rows = max(1, PROBABILITY_BATCH_BYTES // (parameters.itemsize * len(parameters)))
        return add(compute_part_term(part) for part in self.split(max_rows))

    def read_rows(self) -> FloatArray:
        """Return the rows [x~, 1] as a dense float64 array (m, d + 1)."""
        rows, (scale, shift) = self.samples.rows, self._scaling
        X = self._matrix.densify(rows if len(rows) else slice(None))
        scaled = np.ones((len(X), X.shape[1] + 1))
        np.multiply(X, scale, out=scaled[:, :-1])
        scaled[:, :-1] += shift
        return scaled

    def find_column_ranges(self) -> tuple[FloatArray, FloatArray]:
        """Return the minimum (d,) and the maximum (d,) of the unscaled columns over these rows."""
        rows = self.samples.rows
        columns = (self._matrix.take(rows) if len(rows) else self._matrix).measure()
        return columns.smallest, columns.largest

    def take(self, positions: IntArray) -> Passes:
        """Return passes over the subset of these rows at the ascending ``positions``."""
        rows = self.samples.rows
        samples = self.samples._replace(rows=rows[positions] if len(rows) else positions)
        return self._matrix.passes(samples, self._scaling, self.shape[0])

    def iterate_score_chunks(self, parameters: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
        """Yield consecutive slices of the rows and their scores (m, M) at parameters (M, d + 1), for any M."""
        rows, (scale, shift) = self.samples.rows, self._scaling
        coef = parameters[:, :-1] * scale
        intercept = parameters[:, -1] + np.einsum("kj,j->k", parameters[:, :-1], shift)
        n_rows = max(1, SCORE_BATCH_BYTES // (8 * len(parameters) + self._matrix.row_bytes))
        for first in range(0, self._n_rows, n_rows):
            part = slice(first, min(first + n_rows, self._n_rows))
            yield part, self._matrix.take(rows[part] if len(rows) else part).compute_scores(coef, intercept)

    def split(self, max_rows: int) -> Iterator[Passes]:
        """Yield the `Passes` over consecutive chunks of at most `max_rows` rows."""
        if self._n_rows <= max_rows:
            # A pass without row indices is faster.
            yield self
            return
        rows = self.samples.rows
        for first in range(0, self._n_rows, max_rows):
            last = min(first + max_rows, self._n_rows)
            indices = rows[first:last] if len(rows) else np.arange(first, last)
            yield self._matrix.passes(self.samples._replace(rows=indices), self._scaling, self.shape[0])


def add(sums: Iterable[Sum]) -> Sum:
    """Return the sum of arrays, or of other objects that support +=; the first object is overwritten."""
    total: Any = next(sums := iter(sums))
    for term in sums:
        total += term
    return total
