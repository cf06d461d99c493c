"""The lower bound of the minimum where something is not penalized, from a Newton step and the smallest curvature.

Without a penalty no dual point that is computed is feasible to the last digit. But the third derivative of the loss
along any way is at most M times its second, M being by how much the scores of a row differ along it (self-concordance:
Bach 2010). With a lower bound of the eigenvalues of the Hessian, and the length of the longest row, the loss cannot
fall by more than about half the square of the Newton decrement. The derivation is in docs/derivations.md, section 9.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastlin.objective.rounding import ROW_ROUNDINGS, bound_score_rounding, gamma, norm
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.coordinates import Coordinates
    from fastlin.objective.point import Point

# The roundings of a product with the Hessian in addition to its sums.
STEP_ROUNDINGS = 512
# The unit vectors that are solved for together: the whole inverse would take as much memory as the Hessian.
SOLVED_PER_BATCH = 128


class Direction(NamedTuple):
    """A solution of Newton's equations at a point."""

    step: FloatArray
    residual: FloatArray  # H step + gradient, as it was computed


def bound_fall(
    point: Point,
    direction: Direction,
    diagonal: FloatArray,
    column_squares: FloatArray,
    solve: Callable[[FloatArray], FloatArray],
) -> float:
    """Return the most that J can fall from a point in float64, without the rounding of J itself; infinite if unproven.

    diagonal (K, d + 1) belongs to the Hessian, column_squares (K (d + 1),) are the squared lengths of the columns of
    its factor U, and solve maps rows e (m, K (d + 1)) to the solutions x of U' U x = e.
    """
    objective, K = point.objective, len(point.parameters)
    penalty, coordinates = objective.penalty, objective.coordinates
    steepest, roundings = 0.25 if K == 1 else 0.5, objective.n_rows + point.parameters.size + STEP_ROUNDINGS
    squares = coordinates.mean_squares
    shifts = np.append(2 * np.abs(coordinates.shift), 0.0)
    error_weight = np.append(penalty.arrays.error_weight, 1.0) + np.where(squares > 0, shifts, 0.0)
    longest = bound_rows(coordinates)
    # Columns without curvature have no part in J.
    is_curved = diagonal.ravel() > 0
    factorized = diagonal + (diagonal.sum(axis=0) / K**2 if K > 1 else 0.0)
    trace = float(factorized.sum())
    added = column_squares - factorized.ravel()
    size = _find_norm_of_inverse(solve, is_curved)
    of_scores = bound_score_rounding(
        objective.rows, norm(np.einsum("kj,j->k", np.abs(point.parameters), longest + error_weight))
    )
    of_probabilities = 4 * (of_scores + objective.rows.roundings.row) * float(squares.sum())
    of_sums = gamma(roundings) * (steepest * norm(error_weight) ** 2 + 4 * trace)
    off = of_probabilities + of_sums
    smallest = 1 / size - float(added[is_curved].max(initial=0.0)) - off if size > 0 else 0.0
    if not smallest > 0:
        return np.inf
    step, residual = direction.step, direction.residual
    of_gradient = 2 * point.row_errors.gradient * norm(error_weight)
    of_gradient += gamma(4) * norm(penalty.curvatures * point.parameters)
    length = norm(step)
    left = norm(residual) + of_gradient + 2 * off * length
    left += gamma(roundings) * (norm(point.gradient) + trace * length)
    # sqrt(step H step), the step by the gradient and the residual, and the remaining gradient.
    square = float(np.sum(np.abs(step * residual))) - float(np.sum(step * point.gradient))
    square += gamma(roundings) * norm(point.gradient) * length
    decrement = sqrt(max(0.0, square + off * length**2)) + left / sqrt(smallest)
    standard_deviation = sqrt((1.0 if K == 1 else 2.0) / smallest) * norm(longest) * decrement
    if not standard_deviation < 1:
        return np.inf
    # What equal coefficients of all classes add to the penalty, and no step of these removes.
    means = point.parameters.mean(axis=0) if K > 1 else np.zeros(1)
    common = 0.5 * K * float(np.sum(penalty.curvatures * means**2))
    return (0.5 * decrement**2 / (1 - standard_deviation) + common) * (1 + gamma(STEP_ROUNDINGS))


def _find_norm_of_inverse(solve, is_curved):
    """Return the Frobenius norm of what solve multiplies by, over the curved coordinates."""
    norms = []
    curved = is_curved.nonzero()[0]
    for first in range(0, len(curved), SOLVED_PER_BATCH):
        positions = curved[first : first + SOLVED_PER_BATCH]
        units = np.zeros((len(positions), len(is_curved)))
        units[np.arange(len(positions)), positions] = 1
        norms.append(norm(solve(units)[:, is_curved]))
    return norm(np.array(norms))


def bound_rows(coordinates: Coordinates) -> FloatArray:
    """Return what no entry of a scaled column exceeds in magnitude, and one for the intercept, (d + 1,)."""
    # Peaks are distances from the mean, which the rounding of the shift leaves off zero.
    rest = 2 * np.abs(coordinates.mean) + gamma(ROW_ROUNDINGS) * np.abs(coordinates.shift)
    return np.append(np.sqrt(coordinates.peaks * coordinates.mean_squares[:-1]) + rest, 1.0) * (
        1 + gamma(ROW_ROUNDINGS)
    )
