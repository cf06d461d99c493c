"""Bounds on the rounding errors of J and of the dual value at a point.

The bounds are valid for all kinds of passes, because the error of a sum of m terms, in any order, is at most gamma(m)
times the sum of their magnitudes. The bounds are derived in docs/derivations.md, section 8.
"""

from __future__ import annotations

from math import expm1, inf, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from fastlin.kernels.linear.column_scaling import ROUNDING_ERRORS_PER_ROW as ROUNDING_ERRORS_PER_ROW
from fastlin.kernels.linear.column_scaling import UNIT_ROUNDOFF as UNIT_ROUNDOFF
from fastlin.kernels.linear.penalties import STRIP_COLUMNS
from fastlin.kernels.machine.threads import MAX_BLOCKS

if TYPE_CHECKING:
    from fastlin.objective.point import Point
    from fastlin.objective.problem_batch import BatchRows
    from fastlin.objective.rows import Rows
    from fastlin.typing import FloatArray


class Roundings(NamedTuple):
    """Relative errors in float64. A sum of m terms has m roundings, and each block of a pass adds one more."""

    score: float  # the error of a score
    row: float  # the error of a row's loss and residuals, given the scores; with targets, also of sums over classes
    residual_sum: float  # the error of a sum of losses or residuals over the rows
    sum: float  # the error of a sum of products of residuals with a column

    @classmethod
    def of(cls, max_additions_per_sum: int, longest_row: int, n_rows_coef: int, has_targets: bool = False) -> Self:
        """Return the Roundings of passes with `max_additions_per_sum` terms per sum, and `longest_row` per row."""
        terms_per_row = ROUNDING_ERRORS_PER_ROW + n_rows_coef + (2 * n_rows_coef + 4 if has_targets else 0)
        # Products, scaling and shifting of a column, and the sum with the intercept are rounded.
        terms_per_score, terms_per_sum = longest_row + 4, max_additions_per_sum + terms_per_row
        return cls(
            gamma(terms_per_score), gamma(terms_per_row), gamma(terms_per_sum), gamma(terms_per_sum + terms_per_score)
        )


class RowErrors(NamedTuple):
    """Rounding errors in float64, averaged over the rows. For a `ProblemBatch`, they are arrays (B,)."""

    loss: float  # the error of the mean loss
    gradient: float  # the error of the gradient of the mean loss, relative to the error weight of each column
    class_sums: float  # the error of the mean probabilities, summed over the classes
    # The error of the gradient that is due to the exchange of probability between classes, if the class sums are
    # already near the class weights. It is relative to the error weight of each column, and infinite if a class has no
    # weight.
    exchange: float

    @classmethod
    def of(
        cls,
        rows: Rows | BatchRows,
        loss: Any,
        error_weight: Any,
        wrong_class_probability: Any,
        root: Any,
        max_residual_slope: Any,
    ) -> Self:
        """Return the errors at a point, given the mean loss and the error weight.

        Over the rows, the probability of the wrong classes has the mean `wrong_class_probability` and the root mean
        square `root`. For two classes, `max_residual_slope` bounds the derivative of a row's residual with respect to
        the score.
        """
        K, (_, relative_row_error, plain, sum_error) = rows.n_rows_coef, rows.roundings
        scores = bound_score_rounding(rows, error_weight)
        # Softmax has absolute errors, because the sum of exponentials exceeds one, and because a residual is a
        # probability minus one. The logistic loss and residual are computed from the smaller probability, or with
        # targets from a difference.
        absolute_error = relative_row_error if K > 1 or rows.has_targets else 0.0
        # With two classes, a row has one residual. With more classes, its residuals have both signs, which increases
        # their norm by up to this factor.
        length = 1.0 if K == 1 else sqrt(2)
        score_error_effect, squared_score_error = length * root * scores, scores * scores
        # The error of a class sum is relative to the class weight, except for the squared errors of the scores.
        fraction = rows.min_class_weight
        exchange = (
            length * (length * scores + 2 * plain + absolute_error) + 2 * squared_score_error / sqrt(fraction)
            if fraction > 0
            else inf
        )
        return cls(
            # With three or more classes, each row adds two terms.
            loss=2 * sum_error * loss + absolute_error + score_error_effect + 0.25 * squared_score_error,
            # The derivative of a residual is p (1 - p) for two classes, and at most the norm of diag(p) - p p' for
            # more.
            gradient=length * length * max_residual_slope * scores
            + squared_score_error
            + length * root * sum_error
            + absolute_error,
            class_sums=2 * score_error_effect
            + squared_score_error
            + 2 * wrong_class_probability * plain
            + absolute_error,
            exchange=exchange,
        )

    @classmethod
    def from_pass_difference(cls, rows: Rows, size: float) -> Self:
        """Return the errors of the difference between two passes at zero parameters, with targets and with labels.

        `size` is the sum of the magnitudes of the terms: the entropy and, if there are offsets, both losses.
        """
        # At zero parameters, only the offsets cause rounding errors in a score. No residual exceeds one.
        single_pass_errors = cls.of(rows, size, 0.0, 1.0, 1.0, 0.25 if rows.n_rows_coef == 1 else 0.5)
        # The sums of the targets differ from one by rounding errors.
        target_sum_error = gamma(rows.n_rows_coef + 4)
        return cls(
            3 * single_pass_errors.loss,
            2 * single_pass_errors.gradient + target_sum_error,
            2 * single_pass_errors.class_sums + target_sum_error,
            inf,
        )


def find_row_errors(point: Point) -> RowErrors:
    """Return the RowErrors of a point in float64. They are small if the wrong classes have a small probability."""
    rows, loss = point.objective.rows, point.loss
    if rows.has_targets:
        # Half the L1 distance between two distributions is at most the square root of half the divergence (Pinsker).
        # The loss bounds the divergence, and also the probability outside the most probable label. With targets, the
        # mean loss does not bound the loss of a single row in this way.
        largest = 1.0
        wrong_class_probability = root_mean_square = min(1.0, sqrt(loss))
    else:
        # The loss of one row is largest if a row with the smallest weight has the total loss. The logarithm of the mean
        # probability of the labels is at least minus the mean loss (Jensen).
        largest, wrong_class_probability = -expm1(-loss * rows.total_weight / rows.smallest_weight), -expm1(-loss)
        root_mean_square = sqrt(wrong_class_probability * largest)
    return RowErrors.of(rows, loss, point.error_weight, wrong_class_probability, root_mean_square, min(0.25, largest))


def bound_score_rounding(rows: Rows | BatchRows, error_weight: Any) -> Any:
    """Return the rounding error of a score, averaged over the rows, given the error weight of a point."""
    # Adding an offset to a score causes two more roundings.
    return rows.roundings.score * error_weight + (
        gamma(2) * (error_weight + rows.offset_magnitude) if rows.offset_magnitude else 0.0
    )


def bound_parameter_sums(point: Point) -> float:
    """Return the relative error of a sum over the parameters. Such sums are computed in strips of columns."""
    K, d = point.parameters.shape
    return gamma(STRIP_COLUMNS + -(-K * d // STRIP_COLUMNS) + K + d + MAX_BLOCKS)


def gamma(n: int) -> float:
    """Return the bound n u / (1 - n u) on the relative error of n roundings (Higham 2002, section 3.1)."""
    return n * UNIT_ROUNDOFF / (1 - n * UNIT_ROUNDOFF)


def norm(values: FloatArray) -> float:
    """Return the Euclidean norm. NumPy's norm uses BLAS, so its result depends on the number of threads."""
    with np.errstate(over="ignore"):
        return sqrt(float(np.sum(np.square(values))))
