import itertools

import numpy as np
import pytest
from scipy import sparse

from fastlin.budget import Budget
from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices import as_matrix, dense
from fastlin.matrices.pieces import (
    PiecewiseMatrix,
    PiecewisePasses,
    multiply_probabilities,
)


def test_memory_follows_x_up_to_four_gigabytes():
    small, large = (
        PiecewiseMatrix((n, 1000), np.dtype(np.float32), False, n * 1000, 1000, []) for n in (5_000_000, 1_000_000_000)
    )
    assert Budget.beside(small.budget_bytes).bytes == pytest.approx(20e9 / 8)
    assert Budget.beside(large.budget_bytes).bytes == 4 << 30


@pytest.mark.parametrize("is_sparse", [False, True])
def test_rules_are_those_of_the_matrices_in_memory(monkeypatch, is_sparse):
    monkeypatch.setattr(dense, "FEW_NUMBERS", 0)
    X = np.random.default_rng(0).normal(size=(50, 8))
    matrix = as_matrix(sparse.csr_array(X) if is_sparse else X)
    pieces = PiecewiseMatrix(X.shape, X.dtype, is_sparse, X.size, 8, [(50, X.dtype)])
    for K in (1, 1_000_000):
        assert pieces.gains_from_float32(K) == matrix.gains_from_float32(K)
    assert pieces.count_gram_work() == matrix.count_gram_work()
    zeros = np.zeros(50, np.int32)
    for n_rows_coef, shift in [(1, 0.0), (1, 1e6), (3, 0.0)]:
        given = Scaling(np.ones(8), np.full(8, shift)), n_rows_coef
        samples = Samples(np.empty(0, np.int64), zeros, np.empty(0))
        passes = matrix.passes(samples, *given)
        found = PiecewisePasses(pieces, samples, *given, [50], 0)
        assert found.shift_roundings == pytest.approx(passes.shift_roundings)


@pytest.mark.parametrize("is_sparse", [False, True])
def test_roundings_are_known_before_the_first_pass_and_no_fewer_than_those_of_the_pieces(is_sparse):
    generator, sizes = np.random.default_rng(0), [0, 700, 40, 30_000]
    X = generator.integers(0, 2, (sum(sizes), 7)).astype(float)
    borders = np.cumsum([0, *sizes])
    for dtype, order, K in itertools.product((np.float64, np.uint8), "CF", (1, 3)):
        parts = [np.asarray(X[i:j], dtype, order) for i, j in itertools.pairwise(borders)]
        matrices = [as_matrix(sparse.csr_array(part) if is_sparse else part) for part in parts]
        pieces = PiecewiseMatrix(X.shape, X.dtype, is_sparse, X.size, 7, [(n, np.dtype(dtype)) for n in sizes])
        given = Scaling(np.ones(7), np.full(7, 0.5)), K
        samples = [Samples(np.empty(0, np.int64), np.zeros(n, np.int32), np.empty(0)) for n in (len(X), *sizes)]
        found = PiecewisePasses(pieces, samples[0], *given, sizes, 3)
        passes = [one.passes(own, *given) for one, own in zip(matrices[1:], samples[2:], strict=True)]
        longest_product = max(each.longest_product for each in passes)
        longest_sum = max(each.longest_sum for each in passes)
        assert longest_product <= found.longest_product <= 2 * longest_product
        assert longest_sum + 3 <= found.longest_sum <= 2 * longest_sum + 3


@pytest.mark.parametrize("unit", [0.0, 1e-50, 1e45])
def test_products_of_probabilities_in_float32_keep_weights_of_any_unit(unit):
    generator = np.random.default_rng(0)
    probabilities, weights = generator.random((3, 30)).astype(np.float32), unit * generator.random(30)
    samples = Samples(np.empty(0, np.int64), np.zeros(30, np.int32), weights)
    passes = as_matrix(generator.random((30, 2))).passes(samples, Scaling(np.ones(2), np.zeros(2)), 3)
    ones = np.concatenate([probabilities, np.ones((1, 30))])
    np.testing.assert_allclose(multiply_probabilities(passes, probabilities), (ones * weights) @ ones.T, rtol=1e-5)
