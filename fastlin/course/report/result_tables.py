"""Tables of the results of a study, for the report and the console; labels.toml contains their labels."""

import re
from dataclasses import dataclass
from typing import Any

from fastlin.course.text_templates import read_toml

TABLE_LABELS = read_toml("report", "labels.toml")


@dataclass(frozen=True)
class Table:
    """A table of strings. The title is empty if the row labels suffice; a table of single values has no headers."""

    title: str
    columns: tuple
    rows: tuple


def tabulate(metrics: dict[str, Any]) -> list[Table]:
    """Return the Tables of a study's metrics. The first table contains all single values, if there are any.

    A dict of dicts becomes a table. Each other dict becomes a column, and dicts with the same keys form one table.
    """
    single_value_rows, tables = [], []
    columns_by_keys: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name, value in metrics.items():
        if not isinstance(value, dict) or not value:
            single_value_rows.append((_find_label(name), format_value(value)))
        elif all(isinstance(row, dict) for row in value.values()):
            # Pages are taller than wide, so the longer dimension is shown vertically.
            is_tall = len(value) == 1 or len(next(iter(value.values()))) <= len(value)
            tables.append(_make_table(_find_label(name), name, value if is_tall else _transpose(value)))
        else:
            columns_by_keys.setdefault(tuple(value), {})[name] = value
    tables += [_make_table("", next(iter(columns)), _transpose(columns)) for columns in columns_by_keys.values()]
    return [Table("", (), tuple(single_value_rows))] * bool(single_value_rows) + tables


def _transpose(rows):
    return {column: {name: row[column] for name, row in rows.items()} for column in next(iter(rows.values()))}


def _make_table(title, metric, rows):
    """Return a Table from a dict of rows that all have the same columns."""
    columns = list(next(iter(rows.values())))
    return Table(
        title,
        (TABLE_LABELS["headers"].get(metric, ""), *map(_find_label, columns)),
        tuple((_find_label(name), *(format_value(row[column]) for column in columns)) for name, row in rows.items()),
    )


def _find_label(name):
    """Return the label of a metric."""
    return TABLE_LABELS["labels"].get(name) or re.sub(r"\btrain\b", "training", name.replace("_", " "))


def format_value(value: Any, digits: int = 4) -> str:
    """Return a value as a string. Floats below 1000 have `digits` significant digits; larger ones have two decimals."""
    if isinstance(value, dict):
        return ", ".join(f"{_find_label(key)} {format_value(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(format_value(item, 3) for item in value)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        text = f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:,.2f}"
        # Lines can break after a hyphen but not after a minus sign.
        return text.replace("-", "−")
    return f"{value:,}" if isinstance(value, int) else str(value)
