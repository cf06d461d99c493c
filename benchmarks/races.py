"""Races: fastlin and its peers solve the same problem in turn, and count only where they reach the same objective.

A problem has rows X, the number n_classes, and three judges: `objective(*solution)`, `accuracy(*solution)` on its own
rows, and `test(*solution)`, the Scores on rows that were not trained on. They compute what a solution is worth by the
formula in NumPy and float64, so that no library judges itself. A contender is a function from a problem to its
solution, a tuple. `TriedProblem` (problems.py) is solved by coef (K, d) and intercept (K,), a `Grid` (paths.py) by
those of many fits, and networks and passes by what their modules say.
"""

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import median
from time import perf_counter, sleep

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import ThreadpoolController, threadpool_limits

from benchmarks.intervals import describe_turns
from benchmarks.problems import TriedProblem
from fastlin.kernels.machine.threads import count_threads, limit_threads

FASTLIN = "fastlin"
# The relative amount by which fastlin's objective may exceed the peer's, unless a race says otherwise.
EQUAL = 1e-6
# By this part of the rows, or by so many rows, two fits of about the same objective may differ in their accuracy.
EQUAL_ACCURACY, EQUAL_ROWS = 0.005, 5
# A peer that takes so many times as long as the fastest in the first turn is not called again.
OUT_OF_REACH = 2
# Seconds to wait before a timed call. The threads of OpenBLAS keep spinning for almost a tenth of a second on the
# processors that the next call needs: after scikit-learn's fit of 1,000 x 100 with four classes fastlin's took 5.5 ms
# within 0.08 seconds, and 2.4 later (AMD EPYC, znver4).
PAUSE = 0.15
# Calls of one contender follow each other for so many seconds, and their median is its time of the turn, so that fits
# of a millisecond are measured as well as those of a second.
TURN = 0.03
THREADS = ("all", "one")
# The turns of a race, enough for an interval of its ratio, and the seconds after which it begins no other.
TURNS, MOST_SECONDS = 7, 600


@dataclass(frozen=True)
class Rule:
    """When the results of a race are equal, and what fastlin is asked for so that they are.

    Attributes
    ----------
    tol : float or None
        What fastlin is asked for: its objective lies within this of the minimum, relatively. None where no minimum is
        sought.
    excess : float
        The relative amount by which fastlin's objective may exceed the peer's.
    peers_above : float
        As was measured, no peer comes nearer to the minimum than this, relatively.
    same_steps : float or None
        The relative amount by which objectives may differ where all contenders take the same steps. None: fastlin's may
        be lower.
    """

    tol: float | None = None
    excess: float = EQUAL
    peers_above: float = 0.0
    same_steps: float | None = None

    def __post_init__(self):
        """Raise a ValueError where tol leaves it to luck whether fastlin's objective exceeds the peer's."""
        if self.tol is not None and self.tol > self.excess + self.peers_above:
            raise ValueError(
                f"tol is {self.tol:g}, but peers come within {self.peers_above:g} of the minimum, which fastlin's "
                f"objective may exceed by {self.excess:g} more; tol must be at most their sum."
            )


# What fastlin proves where the peer may reach the minimum.
PROVEN = Rule(tol=EQUAL)


