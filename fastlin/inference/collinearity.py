"""Collinear columns: those that are a sum of multiples of other columns and a constant, found and named.

The inverse of the information tells whether to look: where no column is nearly a sum of others, the diagonal of a
matrix times that of its inverse is small. Else the columns are taken in their order, the intercept first, and each of
which the columns before it leave nothing is written as their sum. The sum is checked on the rows themselves, since a
matrix of their products tells differences of columns by half of its digits only.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from fastlin.exceptions import CollinearityError
from fastlin.objective.self_concordance import bound_rows
from fastlin.typing import Array, FloatArray

if TYPE_CHECKING:
    from fastlin.matrices import Passes
    from fastlin.objective import Objective

# A variance that is so many times what it would be without the other columns may come from columns that depend on each
# other: rounding leaves of these a part of 1e-16 in a matrix of products.
SUSPECT = 1e8
# What the columns before it leave of the square of a column that depends on them, as a part of it, at most.
# Below the second part products of columns tell nothing more of it, and standard errors would be rounding.
LEFT, LOST = 1e-9, 1e-13
# What is left of the rows themselves, relative to the sum of the magnitudes that were subtracted.
EXACT = 1e-10
# A sum with more terms is not written out, and no more sums are.
MOST_TERMS, MOST_NAMED = 4, 5
# Factors are shown as fractions with denominators up to this where they differ from them by rounding.
LARGEST_DENOMINATOR, SAME = 12, 1e-7


@dataclass(frozen=True, eq=False)
class Dependence:
    """A column that is a sum of multiples of other columns and a constant.

    Attributes
    ----------
    feature : int
        The column.
    factors : ndarray of shape (d,)
        The factors of the others, zero for most of them.
    constant : float
        The constant; zero without an intercept.
    """

    feature: int
    factors: np.ndarray
    constant: float

    def describe(self, names: Array) -> str:
        """Return the sum, or the columns where it is long; names are those of the features."""
        used = np.flatnonzero(self.factors)
        own = str(names[self.feature])
        if not len(used):
            return f"{own} is constant"
        if len(used) > MOST_TERMS:
            shown = ", ".join(str(names[j]) for j in used[:MOST_TERMS])
            return f"{own} depends on {shown} and {len(used) - MOST_TERMS} more"
        terms = [(float(self.factors[j]), str(names[j])) for j in used]
        if self.constant:
            terms.insert(0, (self.constant, ""))
        text = ""
        for number, (factor, name) in enumerate(terms):
            sign = "- " if factor < 0 else "+ "
            if not number:
                sign = "-" if factor < 0 else ""
            size = _show(abs(factor))
            text += f" {sign}" if number else sign
            text += size if not name else name if size == "1" else f"{size} {name}"
        return f"{own} = {text}"


def looks_collinear(diagonal: FloatArray, variances: FloatArray, added: FloatArray) -> bool:
    """Say whether columns may depend on each other, by numbers that an inference has anyway.

    Parameters
    ----------
    diagonal, variances : ndarray of shape (K, d + 1)
        The diagonals of a Hessian and of its inverse.
    added : ndarray of shape (K, d + 1)
        What the factorisation has added to the diagonal.

    Returns
    -------
    bool
    """
    is_curved = diagonal > 0
    is_raised, is_inflated = added > diagonal / SUSPECT, ~(diagonal * variances < SUSPECT)
    # The last column stands for the intercept, which there need not be.
    return bool(not is_curved[:, :-1].all() or (is_curved & (is_raised | is_inflated)).any())


def find_inflations(diagonal: FloatArray, variances: FloatArray) -> FloatArray:
    """Return how many times as large standard errors are as those of unrelated columns: the most of each column, (d,).

    Parameters
    ----------
    diagonal, variances : ndarray of shape (K, d + 1)
        The diagonals of a Hessian and of its inverse.
    """
    return np.sqrt(np.maximum(diagonal * variances, 0.0).max(axis=0))[:-1]


def check_collinearity(objective: Objective, names: Array) -> None:
    """Raise a CollinearityError that names the columns that depend on others, where there are some.

    Parameters
    ----------
    objective : Objective
        The objective. Columns that its penalty bends are left out.
    names : ndarray of shape (d,)
        The names of the features.
    """
    found = find_dependences(objective)
    if found:
        named = "; ".join(each.describe(names) for each in found[:MOST_NAMED])
        more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        raise CollinearityError(
            f"Columns of X depend on each other{' and on the intercept' if objective.fit_intercept else ''}: {named}"
            f"{more}. Their coefficients are not determined, and have no standard errors. Leave out "
            f"{'one of the columns' if len(found) == 1 else 'a column'} of each sum."
        )


def find_dependences(objective: Objective) -> list[Dependence]:
    """Return the columns that depend on those before them, in their order; it takes a pass, and more in doubt."""
    d, coordinates = objective.matrix.shape[1], objective.coordinates
    zeros = np.zeros(objective.shape)
    gram = objective.rows.passes.sum_curvature(sum_products, zeros)
    gram /= objective.rows.total_weight
    gram[coordinates.vanishing], gram[:, coordinates.vanishing] = 0, 0
    # The intercept first. A penalty determines the coefficients of its columns.
    free = np.flatnonzero(objective.penalty.curvatures[:-1] == 0)
    order = np.append([d] if objective.fit_intercept else [], free).astype(np.int64)
    spread = np.sqrt(np.diagonal(gram))
    spread[spread == 0] = 1
    gram = gram / spread / spread[:, None]
    kept: list[int] = []
    factor = np.zeros((len(order), len(order)))
    found = []
    longest = bound_rows(coordinates)
    for j in order:
        rank = len(kept)
        # The row of the Cholesky factor, by substitution.
        row = np.zeros(rank)
        for i in range(rank):
            row[i] = (gram[kept[i], j] - np.dot(factor[i, :i], row[:i])) / factor[i, i]
        left = gram[j, j] - np.dot(row, row)
        if left > LEFT:
            factor[rank, :rank], factor[rank, rank] = row, np.sqrt(left)
            kept.append(int(j))
            continue
        weights = np.zeros(rank)
        for i in range(rank - 1, -1, -1):
            weights[i] = (row[i] - np.dot(factor[i + 1 : rank, i], weights[i + 1 :])) / factor[i, i]
        difference = np.zeros(d + 1)
        difference[kept] = weights * spread[j] / spread[kept]
        is_small = np.abs(difference) * spread <= SAME * spread[j] * max(1.0, np.abs(weights).max(initial=0.0))
        difference[:-1][is_small[:-1]] = 0
        difference[j] = -1
        dependence = _restore(objective, int(j), difference)
        if left <= LOST:
            found.append(dependence)
            continue
        rest = objective.rows.passes.sum_curvature(sum_squares, zeros, _express(objective, dependence))
        shifts = np.append(np.abs(coordinates.shift), 0.0)
        size = float(np.sum(np.abs(difference) * (longest + shifts)))
        if np.sqrt(rest[0] / objective.rows.total_weight) <= EXACT * size:
            found.append(dependence)
        else:
            factor[rank, :rank], factor[rank, rank] = row, np.sqrt(left)
            kept.append(int(j))
    return found


def sum_products(passes: Passes, probabilities: FloatArray) -> FloatArray:
    """Return sum_i s_i [x~_i, 1] [x~_i, 1]', (d + 1, d + 1), as a term of `Passes.sum_curvature`."""
    return passes.gram(passes.samples.rows, passes.samples.weigh()[None], np.float64)[0]


