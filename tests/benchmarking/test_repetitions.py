"""Repetitions of compared fits: their order, the time that they need, their processes, and their intervals."""

import pytest
from simulated_processes import SimulatedProcess

from fastlin.benchmarking import repetitions, timing
from fastlin.benchmarking.candidate import MAX_THREADS_RATIO, MIN_POINT_SECONDS, Candidate
from fastlin.benchmarking.other_libraries import LIBRARIES
from fastlin.benchmarking.repetitions import (
    N_PROCESSES,
    find_compared_points,
    repeat_compared_fits,
    repeat_interleaved,
)
from fastlin.benchmarking.timing import N_REPETITIONS


class Clock:
    """The simulated time, and the stopwatch of all candidates."""

    now = 0.0
    stopwatch = None


@pytest.fixture(autouse=True)
def simulate_time(monkeypatch):
    """Simulate the time, and skip the pauses after fits, which only stabilize times."""
    monkeypatch.setattr(Clock, "now", 0.0)
    monkeypatch.setattr(timing, "perf_counter", lambda: Clock.now)
    monkeypatch.setattr(Clock, "stopwatch", timing.Stopwatch())
    monkeypatch.setattr(timing, "PAUSE_SECONDS", 0.0)


def make_candidate(name, process=None, thread_counts=(1,), **point):
    candidate = Candidate(name, LIBRARIES[name], "rows", "sample", process, Clock.stopwatch)
    candidate.thread_counts = list(thread_counts)
    candidate.points = [{"effort": 1, "effort_index": 0, "threads": 1, "seconds": 1.0, "suboptimality": 0.0, **point}]
    return candidate


def stop_processes(candidates):
    """Start the next processes of candidates, which takes 1,000 seconds."""
    Clock.now += 1000.0
    for each in candidates:
        each.process.stop()
        each.process.has_answered = True


def repeat(reference, *others, seconds=1000.0):
    points = find_compared_points([reference, *others])
    return repeat_compared_fits(reference, points, seconds, stop_processes)


def test_entries_alternate_and_failed_ones_are_omitted():
    measured = []

    def measure(entry):
        measured.append(entry)
        return None if entry == "b" and len(measured) > 3 else float(len(measured))

    assert repeat_interleaved(measure, "abc", 3) == {"a": [1.0, 4.0, 7.0], "c": [3.0, 6.0, 8.0]}
    assert measured == list("abcabcac")


class SlowingProcess(SimulatedProcess):
    """A process on a machine that becomes slower: each call takes 1.01 times as long as the previous call of any."""

    all_calls = 0

    def call(self, *arguments, **limits):
        """Return the seconds of a fit and its measures."""
        seconds, measures = super().call(*arguments, **limits)
        SlowingProcess.all_calls += 1
        return [seconds[0] * 1.01**SlowingProcess.all_calls], measures


def test_repetitions_of_compared_fits_are_interleaved():
    ours = make_candidate("fastlin", SlowingProcess({1: 1.0}))
    others = {
        "cyanure": make_candidate("cyanure", SlowingProcess({1: 3.0}), seconds=3.0),
        # Repetitions of glum would exceed the time, skglm is too far from the optimum, and torch times out.
        "glum": make_candidate("glum", SimulatedProcess({1: 500.0}), seconds=500.0),
        "skglm": make_candidate("skglm", SimulatedProcess({1: 0.1}), suboptimality=1e-3),
        "torch": make_candidate("torch", SimulatedProcess({1: None}), seconds=3.0),
    }
    # A stricter effort that seemed to be faster is not compared.
    others["cyanure"].points.append({**others["cyanure"].points[0], "effort_index": 1, "seconds": 0.5})
    # The ratio is the same in each repetition; a library that takes too long has none.
    ratio = pytest.approx(3.0 * 1.01)
    summary = {"ratio": ratio, "interval": [ratio, ratio], "n_repetitions": N_REPETITIONS}
    assert repeat(ours, *others.values()) == {"cyanure": {**summary, "by_process": [summary]}}
    assert not others["glum"].process.calls
    # The points contain the medians of the repetitions.
    assert others["cyanure"].points[0]["seconds"] == pytest.approx(ratio.expected * ours.points[0]["seconds"])
    assert others["cyanure"].points[1]["seconds"] == 0.5
    # fastlin alone is not repeated.
    n_before = len(ours.process.calls)
    assert repeat(ours, *others.values(), seconds=6.0) == {}
    assert len(ours.process.calls) == n_before


