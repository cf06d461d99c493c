"""The pass over sparse rows and columns, and scores, against the naive oracle, for every type of entries."""

import naive
import numpy as np
import pytest
from conftest import COMPILED
from scipy.sparse import csr_array
from sparse_problem import NONE, SparseProblem, assert_close

from fastlin.kernels.linear import sparse_rows
from fastlin.kernels.linear.operands import Chunk, Compressed, Curvature, TableParameters
from fastlin.kernels.machine import gather
from fastlin.kernels.machine.threads import limit_threads, run_blocks

# One class is two; below, at and above the vectors of a table, and of a group of them.
CLASSES = [1, 3, 5, 8, 9, 20, 40] if COMPILED else [1, 3, 5, 20]


@pytest.mark.parametrize("n_classes", CLASSES)
def test_the_pass_agrees_with_naive(n_classes):
    problem = SparseProblem(23, 11, n_classes)
    expected = naive.loss_and_gradient(problem.scaled, problem.labels, problem.weights, problem.coef, problem.intercept)
    assert_close(problem.evaluate(), (*expected, problem.probabilities()))
    # In parts, of which the first column has no rows in one, and one has no rows at all.
    chunks = (0, 1), (1, 12), (12, 12), (12, 23)
    assert_close(problem.evaluate(chunks), (*expected, problem.probabilities()))


def test_indices_of_64_bits_give_the_same_bits():
    narrow, wide = (SparseProblem(23, 11, 5, index_dtype=dtype).evaluate() for dtype in (np.int32, np.int64))
    for first, second in zip(narrow, wide, strict=True):
        np.testing.assert_array_equal(first, second)


# Every kind of type is read in test_gather.py.
@pytest.mark.thorough
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_other_types_of_values(dtype):
    problem = SparseProblem(9, 5, 5, dtype)
    problem.coef /= 100
    expected = naive.loss_and_gradient(problem.scaled, problem.labels, problem.weights, problem.coef, problem.intercept)
    assert_close(problem.evaluate()[:3], expected)


@pytest.mark.parametrize("n_classes", [1, 3, 20])
def test_rows_that_are_left_out(n_classes):
    problem = SparseProblem(30, 7, n_classes)
    rows = np.sort(problem.generator.permutation(30)[:11])
    expected = naive.loss_and_gradient(
        problem.scaled[rows], problem.labels[rows], problem.weights[rows], problem.coef, problem.intercept
    )
    expected = *expected, problem.probabilities(rows)
    assert_close(problem.evaluate(rows=rows), expected)
    assert_close(problem.evaluate(((0, 13), (13, 30)), rows=rows), expected)


@pytest.mark.parametrize("n_classes", [1, 3, 20])
def test_slopes_agree_with_naive(n_classes):
    problem = SparseProblem(19, 6, n_classes)
    probabilities = problem.probabilities()
    direction, intercept_direction = np.cos(problem.coef), np.sin(problem.intercept)
    expected = naive.hessian_product(problem.scaled, problem.weights, probabilities.T, direction, intercept_direction)
    by_table = problem.fill_table(direction, intercept_direction)
    slopes, sums = Chunk(0, gather.zeros_table(19, n_classes)), np.full((2, n_classes), np.nan)
    borders = np.array([0, 9, 19])
    arguments = problem.rows, NONE, borders, by_table, 8, slopes, sums
    run_blocks(sparse_rows.fill_block_chunk, 2, *arguments, None, Curvature(problem.weights, probabilities))
    product = np.full((n_classes, 7), np.nan)
    problem.multiply_columns(slopes, sums.sum(axis=0), False, product)
    assert_close((product[:, :-1], sums.sum(axis=0)), expected)


@pytest.mark.parametrize("n_classes", [1, 3, 20])
def test_scores_and_best_class(n_classes):
    problem = SparseProblem(21, 6, n_classes)
    parameters = problem.fill_table(problem.coef, problem.intercept)
    expected = problem.scaled @ problem.coef.T + problem.intercept
    best = np.full(21, -1)
    borders = np.array([0, 5, 21])
    for kind, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        scores = np.full((21, n_classes), np.nan, kind)
        run_blocks(sparse_rows.fill_block_sparse_scores, 2, problem.rows, NONE, borders, parameters, scores, NONE)
        np.testing.assert_allclose(scores, expected, rtol=tolerance, atol=tolerance)
    no_scores = np.empty((0, n_classes))
    run_blocks(sparse_rows.fill_block_sparse_scores, 2, problem.rows, NONE, borders, parameters, no_scores, best)
    np.testing.assert_array_equal(best, expected[:, 0] > 0 if n_classes == 1 else expected.argmax(axis=1))


def test_of_equal_scores_the_first_class_is_best():
    best = np.full(2, -1)
    rows = Compressed(np.ones(1), np.zeros(1, np.int32), np.array([0, 1, 1], np.int32))
    parameters = TableParameters(gather.zeros_table(1, 4), np.array([0.0, 1, 1, 0]))
    sparse_rows.fill_block_sparse_scores(0, 1, rows, NONE, np.array([0, 2]), parameters, np.empty((0, 4)), best)
    assert (best == 1).all()
    parameters = TableParameters(gather.zeros_table(1, 1), np.zeros(1))
    sparse_rows.fill_block_sparse_scores(0, 1, rows, NONE, np.array([0, 2]), parameters, np.empty((0, 1)), best)
    assert (best == 0).all()


@pytest.mark.parametrize("n_classes", [1, 20])
def test_any_number_of_threads_gives_the_same_bits(n_classes):
    problem = SparseProblem(*(600, 90) if COMPILED else (30, 12), n_classes)
    borders = np.linspace(0, problem.d, 12).astype(np.int64)
    results = []
    for n_threads in (1, 2, 3, 7):
        with limit_threads(n_threads):
            results.append(problem.evaluate(borders=borders))
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("target", "index_dtype"), [(np.float64, np.int64), (np.float32, np.int32)])
def test_sparse_rows_are_taken_and_entries_of_one_place_added_up(target, index_dtype):
    # Row 1 is empty, row 2 unsorted and with two entries of one place.
    data = np.array([1.5, -2.0, 4.0, 0.25, 8.0])
    indices, indptr = np.array([0, 3, 2, 0, 2], index_dtype), np.array([0, 2, 2, 5], index_dtype)
    dense = csr_array((data, indices, indptr), shape=(3, 4)).toarray()
    rows = np.array([2, 1, 0, 2])
    for n_blocks in (1, 3, 9):
        gathered = np.full((4, 4), np.nan, target)
        run_blocks(sparse_rows.fill_block_sparse_rows, n_blocks, Compressed(data, indices, indptr), rows, gathered)
        np.testing.assert_array_equal(gathered, dense[rows].astype(target))
