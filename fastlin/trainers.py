"""The course API: models, trainers and small functions of the classic assignment, as a drop-in for its NumPy code.

Names, shapes and histories are those of the assignment: X (N, pixels + 1) with a last column of ones, Y (N, 1) or
one-hot (N, K), weights ``w`` (pixels + 1, outputs) whose last row is the bias. `BaseTrainer.train` runs whole
stretches of an epoch in one compiled call; everything a subclass overrides is called instead, step by step.
"""

import contextlib

import numpy as np

from fastlin import datasets
from fastlin.kernels.arrays import empty_aligned, writable_view
from fastlin.kernels.dense import count_tile_rows
from fastlin.kernels.minibatch import evaluate_block, train_steps
from fastlin.kernels.threads import BlockRun, count_blocks

__all__ = [
    "BaseTrainer",
    "BinaryModel",
    "LogisticTrainer",
    "SoftmaxModel",
    "SoftmaxTrainer",
    "batch_loader",
    "binary_prune_dataset",
    "calculate_accuracy",
    "cross_entropy_loss",
    "gradient_approximation_test",
    "load_binary_dataset",
    "load_full_mnist",
    "one_hot_encode",
    "plot_loss",
    "pre_process_images",
]

# The assignment uses the first 20,000 training images.
COURSE_IMAGES = 20_000
N_PIXELS = 784


def pre_process_images(X):
    """Map images from 0..255 to [-1, 1] and append the column of ones of the bias trick.

    Parameters
    ----------
    X : ndarray of shape (N, pixels)
        Values from 0 to 255.

    Returns
    -------
    ndarray of shape (N, pixels + 1), float64
    """
    X = np.asarray(X)
    if X.ndim != 2:
        raise ValueError(f"X must have shape (N, pixels), got {X.shape}")
    if X.size and (X.min() < 0 or X.max() > 255):
        raise ValueError(f"X must hold pixels from 0 to 255, got values from {X.min()} to {X.max()}")
    processed = np.empty((X.shape[0], X.shape[1] + 1))
    np.divide(X, 127.5, out=processed[:, :-1])
    processed[:, :-1] -= 1.0
    processed[:, -1] = 1.0
    return processed


def one_hot_encode(Y, num_classes):
    """Return the (N, num_classes) array with a 1 at each label.

    Parameters
    ----------
    Y : ndarray of shape (N, 1) or (N,), integers from 0 to num_classes - 1
    num_classes : int
    """
    labels = np.asarray(Y).reshape(-1)
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes or (labels != labels.astype(int)).any()):
        raise ValueError(
            f"Y must hold whole numbers from 0 to {num_classes - 1}, got values from {labels.min()} to {labels.max()}"
        )
    encoded = np.zeros((len(labels), num_classes))
    encoded[np.arange(len(labels)), labels.astype(int)] = 1
    return encoded


def cross_entropy_loss(targets, outputs):
    """Return the mean cross-entropy: -mean(t log p + (1 - t) log(1 - p)) or -mean over rows of sum_k t_k log p_k.

    Parameters
    ----------
    targets, outputs : ndarray of shape (N, 1) or (N, K)
        Equal shapes; outputs are probabilities. A probability of 0 at a target counts as the smallest positive
        number of its type, so that the loss stays finite.

    Returns
    -------
    float
    """
    targets, outputs = np.asarray(targets), np.asarray(outputs)
    if targets.shape != outputs.shape or targets.ndim != 2:
        raise ValueError(f"targets and outputs must both be (N, 1) or (N, K), got {targets.shape} and {outputs.shape}")
    smallest = np.finfo(np.result_type(outputs.dtype, np.float32)).tiny
    losses = targets * np.log(np.maximum(outputs, smallest))
    if targets.shape[1] == 1:
        losses = losses + (1 - targets) * np.log(np.maximum(1 - outputs, smallest))
    return -losses.sum() / targets.shape[0]


