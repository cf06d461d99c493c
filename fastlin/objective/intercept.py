"""The intercept alone: a Newton step that makes it stationary, so that the certificate depends on the features only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.machine.vectors import dot
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.point import Point

# Steps of conjugate gradients.
SETTLING_STEPS = 20
# A direction is flat where its curvature is below this part of the largest that it may have.
FLATNESS = 1e-10


def settle_intercept(point: Point) -> FloatArray | None:
    """Return the parameters after a Newton step of the intercept alone.

    The step solves (diag(m) - E[p p']) step = gradient, m the mean probabilities, by conjugate gradients. A point that
    never had room for probabilities has them computed anew, some rows at a time, which takes a pass.

    Returns
    -------
    ndarray of shape (K, d + 1) or None
        None where there is no intercept, rows enter by their tangent, K^2 numbers are beyond the budget, or all
        probabilities are 0 or 1.

    Raises
    ------
    RuntimeError
        The room of the point was given to another point.
    """
    objective = point.objective
    if not objective.fit_intercept or objective.linearisation is not None:
        return None
    if point.lease is None:
        K = objective.n_rows_coef
        if not objective.budget.holds_hessian(K, objective.n_rows * K**2 // 2):
            return None
        shares, diagonal, multiply = _sum_curvature(point)
    else:
        shares, diagonal, multiply = _read_curvature(point)
    if not diagonal.min() > 0:
        return None
    step = np.zeros(len(diagonal))
    residual = point.gradient[:, -1].copy()
    # Equal steps of all classes change nothing: along them there is neither slope nor curvature but rounding.
    is_flat = len(residual) > 1
    residual -= residual.mean() if is_flat else 0
    direction = solved = residual / diagonal
    square = first = dot(residual, solved)
    for _ in range(SETTLING_STEPS):
        product = multiply(direction)
        slope = dot(direction, product)
        if not slope > FLATNESS * float(np.sum(shares * direction * direction)):
            break
        step += square / slope * direction
        residual -= square / slope * product
        solved = residual / diagonal
        last, square = square, dot(residual, solved)
        if not square > 1e-8 * first:
            break
        direction = solved + square / last * direction
    settled = point.parameters.copy()
    settled[:, -1] -= step - step.mean() if is_flat else step
    return settled


def _read_curvature(point):
    """Return m, the diagonal of diag(m) - E[p p'] and what multiplies by it, from the probabilities of the point."""
    rows, probabilities = point.objective.rows, point.probabilities
    weights = np.broadcast_to(rows.weights_of(rows.numbers), rows.n_rows) / rows.total_weight
    # einsum, not BLAS, whose bits depend on its threads.
    shares = np.einsum("ki,i->k", probabilities, weights, dtype=np.float64)
    squares = np.einsum("ki,ki,i->k", probabilities, probabilities, weights, dtype=np.float64)

    def multiply(direction):
        means = np.einsum("ki,k->i", probabilities, direction, dtype=np.float64) * weights
        return shares * direction - np.einsum("ki,i->k", probabilities, means, dtype=np.float64)

    return shares, shares - squares, multiply


def _sum_curvature(point):
    """Return what `_read_curvature` returns, from sums of products of probabilities that are computed anew."""
    objective = point.objective
    gram = objective.rows.sum_probability_products(point.parameters, objective.fast_precision)
    shares, products = gram[:-1, -1], gram[:-1, :-1]
    return (
        shares,
        shares - np.diagonal(products),
        lambda direction: shares * direction - np.einsum("kl,l->k", products, direction),
    )
