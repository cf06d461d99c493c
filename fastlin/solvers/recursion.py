"""The recursion of L-BFGS: the last steps' estimate of the inverse Hessian (Nocedal and Wright 2006, algorithm 7.4)."""

from collections.abc import Callable

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
from fastlin.typing import FloatArray, FloatType


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

    def take_in(self, step: FloatArray, change: FloatArray) -> None:
        """Take in a pair, both raveled, of one form."""
        place = self.place_next()
        self._steps[0, place], self._changes[0, place] = step, change
        self.accept(place)

    def place_next(self) -> int:
        """Return the place of the next pair, which joins the recursion only by `accept`."""
        return (self._newest + 1) % self.size

    def accept(self, place: int) -> None:
        """Take in the pair that was written to a place, unless rounding has spoilt it."""
        change, image = self._changes[0, place], self._changes[-1, place]
        n_pairs = min(self.n_pairs + 1, self.size)
        products = self.multiply(self._steps[-1], change, n_pairs)
        # Positive by the Wolfe conditions, save for rounding; without it the approximation is not positive definite.
        if not products[place] > 2 * UNIT_ROUNDOFF * dot(change, image):
            if self.n_pairs == self.size:
                # The rejected step overwrote the oldest pair, so all pairs are dropped.
                self._newest, self.n_pairs = -1, 0
            return
        self._newest, self.n_pairs = place, n_pairs
        self._crossed[:n_pairs, place] = products

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
