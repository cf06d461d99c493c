"""The progress bar of a training run, with the number of steps and the latest metrics."""

import contextlib
from collections.abc import Callable, Iterator

from fastlin.environment.terminal import show_progress_bar


@contextlib.contextmanager
def show_step_progress(is_shown: bool, n_steps: int) -> Iterator[Callable[..., None]]:
    """Show a progress bar if `is_shown` is true, and yield the function that updates it.

    The arguments of the function are the number of steps and, by name, (training, validation) pairs of metrics.
    """
    if not is_shown:
        yield lambda n_taken, **metrics: None
        return
    with show_progress_bar("fastlin", n_steps) as update_bar:

        def show_step(n_taken, **metrics):
            labels = (
                f"{name} {value:.4f}" + ("" if validation is None else f" / {validation:.4f}")
                for name, (value, validation) in metrics.items()
            )
            update_bar(n_taken, "  ".join(labels))

        yield show_step
