"""The shared parts of MLPClassifier and MiniBatchLogisticRegression: a training's data, course and results."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from fastlin.estimators.endings import Tasks
from fastlin.estimators.labels import (
    ROWS,
    are_certain,
    encode_labels,
    named,
    read_labels,
    read_several,
    weigh_rows,
)
from fastlin.estimators.parameters import Course, Precision, estimator, fitted, parameter
from fastlin.estimators.scikit_learn import CallbackSupportMixin, check_partial_fit_first_call, with_callbacks
from fastlin.estimators.training_data import read_matrix
from fastlin.fitted import as_array, check_generator_state, expect, read_arrays, read_count
from fastlin.networks import Examples, Network
from fastlin.tensors import to_numbers
from fastlin.training import EpochSchedule, LearningRate
from fastlin.training.step_bar import show_steps
from fastlin.typing import Array, ClassWeight, RandomState

if TYPE_CHECKING:
    from fastlin.estimators import MLPClassifier, TrainedEstimator

# Sums of weights times losses of up to 1e8 a row stay finite below it.
HEAVIEST = 1e300
# What kinds of Targets are.
KINDS = {"class": "one class a row", "soft": "probabilities of the classes", "multilabel": "zeros and ones"}
PLAN = {"layer_sizes", "activation", "normalization", "is_independent", "dtype"}
# The measure of an Epoch that each curve has.
CURVES = {
    "loss_curve_": "loss",
    "accuracy_curve_": "accuracy",
    "validation_loss_curve_": "validation_loss",
    "validation_scores_": "validation_accuracy",
}


@estimator
class EpochTrained(CallbackSupportMixin):
    """What estimators that are trained by epochs show, tell callbacks and keep of a training."""

    alpha: float = parameter(default=0.0001, accepts=["at least 0"])
    learning_rate: Course = parameter(default="constant", accepts=[Course])
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
    dtype: Precision = parameter(default="float32", accepts=[Precision])

    classes_: Array = fitted()
    loss_curve_: list[float] = fitted()
    accuracy_curve_: list[float] = fitted()
    validation_loss_curve_: list[float] | None = fitted()
    validation_scores_: list[float] | None = fitted()
    n_iter_: int = fitted()
    t_: int = fitted()
    interrupted_: bool = fitted()

    def _describe(self, trained):
        """Return the attributes, by name, that predict as what is trained does by now: a Network or a Descent."""
        raise NotImplementedError

    @with_callbacks
    def _train_and_tell(self, X, y, sample_weight, trained, train):
        """Return the Training of train(on_epoch), which calls on_epoch each epoch, and tell callbacks of its end."""
        estimator: Any = self

        def describe(n_iter):
            return {"classes_": self.classes_, "n_iter_": n_iter, **self._describe(trained)}

        tasks = Tasks(self, X, y, sample_weight, describe).begin_fit()
        with self._show_epochs(estimator.max_iter, tasks) as on_epoch:
            training = train(on_epoch)
        if tasks is not None:
            tasks.end()
        return training

    @contextlib.contextmanager
    def _show_epochs(self, n_epochs, tasks=None):
        """Yield a function that shows the last epoch of a Training, with verbose, and tells the tasks of it."""
        with show_steps(bool(self.verbose), n_epochs) as show:

            def on_epoch(training):
                epoch = training.records[-1]
                loss, accuracy = (epoch.loss, epoch.validation_loss), (epoch.accuracy, epoch.validation_accuracy)
                show(len(training.records), loss=loss, accuracy=accuracy)
                return tasks is not None and tasks(len(training.records), epoch, tuple)

            yield on_epoch

    def _read_rows(self, X, y, sample_weight, X_val, y_val, continues, kinds=KINDS, **checks):
        """Set the classes; return the Examples to train and to validate on, and the kind of Targets among kinds."""
        estimator: Any = self
        if continues:
            check_continuation(estimator)
        matrix = read_matrix(self, X, reset=not continues, **checks)
        targets = read_targets(self, y, matrix.shape[0], kinds)
        if continues and not np.array_equal(targets.classes, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously "
                f"got {self.classes_}, `y` has {targets.classes}"
            )
        self.classes_ = targets.classes
        examples = make_examples(estimator, matrix, targets, sample_weight)
        return examples, read_validation(estimator, X_val, y_val, targets.kind), targets.kind

    def _keep(self, training, trained, is_validated, continues):
        """Set what a Training leaves; the curves go on where it continues another."""
        for name, measure in CURVES.items():
            values = [getattr(epoch, measure) for epoch in training.records]
            if not is_validated and measure.startswith("validation"):
                setattr(self, name, None)
            elif continues and getattr(self, name):
                # A copy of the curve at each call would make a long stream of calls slow.
                getattr(self, name).extend(values)
            else:
                setattr(self, name, values)
        self.interrupted_ = training.ended == "interrupted"
        vars(self).update(self._describe(trained))

    def _make_schedule(self, max_epochs, batch_size, patience, **more):
        """Return the EpochSchedule of a training; more is what EpochSchedule has besides."""
        # As in scikit-learn, "adam" does not follow the courses of "sgd".
        course = self.learning_rate if getattr(self, "solver", "sgd") == "sgd" else "constant"
        decay, power = float(self.learning_rate_decay), float(self.power_t)
        return EpochSchedule(
            max_epochs=max_epochs,
            batch_size=batch_size,
            learning_rate=LearningRate(float(self.learning_rate_init), course, decay, power),
            alpha=float(self.alpha),
            shuffle=self.shuffle,
            patience=patience,
            tol=self.tol,
            early_stopping=self.early_stopping,
            **more,
        )

    def _check_class_weight(self, method):
        """Raise a ValueError where a method that sees a part of the rows is to balance the classes."""
        if isinstance(self.class_weight, str):
            raise ValueError(
                f'class_weight="balanced" is not supported for {method}, which sees a part of the rows; give the '
                "weights of the classes in a dict, as sklearn.utils.class_weight.compute_class_weight finds them."
            )

    def _check_partial_fit(self):
        """Raise a ValueError for a parameter that `partial_fit` has no use for."""
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True: it is one epoch; use fit.")
        self._check_class_weight("partial_fit")

    def _begin_partial_fit(self, classes, continues):
        """Check and set the classes of all calls, and what a call goes on from; return the random state of the call."""
        estimator: Any = self
        if continues:
            check_continuation(estimator)
        check_partial_fit_first_call(self, classes)
        if len(self.classes_) < 2:
            raise ValueError(f"classes must hold at least 2 classes, got only one class: {self.classes_}")
        # A copy: a call that fails, or that Ctrl-C ends, leaves the numbers as they were.
        return deepcopy(self._random_state) if continues else check_random_state(self.random_state)


@dataclass(frozen=True, eq=False)
class Targets:
    """The targets of some rows, by their kind.

    "class" is one class a row, "multilabel" zeros and ones for each label, "soft" probabilities that sum to one; the
    last two have labels (n, n_classes), float64.
    """

    kind: str
    classes: np.ndarray
    labels: np.ndarray

    def seen_as(self, kind: str, n_classes: int) -> Targets:
        """Return the Targets as probabilities, where the others are and these are certain; else as they are."""
        is_certain = self.kind == "multilabel" and (self.labels.sum(axis=1) == 1).all()
        if kind == "soft" and is_certain:
            return Targets("soft", self.classes, self.labels)
        is_number = self.kind == "class" and self.classes.dtype.kind in "iu"
        if kind == "soft" and is_number and np.isin(self.classes, np.arange(n_classes)).all():
            return Targets("soft", np.arange(n_classes), np.eye(n_classes)[self.classes[self.labels]])
        return self

    def among(self, classes: Array, name: str) -> Array:
        """Return the labels, numbered by the given classes, which have to hold them; the name is for errors."""
        if self.kind != "class":
            if len(classes) != len(self.classes):
                raise ValueError(
                    f"{name} must have a column for each of {len(classes)} classes, got {len(self.classes)}"
                )
            return self.labels
        if np.array_equal(classes, self.classes):
            return self.labels
        unknown = self.classes[~np.isin(self.classes, classes)]
        if len(unknown):
            raise ValueError(f"{name} must hold classes of {classes} only, got {unknown}")
        return np.searchsorted(classes, self.classes)[self.labels]


def read_targets(estimator: object, y: Any, n_rows: int, kinds: Collection[str] = KINDS, suffix: str = "") -> Targets:
    """Return the Targets in y, of shape (n,) or (n, n_classes), of one of some kinds, after scikit-learn's checks."""
    given: Any = read_labels(estimator, y, n_rows, read_several, suffix)
    is_sparse = sparse.issparse(given)
    is_column = given.ndim == 1 or (given.shape[1] == 1 and not is_sparse)
    y = to_numbers(given.toarray() if is_sparse else given)
    if is_column:
        return Targets("class", *encode_labels(y if y.ndim == 1 else column_or_1d(y, warn=True)))
    labels, kind = y, "soft"
    if y.dtype.kind != "f" or are_certain(y):
        kind = type_of_target(y, input_name="y").removesuffix("-indicator")
        # Another number than one stands for it, as for scikit-learn.
        labels = (y != 0).astype(np.float64)
        if kind == "multilabel" and len(np.unique(y[y != 0])) > 1:
            raise ValueError(f"y with several columns must hold zeros and ones, got {np.unique(y).tolist()}")
    if kind not in kinds:
        if kind != "soft":
            check_classification_targets(y)
        accepted = " or ".join(", ".join(KINDS[each] for each in kinds).rsplit(", ", 1))
        raise ValueError(f"y must hold {accepted}, got {kind} data")
    return Targets(kind, np.arange(y.shape[1]), labels)


