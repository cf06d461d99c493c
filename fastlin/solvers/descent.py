"""A compiled quasi-Newton method for few parameters. An iteration takes a few microseconds in addition to its passes.

The L-BFGS recursion starts from the inverse of a Hessian. The first Hessian is a Gram matrix of the columns, because
all rows have the same curvature at the start. A new Hessian is computed whenever the recent rate of convergence
justifies the cost. If X fits into the cache of a CPU core, one kernel call makes several iterations. Otherwise, each
pass runs on all threads.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.linear import quasi_newton
from fastlin.objective.budget import SMALL_HESSIAN_SIZE
from fastlin.objective.rows import sample_row_positions
from fastlin.solvers import preconditioners
from fastlin.solvers.solution import TOO_SLOW
from fastlin.solvers.tuning import (
    INNER_TOL,
    ITERATION_WORK,
    MAX_WORK_IN_CACHE,
    N_CHEAP_STEPS,
    ROWS_PER_COLUMN,
    SLOW_OPERATION_WORK,
    SWITCH_THRESHOLD,
)

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.solvers.minimization import Minimization
    from fastlin.solvers.solution import Solution


def is_suitable(objective: Objective) -> bool:
    """Return whether factors are cheap, because there are few parameters, and there are enough rows for a Hessian."""
    (K, size), penalty = objective.shape, objective.penalty
    return (
        2 * size <= SMALL_HESSIAN_SIZE
        and K * size <= min(max(objective.n_rows, 2 * SMALL_HESSIAN_SIZE), 4 * SMALL_HESSIAN_SIZE)
        and (_fits_in_cache(objective) or not objective.rows.has_uneven_row_norms)
        and objective.rows.min_class_weight > 0
        and penalty.is_smooth
        and bool((penalty.arrays.roots > 0).all())
        and objective.fast_precision == np.float64
        and objective.stores_probabilities
        and objective.matrix.lies_in_memory
    )


def _fits_in_cache(objective):
    is_small = objective.n_parameters <= 2 * SMALL_HESSIAN_SIZE
    return (
        is_small
        and objective.n_rows * objective.n_parameters <= MAX_WORK_IN_CACHE
        and objective.rows.passes.lies_in_cache
    )


def minimize(fit: Minimization) -> Solution:
    """Minimize an objective that `is_suitable`. After TOO_SLOW or STALLED, another solver should continue."""
    objective, stopping, start = fit.objective, fit.stopping, fit.start.parameters
    n_multiply_adds = objective.n_rows * start.size
    descent = quasi_newton.Descent.at(
        start,
        objective.rows.total_weight,
        objective.class_weights,
        objective.penalty.curvatures,
        stopping.null_objective,
        stopping.gap_floor,
    )
    buffer = None if _fits_in_cache(objective) else fit.buffer
    steps = _CachedIterations(objective, descent) if buffer is None else _PassIterations(objective, descent, buffer)
    if objective.rows.offset_range is not None:
        # With offsets, the rows already have different curvatures at the start.
        descent.state["n_matrix_steps"] = quasi_newton.STALE_MATRIX
    elif steps.passes_per_matrix > 2 * N_CHEAP_STEPS:
        descent.state["n_matrix_steps"] = quasi_newton.NO_MATRIX
    tol, stop_reason = stopping.tol, None
    # The rule "gradient" requires a Point at every iteration.
    should_make_points = stopping.rule != "suboptimality"
    # On very small data, iterations cost almost nothing, so the coefficients are computed to two more digits.
    inner_tol = INNER_TOL**2 * tol if INNER_TOL * n_multiply_adds <= ITERATION_WORK and not should_make_points else tol
    iterations_per_call = 1 if should_make_points or stopping.on_iteration else SWITCH_THRESHOLD
    # Another solver may already have made iterations.
    n_before = len(stopping.history)
    max_iter = min(stopping.max_iter, n_before + SWITCH_THRESHOLD)
    outcome, iterations = steps.run_iterations(
        inf if should_make_points else inner_tol, min(iterations_per_call, max_iter - n_before)
    )
    if not iterations:
        # The start is within tol, except perhaps for the intercept, or it is not finite, or the rule requires a Point.
        point = _make_point(objective, descent, buffer)
        bound = stopping.begin(point)
        bound = stopping.update_with_intercept(point) if bound > stopping.allowed_gap(point) else bound
        stop_reason = stopping.find_stop_reason(point, bound, inf)
    while not stop_reason:
        if not iterations:
            outcome, iterations = steps.run_iterations(
                inner_tol, min(iterations_per_call, max_iter - len(stopping.history))
            )
        gap = iterations[-1][1]
        is_unfinished = (
            outcome == quasi_newton.ACCEPTED and gap > descent.compute_allowed_gap(inner_tol) and not should_make_points
        )
        parameters = descent.row(quasi_newton.PARAMETERS).copy()
        for iteration_value, iteration_gap, largest_subgradient_entry in (
            iterations if is_unfinished else iterations[:-1]
        ):
            # With a callback, a call makes one iteration, so these are the parameters of that iteration.
            stopping.record_values(iteration_value, iteration_gap, largest_subgradient_entry, parameters.copy)
        iterations, is_last_call = [], stopping.must_stop() or len(stopping.history) >= max_iter
        if is_unfinished and not is_last_call:
            continue
        point, decrement = _make_point(objective, descent, buffer), descent.now["decrements"][0]
        if outcome != quasi_newton.ACCEPTED:
            stop_reason = stopping.find_stall_reason(point, stopping.update_with_intercept(point), decrement)
        elif is_unfinished:
            stop_reason = stopping.find_stop_reason(point, stopping.update_with_intercept(point), decrement) or TOO_SLOW
        else:
            bound = stopping.update_bounds(point)
            stopping.record(point, bound)
            # Bounds of iterations omit the correction of class sums (docs/derivations.md, section 4).
            inner_tol = inner_tol if bound <= gap else min(inner_tol, tol * gap / bound)
            is_last_call = len(stopping.history) >= max_iter
            stop_reason = stopping.find_stop_reason(point, bound, decrement) or (TOO_SLOW if is_last_call else None)
    return stopping.make_solution(stop_reason)


def _make_point(objective, descent, buffer):
    """Return the Point at the current parameters. A pass is needed only if the last trial had other parameters."""
    parameters = descent.row(quasi_newton.PARAMETERS).copy()
    if not (parameters == descent.row(quasi_newton.TRIAL_PARAMETERS)).all():
        return objective.at(parameters, out=buffer)
    loss = float(descent.now["loss"]) / objective.rows.total_weight
    return objective.make_point(parameters, np.float64, loss, descent.row(quasi_newton.TRIAL_LOSS_GRADIENT), buffer)


class _CachedIterations:
    """Iterations if X fits into the cache. A kernel call makes several iterations."""

    def __init__(self, objective, descent):
        self._objective, self._descent, self._start = (
            objective,
            descent,
            descent.row(quasi_newton.TRIAL_PARAMETERS).copy(),
        )
        self._rows = objective.rows.passes.tile(objective.fit_intercept)
        n_tiles, n_columns, tile_rows = self._rows.values.shape
        self._scratch = quasi_newton.DescentWorkspace.of(n_tiles, tile_rows, len(self._start), n_columns)
        self._uses_full_hessian = self._start.size <= SMALL_HESSIAN_SIZE
        work, pass_work = _count_hessian_and_pass_work(objective, objective.n_rows, self._uses_full_hessian)
        self.passes_per_matrix = work / (pass_work + ITERATION_WORK)

    def run_iterations(self, tol, n_iterations):
        """Iterate until the gap is within `tol`. Return the outcome and the iterations.

        Each iteration is a list of J, the gap and the largest gradient entry.
        """
        descent, rows, history = self._descent, self._objective.rows, np.empty((n_iterations, 4))
        is_start = bool(descent.now["n_trials"] == quasi_newton.NOT_STARTED)
        n_completed_iterations = 0
        while True:
            arguments = self._rows, descent, self._scratch
            outcome, n_new_iterations = quasi_newton.descend_in_cache(
                *arguments, tol, self.passes_per_matrix, history[n_completed_iterations:]
            )
            n_completed_iterations += n_new_iterations
            if outcome != quasi_newton.NEEDS_MATRIX:
                break
            quasi_newton.build_matrix_in_cache(*arguments, self._uses_full_hessian)
        iterations = history[:n_completed_iterations].tolist()
        rows.add_to_pass_counter(is_start + sum(row[3] for row in iterations))
        if is_start:
            rows.store_class_features(self._start, descent.row(quasi_newton.START_LOSS_GRADIENT))
        return outcome, [row[:3] for row in iterations]


class _PassIterations:
    """Iterations for any X. Each evaluation is one pass on all threads."""

    def __init__(self, objective, descent, buffer):
        self._objective, self._descent, self._buffer = objective, descent, buffer
        n, (K, size) = objective.n_rows, objective.shape
        self._sample: Objective | None = None
        self._has_hessian = 1 < K and K * size <= SMALL_HESSIAN_SIZE
        # The Gram matrix of these rows costs about two passes.
        n_sampled_rows = np.clip(8 * n * K // size, 4 * ROWS_PER_COLUMN * size, 16 * ROWS_PER_COLUMN * size)
        self._sampled_positions = sample_row_positions(n, n_sampled_rows)
        if not np.any(objective.rows.get_weights(self._get_row_indices())):
            # All sampled rows have zero weight.
            self._sampled_positions = np.arange(n)
        n_hessian_rows = preconditioners.count_hessian_rows(objective)
        n_summed_rows = min(n, n_hessian_rows) if self._has_hessian else len(self._sampled_positions)
        work, pass_work = _count_hessian_and_pass_work(objective, n_summed_rows, self._has_hessian)
        passes = (work + SWITCH_THRESHOLD * ITERATION_WORK) / pass_work
        # The pairs correct the sampling error of the Hessian of a sample. Computing a new Hessian discards the pairs.
        is_hessian_sampled = self._has_hessian and n_hessian_rows < n
        self.passes_per_matrix = max(passes, 1.0) if is_hessian_sampled else passes

    def run_iterations(self, tol, n_iterations):
        """Make one iteration. Return the outcome and a list with J, the gap and the largest gradient entry.

        The first call evaluates the start. If the rule requires a Point there, or the start is good enough, the list is
        empty.
        """
        descent, now = self._descent, self._descent.now
        if descent.now["n_trials"] == quasi_newton.NOT_STARTED:
            outcome = quasi_newton.check_step(descent, self._evaluate())
            if tol == inf or not descent.compute_allowed_gap(tol) < now["coef_gap"] < inf:
                return outcome, []
        target = descent.compute_allowed_gap(tol)
        if quasi_newton.update_direction(descent, target, self.passes_per_matrix):
            self._update_matrix()
            quasi_newton.update_direction(descent, target, inf)
        outcome = quasi_newton.SEARCH_CONTINUES
        while outcome == quasi_newton.SEARCH_CONTINUES:
            outcome = quasi_newton.check_step(descent, self._evaluate())
        return outcome, [now[["value", "gap", "largest"]].item()]

    def _evaluate(self):
        rows, descent = self._objective.rows, self._descent
        trial_parameters, total = (
            descent.row(quasi_newton.TRIAL_PARAMETERS),
            descent.row(quasi_newton.TRIAL_LOSS_GRADIENT),
        )
        return rows.evaluate(trial_parameters, self._buffer.acquire_array(), total) * rows.total_weight

    def _update_matrix(self):
        descent, sampled_positions = self._descent, self._sampled_positions
        if descent.now["n_matrix_steps"] == quasi_newton.NO_MATRIX:
            # The probabilities of all rows are the class weights, as in `build_matrix_in_cache`.
            K, fractions = self._objective.n_rows_coef, self._objective.class_weights
            fraction = 1 / K if K > 1 else fractions[0] * fractions[1]
            quasi_newton.set_matrix(descent, fraction * self._sum_row_products(self._get_sample_weights()[None]))
            return
        if self._has_hessian:
            self._sample = self._sample or preconditioners.sample_hessian_rows(self._objective)
            point = _make_point(self._objective, descent, self._buffer)
            quasi_newton.set_matrix(descent, preconditioners.factorize_sampled_hessian(self._sample, point).unpack())
            return
        p = np.ascontiguousarray(self._buffer.probabilities[:, sampled_positions])
        grams = self._sum_row_products(p * (1 - p) * self._get_sample_weights())
        quasi_newton.set_matrix(descent, grams)

    def _sum_row_products(self, row_weights):
        """Return the Gram matrices (C, d + 1, d + 1) of the sampled rows. `row_weights` has shape (C, m)."""
        return self._objective.rows.gram(self._get_row_indices(), row_weights, np.float64)

    def _get_sample_weights(self):
        """Return the weights of the sampled rows. They are scaled so that weighted sums estimate sums over all rows."""
        rows = self._objective.rows
        weights = np.broadcast_to(rows.get_weights(self._get_row_indices()), len(self._sampled_positions))
        return weights * (rows.total_weight / weights.sum()) if len(self._sampled_positions) < rows.n_rows else weights

    def _get_row_indices(self):
        row_indices = self._objective.rows.row_indices
        return row_indices[self._sampled_positions] if len(row_indices) else self._sampled_positions


def _count_hessian_and_pass_work(objective, n_rows, is_full_hessian):
    """Return the multiply-adds of a Hessian and its factors, and of one pass.

    The Hessian is summed over `n_rows` rows. Unless `is_full_hessian`, it has only the blocks of the classes.
    """
    n, (K, size) = objective.n_rows, objective.shape
    # Half of each symmetric Gram matrix is summed. A multiply-add takes two thirds of the time of one in a pass.
    n_gram_matrices = K * (K + 1) / 2 if is_full_hessian else K
    factors = (K * size) ** 3 / 6 if is_full_hessian else K * size**3 / 6
    return n_gram_matrices * n_rows * size**2 / 3 + factors, 2 * n * K * size + SLOW_OPERATION_WORK * n * K
