"""Parameters out of range, deprecated and contradictory."""

import warnings
import weakref

import numpy as np
import pytest
from conftest import load_scaled
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin
from fastlin.estimators import scikit_learn


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("penalty", "l3"),
        ("C", 0),
        ("C", np.nan),
        ("C", "1"),
        ("l1_ratio", -0.1),
        ("l1_ratio", 1.1),
        ("l1_ratio", np.nan),
        ("dual", 2),
        ("tol", -1e-3),
        ("fit_intercept", "yes"),
        ("intercept_scaling", 0),
        ("class_weight", "even"),
        ("random_state", "a"),
        ("solver", "sgd"),
        ("max_iter", -1),
        ("max_iter", 1.5),
        ("verbose", -1),
        ("warm_start", "yes"),
        ("n_jobs", 1.5),
        ("penalty_factors", 1.0),
        ("group_by_class", "yes"),
    ],
)
def test_parameters_out_of_range_are_named(parameter, value):
    X, y = load_scaled(load_iris)
    with pytest.raises(ValueError, match=f"'{parameter}' parameter"):
        fastlin.LogisticRegression(**{parameter: value}).fit(X, y)


@pytest.mark.parametrize("estimator", [fastlin.LogisticRegression, fastlin.LogisticRegressionCV])
def test_no_jobs_are_refused(estimator):
    X, y = load_scaled(load_iris)
    quiet = {"scoring": "accuracy", "use_legacy_attributes": False, "l1_ratios": (0,)}
    options = {} if estimator is fastlin.LogisticRegression else quiet
    with pytest.raises(ValueError, match=r"^n_jobs must be None or a whole number other than 0, got 0"):
        estimator(n_jobs=0, **options).fit(X, y)


def test_class_weights_must_be_at_least_zero():
    X, y = load_scaled(load_iris)
    with pytest.raises(ValueError, match="class_weight"):
        fastlin.LogisticRegression(class_weight={0: -1.0}).fit(X, y)


@pytest.mark.parametrize(("penalty", "C"), [("l2", 1.0), (None, np.inf)])
def test_deprecated_penalties_mean_what_they_meant(penalty, C, monkeypatch):
    monkeypatch.setattr(scikit_learn, "VERSION", (1, 9))
    X, y = load_scaled(load_iris)
    y = np.random.default_rng(0).permutation(y)
    with pytest.warns(FutureWarning, match="penalty"):
        model = fastlin.LogisticRegression(penalty=penalty).fit(X, y)
    np.testing.assert_array_equal(model.coef_, fastlin.LogisticRegression(C=C).fit(X, y).coef_)
    with pytest.warns(FutureWarning, match="l1_ratio"):
        fastlin.LogisticRegression(l1_ratio=None).fit(X, y)


def test_contradictory_parameters_warn_like_scikit_learn():
    X, y = load_scaled(load_iris)
    for parameters in ({"penalty": None, "C": 2.0}, {"penalty": "l2", "l1_ratio": 0.5}):
        with warnings.catch_warnings(record=True) as theirs:
            warnings.simplefilter("always")
            ScikitLearnLogisticRegression(**parameters).fit(X, y)
        with warnings.catch_warnings(record=True) as ours:
            warnings.simplefilter("always")
            fastlin.LogisticRegression(**parameters).fit(X, y)
        categories = [{warning.category for warning in caught} for caught in (ours, theirs)]
        kinds = [{kind for kind in each if not issubclass(kind, ConvergenceWarning)} for each in categories]
        assert kinds[0] == kinds[1]
    with pytest.raises(ValueError, match="dual"):
        fastlin.LogisticRegression(dual=True).fit(X, y)


def test_balanced_weights_need_a_row_in_every_class():
    X, y = load_scaled(load_iris)
    with pytest.raises(ValueError, match="class 2"):
        fastlin.LogisticRegression(class_weight="balanced").fit(X, y, (y != 2).astype(float))


def test_values_equal_to_accepted_ones_are_refused_where_their_type_is_wrong():
    X, y = load_scaled(load_iris)
    fastlin.LogisticRegression(max_iter=1000, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="'max_iter' parameter") as refused:
        fastlin.LogisticRegression(max_iter=1000.0, warm_start=True).fit(X, y)
    assert refused.value.__context__ is None
    with pytest.raises(ValueError, match="'warm_start' parameter"):
        fastlin.LogisticRegression(max_iter=1000, warm_start=1.0).fit(X, y)


def test_parameters_are_not_kept_alive():
    X, y = load_scaled(load_iris)

    class Drawn(np.random.RandomState):
        pass

    random_state = Drawn(0)
    kept = weakref.ref(random_state)
    fastlin.LogisticRegression(random_state=random_state).fit(X, y)
    del random_state
    assert kept() is None
