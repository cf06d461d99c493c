"""Sweeps over C: the protocol by which evaluations of embeddings choose C, and many small cross-validations.

The protocol fits each C anew, takes the one of the best accuracy on validation rows, and fits training and validation
rows together at that C. scikit-learn runs it as published evaluations do: lbfgs with tol 1e-12, 1,000 iterations and
float64. fastlin runs it in three ways: the same lines with fastlin's class, which is the import alone, its defaults fit
by fit, and one call for the whole sweep. A way that takes longer than a limit begins no further fit: its seconds, and
ratios to them, are then lower bounds.

The contenders do not minimise to the same accuracy, so that a sweep is judged by what it is for: the best score on the
validation rows, or over the folds. The rows to test on are judged by the formula in NumPy and float64.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from time import perf_counter

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.linear_model import LogisticRegressionCV as ScikitLearnLogisticRegressionCV
from threadpoolctl import ThreadpoolController, threadpool_limits

import fastlin
from benchmarks.paths import CV_CS
from benchmarks.problems import count_test_rows, score
from benchmarks.races import EQUAL_ACCURACY, EQUAL_ROWS, FASTLIN, THREADS, count_race_threads, describe_data
from fastlin.kernels.machine.threads import count_threads, limit_threads

# As the evaluations of DINOv2 and DINOv3 have them.
CS = np.logspace(-6, 5, 45)
PROTOCOL = {"solver": "lbfgs", "tol": 1e-12, "max_iter": 1000}
BY_IMPORT, BY_DEFAULT = "fastlin, the import alone", "fastlin, fit by fit"
# Embeddings: each class is a mixture of so many kinds, and the noise is so many times as long as a kind's mean.
KINDS, NOISE = 3, 4.5
# So many iterations tell on how many threads scikit-learn is faster.
TRIED_ITERATIONS = 20
# Losses over the folds may differ by this part of them.
EQUAL_LOSS = 1e-2
SMALL_ROWS, SMALL_COLUMNS, N_FOLDS = 500, 1_000, 6
SMALL_TEST_ROWS = 2_000
# liblinear penalises the intercept divided by this; by 1 its log loss over the folds of L1 is 3 % higher.
INTERCEPT_SCALING = 10
SHORT_CS = 5
# Seconds after which a way begins no further fit.
TIME_LIMIT = 1_200


@dataclass(frozen=True, eq=False)
class SweepProblem:
    """Rows to train on, to choose C by, and to test on; the labels go from 0 to n_classes - 1.

    Attributes
    ----------
    X, X_val, X_test : ndarray of shape (rows, d)
        The rows. X_val is None where C is chosen by folds of X.
    y, y_val, y_test : ndarray of shape (rows,), int64
        Their labels.
    n_classes : int
        The number of classes.
    """

    X: np.ndarray
    y: np.ndarray
    X_val: np.ndarray | None
    y_val: np.ndarray | None
    X_test: np.ndarray
    y_test: np.ndarray
    n_classes: int

    def join(self):
        """Return the rows to train on and to validate on, and their labels."""
        return np.concatenate([self.X, self.X_val]), np.concatenate([self.y, self.y_val])


@dataclass(frozen=True, eq=False)
class Found:
    """What a sweep comes to.

    Attributes
    ----------
    seconds : float
        Its seconds, or those after which it was cut off.
    C : float
        The C that it chose.
    score : float
        Its score there: accuracy on the validation rows, or the negative log loss over the folds.
    solution : tuple or None
        coef and intercept of the last fit, or None where it was cut off before.
    n_measured : int
        The number of C that were measured.
    """

    seconds: float
    C: float
    score: float
    solution: tuple | None
    n_measured: int


@dataclass(frozen=True)
class Sweep:
    """A sweep to measure.

    Attributes
    ----------
    title : str
        What tables call it.
    load : callable
        The function from a number of rows, or None for all, to the SweepProblem.
    measure : callable
        The function from the problem, the Cs and whether all is measured to the peer's name, threads by name, and Found
        by name.
    Cs : ndarray of shape (n_Cs,)
        The inverse strengths of the penalty, ascending.
    rows : int
        The number of rows of a short measurement.
    """

    title: str
    load: Callable
    measure: Callable
    Cs: np.ndarray
    rows: int


def sweep_at_once(problem, Cs):
    """Return what fastlin finds in one call, without its seconds."""
    model = fastlin.LogisticRegressionCV(Cs=Cs, l1_ratios=(0.0,), scoring="accuracy", use_legacy_attributes=False)
    model.fit(problem.X, problem.y, X_val=problem.X_val, y_val=problem.y_val)
    return model.C_, np.nanmax(model.scores_), (model.coef_, model.intercept_)


def sweep_fit_by_fit(problem, Cs, make_model, time_limit=np.inf):
    """Run the protocol with models of one class, and return what is Found.

    Parameters
    ----------
    problem : SweepProblem
        The rows.
    Cs : ndarray of shape (n_Cs,)
        The inverse strengths.
    make_model : callable
        The function that makes an unfitted model of its argument C.
    time_limit : float
        The seconds after which no further fit begins.
    """
    begin, scores, solution = perf_counter(), [], None
    for C in Cs:
        scores.append(make_model(C=C).fit(problem.X, problem.y).score(problem.X_val, problem.y_val))
        if perf_counter() - begin > time_limit:
            break
    else:
        model = make_model(C=Cs[np.argmax(scores)]).fit(*problem.join())
        solution = model.coef_, model.intercept_
    return Found(perf_counter() - begin, Cs[np.argmax(scores)], max(scores), solution, len(scores))


def measure_protocol(problem, Cs, whole, time_limit=TIME_LIMIT, rounds=1):
    """Measure the protocol by scikit-learn and in fastlin's three ways."""
    # The evaluations hand float64 to scikit-learn.
    doubled = SweepProblem(
        *(each.astype(np.float64) if each.dtype.kind == "f" else each for each in _list_arrays(problem)),
        problem.n_classes,
    )
    # It has compiled by now what it needs.
    sweep_at_once(problem, Cs[:: max(1, len(Cs) // 2)])
    runs = []
    for _ in range(rounds if whole else 1):
        begin = perf_counter()
        C, reached, solution = sweep_at_once(problem, Cs)
        runs.append(perf_counter() - begin)
    most = count_threads()
    found, threads = {FASTLIN: Found(median(runs), C, reached, solution, len(Cs))}, {FASTLIN: most}
    for name, rows, make_model in (
        (BY_DEFAULT, problem, fastlin.LogisticRegression),
        (BY_IMPORT, doubled, partial(fastlin.LogisticRegression, **PROTOCOL)),
    ):
        make_model(C=1.0).fit(rows.X, rows.y)
        found[name], threads[name] = sweep_fit_by_fit(rows, Cs, make_model, time_limit), most
    peer, controller = "scikit-learn lbfgs, tol 1e-12, fit by fit", ThreadpoolController()
    threads[peer] = _find_threads(controller, doubled, Cs[-1])
    with controller.limit(limits=threads[peer]):
        found[peer] = sweep_fit_by_fit(doubled, Cs, partial(ScikitLearnLogisticRegression, **PROTOCOL), time_limit)
    return peer, threads, found


def _list_arrays(problem):
    return problem.X, problem.y, problem.X_val, problem.y_val, problem.X_test, problem.y_test


def _find_threads(controller, problem, C):
    """Return the number of threads on which some iterations of scikit-learn's lbfgs take less time."""
    seconds = {}
    for n_threads in {count_race_threads(threads) for threads in THREADS}:
        with controller.limit(limits=n_threads):
            model = ScikitLearnLogisticRegression(C=C, **{**PROTOCOL, "max_iter": TRIED_ITERATIONS})
            begin = perf_counter()
            model.fit(problem.X, problem.y)
            seconds[n_threads] = perf_counter() - begin
    return min(seconds, key=seconds.get)


def measure_folds(problem, Cs, whole, l1_ratio, solvers, rounds=3):
    """Measure LogisticRegressionCV of both libraries by folds.

    The fastest of scikit-learn's solvers that reaches the best score, in its best number of processes, is the peer.
    """
    parameters = {"Cs": Cs, "cv": N_FOLDS, "l1_ratios": (l1_ratio,), "scoring": "neg_log_loss"}
    parameters["use_legacy_attributes"] = False
    ours = fastlin.LogisticRegressionCV(**parameters)
    _cross_validate(ours, None, problem)
    runs = [_cross_validate(ours, None, problem) for _ in range(rounds if whole else 1)]
    most, tried = count_threads(), {}
    for solver in solvers:
        theirs = ScikitLearnLogisticRegressionCV(
            solver=solver,
            max_iter=1000 if whole else 100,
            n_jobs=most,
            random_state=0,
            intercept_scaling=INTERCEPT_SCALING if solver == "liblinear" else 1,
            **parameters,
        )
        tried[theirs] = _cross_validate(theirs, most, problem)
    best = max(found.score for found in (*tried.values(), *runs))
    # Where none reaches it, that of the best score is the peer.
    allowed = min(best - EQUAL_LOSS * abs(best), max(found.score for found in tried.values()))
    peer, found = min((item for item in tried.items() if item[1].score >= allowed), key=lambda item: item[1].seconds)
    n_jobs = most
    if most > 1:
        alone = _cross_validate(peer.set_params(n_jobs=1), 1, problem)
        found, n_jobs = min((found, most), (alone, 1), key=lambda entry: entry[0].seconds)
    name = f"scikit-learn LogisticRegressionCV, {peer.solver}"
    seconds = median(run.seconds for run in runs)
    return name, {FASTLIN: most, name: n_jobs}, {FASTLIN: replace(runs[-1], seconds=seconds), name: found}


def _cross_validate(model, n_jobs, problem):
    """Fit a LogisticRegressionCV; with n_jobs, in so many processes, each with one thread of BLAS."""
    begin = perf_counter()
    if n_jobs is None:
        model.fit(problem.X, problem.y)
    else:
        with threadpool_limits(1), joblib.parallel_config("loky", inner_max_num_threads=1):
            model.fit(problem.X, problem.y)
    seconds = perf_counter() - begin
    reached = float(model.scores_.mean(axis=0).max())
    return Found(seconds, model.C_, reached, (model.coef_, model.intercept_), len(model.Cs_))


def measure_sweep(sweep, whole=False):
    """Return the record of a Sweep, as plain values."""
    problem = sweep.load(None if whole else sweep.rows)
    Cs = sweep.Cs if whole else sweep.Cs[:: -(-len(sweep.Cs) // SHORT_CS)]
    with limit_threads(count_threads()), warnings.catch_warnings():
        # The protocol asks for more than floating point has.
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer, threads, found = sweep.measure(problem, Cs, whole)
    contenders = {}
    for name, each in found.items():
        accuracy = log_loss = None
        if each.solution is not None:
            accuracy, log_loss = score(problem.X_test, problem.y_test, problem.n_classes, *each.solution)
        contenders[name] = {
            "seconds": each.seconds,
            "threads": threads[name],
            "C": float(each.C),
            "validation": float(each.score),
            "n_measured": each.n_measured,
            "is_cut_off": each.solution is None,
            "accuracy": accuracy,
            "log_loss": log_loss,
        }
    return {
        "kind": "sweep",
        "title": sweep.title,
        "data": describe_data(problem),
        "threads": count_threads(),
        "peer": peer,
        "n_Cs": len(Cs),
        "contenders": contenders,
        "ratio": found[peer].seconds / found[FASTLIN].seconds,
        "is_bound": found[peer].solution is None,
        "fault": find_fault(problem, found[FASTLIN].score, found[peer].score),
    }


def find_fault(problem, ours, theirs):
    """Return why a sweep does not count, or "" where it does: fastlin's best score may not be clearly lower."""
    allowed = EQUAL_LOSS * abs(theirs)
    if problem.X_val is not None:
        allowed = max(EQUAL_ACCURACY, EQUAL_ROWS / len(problem.X_val))
    return f"fastlin's best score is {ours:.4f}, and the peer's {theirs:.4f}" if ours < theirs - allowed else ""


def draw_embeddings(n_rows, d, n_classes, n_more):
    """Return float32 rows of unit length and classes that overlap; all classes are among the first n_rows."""
    generator = np.random.default_rng(0)
    means = generator.standard_normal((n_classes, 1, d)) + generator.standard_normal((n_classes, KINDS, d))
    means /= np.linalg.norm(means, axis=2, keepdims=True)
    y = generator.integers(0, n_classes, n_rows + n_more)
    y[:n_classes] = np.arange(n_classes)
    kinds = generator.integers(0, KINDS, len(y))
    X = means[y, kinds] + NOISE / np.sqrt(d) * generator.standard_normal((len(y), d))
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32), y


def _load_embeddings(n_rows, n_all, d, n_classes):
    n = n_rows or n_all
    # Few rows have fewer classes, so that each has ten.
    n_classes = max(2, min(n_classes, n // 10))
    n_more = max(20, n // 4)
    return _divide(*draw_embeddings(n, d, n_classes, 2 * n_more), n, n_more)


def _load_digits(n_rows):
    X, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(y))[: n_rows and 2 * n_rows]
    n = len(rows) * 3 // 5
    return _divide(X[rows].astype(np.float32), y[rows], n, (len(rows) - n) // 2)


def _divide(X, y, n, n_val):
    """Return the problem of the first n rows to train on, the next n_val to validate on, and the others to test on."""
    (X, y), (X_val, y_val), (X_test, y_test) = (
        (X[part], y[part]) for part in (slice(n), slice(n, n + n_val), slice(n + n_val, None))
    )
    return SweepProblem(X, y, X_val, y_val, X_test, y_test, len(np.unique(y)))


def _load_small(n_rows):
    """Return normal columns, of which twenty decide between two classes, and rows to test on."""
    generator, n = np.random.default_rng(0), n_rows or SMALL_ROWS
    n_test = count_test_rows(n) if n_rows else SMALL_TEST_ROWS
    X = generator.standard_normal((n + n_test, SMALL_COLUMNS))
    y = (X[:, :20] @ generator.standard_normal(20) + generator.logistic(size=len(X)) > 0).astype(np.int64)
    return SweepProblem(X[:n], y[:n], None, None, X[n:], y[n:], 2)


def _make_folds(penalty, l1_ratio, solvers):
    title = f"cross-validation, {len(CV_CS)} C × {N_FOLDS} folds, {penalty}"
    return Sweep(title, _load_small, partial(measure_folds, l1_ratio=l1_ratio, solvers=solvers), CV_CS, 100)


TITLE = f"sweep of {len(CS)} C"
CASES = {
    "sweep-embeddings-100": Sweep(
        f"{TITLE}, embeddings",
        partial(_load_embeddings, n_all=8_000, d=384, n_classes=100),
        measure_protocol,
        CS,
        200,
    ),
    "sweep-embeddings-1000": Sweep(
        f"{TITLE}, embeddings",
        partial(_load_embeddings, n_all=12_811, d=384, n_classes=1_000),
        partial(measure_protocol, time_limit=600),
        CS,
        200,
    ),
    "sweep-digits": Sweep(f"{TITLE}, digits", _load_digits, partial(measure_protocol, rounds=3), CS, 150),
    "sweep-small-l1": _make_folds("L1", 1.0, ("liblinear", "saga")),
    "sweep-small-l2": _make_folds("L2", 0.0, ("lbfgs", "newton-cg", "liblinear")),
}
