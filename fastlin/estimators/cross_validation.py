"""The many fits of cross-validation: each fold along C for each l1_ratio, folds side by side, and their scores."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import get_scorer

from fastlin.blocks.blocks import Blocks, take_rows
from fastlin.budget import Budget
from fastlin.estimators.listeners import TimeOut, tell_all
from fastlin.estimators.regularization_path import FoldFits, Place, fit_along
from fastlin.estimators.row_scores import average_rows, refuse_other_scorers
from fastlin.estimators.scikit_learn import give_labels, select_metadata
from fastlin.kernels.machine.threads import run_side_by_side
from fastlin.typing import Array, FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.estimators import LogisticRegression, LogisticRegressionCV
    from fastlin.estimators.listeners import CrossValidationTasks, PathTasks
    from fastlin.estimators.problem import Fit, Problem
    from fastlin.estimators.training_data import TrainingData


def join_answers(model: Any) -> Any:
    """Return a shallow copy of a fitted model that answers for Blocks with one array, as scorers want it."""
    joined = object.__new__(type(model))
    vars(joined).update(vars(model))

    def answer(method: Any, X: Any, offset: Any = None) -> Any:
        found = model._answer(method, X, offset)
        return np.concatenate(list(found)) if isinstance(X, Blocks) else found

    joined._answer = answer
    return joined


def fit_folds(
    estimator: LogisticRegressionCV,
    data: TrainingData,
    training_rows: Sequence[IntArray | None],
    fits: FoldFits,
    tasks: CrossValidationTasks,
    on_fit: Callable[[Fit], object] | None,
    is_over: TimeOut,
) -> Generator[list[Place], None, None]:
    """Fit every fold along the Cs for every l1_ratio, as many side by side as threads and memory allow.

    Those of blocks are fitted one after the other, since their reader need not stand several readings at once.
    training_rows are the row numbers of each fold; None, of a single fold, means all rows. fits are filled but for
    their scores. on_fit is called with each Fit, from any thread. Once the time is over fits under way end, and only
    the first C of each fold goes on to its end.

    Yields
    ------
    places : list of tuple
        Numbers of the fold, the l1_ratio and the C of fits that have been recorded, in order: those of a pair of a fold
        and an l1_ratio. A single pair without a list of rows has each fit by itself.
    """
    from fastlin.estimators.problem import Problem
    from fastlin.matrices import BlockMatrix

    pairs = list(itertools.product(range(len(training_rows)), range(len(fits.l1_ratios))))

    def fit_pair(number, check=None):
        fold, r = pairs[number]
        # Without the first fit of each fold there would be no model.
        is_needed = r == 0
        if is_over() and not is_needed:
            return
        problem, path = Problem(estimator, data, training_rows[fold]), tasks.begin_path(number)

        def must_end(*_):
            return not is_needed and is_over()

        check = tell_all(check, must_end)
        told = fit_and_tell(problem, fits.Cs, fits.l1_ratios[r], path, on_fit, check, must_end, is_compared=True)
        for c, fit in enumerate(told):
            if fit.solution.converged or not must_end():
                fits.record((fold, r, c), fit)
                is_needed = False
                yield fold, r, c

    matrix = data.matrix
    if len(pairs) == 1 and training_rows[0] is None:
        return ([place] for place in fit_pair(0))
    if isinstance(matrix, BlockMatrix):
        return (list(fit_pair(number)) for number in range(len(pairs)))
    shape = (fits.coefs.shape[3], data.matrix.shape[1] + 1)
    # What is known of rows on workers lies there.
    n_rows = matrix.shape[0] if matrix.lies_in_memory else 0
    is_smooth = not fits.l1_ratios.any() and estimator.lower_bounds is None and estimator.upper_bounds is None
    # Each fit has its own budget, which must not depend on how many there are: the bits would.
    most_at_once = Budget.beside(matrix.budget_bytes).count_at_once(n_rows, shape, is_smooth)
    # On threads, since all fits share X.
    return run_side_by_side(lambda number, check: list(fit_pair(number, check)), len(pairs), most_at_once)


def fit_and_tell(
    problem: Problem,
    Cs: Iterable[float],
    l1_ratio: float,
    path: PathTasks | None,
    on_fit: Callable[[Fit], object] | None,
    check: Callable[..., object] | None = None,
    is_over: Callable[[], bool] | None = None,
    **options: Any,
) -> Iterator[Fit]:
    """Yield what `fit_along` does, and tell callbacks and the bar of it.

    check is a Listener that ends fits. is_over says after each fit whether it is the last one.
    """
    on_fit, on_iteration = tell_all(on_fit, path and path.end_fit), tell_all(check, path)
    for fit in fit_along(problem, np.array(Cs), l1_ratio, on_fit=on_fit, on_iteration=on_iteration, **options):
        yield fit
        if is_over is not None and is_over():
            break
    if path is not None:
        path.end()


def bind_scorer(
    scoring: str | Callable[..., float] | None,
    data: TrainingData,
    test_rows: IntArray,
    sample_weight: FloatArray | None,
    score_params: Mapping[str, Any],
) -> Callable[[LogisticRegression], float]:
    """Return a function that scores a model on the test rows of a fold.

    sample_weight are weights of all rows for the accuracy, which takes them with metadata routing too; score_params are
    metadata of all rows for any other scorer.
    """
    from fastlin.matrices import BlockMatrix

    matrix = data.matrix
    if isinstance(matrix, BlockMatrix):
        test_rows = np.sort(test_rows)
        X: Any = take_rows(matrix.blocks, test_rows)
    else:
        X = matrix.X[test_rows]
    weights = None if sample_weight is None else sample_weight[test_rows]
    params = select_metadata(X=data.y, params=score_params, indices=test_rows)
    offsets = None if data.offsets is None else data.offsets[test_rows]
    return bind_rows(scoring, data.classes, X, data.y[test_rows], weights, params, offsets)


def bind_rows(
    scoring: str | Callable[..., float] | None,
    classes: Array,
    X: Any,
    y: Array,
    sample_weight: FloatArray | None,
    score_params: Mapping[str, Any],
    offsets: FloatArray | None = None,
) -> Callable[[LogisticRegression], float]:
    """Return a function that scores a model of some classes on rows, with weights or metadata as `bind_scorer` has it.

    X are rows of numbers, a table's matrix or Blocks.
    """
    name = refuse_other_scorers(scoring, y, offsets)
    if name is not None:
        weights = sample_weight if scoring is None else score_params.get("sample_weight")
        return lambda model: average_rows(model, X, y, name, weights, offsets)
    if scoring is None:
        return lambda model: model.score(X, y, sample_weight=sample_weight)
    is_in_blocks = isinstance(X, Blocks)
    if score_params.keys() <= {"sample_weight"} and np.isin(y, classes).all():
        # scikit-learn's checks take most of the time of small searches: 8 milliseconds a score of 83 rows.
        if scoring == "accuracy":
            return lambda model: model.score(X, y, **score_params)
        if scoring == "neg_log_loss":
            return lambda model: average_rows(model, X, y, scoring, score_params.get("sample_weight"))
    # The rows need not hold every class.
    scorer = give_labels(get_scorer(scoring), classes)
    return lambda model: scorer(join_answers(model) if is_in_blocks else model, X, y, **score_params)
