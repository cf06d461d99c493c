"""Training of networks by epochs: the order of the rows, the rules that end it, and the epoch that is kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Self

import numpy as np

from fastlin.networks import Examples
from fastlin.training.judges import BestCheckpoint, Patience
from fastlin.training.learning_rate import LearningRate
from fastlin.training.loop import DivergedError, Training, train
from fastlin.training.network_descent import Descent

# Rows whose loss is computed at the end of a training without validation: no batch was computed with its parameters.
PROBE_ROWS = 128


@dataclass(frozen=True)
class EpochSchedule:
    """How the epochs of a network's training go, and when they end.

    alpha is the penalty of a batch, as `Descent.run_epoch` takes it, and a new order of the rows is drawn for each
    epoch with `shuffle`. `whole_batches` leaves out the rows at the end of an epoch that make no whole batch, as
    courses do.

    The training ends with more than `patience` epochs in a row without an improvement by `tol`: of the loss or, with
    `early_stopping`, of the validation. Validations are judged by their accuracy or, with `by_loss`, by their loss.
    With `keeps_steps` Ctrl-C keeps the last whole step instead of the last whole epoch.
    """

    max_epochs: int
    batch_size: int
    learning_rate: LearningRate
    alpha: float = 0.0
    shuffle: bool = True
    whole_batches: bool = False
    patience: float = np.inf
    tol: float = 0.0
    early_stopping: bool = False
    by_loss: bool = False
    keeps_steps: bool = False


@dataclass(frozen=True)
class Epoch:
    """Loss and accuracy of an epoch's batches, before each step, and on the validation examples after it, if any."""

    loss: float
    accuracy: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None


@dataclass(frozen=True)
class EpochTraining:
    """The whole epochs of a network's training, how it ended, and what is left of the patience, as `Training` has them.

    The network has the parameters after n_kept epochs. The epoch in which a training diverged is left out.
    """

    epochs: list[Epoch]
    ended: str
    n_kept: int
    patience: Patience | None = None

    @classmethod
    def of(cls, training: Training) -> Self:
        """Return the view of a Training whose records are epochs."""
        return cls(training.records, training.ended, training.n_kept, training.patience)


def train_by_epochs(
    descent: Descent,
    examples: Examples | Callable[[], Iterator[Examples]],
    validation: Examples | None,
    schedule: EpochSchedule,
    random_state: np.random.RandomState,
    on_epoch: Callable[[EpochTraining], object] | None = None,
    *,
    n_epochs: int = 0,
    n_rows: int = 0,
    patience: Patience | None = None,
    save: Callable[[Training], object] | None = None,
    resumed: Training | None = None,
) -> EpochTraining:
    """Train the network of a descent.

    The network ends with the parameters of the best epoch by accuracy or loss on the validation examples, or of the
    last epoch where there are no such examples. A training diverges when its losses or parameters are no longer finite.
    Then the network keeps the best epoch or, where nothing validates, the parameters that the epoch of the lowest loss
    began with, and what the rule of the steps carries becomes zero. Ctrl-C keeps the last whole epoch or step.

    Parameters
    ----------
    examples : Examples, or a callable
        The rows to train on, or what returns an iterator over the Examples that make an epoch together.
    random_state : RandomState
        Draws the orders of the rows.
    on_epoch : callable or None
        Called with the EpochTraining after each whole epoch, which is the last one where it returns something true.
    n_epochs, n_rows : int
        The epochs that the learning rate has been through before, and the rows trained on.
    patience : Patience or None
        What is left of the patience of the training that this one continues, if both scores come from the same data.
    save : callable or None
        Called with the Training after each whole epoch, from which another training can go on.
    resumed : Training or None
        What `save` was called with in a training of the same rows; this one goes on from there.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C came before the end of the first epoch, or step; the network is as it was.
    """
    validated = _negative_validation_loss if schedule.by_loss else _validation_accuracy
    best = BestCheckpoint(_negative_loss, judges_start=True) if validation is None else BestCheckpoint(validated)
    watched = validated if schedule.early_stopping else _negative_loss
    n_renewals = schedule.learning_rate.n_renewals
    limits: dict[str, Any] = {"n_allowed": schedule.patience, "tol": schedule.tol, "n_renewals": n_renewals}
    if resumed is not None and resumed.best is not None:
        # A file holds no functions.
        best = replace(resumed.best, score=best.score)
    # What another measure was worth says nothing of this one.
    if patience is not None and patience.score is watched:
        left = replace(patience, **limits)
    else:
        left = Patience(watched, **limits)
    records = [] if resumed is None else resumed.records
    # Its limits may be others now.
    left = reduce(Patience.after, records, left)
    make_rows = _Stream if callable(examples) else _ShuffledRows
    rows = make_rows(examples, schedule, random_state)
    learner = _Learner(descent, rows, validation, schedule, n_epochs, n_rows, left.n_renewed)
    epochs = learner.take_epochs(len(records))
    if resumed is not None:
        learner.resume(resumed.last.saved)
        if left.is_exhausted:
            epochs = iter(())

    def after_epoch(training):
        learner.n_renewed = training.patience.n_renewed
        if save is not None:
            save(training)
        return on_epoch is not None and on_epoch(EpochTraining.of(training))

    training = train(
        epochs,
        learner.save,
        learner.restore,
        records=records,
        patience=left,
        best=best,
        on_checkpoint=after_epoch,
        save_step=learner.save_step if schedule.keeps_steps else None,
        check_end=learner.check_end if validation is None else None,
    )
    if training.ended == "interrupted" and not (training.records or (schedule.keeps_steps and descent.n_rows)):
        raise KeyboardInterrupt
    if training.ended == "diverged":
        # A velocity that is not finite would spoil every later training.
        descent.reset()
    return EpochTraining.of(training)


