"""The commands that fit a model to a table in a file, and that predict with it."""

from __future__ import annotations

import contextlib
import copy
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from click import argument, option

from fastlin import LogisticRegression, LogisticRegressionCV
from fastlin.blocks.parquet import list_index_columns
from fastlin.cli.arguments import CommandError, Range, command, encoding_option, refuse, require, separator_option
from fastlin.cli.data_files import (
    check_columns,
    check_outputs,
    check_table_name,
    check_values,
    name_few,
    read_data,
    take_column,
    write_table,
)
from fastlin.course.report import write_model_page
from fastlin.estimators.linear_predictions import check_coefficients
from fastlin.estimators.summary import describe_fit, lay_out
from fastlin.estimators.training_data import read_matrix
from fastlin.figures.fitted_models import plot_coefficients, plot_fit
from fastlin.figures.style import COLORS, count_nouns, embed
from fastlin.fitted import as_array
from fastlin.places import write_whole
from fastlin.terminal import make_printable

# Types of fastlin in a file of a model. What holds another one was not written by `fit`.
TRUSTED = (
    "fastlin.estimators.logistic_regression.LogisticRegression",
    "fastlin.estimators.logistic_regression_cv.LogisticRegressionCV",
    "fastlin.solvers.solution.Iteration",
)
WAY_OUT = ", or leave the column out with --drop {!r}"
N_CS = 10
N_FOLDS = 5
N_BARS = 20
STRENGTH = "Inverse strength of the penalty: a smaller C draws coefficients towards zero."
VALIDATION = "Table with the columns of DATA whose log loss chooses C among ten; both tables are fitted."
DISTANCE = "Part of the minimum within which the objective is proven to end; a smaller TOL takes longer."
PREDICTIONS = "File of the predictions, CSV or Parquet by its ending .csv, .tsv, .parquet or .pq."
ESCAPED = "In CSV, write an apostrophe before labels that a spreadsheet program would run; numbers stay."


def _columns_option(name, text):
    text = f"Column {text}, such as an id; give {name} again for each one."
    return option(name, multiple=True, metavar="COLUMN", show_default="none", help=text)


