"""LogisticRegression on Dask collections: models and inference, compared with the same rows in memory."""

import copy
import pickle
import warnings

import dask.array
import numpy as np
import pandas
import pytest
from conftest import assert_raises, requires_scikit_learn
from dask.dataframe import from_pandas
from linear_models import assert_same_model
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastlin
from fastlin import blocks
from fastlin.callbacks import TimeLimit
from fastlin.dask import LogisticRegression, LogisticRegressionCV
from fastlin.exceptions import CollinearityError, SeparationError

from .conftest import QUIET_CV_PARAMETERS, assert_nothing_is_held, cut, make_rows

# A cluster takes seconds to start, and each fit many messages.
pytestmark = pytest.mark.thorough

PARAMETERS = [
    {},
    {"solver": "newton-cg"},
    {"solver": "newton-cholesky"},
    {"C": np.inf},
    {"class_weight": "balanced", "fit_intercept": False, "penalty_factors": [0, 1, 1, 2, 1, 1]},
    {"l1_ratio": 1, "C": 0.1},
    {"l1_ratio": 0.5, "C": 0.1, "group_lasso": True},
    {"lower_bounds": 0.0, "upper_bounds": [0.1, 0.2, 0.3, 9, 9, 9]},
]
X, Y, WEIGHTS = make_rows()


def fit(estimator, parameters, *data, **options):
    # Rounding errors may keep the certificate above such a small tol.
    with warnings.catch_warnings(action="ignore"):
        return estimator(**{"tol": 1e-9, **parameters}).fit(*data, **options)


def assert_same_minimum(result, expected):
    objectives = [model.history_[-1].objective for model in (expected, result)]
    assert objectives[1] == pytest.approx(objectives[0], rel=2e-9)
    np.testing.assert_allclose(result.coef_, expected.coef_, atol=1e-3)
    np.testing.assert_array_equal(result.classes_, expected.classes_)


# Two classes differ only in their kernels, which test_shard.py covers.
@pytest.mark.parametrize(("parameters", "n_classes"), [*((options, 4) for options in PARAMETERS), ({}, 2)], ids=str)
def test_the_model_matches_that_of_the_rows_in_memory(client, parameters, n_classes):
    data = make_rows(n_classes=n_classes)
    expected = fit(fastlin.LogisticRegression, parameters, *data)
    result = fit(LogisticRegression, parameters, *cut(*data))
    assert_same_minimum(result, expected)
    assert result.converged_ == expected.converged_
    # If `solver` is set, tol bounds the gradient.
    is_certified = "solver" not in parameters and expected.certificate_ < np.inf
    assert not is_certified or result.certificate_ <= 2e-9 * result.history_[-1].objective


def test_dataframes_have_feature_names(client):
    names = list("abcdef")
    dataframe = pandas.DataFrame(X, columns=names).assign(y=Y, w=WEIGHTS, row=range(400))
    table = from_pandas(dataframe, npartitions=4)
    result = fit(LogisticRegression, {}, table[names], table["y"], table["w"])
    assert_same_minimum(result, fit(fastlin.LogisticRegression, {}, X, Y, WEIGHTS))
    assert list(result.feature_names_in_) == names
    np.testing.assert_array_equal(result.predict(table[names]).compute(), result.predict(dataframe[names]))
    # The partitions of filtered data have unknown lengths, and some are empty.
    filtered_table, rows = table[table["a"] > 1], (dataframe["a"] > 1).to_numpy()
    refit = fit(LogisticRegression, {}, filtered_table[names], filtered_table["y"])
    assert_same_minimum(refit, fit(fastlin.LogisticRegression, {}, X[rows], Y[rows]))
    first_rows = table[table["row"] < 120]
    assert fit(LogisticRegression, {}, first_rows[names], first_rows["y"]).n_features_in_ == 6
    assert_raises("feature names should match", result.predict, table[names[::-1]])


