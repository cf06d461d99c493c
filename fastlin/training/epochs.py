"""Training of networks by epochs: the order of the rows, the stopping rules, and the epoch to restore."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from fastlin.networks import Examples
from fastlin.training.learning_rate import LearningRate
from fastlin.training.loop import DivergedError, Training, train
from fastlin.training.monitors import BestCheckpoint, Checkpoint, EarlyStopping
from fastlin.training.network_descent import GradientDescent
from fastlin.typing import Array, IntArray

# The number of rows whose loss is checked after the last step of a training run without validation.
N_CHECKED_LOSS_ROWS = 128


@dataclass(frozen=True)
class EpochSchedule:
    """The hyperparameters of training by epochs, and its stopping rules."""

    max_epochs: int
    batch_size: int
    learning_rate: LearningRate
    alpha: float = 0.0  # the L2 penalty; see `GradientDescent.run_epoch`
    shuffle: bool = True  # whether the rows are shuffled before each epoch
    # Whether an incomplete last batch of an epoch is skipped, as in courses.
    drop_incomplete_batch: bool = False
    patience: float = np.inf  # the allowed number of consecutive epochs without an improvement by tol
    tol: float = 0.0
    early_stopping: bool = False  # whether the validation score must improve, instead of the training loss
    scores_by_loss: bool = False  # whether the validation score is the loss, instead of the accuracy
    should_restore_last_step: bool = (
        False  # whether Ctrl-C restores the last complete step, instead of the last complete epoch
    )


@dataclass(frozen=True)
class Epoch:
    """Metrics of an epoch: means over the batches, each before its step, and metrics of the validation examples."""

    loss: float
    accuracy: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None


class EpochState(NamedTuple):
    """The state after a complete epoch. A training run with rows in memory can be resumed from it."""

    records: list[Epoch]
    last: list[Array]  # the result of `GradientDescent.save` after the last epoch
    best: list[Array]  # the result of `GradientDescent.save` at the best checkpoint
    order: IntArray  # (n,), the order of the rows; later orders depend on it and on the generator
    generator: Any  # the state of a RandomState
    n_rows: int  # the value of `GradientDescent.n_rows`


def train_by_epochs(
    descent: GradientDescent,
    examples: Examples | Callable[[], Iterator[Examples]],
    validation: Examples | None,
    schedule: EpochSchedule,
    random_state: np.random.RandomState,
    on_epoch: Callable[[Training], object] | None = None,
    *,
    n_epochs: int = 0,
    previous_monitor: EarlyStopping | None = None,
    save: Callable[[EpochState], object] | None = None,
    resumed_state: EpochState | None = None,
) -> Training:
    """Train the network of a descent. The records of the returned Training are Epochs.

    The final parameters are those after the epoch with the best validation score or, without validation, after the last
    epoch. If the training run diverges without validation, they are those at the start of the epoch with the lowest
    loss. After Ctrl-C, they are those of the last complete epoch or step. If there is none, KeyboardInterrupt is
    raised.

    `examples` may be a callable that returns an iterator over the Examples of an epoch. `on_epoch` is called with the
    Training after each epoch. If it returns a true value, the training run ends. `previous_monitor` is the monitor of
    the training run that this one continues. `save` is called with each EpochState. `resumed_state` is the EpochState
    from which the training run continues.
    """
    validation_score = _negative_validation_loss if schedule.scores_by_loss else _validation_accuracy
    if validation is None:
        best = BestCheckpoint(_negative_loss, is_scored_at_start=True)
    else:
        best = BestCheckpoint(validation_score)
    score = validation_score if schedule.early_stopping else _negative_loss
    monitor = EarlyStopping(
        score, schedule.patience, schedule.tol, max_rate_reductions=schedule.learning_rate.max_rate_reductions
    )
    # Scores of different kinds are not comparable.
    if previous_monitor is not None and previous_monitor.score is score:
        progress = {
            name: getattr(previous_monitor, name)
            for name in ("best_score", "n_without_improvement", "n_rate_reductions")
        }
        monitor = replace(monitor, **progress)
    epoch_runner = _EpochRunner(descent, examples, validation, schedule, random_state, n_epochs)
    records, n_rows_before = [], descent.n_rows
    if resumed_state is not None:
        records = resumed_state.records
        epoch_runner.resume(resumed_state)
        # The monitors process the records again, because the stopping rules may have changed.
        for number, record in enumerate(records):
            monitor = monitor.updated_with_record(record)
            best = best.updated_with_record(
                record, Checkpoint(number, resumed_state.best), Checkpoint(number + 1, resumed_state.best)
            )
    epoch_runner.n_rate_reductions = monitor.n_rate_reductions
    # A training run that stopped early is not continued.
    has_ended = resumed_state is not None and monitor.is_patience_exhausted

    def handle_epoch(training):
        epoch_runner.n_rate_reductions = training.monitor.n_rate_reductions
        if save is not None:
            save(epoch_runner.make_epoch_state(training))
        return on_epoch is not None and on_epoch(training)

    def save_interrupted_state():
        return descent.save() if descent.n_rows > n_rows_before and epoch_runner.is_finite() else None

    training = train(
        () if has_ended else epoch_runner.run_epochs(len(records)),
        descent.save,
        descent.restore,
        records=records,
        monitor=monitor,
        best=best,
        on_checkpoint=handle_epoch,
        save_interrupted_state=save_interrupted_state if schedule.should_restore_last_step else None,
        check_final_state=epoch_runner.check_final_loss if validation is None else None,
    )
    has_unrecorded_steps = schedule.should_restore_last_step and descent.n_rows > n_rows_before
    if training.stop_reason == "interrupted" and not (training.records or has_unrecorded_steps):
        raise KeyboardInterrupt
    if training.stop_reason == "diverged":
        # With a velocity that is not finite, every later training run would diverge.
        descent.reset()
    return training


class _EpochRunner:
    """Runs the epochs of a training run. `n_rate_reductions` is the number of reductions of the learning rate."""

    def __init__(self, descent, examples, validation, schedule, random_state, n_epochs):
        self._descent, self._validation, self._schedule = descent, validation, schedule
        self._random_state, self._n_epochs_before, self.n_rate_reductions = random_state, n_epochs, 0
        self._make_examples = examples if callable(examples) else None
        if not callable(examples):
            self._set_example_rows(examples)

    def _set_example_rows(self, examples):
        """Set the Examples, and their rows in the initial order."""
        self._examples = examples
        self._row_order = np.arange(len(examples)) if examples.rows is None else examples.rows

    def run_epochs(self, first):
        """Run the epochs from number `first`, and yield an Epoch after each."""
        descent, schedule = self._descent, self._schedule
        for n_epochs in range(first, schedule.max_epochs):
            rate = schedule.learning_rate.at(self._n_epochs_before + n_epochs, descent.n_rows, self.n_rate_reductions)
            sums = np.zeros(4)
            for examples, order in self._iterate_examples():
                sums += descent.run_epoch(examples, order, schedule.batch_size, rate, schedule.alpha)
                if not np.isfinite(sums[0]):
                    raise DivergedError
            if not self.is_finite():
                raise DivergedError
            loss, n_rows, n_correct, weight = sums.tolist()
            accuracy = n_correct / weight if weight else 0.0
            validation = () if self._validation is None else self._compute_metrics(self._validation)
            yield Epoch(loss / n_rows, accuracy, *validation)

    def _iterate_examples(self):
        """Yield each Examples object of an epoch with the order of its rows. None means that the order is unchanged."""
        for examples in [self._examples] if self._make_examples is None else self._make_examples():
            if self._make_examples is not None:
                self._set_example_rows(examples)
            yield examples, self._shuffle_rows()

    def _shuffle_rows(self):
        schedule, n = self._schedule, len(self._row_order)
        if schedule.shuffle:
            # From the same state of the generator, scikit-learn's shuffle returns the same orders.
            positions = np.arange(n)
            self._random_state.shuffle(positions)
            self._row_order = self._row_order[positions]
        n_used_rows = n - n % schedule.batch_size if schedule.drop_incomplete_batch else n
        return self._row_order[:n_used_rows] if schedule.shuffle or n_used_rows < n else None

    def is_finite(self):
        return np.isfinite(self._descent.network.parameters).all()

    def make_epoch_state(self, training):
        """Return the EpochState after the last epoch of a Training."""
        last, best = training.last.saved, training.best.checkpoint.saved
        generator = self._random_state.get_state()
        return EpochState(training.records, last, best, self._row_order, generator, self._descent.n_rows)

    def resume(self, state):
        """Restore an EpochState."""
        self._descent.restore(state.last)
        self._descent.counts[0], self._row_order = state.n_rows, state.order
        self._random_state.set_state(state.generator)

    def check_final_loss(self):
        """Raise a DivergedError if the loss of some rows of the last steps is not finite."""
        self._compute_metrics(
            Examples(self._examples.matrix, self._examples.labels, rows=self._row_order[-N_CHECKED_LOSS_ROWS:])
        )

    def _compute_metrics(self, examples):
        """Return the mean loss and the accuracy of predictions. Raise a DivergedError if they are not finite."""
        # Predictions may overflow if the training run diverges.
        with np.errstate(over="ignore", invalid="ignore"):
            metrics = self._descent.make_predictor().measure(examples)
        if not np.isfinite(metrics).all():
            raise DivergedError
        return metrics


def _negative_loss(epoch):
    return -epoch.loss


def _validation_accuracy(epoch):
    return epoch.validation_accuracy


def _negative_validation_loss(epoch):
    return -epoch.validation_loss
