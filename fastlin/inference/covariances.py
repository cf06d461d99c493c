"""Model-based, robust and cluster-robust covariances of the parameters, and covariances for penalized models.

Let H be S times the Hessian of J, F be S times the Hessian of the mean loss, and M = sum_i c_i g_i g_i' with g_i = x~_i
(p_i - e_i)'. The covariances are H^-1 ("model", "laplace"), H^-1 F H^-1 ("sandwich") and H^-1 M H^-1 (robust). c_i is
s_i for frequency weights and s_i^2 for sampling weights (Huber 1967, White 1982).

For clusters, M is the sum of u u' over the clusters, where u is the sum of s_i g_i over the rows of a cluster (Liang
and Zeger 1986). Multiway clustering adds the covariances for all combinations of an odd number of keys, and subtracts
those for an even number (Cameron, Gelbach and Miller 2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from fastlin.containers.tensors import view_as_numpy
from fastlin.inference.hessian import MAX_VARIANCE_ERROR, RELATIVE_SUM_ERROR, InformationMatrix, multiply
from fastlin.inference.optimum import Optimum
from fastlin.matrices.dense import DenseMatrix
from fastlin.matrices.matrix import PROBABILITY_BATCH_BYTES, SCORE_BATCH_BYTES, Passes
from fastlin.objective.point import Point
from fastlin.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.inference.options import InferenceOptions


def compute_covariance(
    optimum: Optimum, units: sparse.csr_array, options: InferenceOptions, n_samples: float
) -> tuple[FloatArray, tuple[int, ...]]:
    """Return the covariance (m, m) of m coefficients for a total weight of one, and the number of clusters per key.

    Each coefficient is a row of `units` (m, K (d + 1)) times the parameters. Raise a CollinearityError or ValueError if
    rounding error would dominate the covariance.
    """
    curvature, point, n_clusters = optimum.curvature, optimum.point, ()
    rows, solved = point.objective.rows, curvature.multiply_inverse(units)
    is_model_based, weight_unit_factor = options.covariance == "model", options.weights.unit ** (options.power - 1)
    if is_model_based and options.penalized != "sandwich":
        covariance = units @ solved.T
    elif isinstance(curvature, InformationMatrix):
        if is_model_based:
            middle = curvature.of_loss
        elif options.covariance == "cluster":
            middle, n_clusters = _sum_over_cluster_keys(point, options.clusters)
            middle *= options.weights.unit
        else:
            middle = (
                rows.average_parameter_pair_terms(sum_score_products, point.parameters, options.power)
                * weight_unit_factor
            )
        covariance = _compute_sandwich(curvature, solved, middle, n_samples, options)
    else:
        directions = solved.reshape(-1, *point.parameters.shape)
        if is_model_based:
            hessian_products = [curvature.multiply_loss_hessian(direction) for direction in directions]
            covariance = np.einsum("akj,bkj->ab", directions, hessian_products)
        else:
            args = (sum_projected_score_products, point.parameters, directions, options.power)
            covariance = rows.passes.sum_with_probabilities(*args) * (weight_unit_factor / rows.total_weight)
    return 0.5 * (covariance + covariance.T), n_clusters


def _compute_sandwich(information, solved, middle, n_samples, options):
    """Return the product A M A'. A is `solved` (m, K (d + 1)) and contains rows of H^-1. M is `middle`.

    Raise a ValueError if rounding error dominates the result.
    """
    # The rows are scaled so that squares do not overflow.
    sizes = np.abs(solved).max(axis=1, keepdims=True)
    sizes[sizes == 0] = 1
    solved = solved / sizes
    covariance = multiply(multiply(solved, middle), solved.T)
    # Sums over rows have a relative rounding error. Sums over clusters lose more digits if the scores within a cluster
    # cancel. The inverses amplify both errors, which can have any direction.
    errors = (RELATIVE_SUM_ERROR / 4 * middle) ** 2 + (n_samples * RELATIVE_SUM_ERROR**2 * information.of_loss) ** 2
    errors = np.sqrt(np.einsum("ij,ij->i", multiply(solved**2, errors), solved**2))
    if (errors > MAX_VARIANCE_ERROR * np.abs(np.diagonal(covariance))).any():
        kind = "penalized='sandwich'" if options.covariance == "model" else f"covariance={options.covariance!r}"
        raise ValueError(
            f"The standard errors of {kind} would be dominated by rounding error, because their terms cancel: columns "
            "are nearly collinear or only weakly penalized, the scores of each cluster sum to zero, or only a row with "
            "a tiny weight keeps the classes from being separated. Remove collinear columns, or change the clusters or "
            "weights."
        )
    with np.errstate(over="ignore"):
        return covariance * sizes * sizes.T


def find_residuals(passes: Passes, probabilities: FloatArray) -> FloatArray:
    """Return the residuals p_ik - e_ik (K, m), and overwrite `probabilities` with them. e_i may be a soft label."""
    rows, labels, targets = passes.samples.rows, passes.samples.labels, passes.samples.targets
    if len(targets):
        probabilities -= (targets[rows] if len(rows) else targets).T
        return probabilities
    labels = labels[rows] if len(rows) else labels
    if len(probabilities) == 1:
        probabilities[0] -= labels
    else:
        probabilities[labels, np.arange(len(labels))] -= 1
    return probabilities


def sum_score_products(passes: Passes, probabilities: FloatArray, power: int) -> FloatArray:
    """Return sum_i s_i^power g_i g_i', (K (d + 1), K (d + 1)), as a term of `Passes.sum_with_probabilities`."""
    residuals, weights = find_residuals(passes, probabilities), passes.samples.get_row_weights() ** power
    K, m = passes.shape
    total = np.empty((K, m, K, m))
    for k in range(K):
        grams = passes.gram(passes.samples.rows, residuals[: k + 1] * (residuals[k] * weights), np.float64)
        for other, gram in enumerate(grams):
            total[k, :, other], total[other, :, k] = gram, gram
    return total.reshape(K * m, K * m)


