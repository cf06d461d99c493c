"""LogisticRegression over Dask's collections: the models of the same rows in memory."""

import pickle
import warnings

import dask.array
import dask.dataframe
import numpy as np
import pandas
import pytest
from conftest import since
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import fastlin
from fastlin.callbacks import TimeLimit
from fastlin.dask import LogisticRegression

from .conftest import assert_nothing_is_held, cut, make_rows

# A cluster takes seconds to start, and each fit many messages.
pytestmark = pytest.mark.thorough

PARAMETERS = [
    {},
    {"solver": "newton-cg"},
    {"solver": "newton-cholesky"},
    {"C": np.inf},
    {"C": 1e4},
    {"class_weight": "balanced", "fit_intercept": False, "penalty_factors": [0, 1, 1, 2, 1, 1]},
    {"l1_ratio": 1, "C": 0.1},
    {"l1_ratio": 0.5, "C": 0.1, "group_by_class": True},
    {"lower_bounds": 0.0, "upper_bounds": [0.1, 0.2, 0.3, 9, 9, 9]},
]


def fit(made, parameters, *data, **options):
    with warnings.catch_warnings():
        # Rounding may keep a bound above so small a tol.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return made(tol=1e-9, **parameters).fit(*data, **options)


def assert_same_minimum(found, expected):
    ends = [model.history_[-1].objective for model in (expected, found)]
    assert ends[1] == pytest.approx(ends[0], rel=2e-9)
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-3)
    np.testing.assert_array_equal(found.classes_, expected.classes_)


# Two classes differ in the kernels alone, which test_shard.py holds to account.
@pytest.mark.parametrize(("parameters", "n_classes"), [*((each, 4) for each in PARAMETERS), ({}, 2)], ids=str)
def test_the_model_is_that_of_the_rows_together(client, parameters, n_classes):
    X, y, weights = make_rows(n_classes=n_classes)
    expected = fit(fastlin.LogisticRegression, parameters, X, y, weights)
    found = fit(LogisticRegression, parameters, *cut(X, y, weights))
    assert_same_minimum(found, expected)
    assert found.converged_ == expected.converged_
    # With a name of a solver tol bounds the gradient.
    is_proven = "solver" not in parameters and expected.certificate_ < np.inf
    assert not is_proven or found.certificate_ <= 2e-9 * found.history_[-1].objective


def test_dataframes_have_names(client):
    X, y, weights = make_rows()
    frame = pandas.DataFrame(X, columns=list("abcdef")).assign(y=y, w=weights, row=range(400))
    table = dask.dataframe.from_pandas(frame, npartitions=4)
    names = list("abcdef")
    found = fit(LogisticRegression, {}, table[names], table["y"], table["w"])
    assert_same_minimum(found, fit(fastlin.LogisticRegression, {}, X, y, weights))
    assert list(found.feature_names_in_) == names
    np.testing.assert_array_equal(found.predict(table[names]).compute(), found.predict(frame[names]))
    # Lengths of what is filtered are not known, and some partitions have no rows.
    some, rows = table[table["a"] > 1], (frame["a"] > 1).to_numpy()
    again = fit(LogisticRegression, {}, some[names], some["y"])
    assert_same_minimum(again, fit(fastlin.LogisticRegression, {}, X[rows], y[rows]))
    none = table[table["row"] < 120]
    assert fit(LogisticRegression, {}, none[names], none["y"]).n_features_in_ == 6
    with pytest.raises(ValueError, match="feature names should match"):
        found.predict(table[names[::-1]])


