"""L-BFGS in the span of the rows of X, for X with at least three times as many columns as rows.

A step takes one product with the inner products of the rows. The line search takes none, because scores are linear in
the step. The penalty defines the inner product of vectors. Half the squared norm of the gradient, with respect to this
inner product, is the certificate.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.machine.gather import count_table_columns
from fastlin.kernels.machine.vectors import dot
from fastlin.objective.row_space import RowLine, RowSpace, multiply, multiply_without_intercepts
from fastlin.solvers import line_search
from fastlin.solvers.solution import MAX_ITER_REACHED, STALLED, TOO_SLOW
from fastlin.solvers.stopping import is_slow
from fastlin.solvers.tuning import INNER_TOL, MIN_COLUMNS_PER_ROW, MIN_DECREASE_RATIO, SWITCH_THRESHOLD
from fastlin.solvers.two_loop_recursion import TwoLoopRecursion
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.objective.row_space import RowPoint
    from fastlin.solvers.minimization import Minimization
    from fastlin.solvers.solution import Solution


def minimize(fit: Minimization) -> Solution | None:
    """Minimize an objective for which `is_suitable` is true. The start is the null model, a start or a nearby solution.

    The result is None if J is not finite in the row space, or if the row space does not contain the start.
    """
    objective, stopping = fit.objective, fit.stopping
    nearby_fit = None if fit.nearby_fit is None else fit.nearby_fit.row_space_point
    space = RowSpace(objective)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        vector: FloatArray | None = space.start(nearby_fit)
        if nearby_fit is None and not fit.start.is_null_model:
            vector = space.represent_parameters(fit.start.parameters, INNER_TOL * stopping.tol)
        if vector is None:
            return None
        point = space.at(vector)
        pairs, bounds = RowPairs(space), [point.bound]
        # A point is evaluated in the space of the coefficients only if its bound is at most this limit.
        limit = np.inf
        while isfinite(point.value) and isfinite(point.bound):
            stop_reason = MAX_ITER_REACHED if stopping.must_stop() else None
            if len(bounds) > SWITCH_THRESHOLD and is_slow(bounds, stopping.allowed_gap(point), SWITCH_THRESHOLD):
                stop_reason = TOO_SLOW
            is_near = point.bound <= min((1 - INNER_TOL) * stopping.allowed_gap(point), limit)
            line = None if stop_reason or is_near else _search_line(space, point, pairs.direction(point))
            if line is None:
                limit = MIN_DECREASE_RATIO * point.bound
                candidate = objective.at(space.to_parameters(point.vector), out=fit.buffer)
                if not candidate.is_finite:
                    return None
                bound = stopping.update_with_intercept(candidate)
                stop_reason = stopping.find_stop_reason(candidate, bound, point.bound) or stop_reason
                line = _search_line(space, point, pairs.direction(point)) if is_near and not stop_reason else None
                if line is None:
                    return replace(stopping.make_solution(stop_reason or STALLED), row_space_point=point)
            end = line.end()
            pairs.add((point.vector, point.gradient), (end.vector, end.gradient))
            point = end
            bounds.append(point.bound)
            stopping.record_values(
                point.value, point.bound, point.max_gradient_entry, partial(space.to_parameters, point.vector)
            )
    return None


def _search_line(space, point, direction):
    """Return the RowLine along a direction, evaluated at the accepted step, or None if no step is accepted."""
    line, slope = RowLine(space, point.vector, direction), multiply(direction, point.gradient)
    if not slope < 0:
        return None
    step = line_search.search_step(line, point.value, slope, curvature=INNER_TOL)
    return None if step is None else line


def is_suitable(objective: Objective) -> bool:
    """Return whether L-BFGS in the row space is faster, with similar memory use."""
    penalty, matrix = objective.penalty, objective.matrix
    n, d = matrix.shape
    if not (MIN_COLUMNS_PER_ROW * n <= d and 2 * objective.n_rows >= n and matrix.lies_in_memory):
        return False
    is_strongly_convex = penalty.is_smooth and penalty.is_bounded and objective.rows.min_class_weight > 0
    # Two pairs are enough to be faster (docs/benchmarks/design-choices.md: row space with two pairs).
    return (
        is_strongly_convex
        and objective.budget.count_row_space_lbfgs_pairs((n + 1) * count_table_columns(objective.n_rows_coef)) > 1
    )


class RowPairs(TwoLoopRecursion):
    """The latest steps and gradient changes in the row space."""

    def __init__(self, space: RowSpace) -> None:
        n_vector_forms, *shape = space.shape
        self._space, self._shape, length = space, tuple(shape), shape[0] * shape[1]
        super().__init__(
            space.objective.budget.count_row_space_lbfgs_pairs(length), length, n_vector_forms=n_vector_forms
        )

    def direction(self, point: RowPoint) -> FloatArray:
        """Return the quasi-Newton step from a RowPoint, as a vector of the row space.

        The initial inverse Hessian has one scale for all multipliers, and one for the intercept of each class.
        """
        gradient, curvatures = point.gradient, self._space.curvatures
        scores, square = gradient[1, :-1].ravel(), multiply_without_intercepts(gradient, gradient)
        score_square_ratio = dot(scores, scores) / square if square > 0 else 0.0
        objective = self._space.objective
        scale = np.empty(self._shape)
        scale[:-1] = 1 / (1 + curvatures[: objective.n_rows_coef].mean() * score_square_ratio / objective.n_rows)
        scale[-1] = 1 / curvatures
        forms = [table.ravel().copy() for table in gradient]
        solved = self.multiply_inverse_hessian(forms, lambda table: (table.reshape(self._shape) * scale).ravel())
        direction = np.empty_like(gradient)
        for table, form in zip(direction, solved, strict=True):
            np.negative(form.reshape(self._shape), out=table)
        return direction
