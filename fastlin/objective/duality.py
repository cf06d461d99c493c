"""Lower bounds of the minimum of J from a point.

The dual objective at a feasible point is a lower bound. With Q_i a distribution over the classes for each row, H the
entropy and e the one-hot label, Fenchel's inequality for each loss gives, for every Q whose class sums equal those of
the labels::

    min J >= (1 / S) sum_i s_i (H(Q_i) + <Q_i - e_i, o_i>) - conjugate(G),   G = (1 / S) sum_i s_i (Q_i - e_i) x~_i'

o_i are the offsets, and targets stand in the place of e. The terms before the conjugate are called the entropy below;
at Q = P, the probabilities, they are the mean loss less its slope. The conjugate of the quadratic penalty is
sum_kj G_kj^2 / (2 curvature_j). At Q = P the right-hand side is J - ||dJ/dW||^2 / (2 l2). The derivation is in
docs/derivations.md.

With L1 alone, |G_kj| may not exceed the threshold t_j. Moving P towards the labels until it does not costs a part of
the entropy as large as the largest excess. The probabilities Q_i = p_i + p_i (c_i - <p_i, c_i>), linearized along a
step D with c_i = D x~_i, cost less: their gradient is G = g + H D, with the gradient g and the Hessian H of the loss
at W. If D minimizes the quadratic model of J whose thresholds are (1 - m) t_j, then |G_kj| <= (1 - m) t_j, and
<G, W + D> = -(1 - m) sum_kj t_j |W + D|_kj. So, where no entry of Q is negative::

    J(W + D) - (1 / S) sum_i s_i H(Q_i) = (1 / S) sum_i s_i KL(Q_i, P_i(W + D)) + m sum_kj t_j |W + D|_kj

The divergence is of second order in D. The margin m costs only a part of the penalty. In exchange G may be off by
m t_j: by what a descent leaves undone, by negative entries, which become zero, and by rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log, sqrt
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.linear.penalties import CONJUGATE, MAX_STEP, Exchange
from fastlin.objective.penalty import NO_EXCHANGE, BoxDual
from fastlin.objective.rounding import UNIT_ROUNDOFF, RowErrors, bound_parameter_sums, gamma

if TYPE_CHECKING:
    from fastlin.objective.point import Point
    from fastlin.typing import FloatArray

# Steps towards the best point between the labels and the probabilities, and the part of its value that may be missed.
MAX_DUAL_STEPS, CLOSE = 20, 1e-13
# How far beyond a dual point the edge of the box is looked for; rounding may use up the distance.
BEYOND = 2.0


def find_dual_value(point: Point, errors: RowErrors) -> tuple[float, float]:
    """Return the dual objective at a feasible point made from a point, and by how much rounding can raise it.

    The value less its rounding is a lower bound of the minimum of J: rigorous for a point in float64, otherwise an
    estimate; minus infinity if something is not penalized. If the intercept is not stationary, classes exchange
    probability (docs/derivations.md, section 4). ``errors`` are those of the point's sums over the rows.
    """
    objective = point.objective
    if not objective.penalty.is_bounded or not point.is_finite:
        return -np.inf, 0.0
    offsets, n_classes = objective.rows.offset_range, len(objective.class_weights)
    # Numbers, not arrays: of few classes NumPy's calls took a tenth of a small fit.
    suboptimality, weights = point.gradient[:, -1].tolist(), objective.class_weights.tolist()
    # Two classes have one row of coefficients. The other class has its negative.
    suboptimality = [-suboptimality[0], suboptimality[0]] if len(suboptimality) == 1 else suboptimality
    means = [weight + g for weight, g in zip(weights, suboptimality, strict=True)]
    error, of_gradient, exchange = errors.loss, errors.gradient, NO_EXCHANGE
    entropy = before = point.loss - point.slope
    # Without an intercept nothing ties the class sums.
    if objective.fit_intercept:
        # Another exchange, of half the error of the class sums, would mend this. A class gives no more than it has.
        weights = [weight if weight > 0 else 1.0 for weight in weights]
        least = max(min(*means, *weights), errors.class_sums, UNIT_ROUNDOFF)
        error += errors.class_sums * (0.5 - 1.5 * log(least))
        if offsets is not None:
            exchanged = sum(map(abs, suboptimality)) + n_classes * UNIT_ROUNDOFF
            error += (errors.class_sums + gamma(2 * n_classes + 8) * exchanged) * offsets.reach
        given = sum(g for g in suboptimality if g > 0)
        if given > 0 and min(suboptimality) < 0:
            parts = [g / mean if g > 0 else 0.0 for g, mean in zip(suboptimality, means, strict=True)]
            entropy -= given - sum(g * log(mean) for g, mean in zip(suboptimality, means, strict=True) if g > 0)
            if offsets is not None:
                entropy -= float(np.sum(suboptimality * offsets.mean)) + offsets.standard_deviation * given
            falling = [max(-g, 0.0) for g in suboptimality]
            received = np.array(falling) / sum(falling)
            exchange = Exchange(objective.rows.class_features(), np.array(parts), received)
            # What classes exchange is a sum over the classes, of the gradients of the labels too.
            part = max(parts)
            of_gradient += part * ((1 + sqrt(n_classes)) * of_gradient + 2 * objective.rows.roundings.sum)
        # A part error / weight of a probability is exchanged, whose mean square is no more than the weight.
        by_mean = errors.class_sums / sqrt((4 if len(point.gradient) == 1 else 2) * least)
        largest = max(mean / weight for mean, weight in zip(means, weights, strict=True))
        of_gradient += min(by_mean, errors.exchange * max(1.0, largest))
    if objective.penalty.box is None:
        (value, margin), size = _maximize(point, entropy, exchange), 0.0
    else:
        value, size, of_box = _maximize_in_box(point, entropy, exchange)
        margin, error = 0.0, error + of_gradient * of_box
    error += bound_parameter_sums(point) * (point.slope_size + abs(before - value) + size)
    return value, _add_gradient_rounding(point, value, entropy, error, of_gradient, margin)


def find_linearized_dual_value(point: Point, step: FloatArray) -> tuple[float, float]:
    """Return the same as `find_dual_value` for the probabilities of a point linearized along a step (K, d + 1).

    If the step minimizes the quadratic model around the point, the gap to the dual value is of second order in the
    step (see above). It takes three passes.
    """
    rows, origin = point.objective.rows, np.zeros(point.parameters.shape)
    probabilities = point.linearize_probabilities(step)
    by_class = np.stack([1 - probabilities[0], probabilities[0]]) if len(probabilities) == 1 else probabilities
    entropies = -np.sum(by_class * np.log(np.where(by_class > 0, by_class, 1.0)), axis=0)
    entropy = float(np.sum(rows.weights_of(rows.numbers) * entropies)) / rows.total_weight
    # With zero parameters two passes have the same probabilities, and their gradients differ by the targets alone.
    moved = rows.with_targets(probabilities)
    totals = np.empty((2, *origin.shape))
    losses = rows.evaluate(origin, None, totals[0]), moved.evaluate(origin, None, totals[1])
    size = entropy
    if rows.offset_range is not None:
        entropy, size = entropy + losses[0] - losses[1], entropy + sum(losses)
    # The parameters have no part in this dual point, so a point at zero stands for it.
    dual = replace(
        point,
        parameters=origin,
        loss=entropy,
        gradient=(totals[0] - totals[1]) / rows.total_weight,
        size=0.0,
        slope=0.0,
        slope_size=0.0,
        error_weight=0.0,
    )
    return find_dual_value(dual, RowErrors.of_difference(moved, size))


def find_natural_gap(point: Point) -> float:
    """Return what bounds J - J* as soon as the intercept is stationary: ||dJ/dW||^2 / (2 l2) where l1 = 0."""
    penalty = point.objective.penalty
    if not penalty.is_bounded:
        return np.inf
    if penalty.is_smooth:
        return 0.5 * point.dual_square
    find = _maximize if penalty.box is None else _maximize_in_box
    return point.value - find(point, point.loss - point.slope, NO_EXCHANGE)[0]


def _add_gradient_rounding(point, value, entropy, error, of_gradient, margin):
    """Return the error of a dual value, with the effect of its gradient's error, which is relative to the error weights.

    An error of the gradient up to ``margin``, as a part of the thresholds, has no effect.
    """
    penalty = point.objective.penalty
    if penalty.l2 > 0:
        distance = of_gradient * penalty.error_weight_norm
        return error + distance * sqrt(2 * max(0.0, point.value - value)) + 0.5 * distance * distance
    of_step = of_gradient * penalty.largest_error_weight
    if penalty.box is None:
        left = max(0.0, of_step - margin)
        return error + of_gradient * sqrt(len(point.parameters)) * point.error_weight + abs(entropy) * left
    of_step += gamma(4)
    error += of_step * max(abs(entropy), value)
    # Where nothing is left, it is known that J is not below zero.
    return error if of_step < 1 and error < np.inf else max(value, 0.0)


def _maximize(point, entropy, exchange):
    """Return the best dual value between the labels and the probabilities after the exchange, and its margin.

    At the part t of the way the gradient is t G, and the entropy at least t times the entropy of the probabilities.
    Without a quadratic penalty the margin is the distance of the gradient from the edge of the box, as a part of it.
    """
    penalty = point.objective.penalty
    if entropy <= 0 and not penalty.is_smooth:
        # The labels themselves are better.
        return 0.0, 0.0

    def conjugate(step):
        return penalty.conjugate(point.parameters, point.gradient, exchange, step).tolist()

    if penalty.is_smooth:
        value = entropy - conjugate(1.0)[CONJUGATE]
        return value if value == value else -np.inf, 0.0
    if penalty.l2 == 0:
        within = min(conjugate(BEYOND)[MAX_STEP], BEYOND)
        return entropy * min(within, 1.0), 1 - 1 / within if within > 1 else 0.0
    return climb(entropy, conjugate, 1.0)[1], 0.0


def _maximize_in_box(point, entropy, exchange):
    """Return the result of `_maximize` with bounds, its terms' magnitudes, and the factor of errors of G."""
    penalty, parameters = point.objective.penalty, point.parameters
    of_loss = penalty.exchanged_slopes(parameters, point.gradient, exchange)
    with np.errstate(over="ignore", invalid="ignore"):
        dual = BoxDual(penalty, parameters, of_loss)
        step, value = climb(entropy, dual.conjugate, dual.limit)
        reach, size = dual.measure_reach(step), dual.conjugate(step)[-1]
    # Without a quadratic penalty an error counts by how far the conjugate's maximum may be from the parameters.
    error_weight = penalty.gradient_error_weights
    counts = (reach > 0) & (error_weight > 0)
    return value, size, float(np.sum(error_weight[counts] * reach[counts]))


