"""Single probes: one fit by the defaults of fastlin and scikit-learn, and the seconds to the objectives where they end.

The two defaults end at different objectives, so that the times of whole fits alone say little about speed. fastlin's
fit is also timed to the first iteration whose objective is at most that of scikit-learn's fit. PyTorch's L-BFGS runs
without tolerances, and is timed to scikit-learn's objective and to 1e-4 above fastlin's. Where each fit ends is
computed by the formula in NumPy and float64; on the way contenders compute the objective themselves.
"""

import importlib.util
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter, sleep

import numpy as np
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from threadpoolctl import ThreadpoolController

import fastlin
from benchmarks import races
from benchmarks.fits import MAX_ITER, RACES, TOL
from benchmarks.intervals import describe_turns
from benchmarks.races import FASTLIN, THREADS, count_race_threads, describe_data, load_problem, run_on
from fastlin.contenders import fit_torch
from fastlin.kernels.machine.threads import count_threads, limit_threads

SCIKIT_LEARN, TORCH = "scikit-learn", "PyTorch"
KIND = "probe"
# The ratios of seconds, as bounds.json names them; that of whole fits is the record's "ratio".
TO_ITS_OBJECTIVE = "to its objective"
TORCH_TO_ITS_OBJECTIVE, TORCH_TO_OURS = "PyTorch to its objective", "PyTorch to fastlin's"
# PyTorch's fit ends after so many seconds, or iterations.
TIME_LIMIT, MOST_ITERATIONS = 120.0, 2 * MAX_ITER
# The races whose data the cases have.
CASES = {f"probe-times-{n_classes}": RACES[f"probe-{n_classes}"] for n_classes in (100, 600, 1000)}


class _EndOfFitError(Exception):
    """PyTorch has reached what is sought, or its time is over."""


@dataclass(frozen=True, eq=False)
class Tried:
    """What a fit of PyTorch came to.

    Attributes
    ----------
    points : list of tuple of float
        The seconds and the objective of each evaluation, in the type of X.
    seconds : float
        The seconds of the whole fit.
    lowest : float
        The lowest objective, computed in float64.
    """

    points: list
    seconds: float
    lowest: float


def find_first(points, objective):
    """Return the seconds of the first of points, pairs of seconds and objectives, that reaches it, or None."""
    return next((seconds for seconds, reached in points if reached <= objective), None)


def fit_by_default(problem, model_class):
    """Return the model that a class fits with its defaults."""
    return model_class().fit(problem.X, problem.y)


def list_points(model, seconds):
    """Return the seconds and the objective of each iteration of a fastlin model whose fit took so many seconds."""
    # The solver's clock runs in the solver alone. What goes before and after counts as if all of it went before.
    outside = max(0.0, seconds - model.history_[-1].seconds)
    return [(outside + iteration.seconds, iteration.objective) for iteration in model.history_]


def try_torch(problem, target, time_limit=TIME_LIMIT, max_iter=MOST_ITERATIONS):
    """Fit by PyTorch until an evaluation has the target as its objective, or the time or the iterations are used up.

    Returns
    -------
    Tried
        What came of it.
    """
    points, best = [], (np.inf, None)

    def observe(objective, coef, intercept):
        nonlocal best
        points.append((perf_counter() - begin, objective))
        if objective < best[0]:
            best = objective, (coef.copy(), intercept.copy())
        if objective <= target or points[-1][0] > time_limit:
            raise _EndOfFitError

    begin = perf_counter()
    with suppress(_EndOfFitError):
        fit_torch(problem, max_iter, observe)
    seconds = perf_counter() - begin
    return Tried(points, seconds, problem.objective(*best[1]))


