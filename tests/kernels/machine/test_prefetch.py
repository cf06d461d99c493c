"""Lists of memory to prefetch: each cache line of the next rows exactly once, and no other lines."""

import numpy as np
import pytest
from conftest import make_python_callable

from fastlin.kernels.machine import prefetch
from fastlin.kernels.machine.arrays import CACHE_LINE, make_any_layout_view
from fastlin.kernels.machine.compilation import kernel

empty_prefetch_list, next_prefetched_lines = (
    make_python_callable(prefetch.empty_prefetch_list),
    make_python_callable(prefetch.next_prefetched_lines),
)


@kernel
def list_prefetched_rows(layers, numbers, first, prefetch_list):
    """List the rows of a layer within a kernel, as passes do. From Python, each layout would have its own type."""
    prefetch.list_prefetched_rows(layers[0], numbers, first, prefetch_list)


def list_prefetched_addresses(prefetch_list, n_lines):
    """Return the addresses that are prefetched until the list is exhausted."""
    addresses, cached = [], np.zeros(8)
    while True:
        address, step = next_prefetched_lines(prefetch_list, np.int64(n_lines), cached)
        if step == 0:
            assert address == cached.ctypes.data
            return addresses
        assert step == CACHE_LINE
        addresses += [address + line * step for line in range(n_lines)]


@pytest.mark.parametrize("rows", [[3, 4, 5, 6], [5, 2, 9]], ids=["together", "apart"])
@pytest.mark.parametrize("n_lines", [1, 3])
def test_each_cache_line_of_the_rows_is_prefetched_once(rows, n_lines):
    X = np.zeros((10, 100))
    prefetch_list = empty_prefetch_list(np.int64(8))
    list_prefetched_rows(make_any_layout_view(X), np.array([0, *rows]), np.int64(1), prefetch_list)
    addresses = list_prefetched_addresses(prefetch_list, n_lines)
    expected = []
    for row, n_rows in [(3, 4)] if rows[0] == 3 else [(row, 1) for row in rows]:
        n_prefetched_lines = -(-n_rows * X.strides[0] // (n_lines * CACHE_LINE)) * n_lines
        expected += [X[row].ctypes.data + line * CACHE_LINE for line in range(n_prefetched_lines)]
    assert addresses == expected


def test_at_most_as_many_rows_as_a_tile_has_are_listed():
    X = np.zeros((10, 8))
    prefetch_list = empty_prefetch_list(np.int64(2))
    list_prefetched_rows(make_any_layout_view(X), np.array([7, 1, 4, 3]), np.int64(1), prefetch_list)
    assert list_prefetched_addresses(prefetch_list, 1) == [X[1].ctypes.data, X[4].ctypes.data]


@pytest.mark.parametrize("X", [np.zeros((10, 8)).T, np.zeros((8, 20))[:, ::2]], ids=["columns", "gaps"])
def test_rows_that_are_not_contiguous_are_not_listed(X):
    prefetch_list = empty_prefetch_list(np.int64(4))
    list_prefetched_rows(make_any_layout_view(X), np.arange(8), np.int64(0), prefetch_list)
    assert list_prefetched_addresses(prefetch_list, 1) == []
