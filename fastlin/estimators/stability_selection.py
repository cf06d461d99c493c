"""Stability selection: how often each feature is selected by L1 paths on random half-samples of the rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from math import isqrt, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from fastlin.blocks.blocks import Blocks
from fastlin.containers.fitted import require, validate_count
from fastlin.estimators.columns import name_coef_columns
from fastlin.estimators.fit_reporting import show_fits, warn_of_unconverged_fits
from fastlin.estimators.folds import fit_path
from fastlin.estimators.labels import validate_training_data
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.parameters import draw_seed, limit_jobs, validate_Cs
from fastlin.estimators.regularization_path import choose_C_grid
from fastlin.estimators.scikit_learn import check_parameters
from fastlin.kernels.machine.threads import run_concurrently
from fastlin.typing import FloatArray, IntArray, MatrixLike, RandomState

# The bound for unimodal frequencies is valid only up to this fraction of selected features.
MAX_SELECTED_FRACTION = 1 / sqrt(3)
# The largest tol of the fits.
MAX_TOL = 1e-8


@dataclass(frozen=True, eq=False)
class StabilitySelection:
    """Result of `stability_selection`: how often each feature was selected.

    Attributes
    ----------
    path : ndarray of shape (n_selected, n_features)
        Entry (m, j) is the fraction of half-samples in which feature j is among the first m + 1 selected features, or
        NaN if feature j is not penalized.
    names : ndarray of shape (n_features,)
        Names of the features.
    n_pairs : int
        Number of complementary pairs of half-samples.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> import fastlin
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = fastlin.LogisticRegression()
    >>> selection = fastlin.stability_selection(model, scale(X), y, n_selected=4, random_state=0)
    >>> selection.selected(0.9)
    array(['x27', 'x20'], dtype=object)
    >>> round(selection.error_bound(0.9), 2)
    0.23
    """

    path: np.ndarray
    names: np.ndarray
    n_pairs: int

    @property
    def frequencies(self) -> FloatArray:
        """Fraction of half-samples in which each feature is selected, (n_features,)."""
        return self.path[-1]

    def selected(self, threshold: float = 0.75) -> np.ndarray:
        """Return the names of the features with a selection frequency of at least `threshold`, in descending order."""
        grid = np.flatnonzero(self.frequencies >= _validate_threshold(threshold))
        return self.names[grid[np.argsort(-self.frequencies[grid], kind="stable")]]

    def error_bound(self, threshold: float = 0.75, assumption: Literal["unimodal", "none"] = "unimodal") -> float:
        """Return a bound on the expected number of false selections (per-family error rate, PFER).

        In each half-sample, q of d features are selected. A false selection is a selected feature whose probability of
        being selected in a half-sample is at most q / d.

        Parameters
        ----------
        threshold : float, default=0.75
            Minimum selection frequency of a selected feature, above 0.5 and at most 1.
        assumption : {"unimodal", "none"}, default="unimodal"
            "none" is the bound q**2 / d / (2 threshold - 1), which is always valid ([2]_, theorem 1; [1]_ for
            exchangeable features). "unimodal" is a smaller bound ([2]_, theorem 2). It assumes that, for each such
            feature, the number of pairs in which both half-samples select the feature has a unimodal distribution.

        Returns
        -------
        bound : float
            Bound on the expected number of false selections.

        Raises
        ------
        ValueError
            If an argument is invalid.

        References
        ----------
        .. [1] N. Meinshausen and P. Bühlmann (2010). Stability Selection. JRSS B 72(4), 417-473.
        .. [2] R. D. Shah and R. J. Samworth (2013). Variable Selection with Error Control: Another Look at Stability
           Selection. JRSS B 75(1), 55-80.
        """
        if assumption not in ("unimodal", "none"):
            raise ValueError(f'assumption must be "unimodal" or "none", got {assumption!r}')
        # The smallest frequency that reaches the threshold.
        n_pairs = self.n_pairs
        attainable_frequencies = np.arange(n_pairs + 1, 2 * n_pairs + 1) / (2 * n_pairs)
        threshold = float(
            attainable_frequencies[np.searchsorted(attainable_frequencies, _validate_threshold(threshold))]
        )
        n_selected = len(self.path)
        fraction = n_selected / int(np.count_nonzero(~np.isnan(self.frequencies)))
        factor = 1 / (2 * threshold - 1)
        half_step = 1 / (2 * n_pairs)
        if assumption == "unimodal" and fraction <= MAX_SELECTED_FRACTION:
            if threshold > 0.75:
                factor = min(factor, 4 * (1 - threshold + half_step) / (1 + 2 * half_step))
            elif threshold > 0.5 + min(fraction**2, half_step + 0.75 * fraction**2):
                factor = min(factor, 0.5 / (2 * threshold - 1 - half_step))
        return factor * fraction * n_selected

    def __repr__(self) -> str:
        """Return a string with the numbers of pairs and features."""
        n_selected, d = self.path.shape
        return f"StabilitySelection({self.n_pairs} pairs of half-samples, each selects {n_selected} of {d} features)"


def stability_selection(
    estimator: LogisticRegression,
    X: MatrixLike | Blocks,
    y: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    *,
    n_selected: int | None = None,
    n_pairs: int = 50,
    Cs: int | ArrayLike = 50,
    random_state: RandomState = None,
) -> StabilitySelection:
    """Count how often L1 paths on random half-samples select each feature (stability selection).

    The two half-samples of a complementary pair are disjoint, and each contains half of the rows of every class. For
    each half-sample, models are fitted along `Cs`, starting with the strongest penalty, until `n_selected` features
    have had a nonzero coefficient for any class. These features are selected. Features that enter at the same C are
    ordered by the size of their coefficients, and by column if the sizes are equal within the accuracy of the fit
    (sqrt(tol) of the largest). `tol` is at most 1e-8 for ``solver="auto"``. The features should be standardized first,
    because the penalty depends on their scale.

    Parameters
    ----------
    estimator : LogisticRegression
        Estimator whose clones are fitted. Its parameters C, alpha, l1_ratio and penalty are ignored.
    X, y, sample_weight, offset
        As in `LogisticRegression.fit`. Rows of weight zero are excluded.
    n_selected : int or None, default=None
        Number of features that each half-sample selects. None means the square root of the number of features.
    n_pairs : int, default=50
        Number of complementary pairs, each with its own seed.
    Cs : int or array-like of shape (n_Cs,), default=50
        As in `logistic_path`. If Cs is an integer, the grid of each half-sample starts where its first feature enters.
    random_state : int, RandomState or None, default=None
        Seed of the half-samples. The result does not depend on the number of threads.

    Returns
    -------
    StabilitySelection
        Selection frequencies, selected features, and bounds on the number of false selections.

    Raises
    ------
    TypeError, ValueError
        If the estimator is not a LogisticRegression, if a class has a single row, or as in `logistic_path`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastlin import LogisticRegression, stability_selection
    >>> stability_selection(LogisticRegression(), *load_iris(return_X_y=True), random_state=0).selected()
    array(['x2', 'x3'], dtype=object)
    """
    from fastlin.estimators.batched_fits import are_batches_faster
    from fastlin.estimators.problem import Problem, count_concurrent_fits

    if not isinstance(estimator, LogisticRegression):
        raise TypeError(f"estimator must be a LogisticRegression of fastlin, got {type(estimator).__name__}")
    check_parameters(estimator)
    n_pairs = validate_count("n_pairs", n_pairs, minimum=1)
    Cs = validate_Cs(Cs)
    seed = draw_seed(random_state)
    # The penalty is set by the Cs of the path.
    model = clone(estimator).set_params(alpha="1/n_samples")
    if model.solver == "auto":
        model.tol = min(model.tol, MAX_TOL)
    with limit_jobs(model.n_jobs):
        data = validate_training_data(model, X, y, sample_weight, offset)
        names = name_coef_columns(model, None)
        # Problem raises an error if X is not finite.
        full_problem = Problem(model, data)
        factors = full_problem.penalty_factors
        is_unpenalized = np.zeros(len(names), bool) if factors is None else factors == 0
        n_penalized_features = np.count_nonzero(~is_unpenalized)
        n_selected = (
            isqrt(n_penalized_features) if n_selected is None else validate_count("n_selected", n_selected, minimum=1)
        )
        requirement = f"be from 1 to {n_penalized_features}, the number of features with a penalty"
        require(1 <= n_selected <= n_penalized_features, "n_selected", requirement, n_selected)
        class_rows = _find_class_rows(data)
        selection_counts, convergence_records = np.zeros((n_selected, len(names))), []
        with show_fits(model, 2 * n_pairs) as on_fit:

            def begin_path(number):
                problem = Problem(model, data, _sample_complementary_pair(class_rows, (seed, number // 2))[number % 2])
                return problem, _SelectionPath(problem, Cs, n_selected, is_unpenalized, sqrt(model.tol))

            n_half_samples = 2 * n_pairs
            if are_batches_faster(full_problem, 1.0, 1.0):
                half_samples: Iterable[_SelectionPath] = _fit_batched_selection_paths(
                    full_problem, begin_path, n_half_samples, on_fit
                )
            else:
                K = 1 if len(data.classes) == 2 else len(data.classes)
                n_concurrent_fits = count_concurrent_fits(data.matrix, (K, len(names) + 1), is_smooth=False)
                fit_half_sample = partial(_fit_selection_path, begin_path, on_fit)
                half_samples = run_concurrently(fit_half_sample, n_half_samples, n_concurrent_fits)
            for half_sample in half_samples:
                first = half_sample.order[:n_selected]
                selection_counts[np.arange(len(first)), first] += 1
                convergence_records.extend(half_sample.convergence_records)
    converged, n_iter = np.array(convergence_records).T
    warn_of_unconverged_fits(converged.astype(bool), n_iter, model, stacklevel=3)
    path = selection_counts.cumsum(axis=0) / (2 * n_pairs)
    path[:, is_unpenalized] = np.nan
    return StabilitySelection(path, names, n_pairs)


def _validate_threshold(threshold):
    """Return a valid selection threshold."""
    if not (isinstance(threshold, (int, float, np.integer, np.floating)) and 0.5 < threshold <= 1):
        raise ValueError(f"threshold must be a number above 0.5 and at most 1, got {threshold!r}")
    return threshold


def _find_class_rows(data):
    """Return, for each class, the indices of its rows of positive weight."""
    has_positive_weight = True if data.weights is None else data.weights > 0
    class_rows = [np.flatnonzero((data.labels == k) & has_positive_weight) for k in range(len(data.classes))]
    for label, rows in zip(data.classes, class_rows, strict=True):
        if len(rows) < 2:
            raise ValueError(
                "y must have at least 2 rows of positive weight in each class, one for each half-sample, but class "
                f"{label} has {len(rows)}"
            )
    return class_rows


def _sample_complementary_pair(class_rows, seed):
    """Return the row indices of two half-samples; of a class with an odd number of rows, one row is in neither."""
    generator = np.random.default_rng(seed)
    half_samples = [generator.permutation(rows)[: len(rows) // 2 * 2].reshape(2, -1) for rows in class_rows]
    return np.sort(np.concatenate(half_samples, axis=1))


class _SelectionPath:
    """The order in which features enter along the path of a half-sample, and the convergence of its fits."""

    def __init__(self, problem, Cs, n_selected, is_unpenalized, accuracy):
        grid: Any = choose_C_grid(problem, Cs, 1.0) if isinstance(Cs, int) else (Cs, None)
        self.Cs, self.start = grid
        self.order, self.convergence_records = [], []
        self._has_entered, self._n_selected, self._accuracy = is_unpenalized.copy(), n_selected, accuracy

    def record(self, fit):
        """Record the fit at the next C; return whether another fit is needed."""
        self.start = fit.start
        self.convergence_records.append((fit.solution.converged, fit.n_iter))
        sizes = np.abs(fit.coef).max(axis=0)
        # Smaller coefficients might be zero at the exact minimum.
        entering_features = np.flatnonzero((sizes > self._accuracy * sizes.max(initial=0.0)) & ~self._has_entered)
        self._has_entered[entering_features] = True
        self.order.extend(entering_features[argsort_by_descending_size(sizes[entering_features], self._accuracy)])
        return len(self.order) < self._n_selected and len(self.convergence_records) < len(self.Cs)


def argsort_by_descending_size(sizes: FloatArray, accuracy: float) -> IntArray:
    """Return the indices in descending order of size; sizes that are equal within `accuracy` keep their order.

    `accuracy` is relative to the largest size. To second order, J at zero exceeds the minimum by half the squared
    length of the coefficients in the norm of the Hessian. A fit whose suboptimality is tol times this amount therefore
    has an error of about sqrt(tol) times this length.
    """
    order = np.argsort(-sizes, kind="stable")
    size_decreases = -np.diff(sizes[order], prepend=sizes[order[:1]])
    groups = np.cumsum(size_decreases > accuracy * sizes.max(initial=0.0))
    return order[np.lexsort((order, groups))]


def _fit_selection_path(begin_path, on_fit, number, check):
    """Return the selection path of a half-sample; each fit starts from the previous solutions."""
    problem, selection_path = begin_path(number)
    for fit in fit_path(problem, selection_path.Cs, 1.0, lambda fit: None, check, start=selection_path.start):
        if not selection_path.record(fit):
            break
    on_fit(fit)
    return selection_path


def _fit_batched_selection_paths(full_problem, begin_path, n_half_samples, on_fit):
    """Return the selection paths of all half-samples; the fits at the same index of Cs run in batches."""
    from fastlin.estimators.batched_fits import FitTask, fit_in_batches
    from fastlin.estimators.problem import Problem

    data, half_samples = full_problem.data, []
    for number in range(n_half_samples):
        problem, selection_path = begin_path(number)
        is_in_half_sample = np.zeros(len(data.labels), bool)
        is_in_half_sample[problem.rows] = True
        # Half-samples are stored as one bit per row, because there are many of them.
        half_samples.append((np.packbits(is_in_half_sample), selection_path))
    fraction, active = np.average(data.labels, weights=data.weights), half_samples
    while active:
        index, remaining_paths = len(active[0][1].convergence_records), []
        Cs = np.array([selection_path.Cs[index] for _, selection_path in active])
        curvatures = np.full(len(active), fraction * (1 - fraction))

        def unpack_rows(number, active=active):
            return np.unpackbits(active[number][0], count=len(data.labels))

        def make_task(number, active=active):
            is_in_half_sample, selection_path = unpack_rows(number), active[number][1]
            weights = is_in_half_sample.astype(np.float64) if data.weights is None else is_in_half_sample * data.weights
            return FitTask(data.labels, weights, selection_path.start)

        def make_problem(number):
            return Problem(full_problem.estimator, data, np.flatnonzero(unpack_rows(number)))

        arguments = full_problem, make_task, Cs, 1.0, make_problem
        for number, fit in fit_in_batches(*arguments, curvatures=curvatures, reference=data.weights):
            if active[number][1].record(fit):
                remaining_paths.append(active[number])
            else:
                on_fit(fit)
        active = remaining_paths
    return [selection_path for _, selection_path in half_samples]
