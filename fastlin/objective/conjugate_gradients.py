"""Preconditioned conjugate gradients (Hestenes and Stiefel 1952) for matrices represented by matrix-vector products."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from fastlin.kernels.machine.vectors import dot
from fastlin.typing import FloatArray


class Iterate(NamedTuple):
    """An approximate solution x of A x = b. The next iterate overwrites the arrays."""

    solution: FloatArray
    residual: FloatArray  # b - A x, updated recursively
    square: float  # the squared norm of the residual with respect to the preconditioner
    gain: float  # the increase of b' x in the latest step


def iterate_conjugate_gradients(
    multiply: Callable[[FloatArray], FloatArray],
    right_hand_side: FloatArray,
    precondition: Callable[[FloatArray], FloatArray] = np.copy,
) -> Iterator[Iterate]:
    """Yield the Iterate at zero and after each product with A. Stop if a direction has no curvature.

    `right_hand_side` is b. `multiply` returns A times an array with the shape of b. `precondition` returns an
    approximation of A^-1 times such an array, as a new array.
    """
    solution, residual = np.zeros(right_hand_side.shape), right_hand_side.copy()
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
        previous_square, square = square, dot(residual.ravel(), solved.ravel())
        yield Iterate(solution, residual, square, length * previous_square)
        direction = solved + (square / previous_square) * direction
