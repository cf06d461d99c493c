"""The Hessian of J at a point, in scaled coordinates (K, d + 1): as an operator, or as a matrix with its inverse.

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
from fastlin.matrices.pieces import compute_class_pair_gram, compute_hessian_product
from fastlin.objective.conjugate_gradients import iterate_conjugate_gradients
from fastlin.objective.objective import Objective
from fastlin.objective.point import Point
from fastlin.objective.rounding import norm
from fastlin.objective.self_concordance import Direction, bound_suboptimality
from fastlin.solvers import preconditioners
from fastlin.solvers.preconditioners import Preconditioner
from fastlin.typing import BoolArray, FloatArray

# Maximum number of parameters K (d + 1) for which the covariance of all parameters is computed. The covariance then
# takes 134 MB, as much as the Hessian and its factor.
MAX_PARAMETERS = 4096
# Bytes of the arrays of one batch of rows, or of derivatives.
BYTES_PER_BATCH = 16 << 20
# A column depends on preceding columns if its pivot is smaller than MIN_PIVOT times the diagonal entry. It also does if
# the kernel added more than MAX_ADDED_RIDGE times the diagonal entry to make the matrix positive definite.
MIN_PIVOT, MAX_ADDED_RIDGE = 1e-12, 1e-9
# The relative error of a sum over rows, and of a factorization.
RELATIVE_SUM_ERROR = 4e-15
# The largest relative rounding error of a variance.
MAX_VARIANCE_ERROR = 0.1
# Conjugate gradients stop when the last CG_GAIN_WINDOW steps have increased right' H^-1 right by a relative amount of
# less than CG_GAIN_TOL, or when the squared residual is at most CG_RESIDUAL_TOL times the initial squared residual,
# which is the level of rounding error.
CG_GAIN_TOL, CG_GAIN_WINDOW, MAX_CG_STEPS = 1e-9, 10, 5_000
CG_RESIDUAL_TOL = 1e-26
# The Newton step need not be exact.
MAX_NEWTON_CG_STEPS = 500


class CholeskyFactor(Preconditioner):
    """The Cholesky factor U of a symmetric matrix A (m, m), with U' U = A. Only the upper triangle of A is read.

    A must be finite. `diagonal` (m,) is the diagonal of A. `squares` (m,) is the diagonal of U' U, which is
    larger if the kernel has added to A. `dependent_column` is the first column that depends on preceding
    columns, or None if A is positive definite.
    """

    def __init__(self, matrix: FloatArray) -> None:
        super().__init__(1, len(matrix), np.float64)
        self.factorize(0, matrix[None], 0.0)
        self.diagonal, self.squares = np.diagonal(matrix).copy(), self.compute_column_squares()
        sizes = np.where(self.diagonal > 0, self.diagonal, 1.0)
        is_definite = self.squares - self.diagonal <= MAX_ADDED_RIDGE * sizes
        is_definite &= self._read_pivots() ** 2 > MIN_PIVOT * sizes
        self.dependent_column = None if is_definite.all() else int(np.argmin(is_definite))

    def _read_pivots(self):
        lengths = np.arange(self._size, 0, -1)
        return self._factors[0, np.cumsum(lengths) - lengths]

    @property
    def log_determinant(self) -> float:
        """The logarithm of the determinant of A."""
        return 2.0 * float(np.add.reduce(np.log(self._read_pivots())))

    def invert(self) -> FloatArray:
        """Return A^-1."""
        return self.solve(np.eye(self._size))

    @cached_property
    def inverse_root(self) -> FloatArray:
        """R = U A^-1 = U'^-1, with R' R = A^-1, so that x' A^-1 x = ||R x||^2."""
        return multiply(self.unpack()[0], self.invert())


