"""The Hessian of J at a point, in scaled coordinates (K, d + 1): by its products alone, or whole with its inverse.

The Fisher information is S times the Hessian of the mean loss.
"""

from __future__ import annotations

from collections import deque
from functools import cached_property
from itertools import islice
from math import sqrt

import numpy as np
from scipy import sparse

from fastlin.exceptions import CollinearityError
from fastlin.matrices.dense import DenseMatrix
from fastlin.matrices.pieces import find_class_pair_gram, find_hessian_product
from fastlin.objective.conjugate_gradients import iterate
from fastlin.objective.objective import Objective
from fastlin.objective.point import Point
from fastlin.objective.rounding import norm
from fastlin.objective.self_concordance import Direction, bound_fall
from fastlin.solvers import preconditioners
from fastlin.solvers.preconditioners import Preconditioner
from fastlin.typing import BoolArray, FloatArray

# A column whose pivot is below this part of its diagonal entry depends on those before it, as far as sums over rows
# tell. So does one to whose entry the kernel has added more than this part, to make the matrix positive definite.
SMALLEST_PIVOT, MAX_ADDED = 1e-12, 1e-9
# The relative error of a sum over rows, and of a factorization.
SUM_ERROR = 4e-15
# What rounding may change of a variance, relative to it.
MIN_DIGITS = 0.1
# Conjugate gradients: what may be left of right' H^-1 right, relative to it, how many steps may gain less before it is
# believed, and the most steps. The square of a residual, relative to the first one, that is all rounding.
LEFT, N_WATCHED, MAX_STEPS = 1e-9, 10, 5_000
ROUNDED = 1e-26
# Newton's step need not be exact.
MAX_STEPS_OF_A_STEP = 500


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
        is_definite = self.squares - self.diagonal <= MAX_ADDED * sizes
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


def find_hessian_of_loss(point: Point) -> FloatArray:
    """Return the Hessian of the mean loss at a point, (K (d + 1), K (d + 1)), by classes."""
    rows = point.objective.rows
    if point.has_probabilities:
        return rows.hessian(point.probabilities)
    return rows.sum_by_pairs(find_class_pair_gram, point.parameters)


class Curvature:
    """The Hessian of J at a point by its products, each of which takes a pass; conjugate gradients solve with it."""

    # Whether steps from points nearby take as little time as one from the point itself.
    serves_nearby = False

    def __init__(self, point: Point) -> None:
        self.point = point
        self.is_part = find_parts(point.objective)
        self._is_curved = self.is_part | (point.objective.penalty.curvatures > 0)

    def multiply_by_loss(self, direction: FloatArray) -> FloatArray:
        """Return the Hessian of the mean loss times a direction (K, d + 1)."""
        point, rows = self.point, self.point.objective.rows
        if point.has_probabilities:
            return rows.hessian_product(direction, point.probabilities)
        product = rows.passes.sum_curvature(find_hessian_product, point.parameters, direction)
        return product * self.is_part / rows.total_weight

    def multiply(self, direction: FloatArray) -> FloatArray:
        """Return the Hessian of J times a direction (K, d + 1)."""
        return self.multiply_by_loss(direction) + self.point.objective.penalty.curvatures * direction

    def solve(self, right: FloatArray, max_steps: int) -> tuple[FloatArray, bool]:
        """Return z with H z = right, (K, d + 1), and whether it was found to the last digits that matter.

        The last steps tell the remaining error of right' z (Hestenes and Stiefel 1952; Strakos and Tichy 2002).
        """
        iterates = iterate(self.multiply, right * self._is_curved, self._precondition)
        found, total = next(iterates), 0.0
        first_square = found.square
        gains: deque[float] = deque(maxlen=N_WATCHED)
        for found in islice(iterates, max_steps):
            total += found.gain
            gains.append(found.gain)
            is_optimized = len(gains) == N_WATCHED and sum(gains) <= LEFT * total
            if is_optimized or not found.square > ROUNDED * first_square:
                return found.solution, True
        return found.solution, not first_square > 0

    def solve_units(self, units: sparse.csr_array) -> FloatArray:
        """Return units H^-1 for rows of parameters (m, K (d + 1)); CollinearityError: no end of conjugate gradients."""
        solved = np.empty(units.shape)
        for each, unit in zip(solved, units.toarray(), strict=True):
            unit = unit.reshape(self.point.parameters.shape)
            if unit[:, ~self._is_curved].any():
                raise CollinearityError(
                    "A column has one value in all rows, so that its coefficient has no standard error. Leave it out, "
                    "or penalize it and take penalized='laplace'."
                )
            solution, is_solved = self.solve(unit, MAX_STEPS)
            if not is_solved:
                raise CollinearityError(
                    f"Conjugate gradients did not find a standard error in {MAX_STEPS:,} steps: columns of X nearly "
                    "depend on each other. Leave some of them out, or penalize them and take penalized='laplace'."
                )
            each[:] = solution.ravel()
        return solved

    def find_step(self, point: Point) -> Direction:
        """Return the step to the optimum from a point near this one."""
        step, _ = self.solve(-point.gradient, MAX_STEPS_OF_A_STEP)
        return Direction(step, self.multiply(step) + point.gradient)

    @cached_property
    def direction(self) -> Direction:
        """The step to the optimum from the point itself."""
        return self.find_step(self.point)

    @cached_property
    def decrement(self) -> float:
        """Newton's decrement at the point: the length of the step in the norm of the Hessian."""
        return measure_step(self.point, self.direction)

    def bound_fall(self, point: Point, direction: Direction) -> float:
        """Return the most that J can fall from a point nearby, in float64; infinite where that is not proven."""
        return np.inf

    @property
    def n_effective(self) -> float:
        """The effective number of parameters, the trace of H^-1 and the Hessian of the mean loss; NaN if not known."""
        return np.nan

    @property
    def inflations(self) -> FloatArray:
        """How many times related columns inflate the errors of each feature, (d,); without entries if not known."""
        return np.empty(0)

    @cached_property
    def _preconditioner(self):
        return preconditioners.diagonal(self.point)

    def _precondition(self, residual):
        # Along equal steps of all classes, which change nothing, a residual is rounding.
        return self.point.objective.center(self._preconditioner.solve(residual))


