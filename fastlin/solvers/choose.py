"""The rule behind solver="auto": which solver minimises an objective of a given shape, with its measurements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from fastlin.budget import SMALL_HESSIAN
from fastlin.objective import LARGEST_PENALTY
from fastlin.solvers import descent, lbfgs, newton, preconditioners, proximal_newton, row_space_lbfgs
from fastlin.solvers.solution import REACHED
from fastlin.solvers.stopping import Stopping
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
    from fastlin.objective.point import Point, Room
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
    task, methods = Task(objective, stopping, room, solver, nearby), list_methods(objective, solver, room)
    if methods[0] is by_rows and nearby is not None and nearby.row_point:
        found = row_space_lbfgs.minimize(objective, stopping, room=room, nearby=nearby.row_point)
        if found is not None and found.is_ended:
            return found
        starts, methods = starts if found is None else [found.parameters], methods[1:]
    starts = [objective.penalty.clip(start) for start in starts] or _come_near(objective, tol, max_iter)
    beginning, is_unsure = _choose_beginning(objective, starts, nearby, room), False
    for method in methods:
        if is_unsure and method is not by_cholesky:
            continue
        found = method(task, beginning)
        if found is None:
            continue
        solution = found
        # Without a bound, the gradient by an approximation of the Hessian does not tell how far the minimum is where
        # columns nearly depend on each other: Newton's steps do.
        is_unsure = method is by_lbfgs and not objective.penalty.is_bounded and solution.message == REACHED
        if solution.is_ended and not is_unsure:
            break
        best = stopping.best
        beginning = Beginning(objective.center(solution.parameters), best if best.has_probabilities else None)
    return solution


class Task(NamedTuple):
    """What all methods of a fit share: what is minimised, when to stop, and what is known from a fit nearby."""

    objective: Objective
    stopping: Stopping
    room: Room | None
    solver: str
    nearby: Solution | None


class Beginning(NamedTuple):
    """Where a method begins.

    Attributes
    ----------
    parameters : ndarray of shape (K, d + 1)
        The parameters.
    point : Point or None
        A point there, or so near that its precision does not tell, which need not be evaluated again.
    is_plain : bool
        Whether nothing better than the model of the intercepts is known.
    """

    parameters: FloatArray
    point: Point | None = None
    is_plain: bool = False


# A method takes a Task and a Beginning, and returns a Solution, or None where it does not even begin.
Method: TypeAlias = Callable[[Task, Beginning], "Solution | None"]


def list_methods(objective: Objective, solver: str, room: Room | None) -> list[Method]:
    """Return the methods that minimise an objective, in their order: each takes over where the one before gives up."""
    if not objective.penalty.is_smooth:
        return [by_proximal_newton]
    name, affords_hessian = choose_solver(objective, solver), objective.affords_hessian
    methods: list[Method] = [by_rows] if name == "lbfgs" and row_space_lbfgs.suits(objective) else []
    if solver not in ("newton-cg", "newton-cholesky") and room is not None and descent.suits(objective):
        methods.append(by_descent)
    if name == "newton-cholesky":
        return [*methods, by_cholesky]
    if name == "newton-cg":
        return [*methods, by_conjugate_gradients]
    methods.append(by_lbfgs)
    if solver == "lbfgs" or not objective.has_hessian:
        return methods
    if not (affords_hessian and objective.shape[0] * objective.shape[1] <= SMALL_HESSIAN):
        methods.append(by_conjugate_gradients)
    return [*methods, by_cholesky] if affords_hessian else methods


def by_rows(task: Task, beginning: Beginning) -> Solution | None:
    """Minimise by L-BFGS in the space of the rows."""
    start = None if beginning.is_plain else beginning.parameters
    return row_space_lbfgs.minimize(task.objective, task.stopping, start=start, room=task.room)


def by_proximal_newton(task: Task, beginning: Beginning) -> Solution:
    """Minimise by models with the penalty as it is."""
    model = None if task.nearby is None else task.nearby.model
    begun = beginning.parameters if beginning.point is None else beginning.point
    return proximal_newton.minimize(task.objective, begun, task.stopping, room=task.room, model=model)


def by_descent(task: Task, beginning: Beginning) -> Solution:
    """Minimise by compiled quasi-Newton steps, for which there is room."""
    assert task.room is not None
    return descent.minimize(task.objective, beginning.parameters, task.stopping, task.room)


def by_cholesky(task: Task, beginning: Beginning) -> Solution:
    """Minimise by Newton's steps with the whole Hessian."""
    point = beginning.point
    begun = point if point is not None and point.precision == np.float64 else beginning.parameters
    return newton.minimize_by_cholesky(task.objective, begun, task.stopping, room=task.room)


