"""Races: fastlin and its peers solve the same problem in turn, and count only where they reach the same objective.

A problem has X, n_classes and three judges: `objective(*solution)`, `accuracy(*solution)` on its own rows, and
`test(*solution)`, the Scores on others. A contender is a function from a problem to its solution, a tuple.
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
from fastlin.course.studies.fair_threads import TURNS, describe_turns
from fastlin.kernels.machine.threads import count_threads, limit_threads

FASTLIN = "fastlin"
# The relative amount by which fastlin's objective may exceed the peer's, unless a race says otherwise.
EQUAL = 1e-6
# By this part of the rows, or by so many rows, two fits of about the same objective may differ in their accuracy.
EQUAL_ACCURACY, EQUAL_ROWS = 0.005, 5
# A peer that takes so many times as long as the fastest in the first turn is not called again.
OUT_OF_REACH = 2
# Seconds to wait before a timed call: the threads of OpenBLAS keep spinning for almost a tenth of a second on the
# processors that the next call needs.
PAUSE = 0.15
# Calls of one contender follow each other for so many seconds, and their median is its time of the turn.
TURN = 0.03
THREADS = ("all", "one")
# The seconds after which a race begins no other turn.
MOST_SECONDS = 600


@dataclass(frozen=True)
class Rule:
    """When the results of a race are equal, and what fastlin is asked for so that they are; all numbers are relative.

    fastlin's objective may exceed the peer's by `excess`, and no peer comes nearer to the minimum than `peers_above`.
    Where all take the same steps, objectives may differ by `same_steps` either way.
    """

    tol: float | None = None
    excess: float = EQUAL
    peers_above: float = 0.0
    same_steps: float | None = None
    same_accuracy: bool = True

    def __post_init__(self):
        """Raise a ValueError where tol leaves it to luck whether fastlin's objective exceeds the peer's."""
        if self.tol is not None and self.tol > self.excess + self.peers_above:
            raise ValueError(f"tol is {self.tol:g}: it must be at most the sum of excess and peers_above.")


# What fastlin proves where the peer may reach the minimum.
PROVEN = Rule(tol=EQUAL)


@dataclass(frozen=True)
class Race:
    """A row of the table: a problem, what fastlin does with it, and what its peers do."""

    title: str
    # From a number of rows, or None for all, to the problem. It raises NotImplementedError where data are missing.
    load: Callable
    # From the problem, and `tol` where the rule has one, to fastlin's solution.
    fastlin: Callable
    # By name, from the problem to the solution of each peer.
    peers: dict
    # The number of rows of a short race.
    rows: int | None = None
    # Only peers count whose objective is within this of the lowest one, relatively; the fastest is the one to beat.
    within: float = np.inf
    rule: Rule = Rule()
    rounds: int = TURNS
    # The number of rows of the calls before the race, which load and compile what a peer needs.
    warm_up_rows: int = 200
    # Those of THREADS that the whole race is run on, and those that each peer is tried on.
    threads: tuple = ("all",)
    peer_threads: tuple = THREADS
    # The module of the peer, where it may not be installed.
    package: str = ""

    def solve(self, problem):
        return self.fastlin(problem) if self.rule.tol is None else self.fastlin(problem, tol=self.rule.tol)


@dataclass(frozen=True)
class Case:
    """A case that is no race."""

    kind: str
    title: str
    # As those of a Race.
    load: Callable
    # From what is loaded, and whether all turns are taken, to what the record has besides, as plain values.
    measure: Callable
    rows: int | None = None

    def __call__(self, whole=False):
        loaded = self.load(None if whole else self.rows)
        head = {"kind": self.kind, "title": self.title, "threads": count_threads()}
        return head | self.measure(loaded, whole)


class Run(NamedTuple):
    """Calls of a contender: their median seconds, whether none warned that it had not converged, and the solution."""

    seconds: float
    has_converged: bool
    solution: tuple


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a race, by contender on its best number of threads; objectives are arrays where there are many fits.

    `reached` names those that count, and `turns` has the peer's time over the mean of fastlin's calls around it.
    """

    race: Race
    problem: object
    threads: int
    runs: dict
    best_threads: dict
    objectives: dict
    reached: list
    turns: list

    @cached_property
    def seconds(self):
        return {name: take_median(self.runs[name]) for name in self.reached}

    @property
    def peer(self):
        """The peer that counts: the fastest of those that reach the objective."""
        return min(self.seconds.keys() - {FASTLIN}, key=self.seconds.get)

    @property
    def ratio(self):
        return median(self.turns)

    @property
    def gap(self):
        """The relative amount by which fastlin's objective exceeds the peer's, the largest where there are several."""
        return float(np.max(np.divide(self.objectives[FASTLIN], self.objectives[self.peer]) - 1))

    @property
    def has_converged(self):
        return all(run.has_converged for run in self.runs[FASTLIN])

    def test(self, name):
        """Return the Scores of a contender; where all rows are fitted, of its solution of four fifths of them."""
        problem, solution = self.problem, self.runs[name][-1].solution
        if isinstance(problem, TriedProblem) and problem.X_test is None:
            problem, solve = problem.hold_out(), self.race.solve if name == FASTLIN else self.race.peers[name]
            with limit_threads(self.threads):
                solution = run(solve, problem).solution
        return problem.test(*solution)

    def find_fault(self):
        """Return why the race does not count, or "" where it does."""
        if not self.has_converged:
            return "fastlin has not converged"
        same_steps = self.race.rule.same_steps
        if self.gap > (self.race.rule.excess if same_steps is None else same_steps):
            return f"fastlin's objective is higher than that of {self.peer} by {self.gap:.1e} of it"
        if same_steps is not None and self.gap < -same_steps:
            return f"fastlin's objective is not that of {self.peer}: it is lower by {-self.gap:.1e} of it"
        ours, theirs = (self.problem.accuracy(*self.runs[name][-1].solution) for name in (FASTLIN, self.peer))
        allowed = max(EQUAL_ACCURACY, EQUAL_ROWS / self.problem.X.shape[0])
        if self.race.rule.same_accuracy and abs(ours - theirs) > allowed:
            return f"fastlin's accuracy differs from that of {self.peer} by {ours - theirs:+.4f}"
        return ""

    def describe_contender(self, name):
        return {
            "seconds": take_median(self.runs[name]),
            "threads": self.best_threads[name],
            "objective": float(np.mean(self.objectives[name])),
            **self.test(name)._asdict(),
        }

    def describe(self):
        excesses = find_excesses(self.objectives)
        return {
            "kind": "race",
            "title": self.race.title,
            "data": describe_data(self.problem),
            "threads": self.threads,
            "peer": self.peer,
            "contenders": {name: self.describe_contender(name) for name in self.reached},
            **describe_turns(self.turns),
            "tried": {
                name: {"seconds": take_median(runs), "excess": excesses[name]} for name, runs in self.runs.items()
            },
            "gap": self.gap,
            "fault": self.find_fault(),
        }


