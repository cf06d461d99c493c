"""The progress, callbacks, warnings and failures of fits; a fit that fails changes nothing.

A fit is a task of scikit-learn's callbacks, and so are folds, C and iterations within. Warnings have scikit-learn's
words, by which scripts filter.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastlin.estimators.parameters import is_by_alpha
from fastlin.estimators.scikit_learn import has_callbacks, open_tasks
from fastlin.exceptions import ConvergenceWarning
from fastlin.terminal import show_bar
from fastlin.typing import BoolArray, IntArray

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator, LogisticRegression, TrainedEstimator
    from fastlin.estimators.problem import Fit
    from fastlin.solvers.solution import Solution
    from fastlin.training.loop import Training

# What scikit-learn's warning says, by the name of the solver that was asked for; `fastlin.patch` runs "auto" instead.
TEXTS = {
    "lbfgs": "lbfgs failed to converge after {n_iter} iteration(s). ",
    "newton-cg": "newton-cg failed to converge at loss = {objective:.6g}. Increase the number of iterations. ",
    **dict.fromkeys(
        ("newton-cd", "newton-cd-gram", "newton-cholesky"),
        "Newton solver did not converge after {n_iter} iterations. ",
    ),
    "liblinear": "Liblinear failed to converge, increase the number of iterations. ",
    "sag": "The max_iter was reached which means the coef_ did not converge. ",
    "saga": "The max_iter was reached which means the coef_ did not converge. ",
}
# Takes the number of an iteration, the solver's record of it, and a function that returns the parts of its model;
# returns whether the fit is to stop.
Listener: TypeAlias = Callable[[int, Any, Callable[[], Any]], Any]
# Takes the number of an iteration and the parts of its model; returns the attributes, by name, that a fitted
# estimator predicts with.
Describe: TypeAlias = Callable[..., dict[str, Any]]


@contextlib.contextmanager
def restored_on_error(estimator: Any) -> Iterator[None]:
    """Put the attributes of an estimator back where the ``with`` block raises, Ctrl-C included; else time the block."""
    before, begin = estimator.__dict__.copy(), perf_counter()
    try:
        yield
        estimator.fit_seconds_ = perf_counter() - begin
    except BaseException:
        # That includes n_features_in_ of the last fit, which the checks of X overwrite.
        estimator.__dict__ = before
        raise


def warn_of_end(estimator: LogisticRegression, solution: Solution, stacklevel: int) -> None:
    """Warn where a fit did not reach tol, at the line that is stacklevel frames from here."""
    from fastlin.solvers.solution import MAX_ITER_REACHED, SEPARABLE, STOPPED_BY_CALLBACK

    # A stop that a callback asked for needs no warning.
    if solution.converged or solution.stop_reason == STOPPED_BY_CALLBACK:
        return
    relative = solution.certificate / solution.value if solution.value > 0 else np.inf
    if solution.stop_reason == SEPARABLE:
        text = (
            "The classes are separable by features without a penalty (C=inf, alpha=0, or a penalty factor of 0): the "
            "objective falls towards 0 and the coefficients grow without end. The fit stopped at an objective of "
            f"{solution.value:.3g}, where every row is right; use a finite C, an alpha above 0 and factors above 0."
        )
    else:
        reached = (
            f"the objective is proven to be within {relative:.2g} of its minimum, relative to it"
            if np.isfinite(relative)
            else "where some coefficient has no penalty there is no bound on the distance to the minimum"
        )
        text = (
            f"The fit stopped after {solution.n_iter} iterations, before tol={estimator.tol} was reached "
            f"({solution.stop_reason.message}); {reached}. Raise max_iter (now {estimator.max_iter}) or tol."
        )
    # Only of this end are scikit-learn's words true.
    known = _find_text(estimator) if solution.stop_reason == MAX_ITER_REACHED else ""
    known = known.format(n_iter=solution.n_iter, objective=solution.value)
    warnings.warn(known + text, ConvergenceWarning, stacklevel=stacklevel)


def _find_text(estimator):
    """Return the text of scikit-learn's warning for the solver that was asked for, or none."""
    return TEXTS.get(vars(estimator).get("asked_solver", estimator.solver), "")


