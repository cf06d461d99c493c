"""Comparisons of fits of fastlin and its baselines with fixed settings. They are valid only if the objectives agree.

The fits run in this process, and `fastlin.benchmarking` measures and repeats them. A problem has X, y, n_classes and
three measures: `objective(*solution)`, `accuracy(*solution)` on the rows of X, and `score_test_rows(*solution)`, the
Scores on test rows. A library is a function from a problem to its solution, a tuple.
"""

import contextlib
import importlib.util
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from time import perf_counter, sleep

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from benchmarks.problems import ClassificationProblem
from fastlin.benchmarking import timing
from fastlin.benchmarking.candidate import MIN_SUBOPTIMALITY, Candidate
from fastlin.benchmarking.repetitions import repeat_fits, repeat_interleaved
from fastlin.benchmarking.timing import N_REPEATS, N_REPETITIONS, Stopwatch, summarize_ratios
from fastlin.kernels.machine.threads import count_threads, limit_threads

FASTLIN = "fastlin"
# Maximum relative difference of fastlin's objective from the baseline's, unless a comparison has its own rule.
OBJECTIVE_TOL = 1e-6
# Fits with nearly equal objectives may differ in accuracy by this fraction of the rows, or by this number of rows.
ACCURACY_TOL, MAX_DIFFERING_ROWS = 0.005, 5
# A baseline whose first fit takes this many times as long as that of the fastest baseline is not repeated.
MAX_TIME_RATIO = 2
THREAD_SETTINGS = ("all", "one")
# The values of tol that are tried for the time to the baseline's objective.
LOOSE_TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
# The default tol of fastlin and of scikit-learn.
DEFAULT_TOL = 1e-4
# There are fewer repetitions if they would take longer than this.
MAX_REPETITION_SECONDS = 600


@dataclass(frozen=True)
class ComparisonRule:
    """Criteria for equal results of a comparison, and the tol of fastlin. All numbers are relative.

    fastlin's objective may exceed the baseline's objective by at most `suboptimality`. Every baseline stops at
    least `baseline_suboptimality` above the minimum. If all libraries run the same steps, `same_steps_tol` replaces
    `suboptimality` and bounds the difference between the objectives in both directions.
    """

    tol: float | None = None
    suboptimality: float = OBJECTIVE_TOL
    baseline_suboptimality: float = 0.0
    same_steps_tol: float | None = None
    should_match_accuracy: bool = True

    def __post_init__(self):
        """Raise a ValueError if a fit with `tol` could exceed the baseline's objective by more than the rule allows."""
        if self.tol is not None and self.tol > self.suboptimality + self.baseline_suboptimality:
            raise ValueError(f"tol must be at most suboptimality + baseline_suboptimality, got {self.tol:g}")


# For baselines that can reach the minimum, the allowed difference is the accuracy that fastlin certifies.
CERTIFIED_RULE = ComparisonRule(tol=OBJECTIVE_TOL)


@dataclass(frozen=True)
class Comparison:
    """A row of the table: a problem, and the functions of fastlin and the baselines."""

    title: str
    # A function that returns the problem for a number of rows (None means all rows), or raises a NotImplementedError if
    # data are missing.
    load: Callable
    # A function that returns fastlin's solution of a problem; it receives `tol` if the rule has a tol.
    fastlin: Callable
    # Functions from the problem to the solution of each baseline, by name.
    baselines: dict
    # The number of rows of a short comparison.
    rows: int | None = None
    # Only baselines count whose objective is within this relative distance of the lowest objective.
    within: float = np.inf
    rule: ComparisonRule = ComparisonRule()
    rounds: int = N_REPETITIONS
    # The number of rows of the warm-up calls, in which baselines load and compile their code.
    n_warm_up_rows: int = 200
    # The numbers of threads for which the full comparison is repeated.
    threads: tuple = ("all",)
    # The numbers of threads that each baseline tries.
    baseline_threads: tuple = THREAD_SETTINGS
    # The module that an optional baseline requires.
    package: str = ""

    def solve(self, problem):
        return self.fastlin(problem) if self.rule.tol is None else self.fastlin(problem, tol=self.rule.tol)

    def list_efforts(self):
        """Return keyword arguments of fastlin's fits. The last fit has the settings of the comparison.

        Looser fits show what fastlin spends on accuracy that the baseline does not have, if `tol` applies. A short
        comparison skips them.
        """
        own_effort = {} if self.rule.tol is None else {"tol": self.rule.tol}
        has_tol = self.rule.same_steps_tol is None and "tol" in inspect.signature(self.fastlin).parameters
        tolerances = LOOSE_TOLERANCES if self.rounds > 1 and has_tol else ()
        return (*({"tol": tol} for tol in tolerances if tol > (self.rule.tol or DEFAULT_TOL)), own_effort)


