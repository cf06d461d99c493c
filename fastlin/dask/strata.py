"""Samples of rows on several machines that are spread evenly over the classes, as those of `Rows.sample` are.

A place is one in the order of all rows by classes, and within a class in their own order.
"""

from itertools import pairwise

import numpy as np

from fastlin.typing import IntArray


def share_places(places: IntArray, counts: IntArray) -> list[IntArray]:
    """Return for each part of the rows which of the ascending places it has, in the order of its own rows.

    counts (n_parts, n_classes) says how many rows of each class each part has.
    """
    totals, ends = counts.sum(axis=0), np.cumsum(counts, axis=0)
    starts, own_starts = np.cumsum(totals) - totals, np.cumsum(counts, axis=1) - counts
    labels = np.searchsorted(starts + totals, places, side="right")
    ranks, parts, borders = places - starts[labels], np.empty(len(places), np.int64), np.arange(len(totals) + 1)
    for first, last in pairwise(np.searchsorted(labels, borders)):
        if last > first:
            parts[first:last] = np.searchsorted(ends[:, labels[first]], ranks[first:last], side="right")
    own = own_starts[parts, labels] + ranks - (ends - counts)[parts, labels]
    order = np.argsort(parts, kind="stable")
    return np.split(own[order], np.searchsorted(parts[order], np.arange(1, len(counts))))
