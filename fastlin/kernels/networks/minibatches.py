"""Kernels of mini-batch gradient descent on dense rows: a run of whole update steps, and the evaluation of the result.

Labels, coefficients and losses are those of linear/dense_rows.py. A shuffled epoch reads its rows through an index.
"""

from typing import NamedTuple

import numpy as np

from fastlin.kernels.linear.operands import ProbabilityOutput, Samples
from fastlin.kernels.linear.residuals import convert_scores_to_residuals, weight_of
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.instructions import add_freely, compile_apart
from fastlin.kernels.machine.products import (
    add_product,
    load_and_multiply,
    open_tile,
    open_tile_to_read,
)
from fastlin.kernels.machine.tiles import no_scaling, number_rows, pad_columns


class MomentumState(NamedTuple):
    """The arrays that a step of gradient descent changes, of one type but for the mean."""

    w: np.ndarray  # (d, K), the weights of the model
    gradient: np.ndarray  # (d, K), of the last step
    # (d, K), the gradients before it, each with its power of momentum, times the rule's gradient_part.
    velocity: np.ndarray
    intercept: np.ndarray  # (K,)
    intercept_velocity: np.ndarray  # (K,)
    # (d + 1, K) float64, the mean of the weights after each averaged step, and last that of the intercepts; (0, K)
    # leaves it out.
    mean: np.ndarray
    # (2,) int64, how many rows steps were taken with, and how many steps the mean has. They change with the weights:
    # Ctrl-C falls before a run or behind it.
    counts: np.ndarray


class MomentumRule(NamedTuple):
    """The rule by which a step of gradient descent follows from the mean gradient over a batch."""

    gradient_part: float  # the part of the gradient that is added to the velocity
    velocity_part: float  # the part of the velocity that is taken from the weights
    momentum: float  # the part of the last velocity that stays
    l2: float  # the strength of the penalty: l2 w is added to the gradient
    has_intercept: bool  # whether there are intercepts


class Measured(NamedTuple):
    """The measures of a run of steps, arrays (n_steps,) with an entry for each step."""

    losses: np.ndarray  # the mean loss of the batch before the step, without the penalty
    squares: np.ndarray  # the sum of the squares of the weights before the step
    right: np.ndarray  # the weight of the rows of the batch whose best class is their label
    totals: np.ndarray  # the weight of all rows of the batch


class Batch(NamedTuple):
    """Sums over the rows of a batch."""

    sums: np.ndarray  # (3,): the losses, the weights, and the weights of the rows that are right
    intercept_gradient: np.ndarray  # (K,), the residuals
    right: np.ndarray  # (tile rows,) int64, whether each row of a tile is right


@kernel(reassociate=False)
def train_steps(X, samples, batch_size, first, last, state, rule, tile_rows, measured):
    """Take the steps first to last - 1 of an epoch: v = momentum v + gradient_part g, w -= velocity_part v.

    g is the mean gradient over the batch, by weight, plus l2 w; a batch is the rows
    ``samples.rows[step * batch_size:(step + 1) * batch_size]``, or as many of them as there are. A batch without weight
    takes no step. X is of any type and layout, (2, n, d). A MomentumRule updates state, a MomentumState, in place, and
    measured, a Measured, is filled.
    """
    X = X[0]
    w, order = state.w, samples.rows
    n_features, n_classes = w.shape
    tile = open_tile(w.T, no_scaling(w.T), tile_rows, True)
    coef, scores = tile.coef, tile.scores
    v, g = pad_columns(state.velocity.T), zeros_aligned(coef.shape, np.float64)
    batch = open_batch(n_classes, tile_rows)
    multiply_all(state.mean, np.float64(state.counts[1]))
    for step in range(first, last):
        end = min((step + 1) * batch_size, order.shape[0])
        g[:] = 0
        for start in range(step * batch_size, end, tile_rows):
            stop = start + tile_rows if start + tile_rows < end else end
            load_and_multiply(X, order, start, stop, state.intercept, tile)
            measure_rows(scores, order[start:stop], samples, batch)
            add_product(tile.rows, stop - start, scores, g, tile.ahead)
        squares, total = 0.0, batch.sums[1]
        if total > 0:
            for k in range(n_classes):
                squares += update(coef[k], g[k], v[k], total, rule, True)
            add_to_mean(coef, state.mean)
        finish_batch(batch, measured, step - first, squares, rule, state)
    multiply_all(state.mean, 1.0 / max(state.counts[1], 1))
    state.counts[0] += min(last * batch_size, order.shape[0]) - first * batch_size
    for k in range(n_classes):
        for j in range(n_features):
            w[j, k] = coef[k, j]
            state.gradient[j, k] = g[k, j]
            state.velocity[j, k] = v[k, j]


@kernel(inline=True)
def open_batch(n_classes, tile_rows):
    """Return the Batch of no rows."""
    sums, intercept_gradient = zeros_aligned(3, np.float64), zeros_aligned(n_classes, np.float64)
    return Batch(sums, intercept_gradient, zeros_aligned(tile_rows, np.int64))


@kernel(reassociate=False, inner=True)
def measure_rows(scores, numbers, samples, batch):
    """Add the rows ``numbers`` to the batch, and overwrite their scores (K, tile rows) with their residuals."""
    sums, n_rows = batch.sums, numbers.shape[0]
    find_right(scores, numbers, samples.labels, batch.right)
    for i in range(n_rows):
        weight = np.float64(weight_of(samples.weights, numbers[i]))
        sums[1] += weight
        sums[2] += weight * batch.right[i]
    sums[0] += convert_scores_to_residuals(scores, numbers, samples, nothing_kept(), np.int64(0))
    for k in range(scores.shape[0]):
        for i in range(n_rows):
            batch.intercept_gradient[k] += scores[k, i]


