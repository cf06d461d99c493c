"""The many fits of cross-validation: each fold along C for each l1_ratio, folds side by side, and their scores."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import get_scorer

from fastlin.blocks.blocks import Blocks, take_rows
from fastlin.budget import Budget
from fastlin.estimators.listeners import tell_all
from fastlin.estimators.regularization_path import FoldFits, fit_along
from fastlin.estimators.scikit_learn import give_labels, select_metadata
from fastlin.kernels.machine.threads import run_side_by_side
from fastlin.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.estimators import LogisticRegression, LogisticRegressionCV
    from fastlin.estimators.listeners import CrossValidationTasks, PathTasks
    from fastlin.estimators.problem import Fit, Problem
    from fastlin.estimators.training_data import TrainingData


def join_answers(model: Any) -> Any:
    """Return a shallow copy of a fitted model that answers for Blocks with one array, as scorers want it."""
    joined = object.__new__(type(model))
    vars(joined).update(vars(model))

    def answer(method: Any, X: Any) -> Any:
        found = model._answer(method, X)
        return np.concatenate(list(found)) if isinstance(X, Blocks) else found

    joined._answer = answer
    return joined


def fit_folds(
    estimator: LogisticRegressionCV,
    data: TrainingData,
    training_rows: Sequence[IntArray],
    fits: FoldFits,
    tasks: CrossValidationTasks,
    on_fit: Callable[[Fit], object] | None,
) -> Generator[tuple[int, int], None, None]:
    """Fit every fold along the Cs for every l1_ratio, as many side by side as threads and memory allow.

    Those of blocks are fitted one after the other, since their reader need not stand several readings at once.
    training_rows are the row numbers of each fold. fits are filled but for their scores. on_fit is called with each
    Fit, from any thread.

    Yields
    ------
    fold, r : int
        Numbers of the fold and the l1_ratio whose fits have been recorded, in order.
    """
    from fastlin.estimators.problem import Problem
    from fastlin.matrices import BlockMatrix

    pairs = list(itertools.product(range(len(training_rows)), range(len(fits.l1_ratios))))

    def fit_pair(number, check):
        fold, r = pairs[number]
        problem, path = Problem(estimator, data, training_rows[fold]), tasks.begin_path(number)
        for c, fit in enumerate(fit_and_tell(problem, fits.Cs, fits.l1_ratios[r], path, on_fit, check, proven=False)):
            fits.record((fold, r, c), fit)
        return fold, r

    matrix = data.matrix
    if isinstance(matrix, BlockMatrix):
        return (fit_pair(number, None) for number in range(len(pairs)))
    shape = (fits.coefs.shape[3], data.matrix.shape[1] + 1)
    # What is known of rows on workers lies there.
    n_rows = matrix.shape[0] if matrix.lies_in_memory else 0
    # Each fit has its own budget, which must not depend on how many there are: the bits would.
    most_at_once = Budget.beside(matrix.budget_bytes).count_at_once(n_rows, shape, not fits.l1_ratios.any())
    # On threads, since all fits share X.
    return run_side_by_side(fit_pair, len(pairs), most_at_once)


def fit_and_tell(
    problem: Problem,
    Cs: Iterable[float],
    l1_ratio: float,
    path: PathTasks | None,
    on_fit: Callable[[Fit], object] | None,
    check: Callable[..., object] | None = None,
    **options: Any,
) -> Iterator[Fit]:
    """Yield what `fit_along` does, and tell callbacks and the bar of it; check is a Listener that ends fits."""
    on_fit, on_iteration = tell_all(on_fit, path and path.end_fit), tell_all(check, path)
    yield from fit_along(problem, np.array(Cs), l1_ratio, on_fit=on_fit, on_iteration=on_iteration, **options)
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

    matrix, is_in_blocks = data.matrix, isinstance(data.matrix, BlockMatrix)
    if isinstance(matrix, BlockMatrix):
        test_rows = np.sort(test_rows)
        X: Any = take_rows(matrix.blocks, test_rows)
    else:
        X = matrix.X[test_rows]
    y, scorer = data.y[test_rows], get_scorer(scoring)
    if scorer is None:
        weights = None if sample_weight is None else sample_weight[test_rows]
        return lambda model: model.score(X, y, sample_weight=weights)
    params = select_metadata(X=data.y, params=score_params, indices=test_rows)
    # The test rows need not hold every class.
    scorer = give_labels(scorer, data.classes)
    return lambda model: scorer(join_answers(model) if is_in_blocks else model, X, y, **params)
