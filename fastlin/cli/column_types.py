"""Infer whether a CSV column contains numbers, booleans or text.

A column stays text if a conversion would lose information.
"""

from __future__ import annotations

import contextlib
import re
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from fastlin.cli.arguments import THOUSANDS_SEPARATORS

# Strings for missing values in addition to those of Arrow.
EXTRA_MISSING_STRINGS = ("?",)
SIGNED_ZERO_PATTERN = r"^\s*-(0[.,]0*)\s*$"
LEADING_ZERO_OR_PLUS_PATTERN = r"^(?:-?0[0-9xX]|\+)"
DATE_OR_TIME_PATTERN = (
    r"^(?:[0-9]{4}([-/.])[0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}([-/.])[0-9]{1,2}[-/.][0-9]{4}|[0-9]{1,2}:[0-9]{2})"
    r"(?:T|\b)"
)
DATE_LOSS = "is a date or a time"
# float64 represents every integer up to this value exactly.
MAX_EXACT_INTEGER = 2**53
DECIMAL_MARK_NAMES = {",": "the comma", ".": "the point"}


class NumberFormat(NamedTuple):
    """The decimal and thousands separators of numbers."""

    decimal: str = "."
    thousands: str | None = None  # a key of THOUSANDS_SEPARATORS, or None if there is no separator

    @property
    def pattern(self) -> str:
        """Regular expression that matches a number, for both Python and Arrow."""
        digits, decimal_mark = "[0-9]+", f"[{self.decimal}]"
        if self.thousands is not None:
            digits = f"(?:[1-9][0-9]{{0,2}}(?:[{THOUSANDS_SEPARATORS[self.thousands]}][0-9]{{3}})+|[0-9]+)"
        number = f"(?:{digits}(?:{decimal_mark}[0-9]*)?|{decimal_mark}[0-9]+)(?:[eE][-+]?[0-9]+)?"
        return f"^[-+]?(?:{number}|(?i:inf|infinity|nan))$"

    def standardize_number(self, text: str) -> str:
        """Return the string of a number without thousands separators and with a decimal point."""
        if self.thousands is not None:
            text = re.sub(f"[{THOUSANDS_SEPARATORS[self.thousands]}]", "", text)
        return text.replace(self.decimal, ".")

    def describe_change(self, current_format: NumberFormat) -> str:
        """Return the command-line options that change the current format to this one."""
        options = [f"--decimal {self.decimal}"] * (self.decimal != current_format.decimal)
        if self.thousands != current_format.thousands:
            options.append("no --thousands" if self.thousands is None else f"--thousands {self.thousands}")
        return " and ".join(options)


class ConvertedColumn(NamedTuple):
    """The values of a column, and remarks on how they were read."""

    values: Any  # a pyarrow.ChunkedArray of int64, float64, bool or string, null where a value is missing
    loss: str = ""  # the information that the conversion loses, or that prevents a conversion
    note: str = ""  # an alternative interpretation of the values


def convert_column(strings: Any, number_format: NumberFormat, must_be_numeric: bool = False) -> ConvertedColumn:
    """Return a CSV column as numbers or booleans if all strings convert without loss, and as text otherwise.

    `strings` is a pyarrow.ChunkedArray. If `must_be_numeric` is true, the conversion may lose information, because the
    column was numeric in the fit.
    """
    import pyarrow.compute as compute

    strings, trimmed_strings, note = _mark_missing_values(strings)
    if trimmed_strings.null_count == len(trimmed_strings):
        return ConvertedColumn(strings)
    for convert in (partial(_convert_to_numbers, number_format=number_format), _convert_to_booleans):
        values = convert(trimmed_strings)
        if values is not None:
            loss = _describe_lost_information(strings, trimmed_strings, values, convert)
            if loss and not must_be_numeric:
                return ConvertedColumn(strings, loss, note)
            return ConvertedColumn(
                values, loss, _describe_ambiguous_decimal_marks(trimmed_strings, values, number_format)
            )
    if must_be_numeric:
        is_number = compute.match_substring_regex(trimmed_strings, number_format.pattern)
        return ConvertedColumn(
            strings, f"{_get_first_string(trimmed_strings.filter(compute.invert(is_number)))!r} is not a number"
        )
    first = _get_first_string(trimmed_strings)
    is_date = re.match(DATE_OR_TIME_PATTERN, first) and _do_all_strings_match(trimmed_strings, DATE_OR_TIME_PATTERN)
    return ConvertedColumn(strings, f"{first!r} {DATE_LOSS}" if is_date else "", note)


def convert_text_column(strings: Any) -> Any:
    """Return the values of a CSV column as text. Missing values are null."""
    return _mark_missing_values(strings)[0]


