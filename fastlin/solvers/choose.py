"""Choose the solvers for an objective, and minimize it.

Candidates are tried in order. Each continues from the point where the previous one stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from fastlin.objective.budget import SMALL_HESSIAN_SIZE
from fastlin.objective.penalty import MAX_PENALTY
from fastlin.solvers import descent, lbfgs, newton, preconditioners, proximal_newton, row_space_lbfgs
from fastlin.solvers.minimization import Minimization, Start
from fastlin.solvers.solution import CONVERGED, MAX_ITER_REACHED
from fastlin.solvers.stopping import Stopping
from fastlin.solvers.tuning import (
    EXPENSIVE_REFRESH_ITERATIONS,
    INNER_TOL,
    MAX_START_ITERATIONS,
    MAX_WORK_IN_CACHE,
    MIN_MEAN_RATIO,
    MIN_ROWS_FOR_SAMPLE,
    ROWS_PER_COLUMN,
    START_TOL,
    SWITCH_THRESHOLD,
)
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
    fit = Minimization(objective, stopping, objective.make_probability_buffer(), solver, nearby_fit, starts)
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
        # this estimate is not reliable, but the estimate of Newton's method is.
        is_solution_uncertain = (
            method is minimize_by_lbfgs and not objective.penalty.is_bounded and solution.stop_reason == CONVERGED
        )
        if solution.stop_reason.is_final and not is_solution_uncertain:
            break
        best = stopping.best
        fit.start = Start(objective.center(best.parameters), best if best.has_probabilities else None)
    return solution


# A method returns a Solution, or None if it cannot start.
SolverMethod: TypeAlias = Callable[[Minimization], "Solution | None"]


def list_methods(objective: Objective, solver: str) -> list[SolverMethod]:
    """Return the methods that minimize an objective, in the order in which they are tried."""
    if not objective.penalty.is_smooth:
        return [minimize_by_proximal_newton]
    name, may_build_hessian = choose_solver(objective, solver), objective.is_hessian_affordable
    may_switch_to_newton = name == "lbfgs" != solver and objective.has_hessian
    is_small = may_build_hessian and objective.shape[0] * objective.shape[1] <= SMALL_HESSIAN_SIZE
    is_newton_solver = solver in ("newton-cg", "newton-cholesky")
    method_suitability: list[tuple[SolverMethod, bool]] = [
        (row_space_lbfgs.minimize, name == "lbfgs" and row_space_lbfgs.is_suitable(objective)),
        (descent.minimize, not is_newton_solver and descent.is_suitable(objective)),
        (minimize_by_lbfgs, name == "lbfgs"),
        (newton.minimize_by_conjugate_gradients, name == "newton-cg" or (may_switch_to_newton and not is_small)),
        (newton.minimize_by_cholesky, name == "newton-cholesky" or (may_switch_to_newton and may_build_hessian)),
        # If no row has curvature because of offsets, models with mixed curvature still make progress.
        (proximal_newton.minimize, objective.rows.offset_range is not None),
    ]
    return [method for method, is_suitable in method_suitability if is_suitable]


def choose_solver(objective: Objective, solver: str) -> str:
    """Return "lbfgs", "newton-cg" or "newton-cholesky" for any solver name. The penalty must be smooth."""
    if not objective.has_hessian:
        return "lbfgs"
    if solver in ("lbfgs", "newton-cg"):
        return solver
    n_parameters = objective.shape[0] * objective.shape[1]
    work = objective.matrix.count_gram_work() * objective.n_rows_coef**2 + n_parameters**3
    max_hessian_work = 2 * MAX_WORK_IN_CACHE
    if not objective.matrix.lies_in_memory:
        # Passes over blocks on disk or on workers are expensive. Newton's method needs fewer passes than L-BFGS, and a
        # start from a sample needs even fewer.
        max_hessian_work = 5 * max_hessian_work if objective.n_rows < MIN_ROWS_FOR_SAMPLE else 0
    is_tiny_problem = n_parameters <= SMALL_HESSIAN_SIZE and work <= max_hessian_work
    is_newton_preferred = solver == "newton-cholesky" or is_tiny_problem
    return "newton-cholesky" if is_newton_preferred and objective.is_hessian_affordable else "lbfgs"


def minimize_by_proximal_newton(fit: Minimization) -> Solution:
    """Minimize the objective by proximal Newton steps, perhaps from a solution with an intercept."""
    if fit.start.is_null_model and fit.nearby_fit is None and _is_start_with_intercept_useful(fit.objective):
        point = fit.objective.at(_find_start_with_intercept(fit.objective, fit.stopping), out=fit.buffer)
        if point.value <= fit.objective.compute_start_value():
            fit.start = Start(point.parameters, point)
    return proximal_newton.minimize(fit)


def _is_start_with_intercept_useful(objective):
    """Return whether X is wide, and its columns are far from zero, but there is no intercept."""
    if objective.fit_intercept or objective.penalty.box is not None or objective.n_rows >= objective.shape[1]:
        return False
    squared_mean = float(np.sum(np.square(objective.coordinates.mean)))
    return squared_mean > 0 and squared_mean >= MIN_MEAN_RATIO * float(np.sum(objective.coordinates.mean_squares[:-1]))


# At extreme scales, coefficients leave the range of float64. The start is then not used.
@np.errstate(over="ignore", invalid="ignore")
def _find_start_with_intercept(objective, stopping):
    """Return centered parameters (K, d + 1) with nearly the scores of the solution with an intercept.

    If columns are far from zero, they are nearly parallel, so coordinate descent is slow. An intercept centers them.
    Multiples of the column means then replace the intercept: they are added to the nonzero coefficients.
    """
    with_intercept, coordinates = objective.with_intercept(), objective.coordinates
    max_iter = min(stopping.max_iter, MAX_START_ITERATIONS)
    solution = minimize(with_intercept, solver="auto", tol=max(START_TOL, stopping.tol), max_iter=max_iter)
    coef, intercept = with_intercept.coordinates.convert_to_coefficients(solution.parameters)
    # The unit keeps the squares within the range of float64.
    means, sizes = coordinates.mean / coordinates.scale, np.sqrt(coordinates.mean_squares[:-1]) / coordinates.scale
    unit = sizes.max()
    means, sizes = np.where(coef != 0, means / unit, 0.0), np.where(coef != 0, sizes / unit, 0.0)
    squares = np.sum(means**2, axis=1)
    # Columns whose mean square is mostly variance cannot replace the intercept.
    has_large_means = squares > 0.5 * np.sum(sizes**2, axis=1)
    factors = np.divide(intercept / unit, squares, out=np.zeros(len(coef)), where=has_large_means)
    coef += factors[:, None] * means
    return objective.center(coordinates.to_parameters(coef, np.zeros(len(coef))))


def minimize_by_lbfgs(fit: Minimization) -> Solution:
    """Minimize the objective by preconditioned L-BFGS in the space of the coefficients."""
    objective = fit.objective
    solution_of_sample = _minimize_sample(objective, fit.stopping.tol) if fit.start.is_null_model else None
    if solution_of_sample is not None:
        fit.start = Start(solution_of_sample)
    switch_threshold = SWITCH_THRESHOLD if fit.solver != "lbfgs" and objective.has_hessian else None
    return lbfgs.minimize(
        fit, preconditioners.schedule_builders(objective, is_sampled=solution_of_sample is not None), switch_threshold
    )


def _minimize_sample(objective, tol):
    """Return the solution for a sample of the rows with the same penalty, or None if the sample is too small."""
    n_sampled_rows = max(MIN_ROWS_FOR_SAMPLE // 10, 4 * ROWS_PER_COLUMN * objective.shape[1])
    copied_bytes = 0 if objective.matrix.lies_in_memory else n_sampled_rows * objective.matrix.row_bytes
    if objective.n_rows < max(MIN_ROWS_FOR_SAMPLE, 4 * n_sampled_rows) or not objective.budget.allows_sample_bytes(
        copied_bytes
    ):
        return None
    sample = objective.sample(n_sampled_rows)
    if not sample.rows.min_class_weight > 0:
        return None
    fraction = sample.rows.total_weight / objective.rows.total_weight
    sample = sample.with_penalty(min(objective.penalty.l2 / fraction, MAX_PENALTY), 0.0)
    # This preconditioner is not used for more iterations than the one that is built at the solution.
    stopping = Stopping(sample, tol / INNER_TOL, "suboptimality", 2 * EXPENSIVE_REFRESH_ITERATIONS[0])
    fit = Minimization(sample, stopping, sample.make_probability_buffer(), "auto", None, ())
    fit.start = Start(objective.start())
    preconditioner = preconditioners.choose_shared_builder(sample)(fit.start_point(sample.fast_precision))
    if sample.n_rows < ROWS_PER_COLUMN * len(fit.start.parameters) * preconditioner.n_effective_directions:
        return None
    return lbfgs.minimize(fit, {0: lambda point: preconditioner}).parameters
