"""Column statistics against NumPy, with and without numbers that are not finite."""

import numpy as np
import pytest
from conftest import COMPILED

from fastlin.kernels.linear.columns import fill_block_column_statistics
from fastlin.kernels.machine.threads import limit_threads, run_blocks


def walk(X, n_blocks=3):
    outputs = [np.full((n_blocks, X.shape[1]), np.nan) for _ in range(4)]
    run_blocks(fill_block_column_statistics, n_blocks, X, np.empty(0), X[0].astype(np.float64), 8, *outputs)
    return outputs


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_agrees_with_numpy(dtype, order):
    for n, d in [(3, 1), (13, 7), (41, 17), (200 if COMPILED else 30, 33)]:
        values = np.random.default_rng(n).normal(1e3, 40, (n, d)) % 120
        X = np.asarray(values.astype(dtype), order=order)
        sums, squares, smallest, largest = walk(X)
        differences = X.astype(np.float64) - X[0].astype(np.float64)
        np.testing.assert_allclose(sums.sum(axis=0), differences.sum(axis=0), rtol=1e-11, atol=1e-9)
        np.testing.assert_allclose(squares.sum(axis=0), (differences**2).sum(axis=0), rtol=1e-11)
        np.testing.assert_array_equal(smallest.min(axis=0), X.min(axis=0))
        np.testing.assert_array_equal(largest.max(axis=0), X.max(axis=0))


def test_variance_of_a_column_far_from_zero_does_not_cancel():
    X = 1e9 + np.random.default_rng(0).normal(size=(400, 2))
    sums, squares, *_ = walk(X)
    mean = sums.sum(axis=0) / 400
    np.testing.assert_allclose(squares.sum(axis=0) / 400 - mean**2, X.var(axis=0), rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_is_not_finite_shows_wherever_it_stands(value, dtype):
    for i in range(13):
        X = np.ones((13, 3), dtype)
        X[i, 1] = value
        with np.errstate(all="ignore"), limit_threads(1):
            _, squares, smallest, largest = walk(X)
        finite = (np.isfinite(smallest) & np.isfinite(largest) & ~np.isnan(squares)).all(axis=0)
        np.testing.assert_array_equal(finite, [True, False, True])


def test_finite_numbers_whose_squares_overflow_count_as_finite():
    X = np.tile([[1e300], [-1.7e308], [1.7e308]], (7, 1))
    with np.errstate(all="ignore"), limit_threads(1):
        _, squares, smallest, largest = walk(X)
    assert not np.isnan(squares).any()
    assert smallest.min() == -1.7e308
    assert largest.max() == 1.7e308


def test_any_number_of_threads_gives_the_same_bits():
    X = np.random.default_rng(0).normal(size=(300, 5))
    with limit_threads(1):
        one = walk(X, 7)
    with limit_threads(2):
        two = walk(X, 7)
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)
