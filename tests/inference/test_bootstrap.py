"""The bootstrap of linear models, compared with fits of the resampled rows and with the formulas of its intervals."""

import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises
from scipy import sparse
from scipy.stats import norm
from sklearn.base import clone

from fastlin import FirthLogisticRegression, LogisticRegression, LogisticRegressionCV
from fastlin.exceptions import ConvergenceWarning
from fastlin.inference import Bootstrap
from fastlin.inference.bootstrap import Resampler
from fastlin.kernels.machine.threads import limit_threads

from .conftest import make_rows

pytestmark = pytest.mark.usefixtures("force_sparse_kernels")
X, Y = make_rows(2, n=120)


def resample_row_indices(y, number=0):
    """Return the row indices of a resample with random_state=7."""
    seed = np.random.RandomState(7).randint(np.iinfo(np.int32).max)
    counts = next(Resampler(seed, y, None, None, None).generate_weights(number)).astype(int)
    assert counts.sum() == len(y)
    return np.repeat(np.arange(len(y)), counts)


def join(model):
    return np.column_stack([model.coef_, model.intercept_]) if model.fit_intercept else model.coef_


@pytest.mark.parametrize(
    ("n_classes", "parameters", "data"),
    [
        (2, {"C": 0.5}, ""),
        (2, {"C": 0.5, "class_weight": {0: 1.0, 1: 5.0}}, ""),
        (2, {"C": 0.5}, "weights"),
        (3, {"C": 0.5}, "weights"),
        (4, {"C": 100.0, "fit_intercept": False}, ""),
        (2, {"C": np.inf, "fit_intercept": False}, ""),
        (2, {"l1_ratio": 1, "C": 0.1, "class_weight": "balanced"}, "weights"),
        (3, {"C": 2.0, "class_weight": {0: 2.0, 1: 1.0, 2: 0.5}, "solver": "lbfgs"}, "weights"),
        (2, {}, "offset"),
        (3, {}, "offset"),
        (2, {"class_weight": "balanced"}, "offset and soft labels"),
        (3, {"class_weight": "balanced"}, "offset and soft labels"),
    ],
)
def test_the_fit_of_a_resample_matches_a_fit_of_the_drawn_rows(n_classes, parameters, data):
    (X, y), random = make_rows(n_classes, n=120), np.random.default_rng(1)
    labels = random.dirichlet(np.ones(n_classes), len(X)) if "soft" in data else y
    weights = random.random(len(X)) * 3 if data == "weights" else None
    offset = random.normal(size=(len(X), n_classes)[: n_classes - 1]) if "offset" in data else None
    model = LogisticRegression(tol=1e-12, **parameters).fit(X, labels, weights, offset=offset)
    result = model.bootstrap(X, labels, weights, offset=offset, n_resamples=3, random_state=7)
    assert result.converged.all()
    standard_deviation = 1.0 if "offset" in data else X.std(axis=0, ddof=1).max()
    for b in range(3):
        indices = resample_row_indices(y, b)
        resample_weights, resample_offset = (
            None if values is None else values[indices] for values in (weights, offset)
        )
        refit = clone(model).set_params(solver="auto", tol=1e-13)
        refit.fit(X[indices], labels[indices], resample_weights, offset=resample_offset)
        np.testing.assert_allclose(result.coef[b], refit.coef_, atol=2e-3 * standard_deviation)
        np.testing.assert_allclose(result.intercept[b], refit.intercept_, atol=2e-2)
    np.testing.assert_allclose(result.estimate, join(model), atol=1e-2)


def test_categorical_columns_support_the_bootstrap():
    codes = np.arange(len(X)) % 3
    table = pd.DataFrame({"x": X[:, 0], "category": pd.Categorical(codes)})
    plain = np.column_stack([X[:, :1], np.eye(3)[codes]])
    result = LogisticRegression(categorical_features="from_dtype").fit(table, Y).bootstrap(table, Y, n_resamples=3)
    expected = LogisticRegression().fit(plain, Y).bootstrap(plain, Y, n_resamples=3)
    assert result.coef.shape == expected.coef.shape
    np.testing.assert_allclose(result.estimate, expected.estimate, atol=1e-2)
    np.testing.assert_allclose(result.acceleration, expected.acceleration, atol=1e-4)


