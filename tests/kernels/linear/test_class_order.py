"""Rows by their places in the order of the classes, against a stable sort."""

import numpy as np
import pytest

from fastlin.kernels.linear.class_order import find_places


@pytest.mark.parametrize("n_classes", [1, 2, 5])
def test_rows_are_those_at_the_places_of_a_stable_sort(n_classes):
    generator = np.random.default_rng(n_classes)
    for n in (0, 1, 40):
        labels = generator.integers(0, n_classes, n).astype(np.int32)
        counts = np.bincount(labels, minlength=n_classes)
        # Rows of other pieces stand before and after these in each class.
        seen = np.cumsum(np.append(0, counts[:-1] + 7)) + 3
        order = np.argsort(labels, kind="stable")
        place_of_row = np.empty(n, np.int64)
        place_of_row[order] = np.concatenate([seen[k] + np.arange(counts[k]) for k in range(n_classes)])
        # A place may be asked for twice.
        places = np.sort(generator.integers(0, seen[-1] + counts[-1] + 5, 60))
        first, last = np.searchsorted(places, seen), np.searchsorted(places, seen + counts)
        numbers = np.full(int((last - first).sum()), -1)
        n_found = find_places(labels, places, first, last, seen.copy(), numbers)
        expected = [i for i in range(n) for place in places if place == place_of_row[i]]
        assert n_found == len(numbers) and numbers.tolist() == expected
