"""The lines of sparse data, their rows or columns, and how they are cut into blocks."""

from bisect import bisect_left

import numpy as np

from fastlin.kernels.linear.operands import Compressed
from fastlin.kernels.machine.arrays import writable_view
from fastlin.kernels.machine.gather import count_columns
from fastlin.kernels.machine.threads import NUMBER_WORK, cut_work
from fastlin.typing import IntArray, SparseContainer

# What a row or column takes beside its entries, in entries.
LINE_WORK = 8
# Entries for each number of the sums that every block of rows has for itself: adding up the sums takes little beside.
ENTRIES_PER_SUM = 4


def count_line_blocks(n_lines: int, n_entries: int, n_classes: int) -> int:
    """Return into how many blocks n_lines rows or columns are cut: from the shape of the data alone."""
    width = 1 + count_columns(n_classes) // 8
    return cut_work(NUMBER_WORK * width * (int(n_entries) + LINE_WORK * n_lines))


def count_blocks_with_sums(n_rows: int, n_entries: int, n_columns: int) -> int:
    """Return into how many blocks rows are cut that each have sums for all columns: 0 where there are few entries."""
    return min(count_line_blocks(n_rows, n_entries, 1), n_entries // (ENTRIES_PER_SUM * max(1, n_columns)))


def count_starts(indptr: IntArray, rows: IntArray) -> IntArray:
    """Return where the entries of each row would start, (m + 1,), if only the given rows, or all, were there."""
    if not len(rows):
        return indptr
    return np.append(0, np.cumsum(indptr[rows + 1] - indptr[rows], dtype=np.int64))


def cut_lines(starts: IntArray, n_blocks: int) -> IntArray:
    """Return the n_blocks + 1 borders of blocks of rows or columns that have about as much work each.

    The entries of line i stand from starts[i] to starts[i + 1]: a few columns of text have most of the entries.
    """
    n_lines, origin = len(starts) - 1, int(starts[0])

    def work(i):
        return int(starts[i]) - origin + LINE_WORK * i

    total = work(n_lines)
    borders = [bisect_left(range(n_lines), total * block // n_blocks, key=work) for block in range(n_blocks)]
    return np.array([*borders, n_lines])


def compressed(matrix: SparseContainer) -> Compressed:
    """Return a CSR or CSC matrix as kernels take it, the same memory."""
    data = matrix.data.view(np.uint8) if matrix.dtype == bool else matrix.data
    arrays = (writable_view(np.ascontiguousarray(array)) for array in (data, matrix.indices, matrix.indptr))
    return Compressed(*arrays)
