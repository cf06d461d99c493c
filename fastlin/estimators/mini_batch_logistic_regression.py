"""MiniBatchLogisticRegression: softmax regression trained with mini-batch SGD, for streams and approximate fits."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from numbers import Integral
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from fastlin.containers.fitted import check_same_structure
from fastlin.estimators.columns import validate_matrix
from fastlin.estimators.fit_reporting import restore_on_error, warn_of_stopped_training
from fastlin.estimators.labels import check_class_count, make_targets, prefix_error_messages
from fastlin.estimators.linear_predictions import LinearPredictionMixin, validate_coefficients
from fastlin.estimators.network_training import EpochTrainingMixin, check_finite_parameters
from fastlin.estimators.parameters import estimator, fitted, limit_jobs, parameter
from fastlin.estimators.scikit_learn import check_parameters
from fastlin.estimators.summary import describe_coef, describe_data, make_scikit_learn_model
from fastlin.networks import Network
from fastlin.training import EarlyStopping, LinearDescent, train_by_epochs
from fastlin.training.step_bar import show_step_progress
from fastlin.typing import MatrixLike

# Larger batch sizes are clipped to this number, which exceeds the number of rows of any X.
MAX_BATCH_SIZE = 2**31

# An iterable of parts of the training data. Each part is a tuple (X, y) or (X, y, sample_weight).
Batches: TypeAlias = Iterable[tuple[MatrixLike, ArrayLike] | tuple[MatrixLike, ArrayLike, ArrayLike]]


@estimator
class MiniBatchLogisticRegression(EpochTrainingMixin, LinearPredictionMixin):
    """Logistic or softmax regression trained by mini-batch stochastic gradient descent (SGD).

    The objective is the mean cross-entropy of the softmax (of the logistic function for two classes) plus ``alpha / 2
    ||coef||^2``. This is the objective of `LogisticRegression` with ``C = 1 / (alpha n)``. Unlike scikit-learn's
    SGDClassifier, this class trains one softmax model instead of one model per class. It also supports mini-batches,
    momentum, a user-defined validation set, and early stopping by log loss.

    Dense X of type float64, float32, uint8, int8, int16 or bool, CSR matrices, memory-mapped arrays and CPU tensors are
    read in place, one batch at a time. float16 and bfloat16 are converted to float32. The same seed gives bitwise
    identical results for any number of threads.

    Parameters
    ----------
    batch_size : int, default=128
        Number of rows per batch; the last batch of an epoch may be smaller.
    learning_rate_init : float, default=0.01
        Initial learning rate. Features should be scaled to about unit standard deviation, or to the range from 0 to 1.
    average : bool or int, default=False
        Whether `coef_` and `intercept_` are averages over all steps (Polyak and Juditsky 1992). With an integer above
        1, averaging starts after that number of training samples, as in scikit-learn's SGDClassifier.
    max_iter : int, default=100
        Maximum number of epochs.
    tol : float, default=0.001
        Minimum improvement of the training loss or, with `early_stopping`, of the validation loss.
    n_iter_no_change : int or np.inf, default=5
        Training stops after more than this number of consecutive epochs without an improvement of at least `tol`. With
        np.inf, training runs for max_iter epochs.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    n_jobs : int or None, default=None
        Number of threads used in predictions and validation; None means all available processors. Training steps use
        one thread.
    alpha : float, default=0.0001
        Strength of the L2 penalty.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Learning rate schedule, as in `MLPClassifier`.
    power_t : float, default=0.5
        Exponent of "invscaling".
    learning_rate_decay : float, default=1.0
        Factor by which the learning rate is multiplied after each epoch, above 0 and at most 1.
    momentum : float, default=0.9
        Momentum of the steps, at least 0 and below 1.
    early_stopping : bool, default=False
        Whether to stop training when the log loss on the validation data does not improve. The validation data are
        passed to `fit`, or otherwise drawn at random from the training data.
    validation_fraction : float, default=0.1
        Fraction of the training data to set aside as validation data if `early_stopping` is True and no validation data
        are passed.
    shuffle : bool, default=True
        Whether to shuffle the rows in each epoch.
    class_weight : dict, "balanced" or None, default=None
        Class weights in the loss; "balanced" weights are inversely proportional to the class frequencies.
    warm_start : bool, default=False
        Whether to start from the coefficients of the previous fit.
    random_state : int, RandomState or None, default=None
        Seed or random number generator for the validation split and shuffling.
    verbose : bool or int, default=False
        Whether to show a progress bar with the training loss and accuracy, and the validation loss and accuracy.
    dtype : {"float32", "float64"}, default="float32"
        Data type of the computations and of `coef_`. Use float64 for columns whose standard deviation is below 1e-6
        times their values.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients; for two classes, the coefficients of the second class.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    loss_curve_, accuracy_curve_ : list of float
        Mean training loss, including the penalty, and accuracy of each complete epoch. Each batch is evaluated before
        its step.
    validation_loss_curve_, validation_scores_ : list of float or None
        Mean log loss and accuracy on the validation data after each epoch.
    best_validation_loss_ : float or None
        Smallest value of `validation_loss_curve_`.
    n_iter_ : int
        Number of complete epochs of the last fit or, after `partial_fit` or `fit_batches`, of all calls so far.
    t_ : int
        Number of training samples seen so far, including repetitions.
    interrupted_ : bool
        Whether the last training run was stopped by Ctrl-C. If so, the model is the result of the last complete step.
    fit_seconds_ : float
        Duration of the last fit in seconds.
    n_features_in_, feature_names_in_ : int and ndarray of shape (n_features,)
        Number and names of the features seen during `fit`; the names exist only if X has column names.

    See Also
    --------
    LogisticRegression : Minimize the same objective to a certified tolerance.
    MLPClassifier : Train a neural network, also with mini-batches.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastlin import MiniBatchLogisticRegression
    >>> X, y = load_digits(return_X_y=True)
    >>> MiniBatchLogisticRegression(random_state=0).fit(X / 16, y).score(X / 16, y) > 0.95
    True
    """

    batch_size: int = parameter(default=128, accepts=["count"])
    learning_rate_init: float = parameter(default=0.01, accepts=["above 0"])
    average: bool | int = parameter(default=False, accepts=["boolean", "count"])
    max_iter: int = parameter(default=100, accepts=["count"])
    tol: float = parameter(default=1e-3, accepts=["at least 0"])
    n_iter_no_change: float = parameter(default=5, accepts=["count", "inf"])
    fit_intercept: bool = parameter(default=True, accepts=["boolean"])
    n_jobs: int | None = parameter(default=None, accepts=[None, "integer"])

    best_validation_loss_: float | None = fitted()

    def fit(
        self,
        X: MatrixLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: MatrixLike | None = None,
        y_val: ArrayLike | None = None,
    ) -> Self:
        """Train the model.

        With validation data, passed here or set aside for `early_stopping`, the fitted coefficients are those of the
        first epoch with the lowest validation log loss. Otherwise, they are those of the last step.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Class labels, or soft labels for the classes 0, 1, ..., as in `LogisticRegression.fit`.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Sample weights in the loss.
        X_val, y_val : array-like of shapes (n_validation, n_features) and (n_validation,), or None
            Validation data. If y contains soft labels, y_val may contain soft labels or class indices.

        Returns
        -------
        self : MiniBatchLogisticRegression
            Fitted estimator.

        Raises
        ------
        ValueError
            If a parameter is invalid, or if the data have a wrong shape, NaN or infinite values, or a single class.

        Warns
        -----
        ConvergenceWarning
            If training diverged, or reached max_iter while the loss was still improving.
        UserWarning
            If training was stopped by Ctrl-C. The model then keeps its complete steps, and `interrupted_` is True. If
            Ctrl-C is pressed before the first complete step, KeyboardInterrupt is raised, and the model is unchanged.
        """
        check_parameters(self)
        with restore_on_error(self), limit_jobs(self.n_jobs):
            is_continuation = self.warm_start and hasattr(self, "coef_")
            # Because NaN or infinity in X makes the loss NaN, X is checked for such values only if training diverges.
            data = X, y, sample_weight, X_val, y_val, is_continuation
            examples, validation, _ = self._read_rows(*data, ("class", "soft"), ensure_all_finite=False)
            check_class_count(self, self.classes_)
            examples, validation = _reduce_to_single_output(examples), _reduce_to_single_output(validation)
            random_state = check_random_state(self.random_state)
            if self.early_stopping and validation is None:
                examples, validation = self._split_validation(examples, random_state)
            descent = self._make_descent(is_continuation)
            arguments = descent, examples, validation, random_state, self.max_iter, self.n_iter_no_change
            training = self._train_with_callbacks(X, y, sample_weight, descent, partial(self._train, *arguments))
            if training.stop_reason == "diverged":
                validate_matrix(self, X, reset=False)
            self.n_iter_ = len(training.records)
        warn_of_stopped_training(self, training, stacklevel=3, should_restore_last_step=True)
        return self

    def partial_fit(
        self, X: MatrixLike, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on the given rows, with the momentum, learning rate and random state of the last call.

        Parameters
        ----------
        X, y : array-like
            Training data and class labels, as in `fit`. Fewer rows than `batch_size` form one batch.
        classes : array-like of shape (n_classes,) or None, default=None
            All classes that occur in any call. This argument is required in the first call.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Sample weights in the loss.

        Returns
        -------
        self : MiniBatchLogisticRegression
            Fitted estimator.

        Raises
        ------
        ValueError
            As in `fit`, and if a label is not among the classes or `early_stopping` is True.

        Warns
        -----
        ConvergenceWarning
            If training diverged. The coefficients are then reset to those before the call.
        UserWarning
            If training was stopped by Ctrl-C, as in `fit`.
        """
        check_parameters(self)
        self._check_partial_fit()
        return self._continue_training(partial(self._read_parts, lambda: [(X, y, sample_weight)]), classes, 1)

    def fit_batches(
        self,
        batches: Batches | Callable[[], Batches],
        classes: ArrayLike | None = None,
        n_epochs: int = 1,
        *,
        X_val: MatrixLike | None = None,
        y_val: ArrayLike | None = None,
    ) -> Self:
        """Train on data that arrive in parts, for example from several files, and continue any previous training run.

        Each part is split into batches of `batch_size`, as in `partial_fit`. Training is fastest if parts are much
        larger than a batch. With validation data, the model keeps the coefficients of the epoch of this call with the
        lowest validation log loss, and `early_stopping` uses this loss. Otherwise, training runs for all epochs, unless
        an "adaptive" learning rate stops it.

        Parameters
        ----------
        batches : iterable or callable
            An iterable of tuples (X, y) or (X, y, sample_weight). For several epochs, it must support repeated
            iteration, as a list does and a generator does not. Alternatively, pass a function that returns an iterator
            for each epoch.
        classes : array-like of shape (n_classes,) or None, default=None
            All classes that occur in any part. This argument is required in the first call.
        n_epochs : int, default=1
            Number of passes over the parts.
        X_val, y_val : array-like of shapes (n_validation, n_features) and (n_validation,), or None
            Validation data.

        Returns
        -------
        self : MiniBatchLogisticRegression
            Fitted estimator.

        Raises
        ------
        ValueError
            As in `partial_fit`, and if `batches` is empty or does not support another iteration. The message contains
            the number of the part, starting at 0. The model is unchanged.

        Warns
        -----
        ConvergenceWarning, UserWarning
            If training diverged or was stopped by Ctrl-C, as in `fit`.
        """
        check_parameters(self)
        self._check_class_weight("fit_batches")
        if self.early_stopping and X_val is None:
            raise ValueError("fit_batches with early_stopping=True requires X_val and y_val; it sets no rows aside.")
        if not isinstance(n_epochs, Integral) or n_epochs < 1:
            raise ValueError(f"n_epochs must be an integer of at least 1, got {n_epochs!r}")
        begin = batches if callable(batches) else partial(iter, batches)
        if not callable(batches) and n_epochs > 1 and iter(batches) is batches:
            raise ValueError(f"batches must be iterable {n_epochs} times, got an iterator; pass a list or a function.")
        n_parts = n_epochs * len(batches) if hasattr(batches, "__len__") else None
        with show_step_progress(bool(self.verbose), n_parts) as show:
            numbers = itertools.count(1)
            read = partial(self._read_parts, begin, name="batches", on_trained_part=lambda: show(next(numbers)))
            return self._continue_training(read, classes, n_epochs, X_val, y_val)

    def _describe_result(self):
        return {"data": describe_data(self), **self._describe_training(), "coefficients": describe_coef(self)}

    def to_sklearn(self) -> Any:
        """Convert this fitted model to scikit-learn's LogisticRegression.

        Returns
        -------
        model : sklearn.linear_model.LogisticRegression
            A fitted model with the same coefficients. An SGDClassifier would return different probabilities for more
            than two classes.
        """
        return make_scikit_learn_model(self)

    def _read_parts(self, begin, reset=None, name=None, on_trained_part=None):
        """Yield the Examples of each part of an epoch, from the iterator that begin() returns.

        If `reset` is true, the first part sets the features of the estimator. Error messages contain `name`, the name
        of the argument, and the number of the part. `on_trained_part` is called after the training steps on each part.
        """
        number = -1
        for number, part in enumerate(begin()):
            with contextlib.nullcontext() if name is None else prefix_error_messages(f"part {number} of {name}"):
                if not isinstance(part, (tuple, list)) or len(part) not in (2, 3):
                    raise ValueError(f"a part must be (X, y) or (X, y, sample_weight), got {type(part).__name__}")
                X, y, sample_weight = (*part, None)[:3]
                examples, _ = self._make_examples_of_part(X, y, sample_weight, bool(reset) and number == 0, ["class"])
            yield examples
            if on_trained_part is not None:
                on_trained_part()
        if number < 0:
            message_suffix = " in every epoch" if reset is None else ""
            raise ValueError(f"{name} must hold at least one part{message_suffix}, got none")

    def _continue_training(self, read, classes, n_epochs, X_val=None, y_val=None):
        """Continue the training for n_epochs epochs on the parts that read() yields."""
        with restore_on_error(self), limit_jobs(self.n_jobs):
            is_continuation = hasattr(self, "coef_")
            random_state = self._begin_partial_fit(classes, is_continuation)
            before = self._optimizer if is_continuation else None
            if is_continuation and not isinstance(before, _LinearTrainingState):
                raise ValueError(f"_optimizer must be the state of the last call, got {type(before).__name__}")
            # Read the first part before the validation data, because the first part sets the features.
            epoch = read(reset=not is_continuation)
            epochs = itertools.chain([itertools.chain([next(epoch)], epoch)], iter(read, None))
            validation = self._make_validation_examples(X_val, y_val, "class")
            # All epochs run, unless early stopping or an adaptive learning rate stops training.
            can_stop_early = self.early_stopping or self.learning_rate == "adaptive"
            patience = self.n_iter_no_change if can_stop_early else np.inf
            descent = self._make_descent(is_continuation, before)
            arguments = descent, partial(next, epochs), validation, random_state, n_epochs, patience
            training = self._train(*arguments, before=before)
            self.n_iter_ = len(self.loss_curve_)
        if training.stop_reason in ("diverged", "interrupted"):
            warn_of_stopped_training(self, training, stacklevel=4, should_restore_last_step=True)
        return self

    def _make_descent(self, is_continuation, before=None):
        """Return a LinearDescent that continues from the last coefficients and the _Optimizer `before`, if any."""
        n_outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        network = Network((self.n_features_in_, n_outputs), has_intercepts=self.fit_intercept, dtype=self.dtype)
        average = self.average
        # The number of rows after which averaging starts.
        first_row = (0.0 if average else np.inf) if isinstance(average, (bool, np.bool_)) else float(average)
        descent = LinearDescent(network, self.momentum, first_row)
        if is_continuation:
            descent.counts[0] = self.t_
            _, coef, intercept = validate_coefficients(self)
            network.coefs[0][:], network.intercepts[0][:] = coef.T, intercept
            check_finite_parameters(network, "coef_ and intercept_")
        if before is not None:
            check_same_structure("_optimizer", before[:2], (network.parameters, descent.optimizer_arrays))
            descent.restore([*network.state, *before.optimizer_arrays])
            if descent.n_averaged_steps:
                network.parameters[:] = before.parameters
            if before.first_row != first_row:
                descent.restart_averaging()
        return descent

    def _train(self, descent, rows, validation, random_state, max_epochs, patience, on_epoch=None, *, before=None):
        """Train from the _Optimizer `before`, set the fitted attributes, and return the Training."""
        batch_size = int(min(self.batch_size, MAX_BATCH_SIZE))
        schedule = self._make_schedule(
            max_epochs, batch_size, patience, scores_by_loss=True, should_restore_last_step=True
        )
        arguments = descent, rows, validation, schedule, random_state, on_epoch
        n_epochs = 0 if before is None else len(self.loss_curve_)
        monitor = before.monitor if before is not None and self.learning_rate == "adaptive" else None
        training = train_by_epochs(*arguments, n_epochs=n_epochs, previous_monitor=monitor)
        self.t_ = descent.n_rows
        self._random_state = random_state
        assert training.monitor is not None
        self._optimizer = _LinearTrainingState(
            descent.network.parameters, descent.optimizer_arrays, descent.first_row, training.monitor
        )
        self._store_training_results(training, descent, validation is not None, is_continuation=before is not None)
        losses = self.validation_loss_curve_
        self.best_validation_loss_ = min(losses) if losses else None
        return training

    def _describe(self, descent):
        network = descent.make_predictor()
        return {"coef_": network.coefs[0].T.copy(), "intercept_": network.intercepts[0].copy()}


def _reduce_to_single_output(examples):
    """Return Examples whose soft labels for two classes have one column, because the network has a single output."""
    if examples is None or examples.labels.ndim == 1:
        return examples
    return replace(examples, labels=make_targets(examples.labels))


class _LinearTrainingState(NamedTuple):
    """The state from which `partial_fit` and `fit_batches` continue."""

    parameters: np.ndarray  # (p,), after the last step; `coef_` may be an average
    optimizer_arrays: Any  # the state of the GradientDescent
    first_row: float  # the number of rows after which averaging starts
    monitor: EarlyStopping
