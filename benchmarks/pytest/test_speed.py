"""Every case of the suite: equal results are asserted, and times are kept for the table at the end."""

import pytest

from benchmarks.limits import LIMITS
from benchmarks.races import FASTLIN, load_problem
from benchmarks.suite import (
    FIRST_USE,
    INFERENCE,
    LEARNING,
    PROBES,
    RACES,
    SWEEPS,
    measure,
    measure_grid,
)


def test_race(benchmark, whole, keep, race):
    records = measure(race, whole)
    keep(records)
    for name, record in records.items():
        assert not record["fault"], f"{name}: {record['fault']}"
        benchmark.extra_info[name] = record
    seconds = records[race]["contenders"][FASTLIN]["seconds"]
    benchmark.pedantic(RACES[race].solve, (load_problem(RACES[race], whole),), rounds=1 if seconds > 1 else 3)


def test_everyday(benchmark, whole, keep, grid, problem):
    record = benchmark.pedantic(measure_grid, (grid, whole, [problem]), rounds=1)
    benchmark.extra_info.update(record)
    keep({grid: record})
    if not record["problems"]:
        pytest.skip("Its data are missing, or no peer comes near the minimum.")
    assert not record["problems"][0]["fault"]


@pytest.mark.parametrize("case", [*SWEEPS, *PROBES, *INFERENCE])
def test_sweep_probe_or_inference(benchmark, whole, keep, case):
    records = benchmark.pedantic(measure, (case, whole), rounds=1)
    benchmark.extra_info.update(records)
    keep(records)
    assert not records[case]["fault"]


def test_learning(benchmark, whole, keep):
    records = benchmark.pedantic(measure, (LEARNING, whole), rounds=1)
    benchmark.extra_info.update(records)
    keep(records)


def test_limit(benchmark, whole, keep, limit):
    records = measure(limit, whole)
    benchmark.extra_info.update(records)
    _, calls = LIMITS[limit].load(None if whole else LIMITS[limit].rows)
    benchmark.pedantic(calls[FASTLIN], rounds=10, warmup_rounds=1)
    keep(records)


def test_memory(benchmark, whole, keep, memory):
    records = benchmark.pedantic(measure, (memory, whole), rounds=1)
    benchmark.extra_info.update(records)
    keep(records)
    record = records[memory]
    assert 0 <= record["fit_bytes"] <= record["allowed_bytes"]


def test_first_use(benchmark, whole, keep):
    records = benchmark.pedantic(measure, (FIRST_USE, whole), rounds=1)
    benchmark.extra_info.update(records)
    keep(records)
