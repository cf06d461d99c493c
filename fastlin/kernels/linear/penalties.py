"""Kernels for parameters and gradients (K, d + 1): penalty, terms of the dual objective, and proximal operator."""

from typing import NamedTuple

import numpy as np

from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel

# Indices of the sums of `fill_block_penalties`: the quadratic penalty; the L1 penalty; the inner product of the
# parameters and the gradient of the loss; the squared dual norm of the gradient; the largest entry of the minimum-norm
# subgradient with respect to the coefficients; and the sum of the absolute terms of the inner product.
QUADRATIC_PENALTY, L1_PENALTY, LOSS_SLOPE, SQUARED_DUAL_NORM, MAX_SUBGRADIENT, SLOPE_MAGNITUDE = range(6)
# The number of columns per step. The sums of these columns over the classes fit into the L1 cache.
STRIP_COLUMNS = 256
# Indices of the sums of `fill_block_dual`: the conjugate of the penalty, its first and second derivatives with respect
# to the step, and the largest step for which the dual point is feasible.
CONJUGATE, FIRST_DERIVATIVE, SECOND_DERIVATIVE, MAX_FEASIBLE_STEP = range(4)
EMPTY_BOUNDS, EMPTY_VALUES = np.empty((0, 0)), np.empty(0)


class PenaltyArrays(NamedTuple):
    """The penalties of the parameters, and the scaling of the columns."""

    curvatures: np.ndarray  # (d + 1,), of the quadratic penalty; zero for the intercept
    thresholds: np.ndarray  # (d + 1,), of the L1 penalty; zero for the intercept
    roots: np.ndarray  # (d,), the square roots of the curvatures
    grouped: bool  # whether the L1 penalty applies to the L2 norm of each feature over the classes (group lasso)
    # (K, d + 1), bounds on the parameters; empty if there are no bounds, or if `grouped`.
    lower: np.ndarray = EMPTY_BOUNDS
    upper: np.ndarray = EMPTY_BOUNDS
    scale: np.ndarray = EMPTY_VALUES  # (d,); a scaled column is scale * x + shift
    shift: np.ndarray = EMPTY_VALUES
    # (d,), the error bound weights: the rounding error of a score per unit of a parameter, relative to the rounding
    # error of a product.
    error_weight: np.ndarray = EMPTY_VALUES


class ProbabilityTransfer(NamedTuple):
    """A transfer of probability between classes, so that the class sums of a dual point equal those of the labels."""

    features: np.ndarray  # (n_classes, d), per class, sum s_i x~_i / S over the rows of the class
    parts: np.ndarray  # (n_classes,), the fraction of its probability that each class loses; empty for no transfer
    received_fractions: np.ndarray  # (n_classes,), the fraction of the total transfer that each class receives


@kernel(inline=True)
def soft_threshold(value, threshold):
    """Return the soft-thresholded value: the proximal operator of threshold |value|."""
    return value - threshold if value > threshold else value + threshold if value < -threshold else 0.0


@kernel(inner=True)
def find_best_shift(values, threshold, curvature, grouped):
    """Return the number that minimizes the penalty if it is added to all of `values` (K,).

    The softmax loss does not depend on this number. Without the shift, coordinate descent converges slowly for weakly
    penalized features.
    """
    n_classes = values.shape[0]
    total, sign_sum, n_zeros = 0.0, 0.0, 0
    for k in range(n_classes):
        total += values[k]
        sign_sum += np.sign(values[k])
        n_zeros += values[k] == 0
    if grouped:
        return -total / n_classes
    if abs(threshold * sign_sum + curvature * total) <= threshold * n_zeros:
        return 0.0
    segment_end, segment_sign_sum = -np.inf, -n_classes
    for k in range(n_classes):
        shift = -values[k]
        sign_sum, n_zeros = 0.0, 0
        for other in range(n_classes):
            sign_sum += np.sign(values[other] - values[k])
            n_zeros += values[other] == values[k]
        slope = threshold * sign_sum + curvature * (total + n_classes * shift)
        if abs(slope) <= threshold * n_zeros:
            return shift
        if slope < 0 and shift > segment_end:
            segment_end, segment_sign_sum = shift, sign_sum + n_zeros
    return -(threshold * segment_sign_sum / curvature + total) / n_classes


@kernel(inner=True)
def add_best_class_shift(values, j, penalty):
    """Add the result of `find_best_shift` for column j to `values` (K,), within the bounds, and return this shift."""
    lower, upper = penalty.lower, penalty.upper
    shift = find_best_shift(values, penalty.thresholds[j], penalty.curvatures[j], penalty.grouped)
    for k in range(values.shape[0] if lower.shape[0] > 0 else 0):
        shift = min(max(shift, lower[k, j] - values[k]), upper[k, j] - values[k])
    for k in range(values.shape[0]):
        values[k] += shift
    for k in range(values.shape[0] if lower.shape[0] > 0 else 0):
        values[k] = min(max(values[k], lower[k, j]), upper[k, j])
    return shift


