"""Newton's method with the whole Hessian and its Cholesky factor, for few classes times features."""

from fastlin.kernels.vectors import dot
from fastlin.solvers import line_search
from fastlin.solvers.preconditioners import hessian


def minimize(objective, parameters, stopping):
    """Minimise the objective from the given parameters.

    The directions along which softmax is flat get a curvature of their own, and a pivot that vanishes one of its
    column's (preconditioners.hessian, kernels/cholesky.py): the step is Newton's where the Hessian is regular, and
    descends in any case.

    Parameters
    ----------
    objective : LinearObjective
        One that keeps probabilities.
    parameters : ndarray of shape (K, d + 1)
        The start; not changed.
    stopping : Stopping

    Returns
    -------
    Solution

    Raises
    ------
    OverflowError
        The objective or its gradient is not finite at the start.
    """
    evaluation, bound = stopping.begin(parameters)
    message = stopping.why(evaluation, bound, float("inf"))
    while not message:
        direction = -hessian(objective).solve(evaluation.gradient)
        decrement = -0.5 * dot(direction.ravel(), evaluation.gradient.ravel())
        message = stopping.why(evaluation, bound, decrement)
        if message:
            break
        step = line_search.along(objective, parameters, evaluation, direction)
        if step is None or not step.evaluation.value < evaluation.value:
            message = stopping.why_stalled(evaluation, bound, decrement)
            break
        parameters, evaluation = step.parameters, step.evaluation
        bound = stopping.settle(parameters, evaluation)
        stopping.record(evaluation, bound)
        message = stopping.why(evaluation, bound, float("inf"))
    return stopping.solution(message)
