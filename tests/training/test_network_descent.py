"""Steps and epochs of gradient descent on networks. The tests of the kernels cover the formulas of the steps."""

import numpy as np
import pytest

from fastlin.matrices import as_matrix
from fastlin.networks import Examples, Network
from fastlin.training import AdamDescent, MomentumDescent


def make_network(dropout=0.0, normalization=()):
    network = Network((5, 4, 3), "tanh", dropout=dropout, normalization=normalization, dtype=np.float64)
    network.parameters[:] = 0.5 * np.random.default_rng(0).normal(size=len(network.parameters))
    return network


def make_examples(rows=None):
    generator = np.random.default_rng(1)
    X, weights, labels = generator.normal(size=(22, 5)), generator.uniform(0.1, 2, 22), generator.integers(0, 3, 22)
    return Examples(as_matrix(X), labels, weights, rows)


def test_a_batch_of_weight_zero_changes_nothing():
    examples, network = make_examples(), make_network(normalization=("hidden",))
    examples.weights[:7] = 0
    descent = MomentumDescent(network, 0.9)
    descent.step(examples, slice(7, 14), 0.1, 0.1)
    before = descent.save()
    for divides_l2_by_batch_weight in (False, True):
        network.gradient[:] = 1
        assert descent.step(examples, slice(0, 7), 0.1, 0.1, divides_l2_by_batch_weight=divides_l2_by_batch_weight) == (
            0,
            0,
            0,
        )
        np.testing.assert_array_equal(network.gradient, 0)
        np.testing.assert_equal(descent.save(), before)


def test_each_step_draws_a_new_dropout_seed():
    examples, network, copied_network = make_examples(), make_network(dropout=0.4), make_network(dropout=0.4)
    descent, seeds = MomentumDescent(network, random_state=np.random.RandomState(3)), np.random.RandomState(3)
    for _ in range(4):
        copied_network.parameters[:] = network.parameters
        expected = copied_network.compute_gradient(examples, slice(0, 22), int(seeds.randint(2**32, dtype=np.uint32)))
        assert descent.step(examples, slice(0, 22), 0.2, 0.0) == expected
        np.testing.assert_array_equal(network.gradient, copied_network.gradient)


@pytest.mark.parametrize("rule", [MomentumDescent, AdamDescent])
def test_a_restored_descent_repeats_the_same_steps(rule):
    network, examples = make_network(normalization=("input", "hidden")), make_examples()
    descent = rule(network, 0.9)
    descent.step(examples, slice(0, 22), 0.2, 0.1)
    saved = descent.save()
    expected = descent.make_predictor().predict_probabilities(examples.matrix)
    descent.step(examples, slice(3, 9), 0.2, 0.1)
    after = descent.save()
    assert not np.allclose(descent.make_predictor().predict_probabilities(examples.matrix), expected)
    # `save` and `restore` both copy.
    for _ in range(2):
        descent.restore(saved)
        np.testing.assert_equal(descent.save(), saved)
        np.testing.assert_array_equal(descent.make_predictor().predict_probabilities(examples.matrix), expected)
        descent.step(examples, slice(3, 9), 0.2, 0.1)
        np.testing.assert_equal(descent.save(), after)
    descent.reset()
    assert not any(array.any() for array in descent.optimizer_arrays)


# Normalized batches have about the same size and more than one row.
@pytest.mark.parametrize(
    ("normalization", "batch_size", "ordered", "uses_row_subset", "sizes"),
    [
        ((), 1, False, False, 22 * [1]),
        ((), 8, True, False, [8, 8, 6]),
        ((), 8, False, True, [8, 7]),
        ((), 22, True, True, [15]),
        (("hidden",), 11, False, False, [11, 11]),
        (("hidden",), 10, True, False, [7, 7, 8]),
        (("input",), 2, True, True, [2, 2, 2, 2, 2, 2, 3]),
    ],
)
def test_an_epoch_uses_all_batches(normalization, batch_size, ordered, uses_row_subset, sizes):
    rows = np.random.default_rng(2).permutation(22)[:15] if uses_row_subset else np.arange(22)
    order = np.random.default_rng(3).permutation(rows) if ordered else None
    # An order may omit rows.
    examples = make_examples(rows if uses_row_subset and not ordered else None)
    descent, expected = (MomentumDescent(make_network(normalization=normalization), 0.9, True) for _ in range(2))
    actual = descent.run_epoch(examples, order, batch_size, 0.1, 0.7)
    sums = np.zeros(4)
    for batch in np.split(order if ordered else rows, np.cumsum(sizes)[:-1]):
        loss, *weights = expected.step(examples, batch, 0.1, 0.7, divides_l2_by_batch_weight=True)
        sums += (loss * len(batch), len(batch), *weights)
    np.testing.assert_allclose(actual, sums, rtol=1e-14)
    np.testing.assert_equal(descent.save(), expected.save())


def test_an_epoch_ends_with_the_first_batch_whose_loss_is_not_finite(monkeypatch):
    descent = MomentumDescent(make_network())
    losses = iter([1.0, 2.0, np.nan, 3.0])
    monkeypatch.setattr(descent, "step", lambda *arguments, **options: (next(losses), 1.0, 5.0))
    assert np.isnan(descent.run_epoch(make_examples(), None, 5, 0.1, 0.0).loss)
    assert next(losses) == 3.0
