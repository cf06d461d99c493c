"""Intervals and tests by the profile of a log-likelihood: its maximum at a given value of a coefficient."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastlin.exceptions import InferenceWarning
from fastlin.inference.likelihood import Likelihood, State
from fastlin.inference.maximum import hold, inner
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.inference.contrasts import Contrasts
    from fastlin.objective.objective import Objective

# The distances, in standard errors, to which maxima of all coefficients and of profiles are found, and the most steps.
EXACT, EXACT_ENOUGH, MOST_STEPS = 1e-7, 1e-5, 500
# An end of an interval lies where the value is met within this part of what it falls by.
CLOSE = 1e-9
# Steps that maximise and approach an end at once, how often each is halved, and by which part of the fall it may miss.
QUICK_STEPS, MOST_HALVINGS, OVERSHOOT = 15, 5, 0.1
# Of more parameters each end takes seconds: with 1,200 eight ends take 7 s.
MOST_PROFILED = 1500
# Values that are tried until one lies beyond an end, and how much farther each is than the last. At an end no more than
# the part MISSED of the fall is missing.
MOST_TRIALS, FARTHER, MISSED = 100, 3.0, 1e-6


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
        solved = state.solve(direction)
        curvature = inner(direction, solved)
        slope = inner(direction, state.step) / curvature
        free = inner(state.score, state.step)
        # Half of the rest is what the value would rise by if the coefficient stayed.
        if abs(state.value - target) + max(0.0, free - slope**2 * curvature) <= CLOSE * fall:
            return inner(direction, state.theta)
        pull = side * math.sqrt(max(0.0, 2 * (state.value - target) + free) / curvature)
        step = state.step + pull * solved
        for halvings in range(MOST_HALVINGS):
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

    wanted, middle, state = math.sqrt(2 * fall), inner(direction, maximum.theta), maximum

    def exceed(distance):
        """Return by how much the root exceeds what is wanted; too far for a definite information counts as above."""
        nonlocal state
        found = hold(state, direction[None], np.array([middle + side * distance]), EXACT_ENOUGH, MOST_STEPS)
        if not found.converged:
            return wanted
        root = math.sqrt(2 * max(0.0, maximum.value - found.state.value)) - wanted
        if root <= 0:
            # The way to the next value begins where the last one ended.
            state = found.state
        return root

    low, high = 0.0, wanted * math.sqrt(inner(direction, maximum.solve(direction)))
    for _ in range(MOST_TRIALS):
        if exceed(high) >= 0:
            break
        low, high = high, FARTHER * high
    else:
        return side * math.inf
    distance = optimize.brentq(exceed, low, high, xtol=0.01 * CLOSE * high)
    # A jump is where the information is no longer definite.
    is_met = maximum.value - state.value >= (1 - MISSED) * fall
    return middle + side * distance if is_met else side * math.inf


class Profile:
    """The profiles of the coefficients (K', p) that contrasts report, around the State of the maximum."""

    def __init__(self, maximum: State, contrasts: Contrasts) -> None:
        self._maximum, self._contrasts = maximum, contrasts

    def find_ends(self, places: Sequence[int], level: float) -> FloatArray:
        """Return the intervals of the free columns at places, (K', len(places), 2)."""
        from scipy.special import chdtri

        fall, directions = 0.5 * float(chdtri(1, 1 - level)), self._list_directions(places)
        ends = np.empty((*directions.shape[:2], 2))
        for a, j, side in np.ndindex(ends.shape):
            ends[a, j, side] = find_end(self._maximum, directions[a, j], fall, 2 * side - 1)
        return ends

    def find_p_values(self, places: Sequence[int]) -> FloatArray:
        """Return the p-values of likelihood-ratio tests of single coefficients against zero, (K', len(places))."""
        directions = self._list_directions(places)
        p_values = np.empty(directions.shape[:2])
        for a, j in np.ndindex(p_values.shape):
            p_values[a, j] = self._compare(directions[a, j][None])[1]
        return p_values

    def test_columns(self, places: Sequence[int]) -> tuple[float, float, int]:
        """Return statistic, p-value and degrees of freedom of the test that all coefficients of columns are zero."""
        R, P = self._maximum.likelihood.shape
        # Symmetric coefficients of all classes but the last fix the last one's.
        held = self._list_directions(places)[:R].reshape(-1, R, P)
        return *self._compare(held), len(held)

    def _list_directions(self, places):
        """Return the directions of the coefficients of columns, (K', len(places), R, P)."""
        likelihood = self._maximum.likelihood
        units = self._contrasts.list_units(places).toarray()[:, likelihood.places]
        return units.reshape(len(self._contrasts.matrix), len(places), *likelihood.shape)

    def _compare(self, held):
        from scipy.special import chdtrc

        maximum = self._maximum
        found = hold(maximum, held, np.zeros(len(held)), EXACT_ENOUGH, MOST_STEPS)
        if not found.converged:
            warnings.warn(
                "A likelihood where coefficients are zero could not be maximised; the p-value is not a number.",
                InferenceWarning,
                stacklevel=2,
            )
            return math.nan, math.nan
        statistic = max(0.0, 2 * (maximum.value - found.state.value))
        return statistic, float(chdtrc(len(held), statistic))


def check_size(objective: Objective, *, is_profiled: bool = False) -> None:
    """Raise a ValueError where the information of all parameters is too large for maxima of a likelihood."""
    K, size = objective.shape
    n_parameters = max(1, K - 1) * size
    if is_profiled and n_parameters > MOST_PROFILED:
        raise ValueError(
            f"The model has {n_parameters:,} parameters, and profiles are made for up to {MOST_PROFILED:,}; use "
            "conf_int."
        )
    if not objective.budget.holds_hessian(n_parameters, 0):
        raise ValueError(
            f"The model has {K * size:,} parameters, whose information is too large for profiles and Firth's penalty; "
            "they take fewer features or classes."
        )


def find_maximum(likelihood: Likelihood, parameters: FloatArray) -> State:
    """Return the State of the maximum at parameters (K, d + 1); ValueError: its information is not definite."""
    state = likelihood.at(likelihood.to_theta(parameters))
    if state is None:
        raise ValueError(
            "The likelihood has no maximum with a definite information: columns of X depend on each other, or the "
            "classes are separable."
        )
    return state
