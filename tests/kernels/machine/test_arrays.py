"""Aligned arrays and writable views."""

import numpy as np
import pytest
from numba import typeof

from fastlin.kernels.machine.arrays import CACHE_LINE, any_layout, writable_view, zeros_aligned


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (10, 784)])
def test_aligned_arrays_start_on_a_cache_line(dtype, shape):
    array = zeros_aligned(shape, dtype)
    assert (array.shape, array.dtype) == (shape, dtype)
    assert array.ctypes.data % CACHE_LINE == 0
    assert not array.any()


def test_a_writable_view_is_the_same_memory_and_keeps_it_alive():
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
def test_kernels_see_one_type_of_array_whatever_its_layout(shape):
    X, types = np.arange(12.0)[: shape[0] * shape[1]].reshape(shape), set()
    read_only = X.copy()
    read_only.flags.writeable = False
    for layout in (X, np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], read_only):
        view = any_layout(layout)
        types.add(typeof(view))
        for layer in view:
            np.testing.assert_array_equal(layer, layout)
            assert np.shares_memory(layer, layout)
    assert types == {typeof(np.empty((2, 2, 4))[..., ::2])}
