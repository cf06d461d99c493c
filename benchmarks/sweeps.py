"""Sweeps over C: the protocol for choosing C in evaluations of embeddings, and many small cross-validations.

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

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.linear_model import LogisticRegressionCV as ScikitLearnLogisticRegressionCV
from threadpoolctl import threadpool_limits

import fastlin
from benchmarks import comparisons
from benchmarks.comparisons import FASTLIN
from benchmarks.problems import LogLossProblem, Scores, count_test_rows
from fastlin.benchmarking import timing
from fastlin.kernels.machine.threads import count_threads, limit_threads

# The values of C in DINOv2 and DINOv3.
CS = np.logspace(-6, 5, 45)
CROSS_VALIDATION_CS = np.logspace(-4, 4, 10)
PUBLISHED_MODEL_PARAMETERS = {"solver": "lbfgs", "tol": 1e-12, "max_iter": 1000}
CHANGED_IMPORT_METHOD, ONE_BY_ONE_METHOD = "fastlin, the import alone", "fastlin, one model at a time"
BASELINE_METHOD = "scikit-learn lbfgs, tol 1e-12, one model at a time"
# Each class of embeddings mixes N_COMPONENTS components. NOISE_RATIO is the ratio of noise to a component's mean.
N_COMPONENTS, NOISE_RATIO = 3, 4.5
# Iterations of the short fits that determine the faster number of threads for scikit-learn.
N_TRIAL_ITERATIONS = 20
LOSS_TOL = 1e-2
N_SMALL_ROWS, N_SMALL_COLUMNS, N_FOLDS = 500, 1_000, 6
N_SMALL_TEST_ROWS = 2_000
# liblinear penalizes the intercept divided by this scaling factor.
INTERCEPT_SCALING = 10
N_QUICK_CS = 5
# Seconds after which no further fit starts.
TIME_LIMIT = 120


@dataclass(frozen=True, eq=False)
class SweepProblem(LogLossProblem):
    """Training, validation and test rows. There are no validation rows if cross-validation chooses C."""

    X_val: np.ndarray | None = None
    y_val: np.ndarray | None = None

    def objective(self, C, score, *_):
        return -score


class SweepResult(NamedTuple):
    """Result of a sweep: the chosen C, its score, the final fit (None if stopped), and the number of fitted C values.

    The score is the accuracy on the validation rows, or the negative log loss over the folds.
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


