"""The compilation time of this process, and a message to the user if it exceeds one second."""

import contextlib
import functools
import logging
from collections.abc import Iterator
from threading import Timer
from time import perf_counter

# The compilation time, in seconds, after which the message appears.
TIMEOUT = 1.0
COMPILATION_MESSAGE = (
    "fastlin is compiling code for this processor and these types of data. This takes a few seconds; later runs reuse "
    "the code."
)
LOGGER = logging.getLogger("fastlin")


class CompilationTime:
    """The total `seconds` of compilation, without the loading of saved code. Nested compilations are counted once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth, self._start_time = 0, 0.0

    @contextlib.contextmanager
    def measure(self) -> Iterator[None]:
        """Add the time of the ``with`` block, which is a compilation, and warn if the total exceeds TIMEOUT.

        This is not thread-safe.
        """
        if not self._depth:
            self._start_time = perf_counter()
            # LLVM releases the interpreter lock, so the message appears even during a long compilation.
            self._timer = Timer(max(TIMEOUT - self.seconds, 0), warn_once, [COMPILATION_MESSAGE])
            # If no thread can be started, no message appears, but the compilation succeeds.
            with contextlib.suppress(RuntimeError):
                self._timer.start()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._timer.cancel()
                self.seconds += perf_counter() - self._start_time


@functools.cache
def warn_once(text: str) -> None:
    """Log a warning once per process; without logging configuration, it appears on stderr."""
    LOGGER.warning(text)
