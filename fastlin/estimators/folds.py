"""Fits of one X along C, each begun from those before: grids, paths, and what the folds of a search lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastlin.blocks.blocks import Blocks, take_rows
from fastlin.estimators.columns import choose_dtype
from fastlin.estimators.labels import TrainingData, read_training_data
from fastlin.estimators.linear_predictions import ScoredRows
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.parameters import WIDE, limit_jobs, read_Cs
from fastlin.estimators.scikit_learn import check_parameters, select_metadata
from fastlin.estimators.stop_reasons import IterationTasks, Listener, count_fits, tell_all, warn_of_limits
from fastlin.typing import FloatArray, IntArray, MatrixLike

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator
    from fastlin.estimators.problem import Fit, Problem

# Where C grows by no more than this, the line through the last two solutions needs no comparison with the last.
FINE = 1.5

# The numbers of a fold, of an l1_ratio and of a C.
Place: TypeAlias = tuple[int, int, int]

# A grid with an L1 penalty spans so many decades.
DECADES = 3
# Where the least C of a grid lies, so that all of it is above zero and finite, whatever the scale of X and the weights.
RANGE = np.nextafter(0.0, 1.0), np.finfo(np.float64).max / 10**DECADES
# The tol of the model without penalized features, from which the grid begins.
NULL_TOL = 1e-10
# By how much a grid begins below the C at which the first coefficient enters, so that no rounding lets it enter there.
MARGINS = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-9}


class Fits:
    """Where many fits of one X ended, by their places in arrays of a shape.

    coefs (*shape, K, d + 1) has the intercept last, if there is one; coef and intercept are its parts. `finished` says
    which fits were recorded; the numbers of the others are NaN.
    """

    def __init__(self, shape: tuple[int, ...], data: TrainingData, estimator: LinearEstimator) -> None:
        K, d = 1 if len(data.classes) == 2 else len(data.classes), data.matrix.shape[1]
        dtype = choose_dtype(data.matrix, estimator.solver)
        self.coefs: FloatArray = np.full((*shape, K, d + estimator.fit_intercept), np.nan, dtype)
        self.coef: FloatArray = self.coefs[..., :d]
        self.intercept: FloatArray = self.coefs[..., d] if estimator.fit_intercept else np.zeros((*shape, K), dtype)
        self.objectives, self.certificates = np.full(shape, np.nan), np.full(shape, np.nan)
        self.n_iter = np.zeros(shape, np.int32)
        self.converged, self.finished = np.zeros(shape, bool), np.zeros(shape, bool)

    def record(self, position: int | Place, fit: Fit) -> None:
        """Write down the Fit of a place."""
        self.coef[position], self.intercept[position] = fit.coef, fit.intercept
        self.objectives[position], self.certificates[position] = fit.solution.value, fit.certificate
        self.n_iter[position], self.converged[position], self.finished[position] = (
            fit.n_iter,
            fit.solution.converged,
            True,
        )


class FoldFits(Fits):
    """The fits of each fold, l1_ratio and C, which are the first axes as in LogisticRegressionCV's attributes."""

    def __init__(
        self, n_folds: int, Cs: FloatArray, l1_ratios: FloatArray, data: TrainingData, estimator: LinearEstimator
    ) -> None:
        super().__init__((n_folds, len(l1_ratios), len(Cs)), data, estimator)
        self.Cs, self.l1_ratios, self.classes, self.n_rows = Cs, l1_ratios, data.classes, len(data.labels)
        self.scores = np.full(self.finished.shape, np.nan)

    def model(self, position: Place) -> LogisticRegression:
        """Return the fit of a place as the estimator that scorers take."""
        _, r, c = position
        model = LogisticRegression(C=self.Cs[c], l1_ratio=self.l1_ratios[r])
        model.classes_ = self.classes
        model.coef_, model.intercept_ = self.coef[position], self.intercept[position]
        model.n_features_in_ = model.coef_.shape[1]
        return model

    def best(self) -> tuple[float, float, tuple[FloatArray, FloatArray]]:
        """Return C and l1_ratio of the largest sum of scores, and the folds' mean coef and intercept there."""
        r, c = self._find_best(self.scores.sum(axis=0))
        coef, intercept = (each[:, r, c].mean(axis=0, dtype=np.float64) for each in (self.coef, self.intercept))
        return float(self.Cs[c]), float(self.l1_ratios[r]), (coef, intercept)

    def mean_of_best(self) -> tuple[float, float, tuple[FloatArray, FloatArray]]:
        """Return C, l1_ratio and the pair of coef and intercept, means over the best fits of the folds."""
        r, c = self._find_bests()

        def average(values):
            chosen = values[np.arange(len(values)), r, c]
            # Rounding leads out of no bounds that all of them keep to.
            return np.clip(np.mean(chosen, axis=0), chosen.min(axis=0), chosen.max(axis=0))

        mean = average(self.coef), average(self.intercept)
        return float(np.mean(self.Cs[c])), float(np.mean(self.l1_ratios[r])), mean

    def end_of_best(self) -> tuple[float, bool]:
        """Return the certificate of the best fit of the first fold, and whether it converged."""
        (r, *_), (c, *_) = self._find_bests()
        return float(self.certificates[0, r, c]), bool(self.converged[0, r, c])

    def _find_bests(self):
        """Return the numbers of the l1_ratio and of the C of the best fit of each fold."""
        # Only a C that all folds have finished counts.
        counted = np.where(self.finished.all(axis=0), self.scores, np.nan)
        return np.array([self._find_best(scores) for scores in counted]).T

    def _find_best(self, scores):
        """Return the indices (l1_ratio, C) of the largest score (n_l1_ratios, n_Cs), of equal ones the first by C.

        Scores that differ by no more than the rounding of their sums over the rows and the folds are equal.
        """
        from fastlin.objective.rounding import gamma

        # A score that some fold does not have chooses nothing.
        by_C, sizes = np.where(np.isnan(scores), -np.inf, scores).T, np.abs(self.scores[np.isfinite(self.scores)])
        rounding = gamma(self.n_rows + len(self.scores)) * len(self.scores) * sizes.max(initial=0.0)
        c, r = np.unravel_index(np.argmax(by_C >= by_C.max() - 2 * rounding), by_C.shape)
        return r, c


