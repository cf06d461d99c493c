"""The null (intercept-only) model, and a lower bound on its mean loss.

Without offsets, the intercepts are the logarithms of the class weights, and the bound is exact. With offsets, Newton's
method computes the intercepts. Each step reads the offsets and labels, but not X.

Bound. Let b be the intercepts, m the mean probabilities of the classes, and e = m minus the class weights. Then::

    J(b) - inf J <= sum_k |e_k| (1 + r + |b_k + c_k| - log m_k)

for any c, where o_i are the offsets and r is the largest difference between two entries of o_i - c.

Proof. J(b) = E H(p) + E (p - t) . o + sum_k e_k b_k. After the exchange of docs/derivations.md, section 4, the
distributions q have the class sums of the labels, and inf J >= E H(q) + E (q - t) . o. The entropy decreases by at most
the sum of e_k (1 - log m_k) over the classes with e_k > 0. The last term decreases by at most the sum of e_k c_k plus r
times the sum of these e_k. Rounded scores equal exact scores with perturbed offsets, and these change J by at most
twice the perturbation.

Steps. If a step changes the difference of any two scores by at most r, the second derivative of the loss along it grows
by at most the factor e^r (section 9). So the fraction log(1 + r) / r of the step decreases the loss from any starting
point (Sun and Tran-Dinh 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from math import log1p
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.cholesky import factorize_block, solve_block
from fastlin.kernels.machine.threads import run_blocks
from fastlin.matrices.dense import DenseMatrix
from fastlin.objective.rounding import ROUNDING_ERRORS_PER_ROW, UNIT_ROUNDOFF, RowErrors, gamma, norm
from fastlin.objective.rows import OffsetRange, count_coefficient_rows
from fastlin.objective.self_concordance import bound_row_entries
from fastlin.typing import FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.objective.rows import Rows

# The maximum number of steps. Most fits take fewer than ten. If the limit is reached, the bound is looser.
MAX_NEWTON_STEPS = 100
# Steps exceed the safe length while the slope after a step is at most this fraction of the descent before it.
MAX_REMAINING_DESCENT_FRACTION = 0.1
# Derivatives below this fraction of a bound on their rounding error are dominated by rounding error.
NEGLIGIBLE_ERROR_FRACTION = 1 / 16
# If a step changes no score by more than this, the class sums then equal those of the labels, except for rounding.
MAX_LAST_SCORE_CHANGE = 1e-8
# The number of scores per batch. They fit into the L2 cache.
SCORES_PER_BATCH = 1 << 16
# Smaller curvatures are replaced by this value, so that steps stay finite.
MIN_CURVATURE = 1e-300
# An upper bound on the number of roundings per value of a pairwise sum.
PAIRWISE_SUM_ROUNDINGS = 64

# A function that returns the first derivatives (K,) and second derivatives (K, K) of the mean loss at intercepts (K,).
# The first derivatives are the mean probabilities of the classes minus the class weights. K is 1 for two classes.
DerivativeFunction: TypeAlias = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


class NullModel(NamedTuple):
    """A model whose only parameters are intercepts. They are optimal if each class has a positive weight."""

    intercepts: FloatArray  # (K,); zeros if a class has no weight, because finite intercepts are then not optimal
    value: float  # the mean loss
    lower_bound: float  # a lower bound on the mean loss for any intercepts


def find_null_model(rows: Rows, parameters: FloatArray) -> NullModel:
    """Return the null model of `rows`. The coefficients in `parameters` (K, d + 1) are fixed, usually at zero."""
    key = parameters[:, :-1].tobytes()
    if key not in rows.null_models:
        if parameters[:, :-1].any():
            null_model = _fit_null_model_by_passes(rows, parameters)
        else:
            null_model = fit_null_model(
                rows.select_samples(), rows.class_weights, rows.offset_range, rows.fit_intercept
            )
        rows.null_models = {key: null_model}
    return rows.null_models[key]


def fit_null_model(
    samples: Samples, class_weights: FloatArray, offset_range: OffsetRange | None, fit_intercept: bool = True
) -> NullModel:
    """Return the null model of all rows. `class_weights` (n_classes,) are fractions of the total weight."""
    if offset_range is not None:
        rows = _OffsetRowMeans(samples, class_weights, offset_range.root_mean_square)
        return _fit_intercepts(rows, class_weights, offset_range, fit_intercept)
    if fit_intercept and np.minimum.reduce(class_weights) > 0:
        log_probabilities = np.log(class_weights)
        value = -float(np.add.reduce(class_weights * log_probabilities))
        return NullModel(_convert_to_intercepts(log_probabilities), value, value)
    zeros, equal_probability_loss = (
        np.zeros(count_coefficient_rows(len(class_weights))),
        float(np.log(len(class_weights))),
    )
    if not fit_intercept:
        return NullModel(zeros, equal_probability_loss, equal_probability_loss)
    fractions = class_weights[class_weights > 0]
    return NullModel(zeros, equal_probability_loss, -float(np.add.reduce(fractions * np.log(fractions))))


def _fit_null_model_by_passes(rows, parameters):
    """Return the null model if the fixed coefficients are not zero. Each step takes two passes over X."""
    class_score_bounds = np.einsum("kj,j->k", np.abs(parameters[:, :-1]), bound_row_entries(rows.coordinates)[:-1])
    max_feature_difference = float(np.sort(class_score_bounds)[-2:].sum())
    offset_range = rows.offset_range or OffsetRange(np.zeros(rows.n_classes), 0.0, 0.0)
    offset_range = offset_range._replace(
        max_offset_difference=offset_range.max_offset_difference + max_feature_difference
    )
    return _fit_intercepts(_FeatureRowMeans(rows, parameters), rows.class_weights, offset_range, rows.fit_intercept)


def _convert_to_intercepts(log_probabilities):
    """Return the intercepts (K,), given the logarithms (n_classes,) of the class probabilities."""
    return (
        log_probabilities[1:] - log_probabilities[:1]
        if len(log_probabilities) == 2
        else log_probabilities - log_probabilities.mean()
    )


def _fit_intercepts(rows, class_weights, offset_range, fit_intercept):
    """Return the null model of _OffsetRowMeans or _FeatureRowMeans."""
    zeros = np.zeros(count_coefficient_rows(len(class_weights)))
    if not fit_intercept:
        value, error = rows.average_losses(zeros)
        return NullModel(zeros, value, max(0.0, value - error))
    # For a class without weight, the starting intercept corresponds to a probability near zero.
    start = _convert_to_intercepts(np.log(np.maximum(class_weights, UNIT_ROUNDOFF)) - offset_range.mean)
    intercepts, gradient = _minimize_loss(rows.differentiate, start, NEGLIGIBLE_ERROR_FRACTION * rows.sum_error)
    value, error = rows.average_losses(intercepts)
    gap = _bound_gap(intercepts, gradient, rows.sum_error, class_weights, offset_range)
    lower_bound = max(0.0, value - error - gap)
    if class_weights.min() > 0:
        return NullModel(intercepts, value, lower_bound)
    return NullModel(zeros, rows.average_losses(zeros)[0], lower_bound)


class _OffsetRowMeans:
    """Means over weighted rows whose scores are the offsets plus the intercepts."""

    def __init__(self, samples: Samples, class_weights: FloatArray, offset_magnitude: float) -> None:
        self._samples, self._fractions = samples, class_weights[-samples.offsets.shape[1] :]
        self._weights, self._offset_magnitude = samples.get_row_weights(), offset_magnitude
        self._total_weight = float(np.add.reduce(self._weights))
        n, K = samples.offsets.shape
        self._rows_per_batch = max(1, SCORES_PER_BATCH // K)
        n_batches = -(-n // self._rows_per_batch)
        # The relative error of a sum over the rows.
        self.sum_error = gamma(PAIRWISE_SUM_ROUNDINGS + ROUNDING_ERRORS_PER_ROW + K + n_batches)

    def _iterate_batches(self, intercepts):
        """Yield the weights, the scores (K, m) and the slice of each batch of rows."""
        offsets, weights, m = self._samples.offsets, self._weights, self._rows_per_batch
        for first in range(0, len(offsets), m):
            batch = slice(first, first + m)
            yield weights[batch], np.ascontiguousarray(offsets[batch].T) + intercepts[:, None], batch

    def differentiate(self, intercepts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `DerivativeFunction`."""
        K = len(intercepts)
        totals, products = np.zeros(K), np.zeros((K, K))
        for weights, scores, _ in self._iterate_batches(intercepts):
            if K == 1:
                smaller_probability = np.exp(-np.abs(scores))
                larger_probability = 1 / (1 + smaller_probability)
                smaller_probability *= larger_probability
                totals += np.add.reduce(np.where(scores > 0, larger_probability, smaller_probability) * weights, axis=1)
                products += np.add.reduce(smaller_probability * larger_probability * weights, axis=1)
                continue
            scores -= scores.max(axis=0)
            np.exp(scores, out=scores)
            scores /= np.add.reduce(scores)
            totals += np.add.reduce(scores * weights, axis=1)
            products += DenseMatrix(scores.T).gram(weights, np.float64)[:-1, :-1]
        hessian = products if K == 1 else _fill_hessian_diagonal(products)
        return totals / self._total_weight - self._fractions, hessian / self._total_weight

    def average_losses(self, intercepts: FloatArray) -> tuple[float, float]:
        """Return the mean loss and a bound on its rounding error."""
        total = 0.0
        samples, K = self._samples, len(intercepts)
        for weights, scores, batch in self._iterate_batches(intercepts):
            if K == 1:
                rest = np.log1p(np.exp(-np.abs(scores)))[0]
                gaps_to_largest_score = np.maximum(np.concatenate([scores, -scores]), 0.0)
            else:
                gaps_to_largest_score = scores.max(axis=0) - scores
                rest = np.log(np.add.reduce(np.exp(-gaps_to_largest_score)))
            if len(samples.targets):
                targets = samples.targets[batch].T
                targets = np.concatenate([1 - targets, targets]) if K == 1 else targets
                rest = rest + np.add.reduce(targets * gaps_to_largest_score)
            else:
                rest = (
                    rest
                    + np.take_along_axis(gaps_to_largest_score, samples.labels[batch][None].astype(np.int64), axis=0)[0]
                )
            total += float(np.add.reduce(rest * weights))
        value = total / self._total_weight
        # An error in a score changes the loss by at most twice that error.
        score_error = 2 * gamma(2) * (self._offset_magnitude + float(np.abs(intercepts).max()))
        return value, self.sum_error * value + score_error


