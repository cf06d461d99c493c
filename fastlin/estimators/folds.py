"""Many fits of one X that begin near each other: along C, and for each fold and l1_ratio side by side."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastlin.blocks.blocks import Blocks, take_rows
from fastlin.estimators.endings import IterationTasks, Listener, Tasks, count_fits, tell_all, warn_of_limits
from fastlin.estimators.linear_predictions import ScoredRows
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.parameters import limit_jobs
from fastlin.estimators.scikit_learn import check_parameters, has_callbacks, select_metadata
from fastlin.estimators.training_data import TrainingData, choose_dtype, read_training_data
from fastlin.kernels.machine.threads import run_side_by_side
from fastlin.typing import FloatArray, IntArray, MatrixLike

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator, LogisticRegressionCV
    from fastlin.estimators.problem import Fit, Problem

# Where C grows by no more than this, the line through the last two solutions needs no comparison with the last.
FINE = 1.5

# The numbers of a fold, of an l1_ratio and of a C.
Place: TypeAlias = tuple[int, int, int]

# Without an L1 penalty C lies between these powers of 10, as in scikit-learn; with one it spans DECADES decades.
WIDE = -4, 4
# And alpha between these.
WIDE_ALPHAS = -7, 2
DECADES = 3
# Where the least C of a grid lies, so that all of it is above zero and finite, whatever the scale of X and the weights.
RANGE = np.nextafter(0.0, 1.0), np.finfo(np.float64).max / 10**DECADES
# The tol of the model without penalised features, from which the grid begins.
NULL_TOL = 1e-10


class FoldFits:
    """The result of the fit of each fold, l1_ratio and C, in the shapes of LogisticRegressionCV's attributes.

    The first axes are folds, l1_ratios and Cs. The last axis of coefs has the intercept last. `finished` says which
    fits were recorded; the numbers of the others are NaN.
    """

    def __init__(
        self, n_folds: int, Cs: FloatArray, l1_ratios: FloatArray, data: TrainingData, estimator: LinearEstimator
    ) -> None:
        self.Cs, self.l1_ratios, self.classes = Cs, l1_ratios, data.classes
        self.fit_intercept = estimator.fit_intercept
        shape = n_folds, len(l1_ratios), len(Cs)
        K, d = 1 if len(data.classes) == 2 else len(data.classes), data.matrix.shape[1]
        dtype = choose_dtype(data.matrix, estimator.solver)
        self.coefs: FloatArray = np.full((*shape, K, d + self.fit_intercept), np.nan, dtype)
        self.scores, self.objectives, self.certificates = (np.full(shape, np.nan) for _ in range(3))
        self.n_iter = np.zeros(shape, np.int32)
        self.converged, self.finished = np.zeros(shape, bool), np.zeros(shape, bool)

    def record(self, place: Place, fit: Fit) -> None:
        """Write down the Fit of a place."""
        coef, intercept = self.split(self.coefs[place])
        coef[:] = fit.coef
        if self.fit_intercept:
            intercept[:] = fit.intercept
        self.objectives[place] = fit.solution.value
        self.certificates[place] = fit.certificate
        self.n_iter[place] = fit.n_iter
        self.converged[place] = fit.solution.converged
        self.finished[place] = True

    def split(self, coefs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return coef (..., K, n_features) and intercept (..., K) of entries of `coefs`."""
        if self.fit_intercept:
            return coefs[..., :-1], coefs[..., -1]
        return coefs, np.zeros(coefs.shape[:-1], coefs.dtype)

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
        mean = self.coefs[:, r, c].mean(axis=0, dtype=np.float64)
        return float(self.Cs[c]), float(self.l1_ratios[r]), self.split(mean)

    def mean_of_best(self) -> tuple[float, float, tuple[FloatArray, FloatArray]]:
        """Return C, l1_ratio and the pair of coef and intercept, means over the best fits of the folds."""
        # Only a C that all folds have finished counts.
        counted = np.where(self.finished.all(axis=0), self.scores, np.nan)
        places = [(fold, *_find_best(scores)) for fold, scores in enumerate(counted)]
        C = float(np.mean([self.Cs[c] for _, _, c in places]))
        l1_ratio = float(np.mean([self.l1_ratios[r] for _, r, _ in places]))
        coefs = np.array([self.coefs[place] for place in places])
        # Rounding leads out of no bounds that all of them keep to.
        mean = np.clip(np.mean(coefs, axis=0), coefs.min(axis=0), coefs.max(axis=0))
        return C, l1_ratio, self.split(mean)


