"""From the scores of a tile to losses, probabilities and residuals, or to a Hessian's slopes, for rows of any kind.

Scores stand class by class, so that every loop runs over rows and is vectorized.
"""

import numpy as np

from fastlin.kernels.linear.operands import ProbabilityOutput, Samples
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.exponential import (
    exponential,
    exponentiate_in_place,
    log_from_one,
    log_one_plus,
    log_one_plus_part,
)
from fastlin.kernels.machine.instructions import compile_apart, compile_small
from fastlin.kernels.machine.tiles import number_rows

# Rows of one weight have their losses added up as the logarithm of a product, in HALVINGS halvings: the products stay
# below 2^32, and a logarithm is taken for every 32 rows.
HALVINGS = 5


@kernel(inline=True)
def convert_scores_to_residuals(scores, numbers, samples, kept, first):
    """Overwrite scores (K, tile rows) of the rows ``numbers`` with s_i dl_i/dscores, and return sum s_i l_i, float64.

    For K = 1, l = log(1 + exp(-z)), where z is the score times +1 for label 1 and -1 for label 0. Else l =
    logsumexp(scores) - score of the label. With targets y, l is the sum over the labels of their probability times
    that. Both are shifted so that no score overflows. Labels, weights, targets and the offsets, which are added to the
    scores before, are those of samples. The columns from ``first`` on of what is Kept take the probabilities.
    """
    if scores.shape[0] == 1:
        return gather_logistic(scores[0, : numbers.shape[0]], numbers, samples, kept, first)
    return _softmax_residuals(scores, numbers, samples, kept, first)


@kernel(inline=True)
def weight_of(weights, row):
    """Return the weight of a row; weights without entries stand for ones and take no memory."""
    return weights[row] if weights.shape[0] > 0 else 1.0


@kernel(inner=True)
def gather_logistic(scores, numbers, samples, kept, first):
    """Do `convert_logistic_scores` for the rows ``numbers`` of samples, with their offsets."""
    compile_small()
    n_rows, kind = scores.shape[0], scores.dtype.type
    buffer, wide_buffer = open_logistic_buffer(n_rows, scores)
    targets, has_targets = buffer[0], samples.targets.shape[0] > 0
    weights = zeros_aligned(n_rows if samples.weights.shape[0] > 0 else 0, samples.weights.dtype)
    for i in range(n_rows):
        targets[i] = kind(samples.targets[numbers[i], 0]) if has_targets else kind(samples.labels[numbers[i]])
    for i in range(weights.shape[0]):
        weights[i] = samples.weights[numbers[i]]
    for i in range(n_rows if samples.offsets.shape[0] > 0 else 0):
        scores[i] += kind(samples.offsets[numbers[i], 0])
    return convert_logistic_scores(scores, weights, kept, first, buffer, wide_buffer)


@kernel(inner=True)
def convert_logistic_rows(scores, samples, kept, start, buffers):
    """Do `convert_logistic_scores` from row ``start`` on of samples of all rows, in rooms of `open_logistic_buffer`."""
    n_rows, weights, targets = scores.shape[0], samples.weights, buffers[0][0]
    if (samples.offsets.shape[0] == 0) & (samples.targets.shape[0] == 0):
        own_weights = weights[start : start + n_rows] if weights.shape[0] > 0 else weights
        labels = samples.labels[start : start + n_rows]
        for i in range(n_rows):
            targets[i] = labels[i]
        return convert_logistic_scores(scores, own_weights, kept, start, *buffers)
    return gather_logistic(scores, number_rows(start, start + n_rows), samples, kept, start)


@kernel(inner=True)
def convert_scores_of_batch(scores, n_rows, batch, n_classes, block, start, buffers):
    """Overwrite scores (B K, tile rows) of the rows from ``start`` on with the residuals of a Batch.

    Their sums are added to those of the block. n_classes is that of the Batch: by its type Numba compiles only one of the
    losses. rooms are those of `open_logistic_buffer`.
    """
    compile_apart()
    if n_classes is None:
        convert_logistic_scores_of_batch(scores, n_rows, batch, np.int64(0), block, start, buffers)
    else:
        _convert_softmax_scores_of_batch(scores, n_rows, batch, n_classes, block, start)


