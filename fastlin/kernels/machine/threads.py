"""Runs kernels over blocks of rows on several threads, with the same bits for any number of threads.

A block is a range of rows that follows from the shape of the data alone. Each block writes to its own slice of the
output, and the caller adds the slices in block order. Plain Python threads run the blocks, since kernels hold no
interpreter lock; unlike Numba's threading layers they survive a fork, concurrent calls and nested runs. The helping
threads are one pool. The caller of a run takes part in it, so a run ends even if all helpers are busy.
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

# A block is at least this many multiply-adds (100 to 200 microseconds), so that handing it out and starting it, its
# first tile without prefetch, cost little. A second thread takes 50 microseconds to wake up.
MIN_BLOCK_WORK = 4_000_000
# Other work, in multiply-adds of 25 picoseconds: what a row costs besides its products (loss, residuals, the start of
# each product); an exponential with its residual, or two logarithms; a number that is found by its place, copied or
# goes through a few steps (0.6 to 3.7 nanoseconds were measured); one that is read for a single multiply-add (0.14 to
# 0.7, from the second-level cache or from memory).
ROW_OVERHEAD = 250
EXPONENTIAL_WORK = 160
NUMBER_WORK = 40
READ_WORK = 8
# Enough blocks to keep 16 cores busy; the first tile of each comes without prefetch: 64 cost 4 % more than 32.
MAX_BLOCKS = 32
# The partial sums of all blocks together take no more than this, or 2 % of X where that is more.
MAX_PARTIAL_BYTES = 8 << 20
# No run has more blocks than MAX_BLOCKS, but for some of one block a class, and fits side by side share the processors.
MAX_THREADS = max(MAX_BLOCKS, os.cpu_count() or 1)

# What OpenMP takes for a number of threads.
NUMBER = re.compile("[+]?0*[1-9][0-9]{0,8}")

# How many threads a run may use: a number, a function that returns one, or None for no limit.
_limit: contextvars.ContextVar[int | Callable[[], int] | None] = contextvars.ContextVar(
    "fastlin_thread_limit", default=None
)


def count_threads() -> int:
    """Return how many threads a run uses here and now, at most MAX_THREADS.

    That is the limit of `limit_threads`, or else of the environment variable ``FASTLIN_NUM_THREADS``, or else the
    processors that this process may use, a container's quota included. ``NUMBA_NUM_THREADS`` and ``OMP_NUM_THREADS``,
    which process pools set for their workers, lower the last of these. ValueError: FASTLIN_NUM_THREADS is no number.
    """
    limit = _limit.get()
    if limit is None:
        limit = _read_limit()
    return min(limit() if callable(limit) else limit, MAX_THREADS)


def _read_limit():
    """Return how many threads the environment and the processors allow now."""
    own = os.environ.get("FASTLIN_NUM_THREADS", "").strip()
    if own:
        if not NUMBER.fullmatch(own):
            raise ValueError(f"FASTLIN_NUM_THREADS must be a whole number from 1 on, got {own!r}")
        return int(own)
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        # OpenMP takes a list too, with a number for each level of nesting.
        first = os.environ.get(name, "").split(",")[0].strip()
        if NUMBER.fullmatch(first):
            return min(int(first), _count_processors())
    return _count_processors()


def _count_processors():
    # A process may be pinned to other processors at any time, as children of a fork often are.
    return _count_allowed(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None)


@lru_cache(maxsize=1)
def _count_allowed(n_pinned):
    # joblib reads a container's quota from files: 60 microseconds, as much as a small pass over X takes.
    return joblib.cpu_count()


def limit_threads(n_threads: int | None) -> contextlib.AbstractContextManager[None]:
    """Return a context, for a ``with`` block right here, that uses `n_threads` threads; results do not change.

    None keeps the limit that holds, or that of the environment and the processors when the first run in it begins.
    """
    # Reading them takes 6 microseconds, a fifth of the prediction of one row, which asks for no second thread.
    return _limited((_limit.get() or cache(_read_limit)) if n_threads is None else max(1, int(n_threads)))


@contextlib.contextmanager
def _limited(limit):
    token = _limit.set(limit)
    try:
        yield
    finally:
        _limit.reset(token)


def cut_work(work: int, most: int = MAX_BLOCKS) -> int:
    """Return into how many blocks `work` multiply-adds are cut, at most `most`, from the work and not from the threads.

    By the work it is a power of two: the last of three blocks leaves one of two threads idle for a quarter of the run.
    There are at most MAX_BLOCKS, and at least one.
    """
    return max(1, min(1 << max(0, int(work) // MIN_BLOCK_WORK - 1).bit_length(), most, MAX_BLOCKS))


@lru_cache(maxsize=256)
def count_blocks(n_rows: int, row_work: int, partial_bytes: int = 0, data_bytes: int = 0) -> int:
    """Return the number of blocks for rows of row_work multiply-adds; data_bytes are the bytes of X.

    partial_bytes are the bytes of the partial sums of one block, whose memory is limited.
    """
    by_memory = max(MAX_PARTIAL_BYTES, data_bytes // 50) // max(1, partial_bytes)
    return cut_work(n_rows * (row_work + ROW_OVERHEAD), min(max(2, by_memory), n_rows))


def add_blocks(sums: FloatArray) -> FloatArray:
    """Return the sums over the blocks, the first axis, in their order; NumPy's own depends on the other axes."""
    return reduce(np.add, sums)


