"""What verbose=1 shows: the line of a fit (iteration, objective, gap to the optimum, seconds), the bar of many fits."""

import contextlib


@contextlib.contextmanager
def show_iterations(verbose):
    """Yield a solver's on_iteration that keeps one line up to date, or None where verbose is 0.

    Where the output is not a terminal, the last state is printed once.
    """
    if not verbose:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    console = Console()
    # A spinner that does not turn is a stray sign in a file.
    spinner = [SpinnerColumn()] if console.is_terminal else []
    with Progress(*spinner, TextColumn("{task.description}"), console=console) as progress:
        task = progress.add_task("fastlin: before the first iteration", total=None)

        def on_iteration(n_iter, iteration):
            gap = iteration.bound / iteration.objective if iteration.objective > 0 else float("inf")
            progress.update(
                task,
                description=f"fastlin: iteration {n_iter:4d}  objective {iteration.objective:.9g}  "
                + (f"relative gap {gap:.1e}  " if gap < float("inf") else "")
                + f"{iteration.seconds:.2f} s",
            )

        yield on_iteration
        progress.refresh()


@contextlib.contextmanager
def count_fits(verbose, n_fits):
    """Yield what to call after each of many fits, from any thread: it moves a bar on; None where verbose is 0."""
    if not verbose:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("fastlin: fits"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns) as progress:
        task = progress.add_task("", total=n_fits)
        yield lambda: progress.advance(task)
