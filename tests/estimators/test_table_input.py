"""Tables with categorical columns, in every container, with unusual categories; `test_properties.py` tests the fits."""

import functools
import pickle

import linear_models
import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises
from linear_models import make_cv_model
from scipy import sparse
from sklearn.model_selection import KFold

import fastlin
from fastlin.blocks import from_arrays

N = 500
CITIES = ["Bonn", "Lima", "Oslo", "Rome"]
import_arrow = functools.partial(pytest.importorskip, "pyarrow")


def encode(values):
    return import_arrow().table({"c": import_arrow().array(values).dictionary_encode()})


def make_columns():
    """Return columns of cities, ages, days and weights, and labels of three classes that depend on them."""
    generator = np.random.default_rng(0)
    city, day = generator.integers(0, 4, N), generator.integers(0, 30, N)
    age, weight = generator.normal(40, 10, N), generator.normal(size=N).astype(np.float32)
    scores = np.array([-1, 0, 2, 1])[city] + 0.05 * (age - 40) + generator.normal(size=30)[day] + weight
    y = np.digitize(scores + generator.logistic(size=N), [-1, 1])
    return {"city": np.array(CITIES, object)[city], "age": age, "day": day, "weight": weight}, y


def make_array(columns):
    return pd.DataFrame(columns).to_numpy(object)


def make_dataframe(columns):
    dataframe = pd.DataFrame(columns)
    return dataframe.astype({"city": pd.CategoricalDtype(CITIES), "day": pd.CategoricalDtype(range(30))})


FROM_DTYPE = {"categorical_features": "from_dtype"}
COLUMNS, Y = make_columns()
ARRAY, DATAFRAME = make_array(COLUMNS), make_dataframe(COLUMNS)
fit = functools.partial(linear_models.fit, tol=1e-10)
# Fits within 1e-10 of J have coefficients within sqrt(2e-10 / 1e-3), because the penalty gives J a curvature of 1e-3.
COEF_TOLERANCES = {"rtol": 0, "atol": 5e-4}


def as_polars(columns):
    polars = pytest.importorskip("polars")
    import_arrow()
    city_column = polars.Series(columns["city"].tolist(), dtype=polars.Enum(CITIES))
    days = polars.Series(columns["day"].astype(str).tolist(), dtype=polars.Enum([str(day) for day in range(30)]))
    return polars.DataFrame({**columns, "city": city_column, "day": days})


def as_arrow(columns):
    return import_arrow().Table.from_pandas(make_dataframe(columns), preserve_index=False)


def as_arrow_in_pandas(columns):
    return as_arrow(columns).to_pandas(types_mapper=pd.ArrowDtype)


@pytest.mark.parametrize("convert", [make_dataframe, as_polars, as_arrow, as_arrow_in_pandas])
def test_tables_of_every_library_give_bitwise_equal_models(convert):
    expected = fit(ARRAY, Y, categorical_features=[0, 2])
    table = convert(COLUMNS)
    actual = fit(table, Y, **FROM_DTYPE)
    np.testing.assert_array_equal(actual.coef_, expected.coef_)
    np.testing.assert_array_equal(actual.predict_proba(table), expected.predict_proba(ARRAY))
    np.testing.assert_array_equal(actual.sparsify().predict_proba(table), expected.predict_proba(ARRAY))
    assert actual.feature_names_in_.tolist() == list(COLUMNS)
    assert actual.n_features_in_ == 4
    names = [f"city_{city}" for city in CITIES] + ["age"] + [f"day_{day}" for day in range(30)] + ["weight"]
    assert actual.get_feature_names_out().tolist() == names


