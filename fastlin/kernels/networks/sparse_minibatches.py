"""The kernel of mini-batch gradient descent on sparse rows: a run of whole update steps.

Labels, steps and what is measured are those of minibatches.py. Rows are the lines of a CSR matrix, `Compressed`, whose
indices may stand in any order.

A step changes every weight, by the penalty and by the velocity that is left. Where a batch has few of the columns, a
weight of another column waits until a batch has this column, and then takes all steps that it missed at once. Without a
gradient of the loss a step is a matrix of two rows times velocity and weight, and n steps are its n-th power. The sums
of the squares and products of all velocities and weights follow from step to step in the same way.
"""

from typing import NamedTuple

import numpy as np

from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.gather import add_entries, dot_entries
from fastlin.kernels.networks.minibatches import add_to_mean, finish_batch, measure_rows, multiply_all, open_batch

# To change all weights takes as long as to find those that a batch has entries for, and change them alone, where X has
# so many columns for each entry of a batch.
COLUMNS_PER_ENTRY = 32


class Waiting(NamedTuple):
    """Which weights wait for a batch that has entries for them; without entries none does.

    Attributes
    ----------
    powers : ndarray of shape (n_steps + 1, 6), float64
        What n steps make of a velocity v and a weight w: powers[n, 0] v + powers[n, 1] w, powers[n, 2] v + powers[n, 3]
        w, and powers[n, 4] v + powers[n, 5] w, the sum of the weights after each of these steps.
    n_steps : ndarray of shape (d,), int64
        How many steps the weights of each column have taken, the step of this batch included where it has the column.
    columns : ndarray of shape (d,), int64
        First those of this batch.
    sums : ndarray of shape (d + 1, K) or (0, K), float64
        The sum of the weights after each averaged step; without rows it is left out.
    """

    powers: np.ndarray
    n_steps: np.ndarray
    columns: np.ndarray
    sums: np.ndarray


@kernel(reassociate=False)
def train_sparse_steps(X, samples, batch_size, first, last, state, rule, tile_rows, measured):
    """Take the steps first to last - 1 of an epoch on sparse rows, as `train_steps` takes them on dense ones.

    X is Compressed by rows. The gradient of state stays as it is.
    """
    w, v, order = state.w, state.velocity, samples.rows
    n_features, n_classes = w.shape
    n_rows = X.indptr.shape[0] - 1
    n_entries = np.int64(X.indptr[n_rows]) * batch_size // max(n_rows, 1)
    waits = n_features > COLUMNS_PER_ENTRY * max(n_entries, 1)
    n_waiting = n_features if waits else 0
    powers = _raise_to_powers(rule, last - first if waits else 1)
    waiting = Waiting(powers, np.zeros(n_waiting, np.int64), np.empty(n_waiting, np.int64), state.mean)
    g = zeros_aligned((n_features, n_classes), np.float64)
    scores = zeros_aligned((n_classes, tile_rows), w.dtype)
    batch = open_batch(n_classes, tile_rows)
    n_taken, products = 0, zeros_aligned(3, np.float64)
    multiply_all(state.mean, np.float64(state.counts[1]))
    if waits:
        _sum_products(w, v, products)
    for step in range(first, last):
        end, n_columns, squares = min((step + 1) * batch_size, order.shape[0]), 0, 0.0
        for start in range(step * batch_size, end, tile_rows):
            numbers = order[start : min(start + tile_rows, end)]
            if waits:
                n_columns = _bring_up_to_date(X, numbers, n_taken, waiting, n_columns, w, v)
            _fill_scores(X, numbers, w, state.intercept, scores)
            measure_rows(scores, numbers, samples, measured, batch)
            _add_gradient(X, numbers, scores, g)
        columns, total = waiting.columns[:n_columns], batch.sums[1]
        if total > 0 and waits:
            squares = products[0]
            _change_columns(columns, g, total, rule, waiting, products, w, v)
        elif total > 0:
            squares = _change_all(w.ravel(), g.ravel(), v.ravel(), total, rule)
            add_to_mean(w.T, state.mean)
        n_taken += total > 0
        for p in range(n_columns):
            waiting.n_steps[columns[p]] = n_taken
        finish_batch(batch, measured, step - first, squares, rule, state)
    for j in range(n_waiting):
        _take_missed_steps(j, n_taken, waiting, w, v)
    multiply_all(state.mean, 1.0 / max(state.counts[1], 1))
    state.counts[0] += min(last * batch_size, order.shape[0]) - first * batch_size


@kernel(inner=True)
def _raise_to_powers(rule, n_steps):
    """Return the powers (n_steps + 1, 6) of Waiting."""
    powers = np.zeros((n_steps + 1, 6))
    powers[0, 0] = powers[0, 3] = 1
    for n in range(n_steps):
        for k in range(2):
            speed = rule.momentum * powers[n, k] + rule.gradient_part * rule.l2 * powers[n, 2 + k]
            powers[n + 1, k] = speed
            powers[n + 1, 2 + k] = powers[n, 2 + k] - rule.velocity_part * speed
            powers[n + 1, 4 + k] = powers[n, 4 + k] + powers[n + 1, 2 + k]
    return powers


@kernel(inner=True)
def _sum_products(w, v, products):
    """Fill products with the sums of w w, w v and v v."""
    for j in range(w.shape[0]):
        for k in range(w.shape[1]):
            weight, speed = np.float64(w[j, k]), np.float64(v[j, k])
            products[0] += weight * weight
            products[1] += weight * speed
            products[2] += speed * speed


