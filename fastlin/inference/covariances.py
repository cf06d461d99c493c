"""Covariances of the parameters: of the model, robust ones, and for penalized models.

With the Hessian H of J, the Hessian F of the mean loss, and M = sum_i c_i g_i g_i', g_i = x~_i (p_i - e_i)', all times
S, the covariances are "model" and "laplace" H^-1, "sandwich" H^-1 F H^-1, and robust H^-1 M H^-1. c_i is s_i for rows
that stand for s_i equal ones, and s_i^2 for weights that say how much a row counts (Huber 1967, White 1982).

Where rows of a cluster depend on each other M is sum over the clusters of u u', u the sum over the rows of a cluster of
s_i g_i (Liang and Zeger 1986). With several keys the covariances by all combinations are added, or subtracted if their
number is even (Cameron, Gelbach and Miller 2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from fastlin.inference.hessian import MIN_DIGITS, SUM_ERROR, Information, multiply
from fastlin.inference.optimum import Optimum
from fastlin.matrices.dense import DenseMatrix
from fastlin.matrices.matrix import PROBABILITY_BYTES, SCORE_BYTES, Passes
from fastlin.objective.point import Point
from fastlin.tensors import read_in_place
from fastlin.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.inference.estimation import Question


def find_covariance(
    optimum: Optimum, units: sparse.csr_array, question: Question, n_samples: float
) -> tuple[FloatArray, tuple[int, ...]]:
    """Return the covariance (m, m) of the coefficients of units (m, K (d + 1)) for a total weight of one.

    The clusters of each key come with it. CollinearityError, ValueError: the covariance would be rounding.
    """
    curvature, point, n_clusters = optimum.curvature, optimum.point, ()
    rows, solved = point.objective.rows, curvature.solve_units(units)
    is_model, unit_power = question.covariance == "model", question.weights.unit ** (question.power - 1)
    if is_model and question.penalized != "sandwich":
        found = units @ solved.T
    elif isinstance(curvature, Information):
        if is_model:
            middle = curvature.of_loss
        elif question.covariance == "cluster":
            middle, n_clusters = _sum_over_clusters(point, question.clusters)
            middle *= question.weights.unit
        else:
            middle = rows.sum_by_pairs(multiply_scores, point.parameters, question.power) * unit_power
        found = _wrap(curvature, solved, middle, n_samples, question)
    else:
        directions = solved.reshape(-1, *point.parameters.shape)
        if is_model:
            found = np.einsum("akj,bkj->ab", directions, [curvature.multiply_by_loss(each) for each in directions])
        else:
            found = rows.passes.sum_curvature(multiply_projected_scores, point.parameters, directions, question.power)
            found *= unit_power / rows.total_weight
    return 0.5 * (found + found.T), n_clusters


def _wrap(information, solved, middle, n_samples, question):
    """Return solved middle solved' for rows of H^-1, solved (m, K (d + 1)); ValueError: all of it is rounding."""
    # So that squares do not overflow.
    sizes = np.abs(solved).max(axis=1, keepdims=True)
    sizes[sizes == 0] = 1
    solved = solved / sizes
    found = multiply(multiply(solved, middle), solved.T)
    # Sums of rows' products are off by a part of themselves. Sums of clusters lose digits where the scores of a cluster
    # cancel; the inverses multiply both, in any direction.
    lost = (SUM_ERROR / 4 * middle) ** 2 + (n_samples * SUM_ERROR**2 * information.of_loss) ** 2
    lost = np.sqrt(np.einsum("ij,ij->i", multiply(solved**2, lost), solved**2))
    if (lost > MIN_DIGITS * np.abs(np.diagonal(found))).any():
        kind = "penalized='sandwich'" if question.covariance == "model" else f"covariance={question.covariance!r}"
        raise ValueError(
            f"The standard errors of {kind} would be rounding, since their terms cancel: columns depend on each other, "
            "but for a weak penalty or for little, the scores of each cluster sum to zero, or a row of a tiny weight "
            "alone keeps classes from being separated."
        )
    with np.errstate(over="ignore"):
        return found * sizes * sizes.T


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


def multiply_projected_scores(passes: Passes, probabilities: FloatArray, solved: FloatArray, power: int) -> FloatArray:
    """Return sum_i s_i^power u_i u_i', (E, E), u_ie the row's part of the gradient times solved[e]."""
    (n_solved, K, size), weights = solved.shape, passes.samples.weigh() ** power
    scores = passes.compute_scores(solved.reshape(-1, size)).reshape(-1, n_solved, K)
    projected = np.einsum("iek,ki->ei", scores, find_residuals(passes, probabilities))
    return np.einsum("ei,fi,i->ef", projected, projected, weights)


