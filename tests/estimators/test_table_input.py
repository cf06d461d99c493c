"""Tables with categorical columns, of every kind and with odd levels; `test_properties.py` has fits of them."""

import functools
import pickle

import linear_models
import numpy as np
import pandas as pd
import pytest
from conftest import assert_refused
from linear_models import make_cv
from scipy import sparse

import fastlin
from fastlin.blocks import from_arrays

N = 500
WEIGHTS = np.random.default_rng(1).random(N)
CITIES = ["Bonn", "Lima", "Oslo", "Rome"]


def import_arrow():
    return pytest.importorskip("pyarrow", reason="pyarrow is not installed")


def make_columns(seed=0):
    """Return columns of cities, ages, days and weights, and labels of three classes that depend on them."""
    generator = np.random.default_rng(seed)
    city, day = generator.integers(0, 4, N), generator.integers(0, 30, N)
    age, weight = generator.normal(40, 10, N), generator.normal(size=N).astype(np.float32)
    scores = np.array([-1, 0, 2, 1])[city] + 0.05 * (age - 40) + generator.normal(size=30)[day] + weight
    y = np.digitize(scores + generator.logistic(size=N), [-1, 1])
    return {"city": np.array(CITIES, object)[city], "age": age, "day": day, "weight": weight}, y


def make_array(columns):
    """Return the columns as an array of objects."""
    array = np.empty((N, len(columns)), object)
    for j, column in enumerate(columns.values()):
        array[:, j] = column
    return array


def make_frame(columns):
    """Return the columns as pandas has them, with cities and days as categories."""
    frame = pd.DataFrame(columns)
    return frame.astype({"city": pd.CategoricalDtype(CITIES), "day": pd.CategoricalDtype(range(30))})


COLUMNS, Y = make_columns()
ARRAY, FRAME = make_array(COLUMNS), make_frame(COLUMNS)
fit = functools.partial(linear_models.fit, tol=1e-10)
# A solver stops within tol * J of the minimum. With the curvature of the penalty, 1 / (C S), above 1e-3 here, that is
# within sqrt(2 * 1e-10 / 1e-3) of the coefficients.
NEAR = {"rtol": 0, "atol": 5e-4}


def as_polars(columns):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    import_arrow()
    days = polars.Enum([str(day) for day in range(30)])
    frame = polars.DataFrame({**columns, "day": [str(day) for day in columns["day"]]}, strict=False)
    return frame.with_columns(frame["city"].cast(polars.Enum(CITIES)), frame["day"].cast(days))


def as_arrow(columns):
    pyarrow = import_arrow()
    cities = pyarrow.DictionaryArray.from_arrays(
        np.array([CITIES.index(city) for city in columns["city"]], np.uint8), CITIES
    )
    days = pyarrow.DictionaryArray.from_arrays(columns["day"].astype(np.int16), np.arange(30))
    return pyarrow.table({**columns, "city": cities, "day": days})


@pytest.mark.parametrize("convert", [make_frame, as_polars, as_arrow])
def test_tables_of_every_kind_give_the_same_bits(convert):
    expected = fit(ARRAY, Y, categorical_features=[0, 2])
    table = convert(COLUMNS)
    found = fit(table, Y, categorical_features="from_dtype")
    np.testing.assert_array_equal(found.coef_, expected.coef_)
    np.testing.assert_array_equal(found.predict_proba(table), expected.predict_proba(ARRAY))
    assert found.feature_names_in_.tolist() == list(COLUMNS)
    assert found.n_features_in_ == 4
    assert found.get_feature_names_out().tolist() == [
        *(f"city_{city}" for city in CITIES),
        "age",
        *(f"day_{day}" for day in range(30)),
        "weight",
    ]


def test_codes_of_a_frame_are_not_copied():
    matrix = fastlin.estimators.features.read_table_to_fit(
        fastlin.LogisticRegression(categorical_features="from_dtype"), FRAME
    )
    for j, name in ((0, "city"), (2, "day")):
        assert np.shares_memory(matrix.columns[j].codes, FRAME[name].array.codes)
    assert np.shares_memory(matrix.columns[1], FRAME["age"].to_numpy())


