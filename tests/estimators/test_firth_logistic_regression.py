"""FirthLogisticRegression: containers, convergence, weights, offsets and errors."""

import numpy as np
import pandas as pd
import pytest
from conftest import assert_raises
from scipy import sparse

from fastlin import FirthLogisticRegression, LogisticRegression, blocks
from fastlin.exceptions import ConvergenceWarning


def make_rows(n_classes):
    random, n = np.random.default_rng(0), 80
    X = random.normal(size=(n, 3)) * (random.random((n, 3)) > 0.4)
    return X, (X @ random.normal(size=(3, n_classes)) + random.gumbel(size=(n, n_classes))).argmax(axis=1)


def fit(X, y=None, sample_weight=None, **options):
    return FirthLogisticRegression(tol=1e-10).fit(X, y, sample_weight, **options)


@pytest.mark.thorough
@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_container_gives_the_same_model(n_classes):
    X, y = make_rows(n_classes)
    model = fit(X, y)
    assert model.converged_
    assert model.newton_decrement_ <= 1e-10
    for other in (np.asfortranarray(X), sparse.csr_array(X), sparse.coo_matrix(X), pd.DataFrame(X)):
        again = fit(other, y)
        np.testing.assert_allclose(again.coef_, model.coef_, atol=1e-9)
        np.testing.assert_allclose(again.predict_proba(other), model.predict_proba(X), atol=1e-9)
    cut = blocks.from_arrays([X[:30], X[30:]], y=y)
    again = fit(cut)
    np.testing.assert_allclose(again.coef_, model.coef_, atol=1e-9)
    np.testing.assert_allclose(again.inference(cut).conf_int(), model.inference(X, y).conf_int(), atol=1e-6)
    resampled, expected = (
        fitted.bootstrap(rows, y, n_resamples=2, random_state=0)
        for fitted, rows, y in ((again, cut, None), (model, X, y))
    )
    np.testing.assert_allclose(resampled.coef, expected.coef, atol=1e-2)
    np.testing.assert_allclose(resampled.acceleration, expected.acceleration, atol=1e-6)
    single = FirthLogisticRegression().fit(X.astype(np.float32), y)
    assert single.coef_.dtype == np.float32
    np.testing.assert_allclose(single.coef_, model.coef_, atol=1e-5)
    if n_classes == 3:
        np.testing.assert_allclose(model.coef_.sum(axis=0), 0, atol=1e-12)


def test_effects_of_categories_are_relative_to_the_first_category():
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 90)
    dataframe = pd.DataFrame({"a": random.normal(size=90), "b": pd.Categorical(random.choice(list("xyz"), 90))})
    encoded = pd.get_dummies(dataframe, drop_first=True).astype(float)
    model = FirthLogisticRegression(categorical_features="from_dtype", tol=1e-10).fit(dataframe, y)
    expected = fit(encoded, y)
    np.testing.assert_allclose(np.delete(model.coef_, 1, axis=1), expected.coef_, atol=1e-8)
    assert model.coef_[0, 1] == 0
    inference, other = model.inference(dataframe, y), expected.inference(encoded, y)
    assert list(inference.names) == ["a", "b_y", "b_z", "intercept"]
    assert "b_x" in str(inference.summary())
    np.testing.assert_allclose(inference.std_errors, other.std_errors, rtol=1e-6)
    np.testing.assert_allclose(inference.conf_int(), other.conf_int(), atol=1e-6)
    # Reference categories have no separate effect either.
    effects, expected_effects = inference.marginal_effects(), other.marginal_effects()
    np.testing.assert_allclose(effects.effects, expected_effects.effects, rtol=1e-7)
    np.testing.assert_allclose(effects.std_errors, expected_effects.std_errors, rtol=1e-7)
    np.testing.assert_array_equal(inference.profile_conf_int(["b_z"]), inference.conf_int()[:, 2:3])
    assert inference.lr_test(["b_y", "b_z"]).statistic == pytest.approx(
        other.lr_test(["b_y", "b_z"]).statistic, rel=1e-6
    )
    without = FirthLogisticRegression(categorical_features="from_dtype", fit_intercept=False).fit(dataframe, y)
    np.testing.assert_allclose(without.predict_proba(dataframe), model.predict_proba(dataframe), atol=1e-6)


