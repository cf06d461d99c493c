"""A baseline in a comparison: its numbers of threads, its limits, and the calls of its process."""

import pytest
from simulated_processes import SimulatedProcess

from fastlin.benchmarking import candidate as candidate_module
from fastlin.benchmarking import timing
from fastlin.benchmarking.candidate import Candidate, CannotSolveError
from fastlin.benchmarking.other_libraries import LIBRARIES


@pytest.mark.parametrize(
    ("name", "seconds", "fitted", "later"),
    [
        ("fastlin", {2: 0.1}, [("rows", 2)], [2]),
        ("torch", {1: 0.2, 2: 0.1}, [("rows", 1), ("rows", 2)], [1, 2]),
        ("torch", {1: 1.5, 2: 2.5}, [("rows", 1), ("rows", 2)], [1]),
        # After a timeout, a new process loads the library with the sample.
        ("torch", {1: None, 2: 0.1}, [("rows", 1), ("sample", 2), ("rows", 2)], [2]),
        ("torch", {1: 0.1, 2: None}, [("rows", 1), ("rows", 2)], [1]),
        ("torch", {1: None, 2: None}, [("rows", 1), ("sample", 2), ("rows", 2)], None),
    ],
)
def test_a_baseline_is_measured_on_each_number_of_threads(monkeypatch, name, seconds, fitted, later):
    monkeypatch.setattr(candidate_module, "count_threads", lambda: 2)
    monkeypatch.setattr(timing, "PAUSE_SECONDS", 0.0)
    process = SimulatedProcess(seconds)
    candidate = Candidate(name, LIBRARIES[name], "rows", "sample", process, timing.Stopwatch())
    deadline = 60.0
    candidate.measure_next_effort(0, 1, 5.0, deadline)
    assert process.calls == fitted
    if later is None:
        # The first number of threads had half of the budget, and the second one the rest.
        assert candidate.points == []
        assert 2.4 < candidate.stopped <= 2.5
        assert not candidate.should_measure_next_effort(1, 0.0, 5.0, deadline)
        return
    process.calls.clear()
    candidate.measure_next_effort(1, 1, 5.0, deadline)
    rows_calls = [n_threads for path, n_threads in process.calls if path == "rows"]
    # A restarted process fits the rows once before it is measured.
    is_restarted = ("sample", 2) in process.calls
    assert rows_calls == later[-1:] * is_restarted + later
    assert [point["threads"] for point in candidate.points] == [min(later, key=seconds.get)] * 2


class ProcessWithSlowSample(SimulatedProcess):
    """A process whose fits advance a clock. A fit to the sample, which loads code, takes 1,000 seconds."""

    clock, measuring_seconds, limit = 0.0, 0.0, None

    def call(self, function, baseline, rows, *arguments, seconds):
        """Return the seconds of a fit and its measures."""
        result = super().call(function, baseline, rows, *arguments, seconds=seconds)
        self.clock += 1000.0 if rows == "sample" else result[0][0] + self.measuring_seconds
        self.limit = seconds
        return result


def fail_on_two_threads(effort_index, n_threads, *arguments):
    if n_threads == 2:
        raise CannotSolveError("no memory")
    return [1.0], {"objective": 1.0}


def test_a_restarted_process_repeats_its_first_fit_while_the_time_stands_still(monkeypatch):
    process = ProcessWithSlowSample({1: 1.0, 2: 2.0})
    monkeypatch.setattr(candidate_module, "count_threads", lambda: 2)
    monkeypatch.setattr(timing, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(timing, "perf_counter", lambda: process.clock)
    candidate = Candidate("torch", LIBRARIES["torch"], "rows", "sample", process, timing.Stopwatch())
    candidate.warm_up(0, 60.0)
    process.has_answered = False
    candidate.fit(2, 1, 1, 5.0, 60.0)
    assert process.calls == [("rows", 2), ("sample", 2), ("rows", 2), ("rows", 1)]
    assert (candidate.spent_seconds, candidate.stopwatch.read()) == (1.0, 3.0)
    # The first fit is not repeated for a fit that has less time.
    process.calls.clear()
    process.has_answered = False
    candidate.fit(2, 1, 1, 1.5, 60.0)
    assert process.calls == [("sample", 2), ("rows", 1)]
    # An error ends the pause.
    with pytest.raises(ValueError, match="error"), candidate.stopwatch.pause():
        process.clock += 10.0
        raise ValueError("error")
    assert candidate.stopwatch.read() == 4.0
    # If the second number of threads fails, the fit on the first one remains.
    with monkeypatch.context() as patch:
        patch.setattr(candidate, "fit", fail_on_two_threads)
        candidate.measure_next_effort(1, 1, 60.0, 60.0)
    assert [point["threads"] for point in candidate.points] == [1] and candidate.failed == "no memory"
    assert candidate.stopped is None
    # The limit of a fit does not include the time of its measures, which is that of the previous fit.
    process.measuring_seconds = 4.0
    for expected in (5.0, 9.0):
        candidate.fit(2, 1, 1, 5.0, 60.0)
        assert process.limit == expected


def test_after_the_deadline_only_the_reference_is_fitted():
    past = -1.0
    for is_reference in (False, True):
        candidate = Candidate("torch", LIBRARIES["torch"], "rows", "sample", None, timing.Stopwatch(), is_reference)
        assert candidate.should_measure_next_effort(0, None, 5.0, past) == is_reference
        candidate.points = [{"seconds": 0.1, "objective": 1.0, "suboptimality": 0.5}]
        assert not candidate.should_measure_next_effort(1, None, 5.0, past)
        assert candidate.should_measure_next_effort(1, None, 5.0, past + 60.0)
