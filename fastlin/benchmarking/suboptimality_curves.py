"""Suboptimality vs fit time for each library, with the same rows and the same objective.

Each point of a curve is a fit from scratch, and its time is the total time of this fit. A library must first reach the
optimum on a small sample. This fit also loads and compiles the library's code. Each library runs in its own process, so
a library that is too slow or crashes does not end the comparison. Finally, interleaved repetitions of the compared fits
give confidence intervals.
"""

import importlib.metadata
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import lru_cache, partial
from itertools import chain
from statistics import median
from tempfile import TemporaryDirectory, mkdtemp
from time import perf_counter, sleep
from typing import Any, NamedTuple

import joblib
import numpy as np
from scipy.sparse import issparse

import fastlin
from fastlin.benchmarking import timing
from fastlin.benchmarking.other_libraries import (
    LIBRARIES,
    CannotSolveError,
    ComparisonProblem,
    Library,
    find_missing_packages,
)
from fastlin.benchmarking.worker_process import WorkerProcess
from fastlin.kernels.machine.threads import count_threads
from fastlin.typing import FloatArray

# A library is excluded if the relative difference between its objective on the sample and the optimum exceeds this.
MAX_SAMPLE_SUBOPTIMALITY = 1e-4
N_SAMPLE_ROWS = 300
# A curve ends at the first point with at most this relative suboptimality, which is considered optimal.
MIN_SUBOPTIMALITY = 1e-10
# Tolerance of the float64 fit whose objective is the optimum unless a library finds a lower objective.
REFERENCE_TOL = 1e-12
# Seconds of a comparison by default, and seconds that suffice for many fits of every library on MNIST.
DEFAULT_COMPARISON_SECONDS, LONG_COMPARISON_SECONDS = 60.0, 900.0
# Fractions of a problem's seconds at which the loading of libraries, the curves and the repetitions must end.
LOADING_DEADLINE_FRACTION, CURVES_DEADLINE_FRACTION, REPETITIONS_DEADLINE_FRACTION = 0.5, 0.75, 0.95
# Seconds to wait after a fit on several threads, because idle OpenBLAS threads keep processor cores busy for a while.
PAUSE = 0.1
# Short fits are repeated until their total time reaches this number of seconds. Their time is the median.
MIN_MEASURED_SECONDS = 0.03
# Errors that end the curve of a library but not the comparison.
CURVE_ENDING_ERRORS = CannotSolveError, ChildProcessError, TimeoutError
# The tables contain the seconds until each of these relative suboptimalities is reached.
REPORTED_SUBOPTIMALITIES = ("1e-2", "1e-4", "1e-6")
# The relative suboptimality at which times are compared with the time of fastlin.
COMPARED_SUBOPTIMALITY = "1e-4"
# Header of the column with the ratios of these times to the time of fastlin.
TIME_RATIO_COLUMN = "time / fastlin's"


class LibraryComparison(NamedTuple):
    """The result of `compare_libraries`, as plain values."""

    parameters: dict[str, Any]  # the settings, and the versions of the libraries
    tables: dict[str, Any]  # for each problem, a row per library, and the reasons why libraries were excluded
    problems: list[dict[str, Any]]  # the name, shape, optimum and points of each problem, and the repetitions