def make_examples(estimator: TrainedEstimator, matrix: Any, targets: Targets, sample_weight: Any) -> Examples:
    """Return Examples of rows with Targets, whose weights count as they are in a training."""
    classes, class_weight = estimator.classes_, estimator.class_weight
    if class_weight is not None and targets.kind != "class":
        raise ValueError(f"class_weight needs one class a row in y, got {targets.kind} y; give sample_weight.")
    labels = targets.among(classes, "y")
    weights, _ = weigh_rows(labels, classes, sample_weight, class_weight)
    if weights is not None:
        with np.errstate(over="ignore"):
            total = weights.sum()
        if total > HEAVIEST:
            raise ValueError(
                f"sample_weight times class_weight must sum to at most {HEAVIEST:g}, got {total:.3g}: divide all "
                "weights by the largest."
            )
    return Examples(matrix, labels, weights)


def read_validation(estimator: TrainedEstimator, X_val: Any, y_val: Any, kind: str) -> Examples | None:
    """Return the Examples to validate on that `fit` was given, of the kind of the Targets to train on, or None."""
    if X_val is None and y_val is None:
        return None
    if X_val is None or y_val is None:
        raise ValueError(f"X_val and y_val must be given together, got only {'y_val' if X_val is None else 'X_val'}")
    with named(ROWS):
        matrix = read_matrix(estimator, X_val, reset=False)
    with named("y_val"):
        targets = read_targets(estimator, y_val, matrix.shape[0], suffix="_val")
        targets = targets.seen_as(kind, len(estimator.classes_))
    if targets.kind != kind:
        raise ValueError(f"y_val must be of the kind of y, {kind}, got {targets.kind}")
    return Examples(matrix, targets.among(estimator.classes_, "y_val"))


