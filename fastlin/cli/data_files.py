"""Reads, checks and writes tables in CSV or Parquet files with Arrow."""

from __future__ import annotations

import codecs
import contextlib
import csv
import difflib
import gzip
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from fastlin.blocks.parquet import list_index_columns
from fastlin.cli.arguments import CommandError, convert_errors
from fastlin.cli.column_types import (
    DATE_LOSS,
    NumberFormat,
    convert_column,
    convert_text_column,
    describe_number_formats,
    describe_spaces,
)
from fastlin.cli.dates import DATE_REMEDY, are_dates, convert_timestamps, parse_dates
from fastlin.environment.file_system import check_writable, write_atomically
from fastlin.typing import Array

PARQUET_SUFFIXES = (".parquet", ".pq")
OUTPUT_SUFFIXES = (".csv", ".tsv", *PARQUET_SUFFIXES)
INPUT_SUFFIXES = (*OUTPUT_SUFFIXES, ".csv.gz", ".tsv.gz")
MAX_LISTED_NAMES = 10
# Arrow splits CSV into blocks of whole rows, and each column into as many chunks. The default block size of a megabyte
# is several times slower for tables with very many columns (docs/benchmarks/design-choices.md: CSV block size).
CSV_BLOCK_BYTES = 1 << 25
INTEGER_LABEL_LIMIT = 2.0**63
PLAIN_NUMBERS_REMEDY = "; to fit it as numbers, write each value as a plain number"
DATES_REMEDY = "; fastlin fit --dates converts it to days and calendar parts"
IMPUTATION_REMEDY = "fill them in, for example with fastlin fit --impute median"


class TrainingTable(NamedTuple):
    """The features and labels of a file, and notes on conversions that may surprise a user."""

    name: str
    table: Any  # a pyarrow.Table of numbers, booleans, text, and timestamps without a time zone
    date_orders: dict[str, str]  # from the columns of timestamps to the order of year, month and day
    labels: Array
    notes: list[str]

    @property
    def text_columns(self) -> list[str]:
        """The names of the text columns."""
        return list_text_columns(self.table)