@pytest.mark.parametrize("chosen", [["city", "day"], [0, 2], [True, False, True, False], np.array(["day", "city"])])
def test_columns_are_chosen_by_name_number_or_mask(chosen):
    found = fit(pd.DataFrame(COLUMNS), Y, categorical_features=chosen)
    assert [levels is not None for levels in found.categories_] == [True, False, True, False]
    assert found.categories_[0].tolist() == CITIES
    assert found.coef_.shape == (3, 36)


def test_without_categorical_columns_nothing_changes():
    X = np.column_stack([COLUMNS["age"], COLUMNS["weight"]])
    expected = fit(X, Y)
    for asked in (None, "from_dtype"):
        fit(sparse.csr_array(X), Y, categorical_features=asked)
        found = fit(X, Y, categorical_features=asked)
        np.testing.assert_array_equal(found.coef_, expected.coef_)
        assert not hasattr(found, "categories_")
        assert found.get_feature_names_out().tolist() == ["x0", "x1"]
    # No column but numbers may be named.
    np.testing.assert_allclose(fit(X, Y, categorical_features=[]).coef_, expected.coef_, **NEAR)


def test_a_new_fit_forgets_the_categories():
    model = fit(ARRAY, Y, categorical_features=[0, 2])
    assert hasattr(model, "categories_")
    model.set_params(categorical_features=None).fit(np.ones((N, 1)), Y)
    assert not hasattr(model, "categories_")
    assert model.predict(np.ones((3, 1))).shape == (3,)


def lose(columns, every=7):
    """Return the columns without some of the cities."""
    city = columns["city"].copy()
    city[::every] = None
    return {**columns, "city": city}