def sum_squares(passes: Passes, probabilities: FloatArray, direction: FloatArray) -> FloatArray:
    """Return sum_i s_i (x~_i direction)^2, (1,), as a term of `Passes.sum_curvature`."""
    scores = passes.compute_scores(direction[None])[:, 0]
    return np.array([np.einsum("i,i,i->", scores, scores, passes.samples.weigh())])


def _restore(objective, feature, difference):
    """Return the Dependence in the columns as they were given of a difference (d + 1,) of scaled columns.

    Factors that are a fraction but for rounding become that.
    """
    scale, shift = objective.coordinates.scale, objective.coordinates.shift
    factors = difference[:-1] * scale / scale[feature]
    factors[feature] = 0
    constant = float(difference[-1] + np.dot(difference[:-1], shift)) / float(scale[feature])
    size = float(np.sum(np.abs(difference[:-1] * shift)) + np.abs(difference[-1])) / float(scale[feature])
    size = max(size, float(1 / scale[feature]))
    factors = np.array([_simplify(factor, abs(factor)) if factor else 0.0 for factor in factors])
    constant = _simplify(constant, size) if objective.fit_intercept else 0.0
    return Dependence(feature, factors, constant)


def _express(objective, dependence):
    """Return the difference (d + 1,) between a column and its sum, in scaled coordinates."""
    scale, shift = objective.coordinates.scale, objective.coordinates.shift
    factors = dependence.factors.copy()
    factors[dependence.feature] = -1
    difference = factors * scale[dependence.feature] / scale
    constant = dependence.constant * scale[dependence.feature]
    return np.append(difference, constant - np.dot(difference, shift))


def _simplify(number, size):
    """Return the fraction of a small denominator that a number is but for rounding, relative to size, or the number."""
    for denominator in range(1, LARGEST_DENOMINATOR + 1):
        nearest = round(number * denominator) / denominator
        if abs(nearest - number) <= SAME * size and (nearest or abs(number) <= SAME * size):
            return nearest
    return number


def _show(number):
    """Return a factor above zero, as a fraction where it is one of a small denominator."""
    fraction = Fraction(number).limit_denominator(LARGEST_DENOMINATOR)
    if fraction.numerator and fraction.denominator > 1 and abs(float(fraction) - number) <= 1e-12 * number:
        return f"{fraction.numerator}/{fraction.denominator}"
    return f"{number:.6g}"
