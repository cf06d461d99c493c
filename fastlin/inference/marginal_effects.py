"""Marginal effects of features on class probabilities, with standard errors from the delta method.

The effect of feature j on class k is sum_l p_k p_l (W_kj - W_lj), averaged over the rows with their weights, or
evaluated at the mean of the rows. For two classes it is p (1 - p) w_j. One pass over the rows computes the means of p_k
p_l and of their derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement, permutations
from typing import Any, Literal

import numpy as np
from scipy.special import softmax

from fastlin.inference import tables
from fastlin.inference.contrasts import Contrasts
from fastlin.inference.hessian import BYTES_PER_BATCH, multiply
from fastlin.inference.hypotheses import WaldStatistics
from fastlin.matrices import Passes
from fastlin.objective.point import Point
from fastlin.typing import Array, FloatArray, IntArray

# Maximum size, in bytes, of the means of all products of three probabilities.
MAX_PRODUCT_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class MarginalEffects(WaldStatistics):
    """Marginal effects of the features on the probability of each class, returned by `Inference.marginal_effects`.

    The effects are derivatives, even for binary features. They sum to zero over the classes.

    Attributes
    ----------
    effects : ndarray of shape (n_classes, d)
        The effects: the change in probability per unit of the feature.
    std_errors : ndarray of shape (n_classes, d)
        The standard errors of the effects from the delta method, conditional on the rows.
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
    >>> marginal = model.inference(X[:, 1:3], y).marginal_effects()
    >>> marginal.effects.shape
    (3, 2)
    >>> bool(abs(marginal.effects.sum(axis=0)).max() < 1e-12)
    True
    """

    effects: FloatArray
    std_errors: FloatArray
    names: Array
    classes: Array
    at: str
    df_t: float | None = None

    @property
    def _wald_inputs(self):
        return self.effects, self.std_errors, self.df_t

    def table(self, level: float = 0.95) -> Any:
        """Return the effects with their standard errors, tests and intervals, one row per effect.

        Parameters
        ----------
        level : float
            Confidence level of the intervals, between 0 and 1.

        Returns
        -------
        pandas.DataFrame or dict of ndarray
            The columns class, feature, effect, std_error, z, p_value, lower and upper: a DataFrame indexed by class and
            feature, or a dict if pandas is not installed.
        """
        return tables.build_dataframe(tables.tabulate_estimates(self, "effect", level))

    def __repr__(self) -> str:
        """Return a table of the effects with their standard errors, tests and 95 % intervals."""
        n_classes, d = self.effects.shape
        columns = tables.tabulate_estimates(self, "effect", 0.95)
        title = f"marginal effects of {d} features on {n_classes} classes, at={self.at!r}"
        return f"{title}\n{tables.format_columns(columns)}"


def compute_marginal_effects(
    point: Point, covariance: FloatArray, contrasts: Contrasts, positions: IntArray, at: Literal["overall", "mean"]
) -> tuple[FloatArray, FloatArray]:
    """Return the effects (n_classes, d) of the features, in their original units, and their standard errors.

    `covariance` (K' q, K' q) belongs to the contrasts of columns `positions` (q,) at a point. Other covariances are
    zero. Raise a ValueError if `at` is neither "overall" nor "mean", or if there are too many classes and features.
    """
    if at not in ("overall", "mean"):
        raise ValueError(f"at must be 'overall' or 'mean', got {at!r}.")
    rows, coordinates = point.objective.rows, point.objective.coordinates
    parameters, (K, size), n_classes = point.parameters, point.parameters.shape, rows.n_classes
    if 8 * size * n_classes**3 > MAX_PRODUCT_BYTES:
        raise ValueError(
            f"The standard errors of the effects of {size - 1:,} features on {n_classes:,} classes need more than 1 GB "
            "of memory, for the means of all products of three probabilities. Fit with fewer features or classes."
        )
    # With two classes, the first class has no coefficients.
    whole = np.concatenate([np.zeros((n_classes - K, size)), parameters])
    # Products do not depend on the order of the classes, so only sorted triples are computed.
    class_triples = np.array(list(combinations_with_replacement(range(n_classes), 3))).T
    if at == "overall":
        means = rows.passes.sum_with_probabilities(sum_triple_products, parameters, class_triples) / rows.total_weight
    else:
        row, offset = np.append(coordinates.mean, 1.0), 0.0 if rows.offset_range is None else rows.offset_range.mean
        probabilities = softmax(np.einsum("kj,j->k", whole, row) + offset)
        means = _compute_triple_products(probabilities[:, None], class_triples) * row
    products = np.empty((n_classes, n_classes, n_classes, size))
    for order in permutations(class_triples):
        products[order] = means
    class_pair_means, differences = products.sum(axis=2), whole[:, None, :-1] - whole[:, :-1]
    weights = class_pair_means[..., -1]
    effects = np.einsum("kl,klj->kj", weights, differences) * coordinates.scale
    # For a row x~, the derivative of the mean of p_k p_l with respect to the parameters of class m is
    # p_k p_l ((k = m) + (l = m) - 2 p_m) x~.
    slopes, class_indices = products, np.arange(n_classes)
    slopes *= -2
    slopes[class_indices, :, class_indices] += class_pair_means
    slopes[:, class_indices, class_indices] += class_pair_means
    score_slopes = np.diag(weights.sum(axis=1)) - weights
    # These are the classes of the contrasts. The coefficients of the other class can be set to zero.
    reported_classes = contrasts.matrix.argmax(axis=1) if K > 1 else np.array([1])
    if K == 1:
        # Symmetric coefficients of two classes are half the parameters.
        covariance = covariance[: len(positions), : len(positions)] / contrasts.matrix[0, 0] ** 2
    variances, batch_size = (
        np.empty(effects.shape),
        max(1, BYTES_PER_BATCH // (8 * n_classes * len(reported_classes) * size)),
    )
    for first in range(0, size - 1, batch_size):
        features = np.arange(first, min(first + batch_size, size - 1))
        effect_derivatives = np.einsum("klmq,klj->kjmq", slopes[:, :, reported_classes], differences[..., features])
        effect_derivatives[:, np.arange(len(features)), :, features] += score_slopes[:, reported_classes]
        gradients = coordinates.convert_gradient(effect_derivatives)[..., positions]
        gradients = gradients.reshape(n_classes * len(features), -1)
        scaled = np.einsum("re,re->r", gradients, multiply(gradients, covariance)).reshape(n_classes, -1)
        variances[:, features] = scaled * coordinates.scale[features] * coordinates.scale[features]
    return effects, np.sqrt(np.maximum(variances, 0.0))


def sum_triple_products(passes: Passes, probabilities: FloatArray, class_triples: IntArray) -> FloatArray:
    """Return sum_i s_i p_k p_l p_m [x~_i, 1] for `class_triples` (3, n) of classes.

    It is a term of `Passes.sum_with_probabilities`.
    """
    size, n_class_triples = passes.shape[1], class_triples.shape[1]
    max_batch_rows = max(1, BYTES_PER_BATCH // (8 * (2 * size + 2 * n_class_triples)))
    total, first = np.zeros((n_class_triples, size)), 0
    for part in passes.split(max_batch_rows):
        weights = part.samples.get_row_weights()
        products = _compute_triple_products(probabilities[:, first : first + len(weights)], class_triples)
        total += multiply(products * weights, part.read_rows())
        first += len(weights)
    return total


def _compute_triple_products(probabilities, class_triples):
    if len(probabilities) == 1:
        probabilities = np.concatenate([1 - probabilities, probabilities])
    first_class, second_class, third_class = class_triples
    return probabilities[first_class] * probabilities[second_class] * probabilities[third_class]
