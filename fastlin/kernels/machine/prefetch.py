"""The list of memory ranges to prefetch during the products with a tile: the rows of X for the next tile.

Without prefetching, the time of a pass is the sum of its memory time and its arithmetic time. The products prefetch one
cache line in each step of their loops, because the processor cannot queue bursts of prefetches. Loading the next tile
inside these loops would be slower.
"""

import numpy as np

from fastlin.kernels.machine.arrays import CACHE_LINE, zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.intrinsics import optimize_for_size

# Positions in a list of memory ranges: the index of the next range, the next byte in this range, the number of ranges,
# the number of bytes per range, and the addresses of the ranges, starting at FIRST_ADDRESS_POSITION.
NEXT_RANGE_POSITION, NEXT_BYTE_POSITION, RANGE_COUNT_POSITION, RANGE_BYTES_POSITION, FIRST_ADDRESS_POSITION = range(5)


@kernel(inline=True)
def empty_prefetch_list(tile_rows):
    """Return an empty list with a capacity of tile_rows memory ranges."""
    return zeros_aligned(FIRST_ADDRESS_POSITION + tile_rows, np.int64)


@kernel(inner=True)
def list_prefetched_rows(X, rows, start, prefetch_list):
    """Overwrite the list ``prefetch_list`` with the memory ranges of the rows of X from ``rows[start]``.

    The list contains as many rows as its capacity allows. It becomes empty if the rows of X are not contiguous.
    """
    optimize_for_size()
    n_rows = min(rows.shape[0] - start, prefetch_list.shape[0] - FIRST_ADDRESS_POSITION)
    for i in range(FIRST_ADDRESS_POSITION):
        prefetch_list[i] = 0
    if n_rows > 0 and X.strides[1] == X.itemsize:
        is_one_range = rows[start + n_rows - 1] - rows[start] == n_rows - 1 and X.strides[0] == X.shape[1] * X.itemsize
        prefetch_list[RANGE_COUNT_POSITION] = 1 if is_one_range else n_rows
        prefetch_list[RANGE_BYTES_POSITION] = X.shape[1] * X.itemsize * (n_rows if is_one_range else 1)
        for i in range(prefetch_list[RANGE_COUNT_POSITION]):
            prefetch_list[FIRST_ADDRESS_POSITION + i] = np.intp(X.ctypes.data) + rows[start + i] * X.strides[0]


@kernel(inline=True)
def next_prefetched_lines(prefetch_list, n_lines, cached_array):
    """Return the address of the next n_lines cache lines of the list, and the stride between these lines in bytes.

    At the end of the list, the address is that of ``cached_array``, an array that is already in the cache, and the
    stride is
    0.
    """
    if prefetch_list[NEXT_RANGE_POSITION] >= prefetch_list[RANGE_COUNT_POSITION]:
        return np.intp(cached_array.ctypes.data), 0
    address = (
        prefetch_list[FIRST_ADDRESS_POSITION + prefetch_list[NEXT_RANGE_POSITION]] + prefetch_list[NEXT_BYTE_POSITION]
    )
    prefetch_list[NEXT_BYTE_POSITION] += n_lines * CACHE_LINE
    if prefetch_list[NEXT_BYTE_POSITION] >= prefetch_list[RANGE_BYTES_POSITION]:
        prefetch_list[NEXT_RANGE_POSITION] += 1
        prefetch_list[NEXT_BYTE_POSITION] = 0
    return address, CACHE_LINE
