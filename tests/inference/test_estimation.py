"""Estimates, errors and likelihoods against statsmodels."""

import numpy as np
import pytest

from fastlin import LogisticRegression


def test_spector_is_that_of_statsmodels():
    sm = pytest.importorskip("statsmodels.api")
    data = sm.datasets.spector.load_pandas()
    X, y = data.exog.to_numpy(), data.endog.to_numpy()
    found = LogisticRegression(C=np.inf, tol=1e-12).fit(X, y).inference(X, y)
    expected = sm.Logit(y, sm.add_constant(X, prepend=False)).fit(disp=0, tol=1e-14)
    np.testing.assert_allclose(found.coef[0], expected.params, rtol=0, atol=1e-6 * expected.bse.min())
    np.testing.assert_allclose(found.std_errors[0], expected.bse, rtol=1e-6)
