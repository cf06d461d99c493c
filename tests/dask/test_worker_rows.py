"""Samples that are spread over the classes, from parts of the rows."""

import itertools

import numpy as np
import pytest

from fastlin.dask.worker_rows import share_places
from fastlin.objective.rows import draw_places, find_rows


@pytest.mark.parametrize("seed", range(5))
def test_shared_places_name_the_rows_that_places_of_all_name(seed):
    generator = np.random.default_rng(seed)
    # Classes and parts without rows, and places at both ends.
    labels = generator.choice([0, 1, 3, 4], 200)
    borders = [0, 0, 30, 31, 31, 140, 200]
    parts = [labels[first:last] for first, last in itertools.pairwise(borders)]
    counts = np.array([np.bincount(part, minlength=6) for part in parts])
    places = np.unique([0, *draw_places(200, 40), 199])
    expected = np.argsort(labels, kind="stable")[places]
    found = []
    for part, own, count, first in zip(parts, share_places(places, counts), counts, borders[:-1], strict=False):
        found.append(first + find_rows(own, part, np.cumsum(count) - count, count))
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.sort(expected))
