"""`WorkerProcess` runs calls in a separate process, because they may take too long or crash."""

import signal
import sys
from collections.abc import Callable
from multiprocessing import get_context
from threading import Lock
from types import ModuleType
from typing import Any

SPAWN_CONTEXT = get_context("spawn")
# Processes may be started and closed in several threads, and the start replaces a module.
LOCK = Lock()


class WorkerProcess:
    """A process that calls importable functions. The first call starts the process, and `close` ends it."""

    def __init__(self) -> None:
        self._process: Any = None
        self._connection: Any = None
        self._has_answered, self._is_closed = False, False

    @property
    def has_answered(self) -> bool:
        """Whether the process is alive and has answered a call."""
        return bool(self._has_answered and self._process.is_alive())

    def _start_process(self):
        self._has_answered = False
        connection, worker_connection = SPAWN_CONTEXT.Pipe()
        process = SPAWN_CONTEXT.Process(target=_serve_calls, args=(worker_connection,))
        # A new process would import the user's script again, and a script without a condition on __name__ would then
        # start processes itself. The functions that are called do not require the script.
        with LOCK:
            if self._is_closed:
                raise ChildProcessError("its process has been closed")
            main = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                process.start()
                self._process, self._connection = process, connection
            finally:
                sys.modules["__main__"] = main
        # If the parent kept the worker's side of the pipe open, the pipe would not close when the worker dies.
        worker_connection.close()

    def call(self, function: Callable[..., Any], *arguments: Any, seconds: float | None = None) -> Any:
        """Return the result of a function or raise the function's exception; restart the process if it has ended.

        If the call exceeds `seconds`, kill the process and raise a TimeoutError. If the process died or was closed,
        raise a ChildProcessError.
        """
        if self._is_closed:
            raise ChildProcessError("its process has been closed")
        if self._process is None or not self._process.is_alive():
            self._start_process()
        try:
            self._connection.send((function, arguments))
            if self._connection.poll(seconds):
                has_raised, result = self._connection.recv()
            else:
                self.stop()
                raise TimeoutError(f"stopped after {seconds:.3g} s")
        except (EOFError, ConnectionError) as error:
            self._process.join()
            raise ChildProcessError(f"its process has ended with status {self._process.exitcode}") from error
        self._has_answered = True
        if has_raised:
            raise result
        return result

    def close(self) -> None:
        """Kill the process permanently: later calls raise a ChildProcessError instead of restarting it."""
        with LOCK:
            self._is_closed = True
        self.stop()

    def stop(self) -> None:
        """Kill the process. The next call starts a new one."""
        if self._process is not None:
            self._process.kill()
            self._process.join()


def _serve_calls(connection):
    """Answer calls until the parent process closes the pipe or exits."""
    # Ctrl-C in a terminal reaches every process. The parent kills this process, so it must not print a traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        except Exception as error:
            # For example, a module of a function is not installed.
            connection.send((True, ChildProcessError(f"its code cannot be loaded: {type(error).__name__}: {error}")))
            continue
        try:
            answer = False, function(*arguments)
        except Exception as error:
            answer = True, error
        connection.send(answer)
