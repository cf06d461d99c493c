"""One training as it goes: compiled or own steps, validation in the background, best weights."""

import numpy as np

from fastlin.kernels.machine.arrays import compute_type, copy_aligned, writable_view
from fastlin.kernels.machine.threads import count_blocks, start_blocks
from fastlin.kernels.machine.tiles import count_tile_rows
from fastlin.kernels.networks.minibatches import evaluate_block, train_steps
from fastlin.trainers.progress import make_bar


class Run:
    """One call of train: the steps taken, what was recorded of them, and the validation that is still under way.

    A compiled validation runs on other threads while the next steps are taken; its result is recorded when they are
    done. Where it ends the training early, those steps are dropped again.
    """

    def __init__(self, trainer, n_steps):
        self._trainer = trainer
        self._losses = np.empty(n_steps)
        # Kernels count the steps on in the same call that writes the weights: Ctrl-C falls between whole steps.
        self._taken = np.zeros(1, dtype=np.int64)
        self._train_accuracy, self._val_loss, self._val_accuracy = {}, {}, {}
        self._pending = None
        trainer.model.w = np.array(trainer.model.w, dtype=compute_type(trainer.X_train), order="C")
        self._compiled = CompiledTraining(trainer) if trainer.can_compile() else None
        self._steps_compiled = self._compiled is not None and not trainer.overrides("train_step")
        self._validation_compiled = self._compiled is not None and not trainer.overrides("validation_step")
        self.best = _Best(trainer.patience)
        self.bar = make_bar(n_steps, trainer.progress)
        self.exhausted = False

    @property
    def n_steps(self):
        return int(self._taken[0])

    def take_steps(self, order, first, last):
        """Take the steps first to last - 1 of an epoch with this order of rows."""
        trainer = self._trainer
        if self._steps_compiled:
            self._compiled.train(order, first, last, self._losses, self._taken)
            return
        for step in range(first, last):
            rows = order[step * trainer.batch_size : (step + 1) * trainer.batch_size]
            self._losses[self.n_steps] = trainer.train_step(trainer.X_train[rows], trainer.Y_train[rows])
            self._taken[0] += 1

    def start_validation(self):
        """Validate the model as it is after the last step, in the background where that is possible."""
        w = np.array(self._trainer.model.w) if self._trainer.early_stopping else None
        if self._validation_compiled:
            self._pending = (self.n_steps - 1, w, self._compiled.start_evaluation())
        else:
            figures = self._trainer.validation_step()
            self._pending = (self.n_steps - 1, w, lambda: figures)
        if not (self._validation_compiled and self._steps_compiled):
            # The user's own code must not be called for steps that are dropped again.
            self.record_validation()

    def record_validation(self):
        """Wait for the validation under way, if there is one, and record it."""
        if self._pending is None:
            return
        step, w, finish = self._pending
        # First: Ctrl-C while it is waited for leaves it unfinished, and then it is not to be recorded.
        self._pending = None
        val_loss, accuracy_train, accuracy_val = finish()
        self._val_loss[step] = val_loss
        self._val_accuracy[step] = accuracy_val
        self._train_accuracy[step] = accuracy_train
        self.bar.show(
            step + 1, loss=f"{self._losses[step]:.4f}", validation=f"{val_loss:.4f}",
            accuracy=f"{accuracy_train:.4f} / {accuracy_val:.4f}",
        )  # fmt: skip
        if self._trainer.early_stopping and self.best.exhausted(val_loss, w):
            self.exhausted = True
            self._taken[0] = step + 1

    def histories(self):
        """Return train_history and val_history; with early stopping the model gets its best weights."""
        if self.best.w is not None:
            self._trainer.model.w = self.best.w
        losses = dict(enumerate(self._losses[: self.n_steps].tolist()))
        return (
            {"loss": losses, "accuracy": self._train_accuracy},
            {"loss": self._val_loss, "accuracy": self._val_accuracy},
        )


class CompiledTraining:
    """A trainer's data as the kernels take them: labels instead of one-hot targets, one type throughout."""

    def __init__(self, trainer):
        self._trainer = trainer
        self._dtype = compute_type(trainer.X_train)
        self._X_train, self._labels_train = self._prepare(trainer.X_train, trainer.Y_train)
        self._X_val, self._labels_val = self._prepare(trainer.X_val, trainer.Y_val)
        self._weights = np.ones(max(len(self._X_train), len(self._X_val)), self._dtype)
        n_inputs, n_outputs = trainer.model.w.shape
        self._tile_rows = count_tile_rows(n_inputs, n_outputs, np.dtype(self._dtype).itemsize)
        self._velocity = np.zeros_like(trainer.model.w)

    def _prepare(self, X, Y):
        labels = Y[:, 0] if Y.shape[1] == 1 else Y.argmax(axis=1)
        return writable_view(np.ascontiguousarray(X, dtype=self._dtype)), labels.astype(np.int64)

    def train(self, order, first, last, losses, taken):
        trainer, model = self._trainer, self._trainer.model
        model.w = np.ascontiguousarray(model.w, dtype=self._dtype)
        if model.grad is None or model.grad.shape != model.w.shape or model.grad.dtype != self._dtype:
            model.grad = np.zeros_like(model.w)
        train_steps(
            self._X_train, self._labels_train, self._weights, order, trainer.batch_size, first, last, model.w,
            model.grad, self._velocity, float(trainer.learning_rate), float(trainer.momentum), float(model.l2),
            self._tile_rows, losses, taken,
        )  # fmt: skip

    def start_evaluation(self):
        """Begin to evaluate the model as it is now, on threads beside this one; return the function that ends it."""
        coef = copy_aligned(self._trainer.model.w.T.astype(self._dtype, copy=False))
        train, _, n_correct_train = self._start(self._X_train, self._labels_train, coef, with_loss=False)
        val, losses, n_correct_val = self._start(self._X_val, self._labels_val, coef, with_loss=True)

        def finish():
            train.finish()
            val.finish()
            return (
                float(losses.sum() / len(self._X_val)),
                float(n_correct_train.sum() / len(self._X_train)),
                float(n_correct_val.sum() / len(self._X_val)),
            )

        return finish

    def _start(self, X, labels, coef, with_loss):
        n_blocks = count_blocks(len(X), row_work=coef.size, partial_bytes=0, data_bytes=X.nbytes)
        losses = np.zeros(n_blocks if with_loss else 0)
        n_correct = np.zeros(n_blocks, dtype=np.int64)
        run = start_blocks(evaluate_block, n_blocks, X, labels, self._weights, coef, self._tile_rows, losses, n_correct)
        return run, losses, n_correct


class _Best:
    """The best weights so far, and how many validations have passed without better ones."""

    def __init__(self, patience):
        self._patience = patience
        self._loss = np.inf
        self._n_worse = 0
        self.w = None

    def exhausted(self, loss, w):
        if self.w is None or loss < self._loss:
            self._loss, self._n_worse, self.w = loss, 0, w
        else:
            self._n_worse += 1
        return self._n_worse >= self._patience
