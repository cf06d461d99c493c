"""Comparisons of interleaved fits of fastlin and its baselines. They are valid only if the objectives agree.

A problem has X, n_classes and three measures: `objective(*solution)`, `accuracy(*solution)` on the rows of X, and
`score_test_rows(*solution)`, the Scores on test rows. A library is a function from a problem to its solution, a tuple.
"""

import importlib.util
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from statistics import median
from time import perf_counter, sleep
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import ThreadpoolController, threadpool_limits

from benchmarks.problems import BenchmarkProblem
from fastlin.benchmarking import timing
from fastlin.benchmarking.timing import N_REPETITIONS, summarize_ratios
from fastlin.kernels.machine.threads import count_threads, limit_threads

FASTLIN = "fastlin"
# Maximum relative difference of fastlin's objective from the baseline's, unless a comparison has its own rule.
OBJECTIVE_TOL = 1e-6
# Fits with nearly equal objectives may differ in accuracy by this fraction of the rows, or by this number of rows.
ACCURACY_TOL, MAX_DIFFERING_ROWS = 0.005, 5
# A baseline whose first repetition takes this many times as long as the fastest baseline is not called again.
MAX_TIME_RATIO = 2
THREAD_SETTINGS = ("all", "one")
# The values of tol that are tried for the time to the baseline's objective, and the number of timed fits.
LOOSE_TOLERANCES, N_LOOSE_FITS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5), 3
# The default tol of fastlin and of scikit-learn.
DEFAULT_TOL = 1e-4
# Seconds after which a comparison starts no further repetition.
MAX_COMPARISON_SECONDS = 600


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
    # The reference is the fastest baseline whose objective is within this relative distance of the lowest objective.
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


class Run(NamedTuple):
    """Calls of a library: the median seconds, whether there was no ConvergenceWarning, and the solution."""

    seconds: float
    has_converged: bool
    solution: tuple


