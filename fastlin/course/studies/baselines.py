"""The distance from the optimum against seconds, for each library on the same rows and the same objective.

Each point of a curve is a fit from the start, and its whole time counts. A library must first reach the optimum of a
small sample; that fit also loads and compiles its code. Each library has a process of its own, so that one that takes
too long or crashes does not end the comparison. In the end the fits that are compared are repeated in turns, for intervals.
"""

import importlib.metadata
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import lru_cache, partial
from itertools import chain
from statistics import median
from tempfile import TemporaryDirectory, mkdtemp
from time import perf_counter, sleep
from typing import Any

import joblib
import numpy as np
from scipy.sparse import issparse

import fastlin
from fastlin.course.own_process import OwnProcess
from fastlin.course.studies import fair_threads
from fastlin.course.studies.settings import Results, Settings
from fastlin.kernels.machine.threads import count_threads
from fastlin.other_libraries import LIBRARIES, CannotSolveError, Library, Problem
from fastlin.typing import FloatArray

C = 1.0
# A library is admitted where its objective on the sample differs from the optimum by no more than this, relatively.
ADMITTED_SUBOPTIMALITY = 1e-4
SAMPLE_ROWS = 300
# A relative excess of this or less counts as the optimum, and the curve ends there.
FLOOR = 1e-10
# The tol of the fit in float64 whose objective counts as the optimum until a library finds a lower one.
REFERENCE_TOL = 1e-12
# The seconds of a comparison, and those of one in which every library has many fits of MNIST.
SECONDS, MANY_SECONDS = 60.0, 900.0
# The parts of the seconds of a problem after which no library loads any longer, the curves end, and the last turns end.
LOADED, CLIMBED, TURNED = 0.5, 0.75, 0.95
QUICK_ROWS = 1000
# Seconds to wait after a fit on several threads, because those of OpenBLAS keep the cores busy for a while.
PAUSE = 0.1
# Fits follow each other for so many seconds, and their median counts.
REPETITION = 0.03
# What ends the curve of a library, but not the comparison.
STOP_REASONS = CannotSolveError, ChildProcessError, TimeoutError
# The study reports the seconds to each of these excesses.
METRICS = ("1e-2", "1e-4", "1e-6")
# The excess at which the seconds are divided by fastlin's.
COMPARED = "1e-4"


