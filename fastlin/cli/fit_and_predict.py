"""The commands that fit a model to a table in a file, and that predict with it."""

from __future__ import annotations

import copy
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
from click import FloatRange, argument, option

from fastlin import LogisticRegression, LogisticRegressionCV
from fastlin.cli import data_files
from fastlin.cli.arguments import FILE, STRENGTH, CommandError, command, drop_option, refuse, require, table_options
from fastlin.cli.notes import note_columns_like_names, note_unseen_levels, print_notes
from fastlin.estimators.columns import read_categories
from fastlin.estimators.linear_predictions import check_coefficients, read_classes
from fastlin.estimators.summary import describe_fit, format_lines
from fastlin.file_system import write_whole
from fastlin.terminal import make_printable

# Types of fastlin in a file of a model. What holds another one was not written by `fit`.
TRUSTED = (
    "fastlin.estimators.logistic_regression.LogisticRegression",
    "fastlin.estimators.logistic_regression_cv.LogisticRegressionCV",
    "fastlin.solvers.solution.Iteration",
)
PENALTY = "Inverse strength of the penalty: a smaller C draws coefficients towards zero."
VALIDATION = "Table with the columns of DATA whose log loss chooses C among ten; both tables are fitted."
DISTANCE = "Part of the minimum within which the objective is proven to end; a smaller TOL takes longer."
INFERENCE = "Print a table of standard errors and tests; nothing is penalized."
PREDICTIONS = "File of the predictions, CSV or Parquet by its ending .csv, .tsv, .parquet or .pq."
KEPT = "Column to write before the predictions, such as an id; give --keep again for each one."


@command(
    "for a table of your own: fit logistic regression, save the model",
    argument("data", metavar="DATA", type=FILE),
    option("--target", required=True, metavar="COLUMN", help="Column of the labels."),
    drop_option,
    option("--C", "C", type=STRENGTH, show_default="1, with --inference inf", help=PENALTY),
    option("--cross-validate", is_flag=True, help="Choose C among ten by the log loss of five folds; excludes --C."),
    option("--validation", type=FILE, metavar="FILE", show_default="none", help=VALIDATION),
    option("--l1-ratio", type=FloatRange(0, 1), default=0.0, help="Share of the L1 penalty, which makes zeros."),
    option("--tol", type=FloatRange(1e-15, 1), show_default="0.0001, with --inference 1e-08", help=DISTANCE),
    option("--inference", is_flag=True, help=INFERENCE),
    option("--model", metavar="FILE", default="model.skops", help="File of the model."),
    *table_options,
)
def fit(options: SimpleNamespace) -> int:
    """Fit logistic regression to a table, and save the model for `fastlin predict`.

    DATA is a file of CSV (.csv or .tsv, also with .gz) or Parquet (.parquet, .pq). Columns of text are categorical. A
    column of CSV stays text, with a note, if numbers would lose something, such as the leading zero of 01234.

    Examples
    --------
      fastlin fit flights.csv --target delayed
      fastlin fit flights.parquet --target delayed --drop id --cross-validate
    """
    require("tables")
    import skops.io

    _check_penalty(options)
    data_files.check_output(options.model, [options.data, options.validation or options.data])
    table, texts, labels, notes = data_files.read_training(options.data, options)
    validation: dict[str, Any] = {}
    if options.validation is not None:
        known = {name: [""] if name in texts else None for name in table.column_names}
        rows, labels_val, _, more = _read_like(options.validation, options, known, np.unique(labels))
        validation = {"X_val": rows, "y_val": labels_val}
        notes += more
    model, found = _make_model(options, texts), None
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with refuse(f"cannot fit {options.data}", ValueError, TypeError):
            model.fit(table, labels, **validation)
        if options.inference:
            with refuse(f"there are no standard errors of {options.data}", ValueError, TypeError):
                found = model.inference(table, labels)
    lines = describe_fit(model.set_params(verbose=0), table, labels)
    lines["accuracy"] += ", the training rows"
    if validation:
        right = _fit_without_validation(model).predict(validation["X_val"]) == validation["y_val"]
        lines["held out"] = f"accuracy {right.mean():.4f} on {len(right):,} rows, by the same C fitted without them"
    if found is not None and "objective" in lines:
        distance = found.distance + found.coef_error
        lines["objective"] = f"{model.history_[-1].objective:.9g}, {distance:.1e} standard errors from its minimum"
    with refuse(f"cannot write {options.model}", OSError), write_whole(options.model) as part:
        skops.io.dump(model, part)
    print(*format_lines(lines), sep="\n")
    if found is not None:
        print("", *map(make_printable, found.summary().splitlines()), sep="\n")
    print_notes(notes, note_columns_like_names(table, texts), dict.fromkeys(str(each.message) for each in warned))
    print(make_printable(f"Wrote {options.model}."))
    return 0


