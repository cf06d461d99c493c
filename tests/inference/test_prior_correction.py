"""Prior correction: the intercept of a case-control sample becomes that of the population."""

import numpy as np
import pytest

from fastlin import LogisticRegression
from fastlin.inference import correct_prior

from .conftest import make_rows


def test_prior_correction_matches_its_closed_form():
    t, m = 0.02, 0.4
    assert correct_prior(0.7, t, m) == pytest.approx(0.7 - np.log((1 - t) / t * m / (1 - m)), rel=1e-14)
    corrected_intercept = correct_prior(np.array([0.7], np.float32), [1 - t, t], m)
    assert corrected_intercept.shape == (1,)
    assert corrected_intercept.dtype == np.float32
    # In a null model, the corrected probabilities equal the population fractions.
    sample_fractions, population_fractions = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.1, 0.8])
    corrected_intercept = correct_prior(
        np.log(sample_fractions) - np.log(sample_fractions).mean(), population_fractions, sample_fractions
    )
    np.testing.assert_allclose(
        np.exp(corrected_intercept) / np.exp(corrected_intercept).sum(), population_fractions, rtol=1e-12
    )
    assert abs(corrected_intercept.sum()) < 1e-12
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
    sample_model = LogisticRegression().fit(*make_rows(2))
    before, corrected_model = sample_model.intercept_.copy(), correct_prior(sample_model, 0.02, 0.5)
    assert corrected_model is not sample_model
    np.testing.assert_array_equal(corrected_model.intercept_, correct_prior(before, 0.02, 0.5))
    np.testing.assert_array_equal(sample_model.intercept_, before)
    np.testing.assert_array_equal(corrected_model.coef_, sample_model.coef_)
