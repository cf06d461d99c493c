"""Lower bounds of the minimum of J from a point.

The dual objective at a feasible point is a lower bound. With Q_i a distribution over the classes for each row, H the
entropy and e the one-hot label, Fenchel's inequality for each loss gives, for every Q whose class sums equal those of
the labels::

    min J >= (1 / S) sum_i s_i (H(Q_i) + <Q_i - e_i, o_i>) - conjugate(G),   G = (1 / S) sum_i s_i (Q_i - e_i) x~_i'

o_i are the offsets, and targets stand in the place of e. What stands before the conjugate is called the entropy in the
following; at Q = P it is the mean loss less its slope, with offsets and without. The conjugate of the quadratic penalty
is sum_kj G_kj^2 / (2 curvature_j). At Q = P, the probabilities, the right-hand side is J - ||dJ/dW||^2 / (2 l2). The
derivation is in docs/derivations.md.
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastlin.kernels.linear.penalties import CONJUGATE, FIRST, SECOND, WITHIN, Exchange
from fastlin.objective.box import MAX_DUAL_STEPS, BoxDual, DualPoint
from fastlin.objective.penalty import NO_EXCHANGE
from fastlin.objective.rounding import bound_dual_rounding
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.point import Point


def find_dual_value(point: Point) -> tuple[float, float]:
    """Return the dual objective at a feasible point that is made from a point, and by how much rounding can raise it.

    The value less its rounding is a lower bound of the minimum of J. It is rigorous where the point was computed in
    float64, and an estimate where it was not. The value is minus infinity where something is not penalised. Where the
    intercept is not stationary, the probabilities give a class k of mean probability m_k an excess g_k. Then each class
    with g_k > 0 gives up the part g_k / m_k of its probability in every row, and those with g_k < 0 share it, in
    proportion. Since -q log q is concave and its slope at least -1, the mean entropy falls by no more than the sum of
    g_k (1 - log m_k) over the classes with g_k > 0. With offsets, <Q_i, o_i> falls by the sum of g_k c_k over all
    classes, c their mean offsets, and by no more than the spread of the offsets times the sum of the g_k > 0 beyond.
    """
    if not point.objective.penalty.is_bounded or not point.is_finite:
        return -np.inf, 0.0
    dual = find_feasible_value(point, point.gradient, point.loss - point.slope)
    return dual.value, bound_dual_rounding(point, dual)


class FeasibleValue(NamedTuple):
    """The dual objective at a feasible point.

    Attributes
    ----------
    value : float
        The dual objective.
    means : list of float
        The mean probability of each class before the exchange.
    parts : list of float
        The part of its probability that each class gave up.
    within : DualPoint or None
        The same point, where the coefficients have bounds.
    """

    value: float
    means: list[float]
    parts: list[float]
    within: DualPoint | None = None


def find_feasible_value(point: Point, gradient: FloatArray, entropy: float) -> FeasibleValue:
    """Return the dual objective where the classes of a dual point have exchanged what its class sums exceed.

    The dual point has the given entropy. Its gradient of the loss, and the slope of the quadratic penalty at the
    parameters of `point`, add up to ``gradient`` (K, d + 1).
    """
    objective = point.objective
    excess = _find_excess(gradient)
    means = [weight + rise for weight, rise in zip(objective.class_weights.tolist(), excess, strict=True)]
    offsets = objective.rows.offset_range
    # Without an intercept nothing ties the class sums.
    if not max(excess) > 0 > min(excess):
        return _maximize(point, gradient, entropy, NO_EXCHANGE, means, [0.0])
    # In plain numbers, as the classes are few beside the rows: with arrays this took as long as a small pass.
    parts = [rise / mean if rise > 0 else 0.0 for rise, mean in zip(excess, means, strict=True)]
    entropy -= sum(rise * (1 - log(mean)) for rise, mean in zip(excess, means, strict=True) if rise > 0)
    if offsets is not None:
        entropy -= sum(rise * mean for rise, mean in zip(excess, offsets.mean.tolist(), strict=True))
        entropy -= offsets.spread * sum(rise for rise in excess if rise > 0)
    missing = sum(-rise for rise in excess if rise < 0)
    received = [-rise / missing if rise < 0 else 0.0 for rise in excess]
    exchange = Exchange(objective.rows.class_features(), np.array(parts), np.array(received))
    return _maximize(point, gradient, entropy, exchange, means, parts)


def find_natural_gap(point: Point) -> float:
    """Return what bounds J - J* as soon as the intercept is stationary: ||dJ/dW||^2 / (2 l2) where l1 = 0."""
    penalty = point.objective.penalty
    if not penalty.is_bounded:
        return np.inf
    if penalty.is_smooth:
        return 0.5 * point.dual_square
    return point.value - _maximize(point, point.gradient, point.loss - point.slope, NO_EXCHANGE, [], []).value


def _find_excess(gradient):
    """Return by how much the mean probability of each class exceeds the labels' part, for all classes."""
    excess = gradient[:, -1].tolist()
    # Two classes have one row of coefficients. The other class has its negative.
    return [-excess[0], excess[0]] if len(excess) == 1 else excess


