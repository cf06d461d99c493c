"""The two-loop recursion of L-BFGS: products with the inverse of the limited-memory BFGS matrix."""

from __future__ import annotations

from collections.abc import Callable
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
from fastlin.typing import FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.objective.objective import Objective
    from fastlin.solvers.preconditioners import AnyPreconditioner


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
