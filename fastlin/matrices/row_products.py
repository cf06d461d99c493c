"""Products by G = X F^-1 X', the inner products of the rows of X, with F the diagonal matrix of the penalty factors.

Vectors are tables (n or more, columns of a table), as `kernels.machine.gather.zeros_table` makes them, of a number for
each row of X and class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.linear.row_multipliers import fill_block_lines, fill_block_row_products
from fastlin.kernels.machine.arrays import copy_aligned
from fastlin.kernels.machine.gather import zeros_table
from fastlin.kernels.machine.threads import MAX_PARTIAL_BYTES, cut_work, run_blocks
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.compressed import compressed, count_line_blocks, cut_lines
from fastlin.typing import Array, FloatArray, SparseContainer

if TYPE_CHECKING:
    from fastlin.matrices.dense import DenseMatrix

# A panel of dense X takes about so many bytes, and has a multiple of so many columns, at most MOST_COLUMNS: 2,000 x
# 20,000 takes 48 ms with 32 columns, 44 with 128, where reading X once takes 30.
PANEL_BYTES = 1 << 21
PANEL_COLUMNS = 32
MOST_COLUMNS = 256
# G takes as long as a product for each so many rows and class: 500 x 5,000 45 ms, a product 3.4; 2,000 x 20,000 4.1 s
# and 44 ms. It is computed once as many products are made, so that a fit takes at most twice as long as with the better
# of both.
ROWS_A_PRODUCT = 24


class DenseRowProducts:
    """Products for dense X, which are computed panel by panel at first, and by G itself later.

    Parameters
    ----------
    layers : ndarray of shape (2, n, d)
        The data, as `any_layout` makes them.
    n_rows_coef : int
        K.
    factors : ndarray of shape (d,)
        The penalty factors, all above zero.
    find_gram : callable or None
        What returns G as a DenseMatrix. None where G does not fit into memory, or would lose digits.
    """

    def __init__(
        self, layers: Array, n_rows_coef: int, factors: FloatArray, find_gram: Callable[[], DenseMatrix] | None
    ) -> None:
        _, n, d = layers.shape
        self._layers, self._n_rows_coef = layers, n_rows_coef
        self._scaling, self._factors = Scaling(np.ones(d), np.zeros(d)), 1 / factors
        self._width = min(max(1, PANEL_BYTES // (8 * n * PANEL_COLUMNS)) * PANEL_COLUMNS, MOST_COLUMNS)
        n_panels = -(-d // self._width)
        n_blocks = cut_work(2 * n * d * n_rows_coef, min(n_panels, MAX_PARTIAL_BYTES // (8 * n * n_rows_coef)))
        self._coef = np.empty((n_rows_coef, d))
        self._products = np.empty((n_blocks, n_rows_coef, n))
        self._find_gram = find_gram
        self._gram: DenseMatrix | None = None
        self._n_left = n // (ROWS_A_PRODUCT * n_rows_coef)

    def combine(self, vector: FloatArray) -> FloatArray:
        """Return F^-1 X' vector as coefficients (K, d). The next product overwrites them."""
        self._run(self._turn(vector))
        return self._coef

    def multiply(self, vector: FloatArray, product: FloatArray) -> None:
        """Fill the first n rows of product with G vector."""
        turned = self._turn(vector)
        if self._find_gram is not None and self._n_left == 0:
            self._gram, self._find_gram = self._find_gram(), None
        self._n_left -= 1
        n = turned.shape[1]
        if self._gram is not None:
            product[:n, : len(turned)] = self._gram.compute_scores(turned, np.zeros(len(turned)))
        else:
            self._run(turned)
            product[:n, : len(turned)] = np.add.reduce(self._products).T

    def _turn(self, vector):
        """Return the numbers of a vector class by class, (K, n)."""
        return copy_aligned(vector[: self._products.shape[2], : self._n_rows_coef].T)

    def _run(self, turned):
        run_blocks(
            fill_block_row_products,
            len(self._products),
            self._layers,
            self._scaling,
            turned,
            self._factors,
            self._width,
            self._coef,
            self._products,
        )


class SparseRowProducts:
    """Products for sparse X: a pass by columns, then one by rows.

    Parameters
    ----------
    csr, csc : SciPy sparse containers of shape (n, d)
        X by rows and by columns.
    n_rows_coef : int
        K.
    factors : ndarray of shape (d,)
        The penalty factors, all above zero.
    """

    def __init__(self, csr: SparseContainer, csc: SparseContainer, n_rows_coef: int, factors: FloatArray) -> None:
        self._lines = [
            (compressed(X), cut_lines(X.indptr, count_line_blocks(len(X.indptr) - 1, X.indptr[-1], n_rows_coef)))
            for X in (csc, csr)
        ]
        self._n_rows_coef = n_rows_coef
        self._factors = [1 / factors, np.ones(csr.shape[0])]
        self._coef = zeros_table(len(factors), n_rows_coef)

    def combine(self, vector: FloatArray) -> FloatArray:
        """Return F^-1 X' vector as coefficients (K, d). The next product overwrites them."""
        self._fill(0, vector, self._coef)
        return self._coef[:, : self._n_rows_coef].T

    def multiply(self, vector: FloatArray, product: FloatArray) -> None:
        """Fill the first n rows of product with G vector."""
        self._fill(0, vector, self._coef)
        self._fill(1, self._coef, product)

    def _fill(self, side, table, product):
        X, borders = self._lines[side]
        run_blocks(fill_block_lines, len(borders) - 1, X, borders, table, self._factors[side], product)
