"""Coordinate descent on quadratic models of a penalized objective, with the Hessian or with the columns of X.

The model of J around the parameters V, for a step D to Z = V + D, is::

    m(Z) = g . D + D' H D / 2 + sum_kj penalty_curvature_j D_kj^2 / 2 + sum_j threshold_j size(Z_.j)

g is the gradient of the smooth part, H is the Hessian of the loss, and size is the L1 norm over the classes, or the L2
norm if `grouped`. Each update minimizes the model over one coordinate within its bounds. If `grouped`, each update
minimizes an upper bound of the model over the coefficients of one feature for all classes. See Friedman, Hastie and
Tibshirani 2010, section 2, and Simon, Friedman and Hastie 2013. The predicted decrease of an update is curvature
change^2 / 2.
"""

import math
from typing import NamedTuple

import numpy as np

from fastlin.kernels.linear.penalties import PenaltyArrays, add_best_class_shift, soft_threshold
from fastlin.kernels.machine.compilation import kernel

# The maximum number of sweeps over all coordinates. After each of them, at most as many sweeps update only the active
# coordinates.
MAX_SWEEPS = 10
# Joint steps are limited to columns with at most this many entries. With more rows, some rows separate the classes.
MAX_JOINT_ENTRIES = 32
# A pivot below this fraction of its diagonal entry may consist of rounding error. The two limits are for float64 and
# float32.
MIN_PIVOT, MIN_PIVOT_FLOAT32 = 1e-12, 1e-5


class WorkingColumns(NamedTuple):
    """The columns of X, and the coordinates that a descent may change.

    If positions[j] is nonnegative, column j is dense and equals panel[positions[j]] scale[j] + shift[j]. Otherwise, the
    column is sparse. It has the entries starts[j] to starts[j + 1] - 1 of `indices` and `values`, times scale[j].
    """

    panel: np.ndarray  # (m, n), the dense columns
    positions: np.ndarray  # (d,)
    starts: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    scale: np.ndarray  # (d,), in the type of the computation
    shift: np.ndarray  # (d,), in the type of the computation; zero for sparse columns
    features: np.ndarray  # (C,), the feature of each coordinate
    classes: np.ndarray  # (C,), the class of each coordinate


class ModelArrays(NamedTuple):
    """The quadratic model around the parameters V."""

    gradient: np.ndarray  # (C,), g of each coordinate
    curvatures: np.ndarray  # (C,), the diagonal of the Hessian of the loss
    expansion_point: np.ndarray  # (C,), V of each coordinate
    intercept_gradient: np.ndarray  # (K,)
    intercept_curvatures: np.ndarray  # (K,), zero without an intercept


class DescentState(NamedTuple):
    """The current parameters and scores of a descent. The kernels update them in place."""

    parameters: np.ndarray  # (C,), Z of each coordinate
    intercept_steps: np.ndarray  # (K,), the change of each intercept
    # (K, n), the change X D of the scores by all steps so far; for K = 1, times the curvature of each row.
    scores: np.ndarray
    means: np.ndarray  # (n,), the sum over the classes of probability times `scores`; empty for K = 1


