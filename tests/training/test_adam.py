"""Steps of Adam against the algorithm as the paper states it."""

import numpy as np

from fastlin.matrices import as_matrix
from fastlin.networks import Examples, Network
from fastlin.training import AdamDescent


def make():
    generator = np.random.default_rng(0)
    network = Network((5, 4, 3), "tanh", dtype=np.float64)
    network.parameters[:] = 0.5 * generator.normal(size=len(network.parameters))
    return network, Examples(as_matrix(generator.normal(size=(12, 5))), generator.integers(0, 3, 12))


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
