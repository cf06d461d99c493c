"""Batches of objectives for the same rows, with different labels, row weights and penalty strengths.

Each of the B problems has the objective J of objective.py, with K rows of coefficients and a penalty on every
coefficient. All problems have the same number of classes. Offsets and an L1 penalty are supported only for two classes
(K = 1). A `ProblemBatch` evaluates and certifies all of its problems with one pass over X. The result of a problem does
not depend on the other problems in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from fastlin.kernels.linear.operands import EMPTY_FLOAT64_MATRIX, NO_ROWS, Samples
from fastlin.kernels.linear.sparse_rows import PROBLEMS_PER_GROUP
from fastlin.objective.null_model import NullModel, fit_null_model
from fastlin.objective.rounding import Roundings, RowErrors, gamma
from fastlin.objective.rows import OffsetRange, make_samples
from fastlin.typing import FloatArray, FloatType, IntArray

if TYPE_CHECKING:
    from fastlin.matrices import Matrix
    from fastlin.objective.coordinates import Coordinates

# The limits of the number of problems in a batch. Within these limits, a batch has at most MAX_COEFFICIENT_ROWS rows of
# coefficients and MAX_BATCH_COEFFICIENTS coefficients, so that the scores of a tile stay in the L2 cache. The labels
# and weights use at most MAX_BATCH_BYTES.
MIN_BATCH_SIZE, MAX_BATCH_SIZE, MAX_COEFFICIENT_ROWS, MAX_BATCH_COEFFICIENTS, MAX_BATCH_BYTES = (
    8,
    128,
    256,
    1 << 15,
    1 << 26,
)


def choose_batch_size(n_rows: int, n_features: int, n_rows_coef: int = 1, is_sparse: bool = False) -> int:
    """Return the number of problems per batch whose coefficients, labels and weights fit into the caches.

    It is a multiple of PROBLEMS_PER_GROUP for sparse rows, and of MIN_BATCH_SIZE otherwise, and at least that number.
    """
    group_size = PROBLEMS_PER_GROUP if is_sparse else MIN_BATCH_SIZE
    max_problems_for_coefficients = (
        min(MAX_BATCH_COEFFICIENTS // max(1, n_features), MAX_COEFFICIENT_ROWS) // n_rows_coef
    )
    row_bytes = 9 if n_rows_coef == 1 else 12
    batch_size = min(max_problems_for_coefficients, MAX_BATCH_BYTES // (row_bytes * max(1, n_rows)), MAX_BATCH_SIZE)
    return max(group_size, batch_size // group_size * group_size)


class BatchProblem(NamedTuple):
    """One problem: labels, weights and penalties. Each class has a positive weight, and l2 or l1 is positive."""

    labels: np.ndarray  # (n,), class indices
    l2: float
    weights: np.ndarray | None = (
        None  # (n,), nonnegative; None means all ones. In a batch, all problems have weights, or none.
    )
    start: np.ndarray | None = None  # (m,), the starting parameters; None means those of the null model
    l1: float = 0.0  # In a batch, all problems have an L1 penalty, or none. L1 requires two classes.


class PointBatch(NamedTuple):
    """J and its derivatives for B problems. Each problem has its own m = K (d + 1) parameters."""

    loss: np.ndarray  # (B,), the mean losses
    curvatures: np.ndarray  # (B, n_pairs), the mean of p_k p_l per pair of classes; for two classes, of p (1 - p)
    value: np.ndarray  # (B,), J
    loss_gradient: np.ndarray  # (B, m), the gradients of the mean losses
    gradient: np.ndarray  # (B, m), the gradients of J without the L1 penalty


@dataclass(eq=False)
class BatchRows:
    """The data that all problems share: rows, offsets (n, 1), coordinates and positive penalty factors (d,)."""

    matrix: Matrix
    coordinates: Coordinates
    factors: FloatArray
    fit_intercept: bool
    batch_size: int = 0  # the number of problems per batch; zero means the result of `choose_batch_size`
    offsets: FloatArray | None = None
    n_rows_coef: int = 1
    # `Rows` can have targets and class weights, but batches have neither.
    has_targets = False
    min_class_weight = 0.0

    def __post_init__(self) -> None:
        """Set the attributes that depend on the fields."""
        matrix, coordinates, factors, offsets = self.matrix, self.coordinates, self.factors, self.offsets
        (n, d), K = matrix.shape, self.n_rows_coef
        self.batch_size = self.batch_size or choose_batch_size(n, d, K, matrix.is_sparse)
        self.n_rows, self.size = n, K * (d + 1)
        samples = make_samples(np.zeros(n, np.int32), offsets=offsets)
        self.offset_magnitude = float(np.abs(samples.offsets).max(initial=0.0))
        self._offset_range: OffsetRange | None = None
        if offsets is not None:
            self.offsets = samples.offsets
            offset_range = OffsetRange.of(samples.offsets, samples.weights, float(n))
            # The rows with the largest offsets may have all the weight in a problem.
            self._offset_range = offset_range._replace(root_mean_square=self.offset_magnitude)
        scaling = coordinates.scaling
        self.passes = matrix.passes(samples, scaling, self.batch_size * K)
        self.roundings = Roundings.of(self.passes.max_additions_per_sum, matrix.longest_row, K)
        # For each parameter, the curvature of the penalty if l2 = 1, and the threshold if l1 = 1.
        self.unit_curvatures = np.tile(np.append(factors * coordinates.scale**2, 0.0), K)
        self.thresholds = np.tile(np.append(factors * coordinates.scale, 0.0), K)
        # For any row weights, the largest entry of a column bounds how much the column perturbs a score. Peaks measure
        # distances from the mean, which is not exactly zero because the shift is rounded.
        distances = np.sqrt(coordinates.mean_squares[:-1] * np.maximum(coordinates.peak_to_mean_ratios, 1.0))
        largest = (distances + np.abs(coordinates.mean)) ** 2
        self.largest_squares = largest
        error_weight, self.gradient_error_weights = self.passes.find_error_bound_weights(np.sqrt(largest))
        self.error_weight = np.append(error_weight, 1.0)
        roots = coordinates.scale * np.sqrt(factors)
        self.error_weight_norm = float(np.sqrt(np.sum((self.gradient_error_weights / roots) ** 2)))

    def fit_null_model(self, labels: IntArray, weights: FloatArray | None, class_weights: FloatArray) -> NullModel:
        """Return the null model of a problem. `class_weights` (n_classes,) sum to one."""
        offsets = EMPTY_FLOAT64_MATRIX if self.offsets is None else self.offsets
        samples = Samples(NO_ROWS, labels, np.empty(0) if weights is None else weights, offsets)
        return fit_null_model(samples, class_weights, self._offset_range, self.fit_intercept)

    def gram(self, row_weights: FloatArray, precision: FloatType) -> FloatArray:
        """Return the Gram matrix sum_i w_i [x~_i, 1] [x~_i, 1]'. `row_weights` (n,) are the w_i."""
        gram = self.passes.gram(NO_ROWS, row_weights[None], precision)[0]
        if not self.fit_intercept:
            gram[-1], gram[:, -1] = 0, 0
        return gram

    def finish(
        self, parameters: FloatArray, gradient: FloatArray, l2: float, l1: float, dtype: DTypeLike
    ) -> tuple[FloatArray, FloatArray, float]:
        """Return coef (K, d), intercept (K,) and a bound on the increase of J. See `Objective.finish`.

        The bound is infinite if the coefficients are outside the range of `dtype`.
        """
        mean_square, shape = float(self.largest_squares.sum() + 1), (self.n_rows_coef, -1)
        parameters = parameters.reshape(shape)
        if self.n_rows_coef > 1:
            parameters = parameters - parameters.mean(axis=0)
        arguments = parameters, gradient.reshape(shape), l2 * self.unit_curvatures.reshape(shape)[0], mean_square, dtype
        coef, intercept, change, is_finite, increase = self.coordinates.round_coefficients(*arguments)
        increase += l1 * float(np.sum(self.thresholds.reshape(shape) * np.abs(change)))
        return coef, intercept, increase if is_finite else np.inf


