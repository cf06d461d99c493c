"""lower_bounds and upper_bounds of LogisticRegression and what fits with it, against SciPy's L-BFGS-B."""

import functools

import linear_models
import numpy as np
import pandas as pd
import pytest
from bounded_problems import Problem
from conftest import assert_refused, load_scaled, marked
from linear_models import make_cv
from sklearn.datasets import load_breast_cancer, load_iris

import fastlin
from fastlin.exceptions import ConvergenceWarning

pytestmark = pytest.mark.usefixtures("sparse_passes")


def pose(X, y, lower, upper, offset=None, **parameters):
    given = {"K": y.shape[1] if y.ndim == 2 else y.max() + 1, "C": 1.0, "l1_ratio": 0.0, "penalty_factors": 1.0}
    given["lower_bounds"] = -np.inf if lower is None else lower
    given["upper_bounds"] = np.inf if upper is None else upper
    return Problem(X, y, None, offset, {**given, "fit_intercept": True, **parameters})


fit = functools.partial(linear_models.fit, tol=1e-9)
IRIS, SPECIES = load_scaled(load_iris)


def check(model, problem, tolerance=1e-9):
    """Assert that a model is the minimum within the bounds, keeps to them, and has a certificate that holds."""
    assert (problem.parameters["lower_bounds"] <= model.coef_).all()
    assert (model.coef_ <= problem.parameters["upper_bounds"]).all()
    value, least = problem.value(model.coef_, model.intercept_), problem.least()
    assert model.converged_
    assert value <= least * (1 + tolerance) + 1e-13
    assert value - model.certificate_ <= least
    if model.history_:
        assert model.history_[-1].objective == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("lower", "upper"), [(0.05, 0.3), *marked(pytest.mark.thorough, (0.0, None), (-0.1, 0.2), (None, -0.02))]
)
@pytest.mark.parametrize("loader", [load_breast_cancer, load_iris])
def test_the_model_is_that_of_scipy(loader, lower, upper):
    X, y = load_scaled(loader)
    X, y = X[::3, :8], y[::3]
    for C, l1_ratio in ((1.0, 0.0), (0.05, 1.0), (10.0, 0.5)):
        for fit_intercept in (True, False):
            penalty = {"C": C, "l1_ratio": l1_ratio, "fit_intercept": fit_intercept}
            model = fit(X, y, lower_bounds=lower, upper_bounds=upper, **penalty)
            check(model, pose(X, y, lower, upper, **penalty))
            assert model.certificate_ < 1e-7
            assert ((model.coef_ == lower) | (model.coef_ == upper)).any()


@pytest.mark.thorough
def test_without_a_penalty_both_bounds_give_a_certificate():
    # The same holds of the features that alone are not penalised.
    free = np.array([-1.0, -np.inf, -np.inf, 0.0]), np.array([1.0, np.inf, np.inf, np.inf])
    for loader in (load_breast_cancer, load_iris):
        X, y = load_scaled(loader)
        X = X[:, :4]
        for lower, upper, tolerance, certificate, options in (
            (-2.0, 3.0, 1e-8, 1e-8, {"C": np.inf}),
            (0.0, None, 1e-6, np.inf, {"C": np.inf}),
            (*free, 1e-8, 1e-6, {"penalty_factors": [0.0, 1.0, 1.0, 1.0], "l1_ratio": 0.0}),
            (*free, 1e-8, 1e-6, {"penalty_factors": [0.0, 1.0, 1.0, 1.0], "l1_ratio": 1.0}),
        ):
            model = fit(X, y, lower_bounds=lower, upper_bounds=upper, **options)
            check(model, pose(X, y, lower, upper, **options), tolerance)
            assert model.certificate_ < certificate or model.certificate_ == certificate == np.inf


def test_separable_classes_have_a_minimum_within_bounds():
    X, y = IRIS, (SPECIES == 0).astype(int)
    for lower, upper in ((-5, 5), (-9, [2.0, np.inf, 1.0, 1.0])):
        model = fastlin.LogisticRegression(C=np.inf, tol=1e-6, lower_bounds=lower, upper_bounds=upper)
        assert model.fit(X, y).converged_
    with pytest.warns(ConvergenceWarning, match="separable"):
        fastlin.LogisticRegression(C=np.inf, lower_bounds=[-np.inf, 0, -np.inf, -np.inf]).fit(X, y)


def test_infinite_bounds_change_no_bit_and_those_that_are_never_met_no_probability():
    for l1_ratio in (0.0, 1.0):
        plain = fit(IRIS, SPECIES, l1_ratio=l1_ratio)
        infinite = fit(IRIS, SPECIES, l1_ratio=l1_ratio, lower_bounds=-np.inf, upper_bounds=np.full(4, np.inf))
        np.testing.assert_array_equal(infinite.coef_, plain.coef_)
        # With bounds the coefficients of a feature need not sum to zero.
        bounded = fit(IRIS, SPECIES, l1_ratio=l1_ratio, lower_bounds=-50, upper_bounds=60)
        np.testing.assert_allclose(bounded.predict_proba(IRIS), plain.predict_proba(IRIS), atol=1e-5)