@command(
    "for new rows: predict labels and probabilities with that model",
    argument("model", metavar="MODEL", type=FILE),
    argument("data", metavar="DATA", type=FILE),
    option("--target", metavar="COLUMN", show_default="none", help="Column of the true labels, to print the accuracy."),
    option("--keep", multiple=True, metavar="COLUMN", show_default="none", help=KEPT),
    option("--output", metavar="FILE", default="predictions.csv", help=PREDICTIONS),
    *table_options,
)
def predict(options: SimpleNamespace) -> int:
    """Predict the rows of a table with a model that `fastlin fit` has saved: a label and probabilities for each.

    DATA is a file of CSV or Parquet with the columns of the fit, which are read as in the fit; others are left out.

    Examples
    --------
      fastlin predict model.skops new.csv
      fastlin predict model.skops test.csv --target delayed --output p.parquet
    """
    require("tables")
    if not options.output.lower().endswith(data_files.WRITTEN):
        raise CommandError(f"the name of the output must end in {', '.join(data_files.WRITTEN)}, got {options.output}")
    data_files.check_output(options.output, [options.model, options.data])
    model, known = _load(options.model)
    rows, labels, columns, notes = _read_like(options.data, options, known, model.classes_, options.keep)
    with refuse(f"cannot predict {options.data}", ValueError, TypeError):
        predicted, probabilities = model.predict(rows), model.predict_proba(rows)
    found = {"prediction": predicted}
    found |= {f"probability of {label}": probabilities[:, k] for k, label in enumerate(model.classes_)}
    if columns.keys() & found:
        raise CommandError(f"--keep {min(columns.keys() & found)!r} has the name of a column of the predictions")
    data_files.write_table(options.output, columns | found)
    if labels is not None:
        print(f"accuracy {np.mean(predicted == labels):.4f} on {len(labels):,} rows")
    print_notes(notes, note_unseen_levels(rows, known))
    print(make_printable(f"Wrote {options.output}."))
    return 0


def _check_penalty(options):
    """Refuse options of `fit` that exclude each other."""
    choosers = {"--C": options.C, "--cross-validate": options.cross_validate, "--validation": options.validation}
    named = [name for name, given in choosers.items() if given]
    penalized = [*named, *["--l1-ratio"] * (options.l1_ratio > 0)]
    if options.inference and penalized:
        raise CommandError(f"--inference needs a fit without a penalty, so that {penalized[0]} cannot be given with it")
    if len(named) > 1:
        raise CommandError(f"{named[1]} chooses C, so that {named[0]} cannot be given with it")


