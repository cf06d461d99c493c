"""L-BFGS for many problems over the same rows, in batches: one pass over X serves all problems of a batch.

Each problem has a place of a batch, with its own pairs, steps and proof; the next problem takes the place of one that has
ended. All share one preconditioner, each times its own curvature: where only labels or weights differ, the Hessians are
nearly multiples of each other. With an L1 penalty a direction leads to the least point of a model (proximal
quasi-Newton: Lee, Sun and Saunders 2014), whose Hessian is the shared one as the pairs change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from fastlin.kernels.linear.coordinate_descent import fill_block_minimizers
from fastlin.kernels.linear.operands import count_pairs
from fastlin.kernels.linear.quasi_newton import (
    ROUNDING,
    SUFFICIENT_DECREASE,
    SUM_ROUNDING,
    VALUE_ROUNDING,
    compute_allowed_gap,
)
from fastlin.kernels.machine.threads import cut_work, run_blocks
from fastlin.objective.problem_batch import Points, ProblemBatch, SharedRows, Variant
from fastlin.solvers.preconditioners import AnyPreconditioner, Diagonal, Preconditioner, regularize_equal_changes
from fastlin.solvers.tuning import MIN_ACCURACY
from fastlin.typing import BoolArray, FloatArray, FloatType, IntArray

# Pairs of a problem, and how often it may try a step in vain.
N_PAIRS, MAX_TRIALS = 10, 20
# Up to so many parameters a factor of the Gram matrix is worth its time.
MAX_FACTORS = 2_000
# Strengths of the penalty within a factor of four share a factor.
GROUP = 2
# About how many sweeps find the least point of a model, and the most models of a problem. Where few rows have a
# curvature, or columns are near each other, a single fit with Hessians of its own then ends sooner.
SWEEPS, MAX_MODELS = 15, 25
# A step that was tried in vain is cut to between these parts of it.
MIN_CUT, MAX_CUT = 0.1, 0.5


class Found(NamedTuple):
    """Where a problem ended."""

    parameters: np.ndarray  # (m,)
    gradient: np.ndarray  # (m,), of J
    value: float  # J
    certificate: float  # an upper bound on J - J*
    n_iter: int
    converged: bool


class _Slots:
    """The state of B problems, by place: where each is, what it tries, and its last pairs."""

    def __init__(self, n_slots: int, size: int, n_pairs: int) -> None:
        self.trial, self.at, self.slopes, self.direction = np.zeros((4, n_slots, size))
        self.of_loss = np.zeros((n_slots, size))
        self.value, self.loss, self.step, self.slope = np.zeros((4, n_slots))
        self.curvatures = np.zeros((n_slots, n_pairs))
        self.n_iter, self.n_trials = np.zeros((2, n_slots), np.int64)
        self.moves, self.changes = np.zeros((2, n_slots, N_PAIRS, size))
        # Move times change of each pair, zero where there is none.
        self.products = np.zeros((n_slots, N_PAIRS))
        self.is_new = np.ones(n_slots, bool)

    def begin(self, position: int, parameters: FloatArray) -> None:
        """Begin a problem at a place with a trial of its parameters (m,)."""
        self.trial[position] = self.at[position] = parameters
        self.direction[position], self.value[position] = 0, np.inf
        self.products[position], self.n_iter[position], self.n_trials[position], self.is_new[position] = 0, 0, 0, True

    def keep(self, positions: IntArray) -> None:
        """Give up all places but some."""
        for name, values in vars(self).items():
            setattr(self, name, values[positions])

    def check_step(self, points: Points) -> BoolArray:
        """Move to the trials where J falls enough, which is returned, (B,); elsewhere the next trial is nearer."""
        rise = points.value - self.value
        slack = ROUNDING * np.abs(self.value)
        accepted = self.is_new | (rise <= SUFFICIENT_DECREASE * self.step * self.slope + slack)
        accepted &= np.isfinite(points.value)
        moved = accepted & ~self.is_new
        if moved.any():
            self._remember(moved, points)
        for own, found in zip((self.at, *self.points), (self.trial, *points), strict=True):
            own[accepted] = found[accepted]
        self.n_iter += moved
        self.n_trials = np.where(accepted, 0, self.n_trials + 1)
        self.is_new &= ~accepted
        # The parabola through both values and the slope.
        with np.errstate(divide="ignore", invalid="ignore"):
            cut = -0.5 * self.step * self.slope / (rise - self.step * self.slope)
        cut = np.where(np.isfinite(cut), np.clip(cut, MIN_CUT, MAX_CUT), MIN_CUT)
        self.step = np.where(accepted, 1.0, cut * self.step)
        self.trial = np.where(accepted[:, None], self.trial, self.at + self.step[:, None] * self.direction)
        return accepted

    def _remember(self, moved, points):
        """Add the pairs of the problems that have moved."""
        move, change = (self.trial - self.at)[moved], (points.gradient - self.slopes)[moved]
        for pairs, last in ((self.moves, move), (self.changes, change)):
            pairs[moved, :-1] = pairs[moved, 1:]
            pairs[moved, -1] = last
        product = np.einsum("bj,bj->b", move, change)
        self.products[moved, :-1] = self.products[moved, 1:]
        # A curvature within the error of rounding counts as zero.
        is_curved = product > ROUNDING * np.sqrt(
            np.einsum("bj,bj->b", move, move) * np.einsum("bj,bj->b", change, change)
        )
        self.products[moved, -1] = np.where(is_curved, product, 0.0)

    def turn(self, turned: BoolArray, direction: FloatArray, slope: FloatArray) -> None:
        """Give the problems that have turned a direction (B, m), with its slope, and a first trial."""
        self.direction[turned], self.slope[turned] = direction[turned], slope[turned]
        self.trial[turned] = (self.at + direction)[turned]

    def find_directions(self, solve: Callable[[FloatArray], FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Return directions (B, m) and slopes by L-BFGS; solve (B, m) is the preconditioner."""
        gradient, parts = self.slopes.copy(), []
        with np.errstate(divide="ignore"):
            inverse = np.where(self.products > 0, 1 / self.products, 0.0)
        for pair in range(N_PAIRS - 1, -1, -1):
            part = inverse[:, pair] * np.einsum("bj,bj->b", self.moves[:, pair], gradient)
            gradient -= part[:, None] * self.changes[:, pair]
            parts.append(part)
        direction = solve(gradient)
        for pair, part in enumerate(reversed(parts)):
            back = inverse[:, pair] * np.einsum("bj,bj->b", self.changes[:, pair], direction)
            direction += (part - back)[:, None] * self.moves[:, pair]
        return -direction, -np.einsum("bj,bj->b", self.slopes, direction)

    def find_least(
        self, turned: BoolArray, hessian: FloatArray, curvatures: FloatArray, thresholds: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return directions (B, m) to the least points of models, and first-order changes of J, where it has turned."""
        numbers, least, size = np.flatnonzero(turned), self.at.copy(), len(hessian)
        run_blocks(
            fill_block_minimizers,
            cut_work(len(numbers) * size**2 * (SWEEPS + 3 * N_PAIRS), max(1, len(numbers))),
            numbers,
            hessian,
            self.of_all,
            (curvatures, thresholds),
            (self.moves, self.changes, self.products),
            MIN_ACCURACY,
            self.slopes,
            least,
        )
        direction = least - self.at
        grown = np.einsum("bj,bj->b", thresholds, np.abs(least) - np.abs(self.at))
        return direction, np.einsum("bj,bj->b", self.slopes, direction) + grown

    @property
    def points(self) -> Points:
        """What is known of J where each problem is."""
        return Points(self.loss, self.curvatures, self.value, self.of_loss, self.slopes)

    @property
    def of_all(self) -> FloatArray:
        """The curvature of each problem by its intercepts, (B,), or one where rounding leaves none."""
        curvature = self.curvatures.sum(axis=1)
        return np.where(curvature > 0, curvature, 1.0)


def _minimize_batches(rows, pose, n_problems, preconditioner, tol, max_iter):
    """Yield the number of each problem and what was Found, in the order in which they end.

    pose is called once for each number. The Hessian of the loss of a problem, and its penalty, are about the curvature
    by the intercept times what the preconditioner solves with. With an L1 penalty an array (m, m) stands for it, the
    Hessian of the loss alone.
    """
    n_posed = min(rows.batch_size, n_problems)
    numbers, problem = np.arange(n_posed), pose(0)
    batch = ProblemBatch(rows, n_posed, problem.weights is not None)
    positions = _Slots(n_posed, rows.size, count_pairs(rows.n_rows_coef))
    for position in range(n_posed):
        # One at a time: the batch has copies.
        problem = pose(position) if position else problem
        positions.begin(position, batch.take(position, problem))

    while len(batch):
        accepted = positions.check_step(batch.evaluate(positions.trial))
        certificates, is_criterion_met = _find_met(batch, positions, tol, accepted)
        is_over = is_criterion_met | (accepted & (positions.n_iter >= max_iter)) | (positions.n_trials >= MAX_TRIALS)
        turned = accepted & ~is_over
        if isinstance(preconditioner, np.ndarray):
            found = positions.find_least(turned, preconditioner, batch.curvatures, batch.thresholds)
        else:
            found = positions.find_directions(partial(_solve, preconditioner, positions.of_all, rows.batch_size))
        positions.turn(turned, *found)
        for position in np.flatnonzero(is_over).tolist():
            at, gradient = positions.at[position].copy(), positions.slopes[position].copy()
            told = float(positions.value[position]), float(certificates[position]), int(positions.n_iter[position])
            yield int(numbers[position]), Found(at, gradient, *told, bool(is_criterion_met[position]))
            if n_posed < n_problems:
                problem, numbers[position] = pose(n_posed), n_posed
                positions.begin(position, batch.take(position, problem))
                is_over[position] = False
                n_posed += 1
        if is_over.any():
            kept = np.flatnonzero(~is_over)
            numbers = numbers[kept]
            batch.keep(kept)
            positions.keep(kept)


def _solve(preconditioner, curvatures, batch_size, gradient):
    """Return the solutions (B, m) for gradients; the Hessians are curvatures (B,) times what is solved with."""
    sizes = np.abs(gradient).max(axis=1, keepdims=True)
    sizes[~(sizes > 0)] = 1
    return sizes / curvatures[:, None] * preconditioner.solve(gradient / sizes, batch_size)


def _find_met(batch, positions, tol, accepted):
    """Return the certificate of each problem, infinite where it was not asked for, and whether it is within tol."""
    value = positions.value
    told = value.tolist(), batch.measure_squares(positions.at).tolist(), batch.null_objective.tolist()
    asked = np.array(
        [
            compute_allowed_gap(tol, J, J, squares, least, VALUE_ROUNDING, 2 * SUM_ROUNDING * least)
            for J, squares, least in zip(*told, strict=True)
        ]
    )
    is_near = accepted & (batch.natural_gaps(positions.at, positions.points) <= asked)
    certificates = np.full(len(batch), np.inf)
    if is_near.any():
        certificates[is_near] = batch.certify(positions.at, positions.points)[is_near]
    return certificates, is_near & (certificates <= asked)


def minimize_all(
    rows: SharedRows,
    pose: Callable[[int], Variant],
    ratios: FloatArray,
    reference: FloatArray | None,
    *,
    tol: float,
    max_iter: int,
    has_l1: bool = False,
) -> Iterator[tuple[int, Found]]:
    """Yield the number of each problem and what was Found, in any order; pose returns the problem of a number.

    Up to its size, the sum of its Points' curvatures, the Hessian of a loss is about the reference (m, m), or the Gram
    matrix of the rows with the weights of the reference (n,), None for ones, where the sum of these weights is one.
    ratios (B,) are about those of each l2 to that size. With an L1 penalty there are up to MAX_FACTORS parameters and
    MAX_MODELS iterations.
    """
    is_fast = rows.coordinates.allows_float32 and rows.matrix.gains_from_float32(rows.batch_size)
    precision: FloatType = np.float32 if is_fast else np.float64
    if reference is not None and reference.ndim == 2:
        of_loss = reference
    elif rows.size > MAX_FACTORS:
        of_loss = rows.coordinates.mean_squares
    else:
        weights = np.ones(rows.n_rows) if reference is None else reference
        of_loss = rows.gram(weights / weights.sum(), precision)
    # Problems whose penalty counts for about as much beside their curvature share a factor. Models need none.
    groups = np.zeros(len(ratios)) if has_l1 else np.round(np.log2(ratios) / GROUP)
    max_iter = min(max_iter, MAX_MODELS) if has_l1 else max_iter
    for group in np.unique(groups):
        numbers = np.flatnonzero(groups == group)
        ridge = 2.0 ** (GROUP * group) * rows.units
        factor: AnyPreconditioner | FloatArray
        if has_l1:
            factor = of_loss.astype(np.float64, copy=False)
        elif of_loss.ndim == 1:
            factor = Diagonal(of_loss + ridge)
        else:
            factor = Preconditioner(1, rows.size, precision)
            matrix: FloatArray = (of_loss + np.diag(ridge)).astype(precision)
            regularize_equal_changes(matrix, rows.n_rows_coef)
            factor.factorize(0, matrix[None])
        given = rows, lambda position, numbers=numbers: pose(int(numbers[position])), len(numbers), factor
        for position, found in _minimize_batches(*given, tol, max_iter):
            yield int(numbers[position]), found
