"""Blocks on threads: number of runs, errors, interrupts, forks, nesting and thread limits."""

import contextlib
import os
import re
import signal
import sys
import threading
import time

import pytest
from conftest import assert_raises, run_program

from fastlin.kernels.machine import threads
from fastlin.kernels.machine.threads import count_threads, limit_threads, run_blocks, run_concurrently

# The timeout exceeds any wait in these tests, so that a deadlock fails instead of hanging.
TIMEOUT = 30
# Errors that signal handlers raise: Python's error for Ctrl-C, one for an alarm, and one that exits the program.
SIGNAL_HANDLER_ERRORS = [KeyboardInterrupt, TimeoutError, SystemExit]
requires_thread_signals = pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="this system sends no signals to threads"
)


def count_helper_threads():
    return sum(thread.name == "fastlin" for thread in threading.enumerate())


class ConcurrencyRecorder:
    """A context manager that records the maximum number of threads that are concurrently inside it."""

    def __init__(self):
        self.lock, self.now, self.max_at_once = threading.Lock(), 0, 0

    def __enter__(self):
        with self.lock:
            self.now += 1
            self.max_at_once = max(self.max_at_once, self.now)

    def __exit__(self, *_):
        time.sleep(0.01)
        with self.lock:
            self.now -= 1


@pytest.mark.parametrize("n_threads", [1, 2, 8])
def test_every_block_runs_once_under_frequent_thread_switches(n_threads):
    seen, interval = [], sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with limit_threads(n_threads):
            run_blocks(lambda block, n_blocks, mark: seen.append((block, n_blocks, mark)), 3000, "x")
    finally:
        sys.setswitchinterval(interval)
    assert sorted(seen) == [(block, 3000, "x") for block in range(3000)]


@pytest.mark.parametrize("n_threads", [2, 7])
def test_a_run_uses_as_many_threads_as_its_limit(n_threads):
    with limit_threads(8):
        run_blocks(lambda block, n_blocks: None, 8)
    assert count_helper_threads() >= 7
    # Every block waits until the allowed number of blocks runs at once.
    within, together = ConcurrencyRecorder(), threading.Barrier(n_threads)

    def wait_for_other_blocks(block, n_blocks):
        with within:
            together.wait(TIMEOUT)

    with limit_threads(n_threads):
        run_blocks(wait_for_other_blocks, 3 * n_threads)
    assert within.max_at_once == n_threads


@pytest.mark.parametrize("failing_thread", ["caller_thread_id", "helper"])
def test_an_error_is_raised_after_every_thread_has_ended(failing_thread):
    caller_thread_id, together, ended = threading.get_ident(), threading.Barrier(3), []

    def fail(block, n_blocks):
        if block < 3:
            together.wait(TIMEOUT)
        if (threading.get_ident() == caller_thread_id) == (failing_thread == "caller"):
            raise MemoryError("here")
        time.sleep(0.1)
        ended.append(block)

    with limit_threads(3), pytest.raises(MemoryError, match="here"):
        run_blocks(fail, 100)
    n_ended_blocks = len(ended)
    # The other threads finish their current blocks, and no further block starts.
    assert 0 < n_ended_blocks < 10
    time.sleep(0.2)
    assert len(ended) == n_ended_blocks


@contextlib.contextmanager
def raise_on_sigint(error):
    def handle(number, frame):
        raise error

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@requires_thread_signals
@pytest.mark.parametrize("error", SIGNAL_HANDLER_ERRORS)
@pytest.mark.parametrize(("n_interrupts", "pause"), [(1, 0.05), (2, 0.05), (20, 0.005)])
def test_no_thread_writes_after_an_interrupted_run(n_interrupts, pause, error):
    caller_thread_id, together, written = threading.get_ident(), threading.Barrier(2), []

    def write(block, n_blocks):
        together.wait(TIMEOUT)
        if threading.get_ident() == caller_thread_id:
            # One or two signals arrive while the caller waits. Of many signals, the first ones arrive during its block.
            return time.sleep(0.05 if n_interrupts > 2 else 0)
        for _ in range(n_interrupts):
            time.sleep(pause)
            signal.pthread_kill(caller_thread_id, signal.SIGINT)
        time.sleep(0.05)
        written.append(block)

    with raise_on_sigint(error), limit_threads(2), pytest.raises(error):
        run_blocks(write, 2)
    assert len(written) == 1


def test_no_thread_writes_after_interrupts_at_the_start_of_the_wait(monkeypatch):
    caller_thread_id, together, written, attempts_to_end = threading.get_ident(), threading.Barrier(2), [], []
    end = threads.BlockRun.end

    def raise_interrupts_before_end(self):
        attempts_to_end.append(1)
        if len(attempts_to_end) < 4:
            raise KeyboardInterrupt
        end(self)

    def write(block, n_blocks):
        together.wait(TIMEOUT)
        if threading.get_ident() != caller_thread_id:
            time.sleep(0.2)
            written.append(block)

    monkeypatch.setattr(threads.BlockRun, "end", raise_interrupts_before_end)
    with limit_threads(2), pytest.raises(KeyboardInterrupt):
        run_blocks(write, 2)
    assert len(written) == 1


