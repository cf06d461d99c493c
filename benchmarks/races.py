"""The races: fastlin and its peers on the same problem in turn, which count only at an objective no higher than theirs.

A problem is a `Problem` (fastlin/studies/contenders.py), solved by coef (K, d) and intercept (K,), or a `Grid` of them
(benchmarks/paths.py), solved by those of each fit. Either judges a solution by the formula in NumPy and float64.
"""

import argparse
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from statistics import median
from time import perf_counter, sleep

import numpy as np
from threadpoolctl import threadpool_limits

import fastlin
from benchmarks.common import PAUSE, fit, require
from fastlin.kernels.machine.threads import count_threads
from fastlin.studies.contenders import Problem

TOL = 1e-4
# By which fastlin's J may lie above the peer's, relative.
EQUAL = 1e-6
THREADS = ("all", "one")


def fit_fastlin(problem, tol, threads):
    """Fit fastlin's LogisticRegression; return coef, intercept and whether it has converged."""
    model = fastlin.LogisticRegression(
        C=problem.C, l1_ratio=problem.l1_ratio, tol=tol, fit_intercept=problem.fit_intercept, n_jobs=threads
    )
    fit(model, problem.X, problem.y)
    return model.coef_, model.intercept_, model.converged_


@dataclass(frozen=True)
class Race:
    """A row of the table: a problem, fastlin's parameters, the peers and the ratio that the fastest is beaten by.

    Attributes
    ----------
    title : str
    load : callable
        From a number of rows (None: all) to the problem; raises NotImplementedError where data are missing.
    peers : dict
        From a name to the function (problem, threads) -> coef, intercept.
    least_ratio : float
        The peer's time over fastlin's, with all threads and with one each.
    tol : float
        fastlin's: the certified relative excess at which it stops.
    within : float
        Of several peers the fastest counts whose J is within this of the lowest, relative.
    rounds : int
        Turns, by what they cost.
    smoke_rows : int
        Rows that show in seconds that the race can be run.
    warm_up_rows : int
        Of the fit before the race that loads and compiles what a peer needs.
    threads : tuple
        Of THREADS, those that it is run on.
    package : str
        The peer's library where it may not be installed.
    fit : callable
        From the problem, tol and threads to fastlin's coef, intercept and whether it has converged.
    """

    title: str
    load: Callable
    peers: dict
    least_ratio: float
    tol: float = TOL
    within: float = np.inf
    rounds: int = 1
    smoke_rows: int = 1_000
    warm_up_rows: int = 500
    threads: tuple = THREADS
    package: str = ""
    fit: Callable = fit_fastlin


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a race led to: medians of the seconds, J and accuracy of each, by name, and the peer that counts.

    Attributes
    ----------
    threads : int
    peer : str
    has_converged : bool
        fastlin's fits, all of them.
    seconds, objectives, accuracies : dict
        J is an array where the problem has several fits. Accuracies are those on the training rows, of several their
        mean.
    """

    threads: int
    peer: str
    has_converged: bool
    seconds: dict = field(default_factory=dict)
    objectives: dict = field(default_factory=dict)
    accuracies: dict = field(default_factory=dict)

    @property
    def ratio(self):
        """The peer's time over fastlin's."""
        return self.seconds[self.peer] / self.seconds["fastlin"]

    @property
    def relative_gap(self):
        """fastlin's J less the peer's, relative to it, the largest of several: negative where fastlin's is lower."""
        return float(np.max(np.divide(self.objectives["fastlin"], self.objectives[self.peer]) - 1))

    @property
    def counts(self):
        """Whether fastlin has converged to an objective no higher than the peer's."""
        return self.has_converged and self.relative_gap <= EQUAL


# asv repeats a benchmark's setup before each sample.
@lru_cache(maxsize=1)
def _load(load, n_rows):
    return load(n_rows)


def make_problem(race, n_rows=None):
    """Return the problem of a race, or one of so many rows.

    Raises
    ------
    NotImplementedError
        Its data or its peer's library are missing; asv then skips the benchmark.
    """
    if race.package:
        require(race.package)
    return _load(race.load, n_rows)


def pose(name, X, y, C, **parameters):
    """Return the Problem with any labels, and an intercept unless told otherwise."""
    classes, labels = np.unique(y, return_inverse=True)
    return Problem(name, X, labels.astype(np.int64), len(classes), C, **{"fit_intercept": True, **parameters})


