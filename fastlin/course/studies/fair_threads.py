"""The rows on which libraries are compared, how fits are timed, and whether a fit is faster on one thread or on all."""

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from scipy.stats import binom
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from fastlin.course.datasets import Dataset
from fastlin.kernels.machine.threads import count_threads, limit_threads
from fastlin.typing import Array

# A single short fit says little: whatever else the machine does may fall into it.
N_TRIES = 3
# Fits and trainings shorter than this many seconds are repeated, and the median counts.
SHORT, N_REPEATS = 1.0, 3
# The level of the intervals of ratios, and so many turns as are enough for one.
LEVEL, REPETITIONS = 0.95, 7


def scale_rows(data: Dataset, n_train: int | None, dtype: str) -> tuple[Array, Array, Array, Array]:
    """Return X, y, X_test, y_test of the first n_train training rows: pixels from 0 to 1, labels from 0 on."""
    scale = 255 if data.X_train.dtype == np.uint8 else 1
    X, X_test = (np.ascontiguousarray(part / scale, dtype=dtype) for part in (data.X_train[:n_train], data.X_test))
    _, labels = np.unique(np.concatenate([data.y_train[:n_train], data.y_test]), return_inverse=True)
    return X, labels[: len(X)], X_test, labels[len(X) :]


@contextlib.contextmanager
def use_threads(n_threads: int) -> Iterator[None]:
    """Let fastlin and the loaded BLAS and OpenMP use `n_threads` threads in the ``with`` block."""
    with limit_threads(n_threads), threadpool_limits(n_threads):
        yield


def fit_up_to_limit(estimator: Any, X: Array, y: Array) -> None:
    """Fit an estimator without the warning that it ends at a number of epochs or iterations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(X, y)


def time_fit(fit: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of a fit, and what it returns."""
    begin = perf_counter()
    found = fit()
    return perf_counter() - begin, found


def repeat_short(run: Callable[[], tuple[float, Any]], n_max: int) -> tuple[list[float], Any]:
    """Return the seconds of up to n_max runs of a fit, up to the first that is not short, and what the last found."""
    seconds: list[float] = []
    while not seconds or (seconds[-1] < SHORT and len(seconds) < n_max):
        own, found = run()
        seconds.append(own)
    return seconds, found


def find_interval(ratios: Iterable[float]) -> list[float] | None:
    """Return the ends of the 95 % interval of the median of ratios, or None of fewer than six, which have none."""
    # As many turns lie below the median as heads fall in so many throws.
    ordered = sorted(ratios)
    n_outside = int(binom.ppf((1 - LEVEL) / 2, len(ordered), 0.5))
    return None if n_outside == 0 else [ordered[n_outside - 1], ordered[-n_outside]]


def describe_repetitions(ratios: Sequence[float]) -> dict[str, Any]:
    """Return what is kept of the ratios of turns: their median, its interval, and how many there are."""
    return {"ratio": median(ratios), "interval": find_interval(ratios), "n_repetitions": len(ratios)}


def choose_threads(fit: Callable[[], object]) -> int:
    """Return 1 or all threads, the number on which a short fit of another library is faster."""
    # The first fit also imports and loads what it needs, which would count against one thread.
    fit()
    best: dict[int, float] = {}
    for _ in range(N_TRIES):
        for n_threads in (1, count_threads()):
            with use_threads(n_threads):
                seconds, _ = time_fit(fit)
            best[n_threads] = min(seconds, best.get(n_threads, inf))
    return min(best, key=lambda n_threads: best[n_threads])
