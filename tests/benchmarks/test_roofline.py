"""The limits of the machine: they are measured on any layout, and by as many operations as they say."""

import numpy as np
import pytest

from benchmarks.roofline import make_arithmetic, make_read


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_limits_are_measured_on_any_layout(dtype, order):
    X = np.asarray(np.random.default_rng(0).integers(0, 256, (37, 5)).astype(dtype), order=order)
    make_read(X)()


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_the_arithmetic_does_what_it_says(precision):
    arithmetic, n_done = make_arithmetic(1e8, precision)
    arithmetic()
    assert n_done == pytest.approx(1e8, rel=0.01)
