"""lower_bounds and upper_bounds of LogisticRegression and what fits with it, against SciPy's L-BFGS-B and glum."""

import warnings

import numpy as np
import pytest
from conftest import change_columns
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.preprocessing import StandardScaler

import fastlin
from fastlin.blocks import from_arrays
from fastlin.exceptions import ConvergenceWarning

pytestmark = pytest.mark.usefixtures("sparse_passes")

FACTORS = np.array([1.0, 0.5, 2.0, 1.0, 0.1])


class Naive:
    """The objective of a fit with bounds, W = P - Q with P, Q >= 0, on a path of its own: smooth, for L-BFGS-B."""

    def __init__(
        self, X, y, lower, upper, *, C=1.0, l1_ratio=0.0, factors=1.0, weights=None, fit_intercept=True, offset=0.0
    ):
        self.targets = np.eye(y.max() + 1)[y] if y.ndim == 1 else y
        self.X, self.offset = X, offset
        self.K = 1 if self.targets.shape[1] == 2 else self.targets.shape[1]
        self.shape = self.K, X.shape[1]
        self.weights = np.ones(len(y)) if weights is None else weights
        self.weights = self.weights / self.weights.sum()
        total = len(y) if weights is None else np.sum(weights)
        self.l2, self.l1 = (
            np.broadcast_to(part * factors / (C * total), self.shape) for part in (1 - l1_ratio, l1_ratio)
        )
        self.fit_intercept = fit_intercept
        self.lower = np.broadcast_to(-np.inf if lower is None else lower, self.shape)
        self.upper = np.broadcast_to(np.inf if upper is None else upper, self.shape)

    def value(self, coef, intercept):
        return self._evaluate(np.maximum(coef, 0), np.maximum(-coef, 0), intercept)[0]

    def _evaluate(self, positive, negative, intercept):
        coef = positive - negative
        scores = self.X @ coef.T + intercept + self.offset
        if self.K == 1:
            scores = np.column_stack([0 * scores, scores])
        shifted = scores - scores.max(axis=1, keepdims=True)
        log_sums = np.log(np.exp(shifted).sum(axis=1))
        residuals = np.exp(shifted - log_sums[:, None])
        loss = self.weights @ (log_sums - np.sum(self.targets * shifted, axis=1))
        residuals = ((residuals - self.targets) * self.weights[:, None])[:, -self.K :]
        slopes = residuals.T @ self.X + self.l2 * coef
        value = loss + np.sum(self.l2 * coef**2) / 2 + np.sum(self.l1 * (positive + negative))
        return value, np.concatenate(
            [(slopes + self.l1).ravel(), (self.l1 - slopes).ravel(), residuals.sum(axis=0) * self.fit_intercept]
        )

    def minimum(self):
        sides = [
            (np.maximum(self.lower, 0), np.maximum(self.upper, 0)),
            (np.maximum(-self.upper, 0), np.maximum(-self.lower, 0)),
        ]
        bounds = [pair for low, high in sides for pair in zip(low.ravel(), high.ravel(), strict=True)]
        size = self.K * self.shape[1]

        def evaluate(point):
            positive, negative = point[: 2 * size].reshape(2, *self.shape)
            return self._evaluate(positive, negative, point[2 * size :])

        start = np.array([low for low, _ in bounds] + [0.0] * self.K)
        options = {"maxiter": 20_000, "maxfun": 50_000, "ftol": 1e-15, "gtol": 1e-11, "maxcor": 30}
        return minimize(
            evaluate, start, jac=True, bounds=bounds + [(None, None)] * self.K, method="L-BFGS-B", options=options
        ).fun


def fit(X, y, made=fastlin.LogisticRegression, **parameters):
    with warnings.catch_warnings():
        # Rounding may keep a bound above so small a tol.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return made(**{"tol": 1e-9, **parameters}).fit(X, y)


