"""fastlin's estimators among scikit-learn's: searches, ensembles, inspection, frames, notebooks and other processes."""

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier, StackingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

import fastlin

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
MODELS = {
    "LogisticRegression": lambda: fastlin.LogisticRegression(C=0.5),
    "LogisticRegressionCV": lambda: fastlin.LogisticRegressionCV(
        Cs=[0.1, 1.0], cv=2, l1_ratios=(0,), scoring="accuracy", use_legacy_attributes=False
    ),
    "MiniBatchLogisticRegression": lambda: fastlin.MiniBatchLogisticRegression(
        batch_size=10, learning_rate_init=0.05, max_iter=30, random_state=0
    ),
    "MLPClassifier": lambda: fastlin.MLPClassifier((8,), solver="lbfgs", max_iter=30, random_state=0),
}
GRIDS = {
    "LogisticRegression": {"C": [0.1, 1.0]},
    "LogisticRegressionCV": {"fit_intercept": [True, False]},
    "MiniBatchLogisticRegression": {"alpha": [1e-3, 1e-1]},
    "MLPClassifier": {"alpha": [1e-3, 1e-1]},
}


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


@pytest.fixture
def iris():
    X, y = load_iris(return_X_y=True, as_frame=True)
    return X / X.max(), y.map({0: "setosa", 1: "versicolor", 2: "virginica"})


@pytest.mark.parametrize("search", [GridSearchCV, HalvingGridSearchCV])
def test_searches(name, search, iris):
    X, y = iris
    found = search(MODELS[name](), GRIDS[name], cv=2).fit(X, y)
    assert found.best_score_ > 0.8
    assert (found.best_estimator_.feature_names_in_ == X.columns).all()


@pytest.mark.parametrize(
    "around",
    [
        lambda model: CalibratedClassifierCV(model, cv=2),
        lambda model: StackingClassifier([("a", model), ("b", fastlin.LogisticRegression())], cv=2),
        lambda model: BaggingClassifier(model, n_estimators=2, random_state=0),
        OneVsRestClassifier,
        lambda model: make_pipeline(StandardScaler().set_output(transform="pandas"), model),
    ],
    ids=["calibration", "stacking", "bagging", "one against the rest", "pipeline with frames"],
)
def test_estimators_around_others(name, around, iris):
    X, y = iris
    model = around(MODELS[name]()).fit(X, y)
    assert model.score(X, y) > 0.8
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_notebooks_show_a_page(name, iris):
    html = MODELS[name]()._repr_html_()
    assert name in html
    assert "sk-estimator" in html
    assert "fitted" in MODELS[name]().fit(*iris)._repr_html_()


def test_polars_in_and_out(name, iris):
    polars = pytest.importorskip("polars", reason="polars is not installed.")
    X, y = iris
    frame = polars.DataFrame({column: X[column].to_numpy() for column in X})
    model = MODELS[name]().fit(frame, polars.Series(y.to_list()))
    expected = MODELS[name]().fit(X, y)
    assert (model.feature_names_in_ == X.columns).all()
    np.testing.assert_array_equal(model.predict_proba(frame), expected.predict_proba(X))
    pipeline = make_pipeline(MinMaxScaler().set_output(transform="polars"), MODELS[name]()).fit(frame, y)
    assert pipeline[:-1].transform(frame).columns == list(X.columns)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename({X.columns[0]: "other"}))


def test_encoders_of_scikit_learn_take_the_text_of_frames(name):
    generator = np.random.default_rng(0)
    colours = pd.Categorical(generator.choice(["red", "blue"], 90))
    frame = pd.DataFrame({"colour": colours, "size": generator.random(90)})
    y = np.where(frame["colour"] == "red", "yes", "no")
    columns = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    assert make_pipeline(columns, MODELS[name]()).fit(frame, y).score(frame, y) > 0.9
