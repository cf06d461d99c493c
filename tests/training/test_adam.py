"""Steps of Adam against the algorithm as the paper states it."""

import numpy as np
import pytest

from fastlin.matrices import as_matrix
from fastlin.networks import Examples, Network
from fastlin.training import AdamDescent


def make():
    generator = np.random.default_rng(0)
    network = Network((5, 4, 3), "tanh", dtype=np.float64)
    network.parameters[:] = 0.5 * generator.normal(size=len(network.parameters))
    return network, Examples(as_matrix(generator.normal(size=(12, 5))), generator.integers(0, 3, 12))


def test_steps_are_the_papers():
    network, examples = make()
    reference, _ = make()
    beta_1, beta_2, epsilon, l2 = 0.8, 0.95, 1e-3, 0.1
    descent = AdamDescent(network, beta_1, beta_2, epsilon)
    m, v = np.zeros_like(network.parameters), np.zeros_like(network.parameters)
    is_coefficient = np.arange(len(m)) < network.n_coefficients
    for t, rows in enumerate((slice(0, 7), slice(3, 12), slice(0, 12)), 1):
        loss, *_ = reference.compute_gradient(examples, rows)
        w = reference.parameters
        g = reference.gradient + l2 * np.where(is_coefficient, w, 0)
        found, *_ = descent.step(examples, rows, 0.05, l2)
        assert found == pytest.approx(loss + l2 / 2 * np.sum(w[is_coefficient] ** 2), rel=1e-12)
        # Algorithm 1 with the learning rate of section 2: the corrections of both moments are part of it.
        m, v = beta_1 * m + (1 - beta_1) * g, beta_2 * v + (1 - beta_2) * g**2
        rate = 0.05 * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        w -= rate * m / (np.sqrt(v) + epsilon)
        np.testing.assert_allclose(network.parameters, w, rtol=1e-11, atol=1e-13)
    assert descent.n_steps == 3


def test_what_is_saved_is_taken_up_and_can_be_forgotten():
    network, examples = make()
    descent = AdamDescent(network)
    descent.step(examples, slice(0, 6), 0.1, 0.0)
    saved, parameters = descent.save(), network.parameters.copy()
    descent.step(examples, slice(6, 12), 0.1, 0.0)
    expected = network.parameters.copy()
    network.parameters[:] = parameters
    descent.restore(saved)
    descent.step(examples, slice(6, 12), 0.1, 0.0)
    np.testing.assert_array_equal(network.parameters, expected)
    descent.reset()
    assert not descent.means.any()
    assert not descent.squares.any()
    assert descent.n_steps == 0
