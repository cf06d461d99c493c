"""Maxima of a log-likelihood, and intervals and tests by its profile: its maximum at a given value of a coefficient.

A coefficient is a linear function of theta, given by its direction a (R, P): the coefficient is sum(a theta).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastlin.inference.factors import Factor
from fastlin.inference.likelihood import Likelihood, State
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.inference.contrasts import Contrasts
    from fastlin.objective.objective import Objective

MOST_HALVINGS = 40
# Rounding of the value, relative to it: a step that lowers it by no more is taken.
ROUNDING = 1e-13
# A step to the end of an interval may fall below the value there by this part of what the value falls to it.
OVERSHOOT = 0.1
MOST_STEPS = 200
# Where the distance from a maximum has not shrunk for so many steps and is below so many standard errors, rounding
# keeps it there: columns that depend on each other but for a thousandth leave 1e-5.
SHRINKS, PATIENCE, BLURRED = 0.9, 10, 1e-3
# The maxima of profiles are found to so many standard errors.
EXACT = 1e-7
# An end of an interval lies where the value is met within this part of what it falls by.
CLOSE = 1e-9
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
    state, least, n_idle = begin, math.inf, 0
    for n_iter in range(max_iter + 1):
        step, distance = _find_step(state, held)
        n_idle = 0 if distance < SHRINKS * least else n_idle + 1
        least = min(least, distance)
        if distance <= tol or n_iter == max_iter:
            return Maximum(state, n_iter, distance, distance <= tol)
        found = _approach(state, step, distance, held) if distance <= BLURRED else None
        if found is None:
            found = _halve(state, step, state.value - ROUNDING * abs(state.value))
        # The distance falls by no more than rounding lets it.
        is_blurred = n_idle >= PATIENCE and distance <= BLURRED
        if found is None or is_blurred:
            return Maximum(state, n_iter, distance, distance <= BLURRED)
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


def _approach(state, step, distance, held):
    """Return the State after a step near a maximum, where the score tells more than the value; None if it is no nearer.

    Where columns nearly depend on each other, rounding of the determinant would refuse the last steps.
    """
    found = state.likelihood.at(state.theta + step)
    return None if found is None or _find_step(found, held)[1] >= distance else found


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
    state, target, least, n_idle = maximum, maximum.value - fall, math.inf, 0
    for _ in range(MOST_STEPS):
        solved = state.solve(direction)
        curvature = _inner(direction, solved)
        slope = _inner(direction, state.step) / curvature
        free = _inner(state.score, state.step)
        # Half of the rest is what the value would rise by if the coefficient stayed.
        off = abs(state.value - target) + max(0.0, free - slope**2 * curvature)
        n_idle = 0 if off < SHRINKS * least else n_idle + 1
        least = min(least, off)
        if off <= CLOSE * fall or (n_idle >= PATIENCE and off <= BLURRED * fall):
            return _inner(direction, state.theta)
        pull = side * math.sqrt(max(0.0, 2 * (state.value - target) + free) / curvature)
        found = _halve(state, state.step + pull * solved, target - OVERSHOOT * fall)
        if found is None:
            break
        state = found
    return side * math.inf


class Profile:
    """The profiles of the coefficients that an `Inference` reports.

    Parameters
    ----------
    maximum : State
        That of the maximum of the likelihood.
    contrasts : Contrasts
        How the coefficients, (K', p), come from the parameters of the objective.
    """

    def __init__(self, maximum: State, contrasts: Contrasts) -> None:
        likelihood = maximum.likelihood
        R, P = likelihood.shape
        coordinates, free = contrasts.coordinates, likelihood.free
        self._maximum, self._columns = maximum, np.full(len(free), -1)
        self._columns[free] = np.arange(P)
        by_column = np.diag(np.append(coordinates.scale, 1.0))
        by_column[-1, :-1] = coordinates.shift
        self._by_column = by_column[np.ix_(free, free)]
        # The parameters of the first of three classes and more are zero in theta.
        self._directions = np.einsum("ar,jp->ajrp", contrasts.matrix[:, -R:], self._by_column)

    def find_ends(self, places: Sequence[int], level: float) -> FloatArray:
        """Return the intervals of the columns at places, (K', len(places), 2); NaN where coefficients are not free."""
        from scipy.special import chdtri

        fall = 0.5 * float(chdtri(1, 1 - level))
        ends = np.full((len(self._directions), len(places), 2), np.nan)
        for a, place, direction in self._list_directions(places):
            ends[a, place] = [find_end(self._maximum, direction, fall, side) for side in (-1, 1)]
        return ends

    def find_p_values(self, places: Sequence[int]) -> FloatArray:
        """Return the p-values of likelihood-ratio tests of single coefficients against zero, (K', len(places))."""
        p_values = np.full((len(self._directions), len(places)), np.nan)
        for a, place, direction in self._list_directions(places):
            p_values[a, place] = self._compare(direction[None])[1]
        return p_values

    def test_columns(self, places: Sequence[int]) -> tuple[float, float, int]:
        """Return statistic, p-value and degrees of freedom of the test that all coefficients of columns are zero."""
        R, P = self._maximum.likelihood.shape
        columns = [column for column in self._columns[list(places)] if column >= 0]
        held = np.einsum("rs,jp->rjsp", np.eye(R), self._by_column[columns]).reshape(-1, R, P)
        return *self._compare(held), len(held)

    def _list_directions(self, places):
        """Yield row and column of each free coefficient among an array of columns, and its direction."""
        for a, directions in enumerate(self._directions):
            for place, j in enumerate(places):
                if self._columns[j] >= 0:
                    yield a, place, directions[self._columns[j]]

    def _compare(self, held):
        from scipy.special import chdtrc

        maximum = self._maximum
        found = hold(maximum, held, np.zeros(len(held)), EXACT, MOST_STEPS)
        statistic = max(0.0, 2 * (maximum.value - found.state.value))
        return statistic, float(chdtrc(len(held), statistic))


def _inner(a, b):
    return float(np.einsum("ij,ij->", a, b))


def check_size(objective: Objective) -> None:
    """Raise a ValueError where the information of all parameters is too large for maxima of a likelihood."""
    K, size = objective.shape
    if not objective.budget.holds_hessian(max(1, K - 1) * size, 0):
        raise ValueError(
            f"The model has {K * size:,} parameters, whose information is too large for profiles and Firth's penalty; "
            "they take fewer features or classes."
        )


def find_maximum(likelihood: Likelihood, parameters: FloatArray) -> State:
    """Return the State of the maximum, from parameters (K, d + 1) of the objective near it.

    Raises
    ------
    ValueError
        The likelihood has no finite maximum there, or columns depend on each other.
    """
    begin = likelihood.at(likelihood.to_theta(parameters))
    found = None if begin is None else maximise(begin, EXACT, MOST_STEPS)
    if found is None or not found.converged:
        raise ValueError(
            "The likelihood has no maximum with a definite information: columns of X depend on each other, or the "
            "classes are separable."
        )
    return found.state
