"""The iteration that Newton's methods share: a direction from a point, and a line search along it."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.machine.vectors import dot
from fastlin.objective.newton_dual import NewtonStep
from fastlin.solvers import line_search
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.newton_dual import Direction
    from fastlin.objective.objective import Objective
    from fastlin.objective.point import Point, Room
    from fastlin.solvers.solution import Solution
    from fastlin.solvers.stopping import Stopping


def minimize(
    objective: Objective,
    start: FloatArray,
    stopping: Stopping,
    find_direction: Callable[[Point, float], Direction],
    *,
    room: Room | None,
) -> Solution:
    """Minimise the objective as `fastlin.solvers` has it.

    find_direction takes a Point with probabilities and the bound on J - J* there, and returns a Direction, whose step
    descends.
    """
    point = objective.at(start, out=room)
    bound = stopping.begin(point)
    message = stopping.why(point, bound, np.inf)
    while not message:
        direction = find_direction(point, bound)
        decrement = -0.5 * dot(direction.step.ravel(), point.gradient.ravel())
        message = stopping.why(point, bound, decrement)
        if message:
            break
        # A step that lowers J by more ends too far from the minimum for its bound to be of use.
        is_in_sight = decrement <= sqrt(stopping.tol) * point.value
        step = NewtonStep.begin(point, direction) if is_in_sight else None
        end = line_search.along(objective, point, direction.step, room)
        if end is None or not end.value < point.value:
            message = stopping.why_stalled(point, bound, decrement)
            break
        point = end
        if step is not None:
            stopping.note_dual(*step.find_dual_value(point))
        bound = stopping.settle(point)
        stopping.record(point, bound)
        message = stopping.why(point, bound, np.inf)
    return stopping.solution(message)
