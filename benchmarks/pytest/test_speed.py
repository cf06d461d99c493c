"""All cases of the suite. Results must be equal, and times are stored for the final tables."""

from benchmarks.comparisons import FASTLIN, load_problem
from benchmarks.suite import COMPARISONS, measure


def test_comparison(benchmark, is_full_run, keep, comparison):
    records = measure(comparison, is_full_run)
    keep(records)
    seconds = records[comparison]["libraries"][FASTLIN]["seconds"]
    benchmark.pedantic(
        COMPARISONS[comparison].solve,
        (load_problem(COMPARISONS[comparison], is_full_run),),
        rounds=1 if seconds > (1 if is_full_run else 0.1) else 3,
    )


def test_everyday(benchmark, is_full_run, keep, collection, problem):
    keep({collection: benchmark.pedantic(problem.measure, (is_full_run,), rounds=1)})


def test_case(benchmark, is_full_run, keep, case):
    keep(benchmark.pedantic(measure, (case, is_full_run), rounds=1))
