"""Tables with categorical columns: the models of the same columns after scikit-learn's one-hot encoding, by NumPy."""

import functools
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import reference
from scipy import sparse
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import OneHotEncoder

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


def encode(columns):
    """Return the columns after scikit-learn's encoding, in the order of a table's."""
    encoder = OneHotEncoder(categories=[CITIES], dtype=np.float64)
    days = OneHotEncoder(categories=[list(range(30))], dtype=np.float64)
    numbers = [columns[name][:, None].astype(np.float64) for name in ("age", "weight")]
    return sparse.hstack(
        [
            encoder.fit_transform(columns["city"][:, None]),
            numbers[0],
            days.fit_transform(columns["day"][:, None]),
            numbers[1],
        ],
        format="csr",
    )


def fit(X, y, weights=None, **parameters):
    with warnings.catch_warnings():
        # Rounding may keep a bound above so small a tol.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fastlin.LogisticRegression(tol=1e-10, **parameters).fit(X, y, weights)


# A solver stops within tol * J of the minimum. With the curvature of the penalty, 1 / (C S), above 1e-3 here, that is
# within sqrt(2 * 1e-10 / 1e-3) of the coefficients.
NEAR = {"rtol": 0, "atol": 5e-4}
CLASS_WEIGHT = {0: 2.0, 1: 0.5}
PARAMETERS = [
    {},
    {"solver": "lbfgs"},
    {"solver": "newton-cg"},
    {"solver": "newton-cholesky"},
    {"l1_ratio": 1},
    {"l1_ratio": 0.5, "group_by_class": True},
    {"fit_intercept": False, "class_weight": CLASS_WEIGHT},
]


@functools.cache
def solve(n_classes, l1_ratio, with_class_weight):
    """Return the least J over the encoded columns by the reference, coef and intercept there, and J as a function.

    The parameters are those of `PARAMETERS`, where an elastic net is grouped and a fit with class weights has no
    intercept.
    """
    columns, labels = make_columns()
    labels, X = np.minimum(labels, n_classes - 1), encode(columns).toarray()
    weights = WEIGHTS * [CLASS_WEIGHT.get(label, 1.0) if with_class_weight else 1.0 for label in labels]
    penalty, minimum = {"l2": (1 - l1_ratio) / weights.sum()}, reference.minimum
    if l1_ratio:
        penalty |= {"l1": l1_ratio / weights.sum(), "group_by_class": l1_ratio < 1}
        minimum = reference.sparse_minimum
    found = minimum(X, labels, n_classes, weights=weights, fit_intercept=not with_class_weight, **penalty)
    return *found, functools.partial(reference.objective, X, labels, weights=weights, **penalty)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
def test_the_model_is_that_of_the_encoded_columns(parameters, n_classes):
    columns, y = make_columns()
    y = np.minimum(y, n_classes - 1)
    array, X = make_array(columns), encode(columns).toarray()
    found = fit(array, y, WEIGHTS, categorical_features=[0, 2], **parameters)
    l1_ratio = parameters.get("l1_ratio", 0)
    least, coef, intercept, objective = solve(n_classes, l1_ratio, "class_weight" in parameters)
    if l1_ratio != 1:
        # Under L1 alone the levels of a column may change together, and the intercept against them.
        np.testing.assert_allclose(found.coef_, coef, **NEAR)
        np.testing.assert_allclose(found.intercept_, intercept, **NEAR)
    excess = float(objective(found.coef_, found.intercept_) - least)
    # Two sums of N losses, of about one together.
    rounding = 2 * N * np.finfo(np.longdouble).eps
    assert -rounding <= excess <= found.certificate_ + rounding
    assert found.certificate_ <= 1e-6
    scores = X @ found.coef_.T + found.intercept_
    scores = np.column_stack([np.zeros(N), scores]) if n_classes == 2 else scores
    np.testing.assert_allclose(found.predict_proba(array), softmax(scores, axis=1), rtol=1e-9)
    np.testing.assert_array_equal(found.predict(array), scores.argmax(axis=1))


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
    columns, y = make_columns()
    expected = fit(make_array(columns), y, categorical_features=[0, 2])
    table = convert(columns)
    found = fit(table, y, categorical_features="from_dtype")
    np.testing.assert_array_equal(found.coef_, expected.coef_)
    np.testing.assert_array_equal(found.predict_proba(table), expected.predict_proba(make_array(columns)))
    assert found.feature_names_in_.tolist() == list(columns)
    assert found.n_features_in_ == 4
    assert found.get_feature_names_out().tolist() == [
        *(f"city_{city}" for city in CITIES),
        "age",
        *(f"day_{day}" for day in range(30)),
        "weight",
    ]


