"""The commands: each is a function from its options to the exit status, and its docstring is its help."""

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
    FILE,
    SEED,
    SETTINGS,
    STRENGTH,
    CommandError,
    command,
    data_option,
    drop_option,
    output_option,
    refuse,
    require,
    table_options,
)
from fastlin.cli.comparison import pose
from fastlin.cli.doctor import describe_environment, doctor, lay_out_environment
from fastlin.cli.fit_and_predict import fit, predict
from fastlin.cli.results import write_results
from fastlin.cli.studies import make_folder, report_claims, run_studies
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES, baselines
from fastlin.course.studies.cifar10_training import N_VALIDATION
from fastlin.course.studies.settings import Settings
from fastlin.extras import format_install_command
from fastlin.kernels.machine.cache_folder import cache_folder
from fastlin.terminal import make_printable, show_bar

QUICK = "Use few epochs, rows and seeds, to see that all works; claims get no verdict."
DRAWS = "Networks that cifar10_search draws and trains; more take longer."
SEEDED = "Seed of splits, orders, networks and draws; learning stays."
QUICK_COMPARISON = "Train on 1,000 rows of MNIST, to see that all works; its seconds say little."
BASELINES = "Give all libraries a quarter of an hour: --seconds 900."
SECONDS = "About how long the whole comparison takes; a fit that takes longer than the share of its library is stopped."
DTYPE = "Type of the data. float32 takes half the memory and less time, and keeps 7 digits of each value, not 16."


@command(
    "for the course: repeat the studies, write a report with verdicts",
    argument("studies", nargs=-1, type=Choice([*STUDIES, *CIFAR10_STUDIES]), metavar="[STUDY]..."),
    option("--quick", is_flag=True, help=QUICK),
    option("--draws", type=IntRange(1), metavar="N", default=100, help=DRAWS),
    option("--open", is_flag=True, help="Show the report in the browser at the end."),
    data_option,
    output_option,
    option("--seed", type=SEED, metavar="N", default=0, help=SEEDED),
)
def reproduce(options: SimpleNamespace) -> int:
    """Run the studies of the course, and write a report with verdicts on the claims of the student reports.

    Also written are results.json and pictures. Where no STUDY is named, these run: images, gradient_check, binary,
    early_stopping, shuffling, softmax, l2_weights, l2_sweep, l2_norm, learning. These take minutes to hours and run
    only where they are named: cifar10_two_layer, cifar10_search, cifar10_deep.

    Examples
    --------
      fastlin reproduce --quick --open
      fastlin reproduce softmax l2_sweep --output results
    """
    require("studies")
    make_folder(options.output)
    names = dict.fromkeys(options.studies or STUDIES)
    settings = {}
    for is_homework in dict.fromkeys(name in CIFAR10_STUDIES for name in names):
        data = _load(options, is_homework)
        folder = options.output / data.name
        settings[is_homework] = Settings(data, options.quick, options.seed, folder=folder, draws=options.draws)
    known = {**STUDIES, **CIFAR10_STUDIES}
    studies = {name: (known[name], settings[name in CIFAR10_STUDIES]) for name in names}
    found, failed = run_studies(studies, options.output)
    page = report_claims(found, failed, options.output)
    if options.open:
        webbrowser.open(page.resolve().as_uri())
    return 1 if failed else 0


# Options of `compare` that say what to do with a table.
OF_A_TABLE = ("target", "drop", "C", "separator", "decimal", "thousands", "encoding")


