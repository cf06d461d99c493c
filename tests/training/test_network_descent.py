"""Steps and epochs of gradient descent with momentum against the formula on the naive gradient."""

import naive_network
import numpy as np
import pytest

from fastlin.matrices import as_matrix
from fastlin.networks import Examples, Network
from fastlin.training import MomentumDescent

HIDDEN = (4,)


def make_network(dropout=0.0, dtype=np.float64):
    network = Network((5, *HIDDEN, 3), "tanh", dropout=dropout, dtype=dtype)
    network.parameters[:] = 0.5 * np.random.default_rng(0).normal(size=len(network.parameters))
    return network


def make_examples(n=22, weighted=False):
    generator = np.random.default_rng(1)
    weights = generator.uniform(0.1, 2, n) if weighted else None
    return Examples(as_matrix(generator.normal(size=(n, 5))), generator.integers(0, 3, n), weights)


def run_epoch(descent, *arguments):
    """Return mean loss and accuracy of an epoch."""
    sums = descent.run_epoch(*arguments)
    return sums.loss / sums.n_rows, sums.n_correct / sums.weight


class NaiveDescent:
    """The formula of MomentumDescent on lists of arrays."""

    def __init__(self, network, momentum, nesterov, dropout=0.0):
        self.coefs, self.intercepts = ([part.copy() for part in parts] for parts in (network.coefs, network.intercepts))
        self.velocities = [np.zeros_like(part) for part in (*self.coefs, *self.intercepts)]
        self.momentum, self.nesterov, self.dropout = momentum, nesterov, dropout

    def step(self, examples, rows, learning_rate, l2, seed=0):
        weights = None if examples.weights is None else examples.weights[rows]
        loss, coef_gradients, intercept_gradients, _ = naive_network.loss_and_gradient(
            examples.matrix.X[rows],
            examples.labels[rows],
            weights,
            self.coefs,
            self.intercepts,
            activation="tanh",
            dropout=self.dropout,
            seed=seed,
        )
        loss += l2 / 2 * sum(np.sum(coef**2) for coef in self.coefs)
        slopes = [g + l2 * w for g, w in zip(coef_gradients, self.coefs, strict=True)] + intercept_gradients
        for w, v, g in zip((*self.coefs, *self.intercepts), self.velocities, slopes, strict=True):
            v[:] = self.momentum * v - learning_rate * g
            w += self.momentum * v - learning_rate * g if self.nesterov else v
        return loss

    def parameters(self):
        return np.concatenate([part.ravel() for part in (*self.coefs, *self.intercepts)])


@pytest.mark.parametrize("weighted", [False, True])
def test_a_penalty_by_weight_is_divided_by_that_of_the_batch(weighted):
    examples, rows = make_examples(weighted=weighted), slice(2, 9)
    total = examples.weights[rows].sum() if weighted else 7
    networks = make_network(), make_network()
    losses = [
        MomentumDescent(networks[0]).step(examples, rows, 0.1, 0.5, l2_by_weight=True)[0],
        MomentumDescent(networks[1]).step(examples, rows, 0.1, 0.5 / total)[0],
    ]
    assert losses[0] == losses[1]
    np.testing.assert_array_equal(networks[0].parameters, networks[1].parameters)


@pytest.mark.parametrize("l2_by_weight", [False, True])
def test_a_batch_without_weight_changes_nothing(l2_by_weight):
    examples = make_examples(weighted=True)
    examples.weights[:7] = 0
    network = make_network()
    descent = MomentumDescent(network, 0.9)
    descent.step(examples, slice(7, 14), 0.1, 0.1)
    before = network.parameters.copy(), descent.velocity.copy()
    assert descent.step(examples, slice(0, 7), 0.1, 0.1, l2_by_weight=l2_by_weight) == (0, 0, 0)
    np.testing.assert_array_equal(network.parameters, before[0])
    np.testing.assert_array_equal(descent.velocity, before[1])


def test_each_step_draws_the_seed_of_its_dropout():
    network, examples = make_network(dropout=0.4), make_examples()
    expected = NaiveDescent(network, 0.5, False, dropout=0.4)
    descent = MomentumDescent(network, 0.5, random_state=np.random.RandomState(3))
    seeds = np.random.RandomState(3)
    for _ in range(4):
        seed = int(seeds.randint(2**32, dtype=np.uint32))
        loss, _, _ = descent.step(examples, slice(0, 22), 0.2, 0.01)
        assert loss == pytest.approx(expected.step(examples, slice(0, 22), 0.2, 0.01, seed), rel=1e-12)
    np.testing.assert_allclose(network.parameters, expected.parameters(), rtol=1e-10, atol=1e-12)