STRING_COLUMNS = {
    "str": lambda dataframe: dataframe.astype({"city": "str"}),
    "string": lambda dataframe: dataframe.astype({"city": "string"}),
    "object": lambda dataframe: dataframe.astype({"city": object}),
    "string of Arrow": lambda dataframe: dataframe.astype({"city": pd.ArrowDtype(import_arrow().string())}),
    "large_string of Arrow": lambda dataframe: dataframe.astype({"city": pd.ArrowDtype(import_arrow().large_string())}),
    "String of polars": lambda dataframe: pytest.importorskip("polars").DataFrame(dataframe.to_dict("list")),
    "table of Arrow": lambda dataframe: import_arrow().Table.from_pandas(dataframe, preserve_index=False),
    "array of objects": lambda dataframe: dataframe.to_numpy(object),
    "lists": lambda dataframe: dataframe.to_numpy(object).tolist(),
}


@pytest.mark.parametrize("kind", STRING_COLUMNS)
def test_string_columns_are_categorical_by_their_type(kind):
    dataframe = pd.DataFrame({name: COLUMNS[name] for name in ("city", "age")})
    expected = fit(ARRAY[:, :2], Y, categorical_features=[0])
    table = STRING_COLUMNS[kind](dataframe)
    actual = fit(table, Y, **FROM_DTYPE)
    np.testing.assert_array_equal(actual.coef_, expected.coef_)
    np.testing.assert_array_equal(actual.predict_proba(table), expected.predict_proba(ARRAY[:, :2]))
    assert actual.categories_[0].tolist() == CITIES
    # Strings of digits remain strings, and numbers in object columns remain numbers.
    if kind in ("str", "object"):
        digits = dataframe.assign(city=dataframe["city"].map(dict(zip(CITIES, "0123", strict=True)))).astype(
            {"age": object}
        )
        actual = fit(STRING_COLUMNS[kind](digits), Y, **FROM_DTYPE)
        assert [categories is not None for categories in actual.categories_] == [True, False]
        np.testing.assert_array_equal(actual.coef_, expected.coef_)


def test_strings_in_numeric_columns_raise_an_error_that_names_the_column():
    dataframe = pd.DataFrame({"age": COLUMNS["age"], "city": COLUMNS["city"]})
    text = "Column {} of X contains strings such as '{}'.*must be numeric"
    remedies = {
        fastlin.LogisticRegression: "set categorical_features='from_dtype', or include the column",
        fastlin.MLPClassifier: "OneHotEncoder",
    }
    for estimator, remedy in remedies.items():
        for table in (dataframe, dataframe.astype({"city": "str"}), dataframe.to_numpy(object)):
            label = 1 if isinstance(table, np.ndarray) else "'city'"
            assert_raises(text.format(label, dataframe["city"][0]) + f".*{remedy}", estimator().fit, table, Y)
    days = pd.DataFrame({"age": COLUMNS["age"], "day": pd.date_range("2020-01-01", periods=N)})
    for chosen in (None, "from_dtype"):
        model = fastlin.LogisticRegression(categorical_features=chosen)
        assert_raises("Column 'day' of X contains values of type datetime64.*Convert it", model.fit, days, Y)
    model = fastlin.LogisticRegression(**FROM_DTYPE).fit(dataframe[["age"]], Y)
    wrong = dataframe[["city"]].rename(columns={"city": "age"})
    assert_raises("Column 'age' of X contains strings .* It was numeric in the training data", model.predict, wrong)


def test_category_codes_of_a_dataframe_are_not_copied():
    matrix = fastlin.estimators.columns.make_table_matrix(fastlin.LogisticRegression(**FROM_DTYPE), DATAFRAME, True)
    for j, name in ((0, "city"), (2, "day")):
        assert np.shares_memory(matrix.columns[j].codes, DATAFRAME[name].array.codes)
    assert np.shares_memory(matrix.columns[1], DATAFRAME["age"].to_numpy())


@pytest.mark.parametrize("chosen", [["city", "day"], [0, 2], [True, False, True, False], np.array(["day", "city"])])
def test_columns_are_selected_by_name_index_or_mask(chosen):
    actual = fit(pd.DataFrame(COLUMNS), Y, categorical_features=chosen)
    assert [categories is not None for categories in actual.categories_] == [True, False, True, False]
    assert actual.categories_[0].tolist() == CITIES
    assert actual.coef_.shape == (3, 36)