def _find_best(scores):
    """Return the place (l1_ratio, C) of the largest of the scores (n_l1_ratios, n_Cs), of equal ones the first by C."""
    # A score that some fold does not have chooses nothing.
    by_C = np.where(np.isnan(scores), -np.inf, scores).T
    c, r = np.unravel_index(np.argmax(by_C), by_C.shape)
    return r, c


def read_inverses(estimator: LogisticRegressionCV) -> FloatArray:
    """Return the Cs of a search, or 1 / alpha where it is by `alphas`, a sorted float64 array."""
    Cs, alphas = estimator.Cs, estimator.alphas
    if alphas is None:
        Cs = read_Cs(Cs)
        return np.logspace(*WIDE, Cs) if isinstance(Cs, int) else Cs
    if not (isinstance(Cs, int) and Cs == 10):
        raise ValueError(f"Cs must be left out where alphas are given, got Cs={Cs!r} and alphas={alphas!r}")
    alphas = read_Cs(alphas, "alphas")
    alphas = np.logspace(*WIDE_ALPHAS, alphas) if isinstance(alphas, int) else alphas
    with np.errstate(divide="ignore"):
        return 1 / alphas[::-1]


def read_Cs(Cs: Any, name: str = "Cs") -> int | FloatArray:
    """Return the number of Cs or alphas that is asked for, an int, or the given ones, a sorted float64 array."""
    is_C = name == "Cs"
    numbers = "numbers above 0 (inf: no penalty)" if is_C else "finite numbers of at least 0"
    accepted = f"{name} must be a whole number of at least 1, or a list of {numbers}"
    if isinstance(Cs, Integral) and not isinstance(Cs, bool) and int(Cs) >= 1:
        return int(Cs)
    try:
        grid = np.asarray(Cs, np.float64)
    except (TypeError, ValueError):
        grid = np.empty(0)
    is_accepted = grid > 0 if is_C else (grid >= 0) & (grid < np.inf)
    if grid.ndim != 1 or not grid.size or not is_accepted.all():
        raise ValueError(f"{accepted}; got {Cs!r:.200}")
    return np.sort(grid)


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


def fit_folds(
    estimator: LogisticRegressionCV,
    data: TrainingData,
    training_rows: Sequence[IntArray | None],
    fits: FoldFits,
    tasks: Tasks,
    on_fit: Callable[[Fit], object],
    is_over: Callable[[], bool],
) -> None:
    """Fit every fold along the Cs for every l1_ratio, as many side by side as threads and memory allow.

    training_rows are the row numbers of each fold, None for all rows. fits are filled but for their scores. on_fit is
    called from any thread. After the time limit only the first C of each fold goes on.
    """
    from fastlin.estimators.many_fits import suits_parts
    from fastlin.estimators.problem import Problem, count_fits_at_once

    is_plain = training_rows[0] is not None and estimator.time_limit is None and not has_callbacks(estimator)
    finite = fits.Cs[fits.Cs < np.inf]
    if is_plain and fits.l1_ratios.all() and data.matrix.lies_in_memory and len(finite):
        whole = Problem(estimator, data)
        # Lots take half of the time in the mean, with L1.
        if suits_parts(whole, finite[-1], fits.l1_ratios[0]):
            _fit_in_lots(whole, training_rows, fits, on_fit)
            return
    pairs = list(itertools.product(range(len(training_rows)), range(len(fits.l1_ratios))))

    def fit_pair(number, check):
        fold, r = pairs[number]
        # Without the first fit of each fold there would be no model.
        is_needed = r == 0
        if is_over() and not is_needed:
            return
        problem = Problem(estimator, data, training_rows[fold])
        path = tasks.begin_path(number, len(fits.Cs))

        def must_end(*_):
            return not is_needed and is_over()

        told = on_fit, tell_all(check, must_end), partial(tasks.begin_fit, path)
        for c, fit in enumerate(fit_along(problem, fits.Cs, fits.l1_ratios[r], *told, is_compared=True)):
            if fit.solution.converged or not must_end():
                fits.record((fold, r, c), fit)
                is_needed = False
            if must_end():
                break
        tasks.end(path)

    shape = fits.coefs.shape[3], data.matrix.shape[1] + 1
    is_smooth = not fits.l1_ratios.any() and estimator.lower_bounds is None and estimator.upper_bounds is None
    at_once = count_fits_at_once(data.matrix, shape, is_smooth)
    # On threads, since all fits share X.
    for _ in run_side_by_side(fit_pair, len(pairs), at_once):
        pass