@command(
    "for a table of your own: fit logistic regression, save the model",
    argument("data", metavar="DATA"),
    option("--target", required=True, metavar="COLUMN", help="Column of the labels."),
    _columns_option("--drop", "that is no feature"),
    option("--C", "C", type=Range(1e-300), show_default="1, with --inference inf", help=STRENGTH),
    option("--cross-validate", is_flag=True, help="Choose C among ten by the log loss of five folds; excludes --C."),
    option("--validation", metavar="FILE", show_default="none", help=VALIDATION),
    option("--l1-ratio", type=Range(0, 1), default=0.0, help="Share of the L1 penalty, which makes zeros."),
    option("--tol", type=Range(1e-15, 1), show_default="0.0001, with --inference 1e-08", help=DISTANCE),
    option(
        "--inference", is_flag=True, help="Print and write a table of standard errors and tests; nothing is penalised."
    ),
    option("--model", metavar="FILE", default="model.skops", help="File of the model."),
    option("--report", metavar="FILE", show_default="the name of --model, ending in .html", help="File of the page."),
    separator_option,
    encoding_option,
)
def fit(options: SimpleNamespace) -> int:
    """Fit logistic regression to a table, save the model for `fastlin predict`, and write a page about the fit.

    DATA is a file of CSV (.csv or .tsv, also with .gz) or Parquet (.parquet, .pq); columns of text are categorical.

    Examples
    --------
      fastlin fit flights.csv --target delayed
      fastlin fit flights.parquet --target delayed --drop id --cross-validate
    """
    require("tables")
    import skops.io

    asked = {"--cross-validate": options.cross_validate, "--validation": options.validation is not None}
    choosers = [name for name, is_asked in asked.items() if is_asked]
    if choosers and options.C is not None:
        raise CommandError(f"{choosers[0]} chooses C, so that --C cannot be given with it")
    if len(choosers) > 1:
        raise CommandError("--validation chooses C, so that --cross-validate cannot be given with it")
    if options.inference:
        penalised = {**asked, "--C": options.C not in (None, np.inf), "--l1-ratio": options.l1_ratio > 0}
        for name in (name for name, is_asked in penalised.items() if is_asked):
            given = f"{name} {options.C:g}" if name == "--C" else name
            raise CommandError(f"--inference needs a fit without a penalty, so that {given} cannot be given with it")
    page = options.report or str(Path(options.model or "model").with_suffix(".html"))
    read = [name for name in (options.data, options.validation) if name is not None]
    check_outputs({"--model": options.model, "--report": page}, read)
    table = read_data(options.data, options, target=options.target)
    labels, table = take_column(table, options.target, options.data)
    dropped = list(dict.fromkeys(options.drop))
    check_columns(table, dropped, options.data)
    table = table.drop_columns(dropped)
    index = list_index_columns(table.schema)
    table = table.drop_columns(index)
    if not table.num_columns:
        raise CommandError(f"{options.data} has no column but those of --target and --drop")
    check_values(table, options.data, WAY_OUT)
    tables, validation = [table], {}
    if options.validation is not None:
        known = {field.name: _name_kind(field.type) for field in table.schema}
        rows, labels_val, _ = _read_like(options.validation, options, known, np.unique(labels), way_out=WAY_OUT)
        validation = {"X_val": rows, "y_val": labels_val}
        tables.append(rows)
    model, found = _make_model(options, tables), None
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with refuse(f"cannot fit {options.data}", ValueError, TypeError):
            model.fit(table, labels, **validation)
        if options.inference:
            with refuse(f"there are no standard errors of {options.data}", ValueError, TypeError):
                found = model.inference(table, labels)
    notes = [f"column {name!r} is the index of a frame of pandas, and is left out" for name in index]
    notes += [*_note_columns_like_names(table), *dict.fromkeys(str(warning.message) for warning in warned)]
    lines = describe_fit(model.set_params(verbose=0), table, labels)
    lines["accuracy"] += ", the training rows"
    if validation:
        right = _fit_without_validation(model).predict(validation["X_val"]) == validation["y_val"]
        lines["held out"] = f"accuracy {right.mean():.4f} on {len(right):,} rows, by the same C fitted without them"
    if found is not None and "objective" in lines:
        distance = found.distance + found.model_distance
        lines["objective"] = f"{model.history_[-1].objective:.9g}, {distance:.1e} standard errors from its minimum"
    with refuse(f"cannot write {options.model}", OSError), write_whole(options.model) as part:
        skops.io.dump(model, part)
    _write_page(model, found, table, Path(page), options, lines, notes)
    print(*lay_out(lines), sep="\n")
    if found is not None:
        print("", *map(make_printable, found.summary().splitlines()), sep="\n")
    print(*(f"Note: {make_printable(note)}" for note in notes), sep="\n", end="\n" if notes else "")
    print(make_printable(f"Wrote {options.model} and {page}."))
    return 0


@command(
    "for new rows: predict labels and probabilities with that model",
    argument("model", metavar="MODEL"),
    argument("data", metavar="DATA"),
    option("--target", metavar="COLUMN", show_default="none", help="Column of the true labels, to print the accuracy."),
    _columns_option("--keep", "to write before the predictions"),
    option("--output", metavar="FILE", default="predictions.csv", help=PREDICTIONS),
    option("--escape-formulas", is_flag=True, help=ESCAPED),
    separator_option,
    encoding_option,
)
def predict(options: SimpleNamespace) -> int:
    """Predict the rows of a table with a model that `fastlin fit` has saved: a label and probabilities for each.

    DATA is a file of CSV or Parquet with the columns of the fit; others are left out.

    Examples
    --------
      fastlin predict model.skops new.csv
      fastlin predict model.skops test.csv --target delayed --output p.parquet
    """
    require("tables")
    check_table_name(options.output)
    check_outputs({"--output": options.output}, [options.model, options.data])
    model = _load(options.model)
    levels = getattr(model, "categories_", [None] * model.n_features_in_)
    known = dict(zip(model.feature_names_in_.tolist(), levels, strict=True))
    rows, labels, columns = _read_like(options.data, options, known, model.classes_, list(dict.fromkeys(options.keep)))
    with refuse(f"cannot predict {options.data}", ValueError, TypeError):
        predicted, probabilities = model.predict(rows), model.predict_proba(rows)
    found = {"prediction": predicted}
    found |= {f"probability of {label}": probabilities[:, k] for k, label in enumerate(model.classes_)}
    if columns.keys() & found:
        raise CommandError(f"--keep {min(columns.keys() & found)!r} has the name of a column of the predictions")
    write_table(options.output, columns | found, options.escape_formulas)
    if labels is not None:
        print(f"accuracy {np.mean(predicted == labels):.4f} on {len(labels):,} rows")
    print(*(f"Note: {make_printable(note)}\n" for note in _note_unseen_levels(rows, known)), sep="", end="")
    print(make_printable(f"Wrote {options.output}."))
    return 0


