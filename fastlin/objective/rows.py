"""The weighted rows of an objective, and sums over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from fastlin.kernels.linear.operands import EMPTY_FLOAT64_MATRIX, NO_ROWS, Samples
from fastlin.kernels.machine.arrays import writable_view
from fastlin.matrices.pieces import sum_probability_outer_products
from fastlin.objective.coordinates import Coordinates, choose_coordinates
from fastlin.objective.rounding import Roundings
from fastlin.typing import FloatArray, FloatType, IntArray

if TYPE_CHECKING:
    from fastlin.matrices import Matrix
    from fastlin.objective.null_model import NullModel
    from fastlin.objective.point import Point

# The number of labels per batch when labels are counted, because NumPy copies them to eight bytes each.
ROWS_PER_BATCH = 1_000_000
N_SKETCH_DIRECTIONS = 4
# If the largest square of most columns exceeds the mean square by this factor, a few rows may contribute most of the
# curvature, so the influence of the rows is estimated (docs/benchmarks/design-choices.md: uneven rows). For the Hessian
# of a sample, one such column suffices.
MIN_UNEVEN_PEAK_RATIO = 50.0

# The number of offsets per batch when their range is measured.
OFFSETS_PER_BATCH = 1 << 20
# A bound on the relative error of a mean over the classes, and of a difference from this mean.
OFFSET_ROUNDING = 2.0**-48


class OffsetRange(NamedTuple):
    """The range of the offsets, used for certificates (docs/derivations.md, section 4)."""

    mean: np.ndarray  # (n_classes,), the numbers c_k, approximately the weighted means of the offsets of each class
    max_offset_difference: float  # an upper bound on max_k (o_ik - c_k) - min_k (o_ik - c_k) over the rows
    root_mean_square: float  # the square root of the weighted mean of the squared norms of the rows

    @classmethod
    def of(cls, offsets: FloatArray, weights: FloatArray, total_weight: float) -> Self:
        """Return the range of the offsets (n, K). Empty weights mean all ones."""
        n, K = offsets.shape
        total, square, max_magnitude = np.zeros(K), 0.0, 0.0
        # Only rows with positive weights are used. With three or more classes, each row is centered over the classes.
        smallest, largest = np.full(K, np.inf), np.full(K, -np.inf)
        rows_per_batch = max(1, OFFSETS_PER_BATCH // K)
        for first in range(0, n, rows_per_batch):
            batch = offsets[first : first + rows_per_batch]
            batch_weights = weights[first : first + rows_per_batch] if len(weights) else np.ones(len(batch))
            batch, batch_weights = batch[batch_weights > 0], batch_weights[batch_weights > 0]
            centered_batch = batch - batch.mean(axis=1, keepdims=True) if K > 1 else batch
            total += np.einsum("i,ik->k", batch_weights, centered_batch)
            square += float(np.einsum("i,ik,ik->", batch_weights, batch, batch))
            max_magnitude = max(max_magnitude, float(np.abs(batch).max(initial=0.0)))
            smallest = np.minimum(smallest, centered_batch.min(axis=0, initial=np.inf))
            largest = np.maximum(largest, centered_batch.max(axis=0, initial=-np.inf))
        mean = total / total_weight
        largest_deviations = np.sort(np.maximum(largest - mean, mean - smallest))[-2:]
        max_offset_difference = (
            float(largest_deviations.sum()) * (1 + OFFSET_ROUNDING) + OFFSET_ROUNDING * K * max_magnitude
        )
        mean = np.append(0.0, mean) if K == 1 else mean
        return cls(mean, max_offset_difference, float(np.sqrt(square / total_weight)) * (1 + OFFSET_ROUNDING))

    @property
    def reach(self) -> float:
        """An upper bound on the change of the dual objective per unit of probability that is exchanged."""
        return self.max_offset_difference + 2 * float(np.abs(self.mean).max())


class Rows:
    """Rows of X with labels and weights (as Samples), and sums over the rows, divided by the total weight S.

    Without an intercept, the entries of the intercept in the sums are zero. `pass_counter` contains the number of
    passes over X. A pass over a tenth of the rows adds a tenth.

    `matrix` contains all rows of X, or the metadata of rows on other machines. The sums include `n_rows` of them.
    `n_classes` is at least 2. `n_rows_coef` is K, which is 1 for two classes. `class_weights` (n_classes,) are
    fractions of S, and `min_class_weight` is the smallest fraction. `is_faster_in_float32` is true if passes in float32
    are faster and the columns permit float32.

    `error_weight` (d,) bounds how much rounding of each column perturbs a score, per unit of the parameter. It is
    relative to the rounding error, and a root mean square over the rows. `gradient_error_weights` (d,) bounds how much
    rounding perturbs the slope of each column, per unit of the residuals. `offset_magnitude` is the root mean square of
    the offsets.
    """

    def __init__(
        self, matrix: Matrix, samples: Samples, n_classes: int, coordinates: Coordinates, fit_intercept: bool
    ) -> None:
        self.matrix, self.n_classes, self.n_rows_coef = matrix, n_classes, count_coefficient_rows(n_classes)
        self.coordinates, self.fit_intercept = coordinates, fit_intercept
        self.row_indices, self.labels, self.weights, self.offsets, self.targets = samples
        scaling = coordinates.scaling
        self.passes = passes = matrix.passes(samples, scaling, self.n_rows_coef)
        self.n_rows = len(self.row_indices) or matrix.shape[0]
        selected = self.select_samples()
        self.total_weight = float(selected.weights.sum()) if len(selected.weights) else float(self.n_rows)
        self.has_targets = len(selected.targets) > 0
        if self.has_targets:
            class_totals = sum_target_weights(selected.targets, selected.weights)
        else:
            class_totals = sum_class_weights(selected.labels, selected.weights, n_classes)
        self.class_weights = class_totals / self.total_weight
        self.min_class_weight = float(np.minimum.reduce(self.class_weights))
        self.offset_range: OffsetRange | None = None
        if len(selected.offsets):
            self.offset_range = OffsetRange.of(selected.offsets, selected.weights, self.total_weight)
        self.offset_magnitude = 0.0 if self.offset_range is None else self.offset_range.root_mean_square
        self.is_faster_in_float32 = coordinates.allows_float32 and matrix.is_faster_in_float32(self.n_rows_coef)
        self.roundings = Roundings.of(
            passes.max_additions_per_sum, passes.longest_row, self.n_rows_coef, self.has_targets
        )
        self.error_weight, self.gradient_error_weights = passes.find_error_bound_weights(
            np.sqrt(coordinates.mean_squares[:-1])
        )
        # The counter is a list, so that subsets of the rows share it.
        self.pass_counter, self._n_matrix_rows = [0.0], matrix.shape[0]
        self._class_features: FloatArray | None = None
        # The latest result of `find_null_model`, with the coefficients as the key.
        self.null_models: dict[bytes, NullModel] = {}

    def select_samples(self) -> Samples:
        """Return the Samples restricted to these rows."""
        samples = self.passes.samples
        return samples.take(samples.rows) if len(samples.rows) else samples

    def get_hessian_argument(self, point: Point) -> FloatArray:
        """Return what Hessians at a Point require: the probabilities (K, n_rows) or, for workers, the parameters."""
        return point.probabilities if self.has_labels else point.parameters.astype(point.objective.fast_precision)

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, total: FloatArray) -> float:
        """Return the mean loss. Fill `total` with S times the gradient, and `probabilities` if it is given.

        `total` has shape (K, d + 1) and dtype float64. Products are computed in the dtype of the parameters, float64 or
        float32.
        """
        loss = self.passes.evaluate(parameters, probabilities, total)
        self.add_to_pass_counter()
        self._clear_intercept_entries(total)
        if parameters.dtype == np.float64:
            self.store_class_features(parameters, total)
        return loss / self.total_weight

    def evaluate_without_offsets(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """Return the result of `evaluate` in float64 for the same rows without offsets."""
        total = np.empty(parameters.shape)
        loss = self.passes.drop_offsets().evaluate(parameters, None, total)
        self.add_to_pass_counter()
        return loss / self.total_weight, self._clear_intercept_entries(total)

    def store_class_features(self, parameters: FloatArray, total: FloatArray) -> None:
        """Compute `class_features` if all coefficients are zero. `total` is S times the gradient in float64."""
        if self._class_features is None and self.offset_range is None and not parameters[:, :-1].any():
            self._class_features = self._find_class_features(parameters, total)

    def hessian_product(self, direction: FloatArray, curved: FloatArray) -> FloatArray:
        """Return the Hessian of the mean loss times `direction` (K, d + 1). See `get_hessian_argument` for `curved`."""
        product = self.passes.hessian_product(direction, curved)
        self.add_to_pass_counter()
        product = self._clear_intercept_entries(product)
        product /= self.total_weight
        return product

    def hessian(self, curved: FloatArray) -> FloatArray:
        """Return the Hessian of the mean loss (K (d + 1), K (d + 1)), ordered by class. See `get_hessian_argument`."""
        self.add_to_pass_counter()
        return self.average_parameter_pair_sums(self.passes.class_pair_gram(curved))

    def average_parameter_pair_terms(
        self, term: Callable[..., FloatArray], parameters: FloatArray, *arguments: Any
    ) -> FloatArray:
        """Return the sum over the rows of a term for `Passes.sum_with_probabilities`, divided by S.

        The result has the shape (K (d + 1), K (d + 1)).
        """
        self.add_to_pass_counter(2)
        return self.average_parameter_pair_sums(self.passes.sum_with_probabilities(term, parameters, *arguments))

    def average_parameter_pair_sums(self, total: FloatArray) -> FloatArray:
        """Divide sums for pairs of parameters by S, in place, and apply `_clear_intercept_entries` to rows and columns.

        `total` has the shape (K (d + 1), K (d + 1)).
        """
        size = self.matrix.shape[1] + 1
        total /= self.total_weight
        column_sums = total.reshape(len(total), -1, size)
        self._clear_intercept_entries(column_sums)
        self._clear_intercept_entries(column_sums.reshape(-1, size, len(total)).transpose(0, 2, 1))
        return total

    def sum_probability_products(
        self, parameters: FloatArray, precision: FloatType, probabilities: FloatArray | None = None
    ) -> FloatArray:
        """Return the (K + 1, K + 1) matrix (1 / S) sum_i s_i [p_i, 1] [p_i, 1]'.

        If the probabilities p_i are not given, a pass computes them.
        """
        if probabilities is not None:
            return sum_probability_outer_products(self.passes, probabilities) / self.total_weight
        self.add_to_pass_counter()
        return (
            self.passes.sum_with_probabilities(sum_probability_outer_products, parameters.astype(precision))
            / self.total_weight
        )

    def class_features(self) -> FloatArray:
        """Return, for each class, the sum of s_i x~_i over the rows, divided by S. The shape is (n_classes, d)."""
        if self._class_features is None:
            parameters = np.zeros((self.n_rows_coef, self.matrix.shape[1] + 1))
            _, total = self.evaluate_without_offsets(parameters)
            self._class_features = self._find_class_features(parameters, total)
        assert self._class_features is not None
        return self._class_features

    def _find_class_features(self, parameters, total):
        """Return the sums per class, given S times the gradient at zero coefficients, where all rows are equal."""
        scores = np.zeros(self.n_classes)
        scores[-len(parameters) :] = parameters[:, -1]
        probabilities = np.exp(scores - scores.max())
        probabilities /= probabilities.sum()
        mean = self.coordinates.mean
        features = probabilities[-len(parameters) :, None] * mean - total[:, :-1] / self.total_weight
        if len(features) == 1:
            features = np.concatenate([mean - features, features])
        return features

    def _clear_intercept_entries(self, total):
        """Return sums (..., d + 1) over the rows. Without an intercept, the last entries are set to zero."""
        if not self.fit_intercept:
            total[..., -1] = 0
        return total

    @property
    def has_labels(self) -> bool:
        """Whether the rows and their probabilities are in this process, not on workers."""
        return self.matrix.stores_probabilities

    def add_to_pass_counter(self, n_passes: float = 1) -> None:
        """Add a number of passes over these rows to the pass counter."""
        self.pass_counter[0] += n_passes * self.n_rows / self._n_matrix_rows

    @cached_property
    def smallest_weight(self) -> float:
        """The smallest positive weight s_i of the rows."""
        if not len(self.weights):
            return 1.0
        weights = self.weights[self.row_indices] if len(self.row_indices) else self.weights
        return float(weights[weights > 0].min())

    @cached_property
    def has_uneven_row_norms(self) -> bool:
        """Whether the statistics of most columns indicate that a few rows have much larger norms than the others."""
        # Counting is faster than computing a median.
        return bool(2 * np.count_nonzero(self._columns_with_rare_values) > np.count_nonzero(self._is_nonzero_column))

    @property
    def has_rare_values(self) -> bool:
        """Whether the statistics of a column indicate that a few rows have much larger values than the others."""
        return bool(self._columns_with_rare_values.any())

    @property
    def _is_nonzero_column(self):
        return self.coordinates.mean_squares[:-1] > 0

    @property
    def _columns_with_rare_values(self):
        return (self.coordinates.peak_to_mean_ratios > MIN_UNEVEN_PEAK_RATIO) & self._is_nonzero_column

    @property
    def influence(self) -> FloatArray | float:
        """The `sketched_influence` if `has_uneven_row_norms` is true, otherwise the number 1.0."""
        return self.sketched_influence if self.has_uneven_row_norms else 1.0

    @cached_property
    def sketched_influence(self) -> FloatArray:
        """The approximate contribution (n_rows,) of each row to the curvature, relative to the mean.

        It is estimated from N_SKETCH_DIRECTIONS random directions in one pass (Achlioptas 2003).
        """
        random_signs = (
            np.random.default_rng(0).choice([-1.0, 1.0], (N_SKETCH_DIRECTIONS, len(self.coordinates.scale)))
            * self._is_nonzero_column
        )
        directions = np.column_stack([random_signs, np.zeros(N_SKETCH_DIRECTIONS)])
        parts = chain.from_iterable(piece.iterate_score_chunks(directions) for piece in self.passes.split(self.n_rows))
        with np.errstate(over="ignore"):
            squares = np.concatenate([np.einsum("ik,ik->i", scores, scores).astype(np.float32) for _, scores in parts])
        self.add_to_pass_counter()
        # Rows of weight zero, and rows whose squares overflow, are excluded.
        has_weight = np.broadcast_to(self.get_weights(self.row_indices) > 0, squares.shape)
        squares[~has_weight | (squares == np.inf)] = 0
        mean = squares.sum(dtype=np.float64) / np.count_nonzero(has_weight)
        squares *= 0.5 / max(mean, np.finfo(np.float64).tiny)
        squares += 0.5
        return squares

    def take(self, row_indices: IntArray) -> Rows:
        """Return a subset of the rows, given their indices (int64) in X. The subset shares the pass counter."""
        matrix, samples = self.matrix, self.passes.samples
        if matrix.should_extract_rows(row_indices):
            matrix, samples = matrix.take(row_indices), samples.take(row_indices)
        else:
            samples = samples._replace(rows=row_indices)
        rows = Rows(matrix, samples, self.n_classes, self.coordinates, self.fit_intercept)
        return self._share_pass_counter(rows)

    def _share_pass_counter(self, rows):
        """Return `rows`, whose passes are from now on counted with those over these rows."""
        rows.pass_counter, rows._n_matrix_rows = self.pass_counter, self._n_matrix_rows
        return rows

    def with_weights(self, weights: FloatArray) -> Rows:
        """Return the same rows with other weights (n_rows,). The result shares the pass counter."""
        return self._replace_sample_values("weights", weights)

    def with_targets(self, targets: FloatArray) -> Rows:
        """Return the same rows with targets (K, n_rows). The result shares the pass counter."""
        return self._replace_sample_values("targets", targets.T)

    def _replace_sample_values(self, name, values):
        """Return the same rows with other values of a field of `Samples`, which are given for these rows only."""
        matrix_values = np.zeros((self.matrix.shape[0], *values.shape[1:]))
        matrix_values[self.row_indices if len(self.row_indices) else slice(None)] = values
        samples = self.passes.samples._replace(**{name: matrix_values})
        rows = Rows(self.matrix, samples, self.n_classes, self.coordinates, self.fit_intercept)
        return self._share_pass_counter(rows)

    def with_intercept(self, l2: float, factors: FloatArray) -> Rows:
        """Return the same rows with an intercept, in the coordinates for a penalty. The result shares the pass counter.

        The columns are measured again, because the coordinates center them.
        """
        samples = self.passes.samples
        weights = samples.weights if len(samples.weights) else None
        if len(samples.rows):
            weights = multiply_weights_by_counts(samples.rows, weights, self.matrix.shape[0])
        coordinates = choose_coordinates(self.matrix.measure(weights), l2, factors, fit_intercept=True)
        rows = Rows(self.matrix, samples, self.n_classes, coordinates, fit_intercept=True)
        return self._share_pass_counter(rows)

    def sample(self, n_rows: int) -> Rows:
        """Return about `n_rows` rows with positive weights, approximately evenly spaced."""
        row_indices = self.row_indices
        if len(self.weights):
            weighted_indices = np.flatnonzero(self.get_weights(row_indices) > 0)
            row_indices = row_indices[weighted_indices] if len(row_indices) else weighted_indices
        positions = sample_row_positions(len(row_indices) or self.n_rows, n_rows)
        return self.take(row_indices[positions] if len(row_indices) else positions)

    def get_weights(self, row_indices: IntArray) -> FloatArray | float:
        """Return the weights s_i at `row_indices`. If there are no indices, return the weights of all rows.

        If all weights are ones, the result is the number 1.0.
        """
        if not len(self.weights):
            return 1.0
        return self.weights[row_indices] if len(row_indices) else self.weights

    def gram(self, row_indices: IntArray, row_weights: FloatArray, precision: FloatType) -> FloatArray:
        """Return C Gram matrices over `row_indices`: (1 / S) sum_i row_weights[c, i] [x~_i, 1] [x~_i, 1]'.

        `row_weights` has C rows, and the result has the shape (C, d + 1, d + 1).
        """
        size = self.matrix.shape[1] + 1
        if not row_weights.shape[1]:
            return np.zeros((len(row_weights), size, size), precision)
        grams = self.passes.gram(row_indices, row_weights / self.total_weight, precision)
        return self._count_rows_of_grams(grams, len(row_indices) or self.matrix.shape[0])

    def grams_of_samples(
        self, row_indices: IntArray, starts: IntArray, row_weights: FloatArray, precision: FloatType
    ) -> FloatArray:
        """Return the Gram matrices (C, d + 1, d + 1) of C samples. See `gram` and `Passes.grams_of_samples`."""
        grams = self.passes.grams_of_samples(row_indices, starts, row_weights / self.total_weight, precision)
        return self._count_rows_of_grams(grams, len(row_indices))

    def _count_rows_of_grams(self, grams, n_summed_rows):
        """Count the rows of a sum as a part of a pass, and clear the entries of the intercept if there is none."""
        self.add_to_pass_counter(n_summed_rows / self.n_rows)
        self._clear_intercept_entries(grams)
        self._clear_intercept_entries(grams.transpose(0, 2, 1))
        return grams


def sum_class_weights(labels: IntArray, weights: FloatArray, n_classes: int) -> FloatArray:
    """Return the total weight of each class. Empty weights mean all ones."""
    total = np.zeros(n_classes)
    for first in range(0, len(labels), ROWS_PER_BATCH):
        batch = slice(first, first + ROWS_PER_BATCH)
        total += np.bincount(labels[batch], weights[batch] if len(weights) else None, minlength=n_classes)
    return total


def sum_target_weights(targets: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the total weight of each class, given targets (n, K). Empty weights mean all ones."""
    weights = weights if len(weights) else np.ones(len(targets))
    totals = np.einsum("i,ik->k", weights, targets)
    return np.append(weights.sum() - totals, totals) if len(totals) == 1 else totals


