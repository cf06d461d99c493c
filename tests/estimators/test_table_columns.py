"""Table columns in every container: equal values give the same result or error."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises

import fastlin

N = 40
Y = np.arange(N) % 2
NUMERIC_COLUMN = np.linspace(-1, 1, N)
DAY_NUMBERS = np.arange(N) % 4
FIRST_TIMESTAMP = datetime.datetime(2020, 1, 1)
# Values that are not numbers, with their types in NumPy (if there is one) and Arrow.
TIME_COLUMNS = {
    "dates": (
        [FIRST_TIMESTAMP.date() + datetime.timedelta(days=day) for day in DAY_NUMBERS.tolist()],
        "M8[D]",
        "date32",
    ),
    "timestamps": (
        [FIRST_TIMESTAMP + datetime.timedelta(days=day) for day in DAY_NUMBERS.tolist()],
        "M8[us]",
        "timestamp",
    ),
    "durations": ([datetime.timedelta(days=day) for day in DAY_NUMBERS.tolist()], "m8[us]", "duration"),
    "times": ([datetime.time(day) for day in DAY_NUMBERS.tolist()], None, "time64"),
}
BYTES_COLUMN = [b"a", b"b", b"c", b"d"] * (N // 4)
STRING_COLUMN = ["a", "b", "c", "d"] * (N // 4)


def make_object_array(values):
    object_array = np.empty(len(values), object)
    object_array[:] = values
    return object_array


def make_arrow_array(values, kind):
    pyarrow = pytest.importorskip("pyarrow")
    make = getattr(pyarrow, kind)
    return pyarrow.array(values, make("us") if kind in ("timestamp", "duration", "time64") else make())


def make_polars_dataframe(columns):
    return pytest.importorskip("polars").DataFrame(columns)


def make_pandas_array(values, kind):
    array = make_arrow_array(values, kind)
    return pd.Series(pd.array(array, dtype=pd.ArrowDtype(array.type)))


# Each function returns X from values and their NumPy and Arrow types. Some X also have a numeric column.
CONTAINERS = {
    "array of objects": lambda values, *_: np.column_stack([NUMERIC_COLUMN.astype(object), make_object_array(values)]),
    "lists": lambda values, *_: [
        [number, value] for number, value in zip(NUMERIC_COLUMN.tolist(), values, strict=True)
    ],
    "array": lambda values, kind, _: np.array(values, kind)[:, None],
    "lists of NumPy's values": lambda values, kind, _: [[value] for value in np.array(values, kind)],
    "objects of NumPy's values": lambda values, kind, _: make_object_array(list(np.array(values, kind)))[:, None],
    "pandas alone": lambda values, kind, _: pd.DataFrame({"a": np.array(values, kind)}),
    "pandas": lambda values, kind, _: pd.DataFrame({"b": NUMERIC_COLUMN, "a": np.array(values, kind)}),
    "pandas of objects": lambda values, *_: pd.DataFrame({"b": NUMERIC_COLUMN, "a": pd.Series(values, dtype=object)}),
    "pandas of Arrow alone": lambda values, _, kind: pd.DataFrame({"a": make_pandas_array(values, kind)}),
    "pandas of Arrow": lambda values, _, kind: pd.DataFrame(
        {"b": NUMERIC_COLUMN, "a": make_pandas_array(values, kind)}
    ),
    "Arrow alone": lambda values, _, kind: pytest.importorskip("pyarrow").table({"a": make_arrow_array(values, kind)}),
    "Arrow": lambda values, _, kind: pytest.importorskip("pyarrow").table(
        {"b": NUMERIC_COLUMN, "a": make_arrow_array(values, kind)}
    ),
    "polars alone": lambda values, *_: make_polars_dataframe({"a": values}),
    "polars": lambda values, *_: make_polars_dataframe({"b": NUMERIC_COLUMN, "a": values}),
}
# Containers for values that have a NumPy type.
NUMPY_COLUMNS = "array", "lists of NumPy's values", "objects of NumPy's values", "pandas alone", "pandas"


def get_last_key(X):
    """Return the name or the index of the last column."""
    return "a" if hasattr(X, "columns") else np.shape(X)[1] - 1


TIME_CASES = [
    (name, container)
    for name in TIME_COLUMNS
    for container in CONTAINERS
    if TIME_COLUMNS[name][1] or container not in NUMPY_COLUMNS
]


@pytest.mark.parametrize(("name", "container"), TIME_CASES)
def test_times_raise_an_error_in_any_container(name, container):
    values, numpy_dtype, arrow_type = TIME_COLUMNS[name]
    X = CONTAINERS[container](values, numpy_dtype, arrow_type)
    error_message = (
        f"Column {get_last_key(X)!r} of X contains values (of type|such as) .*; columns that are not categorical must"
    )
    remedy = "Convert it to numbers, for example days since a date"
    for chosen in (None, "from_dtype"):
        model = fastlin.LogisticRegression(categorical_features=chosen)
        assert_raises(f"{error_message} be numeric. {remedy}, or include it in categorical_features", model.fit, X, Y)
    assert_raises(rf"{error_message} be numeric. {remedy}\.$", fastlin.MLPClassifier(max_iter=1).fit, X, Y)
    # The second remedy works: coefficients equal those of strings in the same order.
    actual = fastlin.LogisticRegression(categorical_features=[get_last_key(X)], tol=1e-10).fit(X, Y)
    strings = CONTAINERS["array of objects"](STRING_COLUMN)[:, -actual.n_features_in_ :]
    expected = fastlin.LogisticRegression(categorical_features=[actual.n_features_in_ - 1], tol=1e-10).fit(strings, Y)
    np.testing.assert_array_equal(actual.coef_, expected.coef_)
    np.testing.assert_array_equal(actual.predict_proba(X), expected.predict_proba(strings))


def test_times_in_a_numeric_column_raise_an_error():
    values, numpy_dtype, arrow_type = TIME_COLUMNS["dates"]
    error_message = "Column .* of X contains values .* must be numeric. It was numeric in the training data."
    for container, make in CONTAINERS.items():
        X = make(values, numpy_dtype, arrow_type)
        rows = np.column_stack([NUMERIC_COLUMN] * (2 - ("alone" in container or container in NUMPY_COLUMNS[:3])))
        fitted = X.to_pandas() if hasattr(X, "to_pandas") else pd.DataFrame(X)
        data = rows if isinstance(X, (list, np.ndarray)) else pd.DataFrame(rows, columns=fitted.columns)
        model = fastlin.LogisticRegression().fit(data, Y)
        assert_raises(error_message, model.predict, X)


@pytest.mark.parametrize("kind", ["M8[D]", "m8[s]"])
def test_times_as_weights_raise_an_error(kind):
    weights = DAY_NUMBERS.astype(kind)
    for container in (weights, list(weights), pd.Series(weights)):
        error_message = "sample_weight has dtype (datetime|timedelta)64.*convert it to numbers"
        assert_raises(error_message, fastlin.LogisticRegression().fit, NUMERIC_COLUMN[:, None], Y, container)


@pytest.mark.parametrize("kind", ["binary", "large_binary", "binary_view"])
def test_bytes_are_categorical_in_every_container(kind):
    expected = fastlin.LogisticRegression(categorical_features="from_dtype", tol=1e-10).fit(
        CONTAINERS["array of objects"](STRING_COLUMN), Y
    )
    for container in CONTAINERS:
        is_single_column = "alone" in container or container in NUMPY_COLUMNS[:3]
        # pandas does not support the type binary_view.
        if is_single_column or (kind == "binary_view" and container == "pandas of Arrow"):
            continue
        X = CONTAINERS[container](BYTES_COLUMN, "S1", kind)
        actual = fastlin.LogisticRegression(categorical_features="from_dtype", tol=1e-10).fit(X, Y)
        assert actual.categories_[1].tolist() == [b"a", b"b", b"c", b"d"]
        np.testing.assert_array_equal(actual.coef_, expected.coef_)


def test_python_objects_in_polars_are_read_like_object_arrays():
    polars = pytest.importorskip("polars")
    X = {}
    for name, values in {"mixed": [1, "a"] * (N // 2), "text": STRING_COLUMN, "numbers": DAY_NUMBERS.tolist()}.items():
        X[name] = polars.DataFrame({"b": NUMERIC_COLUMN, "a": polars.Series(values, dtype=polars.Object)})
    mixed = "Column 'a' of X mixes numbers such as 1 and strings such as 'a'"
    for chosen in (["a"], "from_dtype"):
        assert_raises(mixed, fastlin.LogisticRegression(categorical_features=chosen).fit, X["mixed"], Y)
        actual = fastlin.LogisticRegression(categorical_features=chosen).fit(X["text"], Y)
        assert actual.categories_[1].tolist() == ["a", "b", "c", "d"]
    assert_raises("Column 'a' of X contains strings such as 'a'", fastlin.LogisticRegression().fit, X["mixed"], Y)
    expected = fastlin.LogisticRegression().fit(np.column_stack([NUMERIC_COLUMN, DAY_NUMBERS]), Y)
    np.testing.assert_array_equal(fastlin.LogisticRegression().fit(X["numbers"], Y).coef_, expected.coef_)


def test_decimals_of_every_table_are_numbers():
    pyarrow = pytest.importorskip("pyarrow")
    expected = fastlin.LogisticRegression().fit(DAY_NUMBERS[:, None].astype(float), Y)
    table = pyarrow.table(
        {"a": pyarrow.array([Decimal(day) for day in DAY_NUMBERS.tolist()], pyarrow.decimal128(5, 1))}
    )
    dataframe = table.to_pandas(types_mapper=pd.ArrowDtype)
    for X in (table, dataframe, table.to_pandas(), pytest.importorskip("polars").from_arrow(table)):
        np.testing.assert_array_equal(fastlin.LogisticRegression().fit(X, Y).coef_, expected.coef_)
