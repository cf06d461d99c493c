"""All cases of the suite. Results must be equal, and times are stored for the final tables."""

from benchmarks.comparisons import FASTLIN, load_problem
from benchmarks.suite import COMPARISONS, measure


def test_comparison(benchmark, whole, keep, comparison):
    records = measure(comparison, whole)
    keep(records)
    seconds = records[comparison]["libraries"][FASTLIN]["seconds"]
    benchmark.pedantic(
        COMPARISONS[comparison].solve, (load_problem(COMPARISONS[comparison], whole),), rounds=1 if seconds > 1 else 3
    )


def test_everyday(benchmark, whole, keep, collection, problem):
    keep({collection: benchmark.pedantic(problem.measure, (whole,), rounds=1)})


def test_case(benchmark, whole, keep, case):
    keep(benchmark.pedantic(measure, (case, whole), rounds=1))
