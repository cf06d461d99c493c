"""Judges of a training, as values that never change: the patience that ends it, and the best checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple


class Checkpoint(NamedTuple):
    """A place that a training can go back to: how many records it had, and what was saved there."""

    n_records: int
    saved: Any


@dataclass(frozen=True)
class Patience:
    """The rule that ends a training which no longer improves.

    The training ends with more than n_allowed records in a row without an improvement, which is the best score plus
    tol, or any rise if tol is None. The count begins again n_renewals times. A score of None is not judged.
    """

    score: Callable[[Any], float | None]
    n_allowed: float
    tol: float | None = None
    best_score: float | None = None
    n_worse: int = 0
    n_renewals: int = 0
    n_renewed: int = 0

    @property
    def is_exhausted(self) -> bool:
        """Say whether the training is to end."""
        return self.n_worse > self.n_allowed

    def after(self, record: Any) -> Patience:
        """Return the patience that is left after one more record."""
        score = self.score(record)
        if score is None:
            return self
        if self.best_score is None:
            return replace(self, best_score=score)
        # NaN is never an improvement.
        improves = score > self.best_score if self.tol is None else score >= self.best_score + self.tol
        patience = replace(self, best_score=max(self.best_score, score), n_worse=0 if improves else self.n_worse + 1)
        if patience.is_exhausted and self.n_renewed < self.n_renewals:
            return replace(patience, n_worse=0, n_renewed=self.n_renewed + 1)
        return patience


@dataclass(frozen=True, eq=False)
class BestCheckpoint:
    """The first checkpoint with the highest score, as in `Patience`.

    With validates_at_start a score judges the parameters that its stretch began with, and only serves diverged trainings.
    """

    score: Callable[[Any], float | None]
    validates_at_start: bool = False
    best_score: float | None = None
    checkpoint: Checkpoint | None = None

    def after(self, record: Any, before: Checkpoint, checkpoint: Checkpoint) -> BestCheckpoint:
        """Return the best checkpoint after one more record, of the stretch between two checkpoints."""
        score = self.score(record)
        if score is None or (self.best_score is not None and not score > self.best_score):
            return self
        return replace(self, best_score=score, checkpoint=before if self.validates_at_start else checkpoint)
