"""Immutable monitors of a training run: early stopping, and the best checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple


class Checkpoint(NamedTuple):
    """A saved state of a training run, and the number of records before it."""

    n_records: int
    saved: Any


@dataclass(frozen=True)
class EarlyStopping:
    """Early stopping of a training run that no longer improves.

    The training run ends after more than `max_without_improvement` consecutive records without an improvement. A score
    is an improvement if it is at least the best score plus `tol` or, if `tol` is None, greater than the best score. The
    first `max_rate_reductions` times, the counter is reset instead, and the run continues. Records with a score of None
    are ignored.
    """

    score: Callable[[Any], float | None]
    max_without_improvement: float
    tol: float | None = None
    best_score: float | None = None
    n_without_improvement: int = 0
    max_rate_reductions: int = 0
    n_rate_reductions: int = 0

    @property
    def is_patience_exhausted(self) -> bool:
        """Whether the training run should end."""
        return self.n_without_improvement > self.max_without_improvement

    def updated_with_record(self, record: Any) -> EarlyStopping:
        """Return the monitor updated with one more record."""
        score = self.score(record)
        if score is None:
            return self
        if self.best_score is None:
            return replace(self, best_score=score)
        # NaN is never an improvement.
        is_improvement = score > self.best_score if self.tol is None else score >= self.best_score + self.tol
        monitor = replace(
            self,
            best_score=max(self.best_score, score),
            n_without_improvement=0 if is_improvement else self.n_without_improvement + 1,
        )
        if monitor.is_patience_exhausted and self.n_rate_reductions < self.max_rate_reductions:
            return replace(monitor, n_without_improvement=0, n_rate_reductions=self.n_rate_reductions + 1)
        return monitor


@dataclass(frozen=True, eq=False)
class BestCheckpoint:
    """The first checkpoint with the highest score. For scores, see `EarlyStopping`.

    If `is_scored_at_start` is true, a score belongs to the parameters at the start of a segment. The best checkpoint is
    then restored only if the training run diverges.
    """

    score: Callable[[Any], float | None]
    is_scored_at_start: bool = False
    best_score: float | None = None
    checkpoint: Checkpoint | None = None

    def updated_with_record(self, record: Any, before: Checkpoint, checkpoint: Checkpoint) -> BestCheckpoint:
        """Return the monitor updated with the record of the segment between two checkpoints."""
        score = self.score(record)
        if score is None or (self.best_score is not None and not score > self.best_score):
            return self
        return replace(self, best_score=score, checkpoint=before if self.is_scored_at_start else checkpoint)
