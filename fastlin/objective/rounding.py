"""By how much rounding can have moved what was computed at a point: J, and the dual value beside it.

The bounds hold for the sums that are made, whatever the data. They are derived in docs/derivations.md, section 8.
"""

from __future__ import annotations

from math import inf, log, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastlin.kernels.linear.column_scaling import ROW_ROUNDINGS as ROW_ROUNDINGS
from fastlin.kernels.linear.column_scaling import UNIT_ROUNDOFF as UNIT_ROUNDOFF
from fastlin.kernels.linear.divergence import DECIDED
from fastlin.kernels.linear.penalties import STRIP
from fastlin.kernels.machine.threads import MAX_BLOCKS

if TYPE_CHECKING:
    from fastlin.objective.duality import FeasibleValue
    from fastlin.objective.newton_dual import Divergence, NewtonStep
    from fastlin.objective.point import Point
    from fastlin.objective.rows import MeanSums
    from fastlin.typing import FloatArray

# Those of a product with the Hessian beside its sums, the additions of some hundred moves included.
STEP_ROUNDINGS = 512
# In roundings of a row: what a change of e^2 makes of those of linearised probabilities, and of a divergence.
DUAL_ROUNDINGS, DIVERGENCE_ROUNDINGS = 24, 96


class RowErrors(NamedTuple):
    """What rounding does to the rows of a pass, in the mean over them, and what these have lost.

    Attributes
    ----------
    of_scores : float
        The error of a score.
    of_sums, of_rows : float
        The relative errors of a sum over the rows, and of a row beside its sums.
    of_labels : float
        The error of a row that does not fall with its loss.
    missed, root_mean_square, largest : float
        Upper bounds of the mean, the root mean square and the largest of the probability that labels miss. That of a
        row is 1 - p, with p the probability of its label. It is below one and below the row's loss -log p. With targets
        it is half the sum of the magnitudes of what these differ from the probabilities by, or if that is more, what
        the most probable label misses.
    """

    of_scores: float
    of_sums: float
    of_rows: float
    of_labels: float
    missed: float
    root_mean_square: float
    largest: float


def find_row_errors(point: Point) -> RowErrors:
    """Return the RowErrors of a point in float64."""
    rows, K = point.objective.rows, len(point.parameters)
    n_products, n_sums = rows.passes.roundings
    of_rows = gamma(_count_row_roundings(point))
    if rows.has_targets:
        # Half the distance of two distributions is below the root of half of the loss (Pinsker), and what the most
        # probable label misses below the loss; the loss of a row with its target may be that of others.
        largest = 1.0
        missed = root_mean_square = min(1.0, sqrt(point.loss))
    else:
        # The largest loss of a row is that of a row of the least weight which has all of the mean loss.
        largest = min(1.0, point.loss * rows.total_weight / rows.smallest_weight)
        missed = min(1.0, point.loss)
        root_mean_square = sqrt(missed * largest)
    return RowErrors(
        of_scores=bound_score_rounding(rows, point.blur),
        of_sums=gamma(n_sums + n_products),
        of_rows=of_rows,
        # Softmax has it from its total, which is above one, and from a residual, which is a probability less one. The
        # logistic loss and its residual come from the smaller probability, but with a target from a difference.
        of_labels=of_rows if K > 1 or rows.has_targets else 0.0,
        missed=missed,
        root_mean_square=root_mean_square,
        largest=largest,
    )


def bound_score_rounding(rows: MeanSums, blur: float) -> float:
    """Return by how much rounding can have moved a score, in the mean over rows, for the blur of a point."""
    error = gamma(rows.passes.roundings[0]) * blur
    if rows.offset_range is not None:
        # The sum of an offset and the score of the features.
        error += gamma(2) * (blur + rows.offset_range.root_mean_square)
    return error


def _count_row_roundings(point):
    """Return the roundings of a row beside its sums; with targets those of a sum of K terms and of their own."""
    K = len(point.parameters)
    return ROW_ROUNDINGS + K + (2 * K + 4 if point.objective.rows.has_targets else 0)


