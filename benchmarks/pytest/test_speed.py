"""Every case of the suite: equal results are asserted, and times are kept for the table at the end."""

import pytest

from benchmarks.races import FASTLIN, load_problem
from benchmarks.suite import RACES, measure, measure_collection


def test_race(benchmark, whole, keep, race):
    records = measure(race, whole)
    keep(records)
    for name, record in records.items():
        assert not record["fault"], f"{name}: {record['fault']}"
        benchmark.extra_info[name] = record
    seconds = records[race]["contenders"][FASTLIN]["seconds"]
    benchmark.pedantic(RACES[race].solve, (load_problem(RACES[race], whole),), rounds=1 if seconds > 1 else 3)


def test_everyday(benchmark, whole, keep, collection, problem):
    record = benchmark.pedantic(measure_collection, (collection, whole, [problem]), rounds=1)
    benchmark.extra_info.update(record)
    keep({collection: record})
    if not record["problems"]:
        pytest.skip("Its data are missing, or no peer comes near the minimum.")
    assert not record["problems"][0]["fault"]


def test_case(benchmark, whole, keep, case):
    records = benchmark.pedantic(measure, (case, whole), rounds=1)
    benchmark.extra_info.update(records)
    keep(records)
    for record in records.values():
        assert not record.get("fault")
        assert record.get("fit_bytes", 0) <= record.get("allowed_bytes", 0)
