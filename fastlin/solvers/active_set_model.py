"""Primal-dual active-set steps for the quadratic model of a loss with an L1 penalty.

The active coordinates are those that are nonzero or violate the optimality conditions. A step minimizes the model over
them with fixed signs. At the next point, coordinates that crossed zero are inactive, and new violations are active.
This is a semismooth Newton method (Hintermüller, Ito and Kunisch 2002): near the minimum, the active set no longer
changes, and the steps converge superlinearly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastlin.objective.conjugate_gradients import iterate_conjugate_gradients

if TYPE_CHECKING:
    from fastlin.objective.point import Point
    from fastlin.typing import FloatArray

# The maximum number of Hessian products per step.
MAX_STEP_PRODUCTS = 200


class ActiveSetModel:
    """The quadratic model around a point, minimized over its active coordinates by conjugate gradients.

    `hessian_diagonal` (K, d + 1) is the preconditioner. It may belong to a nearby point. The thresholds of the model
    are those of the penalty, reduced by the fraction `margin`. After `minimize`, `minimizer` (K, d + 1) is the
    minimizer with fixed signs, and `violation` is the largest fraction by which the gradient at this minimizer exceeds
    a threshold of the penalty.
    """

    # A model belongs to one point and uses all rows.
    is_reused = is_sampled = False

    def __init__(self, point: Point, hessian_diagonal: FloatArray, margin: float) -> None:
        self._point, self._hessian_diagonal, self._margin = point, hessian_diagonal, margin
        self.minimizer, self.violation = point.parameters, np.inf

    def minimize(self, accuracy: float) -> FloatArray:
        """Return the minimizer (K, d + 1), in which coordinates that crossed zero are set to zero.

        The largest entry of the subgradient, relative to its threshold, is reduced to the fraction `accuracy`, or to
        half the margin if that is larger.
        """
        point, penalty = self._point, self._point.objective.penalty
        parameters, thresholds = point.parameters, (1 - self._margin) * penalty.thresholds
        is_active = (parameters != 0) | (thresholds == 0) | (np.abs(point.gradient) > thresholds)
        is_active &= self._hessian_diagonal > 0
        signs = np.sign(np.where(parameters != 0, parameters, -point.gradient)) * (thresholds > 0)
        subgradient = np.where(is_active, point.gradient + thresholds * signs, 0.0)
        inverse_diagonal = np.divide(1.0, self._hessian_diagonal, out=np.zeros(parameters.shape), where=is_active)
        # The intercept has no threshold, so the smallest threshold replaces it.
        units = np.where(thresholds > 0, penalty.thresholds, penalty.thresholds[thresholds > 0].min())
        limit = max(accuracy * float((np.abs(subgradient) / units).max()), 0.5 * self._margin)
        iterates = iterate_conjugate_gradients(
            lambda direction: np.where(is_active, point.hessian_product(direction), 0.0),
            -subgradient,
            lambda residual: inverse_diagonal * residual,
        )
        for n_products, iterate in enumerate(iterates):
            if n_products == MAX_STEP_PRODUCTS or (np.abs(iterate.residual) / units).max() <= limit:
                break
        self.minimizer = parameters + iterate.solution
        slopes = point.gradient + point.hessian_product(iterate.solution)
        self.violation = max(0.0, float((np.abs(slopes) / units)[:, thresholds > 0].max()) - 1)
        return np.where(self.minimizer * signs < 0, 0.0, self.minimizer)
