"""Everything that is known of the objective at one point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from fastlin.objective import duality, rounding
from fastlin.objective.null_model import find_newton_step
from fastlin.typing import FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective


class ProbabilityBuffer:
    """Memory (K, n_rows) for the probabilities of one point at a time, whose parameters array is `owner`."""

    def __init__(self, shape: tuple[int, int], precision: FloatType) -> None:
        self.probabilities = np.empty(shape, precision)
        self.owner: FloatArray | None = None

    def give(self) -> FloatArray:
        """Return the memory for the next point to fill; the last one loses it."""
        self.owner = None
        return self.probabilities


@dataclass(frozen=True, eq=False)
class Point:
    """J at parameters, with its derivatives. `Objective.at` makes it."""

    objective: Objective
    parameters: np.ndarray
    precision: FloatType  # of the products: float64 or float32
    buffer: ProbabilityBuffer | None  # where its probabilities are
    loss: float  # the mean loss
    gradient: np.ndarray  # (K, d + 1), of the smooth part of J
    size: float  # the penalty
    slope: float  # the parameters times the gradient of the loss
    dual_square: float  # sum_kj gradient_kj^2 / curvature_j over the coefficients
    largest_entry: float  # Of the smallest subgradient by coefficients and intercept. It is zero exactly at a minimum.
    slope_size: float  # the sum of the magnitudes of the terms of the slope
    # The norm over the classes of the sums of |parameter| times the error weight of its column. It bounds the rounding of the
    # scores.
    error_weight: float

    @cached_property
    def value(self) -> float:
        """J."""
        return self.loss + self.size

    @cached_property
    def squares(self) -> float:
        """The quadratic penalty, where that is the whole penalty; else zero."""
        return self.size if self.objective.penalty.is_smooth else 0.0

    @property
    def is_finite(self) -> bool:
        """Whether neither value nor gradient has overflowed."""
        # An entry of the gradient of the loss that is not finite leaves no finite sum, whatever it is multiplied by.
        return isfinite(self.value) and isfinite(self.slope_size)

    @property
    def has_probabilities(self) -> bool:
        """Whether the point still has the room with its probabilities."""
        return self.buffer is not None and self.buffer.owner is self.parameters

    @property
    def probabilities(self) -> FloatArray:
        """The probabilities (K, n_rows); RuntimeError if the point never had a room, or lost it to another point."""
        if self.buffer is None:
            raise RuntimeError("The point was evaluated without room for probabilities.")
        if not self.has_probabilities:
            raise RuntimeError("The room with the probabilities of this point was given to another point.")
        return self.buffer.probabilities

    def curvatures(self) -> Iterator[FloatArray]:
        """Yield s_i p_ik (1 - p_ik) of all rows, class by class."""
        rows = self.objective.rows
        weights = rows.weights_of(rows.numbers)
        for probability in self.probabilities:
            yield probability * (1 - probability) * weights

    def hessian_product(self, direction: FloatArray) -> FloatArray:
        """Return the Hessian of J times direction (K, d + 1), in the type of the probabilities; it takes a pass."""
        rows = self.objective.rows
        product = rows.hessian_product(direction, rows.curved_at(self))
        product += self.objective.penalty.curvatures * direction
        return product

    def hessian(self) -> FloatArray:
        """Return the Hessian of J, (K (d + 1), K (d + 1)), by classes."""
        hessian = self.hessian_of_loss()
        diagonal = np.einsum("ii->i", hessian)
        diagonal.reshape(self.parameters.shape)[...] += self.objective.penalty.curvatures
        return hessian

    def hessian_of_loss(self) -> FloatArray:
        """Return the Hessian of the mean loss, (K (d + 1), K (d + 1)), by classes."""
        rows = self.objective.rows
        return rows.hessian(rows.curved_at(self))

    @cached_property
    def _dual(self):
        return duality.find_dual_value(self, self.row_errors)

    @property
    def dual_value(self) -> float:
        """The dual objective of a feasible point as it was computed, from `duality.find_dual_value`."""
        return self._dual[0]

    @property
    def dual_rounding(self) -> float:
        """By how much rounding can have raised the dual value."""
        return self._dual[1]

    def lower_bound(self) -> float:
        """Return a lower bound of the minimum of J: the dual value less its rounding."""
        bound = self.dual_value - self.dual_rounding
        return bound if self.objective.penalty.is_smooth or bound == -np.inf else max(bound, 0.0)

    @property
    def natural_gap(self) -> float:
        """The bound on J - J* that holds once the intercept is stationary, from `duality.find_natural_gap`."""
        return duality.find_natural_gap(self)

    @cached_property
    def row_errors(self) -> rounding.RowErrors:
        """What rounding did to the rows, from `rounding.find_row_errors`."""
        return rounding.find_row_errors(self)

    @property
    def rounding(self) -> float:
        """By how much rounding can have moved the value, where the point is in float64."""
        return self.row_errors.loss + rounding.bound_parameter_sums(self) * self.size

    def linearize_probabilities(self, step: FloatArray) -> FloatArray:
        """Return the probabilities (K, n_rows) plus their derivative along a step (K, d + 1), as distributions.

        Negative entries become zero. It takes a pass. RuntimeError: another point has the room.
        """
        rows, probabilities = self.objective.rows, self.probabilities
        scores = rows.passes.compute_scores(step).T
        rows.count_pass()
        if len(probabilities) == 1:
            return np.clip(probabilities + probabilities * (1 - probabilities) * scores, 0, 1)
        scores -= np.einsum("ki,ki->i", probabilities, scores)
        moved = np.maximum(probabilities + probabilities * scores, 0)
        moved /= moved.sum(axis=0)
        return moved

    def optimize_intercept(self) -> FloatArray | None:
        """Return the parameters (K, d + 1) after a Newton step of the intercept alone, or None.

        The step solves (diag(m) - E[p p']) step = gradient, m the mean probabilities. None: there is no intercept, all
        probabilities are 0 or 1, or the budget does not hold the matrix. RuntimeError: another point has the room.
        """
        objective, K = self.objective, len(self.parameters)
        # The matrix is small compared with probabilities that are kept.
        is_affordable = self.buffer is not None or objective.budget.holds_hessian(K, objective.n_rows * K**2 // 2)
        if not (objective.fit_intercept and is_affordable):
            return None
        kept = None if self.buffer is None else self.probabilities
        gram = objective.rows.sum_probability_products(self.parameters, objective.fast_precision, kept)
        matrix, precision = np.diag(gram[:-1, -1]) - gram[:-1, :-1], objective.fast_precision
        if not np.diagonal(matrix).min() > 0:
            return None
        step = find_newton_step(matrix, self.gradient[:, -1], precision)
        optimized = self.parameters.copy()
        optimized[:, -1] -= step
        return optimized
