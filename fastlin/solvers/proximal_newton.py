"""Proximal Newton: each step minimizes a quadratic model with the penalty as it is, over a working set.

Lee, Sun and Saunders 2014, "Proximal Newton-type methods for minimizing composite functions"; working sets as in
Johnson and Guestrin 2015, Blitz.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from fastlin.budget import SMALL_HESSIAN
from fastlin.kernels.linear.quasi_newton import MAX_FLAT, MAX_TRIALS, SUFFICIENT_DECREASE
from fastlin.kernels.machine.vectors import dot
from fastlin.objective.duality import find_linearized_dual_value
from fastlin.objective.rounding import UNIT_ROUNDOFF
from fastlin.solvers.preconditioners import evaluate_sample
from fastlin.solvers.quadratic import ColumnModel, HessianModel
from fastlin.solvers.tuning import (
    HESSIAN_WORK,
    INNER_ACCURACY,
    MIN_ACCURACY,
    PERSISTENCE,
    ROUNDING,
    ROUNDS,
    TRUSTED,
)
from fastlin.typing import BoolArray

if TYPE_CHECKING:
    from fastlin.objective.point import Point
    from fastlin.solvers.choose import Fit
    from fastlin.solvers.solution import Solution

# Where a model misleads, some of the curvature of equal probabilities is mixed in: at first a tenth of this part, times
# J where that is below one, then more by this factor until a step counts, and less by it after each step.
# Probabilities of nearly 0 and 1 have no curvature, but the way to the minimum has.
NEGLIGIBLE = INNER_ACCURACY**2


# At extreme scales a step may leave the range of float64; no search accepts its end.
@np.errstate(over="ignore", invalid="ignore")
def minimize(fit: Fit) -> Solution:
    """Minimize the objective by models with the penalty as it is; a nearby solution has a first one."""
    objective, stopping = fit.objective, fit.stopping
    model = None if fit.nearby is None else fit.nearby.model
    point = fit.begin_in(np.float64)
    # Along a column of zeros a model has neither slope nor curvature, but the penalty counts.
    parameters = objective.penalty.clip(np.where(objective.coordinates.mean_squares > 0, point.parameters, 0.0))
    if not (parameters == point.parameters).all():
        point = objective.at(parameters, out=point.buffer)
    bound = stopping.begin(point)
    stop_reason = stopping.why(point, bound, np.inf)
    # After a step that gained less of J only an exact one still lowers the bound.
    tiny = sqrt(UNIT_ROUNDOFF)
    accuracy, mixed = INNER_ACCURACY, 0.0
    last: HessianModel | ColumnModel | None = model
    n_idle, idle_bound = 0, np.inf
    # With bounds alone most parameters are active. 20,000 x 200 with five classes and ten factors in its columns takes
    # 2 s by the Hessian, and 10 s where models by columns come first; 89 x 1,203 with three classes 25 s and 0.1 s.
    has_bounds_alone = objective.penalty.box is not None and not objective.penalty.thresholds.any()
    is_tall = objective.n_rows >= objective.shape[1]
    by_hessian = point.parameters.size <= SMALL_HESSIAN or isinstance(model, HessianModel)
    by_hessian = by_hessian or (has_bounds_alone and is_tall and objective.affords_hessian)
    may_take_over, is_whole = not by_hessian and objective.affords_hessian, False
    n_by_columns = work = 0
    # Within bounds, and with offsets, a fit may pass where rows have no curvature.
    may_be_far = objective.penalty.box is not None or objective.rows.offset_range is not None
    last_mixed, last_gain, promised, attempted = 1.0, 0.0, np.inf, np.inf
    gaps, asked = (np.inf, np.inf), stopping.asked(point)
    may_linearize = stopping.rule == "suboptimality" and _keeps_what_linearizing_needs(objective)
    while not stop_reason:
        # The curvature of the loss falls with J, and with it the part that does not swamp it.
        little = INNER_ACCURACY * NEGLIGIBLE * min(max(point.value, ROUNDING[np.float64]), 1.0)
        more = min(1.0, mixed / NEGLIGIBLE) if mixed else min(last_mixed, little)
        # The Hessian's models take steps among the active coordinates, of which text has many: 1,500 x 2,000 with
        # C = 1e4 takes 0.3 s by columns alone, and 2.6 where the Hessian follows ten models in any case. Where models
        # mislead, so that steps are cut short, the minimum of one is worth no more than a point near it. 5,000 x 3,000
        # takes 1.3 s, and 2.1 if the Hessian comes a few steps before the end.
        if may_take_over:
            is_worth_it = n_by_columns >= ROUNDS and work >= _count_hessian_work(point.parameters)
            by_hessian = is_whole and (by_hessian or (is_worth_it and _is_far(*gaps, asked, PERSISTENCE)))
        last = current = make_model(point, by_hessian, last, mixed)
        least = current.minimize(accuracy)
        if len(least) > 1:
            # Along equal changes of all intercepts only rounding tells a model where to go: to 1e13 and further.
            least[:, -1] -= least[:, -1].mean()
        direction = least - point.parameters
        if isinstance(current, ColumnModel):
            n_by_columns, work = n_by_columns + 1, work + current.work
        slope = _measure_slope(point, direction)
        # A model that leads up does not know where to go, nor does one without curvature that leads nowhere.
        is_blind = mixed < 1 and not (slope < 0 if may_be_far else slope <= ROUNDING[np.float64] * point.value)
        tries = False
        if mixed <= little and not is_blind:
            promised = max(0.0, -slope)
            asked, gaps = stopping.asked(point), (gaps[1], point.natural_gap)
            # An attempt costs as much as a step. It pays only if the next step does not close the gap, even if that
            # falls by the square of its last ratio. Unless the model promises much less than at the last attempt, the
            # next one fails too.
            tries = may_linearize and _is_far(*gaps, asked, 2) and promised <= INNER_ACCURACY * min(asked, attempted)
            if tries:
                attempted = promised
                # With its rounding, which the margin of a success takes up: what is left of it may not end a fit.
                stopping.note_dual(_bound_by_model(point, current, asked), 0.0)
        # Steps that do not gain ever less are far from where the model is J, and more is left than it promises.
        is_slow, lately = promised > INNER_ACCURACY * last_gain, stopping.history[-PERSISTENCE:]
        slowly = lately[0].objective - point.value if is_slow and lately else 0.0
        # Where there is no bound this stands in: the model falls by at least half of it. A mixed one promises less.
        estimate = np.inf if mixed else promised + slowly
        # Where an attempt has succeeded, the step is known that leads from a violation of first order to one of second.
        stop_reason = None if is_blind or tries else stopping.why(point, bound, estimate)
        end, length = (None, 0.0) if stop_reason or is_blind else _search(point, direction, slope, least)
        if end is None and not stop_reason and (current.is_borrowed or mixed < 1):
            if current.is_borrowed:
                # The Hessian of this point takes the place of the borrowed one.
                last = None
            else:
                mixed = more
            if point.buffer is not None:
                point = objective.at(point.parameters, out=point.buffer)
            continue
        if end is None:
            stop_reason = stop_reason or stopping.why_stalled(point, bound, promised)
            break
        last_mixed = mixed or last_mixed
        promised, unseen = np.inf, ROUNDING[np.float64] * point.value
        last_gain, is_whole = point.value - end.value, length == 1.0
        if may_be_far and mixed < 1 and unseen < last_gain < TRUSTED * -slope:
            mixed = more
        else:
            mixed = NEGLIGIBLE * mixed if mixed > NEGLIGIBLE**2 * little else 0.0
        gained = last_gain / max(point.value, np.finfo(np.float64).tiny)
        last_bound, point = bound, end
        bound = stopping.examine(point)
        stopping.record(point, bound)
        stop_reason = stopping.why(point, bound, np.inf)
        # Without a bound nothing tells whether the last Hessian still does.
        if bound == np.inf or bound > INNER_ACCURACY * last_bound:
            last = None
        accuracy = float(np.clip(gained, MIN_ACCURACY, INNER_ACCURACY)) if gained > tiny else tiny
        # A gain below ROUNDING does not tell progress from rounding, but the bound may, which counts slopes and not
        # values. A gain that the model did not promise is rounding too.
        seen = min(gained, -slope / max(point.value, np.finfo(np.float64).tiny))
        # Steps by the curvature of a sample are many, and each adds little to the digits.
        most, falls = (ROUNDS, 1 - INNER_ACCURACY) if current.is_sampled else (MAX_FLAT, 0.5)
        if seen > ROUNDING[np.float64] or bound < falls * idle_bound:
            n_idle, idle_bound = 0, bound
        n_idle += 1
        if not stop_reason and n_idle > most:
            stop_reason = stopping.why_stalled(point, bound, max(0.0, -slope))
    return replace(stopping.solution(stop_reason), model=last if isinstance(last, HessianModel) else None)


def _is_far(last_gap, gap, asked, n_steps):
    """Say whether a gap exceeds `asked` after so many steps with its last ratio. Without a bound it is infinite."""
    if gap == np.inf:
        return True
    # Powers of the gaps themselves would leave the range of float64.
    ratio = gap / last_gap if last_gap > 0 else 1.0
    return gap * ratio**n_steps > asked


def _count_hessian_work(parameters):
    """Return about how many multiply-adds a model by the Hessian takes: its matrix, its sweeps and one factor."""
    return HESSIAN_WORK * parameters.size**2 + int(np.count_nonzero(parameters)) ** 3 // 40


def _keeps_what_linearizing_needs(objective):
    """Say whether linearized probabilities give a dual value: X and probabilities are here, L1 is the only penalty."""
    penalty = objective.penalty
    is_l1_alone = penalty.is_bounded and penalty.l2 == 0 and penalty.box is None
    return is_l1_alone and objective.keeps_probabilities and objective.matrix.lies_in_memory


def _bound_by_model(point, model, asked):
    """Return the lower bound of J* by the probabilities linearized along the step to the minimum of a model.

    The model has smaller thresholds than J. That costs the same fraction of the penalty, less than ``asked``, and
    leaves the gradient a margin for what the descent leaves undone, for rounding, and for negative entries of the
    linearized probabilities.
    """
    margin = TRUSTED if point.size == 0 else min(TRUSTED, TRUSTED * asked / point.size)
    least = model.minimize(INNER_ACCURACY**2, point.objective.penalty.scale_thresholds(1 - margin))
    value, rounding = find_linearized_dual_value(point, least - point.parameters)
    return value - rounding


def _measure_slope(point, direction):
    """Return the change of J by a whole step: first-order, but for the sizes of the penalty."""
    size, parameters = point.objective.penalty.size, point.parameters
    return dot(direction.ravel(), point.gradient.ravel()) + size(parameters + direction) - size(parameters)


def _search(start, direction, slope, least):
    """Return the Point along the direction, to `least`, that falls enough, or None, and the length of its step."""
    length, penalty, unseen = 1.0, start.objective.penalty, ROUNDING[np.float64] * abs(start.value)
    for _ in range(MAX_TRIALS):
        parameters = start.parameters + length * direction
        if penalty.box is not None:
            parameters = least if length == 1 else penalty.clip(parameters)
        end = start.objective.at(parameters, out=start.buffer)
        limit = start.value + SUFFICIENT_DECREASE * length * min(slope, 0.0) + unseen
        # Beyond that all digits of the scores are lost, and J is a number without a meaning.
        falls = end.is_finite and end.rounding <= max(start.value, 1.0) and end.value <= limit
        # Where J cannot tell, the slopes at both ends do: J changes by about their mean. At the end it is that back,
        # since the slope ahead is steep where a coefficient has just become zero.
        back = start.parameters - parameters
        most = max(-length * slope, INNER_ACCURACY**2 * unseen)
        if falls and (start.value - end.value > unseen or -_measure_slope(end, back) <= most):
            return end, length
        length /= 2
    return None, length


def make_model(
    point: Point, by_hessian: bool, borrowed: HessianModel | ColumnModel | None = None, mixed: float = 0.0
) -> HessianModel | ColumnModel:
    """Return the quadratic model around a point, by the Hessian, of a nearby model if given, or by columns.

    The part ``mixed`` of its curvature is equal for all classes. The Hessian may come from a sample.
    """
    objective, matrix = point.objective, point.objective.matrix
    if by_hessian:
        kept = borrowed if isinstance(borrowed, HessianModel) else None
        # Without a bound the model alone has to tell how far the minimum is.
        if kept is not None and not (objective.penalty.is_bounded or kept.is_of(point)):
            kept = None
        curved = point if kept is not None or objective.has_hessian else evaluate_sample(point)
        return HessianModel(point, curved, kept, mixed)
    working_set = choose_working_set(point)
    # A copy of the columns that the model needs, and that copy transposed.
    n_copied = 0 if matrix.lies_in_memory else 2 * matrix.shape[0] * int(np.count_nonzero(working_set.any(axis=0)))
    is_held = objective.keeps_probabilities and objective.budget.holds(8 * n_copied)
    curved = point if is_held else evaluate_sample(point)
    # In float32 the mixed part would be lost in probabilities of 1.
    precision = np.float32 if objective.rows.gains_from_float32 and not mixed else np.float64
    return ColumnModel(point, curved, working_set, precision, mixed)


def choose_working_set(point: Point) -> BoolArray:
    """Return the coordinates (K, d) of the next model: those not zero, and those that would leave it first."""
    gradient, parameters = point.gradient[:, :-1], point.parameters[:, :-1]
    thresholds = point.objective.penalty.thresholds[:-1]
    sizes = np.abs(gradient)
    active = parameters != 0
    if point.objective.penalty.group_lasso:
        sizes = np.broadcast_to(np.sqrt(np.einsum("kj,kj->j", gradient, gradient)), gradient.shape)
        active = np.broadcast_to(active.any(axis=0), gradient.shape)
    chosen = active | (sizes >= (1 - 2 * INNER_ACCURACY) * thresholds)
    box = point.objective.penalty.box
    if box is not None:
        least, most = box.least[:, :-1], box.most[:, :-1]
        slopes = gradient + np.sign(parameters) * thresholds
        chosen &= ~(((parameters <= least) & (slopes > 0)) | ((parameters >= most) & (slopes < 0)))
        chosen &= least < most
    return chosen
