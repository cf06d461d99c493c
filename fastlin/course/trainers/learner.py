"""A course trainer as the training loop drives it: compiled steps and validations, or the student's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlin.course.trainers.checks import read_weights
from fastlin.course.trainers.compiled import CompiledTraining
from fastlin.kernels.machine.arrays import compute_type
from fastlin.training import Learner
from fastlin.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.course.trainers.trainer import BaseTrainer
    from fastlin.training.schedule import Stretch


@dataclass(frozen=True)
class Steps:
    """What a trainer recorded of a stretch of steps.

    Attributes
    ----------
    last : int
        Number of the last step, counted from 0 over the whole training.
    losses : list of float
        Loss of each step's batch before the step.
    validation : tuple of float or None
        What `BaseTrainer.validation_step` returned after the last step: the loss over X_val and the accuracies over
        X_train and X_val. None where nothing was validated.
    """

    last: int
    losses: list[float]
    validation: tuple[float, float, float] | None = None


class TrainerLearner(Learner):
    """One call of `BaseTrainer.train`.

    Parameters
    ----------
    trainer : BaseTrainer
        The trainer, whose model is trained in place.
    steps_per_epoch : int
        Number of whole batches.
    random_state : RandomState, or the module numpy.random
        Draws the order of the rows of each epoch.

    Attributes
    ----------
    compiles_steps : bool
        Whether a stretch of steps is one compiled call; else each step calls the student's code.
    validates_beside : bool
        Whether validations run on other threads while the next steps are taken. Where steps or validations are the
        student's own code they do not, so that it is not called for steps that are dropped again.
    """

    def __init__(self, trainer: BaseTrainer, steps_per_epoch: int, random_state: Any) -> None:
        self._trainer, self._random_state = trainer, random_state
        self._steps_per_epoch = steps_per_epoch
        self._order: IntArray = np.empty(0, np.int64)
        trainer.model.w = np.array(read_weights(trainer), dtype=compute_type(trainer.X_train), order="C")
        self._compiled = CompiledTraining(trainer) if trainer.can_compile() else None
        self.compiles_steps = self._compiled is not None and not trainer.overrides("train_step")
        self._compiles_validation = self._compiled is not None and not trainer.overrides("validation_step")
        self.validates_beside = self.compiles_steps and self._compiles_validation

    def advance(self, stretch: Stretch) -> Steps:
        """Take the steps of a Stretch, all of one epoch, and return the record of them, Steps."""
        trainer = self._trainer
        epoch, first = divmod(stretch.first, self._steps_per_epoch)
        end = first + stretch.end - stretch.first
        if first == 0:
            self._begin_epoch(epoch)
        if self._compiled is not None and self.compiles_steps:
            return Steps(stretch.end - 1, self._compiled.train(self._order, first, end).tolist())
        losses = []
        for step in range(first, end):
            rows = self._order[step * trainer.batch_size : (step + 1) * trainer.batch_size]
            losses.append(float(trainer.train_step(trainer.X_train[rows], trainer.Y_train[rows])))
        return Steps(stretch.end - 1, losses)

    def validate(self, record: Steps) -> Steps:
        """Return the Steps with a validation of the model as it is now."""
        if self._compiles_validation:
            return self.begin_validation(record)()
        val_loss, accuracy_train, accuracy_val = self._trainer.validation_step()
        return replace(record, validation=(val_loss, accuracy_train, accuracy_val))

    def begin_validation(self, record: Steps) -> Callable[[], Steps]:
        """Begin a compiled validation; return a function that waits for it and returns the Steps with the result."""
        assert self._compiled is not None
        finish = self._compiled.begin_validation()
        return lambda: replace(record, validation=finish())

    def save(self) -> FloatArray:
        """Return a copy of the model's weights."""
        return np.array(self._trainer.model.w)

    def restore(self, saved: FloatArray) -> None:
        """Give the model these weights."""
        self._trainer.model.w = saved

    def _begin_epoch(self, epoch):
        """Draw the order of the rows; after the first epoch, let the learning rate decay."""
        trainer = self._trainer
        if epoch > 0:
            trainer.learning_rate *= trainer.learning_rate_decay
        self._order = np.arange(len(trainer.X_train))
        if trainer.shuffle_dataset:
            self._random_state.shuffle(self._order)
