"""What verbose=1 shows: a line for one fit, a bar for many fits, a bar over the epochs of a training."""

import contextlib
from time import perf_counter


@contextlib.contextmanager
def show_iterations(verbose, count_read_bytes=None):
    """Yield a function for a solver to call after each iteration, or None where verbose is 0.

    It keeps one line up to date with iteration, objective, relative gap to the optimum and seconds. Where a function
    counts the bytes that were read, the speed of reading follows. Where the output is not a terminal, the last state is
    printed once.
    """
    if not verbose:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    console, started = Console(), perf_counter()
    # In a file a spinner does not turn, and would be a stray character.
    spinner = [SpinnerColumn()] if console.is_terminal else []
    with Progress(*spinner, TextColumn("{task.description}"), console=console) as progress:
        task = progress.add_task("fastlin: before the first iteration", total=None)

        def on_iteration(n_iter, iteration, model):
            gap = iteration.bound / iteration.objective if iteration.objective > 0 else float("inf")
            speed = 0.0 if count_read_bytes is None else count_read_bytes() / (perf_counter() - started) / 1e9
            progress.update(
                task,
                description=f"fastlin: iteration {n_iter:4d}  objective {iteration.objective:.9g}  "
                + (f"gap {gap:.1e}  " if gap < float("inf") else "")
                + f"{iteration.seconds:.2f} s"
                + ("" if count_read_bytes is None else f"  {speed:.2f} GB/s"),
            )

        yield on_iteration
        progress.refresh()


@contextlib.contextmanager
def count_fits(verbose, n_fits):
    """Yield a function to call after each of many fits, from any thread, or None where verbose is 0: it moves a bar."""
    if not verbose:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("fastlin: fits"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns) as progress:
        task = progress.add_task("", total=n_fits)
        yield lambda: progress.advance(task)
