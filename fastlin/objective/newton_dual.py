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
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from fastlin.kernels.linear.divergence import DECIDED, fill_block_divergences
from fastlin.kernels.machine.threads import EXPONENTIAL_WORK, count_blocks, run_blocks
from fastlin.objective.duality import DualErrors, evaluate_dual
from fastlin.objective.rounding import STEP_ROUNDINGS, gamma, norm
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.point import Point

# Rows that leave take passes of their own. Of more than this part of all rows the bound is no better than the point's.
LARGEST_LEAVING = 0.125
NO_ROWS = np.empty(0, np.int64)
# In roundings of a row: what a change of e^2 makes of those of linearised probabilities, and of a divergence.
DUAL_ROUNDINGS, DIVERGENCE_ROUNDINGS = 24, 96


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
        if not (is_penalised and start.has_probabilities and objective.budget.holds(n_bytes)):
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
        divergence, leaving, has_decided = self._compare(end.probabilities)
        residual = self.direction.residual
        if len(leaving):
            matrix, n_rows = end.objective.matrix, end.objective.n_rows
            if not matrix.lies_in_memory or len(leaving) > LARGEST_LEAVING * n_rows:
                return nothing
            residual = residual + self._find_change(end, leaving)
        slopes = residual - end.objective.penalty.curvatures * end.parameters
        entropy = end.loss - float(np.sum(slopes * end.parameters)) - divergence
        return evaluate_dual(end, residual, entropy, self._bound_errors(end, residual, divergence, has_decided))

    def _compare(self, probabilities):
        """Compare the linearised probabilities with those at the end (K, n_rows).

        Returns
        -------
        divergence : float
            The weighted mean of the divergences, without the rows that leave.
        leaving : ndarray of int64
            The rows whose linearised probabilities are no distribution, or no digits of it are known.
        has_decided : bool
            Whether some rows are so certain at both ends that one probability has no digits left.
        """
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
        return float(total) / rows.total_weight, found, bool(n_decided)

    def _find_change(self, end, leaving):
        """Return (1 / S) sum_i s_i (p_i(end) - alpha_i) x~_i' over the rows that leave."""
        rows, step = end.objective.rows, self.direction.step
        part = rows.take(rows.numbers[leaving] if len(rows.numbers) else leaving, within_whole=True)
        change = part.evaluate(end.parameters, np.float64)[1] / rows.total_weight
        change -= part.evaluate(self.start.parameters, np.float64)[1] / rows.total_weight
        change -= part.hessian_product(step, np.ascontiguousarray(self.probabilities[:, leaving]))
        return change

    def _bound_errors(self, end, residual, divergence, has_decided):
        """Return the DualErrors of the linearised probabilities, whose gradient is known by the residual."""
        rows, penalty, start, direction = end.objective.rows, end.objective.penalty, self.start, self.direction
        K, d = len(end.parameters), len(penalty.gradient_blur)
        # In any order of the sums over rows, columns and parameters, each of which has some roundings of its own.
        of_products = gamma(rows.n_rows + d + end.parameters.size + STEP_ROUNDINGS)
        blur = penalty.arrays.blur + 2 * np.abs(penalty.arrays.shift)
        path = norm(np.einsum("kj,j->k", direction.path[:, :-1], blur) + direction.path[:, -1])
        blur = np.where(penalty.gradient_blur > 0, blur, 0.0)
        # Gradients and probabilities at both ends, the dual point itself, and what the Hessian makes of the path.
        of_rows = 4 * (start.row_errors.gradient + end.row_errors.gradient) + DUAL_ROUNDINGS * rows.row_rounding
        of_rows += DECIDED * (2 + path) if has_decided else 0.0
        of_rows += 4 * of_products * (0.25 if K == 1 else 0.5) * path
        # The scores at the end, whose rounding counts by the distance of both distributions (Pinsker).
        of_scores, of_divergence = end.row_errors.scores, DIVERGENCE_ROUNDINGS * rows.row_rounding
        mean = max(divergence, 0.0) + of_divergence
        of_divergence += of_products * mean + sqrt(2 * mean) * of_scores + 0.25 * of_scores * of_scores
        further = 4 * of_products * norm(direction.path[:, :-1] * penalty.arrays.roots)
        return DualErrors(
            entropy=end.row_errors.loss + of_divergence,
            gradient=of_rows,
            class_sums=2 * sqrt(rows.n_classes) * of_rows,
            size=float(np.sum(np.abs(residual * end.parameters))) + 2 * end.size,
            blur_norm=norm(blur / penalty.arrays.roots),
            further=further + gamma(4) * (sqrt(start.dual_square) + sqrt(2 * end.size)),
        )