class Information(Curvature):
    """The whole Hessian at a point: that of the mean loss, `of_loss`, the `diagonal` (K, d + 1) of J's and its factor.

    In the factor flat directions of softmax have a curvature. Parameters that may not move, if `moves` (K, d + 1) says
    so, have no part in it.
    """

    serves_nearby = True

    def __init__(self, point: Point, moves: BoolArray | None = None) -> None:
        super().__init__(point)
        K, m = point.objective.shape
        self.of_loss = find_hessian_of_loss(point)
        matrix = self.of_loss.copy()
        diagonals = np.einsum("kjhj->khj", matrix.reshape(K, m, K, m))
        np.einsum("kkj->kj", diagonals)[...] += point.objective.penalty.curvatures
        if moves is not None:
            matrix *= np.outer(moves, moves)
        self.diagonal = np.einsum("kkj->kj", diagonals).copy()
        if K > 1:
            ridge = self.diagonal.sum(axis=0) / K**2
            diagonals += ridge if moves is None else ridge * moves.all(axis=0)
        curved = np.einsum("ii->i", matrix)
        curved[curved == 0] = 1
        self.factor = Factor(matrix)

    def multiply_by_loss(self, direction: FloatArray) -> FloatArray:
        """See `Curvature`; it takes no pass."""
        return np.einsum("ij,j->i", self.of_loss, direction.ravel()).reshape(direction.shape)

    def solve(self, right: FloatArray, max_steps: int) -> tuple[FloatArray, bool]:
        """See `Curvature`; it takes no pass."""
        return self.factor.solve(right) * self.is_part, True

    def solve_units(self, units: sparse.csr_array) -> FloatArray:
        """See `Curvature`."""
        return units @ self.inverse

    def bound_fall(self, point: Point, direction: Direction) -> float:
        """See `Curvature`."""

        def look_up(units):
            # The bound solves for unit vectors alone.
            return self.inverse[np.argmax(units, axis=1)]

        return bound_fall(point, direction, self.diagonal, self.factor.squares, look_up)

    def resolves(self, is_sought: BoolArray) -> bool:
        """Say whether rounding leaves the diagonal of the inverse a digit or more.

        The diagonal changes relatively by at most `SUM_ERROR` times the norm of the inverse (Higham 2002, section
        14.1). Where columns were not centered before they were summed, their lengths count.
        """
        if not (self.diagonal > 0)[:, is_sought].all():
            return False
        factorized = self.factor.diagonal
        is_changed = (self.factor.squares - factorized > MAX_ADDED * factorized).any()
        roots = np.sqrt(factorized)
        roots.reshape(self.diagonal.shape)[:, :-1] *= self.point.objective.rows.passes.gram_lengths
        return bool(not is_changed and SUM_ERROR * norm(self.inverse * roots * roots[:, None]) < MIN_DIGITS)

    @cached_property
    def inverse(self) -> FloatArray:
        """The inverse of the factorized Hessian, (K (d + 1), K (d + 1)); zero where a column has no part."""
        inverse = self.factor.invert()
        idle = (self.diagonal.ravel() <= 0).nonzero()[0]
        inverse[idle], inverse[:, idle] = 0, 0
        return inverse

    @property
    def variances(self) -> FloatArray:
        """The diagonal of the inverse, (K, d + 1)."""
        return np.diagonal(self.inverse).reshape(self.diagonal.shape)

    @property
    def n_effective(self) -> float:
        """See `Curvature`."""
        return float(np.einsum("ij,ij->", self.inverse, self.of_loss))

    @property
    def inflations(self) -> FloatArray:
        """See `Curvature`."""
        return np.sqrt(np.maximum(self.diagonal * self.variances, 0.0).max(axis=0))[:-1]


def measure_step(point: Point, direction: Direction) -> float:
    """Return the length of a step from a point in the norm of the Hessian."""
    return sqrt(max(0.0, -float(np.sum(direction.step * point.gradient))))
