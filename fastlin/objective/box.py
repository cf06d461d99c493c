"""Lower and upper bounds of the coefficients, and their part of the dual; scales are powers of two, so exact."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from fastlin.typing import BoolArray, FloatArray

if TYPE_CHECKING:
    from fastlin.objective.penalty import Penalty


@dataclass(frozen=True, eq=False)
class Box:
    """The bounds of each coefficient, some of them finite."""

    lower: np.ndarray  # (K, d), of the coefficients; infinite where there is no bound
    upper: np.ndarray
    least: np.ndarray  # (K, d + 1), of the parameters; the intercept has no bounds
    most: np.ndarray

    @classmethod
    def of(cls, lower: FloatArray, upper: FloatArray, scale: FloatArray) -> Self:
        """Return the bounds (K, d) in the coordinates of a scale (d,)."""
        shape = len(lower), len(scale) + 1
        least, most = np.full(shape, -np.inf), np.full(shape, np.inf)
        # A bound that leaves the range of float64 stays one.
        largest = np.finfo(np.float64).max
        for bounds, scaled in ((lower, least), (upper, most)):
            with np.errstate(over="ignore"):
                divided = np.clip(bounds / scale, -largest, largest)
            scaled[:, :-1] = np.where(np.isfinite(bounds), divided, bounds)
        return cls(lower, upper, least, most)

    @cached_property
    def is_closed(self) -> BoolArray:
        """Whether each coefficient has both bounds, (K, d)."""
        return np.isfinite(self.lower) & np.isfinite(self.upper)

    @cached_property
    def is_bounded(self) -> BoolArray:
        """Whether a feature has a bound in some class, (d,)."""
        return (np.isfinite(self.lower) | np.isfinite(self.upper)).any(axis=0)

    @cached_property
    def allows_zero(self) -> bool:
        """Whether all coefficients may be zero."""
        return bool(((self.lower <= 0) & (self.upper >= 0)).all())

    @cached_property
    def is_cone(self) -> bool:
        """Whether coefficients within the bounds stay so when they are multiplied by any number above zero."""
        return all(bool((np.isinf(bounds) | (bounds == 0)).all()) for bounds in (self.lower, self.upper))

    @cached_property
    def smallest(self) -> FloatArray:
        """The parameters (K, d) next to zero."""
        return self.clip(np.zeros(self.least.shape))[:, :-1]

    def clip(self, parameters: FloatArray) -> FloatArray:
        """Return the parameters (K, d + 1) within the bounds that are next to the given ones."""
        return np.minimum(np.maximum(parameters, self.least), self.most)

    def is_free(self, parameters: FloatArray) -> BoolArray:
        """Say which parameters (K, d + 1) lie between their bounds and not at one."""
        return (self.least < parameters) & (parameters < self.most)

    def round(self, coef: FloatArray, parameters: FloatArray) -> FloatArray:
        """Return coef (K, d), rounded to their type from parameters (K, d + 1), within the bounds or next to them."""
        kind = coef.dtype.type
        # Bounds beyond the range of float32 are infinite there.
        with np.errstate(over="ignore"):
            lower, upper = self.lower.astype(kind), self.upper.astype(kind)
        nearest = lower
        # Rounded towards the inside.
        lower = np.where(lower < self.lower, np.nextafter(lower, kind(np.inf)), lower)
        upper = np.where(upper > self.upper, np.nextafter(upper, kind(-np.inf)), upper)
        coef = np.where(parameters[:, :-1] <= self.least[:, :-1], lower, coef)
        coef = np.where(parameters[:, :-1] >= self.most[:, :-1], upper, coef)
        coef = np.minimum(np.maximum(coef, lower), upper)
        return np.where(lower > upper, nearest, coef).astype(kind)

    def measure_subgradient(
        self, parameters: FloatArray, slopes: FloatArray, thresholds: FloatArray, scale: FloatArray
    ) -> float:
        """Return the largest entry of the smallest subgradient by the coefficients.

        slopes (K, d) are the derivatives of the smooth part by the columns as given, times the scale (d,). thresholds
        (d,) belong to the penalty by size.
        """
        values, least, most = parameters[:, :-1], self.least[:, :-1], self.most[:, :-1]
        from_left = slopes + np.where(values > 0, thresholds, -thresholds)
        from_right = slopes + np.where(values < 0, -thresholds, thresholds)
        rising = np.where(values > least, from_left, 0)
        falling = np.where(values < most, -from_right, 0)
        return float((np.maximum(np.maximum(rising, falling), 0) / scale).max(initial=0.0))


class BoxDual:
    """The dual objective as a function of the step from the labels to a dual point; infinite beyond the step `limit`.

    A term of the conjugate is largest at shrink(slope, threshold) / curvature, clipped; without curvature at a bound,
    or the number next to zero.
    """

    def __init__(self, penalty: Penalty, parameters: FloatArray, slopes: FloatArray) -> None:
        assert penalty.box is not None
        self._box, self._u, self._parameters = penalty.box, -slopes, parameters[:, :-1]
        self._thresholds, self._roots = penalty.thresholds[:-1], penalty.arrays.roots
        self._has_root = self._roots > 0
        # A gradient is rounded as a part of the slope of the quadratic penalty, from which it is told apart.
        self._curved = penalty.curvatures[:-1] * np.abs(self._parameters)
        least, most = penalty.box.least[:, :-1], penalty.box.most[:, :-1]
        self._side = np.where(self._u > 0, most, least)
        # Where this side has neither a bound nor a quadratic penalty, the threshold is a limit.
        is_open = ~self._has_root & np.isinf(self._side) & (self._u != 0)
        self._side = np.where(np.isinf(self._side), penalty.box.smallest, self._side)
        limits = np.divide(self._thresholds, np.abs(self._u), out=np.full_like(self._u, np.inf), where=is_open)
        self.limit = float(min(1.0, limits.min(initial=1.0)))

    def conjugate(self, step: float) -> list[float]:
        """Return the conjugate, its first two derivatives by the step, and the sum of the magnitudes of its terms."""
        u, thresholds, roots = self._u, self._thresholds, self._roots
        excess = np.maximum(step * np.abs(u) - thresholds, 0)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            # Roots first: squares of roots leave the range of float64 where columns reach 1e150.
            unbounded = np.where(self._has_root, np.sign(u) * (excess / roots / roots), 0)
            bends = np.where(self._has_root, np.square(u / roots), 0)
        inside = self._box.clip(np.column_stack([unbounded, np.zeros(len(u))]))[:, :-1]
        least = np.where(self._has_root, inside, np.where(excess > 0, self._side, self._box.smallest))
        products, squares = step * u * least, 0.5 * np.square(roots * least)
        sizes = thresholds * np.abs(least)
        is_moving = (excess > 0) & (inside == unbounded)
        return [
            float(np.sum(products - sizes - squares)),
            float(np.sum(u * least)),
            float(np.sum(np.where(is_moving, bends, 0))),
            float(np.sum(np.abs(products) + sizes + squares + self._curved * np.abs(least))),
        ]

    def measure_reach(self, step: float) -> FloatArray:
        """Return (d,): the norm over the classes of the distance from the parameters to a maximum of the conjugate."""
        values, smallest = self._parameters, self._box.smallest
        near, far = np.abs(values - smallest), np.abs(values - self._side)
        both = np.maximum(np.abs(values - self._box.least[:, :-1]), np.abs(values - self._box.most[:, :-1]))
        is_inside = step * np.abs(self._u) <= self._thresholds
        reach = np.where(self._thresholds > 0, np.where(is_inside, near, np.maximum(near, far)), both)
        return np.where(self._has_root, 0.0, np.sqrt(np.sum(np.square(reach), axis=0)))
