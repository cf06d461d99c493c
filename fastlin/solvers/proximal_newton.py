"""Proximal Newton: each step minimizes a quadratic model of the loss plus the exact penalty, over a working set.

The method is that of Lee, Sun and Saunders 2014, "Proximal Newton-type methods for minimizing composite functions". The
working sets are those of Blitz (Johnson and Guestrin 2015). Near the minimum, the steps of `active_set_model` replace
coordinate descent if X is sparse and there are two classes.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.linear.quasi_newton import MAX_FLAT_STEPS, MAX_TRIALS, SUFFICIENT_DECREASE
from fastlin.kernels.machine.vectors import dot
from fastlin.objective.budget import SMALL_HESSIAN_SIZE
from fastlin.objective.duality import find_linearized_dual_value
from fastlin.objective.rounding import UNIT_ROUNDOFF
from fastlin.solvers.active_set_model import ActiveSetModel
from fastlin.solvers.preconditioners import evaluate_sample
from fastlin.solvers.quadratic import ColumnModel, HessianModel
from fastlin.solvers.solution import STALLED
from fastlin.solvers.tuning import (
    ACTIVE_SET_FACTOR,
    COARSE_INNER_TOL,
    DEFAULT_TOL,
    HESSIAN_ENTRY_WORK,
    INNER_TOL,
    MAX_FAILED_STEPS,
    MIN_DECREASE_RATIO,
    MIN_INNER_TOL,
    N_CHEAP_STEPS,
    N_RECENT_ITERATIONS,
    PROGRESS_EPS,
    VALUE_EPS,
)
from fastlin.typing import BoolArray

if TYPE_CHECKING:
    from fastlin.objective.point import Point
    from fastlin.solvers.minimization import Minimization
    from fastlin.solvers.solution import Solution

# If a model is not reliable, a fraction of the curvature at equal probabilities is mixed in. The reason is that
# probabilities near 0 and 1 have no curvature, although points closer to the minimum have curvature. The first fraction
# is a tenth of this unit, times min(J, 1). The fraction is divided by the unit until a step is accepted, and multiplied
# by the unit after each accepted step.
MIXING_FRACTION_FACTOR = INNER_TOL**2


# At extreme scales, a step may leave the range of float64. The line search does not accept such a step.
@np.errstate(over="ignore", invalid="ignore")
def minimize(fit: Minimization) -> Solution:
    """Minimize the objective by models with the exact penalty. The first model may come from a nearby solution."""
    objective, stopping = fit.objective, fit.stopping
    model = None if fit.nearby_fit is None else fit.nearby_fit.model
    point = fit.start_point(np.float64)
    # A model has neither slope nor curvature along a column of zeros, so the coefficient is set to the minimizer of the
    # penalty.
    parameters = objective.penalty.clip(np.where(objective.coordinates.mean_squares > 0, point.parameters, 0.0))
    if not (parameters == point.parameters).all():
        point = objective.at(parameters, out=point.buffer)
    bound = stopping.begin(point)
    stop_reason = stopping.find_stop_reason(point, bound, np.inf)
    # If a step decreased J by less than this fraction, only an exact step still tightens the bound.
    tiny = sqrt(UNIT_ROUNDOFF)
    accuracy, mixing_fraction = INNER_TOL, 0.0
    last: HessianModel | ColumnModel | ActiveSetModel | None = model
    column_model: ColumnModel | None = None
    n_failed_steps, expected_decrease = 0, np.inf
    n_idle_steps, bound_before_idling, stall_value_limit = 0, np.inf, np.inf
    # With bounds but no L1 penalty, most parameters are active, so the Hessian is faster unless X is wide
    # (docs/benchmarks/design-choices.md: bounds by the hessian).
    has_bounds_without_l1 = objective.penalty.box is not None and not objective.penalty.thresholds.any()
    is_tall = objective.n_rows >= objective.shape[1]
    uses_hessian = point.parameters.size <= SMALL_HESSIAN_SIZE or isinstance(model, HessianModel)
    uses_hessian = uses_hessian or (has_bounds_without_l1 and is_tall and objective.is_hessian_affordable)
    may_switch_to_hessian, is_full_step = not uses_hessian and objective.is_hessian_affordable, False
    n_column_models = work = 0
    # With bounds or offsets, the rows may have no curvature at an iterate.
    may_lack_curvature = objective.penalty.box is not None or objective.rows.offset_range is not None
    last_mixing_fraction, last_decrease, predicted_decrease, attempted_decrease = 1.0, 0.0, np.inf, np.inf
    gaps, allowed = (np.inf, np.inf), stopping.allowed_gap(point)
    may_linearize_probabilities = stopping.rule == "suboptimality" and _allows_linearization(objective)
    while not stop_reason:
        # The curvature of the loss decreases with J. The fraction decreases too, so that it does not dominate.
        min_mixing_fraction = INNER_TOL * MIXING_FRACTION_FACTOR * min(max(point.value, VALUE_EPS[np.float64]), 1.0)
        next_mixing_fraction = (
            min(1.0, mixing_fraction / MIXING_FRACTION_FACTOR)
            if mixing_fraction
            else min(last_mixing_fraction, min_mixing_fraction)
        )
        # With many active coordinates, as in text data, Hessian models are expensive. They replace column-wise models
        # only if column-wise models have cost as much and the gap is still large. If steps are shortened, the exact
        # minimum of a model has no advantage (docs/benchmarks/design-choices.md: hessian after columns).
        if may_switch_to_hessian:
            is_hessian_cheaper = n_column_models >= N_CHEAP_STEPS and work >= _count_hessian_work(point.parameters)
            uses_hessian = is_full_step and (
                uses_hessian or (is_hessian_cheaper and _will_gap_exceed_limit(*gaps, allowed, N_RECENT_ITERATIONS))
            )
        allows_active_set = may_linearize_probabilities and not uses_hessian and _allows_active_set(objective)
        allows_active_set = allows_active_set and not mixing_fraction and n_failed_steps < MAX_FAILED_STEPS
        if (
            allows_active_set
            and column_model is not None
            and is_full_step
            and expected_decrease <= ACTIVE_SET_FACTOR * stopping.allowed_gap(point, max(stopping.tol, DEFAULT_TOL))
        ):
            allowed, diagonal = stopping.allowed_gap(point), column_model.estimate_hessian_diagonal()
            last = current_model = ActiveSetModel(point, diagonal, _choose_margin(point, allowed))
            minimizer = current_model.minimize(INNER_TOL)
            # A violation reduces the bound by about this fraction of J. The bound holds even if the step is too long.
            if 2 * current_model.violation * point.value <= allowed:
                stopping.update_dual_value(_bound_by_step(point, current_model.minimizer), 0.0)
        else:
            last = current_model = make_model(point, uses_hessian, last, mixing_fraction)
            minimizer = current_model.minimize(max(accuracy, COARSE_INNER_TOL) if allows_active_set else accuracy)
        if len(minimizer) > 1:
            # Along equal changes of all intercepts, the model consists of rounding errors, and the minimizer may be
            # huge.
            minimizer[:, -1] -= minimizer[:, -1].mean()
        direction = minimizer - point.parameters
        if isinstance(current_model, ColumnModel):
            column_model, n_column_models, work = current_model, n_column_models + 1, work + current_model.work
        slope = _measure_slope(point, direction)
        # A model is useless if the step increases J. If curvature may be missing, the step must decrease J.
        is_quadratic_model_useless = mixing_fraction < 1 and not (
            slope < 0 if may_lack_curvature else slope <= VALUE_EPS[np.float64] * point.value
        )
        should_attempt_certificate = False
        if mixing_fraction <= min_mixing_fraction and not is_quadratic_model_useless:
            predicted_decrease = max(0.0, -slope)
            allowed, gaps = stopping.allowed_gap(point), (gaps[1], point.stationary_gap)
            # An attempt to certify with linearized probabilities costs as much as a step. It is worthwhile only if the
            # gap would exceed the allowed gap even after two steps at the last ratio. After a failed attempt, another
            # attempt is useful only if the predicted decrease is much smaller.
            should_attempt_certificate = (
                may_linearize_probabilities
                and not allows_active_set
                and _will_gap_exceed_limit(*gaps, allowed, 2)
                and predicted_decrease <= INNER_TOL * min(allowed, attempted_decrease)
            )
            if should_attempt_certificate:
                attempted_decrease = predicted_decrease
                stopping.update_dual_value(_bound_by_model(point, current_model, allowed), 0.0)
        # If the gains decrease slowly, the model is not accurate yet, and it predicts too small a suboptimality.
        is_slow, recent_iterations = (
            predicted_decrease > INNER_TOL * last_decrease,
            stopping.history[-N_RECENT_ITERATIONS:],
        )
        recent_decrease = recent_iterations[0].objective - point.value if is_slow and recent_iterations else 0.0
        # The estimate is used if there is no bound. The model decreases by at least half of `predicted_decrease`. If
        # curvature is mixed in, a model predicts too small a decrease.
        estimate = np.inf if mixing_fraction else predicted_decrease + recent_decrease
        # After an attempt to certify, the computed step is still taken: it reduces the violation of the optimality
        # conditions from first to second order in the step. An active-set step that would increase J may have certified
        # the point.
        is_active_set_step = isinstance(current_model, ActiveSetModel)
        if is_active_set_step:
            may_stop = is_quadratic_model_useless
        else:
            may_stop = not (is_quadratic_model_useless or should_attempt_certificate)
        stop_reason = stopping.find_stop_reason(point, bound, estimate) if may_stop else None
        end, length = (
            (None, 0.0)
            if stop_reason or is_quadratic_model_useless
            else _search_step_length(point, direction, slope, minimizer)
        )
        if end is None and not stop_reason and (is_active_set_step or current_model.is_reused or mixing_fraction < 1):
            if is_active_set_step:
                n_failed_steps = MAX_FAILED_STEPS
            elif current_model.is_reused:
                # The Hessian at this point replaces the reused Hessian.
                last = None
            else:
                mixing_fraction = next_mixing_fraction
            if point.buffer is not None:
                point = objective.at(point.parameters, out=point.buffer)
            continue
        if end is None:
            stop_reason = stop_reason or stopping.find_stall_reason(point, bound, predicted_decrease)
            break
        last_mixing_fraction = mixing_fraction or last_mixing_fraction
        predicted_decrease, invisible_decrease = np.inf, VALUE_EPS[np.float64] * point.value
        decrease_before, last_decrease, is_full_step = last_decrease, point.value - end.value, length == 1.0
        expected_decrease = (
            0.0 if last_decrease <= invisible_decrease else _extrapolate_decrease(decrease_before, last_decrease)
        )
        if is_active_set_step:
            n_failed_steps = 0 if is_full_step else n_failed_steps + 1
        if (
            may_lack_curvature
            and mixing_fraction < 1
            and invisible_decrease < last_decrease < MIN_DECREASE_RATIO * -slope
        ):
            mixing_fraction = next_mixing_fraction
        else:
            mixing_fraction = (
                MIXING_FRACTION_FACTOR * mixing_fraction
                if mixing_fraction > MIXING_FRACTION_FACTOR**2 * min_mixing_fraction
                else 0.0
            )
        relative_gain = last_decrease / max(point.value, np.finfo(np.float64).tiny)
        last_bound, point = bound, end
        bound = stopping.update_with_intercept(point)
        stopping.record(point, bound)
        stop_reason = stopping.find_stop_reason(point, bound, np.inf)
        # Without a bound, the accuracy of the last Hessian is unknown, so this Hessian is not reused.
        if bound == np.inf or bound > INNER_TOL * last_bound:
            last = None
        accuracy = float(np.clip(relative_gain, MIN_INNER_TOL, INNER_TOL)) if relative_gain > tiny else tiny
        # A gain that is below PROGRESS_EPS, or that the model did not predict, may be rounding error. The bound may
        # still show progress, because it depends on slopes instead of values.
        certain_relative_gain = min(relative_gain, -slope / max(point.value, np.finfo(np.float64).tiny))
        # If the curvature comes from a sample, many steps have small gains.
        max_idle_steps, factor = (N_CHEAP_STEPS, 1 - INNER_TOL) if current_model.is_sampled else (MAX_FLAT_STEPS, 0.5)
        if certain_relative_gain > PROGRESS_EPS[np.float64] or bound < factor * bound_before_idling:
            n_idle_steps, bound_before_idling = 0, bound
        n_idle_steps += 1
        if not stop_reason and n_idle_steps > max_idle_steps:
            stop_reason = stopping.find_stall_reason(point, bound, max(0.0, -slope))
            # A coordinate along which no row has curvature does not move, even if a move would reduce the penalty.
            if (
                stop_reason is STALLED
                and may_lack_curvature
                and mixing_fraction < 1
                and point.value < stall_value_limit
            ):
                stop_reason, mixing_fraction, n_idle_steps = None, next_mixing_fraction, 0
                stall_value_limit = (1 - PROGRESS_EPS[np.float64]) * point.value
    return replace(stopping.make_solution(stop_reason), model=last if isinstance(last, HessianModel) else None)


def _will_gap_exceed_limit(last_gap, gap, allowed, n_steps):
    """Return whether a gap would exceed `allowed` after `n_steps` steps at the last ratio of gaps."""
    if gap == np.inf:
        return True
    # The powers are those of the ratio, because powers of the gaps would leave the range of float64.
    ratio = gap / last_gap if last_gap > 0 else 1.0
    return gap * ratio**n_steps > allowed


def _extrapolate_decrease(before, last):
    """Return the total decrease of all later steps if the decreases continue at the ratio of the last two."""
    return last * last / (before - last) if before > last else np.inf


def _count_hessian_work(parameters):
    """Return the approximate multiply-adds of a Hessian model: the matrix, the sweeps and one factor."""
    return HESSIAN_ENTRY_WORK * parameters.size**2 + int(np.count_nonzero(parameters)) ** 3 // 40


def _allows_linearization(objective):
    """Return whether linearized probabilities are used: X is in memory, and L1 is the only penalty."""
    penalty = objective.penalty
    is_l1_only_penalty = penalty.is_bounded and penalty.l2 == 0 and penalty.box is None
    return is_l1_only_penalty and objective.stores_probabilities and objective.matrix.lies_in_memory


def _allows_active_set(objective):
    """Return whether primal-dual active-set steps may pay off: X is sparse, and there are two classes."""
    return objective.matrix.is_sparse and objective.n_rows_coef == 1


def _bound_by_model(point, model, allowed):
    """Return a lower bound on J* from the minimizer of a model with smaller thresholds.

    The thresholds of the model are smaller than those of J. This reduces the bound by the same fraction of the penalty,
    which is less than `allowed`. In return, the gradient has a margin for the inexact descent, for rounding, and for
    negative linearized probabilities, which are set to zero.
    """
    penalty = point.objective.penalty.scale_thresholds(1 - _choose_margin(point, allowed))
    return _bound_by_step(point, model.minimize(INNER_TOL**2, penalty))


def _choose_margin(point, allowed):
    """Return the fraction by which the thresholds of a model are reduced before its minimizer bounds J*."""
    return MIN_DECREASE_RATIO * min(1.0, allowed / point.penalty) if point.penalty > 0 else MIN_DECREASE_RATIO


def _bound_by_step(point, minimizer):
    """Return a lower bound on J*, from probabilities linearized along the step to the minimizer of a model."""
    value, rounding = find_linearized_dual_value(point, minimizer - point.parameters)
    # The rounding error is subtracted from the value, because the computed gap would ignore it.
    return value - rounding


def _measure_slope(point, direction):
    """Return the change of J in a full step, to first order for the smooth part, and exactly for the penalty."""
    compute_penalty, parameters = point.objective.penalty.nonsmooth_value, point.parameters
    return (
        dot(direction.ravel(), point.gradient.ravel())
        + compute_penalty(parameters + direction)
        - compute_penalty(parameters)
    )


def _search_step_length(start, direction, slope, minimizer):
    """Return a Point at which J is sufficiently smaller, or None, and the step length.

    `direction` leads from `start` to `minimizer`.
    """
    length, penalty, invisible_decrease = 1.0, start.objective.penalty, VALUE_EPS[np.float64] * abs(start.value)
    for _ in range(MAX_TRIALS):
        parameters = start.parameters + length * direction
        if penalty.box is not None:
            parameters = minimizer if length == 1 else penalty.clip(parameters)
        end = start.objective.at(parameters, out=start.buffer)
        limit = start.value + SUFFICIENT_DECREASE * length * min(slope, 0.0) + invisible_decrease
        # If the rounding error is larger, no digit of the scores is accurate.
        is_sufficient_decrease = end.is_finite and end.rounding <= max(start.value, 1.0) and end.value <= limit
        # If rounding error conceals the change of J, the slopes determine whether the step is accepted. At the new
        # point, the backward slope is used, because the forward slope is steep if a coefficient has just become zero.
        backward_direction = start.parameters - parameters
        max_slope = max(-length * slope, INNER_TOL**2 * invisible_decrease)
        if is_sufficient_decrease and (
            start.value - end.value > invisible_decrease or -_measure_slope(end, backward_direction) <= max_slope
        ):
            return end, length
        length /= 2
    return None, length


def make_model(
    point: Point,
    uses_hessian: bool,
    reused_model: HessianModel | ColumnModel | ActiveSetModel | None = None,
    mixing_fraction: float = 0.0,
) -> HessianModel | ColumnModel:
    """Return the quadratic model around a point: a HessianModel, which may reuse a Hessian, or a ColumnModel.

    The fraction `mixing_fraction` of the curvature is that at equal probabilities. The curvature may be computed on a
    sample.
    """
    objective, matrix = point.objective, point.objective.matrix
    if uses_hessian:
        model = reused_model if isinstance(reused_model, HessianModel) else None
        # Without a bound, only the model estimates the suboptimality, so the Hessian must be computed at the point.
        if model is not None and not (objective.penalty.is_bounded or model.has_hessian_at(point)):
            model = None
        curvature_point = point if model is not None or objective.has_hessian else evaluate_sample(point)
        return HessianModel(point, curvature_point, model, mixing_fraction)
    working_set = choose_working_set(point)
    # The model requires a copy of its columns, and the transpose of this copy.
    n_copied_entries = (
        0 if matrix.lies_in_memory else 2 * matrix.shape[0] * int(np.count_nonzero(working_set.any(axis=0)))
    )
    fits = objective.stores_probabilities and objective.budget.allows_array_bytes(8 * n_copied_entries)
    curvature_point = point if fits else evaluate_sample(point)
    # In float32, probabilities near 1 would lose the mixed fraction.
    precision = np.float32 if objective.rows.is_faster_in_float32 and not mixing_fraction else np.float64
    return ColumnModel(point, curvature_point, working_set, precision, mixing_fraction)


def choose_working_set(point: Point) -> BoolArray:
    """Return the working set (K, d) of the next model: coordinates that are nonzero or may become nonzero."""
    gradient, parameters = point.gradient[:, :-1], point.parameters[:, :-1]
    thresholds = point.objective.penalty.thresholds[:-1]
    sizes = np.abs(gradient)
    active = parameters != 0
    if point.objective.penalty.group_lasso:
        sizes = np.broadcast_to(np.sqrt(np.einsum("kj,kj->j", gradient, gradient)), gradient.shape)
        active = np.broadcast_to(active.any(axis=0), gradient.shape)
    working_set = active | (sizes >= (1 - 2 * INNER_TOL) * thresholds)
    box = point.objective.penalty.box
    if box is not None:
        lower, upper = box.parameter_lower_bounds[:, :-1], box.parameter_upper_bounds[:, :-1]
        slopes = gradient + np.sign(parameters) * thresholds
        working_set &= ~(((parameters <= lower) & (slopes > 0)) | ((parameters >= upper) & (slopes < 0)))
        working_set &= lower < upper
    return working_set
