"""The bootstrap: coefficients of resamples of the rows, and the standard errors and intervals that follow from them.

The fit of a resample has the number of times that each row was drawn as its weight, so no rows are copied. Each has a
seed of its own, so neither the number of threads nor the number of resamples changes it.

The acceleration of intervals follows from the influence of each row, or how the coefficients move with its weight
(Hampel 1974). At the minimum of J with weights w of the rows, the derivative of the coefficients by w_i, when all other
rows give up that weight alike, is the infinitesimal jackknife's::

    U_i = -H^-1 (s_i r_i (x) x~_i - mean of these over the rows) / S

H is the Hessian of J with its penalty, r_i the probabilities of the row less its label. Coefficients that a penalty by
their size holds at zero, or that lie at a bound, do not move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from fastlin.inference.covariances import find_residuals
from fastlin.inference.hessian import Information, find_parts
from fastlin.inference.hypotheses import check_level
from fastlin.kernels.machine.threads import run_side_by_side
from fastlin.objective.point import Point
from fastlin.objective.rows import weigh_targets
from fastlin.typing import BoolArray, FloatArray, IntArray

# Bytes of the influences that are held together.
INFLUENCE_BYTES = 32 << 20
# A fit of a resample is asked to lie within this part of a standard error from its minimum.
PART_OF_ERROR = 0.01
# How often a resample without a row of some class is drawn again at most.
MAX_DRAWS = 1000


class Resampled(NamedTuple):
    """The fit of one resample: coef (K, d), intercept (K,), its certificate, and whether it converged."""

    coef: np.ndarray
    intercept: np.ndarray
    certificate: float
    converged: bool


class Refits(NamedTuple):
    """What a bootstrap fits, of which max_at_once may run at once.

    fit takes the weights of the rows and a function to call in each iteration, and returns a Resampled, or None. best
    is the fit of all rows, and point the objective there; None if the budget has no Hessian. free (d + 1,) says which
    columns have coefficients.
    """

    fit: Callable[[FloatArray, Callable[..., Any] | None], Resampled | None]
    best: Resampled
    point: Point | None
    free: BoolArray
    max_at_once: int
    # Yields the number of each of some resamples and its Resampled, in any order, from the Draws and their number, all
    # side by side. None where the objective does not allow it.
    fit_in_batches: Callable[[Draws, int], Iterator[tuple[int, Resampled | None]]] | None = None


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """The coefficients of B resamples of the rows; `bootstrap` of an estimator makes it.

    Arrays of errors and intervals have a row for each row of `coef_`, and a column for each feature and, last, one for
    the intercept, if the model has one.

    Attributes
    ----------
    coef, intercept : ndarray of shapes (B, K, d) and (B, K)
        The coefficients and intercepts of each resample. K is 1 for two classes, else the number of classes.
    certificates : ndarray of shape (B,)
        For each fit the upper bound on J - J* that it has proven; inf where none is known.
    converged : ndarray of shape (B,), bool
        Whether each fit reached its tol.
    estimate : ndarray of shape (K, p)
        The coefficients and intercepts of all rows, found to the same accuracy.
    acceleration : ndarray of shape (K, p), or None
        By how much the skewness of the influence of the rows, or clusters, moves the BCa intervals: a sixth of the
        sum of its cubes over the sum of its squares to the power of 1.5 (Efron 1987, equation 6.6). None where the
        Hessian of the objective is too large, or not definite.

    References
    ----------
    .. [1] B. Efron (1987). Better Bootstrap Confidence Intervals. JASA 82(397), 171-185.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlin import LogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> found = LogisticRegression().fit(X[:, :3], y).bootstrap(X[:, :3], y, n_resamples=100, random_state=0)
    >>> found.coef.shape
    (100, 1, 3)
    >>> found.conf_int(0.9, method="bca").shape
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
        """The coefficients and, last, the intercept of each resample, if there is one: (B, K, p)."""
        if self.estimate.shape[1] == self.coef.shape[2]:
            return self.coef
        return np.concatenate([self.coef, self.intercept[:, :, None]], axis=2)

    @property
    def std_errors(self) -> FloatArray:
        """The standard deviations of the estimates over the resamples, divided by B - 1: (K, p)."""
        # The squares of estimates may overflow.
        largest = np.maximum(np.abs(self.estimates).max(axis=0), np.finfo(np.float64).tiny)
        return largest * np.std(self.estimates / largest, axis=0, ddof=1)

    @property
    def bias(self) -> FloatArray:
        """The mean of the estimates over the resamples less the estimate of all rows: (K, p)."""
        return self.estimates.mean(axis=0) - self.estimate

    def conf_int(self, level: float = 0.95, method: Literal["percentile", "bca"] = "percentile") -> FloatArray:
        """Return the ends of intervals.

        Parameters
        ----------
        level : float, default=0.95
            The part of all samples whose interval is to hold the true coefficient, between 0 and 1.
        method : {"percentile", "bca"}, default="percentile"
            "percentile" takes the quantiles of the estimates themselves. "bca" corrects them for bias and
            acceleration; its bias is the proportion of estimates below the estimate of all rows, where equal ones
            count half, and at least half of one resample lies on either side. Estimates within 0.02 standard errors,
            the accuracy of two fits, are equal.

        Returns
        -------
        ndarray of shape (K, p, 2)
            The lower and the upper end.

        Raises
        ------
        ValueError
            The level is not between 0 and 1, the method is another one, or "bca" has no acceleration.
        """
        if method not in ("percentile", "bca"):
            raise ValueError(f'method must be "percentile" or "bca", got {method!r}')
        tails = 0.5 + 0.5 * check_level(level) * np.array([-1, 1])
        if method == "percentile":
            return np.moveaxis(np.quantile(self.estimates, tails, axis=0), 0, -1)
        if self.acceleration is None:
            raise ValueError(
                'method="bca" needs the acceleration, for which the Hessian of this objective is too large or not '
                'definite; use method="percentile".'
            )
        from scipy.special import ndtr, ndtri

        n = len(self.estimates)
        differences = self.estimates - self.estimate
        is_equal = np.abs(differences) <= 2 * PART_OF_ERROR * self.std_errors
        below = ((differences < 0) & ~is_equal).sum(axis=0) + 0.5 * is_equal.sum(axis=0)
        bias = ndtri(np.clip(below, 0.5, n - 0.5) / n)[..., None]
        moved = bias + ndtri(tails)
        positions = ndtr(bias + moved / (1 - self.acceleration[..., None] * moved))
        ends = np.empty(positions.shape)
        for row, column in np.ndindex(ends.shape[:2]):
            ends[row, column] = np.quantile(self.estimates[:, row, column], positions[row, column])
        return ends

    def __repr__(self) -> str:
        """Return how many resamples there are, and the shape of their coefficients."""
        n, K, d = self.coef.shape
        return f"Bootstrap({n} resamples, coefficients of shape ({K}, {d}))"


