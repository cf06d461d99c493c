"""Single columns of tables: of pandas, of Arrow, or of an array, read as numbers or as levels with their codes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from fastlin.typing import Array, IntArray

# The types of codes that kernels read, and of whole numbers whose memory they are where no number is too large.
CODE_TYPES = tuple(np.dtype(name) for name in ("int8", "int16", "int32"))
SIGNED = dict(zip((np.dtype(name) for name in ("uint8", "uint16", "uint32")), CODE_TYPES, strict=True))
# The beginnings of Arrow's types of text and of bytes.
ARROW_STRING_TYPES = "string", "large_string", "binary", "large_binary", "fixed_size_binary"
# Values that NumPy sorts and of which none is missing, but for None, NaN and NaT.
SORTABLE_KINDS = "biufUSOmM"
TIMES = date, time, timedelta, np.datetime64, np.timedelta64


def has_levels(column: Any) -> bool:
    """Say whether the type of a column has levels."""
    kind = _get_arrow_type(column)
    return _has_categories(column) or (hasattr(kind, "index_type") and hasattr(kind, "value_type"))


def _has_categories(column):
    return hasattr(getattr(column, "dtype", None), "categories")


def is_categorical(column: Any) -> bool:
    """Return whether a column has a type with levels, or holds text or bytes, also among objects."""
    if has_levels(column) or str(_get_arrow_type(column)).startswith(ARROW_STRING_TYPES):
        return True
    dtype: Any = getattr(column, "dtype", None)
    if getattr(dtype, "kind", "") == "O" and isinstance(dtype, np.dtype):
        return any(isinstance(value, (str, bytes)) for value in column)
    # pandas' own type of text.
    return getattr(dtype, "type", None) is str


def _get_arrow_type(column):
    """Return Arrow's own type of a column, or the one that a column of pandas stores, or None."""
    dtype = getattr(column, "dtype", None)
    return getattr(column, "type", None) if dtype is None else getattr(dtype, "pyarrow_dtype", None)


def as_numbers(column: Any) -> Array:
    """Return a column as an array, of real numbers if it holds some, in the same memory where it is one."""
    dtype: Any = getattr(column, "dtype", None)
    have_type = getattr(dtype, "kind", "f") in "mM"
    if _is_arrow(column):
        column = _join(column).to_numpy(zero_copy_only=False)
    elif getattr(dtype, "na_value", None) is not None and not has_levels(column) and not have_type:
        # Of pandas' types that know missing values.
        with contextlib.suppress(TypeError, ValueError):
            column = column.to_numpy(np.float64, na_value=np.nan)
    numbers = np.asarray(column)
    if numbers.dtype.kind == "O" and not have_type and not are_times(numbers):
        with contextlib.suppress(TypeError, ValueError):
            return numbers.astype(np.float64)
    return numbers


def read_levels(label: object, column: Any) -> tuple[list[Any], IntArray]:
    """Return the levels of a column, a list, and the code of each row, -1 where its value is missing."""
    if hasattr(column, "iloc") and has_levels(column) and not _has_categories(column):
        # pandas cannot encode Arrow's levels where values are missing.
        column = column.array.__arrow_array__()
    try:
        if _is_arrow(column):
            return _read_dictionary(label, _join(column))
        if hasattr(column, "iloc"):
            categories = (column if _has_categories(column) else column.astype("category")).array
            levels = categories.categories.tolist()
            if column.dtype == object:
                # pandas keeps values that cannot be sorted in the order of the rows.
                sorted(levels)
            return levels, _as_codes(label, categories.codes, len(levels), -1)
        return _find_levels(np.asarray(column))
    except (TypeError, NotImplementedError) as error:
        raise ValueError(_explain_levels(label, column, error)) from error


def _explain_levels(label, column, error):
    """Return the message for a column whose values are no levels: what it holds, of all kinds that it mixes."""
    values = column.to_pylist() if _is_arrow(column) else np.asarray(column).tolist()
    kinds = list_kinds(value for value in values if not is_missing(value))
    if len(kinds) > 1:
        return (
            f"Column {label!r} of X mixes {' and '.join(kinds)}: the levels of a column must be of one kind. Convert "
            "it, for instance by astype(str), which makes text of all values."
        )
    return (
        f"Column {label!r} of X has levels that cannot be sorted, or that are not single values ({error}): encode them "
        "as text or numbers."
    )


