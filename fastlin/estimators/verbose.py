"""What verbose=1 shows: a line for one fit, a bar for many fits, a bar over the epochs of a training."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING

from fastlin.progress import show_bar, show_line

if TYPE_CHECKING:
    from fastlin.solvers.solution import Iteration


@contextlib.contextmanager
def show_iterations(
    verbose: int, count_read_bytes: Callable[[], int] | None = None
) -> Iterator[Callable[[int, Iteration, object], None] | None]:
    """Yield a function for a solver to call after each iteration, or None where verbose is 0.

    It keeps one line up to date with iteration, objective, relative gap to the optimum and seconds. Where a function
    counts the bytes that were read, the speed of reading follows.
    """
    if not verbose:
        yield None
        return
    started = perf_counter()
    with show_line("fastlin: before the first iteration") as show:

        def on_iteration(n_iter, iteration, model):
            gap = iteration.bound / iteration.objective if iteration.objective > 0 else float("inf")
            speed = 0.0 if count_read_bytes is None else count_read_bytes() / (perf_counter() - started) / 1e9
            show(
                f"fastlin: iteration {n_iter:4d}  objective {iteration.objective:.9g}  "
                + (f"gap {gap:.1e}  " if gap < float("inf") else "")
                + f"{iteration.seconds:.2f} s"
                + ("" if count_read_bytes is None else f"  {speed:.2f} GB/s")
            )

        yield on_iteration


@contextlib.contextmanager
def count_fits(verbose: int, n_fits: int) -> Iterator[Callable[[], None] | None]:
    """Yield a function to call after each of many fits, from any thread, or None where verbose is 0: it moves a bar."""
    if not verbose:
        yield None
        return
    n_done, lock = 0, Lock()
    with show_bar("fastlin: fits", n_fits) as show:

        def on_fit():
            nonlocal n_done
            with lock:
                n_done += 1
                show(n_done)

        yield on_fit
