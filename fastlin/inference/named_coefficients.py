"""Standard errors of a few coefficients of a model that has too many for the covariance of all of them.

The variance of b' v is b' H^-1 b / S. Conjugate gradients solve H z = b, a pass for each product, and the last
steps tell the remaining error (Hestenes and Stiefel 1952; Strakos and Tichy 2002).
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from math import sqrt

import numpy as np

from fastlin.exceptions import CollinearityError
from fastlin.inference.covariances import find_residuals
from fastlin.inference.information import find_parts
from fastlin.inference.separation import PROVEN, find_violated
from fastlin.matrices import Passes
from fastlin.matrices.pieces import find_hessian_product
from fastlin.objective.conjugate_gradients import iterate
from fastlin.objective.point import Point
from fastlin.typing import FloatArray

# What may be left of a variance, relative to it, and how many steps may gain less before it is believed.
LEFT, N_WATCHED = 1e-9, 10
MOST_STEPS, MOST_STEPS_OF_A_STEP = 5_000, 500
# The rows whose scores lead most that are looked at.
N_ROWS = 3
# The square of a residual, relative to the first one, that is all rounding.
ROUNDED = 1e-26
# Newton's steps to the optimum end below this part of a standard error.
SETTLED, MOST_NEWTON_STEPS = 1e-6, 5


def find_covariance_of_named(
    curvature: Curvature, units: FloatArray, covariance: str, penalised: str | None, power: int
) -> FloatArray:
    """Return the covariance (m, m) of coefficients for a total weight of one, but for the unit of the weights.

    units (m, K, d + 1) map parameters to the coefficients, and power is the power of the weights in robust
    covariances. CollinearityError: conjugate gradients have come to no end.
    """
    point = curvature.point
    rows, penalty = point.objective.rows, point.objective.penalty
    solved = np.empty(units.shape)
    for each, unit in zip(solved, units, strict=True):
        each[:], _, is_solved = curvature.solve(unit, MOST_STEPS)
        if not is_solved:
            raise CollinearityError(
                f"Conjugate gradients did not find a standard error in {MOST_STEPS:,} steps: columns of X nearly "
                "depend on each other. Leave some of them out, or penalise them and take penalised='laplace'."
            )
    if covariance != "model":
        products = rows.passes.sum_curvature(multiply_projected_scores, point.parameters, solved, power)
        products /= rows.total_weight
    else:
        others = units
        if penalised == "sandwich":
            others = np.array([curvature.multiply(each) - penalty.curvatures * each for each in solved])
        products = np.einsum("akj,bkj->ab", others, solved)
    return 0.5 * (products + products.T)


class Curvature:
    """The Hessian of J at a point in float64 by its products, Newton's step from there and the decrement of that."""

    def __init__(self, point: Point) -> None:
        self.point = point
        objective = point.objective
        coordinates, penalty = objective.coordinates, objective.penalty
        self._is_part = find_parts(objective)
        products = objective.rows.sum_probability_products(point.parameters, np.float64)
        spread = products[:-1, -1] - np.diagonal(products)[:-1]
        diagonal = spread[:, None] * coordinates.mean_squares + penalty.curvatures
        self._diagonal = np.where(self._is_part & (diagonal > 0), diagonal, 1.0)
        self.step, square, _ = self.solve(-point.gradient, MOST_STEPS_OF_A_STEP)
        self.decrement = sqrt(max(0.0, square))

    def multiply(self, direction: FloatArray) -> FloatArray:
        """Return the Hessian times a direction (K, d + 1); it takes a pass."""
        point, rows = self.point, self.point.objective.rows
        if point.has_probabilities:
            return point.hessian_product(direction)
        product = rows.passes.sum_curvature(find_hessian_product, point.parameters, direction)
        product /= rows.total_weight
        product += point.objective.penalty.curvatures * direction
        return product * self._is_part

    def solve(self, right: FloatArray, most_steps: int) -> tuple[FloatArray, float, bool]:
        """Return z with H z = right, (K, d + 1), right' z, and whether that came to an end."""
        iterates = iterate(self.multiply, right, self._precondition)
        found, total = next(iterates), 0.0
        first_square = found.square
        gains: deque[float] = deque(maxlen=N_WATCHED)
        for found in islice(iterates, most_steps):
            total += found.gain
            gains.append(found.gain)
            is_settled = len(gains) == N_WATCHED and sum(gains) <= LEFT * total
            if is_settled or not found.square > ROUNDED * first_square:
                return found.solution, total, True
        return found.solution, total, not first_square > 0

    def _precondition(self, residual):
        return self._project(self._project(residual) / self._diagonal)

    def _project(self, residual):
        """Return a residual without what points along equal steps of all classes, which change nothing: rounding."""
        residual = residual * self._is_part
        if len(residual) > 1:
            residual -= residual.mean(axis=0) * (self.point.objective.penalty.curvatures == 0)
        return residual


def settle(point: Point) -> Curvature:
    """Return the curvature at the optimum near a point, by Newton's steps."""
    objective = point.objective
    for _ in range(MOST_NEWTON_STEPS):
        curvature = Curvature(point)
        if curvature.decrement * sqrt(objective.rows.total_weight) <= SETTLED:
            break
        point = objective.at(objective.center(point.parameters + curvature.step), out=point.room)
    return curvature


def may_be_separated(curvature: Curvature) -> bool:
    """Say whether coefficients may grow without end, by the rows whose scores lead most (`proves_maximum`)."""
    point = curvature.point
    objective, K = point.objective, len(point.parameters)
    if not objective.rows.has_labels or not np.isfinite(curvature.decrement):
        return not curvature.decrement * sqrt(objective.rows.total_weight) <= SETTLED
    rows, own = find_violated(objective, -point.parameters, N_ROWS)
    for row, classes in zip(rows, own, strict=True):
        unit = row[None] if K == 1 else (classes / classes.sum() - 1 / K)[:, None] * row
        _, square, is_solved = curvature.solve(unit, MOST_STEPS)
        if not is_solved or not curvature.decrement * sqrt(square) < PROVEN:
            return True
    return False


def multiply_projected_scores(passes: Passes, probabilities: FloatArray, solved: FloatArray, power: int) -> FloatArray:
    """Return sum_i s_i^power u_i u_i', (E, E), u_ie the row's part of the gradient times solved[e]."""
    (n_solved, K, size), weights = solved.shape, passes.samples.weigh() ** power
    scores = passes.compute_scores(solved.reshape(-1, size)).reshape(-1, n_solved, K)
    projected = np.einsum("iek,ki->ei", scores, find_residuals(passes, probabilities))
    return np.einsum("ei,fi,i->ef", projected, projected, weights)
