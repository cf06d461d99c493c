"""Races: fastlin and its peers solve the same problem in turn. They count only where fastlin's objective is no higher.

A problem is a `Problem` (fastlin/studies/contenders.py), which is solved by coef (K, d) and intercept (K,), or a `Grid`
of them (benchmarks/paths.py), which is solved by those of each fit. Both judge a solution by the formula, in NumPy and
float64.
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
# The relative amount by which fastlin's J may exceed the peer's.
EQUAL = 1e-6
THREADS = ("all", "one")


def fit_fastlin(problem, tol, threads):
    """Fit LogisticRegression of fastlin; return coef, intercept and whether it has converged."""
    model = fastlin.LogisticRegression(
        C=problem.C, l1_ratio=problem.l1_ratio, tol=tol, fit_intercept=problem.fit_intercept, n_jobs=threads
    )
    fit(model, problem.X, problem.y)
    return model.coef_, model.intercept_, model.converged_


@dataclass(frozen=True)
class Race:
    """A row of the table: a problem, the parameters of fastlin, the peers, and the ratio by which fastlin beats them.

    Attributes
    ----------
    title : str
        What the table calls the problem.
    load : callable
        The function from a number of rows, or None for all, to the problem. It raises NotImplementedError where data
        are missing.
    peers : dict of str to callable
        The function (problem, threads) -> (coef, intercept) of each peer, by name.
    least_ratio : float
        The least ratio of the peer's time to fastlin's, both with all threads and with one each.
    tol : float
        The certified relative excess at which fastlin stops.
    within : float
        Only peers count whose J is within this of the lowest J, relatively; the fastest of them is the one to beat.
    rounds : int
        The number of turns; long races take few.
    smoke_rows : int
        The number of rows that show within seconds that the race can be run.
    warm_up_rows : int
        The number of rows of the fit before the race, which loads and compiles what a peer needs.
    threads : tuple of str
        Those of THREADS that the race is run on.
    package : str
        The library of the peer, where it may not be installed.
    fit : callable
        The function (problem, tol, threads) -> (coef, intercept, has_converged) that runs fastlin.
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
    """What came of a race.

    Attributes
    ----------
    threads : int
        The number of threads of each contender.
    peer : str
        The peer that counts: the fastest of those that reach the objective.
    has_converged : bool
        Whether all fits of fastlin have converged.
    seconds : dict of str to float
        The median seconds of each contender.
    objectives : dict
        J of each contender, as an array where the problem has several fits.
    accuracies : dict of str to float
        The accuracy of each contender on the training rows; the mean over the fits where there are several.
    """

    threads: int
    peer: str
    has_converged: bool
    seconds: dict = field(default_factory=dict)
    objectives: dict = field(default_factory=dict)
    accuracies: dict = field(default_factory=dict)

    @property
    def ratio(self):
        """The time of the peer over that of fastlin."""
        return self.seconds[self.peer] / self.seconds["fastlin"]

    @property
    def relative_gap(self):
        """The relative amount by which fastlin's J exceeds the peer's; the largest where there are several fits."""
        return float(np.max(np.divide(self.objectives["fastlin"], self.objectives[self.peer]) - 1))

    @property
    def counts(self):
        """Whether fastlin has converged to an objective that is no higher than the peer's."""
        return self.has_converged and self.relative_gap <= EQUAL


# asv repeats the setup of a benchmark before each sample.
@lru_cache(maxsize=1)
def _load(load, n_rows):
    return load(n_rows)


def make_problem(race, n_rows=None):
    """Return the problem of a race, with a number of rows or with all.

    Raises
    ------
    NotImplementedError
        The data or the library of the peer are missing; asv then skips the benchmark.
    """
    if race.package:
        require(race.package)
    return _load(race.load, n_rows)


def pose(name, X, y, C, **parameters):
    """Return a Problem with any labels; it has an intercept unless the parameters say otherwise."""
    classes, labels = np.unique(y, return_inverse=True)
    return Problem(name, X, labels.astype(np.int64), len(classes), C, **{"fit_intercept": True, **parameters})


def run_race(race, problem, threads, rounds=None):
    """Run fastlin and the peers in turn.

    fastlin runs before and after each peer, because the speed of a machine drifts. Before the race there is one whole
    fit of fastlin, so that it has compiled what it needs, and one of each peer on a few rows. After the first turn only
    those peers go on that have reached the objective.

    Parameters
    ----------
    race : Race
        The race.
    problem : Problem or Grid
        Its problem.
    threads : int
        The number of threads of each contender.
    rounds : int or None
        The number of turns. None: that of the race.

    Returns
    -------
    Outcome
        What came of it.

    Raises
    ------
    AssertionError
        No peer has reached the objective.
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
                # The other peers take no part in further turns.
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
    """Return the seconds that a function takes and what it returns, as one tuple."""
    # The threads of OpenBLAS keep spinning for a while on the processors that the next fit needs.
    sleep(PAUSE)
    with warnings.catch_warnings():
        # Peers warn of iterations that are used up, and of parameters that a later version will remove.
        warnings.simplefilter("ignore")
        begin = perf_counter()
        solution = solve(*arguments)
        return perf_counter() - begin, *solution


def _take_few(problem, n_rows):
    """Return the problem on some of its rows, with labels that have no gaps."""
    step = max(1, len(problem.y) // n_rows)
    classes, labels = np.unique(problem.y[::step], return_inverse=True)
    X = problem.X[::step].copy()
    return replace(problem, X=X, y=labels.astype(np.int64), n_classes=len(classes))


def measure_ratio(race, problem, threads):
    """Return the ratio of a race on "all" threads or "one", for asv.

    Raises
    ------
    AssertionError
        The race does not count.
    """
    outcome = run_race(race, problem, count_race_threads(threads))
    if not outcome.counts:
        raise AssertionError(f"{race.title}: converged {outcome.has_converged}, J {outcome.relative_gap:+.1e} relative")
    return outcome.ratio


def count_race_threads(threads):
    """Return the number of threads that "all" or "one" means."""
    return 1 if threads == "one" else count_threads()


def print_races(races, program, arguments=None):
    """Run the races that the arguments name and print a row for each peer as soon as it is known."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description="Race fastlin against its peers.")
    parser.add_argument("races", nargs="*", metavar="race", help=f"one of {', '.join(races)}; default: all")
    parser.add_argument("--threads", choices=THREADS, nargs="+", default=THREADS)
    parser.add_argument("--rounds", type=int, help="turns of each race; by default few where they are long")
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
        # Where there are several fits, their mean is shown.
        *(f"{np.mean(outcome.objectives[name]):.9f}" for name in ("fastlin", peer)),
        ", ".join(remarks),
    )
