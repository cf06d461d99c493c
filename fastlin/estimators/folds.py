"""Regularization paths: grids of C, warm-started fits along them, and the fits of all cross-validation folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastlin.blocks.blocks import Blocks, take_rows
from fastlin.estimators.columns import choose_dtype
from fastlin.estimators.fit_reporting import (
    IterationTaskListener,
    combine_listeners,
    show_fits,
    warn_of_unconverged_fits,
)
from fastlin.estimators.labels import TrainingData, validate_training_data
from fastlin.estimators.linear_predictions import ScoredRows
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.parameters import C_GRID_EXPONENTS, limit_jobs, validate_Cs
from fastlin.estimators.scikit_learn import check_parameters, select_metadata
from fastlin.typing import FloatArray, IntArray, MatrixLike

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator
    from fastlin.estimators.problem import Fit, IterationListener, Problem

# If C increases by at most this factor, a fit starts from the extrapolated solution without a comparison of J.
MAX_C_RATIO_TO_EXTRAPOLATE = 1.5

# The indices of a fold, an l1_ratio and a C.
GridIndex: TypeAlias = tuple[int, int, int]

# Number of decades that a grid with an L1 penalty spans.
N_GRID_DECADES = 3
# Range of the smallest C of a grid, so that the grid is positive and finite for any scale of X and of the weights.
RANGE_OF_SMALLEST_C = np.nextafter(0.0, 1.0), np.finfo(np.float64).max / 10**N_GRID_DECADES
# The tol of the model without penalized features, which determines the smallest C.
NULL_MODEL_TOL = 1e-10
# Because of rounding, the first C of a grid is smaller by this fraction than the C at which the first coefficient
# enters the model.
SMALLEST_C_MARGINS = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-9}


class FitResults:
    """Results of many fits to the same X, in arrays of a given shape.

    `coefs` has shape (*shape, K, d + 1) and contains the coefficients followed by the intercept; without an intercept,
    the last axis has length d. `coef` and `intercept` are views of `coefs`. `is_finished` is true for recorded fits.
    The coefficients, objectives and certificates of other fits are NaN.
    """

    def __init__(self, shape: tuple[int, ...], data: TrainingData, estimator: LinearEstimator) -> None:
        K, d = 1 if len(data.classes) == 2 else len(data.classes), data.matrix.shape[1]
        dtype = choose_dtype(data.matrix, estimator.solver)
        self.coefs: FloatArray = np.full((*shape, K, d + estimator.fit_intercept), np.nan, dtype)
        self.coef: FloatArray = self.coefs[..., :d]
        self.intercept: FloatArray = self.coefs[..., d] if estimator.fit_intercept else np.zeros((*shape, K), dtype)
        self.objectives, self.certificates = np.full(shape, np.nan), np.full(shape, np.nan)
        self.n_iter = np.zeros(shape, np.int32)
        self.converged, self.is_finished = np.zeros(shape, bool), np.zeros(shape, bool)

    def record(self, position: int | GridIndex, fit: Fit) -> None:
        """Store a Fit at an index."""
        self.coef[position], self.intercept[position] = fit.coef, fit.intercept
        self.objectives[position], self.certificates[position] = fit.solution.value, fit.certificate
        self.n_iter[position], self.converged[position], self.is_finished[position] = (
            fit.n_iter,
            fit.solution.converged,
            True,
        )


class FoldFits(FitResults):
    """The fits for each fold, l1_ratio and C; these are the first three axes, as in LogisticRegressionCV."""

    def __init__(
        self, n_folds: int, Cs: FloatArray, l1_ratios: FloatArray, data: TrainingData, estimator: LinearEstimator
    ) -> None:
        super().__init__((n_folds, len(l1_ratios), len(Cs)), data, estimator)
        self.Cs, self.l1_ratios, self.classes, self.n_rows = Cs, l1_ratios, data.classes, len(data.labels)
        self.scores = np.full(self.is_finished.shape, np.nan)

    def model(self, position: GridIndex) -> LogisticRegression:
        """Return the fit at an index as an estimator for scorers."""
        _, r, c = position
        model = LogisticRegression(C=self.Cs[c], l1_ratio=self.l1_ratios[r])
        model.classes_ = self.classes
        model.coef_, model.intercept_ = self.coef[position], self.intercept[position]
        model.n_features_in_ = model.coef_.shape[1]
        return model

    def best(self) -> tuple[float, float, tuple[FloatArray, FloatArray]]:
        """Return the C and l1_ratio with the largest sum of scores, and the mean coef and intercept over the folds."""
        r, c = self._find_best_index(self.scores.sum(axis=0))
        coef, intercept = (values[:, r, c].mean(axis=0, dtype=np.float64) for values in (self.coef, self.intercept))
        return float(self.Cs[c]), float(self.l1_ratios[r]), (coef, intercept)

    def average_best_fits(self) -> tuple[float, float, tuple[FloatArray, FloatArray]]:
        """Return C, l1_ratio and (coef, intercept), averaged over the best fits of the folds."""
        r, c = self._find_best_fit_per_fold()

        def average_over_folds(values):
            best = values[np.arange(len(values)), r, c]
            # Clipping keeps rounding errors from moving the mean outside of the bounds on the coefficients.
            return np.clip(np.mean(best, axis=0), best.min(axis=0), best.max(axis=0))

        mean = average_over_folds(self.coef), average_over_folds(self.intercept)
        return float(np.mean(self.Cs[c])), float(np.mean(self.l1_ratios[r])), mean

    def get_best_fit_convergence(self) -> tuple[float, bool]:
        """Return the certificate of the best fit of the first fold, and whether this fit converged."""
        (r, *_), (c, *_) = self._find_best_fit_per_fold()
        return float(self.certificates[0, r, c]), bool(self.converged[0, r, c])

    def _find_best_fit_per_fold(self):
        """Return the indices of the l1_ratio and of the C of the best fit in each fold."""
        # Only values of C that have been fitted in all folds are eligible.
        eligible_scores = np.where(self.is_finished.all(axis=0), self.scores, np.nan)
        return np.array([self._find_best_index(scores) for scores in eligible_scores]).T

    def _find_best_index(self, scores):
        """Return the indices of the l1_ratio and of the C with the largest score; ties go to the smallest C.

        `scores` has shape (n_l1_ratios, n_Cs). Scores are tied if they differ by at most the rounding error of their
        sums over the rows and the folds.
        """
        from fastlin.objective.rounding import gamma

        # Candidates without a score in some fold are not eligible.
        scores_by_C, sizes = (
            np.where(np.isnan(scores), -np.inf, scores).T,
            np.abs(self.scores[np.isfinite(self.scores)]),
        )
        mean_rounding_error = gamma(self.n_rows + len(self.scores)) * len(self.scores) * sizes.max(initial=0.0)
        c, r = np.unravel_index(
            np.argmax(scores_by_C >= scores_by_C.max() - 2 * mean_rounding_error), scores_by_C.shape
        )
        return r, c


def fit_path(
    problem: Problem,
    Cs: FloatArray,
    l1_ratio: float,
    on_fit: Callable[[Fit], object],
    on_iteration: IterationListener | None = None,
    begin_tasks: Callable[[], IterationTaskListener | None] = lambda: None,
    *,
    start: tuple[FloatArray, FloatArray] | None = None,
    is_model_comparison: bool = False,
) -> Iterator[Fit]:
    """Yield the Fit of a Problem at each of the ascending Cs, with warm starts.

    Each fit starts from the last solution, or from the linear extrapolation (in log C) of the last two solutions if J
    is lower there. The first fit starts from `start`. `is_model_comparison` is passed to `choose.minimize`, `on_fit` is
    called with each Fit, and `begin_tasks` returns the callback tasks of a fit.
    """
    log_Cs = np.log(Cs)
    previous_start: tuple[FloatArray, FloatArray] | None = None
    last, nearby_fit = start, None
    for c, C in enumerate(Cs):
        starts = [] if last is None else [last]
        can_extrapolate = c > 1 and log_Cs[c - 2] < log_Cs[c - 1] and log_Cs[c] < np.inf
        if can_extrapolate and previous_start is not None and last is not None:
            step = (log_Cs[c] - log_Cs[c - 1]) / (log_Cs[c - 1] - log_Cs[c - 2])
            coef, intercept = (b + step * (b - a) for a, b in zip(previous_start, last, strict=True))
            extrapolation = coef, intercept
            starts = [extrapolation] if C <= MAX_C_RATIO_TO_EXTRAPOLATE * Cs[c - 1] else [last, extrapolation]
        tasks = begin_tasks()
        listener = combine_listeners(on_iteration, tasks)
        fit = problem.minimize(
            C, l1_ratio, starts, listener, is_model_comparison=is_model_comparison, nearby_fit=nearby_fit
        )
        if tasks is not None:
            tasks.end(fit.coef, fit.intercept)
        previous_start, last, nearby_fit = last, fit.start, fit.solution
        on_fit(fit)
        yield fit


def take_test_rows(data: TrainingData, rows: IntArray, params: Mapping[str, Any]) -> ScoredRows:
    """Return the test rows of a fold, given their indices; `params` contains the scorer's metadata for all rows."""
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
    """Result of `logistic_path`: a regularization path of models for increasing C.

    Attributes
    ----------
    Cs : ndarray of shape (n_Cs,)
        Inverse strengths of the penalty, sorted from the strongest penalty to the weakest.
    l1_ratio : float
        Elastic-net mixing parameter.
    classes : ndarray of shape (n_classes,)
        Class labels, sorted.
    coefs : ndarray of shape (n_Cs, 1, n_features) for two classes, else (n_Cs, n_classes, n_features)
        Coefficients of each model, float32 for float32 data, otherwise float64.
    intercepts : ndarray of shape (n_Cs, 1) or (n_Cs, n_classes)
        Intercepts of each model, in the dtype of `coefs`.
    objectives : ndarray of shape (n_Cs,)
        Objective J of each model.
    certificates : ndarray of shape (n_Cs,)
        Certified upper bound on J - J* of each model, in the units of J, or inf if there is none.
    n_nonzeros : ndarray of shape (n_Cs,), int64
        Number of nonzero coefficients of each model, over all classes.
    n_iter : ndarray of shape (n_Cs,), int32
        Number of iterations of each fit.
    converged : ndarray of shape (n_Cs,), bool
        Whether each fit reached tol, or the best accuracy that rounding error permits.

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
        """Return a table with one line per C."""
        from fastlin.inference.tables import format_columns

        names = "Cs", "objectives", "certificates", "n_nonzeros", "n_iter", "converged"
        n_classes, d = len(self.classes), self.coefs.shape[2]
        title = f"RegularizationPath of {d} features and {n_classes} classes, l1_ratio={self.l1_ratio:g}"
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
    """Compute a regularization path of logistic or softmax regression: models for many values of C, with warm starts.

    Parameters
    ----------
    X, y, sample_weight, offset, classes
        As in `LogisticRegression.fit`.
    Cs : int or array-like of shape (n_Cs,), default=50
        Inverse strengths of the penalty, in any order. An integer n stands for n values on a log scale. With
        ``l1_ratio=0``, they range from 1e-4 to 1e4. Otherwise, they span three decades and start at the largest C for
        which all penalized coefficients are zero. The first model then contains only the intercept (and unpenalized
        features), and models for any larger C have nonzero coefficients.
    l1_ratio : float, default=1.0
        Elastic-net mixing parameter, from 0 (L2) to 1 (L1).
    **parameters
        Other parameters of `LogisticRegression`, except `C`, `alpha`, `penalty` and `warm_start`. With `verbose` above
        0, a progress bar shows the number of fits.

    Returns
    -------
    path : RegularizationPath
        Result with one model for each C.

    Raises
    ------
    ValueError
        If `Cs` is empty or contains values that are not positive numbers, and as in `LogisticRegression.fit`.
    TypeError
        If parameters that do not exist are passed.

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
            raise TypeError(f"logistic_path does not accept {name}; use Cs and l1_ratio instead")
    estimator = LogisticRegression(l1_ratio=l1_ratio, **parameters)
    check_parameters(estimator)
    Cs = validate_Cs(Cs)
    with limit_jobs(estimator.n_jobs):
        data = validate_training_data(estimator, X, y, sample_weight, offset, classes)
        problem = Problem(estimator, data)
        start = None
        if isinstance(Cs, int):
            Cs, start = choose_C_grid(problem, Cs, l1_ratio)
        fits = FitResults((len(Cs),), data, estimator)
        with show_fits(estimator, len(Cs)) as on_fit:
            # Only the results are stored, because a Fit also contains the solver's state for the next fit.
            for c, fit in enumerate(fit_path(problem, Cs, l1_ratio, on_fit, start=start)):
                fits.record(c, fit)
    warn_of_unconverged_fits(fits.converged, fits.n_iter, estimator, stacklevel=3)
    return RegularizationPath(
        Cs=Cs,
        l1_ratio=float(l1_ratio),
        classes=data.classes,
        coefs=fits.coef,
        intercepts=fits.intercept,
        n_nonzeros=np.count_nonzero(fits.coef, axis=(1, 2)),
        **{name: getattr(fits, name) for name in ("objectives", "certificates", "n_iter", "converged")},
    )


