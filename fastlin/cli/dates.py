"""Dates in columns of files, and the features that `fastlin fit --dates` makes of them: days and calendar parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastlin.cli.column_types import convert_text_column

ORDERS = "year-month-day", "day-month-year", "month-day-year"
PART_PATTERNS = {"year": "(?P<year>[0-9]{4})", "month": "(?P<month>[0-9]{1,2})", "day": "(?P<day>[0-9]{1,2})"}
TIME_PATTERN = r"(?P<time>(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)?)"
# A column contains dates if more than half of its values look like dates. The error then names the other values.
DATE_PATTERN = r"^\s*(?:[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4})(?:T|\b)"
WEEKDAYS = "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"
MICROSECONDS_PER_DAY = 86_400e6
DATE_REMEDY = "write all dates as YYYY-MM-DD or YYYY-MM-DD HH:MM:SS"


@dataclass(frozen=True)
class DateEncoding:
    """How a column of dates becomes features.

    `order` is the order of year, month and day in CSV files. `origin` is day zero, the earliest date of the training
    rows, in ISO 8601. `has_times` is whether the dates of the training rows have times of day.
    """

    order: str
    origin: str
    has_times: bool

    @property
    def parts(self) -> tuple[str, ...]:
        """The suffixes of the names of the features."""
        return ("days", "month", "weekday", *["hour"] * self.has_times)

    def encode(self, dates: Any) -> dict[str, Any]:
        """Return the parts of a pyarrow.ChunkedArray of timestamps: days as numbers, the others as text.

        Days are counted from `origin`, with fractions for times. Missing dates give missing parts.
        """
        import pyarrow as pa
        import pyarrow.compute as compute

        origin = pa.scalar(self.origin).cast(dates.type)
        microseconds = compute.subtract(dates, origin).cast(pa.int64()).cast(pa.float64(), safe=False)
        weekdays = pa.array(WEEKDAYS)
        parts = {
            "days": compute.divide(microseconds, MICROSECONDS_PER_DAY),
            "month": _format_two_digits(compute.month(dates)),
            "weekday": compute.take(weekdays, compute.day_of_week(dates)),
            "hour": _format_two_digits(compute.hour(dates)),
        }
        return {part: parts[part] for part in self.parts}


def make_date_encoding(dates: Any, order: str) -> DateEncoding:
    """Return the encoding of the dates of training rows, at least one of which is not missing."""
    import pyarrow.compute as compute

    has_times = compute.any(compute.not_equal(dates, compute.floor_temporal(dates, unit="day"))).as_py()
    origin = compute.floor_temporal(compute.min(dates), unit="day").as_py()
    return DateEncoding(order, origin.date().isoformat(), has_times)


def are_dates(strings: Any) -> bool:
    """Return whether more than half of the values of a CSV column look like dates."""
    import pyarrow.compute as compute

    strings = convert_text_column(strings).drop_null()
    n_dates = compute.sum(compute.match_substring_regex(strings, DATE_PATTERN)).as_py() or 0
    return bool(n_dates > len(strings) / 2)


def parse_dates(strings: Any, order: str | None = None) -> tuple[Any, str]:
    """Return the dates of a CSV column as a pyarrow.ChunkedArray of timestamps, and their order.

    Without an `order`, the order is inferred. A ValueError describes dates that are invalid or ambiguous.
    """
    strings = convert_text_column(strings)
    parsed = {name: _parse_in_order(strings, name) for name in ([order] if order else ORDERS)}
    matching = [name for name, (dates, _) in parsed.items() if dates is not None]
    if len(matching) == 1:
        return parsed[matching[0]][0], matching[0]
    if matching:
        example = strings.drop_null()[0].as_py()
        raise ValueError(f"dates such as {example!r}, whose order of day and month is ambiguous; {DATE_REMEDY}")
    # The order that reads most values explains the invalid ones best.
    name = max(parsed, key=lambda name: parsed[name][1] is not None and _count_matches(strings, name))
    expected = f"no date in the order {name}" if order else "no date"
    raise ValueError(f"the value {parsed[name][1]!r}, which is {expected}; {DATE_REMEDY}")


def convert_timestamps(values: Any) -> Any:
    """Return a Parquet column of dates or timestamps as timestamps without a time zone, in local time."""
    import pyarrow as pa
    import pyarrow.compute as compute

    if pa.types.is_timestamp(values.type) and values.type.tz is not None:
        values = compute.local_timestamp(values)
    return values.cast(pa.timestamp("us"), safe=False)


def _make_pattern(order):
    return rf"^\s*{'[-/.]'.join(PART_PATTERNS[part] for part in order.split('-'))}{TIME_PATTERN}\s*$"


def _count_matches(strings, order):
    import pyarrow.compute as compute

    return compute.sum(compute.match_substring_regex(strings, _make_pattern(order))).as_py() or 0


def _parse_in_order(strings, order):
    """Return timestamps and None, or None and the first value that is not a date in this order."""
    import pyarrow as pa
    import pyarrow.compute as compute

    pattern = _make_pattern(order)
    is_match = compute.match_substring_regex(strings, pattern)
    if not compute.all(is_match, min_count=0).as_py():
        return None, strings.filter(compute.invert(is_match))[0].as_py()
    parts = compute.extract_regex(strings, pattern)
    numbers = [compute.utf8_lpad(compute.struct_field(parts, part), 2, "0") for part in ("year", "month", "day")]
    days = compute.binary_join_element_wise(*numbers, "-")
    times = compute.binary_join_element_wise(days, compute.struct_field(parts, "time"), "")
    try:
        # Unlike strptime, the cast raises an error for dates such as February 30.
        return times.cast(pa.timestamp("us")), None
    except pa.ArrowInvalid as error:
        invalid_time = str(error).split("'")[1]
        return None, strings.filter(compute.equal(times, invalid_time))[0].as_py()


def _format_two_digits(numbers):
    """Return integers as text of two digits, so that the alphabetical order of the categories is theirs."""
    import pyarrow as pa
    import pyarrow.compute as compute

    return compute.utf8_lpad(numbers.cast(pa.string()), 2, "0")
