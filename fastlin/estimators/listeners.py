"""What hears of a fit: the line or bar of verbose=1, and scikit-learn's callbacks, which are told of tasks.

A fit is a task, and each of its iterations is one within. A cross-validation has a task for each fold and l1_ratio and
one for the refit, in each of them one for each C, and in that its iterations.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from threading import Lock, RLock
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastlin.estimators.scikit_learn import has_callbacks, open_tasks
from fastlin.progress import show_bar, show_line
from fastlin.typing import Array, FloatArray, IntArray, MatrixLike

if TYPE_CHECKING:
    from fastlin.blocks import Blocks
    from fastlin.estimators import LinearEstimator, LogisticRegressionCV, TrainedEstimator
    from fastlin.estimators.problem import Fit

# Takes the number of an iteration, what the solver tells of it, and a function that returns what its model consists of;
# returns whether the fit is to stop.
Listener: TypeAlias = Callable[[int, Any, Callable[[], Any]], Any]
# Takes the number of an iteration and what its model consists of; returns the attributes, by name, that a fitted
# estimator predicts with.
Describe: TypeAlias = Callable[..., dict[str, Any]]


def tell_all(*listeners: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Return a function that passes on what it is given, and returns whether any listener asks to stop.

    Listeners that are None are left out. Where there is no other, the result is None.
    """
    told = [listener for listener in listeners if listener is not None]
    if not told:
        return None
    # Every listener is told, also where an earlier one asks to stop.
    return lambda *news: any([listener(*news) for listener in told])


@contextlib.contextmanager
def show_iterations(verbose: int, count_read_bytes: Callable[[], int] | None = None) -> Iterator[Listener | None]:
    """Yield a Listener that keeps one line up to date, or None where verbose is 0.

    Where a function counts the bytes that were read, the line ends with the speed of reading.
    """
    if not verbose:
        yield None
        return
    started = perf_counter()
    with show_line("fastlin: before the first iteration") as show:

        def on_iteration(n_iter, iteration, model):
            gap = iteration.bound / iteration.objective if iteration.objective > 0 else float("inf")
            speed = 0.0 if count_read_bytes is None else count_read_bytes() / (perf_counter() - started) / 1e9
            show(
                f"fastlin: iteration {n_iter:4d}  objective {iteration.objective:.9g}  "
                + (f"gap {gap:.1e}  " if gap < float("inf") else "")
                + f"{iteration.seconds:.2f} s"
                + ("" if count_read_bytes is None else f"  {speed:.2f} GB/s")
            )

        yield on_iteration


class FitCount:
    """How many of many fits are done, with C and gap of the last one, told to a bar from any thread."""

    def __init__(self, show: Callable[..., None]) -> None:
        self._show, self._lock = show, Lock()
        self._n_done, self._text = 0, ""

    def __call__(self, fit: Fit) -> None:
        """Count a fit."""
        value = fit.solution.value
        gap = fit.certificate / value if value > 0 else np.inf
        with self._lock:
            self._n_done += 1
            self._text = f"C={fit.C:.3g}" + (f" gap={gap:.0e}" if gap < np.inf else "")
            self._show(self._n_done, self._text)

    def show_score(self, score: float) -> None:
        """Show the score of the fit that was counted last."""
        with self._lock:
            self._show(self._n_done, f"{self._text} score={score:.4g}")


@contextlib.contextmanager
def count_fits(verbose: int, n_fits: int) -> Iterator[FitCount | None]:
    """Yield a FitCount to call with each of many fits, or None where verbose is 0."""
    if not verbose:
        yield None
        return
    with show_bar("fastlin: fits", n_fits) as show:
        yield FitCount(show)


class TimeOut:
    """Whether so many seconds have passed since this object was made; None means never."""

    def __init__(self, seconds: float | None) -> None:
        self._end = np.inf if seconds is None else perf_counter() + seconds

    def __call__(self, *_: Any) -> bool:
        """Return whether they have; the arguments are those of a Listener."""
        return perf_counter() >= self._end


class IterationTasks:
    """The tasks of one fit, in its context; told is what each of them tells of.

    Each iteration is a task that begins where the one before it ended, so that the task that is open in the end stays
    empty, as scikit-learn's lbfgs leaves it.
    """

    def __init__(self, fit: Any, told: dict[str, Any], describe: Describe) -> None:
        self._fit, self._told, self._describe, self._n_iter = fit, told, describe, 0
        fit.call_on_fit_task_begin(**told)
        self._begin(None)

    def __call__(self, n_iter: int, iteration: Any, model: Callable[[], Iterable[Any]]) -> Any:
        """End the task of an iteration and begin the next one, as a Listener."""
        self._n_iter = n_iter

        def attributes():
            return self._describe(n_iter, *model())

        stop = self._iteration.call_on_fit_task_end(**self._told, reconstruction_attributes=attributes)
        self._begin(attributes)
        return stop

    def end(self, *model: Any) -> None:
        """End the tasks of a fit that has led to a model."""
        self._iteration.call_on_fit_task_end(**self._told)
        if self._n_iter == 0:
            self._begin(None)
            self._iteration.call_on_fit_task_end(**self._told)
        attributes = self._describe(self._n_iter, *model)
        self._fit.call_on_fit_task_end(**self._told, reconstruction_attributes=attributes)

    def _begin(self, attributes):
        self._iteration = self._fit.subcontext(task_name="iteration")
        self._iteration.call_on_fit_task_begin(**self._told, reconstruction_attributes=attributes)


