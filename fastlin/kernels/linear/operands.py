"""Named tuples of arrays that are passed to the kernels of linear models as one argument.

Numba unpacks a named tuple when it is passed on, so a named tuple costs no more than separate arguments. For the scale
and shift of columns, see `Scaling` in machine/tiles.py.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from fastlin.typing import Array, FloatArray, IntArray

EMPTY_FLOAT32_MATRIX, EMPTY_FLOAT64_MATRIX, NO_ROWS = (
    np.empty((0, 0), np.float32),
    np.empty((0, 0)),
    np.empty(0, np.int64),
)


class Samples(NamedTuple):
    """The row indices of a pass, and the labels, weights, offsets and targets of all rows of X."""

    rows: np.ndarray  # (m,) int64, in the order of the pass; empty means all rows
    labels: np.ndarray  # (n,), integers starting at 0; with targets, the most probable classes
    weights: np.ndarray  # (n,); empty means all ones
    offsets: np.ndarray = EMPTY_FLOAT64_MATRIX  # (n, K) float64, added to the scores; empty means zeros
    # (n, K) float64, the probabilities of the classes (for K = 1, of class 1), which replace the labels in losses and
    # residuals; empty means that the labels are used.
    targets: np.ndarray = EMPTY_FLOAT64_MATRIX

    def get_row_weights(self) -> FloatArray:
        """Return the weights of the rows of the pass, (m,), float64."""
        rows, labels, weights = self.rows, self.labels, self.weights
        if not len(weights):
            return np.ones(len(rows) or len(labels))
        return weights[rows] if len(rows) else weights

    def take(self, indices: IntArray | slice) -> Samples:
        """Return the samples of a matrix that consists of the rows ``indices`` of X."""
        labels, *others = self[1:]
        return Samples(NO_ROWS, labels[indices], *(values[indices] if len(values) else values for values in others))


class ProbabilityOutput(NamedTuple):
    """The output arrays for the probabilities of the rows of a pass. At most one of the arrays has entries.

    A pass in float64 can fill either array. With one array of varying type, Numba would compile the pass once per type.
    """

    float32_values: np.ndarray  # (K, m) or (K, 0), float32
    float64_values: np.ndarray  # (K, m) or (K, 0), float64

    @classmethod
    def of(cls, probabilities: FloatArray | None) -> Self:
        """Return the output for an array (K, m) of either type, or an empty output if the array is None."""
        if probabilities is None:
            return cls(EMPTY_FLOAT32_MATRIX, EMPTY_FLOAT64_MATRIX)
        is_float32 = probabilities.dtype == np.float32
        return cls(probabilities, EMPTY_FLOAT64_MATRIX) if is_float32 else cls(EMPTY_FLOAT32_MATRIX, probabilities)


class Losses(NamedTuple):
    """The operands and additional outputs of a pass that computes the loss and the gradient."""

    samples: Samples
    values: np.ndarray  # (B,) float64, output: the sum of the losses per block
    probability_output: ProbabilityOutput


class ProblemBatchArrays(NamedTuple):
    """The labels and weights of B problems over the same rows, and the outputs of a pass over them.

    Each problem has the logistic loss, or the softmax loss with K adjacent rows of coefficients.
    """

    labels: np.ndarray  # (B, n) uint8, class indices
    weights: np.ndarray  # (B, n) float64; empty means all ones
    offsets: np.ndarray  # (n, K) float64, added to the scores of all problems; empty means zeros
    n_classes: int | None  # K; None for two classes, so that Numba does not compile the softmax loss
    # (1 + pairs, blocks, B) float64, output: per block and problem, the sum of s l and, for each pair of classes k < l,
    # the sum of s p_k p_l. Two classes are one pair.
    values: np.ndarray

    @classmethod
    def allocate(cls, labels: Array, weights: FloatArray, offsets: FloatArray, n_rows_coef: int, n_blocks: int) -> Self:
        """Return a batch with the problems and an uninitialized output for n_blocks blocks."""
        sums = np.empty((1 + count_class_pairs(n_rows_coef), n_blocks, len(labels)))
        return cls(labels, weights, offsets, None if n_rows_coef == 1 else n_rows_coef, sums)


def count_class_pairs(n_rows_coef: int) -> int:
    """Return the number of pairs of classes; models of two classes have one row of coefficients."""
    return max(1, n_rows_coef * (n_rows_coef - 1) // 2)


class Curvature(NamedTuple):
    """The operands of a pass that computes the product of the Hessian and a direction."""

    row_weights: np.ndarray  # (m,), s_i, in the order of the rows of the pass
    probabilities: np.ndarray  # (K, m), p_ik


class Parameters(NamedTuple):
    """The coefficients and intercepts of a linear model, or a direction, in the type of the computation."""

    # (K, d); K = 1 means the logistic loss with labels 0 and 1, and K >= 3 means the softmax loss. For sparse rows,
    # coef is a table with shape (d, columns of a table), and each coefficient is multiplied by the scale of its column.
    coef: np.ndarray
    intercept: np.ndarray  # (K,); for sparse rows, the intercept includes the shift of the columns


class BlockSums(NamedTuple):
    """The partial sums of B blocks of rows, float64. The kernel overwrites one slice per block."""

    coef: np.ndarray  # (B, K, d)
    intercept: np.ndarray  # (B, K)


class CompressedMatrix(NamedTuple):
    """A sparse matrix in CSR or CSC format. Its lines are the rows (CSR) or the columns (CSC)."""

    data: np.ndarray  # of any type
    indices: np.ndarray  # int32 or int64, the position of each entry in its line
    indptr: np.ndarray  # int32 or int64; line i consists of the entries indptr[i] to indptr[i + 1] - 1


class RowChunk(NamedTuple):
    """Values per row and class for a range of rows of sparse data: residuals, or slopes of a Hessian product."""

    first: int  # the first row of the range
    # (rows of the range, columns of a table) float64; row i of the table belongs to row first + i of the data.
    table: np.ndarray


class CategoricalColumns(NamedTuple):
    """The C categorical columns of a table with d features, and the tables that a pass over them reads and fills.

    A table of categories has one row per feature. After these rows, it has one row per categorical column for values
    without a category.
    """

    # (C, 5) int64, per column: the address of the first code, the stride and the size of a code in bytes, and the row
    # indices in a table of categories for the codes 0 and -1. Categories are in the order of their codes. Codes are
    # int8, int16 or int32. The caller must keep a reference to the codes.
    columns: np.ndarray
    table: np.ndarray  # (d + C, columns of a table) float64, the coefficients of the categories
    # (B, d + C, columns of a table) float64, output: per block and category, the sums of the residuals or of the slopes
    # of a Hessian product.
    sums: np.ndarray


class CategoricalTile(NamedTuple):
    """The workspace of a kernel for a tile of rows of `CategoricalColumns`."""

    codes: np.ndarray  # (C, tile rows) int32, converted to row indices of a table of categories
    row_values: np.ndarray  # (tile rows, columns of a table) float64, the scores or residuals of each row
    sums: np.ndarray  # (d + C, columns of a table) float64, the block's slice of the sums
