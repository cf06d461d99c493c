"""Spreads a kernel over blocks of rows on several threads, with the same bits for any number of them.

A block is a range of rows fixed by the shape of the data alone, and each block writes to its own slice of the
output; the caller adds the slices in block order. Plain Python threads run the blocks, since kernels hold no
interpreter lock: unlike Numba's threading layers they survive a fork, calls from several threads at once and a
nested pool, at a cost of about 50 microseconds a call.
"""

import contextlib
import contextvars
import os
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache

import joblib

# A block is at least this many multiply-adds (200 to 400 microseconds), so that handing it out and starting it, its
# first tile without prefetch, cost little.
MIN_BLOCK_WORK = 8_000_000
# What a row costs beside its products (loss, residuals, the start of each product), in multiply-adds.
ROW_OVERHEAD = 250
# Enough blocks to keep 16 cores busy; the first tile of each comes without prefetch: 64 cost 4 % more than 32.
MAX_BLOCKS = 32
# Partial sums of all blocks together take no more than this, or 2 % of X where that is more.
MAX_PARTIAL_BYTES = 8 << 20

_limit = contextvars.ContextVar("fastlin_thread_limit", default=None)
_pools = {}


def count_threads():
    """Return how many threads a call uses here and now.

    The smallest of the limit set with `limit_threads`, the environment variable ``FASTLIN_NUM_THREADS`` (or
    ``NUMBA_NUM_THREADS`` or ``OMP_NUM_THREADS``, which process pools set for their workers) and the processors
    that this process may use, a container's quota included.
    """
    limit = _limit.get()
    if limit is not None:
        return limit
    for name in ("FASTLIN_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdigit() and int(value) > 0:
            return int(value) if name == "FASTLIN_NUM_THREADS" else min(int(value), _count_processors())
    return _count_processors()


@lru_cache(maxsize=1)
def _count_processors():
    # joblib reads a container's quota from files: 60 microseconds, as much as a small walk takes.
    return joblib.cpu_count()


@contextlib.contextmanager
def limit_threads(n_threads):
    """Use `n_threads` threads inside the ``with`` block (None: no limit of its own); results do not change."""
    token = _limit.set(_limit.get() if n_threads is None else max(1, int(n_threads)))
    try:
        yield
    finally:
        _limit.reset(token)


@lru_cache(maxsize=256)
def count_blocks(n_rows, row_work, partial_bytes, data_bytes):
    """Return into how many blocks `n_rows` are cut: from the shape alone, never from the thread count.

    Parameters
    ----------
    n_rows : int
    row_work : int
        Multiply-adds per row.
    partial_bytes : int
        Bytes of the partial sums of one block.
    data_bytes : int
        Bytes of X.
    """
    by_work = n_rows * (row_work + ROW_OVERHEAD) // MIN_BLOCK_WORK
    by_memory = max(MAX_PARTIAL_BYTES, data_bytes // 50) // max(1, partial_bytes)
    return int(max(1, min(by_work, max(2, by_memory), MAX_BLOCKS, n_rows)))


class BlockRun:
    """A kernel on its way over all blocks: other threads start at once, `finish` joins in and waits.

    Calls ``kernel(block, n_blocks, *arguments)`` for every block, on as many threads as are allowed.
    """

    def __init__(self, kernel, n_blocks, *arguments):
        self._call = lambda block: kernel(block, n_blocks, *arguments)
        # Blocks are handed out in turn: threads that walk neighbouring rows read memory faster than threads that
        # each walk a part of their own (MNIST, two threads: 24.4 against 27.5 ms a pass).
        self._blocks = iter(range(n_blocks))
        n_threads = count_threads()
        self._others = []
        # After the main thread has ended, Python starts no more of them: then this one does all the work.
        with contextlib.suppress(RuntimeError):
            for _ in range(min(n_threads, n_blocks) - 1):
                self._others.append(_pool(n_threads - 1).submit(self._work))

    def finish(self):
        """Return when every block is done.

        Also when one of them raised (then the first error is raised again) or the user pressed Ctrl-C: no thread
        writes to the caller's arrays after the return.
        """
        try:
            self._work()
        finally:
            self._blocks = iter(())
            # What has not started has nothing left to do. Waiting for it would never end where every thread of the
            # pool waits like this one, in runs that nest.
            running = [other for other in self._others if not other.cancel()]
            wait(running)
        for other in running:
            other.result()

    def _work(self):
        # next() on an iterator written in C is atomic under the interpreter lock: no block is handed out twice.
        while (block := next(self._blocks, None)) is not None:
            self._call(block)


def run_blocks(kernel, n_blocks, *arguments):
    """Call ``kernel(block, n_blocks, *arguments)`` for every block and return when all are done."""
    if n_blocks == 1:
        kernel(0, 1, *arguments)
    else:
        BlockRun(kernel, n_blocks, *arguments).finish()


def _pool(n_threads):
    # One pool per limit: a pool cannot grow, and a program has one or two limits.
    if n_threads not in _pools:
        _pools[n_threads] = ThreadPoolExecutor(n_threads, thread_name_prefix="fastlin")
    return _pools[n_threads]


if hasattr(os, "register_at_fork"):
    # The threads of a pool do not exist in a forked child.
    os.register_at_fork(after_in_child=_pools.clear)
