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


class TableColumns(NamedTuple):
    """The columns of a table, by where they lie: arrays of any types and strides, which the caller keeps alive.

    Attributes
    ----------
    codes : ndarray of shape (C, 5), int64
        For each categorical column the address of its first code, the bytes from one code to the next and those of a
        code, and the rows of a table of levels that stand for the codes 0 and -1. The levels follow in the order of the
        codes.
    numbers : ndarray of shape (M, 3), int64
        For each column of numbers the address of the first one, the bytes from one to the next, and the place of its
        type in NUMBER_TYPES.
    """

    codes: np.ndarray
    numbers: np.ndarray


# What a column of numbers of a table may hold; bool is read as uint8.
NUMBER_TYPES = tuple(np.dtype(name) for name in ("float64", "float32", "int64", "int32", "int16", "int8", "uint8"))


class TableTile(NamedTuple):
    """Some rows of a table as a kernel works on them.

    Attributes
    ----------
    numbers : ndarray of shape (tile rows, M), float64
        The columns of numbers.
    codes : ndarray of shape (C, tile rows), int32
        The rows of a table of levels that the codes name.
    places : ndarray of shape (tile rows,), int64
        The numbers from 0 on.
    rowwise : ndarray of shape (tile rows, columns of a table), float64
        The scores of each row in one piece.
    """

    numbers: np.ndarray
    codes: np.ndarray
    places: np.ndarray
    rowwise: np.ndarray
