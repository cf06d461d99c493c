"""Fits with bounds, large features, extreme offsets and weights, compared with SciPy's L-BFGS-B.

SciPy optimizes the positive and negative parts of the coefficients separately, so the L1 penalty is linear.
"""

import functools
import warnings
from dataclasses import dataclass, field

import linear_models
import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises, load_standardized, mark_params
from linear_models import make_cv_model
from reference import evaluate_losses, objective
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer, load_iris

import fastlin
from fastlin.exceptions import ConvergenceWarning

pytestmark = pytest.mark.usefixtures("force_sparse_kernels")

INF = np.inf
TYPES = [np.float64, np.float64, np.float32, np.int8, np.int16, np.int32, np.uint8]
# Probabilities near 0 and 1: the coefficients hardly affect the loss.
SOFT_LABELS = [[1 - 1e-3, 1e-3], [1e-3, 1 - 1e-3]]
DEFAULTS = {"C": 1.0, "l1_ratio": 0.0, "lower_bounds": -INF, "upper_bounds": INF, "fit_intercept": True}
# Kernels for each type of column take seconds to compile.
FLAT_PROBLEM_SEEDS = [33, 145, 225, 256, 316, 1627, 2754]
FLAT_PROBLEM_MINIMA = [
    0.11822224,
    6.2965287,
    1.4819981267,
    1.0923777592,
    0.0291898478,
    5.4194491e-06,
    2.1670120e-06,
]
FLAT_PROBLEMS = mark_params(pytest.mark.thorough, *zip(FLAT_PROBLEM_SEEDS, FLAT_PROBLEM_MINIMA, strict=True))
# Parameters and the error message.
INVALID_BOUNDS = [
    ({"lower_bounds": [0.0, 1.0]}, r"^lower_bounds must .* the 4 features, or .*\(3, 4\); got the shape \(2,\)"),
    ({"upper_bounds": np.zeros((4, 3))}, r"got the shape \(4, 3\)"),
    ({"upper_bounds": [0.0, 1.0, np.nan, 1.0]}, "upper_bounds must not contain NaN"),
    ({"lower_bounds": 1.0, "upper_bounds": [1, 2, 0.5, 3]}, "at most upper_bounds.* 1.0 and 0.5 for feature 2"),
    ({"lower_bounds": INF}, "with finite numbers between them"),
    ({"lower_bounds": ["a", "b", "c", "d"]}, "lower_bounds must be a number or an array"),
    ({"lower_bounds": [10**400, 0, 0, 0]}, "lower_bounds must be a number or an array"),
    ({"lower_bounds": {"age": 0}}, "no names"),
    ({"lower_bounds": 0, "group_lasso": True}, "group_lasso must be False"),
    ({"upper_bounds": "none"}, "'upper_bounds' parameter"),
]


