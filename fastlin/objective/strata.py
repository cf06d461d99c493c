"""Samples of rows that are spread evenly over the classes, from parts of the rows that are seen one after the other.

The rows stand in the order of their classes, and within a class in their own. A sample is a set of places in it.
"""

from itertools import pairwise

import numpy as np

from fastlin.kernels.linear.class_order import find_places
from fastlin.kernels.machine.arrays import writable_view
from fastlin.typing import IntArray


def draw_places(n: int, n_rows: int) -> IntArray:
    """Return the ascending places of about n_rows of n rows: one of each of n_rows equal stretches."""
    n_rows = min(n_rows, n)
    return ((np.arange(n_rows) + np.random.default_rng(0).random(n_rows)) * (n / n_rows)).astype(np.int64)


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


def find_rows(places: IntArray, labels: IntArray, seen: IntArray) -> tuple[IntArray, IntArray]:
    """Return which rows of a part stand at some of the places, and how many rows of each class the part has.

    Parameters
    ----------
    places : ndarray of int64
        Ascending places.
    labels : ndarray of shape (m,)
        The classes of the rows of the part.
    seen : ndarray of shape (n_classes,)
        The place of the next row of each class.

    Returns
    -------
    numbers : ndarray of int64
        From 0 to m - 1, ascending.
    counts : ndarray of shape (n_classes,)
        What seen grows by.
    """
    counts = np.bincount(labels, minlength=len(seen))
    first, last = np.searchsorted(places, seen), np.searchsorted(places, seen + counts)
    numbers = np.empty(int((last - first).sum()), np.int64)
    find_places(writable_view(np.ascontiguousarray(labels, np.int32)), places, first, last, seen.copy(), numbers)
    return numbers, counts
