"""The vectorized exponential and logarithms, compared with the math module."""

import math

import numpy as np
import pytest
from conftest import JIT_ENABLED, make_python_callable

from fastlin.kernels.machine import exponential
from fastlin.kernels.machine.compilation import kernel

exponentiate_in_place = make_python_callable(exponential.exponentiate_in_place)
log_above_one, log1p = make_python_callable(exponential.log_above_one), make_python_callable(exponential.log1p)
EACH_FUNCTION = pytest.mark.parametrize("is_expm1", [False, True], ids=["exp", "exp - 1"])
VALUES_ABOVE_ONE = [1.0, 1.0 + 1e-15, 1.5, 2.0, 3.0, 1e6, 1e300, *np.linspace(1, 40, 101)]
NONNEGATIVE_VALUES = [0.0, 1e-300, 1e-17, 1e-8, 1e-3, np.nextafter(1, 0), 3.0, 2.0**32, 1e300, *np.linspace(0, 5, 101)]


@kernel(reassociate=False)
def expm1_in_place(values):
    for j in range(values.shape[0]):
        values[j] = exponential.expm1(values[j], values)


@EACH_FUNCTION
@pytest.mark.parametrize(("dtype", "lowest", "smallest"), [(np.float64, -708.0, 1e-300), (np.float32, -87.0, 1e-37)])
def test_exponentials_are_accurate_to_two_units_in_the_last_place(dtype, lowest, smallest, is_expm1):
    n = 20_001 if JIT_ENABLED else 301
    x = np.concatenate([np.linspace(lowest, 0, n), -np.geomspace(smallest, 1, n)]).astype(dtype)
    values, exact = x.copy(), math.expm1 if is_expm1 else math.exp
    (expm1_in_place if is_expm1 else exponentiate_in_place)(values)
    expected = np.array([exact(float(value)) for value in x])
    error = np.abs(values.astype(np.float64) - expected) / np.spacing(np.abs(expected).astype(dtype)).astype(np.float64)
    assert error.max() <= 2


@EACH_FUNCTION
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_exponentials_of_special_values_are_exact(dtype, is_expm1):
    values = np.array([0.0, -0.0, -1e4, -708.5, -1e30, np.nan, -1.0], dtype)
    (expm1_in_place if is_expm1 else exponentiate_in_place)(values)
    np.testing.assert_array_equal(values[:-1], np.array([1, 1, 0, 0, 0, np.nan]) - is_expm1)
    negative_infinity = np.full(1, -np.inf, dtype)
    expm1_in_place(negative_infinity)
    assert negative_infinity[0] == -1


@pytest.mark.parametrize(
    ("function", "exact", "numbers", "absolute"),
    [(log1p, math.log1p, NONNEGATIVE_VALUES, 0), (log_above_one, math.log, VALUES_ABOVE_ONE, 1e-18)],
    ids=["log(1 + x)", "log(x)"],
)
def test_logarithms_are_accurate(function, exact, numbers, absolute):
    for x in map(float, numbers):
        assert function(x) == pytest.approx(exact(x), rel=4e-16, abs=absolute)
    assert np.isnan(function(np.nan))
