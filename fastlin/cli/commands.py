"""The commands: each is a function from its options to the exit status, and its docstring is its help."""

from __future__ import annotations

import webbrowser
from functools import partial
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace

import click
from click import Choice, argument, option

from fastlin import __version__, datasets
from fastlin.cli.arguments import (
    SETTINGS,
    CommandError,
    command,
    count_option,
    data_option,
    output_option,
    refuse,
    require,
)
from fastlin.cli.doctor import describe_code, describe_environment, doctor, lay_out_environment
from fastlin.cli.fit_and_predict import fit, predict
from fastlin.cli.results import write_results
from fastlin.cli.studies import report_claims, run_studies
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES, learning, peers
from fastlin.course.studies import compare as comparison
from fastlin.course.studies.cifar10_training import N_VALIDATION
from fastlin.course.studies.settings import Settings, Study
from fastlin.extras import tell_install
from fastlin.kernels.machine.archives import list_kernels
from fastlin.kernels.machine.cache_folder import cache_folder
from fastlin.kernels.machine.target import TARGET
from fastlin.places import check_writable
from fastlin.progress import show_bar
from fastlin.terminal import make_printable


@command(
    "for the course: repeat the studies, write a report with verdicts",
    argument("studies", nargs=-1, metavar="[STUDY]..."),
    option(
        "--quick", is_flag=True, help="Use few epochs, rows and seeds, to see that all works; claims get no verdict."
    ),
    count_option("--draws", 1, "Networks that cifar10_search draws and trains; more take longer.", default=100),
    option("--open", is_flag=True, help="Show the report in the browser at the end."),
    data_option("MNIST and CIFAR-10"),
    output_option,
    count_option("--seed", 0, "Seed of splits, orders, networks and draws; compare and learning stay.", default=0),
)
def reproduce(options: SimpleNamespace) -> int:
    """Run the studies of the course, and write a report with verdicts on the claims of the student reports.

    Also written are results.json and pictures. Where no STUDY is named, these run: images, gradient_check, binary,
    early_stopping, shuffling, softmax, l2_weights, l2_sweep, l2_norm, compare, learning. These take minutes to hours
    and run only where they are named: cifar10_two_layer, cifar10_search, cifar10_deep.

    Examples
    --------
      fastlin reproduce --quick --open
      fastlin reproduce softmax l2_sweep --output results
    """
    require("studies")
    studies = {**STUDIES, **CIFAR10_STUDIES}
    unknown = [name for name in options.studies if name not in studies]
    if unknown:
        raise CommandError(f"unknown study {unknown[0]!r}; there are {', '.join(studies)}")
    names = list(dict.fromkeys(options.studies)) or list(STUDIES)
    output = _writable_folder(options.output)
    loaders = {name: _load_cifar10 if name in CIFAR10_STUDIES else _load_mnist for name in names}
    settings = {}
    for load in dict.fromkeys(loaders.values()):
        data = load(options)
        settings[load] = Settings(data, options.quick, options.seed, folder=output / data.name, draws=options.draws)
    found, failed = run_studies({name: (studies[name], settings[load]) for name, load in loaders.items()}, output)
    page = report_claims(found, failed, output)
    if options.open:
        address = page.resolve().as_uri()
        if not webbrowser.open(address):
            print(f"No browser was found. The report is at {address}")
    return 1 if failed else 0


DTYPE = """Type of the data. float32 takes half the memory and less time, and keeps 7 digits of each value, not 16;
the study of accuracy against seconds always takes float64."""