def calculate_accuracy(X, targets, model):
    """Return the part of rows whose predicted class is the target's.

    Parameters
    ----------
    X : ndarray of shape (N, pixels + 1)
    targets : ndarray of shape (N, 1) or (N, K)
    model : object with ``forward(X)``
    """
    outputs, targets = np.asarray(model.forward(X)), np.asarray(targets)
    if targets.shape != outputs.shape:
        raise ValueError(f"targets must have the shape of the model's outputs, {outputs.shape}, got {targets.shape}")
    if outputs.shape[1] == 1:
        return float(np.mean((outputs >= 0.5) == (targets >= 0.5)))
    return float(np.mean(outputs.argmax(axis=1) == targets.argmax(axis=1)))


def gradient_approximation_test(model, X, Y):
    """Compare the model's gradient with central differences and raise AssertionError where they differ.

    (C(w + eps) - C(w - eps)) / (2 eps), eps = 1e-3, C the mean cross-entropy; each entry may differ by eps^2. A
    model with an L2 term has it added to C. The weights are the caller's again afterwards.

    Parameters
    ----------
    model : object with ``w``, ``forward``, ``backward`` and ``grad``
    X : ndarray of shape (N, pixels + 1)
    Y : ndarray of shape (N, 1) or (N, K)

    Returns
    -------
    float
        The largest absolute difference.
    """
    epsilon = 1e-3
    original = model.w
    l2 = getattr(model, "l2", 0.0)
    largest = 0.0

    def cost():
        # Of our own models from the scores: probabilities that round to 1 have no logarithm of the rest.
        if _is_known(model):
            return _cross_entropy_of_scores(Y, X @ model.w)
        return cross_entropy_loss(Y, model.forward(X))

    try:
        model.w = original.astype(np.float64)
        model.backward(X, model.forward(X), Y)
        gradient = np.array(model.grad)
        for j, k in np.ndindex(*original.shape):
            costs = []
            for sign in (1, -1):
                model.w[j, k] = original[j, k] + sign * epsilon
                costs.append(cost() + 0.5 * l2 * np.sum(model.w**2))
            model.w[j, k] = original[j, k]
            difference = abs((costs[0] - costs[1]) / (2 * epsilon) - gradient[j, k])
            largest = max(largest, float(difference))
            if difference > epsilon**2:
                raise AssertionError(
                    f"The gradient of w[{j}, {k}] is {gradient[j, k]:.9g}, but central differences give "
                    f"{(costs[0] - costs[1]) / (2 * epsilon):.9g}: they differ by {difference:.3g} > {epsilon**2:.3g}"
                )
    finally:
        model.w = original
    return largest


def _cross_entropy_of_scores(targets, scores):
    """Return the mean cross-entropy of the model's scores, exact also where a probability rounds to 0 or 1."""
    if scores.shape[1] == 1:
        return float(np.mean(targets * np.logaddexp(0, -scores) + (1 - targets) * np.logaddexp(0, scores)))
    log_totals = np.logaddexp.reduce(scores, axis=1, keepdims=True)
    return float(np.sum(targets * (log_totals - scores)) / len(scores))


class _LinearModel:
    """Weights, their gradient and the backward pass that both models share."""

    # The factor of w in the gradient of the L2 term.
    l2 = 0.0

    def __init__(self, n_inputs, n_outputs):
        self.w = np.zeros((n_inputs, n_outputs))
        self.grad = None

    def backward(self, X, outputs, targets):
        """Set ``grad`` to the mean gradient X' (outputs - targets) / N plus that of the L2 term.

        Parameters
        ----------
        X : ndarray of shape (N, inputs)
        outputs, targets : ndarray of shape (N, outputs)
        """
        if targets.shape != outputs.shape:
            raise ValueError(f"targets {targets.shape} must have the shape of outputs {outputs.shape}")
        self.grad = X.T @ (outputs - targets) / X.shape[0]
        if self.l2:
            self.grad += self.l2 * self.w

    def zero_grad(self):
        """Forget the gradient."""
        self.grad = None

    def _check_inputs(self, X):
        if X.ndim != 2 or X.shape[1] != self.w.shape[0]:
            raise ValueError(
                f"X must have shape (N, {self.w.shape[0]}), the number of rows of w, got {X.shape}; "
                "pre_process_images adds the column of ones"
            )