def choose_C_grid(
    problem: Problem, n_Cs: int, l1_ratio: float
) -> tuple[FloatArray, tuple[FloatArray, FloatArray] | None]:
    """Return `n_Cs` values of C, and the starting point (coef, intercept) of the first fit, or None.

    Zero coefficients are optimal if |g_kj| <= l1 f_j or, with group_lasso, ||g_.j|| <= l1 f_j. Here g is the gradient
    of the mean loss at zero, and l1 = l1_ratio / (C S). The first C of the grid attains equality, except for a margin
    for rounding errors.
    """
    if l1_ratio == 0:
        return np.logspace(*C_GRID_EXPONENTS, n_Cs), None
    # At the first C of the grid, all penalized coefficients are zero.
    bounds = problem.bounds
    if bounds is not None and ((bounds[0] > 0) | (bounds[1] < 0)).any():
        raise ValueError(
            "Cs must be a list of numbers if lower_bounds or upper_bounds exclude zero, because a grid starts where "
            "all penalized coefficients are zero."
        )
    null = problem.minimize(0.0, 1.0, tol=NULL_MODEL_TOL)
    slopes = problem.slopes(*null.start)
    if bounds is not None:
        slopes = np.where(((slopes < 0) & (bounds[1] > 0)) | ((slopes > 0) & (bounds[0] < 0)), slopes, 0.0)
    sizes = np.sqrt(np.einsum("kj,kj->j", slopes, slopes)) if problem.group_lasso else np.abs(slopes).max(axis=0)
    factors = problem.penalty_factors
    with np.errstate(over="ignore"):
        entry_penalties = sizes if factors is None else sizes[factors > 0] / factors[factors > 0]
    largest = entry_penalties.max(initial=0)
    if not largest > 0:
        # The penalized coefficients are zero for every C.
        return np.logspace(*C_GRID_EXPONENTS, n_Cs), null.start
    margin = SMALLEST_C_MARGINS[np.dtype(choose_dtype(problem.data.matrix, problem.estimator.solver))]
    smallest = np.clip(
        problem.convert_between_C_and_penalty(float(largest) / l1_ratio) * (1 - margin), *RANGE_OF_SMALLEST_C
    )
    return smallest * np.logspace(0, N_GRID_DECADES, n_Cs), null.start
