"""What a terminal shows: texts without commands, and while something works a line or a bar; without rich its end."""

import contextlib
from collections.abc import Callable, Iterator

from fastlin.extras import find_missing


def make_printable(text: str) -> str:
    r"""Return a text whose unprintable signs are written as by ``repr``, such as ``\x1b`` for an escape.

    Names of columns and files come from others. A terminal would take sequences in them for commands, which move the
    cursor, change the colours or the title, or hide what stands before.
    """
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


@contextlib.contextmanager
def show_line(text: str) -> Iterator[Callable[[str], None]]:
    """Show a line while the ``with`` block runs; yield a function that changes its text."""
    if "rich" in find_missing("studies"):
        yield from _print_last(str, text)
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    console = Console()
    # In a file a spinner does not turn, and would be a stray character.
    spinner = [SpinnerColumn()] if console.is_terminal else []
    with Progress(*spinner, TextColumn("{task.description}", markup=False), console=console) as progress:
        task = progress.add_task(text, total=None)
        yield lambda text: progress.update(task, description=text)
        progress.refresh()


@contextlib.contextmanager
def show_bar(label: str, total: int) -> Iterator[Callable[..., None]]:
    """Show a bar behind a short label; yield a function of how many are done and of a text, if there is more to say."""
    if "rich" in find_missing("studies"):
        yield from _print_last(lambda n_done, text="": f"{label}: {n_done} of {total}  {text}".rstrip(), 0)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(label, markup=False),
        BarColumn(None),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, TimeRemainingColumn(elapsed_when_finished=True)) as progress:
        task = progress.add_task("", total=total)
        yield lambda n_done, text="": progress.update(task, completed=n_done, description=text)


def _print_last(describe, *state):
    """Yield a function that takes the state of the work, and print the last state however the block ends."""

    def show(*changed):
        nonlocal state
        state = changed

    try:
        yield show
    finally:
        print(describe(*state))
