"""Defaults, deprecations and shapes follow the installed scikit-learn, whose version the tests pretend."""

import warnings

import numpy as np
import pytest
from conftest import load_scaled
from sklearn.datasets import load_iris

import fastlin
from fastlin.estimators import scikit_learn


def fit_and_catch(monkeypatch, version, estimator):
    """Return the fitted estimator, and the text of each FutureWarning, where a version is installed."""
    monkeypatch.setattr(scikit_learn, "VERSION", version)
    X, y = load_scaled(load_iris)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(X, y)
    return estimator, [str(warning.message) for warning in caught if warning.category is FutureWarning]


@pytest.mark.parametrize(
    ("version", "n_warnings", "is_legacy"),
    [((1, 6), 0, True), ((1, 8), 2, True), ((1, 9), 3, True), ((1, 10), 1, False), ((1, 11), 0, False)],
)
def test_defaults_of_cross_validation(version, n_warnings, is_legacy, monkeypatch):
    model, caught = fit_and_catch(monkeypatch, version, fastlin.LogisticRegressionCV(Cs=[0.1, 1.0], cv=2))
    assert len(caught) == n_warnings
    assert np.shape(model.C_) == ((3,) if is_legacy else ())
    assert model.scores_[0].shape == (2, 2) if is_legacy else model.scores_.shape == (2, 1, 2)
    scores = model.scores_[0] if is_legacy else model.scores_
    assert (np.min(scores) < 0) == (version >= (1, 11))


@pytest.mark.parametrize(("version", "n_warnings"), [((1, 6), 0), ((1, 7), 0), ((1, 8), 1), ((1, 10), 1)])
def test_a_penalty_is_deprecated_from_1_8_on(version, n_warnings, monkeypatch):
    model, caught = fit_and_catch(monkeypatch, version, fastlin.LogisticRegression(penalty="l1", l1_ratio=1.0, C=0.1))
    assert len(caught) == n_warnings
    assert (model.coef_ == 0).any()
    model = fastlin.LogisticRegressionCV(Cs=[0.1], cv=2, penalty="l1", scoring="accuracy", use_legacy_attributes=False)
    model, caught = fit_and_catch(monkeypatch, version, model)
    assert sum("penalty" in text for text in caught) == n_warnings


def test_before_1_8_a_penalty_needs_no_l1_ratio(monkeypatch):
    monkeypatch.setattr(scikit_learn, "VERSION", (1, 7))
    X, y = load_scaled(load_iris)
    for l1_ratio in (0.0, None):
        # Any warning is an error here.
        model = fastlin.LogisticRegression(penalty="l1", l1_ratio=l1_ratio, C=0.1).fit(X, y)
        assert (model.coef_ == 0).any()
    with pytest.raises(ValueError, match="l1_ratio must be a number from 0 to 1"):
        fastlin.LogisticRegression(penalty="elasticnet", l1_ratio=None).fit(X, y)
