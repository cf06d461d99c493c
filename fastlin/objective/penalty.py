"""The penalty of objective.py in the coordinates of the solvers: the value, conjugate and slopes.

Outside the bounds of a Box, the penalty is infinite. In scaled coordinates, the penalty of V_kj has the curvature l2
f_j scale_j^2 and the threshold l1 f_j scale_j. The proximal operator is `shrink` in kernels/linear/penalties.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import hypot, sqrt
from typing import TYPE_CHECKING, Self

import numpy as np

from fastlin.kernels.linear.penalties import (
    EMPTY_BOUNDS,
    MAX_FEASIBLE_STEP,
    MAX_SUBGRADIENT,
    PenaltyArrays,
    ProbabilityTransfer,
    fill_block_dual,
    fill_block_penalties,
)
from fastlin.kernels.machine.threads import COPIED_NUMBER_WORK, count_work_blocks, run_blocks
from fastlin.typing import BoolArray, FloatArray

if TYPE_CHECKING:
    from fastlin.objective.rows import Rows

# Larger penalties are clipped, because sums would leave the range of float64. The coefficients are zero in both cases.
MAX_PENALTY = 1e300


@dataclass(frozen=True, eq=False)
class Box:
    """Lower and upper bounds on the coefficients. At least one bound is finite."""

    lower: np.ndarray  # (K, d), bounds on the coefficients; infinite if there is no bound
    upper: np.ndarray
    parameter_lower_bounds: np.ndarray  # (K, d + 1), bounds on the parameters; the intercept has none
    parameter_upper_bounds: np.ndarray

    @classmethod
    def of(cls, bounds: tuple[FloatArray, FloatArray], scale: FloatArray) -> Self:
        """Return the Box for lower and upper bounds (K, d) and the scale (d,) of the columns."""
        lower, upper = bounds
        shape = len(lower), len(scale) + 1
        parameter_lower_bounds, parameter_upper_bounds = np.full(shape, -np.inf), np.full(shape, np.inf)
        # A scaled bound outside the range of float64 is replaced by the largest finite number.
        largest = np.finfo(np.float64).max
        for bound, scaled in ((lower, parameter_lower_bounds), (upper, parameter_upper_bounds)):
            with np.errstate(over="ignore"):
                scaled_bound = np.clip(bound / scale, -largest, largest)
            scaled[:, :-1] = np.where(np.isfinite(bound), scaled_bound, bound)
        return cls(lower, upper, parameter_lower_bounds, parameter_upper_bounds)

    @cached_property
    def is_bounded(self) -> BoolArray:
        """Whether each feature has a bound in at least one class. The array has shape (d,)."""
        return (np.isfinite(self.lower) | np.isfinite(self.upper)).any(axis=0)

    @cached_property
    def is_cone(self) -> bool:
        """Whether multiplying by a positive number never moves coefficients out of the bounds."""
        return all(bool((np.isinf(bounds) | (bounds == 0)).all()) for bounds in (self.lower, self.upper))

    @cached_property
    def values_nearest_zero(self) -> FloatArray:
        """The parameters (K, d) nearest to zero within the bounds."""
        return self.clip(np.zeros(self.parameter_lower_bounds.shape))[:, :-1]

    def clip(self, parameters: FloatArray) -> FloatArray:
        """Return the parameters (K, d + 1), clipped to the bounds."""
        return np.minimum(np.maximum(parameters, self.parameter_lower_bounds), self.parameter_upper_bounds)

    def is_free(self, parameters: FloatArray) -> BoolArray:
        """Return whether each of the parameters (K, d + 1) is strictly between its bounds."""
        return (self.parameter_lower_bounds < parameters) & (parameters < self.parameter_upper_bounds)

    def round_coef(self, coef: FloatArray, parameters: FloatArray) -> FloatArray:
        """Return coef (K, d) within the bounds, if the dtype permits. `coef` was computed from the parameters."""
        kind = coef.dtype.type
        # Bounds outside the range of float32 become infinite.
        with np.errstate(over="ignore"):
            lower, upper = self.lower.astype(kind), self.upper.astype(kind)
        rounded_lower_bound = lower
        # Bounds are rounded towards the interior.
        lower = np.where(lower < self.lower, np.nextafter(lower, kind(np.inf)), lower)
        upper = np.where(upper > self.upper, np.nextafter(upper, kind(-np.inf)), upper)
        coef = np.where(parameters[:, :-1] <= self.parameter_lower_bounds[:, :-1], lower, coef)
        coef = np.where(parameters[:, :-1] >= self.parameter_upper_bounds[:, :-1], upper, coef)
        coef = np.minimum(np.maximum(coef, lower), upper)
        return np.where(lower > upper, rounded_lower_bound, coef).astype(kind)

    def measure_subgradient(
        self, parameters: FloatArray, slopes: FloatArray, thresholds: FloatArray, scale: FloatArray
    ) -> float:
        """Return the largest entry of the smallest subgradient with respect to the coefficients.

        `slopes` (K, d) are derivatives of the smooth part with respect to the coefficients of the original columns,
        multiplied by `scale` (d,). `thresholds` (d,) are the slopes of the L1 penalty.
        """
        values, lower, upper = (
            parameters[:, :-1],
            self.parameter_lower_bounds[:, :-1],
            self.parameter_upper_bounds[:, :-1],
        )
        left_slopes = slopes + np.where(values > 0, thresholds, -thresholds)
        right_slopes = slopes + np.where(values < 0, -thresholds, thresholds)
        left_descent_slopes = np.where(values > lower, left_slopes, 0)
        right_descent_slopes = np.where(values < upper, -right_slopes, 0)
        return float((np.maximum(np.maximum(left_descent_slopes, right_descent_slopes), 0) / scale).max(initial=0.0))


@dataclass(frozen=True, eq=False)
class Penalty:
    """The L1 and L2 penalties, and their contributions to the objective."""

    l2: float  # the penalty strengths, without the factors
    l1: float
    factors: np.ndarray  # (d,), f_j
    group_lasso: bool  # whether l1 multiplies the norms of the features' coefficients over the classes
    curvatures: np.ndarray  # (d + 1,), the second derivatives due to l2; zero for the intercept
    thresholds: np.ndarray  # (d + 1,), the slopes due to l1; zero for the intercept
    arrays: PenaltyArrays  # the arrays that kernels read
    gradient_error_weights: np.ndarray  # (d,), `Rows.gradient_error_weights`
    box: Box | None  # bounds on the coefficients; with bounds, l1 is not grouped
    is_smooth: bool  # whether the penalty has a gradient everywhere
    # Whether every coefficient is penalized or has two bounds, so that J has a minimum and lower bounds on it exist.
    is_bounded: bool
    is_zero: bool  # whether no coefficient is penalized

    @classmethod
    def of(
        cls, rows: Rows, l2: float, l1: float, factors: FloatArray, group_lasso: bool, box: Box | None = None
    ) -> Self:
        """Return the penalty with strengths `l2` and `l1` and factors (d,), in the coordinates of the rows.

        If there is one row of coefficients, or if there are bounds, the L1 penalty is not grouped.
        """
        # The norm of a single coefficient is its absolute value, and the solver for absolute values is much faster
        # (docs/benchmarks/design-choices.md: groups of one).
        group_lasso = group_lasso and rows.n_rows_coef > 1
        scale, shift = rows.coordinates.scale, rows.coordinates.shift
        curvatures, thresholds = np.zeros((2, len(scale) + 1))
        with np.errstate(over="ignore", under="ignore"):
            l2_per_feature = np.minimum(l2 * factors, MAX_PENALTY)
            np.minimum(l2_per_feature * scale * scale, MAX_PENALTY, out=curvatures[:-1])
            if l1:
                np.minimum(l1 * factors * scale, MAX_PENALTY, out=thresholds[:-1])
            # The square root of the curvature is within the range of float64 even if the curvature is not.
            roots = scale * np.sqrt(l2_per_feature)
        lower, upper = (
            (EMPTY_BOUNDS, EMPTY_BOUNDS) if box is None else (box.parameter_lower_bounds, box.parameter_upper_bounds)
        )
        arrays = PenaltyArrays(
            curvatures, thresholds, roots, group_lasso, lower, upper, scale, shift, rows.error_weight
        )
        has_l1 = bool(l1) and bool(thresholds.any())
        is_penalized = (roots > 0) | (thresholds[:-1] > 0)
        if box is not None:
            is_penalized = is_penalized | (np.isfinite(box.lower) & np.isfinite(box.upper))
        return cls(
            l2,
            l1,
            factors,
            group_lasso,
            curvatures,
            thresholds,
            arrays,
            rows.gradient_error_weights,
            box,
            is_smooth=box is None and not has_l1,
            is_bounded=bool(is_penalized.all()),
            is_zero=not (has_l1 or curvatures.any()),
        )

    @cached_property
    def error_weight_norm(self) -> float:
        """The norm of gradient_error_weights / roots. Gradient errors are multiplied by it in the conjugate."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            relative_error_weights = self.gradient_error_weights / self.arrays.roots
            if self.box is not None:
                relative_error_weights = relative_error_weights[self.arrays.roots > 0]
            largest = float(np.maximum.reduce(relative_error_weights, initial=0.0))
            return largest * sqrt(np.add.reduce((relative_error_weights / largest) ** 2)) if largest > 0 else 0.0

    @cached_property
    def largest_error_weight(self) -> float:
        """The largest gradient_error_weights / thresholds. Gradient errors are multiplied by it in the step length."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            relative_error_weights = self.gradient_error_weights / self.thresholds[:-1]
            if self.box is not None:
                # Coefficients without a threshold do not limit the step.
                relative_error_weights = relative_error_weights[self.thresholds[:-1] > 0]
            return float(np.fmax.reduce(relative_error_weights, initial=0.0))

    def scale_thresholds(self, factor: float) -> Penalty:
        """Return the penalty with all thresholds multiplied by a factor."""
        thresholds = factor * self.thresholds
        return replace(self, thresholds=thresholds, arrays=self.arrays._replace(thresholds=thresholds))

    def clip(self, parameters: FloatArray) -> FloatArray:
        """Return the parameters (K, d + 1), clipped to the bounds if there are any."""
        return parameters if self.box is None else self.box.clip(parameters)

    def nonsmooth_value(self, parameters: FloatArray) -> float:
        """Return the L1 or group penalty at the parameters (K, d + 1)."""
        if self.is_smooth:
            return 0.0
        if self.group_lasso:
            sizes = np.sqrt(np.einsum("kj,kj->j", parameters, parameters))
        else:
            sizes = np.abs(parameters).sum(axis=0)
        return float(np.sum(sizes * self.thresholds))

    def fill_penalized_gradient(
        self, total: FloatArray, total_weight: float, parameters: FloatArray, gradient: FloatArray
    ) -> tuple[float, ...]:
        """Fill `gradient` (K, d + 1) with total / total_weight plus the gradient of the quadratic penalty.

        Return the fields of a Point from `penalty` to the last one.
        """
        n_blocks = count_work_blocks(COPIED_NUMBER_WORK * parameters.size, len(self.factors))
        sums, error_weights = np.empty((n_blocks, 6)), np.empty((n_blocks, len(parameters)))
        run_blocks(
            fill_block_penalties,
            n_blocks,
            total,
            total_weight,
            parameters,
            self.arrays,
            gradient,
            sums,
            error_weights,
        )
        totals, class_error_weights = sums[0].tolist(), error_weights[0]
        if n_blocks > 1:
            totals, class_error_weights = np.add.reduce(sums).tolist(), np.add.reduce(error_weights)
            totals[MAX_SUBGRADIENT] = float(np.maximum.reduce(sums[:, MAX_SUBGRADIENT]))
        if self.box is not None:
            scale, shift = self.arrays.scale, self.arrays.shift
            intercept_gradient = gradient[:, -1:]
            largest = self.box.measure_subgradient(
                parameters, gradient[:, :-1] - shift * intercept_gradient, self.thresholds[:-1], scale
            )
            totals[MAX_SUBGRADIENT] = max(largest, float(np.abs(intercept_gradient).max()))
        squares, sizes, *others = totals
        return 0.5 * squares + sizes, *others, hypot(*class_error_weights)

    def conjugate(
        self, parameters: FloatArray, gradient: FloatArray, exchange: ProbabilityTransfer, step: float
    ) -> FloatArray:
        """Return the sums of `fill_block_dual` at a dual point: the conjugate, its derivatives and the largest step.

        The dual point is (1 - step) times the labels plus step times the probabilities after the exchange. At the step
        in the entry MAX_FEASIBLE_STEP, a coefficient without a quadratic penalty leaves the feasible box.
        """
        n_blocks = count_work_blocks(COPIED_NUMBER_WORK * parameters.size, len(self.factors))
        sums = np.empty((n_blocks, 4))
        run_blocks(fill_block_dual, n_blocks, gradient, parameters, self.arrays, exchange, float(step), sums)
        if n_blocks == 1:
            return sums[0]
        totals = np.add.reduce(sums)
        totals[MAX_FEASIBLE_STEP] = np.minimum.reduce(sums[:, MAX_FEASIBLE_STEP])
        return totals

    def compute_gradient_after_exchange(
        self, parameters: FloatArray, gradient: FloatArray, exchange: ProbabilityTransfer
    ) -> FloatArray:
        """Return the gradient (K, d) of the loss after an exchange, as in `conjugate`."""
        loss_gradient = gradient[:, :-1] - self.curvatures[:-1] * parameters[:, :-1]
        if not len(exchange.parts):
            return loss_gradient
        # With two classes, the row of coefficients belongs to the second class.
        rows = slice(-len(loss_gradient), None)
        class_gradients = np.concatenate([-loss_gradient, loss_gradient]) if len(loss_gradient) == 1 else loss_gradient
        transferred_probability_mass = np.einsum("k,kj->j", exchange.parts, class_gradients + exchange.features)
        lost = exchange.parts[rows, None] * (loss_gradient + exchange.features[rows])
        return loss_gradient + exchange.received_fractions[rows, None] * transferred_probability_mass - lost


class BoxDual:
    """The dual objective with bounds, as a function of the step from the labels.

    Above the step `limit`, the conjugate is infinite. The maximizer of each term of the conjugate is
    shrink(slope, threshold) / curvature, clipped to the bounds. Without curvature, the maximizer is a bound or the
    value nearest to zero.
    """

    def __init__(self, penalty: Penalty, parameters: FloatArray, slopes: FloatArray) -> None:
        assert penalty.box is not None
        self._box, self._negative_slopes, self._parameters = penalty.box, -slopes, parameters[:, :-1]
        self._thresholds, self._roots = penalty.thresholds[:-1], penalty.arrays.roots
        self._has_root = self._roots > 0
        # The gradient of the loss is a difference, so the rounding error is relative to the slope of the quadratic
        # penalty.
        self._quadratic_slopes = penalty.curvatures[:-1] * np.abs(self._parameters)
        lower, upper = penalty.box.parameter_lower_bounds[:, :-1], penalty.box.parameter_upper_bounds[:, :-1]
        self._target_bounds = np.where(self._negative_slopes > 0, upper, lower)
        # Without a bound in this direction and without a quadratic penalty, the threshold limits the step.
        is_direction_unlimited = ~self._has_root & np.isinf(self._target_bounds) & (self._negative_slopes != 0)
        self._target_bounds = np.where(
            np.isinf(self._target_bounds), penalty.box.values_nearest_zero, self._target_bounds
        )
        limits = np.divide(
            self._thresholds,
            np.abs(self._negative_slopes),
            out=np.full_like(self._negative_slopes, np.inf),
            where=is_direction_unlimited,
        )
        self.limit = float(min(1.0, limits.min(initial=1.0)))

    def conjugate(self, step: float) -> list[float]:
        """Return the conjugate, its first two derivatives in the step, and the sum of the magnitudes of its terms."""
        u, thresholds, roots = self._negative_slopes, self._thresholds, self._roots
        shrunk_slopes = np.maximum(step * np.abs(u) - thresholds, 0)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            # Dividing twice by the roots avoids their squares, which are outside the range of float64 if columns reach
            # 1e150.
            unbounded_maximizers = np.where(self._has_root, np.sign(u) * (shrunk_slopes / roots / roots), 0)
            second_derivatives = np.where(self._has_root, np.square(u / roots), 0)
        clipped_maximizers = self._box.clip(np.column_stack([unbounded_maximizers, np.zeros(len(u))]))[:, :-1]
        maximizers = np.where(
            self._has_root,
            clipped_maximizers,
            np.where(shrunk_slopes > 0, self._target_bounds, self._box.values_nearest_zero),
        )
        products, squares = step * u * maximizers, 0.5 * np.square(roots * maximizers)
        sizes = thresholds * np.abs(maximizers)
        is_interior = (shrunk_slopes > 0) & (clipped_maximizers == unbounded_maximizers)
        return [
            float(np.sum(products - sizes - squares)),
            float(np.sum(u * maximizers)),
            float(np.sum(np.where(is_interior, second_derivatives, 0))),
            float(np.sum(np.abs(products) + sizes + squares + self._quadratic_slopes * np.abs(maximizers))),
        ]

    def measure_maximizer_distances(self, step: float) -> FloatArray:
        """Return the distance (d,) of each feature's coefficients from the maximizers of the conjugate."""
        values, values_nearest_zero = self._parameters, self._box.values_nearest_zero
        nearest_zero_distances, target_bound_distances = (
            np.abs(values - values_nearest_zero),
            np.abs(values - self._target_bounds),
        )
        largest_bound_distances = np.maximum(
            np.abs(values - self._box.parameter_lower_bounds[:, :-1]),
            np.abs(values - self._box.parameter_upper_bounds[:, :-1]),
        )
        is_below_threshold = step * np.abs(self._negative_slopes) <= self._thresholds
        maximizer_distances = np.where(
            self._thresholds > 0,
            np.where(
                is_below_threshold, nearest_zero_distances, np.maximum(nearest_zero_distances, target_bound_distances)
            ),
            largest_bound_distances,
        )
        return np.where(self._has_root, 0.0, np.sqrt(np.sum(np.square(maximizer_distances), axis=0)))


# If probabilities and labels have the same class sums, no exchange is needed.
NO_PROBABILITY_EXCHANGE = ProbabilityTransfer(np.empty((0, 0)), np.empty(0), np.empty(0))
