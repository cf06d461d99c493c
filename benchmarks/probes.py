"""Single linear probes: fits with the defaults of fastlin and scikit-learn, and times to equal objectives.

fastlin is also timed until it reaches scikit-learn's objective. PyTorch's L-BFGS is timed until it reaches
scikit-learn's objective, and until it is within 1e-4 of fastlin's objective.
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
from benchmarks.comparisons import FASTLIN, Case, ComparisonRule, require_package, run_comparison, shorten_comparison
from benchmarks.fits import COMPARISONS, DEFAULT_TOL, MAX_ITER
from fastlin.benchmarking import timing
from fastlin.benchmarking.other_libraries import fit_torch
from fastlin.kernels.machine.threads import count_threads

SCIKIT_LEARN, TORCH = "scikit-learn", "PyTorch"
RECORD_KIND = "probe"
# The names of the ratios of seconds in bounds.json.
RATIO_TO_SCIKIT_LEARN_OBJECTIVE = "to its objective"
TORCH_RATIO_TO_SCIKIT_LEARN_OBJECTIVE, TORCH_RATIO_TO_FASTLIN_OBJECTIVE = (
    "PyTorch to its objective",
    "PyTorch to fastlin's",
)
TIME_LIMIT, MAX_ITERATIONS = 120.0, 2 * MAX_ITER


class _EndOfFitError(Exception):
    """PyTorch has reached the target or the time limit."""


class TorchFit(NamedTuple):
    """A PyTorch fit: seconds and objective of each evaluation, total seconds, and lowest objective in float64."""

    points: list
    seconds: float
    lowest_objective: float


def find_seconds_to_objective(points, objective):
    """Return the seconds of the first of `points`, (seconds, objective), that reaches an objective, or None."""
    return next((seconds for seconds, value in points if value <= objective), None)


def fit_with_defaults(problem, model_class):
    """Return coef, intercept and the fitted model of a class with its defaults."""
    model = model_class().fit(problem.X, problem.y)
    return model.coef_, model.intercept_, model


def list_iterations(model, seconds):
    """Return seconds and objective of each iteration of a fastlin model, given the total seconds of its fit."""
    # history_ only contains the time in the solver. All other time is assumed to be before the solver.
    seconds_outside_solver = max(0.0, seconds - model.history_[-1].seconds)
    return [(seconds_outside_solver + iteration.seconds, iteration.objective) for iteration in model.history_]


def fit_torch_to_target(problem, target, time_limit=TIME_LIMIT, max_iter=MAX_ITERATIONS):
    """Fit with PyTorch until an evaluation reaches the target, or until the time limit or the iteration limit."""
    points, best = [], (np.inf, None)

    def on_evaluation(objective, coef, intercept):
        nonlocal best
        points.append((perf_counter() - begin, objective))
        if objective < best[0]:
            best = objective, (coef.copy(), intercept.copy())
        if objective <= target or points[-1][0] > time_limit:
            raise _EndOfFitError

    begin = perf_counter()
    with suppress(_EndOfFitError):
        fit_torch(problem, max_iter, on_evaluation)
    seconds = perf_counter() - begin
    return TorchFit(points, seconds, problem.objective(*best[1]))


def make_default_comparison(comparison):
    """Return the Comparison of the defaults of both libraries on the data of another Comparison."""
    model_classes = fastlin.LogisticRegression, ScikitLearnLogisticRegression
    ours, theirs = (partial(fit_with_defaults, model_class=model_class) for model_class in model_classes)
    return replace(
        comparison,
        fastlin=ours,
        baselines={SCIKIT_LEARN: theirs},
        rule=ComparisonRule(suboptimality=DEFAULT_TOL, should_match_accuracy=False),
    )


def measure_probe(problem, is_full_run, comparison):
    """Return the record of a probe. After the comparison, PyTorch runs with the same number of repetitions."""
    require_package("torch")
    outcome = run_comparison(comparison if is_full_run else shorten_comparison(comparison), problem)
    objectives = outcome.objectives
    targets = {FASTLIN: objectives[FASTLIN] * (1 + DEFAULT_TOL), SCIKIT_LEARN: objectives[SCIKIT_LEARN]}
    fit_torch(comparison.load(comparison.n_warm_up_rows), 1)
    torch_fits, remaining_targets = [], targets
    for _ in outcome.time_ratios:
        if remaining_targets:
            sleep(timing.PAUSE_SECONDS)
            torch_fits.append(fit_torch_to_target(problem, min(remaining_targets.values())))
            points = torch_fits[-1].points
            remaining_targets = {
                name: value
                for name, value in remaining_targets.items()
                if find_seconds_to_objective(points, value) is not None
            }
    *_, model = outcome.points[FASTLIN]["solution"]
    iterations = list_iterations(model, outcome.seconds[FASTLIN])
    seconds_to_scikit_learn = find_seconds_to_objective(iterations, objectives[SCIKIT_LEARN])
    torch_seconds = {
        name: _find_median_seconds([fit.points for fit in torch_fits], value) for name, value in targets.items()
    }
    # A target that was not reached gets the seconds of the first fit, because only this fit had all targets.
    first_fit_seconds = torch_fits[0].seconds
    compared_seconds = {
        RATIO_TO_SCIKIT_LEARN_OBJECTIVE: (outcome.seconds[SCIKIT_LEARN], seconds_to_scikit_learn),
        TORCH_RATIO_TO_SCIKIT_LEARN_OBJECTIVE: (
            torch_seconds[SCIKIT_LEARN] or first_fit_seconds,
            seconds_to_scikit_learn,
        ),
        TORCH_RATIO_TO_FASTLIN_OBJECTIVE: (torch_seconds[FASTLIN] or first_fit_seconds, outcome.seconds[FASTLIN]),
    }
    record = outcome.describe()
    fastlin_record = record["libraries"][FASTLIN]
    fastlin_record["certified_gap"] = float(model.certificate_ / objectives[FASTLIN])
    fastlin_record["seconds_to_scikit_learn"] = seconds_to_scikit_learn
    record["libraries"][TORCH] = {
        "seconds": first_fit_seconds,
        "threads": count_threads(),
        "objective": torch_fits[0].lowest_objective,
        "seconds_to_scikit_learn": torch_seconds[SCIKIT_LEARN],
        "seconds_to_fastlin": torch_seconds[FASTLIN],
    }
    ratios = {
        name: None if fastlin_seconds is None else other_seconds / fastlin_seconds
        for name, (other_seconds, fastlin_seconds) in compared_seconds.items()
    }
    return record | {"kind": RECORD_KIND, "ratios": ratios}


def _find_median_seconds(fits, objective):
    """Return the median seconds in which fits reach an objective, or None. Each fit is a list of points."""
    fit_seconds = [seconds for points in fits if (seconds := find_seconds_to_objective(points, objective)) is not None]
    return median(fit_seconds) if fit_seconds else None


PROBES = {f"probe-times-{n_classes}": COMPARISONS[f"probe-{n_classes}"] for n_classes in (100, 300, 1000)}
CASES = {
    name: Case(
        RECORD_KIND,
        comparison.title,
        comparison.load,
        partial(measure_probe, comparison=make_default_comparison(comparison)),
        comparison.rows,
    )
    for name, comparison in PROBES.items()
}
