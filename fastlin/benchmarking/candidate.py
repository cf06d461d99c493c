"""`Candidate`: a baseline in a comparison, with the process of its fits and the points of its curve.

A point is a fit with one effort, on the faster number of threads. Its time is the total time of this fit.
"""

from functools import lru_cache, partial
from math import ceil, inf, isfinite, prod
from statistics import median
from time import sleep
from typing import Any

import joblib
import numpy as np
from scipy.sparse import issparse

from fastlin.benchmarking import timing
from fastlin.kernels.machine.threads import count_threads

# Short fits are repeated until their total time reaches this number of seconds, because the medians of the points of a
# curve are compared with one another.
MIN_POINT_SECONDS = 0.1
# A curve ends at the first point with at most this relative suboptimality, which is considered optimal.
MIN_SUBOPTIMALITY = 1e-10
# The relative suboptimality at which times are compared with the time of the reference.
COMPARED_SUBOPTIMALITY = "1e-4"
# A number of threads that takes more than this many times as long as the faster one is not repeated.
MAX_THREADS_RATIO = 2.0
# The maximum number of seconds in which a baseline must load its code and fit a small sample.
MAX_LOADING_SECONDS = 120.0
# The approximate numbers of entries of the rows that are checked for changes after each fit. Python objects, such as
# strings, take longer than numbers.
MAX_HASHED_ENTRIES, MAX_HASHED_OBJECTS = 5_000_000, 50_000
# An objective that is relatively lower than the minimum by more than this belongs to another problem. Minima near zero
# have larger relative errors.
MAX_DIFFERENCE_BELOW_MINIMUM, ROUNDING_ERROR = 1e-6, 1e-12


class CannotSolveError(RuntimeError):
    """A baseline cannot solve a problem. The message gives the reason."""


# Errors that end the curve of a baseline but not the comparison.
CURVE_ENDING_ERRORS = CannotSolveError, ChildProcessError, TimeoutError


