"""Kernels for the layers of a network, over blocks of rows of a batch. BLAS computes the matrix products.

The activations of a layer are an array (n, m) with one row per row of the batch and one column per unit. Sums over rows
are float64, with one row of partial sums per block.
"""

import numpy as np

from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.linear.residuals import (
    convert_scores_to_residuals,
    exponentiate_shifted_scores,
    find_row_maxima,
    gather_and_convert_logistic_scores,
    get_weight,
)
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.exponential import expm1, exponential
from fastlin.kernels.machine.tiles import make_row_range
from fastlin.kernels.networks.minibatches import make_empty_output, mark_correct_rows

IDENTITY, LOGISTIC, RELU, TANH = range(4)
# The number of 32-bit integers. Dropout keeps a unit if its random integer is below N_RANDOM_INTEGERS times the keep
# probability.
N_RANDOM_INTEGERS = 1 << 32


@kernel(inline=True)
def _hash_integer(x):
    """Return a 32-bit hash of the 32-bit integer x, computed by C. Wellons's lowbias32."""
    x = ((x ^ (x >> np.uint64(16))) * np.uint64(0x7FEB352D)) & np.uint64(0xFFFFFFFF)
    x = ((x ^ (x >> np.uint64(15))) * np.uint64(0x846CA68B)) & np.uint64(0xFFFFFFFF)
    return x ^ (x >> np.uint64(16))


@kernel(inline=True)
def _is_unit_kept(position, seed, keep_hash_threshold):
    """Return whether dropout keeps a unit.

    The result depends only on the position of the unit and on the seed, not on the thread.
    """
    return (
        _hash_integer(_hash_integer(np.uint64(position) & np.uint64(0xFFFFFFFF)) ^ np.uint64(seed))
        < keep_hash_threshold
    )


