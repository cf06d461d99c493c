"""Comparisons: fastlin and its baselines solve the same problem in turn, and count only where they reach the same objective.

A problem has X, n_classes and three judges: `objective(*solution)`, `accuracy(*solution)` on its own rows, and
`test(*solution)`, the Scores on others. A library is a function from a problem to its solution, a tuple.
"""

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from time import perf_counter, sleep
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import ThreadpoolController, threadpool_limits

from benchmarks.problems import TriedProblem
from fastlin.course.studies.timing import REPETITIONS, describe_repetitions
from fastlin.kernels.machine.threads import count_threads, limit_threads

FASTLIN = "fastlin"
# The relative amount by which fastlin's objective may exceed the baseline's, unless a comparison says otherwise.
EQUAL = 1e-6
# By this part of the rows, or by so many rows, two fits of about the same objective may differ in their accuracy.
EQUAL_ACCURACY, EQUAL_ROWS = 0.005, 5
# A baseline that takes so many times as long as the fastest in the first turn is not called again.
OUT_OF_REACH = 2
# Seconds to wait before a timed call: the threads of OpenBLAS keep spinning for almost a tenth of a second on the
# processors that the next call needs.
PAUSE = 0.15
# Calls of one library follow each other for so many seconds, and their median is its time of the turn.
REPETITION = 0.03
THREADS = ("all", "one")
# The seconds after which a comparison begins no other turn.
MAX_SECONDS = 600


@dataclass(frozen=True)
class Rule:
    """When the results of a comparison are equal, and what fastlin is asked for so that they are; all numbers are relative.

    fastlin's objective may exceed the baseline's by `suboptimality`, and no baseline comes nearer to the minimum than `baselines_above`.
    Where all take the same steps, objectives may differ by `same_steps` either way.
    """

    tol: float | None = None
    suboptimality: float = EQUAL
    baselines_above: float = 0.0
    same_steps: float | None = None
    same_accuracy: bool = True

    def __post_init__(self):
        """Raise a ValueError where tol leaves it to luck whether fastlin's objective exceeds the baseline's."""
        if self.tol is not None and self.tol > self.suboptimality + self.baselines_above:
            raise ValueError(f"tol is {self.tol:g}: it must be at most the sum of excess and baselines_above.")


# What fastlin proves where the baseline may reach the minimum.
CERTIFIED = Rule(tol=EQUAL)


@dataclass(frozen=True)
class Comparison:
    """A row of the table: a problem, what fastlin does with it, and what its baselines do."""

    title: str
    # From a number of rows, or None for all, to the problem. It raises NotImplementedError where data are missing.
    load: Callable
    # From the problem, and `tol` where the rule has one, to fastlin's solution.
    fastlin: Callable
    # By name, from the problem to the solution of each baseline.
    baselines: dict
    # The number of rows of a short comparison.
    rows: int | None = None
    # Only baselines count whose objective is within this of the lowest one, relatively; the fastest is the one to beat.
    within: float = np.inf
    rule: Rule = Rule()
    rounds: int = REPETITIONS
    # The number of rows of the calls before the comparison, which load and compile what a baseline needs.
    warm_up_rows: int = 200
    # Those of THREADS that the whole comparison is run on, and those that each baseline is tried on.
    threads: tuple = ("all",)
    baseline_threads: tuple = THREADS
    # The module of the baseline, where it may not be installed.
    package: str = ""

    def solve(self, problem):
        return self.fastlin(problem) if self.rule.tol is None else self.fastlin(problem, tol=self.rule.tol)


@dataclass(frozen=True)
class Case:
    """A case that is no comparison."""

    kind: str
    title: str
    # As those of a Comparison.
    load: Callable
    # From what is loaded, and whether all turns are taken, to what the record has besides, as plain values.
    measure: Callable
    rows: int | None = None

    def __call__(self, whole=False):
        loaded = self.load(None if whole else self.rows)
        head = {"kind": self.kind, "title": self.title, "threads": count_threads()}
        return head | self.measure(loaded, whole)


