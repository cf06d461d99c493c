"""Coordinate descent on quadratic models of a penalized objective: by the whole Hessian, or column by column of X.

A model of J around parameters V, for a step D to Z = V + D::

    m(Z) = g . D + D' H D / 2 + sum_kj of_penalty_j D_kj^2 / 2 + sum_j threshold_j size(Z_.j)

g is the gradient of the smooth part, H the Hessian of the loss, size the sum of magnitudes over the classes, or their
norm (`grouped`). One coordinate at a time (grouped, one feature of all classes) moves to the model's least point along
it within the bounds (for a group, to that of an upper bound of the model): Friedman, Hastie and Tibshirani 2010,
section 2; Simon, Friedman and Hastie 2013. The decrease that updates promise is the sum of curvature change^2 / 2.
"""

import math
from typing import NamedTuple

import numpy as np

from fastlin.kernels.linear.penalties import PenaltyArrays, shift_equally, shrink
from fastlin.kernels.machine.compilation import kernel

# The most sweeps over all coordinates, and over the active ones between two of these.
MAX_SWEEPS = 10
# Coordinates of a column with more entries move one by one alone. Among many rows some tell its classes apart.
MAX_ENTRIES = 32
# A pivot that is smaller than this fraction of its diagonal entry may be rounding error, of float64 and of float32.
MIN_PIVOT, MIN_PIVOT_FLOAT32 = 1e-12, 1e-5


class WorkingColumns(NamedTuple):
    """The columns of X, and the coordinates among them that may move.

    Column j is panel[places[j]] scale[j] + shift[j] or, where places[j] is below zero, the entries starts[j] to
    starts[j + 1] of indices and values times scale[j].
    """

    panel: np.ndarray  # (m, n), columns that are held whole
    positions: np.ndarray  # (d,)
    starts: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    scale: np.ndarray  # (d,), in the type computed in
    shift: np.ndarray  # (d,), likewise; zero for entries
    features: np.ndarray  # (C,), of each coordinate
    classes: np.ndarray  # (C,), of each coordinate


class ModelArrays(NamedTuple):
    """The model around the origin."""

    gradient: np.ndarray  # (C,), g of each coordinate
    curvatures: np.ndarray  # (C,), the diagonal of the Hessian of the loss
    origins: np.ndarray  # (C,), V of each coordinate
    intercept_gradient: np.ndarray  # (K,)
    intercept_curvatures: np.ndarray  # (K,), zero without an intercept


class DescentState(NamedTuple):
    """Where the descent is. The kernels keep all of it up to date."""

    parameters: np.ndarray  # (C,), Z of each coordinate
    intercept_steps: np.ndarray  # (K,), by how much each intercept has moved
    # (K, n), X D, the change of the scores by the steps so far; for K = 1 times the curvature of each row.
    scores: np.ndarray
    means: np.ndarray  # (n,), the sum over the classes of probabilities times scores; without entries for K = 1


@kernel
def descend_by_hessian(hessian, slopes, penalty, n_classes, only_active, parameters):
    """Visit every coordinate (only those neither at zero nor at a bound: `only_active`) once; return the decrease.

    hessian (p, p) is H with the curvatures of the penalty on its diagonal, by classes then features. parameters (p,)
    are Z and slopes (p,) the smooth model's gradient at Z: both are kept up to date. penalty is a PenaltyArrays.
    """
    of_penalty, thresholds, _, grouped, lower, upper = penalty[:6]
    has_bounds = lower.shape[0] > 0
    size = parameters.shape[0] // n_classes
    together = n_classes if grouped else 1
    decrease = 0.0
    points = np.empty(n_classes)
    for j in range(size):
        for first in range(0, n_classes, together):
            curvature, square, length = 0.0, 0.0, 0.0
            for k in range(first, first + together):
                row, total = hessian[k * size + j], 0.0
                for other in range(first, first + together):
                    total += abs(row[other * size + j])
                curvature = max(curvature, total)
                length = max(length, abs(parameters[k * size + j]))
                if has_bounds and not lower[k, j] < parameters[k * size + j] < upper[k, j]:
                    length = 0.0
            if not curvature > 0 or (only_active and length == 0):
                continue
            for k in range(first, first + together):
                points[k] = parameters[k * size + j] - slopes[k * size + j] / curvature
                square += points[k] * points[k]
            length = math.sqrt(square)
            kept = shrink(length, thresholds[j] / curvature) / length if length > 0 else 0.0
            for k in range(first, first + together):
                least = kept * points[k]
                if has_bounds:
                    least = min(max(least, lower[k, j]), upper[k, j])
                change = least - parameters[k * size + j]
                if change != 0:
                    parameters[k * size + j] = least
                    decrease += 0.5 * curvature * change * change
                    row = hessian[k * size + j]
                    for other in range(slopes.shape[0]):
                        slopes[other] += change * row[other]
        if n_classes > 1 and (thresholds[j] > 0 or of_penalty[j] > 0):
            for k in range(n_classes):
                points[k] = parameters[k * size + j]
            shift = shift_equally(points, j, penalty)
            for k in range(n_classes):
                parameters[k * size + j] = points[k]
                slopes[k * size + j] += of_penalty[j] * shift
    return decrease


