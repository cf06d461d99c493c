"""The compiled steps and validations of the course's trainers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, cast

import numpy as np

from fastlin.course.trainers.checks import read_weights
from fastlin.kernels.linear.dense_rows import fill_block_scores
from fastlin.kernels.linear.operands import Parameters
from fastlin.kernels.machine.arrays import compute_type, copy_aligned
from fastlin.kernels.machine.threads import BlockRun, count_blocks
from fastlin.kernels.machine.tiles import count_tile_rows
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
        (self._gradient,), *_ = self._network.cut(self._network.gradient)
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
        model.w, model.grad = self._network.coefs[0].copy(), self._gradient.copy()
        return measured.losses

    def validate(self, weights: Array) -> tuple[float, float, float]:
        """Return what `BaseTrainer.validation_step` returns for these weights of the model."""
        with ThreadPoolExecutor(1) as thread:
            return self.begin_validation(thread, weights)()

    def begin_validation(self, thread: Executor, weights: Array) -> Callable[[], tuple[float, float, float]]:
        """Begin to validate beside this thread; the returned function takes part and returns the outcome."""
        self._validated.coefs[0][:] = weights
        measured = thread.submit(copy_context().run, self._validated.measure, self._val)
        # The loss of the training rows, which nobody asks for, would take a fifth of the time more.
        X, coef = self._train.matrix, copy_aligned(weights.T)
        best, no_scores = np.empty(len(self._train), np.int64), np.empty((0, len(coef)), coef.dtype)
        parameters = Parameters(coef, np.zeros(len(coef), coef.dtype))
        n_classes, n_inputs = coef.shape
        n_blocks = count_blocks(len(best), coef.size)
        tile_rows = count_tile_rows(n_inputs, n_classes, coef.itemsize)
        scored = BlockRun(fill_block_scores, n_blocks, X.layers, parameters, tile_rows, no_scores, best)
        scored.start()

        def finish():
            scored.finish()
            loss, accuracy = measured.result()
            return loss, float(np.mean(best == self._train.labels)), accuracy

        return finish
