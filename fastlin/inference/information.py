"""The Fisher information of the parameters at a point, in scaled coordinates (K, d + 1), and the way to the optimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Self

import numpy as np

from fastlin.matrices.dense import DenseMatrix
from fastlin.matrices.matrix import PROBABILITY_BYTES
from fastlin.matrices.pieces import find_class_pair_gram
from fastlin.objective.objective import Objective
from fastlin.objective.point import Point, Room
from fastlin.objective.rounding import norm
from fastlin.objective.self_concordance import Direction, bound_fall, bound_rows
from fastlin.solvers import choose
from fastlin.solvers.preconditioners import Preconditioner
from fastlin.typing import BoolArray, FloatArray

# A column whose pivot is below this part of its diagonal entry depends on those before it, as far as sums over rows
# tell. So does one to whose entry the kernel has added more than this part, to make the matrix positive definite.
SMALLEST_PIVOT, MOST_ADDED = 1e-12, 1e-9
# Steps end at this distance, in standard errors, if rounding keeps it from falling further.
ROUNDED = 1e-6
# The same Hessian serves again as long as each of its steps leaves no more than this part of the distance.
SHRINKS = 0.3
MOST_STEPS = 50
# By how much the scores of a row may differ from those at the optimum where the Hessian is made: its entries change by
# as much at most, relative to them, and standard errors by half of it.
MOST_MOVED = 1e-6
# From further away the solvers, whose steps are searched along, lead near the optimum: of half the square of the Newton
# decrement, relative to J. They end at the relative excess NEAR.
FAR, NEAR = 1e-2, 1e-10
MOST_ITERATIONS = 1000
# The relative error of a sum over rows, and of a factorisation.
SUM_ERROR = 4e-15
# What rounding may change of a variance, relative to it.
LEAST_DIGITS = 0.1


class Factor(Preconditioner):
    """U with U' U = A for a symmetric A (m, m) of finite numbers, whose upper triangle is read.

    `diagonal` and `squares` (m,) are the diagonals of A and U' U, larger if the kernel has added to A.
    `first_dependent` is the first column that depends on those before it; None if A is positive definite.
    """

    def __init__(self, matrix: FloatArray) -> None:
        super().__init__(1, len(matrix), np.float64)
        self.factorize(0, matrix[None], 0.0)
        self.diagonal, self.squares = np.diagonal(matrix).copy(), self.square_columns()
        sizes = np.where(self.diagonal > 0, self.diagonal, 1.0)
        is_definite = self.squares - self.diagonal <= MOST_ADDED * sizes
        is_definite &= self._find_pivots() ** 2 > SMALLEST_PIVOT * sizes
        self.first_dependent = None if is_definite.all() else int(np.argmin(is_definite))

    def _find_pivots(self):
        lengths = np.arange(self._size, 0, -1)
        return self._factors[0, np.cumsum(lengths) - lengths]

    @property
    def log_determinant(self) -> float:
        """The logarithm of the determinant of A."""
        return 2.0 * float(np.add.reduce(np.log(self._find_pivots())))

    def invert(self) -> FloatArray:
        """Return A^-1."""
        return self.solve(np.eye(self._size))

    @cached_property
    def inverse_root(self) -> FloatArray:
        """U A^-1 = U'^-1, R with R' R = A^-1, so that x' A^-1 x is the square of the length of R x."""
        return multiply(self.unpack()[0], self.invert())