class Candidate:
    """A baseline, its process, the points of its curve, and the time or error that ended the curve.

    `rows` and `sample` are problems, or files of problems if another process loads them. Deadlines are times of
    `stopwatch`, which all candidates of a comparison share, and which is paused while a restarted process loads code.
    """

    def __init__(
        self,
        name: str,
        baseline: Any,
        rows: Any,
        sample: Any,
        process: Any,
        stopwatch: timing.Stopwatch,
        is_reference: bool = False,
    ) -> None:
        self.name, self.baseline, self.rows, self.sample, self.process = name, baseline, rows, sample, process
        self.stopwatch = stopwatch
        self.points: list[dict[str, Any]] = []
        self.stopped: float | None = None
        # The error of the last fit. Earlier points remain valid, but a fit whose repetition failed is not compared.
        self.failed: str | None = None
        self.is_repetition_failed = False
        self.spent_seconds = 0.0
        # The seconds of the last measured call without those of its fits, which are not part of the limit of a fit.
        self._overhead_seconds = 0.0
        # The index of the effort and the seconds of the first fit to the rows, which restarted processes repeat.
        self._first_fit: tuple[int, float] | None = None
        # The seconds of the fits with each pair of an index of an effort and a number of threads.
        self._measured_seconds: dict[tuple[int, int], float] = {}
        self._is_reference = is_reference
        # Such a library uses one thread if that is faster, and its threads do not spin.
        self._chooses_threads = baseline.chooses_threads
        # The numbers of threads that are tried. Other libraries may be faster on one thread, for example if they use
        # BLAS for small products.
        self.thread_counts = list(dict.fromkeys((count_threads() if self._chooses_threads else 1, count_threads())))

    def fit_sample(self) -> dict[str, Any]:
        """Return the measures of a fit to the sample. In this fit the process loads and compiles the code."""
        _, measures = self._call_solver(self.sample, -1, count_threads(), 1, 0.0, MAX_LOADING_SECONDS)
        return measures

    def try_sample_fit(self) -> dict[str, Any] | Exception:
        """Return the measures of a fit to the sample, or the error if the fit failed or took too long."""
        try:
            return self.fit_sample()
        except TimeoutError:
            return TimeoutError(f"loading and a fit to a small sample took more than {MAX_LOADING_SECONDS:g} s")
        except CURVE_ENDING_ERRORS as error:
            return error

    def warm_up(self, effort_index: int, limit: float) -> float | None:
        """Fit the rows with an effort, and return the seconds, or None after a failure, which recurs in measured fits.

        The seconds are not counted. The rows are checked for changes, which would otherwise be attributed to a later
        baseline in the same process.
        """
        try:
            # A number of threads that took too long before is not in the list.
            (seconds,), _ = self._fit_rows(effort_index, self.thread_counts[-1], 1, 0.0, limit)
        except CURVE_ENDING_ERRORS:
            return None
        return float(seconds)

    def _fit_rows(self, effort_index, *arguments):
        """Return the result of fits to the rows."""
        begin = self.stopwatch.read()
        seconds, measures = self._call_solver(self.rows, effort_index, *arguments)
        if measures:
            self._overhead_seconds = max(0.0, self.stopwatch.read() - begin - sum(seconds))
        if self._first_fit is None:
            self._first_fit = effort_index, seconds[0]
        return seconds, measures

    def _call_solver(self, rows, effort_index, n_threads, n_repeats, allowed_seconds, limit, should_measure=True):
        """Return the result of `solve` in the process, after the threads of BLAS have stopped spinning."""
        effort = self.baseline.efforts[effort_index]
        arguments = self.baseline, rows, effort, n_threads, n_repeats, allowed_seconds, should_measure
        try:
            return self.process.call(solve, *arguments, seconds=limit)
        finally:
            sleep(self._find_pause_seconds(n_threads))

    def _find_pause_seconds(self, n_threads):
        """Return the seconds to wait after a fit."""
        return 0.0 if self._chooses_threads or n_threads == 1 else timing.PAUSE_SECONDS

    def should_measure_next_effort(
        self, effort_index: int, optimum: float | None, budget: float, deadline: float
    ) -> bool:
        """Return whether another effort is necessary and will probably not exceed the budget and the deadline."""
        if effort_index >= len(self.baseline.efforts) or self.stopped is not None or self.failed is not None:
            return False
        remaining_seconds = self._find_remaining_seconds(budget, deadline)
        if not self.points:
            return self._is_reference or remaining_seconds > MIN_POINT_SECONDS
        is_affordable: bool = 2 * self.points[-1]["seconds"] <= remaining_seconds
        return is_affordable and not self._is_optimal(optimum)

    def _find_remaining_seconds(self, budget, deadline):
        """Return the seconds that fits of this baseline may still take."""
        return max(0.0, min(budget - self.spent_seconds, deadline - self.stopwatch.read()))

    def _is_optimal(self, optimum):
        """Return whether the last point reaches the optimum, if it is known."""
        return optimum is not None and self.points[-1]["objective"] <= optimum + MIN_SUBOPTIMALITY * abs(optimum)

    def is_cut_off(self, optimum: float | None) -> bool:
        """Return whether the time was too short for the efforts after the last point."""
        if not self.points or self.stopped is not None or self.failed is not None:
            return False
        return len(self.points) < len(self.baseline.efforts) and not self._is_optimal(optimum)

    def estimate_next_budget(self, budget: float) -> float | None:
        """Return a larger budget, which allows the next effort or the fit that was stopped; None if none is missing."""
        has_all_efforts = len(self.points) == len(self.baseline.efforts)
        if self.failed is not None or has_all_efforts or self.find_compared_point() is not None:
            return None
        last_seconds = max([point["seconds"] for point in self.points[-1:]] + [self.stopped or MIN_POINT_SECONDS])
        return max(budget, self.spent_seconds) + 2 * len(self.thread_counts) * last_seconds

    def find_compared_point(self) -> dict[str, Any] | None:
        """Return the first point within COMPARED_SUBOPTIMALITY (without an objective, of the last effort) or None.

        The fastest one would depend on noise: the same estimator under two names would be compared at two efforts.
        """
        if self.points and "suboptimality" not in self.points[-1]:
            is_last_effort = self.points[-1]["effort_index"] == len(self.baseline.efforts) - 1
            return self.points[-1] if is_last_effort else None
        limit = float(COMPARED_SUBOPTIMALITY)
        return next((point for point in self.points if point["suboptimality"] <= limit), None)

    def fail_below(self, minimum: float) -> None:
        """Remove the points and record a failure if an objective is below the minimum of the problem."""
        lowest = min((point["objective"] for point in self.points), default=minimum)
        if minimum - lowest > MAX_DIFFERENCE_BELOW_MINIMUM * abs(minimum) + ROUNDING_ERROR:
            self.failed = (
                f"its objective {lowest:.6g} is below the minimum {minimum:.6g}, so it minimizes another objective, or "
                "find_minimum is inaccurate"
            )
            self.points.clear()

    def fit(
        self,
        effort_index: int,
        n_threads: int,
        n_repeats: int,
        limit: float,
        deadline: float,
        should_measure: bool = True,
    ) -> tuple[list[float], dict[str, Any]]:
        """Return the seconds of fits to the rows, and their measures. A restarted process loads the code first."""
        begin = self.stopwatch.read()
        limit = min(limit, deadline - begin)
        if limit <= 0:
            raise TimeoutError("no time is left")
        if not self.process.has_answered:
            self._reload(limit)
        try:
            call_limit = limit + self._overhead_seconds if should_measure else limit
            return self._fit_rows(effort_index, n_threads, n_repeats, limit, call_limit, should_measure)
        finally:
            self.spent_seconds += self.stopwatch.read() - begin

    def _reload(self, limit):
        """Load the code in a restarted process before a fit with a limit, while the stopwatch is paused."""
        with self.stopwatch.pause():
            self.fit_sample()
            # A fit to the rows might hang if none has ended before.
            if self._first_fit is None or self._first_fit[1] > limit:
                return
            self.warm_up(self._first_fit[0], MAX_LOADING_SECONDS)
        if not self.process.has_answered:
            raise TimeoutError("the restarted process did not repeat its first fit")

    def repeat(self, point: dict[str, Any], n_threads: int, deadline: float) -> float | None:
        """Return the seconds of a repetition of the fit at a point, or None if it fails or exceeds the deadline."""
        try:
            seconds, _ = self.fit(point["effort_index"], n_threads, 1, inf, deadline, should_measure=False)
        except TimeoutError:
            return None
        except CURVE_ENDING_ERRORS as error:
            self._store_failure(error)
            self.is_repetition_failed = True
            return None
        return median(seconds)

    def _store_failure(self, error):
        self.failed = str(error).partition("\n")[0]

    def find_thread_counts(self, point: dict[str, Any]) -> list[int]:
        """Return the numbers of threads with which the fit at a point is repeated."""
        max_seconds = MAX_THREADS_RATIO * point["seconds"]
        return [
            n
            for n in dict.fromkeys([*self.thread_counts, point["threads"]])
            if n == point["threads"] or self._find_measured_seconds(point, n) <= max_seconds
        ]

    def _find_measured_seconds(self, point, n_threads):
        return self._measured_seconds.get((point["effort_index"], n_threads), point["seconds"])

    def estimate_seconds(self, point: dict[str, Any], n_threads: int) -> float:
        """Return the approximate seconds of one repetition of the fit at a point. Short fits are repeated."""
        fit_seconds: float = self._find_measured_seconds(point, n_threads)
        n_fits = max(1, ceil(MIN_POINT_SECONDS / fit_seconds))
        return n_fits * fit_seconds + self._find_pause_seconds(n_threads)

    def measure_next_effort(self, effort_index: int, n_repeats: int, budget: float, deadline: float) -> None:
        """Measure an effort with each number of threads. Add the fastest fit, or record why the curve ends.

        The first fit of the reference may use all of the time until `deadline`.
        """
        effort, trials, limits = self.baseline.efforts[effort_index], [], []
        for i, n_threads in enumerate(self.thread_counts):
            limit = self._find_remaining_seconds(budget, deadline) / (len(self.thread_counts) - i)
            if self._is_reference and not self.points:
                limit = max(limit, deadline - self.stopwatch.read())
            limits.append(limit)
            try:
                seconds, measures = self.fit(effort_index, n_threads, n_repeats, limit, deadline)
            except TimeoutError:
                continue
            except CURVE_ENDING_ERRORS as error:
                self._store_failure(error)
                break
            self._measured_seconds[effort_index, n_threads] = median(seconds)
            trials.append(
                {
                    "effort": effort if isinstance(effort, int | float) else str(effort),
                    "effort_index": effort_index,
                    "threads": n_threads,
                    "seconds": median(seconds),
                    "fits": len(seconds),
                    **measures,
                }
            )
        if not trials:
            self.stopped = limits[0] if self.failed is None else None
            return
        best = min(trials, key=lambda point: point["seconds"])
        self.points.append(best)
        # A long fit shows which number of threads is faster. The other number is not measured again.
        if best["seconds"] >= timing.MAX_SHORT_FIT_SECONDS or len(trials) < len(self.thread_counts):
            self.thread_counts = [best["threads"]]


