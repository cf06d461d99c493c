"""Which solver minimizes an objective: a table from its traits to methods, each of which goes on where one gives up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from fastlin.budget import SMALL_HESSIAN
from fastlin.objective.penalty import LARGEST_PENALTY
from fastlin.solvers import descent, lbfgs, newton, preconditioners, proximal_newton, row_space_lbfgs
from fastlin.solvers.solution import LIMITED, REACHED
from fastlin.solvers.stopping import Stopping
from fastlin.solvers.tuning import (
    EXPENSIVE_REFRESHES,
    FEW_ROWS,
    INNER_ACCURACY,
    MAX_WORK_IN_CACHE,
    ROWS_PER_COLUMN,
    SWITCH_AFTER,
)
from fastlin.typing import FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.objective.point import Point, ProbabilityBuffer
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
    """Minimize an objective by the solver of a name: "auto", or a name of scikit-learn's.

    The solver starts from the best of the starts (K, d + 1) and the model of the intercepts. See `Stopping` for the
    other names' tol, for max_iter and on_iteration. ``nearby`` is the solution over the same rows with another penalty.
    If "auto" is_compared, a J below a hundredth of J without features counts as that hundredth.
    """
    rule: Literal["suboptimality", "gradient"] = "suboptimality" if solver == "auto" else "gradient"
    smallest_value = INNER_ACCURACY**2 * objective.null_model.lower_bound if is_compared and solver == "auto" else 0.0
    stopping = Stopping(objective, tol, rule, max_iter, on_iteration, smallest_value)
    fit = Fit(objective, stopping, objective.make_buffer(), solver, nearby, starts)
    if max_iter == 0:
        # The model before the first step: zeros, or where a warm start begins.
        start = objective.penalty.clip(starts[0] if starts else np.zeros(objective.shape))
        point = objective.at(start, out=fit.buffer)
        return stopping.solution(stopping.why(point, stopping.begin(point), np.inf) or LIMITED)
    is_unsure = False
    for method in list_methods(objective, solver):
        found = None if is_unsure and method is not newton.minimize_by_cholesky else method(fit)
        if found is None:
            continue
        solution = found
        # Without a bound, the gradient by an approximation of the Hessian does not tell how far the minimum is where
        # columns nearly depend on each other: Newton's steps do.
        is_unsure = method is by_lbfgs and not objective.penalty.is_bounded and solution.stop_reason == REACHED
        if solution.stop_reason.is_final and not is_unsure:
            break
        best = stopping.best
        fit.beginning = Beginning(objective.center(best.parameters), best if best.has_probabilities else None)
    return solution


class Beginning(NamedTuple):
    """Where a method begins."""

    parameters: FloatArray
    point: Point | None = None  # the point there, which need not be evaluated again
    is_plain: bool = False  # whether nothing better than the model of the intercepts is known


@dataclass
class Fit:
    """What all methods of a fit share: the arguments of `minimize`."""

    objective: Objective
    stopping: Stopping
    buffer: ProbabilityBuffer | None
    solver: str
    nearby: Solution | None
    starts: Sequence[FloatArray]

    @cached_property
    def beginning(self) -> Beginning:
        """At the best start, or at the model of the intercepts where that is better; later where a method ended."""
        objective, nearby = self.objective, self.nearby
        starts = [objective.center(objective.penalty.clip(start)) for start in self.starts]
        best = None
        if nearby is not None and objective.penalty.is_smooth and len(starts) == 2:
            # The first is where nearby ended: J there is known without a pass.
            ended = nearby.loss + 0.5 * float(np.sum(objective.penalty.curvatures * nearby.parameters**2))
            best = objective.at(starts.pop(), objective.fast_precision, out=self.buffer)
            starts = [] if best.value <= ended else starts
        for start in starts:
            point = objective.at(start, objective.fast_precision, out=self.buffer)
            # J at a start without a limit is no number.
            if best is None or point.value <= best.value or np.isnan(best.value):
                best = point
        if best is None or not best.value <= objective.value_at_start():
            return Beginning(objective.start(), is_plain=True)
        return Beginning(best.parameters, best if best.has_probabilities or self.buffer is None else None)

    def begin_in(self, precision: FloatType) -> Point:
        """Return the point of a precision where a method begins."""
        parameters, point, _ = self.beginning
        if point is not None and point.precision == precision:
            return point
        return self.objective.at(parameters, precision, out=self.buffer)


# A method returns a Solution, or None where it does not even begin.
Method: TypeAlias = Callable[[Fit], "Solution | None"]


def list_methods(objective: Objective, solver: str) -> list[Method]:
    """Return the methods that minimize an objective, in their order: each takes over where the one before gives up."""
    if not objective.penalty.is_smooth:
        return [proximal_newton.minimize]
    name, is_affordable = choose_solver(objective, solver), objective.affords_hessian
    may_hand_over = name == "lbfgs" != solver and objective.has_hessian
    is_small = is_affordable and objective.shape[0] * objective.shape[1] <= SMALL_HESSIAN
    is_newton = solver in ("newton-cg", "newton-cholesky")
    traits: list[tuple[Method, bool]] = [
        (row_space_lbfgs.minimize, name == "lbfgs" and row_space_lbfgs.suits(objective)),
        (descent.minimize, not is_newton and descent.suits(objective)),
        (by_lbfgs, name == "lbfgs"),
        (newton.minimize_by_conjugate_gradients, name == "newton-cg" or (may_hand_over and not is_small)),
        (newton.minimize_by_cholesky, name == "newton-cholesky" or (may_hand_over and is_affordable)),
        # Where offsets leave no row with curvature, models that mix some in lead out.
        (proximal_newton.minimize, objective.rows.offset_range is not None),
    ]
    return [method for method, suits in traits if suits]


def choose_solver(objective: Objective, solver: str) -> str:
    """Return "lbfgs", "newton-cg" or "newton-cholesky" for any name of a solver, and a smooth penalty."""
    if not objective.has_hessian:
        return "lbfgs"
    if solver in ("lbfgs", "newton-cg"):
        return solver
    n_parameters = objective.shape[0] * objective.shape[1]
    work = objective.matrix.count_gram_work() * objective.n_rows_coef**2 + n_parameters**3
    max_work = 2 * MAX_WORK_IN_CACHE
    if not objective.matrix.lies_in_memory:
        # Blocks of rows and workers pay more for a pass: Newton's steps take fewer, a start from a sample fewer still.
        max_work = 5 * max_work if objective.n_rows < FEW_ROWS else 0
    is_tiny = n_parameters <= SMALL_HESSIAN and work <= max_work
    is_wanted = solver == "newton-cholesky" or is_tiny
    return "newton-cholesky" if is_wanted and objective.affords_hessian else "lbfgs"


def by_lbfgs(fit: Fit) -> Solution:
    """Minimize by L-BFGS in the coefficients, with preconditioners."""
    objective = fit.objective
    sampled = _minimize_sample(objective, fit.stopping.tol) if fit.beginning.is_plain else None
    if sampled is not None:
        fit.beginning = Beginning(sampled)
    patience = SWITCH_AFTER if fit.solver != "lbfgs" and objective.has_hessian else None
    return lbfgs.minimize(fit, preconditioners.schedule(objective, is_sampled=sampled is not None), patience)


def _minimize_sample(objective, tol):
    """Return a start for many rows from iterations on some, with the same penalty, or None if these tell too little."""
    n_sampled = max(FEW_ROWS // 10, 4 * ROWS_PER_COLUMN * objective.shape[1])
    n_copied = 0 if objective.matrix.lies_in_memory else n_sampled * objective.matrix.row_bytes
    if objective.n_rows < max(FEW_ROWS, 4 * n_sampled) or not objective.budget.holds_sample(n_copied):
        return None
    sample = objective.sample(n_sampled)
    if not sample.rows.min_fraction > 0:
        return None
    part = sample.rows.total_weight / objective.rows.total_weight
    sample = sample.with_penalty(min(objective.penalty.l2 / part, LARGEST_PENALTY), 0.0)
    # Its matrix serves no longer than the one that is built at the solution.
    stopping = Stopping(sample, tol / INNER_ACCURACY, "suboptimality", 2 * EXPENSIVE_REFRESHES[0])
    fit = Fit(sample, stopping, sample.make_buffer(), "auto", None, ())
    fit.beginning = Beginning(objective.start())
    preconditioner = preconditioners.choose_shared(sample)(fit.begin_in(sample.fast_precision))
    if sample.n_rows < ROWS_PER_COLUMN * len(fit.beginning.parameters) * preconditioner.n_directions:
        return None
    return lbfgs.minimize(fit, {0: lambda point: preconditioner}).parameters
