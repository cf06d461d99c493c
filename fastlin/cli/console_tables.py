"""Tables for the console: what a study found, and the claims with their verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastlin.course.report import tabulate

if TYPE_CHECKING:
    from rich.console import RenderableType

STYLES = {"confirmed": "green", "contradicted": "red"}


def make_tables(title: str, merits: dict[str, Any], pictures: Sequence[str]) -> RenderableType:
    """Return the tables of a study, as something that rich prints.

    Parameters
    ----------
    title : str
        The heading of the first table.
    merits : dict
        The results of the study, as `course.studies.settings.Results` has them.
    pictures : list of str
        The names of the pictures that were drawn.
    """
    from rich.console import Group
    from rich.table import Table

    first = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    first.add_column(style="cyan")
    first.add_column(overflow="fold")
    others = []
    for table in tabulate(merits):
        if not table.columns:
            for row in table.rows:
                first.add_row(*row)
            continue
        drawn = Table(title=table.title, title_justify="left", title_style="cyan", box=None, padding=(0, 2, 0, 0))
        for number, column in enumerate(table.columns):
            drawn.add_column(column, justify="right" if number else "left", overflow="fold")
        for row in table.rows:
            drawn.add_row(*row)
        others.append(drawn)
    if pictures:
        first.add_row("pictures", ", ".join(pictures))
    return Group(first, *others)


def make_claims_table(claims: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return the table of claims, as something that rich prints.

    Parameters
    ----------
    claims : list of dict
        The rows of `course.studies.claims.judge_claims`.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(title="The reports' claims", title_justify="left", box=None, padding=(0, 1, 0, 0))
    for name in ("report", "task", "claim", "there", "here", "verdict"):
        ratio = {"claim": 4, "there": 2, "here": 3}.get(name)
        table.add_column(name, overflow="fold", ratio=ratio, no_wrap=ratio is None)
    for claim in claims:
        cells = (claim[name] for name in ("task", "says", "reported", "here"))
        # Lines are short: the letters of the reports stand without commas.
        reports = claim["reports"].replace(", ", "")
        table.add_row(reports, *cells, Text(claim["verdict"], style=STYLES.get(claim["verdict"], "")))
    return table
