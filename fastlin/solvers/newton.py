"""Newton's method, exact or truncated, with a line search.

The exact method uses a Cholesky factor of the full Hessian. The truncated method uses conjugate gradients (Nocedal and
Wright 2006, algorithm 7.1) with a preconditioner. The norm of the preconditioner defines the forcing term min(0.5,
sqrt(||g||)).
"""

from __future__ import annotations

from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlin.kernels.machine.vectors import dot
from fastlin.objective.conjugate_gradients import iterate_conjugate_gradients
from fastlin.objective.self_concordance import Direction, bound_suboptimality
from fastlin.solvers import line_search, preconditioners
from fastlin.solvers.solution import CONVERGED
from fastlin.solvers.tuning import INNER_TOL, SWITCH_THRESHOLD, VALUE_EPS
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.point import Point
    from fastlin.solvers.minimization import Minimization
    from fastlin.solvers.preconditioners import AnyPreconditioner, Preconditioner
    from fastlin.solvers.solution import Solution

# A squared residual that exceeds the first one by this factor is dominated by rounding error.
MAX_RESIDUAL_GROWTH = 1e20


def minimize_by_cholesky(fit: Minimization) -> Solution:
    """Minimize the objective by Newton steps with the full Hessian.

    The Hessian is regularized along flat directions of softmax and at vanishing pivots, so every step is a descent
    direction.
    """

    def find_direction(point, bound):
        direction, diagonal, factor = solve_newton_equations(point)
        # The norm of the inverse costs as much as several factorizations, so it is computed only near the minimum.
        if not fit.objective.penalty.is_bounded:
            decrement = -0.5 * _dot_raveled(direction.step, point.gradient)
            if decrement <= fit.stopping.allowed_gap(point):
                max_decrease = bound_suboptimality(
                    point, direction, diagonal, factor.compute_column_squares(), factor.solve
                )
                fit.stopping.update_dual_value(point.value - max_decrease, point.rounding)
        return direction

    return _minimize_along_directions(fit, find_direction, is_exact_direction=True)


def solve_newton_equations(point: Point) -> tuple[Direction, FloatArray, Preconditioner]:
    """Return the Newton direction at a point, and the diagonal (K, d + 1) and the factor of the Hessian."""
    matrix = point.hessian()
    factor = preconditioners.factorize_hessian(point.objective, matrix)
    step = -factor.solve(point.gradient)
    # The product uses einsum, because the results of BLAS depend on the number of threads.
    residual = np.einsum("ij,j->i", matrix, step.ravel()).reshape(step.shape) + point.gradient
    return Direction(step, residual), np.diagonal(matrix).reshape(step.shape).copy(), factor


# At extreme scales, a step may leave the range of float64. The line search does not accept such a step.
@np.errstate(over="ignore", invalid="ignore")
def minimize_by_conjugate_gradients(fit: Minimization) -> Solution:
    """Minimize the objective by truncated Newton steps.

    A preconditioner is replaced once the products with the Hessian have cost as much as building it. If
    SWITCH_THRESHOLD products do not solve the equations, the next class blocks use twice as many rows
    (docs/benchmarks/design-choices.md: twice the rows per block).
    """
    objective = fit.objective
    builder = preconditioners.choose(objective, is_long_lived=False)
    first = preconditioners.choose_first_builder(objective, builder) if fit.start.is_null_model else builder
    preconditioner_builders = chain([first], repeat(builder))
    start_gradient_norm: float | None = None
    preconditioner: Any = None
    n_products, n_passes, n_new_products, sample_size_multiple = 0, -1, 0, 1

    def find_direction(point, bound):
        nonlocal start_gradient_norm, preconditioner, n_products, n_passes, n_new_products, sample_size_multiple
        if n_products > n_passes:
            if n_new_products >= SWITCH_THRESHOLD and preconditioners.are_class_blocks_affordable(
                objective, 2 * sample_size_multiple
            ):
                sample_size_multiple *= 2
            precondition = next(preconditioner_builders)
            # The old preconditioner is deleted first, because two would exceed the budget.
            preconditioner = None
            block_builder_arguments = (
                (sample_size_multiple,) if precondition is preconditioners.build_class_blocks else ()
            )
            preconditioner, n_products = precondition(point, *block_builder_arguments), 0
            n_passes = preconditioners.count_hessian_products(objective, precondition, *block_builder_arguments)
        norm = np.sqrt(max(0.0, _dot_raveled(point.gradient, preconditioner.solve(point.gradient))))
        start_gradient_norm = start_gradient_norm or norm
        forcing_term = min(
            0.5 if bound < np.inf else INNER_TOL, np.sqrt(norm / start_gradient_norm) if norm > 0 else 0.0
        )
        direction, n_new_products = conjugate_gradients(point, preconditioner, forcing_term)
        n_products += n_new_products
        return direction

    return _minimize_along_directions(fit, find_direction)


