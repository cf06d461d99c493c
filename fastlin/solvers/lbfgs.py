"""L-BFGS whose initial Hessian is a preconditioner. If possible, it starts in float32. It ends in float64.

The algorithm is that of Liu and Nocedal 1989 (Nocedal and Wright 2006, algorithm 7.4). SciPy's L-BFGS-B is not used
for two reasons. Its inner products use BLAS, whose sums of more than 10,000 terms depend on the number of threads, and
its initial Hessian is a multiple of the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.machine.threads import READ_NUMBER_WORK, count_work_blocks, run_blocks
from fastlin.kernels.machine.vectors import (
    add_block_linear_combination,
    dot,
    fill_block_products,
    find_first_loop_scales,
    find_second_loop_scales,
)
from fastlin.objective.rounding import UNIT_ROUNDOFF
from fastlin.solvers import line_search
from fastlin.solvers.preconditioners import count_iterations_to_amortize
from fastlin.solvers.solution import CONVERGED, MAX_ITER_REACHED, TOO_SLOW
from fastlin.solvers.stopping import is_slow, predict_n_iter
from fastlin.solvers.tuning import PROGRESS_EPS
from fastlin.typing import FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.solvers.choose import Minimization
    from fastlin.solvers.preconditioners import AnyPreconditioner, PreconditionerBuilder
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
    postponed_iterations: set[int] = set()
    preconditioner_builders = dict(preconditioner_builders)
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
            n_iter = len(stopping.history)
            builder = preconditioner_builders.pop(n_iter, None)
            if builder is not None and n_iter not in postponed_iterations:
                n_remaining = predict_n_iter(decrements, stopping.allowed_gap(point))
                if n_remaining <= count_iterations_to_amortize(objective, builder):
                    preconditioner_builders[2 * n_iter], builder = builder, None
                    # If the decrement is small but the fit does not stop, it is not postponed again.
                    postponed_iterations.update({2 * n_iter} if n_remaining == 0 else ())
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


class TwoLoopRecursion:
    """The two-loop recursion of L-BFGS, with a ring buffer of pairs of steps and gradient changes.

    If the inner product is not the dot product, each vector has a second form, called the image. The inner product of
    two vectors is then the dot product of one vector and the image of the other. `scale`, computed from the newest
    pair, multiplies the initial inverse Hessian.
    """

    def __init__(self, n_pairs: int, length: int, pair_dtype: FloatType = np.float64, n_vector_forms: int = 1) -> None:
        self._steps = np.empty((n_vector_forms, n_pairs, length), pair_dtype)
        self._changes = np.empty((n_vector_forms, n_pairs, length), pair_dtype)
        # The inner products of each step with the gradient changes of the same pair and of newer pairs.
        self._cross_products = np.zeros((n_pairs, n_pairs))
        self._scales = np.zeros(n_pairs)
        self._n_blocks = count_work_blocks(READ_NUMBER_WORK * n_pairs * length, length)
        self._partial_sums = np.empty((self._n_blocks, n_pairs))
        self._newest_index = -1
        self.n_pairs = 0
        self.scale = 1.0

    @property
    def size(self) -> int:
        """The capacity of the ring buffer."""
        return len(self._cross_products)

    def add(self, old_point: tuple[FloatArray, FloatArray], new_point: tuple[FloatArray, FloatArray]) -> None:
        """Add the pair of two points and their gradients in all forms, unless rounding error dominates the pair."""
        position = (self._newest_index + 1) % self.size
        for target, start, end in zip(
            (self._steps[:, position], self._changes[:, position]), old_point, new_point, strict=True
        ):
            # The subtraction is in place, because allocating memory for a million parameters takes longer.
            np.subtract(end.reshape(target.shape), start.reshape(target.shape), out=target, casting="same_kind")
        self._accept_pair(position)

    def add_pair(self, step: FloatArray, change: FloatArray) -> None:
        """Add a raveled step and gradient change. The vectors must have only one form."""
        position = (self._newest_index + 1) % self.size
        self._steps[0, position], self._changes[0, position] = step, change
        self._accept_pair(position)

    def _accept_pair(self, position):
        """Accept the pair in a slot unless it is dominated by rounding error."""
        change, image = self._changes[0, position], self._changes[-1, position]
        n_pairs = min(self.n_pairs + 1, self.size)
        products = self.multiply(self._steps[-1], change, n_pairs)
        # The Wolfe conditions make the product positive, except for rounding error. L-BFGS requires a positive product.
        if not products[position] > 2 * UNIT_ROUNDOFF * dot(change, image):
            if self.n_pairs == self.size:
                # The rejected step overwrote the oldest pair, so all pairs are dropped.
                self._newest_index, self.n_pairs = -1, 0
            return
        self._newest_index, self.n_pairs = position, n_pairs
        self._cross_products[:n_pairs, position] = products

    def multiply_inverse_hessian(
        self, vector_forms: list[FloatArray], solve: Callable[[FloatArray], FloatArray]
    ) -> list[FloatArray]:
        """Return the inverse Hessian times a vector, in all forms. `vector_forms` are raveled, and are overwritten."""
        n, newest = self.n_pairs, self._newest_index
        if n:
            find_first_loop_scales(
                self.multiply(self._steps[-1], vector_forms[0], n), self._cross_products, newest, n, self._scales
            )
            for vector, changes in zip(vector_forms, self._changes, strict=True):
                self.add_linear_combination(changes, -self._scales[:n], vector)
        vector_forms = [solve(vector) for vector in vector_forms]
        if n:
            # Every pair updates the scale (docs/benchmarks/design-choices.md: scale of the initial matrix).
            solved = solve(self._changes[0, newest])
            scale = self._cross_products[newest, newest] / dot(self._changes[-1, newest], solved)
            self.scale = float(scale)
            for vector in vector_forms:
                vector *= scale
            find_second_loop_scales(
                self.multiply(self._changes[-1], vector_forms[0], n), self._cross_products, newest, n, self._scales
            )
            for vector, steps in zip(vector_forms, self._steps, strict=True):
                self.add_linear_combination(steps, self._scales[:n], vector)
        return vector_forms

    def multiply(self, rows: FloatArray, vector: FloatArray, n_rows: int) -> FloatArray:
        """Return the inner products of the first `n_rows` rows with a vector."""
        run_blocks(fill_block_products, self._n_blocks, rows, n_rows, vector, self._partial_sums)
        return np.add.reduce(self._partial_sums[:, :n_rows])

    def add_linear_combination(self, rows: FloatArray, factors: FloatArray, vector: FloatArray) -> None:
        """Multiply the first len(factors) rows by the factors, and add them to `vector`."""
        run_blocks(add_block_linear_combination, self._n_blocks, rows, len(factors), factors, vector)


class CoefficientPairs(TwoLoopRecursion):
    """The latest steps and gradient changes of L-BFGS. Pairs from another penalty can be converted."""

    def __init__(self, objective: Objective, others: CoefficientPairs | None = None) -> None:
        K, size = objective.shape
        self._center = objective.center
        n_pairs, pair_dtype = objective.budget.choose_lbfgs_pair_storage(K * size)
        super().__init__(n_pairs, K * size, pair_dtype)
        # Pairs that fit into the caches may be stored after the fit.
        self.are_storable = pair_dtype == np.float64
        self._penalty_curvatures = np.tile(objective.penalty.curvatures, K)
        if others is not None:
            self._convert_pairs(others)

    def _convert_pairs(self, others):
        """Add all pairs of `others`, oldest first. Their gradient changes are adjusted to this penalty."""
        difference = self._penalty_curvatures - others._penalty_curvatures
        for pair_age in reversed(range(others.n_pairs)):
            position = (others._newest_index - pair_age) % others.size
            step = others._steps[0, position]
            self.add_pair(step, others._changes[0, position] + difference * step)

    def direction(self, gradient: FloatArray, preconditioner: AnyPreconditioner) -> tuple[FloatArray, float]:
        """Return the quasi-Newton step and an estimate of J - J*, half the squared Newton decrement."""

        def solve(vector):
            # Equal changes of all classes are removed. They do not decrease J, and later steps correct them slowly,
            # because only the penalty has curvature along them (docs/benchmarks/design-choices.md: centered
            # directions).
            return self._center(preconditioner.solve(vector.reshape(gradient.shape))).ravel()

        (vector,) = self.multiply_inverse_hessian([gradient.ravel().copy()], solve)
        return -vector.reshape(gradient.shape), 0.5 * dot(vector, gradient.ravel())
