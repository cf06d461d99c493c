"""Stability selection: how often the L1 paths of halves of the rows select each feature."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isqrt, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from fastlin.blocks.blocks import Blocks
from fastlin.estimators.columns import name_features
from fastlin.estimators.folds import choose_grid, fit_path
from fastlin.estimators.labels import read_training_data
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.parameters import limit_jobs, read_Cs, read_seed
from fastlin.estimators.scikit_learn import check_parameters
from fastlin.estimators.fit_reporting import count_fits, warn_of_unconverged_fits
from fastlin.fitted import require, read_count
from fastlin.kernels.machine.threads import run_side_by_side
from fastlin.typing import FloatArray, IntArray, MatrixLike, RandomState

# For larger shares of the features the bound for unimodal frequencies is not proven.
MAX_FRACTION = 1 / sqrt(3)
# Fits reach this tol where the estimator asks for less.
TOL = 1e-8


@dataclass(frozen=True, eq=False)
class StabilitySelection:
    """How often each feature was selected, as `stability_selection` returns it.

    Attributes
    ----------
    path : ndarray of shape (n_selected, n_features)
        Row m has the share of the halves where a feature is among the first m + 1; NaN for features without a penalty.
    names : ndarray of shape (n_features,)
        The names of the features.
    n_pairs : int
        The number of pairs of halves.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> import fastlin
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = fastlin.LogisticRegression()
    >>> found = fastlin.stability_selection(model, scale(X), y, n_selected=4, random_state=0)
    >>> found.selected(0.9)
    array(['x27', 'x20'], dtype=object)
    >>> round(found.error_bound(0.9), 2)
    0.23
    """

    path: np.ndarray
    names: np.ndarray
    n_pairs: int

    @property
    def frequencies(self) -> FloatArray:
        """The share of the halves that select each feature, (n_features,)."""
        return self.path[-1]

    def selected(self, threshold: float = 0.75) -> np.ndarray:
        """Return the names of the features that at least a share of the halves select, the most frequent first."""
        chosen = np.flatnonzero(self.frequencies >= _read_threshold(threshold))
        return self.names[chosen[np.argsort(-self.frequencies[chosen], kind="stable")]]

    def error_bound(self, threshold: float = 0.75, assumption: Literal["unimodal", "none"] = "unimodal") -> float:
        """Return a bound on the expected number of features that are selected by mistake.

        Of d features a half selects q. A mistake is a feature that a half selects with a probability of at most q / d.

        Parameters
        ----------
        threshold : float, default=0.75
            The share of the halves that selects a feature, above 0.5 and up to 1.
        assumption : {"unimodal", "none"}, default="unimodal"
            "none" is q**2 / d / (2 threshold - 1), which always holds ([2]_, theorem 1; [1]_ for exchangeable
            features). "unimodal" is lower ([2]_, theorem 2): the number of pairs of which both halves select such a
            feature is taken to have a distribution with one mode.

        Raises
        ------
        ValueError
            For other values.

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
        reached = np.arange(n_pairs + 1, 2 * n_pairs + 1) / (2 * n_pairs)
        threshold = float(reached[np.searchsorted(reached, _read_threshold(threshold))])
        n_selected = len(self.path)
        fraction = n_selected / int(np.count_nonzero(~np.isnan(self.frequencies)))
        factor = 1 / (2 * threshold - 1)
        half_step = 1 / (2 * n_pairs)
        if assumption == "unimodal" and fraction <= MAX_FRACTION:
            if threshold > 0.75:
                factor = min(factor, 4 * (1 - threshold + half_step) / (1 + 2 * half_step))
            elif threshold > 0.5 + min(fraction**2, half_step + 0.75 * fraction**2):
                factor = min(factor, 0.5 / (2 * threshold - 1 - half_step))
        return factor * fraction * n_selected

    def __repr__(self) -> str:
        """Return the numbers of pairs and of features."""
        n_selected, d = self.path.shape
        return f"StabilitySelection({self.n_pairs} pairs of halves, {n_selected} of {d} features selected by each)"


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
    """Count how often the L1 paths of random halves of the rows select each feature.

    Both halves of a pair have half of the rows of each class, and none in common. A half is fitted along `Cs`, from the
    strongest penalty on, until `n_selected` features have had a coefficient that is not zero, for any class: these it
    selects. Of features that enter at one C those with the largest coefficients do so first, and of coefficients that
    are equal within the accuracy of the fit, sqrt(tol) of the largest, those of the first columns. `tol` is at most
    1e-8 for `solver="auto"`. Bring columns to one scale before: the penalty is on coefficients.

    Parameters
    ----------
    estimator : LogisticRegression
        The fits have its parameters, but for C, alpha, l1_ratio and penalty. It is not changed.
    X, y, sample_weight, offset
        As in `LogisticRegression.fit`. Rows of weight zero are in no half.
    n_selected : int or None, default=None
        How many features a half selects. None means the square root of their number.
    n_pairs : int, default=50
        The number of pairs, each with a seed of its own.
    Cs : int or array-like of shape (n_Cs,), default=50
        As in `logistic_path`. The Cs of each half begin where its first feature enters, unless they are given.
    random_state : int, RandomState or None, default=None
        The seed of the halves. The number of threads changes no bit.

    Returns
    -------
    StabilitySelection
        The frequencies, which features are selected, and bounds on how many of them are by mistake.

    Raises
    ------
    TypeError, ValueError
        The estimator is of another class, a class of rows has a single one, and for all that `logistic_path` refuses.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastlin import LogisticRegression, stability_selection
    >>> stability_selection(LogisticRegression(), *load_iris(return_X_y=True), random_state=0).selected()
    array(['x2', 'x3'], dtype=object)
    """
    from fastlin.estimators.batched_fits import batches_are_faster
    from fastlin.estimators.problem import Problem, count_concurrent_fits

    if not isinstance(estimator, LogisticRegression):
        raise TypeError(f"estimator must be a LogisticRegression of fastlin, got {type(estimator).__name__}")
    check_parameters(estimator)
    n_pairs = read_count("n_pairs", n_pairs, minimum=1)
    Cs = read_Cs(Cs)
    seed = read_seed(random_state)
    # The Cs of the path tell the penalty.
    model = clone(estimator).set_params(alpha="1/n_samples")
    if model.solver == "auto":
        model.tol = min(model.tol, TOL)
    with limit_jobs(model.n_jobs):
        data = read_training_data(model, X, y, sample_weight, offset)
        names = name_features(model, None)
        # It raises where X is not finite.
        whole = Problem(model, data)
        factors = whole.penalty_factors
        is_free = np.zeros(len(names), bool) if factors is None else factors == 0
        n_candidates = np.count_nonzero(~is_free)
        n_selected = isqrt(n_candidates) if n_selected is None else read_count("n_selected", n_selected, minimum=1)
        range_of_numbers = f"be from 1 to {n_candidates}, the number of features with a penalty"
        require(1 <= n_selected <= n_candidates, "n_selected", range_of_numbers, n_selected)
        rows_of_classes = _find_rows(data)
        entered, stop_reasons = np.zeros((n_selected, len(names))), []
        with count_fits(model, 2 * n_pairs) as on_fit:

            def begin(number):
                problem = Problem(model, data, _draw_half_samples(rows_of_classes, (seed, number // 2))[number % 2])
                return problem, _SelectionPath(problem, Cs, n_selected, is_free, sqrt(model.tol))

            if batches_are_faster(whole, 1.0, 1.0):
                half_samples: Iterable[_SelectionPath] = _select_batched(whole, begin, 2 * n_pairs, on_fit)
            else:
                K = 1 if len(data.classes) == 2 else len(data.classes)
                n_concurrent = count_concurrent_fits(data.matrix, (K, len(names) + 1), is_smooth=False)
                half_samples = run_side_by_side(
                    lambda *given: _select(begin, on_fit, *given), 2 * n_pairs, n_concurrent
                )
            for half_sample in half_samples:
                first = half_sample.order[:n_selected]
                entered[np.arange(len(first)), first] += 1
                stop_reasons.extend(half_sample.stop_reasons)
    converged, n_iter = np.array(stop_reasons).T
    warn_of_unconverged_fits(converged.astype(bool), n_iter, model, stacklevel=3)
    path = entered.cumsum(axis=0) / (2 * n_pairs)
    path[:, is_free] = np.nan
    return StabilitySelection(path, names, n_pairs)


def _read_threshold(threshold):
    """Return a share of the halves that selects features."""
    if not (isinstance(threshold, (int, float, np.integer, np.floating)) and 0.5 < threshold <= 1):
        raise ValueError(f"threshold must be a number above 0.5 and at most 1, got {threshold!r}")
    return threshold


def _find_rows(data):
    """Return the numbers of the rows of each class that have a weight."""
    has_weight = True if data.weights is None else data.weights > 0
    rows_of_classes = [np.flatnonzero((data.labels == k) & has_weight) for k in range(len(data.classes))]
    for label, rows in zip(data.classes, rows_of_classes, strict=True):
        if len(rows) < 2:
            raise ValueError(
                "y must have at least 2 rows of each class, with a weight above zero, one for each half, but class "
                f"{label} has {len(rows)}"
            )
    return rows_of_classes


def _draw_half_samples(rows_of_classes, seed):
    """Return the numbers of the rows of two halves; of an odd number of rows of a class one is in neither."""
    generator = np.random.default_rng(seed)
    drawn = [generator.permutation(rows)[: len(rows) // 2 * 2].reshape(2, -1) for rows in rows_of_classes]
    return np.sort(np.concatenate(drawn, axis=1))


class _SelectionPath:
    """The features that enter along the Cs of a half, in order, and how its fits ended."""

    def __init__(self, problem, Cs, n_selected, is_free, accuracy):
        chosen: Any = choose_grid(problem, Cs, 1.0) if isinstance(Cs, int) else (Cs, None)
        self.Cs, self.start = chosen
        self.order, self.stop_reasons = [], []
        self._is_known, self._n_selected, self._accuracy = is_free.copy(), n_selected, accuracy

    def take(self, fit):
        """Take the fit at the next of the Cs; say whether another one is needed."""
        self.start = fit.start
        self.stop_reasons.append((fit.solution.converged, fit.n_iter))
        sizes = np.abs(fit.coef).max(axis=0)
        # A smaller coefficient may be zero at the minimum.
        entering = np.flatnonzero((sizes > self._accuracy * sizes.max(initial=0.0)) & ~self._is_known)
        self._is_known[entering] = True
        self.order.extend(entering[order_sizes(sizes[entering], self._accuracy)])
        return len(self.order) < self._n_selected and len(self.stop_reasons) < len(self.Cs)


def order_sizes(sizes: FloatArray, accuracy: float) -> IntArray:
    """Return the order from the largest size to the smallest; equal ones, within accuracy of the largest, stay.

    Up to second order, zeros exceed the minimum of J by half of the squared length of the coefficients in the norm of
    the Hessian. So a fit that is tol of this above the minimum is off by about sqrt(tol) of this length.
    """
    order = np.argsort(-sizes, kind="stable")
    falls = -np.diff(sizes[order], prepend=sizes[order[:1]])
    groups = np.cumsum(falls > accuracy * sizes.max(initial=0.0))
    return order[np.lexsort((order, groups))]


def _select(begin, on_fit, number, check):
    """Return the entries of a half after its fits, each started from those before."""
    problem, entries = begin(number)
    for fit in fit_path(problem, entries.Cs, 1.0, lambda fit: None, check, start=entries.start):
        if not entries.take(fit):
            break
    on_fit(fit)
    return entries


def _select_batched(whole, begin, n_half_samples, on_fit):
    """Return the entries of all halves after their fits; those at one place of the Cs are made in batches."""
    from fastlin.estimators.batched_fits import Task, fit_in_batches
    from fastlin.estimators.problem import Problem

    data, half_samples = whole.data, []
    for number in range(n_half_samples):
        problem, entries = begin(number)
        is_in = np.zeros(len(data.labels), bool)
        is_in[problem.rows] = True
        # A bit a row, since there are many halves.
        half_samples.append((np.packbits(is_in), entries))
    fraction, left = np.average(data.labels, weights=data.weights), half_samples
    while left:
        position, going = len(left[0][1].stop_reasons), []
        Cs, curvatures = (
            np.array([half_sample.Cs[position] for _, half_sample in left]),
            np.full(len(left), fraction * (1 - fraction)),
        )

        def find_rows(number, left=left):
            return np.unpackbits(left[number][0], count=len(data.labels))

        def make_task(number, left=left):
            is_in, entries = find_rows(number), left[number][1]
            weights = is_in.astype(np.float64) if data.weights is None else is_in * data.weights
            return Task(data.labels, weights, entries.start)

        def make_problem(number):
            return Problem(whole.estimator, data, np.flatnonzero(find_rows(number)))

        given = whole, make_task, Cs, 1.0, make_problem
        for number, fit in fit_in_batches(*given, curvatures=curvatures, reference=data.weights):
            if left[number][1].take(fit):
                going.append(left[number])
            else:
                on_fit(fit)
        left = going
    return [entries for _, entries in half_samples]
