"""Warm-started fits along grids of C, and the fits of all cross-validation folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastlin.blocks.blocks import take_rows
from fastlin.estimators.columns import choose_dtype
from fastlin.estimators.fit_reporting import IterationTaskListener, combine_listeners
from fastlin.estimators.labels import TrainingData
from fastlin.estimators.linear_predictions import ScoredRows
from fastlin.estimators.scikit_learn import select_metadata
from fastlin.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator
    from fastlin.estimators.problem import Fit, IterationListener, Problem

# If C increases by at most this factor, a fit starts from the extrapolated solution without a comparison of J.
MAX_C_RATIO_TO_EXTRAPOLATE = 1.5

# The indices of a fold, an l1_ratio and a C.
GridIndex: TypeAlias = tuple[int, int, int]


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

    def find_selections(self) -> dict[str, tuple[int, int]]:
        """Return the indices (l1_ratio, C) that each value of the parameter `selection` chooses.

        "best" has the largest sum of scores. "one_standard_error" has the same l1_ratio and the smallest C whose mean
        score is within one standard error of the best mean score (Friedman, Hastie and Tibshirani 2010, section 5). The
        standard error is that of the best fit: the standard deviation of the fold scores, with the denominator n_folds
        - 1, divided by sqrt(n_folds). Folds have equal weights, as in the mean score. With a single fold,
        "one_standard_error" is missing.
        """
        n_folds, totals = len(self.scores), self.scores.sum(axis=0)
        r, c = self._find_best_index(totals)
        selections = {"best": (r, c)}
        if n_folds > 1:
            with np.errstate(invalid="ignore"):
                tolerance = np.sqrt(n_folds) * self.scores[:, r, c].std(ddof=1) + 2 * self._bound_rounding_error()
                selections["one_standard_error"] = r, int(np.argmax(totals[r] >= totals[r, c] - tolerance))
        return selections

    def average_at(self, index: tuple[int, int]) -> tuple[float, float, tuple[FloatArray, FloatArray]]:
        """Return the C and l1_ratio at an index, and the mean coef and intercept over the folds."""
        r, c = index
        coef, intercept = (values[:, r, c].mean(axis=0, dtype=np.float64) for values in (self.coef, self.intercept))
        return float(self.Cs[c]), float(self.l1_ratios[r]), (coef, intercept)

    def average_selected_fits(self, selection: str) -> tuple[float, float, tuple[FloatArray, FloatArray]]:
        """Return C, l1_ratio and (coef, intercept), averaged over one fit per fold.

        For the selection "best" this is the best fit of each fold, and otherwise the fit at the same index.
        """
        if selection == "best":
            r, c = self._find_best_fit_per_fold()
        else:
            r, c = np.tile(self.find_selections()[selection], (len(self.scores), 1)).T

        def average(values):
            # Clipping keeps rounding errors from moving the mean outside of the bounds on the coefficients.
            return np.clip(np.mean(values, axis=0), values.min(axis=0), values.max(axis=0))

        mean_coef, mean_intercept = (
            average(values[np.arange(len(values)), r, c]) for values in (self.coef, self.intercept)
        )
        return float(average(self.Cs[c])), float(average(self.l1_ratios[r])), (mean_coef, mean_intercept)

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
        # Candidates without a score in some fold are not eligible.
        scores_by_C = np.where(np.isnan(scores), -np.inf, scores).T
        tied = scores_by_C >= scores_by_C.max() - 2 * self._bound_rounding_error()
        c, r = np.unravel_index(np.argmax(tied), scores_by_C.shape)
        return int(r), int(c)

    def _bound_rounding_error(self):
        """Return a bound on the rounding error of a sum of scores over the rows and the folds."""
        from fastlin.objective.rounding import gamma

        sizes = np.abs(self.scores[np.isfinite(self.scores)])
        return gamma(self.n_rows + len(self.scores)) * len(self.scores) * sizes.max(initial=0.0)


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