def test_codes_of_a_frame_are_not_copied():
    columns, _ = make_columns()
    frame = make_frame(columns)
    matrix = fastlin.estimators.features.read_table_to_fit(
        fastlin.LogisticRegression(categorical_features="from_dtype"), frame
    )
    for j, name in ((0, "city"), (2, "day")):
        assert np.shares_memory(matrix.columns[j].codes, frame[name].array.codes)
    assert np.shares_memory(matrix.columns[1], frame["age"].to_numpy())


@pytest.mark.parametrize("chosen", [["city", "day"], [0, 2], [True, False, True, False], np.array(["day", "city"])])
def test_columns_are_chosen_by_name_number_or_mask(chosen):
    columns, y = make_columns()
    found = fit(pd.DataFrame(columns), y, categorical_features=chosen)
    assert [levels is not None for levels in found.categories_] == [True, False, True, False]
    assert found.categories_[0].tolist() == CITIES
    assert found.coef_.shape == (3, 36)


def test_without_categorical_columns_nothing_changes():
    columns, y = make_columns()
    X = np.column_stack([columns["age"], columns["weight"]])
    expected = fit(X, y)
    for asked in (None, "from_dtype"):
        fit(sparse.csr_array(X), y, categorical_features=asked)
        found = fit(X, y, categorical_features=asked)
        np.testing.assert_array_equal(found.coef_, expected.coef_)
        assert not hasattr(found, "categories_")
        assert found.get_feature_names_out().tolist() == ["x0", "x1"]
    # No column but numbers may be named.
    np.testing.assert_allclose(fit(X, y, categorical_features=[]).coef_, expected.coef_, **NEAR)


def test_a_new_fit_forgets_the_categories():
    columns, y = make_columns()
    model = fit(make_array(columns), y, categorical_features=[0, 2])
    assert hasattr(model, "categories_")
    model.set_params(categorical_features=None).fit(np.ones((N, 1)), y)
    assert not hasattr(model, "categories_")
    assert model.predict(np.ones((3, 1))).shape == (3,)


def lose(columns, every=7):
    """Return the columns without some of the cities."""
    city = columns["city"].copy()
    city[::every] = None
    return {**columns, "city": city}


@pytest.mark.parametrize("convert", [make_array, make_frame, as_arrow])
def test_missing_values_are_a_level_on_request_only(convert):
    columns, y = make_columns()
    if convert is as_arrow:
        pyarrow = import_arrow()
        table = pyarrow.table({**lose(columns), "city": pyarrow.array(lose(columns)["city"]).dictionary_encode()})
    else:
        table = convert(lose(columns))
    chosen = {"categorical_features": [0, 2]}
    with pytest.raises(ValueError, match=r"Column .* of X has missing values.*missing_level=True"):
        fit(table, y, **chosen)
    found = pickle.loads(pickle.dumps(fit(table, y, missing_level=True, **chosen)))
    assert found.categories_[0].tolist()[:4] == CITIES or convert is as_arrow
    assert np.isnan(found.categories_[0][4])
    assert found.get_feature_names_out()[4].endswith("city_nan") or convert is make_array
    # The same as a level of another name.
    named = {**columns, "city": np.where(np.arange(N) % 7 == 0, "~", columns["city"])}
    expected = fit(make_array(named), y, **chosen)
    np.testing.assert_allclose(found.predict_proba(table), expected.predict_proba(make_array(named)), rtol=0, atol=1e-6)


