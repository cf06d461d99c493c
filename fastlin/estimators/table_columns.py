"""A column of a table of pandas, Arrow or NumPy: its numbers, or its levels and which of them each row has."""

from typing import Any

import numpy as np

from fastlin.typing import Array, IntArray

# The types of codes that kernels read, and of whole numbers whose memory they are where no number is too large.
CODE_TYPES = tuple(np.dtype(name) for name in ("int8", "int16", "int32"))
SIGNED = dict(zip((np.dtype(name) for name in ("uint8", "uint16", "uint32")), CODE_TYPES, strict=True))
# Values that NumPy sorts and of which none is missing, but for None and NaN among objects and floats.
SORTED = "biufUSO"


def has_levels(column: Any) -> bool:
    """Say whether the type of a column has levels."""
    # Arrow's own type, or the one that a column of pandas stores.
    kind = getattr(column, "type", None) or getattr(getattr(column, "dtype", None), "pyarrow_dtype", None)
    return hasattr(column, "cat") or (hasattr(kind, "index_type") and hasattr(kind, "value_type"))


def read_numbers(label: object, column: Any) -> Array:
    """Return a column of numbers as an array of real numbers: the same memory where it is one.

    Raises
    ------
    ValueError
        It holds something else. The label is what the error calls the column.
    """
    dtype: Any = getattr(column, "dtype", None)
    if _is_arrow(column):
        column = _join(column).to_numpy(zero_copy_only=False)
    elif getattr(dtype, "na_value", None) is not None and not has_levels(column) and dtype.kind not in "mM":
        column = _fill_missing(column)
    numbers = np.asarray(column)
    if numbers.dtype.kind in "bfiu" and getattr(dtype, "kind", "f") not in "mM":
        return numbers
    if numbers.dtype.kind == "O" and getattr(dtype, "kind", "f") not in "mM":
        try:
            return numbers.astype(np.float64)
        except (TypeError, ValueError):
            pass
    raise ValueError(
        f"Column {label!r} of X holds {_describe(numbers)} rather than numbers: encode it, or name it in "
        "categorical_features."
    )


def read_levels(label: object, column: Any) -> tuple[list[Any], IntArray]:
    """Return the levels of a column, a list, and the code of each row, -1 where its value is missing.

    Raises
    ------
    ValueError
        Levels cannot be sorted, or codes are beyond the levels.
    """
    try:
        if _is_arrow(column):
            return _read_dictionary(label, _join(column))
        if hasattr(column, "iloc"):
            categories = (column if hasattr(column, "cat") else column.astype("category")).array
            return categories.categories.tolist(), _as_codes(label, categories.codes, len(categories.categories), -1)
        return _find_levels(np.asarray(column))
    except (TypeError, NotImplementedError) as error:
        raise ValueError(
            f"Column {label!r} of X has levels that cannot be sorted, as text and numbers cannot, or that are not "
            f"single values: {error}"
        ) from error


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


def _fill_missing(column):
    """Return a column of pandas' types that know missing values as numbers, with NaN for those, or as objects."""
    try:
        return column.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        return column.to_numpy(object)


def _describe(values):
    """Return what a column holds, for an error."""
    if values.dtype.kind != "O":
        return "text" if values.dtype.kind in "US" else f"values of type {values.dtype}"
    wrong = next((value for value in values if not isinstance(value, (int, float))), None)
    return "text" if isinstance(wrong, str) else f"values such as {wrong!r}"


def is_missing(value: object) -> bool:
    """Say whether a value is None, NaN, or what pandas has for them, of which a comparison says nothing."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        return True


def _find_levels(values):
    """Return the values of an array without a type for levels, sorted, and the number of each."""
    if values.dtype.kind not in SORTED:
        raise TypeError(f"values of type {values.dtype}")
    missing = values != values if values.dtype.kind == "f" else np.zeros(len(values), bool)
    if values.dtype.kind == "O":
        missing = np.array([is_missing(value) for value in values], bool)
    levels, codes = np.unique(values[~missing], return_inverse=True)
    found = np.full(len(values), -1, np.min_scalar_type(-max(1, len(levels))))
    found[~missing] = codes
    return levels.tolist(), found


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
        places = {level: place for place, level in enumerate(distinct)}
        codes = np.array([places.get(level, -1) for level in levels], np.int32)[codes]
        levels = distinct
    return levels, codes if missing is None else np.where(missing, codes.dtype.type(-1), codes)


def _as_codes(label, codes, n_levels, smallest):
    """Return codes in a type that kernels read: the same memory where one of its size does.

    Kernels trust the codes, and not every reader has looked at them.
    """
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
