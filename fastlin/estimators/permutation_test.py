"""The permutation test: how a model scores beside models of labels that tell nothing of the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.model_selection import check_cv, cross_val_score
from sklearn.utils import column_or_1d, indexable

from fastlin.estimators.labels import encode_labels
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.parameters import read_seed
from fastlin.fitted import read_count
from fastlin.typing import MatrixLike

LIKELIHOOD_RATIO = "likelihood_ratio"


@dataclass(frozen=True, eq=False)
class PermutationTest:
    """What `permutation_test` has found.

    Attributes
    ----------
    score : float
        The score of the model.
    permutation_scores : ndarray of shape (n_permutations,)
        The scores with permuted rows.
    p_value : float
        One more than the number of permutations that score no less, over one more than their number.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from fastlin import LogisticRegression, permutation_test
    >>> permutation_test(LogisticRegression(), *make_classification(random_state=0), n_permutations=9).p_value
    0.1
    """

    score: float
    permutation_scores: np.ndarray
    p_value: float


def permutation_test(
    estimator: Any,
    X: MatrixLike,
    y: ArrayLike,
    *,
    scoring: str | Callable[..., float] | None = None,
    cv: Any = None,
    groups: ArrayLike | None = None,
    n_permutations: int = 1000,
    random_state: int | np.random.RandomState | None = None,
) -> PermutationTest:
    """Test whether rows tell more of their labels than permuted rows do.

    The rows of X are permuted, while the labels and their folds stay. Fits of `LogisticRegression` to two classes are
    made side by side for the scores that are named below, others one by one.

    Parameters
    ----------
    estimator : estimator
        A classifier, which is not changed.
    X, y
        As the estimator takes them.
    scoring : str, callable or None, default=None
        "likelihood_ratio" is twice what the features add to the log-likelihood of all rows, beside the best intercept
        alone. Any other is a mean over folds by a scorer of scikit-learn's; "accuracy", which None means for
        classifiers of fastlin, and "neg_log_loss" are the fast ones.
    cv : int, cross-validation generator, iterable or None, default=None
        The folds, as `cross_val_score` takes them. "likelihood_ratio" has none.
    groups : array-like of shape (n_samples,) or None, default=None
        Rows are permuted within groups alone, and the folds get them.
    n_permutations : int, default=1000
        The number of permutations, each with a seed of its own.
    random_state : int, RandomState or None, default=None
        The seed of the permutations.

    Returns
    -------
    found : PermutationTest
        The scores, and the p-value.

    Raises
    ------
    ValueError
        For folds with "likelihood_ratio", or a model without probabilities, and for all that the estimator refuses.

    References
    ----------
    .. [1] M. Ojala and G. C. Garriga (2010). Permutation Tests for Studying Classifier Performance. JMLR 11,
       1833-1863, section 3.1.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> import fastlin
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = fastlin.LogisticRegression()
    >>> fastlin.permutation_test(model, X[:, :2], y, n_permutations=99, random_state=0).p_value
    0.01
    """
    n_permutations = read_count("n_permutations", n_permutations)
    X, y, groups = indexable(X, column_or_1d(y), groups)
    seed = read_seed(random_state)

    @lru_cache(maxsize=1)
    def draw(number):
        return _permute(len(y), groups, (seed, number)) if number else np.arange(len(y))

    if scoring == LIKELIHOOD_RATIO:
        if cv is not None:
            raise ValueError(f"cv must be None for scoring={scoring!r}, which fits all rows, got {cv!r}")
        if not hasattr(estimator, "predict_log_proba"):
            raise ValueError(f"estimator must have predict_log_proba for scoring={scoring!r}, got {estimator!r}")
        cv = [(np.arange(len(y)), np.arange(len(y)))]
    folds = list(check_cv(cv, y, classifier=True).split(X, y, groups))
    judge = JUDGES.get(scoring or "accuracy") if isinstance(scoring, str) or scoring is None else None
    classes, labels = encode_labels(y)
    are_two = len(classes) == 2 and all(np.ptp(labels[train]) for train, _ in folds)
    if judge is not None and are_two and type(estimator) is LogisticRegression:
        scores = _score_side_by_side(clone(estimator), X, labels, folds, judge, draw, n_permutations + 1)
    else:
        scoring = _score_likelihood_ratio if scoring == LIKELIHOOD_RATIO else scoring
        scores = [_score_alone(estimator, X, y, folds, scoring, draw(number)) for number in range(n_permutations + 1)]
    score, *permuted = np.mean(scores, axis=1).tolist()
    n_as_good = sum(each >= score for each in permuted)
    return PermutationTest(score, np.array(permuted), (n_as_good + 1) / (n_permutations + 1))


def _permute(n_rows, groups, seed):
    """Return an order of the rows that keeps each in its group."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(n_rows)
    if groups is not None:
        # By group, the rows in their own order beside the permuted ones.
        permuted, order = order, np.empty(n_rows, np.int64)
        groups = np.unique(groups, return_inverse=True)[1]
        order[np.argsort(groups, kind="stable")] = permuted[np.argsort(groups[permuted], kind="stable")]
    return order