def test_columns_and_partitions_of_different_dtypes_get_a_common_dtype(client):
    dataframe = pandas.DataFrame({"a": X[:, 0].astype("f4"), "b": X[:, 1] > 0, "c": np.arange(400) % 7})
    dataframe["d"], dataframe["e"] = pandas.array(Y % 2, "Int64"), pandas.array(X[:, 2], "Float64")
    dataframe["f"] = pandas.Series(X[:, 3]).astype("double[pyarrow]")
    table = from_pandas(dataframe, npartitions=3)
    expected = fit(fastlin.LogisticRegression, {}, dataframe.astype("f8"), Y)
    for dtype in ("Int64", "int64", "int64[pyarrow]"):
        labels = from_pandas(pandas.Series(Y, dtype=dtype), npartitions=3)
        result = fit(LogisticRegression, {}, table, labels)
        assert_same_minimum(result, expected)
        assert result.classes_.dtype.kind == "i"
    np.testing.assert_array_equal(result.predict(table).compute(), expected.predict(dataframe.astype("f8")))
    names = from_pandas(pandas.Series(Y.astype(str)).astype("category"), npartitions=3)
    assert list(fit(LogisticRegression, {}, table, names).classes_) == [*"0123"]
    with pytest.raises(ValueError, match="Column 'g' of X has dtype"):
        LogisticRegression().fit(from_pandas(dataframe.assign(g="x"), npartitions=3), labels)
    dataframe.loc[399, "e"] = pandas.NA
    assert_raises(
        "Partition 2 of X contains NaN", LogisticRegression().fit, from_pandas(dataframe, npartitions=3), labels
    )
    [dask_X], [dask_y] = cut(X.astype(np.float32), rows=200), cut(Y, rows=200)
    mixed_partitions = dask.array.concatenate(
        [dask_X[:200], dask_X[200:].map_blocks(lambda part: part.astype("f8"), dtype="f4")]
    )
    assert LogisticRegression().fit(mixed_partitions, dask_y).coef_.dtype == np.float64
    assert LogisticRegression().fit(dask_X, dask_y).coef_.dtype == np.float32


def test_results_have_the_same_bits_for_the_same_partitions(client):
    data = make_rows(900, 6, 4)
    # Partitions are distributed by Dask, all on the first worker, or all on the second.
    persisted_data = [client.persist(cut(*data), workers=[address]) for address in client.scheduler_info()["workers"]]
    first, *models = (LogisticRegression().fit(*each) for each in (cut(*data), *persisted_data))
    for model in models:
        np.testing.assert_array_equal(model.coef_, first.coef_)
        assert model.certificate_ == first.certificate_
        assert model.n_passes_ == first.n_passes_
    np.testing.assert_allclose(LogisticRegression().fit(*cut(*data, rows=100)).coef_, first.coef_, atol=1e-2)
    # Chunks of columns are joined, and other arrays get the partitions of X.
    X, *others = data
    result = LogisticRegression().fit(dask.array.from_array(X, chunks=(90, 4)), *cut(*others, rows=70))
    np.testing.assert_array_equal(result.coef_, first.coef_)
    client.cancel(persisted_data)


def test_specified_classes_can_be_missing_from_partitions(client):
    order = np.argsort(Y, kind="stable")
    dask_X, dask_y = cut(X[order], Y[order])
    result = fit(LogisticRegression, {}, dask_X, dask_y, classes=[3, 1, 2, 0], client=client)
    assert_same_minimum(result, fit(fastlin.LogisticRegression, {}, X, Y))
    message = "y contains the label 3, which is not one of classes"
    assert_raises(message, result.fit, dask_X, dask_y, classes=[0, 1, 2])
    assert_raises(
        "No row of y has the class 7, which is one of classes", result.fit, dask_X, dask_y, classes=[0, 1, 2, 3, 7]
    )


def test_errors_for_invalid_data_name_the_partition(client):
    dask_X, dask_y, dask_weights = cut(X, Y, WEIGHTS)
    model = LogisticRegression().fit(dask_X, dask_y)
    X_with_nan = X.copy()
    X_with_nan[300, 2] = np.nan
    mixed_partitions = dask.array.concatenate(
        [dask_y[:90], dask_y[90:].map_blocks(lambda part: part.astype(str), dtype=Y.dtype)]
    )
    for error, message, *data in (
        (ValueError, "Partition 3 of X contains NaN", *cut(X_with_nan, Y)),
        (ValueError, "one class", dask_X, 0 * dask_y),
        (ValueError, "All rows have weight zero", dask_X, dask_y, 0 * dask_weights),
        (ValueError, "Partition 1 of y has dtype <U.*, but Partition 0 has int32", dask_X, mixed_partitions),
        (ValueError, "y has 310 entries, but X has 400 rows", dask_X, dask_y[:310]),
        (TypeError, "X must be a Dask array or a Dask dataframe, got ndarray", X, dask_y),
        (TypeError, "y must be a Dask array or Series with the partitions of X, got ndarray", dask_X, Y),
    ):
        assert_raises(message, model.fit, *data, error=error)
    assert_raises(
        "client must be a synchronous dask.distributed.Client",
        model.fit,
        dask_X,
        dask_y,
        client="local",
        error=TypeError,
    )
    model.set_params(class_weight=dict.fromkeys(range(4), 1e200))
    assert_raises("sample_weight times class_weight overflows", model.fit, dask_X, dask_y, 1e200 + 0 * dask_weights)
    # After a fit the workers release its data.
    model.set_params(class_weight=None).fit(dask_X, dask_y)
    assert_nothing_is_held(client)


