"""The value, derivatives and bounds of the objective at a point."""

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
    """A buffer (K, n_rows) for the probabilities of one point at a time. `owner` is the point's parameter array."""

    def __init__(self, shape: tuple[int, int], precision: FloatType) -> None:
        self.probabilities = np.empty(shape, precision)
        self.owner: FloatArray | None = None

    def acquire_array(self) -> FloatArray:
        """Return the array to fill for the next point. The probabilities of the previous point become invalid."""
        self.owner = None
        return self.probabilities


@dataclass(frozen=True, eq=False)
class Point:
    """J and its derivatives at the parameters. `Objective.at` creates it."""

    objective: Objective
    parameters: np.ndarray
    precision: FloatType  # the dtype of the products: float64 or float32
    buffer: ProbabilityBuffer | None  # the buffer with the probabilities
    loss: float  # the mean loss over the rows
    gradient: np.ndarray  # (K, d + 1), the gradient of the smooth part of J
    penalty: float
    slope: float  # the inner product of the parameters and the gradient of the loss
    squared_dual_norm: float  # sum_kj gradient_kj^2 / curvature_j over the coefficients
    largest_subgradient_entry: float  # the largest magnitude in the smallest subgradient; zero only at a minimum
    slope_magnitude: float  # the sum of the magnitudes of the terms of the slope
    # A bound on the rounding error of the scores: the norm over the classes of sum_j |parameter_kj| error_weight_j.
    error_weight: float

    @cached_property
    def value(self) -> float:
        """The value of J."""
        return self.loss + self.penalty

    @cached_property
    def squares(self) -> float:
        """The value of the quadratic penalty if there is no other penalty, otherwise zero."""
        return self.penalty if self.objective.penalty.is_smooth else 0.0

    @property
    def is_finite(self) -> bool:
        """Whether the value and the gradient are finite."""
        # slope_magnitude is infinite or NaN if any entry of the gradient of the loss is infinite or NaN.
        return isfinite(self.value) and isfinite(self.slope_magnitude)

    @property
    def has_probabilities(self) -> bool:
        """Whether the buffer still contains the probabilities of this point."""
        return self.buffer is not None and self.buffer.owner is self.parameters

    @property
    def probabilities(self) -> FloatArray:
        """The probabilities (K, n_rows). RuntimeError is raised if there is no buffer or another point uses it."""
        if self.buffer is None:
            raise RuntimeError("The point has no probabilities, because it was evaluated without a buffer; pass `out`.")
        if not self.has_probabilities:
            raise RuntimeError("The probabilities of this point were overwritten: another point uses its buffer.")
        return self.buffer.probabilities

    def curvatures(self) -> Iterator[FloatArray]:
        """Yield s_i p_ik (1 - p_ik) for all rows i, one array per class k."""
        rows = self.objective.rows
        weights = rows.get_weights(rows.row_indices)
        for probability in self.probabilities:
            yield probability * (1 - probability) * weights

    def hessian_product(self, direction: FloatArray) -> FloatArray:
        """Return the Hessian of J times `direction` (K, d + 1). It takes one pass, in the probabilities' dtype."""
        rows = self.objective.rows
        product = rows.hessian_product(direction, rows.get_hessian_argument(self))
        product += self.objective.penalty.curvatures * direction
        return product

    def hessian(self) -> FloatArray:
        """Return the Hessian of J. Its shape is (K (d + 1), K (d + 1)), ordered by class."""
        hessian = self.compute_loss_hessian()
        diagonal = np.einsum("ii->i", hessian)
        diagonal.reshape(self.parameters.shape)[...] += self.objective.penalty.curvatures
        return hessian

    def compute_loss_hessian(self) -> FloatArray:
        """Return the Hessian of the mean loss. Its shape is (K (d + 1), K (d + 1)), ordered by class."""
        rows = self.objective.rows
        return rows.hessian(rows.get_hessian_argument(self))

    @cached_property
    def _dual_value_and_error(self):
        return duality.find_dual_value(self, self.row_errors)

    @property
    def dual_value(self) -> float:
        """The dual objective at a feasible point, from `duality.find_dual_value`."""
        return self._dual_value_and_error[0]

    @property
    def dual_value_rounding(self) -> float:
        """An upper bound on the increase of the dual value due to rounding."""
        return self._dual_value_and_error[1]

    def lower_bound(self) -> float:
        """Return a lower bound on the minimum of J: the dual value minus its rounding error."""
        bound = self.dual_value - self.dual_value_rounding
        return bound if self.objective.penalty.is_smooth or bound == -np.inf else max(bound, 0.0)

    @cached_property
    def stationary_gap(self) -> float:
        """The bound on J - J* for a stationary intercept, from `duality.find_stationary_gap`."""
        return duality.find_stationary_gap(self)

    @cached_property
    def row_errors(self) -> rounding.RowErrors:
        """The rounding errors of sums over the rows, from `rounding.find_row_errors`."""
        return rounding.find_row_errors(self)

    @property
    def rounding(self) -> float:
        """A bound on the rounding error of `value` for a point in float64."""
        return self.row_errors.loss + rounding.bound_parameter_sums(self) * self.penalty

    def linearize_probabilities(self, step: FloatArray) -> FloatArray:
        """Return the probabilities (K, n_rows), linearized along a step (K, d + 1).

        Negative entries are set to zero, so each row has a distribution over the classes. The method takes one pass.
        RuntimeError is raised if another point uses the buffer.
        """
        rows, probabilities = self.objective.rows, self.probabilities
        scores = rows.passes.compute_scores(step).T
        rows.add_to_pass_counter()
        if len(probabilities) == 1:
            return np.clip(probabilities + probabilities * (1 - probabilities) * scores, 0, 1)
        scores -= np.einsum("ki,ki->i", probabilities, scores)
        moved = np.maximum(probabilities + probabilities * scores, 0)
        moved /= moved.sum(axis=0)
        return moved

    def optimize_intercept(self) -> FloatArray | None:
        """Return the parameters (K, d + 1) after a Newton step of only the intercept, or None.

        The step solves (diag(m) - E[p p']) step = gradient, where m are the mean probabilities. The result is None if
        there is no intercept, if all probabilities are 0 or 1, or if the matrix does not fit into the budget.
        RuntimeError is raised if another point uses the buffer.
        """
        objective, K = self.objective, len(self.parameters)
        # If probabilities are stored, the matrix is small compared with them.
        may_build_hessian = self.buffer is not None or objective.budget.allows_hessian(K, objective.n_rows * K**2 // 2)
        if not (objective.fit_intercept and may_build_hessian):
            return None
        probabilities = None if self.buffer is None else self.probabilities
        gram = objective.rows.sum_probability_products(self.parameters, objective.fast_precision, probabilities)
        matrix, precision = np.diag(gram[:-1, -1]) - gram[:-1, :-1], objective.fast_precision
        if not np.diagonal(matrix).min() > 0:
            return None
        step = find_newton_step(matrix, self.gradient[:, -1], precision)
        optimized_parameters = self.parameters.copy()
        optimized_parameters[:, -1] -= step
        return optimized_parameters