def _read_like(name, options, known, classes, kept=(), way_out=""):
    """Return the rows in a file with the columns of a fit, their labels if `--target` says which, and columns to keep.

    known are the levels of each column of the fit by its name, or an example of them, and None for numbers. What has
    another type is refused. The way out is that of `check_values`.
    """
    import pyarrow as pa

    texts = [column for column, levels in known.items() if _are_texts(levels)]
    # What is kept is to be written as it stands in the file.
    texts += [column for column in kept if column not in (*known, options.target)]
    has_labels = options.target is not None
    table = read_data(name, options, [*texts, options.target] if has_labels and _are_texts(classes) else texts)
    check_columns(table, [*known, *kept], name)
    columns = {column: np.array(table[column].to_pylist(), object) for column in kept}
    labels = _take_known_labels(table, options.target, name, classes) if has_labels else None
    table = table.select(list(known))
    for place, (field, levels) in enumerate(zip(table.schema, known.values(), strict=True)):
        is_text = pa.types.is_dictionary(field.type)
        if levels is None and is_text:
            example = next((value for value in table[place].to_pylist() if value is not None), None)
            raise CommandError(f"column {field.name!r} of {name} has text such as {example!r} instead of numbers")
        if _are_texts(levels) and not is_text:
            if not pa.types.is_null(field.type):
                raise CommandError(
                    f"column {field.name!r} of {name} has values of the type {field.type} instead of text"
                )
            table = table.set_column(place, field.name, table[place].cast(pa.string()).dictionary_encode())
    check_values(table, name, way_out)
    return table, labels, columns


def _are_texts(levels):
    return levels is not None and isinstance(levels[0], str)


def _name_kind(kind):
    """Return an example of the levels of a column of an Arrow type, or None for numbers."""
    import pyarrow as pa

    if not pa.types.is_dictionary(kind):
        return None
    return [""] if pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type) else [0]


def _make_model(options, tables):
    # Coefficients are to be those of the table.
    tol = options.tol or (1e-8 if options.inference else 1e-4)
    given: dict[str, Any] = {"categorical_features": "from_dtype", "tol": tol, "verbose": 1}
    given["missing_level"] = any(column.null_count > 0 for table in tables for column in table.columns)
    if options.cross_validate or options.validation is not None:
        return LogisticRegressionCV(
            Cs=N_CS,
            cv=N_FOLDS if options.cross_validate else None,
            l1_ratios=(options.l1_ratio,),
            scoring="neg_log_loss",
            use_legacy_attributes=False,
            **given,
        )
    C = options.C if options.C is not None else np.inf if options.inference else 1.0
    return LogisticRegression(C=C, l1_ratio=options.l1_ratio, **given)


def _fit_without_validation(model):
    """Return a model with the coefficients of the chosen C before the validation rows were fitted too."""
    coef = model.coefs_paths_[0, 0, np.argmin(abs(model.Cs_ - np.ravel(model.C_)[0]))]
    held_out = copy.copy(model)
    held_out.coef_, held_out.intercept_ = coef[:, :-1], coef[:, -1]
    return held_out


def _note_columns_like_names(table):
    """Yield a line for each column that tells almost every row apart, and for one without a name."""
    import pyarrow as pa
    import pyarrow.compute as compute

    for field in table.schema:
        column, like = table[field.name], None
        if not field.name:
            like = "has no name, as an index that pandas has written to CSV"
        elif pa.types.is_dictionary(field.type):
            n_levels = len(column.unify_dictionaries().chunk(0).dictionary)
            if n_levels > max(20, table.num_rows / 2):
                like = f"has {n_levels:,} different texts in {table.num_rows:,} rows, each with coefficients of its own"
        elif pa.types.is_integer(field.type):
            lowest, highest = compute.min_max(column).as_py().values()
            if highest - lowest + 1 == table.num_rows == len(column.unique()):
                like = f"counts the rows from {lowest:,} to {highest:,}, as an index does"
        if like is not None:
            yield f"column {field.name!r} {like}; --drop {field.name!r} leaves it out"


