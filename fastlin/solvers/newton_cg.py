"""Truncated Newton: steps by conjugate gradients on the Hessian, preconditioned, with a line search.

Nocedal and Wright 2006, algorithm 7.1, with the forcing term min(0.5, sqrt(||g||)) in the norm of the preconditioner.
"""

import numpy as np

from fastlin.kernels.vectors import dot
from fastlin.solvers import line_search

MAX_PRODUCTS = 100
# Where the decrement has to stand in for a bound, it must not miss what a loose solution leaves out.
TIGHT_FORCING = 0.01


def minimize(objective, parameters, stopping, *, precondition):
    """Minimise the objective from the given parameters.

    Parameters
    ----------
    objective : LinearObjective
        One that keeps probabilities.
    parameters : ndarray of shape (K, d + 1)
        The start; not changed.
    stopping : Stopping
    precondition : callable
        (objective, parameters last evaluated) -> Preconditioner; called for each step.

    Returns
    -------
    Solution

    Raises
    ------
    OverflowError
        The objective or its gradient is not finite at the start.
    """
    evaluation, bound = stopping.begin(parameters)
    start_norm = None
    message = stopping.why(evaluation, bound, np.inf)
    while not message:
        preconditioner = precondition(objective, parameters)
        norm = np.sqrt(max(0.0, _inner(evaluation.gradient, preconditioner.solve(evaluation.gradient))))
        start_norm = start_norm or norm
        forcing = min(0.5 if bound < np.inf else TIGHT_FORCING, np.sqrt(norm / start_norm))
        direction = conjugate_gradients(objective, evaluation.gradient, preconditioner, forcing)
        decrement = -0.5 * _inner(direction, evaluation.gradient)
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
        message = stopping.why(evaluation, bound, np.inf)
    return stopping.solution(message)


def conjugate_gradients(objective, gradient, preconditioner, forcing):
    """Return a step (K, d + 1) that solves H step = -gradient until the residual has fallen to the forcing term.

    H at the point last evaluated; norms are the preconditioner's. At least one product is made.
    """
    step = np.zeros_like(gradient)
    residual = gradient.copy()
    solved = preconditioner.solve(residual)
    direction = -solved
    square = first_square = _inner(residual, solved)
    for _ in range(MAX_PRODUCTS):
        product = objective.hessian_product(direction)
        curvature = _inner(direction, product)
        # Softmax is flat along some directions, where rounding may take any sign.
        if not curvature > 0:
            break
        length = square / curvature
        step += length * direction
        residual += length * product
        solved = preconditioner.solve(residual)
        last_square, square = square, _inner(residual, solved)
        if not square > forcing**2 * first_square:
            break
        direction = -solved + (square / last_square) * direction
    return step if step.any() else direction


def _inner(a, b):
    return dot(a.ravel(), b.ravel())
