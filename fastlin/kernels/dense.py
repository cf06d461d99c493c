"""Kernels over dense rows: scores, residuals and gradients of the logistic and the softmax loss.

Shapes: X (n, d) in C order, float64, float32 or uint8; coef (K, d) and intercept (K,) in the type that is
computed in; K = 1 is the logistic loss with labels 0 and 1, K >= 3 the softmax with labels 0 to K - 1. A pass
works on tiles of rows, a few hundred kilobytes each: scores, residuals and gradient of a tile follow one another
while its rows lie in the second-level cache, so that X is read from memory once. Values of X are widened in
registers.

The products walk ROWS x CLASSES at once. Measured on MNIST from cache, one thread of a 58.7 GFLOP/s processor:
52 GFLOP/s forward and 50 backward in float64, 94 and 90 in float32.
"""

import math

import numpy as np

from fastlin.kernels.arrays import empty_aligned
from fastlin.kernels.compilation import kernel
from fastlin.kernels.exponential import exponentiate_in_place, log_one_plus
from fastlin.kernels.prefetch import prefetch_row

ROWS = 4
CLASSES = 5
# A tile's rows, its scores and the coefficients share the second-level cache (1 MB and more).
TILE_BYTES = 300_000
MAX_TILE_ROWS = 128
# A product walks at most so many bytes of each row, so that prefetches come in bursts the processor can queue: with
# whole float64 rows of MNIST prefetching ahead of the scores gained nothing (11.6 ms, in chunks 8.5).
CHUNK_BYTES = 3_200
# So many rows add up in the type of the coefficients before their sum goes to float64: moving it costs 4 % of a
# pass if done after each tile.
PART_ROWS = 128


