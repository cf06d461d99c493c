"""The command `fit` fits a model to a table in a file. The command `predict` predicts with the saved model."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from click import Choice, FloatRange, argument, option

from fastlin import LogisticRegression, LogisticRegressionCV
from fastlin.cli import coefficients, data_files, evaluation
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
from fastlin.cli.model_file import TableModel, read_model, write_model
from fastlin.cli.notes import note_identifier_columns, note_unseen_categories, print_notes
from fastlin.cli.preparation import describe_preparation, fit_preparation
from fastlin.environment.extras import describe_missing_packages, find_missing_packages
from fastlin.environment.file_system import write_atomically
from fastlin.environment.terminal import make_printable
from fastlin.estimators.summary import describe_fit, format_lines

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")
C_HELP = "Inverse penalty strength: a smaller C shrinks coefficients more towards zero."
CROSS_VALIDATE_HELP = "Choose C from ten values by 5-fold cross-validated log loss; excludes --C."
VALIDATION_HELP = "Table with the columns of DATA. C is chosen from ten values by its log loss; both tables are fitted."
L1_RATIO_HELP = "Fraction of the L1 penalty, which sets coefficients to zero."
TOL_HELP = "Stop when the certified relative duality gap is at most TOL."
INFERENCE_HELP = "Fit without a penalty and print standard errors and tests."
IMPUTE_HELP = "Fill in missing numbers with this statistic of the training rows."
INDICATORS_HELP = "With --impute, add a column for each column with missing numbers: whether the number is missing."
DATES_HELP = "Convert columns of dates to days since the first date, and to categories of month, weekday and hour."
CLASS_WEIGHT_HELP = "Weight the rows so that all classes have the same total weight."
THRESHOLD_HELP = (
    "For two classes: predict the second one in sorted order if its probability is at least this number; f1 or "
    "recall=R choose the number on the rows of --validation."
)
COEFFICIENTS_HELP = "Output file for all coefficients (.csv, .tsv, .parquet or .pq)."
FIGURE_HELP = "Output file for a figure of the calibration in ten bins (.png, .svg or .pdf)."
INTERVALS_HELP = "Write 95 % confidence limits of each probability; requires a model that was fitted with --inference."
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
    option("--impute", type=Choice(["median", "mean", "most_frequent"]), show_default="none", help=IMPUTE_HELP),
    option("--missing-indicators", is_flag=True, help=INDICATORS_HELP),
    option("--dates", is_flag=True, help=DATES_HELP),
    option("--class-weight", type=Choice(["balanced"]), show_default="none", help=CLASS_WEIGHT_HELP),
    option("--threshold", metavar="VALUE", show_default="most probable class", help=THRESHOLD_HELP),
    option("--model", metavar="FILE", default="model.skops", help="Output file for the model."),
    option("--coefficients", metavar="FILE", show_default="none", help=COEFFICIENTS_HELP),
    option("--figure", metavar="FILE", show_default="none", help=FIGURE_HELP),
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
      fastlin fit churn.csv --target churned --impute median --dates
    """
    require("tables")
    _check_options(options)
    rule = None
    if options.threshold is not None:
        rule = evaluation.parse_threshold(options.threshold, options.validation is not None)
    data = data_files.validate_training_data(options.data, options, options.impute is not None, options.dates)
    labels, (classes, counts) = data.labels, np.unique(data.labels, return_counts=True)
    if rule is not None and len(classes) > 2:
        raise CommandError(f"--threshold requires two classes, but {options.data} has {len(classes):,}; leave it out")
    preparation = fit_preparation(data, options)
    table = preparation.apply(data.table)
    text_columns = data_files.list_text_columns(table)
    validation: dict[str, Any] = {}
    if options.validation is not None:
        categories = {name: [""] if name in text_columns else None for name in table.column_names}
        rows, labels_val, _, validation_notes = _read_fitted_columns(
            options.validation, options, preparation, categories, classes
        )
        validation = {"X_val": rows, "y_val": labels_val}
        data.notes.extend(validation_notes)
    model, inference = _make_model(options, text_columns), None
    with warnings.catch_warnings(record=True) as caught_warnings:
        warnings.simplefilter("always")
        with convert_errors(f"cannot fit {options.data}", ValueError, TypeError):
            model.fit(table, labels, **validation)
        if options.inference:
            with convert_errors(f"cannot compute standard errors for {options.data}", ValueError, TypeError):
                inference = model.inference(table, labels)
    evaluated_rows = {"training": _evaluate_rows(model, table, labels)}
    if validation:
        evaluated_rows["validation"] = _evaluate_rows(_copy_training_model(model), rows, labels_val)
    held_out_rows = evaluated_rows.get("validation", evaluated_rows["training"])
    threshold = None if rule is None else evaluation.choose_threshold(rule, held_out_rows)
    table_model = TableModel(model.set_params(verbose=0), preparation, threshold, inference)
    column_std = coefficients.compute_column_std(table, table_model.categories)
    coefficient_table = coefficients.tabulate_coefficients(model, column_std, inference)
    write_model(options.model, table_model)
    if options.coefficients is not None:
        coefficients.write_coefficients(options.coefficients, coefficient_table)
    if options.figure is not None:
        _write_figure(options, held_out_rows, classes)
    scores = {
        name: evaluation.compute_scores(rows, threshold, counts / len(labels)) for name, rows in evaluated_rows.items()
    }
    _print_results(options, table_model, data, scores, coefficient_table, inference)
    if options.dates and not preparation.dates:
        data.notes.append(f"--dates has no effect, because no column of {options.data} contains dates")
    if options.class_weight:
        data.notes.append("with --class-weight, probabilities are those of equally frequent classes, not calibrated")
    messages = dict.fromkeys(str(warning.message) for warning in caught_warnings)
    single_prediction_notes = evaluation.note_single_prediction(held_out_rows.probabilities, threshold, classes)
    print_notes(data.notes, note_identifier_columns(table, text_columns), messages, single_prediction_notes)
    written = [name for name in (options.model, options.coefficients, options.figure) if name is not None]
    print(make_printable(f"Wrote {', '.join(written)}."))
    return 0


