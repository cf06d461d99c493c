"""Training of networks by epochs: its rules on losses that are written down, and real networks."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest

from fastlin.matrices import as_matrix
from fastlin.networks import Examples, Network
from fastlin.training import EpochSchedule, LearningRate, MomentumDescent, train_by_epochs

ROWS = 6


class Script:
    """A descent, and its network, whose losses and scores are written down; its parameter counts the epochs.

    "inf" stands for an infinite parameter.
    """

    def __init__(self, losses, scores=()):
        self.network, self.parameters, self.velocity = self, np.zeros(1), np.ones(1)
        self.calls, self.n_rows = [], 0
        self._losses, self._scores = iter(losses), iter(scores)

    def run_epoch(self, examples, order, batch_size, learning_rate, alpha):
        self.calls.append((None if order is None else order.copy(), batch_size, learning_rate, alpha))
        self.parameters += 0.5
        loss = next(self._losses)
        self.parameters += 0.5
        if loss == "inf":
            self.parameters[:] = np.inf
            return 1.0, 1, 0.5, 1
        return loss, 1, 0.25, 1

    def reset(self):
        self.velocity[:] = 0

    def save(self):
        return self.parameters.copy()

    def restore(self, saved):
        self.parameters[:] = saved

    def predictor(self):
        return self

    def measure(self, examples):
        # Without scores only a few rows at the end are measured.
        score = next(self._scores, 0.5)
        return 1 - score, score


def make_examples(rows=None):
    generator = np.random.default_rng(0)
    return Examples(as_matrix(generator.normal(size=(ROWS, 3))), generator.integers(0, 2, ROWS), None, rows)


def train(script, validation=False, on_epoch=None, examples=None, **settings):
    schedule = EpochSchedule(**{"max_epochs": 100, "batch_size": 2, "learning_rate": LearningRate(0.5), **settings})
    validation, random_state = make_examples() if validation else None, np.random.RandomState(0)
    return train_by_epochs(script, examples or make_examples(), validation, schedule, random_state, on_epoch)


def test_the_learning_rate_decays_and_the_rest_is_passed_on():
    script = Script([1.0] * 4)
    training = train(script, max_epochs=4, learning_rate=LearningRate(0.5, decay=0.9), alpha=0.3, shuffle=False)
    assert [rate for _, _, rate, _ in script.calls] == pytest.approx([0.5, 0.45, 0.405, 0.3645])
    assert all(order is None and (size, alpha) == (2, 0.3) for order, size, _, alpha in script.calls)
    assert (training.ended, training.n_kept, script.parameters[0]) == ("limit", 4, 4)
    assert [(epoch.loss, epoch.accuracy) for epoch in training.records] == [(1.0, 0.25)] * 4
    assert training.records[0].validation_loss is training.records[0].validation_accuracy is None
    assert script.velocity[0] == 1


@pytest.mark.parametrize("rows", [None, np.array([5, 1, 3, 2])])
def test_orders_are_drawn_anew_for_each_epoch_from_the_rows_meant(rows):
    orders = []
    for _ in range(2):
        script = Script([1.0] * 3)
        train(script, max_epochs=3, examples=make_examples(rows))
        orders.append([order for order, *_ in script.calls])
    for order, again in zip(*orders, strict=True):
        np.testing.assert_array_equal(order, again)
        np.testing.assert_array_equal(np.sort(order), np.sort(np.arange(ROWS) if rows is None else rows))
    assert len({tuple(order) for order in orders[0]}) > 1


@pytest.mark.parametrize("watched", ["the loss", "the loss, validated", "the validation"])
@pytest.mark.parametrize(
    ("patience", "tol", "n_epochs"),
    [(1, 0.0, 8), (1, 0.05, 5), (2, 0.05, 6), (3, 0.15, 7), (3, 0.0, 9), (np.inf, 1.0, 9)],
)
def test_the_end_and_what_is_kept(watched, patience, tol, n_epochs):
    # More is better.
    figures, others = [0.1, 0.3, 0.5, 0.5, 0.2, 0.51, 0.4, 0.3, 0.6], [0.3, 0.5, 0.5, 0.2, 0.51, 0.4, 0.3, 0.6, 0.1]
    validated, early_stopping = watched != "the loss", watched == "the validation"
    gains, scores = (others, figures) if early_stopping else (figures, others)
    script = Script([-gain for gain in gains], scores)
    rules = {"patience": patience, "tol": tol, "early_stopping": early_stopping}
    training = train(script, validated, max_epochs=9, **rules)
    assert (training.ended, len(training.records)) == ("patience" if n_epochs < 9 else "limit", n_epochs)
    # Of equal ones the first.
    assert training.n_kept == script.parameters[0] == (int(np.argmax(scores[:n_epochs])) + 1 if validated else n_epochs)
    if validated:
        assert [epoch.validation_accuracy for epoch in training.records] == scores[:n_epochs]
        assert [epoch.validation_loss for epoch in training.records] == [1 - score for score in scores[:n_epochs]]


# A loss describes the parameters that its epoch began with.
@pytest.mark.parametrize(
    ("losses", "scores", "n_records", "best"),
    [
        ([3.0, 1.0, 2.0, np.inf], None, 3, 1),
        ([3.0, 1.0, 2.0, np.nan], [0.1, 0.2, 0.9], 3, 3),
        ([-np.inf], None, 0, 0),
        (["inf"], [], 0, 0),
        # A validation that overflows.
        ([3.0, 2.0, 1.0], [0.2, 0.1, np.nan], 2, 1),
        ([3.0, 2.0, 1.0], [0.2, 0.1, np.inf], 2, 1),
    ],
)
def test_a_training_that_diverges_ends_there_with_its_best_epoch(losses, scores, n_records, best):
    script = Script([*losses, 0.0], scores or ())
    training = train(script, scores is not None)
    assert (training.ended, training.n_kept, len(training.records)) == ("diverged", best, n_records)
    assert script.parameters[0] == best
    assert len(script.calls) == len(losses)
    # A later training must not begin with a velocity that is not finite.
    assert script.velocity[0] == 0


def test_a_last_epoch_whose_network_overflows_has_diverged():
    script = Script([3.0, 2.0, 1.0], [np.nan])
    training = train(script, max_epochs=3)
    assert (training.ended, training.n_kept, len(training.records)) == ("diverged", 2, 2)
    assert script.parameters[0] == 2


def test_on_epoch_sees_each_whole_epoch():
    seen = []
    train(Script([3.0, 2.0, np.nan]), on_epoch=lambda training: seen.append(training.records[-1].loss))
    assert seen == [3.0, 2.0]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    ("rows", "batch_size", "n_rows"), [(None, 3, 6), (None, 4, 4), (np.array([5, 1, 3, 2, 0]), 2, 4)]
)
def test_whole_batches_leave_out_the_rest(shuffle, rows, batch_size, n_rows):
    script, meant = Script([1.0] * 20), np.arange(ROWS) if rows is None else rows
    batches = {"batch_size": batch_size, "shuffle": shuffle, "whole_batches": True}
    train(script, examples=make_examples(rows), max_epochs=20, **batches)
    # Without an order the examples are taken in theirs, all of them.
    orders = [meant if order is None else order for order, *_ in script.calls]
    assert all(len(order) == n_rows == len(set(order) & set(meant)) for order in orders)
    if shuffle:
        # Other rows are left out in another epoch.
        assert set(np.concatenate(orders)) == set(meant)
    else:
        assert all(np.array_equal(order, meant[:n_rows]) for order in orders)


def make_descent():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(40, 3))
    examples = Examples(as_matrix(X), (X[:, 0] > 0).astype(np.int64))
    network = Network((3, 5, 1), "tanh", normalization=("input", "hidden"), dropout=0.1, dtype=np.float64)
    network.parameters[:] += 0.3 * generator.normal(size=len(network.parameters))
    return MomentumDescent(network, 0.9, True, np.random.RandomState(1)), examples


# Five batches an epoch.
@pytest.mark.parametrize(("n_batches", "n_epochs"), [(3, 0), (13, 2)])
def test_ctrl_c_in_a_real_epoch_gives_the_network_of_the_epochs_before(monkeypatch, n_batches, n_epochs):
    schedule = EpochSchedule(max_epochs=10, batch_size=8, learning_rate=LearningRate(0.05))
    descent, examples = make_descent()
    compute_gradient, calls = descent.network.compute_gradient, []

    def interrupt(*arguments):
        calls.append(1)
        if len(calls) > n_batches:
            raise KeyboardInterrupt
        return compute_gradient(*arguments)

    monkeypatch.setattr(descent.network, "compute_gradient", interrupt)
    with contextlib.nullcontext() if n_epochs else pytest.raises(KeyboardInterrupt):
        training = train_by_epochs(descent, examples, None, schedule, np.random.RandomState(2))
        assert (training.ended, training.n_kept) == ("interrupted", n_epochs)
    expected, _ = make_descent()
    schedule = replace(schedule, max_epochs=n_epochs)
    train_by_epochs(expected, examples, None, schedule, np.random.RandomState(2))
    # The velocity among them: a training that goes on takes the steps of one that was not interrupted.
    np.testing.assert_equal(descent.save(), expected.save())
