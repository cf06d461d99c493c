"""The stopping rules, certificates and histories of all solvers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import log
from time import perf_counter
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from fastlin.kernels.linear.quasi_newton import CLASS_SUM_TOL, compute_allowed_gap
from fastlin.objective.objective import FloatRangeError
from fastlin.solvers.solution import (
    AT_ROUNDING_LIMIT,
    CONVERGED,
    MAX_ITER_REACHED,
    SEPARABLE_CLASSES,
    STALLED,
    STOPPED_BY_CALLBACK,
    Iteration,
    Solution,
    StopReason,
)
from fastlin.solvers.tuning import (
    DEFAULT_TOL,
    GAP_RELAXATION_FACTOR,
    INNER_TOL,
    MIN_DECREASE_RATIO,
    N_RECENT_ITERATIONS,
    VALUE_EPS,
)
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.objective.point import Point
    from fastlin.objective.row_space import RowPoint

# The type of a callback after each iteration. The arguments are the number of the iteration, the Iteration, and a
# function that returns the parameters (K, d + 1). If the callback returns a true value, the fit stops.
IterationCallback: TypeAlias = Callable[[int, Iteration, Callable[[], FloatArray]], object]


@dataclass(eq=False)
class Stopping:
    """The stopping rule and the history of a fit.

    The rule "suboptimality" is satisfied if J - J* is at most `allowed_gap`. The duality gap plus the rounding error
    bounds J - J*. Without a bound, the solver's estimate is used. If the rounding error alone exceeds `allowed_gap`,
    it is not added to the gap.

    The rule "gradient" is satisfied if no entry of the gradient exceeds tol and the smaller of gap and estimate is at
    most `allowed_gap`. If tol is at most DEFAULT_TOL, the allowed gap is GAP_RELAXATION_FACTOR times as large under
    three conditions: the gradient has been small for N_RECENT_ITERATIONS iterations, J decreased by at most this gap in
    these iterations, and the gap is at most a fraction of J.

    At most ``max_iter`` iterations are recorded. ``on_iteration`` is called after each iteration (see
    `IterationCallback`). `null_objective` is a lower bound on J of the null model. `gap_floor` is the rounding error of
    a computed gap.
    """

    objective: Objective
    tol: float
    rule: Literal["suboptimality", "gradient"]
    max_iter: int
    on_iteration: IterationCallback | None = None
    objective_floor: float = 0.0
    history: list[Iteration] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start the timer, and compute the constants of the objective."""
        objective = self.objective
        self._is_stopped, self._start_time, self._n_passes_before = False, perf_counter(), objective.n_passes
        self._lower_bound = self._dual_value = -np.inf
        self._best_point: Point | None = None
        # If one class has all the weight, J approaches zero but does not reach zero.
        has_one_weighted_class = np.count_nonzero(objective.class_weights) == 1
        equal_probability_loss = log(len(objective.class_weights))
        self.objective_floor = equal_probability_loss if has_one_weighted_class else self.objective_floor
        self.null_objective = np.inf if has_one_weighted_class else objective.null_model.lower_bound
        # If the penalty is not smooth, gaps are computed as differences of values.
        self.gap_floor, penalty = 2 * CLASS_SUM_TOL * self.null_objective, objective.penalty
        if penalty.is_smooth and penalty.is_bounded:
            entry = CLASS_SUM_TOL / float(np.minimum.reduce(penalty.arrays.roots, initial=1.0))
            self.gap_floor = min(self.gap_floor, 0.5 * objective.n_rows_coef * len(penalty.factors) * entry * entry)
        self._separable_loss, self._vanishing_value = (
            DEFAULT_TOL * equal_probability_loss,
            VALUE_EPS[np.float64] * equal_probability_loss,
        )

    def begin(self, point: Point) -> float:
        """Observe the starting point. Raise a FloatRangeError if J or the gradient is not finite."""
        if not point.is_finite:
            raise FloatRangeError("the objective or its gradient is not finite at the start")
        return self.update_bounds(point)

    def update_bounds(self, point: Point) -> float:
        """Update the best point and the lower bound on J*. Return the gap. In float32, the gap is an estimate."""
        dual_value = max(point.dual_value, self._dual_value)
        if point.precision == np.float64:
            self._lower_bound = max(self._lower_bound, point.lower_bound())
            self._dual_value = dual_value
            if self._best_point is None or _is_better_point(point, self._best_point):
                self._best_point = point
        return _measure_duality_gap(point, dual_value)

    def has_converged(self) -> bool:
        """Return whether the best point in float64 meets the criterion, perhaps after its intercept was optimized."""
        best = self._best_point
        return best is not None and self.is_criterion_met(best, self.update_bounds(best), np.inf)

    def update_dual_value(self, value: float, rounding: float) -> None:
        """Update the lower bound on J* with a dual value in float64. `rounding` bounds its rounding error."""
        self._lower_bound = max(self._lower_bound, value - rounding)
        self._dual_value = max(self._dual_value, value)

    @property
    def n_passes(self) -> float:
        """The number of passes over X that the fit has made."""
        return self.objective.n_passes - self._n_passes_before

    def certify(self, point: Point) -> float:
        """Return the upper bound on J - J* at a point in float64, including rounding error."""
        return max(0.0, point.value - self._lower_bound) + point.rounding

    def record(self, point: Point, bound: float) -> None:
        """Record an iteration that ended at a point. If the point is in float64, its certificate replaces the bound."""
        bound = self.certify(point) if point.precision == np.float64 else bound
        self.record_values(point.value, bound, point.largest_subgradient_entry, lambda: point.parameters)

    def record_values(self, value: float, bound: float, gradient: float, parameters: Callable[[], FloatArray]) -> None:
        """Record an iteration, given fields of the `Iteration` and a function that returns the parameters."""
        seconds = perf_counter() - self._start_time
        self.history.append(Iteration(value, bound, gradient, self.n_passes, seconds))
        if self.on_iteration is not None and self.on_iteration(len(self.history), self.history[-1], parameters):
            self._is_stopped = True

    def allowed_gap(self, point: Point | RowPoint, tol: float | None = None) -> float:
        """Return the largest suboptimality of a point that the tolerance allows. None means that of the fit."""
        return compute_allowed_gap(
            self.tol if tol is None else tol,
            point.value,
            point.value if point.value > self.objective_floor else self.objective_floor,
            point.squares,
            self.null_objective,
            VALUE_EPS[point.precision],
            self.gap_floor,
        )

    def update_with_intercept(self, point: Point) -> float:
        """Observe a point and, if useful, the same point with an optimized intercept. Return the bound."""
        bound = self.update_bounds(point)
        # With many classes, a single step can tighten the bound by more than a factor of ten
        # (docs/benchmarks/design-choices.md: optimized intercepts).
        optimized_parameters = point.optimize_intercept() if self.intercept_limits_bound(point, bound) else None
        if optimized_parameters is None:
            return bound
        # The first pass may be in float32, because a pass in float64 takes twice as long.
        optimized_point = self.objective.at(optimized_parameters, point.precision)
        has_converged = self.update_bounds(optimized_point) <= self.allowed_gap(optimized_point)
        if has_converged and optimized_point.precision != np.float64:
            optimized_point = self.objective.at(optimized_parameters)
            self.update_bounds(optimized_point)
        return min(bound, _measure_duality_gap(point, max(optimized_point.dual_value, self._dual_value)))

    def intercept_limits_bound(self, point: Point, bound: float) -> bool:
        """Return whether the bound exceeds the allowed gap only because the intercept is not stationary."""
        if self.rule != "suboptimality" or bound == np.inf:
            return False
        return point.stationary_gap <= self.allowed_gap(point) < bound

    def is_criterion_met(self, point: Point, bound: float, decrement: float) -> bool:
        """Return whether a point satisfies the stopping rule. `decrement` is half the squared Newton decrement."""
        allowed = self.allowed_gap(point)
        # J is not negative, and it has no accurate digits if it is below `_vanishing_value`.
        if not self.objective.penalty.is_bounded and point.value <= max(allowed, self._vanishing_value):
            return True
        if self.rule == "gradient":
            is_small, last = point.largest_subgradient_entry <= self.tol, self.history[-N_RECENT_ITERATIONS - 1 :]
            is_gradient_small = len(last) > N_RECENT_ITERATIONS and all(
                iteration.gradient <= self.tol for iteration in last
            )
            if is_gradient_small and bound <= MIN_DECREASE_RATIO * point.value:
                relaxed_allowed_gap = self.allowed_gap(
                    point, max(self.tol, GAP_RELAXATION_FACTOR * min(self.tol, DEFAULT_TOL))
                )
                # A small estimate is not reliable while J decreases by more than the relaxed gap.
                allowed = relaxed_allowed_gap if last[0].objective - point.value <= relaxed_allowed_gap else allowed
            return is_small and min(bound, decrement) <= allowed
        if not self.objective.penalty.is_bounded:
            return min(bound, decrement) <= allowed
        if bound == np.inf:
            return decrement <= allowed
        if point.precision == np.float64:
            certificate = self.certify(point)
            # The rounding error is ignored only if it exceeds the allowed gap by itself and is small compared with J.
            should_ignore_rounding = allowed <= certificate - bound <= INNER_TOL * point.value
            bound = bound if should_ignore_rounding else certificate
        return bound <= allowed

    def find_stop_reason(self, point: Point, bound: float, decrement: float) -> StopReason | None:
        """Return why the fit stops at a point, or None. Only a point in float64 can meet the criterion."""
        is_criterion_met = point.precision == np.float64 and self.is_criterion_met(point, bound, decrement)
        has_no_penalty = self.objective.penalty.is_zero
        if ((is_criterion_met and has_no_penalty) or point.value < self._separable_loss) and self._is_separated(point):
            return SEPARABLE_CLASSES
        if is_criterion_met:
            return CONVERGED
        return MAX_ITER_REACHED if self.must_stop() else None

    def must_stop(self) -> bool:
        """Return whether `max_iter` is reached, or a callback stopped the fit."""
        return self._is_stopped or len(self.history) >= self.max_iter

    def find_stall_reason(self, point: Point, bound: float, decrement: float) -> StopReason:
        """Return the StopReason if no step decreases J at a point: CONVERGED, AT_ROUNDING_LIMIT or STALLED."""
        if self.rule != "gradient" and bound <= self.allowed_gap(point):
            return CONVERGED
        # If column means are far from zero, the rounding error of J is larger and conceals larger decreases.
        invisible_decrease = max(
            VALUE_EPS[np.float64] * abs(point.value), min(point.rounding, self.tol * abs(point.value))
        )
        # If the bound does not certify any digit of J, the estimate is not reliable.
        is_near = bound == np.inf or bound <= INNER_TOL * abs(point.value) + point.rounding + point.dual_value_rounding
        # The sign of such a small decrement is not reliable either.
        return AT_ROUNDING_LIMIT if is_near and abs(decrement) <= invisible_decrease else STALLED

    def _is_separated(self, point):
        """Return whether J has no minimum: a coefficient has no penalty, and every row is classified correctly.

        A row is classified correctly if its loss is below log(2), because the probability of the label then exceeds
        1/2. With offsets, this must also be true without them.
        """
        objective, rows = self.objective, self.objective.rows
        box = objective.penalty.box
        if box is not None and not box.is_cone:
            return False
        max_separated_loss = rows.smallest_weight * log(2) / rows.total_weight
        if objective.penalty.is_bounded or rows.has_targets or not point.loss < max_separated_loss:
            return False
        return rows.offset_range is None or rows.evaluate_without_offsets(point.parameters)[0] < max_separated_loss

    @property
    def best(self) -> Point:
        """The best observed point in float64."""
        assert self._best_point is not None
        return self._best_point

    def make_solution(self, stop_reason: StopReason) -> Solution:
        """Return the Solution at the best observed point in float64."""
        best = self.best
        stop_reason = STOPPED_BY_CALLBACK if self._is_stopped and stop_reason == MAX_ITER_REACHED else stop_reason
        return Solution(
            best.parameters,
            best.value,
            best.loss,
            best.gradient,
            self.certify(best),
            stop_reason,
            self.history,
            self.n_passes,
        )


