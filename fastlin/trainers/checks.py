"""Checks of arguments that several parts of the course API share, and the error where the course asserts."""

from numbers import Real

import numpy as np


class CourseAssertionError(AssertionError, ValueError):
    """The error that is raised where the course's code asserts: caught as AssertionError and as ValueError."""


def check_count(name, value, highest=None):
    """Raise ValueError, naming the argument, unless value is a whole number from 1 to highest."""
    if not (isinstance(value, (int, np.integer)) and value >= 1 and (highest is None or value <= highest)):
        limit = "" if highest is None else f" and at most the number of rows, {highest}"
        raise ValueError(f"{name} must be a whole number of at least 1{limit}, got {value!r}")


def check_number(name, value, lowest=0, highest=np.inf, *, excluded=None):
    """Raise ValueError, naming the argument, unless value is a finite number from lowest to highest, not `excluded`."""
    if not (isinstance(value, Real) and np.isfinite(value) and lowest <= value <= highest and value != excluded):
        exception = "" if excluded is None else f" but not {excluded}"
        raise ValueError(f"{name} must be a finite number from {lowest} to {highest}{exception}, got {value!r}")
