"""Collinear columns: those that are a sum of multiples of other columns and a constant, found and named.

A matrix of products holds differences of columns with half of its digits only, so the columns themselves are
factorized. Entries of X are known to half a unit in the last place: a pivot that these errors may leave is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastlin.exceptions import CollinearityError
from fastlin.matrices import Passes
from fastlin.matrices.matrix import SCORE_BYTES
from fastlin.objective.objective import Objective
from fastlin.typing import Array, BoolArray, FloatArray, FloatType

# What is left of a column that depends on others, in errors of the entries times the root of their number: users add a
# few terms, each with its rounding.
MARGIN = 100
# What is left, relative to its spread, of a column that nearly depends on others.
NEARLY = 1e-6
# The part of the largest term of a sum below which another one is rounding.
SAME = 1e-7
# A sum with more terms is not written out, and no more sums are.
MAX_TERMS, MAX_NAMED = 4, 5


@dataclass(frozen=True, eq=False)
class Dependence:
    """A column `feature` that is the sum of others times `factors` (d,), mostly zero, and of a `constant`."""

    feature: int
    factors: np.ndarray
    constant: float

    def describe(self, names: Array, nearly: bool = False) -> str:
        """Return the sum that a column is (nearly), or only its columns if it is long; names (d,) name the features."""
        used = np.flatnonzero(self.factors)
        own = str(names[self.feature])
        if not len(used):
            return f"{own} is constant"
        if len(used) > MAX_TERMS:
            shown = ", ".join(str(names[j]) for j in used[:MAX_TERMS])
            return f"{own} depends on {shown} and {len(used) - MAX_TERMS} more"
        terms = [f"{self.constant:.6g}"] if self.constant else []
        for j in used:
            factor = f"{self.factors[j]:.6g}"
            terms.append({"1": "", "-1": "-"}.get(factor, f"{factor} ") + str(names[j]))
        return f"{own} {'is nearly' if nearly else '='} {' + '.join(terms).replace(' + -', ' - ')}"


def check_collinearity(objective: Objective, names: Array, is_free: BoolArray) -> None:
    """Raise a CollinearityError that names the free columns (d + 1,) that depend on others, or nearly, if any."""
    # Users add columns in the type of X.
    dtypes = (np.float64, np.float32) if objective.matrix.dtype == np.float32 else (np.float64,)
    for nearly, dtype in (*((0.0, dtype) for dtype in dtypes), (NEARLY, np.float64)):
        found = find_dependences(objective, is_free, nearly, dtype)
        if not found:
            continue
        named = "; ".join(each.describe(names, nearly > 0) for each in found[:MAX_NAMED])
        more = f"; and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
        kind, known = ("nearly depend", "not determined by float64") if nearly else ("depend", "not determined")
        raise CollinearityError(
            f"Columns of X {kind} on each other{' and on the intercept' if objective.fit_intercept else ''}: "
            f"{named}{more}. Their coefficients are {known}, and have no standard errors. Leave out "
            f"{'one of the columns' if len(found) == 1 else 'a column'} of each sum."
        )


def find_dependences(
    objective: Objective, is_free: BoolArray, nearly: float = 0.0, dtype: FloatType = np.float64
) -> list[Dependence]:
    """Return the free columns (d + 1,) that depend on those before them, in their order; it takes a pass.

    A column depends on others if they leave no more than the part `nearly` of its spread. Entries of X are known to
    half a unit in the last place of dtype.
    """
    coordinates, is_centered = objective.coordinates, objective.fit_intercept
    # With fewer rows than columns each part would take as long as all.
    together = max(objective.shape[1], SCORE_BYTES // (8 * objective.shape[1]))
    triangles = objective.rows.passes.sum_curvature(find_triangles, np.zeros(objective.shape), together)
    # The intercept first, whose row then has the means.
    features = np.flatnonzero(is_free[:-1])
    columns = np.append([-1] * is_centered, features).astype(np.int64)
    triangle = _triangulate(np.concatenate(triangles)[:, columns])
    means, centered = triangle[:is_centered], triangle[is_centered:, is_centered:]
    spreads = np.sqrt(np.einsum("ij,ij->j", centered, centered))
    sizes = np.hypot(np.sqrt(coordinates.mean_squares[features]), coordinates.shift[features])
    sizes *= np.sqrt(objective.rows.total_weight)
    errors, most = np.finfo(dtype).eps / 2 * sizes + nearly / MARGIN * spreads, MARGIN * np.sqrt(triangle.shape[1])
    is_constant = ~(spreads > most * np.finfo(np.float64).eps / 2 * sizes) | np.isin(features, coordinates.vanishing)
    # Nothing is known of a column that varies by less than the errors.
    is_varying = ~is_constant & (spreads > most * errors)
    constant, varying = features[is_constant], features[is_varying]
    least = max(SAME, nearly)
    sums = _find_sums(centered[:, is_varying], spreads[is_varying], errors[is_varying], most, least)
    differences = np.zeros((len(constant) + len(sums), objective.shape[1]))
    differences[np.arange(len(constant)), constant] = -1
    differences[len(constant) :, varying] = sums
    if is_centered:
        differences[:, -1] = -differences[:, features] @ means[0, 1:] / means[0, 0]
    return sorted((_restore(objective, each) for each in differences), key=lambda each: each.feature)


def _find_sums(centered, spreads, errors, most, least):
    """Return the differences (m, d) between columns and the sums of others that they are, times any number.

    Terms below the part `least` of the largest one are left out.
    """
    # scipy.linalg takes 30 ms to import.
    from scipy import linalg

    if not len(spreads):
        return np.empty((0, 0))
    # In units of their errors all columns may be off by the same.
    triangle, positions = linalg.qr(centered / errors, mode="r", pivoting=True, check_finite=False)
    n_kept = int(np.count_nonzero(np.abs(np.diagonal(triangle)) > most))
    kept, rest = positions[:n_kept], positions[n_kept:]
    sums = np.zeros((len(rest), len(positions)))
    sums[:, kept] = linalg.solve_triangular(triangle[:n_kept, :n_kept], triangle[:n_kept, n_kept:]).T
    sums[np.arange(len(rest)), rest] = -1
    # In units of spreads, so that terms which are rounding can be told. The last column of each sum is the one that is
    # named, and has no part in the other sums.
    sums *= spreads / errors
    for number in range(len(sums)):
        sums[np.abs(sums) <= least * np.abs(sums).max(axis=1, keepdims=True)] = 0
        feature = np.flatnonzero(sums[number:].any(axis=0))[-1]
        row = number + int(np.argmax(np.abs(sums[number:, feature]) / np.abs(sums[number:]).max(axis=1)))
        sums[[number, row]] = sums[[row, number]]
        sums[number] /= -sums[number, feature]
        factors = sums[:, feature].copy()
        factors[number] = 0
        sums += factors[:, None] * sums[number]
    sums[np.abs(sums) <= least * np.abs(sums).max(axis=1, keepdims=True, initial=0.0)] = 0
    return sums / spreads


def find_triangles(passes: Passes, probabilities: FloatArray, together: int) -> list[FloatArray]:
    """Return R (m, d + 1) of the QR factorization of rows [x~, 1] times the roots of their weights, in a list.

    As a term of `Passes.sum_curvature` it is joined with those of other rows. Some rows are taken in together.
    """
    triangle = np.empty((0, passes.shape[1]))
    for part in passes.split(together):
        rows = part.read_rows() * np.sqrt(part.samples.weigh())[:, None]
        triangle = _triangulate(np.concatenate([triangle, rows]))
    return [triangle]


def _triangulate(rows):
    return np.linalg.qr(rows, mode="r")


def _restore(objective, difference):
    """Return the Dependence in the columns as given of a difference (d + 1,) of scaled ones."""
    scale, shift = objective.coordinates.scale, objective.coordinates.shift
    feature = int(np.flatnonzero(difference[:-1])[-1])
    difference = difference / -difference[feature]
    factors = difference[:-1] * scale / scale[feature]
    factors[feature] = 0
    constant = float(difference[-1] + np.dot(difference[:-1], shift)) / float(scale[feature])
    size = float(np.sum(np.abs(difference[:-1] * shift)) + np.abs(difference[-1])) / float(scale[feature])
    is_rounding = abs(constant) <= SAME * max(size, float(1 / scale[feature]))
    return Dependence(feature, factors, 0.0 if is_rounding or not objective.fit_intercept else constant)