@kernel
def descend_by_hessian(hessian, slopes, penalty, n_classes, should_skip_inactive, parameters):
    """Update each coordinate once, and return the predicted decrease of the model.

    If `should_skip_inactive`, coordinates at zero or at a bound are not updated. `hessian` (p, p) is H plus the
    curvatures of the penalty on the diagonal; its rows are ordered by class, then by feature. `parameters` (p,) are Z,
    and `slopes` (p,) are the gradient of the smooth model at Z. The kernel updates both. `penalty` is a PenaltyArrays.
    """
    penalty_curvatures, thresholds, _, grouped, lower, upper = penalty[:6]
    has_bounds = lower.shape[0] > 0
    size = parameters.shape[0] // n_classes
    classes_per_update = n_classes if grouped else 1
    decrease = 0.0
    unshrunk_values = np.empty(n_classes)
    for j in range(size):
        for first in range(0, n_classes, classes_per_update):
            curvature, square, length = 0.0, 0.0, 0.0
            for k in range(first, first + classes_per_update):
                row, total = hessian[k * size + j], 0.0
                for other in range(first, first + classes_per_update):
                    total += abs(row[other * size + j])
                curvature = max(curvature, total)
                length = max(length, abs(parameters[k * size + j]))
                if has_bounds and not lower[k, j] < parameters[k * size + j] < upper[k, j]:
                    length = 0.0
            if not curvature > 0 or (should_skip_inactive and length == 0):
                continue
            for k in range(first, first + classes_per_update):
                unshrunk_values[k] = parameters[k * size + j] - slopes[k * size + j] / curvature
                square += unshrunk_values[k] * unshrunk_values[k]
            length = math.sqrt(square)
            shrinkage = soft_threshold(length, thresholds[j] / curvature) / length if length > 0 else 0.0
            for k in range(first, first + classes_per_update):
                target = shrinkage * unshrunk_values[k]
                if has_bounds:
                    target = min(max(target, lower[k, j]), upper[k, j])
                change = target - parameters[k * size + j]
                if change != 0:
                    parameters[k * size + j] = target
                    decrease += 0.5 * curvature * change * change
                    row = hessian[k * size + j]
                    for other in range(slopes.shape[0]):
                        slopes[other] += change * row[other]
        if n_classes > 1 and (thresholds[j] > 0 or penalty_curvatures[j] > 0):
            for k in range(n_classes):
                unshrunk_values[k] = parameters[k * size + j]
            shift = add_best_class_shift(unshrunk_values, j, penalty)
            for k in range(n_classes):
                parameters[k * size + j] = unshrunk_values[k]
                slopes[k * size + j] += penalty_curvatures[j] * shift
    return decrease


