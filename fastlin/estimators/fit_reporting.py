"""Progress bars, callbacks and warnings of fits, and the restoration of estimators after failed fits.

scikit-learn's callbacks see a fit as a tree of tasks: folds, values of C, and iterations. Warnings begin with
scikit-learn's text, so that existing filters match them.
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

from fastlin.environment.terminal import show_progress_bar
from fastlin.estimators.parameters import uses_alpha
from fastlin.estimators.scikit_learn import begin_task_tree, has_callbacks
from fastlin.exceptions import ConvergenceWarning
from fastlin.typing import BoolArray, IntArray

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator, LogisticRegression, TrainedEstimator
    from fastlin.estimators.problem import Fit, IterationListener
    from fastlin.solvers.solution import Solution
    from fastlin.training.loop import Training

# The text of scikit-learn's warning for the solver that the user chose. `fastlin.patch` may run another solver.
SCIKIT_LEARN_WARNINGS = {
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
# A function that returns the fitted attributes that predictions need. Its arguments are the number of an iteration and
# the coefficients.
FittedAttributesFunction: TypeAlias = Callable[..., dict[str, Any]]


@contextlib.contextmanager
def restore_on_error(estimator: Any) -> Iterator[None]:
    """Restore the attributes of an estimator if the ``with`` block raises; otherwise set `fit_seconds_`."""
    attributes, start = estimator.__dict__.copy(), perf_counter()
    try:
        yield
        estimator.fit_seconds_ = perf_counter() - start
    except BaseException:
        # The attributes include n_features_in_ of the last fit, which the validation of X overwrites.
        estimator.__dict__ = attributes
        raise


def warn_if_not_converged(estimator: LogisticRegression, solution: Solution, stacklevel: int) -> None:
    """Warn if a fit did not reach tol; `stacklevel` is the number of frames from this function to the reported line."""
    from fastlin.solvers.solution import MAX_ITER_REACHED, SEPARABLE_CLASSES, STOPPED_BY_CALLBACK

    # No warning is issued for a fit that was stopped by a callback.
    if solution.converged or solution.stop_reason == STOPPED_BY_CALLBACK:
        return
    relative_gap = solution.certificate / solution.value if solution.value > 0 else np.inf
    if solution.stop_reason == SEPARABLE_CLASSES:
        text = (
            "The classes are separable by features without a penalty (C=inf, alpha=0, or a penalty factor of 0), so "
            "the objective tends to 0 and the coefficients grow without bound. The fit stopped at an objective of "
            f"{solution.value:.3g}, with every row classified correctly. Use a finite C (or alpha above 0) and penalty "
            "factors above 0."
        )
    else:
        gap = (
            f"the certified duality gap is {relative_gap:.2g} relative to the objective"
            if np.isfinite(relative_gap)
            else "the suboptimality has no certified bound, because at least one coefficient is not penalized"
        )
        text = (
            f"The fit stopped after {solution.n_iter} iterations, before it reached tol={estimator.tol} "
            f"({solution.stop_reason.message}); {gap}. Increase max_iter (now {estimator.max_iter}) or tol."
        )
    # scikit-learn's text is correct only if the iteration limit was reached.
    prefix = _find_scikit_learn_warning(estimator) if solution.stop_reason == MAX_ITER_REACHED else ""
    prefix = prefix.format(n_iter=solution.n_iter, objective=solution.value)
    warnings.warn(prefix + text, ConvergenceWarning, stacklevel=stacklevel)


def _find_scikit_learn_warning(estimator):
    """Return the text of scikit-learn's warning for the solver that the user chose, or ""."""
    return SCIKIT_LEARN_WARNINGS.get(vars(estimator).get("asked_solver", estimator.solver), "")


