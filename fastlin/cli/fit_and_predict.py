"""The command `fit` fits a model to a table in a file. The command `predict` predicts with the saved model."""

from __future__ import annotations

import copy
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
from click import FloatRange, argument, option

from fastlin import LogisticRegression, LogisticRegressionCV
from fastlin.cli import data_files
from fastlin.cli.arguments import (
    EXISTING_FILE,
    STRENGTH_RANGE,
    CommandError,
    command,
    convert_errors,
    drop_option,
    require,
    table_options,
)
from fastlin.cli.notes import note_identifier_columns, note_unseen_categories, print_notes
from fastlin.environment.file_system import write_atomically
from fastlin.environment.terminal import make_printable
from fastlin.estimators.columns import validate_categories
from fastlin.estimators.linear_predictions import check_coefficients, validate_classes
from fastlin.estimators.summary import describe_fit, format_lines

# The fastlin types that a model file may contain. A file with other types was not written by `fit`.
TRUSTED_TYPES = (
    "fastlin.estimators.logistic_regression.LogisticRegression",
    "fastlin.estimators.logistic_regression_cv.LogisticRegressionCV",
    "fastlin.solvers.solution.Iteration",
)
C_HELP = "Inverse penalty strength: a smaller C shrinks coefficients more towards zero."
CROSS_VALIDATE_HELP = "Choose C from ten values by 5-fold cross-validated log loss; excludes --C."
VALIDATION_HELP = "Table with the columns of DATA. C is chosen from ten values by its log loss; both tables are fitted."
L1_RATIO_HELP = "Fraction of the L1 penalty, which sets coefficients to zero."
TOL_HELP = "Stop when the certified relative duality gap is at most TOL."
INFERENCE_HELP = "Fit without a penalty and print standard errors and tests."
PREDICTIONS_HELP = "Output file; its suffix .csv, .tsv, .parquet or .pq determines the format."
KEEP_HELP = "Column to copy to the output, such as an identifier. Repeat the option for several columns."


@command(
    "for your own table: fit logistic regression and save the model",
    argument("data", metavar="DATA", type=EXISTING_FILE),
    option("--target", required=True, metavar="COLUMN", help="Column of the labels."),
    drop_option,
    option("--C", "C", type=STRENGTH_RANGE, show_default="1; inf with --inference", help=C_HELP),
    option("--cross-validate", is_flag=True, help=CROSS_VALIDATE_HELP),
    option("--validation", type=EXISTING_FILE, metavar="FILE", show_default="none", help=VALIDATION_HELP),
    option("--l1-ratio", type=FloatRange(0, 1), default=0.0, help=L1_RATIO_HELP),
    option("--tol", type=FloatRange(1e-15, 1), show_default="0.0001; 1e-08 with --inference", help=TOL_HELP),
    option("--inference", is_flag=True, help=INFERENCE_HELP),
    option("--model", metavar="FILE", default="model.skops", help="Output file for the model."),
    *table_options,
)
def fit(options: SimpleNamespace) -> int:
    """Fit logistic regression to a table, and save the model for `fastlin predict`.

    DATA is a CSV file (.csv or .tsv, optionally with .gz) or a Parquet file (.parquet, .pq). Text columns are
    categorical. A CSV column stays text, with a note, if its conversion to numbers would lose information, such as the
    leading zero of 01234.

    Examples
    --------
      fastlin fit flights.csv --target delayed
      fastlin fit flights.parquet --target delayed --drop id --cross-validate
    """
    require("tables")
    import skops.io

    _check_penalty_options(options)
    data_files.check_output_file(options.model, [options.data, options.validation or options.data])
    table, text_columns, labels, notes = data_files.validate_training_data(options.data, options)
    validation: dict[str, Any] = {}
    if options.validation is not None:
        categories = {name: [""] if name in text_columns else None for name in table.column_names}
        rows, labels_val, _, validation_notes = _read_fitted_columns(
            options.validation, options, categories, np.unique(labels)
        )
        validation = {"X_val": rows, "y_val": labels_val}
        notes += validation_notes
    model, inference = _make_model(options, text_columns), None
    with warnings.catch_warnings(record=True) as caught_warnings:
        warnings.simplefilter("always")
        with convert_errors(f"cannot fit {options.data}", ValueError, TypeError):
            model.fit(table, labels, **validation)
        if options.inference:
            with convert_errors(f"cannot compute standard errors for {options.data}", ValueError, TypeError):
                inference = model.inference(table, labels)
    lines = describe_fit(model.set_params(verbose=0), table, labels)
    lines["accuracy"] += " (training rows)"
    if validation:
        is_correct = _copy_training_model(model).predict(validation["X_val"]) == validation["y_val"]
        validation_rows_text = "validation rows, same C fitted without them"
        lines["held out"] = f"accuracy {is_correct.mean():.4f} on {len(is_correct):,} rows ({validation_rows_text})"
    if inference is not None and "objective" in lines:
        distance = inference.distance_from_optimum + inference.coef_error
        lines["objective"] = f"{model.history_[-1].objective:.9g}, {distance:.1e} standard errors from its minimum"
    with convert_errors(f"cannot write {options.model}", OSError), write_atomically(options.model) as part:
        skops.io.dump(model, part)
    print(*format_lines(lines), sep="\n")
    if inference is not None:
        print("", *map(make_printable, inference.summary().splitlines()), sep="\n")
    messages = dict.fromkeys(str(warning.message) for warning in caught_warnings)
    print_notes(notes, note_identifier_columns(table, text_columns), messages)
    print(make_printable(f"Wrote {options.model}."))
    return 0


