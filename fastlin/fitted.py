"""What a model was left with, as users, pickles and files may have changed it: checked before it is computed with.

Kernels read arrays without a look at their shapes, and NumPy spreads one number over a whole array in silence.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastlin.tensors import read_in_place
from fastlin.typing import Array

# The largest number of int64, and the words of the state of NumPy's RandomState.
MOST = 2**63 - 1
WORDS = 624


def read_array(name: str, values: Any, shape: tuple[int, ...], reason: str = "") -> Array:
    """Return values as an array of real numbers of a shape; the name, and the reason for the shape, are for errors."""
    return check_array(name, as_array(name, values), shape, reason)


def read_finite(name: str, values: Any, shape: tuple[int, ...], reason: str = "") -> Array:
    """Return values as `read_array` does, once all of them are finite."""
    array = read_array(name, values, shape, reason)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, but it holds NaN or infinity")
    return array


def read_arrays(name: str, values: Any, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Return a list of arrays of these shapes, as `read_array` has each."""
    if not isinstance(values, (list, tuple)) or len(values) != len(shapes):
        raise ValueError(f"{name} must be a list of {len(shapes)} arrays, got {describe(values)}")
    pairs = zip(values, shapes, strict=True)
    return [read_array(f"{name}[{place}]", each, shape) for place, (each, shape) in enumerate(pairs)]


def read_count(name: str, value: Any) -> int:
    """Return a whole number from 0 to the largest that kernels count to."""
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not (is_whole and 0 <= value <= MOST):
        raise ValueError(f"{name} must be a whole number of at least 0, got {value!r:.100}")
    return int(value)


def check_like(name: str, found: Any, like: Any) -> None:
    """Raise a ValueError unless a value has the form of another one.

    An array stands for finite numbers of its shape, a number for a whole number of at least 0, and a list or tuple for
    as many entries, each like its own.
    """
    if isinstance(like, np.ndarray):
        read_finite(name, found, like.shape)
    elif isinstance(like, (list, tuple)):
        if not isinstance(found, (list, tuple)) or len(found) != len(like):
            raise ValueError(f"{name} must be {len(like)} values, got {describe(found)}")
        for place, pair in enumerate(zip(found, like, strict=True)):
            check_like(f"{name}[{place}]", *pair)
    else:
        read_count(name, found)


def check_random_state(name: str, state: Any) -> None:
    """Raise a ValueError unless a tuple is what `RandomState.get_state` returns: `set_state` checks too little of it.

    NumPy's generator reads the word of the number `pos` without a look at how many there are.
    """
    if not isinstance(state, (list, tuple)) or len(state) != 5 or state[0] != "MT19937":
        raise ValueError(f"{name} must be the state of a generator MT19937, got {describe(state)}")
    _, words, pos, has_gauss, cached = state
    words = read_array(f"the words of {name}", words, (WORDS,))
    if words.dtype != np.uint32:
        raise ValueError(f"the words of {name} must be of the type uint32, got {words.dtype}")
    if read_count(f"the position of {name}", pos) > WORDS or read_count(f"has_gauss of {name}", has_gauss) > 1:
        raise ValueError(f"{name} must have a position up to {WORDS} and has_gauss up to 1, got {pos} and {has_gauss}")
    if not (isinstance(cached, float) and math.isfinite(cached)):
        raise ValueError(f"the number of a normal distribution in {name} must be a finite number, got {cached!r:.100}")


def describe(value: Any) -> str:
    """Return the type of a value, and how many entries it has where it is a list or a tuple."""
    return type(value).__name__ + (f" of {len(value)}" if isinstance(value, (list, tuple)) else "")


def as_array(name: str, values: Any) -> Array:
    """Return values as an array of any type; the name is what an error calls them."""
    try:
        return np.asarray(read_in_place(values, name))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array, got {type(values).__name__}: {error}") from error


def check_array(name: str, array: Any, shape: tuple[int, ...], reason: str = "") -> Any:
    """Return an array or sparse container as it is, or raise the error of `read_array`."""
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise ValueError(
            f"{name} must be real numbers of shape {shape}{reason}, got {array.dtype} of shape {array.shape}"
        )
    return array
