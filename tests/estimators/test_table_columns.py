"""Columns of tables that cannot be read as levels."""

import numpy as np
import pytest

import fastlin


def test_codes_beyond_the_levels_are_refused():
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    model = fastlin.LogisticRegression(categorical_features="from_dtype")
    codes = pyarrow.array(np.arange(6, dtype=np.int8))
    for levels in (["a", "b"], ["a", "a"]):
        broken = pyarrow.DictionaryArray.from_arrays(codes, levels, safe=False)
        with pytest.raises(
            ValueError, match=r"Column 'c' of X is broken: its codes run from 0 to 5, and it has 2 levels"
        ):
            model.fit(pyarrow.table({"c": broken}), np.arange(6) % 2)


def test_columns_without_levels_are_refused():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    y = [0, 1, 0, 1]
    dates = np.array(["2020-01-01", "NaT", "2020-01-02", "2020-01-01"], "M8[D]")
    model = fastlin.LogisticRegression(categorical_features=[0], missing_level=True)
    with pytest.raises(ValueError, match=r"Column 0 of X has levels that cannot be sorted.*datetime64"):
        model.fit(dates[:, None], y)
    with pytest.raises(ValueError, match="Column 'c' of X has levels that cannot be sorted"):
        model.fit(pandas.DataFrame({"c": [[1], [2], [1], [2]]}), y)
    times = pandas.DataFrame({"c": ["a", "b", "a", "b"], "t": pandas.to_datetime(dates).tz_localize("UTC")})
    with pytest.raises(ValueError, match="Column 't' of X holds values"):
        model.fit(times, y)
    with pytest.raises(ValueError, match="categorical_features must be"):
        model.set_params(categorical_features=[[0], [0, 1]]).fit(times, y)
