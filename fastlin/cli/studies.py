"""Runs studies one after the other, shows their progress and results, draws figures, and stores the results."""

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
from fastlin.cli.arguments import convert_errors
from fastlin.cli.doctor import describe_environment
from fastlin.cli.results import add_results, choose_entries, read_results
from fastlin.course import figures
from fastlin.course.report import tabulate, write_page
from fastlin.course.studies.claims import NOT_RUN, evaluate_claims
from fastlin.course.studies.comparators import CONTRADICTED
from fastlin.figures.style import count_nouns
from fastlin.file_system import check_writable
from fastlin.terminal import make_printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from fastlin.course.studies.settings import Settings, Study

# Minimum number of seconds between progress lines if the output is a file or a pipe.
PROGRESS_INTERVAL = 9.0


def open_console() -> Console:
    """Return a rich console without markup, because folder names and error messages may contain square brackets."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)


def make_folder(folder: Path) -> None:
    """Create a folder if it is missing; raise a CommandError if it is not writable."""
    with convert_errors(f"cannot write to the folder {str(folder)!r}", OSError):
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder)


def run_studies(studies: Mapping[str, tuple[Study, Settings]], output: Path) -> tuple[dict[str, Any], list[str]]:
    """Run the studies, draw their figures and write their results into results.json.

    If a study raises an error, the error is reported and the other studies still run. The file keeps the entries of
    other studies from earlier runs. `output` is the folder for results.json and for one folder of figures per data set.
    Return the entries of this run and the names of the studies that failed.
    """
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console, path = open_console(), output / "results.json"
    # This raises an error early if results cannot be added to the file.
    read_results(path)
    entries, failed, last_time = {}, [], float("-inf")
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=len(studies))

        def show(name, n_done, step, fraction=None):
            nonlocal last_time
            line = make_printable(f"{name}: {step}")
            bar.update(task, description=line, completed=n_done + (fraction or 0))
            if not console.is_terminal and perf_counter() - last_time >= PROGRESS_INTERVAL:
                last_time = perf_counter()
                console.print(line, soft_wrap=True)

        for n_done, (name, (study, settings)) in enumerate(studies.items()):
            try:
                entry = _run_study(name, study, replace(settings, notify=partial(show, name, n_done)), output)
            except Exception as error:
                failed.append(name)
                line = make_printable(f"{name} failed: {type(error).__name__}: {error}")
                console.print(line, style="bold red", soft_wrap=True)
            else:
                title = f"{settings.data.name}.{name}"
                entries[title] = entry
                # The file is written after each study, because a study may take hours and may be interrupted.
                add_results(path, {title: entry})
                console.print(*make_tables(title, entry["metrics"], [plot["file"] for plot in entry["plots"]]))
        bar.update(task, description="done", completed=len(studies))
    add_results(path, {"environment": describe_environment()})
    n_plots = sum(len(entry["plots"]) for entry in entries.values())
    print(make_printable(f"Wrote {path} and {count_nouns(n_plots, 'figure')}."))
    if failed:
        print(f"fastlin: these studies failed: {', '.join(failed)}", file=sys.stderr)
    return entries, failed


def _run_study(name, study, settings, output):
    """Run a study, draw its figure, and return its entry for results.json."""
    # A study may also store records in this folder.
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


def report_claims(new_entries: dict[str, Any], failed: list[str], output: Path) -> Path:
    """Evaluate the claims on the results of this and earlier runs, print and store the verdicts, and write the report.

    `new_entries` and `failed` are the return values of `run_studies`. Earlier results of studies that failed in
    this run are not used. Return the path of the report.
    """
    results = read_results(output / "results.json")
    entries = {study: entry for study, entry in choose_entries(results, new_entries).items() if study not in failed}
    claims = evaluate_claims(entries, failed)
    add_results(output / "results.json", {"claims": claims})
    page = output / "report.html"
    write_page(page, entries, claims, results["environment"], failed)
    contradicted = [claim for claim in claims if claim["verdict"] == CONTRADICTED]
    if contradicted:
        columns = {"report": "reports", "task": "task", "claim": "says", "reported": "reported", "measured": "here"}
        rows = [[claim[name] for name in columns.values()] for claim in contradicted]
        open_console().print(make_table("Contradicted claims", list(columns), rows))
    counts = Counter(claim["verdict"] for claim in claims)
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in counts.most_common())
    print(f"{len(claims)} claims: {verdicts}. The report lists all of them.")
    not_run = {claim["study"] for claim in claims if claim["verdict"] == NOT_RUN}
    if not_run:
        print(f"These studies were not requested or failed: {', '.join(sorted(not_run))}.")
    print(make_printable(f"Wrote {page}."))
    return page


def make_tables(title: str, metrics: dict[str, Any], plots: Sequence[str]) -> list[Table | str]:
    """Return a title and the tables of a study for the console. The first table lists scalars and figure names."""
    shown = {"plots": ", ".join(plots)} if plots else {}
    return [title, *(make_table(table.title, table.columns, table.rows) for table in tabulate(metrics | shown))]


def make_table(title: str, columns: Sequence[str], rows: Iterable[Iterable[str]]) -> Table:
    """Return a table of strings for the console. If `columns` is empty, it has two columns without headers."""
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", title_style="cyan", box=None, show_header=any(columns))
    for column in columns or ("", ""):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
