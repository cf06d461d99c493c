"""Kernels of mini-batch gradient descent: a run of whole update steps, and the evaluation of the result.

Labels, coefficients and losses are those of linear/dense_rows.py. Rows are read through an index, so that a shuffled
epoch copies a tile at a time.
"""

from typing import NamedTuple

import numpy as np

from fastlin.kernels.linear.dense_rows import block_rows
from fastlin.kernels.linear.operands import Kept, Samples
from fastlin.kernels.linear.residuals import turn_scores_to_residuals
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.instructions import compile_apart
from fastlin.kernels.machine.prefetch import empty_list, list_rows
from fastlin.kernels.machine.products import add_product, load_and_multiply, read_and_multiply, spare_tile
from fastlin.kernels.machine.tiles import no_scaling, pad_columns, zeros_padded


class MomentumState(NamedTuple):
    """What a step of gradient descent changes, arrays of shape (d, K) and of one type.

    Attributes
    ----------
    w : ndarray of shape (d, K)
        The weights of the model.
    gradient : ndarray of shape (d, K)
        The gradient of the last step.
    velocity : ndarray of shape (d, K)
        The direction of the last step: the gradients before it, each with its power of momentum.
    """

    w: np.ndarray
    gradient: np.ndarray
    velocity: np.ndarray


class MomentumRule(NamedTuple):
    """How a step of gradient descent follows from the mean gradient over a batch.

    Attributes
    ----------
    learning_rate : float
        The part of the velocity that is taken from the weights.
    momentum : float
        The part of the last velocity that stays.
    l2 : float
        The strength of the penalty: l2 w is added to the gradient.
    """

    learning_rate: float
    momentum: float
    l2: float


@kernel(reassociate=False)
def train_steps(X, samples, batch_size, first, last, state, rule, tile_rows, losses):
    """Take the steps first to last - 1 of an epoch: v = momentum v + g, w -= learning_rate v.

    g is the mean gradient over the batch, the rows ``samples.rows[step * batch_size:(step + 1) * batch_size]``, plus
    l2 w. state, a MomentumState in the type of X, is updated in place by rule, a MomentumRule.

    losses (last - first,) take each batch's mean loss before the update, without the L2 term.
    """
    w, order = state.w, samples.rows
    n_features, n_classes = w.shape
    coef, v = zeros_padded(n_classes, n_features, w.dtype), zeros_padded(n_classes, n_features, w.dtype)
    for j in range(n_features):
        for k in range(n_classes):
            coef[k, j], v[k, j] = w[j, k], state.velocity[j, k]
    g = zeros_aligned((n_classes, coef.shape[1]), np.float64)
    tile = zeros_padded(tile_rows, n_features, w.dtype)
    unscaled = no_scaling(tile)
    ahead = empty_list(tile_rows)
    scores = zeros_aligned((n_classes, tile_rows), w.dtype)
    intercept = zeros_aligned(n_classes, w.dtype)
    kept, beginning = _nothing_kept(), np.int64(0)
    for step in range(first, last):
        begin, end = step * batch_size, (step + 1) * batch_size
        for k in range(n_classes):
            for j in range(coef.shape[1]):
                g[k, j] = 0
        loss = 0.0
        for start in range(begin, end, tile_rows):
            stop = start + tile_rows if start + tile_rows < end else end
            batch_end = end if stop < end or step + 1 == last else end + batch_size
            numbers = order[start:stop]
            list_rows(X, order, stop, tile_rows, batch_end, ahead)
            load_and_multiply(X, numbers, unscaled, tile, coef, intercept, scores, ahead)
            loss += turn_scores_to_residuals(scores, numbers, samples, kept, beginning)
            add_product(tile, stop - start, scores, beginning, g, ahead)
        losses[step - first] = loss / batch_size
        for k in range(n_classes):
            _update(coef[k], g[k], v[k], batch_size, rule)
    for j in range(n_features):
        for k in range(n_classes):
            w[j, k] = coef[k, j]
            state.gradient[j, k] = g[k, j]
            state.velocity[j, k] = v[k, j]


@kernel(inline=True)
def _nothing_kept():
    return Kept(zeros_aligned((0, 0), np.float32), zeros_aligned((0, 0), np.float64))


@kernel(inline=True)
def _update(w, g, v, batch_size, rule):
    """Set g = g / batch_size + l2 w and v = momentum v + g, and take learning_rate v from w."""
    type_of = w.dtype.type
    part, l2, momentum = type_of(1) / type_of(batch_size), type_of(rule.l2), type_of(rule.momentum)
    rate = type_of(rule.learning_rate)
    for j in range(w.shape[0]):
        g[j] = type_of(g[j]) * part + l2 * w[j]
        v[j] = momentum * v[j] + type_of(g[j])
        w[j] -= rate * v[j]


@kernel(reassociate=False)
def evaluate_block(block, n_blocks, X, labels, weights, coef, tile_rows, losses, n_correct):
    """Fill losses[block] with the sum of the losses, n_correct[block] with how many rows' best class is their label.

    Both are over the rows of the block, with scores X coef' for coef (K, d). Of equal scores the first class wins, and
    a probability of exactly one half counts as label 1. weights (n,) are those of the losses. An empty losses (0,)
    leaves the loss out.
    """
    n_classes = coef.shape[0]
    rows = block_rows(block, n_blocks, X.shape[0])
    n_rows = rows.shape[0]
    samples = Samples(rows, labels, weights)
    padded, tile = pad_columns(coef), spare_tile(X, tile_rows, coef)
    ahead = empty_list(tile_rows)
    scores = zeros_aligned((n_classes, tile_rows), coef.dtype)
    intercept = zeros_aligned(n_classes, coef.dtype)
    kept, beginning = _nothing_kept(), np.int64(0)
    loss = 0.0
    correct = np.int64(0)
    for start in range(0, n_rows, tile_rows):
        stop = start + tile_rows if start + tile_rows < n_rows else n_rows
        numbers = rows[start:stop]
        list_rows(X, rows, stop, tile_rows, n_rows, ahead)
        read_and_multiply(X, numbers, tile, padded, intercept, scores, ahead)
        correct += _count_right(scores, stop - start, labels, rows[start])
        if losses.shape[0] > 0:
            loss += turn_scores_to_residuals(scores, numbers, samples, kept, beginning)
    if losses.shape[0] > 0:
        losses[block] = loss
    n_correct[block] = correct


@kernel(inner=True)
def _count_right(scores, n_rows, labels, first_row):
    """Return how many rows, from first_row on, have a label with the largest score, the first of equal ones.

    With one score its sign decides. A training that diverged has NaN for scores, which are never right.
    """
    compile_apart()
    n_right = 0
    if scores.shape[0] == 1:
        for i in range(n_rows):
            n_right += np.int64((scores[0, i] >= 0) == (labels[first_row + i] == 1))
        return n_right
    own = zeros_aligned(n_rows, scores.dtype)
    right = zeros_aligned(n_rows, np.int64)
    for i in range(n_rows):
        right[i] = 1
        own[i] = scores[labels[first_row + i], i]
    for k in range(scores.shape[0]):
        s = scores[k, :n_rows]
        for i in range(n_rows):
            # Without branches, which the processor would guess wrong for every other row.
            label = labels[first_row + i]
            right[i] &= np.int64((s[i] < own[i]) | ((s[i] == own[i]) & (k >= label)))
    for i in range(n_rows):
        n_right += right[i]
    return n_right