class ProblemBatch:
    """A batch of problems, each in a slot. After a problem has finished, another one may take the slot."""

    def __init__(self, rows: BatchRows, n_slots: int, is_weighted: bool) -> None:
        self.rows = rows
        # The softmax kernel requires int32 labels, because single fits call the same kernel with int32 labels.
        self._labels = np.empty((n_slots, rows.n_rows), np.uint8 if rows.n_rows_coef == 1 else np.int32)
        self._weights = np.empty((n_slots if is_weighted else 0, rows.n_rows))
        self.total_weights, self.smallest_weights, self._l2, self._l1 = np.ones((4, n_slots))
        # Lower bounds on J of the null models.
        self.null_objective = np.ones(n_slots)

    def __len__(self) -> int:
        """Return the number of slots."""
        return len(self._labels)

    def take(self, slot: int, problem: BatchProblem) -> FloatArray:
        """Put a problem into a slot. Return the starting parameters (m,)."""
        labels, l2, weights, start, l1 = problem
        self._labels[slot], self._l2[slot], self._l1[slot] = labels, l2, l1
        total, smallest, K = float(len(labels)), 1.0, self.rows.n_rows_coef
        if weights is not None:
            self._weights[slot] = weights
            total, smallest = float(weights.sum()), float(np.where(weights > 0, weights, np.inf).min())
        if K > 1:
            fractions = np.bincount(labels, weights, minlength=K) / total
        else:
            fraction = (np.count_nonzero(labels) if weights is None else float((weights * labels).sum())) / total
            fractions = np.array([1 - fraction, fraction])
        self.total_weights[slot], self.smallest_weights[slot] = total, smallest
        null_model = self.rows.fit_null_model(labels, weights, fractions)
        self.null_objective[slot] = null_model.lower_bound
        parameters = np.zeros((K, self.rows.size // K))
        parameters[:, -1] = null_model.intercepts
        return parameters.ravel() if start is None else start

    def keep(self, slots: IntArray) -> None:
        """Remove all slots except the given ones."""
        for name in ("_labels", "total_weights", "null_objective", "smallest_weights", "_l2", "_l1"):
            setattr(self, name, getattr(self, name)[slots])
        self._weights = self._weights[slots] if len(self._weights) else self._weights

    @property
    def curvatures(self) -> FloatArray:
        """The second derivatives (B, m) of the penalties with respect to the parameters."""
        return self._l2[:, None] * self.rows.unit_curvatures

    @property
    def thresholds(self) -> FloatArray:
        """The slopes (B, m) of the L1 penalties with respect to the parameters."""
        return self._l1[:, None] * self.rows.thresholds

    def compute_quadratic_penalty(self, parameters: FloatArray) -> FloatArray:
        """Return the quadratic penalties (B,) at the parameters (B, m)."""
        return 0.5 * np.einsum("bj,bj->b", self.curvatures * parameters, parameters)

    def evaluate(self, parameters: FloatArray) -> PointBatch:
        """Return the Points at the parameters (B, m). The evaluation takes one pass over X."""
        loss_gradient, per_class_shape = np.empty(parameters.shape), (-1, self.rows.size // self.rows.n_rows_coef)
        arguments = (
            parameters.reshape(per_class_shape),
            self._labels,
            self._weights,
            loss_gradient.reshape(per_class_shape),
        )
        loss, *curvatures = self.rows.passes.evaluate_batch(*arguments) / self.total_weights
        if not self.rows.fit_intercept:
            loss_gradient.reshape(per_class_shape)[:, -1] = 0
        loss_gradient /= self.total_weights[:, None]
        value = loss + self.compute_quadratic_penalty(parameters)
        if self._l1.any():
            value += np.einsum("bj,bj->b", self.thresholds, np.abs(parameters))
        gradient = loss_gradient + self.curvatures * parameters
        return PointBatch(loss, np.stack(curvatures, axis=1), value, loss_gradient, gradient)

    def certify(self, parameters: FloatArray, points: PointBatch) -> FloatArray:
        """Return upper bounds (B,) on J - J* at the points (docs/derivations.md, section 10).

        If the intercepts are stationary, the gradient gives the bound. Otherwise, the slopes and the curvature bound
        the distance to stationary intercepts. Per unit of this distance, the curvature changes by at most a factor of
        e.
        """
        rows, K = self.rows, self.rows.n_rows_coef
        # With three or more classes, the norm includes both classes of a pair. The terms of these have opposite signs.
        root = np.sqrt(2) if K > 1 else 1.0
        error_weight = np.hypot.reduce(
            np.einsum("bkj,j->bk", np.abs(parameters).reshape(len(self), K, -1), rows.error_weight), axis=1
        )
        wrong_class_probability = -np.expm1(-points.loss)
        largest = -np.expm1(-points.loss * self.total_weights / self.smallest_weights)
        row_errors = RowErrors.of(
            rows,
            points.loss,
            error_weight,
            wrong_class_probability,
            np.sqrt(wrong_class_probability * largest),
            np.minimum(0.25, largest),
        )
        errors = row_errors.gradient, row_errors.loss, gamma(rows.size + 4)
        if not rows.fit_intercept:
            return self._bound_gap(parameters, points, np.zeros(len(self)), *errors)
        intercept_gradient = points.loss_gradient.reshape(len(self), K, -1)[..., -1]
        slope = np.hypot.reduce(intercept_gradient, axis=1) / root + row_errors.class_sums
        curvature = points.curvatures.sum(axis=1)
        # The last term is the absolute error of 1 - p.
        curvature_error = 2 * rows.roundings.residual_sum * curvature + row_errors.class_sums + gamma(4)
        lower = _find_smallest_curvature(points.curvatures, K) - curvature_error
        upper = curvature + curvature_error
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            distance = -np.log1p(-slope / lower)
            moved = root * distance * upper * np.exp(distance)
            bound = slope * distance + self._bound_gap(parameters, points, moved, *errors)
        return np.where((slope < lower) & (bound == bound), bound, np.inf)

    def stationary_gaps(self, parameters: FloatArray, points: PointBatch) -> FloatArray:
        """Return bounds (B,) on J - J* for stationary intercepts. They ignore rounding errors."""
        zeros = np.zeros(len(self))
        return self._bound_gap(parameters, points, zeros, zeros, zeros, 0.0)

    def _bound_gap(self, parameters, points, moved, gradient_error, loss_error, rounding):
        """Return upper bounds (B,) on J - J* after the intercepts have moved to a stationary point.

        The slope of a column changes by at most `moved` (B,) times the largest entry of the column. The error of the
        slope is `gradient_error` (B,) times the error weight of the column. `loss_error` (B,) is the error of the loss,
        and `rounding` is the relative error of a sum over the parameters.
        """
        rows, curvatures = self.rows, self._remove_intercepts(self.curvatures)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if self._l1.any():
                errors = gradient_error[:, None] * rows.gradient_error_weights + moved[:, None] * np.sqrt(
                    rows.largest_squares
                )
                return self._bound_gap_with_l1(parameters, points, curvatures, errors, loss_error, rounding)
            slopes, penalty = self._remove_intercepts(points.gradient), points.value - points.loss
            size = np.sqrt(np.einsum("bj,bj->b", slopes, slopes / curvatures))
            size += gradient_error * rows.error_weight_norm / np.sqrt(self._l2) + rounding * (
                np.sqrt(2 * penalty) + size
            )
            size += moved * np.sqrt(np.sum(rows.largest_squares / curvatures[:, : len(rows.error_weight) - 1], axis=1))
            return 0.5 * size**2

    def _bound_gap_with_l1(self, parameters, points, curvatures, errors, loss_error, rounding):
        """Return the bounds of `_bound_gap` with an L1 penalty. `errors` (B, d) bound the errors of the slopes."""
        arrays = parameters, points.loss_gradient, self.thresholds
        at, slopes, thresholds = map(self._remove_intercepts, arrays)
        sizes, slope_magnitudes = np.abs(at), np.abs(slopes)
        penalty = self.compute_quadratic_penalty(parameters) + np.einsum("bj,bj->b", thresholds, sizes)
        # The dual point at the probabilities gives a bound that is a sum over the coefficients. Each term is the
        # penalty plus the linear term, minus the minimum of this sum at `minimizers`. Without L2, the bound is infinite
        # if a slope exceeds the threshold.
        minimizers = -np.copysign(np.maximum(slope_magnitudes - thresholds, 0.0), slopes) / curvatures
        gaps_across_zero = sizes * (thresholds + np.copysign(slopes, slopes * at))
        gaps_across_zero += 0.5 * curvatures * (at**2 + minimizers**2)
        gaps = np.where(at * minimizers > 0, 0.5 * curvatures * (at - minimizers) ** 2, gaps_across_zero)
        changes = np.abs(at - minimizers)
        bound = (1 + rounding) * np.sum(gaps + changes * errors + 0.5 * errors**2 / curvatures, axis=1)
        # This bound uses the last dual point from labels to probabilities whose slopes do not exceed the thresholds.
        products, product_error = np.einsum("bj,bj->b", at, slopes), np.einsum("bj,bj->b", sizes, errors)
        product_error += rounding * (penalty + np.einsum("bj,bj->b", sizes, slope_magnitudes))
        violation = (1 + gamma(8)) * ((slope_magnitudes + errors) / thresholds).max(axis=1, initial=0.0)
        lost = np.where(violation <= 1, 0.0, 1 - 1 / violation + gamma(4))
        entropy = points.loss + loss_error - products + product_error
        return np.fmin(bound, penalty + products + product_error + lost * entropy)

    def _remove_intercepts(self, values):
        """Return `values` (B, m) without the columns of the intercepts."""
        return values.reshape(len(values), self.rows.n_rows_coef, -1)[..., :-1].reshape(len(values), -1)


def _find_smallest_curvature(curvatures, n_rows_coef):
    """Return the smallest curvature (B,) along the intercepts.

    `curvatures` (B, n_pairs) are those of `PointBatch`. For three or more classes, the result is half the smallest
    eigenvalue of the Hessian over directions that sum to zero, minus the rounding error.
    """
    if n_rows_coef == 1:
        return curvatures[:, 0]
    hessians = np.zeros((len(curvatures), n_rows_coef, n_rows_coef))
    k, m = np.triu_indices(n_rows_coef, 1)
    hessians[:, k, m] = hessians[:, m, k] = -curvatures
    np.einsum("bkk->bk", hessians)[...] = -hessians.sum(axis=2)
    return 0.5 * np.linalg.eigvalsh(hessians)[:, 1] - gamma(10 * n_rows_coef**2) * curvatures.sum(axis=1)
