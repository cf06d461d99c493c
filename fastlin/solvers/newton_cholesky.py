"""Newton's method with the whole Hessian and its Cholesky factor, for few classes times features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.machine.vectors import dot
from fastlin.objective.newton_dual import Direction
from fastlin.objective.self_concordance import bound_fall
from fastlin.solvers import newton
from fastlin.solvers.preconditioners import factorize_hessian
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.objective.point import Point, Room
    from fastlin.solvers.preconditioners import Preconditioner
    from fastlin.solvers.solution import Solution
    from fastlin.solvers.stopping import Stopping


def minimize(objective: Objective, start: FloatArray, stopping: Stopping, *, room: Room | None) -> Solution:
    """Minimise the objective as `fastlin.solvers` has it.

    The directions along which softmax is flat get a curvature of their own, and a pivot that vanishes gets one of its
    column's (preconditioners.factorize_hessian, kernels/machine/cholesky.py): the step is Newton's where the Hessian
    is regular, and descends in any case.
    """

    def find_direction(point, bound):
        direction, diagonal, factor = solve_newton(point)
        # The inverse takes as long as some factors: only where the end is near.
        if not objective.penalty.is_bounded:
            decrement = -0.5 * dot(direction.step.ravel(), point.gradient.ravel())
            if decrement <= stopping.tol * point.value:
                inverse = factor.solve(np.eye(diagonal.size))
                fall = bound_fall(point, direction, diagonal, factor.unpack()[0], inverse)
                stopping.note_dual(point.value - fall, point.rounding)
        return direction

    return newton.minimize(objective, start, stopping, find_direction, room=room)


def solve_newton(point: Point) -> tuple[Direction, FloatArray, Preconditioner]:
    """Return Newton's direction at a point, the diagonal (K, d + 1) of the Hessian, and what was solved with."""
    matrix = point.hessian()
    factor = factorize_hessian(point.objective, matrix)
    step = -factor.solve(point.gradient)
    # einsum, not BLAS, whose bits depend on its threads.
    residual = np.einsum("ij,j->i", matrix, step.ravel()).reshape(step.shape) + point.gradient
    return Direction(step, residual, np.abs(step)), np.diagonal(matrix).reshape(step.shape), factor
