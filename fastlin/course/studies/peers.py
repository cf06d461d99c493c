"""The distance from the optimum against seconds, for each library on the same rows and the same objective.

Each point of a curve is a fit from the start, and its whole time counts. A contender must first reach the optimum of a
small sample; that fit also loads and compiles its code.
"""

import importlib.metadata
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from scipy.sparse import issparse

import fastlin
from fastlin.contenders import CONTENDERS, CannotSolveError, Problem
from fastlin.course.studies import fair_threads
from fastlin.course.studies.settings import Results, Settings
from fastlin.kernels.machine.threads import count_threads

C = 1.0
# A contender is admitted where its objective on the sample differs from the optimum by no more than this, relatively.
ADMITTED_EXCESS = 1e-4
SAMPLE_ROWS = 300
# A relative excess of this or less counts as the optimum, and the curve ends there.
FLOOR = 1e-10
# The tol of the fit in float64 whose objective counts as the optimum until a contender finds a lower one.
REFERENCE_TOL = 1e-12
# The seconds that a contender may spend on the fits of its curve for a problem. Of fits on one thread and on all, only
# the faster ones belong to the curve, and the others do not count.
BUDGET, QUICK_BUDGET = 25.0, 1.0
QUICK_ROWS = 1000
# Fits shorter than this many seconds are repeated, and the median counts.
SHORT = 1.0
N_REPEATS, QUICK_REPEATS = 3, 1
# Seconds to wait before a fit, because the threads of OpenBLAS keep the cores busy for a while after a call.
PAUSE = 0.1
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
            name: _describe(points, fastest) for name, points in problem["points"].items()
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


def _describe(points, fastest):
    """Return a row of a table: seconds to each excess, how many times fastlin's they are, and the last accuracy."""
    row = {excess: _seconds_to(points, float(excess)) for excess in MERITS}
    pair = row[COMPARED], fastest[COMPARED]
    ratio = pair[0] / pair[1] if all(isinstance(each, float) for each in pair) else "–"
    return {**row, "by fastlin's": ratio, "accuracy": points[-1]["accuracy"]}


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


def check(name: str, problem: Problem) -> None:
    """Raise CannotSolveError if a contender misses the optimum of the problem with its greatest effort."""
    contender = CONTENDERS[name]
    excess = problem.objective(*contender.solve(problem, contender.efforts[-1])) / _find_optimum(problem) - 1
    # Written so that an excess that is not a number is refused too.
    if not abs(excess) <= ADMITTED_EXCESS:
        raise CannotSolveError(f"its optimum is another: {excess:.1e} off on {len(problem.y)} rows")


def _compete(problem, test, names, settings, budget):
    """Return name, shape, optimum and points of a problem, and why contenders were left out, as plain values."""
    sample = take_sample(problem)
    left_out = {}
    for name in names:
        settings.notify(f"{problem.name}, {name} on a sample")
        try:
            check(name, sample)
        except CannotSolveError as error:
            # Where another library fails, the comparison goes on without it. fastlin itself has to work.
            if name == "fastlin":
                raise
            left_out[name] = str(error)
    admitted = [name for name in names if name not in left_out]
    settings.notify(f"{problem.name}, optimum")
    optimum = _find_optimum(problem)
    n_repeats = QUICK_REPEATS if settings.quick else N_REPEATS
    points: dict[str, list[dict[str, Any]]] = {name: [] for name in admitted}
    for rung in range(max(len(CONTENDERS[name].efforts) for name in admitted)):
        # The contenders take turns, because the speed of a machine drifts.
        for name in admitted:
            efforts = CONTENDERS[name].efforts
            if rung < len(efforts) and not _is_done(points[name], optimum, budget):
                settings.notify(f"{problem.name}, {name}")
                tried = [
                    _measure(CONTENDERS[name], problem, test, efforts[rung], n_repeats, n_threads)
                    for n_threads in _choose_threads(name, points[name])
                ]
                points[name].append(min(tried, key=lambda point: point["seconds"]))
    optimum = min(optimum, *(point["objective"] for row in points.values() for point in row))
    for row in points.values():
        for point in row:
            point["excess"] = (point["objective"] - optimum) / optimum
    return {
        "name": problem.name,
        "samples": len(problem.y),
        "features": problem.X.shape[1],
        "classes": problem.n_classes,
        "intercept": problem.fit_intercept,
        "optimum": optimum,
        "points": points,
        "left_out": left_out,
    }


def _choose_threads(name, points):
    """Return the numbers of threads to try: a peer may be faster on one, as BLAS on small products is."""
    if name == "fastlin":
        return [count_threads()]
    # A long fit shows which number is faster; from there on the other one would only take time.
    if points and points[-1]["seconds"] >= SHORT:
        return [points[-1]["threads"]]
    return list(dict.fromkeys((1, count_threads())))


def take_sample(problem: Problem) -> Problem:
    """Return a Problem of the first rows of each class, with l2 the mean square of the features.

    At C = 1 a mistaken penalty may be too small a part of the objective to show.
    """
    n_each = max(SAMPLE_ROWS // problem.n_classes, 2)
    rows = np.concatenate([np.flatnonzero(problem.y == k)[:n_each] for k in range(problem.n_classes)])
    X = problem.X[rows]
    l2 = float((X.multiply(X) if issparse(X) else X * X).mean(dtype=np.float64))
    return replace(problem, X=X, y=problem.y[rows], C=1 / (l2 * len(rows)))


def _find_optimum(problem):
    """Return the objective of a tight fit in float64."""
    in_float64 = replace(problem, X=problem.X.astype(np.float64))
    return problem.objective(*CONTENDERS["fastlin"].solve(in_float64, REFERENCE_TOL))


def _measure(contender, problem, test, effort, n_repeats, n_threads):
    # BLAS and OpenMP, which the fits of the sample have loaded, get as many threads as the contender's own code.
    with fair_threads.use_threads(n_threads):
        seconds, model = fair_threads.time_fits(
            partial(contender.solve, problem, effort),
            lambda seconds: seconds[0] >= SHORT or len(seconds) >= n_repeats,
            PAUSE,
        )
    return {
        "effort": effort,
        "threads": n_threads,
        "seconds": median(seconds),
        "fits": len(seconds),
        "objective": problem.objective(*model),
        "accuracy": test.accuracy(*model),
    }


def _is_done(points, optimum, budget):
    """Return whether the last point is at the floor, or the next fit would probably exceed the budget."""
    if not points:
        return False
    spent = sum(point["seconds"] * point["fits"] for point in points)
    return points[-1]["objective"] <= optimum * (1 + FLOOR) or spent + 2 * points[-1]["seconds"] > budget


def _seconds_to(points, excess):
    return min((point["seconds"] for point in points if point["excess"] <= excess), default="not reached")
