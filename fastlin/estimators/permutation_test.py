"""`permutation_test`: a permutation test of the association between X and y, and the class `PermutationTest`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils import column_or_1d, indexable

from fastlin.containers.fitted import validate_count
from fastlin.estimators.labels import encode_labels
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.parameters import LIKELIHOOD_RATIO_SCORING, draw_seed
from fastlin.estimators.scikit_learn import check_parameters
from fastlin.typing import MatrixLike

# Scores that are supported by batched fits.
BATCHED_SCORINGS = "accuracy", "neg_log_loss", LIKELIHOOD_RATIO_SCORING
# The largest tol of the fits. Batched fits take little longer than with a tol of 1e-4, and likelihood ratios are
# accurate to several digits (docs/benchmarks/design-choices.md: tol of permutation tests).
MAX_TOL = 1e-12


@dataclass(frozen=True, eq=False)
class PermutationTest:
    """Result of `permutation_test`.

    Attributes
    ----------
    score : float
        Score of the model for the original data.
    permutation_scores : ndarray of shape (n_permutations,)
        Scores for the permuted data. Scores that equal `score` within the accuracy of the fits are set to `score`.
    p_value : float
        The p-value (1 + number of permutation scores that are at least `score`) / (1 + n_permutations).

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
    """Test the association between X and y with permutations.

    The p-value is that of a cross-validated score [1]_ or of the likelihood ratio of a fit to all rows. The rows of X
    are permuted, while the labels and their folds remain in place. `LogisticRegression` models for two classes are
    fitted in batches if `scoring` is one of the names below. Other models are fitted one at a time.

    Ties are counted exactly. Permutations that yield the same data, in any order of the rows, have the same score.
    Scores are also treated as equal if the certificates of the fits cannot distinguish them, as for the two mirror
    images of a 2 x 2 table. For this purpose, `LogisticRegression` is fitted with ``solver="auto"`` and a `tol` of at
    most 1e-12. Decision values that the certificate cannot distinguish from zero are treated as zero.

    Scores are treated as equal only within float64 rounding error for fits that have not converged, other estimators,
    other scorers, folds with more than 600 columns, and more than two classes (except for the likelihood ratio with an
    L2 penalty). For these scores, `LogisticRegression` and `FirthLogisticRegression` convert float32 data to float64.

    Parameters
    ----------
    estimator : estimator
        Classifier; it is cloned.
    X, y
        Data and labels in any form that the estimator accepts.
    scoring : str, callable or None, default=None
        "likelihood_ratio" is twice the difference between the log-likelihoods of the model and of the intercept-only
        model over all rows. Scores of any other scikit-learn scorer are averaged over the folds. "accuracy" (the
        default for fastlin's classifiers) and "neg_log_loss" are fast.
    cv : int, cross-validation generator, iterable or None, default=None
        Cross-validation splitting strategy, as in `cross_val_score`. It must be None for "likelihood_ratio".
    groups : array-like of shape (n_samples,) or None, default=None
        Group of each row. Rows are permuted only within groups, which are also passed to the splitter.
    n_permutations : int, default=1000
        Number of permutations, each with its own seed.
    random_state : int, RandomState or None, default=None
        Seed of the permutations.

    Returns
    -------
    result : PermutationTest
        Score, permutation scores and p-value.

    Raises
    ------
    ValueError
        If `cv` is given with "likelihood_ratio", if "likelihood_ratio" is used with a model without probabilities, or
        if the estimator raises a ValueError.

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
    from fastlin.estimators.permuted_scores import (
        BatchedScores,
        compare_scores,
        find_distinct_data_sets,
        score_one_at_a_time,
    )

    n_permutations = validate_count("n_permutations", n_permutations)
    X, y, groups = indexable(X, column_or_1d(y), groups)
    classes, labels = encode_labels(y)
    seed = draw_seed(random_state)

    @lru_cache(maxsize=1)
    def sample_row_order(number):
        return _permute_rows(len(y), groups, (seed, number)) if number else np.arange(len(y))

    if scoring == LIKELIHOOD_RATIO_SCORING:
        if cv is not None:
            raise ValueError(f"cv must be None for scoring={scoring!r}, which uses all rows, got {cv!r}")
        if not hasattr(estimator, "predict_log_proba"):
            raise ValueError(f"estimator must have predict_log_proba for scoring={scoring!r}, got {estimator!r}")
        cv = [(np.arange(len(y)), np.arange(len(y)))]
    folds = list(check_cv(cv, y, classifier=True).split(X, y, groups))
    name = scoring or "accuracy"
    distinct_data_sets = find_distinct_data_sets(X, labels, folds, sample_row_order, n_permutations + 1)
    estimator, is_logistic_regression = clone(estimator), type(estimator) is LogisticRegression
    if is_logistic_regression:
        check_parameters(estimator)
        if estimator.solver != "liblinear" or len(classes) == 2:
            # The primal and dual problems of liblinear have the same solution.
            estimator.set_params(solver="auto", dual=False, tol=min(estimator.tol, MAX_TOL))
    has_two_classes = len(classes) == 2 and all(np.ptp(labels[train]) for train, _ in folds)
    if (
        is_logistic_regression
        and has_two_classes
        and isinstance(name, str)
        and name in BATCHED_SCORINGS
        and estimator.class_weight is None
    ):
        scores = BatchedScores(estimator, X, labels, folds, name, sample_row_order, distinct_data_sets).score()
    else:
        scores = score_one_at_a_time(estimator, X, y, folds, scoring, sample_row_order, distinct_data_sets)
    return PermutationTest(*compare_scores(scores, distinct_data_sets.indices))


def _permute_rows(n_rows, groups, seed):
    """Return a random permutation of the row indices within the groups."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(n_rows)
    if groups is not None:
        # Pair the rows of each group, in their original order, with the permuted rows of the same group.
        permuted_rows, order = order, np.empty(n_rows, np.int64)
        groups = np.unique(groups, return_inverse=True)[1]
        order[np.argsort(groups, kind="stable")] = permuted_rows[np.argsort(groups[permuted_rows], kind="stable")]
    return order
