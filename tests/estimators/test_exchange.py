"""Models of scikit-learn's classes from fastlin's and the other way round, and ONNX from them."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import sklearn.linear_model
import sklearn.neural_network
from conftest import assert_refused, load_scaled
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_networks import make, make_data

import fastlin

LINEAR = ["LogisticRegression", "LogisticRegressionCV"]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_linear_models_go_there_and_back(name, n_classes):
    X, y = load_scaled(load_iris)
    X, names = X[y < n_classes], np.array(["a", "b", "c"])[y[y < n_classes]]
    make_ours, make_theirs = getattr(fastlin, name), getattr(sklearn.linear_model, name)
    ours = make_ours(class_weight="balanced", max_iter=77).fit(X, names)
    theirs = ours.to_sklearn()
    assert type(theirs) is make_theirs
    np.testing.assert_array_equal(theirs.predict(X), ours.predict(X))
    np.testing.assert_allclose(theirs.predict_proba(X), ours.predict_proba(X), rtol=1e-12)
    assert (theirs.solver, theirs.max_iter, theirs.class_weight) == ("lbfgs", 77, "balanced")
    # It is a model that scikit-learn can fit again, and pickle.
    pickle.loads(pickle.dumps(theirs)).fit(X, names)
    # Nothing is shared.
    theirs.coef_[:] = 0
    assert ours.coef_.any()
    fitted = make_theirs(solver="newton-cholesky").fit(X, names)
    again = make_ours.from_sklearn(fitted)
    assert type(again) is make_ours and again.solver == "newton-cholesky"
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    np.testing.assert_allclose(again.predict_proba(X), fitted.predict_proba(X), rtol=1e-12)
    np.testing.assert_array_equal(again.fit(X, names).classes_, fitted.classes_)


@pytest.mark.parametrize("parameters", [{"alpha": 0.05}, {"alphas": [0.5, 0.05]}], ids=str)
def test_a_penalty_by_alpha_goes_there_as_c(parameters):
    X, y = load_scaled(load_iris)
    make = fastlin.LogisticRegressionCV if "alphas" in parameters else fastlin.LogisticRegression
    ours = make(solver="newton-cd", tol=1e-10, **parameters).fit(X, y)
    theirs = ours.to_sklearn().set_params(tol=1e-8, max_iter=1000)
    np.testing.assert_allclose(theirs.fit(X, y).coef_, ours.coef_, atol=1e-4)


@pytest.mark.parametrize(
    ("parameters", "targets"),
    [
        ({}, lambda y: y),
        ({}, lambda y: np.array(["a", "b", "c"])[y]),
        ({"solver": "adam"}, lambda y: y > 0),
        ({"batch_norm": "both", "dropout": 0.2}, lambda y: y),
        ({"max_iter": 40}, lambda y: np.column_stack([y == 0, y > 0]).astype(int)),
        ({}, lambda y: 0.8 * np.eye(3)[y] + 0.2 / 3),
        ({}, lambda y: np.column_stack([0.9 - 0.4 * (y > 0), 0.1 + 0.4 * (y > 0)])),
        ({}, lambda y: np.zeros(len(y))),
    ],
)
def test_networks_go_there(parameters, targets):
    X, y = make_data(3)
    ours = make((6, 4), dtype="float64", **parameters).fit(X, targets(y))
    theirs = ours.to_sklearn()
    assert type(theirs) is sklearn.neural_network.MLPClassifier
    np.testing.assert_array_equal(theirs.predict(X), ours.predict(X))
    # Where there is one class, scikit-learn has two columns.
    if len(ours.classes_) > 1:
        np.testing.assert_allclose(theirs.predict_proba(X), ours.predict_proba(X), rtol=1e-9)
    theirs.coefs_[0][:] = 0
    assert ours.coefs_[0].any()


@pytest.mark.parametrize("kind", ["two", "three", "several labels"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_networks_come_from_there_and_go_on(kind, dtype):
    X, y = make_data(2 if kind == "two" else 3)
    X, y = X.astype(dtype), np.column_stack([y == 0, y > 1]).astype(int) if kind == "several labels" else y
    theirs = sklearn.neural_network.MLPClassifier((6,), max_iter=5, random_state=0).fit(X, y)
    ours = fastlin.MLPClassifier.from_sklearn(theirs)
    assert ours.dtype == np.dtype(dtype).name
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    rtol = 1e-5 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=rtol)
    n_epochs = len(ours.loss_curve_)
    assert len(ours.partial_fit(X, y).loss_curve_) == n_epochs + 1
    assert ours.loss_curve_[-1] < ours.loss_curve_[0]
    pickle.loads(pickle.dumps(ours)).set_params(warm_start=True).fit(X, y)


@pytest.mark.parametrize("name", [*LINEAR, "MLPClassifier"])
def test_what_is_not_fitted_or_of_another_class_is_refused(name):
    make_ours, module = getattr(fastlin, name), sklearn.neural_network if "MLP" in name else sklearn.linear_model
    assert_refused(None, make_ours().to_sklearn, error=NotFittedError)
    assert_refused(None, make_ours.from_sklearn, getattr(module, name)(), error=NotFittedError)
    with pytest.raises(TypeError, match=f"the model must be a fitted {name}, got Perceptron"):
        make_ours.from_sklearn(sklearn.linear_model.Perceptron())


COMPOSITES = {
    "pipeline": lambda make: make_pipeline(StandardScaler(), make()),
    "calibrated": lambda make: CalibratedClassifierCV(make(), cv=3),
}


@pytest.fixture
def registration():
    """Run the registration of the documents for the time of a test."""
    skl2onnx = pytest.importorskip("skl2onnx")
    page = (Path(__file__).parents[2] / "docs" / "logistic-regression.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```python\n(import skl2onnx\n.*?)```", page, re.DOTALL)
    exec(block, {"LogisticRegression": fastlin.LogisticRegression})
    yield
    del skl2onnx._supported_operators.sklearn_operator_name_map[fastlin.LogisticRegression]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", COMPOSITES)
def test_onnx_of_composites_predicts_the_same(name, n_classes, registration):
    skl2onnx, onnxruntime = pytest.importorskip("skl2onnx"), pytest.importorskip("onnxruntime")
    X, y = load_scaled(load_iris)
    X, y = X[y < n_classes].astype(np.float32), y[y < n_classes]
    # The converter is right for scikit-learn's models, and so for ours.
    for package in (sklearn.linear_model, fastlin):
        model = COMPOSITES[name](package.LogisticRegression).fit(X, y)
        written = skl2onnx.to_onnx(model, X[:1], options={id(model): {"zipmap": False}})
        session = onnxruntime.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
        labels, probabilities = session.run(None, {session.get_inputs()[0].name: X})
        np.testing.assert_array_equal(labels, model.predict(X))
        np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=1e-4, atol=1e-6)
