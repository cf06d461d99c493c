"""What a pass costs as rows, features and classes grow over a decade, each from one base shape.

A pass computes J and its gradient in float64.
"""

from statistics import median

import numpy as np

from benchmarks.passes import FusedPass, draw_coef
from benchmarks.races import TURNS, measure_in_turn
from fastlin.kernels.machine.threads import count_threads

# These are 48 MB, more than the caches of a processor hold, so that the pass reads from memory.
BASE = {"n": 60_000, "d": 100, "K": 10}
SMALL_BASE = {"n": 6_000, "d": 20, "K": 3}
FACTORS = (1, 2, 3, 5, 10)


def grow(base, size, factor):
    """Return the base shape with one of its sizes multiplied by a factor."""
    return {**base, size: factor * base[size]}


def make_pass(shape):
    """Return a pass over noise of a shape, at a point with scores of order 1."""
    # The values do not change what a pass costs, so that noise with classes of equal size will do.
    X = np.random.default_rng(0).standard_normal((shape["n"], shape["d"]))
    labels = np.arange(shape["n"]) % shape["K"]
    return FusedPass(X, labels, shape["K"], *draw_coef(X, shape["K"]), l2=1 / shape["n"])


def measure_pass_scaling(base):
    """Return the median seconds of a pass for each size, as a list over its factors, as plain values.

    The factors of a size take turns. So all data of a size, some 20 times those of the base, are held at once.
    """
    seconds = {}
    for size in base:
        passes = {factor: make_pass(grow(base, size, factor)) for factor in FACTORS}
        seconds[size] = [median(times) for times in measure_in_turn(passes, TURNS).values()]
    return {
        "kind": "passes",
        "base": dict(base),
        "factors": list(FACTORS),
        "seconds": seconds,
        "threads": count_threads(),
    }


def fit_slope(factors, seconds):
    """Return the slope of log seconds over log factors, which is 1 where the time grows in proportion to the size."""
    return float(np.polyfit(np.log(factors), np.log(seconds), 1)[0])