@kernel(inner=True)
def _bring_up_to_date(X, numbers, n_taken, waiting, n_columns, w, v):
    """Let the columns of the rows ``numbers`` take the steps that they missed, and add them to those of the batch.

    Return how many columns the batch then has.
    """
    indices, indptr = X.indices, X.indptr
    n_steps, columns = waiting.n_steps, waiting.columns
    for i in range(numbers.shape[0]):
        for place in range(np.int64(indptr[numbers[i]]), np.int64(indptr[numbers[i] + 1])):
            j = np.uint64(indices[np.uint64(place)])
            if n_steps[j] <= n_taken:
                _take_missed_steps(j, n_taken, waiting, w, v)
                n_steps[j] = n_taken + 1
                columns[np.uint64(n_columns)] = j
                n_columns += 1
    return n_columns


@kernel(inline=True)
def _take_missed_steps(j, n_taken, waiting, w, v):
    """Let velocities and weights of column j take the steps, of n_taken in all, that they missed."""
    n_missed = np.uint64(n_taken - waiting.n_steps[j])
    powers, sums = waiting.powers, waiting.sums
    if n_missed > 0:
        for k in range(w.shape[1]):
            weight, speed = np.float64(w[j, k]), np.float64(v[j, k])
            v[j, k] = powers[n_missed, 0] * speed + powers[n_missed, 1] * weight
            w[j, k] = powers[n_missed, 2] * speed + powers[n_missed, 3] * weight
            if sums.shape[0] > 0:
                sums[j, k] += powers[n_missed, 4] * speed + powers[n_missed, 5] * weight


@kernel(inner=True)
def _fill_scores(X, numbers, w, intercept, scores):
    """Fill scores[k, i] with the score of class k of the row numbers[i]."""
    data, indices, indptr = X
    kind, flat = w.dtype.type, w.ravel()
    n_classes = w.shape[1]
    for i in range(numbers.shape[0]):
        row = numbers[i]
        first, last = np.int64(indptr[row]), np.int64(indptr[row + 1])
        if n_classes == 1:
            scores[0, i] = dot_entries(data, indices, first, last, flat) + intercept[0]
        else:
            for k in range(n_classes):
                scores[k, i] = intercept[k]
            for p in range(first, last):
                x, j = kind(data[np.uint64(p)]), np.uint64(indices[np.uint64(p)])
                for k in range(n_classes):
                    scores[k, i] += x * w[j, k]


@kernel(inner=True)
def _add_gradient(X, numbers, residuals, g):
    """Add residuals[k, i] x_i to g (d, K) for the rows ``numbers``."""
    data, indices, indptr = X
    n_classes, flat = residuals.shape[0], g.ravel()
    for i in range(numbers.shape[0]):
        first, last = np.int64(indptr[numbers[i]]), np.int64(indptr[numbers[i] + 1])
        if n_classes == 1:
            add_entries(data, indices, first, last, np.float64(residuals[0, i]), flat)
        else:
            for p in range(first, last):
                x, j = np.float64(data[np.uint64(p)]), np.uint64(indices[np.uint64(p)])
                for k in range(n_classes):
                    g[j, k] += x * np.float64(residuals[k, i])


@kernel(inner=True)
def _change_all(w, g, v, total, rule):
    """Set v = momentum v + gradient_part (g / total + l2 w), take velocity_part v from w, and set g to zero.

    Return the sum of the squares of w before it. All are of shape (d K,).
    """
    kind = w.dtype.type
    part, l2, momentum = kind(1.0 / total), kind(rule.l2), kind(rule.momentum)
    gradient_part, velocity_part = kind(rule.gradient_part), kind(rule.velocity_part)
    squares = 0.0
    for j in range(w.shape[0]):
        squares += np.float64(w[j]) * np.float64(w[j])
        v[j] = momentum * v[j] + gradient_part * (kind(g[j]) * part + l2 * w[j])
        w[j] -= velocity_part * v[j]
        g[j] = 0
    return squares


@kernel(inner=True)
def _change_columns(columns, g, total, rule, waiting, products, w, v):
    """Do the same to some columns, and move the sums of the products of all velocities and weights on by this step."""
    part = 1.0 / total
    weights, mixed, speeds = products
    new_weights = new_mixed = new_speeds = 0.0
    for p in range(columns.shape[0]):
        j = np.uint64(columns[p])
        for k in range(w.shape[1]):
            weight, speed = np.float64(w[j, k]), np.float64(v[j, k])
            weights -= weight * weight
            mixed -= weight * speed
            speeds -= speed * speed
            speed = rule.momentum * speed + rule.gradient_part * (g[j, k] * part + rule.l2 * weight)
            weight -= rule.velocity_part * speed
            new_weights += weight * weight
            new_mixed += weight * speed
            new_speeds += speed * speed
            v[j, k], w[j, k], g[j, k] = speed, weight, 0
            if waiting.sums.shape[0] > 0:
                waiting.sums[j, k] += weight
    a, b, c, d = waiting.powers[1, 0], waiting.powers[1, 1], waiting.powers[1, 2], waiting.powers[1, 3]
    products[0] = d * d * weights + 2 * c * d * mixed + c * c * speeds + new_weights
    products[1] = b * d * weights + (a * d + b * c) * mixed + a * c * speeds + new_mixed
    products[2] = b * b * weights + 2 * a * b * mixed + a * a * speeds + new_speeds
