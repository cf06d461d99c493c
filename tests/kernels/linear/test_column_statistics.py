"""Column statistics against NumPy, with and without numbers that are not finite."""

import numpy as np
import pytest
from conftest import COMPILED

from fastlin.kernels.linear.column_scaling import NARROW, fill_block_column_statistics
from fastlin.kernels.machine.arrays import any_layout
from fastlin.kernels.machine.threads import limit_threads, run_blocks
from fastlin.matrices import as_matrix


def measure(X, n_blocks=3, weights=None):
    statistics = np.full((4, n_blocks, X.shape[1]), np.nan)
    weights = np.empty(0) if weights is None else weights
    run_blocks(fill_block_column_statistics, n_blocks, any_layout(X), weights, X[0].astype(np.float64), statistics)
    return statistics


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "bool"])
def test_agrees_with_numpy(dtype):
    for n, d in [(3, 1), (13, 7), (41, 17), (200 if COMPILED else 30, 33)]:
        generator = np.random.default_rng(n)
        X = (generator.normal(1e3, 40, (n, d)) % 120).astype(dtype)
        weights = generator.uniform(0, 2, n)
        differences = X.astype(np.float64) - X[0].astype(np.float64)
        for layout in (X, np.asfortranarray(X)):
            for s in (np.ones(n), weights):
                sums, squares, smallest, largest = measure(layout, weights=s)
                np.testing.assert_allclose(sums.sum(axis=0), s @ differences, rtol=1e-11, atol=1e-9)
                np.testing.assert_allclose(squares.sum(axis=0), s @ differences**2, rtol=1e-11)
                np.testing.assert_array_equal(smallest.min(axis=0), X.min(axis=0))
                np.testing.assert_array_equal(largest.max(axis=0), X.max(axis=0))


def test_weights_without_entries_are_ones():
    X = np.random.default_rng(0).normal(size=(13, 9))
    for found, expected in zip(measure(X), measure(X, weights=np.ones(13)), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_variance_of_a_column_far_from_zero_does_not_cancel():
    X = 1e9 + np.random.default_rng(0).normal(size=(400, 2))
    sums, squares, *_ = measure(X)
    mean = sums.sum(axis=0) / 400
    np.testing.assert_allclose(squares.sum(axis=0) / 400 - mean**2, X.var(axis=0), rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_is_not_finite_shows_wherever_it_stands(value, dtype):
    # Narrow rows are measured column by column, others row by row.
    for i in range(13):
        for n_columns in (3, NARROW + 1):
            X = np.ones((13, n_columns), dtype)
            X[i, 1] = value
            with np.errstate(all="ignore"), limit_threads(1):
                _, squares, smallest, largest = measure(X)
            finite = (np.isfinite(smallest) & np.isfinite(largest) & ~np.isnan(squares)).all(axis=0)
            np.testing.assert_array_equal(finite, np.arange(n_columns) != 1)


def test_finite_numbers_whose_squares_overflow_count_as_finite():
    for n_columns in (1, NARROW):
        X = np.tile([[1e300], [-1.7e308], [1.7e308]], (7, n_columns))
        with np.errstate(all="ignore"), limit_threads(1):
            _, squares, smallest, largest = measure(X)
        assert not np.isnan(squares).any()
        assert smallest.min() == -1.7e308
        assert largest.max() == 1.7e308


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_of_blocks_are_joined(weighted, monkeypatch):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(41, 9)) * 10.0 ** generator.uniform(-150, 150, 9) + [1e9, *np.zeros(8)]
    X[:, 3], X[7, 4] = 0.1, -3.0
    weights = generator.uniform(0, 2, 41) if weighted else None
    found = []
    for n_blocks in (1, 4):
        monkeypatch.setattr("fastlin.matrices.dense.count_blocks", lambda *_, n_blocks=n_blocks, **named: n_blocks)
        with np.errstate(all="ignore"):
            found.append(as_matrix(X).measure(weights))
    one, four = found
    rounding = 41 * np.finfo(np.float64).eps * np.ptp(X, axis=0)
    assert (np.abs((one.mean - four.mean) + (one.remainder - four.remainder)) <= rounding).all()
    np.testing.assert_allclose(one.variance, four.variance, rtol=1e-12)
    np.testing.assert_array_equal(one[3:], four[3:])
    for columns in found:
        assert columns.variance[3] == columns.remainder[3] == 0
        assert columns.mean[3] == 0.1


def test_a_matrix_that_is_not_finite_shows_in_its_extremes():
    for value in (np.nan, np.inf, -np.inf):
        for i in range(5):
            X = np.ones((5, 3))
            X[i, 1] = value
            with np.errstate(all="ignore"):
                columns = as_matrix(X).measure()
            np.testing.assert_array_equal(np.isfinite(columns[3:]).all(axis=0), [True, False, True])


def test_any_number_of_threads_gives_the_same_bits():
    X = np.random.default_rng(0).normal(size=(300, 5))
    with limit_threads(1):
        one = measure(X, 7)
    with limit_threads(2):
        two = measure(X, 7)
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)
