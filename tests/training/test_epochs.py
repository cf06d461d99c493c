"""Training of networks by epochs: its stopping rules, with scripted losses."""

import numpy as np
import pytest

from fastlin.matrices import as_matrix
from fastlin.networks import Examples
from fastlin.training import EpochSchedule, LearningRate, train_by_epochs

ROWS = 6


class ScriptedDescent:
    """A descent and its network with scripted losses and scores. The loss "inf" makes the parameters infinite."""

    def __init__(self, losses, scores=()):
        self.network, self.parameters, self.velocity = self, np.zeros(1), np.ones(1)
        self.orders, self.n_rows = [], 0
        self._losses, self._scores = iter(losses), iter(scores)

    def run_epoch(self, examples, order, batch_size, learning_rate, alpha):
        self.orders.append(None if order is None else order.copy())
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

    def make_predictor(self):
        return self

    def measure(self, examples):
        # Without scores, training measures only a few rows at the end.
        score = next(self._scores, 0.5)
        return 1 - score, score


def make_examples(rows=None):
    generator = np.random.default_rng(0)
    return Examples(as_matrix(generator.normal(size=(ROWS, 3))), generator.integers(0, 2, ROWS), None, rows)


def train(script, validation=False, examples=None, **settings):
    schedule = EpochSchedule(**{"max_epochs": 100, "batch_size": 2, "learning_rate": LearningRate(0.5), **settings})
    validation, random_state = make_examples() if validation else None, np.random.RandomState(0)
    return train_by_epochs(script, examples or make_examples(), validation, schedule, random_state)


@pytest.mark.parametrize("monitored_quantity", ["the loss", "the loss, validated", "the validation"])
@pytest.mark.parametrize(
    ("patience", "tol", "n_epochs"),
    [(1, 0.0, 8), (1, 0.05, 5), (2, 0.05, 6), (3, 0.15, 7), (3, 0.0, 9), (np.inf, 1.0, 9)],
)
def test_early_stopping_keeps_the_right_epoch(monitored_quantity, patience, tol, n_epochs):
    values, shifted_values = (
        [0.1, 0.3, 0.5, 0.5, 0.2, 0.51, 0.4, 0.3, 0.6],
        [0.3, 0.5, 0.5, 0.2, 0.51, 0.4, 0.3, 0.6, 0.1],
    )
    validated, early_stopping = monitored_quantity != "the loss", monitored_quantity == "the validation"
    gains, scores = (shifted_values, values) if early_stopping else (values, shifted_values)
    script = ScriptedDescent([-gain for gain in gains], scores)
    stopping_rules = {"patience": patience, "tol": tol, "early_stopping": early_stopping}
    training = train(script, validated, max_epochs=9, **stopping_rules)
    assert (training.stop_reason, len(training.records)) == ("patience" if n_epochs < 9 else "limit", n_epochs)
    assert (
        training.n_kept_records
        == script.parameters[0]
        == (int(np.argmax(scores[:n_epochs])) + 1 if validated else n_epochs)
    )
    if validated:
        assert [epoch.validation_accuracy for epoch in training.records] == scores[:n_epochs]
        assert [epoch.validation_loss for epoch in training.records] == [1 - score for score in scores[:n_epochs]]


# The loss of an epoch is the loss at the parameters with which the epoch starts.
@pytest.mark.parametrize(
    ("losses", "scores", "validated", "n_records", "best"),
    [
        ([3.0, 1.0, 2.0, np.inf], [], False, 3, 1),
        ([3.0, 1.0, 2.0, np.nan], [0.1, 0.2, 0.9], True, 3, 3),
        ([-np.inf], [], False, 0, 0),
        (["inf"], [], True, 0, 0),
        ([3.0, 2.0, 1.0], [0.2, 0.1, np.nan], True, 2, 1),
        ([3.0, 2.0, 1.0], [0.2, 0.1, np.inf], True, 2, 1),
        ([3.0, 2.0, 1.0], [np.nan], False, 2, 2),
    ],
)
def test_a_diverging_training_ends_with_its_best_epoch(losses, scores, validated, n_records, best):
    script = ScriptedDescent([*losses, 0.0], scores)
    training = train(script, validated, max_epochs=len(losses))
    assert (training.stop_reason, training.n_kept_records, len(training.records)) == ("diverged", best, n_records)
    assert script.parameters[0] == best
    assert len(script.orders) == len(losses)
    # A later training must not start with an infinite or NaN velocity.
    assert script.velocity[0] == 0


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    ("rows", "batch_size", "drop_incomplete_batch", "n_rows"),
    [
        (None, 3, True, 6),
        (None, 4, True, 4),
        (np.array([5, 1, 3, 2, 0]), 2, True, 4),
        (np.array([5, 1, 3, 2]), 3, False, 4),
    ],
)
def test_epoch_orders_contain_the_selected_rows(shuffle, rows, batch_size, drop_incomplete_batch, n_rows):
    script, selected = ScriptedDescent([1.0] * 20), np.arange(ROWS) if rows is None else rows
    batches = {"batch_size": batch_size, "shuffle": shuffle, "drop_incomplete_batch": drop_incomplete_batch}
    train(script, examples=make_examples(rows), max_epochs=20, **batches)
    # If the order is None, all examples are used in their own order.
    orders = [selected if order is None else order for order in script.orders]
    assert all(len(order) == n_rows == len(set(order) & set(selected)) for order in orders)
    if shuffle:
        # The first row and the dropped rows differ between epochs.
        assert {order[0] for order in orders} == set(np.concatenate(orders)) == set(selected)
    else:
        assert all(np.array_equal(order, selected[:n_rows]) for order in orders)