def sum_projected_score_products(
    passes: Passes, probabilities: FloatArray, solved: FloatArray, power: int
) -> FloatArray:
    """Return sum_i s_i^power u_i u_i', (E, E), where u_ie is the inner product of g_i and solved[e]."""
    (n_directions, K, size), weights = solved.shape, passes.samples.get_row_weights() ** power
    scores = passes.compute_scores(solved.reshape(-1, size)).reshape(-1, n_directions, K)
    projected_scores = np.einsum("iek,ki->ei", scores, find_residuals(passes, probabilities))
    return np.einsum("ei,fi,i->ef", projected_scores, projected_scores, weights)


def count_positive_and_noninteger(passes: Passes, probabilities: FloatArray, unit: float) -> FloatArray:
    """Return the number of positive and of non-integer weights, as a term of `Passes.sum_with_probabilities`."""
    weights = passes.samples.get_row_weights() * unit
    return np.array([np.count_nonzero(weights > 0), np.count_nonzero(weights != np.round(weights))], np.float64)


def encode_clusters(clusters: ArrayLike | Sequence[ArrayLike], n_rows: int) -> list[IntArray]:
    """Return the cluster numbers (n_rows,) for each key, starting at 0. Raise a ValueError if values are missing."""
    keys = _split_cluster_keys(clusters, n_rows)
    numbers: list[IntArray] = []
    for key in keys:
        if key.shape != (n_rows,):
            raise ValueError(
                f"clusters must hold one entry per row for each key, shape ({n_rows},), got shape {key.shape}."
            )
        try:
            has_valid_values = not (key != key).any()
            numbers.append(np.unique(key, return_inverse=True)[1].reshape(-1))
        except TypeError:
            # None cannot be compared with strings, and comparisons of pandas' NA have no boolean value.
            has_valid_values = False
        if not has_valid_values:
            raise ValueError(
                "clusters must hold sortable entries without missing values, got None, NaN or mixed types. Fill in or "
                "drop those rows."
            )
    return numbers


