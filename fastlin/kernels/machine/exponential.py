"""Exponential and logarithm that LLVM can vectorize. Numba's versions require a function call per element."""

from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.intrinsics import binary_exponent, power_of_two

LOG2_E = 1.4426950408889634
# log 2 as a sum of two terms. LOG2_HIGH has 9 bits, so that n * LOG2_HIGH is exact in both types (Cody and Waite 1980).
LOG2_HIGH = 0.693359375
LOG2_LOW = -2.1219444005469057e-4
LOG2 = 0.6931471805599453
# Below this argument, the exponential is subnormal, so its exponent bits cannot be set directly.
MIN_ARGUMENT = -708.0
MIN_ARGUMENT_FLOAT32 = -87.0
# Adding and then subtracting this number rounds to an integer, because no bits are left for a fraction.
ROUNDING_SHIFT, ROUNDING_SHIFT_FLOAT32 = 1.5 * 2.0**52, 1.5 * 2.0**23


@kernel(reassociate=False, inner=True)
def exponentiate_in_place(values):
    """Overwrite `values` with exp(values).

    `values` is one-dimensional, contiguous, float32 or float64, and at most 0. Below -87 (float32) or -708 (float64)
    the result is 0. With n = round(x / log 2) and r = x - n log 2, |r| <= log(2) / 2, the exponential is exp(x) = 2^n
    exp(r). exp(r) is computed in the type of `values` by a Taylor polynomial of degree 13, whose remainder of 4e-18 is
    below half a unit in the last place.
    """
    for j in range(values.shape[0]):
        values[j] = exponential(values[j], values)


@kernel(inline=True)
def exponential(value, values):
    """Return exp(value) in the type of the array `values`, like `exponentiate_in_place`.

    The calling kernel must be compiled with reassociate=False.
    """
    power, fraction = _split_exponential(value, values)
    return power * (fraction + values.dtype.type(1))


@kernel(inline=True)
def expm1(value, values):
    """Return exp(value) - 1, computed like `exponential` and accurate near 0."""
    power, fraction = _split_exponential(value, values)
    return power * fraction + (power - values.dtype.type(1))


@kernel(inline=True)
def _split_exponential(value, values):
    """Return 2^n and exp(r) - 1, where exp(value) = 2^n (exp(r) - 1) + 2^n and n = round(value / log 2)."""
    kind = values.dtype.type
    min_argument = kind(MIN_ARGUMENT_FLOAT32 if values.itemsize == 4 else MIN_ARGUMENT)
    rounding_shift = kind(ROUNDING_SHIFT_FLOAT32 if values.itemsize == 4 else ROUNDING_SHIFT)
    # This comparison preserves NaN.
    x = min_argument if value < min_argument else value
    n = (x * kind(LOG2_E) + rounding_shift) - rounding_shift
    r = (x - n * kind(LOG2_HIGH)) - n * kind(LOG2_LOW)
    # NaN has no integer exponent; the result is NaN because r is.
    power = power_of_two(n if n == n else kind(0))
    return kind(0) if value < min_argument else power, _evaluate_series(r, kind) * r


@kernel(inline=True)
def _evaluate_series(r, kind):
    """Return (exp(r) - 1) / r for |r| <= log(2) / 2, computed by a Taylor polynomial."""
    p = kind(1.0 / 6227020800.0)
    p = p * r + kind(1.0 / 479001600.0)
    p = p * r + kind(1.0 / 39916800.0)
    p = p * r + kind(1.0 / 3628800.0)
    p = p * r + kind(1.0 / 362880.0)
    p = p * r + kind(1.0 / 40320.0)
    p = p * r + kind(1.0 / 5040.0)
    p = p * r + kind(1.0 / 720.0)
    p = p * r + kind(1.0 / 120.0)
    p = p * r + kind(1.0 / 24.0)
    p = p * r + kind(1.0 / 6.0)
    p = p * r + kind(0.5)
    return p * r + kind(1.0)


@kernel(inline=True)
def log1p(e):
    """Return log(1 + e) for float64 e >= 0, and NaN for NaN.

    The result is n log 2 + log(1 + f), where 1 + e = 2^n (1 + f) and 0 <= f < 1. If e < 1, then f = e, so the result is
    accurate for small e.
    """
    n = binary_exponent(1.0 + (e if e == e else 0.0))
    f = (1.0 + e) * power_of_two(-n) - 1.0
    return n * LOG2 + log1p_below_one(f if n > 0.0 else e)


@kernel(inline=True)
def log1p_below_one(e):
    """Return log(1 + e) for float64 e from 0 to 1.

    The result is 2 atanh(s) = 2 (s + s^3 / 3 + s^5 / 5 + ...) with s = e / (2 + e) <= 1/3. The first omitted term is
    below 1e-17 of the sum, and the result is accurate for small e.
    """
    s = e / (2.0 + e)
    q = s * s
    p = 1.0 / 33.0
    p = p * q + 1.0 / 31.0
    p = p * q + 1.0 / 29.0
    p = p * q + 1.0 / 27.0
    p = p * q + 1.0 / 25.0
    p = p * q + 1.0 / 23.0
    p = p * q + 1.0 / 21.0
    p = p * q + 1.0 / 19.0
    p = p * q + 1.0 / 17.0
    p = p * q + 1.0 / 15.0
    p = p * q + 1.0 / 13.0
    p = p * q + 1.0 / 11.0
    p = p * q + 1.0 / 9.0
    p = p * q + 1.0 / 7.0
    p = p * q + 1.0 / 5.0
    p = p * q + 1.0 / 3.0
    p = p * q + 1.0
    return 2.0 * s * p


@kernel(inline=True)
def log_above_one(x):
    """Return log(x) for float64 x >= 1, and NaN for NaN. It is computed from x = 2^n (1 + e) with 0 <= e < 1."""
    n = binary_exponent(x if x == x else 1.0)
    return n * LOG2 + log1p_below_one(x * power_of_two(-n) - 1.0)
