"""What the benchmarks share: the data, the objective that scores every fit, and the ratio of two times."""

import os
from functools import lru_cache
from statistics import median
from time import perf_counter, sleep

import numpy as np
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits

from fastlin import datasets
from fastlin.kernels.threads import count_threads
from fastlin.studies.compare import make_synthetic

# Classes and features of the Gaussian clusters, which are there where MNIST is not.
SYNTHETIC = {"synthetic": (10, 100), "binary": (2, 30)}
# Seconds.
PAUSE = 0.2


# asv repeats a benchmark's setup before each sample: without the cache that would prepare the data anew.
@lru_cache(maxsize=2)
def load_data(name, n_train, dtype):
    """Return the Dataset "mnist", "synthetic" or "binary" with X in dtype; pixels from 0 to 1, as uint8 to 255.

    Raises
    ------
    NotImplementedError
        MNIST is not on disk; asv then skips the benchmark.
    """
    if name == "mnist":
        mnist = _find_mnist()
        return _convert(mnist, n_train, np.dtype(dtype), 1 if dtype == "uint8" else 255)
    if dtype == "uint8":
        raise NotImplementedError("The synthetic data are no bytes.")
    classes, features = SYNTHETIC[name]
    return _convert(make_synthetic(classes, n_train, features, seed=0), n_train, np.dtype(dtype), 1)


def _find_mnist():
    """Return MNIST from disk; a benchmark downloads nothing."""
    for folder in (os.environ.get("FASTLIN_DATA"), datasets.cache_folder()):
        if folder:
            try:
                return datasets.load_mnist(folder=folder)
            except datasets.DatasetNotFoundError:
                continue
    raise NotImplementedError(
        "MNIST is not on disk: fastlin.datasets.load_mnist() fetches it, FASTLIN_DATA names the folder that holds it."
    )


def _convert(data, n_train, dtype, largest):
    X_train, X_test = (
        # In one step, so that no temporary array counts as peak memory.
        X if X.dtype == dtype else np.divide(X, dtype.type(largest), out=np.empty(X.shape, dtype), casting="same_kind")
        for X in (data.X_train[:n_train], data.X_test)
    )
    return datasets.Dataset(data.name, X_train, data.y_train[:n_train], X_test, data.y_test)


def evaluate_objective(estimator, X, y, C):
    """Return J of a fitted estimator in float64, from the formula alone: one judge for every contender."""
    coef = estimator.coef_.astype(np.float64)
    scores = X.astype(np.float64) @ coef.T + estimator.intercept_
    if scores.shape[1] == 1:
        # The logistic loss is the softmax cross-entropy of the scores 0 and z.
        scores = np.hstack([np.zeros_like(scores), scores])
    label_scores = scores[np.arange(len(y)), np.searchsorted(estimator.classes_, y)]
    return float(np.mean(logsumexp(scores, axis=1) - label_scores) + np.sum(coef**2) / (2 * C * len(y)))


def interleaved_ratio(slow, fast, n):
    """Return the median time of slow over that of fast: n calls of each, in turn, after one that is not timed.

    In turn, since a machine's speed drifts over seconds; BLAS gets as many threads as fastlin.
    """
    seconds = {slow: [], fast: []}
    with threadpool_limits(count_threads()):
        for call in seconds:
            call()
        for _ in range(n):
            for call, times in seconds.items():
                # OpenBLAS's threads go on spinning for a while, on the processors that the next call needs: without
                # a pause fastlin's pass over MNIST took 34 instead of 25 ms after NumPy's.
                sleep(PAUSE)
                begin = perf_counter()
                call()
                times.append(perf_counter() - begin)
    return median(seconds[slow]) / median(seconds[fast])
