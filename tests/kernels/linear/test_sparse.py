"""Walks over sparse rows and columns against the naive oracle, for every type, and over huge arrays."""

import naive
import numpy as np
import pytest
from conftest import COMPILED, make_sparse
from scipy import sparse

from fastlin.kernels.linear import sparse_columns, sparse_rows
from fastlin.kernels.machine import gather
from fastlin.kernels.machine.threads import limit_threads, run_blocks

# One class is two; below, at and above the vectors of a table, and of a group of them.
CLASSES = [1, 3, 5, 8, 9, 20, 40] if COMPILED else [1, 3, 5, 20]
NONE = np.empty(0, np.int64)


class Problem:
    """A sparse matrix by rows and by columns, and random parameters, labels, weights, factors and offsets."""

    def __init__(self, n, d, n_classes, dtype=np.float64, index_dtype=np.int32, seed=0):
        self.generator = generator = np.random.default_rng(seed)
        self.rows = make_sparse(n, d, dtype, index_dtype, seed=seed)
        csc = sparse.csr_array(self.rows, shape=(n, d)).tocsc()
        self.columns = csc.data, csc.indices.astype(index_dtype), csc.indptr.astype(index_dtype)
        self.dense = csc.astype(np.float64).toarray()
        self.n, self.d, self.K = n, d, n_classes
        self.labels = generator.integers(0, max(2, n_classes), n).astype(np.int32)
        self.weights = generator.uniform(0, 2, n)
        self.factors, self.offsets = 2.0 ** generator.integers(-3, 1, d), generator.normal(size=d)
        self.coef = generator.normal(size=(n_classes, d))
        self.intercept = generator.normal(size=n_classes)
        self.scaled = self.dense * self.factors + self.offsets

    def fill_table(self, coef, intercept, n_blocks=2):
        """Return the table of coefficients, and the intercepts with the offsets."""
        table, shifts = gather.zeros_table(self.d, self.K), np.full((n_blocks, self.K), np.nan)
        run_blocks(sparse_rows.fill_block_table, n_blocks, coef, self.factors, self.offsets, table, shifts)
        return table, intercept + shifts.sum(axis=0)

    def multiply_columns(self, table, first, last, sums, adds, product, borders=None):
        borders = np.array([0, self.d // 3, self.d]) if borders is None else borders
        run_blocks(
            sparse_columns.fill_block_product, len(borders) - 1, *self.columns, borders, first, last, table, sums,
            self.factors, self.offsets, adds, product,
        )  # fmt: skip

    def evaluate(self, chunks=((0, None),), rows=NONE, borders=None):
        """Return loss, gradient, intercept gradient and probabilities, of ranges of rows one after the other."""
        table, intercept = self.fill_table(self.coef, self.intercept)
        gradient = np.full((self.K, self.d + 1), np.nan)
        probabilities = np.full((self.K, len(rows) or self.n), np.nan)
        loss, totals = 0.0, np.zeros(self.K)
        for number, (first, last) in enumerate(chunks):
            last = self.n if last is None else last
            residuals = gather.zeros_table(last - first, self.K)
            begin, end = np.searchsorted(rows, (first, last)) if len(rows) else (first, last)
            cuts = np.array([begin, (begin + end) // 2, end])
            losses, sums = np.full(2, np.nan), np.full((2, self.K), np.nan)
            run_blocks(
                sparse_rows.fill_block_residuals, 2, *self.rows, rows, cuts, self.labels, self.weights, table,
                intercept, 8, first, residuals, losses, sums, probabilities,
            )  # fmt: skip
            self.multiply_columns(residuals, first, last, sums.sum(axis=0), number > 0, gradient, borders)
            loss, totals = loss + losses.sum(), totals + sums.sum(axis=0)
        return loss, gradient[:, :-1], totals, probabilities


def assert_close(found, expected):
    for value, right in zip(found, expected, strict=True):
        right = np.asarray(right)
        np.testing.assert_allclose(value, right, rtol=1e-11, atol=1e-11 * max(1.0, np.abs(right).max()))


def naive_probabilities(X, coef, intercept):
    scores = X @ coef.T + intercept
    if len(coef) == 1:
        return 1 / (1 + np.exp(-scores.T))
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).T


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize("n_classes", CLASSES)
def test_the_pass_agrees_with_naive(n_classes, index_dtype):
    problem = Problem(23, 11, n_classes, index_dtype=index_dtype)
    expected = naive.loss_and_gradient(problem.scaled, problem.labels, problem.weights, problem.coef, problem.intercept)
    probabilities = naive_probabilities(problem.scaled, problem.coef, problem.intercept)
    assert_close(problem.evaluate(), (*expected, probabilities))
    # In three parts, of which the first column has no rows in one, and one has no rows at all.
    assert_close(problem.evaluate(((0, 1), (1, 12), (12, 12), (12, 23))), (*expected, probabilities))


@pytest.mark.parametrize(
    "dtype", [np.float32, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
)
@pytest.mark.parametrize("n_classes", [1, 5])
def test_every_type_of_values(n_classes, dtype):
    problem = Problem(9, 5, n_classes, dtype)
    if np.issubdtype(dtype, np.unsignedinteger):
        problem.rows = np.abs(problem.rows[0].astype(np.int8)).astype(dtype), *problem.rows[1:]
        problem.columns = np.abs(problem.columns[0].astype(np.int8)).astype(dtype), *problem.columns[1:]
        problem.dense = sparse.csr_array(problem.rows, shape=(9, 5)).astype(np.float64).toarray()
        problem.scaled = problem.dense * problem.factors + problem.offsets
    problem.coef /= 100
    expected = naive.loss_and_gradient(problem.scaled, problem.labels, problem.weights, problem.coef, problem.intercept)
    assert_close(problem.evaluate()[:3], expected)


@pytest.mark.parametrize("n_classes", [1, 3, 20])
def test_rows_that_are_left_out(n_classes):
    problem = Problem(30, 7, n_classes)
    rows = np.sort(problem.generator.permutation(30)[:11])
    expected = naive.loss_and_gradient(
        problem.scaled[rows], problem.labels[rows], problem.weights[rows], problem.coef, problem.intercept
    )
    probabilities = naive_probabilities(problem.scaled[rows], problem.coef, problem.intercept)
    assert_close(problem.evaluate(rows=rows), (*expected, probabilities))
    assert_close(problem.evaluate(((0, 13), (13, 30)), rows=rows), (*expected, probabilities))


@pytest.mark.parametrize("n_classes", [1, 3, 20])
def test_slopes_agree_with_naive(n_classes):
    problem = Problem(19, 6, n_classes)
    probabilities = naive_probabilities(problem.scaled, problem.coef, problem.intercept)
    direction, intercept_direction = np.cos(problem.coef), np.sin(problem.intercept)
    expected = naive.hessian_product(problem.scaled, problem.weights, probabilities.T, direction, intercept_direction)
    table, intercept = problem.fill_table(direction, intercept_direction)
    slopes, sums = gather.zeros_table(19, n_classes), np.full((2, n_classes), np.nan)
    run_blocks(
        sparse_rows.fill_block_slopes, 2, *problem.rows, NONE, np.array([0, 9, 19]), problem.weights, table, intercept,
        8, 0, slopes, sums, np.ascontiguousarray(probabilities),
    )  # fmt: skip
    product = np.full((n_classes, 7), np.nan)
    problem.multiply_columns(slopes, 0, 19, sums.sum(axis=0), False, product)
    assert_close((product[:, :-1], sums.sum(axis=0)), expected)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.int8])
def test_statistics_count_what_is_not_stored(dtype, weighted):
    problem = Problem(17, 9, 1, dtype)
    weights = problem.weights if weighted else np.ones(17)
    found = np.full((4, 9), np.nan)
    run_blocks(
        sparse_columns.fill_block_sparse_statistics, 2, *problem.columns, np.array([0, 4, 9]), 17,
        weights if weighted else np.empty(0), weights.sum(), *found,
    )  # fmt: skip
    mean = np.average(problem.dense, axis=0, weights=weights)
    variance = np.average((problem.dense - mean) ** 2, axis=0, weights=weights)
    assert_close(found, (mean, variance, problem.dense.min(axis=0), problem.dense.max(axis=0)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_statistics_tell_of_numbers_that_are_not_finite(value):
    data, indices, indptr = np.array([value, 1.0, 2.0]), np.array([0, 1, 0]), np.array([0, 2, 3])
    found = np.empty((4, 2))
    with np.errstate(invalid="ignore"):
        sparse_columns.fill_block_sparse_statistics(
            0, 1, data, indices, indptr, np.array([0, 2]), 4, np.array([0.0, 1, 1, 1]), 3.0, *found
        )
    assert not (np.isfinite(found[2, 0]) and np.isfinite(found[3, 0]))
    assert np.isfinite(found[2:, 1]).all()


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_gram_agrees_with_naive(index_dtype):
    problem = Problem(15, 8, 1, index_dtype=index_dtype)
    rows, weights = problem.generator.permutation(15)[:9], problem.generator.normal(size=9)
    weights[3] = 0
    expected = np.array(naive.weighted_gram(problem.dense[rows], weights))
    for n_blocks in (1, 4):
        halves, totals = np.full((n_blocks, 8, 8), np.nan), np.full((n_blocks, 8), np.nan)
        run_blocks(sparse_columns.fill_block_sparse_gram, n_blocks, *problem.rows, rows, weights, halves, totals)
        half = halves.sum(axis=0)
        assert_close([half + half.T, totals.sum(axis=0)], [expected[:8, :8], expected[8, :8]])


@pytest.mark.parametrize("n_classes", [1, 3, 20])
def test_scores_and_best_class(n_classes):
    problem = Problem(21, 6, n_classes)
    table, intercept = problem.fill_table(problem.coef, problem.intercept)
    expected = problem.scaled @ problem.coef.T + problem.intercept
    best = np.full(21, -1)
    borders = np.array([0, 5, 21])
    for kind, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        scores = np.full((21, n_classes), np.nan, kind)
        run_blocks(sparse_rows.fill_block_sparse_scores, 2, *problem.rows, borders, table, intercept, scores)
        np.testing.assert_allclose(scores, expected, rtol=tolerance, atol=tolerance)
    run_blocks(sparse_rows.fill_block_sparse_best_class, 2, *problem.rows, borders, table, intercept, best)
    np.testing.assert_array_equal(best, expected[:, 0] > 0 if n_classes == 1 else expected.argmax(axis=1))


def test_of_equal_scores_the_first_class_is_best():
    best = np.full(2, -1)
    rows = np.ones(1), np.zeros(1, np.int32), np.array([0, 1, 1], np.int32)
    table = gather.zeros_table(1, 4)
    sparse_rows.fill_block_sparse_best_class(0, 1, *rows, np.array([0, 2]), table, np.array([0.0, 1, 1, 0]), best)
    assert (best == 1).all()
    sparse_rows.fill_block_sparse_best_class(0, 1, *rows, np.array([0, 2]), gather.zeros_table(1, 1), np.zeros(1), best)
    assert (best == 0).all()


@pytest.mark.parametrize("n_classes", [1, 20])
def test_any_number_of_threads_gives_the_same_bits(n_classes):
    problem = Problem(*(600, 90) if COMPILED else (30, 12), n_classes)
    borders = np.linspace(0, problem.d, 12).astype(np.int64)
    results = []
    for n_threads in (1, 2, 3, 7):
        with limit_threads(n_threads):
            results.append(problem.evaluate(borders=borders))
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(first, second)


def test_disorder_is_counted_within_rows():
    indices, indptr = np.array([3, 5, 5, 1, 0, 0, 0], np.int32), np.array([0, 4, 4, 5, 7], np.int32)
    counts = np.full((2, 2), -1)
    run_blocks(sparse_columns.count_block_disorder, 2, indices, indptr, np.array([0, 1, 4]), counts)
    np.testing.assert_array_equal(counts, [[1, 1], [0, 1]])


@pytest.mark.parametrize("n_classes", [1, 20])
def test_entries_beyond_two_to_the_31(tmp_path, n_classes):
    # Files with a hole: a few pages of them exist.
    before, n_entries = 2**31 + 7, 50
    generator = np.random.default_rng(0)
    data = np.memmap(tmp_path / "data", np.int8, "w+", shape=before + n_entries)
    indices = np.memmap(tmp_path / "indices", np.int32, "w+", shape=before + n_entries)
    data[before:] = generator.integers(-9, 9, n_entries)
    indices[before:] = np.sort(generator.permutation(90)[:n_entries])
    arrays = np.asarray(data), np.asarray(indices), np.array([0, before, before + n_entries])
    row = np.zeros(90)
    row[indices[before:]] = data[before:]
    table = gather.zeros_table(90, n_classes)
    table[:, :n_classes] = generator.normal(size=(90, n_classes))
    scores, product = np.full((2, n_classes), np.nan), np.full((n_classes, 3), np.nan)
    last = np.array([1, 2])
    sparse_rows.fill_block_sparse_scores(0, 1, *arrays, last, table, np.zeros(n_classes), scores)
    np.testing.assert_allclose(scores[1], row @ table[:, :n_classes], rtol=1e-12)
    sparse_columns.fill_block_product(
        0, 1, *arrays, last, 10, 90, table[10:], np.zeros(n_classes), np.ones(2), np.zeros(2), False, product
    )
    np.testing.assert_allclose(product[:, 1], row[10:] @ table[10:, :n_classes], rtol=1e-12)
