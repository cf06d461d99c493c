"""Maxima of a log-likelihood, and intervals and tests by its profile: its maximum at a given value of a coefficient.

A linear function of theta (n,) is given by its direction a (n,): its value is a' theta. Steps to a maximum are those of
L-BFGS whose starting matrix is the inverse information, which with Firth's penalty is not the curvature alone.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from fastlin.exceptions import InferenceWarning
from fastlin.inference.contrasts import Contrasts
from fastlin.inference.hessian import Factor
from fastlin.inference.hypotheses import TestResult, compare
from fastlin.inference.likelihood import State
from fastlin.kernels.machine.vectors import dot
from fastlin.solvers import line_search
from fastlin.solvers.lbfgs import Recursion
from fastlin.typing import FloatArray

# The steps that tell of the curvature, at most.
PAIRS = 10
# Rounding ends the way to a maximum if the distance has not shrunk for PATIENCE steps and is below BLURRED standard
# errors.
SHRINKS, PATIENCE, BLURRED = 0.9, 15, 1e-3
# Values within this part of each other count as equal, and slopes decide. Columns of different sizes leave no more
# digits of the log-determinant, which ended every second Firth fit at 1e-8 to 1e-6 standard errors in place of 1e-9.
VALUE_ROUNDING = 1e-11
# How many parts the way to values that are held may have, and how far from the maxima, in standard errors, they end.
MAX_PARTS, NEAR = 200, 0.1
# The distances, in standard errors, to which maxima of all coefficients and of profiles are found, and the most steps.
EXACT, EXACT_ENOUGH, MAX_STEPS = 1e-7, 1e-5, 500
# An end of an interval lies where the value is met within this part of what it falls by.
CLOSE = 1e-9
# Steps that maximize and approach an end at once, how often each is halved, and by which part of the fall it may miss.
QUICK_STEPS, MAX_HALVINGS, OVERSHOOT = 15, 5, 0.1
# Of more parameters each end takes seconds: with 1,200 eight ends take 7 s.
MAX_PROFILED = 1500
# Values that are tried until one lies beyond an end, and how much farther each is than the last. At an end no more than
# the part MISSED of the fall is missing.
MAX_TRIALS, FARTHER, MISSED = 100, 3.0, 1e-6


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where a maximization ended: the State, the steps it took, and how far the next step leads in standard errors."""

    state: State
    n_iter: int
    distance: float
    converged: bool


class Metric:
    """The inverse information at a State, in which some directions (m, n) have no part, if any are held."""

    def __init__(self, state: State, held: FloatArray | None) -> None:
        self._factor, self._held = state.factor, held
        if held is not None:
            self._solved = np.stack([self._factor.solve(direction) for direction in held])
            self._inverse = Factor(np.einsum("mi,ni->mn", held, self._solved)).invert()

    def solve(self, vector: FloatArray) -> FloatArray:
        """Return the matrix times a vector (n,): it changes no value that is held."""
        step = self._factor.solve(vector)
        return step if self._held is None else step - self.lead(np.einsum("mi,i->m", self._held, step))

    def lead(self, moves: FloatArray) -> FloatArray:
        """Return the shortest step, in standard errors, that changes the values that are held by moves (m,)."""
        return np.einsum("m,mi->i", np.einsum("mn,n->m", self._inverse, moves), self._solved)


def maximize(begin: State, tol: float, max_iter: int, held: FloatArray | None = None) -> Maximum:
    """Return the Maximum of the likelihood of a State, from there on, with the values of held directions (m, n).

    It converges once the root of score' I^-1 score is at most tol: no linear function moves by more of its error.
    """
    state, least, n_idle = begin, math.inf, 0
    # Divided by the weight, changes are of the order of one.
    pairs, total = Recursion(PAIRS, begin.theta.size), begin.likelihood.total_weight
    for n_iter in range(max_iter + 1):
        metric = Metric(state, held)
        step = metric.solve(state.score)
        distance = math.sqrt(max(0.0, dot(state.score, step)))
        n_idle = 0 if distance < SHRINKS * least else n_idle + 1
        least = min(least, distance)
        is_blurred = n_idle >= PATIENCE and distance <= BLURRED
        if distance <= tol or n_iter == max_iter or is_blurred:
            return Maximum(state, n_iter, distance, distance <= tol or is_blurred)
        if pairs.n_pairs:
            (step,) = pairs.apply([state.score / total], metric.solve)
        found = _search(state, step)
        if found is not None:
            pairs.add_pair(found.theta - state.theta, (state.score - found.score) / total)
            state = found
        elif pairs.n_pairs:
            pairs = Recursion(PAIRS, step.size)
        else:
            # Rounding lets the value rise no more.
            return Maximum(state, n_iter, distance, distance <= BLURRED)
    raise AssertionError("The loop ends at max_iter.")


def _search(state, step):
    """Return the State along a step where the value has risen enough; None where it never does."""
    found, slope = None, dot(state.score, step)
    if not slope > 0:
        return None

    def function(length):
        nonlocal found
        found = state.likelihood.at(state.theta + length * step)
        return (math.inf, math.nan) if found is None else (-found.value, -dot(found.score, step))

    length = line_search.search(function, -state.value, -slope, rounding=VALUE_ROUNDING)
    return None if length is None else found


def hold(maximum: State, held: FloatArray, values: FloatArray) -> Maximum:
    """Return the Maximum where the linear functions of directions (m, n) have values (m,), from a State on."""
    state, part = maximum, 1.0
    for _ in range(MAX_PARTS):
        left = values - np.einsum("mi,i->m", held, state.theta)
        found = state.likelihood.at(state.theta + Metric(state, held).lead(part * left))
        if found is None:
            # The way there may leave where the information is definite: then it is gone in parts.
            part *= 0.5
            continue
        if part == 1.0:
            return maximize(found, EXACT_ENOUGH, MAX_STEPS, held)
        state, part = maximize(found, NEAR, MAX_STEPS, held).state, min(1.0, 2 * part)
    return Maximum(state, MAX_PARTS, math.inf, False)


