"""Types of CSV columns: numbers and booleans if the conversion loses nothing, otherwise text."""

import re
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlin.cli.arguments import THOUSANDS_SEPARATORS
from fastlin.cli.column_types import NumberFormat, convert_column, convert_text_column, describe_number_formats

DECIMAL_POINT_FORMAT = NumberFormat()
DECIMAL_COMMA_FORMAT = NumberFormat(",")
NUMBER_FORMATS = [
    NumberFormat(decimal, thousands)
    for decimal in ".,"
    for thousands in (None, *THOUSANDS_SEPARATORS)
    if thousands != decimal
]
# Fragments of strings that are numbers, nearly numbers, booleans or dates.
STRING_FRAGMENTS = [
    "0",
    "1",
    "10",
    "1.0",
    "01",
    "007",
    "-",
    "+",
    " ",
    ".5",
    "5.",
    "e2",
    "True",
    "TRUE",
    "false",
    "x",
    "inf",
    "0x1",
]


def read(*strings, number_format=DECIMAL_POINT_FORMAT, **options):
    # The array has two chunks, like the arrays that Arrow reads from large files.
    array = pa.chunked_array([pa.array(strings[:1], pa.string()), pa.array(strings[1:], pa.string())])
    return convert_column(array, number_format, **options)


def parse_number(text):
    """Return the number that a string with a decimal point represents, or None if it represents no number."""
    text = text.strip()
    # Python also accepts underscores in numbers, and integers of any size.
    return float(text) if re.fullmatch(r"[-+]?([\d.]+(e-?\d+)?|inf)", text) and text.count(".") < 2 else None


@pytest.mark.parametrize(
    ("strings", "loss"),
    [
        (["01", "1", "2"], "conversion to numbers drops the leading zero of '01'"),
        (["-007", "5"], "conversion to numbers drops the leading zero of '-007'"),
        (["01234", "98765"], "conversion to numbers drops the leading zero of '01234'"),
        (["2", "0x10"], "conversion to numbers drops the leading zero of '0x10'"),
        (["+1", "-1"], "conversion to numbers drops the sign of '+1'"),
        (["1.5", "+2"], "conversion to numbers drops the sign of '+2'"),
        (["1", "3", "1.0"], "'1' and '1.0' are the same number"),
        (["1e3", "5", "1000"], "'1e3' and '1000' are the same number"),
        (["0", "-0"], "'0' and '-0' are the same number"),
        ([" 1", "2", "1"], "' 1' and '1' are the same number"),
        (["9007199254740992", "9007199254740993"], "are the same number"),
        (["123456789012345678901", "123456789012345678902"], "are the same number"),
        (["9007199254740993", "1"], "float64 rounds '9007199254740993' to 9007199254740992"),
        (["1", "-9007199254740993"], "float64 rounds '-9007199254740993' to -9007199254740992"),
        (["9223372036854775807", "1"], "float64 rounds '9223372036854775807' to 9223372036854775808"),
        (["123456789012345678901", "1"], "float64 rounds '123456789012345678901' to 123456789012345683968"),
        (["False", "TRUE", "True"], "'TRUE' and 'True' are the same boolean"),
        (["1", "True", "0"], "'1' and 'True' are the same boolean"),
        (["2026-01-02", "2026-01-03 10:00"], "'2026-01-02' is a date or a time"),
        (["1/2/2026", "31.12.2025"], "'1/2/2026' is a date or a time"),
        (["10:30", "9:15:01"], "'10:30' is a date or a time"),
    ],
)
def test_a_column_whose_conversion_would_lose_information_stays_text(strings, loss):
    column = read(*strings)
    assert column.values.to_pylist() == strings
    assert loss in column.loss