def test_resamples_do_not_depend_on_the_number_of_threads():
    X, y = make_rows(3, n=120)
    model = LogisticRegression().fit(X, y)
    with limit_threads(1):
        one = model.bootstrap(X, y, n_resamples=20, random_state=0)
    with limit_threads(3):
        other = model.bootstrap(X, y, n_resamples=30, random_state=0)
    for name in ("coef", "intercept", "certificates"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name)[:20])
    # Each estimate has an error of at most a hundredth of a standard error.
    weak = LogisticRegression(C=1e4).fit(X, y).bootstrap(X, y, n_resamples=30, random_state=0)
    assert (2 * len(X) * weak.certificates <= 1.01e-4).all()
    assert not np.array_equal(one.coef, model.bootstrap(X, y, n_resamples=20, random_state=1).coef)
    sparse_rows = model.bootstrap(sparse.csr_array(X), y, n_resamples=20, random_state=0)
    np.testing.assert_allclose(one.coef, sparse_rows.coef, atol=1e-2)


def test_bootstrap_errors_and_intervals_match_their_formulas():
    random = np.random.default_rng(0)
    coef, intercept = random.gamma(3, size=(999, 1, 2)), random.normal(size=(999, 1))
    estimate, acceleration = np.array([[2.7, 3.1, 0.1]]), np.array([[0.05, -0.02, 0.0]])
    fits = coef, intercept, np.zeros(999), np.ones(999, bool), estimate
    result, draws = Bootstrap(*fits, acceleration), np.column_stack([coef[:, 0], intercept])
    np.testing.assert_allclose(result.std_errors[0], draws.std(axis=0, ddof=1))
    np.testing.assert_allclose(result.bias[0], draws.mean(axis=0) - estimate[0])
    np.testing.assert_allclose(result.conf_int(0.8)[0], np.quantile(draws, [0.1, 0.9], axis=0).T)
    # Estimates that differ by less than the accuracy of two fits are ties, which count half.
    is_equal = np.abs(draws - estimate) <= 0.02 * draws.std(axis=0, ddof=1)
    below = ((draws < estimate) & ~is_equal).mean(axis=0) + is_equal.mean(axis=0) / 2
    z0, z, a = norm.ppf(below), norm.ppf([[0.1], [0.9]]), acceleration
    levels = norm.cdf(z0 + (z0 + z) / (1 - a * (z0 + z)))
    expected = [np.quantile(draws[:, j], levels[:, j]) for j in range(3)]
    np.testing.assert_allclose(result.conf_int(0.8, method="bca")[0], expected, rtol=1e-12)
    for arguments, message in (
        ({"level": 95}, "level must be between 0 and 1"),
        ({"method": "normal"}, "method must be"),
        ({"method": "bca"}, "needs the acceleration"),
    ):
        assert_raises(message, Bootstrap(*fits, None).conf_int, **arguments)


def test_ties_count_half_in_the_bias_correction():
    # The intercept of a table without a penalty is the logit of one proportion, which many resamples share.
    random = np.random.default_rng(0)
    ones = random.binomial(30, 1 / 3, size=400)
    coef, estimate = np.log(ones / (30 - ones))[:, None, None], np.log([[10 / 20]])
    assert (ones == 10).sum() > 40
    intervals = [
        Bootstrap(coefs, coefs[:, :, 0], np.zeros(400), np.ones(400, bool), estimate, np.zeros((1, 1))).conf_int(
            method="bca"
        )
        for coefs in (coef, coef * (1 + 1e-6), coef * (1 - 1e-6))
    ]
    for other in intervals[1:]:
        np.testing.assert_allclose(other, intervals[0], rtol=2e-6)


