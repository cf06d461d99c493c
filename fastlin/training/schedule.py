"""The schedule of a training: its steps, cut into stretches that end in checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Stretch(NamedTuple):
    """Steps that are taken between two checkpoints.

    Attributes
    ----------
    first, end : int
        The steps are first to end - 1, counted from 0 over the whole training.
    is_validated : bool
        Whether the learner is validated after the last of them.
    """

    first: int
    end: int
    is_validated: bool


@dataclass(frozen=True)
class Schedule:
    """How many steps a training takes, and which of them a checkpoint follows.

    A step is what the learner calls one: an update, or a whole epoch of updates. A checkpoint follows each validated
    step, the last step of each epoch and the last step of all.

    Attributes
    ----------
    n_steps : int
        Number of steps, at least 0.
    steps_per_validation : float or None
        Steps whose number is a multiple of this are validated; None means that none is.
    steps_per_epoch : int or None
        No stretch reaches beyond the end of an epoch of this length; None means that the training is one epoch.
    longest_stretch : int or None
        Largest number of steps between two checkpoints; None means that there is no limit.
    """

    n_steps: int
    steps_per_validation: float | None = None
    steps_per_epoch: int | None = None
    longest_stretch: int | None = None

    def stretches(self, first: int = 0) -> Iterator[Stretch]:
        """Yield the stretches in order, from a first step on where one begins."""
        while first < self.n_steps:
            end = first + 1
            while end < self.n_steps and not self._ends_stretch(first, end):
                end += 1
            yield Stretch(first, end, self._is_validated(end - 1))
            first = end

    def _ends_stretch(self, first, end):
        if end - first == self.longest_stretch or self._is_validated(end - 1):
            return True
        return self.steps_per_epoch is not None and end % self.steps_per_epoch == 0

    def _is_validated(self, step):
        return self.steps_per_validation is not None and step % self.steps_per_validation == 0