def measure_probe(race, whole=False):
    """Measure a probe with the data of a race.

    The contenders take turns. scikit-learn runs on one thread of BLAS and on all in the first turn, and the faster
    counts. PyTorch runs on all; what it does not reach in the first turn is not sought again.

    Parameters
    ----------
    race : Race
        The race.
    whole : bool
        Whether the problem has all rows and the contenders take all turns.

    Returns
    -------
    dict
        The record, of plain values. A ratio to what PyTorch has not reached is that of the seconds that it took, and
        one to what fastlin has not reached is None.

    Raises
    ------
    NotImplementedError
        PyTorch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise NotImplementedError("torch is not installed.")
    problem, few = load_problem(race, whole), race.load(race.warm_up_rows)
    by_fastlin = partial(fit_by_default, model_class=fastlin.LogisticRegression)
    by_scikit_learn = partial(fit_by_default, model_class=ScikitLearnLogisticRegression)
    with limit_threads(count_threads()):
        by_fastlin(problem)
        by_scikit_learn(few)
        fit_torch(few, 1)
        # PyTorch, which brings threads of its own, is loaded by now.
        controller, most = ThreadpoolController(), count_threads()

        def run(solve, n_threads):
            sleep(races.PAUSE)
            return run_on(controller, n_threads, solve, problem)

        theirs = {count_race_threads(threads): [] for threads in THREADS}
        ours, tried, sought = [], [], {}
        begin = perf_counter()
        for turn in range(races.TURNS if whole else 1):
            if perf_counter() - begin > races.MOST_SECONDS:
                break
            for n_threads, ran in theirs.items():
                ran.append(run(by_scikit_learn, n_threads))
            ours.append(run(by_fastlin, most))
            if turn == 0:
                best = min(theirs, key=lambda n_threads: theirs[n_threads][0][0])
                theirs = {best: theirs[best]}
                objectives = {FASTLIN: _judge(problem, ours[0]), SCIKIT_LEARN: _judge(problem, theirs[best][0])}
                sought = {FASTLIN: objectives[FASTLIN] * (1 + TOL), SCIKIT_LEARN: objectives[SCIKIT_LEARN]}
            if sought:
                tried.append(run(partial(try_torch, target=min(sought.values())), most)[2])
                sought = {
                    name: value for name, value in sought.items() if find_first(tried[-1].points, value) is not None
                }
    return describe_probe(race, problem, objectives, ours, theirs, tried)


def _judge(problem, ran):
    return problem.objective(ran[2].coef_, ran[2].intercept_)


def describe_probe(race, problem, objectives, ours, theirs, tried):
    """Return the record of a probe.

    Parameters
    ----------
    race : Race
        The race whose data it has.
    problem : TriedProblem
        These data.
    objectives : dict of str to float
        The objectives at which fastlin and scikit-learn end.
    ours : list of tuple
        What `run_on` returned for each fit of fastlin's.
    theirs : dict of int to list of tuple
        The same of scikit-learn, by its best number of threads.
    tried : list of Tried
        PyTorch's fits.
    """
    ((n_threads, their_runs),) = theirs.items()
    our_seconds, their_seconds = (median(seconds for seconds, *_ in runs) for runs in (ours, their_runs))
    model, their_model = ours[-1][2], their_runs[-1][2]
    to_theirs = _find_median([list_points(model, seconds) for seconds, _, model in ours], objectives[SCIKIT_LEARN])
    points = [each.points for each in tried]
    torch_to = {
        FASTLIN: _find_median(points, objectives[FASTLIN] * (1 + TOL)),
        SCIKIT_LEARN: _find_median(points, objectives[SCIKIT_LEARN]),
    }
    # The first fit alone sought all, so that only its seconds say how long PyTorch tried what it did not reach.
    longest = tried[0].seconds
    against = {
        TO_ITS_OBJECTIVE: (their_seconds, to_theirs),
        TORCH_TO_ITS_OBJECTIVE: (torch_to[SCIKIT_LEARN] or longest, to_theirs),
        TORCH_TO_OURS: (torch_to[FASTLIN] or longest, our_seconds),
    }
    gap = objectives[FASTLIN] / objectives[SCIKIT_LEARN] - 1
    fault = f"fastlin's objective is higher than scikit-learn's by {gap:.1e} of it" if gap > TOL else ""
    return {
        "kind": KIND,
        "title": race.title,
        "data": describe_data(problem),
        "threads": count_threads(),
        "contenders": {
            FASTLIN: {
                "seconds": our_seconds,
                "threads": count_threads(),
                "objective": objectives[FASTLIN],
                "proven_gap": float(model.certificate_ / objectives[FASTLIN]),
                "n_iter": int(model.n_iter_[0]),
                "seconds_to_scikit_learn": to_theirs,
            },
            SCIKIT_LEARN: {
                "seconds": their_seconds,
                "threads": n_threads,
                "objective": objectives[SCIKIT_LEARN],
                "n_iter": int(their_model.n_iter_[0]),
            },
            TORCH: {
                "seconds": longest,
                "threads": count_threads(),
                "objective": tried[0].lowest,
                "n_evaluations": len(tried[0].points),
                "seconds_to_scikit_learn": torch_to[SCIKIT_LEARN],
                "seconds_to_fastlin": torch_to[FASTLIN],
            },
        },
        **describe_turns([theirs[0] / own[0] for theirs, own in zip(their_runs, ours, strict=True)]),
        "ratios": {name: None if below is None else above / below for name, (above, below) in against.items()},
        "gap": gap,
        "fault": fault if all(ran[1] for ran in ours) else "fastlin has not converged",
    }


def _find_median(fits, objective):
    """Return the median seconds of those fits, lists of points, that reach an objective, or None where none does."""
    found = [seconds for points in fits if (seconds := find_first(points, objective)) is not None]
    return median(found) if found else None
