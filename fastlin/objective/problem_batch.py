"""Many objectives over the same rows: they differ in labels, weights of the rows and strength of the penalty.

For each of B problems J is that of objective.py with K rows of coefficients and a penalty on every coefficient. All
have the same number of classes; two, where K is 1, may have offsets of the rows and an L1 penalty. A `ProblemBatch` holds some
problems, and evaluates and certifies them side by side: one pass over X serves all of them. What a problem computes
does not depend on the others of its batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from fastlin.kernels.linear.operands import NO_DOUBLE, NO_ROWS, Samples
from fastlin.objective.null_model import NullModel, fit_null_model
from fastlin.objective.rounding import Roundings, RowErrors, gamma
from fastlin.objective.rows import OffsetRange, make_samples
from fastlin.typing import FloatArray, FloatType, IntArray

if TYPE_CHECKING:
    from fastlin.matrices import Matrix
    from fastlin.objective.coordinates import Coordinates

# The fewest and the most problems of a batch. Between them it has MAX_ROWS of BATCH_NUMBERS coefficients at most, so that
# the scores of a tile stay in the second-level cache, and its labels and weights take BATCH_BYTES.
MIN_BATCH_SIZE, MAX_BATCH_SIZE, MAX_ROWS, BATCH_NUMBERS, BATCH_BYTES = 8, 128, 256, 1 << 15, 1 << 26


def count_batch_size(n_rows: int, n_features: int, n_rows_coef: int = 1) -> int:
    """Return how many problems make a batch: their coefficients, labels and weights stay in memory near the processor."""
    by_columns = min(BATCH_NUMBERS // max(1, n_features), MAX_ROWS) // n_rows_coef
    row_bytes = 9 if n_rows_coef == 1 else 12
    together = min(by_columns, BATCH_BYTES // (row_bytes * max(1, n_rows)), MAX_BATCH_SIZE)
    return max(MIN_BATCH_SIZE, together // MIN_BATCH_SIZE * MIN_BATCH_SIZE)


class Variant(NamedTuple):
    """The loss of some classes, each with some weight, and its penalties, at least one of them above zero."""

    labels: np.ndarray  # (n,), the numbers of classes
    l2: float
    weights: np.ndarray | None = None  # (n,), at least zero; None for ones. Problems of one batch have them or not.
    start: np.ndarray | None = None  # (m,) parameters; None for intercepts without features
    l1: float = 0.0  # Problems of one batch have it or not; with it they have two classes.


class Points(NamedTuple):
    """J of some problems of a batch, each at a point of its own; m is K (d + 1)."""

    loss: np.ndarray  # (B,), the mean losses
    curvatures: np.ndarray  # (B, pairs), the means of p_k p_l of each pair of classes, of two classes of p (1 - p)
    value: np.ndarray  # (B,), J
    of_loss: np.ndarray  # (B, m), the gradients of the losses
    gradient: np.ndarray  # (B, m), those of J without its L1 penalty


@dataclass(eq=False)
class SharedRows:
    """What the problems share: rows with offsets (n, 1), coordinates, and penalty factors above zero (d,).

    `batch_size` make a batch.
    """

    matrix: Matrix
    coordinates: Coordinates
    factors: FloatArray
    fit_intercept: bool
    batch_size: int = 0  # zero for as many as `count_batch_size` says
    offsets: FloatArray | None = None
    n_rows_coef: int = 1
    # What single problems have, and batches do not.
    has_targets = False
    min_fraction = 0.0

    def __post_init__(self) -> None:
        """Add what follows from the rest."""
        matrix, coordinates, factors, offsets = self.matrix, self.coordinates, self.factors, self.offsets
        (n, d), K = matrix.shape, self.n_rows_coef
        self.batch_size, self.n_rows, self.size = self.batch_size or count_batch_size(n, d, K), n, K * (d + 1)
        samples = make_samples(np.zeros(n, np.int32), offsets=offsets)
        self.offset_size = float(np.abs(samples.offsets).max(initial=0.0))
        self._offset_range: OffsetRange | None = None
        if offsets is not None:
            self.offsets = samples.offsets
            found = OffsetRange.of(samples.offsets, samples.weights, float(n))
            # Weights of a problem may lie on the largest offsets.
            self._offset_range = found._replace(root_mean_square=self.offset_size)
        scaling = coordinates.scaling
        self.passes = matrix.passes(samples, scaling, self.batch_size * K)
        self.roundings = Roundings.of(self.passes.longest_sum, matrix.longest_row, K)
        # The curvature of the penalty by each parameter where l2 is one, and the threshold where l1 is one.
        self.units = np.tile(np.append(factors * coordinates.scale**2, 0.0), K)
        self.thresholds = np.tile(np.append(factors * coordinates.scale, 0.0), K)
        # A column perturbs a score by its largest entry at most, whatever the weights of the rows are. Peaks are distances
        # from the mean, which the rounding of the shift leaves off zero.
        distances = np.sqrt(coordinates.mean_squares[:-1] * np.maximum(coordinates.peaks, 1.0))
        largest = (distances + np.abs(coordinates.mean)) ** 2
        self.largest_squares = largest
        error_weight, self.gradient_error_weights = self.passes.measure_error_weights(np.sqrt(largest))
        self.error_weight = np.append(error_weight, 1.0)
        roots = coordinates.scale * np.sqrt(factors)
        self.error_weight_norm = float(np.sqrt(np.sum((self.gradient_error_weights / roots) ** 2)))

    def fit_null_model(self, labels: IntArray, weights: FloatArray | None, class_weights: FloatArray) -> NullModel:
        """Return the null model of a problem; class_weights (n_classes,) sum to one."""
        offsets = NO_DOUBLE if self.offsets is None else self.offsets
        samples = Samples(NO_ROWS, labels, np.empty(0) if weights is None else weights, offsets)
        return fit_null_model(samples, class_weights, self._offset_range, self.fit_intercept)

    def gram(self, row_weights: FloatArray, precision: FloatType) -> FloatArray:
        """Return sum_i w_i [x~_i, 1] [x~_i, 1]', (m, m), for row_weights w (n,)."""
        gram = self.passes.gram(NO_ROWS, row_weights[None], precision)[0]
        if not self.fit_intercept:
            gram[-1], gram[:, -1] = 0, 0
        return gram

    def finish(
        self, parameters: FloatArray, gradient: FloatArray, l2: float, l1: float, dtype: DTypeLike
    ) -> tuple[FloatArray, FloatArray, float]:
        """Return coef (K, d), intercept (K,) and J's largest rise as in `Objective.finish`, or infinity."""
        mean_square, shape = float(self.largest_squares.sum() + 1), (self.n_rows_coef, -1)
        parameters = parameters.reshape(shape)
        if self.n_rows_coef > 1:
            parameters = parameters - parameters.mean(axis=0)
        given = parameters, gradient.reshape(shape), l2 * self.units.reshape(shape)[0], mean_square, dtype
        coef, intercept, change, is_finite, rise = self.coordinates.round_off(*given)
        rise += l1 * float(np.sum(self.thresholds.reshape(shape) * np.abs(change)))
        return coef, intercept, rise if is_finite else np.inf


