"""Every case of the suite: equal results are asserted, and times are kept for the table at the end."""

from benchmarks.races import FASTLIN, load_problem
from benchmarks.suite import RACES, measure


def test_race(benchmark, whole, keep, race):
    records = measure(race, whole)
    keep(records)
    seconds = records[race]["contenders"][FASTLIN]["seconds"]
    benchmark.pedantic(RACES[race].solve, (load_problem(RACES[race], whole),), rounds=1 if seconds > 1 else 3)


def test_everyday(benchmark, whole, keep, collection, problem):
    keep({collection: benchmark.pedantic(problem.measure, (whole,), rounds=1)})


def test_case(benchmark, whole, keep, case):
    keep(benchmark.pedantic(measure, (case, whole), rounds=1))