@kernel(inner=True)
def convert_logistic_scores_of_batch(scores, n_rows, batch, first, block, start, buffers):
    """Do `convert_scores_of_batch` for problems of two classes from ``first`` on, whose scores are (B, tile rows)."""
    compile_apart()
    kept = ProbabilityOutput(np.empty((0, 0), np.float32), np.empty((0, 0), np.float64))
    buffer, stop = buffers[0], start + n_rows
    targets, row_weights, probabilities = buffer[0, :n_rows], buffer[1, :n_rows], buffer[2, :n_rows]
    one, ones = scores.dtype.type(1), np.empty(0, batch.weights.dtype)
    for k in range(scores.shape[0]):
        labels = batch.labels[first + k, start:stop]
        for i in range(n_rows):
            targets[i] = labels[i]
        for i in range(n_rows if batch.offsets.shape[0] > 0 else 0):
            scores[k, i] += scores.dtype.type(batch.offsets[start + i, 0])
        weights = batch.weights[first + k, start:stop] if batch.weights.shape[0] > 0 else ones
        batch.values[0, block, first + k] += convert_logistic_scores(
            scores[k, :n_rows], weights, kept, start, buffer, buffers[1]
        )
        for i in range(n_rows):
            probabilities[i] *= row_weights[i] * (one - probabilities[i])
        batch.values[1, block, first + k] += add_up(probabilities)


@kernel(inner=True)
def _convert_softmax_scores_of_batch(scores, n_rows, batch, n_classes, block, start):
    """Do `convert_scores_of_batch` for problems of three or more classes."""
    compile_apart()
    numbers, probabilities = number_rows(start, start + n_rows), zeros_aligned((n_classes, n_rows), np.float64)
    kept = ProbabilityOutput(np.empty((0, 0), np.float32), probabilities)
    for b in range(batch.labels.shape[0]):
        own = scores[b * n_classes : (b + 1) * n_classes]
        weights = batch.weights[b] if batch.weights.shape[0] > 0 else np.empty(0, batch.weights.dtype)
        samples = Samples(numbers, batch.labels[b], weights, batch.offsets, np.empty((0, 0), np.float64))
        batch.values[0, block, b] += _softmax_residuals(own, numbers, samples, kept, np.int64(0))
        pair = 1
        for k in range(n_classes):
            p = probabilities[k]
            for i in range(n_rows if weights.shape[0] > 0 else 0):
                p[i] *= weights[start + i]
            for m in range(k + 1, n_classes):
                q, total = probabilities[m], 0.0
                for i in range(n_rows):
                    total += p[i] * q[i]
                batch.values[pair, block, b] += total
                pair += 1


@kernel(inline=True)
def open_logistic_buffer(n_rows, scores):
    """Return the arrays that `convert_logistic_scores` takes for n_rows rows: (3, n) in the type of scores, float64."""
    return zeros_aligned((3, n_rows), scores.dtype), zeros_aligned((2, n_rows), np.float64)