@command(
    "to choose a library: time fastlin and scikit-learn on this machine",
    option("--quick", is_flag=True, help="Train on 1,000 rows, once, to see that all works; its seconds say little."),
    option(
        "--peers", is_flag=True, help="Time all installed libraries of the extra peers; write peers.json and a picture."
    ),
    option("--dtype", type=Choice(["float64", "float32"]), default="float64", help=DTYPE),
    data_option("MNIST"),
    output_option,
    count_option("--classes", 2, "Classes of random data.", show_default="10"),
    count_option("--samples", 10, "Random rows to train on; a fifth more test.", show_default="20000"),
    count_option("--features", 1, "Columns of random data.", show_default="100"),
    count_option("--seed", 0, "Seed of the random data; MNIST is the same with each.", default=0),
)
def compare(options: SimpleNamespace) -> int:
    """Train fastlin, scikit-learn and the course's trainer on the same data.

    Printed are seconds, accuracy and log loss, and written are results.json and two pictures. Any of --classes,
    --samples and --features replaces MNIST by random data with a normal cluster for each class.

    Examples
    --------
      fastlin compare --quick
      fastlin compare --classes 3 --samples 2000 --features 20 --dtype float32
      fastlin compare --peers --output peers
    """
    require("studies")
    output = _writable_folder(options.output)
    sizes = (options.classes, options.samples, options.features)
    data = _load_mnist(options, datasets.COURSE_IMAGES) if sizes == (None, None, None) else _make_synthetic(options)
    settings = Settings(data, options.quick, options.seed)
    if not options.peers:
        studies: dict[str, Study] = {"compare": partial(comparison.run, dtype=options.dtype), "learning": learning.run}
        _, failed = run_studies({name: (study, settings) for name, study in studies.items()}, output)
        return 1 if failed else 0
    missing = peers.find_missing()
    if missing:
        print(f"Not installed, so not compared: {', '.join(missing)}.")
        print(f"{tell_install('peers')} installs them, and '.[peers-torch]' PyTorch.")

    def run_peers(settings):
        results = peers.run(settings, options.dtype)
        parameters = {**results.parameters, "seed": settings.seed, "quick": settings.quick}
        report = {**parameters, **results.series, "environment": describe_environment()}
        write_results(output / "peers.json", report)
        return results

    _, failed = run_studies({"peers": (run_peers, settings)}, output)
    return 1 if failed else 0


@command("show versions, processor, threads and the folder of compiled code")
def info(options: SimpleNamespace) -> int:
    """Show versions, the processor, threads, and which compiled code is used, with its folder and size.

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
    kernels = list_kernels()
    n_compiled = sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels)
    if TARGET.archive and not n_compiled:
        print(f"Nothing has to be compiled: the code in use is {describe_code()}.")
        return 0
    place = cache_folder() or "no folder, since none is writable"
    print(make_printable(f"Compiled in {perf_counter() - begin:.1f} s; kept in {place}."))
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


def _writable_folder(name):
    """Return the folder as a Path and make it where it does not exist; refuse one that cannot be written."""
    folder = Path(name)
    with refuse(f"cannot write to the folder {name!r}", OSError):
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder)
    return folder


def _make_synthetic(options):
    """Return synthetic data of the sizes that the options give."""
    classes, samples, features = options.classes or 10, options.samples or 20_000, options.features or 100
    if samples < classes:
        raise CommandError(f"--samples {samples} must be at least --classes {classes}")
    try:
        return comparison.make_synthetic(classes, samples, features, options.seed)
    except MemoryError as error:
        raise CommandError(f"{samples:,} × {features:,} values do not fit into memory") from error


def _load_mnist(options, n_train=60_000):
    """Return MNIST, or the embedded digits where MNIST is neither on disk nor within reach."""
    names = ", ".join(name for name, *_ in datasets.MNIST_FILES.values())
    load = partial(datasets.load_mnist, n_train)
    return _load_or_digits("MNIST", f"MNIST's files {names} (gzipped or not)", load, options.data)


def _load_cifar10(options):
    """Return CIFAR-10 with validation images, or the embedded digits where it is neither on disk nor within reach."""
    wanted = f"CIFAR-10 in any of the forms {', '.join(datasets.CIFAR10_FORMS)}"
    load = partial(datasets.load_cifar10, N_VALIDATION, options.seed)
    return _load_or_digits("CIFAR-10", wanted, load, options.data)


def _load_or_digits(name, wanted, load, folder):
    """Load a data set; where the user gave a folder, that one has to hold what is wanted."""
    try:
        return load(folder=folder)
    except datasets.DatasetNotFoundError as error:
        if folder is not None:
            raise CommandError(f"{folder} does not hold {wanted}") from error
        print(f"{name} is neither on disk nor within reach: its studies run on scikit-learn's 8 × 8 digits instead.")
        return datasets.load_digits()
    except ValueError as error:
        raise CommandError(str(error)) from error