def compare_libraries(
    problems: Sequence[tuple[ComparisonProblem, ComparisonProblem]],
    seconds: float = DEFAULT_COMPARISON_SECONDS,
    n_repeats: int = timing.N_REPEATS,
    notify: Callable[[str], object] = lambda step: None,
) -> LibraryComparison:
    """Compare all installed libraries on pairs of training and test problems, which share C and the type of X.

    `seconds` is the time of the whole comparison. A fit is stopped if it exceeds the fraction of this time that its
    library may use. A short fit is repeated until there are `n_repeats` fits. `notify` is called with the current
    step.
    """
    begin = perf_counter()
    names = [name for name, library in LIBRARIES.items() if library.is_installed()]
    packages = dict.fromkeys(LIBRARIES[name].package for name in names)
    with ExitStack() as stack:
        # The processes must end before the files that they read are removed. After an interrupt, they must also end
        # before the threads that wait for them.
        folder = stack.enter_context(TemporaryDirectory())
        pool = stack.enter_context(ThreadPoolExecutor(count_threads()))
        processes = {package: stack.enter_context(closing(WorkerProcess())) for package in packages}
        candidates = {name: processes[LIBRARIES[name].package] for name in names}
        ends = [begin + seconds * (i + 1) / len(problems) for i in range(len(problems))]
        comparisons = [
            _compare_on_problem(*pair, candidates, pool, folder, n_repeats, notify, end)
            for pair, end in zip(problems, ends, strict=True)
        ]
    tables: dict[str, Any] = {}
    for comparison in comparisons:
        points = comparison["points"]["fastlin"]
        fastlin_seconds = {target: _find_seconds_to_reach(points, float(target)) for target in REPORTED_SUBOPTIMALITIES}
        tables[f"{comparison['name']}: seconds to suboptimality"] = {
            name: _describe(name, comparison, fastlin_seconds) for name in comparison["points"]
        }
        for name, reason in comparison["left_out"].items():
            tables[f"{comparison['name']}: {name}"] = f"excluded: {reason}"
    parameters = {
        "dtype": str(problems[0][0].X.dtype),
        "C": problems[0][0].C,
        "budget": round(max(comparison["budget"] for comparison in comparisons), 1),
        "floor": MIN_SUBOPTIMALITY,
        "threads": count_threads(),
        "processors": os.cpu_count(),
        # Without an installation, fastlin has no metadata.
        "versions": {
            package: fastlin.__version__ if package == "fastlin" else importlib.metadata.version(package)
            for package in packages
        },
        "not_installed": find_missing_packages(),
    }
    return LibraryComparison(parameters, tables, comparisons)


def _describe(name, comparison, fastlin_seconds):
    """Return the table row of a library: the seconds until each suboptimality, a time ratio, and the test accuracy.

    The ratio of the library's time to the time of fastlin has an interval if interleaved repetitions were measured. The
    interval determines whether fastlin is faster, slower or even. If a fit was stopped or failed, the time limit or the
    reason replaces the ratio.
    """
    points, stopping_seconds = comparison["points"][name], comparison["stopped"].get(name)
    row = {target: _find_seconds_to_reach(points, float(target)) for target in REPORTED_SUBOPTIMALITIES}
    ratio, reference, verdict = "–", fastlin_seconds[COMPARED_SUBOPTIMALITY], "–"
    if name in comparison["failed"]:
        ratio = f"failed: {comparison['failed'][name]}"
    elif name in comparison["repetitions"]:
        repetitions = comparison["repetitions"][name]
        low, high = repetitions["interval"]
        ratio = f"{repetitions['ratio']:.3g} ({low:.3g} to {high:.3g})"
        verdict = "faster" if low > 1 else "slower" if high < 1 else "even"
    elif isinstance(reference, float) and isinstance(row[COMPARED_SUBOPTIMALITY], float):
        ratio = row[COMPARED_SUBOPTIMALITY] / reference
    elif stopping_seconds is not None:
        bound = f"≥ {stopping_seconds / reference:.3g} ×, " if isinstance(reference, float) else ""
        ratio = f"{bound}stopped after {stopping_seconds:.3g} s"
    accuracy = points[-1]["accuracy"] if points else "–"
    return {**row, TIME_RATIO_COLUMN: ratio, "fastlin is": verdict, "test accuracy": accuracy}