class _FeatureRowMeans:
    """Means over weighted rows with fixed coefficients, computed by passes over X."""

    def __init__(self, rows: Rows, parameters: FloatArray) -> None:
        self._rows, self._parameters, self._gradient_sums = rows, parameters.copy(), np.empty(parameters.shape)
        self.sum_error = rows.roundings.residual_sum

    def _evaluate(self, intercepts):
        self._parameters[:, -1] = intercepts
        return self._rows.evaluate(self._parameters, None, self._gradient_sums)

    def differentiate(self, intercepts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `DerivativeFunction`."""
        self._evaluate(intercepts)
        gram = self._rows.sum_probability_products(self._parameters, np.float64)
        # The difference is replaced by its rounding error if that is larger.
        two_class_hessian = np.maximum(gram[:1, 1:] - gram[:1, :1], self.sum_error * gram[:1, 1:])
        hessian = two_class_hessian if len(intercepts) == 1 else _fill_hessian_diagonal(gram[:-1, :-1])
        return self._gradient_sums[:, -1] / self._rows.total_weight, hessian

    def average_losses(self, intercepts: FloatArray) -> tuple[float, float]:
        """Return the mean loss and a bound on its rounding error."""
        rows, value = self._rows, self._evaluate(intercepts)
        error_weight = norm(np.abs(self._parameters) @ np.append(rows.error_weight, 1.0))
        return value, RowErrors.of(rows, value, error_weight, 1.0, 1.0, 0.25).loss


def _fill_hessian_diagonal(products):
    """Return the Hessian (K, K), given the mean products of probabilities (K, K). Their diagonal is not used."""
    # Each row of the Hessian sums to zero, so the other entries determine the diagonal. Computing it from mean
    # probabilities minus mean squares would lose digits.
    hessian = -products
    np.einsum("kk->k", hessian)[...] = 0
    np.einsum("kk->k", hessian)[...] = -hessian.sum(axis=1)
    return hessian


def _minimize_loss(
    differentiate: DerivativeFunction, intercepts: FloatArray, accuracy: float
) -> tuple[FloatArray, FloatArray]:
    """Return intercepts (K,) that approximately minimize the mean loss, and the first derivatives (K,) there."""
    (gradient, hessian), growth = differentiate(intercepts), 1.0
    for _ in range(MAX_NEWTON_STEPS):
        if np.abs(gradient).max() <= accuracy:
            break
        diagonal = np.einsum("kk->k", hessian)
        np.maximum(diagonal, MIN_CURVATURE, out=diagonal)
        step = -find_newton_step(hessian.copy(), gradient, np.float64)
        # The largest change of the difference between two scores. For K = 1, the score of the first class is zero.
        largest_score_change = max(float(step.max()), 0.0) - min(float(step.min()), 0.0)
        fraction = (
            min(1.0, growth * log1p(largest_score_change) / largest_score_change) if largest_score_change > 0 else 1.0
        )
        trial_intercepts = intercepts + fraction * step
        derivatives = differentiate(trial_intercepts)
        if growth > 1 and np.sum(derivatives[0] * step) > -MAX_REMAINING_DESCENT_FRACTION * np.sum(gradient * step):
            growth = 1.0
            continue
        intercepts, (gradient, hessian), growth = trial_intercepts, derivatives, 2 * growth
        if largest_score_change <= MAX_LAST_SCORE_CHANGE:
            break
    return intercepts, gradient


def _bound_gap(intercepts, gradient, sum_error, class_weights, offset_range):
    """Return an upper bound on the mean loss minus its infimum, given the first derivatives (K,)."""
    if len(gradient) == 1:
        intercepts, gradient = np.append(0.0, intercepts), np.append(-gradient, gradient)
    # For classes that lose probability in the exchange, the mean probability; for the other classes, the weight.
    means = class_weights + np.maximum(gradient, 0.0)
    errors = np.abs(gradient) + sum_error * (means + class_weights)
    loss_terms = 1 + offset_range.max_offset_difference + np.abs(intercepts + offset_range.mean)
    # A mean is zero only if the class has neither weight nor probability. The derivative is then zero as well.
    log_probabilities = np.log(means, out=np.zeros(len(means)), where=means > 0)
    return float(np.sum(errors * (loss_terms - log_probabilities))) * (1 + gamma(8 * len(errors)))


def find_newton_step(hessian: FloatArray, gradient: FloatArray, precision: FloatType) -> FloatArray:
    """Return the step (K,) that solves hessian @ step = gradient. For K > 1, the step sums to zero.

    `hessian` (K, K) is the mean of diag(p) - p p' and has a positive diagonal. For K > 1, it is overwritten.
    """
    K = len(gradient)
    if K == 1:
        return gradient / hessian[0]
    # Equal steps of all classes do not change J, so the slope and curvature along them are rounding errors. If this
    # slope were subtracted equally from all classes, classes with small curvature would have large steps.
    curvatures = np.diagonal(hessian)
    curvature_roots, step = np.sqrt(curvatures), (gradient - gradient.sum() * (curvatures / curvatures.sum()))[None]
    hessian /= np.outer(curvature_roots, curvature_roots)
    hessian += np.outer(curvature_roots, curvature_roots) / np.sum(curvature_roots**2)
    step /= curvature_roots
    factor = np.empty((1, K * (K + 1) // 2), precision)
    run_blocks(factorize_block, 1, hessian[None].astype(precision), float(np.finfo(precision).eps), factor)
    run_blocks(solve_block, 1, factor, step)
    step /= curvature_roots
    return step[0] - step.mean()
