"""Proximal Newton: each step minimises a quadratic model with the penalty as it is, over a working set.

Lee, Sun and Saunders 2014, "Proximal Newton-type methods for minimizing composite functions"; working sets as in
Johnson and Guestrin 2015, Blitz.
"""

from dataclasses import replace

import numpy as np

from fastlin.kernels.machine.vectors import dot
from fastlin.solvers.preconditioners import evaluated_sample
from fastlin.solvers.quadratic import ColumnModel, HessianModel

SUFFICIENT_DECREASE = 1e-4
MAX_HALVINGS = 30
# The whole Hessian is built for up to so many parameters: its coordinate descent then takes next to no time.
MAX_HESSIAN = 600
# Of the decrease of a model, what a sweep must gain to go on: less the closer the end is.
MIN_ACCURACY, MAX_ACCURACY = 3e-3, 0.1
# After a step that gained less of J than this only an exact one still lowers the bound.
TINY_GAIN, TIGHT_ACCURACY = 1e-9, 1e-8
ROUNDING = 1e-14
MAX_IDLE = 2
# A Hessian is used again where the bound has fallen below this part of the last one: 50 fits along C of sparse 16,000 x
# 123 to 1e-6 then take 0.56 instead of 0.69 processor seconds.
REUSED = 0.1
# Of the threshold, from where on a slope at zero makes a coordinate part of the working set.
NEAR = 0.8


def minimize(objective, parameters, stopping, *, model=None, evaluation=None):
    """Minimise the objective from the given parameters.

    Parameters
    ----------
    objective : LinearObjective
    parameters : ndarray of shape (K, d + 1)
        The start; not changed.
    stopping : Stopping
    model : HessianModel or None
        The last one of a solution near by, whose Hessian is used as long as it does well.
    evaluation : Evaluation or None
        Of the start, where that is what the objective evaluated last.

    Returns
    -------
    Solution

    Raises
    ------
    OverflowError
        The objective or its gradient is not finite at the start.
    """
    # Along a column of zeros a model has neither slope nor curvature, but the penalty counts.
    start = np.where(objective.mean_squares > 0, parameters, 0.0)
    is_known = evaluation is not None and (start == evaluation.parameters).all()
    evaluation, bound = stopping.begin(start, evaluation=evaluation if is_known else None)
    message = stopping.why(evaluation, bound, np.inf)
    accuracy, n_idle = MAX_ACCURACY, 0
    while not message:
        start = evaluation.parameters
        model = make_model(objective, evaluation, model)
        direction = model.minimize(accuracy) - start
        slope = dot(direction.ravel(), evaluation.gradient.ravel())
        slope += objective.size_penalty(start + direction) - objective.size_penalty(start)
        # Where there is no bound this stands in: the model falls by at least half of it.
        message = stopping.why(evaluation, bound, -slope)
        step = None if message else _search(objective, evaluation, direction, slope)
        if step is None and model.is_borrowed and not message:
            model = None
            continue
        if step is None:
            message = message or stopping.why_stalled(evaluation, bound, max(0.0, -slope))
            break
        gained = (evaluation.value - step.value) / max(evaluation.value, np.finfo(np.float64).tiny)
        last_bound, evaluation = bound, step
        bound = stopping.settle(evaluation.parameters, evaluation)
        stopping.record(evaluation, bound)
        message = stopping.why(evaluation, bound, np.inf)
        # Without a bound nothing tells whether the last Hessian still does.
        if bound == np.inf or bound > REUSED * last_bound:
            model = None
        accuracy = float(np.clip(gained, MIN_ACCURACY, MAX_ACCURACY)) if gained > TINY_GAIN else TIGHT_ACCURACY
        # Below that J does not tell progress from rounding, but the bound may, which counts slopes and not values.
        n_idle = 0 if gained > ROUNDING or bound < 0.5 * last_bound else n_idle + 1
        if not message and n_idle > MAX_IDLE:
            message = stopping.why_stalled(evaluation, bound, max(0.0, -slope))
    return replace(stopping.solution(message), model=model if isinstance(model, HessianModel) else None)


def _search(objective, evaluation, direction, slope):
    """Return the Evaluation along the direction that falls enough, trying ever shorter steps, or None."""
    length = 1.0
    for _ in range(MAX_HALVINGS):
        step = objective.evaluate(evaluation.parameters + length * direction)
        limit = evaluation.value + SUFFICIENT_DECREASE * length * min(slope, 0.0) + ROUNDING * abs(evaluation.value)
        if step.is_finite and step.value <= limit:
            return step
        length /= 2
    return None


def make_model(objective, evaluation, near=None):
    """Return the quadratic model around the point last evaluated, with the Hessian of another model that is near.

    Where there is no room for the probabilities of all rows, its Hessian is that of a sample.
    """
    if not objective.keeps_probabilities:
        objective = evaluated_sample(objective, evaluation.parameters)
    if evaluation.parameters.size <= MAX_HESSIAN:
        # Without a bound the model alone has to tell how far the minimum is.
        return HessianModel(objective, evaluation, near if objective.is_bounded else None)
    gains = objective.allows_float32 and objective.matrix.gains_from_float32(objective.n_rows_coef)
    working_set = choose_working_set(objective, evaluation)
    return ColumnModel(objective, evaluation, working_set, np.float32 if gains else np.float64)


def choose_working_set(objective, evaluation):
    """Return the coordinates (K, d) of the next model: those that are not zero, and those that would leave it first."""
    gradient, parameters = evaluation.gradient[:, :-1], evaluation.parameters[:, :-1]
    thresholds = objective.thresholds[:-1]
    sizes = np.abs(gradient)
    active = parameters != 0
    if objective.group_by_class:
        sizes = np.broadcast_to(np.sqrt(np.einsum("kj,kj->j", gradient, gradient)), gradient.shape)
        active = np.broadcast_to(active.any(axis=0), gradient.shape)
    return active | (sizes >= NEAR * thresholds)
