"""Slopes of histories, with their standard errors."""

import numpy as np
import pytest

from fastlin.course.studies.trends import Slope, average_slopes, fit_slope


def test_slopes_are_those_of_a_line_through_epochs():
    generator = np.random.default_rng(0)
    steps = np.arange(0, 4_000, 20)
    noise = 0.01 * generator.normal(size=len(steps))
    slope = fit_slope(dict(zip(steps, 0.5 + 0.02 * steps / 1_000 + noise, strict=True)))
    # An accuracy that rises by .02 in 1,000 steps gains 2 points.
    assert slope.change == pytest.approx(2, abs=3 * slope.error)
    # The deviation of a mean of five is .01 / √5, or .447 points; that of the steps is 1,155.
    assert slope.error == pytest.approx(0.447 / 1.155 / np.sqrt(40), rel=0.25)
    ended = fit_slope({step: min(step, 2_000) / 1e5 for step in steps}, first=2_000)
    assert ended == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))
    assert fit_slope({0: 1.0}) == (0.0, 0.0)
    assert average_slopes([slope, slope]) == (slope.change, pytest.approx(slope.error / np.sqrt(2)))
    # Trainings that differ by more than their residuals say.
    apart = average_slopes([Slope(1.0, 0.1), Slope(3.0, 0.1)])
    assert apart == (2.0, pytest.approx(np.sqrt(2) / np.sqrt(2)))
    assert average_slopes([slope]) == slope
