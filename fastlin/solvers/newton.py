"""The iteration that Newton's methods share: a direction from the point last evaluated, and a line search along it."""

import numpy as np

from fastlin.kernels.machine.vectors import dot
from fastlin.solvers import line_search


def minimize(objective, parameters, stopping, find_direction):
    """Minimise the objective from the given parameters.

    Parameters
    ----------
    objective : LinearObjective
        One that keeps probabilities.
    parameters : ndarray of shape (K, d + 1)
        The start; not changed.
    stopping : Stopping
    find_direction : callable
        (Evaluation of the point last evaluated, bound on J - J* there) -> direction (K, d + 1), of descent.

    Returns
    -------
    Solution

    Raises
    ------
    OverflowError
        The objective or its gradient is not finite at the start.
    """
    evaluation, bound = stopping.begin(parameters)
    message = stopping.why(evaluation, bound, np.inf)
    while not message:
        direction = find_direction(evaluation, bound)
        decrement = -0.5 * dot(direction.ravel(), evaluation.gradient.ravel())
        message = stopping.why(evaluation, bound, decrement)
        if message:
            break
        step = line_search.along(objective, evaluation.parameters, evaluation, direction)
        if step is None or not step.evaluation.value < evaluation.value:
            message = stopping.why_stalled(evaluation, bound, decrement)
            break
        evaluation = step.evaluation
        bound = stopping.settle(evaluation.parameters, evaluation)
        stopping.record(evaluation, bound)
        message = stopping.why(evaluation, bound, np.inf)
    return stopping.solution(message)
