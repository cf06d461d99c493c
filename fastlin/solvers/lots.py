"""L-BFGS for many problems over the same rows, in lots: one pass over X serves all problems of a lot.

Each problem has a place of a lot, with its own pairs, steps and proof; the next problem takes the place of one that has
ended. All share one preconditioner, each times its own curvature: where only labels or weights differ, the Hessians are
nearly multiples of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from fastlin.kernels.linear.operands import count_pairs
from fastlin.kernels.linear.quasi_newton import ROUNDING, SUFFICIENT_DECREASE, SUM_ROUNDING, VALUE_ROUNDING, ask
from fastlin.objective.lot import Lot, Points, Problem, SharedRows
from fastlin.solvers.preconditioners import AnyPreconditioner, Diagonal, Preconditioner, bend_equal_changes
from fastlin.typing import BoolArray, FloatArray, FloatType, IntArray

# Pairs of a problem, and how often it may try a step in vain.
N_PAIRS, MOST_TRIALS = 10, 20
# Up to so many parameters a factor of the Gram matrix is worth its time.
MOST_FACTORS = 2_000
# Strengths of the penalty within a factor of four share a factor.
GROUP = 2
# A step that was tried in vain is cut to between these parts of it.
LEAST_CUT, MOST_CUT = 0.1, 0.5


class Found(NamedTuple):
    """Where a problem ended."""

    parameters: np.ndarray  # (m,)
    gradient: np.ndarray  # (m,), of J
    value: float  # J
    certificate: float  # an upper bound on J - J*
    n_iter: int
    converged: bool


class _Places:
    """The state of B problems, by place: where each is, what it tries, and its last pairs."""

    def __init__(self, n_places: int, size: int, n_pairs: int) -> None:
        self.trial, self.at, self.slopes, self.direction = np.zeros((4, n_places, size))
        self.of_loss = np.zeros((n_places, size))
        self.value, self.loss, self.step, self.slope = np.zeros((4, n_places))
        self.curvatures = np.zeros((n_places, n_pairs))
        self.n_iter, self.n_trials = np.zeros((2, n_places), np.int64)
        self.moves, self.changes = np.zeros((2, n_places, N_PAIRS, size))
        # Move times change of each pair, zero where there is none.
        self.products = np.zeros((n_places, N_PAIRS))
        self.is_new = np.ones(n_places, bool)

    def begin(self, place: int, parameters: FloatArray) -> None:
        """Begin a problem at a place with a trial of its parameters (m,)."""
        self.trial[place] = self.at[place] = parameters
        self.direction[place], self.value[place] = 0, np.inf
        self.products[place], self.n_iter[place], self.n_trials[place], self.is_new[place] = 0, 0, 0, True

    def keep(self, places: IntArray) -> None:
        """Give up all places but some."""
        for name, values in vars(self).items():
            setattr(self, name, values[places])

    def judge(self, points: Points) -> BoolArray:
        """Move to the trials where J falls enough, which is returned, (B,); elsewhere the next trial is nearer."""
        rise = points.value - self.value
        slack = ROUNDING * np.abs(self.value)
        accepted = self.is_new | (rise <= SUFFICIENT_DECREASE * self.step * self.slope + slack)
        accepted &= np.isfinite(points.value)
        moved = accepted & ~self.is_new
        if moved.any():
            self._remember(moved, points)
        for own, found in (
            (self.at, self.trial),
            (self.slopes, points.gradient),
            (self.of_loss, points.of_loss),
            (self.value, points.value),
            (self.loss, points.loss),
            (self.curvatures, points.curvatures),
        ):
            own[accepted] = found[accepted]
        self.n_iter += moved
        self.n_trials = np.where(accepted, 0, self.n_trials + 1)
        self.is_new &= ~accepted
        # The parabola through both values and the slope.
        with np.errstate(divide="ignore", invalid="ignore"):
            cut = -0.5 * self.step * self.slope / (rise - self.step * self.slope)
        cut = np.where(np.isfinite(cut), np.clip(cut, LEAST_CUT, MOST_CUT), LEAST_CUT)
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

    def turn(self, turned: BoolArray, solve: Callable[[FloatArray], FloatArray]) -> None:
        """Give the problems that have turned a new direction and a first trial; solve (B, m) is the preconditioner."""
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
        self.direction[turned] = -direction[turned]
        self.slope[turned] = np.einsum("bj,bj->b", self.slopes, self.direction)[turned]
        self.trial[turned] = (self.at + self.direction)[turned]


def minimize_lots(
    rows: SharedRows,
    pose: Callable[[int], Problem],
    n_problems: int,
    preconditioner: AnyPreconditioner,
    *,
    tol: float,
    max_iter: int,
) -> Iterator[tuple[int, Found]]:
    """Yield the number of each problem and what was Found, in the order in which they end.

    pose returns the problem of a number, and is called once for each. The Hessian of the loss of a problem, and its
    penalty, are about the curvature by the intercept times what the preconditioner solves with.
    """
    n_posed = min(rows.n_together, n_problems)
    numbers, problem = np.arange(n_posed), pose(0)
    lot = Lot(rows, n_posed, problem.weights is not None)
    places = _Places(n_posed, rows.size, count_pairs(rows.n_rows_coef))
    for place in range(n_posed):
        # One at a time: the lot has copies.
        problem = pose(place) if place else problem
        places.begin(place, lot.take(place, problem))

    def solve(gradient):
        sizes = np.abs(gradient).max(axis=1, keepdims=True)
        sizes[~(sizes > 0)] = 1
        curvature = places.curvatures.sum(axis=1)
        curvature = np.where(curvature > 0, curvature, 1.0)
        return sizes / curvature[:, None] * preconditioner.solve(gradient / sizes, rows.n_together)

    while len(lot):
        accepted = places.judge(lot.evaluate(places.trial))
        certificates, is_met = _find_met(lot, places, tol, accepted)
        is_over = is_met | (accepted & (places.n_iter >= max_iter)) | (places.n_trials >= MOST_TRIALS)
        places.turn(accepted & ~is_over, solve)
        for place in np.flatnonzero(is_over).tolist():
            at, gradient = places.at[place].copy(), places.slopes[place].copy()
            told = float(places.value[place]), float(certificates[place]), int(places.n_iter[place])
            yield int(numbers[place]), Found(at, gradient, *told, bool(is_met[place]))
            if n_posed < n_problems:
                problem, numbers[place] = pose(n_posed), n_posed
                places.begin(place, lot.take(place, problem))
                is_over[place] = False
                n_posed += 1
        if is_over.any():
            kept = np.flatnonzero(~is_over)
            numbers = numbers[kept]
            lot.keep(kept)
            places.keep(kept)


def _find_met(lot, places, tol, accepted):
    """Return the certificate of each problem, infinite where it was not asked for, and whether it is within tol."""
    value, losses = places.value, places.loss.tolist()
    asked = np.array(
        [
            ask(tol, J, J, J - loss, least, VALUE_ROUNDING, 2 * SUM_ROUNDING * least)
            for J, loss, least in zip(value.tolist(), losses, lot.without_features.tolist(), strict=True)
        ]
    )
    points = Points(places.loss, places.curvatures, value, places.of_loss, places.slopes)
    is_near = accepted & (lot.natural_gaps(points) <= asked)
    certificates = np.full(len(lot), np.inf)
    if is_near.any():
        certificates[is_near] = lot.certify(places.at, points)[is_near]
    return certificates, is_near & (certificates <= asked)


def minimize_all(
    rows: SharedRows,
    pose: Callable[[int], Problem],
    ratios: FloatArray,
    reference: FloatArray | None,
    *,
    tol: float,
    max_iter: int,
) -> Iterator[tuple[int, Found]]:
    """Yield the number of each problem and what was Found, in any order; pose returns the problem of a number.

    Up to its size, the sum of its Points' curvatures, the Hessian of a loss is about the reference (m, m), or the Gram
    matrix of the rows with the weights of the reference (n,), None for ones, where the sum of these weights is one.
    ratios (B,) are about those of each l2 to that size.
    """
    is_fast = rows.coordinates.allows_float32 and rows.matrix.gains_from_float32(rows.n_together)
    precision: FloatType = np.float32 if is_fast else np.float64
    if reference is not None and reference.ndim == 2:
        of_loss = reference
    elif rows.size > MOST_FACTORS:
        of_loss = rows.coordinates.mean_squares
    else:
        weights = np.ones(rows.n_rows) if reference is None else reference
        of_loss = rows.gram(weights / weights.sum(), precision)
    # Problems whose penalty counts for about as much beside their curvature share a factor.
    groups = np.round(np.log2(ratios) / GROUP)
    for group in np.unique(groups):
        numbers = np.flatnonzero(groups == group)
        ridge = 2.0 ** (GROUP * group) * rows.units
        factor: AnyPreconditioner
        if of_loss.ndim == 1:
            factor = Diagonal(of_loss + ridge)
        else:
            factor = Preconditioner(1, rows.size, precision)
            matrix: FloatArray = (of_loss + np.diag(ridge)).astype(precision)
            bend_equal_changes(matrix, rows.n_rows_coef)
            factor.factorize(0, matrix[None])
        given = rows, lambda place, numbers=numbers: pose(int(numbers[place])), len(numbers), factor
        for place, found in minimize_lots(*given, tol=tol, max_iter=max_iter):
            yield int(numbers[place]), found