@kernel(inline=True)
def finish_batch(batch, measured, position, squares, rule, state):
    """Note a batch's numbers before its step in Measured, take the step of the intercepts, and begin a new batch.

    The mean of state has the sum over the steps until the run ends.
    """
    sums = batch.sums
    loss, total, n_right = sums[0], sums[1], sums[2]
    intercept, velocity, gradient = state.intercept, state.intercept_velocity, batch.intercept_gradient
    measured.losses[position] = loss / total if total > 0 else 0.0
    measured.squares[position] = squares
    measured.right[position], measured.totals[position] = n_right, total
    kind = intercept.dtype.type
    for k in range(intercept.shape[0] if rule.has_intercept and total > 0 else 0):
        velocity[k] = kind(rule.momentum) * velocity[k] + kind(gradient[k] / total) * kind(rule.gradient_part)
        intercept[k] -= kind(rule.velocity_part) * velocity[k]
    if state.mean.shape[0] > 0 and total > 0:
        state.counts[1] += 1
        for k in range(intercept.shape[0]):
            state.mean[state.mean.shape[0] - 1, k] += np.float64(intercept[k])
    gradient[:], sums[:] = 0, 0


@kernel(inline=True)
def nothing_kept():
    """Return a Kept that keeps no probabilities."""
    return ProbabilityOutput(zeros_aligned((0, 0), np.float32), zeros_aligned((0, 0), np.float64))


@kernel(inline=True)
def update(w, g, v, total, rule, keeps_gradient):
    """Set g = g / total + l2 w, v = momentum v + gradient_part g, w -= velocity_part v; return the old w' w.

    Where the gradient is not kept, g becomes zero.
    """
    type_of = w.dtype.type
    part, l2, momentum = type_of(1) / type_of(total), type_of(rule.l2), type_of(rule.momentum)
    gradient_part, velocity_part = type_of(rule.gradient_part), type_of(rule.velocity_part)
    squares = 0.0
    for j in range(w.shape[0]):
        squares = add_freely(squares, np.float64(w[j]) * np.float64(w[j]))
        slope = type_of(g[j]) * part + l2 * w[j]
        v[j] = momentum * v[j] + gradient_part * slope
        w[j] -= velocity_part * v[j]
        g[j] = np.float64(slope) if keeps_gradient else 0.0
    return squares


@kernel(inline=True)
def add_to_mean(coef, mean):
    """Add coef (K, d or more) to the sums of the weights (d + 1, K) over the steps, if there are any."""
    for j in range(mean.shape[0] - 1):
        for k in range(coef.shape[0]):
            mean[j, k] += np.float64(coef[k, j])


@kernel(inner=True)
def multiply_all(array, factor):
    """Multiply an array of two dimensions by a number."""
    for j in range(array.shape[0]):
        for k in range(array.shape[1]):
            array[j, k] *= factor


@kernel(reassociate=False)
def evaluate_block(block, n_blocks, X, labels, coef, tile_rows, losses, n_correct):
    """Fill losses[block] with the sum of the losses, n_correct[block] with how many rows' best class is their label.

    Both are over the rows of the block, with scores X coef' for X from `any_layout` and coef (K, d). Of equal scores
    the first class wins, and a probability of exactly one half counts as label 1. An empty losses (0,) leaves the loss
    out.
    """
    X, n_classes = X[0], coef.shape[0]
    rows = number_rows(block * X.shape[0] // n_blocks, (block + 1) * X.shape[0] // n_blocks)
    n_rows = rows.shape[0]
    nothing = zeros_aligned((0, 0), np.float64)
    samples = Samples(rows, labels, zeros_aligned(0, np.float64), nothing, nothing)
    tile, right = open_tile_to_read(X, coef, tile_rows), zeros_aligned(tile_rows, np.int64)
    scores = tile.scores
    intercept = zeros_aligned(n_classes, coef.dtype)
    kept, beginning = nothing_kept(), np.int64(0)
    loss = 0.0
    correct = np.int64(0)
    for start in range(0, n_rows, tile_rows):
        stop = start + tile_rows if start + tile_rows < n_rows else n_rows
        numbers = rows[start:stop]
        load_and_multiply(X, rows, start, stop, intercept, tile, True)
        find_right(scores, numbers, labels, right)
        for i in range(stop - start):
            correct += right[i]
        if losses.shape[0] > 0:
            loss += convert_scores_to_residuals(scores, numbers, samples, kept, beginning)
    if losses.shape[0] > 0:
        losses[block] = loss
    n_correct[block] = correct


@kernel(inner=True)
def find_right(scores, numbers, labels, right):
    """Set right[i] to 1 where the label of row ``numbers[i]`` has the largest score, the first of equal ones, else 0.

    With one score its sign decides. A training that diverged has NaN for scores, which are never right.
    """
    compile_apart()
    n_rows = numbers.shape[0]
    if scores.shape[0] == 1:
        for i in range(n_rows):
            s = scores[0, i]
            right[i] = np.int64(s >= 0 if labels[numbers[i]] == 1 else s < 0)
        return
    own = zeros_aligned(n_rows, scores.dtype)
    for i in range(n_rows):
        right[i] = 1
        own[i] = scores[labels[numbers[i]], i]
    for k in range(scores.shape[0]):
        s = scores[k, :n_rows]
        for i in range(n_rows):
            # Without branches, which the processor would guess wrong for every other row.
            right[i] &= np.int64((s[i] < own[i]) | ((s[i] == own[i]) & (k >= labels[numbers[i]])))