def by_lbfgs(task: Task, beginning: Beginning) -> Solution:
    """Minimise by L-BFGS in the coefficients, with preconditioners."""
    objective, nearby, start = task.objective, task.nearby, beginning.parameters
    build, refreshes = choose_preconditioner(objective)
    n_sampled = max(MIN_SAMPLE, SHARED_ROWS_PER_COLUMN * objective.shape[1])
    # With fewer rows than parameters the sample is fitted too well: with 5 rows for each of 1,000 classes the start was
    # worse than zeros, and took 25 iterations to mend.
    has_more = SHARED_ROWS_PER_COLUMN * objective.n_rows >= MOST_ROWS_PER_COLUMN * n_sampled
    n_copied = 0 if objective.matrix.lies_in_memory else n_sampled * objective.matrix.row_bytes
    is_worth = beginning.is_plain and has_more and n_sampled >= start.size and objective.budget.holds_sample(n_copied)
    sampled = _minimize_sample(objective, n_sampled, start, task.stopping.tol) if is_worth else None
    begun: FloatArray | Point = start if sampled is None else sampled
    point = beginning.point
    if point is not None and point.precision == objective.fast_precision and _is_near(start, point):
        begun = point
    return lbfgs.minimize(
        objective,
        begun,
        task.stopping,
        preconditions=_schedule(objective, build, refreshes, sampled is not None),
        room=task.room,
        precision=objective.fast_precision,
        patience=PATIENCE if task.solver != "lbfgs" and objective.has_hessian else None,
        preconditioner=None if nearby is None else nearby.preconditioner,
        pairs=None if nearby is None else nearby.pairs,
    )


def by_conjugate_gradients(task: Task, beginning: Beginning) -> Solution:
    """Minimise by truncated Newton steps."""
    objective, start = task.objective, beginning.parameters
    build, _ = choose_preconditioner(objective, is_kept=False)
    builds = [build]
    # Where all rows matter alike, one block is worth as much: 5,000 x 300 with 30 classes takes 0.7 s, with blocks for
    # each class from the start 1.35.
    if beginning.is_plain and build is preconditioners.class_blocks and objective.n_rows_coef > 1:
        builds = [preconditioners.shared_block, build]
    # To draw the rows takes a pass, and where few are drawn for many blocks their sums run at half the speed of a pass.
    preconditions = [(build, 1 + 2 * preconditioners.count_passes(objective, build)) for build in builds]
    if build is preconditioners.sampled_hessian:
        # A small Hessian is built for each step: two steps are then the same as one and one from there.
        preconditions = [(build, 0)]
    return newton.minimize_by_conjugate_gradients(
        objective, start, task.stopping, preconditions=preconditions, room=task.room
    )


def _choose_beginning(objective, starts, nearby, room):
    """Return the Beginning at the best start, or where the intercepts' model is better, at that."""
    best = _find_best(objective, starts, nearby, room)
    if best is None or not best.value <= objective.value_at_start():
        return Beginning(objective.start(), None, True)
    is_ready = best.has_probabilities or room is None
    return Beginning(objective.center(best.parameters), best if is_ready else None)


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