def _compare_on_problem(problem, test, processes, pool, folder, n_repeats, notify, end):
    """Compare the libraries on one problem until `end`, and return the results as a dict of plain values."""
    begin, sample_problem = perf_counter(), make_sample_problem(problem)
    loading_deadline, curves_deadline, repetitions_deadline = (
        begin + fraction * (end - begin)
        for fraction in (LOADING_DEADLINE_FRACTION, CURVES_DEADLINE_FRACTION, REPETITIONS_DEADLINE_FRACTION)
    )
    # All processes read the same copy of the rows.
    problem_folder = mkdtemp(dir=folder)
    paths = f"{problem_folder}/rows", f"{problem_folder}/sample"
    for path, data in zip(paths, (problem, sample_problem), strict=True):
        joblib.dump(data, path)
    candidates = [_LibraryCandidate(name, *paths, process, repetitions_deadline) for name, process in processes.items()]
    fastlin_candidate = next(candidate for candidate in candidates if candidate.name == "fastlin")
    notify(f"{problem.name}, libraries on a sample")
    left_out = _find_excluded_libraries(pool, candidates, sample_problem, loading_deadline)
    candidates = [candidate for candidate in candidates if candidate.name not in left_out]
    notify(f"{problem.name}, optimum")
    optimum = 0.0
    with suppress(TimeoutError):
        # This fit also loads and compiles the code of fastlin for these rows.
        optimum = fastlin_candidate.call(
            find_optimum, fastlin_candidate.rows, seconds=max(0.0, curves_deadline - perf_counter()) / 2
        )
    budget = max(0.0, curves_deadline - perf_counter()) / len(candidates)
    for effort_index in range(max(len(candidate.library.efforts) for candidate in candidates)):
        # The fits of the libraries are interleaved, because the speed of a machine changes over time.
        for candidate in candidates:
            if candidate.should_measure_next_effort(effort_index, optimum, budget):
                notify(f"{problem.name}, {candidate.name}")
                candidate.measure_next_effort(effort_index, problem, test, n_repeats, budget)
    points = {candidate.name: candidate.points for candidate in candidates}
    objectives = [point["objective"] for curve in points.values() for point in curve]
    optimum = min(objectives + [optimum] * (optimum > 0))
    for curve in points.values():
        for point in curve:
            point["suboptimality"] = (point["objective"] - optimum) / optimum
    notify(f"{problem.name}, repetitions")
    repetitions = dict(_repeat_compared_fits(fastlin_candidate, candidates, repetitions_deadline))
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
        "stopped": {candidate.name: candidate.stopped for candidate in candidates if candidate.stopped is not None},
        "failed": {candidate.name: candidate.failed for candidate in candidates if candidate.failed is not None},
    }


def _find_excluded_libraries(pool, candidates, sample, end):
    """Fit the sample with each candidate, and return a dict from each excluded candidate to the reason.

    The libraries are loaded in parallel. If fastlin itself fails, raise an error.
    """
    groups: dict[Any, list[Any]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.library.package, []).append(candidate)
    sample_fits = pool.map(
        lambda group: [(candidate, candidate.try_sample_fit(end)) for candidate in group], groups.values()
    )
    models = dict(chain.from_iterable(sample_fits))
    fastlin_candidate = next(candidate for candidate in candidates if candidate.name == "fastlin")
    if isinstance(models[fastlin_candidate], Exception):
        raise models[fastlin_candidate]
    optimum, left_out = fastlin_candidate.call(find_optimum, fastlin_candidate.sample), {}
    for candidate, model in models.items():
        if isinstance(model, Exception):
            left_out[candidate.name] = str(model)
            continue
        suboptimality = sample.objective(*model) / optimum - 1
        # This form of the condition also excludes NaN objectives.
        if not abs(suboptimality) <= MAX_SAMPLE_SUBOPTIMALITY:
            rows = f"on a sample of {len(sample.y)} rows"
            left_out[candidate.name] = f"its objective differs from the optimum by {suboptimality:.1e} {rows}"
    if "fastlin" in left_out:
        raise CannotSolveError(left_out["fastlin"])
    return left_out