@dataclass(frozen=True)
class Problem:
    """Rows X (n, d), labels or class probabilities, weights and offset, and an estimator's parameters."""

    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None
    offset: np.ndarray | None
    parameters: dict = field(repr=False)

    def evaluate(self, positive_part, negative_part, intercept):
        """Return J at coef = positive - negative, and its gradients with respect to the three arguments.

        `positive_part` and `negative_part` have shape (K, d), and `intercept` has shape (K,).
        """
        X, parameters = self.X.astype(np.float64), self.parameters
        weights = np.ones(len(X)) if self.weights is None else self.weights
        fractions = weights / weights.sum()
        strength = np.broadcast_to(parameters["penalty_factors"], X.shape[1]) / (parameters["C"] * weights.sum())
        l1, l2 = parameters["l1_ratio"] * strength, (1 - parameters["l1_ratio"]) * strength
        coef = positive_part - negative_part
        scores = X @ coef.T + intercept + (0 if self.offset is None else self.offset)
        losses, _, residuals = evaluate_losses(scores, self.y)
        residuals = residuals * fractions[:, None]
        slopes = residuals.T @ X + l2 * coef
        value = fractions @ losses + np.sum(l2 * coef**2) / 2 + np.sum(l1 * (positive_part + negative_part))
        return value, (slopes + l1, l1 - slopes, residuals.sum(axis=0) * parameters["fit_intercept"])

    def value(self, coef, intercept):
        coef = coef.astype(np.float64)
        return self.evaluate(np.maximum(coef, 0), np.maximum(-coef, 0), intercept.astype(np.float64))[0]

    def find_minimum(self, *starts):
        """Return the lowest J within the bounds that L-BFGS-B reaches from zero and from pairs (coef, intercept)."""
        shape = 1 if self.parameters["K"] == 2 else self.parameters["K"], self.X.shape[1]
        lower, upper = (np.broadcast_to(self.parameters[name], shape) for name in ("lower_bounds", "upper_bounds"))
        # Columns are divided by their root mean square and not centered.
        X = self.X.astype(np.float64)
        scale = np.sqrt(np.mean(X**2, axis=0))
        scale = np.where(scale > 0, scale, 1.0)
        free, size = np.full(shape[0], np.inf), shape[0] * shape[1]

        def join(positive_part, negative_part, intercept):
            return np.concatenate([positive_part.ravel(), negative_part.ravel(), intercept]).astype(np.float64)

        lower_bounds = join(np.maximum(lower, 0) * scale, np.maximum(-upper, 0) * scale, -free)
        upper_bounds = join(np.maximum(upper, 0) * scale, np.maximum(-lower, 0) * scale, free)

        def evaluate(point):
            positive_part, negative_part = point[: 2 * size].reshape(2, *shape) / scale
            value, slopes = self.evaluate(positive_part, negative_part, point[2 * size :])
            return value, join(slopes[0] / scale, slopes[1] / scale, slopes[2])

        options = {"maxiter": 300, "maxfun": 300, "ftol": 1e-15, "gtol": 1e-12, "maxcor": 20}
        values = []
        for coef, intercept in [(np.zeros(shape), np.zeros(shape[0])), *starts]:
            point = join(np.maximum(coef, 0) * scale, np.maximum(-coef, 0) * scale, intercept)
            point, bounds = (
                np.clip(point, lower_bounds, upper_bounds),
                list(zip(lower_bounds, upper_bounds, strict=True)),
            )
            values.append(evaluate(point)[0])
            values.append(minimize(evaluate, point, jac=True, bounds=bounds, method="L-BFGS-B", options=options).fun)
        return min(values)


