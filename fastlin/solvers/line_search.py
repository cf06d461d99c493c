"""A line search for the strong Wolfe conditions (Nocedal and Wright 2006, algorithms 3.5 and 3.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.linear.quasi_newton import CURVATURE_CONDITION, MAX_TRIALS, SUFFICIENT_DECREASE
from fastlin.kernels.machine.vectors import dot
from fastlin.objective.rounding import UNIT_ROUNDOFF
from fastlin.solvers.tuning import VALUE_EPS
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.point import Point

# If a value is more than MAX_VALUE_RATIO times the lowest value, the loss is assumed to be linear there.
MAX_VALUE_RATIO = 1e3


def search_along_direction(start: Point, direction: FloatArray) -> Point | None:
    """Return the accepted Point along a direction (K, d + 1), or None. Trials overwrite the buffer of `start`."""
    last = None

    def function(step):
        nonlocal last
        end = step * direction
        end += start.parameters
        last = start.objective.at(end, start.precision, out=start.buffer)
        return last.value, dot(last.gradient.ravel(), direction.ravel())

    slope = dot(start.gradient.ravel(), direction.ravel())
    if not slope < 0:
        return None
    step = search_step(function, start.value, slope, rounding=VALUE_EPS[start.precision])
    return None if step is None else last


def search_step(
    function: Callable[[float], tuple[float, float]],
    value: float,
    slope: float,
    step: float = 1.0,
    max_evaluations: int = MAX_TRIALS,
    rounding: float = VALUE_EPS[np.float64],
    curvature: float = CURVATURE_CONDITION,
) -> float | None:
    """Return the accepted step along a descent direction, or None. The accepted step is the last one evaluated.

    `function` returns the value and the slope at a step. `value` and `slope` are those at step 0. Values are treated as
    equal if they differ by at most `rounding`, relative to `value`. The magnitude of the accepted slope is at most the
    fraction `curvature` of that of `slope`. If no step satisfies the conditions, the best step is accepted, provided
    that it decreases the value.
    """
    slack = rounding * abs(value)
    low, low_value, low_slope = 0.0, value, slope
    high = high_value = high_slope = None
    for _ in range(max_evaluations):
        trial_value, trial_slope = function(step)
        if not np.isfinite(trial_value) or trial_value > value + slack + SUFFICIENT_DECREASE * step * slope:
            is_step_too_long = True
        elif abs(trial_slope) <= curvature * -slope:
            return step
        else:
            is_step_too_long = trial_value >= low_value + slack
        if is_step_too_long:
            high, high_value, high_slope = step, trial_value, trial_slope
        else:
            if trial_slope * (step - low if high is None else high - low) >= 0:
                high, high_value, high_slope = low, low_value, low_slope
            low, low_value, low_slope = step, trial_value, trial_slope
        if high is None:
            step *= 4.0
        else:
            if abs(high - low) <= VALUE_EPS[np.float64] * max(high, low):
                break
            step = _interpolate(low, low_value, low_slope, high, high_value, high_slope)
    if not low_value < value:
        return None
    # If curvature has underflowed, the norm of a direction may be 1e26, and only the best point along it is usable.
    function(low)
    return low


def _interpolate(low, low_value, low_slope, high, high_value, high_slope):
    """Return the minimizer of the interpolating cubic, at some distance from both ends, or else the midpoint."""
    width = high - low
    if np.isfinite(high_value) and np.isfinite(high_slope):
        if high_value > MAX_VALUE_RATIO * abs(low_value):
            # The slopes may be equal if the function overflows between the ends.
            slope_change = low_slope - high_slope
            fraction = (high_value - low_value - high_slope * width) / slope_change / width if slope_change else 0.0
            step = low + width * min(max(fraction, UNIT_ROUNDOFF), 0.9)
            # If cancellation leaves no accurate digits, bisect the exponent.
            return step if step > 2 * low else np.sqrt(low) * np.sqrt(high)
        d1 = low_slope + high_slope - 3 * (high_value - low_value) / width
        # Values are divided by the largest magnitude, so that no square overflows.
        largest_magnitude = max(abs(d1), abs(low_slope), abs(high_slope))
        radicand = (d1 / largest_magnitude) ** 2 - (low_slope / largest_magnitude) * (high_slope / largest_magnitude)
        if radicand >= 0:
            d2 = np.copysign(largest_magnitude * np.sqrt(radicand), width)
            denominator = high_slope - low_slope + 2 * d2
            if denominator != 0:
                fraction = 1 - (high_slope + d2 - d1) / denominator
                return low + width * min(max(fraction, 0.1), 0.9)
    return low + 0.5 * width
