"""Kernels of mini-batch gradient descent on dense rows: a sequence of update steps, and the evaluation of a model.

Labels, coefficients and losses are as in linear/dense_rows.py. A shuffled epoch reads its rows by row indices.
"""

from typing import NamedTuple

import numpy as np

from fastlin.kernels.linear.operands import ProbabilityOutput, Samples
from fastlin.kernels.linear.residuals import convert_scores_to_residuals, get_weight
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.intrinsics import add_reassociated, prevent_inlining
from fastlin.kernels.machine.products import (
    add_matrix_product,
    allocate_read_tile,
    allocate_tile,
    load_and_multiply_tile,
)
from fastlin.kernels.machine.tiles import make_identity_scaling, make_row_range, pad_columns


class MomentumState(NamedTuple):
    """The arrays that a step of gradient descent updates. All have the same type, except `mean` and `counts`."""

    w: np.ndarray  # (d, K), the weights of the model
    gradient: np.ndarray  # (d, K), the gradient in the last step
    # (d, K), the sum of the gradients so far, each times a power of the momentum and the gradient_factor of the rule.
    velocity: np.ndarray
    intercept: np.ndarray  # (K,)
    intercept_velocity: np.ndarray  # (K,)
    # (d + 1, K) float64, the mean over the averaged steps of the weights and, in the last row, of the intercepts; (0,
    # K) without averaging.
    mean: np.ndarray
    # (2,) int64, the number of training rows so far, and the number of averaged steps. Both are consistent with the
    # weights, because Ctrl-C takes effect before or after a kernel call.
    counts: np.ndarray


class MomentumRule(NamedTuple):
    """The update rule of gradient descent for the mean gradient over a batch."""

    gradient_factor: float  # multiplies the gradient that is added to the velocity
    velocity_factor: float  # multiplies the velocity that is subtracted from the weights
    momentum: float  # multiplies the previous velocity
    l2: float  # the strength of the penalty: l2 w is added to the gradient
    has_intercept: bool  # whether there are intercepts


class StepMetrics(NamedTuple):
    """The metrics of a sequence of steps. Each array (n_steps,) contains one entry per step."""

    losses: np.ndarray  # the mean loss of the batch before the step, without the penalty
    squares: np.ndarray  # the sum of squares of the weights before the step
    correct: np.ndarray  # the total weight of the correctly classified rows of the batch
    totals: np.ndarray  # the total weight of the batch


class Batch(NamedTuple):
    """Sums over the rows of a batch."""

    sums: np.ndarray  # (3,): the losses, the weights, and the weights of the correctly classified rows
    intercept_gradient: np.ndarray  # (K,), the sums of the residuals
    is_correct: np.ndarray  # (tile rows,) int64, whether each row of a tile is classified correctly


@kernel(reassociate=False)
def train_steps(X, samples, batch_size, first, last, state, rule, tile_rows, metrics):
    """Take the steps first to last - 1 of an epoch: v = momentum v + gradient_factor g, w -= velocity_factor v.

    g is the weighted mean gradient over the batch, plus l2 w. A batch consists of the rows ``samples.rows[step *
    batch_size:(step + 1) * batch_size]``. The last batch may contain fewer rows. If the weight of a batch is zero, no
    step is taken. X (2, n, d) has any type and layout. `rule` is a MomentumRule. `state` is a MomentumState, which the
    kernel updates in place. `metrics` is a `StepMetrics`, which the kernel fills.
    """
    X = X[0]
    w, row_order = state.w, samples.rows
    n_features, n_classes = w.shape
    tile = allocate_tile(w.T, make_identity_scaling(w.T), tile_rows, True)
    coef, scores = tile.coef, tile.scores
    v, g = pad_columns(state.velocity.T), zeros_aligned(coef.shape, np.float64)
    batch = make_empty_batch(n_classes, tile_rows)
    scale_in_place(state.mean, np.float64(state.counts[1]))
    for step in range(first, last):
        end = min((step + 1) * batch_size, row_order.shape[0])
        g[:] = 0
        for start in range(step * batch_size, end, tile_rows):
            stop = start + tile_rows if start + tile_rows < end else end
            load_and_multiply_tile(X, row_order, start, stop, state.intercept, tile)
            measure_rows(scores, row_order[start:stop], samples, batch)
            add_matrix_product(tile.rows, stop - start, scores, g)
        squares, total = 0.0, batch.sums[1]
        if total > 0:
            for k in range(n_classes):
                squares += update_weights(coef[k], g[k], v[k], total, rule, True)
            add_weights_to_mean(coef, state.mean)
        finish_batch(batch, metrics, step - first, squares, rule, state)
    scale_in_place(state.mean, 1.0 / max(state.counts[1], 1))
    state.counts[0] += min(last * batch_size, row_order.shape[0]) - first * batch_size
    for k in range(n_classes):
        for j in range(n_features):
            w[j, k] = coef[k, j]
            state.gradient[j, k] = g[k, j]
            state.velocity[j, k] = v[k, j]