@pytest.mark.parametrize(
    ("strings", "expected"),
    [
        (["0", "-1", "10"], [0, -1, 10]),
        (["0.50", "-2.00", ".25", "1e-05"], [0.5, -2.0, 0.25, 1e-5]),
        # Rounded numbers can contain zeros of both signs.
        (["0.00", "-0.00", "-1.25"], [0.0, 0.0, -1.25]),
        # Spaces in all rows, or spaces for alignment, do not distinguish values.
        ([" 1", " 2", "10"], [1, 2, 10]),
        (["9007199254740992", "-9007199254740994"], [2**53, -(2**53) - 2]),
        (["-9223372036854775808", "1"], [-(2**63), 1]),
        (["100000000000000000000", "1"], [1e20, 1.0]),
        (["9007199254740993", "0.5"], [2.0**53, 0.5]),
        (["TRUE", "FALSE", "TRUE"], [True, False, True]),
        (["true", "0", "true"], [True, False, True]),
        (["1", "", "NA"], [1, None, None]),
        (["a", "?", "b"], ["a", None, "b"]),
        (["", "NA"], [None, None]),
        (["10.1.2", "1.2.3"], ["10.1.2", "1.2.3"]),
    ],
)
def test_other_columns_are_numbers_booleans_or_text(strings, expected):
    column = read(*strings)
    assert column.values.to_pylist() == expected
    assert [type(value) for value in column.values.to_pylist()] == [type(value) for value in expected]
    assert column.loss == ""


@given(
    st.lists(st.lists(st.sampled_from(STRING_FRAGMENTS), min_size=1, max_size=3).map("".join), min_size=1, max_size=6)
)
def test_different_strings_never_become_the_same_value(strings):
    values = read(*strings).values.to_pylist()
    is_text = isinstance(next((value for value in values if value is not None), ""), str)
    if is_text:
        assert values == [text if text.strip() else None for text in strings]
    else:
        assert len(set(values)) == len(set(strings))
    numbers = [parse_number(text) for text in strings]
    are_plain_numbers = all(
        number is not None and not re.match(r"\+|-?0\d", text.strip())
        for number, text in zip(numbers, strings, strict=True)
    )
    if are_plain_numbers and len(set(numbers)) == len(set(strings)):
        assert values == numbers
    # A column that was numeric in the fit is read as numbers.
    if None not in numbers:
        assert read(*strings, must_be_numeric=True).values.to_pylist() == numbers


@given(
    st.sampled_from(NUMBER_FORMATS),
    st.lists(st.decimals(-(10**9), 10**9, places=2, allow_nan=False), min_size=1, max_size=5, unique=True),
)
def test_numbers_formatted_by_python_are_read_in_every_format(number_format, numbers):
    numbers = [*numbers, Decimal("1234567.25")]
    separator = {None: ""}.get(number_format.thousands, THOUSANDS_SEPARATORS.get(number_format.thousands, "")[:1])
    mark_translation = str.maketrans({",": separator, ".": number_format.decimal})
    strings = [f"{number:,.2f}".translate(mark_translation) for number in {number + 0: None for number in numbers}]
    column = read(*strings, number_format=number_format)
    assert column.values.to_pylist() == [float(number) for number in {number + 0: None for number in numbers}]


@pytest.mark.parametrize(
    ("strings", "number_format", "meanings"),
    [
        (
            ["76,705"],
            DECIMAL_POINT_FORMAT,
            "'76,705', which is the number 76705 with --thousands , or 76.705 with --decimal ,",
        ),
        (
            ["999", "-1,234"],
            DECIMAL_POINT_FORMAT,
            "'-1,234', which is the number -1234 with --thousands , or -1.234 with --deci",
        ),
        (["1,234,567", "5"], DECIMAL_POINT_FORMAT, "'1,234,567', which is the number 1234567 with --thousands ,"),
        (["1,234.50", "7.5"], DECIMAL_POINT_FORMAT, "'1,234.50', which is the number 1234.50 with --thousands ,"),
        (["1,5", "2"], DECIMAL_POINT_FORMAT, "'1,5', which is the number 1.5 with --decimal ,"),
        (["0,123"], DECIMAL_POINT_FORMAT, "'0,123', which is the number 0.123 with --decimal ,"),
        (["1.234,5"], DECIMAL_POINT_FORMAT, "'1.234,5', which is the number 1234.5 with --decimal , and --thousands ."),
        (["1 234"], DECIMAL_POINT_FORMAT, "'1 234', which is the number 1234 with --thousands space"),
        (["1\u202f234,5"], DECIMAL_POINT_FORMAT, "which is the number 1234.5 with --decimal , and --thousands space"),
        (["1'234.5"], DECIMAL_POINT_FORMAT, """"1'234.5", which is the number 1234.5 with --thousands apostrophe"""),
        (["1.5"], DECIMAL_COMMA_FORMAT, "'1.5', which is the number 1.5 with --decimal ."),
        (
            ["1.234"],
            DECIMAL_COMMA_FORMAT,
            "'1.234', which is the number 1.234 with --decimal . or 1234 with --thousands .",
        ),
        (["1,2"], NumberFormat(".", ","), "'1,2', which is the number 1.2 with --decimal , and no --thousands"),
    ],
)
def test_numbers_in_another_format_are_reported_with_the_options_that_read_them(strings, number_format, meanings):
    assert read(*strings, number_format=number_format).values.to_pylist() == strings
    message = describe_number_formats(pa.chunked_array([strings]), number_format)
    assert message.startswith("text such as ")
    assert meanings in message
    assert (" or " in message) == (" or " in meanings)


