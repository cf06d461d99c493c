"""Single probes: one fit by the defaults of fastlin and scikit-learn, and the seconds to the objectives where they end.

fastlin's fit is also timed to scikit-learn's objective, and PyTorch's L-BFGS to it and to 1e-4 above fastlin's.
"""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from statistics import median
from time import perf_counter, sleep
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin
from benchmarks import comparisons
from benchmarks.comparisons import FASTLIN, Case, Rule, require, run_comparison, shorten
from benchmarks.fits import COMPARISONS, MAX_ITER, TOL
from fastlin.kernels.machine.threads import count_threads
from fastlin.other_libraries import fit_torch

SCIKIT_LEARN, TORCH = "scikit-learn", "PyTorch"
KIND = "probe"
# The ratios of seconds, as bounds.json names them.
TO_ITS_OBJECTIVE = "to its objective"
TORCH_TO_ITS_OBJECTIVE, TORCH_TO_OURS = "PyTorch to its objective", "PyTorch to fastlin's"
TIME_LIMIT, MAX_ITERATIONS = 120.0, 2 * MAX_ITER


class _EndOfFitError(Exception):
    """PyTorch has reached what is sought, or its time is over."""


class Tried(NamedTuple):
    """A fit of PyTorch: seconds and objective of each evaluation, all seconds, the lowest objective in float64."""

    points: list
    seconds: float
    lowest: float


def find_first(points, objective):
    """Return the seconds of the first of points, pairs of seconds and objectives, that reaches it, or None."""
    return next((seconds for seconds, reached in points if reached <= objective), None)


def fit_by_default(problem, model_class):
    """Return coef, intercept and the model that a class fits with its defaults."""
    model = model_class().fit(problem.X, problem.y)
    return model.coef_, model.intercept_, model


def list_points(model, seconds):
    """Return the seconds and the objective of each iteration of a fastlin model whose fit took so many seconds."""
    # The solver's clock runs in the solver alone. What goes before and after counts as if all of it went before.
    outside = max(0.0, seconds - model.history_[-1].seconds)
    return [(outside + iteration.seconds, iteration.objective) for iteration in model.history_]


def try_torch(problem, target, time_limit=TIME_LIMIT, max_iter=MAX_ITERATIONS):
    """Fit by PyTorch until an evaluation has the target as its objective, or the time or the iterations are used up."""
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


def make_probe(comparison):
    """Return the Comparison of the defaults of both libraries on the data of another."""
    classes = fastlin.LogisticRegression, ScikitLearnLogisticRegression
    ours, theirs = (partial(fit_by_default, model_class=model_class) for model_class in classes)
    return replace(
        comparison, fastlin=ours, baselines={SCIKIT_LEARN: theirs}, rule=Rule(suboptimality=TOL, same_accuracy=False)
    )


def measure_probe(problem, whole, comparison):
    """Return what a probe comes to; after the comparison PyTorch fits in as many turns."""
    require("torch")
    outcome = run_comparison(comparison if whole else shorten(comparison), problem)
    ended = outcome.objectives
    sought = {FASTLIN: ended[FASTLIN] * (1 + TOL), SCIKIT_LEARN: ended[SCIKIT_LEARN]}
    fit_torch(comparison.load(comparison.warm_up_rows), 1)
    tried, left = [], sought
    for _ in outcome.repetitions:
        if left:
            sleep(comparisons.PAUSE)
            tried.append(try_torch(problem, min(left.values())))
            left = {name: value for name, value in left.items() if find_first(tried[-1].points, value) is not None}
    points = [list_points(run.solution[2], run.seconds) for run in outcome.runs[FASTLIN]]
    to_theirs = _find_median(points, ended[SCIKIT_LEARN])
    torch_to = {name: _find_median([each.points for each in tried], value) for name, value in sought.items()}
    # The seconds for which PyTorch tried what it did not reach: only the first fit sought all.
    longest = tried[0].seconds
    against = {
        TO_ITS_OBJECTIVE: (outcome.seconds[SCIKIT_LEARN], to_theirs),
        TORCH_TO_ITS_OBJECTIVE: (torch_to[SCIKIT_LEARN] or longest, to_theirs),
        TORCH_TO_OURS: (torch_to[FASTLIN] or longest, outcome.seconds[FASTLIN]),
    }
    record = outcome.describe()
    ours = record["libraries"][FASTLIN]
    ours["certified_gap"] = float(outcome.runs[FASTLIN][-1].solution[2].certificate_ / ended[FASTLIN])
    ours["seconds_to_scikit_learn"] = to_theirs
    record["libraries"][TORCH] = {
        "seconds": longest,
        "threads": count_threads(),
        "objective": tried[0].lowest,
        "seconds_to_scikit_learn": torch_to[SCIKIT_LEARN],
        "seconds_to_fastlin": torch_to[FASTLIN],
    }
    ratios = {name: None if below is None else above / below for name, (above, below) in against.items()}
    return record | {"kind": KIND, "ratios": ratios}


def _find_median(fits, objective):
    """Return the median seconds of those fits, lists of points, that reach an objective, or None where none does."""
    found = [seconds for points in fits if (seconds := find_first(points, objective)) is not None]
    return median(found) if found else None


PROBES = {f"probe-times-{n_classes}": COMPARISONS[f"probe-{n_classes}"] for n_classes in (100, 600, 1000)}
CASES = {
    name: Case(
        KIND,
        comparison.title,
        comparison.load,
        partial(measure_probe, comparison=make_probe(comparison)),
        comparison.rows,
    )
    for name, comparison in PROBES.items()
}
