"""Compatibility with scikit-learn: estimator checks, warnings, meta-estimators, conversion and ONNX."""

import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import sklearn.linear_model
import sklearn.neural_network
from conftest import assert_raises, load_standardized, requires_scikit_learn, run_program
from linear_models import make_cv_model
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import StackingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks
from small_networks import make, make_data

import fastlin
from fastlin.kernels.machine.threads import count_threads, limit_threads
from fastlin.matrices import DenseMatrix

LINEAR_MODELS = ["LogisticRegression", "LogisticRegressionCV"]
# Reasons why the checks of weights fail.
WEIGHT_CHECK_FAILURES = {
    fastlin.MiniBatchLogisticRegression: "two copies of a row fill more of a batch than a row of weight two",
    fastlin.MLPClassifier: "float32 rounds by more than the check's relative tolerance of 1e-7",
    fastlin.FirthLogisticRegression: "the check has fewer rows than columns, so the likelihood is undefined",
}
WEIGHT_CHECKS = [
    estimator_checks.check_sample_weight_equivalence_on_dense_data,
    estimator_checks.check_sample_weight_equivalence_on_sparse_data,
]
pytestmark = pytest.mark.filterwarnings(
    "ignore:SCIPY_ARRAY_API",
    "ignore::FutureWarning",
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::sklearn.exceptions.SkipTestWarning",
    "ignore:The least populated class",
)
X, Y = load_standardized(load_iris)
MODELS = {
    "LogisticRegression": lambda: fastlin.LogisticRegression(C=0.5),
    "LogisticRegressionCV": lambda: make_cv_model(Cs=[0.1, 1.0], cv=2, scoring="accuracy"),
    "MiniBatchLogisticRegression": lambda: fastlin.MiniBatchLogisticRegression(
        batch_size=10, learning_rate_init=0.05, max_iter=30, random_state=0
    ),
    "MLPClassifier": lambda: fastlin.MLPClassifier((8,), solver="lbfgs", max_iter=30, random_state=0),
}
META_ESTIMATORS = {
    "calibration": lambda model: CalibratedClassifierCV(model, cv=2),
    "stacking": lambda model: StackingClassifier([("a", model), ("b", fastlin.LogisticRegression())], cv=2),
    "search": lambda model: HalvingGridSearchCV(model, {"verbose": [0]}, cv=2),
    "pipeline with DataFrames": lambda model: make_pipeline(StandardScaler().set_output(transform="pandas"), model),
}
COMPOSITE_FACTORIES = {
    "pipeline": lambda make: make_pipeline(StandardScaler(), make()),
    "calibrated": lambda make: CalibratedClassifierCV(make(), cv=3),
}


def expect_failures(estimator):
    reason = WEIGHT_CHECK_FAILURES.get(type(estimator))
    return {check.__name__: reason for check in WEIGHT_CHECKS} if reason else {}


@parametrize_with_checks([fastlin.LogisticRegression()])
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [
        make_cv_model(Cs=(1.0,)),
        fastlin.MiniBatchLogisticRegression(random_state=0),
        fastlin.MLPClassifier(max_iter=50),
        fastlin.FirthLogisticRegression(),
    ],
    expected_failed_checks=expect_failures,
)
def test_estimator_checks_of_other_estimators(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", WEIGHT_CHECKS)
def test_networks_in_float64_pass_the_checks_that_fail_in_float32(check):
    check("MLPClassifier", fastlin.MLPClassifier(max_iter=50, dtype="float64"))


@requires_scikit_learn(1, 9)
def test_the_parameters_include_those_of_scikit_learn():
    theirs = sklearn.linear_model.LogisticRegression(C=0.3, class_weight="balanced")
    ours = fastlin.LogisticRegression(**theirs.get_params())
    extensions: dict = dict.fromkeys(("penalty_factors", "lower_bounds", "upper_bounds", "categorical_features"))
    extensions |= {"group_lasso": False, "missing_as_category": False, "alpha": "1/n_samples"}
    assert ours.get_params() == {**theirs.get_params(), **extensions}
    assert fastlin.LogisticRegression().solver == "auto"
    assert fastlin.LogisticRegression().max_iter == 1000


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_param_validation,
        estimator_checks.check_dataframe_column_names_consistency,
        estimator_checks.check_n_features_in_after_fitting,
        estimator_checks.check_readonly_memmap_input,
    ],
)
@pytest.mark.parametrize("name", MODELS)
def test_estimator_checks_cover_every_class_of_scikit_learn(name, check):
    # Four rows per class are too few for five folds.
    check(name, getattr(fastlin, name)(**({"cv": 3} if name == "LogisticRegressionCV" else {})))


