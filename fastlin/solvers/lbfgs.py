"""L-BFGS whose initial Hessian is a preconditioner. If possible, it starts in float32. It ends in float64.

The algorithm is that of Liu and Nocedal 1989 (Nocedal and Wright 2006, algorithm 7.4). SciPy's L-BFGS-B is not used
for two reasons. Its inner products use BLAS, whose sums of more than 10,000 terms depend on the number of threads, and
its initial Hessian is a multiple of the identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fastlin.solvers import line_search
from fastlin.solvers.solution import CONVERGED, MAX_ITER_REACHED, TOO_SLOW
from fastlin.solvers.stopping import is_slow
from fastlin.solvers.tuning import PROGRESS_EPS
from fastlin.solvers.two_loop_recursion import CoefficientPairs

if TYPE_CHECKING:
    from fastlin.solvers.minimization import Minimization
    from fastlin.solvers.preconditioners import PreconditionerBuilder
    from fastlin.solvers.solution import Solution


def minimize(
    fit: Minimization, preconditioner_builders: Mapping[int, PreconditionerBuilder], switch_threshold: int | None = None
) -> Solution:
    """Minimize the objective, first in `fast_precision` and finally in float64.

    `preconditioner_builders` maps the number of an iteration (0 for the start) to a function that builds the next
    preconditioner at a Point. The stop reason is TOO_SLOW if `is_slow` is true after `switch_threshold` iterations.
    """
    objective, stopping = fit.objective, fit.stopping
    point = fit.start_point(objective.fast_precision)
    bound = smallest_bound = stopping.begin(point)
    preconditioner = None if fit.nearby_fit is None else fit.nearby_fit.preconditioner
    preconditioner = preconditioner or preconditioner_builders[0](point)
    pairs = CoefficientPairs(objective, None if fit.nearby_fit is None else fit.nearby_fit.pairs)
    has_restarted, stop_reason = False, None
    decrements: list[float] = []
    while True:
        direction, decrement = pairs.direction(point.gradient, preconditioner)
        if point.precision != np.float64 and stopping.is_criterion_met(point, bound, decrement):
            if stopping.has_converged():
                stop_reason = CONVERGED
                break
            point = objective.at(point.parameters, out=point.buffer)
            bound = smallest_bound = stopping.update_with_intercept(point)
        stop_reason = stopping.find_stop_reason(point, bound, decrement)
        decrements.append(decrement)
        if not stop_reason and switch_threshold is not None:
            stop_reason = TOO_SLOW if is_slow(decrements, stopping.allowed_gap(point), switch_threshold) else None
        if stop_reason:
            break
        end = line_search.search_along_direction(point, direction)
        has_stalled = True
        if end is not None:
            pairs.add((point.parameters, point.gradient), (end.parameters, end.gradient))
            decrease, size = point.value - end.value, abs(point.value)
            point = end
            bound = stopping.update_with_intercept(point)
            # Rounding hides a small decrease of J, but not its gradient, so a predicted decrease counts as progress. A
            # smaller gap counts only if it is less than half of all earlier gaps, because the gap may rise and fall
            # alternately.
            has_stalled = (
                max(decrease, decrement) <= PROGRESS_EPS[point.precision] * size and not bound < 0.5 * smallest_bound
            )
            smallest_bound = min(smallest_bound, bound)
            stopping.record(point, bound)
            builder = preconditioner_builders.get(len(stopping.history))
            if builder is not None:
                preconditioner = builder(point)
                pairs.scale = 1.0
        if not has_stalled:
            has_restarted = False
        elif point.precision != np.float64:
            point = objective.at(point.parameters, out=point.buffer)
            bound = smallest_bound = stopping.update_bounds(point)
        elif not has_restarted and pairs.n_pairs:
            # The pairs may be dominated by rounding error, so the method restarts once without them.
            pairs, has_restarted = CoefficientPairs(objective), True
        else:
            stop_reason = stopping.find_stall_reason(point, bound, decrement)
            break
    if point.precision != np.float64 and stop_reason != CONVERGED:
        point = objective.at(point.parameters, out=point.buffer)
        bound = stopping.update_bounds(point)
        if stop_reason == MAX_ITER_REACHED and bound < np.inf and stopping.is_criterion_met(point, bound, decrement):
            stop_reason = CONVERGED
    return replace(
        stopping.make_solution(stop_reason),
        preconditioner=preconditioner.divide_by(pairs.scale),
        pairs=pairs if pairs.are_storable else None,
    )
