"""Covariances of the parameters: of the model, robust ones, and for penalised models.

With the Hessian H of J, the Hessian F of the mean loss, and M = sum_i c_i g_i g_i', g_i = x~_i (p_i - e_i)', all times
S, the covariances are "model" and "laplace" H^-1, "sandwich" H^-1 F H^-1, and robust H^-1 M H^-1. c_i is s_i for rows
that stand for s_i equal ones, and s_i^2 for weights that say how much a row counts (Huber 1967, White 1982).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.inference.information import Information
    from fastlin.matrices.matrix import Passes


def wrap(information: Information, middle: FloatArray) -> FloatArray:
    """Return H^-1 middle H^-1 for the factorised Hessian H and a symmetric matrix, symmetric to the last bit."""
    half = information.factor.solve(middle)
    found = information.factor.solve(np.ascontiguousarray(half.T))
    found += found.T.copy()
    found *= 0.5
    return found


def find_residuals(passes: Passes, probabilities: FloatArray) -> FloatArray:
    """Return p_ik - e_ik of the rows of passes, (K, m), in place of their probabilities; e_i may be targets."""
    rows, labels, targets = passes.samples.rows, passes.samples.labels, passes.samples.targets
    if len(targets):
        probabilities -= (targets[rows] if len(rows) else targets).T
        return probabilities
    own = labels[rows] if len(rows) else labels
    if len(probabilities) == 1:
        probabilities[0] -= own
    else:
        probabilities[own, np.arange(len(own))] -= 1
    return probabilities


def multiply_scores(passes: Passes, probabilities: FloatArray, power: int) -> FloatArray:
    """Return sum_i s_i^power g_i g_i', (K (d + 1), K (d + 1)), as a term of `Passes.sum_curvature`."""
    residuals, weights = find_residuals(passes, probabilities), passes.samples.weigh() ** power
    K, m = passes.shape
    total = np.empty((K, m, K, m))
    for k in range(K):
        grams = passes.gram(passes.samples.rows, residuals[: k + 1] * (residuals[k] * weights), np.float64)
        for other, gram in enumerate(grams):
            total[k, :, other], total[other, :, k] = gram, gram
    return total.reshape(K * m, K * m)


def count_weights(passes: Passes, probabilities: FloatArray, unit: float) -> FloatArray:
    """Return how many rows have a weight above zero, and one that is not whole, (2,), as a term of `sum_curvature`."""
    weights = passes.samples.weigh() * unit
    return np.array([np.count_nonzero(weights > 0), np.count_nonzero(weights != np.round(weights))], np.float64)
