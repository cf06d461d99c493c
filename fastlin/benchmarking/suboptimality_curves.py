"""Curves of suboptimality vs fit time, one per baseline, with the same rows and the same objective.

Each point of a curve is a fit from scratch, and its time is the total time of this fit. A baseline first fits a small
sample, and then the rows with its first effort. These fits also load and compile the baseline's code, and are not
counted. The baselines of each package run in their own process, so a baseline that is too slow or crashes does not end
the comparison. Finally, interleaved repetitions of the compared fits give confidence intervals.

A problem has a `name` and these methods: `make_sample()` returns a small problem, `find_optimum()` returns the minimum
of the objective, or None if it is unknown, and `measure(solution)` returns a dict with the objective, if there is one,
and held-out scores. `train` is what baselines solve. A baseline has the `package` to which its code belongs, `efforts`
in increasing order of accuracy, and `solve(train, effort)`, which returns a solution.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from functools import lru_cache, partial
from itertools import chain
from math import ceil, inf, isfinite, prod
from statistics import median
from tempfile import TemporaryDirectory, mkdtemp
from time import perf_counter, sleep
from typing import Any

import joblib
import numpy as np
from scipy.sparse import issparse

from fastlin.benchmarking import timing
from fastlin.benchmarking.worker_process import WorkerProcess
from fastlin.kernels.machine.threads import count_threads
from fastlin.typing import Array, IntArray

# A baseline that minimizes the common objective is excluded if the relative difference between its objective on the
# sample and the optimum exceeds this.
MAX_SAMPLE_SUBOPTIMALITY = 1e-4
# Short fits are repeated until their total time reaches this number of seconds, because the medians of the points of a
# curve are compared with one another.
MIN_POINT_SECONDS = 0.1
# A curve ends at the first point with at most this relative suboptimality, which is considered optimal.
MIN_SUBOPTIMALITY = 1e-10
# Seconds of a comparison by default, and seconds that suffice for many fits of every library on MNIST.
DEFAULT_COMPARISON_SECONDS, LONG_COMPARISON_SECONDS = 60.0, 900.0
# The number of rows of the sample.
N_SAMPLE_ROWS = 300
# The maximum number of seconds in which a baseline must load its code and fit a small sample.
MAX_LOADING_SECONDS = 120.0
# The minimum of the limit of a first fit to the rows, which compiles code that the sample does not need, and of the fit
# that finds the optimum.
MAX_WARM_UP_SECONDS = 20.0
# Fractions of a problem's seconds at which the curves and the repetitions must end.
CURVES_DEADLINE_FRACTION, REPETITIONS_DEADLINE_FRACTION = 0.75, 0.95
# The approximate number of entries of the rows that are checked for changes after each fit.
MAX_HASHED_ENTRIES = 5_000_000
# The seconds until each of these relative suboptimalities are reported.
REPORTED_SUBOPTIMALITIES = ("1e-2", "1e-4", "1e-6")
# The relative suboptimality at which times are compared with the time of the reference.
COMPARED_SUBOPTIMALITY = "1e-4"
# The entry of a table for a suboptimality that no fit reached.
NOT_REACHED = "–"
# What the reference is if the time of another baseline is longer, shorter or even.
REFERENCE_VERDICTS = {"longer": "faster", "shorter": "slower", "even": "even"}


class CannotSolveError(RuntimeError):
    """A baseline cannot solve a problem. The message gives the reason."""


# Errors that end the curve of a baseline but not the comparison.
CURVE_ENDING_ERRORS = CannotSolveError, ChildProcessError, TimeoutError


def measure_curves(
    problems: Sequence[Any],
    baselines: Mapping[str, Any],
    reference: str,
    seconds: float = DEFAULT_COMPARISON_SECONDS,
    n_repeats: int = timing.N_REPEATS,
    notify: Callable[[str], object] | None = None,
    is_reference_required: bool = False,
) -> list[dict[str, Any]]:
    """Return the curve of each baseline on each problem, and repetitions of the compared fits, as plain values.

    `seconds` is the time of all problems after the baselines are loaded. A fit is stopped if it exceeds the fraction of
    this time that its baseline may use. A short fit is repeated until there are `n_repeats` fits. `notify` is called
    with the current step. If `is_reference_required` and the reference is excluded, a CannotSolveError is raised.
    """
    notify = notify or _ignore_step
    packages = dict.fromkeys(baseline.package for baseline in baselines.values())
    with ExitStack() as stack:
        # The processes must end before the files that they read are removed. After an interrupt, they must also end
        # before the threads that wait for them.
        folder = stack.enter_context(TemporaryDirectory())
        pool = stack.enter_context(ThreadPoolExecutor(count_threads()))
        processes = {package: stack.enter_context(closing(WorkerProcess())) for package in packages}
        return [
            _measure_problem(
                problem,
                baselines,
                reference,
                processes,
                pool,
                folder,
                n_repeats,
                notify,
                seconds / len(problems),
                is_reference_required,
            )
            for problem in problems
        ]


def _ignore_step(step):
    """Do nothing with a description of the current step."""


def _measure_problem(problem, baselines, reference, processes, pool, folder, n_repeats, notify, seconds, is_required):
    """Compare the baselines on one problem, and return the results as a dict of plain values."""
    sample = problem.make_sample()
    # All processes read the same copy of the rows.
    problem_folder = mkdtemp(dir=folder)
    paths = f"{problem_folder}/rows", f"{problem_folder}/sample"
    for path, data in zip(paths, (problem, sample), strict=True):
        joblib.dump(data, path)
    candidates = {
        name: _Candidate(name, baseline, *paths, processes[baseline.package], name == reference)
        for name, baseline in baselines.items()
    }
    notify(f"{problem.name}, baselines on a sample")
    reference_process = processes[baselines[reference].package]
    left_out = _find_excluded_baselines(pool, list(candidates.values()), reference_process)
    if is_required and reference in left_out:
        raise CannotSolveError(left_out[reference])
    candidates = {name: candidate for name, candidate in candidates.items() if name not in left_out}
    notify(f"{problem.name}, optimum")
    known_optimum = None
    with suppress(ChildProcessError, TimeoutError):
        known_optimum = reference_process.call(find_optimum, paths[0], seconds=max(seconds, MAX_WARM_UP_SECONDS))
    for name, candidate in candidates.items():
        notify(f"{problem.name}, {name}, first fit")
        candidate.warm_up(max(seconds / len(candidates), MAX_WARM_UP_SECONDS))
    begin = perf_counter()
    curves_deadline, repetitions_deadline = (
        begin + fraction * seconds for fraction in (CURVES_DEADLINE_FRACTION, REPETITIONS_DEADLINE_FRACTION)
    )
    budget = max(0.0, curves_deadline - perf_counter()) / max(1, len(candidates))
    for effort_index in range(max((len(candidate.baseline.efforts) for candidate in candidates.values()), default=0)):
        # The fits of the baselines are interleaved, because the speed of a machine changes over time.
        for name, candidate in candidates.items():
            if candidate.should_measure_next_effort(effort_index, known_optimum, budget, curves_deadline):
                notify(f"{problem.name}, {name}")
                candidate.measure_next_effort(effort_index, n_repeats, budget, curves_deadline)
    points = {name: candidate.points for name, candidate in candidates.items()}
    objectives = [point["objective"] for curve in points.values() for point in curve if "objective" in point]
    optimum = known_optimum
    if objectives:
        optimum = min(objectives if optimum is None else [*objectives, optimum])
        for curve in points.values():
            for point in curve:
                point["suboptimality"] = (point["objective"] - optimum) / (abs(optimum) or 1.0)
    notify(f"{problem.name}, repetitions")
    curve_seconds = perf_counter() - begin
    repetitions = dict(_repeat_compared_fits(candidates.get(reference), candidates.values(), repetitions_deadline))
    needed_seconds = (
        _estimate_needed_seconds(candidates.values(), seconds, budget),
        _estimate_seconds_for_repetitions(candidates, reference, repetitions, curve_seconds),
    )
    return {
        **problem.describe(),
        "name": problem.name,
        "reference": reference,
        "optimum": optimum,
        "budget": budget,
        "points": points,
        "repetitions": repetitions,
        "left_out": left_out,
        "compared_seconds": {
            name: point["seconds"]
            for name, candidate in candidates.items()
            if (point := candidate.find_compared_point()) is not None
        },
        "needed_seconds": max((each for each in needed_seconds if each is not None), default=None),
        "cut_off": {
            name: f"{len(candidate.points)} of {len(candidate.baseline.efforts)}"
            for name, candidate in candidates.items()
            if candidate.is_cut_off(known_optimum)
        },
        "stopped": {name: candidate.stopped for name, candidate in candidates.items() if candidate.stopped is not None},
        "failed": {name: candidate.failed for name, candidate in candidates.items() if candidate.failed is not None},
    }


def _estimate_needed_seconds(candidates, seconds, budget):
    """Return a time in which each baseline that had too little time can make another fit, or None if there is none."""
    budgets = [next_budget for candidate in candidates if (next_budget := candidate.estimate_next_budget(budget))]
    return ceil(seconds * max(budgets) / max(budget, MIN_POINT_SECONDS)) if budgets else None


def _estimate_seconds_for_repetitions(candidates, reference, repetitions, curve_seconds):
    """Return a time that suffices for the repetitions of all compared fits, or None if no repetitions are missing."""
    seconds = {
        name: timing.N_REPETITIONS * candidate.estimate_seconds(point)
        for name, candidate in candidates.items()
        if candidate.failed is None and (point := candidate.find_compared_point()) is not None
    }
    if reference not in seconds or seconds.keys() <= {reference, *repetitions}:
        return None
    return ceil((curve_seconds + sum(seconds.values())) / REPETITIONS_DEADLINE_FRACTION)


def _find_excluded_baselines(pool, candidates, reference_process):
    """Fit the sample with each candidate, and return a dict from the name of each excluded baseline to the reason.

    The baselines of different packages are loaded in parallel.
    """
    groups: dict[Any, list[Any]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.baseline.package, []).append(candidate)
    sample_fits = pool.map(
        lambda group: [(candidate, candidate.try_sample_fit()) for candidate in group], groups.values()
    )
    measures, left_out = dict(chain.from_iterable(sample_fits)), {}
    # This call also loads the code that computes the minimum.
    optimum = reference_process.call(find_optimum, candidates[0].sample)
    for candidate, measure in measures.items():
        if isinstance(measure, Exception):
            left_out[candidate.name] = str(measure).partition("\n")[0]
        elif optimum is not None and candidate.baseline.minimizes_objective:
            suboptimality = measure["objective"] / optimum - 1
            # This form of the condition also excludes NaN objectives.
            if not abs(suboptimality) <= MAX_SAMPLE_SUBOPTIMALITY:
                left_out[candidate.name] = f"its objective differs from the optimum by {suboptimality:.1e} on a sample"
    return left_out


def _repeat_compared_fits(reference, candidates, end):
    """Yield the name of each baseline and a summary of its time ratios to the reference in interleaved repetitions.

    In each repetition, every baseline runs its compared fit. If not all baselines can be repeated until `end`, the
    slowest baselines are omitted.
    """
    compared_points = {
        candidate: point for candidate in candidates if (point := candidate.find_compared_point()) is not None
    }
    if reference not in compared_points:
        return
    total_seconds = {
        candidate: timing.N_REPETITIONS * candidate.estimate_seconds(point)
        for candidate, point in compared_points.items()
    }
    remaining_seconds, compared_candidates = end - perf_counter() - total_seconds.pop(reference), [reference]
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
                seconds, _ = candidate.fit(point["effort_index"], point["threads"], 1, inf, end)
            except CURVE_ENDING_ERRORS:
                if candidate is reference:
                    return
                del repetitions[candidate]
            else:
                repetitions[candidate].append(median(seconds))
    for candidate, seconds in repetitions.items():
        if candidate is not reference:
            ratios = [ours / theirs for ours, theirs in zip(seconds, repetitions[reference], strict=True)]
            yield candidate.name, timing.summarize_ratios(ratios)


class _Candidate:
    """A baseline, its process, the points of its curve, and the time or error that ended the curve."""

    def __init__(self, name, baseline, rows, sample, process, is_reference=False):
        self.name, self.baseline, self.rows, self.sample = name, baseline, rows, sample
        self.points, self.stopped, self.failed, self.spent_seconds = [], None, None, 0.0
        self._process, self._is_reference = process, is_reference
        # Such a library uses one thread if that is faster, and its threads do not spin.
        self._chooses_threads = baseline.chooses_threads
        # Other libraries may be faster on one thread, for example if they use BLAS for small products.
        self._threads = list(dict.fromkeys((count_threads() if self._chooses_threads else 1, count_threads())))

    def fit_sample(self):
        """Return the measures of a fit to the sample. In this fit the process loads and compiles the code."""
        return self._fit_once(self.sample, self.baseline.efforts[-1], MAX_LOADING_SECONDS)

    def _fit_once(self, path, effort, limit):
        """Return the measures of one fit on all threads, whose time is not counted."""
        _, measures = self._process.call(solve, self.baseline, path, effort, count_threads(), 1, 0.0, seconds=limit)
        return measures

    def try_sample_fit(self):
        """Return the measures of a fit to the sample, or the error if the fit failed or took too long."""
        try:
            return self.fit_sample()
        except TimeoutError:
            return TimeoutError(f"loading and a fit to a small sample took more than {MAX_LOADING_SECONDS:g} s")
        except CURVE_ENDING_ERRORS as error:
            return error

    def warm_up(self, limit):
        """Fit the rows with the first effort. The time is not counted, and a failure recurs in the measured fit."""
        with suppress(*CURVE_ENDING_ERRORS):
            self._fit_once(self.rows, self.baseline.efforts[0], limit)

    def should_measure_next_effort(self, effort_index, optimum, budget, deadline):
        """Return whether another effort is necessary and will probably not exceed the budget and the deadline."""
        if effort_index >= len(self.baseline.efforts) or self.stopped is not None or self.failed is not None:
            return False
        remaining_seconds = self._find_remaining_seconds(budget, deadline)
        if not self.points:
            return self._is_reference or remaining_seconds > MIN_POINT_SECONDS
        return not self._is_optimal(optimum) and 2 * self.points[-1]["seconds"] <= remaining_seconds

    def _find_remaining_seconds(self, budget, deadline):
        """Return the seconds that fits of this baseline may still take.

        A baseline that was stopped restarts the process of its package, and its loading delays the others.
        """
        return max(0.0, min(budget - self.spent_seconds, deadline - perf_counter()))

    def _is_optimal(self, optimum):
        """Return whether the last point reaches the optimum, if it is known."""
        return optimum is not None and self.points[-1]["objective"] <= optimum + MIN_SUBOPTIMALITY * abs(optimum)

    def is_cut_off(self, optimum):
        """Return whether the time was too short for the efforts after the last point."""
        if not self.points or self.stopped is not None or self.failed is not None:
            return False
        return len(self.points) < len(self.baseline.efforts) and not self._is_optimal(optimum)

    def estimate_next_budget(self, budget):
        """Return a larger budget, which allows the next effort or the fit that was stopped; None if none is missing."""
        has_all_efforts = len(self.points) == len(self.baseline.efforts)
        if self.failed is not None or has_all_efforts or self.find_compared_point() is not None:
            return None
        last_seconds = max([point["seconds"] for point in self.points[-1:]] + [self.stopped or MIN_POINT_SECONDS])
        return max(budget, self.spent_seconds) + 2 * len(self._threads) * last_seconds

    def find_compared_point(self):
        """Return the fastest point within COMPARED_SUBOPTIMALITY (without an objective, of the last effort) or None."""
        if self.points and "suboptimality" not in self.points[-1]:
            is_last_effort = self.points[-1]["effort_index"] == len(self.baseline.efforts) - 1
            return self.points[-1] if is_last_effort else None
        limit = float(COMPARED_SUBOPTIMALITY)
        accurate_points = (point for point in self.points if point["suboptimality"] <= limit)
        return min(accurate_points, key=lambda point: point["seconds"], default=None)

    def fit(self, effort_index, n_threads, n_repeats, limit, deadline):
        """Return the seconds of fits to the rows, and their measures. A restarted process loads the code first."""
        if not self._process.has_answered:
            self.fit_sample()
        begin = perf_counter()
        limit = min(limit, deadline - begin)
        if limit <= 0:
            raise TimeoutError("no time is left")
        arguments = self.baseline, self.rows, self.baseline.efforts[effort_index], n_threads, n_repeats, limit
        try:
            return self._process.call(solve, *arguments, seconds=limit)
        finally:
            sleep(self._find_pause_seconds(n_threads))
            self.spent_seconds += perf_counter() - begin

    def _find_pause_seconds(self, n_threads):
        """Return the seconds to wait after a fit."""
        return 0.0 if self._chooses_threads or n_threads == 1 else timing.PAUSE_SECONDS

    def estimate_seconds(self, point):
        """Return the approximate seconds of one repetition of the fit at a point."""
        return max(point["seconds"], MIN_POINT_SECONDS) + self._find_pause_seconds(point["threads"])

    def measure_next_effort(self, effort_index, n_repeats, budget, deadline):
        """Measure an effort with each number of threads. Add the fastest fit, or record why the curve ends.

        The first fit of the reference may use all of the time until `deadline`.
        """
        effort, trials, limits = self.baseline.efforts[effort_index], [], []
        try:
            for i, n_threads in enumerate(self._threads):
                limit = self._find_remaining_seconds(budget, deadline) / (len(self._threads) - i)
                if self._is_reference and not self.points:
                    limit = max(limit, deadline - perf_counter())
                limits.append(limit)
                try:
                    seconds, measures = self.fit(effort_index, n_threads, n_repeats, limit, deadline)
                except TimeoutError:
                    continue
                point = {
                    "effort": effort if isinstance(effort, int | float) else str(effort),
                    "effort_index": effort_index,
                    "threads": n_threads,
                    "seconds": median(seconds),
                    "fits": len(seconds),
                }
                trials.append(point | measures)
        except CURVE_ENDING_ERRORS as error:
            self.failed = str(error).partition("\n")[0]
            return
        if not trials:
            self.stopped = limits[0]
            return
        best = min(trials, key=lambda point: point["seconds"])
        self.points.append(best)
        # A long fit shows which number of threads is faster. The other number is not measured again.
        if best["seconds"] >= timing.MAX_SHORT_FIT_SECONDS or len(trials) < len(self._threads):
            self._threads = [best["threads"]]


@lru_cache(maxsize=1)
def _load(path):
    """Return the problem stored in a file, with memory-mapped arrays."""
    return joblib.load(path, mmap_mode="c")


def find_optimum(path: str) -> float | None:
    """Return the minimum of the objective of the problem in a file, or None if it is unknown."""
    try:
        optimum = _load(path).find_optimum()
    except Exception as error:
        # Other exceptions might be impossible to send to the parent process.
        raise CannotSolveError(f"The minimum cannot be computed: {type(error).__name__}: {error}") from error
    return None if optimum is None else float(optimum)


def sample_classes(labels: Array) -> IntArray:
    """Return the ascending indices of the first rows of each class, at least two and about N_SAMPLE_ROWS in total."""
    _, codes = np.unique(labels, return_inverse=True)
    class_sizes = np.bincount(codes)
    n_rows_per_class = max(2, N_SAMPLE_ROWS // len(class_sizes))
    order = np.argsort(codes, kind="stable")
    positions_in_class = np.arange(len(codes)) - np.repeat(np.cumsum(class_sizes) - class_sizes, class_sizes)
    return np.sort(order[positions_in_class < n_rows_per_class])


def solve(
    baseline: Any, path: str, effort: Any, n_threads: int, n_repeats: int, allowed_seconds: float
) -> tuple[list[float], dict[str, float]]:
    """Fit the problem in a file, and return the seconds of each fit, and the measures of the last one.

    BLAS, OpenMP and the baseline use `n_threads` threads. A short fit is repeated until there are `n_repeats` fits and
    they take MIN_POINT_SECONDS, unless another fit would exceed half of the `allowed_seconds` seconds.
    """
    try:
        problem = _load(path)
        before = _hash_rows(problem)
        with timing.use_threads(n_threads):
            seconds, solution = timing.time_fit(
                partial(baseline.solve, problem.train, effort), n_repeats, MIN_POINT_SECONDS, allowed_seconds / 2
            )
        is_changed = _hash_rows(problem) != before
    except CannotSolveError:
        raise
    except Exception as error:
        raise CannotSolveError(f"{type(error).__name__}: {error}") from error
    if is_changed:
        _load.cache_clear()
        raise CannotSolveError("it modifies X or y")
    try:
        measures: dict[str, float] = problem.measure(solution)
    except Exception as error:
        raise CannotSolveError(f"its solution cannot be measured: {type(error).__name__}: {error}") from error
    if not isfinite(measures.get("objective", 0.0)):
        raise CannotSolveError(f"its objective is {measures['objective']}")
    return seconds, measures


def _hash_rows(problem):
    """Return a hash of the targets and of evenly spaced rows, with about MAX_HASHED_ENTRIES entries.

    In a sparse matrix the entries are evenly spaced instead. SciPy's containers store results of checks as attributes,
    so only their entries are hashed.
    """
    X, y = problem.train.X, problem.train.y
    step = -(-(X.nnz if issparse(X) else prod(X.shape)) // MAX_HASHED_ENTRIES) or 1
    entries = (X.data[::step], X.indices[::step], X.indptr) if issparse(X) else np.asarray(X[::step])
    return joblib.hash((entries, np.asarray(y)))


def summarize_curves(comparison: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a row per baseline of a result of `measure_curves`.

    The columns are the seconds until each of REPORTED_SUBOPTIMALITIES, the ratio of the time to that of the reference,
    and a verdict. If the compared fits were repeated, the ratio has an interval, which determines whether the reference
    is faster, slower or even. A value that was not reached is "–"; `explain_missing_ratios` gives the reasons.
    """
    reference_seconds = _find_reference_seconds(comparison)
    return {name: _summarize_curve(name, comparison, reference_seconds) for name in comparison["points"]}


