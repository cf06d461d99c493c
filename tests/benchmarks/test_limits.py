"""The rule of allowed memory, and the limits of the machine."""

import numpy as np
import pytest
from scipy import sparse

from benchmarks import memory, processes
from benchmarks.limits import CHAIN_LENGTH, N_BLOCKS, N_CHAINS, make_arithmetic_function, make_read_function
from benchmarks.memory import MIN_ALLOWED_BYTES, count_allowed_bytes, count_bytes


def vectors(n_parameters, n_pairs=40, itemsize=8):
    return (16 * 8 + 2 * n_pairs * itemsize) * n_parameters


def test_the_allowed_bytes_of_a_fit_are_counted():
    dense = np.zeros((1000, 100), np.float32)
    bytes_per_fit = MIN_ALLOWED_BYTES + 1000 * 10 * 4 + vectors(10 * 101)
    assert count_allowed_bytes(dense, 10, {}) == bytes_per_fit
    assert count_allowed_bytes(dense, 10, {}, n_fits=3) == 3 * bytes_per_fit
    assert count_allowed_bytes(dense, 10, {"C": np.inf}) == bytes_per_fit + 20 * 1010**2
    X = sparse.random(100, 2_000, density=0.01, format="csr", random_state=0)
    assert count_bytes(X) == 2_000 * (8 + 4) + 101 * 4
    assert count_allowed_bytes(X, 2, {}) == count_bytes(X) + MIN_ALLOWED_BYTES + 100 * 8 + vectors(2001)
    # With many coefficients, L-BFGS stores few pairs, and in float32.
    entries, starts = np.arange(150_000), np.arange(0, 150_001, 150)
    X = sparse.csr_array((np.ones(150_000), entries % 150, starts), shape=(1_000, 56_000))
    expected = count_bytes(X) + MIN_ALLOWED_BYTES + 1_000 * 20 * 8 + vectors(20 * 56_001, 28, 4)
    assert count_allowed_bytes(X, 20, {}) == expected
    # Proximal Newton stores no pairs.
    bytes_per_fit = dense.nbytes + MIN_ALLOWED_BYTES + 1000 * 10 * 4 + vectors(10 * 101, n_pairs=0)
    assert count_allowed_bytes(dense, 10, {"l1_ratio": 1.0}) == bytes_per_fit
    # One array of shape (n, K) would take 80 MB, which exceeds 64 MB and the size of X.
    assert count_allowed_bytes(np.zeros((10_000, 2)), 1000, {}) == MIN_ALLOWED_BYTES + vectors(3000)
    X_large = np.broadcast_to(np.float64(0), (1_000_000, 40))
    assert count_allowed_bytes(X_large, 2, {}) == 0.2 * X_large.nbytes + 8 * 1_000_000 + vectors(41)


def test_a_system_that_cannot_reset_its_peak_memory_is_skipped(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "PEAK_RESET_FILE", tmp_path / "none")
    with pytest.raises(NotImplementedError, match="Only Linux"):
        processes.call_in_process(memory.measure, np.zeros((2, 1)), np.arange(2), {})


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize("order", ["C", "F"])
def test_all_bytes_are_read_in_any_layout(dtype, order):
    X = np.asarray(np.random.default_rng(0).integers(0, 256, (37, 5)).astype(dtype), order=order)
    n_integers = X.nbytes // 8
    expected = np.frombuffer(X.tobytes(order="A"), np.int64, n_integers).sum()
    assert make_read_function(X)().sum() == expected


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_the_arithmetic_kernel_performs_the_requested_operations(precision):
    arithmetic, n_done = make_arithmetic_function(1e8, precision)
    assert n_done == pytest.approx(1e8, rel=0.01)
    values = np.linspace(0, 1, N_CHAINS)
    for _ in range(CHAIN_LENGTH):
        values = values * 0.5 + 0.25
    n_rounds = n_done // (2 * CHAIN_LENGTH * N_CHAINS * N_BLOCKS)
    # All terms are positive. Each term and each partial sum is rounded.
    bound = (n_rounds * N_CHAINS + 2 * CHAIN_LENGTH) * np.finfo(precision).eps
    np.testing.assert_allclose(arithmetic(), n_rounds * values.sum(), rtol=bound)