def test_separable_classes_have_finite_coefficients():
    X = np.arange(10.0)[:, None]
    for y in (X[:, 0] > 4.5, np.repeat(["a", "b", "c"], [3, 4, 3]), np.array([0] * 9 + [1])):
        model = FirthLogisticRegression().fit(X, y)
        assert model.converged_
        assert abs(model.coef_).max() < 5
        assert model.score(X, y) >= 0.9
        inference = model.inference(X, y)
        ends = inference.conf_int()
        assert np.isfinite(ends).all()
        assert ((ends[..., 0] < inference.coef) & (inference.coef < ends[..., 1])).all()
        assert ((inference.p_values > 0) & (inference.p_values <= 1)).all()


def test_integer_weights_equal_repeated_rows():
    X, y = make_rows(3)
    weights = np.random.default_rng(0).integers(0, 4, len(X))
    repeated_rows = np.repeat(np.arange(len(X)), weights)
    model, other = fit(X, y, weights), fit(X[repeated_rows], y[repeated_rows])
    np.testing.assert_allclose(model.coef_, other.coef_, atol=1e-9)
    assert model.log_likelihood_ == pytest.approx(other.log_likelihood_, rel=1e-12)
    heavy = FirthLogisticRegression().fit(X, y, np.full(len(X), 1e6))
    plain = LogisticRegression(C=np.inf, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(heavy.coef_, plain.coef_, atol=1e-4)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_firth_fits_support_offsets_and_soft_labels(n_classes):
    X, y = make_rows(n_classes)
    true_coef = np.random.default_rng(0).normal(size=(3, 1 if n_classes == 2 else 3))
    offset = X @ true_coef
    plain, model = fit(X, y), fit(X, y, offset=offset)
    # Offsets in the column space of X shift the coefficients.
    moved = true_coef.T - true_coef.T.mean(axis=0) * (n_classes > 2)
    np.testing.assert_allclose(model.coef_ + moved, plain.coef_, atol=1e-8)
    assert model.log_likelihood_ == pytest.approx(plain.log_likelihood_, rel=1e-10)
    inference, expected = model.inference(X, y, None, offset), plain.inference(X, y)
    np.testing.assert_allclose(inference.std_errors, expected.std_errors, rtol=1e-6)
    coef_differences = true_coef.T if n_classes == 2 else true_coef.T[1:] - true_coef.T[0]
    ends = expected.conf_int()[:, :3] - coef_differences[:, :, None]
    np.testing.assert_allclose(inference.conf_int()[:, :3], ends, atol=1e-6)
    soft_labels = np.where(np.eye(n_classes)[y] == 1, 1 - 0.1 * (n_classes - 1), 0.1)
    model = FirthLogisticRegression().fit(X, soft_labels)
    assert abs(model.coef_).max() < abs(plain.coef_).max()
    assert_raises("not valid with soft labels", model.inference, X, soft_labels)


def test_unsupported_data_raise_an_error():
    X, y = make_rows(2)
    model = FirthLogisticRegression().fit(X, y)
    dataframe = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "twice": 2 * X[:, 0], "one": 1.0})
    assert_raises("on the intercept: twice = 2 a; one is constant[.]", model.fit, dataframe, y)
    message = "x0 is constant; x2 = 2 x1; x3 = 3 x1; x4 = 4 x1; x5 = 5 x1; and 2 more"
    assert_raises(message, model.fit, np.outer(X[:, 0], np.arange(8)), y)
    assert_raises("positive weight in each class", model.fit, X, y, y == 0)
    assert_raises("y contains the label 2, which is not one of classes=", model.inference, X, y + 1)
    with pytest.warns(ConvergenceWarning, match="stopped after 1 iterations"):
        short = FirthLogisticRegression(max_iter=1).fit(X, y)
    assert not short.converged_
    assert "not reached" in short._describe_result()["tol"]
