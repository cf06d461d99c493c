"""The lower bound of the minimum that a Newton step leaves behind, once both of its ends are known.

Let a step solve H step = -gradient + residual at W, with the probabilities p_i of the rows. Moved by their own
linearisation they are alpha_i = p_i + (diag(p_i) - p_i p_i') (x~_i step), for which the gradient of the loss is that
at W plus the Hessian of the loss times the step: minus the slope of the penalty at the end of the step, and the
residual. With alpha as dual point the bound on J - J* at the end is::

    (1 / S) sum_i s_i KL(alpha_i || p_i(W + step)) + sum_kj residual_kj^2 / (2 curvature_j)

It lags the distance by a factor of two or so, since no error of the step is divided by the penalty, where the bound of
a point alone lags by a hundred and more. The derivation is in docs/derivations.md, section 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from fastlin.kernels.linear.divergence import fill_block_divergences
from fastlin.kernels.machine.threads import EXPONENTIAL_WORK, count_blocks, run_blocks
from fastlin.objective.duality import find_feasible_value
from fastlin.objective.rounding import bound_step_rounding
from fastlin.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.objective.point import Point

# Rows that leave take passes of their own. Of more than this part of all rows the bound is no better than the point's.
LARGEST_LEAVING = 0.125
NO_ROWS = np.empty(0, np.int64)


class Direction(NamedTuple):
    """A solution of Newton's equations at a point.

    Attributes
    ----------
    step : ndarray of shape (K, d + 1)
        The solution.
    residual : ndarray of shape (K, d + 1)
        H step + gradient, as it was computed.
    path : ndarray of shape (K, d + 1)
        The sum of the magnitudes of the moves that the step is made of.
    """

    step: FloatArray
    residual: FloatArray
    path: FloatArray


class Divergence(NamedTuple):
    """How far the linearised probabilities are from those at the end of a step.

    Attributes
    ----------
    mean : float
        The weighted mean of the divergences, without the rows that leave.
    leaving : ndarray of int64
        The rows whose linearised probabilities are no distribution, or no digits of it are known.
    has_decided : bool
        Whether some rows are so certain at both ends that one probability has no digits left.
    """

    mean: float
    leaving: IntArray
    has_decided: bool


@dataclass(frozen=True, eq=False)
class NewtonStep:
    """A step from a point, and the probabilities there.

    Attributes
    ----------
    start : Point
        Where the step begins. Its room may be given to another point.
    direction : Direction
        The step.
    probabilities : ndarray of shape (K, n_rows)
        Those of the start.
    """

    start: Point
    direction: Direction
    probabilities: FloatArray

    @classmethod
    def begin(cls, start: Point, direction: Direction) -> Self | None:
        """Return the step from a point that has its probabilities, or None where it will have no bound.

        There is one where all coefficients have a quadratic penalty, and two arrays of probabilities in float64 are
        held. In float32 the products with the Hessian blur the residual by more than what it is to tell.
        """
        objective = start.objective
        is_penalised = objective.penalty.is_smooth and bool((objective.penalty.arrays.roots > 0).all())
        n_bytes = 2 * objective.bytes_a_row * objective.n_rows
        if not (is_penalised and start.has_probabilities and objective.budget.holds_probabilities(n_bytes)):
            return None
        probabilities = start.probabilities
        return cls(start, direction, probabilities.copy()) if probabilities.dtype == np.float64 else None

    def find_dual_value(self, end: Point) -> tuple[float, float]:
        """Return the dual value of the step where it ends at a point, and by how much rounding can have raised it.

        The value is minus infinity where the point is not the end of the whole step, or too many rows leave.
        """
        step = self.direction.step
        nothing = -np.inf, 0.0
        if not (
            end.is_finite and end.has_probabilities and np.array_equal(end.parameters, self.start.parameters + step)
        ):
            return nothing
        divergence = self._compare(end.probabilities)
        residual = self.direction.residual
        if len(divergence.leaving):
            matrix, n_rows = end.objective.matrix, end.objective.n_rows
            if not matrix.lies_in_memory or len(divergence.leaving) > LARGEST_LEAVING * n_rows:
                return nothing
            residual = residual + self._find_change(end, divergence.leaving)
        slopes = residual - end.objective.penalty.curvatures * end.parameters
        terms = slopes * end.parameters
        dual = find_feasible_value(end, residual, end.loss - float(np.sum(terms)) - divergence.mean)
        size = float(np.sum(np.abs(residual * end.parameters))) + 2 * (end.value - end.loss)
        return dual.value, bound_step_rounding(self, end, dual, size, divergence)

    def _compare(self, probabilities):
        """Return the Divergence of the linearised probabilities from those at the end (K, n_rows)."""
        rows = self.start.objective.rows
        n_blocks = count_blocks(rows.n_rows, EXPONENTIAL_WORK * len(probabilities))
        sums, leaving = np.empty((n_blocks, 3)), np.empty(rows.n_rows, np.bool_)
        run_blocks(
            fill_block_divergences,
            n_blocks,
            self.probabilities,
            probabilities,
            rows.numbers,
            rows.weights,
            sums,
            leaving,
        )
        total, n_decided, n_leaving = np.add.reduce(sums)
        found = np.flatnonzero(leaving) if n_leaving else NO_ROWS
        return Divergence(float(total) / rows.total_weight, found, bool(n_decided))

    def _find_change(self, end, leaving):
        """Return (1 / S) sum_i s_i (p_i(end) - alpha_i) x~_i' over the rows that leave."""
        rows, step = end.objective.rows, self.direction.step
        part = rows.take(rows.numbers[leaving] if len(rows.numbers) else leaving, within_whole=True)
        change = part.evaluate(end.parameters, np.float64)[1] / rows.total_weight
        change -= part.evaluate(self.start.parameters, np.float64)[1] / rows.total_weight
        change -= part.hessian_product(step, np.ascontiguousarray(self.probabilities[:, leaving]))
        return change
