"""Maxima of a log-likelihood, and intervals and tests by its profile: its maximum at a given value of a coefficient.

A coefficient is a linear function of theta, given by its direction a (R, P): the coefficient is sum(a theta).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fastlin.inference.factors import Factor
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
# How far from the maximum, in standard errors, the parts of a way may end.
NEAR = 0.1


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where a maximisation ended: the State, the steps it took, and how far the next step leads in standard errors."""

    state: State
    n_iter: int
    distance: float
    converged: bool


def maximise(begin: State, tol: float, max_iter: int, held: FloatArray | None = None) -> Maximum:
    """Return the Maximum of the likelihood of a State, from there on, by Fisher's scoring with halved steps.

    It converges once the square root of score' I^-1 score is no more than tol: no coefficient, nor any linear
    function of them, would then move by more than tol of its standard error. Coefficients whose directions are held,
    (m, R, P), stay where they are.
    """
    state = begin
    for n_iter in range(max_iter + 1):
        step, distance = _find_step(state, held)
        if distance <= tol or n_iter == max_iter:
            return Maximum(state, n_iter, distance, distance <= tol)
        found = _halve(state, step, state.value - ROUNDING * abs(state.value))
        if found is None:
            # Rounding lets the value rise no more.
            return Maximum(state, n_iter, distance, distance <= math.sqrt(ROUNDING * max(1.0, abs(state.value))))
        state = found
    raise AssertionError("The loop ends at max_iter.")


def _find_step(state, held):
    """Return the step of Fisher's scoring, which holds some coefficients, and its length in standard errors."""
    step = state.step
    if held is not None:
        step = step + _lead(state, held, -np.einsum("mrp,rp->m", held, step))
    return step, math.sqrt(max(0.0, _inner(state.score, step)))


def _lead(state, held, moves):
    """Return the shortest step, in standard errors, that moves the coefficients of directions (m, R, P) so far (m,)."""
    solved = np.stack([state.solve(direction) for direction in held])
    factor = Factor.of(np.einsum("mrp,nrp->mn", held, solved))
    return np.einsum("m,mrp->rp", np.einsum("mn,n->m", factor.inverse, moves), solved)


def _halve(state, step, least):
    """Return the State after a step, halved until its value is at least `least`; None where no part of it does."""
    for _ in range(MOST_HALVINGS):
        found = state.likelihood.at(state.theta + step)
        if found is not None and found.value >= least:
            return found
        step = 0.5 * step
    return None


def hold(maximum: State, held: FloatArray, values: FloatArray, tol: float, max_iter: int) -> Maximum:
    """Return the Maximum where coefficients of some directions (m, R, P) have values (m,).

    It starts from the State of the maximum of all theta.
    """
    state, part = maximum, 1.0
    for _ in range(MOST_STEPS):
        left = values - np.einsum("mrp,rp->m", held, state.theta)
        found = state.likelihood.at(state.theta + _lead(state, held, part * left))
        if found is None:
            # The way there may leave where the information is definite: then it is gone in parts.
            part *= 0.5
            continue
        if part == 1.0:
            return maximise(found, tol, max_iter, held)
        state, part = maximise(found, NEAR, max_iter, held).state, min(1.0, 2 * part)
    raise ArithmeticError("No likelihood is finite on the way from its maximum to the values that are held.")


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