class ProcessWithClock(SimulatedProcess):
    """A process whose fits advance a clock. The time of a fit is limited."""

    def call(self, *arguments, seconds):
        """Return the seconds of a fit and its measures, or raise a TimeoutError at the limit."""
        result = super().call(*arguments, seconds=seconds)
        Clock.now += min(result[0][0], seconds)
        if result[0][0] > seconds:
            raise TimeoutError
        return result


def test_a_deadline_in_the_last_round_leaves_complete_rounds(monkeypatch):
    # A round was expected to take two seconds, but takes three.
    monkeypatch.setattr(repetitions, "_choose_affordable", lambda reference, points, seconds: list(points))
    monkeypatch.setattr(repetitions, "_estimate_round", lambda points: 14.0)
    for deadline, n_expected in ((17.0, None), (18.0, 6), (20.5, 6), (21.0, 7)):
        ours = make_candidate("fastlin", ProcessWithClock({1: 1.0}))
        theirs = make_candidate("cyanure", ProcessWithClock({1: 2.0}))
        deadline += Clock.stopwatch.read()
        summaries = repeat_compared_fits(ours, find_compared_points([ours, theirs]), deadline, stop_processes)
        expected = {"ratio": 2.0, "interval": [2.0, 2.0], "n_repetitions": n_expected}
        expected["by_process"] = [expected.copy()]
        assert summaries == ({} if n_expected is None else {"cyanure": expected})


def test_baselines_that_are_nearly_as_fast_as_the_reference_are_repeated_in_several_processes():
    # The time of equal code changes with the process.
    ours = make_candidate("fastlin", SimulatedProcess({1: 1.0}, [1.0, 1.25]))
    close = make_candidate("cyanure", SimulatedProcess({1: 1.2}, [1.0, 0.75]))
    slow = make_candidate("glum", SimulatedProcess({1: 2.0}), seconds=2.0)
    summaries = repeat(ours, close, slow, seconds=100.0)
    by_process = summaries["cyanure"].pop("by_process")
    assert [each["ratio"] for each in by_process] == pytest.approx([1.2, 1.2, 0.72])
    assert summaries["cyanure"] == {
        "ratio": pytest.approx(1.2),
        "interval": pytest.approx([0.72, 1.2]),
        "n_repetitions": N_PROCESSES * N_REPETITIONS,
    }
    assert summaries["glum"]["n_repetitions"] == N_REPETITIONS
    assert len(slow.process.calls) == N_REPETITIONS


def test_a_close_baseline_without_repetitions_in_all_processes_is_not_compared():
    ours, close = make_candidate("fastlin", SimulatedProcess({1: 1.0})), make_candidate("cyanure", None)
    assert repeat(ours, close, seconds=2.0 * N_REPETITIONS + 1) == {}
    # The second or the third process fails.
    for factors in ([None], [1.0, None]):
        ours = make_candidate("fastlin", SimulatedProcess({1: 1.0}, [1.0, 1.0]))
        failing = make_candidate("cyanure", SimulatedProcess({1: 1.1}, factors))
        assert repeat(ours, failing) == {}
        assert failing.failed == "its process has ended"


def test_no_process_is_started_if_the_time_does_not_suffice_for_its_repetitions():
    # In the curve the baseline seemed to be slower, so no time was planned for further processes.
    ours, close = ProcessWithClock({1: 1.0}), ProcessWithClock({1: 1.1})
    points = find_compared_points([make_candidate("fastlin", ours), make_candidate("cyanure", close, seconds=2.0)])
    assert repeat_compared_fits(next(iter(points)), points, 3.0 * N_REPETITIONS, stop_processes) == {}
    assert len(close.calls) == N_REPETITIONS


