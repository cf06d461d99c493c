"""The two products of a tile against NumPy, for every remainder of rows, classes and vectors."""

import numpy as np
import pytest
from conftest import COMPILED, from_python, marked

from fastlin.kernels.machine import prefetch, products, tiles
from fastlin.kernels.machine.arrays import zeros_aligned

add_scores, add_product = from_python(products.add_scores), from_python(products.add_product)
zeros_padded = from_python(tiles.zeros_padded)

# Passes in float32 have these products too.
KINDS = [np.float64, *marked(pytest.mark.thorough, np.float32)]
# Below, at and above a loop's three or five classes, with remainders of one and of two.
CLASSES = [1, 2, 3, 4, 5, 7, 11]
# Below, at and above a vector and four vectors, and more than a chunk of a product.
FEATURES = [1, 7, 16, 17, 33, 70, 900] if COMPILED else [1, 7, 33, 300]
TILE_ROWS = 16


def nothing_ahead():
    return np.zeros(prefetch.ADDRESSES + TILE_ROWS, np.int64)


def make_operands(n_rows, n_features, n_classes, kind):
    generator = np.random.default_rng(n_rows)
    tile, coef = (zeros_padded(n, n_features, np.dtype(kind)) for n in (TILE_ROWS, n_classes))
    tile[:n_rows, :n_features] = generator.normal(size=(n_rows, n_features))
    coef[:, :n_features] = generator.normal(size=(n_classes, n_features))
    multipliers = zeros_aligned((n_classes, TILE_ROWS), kind)
    multipliers[:] = np.nan
    multipliers[:, :n_rows] = generator.normal(size=(n_classes, n_rows))
    return tile, coef, multipliers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_features", FEATURES)
def test_products_agree_with_numpy(n_features, kind):
    eps = np.finfo(kind).eps
    for n_classes in CLASSES:
        for n_rows in (1, 6, 16):
            tile, coef, multipliers = make_operands(n_rows, n_features, n_classes, kind)
            rows, weights = tile[:n_rows].astype(float), multipliers[:, :n_rows].astype(float)
            intercept = np.arange(n_classes).astype(kind)
            scores = zeros_aligned((n_classes, TILE_ROWS), kind)
            scores[:] = intercept[:, None]
            add_scores(tile, n_rows, n_rows, coef, np.int64(0), scores, nothing_ahead())
            expected = coef.astype(float) @ rows.T + intercept[:, None]
            bound = (n_features + 1) * eps * (np.abs(coef.astype(float)) @ np.abs(rows).T + intercept[:, None])
            assert (np.abs(scores[:, :n_rows] - expected) <= bound).all()
            expected = 2 + weights @ rows
            bound = (n_rows + 1) * eps * (2 + np.abs(weights) @ np.abs(rows))
            for kind_of_sums in {np.float64, kind}:
                sums = zeros_aligned((n_classes, tile.shape[1]), kind_of_sums)
                sums[:] = 2
                add_product(tile, n_rows, multipliers, sums, nothing_ahead())
                assert (np.abs(sums - expected) <= bound).all()
