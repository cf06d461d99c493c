"""pytest-benchmark: networks of two layers, equal to their peers' and as fast as the bounds say.

An epoch ends with the peer's loss, by the formula in float64; a large step begins with the formula's. With
FASTLIN_BENCHMARK_SMOKE=1 the data are small and no ratio of times is asserted.
"""

import numpy as np
import pytest

from benchmarks.common import interleaved_ratio
from benchmarks.networks import (
    BATCH_SIZE,
    LARGE_BATCH_SIZE,
    LARGE_L2,
    N_CLASSES,
    N_FEATURES,
    N_HIDDEN,
    N_LARGE_FEATURES,
    N_LARGE_ROWS,
    N_ROWS,
    N_TURNS,
    PEERS,
    LargeProducts,
    LargeStep,
    draw_data,
    evaluate_network,
    measure_part_of_products,
    train_fastlin,
)
from fastlin.kernels.machine.threads import count_threads

LEAST_RATIO = {"scikit-learn": 2.0, "torch": 1.0}
LEAST_PART_OF_PRODUCTS = 0.9
# The tolerance of the losses; coefficients are rounded to float32 after each step.
TOLERANCE = 1e-4
CONTENDERS = {"fastlin": train_fastlin, **PEERS}


@pytest.mark.parametrize("contender", list(CONTENDERS))
def test_epoch(benchmark, smoke, contender):
    data = draw_data(2_000 if smoke else N_ROWS, N_FEATURES)
    train = CONTENDERS[contender]
    (loss, accuracy), (expected, expected_accuracy) = (
        evaluate_network(*data, *trained(*data)) for trained in (train_fastlin, train)
    )
    benchmark.group = f"epoch, {len(data[0])} x {N_FEATURES} x {N_HIDDEN} x {N_CLASSES}, batches of {BATCH_SIZE}"
    benchmark.extra_info["threads"] = count_threads()
    benchmark.extra_info["loss"] = expected
    benchmark.extra_info["accuracy"] = expected_accuracy
    if contender != "fastlin":
        assert loss == pytest.approx(expected, rel=0, abs=TOLERANCE)
        benchmark.extra_info["loss gap of fastlin"] = abs(loss - expected)
        benchmark.extra_info["accuracy gap of fastlin"] = abs(accuracy - expected_accuracy)
        ratio = interleaved_ratio(lambda: train(*data), lambda: train_fastlin(*data), 1 if smoke else N_TURNS)
        benchmark.extra_info["ratio to fastlin"] = ratio
        if not smoke:
            assert ratio >= LEAST_RATIO[contender]
    # All have run before, when they were compared.
    benchmark.pedantic(train, data, rounds=1 if smoke else 5)


def test_step_on_a_large_batch(benchmark, smoke):
    n_rows, batch_size = (2_000, 1_000) if smoke else (N_LARGE_ROWS, LARGE_BATCH_SIZE)
    X, y = draw_data(n_rows, N_LARGE_FEATURES)
    step, products = LargeStep(X, y, batch_size), LargeProducts(X, batch_size)
    rows, network = step.batches[0], step.network
    expected, _ = evaluate_network(X[rows], y[rows], network.coefs, network.intercepts)
    expected += LARGE_L2 / 2 * sum(float(np.sum(coef.astype(np.float64) ** 2)) for coef in network.coefs)
    loss = step()
    assert loss == pytest.approx(expected, rel=0, abs=TOLERANCE)

    benchmark.group = f"step on {batch_size} of {n_rows} x {N_LARGE_FEATURES} x {N_HIDDEN} x {N_CLASSES}"
    benchmark.extra_info["threads"] = count_threads()
    benchmark.extra_info["loss gap"] = abs(loss - expected)
    part = measure_part_of_products(step, products, 1 if smoke else N_TURNS)
    benchmark.extra_info["part of the products"] = part
    if not smoke:
        assert part >= LEAST_PART_OF_PRODUCTS
    benchmark.pedantic(step, rounds=2 if smoke else 10)
