"""The common base class of MLPClassifier and MiniBatchLogisticRegression: data input, training and results."""

from __future__ import annotations

import contextlib
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from fastlin.containers.fitted import as_array, check_generator_state, require, validate_count
from fastlin.estimators.columns import validate_matrix
from fastlin.estimators.fit_reporting import CallbackTasks
from fastlin.estimators.labels import (
    X_VAL_REQUIREMENT,
    are_binary,
    check_label_type,
    compute_row_weights,
    encode_labels,
    explain_multilabel,
    prefix_error_messages,
    validate_labels,
)
from fastlin.estimators.parameters import FloatDtypeName, LearningRateSchedule, estimator, fitted, parameter
from fastlin.estimators.scikit_learn import CallbackSupportMixin, check_partial_fit_first_call, with_callbacks
from fastlin.estimators.summary import FitSummary
from fastlin.networks import Examples, Network
from fastlin.training import EpochSchedule, LearningRate
from fastlin.training.step_bar import show_step_progress
from fastlin.typing import Array, ClassWeight, RandomState

# Below this total weight, weighted sums of losses are finite if the loss of each row is at most 1e8.
MAX_TOTAL_WEIGHT = 1e300
# The kinds of Targets, and their descriptions in error messages.
TARGET_KINDS = {"class": "one class per row", "soft": "probabilities of the classes", "multilabel": "zeros and ones"}
# For each curve, the attribute of an Epoch that it contains.
EPOCH_ATTRIBUTES_BY_CURVE = {
    "loss_curve_": "loss",
    "accuracy_curve_": "accuracy",
    "validation_loss_curve_": "validation_loss",
    "validation_scores_": "validation_accuracy",
}


