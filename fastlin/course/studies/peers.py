"""The distance from the optimum against seconds, for each library on the same rows and the same objective.

Each point of a curve is a fit from the start, and its whole time counts. A contender must first reach the optimum of a
small sample; that fit also loads and compiles its code. Each contender has a process of its own, so that one that takes
too long or crashes does not end the race.
"""

import importlib.metadata
import os
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import lru_cache, partial
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import joblib
import numpy as np
from scipy.sparse import issparse

import fastlin
from fastlin.contenders import CONTENDERS, CannotSolveError, Contender, Problem
from fastlin.course.own_process import OwnProcess
from fastlin.course.studies import fair_threads
from fastlin.course.studies.settings import Results, Settings
from fastlin.kernels.machine.threads import count_threads
from fastlin.typing import FloatArray

C = 1.0
# A contender is admitted where its objective on the sample differs from the optimum by no more than this, relatively.
ADMITTED_EXCESS = 1e-4
SAMPLE_ROWS = 300
# A relative excess of this or less counts as the optimum, and the curve ends there.
FLOOR = 1e-10
# The tol of the fit in float64 whose objective counts as the optimum until a contender finds a lower one.
REFERENCE_TOL = 1e-12
# The seconds that a contender may spend on the fits of its curve for a problem. Of fits on one thread and on all, only
# the faster ones belong to the curve, and the others do not count. A fit that has not ended by then is stopped.
BUDGET, QUICK_BUDGET = 25.0, 1.0
# The seconds that a contender may take to load, compile, and fit the sample.
SAMPLE_LIMIT = 120.0
QUICK_ROWS = 1000
# Seconds to wait before a fit, because the threads of OpenBLAS keep the cores busy for a while after a call.
PAUSE = 0.1
# What ends the curve of a contender, but not the race.
ENDINGS = CannotSolveError, ChildProcessError, TimeoutError
# The study reports the seconds to each of these excesses.
MERITS = ("1e-2", "1e-4", "1e-6")
# The excess at which the seconds are divided by fastlin's.
COMPARED = "1e-4"


def run(
    settings: Settings,
    dtype: str = "float64",
    posed: Sequence[tuple[Problem, Problem]] | None = None,
    seconds: float | None = None,
) -> Results:
    """Run each installed contender in turn, on the problems of the data or on those that are posed, with test rows.

    The series "problems" holds name, shape, optimum and points of each problem, and why contenders were left out. The
    seconds are for all fits together; None gives each contender BUDGET for each problem.
    """
    names = [name for name, contender in CONTENDERS.items() if contender.is_installed()]
    posed = make_problems(settings, dtype) if posed is None else posed
    budget = QUICK_BUDGET if settings.quick else BUDGET if seconds is None else seconds / len(names) / len(posed)
    problems = [_compete(*pair, names, settings, budget) for pair in posed]
    merits: dict[str, Any] = {}
    for problem in problems:
        fastest = {excess: _seconds_to(problem["points"]["fastlin"], float(excess)) for excess in MERITS}
        merits[f"{problem['name']}: seconds to an excess of"] = {
            name: _describe(points, fastest, problem["stopped"].get(name), problem["failed"].get(name))
            for name, points in problem["points"].items()
        }
        for name, reason in problem["left_out"].items():
            merits[f"{problem['name']}: {name}"] = f"left out: {reason}"
    packages = dict.fromkeys(CONTENDERS[name].package for name in names)
    return Results(
        parameters={
            "data": settings.data.name,
            "dtype": str(dtype),
            "C": posed[0][0].C,
            "budget": budget,
            "floor": FLOOR,
            "threads": count_threads(),
            "processors": os.cpu_count(),
            # fastlin has no metadata where it runs from a checkout that is not installed.
            "versions": {
                package: fastlin.__version__ if package == "fastlin" else importlib.metadata.version(package)
                for package in packages
            },
            "not_installed": find_missing(),
        },
        merits=merits,
        series={"problems": problems},
    )


def _describe(points, fastest, stopped, failure):
    """Return a row of a table: seconds to each excess, how many times fastlin's they are, and the last accuracy.

    Where a fit was stopped or has failed, it says after how many seconds, or why.
    """
    row = {excess: _seconds_to(points, float(excess)) for excess in MERITS}
    ratio, least = "–", fastest[COMPARED]
    if failure is not None:
        ratio = f"failed: {failure}"
    elif isinstance(least, float) and isinstance(row[COMPARED], float):
        ratio = row[COMPARED] / least
    elif stopped is not None:
        bound = f"≥ {stopped / least:.3g} ×, " if isinstance(least, float) else ""
        ratio = f"{bound}stopped after {stopped:.3g} s"
    return {**row, "by fastlin's": ratio, "accuracy": points[-1]["accuracy"] if points else "–"}


