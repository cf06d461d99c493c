"""L-BFGS with a preconditioner for its starting matrix, in float32 as far as that goes and then in float64.

Quasi-Newton steps from the last gradients (Liu and Nocedal 1989; Nocedal and Wright 2006, algorithm 7.4). SciPy's
L-BFGS-B is not used: its inner products go through BLAS, whose sums depend on the number of threads above 10,000
parameters, and its starting matrix is a multiple of the identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.linear.quasi_newton import CURVATURE
from fastlin.kernels.machine.cholesky import factorize_block, solve_block
from fastlin.kernels.machine.vectors import dot
from fastlin.objective.objective import linearise_decided_rows
from fastlin.solvers import line_search
from fastlin.solvers.recursion import Recursion
from fastlin.solvers.solution import REACHED
from fastlin.solvers.stopping import IMPATIENT, LIMITED, is_slow
from fastlin.solvers.tuning import FIRST_CURVATURE, IMPROVEMENT, LINEARISED_FOR, ROUNDING
from fastlin.typing import FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.objective.point import Point, Room
    from fastlin.solvers.preconditioners import AnyPreconditioner, Build
    from fastlin.solvers.solution import Solution
    from fastlin.solvers.stopping import Stopping


def minimize(
    objective: Objective,
    start: FloatArray | Point,
    stopping: Stopping,
    *,
    preconditions: Mapping[int, Build],
    room: Room | None = None,
    precision: FloatType = np.float64,
    patience: int | None = None,
    preconditioner: AnyPreconditioner | None = None,
    pairs: Pairs | None = None,
    first_step: float | None = None,
) -> Solution:
    """Minimise the objective as `fastlin.solvers` has it.

    Parameters
    ----------
    start : ndarray of shape (K, d + 1) or Point
        Where to begin; a Point of the precision, which has its probabilities where there is room.
    preconditions : mapping of int to callable
        By the iteration after which it is built, 0 for the start, what takes a Point and returns a Preconditioner: the
        starting matrix of the recursion from there on. The pairs are kept. Where the end is in sight by then, it comes
        after twice as many.
    precision : type
        float32 means to work in float32 until that makes no more progress or the end is in sight, then in float64.
    patience : int or None
        After so many iterations, where as many will not do for the rest, another solver is left to go on.
    preconditioner : Preconditioner or None
        The one to begin with; None: that of preconditions at the start.
    pairs : Pairs or None
        What a fit over the same rows with another penalty has left, to begin with.
    first_step : float or None
        The length of the first step to try, relative to the direction. None means 1, and a search for the end of that
        line unless there is a preconditioner.
    """
    if isinstance(start, np.ndarray):
        point = objective.at(start.astype(precision).astype(np.float64), precision, out=room)
    else:
        point = start
    bound = stopping.begin(point)
    first_curvature = FIRST_CURVATURE if preconditioner is None and first_step is None else CURVATURE
    preconditioner = preconditioner or preconditions[0](point)
    pairs = Pairs(objective, pairs)
    tried, restarted, message = np.inf, False, ""
    decrements: list[float] = []
    postponed: set[int] = set()
    preconditions = dict(preconditions)
    # What float32 works on: the objective, or one with fewer rows that was made at the anchor.
    working: Objective = objective
    anchor: Point | None = None
    while True:
        if point.precision != np.float64 and len(decrements) % LINEARISED_FOR == LINEARISED_FOR - 1:
            working, point = _linearise(point, objective, anchor, room)
            anchor = point
        direction, decrement = pairs.direction(point.gradient, preconditioner)
        if point.precision != np.float64 and stopping.is_met(point, bound, decrement):
            if stopping.has_arrived():
                message = REACHED
                break
            point = objective.at(point.parameters, out=room)
            bound = stopping.settle(point)
        message = stopping.why(point, bound, decrement)
        decrements.append(decrement)
        # With few rows left the others' steps, of all rows, cost more.
        if not message and patience is not None and working is objective:
            message = IMPATIENT if is_slow(decrements, stopping.asked(point), patience) else ""
        if message:
            break
        foreseen, parameters = pairs.smallest_gradient(point, stopping.target(point, bound))
        is_rough, end = point.precision != np.float64, None
        if parameters is not None and foreseen < IMPROVEMENT * tried:
            tried = foreseen
            # In float32 as long as the others are: with hundreds of classes a pass in float64 takes twice as long.
            parameters = parameters.astype(point.precision).astype(np.float64)
            candidate = objective.at(parameters, point.precision, out=room)
            candidate_bound = stopping.settle(candidate)
            if is_rough and stopping.is_met(candidate, candidate_bound, np.inf):
                candidate = objective.at(parameters, out=room)
                candidate_bound = stopping.settle(candidate)
            message = stopping.why(candidate, candidate_bound, np.inf)
            if message:
                stopping.record(candidate, candidate_bound)
                break
            # What was foreseen in vain is a step like others.
            if candidate.value < point.value and candidate.precision == point.precision and working is objective:
                end = candidate
        if end is None:
            followed = working if is_rough else objective
            step, curvature = (1.0, CURVATURE) if decrements[1:] else (first_step or 1.0, first_curvature)
            end = line_search.along(
                followed, point, direction, room if followed is objective else None, step, curvature
            )
        stalled = True
        if end is not None:
            if not pairs.n_pairs:
                # Until there is a pair, the step alone tells the scale.
                pairs.scale = _measure_step(point, end, direction)
            pairs.add(point, end)
            decrease, size = point.value - end.value, abs(point.value)
            last_bound, point = bound, end
            bound = _settle(point, objective, stopping, room)
            # Gradients are better than values: what they promise is progress, too, and so is a gap that falls.
            stalled = max(decrease, decrement) <= ROUNDING[point.precision] * size and not bound < 0.5 * last_bound
            stopping.record(point, bound)
            n_iter = len(stopping.history)
            build = preconditions.pop(n_iter, None)
            if build is not None and n_iter not in postponed and decrement <= stopping.asked(point):
                preconditions[2 * n_iter] = build
                postponed.add(2 * n_iter)
            elif build is not None:
                preconditioner = build(_of_all_rows(point, objective, room))
                pairs.scale = 1.0
        if not stalled:
            restarted = False
        elif point.precision != np.float64:
            point = objective.at(point.parameters, out=room)
            bound = stopping.observe(point)
        elif not restarted and pairs.n_pairs:
            # Rounding may have spoilt the pairs: once more without them.
            pairs, restarted = Pairs(objective), True
        else:
            message = stopping.why_stalled(point, bound, decrement)
            break
    if point.precision != np.float64 and message != REACHED:
        point = objective.at(point.parameters, out=room)
        bound = stopping.observe(point)
        if message == LIMITED and bound < np.inf and stopping.is_met(point, bound, decrement):
            message = REACHED
    return replace(
        stopping.solution(message),
        preconditioner=preconditioner.divided(pairs.scale),
        pairs=pairs if pairs.are_small else None,
    )


def _measure_step(begin, end, direction):
    """Return how many times a direction leads from one point to another."""
    step = (end.parameters - begin.parameters).ravel()
    return dot(step, direction.ravel()) / dot(direction.ravel(), direction.ravel())


def _linearise(point, objective, anchor, room):
    """Return what to go on with in float32: an objective of fewer rows, and the point where it was made.

    anchor is the last of these points, None at first. Where J is above its value there, the linearisation has misled:
    then all rows go on from there.
    """
    point = _of_all_rows(point, objective, room)
    if anchor is not None and point.value > anchor.value:
        return objective, anchor
    return linearise_decided_rows(point), point


def _of_all_rows(point, objective, room):
    """Return the point with probabilities of all rows: itself, or evaluated anew where it was made by fewer rows."""
    is_whole = point.objective is objective and (point.has_probabilities or room is None)
    return point if is_whole else objective.at(point.parameters, point.precision, out=room)


def _settle(point, objective, stopping, room):
    """Take note of a point as `Stopping.settle` does, with the probabilities of all rows where that is worth a pass."""
    bound = stopping.settle(point)
    if point.objective is not objective and stopping.is_worth_settling(point, bound):
        bound = min(bound, stopping.settle(objective.at(point.parameters, point.precision, out=room)))
    return bound


class Pairs(Recursion):
    """The last steps and the gradient changes they made, as many as the budget has room for, and their certificates.

    Parameters
    ----------
    objective : Objective
        What is minimised.
    others : Pairs or None
        Those of a fit over the same rows with another penalty, which are taken over: what the penalty has to do with
        the changes is known. Ten C of 8,000 images of MNIST take 175 passes so, each from nothing 199.
    """

    def __init__(self, objective: Objective, others: Pairs | None = None) -> None:
        K, size = objective.shape
        self._center = objective.center
        n_pairs, kept_type = objective.budget.choose_pairs(K * size)
        super().__init__(n_pairs, K * size, kept_type)
        # Those that lie in the caches anyway may outlive the fit.
        self.are_small = kept_type == np.float64
        self._penalty_curvatures = np.tile(objective.penalty.curvatures, K)
        # Of the certificate's norm, sum G_kj^2 / curvature_j. An intercept that is not stationary costs its share of
        # the class times what all features have (duality.bound_minimum).
        self._weights: FloatArray | None = None
        if objective.penalty.is_bounded:
            weights = np.empty((K, size))
            curvatures = objective.penalty.curvatures[:-1]
            shares = np.maximum(objective.class_weights[-K:], 1 / objective.n_rows)
            with np.errstate(divide="ignore", over="ignore"):
                weights[:, :-1] = 1 / curvatures
                weights[:, -1] = np.sum(objective.coordinates.mean_squares[:-1] / curvatures) / shares**2
            if np.isfinite(weights).all():
                self._weights, self._weighted = weights.ravel(), np.empty(K * size)
        self._grams = np.zeros((n_pairs, n_pairs))
        if others is not None:
            self._take_over(others)

    def _take_over(self, others):
        """Take in all pairs of others, the oldest first, with the changes that the penalty makes here."""
        more = self._penalty_curvatures - others._penalty_curvatures
        for age in reversed(range(others.n_pairs)):
            place, newest = (others._newest - age) % others.size, self.place_next()
            self._steps[0, newest] = others._steps[0, place]
            self._changes[0, newest] = others._changes[0, place] + more * others._steps[0, place]
            self.accept(newest)

    def add(self, before: Point, after: Point) -> None:
        """Take in the step from one Point to another, unless rounding has spoilt it."""
        newest = self.place_next()
        # Where they stay: new memory for a million parameters takes longer than the subtraction.
        step, change = self._steps[0, newest], self._changes[0, newest]
        np.subtract(after.parameters.ravel(), before.parameters.ravel(), out=step, casting="same_kind")
        np.subtract(after.gradient.ravel(), before.gradient.ravel(), out=change, casting="same_kind")
        self.accept(newest)

    def accept(self, place: int) -> bool:
        """As `Recursion.accept` has it."""
        is_sound = super().accept(place)
        if is_sound and self._weights is not None:
            products = self._weigh(self._changes[0, place])
            self._grams[place, : self.n_pairs] = self._grams[: self.n_pairs, place] = products
        return is_sound

    def _weigh(self, vector):
        """Return the certificate's inner products of the changes and a vector."""
        assert self._weights is not None
        return self.multiply(self._changes[0], np.multiply(self._weights, vector, out=self._weighted), self.n_pairs)

    def direction(self, gradient: FloatArray, preconditioner: AnyPreconditioner) -> tuple[FloatArray, float]:
        """Return the step -H gradient, and half the product of the two: an estimate of J - J*."""

        def solve(vector):
            # Without what changes all classes alike. That lowers neither loss nor penalty, and only the penalty bends J
            # there: what blocks of unlike classes leave there takes long to undo. 60,000 images of MNIST took 58
            # passes, now 32.
            return self._center(preconditioner.solve(vector.reshape(gradient.shape))).ravel()

        (vector,) = self.apply([gradient.ravel().copy()], solve)
        return -vector.reshape(gradient.shape), 0.5 * dot(vector, gradient.ravel())

    def smallest_gradient(self, point: Point, target: float) -> tuple[float, FloatArray | None]:
        """Combine the last steps so that the gradient becomes as small as it can, in the certificate's norm.

        To first order a step s with the gradient change y moves the gradient by t y along t s: the best t solve a
        least-squares problem (Anderson 1965). L-BFGS lowers J, and leaves in the gradient what costs J little; the
        certificate counts it, and on MNIST lags 20 times behind. The combination is within 2 times of the distance.

        Returns
        -------
        foreseen : float
            The bound on J - J* to expect there; infinite where it is above the target.
        candidate : ndarray of shape (K, d + 1) or None
        """
        if not target > 0 or self.n_pairs < 2 or self._weights is None:
            return np.inf, None
        gradient = point.gradient.ravel()
        products = self._weigh(gradient)
        square = dot(self._weighted, gradient)
        grams = self._grams[None, : self.n_pairs, : self.n_pairs].copy()
        combination = products[None].copy()
        factors = np.empty((1, self.n_pairs * (self.n_pairs + 1) // 2))
        factorize_block(0, 1, grams, ROUNDING[np.float64], factors)
        solve_block(0, 1, factors, combination)
        foreseen = 0.5 * (square - dot(products, combination[0]))
        if not foreseen <= target:
            return np.inf, None
        candidate = point.parameters.ravel().copy()
        self.combine(self._steps[0], -combination[0], candidate)
        return foreseen, candidate.reshape(point.parameters.shape)
