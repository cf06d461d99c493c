"""Curves of suboptimality vs fit time, one per baseline, with the same rows and the same objective.

Each point of a curve is a fit from scratch, and its time is the total time of this fit. A baseline first fits a small
sample, and then the rows with its first effort. These fits also load and compile the baseline's code, and are not
counted. The baselines of each package run in their own process, so a baseline that is too slow or crashes does not end
the comparison. Finally, `repetitions` of the compared fits give confidence intervals.

A problem has a `name` and these methods: `make_sample()` returns a small problem, `find_optimum()` returns the minimum
of the objective, or None if it is unknown, and `measure(solution)` returns a dict with the objective, if there is one,
and held-out scores. `train` is what baselines solve. A baseline has the `package` to which its code belongs, `efforts`
in increasing order of accuracy, and `solve(train, effort)`, which returns a solution.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from itertools import chain
from math import ceil
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import joblib
import numpy as np

from fastlin.benchmarking import repetitions, timing
from fastlin.benchmarking.candidate import (
    CURVE_ENDING_ERRORS,
    MAX_LOADING_SECONDS,
    MIN_POINT_SECONDS,
    Candidate,
    CannotSolveError,
    find_optimum,
)
from fastlin.benchmarking.worker_process import WorkerProcess
from fastlin.kernels.machine.threads import count_threads
from fastlin.typing import Array, IntArray

# A baseline that minimizes the common objective is excluded if the relative difference between its objective on the
# sample and the optimum exceeds this.
MAX_SAMPLE_SUBOPTIMALITY = 1e-4
# Seconds of a comparison by default, and seconds that suffice for many fits of every library on MNIST.
DEFAULT_COMPARISON_SECONDS, LONG_COMPARISON_SECONDS = 60.0, 900.0
# The number of rows of the sample.
N_SAMPLE_ROWS = 300
# The minimum of the limit of a first fit to the rows, which compiles code that the sample does not need, and of the fit
# that finds the optimum.
MAX_WARM_UP_SECONDS = 20.0
# A fit with a medium effort may take this many times as long as one with the first effort. In the estimate of the time
# of a comparison, no baseline takes more than this many times as long as the reference.
MAX_EFFORT_RATIO, MAX_REPEATED_RATIO = 20.0, 10.0
# Fractions of a problem's seconds at which the curves and the repetitions must end.
CURVES_DEADLINE_FRACTION, REPETITIONS_DEADLINE_FRACTION = 0.75, 0.95


def sample_classes(labels: Array) -> IntArray:
    """Return the ascending indices of the first rows of each class, at least two and about N_SAMPLE_ROWS in total."""
    _, codes = np.unique(labels, return_inverse=True)
    class_sizes = np.bincount(codes)
    n_rows_per_class = max(2, N_SAMPLE_ROWS // len(class_sizes))
    order = np.argsort(codes, kind="stable")
    positions_in_class = np.arange(len(codes)) - np.repeat(np.cumsum(class_sizes) - class_sizes, class_sizes)
    return np.sort(order[positions_in_class < n_rows_per_class])


def measure_curves(
    problems: Sequence[Any],
    baselines: Mapping[str, Any],
    reference: str,
    seconds: float = DEFAULT_COMPARISON_SECONDS,
    n_repeats: int = timing.N_REPEATS,
    notify: Callable[[str], object] | None = None,
    announce: Callable[[str], object] | None = None,
    is_reference_required: bool = False,
) -> list[dict[str, Any]]:
    """Return the curve of each baseline on each problem, and repetitions of the compared fits, as plain values.

    `seconds` is the time of all problems after the baselines are loaded. A fit is stopped if it exceeds the fraction of
    this time that its baseline may use. A short fit is repeated until there are `n_repeats` fits. `notify` is called
    with the current step, and `announce` with the approximate time that intervals require. If `is_reference_required`
    and the reference is excluded, a CannotSolveError is raised.
    """
    notify = notify or _ignore_step
    announce = announce or notify
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
                announce,
                seconds / len(problems),
                is_reference_required,
            )
            for problem in problems
        ]


def _ignore_step(step):
    """Do nothing with a description of the current step."""


def _measure_problem(
    problem, baselines, reference, processes, pool, folder, n_repeats, notify, announce, seconds, is_required
):
    """Compare the baselines on one problem, and return the results as a dict of plain values."""
    sample = problem.make_sample()
    # All processes read the same copy of the rows.
    problem_folder = mkdtemp(dir=folder)
    paths = f"{problem_folder}/rows", f"{problem_folder}/sample"
    for path, data in zip(paths, (problem, sample), strict=True):
        joblib.dump(data, path)
    stopwatch = timing.Stopwatch()
    candidates = {
        name: Candidate(name, baseline, *paths, processes[baseline.package], stopwatch, name == reference)
        for name, baseline in baselines.items()
    }
    notify(f"{problem.name}, baselines on a sample")
    reference_process = processes[baselines[reference].package]
    left_out = _find_excluded_baselines(pool, list(candidates.values()), reference_process)
    if is_required and reference in left_out:
        raise CannotSolveError(left_out[reference])
    candidates = {name: candidate for name, candidate in candidates.items() if name not in left_out}
    notify(f"{problem.name}, optimum")
    known_optimum, unknown_optimum = _find_optimum(reference_process, paths[0], max(seconds, MAX_WARM_UP_SECONDS))
    fit_seconds = {}
    for name, candidate in candidates.items():
        notify(f"{problem.name}, {name}, first fits")
        fit_seconds[candidate] = _warm_up(candidate, seconds / len(candidates))
    fit_seconds = {candidate: each for candidate, each in fit_seconds.items() if each is not None}
    if len(fit_seconds) > 1:
        required_seconds = _estimate_required_seconds(fit_seconds, candidates.get(reference))
        announce(
            f"{problem.name}: a comparison with intervals takes about {required_seconds} s for this problem, without "
            f"loading; {seconds:.3g} s are available."
        )
    begin = stopwatch.read()
    curves_deadline, repetitions_deadline = (
        begin + fraction * seconds for fraction in (CURVES_DEADLINE_FRACTION, REPETITIONS_DEADLINE_FRACTION)
    )
    budget = CURVES_DEADLINE_FRACTION * seconds / max(1, len(candidates))
    for effort_index in range(max((len(candidate.baseline.efforts) for candidate in candidates.values()), default=0)):
        # The fits of the baselines are interleaved, because the speed of a machine changes over time.
        for name, candidate in candidates.items():
            if candidate.should_measure_next_effort(effort_index, known_optimum, budget, curves_deadline):
                notify(f"{problem.name}, {name}")
                candidate.measure_next_effort(effort_index, n_repeats, budget, curves_deadline)
    if known_optimum is not None:
        for candidate in candidates.values():
            candidate.fail_below(known_optimum)
    points = {name: candidate.points for name, candidate in candidates.items()}
    objectives = [point["objective"] for curve in points.values() for point in curve if "objective" in point]
    optimum = known_optimum
    if objectives:
        if optimum is None and unknown_optimum is None:
            unknown_optimum = "the objective has no find_minimum"
        optimum = min(objectives if optimum is None else [*objectives, optimum])
        for curve in points.values():
            for point in curve:
                point["suboptimality"] = (point["objective"] - optimum) / (abs(optimum) or 1.0)
    notify(f"{problem.name}, repetitions")
    curve_seconds = stopwatch.read() - begin
    compared = repetitions.find_compared_points(candidates.values())
    planned_seconds, summaries = 0.0, {}
    if candidates.get(reference) in compared:
        planned_seconds = sum(repetitions.estimate_seconds(candidates[reference], compared).values())
        available_seconds = repetitions_deadline - stopwatch.read()
        if planned_seconds <= available_seconds:
            # This matters only if the repetitions take longer than planned, for example because the machine is busy.
            planned_seconds = 2 * available_seconds
        summaries = repetitions.repeat_compared_fits(
            candidates[reference], compared, repetitions_deadline, partial(_restart, pool, notify, problem.name)
        )
    compared_seconds = {
        candidate.name: point["seconds"] for candidate, point in compared.items() if not candidate.is_repetition_failed
    }
    failed = {name: candidate.failed for name, candidate in candidates.items() if candidate.failed is not None}
    needed_seconds = [_estimate_needed_seconds(candidates.values(), seconds, budget)]
    if planned_seconds and reference in compared_seconds and compared_seconds.keys() - {reference} - summaries.keys():
        needed_seconds.append(ceil((curve_seconds + planned_seconds) / REPETITIONS_DEADLINE_FRACTION))
    return {
        **problem.describe(),
        "name": problem.name,
        "reference": reference,
        "optimum": optimum,
        "unknown_optimum": unknown_optimum,
        "budget": budget,
        "points": points,
        "repetitions": summaries,
        "left_out": left_out,
        "compared_seconds": compared_seconds,
        "needed_seconds": max((each for each in needed_seconds if each is not None), default=None),
        "cut_off": {
            name: f"{len(candidate.points)} of {len(candidate.baseline.efforts)}"
            for name, candidate in candidates.items()
            if candidate.is_cut_off(known_optimum)
        },
        "stopped": {name: candidate.stopped for name, candidate in candidates.items() if candidate.stopped is not None},
        "failed": failed,
    }


def find_needed_seconds(comparisons: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the seconds of all problems in which more fits are possible, or None if the time sufficed.

    `comparisons` contains the results of `measure_curves`, which gives each problem the same time.
    """
    needed_seconds = [each["needed_seconds"] for each in comparisons if each["needed_seconds"] is not None]
    return len(comparisons) * max(needed_seconds) if needed_seconds else None


