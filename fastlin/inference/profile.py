"""Maxima of a log-likelihood, and intervals and tests by its profile: its maximum at a given value of a coefficient.

A coefficient is a linear function of theta, given by its direction a (R, P): the coefficient is sum(a theta).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fastlin.inference.likelihood import Likelihood, State
from fastlin.typing import FloatArray

MOST_HALVINGS = 40
# Rounding of the value, relative to it: a step that lowers it by no more is taken.
ROUNDING = 1e-13
# A step to the end of an interval may fall below the value there by this part of what the value falls to it.
OVERSHOOT = 0.1
MOST_STEPS = 200
# An end of an interval lies where the value is met within this, of which errors of a coefficient follow.
CLOSE = 1e-10


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where a maximisation ended: the State, the steps it took, and how far the next step leads in standard errors."""

    state: State
    n_iter: int
    distance: float
    converged: bool


def maximise(begin: State, tol: float, max_iter: int, direction: FloatArray | None = None) -> Maximum:
    """Return the Maximum of the likelihood of a State, from there on, by Fisher's scoring with halved steps.

    It converges once the square root of score' I^-1 score is no more than tol: no coefficient, nor any linear
    function of them, would then move by more than tol of its standard error. A direction holds its coefficient where
    it is.
    """
    state = begin
    for n_iter in range(max_iter + 1):
        step, distance = _find_step(state, direction)
        if distance <= tol or n_iter == max_iter:
            return Maximum(state, n_iter, distance, distance <= tol)
        found = _halve(state, step, state.value - ROUNDING * abs(state.value))
        if found is None:
            # Rounding lets the value rise no more.
            return Maximum(state, n_iter, distance, distance <= math.sqrt(ROUNDING * max(1.0, abs(state.value))))
        state = found
    raise AssertionError("The loop ends at max_iter.")


def _find_step(state, direction):
    """Return the step of Fisher's scoring, one that holds a direction's coefficient, and its length in errors."""
    step = state.step
    if direction is not None:
        solved = state.solve(direction)
        step = step - solved * (_inner(direction, step) / _inner(direction, solved))
    return step, math.sqrt(max(0.0, _inner(state.score, step)))


def _halve(state, step, least):
    """Return the State after a step, halved until its value is at least `least`; None where no part of it does."""
    for _ in range(MOST_HALVINGS):
        found = state.likelihood.at(state.theta + step)
        if found is not None and found.value >= least:
            return found
        step = 0.5 * step
    return None


def hold(maximum: State, direction: FloatArray, value: float, tol: float, max_iter: int) -> Maximum:
    """Return the Maximum where a direction's coefficient has a value, from the State of the maximum of all theta."""
    solved, state = maximum.solve(direction), None
    solved /= _inner(direction, solved)
    distance = value - _inner(direction, maximum.theta)
    # The way there may leave where the information is definite: then it is gone in parts.
    part, state = 1.0, maximum
    for _ in range(MOST_STEPS):
        left = value - _inner(direction, state.theta)
        found = state.likelihood.at(state.theta + min(part, 1.0) * left * solved)
        if found is None:
            part *= 0.5
            continue
        is_there = part >= 1.0
        ended = maximise(found, tol if is_there else 0.1, max_iter, direction)
        if is_there:
            return ended
        state, part = ended.state, 2 * part
        solved = state.solve(direction)
        solved /= _inner(direction, solved)
    raise ArithmeticError(f"no likelihood is finite at a distance of {distance:.3g} from the maximum of a coefficient")


def find_end(maximum: State, direction: FloatArray, fall: float, side: int) -> float:
    """Return the coefficient of a direction at which its profile has fallen by `fall` below the maximum.

    The side is 1 for the upper end and -1 for the lower one. An end that is never reached is infinite. The steps are
    those of Venzon and Moolgavkar (1988), which maximise and approach the value at once, halved where they leave the
    region of larger values.
    """
    state, target = maximum, maximum.value - fall
    for _ in range(MOST_STEPS):
        solved = state.solve(direction)
        curvature = _inner(direction, solved)
        free = _inner(state.score, state.step)
        # The derivative along the profile, of the other sign, and what is left of the slope without it.
        slope = _inner(direction, state.step) / curvature
        rest = max(0.0, free - slope**2 * curvature)
        off = abs(state.value - target)
        if off <= max(CLOSE * fall, ROUNDING * abs(state.value)) and rest <= CLOSE:
            return _inner(direction, state.theta)
        square = 2 * (state.value - target) + free
        pull = side * math.sqrt(max(0.0, square) / curvature)
        found = _halve(state, state.step + pull * solved, target - OVERSHOOT * fall)
        if found is None:
            break
        state = found
    return side * math.inf


def _inner(a, b):
    return float(np.einsum("ij,ij->", a, b))


def directions_of(likelihood: Likelihood, rows: FloatArray) -> FloatArray:
    """Return the directions of coefficients in the columns as they were given, (len(rows), P, R, P).

    Each of the rows (m, R) is a sum of the classes of theta, with a number for each; the coefficients are those of the
    free columns in their order, the intercept last.
    """
    R, P = likelihood.shape
    free, coordinates = likelihood.free, likelihood.objective.coordinates
    by_column = np.diag(np.append(coordinates.scale, 1.0))
    by_column[-1, :-1] = coordinates.shift
    own = by_column[np.ix_(free, free)]
    return np.einsum("mr,jp->mjrp", rows, own)