def sample_problem(seed, types=TYPES):
    generator = np.random.default_rng(seed)
    uniform = generator.uniform
    n_classes, n = int(generator.choice([2, 3, 4, 5, 8, 12])), int(np.exp(uniform(np.log(2), np.log(81))))
    n, d = max(n, n_classes), int(np.exp(uniform(0, np.log(61))))
    K, kind = 1 if n_classes == 2 else n_classes, types[generator.integers(len(types))]
    X = generator.normal(size=(n, d)) * 10 ** uniform(-1, 3, size=d if uniform() < 0.5 else 1)
    if uniform() < 0.3:
        X += generator.normal(size=d) * X.std(axis=0) * 10 ** uniform(0, 1.5)
    if kind not in (np.float64, np.float32) or uniform() < 0.4:
        limits = np.iinfo(kind) if kind not in (np.float64, np.float32) else np.iinfo(np.int16)
        X = np.clip(np.round(X), limits.min, limits.max)
    X = X.astype(kind)
    y = generator.permutation(np.arange(n) % n_classes)
    if uniform() < 0.3:
        y = np.append(np.arange(n_classes), generator.integers(n_classes, size=n - n_classes))
    if uniform() < 0.15:
        y = generator.dirichlet(np.full(n_classes, 0.3), size=n)
    weights = generator.choice([generator.uniform(0.1, 3, n), generator.integers(1, 4, n)]) if uniform() < 0.3 else None
    offset = 10 ** uniform(0, 3) * generator.normal(size=(n, K)) if uniform() < 0.4 else None
    lower, upper = np.full((K, d), -np.inf), np.full((K, d), np.inf)
    if uniform() < 0.8:
        size, part = 10 ** uniform(-3, 1), uniform(0.1, 0.9)
        first, second = np.round(generator.normal(size=(2, K, d)) * size, 3)
        lower = np.where(uniform(size=(K, d)) < part, np.minimum(first, second), -np.inf)
        upper = np.where(uniform(size=(K, d)) < part, np.maximum(first, second), np.inf)
        is_fixed = uniform(size=(K, d)) < uniform(0, 0.5) ** 2
        lower, upper = np.where(is_fixed, first, lower), np.where(is_fixed, first, upper)
        if uniform() < 0.4:
            lower = np.where(first > 0, np.minimum(lower, 0), lower)
            upper = np.where(first > 0, np.maximum(upper, 0), upper)
    factors = np.ones(d)
    if uniform() < 0.3:
        factors = generator.choice([0.0, 0.5, 1.0, 10.0], size=d)
    parameters = {
        "K": n_classes,
        "C": np.inf if uniform() < 0.15 else 10 ** uniform(-3, 3),
        "l1_ratio": float(generator.choice([0.0, 0.0, 0.5, 1.0, 1.0])),
        "penalty_factors": factors,
        "lower_bounds": lower,
        "upper_bounds": upper,
        "fit_intercept": uniform() < 0.7,
        "solver": str(generator.choice(["auto", "auto", "auto", "lbfgs", "newton-cg"])),
        "tol": 10 ** uniform(-6, -4),
    }
    return Problem(X, y, weights, offset, parameters)


def make_task(X, y, weights=None, offset=None, **parameters):
    data_defaults = {"K": y.shape[1] if y.ndim == 2 else y.max() + 1, "penalty_factors": np.ones(X.shape[1])}
    return Problem(X, y, weights, offset, DEFAULTS | data_defaults | parameters)


fit = functools.partial(linear_models.fit, tol=1e-9)
IRIS, SPECIES = load_standardized(load_iris)


def check(model, problem):
    """Assert that a model is optimal, satisfies the bounds and has a valid certificate."""
    assert (problem.parameters["lower_bounds"] <= model.coef_).all()
    assert (model.coef_ <= problem.parameters["upper_bounds"]).all()
    value, minimum = problem.value(model.coef_, model.intercept_), problem.find_minimum()
    assert model.converged_
    assert value <= minimum * (1 + 1e-9) + 1e-13
    assert value - model.certificate_ <= minimum
    if model.history_:
        assert model.history_[-1].objective == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("lower", "upper"), [(0.05, 0.3), *mark_params(pytest.mark.thorough, (0.0, INF), (-0.1, 0.2), (-INF, -0.02))]
)
@pytest.mark.parametrize("loader", [load_breast_cancer, load_iris])
def test_the_model_equals_that_of_scipy(loader, lower, upper):
    X, y = load_standardized(loader)
    X, y = X[::3, :8], y[::3]
    for C, l1_ratio in ((1.0, 0.0), (0.05, 1.0), (10.0, 0.5)):
        for fit_intercept in (True, False):
            parameters = {"C": C, "l1_ratio": l1_ratio, "fit_intercept": fit_intercept}
            parameters |= {"lower_bounds": lower, "upper_bounds": upper}
            model = fit(X, y, **parameters)
            check(model, make_task(X, y, **parameters))
            assert model.certificate_ < 1e-7
            assert ((model.coef_ == lower) | (model.coef_ == upper)).any()


def test_separable_classes_have_a_minimum_within_bounds():
    X, y = IRIS, (SPECIES == 0).astype(int)
    for lower, upper in ((-5, 5), (-9, [2.0, INF, 1.0, 1.0])):
        model = fastlin.LogisticRegression(C=INF, tol=1e-6, lower_bounds=lower, upper_bounds=upper).fit(X, y)
        assert model.converged_
        assert model.certificate_ < 1e-6 or lower == -9
    with pytest.warns(ConvergenceWarning, match="separable"):
        fastlin.LogisticRegression(C=INF, lower_bounds=[-INF, 0, -INF, -INF]).fit(X, y)