@kernel
def fill_block_least(block, n_blocks, positions, hessian, curvatures, penalty, pairs, accuracy, slopes, least):
    """Fill least[b], which holds the point of problem b, with the least point of its model, for K = 1.

    The block has its part of places, the numbers of problems. The Hessian is curvatures[b] hessian (p, p) plus the
    penalty's, changed by pairs, the oldest first (BFGS; Nocedal and Wright 2006, equation 6.19). slopes (B, p) are
    those of the smooth part. penalty are its curvatures and thresholds, (B, p) each; pairs are moves and changes of the
    slopes, (B, N, p) each, and their products (B, N), else zero. Sweeps end where one gains less than `accuracy`.
    """
    of_penalty, thresholds = penalty
    moves, changes, products = pairs
    size = hessian.shape[0]
    model, bent, left = np.empty((size, size)), np.empty(size), np.empty(size)
    no_bounds, no_values = np.empty((0, 0)), np.empty(0)
    for position in range(block * positions.shape[0] // n_blocks, (block + 1) * positions.shape[0] // n_blocks):
        b = positions[position]
        for j in range(size):
            left[j] = slopes[b, j]
            for other in range(size):
                model[j, other] = curvatures[b] * hessian[j, other]
            model[j, j] += of_penalty[b, j]
        for pair in range(products.shape[1]):
            if products[b, pair] > 0:
                _change_by_pair(moves[b, pair], changes[b, pair], products[b, pair], bent, model)
        own = PenaltyArrays(
            of_penalty[b], thresholds[b], thresholds[b], False, no_bounds, no_bounds, no_values, no_values, no_values
        )
        total, of_all = 0.0, np.inf
        for _ in range(MAX_SWEEPS):
            if of_all <= accuracy * total:
                break
            for sweep in range(1 + MAX_SWEEPS):
                # Constants would be compiled for each of their values.
                gained = descend_by_hessian(model, left, own, np.int64(1), sweep > 0, least[b])
                total += gained
                of_all = gained if sweep == 0 else of_all
                if gained <= (accuracy if sweep == 0 else 0.1 * accuracy) * total:
                    break


@kernel(inner=True)
def _change_by_pair(move, change, product, bent, hessian):
    """Change a Hessian so that it takes a move to a change of the slopes, whose product is above zero."""
    along = 0.0
    for j in range(move.shape[0]):
        row, total = hessian[j], 0.0
        for other in range(move.shape[0]):
            total += row[other] * move[other]
        bent[j] = total
        along += total * move[j]
    if along > 0:
        for j in range(move.shape[0]):
            row, gained, lost = hessian[j], change[j] / product, bent[j] / along
            for other in range(move.shape[0]):
                row[other] += gained * change[other] - lost * bent[other]


@kernel
def descend_by_columns(columns, curvature_of_rows, penalty, model, only_active, state):
    """Visit the intercepts and every coordinate of a working set (the active ones) once; return the decrease.

    The arguments are a WorkingColumns, a Curvature, a PenaltyArrays, a ModelArrays and a DescentState. The Hessian of
    the loss comes in by the slopes sum_i s_i x_ij p_ik (scores_ik - means_i). For K = 1 it is sum_i x_ij scores_i: the
    Curvature has s_i p_i (1 - p_i) in the place of p_i. Grouped, a feature's K coordinates are neighbors.
    """
    panel, positions, starts, indices, values, scales, shifts, features, classes = columns
    row_weights, probabilities = curvature_of_rows
    of_penalty, thresholds, _, grouped, lower, upper = penalty[:6]
    has_bounds = lower.shape[0] > 0
    gradient, curvatures, origins, intercept_gradient, intercept_curvatures = model
    parameters, intercept_steps, scores, means = state
    n_classes, kind = probabilities.shape[0], probabilities.dtype.type
    decrease = 0.0
    for k in range(n_classes):
        if intercept_curvatures[k] > 0:
            slope = intercept_gradient[k] + _slope(
                None, probabilities[k], kind(0), kind(1), row_weights, probabilities[k], scores[k], means
            )
            change = -slope / intercept_curvatures[k]
            intercept_steps[k] += change
            decrease += 0.5 * intercept_curvatures[k] * change * change
            _add_column(None, probabilities[k], kind(0), kind(1), kind(change), probabilities[k], scores[k], means)
    together = n_classes if grouped else 1
    points = np.empty(n_classes)
    n_visited = 0
    for first in range(0, parameters.shape[0], together):
        j = features[first]
        n_visited = n_visited + together if first > 0 and features[first - 1] == j else together
        position, entries, scale, shift = positions[j], slice(starts[j], starts[j + 1]), scales[j], shifts[j]
        curvature, length = 0.0, 0.0
        for c in range(first, first + together):
            # For a group the sum of a row of its block of the Hessian, p (1 - p) and the rest, bounds the block.
            curvature = max(curvature, (2 if together > 1 else 1) * curvatures[c] + of_penalty[j])
            length = max(length, abs(parameters[c]))
            if has_bounds and not lower[classes[c], j] < parameters[c] < upper[classes[c], j]:
                length = 0.0
        if curvature > 0 and not (only_active and length == 0):
            square = 0.0
            for c in range(first, first + together):
                k = classes[c]
                rows = row_weights, probabilities[k], scores[k], means
                if position >= 0:
                    slope = _slope(None, panel[position], scale, shift, *rows)
                else:
                    slope = _slope(indices[entries], values[entries], scale, shift, *rows)
                slope += gradient[c] + of_penalty[j] * (parameters[c] - origins[c])
                points[c - first] = parameters[c] - slope / curvature
                square += points[c - first] * points[c - first]
            length = math.sqrt(square)
            kept = shrink(length, thresholds[j] / curvature) / length if length > 0 else 0.0
            for c in range(first, first + together):
                k = classes[c]
                least = kept * points[c - first]
                if has_bounds:
                    least = min(max(least, lower[k, j]), upper[k, j])
                change = least - parameters[c]
                if change == 0:
                    continue
                parameters[c] = least
                decrease += 0.5 * curvature * change * change
                added = kind(change), probabilities[k], scores[k], means
                if position >= 0:
                    _add_column(None, panel[position], scale, shift, *added)
                else:
                    _add_column(indices[entries], values[entries], scale, shift, *added)
        is_last = first + together == parameters.shape[0] or features[first + together] != j
        has_few = position < 0 and entries.stop - entries.start <= MAX_ENTRIES
        if is_last and has_few and n_visited > 1 and not (only_active or grouped or has_bounds):
            own = first + 1 - n_visited, first + 1, of_penalty[j], thresholds[j], scale
            decrease += _step_jointly(indices[entries], values[entries], own, curvature_of_rows, model, state, classes)
        if n_visited == n_classes > 1 and (thresholds[j] > 0 or of_penalty[j] > 0):
            # The scores of all classes change alike, and with them their mean: slopes stay.
            shift_equally(parameters[first + together - n_classes : first + together], j, penalty)
    return decrease


@kernel(inner=True)
def _step_jointly(indices, values, own, curvature_of_rows, model, state, classes):
    """Move the active coordinates of a column of entries by Newton's step for their signs; return the decrease.

    The step ends where a coordinate becomes zero. If two classes share nearly all of the probability of a row, the
    coordinates of each have the curvature p (1 - p), but together they have next to none, and hardly move one by one.
    ``own`` holds the range of the coordinates, the penalty's curvature and threshold, and the scale of the column.
    """
    first, last, of_penalty, threshold, scale = own
    row_weights, probabilities = curvature_of_rows
    parameters, scores, means = state.parameters, state.scores, state.means
    kind = scores.dtype.type
    shift, n_active = kind(0), 0
    min_pivot = MIN_PIVOT if scores.itemsize == 8 else MIN_PIVOT_FLOAT32
    for c in range(first, last):
        n_active += parameters[c] != 0
    if n_active < 2:
        return 0.0
    active, slopes, n_found = np.empty(n_active, np.int64), np.empty(n_active), 0
    for c in range(first, last):
        if parameters[c] != 0:
            k = classes[c]
            slope = _slope(indices, values, scale, shift, row_weights, probabilities[k], scores[k], means)
            slope += model.gradient[c] + of_penalty * (parameters[c] - model.origins[c])
            active[n_found], slopes[n_found] = c, slope + math.copysign(threshold, parameters[c])
            n_found += 1
    hessian = np.zeros((n_active, n_active))
    for entry in range(values.shape[0]):
        i = np.uint64(indices[entry])
        x = np.float64(values[entry]) * scale
        weight = row_weights[i] * x * x
        for a in range(n_active):
            p = np.float64(probabilities[classes[active[a]], i])
            hessian[a, a] += weight * p
            for b in range(a + 1):
                hessian[a, b] -= weight * p * probabilities[classes[active[b]], i]
    # Cholesky's factor in the lower triangle; a coordinate without a pivot stays.
    step = -slopes
    for a in range(n_active):
        hessian[a, a] += of_penalty
        whole = hessian[a, a]
        for b in range(a):
            total = hessian[a, b]
            for c in range(b):
                total -= hessian[a, c] * hessian[b, c]
            hessian[a, b] = total / hessian[b, b] if hessian[b, b] > 0 else 0.0
            hessian[a, a] -= hessian[a, b] * hessian[a, b]
            step[a] -= hessian[a, b] * step[b]
        if hessian[a, a] > min_pivot * whole:
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
    length, falls = 1.0, 0.0
    for a in range(n_active):
        falls -= step[a] * slopes[a]
        if step[a] * parameters[active[a]] < 0:
            length = min(length, -parameters[active[a]] / step[a])
    if not falls > 0:
        return 0.0
    for a in range(n_active):
        c = active[a]
        k, is_back = classes[c], step[a] * parameters[c] < 0
        # The coordinate that ends the step is zero, not nearly.
        ends = is_back and -parameters[c] / step[a] == length
        least = 0.0 if ends else parameters[c] + length * step[a]
        change = least - parameters[c]
        parameters[c] = least
        _add_column(indices, values, scale, shift, kind(change), probabilities[k], scores[k], means)
    return length * (1 - 0.5 * length) * falls


@kernel
def fill_block_curvatures(block, n_blocks, columns, curved, curvatures):
    """curvatures[c] = sum_i curved_ik x_ij^2 for the block's coordinates c of a WorkingColumns; curved is (K, n)."""
    panel, positions, starts, indices, values, scales, shifts, features, classes = columns
    n_coordinates = features.shape[0]
    for c in range(block * n_coordinates // n_blocks, (block + 1) * n_coordinates // n_blocks):
        j, of_rows = features[c], curved[classes[c]]
        if positions[j] >= 0:
            curvatures[c] = _curvature(None, panel[positions[j]], scales[j], shifts[j], of_rows)
        else:
            own = slice(starts[j], starts[j + 1])
            curvatures[c] = _curvature(indices[own], values[own], scales[j], shifts[j], of_rows)


@kernel(inner=True)
def _slope(indices, values, scale, shift, row_weights, p, t, m):
    """Return sum s_i x_i p_i (t_i - m_i) of a column: of its entries, or of all rows where indices are None.

    Without means it is sum x_i t_i.
    """
    kind = p.dtype.type
    total, is_single = kind(0), m.shape[0] == 0
    for entry in range(values.shape[0]):
        i = np.uint64(entry)
        if indices is not None:
            i = np.uint64(indices[entry])
        x = kind(values[entry]) * scale + shift
        total += x * t[i] if is_single else row_weights[i] * x * p[i] * (t[i] - m[i])
    return total


@kernel(inner=True)
def _curvature(indices, values, scale, shift, of_rows):
    """Return sum of_rows_i x_i^2 of a column, as `_slope` takes it."""
    kind = of_rows.dtype.type
    total = kind(0)
    for entry in range(values.shape[0]):
        i = np.uint64(entry)
        if indices is not None:
            i = np.uint64(indices[entry])
        x = kind(values[entry]) * scale + shift
        total += of_rows[i] * x * x
    return total


@kernel(inner=True)
def _add_column(indices, values, scale, shift, change, p, t, m):
    """Add change times a column, as `_slope` takes it, to the scores t, and p times that to their means m.

    Without means p times that is added to the scores.
    """
    kind, is_single = p.dtype.type, m.shape[0] == 0
    for entry in range(values.shape[0]):
        i = np.uint64(entry)
        if indices is not None:
            i = np.uint64(indices[entry])
        added = change * (kind(values[entry]) * scale + shift)
        t[i] += p[i] * added if is_single else added
        if not is_single:
            m[i] += p[i] * added