@dataclass(frozen=True)
class Case:
    """A case that is not a comparison."""

    kind: str
    title: str
    # These fields have the same meaning as in Comparison.
    load: Callable
    # A function that returns the other fields of the record as plain values. Its arguments are the loaded data and
    # whether the run is full.
    measure: Callable
    rows: int | None = None

    def __call__(self, is_full_run=False):
        loaded_data = self.load(None if is_full_run else self.rows)
        common_fields = {"kind": self.kind, "title": self.title, "threads": count_threads()}
        return common_fields | self.measure(loaded_data, is_full_run)


class CurrentProcess:
    """Replaces `WorkerProcess`: calls functions in the current process, which cannot be stopped."""

    has_answered = True

    def call(self, function, *arguments, seconds):
        return function(*arguments)


@dataclass(frozen=True, eq=False)
class Solver:
    """A library as a baseline. An effort contains keyword arguments of `fit`, which returns a solution of a problem."""

    fit: Callable
    efforts: tuple = ({},)
    chooses_threads: bool = False

    def solve(self, problem, effort):
        return self.fit(problem, **effort)


@dataclass(frozen=True, eq=False)
class MeasuredProblem:
    """A problem whose points contain the solution. A comparison of many fits has an array of objectives."""

    train: object

    def measure(self, solution):
        objectives = self.train.objective(*solution)
        return {"objective": float(np.sum(objectives)), "objectives": objectives, "solution": solution}


@dataclass(frozen=True, eq=False)
class Outcome:
    """Results of each library with its best number of threads.

    `points` contains the fit of each library with the settings of the comparison, `loose_points` fits of fastlin with
    larger values of `tol`, and `successful_libraries` the libraries that reach the objective. The baseline is the
    fastest of them in the repetitions. `time_ratios` contains, for each repetition, the ratio of the baseline's time to
    fastlin's, and `has_converged` is whether fastlin fitted without a ConvergenceWarning.
    """

    comparison: Comparison
    problem: object
    threads: int
    points: dict
    loose_points: list
    successful_libraries: list
    baseline: str
    time_ratios: list
    has_converged: bool

    @cached_property
    def seconds(self):
        return {name: self.points[name]["seconds"] for name in self.successful_libraries}

    @property
    def objectives(self):
        return {name: point["objectives"] for name, point in self.points.items()}

    @property
    def time_ratio(self):
        return median(self.time_ratios)

    @property
    def objective_difference(self):
        """The relative difference of fastlin's objective from the baseline's. For many fits, it is the maximum."""
        return float(np.max(np.divide(self.objectives[FASTLIN], self.objectives[self.baseline]) - 1))

    def score_test_rows(self, name):
        """Return the Scores of a library. Without test rows, it is fitted again with every fifth row held out."""
        problem, solution = self.problem, self.points[name]["solution"]
        if isinstance(problem, ClassificationProblem) and problem.X_test is None:
            problem, solve = (
                problem.hold_out_rows(),
                self.comparison.solve if name == FASTLIN else self.comparison.baselines[name],
            )
            with limit_threads(self.threads), ignore_warnings():
                solution = solve(problem)
        return problem.score_test_rows(*solution)

    @property
    def seconds_to_baseline_objective(self):
        """The seconds of the fastest fit of fastlin, over all values of `tol`, that reaches the baseline's objective.

        The whole fit spends the other seconds on accuracy that the baseline does not have. Without looser fits, or if
        no fit reaches the objective, the result is None.
        """
        if not self.loose_points:
            return None
        return find_seconds_to_objective([*self.loose_points, self.points[FASTLIN]], self.objectives[self.baseline])

    def describe_failure(self):
        """Return the reason why the comparison is invalid, or ""."""
        if not self.has_converged:
            return "fastlin did not converge"
        same_steps_tol = self.comparison.rule.same_steps_tol
        if self.objective_difference > (
            self.comparison.rule.suboptimality if same_steps_tol is None else same_steps_tol
        ):
            return (
                f"fastlin's objective is above that of {self.baseline} by {self.objective_difference:.1e}, relatively"
            )
        if same_steps_tol is not None and self.objective_difference < -same_steps_tol:
            return (
                f"fastlin's objective is below that of {self.baseline} by {-self.objective_difference:.1e}, not equal"
            )
        accuracies = [self.problem.accuracy(*self.points[name]["solution"]) for name in (FASTLIN, self.baseline)]
        accuracy_difference = accuracies[0] - accuracies[1]
        allowed_difference = max(ACCURACY_TOL, MAX_DIFFERING_ROWS / self.problem.X.shape[0])
        if self.comparison.rule.should_match_accuracy and abs(accuracy_difference) > allowed_difference:
            return f"fastlin's accuracy differs from that of {self.baseline} by {accuracy_difference:+.4f}"
        return ""

    def describe_library(self, name):
        return {
            "seconds": self.points[name]["seconds"],
            "threads": self.points[name]["threads"],
            "objective": float(np.mean(self.objectives[name])),
            **self.score_test_rows(name)._asdict(),
        }

    def describe(self, names=None):
        """Return the record of the comparison, with the libraries `names` or, by default, all successful ones."""
        suboptimalities = find_suboptimalities(self.points)
        return {
            "kind": "comparison",
            "title": self.comparison.title,
            "data": describe_data(self.problem),
            "threads": self.threads,
            "baseline": self.baseline,
            "libraries": {name: self.describe_library(name) for name in names or self.successful_libraries},
            **summarize_ratios(self.time_ratios),
            "tried": {
                name: {"seconds": point["seconds"], "suboptimality": suboptimalities[name]}
                for name, point in self.points.items()
            },
            "objective_difference": self.objective_difference,
            "seconds_to_baseline_objective": self.seconds_to_baseline_objective,
            "failure": self.describe_failure(),
        }