def test_to_local_returns_a_model_that_needs_no_dask(client):
    model = LogisticRegression(C=0.5).fit(*cut(X, Y))
    local_model = model.to_local()
    assert type(local_model) is fastlin.LogisticRegression
    assert local_model.get_params() == model.get_params()
    for made in (local_model, pickle.loads(pickle.dumps(model)), model):
        np.testing.assert_array_equal(made.predict_proba(X), model.predict_proba(*cut(X)).compute())
    assert clone(model).C == 0.5
    # A warm start at the minimum needs at most one iteration.
    again = LogisticRegression(C=0.5, warm_start=True)
    again.coef_, again.intercept_ = model.coef_, model.intercept_
    assert again.fit(*cut(X, Y)).n_iter_[0] <= 1
    start = {"coef_init": model.coef_, "intercept_init": model.intercept_}
    assert LogisticRegression(C=0.5).fit(*cut(X, Y), **start).n_iter_[0] <= 1
    assert_raises(None, LogisticRegression().predict_proba, *cut(X), error=NotFittedError)


@requires_scikit_learn(1, 9)
def test_callbacks_of_dask_fits_can_stop_the_fit(client):
    data = cut(*make_rows())
    stopped = LogisticRegression().set_callbacks(TimeLimit(0)).fit(*data)
    assert (stopped.n_iter_[0], stopped.converged_) == (1, False)
    assert stopped.history_[0].objective == LogisticRegression().fit(*data).history_[0].objective


def make_soft_rows(n_classes):
    """Return X, soft labels, weights and an offset; the first partition has certain labels."""
    X, y, weights = make_rows(n_classes=n_classes)
    generator = np.random.default_rng(0)
    soft_labels = generator.dirichlet(np.ones(n_classes), len(X))
    soft_labels[:90] = np.eye(n_classes)[y[:90]]
    return X, soft_labels, weights, generator.normal(size=len(X) if n_classes == 2 else (len(X), n_classes))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_fits_with_offsets_and_soft_labels_match_rows_in_memory(client, n_classes):
    X, soft_labels, weights, offset = make_soft_rows(n_classes)
    dask_X, dask_soft_labels, dask_weights, dask_offset = cut(X, soft_labels, weights, offset)
    for parameters, y, dask_y in (
        ({"class_weight": "balanced"}, soft_labels, dask_soft_labels),
        ({"C": 0.1, "l1_ratio": 1.0}, soft_labels, dask_soft_labels),
        ({"solver": "newton-cholesky"}, soft_labels.argmax(axis=1), dask_soft_labels.argmax(axis=1)),
    ):
        parameters["tol"] = 1e-10
        expected = fit(fastlin.LogisticRegression, parameters, X, y, weights, offset=offset)
        model = fit(LogisticRegression, parameters, dask_X, dask_y, dask_weights, offset=dask_offset)
        assert_same_model(model, expected, 1e-4)
        score = model.score(X, y, weights, offset=offset)
        assert model.score(dask_X, dask_y, dask_weights, offset=dask_offset) == pytest.approx(score, rel=1e-12)
    # Other partitions, columns in several blocks, and dataframes.
    other, precise_parameters = dask_offset.rechunk(70), {"tol": 1e-10}
    dataframes = [from_pandas(pandas.DataFrame(each), npartitions=3) for each in (X, soft_labels, offset)]
    again = fit(LogisticRegression, precise_parameters, dask_X, dask_soft_labels.rechunk((70, 1)), offset=other)
    expected = fit(fastlin.LogisticRegression, precise_parameters, X, soft_labels, offset=offset)
    assert_same_model(again, expected, 1e-4)
    assert_same_model(
        fit(LogisticRegression, precise_parameters, *dataframes[:2], offset=dataframes[2]), expected, 1e-4
    )
    for method in ("decision_function", "predict_proba", "predict_log_proba", "predict"):
        predict = getattr(again, method)
        expected, result = predict(X, offset=offset), predict(dask_X, offset=other)
        assert isinstance(result, dask.array.Array)
        assert result.shape == expected.shape
        for each in (result, predict(dataframes[0], offset=dataframes[2])):
            np.testing.assert_array_equal(each.compute(), expected)
    assert_nothing_is_held(client)


