"""Column statistics, the scale and shift computed from them, and rounded coefficients, compared with NumPy."""

import itertools

import numpy as np
import pytest
from conftest import JIT_ENABLED, mark_params

from fastlin.kernels.linear import column_scaling
from fastlin.kernels.machine.arrays import make_any_layout_view
from fastlin.kernels.machine.threads import limit_threads, run_blocks
from fastlin.matrices import as_matrix

NO_WEIGHTS = np.empty(0)
D = 12


def measure(X, weights=NO_WEIGHTS):
    statistics = np.full((4, 3, X.shape[1]), np.nan)
    with np.errstate(all="ignore"), limit_threads(1):
        arguments = make_any_layout_view(X), weights, X[0].astype(np.float64), statistics
        run_blocks(column_scaling.fill_block_column_statistics, 3, *arguments)
    return statistics


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", *mark_params(pytest.mark.slow, "bool")])
def test_column_statistics_agree_with_numpy(dtype):
    for n, d in [(3, 1), (13, 7), (41, 17), (200 if JIT_ENABLED else 30, 33)]:
        generator = np.random.default_rng(n)
        X = (generator.normal(1e3, 40, (n, d)) % 120).astype(dtype)
        weights = generator.uniform(0, 2, n)
        differences = X.astype(np.float64) - X[0].astype(np.float64)
        for layout in (X, np.asfortranarray(X)):
            for row_weights in (NO_WEIGHTS, weights):
                s = row_weights if len(row_weights) else np.ones(n)
                sums, squares, smallest, largest = measure(layout, row_weights)
                np.testing.assert_allclose(sums.sum(axis=0), s @ differences, rtol=1e-11, atol=1e-9)
                np.testing.assert_allclose(squares.sum(axis=0), s @ differences**2, rtol=1e-11)
                np.testing.assert_array_equal(smallest.min(axis=0), X.min(axis=0))
                np.testing.assert_array_equal(largest.max(axis=0), X.max(axis=0))


# Kernels read X column by column if X has few columns, and row by row otherwise.
@pytest.mark.parametrize(
    "n_columns", [3, column_scaling.MIN_COLUMNS_FOR_ROW_READS, column_scaling.MIN_COLUMNS_FOR_ROW_READS + 1]
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_only_nonfinite_values_are_reported_as_nonfinite(dtype, n_columns):
    for value, i in itertools.product((np.nan, np.inf, -np.inf, np.finfo(dtype).max), range(13)):
        X = np.ones((13, n_columns), dtype)
        X[i, 1] = value
        if np.isfinite(value):
            X[i - 1, 1] = -value
        _, squares, smallest, largest = measure(X)
        is_finite_column = (np.isfinite(smallest) & np.isfinite(largest) & ~np.isnan(squares)).all(axis=0)
        np.testing.assert_array_equal(is_finite_column, np.isfinite(X).all(axis=0))
        if np.isfinite(value):
            assert (smallest.min(), largest.max()) == (-value, value)


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_of_blocks_are_combined(weighted, monkeypatch):
    generator, actual = np.random.default_rng(0), []
    X = generator.normal(size=(41, 9)) * 10.0 ** generator.uniform(-150, 150, 9) + [1e9, *np.zeros(8)]
    X[:, 3], X[7, 4] = 0.1, -3.0
    weights = generator.uniform(0, 2, 41) if weighted else None
    for n_blocks in (1, 4):
        monkeypatch.setattr("fastlin.matrices.dense.count_blocks", lambda *_, n_blocks=n_blocks, **named: n_blocks)
        with np.errstate(all="ignore"):
            actual.append(as_matrix(X).measure(weights))
        assert (actual[-1].mean[3], actual[-1].variance[3], actual[-1].remainder[3]) == (0.1, 0, 0)
    one_block, four_blocks = actual
    rounding = 41 * np.finfo(np.float64).eps * np.ptp(X, axis=0)
    assert (
        np.abs((one_block.mean - four_blocks.mean) + (one_block.remainder - four_blocks.remainder)) <= rounding
    ).all()
    np.testing.assert_allclose(one_block.variance, four_blocks.variance, rtol=1e-12)
    np.testing.assert_array_equal(one_block[3:], four_blocks[3:])


def make_columns(generator, exponents):
    """Return statistics of random columns, and lengths whose reciprocals are the scales.

    The statistics are mean, remainder, standard deviation, farthest and largest.
    """
    sizes = 10.0 ** generator.uniform(-exponents, exponents, D)
    mean, standard_deviation = (
        generator.normal(size=D) * 10.0 ** generator.uniform(-3, 9, D) * sizes,
        sizes * generator.random(D),
    )
    standard_deviation[:2], mean[5], standard_deviation[5] = 0, 0, 0
    lengths = np.hypot(standard_deviation, 10.0 ** generator.uniform(-9, 9, D) * (generator.random(D) < 0.5))
    # These values are close to ties of the rounded logarithm, or powers of two.
    lengths[2:6] = np.sqrt(2), np.nextafter(np.sqrt(2), 2), 8.0, 5e-324
    largest_deviations = 3 * standard_deviation
    return mean, 1e-17 * mean, standard_deviation, largest_deviations, np.abs(mean) + largest_deviations, lengths


@pytest.mark.parametrize("is_centered", [True, False])
@pytest.mark.parametrize("exponents", [2, 150])
def test_coordinates_agree_with_numpy(exponents, is_centered):
    for seed in range(20):
        mean, remainder, standard_deviation, largest_deviations, largest, lengths = make_columns(
            np.random.default_rng(seed), exponents
        )
        actual, mean_squares = np.empty((4, D)), np.ones(D + 1)
        actual[0] = lengths
        columns = mean, remainder, standard_deviation, largest_deviations, largest
        counted = column_scaling.fill_coordinates(*columns, is_centered, actual[0].view(np.int64), actual, mean_squares)
        with np.errstate(all="ignore"):
            scale_exponents = np.where(lengths > 0, np.clip(np.round(-np.log2(lengths)), -1000, 1000), 0)
            scale = 2.0**scale_exponents
            exact = -mean * scale if is_centered else np.zeros(D)
            rounded = exact.astype(np.float32).astype(np.float64)
            is_near = np.abs(rounded - exact) <= 0.1
            shift = np.where(is_near, rounded, exact)
            expected = (mean * scale + shift) + remainder * scale
            squares = expected**2 + (scale * standard_deviation) ** 2
            squares[is_centered & (standard_deviation == 0)] = 0
            peak_to_mean_ratios = ((largest_deviations if is_centered else largest) * scale) ** 2 / squares
            is_small = is_near & (np.abs(scale_exponents) < 60) & (largest * scale < 2.0**60)
        np.testing.assert_array_equal(actual[:3], [scale, shift, expected])
        np.testing.assert_allclose(mean_squares, np.append(squares, 1), rtol=1e-15)
        np.testing.assert_allclose(actual[3], np.where(squares > 0, peak_to_mean_ratios, 0), rtol=1e-14)
        assert counted == (3 * is_centered, is_small.all())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [1, 3])
