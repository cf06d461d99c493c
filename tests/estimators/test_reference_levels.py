"""The reference levels of categorical columns in an inference, against statsmodels on dummy columns."""

import numpy as np
import pandas as pd
import pytest

from fastlin import LogisticRegression
from fastlin.exceptions import SeparationError


def test_levels_are_compared_with_the_first_of_each_column():
    sm = pytest.importorskip("statsmodels.api")
    generator, n = np.random.default_rng(0), 600
    frame = pd.DataFrame(
        {
            "size": generator.normal(size=n),
            "colour": pd.Categorical(generator.choice(["a", "b", "c"], n)),
            "shape": pd.Categorical(generator.choice(["round", "square"], n)),
        }
    )
    dummies = pd.get_dummies(frame).astype(float)
    for n_classes in (2, 3):
        scores = dummies.to_numpy() @ generator.normal(size=(dummies.shape[1], n_classes)) * 0.5
        y = (scores + generator.gumbel(size=scores.shape)).argmax(axis=1)
        for fit_intercept in (True, False):
            model = LogisticRegression(
                C=np.inf, tol=1e-12, categorical_features="from_dtype", fit_intercept=fit_intercept, max_iter=1000
            ).fit(frame, y)
            found = model.inference(frame, y)
            columns = ["size", "colour_a", "colour_b", "colour_c", "shape_square"]
            if fit_intercept:
                columns = [*(name for name in columns if name != "colour_a"), "intercept"]
            assert found.names.tolist() == columns
            rows = dummies.assign(intercept=1.0)[columns].to_numpy()
            expected = (sm.Logit if n_classes == 2 else sm.MNLogit)(y, rows).fit(disp=0, method="newton", tol=1e-13)
            errors = np.atleast_2d(expected.bse.T)
            np.testing.assert_allclose(found.coef, np.atleast_2d(expected.params.T), rtol=0, atol=1e-7 * errors.min())
            np.testing.assert_allclose(found.std_errors, errors, rtol=1e-7)
            assert found.model_distance < 1e-3
            assert "reference levels" in str(found.summary())
    penalised = LogisticRegression(categorical_features="from_dtype", tol=1e-10).fit(frame, y)
    assert len(penalised.inference(frame, y, penalised="laplace").names) == 7
    # Factors of zero penalise nothing at any C.
    plain = penalised.set_params(penalty_factors=np.zeros(6)).fit(frame, y)
    assert len(plain.inference(frame, y).names) < 7
    # A level with rows of one class alone, a value that the fit has not seen, and no level at all.
    y[frame["colour"] == "b"] = 2
    model = LogisticRegression(C=np.inf, categorical_features="from_dtype").fit(frame, y)
    with pytest.raises(SeparationError, match="colour_b <= 0 in all rows of the classes 0 and 1, and colour_b >= 0"):
        model.inference(frame, y)
    frame["colour"] = frame["colour"].astype(object)
    frame.loc[3, "colour"] = "z"
    with pytest.raises(ValueError, match="column 1 of X holds values that the fit has not seen"):
        model.inference(frame, y)
