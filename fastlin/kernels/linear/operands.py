"""The named tuples of arrays that kernels of linear models take: what belongs together is one argument.

Numba takes a named tuple apart where it is passed on, so that it costs no more than its fields as arguments. How
columns are scaled and shifted is `Scaling`, in machine/tiles.py.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from fastlin.typing import Array, FloatArray, IntArray

NO_SINGLE, NO_DOUBLE, NO_ROWS = np.empty((0, 0), np.float32), np.empty((0, 0)), np.empty(0, np.int64)


class Samples(NamedTuple):
    """The rows of a pass, with the labels, weights, offsets and targets of all rows of X."""

    rows: np.ndarray  # (m,) int64, in the order of the pass; without entries all rows
    labels: np.ndarray  # (n,), whole numbers from 0 on; with targets the most probable classes
    weights: np.ndarray  # (n,); without entries ones
    offsets: np.ndarray = NO_DOUBLE  # (n, K) float64, added to the scores; without entries zeros
    # (n, K) float64, the probabilities of the classes, for K = 1 that of class 1, which take the place of the labels in
    # losses and residuals; without entries there are none.
    targets: np.ndarray = NO_DOUBLE

    def weigh(self) -> FloatArray:
        """Return the weight of each row of the pass, (m,), float64."""
        rows, labels, weights = self.rows, self.labels, self.weights
        if not len(weights):
            return np.ones(len(rows) or len(labels))
        return weights[rows] if len(rows) else weights

    def take(self, numbers: IntArray | slice) -> Samples:
        """Return the samples of the matrix that has some rows of X, by their numbers, of which all are meant."""
        labels, *others = self[1:]
        return Samples(NO_ROWS, labels[numbers], *(each[numbers] if len(each) else each for each in others))


class ProbabilityOutput(NamedTuple):
    """The memory for the probabilities of the rows of a pass: the array of one type has entries, or none has.

    A pass in float64 fills either. If an argument had the type of the room, Numba would compile that pass three times.
    """

    single: np.ndarray  # (K, m) or (K, 0), float32
    double: np.ndarray  # (K, m) or (K, 0), float64

    @classmethod
    def of(cls, probabilities: FloatArray | None) -> Self:
        """Return the memory that an array (K, m) of either type gives, or none where it is None."""
        if probabilities is None:
            return cls(NO_SINGLE, NO_DOUBLE)
        is_single = probabilities.dtype == np.float32
        return cls(probabilities, NO_DOUBLE) if is_single else cls(NO_SINGLE, probabilities)


class Losses(NamedTuple):
    """The operands by which a pass for loss and gradient turns scores into residuals, and its other results."""

    samples: Samples
    values: np.ndarray  # (B,) float64, the sum of the losses of each block
    kept: ProbabilityOutput


class ProblemBatch(NamedTuple):
    """The labels and weights of B problems over the same rows, by which a pass turns scores, and losses.

    Each is logistic, or a softmax with K rows of coefficients, which stand side by side.
    """

    labels: np.ndarray  # (B, n) uint8, the numbers of classes
    weights: np.ndarray  # (B, n) float64; without entries ones
    offsets: np.ndarray  # (n, K) float64, added to the scores of all problems; without entries zeros
    n_classes: int | None  # K; None for two classes, whose kernels are compiled without the softmax
    # (1 + pairs, blocks, B) float64, the sums of the losses s l of each problem in each block, and of s p_k p_l for
    # each pair of classes k < l; two classes are one pair.
    values: np.ndarray

    @classmethod
    def over(cls, labels: Array, weights: FloatArray, offsets: FloatArray, n_rows_coef: int, n_blocks: int) -> Self:
        """Return problems with memory for their sums in n_blocks blocks."""
        sums = np.empty((1 + count_pairs(n_rows_coef), n_blocks, len(labels)))
        return cls(labels, weights, offsets, None if n_rows_coef == 1 else n_rows_coef, sums)


def count_pairs(n_rows_coef: int) -> int:
    """Return the number of pairs of classes; two classes have one row of coefficients."""
    return max(1, n_rows_coef * (n_rows_coef - 1) // 2)


class Curvature(NamedTuple):
    """The Hessian's view of the rows, by which a pass for its product with a direction turns scores."""

    row_weights: np.ndarray  # (m,), s_i, in the order of the rows of the pass
    probabilities: np.ndarray  # (K, m), p_ik


class Parameters(NamedTuple):
    """The coefficients and intercepts of a linear model, or a direction in their space, in the type computed in."""

    # (K, d); K = 1 is the logistic loss with labels 0 and 1, K >= 3 the softmax. For sparse rows a table (d, columns of
    # a table) of the coefficients times the scale of their columns.
    coef: np.ndarray
    intercept: np.ndarray  # (K,); for sparse rows with the shift of the columns in it


class BlockSums(NamedTuple):
    """The partial sums of each of B blocks of rows, float64: those of one block are overwritten by its kernel."""

    coef: np.ndarray  # (B, K, d)
    intercept: np.ndarray  # (B, K)


class Compressed(NamedTuple):
    """A sparse matrix by rows (CSR) or by columns (CSC), called its lines here."""

    data: np.ndarray  # of any type
    indices: np.ndarray  # int32 or int64, where each entry stands in its line
    indptr: np.ndarray  # int32 or int64; line i has the entries indptr[i] to indptr[i + 1]


class Chunk(NamedTuple):
    """Numbers of each class for a range of the rows of sparse data: residuals, or a Hessian's slopes of a direction."""

    first: int
    table: np.ndarray  # (rows of the range, columns of a table) float64; row i is row first + i of the data


class Levels(NamedTuple):
    """The C categorical columns of a table with d features, and the tables that a pass over them reads and fills.

    A table of levels has a row for each feature, and then one for the values without a level of each column.
    """

    # (C, 5) int64: for each column the address of its first code, the bytes from one code to the next and those of a
    # code, and the rows of a table of levels that stand for the codes 0 and -1. The levels follow in the order of the
    # codes, which are of int8, int16 or int32. The caller keeps the codes alive.
    columns: np.ndarray
    table: np.ndarray  # (d + C, columns of a table) float64, the coefficients of the levels
    # (B, d + C, columns of a table) float64, the sums of the residuals, or of a pass's other numbers, by level and
    # block.
    sums: np.ndarray


class LevelTile(NamedTuple):
    """Some rows of Levels as a kernel works on them."""

    codes: np.ndarray  # (C, tile rows) int32, as rows of a table of levels
    rowwise: np.ndarray  # (tile rows, columns of a table) float64, the scores of each row in one piece
    sums: np.ndarray  # (d + C, columns of a table) float64, the block's part of the sums
