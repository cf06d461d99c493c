"""Tables in files of CSV or Parquet, which Arrow reads and writes, and checks of their content."""

from __future__ import annotations

import codecs
import csv
import gzip
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastlin.blocks.parquet import list_index_columns
from fastlin.cli.arguments import CommandError, refuse
from fastlin.cli.column_types import NumberFormat, describe_formats, describe_spaces, read_column, read_text
from fastlin.file_system import check_writable, write_whole
from fastlin.typing import Array

PARQUET = (".parquet", ".pq")
WRITTEN = (".csv", ".tsv", *PARQUET)
READ = (*WRITTEN, ".csv.gz", ".tsv.gz")
SHOWN_NAMES = 10
# Arrow splits CSV into blocks that hold whole rows, and each column into as many pieces. With pieces of a megabyte
# 100 rows of 20,000 columns took seven times as long.
BLOCK_BYTES = 1 << 25
REMEDY = "fix it, or fit without it by --drop"
LARGEST_LABEL = 2.0**63
AS_NUMBERS = "; to fit it as numbers, write each value as a plain number"


@dataclass
class TableFile:
    """The columns of a file, what their types are, and notes on what a user may not expect of them."""

    name: str
    columns: dict[str, Any]  # a pyarrow.ChunkedArray each: of strings in CSV, of any type in Parquet
    index: list[str]  # the columns that hold the index of a DataFrame
    number_format: NumberFormat | None  # of CSV; None for Parquet, whose columns have types
    notes: list[str] = field(default_factory=list)

    def find(self, column: str) -> str:
        """Return the name of a column as the file has it, but for spaces around it."""
        for name in (column, column.strip()):
            if name in self.columns:
                return name
        hint = " (see --separator)" if len(self.columns) == 1 else ""
        raise CommandError(f"{self.name} has no column {column!r}; there are {name_few(self.columns)}{hint}")

    def read_labels(self, column: str, are_text: bool = False) -> Array:
        """Return a column as labels (n_rows,): numbers, booleans, or text, which are_text makes of CSV.

        Booleans in CSV are text, so that they are predicted as the file spells them.
        """
        import pyarrow as pa

        values, loss = self.columns[column], ""
        if self.number_format is None:
            values, loss = _simplify(values)
        elif not are_text:
            values, loss, _ = read_column(values, self.number_format)
        if self.number_format is not None and (are_text or pa.types.is_boolean(values.type)):
            values = read_text(self.columns[column])
        self._note_text(column, loss)
        if values.null_count:
            wrong = f"{values.null_count:,} missing values, which are no labels"
            raise CommandError(f"column {column!r} of {self.name} has {wrong}")
        if not (_is_text(values.type) or _is_number(values.type)):
            wrong = f"values of the type {values.type}, and labels must be text, numbers or booleans"
            raise CommandError(f"column {column!r} of {self.name} has {wrong}")
        if not are_text:
            self._note_spaces(column, values)
        return np.asarray(values.to_pylist())

    def read_feature(self, column: str, is_text: bool | None = None) -> Any:
        """Return a column as a pyarrow.ChunkedArray of numbers or booleans, none of them missing, or of text.

        is_text says which of both the column holds in the fit; without it the type or the values of the column decide.
        """
        values = self.columns[column]
        if self.number_format is None:
            values, loss = _simplify(values)
            self._note_text(column, loss if is_text is None else "", AS_NUMBERS)
        else:
            values = read_text(values) if is_text else self._convert(column, values, self.number_format, is_text)
        n_missing, n_rows = values.null_count, len(values)
        if is_text is None:
            self._note_spaces(column, values)
        is_text = _is_text(values.type) if is_text is None and n_missing < n_rows else bool(is_text)
        problem = ""
        if n_missing < n_rows and not (_is_text if is_text else _is_number)(values.type):
            problem = f"values of the type {values.type} where {'text' if is_text else 'numbers'} should be"
        elif n_missing and not is_text:
            problem = f"no number in {n_missing:,} of {n_rows:,} rows"
        if problem:
            raise CommandError(f"column {column!r} of {self.name} has {problem}; {REMEDY}")
        return values

    def read_as_written(self, column: str) -> Any:
        """Return a column as it stands in the file, a pyarrow.ChunkedArray, in CSV text with nulls for empty fields."""
        import pyarrow as pa
        import pyarrow.compute as compute

        values = self.columns[column]
        if self.number_format is None:
            return values
        return compute.if_else(compute.equal(values, ""), pa.scalar(None, pa.string()), values)

    def _convert(self, column, texts, number_format, is_text):
        """Return a column of CSV that is_text, False or None, does not say to be text; note what may surprise."""
        values, loss, note = read_column(texts, number_format, as_numbers=is_text is False)
        if values.null_count < len(values) and _is_text(values.type):
            # What would lose something is a number in this format already.
            meanings = "" if loss and is_text is None else describe_formats(values, number_format)
            if meanings:
                remedy = "give the right options, or fit without the column by --drop"
                raise CommandError(f"column {column!r} of {self.name} has {meanings}; {remedy}")
            if is_text is False:
                raise CommandError(f"column {column!r} of {self.name} should hold numbers, but {loss}; {REMEDY}")
            self._note_text(column, loss, AS_NUMBERS)
        elif loss:
            self.notes.append(f"column {column!r} of {self.name} is read as numbers, as in the fit: {loss}")
        if note:
            self.notes.append(f"column {column!r} of {self.name}: {note}")
        return values

    def _note_text(self, column, loss, remedy=""):
        if loss:
            self.notes.append(f"column {column!r} of {self.name} stays text: {loss}{remedy}")

    def _note_spaces(self, column, values):
        """Note spaces around all values, if a column is text, since values without them are other labels or levels."""
        found = describe_spaces(values) if _is_text(values.type) else ""
        if found:
            remedy = (
                "these stay part of the values, so remove them from the file, or values without them will not match"
            )
            self.notes.append(f"column {column!r} of {self.name}: {found}; {remedy}")


