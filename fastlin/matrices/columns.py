"""The columns of X: their statistics, from one pass, and X column by column."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np

from fastlin.typing import FloatArray

# A spread that is a smaller part of the mean than this is rounding.
CONSTANT = 8 * np.finfo(np.float64).eps

# Mean, variance, smallest and largest entry of each column, (d,).
Moments: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class Columns:
    """Statistics of the columns of X, weighted by s: arrays of shape (d,), float64.

    Attributes
    ----------
    mean : ndarray of shape (d,)
        The weighted means.
    spread : ndarray of shape (d,)
        The weighted standard deviations.
    root_mean_square : ndarray of shape (d,)
        The roots of the weighted means of squares.
    largest : ndarray of shape (d,)
        The largest magnitudes over all rows, whatever their weights.
    farthest : ndarray of shape (d,)
        The largest distances of an entry from the mean, over all rows.
    finite : bool
        Whether X holds finite numbers only.
    """

    mean: np.ndarray
    spread: np.ndarray
    root_mean_square: np.ndarray
    largest: np.ndarray
    farthest: np.ndarray
    finite: bool

    def choose_coordinates(self) -> tuple[FloatArray, FloatArray]:
        """Return scale and shift (d,) for which x scale + shift has a spread near one and a mean of zero.

        The scale is a power of two, so that it rounds nothing.
        """
        exponents = -np.log2(self.spread, where=self.spread > 0, out=np.zeros_like(self.spread))
        scale = 2.0 ** np.clip(np.round(exponents), -1000, 1000)
        return scale, -self.mean * scale

    @classmethod
    def from_moments(cls, mean: FloatArray, variance: FloatArray, smallest: FloatArray, largest: FloatArray) -> Self:
        """Return the Columns of the mean, variance, smallest and largest entry of each, arrays (d,), float64."""
        with np.errstate(over="ignore", invalid="ignore"):
            spread = np.sqrt(variance)
            # Squares of numbers beyond 1e+-150 leave the range of float64.
            half = 0.5 * largest - 0.5 * smallest
            spread = np.where(~np.isfinite(spread) | ((spread <= 1e-150) & (half < 1e-140)), half, spread)
            # What rounding of the mean leaves of a column that does not vary.
            spread = np.where(spread > CONSTANT * np.abs(mean), spread, 0.0)
            mean = np.where(smallest == largest, smallest, mean)
            return cls(
                mean=mean,
                spread=spread,
                root_mean_square=np.hypot(mean, spread),
                largest=np.maximum(-smallest, largest),
                farthest=np.maximum(mean - smallest, largest - mean),
                finite=bool(np.isfinite(smallest).all() and np.isfinite(largest).all()),
            )


def merge_moments(totals: FloatArray, moments: Sequence[Moments]) -> Moments:
    """Return mean, variance, smallest and largest entry of each column from those of several blocks of rows.

    Parameters
    ----------
    totals : ndarray of shape (B,)
        The weight of each block, of which some is above zero.
    moments : sequence of B tuples of four ndarrays of shape (d,)
        As `Columns.from_moments` takes them; those of a block without weight tell its smallest and largest entries.
    """
    mean, variance, smallest, largest = (np.array(each) for each in zip(*moments, strict=True))
    shares = (totals / totals.sum())[:, None]
    counts = totals > 0
    mean, variance, shares = mean[counts], variance[counts], shares[counts]
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.add.reduce(shares * mean)
        # Chan, Golub and LeVeque 1979: the variances, and that of the means.
        variance = np.add.reduce(shares * (variance + (mean - whole) ** 2))
    return whole, variance, smallest.min(axis=0), largest.max(axis=0)


@dataclass(frozen=True, eq=False)
class Transposed:
    """X column by column: column j holds scale_j x_j + shift_j of all rows, whole or as entries.

    Attributes
    ----------
    panel : ndarray of shape (m, n)
        The columns that are kept whole.
    places : ndarray of shape (d,), int64
        Where column j stands in panel; -1 for one that is kept as entries.
    starts, indices, values : ndarray
        The entries of column j are those from starts[j] to starts[j + 1]; each has a row of its own.
    scale, shift : ndarray of shape (d,), float64
        How the columns are scaled and shifted; the shift of a column that is kept as entries is zero.
    """

    panel: np.ndarray
    places: np.ndarray
    starts: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