def _load(rows):
    """Return a problem, or the problem in a file with memory-mapped arrays."""
    return _load_file(rows) if isinstance(rows, str) else rows


@lru_cache(maxsize=1)
def _load_file(path):
    return joblib.load(path, mmap_mode="c")


def find_optimum(rows: Any) -> float | None:
    """Return the minimum of the objective of a problem (or a file of one), or None if it is unknown."""
    try:
        optimum = _load(rows).find_optimum()
    except Exception as error:
        # Other exceptions might be impossible to send to the parent process.
        raise CannotSolveError(f"The minimum cannot be computed: {type(error).__name__}: {error}") from error
    return None if optimum is None else float(optimum)


def solve(
    baseline: Any,
    rows: Any,
    effort: Any,
    n_threads: int,
    n_repeats: int,
    allowed_seconds: float,
    should_measure: bool,
) -> tuple[list[float], dict[str, Any]]:
    """Fit a problem (or a file of one), and return the seconds of each fit, and the measures of the last one.

    BLAS, OpenMP and the baseline use `n_threads` threads. A short fit is repeated until there are `n_repeats` fits and
    they take MIN_POINT_SECONDS, unless another fit would exceed half of the `allowed_seconds` seconds. Without
    `should_measure` the measures are empty, and the rows are not checked for changes.
    """
    try:
        problem = _load(rows)
        before = _hash_rows(problem) if should_measure else None
        with timing.use_threads(n_threads):
            seconds, solution = timing.time_fit(
                partial(baseline.solve, problem.train, effort), n_repeats, MIN_POINT_SECONDS, allowed_seconds / 2
            )
        is_changed = should_measure and _hash_rows(problem) != before
    except CannotSolveError:
        raise
    except Exception as error:
        raise CannotSolveError(f"{type(error).__name__}: {error}") from error
    if is_changed:
        _load_file.cache_clear()
        raise CannotSolveError("it modifies X or y")
    if not should_measure:
        return seconds, {}
    try:
        measures: dict[str, Any] = problem.measure(solution)
    except Exception as error:
        raise CannotSolveError(f"its solution cannot be measured: {type(error).__name__}: {error}") from error
    if not isfinite(measures.get("objective", 0.0)):
        raise CannotSolveError(f"its objective is {measures['objective']}")
    return seconds, measures


def _hash_rows(problem):
    """Return a hash of evenly spaced targets and rows, with about MAX_HASHED_ENTRIES entries or MAX_HASHED_OBJECTS.

    In a sparse matrix the entries are evenly spaced instead. SciPy's containers store results of checks as attributes,
    so only their entries are hashed.
    """
    X, y = problem.train.X, problem.train.y
    step = ceil(X.nnz / MAX_HASHED_ENTRIES) or 1 if issparse(X) else 1
    entries = (X.data[::step], X.indices[::step], X.indptr) if issparse(X) else _select_evenly(X)
    return joblib.hash((entries, _select_evenly(np.asarray(y))))


def _select_evenly(values):
    """Return evenly spaced rows of an array or a DataFrame as an array."""
    rows = np.asarray(values[:: ceil(prod(values.shape) / MAX_HASHED_ENTRIES) or 1])
    return rows[:: ceil(rows.size / MAX_HASHED_OBJECTS) or 1] if rows.dtype == object else rows
