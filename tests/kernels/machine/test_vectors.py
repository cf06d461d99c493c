"""Products and combinations of vectors, compared with NumPy. The solver's tests cover the L-BFGS loops."""

import numpy as np
import pytest

from fastlin.kernels.machine import vectors
from fastlin.kernels.machine.threads import run_blocks


def test_compensated_dot_products_correct_rounding_errors():
    assert vectors.dot(np.arange(7.0), np.arange(7.0) - 3) == 28
    a, b = np.array([1e16, 1.0, -1e16, 3.0]), np.array([1.0, 1.0, 1.0, 0.5])
    assert vectors.compensated_dot(0.25, a, b) == 2.75
    assert vectors.compensated_dot(-1e16, np.array([1.0, 1e16]), np.ones(2)) == 1.0


@pytest.mark.parametrize("n_columns", [1, 5, vectors.COLUMNS_PER_CHUNK, 2 * vectors.COLUMNS_PER_CHUNK + 3])
@pytest.mark.parametrize("n_blocks", [1, 3])
def test_vector_products_and_sums_use_the_first_rows(n_columns, n_blocks):
    generator = np.random.default_rng(n_columns)
    rows, vector = generator.normal(size=(4, n_columns)), generator.normal(size=n_columns)
    rows[3] = np.nan
    for kind in (np.float64, np.float32):
        converted = rows.astype(kind)
        block_products = np.full((n_blocks, 4), -1.0)
        run_blocks(vectors.fill_block_products, n_blocks, converted, 3, vector, block_products)
        np.testing.assert_allclose(
            block_products.sum(axis=0)[:3], converted[:3].astype(float) @ vector, atol=1e-12 * n_columns
        )
        np.testing.assert_array_equal(block_products[:, 3], -1.0)
        combined_vector = vector.copy()
        run_blocks(
            vectors.add_block_linear_combination,
            n_blocks,
            converted,
            3,
            np.array([1.0, -2.0, 0.5, np.nan]),
            combined_vector,
        )
        expected = vector + np.array([1.0, -2.0, 0.5]) @ converted[:3].astype(float)
        np.testing.assert_allclose(combined_vector, expected, atol=1e-13)
