"""LogisticRegression on sparse data: the model of dense data, from every container, and none is made dense."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from conftest import marked
from scipy import sparse

import fastlin

pytestmark = pytest.mark.usefixtures("sparse_passes")

SOLVERS = ["auto", "lbfgs", "newton-cg", "newton-cholesky"]
CONTAINERS = [
    getattr(sparse, f"{name}_{kind}")
    for name in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")
    for kind in ("array", "matrix")
]


def make_data(n=200, d=12, n_classes=3, seed=0, dtype=np.float64):
    """Return X as an ndarray, a third of it not zero, and labels that it tells something of."""
    generator = np.random.default_rng(seed)
    X = np.where(generator.uniform(size=(n, d)) < 1 / 3, generator.integers(1, 9, (n, d)), 0)
    scores = X @ generator.normal(size=(d, n_classes)) / 4 + generator.gumbel(size=(n, n_classes))
    X[:, 4], X[7] = 0, 0
    return X.astype(dtype), scores.argmax(axis=1)


def fit(X, y, sample_weight=None, **parameters):
    return fastlin.LogisticRegression(**{"tol": 1e-12, "max_iter": 5000, **parameters}).fit(X, y, sample_weight)


def assert_same(found, expected, tolerance=1e-8):
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(found.intercept_, expected.intercept_, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("n_classes", "solver", "fit_intercept"),
    [
        (2, "auto", False),
        *[(n_classes, solver, True) for n_classes in (2, 3) for solver in SOLVERS],
        (3, "lbfgs", False),
    ],
)
def test_the_model_is_that_of_dense_data(n_classes, solver, fit_intercept):
    X, y = make_data(n_classes=n_classes)
    # Gradients of 1e-12 leave coefficients 1e-9 off where the penalty bends J by 1e-3.
    tol = 1e-17 if solver == "auto" else 1e-12
    weights = np.random.default_rng(1).uniform(0, 2, len(y))
    parameters = {"solver": solver, "tol": tol, "fit_intercept": fit_intercept}
    expected = fit(X, y, weights, **parameters)
    found = fit(sparse.csr_array(X), y, weights, **parameters)
    assert_same(found, expected)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        for Z in (sparse.csr_array(X), sparse.csc_array(X)):
            np.testing.assert_allclose(getattr(found, method)(Z), getattr(expected, method)(X), atol=1e-7)
    assert found.score(sparse.csr_array(X), y) == expected.score(X, y)
    assert found.converged_


@pytest.mark.parametrize("make", CONTAINERS, ids=lambda make: make.__name__)
def test_every_container_gives_the_same_bits(make):
    X, y = make_data(n=60)
    expected = fit(sparse.csr_array(X), y)
    container = make(X)
    found = fit(container, y)
    np.testing.assert_array_equal(found.coef_, expected.coef_)
    np.testing.assert_array_equal(container.toarray(), X)
    np.testing.assert_array_equal(found.predict(container), expected.predict(X))


@pytest.mark.parametrize(
    ("dtype", "index_dtype"),
    [
        # Each takes four seconds of the compiler.
        *marked(pytest.mark.thorough, (np.float64, np.int64), (np.float32, np.int32), (np.uint8, np.int32)),
        *marked(
            pytest.mark.slow,
            (np.int8, np.int64),
            (np.float32, np.int64),
            (np.bool_, np.int32),
            (np.int64, np.int64),
            (np.uint16, np.int32),
        ),
    ],
)
def test_every_type_of_values_and_indices(dtype, index_dtype):
    dense, y = make_data(dtype=dtype)
    X = sparse.csr_array(dense)
    X.indices, X.indptr = X.indices.astype(index_dtype), X.indptr.astype(index_dtype)
    data, indices = X.data, X.indices
    expected, found = fit(dense.astype(np.float64), y), fit(X, y)
    assert found.coef_.dtype == (np.float32 if dtype == np.float32 else np.float64)
    assert_same(found, expected, 1e-6 if dtype == np.float32 else 1e-8)
    assert X.data is data
    assert X.indices is indices
    assert found.predict_proba(X).dtype == found.coef_.dtype


def test_unsorted_and_repeated_entries():
    dense, y = make_data()
    X = sparse.csr_array(dense)
    for i in range(X.shape[0]):
        part = slice(X.indptr[i], X.indptr[i + 1])
        X.data[part], X.indices[part] = X.data[part][::-1].copy(), X.indices[part][::-1].copy()
    X.has_sorted_indices = False
    repeated = sparse.csr_array((np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), 2 * X.indptr), shape=X.shape)
    # To the last digit of J: within 1e-12 of it coefficients may be 1e-5 apart.
    expected = fit(dense, y, tol=1e-17)
    for Z in (X, repeated):
        data, n_entries = Z.data.copy(), Z.nnz
        found = fit(Z, y, tol=1e-17)
        assert_same(found, expected)
        np.testing.assert_allclose(found.decision_function(Z), expected.decision_function(dense), atol=1e-7)
        assert Z.nnz == n_entries
        np.testing.assert_array_equal(Z.data, data)


def test_more_rows_than_a_sample_to_start_on_give_the_model_of_dense_data():
    X, y = make_data(n=25_000, d=6)
    expected = fit(X, y, solver="lbfgs", tol=1e-11)
    assert_same(fit(sparse.csr_array(X), y, solver="lbfgs", tol=1e-11), expected, 1e-7)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_rows_without_entries_get_the_model_of_the_classes_alone(n_classes):
    y = np.arange(30) % 7 % n_classes
    for X in (sparse.csr_array((30, 4)), sparse.csr_array(np.zeros((30, 4))), sparse.coo_matrix((30, 4))):
        model = fit(X, y)
        assert not model.coef_.any()
        np.testing.assert_allclose(model.predict_proba(X), np.tile(np.bincount(y) / 30, (30, 1)), atol=1e-6)
    # So many columns that a preconditioner is weighed against passes that read nothing.
    assert not fit(sparse.csr_array((300, 900)), np.arange(300) % n_classes).coef_.any()


@pytest.mark.parametrize(
    ("make", "value"), [(sparse.csr_array, np.inf), (sparse.csc_matrix, np.nan), (sparse.lil_array, np.nan)], ids=str
)
def test_numbers_that_are_not_finite_are_refused(make, value):
    X, y = make_data(n=60)
    model = fit(X, y)
    X[3, 2] = value
    with pytest.raises(ValueError, match=r"X contains (NaN|infinity)"):
        fastlin.LogisticRegression().fit(make(X), y)
    with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
        model.predict(make(X))


def test_bad_input_is_refused_and_nothing_is_fitted():
    X, y = make_data()
    good = fit(X, y)
    bad = sparse.csr_array(X)
    bad.indices[5] = 1_000_000
    cases = [
        (bad, "broken CSR"),
        (sparse.csr_array(X).astype(complex), "Complex data not supported"),
        (sparse.csr_array(X)[:0], "0 sample"),
        (sparse.csr_array(X)[:, :0], "0 feature"),
        (sparse.csr_array(X)[:-1], "inconsistent numbers of samples"),
        (sparse.coo_array(np.ones(200)), "Expected 2D"),
    ]
    for Z, message in cases:
        model = fastlin.LogisticRegression()
        with pytest.raises(ValueError, match=message):
            model.fit(Z, y[: Z.shape[0]] if "sample(s)" in message else y)
        assert not hasattr(model, "coef_")
    with pytest.raises(ValueError, match="broken CSR"):
        good.predict(bad)
    with pytest.raises(ValueError, match="features"):
        good.predict(sparse.csr_array(X)[:, :5])
    with pytest.raises(ValueError, match="broken CSR"):
        fit(X, y).sparsify().predict_proba(bad)


def test_read_only_and_memory_mapped_arrays(tmp_path):
    X, y = make_data()
    X = sparse.csr_array(X)
    expected = fit(X, y)
    names = "data", "indices", "indptr"
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    np.testing.assert_array_equal(fit(X, y).coef_, expected.coef_)
    mapped = sparse.csr_array(X)
    for name in names:
        np.save(tmp_path / f"{name}.npy", getattr(X, name))
        setattr(mapped, name, np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    np.testing.assert_array_equal(fit(mapped, y).coef_, expected.coef_)
    joblib.dump(X, tmp_path / "X.joblib")
    loaded = joblib.load(tmp_path / "X.joblib", mmap_mode="r")
    np.testing.assert_array_equal(fit(loaded, y).coef_, expected.coef_)
    np.testing.assert_array_equal(fit(pickle.loads(pickle.dumps(X)), y).coef_, expected.coef_)


def test_sparse_data_frames():
    X, y = make_data()
    frame = pd.DataFrame.sparse.from_spmatrix(sparse.csr_array(X), columns=[f"x{j}" for j in range(X.shape[1])])
    model = fit(frame, y)
    np.testing.assert_array_equal(model.coef_, fit(sparse.csr_array(X), y).coef_)
    assert model.feature_names_in_[3] == "x3"


class Tagged(sparse.csr_array):
    """A container whose constructor takes something else."""

    def __init__(self, source, tag):
        super().__init__(source)
        self.tag = tag


def test_a_container_with_a_constructor_of_its_own():
    X, y = make_data()
    expected = fastlin.LogisticRegression().fit(sparse.csr_array(X), y)
    model = fastlin.LogisticRegression().fit(Tagged(sparse.csr_array(X), "tag"), y)
    np.testing.assert_array_equal(model.coef_, expected.coef_)
