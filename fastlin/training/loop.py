"""The one training loop: stretches of steps, their validations, and the parameters that a training ends with."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fastlin.training.judges import BestCheckpoint, Checkpoint, Patience


class DivergedError(ArithmeticError):
    """The loss or the parameters of a training are no longer finite."""


@dataclass
class Training:
    """What a training met on its way, and how it ended.

    A stretch of steps in which the training diverged or was interrupted has no record; `last` is the checkpoint at the
    end of the records. The training `ended` at the "limit" of its steps, since the "patience" was exhausted, "stopped"
    by the caller's function, "diverged" or "interrupted" by Ctrl-C. n_kept counts the records up to the checkpoint
    whose parameters are restored. `patience` is what is left of it, and `best` has seen the records.
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
    begin_validation: Callable[[Any], Callable[[], Any] | None] | None = None,
    on_checkpoint: Callable[[Training], object] | None = None,
    save_step: Callable[[], Any] | None = None,
    check_end: Callable[[], object] | None = None,
) -> Training:
    """Take stretches of steps, judge each by its record, and go back to the checkpoint to keep.

    A checkpoint follows each stretch. The training ends with the parameters of the best checkpoint, if there is a rule
    for it, else of the last one. The same holds for a training that diverges. Ctrl-C raises nothing and keeps the last
    checkpoint, unless the validation that was under way exhausts the patience.

    Parameters
    ----------
    stretches : iterable, mostly a generator
        Takes a stretch of steps each time that it is asked for the next item, which is the record of that stretch. It
        raises DivergedError where the loss or the parameters are no longer finite.
    save, restore : callable
        `save` returns a copy of all that a training needs to go on from here, the parameters among it; `restore` goes
        back to what `save` returned.
    records : iterable
        What was recorded before, in the training that this one continues.
    patience : Patience or None
        The rule that ends the training early; None means that nothing does.
    best : BestCheckpoint or None
        The rule for the checkpoint to keep; None means the last one.
    begin_validation : callable or None
        Begins to validate the parameters of now, beside the steps of the next stretch, and returns a function that
        waits for it and returns the record with the result; returns None where the record is not to be validated.
        What validates between the stretches belongs to them instead.
    on_checkpoint : callable or None
        Called with the Training after each checkpoint, which is the last one where it returns something true.
    save_step : callable or None
        Returns what `save` would after the last whole step of a stretch that Ctrl-C ended, or None to drop its steps.
    check_end : callable or None
        Raises DivergedError where no prediction can be made with the parameters after the last step.

    Returns
    -------
    Training
        Its records, and how it ended.
    """
    loop = _Loop(list(records), save, patience, best, begin_validation, on_checkpoint)
    training = loop.training
    try:
        loop.run(stretches, check_end)
        training.ended = "patience" if training.is_exhausted else "stopped" if loop.is_stopped else "limit"
    except DivergedError:
        training.ended = "diverged"
    except KeyboardInterrupt:
        loop.finish_validation()
        saved = None if save_step is None else save_step()
        if saved is not None:
            training.last = training.last._replace(saved=saved)
        training.ended = "interrupted"
    kept = _choose(training)
    del training.records[training.last.n_records :]
    training.n_kept = kept.n_records
    restore(kept.saved)
    return training


def _choose(training):
    """Return the checkpoint to keep of a training that has ended."""
    best, last = training.best, training.last
    if best is None or (best.judges_start and training.ended != "diverged"):
        return last
    if training.ended == "interrupted" and not training.is_exhausted:
        return last
    return best.checkpoint or last


class _Loop:
    """A training under way.

    Ctrl-C may fall between any two lines. A stretch counts as soon as the training's `last` is the checkpoint at its
    end; `train` drops the records beyond that.
    """

    def __init__(self, records, save, patience, best, begin_validation, on_checkpoint):
        self._before = Checkpoint(len(records), save())
        self.training = Training(records, self._before, patience=patience, best=best)
        self._save, self._begin_validation, self._on_checkpoint = save, begin_validation, on_checkpoint
        self._pending: tuple[Checkpoint, Checkpoint, Callable[[], Any]] | None = None
        self.is_stopped = False

    def run(self, stretches, check_end):
        """Take the stretches until they or the patience end."""
        for record in stretches:
            self._count(record)
            if self.training.is_exhausted or self.is_stopped:
                break
        self.finish_validation()
        try:
            if check_end is not None:
                check_end()
        except DivergedError:
            self.training.last = self._before
            raise

    def finish_validation(self):
        """Wait for the validation that runs beside the steps, if there is one, and judge its checkpoint."""
        if self._pending is None:
            return
        before, checkpoint, finish = self._pending
        # A validation that Ctrl-C interrupts is left out.
        self._pending = None
        self.training.records[checkpoint.n_records - 1] = finish()
        self._judge(before, checkpoint)

    def _count(self, record):
        """Make the checkpoint at the end of a stretch, and judge it, or begin to validate it."""
        training = self.training
        training.records.append(record)
        checkpoint = Checkpoint(len(training.records), self._save())
        before = self._before = training.last
        training.last = checkpoint
        if self._pending is not None:
            # It ran beside this stretch, and may end the training at an earlier checkpoint.
            self.finish_validation()
            if training.is_exhausted:
                return
        finish = None if self._begin_validation is None else self._begin_validation(record)
        if finish is None:
            self._judge(before, checkpoint)
        else:
            self._pending = before, checkpoint, finish
            self._tell()

    def _judge(self, before, checkpoint):
        """Let patience and best checkpoint see the record of the stretch between two checkpoints, and tell of it."""
        training = self.training
        record = training.records[checkpoint.n_records - 1]
        if training.best is not None:
            training.best = training.best.after(record, before, checkpoint)
        if training.patience is not None:
            patience = training.patience.after(record)
            if patience.is_exhausted:
                # Steps that were taken beside the validation are dropped.
                training.last = checkpoint
            training.patience = patience
        self._tell()

    def _tell(self):
        """Call the caller's function, which may ask to stop."""
        if self._on_checkpoint is not None and self._on_checkpoint(self.training):
            self.is_stopped = True
