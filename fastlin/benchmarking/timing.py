"""Timing of fits: threads, repetitions, and intervals of time ratios."""

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from statistics import median
from time import perf_counter
from typing import Any, Literal

from scipy.stats import binom
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from fastlin.kernels.machine.threads import count_threads, limit_threads
from fastlin.typing import Array

# Number of trials for each number of threads, because other processes may interfere with a single short fit.
N_THREAD_TRIALS = 3
# Fits and training runs shorter than this are repeated, and the median is reported.
MAX_SHORT_FIT_SECONDS, N_REPEATS = 1.0, 3
# Seconds to wait before a timed fit or after a fit on several threads, because OpenBLAS threads spin for almost a tenth
# of a second after a call.
PAUSE_SECONDS = 0.15
# Confidence level of intervals for ratios, the number of repetitions, and the smallest number that gives an interval.
CONFIDENCE_LEVEL, N_REPETITIONS, MIN_REPETITIONS = 0.95, 7, 6
# A smaller difference of times is not significant, because the times of equal code differ from process to process
# (docs/benchmarks/machine.md, false alarms).
MIN_SIGNIFICANT_DIFFERENCE = 0.05


class Stopwatch:
    """The seconds since the start, without those of the pauses that have ended."""

    def __init__(self) -> None:
        self._begin = perf_counter()

    def read(self) -> float:
        """Return the seconds since the start, without those of the pauses that have ended."""
        return perf_counter() - self._begin

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Pause in the ``with`` block."""
        seconds = self.read()
        try:
            yield
        finally:
            self._begin = perf_counter() - seconds


@contextlib.contextmanager
def use_threads(n_threads: int) -> Iterator[None]:
    """Limit fastlin and the loaded BLAS and OpenMP libraries to `n_threads` threads in the ``with`` block."""
    with limit_threads(n_threads), threadpool_limits(n_threads):
        yield


def fit_without_convergence_warning(estimator: Any, X: Array, y: Array) -> None:
    """Fit an estimator without a warning if it reaches its maximum number of epochs or iterations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(X, y)


def time_fit(
    fit: Callable[[], Any], n_repeats: int = 1, min_seconds: float = 0.0, max_seconds: float = inf
) -> tuple[list[float], Any]:
    """Return the seconds of each repetition of a fit, and the last result.

    A fit that takes less than MAX_SHORT_FIT_SECONDS is repeated until there are `n_repeats` repetitions and they take
    `min_seconds`, unless another repetition would exceed `max_seconds`.
    """
    seconds: list[float] = []
    total = 0.0
    while True:
        begin = perf_counter()
        result = fit()
        seconds.append(perf_counter() - begin)
        total += seconds[-1]
        has_enough = len(seconds) >= n_repeats and total >= min_seconds
        if has_enough or seconds[-1] >= MAX_SHORT_FIT_SECONDS or total + seconds[-1] > max_seconds:
            return seconds, result


def find_median_interval(ratios: Iterable[float]) -> list[float] | None:
    """Return the 95 % interval for the median of ratios from order statistics; None with too few ratios."""
    # The number of ratios below the true median has a binomial distribution with probability 1/2.
    sorted_ratios = sorted(ratios)
    n_excluded_ratios = int(binom.ppf((1 - CONFIDENCE_LEVEL) / 2, len(sorted_ratios), 0.5))
    return None if n_excluded_ratios == 0 else [sorted_ratios[n_excluded_ratios - 1], sorted_ratios[-n_excluded_ratios]]


def summarize_ratios(*ratios_by_process: Sequence[float]) -> dict[str, Any]:
    """Return a summary of the ratios of repetitions: their median, an interval, and their number.

    The ratios of each process have a confidence interval for their median. The interval of the summary contains the
    intervals of all processes, or is None if there are too few repetitions.
    """
    ratios = [ratio for ratios in ratios_by_process for ratio in ratios]
    intervals = [find_median_interval(ratios) for ratios in ratios_by_process]
    ends = [end for interval in intervals if interval is not None for end in interval]
    interval = None if None in intervals else [min(ends), max(ends)]
    return {"ratio": median(ratios), "interval": interval, "n_repetitions": len(ratios)}


def classify_interval(interval: Sequence[float]) -> Literal["longer", "shorter", "even"]:
    """Return whether a time is longer or shorter than another, given the interval of their ratio.

    The whole interval must differ from 1 by more than MIN_SIGNIFICANT_DIFFERENCE.
    """
    low, high = interval
    if low > 1 + MIN_SIGNIFICANT_DIFFERENCE:
        return "longer"
    return "shorter" if high < 1 / (1 + MIN_SIGNIFICANT_DIFFERENCE) else "even"


def choose_threads(fit: Callable[[], object]) -> int:
    """Return 1 or the maximum number of threads, whichever is faster for a short fit of another library."""
    # The first fit also imports and loads code, which would be included in the time on one thread.
    fit()
    best: dict[int, float] = {}
    for _ in range(N_THREAD_TRIALS):
        for n_threads in (1, count_threads()):
            with use_threads(n_threads):
                (seconds,), _ = time_fit(fit)
            best[n_threads] = min(seconds, best.get(n_threads, inf))
    return min(best, key=lambda n_threads: best[n_threads])