def describe_spaces(values: Any) -> str:
    """Return a note with an example if all values of a text column begin or end with spaces, otherwise ""."""
    import pyarrow.compute as compute

    if values.null_count == len(values):
        return ""
    first = _get_first_string(values)
    position_verbs = []
    for position_verb, trimmed_first, trim_spaces in (
        ("begin", first.lstrip(), compute.utf8_ltrim_whitespace),
        ("end", first.rstrip(), compute.utf8_rtrim_whitespace),
    ):
        # For most columns, the first value suffices to decide.
        if trimmed_first != first and compute.all(compute.not_equal(trim_spaces(values), values)).as_py():
            position_verbs.append(position_verb)
    return f"all values {' and '.join(position_verbs)} with spaces, such as {first!r}" if position_verbs else ""


def describe_number_formats(strings: Any, number_format: NumberFormat) -> str:
    """Return the command-line options that read a text column as numbers, with an example, or "" if no options do.

    At least one string must not be missing.
    """
    import pyarrow.compute as compute

    trimmed_strings = _mark_missing_values(strings)[1]
    first, options_text_by_number, example = _get_first_string(trimmed_strings), dict[str, str](), ""
    possible_formats = [
        NumberFormat(decimal, thousands)
        for decimal in ".,"
        for thousands in (None, *THOUSANDS_SEPARATORS)
        if thousands != decimal
    ]
    # If several formats give the same number, the message names the one that changes the fewest options.
    possible_formats.sort(key=lambda other: sum(map(str.__ne__, map(str, other), map(str, number_format))))
    for other in possible_formats:
        if re.match(other.pattern, first) and _do_all_strings_match(trimmed_strings, other.pattern):
            if not example:
                is_number = compute.match_substring_regex(trimmed_strings, number_format.pattern)
                example = _get_first_string(trimmed_strings.filter(compute.invert(is_number)))
            options_text_by_number.setdefault(other.standardize_number(example), other.describe_change(number_format))
    possible_meanings = " or ".join(f"{number} with {options}" for number, options in options_text_by_number.items())
    return f"text such as {example!r}, which is the number {possible_meanings}" if options_text_by_number else ""


def _mark_missing_values(strings):
    """Return strings and trimmed strings with nulls, and a note if missing values have more than one spelling."""
    import pyarrow as pa
    import pyarrow.compute as compute

    trimmed_strings = compute.utf8_trim_whitespace(strings)
    is_missing = compute.is_in(trimmed_strings, value_set=_list_missing_strings())
    if not compute.any(is_missing).as_py():
        return strings, trimmed_strings, ""
    missing_spellings = trimmed_strings.filter(is_missing).unique().to_pylist()
    note = (
        f"{missing_spellings[0]!r} and {missing_spellings[1]!r} both mean a missing value"
        if len(missing_spellings) > 1
        else ""
    )
    null_string = pa.scalar(None, pa.string())
    return *(compute.if_else(is_missing, null_string, values) for values in (strings, trimmed_strings)), note


@cache
def _list_missing_strings():
    """Return the strings that represent missing values as a pyarrow.Array."""
    import pyarrow as pa
    from pyarrow import csv

    return pa.array([*csv.ConvertOptions().null_values, *EXTRA_MISSING_STRINGS])


def _convert_to_numbers(strings, number_format):
    """Return trimmed strings as int64 or float64, or None if one of them is not a number."""
    import pyarrow as pa
    import pyarrow.compute as compute

    # Arrow converts only numbers with a decimal point, but its conversion is faster than a regular expression.
    if number_format != NumberFormat():
        if not _do_all_strings_match(strings, number_format.pattern):
            return None
        if number_format.thousands is not None:
            separator_characters = THOUSANDS_SEPARATORS[number_format.thousands]
            strings = compute.replace_substring_regex(strings, f"[{separator_characters}]", "")
        strings = compute.replace_substring(strings, number_format.decimal, ".")
    # A failed conversion takes as long as converting thousands of numbers, so the first string selects the types.
    is_integer = re.match("[-+]?[0-9]+(?:[xX]|$)", _get_first_string(strings))
    for dtype in (pa.int64(), pa.float64()) if is_integer else (pa.float64(),):
        with contextlib.suppress(pa.ArrowInvalid):
            return strings.cast(dtype)
    return None


def _convert_to_booleans(strings):
    """Return trimmed strings as booleans, or None if one of them is not true, false, 1 or 0."""
    import pyarrow as pa
    import pyarrow.compute as compute

    words = "true", "false", "1", "0"
    if _get_first_string(strings).lower() not in words:
        return None
    lowercase_strings = compute.utf8_lower(strings)
    if not compute.all(compute.is_in(lowercase_strings.drop_null(), value_set=pa.array(words))).as_py():
        return None
    return compute.or_(compute.equal(lowercase_strings, "true"), compute.equal(lowercase_strings, "1"))