def load_problem(comparison, is_full_run=False):
    """Return the problem of a comparison. If data are missing, raise a NotImplementedError to skip the comparison."""
    require_package(comparison.package)
    return comparison.load(None if is_full_run else comparison.rows)


def require_package(package):
    """Raise a NotImplementedError unless the package is installed or its name is ""."""
    if package and importlib.util.find_spec(package) is None:
        raise NotImplementedError(f"{package} is not installed.")


def shorten_comparison(comparison):
    """Return the comparison with one repetition and one number of threads, which suffices for comparing results."""
    return replace(comparison, rounds=1, baseline_threads=comparison.baseline_threads[-1:])


def run_comparison(comparison, problem, n_threads=None):
    """Return the Outcome of a comparison; raise a RuntimeError if a fit fails or no baseline reaches the objective."""
    # Each fit with a filter of warnings would take a few microseconds more.
    with limit_threads(n_threads), ignore_warnings():
        candidates, has_converged = _measure_candidates(comparison, problem)
        points = {name: candidate.points[-1] for name, candidate in candidates.items()}
        suboptimalities = find_suboptimalities(points)
        successful_baselines = [name for name in comparison.baselines if suboptimalities[name] <= comparison.within]
        if not successful_baselines:
            reason = f"no baseline comes within {comparison.within} of the lowest objective: {suboptimalities}"
            raise RuntimeError(f"{comparison.title}: {reason}")
        max_seconds = MAX_TIME_RATIO * min(points[name]["seconds"] for name in successful_baselines)
        repeated = [FASTLIN, *(name for name in successful_baselines if points[name]["seconds"] <= max_seconds)]
        repetitions = {name: [points[name]["seconds"]] for name in repeated}
        if comparison.rounds > 1:
            repeated_points = {candidates[name]: points[name] for name in repeated}
            results = repeat_fits(repeated_points, _count_repetitions(comparison, repeated_points))
            if results.keys() != repeated_points.keys():
                _raise_first_failure(comparison, repeated_points)
            repetitions = {candidate.name: seconds for candidate, seconds in results.items()}
        baseline = min(repeated[1:], key=lambda name: points[name]["seconds"])
        return Outcome(
            comparison,
            problem,
            count_threads(),
            points,
            candidates[FASTLIN].points[:-1],
            [FASTLIN, *successful_baselines],
            baseline,
            [theirs / ours for theirs, ours in zip(repetitions[baseline], repetitions[FASTLIN], strict=True)],
            has_converged,
        )


