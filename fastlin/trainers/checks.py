"""Checks of arguments that more than one part of the course API makes."""

import numpy as np


def check_count(name, value, highest=None):
    """Raise ValueError, naming the argument, unless value is a whole number from 1 to highest."""
    if not (isinstance(value, (int, np.integer)) and value >= 1 and (highest is None or value <= highest)):
        limit = "" if highest is None else f" and at most the number of rows, {highest}"
        raise ValueError(f"{name} must be a whole number of at least 1{limit}, got {value!r}")
