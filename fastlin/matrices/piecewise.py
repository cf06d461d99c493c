"""What is known of X in pieces, which need not lie in memory: what a fit may take beside it, how long passes take."""

from typing import Any

import numpy as np

from fastlin.kernels.linear.logistic_rows import SHIFT_ROUNDINGS, allows_folding
from fastlin.matrices.dense import MIN_FLOAT32_WORK
from fastlin.matrices.sparse import MAX_GRAM_SHIFT
from fastlin.typing import FloatArray

# A fit may take four times `nbytes`, an eighth of X: all that it takes together then fits into a quarter.
PART_IN_MEMORY = 32
# Who has a terabyte on disk, or on other machines, need not have a large part of it as memory.
MOST_BYTES = 1 << 30


class PiecewiseMatrix:
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
    shape, dtype, is_sparse, n_entries, longest_row
        The parameters.
    nbytes : int
        What stands for the bytes of X where memory is shared out: a part of them, since X need not fit.
    """

    lies_in_memory = False

    def __init__(
        self, shape: tuple[int, int], dtype: np.dtype[Any], is_sparse: bool, n_entries: int, longest_row: int
    ) -> None:
        self.shape, self.dtype, self.is_sparse = shape, dtype, is_sparse
        self.n_entries, self.longest_row = n_entries, longest_row
        self.nbytes = min(n_entries * (dtype.itemsize + (4 if is_sparse else 0)) // PART_IN_MEMORY, MOST_BYTES)

    def gains_from_float32(self, n_rows_coef: int) -> bool:
        """Say whether passes are faster in float32, for K rows of coefficients."""
        return not self.is_sparse and self.n_entries * n_rows_coef >= MIN_FLOAT32_WORK

    def resolves_gram(self, shift: FloatArray) -> bool:
        """Say whether Gram matrices of columns with such shifts (d,) keep their digits."""
        return not self.is_sparse or bool(np.abs(shift).max(initial=0.0) <= MAX_GRAM_SHIFT)

    def count_gram_work(self) -> int:
        """Return the multiply-adds of a Gram matrix of the columns."""
        n, d = self.shape
        return 4 * self.n_entries**2 // max(1, n) if self.is_sparse else n * (d + 1) ** 2

    @property
    def row_bytes(self) -> int:
        """The mean of the bytes that a row takes in memory: an entry of sparse rows has an index too."""
        bytes_an_entry = self.dtype.itemsize + (8 if self.is_sparse else 0)
        return -(-self.n_entries * bytes_an_entry // max(1, self.shape[0]))

    def count_shift_roundings(self, n_rows_coef: int, scale: FloatArray, shift: FloatArray) -> float:
        """Return how many roundings the shift of a column takes part in at most, relative to those of a product.

        The passes over the pieces have K rows of coefficients, and columns of scale and shift (d,).
        """
        if self.is_sparse:
            return 1 + (self.shape[1] + 1) / (self.longest_row + 2)
        return SHIFT_ROUNDINGS if n_rows_coef == 1 and allows_folding(scale, shift, np.float64) else 0.0
