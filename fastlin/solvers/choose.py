"""Choose the solvers for an objective, and minimize it.

Candidates are tried in order. Each continues from the point where the previous one stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from fastlin.objective.budget import SMALL_HESSIAN_SIZE
from fastlin.solvers import descent, newton, proximal_newton, row_space_lbfgs, starting_points
from fastlin.solvers.minimization import Minimization, Start
from fastlin.solvers.solution import MAX_ITER_REACHED
from fastlin.solvers.stopping import Stopping
from fastlin.solvers.tuning import INNER_TOL, MAX_WORK_IN_CACHE, MIN_ROWS_FOR_SAMPLE
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.solvers.solution import Solution
    from fastlin.solvers.stopping import IterationCallback


def minimize(
    objective: Objective,
    starts: Sequence[FloatArray] = (),
    *,
    solver: str,
    tol: float,
    max_iter: int,
    on_iteration: IterationCallback | None = None,
    is_model_comparison: bool = False,
    nearby_fit: Solution | None = None,
) -> Solution:
    """Minimize an objective with solver "auto" or one of scikit-learn's solver names.

    The fit starts from the null model or one of the starts (K, d + 1), whichever is best. `Stopping` describes `tol`,
    `max_iter` and `on_iteration`. `nearby_fit` is a solution for the same rows and another penalty. If
    `is_model_comparison` is true, as in cross-validation, the tolerance of "auto" is relative to J or, if it is larger,
    to 1 % of J of the null model.
    """
    rule: Literal["suboptimality", "gradient"] = "suboptimality" if solver == "auto" else "gradient"
    objective_floor = (
        INNER_TOL**2 * objective.null_model.lower_bound if is_model_comparison and solver == "auto" else 0.0
    )
    stopping = Stopping(objective, tol, rule, max_iter, on_iteration, objective_floor)
    fit = Minimization(objective, stopping, solver, nearby_fit, starts)
    if max_iter == 0:
        # The result is the model before the first step: zeros, or the warm start.
        start = objective.penalty.clip(starts[0] if starts else np.zeros(objective.shape))
        point = objective.at(start, out=fit.buffer)
        return stopping.make_solution(
            stopping.find_stop_reason(point, stopping.begin(point), np.inf) or MAX_ITER_REACHED
        )
    is_solution_uncertain = False
    for method in list_methods(objective, solver):
        result = None if is_solution_uncertain and method is not newton.minimize_by_cholesky else method(fit)
        if result is None:
            continue
        solution = result
        # Without a bound on J - J*, L-BFGS estimates J - J* with an approximate Hessian. For nearly collinear columns,
        # this estimate is not reliable, also at the limit of accuracy, but the estimate of Newton's method is.
        is_solution_uncertain = (
            method is starting_points.minimize_by_lbfgs
            and not objective.penalty.is_bounded
            and solution.stop_reason.converged
        )
        if solution.stop_reason.is_final and not is_solution_uncertain:
            break
        best = stopping.best
        fit.start = Start(objective.center(best.parameters), best if best.has_probabilities else None)
    return solution


# A method returns a Solution, or None if it cannot start.
SolverMethod: TypeAlias = Callable[[Minimization], "Solution | None"]


def list_methods(objective: Objective, solver: str) -> list[SolverMethod]:
    """Return the methods that minimize an objective, in order of preference. Later methods continue earlier ones."""
    if not objective.penalty.is_smooth:
        return [starting_points.minimize_by_proximal_newton]
    has_hessian = objective.has_hessian and solver != "lbfgs"
    has_factor = has_hessian and objective.is_hessian_affordable
    # In a tiny problem, newton-cg solves its equations exactly too. Two steps are then the same as two warm starts.
    starts_with_factor = has_factor and (solver == "newton-cholesky" or is_hessian_cheap(objective))
    starts_with_products = has_hessian and solver == "newton-cg" and not starts_with_factor
    starts_with_gradients = not (starts_with_factor or starts_with_products)
    may_switch_to_products = starts_with_gradients and has_hessian
    may_switch_to_products &= not has_factor or objective.n_parameters > SMALL_HESSIAN_SIZE
    is_newton_solver = solver in ("newton-cg", "newton-cholesky")
    method_suitability: list[tuple[SolverMethod, bool]] = [
        # Wide rows: there are fewer rows than coefficients.
        (row_space_lbfgs.minimize, starts_with_gradients and row_space_lbfgs.is_suitable(objective)),
        # Few parameters: iterations are compiled, and Hessians are cheap.
        (descent.minimize, not is_newton_solver and descent.is_suitable(objective)),
        # All other data: L-BFGS needs about one pass per iteration.
        (starting_points.minimize_by_lbfgs, starts_with_gradients),
        # The caller chose it, or L-BFGS was slow or has stalled. Products with the Hessian need no memory.
        (newton.minimize_by_conjugate_gradients, starts_with_products or may_switch_to_products),
        # The Hessian fits into memory. Its factor also shows how far the minimum is if there is no bound.
        (newton.minimize_by_cholesky, starts_with_factor or (starts_with_gradients and has_factor)),
        # If no row has curvature because of offsets, models with mixed curvature still make progress.
        (proximal_newton.minimize, objective.rows.offset_range is not None),
    ]
    return [method for method, is_suitable in method_suitability if is_suitable]


def is_hessian_cheap(objective: Objective) -> bool:
    """Return whether a factor of the full Hessian costs so little that Newton's method needs nothing before it."""
    work = objective.matrix.count_gram_work() * objective.n_rows_coef**2 + objective.n_parameters**3
    max_hessian_work = 2 * MAX_WORK_IN_CACHE
    if not objective.matrix.lies_in_memory:
        # Passes over blocks on disk or on workers are expensive. Newton's method needs fewer passes than L-BFGS, and a
        # start from a sample needs even fewer.
        max_hessian_work = 5 * max_hessian_work if objective.n_rows < MIN_ROWS_FOR_SAMPLE else 0
    return objective.n_parameters <= SMALL_HESSIAN_SIZE and work <= max_hessian_work
