"""The initialization of networks: distributions, the order of random numbers, and constant parameters."""

import numpy as np
import pytest

from fastlin.networks import ACTIVATIONS, Network, initialize_parameters

INITIALIZATIONS = [*(("xavier", activation) for activation in ACTIVATIONS), ("he", "relu"), ("normal", "relu")]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("init", "activation"), INITIALIZATIONS)
def test_parameters_are_drawn_layer_by_layer(init, activation, dtype):
    network = Network((50, 30, 20, 3), activation, normalization=("hidden",), dtype=dtype)
    network.parameters[:-50] = 7.0
    initialize_parameters(network, init, np.random.RandomState(0), 0.3)
    draws = np.random.RandomState(0)
    for coef, intercept in zip(network.coefs, network.intercepts, strict=True):
        if init == "xavier":
            bound = np.sqrt((2 if activation == "logistic" else 6) / sum(coef.shape))
            expected = [bound * (2 * draws.uniform(size=part.shape) - 1) for part in (coef, intercept)]
        else:
            deviation = np.sqrt(2 / len(coef)) if init == "he" else 0.3
            expected = [deviation * draws.standard_normal(coef.shape), 0]
        for result, expected_parameters in zip((coef, intercept), expected, strict=True):
            np.testing.assert_allclose(result, expected_parameters, rtol=np.finfo(dtype).eps, atol=1e-14)
    for scale in network.scales:
        np.testing.assert_array_equal(scale, 1)