@dataclass(frozen=True)
class Race:
    """A row of the table: a problem, what fastlin does with it, and what its peers do.

    Attributes
    ----------
    title : str
        What tables call the problem.
    load : callable
        The function from a number of rows, or None for all, to the problem. It raises NotImplementedError where data
        are missing.
    fastlin : callable
        The function from the problem, and `tol` where the rule has one, to fastlin's solution.
    peers : dict of str to callable
        The function from the problem to the solution of each peer, by name.
    rows : int or None
        The number of rows of a short race, which takes seconds; None where all rows do.
    within : float
        Only peers count whose objective is within this of the lowest one, relatively; the fastest of them is the one
        to beat.
    rule : Rule
        When the results are equal.
    rounds : int
        The number of turns; a race that takes longer than MOST_SECONDS has fewer.
    warm_up_rows : int
        The number of rows of the calls before the race, which load and compile what a peer needs.
    threads : tuple of str
        Those of THREADS that the whole race is run on.
    package : str
        The module of the peer, where it may not be installed.
    peer_threads : tuple of str
        Those of THREADS that each peer is tried on.
    """

    title: str
    load: Callable
    fastlin: Callable
    peers: dict
    rows: int | None = None
    within: float = np.inf
    rule: Rule = Rule()
    rounds: int = TURNS
    warm_up_rows: int = 200
    threads: tuple = ("all",)
    package: str = ""
    peer_threads: tuple = THREADS

    def solve(self, problem):
        """Return fastlin's solution of the problem."""
        return self.fastlin(problem) if self.rule.tol is None else self.fastlin(problem, tol=self.rule.tol)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a race.

    Attributes
    ----------
    race : Race
        The race.
    problem : object
        Its problem.
    threads : int
        The number of threads of each contender.
    has_converged : bool
        Whether no fit of fastlin has warned that it did not converge.
    seconds : dict of str to float
        The median seconds of a call of each contender, with its best number of threads.
    best_threads : dict of str to int
        That number. fastlin has all threads of the race.
    objectives : dict
        The objective of each contender, as an array where the problem has several fits.
    accuracies : dict of str to float
        The accuracy of each contender on the rows of the problem.
    tests : dict of str to Scores
        What the solution of each contender is worth on rows that it was not trained on.
    solutions : dict of str to tuple
        The solution of each contender.
    turns : list of float
        The time of the peer over fastlin's in each turn: of fastlin the mean of the calls before and after the peer's.
    tried : dict of str to dict
        The seconds of all contenders and the relative excess of their objectives over the lowest, also of those that
        do not reach it.
    """

    race: Race
    problem: object
    threads: int
    has_converged: bool
    seconds: dict
    best_threads: dict
    objectives: dict
    accuracies: dict
    tests: dict
    solutions: dict
    turns: list
    tried: dict

    @property
    def peer(self):
        """The peer that counts: the fastest of those that reach the objective."""
        return _find_fastest(self.seconds)

    @property
    def ratio(self):
        """The time of the peer over that of fastlin, the median of the turns."""
        return median(self.turns)

    @property
    def gap(self):
        """The relative amount by which fastlin's objective exceeds the peer's, the largest where there are several."""
        return float(np.max(np.divide(self.objectives[FASTLIN], self.objectives[self.peer]) - 1))

    def find_fault(self):
        """Return why the race does not count, or "" where it does."""
        if not self.has_converged:
            return "fastlin has not converged"
        same_steps = self.race.rule.same_steps
        if self.gap > (self.race.rule.excess if same_steps is None else same_steps):
            return f"fastlin's objective is higher than that of {self.peer} by {self.gap:.1e} of it"
        if same_steps is not None and self.gap < -same_steps:
            return f"fastlin's objective is not that of {self.peer}: it is lower by {-self.gap:.1e} of it"
        difference = self.accuracies[FASTLIN] - self.accuracies[self.peer]
        if abs(difference) > max(EQUAL_ACCURACY, EQUAL_ROWS / self.problem.X.shape[0]):
            return f"fastlin's accuracy differs from that of {self.peer} by {difference:+.4f}"
        return ""

    def describe(self):
        """Return the outcome as plain values, which JSON can hold."""
        return {
            "kind": "race",
            "title": self.race.title,
            "data": describe_data(self.problem),
            "threads": self.threads,
            "peer": self.peer,
            "contenders": {
                name: {
                    "seconds": seconds,
                    "threads": self.best_threads[name],
                    # Where there are several fits, their mean is given.
                    "objective": float(np.mean(self.objectives[name])),
                    # On rows that were not trained on.
                    "accuracy": self.tests[name].accuracy,
                    "log_loss": self.tests[name].log_loss,
                }
                for name, seconds in self.seconds.items()
            },
            **describe_turns(self.turns),
            "tried": self.tried,
            "gap": self.gap,
            "fault": self.find_fault(),
        }


# asv repeats the setup of a benchmark before each sample.
@lru_cache(maxsize=1)
def _load(load, n_rows):
    return load(n_rows)


def load_problem(race, whole=False):
    """Return the problem of a race with the rows of a short one, or whole.

    Raises
    ------
    NotImplementedError
        The data or the library of the peer are missing; asv and pytest then skip the benchmark.
    """
    if race.package and importlib.util.find_spec(race.package) is None:
        raise NotImplementedError(f"{race.package} is not installed.")
    return _load(race.load, None if whole else race.rows)


def shorten(race):
    """Return the race in one turn, with each peer on one number of threads: a short race is there for its results."""
    return replace(race, rounds=1, peer_threads=race.peer_threads[-1:])


def run_race(race, problem, n_threads=None):
    """Run fastlin and the peers in turn.

    fastlin runs before and after each peer, because the speed of a machine drifts. It has all threads of the race. A
    peer runs on each number of threads that `peer_threads` names, and the faster counts: two threads of BLAS take
    longer than one for many fits. Before the race fastlin solves the whole problem, so that it has compiled
    what it needs, and each peer a small one. After the first turn only those peers count that have reached the
    objective, and only those go on that may be the fastest.

    Parameters
    ----------
    race : Race
        The race.
    problem : object
        Its problem, as the module's docstring describes it.
    n_threads : int or None
        The number of threads of the race. None: all that fastlin uses.

    Returns
    -------
    Outcome
        What came of it.

    Raises
    ------
    RuntimeError
        No peer has reached the objective.
    """
    with limit_threads(n_threads):
        few = race.load(race.warm_up_rows)
        _run(race.solve, problem)
        for solve in race.peers.values():
            _run(solve, few)
        # The libraries of the peers, which bring threads of their own, are loaded by now.
        controller, most = ThreadpoolController(), count_threads()
        ours = FASTLIN, most
        counts = sorted({{"all": most, "one": 1}[threads] for threads in race.peer_threads})
        entries = [(name, n) for name in race.peers for n in counts]
        runs = {entry: [] for entry in (ours, *entries)}
        # Which of fastlin's calls goes before each of a peer's.
        before = {entry: [] for entry in entries}
        begin = perf_counter()
        for turn in range(race.rounds):
            if turn > 0 and perf_counter() - begin > MOST_SECONDS:
                break
            for name, n in entries:
                before[name, n].append(len(runs[ours]))
                runs[ours].append(run_on(controller, most, race.solve, problem))
                runs[name, n].append(run_on(controller, n, race.peers[name], problem))
                if n > 1:
                    sleep(PAUSE)
            if turn == 0:
                objectives = {name: problem.objective(*ran[-1][2]) for (name, _), ran in runs.items()}
                excesses = _find_excesses(objectives)
                equal = _find_equal_peers(race, excesses)
                entries = [entry for entry in entries if entry[0] in equal]
                fastest = min(_take_median(runs[entry]) for entry in entries)
                entries = [entry for entry in entries if _take_median(runs[entry]) <= OUT_OF_REACH * fastest]
        runs[ours].append(run_on(controller, most, race.solve, problem))
        medians = {entry: _take_median(ran) for entry, ran in runs.items()}
        best = {name: (name, n) for name, n in sorted(runs, key=medians.get, reverse=True)}
        of_all = {name: medians[best[name]] for name, _ in runs}
        seconds = {name: of_all[name] for name in (FASTLIN, *equal)}
        solutions = {name: runs[best[name]][-1][2] for name in seconds}
        peer = _find_fastest(seconds)
        own = [seconds for seconds, _, _ in runs[ours]]
        turns = [
            2 * ran[0] / (own[place] + own[place + 1])
            for place, ran in zip(before[best[peer]], runs[best[peer]], strict=True)
        ]
        return Outcome(
            race,
            problem,
            most,
            all(ran[1] for ran in runs[ours]),
            seconds,
            {name: best[name][1] for name in seconds},
            {name: objectives[name] for name in seconds},
            {name: problem.accuracy(*solution) for name, solution in solutions.items()},
            _test(race, problem, solutions),
            solutions,
            turns,
            {name: {"seconds": own, "excess": excesses[name]} for name, own in of_all.items()},
        )


def measure_in_turn(calls, n_turns, n_calls=1):
    """Return the seconds of each of several functions in each turn, by name.

    The functions take turns, because the speed of a machine drifts over seconds. A turn makes n_calls calls of one, as
    a solver does. One call of each goes before, which compiles.
    """
    seconds = {name: [] for name in calls}
    with threadpool_limits(count_threads()):
        for call in calls.values():
            call()
        for _ in range(n_turns):
            for name, call in calls.items():
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


def _find_excesses(objectives):
    """Return by how much the objective of each contender exceeds the lowest one, relatively."""
    totals = {name: float(np.sum(objective)) for name, objective in objectives.items()}
    lowest = min(totals.values())
    # An objective of zero is a perfect score.
    size = abs(lowest) or np.finfo(np.float64).tiny
    return {name: (total - lowest) / size for name, total in totals.items()}


def _find_equal_peers(race, excesses):
    """Return the names of the peers that come within race.within of the lowest objective."""
    reached = [name for name in race.peers if excesses[name] <= race.within]
    if not reached:
        raise RuntimeError(f"{race.title}: no peer comes within {race.within} of the lowest objective: {excesses}")
    return reached


def _test(race, problem, solutions):
    """Return the Scores of each contender; where all rows are fitted, those of its solution of four fifths of them."""
    if isinstance(problem, TriedProblem) and problem.X_test is None:
        problem = problem.hold_out()
        solves = {FASTLIN: race.solve, **race.peers}
        solutions = {name: _run(solves[name], problem)[2] for name in solutions}
    return {name: problem.test(*solution) for name, solution in solutions.items()}


def _find_fastest(seconds):
    return min(seconds.keys() - {FASTLIN}, key=seconds.get)


def _take_median(ran):
    return median(seconds for seconds, _, _ in ran)


def run_on(controller, n_threads, solve, problem):
    """Return what `_run` does, with so many threads of BLAS, OpenMP and the contender's own."""
    with limit_threads(n_threads), controller.limit(limits=n_threads):
        return _run(solve, problem)


def _run(solve, problem):
    """Return the median seconds of a call, whether no warning says that it has not converged, and the solution."""
    seconds, total = [], 0.0
    # Peers warn of iterations that are used up, and of parameters that a later version will remove.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        while not seconds or total < TURN:
            begin = perf_counter()
            solution = solve(problem)
            seconds.append(perf_counter() - begin)
            total += seconds[-1]
    has_converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return median(seconds), has_converged, solution