def test_without_categorical_columns_the_model_does_not_change():
    X = np.column_stack([COLUMNS["age"], COLUMNS["weight"]])
    expected = fit(X, Y)
    for column_choice in (None, "from_dtype"):
        fit(sparse.csr_array(X), Y, categorical_features=column_choice)
        actual = fit(X, Y, categorical_features=column_choice)
        np.testing.assert_array_equal(actual.coef_, expected.coef_)
        assert not hasattr(actual, "categories_")
        assert actual.get_feature_names_out().tolist() == ["x0", "x1"]
    # An empty list selects no column.
    np.testing.assert_allclose(fit(X, Y, categorical_features=[]).coef_, expected.coef_, **COEF_TOLERANCES)


def test_a_new_fit_without_categories_drops_the_categories():
    model = fit(ARRAY, Y, categorical_features=[0, 2], warm_start=True)
    assert model.fit(ARRAY, Y).n_iter_[0] <= 1
    assert_raises("warm_start=True needs coef_ of shape", model.fit, ARRAY[:, :3], Y)
    model.set_params(categorical_features=None, warm_start=False).fit(np.ones((N, 1)), Y)
    assert not hasattr(model, "categories_")
    assert model.predict(np.ones((3, 1))).shape == (3,)


# Missing values, and the same data with a named category in their place.
NAMED_COLUMNS = {"city": np.where(np.arange(N) % 7 == 0, "~", COLUMNS["city"]), "day": COLUMNS["day"]}
MAX_OBJECTIVE_ROUNDING_RISE = {
    "city": np.where(NAMED_COLUMNS["city"] == "~", None, NAMED_COLUMNS["city"]),
    "day": np.where(NAMED_COLUMNS["day"] == 3, np.nan, NAMED_COLUMNS["day"]),
}
MISSING_VALUE_TABLES = {
    "city of objects": lambda city: city[:, None],
    "city of objects with pandas' NA": lambda city: np.where(pd.isna(city), pd.NA, city)[:, None],
    "city of categories": lambda city: pd.DataFrame({"c": pd.Categorical(city)}),
    "city of a dictionary": encode,
    "city of a dictionary in pandas": lambda city: encode(city).to_pandas(types_mapper=pd.ArrowDtype),
    "day of an array": lambda day: day[:, None],
    "day of pandas": lambda day: pd.DataFrame({"c": day}),
    "day of polars": lambda day: pytest.importorskip("polars").DataFrame({"c": day}),
    "day of Arrow": lambda day: import_arrow().table({"c": day}),
    "day of a dictionary": encode,
}


@pytest.mark.parametrize("name", MISSING_VALUE_TABLES)
def test_missing_values_are_a_category_only_on_request(name):
    column, has_categorical_dtype = name.split()[0], "dictionary" in name or "categories" in name
    table, named = (
        MISSING_VALUE_TABLES[name](MAX_OBJECTIVE_ROUNDING_RISE[column]),
        NAMED_COLUMNS[column].astype(object)[:, None],
    )
    chosen = FROM_DTYPE if has_categorical_dtype else {"categorical_features": [0]}
    refusal_message = "Column .* of X contains missing values.*missing_as_category=True"
    assert_raises(refusal_message, fastlin.LogisticRegression(**chosen).fit, table, Y)
    actual = pickle.loads(pickle.dumps(fit(table, Y, missing_as_category=True, **chosen)))
    *categories, missing = actual.categories_[0]
    # The categories of a dictionary keep their order.
    known_categories = sorted({*NAMED_COLUMNS[column]} - {"~", 3})
    assert (sorted(categories) if "dictionary" in name else categories) == known_categories
    assert np.isnan(missing)
    assert actual.get_feature_names_out()[-1].endswith("_nan")
    expected = fit(named, Y, categorical_features=[0])
    np.testing.assert_allclose(actual.predict_proba(table), expected.predict_proba(named), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("city", "missing_as_category"), [("Atlantis", False), ("Atlantis", True), (None, True)])