def find_missing() -> list[str]:
    """Return the names of the packages that contenders need and that are not installed."""
    missing = (contender.package for contender in CONTENDERS.values() if not contender.is_installed())
    return list(dict.fromkeys(missing))


def make_problems(settings: Settings, dtype: str) -> list[tuple[Problem, Problem]]:
    """Return all classes with an intercept, and even against odd labels without one, of training and of test rows.

    Several libraries know only two classes, and one of them penalises the intercept.
    """
    X, y, X_test, y_test = fair_threads.scale_rows(settings.data, QUICK_ROWS if settings.quick else None, dtype)
    classes, y = np.unique(y, return_inverse=True)
    n_classes, y_test = len(classes), np.searchsorted(classes, y_test)
    problems = [Problem("even or odd", X, y % 2, 2, C, fit_intercept=False)]
    if n_classes > 2:
        problems.insert(0, Problem(f"{n_classes} classes", X, y, n_classes, C, fit_intercept=True))
    return [(each, replace(each, X=X_test, y=y_test % each.n_classes)) for each in problems]


def _compete(problem, test, names, settings, budget):
    """Return name, shape, optimum and points of a problem, and who was left out, stopped or failed, as plain values."""
    sample, left_out = take_sample(problem), {}
    n_repeats = 1 if settings.quick else fair_threads.N_REPEATS
    with TemporaryDirectory() as folder, ExitStack() as stack:
        # The processes read the same copy of the rows, and end before it is removed.
        paths = f"{folder}/rows", f"{folder}/sample"
        for path, each in zip(paths, (problem, sample), strict=True):
            joblib.dump(each, path)
        entrants = [_Entrant(name, *paths, stack.enter_context(closing(OwnProcess()))) for name in names]
        ours = next(entrant for entrant in entrants if entrant.name == "fastlin")
        optimum = ours.call(find_optimum, ours.sample)
        for entrant in entrants:
            settings.notify(f"{problem.name}, {entrant.name} on a sample")
            try:
                entrant.check(sample, optimum)
            except ENDINGS as error:
                # Where another library fails, the comparison goes on without it. fastlin itself has to work.
                if entrant is ours:
                    raise
                left_out[entrant.name] = str(error)
        entrants = [entrant for entrant in entrants if entrant.name not in left_out]
        settings.notify(f"{problem.name}, optimum")
        # This fit also loads and compiles what fastlin needs for these rows.
        optimum = ours.call(find_optimum, ours.rows)
        for rung in range(max(len(entrant.contender.efforts) for entrant in entrants)):
            # The contenders take turns, because the speed of a machine drifts.
            for entrant in entrants:
                if entrant.goes_on(rung, optimum, budget):
                    settings.notify(f"{problem.name}, {entrant.name}")
                    entrant.climb(rung, problem, test, n_repeats, budget)
    points = {entrant.name: entrant.points for entrant in entrants}
    optimum = min(optimum, *(point["objective"] for row in points.values() for point in row))
    for row in points.values():
        for point in row:
            point["excess"] = (point["objective"] - optimum) / optimum
    return {
        "name": problem.name,
        "samples": len(problem.y),
        "held_out": len(test.y),
        "features": problem.X.shape[1],
        "classes": problem.n_classes,
        "intercept": problem.fit_intercept,
        "optimum": optimum,
        "points": points,
        "left_out": left_out,
        "stopped": {entrant.name: entrant.stopped for entrant in entrants if entrant.stopped is not None},
        "failed": {entrant.name: entrant.failed for entrant in entrants if entrant.failed is not None},
    }