@pytest.mark.thorough
def test_dataframes_of_several_types_of_numbers(client):
    X, y, _ = make_rows()
    frame = pandas.DataFrame({"a": X[:, 0].astype("f4"), "b": X[:, 1] > 0, "c": np.arange(400) % 7})
    frame["d"], frame["e"] = pandas.array(y % 2, "Int64"), pandas.array(X[:, 2], "Float64")
    frame["f"] = pandas.Series(X[:, 3]).astype("double[pyarrow]")
    table = dask.dataframe.from_pandas(frame, npartitions=3)
    expected = fit(fastlin.LogisticRegression, {}, frame.astype("f8"), y)
    for labels in (pandas.Series(y, dtype="Int64"), pandas.Series(y), pandas.Series(y, dtype="int64[pyarrow]")):
        found = fit(LogisticRegression, {}, table, dask.dataframe.from_pandas(labels, npartitions=3))
        assert_same_minimum(found, expected)
        assert found.classes_.dtype.kind == "i"
    np.testing.assert_array_equal(found.predict(table).compute(), expected.predict(frame.astype("f8")))
    names = pandas.Series(y.astype(str)).astype("category")
    assert list(fit(LogisticRegression, {}, table, dask.dataframe.from_pandas(names, npartitions=3)).classes_) == [
        *"0123"
    ]
    with pytest.raises(ValueError, match="Column 'g' of X holds"):
        LogisticRegression().fit(dask.dataframe.from_pandas(frame.assign(g="x"), npartitions=3), cut(y)[0])
    frame.loc[399, "e"] = pandas.NA
    with pytest.raises(ValueError, match="Partition 2 of X contains NaN"):
        LogisticRegression().fit(
            dask.dataframe.from_pandas(frame, npartitions=3), dask.dataframe.from_pandas(labels, npartitions=3)
        )


@pytest.mark.thorough
def test_bits_depend_on_the_partitions_alone(client):
    X, y, weights = make_rows(900, 6, 4)
    models = []
    # Who holds what differs: partitions are spread by Dask, put on one worker, or put on the other one.
    for address in [None, *client.scheduler_info()["workers"]]:
        data = cut(X, y, weights)
        if address is not None:
            data = client.persist(data, workers=[address])
        models.append(LogisticRegression().fit(*data))
    other = LogisticRegression().fit(*cut(X, y, weights, rows=100))
    for model in models[1:]:
        np.testing.assert_array_equal(model.coef_, models[0].coef_)
        assert model.certificate_ == models[0].certificate_
        assert model.n_passes_ == models[0].n_passes_
    np.testing.assert_allclose(other.coef_, models[0].coef_, atol=1e-2)


def test_columns_in_chunks_and_rows_cut_in_another_way_are_put_together(client):
    X, y, weights = make_rows()
    expected = fit(LogisticRegression, {}, *cut(X, y, weights))
    dX = dask.array.from_array(X, chunks=(90, 4))
    found = fit(LogisticRegression, {}, dX, *cut(y, weights, rows=70))
    np.testing.assert_array_equal(found.coef_, expected.coef_)


def test_classes_may_be_given_and_missing_from_partitions(client):
    X, y, _ = make_rows()
    order = np.argsort(y, kind="stable")
    dX, dy = cut(X[order], y[order])
    found = fit(LogisticRegression, {}, dX, dy, classes=[3, 1, 2, 0], client=client)
    assert_same_minimum(found, fit(fastlin.LogisticRegression, {}, X, y))
    with pytest.raises(ValueError, match=r"Partition 3 of y has the label 3, which is not one of classes"):
        LogisticRegression().fit(dX, dy, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"No row of y has the class 7, which is one of classes"):
        LogisticRegression().fit(dX, dy, classes=[0, 1, 2, 3, 7])


def test_partitions_of_several_types_have_their_common_type(client):
    X, y, _ = make_rows()
    parts = [
        dask.array.from_array(part, chunks=part.shape) for part in (X[:200].astype("f4"), X[200:].astype("f4") * 1.0)
    ]
    mixed = dask.array.concatenate([parts[0], parts[1].map_blocks(lambda part: part.astype("f8"), dtype="f4")])
    [dy] = cut(y, rows=200)
    assert LogisticRegression().fit(mixed, dy).coef_.dtype == np.float64
    assert LogisticRegression().fit(dask.array.concatenate(parts), dy).coef_.dtype == np.float32


