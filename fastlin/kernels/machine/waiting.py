"""What tells a user that kernels are being compiled: one line, once in a process, within a second of it."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from threading import Timer
from time import perf_counter

# Seconds of compilation that pass without a word.
PATIENCE = 0.5
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

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Count the ``with`` block, which compiles, and say so where it takes long. One thread at a time."""
        if not self._depth:
            self._began = perf_counter()
            self._start_timer()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._timer.cancel()
                self.seconds += perf_counter() - self._began

    def _start_timer(self):
        # LLVM works without the interpreter's lock, so that the line comes within a long kernel too.
        self._timer = Timer(max(PATIENCE - self.seconds, 0), self._tell)
        self._timer.daemon = True
        # Where no thread can be started, code can be compiled all the same.
        with contextlib.suppress(RuntimeError):
            if not self._is_told:
                self._timer.start()

    def _tell(self):
        self._is_told = True
        tell(TEXT)


def tell(text: str) -> None:
    """Print a line on a terminal's stderr or in a notebook; else log it as a warning, which logs show by default."""
    if sys.stderr is not None and (sys.stderr.isatty() or _is_notebook()):
        print(text, file=sys.stderr, flush=True)
    else:
        LOGGER.warning(text)


def _is_notebook():
    """Say whether cells of a notebook show what is printed: IPython then runs without a terminal."""
    interactive = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(interactive).__name__ == "ZMQInteractiveShell"
