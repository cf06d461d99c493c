"""Estimates, standard errors and likelihoods, compared with statsmodels on its data sets and on random problems."""

import numpy as np
import pytest
from reference import log_likelihood

from .conftest import infer, make_rows

sm = pytest.importorskip("statsmodels.api")
sandwich = pytest.importorskip("statsmodels.stats.sandwich_covariance")

# This tolerance covers the rounding errors of statsmodels' inverse and of its last Newton steps.
TOLERANCE = 1e-6


def load(name):
    data = getattr(sm.datasets, name).load_pandas()
    X, y = data.exog.to_numpy(np.float64), data.endog.to_numpy()
    return X, {"fair": y > 0, "randhie": np.minimum(y, 2)}.get(name, y).astype(int)


def fit_baseline(X, y):
    kind = sm.Logit if y.max() == 1 else sm.MNLogit
    return kind(y, sm.add_constant(X, prepend=False)).fit(method="newton", disp=0, maxiter=100, tol=1e-14)


def fit_linear(y, columns, offset=None, **options):
    return sm.GLM(y, columns, family=sm.families.Binomial(), offset=offset).fit(tol=1e-14, **options)


def assert_matches_baseline(result, params, covariance):
    errors = np.sqrt(np.diagonal(covariance))
    assert np.abs((result.coef.ravel() - np.asarray(params).T.ravel()) / errors).max() < TOLERANCE
    matrix = result.covariance_matrix()
    assert np.abs((matrix - covariance) / np.outer(errors, errors)).max() < 2 * TOLERANCE
    assert np.abs(result.std_errors.ravel() / errors - 1).max() < TOLERANCE


