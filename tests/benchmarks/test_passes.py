"""The races of passes: fastlin and NumPy compute the same loss and gradients."""

import numpy as np
import pytest
from conftest import marked

from benchmarks.passes import FusedPass, draw_coef, make_numpy_pass

# Relative to the largest entry. NumPy's products in float32 add up some hundred terms.
TOLERANCE = {"float64": 1e-12, "float32": 2e-5, "uint8": 2e-5}


@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float64", *marked(pytest.mark.thorough, "float32", "uint8")])
def test_both_compute_the_same(dtype, order, layout):
    generator = np.random.default_rng(0)
    X = generator.integers(0, 256, (300, 20), np.uint8)
    X = np.asarray(X if dtype == "uint8" else (X / 255).astype(dtype), order=layout)
    point = X, np.arange(300) % 10, 10, *draw_coef(X)
    for found, expected in zip(
        FusedPass(*point).value_and_gradient(), make_numpy_pass(*point, order=order)(), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * np.abs(expected).max())
