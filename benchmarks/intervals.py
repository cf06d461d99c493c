"""Intervals of ratios of times, from turns in which two contenders ran one after the other."""

import numpy as np

LEVEL = 0.95
# The median of fewer turns has no interval of 95 %: that of five lies outside their range in one of 16 cases.
LEAST_TURNS = 6
N_RESAMPLES = 10_000


def find_interval(ratios):
    """Return the ends of the 95 % interval of the median of ratios, by the bootstrap over turns, or None of too few.

    The ends are quantiles of the medians of resampled turns (Efron and Tibshirani 1993, chapter 13).
    """
    ratios = np.asarray(ratios)
    if len(ratios) < LEAST_TURNS:
        return None
    turns = np.random.default_rng(0).integers(len(ratios), size=(N_RESAMPLES, len(ratios)))
    ends = np.quantile(np.median(ratios[turns], axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return ends.tolist()


def is_slower(record):
    """Return whether fastlin is slower in a record: by the whole interval of its ratio, or by the ratio without one."""
    interval = record.get("interval")
    return record["ratio"] < 1 if interval is None else interval[1] < 1


def is_even(record):
    """Return whether the interval of a record's ratio holds 1, so that no contender is faster."""
    interval = record.get("interval")
    return interval is not None and interval[0] <= 1 <= interval[1]
