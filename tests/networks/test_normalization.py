"""Batch normalisation: by the batch, its running statistics, and columns that hardly vary."""

import naive_network
import numpy as np
import pytest

from fastlin.networks.network import EPSILON, RUNNING_PART, Normalization


def normalize(normalization, values):
    normalized = np.full_like(values, np.nan)
    normalization.normalize(values, normalized)
    return normalized


def test_running_statistics_take_a_part_of_each_batch_with_the_unbiased_variance():
    normalization, mean, variance = Normalization(3), np.zeros(3), np.ones(3)
    generator = np.random.default_rng(0)
    for n in (5, 2, 30):
        batch = generator.normal(size=(n, 3)) + 4
        normalize(normalization, batch)
        mean += RUNNING_PART * (batch.mean(axis=0) - mean)
        variance += RUNNING_PART * (batch.var(axis=0, ddof=1) - variance)
        np.testing.assert_allclose(normalization.mean, mean, rtol=1e-13)
        np.testing.assert_allclose(normalization.variance, variance, rtol=1e-12)
        np.testing.assert_allclose(normalization.inverse_deviations(), 1 / np.sqrt(variance + EPSILON), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("values", "variance"), [(np.full((8, 2), 1e6), 1 - RUNNING_PART), ([[3.0, -1e20]], 1)], ids=["constant", "one row"]
)
def test_what_does_not_vary_becomes_zero_and_one_row_says_nothing_of_the_variance(values, variance, dtype):
    normalization, values = Normalization(2), np.array(values, dtype)
    np.testing.assert_array_equal(normalize(normalization, values), 0)
    np.testing.assert_allclose(normalization.variance, variance, rtol=1e-12)
    np.testing.assert_allclose(normalization.mean, RUNNING_PART * values[0].astype(float), rtol=1e-12)


def test_a_small_spread_far_from_zero_keeps_its_digits():
    far = np.random.default_rng(0).normal(size=(50, 1)) + 1e8
    expected = naive_network.normalize(far - 1e8)
    np.testing.assert_allclose(normalize(Normalization(1), far), expected, rtol=1e-6, atol=1e-6)
