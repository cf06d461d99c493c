"""Offsets: known numbers that are added to the scores of the rows, in fits and in predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastlin.tensors import read_in_place
from fastlin.typing import FloatArray

# Scores in float32 have room for sums of such numbers.
LARGEST = 1e30


def read_offset(
    offset: ArrayLike | None, n_rows: int, n_classes: int, name: str = "offset", rows: str = "X"
) -> FloatArray | None:
    """Return the offsets of some rows, (n_rows, K) float64 in C order with K = 1 for two classes, or None.

    name is that of the argument, and rows that of the data that have the rows.

    Raises
    ------
    ValueError
        They are not finite numbers, one for each row, or for three classes and more one for each row and class.
    """
    if offset is None:
        return None
    offsets = read_offset_numbers(offset, name)
    check_offset_shape(offsets.shape, n_rows, n_classes, name, rows)
    return offsets.reshape(n_rows, 1 if n_classes == 2 else n_classes)


def read_offset_numbers(offset: ArrayLike, name: str = "offset") -> FloatArray:
    """Return offsets of any shape as float64 in C order.

    Raises
    ------
    ValueError
        They are not finite numbers, or beyond LARGEST.
    """
    try:
        given: Any = np.asarray(read_in_place(offset, name))
        if given.dtype.kind not in "fiubO":
            raise TypeError(f"got an array of {given.dtype}")
        offsets = np.require(given, np.float64, ["C", "A", "E"])
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must hold numbers: {error}") from error
    fits = np.abs(offsets) <= LARGEST
    if not fits.all():
        place = np.unravel_index(np.argmin(fits), offsets.shape)
        raise ValueError(
            f"{name} must hold finite numbers of a magnitude up to {LARGEST:g}, but row {place[0] if place else 0} has "
            f"{offsets[place]}."
        )
    return offsets


def check_offset_shape(
    shape: tuple[int, ...], n_rows: int | float, n_classes: int, name: str = "offset", rows: str = "X"
) -> None:
    """Raise a ValueError where offsets of a shape do not fit rows, whose number may be NaN where it is not known."""
    is_column = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    if n_classes == 2:
        accepted, fits = "one number for each row, (n_samples,)", is_column
    else:
        accepted, fits = f"one number for each row and class, (n_samples, {n_classes})", shape[1:] == (n_classes,)
    if not fits:
        reason = " The same number for all classes of a row changes nothing." if is_column else ""
        raise ValueError(f"{name} must have {accepted}, for {n_classes} classes, got the shape {shape}.{reason}")
    if shape[0] != n_rows and n_rows == n_rows and shape[0] == shape[0]:
        raise ValueError(f"{name} has {shape[0]} rows, but {rows} has {n_rows}: inconsistent numbers of samples.")