@command(
    "for new rows: predict labels and probabilities with that model",
    argument("model", metavar="MODEL", type=EXISTING_FILE),
    argument("data", metavar="DATA", type=EXISTING_FILE),
    option("--target", metavar="COLUMN", show_default="none", help="Column of the true labels, to print the accuracy."),
    option("--intervals", is_flag=True, help=INTERVALS_HELP),
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
    _check_suffix("the output", options.output, data_files.OUTPUT_SUFFIXES)
    data_files.check_output_file(options.output, [options.model, options.data])
    table_model = read_model(options.model)
    model, categories, inference = table_model.model, table_model.categories, table_model.inference
    if options.intervals and inference is None:
        raise CommandError(f"{options.model} contains no standard errors for --intervals; fit it with --inference")
    rows, labels, columns, notes = _read_fitted_columns(
        options.data, options, table_model.preparation, categories, model.classes_, options.keep
    )
    with convert_errors(f"cannot predict {options.data}", ValueError, TypeError):
        probabilities = model.predict_proba(rows)
        intervals = inference.predict(rows) if options.intervals and inference is not None else None
    predicted = table_model.predict(probabilities)
    predictions = {"prediction": predicted}
    predictions |= {f"probability of {label}": probabilities[:, k] for k, label in enumerate(model.classes_)}
    if intervals is not None:
        for limit, values in (("lower", intervals.lower), ("upper", intervals.upper)):
            predictions |= {f"{limit} limit of {label}": values[:, k] for k, label in enumerate(model.classes_)}
    if duplicate_names := columns.keys() & predictions:
        name = min(duplicate_names)
        raise CommandError(f"--keep {name!r} duplicates a column of the predictions; rename it in {options.data}")
    data_files.write_table(options.output, columns | predictions)
    if labels is not None:
        print(f"accuracy {np.mean(predicted == labels):.4f} on {len(labels):,} rows")
        largest_class, n_rows = Counter(labels.tolist()).most_common(1)[0]
        print(make_printable(f"largest class {largest_class}: {n_rows / len(labels):.4f} of these rows"))
    if table_model.threshold is not None:
        print(make_printable(_describe_threshold(table_model)))
    single_prediction_notes = evaluation.note_single_prediction(probabilities, table_model.threshold, model.classes_)
    print_notes(notes, note_unseen_categories(rows, categories), single_prediction_notes)
    print(make_printable(f"Wrote {options.output}."))
    return 0


def _check_options(options):
    """Raise a CommandError if options of `fit` exclude each other, or if an output file cannot be written."""
    _check_penalty_options(options)
    if options.missing_indicators and options.impute is None:
        raise CommandError("--missing-indicators requires --impute, which replaces the missing numbers; give both")
    _check_suffix("--coefficients", options.coefficients, data_files.OUTPUT_SUFFIXES)
    _check_suffix("--figure", options.figure, FIGURE_SUFFIXES)
    if options.figure is not None and "matplotlib" in find_missing_packages("studies"):
        raise CommandError(describe_missing_packages("studies", ["matplotlib"]))
    other_files = [options.data, options.validation or options.data]
    for name in (options.model, options.coefficients, options.figure):
        if name is not None:
            data_files.check_output_file(name, other_files)
            other_files.append(name)


def _check_suffix(argument, name, suffixes):
    if name is not None and not name.lower().endswith(suffixes):
        raise CommandError(f"the name of {argument} must end with {', '.join(suffixes)}, got {name}")


def _check_penalty_options(options):
    """Raise a CommandError if the user combines options of `fit` that are mutually exclusive."""
    C_option_values = {"--C": options.C, "--cross-validate": options.cross_validate, "--validation": options.validation}
    given_C_options = [name for name, value in C_option_values.items() if value]
    penalty_options = [*given_C_options, *["--l1-ratio"] * (options.l1_ratio > 0)]
    if options.inference and penalty_options:
        raise CommandError(f"--inference fits without a penalty and cannot be combined with {penalty_options[0]}")
    if options.inference and options.class_weight:
        raise CommandError("--inference requires unweighted rows and cannot be combined with --class-weight")
    if len(given_C_options) > 1:
        raise CommandError(f"{given_C_options[1]} chooses C and cannot be combined with {given_C_options[0]}")


def _read_fitted_columns(name, options, preparation, categories, classes, keep=()):
    """Return the features of a file, its labels or None, a dict of arrays with the columns to keep, and notes.

    `categories` maps each feature of the fit to its categories, or to None if the feature is numeric. One CommandError
    reports the problems of all columns.
    """
    import pyarrow as pa

    file, names, columns, labels = data_files.read_file(name, options), {}, {}, None
    if options.target is not None:
        with file.collect_problems():
            target = file.find_column(options.target)
            labels = file.read_labels(target, are_labels_text=isinstance(classes[0], str))
            labels = _match_labels(labels.tolist(), classes.tolist(), target, name)
    features, allows_missing = preparation.list_columns(categories), bool(preparation.fill_values)
    for column in dict.fromkeys([*features, *keep]):
        with file.collect_problems():
            names[column] = file.find_column(column)
    for column in filter(names.get, features):
        with file.collect_problems():
            if column in preparation.dates:
                order = preparation.dates[column].order
                columns[column], _ = file.read_dates(names[column], order, allows_missing)
            else:
                is_text = categories[column] is not None
                columns[column] = file.read_feature(names[column], is_text, allows_missing)
    file.raise_problems()
    kept_columns = {
        column: columns[column] if categories.get(column, "") is None else file.read_original_values(names[column])
        for column in keep
    }
    arrays = {column: np.array(values.to_pylist(), object) for column, values in kept_columns.items()}
    return preparation.apply(pa.table(columns)), labels, arrays, file.notes


def _make_model(options, text_columns):
    parameters: dict[str, Any] = {
        "categorical_features": list(text_columns) or None,
        "missing_as_category": bool(text_columns),
        # Saved coefficients must agree with the inference table, so the fit needs a small tolerance.
        "tol": options.tol or (1e-8 if options.inference else 1e-4),
        "class_weight": options.class_weight,
        "verbose": 1,
    }
    if options.cross_validate or options.validation is not None:
        parameters |= {"scoring": "neg_log_loss", "use_legacy_attributes": False}
        return LogisticRegressionCV(l1_ratios=(options.l1_ratio,), **parameters)
    C = np.inf if options.inference else options.C or 1.0
    return LogisticRegression(C=C, l1_ratio=options.l1_ratio, **parameters)


def _evaluate_rows(model, rows, labels):
    return evaluation.EvaluatedRows(np.searchsorted(model.classes_, labels), model.predict_proba(rows))


def _write_figure(options, rows, classes):
    from fastlin.figures.calibration import plot_calibration
    from fastlin.figures.style import make_figure

    event = f"the probability of {classes[1]}" if len(classes) == 2 else "the largest probability"
    row_set = "training" if options.validation is None else "validation"
    figure = make_figure(7.5, 5.2)
    plot_calibration(*evaluation.compute_calibration(rows), f"{event}, {row_set} rows", axes=figure.subplots())
    with convert_errors(f"cannot write {options.figure}", OSError), write_atomically(options.figure) as part:
        figure.savefig(part, format=Path(options.figure).suffix[1:].lower())


def _print_results(options, table_model, data, scores, coefficient_table, inference):
    """Print the lines on the fit, the scores, the inference and the largest coefficients."""
    print(*format_lines(_describe_model(table_model, data, inference)), "", *evaluation.format_scores(scores), sep="\n")
    if options.validation is None:
        print("The scores of new rows are usually worse; --validation FILE computes them.")
    else:
        print("validation: scores of the model with the same C, fitted without these rows")
    if inference is not None:
        print("", *map(make_printable, inference.summary().splitlines()), sep="\n")
    print("", *coefficients.format_coefficients(coefficient_table, table_model.model.classes_, inference), sep="\n")
    remedies = ["all coefficients: --coefficients FILE"] * (options.coefficients is None)
    remedies += ["intervals: --inference (no penalty)"] * (inference is None)
    print("; ".join(remedies), end="\n\n" if remedies else "\n")


def _describe_model(table_model, data, inference):
    """Return the lines on the fit, the classes and the threshold as a dict."""
    model = table_model.model
    lines = describe_fit(model)
    n_columns = len(data.table.column_names)
    columns = f"{n_columns:,} column{'s' * (n_columns > 1)} ({model.coef_.size:,} coefficients)"
    lines["data"] = f"{len(data.labels):,} rows, {columns}, {len(model.classes_):,} classes"
    lines["classes"] = evaluation.describe_class_counts(data.labels)
    if inference is not None and "objective" in lines:
        distance = inference.distance_from_optimum + inference.coef_error
        lines["objective"] = f"{model.history_[-1].objective:.9g}, {distance:.1e} standard errors from its minimum"
    lines |= describe_preparation(table_model.preparation, data)
    if table_model.threshold is not None:
        lines["threshold"] = _describe_threshold(table_model)
    return lines


def _describe_threshold(table_model):
    first, second = table_model.model.classes_
    return f"{second} is predicted if its probability is at least {table_model.threshold:.6g}, otherwise {first}"


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
