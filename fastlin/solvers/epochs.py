"""Training by epochs: the order of the rows, the rules that end it, and which of the weights met are kept."""

from dataclasses import dataclass, field

import numpy as np

from fastlin.networks import Examples

PROBE_ROWS = 128


@dataclass(frozen=True)
class Schedule:
    """How a training goes, and when it ends.

    Attributes
    ----------
    max_epochs, batch_size : int
    learning_rate : float
        Of the first epoch.
    decay : float
        Factor on the learning rate after each epoch.
    alpha : float
        As `MomentumDescent.run_epoch` has it.
    shuffle : bool
        Draw a new order of the rows for each epoch.
    whole_batches : bool
        Leave out what is left at the end of an epoch where it makes no whole batch, as courses do.
    patience : float
        Epochs without an improvement by tol after which one more ends the training: of the score on the validation
        examples with `early_stopping`, else of the loss.
    tol : float
    early_stopping : bool
    """

    max_epochs: int
    batch_size: int
    learning_rate: float
    decay: float = 1.0
    alpha: float = 0.0
    shuffle: bool = True
    whole_batches: bool = False
    patience: float = np.inf
    tol: float = 0.0
    early_stopping: bool = False


@dataclass(frozen=True)
class Epoch:
    """What an epoch met.

    Attributes
    ----------
    loss, accuracy : float
        Of the batches, as `MomentumDescent.run_epoch` returns them.
    validation_loss, validation_accuracy : float or None
        After it, where there are validation examples.
    """

    loss: float
    accuracy: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None


@dataclass
class Training:
    """What a training met on its way.

    Attributes
    ----------
    epochs : list of Epoch
        The whole ones; that in which it diverged is not among them.
    ended : {"limit", "patience", "diverged", "interrupted"}
    n_kept : int
        How many epochs the network's parameters come from.
    """

    epochs: list = field(default_factory=list)
    ended: str = "limit"
    n_kept: int = 0


def train_by_epochs(descent, examples, validation, schedule, random_state, on_epoch=None):
    """Train the network of a descent.

    It is left with the parameters of the best epoch by accuracy on the validation examples, where there are any, else
    of the last one. A training whose losses or parameters are no longer finite ends with those of its best epoch or,
    where nothing validates, with those that the epoch of the lowest loss began with; one that Ctrl-C ends, with those
    of the last whole epoch.

    Parameters
    ----------
    descent : MomentumDescent
    examples : Examples
    validation : Examples or None
    schedule : Schedule
    random_state : RandomState
        Draws the orders.
    on_epoch : callable or None
        Called with the Training after each whole epoch.

    Returns
    -------
    Training

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C before the end of the first epoch; the network is as it was.
    """
    network, training = descent.network, Training()
    last = best = 0, network.save()
    best_figure, best_stop_figure, n_worse = -np.inf, -np.inf, 0
    order = np.arange(len(examples)) if examples.rows is None else examples.rows
    n_rows = len(order) - (len(order) % schedule.batch_size if schedule.whole_batches else 0)
    try:
        for epoch in range(schedule.max_epochs):
            if schedule.shuffle:
                # As scikit-learn's shuffle, so that the same state draws the same orders.
                places = np.arange(len(order))
                random_state.shuffle(places)
                order = order[places]
            loss, accuracy = descent.run_epoch(
                examples, order[:n_rows] if schedule.shuffle or n_rows < len(order) else None, schedule.batch_size,
                schedule.learning_rate * schedule.decay**epoch, schedule.alpha,
            )  # fmt: skip
            is_finite = np.isfinite(loss) and np.isfinite(network.parameters).all()
            validated = _measure(network, validation) if is_finite and validation is not None else ()
            if not (is_finite and np.isfinite(validated).all()):
                training.ended = "diverged"
                break
            training.epochs.append(Epoch(loss, accuracy, *validated))
            before = last
            # Ctrl-C falls before or after this line: then the epoch counts or does not.
            last = len(training.epochs), network.save()
            # The loss of an epoch tells of the parameters that it began with, the validation of those it ended with.
            figure, told_of = (-loss, before) if validation is None else (validated[1], last)
            if figure > best_figure:
                best, best_figure = told_of, figure
            if on_epoch is not None:
                on_epoch(training)
            figure = figure if schedule.early_stopping else -loss
            n_worse = n_worse + 1 if figure < best_stop_figure + schedule.tol else 0
            best_stop_figure = max(best_stop_figure, figure)
            if n_worse > schedule.patience:
                training.ended = "patience"
                break
        if training.ended != "diverged" and validation is None and not _is_finite(network, examples, order):
            training.ended = "diverged"
            training.epochs.pop()
    except KeyboardInterrupt:
        training.n_kept, saved = last
        network.restore(saved)
        if not training.n_kept:
            raise
        del training.epochs[training.n_kept :]
        training.ended = "interrupted"
        return training
    training.n_kept, saved = last if validation is None and training.ended != "diverged" else best
    network.restore(saved)
    return training


def _measure(network, examples):
    """Return mean loss and accuracy of predictions; of a training that diverges they may overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        return network.fold().measure(examples)


def _is_finite(network, examples, order):
    """Say whether the loss of a few rows is finite: no batch has told of the parameters after the last step."""
    return np.isfinite(_measure(network, Examples(examples.matrix, examples.labels, rows=order[-PROBE_ROWS:]))[0])