def load(loader):
    X, y = loader(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def check(model, naive, tolerance=1e-9):
    """Assert that a model is the minimum within the bounds, keeps to them, and has a certificate that holds."""
    assert ((naive.lower <= model.coef_) & (model.coef_ <= naive.upper)).all()
    value, least = naive.value(model.coef_.astype(float), model.intercept_.astype(float)), naive.minimum()
    assert model.converged_
    assert value <= least * (1 + tolerance) + 1e-13
    assert value - model.certificate_ <= least
    if model.history_:
        assert model.history_[-1].objective == pytest.approx(value, rel=1e-9)


@pytest.mark.thorough
def test_the_model_is_that_of_scipy():
    for loader in (load_breast_cancer, load_iris):
        X, y = load(loader)
        X, y = X[::3, :8], y[::3]
        for lower, upper in ((0.0, None), (-0.1, 0.2), (0.05, 0.3), (None, -0.02)):
            for C, l1_ratio in ((1.0, 0.0), (0.05, 1.0), (10.0, 0.5)):
                for fit_intercept in (True, False):
                    penalty = {"C": C, "l1_ratio": l1_ratio, "fit_intercept": fit_intercept}
                    model = fit(X, y, lower_bounds=lower, upper_bounds=upper, **penalty)
                    naive = Naive(X, y, lower, upper, **penalty)
                    check(model, naive)
                    assert model.certificate_ < 1e-7
                    assert ((model.coef_ == naive.lower) | (model.coef_ == naive.upper)).any()


@pytest.mark.thorough
@settings(max_examples=30, deadline=None)
@given(
    n_classes=st.integers(2, 4),
    columns=st.sampled_from(["plain", "badly scaled", "shifted"]),
    exponent=st.floats(-2, 3),
    l1_ratio=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_problems_have_the_minimum_within_their_bounds(n_classes, columns, exponent, l1_ratio, seed):
    generator = np.random.default_rng(seed)
    plain, y = generator.normal(size=(60, 5)), np.arange(60) % n_classes
    X, weights = change_columns(plain, columns), generator.uniform(0.1, 2, 60)
    spread = X.std(axis=0)
    shape = 1 if n_classes == 2 else n_classes, 5
    lower = np.where(generator.uniform(size=shape) < 0.6, generator.normal(size=shape) - 0.5, -np.inf)
    upper = np.where(
        generator.uniform(size=shape) < 0.6, np.maximum(lower, -1) + generator.exponential(size=shape), np.inf
    )
    upper[0, 0] = lower[0, 0] = 0.3
    penalty = {"C": 10**exponent, "l1_ratio": l1_ratio}
    model = fastlin.LogisticRegression(
        tol=1e-8,
        lower_bounds=lower / spread,
        upper_bounds=upper / spread,
        penalty_factors=FACTORS * spread**2,
        **penalty,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y, weights)
    assert ((lower / spread <= model.coef_) & (model.coef_ <= upper / spread)).all()
    assert model.coef_[0, 0] == lower[0, 0] / spread[0]
    # In standard columns, where L-BFGS-B gets to the minimum; the penalty by size there has other factors.
    if l1_ratio == 0:
        naive = Naive((X - X.mean(axis=0)) / spread, y, lower, upper, factors=FACTORS, weights=weights, **penalty)
        value = naive.value(model.coef_ * spread, model.intercept_ + model.coef_ @ X.mean(axis=0))
        least = naive.minimum()
        assert value <= least * (1 + 1e-7) + 1e-12
        assert value - model.certificate_ <= least + 1e-12
    assert np.isfinite(model.certificate_)


def test_the_model_is_that_of_glum():
    glum = pytest.importorskip("glum")
    X, y = load(load_breast_cancer)
    X = np.ascontiguousarray(X[:, :10])
    lower, upper = np.full(10, -0.3), np.append(np.full(9, 0.4), 0.1)
    lower[0] = 0.0
    for C, l1_ratio in ((1.0, 0.0), (0.1, 0.5)):
        theirs = glum.GeneralizedLinearRegressor(
            alpha=1 / (C * len(y)),
            l1_ratio=l1_ratio,
            family="binomial",
            gradient_tol=1e-10,
            max_iter=1000,
            lower_bounds=lower,
            upper_bounds=upper,
        ).fit(X, y.astype(float))
        ours = fit(X, y, C=C, l1_ratio=l1_ratio, lower_bounds=lower, upper_bounds=upper, tol=1e-12)
        np.testing.assert_allclose(ours.coef_[0], theirs.coef_, atol=1e-5)
        naive = Naive(X, y, lower, upper, C=C, l1_ratio=l1_ratio)
        values = [naive.value(np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)) for model in (ours, theirs)]
        assert values[0] <= values[1] * (1 + 1e-11)


@pytest.mark.thorough
def test_without_a_penalty_both_bounds_give_a_certificate():
    for loader in (load_breast_cancer, load_iris):
        X, y = load(loader)
        X = X[:, :4]
        model = fit(X, y, C=np.inf, lower_bounds=-2.0, upper_bounds=3.0)
        check(model, Naive(X, y, -2.0, 3.0, C=np.inf), 1e-8)
        assert model.certificate_ < 1e-8
        one_sided = fit(X, y, C=np.inf, lower_bounds=0.0)
        check(one_sided, Naive(X, y, 0.0, None, C=np.inf), 1e-6)
        assert one_sided.certificate_ == np.inf
        # The same holds of the features that alone are not penalised.
        factors, bounds = (
            [0.0, 1.0, 1.0, 1.0],
            (np.array([-1.0, -np.inf, -np.inf, 0.0]), np.array([1.0, np.inf, np.inf, np.inf])),
        )
        for l1_ratio in (0.0, 1.0):
            options = {"l1_ratio": l1_ratio, "lower_bounds": bounds[0], "upper_bounds": bounds[1]}
            model = fit(X, y, penalty_factors=factors, **options)
            check(model, Naive(X, y, *bounds, factors=np.array(factors), l1_ratio=l1_ratio), 1e-8)
            assert model.certificate_ < 1e-6


def test_separable_classes_have_a_minimum_within_bounds():
    X, y = load(load_iris)
    y = (y == 0).astype(int)
    for bounds in (
        {"lower_bounds": -5, "upper_bounds": 5},
        {"upper_bounds": [2.0, np.inf, 1.0, 1.0], "lower_bounds": -9},
    ):
        model = fastlin.LogisticRegression(C=np.inf, tol=1e-6, **bounds).fit(X, y)
        assert model.converged_
    with pytest.warns(ConvergenceWarning, match="separable"):
        fastlin.LogisticRegression(C=np.inf, lower_bounds=[-np.inf, 0, -np.inf, -np.inf]).fit(X, y)


def test_offsets_and_soft_labels_have_the_minimum_within_bounds():
    generator = np.random.default_rng(0)
    for loader in (load_breast_cancer, load_iris):
        X, y = load(loader)
        X, y = np.ascontiguousarray(X[::3, :4]), y[::3]
        n_classes = y.max() + 1
        offset = 2 * generator.normal(size=(len(y), 1 if n_classes == 2 else n_classes))
        soft = 0.8 * np.eye(n_classes)[y] + 0.2 / n_classes
        for bounds in ({"lower_bounds": 0.0}, {"lower_bounds": 0.1, "upper_bounds": [0.1, 0.3, 0.5, 9.0]}):
            for penalty in ({"C": 0.5}, {"C": 0.5, "l1_ratio": 1.0}):
                model = fastlin.LogisticRegression(tol=1e-9, **bounds, **penalty)
                model.fit(X, y, offset=offset[:, 0] if n_classes == 2 else offset)
                sides = bounds["lower_bounds"], bounds.get("upper_bounds")
                check(model, Naive(X, y, *sides, offset=offset, **penalty))
                assert model.certificate_ < 1e-7
                check(fit(X, soft, **bounds, **penalty), Naive(X, soft, *sides, **penalty))


def test_every_solver_gives_the_same_coefficients_at_the_bounds():
    X, y = load(load_iris)
    expected = fit(X, y, lower_bounds=0.0)
    assert (expected.coef_ == 0).sum() >= 4
    for solver in ("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga"):
        found = fit(X, y, lower_bounds=0.0, solver=solver, tol=1e-8)
        np.testing.assert_array_equal(found.coef_ == 0, expected.coef_ == 0)
        np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-6)
    binary = fit(X, y > 0, lower_bounds=0.0, solver="liblinear")
    assert binary.coef_.min() == 0


