"""What tells a user that kernels are being compiled: one line, once in a process, after the first second of it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

# Seconds of compilation that pass without a word.
PATIENCE = 1.0
TEXT = "fastlin compiles code for this processor and these types of data, for some seconds, and keeps it for later."
LOGGER = logging.getLogger("fastlin")


class CompilationTime:
    """How long this process has compiled kernels, loading code that was kept not counted.

    Attributes
    ----------
    seconds : float
        The time of all compilations that have ended. What compiles within another one counts once.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth, self._began, self._is_told = 0, 0.0, False

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Count the ``with`` block, in which something is compiled, and say so where it is long. One thread at a time.

        A kernel that compiles others says so while it is at work, any other one at the next.
        """
        if not self._depth:
            self._began = perf_counter()
        self._depth += 1
        try:
            self._tell_if_long(self.seconds + perf_counter() - self._began)
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self.seconds += perf_counter() - self._began

    def _tell_if_long(self, seconds):
        if seconds > PATIENCE and not self._is_told:
            self._is_told = True
            tell(TEXT)


def tell(text: str) -> None:
    """Print a line where somebody sees it, on a terminal's stderr or in a notebook; else write it to the logger."""
    if sys.stderr is not None and (sys.stderr.isatty() or _is_notebook()):
        print(text, file=sys.stderr, flush=True)
    else:
        LOGGER.info(text)


def _is_notebook():
    """Say whether cells of a notebook show what is printed: IPython then runs without a terminal."""
    interactive = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(interactive).__name__ == "ZMQInteractiveShell"
