"""LogisticRegression with L1, elastic net, penalty factors and group lasso: optimality, exact zeros, errors."""

import numpy as np
import pytest
import reference
from conftest import assert_raises, load_standardized, mark_params
from linear_models import assert_same_model
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin
from fastlin.estimators import scikit_learn

X, Y = load_standardized(load_iris)
SCALED_CANCER, UNSCALED_CANCER = load_standardized(load_breast_cancer), load_breast_cancer(return_X_y=True)
ILL_CONDITIONED_PROBLEMS = {
    "large C": (X, Y, 1e5, 1e-4, False),
    "large C of groups": (X, Y, 1e5, 1e-4, True),
    "large C of two classes": (*SCALED_CANCER, 1e4, 1e-4, False),
    "larger C of two classes": (*SCALED_CANCER, 1e5, 5e-4, False),  # with short vectors rounding errors are 1.2e-4 of J
    "columns of different scales": (*UNSCALED_CANCER, 0.1, 1e-5, False),
    "columns of different scales with a larger C": (*UNSCALED_CANCER, 10.0, 1e-5, False),
    "copies of columns": (np.column_stack([X, X[:, 2], X[:, 0]]), Y, 0.1, 1e-9, False),
}


def fit(X, y, sample_weight=None, **parameters):
    return fastlin.LogisticRegression(**{"l1_ratio": 1.0, "tol": 1e-12, **parameters}).fit(X, y, sample_weight)


def fit_saga(X, y, sample_weight=None, **parameters):
    # Before 1.8, l1_ratio had an effect only with this penalty.
    if scikit_learn.SKLEARN_VERSION < (1, 8):
        parameters["penalty"] = "elasticnet"
    if parameters.get("class_weight") == "balanced":
        totals = np.bincount(y, sample_weight)
        parameters["class_weight"] = dict(enumerate(totals.sum() / (len(totals) * totals)))
    model = ScikitLearnLogisticRegression(tol=1e-10, max_iter=100_000, random_state=0, solver="saga", **parameters)
    return model.fit(X, y, sample_weight)


def compute_objective(model, X, labels, l1_ratio=1.0, C=1.0, factors=1.0):
    strength, penalty = 1 / (C * len(X)), {"factors": factors, "group_lasso": model.group_lasso}
    l1, l2 = l1_ratio * strength, (1 - l1_ratio) * strength
    return reference.objective(X, labels, model.coef_, model.intercept_, l2, l1=l1, **penalty)


@pytest.mark.parametrize("loader", [load_iris, load_breast_cancer])
@pytest.mark.parametrize(
    ("parameters", "weighted"),
    [
        ({"l1_ratio": 1.0, "C": 0.1}, False),
        ({"l1_ratio": 0.5, "C": 0.05}, True),
        ({"l1_ratio": 0.1, "C": 0.02, "fit_intercept": False}, False),
        ({"l1_ratio": 1.0, "C": 0.05, "class_weight": "balanced"}, True),
        ({"l1_ratio": 1.0, "C": 0.05, "class_weight": {0: 3.0, 1: 0.5}, "fit_intercept": False}, True),
    ],
    ids=str,
)
def test_the_model_equals_that_of_saga(loader, parameters, weighted):
    X, y = load_standardized(loader)
    weights = np.random.default_rng(0).integers(0, 3, len(y)) if weighted else None
    actual, expected = fit(X, y, weights, **parameters), fit_saga(X, y, weights, **parameters)
    np.testing.assert_allclose(actual.coef_, expected.coef_, atol=1e-6)
    center = expected.intercept_.mean() if len(actual.classes_) > 2 else 0
    np.testing.assert_allclose(actual.intercept_, expected.intercept_ - center, atol=1e-6)
    np.testing.assert_array_equal(actual.coef_ == 0, expected.coef_ == 0)
    assert (actual.coef_ == 0).any() and (actual.coef_ != 0).any()
    np.testing.assert_allclose(actual.predict_proba(X), expected.predict_proba(X), atol=1e-6)
    assert actual.converged_
    assert 0 < actual.certificate_ < 1e-11


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
def test_a_feature_with_factor_zero_is_unpenalized(l1_ratio):
    factors, total = np.array([1.0, 0.0, 1.0, 1.0]), len(Y) * 0.05
    model = fit(X, Y, C=0.05, l1_ratio=l1_ratio, penalty_factors=factors, tol=1e-10)
    assert model.converged_
    # With an L1 penalty there is no Newton step with the full Hessian, which would give a certificate.
    assert (model.certificate_ == np.inf) if l1_ratio else (model.certificate_ <= 2e-10 * model.history_[-1].objective)
    minimum, coef, _ = reference.sparse_minimum(X, Y, 3, (1 - l1_ratio) / total, l1_ratio / total, factors=factors)
    assert compute_objective(model, X, Y, l1_ratio, 0.05, factors) == pytest.approx(minimum, rel=1e-9)
    np.testing.assert_allclose(model.coef_[:, 1], coef[:, 1] - coef[:, 1].mean(), atol=1e-4)
    assert model.coef_[:, 1].sum() == pytest.approx(0, abs=1e-12)


