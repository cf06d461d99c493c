"""Statistics of columns from their moments, where rounding, overflow and underflow lie in wait."""

import numpy as np
import pytest
from scipy import sparse

from fastlin.blocks import from_arrays, from_csr
from fastlin.matrices import BlockMatrix, TableMatrix, as_matrix
from fastlin.matrices.matrix import Columns

N = 700
# How X may lie.
KINDS = {
    "dense": as_matrix,
    "blocks": lambda X: BlockMatrix(from_arrays(X, rows_per_block=37)),
    "table": lambda X: TableMatrix(list(X.T.copy())),
    "sparse": lambda X: as_matrix(sparse.csr_array(X)),
    "sparse blocks": lambda X: BlockMatrix(from_csr([sparse.csr_array(X[i : i + 90]) for i in range(0, N, 90)])),
}


def from_moments(*columns):
    """Return the Columns of (mean, variance, smallest, largest) of each."""
    mean, variance, smallest, largest = np.array(columns, float).T
    return Columns(mean, np.zeros_like(mean), variance, smallest, largest)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_column_is_constant_where_all_rows_of_weight_have_one_number_and_nowhere_else(kind, weighted):
    generator = np.random.default_rng(0)
    weights = generator.uniform(0.01, 2, N) if weighted else None
    constants = 0.1, -1 / 3, 1e16, 1e-3, 0.0
    X = np.tile(constants, (N, 1))
    # One number in 700 differs by as little as it can, and one by nothing that has a square.
    nearly = np.tile([0.1, 1e16, 1.0, 0.0], (N, 1))
    nearly[5] = [*np.nextafter(nearly[5, :3], 1e300), 1e-310]
    if weighted:
        # What alone makes the first columns vary has no weight.
        weights[::3], weights[5] = 0, 1e-9
        X[::3] = generator.normal(size=(len(X[::3]), len(constants)))
    columns = KINDS[kind](np.hstack([X, nearly])).measure(weights)
    np.testing.assert_array_equal(columns.spread == 0, [True] * 5 + [False] * 4)
    np.testing.assert_array_equal(columns.mean[:5], constants)
    assert columns.finite


@pytest.mark.parametrize("kind", ["dense", "blocks", "table"])
def test_a_mean_is_known_to_far_more_than_its_own_digits(kind):
    generator = np.random.default_rng(1)
    weights = generator.uniform(0, 2, N)
    distances = np.column_stack([2.0 * generator.integers(0, 9, N), generator.integers(0, 9, N) / 1024])
    origin = np.array([1e16, 1e12])
    columns = KINDS[kind](origin + distances).measure(weights)
    mean = np.average(distances, axis=0, weights=weights)
    np.testing.assert_allclose((columns.mean - origin) + columns.remainder, mean, rtol=1e-12)
    spread = np.sqrt(np.average((distances - mean) ** 2, axis=0, weights=weights))
    np.testing.assert_allclose(columns.spread, spread, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_light_row_far_from_the_others_leaves_their_spread(kind):
    X = np.random.default_rng(2).normal(size=(N, 1)) + 3
    X[0], weights = 1e9, np.ones(N)
    weights[0] = 1e-30
    spread = KINDS[kind](X).measure(weights).spread
    np.testing.assert_allclose(spread, np.std(X[1:]), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("extreme", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_reported_in_rows_without_weight_too(extreme, kind):
    X, weights = np.ones((N, 2)), (np.arange(N) != 5).astype(float)
    X[5, 1] = extreme
    with np.errstate(invalid="ignore"):
        assert not any(KINDS[kind](X).measure(given).finite for given in (None, weights))


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_squares_outside_of_float64_leave_half_the_range(size):
    with np.errstate(over="ignore"):
        columns = from_moments((0, np.float64(size) ** 2, -3 * size, size))
    assert columns.spread[0] == pytest.approx(2 * size)
    assert columns.finite


def test_spread_magnitude_and_coordinates_follow_from_moments():
    columns = from_moments((3, 4, -2, 9), (-1, 0.25, -6, 5), (7, 0, 7, 7))
    np.testing.assert_array_equal(columns.spread, [2, 0.5, 0])
    np.testing.assert_array_equal(columns.magnitude, [9, 6, 7])
    scale, shift = columns.choose_coordinates()
    # Powers of two.
    np.testing.assert_array_equal(from_moments((5, 0.3, 0, 9)).choose_coordinates()[0], [2])
    np.testing.assert_array_equal(scale, [0.5, 2, 1])
    np.testing.assert_array_equal(shift, -columns.mean * scale)
    assert columns.finite
