"""Training of networks by epochs: the order of the rows, the rules that end it, and the epoch that is kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from fastlin.networks import Examples
from fastlin.training.learning_rate import LearningRate
from fastlin.training.loop import DivergedError, Training, train
from fastlin.training.monitors import BestCheckpoint, Checkpoint, Patience
from fastlin.training.network_descent import Descent
from fastlin.typing import Array, IntArray

# Rows whose loss is computed at the end of a training without validation: no batch was computed with its parameters.
PROBE_ROWS = 128


@dataclass(frozen=True)
class EpochSchedule:
    """How the epochs of a network's training go, and when they end."""

    max_epochs: int
    batch_size: int
    learning_rate: LearningRate
    alpha: float = 0.0  # the penalty of a batch, as `Descent.run_epoch` takes it
    shuffle: bool = True  # whether a new order of the rows is drawn for each epoch
    # Whether rows at the end of an epoch that make no whole batch are left out, as courses do.
    whole_batches: bool = False
    patience: float = np.inf  # more epochs in a row without an improvement by tol end the training
    tol: float = 0.0
    early_stopping: bool = False  # whether the validation has to improve, not the loss
    by_loss: bool = False  # whether validations are judged by their loss, not by their accuracy
    keeps_steps: bool = False  # whether Ctrl-C keeps the last whole step instead of the last whole epoch


@dataclass(frozen=True)
class Epoch:
    """Loss and accuracy of an epoch's batches, before each step, and on the validation examples after it, if any."""

    loss: float
    accuracy: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None


class EpochState(NamedTuple):
    """The state of a training of rows in memory after a whole epoch, from which it can go on."""

    records: list[Epoch]
    last: list[Array]  # `Descent.save` after the last epoch
    best: list[Array]  # `Descent.save` at the best checkpoint
    order: IntArray  # (n,); with the generator it determines the orders to come
    generator: Any  # the state of a RandomState
    n_rows: int  # of the descent


def train_by_epochs(
    descent: Descent,
    examples: Examples | Callable[[], Iterator[Examples]],
    validation: Examples | None,
    schedule: EpochSchedule,
    random_state: np.random.RandomState,
    on_epoch: Callable[[Training], object] | None = None,
    *,
    n_epochs: int = 0,
    patience: Patience | None = None,
    save: Callable[[EpochState], object] | None = None,
    resumed: EpochState | None = None,
) -> Training:
    """Train the network of a descent; the records of the Training are Epochs.

    The network ends with the parameters of the best epoch on the validation examples, or of the last epoch without
    them. A training that diverges keeps the best epoch or, without validation, the start of the epoch with the lowest
    loss. Ctrl-C keeps the last whole epoch or step, and raises before the first one.

    A callable in place of examples returns an iterator over the Examples of an epoch. on_epoch is called with the
    Training after each epoch; something true ends it. save is called with the EpochState, and resumed is one of these.
    """
    validated = _negative_validation_loss if schedule.by_loss else _validation_accuracy
    best = BestCheckpoint(_negative_loss, validates_at_start=True) if validation is None else BestCheckpoint(validated)
    watched = validated if schedule.early_stopping else _negative_loss
    left = Patience(watched, schedule.patience, schedule.tol, n_renewals=schedule.learning_rate.n_renewals)
    # What another measure was worth says nothing of this one.
    if patience is not None and patience.score is watched:
        left = replace(left, best_score=patience.best_score, n_worse=patience.n_worse, n_renewed=patience.n_renewed)
    learner = _Learner(descent, examples, validation, schedule, random_state, n_epochs)
    records, n_rows_before = [], descent.n_rows
    if resumed is not None:
        records = resumed.records
        learner.resume(resumed)
        # The limits may be others now.
        for number, record in enumerate(records):
            left = left.after(record)
            positions = Checkpoint(number, resumed.best), Checkpoint(number + 1, resumed.best)
            best = best.after(record, *positions)
    learner.n_renewed = left.n_renewed
    # What has come to its end stays there.
    has_ended = resumed is not None and left.is_exhausted

    def after_epoch(training):
        learner.n_renewed = training.patience.n_renewed
        if save is not None:
            save(learner.describe(training))
        return on_epoch is not None and on_epoch(training)

    def save_step():
        return descent.save() if descent.n_rows > n_rows_before and learner.is_finite() else None

    training = train(
        () if has_ended else learner.take_epochs(len(records)),
        descent.save,
        descent.restore,
        records=records,
        patience=left,
        best=best,
        on_checkpoint=after_epoch,
        save_step=save_step if schedule.keeps_steps else None,
        check_end=learner.check_end if validation is None else None,
    )
    has_steps = schedule.keeps_steps and descent.n_rows > n_rows_before
    if training.ended == "interrupted" and not (training.records or has_steps):
        raise KeyboardInterrupt
    if training.ended == "diverged":
        # A velocity that is not finite would spoil every later training.
        descent.reset()
    return training


