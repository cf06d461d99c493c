"""Intercepts of samples drawn by class, corrected to the population."""

import numpy as np
import pytest

from fastlin import LogisticRegression
from fastlin.inference import correct_prior


def test_it_is_the_closed_form_and_refuses_what_are_no_shares():
    t, m = 0.02, 0.4
    expected = 0.7 - np.log((1 - t) / t * m / (1 - m))
    assert correct_prior(0.7, t, m) == pytest.approx(expected, rel=1e-14)
    corrected = correct_prior(np.array([0.7], np.float32), [1 - t, t], m)
    assert corrected.shape == (1,)
    assert corrected.dtype == np.float32
    # Classes without features: the probabilities become those of the population.
    sample, population = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.1, 0.8])
    intercept = np.log(sample) - np.log(sample).mean()
    corrected = correct_prior(intercept, population, sample)
    np.testing.assert_allclose(np.exp(corrected) / np.exp(corrected).sum(), population, rtol=1e-12)
    assert abs(corrected.sum()) < 1e-12
    for given, found in (
        ((0.1, "half", 0.5), "population_share must hold numbers"),
        ((0.1, 1.5, 0.5), "population_share must be between 0 and 1"),
        ((0.1, 0.5, [0.3, 0.3, 0.4]), "sample_share must hold the share of each of 2 classes"),
        ((np.zeros(3), [0.5, 0.4, 0.3], np.full(3, 1 / 3)), "population_share must sum to one"),
        ((np.zeros(2), 0.5, 0.5), "intercept must be a finite number"),
        ((np.array([np.inf, 0, 0]), [0.5, 0.3, 0.2], np.full(3, 1 / 3)), "intercept must be a finite number"),
    ):
        with pytest.raises(ValueError, match=found):
            correct_prior(*given)


def test_a_model_of_oversampled_rows_becomes_that_of_the_population():
    random = np.random.default_rng(0)
    X = random.normal(size=(200_000, 2))
    y = (X @ [1.0, -0.5] - 4 + random.logistic(size=len(X)) > 0).astype(int)
    drawn = np.concatenate([np.flatnonzero(y), random.choice(np.flatnonzero(y == 0), y.sum(), replace=False)])
    sampled = LogisticRegression(C=np.inf).fit(X[drawn], y[drawn])
    corrected = correct_prior(sampled, y.mean(), 0.5)
    whole = LogisticRegression(C=np.inf).fit(X, y)
    assert corrected is not sampled
    assert sampled.intercept_[0] > whole.intercept_[0] + 3
    # Some 5,000 rows of the rare class: a standard error is about 0.03.
    assert abs(corrected.intercept_[0] - whole.intercept_[0]) < 0.12
    assert abs(corrected.predict_proba(X)[:, 1].mean() - y.mean()) < 0.1 * y.mean()
