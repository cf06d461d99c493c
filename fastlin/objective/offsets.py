"""What a certificate needs to know of offsets: a mean for each class, c, and how far they lie from it at most.

A pass sums <Q_i - y_i, o_i> for the probabilities; an exchange between classes is known by its sums alone
(docs/derivations.md, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from fastlin.typing import FloatArray

# Numbers that are looked at together.
NUMBERS_TOGETHER = 1 << 20
# More than the roundings of a mean over the classes and of a difference from it.
ROUNDING = 2.0**-48


class OffsetSums(NamedTuple):
    """Weighted sums over the offsets of some rows, which add up over several pieces of rows."""

    total: np.ndarray  # (K,), of each row less its mean over the classes where there are three or more
    square: float  # the sum of all squares, of the offsets as given
    smallest: np.ndarray  # (K,), the extreme of the terms of `total` over rows of weight above zero
    largest: np.ndarray  # (K,), likewise
    magnitude: float  # the largest magnitude of an offset

    @classmethod
    def of(cls, offsets: FloatArray, weights: FloatArray) -> Self:
        """Return the sums of offsets (n, K); weights (n,) without entries are ones."""
        n, K = offsets.shape
        together = max(1, NUMBERS_TOGETHER // K)
        found = cls(np.zeros(K), 0.0, np.full(K, np.inf), np.full(K, -np.inf), 0.0)
        for first in range(0, n, together):
            part = offsets[first : first + together]
            own = weights[first : first + together] if len(weights) else np.ones(len(part))
            if not own.all():
                part, own = part[own > 0], own[own > 0]
            centred = part - part.mean(axis=1, keepdims=True) if K > 1 else part
            more = cls(
                np.einsum("i,ik->k", own, centred),
                float(np.einsum("i,ik,ik->", own, part, part)),
                centred.min(axis=0, initial=np.inf),
                centred.max(axis=0, initial=-np.inf),
                float(np.abs(part).max(initial=0.0)),
            )
            found = cls.join([found, more])
        return found

    @classmethod
    def join(cls, sums: Sequence[Self]) -> Self:
        """Return the sums of several pieces together."""
        totals, squares, smallest, largest, magnitudes = zip(*sums, strict=True)
        return cls(
            np.sum(totals, axis=0),
            float(sum(squares)),
            np.min(smallest, axis=0),
            np.max(largest, axis=0),
            max(magnitudes),
        )


class OffsetRange(NamedTuple):
    """How far offsets lie from each other."""

    mean: np.ndarray  # (n_classes,), c, about the weighted mean of each class
    spread: float  # an upper bound of max_k (o_ik - c_k) - min_k (o_ik - c_k) over the rows
    root_mean_square: float  # the root of the weighted mean of the squared norm of a row

    @classmethod
    def of(cls, sums: OffsetSums, total_weight: float) -> Self:
        """Return the range of offsets from their sums over rows of a total weight."""
        mean = sums.total / total_weight
        farthest = np.sort(np.maximum(sums.largest - mean, mean - sums.smallest))[-2:]
        spread = float(farthest.sum()) * (1 + ROUNDING) + ROUNDING * len(mean) * sums.magnitude
        mean = np.append(0.0, mean) if len(mean) == 1 else mean
        return cls(mean, spread, float(np.sqrt(sums.square / total_weight)) * (1 + ROUNDING))

    @property
    def reach(self) -> float:
        """By how much the dual objective may change, at most, for each unit that classes exchange."""
        return self.spread + 2 * float(np.abs(self.mean).max())