def _maximize(point, gradient, entropy, exchange, means, parts):
    """Return the FeasibleValue of the best point between the labels and the probabilities after the exchange."""
    objective = point.objective
    if objective.penalty.box is None:
        return FeasibleValue(_maximize_dual(point, gradient, entropy, exchange), means, parts)
    of_loss = objective.penalty.exchanged_slopes(point.parameters, gradient, exchange)
    vanishing, mean = objective.coordinates.vanishing, objective.coordinates.mean
    # Where the class sums are those of the labels there is no slope by a column that is constant. At the probabilities
    # there is one, since rounding leaves such a column next to zero; the slope of the point is without it.
    of_loss[:, vanishing] = 0
    of_constants = np.einsum("kj,j->k", point.parameters[:, vanishing], mean[vanishing])
    entropy -= float(np.sum(of_constants * gradient[:, -1]))
    with np.errstate(over="ignore", invalid="ignore"):
        within = BoxDual(objective.penalty, point.parameters, of_loss).maximize(entropy)
    return FeasibleValue(within.value, means, parts, within)


def _maximize_dual(point, gradient, entropy, exchange):
    """Return the best dual value between the labels and the probabilities after the exchange.

    At the part t of the way the gradient is t G, and the entropy is at least t times that of the probabilities, since
    it is concave, and zero at the labels, or with targets above. The conjugate of the penalty is max(t |G_kj| -
    threshold_j, 0)^2 / (2 curvature_j): zero within the box, and infinite outside it without l2. Grouped, |G_kj| is a
    norm over classes.
    """
    penalty = point.objective.penalty
    if entropy <= 0 and not penalty.is_smooth:
        # The labels themselves are better.
        return 0.0
    step = 1.0
    sums = penalty.conjugate(point.parameters, gradient, exchange, step)
    value = entropy - sums[CONJUGATE]
    if penalty.is_smooth:
        return float(value) if value == value else -np.inf
    if penalty.l2 == 0:
        return entropy * float(min(sums[WITHIN], 1.0))
    # Newton's steps for a concave function of one number, from above: they stay above and end where the set of
    # entries outside the box no longer changes.
    for _ in range(MAX_DUAL_STEPS):
        slope = entropy - sums[FIRST]
        # At extreme scales the curvature leaves the range of float64.
        if not slope < 0 or not 0 < sums[SECOND] < np.inf:
            break
        step += slope / sums[SECOND]
        sums = penalty.conjugate(point.parameters, gradient, exchange, step)
        better = step * entropy - sums[CONJUGATE]
        if not better > value:
            break
        value = better
    return float(value) if value == value else -np.inf
