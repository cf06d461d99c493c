"""The scores of models with permuted rows, each computed once for all permutations that yield the same data.

A score comes with a bound on its error: by how much it may differ from the score at the exact minimum of J.
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

from fastlin.estimators.columns import read_matrix
from fastlin.estimators.firth_logistic_regression import FirthLogisticRegression
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.parameters import limit_jobs, read_penalty, read_penalty_factors, uses_alpha
from fastlin.estimators.permutation_test import LIKELIHOOD_RATIO
from fastlin.estimators.score_errors import (
    LOSS_ROUNDINGS,
    BinaryFit,
    FittedRows,
    HeldOut,
    bound_loss,
    bound_suboptimality,
)
from fastlin.objective.objective import fill_factors
from fastlin.objective.rounding import gamma
from fastlin.typing import FloatArray, IntArray, MatrixLike

DIGEST_BYTES = 16

# Returns an order of the rows, (n,), by its number.
Draw = Callable[[int], IntArray]
# The numbers of the training rows and of the test rows.
Fold = tuple[IntArray, IntArray]


class DataSlot(NamedTuple):
    """An order of the rows, by its number, and a fold, by its number."""

    order: int
    fold: int


@dataclass(frozen=True, eq=False)
class DistinctData:
    """Which permutations and folds yield different data, up to the order of the rows.

    Each fit and each score stands at the first place where its data occur.
    """

    fits: list[DataSlot]
    scores: list[tuple[int, DataSlot]]  # the number of the fit, and the place
    numbers: np.ndarray  # (n_orders, n_folds), the numbers of the scores


@dataclass(eq=False)
class Scores:
    """The values of different scores and bounds on their errors, (n_scores,) each."""

    values: np.ndarray
    errors: np.ndarray
    # Returns a value and a tighter bound, by the number of a score; None where there is none.
    refine: Callable[[int], tuple[float, float]] | None = None
    _refined: set[int] = field(default_factory=set)

    def tighten(self, numbers: Iterable[int]) -> None:
        """Tighten the bounds of the scores of some numbers."""
        if self.refine is None:
            return
        for number in numbers:
            if self.errors[number] > 0 and number not in self._refined:
                self.values[number], self.errors[number] = self.refine(number)
                self._refined.add(number)


def find_distinct(X: MatrixLike, labels: IntArray, folds: Sequence[Fold], draw: Draw, n_orders: int) -> DistinctData:
    """Return the different data among those of n_orders orders of the rows and the folds."""
    first_rows, n_classes = number_rows(X), labels.max(initial=0) + 1
    fits: dict[bytes, int] = {}
    scores: dict[tuple[bytes, bytes], int] = {}
    found = DistinctData([], [], np.empty((n_orders, len(folds)), np.int64))
    for order in range(n_orders):
        codes = first_rows[draw(order)] * n_classes + labels
        for fold, (train, test) in enumerate(folds):
            position, key = DataSlot(order, fold), _digest(codes[train])
            fit = fits.setdefault(key, len(fits))
            if fit == len(found.fits):
                found.fits.append(position)
            score = scores.setdefault((key, _digest(codes[test])), len(scores))
            if score == len(found.scores):
                found.scores.append((fit, position))
            found.numbers[order, fold] = score
    return found


def _digest(codes):
    """Return a digest of codes that does not depend on their order."""
    return blake2b(np.sort(codes).tobytes(), digest_size=DIGEST_BYTES).digest()


def number_rows(X: Any) -> IntArray:
    """Return the number of the first row that equals each row of X, (n,)."""
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
            # Zeros of both signs are equal.
            keys = ((row + 0).tobytes() for row in rows)
        else:
            keys = (row.tobytes() for row in rows)
    first: dict[Any, int] = {}
    try:
        return np.array([first.setdefault(key, number) for number, key in enumerate(keys)], np.int64)
    except TypeError:
        # Objects that have no hash: no two rows count as equal.
        return np.arange(len(rows))


def compare(scores: Scores, numbers: IntArray) -> tuple[float, FloatArray, float]:
    """Return the score of the first order of the rows, those of the others and the p-value.

    numbers (n_orders, n_folds) are those of the scores, whose means over the folds are compared. A mean that equals the
    first within their bounds has its value.
    """
    # A mean of so many numbers.
    rounding = gamma(numbers.shape[1] + 4) * np.abs(scores.values).max(initial=0.0)

    def average():
        means, errors = scores.values[numbers].mean(axis=1), scores.errors[numbers].mean(axis=1) + rounding
        return means, np.abs(means - means[0]) <= errors + errors[0]

    scores.tighten(np.unique(numbers[0]))
    _, is_equal = average()
    scores.tighten(np.unique(numbers[is_equal]))
    means, is_equal = average()
    means[is_equal] = means[0]
    n_at_least_as_good = int(np.count_nonzero(means[1:] >= means[0]))
    return float(means[0]), means[1:], (n_at_least_as_good + 1) / len(means)


def score_one_by_one(
    estimator: Any, X: MatrixLike, y: Any, folds: Sequence[Fold], scoring: Any, draw: Draw, distinct: DistinctData
) -> Scores:
    """Return the Scores of fits that are made one by one; bounds are of rounding unless a likelihood ratio has more."""
    values, errors = np.zeros((2, len(distinct.scores)))
    if type(estimator) in (LogisticRegression, FirthLogisticRegression):
        X = _widen(X)
    if scoring == LIKELIHOOD_RATIO:

        def scoring(model, X, y):
            value, errors[number] = score_likelihood_ratio(model, X, y)
            return value

    for number, (_, (order, fold)) in enumerate(distinct.scores):
        given, drawn, (train, test) = np.empty_like(y), draw(order), folds[fold]
        given[drawn] = y
        options = {"cv": [(drawn[train], drawn[test])], "scoring": scoring, "error_score": "raise"}
        (values[number],) = cross_val_score(estimator, X, given, **options)
    errors += gamma(len(y) + LOSS_ROUNDINGS) * np.abs(values).max(initial=0.0)
    return Scores(values, errors)


def _widen(X):
    """Return X with float64 in the place of float32, an array, a sparse array or a DataFrame of pandas."""
    if hasattr(X, "dtypes") and hasattr(X.dtypes, "items"):
        return X.astype({name: np.float64 for name, dtype in X.dtypes.items() if dtype == np.float32})
    return X.astype(np.float64) if getattr(X, "dtype", None) == np.float32 else X


def score_likelihood_ratio(model: Any, X: Any, y: Any) -> tuple[float, float]:
    """Return the likelihood ratio of a classifier, with a bound on its error, and without a certificate on rounding."""
    labels, has_bound = np.searchsorted(model.classes_, y), type(model) is LogisticRegression
    if has_bound:
        # Scores are then computed in float64.
        model = copy(model)
        model.coef_, model.intercept_ = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
    losses = -model.predict_log_proba(X)[np.arange(len(labels)), labels].astype(np.float64)
    error = gamma(len(labels) + LOSS_ROUNDINGS) * float(losses.mean())
    if has_bound and model.class_weight is None and model.penalty_factors is None:
        C, l1_ratio = read_penalty(model)
        if l1_ratio == 0:
            l2 = 1 / C / (1.0 if uses_alpha(model) else len(labels))
            penalty = 0.5 * l2 * float(np.square(model.coef_).sum())
            J = float(losses.mean()) + penalty
            error += bound_loss(bound_suboptimality(model.certificate_, J, model.tol, model.converged_), penalty)
    return compute_ratio(-float(losses.mean()), error, labels)


def compute_ratio(likelihood: float, error: float, labels: IntArray) -> tuple[float, float]:
    """Return the ratio to the best intercept alone of a mean log-likelihood of rows, and a bound on its error."""
    fractions = np.bincount(labels) / len(labels)
    fractions = fractions[fractions > 0]
    null = float(fractions @ np.log(fractions))
    n_doubled = 2 * len(labels)
    return n_doubled * (likelihood - null), n_doubled * (error + gamma(4) * (abs(likelihood) + abs(null)))


class BatchedScores:
    """The fits of two classes to different data, and their scores by one of SCORES."""

    def __init__(
        self,
        model: LogisticRegression,
        X: MatrixLike,
        labels: IntArray,
        folds: Sequence[Fold],
        name: str,
        draw: Draw,
        distinct: DistinctData,
    ) -> None:
        from fastlin.estimators.batched_fits import Task, fit_tasks
        from fastlin.objective.rows import weigh_by_counts

        self.model, self.labels, self.folds, self.name = model, labels, folds, name
        self.draw, self.distinct = draw, distinct
        # A fold may name a row more than once.
        self.counts = [weigh_by_counts(train, None, len(labels)) for train, _ in folds]

        def make_task(k):
            order, fold = distinct.fits[k]
            return Task(self._arrange(labels, order, np.uint8), self._arrange(self.counts[fold], order, np.float64))

        fits = fit_tasks(model, X, make_task, len(distinct.fits))
        self.coefs, self.intercepts = fits.coef[:, 0].astype(np.float64), fits.intercept[:, 0].astype(np.float64)
        ends = zip(fits.certificates, fits.objectives, fits.converged, strict=True)
        self.suboptimalities = [
            float(bound_suboptimality(end, J, model.tol, has_converged)) for end, J, has_converged in ends
        ]
        self.matrix = read_matrix(model, X, reset=False)
        self.C, self.l1_ratio = read_penalty(model)
        given = model.penalty_factors
        factors = fill_factors(
            None if given is None else read_penalty_factors(given, self.matrix), self.matrix.shape[1]
        )
        self.rows = FittedRows(self.matrix, factors, model.fit_intercept)
        self.roundings = self.rows.bound_rounding(self.coefs, self.intercepts)
        self.bounds_training_loss = name == LIKELIHOOD_RATIO and self.l1_ratio == 0

    def score(self) -> Scores:
        """Return the Scores, with bounds that take little time, and refined ones that take a Hessian each."""
        values, errors = np.array([self._score(number) for number in range(len(self.distinct.scores))]).T
        return Scores(values, errors, None if self.bounds_training_loss else partial(self._score, is_refined=True))

    def _compute_decisions(self, k):
        """Return the decision values (n,) of a fit, whose bits do not depend on other fits."""
        with limit_jobs(self.model.n_jobs):
            return self.matrix.compute_scores(self.coefs[k : k + 1], self.intercepts[k : k + 1])[:, 0]

    def _score(self, number, *, is_refined=False):
        """Return the score of a number and a bound on its error."""
        k, (order, fold) = self.distinct.scores[number]
        decisions, test = self._compute_decisions(k), self.draw(order)[self.folds[fold][1]]
        held_out = HeldOut(decisions[test], self.labels[self.folds[fold][1]], self.roundings[k])
        fit, errors, first_order = self._read_fit(k), np.zeros(len(test)), None
        if self.bounds_training_loss:
            first_order = self.rows.bound_training_loss(fit)
        elif not is_refined:
            errors += self.rows.bound_decisions(fit, decisions)
        elif (metric := self.rows.compute_metric(fit, decisions, test)) is not None:
            errors, first_order = metric.bound_decisions(), metric.bound_mean(held_out.residuals)
        if self.name == "accuracy":
            return held_out.score_accuracy(errors, is_refined)
        score, error = held_out.score_log_loss(errors, first_order)
        return compute_ratio(score, error, held_out.labels) if self.name == LIKELIHOOD_RATIO else (score, error)

    def _read_fit(self, k):
        order, fold = self.distinct.fits[k]
        weights = self._arrange(self.counts[fold], order, np.float64)
        l2 = (1 - self.l1_ratio) / self.C / (1.0 if uses_alpha(self.model) else weights.sum())
        return BinaryFit(self.coefs[k], self.suboptimalities[k], l2, weights)

    def _arrange(self, values, order, dtype):
        """Return values of the rows in an order, where each row of X is."""
        arranged = np.empty(len(values), dtype)
        arranged[self.draw(order)] = values
        return arranged
