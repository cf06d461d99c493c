"""Kernels of a network's layers: everything around the products of matrices, over blocks of the rows of a batch.

The activations of a layer are an array (n, m), with a row for each row of the batch and a column for each unit. BLAS
computes the products with coefficients. Sums over rows are float64, with a row of partial sums for each block.
"""

import numpy as np

from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.linear.residuals import (
    convert_scores_to_residuals,
    exponentiate_below,
    find_largest,
    gather_logistic,
    weight_of,
)
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.exponential import exponential, exponential_less_one
from fastlin.kernels.machine.tiles import number_rows
from fastlin.kernels.networks.minibatches import find_right, nothing_kept

IDENTITY, LOGISTIC, RELU, TANH = range(4)
# Number of 32-bit numbers. Dropout keeps a unit where the number drawn for it is below this times the part kept.
DRAWS = 1 << 32


@kernel(inline=True)
def _mix(x):
    """Return a 32-bit number that depends on every bit of the 32-bit number x (C. Wellons's lowbias32)."""
    x = ((x ^ (x >> np.uint64(16))) * np.uint64(0x7FEB352D)) & np.uint64(0xFFFFFFFF)
    x = ((x ^ (x >> np.uint64(15))) * np.uint64(0x846CA68B)) & np.uint64(0xFFFFFFFF)
    return x ^ (x >> np.uint64(16))


@kernel(inline=True)
def _is_kept(position, seed, kept):
    """Say whether dropout keeps a unit. That depends on its place and the seed alone, whichever thread asks."""
    return _mix(_mix(np.uint64(position) & np.uint64(0xFFFFFFFF)) ^ np.uint64(seed)) < kept


@kernel
def activate_block(block, n_blocks, Z, scales, shifts, activation, keep, seed, first_row, activations):
    """Fill activations_ij = dropout(f(scale_j Z_ij + shift_j)) over the block's rows of Z (n, m).

    activations may be Z itself. f is the activation; scales (0,) stand for ones. Dropout keeps a unit with probability
    ``keep`` and then divides it by that, so that the mean stays. Which units it keeps follows from the seed, the row's
    number and the column alone. first_row is the number of Z's first row in its batch.
    """
    kind = activations.dtype.type
    zero = kind(0)
    width = activations.shape[1]
    kept, growth = np.uint64(keep * DRAWS), kind(1 / keep)
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
                # The NaN of a training that diverged must not become 0.
                a[j] = zero if a[j] < zero else a[j]
        elif activation == LOGISTIC:
            _apply_logistic(a)
        elif activation == TANH:
            _apply_tanh(a)
        if keep < 1:
            first_position = (first_row + i) * width
            for j in range(width):
                a[j] = a[j] * growth if _is_kept(first_position + j, seed, kept) else zero


@kernel(reassociate=False, inner=True)
def _apply_logistic(a):
    """Overwrite a with 1 / (1 + exp(-a)), by the exponential that does not overflow."""
    one, zero = a.dtype.type(1), a.dtype.type(0)
    for j in range(a.shape[0]):
        e = exponential(-abs(a[j]), a)
        a[j] = (e if a[j] < zero else one) / (one + e)


@kernel(reassociate=False, inner=True)
def _apply_tanh(a):
    """Overwrite a with tanh(a) = -e / (2 + e), e = exp(-2 |a|) - 1, with a's sign; small a keep their digits."""
    two, zero = a.dtype.type(2), a.dtype.type(0)
    for j in range(a.shape[0]):
        e = exponential_less_one(-two * abs(a[j]), a)
        value = e / (two + e)
        a[j] = value if a[j] < zero else -value