@dataclass
class TableFile:
    """The columns of a file, notes on conversions that may surprise a user, and the problems of all columns."""

    name: str
    columns: dict[str, Any]  # pyarrow.ChunkedArrays of strings for CSV, or of any type for Parquet
    index: list[str]  # the columns that contain the index of a DataFrame
    number_format: NumberFormat | None  # the format in CSV; None for Parquet, whose columns have types
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def collect_problems(self) -> Iterator[None]:
        """Add the message of a CommandError to `problems`, so that one error can report all of them."""
        try:
            yield
        except CommandError as error:
            self.problems.append(error.message)

    def raise_problems(self) -> None:
        """Raise one CommandError with all problems, each on its own line if there are several."""
        if self.problems:
            problems = list(dict.fromkeys(self.problems))
            title = [f"{self.name} has {len(problems)} problems:"] * (len(problems) > 1)
            raise CommandError("\n  ".join([*title, *problems]))

    def find_column(self, column: str) -> str:
        """Return the name of a column as stored in `columns`; spaces around the argument are ignored if necessary."""
        for name in (column, column.strip()):
            if name in self.columns:
                return name
        hint = " (see --separator)" if len(self.columns) == 1 else ""
        names = {name.lower(): name for name in self.columns}
        close_matches = difflib.get_close_matches(column.strip().lower(), names, n=1)
        suggestion = f"did you mean {names[close_matches[0]]!r}? Its" if close_matches and not hint else "its"
        raise CommandError(
            f"{self.name} has no column {column!r}; {suggestion} columns are {list_first_names(self.columns)}{hint}"
        )

    def read_labels(self, column: str, are_labels_text: bool = False) -> Array:
        """Return a column as an array of n_rows labels, which are numbers, booleans or text.

        If `are_labels_text` is true, labels in CSV are read as text. Booleans in CSV are always read as text, so that
        predictions are spelled as in the file.
        """
        import pyarrow as pa

        values, loss = self.columns[column], ""
        if self.number_format is None:
            values, loss = _convert_parquet_column(values)
        elif not are_labels_text:
            values, loss, _ = convert_column(values, self.number_format)
        if self.number_format is not None and (are_labels_text or pa.types.is_boolean(values.type)):
            values = convert_text_column(self.columns[column])
        self._add_note_on_text_column(column, loss)
        if values.null_count:
            error_text = (
                f"{values.null_count:,} missing values (of {len(values):,} rows); remove the rows without a label"
            )
            raise CommandError(f"label column {column!r} of {self.name} has {error_text}")
        if not (is_text_type(values.type) or _is_number_type(values.type)):
            error_text = f"values of type {values.type}; labels must be text, integers or booleans"
            raise CommandError(f"label column {column!r} of {self.name} has {error_text}")
        if not are_labels_text:
            self._add_note_on_spaces(column, values)
        return np.asarray(values.to_pylist())

    def read_feature(self, column: str, is_text: bool | None = None, allows_missing: bool = False) -> Any:
        """Return a column as a pyarrow.ChunkedArray of numbers, booleans or text.

        `is_text` is whether the column was text in the fit. None infers it from the column's type or values.
        Numbers may be missing only if `allows_missing` is true.
        """
        import pyarrow as pa

        values = self.columns[column]
        if self.number_format is None:
            values, loss = _convert_parquet_column(values)
            remedy = DATES_REMEDY if _is_date_type(_get_value_type(self.columns[column])) else PLAIN_NUMBERS_REMEDY
            self._add_note_on_text_column(column, loss if is_text is None else "", remedy)
        else:
            values = (
                convert_text_column(values)
                if is_text
                else self._convert_csv_column(column, values, self.number_format, is_text)
            )
        values, n_infinite = _mark_nan(values)
        n_missing, n_rows = values.null_count, len(values)
        if is_text is None:
            self._add_note_on_spaces(column, values)
        is_in_fit, has_values = is_text is None, n_missing < n_rows
        is_text = is_text_type(values.type) if is_in_fit and has_values else bool(is_text)
        error_text = ""
        if has_values and not (is_text_type if is_text else _is_number_type)(values.type):
            error_text = f"values of type {values.type} instead of {'text' if is_text else 'numbers'}; convert them"
        elif n_infinite:
            error_text = f"{n_infinite:,} infinite values (of {n_rows:,} rows); replace them"
        elif allows_missing and is_in_fit and not has_values:
            error_text = f"no values (in {n_rows:,} rows); fill them in"
        elif n_missing and not is_text and not allows_missing:
            error_text = f"{n_missing:,} missing values (of {n_rows:,} rows); {IMPUTATION_REMEDY}"
        if error_text:
            raise self._describe_problem(column, error_text)
        return values if is_text or has_values else pa.chunked_array([pa.nulls(n_rows, pa.float64())])

    def read_dates(self, column: str, order: str | None = None, allows_missing: bool = False) -> tuple[Any, str]:
        """Return a column of dates as timestamps, and the order of year, month and day.

        `order` is the order in the fit; None infers it.
        """
        import pyarrow as pa

        values = self.columns[column]
        value_type = _get_value_type(values)
        if is_text_type(value_type) or pa.types.is_null(value_type):
            try:
                values, order = parse_dates(values.cast(pa.string()), order)
            except ValueError as error:
                raise self._describe_problem(column, str(error)) from error
        elif _is_date_type(value_type):
            values, order = convert_timestamps(values.cast(value_type)), order or "year-month-day"
        else:
            raise self._describe_problem(column, f"values of type {value_type} instead of dates; {DATE_REMEDY}")
        if values.null_count and not allows_missing:
            n_rows = f"(of {len(values):,} rows)"
            raise self._describe_problem(column, f"{values.null_count:,} missing values {n_rows}; {IMPUTATION_REMEDY}")
        return values, order

    def has_dates(self, column: str) -> bool:
        """Return whether most values of a column are dates."""
        values = self.columns[column]
        if values.null_count == len(values):
            return False
        value_type = _get_value_type(values)
        return _is_date_type(value_type) or (is_text_type(value_type) and are_dates(values.cast("string")))

    def _describe_problem(self, column, error_text):
        return CommandError(f"column {column!r} of {self.name} has {error_text}, or fit without it: --drop {column!r}")

    def read_original_values(self, column: str) -> Any:
        """Return an unconverted column as a pyarrow.ChunkedArray; a CSV column is text, with nulls for empty fields."""
        import pyarrow as pa
        import pyarrow.compute as compute

        values = self.columns[column]
        if self.number_format is None:
            return values
        return compute.if_else(compute.equal(values, ""), pa.scalar(None, pa.string()), values)

    def _convert_csv_column(self, column, strings, number_format, is_text):
        """Convert a CSV column, and note surprising conversions. `is_text` is False, or None if it is unknown."""
        values, loss, note = convert_column(strings, number_format, must_be_numeric=is_text is False)
        if values.null_count < len(values) and is_text_type(values.type):
            # If there is a loss, the strings already are numbers in the current format.
            meanings = "" if loss and is_text is None else describe_number_formats(values, number_format)
            if meanings:
                remedy = f"give these options, or fit without the column: --drop {column!r}"
                raise CommandError(f"column {column!r} of {self.name} has {meanings}; {remedy}")
            if is_text is False:
                remedy = f"fix it, or fit without the column: --drop {column!r}"
                raise CommandError(f"column {column!r} of {self.name} must contain numbers, but {loss}; {remedy}")
            remedy = DATES_REMEDY if loss.endswith(DATE_LOSS) and are_dates(strings) else PLAIN_NUMBERS_REMEDY
            self._add_note_on_text_column(column, loss, remedy)
        elif loss:
            self.notes.append(f"column {column!r} of {self.name} is read as numbers, as in the fit: {loss}")
        if note:
            self.notes.append(f"column {column!r} of {self.name}: {note}")
        return values

    def _add_note_on_text_column(self, column, loss, remedy=""):
        if loss:
            self.notes.append(f"column {column!r} of {self.name} stays text: {loss}{remedy}")

    def _add_note_on_spaces(self, column, values):
        """Add a note if all values of a text column have spaces around them, because values without spaces differ."""
        spaces_description = describe_spaces(values) if is_text_type(values.type) else ""
        if spaces_description:
            remedy = "the spaces are part of the values and must match in other files; consider removing them"
            self.notes.append(f"column {column!r} of {self.name}: {spaces_description}; {remedy}")


