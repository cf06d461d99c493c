"""The compiled steps and validations of the course's trainers."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from fastlin.course.trainers.checks import read_weights
from fastlin.kernels.machine.arrays import compute_type
from fastlin.kernels.networks.minibatches import MomentumRule
from fastlin.matrices import DenseMatrix
from fastlin.networks import Examples, Network
from fastlin.training import LinearDescent
from fastlin.typing import Array, FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.course.trainers.models import BinaryModel, SoftmaxModel
    from fastlin.course.trainers.trainer import BaseTrainer


class CompiledTraining:
    """A trainer's model and data as networks take them: labels instead of one-hot targets, and one type throughout."""

    def __init__(self, trainer: BaseTrainer) -> None:
        self._trainer = trainer
        # A network is validated beside the steps of the other one.
        self._network, self._validated = (
            Network(trainer.model.w.shape, has_intercepts=False, dtype=compute_type(trainer.X_train)) for _ in range(2)
        )
        self._descent = LinearDescent(self._network)
        self._train = self._prepare(trainer.X_train, trainer.Y_train)
        self._val = self._prepare(trainer.X_val, trainer.Y_val)

    def _prepare(self, X, Y):
        labels = Y[:, 0] if Y.shape[1] == 1 else Y.argmax(axis=1)
        return Examples(DenseMatrix(np.ascontiguousarray(X, self._network.dtype)), labels.astype(np.int64))

    def train(self, order: IntArray, first: int, end: int) -> FloatArray:
        """Take the steps first to end - 1 of an epoch with this order of rows; return the loss before each step."""
        trainer, model = self._trainer, cast("BinaryModel | SoftmaxModel", self._trainer.model)
        self._network.coefs[0][:] = read_weights(trainer)
        rule = MomentumRule(1.0, float(trainer.learning_rate), float(trainer.momentum), float(model.l2), False)
        measured = self._descent.take_steps(self._train, order, trainer.batch_size, (first, end), rule)
        (gradient,), *_ = self._network.cut(self._network.gradient)
        model.w, model.grad = self._network.coefs[0].copy(), gradient.copy()
        return measured.losses

    def validate(self, weights: Array) -> tuple[float, float, float]:
        """Return what `BaseTrainer.validation_step` returns for these weights of the model."""
        self._validated.coefs[0][:] = weights
        loss, accuracy = self._validated.measure(self._val)
        return loss, self._validated.measure(self._train)[1], accuracy
