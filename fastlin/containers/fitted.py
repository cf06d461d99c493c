"""Validation of fitted attributes, which users, pickles and files may have changed since the fit."""

import math
from collections.abc import Sequence
from contextlib import suppress
from numbers import Real
from typing import Any

import numpy as np

from fastlin.containers.tensors import view_as_numpy
from fastlin.typing import Array

# The largest int64, and the number of words in the state of NumPy's RandomState.
MAX_INT64 = 2**63 - 1
N_MT19937_WORDS = 624


def require(condition: object, name: str, requirement: str, value: Any) -> None:
    """Raise a ValueError unless the condition is true. The message has the name, requirement and value."""
    if not condition:
        raise ValueError(f"{name} must {requirement}, got {describe_value(value)}")


def describe_value(value: Any) -> str:
    """Return a description of a value for error messages: the value, or its type and size."""
    if isinstance(value, (str, int, float)):
        return f"{value!r:.100}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__} of {len(value)}"
    return f"{value.dtype} of shape {value.shape}" if hasattr(value, "dtype") else type(value).__name__


def as_array(name: str, values: Any) -> Array:
    """Return `values` as an array of any type. Error messages contain `name`."""
    try:
        return np.asarray(view_as_numpy(values, name))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array, got {type(values).__name__}: {error}") from error


def validate_array(name: str, values: Any, shape: tuple[int, ...], reason: str = "") -> Array:
    """Return `values` as an array of real numbers with this shape. Error messages contain `name` and `reason`."""
    return check_array(name, as_array(name, values), shape, reason)


def check_array(name: str, array: Any, shape: tuple[int, ...], reason: str = "") -> Any:
    """Return an array or sparse container unchanged, or raise the error of `validate_array`."""
    is_valid = array.shape == shape and array.dtype.kind in "fiub"
    require(is_valid, name, f"be real numbers of shape {shape}{reason}", array)
    return array


def validate_finite_array(name: str, values: Any, shape: tuple[int, ...], reason: str = "") -> Array:
    """Return the array from `validate_array`. Raise a ValueError unless all entries are finite."""
    array = validate_array(name, values, shape, reason)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, but it contains NaN or infinity")
    return array


def validate_arrays(name: str, values: Any, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Return a list of arrays with these shapes, each validated by `validate_array`."""
    is_valid = isinstance(values, (list, tuple)) and len(values) == len(shapes)
    require(is_valid, name, f"be a list of {len(shapes)} arrays", values)
    pairs = zip(values, shapes, strict=True)
    return [validate_array(f"{name}[{index}]", array, shape) for index, (array, shape) in enumerate(pairs)]


def validate_count(name: str, value: Any, minimum: int = 0) -> int:
    """Return `value` as an int. Raise a ValueError unless it is between `minimum` and the largest int64."""
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    require(is_integer and minimum <= value <= MAX_INT64, name, f"be an integer of at least {minimum}", value)
    return int(value)


def to_scalar(value: Any) -> float | None:
    """Return a number, or the only entry of an array or sequence, as a float. Otherwise, return None.

    The values are results of losses and scorers of users. `float` does not suffice, because it no longer converts
    arrays with dimensions since NumPy 2.4.
    """
    while isinstance(value, (list, tuple)) and len(value) == 1:
        (value,) = value
    if hasattr(value, "item"):
        # For an array with several entries, the error depends on the library.
        with suppress(ValueError, TypeError, RuntimeError):
            value = value.item()
    return float(value) if isinstance(value, Real) else None


def check_same_structure(name: str, value: Any, template: Any) -> None:
    """Raise a ValueError unless a value has the structure of a template of finite arrays, integers and sequences."""
    if isinstance(template, np.ndarray):
        validate_finite_array(name, value, template.shape)
    elif isinstance(template, (list, tuple)):
        is_valid = isinstance(value, (list, tuple)) and len(value) == len(template)
        require(is_valid, name, f"be {len(template)} values", value)
        for index, pair in enumerate(zip(value, template, strict=True)):
            check_same_structure(f"{name}[{index}]", *pair)
    else:
        validate_count(name, value)


def check_generator_state(name: str, state: Any) -> None:
    """Raise a ValueError unless `state` is a valid state of `RandomState`. `set_state` checks less."""
    is_valid = isinstance(state, (list, tuple)) and len(state) == 5 and state[0] == "MT19937"
    require(is_valid, name, "be the state of an MT19937 generator", state)
    _, words, pos, has_gauss, cached_normal = state
    words = validate_array(f"the words of {name}", words, (N_MT19937_WORDS,))
    require(words.dtype == np.uint32, f"the words of {name}", "be of type uint32", words)
    pos = validate_count(f"the position of {name}", pos)
    require(pos <= N_MT19937_WORDS, name, f"have a position of at most {N_MT19937_WORDS}", pos)
    require(validate_count(f"has_gauss of {name}", has_gauss) <= 1, name, "have has_gauss 0 or 1", has_gauss)
    is_valid = isinstance(cached_normal, float) and math.isfinite(cached_normal)
    require(is_valid, f"the cached normal deviate of {name}", "be a finite number", cached_normal)
