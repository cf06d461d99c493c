"""Tables in files of CSV or Parquet, which Arrow reads and writes, and checks of their content."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastlin.blocks.parquet import list_index_columns
from fastlin.cli.arguments import CommandError, refuse
from fastlin.places import check_writable, write_whole
from fastlin.typing import Array

PARQUET = (".parquet", ".pq")
WRITTEN = (".csv", ".tsv", *PARQUET)
READ = (*WRITTEN, ".csv.gz", ".tsv.gz")
SHOWN_NAMES = 10


def read_training(name: str, options: SimpleNamespace) -> tuple[Any, list[str], Array, list[str]]:
    """Return the content of a file: a pyarrow.Table of features, the names of columns of text, labels, and notes."""
    table, labels = take_labels(read_table(name, options), options.target, name)
    check_columns(table, options.drop, name)
    table = table.drop_columns(list(dict.fromkeys(options.drop)))
    index = list_index_columns(table.schema)
    table = table.drop_columns(index)
    if not table.num_columns:
        raise CommandError(f"{name} has no column but those of --target and --drop")
    texts = [field.name for field in table.schema if _is_text(field.type)]
    check_values(table, texts, name)
    check_decimals(table, texts, name)
    notes = [f"column {column!r} is the index of a frame of pandas, and is left out" for column in index]
    return table, texts, labels, notes


def read_table(name: str, options: SimpleNamespace, text_columns: Iterable[str] = ()) -> Any:
    """Return the table in a file, a pyarrow.Table of numbers, truth values and strings.

    text_columns of CSV hold text even where all of this file looks like numbers or truth values. Truth values of the
    target are text in CSV, so that they are predicted as the file spells them.
    """
    import pyarrow as pa
    import pyarrow.parquet

    if not name.lower().endswith(READ):
        raise CommandError(f"the name of a table must end in {', '.join(READ)}, got {name}")
    with refuse(f"cannot read {name}", OSError, ValueError, LookupError):
        if name.lower().endswith(PARQUET):
            table = pyarrow.parquet.read_table(name)
        else:
            table = _read_csv(name, options, text_columns)
    if not table.num_rows:
        raise CommandError(f"{name} has no rows")
    names: list[str] = table.column_names
    repeated = [column for column in names if names.count(column) > 1]
    if repeated:
        raise CommandError(f"{name} has more than one column {repeated[0]!r}")
    for place, field in enumerate(table.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        kind = pa.string() if _is_text(kind) else pa.float64() if pa.types.is_decimal(kind) else kind
        if kind != field.type:
            table = table.set_column(place, field.name, table[place].cast(kind))
    return table


def _read_csv(name, options, text_columns):
    import pyarrow as pa
    import pyarrow.csv as csv

    separator = options.separator or ("\t" if ".tsv" in name.lower() else ",")
    separator = "\t" if separator == "tab" else separator
    if len(separator) != 1:
        raise CommandError(f"--separator must be one character or tab, got {separator!r}")
    try:
        table = csv.read_csv(
            name,
            csv.ReadOptions(encoding=options.encoding),
            csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            csv.ConvertOptions(
                column_types=dict.fromkeys(text_columns, pa.string()),
                null_values=[*csv.ConvertOptions().null_values, "?", " ?"],
                strings_can_be_null=True,
                decimal_point=options.decimal,
            ),
        )
        kinds = dict(zip(table.column_names, table.schema.types, strict=True))
        if pa.binary() in kinds.values():
            raise UnicodeError
    except UnicodeError as error:
        raise ValueError(f"it is not in {options.encoding}; --encoding names another one, such as latin-1") from error
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{reason} (read with --separator {separator!r} --encoding {options.encoding})") from error
    if kinds.get(options.target) == pa.bool_():
        return _read_csv(name, options, [*text_columns, options.target])
    return table


def _is_text(kind):
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def take_labels(table: Any, target: str, name: str) -> tuple[Any, Array]:
    """Return the table without the column of the labels, and the labels as an array."""
    check_columns(table, [target], name)
    labels = table[target]
    if labels.null_count:
        raise CommandError(f"column {target!r} of {name} has {labels.null_count:,} missing values, which are no labels")
    return table.drop_columns([target]), np.asarray(labels.to_pylist())


def check_columns(table: Any, columns: Iterable[str], name: str) -> None:
    """Raise a CommandError unless the table has all of the columns."""
    names = table.column_names
    for column in columns:
        if column not in names:
            hint = " (see --separator)" if len(names) == 1 else ""
            raise CommandError(f"{name} has no column {column!r}; there are {name_few(names)}{hint}")


def name_few(names: Sequence[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
    return f"{', '.join(names[:SHOWN_NAMES])}{more}"


def check_values(table: Any, texts: Collection[str], name: str) -> None:
    """Raise a CommandError where a column does not hold text, or not a number in each row, as it should."""
    import pyarrow as pa

    known: dict[str, tuple[Any, ...]] = {
        "text": (_is_text, pa.types.is_null),
        "numbers": (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating),
    }
    for field in table.schema:
        wanted = "text" if field.name in texts else "numbers"
        n_missing = table[field.name].null_count if wanted == "numbers" else 0
        problem = f"no number in {n_missing:,} of {table.num_rows:,} rows" if n_missing else ""
        if not any(is_kind(field.type) for is_kind in known[wanted]):
            problem = f"values of the type {field.type} where {wanted} should be"
        if problem:
            raise CommandError(f"column {field.name!r} of {name} has {problem}; mend it, or fit without it by --drop")


def check_decimals(table: Any, texts: Iterable[str], name: str) -> None:
    """Raise a CommandError where a column of text is one of numbers with decimal commas: each would be a level."""
    import pyarrow.compute as compute

    for column in texts:
        values = table[column].drop_null()
        if len(values) and compute.all(compute.match_substring_regex(values, r"^\s*[-+]?\d+,\d+\s*$")).as_py():
            example = values[0].as_py().strip()
            raise CommandError(
                f"column {column!r} of {name} has text such as {example!r}, which looks like a number; --decimal , "
                "reads numbers with a decimal comma"
            )


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