@command(
    "for new rows: predict labels and probabilities with that model",
    argument("model", metavar="MODEL", type=EXISTING_FILE),
    argument("data", metavar="DATA", type=EXISTING_FILE),
    option("--target", metavar="COLUMN", show_default="none", help="Column of the true labels, to print the accuracy."),
    option("--keep", multiple=True, metavar="COLUMN", show_default="none", help=KEEP_HELP),
    option("--output", metavar="FILE", default="predictions.csv", help=PREDICTIONS_HELP),
    *table_options,
)
def predict(options: SimpleNamespace) -> int:
    """Predict a label and class probabilities for each row of a table, with a model that `fastlin fit` saved.

    DATA is a CSV or Parquet file with the columns of the fit, which are read as in the fit. Other columns are ignored.

    Examples
    --------
      fastlin predict model.skops new.csv
      fastlin predict model.skops test.csv --target delayed --output p.parquet
    """
    require("tables")
    if not options.output.lower().endswith(data_files.OUTPUT_SUFFIXES):
        suffixes = ", ".join(data_files.OUTPUT_SUFFIXES)
        raise CommandError(f"the name of the output must end with {suffixes}, got {options.output}")
    data_files.check_output_file(options.output, [options.model, options.data])
    model, categories = _load(options.model)
    rows, labels, columns, notes = _read_fitted_columns(options.data, options, categories, model.classes_, options.keep)
    with convert_errors(f"cannot predict {options.data}", ValueError, TypeError):
        predicted, probabilities = model.predict(rows), model.predict_proba(rows)
    predictions = {"prediction": predicted}
    predictions |= {f"probability of {label}": probabilities[:, k] for k, label in enumerate(model.classes_)}
    if duplicate_names := columns.keys() & predictions:
        name = min(duplicate_names)
        raise CommandError(f"--keep {name!r} duplicates a column of the predictions; rename it in {options.data}")
    data_files.write_table(options.output, columns | predictions)
    if labels is not None:
        print(f"accuracy {np.mean(predicted == labels):.4f} on {len(labels):,} rows")
    print_notes(notes, note_unseen_categories(rows, categories))
    print(make_printable(f"Wrote {options.output}."))
    return 0


def _check_penalty_options(options):
    """Raise a CommandError if the user combines options of `fit` that are mutually exclusive."""
    C_option_values = {"--C": options.C, "--cross-validate": options.cross_validate, "--validation": options.validation}
    given_C_options = [name for name, value in C_option_values.items() if value]
    penalty_options = [*given_C_options, *["--l1-ratio"] * (options.l1_ratio > 0)]
    if options.inference and penalty_options:
        raise CommandError(f"--inference fits without a penalty and cannot be combined with {penalty_options[0]}")
    if len(given_C_options) > 1:
        raise CommandError(f"{given_C_options[1]} chooses C and cannot be combined with {given_C_options[0]}")


