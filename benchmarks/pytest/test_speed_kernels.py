"""pytest-benchmark: a pass over the data for loss and gradient, equal to NumPy's and at least three times as fast.

With FASTLIN_BENCHMARK_SMOKE=1 the data are small and no ratio of times is asserted.
"""

import numpy as np
import pytest

from benchmarks.common import interleaved_ratio, load_data
from benchmarks.kernels import L2, N_CLASSES, N_PASSES, draw_coef
from benchmarks.plain_numpy import NumPyObjective
from fastlin.objective import LinearObjective

# On MNIST, against the formulation as it is commonly written.
LEAST_RATIO = 3.0
TOLERANCE = {"float64": 1e-11, "float32": 2e-5}


@pytest.mark.parametrize("contender", ["fastlin", "numpy"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("data", ["mnist", "synthetic"])
def test_value_and_gradient(benchmark, smoke, data, dtype, contender):
    loaded = load_data(data, 2_000 if smoke else 60_000, dtype)
    X, labels = loaded.X_train, loaded.y_train
    coef, intercept = draw_coef(X)
    objectives = {
        "fastlin": LinearObjective(X, labels, N_CLASSES, l2=L2),
        "numpy": NumPyObjective(X, labels, N_CLASSES, l2=L2),
        "numpy, scores in F order": NumPyObjective(X, labels, N_CLASSES, l2=L2, order="F"),
    }
    results = {name: objective.value_and_gradient(coef, intercept) for name, objective in objectives.items()}
    gaps = {}
    for name, parts in results.items():
        for part, expected in zip(parts, results["fastlin"], strict=True):
            np.testing.assert_allclose(part, expected, rtol=0, atol=TOLERANCE[dtype] * np.abs(expected).max())
        gaps[name] = float(abs(parts[0] - results["fastlin"][0]) / results["fastlin"][0])

    def walk(name):
        for _ in range(N_PASSES):
            objectives[name].value_and_gradient(coef, intercept)

    benchmark.group = f"loss and gradient, {X.shape[0]} x {X.shape[1]} x {N_CLASSES}, {dtype}"
    benchmark.extra_info["objective gap"] = gaps["numpy"]
    if contender == "fastlin":
        for name in ("numpy", "numpy, scores in F order"):
            ratio = interleaved_ratio(lambda name=name: walk(name), lambda: walk("fastlin"), 1 if smoke else 7)
            benchmark.extra_info[f"ratio to {name}"] = ratio
        if data == "mnist" and not smoke:
            assert benchmark.extra_info["ratio to numpy"] >= LEAST_RATIO
    benchmark.pedantic(
        objectives[contender].value_and_gradient, (coef, intercept), rounds=2 if smoke else 20, warmup_rounds=2
    )