def read_training(name: str, options: SimpleNamespace) -> tuple[Any, Collection[str], Array, list[str]]:
    """Return the content of a file: a pyarrow.Table of features, the names of columns of text, labels, and notes."""
    import pyarrow as pa

    file = read_file(name, options)
    left_out = {file.find(column) for column in (options.target, *options.drop)}
    target = file.find(options.target)
    labels = file.read_labels(target)
    _check_classes(labels, target, name)
    index = [column for column in file.index if column not in left_out]
    file.notes += [f"column {column!r} is the index of a frame of pandas, and is left out" for column in index]
    for column in left_out.union(index):
        del file.columns[column]
    if not file.columns:
        raise CommandError(f"{name} has no column but those of --target and --drop")
    features = {}
    # A column's text is freed as soon as it is converted.
    for column in list(file.columns):
        features[column] = file.read_feature(column)
        del file.columns[column]
    texts = {column: None for column, values in features.items() if _is_text(values.type)}
    return pa.table(features), texts.keys(), labels, file.notes


def _check_classes(labels, column, name):
    """Refuse labels with a fraction, or too large for int64, which no classifier takes."""
    if labels.dtype.kind == "f":
        is_label = (np.abs(labels) < LARGEST_LABEL) & (np.trunc(labels) == labels)
        if not is_label.all():
            wrong = f"the label {labels[~is_label][0]}, and labels must be text, booleans or whole numbers below 2**63"
            remedy = "write classes as text, such as 'low' and 'high'; quantities need a regression instead"
            raise CommandError(f"column {column!r} of {name} has {wrong}; {remedy}")


