"""Where networks begin: the distributions, their order of draws, and what is not drawn."""

import numpy as np
import pytest

from fastlin.networks import Network, initialize


def make_network(init, seed=0, activation="relu", dtype=np.float64):
    network = Network((50, 300, 200, 3), activation, normalization=("hidden",), dtype=dtype)
    network.parameters[:-500] = 7.0
    initialize(network, init, np.random.RandomState(seed), 0.3)
    return network


@pytest.mark.parametrize("init", ["xavier", "he", "normal"])
def test_the_seed_decides_and_nothing_is_left_of_what_was_there(init):
    network = make_network(init)
    np.testing.assert_array_equal(make_network(init).parameters, network.parameters)
    for found, other in zip(network.coefs, make_network(init, seed=1).coefs, strict=True):
        assert not np.any(found == other)
    assert np.abs(network.parameters[: network.n_coefficients]).max() < 7
    for scale in network.scales:
        np.testing.assert_array_equal(scale, 1)
    np.testing.assert_array_equal(make_network(init, dtype=np.float32).coefs[0], network.coefs[0].astype(np.float32))


@pytest.mark.parametrize(("init", "deviation"), [("he", None), ("normal", 0.3)])
def test_normal_draws_have_their_mean_spread_and_tails(init, deviation):
    network = make_network(init)
    for coef, intercept in zip(network.coefs, network.intercepts, strict=True):
        expected = deviation or np.sqrt(2 / len(coef))
        spread = expected / np.sqrt(coef.size)
        assert abs(coef.mean()) < 4 * spread
        assert abs(coef.std() - expected) < 4 * spread
        # A normal distribution has 4.6 % beyond two deviations, a uniform one none.
        assert 0.02 < np.mean(np.abs(coef) > 2 * expected) < 0.08
        np.testing.assert_array_equal(intercept, 0)


@pytest.mark.parametrize(("activation", "factor"), [("relu", 6), ("tanh", 6), ("identity", 6), ("logistic", 2)])
def test_xavier_draws_uniformly_coefficients_and_intercepts_layer_by_layer(activation, factor):
    network, draws = make_network("xavier", activation=activation), np.random.RandomState(0)
    for coef, intercept in zip(network.coefs, network.intercepts, strict=True):
        bound = np.sqrt(factor / sum(coef.shape))
        np.testing.assert_allclose(coef, bound * (2 * draws.uniform(size=coef.shape) - 1), atol=1e-14)
        np.testing.assert_allclose(intercept, bound * (2 * draws.uniform(size=len(intercept)) - 1), atol=1e-14)