def set_aside(
    estimator: TrainedEstimator, examples: Examples, random_state: np.random.RandomState
) -> Iterator[Examples]:
    """Return Examples to train on and Examples to validate on, as scikit-learn's MLPClassifier splits them."""
    n_rows, fraction, classes = len(examples), estimator.validation_fraction, None
    if len(estimator.classes_) == 2 and examples.labels.ndim == 1:
        # The column that scikit-learn has: its message names these values.
        classes = examples.labels[:, np.newaxis].astype(bool)
    try:
        split = {"random_state": random_state, "test_size": fraction, "stratify": classes}
        train, val = train_test_split(np.arange(n_rows), **split)
        if len(val) < 2:
            raise ValueError("at least 2 rows are needed")
    except ValueError as error:
        raise ValueError(
            f"validation_fraction={fraction} of {n_rows} rows cannot be set aside to "
            f"validate on: change it, or give X_val and y_val ({error})."
        ) from error
    if examples.weights is not None and not (examples.weights[train].any() and examples.weights[val].any()):
        raise ValueError(
            "sample_weight leaves no weight above zero to the rows to train on or to those that "
            f"validation_fraction={fraction} sets aside; give X_val and y_val."
        )
    return (Examples(examples.matrix, examples.labels, examples.weights, rows) for rows in (train, val))