def _score_alone(estimator, X, y, folds, scoring, order):
    """Return the score of each fold for an order of the rows, (n_folds,); the labels follow it, X stays."""
    given = np.empty_like(y)
    given[order] = y
    drawn = [(order[train], order[test]) for train, test in folds]
    return cross_val_score(estimator, X, given, cv=drawn, scoring=scoring, error_score="raise")


def _score_side_by_side(model, X, labels, folds, judge, draw, n_orders):
    """Return the score of each fold for each order of the rows, (n_orders, n_folds)."""
    from fastlin.estimators.many_fits import Task, fit_tasks
    from fastlin.objective.lot import LOT_BYTES, MOST_TOGETHER
    from fastlin.objective.rows import weigh_by_counts

    n_rows, n_folds = len(labels), len(folds)
    # A fold may name a row more than once.
    counts = [weigh_by_counts(train, None, n_rows) for train, _ in folds]

    def pose(k):
        order = draw(k // n_folds)
        given, weights = np.empty(n_rows, np.uint8), np.empty(n_rows)
        given[order], weights[order] = labels, counts[k % n_folds]
        return Task(given, weights)

    fits = fit_tasks(model, X, pose, n_orders * n_folds)
    model.multilabel_, scores = True, np.empty((n_orders, n_folds))
    together = int(np.clip(LOT_BYTES // (8 * n_rows), 1, MOST_TOGETHER))
    for first in range(0, n_orders * n_folds, together):
        chosen = slice(first, first + together)
        model.coef_, model.intercept_ = fits.coef[chosen, 0], fits.intercept[chosen, 0]
        model.classes_ = np.arange(len(model.coef_))
        for k, of_model in enumerate(model.decision_function(X).T, first):
            test = folds[k % n_folds][1]
            scores.flat[k] = judge(of_model[draw(k // n_folds)[test]], labels[test])
    return scores


def _judge_losses(scores, labels):
    """Return minus the mean log loss of scores, the logits of label 1."""
    return -np.mean(np.logaddexp(0, np.where(labels, -scores, scores)))


def _compute_ratio(likelihood, labels):
    """Return the ratio to the best intercept alone of a mean log-likelihood of rows."""
    shares = np.bincount(labels) / len(labels)
    return 2 * len(labels) * (likelihood - shares @ np.log(shares))


def _score_likelihood_ratio(model, X, y):
    """Return the likelihood ratio of a classifier, as scikit-learn's scorers are called."""
    labels = np.searchsorted(model.classes_, y)
    return _compute_ratio(np.mean(model.predict_log_proba(X)[np.arange(len(labels)), labels]), labels)


# What is computed of the scores and the labels, 0 or 1, of held-out rows.
JUDGES = {
    "accuracy": lambda scores, labels: np.mean((scores > 0) == labels),
    "neg_log_loss": _judge_losses,
    LIKELIHOOD_RATIO: lambda scores, labels: _compute_ratio(_judge_losses(scores, labels), labels),
}
