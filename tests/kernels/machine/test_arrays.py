"""Aligned arrays and writable views."""

import numpy as np
import pytest
from numba import typeof

from fastlin.kernels.machine.arrays import CACHE_LINE, any_layout, writable_view, zeros_aligned


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (10, 784)])
def test_aligned_arrays_start_on_a_cache_line(dtype, shape):
    array = zeros_aligned(shape, dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.ctypes.data % CACHE_LINE == 0
    assert not array.any()


def test_a_writable_view_is_the_same_memory():
    X = np.arange(6.0).reshape(2, 3)
    assert writable_view(X) is X
    X.flags.writeable = False
    view = writable_view(X)
    assert view.flags.writeable
    assert np.shares_memory(view, X)
    np.testing.assert_array_equal(view, X)
    assert not X.flags.writeable


def test_the_view_keeps_the_memory_alive():
    X = np.full(100_000, 7.0)
    X.flags.writeable = False
    view = writable_view(X)
    del X
    np.full(100_000, 3.0)
    assert (view == 7).all()


def lay_out(X):
    """Yield X with rows that are one piece of memory, with columns that are, with neither, and marked read-only."""
    yield X
    yield np.asfortranarray(X)
    yield np.repeat(X, 2, axis=1)[:, ::2]
    read_only = X.copy()
    read_only.flags.writeable = False
    yield read_only


@pytest.mark.parametrize("shape", [(4, 3), (1, 3), (4, 1), (1, 1)])
def test_kernels_see_one_type_of_array_whatever_its_layout(shape):
    types = set()
    for X in lay_out(np.arange(12.0)[: shape[0] * shape[1]].reshape(shape)):
        view = any_layout(X)
        types.add(typeof(view))
        for layer in view:
            np.testing.assert_array_equal(layer, X)
            assert np.shares_memory(layer, X)
    assert types == {typeof(np.empty((2, 2, 4))[..., ::2])}
