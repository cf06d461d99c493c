import itertools

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from fastlin.dask.parts import Description, decode, encode, find_folds, share_folds
from fastlin.dask.shard import Shard


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
    ends, seen = np.array([[1, 1], [2, 2]]), np.zeros(2, int)

    def weigh(given, factors, left_out=None):
        part = decode(np.zeros((4, 1)), labels, given, "")
        part = encode(part, part.X.dtype, np.arange(2), factors, Description.of(part), ends, seen)
        return Shard({0: part}, 1, n_threads=1)._sample(0, left_out).weights

    factors = np.array([1.0, 10.0])
    assert not len(weigh(None, None))
    np.testing.assert_array_equal(weigh(None, factors), [1, 10, 10, 1])
    np.testing.assert_array_equal(weigh(sample_weight, factors), [1, 20, 0, 4])
    np.testing.assert_array_equal(weigh(None, None, left_out=0), [0, 0, 1, 1])
    np.testing.assert_array_equal(weigh(sample_weight, factors, left_out=1), [1, 20, 0, 0])
