"""The command `compare`, which times libraries on a table or on MNIST."""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace

import click
import numpy as np
from click import Choice, FloatRange, argument, option
from scipy import sparse
from sklearn.datasets import load_svmlight_file
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import check_X_y
from sklearn.utils.multiclass import type_of_target

from fastlin import datasets
from fastlin.benchmarking.baseline import parse_baseline
from fastlin.benchmarking.benchmark import replace_non_finite_numbers
from fastlin.benchmarking.comparison_problem import ComparisonProblem
from fastlin.benchmarking.library_comparison import compare_libraries
from fastlin.benchmarking.other_libraries import find_missing_packages
from fastlin.benchmarking.suboptimality_curves import DEFAULT_COMPARISON_SECONDS, LONG_COMPARISON_SECONDS
from fastlin.benchmarking.timing import N_REPEATS
from fastlin.cli.arguments import (
    EXISTING_FILE,
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
from fastlin.cli.data_files import validate_training_data
from fastlin.cli.doctor import describe_environment
from fastlin.cli.notes import print_notes
from fastlin.cli.results import write_results
from fastlin.cli.studies import load_images, make_folder, run_studies
from fastlin.course.studies.image_problems import make_problems
from fastlin.course.studies.settings import Results, Settings
from fastlin.environment.extras import format_install_command
from fastlin.environment.terminal import make_printable

LIBSVM_SUFFIXES = (".svm", ".libsvm", ".txt")
HELD_OUT_FRACTION = 0.2
# Number of copies of the table that must fit into memory: the rows, the encoded rows and a library's copies.
N_TABLE_COPIES = 4
QUICK_COMPARISON_HELP = "Test run on 1,000 rows of MNIST; its timings are not meaningful."
BASELINES_HELP = "Compare for a quarter of an hour, as with --seconds 900."
SECONDS_HELP = "Approximate time of the comparison without loading. A fit that exceeds its library's share is stopped."
OTHER_BASELINE_HELP = 'Compare another class too, for example "package.module:Class(tol=?)". May be repeated.'
DTYPE_HELP = "Data type. float32 needs half the memory and less time, and keeps 7 significant digits instead of 16."
# Options of `compare` that apply only if DATA is a table.
TABLE_OPTIONS = ("target", "drop", "C", "separator", "decimal", "thousands", "encoding")


@command(
    "to choose a library: time fastlin and others on your own table or MNIST",
    argument("table", required=False, type=EXISTING_FILE, metavar="[DATA]"),
    option("--target", metavar="COLUMN", default="y", help="Column of the labels in DATA, or array in .npz."),
    drop_option,
    option("--C", "C", type=STRENGTH_RANGE, default=1.0, help="Inverse penalty strength of the fits to DATA."),
    option(
        "--seconds",
        type=FloatRange(1, 86_400),
        default=DEFAULT_COMPARISON_SECONDS,
        help=SECONDS_HELP,
    ),
    option("--quick", is_flag=True, help=QUICK_COMPARISON_HELP),
    option("--baselines", "seconds", flag_value=LONG_COMPARISON_SECONDS, help=BASELINES_HELP),
    option(
        "--baseline", "other_baselines", multiple=True, metavar="CLASS", show_default="none", help=OTHER_BASELINE_HELP
    ),
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
      fastlin compare flights.csv --baseline "package.module:Class(tol=?)"
    """
    require("studies")
    if options.table is not None and (options.quick or options.data):
        raise CommandError("--quick and --data apply to MNIST only; leave them out to compare on a table")
    context = click.get_current_context()
    for name in TABLE_OPTIONS if options.table is None else ():
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise CommandError(f"--{name} applies to a table only; give the table as DATA")
    with convert_errors("cannot use --baseline", ValueError, ImportError):
        other_baselines = {description: parse_baseline(description) for description in options.other_baselines}
    make_folder(options.output)
    if options.table is None:
        data = load_images(options, needs_cifar10=False)
        problems = make_problems(data, options.quick, options.dtype)
    else:
        data = datasets.Dataset("table", *4 * (np.empty(0),))
        with convert_errors(f"cannot compare on {options.table}", ValueError, MemoryError):
            problems = [read_training_and_held_out_problems(options)]

    def compare_and_store(settings):
        n_repeats = 1 if options.quick else N_REPEATS

        def announce(line):
            print(make_printable(line))

        comparison = compare_libraries(problems, options.seconds, n_repeats, settings.notify, announce, other_baselines)
        parameters = {"data": data.name, **comparison.parameters}
        results = Results(parameters, comparison.tables, {"problems": comparison.problems})
        report = {"file": options.table, **results.parameters, **results.series, "quick": options.quick}
        report["environment"] = describe_environment()
        write_results(options.output / "comparison.json", replace_non_finite_numbers(report))
        return results

    _, failed_studies = run_studies({"baselines": (compare_and_store, Settings(data, options.quick))}, options.output)
    if not failed_studies:
        print(make_printable(f"Wrote {options.output / 'comparison.json'}."))
    missing = find_missing_packages()
    if missing:
        print(f"Not installed, so not compared: {', '.join(missing)}.")
        print(f"{format_install_command('baselines')} installs them, and '.[baselines-torch]' installs PyTorch.")
        # adelie declares that it requires NumPy 1, but it works with NumPy 2.
        print("Install adelie with 'pip install --no-deps adelie ipython'.")
    return 1 if failed_studies else 0


def read_training_and_held_out_problems(options: SimpleNamespace) -> tuple[ComparisonProblem, ComparisonProblem]:
    """Return the problems of the training and the held-out rows, with standardized numbers and one-hot encoded text."""
    name, strings = options.table, np.empty((0, 0))
    # Windows does not have sysconf.
    if hasattr(os, "sysconf"):
        total_memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if N_TABLE_COPIES * os.path.getsize(name) > total_memory_bytes:
            raise MemoryError(
                f"it may need {N_TABLE_COPIES} times its size in memory, more than this machine has; "
                "use fastlin.blocks to fit larger files"
            )
    if name.lower().endswith((".npz", *LIBSVM_SUFFIXES)):
        with convert_errors(f"cannot read {name}", Exception):
            numbers, labels = _read_arrays(name, options.target)
    else:
        require("tables")
        data = validate_training_data(name, options)
        print_notes(data.notes)
        table, labels = data.table, data.labels
        columns = {column: values.to_numpy() for column, values in zip(table.column_names, table.columns, strict=True)}
        strings = np.array([columns.pop(column) for column in data.text_columns], object).T
        numbers = np.array(list(columns.values()), float).reshape(-1, len(labels)).T
    validation_options = {"accept_sparse": "csr", "dtype": options.dtype, "order": "C", "ensure_min_features": 0}
    numbers, labels = check_X_y(numbers, labels, **validation_options)
    if type_of_target(labels) == "continuous":
        fraction = labels[labels != np.trunc(labels)][0]
        raise ValueError(f"{options.target!r} contains {fraction}, which is no class label; use integers or strings")
    classes, y = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"all labels are {classes[0]}, but at least two classes are required")
    train_rows, held_out_rows = train_test_split(
        np.arange(len(y)), test_size=HELD_OUT_FRACTION, random_state=0, stratify=y
    )
    blocks = []
    if numbers.size:
        scaler = StandardScaler(with_mean=not sparse.issparse(numbers)).fit(numbers[train_rows])
        blocks.append(scaler.transform(numbers))
    if strings.size:
        encoder = OneHotEncoder(handle_unknown="ignore", dtype=options.dtype).fit(strings[train_rows])
        blocks.append(encoder.transform(strings))
    X = blocks[0] if len(blocks) == 1 else _densify(sparse.hstack(blocks, "csr"))
    train = ComparisonProblem("the table", X[train_rows], y[train_rows], len(classes), options.C, fit_intercept=True)
    return train, replace(train, X=X[held_out_rows], y=y[held_out_rows])


def _read_arrays(name, target):
    """Return X and the labels from a NumPy or libsvm file."""
    if name.lower().endswith(LIBSVM_SUFFIXES):
        X, labels = load_svmlight_file(name)
        return _densify(X), labels
    with np.load(name) as arrays:
        return arrays["X"], arrays[target]


def _densify(X):
    """Return sparse rows as a dense array if at least a third of their entries are stored."""
    return X.toarray() if 3 * X.nnz >= np.prod(X.shape) else X
