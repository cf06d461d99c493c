"""The commands that fit a model to a table in a file, and that predict with it."""

from __future__ import annotations

import contextlib
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastlin import LogisticRegression, LogisticRegressionCV
from fastlin.cli.arguments import CommandError, require
from fastlin.cli.data_files import check_columns, check_values, read_data, take_column, write_table
from fastlin.estimators.summary import describe_fit, lay_out
from fastlin.figures.models import plot_coefficients, plot_fit
from fastlin.figures.style import embed
from fastlin.places import write_whole
from fastlin.report import write_model_page

if TYPE_CHECKING:
    import argparse


# Types of fastlin in a file of a model. What holds another one was not written by `fit`.
TRUSTED = (
    "fastlin.estimators.logistic_regression.LogisticRegression",
    "fastlin.estimators.logistic_regression_cv.LogisticRegressionCV",
    "fastlin.solvers.solution.Iteration",
)
N_CS = 10
N_FOLDS = 5
N_BARS = 20


def fit_model(options: argparse.Namespace) -> int:
    """Fit a model to a table, save it, and write a page about it."""
    require("studies", "arrow")
    if options.cross_validate and options.C is not None:
        raise CommandError("--cross-validate chooses C, so that --C cannot be given with it")
    model_file, page = Path(options.model), Path(options.report or Path(options.model).with_suffix(".html"))
    table = read_data(options.data)
    labels, table = take_column(table, options.target, options.data)
    check_columns(table, options.drop, options.data)
    table = table.drop_columns(options.drop)
    if not table.num_columns:
        raise CommandError(f"{options.data} has no column but those of --target and --drop")
    check_values(table, options.data, "leave the column out with --drop {!r}")
    model = _make_model(options, table)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            model.fit(table, labels)
        except (ValueError, TypeError) as error:
            raise CommandError(f"cannot fit {options.data}: {error}") from error
    notes = [*_note_columns_like_names(table), *dict.fromkeys(str(warning.message) for warning in warned)]
    lines = describe_fit(model.set_params(verbose=0), table, labels)
    _save(model, model_file)
    _write_page(model, page, options, lines, notes)
    print(*lay_out(lines), sep="\n")
    print(*(f"Note: {note}" for note in notes), sep="\n", end="\n" if notes else "")
    print(f"Wrote {model_file} and {page}.")
    return 0


def predict_rows(options: argparse.Namespace) -> int:
    """Predict the rows of a table with a saved model, and write labels and probabilities."""
    require("studies", "arrow")
    model = _load(options.model)
    table = read_data(options.data)
    labels = None
    if options.target is not None:
        labels, table = take_column(table, options.target, options.data)
    names = list(model.feature_names_in_)
    check_columns(table, names, options.data)
    table = _match_types(table.select(names), model, options.data)
    try:
        predicted, probabilities = model.predict(table), model.predict_proba(table)
    except (ValueError, TypeError) as error:
        raise CommandError(f"cannot predict {options.data}: {error}") from error
    columns = {f"probability of {label}": probabilities[:, k] for k, label in enumerate(model.classes_)}
    write_table(options.output, {"prediction": predicted, **columns})
    if labels is not None:
        n_right = sum(one == other for one, other in zip(predicted.tolist(), labels.tolist(), strict=True))
        print(f"accuracy {n_right / len(labels):.4f} on {len(labels):,} rows")
    print(f"Wrote {options.output}.")
    return 0


def _make_model(options, table):
    given = {"categorical_features": "from_dtype", "tol": options.tol, "verbose": 1}
    given["missing_level"] = any(column.null_count > 0 for column in table.columns)
    if options.cross_validate:
        return LogisticRegressionCV(
            Cs=N_CS,
            cv=N_FOLDS,
            l1_ratios=(options.l1_ratio,),
            scoring="neg_log_loss",
            use_legacy_attributes=False,
            **given,
        )
    return LogisticRegression(C=1.0 if options.C is None else options.C, l1_ratio=options.l1_ratio, **given)


def _note_columns_like_names(table):
    """Yield a line for each column of text that tells almost every row apart."""
    import pyarrow as pa

    for field in table.schema:
        if pa.types.is_dictionary(field.type):
            n_levels = len(table[field.name].unify_dictionaries().chunk(0).dictionary)
            if n_levels > max(20, table.num_rows / 2):
                yield (
                    f"column {field.name!r} has {n_levels:,} different texts in {table.num_rows:,} rows, each with "
                    f"coefficients of its own; --drop {field.name} leaves it out"
                )


def _save(model, path):
    import skops.io

    try:
        with write_whole(path) as part:
            skops.io.dump(model, part)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror or error}") from error


def _load(name):
    """Return the model in a file that `fit` has written."""
    import skops.io

    try:
        unknown = set(skops.io.get_untrusted_types(file=name)) - set(TRUSTED)
        if unknown:
            raise CommandError(f"{name} holds {min(unknown)}, which is no part of a model of fastlin; it is not loaded")
        model = skops.io.load(name, trusted=list(TRUSTED))
    except FileNotFoundError as error:
        raise CommandError(f"there is no file {name}") from error
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CommandError(f"{name} is damaged or no model that fastlin fit has written: {error}") from error
    if not isinstance(model, (LogisticRegression, LogisticRegressionCV)) or not hasattr(model, "feature_names_in_"):
        raise CommandError(f"{name} holds no model that fastlin fit has written")
    return model


def _match_types(table, model, name):
    """Return the table with text where the model has levels of text, and refuse text where it has numbers."""
    import pyarrow as pa

    categories = getattr(model, "categories_", [None] * table.num_columns)
    for place, (field, levels) in enumerate(zip(table.schema, categories, strict=True)):
        is_text = pa.types.is_dictionary(field.type)
        if levels is None and is_text:
            example = next(value for value in table[place].to_pylist() if value is not None)
            raise CommandError(f"column {field.name!r} of {name} has text such as {example!r} instead of numbers")
        if levels is not None and not is_text and isinstance(levels[0], str):
            # A column whose texts look like numbers in this file, or that is empty.
            text = table[place].cast(pa.string()).dictionary_encode()
            table = table.set_column(place, field.name, text)
    check_values(table, name, "the model was fitted with column {!r}")
    return table


def _write_page(model, path, options, lines, notes):
    names = model.get_feature_names_out()
    n_bars = min(N_BARS, int(np.count_nonzero(abs(model.coef_).max(axis=0))))
    pictures = []
    with contextlib.suppress(ValueError):
        # A fit without an iteration leaves nothing to draw.
        pictures.append(("How the fit went", embed(lambda axes: plot_fit(model, axes), 8, 4.2)))
    if n_bars:
        height = 1.2 + n_bars * max(0.28, 0.09 * len(model.coef_))
        drawn = embed(lambda axes: plot_coefficients(model, names, axes, N_BARS), 8, height)
        pictures.append(("The largest coefficients", drawn))
    try:
        write_model_page(path, f"{options.target} from {Path(options.data).name}", lines, notes, pictures)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror or error}") from error
