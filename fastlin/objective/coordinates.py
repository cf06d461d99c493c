"""The coordinates in which solvers see the parameters: every column has a curvature of order one.

With a scale and a shift for each column, x~_j = scale_j x_j + shift_j, the parameters (V, c), one array (K, d + 1),
stand for the coefficients W and the intercept b of the columns as they are::

    W_kj = scale_j V_kj,   b_k = c_k + sum_j shift_j V_kj

scale_j is a power of two near 1 / sqrt(var_j + l2 f_j), and shift_j = -scale_j mean_j, or zero without an intercept.
A power of two rounds nothing, so numbers next to their mean lose no digits when they are scaled and centred.
The scores, and so J and its minimum, are the same. X stays as it is: a pass scales and centres while it reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from fastlin.kernels.machine.vectors import compensated_dot
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.matrices.columns import Columns

# Scales beyond these powers of two are not computed with in float32, whose range ends at 2^128.
FLOAT32_EXPONENTS = 60
# A shift is rounded to float32 where that moves the mean of the scaled column, whose spread is about one, by no more.
MOST_MOVED = 0.1


@dataclass(frozen=True, eq=False)
class Coordinates:
    """The scale and shift of each column, and what follows from them.

    Attributes
    ----------
    scale, shift : ndarray of shape (d,)
        A scaled column is scale * x + shift.
    mean : ndarray of shape (d,)
        The weighted mean of each scaled column: zero, or what rounding of the shift leaves.
    mean_squares : ndarray of shape (d + 1,)
        The weighted mean of the squares of each scaled column, and one for the intercept.
    peaks : ndarray of shape (d,)
        The largest square of each scaled column, relative to the mean one; zero where that is.
    vanishing : ndarray of int
        The columns that are zero once they are centred. Rounding leaves them tiny values, by which nothing may be
        divided.
    allows_float32 : bool
        Whether the scaled columns lie within the range of float32.
    """

    scale: np.ndarray
    shift: np.ndarray
    mean: np.ndarray
    mean_squares: np.ndarray
    peaks: np.ndarray
    vanishing: np.ndarray
    allows_float32: bool

    @classmethod
    def choose(cls, columns: Columns, curvatures: FloatArray, fit_intercept: bool) -> Self:
        """Return the coordinates for columns, and for the curvature (d,) that the penalty gives each coefficient.

        Parameters
        ----------
        columns : Columns
            The statistics of the columns.
        curvatures : ndarray of shape (d,)
            The curvature that the penalty gives each coefficient.
        fit_intercept : bool
            Columns are centred only where an intercept makes up for it.
        """
        spread = columns.spread if fit_intercept else columns.root_mean_square
        exponents = -np.log2(
            np.hypot(spread, np.sqrt(curvatures)), where=spread + curvatures > 0, out=np.zeros_like(spread)
        )
        exponents = np.clip(np.round(exponents), -1000, 1000)
        scale = 2.0**exponents
        exact = -columns.mean * scale if fit_intercept else np.zeros(len(scale))
        # Float32 numbers, so that both precisions share one system of coordinates.
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = exact.astype(np.float32).astype(np.float64)
            is_near = np.abs(rounded - exact) <= MOST_MOVED
        shift = np.where(is_near, rounded, exact)
        allows_float32 = bool(
            is_near.all()
            and (np.abs(exponents) < FLOAT32_EXPONENTS).all()
            and (columns.largest * scale < 2.0**FLOAT32_EXPONENTS).all()
        )
        vanishing = np.flatnonzero(columns.spread == 0) if fit_intercept else np.empty(0, np.int64)
        # The sum in brackets is exact: its terms are the same number, or one is the other rounded to float32.
        mean = (columns.mean * scale + shift) + columns.remainder * scale
        mean_squares = np.append(mean**2 + (scale * columns.spread) ** 2, 1.0)
        mean_squares[vanishing] = 0
        with np.errstate(over="ignore", invalid="ignore"):
            largest = (columns.farthest if fit_intercept else columns.largest) * scale
            peaks = np.divide(largest**2, mean_squares[:-1], out=np.zeros(len(scale)), where=mean_squares[:-1] > 0)
        return cls(scale, shift, mean, mean_squares, peaks, vanishing, allows_float32)

    def to_coefficients(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return coef (K, d) and intercept (K,) of parameters (K, d + 1)."""
        # The terms cancel where columns are far from zero.
        intercept = [compensated_dot(row[-1], row[:-1], self.shift) for row in parameters]
        return parameters[:, :-1] * self.scale, np.array(intercept)

    def to_parameters(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Return the parameters (K, d + 1) of coef (K, d) and intercept (K,)."""
        scaled = coef / self.scale
        return np.column_stack([scaled, intercept - np.einsum("kj,j->k", scaled, self.shift)])