def encode_single_key(clusters: ArrayLike, n_rows: int, rows: IntArray | slice = slice(None)) -> IntArray:
    """Return the cluster numbers of some of the rows, starting at 0, for a single key with at least two values."""
    keys = encode_clusters(clusters, n_rows)
    if len(keys) != 1:
        raise ValueError(f"clusters must be a single key of shape (n_samples,), got {len(keys)} keys.")
    codes = np.unique(keys[0][rows], return_inverse=True)[1]
    if not codes.any():
        raise ValueError("clusters must have at least two different values, but all rows have the same.")
    return codes


def _split_cluster_keys(clusters, n_rows):
    """Return a list of the keys as arrays.

    `clusters` is a table or array with one key per column, or a list of arrays.
    """
    if hasattr(clusters, "columns"):
        # In Arrow tables, `columns` contains the columns and not their names.
        return [np.asarray(key if hasattr(key, "to_pylist") else clusters[key]) for key in clusters.columns]
    is_list_of_keys = isinstance(clusters, (list, tuple)) and len(clusters) not in (0, n_rows)
    if is_list_of_keys and all(np.ndim(key) == 1 for key in clusters):
        return [np.asarray(view_as_numpy(key, "clusters")) for key in clusters]
    array = np.asarray(view_as_numpy(clusters, "clusters"))
    return list(array.T) if array.ndim == 2 else [array]


def _sum_over_cluster_keys(point, keys):
    """Return the signed sum of `sum_cluster_products` over key combinations, and the number of clusters per key."""
    rows = point.objective.rows
    middle, n_clusters = np.zeros(2 * (point.parameters.size,)), []
    has_weight = rows.weights > 0 if len(rows.weights) else slice(None)
    for n_keys in range(1, len(keys) + 1):
        for chosen in combinations(keys, n_keys):
            numbers = chosen[0]
            for key in chosen[1:]:
                numbers = np.unique(numbers * (int(key.max()) + 1) + key, return_inverse=True)[1].reshape(-1)
            count = len(np.unique(numbers[has_weight]))
            if count < 2:
                raise ValueError("covariance='cluster' requires at least two clusters, but all rows are in one.")
            sign = 1 if n_keys % 2 else -1
            middle += sign * count / (count - 1) * sum_cluster_products(point, numbers)
            n_clusters.append(count)
    # Combinations with a single key come first.
    return middle, tuple(n_clusters[: len(keys)])


def sum_cluster_products(point: Point, numbers: IntArray) -> FloatArray:
    """Return the matrix (K (d + 1), K (d + 1)), the sum of u u' over clusters divided by S.

    Row i is in cluster numbers[i].
    """
    rows: Any = point.objective.rows
    K, size = point.parameters.shape
    clusters_per_batch, rows_per_batch = (
        max(1, PROBABILITY_BATCH_BYTES // (8 * K * size)),
        max(1, SCORE_BATCH_BYTES // (8 * size)),
    )
    n_clusters, total = int(numbers.max()) + 1, np.zeros((K * size, K * size))
    for first in range(0, n_clusters, clusters_per_batch):
        sums = np.zeros((min(clusters_per_batch, n_clusters - first), K, size))
        positions = np.flatnonzero((numbers >= first) & (numbers < first + len(sums)))
        for start in range(0, len(positions), rows_per_batch):
            chunk = positions[start : start + rows_per_batch]
            passes, probabilities = rows.take(chunk).passes, np.empty((K, len(chunk)))
            passes.evaluate(point.parameters, probabilities, np.empty((K, size)))
            x, at = passes.read_rows(), (numbers[chunk] - first, np.arange(len(chunk)))
            for k, residuals in enumerate(find_residuals(passes, probabilities) * passes.samples.get_row_weights()):
                sums[:, k] += sparse.csr_array((residuals, at), (len(sums), len(chunk))) @ x
        # The kernels give the same bits for any number of threads.
        cluster_sums = DenseMatrix(sums.reshape(len(sums), -1))
        total += cluster_sums.gram(np.ones(len(sums)), np.float64)[:-1, :-1]
    return rows.average_parameter_pair_sums(total)
