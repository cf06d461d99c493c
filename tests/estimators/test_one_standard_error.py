"""LogisticRegressionCV with selection="one_standard_error", compared with the rule in plain Python."""

from math import sqrt
from statistics import mean, stdev

import numpy as np
import pytest
from conftest import assert_raises, load_standardized, make_problem, mark_params
from linear_models import make_cv_model
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.model_selection import ShuffleSplit

import fastlin

X, Y = load_standardized(load_iris)
ROWS, LABELS, *_ = make_problem(90, 4, 3)
CS = [0.01, 1.0, 100.0]


def choose_one_standard_error(model):
    """Return the indices of the l1_ratio and of the C that glmnet's rule chooses for folds of equal weight."""
    fold_scores = np.moveaxis(model.scores_, 0, -1).tolist()
    means = {(r, c): mean(fold_scores[r][c]) for r, c in np.ndindex(model.scores_.shape[1:])}
    best = max(means, key=lambda index: (means[index], -index[1]))
    bound = means[best] - stdev(fold_scores[best[0]][best[1]]) / sqrt(len(model.scores_))
    return best, (best[0], min(c for (r, c), value in means.items() if r == best[0] and value >= bound))


@pytest.mark.parametrize("scoring", ["neg_log_loss", *mark_params(pytest.mark.thorough, "roc_auc")])
@pytest.mark.parametrize("l1_ratios", [(0,), (1.0, 0.3)])
@pytest.mark.parametrize("refit", [True, False])
def test_one_standard_error_chooses_the_strongest_penalty_within_it(scoring, l1_ratios, refit):
    X, y = (values[::4] for values in load_standardized(load_breast_cancer))
    # With fewer features, the scores of the folds vary.
    X = X[:, :4].copy()
    weights = 1.0 + np.arange(len(y)) % 3
    parameters = {"Cs": np.logspace(-3, 2, 12), "l1_ratios": l1_ratios, "scoring": scoring, "refit": refit}
    best, model = (
        make_cv_model(selection=selection, tol=1e-9, **parameters).fit(X, y, weights)
        for selection in ("best", "one_standard_error")
    )
    np.testing.assert_array_equal(model.scores_, best.scores_)
    (_, best_c), (r, c) = choose_one_standard_error(model)
    assert c < best_c
    for either in (best, model):
        assert either.C_best_ == model.Cs_[best_c]
        assert either.C_one_standard_error_ == model.Cs_[c]
    assert (model.C_, model.l1_ratio_) == (model.Cs_[c], l1_ratios[r])
    if refit:
        assert best.C_ == best.C_best_
        plain = fastlin.LogisticRegression(C=model.C_, l1_ratio=model.l1_ratio_, tol=1e-9).fit(X, y, weights)
        np.testing.assert_allclose(model.coef_, plain.coef_, atol=1e-3)
    else:
        np.testing.assert_allclose(model.coef_, model.coefs_paths_[:, r, c, :, :-1].mean(axis=0), rtol=1e-12)
    assert f"C={model.C_:.6g}" in model.summary()
    assert f"one standard error of the best C={model.C_best_:.6g}" in model.summary()


def test_one_standard_error_includes_its_bound_and_excludes_missing_scores():
    def search_with_scores(*scores_by_C, **parameters):
        calls = iter(np.transpose(scores_by_C).ravel())
        grid = {"Cs": CS, "cv": len(scores_by_C[0]), "scoring": lambda *_: next(calls)}
        return make_cv_model(selection="one_standard_error", **grid | parameters).fit(X, Y)

    # The best mean is 0.6, and its standard error is sqrt(0.02) / sqrt(2) = 0.1.
    assert search_with_scores([0.5, 0.5], [0.4, 0.5], [0.7, 0.5]).C_ == CS[0]
    # Because of rounding, the computed bound 0.45 - 0.05 is above the mean of 0.1 and 0.7.
    assert search_with_scores([0.1, 0.7], [0.1, 0.6], [0.4, 0.5]).C_ == CS[0]
    assert search_with_scores([0.49, 0.5], [0.4, 0.6], [0.7, 0.5]).C_ == CS[1]
    assert search_with_scores([0.49, 0.5], [0.4, 0.59], [0.7, 0.5]).C_ == CS[2]
    assert search_with_scores([0.5, 0.5], [0.6, 0.6], [0.6, 0.6]).C_ == CS[1]
    assert search_with_scores([np.nan, 0.6], [0.4, 0.6], [0.7, 0.5]).C_ == CS[1]
    assert search_with_scores([np.nan, 0.6], [np.nan, 0.6], [np.nan, 0.5]).C_ == CS[0]
    # The choice is between fits with the best l1_ratio. The fits at each C have the l1_ratios 0 and 1.
    model = search_with_scores(*[[0.6, 0.5]] * 3, *[[0.3, 0.3], [0.7, 0.6], [0.5, 0.7]], l1_ratios=[0.0, 1.0])
    assert (model.C_best_, model.C_, model.l1_ratio_) == (CS[1], CS[1], 1.0)


def test_one_standard_error_with_alphas_and_legacy_attributes():
    X, y = (values[::4] for values in load_standardized(load_breast_cancer))
    expected = make_cv_model(Cs=np.logspace(-3, 2, 6), selection="one_standard_error").fit(X, y)
    assert expected.C_ == expected.C_one_standard_error_ < expected.C_best_
    alphas = 1 / (expected.Cs_ * len(y))
    model = clone(expected).set_params(Cs=10, alphas=alphas, use_legacy_attributes=True).fit(X, y)
    np.testing.assert_allclose(model.C_, [expected.C_one_standard_error_], rtol=1e-12)
    np.testing.assert_allclose(model.alpha_, 1 / (expected.C_one_standard_error_ * len(y)), rtol=1e-12)
    assert model.C_best_ == pytest.approx(expected.C_best_, rel=1e-12)
    assert model.to_sklearn().C_ == model.C_


def test_one_standard_error_requires_several_folds():
    model = make_cv_model(Cs=CS).fit(ROWS, LABELS)
    assert model.C_one_standard_error_ <= model.C_best_
    split = {"X_val": ROWS[1::2], "y_val": LABELS[1::2]}
    model.fit(ROWS[::2], LABELS[::2], **split)
    assert model.C_ == model.C_best_ and not hasattr(model, "C_one_standard_error_")
    model.set_params(selection="one_standard_error")
    assert_raises("at least two folds, whose scores vary, got a validation set", model.fit, ROWS, LABELS, **split)
    model.set_params(cv=ShuffleSplit(1, random_state=0))
    assert_raises("at least two folds, whose scores vary, got one fold", model.fit, ROWS, LABELS)
    assert_raises("'selection' parameter", model.set_params(selection="1se").fit, ROWS, LABELS)
