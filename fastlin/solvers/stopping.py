"""When a solver has arrived: the certificate, the history and the rules of stopping that all solvers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import log
from time import perf_counter
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from fastlin.kernels.linear.quasi_newton import SUM_ROUNDING, compute_allowed_gap
from fastlin.objective.objective import RangeError
from fastlin.solvers.solution import (
    AT_FLOOR,
    LIMITED,
    REACHED,
    SEPARABLE,
    STALLED,
    STOPPED,
    Iteration,
    Solution,
    StopReason,
)
from fastlin.solvers.tuning import (
    INNER_ACCURACY,
    LENIENCE,
    PERSISTENCE,
    ROUNDING,
    TRUSTED,
    USUAL_TOL,
)
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.objective.point import Point
    from fastlin.objective.row_space import RowPoint

# What a solver calls after each iteration, with its number, the Iteration, and a function that returns the parameters
# (K, d + 1) it ended at. Where it returns something true, this iteration is the last one.
OnIteration: TypeAlias = Callable[[int, Iteration, Callable[[], FloatArray]], object]


@dataclass(eq=False)
class Stopping:
    """The rule that ends a fit, and the record of how it went.

    The rule "suboptimality" bounds J - J* by `asked`: by the gap to the best dual value, rounding included, or by the solver's
    estimate where there is none. If the bound on rounding alone exceeds `asked`, the gap as it was computed decides.

    The rule "gradient" wants no entry of the gradient above tol, and the smaller one of gap and estimate within
    `asked`. LENIENCE times `asked` is enough, for tol up to USUAL_TOL, if the gradient was small for some iterations in
    a row, J fell by no more than `asked` in them, and J is not far above the minimum.

    At most ``max_iter`` iterations are recorded. ``on_iteration`` is called after each one with its number, the
    Iteration, and a function that returns its parameters (K, d + 1); a true result ends the fit. `null_objective`
    is a lower bound of J of the null model, and rounding may be the part `floor` of the gap.
    """

    objective: Objective
    tol: float
    rule: Literal["suboptimality", "gradient"]
    max_iter: int
    on_iteration: OnIteration | None = None
    smallest_value: float = 0.0
    history: list[Iteration] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Note where the fit begins, and what follows from its objective."""
        objective = self.objective
        self._is_stopped, self._started, self._n_passes_before = False, perf_counter(), objective.n_passes
        self._lower_bound = self._dual_value = -np.inf
        self._best: Point | None = None
        # Where all weight is on one class, J falls towards zero without end.
        is_single = np.count_nonzero(objective.class_weights) == 1
        equal = log(len(objective.class_weights))
        self.smallest_value = equal if is_single else self.smallest_value
        self.null_objective = np.inf if is_single else objective.null_model.lower_bound
        # Where the penalty is not smooth, gaps are differences of values.
        self.floor, penalty = 2 * SUM_ROUNDING * self.null_objective, objective.penalty
        if penalty.is_smooth and penalty.is_bounded:
            entry = SUM_ROUNDING / float(np.minimum.reduce(penalty.arrays.roots, initial=1.0))
            self.floor = min(self.floor, 0.5 * objective.n_rows_coef * len(penalty.factors) * entry * entry)
        self._separable_loss, self._vanishing_value = USUAL_TOL * equal, ROUNDING[np.float64] * equal

    def begin(self, point: Point) -> float:
        """Take note of the start, return the bound of `observe`; RangeError if J or its gradient is not finite."""
        if not point.is_finite:
            raise RangeError("the objective or its gradient is not finite at the start")
        return self.observe(point)

    def observe(self, point: Point) -> float:
        """Take note of a point and its lower bound of J*; return the gap, an estimate unless in float64."""
        dual_value = max(point.dual_value, self._dual_value)
        if point.precision == np.float64:
            self._lower_bound = max(self._lower_bound, point.lower_bound())
            self._dual_value = dual_value
            if self._best is None or _is_better(point, self._best):
                self._best = point
        return _measure_gap(point, dual_value)

    def has_converged(self) -> bool:
        """Say whether the best point that was seen in float64 has arrived: with its intercept settled it may have."""
        best = self._best
        return best is not None and self.is_criterion_met(best, self.observe(best), np.inf)

    def note_dual(self, value: float, rounding: float) -> None:
        """Take note of a dual value that was computed in float64, and of what rounding can have raised it by."""
        self._lower_bound = max(self._lower_bound, value - rounding)
        self._dual_value = max(self._dual_value, value)

    @property
    def n_passes(self) -> float:
        """How many passes over X the fit has made."""
        return self.objective.n_passes - self._n_passes_before

    def certify(self, point: Point) -> float:
        """Return the upper bound on J - J* at a point in float64, its rounding included."""
        return max(0.0, point.value - self._lower_bound) + point.rounding

    def record(self, point: Point, bound: float) -> None:
        """Write an iteration into the history, with its certificate or bound, and pass it to the caller's function."""
        bound = self.certify(point) if point.precision == np.float64 else bound
        self.note(point.value, bound, point.largest_entry, lambda: point.parameters)

    def note(self, value: float, bound: float, gradient: float, parameters: Callable[[], FloatArray]) -> None:
        """Write an iteration into the history: fields of `Iteration`, and a function that returns its parameters."""
        seconds = perf_counter() - self._started
        self.history.append(Iteration(value, bound, gradient, self.n_passes, seconds))
        if self.on_iteration is not None and self.on_iteration(len(self.history), self.history[-1], parameters):
            self._is_stopped = True

    def asked(self, point: Point | RowPoint, tol: float | None = None) -> float:
        """Return the suboptimality that `compute_allowed_gap` allows at a point, by tol or another tolerance."""
        return compute_allowed_gap(
            self.tol if tol is None else tol,
            point.value,
            point.value if point.value > self.smallest_value else self.smallest_value,
            point.squares,
            self.null_objective,
            ROUNDING[point.precision],
            self.floor,
        )

    def examine(self, point: Point) -> float:
        """Take note of a point, and of one with its intercept settled by a Newton step; return the first bound."""
        bound = self.observe(point)
        # With 300 classes one step took the bound from 18 times what was asked for to within it.
        optimized = point.optimize_intercept() if self.is_worth_settling(point, bound) else None
        if optimized is None:
            return bound
        # In float32 first, where a pass in float64 takes twice as long.
        settling = self.objective.at(optimized, point.precision)
        has_converged = self.observe(settling) <= self.asked(settling)
        if has_converged and settling.precision != np.float64:
            settling = self.objective.at(optimized)
            self.observe(settling)
        return min(bound, _measure_gap(point, max(settling.dual_value, self._dual_value)))

    def is_worth_settling(self, point: Point, bound: float) -> bool:
        """Say whether only the intercept keeps the bound at a point above the asked one."""
        if self.rule != "suboptimality" or bound == np.inf:
            return False
        return point.natural_gap <= self.asked(point) < bound

    def is_criterion_met(self, point: Point, bound: float, decrement: float) -> bool:
        """Say whether a point has arrived; decrement is half the squared Newton decrement."""
        asked = self.asked(point)
        # J is not below zero, and has no digits left so far below the J of equal probabilities.
        if not self.objective.penalty.is_bounded and point.value <= max(asked, self._vanishing_value):
            return True
        if self.rule == "gradient":
            is_small, last = point.largest_entry <= self.tol, self.history[-PERSISTENCE - 1 :]
            persists = len(last) > PERSISTENCE and all(each.gradient <= self.tol for each in last)
            if persists and bound <= TRUSTED * point.value:
                lenient = self.asked(point, max(self.tol, LENIENCE * min(self.tol, USUAL_TOL)))
                # While J falls by more than is asked for, a small estimate is an accident.
                asked = lenient if last[0].objective - point.value <= lenient else asked
            return is_small and min(bound, decrement) <= asked
        if not self.objective.penalty.is_bounded:
            return min(bound, decrement) <= asked
        if bound == np.inf:
            return decrement <= asked
        if point.precision == np.float64:
            certificate = self.certify(point)
            # The bound on rounding is left out only if it alone exceeds the asked bound, and not all of J.
            is_left_out = asked <= certificate - bound <= INNER_ACCURACY * point.value
            bound = bound if is_left_out else certificate
        return bound <= asked

    def why(self, point: Point, bound: float, decrement: float) -> StopReason | None:
        """Return why the fit ends at a point, or None. Only a point in float64 can have arrived."""
        is_criterion_met = point.precision == np.float64 and self.is_criterion_met(point, bound, decrement)
        is_free = self.objective.penalty.is_none
        if ((is_criterion_met and is_free) or point.value < self._separable_loss) and self._is_separated(point):
            return SEPARABLE
        if is_criterion_met:
            return REACHED
        return LIMITED if self.is_over() else None

    def is_over(self) -> bool:
        """Say whether `max_iter` is reached, or the caller has asked for the end."""
        return self._is_stopped or len(self.history) >= self.max_iter

    def why_stalled(self, point: Point, bound: float, decrement: float) -> StopReason:
        """Return why no step leads on from a point: within tol, at the floor of its precision, or stalled."""
        if self.rule != "gradient" and bound <= self.asked(point):
            return REACHED
        # Where columns lie far from zero, J is rounded by more: a gain below that cannot be seen.
        unseen = max(ROUNDING[np.float64] * abs(point.value), min(point.rounding, self.tol * abs(point.value)))
        # Where a bound proves no digit of J, the estimate is wrong.
        is_near = bound == np.inf or bound <= INNER_ACCURACY * abs(point.value) + point.rounding + point.dual_rounding
        # The sign of a decrement that nothing can see is rounding too.
        return AT_FLOOR if is_near and abs(decrement) <= unseen else STALLED

    def _is_separated(self, point):
        """Say whether something is not penalized and every row is proven to be classified right: J has no minimum.

        A loss below log(2) puts a label's probability above one half. Scores have to be right without the offsets.
        """
        objective, rows = self.objective, self.objective.rows
        box = objective.penalty.box
        if box is not None and not box.is_cone:
            return False
        least = rows.smallest_weight * log(2) / rows.total_weight
        if objective.penalty.is_bounded or rows.has_targets or not point.loss < least:
            return False
        return rows.offset_range is None or rows.evaluate_without_offsets(point.parameters)[0] < least

    @property
    def best(self) -> Point:
        """The best point that was seen in float64."""
        assert self._best is not None
        return self._best

    def solution(self, stop_reason: StopReason) -> Solution:
        """Return the best point seen in float64."""
        best = self.best
        stop_reason = STOPPED if self._is_stopped and stop_reason == LIMITED else stop_reason
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


