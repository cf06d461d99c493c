import numpy as np
import pytest

from fastlin.budget import Budget
from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.pieces import PiecewiseMatrix


def test_memory_follows_x_up_to_four_gigabytes():
    small, large = (
        PiecewiseMatrix((n, 1000), np.dtype(np.float32), False, n * 1000, 1000) for n in (5_000_000, 1_000_000_000)
    )
    assert Budget.beside(small.budget_bytes).bytes == pytest.approx(20e9 / 8)
    assert Budget.beside(large.budget_bytes).bytes == 4 << 30
    assert Budget.beside(small.budget_bytes).holds_sample(2 << 30)
    assert not Budget.beside(large.budget_bytes).holds_sample(5 << 30)


@pytest.mark.parametrize("is_sparse", [False, True])
def test_rules_are_those_of_the_matrices_in_memory(monkeypatch, is_sparse):
    from scipy import sparse

    from fastlin.matrices import as_matrix, dense

    monkeypatch.setattr(dense, "FEW_NUMBERS", 0)

    X = np.random.default_rng(0).normal(size=(50, 8))
    matrix = as_matrix(sparse.csr_array(X) if is_sparse else X)
    pieces = PiecewiseMatrix(X.shape, X.dtype, is_sparse, X.size, 8)
    for K in (1, 1_000_000):
        assert pieces.gains_from_float32(K) == matrix.gains_from_float32(K)
    for shift in (np.zeros(8), np.full(8, 1e9)):
        assert pieces.resolves_gram(shift) == matrix.resolves_gram(shift)
    assert pieces.count_gram_work() == matrix.count_gram_work()
    zeros = np.zeros(50, np.int32)
    for n_rows_coef, shift in [(1, 0.0), (1, 1e6), (3, 0.0)]:
        given = Scaling(np.ones(8), np.full(8, shift)), n_rows_coef
        passes = matrix.passes(Samples(np.empty(0, np.int64), zeros, np.empty(0)), *given)
        assert pieces.count_shift_roundings(*given) == pytest.approx(passes.shift_roundings)
