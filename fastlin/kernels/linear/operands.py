"""The named tuples of arrays that kernels of linear models take: what belongs together is one argument.

Numba takes a named tuple apart where it is passed on, so that it costs no more than its fields as arguments. How
columns are scaled and shifted is `Scaling`, in machine/tiles.py.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from fastlin.typing import FloatArray, IntArray

NO_SINGLE, NO_DOUBLE, NO_ROWS = np.empty((0, 0), np.float32), np.empty((0, 0)), np.empty(0, np.int64)


class Samples(NamedTuple):
    """The rows of a pass, with their labels, weights and offsets.

    Attributes
    ----------
    rows : ndarray of shape (m,), int64
        The row numbers, in the order of the pass. Without entries, it stands for all rows.
    labels : ndarray of shape (n,)
        The class of each row of X, whole numbers from 0 on; with targets the most probable one.
    weights : ndarray of shape (n,)
        The weight of each row of X. Without entries, it stands for ones.
    offsets : ndarray of shape (n, K), float64
        What is added to the scores of each row of X. Without entries, it stands for zeros.
    targets : ndarray of shape (n, K), float64
        The probabilities of the classes, for K = 1 that of class 1, which take the place of the labels in losses and
        residuals. Without entries, it stands for the labels.
    """

    rows: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray = NO_DOUBLE
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


class Kept(NamedTuple):
    """The room for the probabilities of the rows of a pass: the array of one type has entries, or none has.

    With the type of the room in that of an argument, Numba would compile a pass over float64 data three times, at 2 to
    3 seconds: a pass in float64 fills either.

    Attributes
    ----------
    single : ndarray of shape (K, m) or (K, 0), float32
        The room in float32.
    double : ndarray of shape (K, m) or (K, 0), float64
        The room in float64.
    """

    single: np.ndarray
    double: np.ndarray

    @classmethod
    def of(cls, probabilities: FloatArray | None) -> Self:
        """Return the room that an array (K, m) of either type gives, or none where it is None."""
        if probabilities is None:
            return cls(NO_SINGLE, NO_DOUBLE)
        is_single = probabilities.dtype == np.float32
        return cls(probabilities, NO_DOUBLE) if is_single else cls(NO_SINGLE, probabilities)


class Losses(NamedTuple):
    """What a pass for the loss and the gradient turns scores into residuals by, and what else it fills.

    Attributes
    ----------
    samples : Samples
        The rows of the pass.
    values : ndarray of shape (B,), float64
        The sum of the losses of each block.
    kept : Kept
        The room for the probabilities of the rows.
    """

    samples: Samples
    values: np.ndarray
    kept: Kept


class Curvature(NamedTuple):
    """What the Hessian of the loss knows of the rows, by which a pass for a Hessian times a direction turns scores.

    Attributes
    ----------
    row_weights : ndarray of shape (m,)
        s_i, in the order of the rows of the pass.
    probabilities : ndarray of shape (K, m)
        p_ik.
    """

    row_weights: np.ndarray
    probabilities: np.ndarray


class Parameters(NamedTuple):
    """The coefficients and intercepts of a linear model, or a direction in their space, in the type computed in.

    Attributes
    ----------
    coef : ndarray of shape (K, d)
        The coefficients; K = 1 is the logistic loss with labels 0 and 1, K >= 3 the softmax.
    intercept : ndarray of shape (K,)
        The intercepts.
    """

    coef: np.ndarray
    intercept: np.ndarray


class TableParameters(NamedTuple):
    """The coefficients and intercepts of a linear model, or a direction in their space, as sparse rows are read by.

    Attributes
    ----------
    table : ndarray of shape (d, columns of a table), float64
        The coefficients times the scale of their columns, one row per feature.
    intercept : ndarray of shape (K,), float64
        The intercepts, with the shift of the columns in them.
    """

    table: np.ndarray
    intercept: np.ndarray


class BlockSums(NamedTuple):
    """The partial sums of each of B blocks of rows, float64: those of one block are overwritten by its kernel.

    Attributes
    ----------
    coef : ndarray of shape (B, K, d)
        The sums by coefficients.
    intercept : ndarray of shape (B, K)
        The sums by intercepts.
    """

    coef: np.ndarray
    intercept: np.ndarray


class Compressed(NamedTuple):
    """A sparse matrix by rows (CSR) or by columns (CSC), called its lines here.

    Attributes
    ----------
    data : ndarray
        The values of the entries, of any type.
    indices : ndarray, int32 or int64
        Where each entry stands in its line.
    indptr : ndarray, int32 or int64
        Line i has the entries indptr[i] to indptr[i + 1].
    """

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray


class Chunk(NamedTuple):
    """Numbers of each class for a range of the rows of sparse data: residuals, or what a Hessian makes of a direction.

    Attributes
    ----------
    first : int
        The first row of the range.
    table : ndarray of shape (rows of the range, columns of a table), float64
        Its row i belongs to the row first + i of the data.
    """

    first: int
    table: np.ndarray


class Levels(NamedTuple):
    """The categorical columns of a table, with what a pass over them reads and fills: for C columns and d features.

    A table of levels has a row for each feature, and then one for the values without a level of each column.

    Attributes
    ----------
    columns : ndarray of shape (C, 5), int64
        For each column the address of its first code, the bytes from one code to the next and those of a code, and the
        rows of a table of levels that stand for the codes 0 and -1. The levels follow in the order of the codes, which
        are of int8, int16 or int32. The caller keeps the codes alive.
    table : ndarray of shape (d + C, columns of a table), float64
        The coefficients of the levels.
    sums : ndarray of shape (B, d + C, columns of a table), float64
        The sums of the residuals by level, or of what else a pass sums, of each block of rows.
    """

    columns: np.ndarray
    table: np.ndarray
    sums: np.ndarray


class LevelTile(NamedTuple):
    """Some rows of Levels as a kernel works on them.

    Attributes
    ----------
    codes : ndarray of shape (C, tile rows), int32
        The rows of a table of levels that the codes name.
    rowwise : ndarray of shape (tile rows, columns of a table), float64
        The scores of each row in one piece.
    sums : ndarray of shape (d + C, columns of a table), float64
        The block's part of the sums.
    """

    codes: np.ndarray
    rowwise: np.ndarray
    sums: np.ndarray
