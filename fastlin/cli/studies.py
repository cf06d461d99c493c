"""The command `reproduce`: runs studies, shows their progress and results, draws figures, and stores the results."""

from __future__ import annotations

import sys
import webbrowser
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from click import Choice, IntRange, argument, option

from fastlin import __version__, datasets
from fastlin.cli.arguments import (
    SEED_RANGE,
    CommandError,
    command,
    convert_errors,
    data_option,
    output_option,
    require,
)
from fastlin.cli.doctor import describe_environment
from fastlin.cli.results import add_results, choose_report_entries, read_results
from fastlin.course import figures
from fastlin.course.report import tabulate, write_page
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES
from fastlin.course.studies.cifar10_training import N_VALIDATION_IMAGES
from fastlin.course.studies.claims import NOT_RUN, evaluate_claims
from fastlin.course.studies.comparators import CONTRADICTED
from fastlin.course.studies.settings import Settings
from fastlin.environment.file_system import check_writable
from fastlin.environment.terminal import make_printable
from fastlin.figures.style import format_count

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from fastlin.course.studies.settings import Study

# Minimum number of seconds between progress lines if the output is a file or a pipe.
PROGRESS_INTERVAL_SECONDS = 9.0
# The largest number of characters of names of rows that are not broken into several lines, and of unbroken words.
MAX_NAME_LENGTH, MAX_WORD_LENGTH = 30, 14
QUICK_HELP = "Test run with few epochs, rows and seeds; claims get no verdict."
DRAWS_HELP = "Number of networks that cifar10_search draws and trains."
SEED_HELP = "Random seed of splits, orders, networks and draws; learning does not use it."


@command(
    "for the course: rerun the studies and write a report with verdicts",
    argument("studies", nargs=-1, type=Choice([*STUDIES, *CIFAR10_STUDIES]), metavar="[STUDY]..."),
    option("--quick", is_flag=True, help=QUICK_HELP),
    option("--draws", type=IntRange(1), metavar="N", default=100, help=DRAWS_HELP),
    option("--open", is_flag=True, help="Open the report in the browser at the end."),
    data_option,
    output_option,
    option("--seed", type=SEED_RANGE, metavar="N", default=0, help=SEED_HELP),
)
def reproduce(options: SimpleNamespace) -> int:
    """Run the studies of the course, and write a report with verdicts on the claims of the student reports.

    The output folder also gets results.json and the figures. Without STUDY, these studies run: images, gradient_check,
    binary, early_stopping, shuffling, softmax, l2_weights, l2_sweep, l2_norm, learning. Three more take minutes to
    hours and run only if you name them: cifar10_two_layer, cifar10_search, cifar10_deep.

    Examples
    --------
      fastlin reproduce --quick --open
      fastlin reproduce softmax l2_sweep --output results
    """
    require("studies")
    make_folder(options.output)
    names = dict.fromkeys(options.studies or STUDIES)
    settings = {}
    for needs_cifar10 in dict.fromkeys(name in CIFAR10_STUDIES for name in names):
        data = load_images(options, needs_cifar10)
        folder = options.output / data.name
        settings[needs_cifar10] = Settings(data, options.quick, options.seed, folder=folder, draws=options.draws)
    available_studies = {**STUDIES, **CIFAR10_STUDIES}
    studies = {name: (available_studies[name], settings[name in CIFAR10_STUDIES]) for name in names}
    entries, failed_studies = run_studies(studies, options.output)
    page = report_claims(entries, failed_studies, options.output)
    if options.open:
        webbrowser.open(page.resolve().as_uri())
    return 1 if failed_studies else 0


def make_console() -> Console:
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

    console, path = make_console(), output / "results.json"
    # This raises an error early if results cannot be added to the file.
    read_results(path)
    entries, failed_studies, last_print_time = {}, [], float("-inf")
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress_bar:
        progress_task = progress_bar.add_task("", total=len(studies))

        def show(name, n_done, step, fraction=None):
            nonlocal last_print_time
            line = make_printable(f"{name}: {step}")
            progress_bar.update(progress_task, description=line, completed=n_done + (fraction or 0))
            if not console.is_terminal and perf_counter() - last_print_time >= PROGRESS_INTERVAL_SECONDS:
                last_print_time = perf_counter()
                console.print(line, soft_wrap=True)

        for n_done, (name, (study, settings)) in enumerate(studies.items()):
            try:
                entry = _run_study(name, study, replace(settings, notify=partial(show, name, n_done)), output)
            except Exception as error:
                failed_studies.append(name)
                line = make_printable(f"{name} failed: {type(error).__name__}: {error}")
                console.print(line, style="bold red", soft_wrap=True)
            else:
                entry_key = f"{settings.data.name}.{name}"
                entries[entry_key] = entry
                # The file is written after each study, because a study may take hours and may be interrupted.
                add_results(path, {entry_key: entry})
                console.print(
                    *make_study_tables(entry_key, entry["metrics"], [plot["file"] for plot in entry["plots"]])
                )
        progress_bar.update(progress_task, description="done", completed=len(studies))
    add_results(path, {"environment": describe_environment()})
    n_plots = sum(len(entry["plots"]) for entry in entries.values())
    print(make_printable(f"Wrote {path} and {format_count(n_plots, 'figure')}."))
    if failed_studies:
        print(f"fastlin: these studies failed: {', '.join(failed_studies)}", file=sys.stderr)
    return entries, failed_studies


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