def test_inactive_bounds_do_not_change_the_model():
    for l1_ratio in (0.0, 1.0):
        plain = fit(IRIS, SPECIES, l1_ratio=l1_ratio)
        infinite_bounds_model = fit(IRIS, SPECIES, l1_ratio=l1_ratio, lower_bounds=-INF, upper_bounds=np.full(4, INF))
        np.testing.assert_array_equal(infinite_bounds_model.coef_, plain.coef_)
        # With bounds, the coefficients of a feature do not necessarily sum to zero.
        wide_bounds_model = fit(IRIS, SPECIES, l1_ratio=l1_ratio, lower_bounds=-50, upper_bounds=60)
        np.testing.assert_allclose(wide_bounds_model.predict_proba(IRIS), plain.predict_proba(IRIS), atol=1e-5)


def test_bounds_of_a_table_apply_to_its_coefficients_or_columns():
    generator = np.random.default_rng(0)
    city_codes, age = generator.integers(0, 3, 300), generator.normal(size=300)
    y = (age + np.array([1.0, -1.0, 0.5])[city_codes] + generator.logistic(size=300) > 0).astype(int)
    X = pd.DataFrame({"city": pd.Categorical.from_codes(city_codes, ["a", "b", "c"]), "age": age})
    rows = np.column_stack([np.eye(3)[city_codes], age])
    for bounds, lower in (
        ([-0.2, -0.3, 0.0, 0.9], [-0.2, -0.3, 0.0, 0.9]),
        ([-0.1, 0.9], [-0.1, -0.1, -0.1, 0.9]),
        ({"city": -0.1}, [-0.1, -0.1, -0.1, -INF]),
    ):
        model = fit(X, y, lower_bounds=bounds, categorical_features="from_dtype")
        check(model, make_task(rows, y, lower_bounds=np.array(lower)))
        assert (model.coef_ == lower).any()
    numbers = pd.DataFrame({"age": age, "noise": -age + generator.normal(size=300)})
    model = fit(numbers, y, lower_bounds={"age": 0}, upper_bounds={"noise": -0.3, "age": 0.3})
    bounds = {"lower_bounds": np.array([0, -INF]), "upper_bounds": np.array([0.3, -0.3])}
    check(model, make_task(numbers.to_numpy(), y, **bounds))
    np.testing.assert_array_equal(model.coef_, [[0.3, -0.3]])


def test_initial_coefficients_outside_the_bounds_are_clipped():
    bounds = {"lower_bounds": 0.05, "upper_bounds": 0.8}
    expected = fit(IRIS, SPECIES, **bounds)
    model = fastlin.LogisticRegression(tol=1e-9, warm_start=True).fit(IRIS, SPECIES)
    model.set_params(**bounds).fit(IRIS, SPECIES)
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-6)
    assert model.fit(IRIS, SPECIES).n_iter_[0] <= 1
    started = fastlin.LogisticRegression(tol=1e-9, **bounds).fit(IRIS, SPECIES, coef_init=np.full((3, 4), 100.0))
    np.testing.assert_allclose(started.coef_, expected.coef_, atol=1e-6)
    initial = fit(IRIS, SPECIES, max_iter=0, lower_bounds=0.05, upper_bounds=[9, 9, 9, 0.05])
    np.testing.assert_array_equal(initial.coef_, np.full((3, 4), 0.05))


