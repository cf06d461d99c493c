"""The descent over a small X that lies in a core's cache: an iteration is one call of a kernel."""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.linear.descent import (
    ACCEPTED,
    GAP,
    LARGEST,
    LOSS,
    VALUE,
    Descent,
    InCache,
    begin_in_cache,
    iterate_in_cache,
)
from fastlin.kernels.linear.operands import Kept
from fastlin.matrices.dense import ColumnPasses
from fastlin.solvers.stopping import IMPATIENT
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.solvers.solution import Solution
    from fastlin.solvers.stopping import Stopping

MOST_PARAMETERS = 640
MOST_WORK = 1_500_000
PATIENCE = 100
# Iterations of a call, and entries of X times parameters that its passes may read: Ctrl-C waits for its end.
MOST_AT_ONCE, AT_ONCE_WORK = 16, 4_000_000
# Multiply-adds a nanosecond of a pass, a Gram matrix and a factor, and the nanoseconds of a row's exponential, of a
# pass and of an iteration (AMD EPYC, znver4).
PASS_RATE, GRAM_RATE, FACTOR_RATE, ROW_TIME, ITERATION_TIME = 4.0, 6.0, 4.0, 2.0, 1000.0


def suits(objective: Objective) -> bool:
    """Say whether the rows of an objective lie in a core's cache, and its parameters are few."""
    rows, penalty, n_parameters = objective.rows, objective.penalty, objective.shape[0] * objective.shape[1]
    return (
        isinstance(rows.passes, ColumnPasses)
        and n_parameters <= MOST_PARAMETERS
        and objective.n_rows * n_parameters <= MOST_WORK
        and penalty.is_smooth
        and bool((penalty.arrays.roots > 0).all())
        and objective.linearisation is None
    )


def minimize(objective: Objective, start: FloatArray, stopping: Stopping) -> Solution:
    """Minimise an objective that `suits` from parameters (K, d + 1), which are not changed.

    Returns
    -------
    Solution
        Its message is IMPATIENT or STALLED where another solver may do better.

    Raises
    ------
    RangeError
        The objective or its gradient is not finite at the start.
    """
    rows, descent = _lay_out(objective), Descent.at(start)
    begin_in_cache(rows, descent)
    objective.rows.count_pass()
    numbers, tol = descent.numbers, stopping.tol
    value, gap, message = float(numbers[VALUE]), float(numbers[GAP]), ""
    is_followed = stopping.rule != "excess" or stopping.has_listener
    if is_followed or not (isfinite(value) and tol * value < gap < inf):
        point = _make_point(objective, descent)
        bound = stopping.begin(point)
        message = stopping.why(point, bound, inf)
    passes_of_hessian = _count_passes(objective)
    n_at_once = 1 if is_followed else max(1, min(MOST_AT_ONCE, int(AT_ONCE_WORK // (objective.n_rows * start.size))))
    while not message:
        n_left = min(n_at_once, stopping.max_iter - len(stopping.history))
        found = np.empty((n_left, 4))
        outcome, n_made = iterate_in_cache(rows, descent, tol, passes_of_hessian, found)
        for value, gap, largest, n_passes in found[: n_made - 1].tolist():
            objective.rows.count_pass(n_passes)
            stopping.note(value, gap, largest, descent.parameters.copy)
        value, gap, largest, n_passes = found[n_made - 1].tolist()
        objective.rows.count_pass(n_passes)
        is_last = len(stopping.history) + 1 >= min(stopping.max_iter, PATIENCE)
        if outcome == ACCEPTED and gap > tol * value and not (is_followed or is_last):
            stopping.note(value, gap, largest, descent.parameters.copy)
            continue
        point = _make_point(objective, descent)
        bound = stopping.observe(point)
        if outcome != ACCEPTED:
            message = stopping.why_stalled(point, bound, descent.decrements[0])
            break
        stopping.record(point, bound)
        message = stopping.why(point, bound, descent.decrements[0])
        if not message and len(stopping.history) >= PATIENCE:
            message = IMPATIENT
    return stopping.solution(message)


def _lay_out(objective):
    passes = objective.rows.passes
    columns, numbers, samples = passes.in_cache
    columns[objective.coordinates.vanishing] = 0
    columns[-1] = objective.fit_intercept
    kept = Kept.of(np.empty((objective.n_rows_coef, objective.n_rows)))
    return InCache(columns, numbers, samples, kept, objective.rows.total_weight, objective.class_weights, objective.penalty.curvatures)


def _make_point(objective, descent):
    """Return the last Point; its sums are those of the last trial."""
    loss = float(descent.numbers[LOSS]) / objective.rows.total_weight
    return objective.make_point(descent.parameters.copy(), np.float64, loss, descent.total, None)


def _count_passes(objective):
    """Return how many iterations without one a Hessian and its factor take as long as."""
    n, (K, size) = objective.n_rows, objective.shape
    n_parameters = K * size
    of_pass = 2 * n * n_parameters / PASS_RATE + ROW_TIME * n * K + ITERATION_TIME
    gram = n * size**2 / 2 * K * (K + 1) / 2
    return (gram / GRAM_RATE + n_parameters**3 / 6 / FACTOR_RATE) / of_pass