def _read_fitted_columns(name, options, categories, classes, keep=()):
    """Return the rows of a file, their labels or None, a dict of arrays with the columns to keep, and notes.

    `categories` maps each column of the fit to its categories, or to None if the column is numeric. The rows have only
    these columns.
    """
    import pyarrow as pa

    file = data_files.read_file(name, options)
    names = {column: file.find_column(column) for column in (*categories, *keep)}
    labels = None
    if options.target is not None:
        target = file.find_column(options.target)
        labels = file.read_labels(target, are_labels_text=isinstance(classes[0], str))
        labels = _match_labels(labels.tolist(), classes.tolist(), target, name)
    features = {column: file.read_feature(names[column], seen is not None) for column, seen in categories.items()}
    kept_columns = {
        column: features[column] if categories.get(column, "") is None else file.read_original_values(names[column])
        for column in keep
    }
    arrays = {column: np.array(values.to_pylist(), object) for column, values in kept_columns.items()}
    return pa.table(features), labels, arrays, file.notes


def _make_model(options, text_columns):
    parameters: dict[str, Any] = {
        "categorical_features": list(text_columns) or None,
        "missing_as_category": bool(text_columns),
        # Saved coefficients must agree with the inference table, so the fit needs a small tolerance.
        "tol": options.tol or (1e-8 if options.inference else 1e-4),
        "verbose": 1,
    }
    if options.cross_validate or options.validation is not None:
        parameters |= {"scoring": "neg_log_loss", "use_legacy_attributes": False}
        return LogisticRegressionCV(l1_ratios=(options.l1_ratio,), **parameters)
    C = np.inf if options.inference else options.C or 1.0
    return LogisticRegression(C=C, l1_ratio=options.l1_ratio, **parameters)


def _copy_training_model(model):
    """Return a copy of a model whose coefficients for the chosen C were fitted without the validation rows."""
    coef = model.coefs_paths_[0, 0, np.argmin(abs(model.Cs_ - np.ravel(model.C_)[0]))]
    fold_model = copy.copy(model)
    fold_model.coef_, fold_model.intercept_ = coef[:, :-1], coef[:, -1]
    return fold_model


def _match_labels(labels, classes, column, name):
    """Convert labels to the classes of the fit. If a label is not a class, raise a CommandError that names it."""
    classes_by_label_key = dict(zip(classes, classes, strict=True))
    label_keys = labels
    if _are_booleans(labels) and _are_booleans(classes):
        # Booleans in CSV files are text, whose spelling depends on the program that wrote the file.
        classes_by_label_key = {str(label).lower(): label for label in classes}
        label_keys = [str(label).lower() for label in labels]
    elif isinstance(labels[0], str) and not isinstance(classes[0], str):
        # Some labels are not numbers. The message names one of them.
        classes_by_label_key = {str(label): label for label in classes}
    unknown_labels = {
        label: key for label, key in zip(labels, label_keys, strict=True) if key not in classes_by_label_key
    }
    if unknown_labels:
        label = min(unknown_labels, key=str)
        key, stripped_classes = (
            unknown_labels[label],
            {name.strip() for name in classes_by_label_key if isinstance(name, str)},
        )
        spaces = "they differ by spaces; " if isinstance(key, str) and key.strip() in stripped_classes else ""
        raise CommandError(
            f"column {column!r} of {name} contains {label!r}, but the labels of the fit are "
            f"{data_files.list_first_names(classes)}; {spaces}write the labels as in the fit"
        )
    return np.array([classes_by_label_key[key] for key in label_keys])


def _are_booleans(labels):
    """Return whether all labels are spellings of true or false, with at most one spelling of each."""
    distinct_labels = set(labels)
    words = {str(label).lower() for label in distinct_labels}
    return words <= {"true", "false"} and len(words) == len(distinct_labels)


def _load(name):
    """Return the model in a file that `fit` wrote, and a dict from its column names to categories or None."""
    import skops.io

    # A file that skops did not write can raise any exception.
    with convert_errors(f"{name} is damaged or was not written by fastlin fit", Exception):
        model = skops.io.load(name, trusted=list(TRUSTED_TYPES))
        if not isinstance(model, (LogisticRegression, LogisticRegressionCV)):
            raise TypeError(f"it contains a {type(model).__name__}")
        check_coefficients(model, classes=validate_classes(model))
        names = list(model.feature_names_in_)
        if len(names) != model.n_features_in_ or not all(isinstance(column, str) for column in names):
            raise ValueError(f"feature_names_in_ must name {model.n_features_in_} columns, got {names!r:.100}")
        categories = validate_categories(model) if hasattr(model, "categories_") else [None] * len(names)
    return model, dict(zip(names, categories, strict=True))
