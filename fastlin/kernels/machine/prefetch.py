"""The memory that the products ask for while they work on a tile: the rows of X that the next tile is loaded from.

Without it a pass takes the sum of its memory time and its arithmetic time. The products ask for one cache line in every
step of their loops: in bursts the processor cannot queue them. Loading the next tile inside those loops is slower.
"""

import numpy as np

from fastlin.kernels.machine.arrays import CACHE_LINE, zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.instructions import compile_small

# What a list of pieces of memory holds: the piece and the byte of it that come next, how many pieces there are and
# how many bytes each has, then their addresses.
PIECE, BYTE, COUNT, LENGTH, ADDRESSES = range(5)


@kernel(inline=True)
def empty_list(tile_rows):
    """Return a list of no memory, with space for the rows of a tile."""
    return zeros_aligned(ADDRESSES + tile_rows, np.int64)


@kernel(inner=True)
def list_rows(X, rows, start, ahead):
    """Overwrite the list ``ahead`` with the memory of the rows of X from ``rows[start]`` on, of as many as it has room.

    The list becomes empty where the columns of X do not lie next to each other.
    """
    compile_small()
    n_rows = min(rows.shape[0] - start, ahead.shape[0] - ADDRESSES)
    for i in range(ADDRESSES):
        ahead[i] = 0
    if n_rows > 0 and X.strides[1] == X.itemsize:
        together = rows[start + n_rows - 1] - rows[start] == n_rows - 1 and X.strides[0] == X.shape[1] * X.itemsize
        ahead[COUNT] = 1 if together else n_rows
        ahead[LENGTH] = X.shape[1] * X.itemsize * (n_rows if together else 1)
        for i in range(ahead[COUNT]):
            ahead[ADDRESSES + i] = np.intp(X.ctypes.data) + rows[start + i] * X.strides[0]


@kernel(inline=True)
def next_lines(ahead, n_lines, cached):
    """Return where the next n_lines cache lines of the list start, and the bytes from one to the next.

    At the end of the list these are the address of ``cached``, an array that is in the cache already, and 0.
    """
    if ahead[PIECE] >= ahead[COUNT]:
        return np.intp(cached.ctypes.data), 0
    address = ahead[ADDRESSES + ahead[PIECE]] + ahead[BYTE]
    ahead[BYTE] += n_lines * CACHE_LINE
    if ahead[BYTE] >= ahead[LENGTH]:
        ahead[PIECE] += 1
        ahead[BYTE] = 0
    return address, CACHE_LINE
