"""Conversion of the scores of a tile of rows to losses, probabilities and residuals, or to slopes of the Hessian.

Passes over dense, sparse and table rows use these kernels. Scores have one row per class, so that every loop runs over
data rows and is vectorized.
"""

import numpy as np

from fastlin.kernels.linear.operands import ProbabilityOutput, Samples
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.exponential import (
    exponential,
    exponentiate_in_place,
    log1p,
    log1p_below_one,
    log_above_one,
)
from fastlin.kernels.machine.intrinsics import optimize_for_size, prevent_inlining
from fastlin.kernels.machine.tiles import make_row_range

# The losses of unweighted rows are summed as logarithms of products of 2^N_PRODUCT_HALVINGS factors. These products are
# at most 2^32. Only one logarithm is computed per 32 rows.
N_PRODUCT_HALVINGS = 5


@kernel(inline=True)
def convert_scores_to_residuals(scores, row_indices, samples, output, first):
    """Overwrite `scores` with the residuals s_i dl_i/dscores, and return sum s_i l_i, float64.

    `scores` (K, tile rows) are those of the rows ``row_indices``. For K = 1, l = log(1 + exp(-z)), where z is the score
    for label 1 and minus the score for label 0. Otherwise l = logsumexp(scores) - score of the label. With targets, l
    is the mean of these losses over the labels, weighted by the targets. Losses are computed without overflow.
    `samples` contains the labels, weights, targets and offsets. The offsets are added to the scores first. The
    probabilities are written to `output`, a ProbabilityOutput, starting at column `first`.
    """
    if scores.shape[0] == 1:
        return gather_and_convert_logistic_scores(
            scores[0, : row_indices.shape[0]], row_indices, samples, output, first
        )
    return _convert_softmax_scores(scores, row_indices, samples, output, first)


@kernel(inline=True)
def get_weight(weights, row):
    """Return the weight of a row; empty weights mean all ones and use no memory."""
    return weights[row] if weights.shape[0] > 0 else 1.0


@kernel(inner=True)
def gather_and_convert_logistic_scores(scores, row_indices, samples, output, first):
    """Apply `convert_logistic_scores` to the rows ``row_indices`` of `samples`, after adding their offsets."""
    optimize_for_size()
    n_rows, kind = scores.shape[0], scores.dtype.type
    buffer, float64_buffer = allocate_logistic_buffers(n_rows, scores)
    targets, has_targets = buffer[0], samples.targets.shape[0] > 0
    weights = zeros_aligned(n_rows if samples.weights.shape[0] > 0 else 0, samples.weights.dtype)
    for i in range(n_rows):
        targets[i] = kind(samples.targets[row_indices[i], 0]) if has_targets else kind(samples.labels[row_indices[i]])
    for i in range(weights.shape[0]):
        weights[i] = samples.weights[row_indices[i]]
    for i in range(n_rows if samples.offsets.shape[0] > 0 else 0):
        scores[i] += kind(samples.offsets[row_indices[i], 0])
    return convert_logistic_scores(scores, weights, output, first, buffer, float64_buffer)


@kernel(inner=True)
def convert_consecutive_logistic_scores(scores, samples, output, start, buffers):
    """Apply `convert_logistic_scores` to consecutive rows that begin at row ``start``.

    `buffers` come from `allocate_logistic_buffers`.
    """
    n_rows, weights, targets = scores.shape[0], samples.weights, buffers[0][0]
    if (samples.offsets.shape[0] == 0) & (samples.targets.shape[0] == 0):
        row_weights = weights[start : start + n_rows] if weights.shape[0] > 0 else weights
        labels = samples.labels[start : start + n_rows]
        for i in range(n_rows):
            targets[i] = labels[i]
        return convert_logistic_scores(scores, row_weights, output, start, *buffers)
    return gather_and_convert_logistic_scores(scores, make_row_range(start, start + n_rows), samples, output, start)


@kernel(inner=True)
def convert_scores_of_batch(scores, n_rows, batch, n_classes, block, start, buffers):
    """Overwrite `scores` (B K, tile rows) with the residuals of a ProblemBatchArrays.

    The rows are consecutive, and the first of them is ``start``. The sums of the losses and of the class pairs are
    added to the block's slice of batch.values. `n_classes` is batch.n_classes; its type determines which loss Numba
    compiles. `buffers` come from `allocate_logistic_buffers`.
    """
    prevent_inlining()
    if n_classes is None:
        convert_logistic_scores_of_batch(scores, n_rows, batch, np.int64(0), block, start, buffers)
    else:
        _convert_softmax_scores_of_batch(scores, n_rows, batch, n_classes, block, start)


@kernel(inner=True)
def convert_logistic_scores_of_batch(scores, n_rows, batch, first, block, start, buffers):
    """Apply `convert_scores_of_batch` to the scores (B, tile rows) of the B two-class problems from ``first``."""
    prevent_inlining()
    output = ProbabilityOutput(np.empty((0, 0), np.float32), np.empty((0, 0), np.float64))
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
            scores[k, :n_rows], weights, output, start, buffer, buffers[1]
        )
        for i in range(n_rows):
            probabilities[i] *= row_weights[i] * (one - probabilities[i])
        batch.values[1, block, first + k] += sum_values(probabilities)


