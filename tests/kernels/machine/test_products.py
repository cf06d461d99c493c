"""The two products of a tile against NumPy, for every remainder of rows, classes and vectors."""

import numpy as np
import pytest
from conftest import from_python

from fastlin.kernels.machine import prefetch, products, tiles
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.simd import VECTOR_BYTES

add_scores, add_product = from_python(products.add_scores), from_python(products.add_product)
zeros_padded = from_python(tiles.zeros_padded)


def make_operands(n_rows, n_features, n_classes, kind):
    generator = np.random.default_rng(n_rows)
    tile, coef = zeros_padded(16, n_features, np.dtype(kind)), zeros_padded(n_classes, n_features, np.dtype(kind))
    tile[:n_rows, :n_features] = generator.normal(size=(n_rows, n_features))
    coef[:, :n_features] = generator.normal(size=(n_classes, n_features))
    multipliers = zeros_aligned((n_classes, 16), kind)
    multipliers[:] = np.nan
    multipliers[:, :n_rows] = generator.normal(size=(n_classes, n_rows))
    return tile, coef, multipliers


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [1, 2, 3, 4, 5, 7, 11])
@pytest.mark.parametrize("n_features", [1, 2, 7, 16, 17, 33, 70, 900])
@pytest.mark.parametrize("n_rows", [1, 6, 16])
def test_products_agree_with_numpy(n_rows, n_features, n_classes, kind):
    tile, coef, multipliers = make_operands(n_rows, n_features, n_classes, kind)
    intercept = np.arange(n_classes).astype(kind)
    scores = zeros_aligned((n_classes, 16), kind)
    scores[:] = intercept[:, None]
    add_scores(tile, n_rows, coef, 0, scores, np.zeros(prefetch.ADDRESSES + 16, np.int64))
    tolerance = 1e-4 if kind == np.float32 else 1e-12
    expected = coef.astype(float) @ tile[:n_rows].T.astype(float) + intercept[:, None]
    np.testing.assert_allclose(scores[:, :n_rows], expected, rtol=tolerance, atol=tolerance)
    expected = multipliers[:, :n_rows].astype(float) @ tile[:n_rows].astype(float)
    for kind_of_sums in (np.float64, kind):
        for first in (0, 4 * VECTOR_BYTES // tile.itemsize):
            sums = zeros_aligned((n_classes, tile.shape[1]), kind_of_sums)
            sums[:] = 2
            add_product(tile, n_rows, multipliers, first, sums, np.zeros(prefetch.ADDRESSES + 16, np.int64))
            np.testing.assert_allclose(sums[:, first:], expected[:, first:] + 2, rtol=tolerance, atol=tolerance)
            assert (sums[:, :first] == 2).all()
