"""What a terminal shows: texts without commands, and while something works a bar; without rich its end."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from fastlin.extras import find_missing


def make_printable(text: str) -> str:
    r"""Return a text whose unprintable signs are written as by ``repr``, such as ``\x1b`` for an escape.

    Names of columns and files come from others. A terminal would take sequences in them for commands, which move the
    cursor, change the colors or the title, or hide what stands before.
    """
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


@contextlib.contextmanager
def show_bar(label: str, total: int | None) -> Iterator[Callable[..., None]]:
    """Show a short label, a bar if there is a total, and a text; yield a function of how many are done and of the text.

    Without rich the last state is printed at the end.
    """
    if "rich" in find_missing("studies"):
        last = {"n_done": 0, "text": ""}
        try:
            yield lambda n_done, text="": last.update(n_done=n_done, text=text)
        finally:
            done = "" if total is None else f" {last['n_done']} of {total} "
            print(f"{label}:{done} {last['text']}".rstrip())
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    described = TextColumn("{task.description}", markup=False)
    columns: list[Any] = [described]
    if total is not None:
        columns = [BarColumn(None), MofNCompleteColumn(), described, TimeRemainingColumn(elapsed_when_finished=True)]
    with Progress(TextColumn(label, markup=False), *columns) as progress:
        task = progress.add_task("", total=total)
        unsaid = "" if total is not None else "{:,}"
        yield lambda n_done, text="": progress.update(task, completed=n_done, description=text or unsaid.format(n_done))