def test_unseen_categories_contribute_nothing_to_the_scores(city, missing_as_category):
    lost = make_array({**COLUMNS, "city": MAX_OBJECTIVE_ROUNDING_RISE["city"]})
    model = fit(
        lost if city and missing_as_category else ARRAY,
        Y,
        categorical_features=[0, 2],
        missing_as_category=missing_as_category,
    )
    unseen_table = make_array({**COLUMNS, "city": np.full(N, city, object)})
    codes = np.array([CITIES.index(city) for city in COLUMNS["city"]])
    scores = model.decision_function(ARRAY) - model.coef_[:, codes].T
    np.testing.assert_allclose(model.decision_function(unseen_table), scores, rtol=1e-12, atol=1e-12)
    if not missing_as_category:
        assert_raises("Column 0 of X contains missing values", model.predict, lost)


def test_categories_in_another_order_are_the_same_categories():
    model = fit(DATAFRAME, Y, **FROM_DTYPE)
    other = DATAFRAME.assign(
        city=DATAFRAME["city"].cat.reorder_categories(CITIES[::-1]), day=DATAFRAME["day"].astype(float)
    )
    np.testing.assert_array_equal(model.predict_proba(other), model.predict_proba(DATAFRAME))
    few = DATAFRAME.iloc[:5].assign(city=DATAFRAME["city"].iloc[:5].cat.remove_unused_categories())
    np.testing.assert_array_equal(model.predict_proba(few), model.predict_proba(DATAFRAME)[:5])


def test_penalty_factors_apply_per_column_or_per_category():
    chosen = {"categorical_features": [0, 2]}
    column_factor_model = fit(ARRAY, Y, penalty_factors=[2, 0.1, 5, 1], **chosen)
    category_factor_model = fit(ARRAY, Y, penalty_factors=[2] * 4 + [0.1] + [5] * 30 + [1], **chosen)
    np.testing.assert_array_equal(column_factor_model.coef_, category_factor_model.coef_)
    assert (column_factor_model.coef_ != fit(ARRAY, Y, **chosen).coef_).any()
    with pytest.raises(ValueError, match="each of the 36 features, or of the 4 columns, got the shape \\(5,\\)"):
        fit(ARRAY, Y, penalty_factors=np.ones(5), **chosen)


def test_cross_validation_matches_encoded_columns():
    received = []

    class TableKFold(KFold):
        def split(self, X, y=None, groups=None):
            received.append(X)
            return super().split(X, y, groups)

    cv_options = {"Cs": 3, "cv": TableKFold(3)}
    actual = make_cv_model(**FROM_DTYPE, **cv_options).fit(DATAFRAME, Y)
    assert received[0] is DATAFRAME
    encoded = pd.get_dummies(DATAFRAME).astype(float)
    expected = make_cv_model(**cv_options).fit(encoded, Y)
    assert actual.C_ == expected.C_
    # Each fit stops at a relative suboptimality of up to 1e-4.
    np.testing.assert_allclose(actual.scores_, expected.scores_, rtol=1e-2)
    assert actual.score(DATAFRAME, Y) == pytest.approx(expected.score(encoded, Y), rel=1e-2)


