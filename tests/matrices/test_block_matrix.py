"""X in blocks of rows, compared with X in memory: sums, and properties that are available before X is read."""

import os

import numpy as np
import pytest
from conftest import make_problem, mark_params
from scipy import sparse

from fastlin.blocks import from_arrays, from_csr
from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices import BlockMatrix, as_matrix, dense, matrix, pieces
from fastlin.objective.budget import Budget

ROWS = 7
N, D = 40, 5
ALL_ROWS = np.empty(0, np.int64)
KINDS = pytest.mark.parametrize("kind", ["float64", "shifted", "sparse", *mark_params(pytest.mark.thorough, "uint8")])


def make_matrix_pair(kind, n_classes=3):
    """Return the matrix of all rows in memory, the matrix in blocks, labels and weights."""
    X, labels, weights, *_ = make_problem(N, D, n_classes, np.uint8 if kind == "uint8" else np.float64)
    weights[ROWS : 2 * ROWS] = 0
    if kind == "sparse":
        X = sparse.csr_array(X * (np.random.default_rng(1).uniform(size=X.shape) < 0.4))
        return as_matrix(X), BlockMatrix(from_csr([X[i : i + ROWS] for i in range(0, N, ROWS)])), labels, weights
    if kind == "shifted":
        X[:, 1] += 1e6
        X[:, 2] = 4.0
    return as_matrix(X), BlockMatrix(from_arrays(X, rows_per_block=ROWS)), labels, weights


@KINDS
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_passes_over_blocks_agree_with_passes_in_memory(monkeypatch, kind, n_classes, weighted):
    whole, blocks, labels, weights = make_matrix_pair(kind, n_classes)
    K, generator = 1 if n_classes == 2 else 3, np.random.default_rng(2)
    # A step reads three rows.
    monkeypatch.setattr(matrix, "PROBABILITY_BATCH_BYTES", 3 * 8 * K)
    monkeypatch.setattr(dense, "MAX_COPIED_ENTRIES", 0)
    scaling, (parameters, direction) = Scaling(*whole.measure().choose_coordinates()), generator.normal(size=(2, K, 6))
    # The passes use all rows, or a subset with no rows of one block and all rows of another block.
    for rows in (ALL_ROWS, np.r_[1:4, 7:14, 22, 22, 30:40]):
        operands = Samples(rows, labels.astype(np.int32), weights if weighted else np.empty(0)), scaling, K
        expected, actual = whole.passes(*operands), blocks.passes(*operands)
        probabilities, gradients = np.empty((K, len(rows) or N)), np.empty((2, K, 6))
        loss = expected.evaluate(parameters, probabilities, gradients[0])
        assert actual.evaluate(parameters, None, gradients[1]) == pytest.approx(loss, rel=1e-11)
        np.testing.assert_allclose(*gradients, rtol=1e-11, atol=1e-11 * np.abs(gradients).max())
        assert actual.relative_shift_errors >= expected.relative_shift_errors
        assert len(rows) or (actual.relative_shift_errors > 0) == (expected.relative_shift_errors > 0)
        ones = np.concatenate([probabilities, np.ones((1, len(rows) or N))])
        for term, arguments, sums in (
            (pieces.compute_hessian_product, [direction], expected.hessian_product(direction, probabilities)),
            (pieces.compute_class_pair_gram, [], expected.class_pair_gram(probabilities)),
            (pieces.sum_probability_outer_products, [], (ones * operands[0].get_row_weights()) @ ones.T),
        ):
            for passes in (expected, actual):
                n_reads = blocks.n_reads
                restarted = passes.sum_with_probabilities(term, parameters, *arguments)
                np.testing.assert_allclose(restarted, sums, rtol=1e-11, atol=1e-11 * np.abs(sums).max())
                assert blocks.n_reads - n_reads == (passes is actual)
    with pytest.raises(ValueError, match="not sorted"):
        blocks.passes(operands[0]._replace(rows=rows[::-1]), *operands[1:]).evaluate(parameters, None, gradients[0])


@KINDS
def test_rows_and_columns_of_blocks_agree_with_those_in_memory(kind):
    whole, blocks, _, weights = make_matrix_pair(kind)
    # One block has weight zero, but the column minima and maxima include it.
    for row_weights in (None, weights):
        for actual, expected in zip(blocks.measure(row_weights), whole.measure(row_weights), strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-9)
    dense = whole.X.toarray() if kind == "sparse" else whole.X
    for rows in (np.array([3, 4, 20, 39]), np.array([25, 0, 39, 12, 0])):
        taken = blocks.take(rows)
        assert blocks.should_extract_rows(rows)
        X = taken.X.toarray() if kind == "sparse" else taken.X
        np.testing.assert_array_equal(X, dense[rows])
    features = np.array([1, 4])
    columns = blocks.transposed(np.float64, features)
    for j in range(D):
        column, entries = np.zeros(N), slice(*columns.starts[j : j + 2])
        if columns.positions[j] >= 0:
            column = columns.panel[columns.positions[j]].astype(float)
        column[columns.indices[entries]] += columns.values[entries]
        expected = columns.scale[j] * dense[:, j].astype(float) + columns.shift[j] if j in features else np.zeros(N)
        np.testing.assert_allclose(column, expected, atol=1e-9)
    assert len(blocks.transposed(np.float64, features[:0]).panel) == 0
    assert blocks.row_bytes > 0 and not blocks.lies_in_memory


