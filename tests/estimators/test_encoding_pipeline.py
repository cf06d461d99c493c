"""Pipelines of scikit-learn that `to_sklearn` returns for models with categorical columns."""

import datetime
import pickle

import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises, mark_params, requires_scikit_learn
from linear_models import make_cv_model
from sklearn.base import clone

import fastlin

N = 300
generator = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "day": generator.integers(0, 7, N),
        "age": generator.normal(size=N),
        "city": np.array(["Bonn", "Lima", "Oslo"], object)[generator.integers(0, 3, N)],
        "is_new": generator.integers(0, 2, N).astype(bool),
    }
)
SCORES = 2.0 * (TABLE["city"] == "Oslo") + TABLE["age"] + 0.3 * TABLE["day"] + generator.logistic(size=N)
Y = {2: (SCORES > 2).to_numpy(), 3: np.array(["a", "b", "c"])[np.digitize(SCORES, [1, 3])]}
WITH_MISSING = TABLE.assign(day=TABLE["day"].where(TABLE.index % 5 > 0), city=TABLE["city"].where(TABLE.index % 7 > 0))
UNSEEN = TABLE.assign(day=9, city="Reykjavik")
CATEGORICAL = {"categorical_features": ["day", "city", "is_new"], "missing_as_category": True}


def assert_same_predictions(pipeline, model, X):
    # Both sums of at most 20 products have rounding errors of at most 20 eps times their terms, which are below 10.
    np.testing.assert_allclose(pipeline.predict_proba(X), model.predict_proba(X), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(pipeline.predict(X), model.predict(X))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("table", [TABLE, WITH_MISSING], ids=["all known", "missing"])
def test_pipelines_predict_the_probabilities_of_the_model(table, n_classes):
    model = fastlin.LogisticRegression(**CATEGORICAL).fit(table, Y[n_classes])
    pipeline = pickle.loads(pickle.dumps(model.to_sklearn()))
    numbers_in_reverse = pd.CategoricalDtype(range(6, -1, -1))
    none = TABLE.assign(city=pd.Series([None, *TABLE["city"][1:]], dtype=object))
    tables = TABLE, WITH_MISSING, UNSEEN, none, table.astype({"day": numbers_in_reverse, "city": "category"})
    for X in tables:
        assert_same_predictions(pipeline, model, X)
    assert_same_predictions(pipeline, model.sparsify(), table)
    np.testing.assert_array_equal(pipeline.predict(table[table.columns[::-1]]), model.predict(table))
    assert_raises("columns are missing: {'age'}", pipeline.predict, table.drop(columns="age"))


def test_pipelines_accept_the_containers_of_the_fit():
    rows, y = TABLE.to_numpy(object), Y[3]
    for X, columns in ((TABLE, ["day", "city"]), (rows, [0, 2]), (rows[:, 2:3], [0])):
        model = fastlin.LogisticRegression(categorical_features=columns).fit(X, y)
        assert_same_predictions(model.to_sklearn(), model, X)
    descending = TABLE.astype(
        {"day": pd.CategoricalDtype(range(6, -1, -1)), "city": pd.CategoricalDtype(["Oslo", "x", "Lima", "Bonn"])}
    )
    model = fastlin.LogisticRegression(**CATEGORICAL).fit(descending, y)
    assert_same_predictions(model.to_sklearn(), model, descending)


# Before, ColumnTransformer passes on no names of polars columns.
@requires_scikit_learn(1, 9)
def test_pipelines_accept_polars():
    X = pytest.importorskip("polars").from_pandas(WITH_MISSING)
    model = fastlin.LogisticRegression(**CATEGORICAL).fit(X, Y[3])
    assert_same_predictions(model.to_sklearn(), model, X)


# Before, scikit-learn warns about l1_ratios.
@requires_scikit_learn(1, 8)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("is_legacy", [False, *mark_params(pytest.mark.thorough, True)])
def test_scikit_learn_refits_the_pipeline_to_the_same_coefficients(fit_intercept, is_legacy):
    options = {"Cs": [0.1, 1.0], "cv": 2, "fit_intercept": fit_intercept, "use_legacy_attributes": is_legacy}
    model = make_cv_model(**options, **CATEGORICAL, tol=1e-12).fit(TABLE, Y[3])
    pipeline = model.to_sklearn()
    refitted = clone(pipeline).set_params(logisticregressioncv__tol=1e-8, logisticregressioncv__max_iter=1000)
    refitted.fit(TABLE, Y[3])
    assert [names.tolist() for names in refitted[0].named_transformers_["categories"].categories_] == [
        names.tolist() for names in pipeline[0].named_transformers_["categories"].categories_
    ]
    np.testing.assert_allclose(pipeline[-1].coef_, refitted[-1].coef_, atol=1e-4)
    paths, expected_paths = (
        estimator.coefs_paths_ if is_legacy else {"all": estimator.coefs_paths_}
        for estimator in (pipeline[-1], refitted[-1])
    )
    for label, path in paths.items():
        np.testing.assert_allclose(path, expected_paths[label], atol=1e-4)


def test_categories_other_than_strings_and_numbers_raise_an_error():
    days = [datetime.date(2020, 1, 1 + day) for day in TABLE["day"]]
    table = TABLE.assign(day=pd.Series(days, dtype=object))
    model = fastlin.LogisticRegression(**CATEGORICAL).fit(table, Y[2])
    assert_raises("Column 'day' has categories that are values of type date.*astype", model.to_sklearn)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_onnx_models_of_pipelines_predict_the_same(n_classes):
    skl2onnx, onnxruntime = pytest.importorskip("skl2onnx"), pytest.importorskip("onnxruntime")
    model = fastlin.LogisticRegression(categorical_features=["day", "city"]).fit(TABLE, Y[n_classes])
    # skl2onnx supports no float64 columns together with categorical columns.
    tables = [table.astype({"age": np.float32}) for table in (TABLE, UNSEEN)]
    written = skl2onnx.to_onnx(model.to_sklearn(), tables[0][:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
    for X in tables:
        inputs = {name: X[[name]].to_numpy(object if name == "city" else None) for name in X}
        labels, probabilities = session.run(None, inputs)
        np.testing.assert_array_equal(labels, model.predict(X))
        np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=1e-4, atol=1e-6)