def test_a_descent_comes_back_to_where_it_was_saved():
    network = Network((5, 4, 3), normalization=("input", "hidden"), dtype=np.float64)
    network.parameters[:] = 0.5 * np.random.default_rng(0).normal(size=len(network.parameters))
    examples, descent = make_examples(), MomentumDescent(network, 0.9)
    descent.step(examples, slice(0, 22), 0.2, 0.1)
    saved, velocity = descent.save(), descent.velocity.copy()
    expected = descent.predictor().predict_probabilities(examples.matrix)
    descent.step(examples, slice(3, 9), 0.2, 0.1)
    assert not np.allclose(descent.predictor().predict_probabilities(examples.matrix), expected)
    descent.restore(saved)
    np.testing.assert_array_equal(descent.predictor().predict_probabilities(examples.matrix), expected)
    np.testing.assert_array_equal(descent.velocity, velocity)
    # What was saved is a copy, both ways.
    for array in (network.parameters, network.normalizations[0].mean, descent.velocity):
        array += 1
    descent.restore(saved)
    np.testing.assert_array_equal(descent.predictor().predict_probabilities(examples.matrix), expected)
    np.testing.assert_array_equal(descent.velocity, velocity)


@pytest.mark.parametrize(
    ("batch_size", "ordered", "some"), [(1, False, False), (8, True, False), (8, False, True), (22, True, True)]
)
def test_an_epoch_goes_through_all_batches(batch_size, ordered, some):
    examples = make_examples(weighted=True)
    rows = np.random.default_rng(2).permutation(22)[:15] if some else np.arange(22)
    network = make_network()
    expected = NaiveDescent(network, 0.9, True)
    order = np.random.default_rng(3).permutation(rows) if ordered else None
    meant = Examples(examples.matrix, examples.labels, examples.weights, rows if some else None)
    batch_size = min(batch_size, len(rows))
    loss, accuracy = run_epoch(MomentumDescent(network, 0.9, True), meant, order, batch_size, 0.1, 0.7)
    rows = order if ordered else rows
    expected_loss = 0.0
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        expected_loss += len(batch) * expected.step(examples, batch, 0.1, 0.7 / examples.weights[batch].sum())
    assert loss == pytest.approx(expected_loss / len(rows), rel=1e-10)
    assert 0 <= accuracy <= 1
    np.testing.assert_allclose(network.parameters, expected.parameters(), rtol=1e-8, atol=1e-11)


def test_the_accuracy_of_an_epoch_is_by_weight_and_before_each_step():
    examples = make_examples(weighted=True)
    network = make_network()
    scores = network.predict_probabilities(examples.matrix)
    right = scores.argmax(axis=1) == examples.labels
    # So small a step moves no score.
    _, accuracy = run_epoch(MomentumDescent(network), examples, None, 5, 1e-12, 0.0)
    assert accuracy == pytest.approx(examples.weights[right].sum() / examples.weights.sum(), rel=1e-12)


def test_an_epoch_ends_with_the_first_batch_whose_loss_is_not_finite(monkeypatch):
    network, examples = make_network(), make_examples()
    descent = MomentumDescent(network)
    losses = iter([1.0, 2.0, np.nan, 3.0])
    monkeypatch.setattr(descent, "step", lambda *arguments, **options: (next(losses), 1.0, 5.0))
    loss, _ = run_epoch(descent, examples, None, 5, 0.1, 0.0)
    assert np.isnan(loss)
    assert next(losses) == 3.0


@pytest.mark.parametrize(("dtype", "learning_rate"), [(np.float64, 1e300), (np.float32, 1e30)])
def test_a_diverging_epoch_says_so_without_warnings(dtype, learning_rate):
    network = Network((5, 4, 3), "relu", dtype=dtype)
    network.parameters[:] = np.random.default_rng(0).normal(size=len(network.parameters))
    loss, _ = run_epoch(MomentumDescent(network, 0.9), make_examples(), None, 2, learning_rate, 0.1)
    assert not (np.isfinite(loss) and np.isfinite(network.parameters).all())
