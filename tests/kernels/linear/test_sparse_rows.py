"""Passes over sparse rows and columns, scores and gathered rows; tests/matrices tests the other sums."""

from itertools import pairwise

import numpy as np
import pytest
import reference
from conftest import make_sparse, mark_params
from scipy.sparse import csr_array

from fastlin.kernels.linear import sparse_columns, sparse_rows
from fastlin.kernels.linear.operands import CompressedMatrix, Losses, Parameters, ProbabilityOutput, RowChunk, Samples
from fastlin.kernels.machine import gather
from fastlin.kernels.machine.threads import run_blocks
from fastlin.kernels.machine.tiles import Scaling

# The numbers of classes are close to multiples of a vector's width and of groups of vectors. 1 means two classes.
CLASSES = [1, 3, 5, 8, 9, 20, 32, 40]
EMPTY_INDICES = np.empty(0, np.int64)


class SparseProblem:
    """A sparse matrix stored row-wise and column-wise, and random parameters, labels, weights, scale and shift."""

    def __init__(self, n, d, n_classes, dtype=np.float64):
        self.generator = generator = np.random.default_rng(0)
        data, *positions = make_sparse(n, d, dtype)
        if np.issubdtype(dtype, np.unsignedinteger):
            data = np.abs(data.astype(np.int8)).astype(dtype)
        self.rows = CompressedMatrix(data, *positions)
        csc = csr_array(tuple(self.rows), shape=(n, d)).tocsc()
        self.columns = CompressedMatrix(csc.data, csc.indices.astype(np.int32), csc.indptr.astype(np.int32))
        self.n, self.d, self.K = n, d, n_classes
        self.labels = generator.integers(0, max(2, n_classes), n).astype(np.int32)
        self.weights = generator.uniform(0, 2, n)
        self.scaling = Scaling(2.0 ** generator.integers(-3, 1, d), generator.normal(size=d))
        self.coef = generator.normal(size=(n_classes, d))
        self.intercept = generator.normal(size=n_classes)
        self.scaled = csc.astype(np.float64).toarray() * self.scaling.scale + self.scaling.shift

    def fill_coef_table(self):
        table, shifts = gather.make_zero_table(self.d, self.K), np.full((2, self.K), np.nan)
        run_blocks(sparse_rows.fill_block_coefficient_table, 2, self.coef, self.scaling, table, shifts)
        return Parameters(table, self.intercept + shifts.sum(axis=0))

    def evaluate(self, row_boundaries, rows):
        """Return loss, gradient, intercept gradient and probabilities, computed over consecutive ranges of rows."""
        parameters, samples = self.fill_coef_table(), Samples(rows, self.labels, self.weights)
        gradient = np.full((self.K, self.d + 1), np.nan)
        probabilities = np.full((self.K, len(rows) or self.n), np.nan)
        loss, totals, columns = 0.0, np.zeros(self.K), np.array([0, self.d // 3, self.d])
        for first, last in pairwise(row_boundaries):
            residuals = RowChunk(first, gather.make_zero_table(last - first, self.K))
            begin, end = np.searchsorted(rows, (first, last)) if len(rows) else (first, last)
            borders = np.array([begin, (begin + end) // 2, end])
            losses, sums = np.full(2, np.nan), np.full((2, self.K), np.nan)
            arguments = self.rows, rows, borders, parameters, 8, residuals, sums
            outputs = Losses(samples, losses, ProbabilityOutput.of(probabilities)), None
            run_blocks(sparse_rows.fill_block_row_chunk, 2, *arguments, *outputs)
            arguments = self.columns, columns, residuals, sums.sum(axis=0), self.scaling, first > 0, gradient
            run_blocks(sparse_columns.fill_block_chunk_products, 2, *arguments)
            loss, totals = loss + losses.sum(), totals + sums.sum(axis=0)
        return loss, gradient[:, :-1], totals, probabilities


@pytest.mark.parametrize(
    ("n_classes", "dtype"),
    [
        *((n_classes, np.float64) for n_classes in CLASSES),
        *mark_params(
            pytest.mark.slow, *((5, dtype) for dtype in (np.float32, np.int8, np.uint16, np.int32, np.uint64))
        ),
    ],
)
def test_passes_over_sparse_rows_agree_with_the_reference(n_classes, dtype):
    problem = SparseProblem(23, 11, n_classes, dtype)
    for rows in (EMPTY_INDICES, np.sort(problem.generator.permutation(23)[:9])):
        taken = rows if len(rows) else np.arange(23)
        problem_rows = problem.scaled[taken], problem.labels[taken]
        expected = reference.loss_and_gradient(*problem_rows, problem.weights[taken], problem.coef, problem.intercept)
        _, probabilities, _ = reference.evaluate_losses(
            problem_rows[0] @ problem.coef.T + problem.intercept, problem_rows[1]
        )
        # In one of the ranges, the first column has no entries. Another range has no rows.
        for row_boundaries in ((0, 23), (0, 1, 12, 12, 23)):
            for value, right in zip(problem.evaluate(row_boundaries, rows), (*expected, probabilities.T), strict=True):
                # The tolerance is about 10^4 rounding errors of float64.
                np.testing.assert_allclose(value, right, rtol=1e-11, atol=1e-11 * max(1.0, np.abs(right).max()))


def fill_scores(rows, *arguments):
    run_blocks(
        sparse_rows.fill_block_sparse_scores, 2, rows, EMPTY_INDICES, np.array([0, 1, len(rows.indptr) - 1]), *arguments
    )


@pytest.mark.parametrize("n_classes", [1, 3, 20])
def test_scores_and_the_best_class_agree_with_numpy(n_classes):
    problem, best = SparseProblem(21, 6, n_classes), np.full(21, -1)
    parameters = problem.fill_coef_table()
    expected = problem.scaled @ problem.coef.T + problem.intercept
    for kind, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        scores = np.full((21, n_classes), np.nan, kind)
        fill_scores(problem.rows, parameters, scores, EMPTY_INDICES)
        np.testing.assert_allclose(scores, expected, rtol=tolerance, atol=tolerance)
    fill_scores(problem.rows, parameters, scores[:0], best)
    np.testing.assert_array_equal(best, expected[:, 0] > 0 if n_classes == 1 else expected.argmax(axis=1))


@pytest.mark.parametrize(("intercept", "first"), [([0.0, 1, 1, 0], 1), ([0.0], 0)])
def test_the_first_class_is_predicted_in_a_tie(intercept, first):
    best, K = np.full(2, -1), len(intercept)
    rows = CompressedMatrix(np.ones(1), np.zeros(1, np.int32), np.array([0, 1, 1], np.int32))
    fill_scores(rows, Parameters(gather.make_zero_table(1, K), np.array(intercept)), np.empty((0, K)), best)
    assert (best == first).all()


@pytest.mark.parametrize(
    ("target", "index_dtype"),
    [(np.float64, np.int32), (np.float32, np.int32), *mark_params(pytest.mark.thorough, (np.float64, np.int64))],
)
def test_gathered_sparse_rows_agree_with_scipy(target, index_dtype):
    # Row 1 is empty. Row 2 is unsorted and contains a duplicate.
    data = np.array([1.5, -2.0, 4.0, 0.25, 8.0])
    indices, indptr = np.array([0, 3, 2, 0, 2], index_dtype), np.array([0, 2, 2, 5], index_dtype)
    dense = csr_array((data, indices, indptr), shape=(3, 4)).toarray()
    rows = np.array([2, 1, 0, 2])
    for n_blocks in (1, 3, 9):
        target_rows = np.full((4, 4), np.nan, target)
        run_blocks(
            sparse_rows.fill_block_sparse_rows, n_blocks, CompressedMatrix(data, indices, indptr), rows, target_rows
        )
        np.testing.assert_array_equal(target_rows, dense[rows].astype(target))


@pytest.mark.parametrize("n_omitted", [0, 1, 3])
def test_the_weight_of_rows_without_entries_is_accurate(n_omitted):
    # The sums of these weights have rounding errors in any order, so the difference of two sums is inaccurate.
    n = 701
    weights = np.random.default_rng(4).uniform(0.1, 1, n)
    weights[10:13] = 1e-12, 3e-12, 7e-13
    # The rows without an entry have weight zero or are among the lightest.
    weights[::7] = 0
    is_omitted_row = np.isin(np.arange(n), np.arange(10, 10 + n_omitted)) | (np.arange(n) % 7 == 0)
    stored = np.flatnonzero(~is_omitted_row)
    columns = CompressedMatrix(np.full(len(stored), 0.3), stored.astype(np.int32), np.array([0, len(stored)], np.int32))
    actual = np.empty((4, 1))
    sparse_columns.fill_block_sparse_statistics(0, 1, columns, np.array([0, 1]), n, weights, weights.sum(), *actual)
    rest = weights[10 : 10 + n_omitted].sum() / weights.sum()
    assert actual[1, 0] == pytest.approx(0.09 * rest, rel=1e-3, abs=0)
    assert n_omitted or actual[0, 0] == 0.3


@pytest.mark.parametrize("n_classes", [1, 20])
def test_kernels_support_more_than_two_billion_entries(tmp_path, n_classes):
    # The files are sparse: only a few pages are allocated.
    before, n_entries = 2**31 + 7, 50
    generator = np.random.default_rng(0)
    data = np.memmap(tmp_path / "data", np.float64, "w+", shape=before + n_entries)
    indices = np.memmap(tmp_path / "indices", np.int64, "w+", shape=before + n_entries)
    data[before:] = generator.integers(-9, 9, n_entries)
    indices[before:] = np.sort(generator.permutation(90)[:n_entries])
    X = CompressedMatrix(np.asarray(data), np.asarray(indices), np.array([0, before, before + n_entries]))
    row = np.zeros(90)
    row[indices[before:]] = data[before:]
    table = gather.make_zero_table(90, n_classes)
    table[:, :n_classes] = generator.normal(size=(90, n_classes))
    scores, product = np.full((2, n_classes), np.nan), np.full((n_classes, 3), np.nan)
    second = np.array([1, 2])
    no_indices, parameters = np.empty(0, np.int64), Parameters(table, np.zeros(n_classes))
    sparse_rows.fill_block_sparse_scores(0, 1, X, no_indices, second, parameters, scores, no_indices)
    np.testing.assert_allclose(scores[1], row @ table[:, :n_classes], rtol=1e-12)
    identity_scaling = Scaling(np.ones(2), np.zeros(2))
    arguments = X, second, RowChunk(10, table[10:]), np.zeros(n_classes), identity_scaling, False, product
    sparse_columns.fill_block_chunk_products(0, 1, *arguments)
    np.testing.assert_allclose(product[:, 1], row[10:] @ table[10:, :n_classes], rtol=1e-12)
