"""Statistics, Gram matrices and products of sparse columns against NumPy and the naive oracle, and over huge arrays.

The gradient, a product with the residuals of rows, is tested with them in test_sparse_rows.py.
"""

import naive
import numpy as np
import pytest
from sparse_problem import SparseProblem, assert_close

from fastlin.kernels.linear import sparse_columns, sparse_rows
from fastlin.kernels.linear.operands import Chunk, Compressed, TableParameters
from fastlin.kernels.machine import gather
from fastlin.kernels.machine.threads import run_blocks
from fastlin.kernels.machine.tiles import Scaling


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.int8])
def test_statistics_count_what_is_not_stored(dtype, weighted):
    problem = SparseProblem(17, 9, 1, dtype)
    weights = problem.weights if weighted else np.ones(17)
    found = np.full((4, 9), np.nan)
    given = weights if weighted else np.empty(0)
    arguments = problem.columns, np.array([0, 4, 9]), 17, given, weights.sum(), *found
    run_blocks(sparse_columns.fill_block_sparse_statistics, 2, *arguments)
    mean = np.average(problem.dense, axis=0, weights=weights)
    variance = np.average((problem.dense - mean) ** 2, axis=0, weights=weights)
    assert_close(found, (mean, variance, problem.dense.min(axis=0), problem.dense.max(axis=0)))


@pytest.mark.parametrize("n_left_out", [0, 1, 3])
def test_the_weight_of_what_is_not_stored_is_exact(n_left_out):
    # Weights whose sums are rounded in any order; the difference of two such sums is no measure of what is left.
    n = 701
    weights = np.random.default_rng(4).uniform(0.1, 1, n)
    weights[10:13] = 1e-12, 3e-12, 7e-13
    # Those that are not stored: rows of weight zero, and some of the lightest.
    weights[::7] = 0
    left_out = np.isin(np.arange(n), np.arange(10, 10 + n_left_out)) | (np.arange(n) % 7 == 0)
    stored = np.flatnonzero(~left_out)
    columns = Compressed(np.full(len(stored), 0.3), stored.astype(np.int32), np.array([0, len(stored)], np.int32))
    found = np.empty((4, 1))
    sparse_columns.fill_block_sparse_statistics(0, 1, columns, np.array([0, 1]), n, weights, weights.sum(), *found)
    rest = weights[10 : 10 + n_left_out].sum() / weights.sum()
    assert found[1, 0] == pytest.approx(0.09 * rest, rel=1e-3, abs=0)
    assert n_left_out or found[0, 0] == 0.3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_statistics_show_numbers_that_are_not_finite(value):
    columns = Compressed(np.array([value, 1.0, 2.0]), np.array([0, 1, 0], np.int32), np.array([0, 2, 3], np.int32))
    found = np.empty((4, 2))
    with np.errstate(invalid="ignore"):
        given = columns, np.array([0, 2]), 4, np.array([0.0, 1, 1, 1]), 3.0
        sparse_columns.fill_block_sparse_statistics(0, 1, *given, *found)
    assert not (np.isfinite(found[2, 0]) and np.isfinite(found[3, 0]))
    assert np.isfinite(found[2:, 1]).all()


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_gram_agrees_with_naive(index_dtype):
    problem = SparseProblem(15, 8, 1, index_dtype=index_dtype)
    rows, weights = problem.generator.permutation(15)[:9], problem.generator.normal(size=9)
    weights[3] = 0
    expected = np.array(naive.weighted_gram(problem.dense[rows], weights))
    for n_blocks in (1, 4):
        halves, totals = np.full((n_blocks, 8, 8), np.nan), np.full((n_blocks, 8), np.nan)
        run_blocks(sparse_columns.fill_block_sparse_gram, n_blocks, problem.rows, rows, weights, halves, totals)
        half = halves.sum(axis=0)
        assert_close([half + half.T, totals.sum(axis=0)], [expected[:8, :8], expected[8, :8]])


@pytest.mark.parametrize("n_classes", [1, 20])
def test_entries_beyond_two_to_the_31(tmp_path, n_classes):
    # Files with a hole: a few pages of them exist.
    before, n_entries = 2**31 + 7, 50
    generator = np.random.default_rng(0)
    data = np.memmap(tmp_path / "data", np.int8, "w+", shape=before + n_entries)
    indices = np.memmap(tmp_path / "indices", np.int64, "w+", shape=before + n_entries)
    data[before:] = generator.integers(-9, 9, n_entries)
    indices[before:] = np.sort(generator.permutation(90)[:n_entries])
    X = Compressed(np.asarray(data), np.asarray(indices), np.array([0, before, before + n_entries]))
    row = np.zeros(90)
    row[indices[before:]] = data[before:]
    table = gather.zeros_table(90, n_classes)
    table[:, :n_classes] = generator.normal(size=(90, n_classes))
    scores, product = np.full((2, n_classes), np.nan), np.full((n_classes, 3), np.nan)
    second = np.array([1, 2])
    no_numbers, parameters = np.empty(0, np.int64), TableParameters(table, np.zeros(n_classes))
    sparse_rows.fill_block_sparse_scores(0, 1, X, no_numbers, second, parameters, scores, no_numbers)
    np.testing.assert_allclose(scores[1], row @ table[:, :n_classes], rtol=1e-12)
    unscaled = Scaling(np.ones(2), np.zeros(2))
    arguments = X, second, Chunk(10, table[10:]), np.zeros(n_classes), unscaled, False, product
    sparse_columns.fill_block_product(0, 1, *arguments)
    np.testing.assert_allclose(product[:, 1], row[10:] @ table[10:, :n_classes], rtol=1e-12)
