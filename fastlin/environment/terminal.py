"""Terminal output: strings without control sequences, and progress bars."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from fastlin.environment.extras import find_missing_packages


def make_printable(text: str) -> str:
    r"""Return a string with unprintable characters escaped as by ``repr``, such as ``\x1b``.

    Names of columns and files are untrusted. A terminal would interpret control sequences in them, which can move the
    cursor, change colors or the title, or hide other output.
    """
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


@contextlib.contextmanager
def show_progress_bar(label: str, total: int | None) -> Iterator[Callable[..., None]]:
    """Show a label, a message and, if there is a total, a progress bar. Yield a function that updates them.

    The arguments of the function are the new count and message. If rich is not installed, only the last state is
    printed, at the end.
    """
    if "rich" in find_missing_packages("studies"):
        last = {"n_done": 0, "text": ""}
        try:
            yield lambda n_done, text="": last.update(n_done=n_done, text=text)
        finally:
            count_text = "" if total is None else f" {last['n_done']} of {total} "
            print(f"{label}:{count_text} {last['text']}".rstrip())
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    description_column = TextColumn("{task.description}", markup=False)
    columns: list[Any] = [description_column]
    if total is not None:
        columns = [
            BarColumn(None),
            MofNCompleteColumn(),
            description_column,
            TimeRemainingColumn(elapsed_when_finished=True),
        ]
    with Progress(TextColumn(label, markup=False), *columns) as progress:
        task = progress.add_task("", total=total)
        default = "" if total is not None else "{:,}"
        yield lambda n_done, text="": progress.update(
            task, completed=n_done, description=text or default.format(n_done)
        )
