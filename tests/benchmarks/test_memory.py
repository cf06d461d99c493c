"""The rule of how much memory a fit may take."""

import numpy as np

from benchmarks.memory import count_allowed_bytes, count_bytes
from benchmarks.sparse_data import make_text


def test_a_fit_may_take_what_the_rule_says():
    dense = np.zeros((1000, 100), np.float32)
    assert count_allowed_bytes(dense, 10) == 0.2 * dense.nbytes + 1000 * 10 * 4 + 80 * 10 * 101 * 8
    X = make_text(100, 2_000, 20, 5).X_train
    assert count_bytes(X) == 100 * 20 * (8 + 4) + 101 * 4
    assert count_allowed_bytes(X, 2) == int(1.2 * count_bytes(X)) + 100 * 8 + 80 * 2001 * 8
    # One array of n x K would take 80 MB, more than 64 and than X.
    assert count_allowed_bytes(np.zeros((10_000, 2)), 1000) == 0.2 * 160_000 + 80 * 1000 * 3 * 8
