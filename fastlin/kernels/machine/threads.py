"""Functions that run kernels over row blocks on several threads. Results do not depend on the number of threads.

A block is a range of rows that depends only on the shape of the data. Each block writes to a separate slice of the
output, and the caller adds the slices in block order. Python threads run the blocks, because kernels release the
interpreter lock. Unlike Numba's threading layers, Python threads support forks, concurrent calls and nested runs. The
helper threads form one pool. The calling thread also runs blocks, so a run ends even if all helpers are busy.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import os
import queue
import re
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache, reduce
from typing import Any

import joblib
import numpy as np

from fastlin.typing import FloatArray

# A block consists of at least this many multiply-adds, so that its overhead is small compared with its work.
MIN_BLOCK_WORK = 4_000_000
# The cost of other work in units of a multiply-add, which takes 25 picoseconds. ROW_OVERHEAD_WORK is the overhead of a
# row (loss, residuals, start of each product). EXPONENTIAL_WORK is an exponential with its residual, or two logarithms.
# COPIED_NUMBER_WORK is a number that is copied, gathered or processed in a few steps. READ_NUMBER_WORK is a number that
# is read for a single multiply-add (docs/benchmarks/design-choices.md: units of work).
ROW_OVERHEAD_WORK = 250
EXPONENTIAL_WORK = 160
COPIED_NUMBER_WORK = 40
READ_NUMBER_WORK = 8
# This many blocks are enough to keep 16 cores busy. More blocks cost time (docs/benchmarks/design-choices.md: number of
# blocks).
MAX_BLOCKS = 32
# The partial sums of all blocks together use at most MAX_PARTIAL_SUM_BYTES bytes or 2 % of the size of X, whichever is
# larger.
MAX_PARTIAL_SUM_BYTES = 8 << 20
# Runs have at most MAX_BLOCKS blocks, except for some runs with one block per class. Concurrent fits divide the
# processors among themselves.
MAX_THREADS = max(MAX_BLOCKS, os.cpu_count() or 1)

# The format in which OpenMP accepts a number of threads.
POSITIVE_INTEGER_PATTERN = re.compile("[+]?0*[1-9][0-9]{0,8}")

# The maximum number of threads of a run: a number, a function that returns one, or None for no limit.
_thread_limit: contextvars.ContextVar[int | Callable[[], int] | None] = contextvars.ContextVar(
    "fastlin_thread_limit", default=None
)


def count_threads() -> int:
    """Return the number of threads that a run uses in the current context, at most MAX_THREADS.

    The number is the limit of `limit_threads`, otherwise the environment variable ``FASTLIN_NUM_THREADS``, otherwise
    the number of processors available to this process, including the quota of a container. ``NUMBA_NUM_THREADS`` and
    ``OMP_NUM_THREADS``, which process pools set for their workers, limit the number of processors. The function raises
    a ValueError if FASTLIN_NUM_THREADS is not a positive integer.
    """
    limit = _thread_limit.get()
    if limit is None:
        limit = _read_thread_limit()
    return min(limit() if callable(limit) else limit, MAX_THREADS)


def _read_thread_limit():
    """Return the number of threads that the environment variables and the processors currently allow."""
    setting = os.environ.get("FASTLIN_NUM_THREADS", "").strip()
    if setting:
        if not POSITIVE_INTEGER_PATTERN.fullmatch(setting):
            raise ValueError(f"FASTLIN_NUM_THREADS must be a positive integer, got {setting!r}. Change or unset it.")
        return int(setting)
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        # OpenMP also accepts a list with one number per nesting level.
        first = os.environ.get(name, "").split(",")[0].strip()
        if POSITIVE_INTEGER_PATTERN.fullmatch(first):
            return min(int(first), _count_processors())
    return _count_processors()


def _count_processors():
    # The affinity of a process can change at any time, and often changes after a fork.
    return _count_allowed_processors(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None)


@lru_cache(maxsize=1)
def _count_allowed_processors(n_pinned_processors):
    # The result is cached, because joblib reads the quota of a container from files, and this takes as long as a small
    # pass (docs/benchmarks/design-choices.md: limits of threads).
    return joblib.cpu_count()


def limit_threads(n_threads: int | None) -> contextlib.AbstractContextManager[None]:
    """Return a context manager that limits runs to `n_threads` threads. Enter it in the current context.

    Results do not depend on the limit. If n_threads is None, the current limit still applies. If there is no limit yet,
    the limit of the environment and the processors is determined when the first run starts.
    """
    # The limit is determined late, because the prediction of a single row uses one thread and does not need the limit.
    return _apply_thread_limit(
        (_thread_limit.get() or cache(_read_thread_limit)) if n_threads is None else max(1, int(n_threads))
    )


@contextlib.contextmanager
def _apply_thread_limit(limit):
    reset_token = _thread_limit.set(limit)
    try:
        yield
    finally:
        _thread_limit.reset(reset_token)


def count_work_blocks(work: int, max_blocks: int = MAX_BLOCKS) -> int:
    """Return the number of blocks for `work` multiply-adds, from 1 to min(`max_blocks`, MAX_BLOCKS).

    The result does not depend on the number of threads. Unless `max_blocks` or MAX_BLOCKS limits it, it is a power of
    two, because the last of three blocks would leave one of two threads idle for a quarter of the run.
    """
    return max(1, min(1 << max(0, int(work) // MIN_BLOCK_WORK - 1).bit_length(), max_blocks, MAX_BLOCKS))


@lru_cache(maxsize=256)
def count_blocks(n_rows: int, row_work: int, partial_bytes: int = 0, data_bytes: int = 0) -> int:
    """Return the number of blocks for n_rows rows, each of which takes row_work multiply-adds.

    partial_bytes is the size of the partial sums of one block, and data_bytes is the size of X. The total size of the
    partial sums is limited.
    """
    memory_limit = max(MAX_PARTIAL_SUM_BYTES, data_bytes // 50) // max(1, partial_bytes)
    return count_work_blocks(n_rows * (row_work + ROW_OVERHEAD_WORK), min(max(2, memory_limit), n_rows))


def sum_blocks(sums: FloatArray) -> FloatArray:
    """Return the sum over the blocks, which are the first axis, in order.

    np.sum is not used because its order of additions depends on the other axes.
    """
    return reduce(np.add, sums)


def run_blocks(kernel: Callable[..., Any], n_blocks: int, *arguments: Any) -> None:
    """Call ``kernel(block, n_blocks, *arguments)`` for every block, and return when all calls are done.

    If a block raises an error, the calling thread raises the error again. Even if a block or a signal handler raises an
    error, no thread writes to the caller's arrays after this function returns.
    """
    if n_blocks > 1 and count_threads() > 1:
        BlockRun(kernel, n_blocks, *arguments).finish()
    else:
        for block in range(n_blocks):
            kernel(block, n_blocks, *arguments)


class _RunningThreads:
    """The threads that work on a job. Once `is_stopped` is set, the threads stop, and no other thread may start."""

    def __init__(self):
        # This lock protects the number of threads, and attributes of subclasses.
        self._lock = threading.Lock()
        self._n_threads = 0
        self.is_stopped = False
        # The last thread of a stopped job releases this lock.
        self._last_thread_lock = threading.Lock()
        self._last_thread_lock.acquire()

    def add_thread(self):
        """Return whether a thread may start. If so, the thread must call `remove_thread` when it is done."""
        with self._lock:
            if self.is_stopped:
                return False
            self._n_threads += 1
            return True

    def remove_thread(self):
        """Remove a thread that is done."""
        with self._lock:
            self._n_threads -= 1
            if self.is_stopped and not self._n_threads:
                self._last_thread_lock.release()

    def end(self):
        """Stop the job and wait until all threads are done. Then raise the last error of a signal handler, if any."""
        caught_error = None
        while True:
            try:
                self.is_stopped = True
                with self._lock:
                    n_threads = self._n_threads
                if n_threads:
                    # The lock is released again at once. If a handler raises an error here, the next iteration does not
                    # wait again.
                    with self._last_thread_lock:
                        pass
                break
            except BaseException as error:
                caught_error = error
        if caught_error is not None:
            raise caught_error


class BlockRun(_RunningThreads):
    """A run of a kernel over all blocks. Helpers run blocks after `start`, and the calling thread does so in `finish`.

    The kernel is called as ``kernel(block, n_blocks, *arguments)``. `finish` waits only for helpers that have started,
    because waiting for all invited helpers could cause a deadlock in nested runs.
    """

    def __init__(self, kernel: Callable[..., Any], n_blocks: int, *arguments: Any) -> None:
        super().__init__()
        self._kernel, self._n_blocks, self._arguments = kernel, n_blocks, arguments
        self._is_started = False
        # The lock protects this number.
        self._next_block = 0
        self._error: BaseException | None = None

    def start(self) -> None:
        """Invite as many helpers as the limit of the current context allows."""
        self._is_started = True
        _helpers.invite_threads(self, min(count_threads(), self._n_blocks) - 1)

    def run_on_helper(self) -> None:
        """Run blocks on a helper thread until none is left."""
        if not self.add_thread():
            return
        try:
            self._run_blocks()
        except BaseException as error:
            with self._lock:
                self._next_block = self._n_blocks
                self._error = self._error or error
        self.remove_thread()

    def finish(self) -> None:
        """Run blocks until none is left, and return when all blocks are done, like `run_blocks`."""
        try:
            if not self._is_started:
                self.start()
            self._run_blocks()
        finally:
            caught_error, has_job_ended = None, False
            while not has_job_ended:
                try:
                    self.end()
                    has_job_ended = True
                except BaseException as error:
                    # A signal handler may raise an error at the start of `end`, before the wait. This may happen more
                    # than once.
                    caught_error = error
            # Pending invitations reference this run, but must not reference the caller's arrays.
            self._arguments = ()
            if caught_error is not None:
                raise caught_error
        if self._error is not None:
            raise self._error

    def _run_blocks(self):
        # Blocks are assigned in order, because threads that read neighboring rows read memory faster
        # (docs/benchmarks/design-choices.md: order of blocks).
        kernel, n_blocks, arguments = self._kernel, self._n_blocks, self._arguments
        while True:
            with self._lock:
                block = self._next_block
                if block == n_blocks or self.is_stopped:
                    return
                self._next_block = block + 1
            kernel(block, n_blocks, *arguments)


class _HelperPool:
    """The pool of helper threads, which wait for invitations to runs until the program exits."""

    def __init__(self):
        self.reset_pool()

    def reset_pool(self):
        """Reset the pool. This is necessary after a fork, because the threads do not exist in the child process."""
        self._lock = threading.Lock()
        self._threads = []
        self._invitations: queue.SimpleQueue[BlockRun | None] = queue.SimpleQueue()

    def start_threads(self, n_threads):
        """Start threads until the pool contains n_threads threads."""
        # After the main thread has ended, Python may fail to start threads. In that case, the callers run all blocks.
        with self._lock, contextlib.suppress(RuntimeError):
            while len(self._threads) < n_threads:
                thread = threading.Thread(target=self._serve_invitations, name="fastlin", daemon=True)
                thread.start()
                self._threads.append(thread)

    def invite_threads(self, run, n_threads):
        """Invite n_threads threads to a BlockRun."""
        if len(self._threads) < n_threads:
            self.start_threads(n_threads)
        for _ in range(n_threads):
            self._invitations.put(run)

    def end(self):
        """End all threads, so that none runs a kernel during the shutdown of the interpreter."""
        for _ in self._threads:
            self._invitations.put(None)
        for thread in self._threads:
            thread.join()
        self.reset_pool()

    def _serve_invitations(self):
        # Nested runs within a block use only the thread of the helper.
        _thread_limit.set(1)
        while (run := self._invitations.get()) is not None:
            run.run_on_helper()
            # A reference would keep the run in memory.
            del run


_helpers = _HelperPool()
atexit.register(_helpers.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.reset_pool)
    # The quota of a child process may differ.
    os.register_at_fork(after_in_child=_count_allowed_processors.cache_clear)


class TaskStopped(Exception):
    """Raised in a task if its result is no longer needed."""


def run_concurrently(
    task: Callable[[int, Callable[..., None] | None], Any], n_tasks: int, max_concurrent: int
) -> Generator[Any, None, None]:
    """Run tasks concurrently on separate threads, at most `max_concurrent` at a time, and yield their results in order.

    The number of threads also limits the number of concurrent tasks. The threads are divided evenly among the running
    tasks. For example, five tasks on 16 threads use 4, 3, 3, 3 and 3 threads. When a task ends, the other tasks use its
    threads. If the generator is closed early or a task raises an error, no further task starts, and running tasks are
    stopped. A task is called as ``task(number, check)``, with numbers starting at 0. It must call ``check`` regularly,
    with any arguments. ``check`` raises `TaskStopped` once the result is no longer needed. If only one task may run at
    a time, the caller's thread runs the tasks, and ``check`` is None.
    """
    n_threads = count_threads()
    n_concurrent = min(n_threads, n_tasks, max_concurrent)
    if n_concurrent == 1:
        yield from (task(number, None) for number in range(n_tasks))
        return
    allocation = _ThreadAllocation(n_threads, n_tasks, n_concurrent)
    running_threads = _RunningThreads()

    def check(*_):
        if running_threads.is_stopped:
            raise TaskStopped

    def run(number):
        if not running_threads.add_thread():
            raise TaskStopped
        try:
            with _apply_thread_limit(lambda: allocation.count(number)):
                return task(number, check)
        finally:
            allocation.end(number)
            running_threads.remove_thread()

    # All tasks need helpers, and no task should wait for another task's helpers.
    _helpers.start_threads(n_threads - 1)
    pool = ThreadPoolExecutor(n_concurrent)
    try:
        for result in [pool.submit(run, number) for number in range(n_tasks)]:
            yield result.result()
    finally:
        # ThreadPoolExecutor does not wait reliably: after Ctrl-C it treats running threads as ended (CPython issue
        # 90882).
        running_threads.end()
        pool.shutdown(cancel_futures=True)


class _ThreadAllocation:
    """The allocation of threads to concurrent tasks, which start in order."""

    def __init__(self, n_threads, n_tasks, n_concurrent):
        self._n_threads, self._n_concurrent = n_threads, n_concurrent
        self._unfinished_tasks = tuple(range(n_tasks))
        self._lock = threading.Lock()

    def count(self, number):
        """Return the number of threads for a running task."""
        unfinished_tasks = self._unfinished_tasks
        n_concurrent = min(len(unfinished_tasks), self._n_concurrent)
        n_threads_per_task, n_leftover_threads = divmod(self._n_threads, n_concurrent)
        return n_threads_per_task + (unfinished_tasks.index(number) < n_leftover_threads)

    def end(self, number):
        """Make the threads of a task available to the other tasks."""
        with self._lock:
            self._unfinished_tasks = tuple(other for other in self._unfinished_tasks if other != number)
