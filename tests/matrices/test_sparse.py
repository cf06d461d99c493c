"""Sparse matrices, compared with dense matrices. Valid input is never copied, and X is never densified."""

import tracemalloc

import numpy as np
import pytest
from conftest import assert_bitwise_equal, make_sparse
from scipy import sparse

from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.threads import limit_threads
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices import as_matrix
from fastlin.matrices import sparse as sparse_matrices

ALL_ROWS = np.empty(0, np.int64)
N, D = 60, 13
ROWS = {"all": ALL_ROWS, "some": np.arange(0, N, 2), "few": np.array([7, 8]), "repeated": np.array([5, 3, 3, 9])}
PASS_PLAN_CONSTANTS = {
    "by rows": {"MIN_ENTRIES_PER_COLUMN": 0.5, "TILE_ROWS": 3},
    "by columns": {"MIN_ENTRIES_PER_COLUMN": 10**9},
    "in chunks": {"MIN_ENTRIES_PER_COLUMN": 10**9, "MAX_RESIDUAL_BYTES": 0},
}


def make_csr(**options):
    return sparse.csr_array(make_sparse(N, D, **options), shape=(N, D))


def make_passes(X, n_classes, rows=ALL_ROWS, weighted=True):
    n, d = X.shape
    generator = np.random.default_rng(1)
    labels = generator.integers(0, max(2, n_classes), n).astype(np.int32)
    samples = Samples(rows, labels, generator.uniform(0, 2, n) if weighted else np.empty(0))
    scaling = Scaling(2.0 ** generator.integers(-4, 1, d), generator.normal(size=d))
    return as_matrix(X).passes(samples, scaling, n_classes)


def run_all_passes(passes, shape, rows=ALL_ROWS):
    generator = np.random.default_rng(2)
    n_classes, d = shape
    parameters, direction = generator.normal(size=(2, n_classes, d + 1))
    probabilities = np.empty((n_classes, len(rows) or N))
    gradient, again = np.empty((2, n_classes, d + 1))
    loss = passes.evaluate(parameters, probabilities, gradient)
    assert passes.evaluate(parameters, None, again) == loss
    np.testing.assert_array_equal(again, gradient)
    product = passes.hessian_product(direction, probabilities)
    row_weights = generator.uniform(0, 2, (2, len(rows) or N))
    row_weights[0, 1] = 0
    grams = passes.gram(rows, row_weights, np.float64)
    assert passes.gram(rows, row_weights, np.float32).dtype == np.float32
    return loss, gradient, probabilities, product, grams, passes.class_pair_gram(probabilities)


def assert_close(actual, expected, tolerance=1e-11):
    for value, right in zip(actual, expected, strict=True):
        np.testing.assert_allclose(value, right, rtol=tolerance, atol=tolerance * max(1.0, np.abs(right).max()))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(
    ("plan", "n_classes"),
    [("by rows", 1), *(("by columns", K) for K in (1, 3, 5, 20)), *(("in chunks", K) for K in (1, 3, 20))],
)
def test_passes_agree_with_dense_data_on_any_number_of_threads(monkeypatch, cut_into_blocks, plan, n_classes, rows):
    X, rows, weighted = make_csr(), ROWS[rows], n_classes != 3
    expected = run_all_passes(make_passes(X.toarray(), n_classes, rows, weighted), (n_classes, D), rows)
    cut_into_blocks(2_000)
    for name, value in PASS_PLAN_CONSTANTS[plan].items():
        monkeypatch.setattr(sparse_matrices, name, value)
    passes = make_passes(X, n_classes, rows, weighted)
    assert isinstance(passes, sparse_matrices.SparseRowPasses) == (plan == "by rows")
    assert plan != "in chunks" or 0 < len(rows) < 5 or len(passes._chunks) > 3
    results = []
    for n_threads in (1, 2, 3):
        with limit_threads(n_threads):
            results.append((*run_all_passes(passes, (n_classes, D), rows), *as_matrix(X).measure()))
    assert_bitwise_equal(results)
    actual = results[0][: len(expected)]
    assert_close(actual, expected)
    np.testing.assert_array_equal(actual[-1], actual[-1].T)


