"""The many fits of cross-validation: each fold along C for each l1_ratio, folds side by side, and their scores."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
from sklearn.metrics import get_scorer

from fastlin.blocks.blocks import Blocks, take_rows
from fastlin.budget import Budget
from fastlin.estimators.listeners import tell_all
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.regularization_path import fit_along
from fastlin.estimators.scikit_learn import give_labels, select_metadata
from fastlin.estimators.training_data import choose_dtype
from fastlin.kernels.machine.threads import run_side_by_side
from fastlin.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.estimators import LogisticRegressionCV
    from fastlin.estimators.listeners import CrossValidationTasks, PathTasks
    from fastlin.estimators.problem import Fit, Problem
    from fastlin.estimators.training_data import TrainingData

# The numbers of a fold, of an l1_ratio and of a C.
Place: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class FoldFits:
    """What the fit of each fold, l1_ratio and C left, in the shapes of LogisticRegressionCV's attributes.

    A place is the tuple of the numbers of fold, l1_ratio and C.

    Attributes
    ----------
    Cs : ndarray of shape (n_Cs,)
        The inverse strengths of the penalty, sorted.
    l1_ratios : ndarray of shape (n_l1_ratios,)
        The shares of the L1 penalty.
    classes : ndarray of shape (n_classes,)
        Labels of the classes, sorted.
    coefs : ndarray of shape (n_folds, n_l1_ratios, n_Cs, K, n_features + 1)
        Coefficients, the intercept last; without an intercept n_features.
    scores : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        Scores of the test rows, larger ones for better models.
    objectives : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        J over the training rows.
    certificates : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        Upper bound on J - J*; inf where none is known.
    n_iter : ndarray of shape (n_folds, n_l1_ratios, n_Cs), int32
        Numbers of iterations.
    converged : ndarray of shape (n_folds, n_l1_ratios, n_Cs), bool
        Whether tol was reached, or the floor that rounding sets.
    fit_intercept : bool
        Whether the models have an intercept.
    """

    Cs: np.ndarray
    l1_ratios: np.ndarray
    classes: np.ndarray
    coefs: np.ndarray
    scores: np.ndarray
    objectives: np.ndarray
    certificates: np.ndarray
    n_iter: np.ndarray
    converged: np.ndarray
    fit_intercept: bool

    @classmethod
    def allocate(
        cls, n_folds: int, Cs: FloatArray, l1_ratios: FloatArray, data: TrainingData, estimator: LogisticRegressionCV
    ) -> Self:
        """Return room for the fits of so many folds of TrainingData with the parameters of an estimator."""
        shape = n_folds, len(l1_ratios), len(Cs)
        K, d = 1 if len(data.classes) == 2 else len(data.classes), data.matrix.shape[1]
        dtype, fit_intercept = choose_dtype(data.matrix, estimator.solver), estimator.fit_intercept
        return cls(
            Cs=Cs,
            l1_ratios=l1_ratios,
            classes=data.classes,
            coefs=np.empty((*shape, K, d + fit_intercept), dtype),
            scores=np.empty(shape),
            objectives=np.empty(shape),
            certificates=np.empty(shape),
            n_iter=np.empty(shape, np.int32),
            converged=np.empty(shape, bool),
            fit_intercept=fit_intercept,
        )

    def record(self, place: Place, fit: Fit) -> None:
        """Write down the Fit of a place."""
        coef, intercept = self.split(self.coefs[place])
        coef[:] = fit.coef
        if self.fit_intercept:
            intercept[:] = fit.intercept
        self.objectives[place] = fit.solution.value
        self.certificates[place] = fit.certificate
        self.n_iter[place] = fit.solution.n_iter
        self.converged[place] = fit.solution.converged

    def split(self, coefs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return coef (K, n_features) and intercept (K,) of an entry of `coefs`."""
        if self.fit_intercept:
            return coefs[:, :-1], coefs[:, -1]
        return coefs, np.zeros(len(coefs), coefs.dtype)

    def model(self, place: Place) -> LogisticRegression:
        """Return the fit of a place as the estimator that scorers take."""
        _, r, c = place
        model = LogisticRegression(C=self.Cs[c], l1_ratio=self.l1_ratios[r])
        model.classes_ = self.classes
        model.coef_, model.intercept_ = self.split(self.coefs[place])
        model.n_features_in_ = model.coef_.shape[1]
        return model

    def best(self) -> tuple[float, float, tuple[FloatArray, FloatArray]]:
        """Return C and l1_ratio of the largest sum of scores, and the folds' mean coef and intercept there."""
        r, c = _find_best(self.scores.sum(axis=0))
        return self.Cs[c], self.l1_ratios[r], self.split(self.coefs[:, r, c].mean(axis=0, dtype=np.float64))

    def mean_of_best(self) -> tuple[float, float, tuple[FloatArray, FloatArray]]:
        """Return C, l1_ratio and the pair of coef and intercept, means over the best fits of the folds."""
        places = [(fold, *_find_best(scores)) for fold, scores in enumerate(self.scores)]
        C = np.mean([self.Cs[c] for _, _, c in places])
        l1_ratio = np.mean([self.l1_ratios[r] for _, r, _ in places])
        return C, l1_ratio, self.split(np.mean([self.coefs[place] for place in places], axis=0))


def _find_best(scores):
    """Return the place (l1_ratio, C) of the largest of the scores (n_l1_ratios, n_Cs), of equal ones the first by C."""
    # A score that some fold does not have chooses nothing.
    by_C = np.where(np.isnan(scores), -np.inf, scores).T
    c, r = np.unravel_index(np.argmax(by_C), by_C.shape)
    return r, c


class JoinedModel(LogisticRegression):
    """A fitted model that answers for Blocks with one array, as scorers want it, and not block by block."""

    @classmethod
    def of(cls, model: Any) -> Self:
        """Return the JoinedModel with the parameters and attributes of a fitted model."""
        joined = cls()
        vars(joined).update(vars(model))
        return joined

    def _answer(self, method, X):
        answer = super()._answer(method, X)
        return np.concatenate(list(answer)) if isinstance(X, Blocks) else answer


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

    Parameters
    ----------
    estimator : LogisticRegressionCV
        Its parameters are those of all fits.
    data : TrainingData
        All rows.
    training_rows : list of ndarray
        Numbers of the training rows of each fold.
    fits : FoldFits
        Filled but for its scores.
    tasks : CrossValidationTasks
        What is told to callbacks.
    on_fit : callable or None
        Called with each Fit, from any thread.

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

    Parameters
    ----------
    scoring : str, callable or None
        As LogisticRegressionCV has it.
    data : TrainingData
        All rows.
    test_rows : ndarray
        Numbers of the test rows.
    sample_weight : ndarray of shape (n,) or None
        Weights of all rows for the accuracy, which takes them with metadata routing too.
    score_params : dict
        Metadata of all rows for any other scorer.
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
    return lambda model: scorer(JoinedModel.of(model) if is_in_blocks else model, X, y, **params)
