"""Seconds to an accuracy: all contenders learn the same rows, and the table says what the points say."""

import pytest

from benchmarks import mini_batches
from benchmarks.mini_batches import LEARNING, MARKS, MINI_BATCHES
from benchmarks.tables import tabulate
from fastlin.course.datasets import load_digits
from fastlin.course.studies.learning import COURSE, SGD, fit_logistic_regression, make_lesson

POINTS = [
    {"epochs": 1, "seconds": 0.1, "threads": 2, "accuracy": 0.8, "log_loss": 0.9},
    {"epochs": 2, "seconds": 0.2, "threads": 2, "accuracy": 0.95, "log_loss": 0.5},
    {"epochs": 5, "seconds": 0.5, "threads": 2, "accuracy": 0.93, "log_loss": 0.4},
]


def test_the_table_has_a_row_for_each_contender_and_mark():
    marks = {
        "slow": {"seconds": 1.0, "threads": 1, "accuracy": 0.9, "log_loss": 0.3},
        "good": {"seconds": 0.15, "threads": 1, "accuracy": 0.94, "log_loss": 0.2},
        "quick": {"seconds": 0.01, "threads": 1, "accuracy": 0.99, "log_loss": 0.1},
    }
    record = {"kind": "learning", "data": "digits", "marks": marks, "contenders": {"ours": POINTS}}
    (table,) = tabulate({"learning": record})
    assert table.rows == [
        ["ours, digits", "slow: 0.9000 after 1 s", "0.2 s", "5.0", "0.9500"],
        ["ours, digits", "good: 0.9400 after 0.15 s", "0.2 s", "0.75", "0.8000"],
        ["ours, digits", "quick: 0.9900 after 10 ms", "not reached", "", "no epoch"],
    ]
    assert table.bold == [False, True, False]


def test_every_contender_learns(monkeypatch):
    monkeypatch.setattr(mini_batches, "FEW_EPOCHS", (1, 3))
    record = LEARNING()
    assert record["contenders"].keys() == {COURSE, MINI_BATCHES, SGD}
    for name, points in record["contenders"].items():
        assert [point["epochs"] for point in points] == [1, 3]
        # Chance is a tenth.
        assert points[-1]["accuracy"] > 0.7, name
        assert points[-1]["log_loss"] > 0
    lesson = make_lesson(load_digits())
    expected = lesson.test(fit_logistic_regression(lesson))
    mark = record["marks"][next(iter(MARKS))]
    assert (mark["accuracy"], mark["log_loss"]) == (expected["accuracy"], pytest.approx(expected["log_loss"], rel=1e-6))
