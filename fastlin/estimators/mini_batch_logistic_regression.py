"""MiniBatchLogisticRegression: softmax regression by mini-batches, for rows that come in parts or need no exact fit."""

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

from fastlin.estimators.columns import read_matrix
from fastlin.estimators.labels import check_classes, named, to_targets
from fastlin.estimators.linear_predictions import LinearPredictions, read_coefficients
from fastlin.estimators.network_training import EpochTrained, check_finite
from fastlin.estimators.parameters import estimator, fitted, limit_jobs, parameter
from fastlin.estimators.scikit_learn import check_parameters
from fastlin.estimators.stop_reasons import restored_on_error, warn_of_training
from fastlin.estimators.summary import describe_coef, describe_data, make_linear_model
from fastlin.fitted import check_like
from fastlin.networks import Network
from fastlin.training import EarlyStopping, LinearDescent, train_by_epochs
from fastlin.training.step_bar import show_steps
from fastlin.typing import MatrixLike

# More rows than there are make one batch.
MAX_ROWS = 2**31

# Parts of the rows, each a tuple of X and y, or of X, y and weights.
Batches: TypeAlias = Iterable[tuple[MatrixLike, ArrayLike] | tuple[MatrixLike, ArrayLike, ArrayLike]]


@estimator
class MiniBatchLogisticRegression(EpochTrained, LinearPredictions):
    """Logistic regression of two or more classes by steps on mini-batches.

    It minimizes the mean cross-entropy of the softmax (of the logistic function for two classes) plus
    ``alpha / 2 ||coef||^2``, as `LogisticRegression` does with ``C = 1 / (alpha n)``. scikit-learn's SGDClassifier
    takes steps of one row and fits each class against the rest; it has no batches, no momentum, no validation data of
    the caller's and no log loss to stop by.

    Dense float64, float32, uint8, int8, int16 and bool data and CSR matrices are read in place, a batch at a time; so
    are memory-mapped arrays and tensors in the processor's memory. float16 and bfloat16 are copied to float32. The same
    seed gives the same bits for any number of threads.

    Parameters
    ----------
    batch_size : int, default=128
        Number of rows of a batch; the last one of an epoch has the rows that are left.
    learning_rate_init : float, default=0.01
        Learning rate of the first epoch. Columns are best of about unit spread, or from 0 to 1.
    average : bool or int, default=False
        Whether `coef_` and `intercept_` are the mean over the steps (Polyak and Juditsky 1992); a number above 1 lets
        the mean begin after that number of rows, each time counted.
    max_iter : int, default=100
        Largest number of epochs.
    tol : float, default=0.001
        Smallest improvement that counts, of the loss or, with early_stopping, of the validation loss.
    n_iter_no_change : int or np.inf, default=5
        The training stops after more than this number of epochs without an improvement by `tol`. With np.inf it takes
        max_iter epochs.
    fit_intercept : bool, default=True
        Whether scores have an intercept.
    n_jobs : int or None, default=None
        Threads of predictions and validations; None means all. Steps take one.
    alpha : float, default=0.0001
        Strength of the penalty.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        How the learning rate goes, as in `MLPClassifier`.
    power_t : float, default=0.5
        The power of "invscaling".
    learning_rate_decay : float, default=1.0
        Factor on the learning rate after each epoch, above 0 and at most 1.
    momentum : float, default=0.9
        Part of the velocity that the next step keeps, from 0 to below 1.
    early_stopping : bool, default=False
        Whether the training stops by the log loss on validation data, which are given to `fit` or else set aside.
    validation_fraction : float, default=0.1
        Part of the rows that early_stopping sets aside where no validation data are given.
    shuffle : bool, default=True
        Whether a new order of the rows is drawn for each epoch.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss; "balanced" weighs them inversely to their rows.
    warm_start : bool, default=False
        Whether a fit begins with the coefficients of the last fit.
    random_state : int, RandomState or None, default=None
        Draws the validation data and the orders of the rows.
    verbose : bool or int, default=False
        Whether a progress bar is shown, with loss and accuracy, and after a slash those on the validation data.
    dtype : {"float32", "float64"}, default="float32"
        Type in which the steps are computed, and of `coef_`. Columns whose spread is below 1e-6 of their values need
        float64.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients; for two classes of the second.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    loss_curve_, accuracy_curve_ : list of float
        Mean loss, with the penalty, and accuracy on each whole epoch's batches before each step.
    validation_loss_curve_, validation_scores_ : list of float or None
        Mean log loss and accuracy on the validation data after each epoch.
    best_validation_loss_ : float or None
        The lowest of `validation_loss_curve_`.
    n_iter_ : int
        Number of whole epochs of the last fit; after partial_fit and fit_batches, of all trainings so far.
    t_ : int
        Number of rows that steps have been taken with so far, each time counted.
    interrupted_ : bool
        Whether Ctrl-C ended the last training, which then kept the last whole step.
    fit_seconds_ : float
        Seconds that the last fit took.
    n_features_in_, feature_names_in_ : int and ndarray of shape (n_features,)
        Number of columns of X, and their names, where X had any.

    See Also
    --------
    LogisticRegression : The same objective at its proven minimum.
    MLPClassifier : Networks, by mini-batches too.

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
    n_jobs: int | None = parameter(default=None, accepts=[None, "whole number"])

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

        Where there are validation data, given here or set aside by early_stopping, the model is the one of the first
        epoch with the lowest log loss on them, else the one of the last step.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The rows to train on.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Their classes, or soft labels, as `LogisticRegression.fit` takes them, for the classes 0, 1, ...
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows in the loss.
        X_val, y_val : array-like of shapes (n_validation, n_features) and (n_validation,), or None
            Validation data. With soft labels y_val has soft labels too, or numbers of classes.

        Returns
        -------
        self : MiniBatchLogisticRegression
            The fitted estimator.

        Raises
        ------
        ValueError
            A parameter is out of range, or data have a wrong shape, values that are not finite or one class.

        Warns
        -----
        ConvergenceWarning
            The training diverged, or came to max_iter while it still improved.
        UserWarning
            Ctrl-C ended the training, which keeps its whole steps and sets `interrupted_`. Before the first whole step
            it raises, and the model is as it was.
        """
        check_parameters(self)
        with restored_on_error(self), limit_jobs(self.n_jobs):
            continues = self.warm_start and hasattr(self, "coef_")
            # Values that are not finite make losses that are not, so that only a training that diverges looks for them.
            given = X, y, sample_weight, X_val, y_val, continues
            examples, validation, _ = self._read_rows(*given, ("class", "soft"), ensure_all_finite=False)
            check_classes(self, self.classes_)
            examples, validation = _narrow(examples), _narrow(validation)
            random_state = check_random_state(self.random_state)
            if self.early_stopping and validation is None:
                examples, validation = self._set_aside(examples, random_state)
            descent = self._make_descent(continues)
            given = descent, examples, validation, random_state, self.max_iter, self.n_iter_no_change
            training = self._train_and_tell(X, y, sample_weight, descent, partial(self._train, *given))
            if training.ended == "diverged":
                read_matrix(self, X, reset=False)
            self.n_iter_ = len(training.records)
        warn_of_training(self, training, stacklevel=3, keeps_steps=True)
        return self

    def partial_fit(
        self, X: MatrixLike, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on some rows; momentum, learning rate and random numbers go on from call to call.

        Parameters
        ----------
        X, y : array-like
            The rows to train on, as in `fit`, and the class of each. Fewer rows than `batch_size` make one batch.
        classes : array-like of shape (n_classes,) or None, default=None
            All classes of all calls, which the first call needs.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows in the loss.

        Returns
        -------
        self : MiniBatchLogisticRegression
            The fitted estimator.

        Raises
        ------
        ValueError
            As `fit`, or a label is not among the classes, or early_stopping is set.

        Warns
        -----
        ConvergenceWarning
            The training diverged; the coefficients are those before the call.
        UserWarning
            Ctrl-C ended the training, as in `fit`.
        """
        check_parameters(self)
        self._check_partial_fit()
        return self._go_on(partial(self._read_parts, lambda: [(X, y, sample_weight)]), classes, 1)

    def fit_batches(
        self,
        batches: Batches | Callable[[], Batches],
        classes: ArrayLike | None = None,
        n_epochs: int = 1,
        *,
        X_val: MatrixLike | None = None,
        y_val: ArrayLike | None = None,
    ) -> Self:
        """Train on rows that come in parts, such as the files of a folder; go on from the last training, if any.

        Each part is cut into batches of `batch_size`, as by `partial_fit`; parts much larger than that are the fastest.
        With validation data the model is the one of this call's epoch with the lowest log loss on them, and with
        `early_stopping` the training ends by them. Otherwise the training takes all epochs, "adaptive" rates aside.

        Parameters
        ----------
        batches : iterable or callable
            Its items are (X, y) or (X, y, sample_weight). For several epochs it must be iterable again and again, as a
            list is and a generator is not, or a function that returns an iterator for each epoch.
        classes : array-like of shape (n_classes,) or None, default=None
            All classes of all parts, which the first training needs.
        n_epochs : int, default=1
            How many times the parts are gone through.
        X_val, y_val : array-like of shapes (n_validation, n_features) and (n_validation,), or None
            Validation data.

        Returns
        -------
        self : MiniBatchLogisticRegression
            The fitted estimator.

        Raises
        ------
        ValueError
            As `partial_fit`, and for batches that are empty or cannot be gone through again. The message names the
            part, counted from 0. The model is as it was before.

        Warns
        -----
        ConvergenceWarning, UserWarning
            The training diverged, or Ctrl-C ended it, as in `fit`.
        """
        check_parameters(self)
        self._check_class_weight("fit_batches")
        if self.early_stopping and X_val is None:
            raise ValueError("early_stopping=True of fit_batches needs X_val and y_val: it sets no rows aside.")
        if not isinstance(n_epochs, Integral) or n_epochs < 1:
            raise ValueError(f"n_epochs must be a whole number of at least 1, got {n_epochs!r}")
        begin = batches if callable(batches) else partial(iter, batches)
        if not callable(batches) and n_epochs > 1 and iter(batches) is batches:
            raise ValueError(f"batches must be iterable {n_epochs} times, got an iterator; give a list or a function.")
        n_parts = n_epochs * len(batches) if hasattr(batches, "__len__") else None
        with show_steps(bool(self.verbose), n_parts) as show:
            numbers = itertools.count(1)
            read = partial(self._read_parts, begin, name="batches", on_part=lambda: show(next(numbers)))
            return self._go_on(read, classes, n_epochs, X_val, y_val)

    def _describe_result(self):
        return {"data": describe_data(self), **self._describe_training(), "coefficients": describe_coef(self)}

    def to_sklearn(self) -> Any:
        """Return a fitted LogisticRegression of scikit-learn with the same coefficients.

        Returns
        -------
        model : sklearn.linear_model.LogisticRegression
            SGDClassifier has other probabilities for more than two classes.
        """
        return make_linear_model(self)

    def _read_parts(self, begin, reset=None, name=None, on_part=None):
        """Yield the Examples of each part of an epoch, from the iterator of begin().

        reset says whether the first part sets the columns of the estimator. Errors name the argument with the number of
        the part. on_part is called after the steps with a part.
        """
        number = -1
        for number, part in enumerate(begin()):
            with contextlib.nullcontext() if name is None else named(f"part {number} of {name}"):
                if not isinstance(part, (tuple, list)) or len(part) not in (2, 3):
                    raise ValueError(f"a part must be (X, y) or (X, y, sample_weight), got {type(part).__name__}")
                X, y, sample_weight = (*part, None)[:3]
                examples, _ = self._read_part(X, y, sample_weight, bool(reset) and number == 0, ["class"])
            yield examples
            if on_part is not None:
                on_part()
        if number < 0:
            every = " in every epoch" if reset is None else ""
            raise ValueError(f"{name} must hold at least one part{every}, got none")

    def _go_on(self, read, classes, n_epochs, X_val=None, y_val=None):
        """Train for some epochs, from the last training on, on the parts that read() yields."""
        with restored_on_error(self), limit_jobs(self.n_jobs):
            continues = hasattr(self, "coef_")
            random_state = self._begin_partial_fit(classes, continues)
            before = self._optimizer if continues else None
            if continues and not isinstance(before, _Optimizer):
                raise ValueError(f"_optimizer must be that of the last call, got {type(before).__name__}")
            # The estimator takes the columns of the first part.
            epoch = read(reset=not continues)
            epochs = itertools.chain([itertools.chain([next(epoch)], epoch)], iter(read, None))
            validation = self._read_validation(X_val, y_val, "class")
            # Epochs that are asked for are taken, unless validation data or a rate that is to fall say otherwise.
            is_watched = self.early_stopping or self.learning_rate == "adaptive"
            patience = self.n_iter_no_change if is_watched else np.inf
            descent = self._make_descent(continues, before)
            given = descent, partial(next, epochs), validation, random_state, n_epochs, patience
            training = self._train(*given, before=before)
            self.n_iter_ = len(self.loss_curve_)
        if training.ended in ("diverged", "interrupted"):
            warn_of_training(self, training, stacklevel=4, keeps_steps=True)
        return self

    def _make_descent(self, continues, before=None):
        """Return a LinearDescent that continues with the last coefficients, if it does, and the _Optimizer `before`."""
        n_outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        network = Network((self.n_features_in_, n_outputs), has_intercepts=self.fit_intercept, dtype=self.dtype)
        average = self.average
        # After how many rows the mean of the steps begins.
        first_row = (0.0 if average else np.inf) if isinstance(average, (bool, np.bool_)) else float(average)
        descent = LinearDescent(network, self.momentum, first_row)
        if continues:
            descent.counts[0] = self.t_
            _, coef, intercept = read_coefficients(self)
            network.coefs[0][:], network.intercepts[0][:] = coef.T, intercept
            check_finite(network, "coef_ and intercept_")
        if before is not None:
            check_like("_optimizer", before[:2], (network.parameters, descent.carried))
            descent.restore([*network.state, *before.carried])
            if descent.n_averaged:
                network.parameters[:] = before.parameters
            if before.first_row != first_row:
                descent.forget_mean()
        return descent

    def _train(self, descent, rows, validation, random_state, max_epochs, patience, on_epoch=None, *, before=None):
        """Train, from the _Optimizer `before` on, keep the model and its curves, and return the Training."""
        batch_size = int(min(self.batch_size, MAX_ROWS))
        schedule = self._make_schedule(max_epochs, batch_size, patience, by_loss=True, keeps_steps=True)
        given = descent, rows, validation, schedule, random_state, on_epoch
        n_epochs = 0 if before is None else len(self.loss_curve_)
        left = before.patience if before is not None and self.learning_rate == "adaptive" else None
        training = train_by_epochs(*given, n_epochs=n_epochs, patience=left)
        self.t_ = descent.n_rows
        self._random_state = random_state
        assert training.patience is not None
        self._optimizer = _Optimizer(descent.network.parameters, descent.carried, descent.first_row, training.patience)
        self._keep(training, descent, validation is not None, continues=before is not None)
        losses = self.validation_loss_curve_
        self.best_validation_loss_ = min(losses) if losses else None
        return training

    def _describe(self, descent):
        network = descent.predictor()
        return {"coef_": network.coefs[0].T.copy(), "intercept_": network.intercepts[0].copy()}


def _narrow(examples):
    """Return Examples with soft labels of two classes as targets of the network's one output."""
    if examples is None or examples.labels.ndim == 1:
        return examples
    return replace(examples, labels=to_targets(examples.labels))


class _Optimizer(NamedTuple):
    """The state from which `partial_fit` goes on."""

    parameters: np.ndarray  # (p,), after the last step; `coef_` may be a mean of steps
    carried: Any  # of the Descent
    first_row: float  # the number of rows after which the mean begins
    patience: EarlyStopping  # what is left of it