def fit_along(
    problem: Problem,
    Cs: FloatArray,
    l1_ratio: float,
    on_fit: Callable[[Fit], object],
    on_iteration: Listener | None = None,
    begin_tasks: Callable[[], IterationTasks | None] = lambda: None,
    *,
    start: tuple[FloatArray, FloatArray] | None = None,
    is_compared: bool = False,
) -> Iterator[Fit]:
    """Yield the Fit of a Problem at each of the ascending Cs, each started from those before.

    A fit starts from the last solution, or from the line through the last two as functions of log C if J is lower.
    The first fit starts from start, and is_compared goes to `choose.minimize`. on_fit is called with each Fit, and
    begin_tasks begins its tasks.
    """
    log_Cs = np.log(Cs)
    before: tuple[FloatArray, FloatArray] | None = None
    last, nearby = start, None
    for c, C in enumerate(Cs):
        starts = [] if last is None else [last]
        if before is not None and last is not None and c > 1 and log_Cs[c - 2] < log_Cs[c - 1] and log_Cs[c] < np.inf:
            ahead = (log_Cs[c] - log_Cs[c - 1]) / (log_Cs[c - 1] - log_Cs[c - 2])
            coef, intercept = (b + ahead * (b - a) for a, b in zip(before, last, strict=True))
            line = coef, intercept
            starts = [line] if C <= FINE * Cs[c - 1] else [last, line]
        tasks = begin_tasks()
        told = tell_all(on_iteration, tasks)
        fit = problem.minimize(C, l1_ratio, starts, told, is_compared=is_compared, nearby=nearby)
        if tasks is not None:
            tasks.end(fit.coef, fit.intercept)
        before, last, nearby = last, fit.start, fit.solution
        on_fit(fit)
        yield fit


