"""Kernels that compare probabilities, moved by their own linearisation, with those where the move ends."""

import numpy as np

from fastlin.kernels.linear.residuals import weight_of
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.exponential import log_from_one

# Rows whose moves stay in the first-level cache.
TILE_ROWS = 256
# The logarithm of a probability may change by so much: beyond, the rounding of the smaller one grows too large.
LARGEST_MOVE = 2.0
# The probability of the less likely of two classes is a difference from one, of which this much has clear digits.
DECIDED = 2.0**-42
# The places of what fill_block_divergences sums: the divergences, and the numbers of rows that are certain or leave.
DIVERGENCE, N_DECIDED, N_LEAVING = range(3)


@kernel
def fill_block_divergences(block, n_blocks, before, after, rows, weights, sums, leaving):
    """sums (B, 3) of sum_i s_i KL(alpha_i || after_i), and which of the block's rows leave, (m,) bool.

    before and after (K, m) are probabilities p and q, of which one row stands for two classes. With the moves t_k =
    log(q_k / p_k) and their mean t = sum_k p_k t_k the linearised probabilities are alpha_k = p_k (1 + t_k - t). Rows
    leave where one of these is not positive, or a move is large. Rows of two classes that are certain at both ends have
    alpha = q. Rows leave and count only with a weight, of rows as Samples has them.
    """
    n_classes, n_rows = before.shape
    first, last = block * n_rows // n_blocks, (block + 1) * n_rows // n_blocks
    total, n_decided, n_leaving = 0.0, 0, 0
    both = zeros_aligned((4, TILE_ROWS), np.float64)
    moves = zeros_aligned((max(n_classes, 2), TILE_ROWS), np.float64)
    row_weights, means, divergences, known = zeros_aligned((4, TILE_ROWS), np.float64)
    for start in range(first, last, TILE_ROWS):
        m = TILE_ROWS if start + TILE_ROWS < last else last - start
        for i in range(m):
            row = rows[start + i] if rows.shape[0] > 0 else start + i
            row_weights[i] = weight_of(weights, row)
            means[i], divergences[i], known[i] = 0.0, 0.0, 1.0
        if n_classes == 1:
            p, q = before[0, start : start + m], after[0, start : start + m]
            for i in range(m):
                both[0, i], both[1, i], both[2, i], both[3, i] = 1.0 - p[i], p[i], 1.0 - q[i], q[i]
        for k in range(moves.shape[0]):
            p = both[k, :m] if n_classes == 1 else before[k, start : start + m]
            q = both[2 + k, :m] if n_classes == 1 else after[k, start : start + m]
            t = moves[k]
            for i in range(m):
                # log_from_one takes numbers below one as well, whose logarithms have no small relative error then.
                t[i] = log_from_one(q[i] / p[i])
                means[i] += p[i] * t[i]
        for k in range(moves.shape[0]):
            p = both[k, :m] if n_classes == 1 else before[k, start : start + m]
            q = both[2 + k, :m] if n_classes == 1 else after[k, start : start + m]
            t = moves[k]
            for i in range(m):
                linear = p[i] * (1.0 + t[i] - means[i])
                divergences[i] += linear * log_from_one(linear / q[i])
                known[i] = known[i] if (linear > 0.0) & (abs(t[i]) <= LARGEST_MOVE) else 0.0
        for i in range(m):
            is_decided = False
            if n_classes == 1:
                is_decided = (max(both[0, i], both[2, i]) < DECIDED) | (max(both[1, i], both[3, i]) < DECIDED)
            counts = (row_weights[i] > 0.0) & (not is_decided)
            leaves = counts & (known[i] == 0.0)
            leaving[start + i] = leaves
            n_leaving += leaves
            n_decided += is_decided
            total += row_weights[i] * divergences[i] if counts & (not leaves) else 0.0
    sums[block, DIVERGENCE], sums[block, N_DECIDED], sums[block, N_LEAVING] = total, n_decided, n_leaving
