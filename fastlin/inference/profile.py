"""Maximization of a log-likelihood, and profile likelihood intervals and tests.

The profile of a coefficient is the maximum of the likelihood as a function of its value. More generally, a direction a
(n,) stands for the linear function a' theta of theta (n,). Maximization uses L-BFGS with the inverse information as the
initial inverse Hessian, because the information is not the exact curvature if there is a Firth penalty.
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
from fastlin.inference.hessian import CholeskyFactor
from fastlin.inference.hypotheses import TestResult, compute_test
from fastlin.inference.likelihood import LikelihoodState
from fastlin.kernels.machine.vectors import dot
from fastlin.solvers import line_search
from fastlin.solvers.two_loop_recursion import TwoLoopRecursion
from fastlin.typing import FloatArray

# Number of L-BFGS pairs.
MAX_LBFGS_PAIRS = 10
# The maximization stops because of rounding error if the Newton decrement, the length of a Newton step in standard
# errors, is below MAX_STALLED_DECREMENT and has not decreased by a factor of STALLED_DECREMENT_RATIO in
# MAX_STALLED_STEPS steps.
STALLED_DECREMENT_RATIO, MAX_STALLED_STEPS, MAX_STALLED_DECREMENT = 0.9, 15, 1e-3
# Values with a smaller relative difference are treated as equal, and the line search uses slopes instead. If columns
# have different scales, the error of the log-determinant is larger than a float64 rounding error
# (docs/benchmarks/design-choices.md: firth value tolerance).
VALUE_ROUNDING_TOL = 1e-11
# Maximum number of stages on the path to fixed values, and the Newton decrement after each stage.
MAX_CONSTRAINT_STAGES, STAGE_DECREMENT_TOL = 200, 0.1
# Newton decrements at which maximization stops for estimates and for profiles, and the maximum number of steps.
ESTIMATE_TOL, PROFILE_TOL, MAX_STEPS = 1e-7, 1e-5, 500
# Accuracy of the profile at an interval limit, relative to the decrease of the log-likelihood there.
INTERVAL_LIMIT_TOL = 1e-9
# Maximum number of Venzon-Moolgavkar steps and of halvings per step, and maximum overshoot relative to `decrease`.
MAX_VENZON_MOOLGAVKAR_STEPS, MAX_HALVINGS, MAX_RELATIVE_OVERSHOOT = 15, 5, 0.1
# With more parameters, an interval limit takes seconds (docs/benchmarks/design-choices.md: profile size).
MAX_PROFILE_PARAMETERS = 1500
# Bracketing of a limit: the maximum number of trials, the growth factor of the bracket, and the largest distance of the
# profile from its target at a limit, relative to `decrease`.
MAX_BRACKET_TRIALS, BRACKET_GROWTH_FACTOR, MAX_LIMIT_ERROR = 100, 3.0, 1e-6


@dataclass(frozen=True, eq=False)
class LikelihoodMaximum:
    """The result of a maximization. `newton_decrement` is the length of the next Newton step, in standard errors."""

    state: LikelihoodState
    n_iter: int
    newton_decrement: float
    converged: bool


class InformationMetric:
    """The inverse information at a state, for steps that do not change the values of `fixed_directions` directions."""

    def __init__(self, state: LikelihoodState, fixed_directions: FloatArray | None) -> None:
        self._factor, self._fixed_directions = state.factor, fixed_directions
        if fixed_directions is not None:
            self._constraint_steps = np.stack([self._factor.solve(direction) for direction in fixed_directions])
            self._inverse = CholeskyFactor(np.einsum("mi,ni->mn", fixed_directions, self._constraint_steps)).invert()

    def solve(self, vector: FloatArray) -> FloatArray:
        """Return the product of this matrix and a vector (n,)."""
        step = self._factor.solve(vector)
        return (
            step
            if self._fixed_directions is None
            else step - self.find_shortest_step(np.einsum("mi,i->m", self._fixed_directions, step))
        )

    def find_shortest_step(self, changes: FloatArray) -> FloatArray:
        """Return the step that changes the fixed values by `changes` (m,) and is shortest in standard errors."""
        return np.einsum("m,mi->i", np.einsum("mn,n->m", self._inverse, changes), self._constraint_steps)


def maximize_likelihood(
    start: LikelihoodState, tol: float, max_iter: int, fixed_directions: FloatArray | None = None
) -> LikelihoodMaximum:
    """Maximize a likelihood from a state without changing the values of `fixed_directions` directions (m, n).

    The convergence criterion sqrt(score' I^-1 score) <= tol means that the next step changes no linear function of the
    coefficients by more than tol times its standard error.
    """
    state, smallest_decrement, n_stalled_steps = start, math.inf, 0
    # After division by the total weight, changes in the gradient are of order one.
    pairs, total = TwoLoopRecursion(MAX_LBFGS_PAIRS, start.theta.size), start.likelihood.total_weight
    for n_iter in range(max_iter + 1):
        metric = InformationMetric(state, fixed_directions)
        step = metric.solve(state.score)
        newton_decrement = math.sqrt(max(0.0, dot(state.score, step)))
        n_stalled_steps = 0 if newton_decrement < STALLED_DECREMENT_RATIO * smallest_decrement else n_stalled_steps + 1
        smallest_decrement = min(smallest_decrement, newton_decrement)
        is_stalled = n_stalled_steps >= MAX_STALLED_STEPS and newton_decrement <= MAX_STALLED_DECREMENT
        if newton_decrement <= tol or n_iter == max_iter or is_stalled:
            return LikelihoodMaximum(state, n_iter, newton_decrement, newton_decrement <= tol or is_stalled)
        if pairs.n_pairs:
            (step,) = pairs.multiply_inverse_hessian([state.score / total], metric.solve)
        end = _search_along_step(state, step)
        if end is not None:
            pairs.add_pair(end.theta - state.theta, (state.score - end.score) / total)
            state = end
        elif pairs.n_pairs:
            pairs = TwoLoopRecursion(MAX_LBFGS_PAIRS, step.size)
        else:
            # Rounding error permits no further increase.
            return LikelihoodMaximum(state, n_iter, newton_decrement, newton_decrement <= MAX_STALLED_DECREMENT)
    raise AssertionError("The loop ends at max_iter.")


def _search_along_step(state, step):
    """Return a state along a step at which the value has increased sufficiently, or None if there is none."""
    end, slope = None, dot(state.score, step)
    if not slope > 0:
        return None

    def function(step_length):
        nonlocal end
        end = state.likelihood.at(state.theta + step_length * step)
        return (math.inf, math.nan) if end is None else (-end.value, -dot(end.score, step))

    step_length = line_search.search_step(function, -state.value, -slope, rounding=VALUE_ROUNDING_TOL)
    return None if step_length is None else end


def maximize_constrained(
    maximum: LikelihoodState, fixed_directions: FloatArray, values: FloatArray
) -> LikelihoodMaximum:
    """Return the Maximum at which the linear functions of `fixed_directions` directions (m, n) equal `values` (m,)."""
    state, fraction = maximum, 1.0
    for _ in range(MAX_CONSTRAINT_STAGES):
        remaining = values - np.einsum("mi,i->m", fixed_directions, state.theta)
        end = state.likelihood.at(
            state.theta + InformationMetric(state, fixed_directions).find_shortest_step(fraction * remaining)
        )
        if end is None:
            # The information is not positive definite there, so the path is divided into stages.
            fraction *= 0.5
            continue
        if fraction == 1.0:
            return maximize_likelihood(end, PROFILE_TOL, MAX_STEPS, fixed_directions)
        state, fraction = (
            maximize_likelihood(end, STAGE_DECREMENT_TOL, MAX_STEPS, fixed_directions).state,
            min(1.0, 2 * fraction),
        )
    return LikelihoodMaximum(state, MAX_CONSTRAINT_STAGES, math.inf, False)


def find_interval_limit(maximum: LikelihoodState, direction: FloatArray, decrease: float, side: int) -> float:
    """Return the value of a linear function at which its profile is `decrease` below the maximum; `side` is 1 or -1.

    The limit is infinite if the information becomes singular before the profile decreases by `decrease`.
    """
    limit = _step_to_interval_limit(maximum, direction, decrease, side)
    return _search_interval_limit(maximum, direction, decrease, side) if limit is None else limit


def _step_to_interval_limit(maximum, direction, decrease, side):
    """Return the limit computed by Venzon and Moolgavkar (1988) steps, or None if they do not converge quickly."""
    state, target = maximum, maximum.value - decrease
    for _ in range(MAX_VENZON_MOOLGAVKAR_STEPS):
        solved = state.factor.solve(direction)
        curvature = dot(direction, solved)
        slope = dot(direction, state.step) / curvature
        square = dot(state.score, state.step)
        # Half of the second term is the predicted increase of the log-likelihood if the coefficient is fixed.
        if abs(state.value - target) + max(0.0, square - slope**2 * curvature) <= INTERVAL_LIMIT_TOL * decrease:
            return dot(direction, state.theta)
        step_multiplier = side * math.sqrt(max(0.0, 2 * (state.value - target) + square) / curvature)
        step = state.step + step_multiplier * solved
        for n_halvings in range(MAX_HALVINGS):
            end = state.likelihood.at(state.theta + 0.5**n_halvings * step)
            if end is not None and end.value >= target - MAX_RELATIVE_OVERSHOOT * decrease:
                break
        else:
            return None
        state = end
    return None


def _search_interval_limit(maximum, direction, decrease, side):
    """Return the limit, computed by root finding for sqrt(2 drop).

    This function is nearly linear in the distance from the maximum.
    """
    # The import is slow (docs/benchmarks/design-choices.md: lazy import of SciPy).
    from scipy import optimize

    target, center, state = math.sqrt(2 * decrease), dot(direction, maximum.theta), maximum
    # The smallest known distance beyond the limit, and whether the likelihood has a maximum there.
    outer_distance, has_maximum = math.inf, False

    # Maximizations from different states differ by rounding error, which may change the sign.
    @cache
    def measure_target_deviation(distance):
        """Return sqrt(2 drop) minus its target. It is positive if the information is not positive definite there."""
        nonlocal state, outer_distance, has_maximum
        constrained_maximum = maximize_constrained(state, direction[None], np.array([center + side * distance]))
        value = _extrapolate_log_likelihood(constrained_maximum)
        difference = target if value is None else math.sqrt(2 * max(0.0, maximum.value - value)) - target
        if difference <= 0:
            # The next maximization starts here.
            state = constrained_maximum.state
        elif distance < outer_distance:
            outer_distance, has_maximum = distance, value is not None
        return difference

    low, high = 0.0, target * math.sqrt(dot(direction, maximum.factor.solve(direction)))
    for _ in range(MAX_BRACKET_TRIALS):
        if measure_target_deviation(high) >= 0:
            break
        low, high = high, BRACKET_GROWTH_FACTOR * high
    else:
        return side * math.inf
    distance = optimize.brentq(measure_target_deviation, low, high, xtol=0.01 * INTERVAL_LIMIT_TOL * high)
    # The root is a limit only if the profile reached the target before the information became singular.
    is_interval_limit = has_maximum or maximum.value - state.value >= (1 - MAX_LIMIT_ERROR) * decrease
    return center + side * distance if is_interval_limit else side * math.inf


def _extrapolate_log_likelihood(maximum):
    """Return the value at the maximum, extrapolated from the last state, or None if that state is too far away."""
    return (
        maximum.state.value + 0.5 * maximum.newton_decrement**2
        if maximum.newton_decrement <= STAGE_DECREMENT_TOL
        else None
    )


class LikelihoodProfile:
    """The profile likelihoods of the coefficients (K', p) of contrasts. `maximum` is the state at the maximum."""

    def __init__(self, maximum: LikelihoodState, contrasts: Contrasts) -> None:
        self._maximum, self._contrasts = maximum, contrasts

    def compute_intervals(self, positions: Sequence[int], level: float) -> FloatArray:
        """Return the confidence intervals (K', len(positions), 2) for columns `positions`."""
        from scipy.special import chdtri

        decrease, directions = 0.5 * float(chdtri(1, 1 - level)), self._list_coefficient_directions(positions)
        limits = np.empty((*directions.shape[:2], 2))
        for a, j, side in np.ndindex(limits.shape):
            limits[a, j, side] = find_interval_limit(self._maximum, directions[a, j], decrease, 2 * side - 1)
        return limits

    def compute_p_values(self, positions: Sequence[int]) -> FloatArray:
        """Return p-values (K', len(positions)) of the likelihood-ratio tests that individual coefficients are zero."""
        directions = self._list_coefficient_directions(positions)
        p_values = np.empty(directions.shape[:2])
        for a, j in np.ndindex(p_values.shape):
            p_values[a, j] = self._test_zero_coefficients(directions[a, j][None]).p_value
        return p_values

    def compute_column_test(self, positions: Sequence[int]) -> TestResult:
        """Return the test that all coefficients of columns `positions` are zero."""
        # Symmetric coefficients sum to zero, so the last class adds no hypothesis.
        return self._test_zero_coefficients(
            np.concatenate(self._list_coefficient_directions(positions)[: self._contrasts.n_free_classes])
        )

    def _list_coefficient_directions(self, positions):
        """Return the directions (K', len(positions), n) of the coefficients of columns `positions`."""
        units = self._contrasts.build_contrast_matrix(positions).toarray()[:, self._maximum.likelihood.positions]
        # Inner products with strided vectors would be rounded differently.
        return np.ascontiguousarray(units).reshape(len(self._contrasts.matrix), len(positions), -1)

    def _test_zero_coefficients(self, fixed_directions):
        maximum, statistic = self._maximum, math.nan
        value = _extrapolate_log_likelihood(
            maximize_constrained(maximum, fixed_directions, np.zeros(len(fixed_directions)))
        )
        if value is not None:
            statistic = max(0.0, 2 * (maximum.value - value))
        else:
            warnings.warn(
                "The likelihood with coefficients fixed at zero could not be maximized; the p-value is NaN.",
                InferenceWarning,
                stacklevel=2,
            )
        return compute_test("penalized likelihood ratio", statistic, len(fixed_directions))
