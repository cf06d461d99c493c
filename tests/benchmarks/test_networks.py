"""The races of networks: everyone starts alike, and a large step is what it says."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import fastlin
from benchmarks import networks
from benchmarks.networks import SEED, LargeProducts, LargeStep, draw_data, draw_start


def test_networks_start_as_scikit_learns():
    X, y = draw_data(200, 6)
    # Steps so small that float32 rounds them away.
    model = MLPClassifier(networks.N_HIDDEN, solver="sgd", learning_rate_init=1e-12, max_iter=1, random_state=SEED)
    with pytest.warns(ConvergenceWarning):
        model.fit(X, y)
    coefs, intercepts = draw_start(np.random.RandomState(SEED), 6)
    for part, theirs in zip(coefs + intercepts, model.coefs_ + model.intercepts_, strict=True):
        assert part.dtype == theirs.dtype
        np.testing.assert_allclose(part, theirs, rtol=1e-6, atol=1e-9)


def test_torch_trains_the_same_network():
    pytest.importorskip("torch", reason="PyTorch is of the extra peers-torch.")
    epoch = networks.load_epoch(1_000, 20)
    ours, theirs = networks.train_by_estimator(epoch, fastlin.MLPClassifier), networks.train_torch(epoch)
    for part, expected in zip((*ours[0], *ours[1]), (*theirs[0], *theirs[1]), strict=True):
        np.testing.assert_allclose(part, expected, rtol=0, atol=1e-5)


def test_large_steps_take_the_rows_in_turn_and_their_products_are_those_of_a_step():
    X, y = draw_data(60, 5)
    step, products = LargeStep(X, y, 30), LargeProducts(X, 30)
    assert sorted(np.concatenate(step.batches)) == list(range(60))
    before = step.network.parameters.copy()
    rows, network = step.batches[0], step.network
    expected = networks.Epoch(X[rows], y[rows], X, y, networks.N_CLASSES).objective(network.coefs, network.intercepts)
    expected += networks.LARGE_L2 / 2 * sum(float(np.sum(coef.astype(np.float64) ** 2)) for coef in network.coefs)
    assert LargeStep(X, y, 30)() == pytest.approx(expected, rel=0, abs=1e-4)
    # Losses of the halves differ, and steps are taken.
    assert step() != step()
    assert (step.network.parameters != before).mean() > 0.5
    products()
    rows = X[:30]
    for found, expected in (
        (products.hidden, rows @ products.coefs[0]),
        (products.scores, products.hidden @ products.coefs[1]),
        (products.gradients[1], products.hidden.T @ products.residuals),
        (products.slopes, products.residuals @ products.coefs[1].T),
        (products.gradients[0], rows.T @ products.slopes),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