class Draws(NamedTuple):
    """The numbers of times that each row stands in the resamples.

    NumPy's generator with the seed (seed, b) draws resample b from rows, or from clusters numbered from 0 without gaps,
    with labels (n,), weights (n,) or ones, and soft labels (n, K) or none.
    """

    seed: int
    labels: IntArray
    weights: FloatArray | None
    targets: FloatArray | None
    clusters: IntArray | None

    def draw(self, number: int) -> Iterator[FloatArray]:
        """Yield the weights of the rows in a resample, (n,): their own ones times how often they were drawn.

        The first ones serve, unless the fit of their rows does not exist.

        Raises
        ------
        ValueError
            No resample has rows of each class, or none a fit.
        """
        random = np.random.default_rng((self.seed, number))
        n_drawn = len(self.labels) if self.clusters is None else int(self.clusters.max()) + 1
        n_classes = int(self.labels.max()) + 1
        for _ in range(MAX_DRAWS):
            counts = np.bincount(random.integers(n_drawn, size=n_drawn), minlength=n_drawn)
            drawn = (counts if self.clusters is None else counts[self.clusters]).astype(np.float64)
            if self.weights is not None:
                drawn *= self.weights
            if self.targets is None:
                by_class = np.bincount(self.labels, drawn, n_classes)
            else:
                by_class = weigh_targets(self.targets, drawn)
            if (by_class > 0).all():
                yield drawn
        what = "rows" if self.clusters is None else "clusters"
        raise ValueError(
            f"None of {MAX_DRAWS:,} resamples of the {n_drawn} {what} has each of the {n_classes} classes "
            "with a weight above zero, and a fit; some class or level has too few of them for a bootstrap."
        )


def resample(refits: Refits, draws: Draws, n_resamples: int) -> Iterator[tuple[int, Resampled]]:
    """Yield the number and the fit of each resample, side by side if more than one may run at once."""

    def fit_one(number, check=None):
        found = (refits.fit(weights, check) for weights in draws.draw(number))
        return next(each for each in found if each is not None)

    if refits.fit_in_batches is not None:
        for number, found in refits.fit_in_batches(draws, n_resamples):
            yield number, fit_one(number) if found is None else found
    else:
        yield from enumerate(run_side_by_side(fit_one, n_resamples, refits.max_at_once))


