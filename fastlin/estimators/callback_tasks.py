"""What a fit tells scikit-learn's callbacks: a task for the fit, and within it one for each iteration.

A cross-validation has a task for each fold and l1_ratio and one for the refit, in each of them one for each C, and in
that its iterations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastlin.estimators.scikit_learn import CallbackSupportMixin, has_callbacks, open_tasks, with_callbacks
from fastlin.typing import Array, FloatArray, IntArray, MatrixLike

if TYPE_CHECKING:
    from fastlin.blocks import Blocks
    from fastlin.estimators import LinearEstimator, LogisticRegressionCV, TrainedEstimator

# Takes the number of an iteration, what the solver tells of it, and a function that returns what its model consists of;
# returns whether the fit is to stop.
Listener: TypeAlias = Callable[[int, Any, Callable[[], Any]], Any]
# What IterationTasks has as `describe`.
Describe: TypeAlias = Callable[..., dict[str, Any]]


class IterationTasks:
    """The tasks of one fit, for the callbacks that an estimator has.

    Each iteration is a task that begins where the one before it ended, so that the task that is open in the end stays
    empty, as scikit-learn's lbfgs leaves it.

    Parameters
    ----------
    X, y, sample_weight : array-like
        What `fit` was given.
    describe : callable
        Takes the number of an iteration and what its model consists of; returns the attributes, by name, that a fitted
        estimator predicts with.
    context : CallbackContext or None
        The task of the fit, where it is part of another; None sets up the callbacks.
    """

    def __init__(
        self,
        estimator: LinearEstimator | TrainedEstimator,
        X: MatrixLike | Blocks,
        y: ArrayLike | None,
        sample_weight: ArrayLike | None,
        describe: Describe,
        context: Any = None,
    ) -> None:
        self._describe = describe
        self._data = _name_data(estimator, X, y, sample_weight)
        self._fit = open_tasks(estimator, count_tasks(estimator)) if context is None else context
        self._fit.call_on_fit_task_begin(**self._data)
        self._n_iter = 0
        self._begin(None)

    def __call__(self, n_iter: int, iteration: Any, model: Callable[[], Iterable[Any]]) -> Any:
        """End the task of an iteration and begin the next one; return whether a callback asks to stop.

        n_iter is the number of the iteration, model a function that returns what its model consists of.
        """
        self._n_iter = n_iter

        def attributes():
            return self._describe(n_iter, *model())

        stop = self._iteration.call_on_fit_task_end(**self._data, reconstruction_attributes=attributes)
        self._begin(attributes)
        return stop

    def end(self, *model: Any) -> None:
        """End the tasks of a fit that has led to a model."""
        self._end_empty()
        if self._n_iter == 0:
            self._begin(None)
            self._end_empty()
        attributes = self._describe(self._n_iter, *model)
        self._fit.call_on_fit_task_end(**self._data, reconstruction_attributes=attributes)

    def _begin(self, attributes):
        self._iteration = self._fit.subcontext(task_name="iteration")
        self._iteration.call_on_fit_task_begin(**self._data, reconstruction_attributes=attributes)

    def _end_empty(self):
        self._iteration.call_on_fit_task_end(**self._data)


class EpochCallbacks(CallbackSupportMixin):
    """The callbacks of an estimator that is trained by epochs, and has `classes_`."""

    @with_callbacks
    def _train_and_tell(self, X, y, sample_weight, describe, train):
        """Return the EpochTraining of train(tell), which is to tell of each epoch, and tell of its end.

        X, y and sample_weight are what `fit` was given; describe returns the attributes that predict by now.
        """
        estimator: Any = self
        if not has_callbacks(estimator):
            return train(None)

        def describe_epoch(n_iter):
            return {"classes_": estimator.classes_, "n_iter_": n_iter, **describe()}

        tasks = IterationTasks(estimator, X, y, sample_weight, describe_epoch)
        training = train(lambda training: tasks(len(training.epochs), training.epochs[-1], lambda: ()))
        tasks.end()
        return training


class CrossValidationTasks:
    """The tasks of one cross-validation. Its fits may run side by side; one callback is called at a time.

    There are n_paths pairs of a fold and an l1_ratio. X, y, sample_weight and describe are as IterationTasks has them,
    and is_stopped says whether a callback has asked to stop.
    """

    def __init__(
        self,
        estimator: LogisticRegressionCV,
        X: MatrixLike | Blocks,
        y: ArrayLike | None,
        sample_weight: ArrayLike | None,
        n_paths: int,
        n_Cs: int,
        describe: Describe,
    ) -> None:
        self.estimator, self.data, self.describe = estimator, (X, y, sample_weight), describe
        self.lock, self.is_stopped = RLock(), False
        self._n_Cs = n_Cs
        self.told = _name_data(estimator, X, y, sample_weight)
        self._fit = open_tasks(estimator, n_paths + estimator.refit, is_sequential=False)
        self._fit.call_on_fit_task_begin(**self.told)

    def begin_path(self, number: int, name: str = "fold") -> PathTasks:
        """Return the PathTasks of a fold and l1_ratio, or of the refit."""
        with self.lock:
            n_fits = 1 if name == "refit" else self._n_Cs
            return PathTasks(self, self._fit.subcontext(task_name=name, task_id=number, max_subtasks=n_fits))

    def end(self, n_iter: IntArray, coef: FloatArray, intercept: FloatArray) -> None:
        """End the task of the cross-validation, which has led to a model."""
        attributes = self.describe(n_iter, coef, intercept)
        self._fit.call_on_fit_task_end(**self.told, reconstruction_attributes=attributes)


class PathTasks:
    """The tasks of the fits along C, which `CrossValidationTasks.begin_path` makes."""

    def __init__(self, tasks: CrossValidationTasks, context: Any) -> None:
        self._tasks, self._context = tasks, context
        self._iterations: IterationTasks | None = None
        context.call_on_fit_task_begin(**tasks.told)

    def __call__(self, n_iter: int, iteration: Any, model: Callable[[], Iterable[Any]]) -> Any:
        """End the task of an iteration of the next fit; return whether a callback asks to stop it."""
        tasks = self._tasks
        with tasks.lock:
            stop = self._begin()(n_iter, iteration, model)
            tasks.is_stopped = tasks.is_stopped or bool(stop)
        return stop

    def end_fit(self, coef: FloatArray, intercept: FloatArray) -> None:
        """End the task of a fit."""
        with self._tasks.lock:
            self._begin().end(coef, intercept)
            self._iterations = None

    def end(self) -> None:
        """End the task of all fits."""
        with self._tasks.lock:
            self._context.call_on_fit_task_end(**self._tasks.told)

    def _begin(self):
        if self._iterations is None:
            tasks = self._tasks
            context = self._context.subcontext(task_name="C", max_subtasks=count_tasks(tasks.estimator))
            self._iterations = IterationTasks(tasks.estimator, *tasks.data, tasks.describe, context)
        return self._iterations


def describe_linear_model(classes: Array) -> Describe:
    """Return what `describe` of these tasks is for a linear model of these classes."""

    def describe(n_iter, coef, intercept):
        return {"classes_": classes, "coef_": coef, "intercept_": intercept, "n_iter_": np.array([n_iter])}

    return describe


def _name_data(estimator, X, y, sample_weight):
    """Return what every task tells of, by the names of scikit-learn's hooks."""
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    return {"estimator": estimator, "X": X, "y": y, "metadata": metadata}


def count_tasks(
    estimator: LinearEstimator | TrainedEstimator,
) -> int:
    """Return how many tasks a fit has at most: one even where max_iter is 0, and the empty one behind the last one."""
    return max(estimator.max_iter, 1) + 1


def tell_all(*listeners: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Return a function that passes on what it is given, and returns whether any listener asks to stop.

    Listeners that are None are left out. Where there is no other, the result is None.
    """
    told = [listener for listener in listeners if listener is not None]
    if not told:
        return None
    # Every listener is told, also where an earlier one asks to stop.
    return lambda *news: any([listener(*news) for listener in told])