@pytest.mark.slow
def test_fastlin_works_without_scikit_learns_logistic_regression():
    program = """
import sys, warnings
import sklearn.linear_model
del sklearn.linear_model.LogisticRegression, sklearn.linear_model.LogisticRegressionCV
sys.modules["sklearn.linear_model._logistic"] = None
import fastlin
from sklearn.base import clone
from sklearn.datasets import load_iris
warnings.simplefilter("ignore")
X, y = load_iris(return_X_y=True)
for model in fastlin.LogisticRegression(penalty="l1"), fastlin.LogisticRegressionCV(Cs=2, cv=2):
    print(clone(model).fit(X, y).score(X, y) > 0.9, model.get_params()["max_iter"])
"""
    assert run_program(program).splitlines() == ["True 1000", "True 1000"]


def test_n_jobs_applies_to_predictions(monkeypatch):
    model, unlimited_model = fastlin.LogisticRegression(n_jobs=5).fit(X, Y), fastlin.LogisticRegression().fit(X, Y)
    thread_counts = []
    for name in ("compute_scores", "find_best_class"):
        method = getattr(DenseMatrix, name)
        monkeypatch.setattr(
            DenseMatrix,
            name,
            lambda *arguments, original_method=method: (
                thread_counts.append(count_threads()),
                original_method(*arguments),
            )[1],
        )
    for predict in (model.decision_function, model.predict, model.predict_proba, model.predict_log_proba):
        predict(X)
    model.score(X, Y)
    assert thread_counts == [5] * 5
    with limit_threads(3):
        unlimited_model.predict(X)
    assert thread_counts[-1] == 3


@requires_scikit_learn(1, 9)
def test_warnings_name_the_line_that_calls_fit():
    cross_validation = {"Cs": 2, "cv": 2, "scoring": "accuracy"}
    with warnings.catch_warnings(record=True, action="always") as caught:
        fastlin.LogisticRegression(penalty="l2", l1_ratio=None, max_iter=1, tol=1e-9).fit(X, Y)
        fastlin.LogisticRegressionCV(penalty="l2", max_iter=1, tol=1e-9, **cross_validation).fit(X, Y)
        fastlin.LogisticRegressionCV(scoring="warn", Cs=1, cv=2, l1_ratios=None).fit(X, Y)
        fastlin.logistic_path(X, Y, Cs=2, max_iter=1, tol=1e-9)
    # The warnings of each estimator and of the path.
    assert len(caught) == 3 + 4 + 3 + 1
    assert {warning.filename for warning in caught} == {__file__}


def test_a_model_set_by_hand_predicts():
    model = fastlin.LogisticRegression()
    model.classes_, model.coef_, model.intercept_ = np.array([0, 1]), np.array([[1.0, -1.0]]), 0.0
    np.testing.assert_array_equal(model.predict(np.array([[2.0, 1.0], [1.0, 2.0]])), [1, 0])


@pytest.mark.parametrize("wrapper", META_ESTIMATORS)
@pytest.mark.parametrize("name", MODELS)
def test_meta_estimators_accept_fastlin_models(name, wrapper):
    X, y = load_iris(return_X_y=True, as_frame=True)
    X, y = X / X.max(), y.map({0: "setosa", 1: "versicolor", 2: "virginica"})
    model = META_ESTIMATORS[wrapper](MODELS[name]()).fit(X, y)
    assert model.score(X, y) > 0.8
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", LINEAR_MODELS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_linear_models_are_converted_to_scikit_learn_and_back(name, n_classes):
    rows, names = X[Y < n_classes], np.array(["a", "b", "c"])[Y[Y < n_classes]]
    fastlin_class, sklearn_class = getattr(fastlin, name), getattr(sklearn.linear_model, name)
    ours = fastlin_class(class_weight="balanced", max_iter=77).fit(rows, names)
    theirs = ours.to_sklearn()
    assert type(theirs) is sklearn_class
    np.testing.assert_array_equal(theirs.predict(rows), ours.predict(rows))
    np.testing.assert_allclose(theirs.predict_proba(rows), ours.predict_proba(rows), rtol=1e-12)
    assert (theirs.solver, theirs.max_iter, theirs.class_weight) == ("lbfgs", 77, "balanced")
    # scikit-learn can refit and pickle the model.
    pickle.loads(pickle.dumps(theirs)).fit(rows, names)
    # The models have no arrays in common.
    theirs.coef_[:] = 0
    assert ours.coef_.any()
    fitted = sklearn_class(solver="newton-cholesky").fit(rows, names)
    again = fastlin_class.from_sklearn(fitted)
    assert type(again) is fastlin_class and again.solver == "newton-cholesky"
    np.testing.assert_array_equal(again.predict(rows), fitted.predict(rows))
    np.testing.assert_allclose(again.predict_proba(rows), fitted.predict_proba(rows), rtol=1e-12)
    np.testing.assert_array_equal(again.fit(rows, names).classes_, fitted.classes_)