def conjugate_gradients(point: Point, preconditioner: AnyPreconditioner, forcing_term: float) -> tuple[Direction, int]:
    """Return an approximate solution of H step = -gradient, and the number of products with H (at least one)."""
    objective, gradient = point.objective, point.gradient

    def precondition(residual):
        # Along equal changes of all classes, the gradient is only rounding error, so the step is centered.
        return objective.center(preconditioner.solve(residual))

    iterates = iterate_conjugate_gradients(point.hessian_product, -gradient, precondition)
    current_iterate, n_products = next(iterates), 0
    first_square = current_iterate.square
    for current_iterate in islice(iterates, SWITCH_THRESHOLD):
        n_products += 1
        # If the curvature has underflowed, the residuals grow until steps overflow.
        if not forcing_term**2 * first_square < current_iterate.square <= MAX_RESIDUAL_GROWTH * first_square:
            break
    if not n_products:
        # Softmax is flat along the first direction.
        return Direction(-precondition(gradient), gradient.copy()), 1
    return Direction(current_iterate.solution, -current_iterate.residual), n_products


def _minimize_along_directions(fit, find_direction, is_exact_direction=False):
    """Minimize the objective along directions. `find_direction` takes a Point and the bound on J - J*.

    `is_exact_direction` is true if the directions solve Newton's equations exactly.
    """
    objective, stopping, point = fit.objective, fit.stopping, fit.start_point(np.float64)
    bound = stopping.begin(point)
    # The minima over all points so far. At the limit of floating-point accuracy, J and the gap may oscillate.
    lowest, smallest_gap = point.value, point.stationary_gap
    stop_reason = stopping.find_stop_reason(point, bound, np.inf)
    while not stop_reason:
        direction = find_direction(point, bound)
        decrement = -0.5 * _dot_raveled(direction.step, point.gradient)
        # If the step hardly changes the gradient, there is no curvature along it, for example because of underflow.
        largest_residual, before = np.abs(direction.residual).max(), np.abs(point.gradient).max()
        if largest_residual > (1 - INNER_TOL) * before > VALUE_EPS[np.float64]:
            decrement = np.inf
        stop_reason = stopping.find_stop_reason(point, bound, decrement)
        # Without a penalty, users compare coefficients with standard errors. These are small if there are many rows. So
        # the computed step is taken even after convergence (docs/benchmarks/design-choices.md: last newton step).
        if stop_reason and (stop_reason != CONVERGED or objective.penalty.is_bounded):
            break
        end = line_search.search_along_direction(point, direction.step)
        if end is None or not (end.value < lowest or end.stationary_gap < 0.5 * smallest_gap):
            # A bound above J is useless, because J is positive. A very small penalty can cause such a bound.
            useful_bound = np.inf if is_exact_direction and bound > point.value else bound
            stop_reason = stop_reason or stopping.find_stall_reason(point, useful_bound, decrement)
            break
        point, lowest, smallest_gap = end, min(lowest, end.value), min(smallest_gap, end.stationary_gap)
        bound = stopping.update_with_intercept(point)
        stopping.record(point, bound)
        stop_reason = stop_reason or stopping.find_stop_reason(point, bound, np.inf)
    return stopping.make_solution(stop_reason)


def _dot_raveled(a, b):
    return dot(a.ravel(), b.ravel())