@pytest.mark.parametrize("scoring", ["neg_log_loss", None])
def test_folds_and_class_names_of_soft_labels_match_rows_in_memory(client, scoring):
    *data, offset = make_soft_rows(3)
    *dask_data, dask_offset = cut(*data, offset)
    parameters = {"Cs": [0.1, 10.0], "cv": 3, "scoring": scoring, "tol": 1e-10, **QUIET_CV_PARAMETERS}
    classes = ["ant", "bee", "cat"]
    expected = fit(fastlin.LogisticRegressionCV, parameters, *data, offset=offset, classes=classes)
    result = fit(LogisticRegressionCV, parameters, *dask_data, offset=dask_offset, classes=classes)
    np.testing.assert_allclose(result.scores_, expected.scores_, atol=1e-4)
    assert_same_model(result, expected, 1e-4)
    assert result.classes_.tolist() == classes
    score = expected.score(*data, offset=offset)
    assert result.score(*dask_data, offset=dask_offset) == pytest.approx(score, abs=1e-4)


def test_invalid_offsets_and_soft_labels_raise_errors(client):
    X, soft_labels, _, offset = make_soft_rows(3)
    dask_X, dask_soft_labels, dask_offset = cut(X, soft_labels, offset)
    broken, wrong = offset.copy(), soft_labels.copy()
    broken[100], wrong[100] = np.nan, 0.5
    one_hot_labels = np.eye(3)[soft_labels.argmax(axis=1)]
    model = LogisticRegression()
    for y, arguments, message in (
        (
            dask_soft_labels,
            {"offset": cut(broken)[0]},
            "Partition 1 of offset must contain finite numbers .* but row 10 has nan",
        ),
        (
            dask_soft_labels,
            {"offset": dask_offset[:, 0]},
            "Adding the same number for all classes of a row has no effect",
        ),
        (dask_soft_labels, {"offset": dask_offset[:, :2]}, "offset must have one number for each row and class"),
        (dask_soft_labels, {"offset": dask_offset[:100]}, "offset has 100 entries, but X has 400 rows"),
        (cut(wrong)[0], {}, "Partition 1 of y: y has 3 columns. .* row 10 sums to 1.5"),
        (cut(one_hot_labels)[0], {}, "y has 3 columns of zeros and ones"),
        (cut(one_hot_labels.astype(int))[0], {}, "y has 3 columns of zeros and ones"),
        (cut(2 * one_hot_labels.astype(int))[0], {}, "Partition 0 of y: y should be a 1d array of labels"),
        (dask_soft_labels, {"classes": ["a", "b"]}, "classes must be 3 different labels .* for each column of y"),
    ):
        assert_raises(message, model.fit, dask_X, y, **arguments)
    message = "offset must be a Dask array or Series with the partitions of X, got ndarray"
    assert_raises(message, model.fit, dask_X, dask_soft_labels, offset=offset, error=TypeError)
    message = "offset must have one number for each row and class"
    assert_raises(message, model.fit(dask_X, dask_soft_labels).predict_proba, dask_X, offset=dask_offset[:, 0])
    assert_nothing_is_held(client)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_inference_matches_rows_in_memory(client, monkeypatch, n_classes):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(600, 3)) + 2
    y = (X @ generator.normal(size=(3, n_classes)) * 0.3 + generator.gumbel(size=(600, n_classes))).argmax(axis=1)
    data = X, y, np.arange(600) % 3 * 1.0
    rows, parameters = cut(*data), {"C": np.inf, "tol": 1e-12}
    local_model, model = (
        fastlin.LogisticRegression(**parameters).fit(*data),
        LogisticRegression(**parameters).fit(*rows),
    )
    before = copy.copy(vars(model))
    for options in ({}, {"covariance": "HC1"}, {"covariance": "HC0", "weight_type": "sampling", "use_t": True}):
        result, expected = model.inference(*rows, **options), local_model.inference(*data, **options)
        np.testing.assert_allclose(result.coef, expected.coef, atol=1e-8)
        np.testing.assert_allclose(result.covariance_matrix(), expected.covariance_matrix(), rtol=1e-8)
        assert result.aic == pytest.approx(expected.aic, nan_ok=True)
        assert result.n_samples == expected.n_samples
        assert result.summary()[:40] == expected.summary()[:40]
    assert vars(model) == before
    assert_nothing_is_held(client)
    errors = local_model.inference(*data).std_errors
    np.testing.assert_allclose(model.inference(*data).std_errors, errors)
    assert_raises("requires X in memory", model.inference, *rows, covariance="cluster", clusters=y)
    assert_raises("non-integer entries", model.inference, *rows[:2], 0.5 * rows[2])
    assert_raises("rows", result.marginal_effects, error=RuntimeError)
    assert_raises("rows", result.influence, error=RuntimeError)
    np.testing.assert_allclose(result.predict(X).upper, expected.predict(X).upper, rtol=1e-7)
    # The diagnostics also work on distributed rows.
    separated_rows = np.column_stack([X, (y == 1) & (np.arange(600) % 4 == 0)]).astype(float)
    for columns, error in (
        (separated_rows, SeparationError),
        (np.column_stack([X, X[:, 0] - X[:, 1]]), CollinearityError),
    ):
        with pytest.raises(error, match="x3"):
            LogisticRegression(C=np.inf).fit(*cut(columns, y)).inference(*cut(columns, y))
    cv = LogisticRegressionCV(scoring="accuracy", tol=1e-9, **QUIET_CV_PARAMETERS).fit(*rows)
    result, expected = (cv.inference(*each, penalized="sandwich") for each in (rows, data))
    np.testing.assert_allclose(result.std_errors, expected.std_errors, rtol=1e-6)
    monkeypatch.setattr("fastlin.inference.estimation.MAX_PARAMETERS", 3)
    np.testing.assert_allclose(model.inference(*rows, features=["x1"]).std_errors, errors[:, 1:2], rtol=1e-8)


