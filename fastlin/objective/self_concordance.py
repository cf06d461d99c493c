"""An upper bound on J - J* without a penalty, from a Newton step and the smallest eigenvalue of the Hessian.

Without a penalty, no computed dual point is exactly feasible. But along a direction, the third derivative of the loss
is at most M times the second derivative (self-concordance: Bach 2010). M is the largest difference between two score
changes of a row. Given a lower bound on the eigenvalues of the Hessian and the length of the longest row,
the loss can decrease by at most about half the squared Newton decrement. The derivation is in docs/derivations.md,
section 9.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastlin.objective.rounding import ROUNDING_ERRORS_PER_ROW, bound_score_rounding, gamma, norm
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.coordinates import Coordinates
    from fastlin.objective.point import Point

# The number of roundings of a Hessian product in addition to the roundings of its sums.
HESSIAN_PRODUCT_ROUNDINGS = 512
# The number of unit vectors per solve. The full inverse would use as much memory as the Hessian.
UNIT_VECTORS_PER_SOLVE = 128


class Direction(NamedTuple):
    """An approximate solution of Newton's equations at a point."""

    step: FloatArray
    residual: FloatArray  # H step + gradient, as computed


def bound_suboptimality(
    point: Point,
    direction: Direction,
    diagonal: FloatArray,
    column_squares: FloatArray,
    solve: Callable[[FloatArray], FloatArray],
) -> float:
    """Return an upper bound on J - J* at a point in float64. It may be infinite, and excludes the rounding error of J.

    `diagonal` (K, d + 1) is the diagonal of the Hessian, and `column_squares` (K (d + 1),) are the squared norms of the
    columns of the Cholesky factor U. `solve` maps rows e (m, K (d + 1)) to the solutions x of U' U x = e.
    """
    objective, K = point.objective, len(point.parameters)
    penalty, coordinates = objective.penalty, objective.coordinates
    max_row_curvature, roundings = (
        0.25 if K == 1 else 0.5,
        objective.n_rows + point.parameters.size + HESSIAN_PRODUCT_ROUNDINGS,
    )
    squares = coordinates.mean_squares
    shifts = np.append(2 * np.abs(coordinates.shift), 0.0)
    error_weight = np.append(penalty.arrays.error_weight, 1.0) + np.where(squares > 0, shifts, 0.0)
    row_entry_bounds = bound_row_entries(coordinates)
    # J does not depend on columns without curvature.
    has_curvature = diagonal.ravel() > 0
    factorized_diagonal = diagonal + (diagonal.sum(axis=0) / K**2 if K > 1 else 0.0)
    trace = float(factorized_diagonal.sum())
    added = column_squares - factorized_diagonal.ravel()
    size = _compute_inverse_norm(solve, has_curvature)
    score_error = bound_score_rounding(
        objective.rows, norm(np.einsum("kj,j->k", np.abs(point.parameters), row_entry_bounds + error_weight))
    )
    probability_error = 4 * (score_error + objective.rows.roundings.row) * float(squares.sum())
    sum_error = gamma(roundings) * (max_row_curvature * norm(error_weight) ** 2 + 4 * trace)
    hessian_error = probability_error + sum_error
    smallest = 1 / size - float(added[has_curvature].max(initial=0.0)) - hessian_error if size > 0 else 0.0
    if not smallest > 0:
        return np.inf
    step, residual = direction.step, direction.residual
    gradient_error = 2 * point.row_errors.gradient * norm(error_weight)
    gradient_error += gamma(4) * norm(penalty.curvatures * point.parameters)
    length = norm(step)
    remaining_gradient = norm(residual) + gradient_error + 2 * hessian_error * length
    remaining_gradient += gamma(roundings) * (norm(point.gradient) + trace * length)
    # The decrement is sqrt(step' H step), with H step = residual - gradient, plus the effect of the remaining gradient.
    square = float(np.sum(np.abs(step * residual))) - float(np.sum(step * point.gradient))
    square += gamma(roundings) * norm(point.gradient) * length
    decrement = sqrt(max(0.0, square + hessian_error * length**2)) + remaining_gradient / sqrt(smallest)
    scaled_decrement = sqrt((1.0 if K == 1 else 2.0) / smallest) * norm(row_entry_bounds) * decrement
    if not scaled_decrement < 1:
        return np.inf
    # The penalty on the means of the coefficients over the classes. No step removes it.
    means = point.parameters.mean(axis=0) if K > 1 else np.zeros(1)
    common = 0.5 * K * float(np.sum(penalty.curvatures * means**2))
    return (0.5 * decrement**2 / (1 - scaled_decrement) + common) * (1 + gamma(HESSIAN_PRODUCT_ROUNDINGS))


def _compute_inverse_norm(solve, has_curvature):
    """Return the Frobenius norm of the inverse matrix that `solve` applies, over the coordinates with curvature."""
    norms = []
    curved = has_curvature.nonzero()[0]
    for first in range(0, len(curved), UNIT_VECTORS_PER_SOLVE):
        positions = curved[first : first + UNIT_VECTORS_PER_SOLVE]
        unit_vectors = np.zeros((len(positions), len(has_curvature)))
        unit_vectors[np.arange(len(positions)), positions] = 1
        norms.append(norm(solve(unit_vectors)[:, has_curvature]))
    return norm(np.array(norms))


def bound_row_entries(coordinates: Coordinates) -> FloatArray:
    """Return upper bounds (d + 1,) on the magnitudes of the entries of each scaled column and of the intercept."""
    # Peaks measure distances from the mean, which is not exactly zero because the shift is rounded.
    rest = 2 * np.abs(coordinates.mean) + gamma(ROUNDING_ERRORS_PER_ROW) * np.abs(coordinates.shift)
    return np.append(np.sqrt(coordinates.peak_to_mean_ratios * coordinates.mean_squares[:-1]) + rest, 1.0) * (
        1 + gamma(ROUNDING_ERRORS_PER_ROW)
    )