class _ShuffledRows:
    """Examples in memory, in an order that is drawn for each epoch."""

    def __init__(self, examples, schedule, random_state):
        self._examples, self._schedule, self._random_state = examples, schedule, random_state
        self._order = np.arange(len(examples)) if examples.rows is None else examples.rows
        n = len(self._order)
        self._n_rows = n - n % schedule.batch_size if schedule.whole_batches else n

    def run_epoch(self, descent, learning_rate):
        """Take the steps of an epoch; return what `Descent.run_epoch` does."""
        schedule, order = self._schedule, None
        if schedule.shuffle:
            # The same state draws the same orders as scikit-learn's shuffle.
            places = np.arange(len(self._order))
            self._random_state.shuffle(places)
            self._order = self._order[places]
        if schedule.shuffle or self._n_rows < len(self._order):
            order = self._order[: self._n_rows]
        return descent.run_epoch(self._examples, order, schedule.batch_size, learning_rate, schedule.alpha)

    def probe(self):
        """Return Examples of the rows that the last steps took."""
        return Examples(self._examples.matrix, self._examples.labels, rows=self._order[-PROBE_ROWS:])

    def save(self):
        """Return what the orders to come follow from."""
        return self._order, self._random_state.get_state()

    def resume(self, saved):
        """Go on from what `save` returned."""
        self._order, drawn = saved
        self._random_state.set_state(tuple(drawn))


class _Stream:
    """Examples that come one after another, the rows of each in an order that is drawn for it."""

    def __init__(self, begin, schedule, random_state):
        self._begin, self._schedule, self._random_state = begin, schedule, random_state
        self._rows: Any = None

    def run_epoch(self, descent, learning_rate):
        """Take the steps of an epoch; return what `Descent.run_epoch` does, over the rows of all examples."""
        loss = n_correct = n_rows = total = 0
        for examples in self._begin():
            self._rows = _ShuffledRows(examples, self._schedule, self._random_state)
            mean_loss, accuracy = self._rows.run_epoch(descent, learning_rate)
            weight = len(examples) if examples.weights is None else float(examples.weights.sum())
            loss, n_correct = loss + len(examples) * mean_loss, n_correct + weight * accuracy
            n_rows, total = n_rows + len(examples), total + weight
            if not np.isfinite(mean_loss):
                break
        return loss / n_rows, n_correct / total

    def probe(self):
        """As `_ShuffledRows.probe` has it."""
        return self._rows.probe()

    def save(self):
        """Return nothing: what comes next is not known here."""


class _Learner:
    """A network that is trained by epochs.

    n_renewed is how many times the patience of the training was renewed by now.
    """

    def __init__(self, descent, rows, validation, schedule, n_epochs, n_rows, n_renewed):
        self._n_epochs_before, self._n_rows_before, self.n_renewed = n_epochs, n_rows, n_renewed
        self._descent, self._schedule = descent, schedule
        self._rows, self._validation = rows, validation

    def take_epochs(self, first):
        """Yield the Epoch of each epoch from a first one on."""
        descent, schedule = self._descent, self._schedule
        for n_epochs in range(first, schedule.max_epochs):
            n_rows = self._n_rows_before + descent.n_rows
            rate = schedule.learning_rate.at(self._n_epochs_before + n_epochs, n_rows, self.n_renewed)
            loss, accuracy = self._rows.run_epoch(descent, rate)
            if not (np.isfinite(loss) and self._is_finite()):
                raise DivergedError
            yield Epoch(loss, accuracy, *(() if self._validation is None else self._measure(self._validation)))

    def save(self):
        descent = self._descent
        return descent.network.save(), descent.save(), descent.n_rows, self._rows.save()

    def save_step(self):
        return self.save() if self._descent.n_rows and self._is_finite() else None

    def resume(self, saved):
        _, _, self._descent.n_rows, rows = saved
        self._rows.resume(rows)
        self.restore(saved)

    def restore(self, saved):
        # The caller's random numbers go on from where the training ended.
        parameters, carried, *_ = saved
        self._descent.network.restore(parameters)
        # A training that goes on from there takes up the velocity of the same epoch.
        self._descent.restore(carried)

    def check_end(self):
        self._measure(self._rows.probe())

    def _is_finite(self):
        return np.isfinite(self._descent.network.parameters).all()

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
