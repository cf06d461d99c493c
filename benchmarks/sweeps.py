"""Sweeps over C: the protocol for choosing C in evaluations of embeddings.

The protocol fits each C independently, chooses the C with the best accuracy on validation rows, and fits all rows with
this C. scikit-learn runs the protocol as published. fastlin is measured in three ways: with the same code, with its
defaults one model at a time, and with one call for the entire sweep. After a time limit, no further fit starts, and the
seconds are a lower bound.
"""

import warnings
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from time import perf_counter, sleep
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin
from benchmarks import comparisons
from benchmarks.comparisons import FASTLIN
from benchmarks.problems import LogLossProblem, Scores
from fastlin.benchmarking import timing
from fastlin.kernels.machine.threads import count_threads, limit_threads

# The values of C in DINOv2 and DINOv3.
CS = np.logspace(-6, 5, 45)
PUBLISHED_MODEL_PARAMETERS = {"solver": "lbfgs", "tol": 1e-12, "max_iter": 1000}
CHANGED_IMPORT_METHOD, ONE_BY_ONE_METHOD = "fastlin, the import alone", "fastlin, one model at a time"
BASELINE_METHOD = "scikit-learn lbfgs, tol 1e-12, one model at a time"
# Each class of embeddings mixes N_COMPONENTS components. NOISE_RATIO is the ratio of noise to a component's mean.
N_COMPONENTS, NOISE_RATIO = 3, 4.5
# Iterations of the short fits that determine the faster number of threads for scikit-learn.
N_TRIAL_ITERATIONS = 20
N_QUICK_CS = 5
# Seconds after which no further fit starts.
TIME_LIMIT = 120


@dataclass(frozen=True, eq=False)
class SweepProblem(LogLossProblem):
    """Training, validation and test rows."""

    X_val: np.ndarray
    y_val: np.ndarray


class SweepResult(NamedTuple):
    """Result of a sweep: the chosen C, its accuracy on the validation rows, the final fit, and the number of fitted C.

    There is no final fit after the time limit.
    """

    C: float
    score: float
    solution: tuple | None
    n_measured: int


class SweepRun(NamedTuple):
    """The seconds of a sweep, its number of threads, and its SweepResult."""

    seconds: float
    threads: int
    result: SweepResult


def sweep_in_one_call(problem, Cs):
    """Return the result of fastlin's sweep in one call."""
    model = fastlin.LogisticRegressionCV(Cs=Cs, l1_ratios=(0.0,), scoring="accuracy", use_legacy_attributes=False)
    model.fit(problem.X, problem.y, X_val=problem.X_val, y_val=problem.y_val)
    return SweepResult(model.C_, np.nanmax(model.scores_), (model.coef_, model.intercept_), len(Cs))


def sweep_one_by_one(problem, Cs, make_model, time_limit=np.inf):
    """Return the protocol's result, where `make_model` is a function of C. No fit starts after the time limit."""
    begin, scores, solution = perf_counter(), [], None
    for C in Cs:
        scores.append(make_model(C=C).fit(problem.X, problem.y).score(problem.X_val, problem.y_val))
        if perf_counter() - begin > time_limit:
            break
    else:
        X, y = np.concatenate([problem.X, problem.X_val]), np.concatenate([problem.y, problem.y_val])
        model = make_model(C=Cs[np.argmax(scores)]).fit(X, y)
        solution = model.coef_, model.intercept_
    return SweepResult(Cs[np.argmax(scores)], max(scores), solution, len(scores))