def list_kinds(values: Iterable[object]) -> list[str]:
    """Return in words of which kinds some values are, each with its first value."""
    kinds: dict[str, object] = {}
    for value in values:
        if is_missing(value):
            kind = "missing values"
        elif _is_number(value):
            kind = "numbers"
        else:
            kind = "text" if isinstance(value, str) else f"values of type {type(value).__name__}"
        kinds.setdefault(kind, value)
    return [f"{kind} such as {value!r:.50}" for kind, value in kinds.items()]


def _is_number(value):
    return isinstance(value, (int, float, Decimal, np.number)) and not isinstance(value, np.timedelta64)


def are_times(values: Array) -> bool:
    """Say whether values are dates, times or durations, which is all or some of an array of objects."""
    return values.dtype.kind in "mM" or (
        values.dtype.kind == "O" and any(issubclass(kind, TIMES) for kind in set(map(type, values)))
    )


def _is_arrow(column):
    return hasattr(column, "to_pylist")


def _join(column):
    """Return a column of an Arrow table in one piece, its memory where it is one already."""
    if has_levels(column):
        column = column.unify_dictionaries()
    if column.num_chunks == 1:
        return column.chunk(0)
    joined = column.combine_chunks()
    return joined.chunk(0) if hasattr(joined, "num_chunks") else joined


def describe_values(values: Array) -> str:
    """Return what a column holds, for an error."""
    if values.dtype.kind not in "OUS":
        return f"values of type {values.dtype}"
    wrong = next((value for value in values.tolist() if not (is_missing(value) or _is_number(value))), None)
    return f"{'text' if isinstance(wrong, (str, bytes)) else 'values'} such as {wrong!r:.50}"


def is_missing(value: object) -> bool:
    """Say whether a value is None, NaN, or what pandas has for them, of which a comparison says nothing."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        return True


def _find_levels(values):
    """Return the values of an array without a type for levels, sorted, and the number of each."""
    if values.dtype.kind not in SORTABLE_KINDS:
        raise TypeError(f"values of type {values.dtype}")
    are_objects = values.dtype.kind == "O"
    missing = np.array([is_missing(value) for value in values], bool) if are_objects else values != values
    levels, codes = np.unique(values[~missing], return_inverse=True)
    found = np.full(len(values), -1, np.min_scalar_type(-max(1, len(levels))))
    found[~missing] = codes
    return _list_levels(levels), found


def _list_levels(levels):
    """Return an array of levels as Python's values, which other containers have too."""
    if levels.dtype.kind not in "mM":
        return levels.tolist()
    # Python has no nanoseconds, for which NumPy would list whole numbers.
    unit = np.datetime_data(levels.dtype)[0]
    fine = levels.astype(f"{levels.dtype.kind}8[us]") if unit in ("ns", "ps", "fs", "as") else levels
    listed = fine.tolist()
    if (fine != levels).any() or not all(isinstance(level, TIMES) for level in listed):
        raise TypeError(f"{levels.dtype} is finer than Python's microseconds, or beyond its years")
    return listed


def _read_dictionary(label, column):
    """Return the levels and codes of an Arrow array; the memory of its codes where nothing is missing."""
    is_plain = not has_levels(column)
    column = column.dictionary_encode() if is_plain else column
    levels, indices = column.dictionary.to_pylist(), column.indices
    if indices.null_count == len(indices):
        return [level for level in levels if not is_missing(level)], np.full(len(indices), -1, np.int8)
    missing = np.asarray(indices.is_null()) if indices.null_count else None
    # A missing row has the code of another one for a while.
    indices = indices.fill_null(indices.drop_null()[0]) if indices.null_count else indices
    codes = _as_codes(label, indices.to_numpy(zero_copy_only=False), len(levels), 0)
    known = dict.fromkeys(level for level in levels if not is_missing(level))
    if is_plain or len(known) < len(levels):
        # A dictionary may hold values twice, and missing ones.
        distinct = sorted(known) if is_plain else list(known)
        positions = {level: position for position, level in enumerate(distinct)}
        codes = np.array([positions.get(level, -1) for level in levels], np.int32)[codes]
        levels = distinct
    return levels, codes if missing is None else np.where(missing, codes.dtype.type(-1), codes)


def _as_codes(label, codes, n_levels, smallest):
    """Return checked codes, which kernels trust, in a type that these read, in the same memory if possible."""
    if not smallest <= codes.min() <= codes.max() < n_levels:
        raise ValueError(
            f"Column {label!r} of X is broken: its codes run from {codes.min()} to {codes.max()}, and it has "
            f"{n_levels} levels."
        )
    if codes.dtype in CODE_TYPES:
        return codes
    signed = SIGNED.get(codes.dtype)
    if signed is not None and n_levels <= np.iinfo(signed).max:
        return codes.view(signed)
    return codes.astype(np.int32)
