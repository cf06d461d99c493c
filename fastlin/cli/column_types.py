"""Decide what a column of CSV holds: numbers, booleans or text. What a conversion would lose stays text."""

from __future__ import annotations

import contextlib
import re
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from fastlin.cli.arguments import THOUSANDS_SIGNS

# Values that are missing, apart from those that Arrow knows.
ALSO_MISSING = ("?",)
SIGNED_ZERO = r"^\s*-(0[.,]0*)\s*$"
LOSES_DIGITS = r"^(?:-?0[0-9xX]|\+)"
DATE_OR_TIME = (
    r"^(?:[0-9]{4}([-/.])[0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}([-/.])[0-9]{1,2}[-/.][0-9]{4}|[0-9]{1,2}:[0-9]{2})\b"
)
# Below it float64 holds each whole number.
EXACT = 2**53
NAMES_OF_SIGNS = {",": "the comma", ".": "the point"}


class NumberFormat(NamedTuple):
    """How numbers are written."""

    decimal: str = "."
    thousands: str | None = None  # a key of THOUSANDS_SIGNS, or None where thousands are not separated

    @property
    def pattern(self) -> str:
        """The regular expression of a number, for Python and for Arrow."""
        digits, point = "[0-9]+", f"[{self.decimal}]"
        if self.thousands is not None:
            digits = f"(?:[1-9][0-9]{{0,2}}(?:[{THOUSANDS_SIGNS[self.thousands]}][0-9]{{3}})+|[0-9]+)"
        number = f"(?:{digits}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][-+]?[0-9]+)?"
        return f"^[-+]?(?:{number}|(?i:inf|infinity|nan))$"

    def standardize(self, text: str) -> str:
        """Return the text of a number without separators of thousands and with a decimal point."""
        if self.thousands is not None:
            text = re.sub(f"[{THOUSANDS_SIGNS[self.thousands]}]", "", text)
        return text.replace(self.decimal, ".")

    def describe_change(self, current: NumberFormat) -> str:
        """Return the options of the command line that lead from the current format to this one."""
        options = [f"--decimal {self.decimal}"] * (self.decimal != current.decimal)
        if self.thousands != current.thousands:
            options.append("no --thousands" if self.thousands is None else f"--thousands {self.thousands}")
        return " and ".join(options)


class Column(NamedTuple):
    """The values of a column, and what a user should know of how they were read."""

    values: Any  # a pyarrow.ChunkedArray of int64, float64, bool or string, null where a value is missing
    loss: str = ""  # what numbers or booleans lose or would lose: the reason for text
    note: str = ""  # another way to read the values


def read_column(texts: Any, number_format: NumberFormat, as_numbers: bool = False) -> Column:
    """Return the values of a column of CSV, as numbers or booleans if all texts are and nothing is lost, else as text.

    texts is a pyarrow.ChunkedArray of strings. as_numbers allows a loss: the column is one of numbers elsewhere.
    """
    import pyarrow.compute as compute

    texts, trimmed, note = _mark_missing(texts)
    if trimmed.null_count == len(trimmed):
        return Column(texts)
    for convert in (partial(_to_numbers, number_format=number_format), _to_booleans):
        values = convert(trimmed)
        if values is not None:
            loss = _find_loss(texts, trimmed, values, convert)
            if loss and not as_numbers:
                return Column(texts, loss, note)
            return Column(values, loss, _describe_doubt(trimmed, values, number_format))
    if as_numbers:
        is_number = compute.match_substring_regex(trimmed, number_format.pattern)
        return Column(texts, f"{_get_first(trimmed.filter(compute.invert(is_number)))!r} is no number")
    first = _get_first(trimmed)
    is_date = re.match(DATE_OR_TIME, first) and _all_match(trimmed, DATE_OR_TIME)
    return Column(texts, f"{first!r} is a date or a time" if is_date else "", note)


def read_text(texts: Any) -> Any:
    """Return the values of a column of CSV that holds text, null where a value is missing."""
    return _mark_missing(texts)[0]


