"""Tables of estimates, as pandas DataFrames or dicts of columns, and summaries, as plain text and HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Self

import numpy as np

from fastlin.environment.interruption import import_uninterrupted
from fastlin.inference.hypotheses import WaldStatistics
from fastlin.typing import Array

# The columns that summaries show.
COLUMN_HEADERS = {
    "coef": "coef",
    "std_error": "std error",
    "z": "z",
    "z_wald": "z (Wald)",
    "p_value": "p",
}


class Summary(str):
    """Plain text that notebooks display as ``html``."""

    html: str

    # copy and pickle call this method with only the text, and then set `html`.
    def __new__(cls, text: str, html: str = "") -> Self:
        """Return the summary."""
        summary = super().__new__(cls, text)
        summary.html = html
        return summary

    def __repr__(self) -> str:
        """Return the text without quotes, for interactive sessions."""
        return str(self)

    def _repr_html_(self) -> str:
        return self.html


def tabulate_estimates(result: WaldStatistics, name: str, level: float) -> dict[str, Array]:
    """Return a table of estimates as a dict of columns; `name` is the column of the estimates."""
    estimates, std_errors, _ = result._wald_inputs
    n_rows, p = estimates.shape
    intervals = result.conf_int(level)
    return {
        "class": np.repeat(result.classes, p),
        "feature": np.tile(result.names, n_rows),
        name: estimates.ravel(),
        "std_error": std_errors.ravel(),
        "z" if result._has_wald_p_values else "z_wald": result.z.ravel(),
        "p_value": result.p_values.ravel(),
        "lower": intervals[..., 0].ravel(),
        "upper": intervals[..., 1].ravel(),
    }


def build_dataframe(
    columns: Mapping[str, Array], has_classes: bool = True, index: Sequence[str] = ("class", "feature")
) -> Any:
    """Return a DataFrame indexed by the columns `index`, or `columns` if pandas is not installed.

    The class is left out of the index unless `has_classes` is true.
    """
    dataframe = convert_to_dataframe(columns)
    if isinstance(dataframe, dict):
        return dataframe
    dataframe = dataframe.set_index(list(index))
    return dataframe if has_classes else dataframe.droplevel("class")


def convert_to_dataframe(columns: Mapping[str, Array]) -> Any:
    """Return a DataFrame with the columns, or a dict if pandas is not installed."""
    try:
        (pandas,) = import_uninterrupted("pandas")
    except ImportError:
        return dict(columns)
    return pandas.DataFrame(columns)


def format_columns(columns: Mapping[str, Array], max_rows: int = 20) -> str:
    """Return a dict of columns as a plain-text table that shows at most `max_rows` rows."""
    n = len(next(iter(columns.values())))
    half = max_rows // 2
    shown = range(n) if n <= max_rows else [*range(half), *range(n - half, n)]
    cells = [
        [name, *(f"{values[i]:.4g}" if values.dtype.kind == "f" else str(values[i]) for i in shown)]
        for name, values in columns.items()
    ]
    widths = [max(map(len, column)) for column in cells]
    lines = ["  ".join(map(str.rjust, row, widths)) for row in zip(*cells, strict=True)]
    if n > max_rows:
        lines.insert(1 + half, f"... {n - 2 * half:,} more")
    return "\n".join(lines)


def write_summary(
    summary_facts: Mapping[str, str], titles: Sequence[str], headers: Sequence[str], columns: Mapping[str, Array]
) -> Summary:
    """Return the summary: facts, then a table of estimates for each title.

    `columns` are those of `tabulate_estimates`, and `headers` are the headers of the columns after class and feature.
    """
    keys, p = list(columns)[2:], len(columns["feature"]) // len(titles)
    names = [str(name) for name in columns["feature"][:p]]
    width, first = max(map(len, summary_facts)), max(12, *map(len, names))
    text = [f"{name:<{width}}  {value}" for name, value in summary_facts.items()]
    html = [_format_html_row(name, [escape(value)], "left") for name, value in summary_facts.items()]
    html = ["<table>", *html, "</table>", '<table style="margin-top:0.5em">']
    for a, title in enumerate(titles):
        text += ["", title, " " * first + "".join(f"{header:>12}" for header in headers)]
        html.append(_format_html_row(title, [f"<b>{header}</b>" for header in headers], "right"))
        for j, name in enumerate(names):
            entries = {key: columns[key][a * p + j] for key in keys}
            cells = [
                _format_p_value(entry) if key == "p_value" else _format_number(entry) for key, entry in entries.items()
            ]
            text.append(f"{name:<{first}}" + "".join(f"{cell:>12}" for cell in cells))
            html.append(_format_html_row(name, map(escape, cells), "right", "normal"))
    return Summary("\n".join(text), "<div>" + "".join(html) + "</table></div>")


def _format_html_row(name, cells, text_align, weight="bold"):
    """Return a row of an HTML table; the cells must already be escaped."""
    style = f"text-align:{text_align};padding:0.1em 0.8em;font-variant-numeric:tabular-nums"
    header = f'<th style="text-align:left;padding:0.1em 0.8em;font-weight:{weight}">{escape(name)}</th>'
    return "".join(["<tr>", header, *(f'<td style="{style}">{cell}</td>' for cell in cells), "</tr>"])


def format_decimal(number: float) -> str:
    """Return a number with thousands separators and at most two decimals."""
    return f"{round(number, 2):,.12g}"


def _format_number(number):
    """Return a number as a string of at most eleven characters."""
    if number == 0 or 1e-3 <= abs(number) < 1e5 or not np.isfinite(number):
        return f"{number:.4f}"
    return f"{number:.3e}"


def _format_p_value(number):
    return f"{number:.4f}" if number >= 1e-4 or not np.isfinite(number) else "< 0.0001"
