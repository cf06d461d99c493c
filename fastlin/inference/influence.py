"""The influence of each row on the coefficients: how they move with its weight (Hampel 1974).

At the minimum of J with weights w of the rows, the derivative of the coefficients by w_i, when all other rows give up
that weight alike, is the infinitesimal jackknife's::

    U_i = -H^-1 (s_i r_i (x) x~_i - mean of these over the rows) / S

H is the Hessian of J with its penalty, r_i the probabilities of the row less its label. Coefficients that a penalty by
their size holds at zero, or that lie at a bound, do not move.
"""

from __future__ import annotations

import numpy as np

from fastlin.inference.covariances import find_residuals
from fastlin.inference.factors import Factor
from fastlin.inference.information import find_parts
from fastlin.objective.point import Point
from fastlin.typing import BoolArray, FloatArray, IntArray

# Bytes of the influences that are held together.
INFLUENCE_BYTES = 32 << 20


def find_acceleration(point: Point, free: BoolArray, clusters: IntArray | None) -> FloatArray | None:
    """Return a sixth of the sum of U^3 over the sum of U^2 to the power of 1.5 for each coefficient, (K, d + 1).

    U are the influences of rows, or their sums over clusters, numbered from 0; coefficients that nothing moves get
    zero. None: the Hessian is not definite.
    """
    rows, (K, size) = point.objective.rows, point.objective.shape
    residuals = find_residuals(rows.passes, point.probabilities.astype(np.float64))
    n = residuals.shape[1]
    residuals *= rows.weights_of(rows.numbers)
    moving = _find_moving(point, free)
    solved = _solve_for_coefficients(point, moving)
    if solved is None:
        return None
    accelerations = np.zeros(K * size)
    together = max(1, INFLUENCE_BYTES // (8 * K * n))
    for first in range(0, len(moving), together):
        directions = solved[first : first + together].reshape(-1, size)
        # Blocks are read once.
        scores = np.concatenate([part.compute_scores(directions) for part in rows.passes.split(n)]).reshape(n, -1, K)
        for place, own in zip(moving[first : first + together], scores.transpose(1, 2, 0), strict=True):
            accelerations[place] = _accelerate(np.einsum("ki,ki->i", own, residuals), clusters)
    return accelerations.reshape(K, size)


def _accelerate(influence, clusters):
    if clusters is not None:
        influence = np.bincount(clusters, influence)
    influence = influence - influence.mean()
    largest = np.abs(influence).max(initial=0.0)
    if not largest > 0:
        return 0.0
    influence /= largest
    squares, cubes = np.einsum("i,i->", influence, influence), np.einsum("i,i,i->", influence, influence, influence)
    # A larger weight of a row lowers its loss, hence the sign.
    return -cubes / (6 * squares**1.5)


def _find_moving(point, free):
    """Return the places of the coefficients and intercepts that a change of the weights moves."""
    objective = point.objective
    may_move = np.tile(free & find_parts(objective), (objective.shape[0], 1))
    if not objective.penalty.is_smooth:
        may_move &= (point.parameters != 0) | (objective.penalty.thresholds == 0)
    box = objective.penalty.box
    if box is not None:
        may_move &= box.is_free(point.parameters)
    return np.flatnonzero(may_move)


def _solve_for_coefficients(point, moving):
    """Return the rows of T H^-1 for coefficients that move, T unscaled; None where H is not definite."""
    objective = point.objective
    (K, size), shift = objective.shape, objective.coordinates.shift
    hessian = point.hessian().astype(np.float64)
    if K > 1:
        # Softmax is flat where all classes move alike; there a curvature changes no influence.
        is_flat = np.isin(np.arange(K * size), moving).reshape(K, size).all(axis=0)
        for j in np.flatnonzero(is_flat & (objective.penalty.curvatures == 0)):
            alike = np.arange(K) * size + j
            hessian[np.ix_(alike, alike)] += hessian[alike, alike].mean() / K
    factor = Factor(hessian[np.ix_(moving, moving)])
    if factor.first_dependent is not None:
        return None
    inverse = np.zeros((K * size, K * size))
    inverse[np.ix_(moving, moving)] = factor.invert()
    by_class = inverse.reshape(K, size, K * size)
    by_class[:, -1] += np.einsum("j,kjm->km", shift, by_class[:, :-1])
    if K > 1:
        # Intercepts sum to zero whatever the coefficients do.
        by_class[:, -1] -= by_class[:, -1].mean(axis=0)
    return inverse[moving]