def _find_reference_seconds(comparison):
    return _find_seconds_to_reach(comparison["points"].get(comparison["reference"], []), COMPARED_SUBOPTIMALITY)


def _summarize_curve(name, comparison, reference_seconds):
    points = comparison["points"][name]
    seconds = {target: _find_seconds_to_reach(points, target) for target in REPORTED_SUBOPTIMALITIES}
    ratio, verdict = NOT_REACHED, NOT_REACHED
    if name in comparison["repetitions"] and name not in comparison["failed"]:
        repetitions = comparison["repetitions"][name]
        low, high = repetitions["interval"]
        ratio = f"{repetitions['ratio']:.3g} ({low:.3g} to {high:.3g})"
        verdict = REFERENCE_VERDICTS[timing.classify_interval((low, high))]
    elif NOT_REACHED not in (reference_seconds, seconds[COMPARED_SUBOPTIMALITY]):
        ratio = seconds[COMPARED_SUBOPTIMALITY] / reference_seconds
    return {**seconds, f"time / {comparison['reference']}'s": ratio, f"{comparison['reference']} is": verdict}


def explain_missing_ratios(comparison: Mapping[str, Any]) -> dict[str, str]:
    """Return, for each baseline that was excluded, failed or ran out of time, what happened to it."""
    reasons = {name: f"excluded: {reason}" for name, reason in comparison["left_out"].items()}
    reasons |= {name: f"failed: {reason}" for name, reason in comparison["failed"].items()}
    reference, reference_seconds = comparison["reference"], _find_reference_seconds(comparison)
    for name, points in comparison["points"].items():
        if name in reasons or _find_seconds_to_reach(points, COMPARED_SUBOPTIMALITY) != NOT_REACHED:
            continue
        if name in comparison["cut_off"]:
            reasons[name] = f"time over after effort {comparison['cut_off'][name]}"
        elif name in comparison["stopped"]:
            seconds = comparison["stopped"][name]
            ratio = (
                ""
                if reference_seconds == NOT_REACHED
                else f", ≥ {seconds / reference_seconds:.3g} × {reference}'s time"
            )
            reasons[name] = f"stopped after {seconds:.3g} s{ratio}"
        elif not points:
            reasons[name] = "no time was left for a fit"
        else:
            reasons[name] = f"did not reach {COMPARED_SUBOPTIMALITY} with its last effort"
    return reasons


def summarize_scores(comparison: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a row per baseline: the held-out scores of its last fit."""
    return {
        name: {score: points[-1].get(score, NOT_REACHED) if points else NOT_REACHED for score in comparison["scores"]}
        for name, points in comparison["points"].items()
    }


def _find_seconds_to_reach(points, suboptimality):
    limit = float(suboptimality)
    return min((point["seconds"] for point in points if point.get("suboptimality", 0.0) <= limit), default=NOT_REACHED)
