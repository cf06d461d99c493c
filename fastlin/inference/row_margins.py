"""By how much the scores of a direction tell the classes of rows apart, as sums and row by row.

A direction (K, d + 1) in the space of parameters gives each row x~ the scores x~ v_k, with K = 1 zero and x~ v. A row
has a class, and more than one where its label is soft: those of a probability above zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastlin.typing import BoolArray, FloatArray

if TYPE_CHECKING:
    from fastlin.matrices import Passes

# Bytes of the dense rows that are read together.
BYTES_TOGETHER = 16 << 20


class Margins(NamedTuple):
    """How the scores of m rows compare.

    Attributes
    ----------
    lead : ndarray of shape (m,)
        The least score of the row's own classes, less the largest score of the others; -inf where it has all classes.
    violation : ndarray of shape (m,)
        By how much the least score of the row's own classes stays below the largest score.
    scores : ndarray of shape (m, n_classes)
        The scores.
    """

    lead: FloatArray
    violation: FloatArray
    scores: FloatArray


def find_own_classes(passes: Passes, n_classes: int) -> BoolArray:
    """Return which classes each row has, of shape (m, n_classes); a row without weight has none."""
    samples = passes.samples
    rows = samples.rows if len(samples.rows) else slice(None)
    targets = samples.targets
    if len(targets):
        own = targets[rows] > 0
        if n_classes == 2:
            own = np.concatenate([targets[rows] < 1, own], axis=1)
    else:
        own = samples.labels[rows][:, None] == np.arange(n_classes)
    return own & (samples.weigh() > 0)[:, None]


def compare_scores(passes: Passes, direction: FloatArray, own: BoolArray) -> Margins:
    """Return the Margins of the rows for a direction (K, d + 1), from what `find_own_classes` returns."""
    scores = passes.compute_scores(direction)
    if len(direction) == 1:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    least = scores.min(axis=1, where=own, initial=np.inf)
    others = scores.max(axis=1, where=~own, initial=-np.inf)
    # A row without weight has no class, and nothing can go wrong with it.
    has_all, is_out = own.all(axis=1), ~own.any(axis=1)
    lead = np.where(has_all, -np.inf, least - others)
    violation = scores.max(axis=1) - least
    lead[is_out], violation[is_out] = np.inf, 0.0
    return Margins(lead, violation, scores)


def count_margins(
    passes: Passes, probabilities: FloatArray, direction: FloatArray, n_classes: int, zero: float, clear: float
) -> FloatArray:
    """Return how many rows a direction violates, does not separate, and separates, as a term of `sum_curvature`.

    Parameters
    ----------
    direction : ndarray of shape (K, d + 1)
        The direction.
    n_classes : int
        The number of classes.
    zero : float
        What a difference of scores may have by rounding alone.
    clear : float
        What a difference of scores has that rounding cannot explain.

    Returns
    -------
    ndarray of shape (2 + n_classes^2,)
        The number of rows whose violation is above zero, of those whose lead is not, and, for each class and each other
        one, of the rows of the class whose score for the other one is clearly smaller.
    """
    own = find_own_classes(passes, n_classes)
    margins = compare_scores(passes, direction, own)
    counts = np.zeros((n_classes, n_classes))
    for k in range(n_classes):
        rows = margins.scores[own[:, k]]
        counts[k] = np.count_nonzero(rows[:, k : k + 1] - rows > clear, axis=0)
    n_violated, n_left = np.count_nonzero(margins.violation > zero), np.count_nonzero(margins.lead <= zero)
    return np.concatenate([[n_violated, n_left], counts.ravel()])
