"""Tensors and numbers of bfloat16 as data, labels and weights of the estimators."""

import numpy as np
import pytest
from conftest import as_bfloat16, assert_refused, load_scaled, marked
from linear_models import make_cv
from other_arrays import ByDlpack, OnAnotherDevice
from sklearn.base import clone
from sklearn.datasets import load_iris

import fastlin
from fastlin.estimators.training_data import read_matrix

EPOCHS = {"max_iter": 2, "n_iter_no_change": np.inf, "random_state": 0}


def test_tensors_are_data_labels_and_weights():
    X, y = load_scaled(load_iris)
    weights = np.linspace(1, 2, len(y))
    given = ByDlpack(X), ByDlpack(y), ByDlpack(weights)
    for model in (fastlin.LogisticRegression(), make_cv(Cs=2, cv=3), fastlin.MiniBatchLogisticRegression(**EPOCHS)):
        expected = clone(model).fit(X, y, weights)
        assert np.shares_memory(read_matrix(model, given[0]).layers, X)
        np.testing.assert_array_equal(model.fit(*given).coef_, expected.coef_)
        np.testing.assert_array_equal(model.predict_proba(given[0]), expected.predict_proba(X))
        assert type(model.predict(given[0])) is np.ndarray
        assert model.score(*given) == expected.score(X, y, weights)
    elsewhere, network = OnAnotherDevice(weights), fastlin.MLPClassifier()
    assert_refused("sample_weight is a", fastlin.LogisticRegression().fit, X, y, elsewhere, error=TypeError)
    assert_refused("y_val is a", network.fit, X, y, X_val=ByDlpack(X), y_val=elsewhere, error=TypeError)


@pytest.mark.thorough
@pytest.mark.parametrize("n_classes", [3, *marked(pytest.mark.slow, 2)])
def test_bfloat16_is_read_by_every_estimator(n_classes, tmp_path):
    generator = np.random.default_rng(0)
    # X of more numbers than are copied column by column.
    X = as_bfloat16(generator.normal(size=(4000, 100)))
    wide = X.astype(np.float32)
    y = (wide[:, :n_classes] + generator.gumbel(size=(4000, n_classes)) / 2).argmax(axis=1)

    def assert_same(found, expected):
        for name in ("coefs", "coefs_", "coef_", "intercept_"):
            for ours, theirs in zip(getattr(found, name, ()), getattr(expected, name, ()), strict=True):
                # By columns, other sums are rounded to the last bit of float32.
                np.testing.assert_allclose(ours, theirs, rtol=2e-7, atol=1e-12)

    model = fastlin.LogisticRegression(tol=1e-2)
    expected = clone(model).fit(wide, y)
    for layout in (X, np.asfortranarray(X), np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2]):
        assert_same(model.fit(layout, y), expected)
        np.testing.assert_array_equal(expected.decision_function(layout), expected.decision_function(wide))
    for model in (
        fastlin.LogisticRegression(C=0.01, l1_ratio=1.0),
        fastlin.LogisticRegression(tol=1e-2, categorical_features=[99]),
        make_cv(Cs=2, cv=2, scoring="accuracy"),
        fastlin.MiniBatchLogisticRegression(**EPOCHS),
    ):
        assert_same(clone(model).fit(X, y), clone(model).fit(wide, y))
    assert_same(*(fastlin.logistic_path(rows, y, Cs=[0.1, 1.0]) for rows in (X, wide)))
    for precision in ("float32", "float64"):
        network, checkpoint = fastlin.MLPClassifier((5,), dtype=precision, **EPOCHS), tmp_path / "training"
        found, expected = (
            clone(network).fit(rows, y, X_val=rows[:40], y_val=y[:40], save_checkpoint=checkpoint) for rows in (X, wide)
        )
        assert_same(found, expected)
        assert found.loss_curve_ == expected.loss_curve_
        np.testing.assert_array_equal(found.predict_proba(X), expected.predict_proba(wide))
