"""Find the optimum from a point near it, by Newton steps that reuse a Hessian while they converge quickly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from fastlin.inference.hessian import HessianOperator, measure_step_length
from fastlin.matrices.matrix import PROBABILITY_BATCH_BYTES
from fastlin.objective.objective import Objective
from fastlin.objective.point import Point, ProbabilityBuffer
from fastlin.objective.self_concordance import Direction, bound_row_entries
from fastlin.solvers import choose
from fastlin.typing import FloatArray

# Newton steps stop at this distance from the optimum, in standard errors.
OPTIMUM_DISTANCE_TOL = 1e-6
# A Hessian is reused while each step reduces the distance to at most this fraction.
MAX_REUSE_DISTANCE_RATIO = 0.3
MAX_STEPS = 30
# Largest change in the scores of a row between the point of the Hessian and the optimum. It bounds the relative change
# in the Hessian, which is twice the relative change in standard errors.
MAX_SCORE_CHANGE = 1e-6
# If half the squared Newton decrement exceeds MAX_PREDICTED_DECREASE times J, a solver with a line search and tolerance
# SOLVER_TOL first approaches the optimum.
MAX_PREDICTED_DECREASE, SOLVER_TOL = 1e-2, 1e-10
MAX_ITERATIONS = 1000


@dataclass(frozen=True, eq=False)
class Optimum:
    """The maximum of the penalized likelihood, as accurate as float64 permits, and the Hessian of J there.

    `distance` is the distance from the exact optimum in standard errors. It is a bound if `is_certified` is true,
    otherwise an estimate.
    """

    point: Point
    curvature: HessianOperator
    distance: float
    is_certified: bool


def find_optimum(point: Point, kind: type[HessianOperator], n_samples: float) -> Optimum:
    """Return the optimum near a point, with a Hessian of class `kind`. Standard errors are for n_samples rows."""
    objective, curvature = point.objective, kind(point)
    # `score_change` is the change in the scores since the Hessian was computed. `last` is the length of the previous
    # step in standard errors.
    score_change, last, has_run_solver = 0.0, np.inf, False
    for n_steps in range(MAX_STEPS + 1):
        direction = curvature.direction if point is curvature.point else curvature.compute_newton_step(point)
        decrement, change = measure_step_length(point, direction), find_score_change_bound(point, direction.step)
        size = decrement * sqrt(n_samples)
        if change <= MAX_SCORE_CHANGE or size <= OPTIMUM_DISTANCE_TOL or n_steps == MAX_STEPS:
            break
        if not has_run_solver and not 0.5 * decrement**2 <= MAX_PREDICTED_DECREASE * point.value:
            # Newton steps without a line search may be too long here.
            point, has_run_solver = approach_optimum(objective, [point.parameters], point.buffer), True
            curvature, score_change, last = kind(point), 0.0, np.inf
        elif size > MAX_REUSE_DISTANCE_RATIO * last and curvature.point is not point:
            curvature, score_change, last = kind(point), 0.0, np.inf
        else:
            point, last = objective.at(objective.center(point.parameters + direction.step), out=point.buffer), size
            score_change += change
            if not curvature.is_reusable:
                curvature, score_change = kind(point), 0.0
    if score_change > MAX_SCORE_CHANGE:
        curvature = kind(point)
        direction = curvature.direction
    return take_last_step(point, curvature, direction, n_samples)


def take_last_step(point: Point, curvature: HessianOperator, direction: Direction, n_samples: float) -> Optimum:
    """Take a last step from a point near the optimum, and return the Optimum with a bound on its distance."""
    max_decrease, decrement = curvature.bound_suboptimality(point, direction), measure_step_length(point, direction)
    # A step with Newton decrement r decreases J by r^2 / 2 and changes no coefficient by more than sqrt(n) r standard
    # errors. The distance of the new point from the optimum is at most the distance of the old point plus the step.
    is_certified = max_decrease < np.inf
    distance = ((sqrt(2 * max_decrease) if is_certified else decrement) + decrement) * sqrt(n_samples)
    end = point.objective.at(point.objective.center(point.parameters + direction.step))
    return Optimum(end, curvature, distance, is_certified)


def approach_optimum(
    objective: Objective, starts: Sequence[FloatArray], buffer: ProbabilityBuffer | None = None
) -> Point:
    """Run a solver from the best of the starting points (K, d + 1), if any, and return a point near the optimum."""
    solution = choose.minimize(objective, starts, solver="auto", tol=SOLVER_TOL, max_iter=MAX_ITERATIONS)
    return objective.at(objective.center(solution.parameters), out=buffer)


def make_probability_buffer(objective: Objective) -> ProbabilityBuffer | None:
    """Return a buffer for the probabilities of all rows, or None if it would exceed the memory limit of a pass."""
    K, n_rows = objective.n_rows_coef, objective.n_rows
    is_small = objective.rows.has_labels and 8 * K * n_rows <= PROBABILITY_BATCH_BYTES
    return ProbabilityBuffer((K, n_rows), np.float64) if is_small else None


def find_score_change_bound(point: Point, step: FloatArray) -> float:
    """Return a bound on the change in any row's score for a step (K, d + 1).

    It depends on the ranges of the columns.
    """
    return float(np.einsum("kj,j->k", np.abs(step), bound_row_entries(point.objective.coordinates)).max())
