"""pytest-benchmark: a pass over the data for loss and gradient, equal to NumPy's and at least three times as fast.

With FASTLIN_BENCHMARK_SMOKE=1 the data are small and no ratio of times is asserted.
"""

import numpy as np
import pytest

from benchmarks.common import interleaved_ratio, load_data
from benchmarks.kernels import N_CLASSES, FusedPass, NumPyPass, draw_coef, repeat

# The bound is for MNIST, against NumPy code as it is commonly written.
LEAST_RATIO = 3.0
TOLERANCE = {"float64": 1e-11, "float32": 2e-5}


@pytest.mark.parametrize("contender", ["fastlin", "numpy"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("data", ["mnist", "synthetic"])
def test_value_and_gradient(benchmark, smoke, data, dtype, contender):
    loaded = load_data(data, 2_000 if smoke else 60_000, dtype)
    X, labels = loaded.X_train, loaded.y_train
    point = X, labels, N_CLASSES, *draw_coef(X)
    passes = {
        "fastlin": FusedPass(*point),
        "numpy": NumPyPass(*point),
        "numpy, scores in F order": NumPyPass(*point, order="F"),
    }
    results = {name: one_pass.value_and_gradient() for name, one_pass in passes.items()}
    gaps = {}
    for name, parts in results.items():
        for part, expected in zip(parts, results["fastlin"], strict=True):
            np.testing.assert_allclose(part, expected, rtol=0, atol=TOLERANCE[dtype] * np.abs(expected).max())
        gaps[name] = float(abs(parts[0] - results["fastlin"][0]) / results["fastlin"][0])

    benchmark.group = f"loss and gradient, {X.shape[0]} x {X.shape[1]} x {N_CLASSES}, {dtype}"
    benchmark.extra_info["objective gap"] = gaps["numpy"]
    if contender == "fastlin":
        for name in ("numpy", "numpy, scores in F order"):
            ratio = interleaved_ratio(repeat(passes[name]), repeat(passes["fastlin"]), 1 if smoke else 7)
            benchmark.extra_info[f"ratio to {name}"] = ratio
        if data == "mnist" and not smoke:
            assert benchmark.extra_info["ratio to numpy"] >= LEAST_RATIO
    benchmark.pedantic(passes[contender], rounds=2 if smoke else 20, warmup_rounds=2)
