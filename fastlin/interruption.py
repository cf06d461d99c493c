"""Run imports and compilation so that no exception of a signal handler can interrupt them.

Python calls signal handlers in the main thread, between any two steps of a program. If a handler raises an exception,
as it does on Ctrl-C, an import or a compilation in the main thread stops halfway, and the library or the compiler can
be broken for the rest of the process. So another thread does such work, and the main thread waits. An exception ends
the wait at once. The work continues, and later work starts when it is complete.
"""

import _imp
import atexit
import contextlib

# Import logging before the registration below. Hooks run in reverse order before a fork, which waits for work that may
# log.
import logging  # noqa: F401
import os
import threading
from _thread import start_new_thread
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from importlib import import_module
from typing import Any

# Seconds between two checks for signals. On Windows, a signal does not end the wait for a lock.
SLICE = 0.1
# This lock is held by the thread that does the work. The main thread acquires it only before a fork and at exit.
_work_lock = threading.RLock()


def import_uninterrupted(*names: str) -> list[Any]:
    """Import modules by name and return them. No signal handler can interrupt the import."""
    return run_uninterrupted(lambda: [import_module(name) for name in names])


def run_uninterrupted(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function and return its result. If a signal handler raises an exception, the function still completes.

    The exception is raised from `run_uninterrupted` at once. In the main thread, the function runs on another thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return function(*arguments)
    _release_import_lock()
    work = _Work(partial(copy_context().run, function, *arguments))
    try:
        # A `threading.Thread` shares a lock with the thread that starts it, which an exception could leave locked.
        start_new_thread(work.run, ())
    except RuntimeError:
        # No thread can be started, for example because the interpreter is shutting down.
        return function(*arguments)
    return work.result()


def _release_import_lock():
    """Release the interpreter's import lock if an interrupted import left it locked by this thread."""
    # `importlib` acquires the lock in a method. An exception right after that precedes the ``with`` block that would
    # release the lock, and another thread would wait forever.
    with contextlib.suppress(RuntimeError):
        while _imp.lock_held():
            _imp.release_lock()


class _Work:
    """A call on another thread, and its result or error."""

    def __init__(self, call):
        self._call = call
        self._result = None
        self._error = None
        self._is_awaited = True
        self._has_ended = False
        # The lock is released at the end of the work. Acquiring it does not prove the end, because an exception may
        # follow.
        self._end = threading.Lock()
        self._end.acquire()

    def run(self):
        """Call the function after earlier work has ended, unless an exception has ended the wait by then."""
        with _work_lock:
            try:
                if self._is_awaited:
                    self._result = self._call()
            except BaseException as error:
                self._error = error
            self._has_ended = True
            self._end.release()

    def result(self):
        """Wait for the end of the call, and return its result or raise its error."""
        try:
            while not self._has_ended:
                self._end.acquire(timeout=SLICE)
        finally:
            self._is_awaited = False
        if self._error is not None:
            try:
                raise self._error
            finally:
                # The traceback of the error refers to this object.
                self._error = None
        return self._result


def _wait_for_work():
    with _work_lock:
        pass


# A child process has only the thread that forks, so the locks of work in progress would never be released there. And no
# compilation may run while the interpreter shuts down.
atexit.register(_wait_for_work)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_work_lock.acquire, after_in_parent=_work_lock.release, after_in_child=_work_lock.release
    )
