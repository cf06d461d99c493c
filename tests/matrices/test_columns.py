"""Statistics of columns from their moments, where rounding, overflow and underflow lie in wait."""

import numpy as np
import pytest

from fastlin.matrices.columns import CONSTANT, Columns


def from_moments(*columns):
    """Return the Columns of (mean, variance, smallest, largest) of each."""
    return Columns.from_moments(*np.array(columns, float).T)


def test_plain_columns():
    columns = from_moments((3, 4, -2, 9), (-1, 0.25, -6, 5))
    np.testing.assert_array_equal(columns.spread, [2, 0.5])
    np.testing.assert_array_equal(columns.root_mean_square, [np.sqrt(13), np.hypot(1, 0.5)])
    np.testing.assert_array_equal(columns.largest, [9, 6])
    assert columns.finite


def test_a_column_that_does_not_vary_has_no_spread_and_its_own_number_for_a_mean():
    columns = from_moments((0.1 + 1e-17, 1e-36, 0.1, 0.1), (7, (0.5 * CONSTANT * 7) ** 2, 6.9, 7.1))
    assert columns.mean[0] == 0.1
    np.testing.assert_array_equal(columns.spread, [0, 0])


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_squares_outside_of_float64_leave_half_the_range(size):
    with np.errstate(over="ignore"):
        columns = from_moments((0, np.float64(size) ** 2, -3 * size, size))
    assert columns.spread[0] == pytest.approx(2 * size)
    assert columns.finite


@pytest.mark.parametrize("extreme", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_reported(extreme):
    with np.errstate(invalid="ignore"):
        assert not from_moments((0, 1, extreme, 1), (0, 1, -1, 1)).finite


def test_coordinates_are_centred_and_scaled_by_powers_of_two():
    columns = from_moments((3, 4, -2, 9), (5, 0.3, 0, 9), (7, 0, 7, 7))
    scale, shift = columns.choose_coordinates()
    np.testing.assert_array_equal(scale, [0.5, 2, 1])
    np.testing.assert_array_equal(shift, -columns.mean * scale)