@kernel
def fill_block_penalties(block, n_blocks, total, total_weight, parameters, penalty, gradient, sums, error_weights):
    """Fill `gradient`, `sums` and `error_weights` for the columns of a block.

    `gradient` (K, d + 1) is total / total_weight + curvatures parameters, where `total` (K, d + 1) is the sum of the
    gradients of the losses. `sums` (B, 6) are the sums whose indices are listed above. `error_weights` (B, K) are the
    sums per class of |parameter| times the error bound weight of its column. Columns whose root is zero are excluded
    from the dual norm.
    """
    curvatures, thresholds, roots, grouped, _, _, scale, shift, error_weight = penalty
    n_classes, n_features = parameters.shape[0], scale.shape[0]
    weight_factor = 1 / total_weight
    error_weights[block] = 0.0
    first, last = block * n_features // n_blocks, (block + 1) * n_features // n_blocks
    squares, sizes, slope, slope_magnitude, squared_dual_norm, largest = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for start in range(first, last, STRIP_COLUMNS):
        stop = start + STRIP_COLUMNS if start + STRIP_COLUMNS < last else last
        square, size, squared_slopes, squared_gradients, max_subgradients = zeros_aligned(
            (5, STRIP_COLUMNS), np.float64
        )
        shifts, scales, column_error_weights = shift[start:stop], scale[start:stop], error_weight[start:stop]
        curvature, threshold = curvatures[start:stop], thresholds[start:stop]
        for k in range(n_classes):
            v, t, g = parameters[k, start:stop], total[k, start:stop], gradient[k, start:stop]
            intercept_gradient = total[k, n_features] * weight_factor
            # The rounding error of a sum grows with the number of terms, so each strip of columns has separate partial
            # sums.
            strip_slope, strip_slope_magnitude, strip_error_weight = 0.0, 0.0, 0.0
            for j in range(v.shape[0]):
                loss_gradient = t[j] * weight_factor
                g[j] = loss_gradient + curvature[j] * v[j]
                strip_slope += v[j] * loss_gradient
                strip_slope_magnitude += abs(v[j] * loss_gradient)
                strip_error_weight += abs(v[j]) * column_error_weights[j]
                square[j] += v[j] * v[j]
                size[j] += abs(v[j])
                squared_gradients[j] += g[j] * g[j]
                # The gradient with respect to the coefficient of the uncentered column.
                uncentered_gradient = g[j] - shifts[j] * intercept_gradient
                squared_slopes[j] += uncentered_gradient * uncentered_gradient
                sign = threshold[j] if v[j] > 0 else -threshold[j]
                subgradient = abs(uncentered_gradient) - threshold[j]
                subgradient = abs(uncentered_gradient + sign) if v[j] != 0 else subgradient
                max_subgradients[j] = subgradient if subgradient > max_subgradients[j] else max_subgradients[j]
            slope += strip_slope
            slope_magnitude += strip_slope_magnitude
            error_weights[block, k] += strip_error_weight
        if grouped:
            for j in range(scales.shape[0]):
                size[j] = np.sqrt(square[j])
                max_subgradients[j] = np.sqrt(squared_slopes[j]) - threshold[j] if square[j] == 0 else 0.0
            for k in range(n_classes):
                v, g, intercept_gradient = (
                    parameters[k, start:stop],
                    gradient[k, start:stop],
                    total[k, n_features] * weight_factor,
                )
                for j in range(v.shape[0]):
                    threshold_ratio = threshold[j] / size[j] if size[j] > 0 else 0.0
                    subgradient = (
                        abs(g[j] - shifts[j] * intercept_gradient + threshold_ratio * v[j]) if size[j] > 0 else 0.0
                    )
                    max_subgradients[j] = subgradient if subgradient > max_subgradients[j] else max_subgradients[j]
        for j in range(scales.shape[0]):
            squares += curvature[j] * square[j]
            sizes += threshold[j] * size[j]
            root = roots[start + j]
            squared_dual_norm += np.square(np.sqrt(squared_gradients[j]) / root) if root > 0 else 0.0
            largest = max(largest, max_subgradients[j] / scales[j])
    if block == n_blocks - 1:
        for k in range(n_classes):
            gradient[k, n_features] = total[k, n_features] * weight_factor
            slope += parameters[k, n_features] * gradient[k, n_features]
            slope_magnitude += abs(parameters[k, n_features] * gradient[k, n_features])
            error_weights[block, k] += abs(parameters[k, n_features])
            largest = max(largest, abs(gradient[k, n_features]))
    sums[block, QUADRATIC_PENALTY], sums[block, L1_PENALTY], sums[block, LOSS_SLOPE] = squares, sizes, slope
    sums[block, SQUARED_DUAL_NORM], sums[block, MAX_SUBGRADIENT], sums[block, SLOPE_MAGNITUDE] = (
        squared_dual_norm,
        largest,
        slope_magnitude,
    )