def begin_tasks(
    estimator: LinearEstimator | TrainedEstimator,
    X: MatrixLike | Blocks,
    y: ArrayLike | None,
    sample_weight: ArrayLike | None,
    describe: Describe,
) -> IterationTasks | None:
    """Return the tasks of the fit of an estimator that has callbacks, else None; X, y, sample_weight are as given."""
    if not has_callbacks(estimator):
        return None
    told = _name_data(estimator, X, y, sample_weight)
    return IterationTasks(open_tasks(estimator, _count_tasks(estimator)), told, describe)


class CrossValidationTasks:
    """The tasks of one cross-validation, whose fits may run side by side; one callback is called at a time.

    data are X, y and sample_weight as they were given, and there are n_paths pairs of a fold and an l1_ratio. Without
    callbacks there are no tasks. `is_stopped` says whether a callback has asked to stop.
    """

    def __init__(
        self, estimator: LogisticRegressionCV, data: tuple[Any, ...], n_paths: int, n_Cs: int, describe: Describe
    ) -> None:
        self.describe, self.lock, self.is_stopped = describe, RLock(), False
        self.n_tasks, self._n_Cs, self._fit = _count_tasks(estimator), n_Cs, None
        if has_callbacks(estimator):
            self.told = _name_data(estimator, *data)
            self._fit = open_tasks(estimator, n_paths + bool(estimator.refit), is_sequential=False)
            self._fit.call_on_fit_task_begin(**self.told)

    def begin_path(self, number: int, name: str = "fold") -> PathTasks | None:
        """Return the PathTasks of a fold and l1_ratio, or of the refit; None without callbacks."""
        if self._fit is None:
            return None
        with self.lock:
            n_fits = 1 if name == "refit" else self._n_Cs
            return PathTasks(self, self._fit.subcontext(task_name=name, task_id=number, max_subtasks=n_fits))

    def end(self, n_iter: IntArray, coef: FloatArray, intercept: FloatArray) -> None:
        """End the task of the cross-validation, which has led to a model."""
        if self._fit is not None:
            attributes = self.describe(n_iter, coef, intercept)
            self._fit.call_on_fit_task_end(**self.told, reconstruction_attributes=attributes)


class PathTasks:
    """The tasks of the fits along C, which `CrossValidationTasks.begin_path` makes."""

    def __init__(self, tasks: CrossValidationTasks, context: Any) -> None:
        self._tasks, self._context = tasks, context
        self._iterations: IterationTasks | None = None
        context.call_on_fit_task_begin(**tasks.told)

    def __call__(self, n_iter: int, iteration: Any, model: Callable[[], Iterable[Any]]) -> Any:
        """End the task of an iteration of the next fit, as a Listener."""
        tasks = self._tasks
        with tasks.lock:
            stop = self._begin()(n_iter, iteration, model)
            tasks.is_stopped = tasks.is_stopped or bool(stop)
        return stop

    def end_fit(self, fit: Fit) -> None:
        """End the task of a fit."""
        with self._tasks.lock:
            self._begin().end(fit.coef, fit.intercept)
            self._iterations = None

    def end(self) -> None:
        """End the task of all fits."""
        with self._tasks.lock:
            self._context.call_on_fit_task_end(**self._tasks.told)

    def _begin(self):
        if self._iterations is None:
            context = self._context.subcontext(task_name="C", max_subtasks=self._tasks.n_tasks)
            self._iterations = IterationTasks(context, self._tasks.told, self._tasks.describe)
        return self._iterations


def describe_linear_model(classes: Array) -> Describe:
    """Return what `describe` of these tasks is for a linear model of these classes."""
    return lambda n_iter, coef, intercept: {
        "classes_": classes,
        "coef_": coef,
        "intercept_": intercept,
        "n_iter_": np.array([n_iter]),
    }


def _name_data(estimator, X, y, sample_weight):
    """Return what every task tells of, by the names of scikit-learn's hooks."""
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    return {"estimator": estimator, "X": X, "y": y, "metadata": metadata}


def _count_tasks(estimator):
    """Return how many tasks a fit has at most: one even where max_iter is 0, and the empty one behind the last one."""
    return max(estimator.max_iter, 1) + 1