def take_test_rows(data: TrainingData, rows: IntArray, params: Mapping[str, Any]) -> ScoredRows:
    """Return the test rows of a fold, by their numbers; params are metadata of all rows for the scorer."""
    from fastlin.matrices import BlockMatrix

    if isinstance(data.matrix, BlockMatrix):
        rows = np.sort(rows)
        X: Any = take_rows(data.matrix.blocks, rows)
    else:
        X = data.matrix.X[rows]
    offsets = None if data.offsets is None else data.offsets[rows]
    params = select_metadata(X=data.y, params=params, indices=rows)
    return ScoredRows(X, data.y[rows], data.classes, offsets, params)


@dataclass(frozen=True, eq=False)
class RegularizationPath:
    """Models along C, as `logistic_path` returns them.

    Attributes
    ----------
    Cs : ndarray of shape (n_Cs,)
        Inverse strengths of the penalty, sorted from the strongest penalty to the weakest.
    l1_ratio : float
        Share of the L1 penalty.
    classes : ndarray of shape (n_classes,)
        Labels of the classes, sorted.
    coefs : ndarray of shape (n_Cs, 1, n_features) for two classes, else (n_Cs, n_classes, n_features)
        Coefficients of each model, float32 for float32 data, else float64.
    intercepts : ndarray of shape (n_Cs, 1) or (n_Cs, n_classes)
        Intercepts of each model in the type of `coefs`.
    objectives : ndarray of shape (n_Cs,)
        J of each model.
    certificates : ndarray of shape (n_Cs,)
        Upper bound on J - J* of each model; inf where none is known.
    n_nonzeros : ndarray of shape (n_Cs,), int64
        Number of coefficients that are not zero, over all classes.
    n_iter : ndarray of shape (n_Cs,), int32
        Number of iterations of each fit.
    converged : ndarray of shape (n_Cs,), bool
        Whether each fit reached tol, or the floor that rounding sets.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> import fastlin
    >>> path = fastlin.logistic_path(*load_iris(return_X_y=True), Cs=5)
    >>> path.n_nonzeros[0]  # at the first C of an L1 path all coefficients are zero
    np.int64(0)
    >>> bool(path.converged.all())
    True
    """

    Cs: np.ndarray
    l1_ratio: float
    classes: np.ndarray
    coefs: np.ndarray
    intercepts: np.ndarray
    objectives: np.ndarray
    certificates: np.ndarray
    n_nonzeros: np.ndarray
    n_iter: np.ndarray
    converged: np.ndarray

    def __repr__(self) -> str:
        """Return the models, a line for each C."""
        from fastlin.inference.tables import format_columns

        names = "Cs", "objectives", "certificates", "n_nonzeros", "n_iter", "converged"
        n_classes, d = len(self.classes), self.coefs.shape[2]
        title = f"path of {d} features and {n_classes} classes, l1_ratio={self.l1_ratio:g}"
        return f"{title}\n{format_columns({name: getattr(self, name) for name in names})}"


