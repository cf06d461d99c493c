"""What MLPClassifier and MiniBatchLogisticRegression share: how parameters describe a training, and what it leaves."""

from __future__ import annotations

import contextlib
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from sklearn.utils import check_random_state

from fastlin.estimators.fitted_networks import check_continuation
from fastlin.estimators.listeners import begin_tasks
from fastlin.estimators.scikit_learn import CallbackSupportMixin, check_partial_fit_first_call, with_callbacks
from fastlin.training import EpochSchedule, LearningRate
from fastlin.training.step_bar import show_steps

if TYPE_CHECKING:
    from fastlin.typing import Array


class EpochTrained(CallbackSupportMixin):
    """What estimators that are trained by epochs show, tell callbacks and keep of a training."""

    classes_: Array
    loss_curve_: list[float]
    accuracy_curve_: list[float]
    validation_loss_curve_: list[float] | None
    validation_scores_: list[float] | None
    n_iter_: int
    t_: int
    interrupted_: bool
    verbose: bool | int

    def _describe(self, trained):
        """Return the attributes, by name, that predict as what is trained does by now: a Network or a Descent."""
        raise NotImplementedError

    @with_callbacks
    def _train_and_tell(self, X, y, sample_weight, trained, train):
        """Return the Training of train(on_epoch), which is to tell of each epoch, and tell callbacks of its end.

        X, y and sample_weight are what `fit` was given.
        """
        estimator: Any = self

        def describe(n_iter):
            return {"classes_": self.classes_, "n_iter_": n_iter, **self._describe(trained)}

        tasks = begin_tasks(estimator, X, y, sample_weight, describe)
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

    def _keep(self, training, trained, is_validated, continues):
        """Set what a Training leaves; the curves go on where it continues another."""
        for name, measure, is_measured in (
            ("loss_curve_", "loss", True),
            ("accuracy_curve_", "accuracy", True),
            ("validation_loss_curve_", "validation_loss", is_validated),
            ("validation_scores_", "validation_accuracy", is_validated),
        ):
            values = [getattr(epoch, measure) for epoch in training.records]
            if continues and is_measured and getattr(self, name):
                # A copy of the curve at each call would make a long stream of calls slow.
                getattr(self, name).extend(values)
            else:
                setattr(self, name, values if is_measured else None)
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
        """Check and set the classes of all calls, and what a call goes on from; return the random state of the call.

        Raises
        ------
        ValueError
            There is one class, or the attributes of the last training contradict each other.
        """
        estimator: Any = self
        if continues:
            check_continuation(estimator)
        check_partial_fit_first_call(self, classes)
        if len(self.classes_) < 2:
            raise ValueError(f"classes must hold at least 2 classes, got only one class: {self.classes_}")
        # A copy: a call that fails, or that Ctrl-C ends, leaves the numbers as they were.
        return deepcopy(self._random_state) if continues else check_random_state(self.random_state)