@kernel(reassociate=False, inner=True)
def convert_logistic_scores(scores, weights, kept, first, buffer, wide_buffer):
    """Overwrite scores (n,) as `convert_scores_to_residuals` does for K = 1, and return the sum of the losses, float64.

    room[0] holds the labels or targets of the rows, with weights (n,) or none; all else there is overwritten.
    """
    compile_apart()
    n_rows = scores.shape[0]
    targets, row_weights, probabilities = buffer[0, :n_rows], buffer[1, :n_rows], buffer[2, :n_rows]
    exponentials, linear = wide_buffer[0, :n_rows], wide_buffer[1, :n_rows]
    for i in range(n_rows):
        row_weights[i] = weight_of(weights, i)
    # One loop: a loop of its own for each step, through memory, took as long again.
    for i in range(n_rows):
        e = exponential(-abs(scores[i]), scores)
        exponentials[i] = np.float64(e)
        probabilities[i], suboptimality, slope = divide_logistic(scores[i], targets[i], e, scores)
        linear[i] = np.float64(row_weights[i]) * np.float64(suboptimality)
        scores[i] = slope * row_weights[i]
    _keep_logistic(kept.single, first, probabilities)
    _keep_logistic(kept.double, first, probabilities)
    if weights.shape[0] == 0:
        return add_up(linear) + add_up(exponentials[: take_logarithms(exponentials, weights)])
    # None is above 1, which spares the powers of 2: a row takes 5.4 ns, not 6.9.
    for i in range(n_rows):
        linear[i] += np.float64(row_weights[i]) * log_one_plus_part(exponentials[i])
    return add_up(linear)


@kernel(inline=True)
def divide_logistic(score, target, e, scores):
    """Return the probability of class 1, and the loss without its logarithm and slope of a row, with e = exp(-|score|).

    The target is the probability that the label is 1. The results have the type of scores, an array.
    """
    one, zero = scores.dtype.type(1), scores.dtype.type(0)
    larger = one / (one + e)
    smaller = e * larger
    # Where the score is above zero, both classes change places, so that the loss is a sum of what is not negative.
    rest = one - target if score > zero else target
    slope = rest - smaller if score > zero else smaller - rest
    # An infinite score costs a class that it predicts nothing.
    return smaller if score < zero else larger, rest * abs(score) if rest > zero else zero, slope


@kernel(inner=True)
def add_up(values):
    """Return the sum of values (n,), in float64."""
    compile_apart()
    total = 0.0
    for i in range(values.shape[0]):
        total += np.float64(values[i])
    return total


@kernel(reassociate=False, inner=True)
def take_logarithms(exponentials, weights):
    """Overwrite exponentials e_i (n,), float64, with numbers whose sum is that of s_i log(1 + e_i); return how many.

    The logarithms of two rows are that of (1 + e)(1 + f) = 1 + (e + f + e f), a sum of which no term cancels.
    """
    compile_apart()
    n = exponentials.shape[0]
    if weights.shape[0] > 0:
        s = weights[:n]
        for i in range(n):
            exponentials[i] = np.float64(s[i]) * log_one_plus(exponentials[i])
        return n
    for _ in range(HALVINGS):
        half = (n + 1) // 2
        e, f = exponentials[: n - half], exponentials[half:n]
        for i in range(f.shape[0]):
            e[i] += f[i] + e[i] * f[i]
        n = half
    for i in range(n):
        exponentials[i] = log_one_plus(exponentials[i])
    return n


@kernel(inline=True)
def _keep_logistic(buffer, first, probabilities):
    """Fill room[0, first + i] with probabilities[i], if it has entries."""
    if buffer.shape[1] > 0:
        p = buffer[0, first : first + probabilities.shape[0]]
        for i in range(p.shape[0]):
            p[i] = probabilities[i]


@kernel(inline=True)
def _keep_softmax(buffer, k, first, exponentials, totals):
    """Fill room[k, first + i] with the part of exponentials[i] in totals[i], if it has entries."""
    if buffer.shape[1] > 0:
        p = buffer[k, first : first + exponentials.shape[0]]
        for i in range(exponentials.shape[0]):
            p[i] = exponentials[i] / exponentials.dtype.type(totals[i])


@kernel(inline=True)
def find_largest(scores, n_rows, largest):
    """Fill largest (n_rows,) with the largest of the scores (K, n_rows or more) of each row."""
    for i in range(n_rows):
        largest[i] = scores[0, i]
    for k in range(1, scores.shape[0]):
        s = scores[k, :n_rows]
        for i in range(n_rows):
            # NaN, of a training that diverged, must not get lost in comparisons: it then reaches loss and residuals.
            largest[i] = s[i] if (s[i] > largest[i]) | (s[i] != s[i]) else largest[i]


