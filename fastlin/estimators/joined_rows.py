"""The rows of two matrices as those of one: a copy where it is small, else blocks that are read where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from fastlin.blocks.array_blocks import from_arrays, from_csr
from fastlin.blocks.blocks import Blocks
from fastlin.budget import Budget
from fastlin.tensors import choose_type

if TYPE_CHECKING:
    from fastlin.matrices import Matrix


def join_matrices(first: Matrix, second: Matrix) -> Matrix:
    """Return a matrix with the rows of the first and then those of the second.

    Both were given in one kind: sparse rows of the first that a fit has made dense are sparse again. Rows of two types
    get the one that holds both. The shapes and types alone say whether the rows are copied: tables are, since no blocks
    hold them, and others where the copy takes no more than a quarter of what a fit may take beside the first.
    """
    from fastlin.matrices import BlockMatrix, TableMatrix, as_matrix

    if isinstance(first, TableMatrix) and isinstance(second, TableMatrix):
        return first.append(second)
    if second.is_sparse and not first.is_sparse:
        first = as_matrix(sparse.csr_array(first.X))
    dtype = choose_type(np.result_type(first.dtype, second.dtype))
    lie_in_memory = first.lies_in_memory and second.lies_in_memory
    n_bytes = sum(each.shape[0] * each.row_bytes for each in (first, second))
    if lie_in_memory and Budget.beside(first.budget_bytes).holds(n_bytes):
        if first.is_sparse:
            return as_matrix(sparse.vstack([first.X, second.X], format="csr", dtype=dtype))
        return as_matrix(np.concatenate([first.X, second.X], dtype=dtype))
    joined = BlockMatrix(_chain(_as_blocks(first), _as_blocks(second), dtype))
    if lie_in_memory:
        # A fit may take as much beside them as beside one array.
        joined.budget_bytes = first.budget_bytes + second.budget_bytes
    return joined


def _as_blocks(matrix: Any) -> Blocks:
    from fastlin.matrices import BlockMatrix

    if isinstance(matrix, BlockMatrix):
        return matrix.blocks
    return from_csr(matrix.X) if matrix.is_sparse else from_arrays(matrix.X)


def _chain(first: Blocks, second: Blocks, dtype: np.dtype[Any]) -> Blocks:
    """Return the blocks of the first and then of the second, all in one type."""

    def read() -> Iterator[Any]:
        for blocks in (first, second):
            for X in blocks.read():
                yield X.astype(dtype, copy=False)

    borders = np.concatenate([first.borders, first.borders[-1] + second.borders[1:]])
    names = [*first.names, *(f"validation {name}" for name in second.names)]
    shape = first.shape[0] + second.shape[0], first.shape[1]
    row_lengths = None
    if first.is_sparse:
        row_lengths = first.n_entries + second.n_entries, max(first.longest_row, second.longest_row)
    return Blocks(read, borders, names, shape, dtype, row_lengths=row_lengths)
