"""The compiled steps and validations of the course's trainers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fastlin.course.trainers.checks import read_weights
from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.arrays import any_layout, compute_type, copy_aligned, writable_view
from fastlin.kernels.machine.threads import BlockRun, count_blocks
from fastlin.kernels.machine.tiles import count_tile_rows
from fastlin.kernels.networks.minibatches import Measured, MomentumRule, MomentumState, evaluate_block, train_steps
from fastlin.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.course.trainers.models import BinaryModel, SoftmaxModel
    from fastlin.course.trainers.trainer import BaseTrainer


class CompiledTraining:
    """A trainer's data as the kernels take them: labels instead of one-hot targets, and one type throughout."""

    def __init__(self, trainer: BaseTrainer) -> None:
        self._trainer = trainer
        self._dtype = compute_type(trainer.X_train)
        self._X_train, self._labels_train = self._prepare(trainer.X_train, trainer.Y_train)
        self._X_val, self._labels_val = self._prepare(trainer.X_val, trainer.Y_val)
        self._weights = np.ones(max(len(self._X_train), len(self._X_val)), self._dtype)
        n_inputs, n_outputs = trainer.model.w.shape
        self._tile_rows = count_tile_rows(n_inputs, n_outputs, np.dtype(self._dtype).itemsize)
        self._velocity = np.zeros_like(trainer.model.w)
        self._no_intercept = np.zeros((2, n_outputs), self._dtype)

    def _prepare(self, X, Y):
        labels = Y[:, 0] if Y.shape[1] == 1 else Y.argmax(axis=1)
        return writable_view(np.ascontiguousarray(X, dtype=self._dtype)), labels.astype(np.int64)

    def train(self, order: IntArray, first: int, end: int) -> FloatArray:
        """Take the steps first to end - 1 of an epoch with this order of rows; return the loss before each step."""
        trainer, model = self._trainer, cast("BinaryModel | SoftmaxModel", self._trainer.model)
        model.w = np.ascontiguousarray(read_weights(trainer), dtype=self._dtype)
        gradient: Any = model.grad
        is_like_w = isinstance(gradient, np.ndarray) and gradient.shape == model.w.shape
        if not (is_like_w and gradient.dtype == self._dtype and gradient.flags.carray):
            model.grad = gradient = np.zeros_like(model.w)
        measured = Measured(*np.empty((2, end - first)), *np.empty((2, 0)))
        samples = Samples(order, self._labels_train, np.empty(0))
        (intercept, its_velocity), no_mean, counts = self._no_intercept, np.empty((0, 0)), np.zeros(2, np.int64)
        state = MomentumState(model.w, gradient, self._velocity, intercept, its_velocity, no_mean, counts)
        rule = MomentumRule(1.0, float(trainer.learning_rate), float(trainer.momentum), float(model.l2), False)
        layers = any_layout(self._X_train)
        train_steps(layers, samples, trainer.batch_size, first, end, state, rule, self._tile_rows, measured)
        return measured.losses

    def validate(self) -> tuple[float, float, float]:
        """Return what `BaseTrainer.validation_step` returns."""
        return self.begin_validation()()

    def begin_validation(self) -> Callable[[], tuple[float, float, float]]:
        """Begin to validate the model as it is now, on threads beside this one.

        Returns
        -------
        finish : callable
            Waits for the validation and returns what `BaseTrainer.validation_step` returns.
        """
        coef = copy_aligned(read_weights(self._trainer).T.astype(self._dtype, copy=False))
        # Ctrl-C may end the first wait: no thread reads or writes on, because the stack waits for both.
        with ExitStack() as runs:
            _, n_correct_train = self._start(runs, self._X_train, self._labels_train, coef, with_loss=False)
            losses, n_correct_val = self._start(runs, self._X_val, self._labels_val, coef, with_loss=True)
            started = runs.pop_all()

        def finish():
            started.close()
            return (
                float(losses.sum() / len(self._X_val)),
                float(n_correct_train.sum() / len(self._X_train)),
                float(n_correct_val.sum() / len(self._X_val)),
            )

        return finish

    def _start(self, runs, X, labels, coef, with_loss):
        """Start an evaluation, which the ExitStack `runs` waits for; return what it fills."""
        n_blocks = count_blocks(len(X), row_work=coef.size)
        losses = np.zeros(n_blocks if with_loss else 0)
        n_correct = np.zeros(n_blocks, dtype=np.int64)
        run = BlockRun(evaluate_block, n_blocks, X, labels, self._weights, coef, self._tile_rows, losses, n_correct)
        runs.callback(run.finish)
        run.start()
        return losses, n_correct