def _bound_offsets(objective, means, off):
    """Return what an error of the class sums of a dual point, `off`, and rounding make of the offsets' part in it.

    means are the mean probabilities of the classes.
    """
    offsets = objective.rows.offset_range
    if offsets is None:
        return 0.0
    exchanged = float(np.sum(np.abs(means - objective.class_weights) + UNIT_ROUNDOFF))
    return (off + gamma(2 * len(means) + 8) * exchanged) * offsets.reach


def bound_value_rounding(point: Point) -> float:
    """Return by how much the computed J of a point in float64 can be off.

    That is what rounding does to the mean loss and to the sum of the penalties (docs/derivations.md, section 8).
    """
    return point.loss_rounding + gamma(_count_parameter_sums(point)) * (point.value - point.loss)


def bound_dual_rounding(point: Point, dual: FeasibleValue) -> float:
    """Return by how much the computed dual value of a point can exceed the dual objective of a feasible point."""
    value, means, part = dual.value, dual.means, max(dual.parts)
    objective = point.objective
    penalty, K = objective.penalty, len(point.parameters)
    entropy = point.loss - point.slope
    # What is summed over the parameters: the terms of the slope, and the conjugate.
    size = point.slope_size + abs(entropy - value) + (0.0 if dual.within is None else dual.within.size)
    error = point.loss_rounding + gamma(_count_parameter_sums(point)) * size
    of_scores, of_sums, of_rows, of_labels, missed, root_mean_square, _ = point.row_errors
    if objective.fit_intercept:
        off = 2 * sqrt(2) * root_mean_square * of_scores + of_scores * of_scores
        off += 2 * missed * (of_sums + of_rows) + of_labels
        error += off * (2 - log(min((mean for mean in means if mean > 0), default=1.0)))
        error += _bound_offsets(objective, means, off)
    of_gradient = bound_gradient_rounding(point)
    # What classes exchange is a sum over the classes, of the gradients of the labels too.
    of_gradient += part * ((1 + sqrt(len(means))) * of_gradient + 2 * (of_sums + of_rows))
    if dual.within is not None:
        if objective.fit_intercept:
            # A part off / mean of a probability that is exchanged, whose mean square is no more than the mean.
            of_gradient += 2 * off / sqrt(min((mean for mean in means if mean > 0), default=1.0))
        # Without a quadratic penalty an error counts by how far the conjugate's maximum may be from the parameters.
        counts = (dual.within.reach > 0) & (penalty.gradient_blur > 0)
        error += of_gradient * float(np.sum(penalty.gradient_blur[counts] * dual.within.reach[counts]))
        # The parameter of a constant column need not be zero, and has a part in the slope.
        vanishing = objective.coordinates.vanishing
        values = np.abs(point.parameters[:, vanishing]).sum(axis=0)
        error += of_gradient * float(np.sum(penalty.columns.blur[vanishing] * values))
        if penalty.l2 == 0:
            part_of_step = of_gradient * penalty.largest_blur + gamma(4)
            error += part_of_step * max(abs(entropy), value)
            # Where nothing is left, it is known that J is not below zero.
            return error if part_of_step < 1 and error < inf else max(value, 0.0)
    if penalty.l2 > 0:
        distance = of_gradient * penalty.blur_norm
        return error + distance * sqrt(2 * max(0.0, point.value - value)) + 0.5 * distance * distance
    return error + of_gradient * (sqrt(K) * point.blur + abs(entropy) * penalty.largest_blur)


def bound_gradient_rounding(point: Point) -> float:
    """Return by how much the computed gradient of the mean loss can be off, relative to the blur of each column."""
    of_scores, of_sums, of_rows, of_labels, _, root_mean_square, largest = point.row_errors
    # The derivative of a residual: p (1 - p) for two classes, the norm of diag(p) - p p' for more.
    steepest = min(0.25, largest) if len(point.parameters) == 1 else min(0.5, 2 * largest)
    of_residuals = sqrt(2) * root_mean_square * (of_sums + of_rows)
    return steepest * of_scores + of_scores * of_scores + of_residuals + of_labels