@pytest.fixture(scope="module")
def fitted():
    """Return X, y, the Dask arrays of both, a model of the rows in memory, and the Dask model with its attributes."""
    X, y, _ = make_rows(n_classes=3)
    local_model, model = fastlin.LogisticRegression().fit(X, y), LogisticRegression()
    vars(model).update({name: value for name, value in vars(local_model).items() if name.endswith("_")})
    return X, y, *cut(X, y), local_model, model


def test_predictions_are_lazy_for_collections_only(fitted):
    X, y, dask_X, dask_y, local_model, model = fitted
    rows = blocks.from_arrays(X, y, rows_per_block=100)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        expected, predict = getattr(local_model, method)(X), getattr(model, method)
        assert isinstance(predict(dask_X), dask.array.Array)
        for result in (predict(dask_X).compute(), predict(X), np.concatenate(list(predict(rows)))):
            np.testing.assert_array_equal(result, expected)
    expected = local_model.score(X, y)
    assert model.score(X, y) == expected
    assert model.score(dask_X, dask_y) == pytest.approx(expected)
    assert model.score(rows) == pytest.approx(expected)


def test_score_rejects_missing_labels_metadata_and_invalid_attributes(fitted):
    X, _, dask_X, dask_y, _, model = fitted
    for rows in (dask_X, X):
        assert_raises("score requires y", model.score, rows)
    with pytest.raises(TypeError, match="accepts only X, y, sample_weight and offset, got groups as well"):
        LogisticRegressionCV().score(dask_X, dask_y, groups=dask_y)
    for attribute, value in (("coef_", np.ones((3, 20_000))), ("intercept_", 0.5), ("classes_", np.arange(9))):
        damaged = copy.copy(model)
        setattr(damaged, attribute, value)
        for method, arguments in (("predict", [dask_X]), ("predict_proba", [dask_X]), ("score", [dask_X, dask_y])):
            assert_raises(r"must be real numbers of shape .* classes and", getattr(damaged, method), *arguments)