def test_missing_values_where_the_fit_had_none():
    columns, y = make_columns()
    array, odd = make_array(columns), make_array(lose(columns))
    with pytest.raises(ValueError, match="Column 0 of X has missing values"):
        fit(array, y, categorical_features=[0, 2]).predict(odd)
    model = fit(array, y, categorical_features=[0, 2], missing_level=True)
    codes = np.array([CITIES.index(city) for city in columns["city"]])
    scores = model.decision_function(array)
    scores[::7] -= model.coef_[:, codes[::7]].T
    np.testing.assert_allclose(model.decision_function(odd), scores, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("missing_level", [False, True])
def test_unknown_levels_add_nothing(missing_level):
    columns, y = make_columns()
    known = lose(columns) if missing_level else columns
    model = fit(make_array(known), y, categorical_features=[0, 2], missing_level=missing_level)
    unknown = make_array({**columns, "city": np.full(N, "Atlantis", object)})
    expected = make_array(columns)
    codes = np.array([CITIES.index(city) for city in columns["city"]])
    scores = model.decision_function(expected) - model.coef_[:, codes].T
    np.testing.assert_allclose(model.decision_function(unknown), scores, rtol=1e-12, atol=1e-12)


def test_categories_in_another_order_are_the_same_levels():
    columns, y = make_columns()
    frame = make_frame(columns)
    model = fit(frame, y, categorical_features="from_dtype")
    other = frame.assign(city=frame["city"].cat.reorder_categories(CITIES[::-1]), day=frame["day"].astype(float))
    np.testing.assert_array_equal(model.predict_proba(other), model.predict_proba(frame))
    few = frame.iloc[:5].assign(city=frame["city"].iloc[:5].cat.remove_unused_categories())
    np.testing.assert_array_equal(model.predict_proba(few), model.predict_proba(frame)[:5])


def test_penalty_factors_by_column_or_by_level():
    columns, y = make_columns()
    array, chosen = make_array(columns), {"categorical_features": [0, 2]}
    by_column = fit(array, y, penalty_factors=[2, 0.1, 5, 1], **chosen)
    by_level = fit(array, y, penalty_factors=[2] * 4 + [0.1] + [5] * 30 + [1], **chosen)
    np.testing.assert_array_equal(by_column.coef_, by_level.coef_)
    assert (by_column.coef_ != fit(array, y, **chosen).coef_).any()
    with pytest.raises(ValueError, match="each of the 36 features, or of the 4 columns, got the shape \\(5,\\)"):
        fit(array, y, penalty_factors=np.ones(5), **chosen)


def test_cross_validation_chooses_as_on_encoded_columns():
    columns, y = make_columns()
    shared = {"Cs": 3, "cv": 3, "l1_ratios": (0,), "scoring": "neg_log_loss", "use_legacy_attributes": False}
    table = make_frame(columns)
    found = fastlin.LogisticRegressionCV(categorical_features="from_dtype", **shared).fit(table, y)
    expected = fastlin.LogisticRegressionCV(**shared).fit(encode(columns), y)
    assert found.C_ == expected.C_
    # Fits that stop within 1e-4 of J.
    np.testing.assert_allclose(found.scores_, expected.scores_, rtol=1e-2)
    assert found.score(table, y) == pytest.approx(expected.score(encode(columns), y), rel=1e-2)


def test_a_warm_start_goes_on_from_the_last_levels():
    columns, y = make_columns()
    array = make_array(columns)
    model = fit(array, y, categorical_features=[0, 2], warm_start=True)
    assert model.fit(array, y).n_iter_[0] <= 1
    with pytest.raises(ValueError, match="warm_start needs coef_ of shape"):
        model.fit(array[:, :3], y)


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
    columns, y = make_columns()
    model = fastlin.LogisticRegression(**parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(pd.DataFrame(columns), y)
    assert not hasattr(model, "categories_")


def test_bad_data_are_refused_by_name():
    columns, y = make_columns()
    frame = make_frame(columns)
    model = fastlin.LogisticRegression(categorical_features="from_dtype")
    with pytest.raises(ValueError, match=r"(?s)Column 'age' of X contains NaN"):
        model.fit(frame.assign(age=frame["age"].where(frame["age"] > 30)), y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(frame, y[:-1])
    with pytest.raises(ValueError, match="requires y to be passed"):
        model.fit(frame)
    with pytest.raises(ValueError, match="0 sample"):
        model.fit(frame.iloc[:0], y[:0])
    with pytest.raises(ValueError, match="levels that cannot be sorted"):
        model.set_params(categorical_features=[0]).fit(np.array([["a", 1.0], [2, 1.0]], object), [0, 1])
    with pytest.raises(TypeError, match="takes a table of pandas, polars or Arrow, or an array"):
        model.fit(sparse.csr_array(np.eye(3)), [0, 1, 1])
    model.set_params(categorical_features="from_dtype").fit(frame, y)
    with pytest.raises(ValueError, match="X has 3 features, but LogisticRegression is expecting 4"):
        model.predict(frame[["city", "age", "day"]])
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["age", "city", "day", "weight"]])
    with pytest.raises(ValueError, match=r"(?s)Column 'age' of X contains infinity"):
        model.predict(frame.assign(age=np.inf))
    with pytest.raises(ValueError, match="OneHotEncoder"):
        model.to_sklearn()
    with pytest.raises(ValueError, match="categorical_features must be None for blocks"):
        model.fit(from_arrays(np.ones((4, 1)), [0, 1, 0, 1]))
    # What failed left the last fit as it was.
    assert model.predict(frame).shape == (N,)
    with pytest.raises(ValueError, match="blocks do not have"):
        model.predict(from_arrays(np.ones((4, 4))))


def test_numbers_of_other_types_and_layouts():
    columns, y = make_columns()
    frame = make_frame(columns).assign(
        whole=np.arange(N) % 5,
        nullable=pd.array(np.arange(N) % 3, "Int32"),
        half=np.linspace(0, 1, N).astype(np.float16),
        truth=np.arange(N) % 2 == 0,
    )
    found = fit(frame, y, categorical_features="from_dtype")
    numbers = [frame[name].to_numpy(np.float64)[:, None] for name in ("whole", "nullable", "half", "truth")]
    _, coef, _ = reference.minimum(np.column_stack([encode(columns).toarray(), *numbers]), y, 3, 1 / N)
    np.testing.assert_allclose(found.coef_, coef, **NEAR)
    backwards = fit(frame.iloc[::-1], y[::-1], categorical_features="from_dtype")
    np.testing.assert_allclose(backwards.coef_, found.coef_, **NEAR)
    with pytest.raises(ValueError, match=r"Column 'nullable' of X contains NaN"):
        fit(frame.assign(nullable=frame["nullable"].where(frame["whole"] > 0)), y, categorical_features="from_dtype")


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
    columns, y = make_columns()
    table = convert(np.where(columns["day"] == 3, np.nan, columns["day"]))
    with pytest.raises(ValueError, match="missing values"):
        fit(table, y, categorical_features=[0])
    model = fit(table, y, categorical_features=[0], missing_level=True)
    expected = fit(columns["day"][:, None], y, categorical_features=[0])
    np.testing.assert_allclose(
        model.predict_proba(table), expected.predict_proba(columns["day"][:, None]), rtol=0, atol=1e-6
    )
    assert sorted(model.categories_[0][:-1]) == [day for day in range(30) if day != 3]


def test_scores_of_sparse_coefficients():
    columns, y = make_columns()
    frame = make_frame(columns)
    model = fit(frame, y, categorical_features="from_dtype", l1_ratio=1)
    expected = model.decision_function(frame), model.predict(frame), model.predict_proba(frame)
    model.sparsify()
    found = model.decision_function(frame), model.predict(frame), model.predict_proba(frame)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_splitters_get_the_table_as_it_came():
    columns, y = make_columns()
    frame, seen = make_frame(columns), []

    class ByCity:
        def split(self, X, y, groups=None):
            seen.append(X)
            is_test = (X["city"] == "Oslo").to_numpy()
            yield np.flatnonzero(~is_test), np.flatnonzero(is_test)

        def get_n_splits(self, X=None, y=None, groups=None):
            return 1

    fastlin.LogisticRegressionCV(
        Cs=1,
        cv=ByCity(),
        l1_ratios=(0,),
        scoring="accuracy",
        use_legacy_attributes=False,
        categorical_features="from_dtype",
    ).fit(frame, y)
    assert seen[0] is frame


def test_dictionaries_that_pandas_stores_and_missing_ones():
    pyarrow = import_arrow()
    columns, y = make_columns()
    stored = pd.Series(
        columns["city"].tolist(), dtype=pd.ArrowDtype(pyarrow.dictionary(pyarrow.int32(), pyarrow.string()))
    )
    found = fit(pd.DataFrame({"city": stored}), y, categorical_features="from_dtype")
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
        with pytest.raises(
            ValueError, match=r"Column 'c' of X is broken: its codes run from 0 to 5, and it has 2 levels"
        ):
            model.fit(pyarrow.table({"c": broken}), np.arange(6) % 2)


def test_columns_without_levels_are_refused():
    y = [0, 1, 0, 1]
    dates = np.array(["2020-01-01", "NaT", "2020-01-02", "2020-01-01"], "M8[D]")
    model = fastlin.LogisticRegression(categorical_features=[0], missing_level=True)
    with pytest.raises(ValueError, match=r"Column 0 of X has levels that cannot be sorted.*datetime64"):
        model.fit(dates[:, None], y)
    with pytest.raises(ValueError, match="Column 'c' of X has levels that cannot be sorted"):
        model.fit(pd.DataFrame({"c": [[1], [2], [1], [2]]}), y)
    times = pd.DataFrame({"c": ["a", "b", "a", "b"], "t": pd.to_datetime(dates).tz_localize("UTC")})
    with pytest.raises(ValueError, match="Column 't' of X holds values"):
        model.fit(times, y)
    with pytest.raises(ValueError, match="categorical_features must be"):
        model.set_params(categorical_features=[[0], [0, 1]]).fit(times, y)