def run_blocks(kernel: Callable[..., Any], n_blocks: int, *arguments: Any) -> None:
    """Call ``kernel(block, n_blocks, *arguments)`` for every block and return when all are done.

    An error of any block is raised here. After any error, of a block or of the handler of a signal, no thread writes to
    the caller's arrays after the return.
    """
    if n_blocks > 1 and count_threads() > 1:
        BlockRun(kernel, n_blocks, *arguments).finish()
    else:
        for block in range(n_blocks):
            kernel(block, n_blocks, *arguments)


class _AtWork:
    """The number of threads at work on a job, and its end; `ended` stops them, and nobody begins any more."""

    def __init__(self):
        # Guards the number, and what a subclass says.
        self._lock = threading.Lock()
        self._n_threads = 0
        self.ended = False
        # Released by the last thread that leaves what has ended.
        self._last_has_left = threading.Lock()
        self._last_has_left.acquire()

    def enter(self):
        """Say whether a thread may begin. It leaves in the end."""
        with self._lock:
            if self.ended:
                return False
            self._n_threads += 1
            return True

    def leave(self):
        """Take note that a thread has ended its work."""
        with self._lock:
            self._n_threads -= 1
            if self.ended and not self._n_threads:
                self._last_has_left.release()

    def end(self):
        """Let nobody begin, return when all have left, whatever handlers of signals raise meanwhile, and raise that."""
        raised = None
        while True:
            try:
                self.ended = True
                with self._lock:
                    n_threads = self._n_threads
                if n_threads:
                    # The lock stays released: where a handler raises here, the next turn does not wait again.
                    with self._last_has_left:
                        pass
                break
            except BaseException as error:
                raised = error
        if raised is not None:
            raise raised


class BlockRun(_AtWork):
    """One run of a kernel over all its blocks: helpers join in after `start`, the caller in `finish`.

    The kernel is called as ``kernel(block, n_blocks, *arguments)``. Only helpers at work are waited for: waiting for
    all that were invited would never end if every helper waits like this one, in runs that nest.
    """

    def __init__(self, kernel: Callable[..., Any], n_blocks: int, *arguments: Any) -> None:
        super().__init__()
        self._kernel, self._n_blocks, self._arguments = kernel, n_blocks, arguments
        self._started = False
        # The lock guards these two.
        self._next_block = 0
        self._error: BaseException | None = None

    def start(self) -> None:
        """Invite as many helpers as the limit of this thread allows."""
        self._started = True
        _helpers.invite(self, min(count_threads(), self._n_blocks) - 1)

    def help(self) -> None:
        """Run blocks until none is left, on a helper's thread."""
        if not self.enter():
            return
        try:
            self._run_blocks()
        except BaseException as error:
            with self._lock:
                self._next_block = self._n_blocks
                self._error = self._error or error
        self.leave()

    def finish(self) -> None:
        """Take part and return when every block is done, as `run_blocks` does."""
        try:
            if not self._started:
                self.start()
            self._run_blocks()
        finally:
            raised, has_ended = None, False
            while not has_ended:
                try:
                    self.end()
                    has_ended = True
                except BaseException as error:
                    # A handler may have raised where `end` begins, before it waits; another one may do so again.
                    raised = error
            # Invitations that no helper has taken yet hold on to this run, not to the caller's arrays.
            self._arguments = ()
            if raised is not None:
                raise raised
        if self._error is not None:
            raise self._error

    def _run_blocks(self):
        # Blocks are handed out in turn: threads that read neighboring rows read memory faster than threads that
        # each have a part of their own (MNIST, two threads: 24.4 against 27.5 ms a pass).
        kernel, n_blocks, arguments = self._kernel, self._n_blocks, self._arguments
        while True:
            with self._lock:
                block = self._next_block
                if block == n_blocks or self.ended:
                    return
                self._next_block = block + 1
            kernel(block, n_blocks, *arguments)


