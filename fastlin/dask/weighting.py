"""Which rows count in a fit on workers, and how much: sample weights, class weights and the folds that are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastlin.estimators.labels import to_targets, weigh_targets
from fastlin.kernels.linear.operands import NO_DOUBLE, NO_ROWS, Samples
from fastlin.kernels.machine.arrays import writable_view
from fastlin.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.dask.parts import Part


def share_folds(n_folds: int, totals: IntArray, first_rows: IntArray) -> IntArray:
    """Return how many rows of each class the folds up to each have together, (n_folds, n_classes).

    The folds are the stratified ones of scikit-learn without shuffling: of each class the first rows are the test rows
    of the first fold, and so on. totals are the rows of each class, and first_rows the number of the first row of each:
    folds share what does not divide in the order of these.
    """
    order = np.argsort(first_rows)
    # Row i of all, by classes in that order, counts for fold i modulo n_folds.
    starts = np.cumsum(totals[order]) - totals[order]
    fold = np.arange(n_folds)[:, None]
    in_order = (starts + totals[order] - fold + n_folds - 1) // n_folds - (starts - fold + n_folds - 1) // n_folds
    shares = np.empty_like(in_order)
    shares[:, order] = in_order
    return np.cumsum(shares, axis=0)


def find_folds(ends: IntArray, labels: IntArray, seen: IntArray) -> IntArray:
    """Return the fold of each row of a partition, (m,).

    ends is what `share_folds` returns, labels are the classes of the rows, and seen says how many rows of each class
    the partitions before have.
    """
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=len(seen))
    ranks = np.empty(len(labels), np.int64)
    ranks[order] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    ranks += seen[labels]
    return (ranks >= ends.T[labels].T).sum(axis=0).astype(np.min_scalar_type(len(ends)))


class Weighting(NamedTuple):
    """What each row counts in a fit: its sample weight times the factor of its class, None for ones.

    In each method the rows of a fold that is left out, by its number, count nothing.
    """

    n_classes: int
    factors: np.ndarray | None = None

    def weigh(self, part: Part, left_out: int | None = None) -> FloatArray:
        """Return the weights (m,) of the rows of a Part; no entries where all are one."""
        weights = part.sample_weight
        if self.factors is not None:
            of_classes = self.factors[part.labels] if part.soft is None else weigh_targets(part.soft, self.factors)[0]
            weights = of_classes if weights is None else weights * of_classes
        if left_out is not None:
            stays = np.asarray(part.folds != left_out)
            weights = stays.astype(np.float64) if weights is None else np.where(stays, weights, 0.0)
        return np.empty(0) if weights is None else weights

    def sample(self, part: Part, left_out: int | None = None) -> Samples:
        """Return the rows of a Part as a pass reads them."""
        offsets = NO_DOUBLE if part.offsets is None else writable_view(part.offsets)
        targets = NO_DOUBLE
        if part.soft is not None:
            soft = part.soft if self.factors is None else weigh_targets(part.soft, self.factors)[1]
            targets = writable_view(to_targets(soft))
        return Samples(NO_ROWS, part.labels, self.weigh(part, left_out), offsets, targets)