def load_network(estimator: MLPClassifier, **training: Any) -> Network:
    """Return the network of the last training and the options of ``training``; a ValueError names a wrong attribute."""
    network = Network(**read_plan(estimator), **training)
    for name, targets in network.named_arrays().items():
        found = read_arrays(f"{name}_", getattr(estimator, f"{name}_"), [target.shape for target in targets])
        for target, values in zip(targets, found, strict=True):
            target[:] = values
    return network


def check_finite(network: Network, names: str = "coefs_, intercepts_ and the attributes of batch_norm") -> None:
    """Raise a ValueError, with the names of the attributes, where the parameters of a network are not finite."""
    if not np.isfinite(network.parameters).all():
        raise ValueError(f"{names} must be finite in {network.dtype}, but they hold NaN or infinity")


def read_plan(estimator: MLPClassifier) -> dict[str, Any]:
    """Return the arguments of the Network that predicts, after a check against the public attributes."""
    plan: Any = estimator._plan
    expect(isinstance(plan, dict) and plan.keys() == PLAN, "_plan", "describe a network", plan)
    n_inputs, *_, n_outputs = plan["layer_sizes"]
    n_features = read_count("n_features_in_", estimator.n_features_in_)
    expect(n_features == n_inputs, "n_features_in_", f"be {n_inputs}, as the network has inputs", n_features)
    classes = as_array("classes_", estimator.classes_)
    # One output tells two classes apart, or stands for one.
    accepted = (1, 2) if n_outputs == 1 and not plan["is_independent"] else (n_outputs,)
    is_right = classes.ndim == 1 and len(classes) in accepted
    expect(is_right, "classes_", f"hold {accepted[-1]} classes, as the network tells apart", classes)
    given: Any = estimator.out_activation_
    activation = "logistic" if n_outputs == 1 or plan["is_independent"] else "softmax"
    expect(isinstance(given, str) and given == activation, "out_activation_", f"be {activation!r}", given)
    return plan


def check_continuation(estimator: TrainedEstimator) -> None:
    """Raise a ValueError where a training cannot go on from the attributes of the last one; the error names one."""
    classes = as_array("classes_", estimator.classes_)
    try:
        is_sorted = classes.ndim == 1 and np.array_equal(classes, np.unique(classes))
    except TypeError:
        is_sorted = False
    # Labels are searched for in them.
    expect(is_sorted, "classes_", "hold each class once, in ascending order", classes.tolist())
    read_count("t_", estimator.t_)
    for name in CURVES:
        curve = getattr(estimator, name)
        is_right = isinstance(curve, list) or (curve is None and name != "loss_curve_")
        expect(is_right, name, "be a list", curve)
    state: Any = estimator._random_state
    expect(isinstance(state, np.random.RandomState), "_random_state", "be a RandomState", state)
    # A caller's generator may be of another kind.
    if state.get_state(legacy=False)["bit_generator"] == "MT19937":
        check_generator_state("_random_state", state.get_state())
