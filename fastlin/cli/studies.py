"""Runs studies one after the other: shows progress and results, draws pictures and keeps what was found."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastlin import __version__
from fastlin.cli.arguments import refuse
from fastlin.cli.doctor import describe_environment
from fastlin.cli.results import add_results, choose_entries, read_results
from fastlin.course import figures
from fastlin.course.report import tabulate, write_page
from fastlin.course.studies.claims import NOT_RUN, evaluate_claims
from fastlin.course.studies.comparators import CONTRADICTED
from fastlin.file_system import check_writable
from fastlin.terminal import make_printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from fastlin.course.studies.settings import Settings, Study

# A file or pipe gets a line about the work after as many seconds.
SILENCE = 9.0


def open_console() -> Console:
    """Return a console of rich; names of folders and words of errors may hold square brackets, which are no markup."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)


def make_folder(folder: Path) -> None:
    """Make a folder where there is none; refuse one that cannot be written."""
    with refuse(f"cannot write to the folder {str(folder)!r}", OSError):
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder)


def run_studies(studies: Mapping[str, tuple[Study, Settings]], output: Path) -> tuple[dict[str, Any], list[str]]:
    """Run the studies, draw what they found and write it into results.json.

    A study that raises is reported and left out; the others still run. What earlier runs of other studies found stays
    in that file. The output is the folder for it, and for a folder of pictures for each data set. Returned are the
    entries of results.json that this run found, and the names of the studies that failed.
    """
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console, path = open_console(), output / "results.json"
    # Before hours of work it is known that what they find can be added.
    read_results(path)
    found, failed, last_line = {}, [], float("-inf")
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=len(studies))

        def show(name, n_done, what, part=None):
            nonlocal last_line
            text = make_printable(f"{name}: {what}")
            bar.update(task, description=text, completed=n_done + (part or 0))
            if not console.is_terminal and perf_counter() - last_line >= SILENCE:
                last_line = perf_counter()
                console.print(text, soft_wrap=True)

        for n_done, (name, (study, settings)) in enumerate(studies.items()):
            try:
                entry = _run_study(name, study, replace(settings, notify=partial(show, name, n_done)), output)
            except Exception as error:
                failed.append(name)
                text = make_printable(f"{name} failed: {type(error).__name__}: {error}")
                console.print(text, style="bold red", soft_wrap=True)
            else:
                title = f"{settings.data.name}.{name}"
                found[title] = entry
                # The file is written after each study, since studies take up to hours and may be stopped.
                add_results(path, {title: entry})
                console.print(*make_tables(title, entry["metrics"], [plot["file"] for plot in entry["plots"]]))
        bar.update(task, description="done", completed=len(studies))
    add_results(path, {"environment": describe_environment()})
    n_pictures = sum(len(entry["plots"]) for entry in found.values())
    print(make_printable(f"Wrote {path} and {n_pictures} pictures."))
    if failed:
        print(f"fastlin: these studies failed: {', '.join(failed)}", file=sys.stderr)
    return found, failed


def _run_study(name, study, settings, output):
    """Run and draw one study and return its entry of results.json."""
    # A study may keep records in this folder, too.
    folder = output / settings.data.name
    folder.mkdir(exist_ok=True)
    settings.notify("start")
    begin = perf_counter()
    results = study(settings)
    settings.notify("drawing")
    plots = figures.draw(name, results, folder)
    return {
        "version": __version__,
        "parameters": {**results.parameters, "seed": settings.seed, "quick": settings.quick},
        "metrics": results.metrics,
        "seconds": perf_counter() - begin,
        "plots": [{**plot._asdict(), "file": f"{settings.data.name}/{plot.file}"} for plot in plots],
    }


def report_claims(found: dict[str, Any], failed: list[str], output: Path) -> Path:
    """Judge the claims by what was found now and earlier; keep them, sum them up, and return the page that shows them.

    found and failed are what `run_studies` returns. What earlier runs found of studies that failed is not shown.
    """
    results = read_results(output / "results.json")
    entries = {study: entry for study, entry in choose_entries(results, found).items() if study not in failed}
    claims = evaluate_claims(entries, failed)
    add_results(output / "results.json", {"claims": claims})
    page = output / "report.html"
    write_page(page, entries, claims, results["environment"], failed)
    contradicted = [claim for claim in claims if claim["verdict"] == CONTRADICTED]
    if contradicted:
        columns = {"report": "reports", "task": "task", "claim": "says", "reported": "reported", "measured": "here"}
        rows = [[claim[name] for name in columns.values()] for claim in contradicted]
        open_console().print(make_table("The claims that are contradicted", list(columns), rows))
    counts = Counter(claim["verdict"] for claim in claims)
    listed = ", ".join(f"{number} {verdict}" for verdict, number in counts.most_common())
    print(f"{len(claims)} claims: {listed}. The report has all of them.")
    not_run = {claim["study"] for claim in claims if claim["verdict"] == NOT_RUN}
    if not_run:
        print(f"These studies were not named, or failed: {', '.join(sorted(not_run))}.")
    print(make_printable(f"Wrote {page}."))
    return page


def make_tables(title: str, metrics: dict[str, Any], plots: Sequence[str]) -> list[Table | str]:
    """Return a title and the tables of a study for the console, first that of single values and names of pictures."""
    shown = {"plots": ", ".join(plots)} if plots else {}
    return [title, *(make_table(table.title, table.columns, table.rows) for table in tabulate(metrics | shown))]


def make_table(title: str, columns: Sequence[str], rows: Iterable[Iterable[str]]) -> Table:
    """Return a table of texts for the console; one without columns has pairs."""
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", title_style="cyan", box=None, show_header=any(columns))
    for column in columns or ("", ""):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