class _Learner:
    """A network that is trained by epochs; n_renewed counts the renewals of the training's patience."""

    def __init__(self, descent, examples, validation, schedule, random_state, n_epochs):
        self._descent, self._validation, self._schedule = descent, validation, schedule
        self._random_state, self._n_epochs_before, self.n_renewed = random_state, n_epochs, 0
        self._stream = examples if callable(examples) else None
        if not callable(examples):
            self._set_rows(examples)

    def _set_rows(self, examples):
        """Begin with the rows of Examples in the order in which they are meant."""
        self._examples = examples
        self._order = np.arange(len(examples)) if examples.rows is None else examples.rows

    def take_epochs(self, first):
        """Yield the Epoch of each epoch from a first one on."""
        descent, schedule = self._descent, self._schedule
        for n_epochs in range(first, schedule.max_epochs):
            rate = schedule.learning_rate.at(self._n_epochs_before + n_epochs, descent.n_rows, self.n_renewed)
            sums = np.zeros(4)
            for examples, order in self._take_parts():
                sums += descent.run_epoch(examples, order, schedule.batch_size, rate, schedule.alpha)
                if not np.isfinite(sums[0]):
                    raise DivergedError
            if not self.is_finite():
                raise DivergedError
            loss, n_rows, n_correct, weight = sums.tolist()
            accuracy = n_correct / weight if weight else 0.0
            validated = () if self._validation is None else self._measure(self._validation)
            yield Epoch(loss / n_rows, accuracy, *validated)

    def _take_parts(self):
        """Yield the Examples that make an epoch together, each with a new order of its rows, or None for its own."""
        for examples in [self._examples] if self._stream is None else self._stream():
            if self._stream is not None:
                self._set_rows(examples)
            yield examples, self._draw_order()

    def _draw_order(self):
        schedule, n = self._schedule, len(self._order)
        if schedule.shuffle:
            # The same state draws the same orders as scikit-learn's shuffle.
            positions = np.arange(n)
            self._random_state.shuffle(positions)
            self._order = self._order[positions]
        n_taken = n - n % schedule.batch_size if schedule.whole_batches else n
        return self._order[:n_taken] if schedule.shuffle or n_taken < n else None

    def is_finite(self):
        return np.isfinite(self._descent.network.parameters).all()

    def describe(self, training):
        """Return the EpochState after the last epoch of a Training."""
        last, best = training.last.saved, training.best.checkpoint.saved
        generator = self._random_state.get_state()
        return EpochState(training.records, last, best, self._order, generator, self._descent.n_rows)

    def resume(self, state):
        """Go on from an EpochState."""
        self._descent.restore(state.last)
        self._descent.counts[0], self._order = state.n_rows, state.order
        self._random_state.set_state(state.generator)

    def check_end(self):
        """Raise a DivergedError where a few of the rows that the last steps took have no finite loss."""
        self._measure(Examples(self._examples.matrix, self._examples.labels, rows=self._order[-PROBE_ROWS:]))

    def _measure(self, examples):
        """Return mean loss and accuracy of the network's predictions, both finite."""
        # The predictions of a training that diverges may overflow.
        with np.errstate(over="ignore", invalid="ignore"):
            measured = self._descent.predictor().measure(examples)
        if not np.isfinite(measured).all():
            raise DivergedError
        return measured


def _negative_loss(epoch):
    return -epoch.loss


def _validation_accuracy(epoch):
    return epoch.validation_accuracy


def _negative_validation_loss(epoch):
    return -epoch.validation_loss
