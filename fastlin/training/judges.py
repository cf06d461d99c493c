"""Judges of a training, as values: the patience that ends it, and the best checkpoint that it goes back to.

Both score the record of each checkpoint. A judge never changes: `after` returns the judge that has seen one more.
"""

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

    A higher score of a record is better; a score of None is not judged. The training ends with more than n_allowed
    records in a row that are no improvement; n_worse counts them. A record improves on the best score by reaching it
    plus tol, or by exceeding it where tol is None. The count begins anew n_renewals times before the training ends.
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
    """The checkpoint with the highest score, as in `Patience`, the first one of several.

    With judges_start the score of a record judges the parameters that its stretch began with, as the loss of a batch
    does. Such a score only decides to which checkpoint a diverged training goes back.
    """

    score: Callable[[Any], float | None]
    judges_start: bool = False
    best_score: float | None = None
    checkpoint: Checkpoint | None = None

    def after(self, record: Any, before: Checkpoint, checkpoint: Checkpoint) -> BestCheckpoint:
        """Return the best checkpoint after one more record, of the stretch between two checkpoints."""
        score = self.score(record)
        if score is None or (self.best_score is not None and not score > self.best_score):
            return self
        return replace(self, best_score=score, checkpoint=before if self.judges_start else checkpoint)