@estimator
class EpochTrainingMixin(CallbackSupportMixin, FitSummary):
    """Mixin of estimators that are trained by epochs: their parameters, validation, progress, callbacks and curves."""

    alpha: float = parameter(default=0.0001, accepts=["at least 0"])
    learning_rate: LearningRateSchedule = parameter(default="constant", accepts=[LearningRateSchedule])
    power_t: float = parameter(default=0.5, accepts=["at least 0"])
    learning_rate_decay: float = parameter(default=1.0, accepts=["above 0 to 1"])
    momentum: float = parameter(default=0.9, accepts=["from 0 to below 1"])
    early_stopping: bool = parameter(default=False, accepts=["boolean"])
    validation_fraction: float = parameter(default=0.1, accepts=["between 0 and 1"])
    shuffle: bool = parameter(default=True, accepts=["boolean"])
    class_weight: ClassWeight = parameter(default=None, accepts=[dict, "balanced", None])
    warm_start: bool = parameter(default=False, accepts=["boolean"])
    random_state: RandomState = parameter(default=None, accepts=["random_state"])
    verbose: bool | int = parameter(default=False, accepts=["verbose"])
    dtype: FloatDtypeName = parameter(default="float32", accepts=[FloatDtypeName])

    classes_: Array = fitted()
    loss_curve_: list[float] = fitted()
    accuracy_curve_: list[float] = fitted()
    validation_loss_curve_: list[float] | None = fitted()
    validation_scores_: list[float] | None = fitted()
    n_iter_: int = fitted()
    t_: int = fitted()
    interrupted_: bool = fitted()

    def _describe(self, trained_state):
        """Return the attributes that predictions need, from the current state of a Network or a GradientDescent."""
        raise NotImplementedError

    @with_callbacks
    def _train_with_callbacks(self, X, y, sample_weight, trained_state, train):
        """Call `train` and return its Training; `train` gets a function that runs the callbacks after each epoch."""
        estimator: Any = self

        def describe(n_iter):
            return {"classes_": self.classes_, "n_iter_": n_iter, **self._describe(trained_state)}

        tasks = CallbackTasks(self, X, y, sample_weight, describe).begin_fit()
        with self._show_epochs(estimator.max_iter, tasks) as on_epoch:
            training = train(on_epoch)
        if tasks is not None:
            tasks.end()
        return training

    @contextlib.contextmanager
    def _show_epochs(self, n_epochs, tasks=None):
        """Yield a function that reports the last epoch of a Training to the progress bar and the callback tasks."""
        with show_step_progress(bool(self.verbose), n_epochs) as show:

            def on_epoch(training):
                epoch = training.records[-1]
                loss, accuracy = (epoch.loss, epoch.validation_loss), (epoch.accuracy, epoch.validation_accuracy)
                show(len(training.records), loss=loss, accuracy=accuracy)
                return tasks is not None and tasks(len(training.records), epoch, tuple)

            yield on_epoch

    def _read_rows(self, X, y, sample_weight, X_val, y_val, is_continuation, kinds=TARGET_KINDS, **matrix_options):
        """Set the classes; return the training Examples, the validation Examples (or None) and the kind of Targets."""
        if is_continuation:
            self._check_continuation()
        matrix = validate_matrix(self, X, reset=not is_continuation, **matrix_options)
        targets = self._validate_targets(y, matrix.shape[0], kinds)
        if is_continuation and not np.array_equal(targets.classes, self.classes_):
            # This is the wording of scikit-learn, which its tests match.
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously "
                f"got {self.classes_}, `y` has {targets.classes}"
            )
        self.classes_ = targets.classes
        examples = self._make_examples(matrix, targets, sample_weight)
        return examples, self._make_validation_examples(X_val, y_val, targets.kind), targets.kind

    def _store_training_results(self, training, trained_state, has_validation, is_continuation):
        """Set the fitted attributes of a Training; if training continues, the curves are extended."""
        for name, measure in EPOCH_ATTRIBUTES_BY_CURVE.items():
            values = [getattr(epoch, measure) for epoch in training.records]
            if not has_validation and measure.startswith("validation"):
                setattr(self, name, None)
            elif is_continuation and getattr(self, name):
                # Copying the curve in each call would make a long sequence of calls slow.
                getattr(self, name).extend(values)
            else:
                setattr(self, name, values)
        self.interrupted_ = training.stop_reason == "interrupted"
        vars(self).update(self._describe(trained_state))

    def _make_schedule(self, max_epochs, batch_size, patience, **more):
        """Return the EpochSchedule of a training run; `more` contains its other fields."""
        # As in scikit-learn, "adam" ignores the learning rate schedules of "sgd".
        schedule = self.learning_rate if getattr(self, "solver", "sgd") == "sgd" else "constant"
        decay, decay_exponent = float(self.learning_rate_decay), float(self.power_t)
        rate = LearningRate(float(self.learning_rate_init), schedule, decay, decay_exponent)
        stopping = {"patience": patience, "tol": self.tol, "early_stopping": self.early_stopping}
        return EpochSchedule(max_epochs, batch_size, rate, float(self.alpha), self.shuffle, **stopping, **more)

    def _describe_training(self):
        """Return the summary lines on the epochs, and on the training and validation loss and accuracy."""
        if not self.loss_curve_:
            return {"epochs": "none"}
        lines = {
            # L-BFGS does not count training samples.
            "epochs": f"{self.n_iter_:,}"
            + (f", {self.t_:,} training samples seen" if self.t_ else "")
            + (", interrupted" if self.interrupted_ else ""),
            "loss": f"{self.loss_curve_[-1]:.6g} in the last epoch, including the penalty",
        }
        # A model converted from scikit-learn has no accuracy curve.
        if self.accuracy_curve_:
            lines["accuracy"] = f"{self.accuracy_curve_[-1]:.4f} in the last epoch"
        losses, scores = self.validation_loss_curve_, self.validation_scores_
        if losses and scores:
            last = f"loss {losses[-1]:.6g}, accuracy {scores[-1]:.4f} in the last epoch"
            lines["validation"] = f"{last}; best accuracy {max(scores):.4f}"
        return lines

    def _check_class_weight(self, method):
        """Raise a ValueError if class weights are "balanced" in a method that is called with only part of the data."""
        if isinstance(self.class_weight, str):
            raise ValueError(
                f'class_weight="balanced" is not supported by {method}, which gets only some of the rows. Use a dict '
                "of class weights instead."
            )

    def _check_partial_fit(self):
        """Raise a ValueError for parameters that `partial_fit` does not support."""
        if self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True, because it runs a single epoch; use fit."
            )
        self._check_class_weight("partial_fit")

    def _begin_partial_fit(self, classes, is_continuation):
        """Validate the state from which to continue, set the classes, and return the random state of this call."""
        if is_continuation:
            self._check_continuation()
        if classes is not None:
            check_label_type(np.asarray(classes), "classes")
        check_partial_fit_first_call(self, classes)
        if len(self.classes_) < 2:
            raise ValueError(f"classes must contain at least 2 classes, got only one class: {self.classes_}")
        # The random state is copied, so that calls that fail or are interrupted do not change it.
        return deepcopy(self._random_state) if is_continuation else check_random_state(self.random_state)

    def _validate_targets(self, y, n_rows, kinds=TARGET_KINDS, suffix=""):
        """Return the Targets of y, (n,) or (n, n_classes); raise a ValueError if their kind is not in `kinds`."""
        y = validate_labels(self, y, n_rows, suffix, allows_multilabel=True)
        if y.ndim == 1:
            return Targets("class", *encode_labels(y))
        y = np.ascontiguousarray(y.toarray() if sparse.issparse(y) else y, np.float64)
        kind = "multilabel" if are_binary(y) else "soft"
        if kind not in kinds:
            if kind == "multilabel":
                raise ValueError(explain_multilabel(y, f"y{suffix}"))
            accepted_text = " or ".join(TARGET_KINDS[accepted_kind] for accepted_kind in kinds)
            raise ValueError(f"y must contain {accepted_text}, got {TARGET_KINDS[kind]}")
        return Targets(kind, np.arange(y.shape[1]), y)

    def _make_examples(self, matrix, targets, sample_weight):
        """Return the Examples of rows with Targets; the weights are not normalized."""
        if self.class_weight is not None and targets.kind != "class":
            raise ValueError(
                f"class_weight requires y with one class per row, got {TARGET_KINDS[targets.kind]}; use "
                "sample_weight instead."
            )
        labels = targets.encode(self.classes_, "y")
        weights, _ = compute_row_weights(labels, self.classes_, sample_weight, self.class_weight)
        if weights is not None:
            with np.errstate(over="ignore"):
                total = weights.sum()
            if total > MAX_TOTAL_WEIGHT:
                raise ValueError(
                    f"sample_weight times class_weight must sum to at most {MAX_TOTAL_WEIGHT:g}, got {total:.3g}"
                )
        return Examples(matrix, labels, weights)

    def _make_examples_of_part(self, X, y, sample_weight, reset, kinds=TARGET_KINDS):
        """Return the Examples of rows and the kind of their Targets; the classes must have been set."""
        matrix = validate_matrix(self, X, reset=reset)
        targets = self._validate_targets(y, matrix.shape[0], kinds).convert_to_target_kind(
            getattr(self, "_kind", ""), len(self.classes_)
        )
        return self._make_examples(matrix, targets, sample_weight), targets.kind

    def _make_validation_examples(self, X_val, y_val, kind):
        """Return the Examples of the validation data, with Targets of this kind; None without validation data."""
        if X_val is None and y_val is None:
            return None
        if X_val is None or y_val is None:
            name = "y_val" if X_val is None else "X_val"
            raise ValueError(f"X_val and y_val must be given together, got only {name}")
        with prefix_error_messages(X_VAL_REQUIREMENT):
            matrix = validate_matrix(self, X_val, reset=False)
        with prefix_error_messages("y_val"):
            targets = self._validate_targets(y_val, matrix.shape[0], suffix="_val").convert_to_target_kind(
                kind, len(self.classes_)
            )
        require(targets.kind == kind, "y_val", f"contain {TARGET_KINDS[kind]}, as y does", TARGET_KINDS[targets.kind])
        return Examples(matrix, targets.encode(self.classes_, "y_val"))

    def _split_validation(self, examples, random_state):
        """Return training and validation Examples, split in the same way as in scikit-learn's MLPClassifier."""
        n_rows, fraction, classes = len(examples), self.validation_fraction, None
        if len(self.classes_) == 2 and examples.labels.ndim == 1:
            # As in scikit-learn, this is a column of booleans, whose values occur in an error message.
            classes = examples.labels[:, np.newaxis].astype(bool)
        with prefix_error_messages(
            f"validation_fraction={fraction} of {n_rows} rows cannot be set aside; give X_val and y_val"
        ):
            split_options = {"random_state": random_state, "test_size": fraction, "stratify": classes}
            parts = train_test_split(np.arange(n_rows), **split_options)
            if len(parts[1]) < 2:
                raise ValueError("at least 2 rows are needed")
        weights = examples.weights
        if weights is not None and not all(weights[rows].any() for rows in parts):
            raise ValueError("sample_weight must be positive for some training rows and for some validation rows.")
        return (Examples(examples.matrix, examples.labels, weights, rows) for rows in parts)

    def _check_continuation(self):
        """Raise a ValueError that names an attribute if a training run cannot continue from the fitted attributes."""
        classes = as_array("classes_", self.classes_)
        try:
            are_classes_sorted = classes.ndim == 1 and np.array_equal(classes, np.unique(classes))
        except TypeError:
            are_classes_sorted = False
        # Labels are encoded with a binary search in the classes.
        require(are_classes_sorted, "classes_", "contain each class once, in ascending order", classes.tolist())
        validate_count("t_", self.t_)
        for name in EPOCH_ATTRIBUTES_BY_CURVE:
            curve = getattr(self, name)
            is_valid = isinstance(curve, list) or (curve is None and name != "loss_curve_")
            require(is_valid, name, "be a list", curve)
        state = self._random_state
        require(isinstance(state, np.random.RandomState), "_random_state", "be a RandomState", state)
        # A user-defined random state may use another bit generator.
        if state.get_state(legacy=False)["bit_generator"] == "MT19937":
            check_generator_state("_random_state", state.get_state())