def measure_validation_sweep(problem, Cs, is_full_run, time_limit=TIME_LIMIT, rounds=1):
    """Measure the protocol with scikit-learn and with fastlin's three ways."""
    # The published evaluations pass float64 data to scikit-learn.
    X, X_val, X_test = (rows.astype(np.float64) for rows in (problem.X, problem.X_val, problem.X_test))
    float64_problem = replace(problem, X=X, X_val=X_val, X_test=X_test)
    sweep_in_one_call(problem, Cs[:: max(1, len(Cs) // 2)])
    max_threads = count_threads()
    trial_model = ScikitLearnLogisticRegression(
        C=Cs[-1], **{**PUBLISHED_MODEL_PARAMETERS, "max_iter": N_TRIAL_ITERATIONS}
    )
    n_threads = timing.choose_threads(lambda: trial_model.fit(X, problem.y))
    runs = {
        FASTLIN: run_timed_sweep(sweep_in_one_call, problem, Cs, max_threads, n_repeats=rounds if is_full_run else 1)
    }
    for name, rows, make_model in (
        (ONE_BY_ONE_METHOD, problem, fastlin.LogisticRegression),
        (CHANGED_IMPORT_METHOD, float64_problem, partial(fastlin.LogisticRegression, **PUBLISHED_MODEL_PARAMETERS)),
        (BASELINE_METHOD, float64_problem, partial(ScikitLearnLogisticRegression, **PUBLISHED_MODEL_PARAMETERS)),
    ):
        if name != BASELINE_METHOD:
            make_model(C=1.0).fit(rows.X, rows.y)
        sweep = partial(sweep_one_by_one, make_model=make_model, time_limit=time_limit)
        runs[name] = run_timed_sweep(sweep, rows, Cs, n_threads if name == BASELINE_METHOD else max_threads)
    return BASELINE_METHOD, runs


def run_timed_sweep(sweep, problem, Cs, n_threads, n_repeats=1):
    """Return the SweepRun of a sweep."""
    # Threads of an earlier fit may still spin.
    sleep(timing.PAUSE_SECONDS)
    with timing.use_threads(n_threads):
        seconds, result = timing.time_fit(partial(sweep, problem, Cs), n_repeats)
    return SweepRun(median(seconds), n_threads, result)


def measure_cross_validation(problem, Cs, is_full_run, l1_ratio, solvers):
    """Compare LogisticRegressionCV of both libraries; the baseline is the fastest solver with the best score."""
    parameters = {"Cs": Cs, "cv": N_FOLDS, "l1_ratios": (l1_ratio,), "scoring": "neg_log_loss"}
    parameters["use_legacy_attributes"] = False
    ours = partial(cross_validate, model=fastlin.LogisticRegressionCV(**parameters))
    parameters |= {"max_iter": 1000 if is_full_run else 100, "random_state": 0}
    baselines = {}
    for solver in solvers:
        scaling = {"intercept_scaling": INTERCEPT_SCALING} if solver == "liblinear" else {}
        model = ScikitLearnLogisticRegressionCV(solver=solver, **scaling, **parameters)
        baselines[f"scikit-learn LogisticRegressionCV, {solver}"] = partial(cross_validate_in_processes, model=model)
    comparison = comparisons.Comparison(
        "folds", lambda n_rows: problem, ours, baselines, within=LOSS_TOL, rounds=3 if is_full_run else 1
    )
    outcome = comparisons.run_comparison(comparison, problem)
    points = {name: outcome.points[name] for name in (FASTLIN, outcome.baseline)}
    return outcome.baseline, {
        name: SweepRun(point["seconds"], point["threads"], point["solution"]) for name, point in points.items()
    }


def cross_validate(problem, model):
    """Return the result of a LogisticRegressionCV."""
    model.fit(problem.X, problem.y)
    best_score = float(model.scores_.mean(axis=0).max())
    return SweepResult(model.C_, best_score, (model.coef_, model.intercept_), len(model.Cs_))


def cross_validate_in_processes(problem, model):
    """Return the result of `cross_validate` with one process per allowed thread, each with one BLAS thread."""
    with threadpool_limits(1), joblib.parallel_config("loky", inner_max_num_threads=1):
        return cross_validate(problem, model.set_params(n_jobs=count_threads()))


def measure_sweep(problem, is_full_run, measure, Cs):
    """Return the record of a sweep. `measure` returns the name of the baseline, and a dict from names to SweepRuns."""
    Cs = Cs if is_full_run else Cs[:: -(-len(Cs) // N_QUICK_CS)]
    with limit_threads(count_threads()), warnings.catch_warnings():
        # The protocol's tolerance is below floating-point accuracy.
        warnings.simplefilter("ignore", ConvergenceWarning)
        baseline, runs = measure(problem, Cs, is_full_run)
    results = {name: run.result for name, run in runs.items()}
    return {
        "data": comparisons.describe_data(problem),
        "baseline": baseline,
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
        "ratio": runs[baseline].seconds / runs[FASTLIN].seconds,
        "is_bound": results[baseline].solution is None,
        "failure": describe_failure(problem, results[FASTLIN].score, results[baseline].score),
    }


def describe_failure(problem, ours, theirs):
    """Return the reason why a sweep is invalid, or "". It is invalid if fastlin's score is clearly lower."""
    allowed = LOSS_TOL * abs(theirs)
    if problem.X_val is not None:
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


def _load_small_problem(n_rows):
    """Return a problem with normally distributed features and test rows. Twenty features determine the two classes."""
    generator, n = np.random.default_rng(0), n_rows or N_SMALL_ROWS
    n_test = count_test_rows(n) if n_rows else N_SMALL_TEST_ROWS
    X = generator.standard_normal((n + n_test, N_SMALL_COLUMNS))
    y = (X[:, :20] @ generator.standard_normal(20) + generator.logistic(size=len(X)) > 0).astype(np.int64)
    return SweepProblem(X[:n], y[:n], X[n:], y[n:], 2)


def _make_cross_validation(penalty, l1_ratio, *solvers):
    title = f"cross-validation, {len(CROSS_VALIDATION_CS)} values of C × {N_FOLDS} folds, {penalty}"
    measure = partial(measure_cross_validation, l1_ratio=l1_ratio, solvers=solvers)
    return comparisons.Case(
        "sweep", title, _load_small_problem, partial(measure_sweep, measure=measure, Cs=CROSS_VALIDATION_CS), 100
    )


def _make_validation_sweep(data, load, rows, **options):
    measure = partial(measure_sweep, measure=partial(measure_validation_sweep, **options), Cs=CS)
    return comparisons.Case("sweep", f"sweep of {len(CS)} values of C, {data}", load, measure, rows)


CASES = {
    "sweep-embeddings-100": _make_validation_sweep(
        "embeddings", partial(_load_embeddings, n_all=8_000, d=384, n_classes=100), 200
    ),
    "sweep-embeddings-1000": _make_validation_sweep(
        "embeddings", partial(_load_embeddings, n_all=12_811, d=384, n_classes=1_000), 200
    ),
    "sweep-digits": _make_validation_sweep("digits", _load_digits, 150, rounds=3),
    "sweep-small-l1": _make_cross_validation("L1", 1.0, "liblinear", "saga"),
    "sweep-small-l2": _make_cross_validation("L2", 0.0, "lbfgs", "newton-cg", "liblinear"),
}
