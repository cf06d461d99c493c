"""Tables of what a study found, for the page and for the console."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes
    ----------
    title : str
        What the table is about; empty for the table of single values.
    columns : tuple of str
        The headings; empty for the table of single values.
    rows : tuple of tuple of str
        The cells, row by row.
    """

    title: str
    columns: tuple
    rows: tuple


def tabulate(merits):
    """Return the tables of a study's merits: one of all single values, and one of each merit that is a dict.

    Parameters
    ----------
    merits : dict
        The results of the study, as `studies.settings.Results` has them.

    Returns
    -------
    list of Table
        The table of single values comes first and is left out where there are none.
    """
    singles, others = [], []
    for name, value in merits.items():
        if isinstance(value, dict) and value:
            nested = all(isinstance(row, dict) for row in value.values())
            others.append(_tabulate_rows(name, value if nested else {"": value}))
        else:
            singles.append((_words(name), format_value(value)))
    return [Table("", (), tuple(singles))] * bool(singles) + others


def _tabulate_rows(title, rows):
    """Return a Table of rows by name, all with the same columns, transposed where it has more columns than rows."""
    columns = list(next(iter(rows.values())))
    if len(columns) > len(rows) > 1:
        rows, columns = {column: {name: row[column] for name, row in rows.items()} for column in columns}, list(rows)
    return Table(
        _words(title),
        ("", *map(_words, columns)),
        tuple((_words(name), *(format_value(row[column], 4) for column in columns)) for name, row in rows.items()),
    )


def _words(name):
    return name.replace("_", " ").replace("lambda", "λ")


def format_value(value, digits=5):
    """Return a value as text, with so many digits."""
    if isinstance(value, dict):
        return "   ".join(f"{_words(key)} {format_value(item, digits)}" for key, item in value.items())
    if isinstance(value, list):
        return "  ".join(format_value(item, 3) for item in value)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
