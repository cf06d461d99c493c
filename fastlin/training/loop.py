"""The one training loop: stretches of steps, their records, and the parameters that a training ends with."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fastlin.training.monitors import BestCheckpoint, Checkpoint, Patience


class DivergedError(ArithmeticError):
    """The loss or the parameters of a training are no longer finite."""


@dataclass
class Training:
    """What a training met on its way, and how it ended.

    `last` is the checkpoint at the end of the records. The training `ended` at the "limit" of its steps, by its
    "patience", "stopped" by the caller's function, "diverged" or "interrupted". n_kept counts the records up to the
    checkpoint that is restored.
    """

    records: list[Any]
    last: Checkpoint
    ended: str = "limit"
    n_kept: int = 0
    patience: Patience | None = None
    best: BestCheckpoint | None = None

    @property
    def is_exhausted(self) -> bool:
        """Say whether the patience is."""
        return self.patience is not None and self.patience.is_exhausted


def train(
    stretches: Iterable[Any],
    save: Callable[[], Any],
    restore: Callable[[Any], object],
    *,
    records: Iterable[Any] = (),
    patience: Patience | None = None,
    best: BestCheckpoint | None = None,
    on_checkpoint: Callable[[Training], object] | None = None,
    save_step: Callable[[], Any] | None = None,
    check_end: Callable[[], object] | None = None,
) -> Training:
    """Take stretches of steps, judge each by its record, and go back to the checkpoint to keep.

    The next item of `stretches` is the record of a stretch; it raises DivergedError if the loss or the parameters are
    not finite. `save` returns a copy of all that a training needs to go on, and `restore` goes back to it. The training
    ends with the best checkpoint if there is a rule for it, else the last. Ctrl-C keeps the last checkpoint, or what
    save_step returns. on_checkpoint returns whether to end.
    """
    records = list(records)
    before = Checkpoint(len(records), save())
    training = Training(records, before, patience=patience, best=best)
    # Ctrl-C may fall between any two lines. A stretch counts as soon as `last` is the checkpoint at its end.
    try:
        for record in stretches:
            records.append(record)
            checkpoint = Checkpoint(len(records), save())
            before = training.last
            training.last = checkpoint
            if training.best is not None:
                training.best = training.best.after(record, before, checkpoint)
            if training.patience is not None:
                training.patience = training.patience.after(record)
            if on_checkpoint is not None and on_checkpoint(training):
                training.ended = "stopped"
            if training.is_exhausted or training.ended == "stopped":
                break
        if training.is_exhausted:
            training.ended = "patience"
        try:
            if check_end is not None:
                check_end()
        except DivergedError:
            # The last stretch led to parameters that are of no use.
            training.last = before
            raise
    except DivergedError:
        training.ended = "diverged"
    except KeyboardInterrupt:
        saved = None if save_step is None else save_step()
        if saved is not None:
            training.last = training.last._replace(saved=saved)
        training.ended = "interrupted"
    kept = _choose(training)
    del records[training.last.n_records :]
    training.n_kept = kept.n_records
    restore(kept.saved)
    return training


def _choose(training):
    """Return the checkpoint to keep of a training that has ended."""
    best, last = training.best, training.last
    if best is None or (best.validates_at_start and training.ended != "diverged"):
        return last
    if training.ended == "interrupted" and not training.is_exhausted:
        return last
    return best.checkpoint or last