def load_problem(race, whole=False):
    """Return the problem of a race; NotImplementedError, by which asv and pytest skip, says what is missing."""
    require(race.package)
    return race.load(None if whole else race.rows)


def require(package):
    """Raise a NotImplementedError where a package is not installed; "" always is."""
    if package and importlib.util.find_spec(package) is None:
        raise NotImplementedError(f"{package} is not installed.")


def shorten(race):
    """Return the race in one turn, with each peer on one number of threads: a short race is there for its results."""
    return replace(race, rounds=1, peer_threads=race.peer_threads[-1:])


def run_race(race, problem, n_threads=None):
    """Return the Outcome of fastlin and the peers in turn; RuntimeError where no peer has reached the objective."""
    with limit_threads(n_threads):
        few = race.load(race.warm_up_rows)
        run(race.solve, problem)
        for solve in race.peers.values():
            run(solve, few)
        # The libraries of the peers, which bring threads of their own, are loaded by now.
        controller, most = ThreadpoolController(), count_threads()
        counts = sorted({count_race_threads(threads) for threads in race.peer_threads})
        entries = [(name, n) for name in race.peers for n in counts]
        runs = {(FASTLIN, most): [], **{entry: [] for entry in entries}}
        ours, places = runs[FASTLIN, most], {entry: [] for entry in entries}
        begin = perf_counter()
        for turn in range(race.rounds):
            if turn > 0 and perf_counter() - begin > MOST_SECONDS:
                break
            for name, n in entries:
                ours.append(run_on(controller, most, race.solve, problem))
                places[name, n].append(len(ours))
                runs[name, n].append(run_on(controller, n, race.peers[name], problem))
                if n > 1:
                    sleep(PAUSE)
            if turn == 0:
                objectives = {name: problem.objective(*own[-1].solution) for (name, _), own in runs.items()}
                excesses = find_excesses(objectives)
                reached = [FASTLIN, *(name for name in race.peers if excesses[name] <= race.within)]
                if len(reached) == 1:
                    far = f"no peer comes within {race.within} of the lowest objective: {excesses}"
                    raise RuntimeError(f"{race.title}: {far}")
                seconds = {entry: take_median(runs[entry]) for entry in entries if entry[0] in reached}
                entries = [entry for entry in seconds if seconds[entry] <= OUT_OF_REACH * min(seconds.values())]
        ours.append(run_on(controller, most, race.solve, problem))
    best = {name: min(counts, key=lambda n, name=name: take_median(runs[name, n])) for name in race.peers}
    of_peers = {name: runs[name, n] for name, n in best.items()}
    peer = min(reached[1:], key=lambda name: take_median(of_peers[name]))
    turns = [
        2 * own.seconds / (ours[place - 1].seconds + ours[place].seconds)
        for place, own in zip(places[peer, best[peer]], of_peers[peer], strict=True)
    ]
    return Outcome(
        race, problem, most, {FASTLIN: ours, **of_peers}, {FASTLIN: most, **best}, objectives, reached, turns
    )


def measure_in_turn(calls, n_turns, n_calls=1, first=1):
    """Return by name the seconds of functions in turns of n_calls calls each, after `first` calls that compile."""
    seconds = {name: [] for name in calls}
    with threadpool_limits(count_threads()):
        for turn in range(-first, n_turns):
            for name, call in calls.items():
                if turn < 0:
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


def count_race_threads(threads):
    """Return the number of threads that "all" or "one" means."""
    return 1 if threads == "one" else count_threads()


def find_excesses(objectives):
    """Return by how much the objective of each contender exceeds the lowest one, relatively."""
    totals = {name: float(np.sum(objective)) for name, objective in objectives.items()}
    lowest = min(totals.values())
    # An objective of zero is a perfect score.
    size = abs(lowest) or np.finfo(np.float64).tiny
    return {name: (total - lowest) / size for name, total in totals.items()}


def take_median(runs):
    """Return the median seconds of runs."""
    return median(run.seconds for run in runs)


def run_on(controller, n_threads, solve, problem):
    """Return the Run of a contender with so many threads of BLAS, OpenMP and its own."""
    with limit_threads(n_threads), controller.limit(limits=n_threads):
        return run(solve, problem)


def run(solve, problem):
    """Return the Run of a contender."""
    seconds, total = [], 0.0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        while not seconds or total < TURN:
            begin = perf_counter()
            solution = solve(problem)
            seconds.append(perf_counter() - begin)
            total += seconds[-1]
    has_converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return Run(median(seconds), has_converged, solution)
