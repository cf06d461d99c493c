"""Each argument that takes an array, in every estimator, given as each container and type that users have.

What NumPy reads as the same numbers or labels gives the same bits, also where nobody may write to it: nullable columns
of pandas and columns of Parquet files come as read-only arrays. What is given stays as it is.
"""

from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score

from fastlin import (
    FirthLogisticRegression,
    LogisticRegression,
    LogisticRegressionCV,
    MiniBatchLogisticRegression,
    MLPClassifier,
    logistic_path,
)
from fastlin.blocks import from_arrays, from_batches, from_csr

GENERATOR = np.random.default_rng(0)
N = 40
X = GENERATOR.integers(0, 5, (N, 3)).astype(float)
CHANCES = 1 / (1 + np.exp(2 - X[:, 0]))
Y = (GENERATOR.random(N) < CHANCES) * 1
SOFT = np.column_stack([1 - CHANCES, CHANCES])
ONES = GENERATOR.integers(0, 2, N)


def read_only(array):
    array = np.array(array)
    array.flags.writeable = False
    return array


def save(array, tmp_path):
    np.save(tmp_path / "array.npy", array)
    return np.load(tmp_path / "array.npy", mmap_mode="r")


def make_series(dtype):
    def make(array, _):
        if dtype.endswith("[pyarrow]"):
            pytest.importorskip("pyarrow")
        return pd.Series(array).astype(dtype)

    return make


def make_frame(array, _):
    pytest.importorskip("pyarrow")
    return pd.DataFrame(array).rename(columns=str).astype("double[pyarrow]")


def make_column(library, dtype):
    def make(array, _):
        if library == "polars":
            polars = pytest.importorskip("polars")
            return polars.Series(array).cast(getattr(polars, dtype))
        arrow = pytest.importorskip("pyarrow")
        column = arrow.array(array).cast(dtype)
        return arrow.chunked_array([column[:7], column[7:]]) if library == "chunked" else column

    return make


def read_parquet(backend):
    def make(array, tmp_path):
        arrow = pytest.importorskip("pyarrow.parquet")
        pd.DataFrame({"a": array}).to_parquet(tmp_path / "column.parquet")
        if backend == "arrow":
            return arrow.read_table(tmp_path / "column.parquet")["a"]
        return pd.read_parquet(tmp_path / "column.parquet", dtype_backend=backend)["a"]

    return make


# Of zeros and ones, which every type holds: a container of each way in which they are read.
COLUMNS = {
    "list": lambda array, _: array.tolist(),
    "read-only": lambda array, _: read_only(array),
    "read-only floats": lambda array, _: read_only(array.astype(float)),
    "memory-mapped": save,
    "memory-mapped floats": lambda array, tmp_path: save(array.astype(float), tmp_path),
    "strided": lambda array, _: np.repeat(array.astype(float), 2)[::2],
    "Int64": make_series("Int64"),
    "Float32": make_series("Float32"),
    "boolean": make_series("boolean"),
    "category": make_series("category"),
    "int64[pyarrow]": make_series("int64[pyarrow]"),
    "polars Int64": make_column("polars", "Int64"),
    "polars Boolean": make_column("polars", "Boolean"),
    "chunked bool": make_column("chunked", "bool"),
    "Parquet": read_parquet("numpy_nullable"),
    "Parquet by arrow": read_parquet("arrow"),
    "pandas' sparse": lambda array, _: pd.Series(pd.arrays.SparseArray(array)),
    "longdouble": lambda array, _: array.astype("g"),
}
TABLES = {
    "list": lambda array, _: array.tolist(),
    "read-only": lambda array, _: read_only(array),
    "memory-mapped": save,
    "strided": lambda array, _: np.repeat(array, 2, axis=0)[::2],
    "by columns": lambda array, _: np.asfortranarray(array),
    "big-endian": lambda array, _: array.astype(">f8"),
    "Float64": lambda array, _: pd.DataFrame(array, columns=list("abcd")[: array.shape[1]]).astype("Float64"),
    "double[pyarrow]": make_frame,
    "polars": lambda array, _: pytest.importorskip("polars").from_numpy(array),
    "arrow": lambda array, _: pytest.importorskip("pyarrow").table({f"x{j}": x for j, x in enumerate(array.T)}),
}