@pytest.mark.parametrize("has_clusters", [False, True])
@pytest.mark.parametrize(
    ("n_classes", "parameters"),
    [(3, {"C": 3.0}), (2, {"C": np.inf, "fit_intercept": False}), (3, {"C": 0.3, "l1_ratio": 1})],
)
def test_the_acceleration_matches_derivatives_with_respect_to_the_weights(n_classes, parameters, has_clusters):
    X, y = make_rows(n_classes, n=40, seed=2)
    weights = np.random.default_rng(0).random(len(X)) + 0.5
    model = LogisticRegression(tol=1e-15, **parameters).fit(X, y, weights)
    clusters = np.arange(len(X)) // (1 + has_clusters)
    result = model.bootstrap(X, y, weights, n_resamples=2, random_state=0, clusters=clusters if has_clusters else None)
    step, derivatives = 1e-3, []
    for group in range(clusters.max() + 1):
        change = step * ((clusters == group) - 1 / (clusters.max() + 1))
        # The change of the weights does not change the penalty.
        refits = [join(clone(model).fit(X, y, (1 + side * change) * weights)) for side in (1, -1)]
        derivatives.append((refits[0] - refits[1]) / (2 * step))
    derivatives = np.array(derivatives)
    expected = (derivatives**3).sum(axis=0) / (6 * np.maximum((derivatives**2).sum(axis=0), 1e-30) ** 1.5)
    is_zero = result.estimate == 0
    np.testing.assert_allclose(result.acceleration[~is_zero], expected[~is_zero], atol=2e-3)
    assert not result.acceleration[is_zero].any()
    assert is_zero.any() == (model.l1_ratio == 1)


def test_the_bootstrap_draws_whole_clusters():
    labels, clusters = np.array([0, 1] * 15), np.repeat(np.arange(10), 3)
    draws, weights = Resampler(0, labels, np.arange(1, 31.0), None, clusters), np.arange(1, 31.0)
    for b in range(5):
        counts_by_cluster = (next(draws.generate_weights(b)) / weights).reshape(10, 3)
        assert (counts_by_cluster == counts_by_cluster[:, :1]).all()
        assert counts_by_cluster[:, 0].sum() == 10
    result = LogisticRegression().fit(X, Y).bootstrap(X, Y, n_resamples=5, random_state=0, clusters=np.arange(120) % 30)
    assert repr(result) == "Bootstrap(5 resamples, coefficients of shape (1, 3))"


def test_cross_validated_and_firth_models_support_the_bootstrap():
    options = {"Cs": 3, "cv": 3, "l1_ratios": (0,), "scoring": "accuracy", "use_legacy_attributes": False}
    search = LogisticRegressionCV(**options, tol=1e-10).fit(X, Y)
    model = LogisticRegression(C=search.C_, tol=1e-10).fit(X, Y)
    result, expected = (fitted.bootstrap(X, Y, n_resamples=4, random_state=0) for fitted in (search, model))
    np.testing.assert_allclose(result.coef, expected.coef, atol=1e-4)
    for n_classes in (2, 3):
        rows, y = make_rows(n_classes, n=40)
        # The category is so rare that some resamples lack it; these are drawn again.
        rows[:, 2] = np.arange(len(rows)) < 3
        model = FirthLogisticRegression(tol=1e-9).fit(rows, y)
        result = model.bootstrap(rows, y, n_resamples=60, random_state=7)
        assert np.isfinite(result.coef).all()
        assert result.converged.all()
        np.testing.assert_allclose(result.estimate[:, :3], model.coef_, atol=1e-7)
        assert result.conf_int(method="bca").shape == (*result.estimate.shape, 2)
        indices = resample_row_indices(y)
        refit = FirthLogisticRegression().fit(rows[indices], y[indices])
        errors = refit.inference(rows[indices], y[indices], reference=None).std_errors.max()
        np.testing.assert_allclose(result.coef[0], refit.coef_, atol=5e-3 * errors)


def test_invalid_bootstraps_raise_errors():
    model = LogisticRegression().fit(X, Y)
    for arguments, message in (
        ({"n_resamples": 1}, "n_resamples must be an integer of at least 2"),
        ({"clusters": np.zeros(len(X))}, "clusters must have at least two different values"),
        ({"clusters": np.zeros(3)}, "clusters must hold one entry per row for each key, shape \\(120,\\)"),
        ({"clusters": np.zeros((len(X), 2))}, "clusters must be a single key"),
    ):
        assert_raises(message, model.bootstrap, X, Y, **arguments)
    with pytest.raises(ValueError, match="some class or category has too few rows"):
        next(Resampler(0, Y, (Y == 0).astype(float), None, None).generate_weights(0))
    separable_labels = (X[:, 0] > 0).astype(int)
    with pytest.warns(ConvergenceWarning, match="separable"):
        unpenalized_model = LogisticRegression(C=np.inf).fit(X, separable_labels)
    with pytest.warns(ConvergenceWarning, match="5 of 5 refits"):
        result = unpenalized_model.bootstrap(X, separable_labels, n_resamples=5, random_state=0)
    assert not result.converged.any()