DATES = np.array(["2020-01-01", "NaT"] * 250, "M8[D]")
TIME_TABLE = pd.DataFrame({"c": ["a", "b"] * 250, "t": pd.to_datetime(DATES).tz_localize("UTC")})
NANOSECONDS = DATES[:, None] + np.timedelta64(1, "ns")
MIXED_COLUMN = np.array([["a"], [2]] * 250, object)
INVALID_TABLES = {
    "a name": (["town"], DATAFRAME, "contains 'town', but the columns of X are"),
    "a number": ([7], DATAFRAME, "contains 7, but .* indices from 0 to 3"),
    "a short mask": ([True], DATAFRAME, "a boolean mask must have 4 entries"),
    "another word": ("auto", DATAFRAME, "categorical_features"),
    "numbers with a fraction": ([0.5], DATAFRAME, "categorical_features must be"),
    "lists of several lengths": ([[0], [0, 1]], DATAFRAME, "categorical_features must be"),
    "a string column that is not selected": (
        ["day"],
        pd.DataFrame(COLUMNS),
        "Column 'city' of X contains strings such as .* must be numeric",
    ),
    "an array of text": (
        "from_dtype",
        ARRAY.astype(str),
        "X is an array of strings .dtype <U.* an array of objects; otherwise list",
    ),
    "NaN": (
        "from_dtype",
        DATAFRAME.replace({"age": DATAFRAME["age"][7]}, np.nan),
        "(?s)Column 'age' of X contains NaN",
    ),
    "NA": (
        "from_dtype",
        DATAFRAME.assign(last=pd.array([1, None] * 250, "Int32")),
        "(?s)Column 'last' of X contains NaN",
    ),
    "more rows than labels": ("from_dtype", pd.concat([DATAFRAME, DATAFRAME]), "inconsistent numbers of samples"),
    "no rows": ("from_dtype", DATAFRAME.iloc[:0], "0 sample"),
    "mixed categories": ([0], MIXED_COLUMN, "Column 0 of X mixes strings such as 'a' and .* 2; .* with astype"),
    "mixed categories of pandas": (
        [0],
        pd.DataFrame(MIXED_COLUMN),
        "Column 0 of X mixes strings such as 'a' and numbers such as 2",
    ),
    "mixed categories by type": (
        "from_dtype",
        pd.DataFrame(MIXED_COLUMN),
        "Column 0 of X mixes strings such as 'a' and numbers",
    ),
    "sparse rows": ([0], sparse.csr_array((N, 3)), "accepts a table of pandas, polars or Arrow, or an array"),
    "blocks": ("from_dtype", from_arrays(np.ones((N, 1))), "categorical_features must be None for blocks"),
    "nanoseconds": (
        [0],
        NANOSECONDS,
        r"Column 0 of X has categories that cannot be sorted.*datetime64\[ns\] has values beyond",
    ),
    "complex numbers": (
        [0],
        np.ones((N, 1), complex),
        "Column 0 of X has categories that cannot be sorted.*complex128",
    ),
    "lists": ([0], pd.DataFrame({"c": [[1], [2]] * 250}), "Column 'c' of X has categories that cannot be sorted"),
    "times": ([0], TIME_TABLE, "Column 't' of X contains values"),
}


@pytest.mark.parametrize(("chosen", "table", "message"), INVALID_TABLES.values(), ids=INVALID_TABLES)
def test_invalid_tables_raise_an_error_that_names_the_column(chosen, table, message):
    model = fastlin.LogisticRegression(categorical_features=chosen, missing_as_category=True)
    assert_raises(message, model.fit, table, Y, error=(ValueError, TypeError))


def test_tables_that_differ_from_the_fit_raise_an_error():
    model = fastlin.LogisticRegression(**FROM_DTYPE).fit(DATAFRAME, Y)
    assert_raises("requires y to be passed", model.fit, DATAFRAME)
    message = "X has 3 features, but LogisticRegression is expecting 4"
    assert_raises(message, model.predict, DATAFRAME[["city", "age", "day"]])
    assert_raises("feature names should match", model.predict, DATAFRAME[["age", "city", "day", "weight"]])
    assert_raises("(?s)Column 'age' of X contains infinity", model.predict, DATAFRAME.assign(age=np.inf))
    assert_raises("Blocks do not support", model.predict, from_arrays(np.ones((4, 4))))
    pyarrow = import_arrow()
    codes = pyarrow.array(np.arange(N) % 6)
    for categories in (["a", "b"], ["a", "a"]):
        broken = pyarrow.DictionaryArray.from_arrays(codes, categories, safe=False)
        message = "Column 'c' of X is corrupt: its codes range from 0 to 5, but it has 2 categories"
        model = fastlin.LogisticRegression(**FROM_DTYPE)
        assert_raises(message, model.fit, pyarrow.table({"c": broken}), Y)


