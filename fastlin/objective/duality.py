"""Lower bounds on the minimum of J, from the dual objective at a point.

The dual objective at a feasible point is a lower bound. For each row i, let Q_i be a distribution over the classes and
e_i the one-hot label. Let H be the entropy. For every Q with the same class sums as the labels, Fenchel's inequality
gives::

    min J >= (1 / S) sum_i s_i (H(Q_i) + <Q_i - e_i, o_i>) - conjugate(G),   G = (1 / S) sum_i s_i (Q_i - e_i) x~_i'

Here o_i are the offsets. If there are targets, they replace e_i. The sum before the conjugate is called the entropy
below.
If Q equals the model's probabilities P, the entropy is the mean loss minus `Point.slope`. The conjugate of the
quadratic penalty is sum_kj G_kj^2 / (2 curvature_j). At Q = P the right-hand side is J - ||dJ/dW||^2 / (2 l2). The
derivation is in docs/derivations.md.

If L1 is the only penalty, |G_kj| must not exceed the threshold t_j. Moving P towards the labels until it is feasible
reduces the entropy by a fraction equal to the largest relative violation. Linearized probabilities reduce the entropy
less. Along a step D, they are Q_i = p_i + p_i (c_i - <p_i, c_i>) with c_i = D x~_i. Their gradient is G = g + H D,
where g and H are the gradient and the Hessian of the loss at W. If D minimizes the quadratic model of J with thresholds
(1 - m) t_j, then |G_kj| <= (1 - m) t_j, and <G, W + D> = -(1 - m) sum_kj t_j |W + D|_kj. So, if no entry of Q is
negative::

    J(W + D) - (1 / S) sum_i s_i H(Q_i) = (1 / S) sum_i s_i KL(Q_i, P_i(W + D)) + m sum_kj t_j |W + D|_kj

The divergence is of fourth order in D, because Q_i and P_i(W + D) differ in second order. The margin m reduces the
bound by only a fraction m of the penalty, and it allows an error of G_kj up to m t_j. Such errors have three causes:
the model is minimized inexactly, negative entries of Q are set to zero, and sums are rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log, sqrt
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.linear.penalties import CONJUGATE, MAX_FEASIBLE_STEP, ProbabilityTransfer
from fastlin.objective.penalty import NO_PROBABILITY_EXCHANGE, BoxDual
from fastlin.objective.rounding import UNIT_ROUNDOFF, RowErrors, bound_parameter_sums, gamma

if TYPE_CHECKING:
    from fastlin.objective.point import Point
    from fastlin.typing import FloatArray

# The maximum number of steps of the search between the labels and the probabilities, and its relative tolerance.
MAX_DUAL_STEPS, DUAL_TOL = 20, 1e-13
# The search for the boundary of the feasible box ends at this multiple of the dual point. The distance to the boundary
# is a margin for rounding error.
MAX_STEP_TO_BOUNDARY = 2.0


def find_dual_value(point: Point, errors: RowErrors) -> tuple[float, float]:
    """Return a dual value near a point, and an upper bound on its increase due to rounding.

    The dual value minus the bound is a lower bound on the minimum of J. It is rigorous for a point in float64, and
    otherwise an estimate. It is minus infinity if a coefficient has no penalty. If the intercept is not stationary,
    probability is moved between classes (the exchange of docs/derivations.md, section 4). `errors` are the rounding
    errors of the point's sums over the rows.
    """
    objective = point.objective
    if not objective.penalty.is_bounded or not point.is_finite:
        return -np.inf, 0.0
    offsets, n_classes = objective.rows.offset_range, len(objective.class_weights)
    # Lists replace arrays, because NumPy calls on few classes are slow (docs/benchmarks/design-choices.md: dual
    # value).
    class_residuals, weights = point.gradient[:, -1].tolist(), objective.class_weights.tolist()
    # For two classes there is one row of coefficients: the residuals of the first class are minus those of the second.
    class_residuals = [-class_residuals[0], class_residuals[0]] if len(class_residuals) == 1 else class_residuals
    means = [weight + g for weight, g in zip(weights, class_residuals, strict=True)]
    error, gradient_error, exchange = errors.loss, errors.gradient, NO_PROBABILITY_EXCHANGE
    entropy = before = point.loss - point.slope
    # Without an intercept the class sums are not constrained.
    if objective.fit_intercept:
        # A second exchange of probability between the classes makes the point feasible. It moves as much probability
        # as half the error of the class sums.
        weights = [weight if weight > 0 else 1.0 for weight in weights]
        smallest = max(min(*means, *weights), errors.class_sums, UNIT_ROUNDOFF)
        error += errors.class_sums * (0.5 - 1.5 * log(smallest))
        if offsets is not None:
            exchanged_probability_mass = sum(map(abs, class_residuals)) + n_classes * UNIT_ROUNDOFF
            error += (errors.class_sums + gamma(2 * n_classes + 8) * exchanged_probability_mass) * offsets.reach
        transferred_probability_mass = sum(g for g in class_residuals if g > 0)
        if transferred_probability_mass > 0 and min(class_residuals) < 0:
            fractions = [g / mean if g > 0 else 0.0 for g, mean in zip(class_residuals, means, strict=True)]
            entropy -= transferred_probability_mass - sum(
                g * log(mean) for g, mean in zip(class_residuals, means, strict=True) if g > 0
            )
            if offsets is not None:
                entropy -= (
                    float(np.sum(class_residuals * offsets.mean))
                    + offsets.max_offset_difference * transferred_probability_mass
                )
            probability_gains = [max(-g, 0.0) for g in class_residuals]
            received_fractions = np.array(probability_gains) / sum(probability_gains)
            exchange = ProbabilityTransfer(objective.rows.class_features(), np.array(fractions), received_fractions)
            # The exchange adds sums of gradients over the classes, including gradients at the labels.
            fraction = max(fractions)
            gradient_error += fraction * ((1 + sqrt(n_classes)) * gradient_error + 2 * objective.rows.roundings.sum)
        # The exchange moves the fraction error / weight of a probability. The mean square of the probability is at most
        # the weight.
        mean_exchange_bound = errors.class_sums / sqrt((4 if len(point.gradient) == 1 else 2) * smallest)
        largest = max(mean / weight for mean, weight in zip(means, weights, strict=True))
        gradient_error += min(mean_exchange_bound, errors.exchange * max(1.0, largest))
    if objective.penalty.box is None:
        (value, margin), size = _maximize_dual_value(point, entropy, exchange), 0.0
    else:
        value, size, box_error_factor = _maximize_in_box(point, entropy, exchange)
        margin, error = 0.0, error + gradient_error * box_error_factor
    error += bound_parameter_sums(point) * (point.slope_magnitude + abs(before - value) + size)
    return value, _add_gradient_rounding(point, value, entropy, error, gradient_error, margin)


def find_linearized_dual_value(point: Point, step: FloatArray) -> tuple[float, float]:
    """Return the result of `find_dual_value` for probabilities that are linearized along a step.

    `step` has shape (K, d + 1). If it minimizes the quadratic model around the point, the duality gap is of fourth
    order in the step (see the module docstring). The computation takes three passes.
    """
    rows, origin = point.objective.rows, np.zeros(point.parameters.shape)
    probabilities = point.linearize_probabilities(step)
    class_probabilities = (
        np.stack([1 - probabilities[0], probabilities[0]]) if len(probabilities) == 1 else probabilities
    )
    entropies = -np.sum(
        class_probabilities * np.log(np.where(class_probabilities > 0, class_probabilities, 1.0)), axis=0
    )
    entropy = float(np.sum(rows.get_weights(rows.row_indices) * entropies)) / rows.total_weight
    # Both passes at zero parameters have the same probabilities, so their gradients differ only in the targets.
    rows_with_targets = rows.with_targets(probabilities)
    totals = np.empty((2, *origin.shape))
    losses = rows.evaluate(origin, None, totals[0]), rows_with_targets.evaluate(origin, None, totals[1])
    size = entropy
    if rows.offset_range is not None:
        entropy, size = entropy + losses[0] - losses[1], entropy + sum(losses)
    # This dual point does not depend on the parameters, so they are set to zero.
    dual = replace(
        point,
        parameters=origin,
        loss=entropy,
        gradient=(totals[0] - totals[1]) / rows.total_weight,
        penalty=0.0,
        slope=0.0,
        slope_magnitude=0.0,
        error_weight=0.0,
    )
    return find_dual_value(dual, RowErrors.from_pass_difference(rows_with_targets, size))


def find_stationary_gap(point: Point) -> float:
    """Return the bound on J - J* for a stationary intercept. If l1 = 0, it is ||dJ/dW||^2 / (2 l2)."""
    penalty = point.objective.penalty
    if not penalty.is_bounded:
        return np.inf
    if penalty.is_smooth:
        return 0.5 * point.squared_dual_norm
    maximize = _maximize_dual_value if penalty.box is None else _maximize_in_box
    return point.value - maximize(point, point.loss - point.slope, NO_PROBABILITY_EXCHANGE)[0]


def _add_gradient_rounding(point, value, entropy, error, gradient_error, margin):
    """Return the error of a dual value, including the effect of errors in the gradient.

    `gradient_error` is relative to the error weights. Gradient errors up to the fraction `margin` of the thresholds
    have no effect.
    """
    penalty = point.objective.penalty
    if penalty.l2 > 0:
        distance = gradient_error * penalty.error_weight_norm
        return error + distance * sqrt(2 * max(0.0, point.value - value)) + 0.5 * distance * distance
    step_error = gradient_error * penalty.largest_error_weight
    if penalty.box is None:
        threshold_violation = max(0.0, step_error - margin)
        return (
            error
            + gradient_error * sqrt(len(point.parameters)) * point.error_weight
            + abs(entropy) * threshold_violation
        )
    step_error += gamma(4)
    error += step_error * max(abs(entropy), value)
    # If the error is too large for a bound, zero is a lower bound, because J is not negative.
    return error if step_error < 1 and error < np.inf else max(value, 0.0)


def _maximize_dual_value(point, entropy, exchange):
    """Return the best dual value on the line from the labels to the probabilities, and the margin.

    The probabilities are those after the exchange. At the fraction t of the line, the gradient is t G, and the entropy
    is at least t times the entropy of the probabilities. Without a quadratic penalty, the margin is the relative
    distance of the gradient from the boundary of the feasible box.
    """
    penalty = point.objective.penalty
    if entropy <= 0 and not penalty.is_smooth:
        # The dual value at the labels is zero, which is better.
        return 0.0, 0.0

    def conjugate(step):
        return penalty.conjugate(point.parameters, point.gradient, exchange, step).tolist()

    if penalty.is_smooth:
        value = entropy - conjugate(1.0)[CONJUGATE]
        return value if value == value else -np.inf, 0.0
    if penalty.l2 == 0:
        boundary_step = min(conjugate(MAX_STEP_TO_BOUNDARY)[MAX_FEASIBLE_STEP], MAX_STEP_TO_BOUNDARY)
        return entropy * min(boundary_step, 1.0), 1 - 1 / boundary_step if boundary_step > 1 else 0.0
    return maximize_dual(entropy, conjugate, 1.0)[1], 0.0


def _maximize_in_box(point, entropy, exchange):
    """Return the dual value with bounds, the sum of the magnitudes of its terms, and the factor of errors in G."""
    penalty, parameters = point.objective.penalty, point.parameters
    loss_gradient = penalty.compute_gradient_after_exchange(parameters, point.gradient, exchange)
    with np.errstate(over="ignore", invalid="ignore"):
        dual = BoxDual(penalty, parameters, loss_gradient)
        step, value = maximize_dual(entropy, dual.conjugate, dual.limit)
        maximizer_distances, size = dual.measure_maximizer_distances(step), dual.conjugate(step)[-1]
    # Without a quadratic penalty, an error is multiplied by the distance between the parameters and the maximizer of
    # the conjugate.
    error_weight = penalty.gradient_error_weights
    is_error_relevant = (maximizer_distances > 0) & (error_weight > 0)
    return (
        value,
        size,
        float(np.sum(error_weight[is_error_relevant] * maximizer_distances[is_error_relevant])),
    )


def maximize_dual(entropy: float, conjugate: Callable[[float], list[float]], high: float) -> tuple[float, float]:
    """Return the step between 0 and `high` with the largest dual value, and this value.

    The dual value is step * entropy - conjugate(step). `conjugate` returns the value and the first two derivatives of a
    convex function of the step.
    """
    low, best = 0.0, high
    best_conjugate_terms = high_conjugate_terms = conjugate(high)
    if entropy < high_conjugate_terms[1]:
        low_conjugate_terms = conjugate(low)
        if -low_conjugate_terms[0] > best * entropy - best_conjugate_terms[0]:
            best, best_conjugate_terms = low, low_conjugate_terms
        for _ in range(MAX_DUAL_STEPS):
            slopes = entropy - low_conjugate_terms[1], entropy - high_conjugate_terms[1]
            if slopes[0] <= 0:
                break
            values = low * entropy - low_conjugate_terms[0], high * entropy - high_conjugate_terms[0]
            # Both tangents are upper bounds, so the value at their intersection bounds the maximum.
            rise = values[1] - values[0] - slopes[1] * (high - low)
            tangent_crossing = low + rise / (slopes[0] - slopes[1]) if slopes[0] > slopes[1] else high
            newton_position = high + slopes[1] / high_conjugate_terms[2] if high_conjugate_terms[2] > 0 else low
            middle = newton_position if low < newton_position < high else tangent_crossing
            limit = values[0] + slopes[0] * (tangent_crossing - low)
            if not low < middle < high:
                break
            middle_conjugate_terms = conjugate(middle)
            if middle * entropy - middle_conjugate_terms[0] > best * entropy - best_conjugate_terms[0]:
                best, best_conjugate_terms = middle, middle_conjugate_terms
            if limit - (best * entropy - best_conjugate_terms[0]) <= DUAL_TOL * abs(limit):
                break
            if entropy >= middle_conjugate_terms[1]:
                low, low_conjugate_terms = middle, middle_conjugate_terms
            else:
                high, high_conjugate_terms = middle, middle_conjugate_terms
    value = best * entropy - best_conjugate_terms[0]
    return best, value if value == value else -np.inf
