"""The limits of the machine: they are measured on any layout, and by as many operations as they say."""

import numpy as np
import pytest

from benchmarks.limits import CHAIN, N_BLOCKS, N_STARTS, make_arithmetic, make_read


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_limits_are_measured_on_any_layout(dtype, order):
    X = np.asarray(np.random.default_rng(0).integers(0, 256, (37, 5)).astype(dtype), order=order)
    n_whole = X.nbytes // 8
    expected = np.frombuffer(X.tobytes(order="A"), np.int64, n_whole).sum()
    assert make_read(X)().sum() == expected


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_the_arithmetic_does_what_it_says(precision):
    arithmetic, n_done = make_arithmetic(1e8, precision)
    assert n_done == pytest.approx(1e8, rel=0.01)
    values = np.linspace(0, 1, N_STARTS)
    for _ in range(CHAIN):
        values = values * 0.5 + 0.25
    n_rounds = n_done // (2 * CHAIN * N_STARTS * N_BLOCKS)
    # Each of so many positive terms, and each sum of them, is rounded.
    bound = (n_rounds * N_STARTS + 2 * CHAIN) * np.finfo(precision).eps
    np.testing.assert_allclose(arithmetic(), n_rounds * values.sum(), rtol=bound)
