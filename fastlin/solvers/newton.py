"""Newton's method: exact by the Cholesky factor of the whole Hessian, or truncated, by conjugate gradients on it.

Both are a direction from a point and a line search along it. The truncated method is algorithm 7.1 of Nocedal and
Wright 2006, preconditioned, with the forcing term min(0.5, sqrt(||g||)) in the norm of the preconditioner.
"""

from __future__ import annotations

from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlin.kernels.machine.vectors import dot
from fastlin.objective.conjugate_gradients import iterate
from fastlin.objective.self_concordance import Direction, bound_fall
from fastlin.solvers import line_search, preconditioners
from fastlin.solvers.solution import REACHED
from fastlin.solvers.tuning import INNER_ACCURACY, ROUNDING, SWITCH_AFTER
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.point import Point
    from fastlin.solvers.choose import Fit
    from fastlin.solvers.preconditioners import AnyPreconditioner, Preconditioner
    from fastlin.solvers.solution import Solution

# A squared residual that exceeds the first one's by this factor is rounding.
LARGEST = 1e20


def minimize_by_cholesky(fit: Fit) -> Solution:
    """Minimize the objective by Newton's steps with the whole Hessian.

    Flat directions of softmax and pivots that vanish get a curvature, so the step descends in any case.
    """

    def find_direction(point, bound):
        direction, diagonal, factor = solve_newton(point)
        # The norm of the inverse takes as long as some factors: only where the end is near.
        if not fit.objective.penalty.is_bounded:
            decrement = -0.5 * _inner(direction.step, point.gradient)
            if decrement <= fit.stopping.asked(point):
                fall = bound_fall(point, direction, diagonal, factor.square_columns(), factor.solve)
                fit.stopping.note_dual(point.value - fall, point.rounding)
        return direction

    return _minimize(fit, find_direction, is_exact=True)


def solve_newton(point: Point) -> tuple[Direction, FloatArray, Preconditioner]:
    """Return Newton's direction at a point, the diagonal (K, d + 1) of the Hessian, and what was solved with."""
    matrix = point.hessian()
    factor = preconditioners.factorize_hessian(point.objective, matrix)
    step = -factor.solve(point.gradient)
    # einsum, not BLAS, whose bits depend on its threads.
    residual = np.einsum("ij,j->i", matrix, step.ravel()).reshape(step.shape) + point.gradient
    return Direction(step, residual), np.diagonal(matrix).reshape(step.shape).copy(), factor


# At extreme scales a step may leave the range of float64; no search accepts its end.
@np.errstate(over="ignore", invalid="ignore")
def minimize_by_conjugate_gradients(fit: Fit) -> Solution:
    """Minimize the objective by truncated Newton steps.

    A preconditioner serves until the products with the Hessian have taken as long. Where SWITCH_AFTER products have not
    solved the equations, blocks of classes come from twice the rows: 60,000 raw images of MNIST take half of the time.
    """
    objective = fit.objective
    build = preconditioners.choose(objective, is_kept=False)
    first = preconditioners.choose_first(objective, build) if fit.beginning.is_plain else build
    coming = chain([first], repeat(build))
    start_norm: float | None = None
    preconditioner: Any = None
    n_products, n_passes, n_more, n_times = 0, -1, 0, 1

    def find_direction(point, bound):
        nonlocal start_norm, preconditioner, n_products, n_passes, n_more, n_times
        if n_products > n_passes:
            if n_more >= SWITCH_AFTER and preconditioners.affords_class_blocks(objective, 2 * n_times):
                n_times *= 2
            precondition = next(coming)
            # Two of them would take twice the budget.
            preconditioner = None
            drawn = (n_times,) if precondition is preconditioners.class_blocks else ()
            preconditioner, n_products = precondition(point, *drawn), 0
            n_passes = preconditioners.count_products(objective, precondition, *drawn)
        norm = np.sqrt(max(0.0, _inner(point.gradient, preconditioner.solve(point.gradient))))
        start_norm = start_norm or norm
        forcing = min(0.5 if bound < np.inf else INNER_ACCURACY, np.sqrt(norm / start_norm) if norm > 0 else 0.0)
        direction, n_more = conjugate_gradients(point, preconditioner, forcing)
        n_products += n_more
        return direction

    return _minimize(fit, find_direction)


def conjugate_gradients(point: Point, preconditioner: AnyPreconditioner, forcing: float) -> tuple[Direction, int]:
    """Return a step that solves H step = -gradient up to the forcing term, and the products it took, at least one."""
    objective, gradient = point.objective, point.gradient

    def precondition(residual):
        # Along equal changes of all classes a gradient is rounding alone, which steps of up to 200 followed.
        return objective.center(preconditioner.solve(residual))

    iterates = iterate(point.hessian_product, -gradient, precondition)
    found, n_products = next(iterates), 0
    first_square = found.square
    for found in islice(iterates, SWITCH_AFTER):
        n_products += 1
        # Where curvature has underflowed, residuals of 1e48 led to steps that float64 does not hold.
        if not forcing**2 * first_square < found.square <= LARGEST * first_square:
            break
    if not n_products:
        # Softmax is flat along the first direction.
        return Direction(-precondition(gradient), gradient.copy()), 1
    return Direction(found.solution, -found.residual), n_products


def _minimize(fit, find_direction, is_exact=False):
    """Minimize the objective by the directions that find_direction makes of a Point and the bound on J - J* there.

    is_exact says that they solve Newton's equations.
    """
    objective, stopping, point = fit.objective, fit.stopping, fit.begin_in(np.float64)
    bound = stopping.begin(point)
    # Of all points so far: steps that undid each other at the floor of rounding took both up and down by turns.
    lowest, min_gap = point.value, point.natural_gap
    stop_reason = stopping.why(point, bound, np.inf)
    while not stop_reason:
        direction = find_direction(point, bound)
        decrement = -0.5 * _inner(direction.step, point.gradient)
        # A step that leaves the slopes as they are meets none of their curvature, as where it has underflowed.
        left, before = np.abs(direction.residual).max(), np.abs(point.gradient).max()
        if left > (1 - INNER_ACCURACY) * before > ROUNDING[np.float64]:
            decrement = np.inf
        stop_reason = stopping.why(point, bound, decrement)
        # Without a penalty coefficients are compared with their standard errors, which fall with the number of rows:
        # the step that is known leads from 2 of them to a hundredth of one (1,000,000 x 20, tol 1e-4).
        if stop_reason and (stop_reason != REACHED or objective.penalty.is_bounded):
            break
        end = line_search.along(point, direction.step)
        if end is None or not (end.value < lowest or end.natural_gap < 0.5 * min_gap):
            # A bound above J, as of a penalty of next to nothing, says no more than none: J is above zero.
            known = np.inf if is_exact and bound > point.value else bound
            stop_reason = stop_reason or stopping.why_stalled(point, known, decrement)
            break
        point, lowest, min_gap = end, min(lowest, end.value), min(min_gap, end.natural_gap)
        bound = stopping.examine(point)
        stopping.record(point, bound)
        stop_reason = stop_reason or stopping.why(point, bound, np.inf)
    return stopping.solution(stop_reason)


def _inner(a, b):
    return dot(a.ravel(), b.ravel())
