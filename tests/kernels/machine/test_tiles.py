"""Tiles of any type and layout against NumPy's conversion."""

import numpy as np
import pytest
from conftest import from_python

from fastlin.kernels.machine import tiles
from fastlin.kernels.machine.simd import ROW_GROUP, VECTOR_BYTES
from fastlin.kernels.machine.tiles import MAX_TILE_ROWS, count_tile_rows

load_tile, zeros_padded = from_python(tiles.load_tile), from_python(tiles.zeros_padded)
pad_columns, pad_vector = from_python(tiles.pad_columns), from_python(tiles.pad_vector)

TYPES = ["float64", "float32", "uint8", "int8", "int16", "int32", "bool"]


def layouts(X):
    """Yield X in C order, in Fortran order, with gaps between columns, and backwards."""
    yield np.ascontiguousarray(X)
    yield np.asfortranarray(X)
    wide = np.zeros((2 * X.shape[0], 3 * X.shape[1]), X.dtype)
    wide[::2, ::3] = X
    yield wide[::2, ::3]
    yield np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_and_layout_gives_the_same_tile(dtype, kind):
    generator = np.random.default_rng(0)
    for n_features in (1, 2, 7, 16, 17, 33):
        X = (generator.normal(0, 40, (13, n_features)) % 120).astype(dtype)
        rows = generator.permutation(13)
        factors = (2.0 ** generator.integers(-3, 3, n_features)).astype(kind)
        offsets = generator.normal(size=n_features).astype(kind)
        loaded = []
        for layout in layouts(X):
            tile = zeros_padded(16, n_features, np.dtype(kind))
            load_tile(layout, rows, 2, 12, pad_vector(factors, tile), pad_vector(offsets, tile), tile)
            loaded.append(tile)
        expected = X[rows[2:12]].astype(kind) * factors + offsets
        tolerance = 1e-6 if kind == np.float32 else 1e-14
        np.testing.assert_allclose(loaded[0][:10, :n_features], expected, rtol=tolerance, atol=100 * tolerance)
        assert not loaded[0][:, n_features:].any()
        assert not loaded[0][10:].any()
        for tile in loaded[1:]:
            np.testing.assert_array_equal(tile, loaded[0])


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("n_features", [1, 7, 8, 64, 512, 784])
def test_padding_is_whole_vectors_that_start_on_a_cache_line(kind, n_features):
    itemsize = np.dtype(kind).itemsize
    width = zeros_padded(2, n_features, np.dtype(kind)).shape[1]
    assert width >= n_features
    assert width * itemsize % VECTOR_BYTES == 0
    assert width * itemsize % 512 != 0
    values = np.ones((3, n_features), kind)
    padded = pad_columns(values)
    assert padded.shape == (3, width)
    assert padded.ctypes.data % 64 == 0
    np.testing.assert_array_equal(padded[:, :n_features], values)
    assert not padded[:, n_features:].any()


@pytest.mark.parametrize("n_features", [1, 3, 784, 100_000])
@pytest.mark.parametrize("n_classes", [1, 10, 1000])
def test_tiles_hold_whole_groups_of_rows(n_features, n_classes):
    rows = count_tile_rows(n_features, n_classes, 8)
    assert rows >= ROW_GROUP
    assert rows % ROW_GROUP == 0
    assert rows <= MAX_TILE_ROWS
