"""Single linear probes: fits with the defaults of fastlin and scikit-learn, and times to equal objectives.

fastlin is also fitted with larger values of `tol`; the fastest fit that reaches scikit-learn's objective counts.
PyTorch's L-BFGS is timed until it reaches scikit-learn's objective, and until it is within 1e-4 of fastlin's objective.
"""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import inf
from time import perf_counter

from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin
from benchmarks.comparisons import (
    FASTLIN,
    Case,
    ComparisonRule,
    CurrentProcess,
    MeasuredProblem,
    Solver,
    measure_efforts,
    require_package,
    run_comparison,
    shorten_comparison,
)
from benchmarks.fits import COMPARISONS, DEFAULT_TOL, MAX_ITER
from fastlin.benchmarking.candidate import Candidate
from fastlin.benchmarking.other_libraries import fit_torch
from fastlin.benchmarking.timing import Stopwatch

SCIKIT_LEARN, TORCH = "scikit-learn", "PyTorch"
RECORD_KIND = "probe"
# The names of the ratios of seconds in bounds.json.
RATIO_TO_SCIKIT_LEARN_OBJECTIVE = "to its objective"
TORCH_RATIO_TO_SCIKIT_LEARN_OBJECTIVE, TORCH_RATIO_TO_FASTLIN_OBJECTIVE = (
    "PyTorch to its objective",
    "PyTorch to fastlin's",
)
TIME_LIMIT, MAX_ITERATIONS = 120.0, 2 * MAX_ITER
# PyTorch evaluates the objective in the dtype of X. In float32, its relative error is smaller than this.
ROUNDING_ERROR = 1e-6


class _EndOfFitError(Exception):
    """PyTorch has reached the objective or the time limit."""


def fit_with_defaults(problem, model_class, tol=DEFAULT_TOL):
    """Return coef, intercept and the fitted model of a class with its defaults, except for tol."""
    model = model_class(tol=tol).fit(problem.X, problem.y)
    return model.coef_, model.intercept_, model


def fit_torch_to_objective(problem, objective, time_limit=TIME_LIMIT):
    """Fit with PyTorch until an evaluation reaches an objective, the time limit or the iteration limit.

    Return the parameters of the evaluation with the lowest objective.
    """
    lowest, solution, begin = inf, None, perf_counter()

    def on_evaluation(value, coef, intercept):
        nonlocal lowest, solution
        if value < lowest:
            lowest, solution = value, (coef.copy(), intercept.copy())
        if value <= objective or perf_counter() - begin > time_limit:
            raise _EndOfFitError

    with suppress(_EndOfFitError):
        fit_torch(problem, MAX_ITERATIONS, on_evaluation)
    return solution


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
    """Return the record of a probe: the comparison of the defaults, and PyTorch's fits to both objectives."""
    require_package("torch")
    comparison = comparison if is_full_run else shorten_comparison(comparison)
    outcome = run_comparison(comparison, problem)
    objectives = outcome.objectives
    targets = {SCIKIT_LEARN: objectives[SCIKIT_LEARN], FASTLIN: objectives[FASTLIN] * (1 + DEFAULT_TOL)}
    torch = Solver(fit_torch_to_objective, [{"objective": objective} for objective in targets.values()])
    candidate = Candidate(TORCH, torch, MeasuredProblem(problem), None, CurrentProcess(), Stopwatch())
    candidate.warm_up(0, inf)
    measure_efforts(comparison, [candidate])
    torch_points = dict(zip(targets, candidate.points, strict=True))
    torch_seconds = {
        name: point["seconds"] if point["objective"] <= targets[name] * (1 + ROUNDING_ERROR) else None
        for name, point in torch_points.items()
    }
    seconds_to_scikit_learn = outcome.seconds_to_baseline_objective
    compared_seconds = {
        RATIO_TO_SCIKIT_LEARN_OBJECTIVE: (outcome.seconds[SCIKIT_LEARN], seconds_to_scikit_learn),
        TORCH_RATIO_TO_SCIKIT_LEARN_OBJECTIVE: (torch_points[SCIKIT_LEARN]["seconds"], seconds_to_scikit_learn),
        TORCH_RATIO_TO_FASTLIN_OBJECTIVE: (torch_points[FASTLIN]["seconds"], outcome.seconds[FASTLIN]),
    }
    record = outcome.describe()
    *_, model = outcome.points[FASTLIN]["solution"]
    record["libraries"][FASTLIN] |= {
        "certified_gap": float(model.certificate_ / objectives[FASTLIN]),
        "seconds_to_scikit_learn": seconds_to_scikit_learn,
    }
    record["libraries"][TORCH] = {
        "seconds": max(point["seconds"] for point in torch_points.values()),
        "threads": torch_points[FASTLIN]["threads"],
        "objective": min(point["objective"] for point in torch_points.values()),
        "seconds_to_scikit_learn": torch_seconds[SCIKIT_LEARN],
        "seconds_to_fastlin": torch_seconds[FASTLIN],
    }
    ratios = {
        name: None if fastlin_seconds is None else other_seconds / fastlin_seconds
        for name, (other_seconds, fastlin_seconds) in compared_seconds.items()
    }
    return record | {"kind": RECORD_KIND, "ratios": ratios}


CASES = {
    f"probe-times-{n_classes}": Case(
        RECORD_KIND,
        comparison.title,
        comparison.load,
        partial(measure_probe, comparison=make_default_comparison(comparison)),
        comparison.rows,
    )
    for n_classes in (100, 300, 1000)
    for comparison in [COMPARISONS[f"probe-{n_classes}"]]
}