class BinaryModel(_LinearModel):
    """Logistic regression with one output, p(class 1).

    Parameters
    ----------
    n_inputs : int, default=785
        Pixels and the column of ones.

    Attributes
    ----------
    w : ndarray of shape (n_inputs, 1)
        Zeros at first.
    grad : ndarray of shape (n_inputs, 1) or None
    """

    def __init__(self, n_inputs=N_PIXELS + 1):
        super().__init__(n_inputs, 1)

    def forward(self, X):
        """Return the probabilities 1 / (1 + exp(-X w)), of shape (N, 1)."""
        self._check_inputs(X)
        scores = X @ self.w
        # Of the smaller exponential, so that nothing overflows.
        e = np.exp(-np.abs(scores))
        return np.where(scores >= 0, 1, e) / (1 + e)


class SoftmaxModel(_LinearModel):
    """Softmax regression.

    Parameters
    ----------
    l2_reg_lambda : float
        Weight of the penalty on all of w, the bias included: lambda ||w||^2 with gradient 2 lambda w.
    half : bool, default=False
        True: the convention lambda / 2 ||w||^2 with gradient lambda w.
    n_inputs : int, default=785
        Pixels and the column of ones.
    n_outputs : int, default=10
        Classes.

    Attributes
    ----------
    w : ndarray of shape (n_inputs, n_outputs)
        Zeros at first.
    grad : ndarray of shape (n_inputs, n_outputs) or None
    """

    def __init__(self, l2_reg_lambda=0.0, half=False, *, n_inputs=N_PIXELS + 1, n_outputs=10):
        if not (np.isfinite(l2_reg_lambda) and l2_reg_lambda >= 0):
            raise ValueError(f"l2_reg_lambda must be a finite number of at least 0, got {l2_reg_lambda!r}")
        super().__init__(n_inputs, n_outputs)
        self.l2_reg_lambda = l2_reg_lambda
        self.half = half

    @property
    def l2(self):
        """Factor of w in the gradient: 2 lambda, or lambda in the half convention."""
        return self.l2_reg_lambda * (1 if self.half else 2)

    def forward(self, X):
        """Return the probabilities exp(s_k) / sum_k exp(s_k) of the scores s = X w, of shape (N, K)."""
        self._check_inputs(X)
        scores = X @ self.w
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return scores


def batch_loader(X, Y, batch_size, shuffle=False, drop_last=True):
    """Yield the batches (X_batch, Y_batch) of one epoch.

    Parameters
    ----------
    X, Y : ndarray with N rows each
    batch_size : int
    shuffle : bool
        Draw a new order from NumPy's global random state.
    drop_last : bool
        Leave out the last batch where it would be smaller than the others.
    """
    if len(X) != len(Y):
        raise ValueError(f"X and Y must have the same number of rows, got {len(X)} and {len(Y)}")
    _check_count("batch_size", batch_size, len(X))
    order = np.arange(len(X))
    if shuffle:
        np.random.shuffle(order)
    end = len(X) - len(X) % batch_size if drop_last else len(X)
    for start in range(0, end, batch_size):
        rows = order[start : start + batch_size]
        yield X[rows], Y[rows]


def load_full_mnist():
    """Return X_train, Y_train, X_val, Y_val: 20,000 training and 10,000 test images, labels of shape (N, 1)."""
    mnist = datasets.load_mnist(COURSE_IMAGES)
    return mnist.X_train, mnist.y_train.reshape(-1, 1), mnist.X_test, mnist.y_test.reshape(-1, 1)


def load_binary_dataset(class1, class2):
    """Return X_train, Y_train, X_val, Y_val of two digits, with class1 as 1 and class2 as 0.

    Of the first 20,000 training and the 10,000 test images those that show one of the two; labels (N, 1).
    """
    X_train, Y_train, X_val, Y_val = load_full_mnist()
    return (
        *binary_prune_dataset(class1, class2, X_train, Y_train),
        *binary_prune_dataset(class1, class2, X_val, Y_val),
    )


