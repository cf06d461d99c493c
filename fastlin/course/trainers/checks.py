"""Checks of arguments that several parts of the course API share."""

from numbers import Real
from typing import Any

import numpy as np

from fastlin.fitted import read_array
from fastlin.typing import Array


def check_count(name: str, value: Any, highest: int | None = None) -> None:
    """Raise ValueError, naming the argument, unless value is a whole number from 1 to highest."""
    if not (isinstance(value, (int, np.integer)) and value >= 1 and (highest is None or value <= highest)):
        limit = "" if highest is None else f" and at most the number of rows, {highest}"
        raise ValueError(f"{name} must be a whole number of at least 1{limit}, got {value!r}")


def check_number(name: str, value: Any, highest: float = np.inf, *, excluded: float | None = None) -> None:
    """Raise ValueError, naming the argument, unless value is a finite number from 0 to highest, not `excluded`."""
    is_number: bool = isinstance(value, Real)
    if not (is_number and np.isfinite(value) and 0 <= value <= highest and value != excluded):
        exception = "" if excluded is None else f" but not {excluded}"
        raise ValueError(f"{name} must be a finite number from 0 to {highest}{exception}, got {value!r}")


def read_weights(trainer: Any) -> Array:
    """Return the model's current `w`, which a script may replace; ValueError for a wrong shape or no real numbers."""
    shape = trainer.X_train.shape[1], trainer.Y_train.shape[1]
    return read_array("model.w", trainer.model.w, shape, ", columns of X_train times columns of Y_train")
