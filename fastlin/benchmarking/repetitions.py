"""Repetitions of the compared fits. They are interleaved, and give confidence intervals for the ratios of their times.

The times of equal code differ by several percent from process to process, for example because of the addresses at which
code is loaded, and repetitions in one process do not show this. Baselines that are nearly as fast as the reference are
therefore repeated in several processes (Kalibera and Jones, Rigorous benchmarking in reasonable time, 2013).
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from math import inf
from statistics import median
from typing import Any

from fastlin.benchmarking import timing
from fastlin.benchmarking.candidate import Candidate

# Baselines whose time differs from that of the reference by less than this factor are repeated in this number of
# processes (docs/benchmarks/design-choices.md: repetitions in several processes).
MAX_CLOSE_RATIO, N_PROCESSES = 1.25, 3
# Repetitions may show that a baseline is close although its time in the curve differs by up to this factor.
MAX_PLANNED_RATIO = 1.5


def repeat_interleaved(
    measure: Callable[[Any], float | None], entries: Iterable[Hashable], n_repetitions: int = timing.N_REPETITIONS
) -> dict[Any, list[float]]:
    """Return the seconds of each entry in each repetition, where `measure` returns the seconds of one entry.

    The entries alternate, because the speed of a machine changes over time. If `measure` returns None for an entry, the
    entry is not repeated again. An entry with too few repetitions for an interval is omitted from the result.
    """
    seconds: dict[Any, list[float]] = {entry: [] for entry in entries}
    repeated = list(seconds)
    for _ in range(n_repetitions):
        for entry in list(repeated):
            measured = measure(entry)
            if measured is None:
                repeated.remove(entry)
            else:
                seconds[entry].append(measured)
    n_required = min(n_repetitions, timing.MIN_REPETITIONS)
    return {entry: own_seconds for entry, own_seconds in seconds.items() if len(own_seconds) >= n_required}


def repeat_fits(
    points: Mapping[Candidate, dict[str, Any]], n_repetitions: int = timing.N_REPETITIONS, deadline: float = inf
) -> dict[Candidate, list[float]]:
    """Return a dict from each candidate to the seconds of the repetitions of the fit at its point.

    Each candidate is fitted with each number of threads that it still tries. It keeps the faster one, which also
    replaces the seconds and the threads of its point. A candidate is omitted if it fails, or if the deadline leaves it
    too few repetitions.
    """
    entries = [(candidate, n) for candidate, point in points.items() for n in candidate.find_thread_counts(point)]
    seconds = repeat_interleaved(
        lambda entry: entry[0].repeat(points[entry[0]], entry[1], deadline), entries, n_repetitions
    )
    results: dict[Candidate, list[float]] = {}
    for (candidate, n_threads), own_seconds in seconds.items():
        if candidate.is_repetition_failed:
            continue
        if candidate not in results or median(own_seconds) < median(results[candidate]):
            results[candidate], candidate.thread_counts = own_seconds, [n_threads]
            points[candidate].update(seconds=median(own_seconds), threads=n_threads)
    return results


def find_compared_points(candidates: Iterable[Candidate]) -> dict[Candidate, dict[str, Any]]:
    """Return a dict from each candidate that reaches the compared suboptimality to its compared point."""
    points = {candidate: candidate.find_compared_point() for candidate in candidates}
    return {candidate: point for candidate, point in points.items() if point is not None}


def repeat_compared_fits(
    reference: Candidate,
    points: Mapping[Candidate, dict[str, Any]],
    deadline: float,
    restart: Callable[[Mapping[Candidate, dict[str, Any]]], object],
) -> dict[str, dict[str, Any]]:
    """Return a dict from the name of each baseline to the summary of its time ratios to the reference, also by process.

    `points` contains the compared point of each candidate. If not all of them can be repeated until `deadline`, the
    slowest ones are omitted. `restart` starts new processes of candidates while the stopwatch is paused. The seconds of
    a repeated point become the median over all processes.
    """
    stopwatch = reference.stopwatch
    repeated = _choose_affordable(reference, points, deadline - stopwatch.read())
    ratios: dict[Candidate, list[list[float]]] = {}
    seconds_by_candidate: dict[Candidate, list[float]] = {}
    for number in range(N_PROCESSES):
        repeated_points = {candidate: points[candidate] for candidate in repeated}
        if len(repeated) < 2 or _estimate_round(repeated_points) > deadline - stopwatch.read():
            break
        if number > 0:
            with stopwatch.pause():
                restart(repeated_points)
        seconds = repeat_fits(repeated_points, deadline=deadline)
        for candidate, own_seconds in seconds.items():
            seconds_by_candidate.setdefault(candidate, []).extend(own_seconds)
            points[candidate]["seconds"] = median(seconds_by_candidate[candidate])
        if reference not in seconds:
            break
        reference_seconds = seconds.pop(reference)
        for candidate, own_seconds in seconds.items():
            # The deadline may be in the middle of the last round.
            pairs = zip(own_seconds, reference_seconds, strict=False)
            ratios.setdefault(candidate, []).append([own / other for own, other in pairs])
        repeated = [
            reference,
            *(each for each in seconds if number > 0 or _is_close(median(ratios[each][0]), MAX_CLOSE_RATIO)),
        ]
    return {
        candidate.name: timing.summarize_ratios(*own_ratios)
        | {"by_process": [timing.summarize_ratios(process_ratios) for process_ratios in own_ratios]}
        for candidate, own_ratios in ratios.items()
        if len(own_ratios) == N_PROCESSES or not _is_close(median(own_ratios[0]), MAX_CLOSE_RATIO)
    }


def _is_close(ratio, max_ratio):
    """Return whether the times of two processes with equal code might have this ratio."""
    return 1 / max_ratio < ratio < max_ratio


def _estimate_round(points):
    """Return the approximate seconds of the repetitions of all candidates in one process."""
    return timing.N_REPETITIONS * sum(
        candidate.estimate_seconds(point, n_threads)
        for candidate, point in points.items()
        for n_threads in candidate.find_thread_counts(point)
    )


def estimate_seconds(reference: Candidate, points: Mapping[Candidate, dict[str, Any]]) -> dict[Candidate, float]:
    """Return the approximate seconds of the repetitions of each candidate in all processes."""
    reference_seconds = points[reference]["seconds"]
    close = {
        candidate
        for candidate, point in points.items()
        if _is_close(point["seconds"] / reference_seconds, MAX_PLANNED_RATIO)
    }
    # The reference alone is not repeated.
    n_further_processes = N_PROCESSES - 1 if len(close) > 1 else 0
    seconds = {}
    for candidate, point in points.items():
        # The faster number of threads is known after the first process.
        repetition_seconds = timing.N_REPETITIONS * candidate.estimate_seconds(point, point["threads"])
        n_processes = n_further_processes if candidate in close else 0
        seconds[candidate] = _estimate_round({candidate: point}) + n_processes * repetition_seconds
    return seconds


def _choose_affordable(reference, points, remaining_seconds):
    """Return the reference and other candidates. The slowest ones are omitted until the time suffices for the rest."""
    affordable = dict(sorted(points.items(), key=lambda item: (item[0] is not reference, item[1]["seconds"])))
    while len(affordable) > 1 and sum(estimate_seconds(reference, affordable).values()) > remaining_seconds:
        affordable.popitem()
    return list(affordable)
