"""Maxima of a log-likelihood, over all theta or with some linear functions of it held.

A linear function is given by its direction a (R, P): its value is sum(a theta). Steps are those of L-BFGS whose
starting matrix is the inverse information, which with Firth's penalty is not the curvature alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fastlin.inference.factors import Factor
from fastlin.inference.likelihood import State
from fastlin.solvers import line_search
from fastlin.solvers.recursion import Recursion
from fastlin.typing import FloatArray

# The steps that tell of the curvature, at most.
PAIRS = 10
# Rounding ends the way to a maximum if the distance has not shrunk for PATIENCE steps and is below BLURRED standard
# errors.
SHRINKS, PATIENCE, BLURRED = 0.9, 15, 1e-3
# How many parts the way to values that are held may have, and how far from the maxima, in standard errors, they end.
MOST_PARTS, NEAR = 200, 0.1


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where a maximisation ended: the State, the steps it took, and how far the next step leads in standard errors."""

    state: State
    n_iter: int
    distance: float
    converged: bool


class Metric:
    """The inverse information at a State, in which some directions (m, R, P) have no part, if any are held."""

    def __init__(self, state: State, held: FloatArray | None) -> None:
        self._state, self._held = state, held
        if held is not None:
            self._solved = np.stack([state.solve(direction) for direction in held])
            self._inverse = Factor(np.einsum("mrp,nrp->mn", held, self._solved)).invert()

    def apply(self, vector: FloatArray) -> FloatArray:
        """Return the matrix times a vector (R, P): it changes no value that is held."""
        step = self._state.solve(vector)
        return step if self._held is None else step - self.lead(np.einsum("mrp,rp->m", self._held, step))

    def solve(self, vector: FloatArray) -> FloatArray:
        """Return the matrix times a vector, both raveled."""
        return self.apply(vector.reshape(self._state.theta.shape)).ravel()

    def lead(self, moves: FloatArray) -> FloatArray:
        """Return the shortest step, in standard errors, that changes the values that are held by moves (m,)."""
        return np.einsum("m,mrp->rp", np.einsum("mn,n->m", self._inverse, moves), self._solved)


def maximise(begin: State, tol: float, max_iter: int, held: FloatArray | None = None) -> Maximum:
    """Return the Maximum of the likelihood of a State, from there on, with the values of held directions (m, R, P).

    It converges once the root of score' I^-1 score is at most tol: no linear function moves by more of its error.
    """
    state, least, n_idle = begin, math.inf, 0
    # Divided by the weight, changes are of the order of one.
    pairs, total = Recursion(PAIRS, begin.theta.size), begin.likelihood.total_weight
    for n_iter in range(max_iter + 1):
        metric = Metric(state, held)
        plain = metric.apply(state.score)
        distance = math.sqrt(max(0.0, inner(state.score, plain)))
        n_idle = 0 if distance < SHRINKS * least else n_idle + 1
        least = min(least, distance)
        is_blurred = n_idle >= PATIENCE and distance <= BLURRED
        if distance <= tol or n_iter == max_iter or is_blurred:
            return Maximum(state, n_iter, distance, distance <= tol or is_blurred)
        step = plain
        if pairs.n_pairs:
            (turned,) = pairs.apply([state.score.ravel() / total], metric.solve)
            step = turned.reshape(plain.shape)
        found = _approach(state, step, held, distance) or _search(state, step)
        if found is not None:
            pairs.take_in((found.theta - state.theta).ravel(), (state.score - found.score).ravel() / total)
            state = found
        elif pairs.n_pairs:
            pairs = Recursion(PAIRS, plain.size)
        else:
            # Rounding lets the value rise no more.
            return Maximum(state, n_iter, distance, distance <= BLURRED)
    raise AssertionError("The loop ends at max_iter.")


def _approach(state, step, held, distance):
    """Return the State after a step near a maximum, where the score tells more than the value; None if no nearer."""
    if distance > BLURRED:
        return None
    found = state.likelihood.at(state.theta + step)
    if found is None:
        return None
    left = inner(found.score, Metric(found, held).apply(found.score))
    return found if left < distance**2 else None


def _search(state, step):
    """Return the State along a step where the value has risen enough; None where it never does."""
    found, slope = None, inner(state.score, step)
    if not slope > 0:
        return None

    def function(length):
        nonlocal found
        found = state.likelihood.at(state.theta + length * step)
        return (math.inf, math.nan) if found is None else (-found.value, -inner(found.score, step))

    length = line_search.search(function, -state.value, -slope)
    return None if length is None else found


def hold(maximum: State, held: FloatArray, values: FloatArray, tol: float, max_iter: int) -> Maximum:
    """Return the Maximum where the linear functions of directions (m, R, P) have values (m,), from a State on."""
    state, part = maximum, 1.0
    for _ in range(MOST_PARTS):
        left = values - np.einsum("mrp,rp->m", held, state.theta)
        found = state.likelihood.at(state.theta + Metric(state, held).lead(part * left))
        if found is None:
            # The way there may leave where the information is definite: then it is gone in parts.
            part *= 0.5
            continue
        if part == 1.0:
            return maximise(found, tol, max_iter, held)
        state, part = maximise(found, NEAR, max_iter, held).state, min(1.0, 2 * part)
    return Maximum(state, MOST_PARTS, math.inf, False)


def inner(a: FloatArray, b: FloatArray) -> float:
    """Return the sum of the products of the entries of two arrays (R, P), the same bits whatever BLAS does."""
    return float(np.einsum("ij,ij->", a, b))
