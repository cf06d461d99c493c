"""Checks of arguments that several parts of the course API share."""

from numbers import Real
from typing import Any

import numpy as np


def check_count(name: str, value: Any, highest: int | None = None) -> None:
    """Raise ValueError, naming the argument, unless value is a whole number from 1 to highest."""
    if not (isinstance(value, (int, np.integer)) and value >= 1 and (highest is None or value <= highest)):
        limit = "" if highest is None else f" and at most the number of rows, {highest}"
        raise ValueError(f"{name} must be a whole number of at least 1{limit}, got {value!r}")


def check_number(
    name: str, value: Any, lowest: float = 0, highest: float = np.inf, *, excluded: float | None = None
) -> None:
    """Raise ValueError, naming the argument, unless value is a finite number from lowest to highest, not `excluded`."""
    is_number: bool = isinstance(value, Real)
    if not (is_number and np.isfinite(value) and lowest <= value <= highest and value != excluded):
        exception = "" if excluded is None else f" but not {excluded}"
        raise ValueError(f"{name} must be a finite number from {lowest} to {highest}{exception}, got {value!r}")