@pytest.mark.parametrize("strings", [["a"], ["1,2,3"], ["12,34", "1 2"], ["1.2.3"], ["12 34"], ["1,234", "x"]])
def test_text_that_is_not_a_number_in_any_format_stays_text(strings):
    assert describe_number_formats(pa.chunked_array([strings]), DECIMAL_POINT_FORMAT) == ""


@pytest.mark.parametrize(
    ("strings", "number_format", "note"),
    [
        (
            ["1,234", "999"],
            DECIMAL_COMMA_FORMAT,
            "'1,234' is read as 1.234; if the comma separates thousands, give --decimal . and",
        ),
        (
            ["76,705"],
            DECIMAL_COMMA_FORMAT,
            "'76,705' is read as 76.705; if the comma separates thousands, give --decimal . and --th",
        ),
        (
            ["999", "-1.234"],
            DECIMAL_POINT_FORMAT,
            "'-1.234' is read as -1.234; if the point separates thousands, give --decimal ,",
        ),
        (["0,234", "999"], DECIMAL_COMMA_FORMAT, ""),
        (["1,23", "999"], DECIMAL_COMMA_FORMAT, ""),
        (["1,234", "1000"], DECIMAL_COMMA_FORMAT, ""),
        # Every row has three decimals.
        (["1.234", "12.500"], DECIMAL_POINT_FORMAT, ""),
        (["1,234", "999"], NumberFormat(".", ","), ""),
    ],
)
def test_an_ambiguous_decimal_mark_gets_a_note(strings, number_format, note):
    column = read(*strings, number_format=number_format)
    assert pa.types.is_integer(column.values.type) or pa.types.is_floating(column.values.type)
    assert note in column.note
    assert bool(column.note) == bool(note)


def test_integers_with_a_plus_sign_get_no_note():
    column = read("+1", "+20", must_be_numeric=True)
    assert (column.values.to_pylist(), column.note) == ([1.0, 20.0], "")


@given(st.lists(st.integers(-(10**20), 10**20).map(str), min_size=1, max_size=4, unique=True))
def test_integer_columns_stay_text_if_float64_would_round_a_value(strings):
    is_exact = all(int(float(text)) == int(text) for text in strings)
    assert read(*strings).values.to_pylist() == (list(map(int, strings)) if is_exact else strings)
    assert list(map(float, read(*strings, must_be_numeric=True).values.to_pylist())) == list(map(float, strings))


def test_missing_values_with_two_spellings_get_a_note():
    assert read("a", "", "NA").note == "'' and 'NA' both mean a missing value"
    assert read("a", "NA", " NA").note == ""
    assert convert_text_column(pa.chunked_array([["007", "NA", ""]])).to_pylist() == ["007", None, None]


def test_numbers_of_any_size_are_read_exactly():
    numbers = np.random.default_rng(0).normal(size=2_000) * 10.0 ** np.arange(-20, 20).repeat(50)
    column = read(*map(repr, numbers.tolist()))
    np.testing.assert_array_equal(column.values.to_numpy(), numbers)
    assert column.loss == ""