def bound_loss_rounding(point: Point) -> float:
    """Return by how much the computed mean loss of a point can be off."""
    _, n_sums = point.objective.rows.passes.roundings
    of_scores, _, of_rows, of_labels, _, root_mean_square, _ = point.row_errors
    # A row of three or more classes adds two terms.
    error = (of_rows + gamma(2 * n_sums)) * point.loss + of_labels
    return error + sqrt(2) * root_mean_square * of_scores + 0.25 * of_scores * of_scores


def bound_step_rounding(
    step: NewtonStep, end: Point, dual: FeasibleValue, size: float, divergence: Divergence
) -> float:
    """Return by how much the computed dual value of a Newton step can exceed the dual objective of a feasible point.

    size is the sum of the magnitudes of what is summed over the parameters beside the conjugate.
    """
    objective, penalty, start = end.objective, end.objective.penalty, step.start
    K, d = len(end.parameters), len(penalty.gradient_blur)
    n_classes, of_rows = len(dual.means), gamma(_count_row_roundings(end))
    n_products, n_sums = objective.rows.passes.roundings
    # In any order of the sums over rows, columns and parameters, each of which has some roundings of its own.
    of_products = gamma(objective.n_rows + d + end.parameters.size + STEP_ROUNDINGS)
    blur = penalty.columns.blur + 2 * np.abs(penalty.columns.shift)
    path = np.einsum("kj,j->k", step.direction.path[:, :-1], blur) + step.direction.path[:, -1]
    blur = np.where(penalty.gradient_blur > 0, blur, 0.0)
    of_path, blur_norm = norm(path), norm(blur / penalty.arrays.roots)
    of_penalty = norm(step.direction.path[:, :-1] * penalty.arrays.roots)
    # The rows: gradients and probabilities at both ends, the dual point itself, and what the Hessian makes of the path.
    of_rows_alone = 4 * (bound_gradient_rounding(start) + bound_gradient_rounding(end)) + DUAL_ROUNDINGS * of_rows
    if divergence.has_decided:
        of_rows_alone += DECIDED * (2 + of_path)
    of_residuals = of_rows_alone + 4 * of_products * (0.25 if K == 1 else 0.5) * of_path
    distance = of_residuals * blur_norm + 4 * of_products * of_penalty
    distance += gamma(4) * (sqrt(start.dual_square) + sqrt(2 * max(0.0, end.value - end.loss)))
    error = end.loss_rounding + gamma(_count_parameter_sums(end)) * (size + abs(end.value - dual.value))
    if objective.fit_intercept:
        part, least = max(dual.parts), min((mean for mean in dual.means if mean > 0), default=1.0)
        off = 2 * sqrt(n_classes) * of_residuals
        error += off * (2 - log(least)) + _bound_offsets(objective, dual.means, off)
        distance += 2 * off / least * blur_norm
        distance += (
            part * blur_norm * ((1 + sqrt(n_classes)) * of_residuals + 2 * (gamma(n_sums + n_products) + of_rows))
        )
    # The scores at the end, whose rounding counts by the distance of both distributions (Pinsker).
    of_scores, of_divergence = bound_score_rounding(objective.rows, end.blur), DIVERGENCE_ROUNDINGS * of_rows
    mean = max(divergence.mean, 0.0) + of_divergence
    error += of_divergence + of_products * mean + sqrt(2 * mean) * of_scores + 0.25 * of_scores * of_scores
    return error + distance * sqrt(2 * max(0.0, end.value - dual.value)) + 0.5 * distance * distance


def _count_parameter_sums(point):
    """Return the length of the longest chain of additions in a sum over the parameters."""
    K, d = point.parameters.shape
    return STRIP + -(-K * d // STRIP) + K + d + MAX_BLOCKS


def gamma(n: int) -> float:
    """Return the relative error of n roundings, n u / (1 - n u) (Higham 2002, section 3.1)."""
    return n * UNIT_ROUNDOFF / (1 - n * UNIT_ROUNDOFF)


def norm(values: FloatArray) -> float:
    """Return the root of the sum of the squares; NumPy's own comes from BLAS, whose bits depend on its threads."""
    with np.errstate(over="ignore"):
        return sqrt(float(np.sum(np.square(values))))
