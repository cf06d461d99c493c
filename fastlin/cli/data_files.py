"""Tables in files of CSV or Parquet, as Arrow tables whose columns are numbers or levels."""

from __future__ import annotations

import codecs
import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastlin.cli.arguments import CommandError, refuse
from fastlin.extras import needs
from fastlin.places import check_writable, write_whole
from fastlin.typing import Array

# Signs between the columns, by the end of the file's name.
TAB, UTF_8 = "\t", "utf-8"
SEPARATORS = {".csv": ",", ".tsv": TAB}
# The names of some thousand columns.
FIRST_BYTES = 1 << 16
PARQUET = (".parquet", ".pq")
ACCEPTED = f"{', '.join((*SEPARATORS, *PARQUET))}, or {', '.join(f'{end}.gz' for end in SEPARATORS)}"
MISSING = "an empty field, NA, N/A, NaN, null or '?'"
SHOWN_NAMES = 10
# What a formula begins with, in the signs of full width too.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def read_data(name: str, options: SimpleNamespace, text_columns: Iterable[str] = (), target: str | None = None) -> Any:
    """Return the table in a file, a pyarrow.Table whose columns of text are dictionaries with sorted levels.

    text_columns of CSV hold text, even where all of this file looks like numbers or truth values. Truth values of the
    target in CSV are the texts that they are in the file, so that they are predicted as such. Of the options,
    `separator` and `encoding` are those of CSV.
    """
    with needs("tables"):
        import pyarrow as pa
        import pyarrow.parquet
    separator, is_parquet = _find_format(name)
    try:
        if is_parquet:
            table = pyarrow.parquet.read_table(name)
        else:
            separator = options.separator or _check_first_line(name, separator, options.encoding)
            table = _read_csv(name, separator, options.encoding, text_columns)
        names: list[str] = table.column_names
    except FileNotFoundError as error:
        raise CommandError(f"there is no file {name}") from error
    except UnicodeDecodeError as error:
        raise _refuse_encoding(name, options.encoding) from error
    except (OSError, pa.ArrowInvalid) as error:
        if "invalid UTF8" in str(error):
            raise _refuse_encoding(name, options.encoding) from error
        raise CommandError(f"cannot read {name}: {str(error).splitlines()[0]}") from error
    repeated = sorted({column for column in names if names.count(column) > 1})
    if repeated:
        raise CommandError(f"{name} has more than one column {repeated[0]!r}{_doubt_names(names, name)}")
    if not table.num_rows:
        raise CommandError(f"{name} has no rows")
    kept = names if is_parquet else list(text_columns)
    for place, (column, kind) in enumerate(zip(names, table.schema.types, strict=True)):
        if pa.types.is_binary(kind) and not is_parquet:
            raise _refuse_encoding(name, options.encoding)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            others = [] if column in kept else [pa.float64()] if column == target else [pa.bool_(), pa.float64()]
            table = table.set_column(place, column, _read_texts(table[column], others, separator))
        elif pa.types.is_decimal(kind):
            table = table.set_column(place, column, table[column].cast(pa.float64()))
    return table


def _check_first_line(name, separator, encoding):
    """Return the separator of a file of CSV; refuse a first line with another one, and another encoding."""
    import pyarrow as pa

    with pa.input_stream(name) as stream:
        start = stream.read(FIRST_BYTES)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and encoding == UTF_8:
        raise _refuse_encoding(name, encoding, "utf-16")
    line = next(iter(start.decode(encoding, "replace").splitlines()), "")
    found = max((*SEPARATORS.values(), ";", "|"), key=line.count)
    if found in line and separator not in line:
        raise CommandError(
            f"the first line of {name} has {found!r} between its columns and no {separator!r}; read it with "
            f"--separator {'tab' if found == TAB else repr(found)}"
        )
    return separator


def _refuse_encoding(name, encoding, likely="latin-1"):
    return CommandError(f"{name} is not in {encoding}; it may be in {likely}, which --encoding {likely} reads")


def _read_csv(name, separator, encoding, text_columns):
    import pyarrow as pa
    import pyarrow.csv

    return pyarrow.csv.read_csv(
        name,
        read_options=pyarrow.csv.ReadOptions(encoding=encoding),
        parse_options=pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        # Truth values are read as texts, and `_read_texts` says what becomes of them.
        convert_options=pyarrow.csv.ConvertOptions(
            strings_can_be_null=True,
            column_types=dict.fromkeys(text_columns, pa.string()),
            true_values=[],
            false_values=[],
        ),
    )


def _read_texts(texts, kinds, separator):
    """Return a column of texts as the first of some types that all of them have, else as a dictionary.

    A question mark is a missing value among them. Between semicolons numbers may have a decimal comma.
    """
    import pyarrow as pa
    import pyarrow.compute as compute

    levels = texts.unique().drop_null().cast(pa.string()).sort()
    codes = compute.index_in(texts, levels).combine_chunks()
    values = compute.utf8_trim_whitespace(levels)
    values = compute.if_else(compute.equal(values, "?"), None, values)
    if separator == ";":
        values = compute.replace_substring(values, ",", ".")
    for kind in kinds:
        with contextlib.suppress(pa.ArrowInvalid):
            return values.cast(kind).take(codes)
    return pa.DictionaryArray.from_arrays(codes, levels)


