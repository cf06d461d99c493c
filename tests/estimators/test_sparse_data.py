"""Sparse data of every type of numbers and kind of memory; `test_properties.py` has fits of every container."""

import pickle

import joblib
import numpy as np
import pytest
from conftest import marked
from linear_models import assert_same_model
from scipy import sparse

import fastlin

pytestmark = pytest.mark.usefixtures("sparse_passes")


def make_data(n=200, d=12, n_classes=3, seed=0, dtype=np.float64):
    """Return X as an ndarray, a third of it not zero, and labels that it tells something of."""
    generator = np.random.default_rng(seed)
    X = np.where(generator.uniform(size=(n, d)) < 1 / 3, generator.integers(1, 9, (n, d)), 0)
    scores = X @ generator.normal(size=(d, n_classes)) / 4 + generator.gumbel(size=(n, n_classes))
    X[:, 4], X[7] = 0, 0
    return X.astype(dtype), scores.argmax(axis=1)


def fit(X, y, **parameters):
    return fastlin.LogisticRegression(**{"tol": 1e-12, "max_iter": 5000, **parameters}).fit(X, y)


@pytest.mark.parametrize(
    ("dtype", "index_dtype"),
    [
        # Each takes four seconds of the compiler.
        *marked(pytest.mark.thorough, (np.float64, np.int64), (np.float32, np.int32), (np.uint8, np.int32)),
        *marked(pytest.mark.slow, (np.bool_, np.int32), (np.int64, np.int64), (np.uint16, np.int32)),
    ],
)
def test_every_type_of_values_and_indices(dtype, index_dtype):
    dense, y = make_data(dtype=dtype)
    X = sparse.csr_array(dense)
    X.indices, X.indptr = X.indices.astype(index_dtype), X.indptr.astype(index_dtype)
    data, indices = X.data, X.indices
    expected, found = fit(dense.astype(np.float64), y), fit(X, y)
    assert found.coef_.dtype == (np.float32 if dtype == np.float32 else np.float64)
    assert_same_model(found, expected, 1e-6 if dtype == np.float32 else 1e-8)
    assert X.data is data
    assert X.indices is indices
    assert found.predict_proba(X).dtype == found.coef_.dtype


@pytest.mark.parametrize("n_classes", [2, 3])
def test_rows_without_entries_get_the_model_of_the_classes_alone(n_classes):
    y = np.arange(30) % 7 % n_classes
    for X in (sparse.csr_array((30, 4)), sparse.csr_array(np.zeros((30, 4))), sparse.coo_matrix((30, 4))):
        model = fit(X, y)
        assert not model.coef_.any()
        np.testing.assert_allclose(model.predict_proba(X), np.tile(np.bincount(y) / 30, (30, 1)), atol=1e-6)
    # So many columns that a preconditioner is weighed against passes that read nothing.
    assert not fit(sparse.csr_array((300, 900)), np.arange(300) % n_classes).coef_.any()


class Tagged(sparse.csr_array):
    """A container whose constructor takes something else."""

    def __init__(self, source, tag):
        super().__init__(source)
        self.tag = tag


def map_memory(X, folder):
    joblib.dump(X, folder / "X.joblib")
    return joblib.load(folder / "X.joblib", mmap_mode="r")


FORMS = {
    "memory-mapped": map_memory,
    "pickled": lambda X, folder: pickle.loads(pickle.dumps(X)),
    "with a constructor of its own": lambda X, folder: Tagged(X, "tag"),
}


@pytest.mark.parametrize("form", FORMS)
def test_any_memory_has_the_same_bits(form, tmp_path):
    X, y = make_data()
    X = sparse.csr_array(X)
    # So small a tol is reached by way of samples of the rows.
    expected = fastlin.LogisticRegression(tol=1e-12).fit(X, y)
    given = FORMS[form](X, tmp_path)
    for array in (given.data, given.indices, given.indptr):
        array.flags.writeable = False
    np.testing.assert_array_equal(fastlin.LogisticRegression(tol=1e-12).fit(given, y).coef_, expected.coef_)