@pytest.mark.parametrize("rows", ROWS)
def test_gram_matrices_of_columns_far_from_zero_are_accurate(rows):
    X, generator = make_csr().toarray(), np.random.default_rng(3)
    # Integers are centered without rounding error.
    deviations = generator.integers(-9, 10, (N, 3)).astype(float)
    scale, shift, far = 2.0 ** generator.integers(-4, 1, D), np.zeros(D), [0, 5, 12]
    shift[far] = -scale[far] * 1e7
    X[:, far] = deviations + 1e7
    centered = X.copy()
    centered[:, far] = deviations
    samples, weights = Samples(ROWS[rows], np.zeros(N, np.int32), np.empty(0)), np.ones((1, len(ROWS[rows]) or N))
    matrix = as_matrix(sparse.csr_array(X))
    for factor in (1, 2):
        scaling = Scaling(factor * scale, factor * shift)
        (actual,) = matrix.passes(samples, scaling, 1).gram(samples.rows, weights, np.float64)
        x = np.column_stack([centered * scaling.scale, np.ones(N)])[ROWS[rows] if len(ROWS[rows]) else slice(None)]
        np.testing.assert_allclose(actual, x.T @ x, rtol=1e-13, atol=1e-13 * np.abs(x.T @ x).max())


def test_not_storing_values_that_are_all_one_does_not_change_results():
    X = make_csr()
    X.data[:] = 1
    assert len(as_matrix(X).entries.data) == 0 < len(as_matrix(2 * X).entries.data)
    late = X.copy()
    late.data[-1] = 2
    assert len(as_matrix(late).entries.data) == len(X.data) > sparse_matrices.N_PROBED_VALUES
    for n_classes in (1, 3):
        actual = run_all_passes(make_passes(X, n_classes), (n_classes, D))
        matrix = as_matrix(X)
        # This is the same matrix with explicit values.
        matrix.entries = sparse_matrices.as_compressed_matrix(matrix.csr)
        expected = run_all_passes(make_passes(matrix, n_classes), (n_classes, D))
        for first, second in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("ones", [False, True])
