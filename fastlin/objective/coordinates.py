"""The coordinates of the solvers: parameters of scaled and centered columns, whose curvatures are of order one.

Each column has a scale and a shift: x~_j = scale_j x_j + shift_j. The parameters (V, c) are stored in one array of
shape (K, d + 1). They correspond to the coefficients W and the intercept b of the original columns::

    W_kj = scale_j V_kj,   b_k = c_k + sum_j shift_j V_kj

scale_j is a power of two near 1 / sqrt(var_j + l2 f_j), and shift_j = -scale_j mean_j, or zero without an intercept.
Scaling by a power of two is exact, so values near the column mean keep all digits. A pass scales and centers the
columns while it reads X.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import DTypeLike
from scipy import sparse

from fastlin.kernels.linear.column_scaling import fill_coefficients, fill_coordinates
from fastlin.kernels.machine.tiles import Scaling
from fastlin.kernels.machine.vectors import compensated_dot
from fastlin.objective.penalty import MAX_PENALTY
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.matrices.matrix import ColumnStatistics

EMPTY_COLUMN_INDICES = np.empty(0, np.int64)


class Coordinates(NamedTuple):
    """The scale and shift of each column, and statistics of the scaled columns."""

    scale: np.ndarray  # (d,); a scaled column is scale * x + shift
    shift: np.ndarray
    mean: np.ndarray  # (d,), the weighted means of the scaled columns: zero, except for rounding errors of the shifts
    mean_squares: np.ndarray  # (d + 1,), the weighted mean squares of the scaled columns, and 1 for the intercept
    peak_to_mean_ratios: (
        np.ndarray
    )  # (d,), the largest square of each scaled column divided by its mean square (zero if it is zero)
    vanishing_columns: np.ndarray  # the indices of columns that are zero after centering, except for rounding error
    allows_float32: bool  # whether the scaled columns are within the range of float32

    @property
    def scaling(self) -> Scaling:
        """The scale and shift for passes. Vanishing columns are replaced by zeros, so they contribute to no sum."""
        if not len(self.vanishing_columns):
            return Scaling(self.scale, self.shift)
        scale, shift = self.scale.copy(), self.shift.copy()
        scale[self.vanishing_columns] = shift[self.vanishing_columns] = 0
        return Scaling(scale, shift)

    def convert_to_coefficients(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return coef (K, d) and intercept (K,) for parameters (K, d + 1)."""
        # The terms cancel if the column means are far from zero.
        intercept = [compensated_dot(row[-1], row[:-1], self.shift) for row in parameters]
        return parameters[:, :-1] * self.scale, np.array(intercept)

    def round_coefficients(
        self,
        parameters: FloatArray,
        gradient: FloatArray,
        curvatures: FloatArray,
        mean_square: float,
        dtype: DTypeLike,
    ) -> tuple[FloatArray, FloatArray, FloatArray, bool, float]:
        """Return the coefficients, rounded to `dtype`, and the effects of rounding.

        The results are coef (K, d), intercept (K,), the change (K, d + 1) of the parameters, whether `dtype` can
        represent the values, and an upper bound on the increase of J. See `fill_coefficients` for the arguments.
        """
        coef, intercept = np.empty((len(parameters), len(self.scale)), dtype), np.empty(len(parameters), dtype)
        change = np.empty(parameters.shape)
        arguments = parameters, gradient, self.scale, self.shift, curvatures, mean_square, coef, intercept, change
        return coef, intercept, change, *fill_coefficients(*arguments)

    def to_parameters(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Return the parameters (K, d + 1) for coef (K, d) and intercept (K,)."""
        scaled = coef / self.scale
        return np.column_stack([scaled, intercept - np.einsum("kj,j->k", scaled, self.shift)])

    def convert_gradient(self, gradient: FloatArray) -> FloatArray:
        """Return derivatives (..., d + 1) for the coefficients and intercepts, given those for the parameters."""
        coef_gradient = (gradient[..., :-1] - gradient[..., -1:] * self.shift) / self.scale
        return np.concatenate([coef_gradient, gradient[..., -1:]], axis=-1)

    def build_conversion_matrix(self) -> sparse.csr_array:
        """Return the matrix (d + 1, d + 1) that maps the parameters of a class to its coefficients and intercept."""
        matrix = sparse.diags_array(np.append(self.scale, 1.0), format="lil")
        matrix[-1, :-1] = self.shift
        return matrix.tocsr()


def choose_coordinates(columns: ColumnStatistics, l2: float, factors: FloatArray, fit_intercept: bool) -> Coordinates:
    """Return the Coordinates for the penalty factors (d,). Columns are centered only if there is an intercept."""
    statistics, mean_squares = np.empty((4, len(columns.mean))), np.ones(len(columns.mean) + 1)
    scale, shift, mean, peak_to_mean_ratios = statistics
    with np.errstate(over="ignore"):
        roots = np.sqrt(np.minimum(l2 * factors, MAX_PENALTY))
    standard_deviation = columns.standard_deviation
    np.hypot(standard_deviation if fit_intercept else np.hypot(columns.mean, standard_deviation), roots, out=scale)
    n_zero_columns, allows_float32 = fill_coordinates(
        columns.mean,
        columns.remainder,
        standard_deviation,
        columns.largest_deviations,
        columns.largest_magnitudes,
        fit_intercept,
        scale.view(np.int64),
        statistics,
        mean_squares,
    )
    vanishing_columns = (standard_deviation == 0).nonzero()[0] if n_zero_columns else EMPTY_COLUMN_INDICES
    # Passes replace these columns by zeros, so their shifts must not be rounded to float32.
    shift[vanishing_columns] -= mean[vanishing_columns]
    mean[vanishing_columns] = 0
    return Coordinates(scale, shift, mean, mean_squares, peak_to_mean_ratios, vanishing_columns, allows_float32)