def validate_training_data(
    name: str, options: SimpleNamespace, allows_missing: bool = False, reads_dates: bool = False
) -> TrainingTable:
    """Return the training data of a file. One CommandError reports the problems of all columns.

    Numbers and dates may be missing if `allows_missing` is true. Columns of dates become timestamps if `reads_dates` is
    true, and text otherwise.
    """
    import pyarrow as pa

    file = read_file(name, options)
    excluded_columns = set()
    for column in (options.target, *options.drop):
        with file.collect_problems():
            excluded_columns.add(file.find_column(column))
    labels = np.empty(0)
    with file.collect_problems():
        target = file.find_column(options.target)
        labels = file.read_labels(target)
        _check_classes(labels, target, name)
    index = [column for column in file.index if column not in excluded_columns]
    file.notes += [f"column {column!r} is the index of a pandas DataFrame and is excluded" for column in index]
    for column in excluded_columns.union(index):
        del file.columns[column]
    features, date_orders = {}, {}
    # The strings of a column are freed as soon as the column is converted.
    for column in list(file.columns):
        with file.collect_problems():
            if reads_dates and file.has_dates(column):
                features[column], date_orders[column] = file.read_dates(column, allows_missing=allows_missing)
            else:
                features[column] = file.read_feature(column, allows_missing=allows_missing)
        del file.columns[column]
    file.raise_problems()
    if not features:
        raise CommandError(f"{name} has no feature columns: --target and --drop name all of its columns")
    return TrainingTable(name, pa.table(features), date_orders, labels, file.notes)