@kernel(inline=True)
def make_empty_batch(n_classes, tile_rows):
    """Return a Batch without rows."""
    sums, intercept_gradient = zeros_aligned(3, np.float64), zeros_aligned(n_classes, np.float64)
    return Batch(sums, intercept_gradient, zeros_aligned(tile_rows, np.int64))


@kernel(reassociate=False, inner=True)
def measure_rows(scores, row_indices, samples, batch):
    """Add the rows ``row_indices`` to a Batch, and overwrite their scores (K, tile rows) with their residuals."""
    sums, n_rows = batch.sums, row_indices.shape[0]
    mark_correct_rows(scores, row_indices, samples.labels, batch.is_correct)
    for i in range(n_rows):
        weight = np.float64(get_weight(samples.weights, row_indices[i]))
        sums[1] += weight
        sums[2] += weight * batch.is_correct[i]
    sums[0] += convert_scores_to_residuals(scores, row_indices, samples, make_empty_output(), np.int64(0))
    for k in range(scores.shape[0]):
        for i in range(n_rows):
            batch.intercept_gradient[k] += scores[k, i]


@kernel(inline=True)
def finish_batch(batch, metrics, position, squares, rule, state):
    """Store the metrics of a batch in a `StepMetrics`, update the intercepts, and reset the batch.

    The metrics are those before the step. Until all steps of the call are done, state.mean contains sums over the
    steps.
    """
    sums = batch.sums
    loss, total, correct = sums[0], sums[1], sums[2]
    intercept, velocity, gradient = state.intercept, state.intercept_velocity, batch.intercept_gradient
    metrics.losses[position] = loss / total if total > 0 else 0.0
    metrics.squares[position] = squares
    metrics.correct[position], metrics.totals[position] = correct, total
    kind = intercept.dtype.type
    for k in range(intercept.shape[0] if rule.has_intercept and total > 0 else 0):
        velocity[k] = kind(rule.momentum) * velocity[k] + kind(gradient[k] / total) * kind(rule.gradient_factor)
        intercept[k] -= kind(rule.velocity_factor) * velocity[k]
    if state.mean.shape[0] > 0 and total > 0:
        state.counts[1] += 1
        for k in range(intercept.shape[0]):
            state.mean[state.mean.shape[0] - 1, k] += np.float64(intercept[k])
    gradient[:], sums[:] = 0, 0


@kernel(inline=True)
def make_empty_output():
    """Return an empty ProbabilityOutput."""
    return ProbabilityOutput(zeros_aligned((0, 0), np.float32), zeros_aligned((0, 0), np.float64))