def binary_prune_dataset(class1, class2, X, Y):
    """Return the rows of X whose label is class1 or class2, and their labels as 1 and 0, of shape (N, 1)."""
    if class1 == class2:
        raise ValueError(f"class1 and class2 must differ, got {class1!r} twice")
    labels = np.asarray(Y).reshape(-1)
    kept = (labels == class1) | (labels == class2)
    return X[kept], (labels[kept] == class1).astype(np.int64).reshape(-1, 1)


def plot_loss(loss_dict, label=None, npoints_to_average=1, plot_variance=True):
    """Plot a history on the current matplotlib axes.

    Parameters
    ----------
    loss_dict : dict of int to float
        Global step to value.
    label : str or None
    npoints_to_average : int
        Above 1: the mean of so many successive values, and
    plot_variance : bool
        a band of one standard deviation around it.
    """
    from fastlin import figures

    figures.plot_history(loss_dict, label, npoints_to_average, plot_variance)


class BaseTrainer:
    """Mini-batch gradient descent.

    Parameters
    ----------
    model : BinaryModel, SoftmaxModel or any object with ``w``, ``grad``, ``forward`` and ``backward``
    learning_rate : float
    batch_size : int
    shuffle_dataset : bool
        Draw a new order of the rows for each epoch.
    X_train : ndarray of shape (N, inputs)
        float32 or float64; the model is trained in this type (anything else is trained in float64).
    Y_train : ndarray of shape (N, 1) or (N, K)
    X_val, Y_val : ndarray
        Alike, for validation.
    early_stopping : bool, default=False
        Stop when the validation loss has not improved in the last `patience` validations. At the end of a training,
        stopped or not, the model goes back to its best weights; Ctrl-C leaves it where it is.
    patience : int, default=10
    seed : int, RandomState or None, default=None
        Of the shuffling; None: NumPy's global random state, as ``np.random.seed`` sets it.
    progress : bool, default=True
        Show a bar with loss and accuracy.
    momentum : float, default=0.0
        v = momentum v + gradient, w -= learning_rate v.
    learning_rate_decay : float, default=1.0
        Factor on the learning rate after each epoch.

    Attributes
    ----------
    interrupted : bool
        Whether Ctrl-C ended the last training.
    """

    def __init__(
        self,
        model,
        learning_rate,
        batch_size,
        shuffle_dataset,
        X_train,
        Y_train,
        X_val,
        Y_val,
        *,
        early_stopping=False,
        patience=10,
        seed=None,
        progress=True,
        momentum=0.0,
        learning_rate_decay=1.0,
    ):
        X_train, Y_train, X_val, Y_val = (np.asarray(array) for array in (X_train, Y_train, X_val, Y_val))
        if X_train.dtype == np.float32:
            # Targets of float64 would turn the residuals, and with them everything, into float64.
            X_val, Y_train, Y_val = (array.astype(np.float32, copy=False) for array in (X_val, Y_train, Y_val))
        for name, X, Y in (("train", X_train, Y_train), ("val", X_val, Y_val)):
            if np.ndim(X) != 2 or np.ndim(Y) != 2 or len(X) != len(Y):
                raise ValueError(
                    f"X_{name} and Y_{name} must be two-dimensional with the same number of rows, got shapes "
                    f"{np.shape(X)} and {np.shape(Y)}"
                )
            if X.shape[1] != X_train.shape[1] or Y.shape[1] != Y_train.shape[1]:
                raise ValueError(
                    f"X_val and Y_val must have the columns of X_train and Y_train, got {X.shape}, {Y.shape}"
                )
            if len(X) == 0 or not np.isfinite(X).all():
                raise ValueError(f"X_{name} must have rows and no NaN or infinite values")
        _check_count("batch_size", batch_size, len(X_train))
        _check_count("patience", patience)
        for name, value, lowest, highest in (
            ("learning_rate", learning_rate, 0, np.inf),
            ("momentum", momentum, 0, 1),
            ("learning_rate_decay", learning_rate_decay, 0, np.inf),
        ):
            if not (np.isfinite(value) and lowest <= value <= highest):
                raise ValueError(f"{name} must be a finite number from {lowest} to {highest}, got {value!r}")
        self.model = model
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.shuffle_dataset = shuffle_dataset
        self.X_train, self.Y_train = X_train, Y_train
        self.X_val, self.Y_val = X_val, Y_val
        self.early_stopping = early_stopping
        self.patience = patience
        self.seed = seed
        self.progress = progress
        self.momentum = momentum
        self.learning_rate_decay = learning_rate_decay
        self.interrupted = False
        self._velocity = None
        self._check_weights()

    def train_step(self, X_batch, Y_batch):
        """Take one step on a batch and return its mean loss before the step.

        A subclass may override it; then every step of `train` goes through it.
        """
        outputs = self.model.forward(X_batch)
        loss = cross_entropy_loss(Y_batch, outputs)
        self.model.backward(X_batch, outputs, Y_batch)
        previous = 0.0 if self._velocity is None else self._velocity
        self._velocity = self.momentum * previous + self.model.grad
        self.model.w = self.model.w - self.learning_rate * self._velocity
        return loss

    def validation_step(self):
        """Return the loss over X_val and the accuracies over X_train and X_val.

        A subclass may override it; then every validation of `train` goes through it.
        """
        return (
            cross_entropy_loss(self.Y_val, self.model.forward(self.X_val)),
            calculate_accuracy(self.X_train, self.Y_train, self.model),
            calculate_accuracy(self.X_val, self.Y_val, self.model),
        )

    def train(self, num_epochs):
        """Train for a number of epochs, or fewer with early stopping.

        The training loss is recorded at every step, before the update; validation loss and both accuracies after
        each step whose number is a multiple of a fifth of an epoch. The last incomplete batch of an epoch is left
        out. Ctrl-C ends the training after a whole step and returns what there is.

        Parameters
        ----------
        num_epochs : int

        Returns
        -------
        train_history, val_history : dict
            Each with the dicts ``loss`` and ``accuracy`` from global step to value.
        """
        if num_epochs < 0 or num_epochs != int(num_epochs):
            raise ValueError(f"num_epochs must be a whole number of at least 0, got {num_epochs!r}")
        num_epochs = int(num_epochs)
        steps_per_epoch = len(self.X_train) // self.batch_size
        steps_per_validation = max(1, steps_per_epoch // 5)
        self._check_weights()
        self.interrupted = False
        run = _Run(self, num_epochs * steps_per_epoch)
        # The global state, which np.random.seed sets, is what the assignment's own code draws from.
        random_state = self.seed if isinstance(self.seed, np.random.RandomState) else np.random
        if random_state is np.random and self.seed is not None:
            random_state = np.random.RandomState(self.seed)
        learning_rate = self.learning_rate
        try:
            with run.bar:
                for epoch in range(num_epochs):
                    order = np.arange(len(self.X_train))
                    if self.shuffle_dataset:
                        random_state.shuffle(order)
                    begin = epoch * steps_per_epoch
                    while run.n_steps < begin + steps_per_epoch:
                        # Up to the next step with a validation behind it, or to the end of the epoch.
                        end = -(-run.n_steps // steps_per_validation) * steps_per_validation + 1
                        end = min(end, begin + steps_per_epoch)
                        run.take_steps(order, run.n_steps - begin, end - begin)
                        run.record_validation()
                        if not run.exhausted and (end - 1) % steps_per_validation == 0:
                            run.start_validation()
                        if run.exhausted:
                            return run.histories()
                    self.learning_rate *= self.learning_rate_decay
                run.record_validation()
                run.bar.finish()
        except KeyboardInterrupt:
            self.interrupted = True
            run.record_validation()
            if not run.exhausted:
                run.best.w = None
        finally:
            self.learning_rate = learning_rate
        return run.histories()

    def _check_weights(self):
        shape = self.X_train.shape[1], self.Y_train.shape[1]
        if np.shape(self.model.w) != shape:
            raise ValueError(
                f"model.w has shape {np.shape(self.model.w)}, but X_train and Y_train need {shape}: columns of X_train "
                "times columns of Y_train"
            )

    def _overrides(self, name):
        """Say whether a subclass, or this object, has its own method of that name."""
        return getattr(type(self), name) is not getattr(BaseTrainer, name) or name in vars(self)

    def _can_compile(self):
        """Say whether model and targets are those the kernels know, so that nothing of the user's is passed by."""
        known = BinaryModel if self.Y_train.shape[1] == 1 else SoftmaxModel
        return isinstance(self.model, known) and _is_known(self.model) and _has_labels(self.Y_train, self.Y_val)


class LogisticTrainer(BaseTrainer):
    """Trainer of a BinaryModel, targets (N, 1)."""


class SoftmaxTrainer(BaseTrainer):
    """Trainer of a SoftmaxModel, targets one-hot (N, K)."""


class _Run:
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
        trainer._velocity = None
        model, dtype = trainer.model, _compute_type(trainer.X_train)
        model.w = np.array(model.w, dtype=dtype, order="C")
        self._compiled = _CompiledTraining(trainer) if trainer._can_compile() else None
        self._steps_compiled = self._compiled is not None and not trainer._overrides("train_step")
        self._validation_compiled = self._compiled is not None and not trainer._overrides("validation_step")
        self.best = _Best(trainer.patience)
        self.bar = _Bar(n_steps) if trainer.progress and n_steps else _NoBar()
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
        self.bar.show(step + 1, self._losses[step], val_loss, accuracy_train, accuracy_val)
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


class _CompiledTraining:
    """A trainer's data as the kernels take them: labels instead of one-hot targets, one type throughout."""

    def __init__(self, trainer):
        self._trainer = trainer
        self._dtype = _compute_type(trainer.X_train)
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
        w = self._trainer.model.w
        coef = empty_aligned(w.shape[1], w.shape[0], np.empty(0, self._dtype))
        coef[:] = w.T
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
        run = BlockRun(evaluate_block, n_blocks, X, labels, self._weights, coef, self._tile_rows, losses, n_correct)
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


class _Bar:
    """A progress bar with loss and accuracy."""

    def __init__(self, n_steps):
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("step {task.completed}/{task.total}  {task.fields[figures]}"),
            TimeRemainingColumn(),
        )
        self._task = self._progress.add_task("training", total=n_steps, figures="")

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *error):
        self._progress.stop()

    def show(self, step, loss, val_loss, accuracy_train, accuracy_val):
        figures = f"loss {loss:.4f}  validation {val_loss:.4f}  accuracy {accuracy_train:.4f} / {accuracy_val:.4f}"
        self._progress.update(self._task, completed=step, figures=figures)

    def finish(self):
        self._progress.update(self._task, completed=self._progress.tasks[0].total)


