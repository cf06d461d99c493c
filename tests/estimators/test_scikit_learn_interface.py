"""What scikit-learn and its users expect of an estimator: checks, clones, bases, warnings and descriptions."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from conftest import load_scaled, since
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastlin
from fastlin.kernels.machine.threads import count_threads, limit_threads
from fastlin.matrices import DenseMatrix


@parametrize_with_checks([fastlin.LogisticRegression()])
@pytest.mark.filterwarnings("ignore:SCIPY_ARRAY_API", "ignore::FutureWarning")
def test_estimator_checks(estimator, check):
    check(estimator)


@since(1, 9)
def test_scikit_learns_parameters_are_ours():
    theirs = ScikitLearnLogisticRegression(C=0.3, class_weight="balanced")
    ours = fastlin.LogisticRegression(**theirs.get_params())
    ours_alone: dict = dict.fromkeys(("penalty_factors", "lower_bounds", "upper_bounds", "categorical_features"))
    ours_alone |= {"group_by_class": False, "missing_level": False}
    assert ours.get_params() == {**theirs.get_params(), **ours_alone}
    assert fastlin.LogisticRegression().solver == "auto"
    assert fastlin.LogisticRegression().max_iter == 1000


ESTIMATORS = [fastlin.LogisticRegression, fastlin.LogisticRegressionCV]
ALL_ESTIMATORS = [*ESTIMATORS, fastlin.MLPClassifier, fastlin.MiniBatchLogisticRegression]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("estimator", ALL_ESTIMATORS)
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_param_validation,
        estimator_checks.check_dataframe_column_names_consistency,
        estimator_checks.check_n_features_in_after_fitting,
        estimator_checks.check_readonly_memmap_input,
    ],
)
def test_checks_of_every_class_of_scikit_learn(estimator, check):
    # Four rows of a class are too few for five folds.
    parameters = {"cv": 3} if estimator is fastlin.LogisticRegressionCV else {}
    check(estimator.__name__, estimator(**parameters))


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_coefficients_can_be_made_sparse(estimator):
    estimator_checks.check_sparsify_coefficients(estimator.__name__, estimator())


@pytest.mark.parametrize("estimator", ALL_ESTIMATORS)
def test_no_estimator_of_scikit_learn_is_among_the_bases(estimator):
    of_scikit_learn = [base for base in estimator.__mro__ if base.__module__.split(".")[0] == "sklearn"]
    assert [base for base in of_scikit_learn if issubclass(base, BaseEstimator)] == [BaseEstimator]
    assert not any("fit" in vars(base) for base in of_scikit_learn)


# A process of its own imports everything, which takes most of three seconds.
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
X, y = load_iris(return_X_y=True)
for model in (
    fastlin.LogisticRegression(n_jobs=1),
    fastlin.LogisticRegressionCV(Cs=2, cv=2, l1_ratios=(0,), scoring="accuracy", use_legacy_attributes=False),
):
    print(clone(model).fit(X, y).score(X, y) > 0.9, model.get_params()["max_iter"])
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    print(fastlin.LogisticRegression(penalty="l1").fit(X, y).predict_proba(X).shape)
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert finished.stdout.splitlines() == ["True 1000", "True 1000", "(150, 3)"], finished.stderr


def test_n_jobs_counts_in_predictions(monkeypatch):
    X, y = load_scaled(load_iris)
    model, unlimited = fastlin.LogisticRegression(n_jobs=5).fit(X, y), fastlin.LogisticRegression().fit(X, y)
    seen = []

    def record(answer):
        def recorded(*arguments):
            seen.append(count_threads())
            return answer(*arguments)

        return recorded

    for name in ("compute_scores", "find_best_class"):
        monkeypatch.setattr(DenseMatrix, name, record(getattr(DenseMatrix, name)))
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
