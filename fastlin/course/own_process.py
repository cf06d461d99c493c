"""A process of its own for calls that may take too long, or end the process that they run in."""

import signal
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

CONTEXT = get_context("spawn")


class OwnProcess:
    """A process in which functions of modules are called, from the first call until `contextlib.closing` kills it."""

    def __init__(self) -> None:
        self._process: Any = None
        self._connection: Any = None
        self._has_answered, self._is_closed = False, False

    @property
    def has_answered(self) -> bool:
        """Whether the process runs, and has answered a call."""
        return bool(self._has_answered and self._process.is_alive())

    def _start(self):
        self._has_answered = False
        self._connection, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_serve, args=(theirs,))
        self._process.start()
        # With this end open, a process that has died would leave the pipe silent.
        theirs.close()

    def call(self, function: Callable[..., Any], *arguments: Any, seconds: float | None = None) -> Any:
        """Return what a function makes of arguments, or raise its exception; a process that has ended starts again.

        A TimeoutError: after so many seconds the process was killed. A ChildProcessError: it has died, or was closed.
        """
        if self._is_closed:
            raise ChildProcessError("its process has been closed")
        if self._process is None or not self._process.is_alive():
            self._start()
        try:
            self._connection.send((function, arguments))
            if self._connection.poll(seconds):
                has_raised, found = self._connection.recv()
            else:
                self._kill()
                raise TimeoutError(f"stopped after {seconds:.3g} s")
        except (EOFError, ConnectionError) as error:
            self._process.join()
            raise ChildProcessError(f"its process has ended with status {self._process.exitcode}") from error
        self._has_answered = True
        if has_raised:
            raise found
        return found

    def close(self) -> None:
        """Kill the process for good: a thread that still calls it starts no other one."""
        self._is_closed = True
        self._kill()

    def _kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.join()


def _serve(connection):
    """Answer calls until the other process closes the pipe, or ends."""
    # In a terminal Ctrl-C reaches every process. The first one ends this one, which should print nothing.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = False, function(*arguments)
        except Exception as error:
            answer = True, error
        connection.send(answer)
