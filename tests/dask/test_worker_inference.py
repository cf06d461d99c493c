"""Inference over Dask's collections: that of the same rows in memory."""

import copy

import numpy as np
import pytest

import fastlin
from fastlin.dask import LogisticRegression, LogisticRegressionCV
from fastlin.exceptions import CollinearityError, SeparationError

from .conftest import assert_nothing_is_held, cut

# A cluster takes seconds to start.
pytestmark = pytest.mark.thorough


def find_errors_of_few(model, rows):
    """Return the errors of x1 by conjugate gradients."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastlin.inference.estimation.MOST_PARAMETERS", 3)
        return model.inference(*rows, features=["x1"]).std_errors


@pytest.mark.parametrize("n_classes", [2, 3])
def test_errors_are_those_of_the_rows_together(client, n_classes):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(600, 3)) + 2
    y = (X @ generator.normal(size=(3, n_classes)) * 0.3 + generator.gumbel(size=(600, n_classes))).argmax(axis=1)
    weights = (np.arange(600) % 3).astype(float)
    parameters = {"C": np.inf, "tol": 1e-12}
    local = fastlin.LogisticRegression(**parameters).fit(X, y, weights)
    rows = cut(X, y, weights)
    model = LogisticRegression(**parameters).fit(*rows)
    before = copy.copy(vars(model))
    for options in ({}, {"covariance": "HC1"}, {"covariance": "HC0", "weights_are": "importance", "use_t": True}):
        found, expected = model.inference(*rows, **options), local.inference(X, y, weights, **options)
        np.testing.assert_allclose(found.coef, expected.coef, atol=1e-8)
        np.testing.assert_allclose(found.covariance_matrix(), expected.covariance_matrix(), rtol=1e-8)
        assert found.aic == pytest.approx(expected.aic, nan_ok=True)
        assert found.n_samples == expected.n_samples
        assert found.summary()[:40] == expected.summary()[:40]
    assert vars(model) == before
    assert_nothing_is_held(client)
    np.testing.assert_allclose(model.inference(X, y, weights).std_errors, local.inference(X, y, weights).std_errors)
    with pytest.raises(ValueError, match="X has to lie in memory"):
        model.inference(*rows, covariance="cluster", clusters=y)
    with pytest.raises(ValueError, match="numbers that are not whole"):
        model.inference(*rows[:2], *cut(0.5 * weights))
    with pytest.raises(RuntimeError, match="rows"):
        found.marginal_effects()
    named = find_errors_of_few(model, rows)
    np.testing.assert_allclose(named, local.inference(X, y, weights).std_errors[:, 1:2], rtol=1e-8)
    # Diagnoses are made of sums over the workers too.
    separated = np.column_stack([X, (y == 1) & (np.arange(600) % 4 == 0)]).astype(float)
    for columns, error in ((separated, SeparationError), (np.column_stack([X, X[:, 0] - X[:, 1]]), CollinearityError)):
        with pytest.raises(error, match="x3"):
            LogisticRegression(C=np.inf).fit(*cut(columns, y)).inference(*cut(columns, y))
    cv = LogisticRegressionCV(l1_ratios=(0,), scoring="accuracy", tol=1e-9, use_legacy_attributes=False).fit(*rows)
    found = cv.inference(*rows, penalised="sandwich")
    np.testing.assert_allclose(
        found.std_errors, cv.inference(X, y, weights, penalised="sandwich").std_errors, rtol=1e-6
    )
