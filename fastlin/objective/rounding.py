"""By how much rounding can have moved what was computed at a point: J, and the dual value beside it.

The bounds hold for the sums that are made, whatever the data. They are derived in docs/derivations.md, section 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt
from typing import TYPE_CHECKING

from fastlin.kernels.linear.coordinates import UNIT_ROUNDOFF as UNIT_ROUNDOFF
from fastlin.kernels.linear.penalties import STRIP
from fastlin.kernels.machine.threads import MAX_BLOCKS

if TYPE_CHECKING:
    from fastlin.objective.point import Point

# Roundings of a row beside its sums: an exponential and a logarithm of a few units in the last place, the shift by the
# largest score, divisions and weights.
ROW_ROUNDINGS = 16


def bound_value_rounding(point: Point) -> float:
    """Return by how much the computed J of a point in float64 can be off.

    That is what rounding does to the mean loss and to the sum of the penalties (docs/derivations.md, section 8).
    """
    return point.loss_rounding + _gamma(_count_parameter_sums(point)) * (point.value - point.loss)


def bound_dual_rounding(point: Point, value: float, means: Sequence[float], part: float) -> float:
    """Return by how much the computed dual value of a point can exceed the dual objective of a feasible point.

    means are the mean probabilities of the classes, and `part` is the largest part of its probability that a class gave
    up.
    """
    objective = point.objective
    penalty, K = objective.penalty, len(point.parameters)
    entropy = abs(point.loss - point.slope)
    # What is summed over the parameters: the terms of the slope, and the conjugate.
    size = point.slope_size + abs(entropy - value)
    error = point.loss_rounding + _gamma(_count_parameter_sums(point)) * size
    n_products, n_sums = objective.rows.passes.roundings
    of_scores = _gamma(n_products) * point.blur
    of_sums, of_rows, of_labels = _gamma(n_sums + n_products), _gamma(ROW_ROUNDINGS + K), _count_label_roundings(point)
    missed, root_mean_square, largest = _bound_missed(point)
    if objective.fit_intercept:
        off = 2 * sqrt(2) * root_mean_square * of_scores + of_scores * of_scores
        off += 2 * missed * (of_sums + of_rows) + of_labels
        error += off * (2 - log(min((mean for mean in means if mean > 0), default=1.0)))
    # The derivative of a residual: p (1 - p) for two classes, the norm of diag(p) - p p' for more.
    steepest = min(0.25, largest) if K == 1 else min(0.5, 2 * largest)
    of_gradient = steepest * of_scores + of_scores * of_scores
    of_gradient += sqrt(2) * root_mean_square * (of_sums + of_rows) + of_labels
    # What classes exchange is a sum over the classes, of the gradients of the labels too.
    of_gradient += part * ((1 + sqrt(len(means))) * of_gradient + 2 * (of_sums + of_rows))
    if penalty.l2 > 0:
        distance = of_gradient * penalty.blur_norm
        return error + distance * sqrt(2 * max(0.0, point.value - value)) + 0.5 * distance * distance
    return error + of_gradient * (sqrt(K) * point.blur + entropy * penalty.largest_blur)


def bound_loss_rounding(point: Point) -> float:
    """Return by how much the computed mean loss of a point can be off."""
    n_products, n_sums = point.objective.rows.passes.roundings
    of_scores = _gamma(n_products) * point.blur
    _, root_mean_square, _ = _bound_missed(point)
    of_rows = _gamma(ROW_ROUNDINGS + len(point.parameters)) * point.loss + _count_label_roundings(point)
    # A row of three or more classes adds two terms.
    of_sums = _gamma(2 * n_sums) * point.loss
    return of_rows + of_sums + sqrt(2) * root_mean_square * of_scores + 0.25 * of_scores * of_scores


def _bound_missed(point):
    """Return upper bounds of the mean, the root mean square and the largest of the probability that labels miss.

    That of a row is 1 - p, with p the probability of its label. It is below one and below the row's loss -log p.
    """
    rows = point.objective.rows
    # The largest loss of a row is that of a row of the least weight which has all of the mean loss.
    largest = min(1.0, point.loss * rows.total_weight / rows.smallest_weight)
    mean = min(1.0, point.loss)
    return mean, sqrt(mean * largest), largest


def _count_label_roundings(point):
    """Return the error of a row that does not fall with its loss.

    Softmax has it from its total, which is above one, and from a residual, which is a probability less one. The
    logistic loss and its residual come from the smaller probability.
    """
    K = len(point.parameters)
    return _gamma(ROW_ROUNDINGS + K) if K > 1 else 0.0


def _count_parameter_sums(point):
    """Return the length of the longest chain of additions in a sum over the parameters."""
    K, d = point.parameters.shape
    return STRIP + -(-K * d // STRIP) + K + d + MAX_BLOCKS


def _gamma(n):
    """Return the relative error of n roundings, n u / (1 - n u) (Higham 2002, section 3.1)."""
    return n * UNIT_ROUNDOFF / (1 - n * UNIT_ROUNDOFF)
