"""The one training loop: stretches of steps, their validations, and the parameters that a training ends with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastlin.training.judges import BestCheckpoint, Checkpoint, Patience

if TYPE_CHECKING:
    from fastlin.training.schedule import Schedule, Stretch


class DivergedError(ArithmeticError):
    """The loss or the parameters of a learner are no longer finite."""


class Learner:
    """What a training drives: something that takes steps, can be validated, and can go back to where it was.

    A learner describes each stretch of steps by a record of its own making, which the judges of the training score.

    Attributes
    ----------
    validates_beside : bool
        Whether a validation may run while the next stretch is taken. Then the loop calls `begin_validation`, else
        `validate`.
    """

    validates_beside = False

    def advance(self, stretch: Stretch) -> Any:
        """Take the steps of a Stretch and return the record of them.

        Raises
        ------
        DivergedError
            The loss or the parameters are no longer finite.
        """
        raise NotImplementedError

    def validate(self, record: Any) -> Any:
        """Validate the parameters of now; return the record with the result.

        Raises
        ------
        DivergedError
            The result is not finite.
        """
        raise NotImplementedError

    def begin_validation(self, record: Any) -> Callable[[], Any]:
        """Begin to validate the parameters of now; return a function that waits for it and does as `validate`."""
        raise NotImplementedError

    def save(self) -> Any:
        """Return a copy of all that a training needs to go on from here, the parameters among it."""
        raise NotImplementedError

    def save_step(self) -> Any:
        """Return what `save` would after the last whole step of a stretch that Ctrl-C ended, or None to drop them."""
        return None

    def restore(self, saved: Any) -> None:
        """Go back to what `save` returned."""
        raise NotImplementedError

    def resume(self, saved: Any) -> None:
        """Go on from what `save` returned, with the bits of a training that was never interrupted."""
        raise NotImplementedError

    def check_end(self) -> None:
        """Raise DivergedError where no prediction can be made with the parameters after the last step."""


@dataclass
class Training:
    """What a training met on its way, and how it ended.

    Attributes
    ----------
    records : list
        What the learner recorded of each stretch. A stretch in which the training diverged or was interrupted has no
        record.
    n_steps : int
        Number of steps that the records describe.
    last : Checkpoint
        The checkpoint at the end of the records.
    ended : {"limit", "patience", "stopped", "diverged", "interrupted"}
        The training came to the end of its schedule, or its patience was exhausted, or the caller's function asked to
        stop, or loss or parameters were no longer finite, or Ctrl-C ended it.
    n_kept : int
        Number of records up to the checkpoint whose parameters the learner has now.
    patience : Patience or None
        What is left of the patience that the training was given.
    best : BestCheckpoint or None
        What has seen the records, where there is a rule for the checkpoint to keep.
    """

    records: list[Any]
    n_steps: int
    last: Checkpoint
    ended: str = "limit"
    n_kept: int = 0
    patience: Patience | None = None
    best: BestCheckpoint | None = None


def train(
    learner: Learner,
    schedule: Schedule,
    *,
    patience: Patience | None = None,
    best: BestCheckpoint | None = None,
    on_checkpoint: Callable[[Training], object] | None = None,
    resumed: Training | None = None,
) -> Training:
    """Take a learner along a schedule.

    The learner ends with the parameters of the best checkpoint, if there is a rule for it, else of the last one. The
    same holds for a training that diverges. Ctrl-C raises nothing and keeps the last checkpoint, unless the validation
    that was under way exhausts the patience.

    Parameters
    ----------
    learner : Learner
        What takes the steps.
    schedule : Schedule
        The steps, and which of them are validated.
    patience : Patience or None
        The rule that ends the training early; None means that nothing does.
    best : BestCheckpoint or None
        The rule for the checkpoint to keep; None means the last one.
    on_checkpoint : callable or None
        Called with the Training after each checkpoint, which is the last one where it returns something true.
    resumed : Training or None
        A training along the same schedule, as it was after a checkpoint; this one goes on from there. Its patience and
        its rule for the best checkpoint are given anew.

    Returns
    -------
    Training
        Its records, and how it ended.
    """
    if resumed is not None:
        learner.resume(resumed.last.saved)
    loop = _Loop(learner, patience, best, on_checkpoint, resumed)
    training = loop.training
    try:
        loop.run(schedule)
        training.ended = "patience" if loop.is_exhausted else "stopped" if loop.is_stopped else "limit"
    except DivergedError:
        training.ended = "diverged"
    except KeyboardInterrupt:
        loop.finish_validation()
        saved = learner.save_step()
        if saved is not None:
            training.last = training.last._replace(saved=saved)
        training.ended = "interrupted"
    kept = loop.choose(training.ended)
    del training.records[training.last.n_records :]
    training.n_steps, training.n_kept = training.last.n_steps, kept.n_records
    learner.restore(kept.saved)
    return training


class _Loop:
    """A training under way.

    Ctrl-C may fall between any two lines. A stretch counts as soon as the training's `last` is the checkpoint at its
    end; `train` drops the records beyond that.
    """

    def __init__(self, learner, patience, best, on_checkpoint, resumed):
        records, n_steps = ([], 0) if resumed is None else (list(resumed.records), resumed.n_steps)
        self._before = Checkpoint(n_steps, len(records), learner.save())
        self.training = Training(records, n_steps, self._before, patience=patience, best=best)
        self._learner, self._on_checkpoint = learner, on_checkpoint
        self._pending: tuple[Checkpoint, Checkpoint, Callable[[], Any]] | None = None
        self._is_over = resumed is not None and self.is_exhausted
        self.is_stopped = False

    @property
    def is_exhausted(self):
        return self.training.patience is not None and self.training.patience.is_exhausted

    def run(self, schedule):
        """Take stretches until the schedule or the patience ends."""
        for stretch in schedule.stretches(self.training.n_steps):
            # A training whose patience is exhausted when it begins takes one stretch; one that was saved then is over.
            if self._is_over:
                break
            self._take(stretch)
            self._is_over = self.is_exhausted or self.is_stopped
        self.finish_validation()
        try:
            self._learner.check_end()
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
        self._tell()

    def choose(self, ended):
        """Return the checkpoint whose parameters the learner keeps after a training that ended so."""
        best, last = self.training.best, self.training.last
        if best is None or (best.judges_start and ended != "diverged"):
            return last
        if ended == "interrupted" and not self.is_exhausted:
            return last
        return best.checkpoint or last

    def _take(self, stretch):
        """Take a stretch, and validate the learner after it, or begin to."""
        learner, training = self._learner, self.training
        _, end, is_validated = stretch
        record = learner.advance(stretch)
        if is_validated and not learner.validates_beside:
            record = learner.validate(record)
        training.records.append(record)
        checkpoint = Checkpoint(end, len(training.records), learner.save())
        before = self._before = training.last
        training.last = checkpoint
        training.n_steps = end
        if self._pending is not None:
            # It ran beside this stretch, and may end the training at an earlier checkpoint.
            self.finish_validation()
            if self.is_exhausted:
                return
        if is_validated and learner.validates_beside:
            self._pending = before, checkpoint, learner.begin_validation(record)
        else:
            self._judge(before, checkpoint)
        self._tell()

    def _tell(self):
        """Call the caller's function, which may ask to stop."""
        if self._on_checkpoint is not None and self._on_checkpoint(self.training):
            self.is_stopped = True

    def _judge(self, before, checkpoint):
        """Let patience and best checkpoint see the record of the stretch between two checkpoints."""
        record = self.training.records[checkpoint.n_records - 1]
        if self.training.best is not None:
            self.training.best = self.training.best.after(record, before, checkpoint)
        if self.training.patience is not None:
            patience = self.training.patience.after(record)
            if patience.is_exhausted:
                # Steps that were taken beside the validation are dropped.
                self.training.last = checkpoint
            self.training.patience = patience
