"""pytest-benchmark: what a fit of MNIST takes beside X, in memory, at its peak.

With FASTLIN_BENCHMARK_SMOKE=1 the data are small.
"""

import pytest

from benchmarks.memory import DTYPES, N_ROWS, load, measure


@pytest.mark.parametrize("dtype", DTYPES)
def test_peak_memory(benchmark, smoke, dtype):
    X, y, C = load(dtype, 1_000 if smoke else N_ROWS)
    taken = benchmark.pedantic(measure, (X, y, C), rounds=1)
    benchmark.group = f"fit in a process of its own, {X.shape[0]} x {X.shape[1]}"
    benchmark.extra_info["% of X"] = 100 * taken / X.nbytes
    assert taken >= 0
