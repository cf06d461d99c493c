"""Find and name collinear columns: linear combinations of other columns and a constant.

A Gram matrix would lose half of the digits, so this module computes a QR factorization of the columns. Entries of X are
accurate to half a unit in the last place, so a pivot is treated as zero if errors of this size can explain it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastlin.exceptions import CollinearityError
from fastlin.matrices import Passes
from fastlin.matrices.matrix import SCORE_BATCH_BYTES
from fastlin.objective.objective import Objective
from fastlin.typing import Array, BoolArray, FloatArray, FloatType

# Largest residual of a dependent column, relative to the error of an entry times the square root of the number of
# entries. A column that was computed as a sum has a few rounding errors per entry.
MAX_RELATIVE_RESIDUAL = 100
# Largest residual of a nearly dependent column, relative to its standard deviation.
NEAR_DEPENDENCE_TOL = 1e-6
# A term below this fraction of the largest term in a sum is treated as rounding error.
MIN_RELATIVE_TERM_SIZE = 1e-7
# Maximum number of terms in a sum, and maximum number of sums in a message.
MAX_NAMED_TERMS, MAX_NAMED_DEPENDENCES = 4, 5


@dataclass(frozen=True, eq=False)
class LinearDependence:
    """A column `feature` that equals a `constant` plus a sparse sum of other columns times `factors` (d,)."""

    feature: int
    factors: np.ndarray
    constant: float

    def describe(self, names: Array, is_approximate: bool = False) -> str:
        """Return the dependence as text, such as "a = b + 2 c". `names` has shape (d,). Long sums omit the factors."""
        used_columns = np.flatnonzero(self.factors)
        name = str(names[self.feature])
        if not len(used_columns):
            return f"{name} is constant"
        if len(used_columns) > MAX_NAMED_TERMS:
            listed_names = ", ".join(str(names[j]) for j in used_columns[:MAX_NAMED_TERMS])
            return f"{name} depends on {listed_names} and {len(used_columns) - MAX_NAMED_TERMS} more"
        terms = [f"{self.constant:.6g}"] if self.constant else []
        for j in used_columns:
            factor = f"{self.factors[j]:.6g}"
            terms.append({"1": "", "-1": "-"}.get(factor, f"{factor} ") + str(names[j]))
        return f"{name} {'is nearly' if is_approximate else '='} {' + '.join(terms).replace(' + -', ' - ')}"


def check_collinearity(objective: Objective, names: Array, is_free: BoolArray) -> None:
    """Raise a CollinearityError if free columns depend, or nearly depend, on others. `is_free` has shape (d + 1,)."""
    # Columns may have been computed in the dtype of X.
    dtypes = (np.float64, np.float32) if objective.matrix.dtype == np.float32 else (np.float64,)
    for near_dependence_tol, dtype in (*((0.0, dtype) for dtype in dtypes), (NEAR_DEPENDENCE_TOL, np.float64)):
        dependences = find_dependences(objective, is_free, near_dependence_tol, dtype)
        if not dependences:
            continue
        dependence_equations = "; ".join(
            dependence.describe(names, near_dependence_tol > 0) for dependence in dependences[:MAX_NAMED_DEPENDENCES]
        )
        more = (
            f"; and {len(dependences) - MAX_NAMED_DEPENDENCES} more" if len(dependences) > MAX_NAMED_DEPENDENCES else ""
        )
        verb, reason = (
            ("nearly depend", "not determined in float64") if near_dependence_tol else ("depend", "not identified")
        )
        raise CollinearityError(
            f"Columns of X {verb} on each other{' and on the intercept' if objective.fit_intercept else ''}: "
            f"{dependence_equations}{more}. Their coefficients are {reason} and have no standard errors. Remove one "
            "column of each sum."
        )


def find_dependences(
    objective: Objective, is_free: BoolArray, near_dependence_tol: float = 0.0, dtype: FloatType = np.float64
) -> list[LinearDependence]:
    """Return the dependences of free columns on preceding columns, in column order. This takes one pass.

    `is_free` (d + 1,) marks the free columns. A column depends on others if its residual is at most
    `near_dependence_tol` times its standard deviation. Entries of X are accurate to half a unit in the last place of
    `dtype`.
    """
    coordinates, is_centered = objective.coordinates, objective.fit_intercept
    # If chunks had fewer rows than columns, their R factors together would have as many rows as X.
    chunk_size = max(objective.shape[1], SCORE_BATCH_BYTES // (8 * objective.shape[1]))
    r_factors = objective.rows.passes.sum_with_probabilities(factorize_rows, np.zeros(objective.shape), chunk_size)
    # The column of the intercept comes first, so that the first row of R contains the means.
    features = np.flatnonzero(is_free[:-1])
    columns = np.append([-1] * is_centered, features).astype(np.int64)
    r_factor = _compute_r_factor(np.concatenate(r_factors)[:, columns])
    means, centered = r_factor[:is_centered], r_factor[is_centered:, is_centered:]
    deviations = np.sqrt(np.einsum("ij,ij->j", centered, centered))
    sizes = np.hypot(np.sqrt(coordinates.mean_squares[features]), coordinates.shift[features])
    sizes *= np.sqrt(objective.rows.total_weight)
    errors = np.finfo(dtype).eps / 2 * sizes + near_dependence_tol / MAX_RELATIVE_RESIDUAL * deviations
    max_relative_residual = MAX_RELATIVE_RESIDUAL * np.sqrt(r_factor.shape[1])
    is_constant = ~(deviations > max_relative_residual * np.finfo(np.float64).eps / 2 * sizes)
    is_constant |= np.isin(features, coordinates.vanishing_columns)
    # A column whose variation is smaller than the errors is neither constant nor informative.
    is_varying = ~is_constant & (deviations > max_relative_residual * errors)
    constant_features, varying_features = features[is_constant], features[is_varying]
    tol = max(MIN_RELATIVE_TERM_SIZE, near_dependence_tol)
    sums = _find_vanishing_combinations(
        centered[:, is_varying], deviations[is_varying], errors[is_varying], max_relative_residual, tol
    )
    differences = np.zeros((len(constant_features) + len(sums), objective.shape[1]))
    differences[np.arange(len(constant_features)), constant_features] = -1
    differences[len(constant_features) :, varying_features] = sums
    if is_centered:
        differences[:, -1] = -differences[:, features] @ means[0, 1:] / means[0, 0]
    return sorted(
        (_unscale_dependence(objective, each) for each in differences), key=lambda dependence: dependence.feature
    )


def _find_vanishing_combinations(centered, deviations, errors, max_relative_residual, tol):
    """Return linear combinations (m, d) of columns that are zero. Each combination is determined up to a factor.

    Terms below the fraction `tol` of the largest term are omitted.
    """
    # The import is slow (docs/benchmarks/design-choices.md: lazy import of SciPy).
    from scipy import linalg

    if not len(deviations):
        return np.empty((0, 0))
    # If columns are divided by their errors, all columns have the same tolerance.
    r_factor, positions = linalg.qr(centered / errors, mode="r", pivoting=True, check_finite=False)
    rank = int(np.count_nonzero(np.abs(np.diagonal(r_factor)) > max_relative_residual))
    independent_positions, dependent_positions = positions[:rank], positions[rank:]
    sums = np.zeros((len(dependent_positions), len(positions)))
    sums[:, independent_positions] = linalg.solve_triangular(r_factor[:rank, :rank], r_factor[:rank, rank:]).T
    sums[np.arange(len(dependent_positions)), dependent_positions] = -1
    # If columns are divided by their standard deviations, rounding errors are recognizable. The message names the last
    # column of each sum, so Gaussian elimination removes this column from the other sums.
    sums *= deviations / errors
    for number in range(len(sums)):
        sums[np.abs(sums) <= tol * np.abs(sums).max(axis=1, keepdims=True)] = 0
        feature = np.flatnonzero(sums[number:].any(axis=0))[-1]
        row = number + int(np.argmax(np.abs(sums[number:, feature]) / np.abs(sums[number:]).max(axis=1)))
        sums[[number, row]] = sums[[row, number]]
        sums[number] /= -sums[number, feature]
        factors = sums[:, feature].copy()
        factors[number] = 0
        sums += factors[:, None] * sums[number]
    sums[np.abs(sums) <= tol * np.abs(sums).max(axis=1, keepdims=True, initial=0.0)] = 0
    return sums / deviations


def factorize_rows(passes: Passes, probabilities: FloatArray, chunk_size: int) -> list[FloatArray]:
    """Return [R], where R (m, d + 1) is the R factor of the rows [x~, 1] times the square roots of their weights.

    `Passes.sum_with_probabilities` concatenates the lists for different rows. Rows are factorized in chunks.
    """
    r_factor = np.empty((0, passes.shape[1]))
    for part in passes.split(chunk_size):
        rows = part.read_rows() * np.sqrt(part.samples.get_row_weights())[:, None]
        r_factor = _compute_r_factor(np.concatenate([r_factor, rows]))
    return [r_factor]


def _compute_r_factor(rows):
    return np.linalg.qr(rows, mode="r")


def _unscale_dependence(objective, difference):
    """Return the dependence between the original columns.

    `difference` (d + 1,) is a combination of scaled columns that is zero.
    """
    scale, shift = objective.coordinates.scale, objective.coordinates.shift
    feature = int(np.flatnonzero(difference[:-1])[-1])
    difference = difference / -difference[feature]
    factors = difference[:-1] * scale / scale[feature]
    factors[feature] = 0
    constant = float(difference[-1] + np.dot(difference[:-1], shift)) / float(scale[feature])
    size = float(np.sum(np.abs(difference[:-1] * shift)) + np.abs(difference[-1])) / float(scale[feature])
    is_rounding_error = abs(constant) <= MIN_RELATIVE_TERM_SIZE * max(size, float(1 / scale[feature]))
    return LinearDependence(feature, factors, 0.0 if is_rounding_error or not objective.fit_intercept else constant)
