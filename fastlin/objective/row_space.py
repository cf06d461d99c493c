"""J in the space that the rows of X span, where the coefficients of its minimum lie.

The gradient of the loss of a row is a multiple of the row. So the coefficients at the minimum, and at all points that
steps along gradients reach, are a sum of rows, with a number a_ik for each row and class (Kimeldorf and Wahba 1971)::

    W_kj = (1 / (l2 f_j)) sum_i a_ik (x_ij - m_j)

With an intercept m_j is the mean of the column, otherwise zero. The a_ik are called multipliers here.

A vector of the space is a table (n + 1, columns of a table) of multipliers, with the intercepts of the centred columns
in its last row. Its scores leave the intercepts out, and have the intercepts again in the last row. The
inner product of two vectors is the plain product of one's multipliers with the other's scores: the product of the
intercepts plus sum_kj l2 f_j V_kj W_kj over the coefficients. In this inner product the gradient of J is the residuals
plus the vector's own multipliers, and half its square bounds J - J* where the intercept is stationary.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.linear.operands import NO_ROWS, Kept, Samples
from fastlin.kernels.linear.row_multipliers import fill_block_residuals_along
from fastlin.kernels.machine.gather import zeros_table
from fastlin.kernels.machine.threads import EXPONENTIAL_WORK, count_blocks, run_blocks
from fastlin.kernels.machine.tiles import count_tile_rows
from fastlin.kernels.machine.vectors import dot
from fastlin.objective.conjugate_gradients import iterate
from fastlin.objective.rows import weigh_by_counts
from fastlin.typing import FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective

NOT_KEPT = Kept.of(None)
# Products by which parameters are expressed as sums of rows. Text takes 1 to 7: 2,000 x 50,000, ten classes, C = 1 to
# 1,000, from the means of five folds or from the minimum at a third of C.
MOST_PRODUCTS = 30
# The inner products of the rows are centred after they are summed, which leaves twelve digits where the squares of the
# means exceed the variances by no more than this factor.
MOST_CANCELLED = 1e4


@dataclass(frozen=True, eq=False)
class RowVector:
    """A vector of the row space in two forms, both of shape (n + 1, columns of a table)."""

    multipliers: np.ndarray  # of the rows, and the intercepts
    scores: np.ndarray  # without the intercepts, and the intercepts

    def dot(self, other: RowVector) -> float:
        """Return the inner product with another vector."""
        return dot(self.multipliers.ravel(), other.scores.ravel())

    def dot_coefficients(self, other: RowVector) -> float:
        """Return the part of the inner product that the coefficients have."""
        return dot(self.multipliers[:-1].ravel(), other.scores[:-1].ravel())


@dataclass(frozen=True, eq=False)
class RowPoint:
    """J at a vector of the row space."""

    vector: RowVector
    value: float
    squares: float  # the penalty
    gradient: RowVector
    bound: float  # An upper bound on J - J* where the intercept is stationary, otherwise an estimate.
    steepness: float  # an upper bound of the derivatives of J by coefficients and intercepts
    l2: float
    precision: FloatType = np.float64


class RowSpace:
    """J of an objective whose penalty is smooth and bounded, in the space of the rows.

    `curvatures` (columns of a table,) are second derivatives of the mean loss by scores where all rows are alike.
    """

    def __init__(self, objective: Objective) -> None:
        rows = objective.rows
        n = objective.matrix.shape[0]
        self.objective, self._n_classes = objective, objective.n_rows_coef
        self._l2, factors = objective.penalty.l2, objective.penalty.factors
        self._steepest = float(factors.max(initial=0.0)) * self._l2
        allows_gram = objective.budget.holds(8 * n**2) and _keeps_digits(objective.coordinates, factors)
        self._products = objective.matrix.row_products(self._n_classes, factors, allows_gram)
        weights = rows.weights if len(rows.weights) else np.ones(n)
        if len(rows.numbers):
            weights = weigh_by_counts(rows.numbers, weights, n)
        self._weights = weights / rows.total_weight
        self._samples = Samples(NO_ROWS, rows.labels, self._weights, rows.offsets, rows.targets)
        self._n_blocks = count_blocks(n, EXPONENTIAL_WORK * self._n_classes)
        self._tile_rows = count_tile_rows(self._n_classes, self._n_classes, 8)
        shares = objective.class_weights[-self._n_classes :]
        self._start = self._zeros()
        self._start[-1, : self._n_classes] = objective.start()[:, -1]
        self.curvatures = np.ones(self._start.shape[1])
        self.curvatures[: self._n_classes] = np.maximum(shares * (1 - shares), 1 / objective.n_rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of vectors."""
        return self._start.shape

    def start(self, nearby: RowPoint | None = None) -> RowVector:
        """Return the RowVector to start from: the best intercept, or where a RowPoint of another penalty lies."""
        if nearby is None:
            return RowVector(self._start, self._start)
        multipliers = nearby.vector.multipliers * (self._l2 / nearby.l2)
        multipliers[-1] = nearby.vector.multipliers[-1]
        return RowVector(multipliers, nearby.vector.scores)

    def represent(self, parameters: FloatArray, tolerance: float) -> RowVector | None:
        """Return a RowVector whose J exceeds that at parameters (K, d + 1) by at most the part `tolerance`, or None.

        Conjugate gradients on the inner products of the rows find its multipliers; None if that takes too long.
        """
        objective, K, still = self.objective, self._n_classes, self._zeros()
        scores, residuals = self._zeros(), self._zeros()
        coef, _ = objective.coordinates.to_coefficients(parameters)
        scores[:-1, :K] = objective.matrix.compute_scores(coef, np.zeros(K))
        objective.rows.count_pass()
        if objective.fit_intercept:
            scores[:-1] -= np.einsum("i,ik->k", self._weights, scores[:-1])
            scores[-1, :K] = parameters[:, -1] + np.einsum("kj,j->k", parameters[:, :-1], objective.coordinates.mean)
        loss, _, _ = self.evaluate(scores, still, 0.0, residuals)
        penalty = 0.5 * float(np.sum(objective.penalty.curvatures * parameters**2))
        most = (1 + tolerance) * (loss + penalty)
        multipliers = -residuals
        multipliers[-1] = scores[-1]
        iterates = iterate(lambda given: self.make_vector(given).scores, scores - self.make_vector(multipliers).scores)
        for found in islice(iterates, MOST_PRODUCTS):
            vector = RowVector(multipliers + found.solution, scores - found.residual)
            loss, _, _ = self.evaluate(vector.scores, still, 0.0, residuals)
            if loss + 0.5 * vector.dot_coefficients(vector) <= most:
                return vector
        return None

    def at(self, vector: RowVector) -> RowPoint:
        """Return the RowPoint at a RowVector."""
        still = self._zeros()
        line = RowLine(self, vector, RowVector(still, still))
        line(0.0)
        return line.end()

    def evaluate(
        self, scores: FloatArray, direction: FloatArray, step: float, residuals: FloatArray
    ) -> tuple[float, float, FloatArray]:
        """Return the mean loss at scores + step * direction, its slope, and the sums of the residuals (K,).

        The first n rows of residuals (n + 1, columns of a table) are filled with the derivative by the scores.
        """
        losses, slopes = np.empty((2, self._n_blocks))
        sums = np.empty((self._n_blocks, self._n_classes))
        run_blocks(
            fill_block_residuals_along,
            self._n_blocks,
            self._samples,
            scores,
            direction,
            float(step),
            self._tile_rows,
            NOT_KEPT,
            residuals,
            losses,
            slopes,
            sums,
        )
        return float(np.add.reduce(losses)), float(np.add.reduce(slopes)), np.add.reduce(sums)

    def make_point(self, vector: RowVector, value: float, residuals: FloatArray, sums: FloatArray) -> RowPoint:
        """Return the RowPoint at a RowVector, from what `evaluate` gave there: one pass over the rows."""
        residuals[:-1] += vector.multipliers[:-1]
        residuals[-1, : self._n_classes] = sums if self.objective.fit_intercept else 0
        gradient = self.make_vector(residuals)
        square = gradient.dot_coefficients(gradient)
        bound = 0.5 * (square + float(np.sum(residuals[-1] ** 2 / self.curvatures)))
        steepness = max(sqrt(max(square, 0.0) * self._steepest), float(np.abs(residuals[-1]).max()))
        squares = 0.5 * vector.dot_coefficients(vector)
        return RowPoint(vector, value, squares, gradient, bound, steepness, self._l2)

    def to_parameters(self, vector: RowVector) -> FloatArray:
        """Return the parameters (K, d + 1) that a RowVector stands for, in the coordinates of the objective."""
        coordinates = self.objective.coordinates
        parameters = np.empty(self.objective.shape)
        coef = parameters[:, :-1]
        self._products.combine(self._centre(vector.multipliers), coef)
        np.divide(coef, self._l2 * coordinates.scale, out=coef)
        parameters[:, coordinates.vanishing] = 0
        parameters[:, -1] = vector.multipliers[-1, : self._n_classes]
        if self.objective.fit_intercept:
            # The mean of a centred column is zero, or what rounding of its shift leaves.
            parameters[:, -1] -= np.einsum("kj,j->k", parameters[:, :-1], coordinates.mean)
        return self.objective.center(parameters)

    def make_vector(self, multipliers: FloatArray) -> RowVector:
        """Return the RowVector of multipliers (n + 1, columns of a table): one pass over the rows."""
        scores = self._zeros()
        self._products.multiply(self._centre(multipliers), scores)
        self.objective.rows.count_pass()
        scores /= self._l2
        if self.objective.fit_intercept:
            scores[:-1] -= np.einsum("i,ik->k", self._weights, scores[:-1])
        scores[-1] = multipliers[-1]
        return RowVector(multipliers, scores)

    def _centre(self, multipliers):
        """Return the multipliers (n, columns of a table) of the plain rows for multipliers of the centred rows."""
        centred = self._zeros()[:-1]
        centred[:] = multipliers[:-1]
        if self.objective.fit_intercept:
            centred -= self._weights[:, None] * np.add.reduce(multipliers[:-1])
        return centred

    def _zeros(self):
        return zeros_table(len(self._weights) + 1, self._n_classes)


