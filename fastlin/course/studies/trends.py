"""The slope of a line through a history from some step on, with its standard error."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from fastlin.course.studies.course_training import VALIDATIONS

# A slope is the change over this number of steps.
STEPS = 1_000


def take_median(values: Iterable[float | None]) -> float | None:
    """Return the median of measures, in which None counts as infinite; None if the median is infinite."""
    median = float(np.median([np.inf if value is None else value for value in values]))
    return median if np.isfinite(median) else None


class Slope(NamedTuple):
    """A change in points for each 1,000 steps, and its standard error."""

    change: float
    error: float


def fit_slope(
    history: Mapping[int, float], first: float = 0, end: float = np.inf, n_averaged: int = VALIDATIONS
) -> Slope:
    """Return the Slope of the least-squares line through an accuracy, in points, from step first to before end.

    The line goes through means of n_averaged values, with residuals taken as independent; below three means it is zero.
    """
    points = np.array([(step, 100 * value) for step, value in history.items() if first <= step < end]).reshape(-1, 2)
    n_means = len(points) // n_averaged
    if n_means < 3:
        return Slope(0.0, 0.0)
    steps, values = points[: n_means * n_averaged].reshape(n_means, n_averaged, 2).mean(axis=1).T
    centred = (steps - steps.mean()) / STEPS
    change = float(centred @ values / (centred @ centred))
    residuals = values - values.mean() - change * centred
    return Slope(change, float(np.sqrt(residuals @ residuals / (n_means - 2) / (centred @ centred))))


def average_slopes(slopes: list[Slope]) -> Slope:
    """Return the mean of Slopes; its error is the larger of two, by the residuals and by the spread of trainings."""
    changes, errors = np.array(slopes).T
    n = len(slopes)
    spread = float(changes.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    return Slope(float(changes.mean()), max(float(np.sqrt(np.sum(errors**2))) / n, spread))
