"""Fits of linear models, and their comparison, for the tests of estimators."""

import warnings

import numpy as np

import fastlin
from fastlin.exceptions import ConvergenceWarning

# What LogisticRegressionCV warns of where it is left out.
QUIET = {"l1_ratios": (0,), "scoring": "neg_log_loss", "use_legacy_attributes": False}


def fit(X, y, sample_weight=None, *, offset=None, **parameters):
    """Return a fitted LogisticRegression, also where rounding keeps the bound above so small a tol."""
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        return fastlin.LogisticRegression(**{"tol": 1e-11, **parameters}).fit(X, y, sample_weight, offset=offset)


def make_cv(**parameters):
    """Return a LogisticRegressionCV that scores by the logarithmic loss, and warns of no default."""
    return fastlin.LogisticRegressionCV(**{**QUIET, **parameters})


def assert_same_model(actual, expected, atol=1e-5):
    np.testing.assert_allclose(actual.coef_, expected.coef_, rtol=0, atol=atol)
    np.testing.assert_allclose(actual.intercept_, expected.intercept_, rtol=0, atol=atol)