def run_race(race, problem, threads, rounds=None):
    """Run fastlin and the peers in turn on so many threads each; return the Outcome.

    fastlin runs before and after each peer, since a machine's speed drifts. One whole fit of fastlin's comes first,
    so that it has compiled what it needs, and one of each peer's on a few rows. Then, in a race of several peers, one
    fit of each tells which of them reach the objective.
    """
    rounds = rounds or race.rounds
    few = _take_few(problem, race.warm_up_rows)
    _run(race.fit, problem, race.tol, threads)
    for fit_peer in race.peers.values():
        _run(fit_peer, few, threads)
    runs = {"fastlin": [], **{name: [] for name in race.peers}}
    with threadpool_limits(threads):
        for turn in range(rounds):
            for name in list(runs)[1:]:
                runs["fastlin"].append(_run(race.fit, problem, race.tol, threads))
                runs[name].append(_run(race.peers[name], problem, threads))
            if turn == 0:
                objectives = {name: problem.objective(*fits[-1][1:3]) for name, fits in runs.items()}
                totals = {name: np.sum(objective) for name, objective in objectives.items()}
                lowest = min(totals.values()) * (1 + race.within)
                reached = [name for name in race.peers if totals[name] <= lowest]
                if not reached:
                    raise AssertionError(f"{race.title}: no peer comes within {race.within} of the lowest J: {totals}")
                # The others have no part in the further turns.
                runs = {name: runs[name] for name in ("fastlin", *reached)}
        runs["fastlin"].append(_run(race.fit, problem, race.tol, threads))
    seconds = {name: median(fit[0] for fit in fits) for name, fits in runs.items()}
    return Outcome(
        threads,
        min(runs.keys() - {"fastlin"}, key=seconds.get),
        all(bool(fit[3]) for fit in runs["fastlin"]),
        seconds,
        {name: objectives[name] for name in runs},
        {name: problem.accuracy(*fits[-1][1:3]) for name, fits in runs.items()},
    )


def _run(solve, *arguments):
    """Return seconds and what a function returns, as one tuple."""
    # OpenBLAS's threads go on spinning for a while, on the processors that the next fit needs.
    sleep(PAUSE)
    with warnings.catch_warnings():
        # Of iterations that came to an end, or of a parameter that will go.
        warnings.simplefilter("ignore")
        begin = perf_counter()
        solution = solve(*arguments)
        return perf_counter() - begin, *solution


def _take_few(problem, n_rows):
    """Return the problem on some of its rows, which still have every label from 0 on."""
    step = max(1, len(problem.y) // n_rows)
    classes, labels = np.unique(problem.y[::step], return_inverse=True)
    X = problem.X[::step].copy()
    return replace(problem, X=X, y=labels.astype(np.int64), n_classes=len(classes))


def measure_ratio(race, problem, threads):
    """Return the ratio of a race on "all" threads or "one", for asv.

    Raises
    ------
    AssertionError
        It does not count.
    """
    outcome = run_race(race, problem, count_race_threads(threads))
    if not outcome.counts:
        raise AssertionError(f"{race.title}: converged {outcome.has_converged}, J {outcome.relative_gap:+.1e} relative")
    return outcome.ratio


def count_race_threads(threads):
    """Return how many "all" or "one" are."""
    return 1 if threads == "one" else count_threads()


def print_races(races, program, arguments=None):
    """Run the races that the arguments name and print a row for each peer as soon as it is known."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description="Race fastlin against its peers.")
    parser.add_argument("races", nargs="*", metavar="race", help=f"of {', '.join(races)}; all where none is named")
    parser.add_argument("--threads", choices=THREADS, nargs="+", default=THREADS)
    parser.add_argument("--rounds", type=int, help="turns of each race, otherwise 1 or 3 by what they cost")
    options = parser.parse_args(arguments)
    for name in options.races:
        if name not in races:
            parser.error(f"{name} is no race; there are {', '.join(races)}")
    smoke = os.environ.get("FASTLIN_BENCHMARK_SMOKE") == "1"
    row = "{:44} {:38} {:>7} {:>9} {:>9} {:>7} {:>8} {:>14} {:>14}  {}"
    print(
        row.format("problem", "peer", "threads", "fastlin s", "peer s", "ratio", "at least", "J fastlin", "J peer", "")
    )
    for name in options.races or races:
        race = races[name]
        try:
            problem = make_problem(race, race.smoke_rows if smoke else None)
        except NotImplementedError as error:
            print(f"{name}: skipped. {error}")
            continue
        for threads in (threads for threads in options.threads if threads in race.threads):
            outcome = run_race(race, problem, count_race_threads(threads), 1 if smoke else options.rounds)
            for peer in sorted(outcome.seconds.keys() - {"fastlin"}, key=outcome.seconds.get):
                print(_format(row, race, outcome, peer), flush=True)


def _format(row, race, outcome, peer):
    ours, theirs = outcome.seconds["fastlin"], outcome.seconds[peer]
    remarks = []
    if peer != outcome.peer:
        remarks.append("not the fastest")
    elif not outcome.counts:
        remarks.append(f"does not count: J {outcome.relative_gap:+.1e}")
    if not outcome.has_converged:
        remarks.append("not converged")
    return row.format(
        f"{race.title}, tol {race.tol:.0e}",
        peer,
        outcome.threads,
        f"{ours:.4g}",
        f"{theirs:.4g}",
        f"{theirs / ours:.2f}",
        race.least_ratio,
        # Of several fits the mean.
        *(f"{np.mean(outcome.objectives[name]):.9f}" for name in ("fastlin", peer)),
        ", ".join(remarks),
    )
