"""Powers of two and exponents, set and read in the bits of a number."""

import numba
import numpy as np
import pytest
from conftest import COMPILED

from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.instructions import binary_exponent, compile_apart, power_of_two


@kernel
def find_power_and_exponent(n, x):
    """Return 2 to the power of n and the exponent of x, of which Python cannot ask the instructions."""
    return power_of_two(n), binary_exponent(x)


def sum_apart(values):
    compile_apart()
    return values.sum()


@pytest.mark.parametrize(("kind", "lowest", "highest"), [(np.float64, -1022, 1023), (np.float32, -126, 127)])
def test_powers_and_exponents(kind, lowest, highest):
    for n in (lowest, -10, -1, 0, 1, 9, highest):
        exact = kind(2) ** kind(n)
        assert find_power_and_exponent(kind(n), exact) == (exact, n)
        if n > lowest:
            assert find_power_and_exponent(kind(n), np.nextafter(exact, kind(0))) == (exact, n - 1)


@pytest.mark.skipif(not COMPILED, reason="uncompiled they do nothing")
def test_attributes_change_no_result():
    # Compiled anew: code that was kept cannot be inspected.
    compiled = numba.njit(sum_apart)
    assert compiled(np.arange(5.0)) == 10
    assert "noinline" in next(iter(compiled.inspect_llvm().values()))