def _note_unseen_levels(table, known):
    """Yield a line for each column of text with levels that the fit did not see."""
    for name, levels in known.items():
        if levels is not None:
            texts = table[name].cast(table[name].type.value_type).drop_null()
            found = {row["values"]: row["counts"] for row in texts.value_counts().to_pylist()}
            counts = {value: count for value, count in found.items() if value not in levels}
            if counts:
                yield (
                    f"column {name!r} has {count_nouns(len(counts), 'level')} that the fit did not see, such as "
                    f"{min(counts)!r}, in {count_nouns(sum(counts.values()), 'row')}; nothing is added to their scores"
                )


def _take_known_labels(table, target, name, classes):
    """Return the labels in a column, which are those of a fit: others, which may be coded otherwise, are refused."""
    given = take_column(table, target, name)[0].tolist()
    spelled = {str(label).lower(): label for label in classes.tolist()}
    if spelled.keys() <= {"true", "false"}:
        # Truth values in CSV are texts, and not all programs write them in the same way.
        given = [spelled.get(str(label).lower(), label) for label in given]
    unknown = set(given) - set(classes.tolist())
    if unknown:
        known = name_few([repr(label) for label in classes.tolist()])
        raise CommandError(
            f"column {target!r} of {name} holds {min(unknown, key=str)!r}, and the labels of the fit are {known}"
        )
    return np.array(given)


def _load(name):
    """Return the model in a file that `fit` has written."""
    import skops.io

    try:
        unknown = set(skops.io.get_untrusted_types(file=name)) - set(TRUSTED)
        model = None if unknown else skops.io.load(name, trusted=list(TRUSTED))
    except FileNotFoundError as error:
        raise CommandError(f"there is no file {name}") from error
    # Whatever a file that skops has not written leads to.
    except Exception as error:
        raise CommandError(f"{name} is damaged or no model that fastlin fit has written: {error}") from error
    if unknown:
        raise CommandError(f"{name} holds {min(unknown)}, which is no part of a model of fastlin; it is not loaded")
    if not isinstance(model, (LogisticRegression, LogisticRegressionCV)) or not hasattr(model, "feature_names_in_"):
        raise CommandError(f"{name} holds no model that fastlin fit has written")
    with refuse(f"{name} holds a damaged model", ValueError, AttributeError):
        check_coefficients(model)
        names = as_array("feature_names_in_", model.feature_names_in_)
        if names.shape != (model.n_features_in_,) or not all(isinstance(each, str) for each in names):
            raise ValueError(f"feature_names_in_ must name {model.n_features_in_} columns, got {names.tolist()!r:.100}")
    return model


def _write_page(model, found, table, path, options, lines, notes):
    pictures = []
    with contextlib.suppress(ValueError):
        # A fit without an iteration leaves nothing to draw.
        pictures.append(("How the fit went", embed(lambda axes: plot_fit(model, axes), 8, 4.2)))
    n_bars = min(N_BARS, int(np.count_nonzero(abs(model.coef_).max(axis=0))))
    # Bars of more classes than there are colours would be a picture of a hundred thousand lines.
    if n_bars and len(model.coef_) <= len(COLORS):
        height = 1.2 + n_bars * max(0.28, 0.09 * len(model.coef_))
        caption = "The clearest coefficients, with 95 % intervals"
        if found is None:
            caption = "The largest coefficients, each times the standard deviation of its column"
        pictures.append((caption, embed(lambda axes: _draw_coefficients(model, found, table, axes), 8, height)))
    tables = [] if found is None else [("Standard errors and tests", found.summary().html)]
    with refuse(f"cannot write {path}", OSError):
        write_model_page(path, f"{options.target} from {Path(options.data).name}", lines, notes, pictures, tables)


def _draw_coefficients(model, found, table, axes):
    if found is not None:
        return plot_coefficients(found, axes=axes, n_features=N_BARS)
    # Coefficients of columns of other units say nothing beside each other.
    deviations = np.sqrt(read_matrix(model, table, reset=False).measure().variance)
    scaled = SimpleNamespace(coef_=model.coef_ * deviations, classes_=model.classes_)
    plot_coefficients(scaled, model.get_feature_names_out(), axes, N_BARS)
    axes.set_xlabel(axes.get_xlabel().replace("coefficient", "coefficient × deviation of the column", 1))
    return axes
