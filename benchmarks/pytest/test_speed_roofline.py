"""pytest-benchmark: a pass over the data takes no more than 1.6 times what reading it, or its arithmetic, takes.

With FASTLIN_BENCHMARK_SMOKE=1 the data are small and no ratio of times is asserted.
"""

import numpy as np
import pytest

from benchmarks.common import evaluate_scores
from benchmarks.kernels import N_CLASSES, FusedPass, draw_coef
from benchmarks.roofline import LAYOUTS, N_ROWS, N_TURNS, SMOKE_TURNS, load_layout, measure

MOST_TIMES_THE_LIMIT = 1.6
# The relative tolerance of the mean loss; passes in float32 add up their rows in float64.
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-6}


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_pass_and_limit(benchmark, smoke, layout):
    X, labels = load_layout(layout, 2_000 if smoke else N_ROWS)
    coef, intercept = draw_coef(X)
    fused_pass = FusedPass(X, labels, N_CLASSES, coef, intercept)
    assert fused_pass().loss == pytest.approx(
        evaluate_scores(X, labels, coef, intercept), rel=TOLERANCE[fused_pass.precision]
    )

    roofline = measure(X, labels, SMOKE_TURNS if smoke else N_TURNS)
    benchmark.group = f"loss and gradient and the limit, {X.shape[0]} x {X.shape[1]} x {N_CLASSES}"
    benchmark.extra_info.update(
        {
            "% of limit": roofline.percentage,
            "read, ms": 1e3 * roofline.read,
            "arithmetic, ms": 1e3 * roofline.arithmetic,
        }
    )
    if not smoke:
        assert roofline.fused_pass <= MOST_TIMES_THE_LIMIT * roofline.limit
    benchmark.pedantic(fused_pass, rounds=2 if smoke else 20, warmup_rounds=2)
