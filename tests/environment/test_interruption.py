"""After a signal handler raises in an import, a first fit or a first prediction, the next call works."""

import _thread
import contextvars
import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import JIT_ENABLED, KERNELS_ONLY_PREAMBLE, run_program

from fastlin.environment import interruption
from fastlin.environment.interruption import import_uninterrupted, run_uninterrupted
from fastlin.kernels.machine.threads import count_threads, limit_threads

requires_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
compiled = pytest.mark.skipif(not JIT_ENABLED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")
# Seconds that a test waits for another thread.
TIMEOUT = 60

# A first fit and a first prediction. Only fastlin's import of NumPy is uninterrupted.
FIRST_FIT_CODE = """
import json, sys

class Interrupted(BaseException):
    pass

def run():
    import fastlin
    import numpy as np
    X, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 3
    model = fastlin.LogisticRegression().fit(X, y)
    return model.coef_.tobytes().hex(), model.predict_proba(X).tobytes().hex()
"""
# This program prints the libraries that the main thread tries to import, the number of loaded kernels, and how many of
# them the main thread loaded.
MAIN_THREAD_PROGRAM = f"""
import threading
{FIRST_FIT_CODE}
def is_main():
    return threading.current_thread() is threading.main_thread()

class Finder:
    def find_spec(name, path=None, target=None):
        if is_main():
            requested.add(name.split(".")[0])

requested, loaded = set(), []
sys.meta_path.insert(0, Finder)
import fastlin
from fastlin import FirthLogisticRegression, MLPClassifier, inference, patch, trainers
from fastlin.kernels.machine.compilation import _KernelCache
load = _KernelCache.load_overload
_KernelCache.load_overload = lambda self, *arguments: (loaded.append(is_main()), load(self, *arguments))[1]
run()
print(json.dumps([sorted(requested - {{*sys.stdlib_module_names, "fastlin"}}), len(loaded), sum(loaded)]))
"""
# This program interrupts child processes at evenly spaced calls of the main thread, and prints the results of a second
# run in each child.
# Python handles signals at the start of a function and after the return of a C function.
INTERRUPTED_CALLS_PROGRAM = f"""
import os
import sklearn.linear_model, sklearn.metrics, sklearn.model_selection, sklearn.neural_network
{FIRST_FIT_CODE}
def interrupt(moment):
    n_calls = 0
    def profile(frame, event, argument):
        nonlocal n_calls
        n_calls += event in ("call", "c_return")
        if n_calls == moment:
            sys.setprofile(None)
            raise Interrupted
    was_interrupted = False
    sys.setprofile(profile)
    try:
        run()
    except BaseException as error:
        # Before 3.12, Python converts an exception in __set_name__ to a RuntimeError.
        if not isinstance(error, Interrupted) and not isinstance(error.__cause__, Interrupted):
            raise
        was_interrupted = True
    sys.setprofile(None)
    return was_interrupted, n_calls, run()

def interrupt_child(moment):
    reading, writing = os.pipe()
    if not os.fork():
        os.write(writing, json.dumps(interrupt(moment)).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as file:
        result = file.read()
    os.wait()
    return json.loads(result)

n_interruption_moments = int(sys.argv[1])
_, n_calls, _ = last = interrupt_child(-1)
moments = [1 + n_calls * moment // n_interruption_moments for moment in range(n_interruption_moments)]
print(json.dumps([*map(interrupt_child, moments), last]))
"""
# This program raises an error after some seconds, regardless of what is running, and then runs again.
ALARM_PROGRAM = f"""
import signal
{FIRST_FIT_CODE}
def interrupt(number, frame):
    raise Interrupted

signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, float(sys.argv[1]))
was_interrupted = False
try:
    run()
except Interrupted:
    was_interrupted = True
signal.setitimer(signal.ITIMER_REAL, 0)
print(json.dumps([was_interrupted, run()]))
"""
# In this program, a fork and the exit wait for interrupted work.
UNFINISHED_WORK_PROGRAM = f"""{KERNELS_ONLY_PREAMBLE}
import _thread, os, signal, time
from fastlin.environment.interruption import run_uninterrupted

# Processes that a shell starts in the background ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

def work():
    _thread.interrupt_main()
    while not has_gone_on:
        time.sleep(0.001)
    time.sleep(0.2)
    print("worked", flush=True)

has_gone_on = False
try:
    run_uninterrupted(work)
except KeyboardInterrupt:
    has_gone_on = True
if sys.argv[1] == "fork":
    print("forks", flush=True)
    if not os.fork():
        print("child", flush=True)
        run_uninterrupted(lambda: print("child works", flush=True))
        os._exit(0)
    os.wait()
    run_uninterrupted(lambda: print("parent works", flush=True))
print("ends", flush=True)
"""


@pytest.fixture
def allow_interruptions():
    """Make Ctrl-C raise KeyboardInterrupt, even in a process that a shell started in the background."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("allow_interruptions")
def test_interrupted_work_ends_before_the_next_work_starts():
    order, end_event = [], threading.Event()

    def work():
        _thread.interrupt_main()
        assert end_event.wait(TIMEOUT)
        order.append("first")

    with pytest.raises(KeyboardInterrupt):
        run_uninterrupted(work)
    assert order == []
    # If a caller is interrupted while waiting for the first work, its own work has not started.
    threading.Timer(0.05, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        run_uninterrupted(order.append, "not begun")
    threading.Timer(0.05, end_event.set).start()
    run_uninterrupted(order.append, "second")
    assert order == ["first", "second"]


def test_work_runs_on_another_thread_in_the_context_of_the_caller():
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(1)
    with limit_threads(1):
        actual = run_uninterrupted(lambda: (threading.current_thread(), variable.get(), count_threads()))
    assert actual[0] is not threading.main_thread() and actual[1:] == (1, 1)
    # Nested work runs on the same thread.
    assert run_uninterrupted(lambda: run_uninterrupted(threading.get_ident) == threading.get_ident())


def test_the_caller_works_if_no_thread_can_be_started(monkeypatch):
    def fail_to_start(*arguments):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(interruption, "start_new_thread", fail_to_start)
    assert run_uninterrupted(threading.current_thread) is threading.main_thread()


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_an_error_of_the_work_reaches_the_caller(error):
    def fail(message):
        raise error(message)

    with pytest.raises(error, match="no way") as caught:
        run_uninterrupted(fail, "no way")
    assert caught.traceback[-1].name == "fail"


def test_imported_modules_are_returned_and_missing_modules_are_named():
    assert import_uninterrupted("numpy", "os.path") == [np, os.path]
    assert import_uninterrupted() == []
    with pytest.raises(ModuleNotFoundError, match="missing_library"):
        import_uninterrupted("missing_library.part")


@pytest.mark.parametrize(
    ("case", "printed"),
    [
        ("end", "ends worked"),
        pytest.param("fork", "forks worked child child works parent works ends", marks=requires_fork),
    ],
)
def test_a_fork_or_exit_waits_for_interrupted_work(case, printed):
    assert run_program(UNFINISHED_WORK_PROGRAM, case).split() == printed.split()


@compiled
def test_the_main_thread_imports_no_library():
    requested, n_loaded_kernels, n_loaded_by_main_thread = json.loads(run_program(MAIN_THREAD_PROGRAM))
    assert requested == []
    assert n_loaded_kernels > 0 and n_loaded_by_main_thread == 0


@requires_fork
@compiled
@pytest.mark.parametrize("n_interruption_moments", [4, pytest.param(40, marks=pytest.mark.thorough)])
def test_after_an_interruption_at_any_call_the_next_run_is_bitwise_equal(n_interruption_moments):
    *results, (was_interrupted, _, expected) = json.loads(
        run_program(INTERRUPTED_CALLS_PROGRAM, str(n_interruption_moments))
    )
    assert not was_interrupted
    for moment, (_, _, bits) in enumerate(results):
        assert bits == expected, f"moment {moment} of {n_interruption_moments}"
    # Python ignores exceptions in the callbacks of weak references.
    assert sum(was_interrupted for was_interrupted, *_ in results) > n_interruption_moments // 2


@compiled
@pytest.mark.slow  # New processes import everything, and half of them compile kernels.
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer")
@pytest.mark.parametrize("cache", ["empty", "warm"])
def test_after_an_alarm_within_three_seconds_the_next_run_is_bitwise_equal(cache, tmp_path):
    def start(seconds, folder):
        command = [sys.executable, "-c", ALARM_PROGRAM, str(seconds)]
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    def finish(process):
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        return json.loads(printed)

    _, expected = finish(start(1000, tmp_path / "warm"))
    n_interrupted_runs = 0
    for number in range(20):
        folder = tmp_path / ("warm" if cache == "warm" else str(number))
        was_interrupted, bits = finish(start((number + 0.5) * 3 / 20, folder))
        assert bits == expected
        n_interrupted_runs += was_interrupted
    assert n_interrupted_runs > 0
