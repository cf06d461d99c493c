"""Tiles of any type and layout against NumPy's conversion."""

import numpy as np
import pytest
from conftest import from_python, marked

from fastlin.kernels.machine import tiles
from fastlin.kernels.machine.arrays import CACHE_LINE, any_layout
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.simd import ROW_GROUP
from fastlin.kernels.machine.tiles import MAX_TILE_ROWS, Scaling, count_tile_rows

load_tile, zeros_padded = from_python(tiles.load_tile), from_python(tiles.zeros_padded)
pad_columns, pad_scaling = from_python(tiles.pad_columns), from_python(tiles.pad_scaling)
no_scaling = from_python(tiles.no_scaling)

# The types of X, of the scaling and of the tile that occur together: numbers that are read as they are and widened,
# and what float32 is centred for. Each takes half a second of the compiler.
TYPES = [("float64", np.float64, np.float64), ("uint8", np.float32, np.float32)]
TYPES += marked(pytest.mark.thorough, ("float32", np.float32, np.float32))
TYPES += marked(
    pytest.mark.slow,
    *((dtype, np.float64, np.float64) for dtype in ("uint8", "int8", "int16")),
    ("float64", np.float64, np.float32),
)


def layouts(X):
    """Yield X in C order, with gaps between columns, and backwards: the last two of one type, that of any strides."""
    yield np.ascontiguousarray(X)
    wide = np.zeros((2 * X.shape[0], 3 * X.shape[1]), X.dtype)
    wide[::2, ::3] = X
    yield wide[::2, ::3]
    yield np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]


@pytest.mark.parametrize(("dtype", "scale_kind", "kind"), TYPES)
def test_every_type_and_layout_gives_the_same_tile(dtype, scale_kind, kind):
    generator = np.random.default_rng(0)
    for n_features in (1, 2, 7, 16, 17, 33):
        X = (generator.normal(0, 40, (13, n_features)) % 120).astype(dtype)
        numbers = generator.permutation(13)[2:12]
        scale = (2.0 ** generator.integers(-3, 3, n_features)).astype(scale_kind)
        scaling = Scaling(scale, generator.normal(size=n_features).astype(scale_kind))
        loaded = []
        for layout in layouts(X):
            tile = zeros_padded(16, n_features, np.dtype(kind))
            load_tile(any_layout(layout)[0], numbers, pad_scaling(scaling, tile), tile)
            loaded.append(tile)
        expected = X[numbers].astype(float) * scale.astype(float) + scaling.shift.astype(float)
        # One rounding of the sum, and one to the type of the tile.
        bound = (np.finfo(kind).eps + np.finfo(scale_kind).eps) * (np.abs(X[numbers] * scale) + np.abs(scaling.shift))
        assert (np.abs(loaded[0][:10, :n_features] - expected) <= bound).all()
        assert not loaded[0][:, n_features:].any()
        assert not loaded[0][10:].any()
        for tile in loaded[1:]:
            np.testing.assert_array_equal(tile, loaded[0])


@pytest.mark.parametrize(("dtype", "scale_kind", "kind"), TYPES)
def test_columns_in_fortran_order_give_the_same_tile(dtype, scale_kind, kind):
    generator = np.random.default_rng(1)
    # Whole squares of a vector's width, rows and columns beside them, rows that have gaps, and rows that are repeated.
    for numbers in (np.arange(3, 38), np.delete(np.arange(36), 5), np.array([2, 2, *range(4, 37)])):
        X = (generator.normal(0, 40, (40, 53)) % 120).astype(dtype)
        tile, other = zeros_padded(40, 53, np.dtype(kind)), zeros_padded(40, 53, np.dtype(kind))
        scaling = Scaling(np.full(53, 0.5, scale_kind), generator.normal(size=53).astype(scale_kind))
        load_tile(any_layout(X)[0], numbers, pad_scaling(scaling, tile), tile)
        load_tile(any_layout(np.asfortranarray(X))[0], numbers, pad_scaling(scaling, tile), other)
        np.testing.assert_array_equal(other, tile)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_padding_is_whole_vectors_that_start_on_a_cache_line(kind):
    itemsize = np.dtype(kind).itemsize
    for n_features in (1, 7, 8, 64, 512, 784):
        width = zeros_padded(2, n_features, np.dtype(kind)).shape[1]
        assert width >= n_features
        assert width * itemsize % VECTOR_BYTES == 0
        assert width * itemsize % 512 != 0
        values = np.ones((3, n_features), kind)
        padded = pad_columns(values)
        assert padded.shape == (3, width)
        assert padded.ctypes.data % CACHE_LINE == 0
        np.testing.assert_array_equal(padded[:, :n_features], values)
        assert not padded[:, n_features:].any()


@pytest.mark.parametrize("n_features", [1, 3, 784, 100_000])
@pytest.mark.parametrize("n_classes", [1, 10, 1000])
def test_tiles_hold_whole_groups_of_rows(n_features, n_classes):
    rows = count_tile_rows(n_features, n_classes, 8)
    assert rows >= ROW_GROUP
    assert rows % ROW_GROUP == 0
    assert rows <= MAX_TILE_ROWS