def report_claims(new_entries: dict[str, Any], failed_studies: list[str], output: Path) -> Path:
    """Evaluate the claims on the results of this and earlier runs, print and store the verdicts, and write the report.

    `new_entries` and `failed_studies` are the return values of `run_studies`. Earlier results of studies that failed in
    this run are not used. Return the path of the report.
    """
    results = read_results(output / "results.json")
    entries = {
        study: entry
        for study, entry in choose_report_entries(results, new_entries).items()
        if study not in failed_studies
    }
    claims = evaluate_claims(entries, failed_studies)
    add_results(output / "results.json", {"claims": claims})
    page = output / "report.html"
    write_page(page, entries, claims, results["environment"], failed_studies)
    contradicted_claims = [claim for claim in claims if claim["verdict"] == CONTRADICTED]
    if contradicted_claims:
        columns = {"report": "reports", "task": "task", "claim": "says", "reported": "reported", "measured": "here"}
        rows = [[claim[name] for name in columns.values()] for claim in contradicted_claims]
        make_console().print(make_table("Contradicted claims", list(columns), rows))
    verdict_counts = Counter(claim["verdict"] for claim in claims)
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in verdict_counts.most_common())
    print(f"{len(claims)} claims: {verdicts}. The report lists all of them.")
    missing_studies = {claim["study"] for claim in claims if claim["verdict"] == NOT_RUN}
    if missing_studies:
        print(f"These studies failed or were not requested: {', '.join(sorted(missing_studies))}.")
    print(make_printable(f"Wrote {page}."))
    return page


def make_study_tables(title: str, metrics: dict[str, Any], plots: Sequence[str]) -> list[Table | str]:
    """Return a title and the tables of a study for the console. The first table lists scalars and figure names."""
    plot_row = {"plots": ", ".join(plots)} if plots else {}
    return [title, *(make_table(table.title, table.columns, table.rows) for table in tabulate(metrics | plot_row))]


def make_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table of strings for the console. If `columns` is empty, it has two columns without headers."""
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", title_style="cyan", box=None, show_header=any(columns))
    rows = list(rows)
    # In a narrow terminal, short names of rows stay on one line, and other cells have more lines.
    has_short_names = max((len(row[0]) for row in rows), default=0) <= MAX_NAME_LENGTH
    for i, column in enumerate(columns or ("", "")):
        words = " ".join([column, *(row[i] for row in rows)]).split()
        min_width = min(max(map(len, words), default=1), MAX_WORD_LENGTH)
        table.add_column(column, overflow="fold", no_wrap=i == 0 and has_short_names, min_width=min_width)
    for row in rows:
        table.add_row(*row)
    return table


def load_images(options: SimpleNamespace, needs_cifar10: bool) -> datasets.Dataset:
    """Return CIFAR-10 or MNIST, or scikit-learn's digits if the data set is unavailable.

    A folder given with --data must contain the data set.
    """
    name, load, files = "MNIST", datasets.load_mnist, [name for name, *_ in datasets.MNIST_FILES.values()]
    if needs_cifar10:
        load = partial(datasets.load_cifar10, N_VALIDATION_IMAGES, options.seed)
        name, files = "CIFAR-10", datasets.CIFAR10_FILES
    try:
        return load(folder=options.data)
    except datasets.DatasetNotFoundError as error:
        if options.data is not None:
            raise CommandError(f"{options.data} does not contain {name}, whose files are {', '.join(files)}") from error
        print(f"{name} is not on disk and cannot be downloaded, so its studies run on scikit-learn's 8 × 8 digits.")
        return datasets.load_digits()
    except ValueError as error:
        raise CommandError(str(error)) from error
