"""The background process: when it starts, how the processes divide tasks, and that it always ends."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from conftest import JIT_ENABLED

from fastlin.kernels import first_fit
from fastlin.kernels.machine import background_compilation
from fastlin.kernels.machine.background_compilation import (
    BackgroundCompilation,
    remove_folder,
    run_tasks,
    try_to_take_task,
)

pytestmark = pytest.mark.skipif(not JIT_ENABLED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")
# The file of this task exists.
EXISTING_TASK = Path(__file__).name
# This program compiles the kernels of a first fit. FASTLIN_COMPILERS sets its number of processes.
PROGRAM = """
import json
import numpy as np
from fastlin import LogisticRegression
from fastlin.kernels.machine import background_compilation
from fastlin.kernels.machine.archives import list_kernels
X, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 3
model = LogisticRegression().fit(X, y)
results = model.coef_.tobytes().hex(), model.predict_proba(X).tobytes().hex()
process = background_compilation._background_compilation and background_compilation._background_compilation._process.pid
loaded = {kernel.__name__ for kernel in list_kernels() if kernel.stats.cache_hits}
print(json.dumps([process, sorted(loaded), results]))
"""


@pytest.fixture
def started_modules(monkeypatch):
    """Allow background processes. Return the list of modules for which a process has been started."""
    started = []
    module = SimpleNamespace(list_compilation_tasks=lambda: {EXISTING_TASK: None})
    monkeypatch.setenv(background_compilation.COMPILER_COUNT_VARIABLE, "2")
    monkeypatch.setattr(background_compilation, "count_threads", lambda: 2)
    monkeypatch.setattr(background_compilation, "TARGET", SimpleNamespace(archive=None))
    monkeypatch.setattr(background_compilation, "BackgroundCompilation", lambda name, tasks: started.append(name))
    monkeypatch.setattr(background_compilation.importlib, "import_module", lambda name: module)
    monkeypatch.setattr(background_compilation, "cache_folder", lambda: "a folder")
    monkeypatch.setattr(background_compilation, "code_folders", lambda: ())
    background_compilation.begin.cache_clear()
    yield started
    background_compilation.begin.cache_clear()


def test_one_process_is_started_for_missing_kernels(started_modules):
    background_compilation.begin("module")
    background_compilation.begin("module")
    assert started_modules == ["module"]


@pytest.mark.parametrize(
    ("target", "name", "value"),
    [
        # All kernels are compiled.
        (background_compilation, "code_folders", lambda: (Path(__file__).parent,)),
        (background_compilation, "TARGET", SimpleNamespace(archive="of a wheel")),
        (background_compilation, "count_threads", lambda: 1),
        (background_compilation, "cache_folder", lambda: None),
        (background_compilation.config, "DISABLE_JIT", 1),
        (background_compilation.multiprocessing, "parent_process", lambda: "a pool"),
        (background_compilation.sys, "executable", "/usr/bin/office"),
        (background_compilation.sys, "executable", None),
        (background_compilation.os, "environ", {background_compilation.COMPILER_COUNT_VARIABLE: "1"}),
        # The operating system cannot start a process.
        (
            background_compilation,
            "BackgroundCompilation",
            Mock(side_effect=BlockingIOError(11, "Resource temporarily unavailable")),
        ),
    ],
)
def test_no_unnecessary_process_is_started(started_modules, monkeypatch, target, name, value):
    monkeypatch.setattr(target, name, value)
    background_compilation.begin("module")
    assert started_modules == []
    assert not background_compilation.wait_for_compiled_kernel(EXISTING_TASK)


def test_a_task_is_taken_once(monkeypatch, tmp_path):
    monkeypatch.setattr(background_compilation, "_exit_with_parent", lambda folder: None)
    assert try_to_take_task(str(tmp_path), "a.nbc")
    assert not try_to_take_task(str(tmp_path), "a.nbc")
    executed_tasks = []
    run_tasks(str(tmp_path), {"a.nbc": lambda: executed_tasks.append("a"), "b.nbc": lambda: executed_tasks.append("b")})
    assert executed_tasks == ["b"]
    remove_folder(str(tmp_path))
    assert not tmp_path.exists()


@pytest.fixture
def other(monkeypatch, tmp_path):
    """Return a function that starts a background process, which takes its first task and then runs a program."""
    monkeypatch.setattr(background_compilation, "cache_folder", lambda: tmp_path)
    others = []

    def start(program, tasks):
        begin = "import sys, time; from pathlib import Path; folder = sys.argv[2]; Path(folder, 'a.nbc').touch()\n"
        monkeypatch.setattr(background_compilation, "PROGRAM", begin + program)
        others.append(BackgroundCompilation("module", tasks))
        while not os.path.exists(os.path.join(others[0]._folder, "a.nbc")):
            time.sleep(0.01)
        return others[0]

    yield start
    for process in others:
        process.end()
        assert process._process.returncode is not None
        assert not os.path.exists(process._folder)


def test_this_process_takes_tasks_from_the_end(other, tmp_path):
    executed_tasks = []
    tasks = {f"{name}.nbc": lambda name=name: executed_tasks.append(name) for name in "abcd"}
    program = f"while not Path(folder, 'b.nbc').exists(): time.sleep(0.01)\nPath({str(tmp_path)!r}, 'a.nbc').touch()"
    one = other(program, tasks)
    assert one.wait_for_compiled_kernel("a.nbc")
    assert executed_tasks == ["d", "c", "b"]
    # This process compiles the kernels of its own tasks, and kernels that belong to no task.
    assert not one.wait_for_compiled_kernel("e.nbc")
    assert not one.wait_for_compiled_kernel("d.nbc")


@pytest.mark.parametrize(
    ("program", "timeout"), [("sys.exit(1)", 60), ("import os; os.abort()", 60), ("time.sleep(60)", 0.1)]
)
def test_tasks_of_a_failed_process_are_compiled_in_this_process(other, monkeypatch, program, timeout):
    monkeypatch.setattr(background_compilation, "TIMEOUT", timeout)
    assert not other(program, {"a.nbc": None}).wait_for_compiled_kernel("a.nbc")


def run(folder, n_processes):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), "FASTLIN_COMPILERS": str(n_processes)}
    environment |= {"FASTLIN_NUM_THREADS": "2", "FASTLIN_COMPILED": "off"}
    return subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow  # Two first fits are compiled.
def test_a_first_fit_is_bitwise_equal_with_two_processes(tmp_path):
    processes = [run(tmp_path / str(n), n) for n in (1, 2)]
    (none, loaded_by_one_process, one_process_result), (process, loaded_by_two_processes, two_process_result) = (
        json.loads(running.communicate()[0]) for running in processes
    )
    assert none is None and loaded_by_one_process == []
    assert two_process_result == one_process_result
    # On a busy machine the first process may have finished most tasks before the other one starts.
    assert loaded_by_two_processes
    # The background process ended when the parent ended.
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    saved = {path.name for path in (tmp_path / "1").rglob("*.nbc")}
    assert set(first_fit.list_compilation_tasks()) <= saved


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="this system ends processes in another way")
def test_the_background_process_ends_if_its_parent_is_killed(tmp_path):
    module = "fastlin.kernels.machine.background_compilation"
    child = (
        f"import sys, time; sys.path[:] = sys.argv[3:]\\nfrom {module} import run_tasks; "
        'run_tasks(sys.argv[2], {"a.nbc": lambda: time.sleep(60)})'
    )
    program = (
        "import sys, time; from fastlin.kernels.machine import background_compilation\n"
        f"background_compilation.PROGRAM = '{child}'\n"
        "one = background_compilation.BackgroundCompilation('package', {}); "
        "print(one._folder, flush=True); time.sleep(60)"
    )
    first = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    folder = first.stdout.readline().strip()
    wait_until(lambda: os.path.exists(os.path.join(folder, "a.nbc")))
    first.kill()
    first.communicate()
    wait_until(lambda: not os.path.exists(folder))


def wait_until(condition):
    """Wait at most 30 seconds until the condition is true."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
