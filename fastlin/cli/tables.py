"""Tables for the console: what a study found."""


def make_tables(title, merits, pictures):
    """Return the tables of a study, as something that rich prints.

    Single values stand in one table; each merit that has rows of its own gets a table below it.

    Parameters
    ----------
    title : str
        The heading of the first table.
    merits : dict
        The results of the study, as `studies.settings.Results` has them.
    pictures : list of str
        The names of the pictures that were drawn.
    """
    from rich.console import Group
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="cyan")
    table.add_column(overflow="fold")
    others = []
    for name, value in merits.items():
        if isinstance(value, dict) and all(isinstance(row, dict) for row in value.values()):
            others.append(_make_table_of_rows(name, value))
        else:
            table.add_row(name.replace("_", " "), _format(value))
    if pictures:
        table.add_row("pictures", ", ".join(pictures))
    return Group(table, *others)


def _make_table_of_rows(title, rows):
    """Return a table of rows by name, all with the same columns, transposed where there are more columns than rows."""
    from rich.table import Table

    columns = list(next(iter(rows.values())))
    if len(columns) > len(rows):
        rows, columns = (
            {column.replace("_", " "): {name: row[column] for name, row in rows.items()} for column in columns},
            list(rows),
        )
    table = Table(
        title=title.replace("_", " "), title_justify="left", title_style="cyan", box=None, padding=(0, 2, 0, 0)
    )
    table.add_column(overflow="fold")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right", overflow="fold")
    for name, row in rows.items():
        table.add_row(name, *(_format(row[column], digits=4) for column in columns))
    return table


def _format(value, digits=5):
    if isinstance(value, dict):
        return "   ".join(f"{key.replace('_', ' ')} {_format(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "  ".join(_format(item) for item in value)
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:,.2f}"
    return str(value)
