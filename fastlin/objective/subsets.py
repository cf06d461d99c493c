"""The objective over the rows that matter near a point, where the others enter by their tangent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.objective.point import Point

# A row is decided where its curvature is below this part of the mean. Leaving the decided rows out pays where no more
# than the second part of all rows are left.
DECIDED = 3e-3
WORTH_LEAVING_OUT = 0.7


@dataclass(frozen=True, eq=False)
class Linearisation:
    """What left-out rows add to the mean loss near an anchor: a value and a slope.

    Attributes
    ----------
    anchor : ndarray of shape (K, d + 1)
        The parameters at which value and slope are exact.
    value : float
        The mean loss that the rows add at the anchor.
    slopes : ndarray of shape (K, d + 1)
        Its gradient there.
    """

    anchor: np.ndarray
    value: float
    slopes: np.ndarray

    def at(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """Return the value and the slopes at parameters (K, d + 1)."""
        return self.value + float(np.sum(self.slopes * (parameters - self.anchor))), self.slopes


def linearise_decided_rows(point: Point) -> Objective:
    """Return J near a point with the rows of negligible curvature replaced by their linearisation there.

    A row whose probabilities are nearly 0 and 1 hardly bends J: on MNIST with a weak penalty these are three rows in
    four. Value and gradient at the point are those of J. Where too few rows are decided, or the point never
    had room for probabilities, the objective itself is returned.
    """
    objective = point.objective
    if point.lease is None:
        return objective
    curvature = np.zeros(objective.n_rows)
    for class_curvature in point.curvatures():
        curvature += class_curvature
    undecided = np.flatnonzero(curvature > DECIDED * curvature.mean())
    rows = objective.rows
    n_bytes = 0 if rows.matrix.lies_in_memory else len(undecided) * rows.matrix.row_bytes
    if len(undecided) > WORTH_LEAVING_OUT * objective.n_rows or not objective.budget.holds_copies(n_bytes):
        return objective
    part = rows.take(rows.numbers[undecided] if len(rows.numbers) else undecided, within_whole=True)
    loss, total = part.evaluate(point.parameters, point.precision)
    slopes = point.gradient - objective.penalty.curvatures * point.parameters - total / rows.total_weight
    return replace(objective, rows=part, linearisation=Linearisation(point.parameters, point.loss - loss, slopes))