def test_cross_validation_satisfies_the_bounds():
    options = {"lower_bounds": [0.1, -0.2, 0.0, -INF], "upper_bounds": [0.1, 0.3, INF, 0.7], "tol": 1e-7}
    for refit in (True, False):
        model = make_cv_model(Cs=[0.1, 1.0, 100.0], l1_ratios=(0, 1), cv=3, refit=refit, **options).fit(IRIS, SPECIES)
        for coef in (model.coef_, model.coefs_paths_[..., :-1]):
            assert ((options["lower_bounds"] <= coef) & (coef <= options["upper_bounds"])).all()
        assert (model.coef_[:, 0] == 0.1).all()
        assert np.isfinite(model.certificates_).all()
        if refit:
            separate_model = fastlin.LogisticRegression(C=model.C_, l1_ratio=model.l1_ratio_, **options).fit(
                IRIS, SPECIES
            )
            np.testing.assert_allclose(model.coef_, separate_model.coef_, atol=1e-3)


def test_a_path_with_bounds_starts_where_all_coefficients_are_zero():
    X, y = load_standardized(load_breast_cancer)
    path = fastlin.logistic_path(X, y, Cs=8, lower_bounds=0.0, tol=1e-7)
    assert path.n_nonzeros[0] == 0 and path.n_nonzeros[-1] > 0
    assert (path.coefs >= 0).all() and path.converged.all()
    assert fastlin.logistic_path(X, y, Cs=[1.01 * path.Cs[0]], lower_bounds=0.0, tol=1e-9).n_nonzeros[0] == 1
    for c in (0, 4, 7):
        one = fit(X, y, C=path.Cs[c], l1_ratio=1, lower_bounds=0.0)
        assert path.objectives[c] == pytest.approx(one.history_[-1].objective if one.history_ else path.objectives[c])
    bounded_path = fastlin.logistic_path(X, y, Cs=[0.01, 1.0], lower_bounds=0.1, upper_bounds=0.2)
    assert bounded_path.coefs.min() == 0.1
    assert_raises(r"Cs must be a list .* exclude zero", fastlin.logistic_path, X, y, Cs=5, lower_bounds=0.1)


@pytest.mark.parametrize("make", [fastlin.LogisticRegression, make_cv_model])
@pytest.mark.parametrize(("parameters", "message"), INVALID_BOUNDS)
def test_invalid_bounds_raise_an_error_that_names_them(make, parameters, message):
    assert_raises(message, make(**parameters).fit, IRIS, SPECIES)


def fit_and_evaluate(problem):
    parameters = {name: value for name, value in problem.parameters.items() if name != "K"}
    offset = problem.offset
    if offset is not None and offset.shape[1] == 1:
        offset = offset[:, 0]
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        # scikit-learn warns if more than half of the rows have a separate class.
        warnings.filterwarnings("ignore", "The number of unique classes")
        model = fastlin.LogisticRegression(**parameters).fit(problem.X, problem.y, problem.weights, offset=offset)
    return model, problem.value(model.coef_, model.intercept_)


def bound_suboptimality(problem, model, minimum):
    """Return the largest allowed suboptimality of a converged model."""
    tol = problem.parameters["tol"]
    # With scikit-learn's solver names, tol bounds the gradient, which allows this suboptimality.
    relative = tol if problem.parameters["solver"] == "auto" else min(30 * tol, 3e-3)
    allowed = 1.01 * relative * minimum + 1e-10
    if model.coef_.dtype == np.float32:
        # Coefficients are rounded to float32, like the rows. A row's loss changes by at most twice the change in a
        # score, and the penalty changes with the coefficients.
        allowed += 1e-6 * minimum
        X, coef = np.abs(problem.X.astype(np.float64)), np.abs(model.coef_.astype(np.float64))
        changes = np.finfo(np.float32).eps / 2 * (X @ coef.T + np.abs(model.intercept_.astype(np.float64)))
        allowed += 2 * np.average(changes.max(axis=1), weights=problem.weights)
    return allowed