class _Helpers:
    """Threads that wait for invitations to runs; they end with the program."""

    def __init__(self):
        self.restart()

    def restart(self):
        """Forget all threads: in a forked child they do not exist."""
        self._lock = threading.Lock()
        self._threads = []
        self._invitations: queue.SimpleQueue[BlockRun | None] = queue.SimpleQueue()

    def grow(self, n_threads):
        """Make sure that there are at least n_threads threads."""
        # After the main thread has ended, Python may start no more of them: callers then do all the work.
        with self._lock, contextlib.suppress(RuntimeError):
            while len(self._threads) < n_threads:
                thread = threading.Thread(target=self._serve, name="fastlin", daemon=True)
                thread.start()
                self._threads.append(thread)

    def invite(self, run, n_threads):
        """Ask n_threads threads to help with a BlockRun."""
        if len(self._threads) < n_threads:
            self.grow(n_threads)
        for _ in range(n_threads):
            self._invitations.put(run)

    def end(self):
        """End all threads, so that none is inside a kernel while the interpreter is taken down."""
        for _ in self._threads:
            self._invitations.put(None)
        for thread in self._threads:
            thread.join()
        self.restart()

    def _serve(self):
        # A helper has no helpers: runs inside its blocks are its own.
        _limit.set(1)
        while (run := self._invitations.get()) is not None:
            run.help()
            # A run keeps the caller's arrays alive until it ends.
            del run


_helpers = _Helpers()
atexit.register(_helpers.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.restart)
    # A child may have another quota.
    os.register_at_fork(after_in_child=_count_allowed.cache_clear)


class Stopped(Exception):
    """Ends a task whose result nobody waits for."""


def run_side_by_side(
    task: Callable[[int, Callable[..., None] | None], Any], n_tasks: int, max_at_once: int
) -> Generator[Any, None, None]:
    """Run tasks on threads of their own, up to `max_at_once` (at least one) at once, and yield their results in order.

    No more run at once than there are threads, and those that run share the threads evenly: of 16 threads five tasks
    have 4, 3, 3, 3 and 3. The tasks that still run take over the threads of an ended task. When the generator is closed
    early, or a task raises, no further task starts and those that run are stopped. A task is called as
    ``task(number, check)`` for the numbers from 0. It calls ``check``, with any arguments, every now and then; check
    raises Stopped once nobody waits for the result. Where no two run at once the caller runs them, and check is None.
    """
    n_threads = count_threads()
    n_at_once = min(n_threads, n_tasks, max_at_once)
    if n_at_once == 1:
        yield from (task(number, None) for number in range(n_tasks))
        return
    fractions = _Shares(n_threads, n_tasks, n_at_once)
    at_work = _AtWork()

    def check(*_):
        if at_work.ended:
            raise Stopped

    def run(number):
        if not at_work.enter():
            raise Stopped
        try:
            with _limited(lambda: fractions.of(number)):
                return task(number, check)
        finally:
            fractions.end(number)
            at_work.leave()

    # All shares together, less one for the last task: no task waits for the helpers of another.
    _helpers.grow(n_threads - 1)
    pool = ThreadPoolExecutor(n_at_once)
    try:
        for result in [pool.submit(run, number) for number in range(n_tasks)]:
            yield result.result()
    finally:
        # The pool's own waiting is not enough: after Ctrl-C it takes threads at work for ended (CPython issue 90882).
        at_work.end()
        pool.shutdown(cancel_futures=True)


class _Shares:
    """How many threads each of several tasks may use, which start in the order of their numbers."""

    def __init__(self, n_threads, n_tasks, n_at_once):
        self._n_threads, self._n_at_once = n_threads, n_at_once
        self._unfinished = tuple(range(n_tasks))
        self._lock = threading.Lock()

    def of(self, number):
        """Return the number of threads of an unfinished task that has started."""
        unfinished = self._unfinished
        n_at_once = min(len(unfinished), self._n_at_once)
        fraction, n_left_over = divmod(self._n_threads, n_at_once)
        return fraction + (unfinished.index(number) < n_left_over)

    def end(self, number):
        """Leave a task's share to the others."""
        with self._lock:
            self._unfinished = tuple(other for other in self._unfinished if other != number)
