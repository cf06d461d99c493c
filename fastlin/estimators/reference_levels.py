"""The reference levels of categorical columns, whose coefficients are zero.

Fits give every level a coefficient, and with an intercept these are determined up to a constant for each column. A
penalty chooses the constant. Without one an inference is about the differences from the first level of each column;
without an intercept the first categorical column keeps all of its levels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastlin.matrices import Codes, TableMatrix
from fastlin.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.estimators.training_data import TrainingData
    from fastlin.matrices import Matrix


class Differences(NamedTuple):
    """Training data and coefficients without those of the reference levels.

    Attributes
    ----------
    data : TrainingData
        The rows; those of a reference level have no level.
    coef : ndarray of shape (K, d)
        The differences from the reference levels.
    intercept : ndarray of shape (K,)
        The intercept of rows of the reference levels.
    kept, references : ndarray
        The places of the columns that are left, and of the reference levels, among all of them.
    """

    data: TrainingData
    coef: FloatArray
    intercept: FloatArray
    kept: IntArray
    references: IntArray


def find_references(matrix: Matrix, fit_intercept: bool) -> IntArray:
    """Return the places of the reference levels among the columns of a matrix, which only tables have."""
    if not isinstance(matrix, TableMatrix):
        return np.empty(0, np.int64)
    firsts = np.cumsum(matrix.widths) - matrix.widths
    of_levels = [first for first, column in zip(firsts, matrix.columns, strict=True) if isinstance(column, Codes)]
    return np.array(of_levels[0 if fit_intercept else 1 :], np.int64)


def take_differences(data: TrainingData, coef: FloatArray, intercept: FloatArray, fit_intercept: bool) -> Differences:
    """Return the rows of a table and the coefficients of a fit as differences from the first level of each column.

    A ValueError says where a categorical column holds a value that the fit has not seen.
    """
    matrix: Any = data.matrix
    coef, intercept, columns = coef.copy(), intercept.copy(), []
    references = find_references(matrix, fit_intercept)
    # What a reference level loses the intercept gains, or else the levels of the column that keeps all of its own.
    gaining = intercept[:, None]
    firsts = np.cumsum(matrix.widths) - matrix.widths
    for number, (first, column) in enumerate(zip(firsts, matrix.columns, strict=True)):
        if not isinstance(column, Codes):
            columns.append(column)
            continue
        codes, own = column.number_missing(), coef[:, first : first + column.n_levels]
        if (codes < 0).any():
            raise ValueError(
                f"The categorical column {number} of X holds values that the fit has not seen, or missing ones: their "
                "rows were no part of the fit."
            )
        if first not in references:
            gaining = own
            columns.append(column)
            continue
        reference = coef[:, [first]]
        own -= reference
        gaining += reference
        if column.n_levels > 1:
            columns.append(Codes(codes - codes.dtype.type(1), column.n_levels - 1))
    kept = np.delete(np.arange(matrix.shape[1]), references)
    reduced = replace(data, matrix=TableMatrix(columns))
    return Differences(reduced, coef[:, kept], intercept, kept, references)
