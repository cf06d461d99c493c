"""The two products of a tile against NumPy, for every remainder of rows, classes and vectors."""

import numpy as np
import pytest
from conftest import COMPILED, assert_same_bits, from_python, marked

from fastlin.kernels.machine import prefetch, products, tiles
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.tiles import Scaling

add_scores, add_product = from_python(products.add_scores), from_python(products.add_product)
load_and_multiply, read_and_multiply = from_python(products.load_and_multiply), from_python(products.read_and_multiply)
zeros_padded, pad_scaling = from_python(tiles.zeros_padded), from_python(tiles.pad_scaling)

KINDS = [np.float64, np.float32]
# Below, at and above a loop's three or five classes, with remainders of one and of two.
CLASSES = [1, 2, 3, 4, 5, 7, 11]
# Below, at and above a vector and four vectors, and more than a chunk of a product.
FEATURES = [1, 7, 16, 17, 33, 70, 900] if COMPILED else [1, 7, 33, 300]
TILE_ROWS = 16


def nothing_ahead():
    return np.zeros(prefetch.ADDRESSES + TILE_ROWS, np.int64)


def make_operands(n_rows, n_features, n_classes, kind):
    generator = np.random.default_rng(n_rows)
    tile, coef = (
        zeros_padded(TILE_ROWS, n_features, np.dtype(kind)),
        zeros_padded(n_classes, n_features, np.dtype(kind)),
    )
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


@pytest.mark.skipif(not COMPILED, reason="uncompiled NumPy adds up both ways in orders of its own")
@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        (np.float64, np.float64),
        # Each takes two to four seconds of the compiler; a whole pass has them in test_dense_rows.py.
        *marked(pytest.mark.thorough, (np.float32, np.float32), (np.uint8, np.float64)),
        *marked(pytest.mark.slow, (np.float64, np.float32)),
    ],
)
def test_scores_are_the_same_bits_from_a_tile_and_from_rows_of_any_layout(dtype, kind):
    generator = np.random.default_rng(0)
    intercept_of = generator.normal(size=max(CLASSES)).astype(kind)
    for n_features in FEATURES:
        X = generator.integers(0, 200, (20, n_features)).astype(dtype)
        numbers = generator.permutation(20)[:11]
        for n_classes in CLASSES:
            _, coef, _ = make_operands(1, n_features, n_classes, kind)
            intercept = intercept_of[:n_classes].copy()
            found = []
            for layout in (X, np.asfortranarray(X)) if dtype == np.float64 else (X,):
                tile, scores = zeros_padded(TILE_ROWS, n_features, np.dtype(kind)), zeros_aligned((n_classes, 16), kind)
                scaling = pad_scaling(Scaling(np.ones(n_features, kind), np.zeros(n_features, kind)), tile)
                room = products.Tile(tile, scaling, coef, scores, nothing_ahead())
                load_and_multiply(layout, numbers, np.int64(0), np.int64(11), intercept, room)
                np.testing.assert_array_equal(tile[:11, :n_features], X[numbers])
                found.append(scores[:, :11].copy())
                spare = tile if layout is not X else tile[:0]
                read_and_multiply(layout, numbers, np.int64(0), np.int64(11), intercept, room._replace(rows=spare))
                found.append(scores[:, :11])
            assert_same_bits([[scores] for scores in found])
            expected = coef[:, :n_features].astype(float) @ X[numbers].T.astype(float) + intercept[:, None]
            size = np.abs(coef[:, :n_features]).astype(float) @ X[numbers].T.astype(float) + np.abs(intercept)[:, None]
            assert (np.abs(found[0] - expected) <= (n_features + 1) * np.finfo(kind).eps * size).all()