class Run(NamedTuple):
    """Calls of a library: their median seconds, whether none warned that it had not converged, and the solution."""

    seconds: float
    has_converged: bool
    solution: tuple


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a comparison, by library on its best number of threads; objectives are arrays where there are many fits.

    `reached` names those that count, and `repetitions` has the baseline's time over the mean of fastlin's calls around it.
    """

    comparison: Comparison
    problem: object
    threads: int
    runs: dict
    best_threads: dict
    objectives: dict
    reached: list
    repetitions: list

    @cached_property
    def seconds(self):
        return {name: take_median(self.runs[name]) for name in self.reached}

    @property
    def baseline(self):
        """The baseline that counts: the fastest of those that reach the objective."""
        return min(self.seconds.keys() - {FASTLIN}, key=self.seconds.get)

    @property
    def ratio(self):
        return median(self.repetitions)

    @property
    def gap(self):
        """The relative amount by which fastlin's objective exceeds the baseline's, the largest where there are several."""
        return float(np.max(np.divide(self.objectives[FASTLIN], self.objectives[self.baseline]) - 1))

    @property
    def has_converged(self):
        return all(run.has_converged for run in self.runs[FASTLIN])

    def test(self, name):
        """Return the Scores of a library; where all rows are fitted, of its solution of four fifths of them."""
        problem, solution = self.problem, self.runs[name][-1].solution
        if isinstance(problem, TriedProblem) and problem.X_test is None:
            problem, solve = (
                problem.hold_out(),
                self.comparison.solve if name == FASTLIN else self.comparison.baselines[name],
            )
            with limit_threads(self.threads):
                solution = run(solve, problem).solution
        return problem.test(*solution)

    def find_failure(self):
        """Return why the comparison does not count, or "" where it does."""
        if not self.has_converged:
            return "fastlin has not converged"
        same_steps = self.comparison.rule.same_steps
        if self.gap > (self.comparison.rule.suboptimality if same_steps is None else same_steps):
            return f"fastlin's objective is higher than that of {self.baseline} by {self.gap:.1e} of it"
        if same_steps is not None and self.gap < -same_steps:
            return f"fastlin's objective is not that of {self.baseline}: it is lower by {-self.gap:.1e} of it"
        ours, theirs = (self.problem.accuracy(*self.runs[name][-1].solution) for name in (FASTLIN, self.baseline))
        allowed = max(EQUAL_ACCURACY, EQUAL_ROWS / self.problem.X.shape[0])
        if self.comparison.rule.same_accuracy and abs(ours - theirs) > allowed:
            return f"fastlin's accuracy differs from that of {self.baseline} by {ours - theirs:+.4f}"
        return ""

    def describe_library(self, name):
        return {
            "seconds": take_median(self.runs[name]),
            "threads": self.best_threads[name],
            "objective": float(np.mean(self.objectives[name])),
            **self.test(name)._asdict(),
        }

    def describe(self):
        excesses = find_excesses(self.objectives)
        return {
            "kind": "comparison",
            "title": self.comparison.title,
            "data": describe_data(self.problem),
            "threads": self.threads,
            "baseline": self.baseline,
            "libraries": {name: self.describe_library(name) for name in self.reached},
            **describe_repetitions(self.repetitions),
            "tried": {
                name: {"seconds": take_median(runs), "suboptimality": excesses[name]}
                for name, runs in self.runs.items()
            },
            "gap": self.gap,
            "failure": self.find_failure(),
        }


def load_problem(comparison, whole=False):
    """Return the problem of a comparison; NotImplementedError, by which asv and pytest skip, says what is missing."""
    require(comparison.package)
    return comparison.load(None if whole else comparison.rows)


def require(package):
    """Raise a NotImplementedError where a package is not installed; "" always is."""
    if package and importlib.util.find_spec(package) is None:
        raise NotImplementedError(f"{package} is not installed.")


def shorten(comparison):
    """Return the comparison in one turn, with each baseline on one number of threads: a short comparison is there for its results."""
    return replace(comparison, rounds=1, baseline_threads=comparison.baseline_threads[-1:])


def run_comparison(comparison, problem, n_threads=None):
    """Return the Outcome of fastlin and the baselines in turn; RuntimeError where no baseline has reached the objective."""
    with limit_threads(n_threads):
        few = comparison.load(comparison.warm_up_rows)
        run(comparison.solve, problem)
        for solve in comparison.baselines.values():
            run(solve, few)
        # The libraries of the baselines, which bring threads of their own, are loaded by now.
        controller, most = ThreadpoolController(), count_threads()
        counts = sorted({count_comparison_threads(threads) for threads in comparison.baseline_threads})
        entries = [(name, n) for name in comparison.baselines for n in counts]
        runs = {(FASTLIN, most): [], **{entry: [] for entry in entries}}
        ours, places = runs[FASTLIN, most], {entry: [] for entry in entries}
        begin = perf_counter()
        for repetition in range(comparison.rounds):
            if repetition > 0 and perf_counter() - begin > MAX_SECONDS:
                break
            for name, n in entries:
                ours.append(run_on(controller, most, comparison.solve, problem))
                places[name, n].append(len(ours))
                runs[name, n].append(run_on(controller, n, comparison.baselines[name], problem))
                if n > 1:
                    sleep(PAUSE)
            if repetition == 0:
                objectives = {name: problem.objective(*own[-1].solution) for (name, _), own in runs.items()}
                excesses = find_excesses(objectives)
                reached = [FASTLIN, *(name for name in comparison.baselines if excesses[name] <= comparison.within)]
                if len(reached) == 1:
                    far = f"no baseline comes within {comparison.within} of the lowest objective: {excesses}"
                    raise RuntimeError(f"{comparison.title}: {far}")
                seconds = {entry: take_median(runs[entry]) for entry in entries if entry[0] in reached}
                entries = [entry for entry in seconds if seconds[entry] <= OUT_OF_REACH * min(seconds.values())]
        ours.append(run_on(controller, most, comparison.solve, problem))
    best = {name: min(counts, key=lambda n, name=name: take_median(runs[name, n])) for name in comparison.baselines}
    of_baselines = {name: runs[name, n] for name, n in best.items()}
    baseline = min(reached[1:], key=lambda name: take_median(of_baselines[name]))
    repetitions = [
        2 * own.seconds / (ours[place - 1].seconds + ours[place].seconds)
        for place, own in zip(places[baseline, best[baseline]], of_baselines[baseline], strict=True)
    ]
    return Outcome(
        comparison,
        problem,
        most,
        {FASTLIN: ours, **of_baselines},
        {FASTLIN: most, **best},
        objectives,
        reached,
        repetitions,
    )


def measure_interleaved(calls, n_repetitions, n_calls=1, first=1):
    """Return by name the seconds of functions in turns of n_calls calls each, after `first` calls that compile."""
    seconds = {name: [] for name in calls}
    with threadpool_limits(count_threads()):
        for repetition in range(-first, n_repetitions):
            for name, call in calls.items():
                if repetition < 0:
                    call()
                    continue
                sleep(PAUSE)
                begin = perf_counter()
                for _ in range(n_calls):
                    call()
                seconds[name].append((perf_counter() - begin) / n_calls)
    return seconds


def describe_data(problem):
    """Return the shape of a problem in words."""
    n, d = problem.X.shape
    return f"{n:,} × {d:,}, {problem.n_classes:,} classes, {problem.X.dtype}"


def count_comparison_threads(threads):
    """Return the number of threads that "all" or "one" means."""
    return 1 if threads == "one" else count_threads()


def find_excesses(objectives):
    """Return by how much the objective of each library exceeds the lowest one, relatively."""
    totals = {name: float(np.sum(objective)) for name, objective in objectives.items()}
    lowest = min(totals.values())
    # An objective of zero is a perfect score.
    size = abs(lowest) or np.finfo(np.float64).tiny
    return {name: (total - lowest) / size for name, total in totals.items()}


def take_median(runs):
    """Return the median seconds of runs."""
    return median(run.seconds for run in runs)


def run_on(controller, n_threads, solve, problem):
    """Return the Run of a library with so many threads of BLAS, OpenMP and its own."""
    with limit_threads(n_threads), controller.limit(limits=n_threads):
        return run(solve, problem)


def run(solve, problem):
    """Return the Run of a library."""
    seconds, total = [], 0.0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        while not seconds or total < REPETITION:
            begin = perf_counter()
            solution = solve(problem)
            seconds.append(perf_counter() - begin)
            total += seconds[-1]
    has_converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return Run(median(seconds), has_converged, solution)