def take_column(table: Any, column: str, name: str) -> tuple[Array, Any]:
    """Return the labels in a column as an array, and the table without it."""
    check_columns(table, [column], name)
    labels = table[column]
    if labels.null_count:
        raise CommandError(
            f"column {column!r} of {name} has {labels.null_count:,} missing values, and labels may have none"
        )
    return np.asarray(labels.to_pylist()), table.drop_columns([column])


def check_columns(table: Any, columns: Iterable[str], name: str) -> None:
    """Raise a CommandError unless the table has all of the columns."""
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        doubt = _doubt_names(table.column_names, name)
        raise CommandError(f"{name} has no column {missing[0]!r}; there are {name_few(table.column_names)}{doubt}")


def name_few(names: Sequence[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
    return f"{', '.join(names[:SHOWN_NAMES])}{more}"


def _doubt_names(names, file):
    """Return what to add to an error of names of columns where those of CSV look like a row."""
    if _find_format(file)[1] or not any(map(_is_written_number, names)):
        return ""
    return ". The first line of CSV must hold the names of the columns, and this one looks like a row"


def check_values(table: Any, name: str, way_out: str = "") -> None:
    """Raise a CommandError where a column holds what no model takes, or a column of numbers lacks values.

    The name is that of the file. way_out is what else can be done about a column, with a place for its name.
    """
    import pyarrow as pa

    accepted = pa.types.is_dictionary, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating
    for field in table.schema:
        column, is_text = table[field.name], pa.types.is_dictionary(field.type)
        if not any(test(field.type) for test in accepted):
            kind = "no values" if pa.types.is_null(field.type) else f"values of the type {field.type}"
            problem = f"{kind}, where numbers or text are wanted; change them"
        elif column.null_count and not is_text:
            missing = "" if _find_format(name)[1] else f" ({MISSING})"
            problem = f"no number in {column.null_count:,} of {len(column):,} rows{missing}; fill them in"
        else:
            continue
        raise CommandError(f"column {field.name!r} of {name} has {problem}{way_out.format(field.name)}")


def check_outputs(outputs: Mapping[str, str], inputs: Iterable[str]) -> None:
    """Refuse outputs that would overwrite each other or an input, or that cannot be written, before hours of work.

    outputs are paths by what they are.
    """
    taken = {Path(os.path.realpath(name)): "a file that is read" for name in inputs}
    for what, name in outputs.items():
        path = Path(name)
        if not path.name:
            raise CommandError(f"{what} needs the name of a file, got {name!r}")
        # Links are written through, so that the file lies in the folder that a link leads to.
        target = Path(os.path.realpath(path))
        if target in taken:
            raise CommandError(f"{what} {name} would overwrite {taken[target]}")
        if target.exists() and not target.is_file():
            raise CommandError(f"{what} must name a file, got {name}, which is something else")
        taken[target] = what
        with refuse(f"cannot write {name}", OSError):
            check_writable(target.parent)


def check_table_name(name: str) -> None:
    """Refuse the name of an output that no table can be written to: compressed CSV can only be read."""
    if Path(name).suffix.lower() not in (*SEPARATORS, *PARQUET):
        raise CommandError(f"the name of the output must end in {', '.join((*SEPARATORS, *PARQUET))}, got {name}")


def write_table(name: str, columns: Mapping[str, Array], escape_formulas: bool = False) -> None:
    """Write columns, arrays by their names, into a file of CSV or Parquet; formulas in CSV are escaped on request."""
    with needs("tables"):
        import pyarrow as pa
        import pyarrow.csv
        import pyarrow.parquet
    separator, is_parquet = _find_format(name)
    if escape_formulas and not is_parquet:
        columns = {_escape_formula(column): _escape_formulas(values) for column, values in columns.items()}
    table = pa.table({column: pa.array(values) for column, values in columns.items()})
    with refuse(f"cannot write {name}", OSError), write_whole(name) as part:
        if is_parquet:
            pyarrow.parquet.write_table(table, part)
        else:
            pyarrow.csv.write_csv(table, part, pyarrow.csv.WriteOptions(delimiter=separator))


def _escape_formulas(values):
    if values.dtype.kind not in "UTO":
        return values
    # An array of objects may hold texts beside what is none.
    return np.array([_escape_formula(value) if isinstance(value, str) else value for value in values], object)


def _escape_formula(text):
    """Return a text with an apostrophe before it where a spreadsheet program would run it; a number stays as it is."""
    return f"'{text}" if text.startswith(FORMULA_SIGNS) and not _is_written_number(text) else text


def _is_written_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _find_format(name):
    """Return the separator of the file's columns, or None, and whether it is Parquet."""
    path = Path(name)
    last = path.suffix.lower()
    end = Path(path.stem).suffix.lower() if last == ".gz" else last
    if end not in SEPARATORS and last not in PARQUET:
        raise CommandError(f"the name of a data file must end in {ACCEPTED}, got {name}")
    return SEPARATORS.get(end), last in PARQUET