def test_blocks_start_before_finish_is_called():
    started = threading.Event()
    with limit_threads(2):
        run = threads.BlockRun(lambda block, n_blocks: started.set(), 4)
        run.start()
        assert started.wait(TIMEOUT)
        run.finish()


def test_runs_nest_and_overlap():
    total = []

    def run_inner_blocks(block, n_blocks):
        run_blocks(lambda inner, n_inner_blocks: total.append((block, inner)), 3)

    calling_threads = [threading.Thread(target=run_blocks, args=(run_inner_blocks, 4)) for _ in range(3)]
    for calling_thread in calling_threads:
        calling_thread.start()
    for calling_thread in calling_threads:
        calling_thread.join(TIMEOUT)
    assert len(total) == 3 * 4 * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_starts_new_threads():
    def run_two_concurrent_blocks():
        together = threading.Barrier(2)
        with limit_threads(2):
            run_blocks(lambda block, n_blocks: together.wait(TIMEOUT), 2)

    run_two_concurrent_blocks()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            run_two_concurrent_blocks()
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.thorough
def test_blocks_run_after_the_main_thread_has_ended():
    program = """
import threading, time
from fastlin.kernels.machine.threads import limit_threads, run_blocks
def late():
    time.sleep(0.5)
    with limit_threads(3):
        run_blocks(lambda block, n_blocks: print(end="x", flush=True), 7)
threading.Thread(target=late).start()
"""
    assert run_program(program) == 7 * "x"


@pytest.fixture
def environment(monkeypatch):
    """Return a function that sets the given variables for thread limits, and unsets the others. Mock 7 processors."""
    monkeypatch.setattr(threads, "_count_processors", lambda: 7)

    def environment(**variables):
        for name in ("FASTLIN_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return environment


def test_the_innermost_thread_limit_is_used(environment):
    environment(FASTLIN_NUM_THREADS="3")
    assert count_threads() == 3
    with limit_threads(2):
        assert count_threads() == 2
        with limit_threads(None):
            assert count_threads() == 2
    with limit_threads(None):
        assert count_threads() == 3
        # The first value of the environment variable is used until the block ends.
        environment()
        assert count_threads() == 3
    assert count_threads() == 7


@pytest.mark.parametrize("value", ["²", "many", "0", "-1", "1.5", "2,1", "9" * 5000])
def test_an_invalid_number_of_threads_raises(environment, value):
    environment(FASTLIN_NUM_THREADS=value)
    message = re.escape(f"FASTLIN_NUM_THREADS must be a positive integer, got {value!r}. Change or unset it.")
    assert_raises(message, count_threads)
    with pytest.raises(ValueError, match=message), limit_threads(None):
        count_threads()
    # The variable is not read if there is another limit.
    with limit_threads(2):
        assert count_threads() == 2


@pytest.mark.parametrize(
    ("value", "n_threads"),
    [("1,1", 1), (" 2 ,1", 2), ("+3", 3), ("04", 4), ("99", 7), ("9" * 5000, 7), ("²", 7), ("", 7)],
)
@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "NUMBA_NUM_THREADS"])
def test_variables_of_other_libraries_limit_the_number_of_threads(environment, name, value, n_threads):
    environment(**{name: value})
    assert count_threads() == n_threads


def test_the_number_of_threads_has_an_upper_limit():
    with limit_threads(3000):
        assert count_threads() == threads.MAX_THREADS
        run_blocks(lambda block, n_blocks: None, 500)
        assert sum(run_concurrently(lambda number, check: number, 3, 3)) == 3
    assert count_helper_threads() < threads.MAX_THREADS


@pytest.mark.parametrize(
    ("shape", "n_blocks"),
    [
        ((10, 100, 8, 1000), 1),
        # Work for three blocks is split into four, so that two threads finish at the same time.
        ((12_000, 750, 8, 1000), 4),
        ((60_000, 2 * 7840, 8 * 7840, 376_000_000), 32),
        # With large partial sums there are few blocks, but more than one.
        ((60_000, 2 * 784_000, 8 * 784_000, 376_000_000), 2),
        # Without partial sums, the number of blocks depends on the work, and no block is empty.
        ((60_000, 2 * 784_000), 32),
        ((3, threads.MIN_BLOCK_WORK), 3),
    ],
)
def test_the_number_of_blocks_depends_on_the_shape(shape, n_blocks):
    with limit_threads(7):
        assert threads.count_blocks(*shape) == n_blocks


def test_the_number_of_blocks_is_a_power_of_two():
    unit, max_at_once = threads.MIN_BLOCK_WORK, threads.MAX_BLOCKS
    assert [threads.count_work_blocks(n * unit) for n in (0, 1, 2, 3, 5, 8, 1000)] == [1, 1, 2, 4, 8, 8, max_at_once]
    assert [threads.count_work_blocks(8 * unit, allowed) for allowed in (0, 1, 3)] == [1, 1, 3]


