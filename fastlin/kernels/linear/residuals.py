"""From the scores of a tile to its losses, probabilities and residuals, class-major: every loop runs over rows."""

import numpy as np

from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.exponential import exponentiate_in_place, log_from_one, log_one_plus
from fastlin.kernels.machine.simd import compile_apart


@kernel(inline=True)
def turn_scores_to_residuals(scores, n_rows, labels, weights, rows, start, probabilities, first):
    """Overwrite scores (K, tile rows) of the rows ``rows[start:start + n_rows]`` with s_i dl_i/dscores.

    Returns sum s_i l_i, float64. K = 1: l = log(1 + exp(-z)), z the score times +1 for label 1 and -1 for label 0.
    Else l = logsumexp(scores) - score of the label. Both are shifted so that no score overflows. weights
    without entries stand for ones. The columns of probabilities from ``first`` on take dl/dscore + 1(label) of the
    rows; (K, 0) leaves them out.
    """
    if scores.shape[0] == 1:
        return _logistic_residuals(scores[0, :n_rows], labels, weights, rows, start, probabilities, first)
    return _softmax_residuals(scores, n_rows, labels, weights, rows, start, probabilities, first)


@kernel(inline=True)
def weight_of(weights, row):
    """Return the weight of a row; weights without entries, which take no memory, stand for ones."""
    return weights[row] if weights.shape[0] > 0 else 1.0


@kernel(inner=True)
def _logistic_residuals(scores, labels, weights, rows, start, probabilities, first):
    compile_apart()
    n_rows = scores.shape[0]
    signs, row_weights = zeros_aligned(n_rows, scores.dtype), zeros_aligned(n_rows, scores.dtype)
    exponentials = zeros_aligned(n_rows, scores.dtype)
    one, zero = scores.dtype.type(1), scores.dtype.type(0)
    for i in range(n_rows):
        row = rows[start + i]
        signs[i] = 2 * labels[row] - 1
        row_weights[i] = weight_of(weights, row)
        exponentials[i] = -abs(scores[i])
    exponentiate_in_place(exponentials)
    if probabilities.shape[1] > 0:
        taken = probabilities[0, first : first + n_rows]
        for i in range(n_rows):
            taken[i] = (exponentials[i] if scores[i] < zero else one) / (one + exponentials[i])
    loss = 0.0
    for i in range(n_rows):
        margin = signs[i] * scores[i]
        e = exponentials[i]
        # sigmoid(-margin), of the smaller exponential: no cancellation where the label is well predicted.
        probability = (e if margin > zero else one) / (one + e)
        loss += np.float64(row_weights[i]) * (
            log_one_plus(np.float64(e)) - np.float64(zero if margin > zero else margin)
        )
        scores[i] = -signs[i] * probability * row_weights[i]
    return loss


@kernel(inner=True)
def _softmax_residuals(scores, n_rows, labels, weights, rows, start, probabilities, first):
    compile_apart()
    n_classes = scores.shape[0]
    largest, scales = zeros_aligned(n_rows, scores.dtype), zeros_aligned(n_rows, scores.dtype)
    totals = zeros_aligned(n_rows, np.float64)
    for i in range(n_rows):
        largest[i] = scores[0, i]
    for k in range(1, n_classes):
        s = scores[k, :n_rows]
        for i in range(n_rows):
            # NaN, of a training that diverged, must not get lost in comparisons: it then reaches loss and residuals.
            largest[i] = s[i] if (s[i] > largest[i]) | (s[i] != s[i]) else largest[i]
    loss = 0.0
    for i in range(n_rows):
        row = rows[start + i]
        scales[i] = weight_of(weights, row)
        loss -= np.float64(weight_of(weights, row)) * np.float64(scores[labels[row], i] - largest[i])
    for k in range(n_classes):
        s = scores[k, :n_rows]
        for i in range(n_rows):
            s[i] -= largest[i]
        exponentiate_in_place(s)
        for i in range(n_rows):
            totals[i] += np.float64(s[i])
    kind = scores.dtype.type
    for i in range(n_rows):
        loss += np.float64(scales[i]) * log_from_one(totals[i])
        scales[i] /= kind(totals[i])
    for k in range(n_classes):
        s = scores[k, :n_rows]
        if probabilities.shape[1] > 0:
            taken = probabilities[k, first : first + n_rows]
            for i in range(n_rows):
                taken[i] = s[i] / kind(totals[i])
        for i in range(n_rows):
            s[i] *= scales[i]
    for i in range(n_rows):
        row = rows[start + i]
        scores[labels[row], i] -= weight_of(weights, row)
    return loss
