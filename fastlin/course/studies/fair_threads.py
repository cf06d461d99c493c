"""On how many threads another library is timed: on one or on all, whichever is faster."""

import contextlib
from collections.abc import Callable, Iterator
from time import perf_counter

from threadpoolctl import threadpool_limits

from fastlin.kernels.machine.threads import count_threads, limit_threads


@contextlib.contextmanager
def use_threads(n_threads: int) -> Iterator[None]:
    """Let fastlin, BLAS and OpenMP, as far as they are loaded, use `n_threads` threads in the ``with`` block."""
    with limit_threads(n_threads), threadpool_limits(n_threads):
        yield


def choose_threads(fit: Callable[[], object]) -> int:
    """Return on how many threads a short fit of another library is faster, 1 or all; BLAS may be faster on one."""
    # The first fit also imports and loads what it needs, which would count against one thread.
    fit()
    seconds = {}
    for n_threads in dict.fromkeys((1, count_threads())):
        with use_threads(n_threads):
            begin = perf_counter()
            fit()
            seconds[n_threads] = perf_counter() - begin
    return min(seconds, key=lambda n_threads: seconds[n_threads])