@kernel
def fill_block_dual(block, n_blocks, gradient, parameters, penalty, exchange, step, sums):
    """Fill `sums` (B, 4) over the columns of a block, for the dual point labels + step (probabilities - labels).

    G = gradient - curvatures parameters (K, d) is the gradient of the loss. The `features` (classes, d) are the sums of
    s_i x~_i / S over the rows of each class, so G + `features` are the same sums weighted by the probabilities. The
    transfer changes the probabilities first: each class k loses the fraction parts[k] of its probability and receives
    the fraction received_fractions[k] of the total transfer. For K = 1, both classes, 0 and 1, have an entry in these
    arrays. Let a be |G_kj| after the transfer (if grouped, the norm over the classes), and t the threshold. The
    conjugate is sum max(step a - t, 0)^2 / (2 roots^2). Columns whose root is zero are excluded from the conjugate, and
    MAX_FEASIBLE_STEP is the minimum of t / a over these columns.
    """
    curvatures, thresholds, roots, grouped = penalty[:4]
    features, parts, received_fractions = exchange
    n_classes, n_features, n_parts = parameters.shape[0], roots.shape[0], parts.shape[0]
    first, last = block * n_features // n_blocks, (block + 1) * n_features // n_blocks
    conjugate, first_derivative, second_derivative, max_feasible_step = 0.0, 0.0, 0.0, np.inf
    for start in range(first, last, STRIP_COLUMNS):
        stop = start + STRIP_COLUMNS if start + STRIP_COLUMNS < last else last
        transferred_gradients, square, squared_exceedances, slopes, second_derivatives, largest_gradients = (
            zeros_aligned((6, STRIP_COLUMNS), np.float64)
        )
        curvature, threshold = curvatures[start:stop], thresholds[start:stop]
        for c in range(n_parts):
            k, sign = (0, 2.0 * c - 1) if n_classes == 1 else (c, 1.0)
            v, g, label_gradient = parameters[k, start:stop], gradient[k, start:stop], features[c, start:stop]
            for j in range(v.shape[0]):
                transferred_gradients[j] += parts[c] * (sign * (g[j] - curvature[j] * v[j]) + label_gradient[j])
        for k in range(n_classes):
            c = n_parts - 1 if n_classes == 1 else k
            lost_fraction, gained_fraction = (parts[c], received_fractions[c]) if n_parts > 0 else (0.0, 0.0)
            label_gradient = features[c, start:stop] if n_parts > 0 else transferred_gradients[: stop - start]
            v, g = parameters[k, start:stop], gradient[k, start:stop]
            for j in range(v.shape[0]):
                loss_gradient = g[j] - curvature[j] * v[j]
                loss_gradient += gained_fraction * transferred_gradients[j] - lost_fraction * (
                    loss_gradient + label_gradient[j]
                )
                a = abs(loss_gradient)
                square[j] += a * a
                largest_gradients[j] = a if a > largest_gradients[j] else largest_gradients[j]
                exceedance = step * a - threshold[j]
                exceedance = exceedance if exceedance > 0 else 0.0
                squared_exceedances[j] += exceedance * exceedance
                slopes[j] += exceedance * a
                second_derivatives[j] += a * a if exceedance > 0 else 0.0
        for j in range(curvature.shape[0]):
            root = roots[start + j]
            if grouped:
                largest_gradients[j] = np.sqrt(square[j])
                exceedance = max(step * largest_gradients[j] - threshold[j], 0.0)
                squared_exceedances[j], slopes[j] = exceedance * exceedance, exceedance * largest_gradients[j]
                second_derivatives[j] = square[j] if exceedance > 0 else 0.0
            if root > 0:
                # Terms are divided by the roots, because the squares of roots overflow or underflow in float64 if
                # columns reach 1e150.
                conjugate += 0.5 * np.square(np.sqrt(squared_exceedances[j]) / root)
                first_derivative += slopes[j] / root / root
                second_derivative += second_derivatives[j] / root / root
            elif step * largest_gradients[j] > threshold[j]:
                max_feasible_step = min(max_feasible_step, threshold[j] / largest_gradients[j])
    sums[block, CONJUGATE], sums[block, FIRST_DERIVATIVE] = conjugate, first_derivative
    sums[block, SECOND_DERIVATIVE], sums[block, MAX_FEASIBLE_STEP] = second_derivative, max_feasible_step