def test_the_faster_number_of_threads_counts():
    # In the curve, another program may have slowed the fit on one thread.
    ours = make_candidate("fastlin", SimulatedProcess({2: 1.0}), [2], threads=2)
    theirs = make_candidate("cyanure", SimulatedProcess({1: 1.5, 2: 2.0}), [1, 2], threads=2, seconds=2.0)
    assert repeat(ours, theirs)["cyanure"]["ratio"] == 1.5
    ours, close = (
        make_candidate(name, SimulatedProcess({1: 1.0, 2: 2.0}, [1.0, 1.0]), [1, 2]) for name in ("fastlin", "cyanure")
    )
    assert repeat(ours, close)["cyanure"]["n_repetitions"] == N_PROCESSES * N_REPETITIONS
    fitted = [n_threads for rows, n_threads in close.process.calls if rows == "rows"]
    assert fitted == N_REPETITIONS * [1, 2] + 2 * N_REPETITIONS * [1]


def test_a_number_of_threads_that_is_much_slower_is_not_repeated():
    ours = make_candidate("fastlin", SimulatedProcess({2: 1.0}), [2], threads=2)
    process = SimulatedProcess({1: 2.0, 2: 2.1 * MAX_THREADS_RATIO})
    theirs = make_candidate("cyanure", process)
    theirs.points.clear()
    theirs.thread_counts = [1, 2]
    theirs.measure_next_effort(0, 1, 1000.0, 1000.0)
    theirs.points[0]["suboptimality"] = 0.0
    theirs.thread_counts = [1, 2]
    process.calls.clear()
    assert repeat(ours, theirs)["cyanure"]["ratio"] == 2.0
    assert process.calls == N_REPETITIONS * [("rows", 1)]
    # The number of threads of the point is repeated even if another program slowed its fit in the curve.
    assert theirs.find_thread_counts({**theirs.points[0], "seconds": 0.5}) == [1]
    # A longer fit has shown that the other number of threads is faster for it.
    theirs.thread_counts = [2]
    assert theirs.find_thread_counts(theirs.points[0]) == [1]


def test_the_needed_time_allows_the_repetitions():
    def estimate(reference, *others):
        return sum(repetitions.estimate_seconds(reference, find_compared_points([reference, *others])).values())

    ours, theirs = make_candidate("fastlin"), make_candidate("cyanure", seconds=2.0)
    inaccurate = make_candidate("glum", seconds=9.0, suboptimality=0.1)
    assert estimate(ours, theirs, inaccurate) == 3.0 * N_REPETITIONS
    # A close baseline and the reference are repeated in all processes. The repetitions may be closer than the curve.
    close = make_candidate("skglm", seconds=1.4)
    assert estimate(ours, theirs, close) == pytest.approx((2.0 + N_PROCESSES * 2.4) * N_REPETITIONS)
    # The faster number of threads is known after the first process.
    quick = [make_candidate(name, thread_counts=[1, 2], seconds=0.01) for name in ("fastlin", "cyanure")]
    assert estimate(*quick) == pytest.approx(2 * (2 + N_PROCESSES - 1) * N_REPETITIONS * MIN_POINT_SECONDS)


def test_close_baselines_are_repeated_rather_than_slow_ones():
    process = SimulatedProcess({1: 1.1}, [1.0, 1.0])
    ours, close = make_candidate("fastlin", SimulatedProcess({1: 1.0}, [1.0, 1.0])), make_candidate("cyanure", process)
    slow = make_candidate("glum", SimulatedProcess({1: 2.5}), seconds=2.5)
    assert repeat(ours, close, slow, seconds=N_PROCESSES * 2.0 * N_REPETITIONS + 1).keys() == {"cyanure"}