def _repeat_compared_fits(fastlin_candidate, candidates, end):
    """Yield the name of each baseline and a summary of its time ratios to fastlin in interleaved repetitions.

    In each repetition, every library runs its fastest fit that reaches COMPARED_SUBOPTIMALITY. If not all baselines can
    be repeated until `end`, the slowest baselines are omitted.
    """
    compared_points = {
        candidate: point
        for candidate in candidates
        if (point := candidate.find_fastest_fit(float(COMPARED_SUBOPTIMALITY)))
    }
    if fastlin_candidate not in compared_points:
        return
    total_seconds = {
        candidate: timing.N_REPETITIONS * candidate.estimate_seconds(point)
        for candidate, point in compared_points.items()
    }
    remaining_seconds, compared_candidates = (
        end - perf_counter() - total_seconds.pop(fastlin_candidate),
        [fastlin_candidate],
    )
    for candidate in sorted(total_seconds, key=total_seconds.__getitem__):
        remaining_seconds -= total_seconds[candidate]
        if remaining_seconds > 0:
            compared_candidates.append(candidate)
    repetitions: dict[Any, list[float]] = {candidate: [] for candidate in compared_candidates}
    for _ in range(timing.N_REPETITIONS):
        if len(repetitions) == 1:
            return
        for candidate in list(repetitions):
            point = compared_points[candidate]
            try:
                seconds, _ = candidate.fit(point["effort"], point["threads"], 1, end - perf_counter())
            except CURVE_ENDING_ERRORS:
                if candidate is fastlin_candidate:
                    raise
                del repetitions[candidate]
            else:
                repetitions[candidate].append(median(seconds))
    for candidate, seconds in repetitions.items():
        if candidate is not fastlin_candidate:
            ratios = [
                baseline / fastlin for baseline, fastlin in zip(seconds, repetitions[fastlin_candidate], strict=True)
            ]
            yield candidate.name, timing.summarize_ratios(ratios)


class _LibraryCandidate:
    """A library's solver, its process, the points of its curve, and the time or error that ended the curve."""

    def __init__(self, name, rows, sample, process, end=np.inf):
        self.name, self.library, self.rows, self.sample = name, LIBRARIES[name], rows, sample
        self.points, self.stopped, self.failed, self.spent_seconds = [], None, None, 0.0
        self._process, self._end = process, end
        # A baseline may be faster on one thread, for example if it uses BLAS for small products.
        self._threads = list(dict.fromkeys((count_threads() if name == "fastlin" else 1, count_threads())))

    def call(self, function, *arguments, seconds=None):
        """Call a function with the library and the arguments in the process, and return its result."""
        return self._process.call(function, self.library, *arguments, seconds=seconds)

    def fit_sample(self, seconds):
        """Return the model fitted to the sample. In this fit the process loads and compiles the library's code."""
        effort = self.library.efforts[-1]
        _, model = self.call(solve, self.sample, effort, count_threads(), 1, 0.0, seconds=seconds)
        return model

    def _choose_time_limit(self, seconds):
        """Return the time limit of a call. There is none for fastlin, so that its curve has at least one point."""
        return None if self.name == "fastlin" else max(0.0, seconds)

    def try_sample_fit(self, end):
        """Return the model fitted to the sample, or the error if the fit failed or took too long."""
        try:
            return self.fit_sample(self._choose_time_limit(end - perf_counter()))
        except TimeoutError:
            return TimeoutError("loading exceeded the time allotted to it")
        except CURVE_ENDING_ERRORS as error:
            return error

    def should_measure_next_effort(self, effort_index, optimum, budget):
        """Return whether another effort is necessary and will probably not exceed the budget."""
        if effort_index >= len(self.library.efforts) or self.stopped is not None or self.failed is not None:
            return False
        if not self.points:
            return self.name == "fastlin" or budget > 0
        last = self.points[-1]
        return (
            last["objective"] > optimum * (1 + MIN_SUBOPTIMALITY) and 2 * last["seconds"] <= budget - self.spent_seconds
        )

    def find_fastest_fit(self, suboptimality):
        """Return the fastest point with at most this relative suboptimality, or None if there is none."""
        accurate_points = (point for point in self.points if point["suboptimality"] <= suboptimality)
        return min(accurate_points, key=lambda point: point["seconds"], default=None)

    def fit(self, effort, n_threads, n_repeats, limit):
        """Return the seconds of fits to the rows, and the model. A restarted process loads the library first."""
        if not self._process.has_answered:
            self.fit_sample(self._choose_time_limit(self._end - perf_counter()))
        time_limit, begin = self._choose_time_limit(limit), perf_counter()
        try:
            return self.call(solve, self.rows, effort, n_threads, n_repeats, limit, seconds=time_limit)
        finally:
            sleep(self._find_pause_seconds(n_threads))
            self.spent_seconds += perf_counter() - begin

    def _find_pause_seconds(self, n_threads):
        """Return the seconds to wait after a fit: none for fastlin, whose threads do not spin."""
        return 0.0 if self.name == "fastlin" or n_threads == 1 else PAUSE

    def estimate_seconds(self, point):
        """Return the approximate seconds of one repetition of the fit at a point."""
        return max(point["seconds"], MIN_MEASURED_SECONDS) + self._find_pause_seconds(point["threads"])

    def measure_next_effort(self, effort_index, problem, test, n_repeats, budget):
        """Measure an effort with each number of threads. Add the fastest fit, or record why the curve ends."""
        effort, trials, limits = self.library.efforts[effort_index], [], []
        try:
            for i, n_threads in enumerate(self._threads):
                limits.append(max(0.0, budget - self.spent_seconds) / (len(self._threads) - i))
                try:
                    seconds, model = self.fit(effort, n_threads, n_repeats, limits[-1])
                except TimeoutError:
                    continue
                point = {"effort": effort, "threads": n_threads, "seconds": median(seconds), "fits": len(seconds)}
                scores = {"objective": problem.objective(*model), "accuracy": test.accuracy(*model)}
                trials.append(point | scores)
        except CURVE_ENDING_ERRORS as error:
            if self.name == "fastlin":
                raise
            self.failed = str(error).partition("\n")[0]
            return
        if not trials:
            self.stopped = min(limits)
            return
        best = min(trials, key=lambda point: point["seconds"])
        self.points.append(best)
        # A long fit shows which number of threads is faster. The other number is not measured again.
        if best["seconds"] >= timing.MAX_SHORT_FIT_SECONDS or len(trials) < len(self._threads):
            self._threads = [best["threads"]]


