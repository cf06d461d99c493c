"""Marginal effects: by how much the probability of each class rises with each feature, with errors by the delta method.

The effect of feature j on class k is p_k (W_kj - sum_l p_l W_lj), as a weighted mean over the rows or at their mean;
for two classes p (1 - p) w_j. Its derivatives are means too, so rows are read in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement, permutations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastlin.inference import tables
from fastlin.inference.hypotheses import WaldTested
from fastlin.matrices import DenseMatrix
from fastlin.typing import Array, FloatArray

if TYPE_CHECKING:
    from fastlin.inference.contrasts import Contrasts
    from fastlin.matrices import Passes
    from fastlin.objective import Objective

# Bytes of the dense rows, and of the derivatives, that are held together.
BYTES_TOGETHER = 16 << 20
# Bytes that the means of all products of three probabilities may take.
MOST_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class MarginalEffects(WaldTested):
    """By how much the probability of each class changes with each feature. `Inference.marginal_effects` makes it.

    The effects are derivatives, also of features that are 0 or 1. They sum to zero over the classes.

    Attributes
    ----------
    effects : ndarray of shape (n_classes, d)
        The effects, in units of probability for a unit of the feature.
    std_errors : ndarray of shape (n_classes, d)
        Their standard errors by the delta method, with the rows taken as given.
    names, classes : ndarray of shapes (d,) and (n_classes,)
        The names of the features, and the classes.
    at : str
        "overall" for the mean effect over the rows, "mean" for the effect at the mean of the rows.
    df_t : float or None
        The degrees of freedom of Student's t; None for the normal distribution.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from fastlin import LogisticRegression
    >>> X, y = load_wine(return_X_y=True)
    >>> model = LogisticRegression(C=float("inf"), tol=1e-12).fit(X[:, 1:3], y)
    >>> found = model.inference(X[:, 1:3], y).marginal_effects()
    >>> found.effects.shape
    (3, 2)
    >>> bool(abs(found.effects.sum(axis=0)).max() < 1e-12)
    True
    """

    effects: FloatArray
    std_errors: FloatArray
    names: Array
    classes: Array
    at: str
    df_t: float | None = None

    @property
    def _to_test(self):
        return self.effects, self.std_errors, self.df_t

    def table(self, level: float = 0.95) -> Any:
        """Return the effects with their errors, tests and intervals, a line for each.

        Parameters
        ----------
        level : float
            That of the intervals.

        Returns
        -------
        pandas.DataFrame or dict of ndarray
            The columns class, feature, effect, std_error, z, p_value, lower and upper; a frame where pandas is
            installed, indexed by class and feature.
        """
        columns = tables.find_columns(self, "effect", self.effects, level)
        return tables.index_frame(columns, "class", "feature")

    def __repr__(self) -> str:
        """Return the effects with their errors, tests and intervals of 95 %, as a table."""
        n_classes, d = self.effects.shape
        columns = tables.find_columns(self, "effect", self.effects, 0.95)
        title = f"marginal effects of {d} features on {n_classes} classes, at={self.at!r}"
        return f"{title}\n{tables.lay_out_columns(columns)}"


def find_marginal_effects(
    objective: Objective,
    estimates: FloatArray,
    covariance: FloatArray,
    contrasts: Contrasts,
    at: Literal["overall", "mean"],
) -> tuple[FloatArray, FloatArray]:
    """Return the effects (n_classes, d) of the features, as they were given, and their standard errors.

    estimates (K', p) are the coefficients that the contrasts report, covariance (K' p, K' p) is theirs, and at is
    "overall" or "mean". ValueError: at is something else, or there are too many classes and features.
    """
    if at not in ("overall", "mean"):
        raise ValueError(f"at must be 'overall' or 'mean', got {at!r}.")
    rows, coordinates, (K, size) = objective.rows, objective.coordinates, objective.shape
    parameters = contrasts.to_parameters(estimates)
    if 8 * size * K**3 > MOST_BYTES:
        raise ValueError(
            f"The errors of the effects of {size - 1:,} features on {K:,} classes take the means of all products of "
            "three probabilities, which need more than 1 GB of memory."
        )
    if at == "overall":
        means = rows.passes.sum_curvature(sum_products, parameters) / rows.total_weight
    else:
        offset = rows.passes.sum_curvature(sum_offsets, np.zeros_like(parameters)) / rows.total_weight
        row = np.append(coordinates.mean, 1.0)
        scores = np.einsum("kj,j->k", parameters, row) + offset
        means = multiply_probabilities(_find_probabilities(scores)[:, None]) * row
    products, triples = _unpack(means, K)
    coef, scale = parameters[:, :-1], coordinates.scale
    together, of_one = products[..., -1], products[..., -1].sum(axis=1)
    effects = (coef * of_one[:, None] - np.einsum("kl,lj->kj", together, coef) if K > 1 else coef * together) * scale
    # The classes whose coefficients the contrasts report; other coefficients may be taken as zero.
    own, variances = contrasts.matrix.argmax(axis=1) if K > 1 else np.zeros(1, np.int64), np.empty(effects.shape)
    if K == 1:
        # Symmetric coefficients of two classes are halves.
        covariance = covariance[: contrasts.n_columns, : contrasts.n_columns] / contrasts.matrix[0, 0] ** 2
    n_together = max(1, BYTES_TOGETHER // (8 * K * len(own) * size))
    for first in range(0, size - 1, n_together):
        features = np.arange(first, min(first + n_together, size - 1))
        derivatives = _differentiate(coef, products, triples, own, features)
        # By the coefficients of the columns as they were given: v_j = w_j / scale_j, c = b - sum_j shift_j v_j.
        of_intercept = derivatives[..., -1:].copy()
        derivatives[..., :-1] -= of_intercept * coordinates.shift
        derivatives[..., :-1] /= scale
        by_rows = derivatives[..., : contrasts.n_columns].reshape(K * len(features), -1)
        spread = np.einsum("re,re->r", by_rows, multiply(by_rows, covariance)).reshape(K, -1)
        variances[:, features] = spread * scale[features] * scale[features]
    errors = np.sqrt(np.maximum(variances, 0.0))
    if K == 1:
        return np.concatenate([-effects, effects]), np.concatenate([errors, errors])
    return effects, errors


def multiply_probabilities(probabilities: FloatArray) -> FloatArray:
    """Return the products of probabilities (K, m) that effects are made of: p_k p_l and p_k p_l p_m, k <= l <= m."""
    K = len(probabilities)
    if K == 1:
        curvature = probabilities[0] * (1 - probabilities[0])
        return np.stack([curvature, curvature * (1 - 2 * probabilities[0])])
    pairs = {
        (k, other): probabilities[k] * probabilities[other] for k, other in combinations_with_replacement(range(K), 2)
    }
    triples = [probabilities[places[0]] * pairs[places[1:]] for places in combinations_with_replacement(range(K), 3)]
    return np.array([*pairs.values(), *triples])


def sum_products(passes: Passes, probabilities: FloatArray) -> FloatArray:
    """Return sum_i s_i q_i [x~_i, 1]', q what `multiply_probabilities` returns, as a term of `Passes.sum_curvature`."""
    K, size = passes.shape
    n_products = len(multiply_probabilities(np.zeros((K, 1))))
    most_rows = max(1, BYTES_TOGETHER // (8 * (2 * size + 2 * n_products)))
    total, first = np.zeros((n_products, size)), 0
    for part in passes.split(most_rows):
        weights = part.samples.weigh()
        products = multiply_probabilities(probabilities[:, first : first + len(weights)]) * weights
        total += multiply(products, part.read_rows())
        first += len(weights)
    return total


def multiply(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return left @ right of matrices (m, n) and (n, k), the same bits for any number of threads of BLAS."""
    return DenseMatrix(left).compute_scores(np.ascontiguousarray(right.T), np.zeros(right.shape[1]))


def sum_offsets(passes: Passes, probabilities: FloatArray) -> FloatArray:
    """Return the weighted sum of the offsets of the rows, (K,), as a term of `Passes.sum_curvature`."""
    rows, offsets = passes.samples.rows, passes.samples.offsets
    if not len(offsets):
        return np.zeros(len(probabilities))
    return np.einsum("i,ik->k", passes.samples.weigh(), offsets[rows] if len(rows) else offsets)


def _find_probabilities(scores):
    """Return the probabilities (K,) of scores (K,)."""
    from scipy.special import softmax

    return softmax(np.append(0.0, scores) if len(scores) == 1 else scores)[-len(scores) :]


def _unpack(means, K):
    """Return the means of x~ times products of two and three probabilities, (K, K, d + 1), (K, K, K, d + 1)."""
    size = means.shape[1]
    if K == 1:
        return means[:1, None], means[1:, None, None]
    products, triples = np.empty((K, K, size)), np.empty((K, K, K, size))
    rest = iter(means)
    for n_factors, found in ((2, products), (3, triples)):
        for classes in combinations_with_replacement(range(K), n_factors):
            mean = next(rest)
            for places in permutations(classes):
                found[places] = mean
    return products, triples


def _differentiate(coef, products, triples, own, features):
    """Return the derivatives of the effects of some features, (K, features, own classes, d + 1), by scaled parameters.

    That of p_k (W_kj - w_j), w_j = sum_l p_l W_lj, by the parameter of class m and column q is, for a row x~::

        x_q p_k (k = m) (W_kj - w_j) - x_q p_k p_m (W_kj + W_mj - 2 w_j) + (j = q) p_k ((k = m) - p_m)
    """
    K = len(coef)
    w, places = coef[:, features], np.arange(len(features))
    if K == 1:
        found = w.T[None, :, None] * triples[0, 0]
        found[0, places, 0, features] += products[0, 0, -1]
        return found
    found = 2 * np.einsum("lj,kmlq->kjmq", w, triples[:, own])
    found -= np.einsum("kj,kmq->kjmq", w, products[:, own]) + np.einsum("mj,kmq->kjmq", w[own], products[:, own])
    of_one = products.sum(axis=1)
    alone = np.einsum("kj,kq->kjq", w, of_one) - np.einsum("lj,klq->kjq", w, products)
    for place, k in enumerate(own):
        found[k, :, place] += alone[k]
        for other in range(K):
            found[other, places, place, features] += of_one[k, -1] * (other == k) - products[other, k, -1]
    return found
