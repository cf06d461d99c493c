"""Estimates, errors and likelihoods against statsmodels, on its data sets and on random problems."""

import numpy as np
import pytest
from naive_likelihood import sum_rows

from fastlin import LogisticRegression

sm = pytest.importorskip("statsmodels.api")
sandwich = pytest.importorskip("statsmodels.stats.sandwich_covariance")

# The rounding of statsmodels' inverse and of the end of its Newton steps.
TOLERANCE = 1e-6


def load(name):
    """Return X and y of a data set of statsmodels: two classes, or more."""
    data = getattr(sm.datasets, name).load_pandas()
    X, y = data.exog, data.endog
    if name == "fair":
        y = (y > 0).astype(int)
    if name == "randhie":
        y = np.minimum(y, 2).astype(int)
    return X.to_numpy(np.float64), y.to_numpy().astype(int)


def make_random(n_classes, n=1500, d=4, seed=0):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, d)) * generator.uniform(0.1, 5, d) + generator.normal(size=d) * 5
    scores = (X - X.mean(axis=0)) @ generator.normal(size=(d, n_classes)) * 0.3 / X.std(axis=0).max()
    y = (scores + generator.gumbel(size=scores.shape)).argmax(axis=1)
    return X, y


def fit_peer(X, y, **options):
    kind = sm.Logit if y.max() == 1 else sm.MNLogit
    return kind(y, sm.add_constant(X, prepend=False)).fit(method="newton", disp=0, maxiter=100, tol=1e-14, **options)


def infer(X, y, *data, fit_options=None, **options):
    model = LogisticRegression(C=np.inf, tol=1e-12, **(fit_options or {}))
    return model.fit(X, y, *data).inference(X, y, *data, **options)


def assert_agrees(found, params, covariance):
    errors = np.sqrt(np.diagonal(covariance))
    assert np.abs((found.coef.ravel() - np.asarray(params).T.ravel()) / errors).max() < TOLERANCE
    matrix = found.covariance_matrix()
    assert np.abs((matrix - covariance) / np.outer(errors, errors)).max() < 2 * TOLERANCE
    assert np.abs(found.std_errors.ravel() / errors - 1).max() < TOLERANCE


