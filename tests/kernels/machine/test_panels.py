"""Tiles that are cut into panels against NumPy, beside those of the same rows that are not."""

import numpy as np
import pytest
from conftest import COMPILED, from_python

from fastlin.kernels.machine import panels, prefetch
from fastlin.kernels.machine.arrays import any_layout, zeros_aligned
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.panels import COLUMNS_TURNED, MANY_CLASSES
from fastlin.kernels.machine.tiles import MAX_TILE_ROWS, Scaling

open_panels, open_sums = from_python(panels.open_panels), from_python(panels.open_sums)
open_panels_to_read, copy_sums = from_python(panels.open_panels_to_read), from_python(panels.copy_sums)
load_and_multiply, read_and_multiply = from_python(panels.load_and_multiply), from_python(panels.read_and_multiply)
add_tile = from_python(panels.add_tile)

KINDS = [np.float64, np.float32]
# Below, at and above a vector, a panel and the columns that are turned together; two of these and a remainder.
FEATURES = [1, 15, 16, 17, COLUMNS_TURNED, 65, 150] if COMPILED else [17, 70]
# The fewest that are cut, with a remainder in each loop, and more than are worked on together.
CLASSES = [MANY_CLASSES, MANY_CLASSES + 1, 2 * panels.CLASSES_CACHED + 2] if COMPILED else [MANY_CLASSES + 1]
ROWS = [1, 33, MAX_TILE_ROWS]


def make_problem(n_features, n_classes, kind, dtype=None):
    """Return X, the row numbers of a tile in no order, a scaling, coef and intercept."""
    generator = np.random.default_rng(n_features)
    X = generator.normal(size=(MAX_TILE_ROWS + 7, n_features)).astype(dtype or kind)
    numbers = generator.permutation(len(X))[:MAX_TILE_ROWS]
    scaling = Scaling(
        2.0 ** generator.integers(-2, 2, n_features).astype(kind), generator.normal(size=n_features).astype(kind)
    )
    coef = generator.normal(size=(n_classes, n_features)).astype(kind)
    return X, numbers, scaling, coef, generator.normal(size=n_classes).astype(kind)


def nothing_ahead():
    return np.zeros(prefetch.ADDRESSES + MAX_TILE_ROWS, np.int64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_features", FEATURES)
def test_products_of_panels_agree_with_numpy(n_features, kind):
    eps = np.finfo(kind).eps
    for n_classes in CLASSES:
        X, all_numbers, scaling, coef, intercept = make_problem(n_features, n_classes, kind)
        for n_rows in ROWS:
            numbers = all_numbers[:n_rows]
            x = X[numbers].astype(float) * scaling.scale + scaling.shift
            multipliers = zeros_aligned((n_classes, MAX_TILE_ROWS), kind)
            multipliers[:] = np.nan
            multipliers[:, :n_rows] = np.random.default_rng(n_rows).normal(size=(n_classes, n_rows))
            found = []
            for layout in (X, np.asfortranarray(X)):
                room = open_panels(coef, scaling, np.int64(MAX_TILE_ROWS))
                assert len(room.turned)
                scores = zeros_aligned((n_classes, MAX_TILE_ROWS), kind)
                load_and_multiply(any_layout(layout)[0], numbers, room, intercept, scores, nothing_ahead())
                expected = coef.astype(float) @ x.T + intercept[:, None]
                size = np.abs(coef.astype(float)) @ np.abs(x).T + np.abs(intercept[:, None])
                assert (np.abs(scores[:, :n_rows] - expected) <= (n_features + 3) * eps * size).all()
                sums = open_sums(room, np.int64(n_classes))
                for _ in range(2):
                    add_tile(room, np.int64(n_rows), multipliers, sums, nothing_ahead())
                total = np.full((n_classes, n_features), np.nan)
                copy_sums(sums, total)
                weights = multipliers[:, :n_rows].astype(float)
                assert (np.abs(total - 2 * weights @ x) <= 2 * (n_rows + 2) * eps * (np.abs(weights) @ np.abs(x))).all()
                found.append((scores[:, :n_rows].copy(), total))
            for first, second in zip(*found, strict=True):
                np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_only_read_are_neither_scaled_nor_kept(kind):
    X, numbers, _, coef, intercept = make_problem(70, MANY_CLASSES, kind, np.uint8)
    for layout in (X, np.asfortranarray(X)):
        view = any_layout(layout)[0]
        room = open_panels_to_read(view, coef, np.int64(MAX_TILE_ROWS))
        scores = zeros_aligned((MANY_CLASSES, MAX_TILE_ROWS), kind)
        read_and_multiply(view, numbers, room, intercept, scores, nothing_ahead())
        x = X[numbers].astype(float)
        size = np.abs(coef.astype(float)) @ x.T + np.abs(intercept[:, None])
        assert (np.abs(scores - coef.astype(float) @ x.T - intercept[:, None]) <= 75 * np.finfo(kind).eps * size).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n_classes", "tile_rows"), [(MANY_CLASSES - 1, MAX_TILE_ROWS), (MANY_CLASSES, 64)])
def test_few_classes_and_few_rows_are_not_cut(n_classes, tile_rows, kind):
    _, _, scaling, coef, _ = make_problem(70, n_classes, kind)
    room = open_panels(coef, scaling, np.int64(tile_rows))
    assert room.turned.shape[0] == 0
    assert room.coef.shape[0] == n_classes
    assert room.tile.shape[0] == tile_rows


@pytest.mark.parametrize("n_rows", [1, 60, MAX_TILE_ROWS - 1, MAX_TILE_ROWS, 5000])
def test_tiles_are_cut_where_they_are_full(n_rows):
    for n_features in (3, 40, 700):
        for n_classes in (3, MANY_CLASSES - 1, MANY_CLASSES, 1000):
            rows = panels.choose_tile_rows(n_rows, n_features, n_classes, 4)
            assert rows % 8 == 0
            assert (rows == MAX_TILE_ROWS) == (n_rows >= MAX_TILE_ROWS) or n_classes < MANY_CLASSES
    assert MAX_TILE_ROWS % (panels.PANEL_VECTORS * VECTOR_BYTES // 4) == 0
    assert COLUMNS_TURNED % (panels.PANEL_VECTORS * VECTOR_BYTES // 4) == 0


def test_roundings_of_a_score_count_what_a_product_adds():
    # One number after the other within the columns that are turned together, then their sums and the intercept.
    assert panels.count_product_roundings(512, 1000) >= COLUMNS_TURNED + 512 // COLUMNS_TURNED + 1
    assert panels.count_product_roundings(3, 1000) >= 5
