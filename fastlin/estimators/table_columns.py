"""Convert single columns of pandas, Arrow or arrays to numbers, or to categories and codes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from fastlin.typing import Array, IntArray

# The dtypes of codes that kernels read. Small unsigned codes can be viewed as one of these dtypes.
SIGNED_CODE_DTYPES = tuple(np.dtype(name) for name in ("int8", "int16", "int32"))
SIGNED_DTYPE_BY_UNSIGNED = dict(
    zip((np.dtype(name) for name in ("uint8", "uint16", "uint32")), SIGNED_CODE_DTYPES, strict=True)
)
# Prefixes of the names of Arrow's string and binary types.
ARROW_STRING_TYPES = "string", "large_string", "binary", "large_binary", "fixed_size_binary"
# Kinds of dtypes that NumPy sorts, and whose only missing values are None, NaN and NaT.
SORTABLE_DTYPE_KINDS = "biufUSOmM"
TIME_TYPES = date, time, timedelta, np.datetime64, np.timedelta64


def has_categorical_dtype(column: Any) -> bool:
    """Return whether a column has a categorical dtype."""
    kind = _get_arrow_type(column)
    return _has_categories(column) or (hasattr(kind, "index_type") and hasattr(kind, "value_type"))


def _has_categories(column):
    return hasattr(getattr(column, "dtype", None), "categories")


def is_categorical(column: Any) -> bool:
    """Return whether a column has a categorical dtype, or contains strings or bytes, possibly as objects."""
    if has_categorical_dtype(column) or str(_get_arrow_type(column)).startswith(ARROW_STRING_TYPES):
        return True
    dtype: Any = getattr(column, "dtype", None)
    if getattr(dtype, "kind", "") == "O" and isinstance(dtype, np.dtype):
        return any(isinstance(value, (str, bytes)) for value in column)
    # This is the string dtype of pandas.
    return getattr(dtype, "type", None) is str


def _get_arrow_type(column):
    """Return the Arrow type of an Arrow column or of an Arrow-backed pandas column; None for other columns."""
    dtype = getattr(column, "dtype", None)
    return getattr(column, "type", None) if dtype is None else getattr(dtype, "pyarrow_dtype", None)


def as_numbers(column: Any) -> Array:
    """Return a column as an array, if possible of real numbers and without a copy."""
    dtype: Any = getattr(column, "dtype", None)
    is_time = getattr(dtype, "kind", "f") in "mM"
    if _is_arrow_column(column):
        column = _join_chunks(column).to_numpy(zero_copy_only=False)
    elif getattr(dtype, "na_value", None) is not None and not has_categorical_dtype(column) and not is_time:
        # The column has a nullable dtype of pandas.
        with contextlib.suppress(TypeError, ValueError):
            column = column.to_numpy(np.float64, na_value=np.nan)
    numbers = np.asarray(column)
    if numbers.dtype.kind == "O" and not is_time and not are_times(numbers):
        with contextlib.suppress(TypeError, ValueError):
            return numbers.astype(np.float64)
    return numbers


def encode_categories(label: object, column: Any) -> tuple[list[Any], IntArray]:
    """Return the list of categories of a column, and the code of each row, which is -1 for missing values."""
    if hasattr(column, "iloc") and has_categorical_dtype(column) and not _has_categories(column):
        # pandas cannot encode Arrow dictionaries with missing values.
        column = column.array.__arrow_array__()
    try:
        if _is_arrow_column(column):
            return _encode_dictionary(label, _join_chunks(column))
        if hasattr(column, "iloc"):
            categorical = (column if _has_categories(column) else column.astype("category")).array
            categories = categorical.categories.tolist()
            if column.dtype == object:
                # pandas leaves values unsorted if they are not comparable; `sorted` raises a TypeError.
                sorted(categories)
            return categories, _validate_codes(label, categorical.codes, len(categories), -1)
        return _encode_array(np.asarray(column))
    except (TypeError, NotImplementedError) as error:
        raise ValueError(_explain_invalid_categories(label, column, error)) from error


def _explain_invalid_categories(label, column, error):
    """Return the error message for a column whose values cannot be categories; it lists the kinds of values."""
    values = column.to_pylist() if _is_arrow_column(column) else np.asarray(column).tolist()
    kinds = list_value_kinds(value for value in values if not is_missing(value))
    if len(kinds) > 1:
        return (
            f"Column {label!r} of X mixes {' and '.join(kinds)}; the categories of a column must be of one kind. "
            "Convert it, for example with astype(str)."
        )
    return (
        f"Column {label!r} of X has categories that cannot be sorted or are not scalars ({error}); encode them as "
        "strings or numbers."
    )


def list_value_kinds(values: Iterable[object]) -> list[str]:
    """Return descriptions of the kinds of values, each with its first value."""
    kinds: dict[str, object] = {}
    for value in values:
        if is_missing(value):
            kind = "missing values"
        elif _is_number(value):
            kind = "numbers"
        else:
            kind = "strings" if isinstance(value, str) else f"values of type {type(value).__name__}"
        kinds.setdefault(kind, value)
    return [f"{kind} such as {value!r:.50}" for kind, value in kinds.items()]


def _is_number(value):
    return isinstance(value, (int, float, Decimal, np.number)) and not isinstance(value, np.timedelta64)


def are_times(values: Array) -> bool:
    """Return whether values are dates, times or durations, or an array of objects that contains such values."""
    return values.dtype.kind in "mM" or (
        values.dtype.kind == "O" and any(issubclass(kind, TIME_TYPES) for kind in set(map(type, values)))
    )


def _is_arrow_column(column):
    return hasattr(column, "to_pylist")


def _join_chunks(column):
    """Return a column of an Arrow table as a single chunk, without a copy if it has a single chunk."""
    if has_categorical_dtype(column):
        column = column.unify_dictionaries()
    if column.num_chunks == 1:
        return column.chunk(0)
    combined_column = column.combine_chunks()
    return combined_column.chunk(0) if hasattr(combined_column, "num_chunks") else combined_column


def describe_values(values: Array) -> str:
    """Return a description of the values of a column that is not numeric, for error messages."""
    if values.dtype.kind not in "OUS":
        return f"values of type {values.dtype}"
    example = next((value for value in values.tolist() if not (is_missing(value) or _is_number(value))), None)
    return f"{'strings' if isinstance(example, (str, bytes)) else 'values'} such as {example!r:.50}"


def is_missing(value: object) -> bool:
    """Return whether a value is None, NaN, or pandas.NA, for which comparisons do not return a boolean."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        return True


