"""pytest-benchmark: the memory that a fit takes beside X, at its peak.

With FASTLIN_BENCHMARK_SMOKE=1 the data are small.
"""

import numpy as np
import pytest

from benchmarks.memory import CASES, count_allowed_bytes, count_bytes, measure


@pytest.mark.parametrize("name", list(CASES))
def test_peak_memory(benchmark, smoke, name):
    case = CASES[name]
    X, y, parameters = case.load(case.smoke_rows if smoke else None)
    n_bytes = benchmark.pedantic(measure, (X, y, parameters, case.fit), rounds=1)
    benchmark.group = f"fit in a process of its own, {name}"
    benchmark.extra_info["% of X"] = 100 * n_bytes / count_bytes(X)
    assert n_bytes >= 0
    if not smoke:
        assert n_bytes <= count_allowed_bytes(X, len(np.unique(y)), parameters, case.n_fits)