def _estimate_needed_seconds(candidates, seconds, budget):
    """Return a time in which each baseline that had too little time can make another fit, or None if there is none."""
    budgets = [next_budget for candidate in candidates if (next_budget := candidate.estimate_next_budget(budget))]
    return ceil(seconds * max(budgets) / max(budget, MIN_POINT_SECONDS)) if budgets else None


def _find_excluded_baselines(pool, candidates, reference_process):
    """Fit the sample with each candidate, and return a dict from the name of each excluded baseline to the reason."""
    measures, left_out = _fit_samples(pool, candidates), {}
    # This call also loads the code that computes the minimum.
    optimum, reason = _find_optimum(reference_process, candidates[0].sample, MAX_LOADING_SECONDS)
    optimum_name = "the optimum" if reason is None else "the lowest one"
    if reason is not None:
        # As for the rows, the lowest objective replaces an unknown minimum.
        comparable = [measures[each] for each in candidates if each.baseline.minimizes_objective]
        objectives = [measure["objective"] for measure in comparable if not isinstance(measure, Exception)]
        optimum = min(objectives, default=None)
    for candidate, measure in measures.items():
        if isinstance(measure, Exception):
            left_out[candidate.name] = str(measure).partition("\n")[0]
        elif optimum is not None and candidate.baseline.minimizes_objective:
            suboptimality = measure["objective"] / optimum - 1
            # This form of the condition also excludes NaN objectives.
            if not abs(suboptimality) <= MAX_SAMPLE_SUBOPTIMALITY:
                left_out[candidate.name] = (
                    f"its objective differs from {optimum_name} by {suboptimality:.1e} on a sample"
                )
    return left_out