@kernel(inline=True)
def exponentiate_below(scores, n_rows, largest, totals):
    """Overwrite scores (K, n_rows or more) with exp(score - largest), and add them to totals (n_rows,), float64."""
    for k in range(scores.shape[0]):
        s = scores[k, :n_rows]
        for i in range(n_rows):
            s[i] -= largest[i]
        exponentiate_in_place(s)
        for i in range(n_rows):
            totals[i] += np.float64(s[i])


@kernel(reassociate=False, inner=True)
def _softmax_residuals(scores, numbers, samples, kept, first):
    compile_apart()
    labels, weights, offsets, targets = samples.labels, samples.weights, samples.offsets, samples.targets
    n_classes, n_rows = scores.shape[0], numbers.shape[0]
    kind = scores.dtype.type
    for i in range(n_rows if offsets.shape[0] > 0 else 0):
        for k in range(n_classes):
            scores[k, i] += kind(offsets[numbers[i], k])
    largest, row_weights = zeros_aligned(n_rows, scores.dtype), zeros_aligned(n_rows, scores.dtype)
    totals, losses = zeros_aligned(n_rows, np.float64), zeros_aligned(n_rows, np.float64)
    find_largest(scores, n_rows, largest)
    for i in range(n_rows):
        row = numbers[i]
        row_weights[i] = weight_of(weights, row)
        if targets.shape[0] == 0:
            losses[i] = np.float64(weight_of(weights, row)) * np.float64(largest[i] - scores[labels[row], i])
    for i in range(n_rows if targets.shape[0] > 0 else 0):
        missed = 0.0
        for k in range(n_classes):
            missed += targets[numbers[i], k] * np.float64(largest[i] - scores[k, i])
        losses[i] = np.float64(weight_of(weights, numbers[i])) * missed
    exponentiate_below(scores, n_rows, largest, totals)
    for i in range(n_rows):
        losses[i] += np.float64(row_weights[i]) * log_from_one(totals[i])
        row_weights[i] /= kind(totals[i])
    for k in range(n_classes):
        s = scores[k, :n_rows]
        _keep_softmax(kept.single, k, first, s, totals)
        _keep_softmax(kept.double, k, first, s, totals)
        for i in range(n_rows):
            s[i] *= row_weights[i]
    for i in range(n_rows if targets.shape[0] == 0 else 0):
        row = numbers[i]
        scores[labels[row], i] -= weight_of(weights, row)
    for i in range(n_rows if targets.shape[0] > 0 else 0):
        row = numbers[i]
        for k in range(n_classes):
            scores[k, i] -= kind(np.float64(weight_of(weights, row)) * targets[row, k])
    return add_up(losses)


@kernel(inner=True)
def convert_products_to_slopes(slopes, n_rows, curvature, start):
    """Overwrite slopes t (K, tile rows) with s_i p_k (t_k - sum_l p_l t_l), for K = 1 with s_i p (1 - p) t.

    The first n_rows of each take the entries of a Curvature from ``start`` on. With p the softmax probabilities the
    Hessian of the loss of a row by its scores is diag(p) - p p', for K = 1 it is p (1 - p).
    """
    compile_apart()
    n_classes, probabilities = slopes.shape[0], curvature.probabilities
    row_weights = curvature.row_weights[start : start + n_rows]
    one = slopes.dtype.type(1)
    if n_classes == 1:
        t, p = slopes[0], probabilities[0, start : start + n_rows]
        for i in range(n_rows):
            t[i] *= row_weights[i] * p[i] * (one - p[i])
        return
    means = zeros_aligned(n_rows, slopes.dtype)
    for k in range(n_classes):
        t, p = slopes[k], probabilities[k, start : start + n_rows]
        for i in range(n_rows):
            means[i] += p[i] * t[i]
    for k in range(n_classes):
        t, p = slopes[k], probabilities[k, start : start + n_rows]
        for i in range(n_rows):
            t[i] = row_weights[i] * p[i] * (t[i] - means[i])
