"""A second process that compiles kernels too, since Numba compiles one at a time in a process.

Both take tasks from one list, this process from its end. The one that makes the file of a task has taken it. What the
other process has compiled lies in the user's cache folder. It ends with its list, or with this process, whose end
closes its stdin. Where it cannot be started or ends early, this process compiles everything.
"""

import atexit
import contextlib
import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from fastlin.interruption import run_uninterrupted
from fastlin.kernels.machine.cache_folder import cache_folder, code_folders
from fastlin.kernels.machine.libraries import config
from fastlin.kernels.machine.target import TARGET
from fastlin.kernels.machine.threads import count_threads

# The environment variable with the number of processes that compile: 1, or 2, which it is without it.
SETTING = "FASTLIN_COMPILERS"
# Seconds in which the other process compiles any of its kernels.
TIMEOUT = 60
PACKAGE = Path(__file__).parents[2]
# The other process imports what this one does, nothing from the current folder, and kernels alone: the imports of
# fastlin/__init__.py take a second.
PROGRAM = f"""
import sys
module, folder, *sys.path = sys.argv[1:]
package = sys.modules["fastlin"] = type(sys)("fastlin")
package.__path__ = [{str(PACKAGE)!r}]
__import__(module, fromlist=["main"]).main(folder)
"""


# That of this process.
_background_compilation: "BackgroundCompilation | None" = None


@cache
def begin(module: str) -> None:
    """Start the other process, once in this one, if a kernel of a module's tasks has not been compiled.

    The module has a function ``list_tasks``, and ``main``, which calls `work`.
    """
    if TARGET.archive or config.DISABLE_JIT or not _is_welcome():
        return
    tasks = importlib.import_module(module).list_tasks()
    if not all(any((folder / name).exists() for folder in code_folders()) for name in tasks):
        run_uninterrupted(_start, module, tasks)


def _start(module, tasks):
    global _background_compilation
    # If a signal interrupted an earlier `begin`, its process was started nevertheless.
    if _background_compilation is None:
        with contextlib.suppress(OSError):
            _background_compilation = BackgroundCompilation(module, tasks)


def has_compiled(name: str) -> bool:
    """Return True once the other process has compiled a kernel; False where this process shall compile it."""
    return _background_compilation is not None and _background_compilation.has_compiled(name)


def _is_welcome():
    """Say whether this process may start another one, which can keep what it compiles."""
    return (
        os.environ.get(SETTING, "2").strip() != "1"
        and count_threads() > 1
        and cache_folder() is not None
        # A pool of workers has all processors at work already.
        and multiprocessing.parent_process() is None
        # An application that Python is a part of would start itself again.
        and not getattr(sys, "frozen", False)
        and "python" in Path(sys.executable or "").name.lower()
    )


class BackgroundCompilation:
    """The other process, and the tasks of both.

    The other process calls ``main`` of the module with the folder in which tasks are taken. ``tasks`` are functions
    that compile kernels, by the names of the files with their code, in the order of the other process.
    """

    def __init__(self, module: str, tasks: dict[str, Callable[[], Any]]) -> None:
        # The other process removes it where this one cannot.
        self._folder = tempfile.mkdtemp(prefix="fastlin-")
        self._tasks = tasks
        self._own: set[str] = set()
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, module, self._folder, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, SETTING: "1"},
            # Ctrl-C is for this process alone.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        atexit.register(self.end)

    def has_compiled(self, name: str) -> bool:
        """Run the task of that name; while the other process runs it, take tasks from the end."""
        folder, deadline = cache_folder(), monotonic() + TIMEOUT
        if folder is None or name not in self._tasks or name in self._own or self._takes(name):
            return False
        path = folder / name
        while not path.exists():
            if self._process.poll() is not None or monotonic() > deadline:
                return path.exists()
            other = next(filter(self._takes, reversed(self._tasks)), None)
            if other is None:
                sleep(0.005)
            else:
                self._tasks[other]()
        return True

    def _takes(self, name):
        """Take a task, where the other process has not."""
        is_taken = name not in self._own and take(self._folder, name)
        if is_taken:
            self._own.add(name)
        return is_taken

    def end(self) -> None:
        """End the other process, whatever it is at."""
        self._process.kill()
        self._process.communicate()
        remove(self._folder)


def take(folder: str, name: str) -> bool:
    """Take a task in a folder, and say whether it had been free."""
    try:
        Path(folder, name).touch(exist_ok=False)
    except OSError:
        return False
    return True


def remove(folder: str) -> None:
    """Remove a folder of tasks and what lies in it."""
    with contextlib.suppress(OSError):
        for path in Path(folder).iterdir():
            path.unlink()
        os.rmdir(folder)


def work(folder: str, tasks: dict[str, Callable[[], Any]]) -> None:
    """Do the tasks that the first process has not taken, as long as that one lives."""
    threading.Thread(target=_end_with_parent, args=[folder], daemon=True).start()
    for name, compile_kernel in tasks.items():
        if take(folder, name):
            compile_kernel()


def _end_with_parent(folder):
    sys.stdin.buffer.read()
    remove(folder)
    os._exit(1)