# X, y, offset, parameters and the minimum of J. In the first two problems, all initial probabilities are 0 or 1.
SMALL_PROBLEMS = {
    # A linear program over the largest scores has the same optimum.
    "a number on a bound": (
        [[122], [224], [298], [-244]],
        [0, 1, 2, 2],
        None,
        {"C": 0.01, "l1_ratio": 1.0, "lower_bounds": [[-0.2], [0.5], [-INF]], "upper_bounds": [[-0.2], [INF], [-2.1]]},
        166.55,
    ),
    "no penalty": (
        [[-10, -252], [185, 2], [-200, 5], [-31, -194], [-113, 151]],
        [0, 1, 2, 0, 2],
        None,
        {
            "C": INF,
            "lower_bounds": [[-INF, -INF], [0.6, 0.6], [0.7, -INF]],
            "upper_bounds": [[-0.9, -1.1], [INF, 0.6], [0.7, 0.6]],
            "fit_intercept": False,
        },
        0.0,
    ),
    "offset": (
        [[304, 609], [303, 0]],
        [0, 1],
        [[111], [126]],
        {"C": 58, "l1_ratio": 1, "fit_intercept": False},
        0.00173365,
    ),
    "soft labels": ([[98, -113], [248, 142]], SOFT_LABELS, None, {"lower_bounds": 0.1, "upper_bounds": 5.0}, 0.02525),
}


@pytest.mark.parametrize("case", SMALL_PROBLEMS)
def test_small_fits_of_large_features_reach_the_minimum(case):
    X, y, offset, parameters, minimum = SMALL_PROBLEMS[case]
    X, y, offset = np.array(X, float), np.array(y), None if offset is None else np.array(offset)
    model, value = fit_and_evaluate(make_task(X, y, None, offset, **parameters))
    assert model.converged_
    assert model.certificate_ <= 1e-4 * minimum or parameters.get("C") == INF
    assert value == pytest.approx(minimum, rel=1e-4 if minimum < 1 else 1e-6, abs=1e-10)


# Without a mixture of curvatures, the fit of the second problem would stall at a J that is 188 times as large.
@pytest.mark.parametrize(("seed", "minimum"), [(3577, 0.2318390768), (151, 0.011881668), *FLAT_PROBLEMS])
def test_fits_of_flat_objectives_reach_the_minimum(seed, minimum):
    problem = sample_problem(seed)
    model, value = fit_and_evaluate(problem)
    assert model.converged_
    assert value - minimum <= bound_suboptimality(problem, model, minimum)
    assert model.n_passes_ < 2000


def test_a_fit_with_coefficients_too_large_for_float32_does_not_converge():
    # A score is a difference of products near 1e8, where float32 rounds by 4: half the difference between rows.
    X = (12_345_677 + np.arange(4.0)).astype(np.float32)[:, None]
    p = 1 / (1 + np.exp(-10 * (np.arange(4) - 1.5)))
    with pytest.warns(ConvergenceWarning, match="the coefficients are too large for float32"):
        model = fastlin.LogisticRegression(C=INF).fit(X, np.column_stack([1 - p, p]), classes=[0, 1])
    scores = X[:, 0].astype(np.float64) * model.coef_[0, 0].astype(np.float64) + model.intercept_[0].astype(np.float64)
    assert np.mean(np.logaddexp(0, scores) - p * scores) > 20 * np.mean(-p * np.log(p) - (1 - p) * np.log1p(-p))
    assert not model.converged_


@pytest.mark.parametrize("types", [[np.float64], *mark_params(pytest.mark.thorough, TYPES)])
def test_fits_of_random_problems_satisfy_their_bounds(types):
    for seed in range(25):
        problem = sample_problem(seed, types)
        model, value = fit_and_evaluate(problem)
        lower, upper = problem.parameters["lower_bounds"], problem.parameters["upper_bounds"]
        assert ((lower <= model.coef_) & (model.coef_ <= upper) | (lower == upper)).all(), seed
        minimum = problem.find_minimum((model.coef_, model.intercept_))
        assert value - model.certificate_ <= minimum + 1e-10 + 1e-12 * abs(minimum), seed
        assert value - minimum <= bound_suboptimality(problem, model, minimum) or not model.converged_, seed


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 4000, 100))
def test_random_problems_of_large_features_do_not_converge_far_from_the_minimum(first):
    for seed in range(first, first + 100):
        problem = sample_problem(seed)
        model, value = fit_and_evaluate(problem)
        if model.converged_:
            minimum = problem.find_minimum((model.coef_, model.intercept_))
            assert value - minimum <= bound_suboptimality(problem, model, minimum), seed


