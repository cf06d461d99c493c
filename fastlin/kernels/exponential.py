"""Exponential and logarithm in a form that the compiler can vectorise: Numba's own are a call per element."""

import numpy as np

from fastlin.kernels.compilation import kernel

LOG2_E = 1.4426950408889634
# log 2 in two parts: the first has 32 trailing zero bits, so that n * LOG2_HIGH is exact (Cody and Waite 1980).
LOG2_HIGH = 0.6931471803691238
LOG2_LOW = 1.9082149292705877e-10
# exp underflows to subnormal numbers below this, where the exponent bits can no longer be set directly.
LOWEST = -708.0
MANTISSA_BITS = 52
EXPONENT_BIAS = 1023


@kernel(reassociate=False)
def exponentiate_in_place(values):
    """Overwrite values (any float type, 1-D, contiguous, each <= 0) with exp(values); below -708 gives 0.

    exp(x) = 2^n exp(r), n = round(x / log 2), |r| <= log(2) / 2, exp(r) by its Taylor polynomial of degree 13:
    the remainder is 4e-18, below half a unit in the last place. Worked in float64 for every type.
    """
    n_values = values.shape[0]
    bits = np.empty(n_values, np.int64)
    power = bits.view(np.float64)
    for j in range(n_values):
        # Written so that NaN stays NaN.
        x = LOWEST if np.float64(values[j]) < LOWEST else np.float64(values[j])
        n = np.floor(x * LOG2_E + 0.5)
        r = (x - n * LOG2_HIGH) - n * LOG2_LOW
        p = 1.0 / 6227020800.0
        p = p * r + 1.0 / 479001600.0
        p = p * r + 1.0 / 39916800.0
        p = p * r + 1.0 / 3628800.0
        p = p * r + 1.0 / 362880.0
        p = p * r + 1.0 / 40320.0
        p = p * r + 1.0 / 5040.0
        p = p * r + 1.0 / 720.0
        p = p * r + 1.0 / 120.0
        p = p * r + 1.0 / 24.0
        p = p * r + 1.0 / 6.0
        p = p * r + 0.5
        p = p * r + 1.0
        p = p * r + 1.0
        # The exponent goes straight into its bits; the product follows in a loop of its own because a view of
        # the same memory inside one loop keeps LLVM from vectorising it.
        # A NaN, whose p is NaN already, has no whole number for an exponent.
        bits[j] = (np.int64(n if n == n else 0.0) + EXPONENT_BIAS) << MANTISSA_BITS
        values[j] = 0.0 if np.float64(values[j]) < LOWEST else p
    for j in range(n_values):
        values[j] *= power[j]


@kernel(inline=True)
def log_one_plus(e):
    """Return log(1 + e) for float64 e from 0 to 1.

    2 atanh(s) = 2 (s + s^3 / 3 + s^5 / 5 + ...) with s = e / (2 + e) <= 1/3: the first term left out is below 1e-17 of
    the sum, and small e keep all their digits.
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