def read_file(name: str, options: SimpleNamespace) -> TableFile:
    """Return the columns of a file, at least one, with at least one row; their names lose the spaces around them."""
    import pyarrow.parquet

    if not name.lower().endswith(READ):
        raise CommandError(f"the name of a table must end in {', '.join(READ)}, got {name}")
    is_parquet, number_format = name.lower().endswith(PARQUET), None
    if not is_parquet:
        number_format = NumberFormat(options.decimal, options.thousands)
        if options.decimal == options.thousands:
            other = "." if options.decimal == "," else ","
            both = f"--decimal and --thousands are both {options.decimal!r}"
            raise CommandError(f"{both}; numbers such as 1{options.thousands}234{other}5 need --decimal {other}")
    with refuse(f"cannot read {name}", OSError, ValueError, LookupError, csv.Error):
        table = pyarrow.parquet.read_table(name) if is_parquet else _read_csv(name, options)
    if not table.num_rows:
        raise CommandError(f"{name} has no rows")
    names = table.column_names
    for column, n_columns in Counter(names).items():
        if n_columns > 1:
            raise CommandError(f"{name} has more than one column {column!r}")
    stripped = _strip_names(names)
    columns = dict(zip(stripped.values(), table.columns, strict=True))
    index = [stripped[column] for column in list_index_columns(table.schema)]
    changed = [column for column in names if stripped[column] != column]
    notes = [f"names of columns are read without the spaces around them: {name_few(changed)}"] if changed else []
    return TableFile(name, columns, index, number_format, notes)


def _strip_names(names):
    """Return names without the spaces around them by the names, which stay as they are where two would be the same."""
    counts = Counter(column.strip() for column in names)
    return {column: column.strip() if counts[column.strip()] == 1 else column for column in names}


def _read_csv(name, options):
    """Return a pyarrow.Table of texts."""
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
            pyarrow.csv.ReadOptions(encoding=options.encoding, block_size=BLOCK_BYTES),
            pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except (UnicodeError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0]
        if isinstance(error, UnicodeError) or "invalid UTF8" in reason:
            other = "--encoding names another one, such as latin-1 or utf-16"
            raise ValueError(f"it is not in {options.encoding}; {other}") from error
        raise ValueError(f"{reason} (read with --separator {separator!r} --encoding {options.encoding})") from error


def _read_header(name, encoding, separator):
    """Return the names of the columns in a file of CSV, none if the file is empty."""
    # The mark at the beginning of files from Windows is no part of a name.
    encoding = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    open_file = gzip.open if name.lower().endswith(".gz") else open
    with open_file(name, "rt", encoding=encoding, newline="") as lines:
        return next(filter(None, csv.reader(lines, delimiter=separator)), [])


def _simplify(values):
    """Return a typed column with categories, decimals, dates and times as numbers or text, and why it became text."""
    import pyarrow as pa

    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind):
        texts = values.cast(kind).cast(pa.string())
        return texts, f"its type is {kind}"
    kind = pa.string() if _is_text(kind) else pa.float64() if pa.types.is_decimal(kind) else kind
    return values.cast(kind), ""


def _is_text(kind):
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_number(kind):
    import pyarrow as pa

    return pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)


def name_few(names: Collection[object]) -> str:
    """Return the first names of a collection in quotes, and how many more there are."""
    more = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
    return f"{', '.join(map(repr, islice(names, SHOWN_NAMES)))}{more}"


def check_output(name: str, inputs: Iterable[str]) -> None:
    """Refuse an output that would overwrite an input, or cannot be written, before hours of work."""
    # Links are written through, so that the file lies in the folder that a link leads to.
    path = os.path.realpath(name)
    if path in map(os.path.realpath, inputs) or (os.path.exists(path) and not os.path.isfile(path)):
        raise CommandError(f"cannot write {name!r}: it is a folder, or a file that this call reads")
    with refuse(f"cannot write {name}", OSError):
        check_writable(Path(path).parent)


def write_table(name: str, columns: Mapping[str, Array]) -> None:
    """Write columns, arrays by their names, into a file of CSV or Parquet."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    table = pa.table({column: pa.array(values) for column, values in columns.items()})
    with refuse(f"cannot write {name}", OSError), write_whole(name) as part:
        if name.lower().endswith(PARQUET):
            pyarrow.parquet.write_table(table, part)
        else:
            separator = "\t" if name.lower().endswith(".tsv") else ","
            pyarrow.csv.write_csv(table, part, pyarrow.csv.WriteOptions(delimiter=separator))