def logistic_path(
    X: MatrixLike | Blocks,
    y: ArrayLike | None = None,
    *,
    Cs: int | ArrayLike = 50,
    l1_ratio: float = 1.0,
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    **parameters: Any,
) -> RegularizationPath:
    """Fit logistic or softmax regression for many C, each model started from the one before.

    Parameters
    ----------
    X, y, sample_weight, offset, classes
        As in `LogisticRegression.fit`.
    Cs : int or array-like of shape (n_Cs,), default=50
        The inverse strengths of the penalty, in any order, or how many of them: then they are spaced evenly on a log
        scale. With ``l1_ratio=0`` they run from 1e-4 to 1e4. Otherwise they span three decades from the largest C at
        which every penalized coefficient is zero: the first model has only the intercept (and features with
        factor 0), and any larger C has a coefficient that is not zero.
    l1_ratio : float, default=1.0
        Share of the L1 penalty, from 0 (L2) to 1 (L1).
    **parameters
        Other parameters of `LogisticRegression`, but `C`, `alpha`, `penalty` and `warm_start`. With `verbose` above 0 a
        progress bar over the Cs is shown.

    Returns
    -------
    path : RegularizationPath
        The models, one for each C.

    Raises
    ------
    ValueError
        For Cs that are empty, not positive, NaN or not numbers, and for all that `LogisticRegression.fit` refuses.
    TypeError
        For other parameters.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> import fastlin
    >>> path = fastlin.logistic_path(*load_iris(return_X_y=True), Cs=[10.0, 0.1, 1.0], l1_ratio=0.0)
    >>> path.Cs
    array([ 0.1,  1. , 10. ])
    >>> path.coefs.shape
    (3, 3, 4)
    """
    from fastlin.estimators.problem import Problem

    if not (isinstance(l1_ratio, Real) and 0 <= l1_ratio <= 1):
        raise ValueError(f"l1_ratio must be a number from 0 to 1, got {l1_ratio!r}")
    for name in ("C", "alpha", "penalty", "warm_start"):
        if name in parameters:
            raise TypeError(f"logistic_path takes no {name}: Cs and l1_ratio say what is fitted")
    estimator = LogisticRegression(l1_ratio=l1_ratio, **parameters)
    check_parameters(estimator)
    Cs = read_Cs(Cs)
    with limit_jobs(estimator.n_jobs):
        data = read_training_data(estimator, X, y, sample_weight, offset, classes)
        problem = Problem(estimator, data)
        start = None
        if isinstance(Cs, int):
            Cs, start = choose_grid(problem, Cs, l1_ratio)
        fits = Fits((len(Cs),), data, estimator)
        with count_fits(estimator, len(Cs)) as on_fit:
            # The fits themselves are not kept: they hold what the next one begins with.
            for c, fit in enumerate(fit_along(problem, Cs, l1_ratio, on_fit, start=start)):
                fits.record(c, fit)
    warn_of_limits(fits.converged, fits.n_iter, estimator, stacklevel=3)
    return RegularizationPath(
        Cs=Cs,
        l1_ratio=float(l1_ratio),
        classes=data.classes,
        coefs=fits.coef,
        intercepts=fits.intercept,
        n_nonzeros=np.count_nonzero(fits.coef, axis=(1, 2)),
        **{name: getattr(fits, name) for name in ("objectives", "certificates", "n_iter", "converged")},
    )


def choose_grid(
    problem: Problem, n_Cs: int, l1_ratio: float
) -> tuple[FloatArray, tuple[FloatArray, FloatArray] | None]:
    """Return n_Cs values of C, and the coef and intercept from which the first fit starts, or None.

    Zeros are optimal as long as |g_kj| <= l1 f_j, or with group_lasso ||g_.j|| <= l1 f_j, where g is the gradient of
    the mean loss there and l1 = l1_ratio / (C S). The grid begins at equality, but for a margin of rounding.
    """
    if l1_ratio == 0:
        return np.logspace(*WIDE, n_Cs), None
    # The largest penalty leaves no penalized coefficient.
    bounds = problem.bounds
    if bounds is not None and ((bounds[0] > 0) | (bounds[1] < 0)).any():
        raise ValueError(
            "Cs must be a list of numbers where lower_bounds or upper_bounds exclude zero: the grid begins where all "
            "penalized coefficients are zero."
        )
    null = problem.minimize(0.0, 1.0, tol=NULL_TOL)
    slopes = problem.slopes(*null.start)
    if bounds is not None:
        slopes = np.where(((slopes < 0) & (bounds[1] > 0)) | ((slopes > 0) & (bounds[0] < 0)), slopes, 0.0)
    sizes = np.sqrt(np.einsum("kj,kj->j", slopes, slopes)) if problem.group_lasso else np.abs(slopes).max(axis=0)
    factors = problem.penalty_factors
    with np.errstate(over="ignore"):
        thresholds = sizes if factors is None else sizes[factors > 0] / factors[factors > 0]
    largest = thresholds.max(initial=0)
    if not largest > 0:
        # At every C the penalized coefficients are zero.
        return np.logspace(*WIDE, n_Cs), null.start
    margin = MARGINS[np.dtype(choose_dtype(problem.data.matrix, problem.estimator.solver))]
    least = np.clip(problem.invert(float(largest) / l1_ratio) * (1 - margin), *RANGE)
    return least * np.logspace(0, DECADES, n_Cs), null.start
