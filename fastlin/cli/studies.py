"""Runs studies one after the other: shows progress and results, draws pictures and keeps what was found."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastlin import __version__, figures
from fastlin.cli.doctor import describe_environment
from fastlin.cli.results import add_results, choose_entries, read_results
from fastlin.course.report import tabulate, write_page
from fastlin.course.report.page import DATA_NAMES
from fastlin.course.studies import CIFAR10_STUDIES
from fastlin.course.studies.claims import NOT_RUN, judge_claims
from fastlin.course.studies.comparators import CONTRADICTED
from fastlin.figures.style import count_nouns
from fastlin.terminal import make_printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fastlin.course.studies.settings import Settings, Study


# Seconds of the studies of MNIST on two cores of an AMD EPYC (znver4), with compiled code, and of any other one.
SECONDS = {"softmax": 25, "l2_weights": 15, "l2_sweep": 35, "compare": 30, "learning": 40}
OTHER_SECONDS = 5
# Studies of the digits, and quick ones, take this part of those of MNIST.
SHORT = 0.1
# No log is silent for more seconds.
MOST_SILENCE = 9.0


def run_studies(studies: Mapping[str, tuple[Study, Settings]], output: Path) -> tuple[dict[str, Any], list[str]]:
    """Run the studies, draw what they found and write it into results.json.

    A study that raises is reported and left out; the others still run. What earlier runs of other studies found stays
    in that file. The output is the folder for it, and for a folder of pictures for each data set. Returned are the
    entries of results.json that this run found, and the names of the studies that failed.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.text import Text

    # Names of folders and words of errors may hold square brackets, which are no markup.
    console = Console(markup=False, emoji=False)
    path = output / "results.json"
    # Before hours of work it is known that what they find can be added.
    read_results(path)
    found, failed = {}, []
    columns = (
        TextColumn("{task.description:<44}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console.print(_tell_time(studies), soft_wrap=True)
    with Progress(*columns, console=console) as bars, _write_lines(console) as say:
        # A bar over the studies and, above it, one over the current study where that tells which part of it is done.
        of_study = bars.add_task("", total=100, visible=False)
        of_all = bars.add_task("", total=len(studies))

        def show(name, what, part=None):
            say(f"{name}: {what}")
            bars.update(of_all, description=f"{name}: {what}" if part is None else name)
            bars.update(of_study, description=f"  {what}", completed=100 * (part or 0), visible=part is not None)

        for name, (study, settings) in studies.items():
            try:
                entry = _run_study(name, study, replace(settings, notify=partial(show, name)), output)
            except Exception as error:
                failed.append(name)
                heading = Text(f"{name} failed:", style="bold red")
                console.print(heading, make_printable(f"{type(error).__name__}: {error}"), highlight=False)
            else:
                title = f"{settings.data.name}.{name}"
                found[title] = entry
                # The file is written after each study, since studies take up to hours and may be stopped.
                add_results(path, {title: entry})
                files = [picture["file"] for picture in entry["pictures"]]
                console.print(make_tables(title, entry["merits"], files))
                console.print()
            bars.advance(of_all)
        bars.update(of_all, description="done")
    add_results(path, {"environment": describe_environment()})
    n_pictures = sum(len(entry["pictures"]) for entry in found.values())
    console.print(make_printable(f"Wrote {path} and {n_pictures} pictures."), soft_wrap=True)
    if failed:
        print(f"fastlin: these studies failed: {', '.join(failed)}", file=sys.stderr)
    return found, failed


def _tell_time(studies):
    """Return a sentence that says how long the studies take on the data that were found."""
    seconds, is_known = 0.0, True
    for name, (_, settings) in studies.items():
        is_short = settings.quick or settings.data.name == "digits"
        seconds += SECONDS.get(name, OTHER_SECONDS) * (SHORT if is_short else 1)
        is_known &= is_short or name not in CIFAR10_STUDIES
    minutes = f"about {count_nouns(round(seconds / 60), 'minute')}" if seconds > 60 else "less than a minute"
    names = " and ".join(
        dict.fromkeys(DATA_NAMES.get(settings.data.name, "these data") for _, settings in studies.values())
    )
    takes = "1 study on {} takes" if len(studies) == 1 else f"{len(studies)} studies on {{}} take"
    end = f"{minutes} on two cores, and longer where code has to be compiled" if is_known else "minutes to hours"
    return f"{takes.format(names)} {end}."


@contextlib.contextmanager
def _write_lines(console):
    """Write a line every few seconds where no terminal shows the bars; yield a function that takes what it says."""
    begin, text, is_over = perf_counter(), "", threading.Event()

    def say(what):
        nonlocal text
        text = what

    def write():
        while not is_over.wait(MOST_SILENCE):
            console.print(f"{make_printable(text)}, after {perf_counter() - begin:.0f} s", highlight=False)

    writer = threading.Thread(target=write, daemon=True)
    if not console.is_terminal:
        writer.start()
    try:
        yield say
    finally:
        is_over.set()


def report_claims(found: dict[str, Any], failed: list[str], output: Path) -> Path:
    """Judge the claims by what was found now and earlier; keep them, sum them up, and return the page that shows them.

    found and failed are what `run_studies` returns. What earlier runs found of studies that failed is not shown.
    """
    from rich.console import Console

    results = read_results(output / "results.json")
    entries = {study: entry for study, entry in choose_entries(results, found).items() if study not in failed}
    claims = judge_claims(entries, failed)
    add_results(output / "results.json", {"claims": claims})
    page = output / "report.html"
    write_page(page, entries, claims, results["environment"], failed)
    console = Console(markup=False, emoji=False, highlight=False)
    contradicted = [claim for claim in claims if claim["verdict"] == CONTRADICTED]
    if contradicted:
        console.print(make_claims_table(contradicted))
    counts = Counter(claim["verdict"] for claim in claims)
    listed = ", ".join(f"{number} {verdict}" for verdict, number in counts.most_common())
    console.print(f"{len(claims)} claims: {listed}. The report has all of them.", soft_wrap=True)
    studies_of = {claim["study"] for claim in claims if claim["verdict"] == NOT_RUN}
    for why, names in (
        ("failed, as is said above", studies_of.intersection(failed)),
        ("did not run, since they were not named", studies_of.difference(failed)),
    ):
        if names:
            n_claims = sum(claim["study"] in names for claim in claims)
            belong = f"{count_nouns(n_claims, 'claim')} {'belongs' if n_claims == 1 else 'belong'}"
            console.print(f"{belong} to studies that {why}: {', '.join(sorted(names))}.", soft_wrap=True)
    console.print(make_printable(f"Wrote {page}."), soft_wrap=True)
    return page


def make_tables(title: str, merits: dict[str, Any], pictures: Sequence[str]) -> RenderableType:
    """Return the tables of a study, its merits and the names of its pictures, as something that rich prints."""
    from rich.console import Group
    from rich.table import Table

    first = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    first.add_column(style="cyan")
    first.add_column(overflow="fold")
    drawn = [first]
    for table in tabulate(merits):
        # Single values, which come before all other tables, have no columns.
        if table.columns:
            under = Table(title=table.title, title_justify="left", title_style="cyan", box=None, padding=(0, 2, 0, 0))
            drawn.append(under)
        for number, column in enumerate(table.columns):
            drawn[-1].add_column(column, justify="right" if number else "left", overflow="fold")
        for row in table.rows:
            drawn[-1].add_row(*row)
    if pictures:
        first.add_row("pictures", ", ".join(pictures))
    return Group(*drawn)


def make_claims_table(claims: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return the table of the rows of `course.studies.claims.judge_claims`, as something that rich prints."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="The claims that are contradicted", title_justify="left", box=None, padding=(0, 1, 0, 0))
    for name in ("report", "task", "claim", "there", "here", "verdict"):
        ratio = {"claim": 4, "there": 2, "here": 3}.get(name)
        table.add_column(name, overflow="fold", ratio=ratio, no_wrap=ratio is None)
    for claim in claims:
        cells = (claim[name] for name in ("task", "says", "reported", "here"))
        # Lines are short: the letters of the reports stand without commas.
        reports = claim["reports"].replace(", ", "")
        table.add_row(reports, *cells, Text(claim["verdict"], style="red"))
    return table


def _run_study(name, study, settings, output):
    """Run and draw one study and return its entry of results.json."""
    # A study may keep records in this folder, too.
    folder = output / settings.data.name
    folder.mkdir(exist_ok=True)
    settings.notify("start")
    begin = perf_counter()
    results = study(settings)
    settings.notify("drawing")
    pictures = figures.draw(name, results, folder)
    return {
        "version": __version__,
        "parameters": {**results.parameters, "seed": settings.seed, "quick": settings.quick},
        "merits": results.merits,
        "seconds": perf_counter() - begin,
        "pictures": [{**picture._asdict(), "file": f"{settings.data.name}/{picture.file}"} for picture in pictures],
    }