def test_bounds_that_are_never_met_change_nothing():
    for loader in (load_breast_cancer, load_iris):
        X, y = load(loader)
        for l1_ratio in (0.0, 1.0):
            free, bounded = (
                fit(X, y, l1_ratio=l1_ratio, **each) for each in ({}, {"lower_bounds": -50, "upper_bounds": 60})
            )
            # With bounds the coefficients of a feature need not sum to zero.
            np.testing.assert_allclose(bounded.predict_proba(X), free.predict_proba(X), atol=1e-5)
            if l1_ratio or len(free.coef_) == 1:
                np.testing.assert_allclose(bounded.coef_, free.coef_, atol=1e-4)
        plain = fit(X, y, l1_ratio=1.0)
        infinite = fit(X, y, l1_ratio=1.0, lower_bounds=-np.inf, upper_bounds=np.full(X.shape[1], np.inf))
        np.testing.assert_array_equal(infinite.coef_, plain.coef_)


def test_coefficients_of_float32_keep_to_the_bounds():
    X, y = load(load_iris)
    lower, upper = np.array([0.1, -np.inf, 0.7, 0.3]), np.array([0.1, 0.3, 0.7000001, 0.9])
    model = fit(X.astype(np.float32), y, lower_bounds=lower, upper_bounds=upper, tol=1e-6)
    assert model.coef_.dtype == np.float32
    # No float32 is 0.1; it is the next one.
    assert (model.coef_[:, 0] == np.float32(0.1)).all()
    coef = model.coef_.astype(np.float64)[:, 1:]
    assert ((lower[1:] <= coef) & (coef <= upper[1:])).all()
    assert np.isclose(coef, upper[1:], rtol=0, atol=1e-7).any()
    fixed = fit(X.astype(np.float32), y, lower_bounds=lower[1:].min(), upper_bounds=upper)
    assert fixed.certificate_ < 1e-4


