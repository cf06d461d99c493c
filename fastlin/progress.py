"""What is shown while something works: one line that is kept up to date, or a bar; without rich the last state."""

import contextlib
from collections.abc import Callable, Iterator

from fastlin.extras import find_missing


@contextlib.contextmanager
def show_line(text: str) -> Iterator[Callable[[str], None]]:
    """Show a line while the ``with`` block runs; yield a function that changes its text."""
    if not _can_draw():
        with _print_last(text) as show:
            yield show
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
    if not _can_draw():
        with _print_last(f"{label}: 0 of {total}") as show:
            yield lambda n_done, text="": show(f"{label}: {n_done} of {total}  {text}".rstrip())
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


def _can_draw():
    return "rich" not in find_missing("studies")


@contextlib.contextmanager
def _print_last(text):
    """Print the last text that the yielded function was given, however the block ends."""

    def show(changed):
        nonlocal text
        text = changed

    try:
        yield show
    finally:
        print(text)
