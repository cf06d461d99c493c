"""The line search on functions of one variable, and along directions of an objective."""

import numpy as np
import pytest
from objectives import evaluate, make_objective
from scipy.special import expit

from fastlin.solvers import line_search


def record_steps(function):
    """Return a function and the list of steps at which it is evaluated."""
    steps = []
    return lambda t: steps.append(t) or function(t), steps


@pytest.mark.parametrize(
    "function",
    [
        lambda t: ((t - 3) ** 2, 2 * (t - 3)),
        lambda t: (np.cosh(t - 2), np.sinh(t - 2)) if t < 700 else (np.inf, np.inf),
        lambda t: (-t / (t * t + 2), (t * t - 2) / (t * t + 2) ** 2),
        lambda t: (np.inf, np.nan) if t > 1 else (-t + t * t / 1.5, -1 + 2 * t / 1.5),
    ],
)
def test_the_step_meets_the_strong_wolfe_conditions(function):
    value, slope = function(0.0)
    for first_step in (1e-4, 1.0, 50.0, 1e6):
        recorder, steps = record_steps(function)
        step = line_search.search_step(recorder, value, slope, first_step, 60)
        assert step == steps[-1]
        end_value, end_slope = function(step)
        assert end_value <= value + line_search.SUFFICIENT_DECREASE * step * slope
        assert abs(end_slope) <= line_search.CURVATURE_CONDITION * abs(slope)


def test_values_equal_up_to_rounding_are_decided_by_the_slope():
    assert line_search.search_step(lambda t: (1.0 + t, 1.0), 1.0, -1e-3, 1.0, 40) is None
    noise = {0.0: 1.0, 1.0: 1.0 + 5e-15}
    assert line_search.search_step(lambda t: (noise[t], 1e-12), 1.0, -1e-11, 1.0, 1) == 1.0
    assert line_search.search_step(lambda t: (1.0 + 1e-9, 1e-12), 1.0, -1e-11, 1.0, 1) is None
    assert line_search.search_step(lambda t: (1.0 + 5e-8, 1e-6), 1.0, -1e-5, 1.0, 1, line_search.VALUE_EPS[np.float32])


def test_a_huge_value_with_the_same_slope_is_not_interpolated():
    # Between both ends the probabilities underflow, so the slope at the far end may equal the slope at the start.
    step = line_search.search_step(
        lambda t: (1e30, -1.0) if t > 1e-3 else (1.0 - t + 500 * t * t, 1e3 * t - 1), 1.0, -1.0
    )
    assert 0 < step <= 1e-3


@pytest.mark.parametrize("precision", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_line_search_decreases_the_objective(n_classes, precision):
    for length in (1e-3, 1.0, 1e5):
        objective, parameters = make_objective(60, 4, n_classes, l2=0.01)
        start = evaluate(objective, parameters.astype(precision).astype(float), precision)
        end = line_search.search_along_direction(start, -length * start.gradient)
        np.testing.assert_array_equal(start.parameters, parameters.astype(precision))
        assert end.value < start.value
        assert end.precision is precision
        np.testing.assert_array_equal(end.parameters, end.parameters.astype(precision))
        assert end.has_probabilities
        assert not start.has_probabilities
        again = evaluate(objective, end.parameters, precision)
        assert again.value == end.value
        np.testing.assert_array_equal(again.gradient, end.gradient)
        np.testing.assert_array_equal(again.probabilities, end.probabilities)


def test_a_line_search_returns_no_step_for_ascent_directions():
    objective, parameters = make_objective(30, 3, 3, l2=0.1)
    start = objective.at(parameters)
    for direction in (start.gradient, 0 * parameters, np.nan * parameters):
        assert line_search.search_along_direction(start, direction) is None
    assert objective.n_passes == 1
    function, steps = record_steps(lambda t: (abs(t - 0.3), -1.0 if t < 0.3 else 1.0))
    step = line_search.search_step(function, 0.3, -1.0, 1.0, 20, curvature=0.1)
    assert step == steps[-1]
    assert abs(step - 0.3) < 0.01


def test_a_step_into_a_linear_region_is_shortened_quickly():
    def loss(t):
        return np.logaddexp(0, 30 - t) + 0.5 * np.logaddexp(0, t), 0.5 * expit(t) - expit(30 - t)

    for first_step in 10.0 ** np.arange(2, 160, 7):
        function, steps = record_steps(loss)
        step = line_search.search_step(function, *loss(0.0), first_step, 30, curvature=0.5)
        assert len(steps) <= 19
        assert abs(loss(step)[1]) <= 0.5 * -loss(0.0)[1]