def count_weights(passes: Passes, probabilities: FloatArray, unit: float) -> FloatArray:
    """Return how many rows have a weight above zero, and one that is not whole, (2,), as a term of `sum_curvature`."""
    weights = passes.samples.weigh() * unit
    return np.array([np.count_nonzero(weights > 0), np.count_nonzero(weights != np.round(weights))], np.float64)


def read_clusters(clusters: ArrayLike | Sequence[ArrayLike], n_rows: int) -> list[IntArray]:
    """Return the number of each row's cluster, (n_rows,) from 0 on, by each key; ValueError: some are missing."""
    keys = _split_keys(clusters, n_rows)
    numbers: list[IntArray] = []
    for key in keys:
        if key.shape != (n_rows,):
            raise ValueError(
                f"clusters must hold one entry for each of the {n_rows} rows, for each of its keys, got the shape "
                f"{key.shape}."
            )
        try:
            is_known = not (key != key).any()
            numbers.append(np.unique(key, return_inverse=True)[1].reshape(-1))
        except TypeError:
            # None is not less than a text, and NA of pandas is neither equal to itself nor not.
            is_known = False
        if not is_known:
            raise ValueError(
                "clusters must name a cluster for each row by entries that can be sorted, none of them None or NaN."
            )
    return numbers


def _split_keys(clusters, n_rows):
    """Return the keys as arrays: columns of a table or of an array (n_rows, n_keys), or the arrays of a list."""
    if hasattr(clusters, "columns"):
        # Those of Arrow are the columns themselves, and no names.
        return [np.asarray(each if hasattr(each, "to_pylist") else clusters[each]) for each in clusters.columns]
    is_list = isinstance(clusters, (list, tuple)) and len(clusters) not in (0, n_rows)
    if is_list and all(np.ndim(each) == 1 for each in clusters):
        return [np.asarray(read_in_place(each, "clusters")) for each in clusters]
    array = np.asarray(read_in_place(clusters, "clusters"))
    return list(array.T) if array.ndim == 2 else [array]


def _sum_over_clusters(point, keys):
    """Return the sum of `multiply_cluster_sums` over the combinations of keys, with their factors, and the clusters."""
    rows = point.objective.rows
    middle, n_clusters = np.zeros(2 * (point.parameters.size,)), []
    weighty = rows.weights > 0 if len(rows.weights) else slice(None)
    for n_keys in range(1, len(keys) + 1):
        for chosen in combinations(keys, n_keys):
            numbers = chosen[0]
            for key in chosen[1:]:
                numbers = np.unique(numbers * (int(key.max()) + 1) + key, return_inverse=True)[1].reshape(-1)
            n_found = len(np.unique(numbers[weighty]))
            if n_found < 2:
                raise ValueError("covariance='cluster' needs at least two clusters, but all rows lie in one.")
            sign = 1 if n_keys % 2 else -1
            middle += sign * n_found / (n_found - 1) * multiply_cluster_sums(point, numbers)
            n_clusters.append(n_found)
    # Those of single keys come first.
    return middle, tuple(n_clusters[: len(keys)])


def multiply_cluster_sums(point: Point, numbers: IntArray) -> FloatArray:
    """Return sum of u u' over the clusters (n,) of the rows, divided by S, (K (d + 1), K (d + 1))."""
    rows: Any = point.objective.rows
    K, size = point.parameters.shape
    clusters_per_batch, rows_per_batch = max(1, PROBABILITY_BYTES // (8 * K * size)), max(1, SCORE_BYTES // (8 * size))
    n_clusters, total = int(numbers.max()) + 1, np.zeros((K * size, K * size))
    for first in range(0, n_clusters, clusters_per_batch):
        sums = np.zeros((min(clusters_per_batch, n_clusters - first), K, size))
        positions = np.flatnonzero((numbers >= first) & (numbers < first + len(sums)))
        for start in range(0, len(positions), rows_per_batch):
            chunk = positions[start : start + rows_per_batch]
            passes, probabilities = rows.take(chunk).passes, np.empty((K, len(chunk)))
            passes.evaluate(point.parameters, probabilities, np.empty((K, size)))
            x, at = passes.read_rows(), (numbers[chunk] - first, np.arange(len(chunk)))
            for k, residuals in enumerate(find_residuals(passes, probabilities) * passes.samples.weigh()):
                sums[:, k] += sparse.csr_array((residuals, at), (len(sums), len(chunk))) @ x
        # By the kernels, with the same bits for any number of threads.
        by_cluster = DenseMatrix(sums.reshape(len(sums), -1))
        total += by_cluster.gram(np.ones(len(sums)), np.float64)[:-1, :-1]
    return rows.average_pairs(total)