def multiply(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return left @ right of matrices (m, n) and (n, k), the same bits for any number of threads of BLAS."""
    return DenseMatrix(left).compute_scores(np.ascontiguousarray(right.T), np.zeros(right.shape[1]))


def find_parts(objective: Objective) -> BoolArray:
    """Return which columns, (d + 1,), have a part in J: those that are not zero, and the intercept if there is one."""
    is_part = objective.coordinates.mean_squares > 0
    is_part[-1] = objective.fit_intercept
    return is_part


@dataclass(frozen=True, eq=False)
class Information:
    """The Hessian of the mean loss at a point, by classes, and diagonal (K, d + 1) and factor of the Hessian of J.

    The Fisher information is S times the former. In the factor flat directions of softmax have a curvature.
    """

    point: Point
    of_loss: FloatArray
    diagonal: FloatArray
    factor: Factor

    @classmethod
    def of(cls, point: Point) -> Self:
        """Return the Information at a point: one pass, and one more where its probabilities are not kept."""
        rows, (K, m) = point.objective.rows, point.objective.shape
        if point.has_probabilities:
            of_loss = rows.hessian(point.probabilities)
        else:
            of_loss = rows.sum_by_pairs(find_class_pair_gram, point.parameters)
        matrix = of_loss.copy()
        diagonals = np.einsum("kjhj->khj", matrix.reshape(K, m, K, m))
        np.einsum("kkj->kj", diagonals)[...] += point.objective.penalty.curvatures
        diagonal_of_j = np.einsum("kkj->kj", diagonals).copy()
        if K > 1:
            diagonals += diagonal_of_j.sum(axis=0) / K**2
        return cls(point, of_loss, diagonal_of_j, Factor(matrix))

    def multiply(self, direction: FloatArray) -> FloatArray:
        """Return the Hessian of J times a direction (K, d + 1)."""
        product = np.einsum("ij,j->i", self.of_loss, direction.ravel()).reshape(direction.shape)
        return product + self.point.objective.penalty.curvatures * direction

    def measure(self, parameters: FloatArray) -> float:
        """Return the distance of parameters (K, d + 1) from the point, in the norm of the Hessian of J."""
        way = parameters - self.point.parameters
        return sqrt(max(0.0, float(np.sum(way * self.multiply(way)))))

    def resolves(self, is_sought: BoolArray) -> bool:
        """Say whether rounding leaves the diagonal of the inverse a digit or more.

        The diagonal changes relatively by at most `SUM_ERROR` times the norm of the inverse (Higham 2002, section
        14.1). Where columns were not centred before they were summed, their lengths count.
        """
        is_curved = self.diagonal > 0
        if not is_curved[:, is_sought].all():
            return False
        factorised = self.factor.diagonal * is_curved.ravel()
        is_changed = ((self.factor.squares - factorised > MOST_ADDED * factorised) & is_curved.ravel()).any()
        roots = np.sqrt(factorised)
        roots.reshape(self.diagonal.shape)[:, :-1] *= self.point.objective.rows.passes.gram_lengths
        return bool(not is_changed and SUM_ERROR * norm(self.inverse * roots * roots[:, None]) < LEAST_DIGITS)

    @cached_property
    def inverse(self) -> FloatArray:
        """The inverse of the factorised Hessian, (K (d + 1), K (d + 1)); zero where a column has no part."""
        inverse = self.factor.invert()
        idle = (self.diagonal.ravel() <= 0).nonzero()[0]
        inverse[idle], inverse[:, idle] = 0, 0
        return inverse

    @property
    def variances(self) -> FloatArray:
        """The diagonal of the inverse, (K, d + 1)."""
        return np.diagonal(self.inverse).reshape(self.diagonal.shape)

    def find_step(self, point: Point) -> Direction:
        """Return the step to the optimum from a point near the one of this Hessian."""
        step = -self.factor.solve(point.gradient)
        step[:, ~find_parts(point.objective)] = 0
        return Direction(step, self.multiply(step) + point.gradient)


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where the penalised likelihood is largest, as far as float64 tells, and the Hessian of J there.

    distance bounds, or estimates unless proven, how far the true optimum may be, in standard errors.
    """

    point: Point
    information: Information
    distance: float
    is_proven: bool


def find_optimum(objective: Objective, start: FloatArray, n_samples: float) -> Optimum:
    """Return the optimum near parameters (K, d + 1), by chord steps; standard errors are for n_samples rows."""
    room = make_room(objective)
    point = objective.at(objective.center(start), out=room)
    guide = Information.of(point)
    # By how much rows have moved since the guide was made, and the length of the last step in standard errors.
    moved, last, is_sought = 0.0, np.inf, False
    for _ in range(MOST_STEPS):
        direction = guide.find_step(point)
        square = max(0.0, -float(np.sum(direction.step * point.gradient)))
        size, move = sqrt(square * n_samples), _find_move(point, direction.step)
        is_rounded = last <= ROUNDED and size > SHRINKS * last
        if move <= MOST_MOVED or is_rounded:
            break
        if not is_sought and not 0.5 * square <= FAR * point.value:
            # Steps of these may be too long.
            point, is_sought = come_near(objective, [point.parameters], room), True
            guide, moved, last = Information.of(point), 0.0, np.inf
        elif size > SHRINKS * last:
            guide, moved, last = Information.of(point), 0.0, np.inf
        else:
            point, last = objective.at(objective.center(point.parameters + direction.step), out=room), size
            moved += move
    return _finish(point, guide if moved <= MOST_MOVED else Information.of(point), n_samples)


def come_near(objective: Objective, starts: Sequence[FloatArray], room: Room | None = None) -> Point:
    """Return a point near the optimum, by a solver from the best of starts (K, d + 1), if there are any."""
    solution = choose.minimize(objective, starts, solver="auto", tol=NEAR, max_iter=MOST_ITERATIONS)
    return objective.at(objective.center(solution.parameters), out=room)


def make_room(objective: Objective) -> Room | None:
    """Return a Room for the probabilities of all rows, if they take no more than a pass holds anyway."""
    K, n_rows = objective.n_rows_coef, objective.n_rows
    is_small = objective.rows.has_labels and 8 * K * n_rows <= PROBABILITY_BYTES
    return Room((K, n_rows), np.float64) if is_small else None


def _find_move(point, step):
    """Return the most that scores of rows move for a step (K, d + 1), by the entries of the columns."""
    return float(np.einsum("kj,j->k", np.abs(step), bound_rows(point.objective.coordinates)).max())


def _finish(point, information, n_samples):
    """Return the Optimum at the end of a step from a point near it, with a bound of its distance."""

    def look_up(units):
        # The bound solves for unit vectors alone.
        return information.inverse[np.argmax(units, axis=1)]

    direction = information.find_step(point)
    fall = bound_fall(point, direction, information.diagonal, information.factor.squares, look_up)
    # J at the end of a step of the Newton decrement r falls by r^2 / 2: |delta_j| is at most sqrt(n) r errors.
    is_proven, decrement = fall < np.inf, sqrt(max(0.0, -float(np.sum(direction.step * point.gradient))))
    distance = (sqrt(2 * fall) if is_proven else decrement) * sqrt(n_samples)
    if _find_move(point, direction.step) <= MOST_MOVED:
        # The end is no further from the optimum than the point was, and the step itself.
        point = point.objective.at(point.objective.center(point.parameters + direction.step))
        distance += decrement * sqrt(n_samples)
    return Optimum(point, information, distance, is_proven)
