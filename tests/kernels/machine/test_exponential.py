"""The vectorised exponential against the mathematical one."""

import math

import numpy as np
import pytest
from conftest import COMPILED, from_python

from fastlin.kernels.machine import exponential
from fastlin.kernels.machine.compilation import kernel

exponentiate_in_place = from_python(exponential.exponentiate_in_place)
log_from_one, log_one_plus = from_python(exponential.log_from_one), from_python(exponential.log_one_plus)


@kernel(reassociate=False)
def exponentiate_less_one_in_place(values):
    """Overwrite values with exp(values) - 1, one by one."""
    for j in range(values.shape[0]):
        values[j] = exponential.exponential_less_one(values[j], values)


FUNCTIONS = pytest.mark.parametrize("less_one", [False, True], ids=["exp", "exp - 1"])


@FUNCTIONS
@pytest.mark.parametrize(("dtype", "lowest", "smallest"), [(np.float64, -708.0, 1e-300), (np.float32, -87.0, 1e-37)])
def test_agrees_to_the_last_places(dtype, lowest, smallest, less_one):
    n = 20_001 if COMPILED else 301
    x = np.concatenate([np.linspace(lowest, 0, n), -np.geomspace(smallest, 1, n)]).astype(dtype)
    values, exact = x.copy(), math.expm1 if less_one else math.exp
    (exponentiate_less_one_in_place if less_one else exponentiate_in_place)(values)
    expected = np.array([exact(float(value)) for value in x])
    error = np.abs(values.astype(np.float64) - expected) / np.spacing(np.abs(expected).astype(dtype)).astype(np.float64)
    assert error.max() <= 2


@FUNCTIONS
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_arguments_beyond_the_range_and_zeros_are_exact_and_nan_stays(dtype, less_one):
    fill = exponentiate_less_one_in_place if less_one else exponentiate_in_place
    values = np.array([0.0, -0.0, -1e4, -708.5, -1e30], dtype=dtype)
    fill(values)
    np.testing.assert_array_equal(values, np.array([1, 1, 0, 0, 0]) - less_one)
    values = np.array([np.nan, -1.0], dtype=dtype)
    fill(values)
    assert np.isnan(values[0])
    infinite = np.full(1, -np.inf, dtype)
    exponentiate_less_one_in_place(infinite)
    assert infinite[0] == -1


def test_the_logarithm_of_one_plus_a_number_keeps_its_digits():
    below_one = float(np.nextafter(1, 0))
    for e in [0.0, 1e-300, 1e-17, 1e-8, 1e-3, below_one, 3.0, 2.0**32, 1e300, *np.linspace(0, 5, 101)]:
        assert log_one_plus(float(e)) == pytest.approx(math.log1p(e), rel=4e-16, abs=0)
    assert np.isnan(log_one_plus(np.nan))


def test_the_logarithm_from_one_on_keeps_its_digits():
    for x in [1.0, 1.0 + 1e-15, 1.5, 2.0, 3.0, 1e6, 1e300, *np.linspace(1, 40, 101)]:
        assert log_from_one(float(x)) == pytest.approx(math.log(x), rel=4e-16, abs=1e-18)
    assert np.isnan(log_from_one(np.nan))
