"""Kernels of mini-batch gradient descent: a run of whole update steps, and the evaluation of the result.

Labels, coef layout and losses are those of dense.py; rows are read in place through an index, so that a shuffled
epoch copies nothing.
"""

import numpy as np

from fastlin.kernels.arrays import empty_aligned
from fastlin.kernels.compilation import kernel
from fastlin.kernels.dense import add_gradient, block_rows, fill_scores, turn_scores_to_residuals


@kernel
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
    coef = empty_aligned(n_classes, n_features, w)
    v = empty_aligned(n_classes, n_features, w)
    g = empty_aligned(n_classes, n_features, w)
    coef[:] = w.T
    v[:] = velocity.T
    scores = empty_aligned(tile_rows, n_classes, w)
    intercept = np.zeros(n_classes, w.dtype)
    type_of = w.dtype.type
    for step in range(first, last):
        begin, end = step * batch_size, (step + 1) * batch_size
        g[:] = 0
        loss = 0.0
        for start in range(begin, end, tile_rows):
            stop = min(start + tile_rows, end)
            fill_scores(X, order, start, stop, tile_rows, n_features // 2, coef, intercept, scores)
            loss += turn_scores_to_residuals(scores[: stop - start], labels, weights, order, start)
            add_gradient(X, order, start, stop, tile_rows, n_features // 2, scores, g)
        losses[progress[0] + step - first] = loss / batch_size
        for k in range(n_classes):
            _update(
                coef[k], g[k], v[k], type_of(1) / type_of(batch_size), type_of(l2), type_of(momentum), learning_rate
            )
    w[:] = coef.T
    gradient[:] = g.T
    velocity[:] = v.T
    progress[0] += last - first


@kernel(inline=True)
def _update(w, g, v, scale, l2, momentum, learning_rate):
    """g = scale g + l2 w, v = momentum v + g, w -= learning_rate v."""
    rate = w.dtype.type(learning_rate)
    for j in range(w.shape[0]):
        g[j] = g[j] * scale + l2 * w[j]
        v[j] = momentum * v[j] + g[j]
        w[j] -= rate * v[j]


@kernel
def evaluate_block(block, n_blocks, X, labels, weights, coef, tile_rows, losses, n_correct):
    """losses[block] = sum of the losses, n_correct[block] = number of rows whose best class is their label.

    Over the rows of the block, with scores X coef', coef (K, d); of equal scores the first class wins, and a
    probability of exactly one half counts as label 1. An empty losses (0,) leaves the loss out.
    """
    n_classes, n_features = coef.shape
    rows = block_rows(block, n_blocks, X.shape[0])
    n_rows = rows.shape[0]
    scores = empty_aligned(tile_rows, n_classes, coef)
    intercept = np.zeros(n_classes, coef.dtype)
    loss = 0.0
    correct = np.int64(0)
    for start in range(0, n_rows, tile_rows):
        stop = min(start + tile_rows, n_rows)
        fill_scores(X, rows, start, stop, tile_rows, n_features, coef, intercept, scores)
        for i in range(stop - start):
            correct += _is_best(scores[i], labels[rows[start + i]])
        if losses.shape[0] > 0:
            loss += turn_scores_to_residuals(scores[: stop - start], labels, weights, rows, start)
    if losses.shape[0] > 0:
        losses[block] = loss
    n_correct[block] = correct


@kernel(inline=True)
def _is_best(scores, label):
    """Say (1 or 0) whether the label's score is the largest, the first of equal ones; one score: its sign decides."""
    if scores.shape[0] == 1:
        return np.int64((scores[0] >= 0) == (label == 1))
    own = scores[label]
    n_better = np.int64(0)
    # Without branches, which the processor would guess wrong for every other row.
    for k in range(scores.shape[0]):
        n_better += np.int64((scores[k] > own) | ((scores[k] == own) & (k < label)))
    # A training that diverged has NaN for scores: never right.
    return np.int64((n_better == 0) & (own == own))