def _measure_gap(point, dual_value):
    """Return the gap at a point to a dual value: no smaller than its last digits, which are rounding.

    If probabilities and labels have the same class sums, the gradient alone gives the gap, whatever the digits of J.
    """
    gap = max(0.0, point.value - dual_value) + SUM_ROUNDING * point.value
    if point.objective.penalty.is_smooth and max(map(abs, point.gradient[:, -1].tolist())) <= SUM_ROUNDING:
        return min(gap, point.natural_gap)
    return gap


def _is_better(point, other):
    """Say whether J is lower at a point than at another, or where rounding decides that, the gap is."""
    if abs(point.value - other.value) > ROUNDING[np.float64] * abs(other.value):
        return point.value < other.value
    return point.natural_gap <= other.natural_gap


def is_slow(decrements: Sequence[float], target: float, patience: int) -> bool:
    """Say whether the distance to the minimum, as it fell lately, takes more than `patience` steps to the target."""
    half = patience // 2
    if len(decrements) < patience or len(decrements) % half:
        return False
    if max(decrements[-half:]) <= target:
        return True
    before, now = max(decrements[-half], 0), max(decrements[-1], np.finfo(np.float64).tiny)
    rate = np.log(max(before, now) / now) / half
    return np.log(max(now / max(target, np.finfo(np.float64).tiny), 1.0)) > rate * patience