@pytest.mark.parametrize(
    ("n_threads", "n_tasks", "fractions"), [(16, 5, [4, 3, 3, 3, 3]), (2, 2, [1, 1]), (3, 1, [3]), (7, 7, [1] * 7)]
)
def test_concurrent_tasks_use_all_threads(n_threads, n_tasks, fractions):
    # Each task runs one block per thread, and all blocks wait for each other.
    start_barrier, together = threading.Barrier(n_tasks), threading.Barrier(n_threads)

    def task(number, check):
        fraction = count_threads()
        start_barrier.wait(TIMEOUT)
        run_blocks(lambda block, n_blocks: together.wait(TIMEOUT), fraction)
        return fraction

    with limit_threads(n_threads):
        assert list(run_concurrently(task, n_tasks, 9)) == fractions


def test_the_threads_of_an_ended_task_are_used_by_the_others():
    ended = threading.Event()

    def task(number, check):
        if number == 0:
            return None
        assert ended.wait(TIMEOUT)
        # The result of the first task may be available before the task has ended.
        deadline = time.monotonic() + TIMEOUT
        while count_threads() < 7 and time.monotonic() < deadline:
            time.sleep(0.001)
        return count_threads()

    with limit_threads(7):
        results = run_concurrently(task, 2, 9)
        assert next(results) is None
        ended.set()
        assert next(results) == 7


@pytest.mark.parametrize(
    ("n_threads", "n_tasks", "allowed", "at_once", "fractions"),
    [(2, 6, 9, 2, {1}), (7, 6, 2, 2, {3, 4}), (7, 3, 1, 1, {7})],
    ids=["more than threads", "fewer than threads", "one"],
)
def test_the_number_of_concurrent_tasks_is_limited(n_threads, n_tasks, allowed, at_once, fractions):
    within, seen = ConcurrencyRecorder(), []

    def task(number, check):
        with within:
            seen.append((number, count_threads()))
        return number

    with limit_threads(n_threads):
        assert list(run_concurrently(task, n_tasks, allowed)) == list(range(n_tasks))
    assert within.max_at_once == at_once
    # With two tasks at a time, a task may overtake only its neighbor.
    assert all(abs(position - number) <= 1 for position, (number, _) in enumerate(seen))
    # The last task is not checked, because it uses all threads as soon as it runs alone.
    assert {fraction for number, fraction in seen if number < n_tasks - 1} <= fractions


def test_sequential_tasks_run_lazily_on_the_calling_thread():
    seen = []

    def task(number, check):
        seen.append((number, threading.get_ident(), check))
        return number

    results = run_concurrently(task, 3, 1)
    assert [next(results), next(results)] == [0, 1]
    assert seen == [(number, threading.get_ident(), None) for number in range(2)]


@requires_thread_signals
@pytest.mark.parametrize("error", SIGNAL_HANDLER_ERRORS)
def test_no_task_runs_after_a_second_signal(error):
    caller_thread_id, running_tasks = threading.get_ident(), []

    def task(number, check):
        try:
            if number == 0:
                # The caller waits for the result.
                time.sleep(0.05)
                signal.pthread_kill(caller_thread_id, signal.SIGINT)
            # The first signal stops the tasks.
            while True:
                check()
                time.sleep(0.001)
        except threads.TaskStopped:
            if number == 0:
                running_tasks.append(True)
                # The caller waits until the task ends.
                time.sleep(0.05)
                signal.pthread_kill(caller_thread_id, signal.SIGINT)
                time.sleep(0.05)
                running_tasks.remove(True)
            raise

    with raise_on_sigint(error), limit_threads(2), pytest.raises(error):
        list(run_concurrently(task, 2, 2))
    assert not running_tasks


@pytest.mark.parametrize("stop_reason", ["error", "close"])
def test_tasks_are_stopped_if_their_results_are_no_longer_needed(stop_reason):
    running, stopped = threading.Barrier(2), []

    def task(number, check):
        if number == 1 or (number, stop_reason) == (0, "error"):
            running.wait(TIMEOUT)
        if number == 0:
            if stop_reason == "error":
                raise MemoryError("task 0")
            return number
        try:
            while True:
                check()
                time.sleep(0.001)
        except threads.TaskStopped:
            stopped.append(number)
            raise

    with limit_threads(2):
        results = run_concurrently(task, 9, 9)
        if stop_reason == "error":
            assert_raises("task 0", next, results, error=MemoryError)
        else:
            assert next(results) == 0
            running.wait(TIMEOUT)
            results.close()
    # At most one task per thread was running, and only running tasks are stopped.
    assert 1 in stopped
    assert len(stopped) <= 2


def test_processors_are_counted_without_sched_getaffinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(threads.joblib, "cpu_count", lambda: 7)
    threads._count_allowed_processors.cache_clear()
    assert threads._count_processors() == 7
    threads._count_allowed_processors.cache_clear()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no processes")
def test_a_process_that_is_pinned_later_uses_fewer_threads():
    before = os.sched_getaffinity(0)
    n_before = threads._count_processors()
    try:
        os.sched_setaffinity(0, {min(before)})
        assert threads._count_processors() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert threads._count_processors() == n_before
