"""What a model was left with, as users, pickles and files may have changed it: checked before it is computed with."""

import math
from collections.abc import Sequence
from contextlib import suppress
from numbers import Real
from typing import Any

import numpy as np

from fastlin.tensors import read_in_place
from fastlin.typing import Array

# The largest number of int64, and the words of the state of NumPy's RandomState.
MAX_COUNT = 2**63 - 1
N_STATE_WORDS = 624


def require(is_right: object, name: str, wanted: str, found: Any) -> None:
    """Raise a ValueError that says what a value must be, and what was found in its place, unless it is right."""
    if not is_right:
        raise ValueError(f"{name} must {wanted}, got {describe(found)}")


def describe(value: Any) -> str:
    """Return what an error says of a value: the value itself, or its type and size."""
    if isinstance(value, (str, int, float)):
        return f"{value!r:.100}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__} of {len(value)}"
    return f"{value.dtype} of shape {value.shape}" if hasattr(value, "dtype") else type(value).__name__


def as_array(name: str, values: Any) -> Array:
    """Return values as an array of any type; the name is what an error calls them."""
    try:
        return np.asarray(read_in_place(values, name))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array, got {type(values).__name__}: {error}") from error


def read_array(name: str, values: Any, shape: tuple[int, ...], reason: str = "") -> Array:
    """Return values as an array of real numbers of a shape; an error has the reason for it."""
    return check_array(name, as_array(name, values), shape, reason)


def check_array(name: str, array: Any, shape: tuple[int, ...], reason: str = "") -> Any:
    """Return an array or sparse container as it is, or raise the error of `read_array`."""
    is_right = array.shape == shape and array.dtype.kind in "fiub"
    require(is_right, name, f"be real numbers of shape {shape}{reason}", array)
    return array


def read_finite(name: str, values: Any, shape: tuple[int, ...], reason: str = "") -> Array:
    """Return values as `read_array` does, once all of them are finite."""
    array = read_array(name, values, shape, reason)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, but it holds NaN or infinity")
    return array


def read_arrays(name: str, values: Any, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Return a list of arrays of these shapes, as `read_array` has each."""
    is_right = isinstance(values, (list, tuple)) and len(values) == len(shapes)
    require(is_right, name, f"be a list of {len(shapes)} arrays", values)
    pairs = zip(values, shapes, strict=True)
    return [read_array(f"{name}[{position}]", each, shape) for position, (each, shape) in enumerate(pairs)]


def read_count(name: str, value: Any, minimum: int = 0) -> int:
    """Return a whole number from the least to the largest that kernels count to."""
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    require(is_whole and minimum <= value <= MAX_COUNT, name, f"be a whole number of at least {minimum}", value)
    return int(value)


def read_scalar(value: Any) -> float | None:
    """Return the one number of a loss or score of the caller's own, also from an array, a list or a tuple of one.

    NumPy 2.4 no longer converts arrays with dimensions by `float`. None stands for no number or several.
    """
    while isinstance(value, (list, tuple)) and len(value) == 1:
        (value,) = value
    if hasattr(value, "item"):
        # Libraries raise other errors for several numbers.
        with suppress(ValueError, TypeError, RuntimeError):
            value = value.item()
    return float(value) if isinstance(value, Real) else None


def check_like(name: str, found: Any, like: Any) -> None:
    """Raise a ValueError unless a value has the form of another one: finite numbers, whole numbers, or such entries."""
    if isinstance(like, np.ndarray):
        read_finite(name, found, like.shape)
    elif isinstance(like, (list, tuple)):
        is_right = isinstance(found, (list, tuple)) and len(found) == len(like)
        require(is_right, name, f"be {len(like)} values", found)
        for position, pair in enumerate(zip(found, like, strict=True)):
            check_like(f"{name}[{position}]", *pair)
    else:
        read_count(name, found)


def check_generator_state(name: str, state: Any) -> None:
    """Raise a ValueError unless a tuple is what `RandomState.get_state` returns: `set_state` checks too little."""
    is_right = isinstance(state, (list, tuple)) and len(state) == 5 and state[0] == "MT19937"
    require(is_right, name, "be the state of a generator MT19937", state)
    _, words, pos, has_gauss, cached = state
    words = read_array(f"the words of {name}", words, (N_STATE_WORDS,))
    require(words.dtype == np.uint32, f"the words of {name}", "be of the type uint32", words)
    require(
        read_count(f"the position of {name}", pos) <= N_STATE_WORDS, name, f"have a position up to {N_STATE_WORDS}", pos
    )
    require(read_count(f"has_gauss of {name}", has_gauss) <= 1, name, "have has_gauss up to 1", has_gauss)
    is_right = isinstance(cached, float) and math.isfinite(cached)
    require(is_right, f"the number of a normal distribution in {name}", "be a finite number", cached)