def test_numeric_columns_of_other_types_and_layouts_are_supported():
    types = {"integer": int, "nullable": "Int32", "half": np.float16, "boolean": bool}
    floats = DATAFRAME.assign(**{name: np.arange(N) % (j + 2) * 1.0 for j, name in enumerate(reversed(types))})
    dataframe = floats.astype(types)
    actual = fit(dataframe, Y, **FROM_DTYPE)
    expected = fit(floats, Y, **FROM_DTYPE)
    np.testing.assert_allclose(actual.coef_, expected.coef_, **COEF_TOLERANCES)
    reversed_rows_model = fit(dataframe.iloc[::-1], Y[::-1], **FROM_DTYPE)
    np.testing.assert_allclose(reversed_rows_model.coef_, actual.coef_, **COEF_TOLERANCES)


def test_dictionaries_with_unusual_values_are_supported():
    pyarrow = import_arrow()
    codes = np.arange(N) % 4
    odd_dictionary = pyarrow.DictionaryArray.from_arrays(pyarrow.array(codes, pyarrow.int64()), ["b", "a", "b", None])
    y = (np.arange(N) % 3 == 0).astype(int)
    model = fit(pyarrow.table({"c": odd_dictionary}), y, **FROM_DTYPE, missing_as_category=True)
    assert model.categories_[0].tolist()[:2] == ["b", "a"]
    assert model.coef_.shape == (1, 3)
    two = pyarrow.chunked_array([pyarrow.array(["a", "b"] * 125).dictionary_encode() for _ in range(2)])
    other = pyarrow.chunked_array([["c", "a"] * 125, ["b", "c"] * 125]).dictionary_encode()
    model = fit(pyarrow.table({"two": two, "other": other}), y, **FROM_DTYPE)
    assert model.get_feature_names_out().tolist() == ["two_a", "two_b", "other_c", "other_a", "other_b"]


def test_many_rows_with_only_categories_are_supported():
    # X has more numbers than are copied per column, and no column can be read without a copy.
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 3, 150_000)
    dataframe = pd.DataFrame({"a": pd.Categorical.from_codes(codes, ["x", "y", "z"])})
    y = generator.random(len(codes)) < np.array([0.2, 0.5, 0.7])[codes]
    model = fastlin.LogisticRegression(C=1e6, **FROM_DTYPE).fit(dataframe, y)
    fractions = np.bincount(codes, y) / np.bincount(codes)
    rows = [np.flatnonzero(codes == code)[0] for code in range(3)]
    np.testing.assert_allclose(model.predict_proba(dataframe.iloc[rows])[:, 1], fractions, atol=1e-3)


class CountedName(str):
    """A name that counts how often it is compared."""

    n_comparisons = 0

    def __eq__(self, other):
        CountedName.n_comparisons += 1
        return str(self) == str(other)

    __hash__ = str.__hash__


def test_lookup_of_categorical_columns_takes_linear_time():
    names = [CountedName(f"c{j}") for j in range(200)]
    dataframe = pd.DataFrame({name: [0, 1] for name in names})
    dataframe.columns = pd.Index(names, dtype=object)
    estimator = fastlin.LogisticRegression(categorical_features=[str(name) for name in names[::2]])
    CountedName.n_comparisons = 0
    matrix = fastlin.estimators.columns.make_table_matrix(estimator, dataframe, True)
    assert matrix.shape == (2, 300)
    assert [categories is not None for categories in estimator.categories_] == [True, False] * 100
    assert CountedName.n_comparisons <= 10 * len(names)
