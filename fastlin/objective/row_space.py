"""J in the span of the rows of X. The span contains the coefficients at the minimum of J.

The gradient of a row's loss is a multiple of the row. So the coefficients at the minimum are a weighted sum of the
rows, with one multiplier a_ik per row and class (Kimeldorf and Wahba 1971). The same holds after steps along
gradients::

    W_kj = (1 / (l2 f_j)) sum_i a_ik (x_ij - m_j)

With an intercept, m_j is the mean of the column. Otherwise, m_j is zero.

A vector of the space is an array of two tables with n + 1 rows. The first n rows of the first table contain the
multipliers, and the last row contains the intercepts of the centered columns. The first n rows of the second table
contain the scores without the intercepts, and the last row contains the intercepts again. The inner product of two
vectors is the dot product of the first table of one vector and the second table of the other. It equals the dot product
of the intercepts plus sum_kj l2 f_j V_kj W_kj. With respect to this inner product, the gradient of J is the sum of the
residuals and the multipliers of the vector. If the intercept is stationary, half the squared norm of the gradient
bounds J - J*.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.linear.operands import NO_ROWS, ProbabilityOutput, Samples
from fastlin.kernels.linear.row_multipliers import fill_block_residuals_after_step
from fastlin.kernels.machine.gather import make_zero_table
from fastlin.kernels.machine.threads import EXPONENTIAL_WORK, count_blocks, run_blocks
from fastlin.kernels.machine.tiles import count_tile_rows
from fastlin.kernels.machine.vectors import dot
from fastlin.objective.conjugate_gradients import iterate_conjugate_gradients
from fastlin.objective.rows import multiply_weights_by_counts
from fastlin.typing import FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective

NO_PROBABILITIES = ProbabilityOutput.of(None)
# The maximum number of products when parameters are represented by sums of rows. Text data takes far fewer
# (docs/benchmarks/design-choices.md: representation by rows).
MAX_GRAM_PRODUCTS = 30
# Inner products of the rows are centered after summation. If the ratio of squared means to variances is at most this
# number, twelve digits remain accurate.
MAX_CANCELLATION_RATIO = 1e4


def multiply(one: FloatArray, other: FloatArray) -> float:
    """Return the inner product of two vectors."""
    return dot(one[0].ravel(), other[1].ravel())


def multiply_without_intercepts(one: FloatArray, other: FloatArray) -> float:
    """Return the inner product of two vectors without the intercepts."""
    return dot(one[0, :-1].ravel(), other[1, :-1].ravel())


@dataclass(frozen=True, eq=False)
class RowPoint:
    """J at a vector of the row space."""

    vector: np.ndarray
    value: float
    squares: float  # the value of the quadratic penalty
    gradient: np.ndarray  # a vector of the row space
    bound: float  # an upper bound on J - J* if the intercept is stationary, otherwise an estimate
    max_gradient_entry: float  # an upper bound on the magnitudes of the entries of the gradient of J
    l2: float
    precision: FloatType = np.float64


class RowSpace:
    """J in the row space, for an objective with a smooth penalty on every coefficient.

    `curvatures`, with one entry per column of a table, are the second derivatives of the mean loss with respect to the
    scores if all rows are equal.
    """

    def __init__(self, objective: Objective) -> None:
        rows = objective.rows
        n = objective.matrix.shape[0]
        self.objective, self._n_classes = objective, objective.n_rows_coef
        self._l2, factors = objective.penalty.l2, objective.penalty.factors
        self._max_l2_factor = float(factors.max(initial=0.0)) * self._l2
        allows_gram = objective.budget.allows_array_bytes(8 * n**2) and _is_gram_accurate(
            objective.coordinates, factors
        )
        self._row_products = objective.matrix.row_products(self._n_classes, factors, allows_gram)
        weights = rows.weights if len(rows.weights) else np.ones(n)
        if len(rows.row_indices):
            weights = multiply_weights_by_counts(rows.row_indices, weights, n)
        self._weights = weights / rows.total_weight
        self._samples = Samples(NO_ROWS, rows.labels, self._weights, rows.offsets, rows.targets)
        self._n_blocks = count_blocks(n, EXPONENTIAL_WORK * self._n_classes)
        self._tile_rows = count_tile_rows(self._n_classes, self._n_classes, 8)
        fractions = objective.class_weights[-self._n_classes :]
        self._start = self.zeros()
        self._start[:, -1, : self._n_classes] = objective.start()[:, -1]
        self.curvatures = np.ones(self._start.shape[2])
        self.curvatures[: self._n_classes] = np.maximum(fractions * (1 - fractions), 1 / objective.n_rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a vector."""
        return self._start.shape

    def zeros(self) -> FloatArray:
        """Return the zero vector."""
        n_tables, length = 2, len(self._weights) + 1
        return make_zero_table(n_tables * length, self._n_classes).reshape(n_tables, length, -1)

    def start(self, nearby_fit: RowPoint | None = None) -> FloatArray:
        """Return the starting vector: the null model, or the coefficients of a RowPoint for another penalty."""
        if nearby_fit is None:
            return self._start
        vector = nearby_fit.vector.copy()
        vector[0, :-1] *= self._l2 / nearby_fit.l2
        return vector

    def represent_parameters(self, parameters: FloatArray, tolerance: float) -> FloatArray | None:
        """Return a vector that represents the parameters (K, d + 1), or None.

        J at the vector exceeds J at the parameters by at most the fraction `tolerance`. The multipliers are computed by
        conjugate gradients with the inner products of the rows. The result is None if MAX_GRAM_PRODUCTS products are
        not enough.
        """
        objective, K, (residuals, zero_direction), (_, scores) = (
            self.objective,
            self._n_classes,
            self.zeros(),
            self.zeros(),
        )
        coef, _ = objective.coordinates.convert_to_coefficients(parameters)
        scores[:-1, :K] = objective.matrix.compute_scores(coef, np.zeros(K))
        objective.rows.add_to_pass_counter()
        if objective.fit_intercept:
            scores[:-1] -= np.einsum("i,ik->k", self._weights, scores[:-1])
            scores[-1, :K] = parameters[:, -1] + np.einsum("kj,j->k", parameters[:, :-1], objective.coordinates.mean)
        loss, _, _ = self.evaluate(scores, zero_direction, 0.0, residuals)
        penalty = 0.5 * float(np.sum(objective.penalty.curvatures * parameters**2))
        max_value = (1 + tolerance) * (loss + penalty)
        multipliers = -residuals
        multipliers[-1] = scores[-1]
        iterates = iterate_conjugate_gradients(
            lambda table: self.make_vector(table)[1], scores - self.make_vector(multipliers)[1]
        )
        for current_iterate in islice(iterates, MAX_GRAM_PRODUCTS):
            vector = np.stack([multipliers + current_iterate.solution, scores - current_iterate.residual])
            loss, _, _ = self.evaluate(vector[1], zero_direction, 0.0, residuals)
            if loss + 0.5 * multiply_without_intercepts(vector, vector) <= max_value:
                return vector
        return None

    def at(self, vector: FloatArray) -> RowPoint:
        """Return the RowPoint at a vector."""
        line = RowLine(self, vector, self.zeros())
        line(0.0)
        return line.end()

    def evaluate(
        self, scores: FloatArray, direction: FloatArray, step: float, residuals: FloatArray
    ) -> tuple[float, float, FloatArray]:
        """Return the mean loss at scores + step * direction, its slope, and the sums (K,) of the residuals.

        The first n rows of the table `residuals` are overwritten with the derivatives with respect to the scores.
        """
        losses, slopes = np.empty((2, self._n_blocks))
        sums = np.empty((self._n_blocks, self._n_classes))
        run_blocks(
            fill_block_residuals_after_step,
            self._n_blocks,
            self._samples,
            scores,
            direction,
            float(step),
            self._tile_rows,
            NO_PROBABILITIES,
            residuals,
            losses,
            slopes,
            sums,
        )
        return float(np.add.reduce(losses)), float(np.add.reduce(slopes)), np.add.reduce(sums)

    def make_point(self, vector: FloatArray, value: float, gradient: FloatArray, sums: FloatArray) -> RowPoint:
        """Return the RowPoint at a vector, given the results of `evaluate`. The method takes one pass over the rows.

        In `gradient`, the first table contains the residuals. The method adds the multipliers of the vector to it, and
        fills the second table.
        """
        residuals, scores = gradient
        residuals[:-1] += vector[0, :-1]
        residuals[-1, : self._n_classes] = sums if self.objective.fit_intercept else 0
        self._fill_scores(residuals, scores)
        square = multiply_without_intercepts(gradient, gradient)
        bound = 0.5 * (square + float(np.sum(residuals[-1] ** 2 / self.curvatures)))
        max_gradient_entry = max(sqrt(max(square, 0.0) * self._max_l2_factor), float(np.abs(residuals[-1]).max()))
        squares = 0.5 * multiply_without_intercepts(vector, vector)
        return RowPoint(vector, value, squares, gradient, bound, max_gradient_entry, self._l2)

    def to_parameters(self, vector: FloatArray) -> FloatArray:
        """Return the parameters (K, d + 1) that a vector represents, in the coordinates of the objective."""
        multipliers, _ = vector
        coordinates = self.objective.coordinates
        parameters = np.empty(self.objective.shape)
        coef = parameters[:, :-1]
        self._row_products.combine_rows(self._center_multipliers(multipliers), coef)
        np.divide(coef, self._l2 * coordinates.scale, out=coef)
        parameters[:, coordinates.vanishing_columns] = 0
        parameters[:, -1] = multipliers[-1, : self._n_classes]
        if self.objective.fit_intercept:
            # The mean of a centered column is zero, except for the rounding error of its shift.
            parameters[:, -1] -= np.einsum("kj,j->k", parameters[:, :-1], coordinates.mean)
        return self.objective.center(parameters)

    def make_vector(self, multipliers: FloatArray) -> FloatArray:
        """Return the vector whose first table is `multipliers`. The method takes one pass over the rows."""
        vector = self.zeros()
        vector[0] = multipliers
        self._fill_scores(*vector)
        return vector

    def _fill_scores(self, multipliers, scores):
        """Fill a table of zeros with the scores that correspond to the multipliers."""
        self._row_products.multiply(self._center_multipliers(multipliers), scores)
        self.objective.rows.add_to_pass_counter()
        scores /= self._l2
        if self.objective.fit_intercept:
            scores[:-1] -= np.einsum("i,ik->k", self._weights, scores[:-1])
        scores[-1] = multipliers[-1]

    def _center_multipliers(self, multipliers):
        """Convert multipliers of the centered rows to a table of n multipliers of the original rows."""
        centered_multipliers = make_zero_table(len(self._weights), self._n_classes)
        centered_multipliers[:] = multipliers[:-1]
        if self.objective.fit_intercept:
            centered_multipliers -= self._weights[:, None] * np.add.reduce(multipliers[:-1])
        return centered_multipliers