@kernel(inner=True)
def _convert_softmax_scores_of_batch(scores, n_rows, batch, n_classes, block, start):
    """Apply `convert_scores_of_batch` to problems with three or more classes."""
    prevent_inlining()
    row_indices, probabilities = make_row_range(start, start + n_rows), zeros_aligned((n_classes, n_rows), np.float64)
    output = ProbabilityOutput(np.empty((0, 0), np.float32), probabilities)
    for b in range(batch.labels.shape[0]):
        problem_scores = scores[b * n_classes : (b + 1) * n_classes]
        weights = batch.weights[b] if batch.weights.shape[0] > 0 else np.empty(0, batch.weights.dtype)
        samples = Samples(row_indices, batch.labels[b], weights, batch.offsets, np.empty((0, 0), np.float64))
        batch.values[0, block, b] += _convert_softmax_scores(problem_scores, row_indices, samples, output, np.int64(0))
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
def allocate_logistic_buffers(n_rows, scores):
    """Return the two buffers for logistic losses: (3, n_rows) in the type of `scores`, and (2, n_rows), float64."""
    return zeros_aligned((3, n_rows), scores.dtype), zeros_aligned((2, n_rows), np.float64)


@kernel(reassociate=False, inner=True)
def convert_logistic_scores(scores, weights, output, first, buffer, float64_buffer):
    """Overwrite `scores` (n,) like `convert_scores_to_residuals` for K = 1, and return the sum of the losses, float64.

    On entry, buffer[0] contains the labels or targets of the rows. The kernel overwrites both buffers. Empty weights
    (n,) mean all ones.
    """
    prevent_inlining()
    n_rows = scores.shape[0]
    targets, row_weights, probabilities = buffer[0, :n_rows], buffer[1, :n_rows], buffer[2, :n_rows]
    exponentials, linear_losses = float64_buffer[0, :n_rows], float64_buffer[1, :n_rows]
    for i in range(n_rows):
        row_weights[i] = get_weight(weights, i)
    # This is a single loop, because separate loops would store the intermediate results in memory
    # (docs/benchmarks/design-choices.md: one loop of the logistic loss).
    for i in range(n_rows):
        e = exponential(-abs(scores[i]), scores)
        exponentials[i] = np.float64(e)
        probabilities[i], linear_loss_term, slope = compute_logistic_terms(scores[i], targets[i], e, scores)
        linear_losses[i] = np.float64(row_weights[i]) * np.float64(linear_loss_term)
        scores[i] = slope * row_weights[i]
    _store_logistic_probabilities(output.float32_values, first, probabilities)
    _store_logistic_probabilities(output.float64_values, first, probabilities)
    if weights.shape[0] == 0:
        return sum_values(linear_losses) + sum_values(exponentials[: reduce_log_losses(exponentials, weights)])
    # The exponentials are at most 1, so the logarithm needs no powers of 2
    # (docs/benchmarks/design-choices.md: logarithms of weighted rows).
    for i in range(n_rows):
        linear_losses[i] += np.float64(row_weights[i]) * log1p_below_one(exponentials[i])
    return sum_values(linear_losses)


@kernel(inline=True)
def compute_logistic_terms(score, target, e, scores):
    """Return the probability of class 1, the loss without the term log(1 + e), and the slope, where e = exp(-|score|).

    The target is the probability that the label is 1. The results have the type of the array `scores`.
    """
    one, zero = scores.dtype.type(1), scores.dtype.type(0)
    larger_probability = one / (one + e)
    smaller_probability = e * larger_probability
    # If the score is positive, the classes are swapped, so that all terms of the loss are nonnegative.
    unpredicted_class_target = one - target if score > zero else target
    slope = (
        unpredicted_class_target - smaller_probability
        if score > zero
        else smaller_probability - unpredicted_class_target
    )
    # The loss of an infinite score is zero for the class that it predicts; 0 times infinity would be NaN.
    return (
        smaller_probability if score < zero else larger_probability,
        unpredicted_class_target * abs(score) if unpredicted_class_target > zero else zero,
        slope,
    )


@kernel(inner=True)
def sum_values(values):
    """Return the sum of `values` (n,), computed in float64."""
    prevent_inlining()
    total = 0.0
    for i in range(values.shape[0]):
        total += np.float64(values[i])
    return total


@kernel(reassociate=False, inner=True)
def reduce_log_losses(exponentials, weights):
    """Overwrite `exponentials` with values whose sum is sum s_i log(1 + e_i), and return the number of these values.

    On entry, `exponentials` contains e_i (n,), float64. Without weights, two rows are combined as (1 + e)(1 + f) = 1 +
    (e + f + e f), without cancellation.
    """
    prevent_inlining()
    n = exponentials.shape[0]
    if weights.shape[0] > 0:
        s = weights[:n]
        for i in range(n):
            exponentials[i] = np.float64(s[i]) * log1p(exponentials[i])
        return n
    for _ in range(N_PRODUCT_HALVINGS):
        half = (n + 1) // 2
        e, f = exponentials[: n - half], exponentials[half:n]
        for i in range(f.shape[0]):
            e[i] += f[i] + e[i] * f[i]
        n = half
    for i in range(n):
        exponentials[i] = log1p(exponentials[i])
    return n


