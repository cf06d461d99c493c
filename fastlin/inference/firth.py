"""Firth's bias-reducing penalty: the log-likelihood plus half the log-determinant of its information.

Its maximum is finite whatever the classes look like, and its bias is of order 1 / n^2 in place of 1 / n (Firth 1993).
The derivative of the penalty by the coefficients of class c is, with V_ab = x_i' (I^-1)_ab x_i (Kosmidis and Firth
2011), all classes but the reference in the sums::

    (1/2) sum_i s_i p_c (V_cc - sum_a p_a V_aa - 2 sum_a V_ca p_a + 2 sum_ab p_a V_ab p_b) x_i

For two classes that is sum_i h_i (1/2 - p_i) x_i, h_i being the leverage of the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.inference.likelihood import State
    from fastlin.matrices.matrix import Passes


def adjust_score(state: State) -> FloatArray:
    """Return the derivative of log det I / 2 at a State, (R, P)."""
    likelihood, root = state.likelihood, state.factor.inverse_root
    R, P = likelihood.shape
    rows = likelihood.objective.rows
    # Row m of the root of I^-1, as one row of parameters for each class.
    roots = np.zeros((R * P * R, rows.matrix.shape[1] + 1))
    roots[:, likelihood.free] = root.reshape(R * P * R, P)
    found = rows.passes.sum_curvature(sum_adjustments, likelihood.to_parameters(state.theta), roots)
    rows.count_pass()
    return likelihood.unit * found[:, likelihood.free]


def sum_adjustments(passes: Passes, probabilities: FloatArray, roots: FloatArray) -> FloatArray:
    """Return the derivative of log det I / 2 of a piece, (R, d + 1); roots (R P R, d + 1) are R' R = I^-1."""
    K = len(probabilities)
    n_classes = max(1, K - 1)
    probabilities = probabilities[-n_classes:]
    multipliers = np.empty(probabilities.shape)
    for part, scores in passes.score_parts(roots):
        p = probabilities[:, part]
        turned = scores.reshape(len(scores), -1, n_classes)
        if n_classes == 1:
            multipliers[0, part] = np.einsum("im,im->i", turned[:, :, 0], turned[:, :, 0]) * p[0]
            multipliers[0, part] *= (1 - p[0]) * (0.5 - p[0])
            continue
        V = np.einsum("ima,imb->abi", turned, turned)
        own = np.einsum("aai->ai", V)
        mixed = np.einsum("abi,bi->ai", V, p)
        common = np.einsum("ai,ai->i", p, 2 * mixed - own)
        multipliers[:, part] = 0.5 * p * (own - 2 * mixed + common)
    multipliers *= passes.samples.weigh()
    return passes.gram(passes.samples.rows, multipliers, np.float64)[:, :, -1]