@pytest.mark.parametrize("convert", [make_array, make_frame, as_arrow])
def test_missing_values_are_a_level_on_request_only(convert):
    if convert is as_arrow:
        pyarrow = import_arrow()
        table = pyarrow.table({**lose(COLUMNS), "city": pyarrow.array(lose(COLUMNS)["city"]).dictionary_encode()})
    else:
        table = convert(lose(COLUMNS))
    chosen = {"categorical_features": [0, 2]}
    with pytest.raises(ValueError, match=r"Column .* of X has missing values.*missing_level=True"):
        fit(table, Y, **chosen)
    found = pickle.loads(pickle.dumps(fit(table, Y, missing_level=True, **chosen)))
    assert found.categories_[0].tolist()[:4] == CITIES or convert is as_arrow
    assert np.isnan(found.categories_[0][4])
    assert found.get_feature_names_out()[4].endswith("city_nan") or convert is make_array
    # The same as a level of another name.
    named = {**COLUMNS, "city": np.where(np.arange(N) % 7 == 0, "~", COLUMNS["city"])}
    expected = fit(make_array(named), Y, **chosen)
    np.testing.assert_allclose(found.predict_proba(table), expected.predict_proba(make_array(named)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("city", "missing_level"), [("Atlantis", False), ("Atlantis", True), (None, True)])
def test_levels_that_the_fit_has_not_seen_add_nothing(city, missing_level):
    known = make_array(lose(COLUMNS)) if city and missing_level else ARRAY
    model = fit(known, Y, categorical_features=[0, 2], missing_level=missing_level)
    unknown = make_array({**COLUMNS, "city": np.full(N, city, object)})
    codes = np.array([CITIES.index(city) for city in COLUMNS["city"]])
    scores = model.decision_function(ARRAY) - model.coef_[:, codes].T
    np.testing.assert_allclose(model.decision_function(unknown), scores, rtol=1e-12, atol=1e-12)
    if not missing_level:
        assert_refused("Column 0 of X has missing values", model.predict, make_array(lose(COLUMNS)))


def test_categories_in_another_order_are_the_same_levels():
    model = fit(FRAME, Y, categorical_features="from_dtype")
    other = FRAME.assign(city=FRAME["city"].cat.reorder_categories(CITIES[::-1]), day=FRAME["day"].astype(float))
    np.testing.assert_array_equal(model.predict_proba(other), model.predict_proba(FRAME))
    few = FRAME.iloc[:5].assign(city=FRAME["city"].iloc[:5].cat.remove_unused_categories())
    np.testing.assert_array_equal(model.predict_proba(few), model.predict_proba(FRAME)[:5])


def test_penalty_factors_by_column_or_by_level():
    chosen = {"categorical_features": [0, 2]}
    by_column = fit(ARRAY, Y, penalty_factors=[2, 0.1, 5, 1], **chosen)
    by_level = fit(ARRAY, Y, penalty_factors=[2] * 4 + [0.1] + [5] * 30 + [1], **chosen)
    np.testing.assert_array_equal(by_column.coef_, by_level.coef_)
    assert (by_column.coef_ != fit(ARRAY, Y, **chosen).coef_).any()
    with pytest.raises(ValueError, match="each of the 36 features, or of the 4 columns, got the shape \\(5,\\)"):
        fit(ARRAY, Y, penalty_factors=np.ones(5), **chosen)


def test_cross_validation_chooses_as_on_encoded_columns():
    shared = {"Cs": 3, "cv": 3}
    found = make_cv(categorical_features="from_dtype", **shared).fit(FRAME, Y)
    encoded = pd.get_dummies(FRAME).astype(float)
    expected = make_cv(**shared).fit(encoded, Y)
    assert found.C_ == expected.C_
    # Fits that stop within 1e-4 of J.
    np.testing.assert_allclose(found.scores_, expected.scores_, rtol=1e-2)
    assert found.score(FRAME, Y) == pytest.approx(expected.score(encoded, Y), rel=1e-2)


def test_a_warm_start_goes_on_from_the_last_levels():
    model = fit(ARRAY, Y, categorical_features=[0, 2], warm_start=True)
    assert model.fit(ARRAY, Y).n_iter_[0] <= 1
    with pytest.raises(ValueError, match="warm_start needs coef_ of shape"):
        model.fit(ARRAY[:, :3], Y)


WRONG = {
    "a name": ({"categorical_features": ["town"]}, "names 'town', but X has the columns"),
    "a number": ({"categorical_features": [7]}, "names 7, but .* numbers from 0 to 3"),
    "a short mask": ({"categorical_features": [True]}, "a mask must have 4 entries"),
    "another word": ({"categorical_features": "auto"}, "categorical_features"),
    "numbers with a part": ({"categorical_features": [0.5]}, "categorical_features must be"),
    "text left over": ({"categorical_features": ["day"]}, "Column 'city' of X holds text: encode"),
}


@pytest.mark.parametrize("parameters, message", WRONG.values(), ids=WRONG)
def test_wrong_columns_are_refused_by_name(parameters, message):
    model = fastlin.LogisticRegression(**parameters)
    assert_refused(message, model.fit, pd.DataFrame(COLUMNS), Y)


def test_bad_data_are_refused_by_name():
    model = fastlin.LogisticRegression(categorical_features="from_dtype")
    ages = FRAME["age"]
    assert_refused("(?s)Column 'age' of X contains NaN", model.fit, FRAME.assign(age=ages.where(ages > 30)), Y)
    assert_refused("inconsistent numbers of samples", model.fit, FRAME, Y[:-1])
    assert_refused("requires y to be passed", model.fit, FRAME)
    assert_refused("0 sample", model.fit, FRAME.iloc[:0], Y[:0])
    by_number = fastlin.LogisticRegression(categorical_features=[0])
    mixed = np.array([["a", 1.0], [2, 1.0]], object)
    assert_refused("levels that cannot be sorted", by_number.fit, mixed, [0, 1])
    message = "takes a table of pandas, polars or Arrow, or an array"
    assert_refused(message, by_number.fit, sparse.csr_array(np.eye(3)), [0, 1, 1], error=TypeError)
    model.fit(FRAME, Y)
    message = "X has 3 features, but LogisticRegression is expecting 4"
    assert_refused(message, model.predict, FRAME[["city", "age", "day"]])
    assert_refused("feature names should match", model.predict, FRAME[["age", "city", "day", "weight"]])
    assert_refused("(?s)Column 'age' of X contains infinity", model.predict, FRAME.assign(age=np.inf))
    assert_refused("OneHotEncoder", model.to_sklearn)
    message = "categorical_features must be None for blocks"
    assert_refused(message, model.fit, from_arrays(np.ones((4, 1)), [0, 1, 0, 1]))
    # What failed left the last fit as it was.
    assert model.predict(FRAME).shape == (N,)
    assert_refused("blocks do not have", model.predict, from_arrays(np.ones((4, 4))))


def test_numbers_of_other_types_and_layouts():
    frame = FRAME.assign(
        whole=np.arange(N) % 5,
        nullable=pd.array(np.arange(N) % 3, "Int32"),
        half=np.linspace(0, 1, N).astype(np.float16),
        truth=np.arange(N) % 2 == 0,
    )
    found = fit(frame, Y, categorical_features="from_dtype")
    floats = frame.astype(dict.fromkeys(("whole", "nullable", "half", "truth"), np.float64))
    expected = fit(floats, Y, categorical_features="from_dtype")
    np.testing.assert_allclose(found.coef_, expected.coef_, **NEAR)
    backwards = fit(frame.iloc[::-1], Y[::-1], categorical_features="from_dtype")
    np.testing.assert_allclose(backwards.coef_, found.coef_, **NEAR)
    with pytest.raises(ValueError, match=r"Column 'nullable' of X contains NaN"):
        fit(frame.assign(nullable=frame["nullable"].where(frame["whole"] > 0)), Y, categorical_features="from_dtype")


@pytest.mark.parametrize(
    "convert",
    [
        lambda days: days[:, None],
        lambda days: pd.DataFrame({"day": days}),
        lambda days: pytest.importorskip("polars").DataFrame({"day": days}),
        lambda days: import_arrow().table({"day": days}),
        lambda days: import_arrow().table({"day": import_arrow().array(days).dictionary_encode()}),
    ],
    ids=["array", "pandas", "polars", "arrow", "dictionary"],
)
def test_nan_among_levels_is_missing(convert):
    table = convert(np.where(COLUMNS["day"] == 3, np.nan, COLUMNS["day"]))
    with pytest.raises(ValueError, match="missing values"):
        fit(table, Y, categorical_features=[0])
    model = fit(table, Y, categorical_features=[0], missing_level=True)
    expected = fit(COLUMNS["day"][:, None], Y, categorical_features=[0])
    np.testing.assert_allclose(
        model.predict_proba(table), expected.predict_proba(COLUMNS["day"][:, None]), rtol=0, atol=1e-6
    )
    assert sorted(model.categories_[0][:-1]) == [day for day in range(30) if day != 3]


def test_scores_of_sparse_coefficients():
    model = fit(FRAME, Y, categorical_features="from_dtype", l1_ratio=1)
    expected = model.decision_function(FRAME), model.predict(FRAME), model.predict_proba(FRAME)
    model.sparsify()
    found = model.decision_function(FRAME), model.predict(FRAME), model.predict_proba(FRAME)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_splitters_get_the_table_as_it_came():
    seen = []

    class ByCity:
        def split(self, X, y, groups=None):
            seen.append(X)
            is_test = (X["city"] == "Oslo").to_numpy()
            yield np.flatnonzero(~is_test), np.flatnonzero(is_test)

        def get_n_splits(self, X=None, y=None, groups=None):
            return 1

    make_cv(Cs=1, cv=ByCity(), scoring="accuracy", categorical_features="from_dtype").fit(FRAME, Y)
    assert seen[0] is FRAME


def test_dictionaries_that_pandas_stores_and_missing_ones():
    pyarrow = import_arrow()
    stored = pd.Series(
        COLUMNS["city"].tolist(), dtype=pd.ArrowDtype(pyarrow.dictionary(pyarrow.int32(), pyarrow.string()))
    )
    found = fit(pd.DataFrame({"city": stored}), Y, categorical_features="from_dtype")
    assert sorted(found.categories_[0]) == CITIES
    array = np.array([["a", 1], [None, 2], ["b", 1], ["a", 2]], object)
    array[3, 0] = pd.NA
    model = fit(array, [0, 1, 1, 0], categorical_features=[0], missing_level=True)
    assert model.categories_[0].tolist()[:2] == ["a", "b"]


def test_dictionaries_with_odd_values():
    pyarrow = import_arrow()
    codes = np.arange(N) % 4
    odd = pyarrow.DictionaryArray.from_arrays(pyarrow.array(codes, pyarrow.int64()), ["b", "a", "b", None])
    y = (np.arange(N) % 3 == 0).astype(int)
    model = fit(pyarrow.table({"c": odd}), y, categorical_features="from_dtype", missing_level=True)
    assert model.categories_[0].tolist()[:2] == ["b", "a"]
    assert model.coef_.shape == (1, 3)
    two = pyarrow.chunked_array([pyarrow.array(["a", "b"] * 125).dictionary_encode() for _ in range(2)])
    other = pyarrow.chunked_array([["c", "a"] * 125, ["b", "c"] * 125]).dictionary_encode()
    model = fit(pyarrow.table({"two": two, "other": other}), y, categorical_features="from_dtype")
    assert model.get_feature_names_out().tolist() == ["two_a", "two_b", "other_c", "other_a", "other_b"]
    plain = fit(pyarrow.table({"c": ["z", "y"] * 250}), y, categorical_features=["c"])
    assert plain.categories_[0].tolist() == ["y", "z"]


def test_many_rows_of_categories_alone():
    # More numbers than are copied column by column, and no column that is read in place.
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 3, 150_000)
    frame = pd.DataFrame({"a": pd.Categorical.from_codes(codes, ["x", "y", "z"])})
    y = generator.random(len(codes)) < np.array([0.2, 0.5, 0.7])[codes]
    model = fastlin.LogisticRegression(C=1e6, categorical_features="from_dtype").fit(frame, y)
    shares = np.bincount(codes, y) / np.bincount(codes)
    places = [np.flatnonzero(codes == code)[0] for code in range(3)]
    np.testing.assert_allclose(model.predict_proba(frame.iloc[places])[:, 1], shares, atol=1e-3)


