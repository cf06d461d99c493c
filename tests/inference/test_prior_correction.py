"""Prior correction: the intercept of a case-control sample becomes that of the population."""

import numpy as np
import pytest

from fastlin import LogisticRegression
from fastlin.inference import correct_prior

from .conftest import make_rows


def test_prior_correction_matches_its_closed_form():
    t, m = 0.02, 0.4
    assert correct_prior(0.7, t, m) == pytest.approx(0.7 - np.log((1 - t) / t * m / (1 - m)), rel=1e-14)
    corrected = correct_prior(np.array([0.7], np.float32), [1 - t, t], m)
    assert corrected.shape == (1,)
    assert corrected.dtype == np.float32
    # In a null model, the corrected probabilities equal the population fractions.
    sample, population = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.1, 0.8])
    corrected = correct_prior(np.log(sample) - np.log(sample).mean(), population, sample)
    np.testing.assert_allclose(np.exp(corrected) / np.exp(corrected).sum(), population, rtol=1e-12)
    assert abs(corrected.sum()) < 1e-12
    for arguments, message in (
        ((0.1, "half", 0.5), "population_fraction must hold numbers"),
        ((0.1, 1.5, 0.5), "population_fraction must be between 0 and 1"),
        ((0.1, 0.5, [0.3, 0.3, 0.4]), "sample_fraction must hold one fraction per class [(]2[)]"),
        ((np.zeros(3), [0.5, 0.4, 0.3], np.full(3, 1 / 3)), "population_fraction must sum to one"),
        ((np.zeros(2), 0.5, 0.5), "intercept must be a finite number"),
        ((np.array([np.inf, 0, 0]), [0.5, 0.3, 0.2], np.full(3, 1 / 3)), "intercept must be a finite number"),
    ):
        with pytest.raises(ValueError, match=message):
            correct_prior(*arguments)


def test_prior_correction_returns_a_copy_with_another_intercept():
    sampled = LogisticRegression().fit(*make_rows(2))
    before, corrected = sampled.intercept_.copy(), correct_prior(sampled, 0.02, 0.5)
    assert corrected is not sampled
    np.testing.assert_array_equal(corrected.intercept_, correct_prior(before, 0.02, 0.5))
    np.testing.assert_array_equal(sampled.intercept_, before)
    np.testing.assert_array_equal(corrected.coef_, sampled.coef_)