def _measure_duality_gap(point, dual_value):
    """Return the gap between J at a point and a dual value, or the rounding error of the gap if it is larger.

    If probabilities and labels have the same class sums, the gap is computed from the gradient, without cancellation.
    """
    gap = max(0.0, point.value - dual_value) + CLASS_SUM_TOL * point.value
    if point.objective.penalty.is_smooth and max(map(abs, point.gradient[:, -1].tolist())) <= CLASS_SUM_TOL:
        return min(gap, point.stationary_gap)
    return gap


def _is_better_point(point, other):
    """Return whether J is lower at `point` than at `other`. If both values agree up to rounding, compare the gaps."""
    if abs(point.value - other.value) > VALUE_EPS[np.float64] * abs(other.value):
        return point.value < other.value
    return point.stationary_gap <= other.stationary_gap


def is_slow(decrements: Sequence[float], target: float, switch_threshold: int) -> bool:
    """Return whether, at the recent rate, decrements reach the target only after more than `switch_threshold` steps."""
    half = switch_threshold // 2
    if len(decrements) < switch_threshold or len(decrements) % half:
        return False
    if max(decrements[-half:]) <= target:
        return True
    before, now = max(decrements[-half], 0), max(decrements[-1], np.finfo(np.float64).tiny)
    rate = np.log(max(before, now) / now) / half
    return np.log(max(now / max(target, np.finfo(np.float64).tiny), 1.0)) > rate * switch_threshold