def test_statistics_of_sparse_columns_agree_with_dense_data(cut_into_blocks, ones):
    X = make_csr().tolil()
    # Two columns are constant, one contains a value and zeros, and one has no entries.
    X[:, 0], X[:, 1], X[:, 2], X[:5, 2], X[:, 3] = 0.1, -3, 0, 7, 0
    X = sparse.csr_array(X)
    if ones:
        X.data[:] = 1
    cut_into_blocks(2_000)
    actual, dense = as_matrix(X), as_matrix(X.toarray())
    for matrix, weights in ((actual, None), (as_matrix(X.tocsc()), None), (actual, np.linspace(0, 2, N))):
        assert (actual._csc is None) == (matrix is actual or weights is None)
        columns, expected = matrix.measure(weights), dense.measure(weights)
        np.testing.assert_allclose(columns.mean, expected.mean + expected.remainder, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(columns.variance, expected.variance, rtol=1e-11)
        for value, right in zip(columns[3:], expected[3:], strict=True):
            np.testing.assert_array_equal(value, right)
        assert columns.variance[0] == columns.variance[3] == 0


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_rows_and_columns_are_used_in_place(index_dtype):
    X = make_csr()
    X.indices, X.indptr = X.indices.astype(index_dtype), X.indptr.astype(index_dtype)
    matrix, columns = as_matrix(X), X.tocsc()
    assert matrix.csc.indices.dtype == index_dtype
    assert matrix.X is X and as_matrix(columns).csc is columns


# With 30, X has enough entries for a row-wise pass, but the copy without duplicates does not.
@pytest.mark.parametrize(
    ("form", "min_entries_per_column"), [("csr", 4), ("csr", 30), ("csc", 4), ("coo", 4), ("bsr", 4)]
)
def test_duplicates_are_summed_in_a_copy(form, min_entries_per_column, monkeypatch):
    monkeypatch.setattr(sparse_matrices, "MIN_ENTRIES_PER_COLUMN", min_entries_per_column)
    plain = make_csr()
    # Each entry is the sum of two duplicates.
    X = sparse.csr_array((np.repeat(plain.data / 2, 2), np.repeat(plain.indices, 2), 2 * plain.indptr), shape=(N, D))
    if form == "bsr":
        X = sparse.bsr_array((X.data.reshape(-1, 1, 1), X.indices, X.indptr), shape=X.shape)
    X, n_entries = X.asformat(form), X.nnz
    for n_classes in (1, 3):
        actual = run_all_passes(make_passes(X, n_classes), (n_classes, D))
        assert_close(actual, run_all_passes(make_passes(plain, n_classes), (n_classes, D)))
    matrix, expected = as_matrix(X), as_matrix(plain).measure()
    assert_close(
        [matrix.measure().standard_deviation, matrix.measure().largest_magnitudes],
        [expected.standard_deviation, expected.largest_magnitudes],
    )
    assert matrix.csr.nnz == matrix.csc.nnz == plain.nnz
    assert X.nnz == n_entries == 2 * plain.nnz


@pytest.mark.parametrize("dtype", [np.bool_, np.int8])
def test_duplicates_of_narrow_types_sum_as_in_a_dense_array(dtype):
    X = sparse.csr_array((np.array([100, 100, 1], dtype), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 2))
    coef = np.eye(2)
    np.testing.assert_array_equal(as_matrix(X).compute_scores(coef, np.zeros(2)), X.toarray().astype(float))


def test_scores_of_single_rows_equal_those_of_all_rows():
    X, generator = sparse.random_array((90, 400), density=0.03, random_state=0, format="csr"), np.random.default_rng(0)
    X.indices = X.indices[::-1].copy()  # unsorted
    X.indptr[1] = X.indptr[0]
    for coef in generator.normal(size=(3, 400)), generator.normal(size=(1, 400)):
        scores = as_matrix(X).compute_scores(coef, coef[:, 0])
        np.testing.assert_allclose(scores, X @ coef.T + coef[:, 0], rtol=1e-12, atol=1e-12)
        few = [as_matrix(X[i : i + 1]).compute_scores(coef, coef[:, 0])[0] for i in range(90)]
        np.testing.assert_array_equal(few, scores)


def test_sparse_rows_are_taken_in_any_order():
    X = make_csr()
    for rows in (np.array([9, 2, 2, 50]), slice(3, 8)):
        expected = X.toarray()[rows]
        out = np.full(expected.shape, np.nan, np.float32)
        assert as_matrix(X).take_rows(rows, out) is out
        np.testing.assert_array_equal(out, expected)
    # Every fourth row contains nearly all entries, so a copy would use as much memory as X.
    lengths = np.where(np.arange(400) % 4, 1, 100)
    starts = np.append(0, np.cumsum(lengths))
    indices = np.concatenate([np.arange(length) for length in lengths])
    matrix = as_matrix(sparse.csr_array((np.ones(len(indices)), indices, starts), shape=(400, 100)))
    rows = np.arange(400)
    assert (
        not matrix.should_copy_rows(rows[::4])
        and matrix.should_copy_rows(rows[1::4])
        and not matrix.should_copy_rows(rows[:0])
    )


def test_only_columns_far_from_zero_are_stored_densely():
    dense = make_csr().toarray()
    dense[:, 3] = 100 + np.arange(N) % 7
    matrix = as_matrix(sparse.csr_array(dense))
    transposed = matrix.transposed(np.float64, None)
    assert matrix.transposed(np.float64, None) is transposed
    np.testing.assert_array_equal(transposed.positions, np.where(np.arange(D) == 3, 0, -1))
    np.testing.assert_array_equal(transposed.panel[0], dense[:, 3] * transposed.scale[3] + transposed.shift[3])
    for j in np.flatnonzero(transposed.positions < 0):
        part, column = slice(*transposed.starts[j : j + 2]), np.zeros(N)
        column[transposed.indices[part]] = transposed.values[part]
        np.testing.assert_array_equal(column, dense[:, j])
        assert (transposed.scale[j], transposed.shift[j]) == (1, 0)


def test_balanced_blocks_of_rows_have_similar_work():
    starts = np.concatenate([np.arange(10), 10 + 1000 * np.arange(1, 4), 3010 + np.arange(1, 100)])
    borders = sparse_matrices.cut_balanced_blocks(starts, 4)
    assert (borders[0], borders[-1]) == (0, len(starts) - 1) and (np.diff(borders) > 0).all()
    work = np.diff(starts[borders] + sparse_matrices.ROW_OR_COLUMN_OVERHEAD * borders)
    assert work.max() < 1100 + sparse_matrices.ROW_OR_COLUMN_OVERHEAD * 100


@pytest.mark.thorough
def test_wide_data_are_never_densified():
    n, d, generator = 1_000, 10_000_000, np.random.default_rng(0)
    X = sparse.csr_array((np.ones(5 * n), generator.integers(0, d, 5 * n), 5 * np.arange(n + 1)), shape=(n, d))
    coef = generator.normal(size=(1, d))
    tracemalloc.start()
    try:
        matrix = as_matrix(X)
        matrix.measure()
        samples = Samples(ALL_ROWS, np.zeros(n, np.int32), np.empty(0))
        passes = matrix.passes(samples, Scaling(np.ones(d), np.zeros(d)), 1)
        gradient = np.empty((1, d + 1))
        loss = passes.evaluate(np.column_stack([coef, [0.0]]), None, gradient)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A vector with one number per column uses 80 MB. A dense X would use 80 GB.
    assert peak < 1.5e9
    scores = X @ coef[0]
    assert loss == pytest.approx(np.logaddexp(0, scores).sum(), rel=1e-10)
    np.testing.assert_allclose(gradient[0, :-1], X.T @ (1 / (1 + np.exp(-scores))), atol=1e-10)
