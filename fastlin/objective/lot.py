"""Many logistic objectives over the same rows: they differ in labels, weights of the rows and strength of the penalty.

For each of B problems J is that of objective.py with two classes and an L2 penalty on every coefficient. A `Lot` holds
some of them, and evaluates and certifies them side by side: one pass over X serves all of its problems. What a problem
computes does not depend on the others of its lot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from fastlin.kernels.linear.operands import NO_ROWS, Samples
from fastlin.objective.rounding import ROW_ROUNDINGS, gamma
from fastlin.typing import FloatArray, FloatType, IntArray

if TYPE_CHECKING:
    from fastlin.matrices import Matrix
    from fastlin.objective.coordinates import Coordinates

# The fewest and the most problems of a lot. Between them its coefficients are LOT_NUMBERS at most, and its labels and
# weights take LOT_BYTES.
LEAST_TOGETHER, MOST_TOGETHER, LOT_NUMBERS, LOT_BYTES = 8, 128, 1 << 15, 1 << 26


def count_together(n_rows: int, n_features: int) -> int:
    """Return how many problems make a lot: their coefficients, labels and weights stay in memory near the processor."""
    by_columns, by_rows = LOT_NUMBERS // max(1, n_features), LOT_BYTES // (9 * max(1, n_rows))
    return max(LEAST_TOGETHER, min(by_columns, by_rows, MOST_TOGETHER) // LEAST_TOGETHER * LEAST_TOGETHER)


class Problem(NamedTuple):
    """The logistic loss of two classes, each with some weight, and an L2 penalty."""

    labels: np.ndarray  # (n,), 0 or 1
    l2: float  # above zero
    weights: np.ndarray | None = None  # (n,), at least zero; None for ones. Problems of one lot have them or not.
    start: np.ndarray | None = None  # (d + 1,) parameters; None for the best intercept without features


class Points(NamedTuple):
    """J of some problems of a lot, each at a point of its own; m is d + 1."""

    loss: np.ndarray  # (B,), the mean losses
    curvature: np.ndarray  # (B,), of the mean losses by the intercept
    value: np.ndarray  # (B,), J
    of_loss: np.ndarray  # (B, m), the gradients of the losses
    gradient: np.ndarray  # (B, m), those of J


class SharedRows:
    """What the problems share: rows, coordinates, and penalty factors above zero (d,); `n_together` make a lot."""

    def __init__(
        self,
        matrix: Matrix,
        coordinates: Coordinates,
        factors: FloatArray,
        fit_intercept: bool,
        n_together: int | None = None,
    ) -> None:
        n, d = matrix.shape
        self.matrix, self.coordinates, self.fit_intercept = matrix, coordinates, fit_intercept
        self.n_together, self.n_rows, self.size = n_together or count_together(n, d), n, d + 1
        samples = Samples(NO_ROWS, np.zeros(n, np.int32), np.empty(0))
        self.passes = matrix.passes(samples, coordinates.scaling, self.n_together)
        # The curvature of the penalty by each parameter where l2 is one.
        self.units = np.append(factors * coordinates.scale**2, 0.0)
        # A column blurs a score by its largest entry at most, whatever the weights of the rows are.
        largest = coordinates.mean_squares[:-1] * np.maximum(coordinates.peaks, 1.0)
        self.largest_squares = largest
        blur = np.sqrt(largest) + self.passes.shift_roundings * np.abs(coordinates.shift)
        self.blur = np.append(blur, 1.0)
        blur[coordinates.vanishing] = 0
        roots = coordinates.scale * np.sqrt(factors)
        self.blur_norm = float(np.sqrt(np.sum((blur / roots) ** 2)))

    def gram(self, row_weights: FloatArray, precision: FloatType) -> FloatArray:
        """Return sum_i w_i [x~_i, 1] [x~_i, 1]', (m, m), for row_weights w (n,); `Coordinates.clear` sets its zeros."""
        gram = self.passes.gram(NO_ROWS, row_weights[None], precision)[0]
        for sums in (gram, gram.T):
            self.coordinates.clear(sums, self.fit_intercept)
        return gram

    def finish(
        self, parameters: FloatArray, gradient: FloatArray, l2: float, dtype: DTypeLike
    ) -> tuple[FloatArray, FloatArray, float]:
        """Return coef (1, d), intercept (1,) and J's largest rise as in `Objective.finish`, or infinity."""
        mean_square = float(self.largest_squares.sum() + 1)
        given = parameters[None], gradient[None], l2 * self.units, mean_square, dtype
        coef, intercept, _, is_finite, rise = self.coordinates.round_off(*given)
        return coef, intercept, rise if is_finite else np.inf


