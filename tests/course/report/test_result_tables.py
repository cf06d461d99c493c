"""Tables of metrics: their order, labels and number formats."""

from pathlib import Path

import pytest

from fastlin.course import studies
from fastlin.course.report import Table, tabulate
from fastlin.course.report.result_tables import TABLE_LABELS, format_value


def test_result_tables_are_ordered_and_merged():
    tables = tabulate(
        {
            "squared_norm": {"1": 0.5, "0": 2.0},
            "final_train_loss": 0.25,
            "best_validation_accuracy": {"1": 0.5, "0": 0.75},
            "orders": 10,
            "other": {"a": 1},
            "runs": {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 4}},
            "by_lambda": {"0": {"roughness": 1, "y": 2, "z": 3}, "1": {"roughness": 4, "y": 5, "z": 6}},
            "one": {"a": {"x": 1, "y": 2}},
        }
    )
    wide_rows = ("roughness", "1", "4"), ("y", "2", "5"), ("z", "3", "6")
    assert tables == [
        Table("", (), (("final training loss", "0.25"), ("shuffled orders", "10"))),
        Table("runs", ("", "x", "y"), (("a", "1", "2"), ("b", "3", "4"))),
        # No table is wider than tall, except tables of one row.
        Table("by penalty strength", ("λ", "0", "1"), wide_rows),
        Table("one", ("", "x", "y"), (("a", "1", "2"),)),
        Table("", ("λ", "‖w‖²", "best validation accuracy"), (("1", "0.5", "0.5"), ("0", "2", "0.75"))),
        Table("", ("", "other"), (("a", "1"),)),
    ]
    assert tabulate({}) == []
    assert tabulate({"squared_norm": {}}) == [Table("", (), (("‖w‖²", ""),))]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"),
        (123456.789, "123,456.79"),
        (1.2349e-9, "1.235e−09"),
        (-0.5, "−0.5"),
        (12345, "12,345"),
        (True, "yes"),
        (False, "no"),
        (None, "none"),
        ("diverged", "diverged"),
        ([6.25, 101.3125], "6.25, 101"),
        ({"train_loss": 0.5, "b": 1}, "training loss 0.5, b 1"),
    ],
)
def test_values_are_formatted(value, text):
    assert format_value(value) == text


def test_every_label_belongs_to_a_metric():
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(studies.__file__).parent.glob("*.py"))
    for name in TABLE_LABELS["labels"].keys() | TABLE_LABELS["headers"].keys():
        # The code may compose the name of a metric from several strings.
        assert f'"{name}"' in sources, name