def _find_optimum(process, path, limit):
    """Return the minimum of the objective of a problem in a file, or None, and the reason if it cannot be computed."""
    try:
        return process.call(find_optimum, path, seconds=limit), None
    except CURVE_ENDING_ERRORS as error:
        return None, str(error).partition("\n")[0]


def _warm_up(candidate, share):
    """Fit the rows with the first effort and, if a share of the time probably allows it, with a medium one.

    Return the seconds of the last fit, or None if the first fit failed.
    """
    seconds = candidate.warm_up(0, max(share, MAX_WARM_UP_SECONDS))
    if seconds is not None and MAX_EFFORT_RATIO * seconds > share:
        # The first fit may have compiled code.
        seconds = min(seconds, candidate.warm_up(0, share) or seconds)
    if seconds is None or MAX_EFFORT_RATIO * seconds > share:
        return seconds
    return candidate.warm_up((len(candidate.baseline.efforts) - 1) // 2, share) or share


def _estimate_required_seconds(fit_seconds, reference):
    """Return approximate seconds of a comparison with intervals, given the seconds of fits with a medium effort."""
    if reference not in fit_seconds:
        reference = min(fit_seconds, key=lambda candidate: fit_seconds[candidate])
    # A bound of the time suffices for a much slower baseline.
    max_seconds = MAX_REPEATED_RATIO * fit_seconds[reference]
    points = {
        candidate: {"effort_index": -1, "seconds": min(seconds, max_seconds), "threads": candidate.thread_counts[-1]}
        for candidate, seconds in fit_seconds.items()
    }
    # About half of the efforts suffice for the compared suboptimality.
    curves = [
        ceil(len(candidate.baseline.efforts) / 2)
        * sum(candidate.estimate_seconds(point, n_threads) for n_threads in candidate.thread_counts)
        for candidate, point in points.items()
    ]
    repeated = sum(repetitions.estimate_seconds(reference, points).values())
    return ceil(
        max(
            len(curves) * max(curves) / CURVES_DEADLINE_FRACTION,
            (sum(curves) + repeated) / REPETITIONS_DEADLINE_FRACTION,
        )
    )


def _fit_samples(pool, candidates):
    """Return a dict from each candidate to the measures of a fit to the sample, or to its error.

    The baselines of different packages are loaded in parallel.
    """
    groups: dict[Any, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.baseline.package, []).append(candidate)
    sample_fits = pool.map(
        lambda group: [(candidate, candidate.try_sample_fit()) for candidate in group], groups.values()
    )
    return dict(chain.from_iterable(sample_fits))


def _restart(pool, notify, problem_name, points):
    """Start new processes of the candidates, and fit the rows as at their points."""
    notify(f"{problem_name}, repetitions in new processes")
    for candidate in points:
        candidate.process.stop()
    _fit_samples(pool, points)
    for candidate, point in points.items():
        candidate.warm_up(point["effort_index"], MAX_LOADING_SECONDS)