def _is_gram_accurate(coordinates, factors):
    """Return whether inner products of the original rows give accurate inner products of the centered rows."""
    with np.errstate(over="ignore", invalid="ignore"):
        weights = 1 / (coordinates.scale**2 * factors)
        weighted_squared_shifts, rest = (
            np.sum(coordinates.shift**2 * weights),
            np.sum(coordinates.mean_squares[:-1] * weights),
        )
        return bool(weighted_squared_shifts <= MAX_CANCELLATION_RATIO * rest)


class RowLine:
    """J along a direction from a vector. An evaluation takes no pass, because scores are linear in the step."""

    def __init__(self, row_space: RowSpace, start: FloatArray, direction: FloatArray) -> None:
        self._space, self._start, self._direction = row_space, start, direction
        self._start_square = multiply_without_intercepts(start, start)
        self._cross_product = multiply_without_intercepts(start, direction)
        self._curvature = multiply_without_intercepts(direction, direction)
        self._gradient = row_space.zeros()

    def __call__(self, step: float) -> tuple[float, float]:
        """Return the value and the slope of J at a step."""
        scores = self._start[1], self._direction[1]
        loss, slope, self._residual_sums = self._space.evaluate(*scores, step, self._gradient[0])
        self._last_step = step
        self._last_value = loss + 0.5 * self._start_square + step * (self._cross_product + 0.5 * step * self._curvature)
        return self._last_value, slope + self._cross_product + step * self._curvature

    def end(self) -> RowPoint:
        """Return the RowPoint at the last step. The line must not be evaluated again."""
        vector = self._start + self._last_step * self._direction
        return self._space.make_point(vector, self._last_value, self._gradient, self._residual_sums)
