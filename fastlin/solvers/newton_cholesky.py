"""Newton's method with the whole Hessian and its Cholesky factor, for few classes times features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastlin.objective.newton_dual import Direction
from fastlin.objective.self_concordance import bound_fall
from fastlin.solvers import newton
from fastlin.solvers.preconditioners import factorize_hessian
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.objective.point import Room
    from fastlin.solvers.solution import Solution
    from fastlin.solvers.stopping import Stopping


def minimize(objective: Objective, start: FloatArray, stopping: Stopping, *, room: Room | None) -> Solution:
    """Minimise the objective from the given parameters. Arguments, result and errors are those of newton.minimize.

    The directions along which softmax is flat get a curvature of their own, and a pivot that vanishes gets one of its
    column's (preconditioners.factorize_hessian, kernels/machine/cholesky.py): the step is Newton's where the Hessian is regular,
    and descends in any case.
    """

    def find_direction(point, bound):
        matrix = point.hessian()
        factor = factorize_hessian(point.objective, matrix)
        step = -factor.solve(point.gradient)
        # einsum, not BLAS, whose bits depend on its threads.
        residual = np.einsum("ij,j->i", matrix, step.ravel()).reshape(step.shape) + point.gradient
        direction = Direction(step, residual, np.abs(step))
        # The inverse takes as long as some factors: only where the end is near.
        if not objective.penalty.is_bounded and -0.5 * np.sum(step * point.gradient) <= stopping.tol * point.value:
            diagonal = np.diagonal(matrix).reshape(step.shape)
            inverse = factor.solve(np.eye(len(matrix)))
            fall = bound_fall(point, direction, diagonal, factor.unpack()[0], inverse)
            stopping.note_dual(point.value - fall, point.rounding)
        return direction

    return newton.minimize(objective, start, stopping, find_direction, room=room)
