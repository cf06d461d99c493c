"""L-BFGS from the solution for a sample of the rows, and proximal Newton from a solution with an intercept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastlin.objective.penalty import MAX_PENALTY
from fastlin.solvers import lbfgs, preconditioners, proximal_newton
from fastlin.solvers.minimization import Minimization, Start
from fastlin.solvers.stopping import Stopping
from fastlin.solvers.tuning import (
    INNER_TOL,
    MAX_SAMPLE_ITERATIONS,
    MAX_START_ITERATIONS,
    MIN_MEAN_RATIO,
    MIN_ROWS_FOR_SAMPLE,
    MIN_SAMPLED_ROWS,
    ROWS_PER_COLUMN,
    START_TOL,
    SWITCH_THRESHOLD,
)

if TYPE_CHECKING:
    from fastlin.solvers.solution import Solution


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
    solution = proximal_newton.minimize(_make_inner_fit(with_intercept, max(START_TOL, stopping.tol), max_iter))
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
    n_sampled_rows = max(MIN_SAMPLED_ROWS, 4 * ROWS_PER_COLUMN * objective.shape[1])
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
    # Later iterations gain little with this preconditioner, which is built at the null model.
    fit = _make_inner_fit(sample, tol / INNER_TOL, MAX_SAMPLE_ITERATIONS)
    fit.start = Start(objective.start())
    preconditioner = preconditioners.choose_shared_builder(sample)(fit.start_point(sample.fast_precision))
    if sample.n_rows < ROWS_PER_COLUMN * len(fit.start.parameters) * preconditioner.n_effective_directions:
        return None
    return lbfgs.minimize(fit, {0: lambda point: preconditioner}).parameters


def _make_inner_fit(objective, tol, max_iter):
    """Return the Minimization of an objective whose solution is a starting point."""
    stopping = Stopping(objective, tol, "suboptimality", max_iter)
    return Minimization(objective, stopping, "auto", None, ())