def make_sample_problem(problem: ComparisonProblem) -> ComparisonProblem:
    """Return a ComparisonProblem with the first rows of each class. Its `l2` is the mean square of the features.

    With C = 1, a wrong penalty might change the objective too little to be detected.
    """
    n_rows_per_class = max(N_SAMPLE_ROWS // problem.n_classes, 2)
    rows = np.concatenate([np.flatnonzero(problem.y == k)[:n_rows_per_class] for k in range(problem.n_classes)])
    X = problem.X[rows]
    l2 = float((X.multiply(X) if issparse(X) else X * X).mean(dtype=np.float64))
    return replace(problem, X=X, y=problem.y[rows], C=1 / (l2 * len(rows)))


@lru_cache(maxsize=1)
def _load(path):
    """Return the problem stored in a file, with memory-mapped arrays."""
    return joblib.load(path, mmap_mode="c")


def find_optimum(library: Library, path: str) -> float:
    """Fit the problem in a file in float64 with a small tolerance, and return the objective."""
    problem = _load(path)
    float64_problem = replace(problem, X=problem.X.astype(np.float64, copy=False))
    return problem.objective(*library.solve(float64_problem, REFERENCE_TOL))


def solve(
    library: Library, path: str, effort: float, n_threads: int, n_repeats: int, allowed_seconds: float
) -> tuple[list[float], tuple[FloatArray, ...]]:
    """Fit the problem in a file, and return the seconds of each fit and the model.

    BLAS, OpenMP and the library use `n_threads` threads. A short fit is repeated until there are `n_repeats` fits and
    they take MIN_MEASURED_SECONDS, unless another fit would exceed half of the `allowed_seconds` seconds.
    """
    problem, seconds = _load(path), []
    with timing.use_threads(n_threads):
        while True:
            fit_seconds, model = timing.time_fit(partial(library.solve, problem, effort))
            seconds.append(fit_seconds)
            has_enough_fits = len(seconds) >= n_repeats and sum(seconds) >= MIN_MEASURED_SECONDS
            if (
                has_enough_fits
                or fit_seconds >= timing.MAX_SHORT_FIT_SECONDS
                or sum(seconds) + fit_seconds > allowed_seconds / 2
            ):
                return seconds, model


def _find_seconds_to_reach(points, suboptimality):
    return min((point["seconds"] for point in points if point["suboptimality"] <= suboptimality), default="not reached")