@dataclass(frozen=True, eq=False)
class Outcome:
    """Results of each library with its best number of threads. A comparison of many fits has arrays of objectives.

    `successful_libraries` lists the libraries that reach the objective. For each call of the baseline, `time_ratios`
    contains the ratio of its time to the mean time of the fastlin calls before and after it.
    """

    comparison: Comparison
    problem: object
    threads: int
    runs: dict
    best_threads: dict
    objectives: dict
    successful_libraries: list
    time_ratios: list

    @cached_property
    def seconds(self):
        return {name: take_median_seconds(self.runs[name]) for name in self.successful_libraries}

    @property
    def baseline(self):
        """The fastest baseline that reaches the objective."""
        return min(self.seconds.keys() - {FASTLIN}, key=self.seconds.get)

    @property
    def time_ratio(self):
        return median(self.time_ratios)

    @property
    def objective_difference(self):
        """The relative difference of fastlin's objective from the baseline's. For many fits, it is the maximum."""
        return float(np.max(np.divide(self.objectives[FASTLIN], self.objectives[self.baseline]) - 1))

    @property
    def has_converged(self):
        return all(run.has_converged for run in self.runs[FASTLIN])

    def score_test_rows(self, name):
        """Return the Scores of a library. Without test rows, it is fitted again with every fifth row held out."""
        problem, solution = self.problem, self.runs[name][-1].solution
        if isinstance(problem, BenchmarkProblem) and problem.X_test is None:
            problem, solve = (
                problem.hold_out_rows(),
                self.comparison.solve if name == FASTLIN else self.comparison.baselines[name],
            )
            with limit_threads(self.threads):
                solution = run(solve, problem).solution
        return problem.score_test_rows(*solution)

    def measure_seconds_to_baseline_objective(self):
        """Return the seconds of the loosest fit of fastlin that reaches the baseline's objective, or None.

        The result shows what the whole fits spend on accuracy that the baseline does not have. It is None if the
        comparison is short, `tol` does not apply, or no looser fit reaches the objective.
        """
        solve = self.comparison.fastlin
        is_short = self.comparison.rounds == 1
        if (
            is_short
            or self.comparison.rule.same_steps_tol is not None
            or "tol" not in inspect.signature(solve).parameters
        ):
            return None
        baseline_objective = self.objectives[self.baseline]
        with limit_threads(self.threads):
            own_tol = self.comparison.rule.tol or DEFAULT_TOL
            for tol in (tol for tol in LOOSE_TOLERANCES if tol > own_tol):
                solve_loosely = partial(solve, tol=tol)
                loose_run = run(solve_loosely, self.problem)
                if np.all(np.less_equal(self.problem.objective(*loose_run.solution), baseline_objective)):
                    return take_median_seconds([run(solve_loosely, self.problem) for _ in range(N_LOOSE_FITS)])
        return None

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
        accuracies = [self.problem.accuracy(*self.runs[name][-1].solution) for name in (FASTLIN, self.baseline)]
        accuracy_difference = accuracies[0] - accuracies[1]
        allowed_difference = max(ACCURACY_TOL, MAX_DIFFERING_ROWS / self.problem.X.shape[0])
        if self.comparison.rule.should_match_accuracy and abs(accuracy_difference) > allowed_difference:
            return f"fastlin's accuracy differs from that of {self.baseline} by {accuracy_difference:+.4f}"
        return ""

    def describe_library(self, name):
        return {
            "seconds": take_median_seconds(self.runs[name]),
            "threads": self.best_threads[name],
            "objective": float(np.mean(self.objectives[name])),
            **self.score_test_rows(name)._asdict(),
        }

    def describe(self):
        suboptimalities = find_suboptimalities(self.objectives)
        return {
            "kind": "comparison",
            "title": self.comparison.title,
            "data": describe_data(self.problem),
            "threads": self.threads,
            "baseline": self.baseline,
            "libraries": {name: self.describe_library(name) for name in self.successful_libraries},
            **summarize_ratios(self.time_ratios),
            "tried": {
                name: {"seconds": take_median_seconds(runs), "suboptimality": suboptimalities[name]}
                for name, runs in self.runs.items()
            },
            "objective_difference": self.objective_difference,
            "seconds_to_baseline_objective": self.measure_seconds_to_baseline_objective(),
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
    """Return the Outcome of interleaved fits; raise a RuntimeError if no baseline reaches the objective."""
    with limit_threads(n_threads):
        warm_up_problem = comparison.load(comparison.n_warm_up_rows)
        run(comparison.solve, problem)
        for solve in comparison.baselines.values():
            run(solve, warm_up_problem)
        # The controller is created after the baselines are loaded, so that it also controls their thread pools.
        controller, n_all_threads = ThreadpoolController(), count_threads()
        counts = sorted({count_comparison_threads(threads) for threads in comparison.baseline_threads})
        entries = [(name, n) for name in comparison.baselines for n in counts]
        runs = {(FASTLIN, n_all_threads): [], **{entry: [] for entry in entries}}
        fastlin_runs, next_run_indices = runs[FASTLIN, n_all_threads], {entry: [] for entry in entries}
        begin = perf_counter()
        for repetition in range(comparison.rounds):
            if repetition > 0 and perf_counter() - begin > MAX_COMPARISON_SECONDS:
                break
            for name, n in entries:
                fastlin_runs.append(run_with_threads(controller, n_all_threads, comparison.solve, problem))
                next_run_indices[name, n].append(len(fastlin_runs))
                runs[name, n].append(run_with_threads(controller, n, comparison.baselines[name], problem))
                if n > 1:
                    sleep(timing.PAUSE_SECONDS)
            if repetition == 0:
                objectives = {name: problem.objective(*calls[-1].solution) for (name, _), calls in runs.items()}
                suboptimalities = find_suboptimalities(objectives)
                successful_libraries = [
                    FASTLIN,
                    *(name for name in comparison.baselines if suboptimalities[name] <= comparison.within),
                ]
                if len(successful_libraries) == 1:
                    reason = f"no baseline comes within {comparison.within} of the lowest objective: {suboptimalities}"
                    raise RuntimeError(f"{comparison.title}: {reason}")
                seconds = {
                    entry: take_median_seconds(runs[entry]) for entry in entries if entry[0] in successful_libraries
                }
                entries = [entry for entry in seconds if seconds[entry] <= MAX_TIME_RATIO * min(seconds.values())]
        fastlin_runs.append(run_with_threads(controller, n_all_threads, comparison.solve, problem))
    best_thread_counts = {
        name: min(counts, key=lambda n, name=name: take_median_seconds(runs[name, n])) for name in comparison.baselines
    }
    baseline_runs = {name: runs[name, n] for name, n in best_thread_counts.items()}
    baseline = min(successful_libraries[1:], key=lambda name: take_median_seconds(baseline_runs[name]))
    time_ratios = [
        2 * call.seconds / (fastlin_runs[index - 1].seconds + fastlin_runs[index].seconds)
        for index, call in zip(
            next_run_indices[baseline, best_thread_counts[baseline]], baseline_runs[baseline], strict=True
        )
    ]
    return Outcome(
        comparison,
        problem,
        n_all_threads,
        {FASTLIN: fastlin_runs, **baseline_runs},
        {FASTLIN: n_all_threads, **best_thread_counts},
        objectives,
        successful_libraries,
        time_ratios,
    )


def measure_interleaved_calls(calls, n_repetitions, n_calls=1, n_warm_up_calls=1):
    """Return lists of seconds per call by name. The functions alternate; a repetition has `n_calls` calls."""
    seconds = {name: [] for name in calls}
    with threadpool_limits(count_threads()):
        for repetition in range(-n_warm_up_calls, n_repetitions):
            for name, call in calls.items():
                if repetition < 0:
                    call()
                    continue
                sleep(timing.PAUSE_SECONDS)
                begin = perf_counter()
                for _ in range(n_calls):
                    call()
                seconds[name].append((perf_counter() - begin) / n_calls)
    return seconds


def describe_data(problem):
    """Return a description of the shape of a problem's data."""
    n, d = problem.X.shape
    return f"{n:,} × {d:,}, {problem.n_classes:,} classes, {problem.X.dtype}"


def count_comparison_threads(threads):
    """Return the number of threads for "all" or "one"."""
    return 1 if threads == "one" else count_threads()


def find_suboptimalities(objectives):
    """Return the relative difference of each library's objective from the lowest one."""
    total_objectives = {name: float(np.sum(objective)) for name, objective in objectives.items()}
    lowest_objective = min(total_objectives.values())
    # An objective of zero means a perfect fit.
    objective_scale = abs(lowest_objective) or np.finfo(np.float64).tiny
    return {
        name: (total_objective - lowest_objective) / objective_scale
        for name, total_objective in total_objectives.items()
    }


def take_median_seconds(runs):
    """Return the median of the seconds of runs."""
    return median(run.seconds for run in runs)


def run_with_threads(controller, n_threads, solve, problem):
    """Return the Run of a library with n_threads threads of BLAS, of OpenMP and of the library itself."""
    with limit_threads(n_threads), controller.limit(limits=n_threads):
        return run(solve, problem)


def run(solve, problem):
    """Return the Run of a library."""
    with warnings.catch_warnings(record=True) as caught_warnings:
        warnings.simplefilter("always")
        seconds, solution = timing.time_fit(partial(solve, problem), min_seconds=timing.MIN_MEASURED_SECONDS)
    has_converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught_warnings)
    return Run(median(seconds), has_converged, solution)
