"""The compiled steps and validations of the course's trainers."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from fastlin.course.trainers.checks import validate_weights
from fastlin.kernels.machine.arrays import copy_aligned, get_computation_type
from fastlin.kernels.machine.threads import BlockRun, count_blocks
from fastlin.kernels.machine.tiles import count_tile_rows
from fastlin.kernels.networks.minibatches import MomentumRule, evaluate_block
from fastlin.matrices import DenseMatrix
from fastlin.networks import Examples, Network
from fastlin.training import LinearDescent
from fastlin.typing import Array, FloatArray, IntArray


class CompiledTraining:
    """The model of a trainer as a Network, and its data as Examples with labels instead of one-hot targets."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self._network = Network(
            trainer.model.w.shape, has_intercepts=False, dtype=get_computation_type(trainer.X_train)
        )
        self._descent = LinearDescent(self._network)
        (self._gradient,), *_ = self._network.make_layer_views(self._network.gradient)
        self._train_examples = self._make_examples(trainer.X_train, trainer.Y_train)
        self._val_examples = self._make_examples(trainer.X_val, trainer.Y_val)

    def _make_examples(self, X, Y):
        labels = Y[:, 0] if Y.shape[1] == 1 else Y.argmax(axis=1)
        return Examples(DenseMatrix(np.ascontiguousarray(X, self._network.dtype)), labels.astype(np.int32))

    def train(self, order: IntArray, first: int, end: int) -> FloatArray:
        """Take the steps `first` to `end` - 1 of an epoch with this order of rows; return the loss before each step."""
        trainer, model = self._trainer, self._trainer.model
        self._network.coefs[0][:] = validate_weights(trainer)
        rule = MomentumRule(1.0, float(trainer.learning_rate), float(trainer.momentum), float(model.l2), False)
        measured = self._descent.take_steps(self._train_examples, order, trainer.batch_size, (first, end), rule)
        model.w, model.grad = self._network.coefs[0].copy(), self._gradient.copy()
        return measured.losses

    def start_validation(self, weights: Array) -> Callable[[], tuple[float, float, float]]:
        """Start `BaseTrainer.validation_step` on other threads; return a function that waits for the result."""
        coef = copy_aligned(weights.T)
        # If Ctrl-C interrupts the first wait, the ExitStack still waits for both evaluations, so no thread accesses the
        # arrays afterwards.
        with ExitStack() as run_stack:
            _, n_correct_train = self._start_evaluation(
                run_stack, self._train_examples, coef, should_compute_losses=False
            )
            losses, n_correct_val = self._start_evaluation(
                run_stack, self._val_examples, coef, should_compute_losses=True
            )
            started_runs = run_stack.pop_all()

        def finish_validation():
            started_runs.close()
            n_train, n_val = len(self._train_examples), len(self._val_examples)
            loss, accuracy_train = float(losses.sum() / n_val), float(n_correct_train.sum() / n_train)
            return loss, accuracy_train, float(n_correct_val.sum() / n_val)

        return finish_validation

    def _start_evaluation(self, run_stack, examples, coef, should_compute_losses):
        """Start an evaluation, and return the arrays for its losses and its numbers of correct rows.

        The ExitStack `run_stack` waits for the evaluation.
        """
        n_classes, n_inputs = coef.shape
        n_blocks = count_blocks(len(examples), coef.size)
        tile_rows = count_tile_rows(n_inputs, n_classes, coef.itemsize)
        losses, n_correct = np.zeros(n_blocks if should_compute_losses else 0), np.zeros(n_blocks, np.int64)
        arguments = examples.matrix.layers, examples.labels, coef, tile_rows
        run = BlockRun(evaluate_block, n_blocks, *arguments, losses, n_correct)
        run_stack.callback(run.finish)
        run.start()
        return losses, n_correct
