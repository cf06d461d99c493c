"""The columns of X: their statistics, from one pass, and X column by column."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from fastlin.typing import FloatArray


class Moments(NamedTuple):
    """What is summed over the rows of each column, weighted: arrays of shape (d,), float64.

    Attributes
    ----------
    mean : ndarray of shape (d,)
        The means, rounded.
    remainder : ndarray of shape (d,)
        What the means lost when they were rounded, which counts where a column varies by little beside its mean.
    variance : ndarray of shape (d,)
        The variances. That of a column is zero where all rows of weight above zero have the same number, and where
        the squares of its distances leave the range of float64.
    smallest, largest : ndarray of shape (d,)
        The extremes over all rows, whatever their weights.
    """

    mean: np.ndarray
    remainder: np.ndarray
    variance: np.ndarray
    smallest: np.ndarray
    largest: np.ndarray


class Columns(NamedTuple):
    """Statistics of the columns of X, weighted by s: arrays of shape (d,), float64.

    Attributes
    ----------
    mean : ndarray of shape (d,)
        The weighted means, rounded.
    remainder : ndarray of shape (d,)
        What the means lost when they were rounded.
    spread : ndarray of shape (d,)
        The weighted standard deviations; zero where a column is constant.
    largest : ndarray of shape (d,)
        The largest magnitudes over all rows, whatever their weights.
    farthest : ndarray of shape (d,)
        The largest distances of an entry from the mean, over all rows.
    finite : bool
        Whether X holds finite numbers only.
    """

    mean: np.ndarray
    remainder: np.ndarray
    spread: np.ndarray
    largest: np.ndarray
    farthest: np.ndarray
    finite: bool

    @property
    def root_mean_square(self) -> FloatArray:
        """The roots of the weighted means of squares."""
        return np.hypot(self.mean, self.spread)

    def choose_coordinates(self) -> tuple[FloatArray, FloatArray]:
        """Return scale and shift (d,) for which x scale + shift has a spread near one and a mean of zero.

        The scale is a power of two, so that it rounds nothing.
        """
        exponents = -np.log2(self.spread, where=self.spread > 0, out=np.zeros_like(self.spread))
        scale = 2.0 ** np.clip(np.round(exponents), -1000, 1000)
        return scale, -self.mean * scale

    @classmethod
    def from_moments(cls, moments: Moments) -> Self:
        """Return the Columns of some Moments."""
        mean, remainder, variance, smallest, largest = moments
        with np.errstate(over="ignore", invalid="ignore"):
            spread = np.sqrt(variance)
            # Squares of numbers beyond 1e+-150 leave the range of float64.
            if not (spread.min(initial=np.inf) > 1e-150 and spread.max(initial=0.0) < np.inf):
                half = 0.5 * largest - 0.5 * smallest
                spread = np.where(~np.isfinite(spread) | ((spread <= 1e-150) & (half < 1e-140)), half, spread)
            magnitude = np.maximum(np.abs(smallest), np.abs(largest))
            farthest = np.maximum(mean - smallest, largest - mean)
        return cls(mean, remainder, spread, magnitude, farthest, bool(magnitude.max(initial=0.0) < np.inf))


def merge_moments(totals: FloatArray, moments: Sequence[Moments]) -> Moments:
    """Return the Moments of several blocks of rows from those of each.

    Parameters
    ----------
    totals : ndarray of shape (B,)
        The weight of each block, of which some is above zero.
    moments : sequence of B Moments
        Those of a block without weight tell its smallest and largest entries.
    """
    mean, remainder, variance, smallest, largest = (np.array(each) for each in zip(*moments, strict=True))
    shares = (totals / totals.sum())[:, None]
    counts = totals > 0
    with np.errstate(over="ignore", invalid="ignore"):
        # From the mean of the heaviest block, so that blocks of one number leave exactly this and no variance.
        origin = mean[np.argmax(totals)]
        distances, shares = (mean - origin + remainder)[counts], shares[counts]
        shift = np.add.reduce(shares * distances)
        # Chan, Golub and LeVeque 1979: the variances, and that of the means.
        variance = np.add.reduce(shares * (variance[counts] + (distances - shift) ** 2))
        return Moments(*add_exactly(origin, shift), variance, smallest.min(axis=0), largest.max(axis=0))


def add_exactly(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a + b and what it lost when it was rounded (Knuth 1969, section 4.2.2)."""
    total = a + b
    own = total - a
    return total, (a - (total - own)) + (b - own)


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
