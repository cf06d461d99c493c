"""The permutation test compared with sequential scikit-learn fits for the same permutations."""

from itertools import product

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold, StratifiedKFold, permutation_test_score

import fastlin

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(120, 4))
Y = np.where(1.5 * X[:, 0] + GENERATOR.logistic(size=120) > 0, "yes", "no")


@pytest.mark.parametrize(
    ("scoring", "make", "n_classes"),
    [
        *product(("accuracy", "neg_log_loss", "likelihood_ratio", None), (np.asarray, sparse.csr_matrix), (2,)),
        ("neg_log_loss", np.asarray, 3),
    ],
)
def test_batched_fits_have_the_scores_of_sequential_fits(scoring, make, n_classes):
    y = Y if n_classes == 2 else np.digitize(X[:, 0], [-0.4, 0.4])
    n_permutations = 7 if n_classes == 2 else 2
    options = {"scoring": scoring, "n_permutations": n_permutations, "random_state": 3}
    actual, expected = (
        fastlin.permutation_test(model(tol=1e-10, max_iter=10_000), make(X), y, **options)
        for model in (fastlin.LogisticRegression, ScikitLearnLogisticRegression)
    )
    np.testing.assert_allclose(actual.score, expected.score, rtol=1e-5)
    np.testing.assert_allclose(actual.permutation_scores, expected.permutation_scores, rtol=1e-5, atol=1e-6)
    assert actual.p_value == expected.p_value == 1 / (1 + n_permutations)


def test_permutation_scores_equal_those_of_scikit_learn():
    actual = fastlin.permutation_test(fastlin.LogisticRegression(), X, Y, cv=4, n_permutations=0)
    assert actual.score == permutation_test_score(ScikitLearnLogisticRegression(), X, Y, cv=4, n_permutations=1)[0]
    assert actual.p_value == 1
    model = fastlin.LogisticRegression(C=np.inf, tol=1e-10).fit(X, Y)
    actual = fastlin.permutation_test(model, X, Y, scoring="likelihood_ratio", n_permutations=3)
    null = log_loss(Y, np.full(len(Y), np.mean(Y == "yes")))
    np.testing.assert_allclose(actual.score, 2 * len(Y) * (null - log_loss(Y, model.predict_proba(X))))


def test_permutations_stay_within_groups():
    groups = np.arange(120) // 10
    # Permutations within groups do not change labels that are constant within groups.
    y = groups % 2
    options = {"groups": groups, "cv": GroupKFold(3), "n_permutations": 5}
    actual = fastlin.permutation_test(fastlin.LogisticRegression(), y[:, None].astype(float), y, **options)
    np.testing.assert_array_equal(actual.permutation_scores, actual.score)
    assert actual.p_value == 1


def test_permutations_depend_only_on_the_seed():
    model = fastlin.LogisticRegression(C=0.1)
    options = {"cv": StratifiedKFold(3, shuffle=True, random_state=1), "random_state": 5}
    few = fastlin.permutation_test(model, X, Y, n_permutations=4, **options)
    many = fastlin.permutation_test(model, X, Y, n_permutations=9, **options)
    np.testing.assert_array_equal(many.permutation_scores[:4], few.permutation_scores)
    assert len(set(many.permutation_scores)) > 1
    assert vars(model) == vars(fastlin.LogisticRegression(C=0.1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_permutations": -1}, "n_permutations must be an integer of at least 0"),
        ({"scoring": "likelihood_ratio", "cv": 3}, "cv must be None for scoring='likelihood_ratio'"),
        ({"scoring": "acuracy"}, "acuracy"),
        ({"cv": [(np.arange(10, 20), np.arange(10))]}, "contains only one class: no"),
    ],
)
def test_invalid_tests_raise_an_error(options, message):
    with pytest.raises(ValueError, match=message):
        fastlin.permutation_test(fastlin.LogisticRegression(), X, np.sort(Y), **options)