class Targets(NamedTuple):
    """The targets of some rows. There are three kinds.

    "class" means one class per row, "multilabel" zeros and ones for each label, and "soft" probabilities that sum to
    one. For the latter two kinds, labels have shape (n, n_classes) and dtype float64.
    """

    kind: str
    classes: np.ndarray
    labels: np.ndarray

    def convert_to_target_kind(self, kind: str, n_classes: int) -> Targets:
        """Return the Targets, converted to probabilities if kind is "soft" and they contain one class per row."""
        is_one_hot = self.kind == "multilabel" and (self.labels.sum(axis=1) == 1).all()
        if kind == "soft" and is_one_hot:
            return Targets("soft", self.classes, self.labels)
        is_number = self.kind == "class" and self.classes.dtype.kind in "iu"
        if kind == "soft" and is_number and np.isin(self.classes, np.arange(n_classes)).all():
            return Targets("soft", np.arange(n_classes), np.eye(n_classes)[self.classes[self.labels]])
        return self

    def encode(self, classes: Array, name: str) -> Array:
        """Return the labels as indices into the classes; raise a ValueError with the name if other classes occur."""
        if self.kind != "class":
            n_columns, n_classes = len(self.classes), len(classes)
            require(n_columns == n_classes, name, f"have a column for each of {n_classes} classes", n_columns)
            return self.labels
        unseen_classes = self.classes[~np.isin(self.classes, classes)]
        if len(unseen_classes):
            raise ValueError(f"{name} must contain only the classes {classes}, got {unseen_classes}")
        return np.searchsorted(classes, self.classes).astype(np.int32)[self.labels]


def check_finite_parameters(
    network: Network, names: str = "coefs_, intercepts_ and the attributes of batch_norm"
) -> None:
    """Raise a ValueError with the names of the attributes if the parameters of a network are not finite."""
    if not np.isfinite(network.parameters).all():
        raise ValueError(f"{names} must be finite in {network.dtype}, but they contain NaN or infinity")
