"""What scikit-learn and its users expect: checks, bases, warnings, and estimators among those of scikit-learn."""

import warnings

import numpy as np
import pytest
from conftest import load_scaled, run_program, since
from linear_models import make_cv
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import StackingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.model_selection import HalvingGridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastlin
from fastlin.kernels.machine.threads import count_threads, limit_threads
from fastlin.matrices import DenseMatrix

# Why the checks of weights fail.
EXPECTED = {
    fastlin.MiniBatchLogisticRegression: "a row twice fills more of a batch than one of weight two",
    fastlin.MLPClassifier: "float32 rounds by more than the check's relative tolerance of 1e-7",
    fastlin.FirthLogisticRegression: "its rows are fewer than its columns, for which there is no such likelihood",
}
WEIGHT_CHECKS = [
    estimator_checks.check_sample_weight_equivalence_on_dense_data,
    estimator_checks.check_sample_weight_equivalence_on_sparse_data,
]
quiet = pytest.mark.filterwarnings(
    "ignore:SCIPY_ARRAY_API",
    "ignore::FutureWarning",
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::sklearn.exceptions.SkipTestWarning",
    "ignore:The least populated class",
)


MODELS = {
    "LogisticRegression": lambda: fastlin.LogisticRegression(C=0.5),
    "LogisticRegressionCV": lambda: make_cv(Cs=[0.1, 1.0], cv=2, scoring="accuracy"),
    "MiniBatchLogisticRegression": lambda: fastlin.MiniBatchLogisticRegression(
        batch_size=10, learning_rate_init=0.05, max_iter=30, random_state=0
    ),
    "MLPClassifier": lambda: fastlin.MLPClassifier((8,), solver="lbfgs", max_iter=30, random_state=0),
}


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


def expect_failures(estimator):
    reason = EXPECTED.get(type(estimator))
    return {check.__name__: reason for check in WEIGHT_CHECKS} if reason else {}


@parametrize_with_checks([fastlin.LogisticRegression()])
@quiet
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [
        make_cv(Cs=(1.0,)),
        fastlin.MiniBatchLogisticRegression(random_state=0),
        fastlin.MLPClassifier(max_iter=50),
        fastlin.FirthLogisticRegression(),
    ],
    expected_failed_checks=expect_failures,
)
@quiet
def test_estimator_checks_of_the_others(estimator, check):
    check(estimator)


@quiet
@pytest.mark.parametrize("check", WEIGHT_CHECKS)
def test_networks_in_float64_pass_the_checks_that_float32_rounds_too_much_for(check):
    check("MLPClassifier", fastlin.MLPClassifier(max_iter=50, dtype="float64"))


@since(1, 9)
def test_scikit_learns_parameters_are_ours():
    theirs = ScikitLearnLogisticRegression(C=0.3, class_weight="balanced")
    ours = fastlin.LogisticRegression(**theirs.get_params())
    ours_alone: dict = dict.fromkeys(("penalty_factors", "lower_bounds", "upper_bounds", "categorical_features"))
    ours_alone |= {"group_by_class": False, "missing_level": False, "alpha": "1/n_samples"}
    assert ours.get_params() == {**theirs.get_params(), **ours_alone}
    assert fastlin.LogisticRegression().solver == "auto"
    assert fastlin.LogisticRegression().max_iter == 1000


@quiet
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_param_validation,
        estimator_checks.check_dataframe_column_names_consistency,
        estimator_checks.check_n_features_in_after_fitting,
        estimator_checks.check_readonly_memmap_input,
    ],
)
def test_checks_of_every_class_of_scikit_learn(name, check):
    # Four rows of a class are too few for five folds.
    check(name, getattr(fastlin, name)(**({"cv": 3} if name == "LogisticRegressionCV" else {})))


@pytest.mark.slow
def test_nothing_needs_scikit_learns_own_logistic_regression():
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


def test_n_jobs_counts_in_predictions(monkeypatch):
    X, y = load_scaled(load_iris)
    model, unlimited = fastlin.LogisticRegression(n_jobs=5).fit(X, y), fastlin.LogisticRegression().fit(X, y)
    seen = []
    for name in ("compute_scores", "find_best_class"):
        answer = getattr(DenseMatrix, name)
        monkeypatch.setattr(DenseMatrix, name, lambda *given, to=answer: (seen.append(count_threads()), to(*given))[1])
    for predict in (model.decision_function, model.predict, model.predict_proba, model.predict_log_proba):
        predict(X)
    model.score(X, y)
    assert seen == [5] * 5
    with limit_threads(3):
        unlimited.predict(X)
    assert seen[-1] == 3


@since(1, 9)
def test_warnings_name_the_line_that_calls_fit():
    X, y = load_scaled(load_iris)
    cross_validation = {"Cs": 2, "cv": 2, "scoring": "accuracy"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fastlin.LogisticRegression(penalty="l2", l1_ratio=None, max_iter=1, tol=1e-9).fit(X, y)
        fastlin.LogisticRegressionCV(penalty="l2", max_iter=1, tol=1e-9, **cross_validation).fit(X, y)
        fastlin.LogisticRegressionCV(scoring="warn", Cs=1, cv=2, l1_ratios=None).fit(X, y)
        fastlin.logistic_path(X, y, Cs=2, max_iter=1, tol=1e-9)
    # Each estimator's and the path's.
    assert len(caught) == 3 + 4 + 3 + 1
    assert {warning.filename for warning in caught} == {__file__}


def test_a_model_set_by_hand_predicts():
    model = fastlin.LogisticRegression()
    model.classes_, model.coef_, model.intercept_ = np.array([0, 1]), np.array([[1.0, -1.0]]), 0.0
    np.testing.assert_array_equal(model.predict(np.array([[2.0, 1.0], [1.0, 2.0]])), [1, 0])


AROUND = {
    "calibration": lambda model: CalibratedClassifierCV(model, cv=2),
    "stacking": lambda model: StackingClassifier([("a", model), ("b", fastlin.LogisticRegression())], cv=2),
    "search": lambda model: HalvingGridSearchCV(model, {"verbose": [0]}, cv=2),
    "pipeline with frames": lambda model: make_pipeline(StandardScaler().set_output(transform="pandas"), model),
}


@pytest.fixture
def iris():
    X, y = load_iris(return_X_y=True, as_frame=True)
    return X / X.max(), y.map({0: "setosa", 1: "versicolor", 2: "virginica"})


@quiet
@pytest.mark.parametrize("around", AROUND)
def test_estimators_around_others(name, around, iris):
    X, y = iris
    model = AROUND[around](MODELS[name]()).fit(X, y)
    assert model.score(X, y) > 0.8
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-5)