def find_end(maximum: State, direction: FloatArray, fall: float, side: int) -> float:
    """Return the coefficient of a direction at which its profile is `fall` below the maximum; side is 1 or -1.

    An end that lies beyond where the information is definite is infinite.
    """
    end = _step_to_end(maximum, direction, fall, side)
    return _search_end(maximum, direction, fall, side) if end is None else end


def _step_to_end(maximum, direction, fall, side):
    """Return the end by the steps of Venzon and Moolgavkar (1988), or None where they do not lead there soon."""
    state, target = maximum, maximum.value - fall
    for _ in range(QUICK_STEPS):
        solved = state.factor.solve(direction)
        curvature = dot(direction, solved)
        slope = dot(direction, state.step) / curvature
        free = dot(state.score, state.step)
        # Half of the rest is what the value would rise by if the coefficient stayed.
        if abs(state.value - target) + max(0.0, free - slope**2 * curvature) <= CLOSE * fall:
            return dot(direction, state.theta)
        pull = side * math.sqrt(max(0.0, 2 * (state.value - target) + free) / curvature)
        step = state.step + pull * solved
        for halvings in range(MAX_HALVINGS):
            found = state.likelihood.at(state.theta + 0.5**halvings * step)
            if found is not None and found.value >= target - OVERSHOOT * fall:
                break
        else:
            return None
        state = found
    return None


def _search_end(maximum, direction, fall, side):
    """Return the end by the root of sqrt(2 fall), nearly a line in the distance from the maximum."""
    # scipy.optimize takes 20 ms to import.
    from scipy import optimize

    wanted, middle, state = math.sqrt(2 * fall), dot(direction, maximum.theta), maximum
    # The nearest distance beyond the end, and whether the likelihood has a maximum there.
    beyond, has_maximum = math.inf, False

    # Values that are found from elsewhere differ by their rounding, and with it perhaps their signs.
    @cache
    def exceed(distance):
        """Return by how much the root exceeds what is wanted; too far for a definite information counts as above."""
        nonlocal state, beyond, has_maximum
        found = hold(state, direction[None], np.array([middle + side * distance]))
        value = _read_value(found)
        root = wanted if value is None else math.sqrt(2 * max(0.0, maximum.value - value)) - wanted
        if root <= 0:
            # The way to the next value begins where the last one ended.
            state = found.state
        elif distance < beyond:
            beyond, has_maximum = distance, value is not None
        return root

    low, high = 0.0, wanted * math.sqrt(dot(direction, maximum.factor.solve(direction)))
    for _ in range(MAX_TRIALS):
        if exceed(high) >= 0:
            break
        low, high = high, FARTHER * high
    else:
        return side * math.inf
    distance = optimize.brentq(exceed, low, high, xtol=0.01 * CLOSE * high)
    # A jump is where the information is no longer definite. Rounding of the values may hide that they meet.
    is_criterion_met = has_maximum or maximum.value - state.value >= (1 - MISSED) * fall
    return middle + side * distance if is_criterion_met else side * math.inf


def _read_value(found):
    """Return the value at a Maximum, or near one whose way rounding has ended: there it would still rise; else None."""
    return found.state.value + 0.5 * found.distance**2 if found.distance <= NEAR else None


class Profile:
    """The profiles of the coefficients (K', p) that contrasts report, around the State of the maximum."""

    def __init__(self, maximum: State, contrasts: Contrasts) -> None:
        self._maximum, self._contrasts = maximum, contrasts

    def find_ends(self, positions: Sequence[int], level: float) -> FloatArray:
        """Return the intervals of the free columns at places, (K', len(places), 2)."""
        from scipy.special import chdtri

        fall, directions = 0.5 * float(chdtri(1, 1 - level)), self._list_directions(positions)
        ends = np.empty((*directions.shape[:2], 2))
        for a, j, side in np.ndindex(ends.shape):
            ends[a, j, side] = find_end(self._maximum, directions[a, j], fall, 2 * side - 1)
        return ends

    def find_p_values(self, positions: Sequence[int]) -> FloatArray:
        """Return the p-values of likelihood-ratio tests of single coefficients against zero, (K', len(places))."""
        directions = self._list_directions(positions)
        p_values = np.empty(directions.shape[:2])
        for a, j in np.ndindex(p_values.shape):
            p_values[a, j] = self._compare(directions[a, j][None]).p_value
        return p_values

    def test_columns(self, positions: Sequence[int]) -> TestResult:
        """Return the test that all coefficients of columns are zero."""
        # Symmetric coefficients of all classes but the last fix the last one's.
        return self._compare(np.concatenate(self._list_directions(positions)[: self._contrasts.n_free]))

    def _list_directions(self, positions):
        """Return the directions of the coefficients of columns, (K', len(places), n)."""
        units = self._contrasts.list_units(positions).toarray()[:, self._maximum.likelihood.positions]
        return units.reshape(len(self._contrasts.matrix), len(positions), -1)

    def _compare(self, held):
        maximum, statistic = self._maximum, math.nan
        value = _read_value(hold(maximum, held, np.zeros(len(held))))
        if value is not None:
            statistic = max(0.0, 2 * (maximum.value - value))
        else:
            warnings.warn(
                "A likelihood where coefficients are zero could not be maximized; the p-value is not a number.",
                InferenceWarning,
                stacklevel=2,
            )
        return compare("penalized likelihood ratio", statistic, len(held))
