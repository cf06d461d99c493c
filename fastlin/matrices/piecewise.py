"""What is known of X in pieces, which need not lie in memory: what a fit may take beside it, how long passes take."""

from typing import Any

import numpy as np

from fastlin.kernels.linear.logistic_rows import SHIFT_ROUNDINGS, allows_folding
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.matrix import Matrix

# A fit may take four times `budget_bytes`, an eighth of X: all that it takes together then fits into a quarter.
PART_IN_MEMORY = 32
# Who has a terabyte on disk, or on other machines, need not have a large part of it as memory.
MOST_BYTES = 1 << 30


class PiecewiseMatrix(Matrix):
    """X of shape (n, d) in pieces of rows, which are all dense or all sparse.

    Parameters
    ----------
    shape : tuple of int
        The number of rows n and of columns d.
    dtype : dtype
        The type of X.
    is_sparse : bool
        Whether the pieces are sparse.
    n_entries : int
        The number of entries that a pass reads.
    longest_row : int
        The number of entries of the longest row.

    Attributes
    ----------
    longest_row
        The parameter.
    """

    lies_in_memory = False

    def __init__(
        self, shape: tuple[int, int], dtype: np.dtype[Any], is_sparse: bool, n_entries: int, longest_row: int
    ) -> None:
        n_bytes = n_entries * (dtype.itemsize + (4 if is_sparse else 0))
        super().__init__(shape, dtype, is_sparse, n_entries, min(n_bytes // PART_IN_MEMORY, MOST_BYTES))
        self.longest_row = longest_row

    def count_shift_roundings(self, scaling: Scaling, n_rows_coef: int) -> float:
        """Return how many roundings the shift of a column takes part in at most, relative to those of a product.

        The passes over the pieces have K rows of coefficients, and columns that enter by a Scaling.
        """
        if self.is_sparse:
            return 1 + (self.shape[1] + 1) / (self.longest_row + 2)
        return SHIFT_ROUNDINGS if n_rows_coef == 1 and allows_folding(*scaling, np.float64) else 0.0
