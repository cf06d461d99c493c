import itertools
from dataclasses import replace

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from fastlin.dask.parts import Part
from fastlin.dask.weighting import Weighting, find_folds, share_folds


@pytest.mark.parametrize("n_folds", [2, 3, 5])
@pytest.mark.parametrize("seed", range(5))
def test_folds_are_those_of_scikit_learn(n_folds, seed):
    generator = np.random.default_rng(seed)
    labels = np.append(generator.permutation(np.repeat(np.arange(4), n_folds)), generator.integers(0, 4, 60))
    borders = [0, 7, 7, 30, 31, len(labels)]
    parts = [labels[first:last] for first, last in itertools.pairwise(borders)]
    counts = np.array([np.bincount(part, minlength=4) for part in parts])
    ends = share_folds(n_folds, counts.sum(axis=0), np.array([np.argmax(labels == k) for k in range(4)]))
    seen = np.cumsum(counts, axis=0) - counts
    found = np.concatenate([find_folds(ends, part, before) for part, before in zip(parts, seen, strict=True)])
    for fold, (_, test) in enumerate(StratifiedKFold(n_folds).split(labels, labels)):
        np.testing.assert_array_equal(np.flatnonzero(found == fold), test)


def test_a_row_counts_its_weight_times_that_of_its_class_unless_its_fold_is_left_out():
    labels, sample_weight = np.array([0, 1, 1, 0]), np.array([1.0, 2.0, 0.0, 4.0])
    part = Part("", np.zeros((4, 1)), labels, None, find_folds(np.array([[1, 1], [2, 2]]), labels, np.zeros(2, int)))
    weighted = replace(part, sample_weight=sample_weight)
    assert not len(Weighting(2).weigh(part))
    factors = Weighting(2, np.array([1.0, 10.0]))
    np.testing.assert_array_equal(factors.weigh(part), [1, 10, 10, 1])
    np.testing.assert_array_equal(factors.weigh(weighted), [1, 20, 0, 4])
    np.testing.assert_array_equal(Weighting(2).weigh(part, left_out=0), [0, 0, 1, 1])
    np.testing.assert_array_equal(factors.weigh(weighted, left_out=1), [1, 20, 0, 0])