def _keeps_digits(coordinates, factors):
    """Say whether inner products of plain rows have enough digits for inner products of centred rows."""
    with np.errstate(over="ignore", invalid="ignore"):
        weights = 1 / (coordinates.scale**2 * factors)
        mean_part, rest = np.sum(coordinates.shift**2 * weights), np.sum(coordinates.mean_squares[:-1] * weights)
        return bool(mean_part <= MOST_CANCELLED * rest)


class RowLine:
    """J along a direction from a RowVector, by step: scores move in proportion, so an evaluation takes no pass."""

    def __init__(self, space: RowSpace, start: RowVector, direction: RowVector) -> None:
        self._space, self._start, self._direction = space, start, direction
        self._square = start.dot_coefficients(start)
        self._mixed = start.dot_coefficients(direction)
        self._bend = direction.dot_coefficients(direction)
        self._residuals = np.zeros_like(start.scores)

    def __call__(self, step: float) -> tuple[float, float]:
        """Return J and its slope at a step."""
        scores = self._start.scores, self._direction.scores
        loss, slope, self._sums = self._space.evaluate(*scores, step, self._residuals)
        self._step = step
        self._value = loss + 0.5 * self._square + step * (self._mixed + 0.5 * step * self._bend)
        return self._value, slope + self._mixed + step * self._bend

    def end(self) -> RowPoint:
        """Return the RowPoint at the step that J was asked for last; the line ends there."""
        step, start, direction = self._step, self._start, self._direction
        vector = RowVector(start.multipliers + step * direction.multipliers, start.scores + step * direction.scores)
        return self._space.make_point(vector, self._value, self._residuals, self._sums)
