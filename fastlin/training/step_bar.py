"""The progress bar of a training: the steps taken, and what was measured last."""

import contextlib
from collections.abc import Callable, Iterator

from fastlin.terminal import show_bar


@contextlib.contextmanager
def show_steps(is_shown: bool, n_steps: int) -> Iterator[Callable[..., None]]:
    """Show a bar of n_steps if is_shown; yield a function that takes the steps taken and pairs of measures."""
    if not is_shown:
        yield lambda n_taken, **measures: None
        return
    with show_bar("fastlin", n_steps) as show_count:

        def show(n_taken, **measures):
            texts = (
                f"{name} {value:.4f}" + ("" if validated is None else f" / {validated:.4f}")
                for name, (value, validated) in measures.items()
            )
            show_count(n_taken, "  ".join(texts))

        yield show
