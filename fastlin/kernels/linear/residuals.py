"""From the scores of a tile to its losses, probabilities and residuals.

Scores stand class by class, so that every loop runs over rows and is vectorised. Dense rows, sparse rows and
mini-batches all come here.
"""

import numpy as np

from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.exponential import exponentiate_in_place, log_from_one, log_one_plus
from fastlin.kernels.machine.instructions import compile_apart


@kernel(inline=True)
def turn_scores_to_residuals(scores, numbers, samples, kept, first):
    """Overwrite scores (K, tile rows) of the rows ``numbers`` with s_i dl_i/dscores, and return sum s_i l_i, float64.

    For K = 1, l = log(1 + exp(-z)), where z is the score times +1 for label 1 and -1 for label 0. Else l =
    logsumexp(scores) - score of the label. Both are shifted so that no score overflows. Labels and weights are those
    of samples. The columns from ``first`` on of what is Kept take dl/dscore + 1(label) of the rows.
    """
    if scores.shape[0] == 1:
        return _logistic_residuals(scores[0, : numbers.shape[0]], numbers, samples, kept, first)
    return _softmax_residuals(scores, numbers, samples, kept, first)


@kernel(inline=True)
def weight_of(weights, row):
    """Return the weight of a row; weights without entries stand for ones and take no memory."""
    return weights[row] if weights.shape[0] > 0 else 1.0


@kernel(inner=True)
def _logistic_residuals(scores, numbers, samples, kept, first):
    compile_apart()
    labels, weights = samples.labels, samples.weights
    n_rows = scores.shape[0]
    signs, row_weights = zeros_aligned(n_rows, scores.dtype), zeros_aligned(n_rows, scores.dtype)
    exponentials = zeros_aligned(n_rows, scores.dtype)
    one, zero = scores.dtype.type(1), scores.dtype.type(0)
    for i in range(n_rows):
        row = numbers[i]
        signs[i] = 2 * labels[row] - 1
        row_weights[i] = weight_of(weights, row)
        exponentials[i] = -abs(scores[i])
    exponentiate_in_place(exponentials)
    _keep_logistic(kept.single, first, scores, exponentials)
    _keep_logistic(kept.double, first, scores, exponentials)
    loss = 0.0
    for i in range(n_rows):
        margin = signs[i] * scores[i]
        e = exponentials[i]
        # This is sigmoid(-margin) by the smaller exponential: nothing cancels where the label is well predicted.
        probability = (e if margin > zero else one) / (one + e)
        loss += np.float64(row_weights[i]) * (
            log_one_plus(np.float64(e)) - np.float64(zero if margin > zero else margin)
        )
        scores[i] = -signs[i] * probability * row_weights[i]
    return loss


@kernel(inline=True)
def _keep_logistic(room, first, scores, exponentials):
    """Fill room[0, first + i] with the sigmoid of scores[i] from the exponentials of -|scores|, if it has entries."""
    if room.shape[1] > 0:
        one, zero = scores.dtype.type(1), scores.dtype.type(0)
        p = room[0, first : first + scores.shape[0]]
        for i in range(scores.shape[0]):
            p[i] = (exponentials[i] if scores[i] < zero else one) / (one + exponentials[i])


@kernel(inline=True)
def _keep_softmax(room, k, first, exponentials, totals):
    """Fill room[k, first + i] with the part of exponentials[i] in totals[i], if it has entries."""
    if room.shape[1] > 0:
        p = room[k, first : first + exponentials.shape[0]]
        for i in range(exponentials.shape[0]):
            p[i] = exponentials[i] / exponentials.dtype.type(totals[i])


@kernel(inner=True)
def _softmax_residuals(scores, numbers, samples, kept, first):
    compile_apart()
    labels, weights = samples.labels, samples.weights
    n_classes, n_rows = scores.shape[0], numbers.shape[0]
    largest, row_weights = zeros_aligned(n_rows, scores.dtype), zeros_aligned(n_rows, scores.dtype)
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
        row = numbers[i]
        row_weights[i] = weight_of(weights, row)
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
        loss += np.float64(row_weights[i]) * log_from_one(totals[i])
        row_weights[i] /= kind(totals[i])
    for k in range(n_classes):
        s = scores[k, :n_rows]
        _keep_softmax(kept.single, k, first, s, totals)
        _keep_softmax(kept.double, k, first, s, totals)
        for i in range(n_rows):
            s[i] *= row_weights[i]
    for i in range(n_rows):
        row = numbers[i]
        scores[labels[row], i] -= weight_of(weights, row)
    return loss
