"""Fits of one X that differ in labels, weights and C: side by side in lots, where their objectives allow it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastlin.estimators.parameters import read_penalty_factors
from fastlin.estimators.problem import LOST, Fit
from fastlin.estimators.training_data import choose_dtype
from fastlin.matrices import BlockMatrix
from fastlin.objective import choose_coordinates, fill_factors
from fastlin.typing import Array, FloatArray

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator
    from fastlin.estimators.training_data import TrainingData
    from fastlin.inference.bootstrap import Draws, Resampled


class Task(NamedTuple):
    """The fit of two classes, both of which some rows of weight have."""

    labels: np.ndarray  # (n,), 0 or 1
    C: float
    weights: np.ndarray | None = None  # (n,), divided by the unit of TrainingData; None for ones
    start: tuple[FloatArray, FloatArray] | None = None  # coef (1, d) and intercept (1,); None for the solver's choice


def suits(estimator: LinearEstimator, data: TrainingData, C: float, l1_ratio: float) -> bool:
    """Say whether fits of an estimator to rows like these, with two classes each, may be made in lots."""
    factors = estimator.penalty_factors
    return (
        estimator.solver == "auto"
        and C < np.inf
        and l1_ratio == 0
        and estimator.lower_bounds is None
        and estimator.upper_bounds is None
        and (factors is None or bool((read_penalty_factors(factors, data.matrix) > 0).all()))
        and data.offsets is None
        and data.targets is None
        and data.matrix.lies_in_memory
        and not isinstance(data.matrix, BlockMatrix)
    )


def fit_lots(
    estimator: LinearEstimator,
    data: TrainingData,
    pose: Callable[[int], Task],
    Cs: FloatArray,
    curvatures: FloatArray,
    *,
    reference: Array | None = None,
    tol: float | None = None,
) -> Iterator[tuple[int, Fit]]:
    """Yield the number and the Fit of each task, in any order, of fits that `suits` allows; pose returns a task.

    A fit that does not converge here may do so alone. Cs and curvatures (B,) are the tasks' C and about their mean
    p (1 - p). The Hessians of the losses are about those of the rows with the weights of the reference (n,).
    """
    from fastlin.objective.lot import Problem, SharedRows
    from fastlin.solvers.lots import minimize_all

    columns = data.measure()
    strengths = 1.0 / (Cs * data.weight_unit * data.weigh())
    factors = fill_factors(
        None if estimator.penalty_factors is None else read_penalty_factors(estimator.penalty_factors, data.matrix),
        data.matrix.shape[1],
    )
    coordinates = choose_coordinates(columns, float(strengths.min()), factors, estimator.fit_intercept)
    rows, dtype = (
        SharedRows(data.matrix, coordinates, factors, estimator.fit_intercept),
        choose_dtype(data.matrix, estimator.solver),
    )
    posed: dict[int, float] = {}

    def pose_problem(number):
        labels, C, weights, start = pose(number)
        total = len(labels) if weights is None else weights.sum()
        posed[number] = l2 = 1.0 / (C * data.weight_unit * total)
        return Problem(labels, l2, weights, None if start is None else coordinates.to_parameters(*start)[0])

    tol = estimator.tol if tol is None else tol
    given = rows, pose_problem, strengths / curvatures, reference
    for number, found in minimize_all(*given, tol=tol, max_iter=estimator.max_iter):
        coef, intercept, rise = rows.finish(found.parameters, found.gradient, posed.pop(number), dtype)
        found = found._replace(converged=found.converged and rise <= max(found.value, LOST))
        yield number, Fit(Cs[number], coef, intercept, found.certificate + rise, found)


def fit_resamples(
    estimator: LinearEstimator,
    data: TrainingData,
    C: float,
    start: tuple[FloatArray, FloatArray],
    curvature: FloatArray,
    tol: float,
    draws: Draws,
    n_resamples: int,
) -> Iterator[tuple[int, Resampled]]:
    """Yield the number and the Resampled of each resample, in any order.

    They begin at a start, coef (1, d) and intercept (1,), where the rows have a curvature s p (1 - p), (n,).
    """
    from fastlin.inference.bootstrap import Resampled

    def pose(number):
        return Task(data.labels, C, next(draws.draw(number)), start)

    Cs, curvatures = np.full(n_resamples, C), np.full(n_resamples, curvature.sum() / data.weigh())
    for number, fit in fit_lots(estimator, data, pose, Cs, curvatures, reference=curvature, tol=tol):
        yield number, Resampled(fit.coef, fit.intercept, fit.certificate, fit.solution.converged)