class Lot:
    """Problems side by side, each in a place of its own; another one may take the place of one that has ended."""

    def __init__(self, rows: SharedRows, n_places: int, is_weighted: bool) -> None:
        self.rows = rows
        self._labels = np.empty((n_places, rows.n_rows), np.uint8)
        self._weights = np.empty((n_places if is_weighted else 0, rows.n_rows))
        self.total_weights, self.shares, self.smallest_weights, self._l2 = np.ones((4, n_places))

    def __len__(self) -> int:
        """Return the number of places."""
        return len(self._labels)

    def take(self, place: int, problem: Problem) -> FloatArray:
        """Put a problem into a place, and return the parameters (m,) that it starts from."""
        labels, l2, weights, start = problem
        self._labels[place], self._l2[place] = labels, l2
        total, smallest = float(len(labels)), 1.0
        if weights is None:
            share = np.count_nonzero(labels) / total
        else:
            self._weights[place] = weights
            total, smallest = float(weights.sum()), float(np.where(weights > 0, weights, np.inf).min())
            share = float((weights * labels).sum()) / total
        self.total_weights[place], self.shares[place], self.smallest_weights[place] = total, share, smallest
        if start is not None:
            return start
        parameters = np.zeros(self.rows.size)
        if self.rows.fit_intercept:
            parameters[-1] = np.log(share) - np.log1p(-share)
        return parameters

    def keep(self, places: IntArray) -> None:
        """Give up all places but some."""
        for name in ("_labels", "total_weights", "shares", "smallest_weights", "_l2"):
            setattr(self, name, getattr(self, name)[places])
        self._weights = self._weights[places] if len(self._weights) else self._weights

    @property
    def curvatures(self) -> FloatArray:
        """The curvature of the penalty by each parameter, (B, m)."""
        return self._l2[:, None] * self.rows.units

    @property
    def without_features(self) -> FloatArray:
        """J of the best intercepts alone, (B,); without an intercept that of zeros."""
        if not self.rows.fit_intercept:
            return np.full(len(self), np.log(2))
        return -(self.shares * np.log(self.shares) + (1 - self.shares) * np.log1p(-self.shares))

    def evaluate(self, parameters: FloatArray) -> Points:
        """Return the Points at parameters (B, m): one pass over X."""
        of_loss = np.empty(parameters.shape)
        sums = self.rows.passes.evaluate_lot(parameters, self._labels, self._weights, of_loss)
        self.rows.coordinates.clear(of_loss, self.rows.fit_intercept)
        of_loss /= self.total_weights[:, None]
        loss, curvature = sums / self.total_weights
        bent = self.curvatures * parameters
        value = loss + 0.5 * np.einsum("bj,bj->b", bent, parameters)
        return Points(loss, curvature, value, of_loss, of_loss + bent)

    def certify(self, parameters: FloatArray, points: Points) -> FloatArray:
        """Return an upper bound (B,) on J - J* at the points (docs/derivations.md, section 10).

        The gradient gives it where the intercept is stationary. How far the intercept is from there follows from its
        slope and its curvature, which changes by no more than a factor of e for each unit of the intercept.
        """
        rows, passes, slopes = self.rows, self.rows.passes, points.gradient[:, :-1]
        curvatures = self._l2[:, None] * rows.units[:-1]
        size = np.sqrt(np.einsum("bj,bj->b", slopes, slopes / curvatures))
        # What rounding did, as in objective/rounding.py.
        longest_product, longest_sum = passes.lot_roundings
        score = gamma(longest_product) * np.einsum("bj,j->b", np.abs(parameters), rows.blur)
        sums = gamma(longest_sum + longest_product + ROW_ROUNDINGS + 1)
        missed = -np.expm1(-points.loss)
        largest = -np.expm1(-points.loss * self.total_weights / self.smallest_weights)
        residual = np.sqrt(missed * largest)
        of_gradient = np.minimum(0.25, largest) * score + score**2 + residual * sums
        of_sums = 2 * residual * score + score**2 + 2 * missed * sums
        of_penalty = gamma(rows.size + 4) * (np.sqrt(2 * (points.value - points.loss)) + size)
        size += of_gradient * rows.blur_norm / np.sqrt(self._l2) + of_penalty
        if not rows.fit_intercept:
            return 0.5 * size**2
        slope, of_curvature = np.abs(points.of_loss[:, -1]) + of_sums, 2 * sums * points.curvature + of_sums
        least, most = points.curvature - of_curvature, points.curvature + of_curvature
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            way = -np.log1p(-slope / least)
            moved = way * most * np.exp(way) * np.sqrt(np.sum(rows.largest_squares / curvatures, axis=1))
            bound = slope * way + 0.5 * (size + moved) ** 2
        return np.where((slope < least) & (bound == bound), bound, np.inf)

    def natural_gaps(self, points: Points) -> FloatArray:
        """Return what bounds J - J*, (B,), as soon as the intercepts are stationary."""
        slopes = points.gradient[:, :-1]
        return 0.5 * np.einsum("bj,bj->b", slopes, slopes / (self._l2[:, None] * self.rows.units[:-1]))
