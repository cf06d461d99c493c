"""A background process that compiles kernels in parallel, because Numba compiles one kernel at a time per process.

Both processes take tasks from one list, and this process starts with the last task. A process takes a task by creating
the file of the task. The background process writes compiled code to the user's cache folder. It exits after its last
task, or when this process exits and the stdin of the background process is closed. If the background process cannot be
started or exits early, this process compiles all kernels.
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

# The environment variable for the number of processes that compile kernels: 1 or 2 (default).
COMPILER_COUNT_VARIABLE = "FASTLIN_COMPILERS"
# The maximum time, in seconds, to wait for a kernel from the background process.
TIMEOUT = 60
PACKAGE_FOLDER = Path(__file__).parents[2]
# The background process uses the sys.path of this process without the current folder. It imports only the kernels,
# because the imports in fastlin/__init__.py are slow.
PROGRAM = f"""
import sys
module, folder, *sys.path = sys.argv[1:]
package = sys.modules["fastlin"] = type(sys)("fastlin")
package.__path__ = [{str(PACKAGE_FOLDER)!r}]
__import__(module, fromlist=["main"]).main(folder)
"""


# The background process, if it was started.
_background_compilation: "BackgroundCompilation | None" = None


@cache
def begin(module: str) -> None:
    """Start the background process, at most once, unless the kernels of all tasks of a module are already compiled.

    The module must define a function ``list_compilation_tasks`` and a function ``main``, which calls `run_tasks`.
    """
    if TARGET.archive or config.DISABLE_JIT or not _may_start_process():
        return
    tasks = importlib.import_module(module).list_compilation_tasks()
    if not all(any((folder / name).exists() for folder in code_folders()) for name in tasks):
        run_uninterrupted(_start_process, module, tasks)


def _start_process(module, tasks):
    global _background_compilation
    # An earlier call of `begin` may have started the process before a signal interrupted the call.
    if _background_compilation is None:
        with contextlib.suppress(OSError):
            _background_compilation = BackgroundCompilation(module, tasks)


def wait_for_compiled_kernel(name: str) -> bool:
    """Return True once the background process has compiled a kernel, or False if this process must compile it."""
    return _background_compilation is not None and _background_compilation.wait_for_compiled_kernel(name)


def _may_start_process():
    """Return whether this process may start a background process that can save compiled code."""
    return (
        os.environ.get(COMPILER_COUNT_VARIABLE, "2").strip() != "1"
        and count_threads() > 1
        and cache_folder() is not None
        # A worker pool already uses all processors.
        and multiprocessing.parent_process() is None
        # A frozen application would start another instance of itself.
        and not getattr(sys, "frozen", False)
        and "python" in Path(sys.executable or "").name.lower()
    )


class BackgroundCompilation:
    """The background process, and the tasks of both processes.

    The background process calls ``main`` of the module with the folder of the task files. ``tasks`` is a dict from file
    names to functions. Each function compiles one kernel, whose code is saved under this file name. The background
    process takes the tasks in the order of the dict.
    """

    def __init__(self, module: str, tasks: dict[str, Callable[[], Any]]) -> None:
        # The background process removes the folder if this process cannot.
        self._folder = tempfile.mkdtemp(prefix="fastlin-")
        self._tasks = tasks
        self._taken_tasks: set[str] = set()
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, module, self._folder, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, COMPILER_COUNT_VARIABLE: "1"},
            # Ctrl-C interrupts only this process.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        atexit.register(self.end)

    def wait_for_compiled_kernel(self, name: str) -> bool:
        """Return False for a task that this process takes. Otherwise, run other tasks until the task is done.

        The result is then True, unless the background process failed to compile the kernel.
        """
        folder, deadline = cache_folder(), monotonic() + TIMEOUT
        if folder is None or name not in self._tasks or name in self._taken_tasks or self._try_to_take(name):
            return False
        path = folder / name
        while not path.exists():
            if self._process.poll() is not None or monotonic() > deadline:
                return path.exists()
            other = next(filter(self._try_to_take, reversed(self._tasks)), None)
            if other is None:
                sleep(0.005)
            else:
                self._tasks[other]()
        return True

    def _try_to_take(self, name):
        """Take a task and return True, or return False if one of the two processes has already taken it."""
        is_taken = name not in self._taken_tasks and try_to_take_task(self._folder, name)
        if is_taken:
            self._taken_tasks.add(name)
        return is_taken

    def end(self) -> None:
        """Terminate the background process, even if it is compiling a kernel."""
        self._process.kill()
        self._process.communicate()
        remove_folder(self._folder)


def try_to_take_task(folder: str, name: str) -> bool:
    """Take a task by creating its file in the folder. Return False if the task was already taken."""
    try:
        Path(folder, name).touch(exist_ok=False)
    except OSError:
        return False
    return True


def remove_folder(folder: str) -> None:
    """Remove a folder of task files."""
    with contextlib.suppress(OSError):
        for path in Path(folder).iterdir():
            path.unlink()
        os.rmdir(folder)


def run_tasks(folder: str, tasks: dict[str, Callable[[], Any]]) -> None:
    """Run the tasks that the other process has not taken, until that process exits."""
    threading.Thread(target=_exit_with_parent, args=[folder], daemon=True).start()
    for name, compile_kernel in tasks.items():
        if try_to_take_task(folder, name):
            compile_kernel()


def _exit_with_parent(folder):
    sys.stdin.buffer.read()
    remove_folder(folder)
    os._exit(1)
