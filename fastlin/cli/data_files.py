"""Tables in files of CSV or Parquet, as Arrow tables whose columns are numbers or levels."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastlin.cli.arguments import CommandError, refuse
from fastlin.extras import needs
from fastlin.places import check_writable, write_whole
from fastlin.typing import Array

# Signs between the columns, by the end of the file's name.
SEPARATORS = {".csv": ",", ".tsv": "\t"}
PARQUET = (".parquet", ".pq")
ACCEPTED = f"{', '.join((*SEPARATORS, *PARQUET))}, or {', '.join(f'{end}.gz' for end in SEPARATORS)}"
SHOWN_NAMES = 10
# What a formula begins with, in the signs of full width too.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def read_data(name: str, text_columns: Iterable[str] = ()) -> Any:
    """Return the table in a file, a pyarrow.Table whose columns of text are dictionaries.

    The first line of CSV holds the names of the columns. An empty field is a missing value, and so are NA, N/A, NaN and
    null. text_columns hold text, even where all of this file looks like numbers or truth values.

    Raises
    ------
    CommandError
        The file is not there or not readable, or two of its columns have the same name.
    """
    with needs("tables"):
        import pyarrow as pa
        import pyarrow.csv
        import pyarrow.parquet
    separator, is_parquet = _find_format(name)
    try:
        if is_parquet:
            table = pyarrow.parquet.read_table(name)
        else:
            table = pyarrow.csv.read_csv(
                name,
                parse_options=pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    strings_can_be_null=True, column_types=dict.fromkeys(text_columns, pa.string())
                ),
            )
        names: list[str] = table.column_names
    except FileNotFoundError as error:
        raise CommandError(f"there is no file {name}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"cannot read {name}: its names of columns are not in UTF-8") from error
    except (OSError, pa.ArrowInvalid) as error:
        raise CommandError(f"cannot read {name}: {str(error).splitlines()[0]}") from error
    repeated = sorted({column for column in names if names.count(column) > 1})
    if repeated:
        raise CommandError(f"{name} has more than one column {repeated[0]!r}")
    if not table.num_rows:
        raise CommandError(f"{name} has no rows")
    return table.cast(pa.schema([(field.name, _choose_type(field.type)) for field in table.schema]))


def take_column(table: Any, column: str, name: str) -> tuple[Array, Any]:
    """Return the labels in a column as an array, and the table without it.

    Raises
    ------
    CommandError
        The table has no such column, or a value is missing.
    """
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
        few = table.column_names[:SHOWN_NAMES]
        more = f" and {table.num_columns - len(few):,} more" if table.num_columns > len(few) else ""
        raise CommandError(f"{name} has no column {missing[0]!r}; there are {', '.join(few)}{more}")


def check_values(table: Any, name: str, hint: str) -> None:
    """Raise a CommandError where a column holds what no model takes, or a column of numbers lacks values.

    The name is that of the file, and the hint says what to do about a column, with a place for its name.
    """
    import pyarrow as pa

    for field in table.schema:
        column = table[field.name]
        if not (pa.types.is_dictionary(field.type) or pa.types.is_boolean(field.type) or _is_number(field.type)):
            kind = "no values" if pa.types.is_null(field.type) else f"values of the type {field.type}"
            raise CommandError(
                f"column {field.name!r} of {name} has {kind}, where numbers or text are wanted; "
                + hint.format(field.name)
            )
        if column.null_count and not pa.types.is_dictionary(field.type):
            raise CommandError(
                f"column {field.name!r} of {name} has {column.null_count:,} missing numbers; fill them or "
                + hint.format(field.name)
            )


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
    if not text.startswith(FORMULA_SIGNS):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def _find_format(name):
    """Return the separator of the file's columns, or None, and whether it is Parquet."""
    path = Path(name)
    last = path.suffix.lower()
    end = Path(path.stem).suffix.lower() if last == ".gz" else last
    if end not in SEPARATORS and last not in PARQUET:
        raise CommandError(f"the name of a data file must end in {ACCEPTED}, got {name}")
    return SEPARATORS.get(end), last in PARQUET


def _choose_type(kind):
    """Return the type that a column of Arrow's type is read as."""
    import pyarrow as pa

    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.dictionary(pa.int32(), pa.string())
    return pa.float64() if pa.types.is_decimal(kind) else kind


def _is_number(kind):
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind)