@kernel
def backpropagate_block(
    block, n_blocks, activations, normalized, activation, keep, seed, first_row, slopes, sums, products
):
    """Turn slopes (n, m) by activations into slopes by the arguments of f, over the block's rows.

    slopes_ij *= f'_ij, computed from the activations, with the dropout of `activate_block`. sums[block] becomes the sum
    of the new slopes over the rows, products[block] that of slopes_i normalized_i, left out if normalized is (0, 0).
    """
    kind = slopes.dtype.type
    one, zero = kind(1), kind(0)
    width = slopes.shape[1]
    kept, growth, keep_part = np.uint64(keep * DRAWS), kind(1 / keep), kind(keep)
    s, p = sums[block], products[block]
    for j in range(width):
        s[j] = 0
    for j in range(p.shape[0]):
        p[j] = 0
    for i in range(block * slopes.shape[0] // n_blocks, (block + 1) * slopes.shape[0] // n_blocks):
        a, d = activations[i], slopes[i]
        if keep < 1:
            first_position = (first_row + i) * width
            for j in range(width):
                d[j] = d[j] * growth if _is_kept(first_position + j, seed, kept) else zero
        if activation == RELU:
            for j in range(width):
                d[j] = zero if a[j] == zero else d[j]
        elif activation == LOGISTIC:
            for j in range(width):
                d[j] *= keep_part * a[j] * (one - keep_part * a[j])
        elif activation == TANH:
            for j in range(width):
                d[j] *= one - keep_part * a[j] * (keep_part * a[j])
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
    """Overwrite scores (n, K) with the gradient of sum_i s_i l_i / total by scores + intercept, over the block's rows.

    targets (n, K) are from 0 to 1; without entries, labels (n,) name those that are 1, or for K = 1 are the targets.
    Independent outputs, and a single one, have the logistic loss each, and a row is right where each output is on the
    side of its target. Else the loss is that of the softmax, the targets of a row sum to one, and a row is right where
    the best class (the first of equal ones) has the largest target. weights (0,) stand for ones. losses[block] becomes
    the sum of s_i l_i, sums[block] the sum of the gradients, and n_correct[block] the sum of the s_i of the right rows.
    """
    n_classes, has_targets = scores.shape[1], targets.shape[0] > 0
    first, last = block * scores.shape[0] // n_blocks, (block + 1) * scores.shape[0] // n_blocks
    n_rows, n_targets = last - first, last - first if has_targets else 0
    own_weights = weights[first:last] if weights.shape[0] > 0 else weights
    turned = _add_intercept(scores[first:last], intercept)
    numbers, right = number_rows(np.int64(0), n_rows), zeros_aligned(n_rows, np.int64)
    own_labels, own_right = zeros_aligned(n_rows, np.int32), zeros_aligned(n_rows, np.int64)
    kept, no_offsets, loss = nothing_kept(), zeros_aligned((0, 0), np.float64), 0.0
    if is_independent or n_classes == 1:
        own_targets = zeros_aligned((n_targets, 1), np.float64)
        samples = Samples(numbers, own_labels, own_weights, no_offsets, own_targets)
        right[:] = 1
        for k in range(n_classes):
            for i in range(n_rows):
                own_labels[i] = targets[first + i, k] >= 0.5 if has_targets else labels[first + i]
            for i in range(n_targets):
                own_targets[i, 0] = targets[first + i, k]
            find_right(turned[k : k + 1], numbers, own_labels, own_right)
            for i in range(n_rows):
                right[i] &= own_right[i]
            loss += gather_logistic(turned[k], numbers, samples, kept, np.int64(0))
    else:
        own_targets = zeros_aligned((n_targets, n_classes), np.float64)
        samples = Samples(numbers, own_labels, own_weights, no_offsets, own_targets)
        for i in range(n_rows):
            own_labels[i] = 0 if has_targets else labels[first + i]
        for i in range(n_targets):
            for k in range(n_classes):
                own_targets[i, k] = targets[first + i, k]
                own_labels[i] = k if own_targets[i, k] > own_targets[i, own_labels[i]] else own_labels[i]
        find_right(turned, numbers, own_labels, right)
        loss = convert_scores_to_residuals(turned, numbers, samples, kept, np.int64(0))
    losses[block] = loss
    n_correct[block] = 0
    for i in range(n_rows):
        n_correct[block] += weight_of(own_weights, i) * right[i]
    fraction = scores.dtype.type(1 / total)
    for k in range(n_classes):
        sums[block, k] = 0
        for i in range(n_rows):
            scores[first + i, k] = turned[k, i] * fraction
            sums[block, k] += np.float64(scores[first + i, k])


@kernel
def fill_block_probabilities(block, n_blocks, scores, intercept, is_independent):
    """Overwrite scores (n, K) with the probabilities of the classes, or of each output, over the block's rows.

    The intercept (K,) is added first. One output, and independent ones, each have the probability of class 1.
    """
    own = scores[block * scores.shape[0] // n_blocks : (block + 1) * scores.shape[0] // n_blocks]
    turned = _add_intercept(own, intercept)
    n_classes, n_rows = turned.shape
    totals = zeros_aligned(n_rows, np.float64)
    if n_classes == 1 or is_independent:
        totals[:] = 1
        for k in range(n_classes):
            _apply_logistic(turned[k])
    else:
        largest = zeros_aligned(n_rows, turned.dtype)
        find_largest(turned, n_rows, largest)
        exponentiate_below(turned, n_rows, largest, totals)
    for i in range(n_rows):
        for k in range(n_classes):
            own[i, k] = turned[k, i] / turned.dtype.type(totals[i])


@kernel(inner=True)
def _add_intercept(scores, intercept):
    """Return scores (n, K) with intercept (K,) added as an array (K, n), which linear/residuals.py takes."""
    turned = zeros_aligned((scores.shape[1], scores.shape[0]), scores.dtype)
    for i in range(scores.shape[0]):
        for k in range(scores.shape[1]):
            turned[k, i] = scores[i, k] + intercept[k]
    return turned


@kernel
def update_with_momentum(parameters, gradient, velocity, n_penalized, l2, learning_rate, momentum, nesterov):
    """Take a step v = momentum v - learning_rate g, w += v; return the sum of the squares of the penalized w before it.

    g is the gradient, plus l2 w for the first n_penalized parameters. Nesterov's form is w += momentum
    v - learning_rate g with the new v (Sutskever, Martens, Dahl and Hinton 2013, section 2). All arrays are (p,);
    gradient stays.
    """
    kind = parameters.dtype.type
    rate, part = kind(learning_rate), kind(momentum)
    # Not a branch in the loop, which would then take one number at a time: 415,000 parameters take 0.06 ms, not 0.45.
    of_velocity, of_step = (part, kind(1)) if nesterov else (kind(1), kind(0))
    squares = 0.0
    for penalized in (True, False):
        own = slice(0, n_penalized) if penalized else slice(n_penalized, parameters.shape[0])
        w, g, v = parameters[own], gradient[own], velocity[own]
        shrink, total = kind(l2) if penalized else kind(0), 0.0
        for j in range(w.shape[0]):
            total += np.float64(w[j]) * np.float64(w[j])
            step = rate * (g[j] + shrink * w[j])
            v[j] = part * v[j] - step
            w[j] += of_velocity * v[j] - of_step * step
        squares += total if penalized else 0.0
    return squares


@kernel
def update_with_adam(parameters, gradient, means, squares, n_penalized, l2, learning_rate, beta_1, beta_2, epsilon):
    """Take a step of Adam; return the sum of the squares of the penalized parameters w before it.

    The step is m = beta_1 m + (1 - beta_1) g, v = beta_2 v + (1 - beta_2) g^2, w -= learning_rate m / (sqrt(v)
    + epsilon), with means m and squares v (Kingma and Ba 2015, section 2, the form without bias-corrected moments: the
    corrections are part of learning_rate). g is the gradient. The first n_penalized parameters have l2 w added to it.
    All arrays are (p,); gradient stays.
    """
    kind = parameters.dtype.type
    rate, small = kind(learning_rate), kind(epsilon)
    of_mean, of_square, one = kind(beta_1), kind(beta_2), kind(1)
    total_squares = 0.0
    for penalized in (True, False):
        own = slice(0, n_penalized) if penalized else slice(n_penalized, parameters.shape[0])
        w, g, m, v = parameters[own], gradient[own], means[own], squares[own]
        shrink = kind(l2) if penalized else kind(0)
        total = 0.0
        for j in range(w.shape[0]):
            total += np.float64(w[j]) * np.float64(w[j])
            slope = g[j] + shrink * w[j]
            m[j] = of_mean * m[j] + (one - of_mean) * slope
            v[j] = of_square * v[j] + (one - of_square) * (slope * slope)
            w[j] -= rate * m[j] / (np.sqrt(v[j]) + small)
        total_squares += total if penalized else 0.0
    return total_squares