def test_bounds_of_a_table_are_those_of_its_coefficients_or_columns():
    generator = np.random.default_rng(0)
    city, age = generator.integers(0, 3, 300), generator.normal(size=300)
    y = (age + np.array([1.0, -1.0, 0.5])[city] + generator.logistic(size=300) > 0).astype(int)
    X = pd.DataFrame({"city": pd.Categorical.from_codes(city, ["a", "b", "c"]), "age": age})
    rows = np.column_stack([np.eye(3)[city], age])
    for bounds, lower in (
        ([-0.2, -0.3, 0.0, 0.9], [-0.2, -0.3, 0.0, 0.9]),
        ([-0.1, 0.9], [-0.1, -0.1, -0.1, 0.9]),
        ({"city": -0.1}, [-0.1, -0.1, -0.1, -np.inf]),
    ):
        model = fit(X, y, lower_bounds=bounds, categorical_features="from_dtype")
        check(model, pose(rows, y, np.array(lower), None))
        assert (model.coef_ == lower).any()
    numbers = pd.DataFrame({"age": age, "noise": -age + generator.normal(size=300)})
    model = fit(numbers, y, lower_bounds={"age": 0}, upper_bounds={"noise": -0.3, "age": 0.3})
    check(model, pose(numbers.to_numpy(), y, np.array([0, -np.inf]), np.array([0.3, -0.3])))
    np.testing.assert_array_equal(model.coef_, [[0.3, -0.3]])


def test_starts_outside_of_the_bounds_are_moved_into_them():
    bounds = {"lower_bounds": 0.05, "upper_bounds": 0.8}
    expected = fit(IRIS, SPECIES, **bounds)
    model = fastlin.LogisticRegression(tol=1e-9, warm_start=True).fit(IRIS, SPECIES)
    model.set_params(**bounds).fit(IRIS, SPECIES)
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-6)
    assert model.fit(IRIS, SPECIES).n_iter_[0] <= 1
    given = fastlin.LogisticRegression(tol=1e-9, **bounds).fit(IRIS, SPECIES, coef_init=np.full((3, 4), 100.0))
    np.testing.assert_allclose(given.coef_, expected.coef_, atol=1e-6)
    still = fit(IRIS, SPECIES, max_iter=0, lower_bounds=0.05, upper_bounds=[9, 9, 9, 0.05])
    np.testing.assert_array_equal(still.coef_, np.full((3, 4), 0.05))


def test_cross_validation_keeps_to_the_bounds():
    options = {"lower_bounds": [0.1, -0.2, 0.0, -np.inf], "upper_bounds": [0.1, 0.3, np.inf, 0.7], "tol": 1e-7}
    for refit in (True, False):
        model = make_cv(Cs=[0.1, 1.0, 100.0], l1_ratios=(0, 1), cv=3, refit=refit, **options).fit(IRIS, SPECIES)
        for coef in (model.coef_, model.coefs_paths_[..., :-1]):
            assert ((options["lower_bounds"] <= coef) & (coef <= options["upper_bounds"])).all()
        assert (model.coef_[:, 0] == 0.1).all()
        assert np.isfinite(model.certificates_).all()
        if refit:
            alone = fastlin.LogisticRegression(C=model.C_, l1_ratio=model.l1_ratio_, **options).fit(IRIS, SPECIES)
            np.testing.assert_allclose(model.coef_, alone.coef_, atol=1e-3)


def test_a_path_begins_where_no_slope_leads_into_the_bounds():
    X, y = load_scaled(load_breast_cancer)
    path = fastlin.logistic_path(X, y, Cs=8, lower_bounds=0.0, tol=1e-7)
    assert path.n_nonzeros[0] == 0 and path.n_nonzeros[-1] > 0
    assert (path.coefs >= 0).all() and path.converged.all()
    assert fastlin.logistic_path(X, y, Cs=[1.01 * path.Cs[0]], lower_bounds=0.0, tol=1e-9).n_nonzeros[0] == 1
    for c in (0, 4, 7):
        one = fit(X, y, C=path.Cs[c], l1_ratio=1, lower_bounds=0.0)
        assert path.objectives[c] == pytest.approx(one.history_[-1].objective if one.history_ else path.objectives[c])
    given = fastlin.logistic_path(X, y, Cs=[0.01, 1.0], lower_bounds=0.1, upper_bounds=0.2)
    assert given.coefs.min() == 0.1
    assert_refused(r"Cs must be a list .* exclude zero", fastlin.logistic_path, X, y, Cs=5, lower_bounds=0.1)


# What is given, and what the error says.
REFUSED = [
    ({"lower_bounds": [0.0, 1.0]}, r"^lower_bounds must .* the 4 features, or .*\(3, 4\); got the shape \(2,\)"),
    ({"upper_bounds": np.zeros((4, 3))}, r"got the shape \(4, 3\)"),
    ({"upper_bounds": [0.0, 1.0, np.nan, 1.0]}, "upper_bounds must not hold NaN"),
    ({"lower_bounds": 1.0, "upper_bounds": [1, 2, 0.5, 3]}, "at most upper_bounds.* 1.0 and 0.5 for feature 2"),
    ({"lower_bounds": np.inf}, "finite numbers between them"),
    ({"lower_bounds": ["a", "b", "c", "d"]}, "lower_bounds must be a number or numbers"),
    ({"lower_bounds": [10**400, 0, 0, 0]}, "lower_bounds must be a number or numbers"),
    ({"lower_bounds": {"age": 0}}, "no names"),
    ({"lower_bounds": 0, "group_by_class": True}, "group_by_class must be False"),
    ({"upper_bounds": "none"}, "'upper_bounds' parameter"),
]


@pytest.mark.parametrize("make", [fastlin.LogisticRegression, make_cv])
@pytest.mark.parametrize(("parameters", "message"), REFUSED)
def test_what_is_no_bound_is_named(make, parameters, message):
    assert_refused(message, make(**parameters).fit, IRIS, SPECIES)
