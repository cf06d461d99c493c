"""Scores of models for permuted data, computed once for all permutations that yield the same data.

Each score has an error bound: the largest possible difference from the score at the exact minimum of J.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.model_selection import cross_val_score

from fastlin.estimators.columns import validate_matrix
from fastlin.estimators.firth_logistic_regression import FirthLogisticRegression
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.parameters import (
    LIKELIHOOD_RATIO_SCORING,
    limit_jobs,
    resolve_penalty,
    uses_alpha,
    validate_penalty_factors,
)
from fastlin.estimators.score_errors import (
    N_LOSS_ROUNDING_ERRORS,
    BinaryFit,
    FittedRows,
    HeldOutRows,
    bound_loss_error,
    bound_suboptimality,
)
from fastlin.objective.objective import make_penalty_factors
from fastlin.objective.rounding import gamma
from fastlin.typing import FloatArray, IntArray, MatrixLike

DIGEST_BYTES = 16

# A function that returns the row order with a given number, as an array (n,) of row indices.
RowOrderSampler = Callable[[int], IntArray]
# The indices of the training rows and of the test rows.
Fold = tuple[IntArray, IntArray]


class PermutedFold(NamedTuple):
    """The number of a row order and the number of a fold."""

    order: int
    fold: int


@dataclass(frozen=True, eq=False)
class DistinctDataSets:
    """The distinct data sets among all permutations and folds, up to the order of the rows.

    If several data sets are equal, their fit and their score are stored once, at the index of the first.
    """

    fits: list[PermutedFold]
    scores: list[tuple[int, PermutedFold]]  # the index of the fit, and the fold
    indices: np.ndarray  # (n_row_orders, n_folds), the indices of the scores


@dataclass(eq=False)
class BoundedScores:
    """The values of the distinct scores, and bounds on their errors, in arrays of shape (n_scores,)."""

    values: np.ndarray
    errors: np.ndarray
    # A function from the index of a score to its value and a tighter bound, or None if no bound can be tightened.
    refine_score: Callable[[int], tuple[float, float]] | None = None
    _refined_indices: set[int] = field(default_factory=set)

    def tighten_bounds(self, indices: Iterable[int]) -> None:
        """Tighten the bounds of the scores with these indices."""
        if self.refine_score is None:
            return
        for index in indices:
            if self.errors[index] > 0 and index not in self._refined_indices:
                self.values[index], self.errors[index] = self.refine_score(index)
                self._refined_indices.add(index)


def find_distinct_data_sets(
    X: MatrixLike, labels: IntArray, folds: Sequence[Fold], sample_row_order: RowOrderSampler, n_row_orders: int
) -> DistinctDataSets:
    """Return the distinct data sets among n_row_orders row orders and all folds."""
    first_rows, n_classes = find_first_equal_rows(X), labels.max(initial=0) + 1
    fits: dict[bytes, int] = {}
    scores: dict[tuple[bytes, bytes], int] = {}
    distinct_data_sets = DistinctDataSets([], [], np.empty((n_row_orders, len(folds)), np.int64))
    for order in range(n_row_orders):
        codes = first_rows[sample_row_order(order)] * n_classes + labels
        for fold, (train, test) in enumerate(folds):
            permuted_fold, key = PermutedFold(order, fold), _hash_codes(codes[train])
            fit = fits.setdefault(key, len(fits))
            if fit == len(distinct_data_sets.fits):
                distinct_data_sets.fits.append(permuted_fold)
            score = scores.setdefault((key, _hash_codes(codes[test])), len(scores))
            if score == len(distinct_data_sets.scores):
                distinct_data_sets.scores.append((fit, permuted_fold))
            distinct_data_sets.indices[order, fold] = score
    return distinct_data_sets


def _hash_codes(codes):
    """Return a hash of codes that is independent of their order."""
    return blake2b(np.sort(codes).tobytes(), digest_size=DIGEST_BYTES).digest()


def find_first_equal_rows(X: Any) -> IntArray:
    """Return an array (n,) that contains, for each row of X, the index of the first equal row."""
    keys: Iterable[Any]
    if sparse.issparse(X):
        rows = sparse.csr_array(X, copy=True)
        rows.sum_duplicates()
        rows.eliminate_zeros()
        borders = zip(rows.indptr[:-1], rows.indptr[1:], strict=True)
        keys = ((rows.indices[a:b].tobytes(), rows.data[a:b].tobytes()) for a, b in borders)
    else:
        rows = np.asarray(X)
        rows = rows.reshape(len(rows), -1)
        if rows.dtype.kind == "O":
            keys = map(tuple, rows.tolist())
        elif rows.dtype.kind == "f":
            # Adding 0 makes zeros of both signs equal.
            keys = ((row + 0).tobytes() for row in rows)
        else:
            keys = (row.tobytes() for row in rows)
    first: dict[Any, int] = {}
    try:
        return np.array([first.setdefault(key, number) for number, key in enumerate(keys)], np.int64)
    except TypeError:
        # If X contains objects that are not hashable, no two rows are treated as equal.
        return np.arange(len(rows))


def compare_scores(scores: BoundedScores, indices: IntArray) -> tuple[float, FloatArray, float]:
    """Return the score of the original labels, the scores of the permuted labels, and the p-value.

    `indices` has shape (n_row_orders, n_folds) and contains indices of scores. The means of these scores over the folds
    are compared. Means that equal the first mean within the error bounds are set to the first mean.
    """
    # A bound on the rounding error of a mean over the folds.
    rounding = gamma(indices.shape[1] + 4) * np.abs(scores.values).max(initial=0.0)

    def average():
        means, errors = scores.values[indices].mean(axis=1), scores.errors[indices].mean(axis=1) + rounding
        return means, np.abs(means - means[0]) <= errors + errors[0]

    scores.tighten_bounds(np.unique(indices[0]))
    _, is_equal_to_first = average()
    scores.tighten_bounds(np.unique(indices[is_equal_to_first]))
    means, is_equal_to_first = average()
    means[is_equal_to_first] = means[0]
    n_scores_at_least_as_good = int(np.count_nonzero(means[1:] >= means[0]))
    return float(means[0]), means[1:], (n_scores_at_least_as_good + 1) / len(means)


def score_one_at_a_time(
    estimator: Any,
    X: MatrixLike,
    y: Any,
    folds: Sequence[Fold],
    scoring: Any,
    sample_row_order: RowOrderSampler,
    distinct_data_sets: DistinctDataSets,
) -> BoundedScores:
    """Return the Scores of fits that run one at a time; only likelihood ratios have bounds beyond rounding."""
    values, errors = np.zeros((2, len(distinct_data_sets.scores)))
    if type(estimator) in (LogisticRegression, FirthLogisticRegression):
        X = _convert_to_float64(X)
    if scoring == LIKELIHOOD_RATIO_SCORING:

        def scoring(model, X, y):
            value, errors[index] = score_likelihood_ratio(model, X, y)
            return value

    for index, (_, (order, fold)) in enumerate(distinct_data_sets.scores):
        permuted_y, permutation, (train, test) = np.empty_like(y), sample_row_order(order), folds[fold]
        permuted_y[permutation] = y
        options = {"cv": [(permutation[train], permutation[test])], "scoring": scoring, "error_score": "raise"}
        (values[index],) = cross_val_score(estimator, X, permuted_y, **options)
    errors += gamma(len(y) + N_LOSS_ROUNDING_ERRORS) * np.abs(values).max(initial=0.0)
    return BoundedScores(values, errors)


def _convert_to_float64(X):
    """Return X (an array, a sparse array or a pandas DataFrame) with float32 converted to float64."""
    if hasattr(X, "dtypes") and hasattr(X.dtypes, "items"):
        return X.astype({name: np.float64 for name, dtype in X.dtypes.items() if dtype == np.float32})
    return X.astype(np.float64) if getattr(X, "dtype", None) == np.float32 else X


def score_likelihood_ratio(model: Any, X: Any, y: Any) -> tuple[float, float]:
    """Return the likelihood ratio of a classifier and an error bound, for rounding alone if it has no certificate."""
    labels, has_certificate = np.searchsorted(model.classes_, y), type(model) is LogisticRegression
    if has_certificate:
        # Compute the scores in float64.
        model = copy(model)
        model.coef_, model.intercept_ = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
    losses = -model.predict_log_proba(X)[np.arange(len(labels)), labels].astype(np.float64)
    error = gamma(len(labels) + N_LOSS_ROUNDING_ERRORS) * float(losses.mean())
    if has_certificate and model.class_weight is None and model.penalty_factors is None:
        C, l1_ratio = resolve_penalty(model)
        if l1_ratio == 0:
            l2 = 1 / C / (1.0 if uses_alpha(model) else len(labels))
            penalty = 0.5 * l2 * float(np.square(model.coef_).sum())
            J = float(losses.mean()) + penalty
            error += bound_loss_error(bound_suboptimality(model.certificate_, J, model.tol, model.converged_), penalty)
    return compute_likelihood_ratio(-float(losses.mean()), error, labels)


def compute_likelihood_ratio(likelihood: float, error: float, labels: IntArray) -> tuple[float, float]:
    """Return the likelihood ratio of a model vs the intercept-only model, and a bound on its error.

    `likelihood` is the mean log-likelihood of the model, and `error` is a bound on the error of this mean.
    """
    fractions = np.bincount(labels) / len(labels)
    fractions = fractions[fractions > 0]
    null = float(fractions @ np.log(fractions))
    twice_n_rows = 2 * len(labels)
    return twice_n_rows * (likelihood - null), twice_n_rows * (error + gamma(4) * (abs(likelihood) + abs(null)))


class BatchedScores:
    """Batched fits to the distinct data sets with two classes, and their scores (one of SCORES)."""

    def __init__(
        self,
        model: LogisticRegression,
        X: MatrixLike,
        labels: IntArray,
        folds: Sequence[Fold],
        name: str,
        sample_row_order: RowOrderSampler,
        distinct_data_sets: DistinctDataSets,
    ) -> None:
        from fastlin.estimators.batched_fits import FitTask, fit_tasks
        from fastlin.objective.rows import multiply_weights_by_counts

        self.model, self.labels, self.folds, self.name = model, labels, folds, name
        self.sample_row_order, self.distinct_data_sets = sample_row_order, distinct_data_sets
        # A fold may contain a row more than once.
        self.counts = [multiply_weights_by_counts(train, None, len(labels)) for train, _ in folds]

        def make_task(k):
            order, fold = distinct_data_sets.fits[k]
            return FitTask(
                self._restore_row_order(labels, order, np.uint8),
                self._restore_row_order(self.counts[fold], order, np.float64),
            )

        fits = fit_tasks(model, X, make_task, len(distinct_data_sets.fits))
        self.coefs, self.intercepts = fits.coef[:, 0].astype(np.float64), fits.intercept[:, 0].astype(np.float64)
        fit_results = zip(fits.certificates, fits.objectives, fits.converged, strict=True)
        self.suboptimalities = [
            float(bound_suboptimality(certificate, J, model.tol, has_converged))
            for certificate, J, has_converged in fit_results
        ]
        self.matrix = validate_matrix(model, X, reset=False)
        self.C, self.l1_ratio = resolve_penalty(model)
        factors = None
        if model.penalty_factors is not None:
            factors = validate_penalty_factors(model.penalty_factors, self.matrix)
        factors = make_penalty_factors(factors, self.matrix.shape[1])
        self.rows = FittedRows(self.matrix, factors, model.fit_intercept)
        self.roundings = self.rows.bound_rounding_errors(self.coefs, self.intercepts)
        self.uses_loss_bound = name == LIKELIHOOD_RATIO_SCORING and self.l1_ratio == 0

    def score(self) -> BoundedScores:
        """Return the Scores with cheap bounds; each refined bound requires a Hessian."""
        values, errors = np.array([self._score(index) for index in range(len(self.distinct_data_sets.scores))]).T
        return BoundedScores(
            values, errors, None if self.uses_loss_bound else partial(self._score, uses_tight_bounds=True)
        )

    def _compute_decisions(self, k):
        """Return the decision values (n,) of fit k; the other fits do not change any bit of them."""
        with limit_jobs(self.model.n_jobs):
            return self.matrix.compute_scores(self.coefs[k : k + 1], self.intercepts[k : k + 1])[:, 0]

    def _score(self, index, *, uses_tight_bounds=False):
        """Return the score with this index and a bound on its error."""
        k, (order, fold) = self.distinct_data_sets.scores[index]
        decisions, test = self._compute_decisions(k), self.sample_row_order(order)[self.folds[fold][1]]
        held_out_rows = HeldOutRows(decisions[test], self.labels[self.folds[fold][1]], self.roundings[k])
        fit, errors, first_order_error = self._make_binary_fit(k), np.zeros(len(test)), None
        if self.uses_loss_bound:
            first_order_error = self.rows.bound_training_loss_error(fit)
        elif not uses_tight_bounds:
            errors += self.rows.bound_decision_errors(fit, decisions)
        elif (hessian_norm := self.rows.compute_hessian_norm(fit, decisions, test)) is not None:
            errors, first_order_error = (
                hessian_norm.bound_decision_errors(),
                hessian_norm.bound_mean_error(held_out_rows.residuals),
            )
        if self.name == "accuracy":
            return held_out_rows.score_accuracy(errors, uses_tight_bounds)
        score, error = held_out_rows.score_log_loss(errors, first_order_error)
        return (
            compute_likelihood_ratio(score, error, held_out_rows.labels)
            if self.name == LIKELIHOOD_RATIO_SCORING
            else (score, error)
        )

    def _make_binary_fit(self, k):
        order, fold = self.distinct_data_sets.fits[k]
        weights = self._restore_row_order(self.counts[fold], order, np.float64)
        l2 = (1 - self.l1_ratio) / self.C / (1.0 if uses_alpha(self.model) else weights.sum())
        return BinaryFit(self.coefs[k], self.suboptimalities[k], l2, weights)

    def _restore_row_order(self, values, order, dtype):
        """Return values of the permuted rows, reordered to match the rows of X."""
        ordered_values = np.empty(len(values), dtype)
        ordered_values[self.sample_row_order(order)] = values
        return ordered_values