def test_equivalent_penalties_give_the_same_model():
    plain = fit(X, Y, C=0.1)
    np.testing.assert_array_equal(fit(X, Y, C=0.1, penalty_factors=np.ones(4)).coef_, plain.coef_)
    assert_same_model(fit(X, Y, C=0.2, penalty_factors=np.full(4, 2.0)), plain, 1e-6)
    # Groups of one coefficient are equivalent to L1.
    actual, expected = (fit(*SCALED_CANCER, C=0.1, group_lasso=grouped) for grouped in (True, False))
    np.testing.assert_array_equal(actual.coef_, expected.coef_)
    y = np.random.default_rng(0).permutation(Y)
    actual, expected = (fit(X, y, C=np.inf, tol=1e-4, l1_ratio=l1_ratio) for l1_ratio in (1.0, 0.0))
    np.testing.assert_array_equal(actual.coef_, expected.coef_)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ([1.0, 1.0], r"each of the 4 features.*\(2,\)"),
        (np.ones((4, 1)), "each of the 4 features"),
        ([1.0, -1.0, 1.0, 1.0], "at least 0, got -1.0 for feature 1"),
        ([1.0, 1.0, np.nan, 1.0], "finite.*got nan for feature 2"),
        ([np.inf, 1.0, 1.0, 1.0], "finite.*got inf for feature 0"),
        (["a", "b", "c", "d"], "could not convert|penalty_factors"),
        ("balanced", "'penalty_factors' parameter"),
        (1.0, "'penalty_factors' parameter"),
    ],
    ids=str,
)
def test_invalid_factors_raise_an_error(factors, message):
    for l1_ratio in (0.0, 1.0):
        assert_raises(message, fastlin.LogisticRegression(l1_ratio=l1_ratio, penalty_factors=factors).fit, X, Y)


@pytest.mark.parametrize("name", ILL_CONDITIONED_PROBLEMS)
def test_ill_conditioned_fits_converge(name):
    rows, y, C, tol, group_lasso = ILL_CONDITIONED_PROBLEMS[name]
    model = fit(rows, y, C=C, tol=tol, group_lasso=group_lasso)
    assert model.converged_
    assert model.n_iter_[0] < 100
    assert model.certificate_ <= tol * compute_objective(model, rows, y, C=C) * (1 + 1e-6)


@pytest.mark.parametrize("group_lasso", [False, True])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_columns_far_from_zero_without_an_intercept_converge(n_classes, group_lasso):
    generator = np.random.default_rng(0)
    n, d, C = 80, 12, 1.0
    X = generator.normal(size=(n, d))
    y = np.argmax(X @ generator.normal(size=(d, n_classes)) + generator.gumbel(size=(n, n_classes)), axis=1)
    X = (X + 10 ** generator.uniform(1, 4, size=d)) * 10 ** generator.uniform(-2, 2, size=d)
    model = fit(X, y, C=C, fit_intercept=False, tol=1e-7, group_lasso=group_lasso)
    assert model.converged_
    assert model.n_iter_[0] < 60
    # The violation is relative to the threshold of the L1 penalty.
    penalty = {"fit_intercept": False, "l1": 1 / (C * n), "group_lasso": group_lasso}
    violation = reference.violation(X, y, model.coef_, np.zeros(len(model.coef_)), **penalty) * C * n
    assert violation < 0.02
    assert 0 < np.count_nonzero(model.coef_) < model.coef_.size


@pytest.mark.parametrize(
    ("n_classes", "C", "options"),
    [
        (2, 100.0, {}),
        (2, 1e-7, {}),  # no coefficient can replace the intercept
        *mark_params(pytest.mark.thorough, (3, 1.0, {}), (3, 1.0, {"group_lasso": True}), (2, 1.0, {"l1_ratio": 0.5})),
    ],
)
def test_wide_rows_far_from_zero_without_an_intercept_take_few_passes(n_classes, C, options):
    generator = np.random.default_rng(0)
    n, d = 150, 400
    X = generator.normal(size=(n, d))
    scores = 2 * X[:, :10] @ generator.normal(size=(10, n_classes))
    y = (scores + generator.gumbel(size=scores.shape)).argmax(axis=1)
    X += 100
    weights = generator.integers(0, 3, n)
    model = fit(X, y, weights, C=C, fit_intercept=False, tol=1e-6, **options)
    assert model.converged_ and not model.intercept_.any()
    # From the null model, the first of these fits takes 186 passes and a hundred times as long.
    assert model.n_passes_ <= 80
    strength, l1_ratio = 1 / (C * weights.sum()), options.get("l1_ratio", 1.0)
    penalty = {"l2": (1 - l1_ratio) * strength, "l1": l1_ratio * strength, **options}
    penalty.pop("l1_ratio", None)
    zeros = np.zeros(len(model.coef_))
    violation = reference.violation(X, y, model.coef_, zeros, weights=weights, fit_intercept=False, **penalty)
    assert violation <= 0.02 * l1_ratio * strength


@pytest.mark.parametrize("l1_ratio", [0, 1])
def test_classes_separable_by_a_feature_without_penalty_give_a_warning(l1_ratio):
    X, y = np.array([[-1, 0.3], [1, 0.1], [-2, -0.4], [2, 0.2]]), np.array([0, 1, 0, 1])
    with pytest.warns(ConvergenceWarning, match="separable by features without a penalty"):
        model = fastlin.LogisticRegression(l1_ratio=l1_ratio, penalty_factors=[0, 1]).fit(X, y)
    assert not model.converged_
    assert model.n_iter_[0] < 100
    assert np.abs(model.coef_).max() < 100