def test_all_forms_of_the_rows_give_the_model():
    for l1_ratio in (0.0, 1.0):
        X, y = load(load_iris)
        X[X < -0.5] = 0
        options = {"lower_bounds": 0.05, "upper_bounds": [0.3, 0.4, 9.0, 9.0], "l1_ratio": l1_ratio, "C": 0.5}
        expected = fit(X, y, **options)
        check(expected, Naive(X, y, 0.05, np.array([0.3, 0.4, 9, 9]), C=0.5, l1_ratio=l1_ratio))
        for rows in (sparse.csr_array(X), sparse.csc_array(X), np.asfortranarray(X)):
            np.testing.assert_allclose(fit(rows, y, **options).coef_, expected.coef_, atol=1e-6)
        blocks = fit(from_arrays(X, y, rows_per_block=40), None, **options)
        np.testing.assert_allclose(blocks.coef_, expected.coef_, atol=1e-6)
        assert blocks.coef_.min() == 0.05


def test_bounds_of_a_table_are_those_of_its_coefficients_or_columns():
    pandas = pytest.importorskip("pandas")
    generator = np.random.default_rng(0)
    city, age = generator.integers(0, 3, 300), generator.normal(size=300)
    y = (age + np.array([1.0, -1.0, 0.5])[city] + generator.logistic(size=300) > 0).astype(int)
    X = pandas.DataFrame({"city": pandas.Categorical.from_codes(city, ["a", "b", "c"]), "age": age})
    rows = np.column_stack([np.eye(3)[city], age])
    for bounds, lower in (
        ([-0.2, -0.3, 0.0, 0.9], [-0.2, -0.3, 0.0, 0.9]),
        ([-0.1, 0.9], [-0.1, -0.1, -0.1, 0.9]),
        ({"city": -0.1}, [-0.1, -0.1, -0.1, -np.inf]),
    ):
        model = fit(X, y, lower_bounds=bounds, categorical_features="from_dtype")
        check(model, Naive(rows, y, np.array(lower), None))
        assert (model.coef_ == lower).any()
    numbers = pandas.DataFrame({"age": age, "noise": -age + generator.normal(size=300)})
    model = fit(numbers, y, lower_bounds={"age": 0}, upper_bounds={"noise": -0.3, "age": 0.3})
    check(model, Naive(numbers.to_numpy(), y, np.array([0, -np.inf]), np.array([0.3, -0.3])))
    np.testing.assert_array_equal(model.coef_, [[0.3, -0.3]])


