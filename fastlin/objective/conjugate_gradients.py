"""Conjugate gradients (Hestenes and Stiefel 1952), for all that is solved by products with a matrix."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from fastlin.kernels.machine.vectors import dot
from fastlin.typing import FloatArray


class Iterate(NamedTuple):
    """An approximate solution x of A x = b. The next iterate overwrites its arrays."""

    solution: FloatArray
    residual: FloatArray  # b - A x, as it was updated
    square: float  # of the residual, in the norm of the preconditioner
    gain: float  # by how much b' x grew in the last step


def iterate(
    multiply: Callable[[FloatArray], FloatArray],
    right: FloatArray,
    precondition: Callable[[FloatArray], FloatArray] = np.copy,
) -> Iterator[Iterate]:
    """Yield zeros, and the Iterate after each product with A, until a direction has no curvature.

    multiply returns A times an array of the shape of ``right``, b; precondition a new array, about A^-1 times an array.
    """
    solution, residual = np.zeros(right.shape), right.copy()
    direction = precondition(residual)
    square = dot(residual.ravel(), direction.ravel())
    yield Iterate(solution, residual, square, 0.0)
    while square > 0:
        product = multiply(direction)
        curvature = dot(direction.ravel(), product.ravel())
        if not curvature > 0:
            return
        length = square / curvature
        solution += length * direction
        residual -= length * product
        solved = precondition(residual)
        last_square, square = square, dot(residual.ravel(), solved.ravel())
        yield Iterate(solution, residual, square, length * last_square)
        direction = solved + (square / last_square) * direction
