"""The commands of the program. They take options and return the exit status; their docstrings are the help texts."""

from __future__ import annotations

import webbrowser
from functools import partial
from time import perf_counter
from types import SimpleNamespace

import click
import numpy as np
from click import Choice, FloatRange, IntRange, argument, option

from fastlin import __version__, datasets
from fastlin.cli.arguments import (
    EXISTING_FILE,
    SEED_RANGE,
    SETTINGS,
    STRENGTH_RANGE,
    CommandError,
    command,
    convert_errors,
    data_option,
    drop_option,
    output_option,
    require,
    table_options,
)
from fastlin.cli.comparison import read_training_and_held_out_problems
from fastlin.cli.doctor import describe_environment, doctor, format_environment
from fastlin.cli.fit_and_predict import fit, predict
from fastlin.cli.results import write_results
from fastlin.cli.studies import make_folder, report_claims, run_studies
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES, baselines
from fastlin.course.studies.cifar10_training import N_VALIDATION_IMAGES
from fastlin.course.studies.settings import Settings
from fastlin.environment.extras import format_install_command
from fastlin.environment.terminal import make_printable, show_progress_bar
from fastlin.kernels.machine.cache_folder import cache_folder

QUICK_HELP = "Test run with few epochs, rows and seeds; claims get no verdict."
DRAWS_HELP = "Number of networks that cifar10_search draws and trains."
SEED_HELP = "Random seed of splits, orders, networks and draws; learning does not use it."
QUICK_COMPARISON_HELP = "Test run on 1,000 rows of MNIST; its timings are not meaningful."
BASELINES_HELP = "Compare for a quarter of an hour, as with --seconds 900."
SECONDS_HELP = "Approximate time of the whole comparison. A fit that exceeds its library's share is stopped."
DTYPE_HELP = "Data type. float32 needs half the memory and less time, and keeps 7 significant digits instead of 16."


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
        data = _load(options, needs_cifar10)
        folder = options.output / data.name
        settings[needs_cifar10] = Settings(data, options.quick, options.seed, folder=folder, draws=options.draws)
    available_studies = {**STUDIES, **CIFAR10_STUDIES}
    studies = {name: (available_studies[name], settings[name in CIFAR10_STUDIES]) for name in names}
    entries, failed_studies = run_studies(studies, options.output)
    page = report_claims(entries, failed_studies, options.output)
    if options.open:
        webbrowser.open(page.resolve().as_uri())
    return 1 if failed_studies else 0


# Options of `compare` that apply only if DATA is a table.
TABLE_OPTIONS = ("target", "drop", "C", "separator", "decimal", "thousands", "encoding")


@command(
    "to choose a library: time fastlin and others on your own table or MNIST",
    argument("table", required=False, type=EXISTING_FILE, metavar="[DATA]"),
    option("--target", metavar="COLUMN", default="y", help="Column of the labels in DATA, or array in .npz."),
    drop_option,
    option("--C", "C", type=STRENGTH_RANGE, default=1.0, help="Inverse penalty strength of the fits to DATA."),
    option("--seconds", type=FloatRange(1, 86_400), default=baselines.DEFAULT_COMPARISON_SECONDS, help=SECONDS_HELP),
    option("--quick", is_flag=True, help=QUICK_COMPARISON_HELP),
    option("--baselines", "seconds", flag_value=baselines.LONG_COMPARISON_SECONDS, help=BASELINES_HELP),
    option("--dtype", type=Choice(["float64", "float32"]), default="float64", help=DTYPE_HELP),
    data_option,
    output_option,
    *table_options,
)
def compare(options: SimpleNamespace) -> int:
    """Time all installed libraries on DATA (default: MNIST), with increasing accuracy of the fits.

    DATA is a table that `fastlin fit` can read, a NumPy file with arrays X and y (.npz), or a libsvm file (.svm,
    .libsvm, .txt). Every library minimizes the same objective. The command prints the seconds that each library needs
    to get close to the minimum, and its accuracy on held-out rows. A figure and comparison.json contain every fit.

    Examples
    --------
      fastlin compare flights.csv --target delayed --seconds 30
      fastlin compare --quick
      fastlin compare --baselines --output baselines
    """
    require("studies")
    if options.table is not None and (options.quick or options.data):
        raise CommandError("--quick and --data apply to MNIST only; leave them out to compare on a table")
    context = click.get_current_context()
    for name in TABLE_OPTIONS if options.table is None else ():
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise CommandError(f"--{name} applies to a table only; give the table as DATA")
    make_folder(options.output)
    missing = baselines.find_missing_packages()
    if missing:
        print(f"Not installed, so not compared: {', '.join(missing)}.")
        print(f"{format_install_command('baselines')} installs them, and '.[baselines-torch]' installs PyTorch.")
        # adelie declares that it requires NumPy 1, but it works with NumPy 2.
        print("Install adelie with 'pip install --no-deps adelie ipython'.")
    if options.table is None:
        data, problems = _load(options, needs_cifar10=False), None
    else:
        data = datasets.Dataset("table", *4 * (np.empty(0),))
        with convert_errors(f"cannot compare on {options.table}", ValueError, MemoryError):
            problems = [read_training_and_held_out_problems(options)]

    def compare_libraries(settings):
        results = baselines.run(settings, options.dtype, problems, options.seconds)
        report = {"file": options.table, **results.parameters, **results.series, "quick": options.quick}
        write_results(options.output / "comparison.json", {**report, "environment": describe_environment()})
        return results

    _, failed_studies = run_studies({"baselines": (compare_libraries, Settings(data, options.quick))}, options.output)
    return 1 if failed_studies else 0


@command("show versions, processor, threads and the folder of compiled code")
def info(options: SimpleNamespace) -> int:
    """Show versions, the processor, the number of threads, and which compiled code is used, with its folder.

    Examples
    --------
      fastlin info
    """
    print(*format_environment(), sep="\n")
    return 0


@command("before the first fit: compile all code once, for later processes")
def warmup(options: SimpleNamespace) -> int:
    """Compile the code of estimators and trainers for float64, float32 and uint8 data, for all later processes.

    This is not necessary after an installation from a wheel with compiled code.

    Examples
    --------
      fastlin warmup
    """
    from fastlin.warmup import STEPS

    begin = perf_counter()
    with show_progress_bar("fastlin", len(STEPS)) as show_step:
        for n_done_steps, (name, compile_step) in enumerate(STEPS.items()):
            show_step(n_done_steps, name)
            compile_step()
        show_step(len(STEPS), "done")
    folder = cache_folder()
    storage_note = (
        "could not be stored, because no cache folder is writable" if folder is None else f"is stored in {folder}"
    )
    print(make_printable(f"Ready after {perf_counter() - begin:.1f} s; the compiled code {storage_note}."))
    return 0


program = click.Group(
    "fastlin",
    commands=[fit, predict, reproduce, compare, doctor, info, warmup],
    context_settings=SETTINGS,
    no_args_is_help=False,
    help="Fit linear classifiers, compare libraries, and reproduce the course's studies.",
    epilog="`fastlin COMMAND --help` describes a command and its options.",
)
click.version_option(__version__, message="fastlin %(version)s")(program)


def _load(options, needs_cifar10):
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