class RecordingSource:
    """A source of three blocks with two rows and one column. It records reads and fails after `n_good_reads` reads."""

    shape, dtype, is_sparse = (6, 1), np.dtype(float), False
    borders, names, n_entries, nbytes, longest_row = np.array([0, 2, 4, 6]), ["a", "b", "c"], 6, 48, 1

    def __init__(self, n_good_reads=None):
        self.messages, self.n_good_reads = [], n_good_reads

    def read(self):
        for number in range(4):
            if number == self.n_good_reads:
                raise OSError("the disk is gone")
            if number < 3:
                self.messages.append(f"read {number}")
                yield np.full((2, 1), number, float)


def test_the_next_block_is_read_ahead():
    source = RecordingSource()
    for number, _ in enumerate(BlockMatrix(source).read()):
        while number < 2 and f"read {number + 1}" not in source.messages:
            pass
        source.messages.append(f"compute {number}")
    for number in (0, 1):
        assert source.messages.index(f"read {number + 1}") < source.messages.index(f"compute {number}")


@pytest.mark.parametrize("after", range(4))
def test_errors_while_reading_are_raised_in_the_caller(after):
    with pytest.raises(OSError, match="disk is gone"):
        BlockMatrix(RecordingSource(after)).measure()
    for _ in BlockMatrix(RecordingSource()).read():
        # Stopping early leaves no thread behind.
        break


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_read_started_before_a_fork_raises_in_the_child():
    parts = BlockMatrix(from_arrays(np.ones((4, 1)), rows_per_block=2)).parts()
    next(parts)
    child = os.fork()
    if child == 0:
        try:
            next(parts)
        except RuntimeError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert next(parts)[0] == "rows 2 to 3 of X"


def test_the_budget_is_proportional_to_x_up_to_four_gigabytes():
    for n, budget in ((5_000_000, 20e9 / 8), (1_000_000_000, 4 << 30)):
        piecewise_matrix = pieces.PiecewiseMatrix((n, 1000), np.dtype(np.float32), False, n * 1000, 1000, [])
        assert Budget.from_data_size(piecewise_matrix.budget_bytes).bytes == pytest.approx(budget)


@pytest.mark.parametrize("is_sparse", [False, True])
def test_piecewise_matrices_use_the_rules_for_matrices_in_memory(monkeypatch, is_sparse):
    monkeypatch.setattr(dense, "MAX_COPIED_ENTRIES", 0)
    X, samples = np.random.default_rng(0).normal(size=(50, 8)), Samples(ALL_ROWS, np.zeros(50, np.int32), np.empty(0))
    whole = as_matrix(sparse.csr_array(X) if is_sparse else X)
    # Properties that are available before reading.
    piecewise_matrix = pieces.PiecewiseMatrix(X.shape, X.dtype, is_sparse, X.size, 8, [(50, X.dtype)])
    for K in (1, 1_000_000):
        assert piecewise_matrix.is_faster_in_float32(K) == whole.is_faster_in_float32(K)
    assert piecewise_matrix.count_gram_work() == whole.count_gram_work()
    for n_rows_coef, shift in [(1, 0.0), (1, 1e6), (3, 0.0)]:
        operands = samples, Scaling(np.ones(8), np.full(8, shift)), n_rows_coef
        actual = pieces.PiecewisePasses(piecewise_matrix, *operands)
        assert actual.relative_shift_errors == pytest.approx(whole.passes(*operands).relative_shift_errors)


@pytest.mark.parametrize("unit", [0.0, 1e-50, 1e45])
def test_products_of_probabilities_in_float32_support_weights_of_any_unit(unit):
    generator = np.random.default_rng(0)
    probabilities, weights = generator.random((3, 30)).astype(np.float32), unit * generator.random(30)
    samples = Samples(ALL_ROWS, np.zeros(30, np.int32), weights)
    passes = as_matrix(generator.random((30, 2))).passes(samples, Scaling(np.ones(2), np.zeros(2)), 3)
    ones = np.concatenate([probabilities, np.ones((1, 30))])
    actual = pieces.sum_probability_outer_products(passes, probabilities)
    np.testing.assert_allclose(actual, (ones * weights) @ ones.T, rtol=1e-5)