class _Entrant:
    """A contender with a process of its own, the points of its curve, and after how many seconds or why it ended."""

    def __init__(self, name, rows, sample, process):
        self.name, self.contender, self.rows, self.sample = name, CONTENDERS[name], rows, sample
        self.points, self.stopped, self.failed = [], None, None
        self._process, self._has_loaded = process, False
        # A peer may be faster on one thread, as BLAS on small products is.
        self._threads = list(dict.fromkeys((count_threads() if name == "fastlin" else 1, count_threads())))

    def call(self, function, *arguments, seconds=None):
        """Return what a function makes of the contender and arguments in the process; fastlin's is never stopped."""
        limit = None if self.name == "fastlin" else seconds
        return self._process.call(function, self.contender, *arguments, seconds=limit)

    def fit_sample(self):
        """Return the model of a fit of the sample, for which the process loads and compiles what it needs."""
        _, model = self.call(solve, self.sample, self.contender.efforts[-1], count_threads(), seconds=SAMPLE_LIMIT)
        self._has_loaded = True
        return model

    def check(self, sample, optimum):
        """Raise CannotSolveError if the contender misses the optimum of the sample with its greatest effort."""
        excess = sample.objective(*self.fit_sample()) / optimum - 1
        # Written so that an excess that is not a number is refused too.
        if not abs(excess) <= ADMITTED_EXCESS:
            raise CannotSolveError(f"its optimum is another: {excess:.1e} off on {len(sample.y)} rows")

    def goes_on(self, rung, optimum, budget):
        """Return whether there is another fit, which will probably not exceed the budget."""
        if rung >= len(self.contender.efforts) or self.stopped is not None or self.failed is not None:
            return False
        last = self.points[-1] if self.points else {"objective": np.inf, "seconds": 0.0}
        return last["objective"] > optimum * (1 + FLOOR) and 2 * last["seconds"] <= self._find_left(budget)

    def _find_left(self, budget):
        return budget - sum(point["seconds"] * point["fits"] for point in self.points)

    def climb(self, rung, problem, test, n_repeats, budget):
        """Add the point of a fit with the next effort, on the faster number of threads, or note how the curve ends."""
        effort, left, tried = self.contender.efforts[rung], self._find_left(budget), []
        try:
            for n_threads in self._threads:
                # A process that begins in place of one that was killed has loaded nothing.
                if not self._has_loaded:
                    self.fit_sample()
                fit = partial(self.call, solve, self.rows, effort, n_threads, seconds=left)
                try:
                    seconds, model = fair_threads.repeat_short(fit, n_repeats, PAUSE)
                except TimeoutError:
                    self._has_loaded = False
                    continue
                point = {"effort": effort, "threads": n_threads, "seconds": median(seconds), "fits": len(seconds)}
                scores = {"objective": problem.objective(*model), "accuracy": test.accuracy(*model)}
                tried.append(point | scores)
        except ENDINGS as error:
            if self.name == "fastlin":
                raise
            self.failed = str(error).partition("\n")[0]
            return
        if not tried:
            self.stopped = left
            return
        best = min(tried, key=lambda point: point["seconds"])
        self.points.append(best)
        # A long fit shows which number is faster; from there on the other one would only take time.
        if best["seconds"] >= fair_threads.SHORT or len(tried) < len(self._threads):
            self._threads = [best["threads"]]


def take_sample(problem: Problem) -> Problem:
    """Return a Problem of the first rows of each class, with l2 the mean square of the features.

    At C = 1 a mistaken penalty may be too small a part of the objective to show.
    """
    n_each = max(SAMPLE_ROWS // problem.n_classes, 2)
    rows = np.concatenate([np.flatnonzero(problem.y == k)[:n_each] for k in range(problem.n_classes)])
    X = problem.X[rows]
    l2 = float((X.multiply(X) if issparse(X) else X * X).mean(dtype=np.float64))
    return replace(problem, X=X, y=problem.y[rows], C=1 / (l2 * len(rows)))


@lru_cache(maxsize=1)
def _load(path):
    """Return the problem in a file, from which its arrays are read when they are needed."""
    return joblib.load(path, mmap_mode="c")


def find_optimum(contender: Contender, path: str) -> float:
    """Return the objective of a tight fit, in float64, of the problem in a file."""
    problem = _load(path)
    in_float64 = replace(problem, X=problem.X.astype(np.float64, copy=False))
    return problem.objective(*contender.solve(in_float64, REFERENCE_TOL))


def solve(contender: Contender, path: str, effort: float, n_threads: int) -> tuple[float, tuple[FloatArray, ...]]:
    """Return the seconds and the model of a fit with so many threads of BLAS, OpenMP and the contender's own."""
    fit = partial(contender.solve, _load(path), effort)
    with fair_threads.use_threads(n_threads):
        return fair_threads.time_fit(fit)


def _seconds_to(points, excess):
    return min((point["seconds"] for point in points if point["excess"] <= excess), default="not reached")