def list_text_columns(table: Any) -> list[str]:
    """Return the names of the text columns of a pyarrow.Table."""
    return [name for name, column in zip(table.column_names, table.columns, strict=True) if is_text_type(column.type)]


def _check_classes(labels, column, name):
    """Raise a CommandError if labels are fractional or too large for int64, because no classifier accepts them."""
    if labels.dtype.kind == "f":
        is_valid = (np.abs(labels) < INTEGER_LABEL_LIMIT) & (np.trunc(labels) == labels)
        if not is_valid.all():
            error_text = f"the label {labels[~is_valid][0]}; labels must be text, booleans or integers below 2**63"
            remedy = "write classes as text, such as 'low' and 'high', or use a regression for quantities"
            raise CommandError(f"label column {column!r} of {name} has {error_text}. Either {remedy}")


def read_file(name: str, options: SimpleNamespace) -> TableFile:
    """Return a TableFile whose column names are stripped; raise a CommandError if there are no columns or no rows."""
    import pyarrow.parquet

    if not name.lower().endswith(INPUT_SUFFIXES):
        raise CommandError(f"the name of a table must end with {', '.join(INPUT_SUFFIXES)}, got {name}")
    is_parquet, number_format = name.lower().endswith(PARQUET_SUFFIXES), None
    if not is_parquet:
        number_format = NumberFormat(options.decimal, options.thousands)
        if options.decimal == options.thousands:
            other = "." if options.decimal == "," else ","
            error_text = f"--decimal and --thousands are both {options.decimal!r}"
            raise CommandError(f"{error_text}; numbers such as 1{options.thousands}234{other}5 need --decimal {other}")
    with convert_errors(f"cannot read {name}", OSError, ValueError, LookupError, csv.Error):
        table = pyarrow.parquet.read_table(name) if is_parquet else _read_csv(name, options)
    if not table.num_rows:
        raise CommandError(f"{name} has no rows")
    names = table.column_names
    for column, n_columns in Counter(names).items():
        if n_columns > 1:
            raise CommandError(f"{name} has {n_columns} columns named {column!r}; rename them")
    stripped_names = _strip_names(names)
    columns = dict(zip(stripped_names.values(), table.columns, strict=True))
    index = [stripped_names[column] for column in list_index_columns(table.schema)]
    changed = [column for column in names if stripped_names[column] != column]
    notes = [f"column names are used without the spaces around them: {list_first_names(changed)}"] if changed else []
    return TableFile(name, columns, index, number_format, notes)


def _strip_names(names):
    """Return a dict from names to stripped names. Names keep their spaces if they would otherwise be equal."""
    counts = Counter(column.strip() for column in names)
    return {column: column.strip() if counts[column.strip()] == 1 else column for column in names}


