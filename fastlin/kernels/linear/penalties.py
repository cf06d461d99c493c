"""Kernels over parameters and gradients (K, d + 1): what the penalty adds, and what a dual point costs, in one walk.

In NumPy these sums took longer than the walks over sparse text, whose parameters are a million.
"""

import numpy as np

from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel

# What fill_block_penalties sums: both parts of the penalty, parameters . gradient of the loss, the square of the
# gradient in the norm of the dual, and the largest entry of the smallest subgradient by the coefficients.
SQUARES, SIZES, SLOPE, DUAL_SQUARE, LARGEST = range(5)
# Columns at a time, whose sums over the classes stay in the first-level cache.
STRIP = 256
# What fill_block_dual sums: the conjugate of the penalty, its first two derivatives by the part of the way, and the
# part of the way at which the box is left.
CONJUGATE, FIRST, SECOND, WITHIN = range(4)


@kernel
def fill_block_penalties(
    block, n_blocks, total, total_weight, parameters, penalties, thresholds, grouped, units, offsets, roots, gradient,
    figures,
):  # fmt: skip
    """gradient = total / total_weight + penalties parameters (K, d + 1) and figures (B, 5), for the block's columns.

    total (K, d + 1) is the gradient of the loss before division, penalties and thresholds (d + 1,) those of the
    objective, roots (d,) are units sqrt(l2 f_j): zero leaves a column out of the dual square.
    """
    n_classes, n_features = parameters.shape[0], units.shape[0]
    part = 1 / total_weight
    first, last = block * n_features // n_blocks, (block + 1) * n_features // n_blocks
    squares, sizes, slope, dual, largest = 0.0, 0.0, 0.0, 0.0, 0.0
    for start in range(first, last, STRIP):
        stop = start + STRIP if start + STRIP < last else last
        square, size, length, dual_length, top = zeros_aligned((5, STRIP), np.float64)
        lacking, widths = offsets[start:stop], units[start:stop]
        penalty, threshold = penalties[start:stop], thresholds[start:stop]
        for k in range(n_classes):
            v, t, g = parameters[k, start:stop], total[k, start:stop], gradient[k, start:stop]
            shift = total[k, n_features] * part
            for j in range(v.shape[0]):
                of_loss = t[j] * part
                g[j] = of_loss + penalty[j] * v[j]
                slope += v[j] * of_loss
                square[j] += v[j] * v[j]
                size[j] += abs(v[j])
                dual_length[j] += g[j] * g[j]
                # By the coefficient of the column as it is, not as it is centred.
                plain = g[j] - lacking[j] * shift
                length[j] += plain * plain
                sign = threshold[j] if v[j] > 0 else -threshold[j]
                rest = abs(plain) - threshold[j]
                rest = abs(plain + sign) if v[j] != 0 else rest
                top[j] = rest if rest > top[j] else top[j]
        if grouped:
            for j in range(widths.shape[0]):
                size[j] = np.sqrt(square[j])
                top[j] = np.sqrt(length[j]) - threshold[j] if square[j] == 0 else 0.0
            for k in range(n_classes):
                v, g, shift = parameters[k, start:stop], gradient[k, start:stop], total[k, n_features] * part
                for j in range(v.shape[0]):
                    along = threshold[j] / size[j] if size[j] > 0 else 0.0
                    rest = abs(g[j] - lacking[j] * shift + along * v[j]) if size[j] > 0 else 0.0
                    top[j] = rest if rest > top[j] else top[j]
        for j in range(widths.shape[0]):
            squares += penalty[j] * square[j]
            sizes += threshold[j] * size[j]
            root = roots[start + j]
            dual += np.square(np.sqrt(dual_length[j]) / root) if root > 0 else 0.0
            largest = max(largest, top[j] / widths[j])
    if block == n_blocks - 1:
        for k in range(n_classes):
            gradient[k, n_features] = total[k, n_features] * part
            slope += parameters[k, n_features] * gradient[k, n_features]
            largest = max(largest, abs(gradient[k, n_features]))
    figures[block, SQUARES], figures[block, SIZES], figures[block, SLOPE] = squares, sizes, slope
    figures[block, DUAL_SQUARE], figures[block, LARGEST] = dual, largest


@kernel
def fill_block_dual(
    block, n_blocks, gradient, parameters, penalties, thresholds, grouped, roots, features, parts, taken, way, figures
):  # fmt: skip
    """figures (B, 4) of the dual point that is `way` from the labels to the probabilities, of the block's columns.

    G = gradient - penalties parameters (K, d) is the gradient of the loss at the probabilities. Before that each class
    k gives up the part parts[k] of its probability and takes taken[k] of what all give: features (classes, d) are the
    gradients of the labels alone, G + features those of the probabilities; parts without entries for none. For K = 1
    both classes have an entry, 0 and 1. With a = |G_kj| (grouped, over the classes) and t the threshold the conjugate
    is sum max(way a - t, 0)^2 / (2 roots^2); where roots is zero it is left out, and WITHIN is the least t / a.
    """
    n_classes, n_features, n_parts = parameters.shape[0], roots.shape[0], parts.shape[0]
    first, last = block * n_features // n_blocks, (block + 1) * n_features // n_blocks
    conjugate, by_way, twice, within = 0.0, 0.0, 0.0, np.inf
    for start in range(first, last, STRIP):
        stop = start + STRIP if start + STRIP < last else last
        given, square, rises, slopes, curvatures, top = zeros_aligned((6, STRIP), np.float64)
        penalty, threshold = penalties[start:stop], thresholds[start:stop]
        for c in range(n_parts):
            k, sign = (0, 2.0 * c - 1) if n_classes == 1 else (c, 1.0)
            v, g, label = parameters[k, start:stop], gradient[k, start:stop], features[c, start:stop]
            for j in range(v.shape[0]):
                given[j] += parts[c] * (sign * (g[j] - penalty[j] * v[j]) + label[j])
        for k in range(n_classes):
            c = n_parts - 1 if n_classes == 1 else k
            lost, won = (parts[c], taken[c]) if n_parts > 0 else (0.0, 0.0)
            label = features[c, start:stop] if n_parts > 0 else given[: stop - start]
            v, g = parameters[k, start:stop], gradient[k, start:stop]
            for j in range(v.shape[0]):
                of_loss = g[j] - penalty[j] * v[j]
                of_loss += won * given[j] - lost * (of_loss + label[j])
                a = abs(of_loss)
                square[j] += a * a
                top[j] = a if a > top[j] else top[j]
                excess = way * a - threshold[j]
                excess = excess if excess > 0 else 0.0
                rises[j] += excess * excess
                slopes[j] += excess * a
                curvatures[j] += a * a if excess > 0 else 0.0
        for j in range(penalty.shape[0]):
            root = roots[start + j]
            if grouped:
                top[j] = np.sqrt(square[j])
                excess = max(way * top[j] - threshold[j], 0.0)
                rises[j], slopes[j] = excess * excess, excess * top[j]
                curvatures[j] = square[j] if excess > 0 else 0.0
            if root > 0:
                # Roots first: squares of roots leave the range of float64 where columns reach 1e150.
                conjugate += 0.5 * np.square(np.sqrt(rises[j]) / root)
                by_way += slopes[j] / root / root
                twice += curvatures[j] / root / root
            elif way * top[j] > threshold[j]:
                within = min(within, threshold[j] / top[j])
    figures[block, CONJUGATE], figures[block, FIRST] = conjugate, by_way
    figures[block, SECOND], figures[block, WITHIN] = twice, within
