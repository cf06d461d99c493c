"""The training loop: it runs segments of steps, stores their records, and restores the best or last state."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fastlin.training.monitors import BestCheckpoint, Checkpoint, EarlyStopping


class DivergedError(ArithmeticError):
    """The loss or the parameters of a training run are no longer finite."""


@dataclass
class Training:
    """The records, monitors and stop reason of a training run.

    `last` is the checkpoint after the last record. `stop_reason` is "limit" (all steps were taken),
    "patience" (early stopping), "stopped" (by the callback), "diverged" or "interrupted". `n_kept_records` is the
    number of records up to the restored checkpoint.
    """

    records: list[Any]
    last: Checkpoint
    stop_reason: str = "limit"
    n_kept_records: int = 0
    monitor: EarlyStopping | None = None
    best: BestCheckpoint | None = None

    @property
    def is_patience_exhausted(self) -> bool:
        """Whether early stopping should end the training run."""
        return self.monitor is not None and self.monitor.is_patience_exhausted


def train(
    step_segments: Iterable[Any],
    save: Callable[[], Any],
    restore: Callable[[Any], object],
    *,
    records: Iterable[Any] = (),
    monitor: EarlyStopping | None = None,
    best: BestCheckpoint | None = None,
    on_checkpoint: Callable[[Training], object] | None = None,
    save_interrupted_state: Callable[[], Any] | None = None,
    check_final_state: Callable[[], object] | None = None,
) -> Training:
    """Run segments of steps, update the monitors with the records, and restore the best or last checkpoint.

    Iterating over `step_segments` runs one segment at a time and yields the record of the segment. If the loss or the
    parameters are not finite, it raises a DivergedError. `save` returns a copy of the training state, and `restore`
    restores such a copy. If `best` is given, the best checkpoint is restored, otherwise the last one. After Ctrl-C, the
    state that `save_interrupted_state` returns or the last checkpoint is restored. `on_checkpoint` returns whether to
    stop.
    """
    records = list(records)
    before = Checkpoint(len(records), save())
    training = Training(records, before, monitor=monitor, best=best)
    # Ctrl-C may occur between any two lines. A segment is complete once `last` is the checkpoint at its end.
    try:
        for record in step_segments:
            records.append(record)
            checkpoint = Checkpoint(len(records), save())
            before = training.last
            training.last = checkpoint
            if training.best is not None:
                training.best = training.best.updated_with_record(record, before, checkpoint)
            if training.monitor is not None:
                training.monitor = training.monitor.updated_with_record(record)
            if on_checkpoint is not None and on_checkpoint(training):
                training.stop_reason = "stopped"
            if training.is_patience_exhausted or training.stop_reason == "stopped":
                break
        if training.is_patience_exhausted:
            training.stop_reason = "patience"
        try:
            if check_final_state is not None:
                check_final_state()
        except DivergedError:
            # The parameters after the last segment are unusable.
            training.last = before
            raise
    except DivergedError:
        training.stop_reason = "diverged"
    except KeyboardInterrupt:
        saved = None if save_interrupted_state is None else save_interrupted_state()
        if saved is not None:
            training.last = training.last._replace(saved=saved)
        training.stop_reason = "interrupted"
    checkpoint = _choose_checkpoint(training)
    del records[training.last.n_records :]
    training.n_kept_records = checkpoint.n_records
    restore(checkpoint.saved)
    return training


def _choose_checkpoint(training):
    """Return the checkpoint to restore after a training run has ended."""
    best, last = training.best, training.last
    if best is None or (best.is_scored_at_start and training.stop_reason != "diverged"):
        return last
    if training.stop_reason == "interrupted" and not training.is_patience_exhausted:
        return last
    return best.checkpoint or last