@pytest.mark.parametrize("name", ["spector", "anes96", "fair", "randhie"])
def test_standard_errors_and_likelihoods_match_statsmodels(name):
    X, y = load(name)
    result, baseline = infer(X, y), fit_baseline(X, y)
    assert_matches_baseline(result, baseline.params, baseline.cov_params())
    for attribute, baseline_attribute in (
        ("aic", "aic"),
        ("bic", "bic"),
        ("pseudo_r2", "prsquared"),
        ("log_likelihood_null", "llnull"),
    ):
        assert getattr(result, attribute) == pytest.approx(getattr(baseline, baseline_attribute), rel=1e-8), attribute
    assert result.log_likelihood == pytest.approx(baseline.llf, rel=1e-10)
    assert (result.df_model, result.df_resid, result.n_samples) == (baseline.df_model, baseline.df_resid, len(y))
    np.testing.assert_allclose(result.z.ravel(), np.asarray(baseline.tvalues).T.ravel(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(result.p_values.ravel(), np.asarray(baseline.pvalues).T.ravel(), rtol=1e-4, atol=1e-12)
    interval = np.asarray(baseline.conf_int(0.1)).reshape(result.conf_int().shape)
    np.testing.assert_allclose(result.conf_int(0.9), interval, rtol=1e-5, atol=1e-6)
    assert result.distance_from_optimum < 10 * TOLERANCE


@pytest.mark.parametrize("n_classes", [2, 4])
def test_robust_covariances_match_statsmodels(n_classes):
    X, y = make_rows(n_classes, n=1500)
    keys = np.random.default_rng(1).integers(0, [40, 25], (len(y), 2))
    baseline = fit_baseline(X, y)
    for options, covariance in (
        ({"covariance": "HC0"}, sandwich.cov_white_simple(baseline, use_correction=False)),
        ({"covariance": "HC1"}, sandwich.cov_white_simple(baseline, use_correction=True)),
        ({"covariance": "cluster", "clusters": keys[:, 0]}, sandwich.cov_cluster(baseline, keys[:, 0])),
        ({"covariance": "cluster", "clusters": keys}, sandwich.cov_cluster_2groups(baseline, *keys.T)[0]),
    ):
        assert_matches_baseline(infer(X, y, **options), baseline.params, covariance)


def test_offsets_and_models_without_an_intercept_match_statsmodels():
    X, y = make_rows(2)
    offset = np.random.default_rng(2).normal(size=len(y))
    for fit_intercept, columns in ((True, sm.add_constant(X, prepend=False)), (False, X)):
        for kind, baseline_cov_type in (("model", "nonrobust"), ("HC0", "HC0")):
            baseline = fit_linear(y, columns, offset=offset, cov_type=baseline_cov_type)
            result = infer(X, y, None, offset, {"fit_intercept": fit_intercept}, covariance=kind)
            assert_matches_baseline(result, baseline.params, baseline.cov_params())
            assert result.log_likelihood == pytest.approx(baseline.llf, rel=1e-10)
            assert result.log_likelihood_null == pytest.approx(baseline.llnull, rel=1e-8)
    # All offsets are equal, or so different that no row has any curvature at the start.
    expected = infer(X, y).log_likelihood_null
    assert infer(X, y, None, np.full(len(y), 1e3)).log_likelihood_null == pytest.approx(expected, rel=1e-9)
    large_offset = 100 * offset
    values = [np.sum(np.logaddexp(0, large_offset + b) - y * (large_offset + b)) for b in -large_offset]
    assert infer(X, y, None, large_offset).log_likelihood_null >= -min(values)
    # An offset that is the same for all rows changes the intercepts only.
    X, y = make_rows(3)
    plain, shifted = infer(X, y), infer(X, y, None, np.tile([0.0, 1.0, -2.0], (len(y), 1)))
    np.testing.assert_allclose(shifted.coef, plain.coef - np.outer([1.0, -2.0], [0, 0, 0, 1]), atol=1e-8)
    assert shifted.log_likelihood_null == pytest.approx(plain.log_likelihood_null, rel=1e-10)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_frequency_weights_equal_repeated_rows(n_classes):
    X, y = make_rows(n_classes)
    generator = np.random.default_rng(3)
    counts, clusters = generator.integers(0, 4, len(y)), generator.integers(0, 30, len(y))
    repeated = [np.repeat(values, counts, axis=0) for values in (X, y, clusters)]
    for options in ({}, {"covariance": "HC0"}, {"covariance": "HC1", "use_t": True}, {"covariance": "cluster"}):
        keys = [{"clusters": values} if "cluster" in options.values() else {} for values in (clusters, repeated[2])]
        result = infer(X, y, counts * 1.0, **options, **keys[0])
        expected = infer(*repeated[:2], **options, **keys[1])
        # The two fits stop so close to the optimum that standard errors agree to a millionth.
        assert_matches_baseline(result, expected.coef.T, expected.covariance_matrix())
        np.testing.assert_allclose(result.p_values, expected.p_values, rtol=1e-4)
        for name in ("aic", "bic", "df_resid", "n_samples", "log_likelihood_null"):
            assert getattr(result, name) == pytest.approx(getattr(expected, name), rel=1e-12), name


def test_sampling_weights_use_the_sandwich_of_weighted_scores():
    X, y = make_rows(2, n=300)
    columns, weights = sm.add_constant(X, prepend=False), np.random.default_rng(4).uniform(0, 3, len(y))
    result = infer(X, y, weights, covariance="HC0", weight_type="sampling")
    scores = columns * (weights * (y - 1 / (1 + np.exp(-columns @ result.coef[0]))))[:, None]
    inverse = np.linalg.inv(log_likelihood(result.coef, columns, y, weights, False)[1])
    np.testing.assert_allclose(result.covariance_matrix(), inverse @ scores.T @ scores @ inverse, rtol=1e-8)
    # The unit of the weights has no effect, and class weights are sampling weights.
    scaled = infer(X, y, 1e30 * weights, covariance="HC0", weight_type="sampling")
    np.testing.assert_allclose(scaled.std_errors, result.std_errors, rtol=1e-9)
    assert scaled.distance_from_optimum < 1e-6
    assert np.isnan(result.aic)
    options = {"covariance": "HC1", "weight_type": "sampling"}
    expected = infer(X, y, np.where(y == 1, 2.5, 1.0), **options)
    result = infer(X, y, parameters={"class_weight": {0: 1.0, 1: 2.5}}, **options)
    np.testing.assert_allclose(result.std_errors, expected.std_errors, rtol=1e-9)
    # Soft labels have the same robust errors, with probabilities instead of labels.
    fraction = np.random.default_rng(5).uniform(0, 1, len(y))
    result = infer(X, np.column_stack([1 - fraction, fraction]), covariance="HC0")
    np.testing.assert_allclose(result.std_errors[0], fit_linear(fraction, columns, cov_type="HC0").bse, rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_covariances_of_penalized_models_match_their_hessians(n_classes):
    X, y = make_rows(n_classes, n=200)
    parameters = {"C": 0.5, "tol": 1e-13, "penalty_factors": [1.0, 0.0, 2.0]}
    coef = infer(X, y, parameters=parameters, penalized="laplace").coef
    loss_hessian = log_likelihood(coef, sm.add_constant(X, prepend=False), y, np.ones(len(X)), False)[1]
    # This matrix expresses the penalty of centered coefficients in terms of contrasts with class 0.
    centering_matrix = np.eye(n_classes - 1) - (n_classes > 2) / n_classes
    inverse = np.linalg.inv(loss_hessian + np.kron(centering_matrix, np.diag([1.0, 0.0, 2.0, 0.0])) / 0.5)
    for penalized, expected in (("laplace", inverse), ("sandwich", inverse @ loss_hessian @ inverse)):
        result = infer(X, y, parameters=parameters, penalized=penalized)
        errors = np.sqrt(np.diagonal(expected))
        assert np.abs((result.covariance_matrix() - expected) / np.outer(errors, errors)).max() < 1e-6
        assert result.df_model + n_classes - 1 == pytest.approx(np.trace(inverse @ loss_hessian), abs=1e-3)
    robust_result = infer(X, y, parameters=parameters, penalized="sandwich", covariance="HC0")
    assert robust_result.coef == pytest.approx(coef)
