"""Ratios of times: their intervals, from turns in which two contenders ran one after the other, and their profiles.

The performance profile of a solver at tau is the part of the problems on which it takes no more than tau times the
least time of all solvers (Dolan and Moré 2002, "Benchmarking optimization software with performance profiles", section
2).
"""

from statistics import median

import numpy as np
from scipy.stats import binom

LEVEL = 0.95
# The relative excess of an objective above the lowest one, beyond which a solver has failed on a problem.
ALLOWED = 1e-4


def find_interval(ratios):
    """Return the ends of the 95 % interval of the median of ratios, or None of fewer than six, which have none.

    The median lies between these turns with that probability, whatever the distribution: as many turns lie below it as
    heads fall in so many throws.
    """
    ratios, n = sorted(ratios), len(ratios)
    n_outside = int(binom.ppf((1 - LEVEL) / 2, n, 0.5))
    return None if n_outside == 0 else [ratios[n_outside - 1], ratios[-n_outside]]


def describe_turns(ratios):
    """Return what a record has of the ratios of its turns: their median, its interval, and how many there are."""
    return {"ratio": median(ratios), "interval": find_interval(ratios), "n_turns": len(ratios)}


def is_slower(record):
    """Return whether fastlin is slower in a record: by the whole interval of its ratio, or by the ratio without one."""
    interval = record.get("interval")
    return record["ratio"] < 1 if interval is None else interval[1] < 1


def is_even(record):
    """Return whether the interval of a record's ratio holds 1, so that no contender is faster."""
    interval = record.get("interval")
    return interval is not None and interval[0] <= 1 <= interval[1]


def profile(problems):
    """Return the sorted ratios to the fastest of each solver, infinite where it failed, the most tried solver first.

    Each problem has what `tried` of a record has: the seconds and the excess of each contender by name.
    """
    ratios = {}
    for tried in problems:
        seconds = {name: each["seconds"] if each["excess"] <= ALLOWED else np.inf for name, each in tried.items()}
        fastest = min(seconds.values())
        for name, own in seconds.items():
            # Peers are called by their names without their settings.
            ratios.setdefault(name.partition(", ")[0], []).append(own / fastest)
    return {name: np.sort(found) for name, found in sorted(ratios.items(), key=lambda item: -len(item[1]))}


def find_part(ratios, factor):
    """Return the part of sorted ratios that is no more than a factor."""
    return np.searchsorted(ratios, factor, side="right") / len(ratios)
