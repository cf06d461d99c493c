"""Run imports and compilation so that no exception of a signal handler can interrupt them.

Python calls signal handlers in the main thread, between any two steps of a program. On Ctrl-C, the handler raises an
exception. An import or a compilation in the main thread would then stop halfway, and the library or the compiler could
be broken for the rest of the process. So another thread does such work, and the main thread waits. An exception ends
the wait at once. The work continues, and later work starts after it.
"""

import _imp
import atexit
import contextlib

# Logging registers a fork hook at import. It must be imported before the registration below, because the hooks run in
# reverse order before a fork, and the work that the fork waits for may log.
import logging  # noqa: F401
import os
import threading
from _thread import start_new_thread
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from importlib import import_module
from typing import Any

# The seconds between two checks for signals. On Windows, a signal does not end the wait for a lock.
SIGNAL_CHECK_SECONDS = 0.1
# The thread that does the work holds this lock. The main thread acquires it only before a fork and at exit.
_running_call_lock = threading.RLock()


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
    work = _BackgroundCall(partial(copy_context().run, function, *arguments))
    try:
        # A `threading.Thread` shares a lock with the thread that starts it. An exception could leave this lock locked.
        start_new_thread(work.run, ())
    except RuntimeError:
        # No thread can be started, for example because the interpreter is shutting down.
        return function(*arguments)
    return work.result()


def _release_import_lock():
    """Release the interpreter's import lock if an interrupted import left it locked by this thread."""
    # `importlib` acquires the lock in a method. If an exception occurs right after that, the ``with`` block that
    # releases the lock is never entered, and another thread would wait forever.
    with contextlib.suppress(RuntimeError):
        while _imp.lock_held():
            _imp.release_lock()


class _BackgroundCall:
    """A call on another thread, and its result or error."""

    def __init__(self, call):
        self._call = call
        self._result = None
        self._error = None
        self._is_awaited = True
        self._has_ended = False
        # The lock is released at the end of the work. That the lock was acquired does not prove the end, because an
        # exception may follow.
        self._end_lock = threading.Lock()
        self._end_lock.acquire()

    def run(self):
        """Wait until earlier calls have ended, and call the function unless an exception has ended the wait by then."""
        with _running_call_lock:
            try:
                if self._is_awaited:
                    self._result = self._call()
            except BaseException as error:
                self._error = error
            self._has_ended = True
            self._end_lock.release()

    def result(self):
        """Wait for the end of the call, and return its result or raise its error."""
        try:
            while not self._has_ended:
                self._end_lock.acquire(timeout=SIGNAL_CHECK_SECONDS)
        finally:
            self._is_awaited = False
        if self._error is not None:
            try:
                raise self._error
            finally:
                # The traceback of the error refers to this object.
                self._error = None
        return self._result


def _wait_for_running_call():
    with _running_call_lock:
        pass


# After a fork, the child process has only one thread, so the locks of work in progress would never be released in it.
# Also, no compilation may run while the interpreter shuts down.
atexit.register(_wait_for_running_call)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_running_call_lock.acquire,
        after_in_parent=_running_call_lock.release,
        after_in_child=_running_call_lock.release,
    )
