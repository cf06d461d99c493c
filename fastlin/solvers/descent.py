"""A quasi-Newton descent over few parameters, whose iterations take microseconds without their passes.

The starting matrix is a Hessian: at the start, where all rows matter alike, a Gram matrix of the columns, and a new one
where the pace of the last iterations says that it pays. If a small X lies in a core's cache, a call of a kernel makes
several iterations; otherwise the matrix makes each pass, on all threads.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np

from fastlin.budget import SMALL_HESSIAN
from fastlin.kernels.linear import quasi_newton
from fastlin.objective.rows import draw_positions
from fastlin.solvers import preconditioners
from fastlin.solvers.solution import SLOW
from fastlin.solvers.tuning import (
    INNER_ACCURACY,
    ITERATION_WORK,
    MAX_WORK_IN_CACHE,
    ROUNDS,
    ROWS_PER_COLUMN,
    SLOW_WORK,
    SWITCH_AFTER,
)

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.solvers.choose import Fit
    from fastlin.solvers.solution import Solution


def suits(objective: Objective) -> bool:
    """Say whether an objective has so few parameters that factors take no time, and enough rows for its Hessian."""
    (K, size), penalty = objective.shape, objective.penalty
    return (
        2 * size <= SMALL_HESSIAN
        and K * size <= min(max(objective.n_rows, 2 * SMALL_HESSIAN), 4 * SMALL_HESSIAN)
        and (_lies_in_cache(objective) or not objective.rows.are_uneven)
        and objective.rows.min_fraction > 0
        and penalty.is_smooth
        and bool((penalty.arrays.roots > 0).all())
        and objective.fast_precision == np.float64
        and objective.keeps_probabilities
        and objective.matrix.lies_in_memory
    )


def _lies_in_cache(objective):
    n_parameters = objective.shape[0] * objective.shape[1]
    is_small = n_parameters <= 2 * SMALL_HESSIAN and objective.n_rows * n_parameters <= MAX_WORK_IN_CACHE
    return is_small and objective.rows.passes.lies_in_cache


def minimize(fit: Fit) -> Solution:
    """Minimize an objective that `suits`; the ending is SLOW or STALLED where another solver may do better."""
    objective, stopping, start = fit.objective, fit.stopping, fit.beginning.parameters
    n_work = objective.n_rows * start.size
    descent = quasi_newton.Descent.at(
        start,
        objective.rows.total_weight,
        objective.class_weights,
        objective.penalty.curvatures,
        stopping.null_objective,
        stopping.floor,
    )
    kept = None if _lies_in_cache(objective) else fit.buffer
    steps = _InCache(objective, descent) if kept is None else _ByPasses(objective, descent, kept)
    if objective.rows.offset_range is not None:
        # Rows differ from the start on.
        descent.state["n_with_matrix"] = quasi_newton.STALE
    elif steps.passes_of_matrix > 2 * ROUNDS:
        descent.state["n_with_matrix"] = quasi_newton.NO_MATRIX
    tol, stop_reason = stopping.tol, None
    # Other rules ask for each point.
    is_followed = stopping.rule != "suboptimality"
    # An iteration of so little work is next to nothing, and users compare coefficients, which gain two digits.
    least = INNER_ACCURACY**2 * tol if INNER_ACCURACY * n_work <= ITERATION_WORK and not is_followed else tol
    n_at_once = 1 if is_followed or stopping.on_iteration else SWITCH_AFTER
    # Another solver may have made some.
    n_before = len(stopping.history)
    most = min(stopping.max_iter, n_before + SWITCH_AFTER)
    outcome, found = steps.iterate(inf if is_followed else least, min(n_at_once, most - n_before))
    if not found:
        # It is within tol, but for the intercept perhaps, or not finite, or another rule asks for it.
        point = _make_point(objective, descent, kept)
        bound = stopping.begin(point)
        stop_reason = stopping.why(point, stopping.examine(point) if bound > stopping.asked(point) else bound, inf)
    while not stop_reason:
        if not found:
            outcome, found = steps.iterate(least, min(n_at_once, most - len(stopping.history)))
        gap = found[-1][1]
        is_open = outcome == quasi_newton.ACCEPTED and gap > descent.compute_allowed_gap(least) and not is_followed
        parameters = descent.row(quasi_newton.PARAMETERS).copy()
        for each_value, each_gap, largest in found if is_open else found[:-1]:
            # Where someone looks on, each is a call of its own.
            stopping.note(each_value, each_gap, largest, parameters.copy)
        found, is_last = [], stopping.is_over() or len(stopping.history) >= most
        if is_open and not is_last:
            continue
        point, decrement = _make_point(objective, descent, kept), descent.now["decrements"][0]
        if outcome != quasi_newton.ACCEPTED:
            stop_reason = stopping.why_stalled(point, stopping.examine(point), decrement)
        elif is_open:
            stop_reason = stopping.why(point, stopping.examine(point), decrement) or SLOW
        else:
            bound = stopping.observe(point)
            stopping.record(point, bound)
            # The gap of an iteration leaves out what the exchange between classes costs the bound.
            least = least if bound <= gap else min(least, tol * gap / bound)
            is_last = len(stopping.history) >= most
            stop_reason = stopping.why(point, bound, decrement) or (SLOW if is_last else None)
    return stopping.solution(stop_reason)


def _make_point(objective, descent, buffer):
    """Return the last Point, evaluated again where the last trial is another one."""
    parameters = descent.row(quasi_newton.PARAMETERS).copy()
    if not (parameters == descent.row(quasi_newton.TRIAL)).all():
        return objective.at(parameters, out=buffer)
    loss = float(descent.now["loss"]) / objective.rows.total_weight
    return objective.make_point(parameters, np.float64, loss, descent.row(quasi_newton.TOTAL), buffer)


class _InCache:
    """Iterations over a small X."""

    def __init__(self, objective, descent):
        self._objective, self._descent, self._start = objective, descent, descent.row(quasi_newton.TRIAL).copy()
        self._rows = objective.rows.passes.tile(objective.fit_intercept)
        n_tiles, n_columns, tile_rows = self._rows.values.shape
        self._scratch = quasi_newton.Scratch.of(n_tiles, tile_rows, len(self._start), n_columns)
        self._is_whole = self._start.size <= SMALL_HESSIAN
        work, of_pass = _count_work(objective, objective.n_rows, self._is_whole)
        self.passes_of_matrix = work / (of_pass + ITERATION_WORK)

    def iterate(self, tol, n_iterations):
        """Make iterations until the gap is what tol asks for; return the outcome, and J, gap and gradient of each."""
        descent, rows, found = self._descent, self._objective.rows, np.empty((n_iterations, 4))
        is_start = bool(descent.now["n_trials"] == quasi_newton.NOT_STARTED)
        n_made = 0
        while True:
            arguments = self._rows, descent, self._scratch
            outcome, n_more = quasi_newton.descend_in_cache(*arguments, tol, self.passes_of_matrix, found[n_made:])
            n_made += n_more
            if outcome != quasi_newton.NEEDS_MATRIX:
                break
            quasi_newton.build_matrix_in_cache(*arguments, self._is_whole)
        found = found[:n_made].tolist()
        rows.count_pass(is_start + sum(row[3] for row in found))
        if is_start:
            rows.note_sums(self._start, descent.row(quasi_newton.START_TOTAL))
        return outcome, [row[:3] for row in found]


class _ByPasses:
    """Iterations of passes over an X of any kind."""

    def __init__(self, objective, descent, buffer):
        self._objective, self._descent, self._buffer = objective, descent, buffer
        n, (K, size) = objective.n_rows, objective.shape
        self._sample: Objective | None = None
        self._has_hessian = 1 < K and K * size <= SMALL_HESSIAN
        # As many as two passes take.
        n_drawn = np.clip(8 * n * K // size, 4 * ROWS_PER_COLUMN * size, 16 * ROWS_PER_COLUMN * size)
        self._drawn = draw_positions(n, n_drawn)
        if not np.any(objective.rows.weights_of(self._numbers())):
            # None of those that were drawn has a weight.
            self._drawn = np.arange(n)
        n_sampled = ROWS_PER_COLUMN * K * size
        n_summed = min(n, n_sampled) if self._has_hessian else len(self._drawn)
        work, of_pass = _count_work(objective, n_summed, self._has_hessian)
        passes = (work + SWITCH_AFTER * ITERATION_WORK) / of_pass
        # The Hessian of a sample does not converge: pairs learn what it errs by, and a new one would drop them.
        is_sampled = self._has_hessian and n_sampled < n
        self.passes_of_matrix = max(passes, 1.0) if is_sampled else passes

    def iterate(self, tol, n_iterations):
        """Make an iteration, the first time after the start; return the outcome, and J, gap and gradient."""
        descent, now = self._descent, self._descent.now
        if descent.now["n_trials"] == quasi_newton.NOT_STARTED:
            outcome = quasi_newton.check_step(descent, self._evaluate())
            if tol == inf or not descent.compute_allowed_gap(tol) < now["coef_gap"] < inf:
                return outcome, []
        target = descent.compute_allowed_gap(tol)
        if quasi_newton.update_direction(descent, target, self.passes_of_matrix):
            self._renew()
            quasi_newton.update_direction(descent, target, inf)
        outcome = quasi_newton.SEARCHING
        while outcome == quasi_newton.SEARCHING:
            outcome = quasi_newton.check_step(descent, self._evaluate())
        return outcome, [now[["value", "gap", "largest"]].item()]

    def _evaluate(self):
        rows, descent = self._objective.rows, self._descent
        trial, total = descent.row(quasi_newton.TRIAL), descent.row(quasi_newton.TOTAL)
        return rows.evaluate(trial, self._buffer.give(), total) * rows.total_weight

    def _renew(self):
        descent, drawn = self._descent, self._drawn
        if descent.now["n_with_matrix"] == quasi_newton.NO_MATRIX:
            # All rows have the probabilities of the class weights, as in `build_matrix_in_cache`.
            K, fractions = self._objective.n_rows_coef, self._objective.class_weights
            fraction = 1 / K if K > 1 else fractions[0] * fractions[1]
            quasi_newton.set_matrix(descent, fraction * self._sum_products(self._weigh()[None]))
            return
        if self._has_hessian:
            self._sample = self._sample or preconditioners.sample_for_hessian(self._objective)
            point = _make_point(self._objective, descent, self._buffer)
            quasi_newton.set_matrix(descent, preconditioners.hessian_of(self._sample, point).unpack())
            return
        p = np.ascontiguousarray(self._buffer.probabilities[:, drawn])
        grams = self._sum_products(p * (1 - p) * self._weigh())
        quasi_newton.set_matrix(descent, grams)

    def _sum_products(self, row_weights):
        """Return the Gram matrices (C, d + 1, d + 1) of the drawn rows with weights (C, m)."""
        return self._objective.rows.gram(self._numbers(), row_weights, np.float64)

    def _weigh(self):
        """Return the weights of the drawn rows, so that the sums of all rows are the expectation of theirs."""
        rows = self._objective.rows
        weights = np.broadcast_to(rows.weights_of(self._numbers()), len(self._drawn))
        return weights * (rows.total_weight / weights.sum()) if len(self._drawn) < rows.n_rows else weights

    def _numbers(self):
        numbers = self._objective.rows.numbers
        return numbers[self._drawn] if len(numbers) else self._drawn


def _count_work(objective, n_rows, is_whole):
    """Return the multiply-adds of a Hessian, or its blocks, from n_rows rows with its factors, and of a pass."""
    n, (K, size) = objective.n_rows, objective.shape
    # Half of a Gram matrix are sums of their own, which take two thirds of the time of a pass's.
    n_grams = K * (K + 1) / 2 if is_whole else K
    factors = (K * size) ** 3 / 6 if is_whole else K * size**3 / 6
    return n_grams * n_rows * size**2 / 3 + factors, 2 * n * K * size + SLOW_WORK * n * K
