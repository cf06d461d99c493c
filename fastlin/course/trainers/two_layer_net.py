"""TwoLayerNet: the homework's network of two dense layers with a ReLU between them."""

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastlin.containers.fitted import require, validate_array
from fastlin.containers.tensors import KERNEL_DTYPES
from fastlin.course.trainers.checks import check_count, check_number
from fastlin.kernels.machine.arrays import get_computation_type
from fastlin.matrices import DenseMatrix
from fastlin.networks import Examples, Network
from fastlin.training import DivergedError, MomentumDescent, train
from fastlin.training.step_bar import show_step_progress
from fastlin.typing import FloatArray, IntArray


class TwoLayerNet:
    """A dense layer, a ReLU, a dense layer and a softmax, with scores max(X W1 + b1, 0) W2 + b2.

    It replaces the class of that name in the well-known homework on image classification. With the same global random
    state, it draws the same initial weights and batches. The computation is in float32 for float32 data and in float64
    otherwise. Integer images are not copied.

    Parameters
    ----------
    input_size, hidden_size, output_size : int
        Number D of features, number H of hidden units, and number C of classes, at least 2.
    std : float, default=1e-4
        Standard deviation of the initial weights. NumPy's global random state generates W1 and then W2. The initial
        biases are zero.

    Attributes
    ----------
    params : dict of str to ndarray
        Arrays ``W1`` of shape (D, H), ``b1`` of shape (H,), ``W2`` of shape (H, C) and ``b2`` of shape (C,). They are
        float64 initially and after each training run. You may modify them or replace them with arrays of any real
        dtype, because each call reads them. `train` stores new arrays in the dict and does not modify the old ones.
    interrupted : bool
        Whether Ctrl-C ended the last training run.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlin import TwoLayerNet
    >>> np.random.seed(0)
    >>> X, y = np.random.randn(60, 4), np.arange(60) % 3
    >>> X[np.arange(60), y] += 3
    >>> net = TwoLayerNet(4, 10, 3, std=0.1)
    >>> stats = net.train(X, y, X, y, learning_rate=0.5, num_iters=100, batch_size=20, momentum=0.5)
    >>> len(stats["loss_history"])
    100
    >>> bool(np.mean(net.predict(X) == y) > 0.9)
    True
    """

    def __init__(self, input_size: int, hidden_size: int, output_size: int, std: float = 1e-4) -> None:
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("output_size", output_size)):
            check_count(name, size)
        if output_size < 2:
            raise ValueError(f"output_size must be at least 2 classes, got {output_size!r}")
        check_number("std", std)
        self._layer_sizes = int(input_size), int(hidden_size), int(output_size)
        self.params = {
            "W1": std * np.random.randn(input_size, hidden_size),
            "b1": np.zeros(hidden_size),
            "W2": std * np.random.randn(hidden_size, output_size),
            "b2": np.zeros(output_size),
        }
        self.interrupted = False

    def loss(
        self, X: ArrayLike, y: ArrayLike | None = None, reg: float = 0.0
    ) -> FloatArray | tuple[float, dict[str, FloatArray]]:
        """Return the class probabilities of rows or, if labels are given, the loss and its gradients.

        The loss is the mean softmax cross-entropy plus the penalty reg (||W1||^2 + ||W2||^2). The biases are not
        penalized.

        Parameters
        ----------
        X : array-like of shape (N, D)
            Input rows.
        y : array-like of int of shape (N,) or (N, 1), or None
            Class labels, from 0 to C - 1.
        reg : float, default=0.0
            Strength of the penalty, at least 0.

        Returns
        -------
        probabilities : ndarray of shape (N, C)
            Softmax of the scores. Returned if y is None.
        loss, grads : float and dict of str to ndarray
            Loss and its gradients, with the keys and shapes of `params`. Returned if y is given.

        Raises
        ------
        ValueError
            Data or `params` have a wrong shape or dtype or are not finite, a label is not a class, or reg is negative.
        """
        X = self._validate_rows("X", X)
        if y is not None:
            y = self._validate_labels("y", y, len(X))
        check_number("reg", reg)
        network = self._make_network(get_computation_type(X))
        matrix = DenseMatrix(X)
        if y is None:
            return network.predict_probabilities(matrix)
        coefs = network.parameters[: network.n_coefficients]
        # Parameters that the user trained with other code may have diverged.
        with np.errstate(over="ignore", invalid="ignore"):
            loss, _, _ = network.compute_gradient(Examples(matrix, y), slice(0, len(X)))
            network.gradient[: network.n_coefficients] += 2 * reg * coefs
            loss += reg * float(np.sum(np.square(coefs, dtype=np.float64)))
        return loss, _make_named_parameters(network, network.gradient)

    def train(
        self,
        X: ArrayLike,
        y: ArrayLike,
        X_val: ArrayLike,
        y_val: ArrayLike,
        learning_rate: float = 1e-3,
        learning_rate_decay: float = 0.95,
        reg: float = 5e-6,
        num_iters: int = 100,
        batch_size: int = 200,
        verbose: bool = False,
        momentum: float = 0.0,
    ) -> dict[str, list[float]]:
        """Train by mini-batch gradient descent.

        The update is v = momentum v - learning_rate g, params += v, where g is the gradient and v is 0
        initially.

        Each iteration draws its rows with ``np.random.choice(N, batch_size)`` and NumPy's global random state. Rows may
        repeat, so batch_size may exceed N. An iteration ends an epoch if its number, starting at 0, is a multiple of
        max(N / batch_size, 1), as in the homework. The first iteration is one of these. If batch_size divides N, one
        iteration per epoch follows; otherwise, few or no other iterations end an epoch.

        Ctrl-C ends the training run after the current iteration, which `params` and the histories include.

        Parameters
        ----------
        X, y, X_val, y_val : array-like
            Training and validation rows and their classes, as in `loss`. The dtype of X determines the precision.
        learning_rate : float, default=1e-3
            Step size, at least 0.
        learning_rate_decay : float, default=0.95
            Factor in (0, 1] by which the learning rate is multiplied at the end of each epoch.
        reg : float, default=5e-6
            Strength of the penalty, as in `loss`.
        num_iters : int, default=100
            Number of updates.
        batch_size : int, default=200
            Number of rows per batch.
        verbose : bool, default=False
            Whether to show a progress bar with the loss.
        momentum : float, default=0.0
            Fraction of the velocity v that the next step keeps, in [0, 1).

        Returns
        -------
        dict of str to list of float
            ``loss_history`` contains the loss of each iteration's batch before the update, including the penalty.
            ``train_acc_history`` and ``val_acc_history`` contain the accuracies on the last batch and on X_val after
            the last update of each epoch.

        Raises
        ------
        ValueError
            An argument is invalid, as in `loss`, or a number is out of range. In this case, nothing is changed.

        Warns
        -----
        RuntimeWarning
            The loss or the parameters became non-finite. `params` and the histories end before that iteration.
        """
        X, X_val = self._validate_rows("X", X), self._validate_rows("X_val", X_val)
        y, y_val = self._validate_labels("y", y, len(X)), self._validate_labels("y_val", y_val, len(X_val))
        check_number("learning_rate", learning_rate)
        check_number("learning_rate_decay", learning_rate_decay, highest=1, excluded=0)
        check_number("reg", reg)
        check_number("momentum", momentum, highest=1, excluded=1)
        check_count("num_iters", num_iters)
        check_count("batch_size", batch_size)
        network = self._make_network(get_computation_type(X))
        descent = MomentumDescent(network, momentum)
        examples, validation = Examples(DenseMatrix(X), y), Examples(DenseMatrix(X_val), y_val)

        def iterate():
            rate = learning_rate
            for iteration in range(num_iters):
                rows = np.random.choice(len(X), batch_size)
                loss, _, _ = descent.step(examples, rows, rate, 2 * reg)
                if not (np.isfinite(loss) and np.isfinite(network.parameters).all()):
                    raise DivergedError
                accuracies = None
                if iteration % max(len(X) / batch_size, 1) == 0:
                    batch = Examples(examples.matrix, y, rows=rows)
                    accuracies = network.measure(batch)[1], network.measure(validation)[1]
                    rate *= learning_rate_decay
                yield _IterationRecord(loss, accuracies)

        # The loss of a diverging training run overflows.
        with show_step_progress(verbose, num_iters) as show, np.errstate(over="ignore", invalid="ignore"):
            training = train(
                iterate(),
                descent.save,
                descent.restore,
                on_checkpoint=lambda training: show(len(training.records), loss=(training.records[-1].loss, None)),
            )
        self.interrupted = training.stop_reason == "interrupted"
        if training.records:
            learned_parameters = _make_named_parameters(network, network.parameters)
            self.params.update({name: values.astype(np.float64) for name, values in learned_parameters.items()})
        accuracies = [iteration.accuracies for iteration in training.records if iteration.accuracies is not None]
        if training.stop_reason == "diverged":
            warnings.warn(
                f"The training diverged: loss or parameters became non-finite in iteration {len(training.records)}, "
                "counted from 0. params contains the parameters before that iteration. Scale X or reduce the learning "
                f"rate, which was {learning_rate * learning_rate_decay ** len(accuracies):g} in that iteration.",
                RuntimeWarning,
                stacklevel=2,
            )
        return {
            "loss_history": [iteration.loss for iteration in training.records],
            "train_acc_history": [accuracy for accuracy, _ in accuracies],
            "val_acc_history": [accuracy for _, accuracy in accuracies],
        }

    def predict(self, X: ArrayLike) -> IntArray:
        """Return the class with the highest score for each row. Ties are resolved in favor of the first class.

        Parameters
        ----------
        X : array-like of shape (N, D)
            Input rows.

        Returns
        -------
        labels : ndarray of shape (N,), int64
            Predicted classes.

        Raises
        ------
        ValueError
            X or `params` are invalid, as in `loss`.
        """
        X = self._validate_rows("X", X)
        # Different scores can have equal probabilities after rounding.
        scores = self._make_network(get_computation_type(X)).compute_scores(DenseMatrix(X))
        return scores.argmax(axis=1).astype(np.int64, copy=False)

    def _make_network(self, dtype):
        """Return a network with the current values of `params`."""
        network = Network(self._layer_sizes, "relu", dtype=dtype)
        require(isinstance(self.params, Mapping), "params", "be a dict of W1, b1, W2 and b2", self.params)
        for name, target in _make_named_parameters(network, network.parameters).items():
            if name not in self.params:
                raise ValueError(f"params must contain W1, b1, W2 and b2, got {[*self.params]} without {name}")
            values = validate_array(f"params[{name!r}]", self.params[name], target.shape)
            with np.errstate(over="ignore"):
                target[:] = values
            if not np.isfinite(target).all():
                raise ValueError(f"params[{name!r}] contains values that are NaN or infinite in {np.dtype(dtype)}")
        return network

    def _validate_rows(self, name, X):
        """Return X in a dtype that kernels support."""
        X, n_inputs = np.asarray(X), self._layer_sizes[0]
        is_valid = X.ndim == 2 and X.shape[1] == n_inputs and len(X) > 0 and X.dtype.kind in "fiub"
        require(is_valid, name, f"be real numbers of shape (N, {n_inputs}) with N >= 1", X)
        X = X.astype(X.dtype if X.dtype in KERNEL_DTYPES else np.float64, copy=False)
        if not np.isfinite(X).all():
            raise ValueError(f"{name} must have no NaN or infinite values")
        return X

    def _validate_labels(self, name, y, n_rows):
        """Return y as an int32 array of shape (n_rows,)."""
        y, n_classes = np.asarray(y), self._layer_sizes[-1]
        is_valid = y.shape in ((n_rows,), (n_rows, 1)) and y.dtype.kind in "iu"
        require(is_valid, name, f"be integers of shape ({n_rows},) or ({n_rows}, 1), one for each row", y)
        if y.min() < 0 or y.max() >= n_classes:
            raise ValueError(f"{name} must contain classes from 0 to {n_classes - 1}, got {y.min()} to {y.max()}")
        return y.reshape(-1).astype(np.int32)


def _make_named_parameters(network, vector):
    """Return views of a vector of parameters or of their gradient, in a dict with the keys of `params`."""
    coefs, intercepts, _ = network.make_layer_views(vector)
    return dict(zip(("W1", "W2", "b1", "b2"), (*coefs, *intercepts), strict=True))


class _IterationRecord(NamedTuple):
    """Loss of an iteration's batch before the update and, at the end of an epoch, the accuracies after the update."""

    loss: float
    accuracies: tuple | None = None
