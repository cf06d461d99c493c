"""Everything that is known of the objective at one point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastlin.kernels.machine.vectors import dot
from fastlin.objective import duality, rounding
from fastlin.typing import FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective

# Steps of conjugate gradients.
SETTLING_STEPS = 20
# A direction is flat where its curvature is below this part of the largest that it may have.
FLATNESS = 1e-10


class Room:
    """Memory for the probabilities of one point at a time, which the next point takes over.

    Attributes
    ----------
    probabilities : ndarray of shape (K, n_rows)
        The memory.
    n_leases : int
        How many points have had it, the one that has it now included.
    """

    def __init__(self, probabilities: FloatArray) -> None:
        self.probabilities, self.n_leases = probabilities, 0

    def lease(self) -> Lease:
        """Return the Lease of the point that has the memory from now on, and fills it."""
        self.n_leases += 1
        return Lease(self, self.n_leases)


class Lease(NamedTuple):
    """The right of a point to a Room until that has the next Lease.

    Attributes
    ----------
    room : Room
        The room.
    number : int
        Which of its leases it is.
    """

    room: Room
    number: int

    @property
    def probabilities(self) -> FloatArray | None:
        """The memory, or None where another point has it."""
        return self.room.probabilities if self.number == self.room.n_leases else None


@dataclass(frozen=True, eq=False)
class Point:
    """J at parameters, with its derivatives. `Objective.at` makes it.

    Attributes
    ----------
    objective : Objective
        The function whose point this is.
    parameters : ndarray of shape (K, d + 1)
        Where it was evaluated.
    precision : type
        The type that products were computed in, float64 or float32.
    loss : float
        The mean loss.
    size : float
        The penalty.
    gradient : ndarray of shape (K, d + 1)
        The gradient of the smooth part of J.
    slope : float
        The parameters times the gradient of the loss.
    slope_size : float
        The sum of the magnitudes of the terms of the slope.
    dual_square : float
        The gradient by the coefficients in the norm of the dual, sum_kj gradient_kj^2 / curvature_j.
    largest_entry : float
        The largest entry of the smallest subgradient by coefficients and intercept. It is zero exactly at a minimum.
    blur : float
        The norm over the classes of the sums of |parameter| times the blur of its column. It bounds the rounding of the
        scores.
    lease : Lease or None
        The right to the room that the point was evaluated into. None where it had no room.
    """

    objective: Objective
    parameters: np.ndarray
    precision: FloatType
    loss: float
    size: float
    gradient: np.ndarray
    slope: float
    slope_size: float
    dual_square: float
    largest_entry: float
    blur: float
    lease: Lease | None = None

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
        return self.lease is not None and self.lease.probabilities is not None

    @property
    def probabilities(self) -> FloatArray:
        """The probabilities (K, n_rows) of the rows.

        Raises
        ------
        RuntimeError
            The point was evaluated without room, or its room was given to another point.
        """
        if self.lease is None:
            raise RuntimeError("The point was evaluated without room for probabilities.")
        probabilities = self.lease.probabilities
        if probabilities is None:
            raise RuntimeError("The room with the probabilities of this point was given to another point.")
        return probabilities

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
        return duality.find_dual_value(self)

    @property
    def dual_value(self) -> float:
        """The dual objective of a feasible point as it was computed, as `duality.find_dual_value` has it."""
        return self._dual[0]

    @property
    def dual_rounding(self) -> float:
        """By how much rounding can have raised the dual value."""
        return self._dual[1]

    def lower_bound(self) -> float:
        """Return a lower bound of the minimum of J: the dual value less the rounding of that.

        With a penalty by size it is no less than zero, the exact dual value of the labels themselves.
        """
        bound = self.dual_value - self.dual_rounding
        return bound if self.objective.penalty.is_smooth or bound == -np.inf else max(bound, 0.0)

    @property
    def natural_gap(self) -> float:
        """The bound on J - J* that holds once the intercept is stationary, as `duality.find_natural_gap` has it."""
        return duality.find_natural_gap(self)

    @cached_property
    def row_errors(self) -> rounding.RowErrors:
        """What rounding did to the rows, as `rounding.find_row_errors` has it."""
        return rounding.find_row_errors(self)

    @property
    def rounding(self) -> float:
        """By how much rounding can have moved the value, where the point is in float64."""
        return self.row_errors.loss + rounding.bound_parameter_sums(self) * self.size

    def settle_intercept(self) -> FloatArray | None:
        """Return the parameters after a Newton step of the intercept alone.

        The step solves (diag(m) - E[p p']) step = gradient, m the mean probabilities, by conjugate gradients. A point
        that never had room for probabilities has them computed anew, some rows at a time, which takes a pass.

        Returns
        -------
        ndarray of shape (K, d + 1) or None
            None where there is no intercept, K^2 numbers are beyond the budget, or all probabilities are 0 or 1.

        Raises
        ------
        RuntimeError
            The room of the point was given to another point.
        """
        objective = self.objective
        if not objective.fit_intercept:
            return None
        if self.lease is None:
            K = objective.n_rows_coef
            if not objective.budget.holds_hessian(K, objective.n_rows * K**2 // 2):
                return None
            shares, diagonal, multiply = _sum_curvature(self)
        else:
            shares, diagonal, multiply = _read_curvature(self)
        if not diagonal.min() > 0:
            return None
        step = np.zeros(len(diagonal))
        residual = self.gradient[:, -1].copy()
        # Equal steps of all classes change nothing: along them there is neither slope nor curvature but rounding.
        is_flat = len(residual) > 1
        residual -= residual.mean() if is_flat else 0
        direction = solved = residual / diagonal
        square = first = dot(residual, solved)
        for _ in range(SETTLING_STEPS):
            product = multiply(direction)
            slope = dot(direction, product)
            if not slope > FLATNESS * float(np.sum(shares * direction * direction)):
                break
            step += square / slope * direction
            residual -= square / slope * product
            solved = residual / diagonal
            last, square = square, dot(residual, solved)
            if not square > 1e-8 * first:
                break
            direction = solved + square / last * direction
        settled = self.parameters.copy()
        settled[:, -1] -= step - step.mean() if is_flat else step
        return settled


def _read_curvature(point):
    """Return m, the diagonal of diag(m) - E[p p'] and what multiplies by it, from the probabilities of the point."""
    rows, probabilities = point.objective.rows, point.probabilities
    weights = np.broadcast_to(rows.weights_of(rows.numbers), rows.n_rows) / rows.total_weight
    # einsum, not BLAS, whose bits depend on its threads.
    shares = np.einsum("ki,i->k", probabilities, weights, dtype=np.float64)
    squares = np.einsum("ki,ki,i->k", probabilities, probabilities, weights, dtype=np.float64)

    def multiply(direction):
        means = np.einsum("ki,k->i", probabilities, direction, dtype=np.float64) * weights
        return shares * direction - np.einsum("ki,i->k", probabilities, means, dtype=np.float64)

    return shares, shares - squares, multiply


def _sum_curvature(point):
    """Return what `_read_curvature` returns, from sums of products of probabilities that are computed anew."""
    objective = point.objective
    gram = objective.rows.sum_probability_products(point.parameters, objective.fast_precision)
    shares, products = gram[:-1, -1], gram[:-1, :-1]
    return (
        shares,
        shares - np.diagonal(products),
        lambda direction: shares * direction - np.einsum("kl,l->k", products, direction),
    )
