"""Notes on the columns of a table, which the program prints after its results."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from fastlin.figures.style import count_nouns
from fastlin.terminal import make_printable
from fastlin.typing import Array

SHOWN_NOTES = 10


def print_notes(*kinds: Iterable[str]) -> None:
    """Print notes of several kinds, the first of each kind and how many more there are."""
    for notes in kinds:
        remaining = iter(notes)
        for note in islice(remaining, SHOWN_NOTES):
            print(f"Note: {make_printable(note)}")
        if n_more := sum(1 for _ in remaining):
            print(f"Note: {count_nouns(n_more, 'more note')} of this kind")


def note_columns_like_names(table: Any, texts: Collection[str]) -> Iterator[str]:
    """Yield a line for each column that identifies almost every row, and for one without a name."""
    import pyarrow as pa

    n_rows = table.num_rows
    for name, column in zip(table.column_names, table.columns, strict=True):
        most = n_rows / 2 if name in texts else n_rows - 1
        if not name:
            like = "has no name, as an index that pandas has written to CSV"
        elif pa.types.is_floating(column.type) or (n_values := len(column.unique())) <= max(20, most):
            continue
        else:
            like = f"has {n_values:,} different values in {n_rows:,} rows, as a name or an index has"
        yield f"column {name!r} {like}; --drop {name!r} leaves it out"


def note_unseen_levels(rows: Any, known: Mapping[str, Array | None]) -> Iterator[str]:
    """Yield a line for each column of text with levels that the fit did not see."""
    import pyarrow as pa
    from pyarrow import compute

    for (name, levels), column in zip(known.items(), rows.columns, strict=True):
        if levels is None:
            continue
        # A missing text is NaN among the levels, and a column without any value has no type.
        texts, seen_levels = column.cast(pa.string()), pa.array(levels, pa.string(), from_pandas=True)
        unseen = texts.filter(compute.invert(compute.is_in(texts, seen_levels)))
        if not len(unseen):
            continue
        distinct = unseen.unique()
        n_levels, n_rows = count_nouns(len(distinct), "level"), count_nouns(len(unseen), "row")
        example = f"such as {unseen[0].as_py()!r}, in {n_rows}; nothing is added to their scores"
        trimmed = compute.utf8_trim_whitespace(seen_levels)
        position = compute.index_in(compute.utf8_trim_whitespace(distinct), trimmed)
        alike = distinct.filter(compute.is_valid(position))
        spaces = ""
        if len(alike):
            level = seen_levels[position.drop_null()[0].as_py()].as_py()
            n_alike = count_nouns(len(alike), "level")
            difference = f"the only difference from the fit, which has {level!r} for {alike[0].as_py()!r}"
            spaces = f"; spaces around {n_alike} are {difference}"
        yield f"column {name!r} has {n_levels} that the fit did not see, {example}{spaces}"
