"""The Fisher information of the parameters at a point, its factor, and the way to the optimum with it.

All arrays here are in the coordinates that solvers see, (K, d + 1) by classes; `covariances.py` turns them into those
of the coefficients that are reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Self

import numpy as np

from fastlin.matrices.matrix import PROBABILITY_BYTES
from fastlin.matrices.pieces import find_class_pair_gram
from fastlin.objective.newton_dual import Direction
from fastlin.objective.point import Room
from fastlin.objective.self_concordance import bound_fall, bound_rows
from fastlin.solvers import choose
from fastlin.solvers.preconditioners import Preconditioner
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.objective.point import Point

# Steps end where what is left is below this part of a standard error, or where rounding lets it fall no further.
SETTLED = 1e-9
ROUNDED = 1e-6
# The same Hessian serves again as long as each of its steps leaves no more than this part of the distance.
SHRINKS = 0.3
MOST_STEPS = 50
# By how much the scores of a row may have moved since the Hessian was made: its entries change by as much at most,
# relative to them, and standard errors by half of it.
MOST_MOVED = 2e-7
# From further away the solvers, whose steps are searched along, lead near the optimum: of half the square of the Newton
# decrement, relative to J.
FAR = 1e-2
NEAR = 1e-8


@dataclass(frozen=True, eq=False)
class Information:
    """The Hessian of J at a point, with its factor. The Fisher information is S times the Hessian of the mean loss.

    Attributes
    ----------
    at : ndarray of shape (K, d + 1)
        The point.
    of_loss : ndarray of shape (K (d + 1), K (d + 1))
        The Hessian of the mean loss, by classes.
    diagonal : ndarray of shape (K, d + 1)
        That of the Hessian of J.
    factor : Preconditioner
        The factor of the Hessian of J. Equal changes of all classes, along which softmax is flat, have a curvature of
        their own in it where the penalty gives them none.
    """

    at: FloatArray
    of_loss: FloatArray
    diagonal: FloatArray
    factor: Preconditioner

    @classmethod
    def of(cls, point: Point) -> Self:
        """Return the Information at a point: one pass, and one more where its probabilities are not kept."""
        rows, penalty = point.objective.rows, point.objective.penalty
        if point.has_probabilities:
            of_loss = rows.hessian(point.probabilities)
        else:
            of_loss = rows.sum_by_pairs(find_class_pair_gram, point.parameters)
        K, m = point.objective.shape
        matrix = of_loss.copy()
        diagonals = np.einsum("kjhj->khj", matrix.reshape(K, m, K, m))
        np.einsum("kkj->kj", diagonals)[...] += penalty.curvatures
        diagonal = np.einsum("kkj->kj", diagonals).copy()
        if K > 1:
            diagonals += diagonal.sum(axis=0) / K**2
        factor = Preconditioner(1, K * m, np.float64)
        # Without the ridge of a preconditioner, which standard errors of nearly collinear columns would show.
        factor.factorize(0, matrix[None], 0.0)
        return cls(point.parameters, of_loss, diagonal, factor)

    def invert(self) -> FloatArray:
        """Return the inverse of the factorised Hessian, (K (d + 1), K (d + 1)); zero where a column has no part."""
        inverse = self.factor.solve(np.eye(self.diagonal.size))
        idle = (self.diagonal.ravel() <= 0).nonzero()[0]
        inverse[idle], inverse[:, idle] = 0, 0
        return inverse

    def find_step(self, point: Point) -> Direction:
        """Return the step to the optimum from a point near the one of this Hessian."""
        objective = point.objective
        step = -self.factor.solve(point.gradient)
        if not objective.fit_intercept:
            step[:, -1] = 0
        step[:, np.append(objective.coordinates.vanishing, []).astype(np.int64)] = 0
        residual = np.einsum("ij,j->i", self.of_loss, step.ravel()).reshape(step.shape)
        residual += objective.penalty.curvatures * step + point.gradient
        return Direction(step, residual, np.abs(step))


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where the penalised likelihood is largest, as far as float64 tells.

    Attributes
    ----------
    point : Point
        The point.
    information : Information
        The Hessian there, or so near that standard errors do not tell.
    inverse : ndarray of shape (K (d + 1), K (d + 1))
        The inverse of the Hessian of J.
    distance : float
        How far the true optimum may be, in standard errors of any combination of coefficients.
    is_proven : bool
        Whether the distance is a bound, and not an estimate.
    """

    point: Point
    information: Information
    inverse: FloatArray
    distance: float
    is_proven: bool


def find_optimum(objective: Objective, start: FloatArray, total_weight: float) -> Optimum:
    """Return the optimum near parameters (K, d + 1) where total_weight rows, counted with their weights, are seen.

    One Hessian serves for several steps (chord steps), each of which takes a pass for the gradient.
    """
    room = _make_room(objective)
    point = objective.at(objective.center(start), out=room)
    information = Information.of(point)
    last, is_sought = np.inf, False
    for _ in range(MOST_STEPS):
        direction = information.find_step(point)
        square = -float(np.sum(direction.step * point.gradient))
        size = sqrt(max(0.0, square * total_weight))
        if size <= SETTLED or (last <= ROUNDED and size > SHRINKS * last):
            break
        if not is_sought and not 0.5 * square <= FAR * point.value:
            # Steps of these may be too long.
            is_sought, last = True, np.inf
            solution = choose.minimize(objective, [point.parameters], solver="auto", tol=NEAR, max_iter=1000)
            point = objective.at(objective.center(solution.parameters), out=room)
            information = Information.of(point)
            continue
        if size > SHRINKS * last and not np.array_equal(information.at, point.parameters):
            information, last = Information.of(point), np.inf
            continue
        point, last = objective.at(objective.center(point.parameters + direction.step), out=room), size
    if _find_move(objective, point.parameters - information.at) > MOST_MOVED:
        information = Information.of(point)
        point = objective.at(objective.center(point.parameters + information.find_step(point).step))
    return _bound_distance(point, information, total_weight)


def _make_room(objective):
    """Return room for the probabilities of all rows, where they do not take more than a pass holds anyway."""
    K, n_rows = objective.n_rows_coef, objective.n_rows
    is_small = objective.rows.has_labels and 8 * K * n_rows <= PROBABILITY_BYTES
    return Room(np.empty((K, n_rows))) if is_small else None


def _find_move(objective, change):
    """Return by how much the score of no row has moved more, for a change (K, d + 1) of the parameters."""
    return float(np.einsum("kj,j->k", np.abs(change), bound_rows(objective.coordinates)).max())


def _bound_distance(point, information, total_weight):
    """Return the Optimum of a point, with a bound of its distance where the smallest curvature gives one."""
    inverse = information.invert()

    def look_up(units):
        # The bound solves for unit vectors alone.
        return inverse[np.argmax(units, axis=1)]

    direction = information.find_step(point)
    columns = information.factor.square_columns()
    fall = bound_fall(point, direction, information.diagonal, columns, look_up)
    # J at the end of a step of the Newton decrement r falls by r^2 / 2: |delta_j| is at most sqrt(S) r errors.
    if fall < np.inf:
        return Optimum(point, information, inverse, sqrt(2 * fall * total_weight), True)
    square = max(0.0, -float(np.sum(direction.step * point.gradient)))
    return Optimum(point, information, inverse, sqrt(square * total_weight), False)