@pytest.mark.thorough
def test_bad_data_are_named_with_their_partition_and_change_nothing(client):
    X, y, weights = make_rows()
    model = LogisticRegression().fit(*cut(X, y))
    before = dict(vars(model))

    def refuse(message, *data, error=ValueError, **options):
        with pytest.raises(error, match=message):
            model.fit(*data, **options)
        assert vars(model).keys() == before.keys()
        assert all(vars(model)[name] is value for name, value in before.items() if name != "class_weight")

    # What a partition alone shows is tested with the parts.
    broken = X.copy()
    broken[300, 2] = np.nan
    refuse("Partition 3 of X contains NaN", *cut(broken, y))
    refuse("one class", *cut(X, np.ones_like(y)))
    refuse("Every row has weight zero", *cut(X, y, 0 * weights))
    model.set_params(class_weight=dict.fromkeys(np.unique(y).tolist(), 1e200))
    refuse("sample_weight times class_weight overflows", *cut(X, y, np.full(len(y), 1e200)))
    model.set_params(class_weight=None)
    refuse("Partition 0 of y has labels of int64, but|Partition 1 of y has labels of", cut(X)[0], mix(y))
    refuse("y has 310 entries, but X has 400 rows", *cut(X), *cut(y[:310]))
    refuse("X must be a Dask array or a Dask dataframe, got ndarray", X, *cut(y), error=TypeError)
    refuse("y must be a Dask array or a Dask series, cut as X is, got ndarray", *cut(X), y, error=TypeError)
    refuse("client must be a dask.distributed.Client", *cut(X, y), client="local", error=TypeError)
    # The workers hold nothing of a fit that is over.
    model.fit(*cut(X, y))
    assert_nothing_is_held(client)


def mix(y):
    halves = dask.array.from_array(y, chunks=90)
    return halves.map_blocks(
        lambda part, block_info=None: part.astype(str) if block_info[0]["chunk-location"] == (1,) else part,
        dtype=y.dtype,
    )


def test_a_model_serves_without_dask(client):
    X, y, _ = make_rows()
    model = LogisticRegression(C=0.5).fit(*cut(X, y))
    local = model.to_local()
    assert type(local) is fastlin.LogisticRegression
    assert local.get_params() == model.get_params()
    for made in (local, pickle.loads(pickle.dumps(model)), model):
        np.testing.assert_array_equal(made.predict_proba(X), model.predict_proba(*cut(X)).compute())
    assert clone(model).C == 0.5
    # A warm start needs one pass to see that it is at the minimum.
    again = LogisticRegression(C=0.5, warm_start=True)
    again.coef_, again.intercept_ = model.coef_, model.intercept_
    assert again.fit(*cut(X, y)).n_iter_[0] <= 1
    start = {"coef_init": model.coef_, "intercept_init": model.intercept_}
    assert LogisticRegression(C=0.5).fit(*cut(X, y), **start).n_iter_[0] <= 1
    with pytest.raises(NotFittedError):
        LogisticRegression().predict_proba(*cut(X))


@since(1, 9)
def test_callbacks_are_told_of_each_iteration_and_stop_the_fit(client):
    told = []

    class Recorder:
        def setup(self, estimator, context):
            told.append("setup")

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            told.append(None if fitted_estimator is None else fitted_estimator.coef_)

        def teardown(self, estimator, context):
            told.append("teardown")

    data = cut(*make_rows())
    model = LogisticRegression().set_callbacks(Recorder()).fit(*data)
    coefs = [each for each in told[1:-1] if each is not None]
    assert told[0] == "setup"
    assert told[-1] == "teardown"
    assert len(coefs) >= model.n_iter_[0] > 1
    np.testing.assert_array_equal(coefs[-1], model.coef_)
    stopped = LogisticRegression().set_callbacks(TimeLimit(0)).fit(*data)
    assert (stopped.n_iter_[0], stopped.converged_) == (1, False)
    assert stopped.history_[0].objective == model.history_[0].objective
