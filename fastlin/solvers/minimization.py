"""The arguments of a minimization, which all solvers share, and its starting point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastlin.typing import FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.objective.point import Point, ProbabilityBuffer
    from fastlin.solvers.solution import Solution
    from fastlin.solvers.stopping import Stopping


class Start(NamedTuple):
    """The starting point of a method."""

    parameters: FloatArray
    point: Point | None = None  # the Point at the parameters, if it has been evaluated
    is_null_model: bool = False  # whether this is the null model


@dataclass
class Minimization:
    """The arguments of `minimize` that all methods of a fit use."""

    objective: Objective
    stopping: Stopping
    solver: str
    nearby_fit: Solution | None
    starts: Sequence[FloatArray]

    @cached_property
    def buffer(self) -> ProbabilityBuffer | None:
        """A buffer for the probabilities of one point, or None if the budget is too small. Small fits need none."""
        return self.objective.make_probability_buffer()

    @cached_property
    def start(self) -> Start:
        """The best of the starts and the null model. Later, it is the best point of the previous method."""
        objective, nearby_fit = self.objective, self.nearby_fit
        starts = [objective.center(objective.penalty.clip(start)) for start in self.starts]
        best = None
        if nearby_fit is not None and objective.penalty.is_smooth and len(starts) == 2:
            # The first start is the nearby solution. J at this solution can be computed without a pass.
            nearby_objective_value = nearby_fit.loss + 0.5 * float(
                np.sum(objective.penalty.curvatures * nearby_fit.parameters**2)
            )
            best = objective.at(starts.pop(), objective.fast_precision, out=self.buffer)
            starts = [] if best.value <= nearby_objective_value else starts
        for start in starts:
            point = objective.at(start, objective.fast_precision, out=self.buffer)
            # J is NaN at a start that is too far from the minimum.
            if best is None or point.value <= best.value or np.isnan(best.value):
                best = point
        if best is None or not best.value <= objective.compute_start_value():
            return Start(objective.start(), is_null_model=True)
        return Start(best.parameters, best if best.has_probabilities or self.buffer is None else None)

    def start_point(self, precision: FloatType) -> Point:
        """Return the Point at the start of a method, evaluated in the given precision."""
        parameters, point, _ = self.start
        if point is not None and point.precision == precision:
            return point
        return self.objective.at(parameters, precision, out=self.buffer)