def model(**parameters):
    return LogisticRegression(**parameters)


def unpenalised(**fit):
    return LogisticRegression(C=np.inf).fit(X, Y, **fit)


def cross_validated(**parameters):
    return LogisticRegressionCV(
        **{"Cs": 2, "l1_ratios": (0,), "scoring": "neg_log_loss", "use_legacy_attributes": False, **parameters}
    )


def steps(**parameters):
    return MiniBatchLogisticRegression(max_iter=2, n_iter_no_change=np.inf, random_state=0, **parameters)


def network(**parameters):
    return MLPClassifier((2,), max_iter=2, n_iter_no_change=np.inf, random_state=0, **parameters)


def fit_by_groups(groups):
    with sklearn.config_context(enable_metadata_routing=True):
        return cross_validated(cv=GroupKFold(2)).fit(X, Y, groups=groups)


def cluster_by(keys):
    return fitted("unpenalised").inference(X, Y, covariance="cluster", clusters=keys)


@cache
def fitted(kind):
    makers = {"linear": model, "Firth": FirthLogisticRegression, "steps": steps, "network": network}
    return unpenalised() if kind == "unpenalised" else makers[kind]().fit(X, Y)


RESAMPLES = {"n_resamples": 2, "random_state": 0}
LABELS = {
    "fit": lambda y: model().fit(X, y),
    "fit of blocks": lambda y: model().fit(from_arrays(X), y),
    "blocks of arrays": lambda y: model().fit(from_arrays(X, y)),
    "blocks of CSR": lambda y: model().fit(from_csr(sparse.csr_array(X), y)),
    "batches": lambda y: model().fit(from_batches(lambda: [(X, y)])),
    "score": lambda y: fitted("linear").score(X, y),
    "cross-validation": lambda y: cross_validated(cv=2).fit(X, y),
    "validation set": lambda y: cross_validated().fit(X, Y, X_val=X, y_val=y),
    "path": lambda y: logistic_path(X, y, Cs=2),
    "inference": lambda y: fitted("unpenalised").inference(X, y),
    "bootstrap": lambda y: fitted("linear").bootstrap(X, y, **RESAMPLES),
    "Firth": lambda y: FirthLogisticRegression().fit(X, y),
    "Firth's inference": lambda y: fitted("Firth").inference(X, y),
    "steps": lambda y: steps().fit(X, y),
    "steps, validation": lambda y: steps(early_stopping=True).fit(X, Y, X_val=X, y_val=y),
    "partial_fit of steps": lambda y: steps().partial_fit(X, y, [0, 1]),
    "fit_batches": lambda y: steps().fit_batches([(X, y)], [0, 1]),
    "network": lambda y: network().fit(X, y),
    "network, validation": lambda y: network(early_stopping=True).fit(X, Y, X_val=X, y_val=y),
    "partial_fit of a network": lambda y: network().partial_fit(X, y, classes=[0, 1]),
    "score of a network": lambda y: fitted("network").score(X, y),
    "search": lambda y: cross_val_score(model(), X, y, cv=2, error_score="raise"),
}
WEIGHTS = {
    "fit": lambda weights: model().fit(X, Y, weights),
    "fit of balanced classes": lambda weights: model(class_weight="balanced").fit(X, Y, weights),
    "fit of soft labels": lambda weights: model(class_weight={0: 2}).fit(X, SOFT, weights),
    "fit of blocks": lambda weights: model().fit(from_arrays(X), Y, weights),
    "blocks of arrays": lambda weights: model().fit(from_arrays(X, Y, weights)),
    "blocks of CSR": lambda weights: model().fit(from_csr(sparse.csr_array(X), Y, weights)),
    "batches": lambda weights: model().fit(from_batches(lambda: [(X, Y, weights)])),
    "score": lambda weights: fitted("linear").score(X, Y, weights),
    "score of soft labels": lambda weights: fitted("linear").score(X, SOFT, weights),
    "cross-validation": lambda weights: cross_validated(cv=2).fit(X, Y, weights),
    "validation set": lambda weights: cross_validated().fit(X, Y, weights, X_val=X, y_val=Y, sample_weight_val=weights),
    "path": lambda weights: logistic_path(X, Y, Cs=2, sample_weight=weights),
    "inference": lambda weights: unpenalised(sample_weight=weights).inference(X, Y, weights),
    "HC1": lambda weights: unpenalised(sample_weight=weights).inference(X, Y, weights, covariance="HC1"),
    "bootstrap": lambda weights: fitted("linear").bootstrap(X, Y, weights, **RESAMPLES),
    "Firth": lambda weights: FirthLogisticRegression().fit(X, Y, weights),
    "Firth's inference": lambda weights: FirthLogisticRegression().fit(X, Y, weights).inference(X, Y, weights),
    "Firth's bootstrap": lambda weights: fitted("Firth").bootstrap(X, Y, weights, **RESAMPLES),
    "steps": lambda weights: steps().fit(X, Y, weights),
    "score of steps": lambda weights: fitted("steps").score(X, Y, weights),
    "partial_fit of steps": lambda weights: steps().partial_fit(X, Y, [0, 1], weights),
    "fit_batches": lambda weights: steps().fit_batches([(X, Y, weights)], [0, 1]),
    "network": lambda weights: network().fit(X, Y, weights),
    "network by lbfgs": lambda weights: network(solver="lbfgs", tol=1e3).fit(X, Y, weights),
    "partial_fit of a network": lambda weights: network().partial_fit(X, Y, weights, classes=[0, 1]),
    "score of a network": lambda weights: fitted("network").score(X, Y, weights),
    "search": lambda weights: GridSearchCV(model(), {"C": [1, 2]}, cv=2, error_score="raise").fit(
        X, Y, sample_weight=weights
    ),
    "grouped search": lambda groups: cross_val_score(model(), X, Y, groups=groups, cv=GroupKFold(2)),
    "groups": fit_by_groups,
    "clusters": cluster_by,
    "clusters of the bootstrap": lambda clusters: fitted("linear").bootstrap(X, Y, clusters=clusters, **RESAMPLES),
}
OFFSETS = {
    "fit": lambda offset: model().fit(X, Y, offset=offset),
    "predictions": lambda offset: fitted("linear").predict_proba(X, offset=offset),
    "score": lambda offset: fitted("linear").score(X, Y, offset=offset),
    "fit of blocks": lambda offset: model().fit(from_arrays(X), Y, offset=offset),
    "validation set": lambda offset: cross_validated().fit(X, Y, offset=offset, X_val=X, y_val=Y, offset_val=offset),
    "path": lambda offset: logistic_path(X, Y, Cs=2, offset=offset),
    "inference": lambda offset: unpenalised(offset=offset).inference(X, Y, offset=offset),
    "bootstrap": lambda offset: fitted("linear").bootstrap(X, Y, offset=offset, **RESAMPLES),
    "Firth": lambda offset: FirthLogisticRegression().fit(X, Y, offset=offset),
}
# One number for each feature.
OF_FEATURES = {
    "penalty factors": lambda values: model(penalty_factors=values).fit(X, Y),
    "penalty factors of a cross-validation": lambda values: cross_validated(cv=2, penalty_factors=values).fit(X, Y),
    "penalty factors of a path": lambda values: logistic_path(X, Y, Cs=2, penalty_factors=values),
    "lower bounds": lambda values: model(lower_bounds=values).fit(X, Y),
    "upper bounds": lambda values: model(upper_bounds=values).fit(X, Y),
    "upper bounds of a path": lambda values: logistic_path(X, Y, Cs=2, upper_bounds=values),
    "hypothesis": lambda values: fitted("unpenalised").inference(X, Y).wald_test(np.eye(3, 4), values),
}
STARTS = {
    "coef_init": lambda coef: model(tol=1.0).fit(X, Y, coef_init=coef),
    "lower bounds": lambda coef: model(lower_bounds=coef).fit(X, Y),
    "hypothesis": lambda coef: fitted("unpenalised").inference(X, Y).wald_test(np.eye(4)),
}
SOFT_LABELS = {
    "fit": lambda y: model().fit(X, y),
    "fit of blocks": lambda y: model().fit(from_arrays(X), y),
    "score": lambda y: fitted("linear").score(X, y),
    "cross-validation": lambda y: cross_validated(cv=2).fit(X, y),
    "validation set": lambda y: cross_validated().fit(X, SOFT, X_val=X, y_val=y),
    "path": lambda y: logistic_path(X, y, Cs=2),
    "bootstrap": lambda y: fitted("linear").bootstrap(X, y, **RESAMPLES),
    "steps": lambda y: steps().fit(X, y),
    "network": lambda y: network().fit(X, y),
    "network, validation": lambda y: network(early_stopping=True).fit(X, SOFT, X_val=X, y_val=y),
}
ROWS = {
    "fit": lambda rows: model().fit(rows, Y),
    "L1": lambda rows: model(l1_ratio=1).fit(rows, Y),
    "predictions": lambda rows: fitted("linear").predict_proba(rows),
    "cross-validation": lambda rows: cross_validated(cv=2).fit(rows, Y),
    "validation set": lambda rows: cross_validated().fit(X, Y, X_val=rows, y_val=Y),
    "path": lambda rows: logistic_path(rows, Y, Cs=2),
    "inference": lambda rows: fitted("unpenalised").inference(rows, Y),
    "bootstrap": lambda rows: fitted("linear").bootstrap(rows, Y, **RESAMPLES),
    "Firth": lambda rows: FirthLogisticRegression().fit(rows, Y),
    "steps": lambda rows: steps().fit(rows, Y),
    "partial_fit of steps": lambda rows: steps().partial_fit(rows, Y, [0, 1]),
    "fit_batches": lambda rows: steps().fit_batches([(rows, Y)], [0, 1]),
    "network": lambda rows: network().fit(rows, Y),
    "network, validation": lambda rows: network(early_stopping=True).fit(rows, Y, X_val=rows, y_val=Y),
    "predictions of a network": lambda rows: fitted("network").predict_proba(rows),
}
COLUMN_ARGUMENTS = {"y": (LABELS, Y), "weights": (WEIGHTS, ONES), "offset": (OFFSETS, ONES)}
TABLE_ARGUMENTS = {
    "features": (OF_FEATURES, np.array([1, 0, 1])),
    "start": (STARTS, np.array([[1.0, 0, 1]])),
    "keys": ({"clusters": cluster_by}, np.column_stack([np.arange(N) // 4, np.arange(N) % 10]).astype(float)),
    "intercept": ({"intercept_init": lambda intercept: model(tol=1.0).fit(X, Y, intercept_init=intercept)}, np.ones(1)),
    "soft labels": (SOFT_LABELS, SOFT),
    "X": (ROWS, X),
}
TEXTS = {
    "strings": lambda texts: pd.Series(texts, dtype="string"),
    "objects": lambda texts: read_only(texts.astype(object)),
    "category": lambda texts: pd.Series(texts, dtype="category"),
    "polars": lambda texts: pytest.importorskip("polars").Series(texts),
    "Enum": lambda texts: (
        pytest.importorskip("polars").Series(texts).cast(pytest.importorskip("polars").Enum(["no", "yes"]))
    ),
    "arrow": lambda texts: pytest.importorskip("pyarrow").array(texts),
    "dictionary": lambda texts: pytest.importorskip("pyarrow").array(texts).dictionary_encode(),
    "chunks": lambda texts: pytest.importorskip("pyarrow").chunked_array([texts[:7], texts[7:]]),
}


def find_numbers(result):
    """Return the numbers that an answer consists of, coefficients where it is a model."""
    result = getattr(result, "best_estimator_", result)
    for name in ("coef_", "coefs", "coef", "std_errors", "statistic"):
        if hasattr(result, name):
            return getattr(result, name)
    return np.concatenate([each.ravel() for each in result.coefs_]) if hasattr(result, "coefs_") else result


def compare(calls, array, containers, tmp_path):
    """Fail where a call answers something else for a container than for an array; leave out what is not installed."""
    expected, failures = {name: find_numbers(call(array)) for name, call in calls.items()}, []
    for (call_name, call), (name, make) in product(calls.items(), containers.items()):
        try:
            given = make(array, tmp_path)
        except pytest.skip.Exception:
            continue
        before = np.array(given)
        try:
            np.testing.assert_allclose(find_numbers(call(given)), expected[call_name], rtol=1e-6, atol=1e-9)
            np.testing.assert_array_equal(np.asarray(given), before)
        except Exception as error:
            failures.append(f"{call_name}, {name}: {type(error).__name__}: {error}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("argument", COLUMN_ARGUMENTS)
def test_columns_of_every_type_are_the_numbers_they_hold(argument, tmp_path):
    compare(*COLUMN_ARGUMENTS[argument], COLUMNS, tmp_path)


# The models of these calls were fitted to an array.
@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize("argument", TABLE_ARGUMENTS)
def test_tables_of_every_type_are_the_numbers_they_hold(argument, tmp_path):
    calls, array = TABLE_ARGUMENTS[argument]
    compare(calls, array, TABLES if array.ndim == 2 else COLUMNS, tmp_path)


@pytest.mark.parametrize("texts", TEXTS)
def test_labels_are_texts_of_every_type(texts):
    y = np.array(["no", "yes"])[Y]
    expected = model().fit(X, Y)
    for estimator in (
        model(),
        cross_validated(Cs=[1.0], cv=2, refit=True),
        steps(),
        network(),
        FirthLogisticRegression(),
    ):
        found = estimator.fit(X, TEXTS[texts](y))
        assert found.classes_.tolist() == ["no", "yes"]
        assert set(found.predict(X)) == {"no", "yes"}
    np.testing.assert_array_equal(model().fit(X, TEXTS[texts](y)).coef_, expected.coef_)


@pytest.mark.parametrize(
    "weights", [["a"] * N, pd.Series(pd.period_range("2020", periods=N)), [{}] * N], ids=["text", "periods", "dicts"]
)
def test_weights_that_are_no_numbers_are_named(weights):
    for estimator in (model(), cross_validated(cv=2), steps(), network(), FirthLogisticRegression()):
        with pytest.raises((TypeError, ValueError), match=r"^sample_weight: "):
            estimator.fit(X, Y, weights)
    with pytest.raises((TypeError, ValueError), match=r"^sample_weight: "):
        logistic_path(X, Y, sample_weight=weights)


def test_arrays_with_masked_entries_are_refused():
    mask = np.arange(N) == 3
    labels, numbers = np.ma.masked_array(Y, mask), np.ma.masked_array(np.ones(N), mask)
    features = np.ma.masked_array(np.zeros(X.shape[1]), np.arange(X.shape[1]) == 0)
    plain = fitted("unpenalised")
    for name, call in {
        "X": lambda: model().fit(np.ma.masked_array(X, X > 1), Y),
        "X ": lambda: model().fit(X, Y).predict(np.ma.masked_array(X, X > 1)),
        "y": lambda: model().fit(X, labels),
        "sample_weight": lambda: model().fit(X, Y, numbers),
        "offset": lambda: model().fit(X, Y, offset=numbers),
        "coef_init": lambda: model().fit(X, Y, coef_init=features[None]),
        "lower_bounds": lambda: LogisticRegression(lower_bounds=features).fit(X, Y),
        "upper_bounds": lambda: LogisticRegression(upper_bounds=features).fit(X, Y),
        "penalty_factors": lambda: LogisticRegression(penalty_factors=features).fit(X, Y),
        "clusters": lambda: plain.inference(X, Y, covariance="cluster", clusters=numbers),
    }.items():
        with pytest.raises(ValueError, match=rf"\b{name.strip()} is an array of which entries are masked"):
            call()
    # Without masked entries it is an array like others.
    found = model().fit(np.ma.masked_array(X), Y)
    np.testing.assert_array_equal(found.coef_, model().fit(X, Y).coef_)
