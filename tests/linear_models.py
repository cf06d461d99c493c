"""Functions that fit and compare linear models, for tests of estimators."""

import warnings

import numpy as np

import fastlin
from fastlin.exceptions import ConvergenceWarning

# Parameters that avoid LogisticRegressionCV's warnings.
QUIET_CV_PARAMETERS = {"l1_ratios": (0,), "scoring": "neg_log_loss", "use_legacy_attributes": False}


def fit(X, y, sample_weight=None, *, offset=None, **parameters):
    """Return a fitted LogisticRegression. Ignore the warning if rounding errors keep the bound above a small tol."""
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        return fastlin.LogisticRegression(**{"tol": 1e-11, **parameters}).fit(X, y, sample_weight, offset=offset)


def make_cv_model(**parameters):
    """Return a LogisticRegressionCV that scores by log loss and does not warn about defaults."""
    return fastlin.LogisticRegressionCV(**{**QUIET_CV_PARAMETERS, **parameters})


def assert_same_model(actual, expected, atol=1e-5):
    np.testing.assert_allclose(actual.coef_, expected.coef_, rtol=0, atol=atol)
    np.testing.assert_allclose(actual.intercept_, expected.intercept_, rtol=0, atol=atol)
