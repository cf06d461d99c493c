"""How fits and trainings end: all or nothing, and with a warning where they stopped too early.

The warnings have the words that scripts filter scikit-learn's by.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlin.exceptions import ConvergenceWarning
from fastlin.typing import BoolArray, IntArray

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator, LogisticRegression, TrainedEstimator
    from fastlin.solvers.solution import Solution
    from fastlin.training.loop import Training

# What scikit-learn's warning says, by the solver's name.
TEXTS = {
    "lbfgs": "lbfgs failed to converge after {n_iter} iteration(s). ",
    "newton-cg": "newton-cg failed to converge at loss = {objective:.6g}. Increase the number of iterations. ",
    "newton-cholesky": "Newton solver did not converge after {n_iter} iterations. ",
    "liblinear": "Liblinear failed to converge, increase the number of iterations. ",
    "sag": "The max_iter was reached which means the coef_ did not converge. ",
    "saga": "The max_iter was reached which means the coef_ did not converge. ",
}


@contextlib.contextmanager
def kept_on_error(estimator: Any) -> Iterator[None]:
    """Put the attributes of an estimator back where the ``with`` block raises, Ctrl-C included; else time the block."""
    before, begin = estimator.__dict__.copy(), perf_counter()
    try:
        yield
        estimator.fit_seconds_ = perf_counter() - begin
    except BaseException:
        # That includes n_features_in_ of the last fit, which the checks of X overwrite.
        estimator.__dict__ = before
        raise


def _name_solver(estimator):
    """Return the name that was asked for; `fastlin.patch` runs "auto" whatever it is."""
    return vars(estimator)["solver"]


def warn_of_end(estimator: LogisticRegression, solution: Solution, stacklevel: int) -> None:
    """Warn where a fit did not reach tol, at the line that is stacklevel frames from here."""
    from fastlin.solvers.solution import LIMITED, SEPARABLE, STOPPED

    # Who sets a callback that stops the fit knows of it.
    if solution.converged or solution.ending == STOPPED:
        return
    relative = solution.certificate / solution.value if solution.value > 0 else np.inf
    if solution.ending == SEPARABLE:
        text = (
            f"The classes are separable by features without a penalty (C={estimator.C}, or a penalty factor of 0): the "
            "objective falls towards 0 and the coefficients grow without end. The fit stopped at an objective of "
            f"{solution.value:.3g}, where every row is classified right; use a finite C and factors above 0."
        )
    else:
        reached = (
            f"the objective is proven to be within {relative:.2g} of its minimum, relative to it"
            if np.isfinite(relative)
            else "where some coefficient has no penalty there is no bound on the distance to the minimum"
        )
        text = (
            f"The fit stopped after {solution.n_iter} iterations, before tol={estimator.tol} was reached "
            f"({solution.ending.message}); {reached}. Raise max_iter (now {estimator.max_iter}) or tol."
        )
    # Only of this end are scikit-learn's words true.
    known = TEXTS.get(_name_solver(estimator), "") if solution.ending == LIMITED else ""
    known = known.format(n_iter=solution.n_iter, objective=solution.value)
    warnings.warn(known + text, ConvergenceWarning, stacklevel=stacklevel)


def warn_of_limits(converged: BoolArray, n_iter: IntArray, estimator: LinearEstimator, stacklevel: int) -> None:
    """Warn where some of many fits did not reach tol; n_iter are the iterations of each of them."""
    n_missed = np.size(converged) - np.count_nonzero(converged)
    if n_missed:
        is_limited = (np.ravel(n_iter)[~np.ravel(converged)] >= estimator.max_iter).any()
        known = TEXTS.get(_name_solver(estimator), "").replace(" at loss = {objective:.6g}", "") if is_limited else ""
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
    """Warn where a training by epochs diverged, was interrupted or came to its limit.

    keeps_steps says whether Ctrl-C kept the steps of the epoch that it ended.
    """
    n_epochs, solver, ended = len(training.records), getattr(estimator, "solver", "sgd"), training.ended
    category: type[Warning] = ConvergenceWarning
    if ended == "diverged":
        kept = f"those of epoch {training.n_kept}" if training.n_kept else "those that it began with"
        rate = f"Lower learning_rate_init (now {estimator.learning_rate_init}) or scale X."
        text = (
            f"The training diverged: its loss was no longer finite in epoch {n_epochs + 1}. The parameters kept are "
            f"{kept}. {'Scale X.' if solver == 'lbfgs' else rate}"
        )
    elif ended == "interrupted":
        category = UserWarning
        text = (
            f"Training interrupted by user. Ctrl-C ended it after {n_epochs} whole epochs, which are kept"
            f"{' with the whole steps since.' if keeps_steps else '.'}"
        )
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
            "or set n_iter_no_change=np.inf where so many epochs are what you want."
        )
    else:
        return
    warnings.warn(text, category, stacklevel=stacklevel)