class _NoBar(contextlib.nullcontext):
    def show(self, *figures):
        pass

    def finish(self):
        pass


def _compute_type(X):
    return np.float32 if X.dtype == np.float32 else np.float64


def _is_known(model):
    """Say whether forward and backward are this module's, so that kernels may stand in for them."""
    return any(
        isinstance(model, known)
        and all(getattr(type(model), name) is method and name not in vars(model) for name, method in methods.items())
        for known, methods in _KNOWN_METHODS.items()
    )


# Taken here, so that a method that is put on the class later counts as the user's.
_KNOWN_METHODS = {
    known: {"forward": known.forward, "backward": known.backward} for known in (BinaryModel, SoftmaxModel)
}


def _has_labels(*targets):
    """Say whether targets are labels: 0 or 1 in one column, or exactly one 1 among zeros per row."""
    return all(((Y == 0) | (Y == 1)).all() and (Y.shape[1] == 1 or (Y.sum(axis=1) == 1).all()) for Y in targets)


def _check_count(name, value, highest=None):
    if not (isinstance(value, (int, np.integer)) and value >= 1 and (highest is None or value <= highest)):
        limit = "" if highest is None else f" and at most the number of rows, {highest}"
        raise ValueError(f"{name} must be a whole number of at least 1{limit}, got {value!r}")