def multiply_weights_by_counts(row_indices: IntArray, weights: FloatArray | None, n: int) -> FloatArray:
    """Return the weight (n,) of each row times the number of its occurrences. None means that all weights are ones."""
    counts = np.bincount(row_indices, minlength=n).astype(np.float64)
    return counts if weights is None else counts * weights


def make_samples(
    labels: IntArray,
    weights: FloatArray | None = None,
    row_indices: IntArray | None = None,
    offsets: FloatArray | None = None,
    targets: FloatArray | None = None,
) -> Samples:
    """Return the Samples of rows of X.

    `labels` (n,) are integers from 0 to n_classes - 1. `weights` (n,) are nonnegative; None means all ones. Sums
    include the rows at `row_indices` (m,), int64; None means all rows. The other arrays have an entry for each row of
    X. `offsets` (n, K) are finite and are added to the scores; None means zeros. `targets` (n, K) are nonnegative
    probabilities of the classes, which sum to about one; `labels` are then the most probable classes. For two classes,
    `targets` (n, 1) contains only the probabilities of the second class.
    """
    return Samples(
        NO_ROWS if row_indices is None else row_indices,
        writable_view(labels.astype(np.int32, copy=False)),
        np.empty(0) if weights is None else weights.astype(np.float64, copy=False),
        *(
            EMPTY_FLOAT64_MATRIX if array is None else writable_view(np.ascontiguousarray(array, np.float64))
            for array in (offsets, targets)
        ),
    )


def count_coefficient_rows(n_classes: int) -> int:
    """Return K, the number of rows of coefficients for `n_classes` classes."""
    return 1 if n_classes == 2 else n_classes


def sample_row_positions(n: int, n_rows: int) -> IntArray:
    """Return min(n, n_rows) ascending positions below n: a random one from each of as many equal intervals."""
    n_rows = min(n_rows, n)
    return ((np.arange(n_rows) + np.random.default_rng(0).random(n_rows)) * (n / n_rows)).astype(np.int64)


def split_row_positions(positions: IntArray, counts: Sequence[int]) -> list[IntArray]:
    """Split ascending positions among pieces, given the numbers of rows. Return the positions within each piece."""
    ends = np.cumsum(counts)
    pieces = np.split(positions, np.searchsorted(positions, ends[:-1]))
    return [piece - (end - count) for piece, end, count in zip(pieces, ends, counts, strict=True)]
