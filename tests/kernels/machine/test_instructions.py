"""Powers of two and exponents, set and read in the bits of a number."""

import numba
import numpy as np
import pytest
from conftest import COMPILED

from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.instructions import binary_exponent, compile_apart, power_of_two


@kernel
def call_power_of_two(n):
    """Return 2 to the power of n, of which Python cannot ask the instruction."""
    return power_of_two(n)


@kernel
def call_binary_exponent(x):
    """Return the exponent of x."""
    return binary_exponent(x)


def sum_apart(values):
    """Return the sum, compiled apart."""
    compile_apart()
    total = 0.0
    for i in range(values.shape[0]):
        total += values[i]
    return total


@pytest.mark.parametrize(("kind", "lowest", "highest"), [(np.float64, -1022, 1023), (np.float32, -126, 127)])
def test_powers_and_exponents(kind, lowest, highest):
    for n in (lowest, -10, -1, 0, 1, 9, highest):
        power = call_power_of_two(kind(n))
        assert power == kind(2) ** kind(n)
        assert call_binary_exponent(kind(power)) == n
        assert call_binary_exponent(np.nextafter(kind(power), kind(0)) if n > lowest else kind(power)) == n - (
            n > lowest
        )


@pytest.mark.skipif(not COMPILED, reason="uncompiled they do nothing")
def test_attributes_change_no_result():
    # Compiled anew: code that was kept cannot be inspected.
    compiled = numba.njit(sum_apart)
    assert compiled(np.arange(5.0)) == 10
    assert "noinline" in next(iter(compiled.inspect_llvm().values()))
