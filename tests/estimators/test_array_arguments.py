"""Each argument that takes an array, in every estimator, given as each container and type that users have.

What NumPy reads as the same numbers or labels gives the same bits, also where nobody may write to it: nullable columns
of pandas and columns of Parquet files come as read-only arrays. What is given stays as it is.
"""

from functools import cache
from inspect import signature
from itertools import product

import numpy as np
import pandas as pd
import pytest
import sklearn
from conftest import assert_refused
from linear_models import make_cv
from scipy import sparse
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score

from fastlin import (
    FirthLogisticRegression,
    LogisticRegression,
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


def steps(**parameters):
    return MiniBatchLogisticRegression(max_iter=2, n_iter_no_change=np.inf, random_state=0, **parameters)


def network(**parameters):
    return MLPClassifier((2,), max_iter=2, n_iter_no_change=np.inf, random_state=0, **parameters)


def fit_by_groups(clusters):
    with sklearn.config_context(enable_metadata_routing=True):
        return make_cv(cv=GroupKFold(2), Cs=2).fit(X, Y, groups=clusters)


def cluster_by(keys):
    return fitted("unpenalised").inference(X, Y, covariance="cluster", clusters=keys)


@cache
def fitted(kind):
    makers = {"linear": model, "Firth": FirthLogisticRegression, "steps": steps, "network": network}
    return unpenalised() if kind == "unpenalised" else makers[kind]().fit(X, Y)


RESAMPLES = {"n_resamples": 2, "random_state": 0}
# Each call is tried with all containers of each argument that it takes here.
CALLS = {
    "fit": lambda rows=X, y=Y, weights=None, offset=None: model().fit(rows, y, weights, offset=offset),
    "L1": lambda rows=X: model(l1_ratio=1).fit(rows, Y),
    "balanced classes": lambda weights: model(class_weight="balanced").fit(X, Y, weights),
    "weighted classes of soft labels": lambda weights: model(class_weight={0: 2}).fit(X, SOFT, weights),
    "blocks": lambda y=Y, weights=None, offset=None: model().fit(from_arrays(X), y, weights, offset=offset),
    "blocks of arrays": lambda y=Y, weights=None: model().fit(from_arrays(X, y, weights)),
    "blocks of CSR": lambda y=Y, weights=None: model().fit(from_csr(sparse.csr_array(X), y, weights)),
    "batches": lambda y=Y, weights=ONES: model().fit(from_batches(lambda: [(X, y, weights)])),
    "predictions": lambda rows=X, offset=None: fitted("linear").predict_proba(rows, offset=offset),
    "score": lambda y=Y, weights=None, offset=None: fitted("linear").score(X, y, weights, offset=offset),
    "score of soft labels": lambda weights: fitted("linear").score(X, SOFT, weights),
    "cross-validation": lambda rows=X, y=Y, weights=None: make_cv(cv=2, Cs=2).fit(rows, y, weights),
    "validation set": lambda rows=X, y=Y, weights=None, offset=None: make_cv(Cs=2).fit(
        X, Y, weights, offset=offset, X_val=rows, y_val=y, sample_weight_val=weights, offset_val=offset
    ),
    "path": lambda rows=X, y=Y, weights=None, offset=None: logistic_path(
        rows, y, Cs=2, sample_weight=weights, offset=offset
    ),
    "inference": lambda rows=X, y=Y, weights=None, offset=None: unpenalised(
        sample_weight=weights, offset=offset
    ).inference(rows, y, weights, offset),
    "HC1": lambda weights: unpenalised(sample_weight=weights).inference(X, Y, weights, covariance="HC1"),
    "bootstrap": lambda rows=X, y=Y, weights=None, offset=None, clusters=None: fitted("linear").bootstrap(
        rows, y, weights, offset, clusters=clusters, **RESAMPLES
    ),
    "Firth": lambda rows=X, y=Y, weights=None, offset=None: FirthLogisticRegression().fit(
        rows, y, weights, offset=offset
    ),
    "Firth's inference": lambda y=Y, weights=None: (
        FirthLogisticRegression().fit(X, Y, weights).inference(X, y, weights)
    ),
    "Firth's bootstrap": lambda weights: fitted("Firth").bootstrap(X, Y, weights, **RESAMPLES),
    "steps": lambda rows=X, y=Y, weights=None: steps().fit(rows, y, weights),
    "steps, validation": lambda y: steps(early_stopping=True).fit(X, Y, X_val=X, y_val=y),
    "score of steps": lambda weights: fitted("steps").score(X, Y, weights),
    "partial_fit of steps": lambda rows=X, y=Y, weights=None: steps().partial_fit(rows, y, [0, 1], weights),
    "fit_batches": lambda rows=X, y=Y, weights=ONES: steps().fit_batches([(rows, y, weights)], [0, 1]),
    "network": lambda rows=X, y=Y, weights=None: network().fit(rows, y, weights),
    "network by lbfgs": lambda weights: network(solver="lbfgs", tol=1e3).fit(X, Y, weights),
    "network, validation": lambda rows=X, y=Y: network(early_stopping=True).fit(rows, Y, X_val=rows, y_val=y),
    "network, soft validation": lambda soft: network(early_stopping=True).fit(X, SOFT, X_val=X, y_val=soft),
    "partial_fit of a network": lambda y=Y, weights=None: network().partial_fit(X, y, weights, classes=[0, 1]),
    "predictions of a network": lambda rows: fitted("network").predict_proba(rows),
    "score of a network": lambda y=Y, weights=None: fitted("network").score(X, y, weights),
    "search": lambda y=Y, weights=None: GridSearchCV(model(), {"C": [1, 2]}, cv=2, error_score="raise").fit(
        X, y, sample_weight=weights
    ),
    "grouped search": lambda clusters: cross_val_score(model(), X, Y, groups=clusters, cv=GroupKFold(2)),
    "groups": fit_by_groups,
    "clusters": lambda clusters: cluster_by(clusters),
    "clusters of two kinds": lambda keys: cluster_by(keys),
    # One number for each feature.
    "penalty factors": lambda features: model(penalty_factors=features).fit(X, Y),
    "penalty factors of a cross-validation": lambda features: make_cv(cv=2, Cs=2, penalty_factors=features).fit(X, Y),
    "penalty factors of a path": lambda features: logistic_path(X, Y, Cs=2, penalty_factors=features),
    "lower bounds": lambda features: model(lower_bounds=features).fit(X, Y),
    "upper bounds": lambda features: model(upper_bounds=features).fit(X, Y),
    "upper bounds of a path": lambda features: logistic_path(X, Y, Cs=2, upper_bounds=features),
    "values of a hypothesis": lambda features: fitted("unpenalised").inference(X, Y).wald_test(np.eye(3, 4), features),
    # One number for each coefficient.
    "coef_init": lambda coef: model(tol=1.0).fit(X, Y, coef_init=coef),
    "lower bounds of coefficients": lambda coef: model(lower_bounds=coef).fit(X, Y),
    "hypothesis": lambda contrasts: fitted("unpenalised").inference(X, Y).wald_test(contrasts),
    "intercept_init": lambda intercept: model(tol=1.0).fit(X, Y, intercept_init=intercept),
}
ARGUMENTS = {
    "rows": X,
    "y": Y,
    "weights": ONES,
    "offset": ONES,
    "clusters": ONES,
    "keys": np.column_stack([np.arange(N) // 4, np.arange(N) % 10]).astype(float),
    "features": np.array([1, 0, 1]),
    "coef": np.array([[1.0, 0, 1]]),
    "contrasts": np.eye(4),
    "intercept": np.ones(1),
    "soft": SOFT,
}
# Calls that take soft labels for y.
OF_SOFT_LABELS = "fit", "blocks", "score", "cross-validation", "validation set", "path", "bootstrap", "steps", "network"
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


def compare(calls, argument, array, tmp_path):
    """Fail where a call answers something else for a container than for an array; leave out what is not installed."""
    expected, failures = {name: find_numbers(CALLS[name](**{argument: array})) for name in calls}, []
    for name, (container, make) in product(calls, (TABLES if array.ndim == 2 else COLUMNS).items()):
        try:
            given = make(array, tmp_path)
        except pytest.skip.Exception:
            continue
        before = np.array(given)
        try:
            found = find_numbers(CALLS[name](**{argument: given}))
            np.testing.assert_allclose(found, expected[name], rtol=1e-6, atol=1e-9)
            np.testing.assert_array_equal(np.asarray(given), before)
        except Exception as error:
            failures.append(f"{name}, {container}: {type(error).__name__}: {error}")
    assert not failures, "\n".join(failures)


# The models of some calls were fitted to an array.
@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize("argument", ARGUMENTS)
def test_what_is_given_in_any_container_is_the_numbers_it_holds(argument, tmp_path):
    calls = [name for name, call in CALLS.items() if argument in signature(call).parameters]
    compare(calls, argument, ARGUMENTS[argument], tmp_path)


def test_soft_labels_in_any_container_are_the_numbers_they_hold(tmp_path):
    compare(OF_SOFT_LABELS, "y", SOFT, tmp_path)


@pytest.mark.parametrize("texts", TEXTS)
def test_labels_are_texts_of_every_type(texts):
    y = np.array(["no", "yes"])[Y]
    expected = model().fit(X, Y)
    for estimator in (model(), make_cv(Cs=[1.0], cv=2), steps(), network(), FirthLogisticRegression()):
        found = estimator.fit(X, TEXTS[texts](y))
        assert found.classes_.tolist() == ["no", "yes"]
        assert set(found.predict(X)) == {"no", "yes"}
    np.testing.assert_array_equal(model().fit(X, TEXTS[texts](y)).coef_, expected.coef_)


@pytest.mark.parametrize(
    "weights", [["a"] * N, pd.Series(pd.period_range("2020", periods=N)), [{}] * N], ids=["text", "periods", "dicts"]
)
def test_weights_that_are_no_numbers_are_named(weights):
    for estimator in (model(), make_cv(cv=2), steps(), network(), FirthLogisticRegression()):
        assert_refused("^sample_weight: ", estimator.fit, X, Y, weights, error=(TypeError, ValueError))
    with pytest.raises((TypeError, ValueError), match=r"^sample_weight: "):
        logistic_path(X, Y, sample_weight=weights)


MASKED = r"\b{} is an array of which entries are masked"


def test_arrays_with_masked_entries_are_refused():
    mask = np.arange(N) == 3
    labels, numbers = np.ma.masked_array(Y, mask), np.ma.masked_array(np.ones(N), mask)
    features = np.ma.masked_array(np.zeros(X.shape[1]), np.arange(X.shape[1]) == 0)
    rows, plain = np.ma.masked_array(X, X > 1), fitted("unpenalised")
    assert_refused(MASKED.format("X"), model().fit, rows, Y)
    assert_refused(MASKED.format("X"), plain.predict, rows)
    assert_refused(MASKED.format("y"), model().fit, X, labels)
    assert_refused(MASKED.format("sample_weight"), model().fit, X, Y, numbers)
    assert_refused(MASKED.format("offset"), model().fit, X, Y, offset=numbers)
    assert_refused(MASKED.format("coef_init"), model().fit, X, Y, coef_init=features[None])
    by_clusters = {"covariance": "cluster", "clusters": numbers}
    assert_refused(MASKED.format("clusters"), plain.inference, X, Y, **by_clusters)
    for name in ("lower_bounds", "upper_bounds", "penalty_factors"):
        assert_refused(MASKED.format(name), model(**{name: features}).fit, X, Y)
    # Without masked entries it is an array like others.
    found = model().fit(np.ma.masked_array(X), Y)
    np.testing.assert_array_equal(found.coef_, model().fit(X, Y).coef_)