def describe_spaces(values: Any) -> str:
    """Return at which ends all values of a column of text have spaces, with an example; "" if at none."""
    import pyarrow.compute as compute

    if values.null_count == len(values):
        return ""
    first = _get_first(values)
    found = []
    for end, rest, trim in (
        ("begin", first.lstrip(), compute.utf8_ltrim_whitespace),
        ("end", first.rstrip(), compute.utf8_rtrim_whitespace),
    ):
        # The first value alone decides for most columns.
        if rest != first and compute.all(compute.not_equal(trim(values), values)).as_py():
            found.append(end)
    return f"all values {' and '.join(found)} with spaces, such as {first!r}" if found else ""


def describe_formats(texts: Any, number_format: NumberFormat) -> str:
    """Return which options would read a column of text, not all missing, as numbers, and as which; "" if none would."""
    import pyarrow.compute as compute

    trimmed = _mark_missing(texts)[1]
    first, readings, example = _get_first(trimmed), dict[str, str](), ""
    formats = [NumberFormat(decimal, each) for decimal in ".," for each in (None, *THOUSANDS_SIGNS) if each != decimal]
    # Of formats with the same result, the user sees the one that changes the fewest options.
    formats.sort(key=lambda each: sum(map(str.__ne__, map(str, each), map(str, number_format))))
    for each in formats:
        if re.match(each.pattern, first) and _all_match(trimmed, each.pattern):
            if not example:
                is_number = compute.match_substring_regex(trimmed, number_format.pattern)
                example = _get_first(trimmed.filter(compute.invert(is_number)))
            readings.setdefault(each.standardize(example), each.describe_change(number_format))
    meanings = " or ".join(f"{number} with {options}" for number, options in readings.items())
    return f"text such as {example!r}, which means the number {meanings}" if readings else ""


def _mark_missing(texts):
    """Return texts and trimmed texts, both null where a value is missing, and a note if that is written in two ways."""
    import pyarrow as pa
    import pyarrow.compute as compute

    trimmed = compute.utf8_trim_whitespace(texts)
    is_missing = compute.is_in(trimmed, value_set=_list_missing())
    if not compute.any(is_missing).as_py():
        return texts, trimmed, ""
    spellings = trimmed.filter(is_missing).unique().to_pylist()
    note = f"{spellings[0]!r} and {spellings[1]!r} both mean a missing value" if len(spellings) > 1 else ""
    nothing = pa.scalar(None, pa.string())
    return *(compute.if_else(is_missing, nothing, each) for each in (texts, trimmed)), note


@cache
def _list_missing():
    """Return the texts of missing values, a pyarrow.Array."""
    import pyarrow as pa
    from pyarrow import csv

    return pa.array([*csv.ConvertOptions().null_values, *ALSO_MISSING])


def _to_numbers(texts, number_format):
    """Return trimmed texts as int64 or float64, or None if one of them is no number."""
    import pyarrow as pa
    import pyarrow.compute as compute

    # Arrow converts numbers with a decimal point alone, and faster than a regular expression finds others.
    if number_format != NumberFormat():
        if not _all_match(texts, number_format.pattern):
            return None
        if number_format.thousands is not None:
            texts = compute.replace_substring_regex(texts, f"[{THOUSANDS_SIGNS[number_format.thousands]}]", "")
        texts = compute.replace_substring(texts, number_format.decimal, ".")
    # A failure takes as long as thousands of numbers, so the first text says which type may fit.
    is_integer = re.match("[-+]?[0-9]+(?:[xX]|$)", _get_first(texts))
    for kind in (pa.int64(), pa.float64()) if is_integer else (pa.float64(),):
        with contextlib.suppress(pa.ArrowInvalid):
            return texts.cast(kind)
    return None


def _to_booleans(texts):
    """Return trimmed texts as booleans, or None if one of them is neither true, false, 1 nor 0."""
    import pyarrow as pa
    import pyarrow.compute as compute

    words = "true", "false", "1", "0"
    if _get_first(texts).lower() not in words:
        return None
    lowered = compute.utf8_lower(texts)
    if not compute.all(compute.is_in(lowered.drop_null(), value_set=pa.array(words))).as_py():
        return None
    return compute.or_(compute.equal(lowered, "true"), compute.equal(lowered, "1"))


