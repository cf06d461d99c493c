"""The program ``fastlin``: reproduce the studies, compare with scikit-learn, show what is installed, warm up."""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter

from fastlin import __version__, datasets, figures
from fastlin.kernels.machine.compilation import cache_folder
from fastlin.kernels.machine.threads import count_threads
from fastlin.studies import CIFAR10_STUDIES, STUDIES, compare, peers
from fastlin.studies.cifar10 import N_VALIDATION
from fastlin.studies.settings import Settings

PACKAGES = (
    "numpy",
    "numba",
    "llvmlite",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "pillow",
    "threadpoolctl",
    "rich",
    "joblib",
)
THREADING_LAYER = "Python threads over row blocks; kernels hold no interpreter lock"


class CommandError(Exception):
    """A mistake of the user's: one line on standard error and exit status 2."""


def main(arguments=None):
    """Run the program; return its exit status: 0 done, 1 a study failed, 2 a bad call, 130 interrupted."""
    parser = _build_parser()
    try:
        options = parser.parse_args(arguments)
        return options.run(options)
    except CommandError as error:
        print(f"fastlin: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fastlin: interrupted", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise CommandError(f"{message} (see {self.prog} --help)")


def _build_parser():
    parser = _Parser(prog="fastlin", description="Train linear classifiers fast; reproduce the studies.")
    parser.add_argument("--version", action="version", version=f"fastlin {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)

    reproduce = commands.add_parser("reproduce", help="run the studies and write pictures and results.json")
    reproduce.add_argument(
        "studies",
        nargs="*",
        metavar="STUDY",
        help=f"of {', '.join(STUDIES)}, which all run by default, and of {', '.join(CIFAR10_STUDIES)}",
    )
    reproduce.add_argument("--quick", action="store_true", help="fewer epochs and rows, to see that all works")
    reproduce.add_argument(
        "--draws", type=_count_from(1), default=100, metavar="N", help="of cifar10_search; default: 100"
    )
    reproduce.set_defaults(run=_reproduce)

    comparison = commands.add_parser("compare", help="fastlin and scikit-learn on the same objective")
    comparison.add_argument("--peers", action="store_true", help="beside every installed peer; writes peers.json")
    comparison.add_argument("--quick", action="store_true", help="fewer rows and seconds, to see that all works")
    comparison.add_argument("--classes", type=_count_from(2), help="classes of synthetic data (default 10)")
    comparison.add_argument("--samples", type=_count_from(10), help="rows of synthetic data (default 20000)")
    comparison.add_argument("--features", type=_count_from(1), help="columns of synthetic data (default 100)")
    comparison.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    comparison.set_defaults(run=_compare)

    for command in (reproduce, comparison):
        command.add_argument("--data", metavar="DIR", help="folder with the data; default: see the README")
        command.add_argument("--output", metavar="DIR", default="results", help="default: results")
        command.add_argument("--seed", type=_count_from(0), default=0, metavar="N", help="default: 0")

    info = commands.add_parser("info", help="versions, processor, threads and the place of compiled code")
    info.set_defaults(run=_info)
    warmup = commands.add_parser("warmup", help="compile what the estimators need, once")
    warmup.set_defaults(run=_warmup)
    return parser


def _count_from(lowest):
    def whole_number(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not lowest <= value < 2**32:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {lowest}")
        return value

    return whole_number


def _reproduce(options):
    studies = {**STUDIES, **CIFAR10_STUDIES}
    unknown = [name for name in options.studies if name not in studies]
    if unknown:
        raise CommandError(f"unknown study {unknown[0]!r}; there are {', '.join(studies)}")
    names = list(dict.fromkeys(options.studies)) or list(STUDIES)
    output = _writable_folder(options.output)
    loaders = {name: _load_cifar10 if name in CIFAR10_STUDIES else _load_mnist for name in names}
    data = {load: load(options) for load in dict.fromkeys(loaders.values())}
    return _run_studies({name: (studies[name], data[load]) for name, load in loaders.items()}, options, output)


def _compare(options):
    sizes = (options.classes, options.samples, options.features)
    output = _writable_folder(options.output)
    if any(size is not None for size in sizes):
        classes, samples, features = options.classes or 10, options.samples or 20_000, options.features or 100
        if samples < classes:
            raise CommandError(f"--samples {samples} must be at least --classes {classes}")
        try:
            data = compare.make_synthetic(classes, samples, features, options.seed)
        except MemoryError as error:
            raise CommandError(f"{samples:,} × {features:,} values do not fit into memory") from error
    else:
        data = _load_mnist(options)
    if not options.peers:
        return _run_studies({"compare": (lambda settings: compare.run(settings, options.dtype), data)}, options, output)
    missing = peers.find_missing()
    if missing:
        print(f"Not installed, so not compared: {', '.join(missing)}. pip install 'fastlin[peers]' installs them.")

    def run_peers(settings):
        results = peers.run(settings, options.dtype)
        path = output / "peers.json"
        parameters = {**results.parameters, "seed": options.seed, "quick": options.quick}
        _write_report(path, {**parameters, **results.series, "environment": describe_environment()})
        return results

    return _run_studies({"peers": (run_peers, data)}, options, output)


def _writable_folder(name):
    """Return the folder, made where it does not exist; refuse one that cannot be written."""
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise CommandError(f"cannot write to the folder {name!r}: {error.strerror}") from error
    return folder


def _load_mnist(options):
    """Return MNIST's course data, or the embedded digits where MNIST is neither on disk nor within reach."""
    names = ", ".join(name for name, *_ in datasets.MNIST_FILES.values())
    wanted = f"MNIST's files {names} (gzipped or not)"
    return _load_or_digits("MNIST", wanted, options.data, datasets.load_mnist, datasets.COURSE_IMAGES)


def _load_cifar10(options):
    """Return CIFAR-10 with validation images, or the embedded digits where it is neither on disk nor within reach."""
    wanted = f"CIFAR-10 in any of the forms {', '.join(datasets.CIFAR10_FORMS)}"
    return _load_or_digits("CIFAR-10", wanted, options.data, datasets.load_cifar10, N_VALIDATION, options.seed)


def _load_or_digits(name, wanted, folder, load, *arguments):
    try:
        return load(*arguments, folder=folder)
    except datasets.DatasetNotFoundError as error:
        if folder is not None:
            raise CommandError(f"{folder} does not hold {wanted}") from error
        print(f"{name} is neither on disk nor within reach: its studies run on scikit-learn's 8 × 8 digits instead.")
        return datasets.load_digits()
    except ValueError as error:
        raise CommandError(str(error)) from error


def _run_studies(studies, options, output):
    """Run studies, given as functions and the data of each, draw them and write the report."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console()
    path = output / "results.json"
    report = {}
    failed = []

    def write():
        # What earlier runs of other studies found stays there.
        _write_report(path, {**_read_report(path), **report, "environment": describe_environment()})

    columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        part_task = bar.add_task("", total=None, visible=False)
        task = bar.add_task("", total=len(studies))

        def show(name, what, part=None):
            bar.update(task, description=name if part is not None else f"{name}: {what}")
            bar.update(
                part_task, description=f"  {what}", completed=100 * (part or 0), total=100, visible=part is not None
            )

        for name, (study, data) in studies.items():
            show(name, "start")
            settings = Settings(
                data, options.quick, options.seed, partial(show, name), output, getattr(options, "draws", None)
            )
            begin = perf_counter()
            try:
                results = study(settings)
                show(name, "drawing")
                pictures = figures.draw(name, results, output, data.name == "mnist" and not options.quick)
            except Exception as error:
                failed.append(name)
                bar.console.print(f"[bold red]{name} failed:[/] {type(error).__name__}: {error}", highlight=False)
            else:
                report[f"{data.name}.{name}"] = {
                    "parameters": {**results.parameters, "seed": options.seed, "quick": options.quick},
                    "merits": results.merits,
                    "seconds": perf_counter() - begin,
                    "pictures": pictures,
                }
                # After each: studies take up to hours, and may be stopped.
                write()
                bar.console.print(_tables(f"{data.name}.{name}", results.merits, pictures))
            bar.advance(task)
        bar.update(task, description="done")
    write()
    console.print(f"Wrote {path} and {sum(len(r['pictures']) for r in report.values())} pictures.")
    if failed:
        print(f"fastlin: these studies failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    return 0


def _read_report(path):
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def _write_report(path, report):
    """Write by way of a temporary name, so that an interrupted run leaves no half-written file."""
    temporary = path.with_suffix(".json.part")
    temporary.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _tables(title, merits, pictures):
    """Return what a study found: its single figures, and below them a table of each that has rows of its own."""
    from rich.console import Group
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="cyan")
    table.add_column(overflow="fold")
    inner = []
    for name, value in merits.items():
        if isinstance(value, dict) and all(isinstance(row, dict) for row in value.values()):
            inner.append(_inner_table(name, value))
        else:
            table.add_row(name.replace("_", " "), _format(value))
    if pictures:
        table.add_row("pictures", ", ".join(pictures))
    return Group(table, *inner)


def _inner_table(title, rows):
    """Return a table of rows by name, all with the same columns; turned where there are more columns than rows."""
    from rich.table import Table

    if len(next(iter(rows.values()))) > len(rows):
        fields = next(iter(rows.values()))
        rows = {field.replace("_", " "): {name: row[field] for name, row in rows.items()} for field in fields}
    table = Table(
        title=title.replace("_", " "), title_justify="left", title_style="cyan", box=None, padding=(0, 2, 0, 0)
    )
    columns = list(next(iter(rows.values())))
    table.add_column(overflow="fold")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right", overflow="fold")
    for name, row in rows.items():
        table.add_row(name, *(_format(row[column], 4) for column in columns))
    return table


def _format(value, digits=5):
    if isinstance(value, dict):
        return "   ".join(f"{key.replace('_', ' ')} {_format(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "  ".join(_format(item) for item in value)
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:,.2f}"
    return str(value)


def describe_environment():
    """Return versions, processor, threads and the place of compiled code, as plain values."""
    import threadpoolctl

    folder = cache_folder()
    size = 0
    for file in folder.iterdir() if folder else ():
        # Another process may be writing there.
        with contextlib.suppress(OSError):
            size += file.stat().st_size
    return {
        "fastlin": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: importlib.metadata.version(package) for package in PACKAGES},
        "processor": _processor_name(),
        "processors": os.cpu_count(),
        "threads": count_threads(),
        "threading_layer": THREADING_LAYER,
        "blas": [
            f"{library['internal_api']} {library['version']}, {library['num_threads']} threads"
            for library in threadpoolctl.threadpool_info()
            if library["user_api"] == "blas"
        ],
        "cache": str(folder) if folder else "none: no place is writable",
        "cache_megabytes": round(size / 1e6, 1),
    }


def _processor_name():
    """Return the processor's name and LLVM's name for it, which decides the instructions that kernels use."""
    import llvmlite.binding

    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name} ({llvmlite.binding.get_host_cpu_name()})"


def _info(options):
    environment = describe_environment()
    width = max(map(len, environment))
    for name, value in environment.items():
        print(f"{name.replace('_', ' '):<{width}}  {', '.join(value) if isinstance(value, list) else value}")
    return 0


def _warmup(options):
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from fastlin.warmup import STEPS

    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    begin = perf_counter()
    with Progress(*columns) as bar:
        task = bar.add_task("", total=len(STEPS))
        for name, compile_step in STEPS.items():
            bar.update(task, description=name)
            compile_step()
            bar.advance(task)
        bar.update(task, description="done")
    print(f"Compiled in {perf_counter() - begin:.1f} s; kept in {cache_folder() or 'no folder: none is writable'}")
    return 0