@command(
    "to choose a library: time fastlin and others on a table of yours or MNIST",
    argument("table", required=False, type=FILE, metavar="[DATA]"),
    option("--target", metavar="COLUMN", default="y", help="Column of the labels in DATA, or array in .npz."),
    drop_option,
    option("--C", "C", type=STRENGTH, default=1.0, help="Inverse strength of the penalty on DATA."),
    option("--seconds", type=FloatRange(1, 86_400), default=baselines.SECONDS, help=SECONDS),
    option("--quick", is_flag=True, help=QUICK_COMPARISON),
    option("--baselines", "seconds", flag_value=baselines.MANY_SECONDS, help=BASELINES),
    option("--dtype", type=Choice(["float64", "float32"]), default="float64", help=DTYPE),
    data_option,
    output_option,
    *table_options,
)
def compare(options: SimpleNamespace) -> int:
    """Fit all installed libraries to DATA, or to MNIST where no DATA is given, with more and more effort.

    DATA is a table as `fastlin fit` reads it, a file of NumPy with arrays X and y (.npz), or one of libsvm (.svm,
    .libsvm, .txt). Every library minimizes the same objective. Printed are the seconds after which each is near the
    minimum, and its accuracy on rows that were held out. A picture and comparison.json have every fit.

    Examples
    --------
      fastlin compare flights.csv --target delayed --seconds 30
      fastlin compare --quick
      fastlin compare --baselines --output baselines
    """
    require("studies")
    if options.table is not None and (options.quick or options.data):
        raise CommandError("--quick and --data are for MNIST, and cannot be given with a table")
    context = click.get_current_context()
    for name in OF_A_TABLE if options.table is None else ():
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise CommandError(f"--{name} is for a table, and no DATA is given")
    make_folder(options.output)
    missing = baselines.find_missing()
    if missing:
        print(f"Not installed, so not compared: {', '.join(missing)}.")
        print(f"{format_install_command('baselines')} installs them, and '.[baselines-torch]' PyTorch.")
        # adelie asks for NumPy 1, and works with NumPy 2.
        print("'pip install --no-deps adelie ipython' installs adelie.")
    if options.table is None:
        data, posed = _load(options, is_homework=False), None
    else:
        data = datasets.Dataset("table", *4 * (np.empty(0),))
        with refuse(f"cannot compare on {options.table}", ValueError, MemoryError):
            posed = [pose(options)]

    def comparison(settings):
        results = baselines.run(settings, options.dtype, posed, options.seconds)
        report = {"file": options.table, **results.parameters, **results.series, "quick": options.quick}
        write_results(options.output / "comparison.json", {**report, "environment": describe_environment()})
        return results

    _, failed = run_studies({"baselines": (comparison, Settings(data, options.quick))}, options.output)
    return 1 if failed else 0


@command("show versions, processor, threads and the folder of compiled code")
def info(options: SimpleNamespace) -> int:
    """Show versions, the processor, threads, and which compiled code is used, with its folder.

    Examples
    --------
      fastlin info
    """
    print(*lay_out_environment(), sep="\n")
    return 0


@command("before the first fit: compile everything that fits need, once")
def warmup(options: SimpleNamespace) -> int:
    """Compile what estimators and trainers need for float64, float32 and uint8 data, for all later processes.

    A wheel that carries compiled code leaves nothing to do.

    Examples
    --------
      fastlin warmup
    """
    from fastlin.warmup import STEPS

    begin = perf_counter()
    with show_bar("fastlin", len(STEPS)) as show:
        for n_done, (name, compile_step) in enumerate(STEPS.items()):
            show(n_done, name)
            compile_step()
        show(len(STEPS), "done")
    place = cache_folder() or "no folder, since none is writable"
    print(make_printable(f"Ready after {perf_counter() - begin:.1f} s; what was compiled is kept in {place}."))
    return 0


program = click.Group(
    "fastlin",
    commands=[fit, predict, reproduce, compare, doctor, info, warmup],
    context_settings=SETTINGS,
    no_args_is_help=False,
    help="Fit linear classifiers, compare libraries, and repeat the course's studies.",
    epilog="`fastlin COMMAND --help` describes a command and its options.",
)
click.version_option(__version__, message="fastlin %(version)s")(program)


def _load(options, is_homework):
    """Return CIFAR-10 or MNIST, or the embedded digits where they are out of reach; a given folder has to hold them."""
    name, load, files = "MNIST", datasets.load_mnist, [name for name, *_ in datasets.MNIST_FILES.values()]
    if is_homework:
        load = partial(datasets.load_cifar10, N_VALIDATION, options.seed)
        name, files = "CIFAR-10", datasets.CIFAR10_FORMS
    try:
        return load(folder=options.data)
    except datasets.DatasetNotFoundError as error:
        if options.data is not None:
            raise CommandError(f"{options.data} does not hold {name}, whose files are {', '.join(files)}") from error
        print(f"{name} is neither on disk nor within reach: its studies run on scikit-learn's 8 × 8 digits instead.")
        return datasets.load_digits()
    except ValueError as error:
        raise CommandError(str(error)) from error
