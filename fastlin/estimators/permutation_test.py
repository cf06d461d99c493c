"""The permutation test: how a model scores beside models of labels that tell nothing of the rows."""

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

from fastlin.estimators.labels import encode_labels
from fastlin.estimators.logistic_regression import LogisticRegression
from fastlin.estimators.parameters import read_seed
from fastlin.estimators.scikit_learn import check_parameters
from fastlin.fitted import read_count
from fastlin.typing import MatrixLike

LIKELIHOOD_RATIO = "likelihood_ratio"
# The scores of fits that are made side by side.
SCORES = "accuracy", "neg_log_loss", LIKELIHOOD_RATIO
# Fits reach this tol where the estimator asks for less. Batched fits of 22 x 1, 300 x 5 and 1,000 x 20 take 1.1 to 1.5
# times as long as with 1e-4, and the likelihood ratios of 22 rows are then known to six digits.
TOL = 1e-12


@dataclass(frozen=True, eq=False)
class PermutationTest:
    """What `permutation_test` has found.

    Attributes
    ----------
    score : float
        The score of the model.
    permutation_scores : ndarray of shape (n_permutations,)
        The scores with permuted rows. Those that equal `score` within the accuracy of the fits have its value.
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

    A permutation that yields the same data as another one, in any order of the rows, has the same score. Scores also
    count as equal if the certificates of the fits cannot tell them apart, as those of the two mirror images of a 2 x 2
    table. For that `LogisticRegression` is fitted with ``solver="auto"`` and `tol` at most 1e-12. A decision value
    that its certificate cannot tell from zero counts as zero. Scores of fits that have not converged, of other
    estimators, of other scorers and of more than two classes (except for the likelihood ratio with an L2 penalty) count
    as equal within rounding errors of float64 only, and so do scores of folds with more than 600 columns. For such
    scores `LogisticRegression` and `FirthLogisticRegression` read float32 data as float64.

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
    from fastlin.estimators.permuted_scores import BatchedScores, compare, find_distinct, score_one_by_one

    n_permutations = read_count("n_permutations", n_permutations)
    X, y, groups = indexable(X, column_or_1d(y), groups)
    classes, labels = encode_labels(y)
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
    name = scoring or "accuracy"
    distinct = find_distinct(X, labels, folds, draw, n_permutations + 1)
    estimator, is_own = clone(estimator), type(estimator) is LogisticRegression
    if is_own:
        check_parameters(estimator)
        if estimator.solver != "liblinear" or len(classes) == 2:
            # liblinear's dual problem has the same minimum.
            estimator.set_params(solver="auto", dual=False, tol=min(estimator.tol, TOL))
    are_two = len(classes) == 2 and all(np.ptp(labels[train]) for train, _ in folds)
    if is_own and are_two and isinstance(name, str) and name in SCORES and estimator.class_weight is None:
        scores = BatchedScores(estimator, X, labels, folds, name, draw, distinct).score()
    else:
        scores = score_one_by_one(estimator, X, y, folds, scoring, draw, distinct)
    return PermutationTest(*compare(scores, distinct.numbers))


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