def climb(entropy: float, conjugate: Callable[[float], list[float]], high: float) -> tuple[float, float]:
    """Return the step from 0 to `high` that maximizes step * entropy - conjugate, convex with derivatives."""
    low, best = 0.0, high
    of_best = of_high = conjugate(high)
    if entropy < of_high[1]:
        of_low = conjugate(low)
        if -of_low[0] > best * entropy - of_best[0]:
            best, of_best = low, of_low
        for _ in range(MAX_DUAL_STEPS):
            slopes = entropy - of_low[1], entropy - of_high[1]
            if slopes[0] <= 0:
                break
            values = low * entropy - of_low[0], high * entropy - of_high[0]
            # Both tangents lie above, and so does the point where they meet.
            rise = values[1] - values[0] - slopes[1] * (high - low)
            met = low + rise / (slopes[0] - slopes[1]) if slopes[0] > slopes[1] else high
            newton = high + slopes[1] / of_high[2] if of_high[2] > 0 else low
            middle = newton if low < newton < high else met
            limit = values[0] + slopes[0] * (met - low)
            if not low < middle < high:
                break
            found = conjugate(middle)
            if middle * entropy - found[0] > best * entropy - of_best[0]:
                best, of_best = middle, found
            if limit - (best * entropy - of_best[0]) <= CLOSE * abs(limit):
                break
            if entropy >= found[1]:
                low, of_low = middle, found
            else:
                high, of_high = middle, found
    value = best * entropy - of_best[0]
    return best, value if value == value else -np.inf
