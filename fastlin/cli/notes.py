"""Notes on the columns of a table; the program prints them after its results."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from fastlin.environment.terminal import make_printable
from fastlin.figures.style import format_count
from fastlin.typing import Array

MAX_NOTES = 10


def print_notes(*groups: Iterable[str]) -> None:
    """Print the first notes of each group, and the number of remaining notes."""
    for notes in groups:
        remaining = iter(notes)
        for note in islice(remaining, MAX_NOTES):
            print(f"Note: {make_printable(note)}")
        if n_more_notes := sum(1 for _ in remaining):
            print(f"Note: {format_count(n_more_notes, 'more note')} of this kind")


def note_identifier_columns(table: Any, text_columns: Collection[str]) -> Iterator[str]:
    """Yield a note for each column that identifies almost every row, and for each column without a name."""
    import pyarrow as pa

    n_rows = table.num_rows
    for name, column in zip(table.column_names, table.columns, strict=True):
        max_distinct_values = n_rows / 2 if name in text_columns else n_rows - 1
        if not name:
            reason = "has no name, like an index that pandas wrote to CSV"
        elif pa.types.is_floating(column.type) or (n_distinct_values := len(column.unique())) <= max(
            20, max_distinct_values
        ):
            continue
        else:
            reason = f"has {n_distinct_values:,} different values in {n_rows:,} rows, like a name or an index"
        yield f"column {name!r} {reason}; exclude it with --drop {name!r}"


def note_unseen_categories(rows: Any, categories: Mapping[str, Array | None]) -> Iterator[str]:
    """Yield a note for each text column with categories that were not seen in training."""
    import pyarrow as pa
    from pyarrow import compute

    for (name, seen_values), column in zip(categories.items(), rows.columns, strict=True):
        if seen_values is None:
            continue
        # Missing strings are NaN in the categories. Columns without values have a null type, so they are cast.
        strings, seen_values = column.cast(pa.string()), pa.array(seen_values, pa.string(), from_pandas=True)
        unseen_values = strings.filter(compute.invert(compute.is_in(strings, seen_values)))
        if not len(unseen_values):
            continue
        distinct_values = unseen_values.unique()
        categories_text = "1 category" if len(distinct_values) == 1 else f"{len(distinct_values)} categories"
        n_rows = format_count(len(unseen_values), "row")
        example = f"such as {unseen_values[0].as_py()!r}, in {n_rows}; they contribute zero to the linear predictor"
        index = compute.index_in(
            compute.utf8_trim_whitespace(distinct_values), compute.utf8_trim_whitespace(seen_values)
        )
        similar_categories = distinct_values.filter(compute.is_valid(index))
        spaces = ""
        if len(similar_categories):
            seen_category = seen_values[index.drop_null()[0].as_py()].as_py()
            example_pair = f"{similar_categories[0].as_py()!r} from {seen_category!r}"
            verb = "differs" if len(similar_categories) == 1 else "differ"
            difference = f"{verb} only by spaces from categories of the fit, such as {example_pair}"
            spaces = f"; {len(similar_categories)} of them {difference}"
        yield f"column {name!r} has {categories_text} not seen in training, {example}{spaces}"
