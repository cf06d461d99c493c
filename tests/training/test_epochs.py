"""Training of networks by epochs: its rules on losses that are written down, and real networks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def make_examples(n=ROWS, rows=None):
    generator = np.random.default_rng(0)
    return Examples(as_matrix(generator.normal(size=(n, 3))), generator.integers(0, 2, n), None, rows)


def train(script, validation=False, on_epoch=None, examples=None, seed=0, **settings):
    schedule = EpochSchedule(**{"max_epochs": 100, "batch_size": 2, "learning_rate": LearningRate(0.5), **settings})
    validation, random_state = make_examples() if validation else None, np.random.RandomState(seed)
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
        train(script, max_epochs=3, examples=make_examples(rows=rows))
        orders.append([order for order, *_ in script.calls])
    for order, again in zip(*orders, strict=True):
        np.testing.assert_array_equal(order, again)
        np.testing.assert_array_equal(np.sort(order), np.sort(np.arange(ROWS) if rows is None else rows))
    assert len({tuple(order) for order in orders[0]}) > 1


def count_epochs(figures, patience, tol):
    """Return how many epochs scikit-learn's rule takes for figures of which more is better."""
    best, n_worse = -np.inf, 0
    for n_epochs, figure in enumerate(figures, 1):
        n_worse = n_worse + 1 if figure < best + tol else 0
        best = max(best, figure)
        if n_worse > patience:
            return n_epochs
    return len(figures)


@settings(max_examples=200)
@given(
    figures=st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.3, 0.5]), min_size=1, max_size=12),
    patience=st.integers(1, 3),
    tol=st.sampled_from([0.0, 0.05, 0.2]),
    early_stopping=st.booleans(),
    validated=st.booleans(),
)
def test_the_end_and_what_is_kept(figures, patience, tol, early_stopping, validated):
    early_stopping = early_stopping and validated
    by_score = Script([1.0 + i for i in range(len(figures))], figures)
    by_loss = Script([-figure for figure in figures], figures[::-1])
    script = by_score if early_stopping else by_loss
    training = train(
        script, validated, max_epochs=len(figures), patience=patience, tol=tol, early_stopping=early_stopping
    )
    n_epochs = count_epochs(figures, patience, tol)
    assert len(training.records) == n_epochs
    if n_epochs < len(figures):
        assert training.ended == "patience"
    scores = figures if early_stopping else figures[::-1]
    # Of equal ones the first.
    expected = int(np.argmax(scores[:n_epochs])) + 1 if validated else n_epochs
    assert training.n_kept == script.parameters[0] == expected
    if validated:
        assert [epoch.validation_accuracy for epoch in training.records] == scores[:n_epochs]
        assert [epoch.validation_loss for epoch in training.records] == [1 - score for score in scores[:n_epochs]]


def test_without_patience_all_epochs_are_taken():
    training = train(Script([float(i) for i in range(30)]), max_epochs=30, tol=1.0)
    assert (len(training.records), training.ended, training.n_kept) == (30, "limit", 30)


@pytest.mark.parametrize(
    ("losses", "scores", "last", "best"),
    # A loss describes the parameters that its epoch began with.
    [
        ([3.0, 1.0, 2.0], None, np.inf, 1),
        ([3.0, 1.0, 2.0], [0.1, 0.2, 0.9], np.nan, 3),
        ([], None, -np.inf, 0),
        ([], [], "inf", 0),
    ],
)
def test_a_training_that_diverges_ends_there_with_its_best_epoch(losses, scores, last, best):
    script = Script([*losses, last, 0.0], scores or ())
    training = train(script, scores is not None)
    assert (training.ended, training.n_kept, len(training.records)) == ("diverged", best, len(losses))
    assert script.parameters[0] == best
    assert len(script.calls) == len(losses) + 1
    # A later training must not begin with a velocity that is not finite.
    assert script.velocity[0] == 0