def test_codes_beyond_the_levels_are_refused():
    pyarrow = import_arrow()
    model = fastlin.LogisticRegression(categorical_features="from_dtype")
    codes = pyarrow.array(np.arange(6, dtype=np.int8))
    for levels in (["a", "b"], ["a", "a"]):
        broken = pyarrow.DictionaryArray.from_arrays(codes, levels, safe=False)
        message = "Column 'c' of X is broken: its codes run from 0 to 5, and it has 2 levels"
        assert_refused(message, model.fit, pyarrow.table({"c": broken}), np.arange(6) % 2)


def test_columns_without_levels_are_refused():
    y = [0, 1, 0, 1]
    dates = np.array(["2020-01-01", "NaT", "2020-01-02", "2020-01-01"], "M8[D]")
    model = fastlin.LogisticRegression(categorical_features=[0], missing_level=True)
    assert_refused("Column 0 of X has levels that cannot be sorted.*datetime64", model.fit, dates[:, None], y)
    lists = pd.DataFrame({"c": [[1], [2], [1], [2]]})
    assert_refused("Column 'c' of X has levels that cannot be sorted", model.fit, lists, y)
    times = pd.DataFrame({"c": ["a", "b", "a", "b"], "t": pd.to_datetime(dates).tz_localize("UTC")})
    assert_refused("Column 't' of X holds values", model.fit, times, y)
    model.set_params(categorical_features=[[0], [0, 1]])
    assert_refused("categorical_features must be", model.fit, times, y)