def count_tile_rows(n_features, n_classes, itemsize):
    """Return the rows of a tile: a multiple of ROWS, from the shape alone."""
    rows = TILE_BYTES // (itemsize * max(1, n_features + n_classes))
    return int(min(max(rows // ROWS, 2), MAX_TILE_ROWS // ROWS)) * ROWS


@kernel(inline=True)
def _add_tile_scores(x0, x1, x2, x3, w0, w1, w2, w3, w4, k, s0, s1, s2, s3):
    """s_i[k + c] += w_c . x_i for four rows and five classes."""
    widen = w0.dtype.type
    zero = widen(0)
    a00 = a01 = a02 = a03 = a04 = zero
    a10 = a11 = a12 = a13 = a14 = zero
    a20 = a21 = a22 = a23 = a24 = zero
    a30 = a31 = a32 = a33 = a34 = zero
    for j in range(x0.shape[0]):
        u0, u1, u2, u3, u4 = w0[j], w1[j], w2[j], w3[j], w4[j]
        v = widen(x0[j])
        a00 += v * u0
        a01 += v * u1
        a02 += v * u2
        a03 += v * u3
        a04 += v * u4
        v = widen(x1[j])
        a10 += v * u0
        a11 += v * u1
        a12 += v * u2
        a13 += v * u3
        a14 += v * u4
        v = widen(x2[j])
        a20 += v * u0
        a21 += v * u1
        a22 += v * u2
        a23 += v * u3
        a24 += v * u4
        v = widen(x3[j])
        a30 += v * u0
        a31 += v * u1
        a32 += v * u2
        a33 += v * u3
        a34 += v * u4
    s0[k] += a00
    s0[k + 1] += a01
    s0[k + 2] += a02
    s0[k + 3] += a03
    s0[k + 4] += a04
    s1[k] += a10
    s1[k + 1] += a11
    s1[k + 2] += a12
    s1[k + 3] += a13
    s1[k + 4] += a14
    s2[k] += a20
    s2[k + 1] += a21
    s2[k + 2] += a22
    s2[k + 3] += a23
    s2[k + 4] += a24
    s3[k] += a30
    s3[k + 1] += a31
    s3[k + 2] += a32
    s3[k + 3] += a33
    s3[k + 4] += a34


@kernel(inline=True)
def _add_class_scores(x0, x1, x2, x3, w, k, s0, s1, s2, s3):
    """s_i[k] += w . x_i for four rows and one class."""
    widen = w.dtype.type
    a0 = a1 = a2 = a3 = widen(0)
    for j in range(w.shape[0]):
        u = w[j]
        a0 += widen(x0[j]) * u
        a1 += widen(x1[j]) * u
        a2 += widen(x2[j]) * u
        a3 += widen(x3[j]) * u
    s0[k] += a0
    s1[k] += a1
    s2[k] += a2
    s3[k] += a3


@kernel(inline=True)
def _add_tile_gradient(x0, x1, x2, x3, r0, r1, r2, r3, k, g0, g1, g2, g3, g4):
    """g_c += sum over i of r_i[k + c] x_i for four rows and five classes."""
    widen = g0.dtype.type
    p00, p01, p02, p03, p04 = r0[k], r0[k + 1], r0[k + 2], r0[k + 3], r0[k + 4]
    p10, p11, p12, p13, p14 = r1[k], r1[k + 1], r1[k + 2], r1[k + 3], r1[k + 4]
    p20, p21, p22, p23, p24 = r2[k], r2[k + 1], r2[k + 2], r2[k + 3], r2[k + 4]
    p30, p31, p32, p33, p34 = r3[k], r3[k + 1], r3[k + 2], r3[k + 3], r3[k + 4]
    for j in range(x0.shape[0]):
        v0, v1, v2, v3 = widen(x0[j]), widen(x1[j]), widen(x2[j]), widen(x3[j])
        g0[j] += v0 * p00 + v1 * p10 + v2 * p20 + v3 * p30
        g1[j] += v0 * p01 + v1 * p11 + v2 * p21 + v3 * p31
        g2[j] += v0 * p02 + v1 * p12 + v2 * p22 + v3 * p32
        g3[j] += v0 * p03 + v1 * p13 + v2 * p23 + v3 * p33
        g4[j] += v0 * p04 + v1 * p14 + v2 * p24 + v3 * p34


@kernel(inline=True)
def _add_class_gradient(x0, x1, x2, x3, p0, p1, p2, p3, g):
    """g += sum over i of p_i x_i for four rows and one class."""
    widen = g.dtype.type
    for j in range(g.shape[0]):
        g[j] += widen(x0[j]) * p0 + widen(x1[j]) * p1 + widen(x2[j]) * p2 + widen(x3[j]) * p3


@kernel
def _chunk_width(n_features, itemsize):
    """Return how many features a product walks at once: as even as can be, in whole vectors."""
    n_chunks = max(1, (n_features * itemsize + CHUNK_BYTES - 1) // CHUNK_BYTES)
    width = (n_features + n_chunks - 1) // n_chunks
    return max(16, (width + 15) // 16 * 16)


@kernel
def _prefetch_width(n_columns, n_features, chunk, n_classes):
    """Return how many of n_columns columns to prefetch with each of the products of a group of rows."""
    n_products = (n_features + chunk - 1) // chunk * (n_classes // CLASSES + n_classes % CLASSES)
    return (n_columns + n_products - 1) // n_products


@kernel(inline=True)
def _prefetch_columns(X, rows, t, first, last):
    """Prefetch the columns ``first`` to ``last`` of the rows ``rows[t:t + ROWS]``, as far as they exist."""
    for i in range(t, min(t + ROWS, rows.shape[0])):
        prefetch_row(X[rows[i]], first, last)


@kernel
def fill_scores(X, rows, start, stop, ahead, ahead_columns, coef, intercept, scores):
    """scores[i] = coef X[rows[start + i]] + intercept for i < stop - start.

    rows (m,) are row numbers; scores (tile rows, K) is overwritten, up to ROWS - 1 rows past the last one
    included. Of the rows ``ahead`` places further on the first ``ahead_columns`` columns are prefetched.
    """
    n_features = X.shape[1]
    n_classes = coef.shape[0]
    panels_end = n_classes - n_classes % CLASSES
    chunk = _chunk_width(n_features, coef.itemsize)
    width = _prefetch_width(ahead_columns, n_features, chunk, n_classes)
    column = 0
    scores[: stop - start + (start - stop) % ROWS] = intercept
    for first in range(0, n_features, chunk):
        last = min(first + chunk, n_features)
        for k in range(0, panels_end, CLASSES):
            w0, w1, w2 = coef[k, first:last], coef[k + 1, first:last], coef[k + 2, first:last]
            w3, w4 = coef[k + 3, first:last], coef[k + 4, first:last]
            for t in range(start, stop, ROWS):
                _prefetch_columns(X, rows, t + ahead, column, min(column + width, ahead_columns))
                i = t - start
                _add_tile_scores(
                    X[rows[t], first:last],
                    X[rows[min(t + 1, stop - 1)], first:last],
                    X[rows[min(t + 2, stop - 1)], first:last],
                    X[rows[min(t + 3, stop - 1)], first:last],
                    w0, w1, w2, w3, w4, k, scores[i], scores[i + 1], scores[i + 2], scores[i + 3],
                )  # fmt: skip
            column += width
        for k in range(panels_end, n_classes):
            for t in range(start, stop, ROWS):
                _prefetch_columns(X, rows, t + ahead, column, min(column + width, ahead_columns))
                i = t - start
                _add_class_scores(
                    X[rows[t], first:last],
                    X[rows[min(t + 1, stop - 1)], first:last],
                    X[rows[min(t + 2, stop - 1)], first:last],
                    X[rows[min(t + 3, stop - 1)], first:last],
                    coef[k, first:last], k, scores[i], scores[i + 1], scores[i + 2], scores[i + 3],
                )  # fmt: skip
            column += width


@kernel
def add_gradient(X, rows, start, stop, ahead, ahead_columns, residuals, gradient):
    """gradient += residuals' X[rows[start:stop]].

    residuals (tile rows, K), of which stop - start rows are read and up to ROWS - 1 rows more are set to zero;
    gradient (K, d). Of the rows ``ahead`` places further on the columns from ``ahead_columns`` on are prefetched.
    """
    n_features = X.shape[1]
    n_classes = gradient.shape[0]
    panels_end = n_classes - n_classes % CLASSES
    chunk = _chunk_width(n_features, gradient.itemsize)
    width = _prefetch_width(n_features - ahead_columns, n_features, chunk, n_classes)
    column = ahead_columns
    residuals[stop - start : stop - start + (start - stop) % ROWS] = 0
    for first in range(0, n_features, chunk):
        last = min(first + chunk, n_features)
        for k in range(0, panels_end, CLASSES):
            g0, g1, g2 = gradient[k, first:last], gradient[k + 1, first:last], gradient[k + 2, first:last]
            g3, g4 = gradient[k + 3, first:last], gradient[k + 4, first:last]
            for t in range(start, stop, ROWS):
                _prefetch_columns(X, rows, t + ahead, column, min(column + width, n_features))
                i = t - start
                _add_tile_gradient(
                    X[rows[t], first:last],
                    X[rows[min(t + 1, stop - 1)], first:last],
                    X[rows[min(t + 2, stop - 1)], first:last],
                    X[rows[min(t + 3, stop - 1)], first:last],
                    residuals[i], residuals[i + 1], residuals[i + 2], residuals[i + 3], k, g0, g1, g2, g3, g4,
                )  # fmt: skip
            column += width
        for k in range(panels_end, n_classes):
            for t in range(start, stop, ROWS):
                _prefetch_columns(X, rows, t + ahead, column, min(column + width, n_features))
                i = t - start
                _add_class_gradient(
                    X[rows[t], first:last],
                    X[rows[min(t + 1, stop - 1)], first:last],
                    X[rows[min(t + 2, stop - 1)], first:last],
                    X[rows[min(t + 3, stop - 1)], first:last],
                    residuals[i, k], residuals[i + 1, k], residuals[i + 2, k], residuals[i + 3, k],
                    gradient[k, first:last],
                )  # fmt: skip
            column += width


@kernel
def turn_scores_to_residuals(scores, labels, weights, rows, start):
    """Overwrite scores (m, K) of the rows ``rows[start:start + m]`` with s_i dl_i/dscores; return sum s_i l_i.

    K = 1: l = log(1 + exp(-z)), z the score times +1 for label 1 and -1 for label 0. Else l = logsumexp(scores) -
    score of the label. Both are shifted so that no score overflows; sums over rows are float64.
    """
    if scores.shape[1] == 1:
        return _logistic_residuals(scores.reshape(scores.shape[0]), labels, weights, rows, start)
    return _softmax_residuals(scores, labels, weights, rows, start)


@kernel
def _logistic_residuals(scores, labels, weights, rows, start):
    n_rows = scores.shape[0]
    signs, row_weights, exponentials = np.empty((3, n_rows), scores.dtype)
    one, zero = scores.dtype.type(1), scores.dtype.type(0)
    for i in range(n_rows):
        row = rows[start + i]
        signs[i] = 2 * labels[row] - 1
        row_weights[i] = weights[row]
        exponentials[i] = -abs(scores[i])
    exponentiate_in_place(exponentials)
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


@kernel
def _softmax_residuals(scores, labels, weights, rows, start):
    n_rows, n_classes = scores.shape
    loss = 0.0
    for i in range(n_rows):
        row = rows[start + i]
        s = scores[i]
        largest = s[0]
        for k in range(1, n_classes):
            # NaN, of a training that diverged, must not get lost in comparisons: it then reaches loss and residuals.
            largest = s[k] if s[k] > largest or s[k] != s[k] else largest
        for k in range(n_classes):
            s[k] -= largest
        loss -= np.float64(weights[row]) * np.float64(s[labels[row]])
    exponentiate_in_place(scores.reshape(n_rows * n_classes))
    for i in range(n_rows):
        row = rows[start + i]
        s = scores[i]
        total = 0.0
        for k in range(n_classes):
            total += np.float64(s[k])
        loss += np.float64(weights[row]) * math.log(total)
        scale = weights[row] / s.dtype.type(total)
        for k in range(n_classes):
            s[k] *= scale
        s[labels[row]] -= weights[row]
    return loss


@kernel
def block_rows(block, n_blocks, n_rows):
    """Return the row numbers of one of n_blocks blocks of n_rows rows."""
    return np.arange(block * n_rows // n_blocks, (block + 1) * n_rows // n_blocks)


@kernel
def _move_sum(part, total):
    """total += part (d,), then part = 0."""
    for j in range(part.shape[0]):
        total[j] += part[j]
        part[j] = 0


@kernel
def fill_block_loss_and_gradient(
    block, n_blocks, X, labels, weights, coef, intercept, tile_rows, losses, gradients, intercept_gradients
):
    """Fill the block's slice of losses (B,), gradients (B, K, d) and intercept_gradients (B, K), all float64.

    losses[block] = sum s_i l_i and its derivatives, over the rows n block / B to n (block + 1) / B: one walk
    over X. The gradient of PART_ROWS rows is summed in the type of coef, beyond that in float64.
    """
    n_rows, n_features = X.shape
    n_classes = coef.shape[0]
    rows = block_rows(block, n_blocks, n_rows)
    n_rows = rows.shape[0]
    scores = empty_aligned(tile_rows, n_classes, coef)
    part = empty_aligned(n_classes, n_features, coef)
    part[:] = 0
    sum_rows = max(PART_ROWS, tile_rows)
    gradient = gradients[block]
    intercept_gradient = intercept_gradients[block]
    gradient[:] = 0
    intercept_gradient[:] = 0
    loss = 0.0
    for start in range(0, n_rows, tile_rows):
        stop = min(start + tile_rows, n_rows)
        fill_scores(X, rows, start, stop, tile_rows, n_features // 2, coef, intercept, scores)
        loss += turn_scores_to_residuals(scores[: stop - start], labels, weights, rows, start)
        for i in range(stop - start):
            for k in range(n_classes):
                intercept_gradient[k] += scores[i, k]
        add_gradient(X, rows, start, stop, tile_rows, n_features // 2, scores, part)
        if stop % sum_rows < tile_rows or stop == n_rows:
            for k in range(n_classes):
                _move_sum(part[k], gradient[k])
    losses[block] = loss


@kernel
def fill_block_scores(block, n_blocks, X, coef, intercept, tile_rows, scores):
    """scores[i] = coef X[i] + intercept for the rows i of the block; scores (n, K)."""
    rows = block_rows(block, n_blocks, X.shape[0])
    n_rows = rows.shape[0]
    tile = np.empty((tile_rows, coef.shape[0]), coef.dtype)
    for start in range(0, n_rows, tile_rows):
        stop = min(start + tile_rows, n_rows)
        fill_scores(X, rows, start, stop, tile_rows, X.shape[1], coef, intercept, tile)
        scores[rows[start] : rows[start] + stop - start] = tile[: stop - start]