@pytest.mark.parametrize("name", ["spector", "anes96", "fair", "randhie"])
def test_data_sets_have_the_errors_and_likelihoods_of_statsmodels(name):
    X, y = load(name)
    found, peer = infer(X, y), fit_peer(X, y)
    assert_agrees(found, peer.params, peer.cov_params())
    assert found.log_likelihood == pytest.approx(peer.llf, rel=1e-10)
    assert found.log_likelihood_null == pytest.approx(peer.llnull, rel=1e-8)
    for own, theirs in (("aic", "aic"), ("bic", "bic"), ("pseudo_r2", "prsquared"), ("df_resid", "df_resid")):
        assert getattr(found, own) == pytest.approx(getattr(peer, theirs), rel=1e-8), own
    assert found.df_model == peer.df_model
    assert found.n_samples == len(y)
    np.testing.assert_allclose(found.z, np.asarray(peer.tvalues).T.reshape(found.z.shape), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.p_values.ravel(), np.asarray(peer.pvalues).T.ravel(), rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(
        found.conf_int(0.9).reshape(-1, 2), np.asarray(peer.conf_int(0.1)).reshape(-1, 2), rtol=1e-5, atol=1e-6
    )
    assert found.distance < 10 * TOLERANCE


@pytest.mark.parametrize("n_classes", [2, 4])
def test_robust_covariances_are_those_of_statsmodels(n_classes):
    X, y = make_random(n_classes)
    generator = np.random.default_rng(1)
    first, second = generator.integers(0, 40, len(y)), generator.integers(0, 25, len(y))
    peer = fit_peer(X, y)
    for options, covariance in (
        ({"covariance": "HC0"}, sandwich.cov_white_simple(peer, use_correction=False)),
        ({"covariance": "HC1"}, sandwich.cov_white_simple(peer, use_correction=True)),
        ({"covariance": "cluster", "clusters": first}, sandwich.cov_cluster(peer, first)),
        (
            {"covariance": "cluster", "clusters": np.column_stack([first, second])},
            sandwich.cov_cluster_2groups(peer, first, second)[0],
        ),
    ):
        assert_agrees(infer(X, y, **options), peer.params, covariance)


def test_offsets_and_models_without_an_intercept_are_those_of_statsmodels():
    X, y = make_random(2)
    offset = np.random.default_rng(2).normal(size=len(y))
    for fit_intercept, columns in ((True, sm.add_constant(X, prepend=False)), (False, X)):
        model = LogisticRegression(C=np.inf, tol=1e-12, fit_intercept=fit_intercept).fit(X, y, offset=offset)
        for kind, peer_kind in (("model", "nonrobust"), ("HC0", "HC0")):
            peer = sm.GLM(y, columns, family=sm.families.Binomial(), offset=offset).fit(tol=1e-14, cov_type=peer_kind)
            found = model.inference(X, y, offset=offset, covariance=kind)
            assert_agrees(found, peer.params, peer.cov_params())
            assert found.log_likelihood == pytest.approx(peer.llf, rel=1e-10)
            # Theirs has the offset too, and an intercept.
            assert found.log_likelihood_null == pytest.approx(peer.llnull, rel=1e-8)
    # An offset that is the same for all classes of all rows changes nothing, one of an intercept the intercept alone.
    X, y = make_random(3)
    offset = np.tile([0.0, 1.0, -2.0], (len(y), 1))
    plain = infer(X, y)
    moved = LogisticRegression(C=np.inf, tol=1e-12).fit(X, y, offset=offset).inference(X, y, offset=offset)
    np.testing.assert_allclose(moved.coef[:, :-1], plain.coef[:, :-1], atol=1e-8)
    np.testing.assert_allclose(moved.coef[:, -1], plain.coef[:, -1] - [1.0, -2.0], atol=1e-7)
    assert moved.log_likelihood_null == pytest.approx(plain.log_likelihood_null, rel=1e-10)
    # Where all offsets are alike, or so far from each other that no row has any curvature at the start.
    X, y = make_random(2, n=300)
    model, peer = LogisticRegression(C=np.inf, tol=1e-12), infer(X, y).log_likelihood_null
    same = np.full(len(y), 1e3)
    found = model.fit(X, y, offset=same).inference(X, y, offset=same)
    assert found.log_likelihood_null == pytest.approx(peer, rel=1e-9)
    spread = np.random.default_rng(1).normal(size=len(y)) * 100
    values = [np.sum(np.logaddexp(0, spread + b) - y * (spread + b)) for b in -spread]
    found = model.fit(X, y, offset=spread).inference(X, y, offset=spread)
    assert found.log_likelihood_null >= -min(values)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_frequency_weights_are_repeated_rows(n_classes):
    X, y = make_random(n_classes, n=400)
    generator = np.random.default_rng(3)
    counts, clusters = generator.integers(0, 4, len(y)), generator.integers(0, 30, len(y))
    repeated = [np.repeat(each, counts, axis=0) for each in (X, y, clusters)]
    for options in ({}, {"covariance": "HC0"}, {"covariance": "HC1", "use_t": True}, {"covariance": "cluster"}):
        keys = [
            {"clusters": each} if options.get("covariance") == "cluster" else {} for each in (clusters, repeated[2])
        ]
        found = infer(X, y, counts * 1.0, **options, **keys[0])
        expected = infer(*repeated[:2], **options, **keys[1])
        # Both fits end elsewhere, so near the optimum that errors agree to a millionth.
        assert_agrees(found, expected.coef.T, expected.covariance_matrix())
        np.testing.assert_allclose(found.p_values, expected.p_values, rtol=1e-4)
        for name in ("aic", "bic", "df_resid", "n_samples", "log_likelihood_null"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-12), name


def test_importance_weights_have_the_sandwich_of_weighted_scores():
    X, y = make_random(2, n=300)
    weights = np.random.default_rng(4).uniform(0, 3, len(y))
    found = infer(X, y, weights, covariance="HC0", weights_are="importance")
    columns = np.column_stack([X, np.ones(len(y))])
    p = 1 / (1 + np.exp(-columns @ found.coef[0]))
    scores = columns * (weights * (y - p))[:, None]
    inverse = np.linalg.inv((columns * (weights * p * (1 - p))[:, None]).T @ columns)
    np.testing.assert_allclose(found.covariance_matrix(), inverse @ scores.T @ scores @ inverse, rtol=1e-8)
    # The unit of the weights does not count, and class weights are such weights.
    scaled = infer(X, y, 1e30 * weights, covariance="HC0", weights_are="importance")
    np.testing.assert_allclose(scaled.std_errors, found.std_errors, rtol=1e-9)
    assert scaled.distance < 1e-6
    assert np.isnan(found.aic)
    by_class = np.where(y == 1, 2.5, 1.0)
    expected = infer(X, y, by_class, covariance="HC1", weights_are="importance")
    found = infer(X, y, fit_options={"class_weight": {0: 1.0, 1: 2.5}}, covariance="HC1", weights_are="importance")
    np.testing.assert_allclose(found.std_errors, expected.std_errors, rtol=1e-9)
    # Soft labels are no draws: the same robust errors, with the probabilities in place of labels.
    share = np.random.default_rng(5).uniform(0, 1, len(y))
    found = infer(X, np.column_stack([1 - share, share]), covariance="HC0")
    peer = sm.GLM(share, sm.add_constant(X, prepend=False), family=sm.families.Binomial()).fit(
        tol=1e-14, cov_type="HC0"
    )
    np.testing.assert_allclose(found.std_errors[0], peer.bse, rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_penalised_models_have_the_covariances_that_their_hessians_say(n_classes):
    X, y = make_random(n_classes, n=200, d=3)
    n, C, factors = len(X), 0.5, np.array([1.0, 0.0, 2.0])
    model = LogisticRegression(C=C, tol=1e-13, penalty_factors=factors).fit(X, y)
    rows = n_classes - 1
    found = model.inference(X, y, penalised="laplace")
    of_loss = sum_rows(found.coef, np.column_stack([X, np.ones(n)]), y, np.ones(n), False)[1]
    # Contrasts against class 0 are penalised as all classes together are, about their mean.
    shares = np.eye(rows) - (n_classes > 2) / n_classes
    whole = of_loss + np.kron(shares, np.diag(np.append(factors, 0))) / C
    inverse = np.linalg.inv(whole)
    for penalised, expected in (("laplace", inverse), ("sandwich", inverse @ of_loss @ inverse)):
        found = model.inference(X, y, penalised=penalised)
        errors = np.sqrt(np.diagonal(expected))
        assert np.abs((found.covariance_matrix() - expected) / np.outer(errors, errors)).max() < 1e-6
        n_parameters = found.df_model + rows
        assert n_parameters == pytest.approx(np.trace(inverse @ of_loss), abs=1e-3)
    assert model.inference(X, y, penalised="sandwich", covariance="HC0").coef == pytest.approx(found.coef)