def test_starts_outside_of_the_bounds_are_moved_into_them():
    X, y = load(load_iris)
    expected = fit(X, y, lower_bounds=0.05, upper_bounds=0.8)
    model = fastlin.LogisticRegression(tol=1e-9, warm_start=True).fit(X, y)
    model.set_params(lower_bounds=0.05, upper_bounds=0.8).fit(X, y)
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-6)
    again = model.fit(X, y)
    assert again.n_iter_[0] <= 1
    given = fastlin.LogisticRegression(tol=1e-9, lower_bounds=0.05, upper_bounds=0.8)
    given.fit(X, y, coef_init=np.full((3, 4), 100.0))
    np.testing.assert_allclose(given.coef_, expected.coef_, atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        still = fastlin.LogisticRegression(max_iter=0, lower_bounds=0.05, upper_bounds=[9, 9, 9, 0.05]).fit(X, y)
    np.testing.assert_array_equal(still.coef_, np.full((3, 4), 0.05))


def test_cross_validation_keeps_to_the_bounds():
    for refit in (True, False):
        X, y = load(load_iris)
        options = {"lower_bounds": [0.1, -0.2, 0.0, -np.inf], "upper_bounds": [0.1, 0.3, np.inf, 0.7], "tol": 1e-7}
        quiet = {
            "scoring": "neg_log_loss",
            "use_legacy_attributes": False,
            "l1_ratios": (0, 1),
            "Cs": [0.1, 1.0, 100.0],
        }
        model = fastlin.LogisticRegressionCV(cv=3, refit=refit, **quiet, **options).fit(X, y)
        for coef in (model.coef_, model.coefs_paths_[..., :-1]):
            assert ((options["lower_bounds"] <= coef) & (coef <= options["upper_bounds"])).all()
        assert (model.coef_[:, 0] == 0.1).all()
        assert np.isfinite(model.certificates_).all()
        if refit:
            alone = fastlin.LogisticRegression(C=model.C_, l1_ratio=model.l1_ratio_, **options).fit(X, y)
            np.testing.assert_allclose(model.coef_, alone.coef_, atol=1e-3)


def test_a_path_begins_where_no_slope_leads_into_the_bounds():
    X, y = load(load_breast_cancer)
    path = fastlin.logistic_path(X, y, Cs=8, lower_bounds=0.0, tol=1e-7)
    assert path.n_nonzeros[0] == 0 and path.n_nonzeros[-1] > 0
    assert (path.coefs >= 0).all() and path.converged.all()
    assert fastlin.logistic_path(X, y, Cs=[1.01 * path.Cs[0]], lower_bounds=0.0, tol=1e-9).n_nonzeros[0] == 1
    for c in (0, 4, 7):
        one = fit(X, y, C=path.Cs[c], l1_ratio=1, lower_bounds=0.0)
        assert path.objectives[c] == pytest.approx(one.history_[-1].objective if one.history_ else path.objectives[c])
    given = fastlin.logistic_path(X, y, Cs=[0.01, 1.0], lower_bounds=0.1, upper_bounds=0.2)
    assert given.coefs.min() == 0.1
    with pytest.raises(ValueError, match=r"Cs must be a list .* exclude zero"):
        fastlin.logistic_path(X, y, Cs=5, lower_bounds=0.1)


# What is given, and what the error says.
REFUSED = [
    (
        {"lower_bounds": [0.0, 1.0]},
        r"lower_bounds must be a number, .* the 4 features, or .*\(3, 4\); got the shape \(2,\)",
    ),
    ({"upper_bounds": np.zeros((4, 3))}, r"got the shape \(4, 3\)"),
    ({"upper_bounds": [0.0, 1.0, np.nan, 1.0]}, "upper_bounds must not hold NaN"),
    (
        {"lower_bounds": 1.0, "upper_bounds": [1.0, 2.0, 0.5, 3.0]},
        "at most upper_bounds.* 1.0 and 0.5 for feature 2",
    ),
    ({"lower_bounds": np.inf}, "finite numbers between them"),
    ({"lower_bounds": ["a", "b", "c", "d"]}, "lower_bounds must be a number or numbers"),
    ({"lower_bounds": [10**400, 0, 0, 0]}, "lower_bounds must be a number or numbers"),
    ({"lower_bounds": {"age": 0}}, "no names"),
    ({"lower_bounds": 0, "group_by_class": True}, "group_by_class must be False"),
    ({"upper_bounds": "none"}, "'upper_bounds' parameter"),
]


def test_what_is_no_bound_is_named():
    X, y = load_iris(return_X_y=True)
    models = (
        (fastlin.LogisticRegression, {}),
        (fastlin.LogisticRegressionCV, {"l1_ratios": (0,), "scoring": "accuracy"}),
    )
    for parameters, message in REFUSED:
        for made, quiet in models:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                with pytest.raises(ValueError, match=message):
                    made(**parameters, **quiet).fit(X, y)


def test_monotone_levels_follow_from_cumulative_columns():
    # Column j says "at least level j + 1": its coefficient is by how much that level lies above the one before.
    generator = np.random.default_rng(0)
    level, other = generator.integers(0, 6, 600), generator.normal(size=600)
    effect = np.array([-1.0, -1.1, 0.0, 0.8, 0.3, 1.5])
    y = (effect[level] + other + generator.logistic(size=600) > 0).astype(int)
    X = np.column_stack([level[:, None] >= np.arange(1, 6), other]).astype(float)
    lower = np.append(np.zeros(5), -np.inf)
    model = fit(X, y, lower_bounds=lower)
    check(model, Naive(X, y, lower, None))
    steps = model.coef_[0, :5]
    # Where the data fall, levels are pooled.
    assert (steps >= 0).all() and (steps == 0).any() and (fit(X, y).coef_[0, :5] < 0).any()
    levels = np.column_stack([np.arange(6)[:, None] >= np.arange(1, 6), np.zeros(6)])
    assert (np.diff(model.decision_function(levels)) >= 0).all()
