"""asv benchmarks of what a pass costs as rows, features and classes grow over a decade, each from one base shape.

A pass computes J and its gradient in float64. `python -m benchmarks.scaling` draws the times.
"""

import argparse
import os
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from benchmarks.kernels import FusedPass, draw_coef
from fastlin.figures import DOTS_PER_INCH, STYLE
from fastlin.kernels.machine.threads import count_threads, limit_threads

# These are 48 MB, more than the caches of a processor hold, so that the pass reads from memory.
BASE = {"n": 60_000, "d": 100, "K": 10}
SMOKE_BASE = {"n": 2_000, "d": 20, "K": 3}
FACTORS = (1, 2, 3, 5, 10)
N_TURNS = 7
# The name of each size, its colour and its marker. The colours are Okabe and Ito's, which the colour-blind can tell
# apart.
LINES = {"n": ("rows n", "#D55E00", "o"), "d": ("features d", "#0072B2", "s"), "K": ("classes K", "#009E73", "^")}
PICTURE = Path(__file__).parent.parent / "docs" / "cost.png"


def grow(base, size, factor):
    """Return the base shape with one of its sizes multiplied by a factor."""
    return {**base, size: factor * base[size]}


def make_pass(shape):
    """Return a pass over noise of a shape, at a point with scores of order 1."""
    # The values do not change what a pass costs, so that noise with classes of equal size will do.
    X = np.random.default_rng(0).standard_normal((shape["n"], shape["d"]))
    labels = np.arange(shape["n"]) % shape["K"]
    fused_pass = FusedPass(X, labels, shape["K"], *draw_coef(X, shape["K"]), l2=1 / shape["n"])
    # The first call compiles.
    fused_pass()
    return fused_pass


def measure(base, factors=FACTORS, n_turns=N_TURNS):
    """Return the median seconds of a pass for each size, as a list over its factors.

    The factors of a size take turns, because the speed of a machine drifts. So all data of a size, some 20 times those
    of the base, are held at once.
    """
    seconds = {}
    for size in base:
        passes = [make_pass(grow(base, size, factor)) for factor in factors]
        times = [[] for _ in passes]
        for _ in range(n_turns):
            for fused_pass, seconds_of_factor in zip(passes, times, strict=True):
                begin = perf_counter()
                fused_pass()
                seconds_of_factor.append(perf_counter() - begin)
        seconds[size] = [median(seconds_of_factor) for seconds_of_factor in times]
    return seconds


def fit_slope(factors, seconds):
    """Return the slope of log seconds over log factors, which is 1 where the time grows in proportion to the size."""
    return float(np.polyfit(np.log(factors), np.log(seconds), 1)[0])


def draw(base, seconds, path, factors=FACTORS):
    """Draw the seconds of a pass against n, d and K relative to the base shape, and a line of slope 1."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

    with mpl.rc_context({**STYLE, "font.size": 15, "legend.fontsize": 14}):
        figure = Figure(figsize=(8.5, 6.4), dpi=DOTS_PER_INCH, layout="constrained")
        axes = figure.subplots()
        first = float(np.median([times[0] for times in seconds.values()]))
        ends = np.array([factors[0], factors[-1]])
        axes.plot(ends, 1e3 * first * ends, color="gray", linestyle="--", linewidth=2, label="proportional (slope 1)")
        for size, times in seconds.items():
            name, color, marker = LINES[size]
            label = (
                f"{name} from {base[size]:,} to {factors[-1] * base[size]:,} (slope {fit_slope(factors, times):.2f})"
            )
            milliseconds = 1e3 * np.array(times)
            axes.plot(factors, milliseconds, color=color, marker=marker, markersize=9, linewidth=2.4, label=label)
        axes.set(xscale="log", yscale="log", xlabel="size relative to the base", ylabel="milliseconds per pass")
        axes.set_xticks(factors, [f"× {factor}" for factor in factors])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        n_threads = count_threads()
        axes.set_title(
            f"Loss and gradient, float64, {n_threads} thread{'s' if n_threads > 1 else ''}\n"
            f"base: n = {base['n']:,}, d = {base['d']:,}, K = {base['K']:,}"
        )
        axes.legend(loc="upper left")
        figure.savefig(path)


class Scaling:
    """A pass at the base shape with one of its sizes multiplied by a factor."""

    params = (list(BASE), list(FACTORS))
    param_names = ("size", "factor")
    timeout = 120
    rounds = 1
    repeat = (5, 30, 3.0)

    def setup(self, size, factor):
        self.fused_pass = make_pass(grow(BASE, size, factor))

    def time_pass(self, size, factor):
        self.fused_pass()


def main(arguments=None):
    """Measure the passes, print their times and draw them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=PICTURE, help="the picture; default: docs/cost.png")
    parser.add_argument("--threads", type=int, help="default: all that fastlin uses")
    options = parser.parse_args(arguments)
    smoke = os.environ.get("FASTLIN_BENCHMARK_SMOKE") == "1"
    base = SMOKE_BASE if smoke else BASE
    with limit_threads(options.threads):
        seconds = measure(base, n_turns=1 if smoke else N_TURNS)
        print(f"milliseconds per pass, float64, {count_threads()} threads, base {base}")
        for size, times in seconds.items():
            columns = [f"× {factor}: {1e3 * time:.3f}" for factor, time in zip(FACTORS, times, strict=True)]
            print(f"{size}  {'  '.join(columns)}  slope {fit_slope(FACTORS, times):.3f}")
        draw(base, seconds, options.output)
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