@contextlib.contextmanager
def ignore_warnings():
    """Ignore warnings in the ``with`` block. Baselines may reach their maximum number of iterations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _raise_first_failure(comparison, candidates):
    """Raise a RuntimeError with the name and the error of the first candidate that failed, if there is one."""
    for candidate in candidates:
        if candidate.failed is not None:
            raise RuntimeError(f"{comparison.title}: {candidate.name} failed: {candidate.failed}")


def _measure_candidates(comparison, problem):
    """Return a dict from the name of each library to its Candidate after all efforts, and if fastlin has converged."""
    solvers = {
        FASTLIN: Solver(comparison.fastlin, comparison.list_efforts(), chooses_threads=True),
        **{name: Solver(solve) for name, solve in comparison.baselines.items()},
    }
    rows, sample = MeasuredProblem(problem), MeasuredProblem(comparison.load(comparison.n_warm_up_rows))
    stopwatch = Stopwatch()
    candidates = {
        name: Candidate(name, solver, rows, sample, CurrentProcess(), stopwatch, name == FASTLIN)
        for name, solver in solvers.items()
    }
    with warnings.catch_warnings(record=True) as caught_warnings:
        warnings.simplefilter("always")
        # Which kernels are compiled depends on the rows.
        candidates[FASTLIN].warm_up(-1, np.inf)
    has_converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught_warnings)
    thread_counts = sorted({count_comparison_threads(threads) for threads in comparison.baseline_threads})
    for name in comparison.baselines:
        candidates[name].thread_counts = thread_counts
        error = candidates[name].try_sample_fit()
        if isinstance(error, Exception):
            raise RuntimeError(f"{comparison.title}: {name} failed: {error}") from error
    measure_efforts(comparison, candidates.values())
    return candidates, has_converged


def measure_efforts(comparison, candidates):
    """Measure all efforts of candidates, one candidate after another. A failure raises a RuntimeError."""
    # A short comparison measures no times that are published.
    n_repeats = N_REPEATS if comparison.rounds > 1 else 1
    for candidate in candidates:
        for effort_index in range(len(candidate.baseline.efforts)):
            candidate.measure_next_effort(effort_index, n_repeats, np.inf, np.inf)
    _raise_first_failure(comparison, candidates)


def _count_repetitions(comparison, points):
    """Return the number of repetitions of the candidates with these points, at least one."""
    seconds = sum(
        candidate.estimate_seconds(point, n_threads)
        for candidate, point in points.items()
        for n_threads in candidate.find_thread_counts(point)
    )
    return max(1, min(comparison.rounds, int(MAX_REPETITION_SECONDS / seconds)))


def measure_interleaved_calls(calls, n_repetitions, n_calls=1, n_warm_up_calls=1):
    """Return lists of seconds per call by name. The functions alternate; a repetition has `n_calls` calls."""

    def measure(name):
        sleep(timing.PAUSE_SECONDS)
        begin = perf_counter()
        for _ in range(n_calls):
            calls[name]()
        return (perf_counter() - begin) / n_calls

    with threadpool_limits(count_threads()):
        for call in [*calls.values()] * n_warm_up_calls:
            call()
        return repeat_interleaved(measure, calls, n_repetitions)


def describe_data(problem):
    """Return a description of the shape of a problem's data."""
    n, d = problem.X.shape
    return f"{n:,} × {d:,}, {problem.n_classes:,} classes, {problem.X.dtype}"


def count_comparison_threads(threads):
    """Return the number of threads for "all" or "one"."""
    return 1 if threads == "one" else count_threads()


def find_seconds_to_objective(points, objectives):
    """Return the seconds of the fastest point that reaches an objective, or each of several objectives, or None."""
    # Rounding errors do not decide.
    limits = np.multiply(objectives, 1 + MIN_SUBOPTIMALITY)
    return min((point["seconds"] for point in points if np.all(point["objectives"] <= limits)), default=None)


def find_suboptimalities(points):
    """Return the relative difference of each library's objective from the lowest one."""
    lowest_objective = min(point["objective"] for point in points.values())
    # An objective of zero means a perfect fit.
    scale = abs(lowest_objective) or np.finfo(np.float64).tiny
    return {name: (point["objective"] - lowest_objective) / scale for name, point in points.items()}
