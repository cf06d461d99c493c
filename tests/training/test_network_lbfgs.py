"""Training of networks by L-BFGS."""

import numpy as np

from fastlin.matrices import as_matrix
from fastlin.networks import Examples, Network, initialize_parameters
from fastlin.training import train_by_lbfgs


def test_a_float32_network_is_trained_in_float64():
    generator = np.random.default_rng(0)
    X, labels = generator.normal(size=(60, 4)).astype(np.float32), generator.integers(0, 3, 60).astype(np.int32)
    network = Network((4, 8, 3))
    initialize_parameters(network, "xavier", np.random.RandomState(0))
    wide = network.make_prediction_network(np.float64)
    trainings = [
        train_by_lbfgs(
            trained, Examples(as_matrix(X), labels, None), None, alpha=0.1, max_iter=30, max_fun=100, tol=1e-6
        )
        for trained in (network, wide)
    ]
    assert trainings[0].records == trainings[1].records
    assert trainings[0].stop_reason == trainings[1].stop_reason == "limit"
    np.testing.assert_array_equal(trainings[0].last.saved, trainings[1].last.saved)
    assert trainings[0].records[-1].loss < 0.8 * trainings[0].records[0].loss
    np.testing.assert_array_equal(network.parameters, wide.parameters.astype(np.float32))