def _read_csv(name, options):
    """Return a pyarrow.Table of strings."""
    import pyarrow as pa
    import pyarrow.csv

    separator = options.separator or ("\t" if ".tsv" in name.lower() else ",")
    separator = "\t" if separator == "tab" else separator
    if len(separator) != 1:
        raise CommandError(f"--separator must be one character or tab, got {separator!r}")
    try:
        names = _read_header(name, options.encoding, separator)
        return pyarrow.csv.read_csv(
            name,
            pyarrow.csv.ReadOptions(encoding=options.encoding, block_size=CSV_BLOCK_BYTES),
            pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except (UnicodeError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0]
        if isinstance(error, UnicodeError) or "invalid UTF8" in reason:
            remedy = "give its encoding, such as --encoding latin-1 or --encoding utf-16"
            raise ValueError(f"it is not encoded in {options.encoding}; {remedy}") from error
        raise ValueError(f"{reason} (read with --separator {separator!r} --encoding {options.encoding})") from error


def _read_header(name, encoding, separator):
    """Return the names of the columns in a CSV file, or an empty list if the file is empty."""
    # utf-8-sig removes the byte order mark of files from Windows, which would otherwise be part of the first name.
    encoding = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    open_file = gzip.open if name.lower().endswith(".gz") else open
    with open_file(name, "rt", encoding=encoding, newline="") as lines:
        return next(filter(None, csv.reader(lines, delimiter=separator)), [])


def _convert_parquet_column(values):
    """Return a Parquet column as numbers, booleans or text, and the reason if dates or times become text."""
    import pyarrow as pa

    arrow_type = _get_value_type(values)
    if _is_date_type(arrow_type) or pa.types.is_time(arrow_type):
        strings = values.cast(arrow_type).cast(pa.string())
        return strings, f"its type is {arrow_type}"
    arrow_type = (
        pa.string() if is_text_type(arrow_type) else pa.float64() if pa.types.is_decimal(arrow_type) else arrow_type
    )
    return values.cast(arrow_type), ""


def _mark_nan(values):
    """Return a column with null for NaN, and the number of infinite values."""
    import pyarrow as pa
    import pyarrow.compute as compute

    if not (pa.types.is_float32(values.type) or pa.types.is_float64(values.type)):
        return values, 0
    # Every sum with NaN or infinity is not finite, and a sum is fast.
    if np.isfinite(compute.sum(values).as_py() or 0.0):
        return values, 0
    is_nan = compute.is_nan(values)
    values = compute.if_else(is_nan, pa.scalar(None, values.type), values) if compute.any(is_nan).as_py() else values
    return values, compute.sum(compute.is_inf(values)).as_py() or 0


def _get_value_type(values):
    """Return the type of a column, or the type of the categories of a dictionary column."""
    import pyarrow as pa

    return values.type.value_type if pa.types.is_dictionary(values.type) else values.type


def is_text_type(arrow_type: Any) -> bool:
    """Return whether an Arrow type is text."""
    import pyarrow as pa

    return pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type) or pa.types.is_string_view(arrow_type)


def _is_date_type(arrow_type):
    import pyarrow as pa

    return pa.types.is_date(arrow_type) or pa.types.is_timestamp(arrow_type)


def _is_number_type(arrow_type):
    import pyarrow as pa

    return pa.types.is_boolean(arrow_type) or pa.types.is_integer(arrow_type) or pa.types.is_floating(arrow_type)


def list_first_names(names: Collection[object]) -> str:
    """Return the first names of a collection in quotes, and the number of other names."""
    more_text = f" and {len(names) - MAX_LISTED_NAMES:,} more" if len(names) > MAX_LISTED_NAMES else ""
    return f"{', '.join(map(repr, islice(names, MAX_LISTED_NAMES)))}{more_text}"


def check_output_file(name: str, other_files: Iterable[str]) -> None:
    """Raise a CommandError if an output cannot be written, or would overwrite an input or another output."""
    # Writing follows symbolic links, so the file is created in the folder of the link's target.
    path = os.path.realpath(name)
    if path in map(os.path.realpath, other_files) or (os.path.exists(path) and not os.path.isfile(path)):
        raise CommandError(f"cannot write {name!r}: it is a folder, an input or another output; choose another name")
    with convert_errors(f"cannot write {name}", OSError):
        check_writable(Path(path).parent)


def write_table(name: str, columns: Mapping[str, Array]) -> None:
    """Write a dict of arrays as the columns of a CSV or Parquet file."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    table = pa.table({column: pa.array(values) for column, values in columns.items()})
    with convert_errors(f"cannot write {name}", OSError), write_atomically(name) as part:
        if name.lower().endswith(PARQUET_SUFFIXES):
            pyarrow.parquet.write_table(table, part)
        else:
            separator = "\t" if name.lower().endswith(".tsv") else ","
            pyarrow.csv.write_csv(table, part, pyarrow.csv.WriteOptions(delimiter=separator))