def _encode_array(values):
    """Return the sorted unique values of an array, and the code of each entry, which is -1 for missing values."""
    if values.dtype.kind not in SORTABLE_DTYPE_KINDS:
        raise TypeError(f"values of type {values.dtype}")
    are_objects = values.dtype.kind == "O"
    missing = np.array([is_missing(value) for value in values], bool) if are_objects else values != values
    categories, codes = np.unique(values[~missing], return_inverse=True)
    row_codes = np.full(len(values), -1, np.min_scalar_type(-max(1, len(categories))))
    row_codes[~missing] = codes
    return _list_categories(categories), row_codes


def _list_categories(categories):
    """Return an array of categories as a list of Python objects, comparable with categories of other containers."""
    if categories.dtype.kind not in "mM":
        return categories.tolist()
    # Python does not support nanoseconds, for which NumPy would return integers.
    unit = np.datetime_data(categories.dtype)[0]
    microsecond_categories = (
        categories.astype(f"{categories.dtype.kind}8[us]") if unit in ("ns", "ps", "fs", "as") else categories
    )
    category_list = microsecond_categories.tolist()
    if (microsecond_categories != categories).any() or not all(
        isinstance(category, TIME_TYPES) for category in category_list
    ):
        raise TypeError(f"{categories.dtype} has values beyond the resolution or range of Python's dates")
    return category_list


def _encode_dictionary(label, column):
    """Return the categories and codes of an Arrow array, without a copy of the codes if no values are missing."""
    is_plain = not has_categorical_dtype(column)
    column = column.dictionary_encode() if is_plain else column
    categories, indices = column.dictionary.to_pylist(), column.indices
    if indices.null_count == len(indices):
        return [category for category in categories if not is_missing(category)], np.full(len(indices), -1, np.int8)
    missing = np.asarray(indices.is_null()) if indices.null_count else None
    # Missing values temporarily get the code of another row.
    indices = indices.fill_null(indices.drop_null()[0]) if indices.null_count else indices
    codes = _validate_codes(label, indices.to_numpy(zero_copy_only=False), len(categories), 0)
    unique_categories = dict.fromkeys(category for category in categories if not is_missing(category))
    if is_plain or len(unique_categories) < len(categories):
        # A dictionary may contain duplicates and missing values.
        distinct_categories = sorted(unique_categories) if is_plain else list(unique_categories)
        category_indices = {category: index for index, category in enumerate(distinct_categories)}
        codes = np.array([category_indices.get(category, -1) for category in categories], np.int32)[codes]
        categories = distinct_categories
    return categories, codes if missing is None else np.where(missing, codes.dtype.type(-1), codes)


def _validate_codes(label, codes, n_categories, smallest):
    """Return validated codes in a dtype that kernels read, without a copy if possible."""
    if not smallest <= codes.min() <= codes.max() < n_categories:
        raise ValueError(
            f"Column {label!r} of X is corrupt: its codes range from {codes.min()} to {codes.max()}, but it has "
            f"{n_categories} categories."
        )
    if codes.dtype in SIGNED_CODE_DTYPES:
        return codes
    signed_dtype = SIGNED_DTYPE_BY_UNSIGNED.get(codes.dtype)
    if signed_dtype is not None and n_categories <= np.iinfo(signed_dtype).max:
        return codes.view(signed_dtype)
    return codes.astype(np.int32)
