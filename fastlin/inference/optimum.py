"""The way from a point near the optimum to the optimum itself, by steps with one Hessian as long as it serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from fastlin.inference.hessian import Curvature, measure_step
from fastlin.matrices.matrix import PROBABILITY_BYTES
from fastlin.objective.objective import Objective
from fastlin.objective.point import Point, ProbabilityBuffer
from fastlin.objective.self_concordance import Direction, bound_rows
from fastlin.solvers import choose
from fastlin.typing import FloatArray

# Steps end at this distance, in standard errors.
NEAR_ENOUGH = 1e-6
# The same Hessian serves again as long as each of its steps leaves no more than this part of the distance.
SHRINKS = 0.3
MAX_STEPS = 30
# By how much the scores of a row may differ from those at the optimum where the Hessian is made: its entries change by
# as much at most, relative to them, and standard errors by half of it.
MAX_MOVED = 1e-6
# From further away the solvers, whose steps are searched along, lead near the optimum: of half the square of the Newton
# decrement, relative to J. They end at the relative excess NEAR.
FAR, NEAR = 1e-2, 1e-10
MAX_ITERATIONS = 1000


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where the penalized likelihood is largest, as far as float64 tells, and the Hessian of J there.

    distance bounds, or estimates unless proven, how far the true optimum may be, in standard errors.
    """

    point: Point
    curvature: Curvature
    distance: float
    is_certified: bool


def find_optimum(point: Point, kind: type[Curvature], n_samples: float) -> Optimum:
    """Return the optimum near a point, with a Hessian of some kind; standard errors are for n_samples rows."""
    objective, guide = point.objective, kind(point)
    # By how much rows have moved since the guide was made, and the length of the last step in standard errors.
    moved, last, is_sought = 0.0, np.inf, False
    for n_steps in range(MAX_STEPS + 1):
        direction = guide.direction if point is guide.point else guide.find_step(point)
        decrement, move = measure_step(point, direction), find_move(point, direction.step)
        size = decrement * sqrt(n_samples)
        if move <= MAX_MOVED or size <= NEAR_ENOUGH or n_steps == MAX_STEPS:
            break
        if not is_sought and not 0.5 * decrement**2 <= FAR * point.value:
            # Steps of these may be too long.
            point, is_sought = come_near(objective, [point.parameters], point.buffer), True
            guide, moved, last = kind(point), 0.0, np.inf
        elif size > SHRINKS * last and guide.point is not point:
            guide, moved, last = kind(point), 0.0, np.inf
        else:
            point, last = objective.at(objective.center(point.parameters + direction.step), out=point.buffer), size
            moved += move
            if not guide.serves_nearby:
                guide, moved = kind(point), 0.0
    if moved > MAX_MOVED:
        guide = kind(point)
        direction = guide.direction
    return end_at(point, guide, direction, n_samples)


def end_at(point: Point, curvature: Curvature, direction: Direction, n_samples: float) -> Optimum:
    """Return the Optimum at the end of the last step from a point near it, with a bound of its distance."""
    fall, decrement = curvature.bound_fall(point, direction), measure_step(point, direction)
    # J at the end of a step of the Newton decrement r falls by r^2 / 2: |delta_j| is at most sqrt(n) r errors. The end
    # is no further from the optimum than the point was, and the step itself.
    is_certified = fall < np.inf
    distance = ((sqrt(2 * fall) if is_certified else decrement) + decrement) * sqrt(n_samples)
    end = point.objective.at(point.objective.center(point.parameters + direction.step))
    return Optimum(end, curvature, distance, is_certified)


def come_near(objective: Objective, starts: Sequence[FloatArray], buffer: ProbabilityBuffer | None = None) -> Point:
    """Return a point near the optimum, by a solver from the best of starts (K, d + 1), if there are any."""
    solution = choose.minimize(objective, starts, solver="auto", tol=NEAR, max_iter=MAX_ITERATIONS)
    return objective.at(objective.center(solution.parameters), out=buffer)


def make_buffer(objective: Objective) -> ProbabilityBuffer | None:
    """Return a Room for the probabilities of all rows, if they take no more than a pass holds anyway."""
    K, n_rows = objective.n_rows_coef, objective.n_rows
    is_small = objective.rows.has_labels and 8 * K * n_rows <= PROBABILITY_BYTES
    return ProbabilityBuffer((K, n_rows), np.float64) if is_small else None


def find_move(point: Point, step: FloatArray) -> float:
    """Return the most that scores of rows move for a step (K, d + 1), by the entries of the columns."""
    return float(np.einsum("kj,j->k", np.abs(step), bound_rows(point.objective.coordinates)).max())
