"""Kernels of mini-batch gradient descent: a run of whole update steps, and the evaluation of the result.

Labels, coef layout and losses are those of dense.py; rows are read through an index, so that a shuffled epoch copies
a tile at a time.
"""

import numpy as np

from fastlin.kernels.linear.dense_rows import block_rows
from fastlin.kernels.linear.residuals import turn_scores_to_residuals
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.prefetch import empty_list, list_rows
from fastlin.kernels.machine.products import add_product, load_and_multiply
from fastlin.kernels.machine.simd import compile_apart
from fastlin.kernels.machine.tiles import ones_and_zeros, pad_columns, zeros_padded


@kernel(reassociate=False)
def train_steps(
    X, labels, weights, order, batch_size, first, last, w, gradient, velocity, learning_rate, momentum,
    l2, tile_rows, losses, progress,
):  # fmt: skip
    """Take the steps first to last - 1 of an epoch: v = momentum v + g, w -= learning_rate v.

    g is the mean gradient over the batch ``order[step * batch_size:(step + 1) * batch_size]`` plus l2 w. w, gradient
    and velocity (d, K), in the type of X, are updated in place; losses[progress[0]] takes the batch's mean loss
    before the update, without the L2 term, and progress[0] counts the steps on. Their writes come together at the
    end, so that a caller who is interrupted finds whole steps.
    """
    n_features, n_classes = w.shape
    coef, v = zeros_padded(n_classes, n_features, w.dtype), zeros_padded(n_classes, n_features, w.dtype)
    for j in range(n_features):
        for k in range(n_classes):
            coef[k, j], v[k, j] = w[j, k], velocity[j, k]
    g = zeros_aligned((n_classes, coef.shape[1]), np.float64)
    tile = zeros_padded(tile_rows, n_features, w.dtype)
    scales, shifts = ones_and_zeros(tile)
    ahead = empty_list(tile_rows)
    scores = zeros_aligned((n_classes, tile_rows), w.dtype)
    intercept = zeros_aligned(n_classes, w.dtype)
    no_probabilities, beginning = zeros_aligned((n_classes, 0), w.dtype), np.int64(0)
    type_of = w.dtype.type
    for step in range(first, last):
        begin, end = step * batch_size, (step + 1) * batch_size
        for k in range(n_classes):
            for j in range(coef.shape[1]):
                g[k, j] = 0
        loss = 0.0
        for start in range(begin, end, tile_rows):
            stop = start + tile_rows if start + tile_rows < end else end
            batch_end = end if stop < end or step + 1 == last else end + batch_size
            list_rows(X, order, stop, tile_rows, batch_end, ahead)
            load_and_multiply(X, order, start, stop, scales, shifts, tile, coef, intercept, scores, ahead)
            loss += turn_scores_to_residuals(
                scores, stop - start, labels, weights, order, start, no_probabilities, beginning
            )
            add_product(tile, stop - start, scores, beginning, g, ahead)
        losses[progress[0] + step - first] = loss / batch_size
        for k in range(n_classes):
            _update(
                coef[k], g[k], v[k], type_of(1) / type_of(batch_size), type_of(l2), type_of(momentum), learning_rate
            )
    for j in range(n_features):
        for k in range(n_classes):
            w[j, k] = coef[k, j]
            gradient[j, k] = g[k, j]
            velocity[j, k] = v[k, j]
    progress[0] += last - first


@kernel(inline=True)
def _update(w, g, v, scale, l2, momentum, learning_rate):
    """g = scale g + l2 w, v = momentum v + g, w -= learning_rate v."""
    type_of = w.dtype.type
    rate = type_of(learning_rate)
    for j in range(w.shape[0]):
        g[j] = type_of(g[j]) * scale + l2 * w[j]
        v[j] = momentum * v[j] + type_of(g[j])
        w[j] -= rate * v[j]


@kernel(reassociate=False)
def evaluate_block(block, n_blocks, X, labels, weights, coef, tile_rows, losses, n_correct):
    """losses[block] = sum of the losses, n_correct[block] = number of rows whose best class is their label.

    Over the rows of the block, with scores X coef', coef (K, d); of equal scores the first class wins, and a
    probability of exactly one half counts as label 1. An empty losses (0,) leaves the loss out.
    """
    n_classes, n_features = coef.shape
    rows = block_rows(block, n_blocks, X.shape[0])
    n_rows = rows.shape[0]
    padded = pad_columns(coef)
    tile = zeros_padded(tile_rows, n_features, coef.dtype)
    scales, shifts = ones_and_zeros(tile)
    ahead = empty_list(tile_rows)
    scores = zeros_aligned((n_classes, tile_rows), coef.dtype)
    intercept = zeros_aligned(n_classes, coef.dtype)
    no_probabilities, beginning = zeros_aligned((n_classes, 0), coef.dtype), np.int64(0)
    loss = 0.0
    correct = np.int64(0)
    for start in range(0, n_rows, tile_rows):
        stop = start + tile_rows if start + tile_rows < n_rows else n_rows
        list_rows(X, rows, stop, tile_rows, n_rows, ahead)
        load_and_multiply(X, rows, start, stop, scales, shifts, tile, padded, intercept, scores, ahead)
        correct += _count_right(scores, stop - start, labels, rows[start])
        if losses.shape[0] > 0:
            loss += turn_scores_to_residuals(
                scores, stop - start, labels, weights, rows, start, no_probabilities, beginning
            )
    if losses.shape[0] > 0:
        losses[block] = loss
    n_correct[block] = correct


@kernel(inner=True)
def _count_right(scores, n_rows, labels, first_row):
    """Return how many rows' labels, from first_row on, have the largest score, the first of equal ones.

    One score: its sign decides. A training that diverged has NaN for scores: never right.
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
