"""Notes on the columns of a table; the program prints them after its results."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from fastlin.figures.style import count_nouns
from fastlin.terminal import make_printable
from fastlin.typing import Array

MAX_NOTES = 10


def print_notes(*groups: Iterable[str]) -> None:
    """Print the first notes of each group, and the number of remaining notes."""
    for notes in groups:
        remaining = iter(notes)
        for note in islice(remaining, MAX_NOTES):
            print(f"Note: {make_printable(note)}")
        if n_more := sum(1 for _ in remaining):
            print(f"Note: {count_nouns(n_more, 'more note')} of this kind")


def note_identifier_columns(table: Any, text_columns: Collection[str]) -> Iterator[str]:
    """Yield a note for each column that identifies almost every row, and for each column without a name."""
    import pyarrow as pa

    n_rows = table.num_rows
    for name, column in zip(table.column_names, table.columns, strict=True):
        max_values = n_rows / 2 if name in text_columns else n_rows - 1
        if not name:
            reason = "has no name, like an index that pandas wrote to CSV"
        elif pa.types.is_floating(column.type) or (n_values := len(column.unique())) <= max(20, max_values):
            continue
        else:
            reason = f"has {n_values:,} different values in {n_rows:,} rows, like a name or an index"
        yield f"column {name!r} {reason}; exclude it with --drop {name!r}"


def note_unseen_categories(rows: Any, categories: Mapping[str, Array | None]) -> Iterator[str]:
    """Yield a note for each text column with categories that were not seen in training."""
    import pyarrow as pa
    from pyarrow import compute

    for (name, seen), column in zip(categories.items(), rows.columns, strict=True):
        if seen is None:
            continue
        # Missing strings are NaN in the categories. Columns without values have a null type, so they are cast.
        strings, seen = column.cast(pa.string()), pa.array(seen, pa.string(), from_pandas=True)
        unseen = strings.filter(compute.invert(compute.is_in(strings, seen)))
        if not len(unseen):
            continue
        distinct = unseen.unique()
        n_categories = "1 category" if len(distinct) == 1 else f"{len(distinct)} categories"
        n_rows = count_nouns(len(unseen), "row")
        example = f"such as {unseen[0].as_py()!r}, in {n_rows}; they contribute zero to the linear predictor"
        index = compute.index_in(compute.utf8_trim_whitespace(distinct), compute.utf8_trim_whitespace(seen))
        similar = distinct.filter(compute.is_valid(index))
        spaces = ""
        if len(similar):
            category = seen[index.drop_null()[0].as_py()].as_py()
            difference = f"only by spaces from categories of the fit, such as {similar[0].as_py()!r} from {category!r}"
            spaces = f"; {len(similar)} of them {'differs' if len(similar) == 1 else 'differ'} {difference}"
        yield f"column {name!r} has {n_categories} not seen in training, {example}{spaces}"
