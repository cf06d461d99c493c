"""Repetitions of the compared fits. They are interleaved, and give confidence intervals for the ratios of their times.

The times of equal code differ by several percent from process to process, for example because of the addresses at which
code is loaded, and repetitions in one process do not show this. Baselines that are nearly as fast as the reference are
therefore repeated in several processes (Kalibera and Jones, Rigorous benchmarking in reasonable time, 2013).
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from math import inf
from statistics import median
from time import perf_counter
from typing import Any

from fastlin.benchmarking import timing
from fastlin.benchmarking.candidate import Candidate

# Baselines whose time differs from that of the reference by less than this factor are repeated in this number of
# processes. The times of equal code in two processes differed by up to a factor of 1.12.
MAX_CLOSE_RATIO, N_PROCESSES = 1.25, 3


def repeat_interleaved(
    measure: Callable[[Any], float | None], entries: Iterable[Hashable], n_repetitions: int = timing.N_REPETITIONS
) -> dict[Any, list[float]]:
    """Return the seconds of each entry in each repetition, where `measure` returns the seconds of one entry.

    The entries alternate, because the speed of a machine changes over time. If `measure` returns None for an entry, the
    entry is omitted from the result.
    """
    seconds: dict[Any, list[float]] = {entry: [] for entry in entries}
    for _ in range(n_repetitions):
        for entry in list(seconds):
            measured = measure(entry)
            if measured is None:
                del seconds[entry]
            else:
                seconds[entry].append(measured)
    return seconds


def repeat_fits(
    points: Mapping[Candidate, dict[str, Any]], n_repetitions: int = timing.N_REPETITIONS, deadline: float = inf
) -> dict[Candidate, list[float]]:
    """Return a dict from each candidate to the seconds of the repetitions of the fit at its point.

    Each candidate is fitted with each number of threads that it still tries, and then keeps the faster one. A candidate
    that fails or exceeds the deadline is omitted from the result.
    """
    entries = [(candidate, n_threads) for candidate in points for n_threads in candidate.thread_counts]
    seconds = repeat_interleaved(
        lambda entry: entry[0].repeat(points[entry[0]], entry[1], deadline), entries, n_repetitions
    )
    results: dict[Candidate, list[float]] = {}
    for (candidate, n_threads), own_seconds in seconds.items():
        if candidate not in results or median(own_seconds) < median(results[candidate]):
            results[candidate], candidate.thread_counts = own_seconds, [n_threads]
    return results


def repeat_compared_fits(
    reference: Candidate | None,
    candidates: Iterable[Candidate],
    deadline: float,
    restart: Callable[[Sequence[Candidate]], float],
) -> dict[str, dict[str, Any]]:
    """Return a dict from the name of each baseline to the summary of its time ratios to the reference.

    If not all baselines can be repeated until `deadline`, the slowest ones are omitted. `restart` starts new processes
    of candidates, and returns the seconds that this took, which postpone the deadline.
    """
    points = _find_compared_points(candidates)
    if reference is None or reference not in points:
        return {}
    repeated = _choose_affordable(reference, points, deadline - perf_counter())
    ratios: dict[Candidate, list[list[float]]] = {}
    for number in range(N_PROCESSES):
        if len(repeated) < 2:
            break
        if number > 0:
            deadline += restart(repeated)
        seconds = repeat_fits({candidate: points[candidate] for candidate in repeated}, deadline=deadline)
        if reference not in seconds:
            break
        for candidate, own_seconds in seconds.items():
            pairs = zip(own_seconds, seconds[reference], strict=True)
            ratios.setdefault(candidate, []).append([ours / theirs for ours, theirs in pairs])
        repeated = [each for each in seconds if number > 0 or _is_close(median(ratios[each][0]))]
    return {
        candidate.name: timing.summarize_ratios(*own_ratios)
        for candidate, own_ratios in ratios.items()
        if candidate is not reference and (len(own_ratios) == N_PROCESSES or not _is_close(median(own_ratios[0])))
    }


def estimate_seconds(
    reference: Candidate | None, candidates: Iterable[Candidate], repetitions: Mapping[str, Any]
) -> float | None:
    """Return the approximate seconds of the repetitions of all compared fits, or None if no repetitions are missing."""
    points = _find_compared_points(candidate for candidate in candidates if candidate.failed is None)
    if (
        reference is None
        or reference not in points
        or {candidate.name for candidate in points} <= {reference.name, *repetitions}
    ):
        return None
    return sum(_estimate_seconds_by_candidate(reference, points).values())


def _find_compared_points(candidates):
    points = {candidate: candidate.find_compared_point() for candidate in candidates}
    return {candidate: point for candidate, point in points.items() if point is not None}


def _is_close(ratio):
    """Return whether the times of two processes with equal code might have this ratio."""
    return 1 / MAX_CLOSE_RATIO < ratio < MAX_CLOSE_RATIO


def _estimate_seconds_by_candidate(reference, points):
    """Return the approximate seconds of all repetitions of each candidate."""
    reference_seconds = points[reference]["seconds"]
    close = {candidate for candidate, point in points.items() if _is_close(point["seconds"] / reference_seconds)}
    # The reference alone is not repeated.
    n_close_processes = N_PROCESSES if len(close) > 1 else 1
    seconds = {}
    for candidate, point in points.items():
        n_further_processes = n_close_processes - 1 if candidate in close else 0
        # The faster number of threads is known after the first process.
        thread_counts = [*candidate.thread_counts, *n_further_processes * [point["threads"]]]
        repetition_seconds = sum(candidate.estimate_seconds(point, n_threads) for n_threads in thread_counts)
        seconds[candidate] = timing.N_REPETITIONS * repetition_seconds
    return seconds


def _choose_affordable(reference, points, remaining_seconds):
    """Return the reference and the fastest other candidates whose repetitions fit into the time, or an empty list."""
    seconds = _estimate_seconds_by_candidate(reference, points)
    remaining_seconds -= seconds.pop(reference)
    affordable = [reference]
    for candidate in sorted(seconds, key=seconds.__getitem__):
        remaining_seconds -= seconds[candidate]
        if remaining_seconds > 0:
            affordable.append(candidate)
    return affordable