@kernel
def activate_block(block, n_blocks, Z, scales, shifts, activation, keep_probability, seed, first_row, activations):
    """Fill activations_ij with dropout(f(scale_j Z_ij + shift_j)) over the block's rows of Z (n, m).

    `activations` may be Z itself. f is the activation function. Empty `scales` mean all ones. Dropout keeps a unit with
    probability ``keep_probability`` and divides it by ``keep_probability``, which preserves the mean. The set of kept
    units depends only on the seed, the row index in the batch and the column. first_row is the index of the first row
    of Z in the batch.
    """
    kind = activations.dtype.type
    zero = kind(0)
    width = activations.shape[1]
    keep_hash_threshold, dropout_scale = np.uint64(keep_probability * N_RANDOM_INTEGERS), kind(1 / keep_probability)
    for i in range(block * Z.shape[0] // n_blocks, (block + 1) * Z.shape[0] // n_blocks):
        row, a = Z[i], activations[i]
        if scales.shape[0] > 0:
            for j in range(width):
                a[j] = scales[j] * row[j] + shifts[j]
        else:
            for j in range(width):
                a[j] = row[j] + shifts[j]
        if activation == RELU:
            for j in range(width):
                # NaN from a training run that diverged must not become 0.
                a[j] = zero if a[j] < zero else a[j]
        elif activation == LOGISTIC:
            _apply_logistic(a)
        elif activation == TANH:
            _apply_tanh(a)
        if keep_probability < 1:
            first_unit_position = (first_row + i) * width
            for j in range(width):
                a[j] = (
                    a[j] * dropout_scale if _is_unit_kept(first_unit_position + j, seed, keep_hash_threshold) else zero
                )


@kernel(reassociate=False, inner=True)
def _apply_logistic(a):
    """Overwrite a with 1 / (1 + exp(-a)), without overflow."""
    one, zero = a.dtype.type(1), a.dtype.type(0)
    for j in range(a.shape[0]):
        e = exponential(-abs(a[j]), a)
        a[j] = (e if a[j] < zero else one) / (one + e)


@kernel(reassociate=False, inner=True)
def _apply_tanh(a):
    """Overwrite a with tanh(a) = -sign(a) e / (2 + e), where e = exp(-2 |a|) - 1. This is accurate for small a."""
    typed_two, zero = a.dtype.type(2), a.dtype.type(0)
    for j in range(a.shape[0]):
        e = expm1(-typed_two * abs(a[j]), a)
        value = e / (typed_two + e)
        a[j] = value if a[j] < zero else -value


@kernel
def backpropagate_block(
    block, n_blocks, activations, normalized, activation, keep_probability, seed, first_row, slopes, sums, products
):
    """Convert the derivatives with respect to activations to derivatives with respect to the arguments of f.

    On entry, `slopes` (n, m) are the derivatives with respect to `activations`. In the block's rows, slopes_ij is
    multiplied by f'_ij, which is computed from the activations, with the dropout of `activate_block`. The kernel fills
    sums[block] with the sum of the new slopes over the rows, and products[block] with the sum of slopes_i normalized_i,
    unless `normalized` is empty.
    """
    kind = slopes.dtype.type
    one, zero = kind(1), kind(0)
    width = slopes.shape[1]
    keep_hash_threshold, dropout_scale, kept_fraction = (
        np.uint64(keep_probability * N_RANDOM_INTEGERS),
        kind(1 / keep_probability),
        kind(keep_probability),
    )
    s, p = sums[block], products[block]
    for j in range(width):
        s[j] = 0
    for j in range(p.shape[0]):
        p[j] = 0
    for i in range(block * slopes.shape[0] // n_blocks, (block + 1) * slopes.shape[0] // n_blocks):
        a, d = activations[i], slopes[i]
        if keep_probability < 1:
            first_unit_position = (first_row + i) * width
            for j in range(width):
                d[j] = (
                    d[j] * dropout_scale if _is_unit_kept(first_unit_position + j, seed, keep_hash_threshold) else zero
                )
        if activation == RELU:
            for j in range(width):
                d[j] = zero if a[j] == zero else d[j]
        elif activation == LOGISTIC:
            for j in range(width):
                d[j] *= kept_fraction * a[j] * (one - kept_fraction * a[j])
        elif activation == TANH:
            for j in range(width):
                d[j] *= one - kept_fraction * a[j] * (kept_fraction * a[j])
        for j in range(width):
            s[j] += np.float64(d[j])
        if normalized.shape[0] > 0:
            x = normalized[i]
            for j in range(width):
                p[j] += np.float64(d[j]) * np.float64(x[j])


@kernel
def fill_block_residuals(
    block, n_blocks, scores, intercept, labels, targets, weights, total, is_independent, losses, n_correct, sums
):
    """Overwrite the block's rows of `scores` (n, K) with the gradient of sum_i s_i l_i / total.

    The gradient is with respect to scores + intercept.

    `targets` (n, K) are between 0 and 1. If they are empty, `labels` (n,) are the classes whose target is 1, or the
    targets if K = 1. Independent outputs, or a single output, have the logistic loss, and a row is correct if each
    output predicts the class that its target favors. Otherwise, the loss is the softmax loss, the targets of a row sum
    to one, and a row is correct if the best class (the first in a tie) has the largest target. Empty weights mean all
    ones. The kernel fills losses[block] with the sum of s_i l_i, sums[block] with the sum of the gradients, and
    n_correct[block] with the sum of s_i over the correct rows.
    """
    n_classes, has_targets = scores.shape[1], targets.shape[0] > 0
    first, last = block * scores.shape[0] // n_blocks, (block + 1) * scores.shape[0] // n_blocks
    n_rows, n_targets = last - first, last - first if has_targets else 0
    block_weights = weights[first:last] if weights.shape[0] > 0 else weights
    transposed = _add_intercept(scores[first:last], intercept)
    row_indices, is_correct = make_row_range(np.int64(0), n_rows), zeros_aligned(n_rows, np.int64)
    output_labels, is_output_correct = zeros_aligned(n_rows, np.int32), zeros_aligned(n_rows, np.int64)
    output, empty_offsets, loss = make_empty_output(), zeros_aligned((0, 0), np.float64), 0.0
    if is_independent or n_classes == 1:
        output_targets = zeros_aligned((n_targets, 1), np.float64)
        samples = Samples(row_indices, output_labels, block_weights, empty_offsets, output_targets)
        is_correct[:] = 1
        for k in range(n_classes):
            for i in range(n_rows):
                output_labels[i] = targets[first + i, k] >= 0.5 if has_targets else labels[first + i]
            for i in range(n_targets):
                output_targets[i, 0] = targets[first + i, k]
            mark_correct_rows(transposed[k : k + 1], row_indices, output_labels, is_output_correct)
            for i in range(n_rows):
                is_correct[i] &= is_output_correct[i]
            loss += gather_and_convert_logistic_scores(transposed[k], row_indices, samples, output, np.int64(0))
    else:
        output_targets = zeros_aligned((n_targets, n_classes), np.float64)
        samples = Samples(row_indices, output_labels, block_weights, empty_offsets, output_targets)
        for i in range(n_rows):
            output_labels[i] = 0 if has_targets else labels[first + i]
        for i in range(n_targets):
            for k in range(n_classes):
                output_targets[i, k] = targets[first + i, k]
                output_labels[i] = k if output_targets[i, k] > output_targets[i, output_labels[i]] else output_labels[i]
        mark_correct_rows(transposed, row_indices, output_labels, is_correct)
        loss = convert_scores_to_residuals(transposed, row_indices, samples, output, np.int64(0))
    losses[block] = loss
    n_correct[block] = 0
    for i in range(n_rows):
        n_correct[block] += get_weight(block_weights, i) * is_correct[i]
    fraction = scores.dtype.type(1 / total)
    for k in range(n_classes):
        sums[block, k] = 0
        for i in range(n_rows):
            scores[first + i, k] = transposed[k, i] * fraction
            sums[block, k] += np.float64(scores[first + i, k])


@kernel
def fill_block_probabilities(block, n_blocks, scores, intercept, is_independent):
    """Overwrite the block's rows of `scores` (n, K) with the probabilities of the classes.

    The kernel adds the intercept (K,) first. For a single output or independent outputs, the results are probabilities
    of class 1.
    """
    block_scores = scores[block * scores.shape[0] // n_blocks : (block + 1) * scores.shape[0] // n_blocks]
    transposed = _add_intercept(block_scores, intercept)
    n_classes, n_rows = transposed.shape
    totals = zeros_aligned(n_rows, np.float64)
    if n_classes == 1 or is_independent:
        totals[:] = 1
        for k in range(n_classes):
            _apply_logistic(transposed[k])
    else:
        largest = zeros_aligned(n_rows, transposed.dtype)
        find_row_maxima(transposed, n_rows, largest)
        exponentiate_shifted_scores(transposed, n_rows, largest, totals)
    for i in range(n_rows):
        for k in range(n_classes):
            block_scores[i, k] = transposed[k, i] / transposed.dtype.type(totals[i])


@kernel(inner=True)
def _add_intercept(scores, intercept):
    """Return the transpose (K, n) of scores (n, K) + intercept (K,). linear/residuals.py requires this layout."""
    transposed = zeros_aligned((scores.shape[1], scores.shape[0]), scores.dtype)
    for i in range(scores.shape[0]):
        for k in range(scores.shape[1]):
            transposed[k, i] = scores[i, k] + intercept[k]
    return transposed


@kernel
def update_with_momentum(parameters, gradient, velocity, n_penalized_parameters, l2, learning_rate, momentum, nesterov):
    """Take a step v = momentum v - learning_rate g, w += v, and return the sum of squares of the penalized w before it.

    g is the gradient, plus l2 w for the first n_penalized_parameters parameters. Nesterov's form is w += momentum v -
    learning_rate g with the new v (Sutskever, Martens, Dahl and Hinton 2013, section 2). All arrays have shape (p,).
    `gradient` is not changed.
    """
    kind = parameters.dtype.type
    rate, decay = kind(learning_rate), kind(momentum)
    # The two forms differ only in factors, because a branch would prevent the vectorization of the loop
    # (docs/benchmarks/design-choices.md: branch in a momentum step).
    velocity_weight, step_weight = (decay, kind(1)) if nesterov else (kind(1), kind(0))
    squares = 0.0
    for is_penalized in (True, False):
        parameter_range = (
            slice(0, n_penalized_parameters) if is_penalized else slice(n_penalized_parameters, parameters.shape[0])
        )
        w, g, v = parameters[parameter_range], gradient[parameter_range], velocity[parameter_range]
        penalty_strength, total = kind(l2) if is_penalized else kind(0), 0.0
        for j in range(w.shape[0]):
            total += np.float64(w[j]) * np.float64(w[j])
            step = rate * (g[j] + penalty_strength * w[j])
            v[j] = decay * v[j] - step
            w[j] += velocity_weight * v[j] - step_weight * step
        squares += total if is_penalized else 0.0
    return squares


@kernel
def update_with_adam(
    parameters, gradient, means, squares, n_penalized_parameters, l2, learning_rate, beta_1, beta_2, epsilon
):
    """Take a step of Adam, and return the sum of squares of the penalized parameters w before the step.

    The step is m = beta_1 m + (1 - beta_1) g, v = beta_2 v + (1 - beta_2) g^2, w -= learning_rate m / (sqrt(v) +
    epsilon), where m are `means` and v are `squares` (Kingma and Ba 2015, section 2). The moments are not
    bias-corrected, because `learning_rate` includes the corrections. g is the gradient, plus l2 w for the first
    n_penalized_parameters parameters. All arrays have shape (p,). `gradient` is not changed.
    """
    kind = parameters.dtype.type
    rate, typed_epsilon = kind(learning_rate), kind(epsilon)
    mean_decay, square_decay, one = kind(beta_1), kind(beta_2), kind(1)
    penalized_square_sum = 0.0
    for is_penalized in (True, False):
        parameter_range = (
            slice(0, n_penalized_parameters) if is_penalized else slice(n_penalized_parameters, parameters.shape[0])
        )
        w, g, m, v = (
            parameters[parameter_range],
            gradient[parameter_range],
            means[parameter_range],
            squares[parameter_range],
        )
        penalty_strength = kind(l2) if is_penalized else kind(0)
        total = 0.0
        for j in range(w.shape[0]):
            total += np.float64(w[j]) * np.float64(w[j])
            slope = g[j] + penalty_strength * w[j]
            m[j] = mean_decay * m[j] + (one - mean_decay) * slope
            v[j] = square_decay * v[j] + (one - square_decay) * (slope * slope)
            w[j] -= rate * m[j] / (np.sqrt(v[j]) + typed_epsilon)
        penalized_square_sum += total if is_penalized else 0.0
    return penalized_square_sum