def _describe_lost_information(strings, trimmed_strings, values, convert):
    """Describe the information that a conversion to numbers or booleans loses; return "" if it loses none."""
    import pyarrow.compute as compute

    lossy_strings = trimmed_strings.filter(compute.match_substring_regex(trimmed_strings, LEADING_ZERO_OR_PLUS_PATTERN))
    if len(lossy_strings):
        example = lossy_strings[0].as_py()
        return f"conversion to numbers drops the {'sign' if example[0] == '+' else 'leading zero'} of {example!r}"
    # Estimators read numbers as float64. Sorting and counting numbers is ten times faster than comparing
    # strings.
    numbers = np.sort(values.drop_null().to_numpy().astype(np.float64))
    n_distinct_numbers = 1 + np.count_nonzero(numbers[1:] != numbers[:-1])
    if n_distinct_numbers < len(numbers) and n_distinct_numbers < compute.count_distinct(strings).as_py():
        # A signed zero is a result of rounding, so 0 and -0 are not different codes.
        unsigned_strings = compute.replace_substring_regex(strings, SIGNED_ZERO_PATTERN, r"\1")
        distinct_strings, string_by_number = unsigned_strings.unique().drop_null(), dict[float, str]()
        converted_values = convert(compute.utf8_trim_whitespace(distinct_strings)).to_pylist()
        for number, distinct_string in zip(map(float, converted_values), distinct_strings.to_pylist(), strict=True):
            if string_by_number.setdefault(number, distinct_string) != distinct_string:
                noun = "boolean" if convert is _convert_to_booleans else "number"
                return f"{string_by_number[number]!r} and {distinct_string!r} are the same {noun}"
    # A rounded identifier cannot be recovered, even if no other identifier is rounded to the same number.
    is_large = len(numbers) and max(-numbers[0], numbers[-1]) >= MAX_EXACT_INTEGER
    rounded_integer = _find_rounded_integer(trimmed_strings.drop_null(), values.drop_null()) if is_large else None
    return "" if rounded_integer is None else f"float64 rounds {rounded_integer!r} to {float(rounded_integer):.0f}"


def _find_rounded_integer(strings, values):
    """Return the first string in an integer column that conversion to float64 would round, or None."""
    import pyarrow as pa

    if pa.types.is_integer(values.type):
        integers = values.to_numpy()
        floats = integers.astype(np.float64)
        is_rounded_integer = floats >= 2.0**63
        is_rounded_integer[~is_rounded_integer] = (
            floats[~is_rounded_integer].astype(np.int64) != integers[~is_rounded_integer]
        )
        return str(integers[is_rounded_integer.argmax()]) if is_rounded_integer.any() else None
    if not _do_all_strings_match(strings, "^-?[0-9]+$"):
        return None
    return next((text for text in strings.to_pylist() if int(text) != int(float(text))), None)


def _describe_ambiguous_decimal_marks(trimmed_strings, values, number_format):
    """Return a note if the decimal mark of the numbers could be a thousands separator, "" otherwise."""
    import pyarrow as pa
    import pyarrow.compute as compute

    decimal_mark = number_format.decimal
    pattern = f"^[-+]?(?:[1-9][0-9]{{0,2}}[{decimal_mark}][0-9]{{3}}|[0-9]{{1,3}})$"
    has_decimal_values = number_format.thousands is None and pa.types.is_floating(values.type)
    if (
        not has_decimal_values
        or not re.match(pattern, _get_first_string(trimmed_strings))
        or not _do_all_strings_match(trimmed_strings, pattern)
    ):
        return ""
    has_decimal_mark = compute.match_substring(trimmed_strings, decimal_mark)
    # Numbers with a plus sign are floats, also without decimals. In many columns, all numbers have three decimals.
    if not compute.any(has_decimal_mark).as_py() or (decimal_mark == "." and compute.all(has_decimal_mark).as_py()):
        return ""
    example, other = (
        trimmed_strings.filter(has_decimal_mark)[0].as_py(),
        NumberFormat("," if decimal_mark == "." else ".", decimal_mark),
    )
    means = f"{example!r} is read as {number_format.standardize_number(example)}"
    change = other.describe_change(number_format)
    return f"{means}; if {DECIMAL_MARK_NAMES[decimal_mark]} separates thousands, give {change}"


def _do_all_strings_match(strings, pattern):
    import pyarrow.compute as compute

    # Missing values are treated as matches.
    return compute.all(compute.match_substring_regex(strings, pattern)).as_py()


def _get_first_string(strings):
    """Return the first string that is not missing."""
    return (strings.drop_null() if strings.null_count else strings)[0].as_py()