def test_intercepts_do_not_diverge_to_where_rounding_errors_dominate_the_objective():
    for seed in (2, 9, 13, 14, 16):
        generator = np.random.default_rng(seed)
        X, y = generator.integers(-300, 300, (30, 20)), np.append(np.arange(5), generator.integers(0, 5, 25))
        offset = 1000 * generator.normal(size=(30, 5))
        lower = np.where(generator.random((5, 20)) < 0.5, -2 * generator.random((5, 20)), -INF)
        model = fastlin.LogisticRegression(C=100, lower_bounds=lower, tol=1e-6).fit(X, y, offset=offset)
        assert model.converged_
        assert model.certificate_ <= 1e-6 * model.history_[-1].objective


def sample_extreme_offsets(seed):
    """Return a problem with extreme offsets and weights of different magnitudes, so that the curvature underflows."""
    generator = np.random.default_rng(seed)
    n_classes, d = int(generator.choice([2, 2, 3, 4])), generator.integers(1, 7)
    n = generator.integers(n_classes, 31)
    X = 1.0 * generator.integers(-6, 7, (n, d))
    if generator.integers(2):
        X = generator.normal(size=(n, d)) * 10.0 ** generator.integers(-2, 3)
    y = np.append(np.arange(n_classes), generator.integers(0, n_classes, n - n_classes))
    offset = np.round(generator.normal(size=(n, 1 if n_classes == 2 else n_classes)) * 10 ** generator.uniform(0, 4))
    weights = generator.choice([1.0, 1.0, 10.0, 100.0, 1e3], n) if generator.integers(3) else np.ones(n)
    parameters = {
        "C": 10.0 ** generator.integers(-3, 4),
        "fit_intercept": bool(generator.integers(3)),
        "solver": str(generator.choice(["auto", "auto", "lbfgs", "newton-cg", "newton-cholesky"])),
        "max_iter": 1000,
    }
    return make_task(X, y, weights, offset, **parameters)


@pytest.mark.parametrize(("first", "last"), [(0, 60), *mark_params(pytest.mark.slow, (60, 10_000))])
def test_fits_with_extreme_offsets_reach_the_minimum(first, last):
    n_unconverged = 0
    for seed in range(first, last):
        problem = sample_extreme_offsets(seed)
        with warnings.catch_warnings(action="error", category=RuntimeWarning):
            model, value = fit_and_evaluate(problem)
        minimum = min(value, problem.find_minimum((model.coef_, model.intercept_)))
        # With scikit-learn's solver names, tol bounds the gradient, so only the certificate bounds a small J.
        allowed = 1.01e-4 * minimum
        if problem.parameters["solver"] != "auto":
            allowed = max(3e-3 * minimum, model.certificate_)
        assert value - minimum <= min(allowed, model.certificate_) + 1e-12 * (1 + minimum) or not model.converged_, seed
        n_unconverged += not model.converged_
    assert n_unconverged <= (last - first) / 1000


def test_a_step_that_is_far_too_long_is_shortened():
    X, y, weights, offset = np.array([[0.0], [2], [-3]]), np.array([0, 1, 0]), [10, 1, 10], [-20, -10, 10]
    model = fastlin.LogisticRegression().fit(X, y, weights, offset=offset)
    parameters = {"weights": np.array(weights), "offsets": np.array(offset)[:, None]}
    value = objective(X, y, model.coef_, model.intercept_, 1 / 21, **parameters)
    assert model.converged_
    assert value == pytest.approx(0.53833630, rel=1e-5)
    # J is 0 up to rounding.
    X, offset = [[6.0, 4, 3], [0, 3, -3], [2, 0, 3]], [1280.0, 12182, -11292]
    model = fastlin.LogisticRegression().fit(X, [0, 1, 0], offset=offset)
    assert model.converged_
    assert model.certificate_ < 1e-12
