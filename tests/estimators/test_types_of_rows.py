"""Rows of every numeric type and memory layout: sparse data, tensors and bfloat16."""

import pickle

import joblib
import numpy as np
import pytest
from conftest import as_bfloat16, assert_raises, load_standardized, mark_params
from linear_models import assert_same_model, make_cv_model
from other_arrays import DlpackStub, OtherDeviceStub
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_iris

import fastlin
from fastlin.estimators.columns import validate_matrix

pytestmark = pytest.mark.usefixtures("force_sparse_kernels")

EPOCHS = {"max_iter": 2, "n_iter_no_change": np.inf, "random_state": 0}


def make_data(dtype=np.float64):
    """Return X as an ndarray with a third of nonzero entries, and labels that depend on it."""
    generator = np.random.default_rng(0)
    X = np.where(generator.uniform(size=(200, 12)) < 1 / 3, generator.integers(1, 9, (200, 12)), 0)
    scores = X @ generator.normal(size=(12, 3)) / 4 + generator.gumbel(size=(200, 3))
    X[:, 4], X[7] = 0, 0
    return X.astype(dtype), scores.argmax(axis=1)


def fit(X, y):
    return fastlin.LogisticRegression(tol=1e-12, max_iter=5000).fit(X, y)


@pytest.mark.parametrize(
    ("dtype", "index_dtype"),
    [
        # Each type takes four seconds to compile.
        *mark_params(pytest.mark.thorough, (np.float64, np.int64), (np.float32, np.int32), (np.uint8, np.int32)),
        *mark_params(pytest.mark.slow, (np.bool_, np.int32), (np.int64, np.int64), (np.uint16, np.int32)),
    ],
)
def test_every_type_of_values_and_indices_is_supported(dtype, index_dtype):
    dense, y = make_data(dtype=dtype)
    X = sparse.csr_array(dense)
    X.indices, X.indptr = X.indices.astype(index_dtype), X.indptr.astype(index_dtype)
    data, indices = X.data, X.indices
    expected, actual = fit(dense.astype(np.float64), y), fit(X, y)
    assert actual.coef_.dtype == (np.float32 if dtype == np.float32 else np.float64)
    assert_same_model(actual, expected, 1e-6 if dtype == np.float32 else 1e-8)
    assert X.data is data
    assert X.indices is indices
    assert actual.predict_proba(X).dtype == actual.coef_.dtype


@pytest.mark.parametrize("n_classes", [2, 3])
def test_rows_without_entries_give_the_null_model(n_classes):
    y = np.arange(30) % 7 % n_classes
    for X in (sparse.csr_array((30, 4)), sparse.csr_array(np.zeros((30, 4))), sparse.coo_matrix((30, 4))):
        model = fit(X, y)
        assert not model.coef_.any()
        np.testing.assert_allclose(model.predict_proba(X), np.tile(np.bincount(y) / 30, (30, 1)), atol=1e-6)
    # With this many columns the solver considers a preconditioner, although passes over X are cheap.
    assert not fit(sparse.csr_array((300, 900)), np.arange(300) % n_classes).coef_.any()


class TaggedCSR(sparse.csr_array):
    """A container whose constructor has other parameters."""

    def __init__(self, source, tag):
        super().__init__(source)
        self.tag = tag


def make_memory_map(X, folder):
    joblib.dump(X, folder / "X.joblib")
    return joblib.load(folder / "X.joblib", mmap_mode="r")


ARRAY_CONVERSIONS = {
    "memory-mapped": make_memory_map,
    "pickled": lambda X, folder: pickle.loads(pickle.dumps(X)),
    "with another constructor": lambda X, folder: TaggedCSR(X, "tag"),
}