def run_methods(problem, Cs, n_repeats):
    """Return a dict from each method to the SweepRun of the protocol."""
    # The published evaluations pass float64 data to scikit-learn.
    X, X_val, X_test = (rows.astype(np.float64) for rows in (problem.X, problem.X_val, problem.X_test))
    float64_problem = replace(problem, X=X, X_val=X_val, X_test=X_test)
    sweep_in_one_call(problem, Cs[:: max(1, len(Cs) // 2)])
    max_threads = count_threads()
    trial_parameters = {**PUBLISHED_MODEL_PARAMETERS, "max_iter": N_TRIAL_ITERATIONS}
    trial_model = ScikitLearnLogisticRegression(C=Cs[-1], **trial_parameters)
    n_threads = timing.choose_threads(lambda: trial_model.fit(X, problem.y))
    runs = {FASTLIN: run_timed_sweep(sweep_in_one_call, problem, Cs, max_threads, n_repeats)}
    for name, rows, make_model in (
        (ONE_BY_ONE_METHOD, problem, fastlin.LogisticRegression),
        (CHANGED_IMPORT_METHOD, float64_problem, partial(fastlin.LogisticRegression, **PUBLISHED_MODEL_PARAMETERS)),
        (BASELINE_METHOD, float64_problem, partial(ScikitLearnLogisticRegression, **PUBLISHED_MODEL_PARAMETERS)),
    ):
        if name != BASELINE_METHOD:
            make_model(C=1.0).fit(rows.X, rows.y)
        sweep = partial(sweep_one_by_one, make_model=make_model, time_limit=TIME_LIMIT)
        runs[name] = run_timed_sweep(sweep, rows, Cs, n_threads if name == BASELINE_METHOD else max_threads, n_repeats)
    return runs


def run_timed_sweep(sweep, problem, Cs, n_threads, n_repeats):
    """Return the SweepRun of a sweep. A short sweep is repeated."""
    # Threads of an earlier fit may still spin.
    sleep(timing.PAUSE_SECONDS)
    with timing.use_threads(n_threads):
        seconds, result = timing.time_fit(partial(sweep, problem, Cs), n_repeats)
    return SweepRun(median(seconds), n_threads, result)


def measure_sweep(problem, is_full_run):
    """Return the record of a sweep."""
    Cs = CS if is_full_run else CS[:: -(-len(CS) // N_QUICK_CS)]
    with limit_threads(count_threads()), warnings.catch_warnings():
        # The protocol's tolerance is below floating-point accuracy.
        warnings.simplefilter("ignore", ConvergenceWarning)
        runs = run_methods(problem, Cs, timing.N_REPEATS if is_full_run else 1)
    results = {name: run.result for name, run in runs.items()}
    return {
        "data": comparisons.describe_data(problem),
        "baseline": BASELINE_METHOD,
        "n_Cs": len(Cs),
        "libraries": {
            name: {
                "seconds": runs[name].seconds,
                "threads": runs[name].threads,
                "C": float(result.C),
                "validation": float(result.score),
                "n_measured": result.n_measured,
                "is_cut_off": result.solution is None,
                **(problem.score_test_rows(*result.solution) if result.solution else Scores())._asdict(),
            }
            for name, result in results.items()
        },
        "ratio": runs[BASELINE_METHOD].seconds / runs[FASTLIN].seconds,
        "is_bound": results[BASELINE_METHOD].solution is None,
        "failure": describe_failure(problem, results[FASTLIN].score, results[BASELINE_METHOD].score),
    }


def describe_failure(problem, ours, theirs):
    """Return the reason why a sweep is invalid, or "". It is invalid if fastlin's accuracy is clearly lower."""
    allowed = max(comparisons.ACCURACY_TOL, comparisons.MAX_DIFFERING_ROWS / len(problem.X_val))
    return f"fastlin's best score is {ours:.4f}, the baseline's is {theirs:.4f}" if ours < theirs - allowed else ""


def simulate_mixture_embeddings(n_rows, d, n_classes, n_held_out_rows):
    """Return float32 rows of unit length, and labels; each class is a mixture of overlapping components.

    The first n_rows rows contain all classes.
    """
    generator = np.random.default_rng(0)
    cluster_means = generator.standard_normal((n_classes, 1, d)) + generator.standard_normal(
        (n_classes, N_COMPONENTS, d)
    )
    cluster_means /= np.linalg.norm(cluster_means, axis=2, keepdims=True)
    y = generator.integers(0, n_classes, n_rows + n_held_out_rows)
    y[:n_classes] = np.arange(n_classes)
    components = generator.integers(0, N_COMPONENTS, len(y))
    X = cluster_means[y, components] + NOISE_RATIO / np.sqrt(d) * generator.standard_normal((len(y), d))
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32), y


def _load_embeddings(n_rows, n_all, d, n_classes):
    n = n_rows or n_all
    # With few rows there are fewer classes, so that each class has ten rows.
    n_classes = max(2, min(n_classes, n // 10))
    n_held_out_rows = max(20, n // 4)
    return _split_rows(*simulate_mixture_embeddings(n, d, n_classes, 2 * n_held_out_rows), n, n_held_out_rows)


def _load_digits(n_rows):
    X, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(y))[: n_rows and 2 * n_rows]
    n = len(rows) * 3 // 5
    return _split_rows(X[rows].astype(np.float32), y[rows], n, (len(rows) - n) // 2)


def _split_rows(X, y, n, n_val):
    """Return the problem with n training rows, n_val validation rows, and the remaining rows as test rows."""
    (X, y), (X_val, y_val), (X_test, y_test) = (
        (X[rows], y[rows]) for rows in (slice(n), slice(n, n + n_val), slice(n + n_val, None))
    )
    return SweepProblem(X, y, X_test, y_test, len(np.unique(y)), X_val, y_val)


def _make_sweep(data, load, rows):
    return comparisons.Case("sweep", f"sweep of {len(CS)} values of C, {data}", load, measure_sweep, rows)


CASES = {
    "sweep-embeddings-100": _make_sweep(
        "embeddings", partial(_load_embeddings, n_all=8_000, d=384, n_classes=100), 200
    ),
    "sweep-embeddings-1000": _make_sweep(
        "embeddings", partial(_load_embeddings, n_all=12_811, d=384, n_classes=1_000), 200
    ),
    "sweep-digits": _make_sweep("digits", _load_digits, 150),
}
