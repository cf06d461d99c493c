"""Columns of dates: their order, invalid and ambiguous dates, and the features that they become."""

import datetime
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlin.cli.dates import ORDERS, are_dates, convert_timestamps, make_date_encoding, parse_dates

PYTHON_FORMATS = dict(zip(ORDERS, ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y"), strict=True))
DATES = st.datetimes(datetime.datetime(1600, 1, 1), datetime.datetime(2600, 1, 1))


def make_column(*strings):
    return pa.chunked_array([pa.array(strings, pa.string())])


@given(
    st.lists(DATES, min_size=1, max_size=5), st.sampled_from(ORDERS), st.sampled_from(["", " %H:%M", "T%H:%M:%S.%f"])
)
def test_dates_formatted_by_python_are_read_in_their_order(dates, order, time_format):
    # The 31st of a month has no other order than these.
    dates = [*dates, datetime.datetime(2026, 1, 31, 23, 59)]
    date_format = PYTHON_FORMATS[order].replace("%Y", "{:04d}") + time_format
    strings = [date.strftime(date_format).format(date.year) for date in dates]
    assert are_dates(make_column(*strings))
    values, inferred_order = parse_dates(make_column(*strings, "", "NA"))
    assert inferred_order == order
    expected = [datetime.datetime.strptime(text, PYTHON_FORMATS[order] + time_format) for text in strings]
    assert values.to_pylist() == [*expected, None, None]


@given(st.lists(DATES, min_size=1, max_size=8))
def test_parts_of_dates_equal_those_of_python(dates):
    values = pa.chunked_array([pa.array([*dates, None], pa.timestamp("us"))])
    encoding = make_date_encoding(values, ORDERS[0])
    first_day = min(dates).replace(hour=0, minute=0, second=0, microsecond=0)
    assert encoding.has_times == any(date.time() != datetime.time() for date in dates)
    parts = {part: column.to_pylist() for part, column in encoding.encode(values).items()}
    expected_days = [(date - first_day) / datetime.timedelta(days=1) for date in dates]
    np.testing.assert_allclose(parts["days"][:-1], expected_days, rtol=1e-15)
    assert parts["month"] == [*(f"{date.month:02d}" for date in dates), None]
    assert parts["weekday"] == [*(date.strftime("%A") for date in dates), None]
    assert parts["days"][-1] is None
    if encoding.has_times:
        assert parts["hour"] == [*(f"{date.hour:02d}" for date in dates), None]
    assert len(parts) == 3 + encoding.has_times


def test_invalid_and_ambiguous_dates_are_reported():
    for strings, order, message in (
        (["01/02/2026", "03/04/2026"], None, "'01/02/2026', whose order of day and month is ambiguous; write all"),
        (["2026-02-28", "2026-02-30"], None, "the value '2026-02-30', which is no date; write all dates as YYYY-MM"),
        (["2026-01-01", "2026-01-02", "soon"], None, "the value 'soon', which is no date; write all dates"),
        (["2026-01-01 10:00", "2026-01-01 24:30"], None, "the value '2026-01-01 24:30', which is no date"),
        (["31/12/2026", "12/31/2026"], None, "the value '12/31/2026', which is no date"),
        (["2026-01-02"], ORDERS[1], "the value '2026-01-02', which is no date in the order day-month-year"),
    ):
        assert are_dates(make_column(*strings))
        with pytest.raises(ValueError, match=re.escape(message)):
            parse_dates(make_column(*strings), order)
    for strings in (["10:30", "9:15"], ["a", "2026-01-01"], [None, ""], ["1.5", "2.5"], ["2026"]):
        assert not are_dates(make_column(*strings))
    # The order of the fit reads dates that would be ambiguous.
    values, _ = parse_dates(make_column("01/02/2026"), "day-month-year")
    assert values.to_pylist() == [datetime.datetime(2026, 2, 1)]


def test_time_zones_are_converted_to_local_time():
    stamps = pd.to_datetime(["2026-01-01 23:30", "2026-07-01 23:30"]).tz_localize("Europe/Berlin")
    values = convert_timestamps(pa.chunked_array([pa.array(stamps)]))
    assert [value.hour for value in values.to_pylist()] == [23, 23]


def test_dates_in_times_and_dictionaries_are_read(run, assert_error, tmp_path):
    stamps = pd.date_range("2026-01-01 05:15", periods=60, freq="31h")
    labels = np.where(np.arange(60) % 3 > 0, "late", "on time")
    frame = pd.DataFrame({"when": stamps, "day": stamps.strftime("%d/%m/%Y"), "end": labels})
    table = pa.Table.from_pandas(frame)
    table = table.set_column(1, "day", table["day"].dictionary_encode())
    pyarrow.parquet.write_table(table, tmp_path / "dates.parquet")
    frame.to_csv(tmp_path / "dates.csv", index=False)
    outputs = []
    for name in ("dates.parquet", "dates.csv"):
        printed = run("fit", name, "--target", "end", "--dates", "--coefficients", "coef.csv").stdout
        # There are 3 months, 7 weekdays and 24 hours; `day` has no hours.
        assert "60 rows, 2 columns (46 coefficients)" in printed
        run("predict", "model.skops", "dates.csv")
        outputs.append((tmp_path / "predictions.csv").read_bytes())
    assert outputs[0] == outputs[1]
    names = pd.read_csv(tmp_path / "coef.csv")["feature"].tolist()
    assert names[:4] == ["when_days", "when_month_01", "when_month_02", "when_month_03"]
    assert {"when_hour_23", "when_weekday_Sunday", "day_days", "day_weekday_Sunday"} < set(names)
    frame.assign(when=5).to_parquet(tmp_path / "numbers.parquet")
    message = "column 'when' of numbers.parquet has values of type int64 instead of dates; write all dates as YYYY"
    assert_error(message, "predict", "model.skops", "numbers.parquet")