def warn_of_limits(converged: BoolArray, n_iter: IntArray, estimator: LinearEstimator, stacklevel: int) -> None:
    """Warn where some of many fits did not reach tol; n_iter are the iterations of each of them."""
    n_missed = np.size(converged) - np.count_nonzero(converged)
    if n_missed:
        is_limited = (np.ravel(n_iter)[~np.ravel(converged)] >= estimator.max_iter).any()
        known = _find_text(estimator).replace(" at loss = {objective:.6g}", "") if is_limited else ""
        warnings.warn(
            f"{known.format(n_iter=estimator.max_iter)}{n_missed} of {np.size(converged)} fits stopped before they "
            f"reached tol={estimator.tol}; the certificates say what each has proven. Raise max_iter (now "
            f"{estimator.max_iter}) or tol.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )


def warn_of_training(
    estimator: TrainedEstimator, training: Training, stacklevel: int, keeps_steps: bool = False
) -> None:
    """Warn if a training by epochs diverged, came to its limit or was interrupted, perhaps with steps that it keeps."""
    n_epochs, solver, ended = len(training.records), getattr(estimator, "solver", "sgd"), training.ended
    if ended == "diverged":
        kept = f"those of epoch {training.n_kept}" if training.n_kept else "those that it began with"
        rate = f"Lower learning_rate_init (now {estimator.learning_rate_init}) or scale X."
        text = (
            f"The training diverged: its loss was no longer finite in epoch {n_epochs + 1}. The parameters kept are "
            f"{kept}. {'Scale X.' if solver == 'lbfgs' else rate}"
        )
    elif ended == "interrupted":
        since = " with the whole steps since" if keeps_steps else ""
        text = f"Training interrupted by user. Ctrl-C ended it after {n_epochs} whole epochs, which are kept{since}."
    elif solver == "lbfgs" and ended in ("limit", "stalled"):
        limits = f"max_iter ({estimator.max_iter}) or max_fun ({estimator.max_fun}) is reached"
        text = (
            f"lbfgs failed to converge after {n_epochs} iteration(s) (status={1 + (ended != 'limit')}): "
            f"{limits if ended == 'limit' else 'no step lowers the loss'} before no entry of the gradient exceeds "
            f"tol={estimator.tol}. Raise the limit or tol, or scale X."
        )
    elif solver != "lbfgs" and ended == "limit" and estimator.n_iter_no_change != np.inf:
        validated = "the validation loss" if keeps_steps else "the validation accuracy"
        text = (
            f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the optimization hasn't "
            f"converged yet: {validated if estimator.early_stopping else 'the loss'} still improved. Raise max_iter, "
            "or set n_iter_no_change=np.inf if you want exactly max_iter epochs."
        )
    else:
        return
    warnings.warn(text, UserWarning if ended == "interrupted" else ConvergenceWarning, stacklevel=stacklevel)


def tell_all(*listeners: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Return a function that passes on what it is given to listeners, and whether any asks to stop; None without."""
    told = [listener for listener in listeners if listener is not None]
    if not told:
        return None
    # Every listener is told, also where an earlier one asks to stop.
    return lambda *news: any([listener(*news) for listener in told])


@contextlib.contextmanager
def show_iterations(verbose: int, count_read_bytes: Callable[[], int] | None = None) -> Iterator[Listener | None]:
    """Yield a Listener that keeps one line up to date, with the speed of reading, or None where verbose is 0."""
    if not verbose:
        yield None
        return
    started = perf_counter()
    with show_bar("fastlin", None) as show:

        def on_iteration(n_iter, iteration, model):
            gap = iteration.bound / iteration.objective if iteration.objective > 0 else float("inf")
            speed = 0.0 if count_read_bytes is None else count_read_bytes() / (perf_counter() - started) / 1e9
            show(
                n_iter,
                f"iteration {n_iter:4d}  objective {iteration.objective:.9g}  "
                + (f"gap {gap:.1e}  " if gap < float("inf") else "")
                + f"{iteration.seconds:.2f} s"
                + ("" if count_read_bytes is None else f"  {speed:.2f} GB/s"),
            )

        yield on_iteration


@contextlib.contextmanager
def count_fits(estimator: LinearEstimator, n_fits: int) -> Iterator[Callable[[Fit], object]]:
    """Yield a function that is told of each fit, from any thread, and shows C and gap of the last one, with verbose."""
    if not estimator.verbose:
        yield lambda fit: None
        return
    is_inverse, numbers, lock = is_by_alpha(estimator), itertools.count(1), Lock()
    with show_bar("fastlin: fits", n_fits) as show:

        def on_fit(fit):
            value = fit.solution.value
            gap = fit.certificate / value if value > 0 else np.inf
            penalty = f"alpha={1 / fit.C:.3g}" if is_inverse else f"C={fit.C:.3g}"
            with lock:
                show(next(numbers), f"{penalty} gap={gap:.0e}" if gap < np.inf else penalty)

        yield on_fit


def end_after(seconds: float | None) -> Callable[..., bool]:
    """Return a Listener that asks to stop once `seconds` have passed since it was made; None means never."""
    end = np.inf if seconds is None else perf_counter() + seconds
    return lambda *_: perf_counter() >= end


class Tasks:
    """The tasks of the fit of an estimator, of which its callbacks are told, one at a time; None without callbacks.

    n_paths is the number of paths of fits of a cross-validation, None for a single fit. `is_stopped` says whether a
    callback has asked to stop.
    """

    def __init__(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any, describe: Describe, n_paths: int | None = None
    ) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.describe, self.is_stopped, self._lock = describe, False, Lock()
        self._told = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        # One even where max_iter is 0, and the empty one behind the last one.
        self._n_iterations = max(estimator.max_iter, 1) + 1
        self._fit = None
        if has_callbacks(estimator):
            self._fit = open_tasks(estimator, n_paths or self._n_iterations, is_sequential=n_paths is None)
            self._fit.call_on_fit_task_begin(**self._told)

    def begin_within(self, task: Any, attributes: Any = None, **named: Any) -> Any:
        """Begin and return a task within another one, by its name and number; attributes describe the model by now."""
        if task is None:
            return None
        with self._lock:
            begun = task.subcontext(**named)
            begun.call_on_fit_task_begin(**self._told, reconstruction_attributes=attributes)
            return begun

    def end(self, task: Any, attributes: Any = None) -> Any:
        """End a task, and return whether a callback asks to stop."""
        if task is None:
            return False
        with self._lock:
            return task.call_on_fit_task_end(**self._told, reconstruction_attributes=attributes)

    def begin_path(self, number: int, n_fits: int, name: str = "fold") -> Any:
        """Begin and return the task of the fits of a fold and l1_ratio, or of the refit."""
        return self.begin_within(self._fit, task_name=name, task_id=number, max_subtasks=n_fits)

    def begin_fit(self, path: Any = None) -> IterationTasks | None:
        """Begin the next fit of a path, or the single one."""
        if self._fit is None:
            return None
        fit = self._fit
        if path is not None:
            fit = self.begin_within(path, task_name="C", max_subtasks=self._n_iterations)
        return IterationTasks(self, fit)

    def end_paths(self, *model: Any) -> None:
        """End the task of a cross-validation, which has led to a model."""
        self.end(self._fit, self.describe(*model))


class IterationTasks:
    """The iterations of one fit, as a Listener; the last task stays empty, as in scikit-learn's lbfgs."""

    def __init__(self, tasks: Tasks, fit: Any) -> None:
        self._tasks, self._fit, self._n_iter = tasks, fit, 0
        self._iteration = tasks.begin_within(fit, task_name="iteration")

    def __call__(self, n_iter: int, iteration: Any, model: Callable[[], Iterable[Any]]) -> Any:
        """End the task of an iteration and begin the next one."""
        self._n_iter = n_iter

        def attributes():
            return self._tasks.describe(n_iter, *model())

        stop = self._tasks.end(self._iteration, attributes)
        self._tasks.is_stopped = self._tasks.is_stopped or bool(stop)
        self._iteration = self._tasks.begin_within(self._fit, attributes, task_name="iteration")
        return stop

    def end(self, *model: Any) -> None:
        """End the tasks of a fit that has led to a model."""
        self._tasks.end(self._iteration)
        if self._n_iter == 0:
            self._tasks.end(self._tasks.begin_within(self._fit, task_name="iteration"))
        self._tasks.end(self._fit, self._tasks.describe(self._n_iter, *model))