class ProblemBatch:
    """Problems side by side, each in a place of its own; another one may take the place of one that has ended."""

    def __init__(self, rows: SharedRows, n_slots: int, is_weighted: bool) -> None:
        self.rows = rows
        # The softmax of single fits reads labels of four bytes, and is compiled for them.
        self._labels = np.empty((n_slots, rows.n_rows), np.uint8 if rows.n_rows_coef == 1 else np.int32)
        self._weights = np.empty((n_slots if is_weighted else 0, rows.n_rows))
        self.total_weights, self.smallest_weights, self._l2, self._l1 = np.ones((4, n_slots))
        # A lower bound of J of the null model.
        self.null_objective = np.ones(n_slots)

    def __len__(self) -> int:
        """Return the number of places."""
        return len(self._labels)

    def take(self, position: int, problem: Variant) -> FloatArray:
        """Put a problem into a place, and return the parameters (m,) that it starts from."""
        labels, l2, weights, start, l1 = problem
        self._labels[position], self._l2[position], self._l1[position] = labels, l2, l1
        total, smallest, K = float(len(labels)), 1.0, self.rows.n_rows_coef
        if weights is not None:
            self._weights[position] = weights
            total, smallest = float(weights.sum()), float(np.where(weights > 0, weights, np.inf).min())
        if K > 1:
            fractions = np.bincount(labels, weights, minlength=K) / total
        else:
            fraction = (np.count_nonzero(labels) if weights is None else float((weights * labels).sum())) / total
            fractions = np.array([1 - fraction, fraction])
        self.total_weights[position], self.smallest_weights[position] = total, smallest
        null_model = self.rows.fit_null_model(labels, weights, fractions)
        self.null_objective[position] = null_model.lower_bound
        parameters = np.zeros((K, self.rows.size // K))
        parameters[:, -1] = null_model.intercepts
        return parameters.ravel() if start is None else start

    def keep(self, positions: IntArray) -> None:
        """Give up all places but some."""
        for name in ("_labels", "total_weights", "null_objective", "smallest_weights", "_l2", "_l1"):
            setattr(self, name, getattr(self, name)[positions])
        self._weights = self._weights[positions] if len(self._weights) else self._weights

    @property
    def curvatures(self) -> FloatArray:
        """The curvature of the penalty by each parameter, (B, m)."""
        return self._l2[:, None] * self.rows.units

    @property
    def thresholds(self) -> FloatArray:
        """The slope of the L1 penalty by each parameter, (B, m)."""
        return self._l1[:, None] * self.rows.thresholds

    def measure_squares(self, parameters: FloatArray) -> FloatArray:
        """Return the quadratic penalty (B,) at parameters (B, m)."""
        return 0.5 * np.einsum("bj,bj->b", self.curvatures * parameters, parameters)

    def evaluate(self, parameters: FloatArray) -> Points:
        """Return the Points at parameters (B, m): one pass over X."""
        of_loss, by_class = np.empty(parameters.shape), (-1, self.rows.size // self.rows.n_rows_coef)
        given = parameters.reshape(by_class), self._labels, self._weights, of_loss.reshape(by_class)
        loss, *curvatures = self.rows.passes.evaluate_batch(*given) / self.total_weights
        if not self.rows.fit_intercept:
            of_loss.reshape(by_class)[:, -1] = 0
        of_loss /= self.total_weights[:, None]
        value = loss + self.measure_squares(parameters)
        if self._l1.any():
            value += np.einsum("bj,bj->b", self.thresholds, np.abs(parameters))
        return Points(loss, np.stack(curvatures, axis=1), value, of_loss, of_loss + self.curvatures * parameters)

    def certify(self, parameters: FloatArray, points: Points) -> FloatArray:
        """Return an upper bound (B,) on J - J* at the points (docs/derivations.md, section 10).

        The gradient gives it where the intercepts are stationary. How far they are from there follows from their slopes
        and curvature, which changes by no more than a factor of e for each unit that intercepts move apart.
        """
        rows, K = self.rows, self.rows.n_rows_coef
        # A norm over three or more classes holds both classes of a pair, whose terms are opposite.
        root = np.sqrt(2) if K > 1 else 1.0
        error_weight = np.hypot.reduce(
            np.einsum("bkj,j->bk", np.abs(parameters).reshape(len(self), K, -1), rows.error_weight), axis=1
        )
        missed = -np.expm1(-points.loss)
        largest = -np.expm1(-points.loss * self.total_weights / self.smallest_weights)
        off = RowErrors.of(
            rows, points.loss, error_weight, missed, np.sqrt(missed * largest), np.minimum(0.25, largest)
        )
        errors = off.gradient, off.loss, gamma(rows.size + 4)
        if not rows.fit_intercept:
            return self._bound(parameters, points, np.zeros(len(self)), *errors)
        intercepts = points.of_loss.reshape(len(self), K, -1)[..., -1]
        slope = np.hypot.reduce(intercepts, axis=1) / root + off.class_sums
        curvature = points.curvatures.sum(axis=1)
        # 1 - p has an absolute error.
        of_curvature = 2 * rows.roundings.plain_sum * curvature + off.class_sums + gamma(4)
        least, most = _find_least(points.curvatures, K) - of_curvature, curvature + of_curvature
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            way = -np.log1p(-slope / least)
            moved = root * way * most * np.exp(way)
            bound = slope * way + self._bound(parameters, points, moved, *errors)
        return np.where((slope < least) & (bound == bound), bound, np.inf)

    def natural_gaps(self, parameters: FloatArray, points: Points) -> FloatArray:
        """Return what bounds J - J*, (B,), but for rounding, as soon as the intercepts are stationary."""
        none = np.zeros(len(self))
        return self._bound(parameters, points, none, none, none, 0.0)

    def _bound(self, parameters, points, moved, of_gradient, of_loss, rounding):
        """Return an upper bound (B,) on J - J* where the intercepts have moved so that they are stationary.

        A slope has moved by up to moved (B,) times its column's largest entry, and is off by of_gradient (B,) times the
        column's error weight; the loss is off by of_loss (B,), and a sum over parameters by rounding times it.
        """
        rows, curvatures = self.rows, self._by_coefficients(self.curvatures)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if self._l1.any():
                errors = of_gradient[:, None] * rows.gradient_error_weights + moved[:, None] * np.sqrt(
                    rows.largest_squares
                )
                return self._bound_with_l1(parameters, points, curvatures, errors, of_loss, rounding)
            slopes, penalty = self._by_coefficients(points.gradient), points.value - points.loss
            size = np.sqrt(np.einsum("bj,bj->b", slopes, slopes / curvatures))
            size += of_gradient * rows.error_weight_norm / np.sqrt(self._l2) + rounding * (np.sqrt(2 * penalty) + size)
            size += moved * np.sqrt(np.sum(rows.largest_squares / curvatures[:, : len(rows.error_weight) - 1], axis=1))
            return 0.5 * size**2

    def _bound_with_l1(self, parameters, points, curvatures, errors, of_loss, rounding):
        """Return what `_bound` does by the slopes, which are off by errors (B, d), each beside its own penalty."""
        given = parameters, points.of_loss, self.thresholds
        at, slopes, thresholds = map(self._by_coefficients, given)
        sizes, steep = np.abs(at), np.abs(slopes)
        penalty = self.measure_squares(parameters) + np.einsum("bj,bj->b", thresholds, sizes)
        # By the dual point of the probabilities: how far each penalty with its slope is above its least value, `down`.
        # Without L2 there is none where a slope is beyond its threshold.
        down = -np.copysign(np.maximum(steep - thresholds, 0.0), slopes) / curvatures
        apart = sizes * (thresholds + np.copysign(slopes, slopes * at)) + 0.5 * curvatures * (at**2 + down**2)
        above = np.where(at * down > 0, 0.5 * curvatures * (at - down) ** 2, apart)
        bound = (1 + rounding) * np.sum(above + np.abs(at - down) * errors + 0.5 * errors**2 / curvatures, axis=1)
        # By the last point on the way from the labels to the probabilities where no slope is beyond its threshold.
        products, off = np.einsum("bj,bj->b", at, slopes), np.einsum("bj,bj->b", sizes, errors)
        off += rounding * (penalty + np.einsum("bj,bj->b", sizes, steep))
        beyond = (1 + gamma(8)) * ((steep + errors) / thresholds).max(axis=1, initial=0.0)
        left = np.where(beyond <= 1, 0.0, 1 - 1 / beyond + gamma(4))
        return np.fmin(bound, penalty + products + off + left * (points.loss + of_loss - products + off))

    def _by_coefficients(self, numbers):
        """Return numbers (B, m) without those of intercepts."""
        return numbers.reshape(len(numbers), self.rows.n_rows_coef, -1)[..., :-1].reshape(len(numbers), -1)


def _find_least(curvatures, n_rows_coef):
    """Return the least curvature by the intercepts, (B,), from those of pairs of classes, (B, pairs).

    For three or more classes it is half the smallest eigenvalue of the Hessian on ways that sum to zero, less rounding.
    """
    if n_rows_coef == 1:
        return curvatures[:, 0]
    hessians = np.zeros((len(curvatures), n_rows_coef, n_rows_coef))
    k, m = np.triu_indices(n_rows_coef, 1)
    hessians[:, k, m] = hessians[:, m, k] = -curvatures
    np.einsum("bkk->bk", hessians)[...] = -hessians.sum(axis=2)
    return 0.5 * np.linalg.eigvalsh(hessians)[:, 1] - gamma(10 * n_rows_coef**2) * curvatures.sum(axis=1)