def test_the_increase_by_rounded_coefficients_is_bounded(n_classes, dtype):
    generator = np.random.default_rng(0)
    parameters, gradient = generator.normal(size=(2, n_classes, D + 1))
    scale, shift = 2.0 ** generator.integers(-20, 20, D), generator.normal(size=D) * 1e3
    curvatures = np.append(generator.random(D), 0)
    coef, intercept, change = np.empty((n_classes, D), dtype), np.empty(n_classes, dtype), np.empty_like(parameters)
    outputs = coef, intercept, change
    is_finite, rise = column_scaling.fill_coefficients(parameters, gradient, scale, shift, curvatures, 7.0, *outputs)
    assert is_finite
    exact = parameters[:, :-1].astype(np.longdouble)
    exact_intercept = parameters[:, -1] + (exact * shift).sum(axis=1)
    np.testing.assert_array_equal(coef, (parameters[:, :-1] * scale).astype(dtype))
    np.testing.assert_allclose(intercept, exact_intercept.astype(float), rtol=2 * np.finfo(dtype).eps)
    # In scaled coordinates, the changes of the coefficients are exact, and that of the intercept is an upper bound.
    moved = coef.astype(np.longdouble) / scale - exact
    np.testing.assert_array_equal(change[:, :-1], moved.astype(float))
    intercept_error = intercept - exact_intercept - (moved * shift).sum(axis=1)
    assert (change[:, -1] >= np.abs(intercept_error).astype(float)).all()
    assert (change[:, -1] < 1e5 * np.finfo(dtype).eps).all()
    expected = np.abs(gradient * change).sum() + (change**2 * (0.25 * 7.0 + 0.5 * curvatures)).sum()
    assert rise == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("position", [0, D])
def test_coefficients_beyond_float32_are_reported(position):
    parameters, columns = np.ones((1, D + 1)), (np.ones(D), np.zeros(D), np.ones(D + 1))
    parameters[0, position] = 1e39
    outputs = np.empty((1, D), np.float32), np.empty(1, np.float32), np.empty((1, D + 1))
    with np.errstate(all="ignore"):
        assert not column_scaling.fill_coefficients(parameters, parameters, *columns, 1.0, *outputs)[0]