def warn_of_unconverged_fits(
    converged: BoolArray, n_iter: IntArray, estimator: LinearEstimator, stacklevel: int
) -> None:
    """Warn if any of several fits did not reach tol; `converged` and `n_iter` contain one entry per fit."""
    n_unconverged = np.size(converged) - np.count_nonzero(converged)
    if n_unconverged:
        is_iteration_limit_reached = (np.ravel(n_iter)[~np.ravel(converged)] >= estimator.max_iter).any()
        prefix = (
            _find_scikit_learn_warning(estimator).replace(" at loss = {objective:.6g}", "")
            if is_iteration_limit_reached
            else ""
        )
        warnings.warn(
            f"{prefix.format(n_iter=estimator.max_iter)}{n_unconverged} of {np.size(converged)} fits stopped before "
            f"they reached tol={estimator.tol}; the certificates bound the suboptimality of each. Increase max_iter "
            f"(now {estimator.max_iter}) or tol.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )


def warn_of_stopped_training(
    estimator: TrainedEstimator, training: Training, stacklevel: int, should_restore_last_step: bool = False
) -> None:
    """Warn if a training run diverged, reached its epoch limit or was interrupted.

    `should_restore_last_step` is true if the parameters include the steps after the last complete epoch.
    """
    n_epochs, solver = len(training.records), getattr(estimator, "solver", "sgd")
    stop_reason = training.stop_reason
    if stop_reason == "diverged":
        origin = f"those of epoch {training.n_kept_records}" if training.n_kept_records else "the initial ones"
        rate = f"Lower learning_rate_init (now {estimator.learning_rate_init}) or scale X."
        text = (
            f"The training diverged: the loss is not finite in epoch {n_epochs + 1}. The stored parameters are "
            f"{origin}. {'Scale X.' if solver == 'lbfgs' else rate}"
        )
    elif stop_reason == "interrupted":
        steps = " and the steps since then" if should_restore_last_step else ""
        text = f"Training interrupted by user after {n_epochs} complete epochs; the model keeps them{steps}."
    elif solver == "lbfgs" and stop_reason in ("limit", "stalled"):
        limits = f"max_iter ({estimator.max_iter}) or max_fun ({estimator.max_fun}) was reached"
        text = (
            f"lbfgs failed to converge after {n_epochs} iteration(s) (status={1 + (stop_reason != 'limit')}): "
            f"{limits if stop_reason == 'limit' else 'no step decreased the loss'} while an entry of the gradient "
            f"exceeded tol={estimator.tol}. Increase the limit or tol, or scale X."
        )
    elif solver != "lbfgs" and stop_reason == "limit" and estimator.n_iter_no_change != np.inf:
        monitored_metric = "the validation loss" if should_restore_last_step else "the validation accuracy"
        text = (
            f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the optimization hasn't "
            f"converged yet: {monitored_metric if estimator.early_stopping else 'the loss'} was still improving. "
            "Increase max_iter, or set n_iter_no_change=np.inf to train for exactly max_iter epochs."
        )
    else:
        return
    warnings.warn(text, UserWarning if stop_reason == "interrupted" else ConvergenceWarning, stacklevel=stacklevel)


def combine_listeners(*listeners: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Return a listener that calls all `listeners` and stops the fit if any of them does; without listeners, None."""
    active_listeners = [listener for listener in listeners if listener is not None]
    if not active_listeners:
        return None
    # The list makes every listener run, even if an earlier one stops the fit.
    return lambda *arguments: any([listener(*arguments) for listener in active_listeners])


@contextlib.contextmanager
def show_iterations(
    verbose: int, count_read_bytes: Callable[[], int] | None = None
) -> Iterator[IterationListener | None]:
    """Yield a Listener that updates a progress line, or None if `verbose` is 0.

    If `count_read_bytes` is passed, the line includes the read speed.
    """
    if not verbose:
        yield None
        return
    start = perf_counter()
    with show_progress_bar("fastlin", None) as show:

        def on_iteration(n_iter, iteration, model):
            gap = iteration.bound / iteration.objective if iteration.objective > 0 else float("inf")
            read_speed = 0.0 if count_read_bytes is None else count_read_bytes() / (perf_counter() - start) / 1e9
            show(
                n_iter,
                f"iteration {n_iter:4d}  objective {iteration.objective:.9g}  "
                + (f"gap {gap:.1e}  " if gap < float("inf") else "")
                + f"{iteration.seconds:.2f} s"
                + ("" if count_read_bytes is None else f"  {read_speed:.2f} GB/s"),
            )

        yield on_iteration


@contextlib.contextmanager
def show_fits(estimator: LinearEstimator, n_fits: int) -> Iterator[Callable[[Fit], object]]:
    """Yield a thread-safe function to call with each Fit; if verbose, a bar shows the C and relative gap of the Fit."""
    if not estimator.verbose:
        yield lambda fit: None
        return
    should_show_alpha, numbers, lock = uses_alpha(estimator), itertools.count(1), Lock()
    with show_progress_bar("fastlin: fits", n_fits) as show:

        def on_fit(fit):
            value = fit.solution.value
            gap = fit.certificate / value if value > 0 else np.inf
            penalty = f"alpha={1 / fit.C:.3g}" if should_show_alpha else f"C={fit.C:.3g}"
            with lock:
                show(next(numbers), f"{penalty} gap={gap:.0e}" if gap < np.inf else penalty)

        yield on_fit


def make_time_limit_check(seconds: float | None) -> Callable[..., bool]:
    """Return a Listener that stops the fit after `seconds` from now; None sets no limit."""
    end = np.inf if seconds is None else perf_counter() + seconds
    return lambda *_: perf_counter() >= end


class CallbackTasks:
    """The tree of tasks for the scikit-learn callbacks of an estimator; without callbacks, tasks are None.

    `n_paths` is the number of paths of a cross-validation, or None for a single fit. `is_stopped` is true once a
    callback has stopped a fit. Callbacks run one at a time.
    """

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        sample_weight: Any,
        describe: FittedAttributesFunction,
        n_paths: int | None = None,
    ) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.describe, self.is_stopped, self._lock = describe, False, Lock()
        self._arguments = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        # There is at least one iteration, even if max_iter is 0, and an empty iteration follows the last one.
        self._n_iterations = max(estimator.max_iter, 1) + 1
        self._fit = None
        if has_callbacks(estimator):
            self._fit = begin_task_tree(estimator, n_paths or self._n_iterations, are_tasks_sequential=n_paths is None)
            self._fit.call_on_fit_task_begin(**self._arguments)

    def begin_subtask(self, task: Any, attributes: Any = None, **task_arguments: Any) -> Any:
        """Begin and return a subtask with a name and a number; `attributes` are those of the current model."""
        if task is None:
            return None
        with self._lock:
            subtask = task.subcontext(**task_arguments)
            subtask.call_on_fit_task_begin(**self._arguments, reconstruction_attributes=attributes)
            return subtask

    def end(self, task: Any, attributes: Any = None) -> Any:
        """End a task, and return whether a callback stops the fit."""
        if task is None:
            return False
        with self._lock:
            return task.call_on_fit_task_end(**self._arguments, reconstruction_attributes=attributes)

    def begin_path(self, number: int, n_fits: int, name: str = "fold") -> Any:
        """Begin the task for the fits of one fold and l1_ratio, or for the refit, and return the task."""
        return self.begin_subtask(self._fit, task_name=name, task_id=number, max_subtasks=n_fits)

    def begin_fit(self, path: Any = None) -> IterationTaskListener | None:
        """Begin the task for the next fit of a path, or for the single fit, and return its IterationTaskListener."""
        if self._fit is None:
            return None
        fit = self._fit
        if path is not None:
            fit = self.begin_subtask(path, task_name="C", max_subtasks=self._n_iterations)
        return IterationTaskListener(self, fit)

    def end_paths(self, *model: Any) -> None:
        """End the task of a cross-validation with the coefficients of its model."""
        self.end(self._fit, self.describe(*model))


class IterationTaskListener:
    """A Listener with a task for each iteration of one fit; the last task remains empty, as in scikit-learn's lbfgs."""

    def __init__(self, tasks: CallbackTasks, fit: Any) -> None:
        self._tasks, self._fit, self._n_iter = tasks, fit, 0
        self._iteration = tasks.begin_subtask(fit, task_name="iteration")

    def __call__(self, n_iter: int, iteration: Any, model: Callable[[], Iterable[Any]]) -> Any:
        """End the task of an iteration, begin the next, and return whether a callback stops the fit."""
        self._n_iter = n_iter

        def attributes():
            return self._tasks.describe(n_iter, *model())

        stop = self._tasks.end(self._iteration, attributes)
        self._tasks.is_stopped = self._tasks.is_stopped or bool(stop)
        self._iteration = self._tasks.begin_subtask(self._fit, attributes, task_name="iteration")
        return stop

    def end(self, *model: Any) -> None:
        """End the tasks of a fit with the coefficients of its model."""
        self._tasks.end(self._iteration)
        if self._n_iter == 0:
            self._tasks.end(self._tasks.begin_subtask(self._fit, task_name="iteration"))
        self._tasks.end(self._fit, self._tasks.describe(self._n_iter, *model))
