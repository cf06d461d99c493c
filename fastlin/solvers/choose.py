"""The rule behind solver="auto": which solver minimises an objective of a given shape, with its measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from fastlin.budget import SMALL_HESSIAN
from fastlin.objective import LARGEST_PENALTY
from fastlin.solvers import descent, lbfgs, newton, preconditioners, proximal_newton, row_space_lbfgs
from fastlin.solvers.solution import REACHED
from fastlin.solvers.stopping import IMPATIENT, STALLED, Stopping
from fastlin.solvers.tuning import (
    CHEAP_WORK,
    EXPENSIVE_REFRESHES,
    FAR_OUT,
    FLATTENED,
    INNER_ACCURACY,
    MIN_PASSES_TO_WAIT,
    MIN_SAMPLE,
    MOST_ROWS_PER_COLUMN,
    MOST_WORK_IN_CACHE,
    NEGLIGIBLE,
    PATIENCE,
    REFRESHES,
    ROUGH,
    ROUNDING,
    ROWS_PER_COLUMN,
    SAMPLE_ROWS_PER_DIRECTION,
    SHARED_ROWS_PER_COLUMN,
    TOO_FAR,
)
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.objective.point import Point
    from fastlin.solvers.preconditioners import Build
    from fastlin.solvers.solution import Solution
    from fastlin.solvers.stopping import OnIteration


def minimize(
    objective: Objective,
    starts: Sequence[FloatArray] = (),
    *,
    solver: str,
    tol: float,
    max_iter: int,
    on_iteration: OnIteration | None = None,
    is_compared: bool = False,
    nearby: Solution | None = None,
) -> Solution:
    """Minimise an objective by the solver of a name.

    Parameters
    ----------
    objective : Objective
        What is minimised.
    starts : sequence of ndarray of shape (K, d + 1)
        The solver starts from the best of these, or from the intercept-only model where that is better, since far out
        the loss has no curvature.
    solver : str
        "auto", which also means that tol bounds the relative excess of J; any name of scikit-learn's, with which
        tol bounds the largest entry of the gradient and the estimated distance from the minimum.
    tol, max_iter, on_iteration
        As `Stopping` has them.
    is_compared : bool
        With "auto": whether the model only serves a comparison with others. A J below NEGLIGIBLE of that without
        features then counts as that.
    nearby : Solution or None
        The solution over the same rows with another penalty, whose preconditioner, pairs or model are used.

    Returns
    -------
    Solution
    """
    rule: Literal["excess", "gradient"] = "excess" if solver == "auto" else "gradient"
    smallest_value = NEGLIGIBLE * objective.value_at_start() if is_compared and solver == "auto" else 0.0
    stopping = Stopping(objective, tol, rule, max_iter, on_iteration, smallest_value)
    room = objective.make_room()
    if max_iter == 0:
        # The model before the first step: zeros, or where a warm start begins.
        start = objective.penalty.clip(starts[0] if starts else np.zeros(objective.shape))
        point = objective.at(start, out=room)
        return stopping.solution(stopping.why(point, stopping.begin(point), np.inf))
    method = choose_solver(objective, solver)
    suits_row_space = method == "lbfgs" and row_space_lbfgs.suits(objective)
    row_point = None if nearby is None else nearby.row_point
    if suits_row_space and row_point:
        solution = row_space_lbfgs.minimize(objective, stopping, room=room, nearby=row_point)
        if solution is not None and solution.message not in (STALLED, IMPATIENT):
            return solution
        starts, suits_row_space = starts if solution is None else [solution.parameters], False
    starts = [objective.penalty.clip(start) for start in starts] or _come_near(objective, tol, max_iter)
    best = _find_best(objective, starts, nearby, room)
    is_far = best is None or not best.value <= objective.value_at_start()
    start = objective.start() if best is None or is_far else objective.center(best.parameters)
    if suits_row_space:
        solution = row_space_lbfgs.minimize(objective, stopping, start=None if is_far else start, room=room)
        if solution is not None and solution.message not in (STALLED, IMPATIENT):
            return solution
        start = start if solution is None else objective.center(solution.parameters)
    if not objective.penalty.is_smooth:
        # A point whose probabilities are still there need not be evaluated again.
        is_ready = not is_far and best is not None and (best.has_probabilities or room is None)
        model = None if nearby is None else nearby.model
        begun = best if best is not None and is_ready else start
        return proximal_newton.minimize(objective, begun, stopping, room=room, model=model)
    if solver not in ("newton-cg", "newton-cholesky") and room is not None and descent.suits(objective):
        solution = descent.minimize(objective, start, stopping, room)
        if solution.message not in (STALLED, IMPATIENT):
            return solution
        start = objective.center(solution.parameters)
    if method == "newton-cholesky":
        return newton.minimize_by_cholesky(objective, start, stopping, room=room)
    if method == "newton-cg":
        return _minimize_by_newton(objective, start, stopping, room, is_at_start=is_far)
    build, refreshes = choose_preconditioner(objective)
    n_sampled = max(MIN_SAMPLE, SHARED_ROWS_PER_COLUMN * objective.shape[1])
    # With fewer rows than parameters the sample is fitted too well: with 5 rows for each of 1,000 classes the start was
    # worse than zeros, and took 25 iterations to mend.
    has_more = SHARED_ROWS_PER_COLUMN * objective.n_rows >= MOST_ROWS_PER_COLUMN * n_sampled
    n_copied = 0 if objective.matrix.lies_in_memory else n_sampled * objective.matrix.row_bytes
    is_worth = is_far and has_more and n_sampled >= start.size and objective.budget.holds_sample(n_copied)
    sampled = _minimize_sample(objective, n_sampled, start, tol) if is_worth else None
    preconditions = _schedule(objective, build, refreshes, sampled is not None)
    beginning: FloatArray | Point = start if sampled is None else sampled
    patience = PATIENCE if solver != "lbfgs" and objective.has_hessian else None
    # A point that was evaluated need not be so again.
    if not is_far and best is not None and (best.has_probabilities or room is None) and _is_near(start, best):
        beginning = best
    solution = lbfgs.minimize(
        objective,
        beginning,
        stopping,
        preconditions=preconditions,
        room=room,
        precision=objective.fast_precision,
        patience=patience,
        preconditioner=None if nearby is None else nearby.preconditioner,
        pairs=None if nearby is None else nearby.pairs,
    )
    if solver == "lbfgs" or not objective.has_hessian:
        return solution
    # Without a bound, the gradient by an approximation of the Hessian does not tell how far the minimum is where
    # columns nearly depend on each other: Newton's steps do.
    is_unsure = not objective.penalty.is_bounded and solution.message == REACHED
    if solution.message in (IMPATIENT, STALLED):
        if start.size <= SMALL_HESSIAN and objective.affords_hessian:
            return newton.minimize_by_cholesky(objective, solution.parameters, stopping, room=room)
        solution = _minimize_by_newton(objective, solution.parameters, stopping, room)
    if (is_unsure or solution.message == STALLED) and objective.affords_hessian:
        best = stopping.best
        ended = best if best.has_probabilities else solution.parameters
        solution = newton.minimize_by_cholesky(objective, ended, stopping, room=room)
    return solution


def _come_near(objective, tol, max_iter):
    """Return a start, or none, where rows are so far out at the start that no curvature tells a step its length."""
    if objective.has_plain_start or not FAR_OUT < objective.value_at_start() < TOO_FAR:
        return []
    flat = objective.flatten(FLATTENED)
    if flat is None:
        return []
    near = minimize(flat, solver="auto", tol=max(tol, ROUGH), max_iter=max_iter, is_compared=True)
    return [objective.penalty.clip(near.parameters / FLATTENED)]


def _find_best(objective, starts, nearby, room):
    """Return the Point of the best start, or None where there is none; of two the first is where ``nearby`` ended."""
    starts, best = list(starts), None
    if nearby is not None and objective.penalty.is_smooth and len(starts) == 2:
        ahead = _at_rounded(objective, starts.pop(), room)
        # J there is known without a pass.
        ended = nearby.loss + 0.5 * float(np.sum(objective.penalty.curvatures * nearby.parameters**2))
        if ahead.value <= ended:
            return ahead
    for start in starts:
        point = _at_rounded(objective, start, room)
        best = point if best is None or point.value <= best.value else best
    return best


def _at_rounded(objective, parameters, room):
    """Return the Point to begin with at parameters; in float32 one that float32 can hold, as in the line search."""
    precision = objective.fast_precision
    return objective.at(parameters.astype(precision).astype(np.float64), precision, out=room)


def _is_near(start, point):
    """Say whether parameters are those of a point, as far as its precision can tell."""
    distance = np.abs(start - point.parameters).max()
    return bool(distance <= ROUNDING[point.precision] * np.abs(start).max())


def _minimize_by_newton(objective, start, stopping, room, is_at_start=False):
    build, _ = choose_preconditioner(objective, is_kept=False)
    builds = [build]
    # Where all rows matter alike, one block is worth as much: 5,000 x 300 with 30 classes takes 0.7 s, with blocks for
    # each class from the start 1.35.
    if is_at_start and build is preconditioners.class_blocks and objective.n_rows_coef > 1:
        builds = [preconditioners.shared_block, build]
    # To draw the rows takes a pass, and where few are drawn for many blocks their sums run at half the speed of a pass.
    preconditions = [(build, 1 + 2 * preconditioners.count_passes(objective, build)) for build in builds]
    if build is preconditioners.sampled_hessian:
        # A small Hessian is built for each step: two steps are then the same as one and one from there.
        preconditions = [(build, 0)]
    return newton.minimize_by_conjugate_gradients(objective, start, stopping, preconditions=preconditions, room=room)


def choose_solver(objective: Objective, solver: str) -> str:
    """Return "lbfgs", "newton-cg" or "newton-cholesky" for any name of a solver, and a smooth penalty."""
    n_parameters = objective.shape[0] * objective.shape[1]
    if not objective.has_hessian:
        return "lbfgs"
    if solver == "newton-cholesky":
        return "newton-cholesky" if objective.affords_hessian else "lbfgs"
    if solver in ("lbfgs", "newton-cg"):
        return solver
    work = objective.matrix.count_gram_work() * objective.n_rows_coef**2 + n_parameters**3
    is_tiny = n_parameters <= SMALL_HESSIAN and work <= MOST_WORK_IN_CACHE
    return "newton-cholesky" if is_tiny and objective.affords_hessian else "lbfgs"


def choose_preconditioner(objective: Objective, is_kept: bool = True) -> tuple[Build, tuple[int, ...]]:
    """Return what builds the best preconditioner that the budget allows, and the iterations that rebuild it.

    is_kept says that it serves many iterations: then blocks for each class may take more memory and time, where to
    solve with them takes no longer than a pass, and to factorise them no longer than blocks may cost. Sparse 20,000 x
    3,000 with 20 entries a row and 50 classes took seven times as long with them, and 10,000,000 x 8,002 with ten
    entries a row and two classes ten times.
    """
    n, (K, size) = objective.n_rows, objective.shape
    is_solved_fast = size**2 <= 2 * objective.matrix.n_entries
    is_quick = is_kept and is_solved_fast and preconditioners.affords_factors(objective)
    if 1 < K and K * size <= SMALL_HESSIAN:
        build, n_blocks, block = preconditioners.sampled_hessian, 1, K * size
    elif _has_room(objective, K, is_quick):
        build, n_blocks, block = preconditioners.class_blocks, K, size
    elif _has_room(objective, 1):
        build, n_blocks, block = preconditioners.shared_block, 1, size
    else:
        return preconditioners.diagonal, ()
    work = n_blocks * min(n, ROWS_PER_COLUMN * block) * block**2 // 2
    of_pass = 2 * n * K * size
    return build, REFRESHES if work <= max(CHEAP_WORK, of_pass // 4) else EXPENSIVE_REFRESHES


def _schedule(objective, build, refreshes, is_sampled):
    """Return what L-BFGS takes as preconditions; is_sampled says that it starts from the solution of a sample."""
    if is_sampled:
        refreshes = [2 * n_iter for n_iter in EXPENSIVE_REFRESHES]
        if preconditioners.affords_factors(objective):
            return dict.fromkeys((0, *refreshes), build)
        n_passes = preconditioners.count_passes(objective, build)
        return {0: preconditioners.diagonal, max(n_passes, refreshes[0]): build}
    is_late = build is preconditioners.class_blocks and refreshes == EXPENSIVE_REFRESHES and objective.n_rows_coef > 1
    first = preconditioners.shared_block if is_late else build
    if is_late and preconditioners.affords_class_blocks(objective):
        n_passes = preconditioners.count_passes(objective, build)
        refreshes = (min(max(n_passes, REFRESHES[0]), refreshes[0]), *refreshes[1:])
    n_passes = preconditioners.count_passes(objective, first)
    if n_passes < MIN_PASSES_TO_WAIT:
        return {0: first, **dict.fromkeys(refreshes, build)}
    return {
        0: preconditioners.diagonal,
        n_passes: build,
        **{n_iter: build for n_iter in refreshes if n_iter > n_passes},
    }


def _has_room(objective, n_blocks, is_quick=False):
    n_bytes = preconditioners.count_bytes(objective, n_blocks)
    return objective.budget.holds_preconditioner(n_bytes) or (is_quick and objective.budget.holds_blocks(n_bytes))


def _minimize_sample(objective, n_sampled, start, tol):
    """Return a start for the whole data, found by iterations on some of the rows, or None where they tell too little.

    They do where they lack a class, or are few for the directions that the columns have. The penalty of a row stays the
    same, as if the sample were all data with the same C: with a weaker one the sample is fitted too well.
    """
    sample = objective.sample(n_sampled)
    if not (sample.class_weights > 0).all():
        return None
    part = sample.rows.total_weight / objective.rows.total_weight
    sample = sample.with_penalty(min(objective.penalty.l2 / part, LARGEST_PENALTY), 0.0)
    room = sample.make_room()
    is_worth = _has_room(sample, 1) and preconditioners.affords_factors(sample)
    build = preconditioners.shared_block if is_worth else preconditioners.diagonal
    preconditioner = build(sample.at(start, sample.fast_precision, out=room))
    if sample.n_rows < SAMPLE_ROWS_PER_DIRECTION * len(start) * preconditioner.n_directions:
        return None
    # Its matrix serves no longer than the one that is built at the solution.
    stopping = Stopping(sample, tol / INNER_ACCURACY, "excess", 2 * EXPENSIVE_REFRESHES[0])
    solution = lbfgs.minimize(
        sample,
        start,
        stopping,
        preconditions={0: lambda point: preconditioner},
        room=room,
        precision=sample.fast_precision,
    )
    return solution.parameters
