"""The trainers of the course, for scripts that construct, subclass and call them."""

from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from fastlin.containers.fitted import as_array
from fastlin.course.trainers.checks import (
    check_count,
    check_number,
    check_validation_result,
    validate_gradient,
    validate_loss,
    validate_weights,
)
from fastlin.course.trainers.compiled import CompiledTraining
from fastlin.course.trainers.differences import warn_once
from fastlin.course.trainers.measures import calculate_accuracy, cross_entropy_loss
from fastlin.course.trainers.models import BinaryModel, CourseModel, SoftmaxModel, has_fastlin_methods
from fastlin.kernels.machine.arrays import get_computation_type
from fastlin.kernels.machine.threads import limit_threads
from fastlin.training import BestCheckpoint, EarlyStopping, train
from fastlin.training.step_bar import show_step_progress
from fastlin.typing import Array, FloatArray, RandomState

Histories = tuple[dict[str, dict[int, float]], dict[str, dict[int, float]]]

DATA_ARRAY_NAMES = "X_train", "Y_train", "X_val", "Y_val"


@dataclass(eq=False, repr=False)
class BaseTrainer:
    """Mini-batch gradient descent.

    Parameters
    ----------
    model : BinaryModel, SoftmaxModel or any object with ``w``, ``grad``, ``forward`` and ``backward``
        Model that is trained in place. ``backward`` sets ``grad``. Both ``w`` and ``grad`` have shape
        (inputs, outputs).
    learning_rate : float
        Step size, at least 0.
    batch_size : int
        Number of rows per batch, from 1 to N.
    shuffle_dataset : bool
        Whether to shuffle the rows before each epoch.
    X_train, Y_train : ndarray of shapes (N, inputs), and (N, 1) or (N, K)
        Training rows and their targets. The computation is in float32 for float32 rows, and in float64 otherwise.
    X_val, Y_val : ndarray
        Validation rows and their targets, with the same numbers of columns as X_train and Y_train.
    early_stopping : bool or None, default=None
        Whether to stop when the validation loss has not improved in the last `patience` validations. If True, the model
        has its best weights after the training run, even without an early stop. After Ctrl-C, it has its last weights.
        None means False, with a CourseWarning if early stopping would have ended the training run.
    patience : int, default=10
        Number of validations without improvement before early stopping, at least 1.
    seed : int, RandomState or None, default=None
        Seed for shuffling. None means NumPy's global random state, as set by ``np.random.seed``.
    progress : bool, default=True
        Whether to show a progress bar with loss and accuracy.
    momentum : float, default=0.0
        Momentum from 0 to 1 in the update v = momentum v + gradient, w -= learning_rate v.
    learning_rate_decay : float, default=1.0
        Factor by which the learning rate is multiplied after each epoch.

    Attributes
    ----------
    interrupted : bool
        Whether Ctrl-C ended the last training run.
    histories : tuple of dict or None
        Histories of the last training run. The histories and the trained weights are available even if a warning
        filter converted a warning of the training run to an error.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin.trainers import BaseTrainer, BinaryModel
    >>> X, Y = np.array([[0.5, 1.0], [-0.2, 1.0]]), np.array([[1.0], [0.0]])
    >>> trainer = BaseTrainer(BinaryModel(n_inputs=2), 0.1, 2, False, X, Y, X, Y, progress=False)
    >>> train_history, val_history = trainer.train(3)
    >>> len(train_history["loss"])
    3
    """

    model: CourseModel
    learning_rate: float
    batch_size: int
    shuffle_dataset: bool
    # Lists are also accepted and are converted to arrays.
    X_train: Any
    Y_train: Any
    X_val: Any
    Y_val: Any
    _: KW_ONLY
    early_stopping: bool | None = None
    patience: int = 10
    seed: RandomState = None
    progress: bool = True
    momentum: float = 0.0
    learning_rate_decay: float = 1.0

    def __post_init__(self) -> None:
        """Check the arguments of the constructor and convert data to arrays."""
        self.interrupted = False
        self.histories: Histories | None = None
        self._velocity: FloatArray | None = None
        self._check_attributes()
        if self.X_train.dtype == np.float32:
            # With float64 targets, the residuals and all values computed from them would be float64.
            for name in DATA_ARRAY_NAMES:
                setattr(self, name, getattr(self, name).astype(np.float32, copy=False))
        for name in ("X_train", "X_val"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} must have at least one row and no NaN or infinite values")

    def train_step(self, X_batch: Array, Y_batch: Array) -> float:
        """Take one step on a batch of rows and targets, and return its mean loss before the step.

        If a subclass overrides this method, `train` calls it for every step. It may return the loss as an array with
        one element.
        """
        outputs = self.model.forward(X_batch)
        loss = cross_entropy_loss(Y_batch, outputs)
        self.model.backward(X_batch, outputs, Y_batch)
        previous = 0.0 if self._velocity is None else self._velocity
        self._velocity = self.momentum * previous + validate_gradient(self.model)
        self.model.w = self.model.w - self.learning_rate * self._velocity
        return loss

    def validation_step(self) -> tuple[float, float, float]:
        """Return the loss on X_val and the accuracies on X_train and X_val. A subclass may override this method."""
        return (
            cross_entropy_loss(self.Y_val, self.model.forward(self.X_val)),
            calculate_accuracy(self.X_train, self.Y_train, self.model),
            calculate_accuracy(self.X_val, self.Y_val, self.model),
        )

    def train(self, num_epochs: int) -> Histories:
        """Train for a number of epochs, or until early stopping.

        The training loss is recorded at every step before the update. The validation loss and both accuracies are
        recorded after each step whose number is a multiple of a fifth of an epoch. An incomplete last batch of an epoch
        is omitted. After Ctrl-C, the method finishes the current step and returns the histories so far.

        Parameters
        ----------
        num_epochs : int
            Number of epochs, at least 0.

        Returns
        -------
        train_history, val_history : dict
            Dicts with the keys ``loss`` and ``accuracy``. Each value is a dict from global steps to values.

        Raises
        ------
        ValueError
            `num_epochs` is not an integer of at least 0, or the shape of the model's weights does not match the data.

        Warns
        -----
        CourseWarning
            Early stopping would have ended the training run, but `early_stopping` was not given.
        """
        if num_epochs < 0 or num_epochs != int(num_epochs):
            raise ValueError(f"num_epochs must be an integer of at least 0, got {num_epochs!r}")
        self._check_attributes()
        learning_rate, random_state = self.learning_rate, check_random_state(self.seed)
        self.model.w = np.array(validate_weights(self), dtype=get_computation_type(self.X_train), order="C")
        self.interrupted, self.histories, self._velocity = False, None, None
        kernels: Any = CompiledTraining(self) if self.can_compile() else None
        should_compile_steps = kernels is not None and not self.overrides("train_step")
        should_compile_validation = kernels is not None and not self.overrides("validation_step")
        batch_size, steps_per_epoch = self.batch_size, len(self.X_train) // self.batch_size
        steps_per_validation = max(1, steps_per_epoch // 5)

        def take_steps():
            """Yield runs of steps. Each run is one step, or ends at a validated step or at the end of an epoch."""
            for epoch in range(int(num_epochs)):
                if epoch > 0:
                    self.learning_rate *= self.learning_rate_decay
                order = np.arange(len(self.X_train))
                if self.shuffle_dataset:
                    random_state.shuffle(order)
                before, step = epoch * steps_per_epoch, 0
                while step < steps_per_epoch:
                    if should_compile_steps:
                        end = min(step + 1 + -(before + step) % steps_per_validation, steps_per_epoch)
                        losses = kernels.train(order, step, end).tolist()
                    else:
                        rows = order[step * batch_size : (step + 1) * batch_size]
                        losses = [validate_loss(self, self.train_step(self.X_train[rows], self.Y_train[rows]))]
                    step += len(losses)
                    yield RecordedSteps(before + step - 1, losses)

        # The weights after the last yielded run of steps.
        weights = self.model.w

        def finish_steps(steps, weights_after_steps, run_validation):
            nonlocal weights
            weights = weights_after_steps
            return steps if run_validation is None else steps._replace(validation=run_validation())

        def call_validation_step():
            return check_validation_result(self, self.validation_step())

        def take_validated_steps():
            """Yield each run of steps with its validation, computed in parallel with the next steps."""
            pending_steps = None
            for steps in take_steps():
                weights_after_steps, run_validation = self.model.w, None
                if pending_steps is not None:
                    yield finish_steps(*pending_steps)
                if steps.last % steps_per_validation == 0:
                    weights_copy = validate_weights(self)
                    run_validation = (
                        kernels.start_validation(weights_copy) if should_compile_validation else call_validation_step
                    )
                pending_steps = steps, weights_after_steps, run_validation
                # User-defined methods run neither in parallel with steps nor for steps that are discarded later.
                if not (should_compile_steps and should_compile_validation):
                    yield finish_steps(*pending_steps)
                    pending_steps = None
            if pending_steps is not None:
                yield finish_steps(*pending_steps)

        try:
            # The environment is read once here instead of before each of several thousand short runs of steps.
            with limit_threads(None), show_step_progress(self.progress, int(num_epochs) * steps_per_epoch) as show:
                training = train(
                    take_validated_steps(),
                    save=lambda: np.array(weights),
                    restore=lambda w: setattr(self.model, "w", w),
                    monitor=EarlyStopping(_negative_loss, self.patience - 1) if self.early_stopping else None,
                    best=BestCheckpoint(_negative_loss) if self.early_stopping else None,
                    on_checkpoint=lambda training: _show_progress(training, show),
                )
        finally:
            self.learning_rate = learning_rate
        self.interrupted, self.histories = training.stop_reason == "interrupted", _make_histories(training.records)
        n_steps_before_stop = (
            _count_steps_before_stop(training.records, self.patience) if self.early_stopping is None else None
        )
        if n_steps_before_stop is not None:
            n_all = int(num_epochs) * steps_per_epoch
            warn_once("early_stopping", 2, patience=self.patience, n_steps=n_steps_before_stop, n_all=n_all)
        return self.histories

    def _check_attributes(self):
        """Raise a ValueError if an attribute, which the script may have changed, is invalid."""
        for name in DATA_ARRAY_NAMES:
            setattr(self, name, as_array(name, getattr(self, name)))
        for name, X, Y in (("train", self.X_train, self.Y_train), ("val", self.X_val, self.Y_val)):
            columns = self.X_train.shape[1:], self.Y_train.shape[1:]
            is_valid = X.ndim == Y.ndim == 2 and (X.shape[1:], Y.shape[1:]) == columns and len(X) == len(Y) > 0
            if not is_valid or X.dtype.kind not in "fiub" or Y.dtype.kind not in "fiub":
                raise ValueError(
                    f"X_{name} and Y_{name} must be two-dimensional real arrays with the same number of rows, at least "
                    f"one, and the columns of X_train and Y_train, got {X.dtype} {X.shape} and {Y.dtype} {Y.shape}"
                )
        check_count("batch_size", self.batch_size, len(self.X_train))
        check_count("patience", self.patience)
        check_number("learning_rate", self.learning_rate)
        check_number("momentum", self.momentum, highest=1)
        check_number("learning_rate_decay", self.learning_rate_decay)
        validate_weights(self)

    def overrides(self, name: str) -> bool:
        """Return whether a subclass, or this object, overrides a method."""
        return getattr(type(self), name) is not getattr(BaseTrainer, name) or name in vars(self)

    def can_compile(self) -> bool:
        """Return whether compiled kernels support the model and the targets, and bypass no user-defined method."""
        model_class = BinaryModel if self.Y_train.shape[1] == 1 else SoftmaxModel
        return (
            isinstance(self.model, model_class)
            and has_fastlin_methods(self.model)
            and _are_labels(self.Y_train, self.Y_val)
        )


# `dataclass` stores defaults in the class, such as `BaseTrainer.patience`, but only instances have these attributes.
for _field_name in vars(BaseTrainer).keys() & {field.name for field in fields(BaseTrainer)}:
    delattr(BaseTrainer, _field_name)


class RecordedSteps(NamedTuple):
    """A run of steps: the number of its last step, counted from 0, and the loss before each step."""

    last: int
    losses: list[float]
    # The result of `BaseTrainer.validation_step` after the last step, or None without a validation.
    validation: tuple[float, float, float] | None = None


class LogisticTrainer(BaseTrainer):
    """Trainer for a BinaryModel. Its targets have shape (N, 1).

    Examples
    --------
    >>> from fastlin import datasets
    >>> from fastlin.trainers import BinaryModel, LogisticTrainer, binary_prune_dataset, pre_process_images
    >>> digits = datasets.load_digits()
    >>> X_train, Y_train = binary_prune_dataset(2, 3, pre_process_images(digits.X_train), digits.y_train[:, None])
    >>> X_val, Y_val = binary_prune_dataset(2, 3, pre_process_images(digits.X_test), digits.y_test[:, None])
    >>> trainer = LogisticTrainer(
    ...     BinaryModel(n_inputs=65), 0.1, 16, True, X_train, Y_train, X_val, Y_val, seed=0, progress=False
    ... )
    >>> train_history, val_history = trainer.train(3)
    >>> sorted(val_history)
    ['accuracy', 'loss']
    """


class SoftmaxTrainer(BaseTrainer):
    """Trainer for a SoftmaxModel. Its targets are one-hot, of shape (N, K).

    Examples
    --------
    >>> from fastlin import datasets
    >>> from fastlin.trainers import SoftmaxModel, SoftmaxTrainer, one_hot_encode, pre_process_images
    >>> digits = datasets.load_digits()
    >>> X_train, X_val = pre_process_images(digits.X_train), pre_process_images(digits.X_test)
    >>> Y_train, Y_val = one_hot_encode(digits.y_train, 10), one_hot_encode(digits.y_test, 10)
    >>> model = SoftmaxModel(l2_reg_lambda=0.0, n_inputs=65)
    >>> trainer = SoftmaxTrainer(model, 0.1, 16, True, X_train, Y_train, X_val, Y_val, seed=0, progress=False)
    >>> train_history, val_history = trainer.train(3)
    >>> val_history["accuracy"][max(val_history["accuracy"])] > 0.8
    True
    """


def _are_labels(*targets):
    """Return whether all targets are labels, that is, one column of 0 and 1 or one-hot rows."""
    return all(((Y == 0) | (Y == 1)).all() and (Y.shape[1] == 1 or (Y.sum(axis=1) == 1).all()) for Y in targets)


def _negative_loss(steps):
    """Return the negative validation loss of a run of steps, or None without a validation."""
    return None if steps.validation is None else -steps.validation[0]


def _count_steps_before_stop(records, patience):
    """Return the number of steps after which early stopping would have ended a training run, or None."""
    monitor = EarlyStopping(_negative_loss, patience - 1)
    for steps in records[:-1]:
        monitor = monitor.updated_with_record(steps)
        if monitor.is_patience_exhausted:
            return steps.last + 1
    return None


def _make_histories(records):
    """Return train_history and val_history from the recorded Steps."""
    losses = [loss for steps in records for loss in steps.losses]
    validations = {steps.last: steps.validation for steps in records if steps.validation is not None}
    val_loss, accuracy_train, accuracy_val = (
        {step: values[i] for step, values in validations.items()} for i in range(3)
    )
    return {"loss": dict(enumerate(losses)), "accuracy": accuracy_train}, {"loss": val_loss, "accuracy": accuracy_val}


def _show_progress(training, show):
    """Show the last loss and the last validation of a Training in the progress bar."""
    validations = (steps.validation for steps in reversed(training.records) if steps.validation is not None)
    val_loss, accuracy_train, accuracy_val = next(validations, (None, None, None))
    # Accuracies from user-defined methods need not be numbers.
    is_shown = isinstance(accuracy_train, float) and isinstance(accuracy_val, float)
    accuracies = {"accuracy": (accuracy_train, accuracy_val)} if is_shown else {}
    steps = training.records[-1]
    show(steps.last + 1, loss=(steps.losses[-1], val_loss), **accuracies)