@kernel(inline=True)
def _store_logistic_probabilities(buffer, first, probabilities):
    """Fill buffer[0, first + i] with probabilities[i], unless the buffer is empty."""
    if buffer.shape[1] > 0:
        p = buffer[0, first : first + probabilities.shape[0]]
        for i in range(p.shape[0]):
            p[i] = probabilities[i]


@kernel(inline=True)
def _store_softmax_probabilities(buffer, k, first, exponentials, totals):
    """Fill buffer[k, first + i] with exponentials[i] / totals[i], unless the buffer is empty."""
    if buffer.shape[1] > 0:
        p = buffer[k, first : first + exponentials.shape[0]]
        for i in range(exponentials.shape[0]):
            p[i] = exponentials[i] / exponentials.dtype.type(totals[i])


@kernel(inline=True)
def find_row_maxima(scores, n_rows, largest):
    """Fill `largest` (n_rows,) with the maximum over the classes of `scores`, whose shape is (K, n_rows or more)."""
    for i in range(n_rows):
        largest[i] = scores[0, i]
    for k in range(1, scores.shape[0]):
        s = scores[k, :n_rows]
        for i in range(n_rows):
            # NaN from a training run that diverged must propagate to the loss and the residuals.
            largest[i] = s[i] if (s[i] > largest[i]) | (s[i] != s[i]) else largest[i]


@kernel(inline=True)
def exponentiate_shifted_scores(scores, n_rows, largest, totals):
    """Overwrite `scores` with exp(score - largest), and add their sums over the classes to `totals`.

    `scores` has shape (K, n_rows or more). `largest` and `totals` have shape (n_rows,), and `totals` is float64.
    """
    for k in range(scores.shape[0]):
        s = scores[k, :n_rows]
        for i in range(n_rows):
            s[i] -= largest[i]
        exponentiate_in_place(s)
        for i in range(n_rows):
            totals[i] += np.float64(s[i])


@kernel(reassociate=False, inner=True)
def _convert_softmax_scores(scores, row_indices, samples, output, first):
    prevent_inlining()
    labels, weights, offsets, targets = samples.labels, samples.weights, samples.offsets, samples.targets
    n_classes, n_rows = scores.shape[0], row_indices.shape[0]
    kind = scores.dtype.type
    for i in range(n_rows if offsets.shape[0] > 0 else 0):
        for k in range(n_classes):
            scores[k, i] += kind(offsets[row_indices[i], k])
    largest, row_weights = zeros_aligned(n_rows, scores.dtype), zeros_aligned(n_rows, scores.dtype)
    totals, losses = zeros_aligned(n_rows, np.float64), zeros_aligned(n_rows, np.float64)
    find_row_maxima(scores, n_rows, largest)
    for i in range(n_rows):
        row = row_indices[i]
        row_weights[i] = get_weight(weights, row)
        if targets.shape[0] == 0:
            losses[i] = np.float64(get_weight(weights, row)) * np.float64(largest[i] - scores[labels[row], i])
    for i in range(n_rows if targets.shape[0] > 0 else 0):
        linear_loss_term = 0.0
        for k in range(n_classes):
            linear_loss_term += targets[row_indices[i], k] * np.float64(largest[i] - scores[k, i])
        losses[i] = np.float64(get_weight(weights, row_indices[i])) * linear_loss_term
    exponentiate_shifted_scores(scores, n_rows, largest, totals)
    for i in range(n_rows):
        losses[i] += np.float64(row_weights[i]) * log_above_one(totals[i])
        row_weights[i] /= kind(totals[i])
    for k in range(n_classes):
        s = scores[k, :n_rows]
        _store_softmax_probabilities(output.float32_values, k, first, s, totals)
        _store_softmax_probabilities(output.float64_values, k, first, s, totals)
        for i in range(n_rows):
            s[i] *= row_weights[i]
    for i in range(n_rows if targets.shape[0] == 0 else 0):
        row = row_indices[i]
        scores[labels[row], i] -= get_weight(weights, row)
    for i in range(n_rows if targets.shape[0] > 0 else 0):
        row = row_indices[i]
        for k in range(n_classes):
            scores[k, i] -= kind(np.float64(get_weight(weights, row)) * targets[row, k])
    return sum_values(losses)


@kernel(inner=True)
def convert_products_to_slopes(slopes, n_rows, curvature, start):
    """Overwrite slopes t (K, tile rows) with s_i p_k (t_k - sum_l p_l t_l), or with s_i p (1 - p) t for K = 1.

    The first n_rows columns of `slopes` belong to the entries of the Curvature that start at ``start``. With softmax
    probabilities p, the Hessian of the loss of a row with respect to its scores is diag(p) - p p'. For K = 1 this
    Hessian is p (1 - p).
    """
    prevent_inlining()
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
