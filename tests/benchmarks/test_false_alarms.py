"""The counts of false alarms."""

from types import SimpleNamespace

import numpy as np

from benchmarks import false_alarms
from benchmarks.tables import tabulate


def test_verdicts_are_counted(monkeypatch):
    intervals = [[1.06, 1.2], [0.8, 0.94], [0.9, 1.1], [1.01, 1.04], None, [1.5, 2.0]]

    def compare(problems, baselines, seconds):
        assert len(baselines) == 2 and baselines[0].make(0.1).tol == baselines[1].make(0.1).tol == 0.1
        assert seconds == 4.0 * len(problems)
        # The first process has the inverse interval, and the second one is even.
        measured = [
            {}
            if interval is None
            else {
                false_alarms.SECOND: {
                    "interval": interval,
                    "by_process": [{"interval": [1 / end for end in reversed(interval)]}, {"interval": [1.0, 1.0]}],
                }
            }
            for interval in problems
        ]
        return SimpleNamespace(problems=[{"repetitions": repetitions} for repetitions in measured])

    monkeypatch.setattr(false_alarms, "compare", compare)
    problems = [(list(false_alarms.ESTIMATORS)[i % 2], interval) for i, interval in enumerate(intervals)]
    counts, first_counts = false_alarms.count_verdicts(problems, 4.0)
    assert first_counts == {"faster": 2, "slower": 1, "even": 2, "not compared": 1}
    assert counts == {"faster": 1, "slower": 2, "even": 2, "not compared": 1}
    record = {"kind": false_alarms.RECORD_KIND, "title": "", "counts": {"idle": counts}}
    (table,) = tabulate({"false-alarms": record})
    assert table.rows == [["idle", "5", "1", "2", "60.0 %", "1"]]


def test_problems_differ_in_size_and_estimator():
    problems = false_alarms.make_problems(6)
    assert [name for name, _ in problems] == [*false_alarms.ESTIMATORS] * 3
    assert len({problem.X.shape for _, problem in problems}) == 6
    assert all(len(np.unique(problem.y)) >= 2 for _, problem in problems)
