"""The bootstrap: fits to resampled rows, and the resulting standard errors and confidence intervals.

In the fit of a resample, the weight of each row is multiplied by the number of times that it was sampled, so no rows
are copied. Each resample has its own seed, so results depend neither on the number of threads nor on the number of
resamples.

The acceleration of BCa intervals follows from the influence of each row on the coefficients (Hampel 1974). At the
minimum of J, the infinitesimal jackknife gives the influence of row i. It is the derivative with respect to the weight
of row i if this weight is taken equally from all rows::

    U_i = -H^-1 (s_i r_i (x) x~_i - mean of these over the rows) / S

Here H is the Hessian of J including the penalty, and r_i contains the probabilities of row i minus its label.
Coefficients that an L1 or group penalty sets to zero, or that lie at a bound, have no influence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from fastlin.inference.covariances import find_residuals
from fastlin.inference.hessian import InformationMatrix, find_active_columns
from fastlin.inference.hypotheses import check_confidence_level
from fastlin.kernels.machine.threads import run_concurrently
from fastlin.objective.point import Point
from fastlin.objective.rows import sum_target_weights
from fastlin.typing import BoolArray, FloatArray, IntArray

# Bytes of one batch of influences.
INFLUENCE_BATCH_BYTES = 32 << 20
# Accuracy of the fit to a resample, in standard errors.
COEF_TOL = 0.01
# Largest number of attempts to sample rows from all classes.
MAX_RESAMPLING_ATTEMPTS = 1000


class ResampleFit(NamedTuple):
    """The fit to one resample. `coef` has shape (K, d), and `intercept` has shape (K,)."""

    coef: np.ndarray
    intercept: np.ndarray
    certificate: float
    converged: bool


class RefitOptions(NamedTuple):
    """The settings of fits to resamples. At most `max_concurrent_fits` fits run in parallel.

    `fit` takes the weights of the rows and a function that is called in each iteration. It returns a ResampleFit, or
    None if the fit does not exist. `best` is the fit to all rows. `point` is the Point at this fit, or None if the
    Hessian is too large. `free` (d + 1,) is a mask of the columns with coefficients.
    """

    fit: Callable[[FloatArray, Callable[..., Any] | None], ResampleFit | None]
    best: ResampleFit
    point: Point | None
    free: BoolArray
    max_concurrent_fits: int
    # A function that fits resamples in batches, or None if the objective does not support batches. It takes
    # the `Resampler` and the number of resamples, and yields the number and the ResampleFit of each resample,
    # in any order.
    fit_in_batches: Callable[[Resampler, int], Iterator[tuple[int, ResampleFit | None]]] | None = None


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """The coefficients of B bootstrap resamples, returned by the `bootstrap` method of an estimator.

    Arrays of standard errors and intervals have one row per row of `coef_`. Their p columns are the features, followed
    by the intercept if the model has one.

    Attributes
    ----------
    coef, intercept : ndarray of shapes (B, K, d) and (B, K)
        The coefficients and intercepts of each resample. K is 1 for two classes, otherwise the number of classes.
    certificates : ndarray of shape (B,)
        The certificate of each fit, an upper bound on J - J*; inf if there is no bound.
    converged : ndarray of shape (B,), bool
        Whether each fit reached its tol.
    estimate : ndarray of shape (K, p)
        The coefficients and intercepts fitted to all rows, as accurately as those of the resamples.
    acceleration : ndarray of shape (K, p), or None
        The acceleration of the BCa intervals, which is a sixth of the skewness of the influences U of rows or clusters:
        sum U^3 / (6 (sum U^2)^1.5) (Efron 1987, equation 6.6). None if the Hessian of the objective is too large or not
        positive definite.

    References
    ----------
    .. [1] B. Efron (1987). Better Bootstrap Confidence Intervals. JASA 82(397), 171-185.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlin import LogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> resampled = LogisticRegression().fit(X[:, :3], y).bootstrap(X[:, :3], y, n_resamples=100, random_state=0)
    >>> resampled.coef.shape
    (100, 1, 3)
    >>> resampled.conf_int(0.9, method="bca").shape
    (1, 4, 2)
    """

    coef: np.ndarray
    intercept: np.ndarray
    certificates: np.ndarray
    converged: np.ndarray
    estimate: np.ndarray
    acceleration: np.ndarray | None

    @cached_property
    def estimates(self) -> FloatArray:
        """Estimates (B, K, p): the coefficients of each resample, followed by the intercept if there is one."""
        if self.estimate.shape[1] == self.coef.shape[2]:
            return self.coef
        return np.concatenate([self.coef, self.intercept[:, :, None]], axis=2)

    @property
    def std_errors(self) -> FloatArray:
        """Bootstrap standard errors (K, p): standard deviations over the resamples, with divisor B - 1."""
        # The estimates are scaled, because their squares may overflow.
        largest = np.maximum(np.abs(self.estimates).max(axis=0), np.finfo(np.float64).tiny)
        return largest * np.std(self.estimates / largest, axis=0, ddof=1)

    @property
    def bias(self) -> FloatArray:
        """Bootstrap estimate (K, p) of the bias: the mean over the resamples minus `estimate`."""
        return self.estimates.mean(axis=0) - self.estimate

    def conf_int(self, level: float = 0.95, method: Literal["percentile", "bca"] = "percentile") -> FloatArray:
        """Return bootstrap confidence intervals.

        Parameters
        ----------
        level : float, default=0.95
            Confidence level, between 0 and 1.
        method : {"percentile", "bca"}, default="percentile"
            "percentile" uses the quantiles of the estimates. "bca" (bias-corrected and accelerated) also corrects for
            bias and skewness. The bias correction uses the proportion of estimates below `estimate`. A tie counts one
            half, and at least half a resample is counted below and above. Estimates are tied if they differ by at most
            0.02 standard errors, the accuracy of two fits.

        Returns
        -------
        ndarray of shape (K, p, 2)
            The lower and upper limits.

        Raises
        ------
        ValueError
            `level` or `method` is invalid, or `method` is "bca" and `acceleration` is None.
        """
        if method not in ("percentile", "bca"):
            raise ValueError(f'method must be "percentile" or "bca", got {method!r}.')
        tail_probabilities = 0.5 + 0.5 * check_confidence_level(level) * np.array([-1, 1])
        if method == "percentile":
            return np.moveaxis(np.quantile(self.estimates, tail_probabilities, axis=0), 0, -1)
        if self.acceleration is None:
            raise ValueError(
                'method="bca" needs the acceleration, which could not be computed: the Hessian of this objective is '
                'too large or not positive definite. Use method="percentile".'
            )
        from scipy.special import ndtr, ndtri

        n = len(self.estimates)
        differences = self.estimates - self.estimate
        is_tied = np.abs(differences) <= 2 * COEF_TOL * self.std_errors
        n_smaller_estimates = ((differences < 0) & ~is_tied).sum(axis=0) + 0.5 * is_tied.sum(axis=0)
        bias = ndtri(np.clip(n_smaller_estimates, 0.5, n - 0.5) / n)[..., None]
        normal_quantiles = bias + ndtri(tail_probabilities)
        quantile_levels = ndtr(bias + normal_quantiles / (1 - self.acceleration[..., None] * normal_quantiles))
        limits = np.empty(quantile_levels.shape)
        for row, column in np.ndindex(limits.shape[:2]):
            limits[row, column] = np.quantile(self.estimates[:, row, column], quantile_levels[row, column])
        return limits

    def __repr__(self) -> str:
        """Return the number of resamples and the shape of their coefficients."""
        n, K, d = self.coef.shape
        return f"Bootstrap({n} resamples, coefficients of shape ({K}, {d}))"


class Resampler(NamedTuple):
    """Sampling, with replacement, of rows or of clusters with consecutive numbers starting at 0.

    The seed of resample b is (seed, b). `labels` has shape (n,). `weights` has shape (n,), and None means ones.
    `targets` contains soft labels (n, K), or is None.
    """

    seed: int
    labels: IntArray
    weights: FloatArray | None
    targets: FloatArray | None
    clusters: IntArray | None

    def generate_weights(self, number: int) -> Iterator[FloatArray]:
        """Yield row weights (n,) of a resample: the weight of each row times the number of times that it was sampled.

        The caller uses the first weights for which the fit exists.

        Raises
        ------
        ValueError
            In too many samples, a class is missing or the fit does not exist.
        """
        random = np.random.default_rng((self.seed, number))
        n_drawn_units = len(self.labels) if self.clusters is None else int(self.clusters.max()) + 1
        n_classes = int(self.labels.max()) + 1
        for _ in range(MAX_RESAMPLING_ATTEMPTS):
            counts = np.bincount(random.integers(n_drawn_units, size=n_drawn_units), minlength=n_drawn_units)
            resample_weights = (counts if self.clusters is None else counts[self.clusters]).astype(np.float64)
            if self.weights is not None:
                resample_weights *= self.weights
            if self.targets is None:
                class_weight_totals = np.bincount(self.labels, resample_weights, n_classes)
            else:
                class_weight_totals = sum_target_weights(self.targets, resample_weights)
            if (class_weight_totals > 0).all():
                yield resample_weights
        what = "rows" if self.clusters is None else "clusters"
        raise ValueError(
            f"None of {MAX_RESAMPLING_ATTEMPTS:,} resamples of the {n_drawn_units} {what} has a positive weight "
            f"in each of the {n_classes} classes and a finite fit: some class or category has too few {what} for a "
            "bootstrap. Merge or remove it."
        )


def fit_resamples(refits: RefitOptions, resampler: Resampler, n_resamples: int) -> Iterator[tuple[int, ResampleFit]]:
    """Yield the number and the fit of each resample. Fits run in parallel if `refits` permits it."""

    def fit_resample(number, check=None):
        fits = (refits.fit(weights, check) for weights in resampler.generate_weights(number))
        return next(fit for fit in fits if fit is not None)

    if refits.fit_in_batches is not None:
        for number, fit in refits.fit_in_batches(resampler, n_resamples):
            yield number, fit_resample(number) if fit is None else fit
    else:
        yield from enumerate(run_concurrently(fit_resample, n_resamples, refits.max_concurrent_fits))


def choose_refit_tol(tol: float, value: float, n_rows: int) -> float:
    """Return the relative suboptimality, at most tol, that ensures an accuracy of COEF_TOL standard errors."""
    return min(tol, 0.5 * COEF_TOL**2 / (n_rows * value)) if value > 0 else tol


def collect_fits(
    fits: Iterator[tuple[int, ResampleFit]], n_resamples: int, refits: RefitOptions, clusters: IntArray | None
) -> Bootstrap:
    """Return the Bootstrap for fits to resamples.

    `clusters` (n,) contains the cluster numbers of the rows, or is None.
    """
    best, has_intercept = refits.best, bool(refits.free[-1])
    K, d = best.coef.shape
    coef, intercept = np.empty((n_resamples, K, d)), np.empty((n_resamples, K))
    certificates, converged = np.empty(n_resamples), np.empty(n_resamples, bool)
    for b, fit in fits:
        coef[b], intercept[b], certificates[b], converged[b] = fit
    estimate = best.coef.astype(np.float64)
    if has_intercept:
        estimate = np.column_stack([estimate, best.intercept])
    acceleration = None if refits.point is None else find_acceleration(refits.point, refits.free, clusters)
    if acceleration is not None and not has_intercept:
        acceleration = acceleration[:, :-1]
    return Bootstrap(coef, intercept, certificates, converged, estimate, acceleration)


def find_acceleration(point: Point, free: BoolArray, clusters: IntArray | None) -> FloatArray | None:
    """Return the acceleration (K, d + 1) of each coefficient, or None if the Hessian is not positive definite.

    The acceleration is sum U^3 / (6 (sum U^2)^1.5), where U are the influences of the rows, or their sums over
    clusters. It is zero for coefficients without influence.
    """
    rows, (K, size) = point.objective.rows, point.objective.shape
    residuals = find_residuals(rows.passes, point.probabilities.astype(np.float64))
    n = residuals.shape[1]
    residuals *= rows.get_weights(rows.row_indices)
    is_movable_parameter = _find_movable_coefficients(point, free)
    inverse_rows, movable_parameter_indices = (
        _compute_inverse_rows(point, is_movable_parameter),
        np.flatnonzero(is_movable_parameter),
    )
    if inverse_rows is None:
        return None
    accelerations = np.zeros(K * size)
    batch_size = max(1, INFLUENCE_BATCH_BYTES // (8 * K * n))
    for first in range(0, len(movable_parameter_indices), batch_size):
        directions = inverse_rows[first : first + batch_size].reshape(-1, size)
        # Each block is read once per batch.
        scores = np.concatenate([part.compute_scores(directions) for part in rows.passes.split(n)]).reshape(n, -1, K)
        influences = np.einsum("imk,ki->mi", scores, residuals)
        if clusters is not None:
            influences = np.array([np.bincount(clusters, influence) for influence in influences])
        accelerations[movable_parameter_indices[first : first + batch_size]] = _compute_acceleration(influences)
    return accelerations.reshape(K, size)


def _compute_acceleration(influences):
    """Return the acceleration (m,) of each coefficient. `influences` (m, n) belong to n rows or clusters."""
    influences = influences - influences.mean(axis=1, keepdims=True)
    influences /= np.maximum(np.abs(influences).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    squared_influences = influences * influences
    # The sign is negative, because a larger weight of a row decreases its loss. The largest square is 1, unless all are
    # zero.
    return -np.einsum("mi,mi->m", squared_influences, influences) / (
        6 * np.maximum(squared_influences.sum(axis=1), 1) ** 1.5
    )


def _find_movable_coefficients(point, free):
    """Return a mask (K, d + 1) of the coefficients and intercepts that depend on the weights of the rows."""
    objective = point.objective
    is_movable_parameter = np.tile(free & find_active_columns(objective), (objective.shape[0], 1))
    if not objective.penalty.is_smooth:
        is_movable_parameter &= (point.parameters != 0) | (objective.penalty.thresholds == 0)
    box = objective.penalty.box
    if box is not None:
        is_movable_parameter &= box.is_free(point.parameters)
    return is_movable_parameter


def _compute_inverse_rows(point, is_movable_parameter):
    """Return the rows of T H^-1 for movable coefficients, or None if H is not positive definite.

    T undoes only shifts.
    """
    information_matrix = InformationMatrix(point, is_movable_parameter)
    if information_matrix.factor.dependent_column is not None:
        return None
    inverse_rows = information_matrix.inverse.reshape(*is_movable_parameter.shape, -1)
    inverse_rows[:, -1] += np.einsum("j,kjm->km", point.objective.coordinates.shift, inverse_rows[:, :-1])
    if len(is_movable_parameter) > 1:
        # The intercepts sum to zero over the classes.
        inverse_rows[:, -1] -= inverse_rows[:, -1].mean(axis=0)
    return inverse_rows[is_movable_parameter]
