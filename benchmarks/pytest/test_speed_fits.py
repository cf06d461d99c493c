"""pytest-benchmark: whole fits at the peer's objective or below, faster by what benchmarks/fits.py and paths.py say.

With FASTLIN_BENCHMARK_SMOKE=1 the data are small and no ratio of times is asserted.
"""

import pytest

from benchmarks import fits, paths
from benchmarks.races import EQUAL, count_race_threads, make_problem, run_race

RACES = {**fits.RACES, **paths.RACES}
# The accuracies of two fits of about the same objective may differ by this on the rows that they were fitted to.
ACCURACY_TOLERANCE = 0.005
SMOKE_ACCURACY_TOLERANCE = 0.03


@pytest.mark.parametrize(("name", "threads"), [(name, threads) for name in RACES for threads in RACES[name].threads])
def test_race(benchmark, smoke, name, threads):
    race, n_threads = RACES[name], count_race_threads(threads)
    problem = make_problem(race, race.smoke_rows if smoke else None)
    outcome = run_race(race, problem, n_threads, 1 if smoke else None)
    assert outcome.has_converged
    # fastlin promises its tol. That this reaches the peer's objective is claimed only for the whole problems.
    assert outcome.relative_gap <= (max(EQUAL, race.tol) if smoke else EQUAL)
    assert outcome.accuracies["fastlin"] == pytest.approx(
        outcome.accuracies[outcome.peer], abs=SMOKE_ACCURACY_TOLERANCE if smoke else ACCURACY_TOLERANCE
    )

    n, d = problem.X.shape
    benchmark.group = f"{name}, {n} x {d}, {problem.n_classes} classes, {problem.X.dtype}, threads: {threads}"
    benchmark.extra_info.update(
        {
            "threads": n_threads,
            "objective gap": outcome.relative_gap,
            "accuracy": outcome.accuracies["fastlin"],
            **{f"seconds of {peer}": seconds for peer, seconds in outcome.seconds.items()},
            f"ratio to {outcome.peer}": outcome.ratio,
        }
    )
    if not smoke:
        assert outcome.ratio >= race.least_ratio
    benchmark.pedantic(race.fit, (problem, race.tol, n_threads), rounds=1 if smoke else 3)