@kernel
def fill_block_minimizers(
    block, n_blocks, indices, hessian, curvatures, penalty, pairs, decrease_tol, slopes, minimizers
):
    """Overwrite minimizers[b] with the minimizer of the quadratic model of problem b, for two classes (K = 1).

    On entry, minimizers[b] contains the current parameters of problem b. ``indices`` are the problems to solve, and
    each block processes a slice of ``indices``. The Hessian of problem b is curvatures[b] times `hessian` (p, p), plus
    the Hessian of the penalty, with one BFGS update per pair, oldest first (Nocedal and Wright 2006, equation 6.19).
    `slopes` (B, p) are the gradients of the smooth part. `penalty` contains curvatures and thresholds, each of shape
    (B, p). `pairs` contains steps and gradient changes, each of shape (B, N, p), and their inner products (B, N), which
    are zero for unused pairs. The kernel stops after a sweep whose decrease is less than ``decrease_tol`` times the
    total decrease.
    """
    penalty_curvatures, thresholds = penalty
    steps, changes, products = pairs
    size = hessian.shape[0]
    model, hessian_times_step, gradient = np.empty((size, size)), np.empty(size), np.empty(size)
    empty_bounds, empty_values = np.empty((0, 0)), np.empty(0)
    for position in range(block * indices.shape[0] // n_blocks, (block + 1) * indices.shape[0] // n_blocks):
        b = indices[position]
        for j in range(size):
            gradient[j] = slopes[b, j]
            for other in range(size):
                model[j, other] = curvatures[b] * hessian[j, other]
            model[j, j] += penalty_curvatures[b, j]
        for pair in range(products.shape[1]):
            if products[b, pair] > 0:
                _update_hessian(steps[b, pair], changes[b, pair], products[b, pair], hessian_times_step, model)
        penalty_of_problem = PenaltyArrays(
            penalty_curvatures[b],
            thresholds[b],
            thresholds[b],
            False,
            empty_bounds,
            empty_bounds,
            empty_values,
            empty_values,
            empty_values,
        )
        total, sweep_decrease = 0.0, np.inf
        for _ in range(MAX_SWEEPS):
            if sweep_decrease <= decrease_tol * total:
                break
            for sweep in range(1 + MAX_SWEEPS):
                # n_classes is not a literal, because Numba would compile the kernel again for a literal.
                decrease = descend_by_hessian(
                    model, gradient, penalty_of_problem, np.int64(1), sweep > 0, minimizers[b]
                )
                total += decrease
                sweep_decrease = decrease if sweep == 0 else sweep_decrease
                if decrease <= (decrease_tol if sweep == 0 else 0.1 * decrease_tol) * total:
                    break


@kernel(inner=True)
def _update_hessian(step, change, product, hessian_times_step, hessian):
    """Apply the BFGS update for a step and the gradient change along this step. Their inner product is positive."""
    step_curvature = 0.0
    for j in range(step.shape[0]):
        row, total = hessian[j], 0.0
        for other in range(step.shape[0]):
            total += row[other] * step[other]
        hessian_times_step[j] = total
        step_curvature += total * step[j]
    if step_curvature > 0:
        for j in range(step.shape[0]):
            row, gradient_change_factor, hessian_product_factor = (
                hessian[j],
                change[j] / product,
                hessian_times_step[j] / step_curvature,
            )
            for other in range(step.shape[0]):
                row[other] += (
                    gradient_change_factor * change[other] - hessian_product_factor * hessian_times_step[other]
                )


@kernel
def descend_by_columns(columns, row_curvature, penalty, model, should_skip_inactive, state):
    """Update the intercepts and the coordinates of a working set once, and return the predicted decrease.

    If `should_skip_inactive`, only active coordinates are updated. The arguments are a WorkingColumns, a Curvature, a
    PenaltyArrays, a ModelArrays and a DescentState. The kernel updates the DescentState. The Hessian of the loss
    contributes the slopes sum_i s_i x_ij p_ik (scores_ik - means_i). For K = 1 the slopes are sum_i x_ij scores_i, and
    the Curvature contains s_i p_i (1 - p_i) instead of p_i. If the penalty is grouped, the K coordinates of a feature
    are adjacent.
    """
    panel, positions, starts, indices, values, scales, shifts, features, classes = columns
    row_weights, probabilities = row_curvature
    penalty_curvatures, thresholds, _, grouped, lower, upper = penalty[:6]
    has_bounds = lower.shape[0] > 0
    gradient, curvatures, expansion_point, intercept_gradient, intercept_curvatures = model
    parameters, intercept_steps, scores, means = state
    n_classes, kind = probabilities.shape[0], probabilities.dtype.type
    decrease = 0.0
    for k in range(n_classes):
        if intercept_curvatures[k] > 0:
            slope = intercept_gradient[k] + _compute_slope(
                None, probabilities[k], kind(0), kind(1), row_weights, probabilities[k], scores[k], means
            )
            change = -slope / intercept_curvatures[k]
            intercept_steps[k] += change
            decrease += 0.5 * intercept_curvatures[k] * change * change
            _add_column(None, probabilities[k], kind(0), kind(1), kind(change), probabilities[k], scores[k], means)
    classes_per_update = n_classes if grouped else 1
    unshrunk_values = np.empty(n_classes)
    n_visited_classes = 0
    for first in range(0, parameters.shape[0], classes_per_update):
        j = features[first]
        n_visited_classes = (
            n_visited_classes + classes_per_update if first > 0 and features[first - 1] == j else classes_per_update
        )
        position, entries, scale, shift = positions[j], slice(starts[j], starts[j + 1]), scales[j], shifts[j]
        curvature, length = 0.0, 0.0
        for c in range(first, first + classes_per_update):
            # The row sums of a group's block of the Hessian are at most 2 p (1 - p). They bound the eigenvalues of the
            # block.
            curvature = max(curvature, (2 if classes_per_update > 1 else 1) * curvatures[c] + penalty_curvatures[j])
            length = max(length, abs(parameters[c]))
            if has_bounds and not lower[classes[c], j] < parameters[c] < upper[classes[c], j]:
                length = 0.0
        if curvature > 0 and not (should_skip_inactive and length == 0):
            square = 0.0
            for c in range(first, first + classes_per_update):
                k = classes[c]
                rows = row_weights, probabilities[k], scores[k], means
                if position >= 0:
                    slope = _compute_slope(None, panel[position], scale, shift, *rows)
                else:
                    slope = _compute_slope(indices[entries], values[entries], scale, shift, *rows)
                slope += gradient[c] + penalty_curvatures[j] * (parameters[c] - expansion_point[c])
                unshrunk_values[c - first] = parameters[c] - slope / curvature
                square += unshrunk_values[c - first] * unshrunk_values[c - first]
            length = math.sqrt(square)
            shrinkage = soft_threshold(length, thresholds[j] / curvature) / length if length > 0 else 0.0
            for c in range(first, first + classes_per_update):
                k = classes[c]
                target = shrinkage * unshrunk_values[c - first]
                if has_bounds:
                    target = min(max(target, lower[k, j]), upper[k, j])
                change = target - parameters[c]
                if change == 0:
                    continue
                parameters[c] = target
                decrease += 0.5 * curvature * change * change
                column_update_arguments = kind(change), probabilities[k], scores[k], means
                if position >= 0:
                    _add_column(None, panel[position], scale, shift, *column_update_arguments)
                else:
                    _add_column(indices[entries], values[entries], scale, shift, *column_update_arguments)
        is_last_of_feature = (
            first + classes_per_update == parameters.shape[0] or features[first + classes_per_update] != j
        )
        is_short_column = position < 0 and entries.stop - entries.start <= MAX_JOINT_ENTRIES
        if (
            is_last_of_feature
            and is_short_column
            and n_visited_classes > 1
            and not (should_skip_inactive or grouped or has_bounds)
        ):
            column = first + 1 - n_visited_classes, first + 1, penalty_curvatures[j], thresholds[j], scale
            decrease += _step_jointly(indices[entries], values[entries], column, row_curvature, model, state, classes)
        if n_visited_classes == n_classes > 1 and (thresholds[j] > 0 or penalty_curvatures[j] > 0):
            # The scores of all classes and their mean change by the same amount, so the slopes do not change.
            add_best_class_shift(
                parameters[first + classes_per_update - n_classes : first + classes_per_update], j, penalty
            )
    return decrease


@kernel(inner=True)
def _step_jointly(indices, values, column, row_curvature, model, state, classes):
    """Take a Newton step in the active coordinates of a sparse column, with fixed signs; return the decrease.

    The step ends where a coordinate becomes zero. If two classes together have nearly all of the probability of a row,
    coordinate updates converge slowly: the curvature along each coordinate is p (1 - p), but the curvature along the
    common direction of both coordinates is almost zero. ``column`` contains the range of the coordinates, the curvature
    and the threshold of the penalty, and the scale of the column.
    """
    first, last, penalty_curvature, threshold, scale = column
    row_weights, probabilities = row_curvature
    parameters, scores, means = state.parameters, state.scores, state.means
    kind = scores.dtype.type
    shift, n_active = kind(0), 0
    min_pivot = MIN_PIVOT if scores.itemsize == 8 else MIN_PIVOT_FLOAT32
    for c in range(first, last):
        n_active += parameters[c] != 0
    if n_active < 2:
        return 0.0
    active_coordinates, slopes, n_stored_slopes = np.empty(n_active, np.int64), np.empty(n_active), 0
    for c in range(first, last):
        if parameters[c] != 0:
            k = classes[c]
            slope = _compute_slope(indices, values, scale, shift, row_weights, probabilities[k], scores[k], means)
            slope += model.gradient[c] + penalty_curvature * (parameters[c] - model.expansion_point[c])
            active_coordinates[n_stored_slopes], slopes[n_stored_slopes] = (
                c,
                slope + math.copysign(threshold, parameters[c]),
            )
            n_stored_slopes += 1
    hessian = np.zeros((n_active, n_active))
    for entry in range(values.shape[0]):
        i = np.uint64(indices[entry])
        x = np.float64(values[entry]) * scale
        weight = row_weights[i] * x * x
        for a in range(n_active):
            p = np.float64(probabilities[classes[active_coordinates[a]], i])
            hessian[a, a] += weight * p
            for b in range(a + 1):
                hessian[a, b] -= weight * p * probabilities[classes[active_coordinates[b]], i]
    # The Cholesky factor overwrites the lower triangle. A coordinate with a vanishing pivot does not change.
    step = -slopes
    for a in range(n_active):
        hessian[a, a] += penalty_curvature
        diagonal = hessian[a, a]
        for b in range(a):
            total = hessian[a, b]
            for c in range(b):
                total -= hessian[a, c] * hessian[b, c]
            hessian[a, b] = total / hessian[b, b] if hessian[b, b] > 0 else 0.0
            hessian[a, a] -= hessian[a, b] * hessian[a, b]
            step[a] -= hessian[a, b] * step[b]
        if hessian[a, a] > min_pivot * diagonal:
            hessian[a, a] = math.sqrt(hessian[a, a])
            step[a] /= hessian[a, a]
        else:
            hessian[a, a] = 0.0
            step[a] = 0.0
    for a in range(n_active - 1, -1, -1):
        if hessian[a, a] > 0:
            for b in range(a + 1, n_active):
                step[a] -= hessian[b, a] * step[b]
            step[a] /= hessian[a, a]
    step_length, decrease_rate = 1.0, 0.0
    for a in range(n_active):
        decrease_rate -= step[a] * slopes[a]
        if step[a] * parameters[active_coordinates[a]] < 0:
            step_length = min(step_length, -parameters[active_coordinates[a]] / step[a])
    if not decrease_rate > 0:
        return 0.0
    for a in range(n_active):
        c = active_coordinates[a]
        k, is_step_toward_zero = classes[c], step[a] * parameters[c] < 0
        # The coordinate that limits the step becomes exactly zero.
        reaches_zero = is_step_toward_zero and -parameters[c] / step[a] == step_length
        target = 0.0 if reaches_zero else parameters[c] + step_length * step[a]
        change = target - parameters[c]
        parameters[c] = target
        _add_column(indices, values, scale, shift, kind(change), probabilities[k], scores[k], means)
    return step_length * (1 - 0.5 * step_length) * decrease_rate


@kernel
def fill_block_curvatures(block, n_blocks, columns, row_curvatures, curvatures):
    """Fill curvatures[c] for the block's coordinates c with sum_i h_ik x_ij^2, where h is `row_curvatures` (K, n)."""
    panel, positions, starts, indices, values, scales, shifts, features, classes = columns
    n_coordinates = features.shape[0]
    for c in range(block * n_coordinates // n_blocks, (block + 1) * n_coordinates // n_blocks):
        j, class_curvatures = features[c], row_curvatures[classes[c]]
        if positions[j] >= 0:
            curvatures[c] = _compute_curvature(None, panel[positions[j]], scales[j], shifts[j], class_curvatures)
        else:
            entries = slice(starts[j], starts[j + 1])
            curvatures[c] = _compute_curvature(
                indices[entries], values[entries], scales[j], shifts[j], class_curvatures
            )


@kernel(inner=True)
def _compute_slope(indices, values, scale, shift, row_weights, p, t, m):
    """Return sum s_i x_i p_i (t_i - m_i) over the entries of a column, or sum x_i t_i if m is empty.

    If `indices` is None, the column is dense and has one entry per row.
    """
    kind = p.dtype.type
    total, is_binary = kind(0), m.shape[0] == 0
    for entry in range(values.shape[0]):
        i = np.uint64(entry)
        if indices is not None:
            i = np.uint64(indices[entry])
        x = kind(values[entry]) * scale + shift
        total += x * t[i] if is_binary else row_weights[i] * x * p[i] * (t[i] - m[i])
    return total


@kernel(inner=True)
def _compute_curvature(indices, values, scale, shift, row_curvatures):
    """Return the sum of `row_curvatures`[i] x_i^2 over the entries of a column, in the format of `_compute_slope`."""
    kind = row_curvatures.dtype.type
    total = kind(0)
    for entry in range(values.shape[0]):
        i = np.uint64(entry)
        if indices is not None:
            i = np.uint64(indices[entry])
        x = kind(values[entry]) * scale + shift
        total += row_curvatures[i] * x * x
    return total


@kernel(inner=True)
def _add_column(indices, values, scale, shift, change, p, t, m):
    """Add change x to the scores t, and p change x to their means m. If m is empty, add p change x to the scores.

    x is a column in the format of `_compute_slope`.
    """
    kind, is_binary = p.dtype.type, m.shape[0] == 0
    for entry in range(values.shape[0]):
        i = np.uint64(entry)
        if indices is not None:
            i = np.uint64(indices[entry])
        increment = change * (kind(values[entry]) * scale + shift)
        t[i] += p[i] * increment if is_binary else increment
        if not is_binary:
            m[i] += p[i] * increment
