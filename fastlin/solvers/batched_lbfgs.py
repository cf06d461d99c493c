"""L-BFGS for batches of problems with the same rows. One pass over X evaluates all problems of a batch.

Each problem occupies a slot of a batch, with its own pairs, steps and certificate. When a problem stops, the next one
takes over the slot. All problems use the same preconditioner, scaled by the curvature of each problem, because the
Hessians are nearly proportional if only labels or weights differ. With an L1 penalty, a direction leads to the
minimizer of a quadratic model (proximal quasi-Newton: Lee, Sun and Saunders 2014). The pairs update the shared Hessian
of this model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from fastlin.kernels.linear.coordinate_descent import fill_block_minimizers
from fastlin.kernels.linear.operands import count_class_pairs
from fastlin.kernels.linear.quasi_newton import (
    CLASS_SUM_TOL,
    SUFFICIENT_DECREASE,
    VALUE_SLACK,
    VALUE_TOL,
    compute_allowed_gap,
)
from fastlin.kernels.machine.threads import count_work_blocks, run_blocks
from fastlin.objective.problem_batch import BatchProblem, BatchRows, PointBatch, ProblemBatch
from fastlin.solvers.preconditioners import (
    AnyPreconditioner,
    DiagonalPreconditioner,
    Preconditioner,
    regularize_equal_class_changes,
)
from fastlin.solvers.tuning import MIN_INNER_TOL
from fastlin.typing import BoolArray, FloatArray, FloatType, IntArray

# The number of pairs per problem, and the number of rejected trials of a step that stops a problem.
N_LBFGS_PAIRS, MAX_TRIALS = 10, 20
# If there are more parameters, factorizing the Gram matrix is too slow.
MAX_FACTORIZED_PARAMETERS = 2_000
# Problems use the same factor if log2(penalty / curvature) is in the same interval. This is the width of an interval.
LOG2_RATIO_GROUP_WIDTH = 2
# The approximate number of sweeps per model, and the maximum number of models per problem. A problem that needs more
# models has few rows with curvature or nearly collinear columns. A single fit with its own Hessians is then faster.
SWEEPS_PER_MODEL, MAX_MODELS_PER_PROBLEM = 15, 25
# A rejected step is multiplied by a factor within these limits.
MIN_STEP_FACTOR, MAX_STEP_FACTOR = 0.1, 0.5


class ProblemSolution(NamedTuple):
    """The solution of one problem."""

    parameters: np.ndarray  # (m,)
    gradient: np.ndarray  # (m,), the gradient of J
    value: float  # J
    certificate: float  # an upper bound on J - J*
    n_iter: int
    converged: bool


class _SlotStates:
    """The states of B problems, one per slot: current parameters, trial parameters, and the latest pairs."""

    def __init__(self, n_slots: int, size: int, n_pairs: int) -> None:
        self.trial_parameters, self.at, self.slopes, self.direction = np.zeros((4, n_slots, size))
        self.loss_gradient = np.zeros((n_slots, size))
        self.value, self.loss, self.step, self.slope = np.zeros((4, n_slots))
        self.curvatures = np.zeros((n_slots, n_pairs))
        self.n_iter, self.n_trials = np.zeros((2, n_slots), np.int64)
        self.steps, self.changes = np.zeros((2, n_slots, N_LBFGS_PAIRS, size))
        # For each pair, the inner product of the step and the gradient change; zero if there is no pair.
        self.products = np.zeros((n_slots, N_LBFGS_PAIRS))
        self.is_new_problem = np.ones(n_slots, bool)

    def begin(self, slot: int, parameters: FloatArray) -> None:
        """Start a problem in a slot, with the first trial at the parameters (m,)."""
        self.trial_parameters[slot] = self.at[slot] = parameters
        self.direction[slot], self.value[slot] = 0, np.inf
        self.products[slot], self.n_iter[slot], self.n_trials[slot], self.is_new_problem[slot] = 0, 0, 0, True

    def keep(self, slots: IntArray) -> None:
        """Remove all slots except the given ones."""
        for name, values in vars(self).items():
            setattr(self, name, values[slots])

    def check_step(self, points: PointBatch) -> BoolArray:
        """Accept the trials that decrease J enough, and shorten the other steps. Return whether each was accepted."""
        rise = points.value - self.value
        slack = VALUE_SLACK * np.abs(self.value)
        is_accepted = self.is_new_problem | (rise <= SUFFICIENT_DECREASE * self.step * self.slope + slack)
        is_accepted &= np.isfinite(points.value)
        moved = is_accepted & ~self.is_new_problem
        if moved.any():
            self._add_step_pairs(moved, points)
        for current_values, new in zip((self.at, *self.points), (self.trial_parameters, *points), strict=True):
            current_values[is_accepted] = new[is_accepted]
        self.n_iter += moved
        self.n_trials = np.where(is_accepted, 0, self.n_trials + 1)
        self.is_new_problem &= ~is_accepted
        # A rejected step is shortened to the minimizer of the parabola that interpolates both values and the slope.
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = -0.5 * self.step * self.slope / (rise - self.step * self.slope)
        factor = np.where(np.isfinite(factor), np.clip(factor, MIN_STEP_FACTOR, MAX_STEP_FACTOR), MIN_STEP_FACTOR)
        self.step = np.where(is_accepted, 1.0, factor * self.step)
        self.trial_parameters = np.where(
            is_accepted[:, None], self.trial_parameters, self.at + self.step[:, None] * self.direction
        )
        return is_accepted

    def _add_step_pairs(self, moved, points):
        """Add the pairs of the problems whose steps were accepted."""
        step, change = (self.trial_parameters - self.at)[moved], (points.gradient - self.slopes)[moved]
        for pairs, last in ((self.steps, step), (self.changes, change)):
            pairs[moved, :-1] = pairs[moved, 1:]
            pairs[moved, -1] = last
        product = np.einsum("bj,bj->b", step, change)
        self.products[moved, :-1] = self.products[moved, 1:]
        # A curvature within rounding error is set to zero.
        has_curvature = product > VALUE_SLACK * np.sqrt(
            np.einsum("bj,bj->b", step, step) * np.einsum("bj,bj->b", change, change)
        )
        self.products[moved, -1] = np.where(has_curvature, product, 0.0)

    def set_directions(self, selected: BoolArray, direction: FloatArray, slope: FloatArray) -> None:
        """Set the direction, its slope and the first trial of the selected problems. `direction` has shape (B, m)."""
        self.direction[selected], self.slope[selected] = direction[selected], slope[selected]
        self.trial_parameters[selected] = (self.at + direction)[selected]

    def find_directions(self, solve: Callable[[FloatArray], FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Return the L-BFGS directions (B, m) and slopes (B,). `solve` applies the preconditioner to gradients."""
        gradient, coefficients = self.slopes.copy(), []
        with np.errstate(divide="ignore"):
            inverse_products = np.where(self.products > 0, 1 / self.products, 0.0)
        for pair in range(N_LBFGS_PAIRS - 1, -1, -1):
            alpha = inverse_products[:, pair] * np.einsum("bj,bj->b", self.steps[:, pair], gradient)
            gradient -= alpha[:, None] * self.changes[:, pair]
            coefficients.append(alpha)
        direction = solve(gradient)
        for pair, alpha in enumerate(reversed(coefficients)):
            beta = inverse_products[:, pair] * np.einsum("bj,bj->b", self.changes[:, pair], direction)
            direction += (alpha - beta)[:, None] * self.steps[:, pair]
        return -direction, -np.einsum("bj,bj->b", self.slopes, direction)

    def find_minimizers(
        self, selected: BoolArray, hessian: FloatArray, curvatures: FloatArray, thresholds: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return directions (B, m) to the minimizers of the selected models, and first-order changes (B,) of J."""
        slots, minimizers, size = np.flatnonzero(selected), self.at.copy(), len(hessian)
        run_blocks(
            fill_block_minimizers,
            count_work_blocks(len(slots) * size**2 * (SWEEPS_PER_MODEL + 3 * N_LBFGS_PAIRS), max(1, len(slots))),
            slots,
            hessian,
            self.scales,
            (curvatures, thresholds),
            (self.steps, self.changes, self.products),
            MIN_INNER_TOL,
            self.slopes,
            minimizers,
        )
        direction = minimizers - self.at
        penalty_change = np.einsum("bj,bj->b", thresholds, np.abs(minimizers) - np.abs(self.at))
        return direction, np.einsum("bj,bj->b", self.slopes, direction) + penalty_change

    @property
    def points(self) -> PointBatch:
        """J and its derivatives at the current parameters."""
        return PointBatch(self.loss, self.curvatures, self.value, self.loss_gradient, self.slopes)

    @property
    def scales(self) -> FloatArray:
        """The scale (B,) of each Hessian: the curvature along the intercepts, or 1 if it is not positive."""
        curvature = self.curvatures.sum(axis=1)
        return np.where(curvature > 0, curvature, 1.0)


def _minimize_batches(rows, get_problem, n_problems, preconditioner, tol, max_iter):
    """Yield the index and the ProblemSolution of each problem, in the order in which the problems stop.

    `get_problem` is called once per index. The Hessian of a problem is approximately the scale of the problem times the
    matrix that the preconditioner inverts. With an L1 penalty, `preconditioner` is the Hessian (m, m) of the loss.
    """
    n_started_problems = min(rows.batch_size, n_problems)
    indices, problem = np.arange(n_started_problems), get_problem(0)
    batch = ProblemBatch(rows, n_started_problems, problem.weights is not None)
    slots = _SlotStates(n_started_problems, rows.size, count_class_pairs(rows.n_rows_coef))
    for slot in range(n_started_problems):
        # Problems are loaded one at a time, because the batch copies them.
        problem = get_problem(slot) if slot else problem
        slots.begin(slot, batch.take(slot, problem))

    while len(batch):
        is_accepted = slots.check_step(batch.evaluate(slots.trial_parameters))
        certificates, has_converged = _check_convergence(batch, slots, tol, is_accepted)
        is_finished = has_converged | (is_accepted & (slots.n_iter >= max_iter)) | (slots.n_trials >= MAX_TRIALS)
        is_continuing = is_accepted & ~is_finished
        if isinstance(preconditioner, np.ndarray):
            directions = slots.find_minimizers(is_continuing, preconditioner, batch.curvatures, batch.thresholds)
        else:
            directions = slots.find_directions(partial(_solve, preconditioner, slots.scales, rows.batch_size))
        slots.set_directions(is_continuing, *directions)
        for slot in np.flatnonzero(is_finished).tolist():
            at, gradient = slots.at[slot].copy(), slots.slopes[slot].copy()
            numbers = float(slots.value[slot]), float(certificates[slot]), int(slots.n_iter[slot])
            yield int(indices[slot]), ProblemSolution(at, gradient, *numbers, bool(has_converged[slot]))
            if n_started_problems < n_problems:
                problem, indices[slot] = get_problem(n_started_problems), n_started_problems
                slots.begin(slot, batch.take(slot, problem))
                is_finished[slot] = False
                n_started_problems += 1
        if is_finished.any():
            remaining_slots = np.flatnonzero(~is_finished)
            indices = indices[remaining_slots]
            batch.keep(remaining_slots)
            slots.keep(remaining_slots)


def _solve(preconditioner, scales, batch_size, gradient):
    """Return the solutions (B, m) for the gradients. Each Hessian is a scale times the preconditioner's matrix."""
    sizes = np.abs(gradient).max(axis=1, keepdims=True)
    sizes[~(sizes > 0)] = 1
    return sizes / scales[:, None] * preconditioner.solve(gradient / sizes, batch_size)


def _check_convergence(batch, slots, tol, is_accepted):
    """Return the certificate of each problem and whether it is within `tol`. Uncomputed certificates are infinite."""
    value = slots.value
    columns = value.tolist(), batch.compute_quadratic_penalty(slots.at).tolist(), batch.null_objective.tolist()
    allowed = np.array(
        [
            compute_allowed_gap(
                tol, J, J, squares, null_objective_value, VALUE_TOL, 2 * CLASS_SUM_TOL * null_objective_value
            )
            for J, squares, null_objective_value in zip(*columns, strict=True)
        ]
    )
    is_near = is_accepted & (batch.stationary_gaps(slots.at, slots.points) <= allowed)
    certificates = np.full(len(batch), np.inf)
    if is_near.any():
        certificates[is_near] = batch.certify(slots.at, slots.points)[is_near]
    return certificates, is_near & (certificates <= allowed)


def minimize_problems(
    rows: BatchRows,
    get_problem: Callable[[int], BatchProblem],
    penalty_ratios: FloatArray,
    reference_hessian: FloatArray | None,
    *,
    tol: float,
    max_iter: int,
    has_l1: bool = False,
) -> Iterator[tuple[int, ProblemSolution]]:
    """Yield the index and the ProblemSolution of each problem, in any order.

    `get_problem` maps an index to a problem. The scale of a problem is the sum of its `PointBatch.curvatures`.
    `reference_hessian` (m, m) is approximately the Hessian of each loss, divided by the scale. Instead of this matrix,
    row weights (n,) may be given, or None for ones. The Gram matrix of the weighted rows, divided by the total weight,
    then replaces them. `penalty_ratios` (B,) are approximately l2 divided by the scale. With an L1 penalty, there must
    be at most MAX_FACTORIZED_PARAMETERS parameters, and a problem takes at most MAX_MODELS_PER_PROBLEM iterations.
    """
    uses_float32 = rows.coordinates.allows_float32 and rows.matrix.is_faster_in_float32(rows.batch_size)
    precision: FloatType = np.float32 if uses_float32 else np.float64
    if reference_hessian is not None and reference_hessian.ndim == 2:
        loss_hessian = reference_hessian
    elif rows.size > MAX_FACTORIZED_PARAMETERS:
        loss_hessian = rows.coordinates.mean_squares
    else:
        weights = np.ones(rows.n_rows) if reference_hessian is None else reference_hessian
        loss_hessian = rows.gram(weights / weights.sum(), precision)
    # Problems with similar ratios of penalty to curvature use the same factor. With an L1 penalty, no factor is needed.
    penalty_ratio_groups = (
        np.zeros(len(penalty_ratios)) if has_l1 else np.round(np.log2(penalty_ratios) / LOG2_RATIO_GROUP_WIDTH)
    )
    max_iter = min(max_iter, MAX_MODELS_PER_PROBLEM) if has_l1 else max_iter
    for group in np.unique(penalty_ratio_groups):
        indices = np.flatnonzero(penalty_ratio_groups == group)
        ridge = 2.0 ** (LOG2_RATIO_GROUP_WIDTH * group) * rows.unit_curvatures
        factor: AnyPreconditioner | FloatArray
        if has_l1:
            factor = loss_hessian.astype(np.float64, copy=False)
        elif loss_hessian.ndim == 1:
            factor = DiagonalPreconditioner(loss_hessian + ridge)
        else:
            factor = Preconditioner(1, rows.size, precision)
            matrix: FloatArray = (loss_hessian + np.diag(ridge)).astype(precision)
            regularize_equal_class_changes(matrix, rows.n_rows_coef)
            factor.factorize(0, matrix[None])

        def get_group_problem(i, indices=indices):
            return get_problem(int(indices[i]))

        for i, solution in _minimize_batches(rows, get_group_problem, len(indices), factor, tol, max_iter):
            yield int(indices[i]), solution