@pytest.mark.parametrize("score", [np.nan, np.inf])
def test_a_validation_that_overflows_is_an_epoch_that_diverged(score):
    training = train(Script([3.0, 2.0, 1.0], [0.2, 0.1, score]), validation=True)
    assert (training.ended, training.n_kept, len(training.records)) == ("diverged", 1, 2)


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
    train(script, examples=make_examples(rows=rows), max_epochs=20, **batches)
    # Without an order the examples are taken in theirs, all of them.
    orders = [meant if order is None else order for order, *_ in script.calls]
    assert all(len(order) == n_rows == len(set(order) & set(meant)) for order in orders)
    if shuffle:
        # Other rows are left out in another epoch.
        assert set(np.concatenate(orders)) == set(meant)
    else:
        assert all(np.array_equal(order, meant[:n_rows]) for order in orders)


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_loss_of_whole_batches_is_the_mean_over_the_rows_used(shuffle):
    rates = {"learning_rate": LearningRate(0.05), "alpha": 0.1}
    schedule = EpochSchedule(max_epochs=3, batch_size=12, **rates, shuffle=shuffle, whole_batches=True)
    descent, examples = make_descent()
    losses, batches, step = [], [], descent.step

    def note(examples, rows, *arguments, **options):
        loss, n_correct, total = step(examples, rows, *arguments, **options)
        losses.append(loss)
        batches.append((len(examples.labels[rows]), n_correct))
        return loss, n_correct, total

    descent.step = note
    training = train_by_epochs(descent, examples, None, schedule, np.random.RandomState(2))
    # 40 rows.
    assert [size for size, _ in batches] == [12] * 9
    for number, epoch in enumerate(training.records):
        part = slice(3 * number, 3 * number + 3)
        assert epoch.loss == pytest.approx(np.mean(losses[part]), rel=1e-12)
        assert epoch.accuracy == pytest.approx(sum(correct for _, correct in batches[part]) / 36, rel=1e-12)


def make_descent():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(40, 3))
    examples = Examples(as_matrix(X), (X[:, 0] > 0).astype(np.int64))
    network = Network((3, 5, 1), "tanh", normalization=("input", "hidden"), dropout=0.1, dtype=np.float64)
    network.parameters[:] += 0.3 * generator.normal(size=len(network.parameters))
    return MomentumDescent(network, 0.9, True, np.random.RandomState(1)), examples


def test_a_real_network_is_trained_and_measured_after_each_epoch():
    descent, examples = make_descent()
    schedule = EpochSchedule(max_epochs=30, batch_size=8, learning_rate=LearningRate(0.05))
    training = train_by_epochs(descent, examples, examples, schedule, np.random.RandomState(2))
    kept = training.records[training.n_kept - 1]
    assert kept.validation_accuracy == max(epoch.validation_accuracy for epoch in training.records) > 0.9
    # Parameters and running statistics are those of the epoch kept.
    assert descent.network.fold().measure(examples) == (kept.validation_loss, kept.validation_accuracy)
    assert training.records[-1].loss < training.records[0].loss


@pytest.mark.parametrize("n_batches", [3, 13])
def test_ctrl_c_in_a_real_epoch_gives_the_network_of_the_epochs_before(monkeypatch, n_batches):
    schedule = EpochSchedule(max_epochs=10, batch_size=8, learning_rate=LearningRate(0.05))
    descent, examples = make_descent()
    before = descent.save()
    compute_gradient, calls = descent.network.compute_gradient, []

    def interrupt(*arguments):
        calls.append(1)
        if len(calls) > n_batches:
            raise KeyboardInterrupt
        return compute_gradient(*arguments)

    monkeypatch.setattr(descent.network, "compute_gradient", interrupt)
    # Five batches an epoch.
    n_epochs = n_batches // 5
    if n_epochs == 0:
        with pytest.raises(KeyboardInterrupt):
            train_by_epochs(descent, examples, None, schedule, np.random.RandomState(2))
        expected = before
    else:
        training = train_by_epochs(descent, examples, None, schedule, np.random.RandomState(2))
        assert (training.ended, training.n_kept) == ("interrupted", n_epochs)
        whole, _ = make_descent()
        schedule = EpochSchedule(max_epochs=n_epochs, batch_size=8, learning_rate=LearningRate(0.05))
        train_by_epochs(whole, examples, None, schedule, np.random.RandomState(2))
        # The velocity among them: a training that goes on takes the steps of one that was not interrupted.
        expected = whole.save()
    for array, others in zip(descent.save(), expected, strict=True):
        np.testing.assert_array_equal(array, others)
