"""How far rounding can have moved the numbers computed at a point: J and a dual value.

One count of roundings stands for all ways to make a pass: a sum of m terms, in any order, is off by at most gamma(m)
times the sum of their magnitudes. The bounds are derived in docs/derivations.md, section 8.
"""

from __future__ import annotations

from math import expm1, inf, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from fastlin.kernels.linear.column_scaling import ROW_ROUNDINGS as ROW_ROUNDINGS
from fastlin.kernels.linear.column_scaling import UNIT_ROUNDOFF as UNIT_ROUNDOFF
from fastlin.kernels.linear.penalties import STRIP
from fastlin.kernels.machine.threads import MAX_BLOCKS

if TYPE_CHECKING:
    from fastlin.objective.point import Point
    from fastlin.objective.problem_batch import SharedRows
    from fastlin.objective.rows import Rows
    from fastlin.typing import FloatArray


class Roundings(NamedTuple):
    """Relative errors in float64. A sum of m terms counts m roundings, and each block of a pass one more."""

    score: float
    row: float  # of what a row makes of its scores; with targets also of sums over the classes
    plain_sum: float  # of a sum of these over the rows
    sum: float  # of a sum of their products with a column

    @classmethod
    def of(cls, longest_sum: int, longest_row: int, n_rows_coef: int, has_targets: bool = False) -> Self:
        """Return the roundings of passes with sums of so many terms over rows of so many entries."""
        of_row = ROW_ROUNDINGS + n_rows_coef + (2 * n_rows_coef + 4 if has_targets else 0)
        # The products, the scaled and shifted column, and the intercept.
        of_score, of_sum = longest_row + 4, longest_sum + of_row
        return cls(gamma(of_score), gamma(of_row), gamma(of_sum), gamma(of_sum + of_score))


class RowErrors(NamedTuple):
    """Errors from rounding in float64, in the mean over the rows; of a `ProblemBatch` arrays (B,)."""

    loss: float  # of the mean loss
    gradient: float  # of the mean loss, relative to the error weight of each column
    class_sums: float  # of the mean probabilities of all classes together
    # The error of the gradient, relative to the error weight of each column, from an exchange that mends the class sums where
    # they are near the weights of the classes; infinite where a class has no weight.
    exchange: float

    @classmethod
    def of(cls, rows: Rows | SharedRows, loss: Any, error_weight: Any, missed: Any, root: Any, steepest: Any) -> Self:
        """Return the errors for a mean loss and the error weight of a point.

        The probability that misses a label is ``missed`` in the mean and ``root`` in the root mean square over the
        rows. For two classes no residual of a row is steeper than ``steepest``.
        """
        K, (_, of_row, plain, of_sum) = rows.n_rows_coef, rows.roundings
        scores = bound_score_rounding(rows, error_weight)
        # In softmax the total, which is above one, and the residual, a probability less one, have an absolute error.
        # The logistic loss and its residual come from the smaller probability, or with a target from a difference.
        absolute = of_row if K > 1 or rows.has_targets else 0.0
        # The norm of the residuals of a row, of which three or more classes have two of opposite signs.
        length = 1.0 if K == 1 else sqrt(2)
        by_scores, by_squares = length * root * scores, scores * scores
        # The error of a class sum is relative to the class, but for what the squares of errors of scores add.
        fraction = rows.min_fraction
        exchange = (
            length * (length * scores + 2 * plain + absolute) + 2 * by_squares / sqrt(fraction) if fraction > 0 else inf
        )
        return cls(
            # A row of three or more classes adds two terms.
            loss=2 * of_sum * loss + absolute + by_scores + 0.25 * by_squares,
            # The derivative of a residual: p (1 - p) for two classes, the norm of diag(p) - p p' for more.
            gradient=length * length * steepest * scores + by_squares + length * root * of_sum + absolute,
            class_sums=2 * by_scores + by_squares + 2 * missed * plain + absolute,
            exchange=exchange,
        )

    @classmethod
    def of_difference(cls, rows: Rows, size: float) -> Self:
        """Return the errors of the difference of passes at zero parameters: over rows with targets and their labels.

        ``size`` is the sum of the magnitudes of what stands for the loss: the entropy, and with offsets both losses.
        """
        # Without parameters only offsets are rounded in a score. No probability misses its label by more than one.
        of_pass = cls.of(rows, size, 0.0, 1.0, 1.0, 0.25 if rows.n_rows_coef == 1 else 0.5)
        # Targets that do not quite sum to one are off by their roundings.
        own = gamma(rows.n_rows_coef + 4)
        return cls(3 * of_pass.loss, 2 * of_pass.gradient + own, 2 * of_pass.class_sums + own, inf)


def find_row_errors(point: Point) -> RowErrors:
    """Return the RowErrors of a point in float64, which fall with the probability that the label of a row misses."""
    rows, loss = point.objective.rows, point.loss
    if rows.has_targets:
        # Half the distance of two distributions is below the root of half of the loss (Pinsker). The missed probability
        # of the most probable label is below the loss. With targets the loss of one row may come from other rows.
        largest = 1.0
        missed = root_mean_square = min(1.0, sqrt(loss))
    else:
        # The loss of a row is largest if a row of the least weight has all of the mean loss. The logarithm of the mean
        # probability of the labels is at least minus the mean loss (Jensen).
        largest, missed = -expm1(-loss * rows.total_weight / rows.smallest_weight), -expm1(-loss)
        root_mean_square = sqrt(missed * largest)
    return RowErrors.of(rows, loss, point.error_weight, missed, root_mean_square, min(0.25, largest))


def bound_score_rounding(rows: Rows | SharedRows, error_weight: Any) -> Any:
    """Return by how much rounding can have moved a score, in the mean over rows, for the error weight of a point."""
    # The sum of an offset and the score of the features.
    return rows.roundings.score * error_weight + (
        gamma(2) * (error_weight + rows.offset_size) if rows.offset_size else 0.0
    )


def bound_parameter_sums(point: Point) -> float:
    """Return the relative error of a sum over the parameters, which is made by strips of columns."""
    K, d = point.parameters.shape
    return gamma(STRIP + -(-K * d // STRIP) + K + d + MAX_BLOCKS)


def gamma(n: int) -> float:
    """Return the relative error of n roundings, n u / (1 - n u) (Higham 2002, section 3.1)."""
    return n * UNIT_ROUNDOFF / (1 - n * UNIT_ROUNDOFF)


def norm(values: FloatArray) -> float:
    """Return the root of the sum of the squares; NumPy's own comes from BLAS, whose bits depend on its threads."""
    with np.errstate(over="ignore"):
        return sqrt(float(np.sum(np.square(values))))