def multiply(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return left @ right for matrices (m, n) and (n, k), with the same bits for any number of threads."""
    return DenseMatrix(left).compute_scores(np.ascontiguousarray(right.T), np.zeros(right.shape[1]))


def find_active_columns(objective: Objective) -> BoolArray:
    """Return a mask (d + 1,) of the columns that affect J.

    These are columns that are not all zero, and the intercept if there is one.
    """
    is_active = objective.coordinates.mean_squares > 0
    is_active[-1] = objective.fit_intercept
    return is_active


def compute_loss_hessian(point: Point) -> FloatArray:
    """Return the Hessian (K (d + 1), K (d + 1)) of the mean loss at a point, ordered by class."""
    rows = point.objective.rows
    if point.has_probabilities:
        return rows.hessian(point.probabilities)
    return rows.average_parameter_pair_terms(compute_class_pair_gram, point.parameters)


class HessianOperator:
    """The Hessian of J at a point as an operator. Products take one pass; conjugate gradients solve linear systems."""

    # Whether another step with this Hessian is cheaper than computing a new one.
    is_reusable = False

    def __init__(self, point: Point) -> None:
        self.point = point
        self.is_active = find_active_columns(point.objective)
        self._has_curvature = self.is_active | (point.objective.penalty.curvatures > 0)

    def multiply_loss_hessian(self, direction: FloatArray) -> FloatArray:
        """Return the Hessian of the mean loss times a direction (K, d + 1)."""
        point, rows = self.point, self.point.objective.rows
        if point.has_probabilities:
            return rows.hessian_product(direction, point.probabilities)
        loss_hessian_product = rows.passes.sum_with_probabilities(compute_hessian_product, point.parameters, direction)
        return loss_hessian_product * self.is_active / rows.total_weight

    def multiply(self, direction: FloatArray) -> FloatArray:
        """Return the Hessian of J times a direction (K, d + 1)."""
        return self.multiply_loss_hessian(direction) + self.point.objective.penalty.curvatures * direction

    def solve(self, right: FloatArray, max_steps: int) -> tuple[FloatArray, bool]:
        """Return the solution z (K, d + 1) of H z = right, and whether conjugate gradients converged.

        The error of right' z is estimated from the last steps (Hestenes and Stiefel 1952; Strakos and Tichy 2002).
        """
        cg_states = iterate_conjugate_gradients(self.multiply, right * self._has_curvature, self._precondition)
        state, total = next(cg_states), 0.0
        first_squared_residual = state.square
        gains: deque[float] = deque(maxlen=CG_GAIN_WINDOW)
        for state in islice(cg_states, max_steps):
            total += state.gain
            gains.append(state.gain)
            has_converged = len(gains) == CG_GAIN_WINDOW and sum(gains) <= CG_GAIN_TOL * total
            if has_converged or not state.square > CG_RESIDUAL_TOL * first_squared_residual:
                return state.solution, True
        return state.solution, not first_squared_residual > 0

    def multiply_inverse(self, units: sparse.csr_array) -> FloatArray:
        """Return the product of `units` (m, K (d + 1)) and H^-1.

        Raise a CollinearityError if a linear system is not solved.
        """
        solved = np.empty(units.shape)
        for row, unit in zip(solved, units.toarray(), strict=True):
            unit = unit.reshape(self.point.parameters.shape)
            if unit[:, ~self._has_curvature].any():
                raise CollinearityError(
                    "A column is constant, so its coefficient has no standard error. Remove it, or penalize it and use "
                    "penalized='laplace'."
                )
            solution, has_converged = self.solve(unit, MAX_CG_STEPS)
            if not has_converged:
                raise CollinearityError(
                    f"Conjugate gradients for a standard error did not converge in {MAX_CG_STEPS:,} steps, because "
                    "columns of X are nearly collinear. Remove some of them, or penalize them and use "
                    "penalized='laplace'."
                )
            row[:] = solution.ravel()
        return solved

    def compute_newton_step(self, point: Point) -> Direction:
        """Return the Newton step with this Hessian from a nearby point."""
        step, _ = self.solve(-point.gradient, MAX_NEWTON_CG_STEPS)
        return Direction(step, self.multiply(step) + point.gradient)

    @cached_property
    def direction(self) -> Direction:
        """The Newton step from the point."""
        return self.compute_newton_step(self.point)

    @cached_property
    def newton_decrement(self) -> float:
        """The Newton decrement at the point: the length of the Newton step in the norm of the Hessian."""
        return measure_step_length(self.point, self.direction)

    def bound_suboptimality(self, point: Point, direction: Direction) -> float:
        """Return a float64 upper bound on the decrease of J from a nearby point.

        It is infinite if no bound is available.
        """
        return np.inf

    @property
    def n_effective_parameters(self) -> float:
        """The effective number of parameters tr(H^-1 F), with the Hessian F of the mean loss; NaN if not available."""
        return np.nan

    @property
    def std_error_inflations(self) -> FloatArray:
        """Factors (d,) by which collinearity inflates the standard errors of the features; empty if not available."""
        return np.empty(0)

    @cached_property
    def _preconditioner(self):
        return preconditioners.diagonal(self.point)

    def _precondition(self, residual):
        # Equal steps of all classes do not change J, so a residual in such a direction is rounding error.
        return self.point.objective.center(self._preconditioner.solve(residual))


class InformationMatrix(HessianOperator):
    """The Hessian at a point as a matrix.

    `of_loss` is the Hessian of the mean loss. `diagonal` (K, d + 1) and `factor` belong to the Hessian of J.

    The factor includes a ridge along the flat directions of softmax, and excludes parameters for which
    `is_movable_parameter` (K, d + 1) is false.
    """

    is_reusable = True

    def __init__(self, point: Point, is_movable_parameter: BoolArray | None = None) -> None:
        super().__init__(point)
        K, m = point.objective.shape
        self.of_loss = compute_loss_hessian(point)
        matrix = self.of_loss.copy()
        block_diagonals = np.einsum("kjhj->khj", matrix.reshape(K, m, K, m))
        np.einsum("kkj->kj", block_diagonals)[...] += point.objective.penalty.curvatures
        if is_movable_parameter is not None:
            matrix *= np.outer(is_movable_parameter, is_movable_parameter)
        self.diagonal = np.einsum("kkj->kj", block_diagonals).copy()
        if K > 1:
            ridge = self.diagonal.sum(axis=0) / K**2
            block_diagonals += ridge if is_movable_parameter is None else ridge * is_movable_parameter.all(axis=0)
        curved = np.einsum("ii->i", matrix)
        curved[curved == 0] = 1
        self.factor = CholeskyFactor(matrix)

    def multiply_loss_hessian(self, direction: FloatArray) -> FloatArray:
        """See `HessianOperator`. This takes no pass over the rows."""
        return np.einsum("ij,j->i", self.of_loss, direction.ravel()).reshape(direction.shape)

    def solve(self, right: FloatArray, max_steps: int) -> tuple[FloatArray, bool]:
        """See `HessianOperator`. This takes no pass over the rows."""
        return self.factor.solve(right) * self.is_active, True

    def multiply_inverse(self, units: sparse.csr_array) -> FloatArray:
        """See `HessianOperator`."""
        return units @ self.inverse

    def bound_suboptimality(self, point: Point, direction: Direction) -> float:
        """See `HessianOperator`."""

        def select_inverse_rows(units):
            # `bound_suboptimality` solves only for unit vectors.
            return self.inverse[np.argmax(units, axis=1)]

        return bound_suboptimality(point, direction, self.diagonal, self.factor.squares, select_inverse_rows)

    def has_accurate_variances(self, is_unpenalized: BoolArray) -> bool:
        """Return whether the diagonal of the inverse has a relative rounding error below MAX_VARIANCE_ERROR.

        The relative error is at most `RELATIVE_SUM_ERROR` times the norm of the inverse (Higham 2002, section 14.1)
        if columns are divided by their lengths before centering.
        """
        if not (self.diagonal > 0)[:, is_unpenalized].all():
            return False
        factorized_diagonal = self.factor.diagonal
        has_ridge = (self.factor.squares - factorized_diagonal > MAX_ADDED_RIDGE * factorized_diagonal).any()
        factorized_lengths = np.sqrt(factorized_diagonal)
        factorized_lengths.reshape(self.diagonal.shape)[:, :-1] *= self.point.objective.rows.passes.relative_gram_norms
        return bool(
            not has_ridge
            and RELATIVE_SUM_ERROR * norm(self.inverse * factorized_lengths * factorized_lengths[:, None])
            < MAX_VARIANCE_ERROR
        )

    @cached_property
    def inverse(self) -> FloatArray:
        """The inverse (K (d + 1), K (d + 1)) of the factorized Hessian. It is zero for columns that do not affect J."""
        inverse = self.factor.invert()
        inactive_parameters = (self.diagonal.ravel() <= 0).nonzero()[0]
        inverse[inactive_parameters], inverse[:, inactive_parameters] = 0, 0
        return inverse

    @property
    def variances(self) -> FloatArray:
        """The diagonal (K, d + 1) of the inverse."""
        return np.diagonal(self.inverse).reshape(self.diagonal.shape)

    @property
    def n_effective_parameters(self) -> float:
        """See `HessianOperator`."""
        return float(np.einsum("ij,ij->", self.inverse, self.of_loss))

    @property
    def std_error_inflations(self) -> FloatArray:
        """See `HessianOperator`."""
        return np.sqrt(np.maximum(self.diagonal * self.variances, 0.0).max(axis=0))[:-1]


def measure_step_length(point: Point, direction: Direction) -> float:
    """Return the length of a step from a point in the norm of the Hessian."""
    return sqrt(max(0.0, -float(np.sum(direction.step * point.gradient))))
