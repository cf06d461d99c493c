"""Aligned arrays, views, and tiles of any type and layout, compared with NumPy's conversion."""

import numpy as np
import pytest
from conftest import LAYOUTS, make_python_callable, mark_params
from numba import typeof

from fastlin.kernels.machine import tiles
from fastlin.kernels.machine.arrays import CACHE_LINE, make_any_layout_view, writable_view, zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.gather import make_zero_table
from fastlin.kernels.machine.simd import ROWS_PER_GROUP
from fastlin.kernels.machine.tiles import MAX_TILE_ROWS, Scaling, count_tile_rows, uses_transposed_tile

zeros_padded, pad_columns = make_python_callable(tiles.zeros_padded), make_python_callable(tiles.pad_columns)
SELECTED_ROWS = np.random.default_rng(0).permutation(13)[2:12]
# The sizes are multiples of the vector width or have remainders. Some rows have gaps, and some are repeated.
SHAPES = [(SELECTED_ROWS, n_features) for n_features in (1, 2, 7, 16, 17, 33)]
SHAPES += [(rows, 53) for rows in (np.arange(3, 38), np.delete(np.arange(36), 5), np.array([2, 2, *range(4, 37)]))]
# The dtypes of X, scaling and tile in the combinations that occur. Compilation for each combination is slow.
TYPES = [("float64", np.float64, np.float64), ("uint8", np.float32, np.float32)]
TYPES += mark_params(pytest.mark.thorough, ("float32", np.float32, np.float32))
TYPES += mark_params(
    pytest.mark.slow,
    *((dtype, np.float64, np.float64) for dtype in ("uint8", "int8", "int16")),
    ("float64", np.float64, np.float32),
)


@kernel
def load_tile(layers, numbers, scaling, tile):
    """Load the rows of a layer within a kernel, as passes do. From Python, each layout would have its own type."""
    tiles.load_tile(layers[0], numbers, tiles.pad_scaling(scaling, tile), tile)


@pytest.mark.parametrize(("dtype", "scale_kind", "kind"), TYPES)
def test_every_type_and_layout_gives_the_same_tile(dtype, scale_kind, kind):
    generator = np.random.default_rng(0)
    for numbers, n_features in SHAPES:
        X, m = (generator.normal(0, 40, (40, n_features)) % 120).astype(dtype), len(numbers)
        scale = (2.0 ** generator.integers(-3, 3, n_features)).astype(scale_kind)
        scaling = Scaling(scale, generator.normal(size=n_features).astype(scale_kind))
        expected = X[numbers].astype(float) * scale.astype(float) + scaling.shift.astype(float)
        # The sum and the conversion to the tile's type each have one rounding error.
        bound = (np.finfo(kind).eps + np.finfo(scale_kind).eps) * (np.abs(X[numbers] * scale) + np.abs(scaling.shift))
        loaded = []
        for change in LAYOUTS.values():
            tile = zeros_padded(40, n_features, np.dtype(kind))
            load_tile(make_any_layout_view(change(X)), numbers, scaling, tile)
            loaded.append(tile)
            np.testing.assert_array_equal(tile, loaded[0])
        assert (np.abs(tile[:m, :n_features] - expected) <= bound).all()
        assert not tile[:, n_features:].any() and not tile[m:].any()


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_padded_rows_are_whole_vectors_on_cache_lines(kind):
    itemsize = np.dtype(kind).itemsize
    for n_features in (1, 7, 8, 64, 512, 784):
        width = zeros_padded(2, n_features, np.dtype(kind)).shape[1]
        assert width >= n_features
        assert width * itemsize % VECTOR_BYTES == 0 != width * itemsize % 512
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
    assert ROWS_PER_GROUP <= rows <= MAX_TILE_ROWS and rows % ROWS_PER_GROUP == 0
    assert rows == MAX_TILE_ROWS or not uses_transposed_tile(n_features, n_classes)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (10, 784)])
def test_aligned_arrays_start_on_a_cache_line(dtype, shape):
    array = zeros_aligned(shape, dtype)
    assert (array.shape, array.dtype) == (shape, dtype)
    assert array.ctypes.data % CACHE_LINE == 0
    assert not array.any()


@pytest.mark.parametrize("n_classes", [1, 2, 3, 4, 5, 8, 9, 16, 20, 24, 32, 40, 70])
def test_table_rows_are_whole_vectors_on_cache_lines(n_classes):
    table = make_zero_table(7, n_classes)
    assert table.shape[1] >= n_classes
    assert table.ctypes.data % CACHE_LINE == 0
    assert n_classes == 1 or 8 * table.shape[1] % (VECTOR_BYTES // 2) == 0
    assert not table.any()


def test_a_writable_view_keeps_the_memory_alive():
    X = np.full((2, 50_000), 7.0)
    assert writable_view(X) is X
    X.flags.writeable = False
    view = writable_view(X)
    assert view.flags.writeable and not X.flags.writeable
    assert np.shares_memory(view, X)
    del X
    np.full(100_000, 3.0)
    assert view.shape == (2, 50_000) and (view == 7).all()


@pytest.mark.parametrize("shape", [(4, 3), (1, 3), (4, 1), (1, 1)])
def test_kernels_get_one_array_type_for_every_layout(shape):
    X, types = np.arange(12.0)[: shape[0] * shape[1]].reshape(shape), set()
    read_only_X = X.copy()
    read_only_X.flags.writeable = False
    for layout in (X, np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], read_only_X):
        view = make_any_layout_view(layout)
        types.add(typeof(view))
        for layer in view:
            np.testing.assert_array_equal(layer, layout)
            assert np.shares_memory(layer, layout)
    assert types == {typeof(np.empty((2, 2, 4))[..., ::2])}