def _read_like(name, options, known, classes, kept=()):
    """Return the rows in a file with the columns of a fit, their labels if `--target` says which, what is kept, notes.

    known are the levels of each column of the fit by its name, and None for numbers. Kept columns are arrays by name.
    """
    import pyarrow as pa

    file = data_files.read_file(name, options)
    names = {column: file.find(column) for column in (*known, *kept)}
    labels = None
    if options.target is not None:
        target = file.find(options.target)
        labels = file.read_labels(target, are_text=isinstance(classes[0], str))
        labels = _match_labels(labels.tolist(), classes.tolist(), target, name)
    features = {column: file.read_feature(names[column], levels is not None) for column, levels in known.items()}
    kept = {
        column: features[column] if known.get(column, "") is None else file.read_as_written(names[column])
        for column in kept
    }
    arrays = {column: np.array(values.to_pylist(), object) for column, values in kept.items()}
    return pa.table(features), labels, arrays, file.notes


def _make_model(options, texts):
    given: dict[str, Any] = {
        "categorical_features": list(texts) or None,
        "missing_as_category": bool(texts),
        # The coefficients of an inference must agree with its table.
        "tol": options.tol or (1e-8 if options.inference else 1e-4),
        "verbose": 1,
    }
    if options.cross_validate or options.validation is not None:
        given |= {"scoring": "neg_log_loss", "use_legacy_attributes": False}
        return LogisticRegressionCV(l1_ratios=(options.l1_ratio,), **given)
    C = np.inf if options.inference else options.C or 1.0
    return LogisticRegression(C=C, l1_ratio=options.l1_ratio, **given)


def _fit_without_validation(model):
    """Return a model with the coefficients of the chosen C before the validation rows were fitted too."""
    coef = model.coefs_paths_[0, 0, np.argmin(abs(model.Cs_ - np.ravel(model.C_)[0]))]
    held_out = copy.copy(model)
    held_out.coef_, held_out.intercept_ = coef[:, :-1], coef[:, -1]
    return held_out


def _match_labels(labels, classes, column, name):
    """Return labels as the classes of the fit, or raise a CommandError that names one that is no class."""
    known = dict(zip(classes, classes, strict=True))
    keys = labels
    if _are_booleans(labels) and _are_booleans(classes):
        # In CSV they are text, and not all programs spell them in the same way.
        known, keys = {str(each).lower(): each for each in classes}, [str(label).lower() for label in labels]
    elif isinstance(labels[0], str) and not isinstance(classes[0], str):
        # Not all of them are plain numbers; the message names one that is not.
        known = {str(each): each for each in classes}
    unknown = {label: key for label, key in zip(labels, keys, strict=True) if key not in known}
    if unknown:
        label = min(unknown, key=str)
        key, texts = unknown[label], {each.strip() for each in known if isinstance(each, str)}
        spaces = "the spaces around them differ, so " if isinstance(key, str) and key.strip() in texts else ""
        raise CommandError(
            f"column {column!r} of {name} holds {label!r}, and the labels of the fit are "
            f"{data_files.name_few(classes)}; {spaces}write the labels as in the fit"
        )
    return np.array([known[key] for key in keys])


def _are_booleans(labels):
    """Return whether labels are true and false, each spelled in one way."""
    distinct = set(labels)
    words = {str(label).lower() for label in distinct}
    return words <= {"true", "false"} and len(words) == len(distinct)


def _load(name):
    """Return the model in a file that `fit` has written, and the levels of its columns by their names."""
    import skops.io

    # Whatever a file that skops has not written leads to.
    with refuse(f"{name} is damaged or no model that fastlin fit has written", Exception):
        model = skops.io.load(name, trusted=list(TRUSTED))
        if not isinstance(model, (LogisticRegression, LogisticRegressionCV)):
            raise TypeError(f"it holds a {type(model).__name__}")
        check_coefficients(model, classes=read_classes(model))
        names = list(model.feature_names_in_)
        if len(names) != model.n_features_in_ or not all(isinstance(each, str) for each in names):
            raise ValueError(f"feature_names_in_ must name {model.n_features_in_} columns, got {names!r:.100}")
        levels = read_categories(model) if hasattr(model, "categories_") else [None] * len(names)
    return model, dict(zip(names, levels, strict=True))
