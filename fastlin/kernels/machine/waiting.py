"""What tells a user that kernels are being compiled: one line, once in a process, after a second of it."""

import contextlib
import functools
import logging
from collections.abc import Iterator
from threading import Timer
from time import perf_counter

# Seconds of compilation that pass without a word.
TIMEOUT = 1.0
TEXT = "fastlin compiles code for this processor and these types of data, for some seconds, and keeps it for later."
LOGGER = logging.getLogger("fastlin")


class CompilationTime:
    """The `seconds` of this process's compilations, without loading kept code; nested compilations count once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth, self._began = 0, 0.0

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Count the ``with`` block, which compiles, and say so where it takes long. One thread at a time."""
        if not self._depth:
            self._began = perf_counter()
            # LLVM works without the interpreter's lock, so that the line comes within a long kernel too.
            self._timer = Timer(max(TIMEOUT - self.seconds, 0), tell, [TEXT])
            # Where no thread can be started, code can be compiled all the same.
            with contextlib.suppress(RuntimeError):
                self._timer.start()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._timer.cancel()
                self.seconds += perf_counter() - self._began


@functools.cache
def tell(text: str) -> None:
    """Say a line once in a process, as a warning: without a log of their own, users find it on stderr."""
    LOGGER.warning(text)