def choose_tol(tol: float, value: float, n_rows: int) -> float:
    """Return the relative excess of J, a value of it, at which no coefficient is PART_OF_ERROR of its error away."""
    return min(tol, 0.5 * PART_OF_ERROR**2 / (n_rows * value)) if value > 0 else tol


def collect(
    resampled: Iterator[tuple[int, Resampled]], n_resamples: int, refits: Refits, clusters: IntArray | None
) -> Bootstrap:
    """Return the Bootstrap of fits of resamples, of whole clusters where their numbers (n,) are given."""
    best, has_intercept = refits.best, bool(refits.free[-1])
    K, d = best.coef.shape
    coef, intercept = np.empty((n_resamples, K, d)), np.empty((n_resamples, K))
    certificates, converged = np.empty(n_resamples), np.empty(n_resamples, bool)
    for b, each in resampled:
        coef[b], intercept[b], certificates[b], converged[b] = each
    estimate = best.coef.astype(np.float64)
    if has_intercept:
        estimate = np.column_stack([estimate, best.intercept])
    acceleration = None if refits.point is None else find_acceleration(refits.point, refits.free, clusters)
    if acceleration is not None and not has_intercept:
        acceleration = acceleration[:, :-1]
    return Bootstrap(coef, intercept, certificates, converged, estimate, acceleration)


def find_acceleration(point: Point, free: BoolArray, clusters: IntArray | None) -> FloatArray | None:
    """Return a sixth of the sum of U^3 over the sum of U^2 to the power of 1.5 for each coefficient, (K, d + 1).

    U are the influences of rows, or their sums over clusters, numbered from 0; coefficients that nothing moves get
    zero. None: the Hessian is not definite.
    """
    rows, (K, size) = point.objective.rows, point.objective.shape
    residuals = find_residuals(rows.passes, point.probabilities.astype(np.float64))
    n = residuals.shape[1]
    residuals *= rows.weights_of(rows.numbers)
    moves = _find_moving(point, free)
    solved, moving = _solve_for_coefficients(point, moves), np.flatnonzero(moves)
    if solved is None:
        return None
    accelerations = np.zeros(K * size)
    together = max(1, INFLUENCE_BYTES // (8 * K * n))
    for first in range(0, len(moving), together):
        directions = solved[first : first + together].reshape(-1, size)
        # Blocks are read once.
        scores = np.concatenate([part.compute_scores(directions) for part in rows.passes.split(n)]).reshape(n, -1, K)
        influences = np.einsum("imk,ki->mi", scores, residuals)
        if clusters is not None:
            influences = np.array([np.bincount(clusters, influence) for influence in influences])
        accelerations[moving[first : first + together]] = _accelerate(influences)
    return accelerations.reshape(K, size)


def _accelerate(influences):
    """Return the acceleration of each coefficient, (m,), from the influences of rows or clusters, (m, n)."""
    influences = influences - influences.mean(axis=1, keepdims=True)
    influences /= np.maximum(np.abs(influences).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    squares = influences * influences
    # A larger weight of a row lowers its loss, hence the sign. Only where all are zero are squares below one.
    return -np.einsum("mi,mi->m", squares, influences) / (6 * np.maximum(squares.sum(axis=1), 1) ** 1.5)


def _find_moving(point, free):
    """Return which coefficients and intercepts a change of the weights moves, (K, d + 1)."""
    objective = point.objective
    moves = np.tile(free & find_parts(objective), (objective.shape[0], 1))
    if not objective.penalty.is_smooth:
        moves &= (point.parameters != 0) | (objective.penalty.thresholds == 0)
    box = objective.penalty.box
    if box is not None:
        moves &= box.is_free(point.parameters)
    return moves


def _solve_for_coefficients(point, moves):
    """Return the rows of T H^-1 for coefficients that move, T unscaled; None where H is not definite."""
    information = Information(point, moves)
    if information.factor.first_dependent is not None:
        return None
    solved = information.inverse.reshape(*moves.shape, -1)
    solved[:, -1] += np.einsum("j,kjm->km", point.objective.coordinates.shift, solved[:, :-1])
    if len(moves) > 1:
        # Intercepts sum to zero whatever the coefficients do.
        solved[:, -1] -= solved[:, -1].mean(axis=0)
    return solved[moves]