@kernel(inline=True)
def update_weights(w, g, v, total, rule, should_keep_gradient):
    """Set g = g / total + l2 w, v = momentum v + gradient_factor g and w -= velocity_factor v; return the old w' w.

    Unless should_keep_gradient, g is set to zero afterwards.
    """
    kind = w.dtype.type
    part, l2, momentum = kind(1) / kind(total), kind(rule.l2), kind(rule.momentum)
    gradient_factor, velocity_factor = kind(rule.gradient_factor), kind(rule.velocity_factor)
    squares = 0.0
    for j in range(w.shape[0]):
        squares = add_reassociated(squares, np.float64(w[j]) * np.float64(w[j]))
        slope = kind(g[j]) * part + l2 * w[j]
        v[j] = momentum * v[j] + gradient_factor * slope
        w[j] -= velocity_factor * v[j]
        g[j] = np.float64(slope) if should_keep_gradient else 0.0
    return squares


@kernel(inline=True)
def add_weights_to_mean(coef, mean):
    """Add coef (K, d or more) to `mean` (d + 1, K), unless `mean` is empty.

    `mean` contains the sums of the weights over the steps.
    """
    for j in range(mean.shape[0] - 1):
        for k in range(coef.shape[0]):
            mean[j, k] += np.float64(coef[k, j])


@kernel(inner=True)
def scale_in_place(array, factor):
    """Multiply a two-dimensional array by a number in place."""
    for j in range(array.shape[0]):
        for k in range(array.shape[1]):
            array[j, k] *= factor


@kernel(reassociate=False)
def evaluate_block(block, n_blocks, X, labels, coef, tile_rows, losses, n_correct):
    """Fill losses[block] with the sum of the losses, and n_correct[block] with the number of correctly classified rows.

    The rows are those of the block. The scores are X coef', where X is a view from `make_any_layout_view` and coef has
    shape (K, d). In a tie the first class is predicted. If the probability is exactly one half, label 1 is predicted.
    Empty `losses` are not filled.
    """
    X, n_classes = X[0], coef.shape[0]
    rows = make_row_range(block * X.shape[0] // n_blocks, (block + 1) * X.shape[0] // n_blocks)
    n_rows = rows.shape[0]
    empty_matrix = zeros_aligned((0, 0), np.float64)
    samples = Samples(rows, labels, zeros_aligned(0, np.float64), empty_matrix, empty_matrix)
    tile, is_correct = allocate_read_tile(X, coef, tile_rows), zeros_aligned(tile_rows, np.int64)
    scores = tile.scores
    intercept = zeros_aligned(n_classes, coef.dtype)
    output, first_position = make_empty_output(), np.int64(0)
    loss = 0.0
    n_correct_rows = np.int64(0)
    for start in range(0, n_rows, tile_rows):
        stop = start + tile_rows if start + tile_rows < n_rows else n_rows
        row_indices = rows[start:stop]
        load_and_multiply_tile(X, rows, start, stop, intercept, tile, True)
        mark_correct_rows(scores, row_indices, labels, is_correct)
        for i in range(stop - start):
            n_correct_rows += is_correct[i]
        if losses.shape[0] > 0:
            loss += convert_scores_to_residuals(scores, row_indices, samples, output, first_position)
    if losses.shape[0] > 0:
        losses[block] = loss
    n_correct[block] = n_correct_rows


@kernel(inner=True)
def mark_correct_rows(scores, row_indices, labels, is_correct):
    """Set is_correct[i] to 1 if the first class with the largest score is the label of row_indices[i], else to 0.

    With a single score, its sign determines the predicted label. Scores of NaN, from a training run that diverged, are
    never correct.
    """
    prevent_inlining()
    n_rows = row_indices.shape[0]
    if scores.shape[0] == 1:
        for i in range(n_rows):
            s = scores[0, i]
            is_correct[i] = np.int64(s >= 0 if labels[row_indices[i]] == 1 else s < 0)
        return
    label_scores = zeros_aligned(n_rows, scores.dtype)
    for i in range(n_rows):
        is_correct[i] = 1
        label_scores[i] = scores[labels[row_indices[i]], i]
    for k in range(scores.shape[0]):
        s = scores[k, :n_rows]
        for i in range(n_rows):
            # This expression contains no branches, because the processor would often mispredict them.
            is_correct[i] &= np.int64(
                (s[i] < label_scores[i]) | ((s[i] == label_scores[i]) & (k >= labels[row_indices[i]]))
            )
