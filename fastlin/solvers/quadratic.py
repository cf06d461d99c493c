"""Quadratic models of a penalised objective around a point, and where they are least by coordinate descent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.linear.coordinate_descent import (
    DescentState,
    ModelArrays,
    WorkingColumns,
    descend_by_columns,
    descend_by_hessian,
    fill_block_curvatures,
)
from fastlin.kernels.linear.operands import Curvature
from fastlin.kernels.machine.threads import count_blocks, run_blocks
from fastlin.objective.rounding import UNIT_ROUNDOFF
from fastlin.solvers import active_set
from fastlin.solvers.tuning import INNER_ACCURACY, MIN_ACCURACY, ROUNDS
from fastlin.typing import BoolArray, FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.objective.point import Point


def descend(
    visit: Callable[[bool], float],
    accuracy: float,
    leap: Callable[[], float] | None = None,
) -> float:
    """Visit all coordinates and the active ones in turn; return the decrease of the model.

    It ends when a sweep over all gains less than the part `accuracy` of all gains. visit(only_active) makes one sweep,
    and leap() another kind of step among the active ones; both return the decrease.
    """
    total = 0.0
    for _ in range(ROUNDS):
        gained = visit(False)
        total += gained
        if gained <= accuracy * total:
            break
        for _ in range(ROUNDS):
            gained = visit(True)
            total += gained
            if gained <= INNER_ACCURACY * accuracy * total:
                break
        else:
            total += leap() if leap is not None else 0.0
    return total


class HessianModel:
    """The model of all coordinates around a point, by the whole Hessian of ``curved`` or of a ``borrowed`` model.

    The part ``mixed`` of the curvature of equal probabilities is added along the columns. `is_borrowed` says that the
    Hessian belongs to another point, `is_sampled` that it is a sum over some rows only.
    """

    def __init__(self, point: Point, curved: Point, borrowed: HessianModel | None = None, mixed: float = 0.0) -> None:
        self._point = point
        objective, K = point.objective, len(point.parameters)
        self._of_loss: FloatArray = curved.hessian_of_loss() if borrowed is None else borrowed._of_loss
        self._home: FloatArray = point.parameters if borrowed is None else borrowed._home
        self._hessian = self._of_loss + np.diag(np.tile(objective.penalty.curvatures, K))
        if mixed:
            equal = np.eye(K) / K - 1 / K**2 if K > 1 else np.full((1, 1), 0.25)
            squares = objective.coordinates.mean_squares.copy()
            squares[-1] = objective.fit_intercept
            by_class = self._hessian.reshape(*point.parameters.shape, *point.parameters.shape)
            np.einsum("kjlj->klj", by_class)[...] += mixed * equal[:, :, None] * squares
        self.is_borrowed = borrowed is not None and not self.is_of(point)
        self.is_sampled: bool = borrowed.is_sampled if borrowed is not None else curved is not point

    def is_of(self, point: Point) -> bool:
        """Say whether the Hessian was computed at this point."""
        return bool((self._home == point.parameters).all())

    def minimize(self, accuracy: float) -> FloatArray:
        """Return the point (K, d + 1) where the model is least, up to a part of its decrease."""
        point, penalty = self._point, self._point.objective.penalty
        parameters, slopes = point.parameters.ravel().copy(), point.gradient.ravel().copy()
        n_classes = len(point.parameters)

        def visit(only_active):
            return descend_by_hessian(self._hessian, slopes, penalty.arrays, n_classes, only_active, parameters)

        unseen = UNIT_ROUNDOFF * abs(point.value)

        def leap():
            return active_set.minimize_active(self._hessian, penalty, parameters, slopes, penalty.box, unseen)

        descend(visit, MIN_ACCURACY**2 * accuracy, leap)
        return parameters.reshape(point.parameters.shape)


class ColumnModel:
    """The model of a working set (K, d) of coordinates around a point, by the columns of X.

    Of the probabilities of ``curved`` the part ``mixed`` is equal for all classes. With a grouped penalty all classes
    have the same coordinates. Columns and scores are computed in ``precision``.
    """

    # Its columns stand for one point only.
    is_borrowed = False

    def __init__(
        self, point: Point, curved: Point, working_set: BoolArray, precision: FloatType, mixed: float = 0.0
    ) -> None:
        self._point, self.is_sampled = point, curved is not point
        # By features, so that a column stays in the cache for all its classes. NumPy's arrays have gaps unless there is
        # a single coordinate, for which Numba would compile anew.
        features, classes = map(np.ascontiguousarray, np.nonzero(working_set.T))
        used = np.flatnonzero(working_set.any(axis=0))
        transposed, row_weights, probabilities = _read_columns(curved, precision, used, is_sample=curved is not point)
        coordinates = point.objective.coordinates
        scale = coordinates.scale / transposed.scale
        # Entries are not centred: what that leaves to the intercept comes back with its step.
        self._left_out = np.where(transposed.places < 0, coordinates.shift, 0)
        shift = coordinates.shift - scale * transposed.shift - self._left_out
        self._columns = WorkingColumns(
            transposed.panel,
            transposed.places,
            transposed.starts,
            transposed.indices,
            transposed.values,
            scale.astype(precision),
            shift.astype(precision),
            features,
            classes,
        )
        if mixed:
            equal = probabilities.dtype.type(mixed / max(2, len(probabilities)))
            probabilities = probabilities * probabilities.dtype.type(1 - mixed) + equal
        self._curvature = Curvature(row_weights, probabilities)
        self._curvatures = np.empty(len(features))
        work = max(len(transposed.panel) * len(row_weights), len(transposed.indices)) // max(1, len(scale))
        n_blocks = count_blocks(len(features), row_work=work)
        run_blocks(fill_block_curvatures, n_blocks, self._columns, self._curvature, self._curvatures)

    def minimize(self, accuracy: float) -> FloatArray:
        """Return the point (K, d + 1) where the model is least over the working set, up to a part of its decrease."""
        point, (row_weights, probabilities) = self._point, self._curvature
        features, classes = self._columns.features, self._columns.classes
        intercept_gradient = point.gradient[:, -1].copy()
        gradient = point.gradient[classes, features]
        gradient -= intercept_gradient[classes] * self._left_out[features]
        origins = point.parameters[classes, features]
        # einsum, not BLAS, whose bits depend on its threads.
        intercept_curvatures = (
            np.einsum("i,ki,ki->k", row_weights, probabilities, 1 - probabilities, dtype=np.float64)
            if point.objective.fit_intercept
            else np.zeros(len(probabilities))
        )
        model = ModelArrays(gradient, self._curvatures, origins, intercept_gradient, intercept_curvatures)
        state = DescentState(
            origins.copy(), np.zeros(len(probabilities)), np.zeros_like(probabilities), np.zeros_like(row_weights)
        )

        def visit(only_active):
            return descend_by_columns(
                self._columns, self._curvature, point.objective.penalty.arrays, model, only_active, state
            )

        descend(visit, accuracy)
        end = point.parameters.copy()
        end[classes, features] = state.parameters
        end[:, -1] += state.intercept_steps
        np.subtract.at(end[:, -1], classes, (state.parameters - origins) * self._left_out[features])
        return end


def _read_columns(point, precision, features, is_sample):
    """Return X column by column, and the weights (m,) and probabilities (K, m) of its rows.

    These are all rows of X, with zero weights for rows that the sums leave out, or a copy of a small sample.
    """
    rows = point.objective.rows
    weights = np.broadcast_to(rows.weights_of(rows.numbers), rows.n_rows) / rows.total_weight
    n = rows.matrix.shape[0]
    is_copied = is_sample and rows.matrix.copies(rows.numbers)
    if is_copied or not len(rows.numbers):
        matrix = rows.matrix.take(rows.numbers) if is_copied else rows.matrix
        probabilities = np.ascontiguousarray(point.probabilities, precision)
        return matrix.transposed(precision, features), weights.astype(precision), probabilities
    all_weights, probabilities = np.zeros(n, precision), np.zeros((rows.n_rows_coef, n), precision)
    # A row counts as often as it is named.
    np.add.at(all_weights, rows.numbers, weights)
    probabilities[:, rows.numbers] = point.probabilities
    return rows.matrix.transposed(precision, features), all_weights, probabilities
