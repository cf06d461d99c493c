"""The names of scikit-learn 1.10: alpha and alphas in place of C and Cs, and the solvers by coordinate descent."""

import pickle

import numpy as np
import pytest
from linear_models import assert_same_model, fit, make_cv
from sklearn.base import clone
from sklearn.datasets import make_classification

import fastlin
from fastlin.estimators import many_fits
from fastlin.exceptions import ConvergenceWarning

X, Y = make_classification(200, 6, flip_y=0.2, random_state=0)
WEIGHTS = np.random.default_rng(0).integers(1, 4, len(Y)).astype(float)


@pytest.mark.parametrize(
    ("parameters", "total"),
    [
        ({}, WEIGHTS.sum()),
        ({"l1_ratio": 0.5}, WEIGHTS.sum()),
        ({"class_weight": {0: 1.0, 1: 4.0}}, WEIGHTS @ np.where(Y, 4.0, 1.0)),
    ],
)
def test_alpha_is_the_penalty_whatever_rows_weigh(parameters, total):
    found = fit(X, Y, WEIGHTS, alpha=0.05, **parameters)
    expected = fit(X, Y, WEIGHTS, C=1 / (0.05 * total), **parameters)
    assert_same_model(found, expected, atol=1e-7)
    assert_same_model(fit(X, Y, 1000 * WEIGHTS, alpha=0.05, **parameters), expected, atol=1e-7)


def test_alpha_goes_wherever_the_penalty_does():
    by_alpha, by_C = (fit(X, Y, WEIGHTS, **given) for given in ({"alpha": 0.05}, {"C": 20 / WEIGHTS.sum()}))
    errors = [each.inference(X, Y, WEIGHTS, penalised="laplace").std_errors for each in (by_alpha, by_C)]
    np.testing.assert_allclose(*errors, rtol=1e-6)
    assert_same_model(fit(X, Y, alpha=0), fit(X, Y, C=np.inf))
    several = np.column_stack([Y, X[:, 0] > 0.5]).astype(int)
    for class_weight in (None, {0: 1.0, 1: 4.0}):
        options = {"tol": 1e-10, "class_weight": class_weight}
        by_C = fastlin.LogisticRegression(C=0.1, **options).fit(X, several)
        for k, labels in enumerate(several.T):
            total = 200 + 3 * labels.sum() if class_weight else 200
            by_alpha = fastlin.LogisticRegression(alpha=10 / total, **options).fit(X, several)
            np.testing.assert_allclose(by_alpha.coef_[k], by_C.coef_[k], atol=1e-6)


def test_resamples_in_lots_have_the_penalty_of_those_fitted_alone(monkeypatch):
    model, coefs = fit(X, Y, WEIGHTS, alpha=1.0), []
    for is_in_lots in (True, False):
        monkeypatch.setattr(many_fits, "suits", lambda *_, suits=is_in_lots: suits)
        coefs.append(model.bootstrap(X, Y, WEIGHTS, n_resamples=20, random_state=0).coef)
    np.testing.assert_allclose(*coefs, atol=1e-3)


def test_alpha_is_copied_shown_and_kept():
    model = clone(fastlin.LogisticRegression().set_params(alpha=0.05, solver="newton-cd")).fit(X, Y)
    assert repr(model) == "LogisticRegression(alpha=0.05, solver='newton-cd')"
    assert pickle.loads(pickle.dumps(model)).get_params() == model.get_params()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit(X, Y, C=2.0, alpha=0.1), r"C must be left out .* got C=2.0 and alpha=0.1"),
        (lambda: fit(X, Y, alpha="1/n"), "'alpha' parameter"),
        (lambda: fit(X, Y, alpha=-1.0), "'alpha' parameter"),
        (lambda: make_cv(Cs=[1.0], alphas=[0.1]).fit(X, Y), r"Cs must be left out .* Cs=\[1.0\] and alphas=\[0.1\]"),
        (lambda: make_cv(alphas=[0.1, -1.0]).fit(X, Y), r"^alphas must be .* at least 0; got \[0.1, -1.0\]$"),
        (lambda: make_cv(alphas=[np.inf]).fit(X, Y), "^alphas must be .* finite"),
        (lambda: fastlin.logistic_path(X, Y, alpha=0.1), "logistic_path takes no alpha"),
    ],
)
def test_what_contradicts_itself_is_named(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_a_search_by_alphas_is_that_of_fits_by_alpha():
    half = np.arange(200) < 120
    folds = [(np.flatnonzero(half), np.flatnonzero(~half)), (np.flatnonzero(~half), np.flatnonzero(half))]
    model = make_cv(alphas=[0.01, 0.3, 0.05], cv=folds, tol=1e-11).fit(X, Y, WEIGHTS)
    np.testing.assert_allclose(model.alphas_, [0.3, 0.05, 0.01])
    for coefs, (rows, _) in zip(model.coefs_paths_, folds, strict=True):
        for coef, alpha in zip(coefs[0], model.alphas_, strict=True):
            expected = fit(X[rows], Y[rows], WEIGHTS[rows], alpha=alpha)
            np.testing.assert_allclose(coef[0, :-1], expected.coef_[0], atol=1e-6)
    assert model.alpha_ in model.alphas_
    alphas = np.array([model.alpha_, *model.alphas_])
    np.testing.assert_allclose([model.C_, *model.Cs_], 1 / (alphas * WEIGHTS.sum()))
    assert_same_model(model, fit(X, Y, WEIGHTS, alpha=model.alpha_))
    both = model, fit(X, Y, WEIGHTS, C=model.C_)
    errors = [each.inference(X, Y, WEIGHTS, penalised="laplace").std_errors for each in both]
    np.testing.assert_allclose(*errors, rtol=1e-4)


def test_a_number_of_alphas_spans_the_grid_of_scikit_learn_1_10():
    np.testing.assert_allclose(make_cv(alphas=4).fit(X, Y).alphas_, [1e2, 1e-1, 1e-4, 1e-7])
    by_Cs = make_cv(Cs=3).fit(X, Y, WEIGHTS)
    np.testing.assert_array_equal(by_Cs.Cs_, [1e-4, 1, 1e4])
    np.testing.assert_allclose([by_Cs.alpha_, *by_Cs.alphas_], 1 / np.array([by_Cs.C_, *by_Cs.Cs_]) / WEIGHTS.sum())


@pytest.mark.parametrize("solver", ["newton-cd", "newton-cd-gram"])
def test_solvers_by_coordinate_descent_find_the_minimum(solver):
    for l1_ratio in (0.0, 0.5, 1.0):
        given = {"C": 0.1, "l1_ratio": l1_ratio}
        assert_same_model(fit(X, Y, solver=solver, **given), fit(X, Y, **given))
    with pytest.warns(ConvergenceWarning, match="^Newton solver did not converge after 1 iterations"):
        fastlin.LogisticRegression(solver=solver, l1_ratio=1.0, C=10.0, max_iter=1, tol=1e-10).fit(X, Y)
