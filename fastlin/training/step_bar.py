"""The progress bar of a training run, with the number of steps and the latest metrics."""

import contextlib
from collections.abc import Callable, Iterator

from fastlin.terminal import show_bar


@contextlib.contextmanager
def show_steps(is_shown: bool, n_steps: int) -> Iterator[Callable[..., None]]:
    """Show a progress bar if `is_shown` is true, and yield the function that updates it.

    The arguments of the function are the number of steps and, by name, (training, validation) pairs of metrics.
    """
    if not is_shown:
        yield lambda n_taken, **measures: None
        return
    with show_bar("fastlin", n_steps) as show_count:

        def show(n_taken, **measures):
            labels = (
                f"{name} {value:.4f}" + ("" if validation is None else f" / {validation:.4f}")
                for name, (value, validation) in measures.items()
            )
            show_count(n_taken, "  ".join(labels))

        yield show
