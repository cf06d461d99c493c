"""L-BFGS with a preconditioner for its starting matrix, in float32 as far as that goes and then in float64.

Quasi-Newton steps from the last gradients (Liu and Nocedal 1989; Nocedal and Wright 2006, algorithm 7.4). SciPy's
L-BFGS-B is not used: its inner products go through BLAS, whose sums depend on the number of threads above 10,000
parameters, and its starting matrix is a multiple of the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.machine.threads import READ_WORK, cut_work, run_blocks
from fastlin.kernels.machine.vectors import (
    add_block_combination,
    dot,
    fill_block_products,
    find_first_scales,
    find_second_scales,
)
from fastlin.objective.rounding import UNIT_ROUNDOFF
from fastlin.solvers import line_search
from fastlin.solvers.solution import LIMITED, REACHED, SLOW
from fastlin.solvers.stopping import is_slow
from fastlin.solvers.tuning import ROUNDING
from fastlin.typing import FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.solvers.choose import Fit
    from fastlin.solvers.preconditioners import AnyPreconditioner, Build
    from fastlin.solvers.solution import Solution


def minimize(fit: Fit, preconditions: Mapping[int, Build], patience: int | None = None) -> Solution:
    """Minimize the objective, in its fast precision first and in float64 at the end.

    ``preconditions`` maps an iteration, 0 for the start, to a function from a Point to the Preconditioner from there
    on. After ``patience`` iterations without an end in sight another solver goes on.
    """
    objective, stopping = fit.objective, fit.stopping
    point = fit.begin_in(objective.fast_precision)
    bound = min_bound = stopping.begin(point)
    preconditioner = None if fit.nearby is None else fit.nearby.preconditioner
    preconditioner = preconditioner or preconditions[0](point)
    pairs = Pairs(objective, None if fit.nearby is None else fit.nearby.pairs)
    restarted, stop_reason = False, None
    decrements: list[float] = []
    postponed: set[int] = set()
    preconditions = dict(preconditions)
    while True:
        direction, decrement = pairs.direction(point.gradient, preconditioner)
        if point.precision != np.float64 and stopping.is_criterion_met(point, bound, decrement):
            if stopping.has_converged():
                stop_reason = REACHED
                break
            point = objective.at(point.parameters, out=point.buffer)
            bound = min_bound = stopping.examine(point)
        stop_reason = stopping.why(point, bound, decrement)
        decrements.append(decrement)
        if not stop_reason and patience is not None:
            stop_reason = SLOW if is_slow(decrements, stopping.asked(point), patience) else None
        if stop_reason:
            break
        end = line_search.along(point, direction)
        stalled = True
        if end is not None:
            pairs.add((point.parameters, point.gradient), (end.parameters, end.gradient))
            decrease, size = point.value - end.value, abs(point.value)
            point = end
            bound = stopping.examine(point)
            # Gradients have more digits than values: the decrease they promise is progress, and so is a gap that falls
            # below all before: steps that undid each other took it up and down by turns.
            stalled = max(decrease, decrement) <= ROUNDING[point.precision] * size and not bound < 0.5 * min_bound
            min_bound = min(min_bound, bound)
            stopping.record(point, bound)
            n_iter = len(stopping.history)
            build = preconditions.pop(n_iter, None)
            if build is not None and n_iter not in postponed and decrement <= stopping.asked(point):
                preconditions[2 * n_iter] = build
                postponed.add(2 * n_iter)
            elif build is not None:
                preconditioner = build(point)
                pairs.scale = 1.0
        if not stalled:
            restarted = False
        elif point.precision != np.float64:
            point = objective.at(point.parameters, out=point.buffer)
            bound = min_bound = stopping.observe(point)
        elif not restarted and pairs.n_pairs:
            # Rounding may have spoilt the pairs: once more without them.
            pairs, restarted = Pairs(objective), True
        else:
            stop_reason = stopping.why_stalled(point, bound, decrement)
            break
    if point.precision != np.float64 and stop_reason != REACHED:
        point = objective.at(point.parameters, out=point.buffer)
        bound = stopping.observe(point)
        if stop_reason == LIMITED and bound < np.inf and stopping.is_criterion_met(point, bound, decrement):
            stop_reason = REACHED
    return replace(
        stopping.solution(stop_reason),
        preconditioner=preconditioner.divided(pairs.scale),
        pairs=pairs if pairs.are_small else None,
    )


class Recursion:
    """Pairs of steps and gradient changes, in a ring, and the product of L-BFGS's inverse Hessian and a gradient.

    If the inner product is not the plain one, a vector has a second form, its image, whose plain product with another
    vector is the inner product. `scale` is the factor of the starting matrix by the newest pair.
    """

    def __init__(self, n_pairs: int, length: int, kept_type: FloatType = np.float64, n_forms: int = 1) -> None:
        self._steps = np.empty((n_forms, n_pairs, length), kept_type)
        self._changes = np.empty((n_forms, n_pairs, length), kept_type)
        # Of each step with the changes that are as old or newer.
        self._crossed = np.zeros((n_pairs, n_pairs))
        self._scales = np.zeros(n_pairs)
        self._n_blocks = cut_work(READ_WORK * n_pairs * length, length)
        self._partials = np.empty((self._n_blocks, n_pairs))
        self._newest = -1
        self.n_pairs = 0
        self.scale = 1.0

    @property
    def size(self) -> int:
        """The size of the ring."""
        return len(self._crossed)

    def add(self, before: tuple[FloatArray, FloatArray], after: tuple[FloatArray, FloatArray]) -> None:
        """Take in the step from a point with its gradient, in all forms, to another, unless rounding has spoilt it."""
        position = (self._newest + 1) % self.size
        for kept, start, end in zip((self._steps[:, position], self._changes[:, position]), before, after, strict=True):
            # Where it stays: new memory for a million parameters takes longer than the subtraction.
            np.subtract(end.reshape(kept.shape), start.reshape(kept.shape), out=kept, casting="same_kind")
        self._accept(position)

    def take_in(self, step: FloatArray, change: FloatArray) -> None:
        """Take in a pair, both raveled, of one form."""
        position = (self._newest + 1) % self.size
        self._steps[0, position], self._changes[0, position] = step, change
        self._accept(position)

    def _accept(self, position):
        """Take in the pair that was written to a place, unless rounding has spoilt it."""
        change, image = self._changes[0, position], self._changes[-1, position]
        n_pairs = min(self.n_pairs + 1, self.size)
        products = self.multiply(self._steps[-1], change, n_pairs)
        # Positive by the Wolfe conditions, save for rounding; without it the approximation is not positive definite.
        if not products[position] > 2 * UNIT_ROUNDOFF * dot(change, image):
            if self.n_pairs == self.size:
                # The rejected step overwrote the oldest pair, so all pairs are dropped.
                self._newest, self.n_pairs = -1, 0
            return
        self._newest, self.n_pairs = position, n_pairs
        self._crossed[:n_pairs, position] = products

    def apply(self, forms: list[FloatArray], solve: Callable[[FloatArray], FloatArray]) -> list[FloatArray]:
        """Return the forms of the inverse Hessian times a vector; its raveled forms are overwritten."""
        n, newest = self.n_pairs, self._newest
        if n:
            find_first_scales(self.multiply(self._steps[-1], forms[0], n), self._crossed, newest, n, self._scales)
            for vector, changes in zip(forms, self._changes, strict=True):
                self.combine(changes, -self._scales[:n], vector)
        forms = [solve(vector) for vector in forms]
        if n:
            # A scale for each pair takes 5 to 10 % fewer passes on MNIST than one for every fourth.
            solved = solve(self._changes[0, newest])
            scale = self._crossed[newest, newest] / dot(self._changes[-1, newest], solved)
            self.scale = float(scale)
            for vector in forms:
                vector *= scale
            find_second_scales(self.multiply(self._changes[-1], forms[0], n), self._crossed, newest, n, self._scales)
            for vector, steps in zip(forms, self._steps, strict=True):
                self.combine(steps, self._scales[:n], vector)
        return forms

    def multiply(self, rows: FloatArray, vector: FloatArray, n_rows: int) -> FloatArray:
        """Return the inner products of the first n_rows of rows with a vector."""
        run_blocks(fill_block_products, self._n_blocks, rows, n_rows, vector, self._partials)
        return np.add.reduce(self._partials[:, :n_rows])

    def combine(self, rows: FloatArray, factors: FloatArray, vector: FloatArray) -> None:
        """Add the first rows, each times its factor, to vector."""
        run_blocks(add_block_combination, self._n_blocks, rows, len(factors), factors, vector)


class Pairs(Recursion):
    """The last steps and their gradient changes; of pairs with another penalty its part in the changes is replaced."""

    def __init__(self, objective: Objective, others: Pairs | None = None) -> None:
        K, size = objective.shape
        self._center = objective.center
        n_pairs, kept_type = objective.budget.choose_pairs(K * size)
        super().__init__(n_pairs, K * size, kept_type)
        # Those that lie in the caches anyway may outlive the fit.
        self.are_small = kept_type == np.float64
        self._penalty_curvatures = np.tile(objective.penalty.curvatures, K)
        if others is not None:
            self._take_over(others)

    def _take_over(self, others):
        """Take in all pairs of others, the oldest first, with the changes that the penalty makes here."""
        more = self._penalty_curvatures - others._penalty_curvatures
        for age in reversed(range(others.n_pairs)):
            position = (others._newest - age) % others.size
            step = others._steps[0, position]
            self.take_in(step, others._changes[0, position] + more * step)

    def direction(self, gradient: FloatArray, preconditioner: AnyPreconditioner) -> tuple[FloatArray, float]:
        """Return the step -H gradient, and half the product of the two: an estimate of J - J*."""

        def solve(vector):
            # Without what changes all classes alike. That lowers neither loss nor penalty, and only the penalty bends J
            # there: what blocks of unlike classes leave there takes long to undo. 60,000 images of MNIST took 58
            # passes, now 32.
            return self._center(preconditioner.solve(vector.reshape(gradient.shape))).ravel()

        (vector,) = self.apply([gradient.ravel().copy()], solve)
        return -vector.reshape(gradient.shape), 0.5 * dot(vector, gradient.ravel())