def _fit_in_lots(whole, training_rows, fits, on_fit):
    """Fill the fits of all folds, those with one l1_ratio at once."""
    from fastlin.estimators.many_fits import Task, fit_lots
    from fastlin.estimators.problem import Problem
    from fastlin.objective.rows import weigh_by_counts

    data, n_Cs = whole.data, len(fits.Cs)
    Cs = np.tile(fits.Cs, len(training_rows))

    def pose(number):
        return Task(data.labels, weigh_by_counts(training_rows[number // n_Cs], data.weights, len(data.labels)))

    def pose_alone(number):
        return Problem(whole.estimator, data, training_rows[number // n_Cs])

    for r, l1_ratio in enumerate(fits.l1_ratios):
        given = whole, pose, Cs, l1_ratio, pose_alone
        for number, fit in fit_lots(*given, reference=data.weights, is_compared=True):
            fits.record((number // n_Cs, r, number % n_Cs), fit)
            on_fit(fit)


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
        from fastlin.inference.tables import lay_out_columns

        names = "Cs", "objectives", "certificates", "n_nonzeros", "n_iter", "converged"
        n_classes, d = len(self.classes), self.coefs.shape[2]
        title = f"path of {d} features and {n_classes} classes, l1_ratio={self.l1_ratio:g}"
        return f"{title}\n{lay_out_columns({name: getattr(self, name) for name in names})}"


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
        which every penalised coefficient is zero: the first model has only the intercept (and features with
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
        fits = FoldFits(1, Cs, np.array([l1_ratio]), data, estimator)
        with count_fits(estimator, len(Cs)) as on_fit:
            # The fits themselves are not kept: they hold what the next one begins with.
            for c, fit in enumerate(fit_along(problem, Cs, l1_ratio, on_fit, start=start)):
                fits.record((0, 0, c), fit)
    warn_of_limits(fits.converged, fits.n_iter, estimator, stacklevel=3)
    coefs, intercepts = fits.split(fits.coefs[0, 0])
    return RegularizationPath(
        Cs=Cs,
        l1_ratio=float(l1_ratio),
        classes=data.classes,
        coefs=coefs,
        intercepts=intercepts,
        n_nonzeros=np.count_nonzero(coefs, axis=(1, 2)),
        **{name: getattr(fits, name)[0, 0] for name in ("objectives", "certificates", "n_iter", "converged")},
    )


def choose_grid(
    problem: Problem, n_Cs: int, l1_ratio: float
) -> tuple[FloatArray, tuple[FloatArray, FloatArray] | None]:
    """Return n_Cs values of C, and the coef and intercept from which the first fit starts, or None.

    Zeros are optimal as long as |g_kj| <= l1 f_j, or with group_by_class ||g_.j|| <= l1 f_j, where g is the gradient of
    the mean loss there and l1 = l1_ratio / (C S). The grid begins at equality.
    """
    if l1_ratio == 0:
        return np.logspace(*WIDE, n_Cs), None
    # The largest penalty leaves no penalised coefficient.
    bounds = problem.bounds
    if bounds is not None and ((bounds[0] > 0) | (bounds[1] < 0)).any():
        raise ValueError(
            "Cs must be a list of numbers where lower_bounds or upper_bounds exclude zero: the grid begins where all "
            "penalised coefficients are zero."
        )
    null = problem.minimize(0.0, 1.0, tol=NULL_TOL)
    slopes = problem.slopes(*null.start)
    if bounds is not None:
        slopes = np.where(((slopes < 0) & (bounds[1] > 0)) | ((slopes > 0) & (bounds[0] < 0)), slopes, 0.0)
    sizes = np.sqrt(np.einsum("kj,kj->j", slopes, slopes)) if problem.group_by_class else np.abs(slopes).max(axis=0)
    factors = problem.penalty_factors
    with np.errstate(over="ignore"):
        thresholds = sizes if factors is None else sizes[factors > 0] / factors[factors > 0]
    largest = thresholds.max(initial=0)
    if not largest > 0:
        # At every C the penalised coefficients are zero.
        return np.logspace(*WIDE, n_Cs), null.start
    least = np.clip(problem.invert(float(largest) / l1_ratio), *RANGE)
    return least * np.logspace(0, DECADES, n_Cs), null.start
