"""Repetitions of compared fits: their order, the time that they need, their processes, and their intervals."""

from time import perf_counter

import pytest
from simulated_processes import SimulatedProcess

from fastlin.benchmarking import repetitions, timing
from fastlin.benchmarking.candidate import MIN_POINT_SECONDS, Candidate
from fastlin.benchmarking.other_libraries import LIBRARIES
from fastlin.benchmarking.repetitions import N_PROCESSES, repeat_compared_fits, repeat_interleaved
from fastlin.benchmarking.timing import N_REPETITIONS


@pytest.fixture(autouse=True)
def skip_pauses(monkeypatch):
    """Skip the pauses after fits, which only stabilize times."""
    monkeypatch.setattr(timing, "PAUSE_SECONDS", 0.0)


def make_candidate(name, process=None, thread_counts=(1,), **point):
    candidate = Candidate(name, LIBRARIES[name], "rows", "sample", process)
    candidate.thread_counts = list(thread_counts)
    candidate.points = [{"effort": 1, "effort_index": 0, "threads": 1, "seconds": 1.0, "suboptimality": 0.0, **point}]
    return candidate


def stop_processes(candidates):
    """Start the next processes of candidates, which takes 1,000 seconds."""
    for candidate in candidates:
        candidate.process.stop()
    return 1000.0


def repeat(reference, *others, seconds=1000.0):
    return repeat_compared_fits(reference, [reference, *others], perf_counter() + seconds, stop_processes)


def test_entries_alternate_and_failed_ones_are_omitted():
    measured = []

    def measure(entry):
        measured.append(entry)
        return None if entry == "b" and len(measured) > 3 else float(len(measured))

    assert repeat_interleaved(measure, "abc", 3) == {"a": [1.0, 4.0, 7.0], "c": [3.0, 6.0, 8.0]}
    assert measured == list("abcabcac")


class SlowingProcess(SimulatedProcess):
    """A process in which each call takes twice as long as the previous one, as on a machine that becomes slower."""

    def call(self, *arguments, **limits):
        """Return the seconds of a fit and its measures."""
        seconds, measures = super().call(*arguments, **limits)
        return [seconds[0] * 2.0 ** len(self.calls)], measures


def test_repetitions_of_compared_fits_are_interleaved():
    ours = make_candidate("fastlin", SlowingProcess({1: 1.0}))
    others = {
        "cyanure": make_candidate("cyanure", SlowingProcess({1: 3.0}), seconds=3.0),
        # Repetitions of glum would exceed the time, skglm is too far from the optimum, and torch fails.
        "glum": make_candidate("glum", SimulatedProcess({1: 500.0}), seconds=500.0),
        "skglm": make_candidate("skglm", SimulatedProcess({1: 0.1}), suboptimality=1e-3),
        "torch": make_candidate("torch", SimulatedProcess({1: None}), seconds=3.0),
    }
    # The ratio is the same in each repetition; a library that fails has none.
    assert repeat(ours, *others.values()) == {
        "cyanure": {"ratio": 3.0, "interval": [3.0, 3.0], "n_repetitions": N_REPETITIONS}
    }
    assert not others["glum"].process.calls
    assert repeat(others["skglm"], *others.values()) == {}
    # fastlin alone is not repeated.
    n_before = len(ours.process.calls)
    assert repeat(ours, *others.values(), seconds=6.0) == {}
    assert len(ours.process.calls) == n_before


def test_baselines_that_are_nearly_as_fast_as_the_reference_are_repeated_in_several_processes():
    # The time of equal code changes with the process.
    ours = make_candidate("fastlin", SimulatedProcess({1: 1.0}, [1.0, 1.25]))
    close = make_candidate("cyanure", SimulatedProcess({1: 1.2}, [1.0, 0.75]))
    slow = make_candidate("glum", SimulatedProcess({1: 2.0}), seconds=2.0)
    summaries = repeat(ours, close, slow, seconds=100.0)
    assert summaries["cyanure"] == {
        "ratio": pytest.approx(1.2),
        "interval": pytest.approx([0.72, 1.2]),
        "n_repetitions": N_PROCESSES * N_REPETITIONS,
    }
    assert summaries["glum"]["n_repetitions"] == N_REPETITIONS
    assert len(slow.process.calls) == N_REPETITIONS


def test_a_close_baseline_without_time_for_all_processes_is_not_compared():
    ours, close = make_candidate("fastlin", SimulatedProcess({1: 1.0})), make_candidate("cyanure", None)
    assert repeat(ours, close, seconds=2.0 * N_REPETITIONS + 1) == {}
    # A new process fails, or the first repetitions show that the baseline is close.
    for failing in (SimulatedProcess({1: 1.1}, [None]), SimulatedProcess({1: 1.1}, [1.0, None])):
        failing.stop = lambda process=failing: process.seconds.update({1: None if not process.factors.pop(0) else 1.1})
        ours = make_candidate("fastlin", SimulatedProcess({1: 1.0}, [1.0, 1.0]))
        assert repeat(ours, make_candidate("cyanure", failing)) == {}


def test_the_faster_number_of_threads_counts():
    # In the curve, another program may have slowed the fit on one thread.
    ours = make_candidate("fastlin", SimulatedProcess({2: 1.0}), [2], threads=2)
    theirs = make_candidate("cyanure", SimulatedProcess({1: 1.5, 2: 2.0}), [1, 2], threads=2, seconds=2.0)
    assert repeat(ours, theirs)["cyanure"]["ratio"] == 1.5
    ours, close = (
        make_candidate(name, SimulatedProcess({1: 1.0, 2: 2.0}, [1.0, 1.0]), [1, 2]) for name in ("fastlin", "cyanure")
    )
    assert repeat(ours, close)["cyanure"]["n_repetitions"] == N_PROCESSES * N_REPETITIONS
    assert [n_threads for _, n_threads in close.process.calls] == N_REPETITIONS * [1, 2] + 2 * N_REPETITIONS * [1]


def test_the_needed_time_allows_the_repetitions():
    ours, theirs = make_candidate("fastlin"), make_candidate("cyanure", seconds=2.0)
    inaccurate = make_candidate("glum", seconds=9.0, suboptimality=0.1)
    candidates = [ours, theirs, inaccurate]
    estimate = repetitions.estimate_seconds
    assert estimate(ours, candidates, {}) == 3.0 * N_REPETITIONS
    assert estimate(ours, candidates, {"cyanure": {}}) is None
    # Without a reference, repetitions are useless.
    assert estimate(inaccurate, candidates, {}) is estimate(None, candidates, {}) is None
    # A close baseline and the reference are repeated in all processes.
    close = make_candidate("skglm", seconds=1.1)
    assert estimate(ours, [*candidates, close], {}) == pytest.approx((2.0 + N_PROCESSES * 2.1) * N_REPETITIONS)
    # The faster number of threads is known after the first process.
    quick = [make_candidate(name, thread_counts=[1, 2], seconds=0.01) for name in ("fastlin", "cyanure")]
    expected = 2 * (2 + N_PROCESSES - 1) * N_REPETITIONS * MIN_POINT_SECONDS
    assert estimate(quick[0], quick, {}) == pytest.approx(expected)