def _find_loss(texts, trimmed, values, convert):
    """Return what numbers or booleans lose of the texts that they were converted from, "" if nothing."""
    import pyarrow.compute as compute

    changed = trimmed.filter(compute.match_substring_regex(trimmed, LOSES_DIGITS))
    if len(changed):
        example = changed[0].as_py()
        return f"a number loses the {'sign' if example[0] == '+' else 'leading zero'} of {example!r}"
    # Estimators read numbers as float64. Sorted numbers show in a tenth of the time whether texts have to be compared.
    numbers = np.sort(values.drop_null().to_numpy().astype(np.float64))
    n_distinct = 1 + np.count_nonzero(numbers[1:] != numbers[:-1])
    if n_distinct < len(numbers) and n_distinct < compute.count_distinct(texts).as_py():
        # Rounding writes zeros with a sign: that is nobody's code.
        unsigned = compute.replace_substring_regex(texts, SIGNED_ZERO, r"\1")
        spellings, seen = unsigned.unique().drop_null(), dict[float, str]()
        converted = convert(compute.utf8_trim_whitespace(spellings)).to_pylist()
        for number, spelling in zip(map(float, converted), spellings.to_pylist(), strict=True):
            if seen.setdefault(number, spelling) != spelling:
                what = "boolean" if convert is _to_booleans else "number"
                return f"{seen[number]!r} and {spelling!r} are the same {what}"
    # An identifier that is rounded cannot be found again, whether or not the rows hold its neighbor.
    is_large = len(numbers) and max(-numbers[0], numbers[-1]) >= EXACT
    rounded = _find_rounded(trimmed.drop_null(), values.drop_null()) if is_large else None
    return "" if rounded is None else f"a number rounds {rounded!r} to {float(rounded):.0f}"


def _find_rounded(texts, values):
    """Return the first text of a column of whole numbers that float64 rounds, None if there is none."""
    import pyarrow as pa

    if pa.types.is_integer(values.type):
        wholes = values.to_numpy()
        floats = wholes.astype(np.float64)
        is_rounded = floats >= 2.0**63
        is_rounded[~is_rounded] = floats[~is_rounded].astype(np.int64) != wholes[~is_rounded]
        return str(wholes[is_rounded.argmax()]) if is_rounded.any() else None
    if not _all_match(texts, "^-?[0-9]+$"):
        return None
    return next((text for text in texts.to_pylist() if int(text) != int(float(text))), None)


def _describe_doubt(trimmed, values, number_format):
    """Return what numbers would be if their decimal sign separated thousands, "" if it cannot."""
    import pyarrow as pa
    import pyarrow.compute as compute

    sign = number_format.decimal
    pattern = f"^[-+]?(?:[1-9][0-9]{{0,2}}[{sign}][0-9]{{3}}|[0-9]{{1,3}})$"
    is_candidate = number_format.thousands is None and pa.types.is_floating(values.type)
    if not is_candidate or not re.match(pattern, _get_first(trimmed)) or not _all_match(trimmed, pattern):
        return ""
    has_sign = compute.match_substring(trimmed, sign)
    # Three decimals in all rows are everyday with a point.
    if sign == "." and compute.all(has_sign).as_py():
        return ""
    example, other = trimmed.filter(has_sign)[0].as_py(), NumberFormat("," if sign == "." else ".", sign)
    means = f"{example!r} is read as {number_format.standardize(example)}"
    return f"{means}; if {NAMES_OF_SIGNS[sign]} separates thousands, give {other.describe_change(number_format)}"


def _all_match(texts, pattern):
    import pyarrow.compute as compute

    # Missing values count as matches.
    return compute.all(compute.match_substring_regex(texts, pattern)).as_py()


def _get_first(texts):
    """Return the first text that is not missing."""
    return (texts.drop_null() if texts.null_count else texts)[0].as_py()