@pytest.mark.parametrize("form", ARRAY_CONVERSIONS)
def test_arrays_in_any_memory_give_bitwise_equal_models(form, tmp_path):
    X, y = make_data()
    X = sparse.csr_array(X)
    # A small tol makes the solver use samples of the rows.
    expected = fastlin.LogisticRegression(tol=1e-12).fit(X, y)
    converted = ARRAY_CONVERSIONS[form](X, tmp_path)
    for array in (converted.data, converted.indices, converted.indptr):
        array.flags.writeable = False
    np.testing.assert_array_equal(fastlin.LogisticRegression(tol=1e-12).fit(converted, y).coef_, expected.coef_)


def test_tensors_are_accepted_as_data_labels_and_weights():
    X, y = load_standardized(load_iris)
    weights = np.linspace(1, 2, len(y))
    tensors = DlpackStub(X), DlpackStub(y), DlpackStub(weights)
    for model in (
        fastlin.LogisticRegression(),
        make_cv_model(Cs=2, cv=3),
        fastlin.MiniBatchLogisticRegression(**EPOCHS),
    ):
        expected = clone(model).fit(X, y, weights)
        assert np.shares_memory(validate_matrix(model, tensors[0]).layers, X)
        np.testing.assert_array_equal(model.fit(*tensors).coef_, expected.coef_)
        np.testing.assert_array_equal(model.predict_proba(tensors[0]), expected.predict_proba(X))
        assert type(model.predict(tensors[0])) is np.ndarray
        assert model.score(*tensors) == expected.score(X, y, weights)
    device_weights, network = OtherDeviceStub(weights), fastlin.MLPClassifier()
    assert_raises("sample_weight is a", fastlin.LogisticRegression().fit, X, y, device_weights, error=TypeError)
    assert_raises("y_val is a", network.fit, X, y, X_val=DlpackStub(X), y_val=device_weights, error=TypeError)


@pytest.mark.thorough
@pytest.mark.parametrize("n_classes", [3, *mark_params(pytest.mark.slow, 2)])
def test_every_estimator_supports_bfloat16(n_classes, tmp_path):
    generator = np.random.default_rng(0)
    # X has more numbers than are copied per column.
    X = as_bfloat16(generator.normal(size=(4000, 100)))
    wide = X.astype(np.float32)
    y = (wide[:, :n_classes] + generator.gumbel(size=(4000, n_classes)) / 2).argmax(axis=1)

    def assert_same_fit(actual, expected):
        for name in ("coefs", "coefs_", "coef_", "intercept_"):
            for ours, theirs in zip(getattr(actual, name, ()), getattr(expected, name, ()), strict=True):
                # In Fortran order, sums differ in the last bit of float32.
                np.testing.assert_allclose(ours, theirs, rtol=2e-7, atol=1e-12)

    model = fastlin.LogisticRegression(tol=1e-2)
    expected = clone(model).fit(wide, y)
    for layout in (X, np.asfortranarray(X), np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2]):
        assert_same_fit(model.fit(layout, y), expected)
        np.testing.assert_array_equal(expected.decision_function(layout), expected.decision_function(wide))
    for model in (
        fastlin.LogisticRegression(C=0.01, l1_ratio=1.0),
        fastlin.LogisticRegression(tol=1e-2, categorical_features=[99]),
        make_cv_model(Cs=2, cv=2, scoring="accuracy"),
        fastlin.MiniBatchLogisticRegression(**EPOCHS),
    ):
        assert_same_fit(clone(model).fit(X, y), clone(model).fit(wide, y))
    assert_same_fit(*(fastlin.logistic_path(rows, y, Cs=[0.1, 1.0]) for rows in (X, wide)))
    for precision in ("float32", "float64"):
        network, checkpoint = fastlin.MLPClassifier((5,), dtype=precision, **EPOCHS), tmp_path / "training"
        actual, expected = (
            clone(network).fit(rows, y, X_val=rows[:40], y_val=y[:40], save_checkpoint=checkpoint) for rows in (X, wide)
        )
        assert_same_fit(actual, expected)
        assert actual.loss_curve_ == expected.loss_curve_
        np.testing.assert_array_equal(actual.predict_proba(X), expected.predict_proba(wide))