def run(
    settings: Settings,
    dtype: str = "float64",
    posed: Sequence[tuple[Problem, Problem]] | None = None,
    seconds: float = SECONDS,
) -> Results:
    """Run each installed library in turn, on the problems of the data or on those that are posed, with test rows.

    The series "problems" holds name, shape, optimum and points of each problem, and why libraries were left out. The
    seconds are for the whole comparison. A fit that has not ended when the share of its library has is stopped.
    """
    begin = perf_counter()
    names = [name for name, library in LIBRARIES.items() if library.is_installed()]
    posed = make_problems(settings, dtype) if posed is None else posed
    packages = dict.fromkeys(LIBRARIES[name].package for name in names)
    with ExitStack() as stack:
        # The processes end before the rows that they read are removed, and, where the comparison is interrupted, before the
        # threads that wait for them.
        folder = stack.enter_context(TemporaryDirectory())
        pool = stack.enter_context(ThreadPoolExecutor(count_threads()))
        processes = {package: stack.enter_context(closing(OwnProcess())) for package in packages}
        entrants = {name: processes[LIBRARIES[name].package] for name in names}
        ends = [begin + seconds * (place + 1) / len(posed) for place in range(len(posed))]
        problems = [
            _compete(*pair, entrants, pool, folder, settings, end) for pair, end in zip(posed, ends, strict=True)
        ]
    metrics: dict[str, Any] = {}
    for problem in problems:
        fastest = {
            suboptimality: _seconds_to(problem["points"]["fastlin"], float(suboptimality)) for suboptimality in METRICS
        }
        metrics[f"{problem['name']}: seconds to an excess of"] = {
            name: _describe(name, problem, fastest) for name in problem["points"]
        }
        for name, reason in problem["left_out"].items():
            metrics[f"{problem['name']}: {name}"] = f"left out: {reason}"
    return Results(
        parameters={
            "data": settings.data.name,
            "dtype": str(dtype),
            "C": posed[0][0].C,
            "budget": round(max(problem["budget"] for problem in problems), 1),
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
        metrics=metrics,
        series={"problems": problems},
    )


def _describe(name, problem, fastest):
    """Return a row of a table: seconds to each excess, how many times fastlin's they are, and the last accuracy.

    A ratio of turns has its interval, by which fastlin is faster, slower or even. Where a fit was stopped or has
    failed, the row says after how many seconds, or why.
    """
    points, stopped = problem["points"][name], problem["stopped"].get(name)
    row = {suboptimality: _seconds_to(points, float(suboptimality)) for suboptimality in METRICS}
    ratio, least, verdict = "–", fastest[COMPARED], "–"
    if name in problem["failed"]:
        ratio = f"failed: {problem['failed'][name]}"
    elif name in problem["repetitions"]:
        repetitions = problem["repetitions"][name]
        low, high = repetitions["interval"]
        ratio = f"{repetitions['ratio']:.3g} ({low:.3g} to {high:.3g})"
        verdict = "faster" if low > 1 else "slower" if high < 1 else "even"
    elif isinstance(least, float) and isinstance(row[COMPARED], float):
        ratio = row[COMPARED] / least
    elif stopped is not None:
        bound = f"≥ {stopped / least:.3g} ×, " if isinstance(least, float) else ""
        ratio = f"{bound}stopped after {stopped:.3g} s"
    accuracy = points[-1]["accuracy"] if points else "–"
    return {**row, "by fastlin's": ratio, "fastlin is": verdict, "accuracy": accuracy}


def find_missing() -> list[str]:
    """Return the names of the packages that libraries need and that are not installed."""
    missing = (library.package for library in LIBRARIES.values() if not library.is_installed())
    return list(dict.fromkeys(missing))


def make_problems(settings: Settings, dtype: str) -> list[tuple[Problem, Problem]]:
    """Return all classes with an intercept, and even against odd labels without one, of training and of test rows.

    Several libraries know only two classes, and one of them penalizes the intercept.
    """
    X, y, X_test, y_test = fair_threads.scale_rows(settings.data, QUICK_ROWS if settings.quick else None, dtype)
    classes, y = np.unique(y, return_inverse=True)
    n_classes, y_test = len(classes), np.searchsorted(classes, y_test)
    problems = [Problem("even or odd", X, y % 2, 2, C, fit_intercept=False)]
    if n_classes > 2:
        problems.insert(0, Problem(f"{n_classes} classes", X, y, n_classes, C, fit_intercept=True))
    return [(each, replace(each, X=X_test, y=y_test % each.n_classes)) for each in problems]


def _compete(problem, test, processes, pool, folder, settings, end):
    """Return name, shape, optimum and points of a problem, and who was left out, stopped or failed, as plain values."""
    begin, sample = perf_counter(), take_sample(problem)
    loaded, climbed, turned = (begin + part * (end - begin) for part in (LOADED, CLIMBED, TURNED))
    n_repeats = 1 if settings.quick else fair_threads.N_REPEATS
    # The processes read the same copy of the rows.
    place = mkdtemp(dir=folder)
    paths = f"{place}/rows", f"{place}/sample"
    for path, each in zip(paths, (problem, sample), strict=True):
        joblib.dump(each, path)
    entrants = [_Entrant(name, *paths, process, turned) for name, process in processes.items()]
    ours = next(entrant for entrant in entrants if entrant.name == "fastlin")
    settings.notify(f"{problem.name}, libraries on a sample")
    left_out = _admit(pool, entrants, sample, loaded)
    entrants = [entrant for entrant in entrants if entrant.name not in left_out]
    settings.notify(f"{problem.name}, optimum")
    optimum = 0.0
    with suppress(TimeoutError):
        # This fit also loads and compiles what fastlin needs for these rows.
        optimum = ours.call(find_optimum, ours.rows, seconds=max(0.0, climbed - perf_counter()) / 2)
    budget = max(0.0, climbed - perf_counter()) / len(entrants)
    for rung in range(max(len(entrant.library.efforts) for entrant in entrants)):
        # The libraries take turns, because the speed of a machine drifts.
        for entrant in entrants:
            if entrant.goes_on(rung, optimum, budget):
                settings.notify(f"{problem.name}, {entrant.name}")
                entrant.climb(rung, problem, test, n_repeats, budget)
    points = {entrant.name: entrant.points for entrant in entrants}
    found = [point["objective"] for row in points.values() for point in row]
    optimum = min(found + [optimum] * (optimum > 0))
    for row in points.values():
        for point in row:
            point["suboptimality"] = (point["objective"] - optimum) / optimum
    settings.notify(f"{problem.name}, turns")
    repetitions = dict(_repeat_interleaved(ours, entrants, turned))
    return {
        "name": problem.name,
        "samples": len(problem.y),
        "held_out": len(test.y),
        "features": problem.X.shape[1],
        "classes": problem.n_classes,
        "intercept": problem.fit_intercept,
        "optimum": optimum,
        "budget": budget,
        "points": points,
        "repetitions": repetitions,
        "left_out": left_out,
        "stopped": {entrant.name: entrant.stopped for entrant in entrants if entrant.stopped is not None},
        "failed": {entrant.name: entrant.failed for entrant in entrants if entrant.failed is not None},
    }


def _admit(pool, entrants, sample, end):
    """Return by name why entrants do not take part; libraries load side by side, and fastlin itself has to work."""
    groups: dict[Any, list[Any]] = {}
    for entrant in entrants:
        groups.setdefault(entrant.library.package, []).append(entrant)
    found = pool.map(lambda group: [(entrant, entrant.try_sample(end)) for entrant in group], groups.values())
    models = dict(chain.from_iterable(found))
    ours = next(entrant for entrant in entrants if entrant.name == "fastlin")
    if isinstance(models[ours], Exception):
        raise models[ours]
    optimum, left_out = ours.call(find_optimum, ours.sample), {}
    for entrant, model in models.items():
        if isinstance(model, Exception):
            left_out[entrant.name] = str(model)
            continue
        suboptimality = sample.objective(*model) / optimum - 1
        # Written so that an excess that is not a number is refused too.
        if not abs(suboptimality) <= ADMITTED_SUBOPTIMALITY:
            left_out[entrant.name] = f"its optimum is another: {suboptimality:.1e} off on {len(sample.y)} rows"
    if "fastlin" in left_out:
        raise CannotSolveError(left_out["fastlin"])
    return left_out


def _repeat_interleaved(ours, entrants, end):
    """Yield what is kept of the turns of fastlin and each baseline, by its name: the baseline's time over fastlin's.

    A turn has the fastest fits within COMPARED. fastlin and the baselines of short fits take part, as many as have enough
    turns for an interval until the end.
    """
    compared = {entrant: point for entrant in entrants if (point := entrant.find_point(float(COMPARED)))}
    if ours not in compared:
        return
    costs = {entrant: fair_threads.REPETITIONS * entrant.tell_cost(point) for entrant, point in compared.items()}
    left, comparing = end - perf_counter() - costs.pop(ours), [ours]
    for entrant in sorted(costs, key=costs.__getitem__):
        left -= costs[entrant]
        if left > 0:
            comparing.append(entrant)
    repetitions: dict[Any, list[float]] = {entrant: [] for entrant in comparing}
    for _ in range(fair_threads.REPETITIONS):
        if len(repetitions) == 1:
            return
        for entrant in list(repetitions):
            point = compared[entrant]
            try:
                seconds, _ = entrant.fit(point["effort"], point["threads"], 1, end - perf_counter())
            except STOP_REASONS:
                if entrant is ours:
                    raise
                del repetitions[entrant]
            else:
                repetitions[entrant].append(median(seconds))
    for entrant, seconds in repetitions.items():
        if entrant is not ours:
            ratios = [theirs / own for theirs, own in zip(seconds, repetitions[ours], strict=True)]
            yield entrant.name, fair_threads.describe_repetitions(ratios)


class _Entrant:
    """A library with the process of its library, the points of its curve, and after how long or why it ended."""

    def __init__(self, name, rows, sample, process, end=np.inf):
        self.name, self.library, self.rows, self.sample = name, LIBRARIES[name], rows, sample
        self.points, self.stopped, self.failed, self.spent = [], None, None, 0.0
        self._process, self._end = process, end
        # A baseline may be faster on one thread, as BLAS on small products is.
        self._threads = list(dict.fromkeys((count_threads() if name == "fastlin" else 1, count_threads())))

    def call(self, function, *arguments, seconds=None):
        """Return what a function makes of the library and arguments in the process."""
        return self._process.call(function, self.library, *arguments, seconds=seconds)

    def fit_sample(self, seconds):
        """Return the model of a fit of the sample, for which the process loads and compiles what it needs."""
        effort = self.library.efforts[-1]
        _, model = self.call(solve, self.sample, effort, count_threads(), 1, 0.0, seconds=seconds)
        return model

    def _limit(self, seconds):
        """Return the seconds after which a call is stopped; fastlin is never stopped, and has always a point."""
        return None if self.name == "fastlin" else max(0.0, seconds)

    def try_sample(self, end):
        """Return the model of a fit of the sample that ends in time, or the error."""
        try:
            return self.fit_sample(self._limit(end - perf_counter()))
        except TimeoutError:
            return TimeoutError("it was not ready when the comparison began")
        except STOP_REASONS as error:
            return error

    def goes_on(self, rung, optimum, budget):
        """Return whether there is another fit, which will probably not exceed the budget."""
        if rung >= len(self.library.efforts) or self.stopped is not None or self.failed is not None:
            return False
        if not self.points:
            return self.name == "fastlin" or budget > 0
        last = self.points[-1]
        return last["objective"] > optimum * (1 + FLOOR) and 2 * last["seconds"] <= budget - self.spent

    def find_point(self, suboptimality):
        """Return the fastest point that comes so near to the optimum, or None."""
        near = (point for point in self.points if point["suboptimality"] <= suboptimality)
        return min(near, key=lambda point: point["seconds"], default=None)

    def fit(self, effort, n_threads, n_repeats, limit):
        """Return the seconds of fits of the rows and the model; a library that has to be loaded again loads first."""
        if not self._process.has_answered:
            self.fit_sample(self._limit(self._end - perf_counter()))
        stopped_after, begin = self._limit(limit), perf_counter()
        try:
            return self.call(solve, self.rows, effort, n_threads, n_repeats, limit, seconds=stopped_after)
        finally:
            sleep(self._find_pause(n_threads))
            self.spent += perf_counter() - begin

    def _find_pause(self, n_threads):
        """Return the seconds to wait after a fit on a number of threads; those of fastlin do not spin."""
        return 0.0 if self.name == "fastlin" or n_threads == 1 else PAUSE

    def tell_cost(self, point):
        """Return about how many seconds the fit of a point takes in a turn."""
        return max(point["seconds"], REPETITION) + self._find_pause(point["threads"])

    def climb(self, rung, problem, test, n_repeats, budget):
        """Add the point of a fit with the next effort, on the faster number of threads, or note how the curve ends."""
        effort, tried, limits = self.library.efforts[rung], [], []
        try:
            for place, n_threads in enumerate(self._threads):
                limits.append(max(0.0, budget - self.spent) / (len(self._threads) - place))
                try:
                    seconds, model = self.fit(effort, n_threads, n_repeats, limits[-1])
                except TimeoutError:
                    continue
                point = {"effort": effort, "threads": n_threads, "seconds": median(seconds), "fits": len(seconds)}
                scores = {"objective": problem.objective(*model), "accuracy": test.accuracy(*model)}
                tried.append(point | scores)
        except STOP_REASONS as error:
            if self.name == "fastlin":
                raise
            self.failed = str(error).partition("\n")[0]
            return
        if not tried:
            self.stopped = min(limits)
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


def find_optimum(library: Library, path: str) -> float:
    """Return the objective of a tight fit, in float64, of the problem in a file."""
    problem = _load(path)
    in_float64 = replace(problem, X=problem.X.astype(np.float64, copy=False))
    return problem.objective(*library.solve(in_float64, REFERENCE_TOL))


def solve(
    library: Library, path: str, effort: float, n_threads: int, n_repeats: int, allowed: float
) -> tuple[list[float], tuple[FloatArray, ...]]:
    """Return the seconds of fits and the model, with so many threads of BLAS, OpenMP and the library's own.

    Short fits are repeated, those of milliseconds until TURN is over, for half of the seconds that are allowed.
    """
    problem, seconds = _load(path), []
    with fair_threads.use_threads(n_threads):
        while True:
            own, model = fair_threads.time_fit(partial(library.solve, problem, effort))
            seconds.append(own)
            is_enough = len(seconds) >= n_repeats and sum(seconds) >= REPETITION
            if is_enough or own >= fair_threads.SHORT or sum(seconds) + own > allowed / 2:
                return seconds, model


def _seconds_to(points, suboptimality):
    return min((point["seconds"] for point in points if point["suboptimality"] <= suboptimality), default="not reached")
