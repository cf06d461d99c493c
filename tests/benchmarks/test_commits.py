"""The comparison of the speed of two commits."""

import pytest

from benchmarks import commits
from benchmarks.commits import CaseProcess, compare_processes


class SimulatedProcess:
    """A process whose cases take longer with each measurement, as on a machine that becomes slower."""

    n_measurements = 0

    def __init__(self, seconds):
        self.seconds = seconds

    def measure(self, case):
        SimulatedProcess.n_measurements += 1
        return self.seconds[case] * 1.001**self.n_measurements

    def close(self):
        pass


@pytest.mark.parametrize(("seconds", "status"), [(1.1, 0), (1.3, 1)])
def test_a_slower_case_is_found_although_the_machine_slows_down(monkeypatch, capsys, seconds, status):
    times = iter([{"iris": 1.0, "digits": 1.0}, {"iris": seconds, "digits": 1.0}])
    monkeypatch.setattr(commits, "CaseProcess", lambda folder: SimulatedProcess(next(times)))
    monkeypatch.setattr(commits, "CASES", ["iris", "digits"])
    assert commits.main(["HEAD"]) == status
    printed = capsys.readouterr().out
    assert f"iris: {seconds:.3f} (" in printed
    assert "digits: 1.000 (" in printed
    assert ("times as long as before: iris." in printed) == bool(status)


def test_cases_are_timed_in_another_process():
    process = CaseProcess(commits.ROOT)
    try:
        [(case, summary)] = compare_processes([process, process], ["iris"], n_rounds=6)
    finally:
        process.close()
    low, high = summary["interval"]
    assert case == "iris"
    assert 0 < low <= summary["ratio"] <= high
