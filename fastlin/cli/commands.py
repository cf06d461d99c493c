"""The commands: each is a function from the parsed options to the exit status of the program."""

from __future__ import annotations

import webbrowser
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from fastlin import datasets
from fastlin.cli.arguments import CommandError, refuse, require
from fastlin.cli.doctor import examine
from fastlin.cli.environment import describe_code, describe_environment, lay_out_environment
from fastlin.cli.fit_and_predict import fit_model, predict_rows
from fastlin.cli.results import write_results
from fastlin.cli.studies import report_claims, run_studies
from fastlin.course.studies import CIFAR10_STUDIES, STUDIES, compare, learning, peers
from fastlin.course.studies.cifar10_training import N_VALIDATION
from fastlin.course.studies.settings import Settings, Study
from fastlin.extras import tell_install
from fastlin.kernels.machine.archives import list_kernels
from fastlin.kernels.machine.cache_folder import cache_folder
from fastlin.kernels.machine.target import TARGET
from fastlin.places import check_writable
from fastlin.progress import show_bar
from fastlin.terminal import make_printable

if TYPE_CHECKING:
    import argparse


def reproduce(options: argparse.Namespace) -> int:
    """Run the studies that are named, or all that do not have to be named."""
    require("studies")
    studies = {**STUDIES, **CIFAR10_STUDIES}
    unknown = [name for name in options.studies if name not in studies]
    if unknown:
        raise CommandError(f"unknown study {unknown[0]!r}; there are {', '.join(studies)}")
    names = list(dict.fromkeys(options.studies)) or list(STUDIES)
    output = _writable_folder(options.output)
    loaders = {name: _load_cifar10 if name in CIFAR10_STUDIES else _load_mnist for name in names}
    data = {load: load(options) for load in dict.fromkeys(loaders.values())}
    settings = {
        load: Settings(loaded, options.quick, options.seed, folder=output / loaded.name, draws=options.draws)
        for load, loaded in data.items()
    }
    found, failed = run_studies({name: (studies[name], settings[load]) for name, load in loaders.items()}, output)
    page = report_claims(found, failed, output)
    if options.open:
        address = page.resolve().as_uri()
        if not webbrowser.open(address):
            print(f"No browser was found. The report is at {address}")
    return 1 if failed else 0


def compare_libraries(options: argparse.Namespace) -> int:
    """Compare fastlin with scikit-learn, or with every installed peer, on MNIST or on synthetic data."""
    require("studies")
    output = _writable_folder(options.output)
    sizes = (options.classes, options.samples, options.features)
    data = _load_mnist(options, datasets.COURSE_IMAGES) if sizes == (None, None, None) else _make_synthetic(options)
    settings = Settings(data, options.quick, options.seed)
    if not options.peers:
        studies: dict[str, Study] = {"compare": partial(compare.run, dtype=options.dtype), "learning": learning.run}
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


def show_information(options: argparse.Namespace) -> int:
    """Print versions, processor, threads and the place of compiled code, one line for each."""
    print(*lay_out_environment(), sep="\n")
    return 0


def compile_ahead(options: argparse.Namespace) -> int:
    """Compile everything that the estimators and trainers need, and show how far that is."""
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


COMMANDS = {
    "fit": fit_model,
    "predict": predict_rows,
    "reproduce": reproduce,
    "compare": compare_libraries,
    "doctor": examine,
    "info": show_information,
    "warmup": compile_ahead,
}


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
        return compare.make_synthetic(classes, samples, features, options.seed)
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