@pytest.mark.parametrize("parameters", [{"alpha": 0.05}, {"alphas": [0.5, 0.05]}], ids=str)
def test_alpha_is_converted_to_c(parameters):
    make = fastlin.LogisticRegressionCV if "alphas" in parameters else fastlin.LogisticRegression
    ours = make(solver="newton-cd", tol=1e-10, **parameters).fit(X, Y)
    theirs = ours.to_sklearn().set_params(tol=1e-8, max_iter=1000)
    np.testing.assert_allclose(theirs.fit(X, Y).coef_, ours.coef_, atol=1e-4)


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
def test_networks_are_converted_to_scikit_learn(parameters, targets):
    X, y = make_data(3)
    ours = make((6, 4), dtype="float64", **parameters).fit(X, targets(y))
    theirs = ours.to_sklearn()
    assert type(theirs) is sklearn.neural_network.MLPClassifier
    np.testing.assert_array_equal(theirs.predict(X), ours.predict(X))
    # With one class, scikit-learn returns two columns.
    if len(ours.classes_) > 1:
        np.testing.assert_allclose(theirs.predict_proba(X), ours.predict_proba(X), rtol=1e-9)
    theirs.coefs_[0][:] = 0
    assert ours.coefs_[0].any()


@pytest.mark.parametrize("kind", ["two", "three", "multilabel"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_networks_of_scikit_learn_are_converted_and_trained_further(kind, dtype):
    X, y = make_data(2 if kind == "two" else 3)
    X, y = X.astype(dtype), np.column_stack([y == 0, y > 1]).astype(int) if kind == "multilabel" else y
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


@pytest.mark.parametrize("name", [*LINEAR_MODELS, "MLPClassifier"])
def test_converting_unfitted_models_or_other_classes_raises_an_error(name):
    fastlin_class, module = getattr(fastlin, name), sklearn.neural_network if "MLP" in name else sklearn.linear_model
    assert_raises(None, fastlin_class().to_sklearn, error=NotFittedError)
    assert_raises(None, fastlin_class.from_sklearn, getattr(module, name)(), error=NotFittedError)
    with pytest.raises(TypeError, match=f"the model must be a fitted {name}, got Perceptron"):
        fastlin_class.from_sklearn(sklearn.linear_model.Perceptron())


@pytest.fixture
def registered_converters():
    """Register the converter of the documentation for one test."""
    skl2onnx = pytest.importorskip("skl2onnx")
    document = (Path(__file__).parents[2] / "docs/cookbook.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```python\n(import skl2onnx\n.*?)```", document, re.DOTALL)
    exec(block, {})
    yield
    del skl2onnx._supported_operators.sklearn_operator_name_map[fastlin.LogisticRegression]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", COMPOSITE_FACTORIES)
def test_onnx_models_of_composites_predict_the_same(name, n_classes, registered_converters):
    skl2onnx, onnxruntime = pytest.importorskip("skl2onnx"), pytest.importorskip("onnxruntime")
    rows, y = X[Y < n_classes].astype(np.float32), Y[Y < n_classes]
    # Check the converter with scikit-learn's models, then with ours.
    for package in (sklearn.linear_model, fastlin):
        model = COMPOSITE_FACTORIES[name](package.LogisticRegression).fit(rows, y)
        written = skl2onnx.to_onnx(model, rows[:1], options={id(model): {"zipmap": False}})
        inference_session = onnxruntime.InferenceSession(
            written.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        labels, probabilities = inference_session.run(None, {inference_session.get_inputs()[0].name: rows})
        np.testing.assert_array_equal(labels, model.predict(rows))
        np.testing.assert_allclose(probabilities, model.predict_proba(rows), rtol=1e-4, atol=1e-6)
