"""Everyday fits: tables of a few hundred to a hundred thousand rows, defaults against defaults.

`python -m benchmarks.everyday` measures a grid of rows, columns and classes, real tables, columns that make fits hard,
L1 and elastic net, and frames with categories, and prints them. `--short` takes up to 10,000 rows of the grid and of
the real tables, and about a minute. The peers are the solvers of scikit-learn with their defaults, and Cyanure, glum
and skglm where they are installed, each on one thread and on all.

A default proves no more than its tol, so that equal objectives are no condition here. Each problem says by how much
fastlin's objective is above the peer's, and how far the coefficients of both are from the minimum: a drop-in is
compared by its coefficients.
"""

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import product

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

import fastlin
from benchmarks.data import FrameProblem, draw_frame, load_letter
from benchmarks.fits import MAX_ITER, TOL, C, by_cyanure, by_scikit_learn, write_tol
from benchmarks.paths import Grid, fit_skglm_path
from benchmarks.problems import pose
from benchmarks.races import EQUAL, FASTLIN, TURNS, Race, Rule, run_race
from benchmarks.scaling import BASE, make_problem
from benchmarks.sparse_data import make_one_hot
from benchmarks.tables import make_console, print_tables, tabulate_everyday, write_everyday
from fastlin.contenders import MOST_PARAMETERS_OF_A_HESSIAN, fit_fastlin, fit_glum
from fastlin.kernels.machine.threads import count_threads

ROWS = 300, 1_000, 3_000, 10_000, 30_000, 100_000
COLUMNS = 5, 20, 100
CLASSES = 2, 4, 10
# The groups of a short measurement, and the most rows of its grid; that of pytest is shorter still.
GRID = "grid"
SHORT_GROUPS = GRID, "real tables"
MOST_SHORT_ROWS, MOST_FEW_ROWS = 10_000, 1_000
A9A_ROWS = 32_561
# L1 and elastic net: rows, columns, classes and the part of L1.
SPARSE_MODELS = product(((1_000, 20), (10_000, 10), (10_000, 100)), (2, 4), (1.0, 0.5))
# How drawn columns differ from standardised normal ones.
HARD = {
    "correlated": {"correlation": 0.95},
    "unbalanced": {"imbalance": 3.0},
    "raw scales": {"spread": 1e3},
}
SOLVERS = "lbfgs", "newton-cg", "newton-cholesky"
DEFAULT_ITERATIONS = 100
# Coefficients further from the minimum than this part of the largest, and further than the peer's, are clearly worse.
WORSE = 1e-3
# What the reference minimum is fitted to.
REFERENCE_TOL = 1e-13
# newton-cholesky is no peer where its Hessian takes more multiply-adds than this, which is seconds.
MOST_HESSIAN_WORK, MOST_SHORT_WORK = 100_000_000_000, 1_000_000_000
# Peers whose default stops further than this above the minimum do not count: on raw columns some stop 5 % above.
WITHIN = 1e-3


@dataclass(frozen=True)
class Case:
    """A problem of everyday.

    Attributes
    ----------
    group : str
        The group that it is reported with.
    name : str
        What tables call it.
    load : callable
        The function from a number of rows, or None for all, to the problem.
    shape : tuple of int
        Rows, columns and classes where it is one of the grid, otherwise empty.
    tol : float
        The tol of all contenders.
    max_iter : int
        The most iterations of scikit-learn's solvers of L2.
    among : str
        What the names of its peers begin with.
    tried_rows : int or None
        The number of rows on which the fastest peer is found, where a fit of all rows takes minutes: on all rows only
        this and the default are raced, on its number of threads. None: all rows.
    """

    group: str
    name: str
    load: Callable
    shape: tuple = ()
    tol: float = TOL
    max_iter: int = DEFAULT_ITERATIONS
    among: str = ""
    tried_rows: int | None = None

    def is_short(self, most_rows=MOST_SHORT_ROWS):
        """Return whether a short measurement has it, one of up to so many rows of the grid."""
        return self.group in SHORT_GROUPS and (not self.shape or self.shape[0] <= most_rows)


def standardise(X, *others):
    """Return arrays with the columns of the first shifted and scaled to mean 0 and deviation 1, others likewise."""
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    # A column of one value stays zero.
    deviation = np.where(deviation > 0, deviation, 1)
    return [(each - mean) / deviation for each in (X, *others)]


def _load_drawn(n_rows, n, d, K, l1_ratio=0.0, name="drawn", **numbers):
    drawn = make_problem(n_rows, **{**BASE, "n": n, "d": d, "K": K, **numbers})
    X, X_test = (drawn.X, drawn.X_test) if "spread" in numbers else standardise(drawn.X, drawn.X_test)
    return pose(name, X, drawn.y, C, (X_test, drawn.y_test), l1_ratio=l1_ratio)


def _load_real(n_rows, load, is_standardised):
    X, y = load(return_X_y=True)
    # The rows of iris and wine lie class by class.
    rows = np.random.default_rng(0).permutation(len(y))[:n_rows]
    (X,) = standardise(X[rows]) if is_standardised else (X[rows],)
    return pose("table", X, y[rows], C)


def _load_letter(n_rows, is_standardised):
    data = load_letter()
    X, X_test = data.X_train[:n_rows], data.X_test
    if is_standardised:
        X, X_test = standardise(X, X_test)
    return pose("Letter", X, data.y_train[:n_rows], C, (X_test, data.y_test))


def _load_one_hot(n_rows, n):
    data = make_one_hot(n_rows or n)
    return pose("one-hot", data.X_train, data.y_train, C, (data.X_test, data.y_test))


def _load_frame(n_rows, n):
    return draw_frame(n_rows or n)


def _list_cases():
    for K, n, d in product(CLASSES, ROWS, COLUMNS):
        yield Case(GRID, f"{n:,} × {d}, {K} classes", partial(_load_drawn, n=n, d=d, K=K), (n, d, K))
    bundled = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer, "digits": load_digits}
    for name, load in bundled.items():
        for how in ("raw", "standardised"):
            load_case = partial(_load_real, load=load, is_standardised=how == "standardised")
            yield Case("real tables", f"{name}, {how}", load_case)
    for how in ("raw", "standardised"):
        # Its 16,000 rows are too many for a short measurement.
        yield Case("larger tables", f"Letter, {how}", partial(_load_letter, is_standardised=how == "standardised"))
    for name, n in (("one-hot", 16_000), ("one-hot of a9a's shape", A9A_ROWS)):
        yield Case("larger tables", name, partial(_load_one_hot, n=n))
    for (name, numbers), n, K in product(HARD.items(), (1_000, 10_000), (2, 4)):
        load_case = partial(_load_drawn, n=n, d=20, K=K, **numbers)
        yield Case("hard columns", f"{name}, {n:,} × 20, {K} classes", load_case)
    for (n, d), K, l1_ratio in SPARSE_MODELS:
        penalty = "L1" if l1_ratio == 1 else "elastic net"
        load_case = partial(_load_drawn, n=n, d=d, K=K, l1_ratio=l1_ratio)
        yield Case("L1 and elastic net", f"{penalty}, {n:,} × {d}, {K} classes", load_case)
    for n in (1_000, 10_000, 100_000):
        yield Case("frames", f"frame with categories, {n:,} rows", partial(_load_frame, n=n))


CASES = tuple(_list_cases())
# Those of `pytest --benchmark-only`, which take half a minute.
FEW = tuple(case for case in CASES if case.is_short(MOST_FEW_ROWS))


def fit_by_default(problem, tol=TOL):
    """Fit fastlin.LogisticRegression with its defaults but for what the problem says, and tol where it is no frame."""
    if isinstance(problem, FrameProblem):
        model = fastlin.LogisticRegression(categorical_features="from_dtype").fit(problem.frame, problem.y)
    else:
        model = fastlin.LogisticRegression(
            C=problem.C, l1_ratio=problem.l1_ratio, fit_intercept=problem.fit_intercept, tol=tol
        ).fit(problem.X, problem.y)
    return model.coef_, model.intercept_


def fit_pipeline(problem):
    """Fit scikit-learn's one-hot encoder and LogisticRegression with their defaults."""
    model = problem.make_pipeline(LogisticRegression()).fit(problem.frame, problem.y)[-1]
    return model.coef_, model.intercept_


def fit_skglm(problem, tol):
    """Fit L1 with two classes by skglm, as a path of one C."""
    arrays = problem.X, problem.y, problem.X_test, problem.y_test
    grid = Grid(problem.name, *arrays, 2, np.array([problem.C]), problem.fit_intercept, problem.l1_ratio)
    coef, intercept = fit_skglm_path(grid, tol)
    return coef[0], intercept[0]


def choose_peers(problem, most_work, tol=TOL, max_iter=DEFAULT_ITERATIONS):
    """Return the peers of a problem by name, scikit-learn's default the first of them."""
    if isinstance(problem, FrameProblem):
        return {"scikit-learn's encoder and lbfgs": fit_pipeline}
    peers, n, d = {}, *problem.X.shape
    if problem.l1_ratio == 0:
        n_parameters = problem.n_rows_coef * (d + 1)
        fits_hessian = n_parameters <= MOST_PARAMETERS_OF_A_HESSIAN and n * n_parameters**2 <= most_work
        solvers = [solver for solver in SOLVERS if solver != "newton-cholesky" or fits_hessian]
        peers |= by_scikit_learn(*solvers, tol=tol, max_iter=max_iter)
        if find_spec("cyanure"):
            peers |= by_cyanure(tol)
    else:
        solvers = ["saga"]
        if problem.n_classes == 2 and problem.l1_ratio == 1 and not problem.fit_intercept:
            # It would penalise an intercept.
            solvers.append("liblinear")
        # The default of 100 iterations ends far from the minimum.
        peers |= by_scikit_learn(*solvers, tol=tol, max_iter=10 * MAX_ITER)
        if problem.n_classes == 2 and problem.l1_ratio == 1 and find_spec("skglm"):
            peers[f"skglm, tol {write_tol(tol)}"] = partial(fit_skglm, tol=tol)
    if problem.n_classes == 2 and find_spec("glum"):
        peers["glum"] = partial(fit_glum, max_iter=DEFAULT_ITERATIONS, tol=tol)
    return peers


def measure_case(case, short=False):
    """Return the record of a Case, as plain values: the race and the distances of the coefficients from the minimum."""
    problem = case.load(None)
    peers = choose_peers(problem, MOST_SHORT_WORK if short else MOST_HESSIAN_WORK, case.tol, case.max_iter)
    peers = {name: peer for name, peer in peers.items() if name.startswith(case.among)}
    default = next(iter(peers))
    fit = fit_by_default if case.tol == TOL else partial(fit_by_default, tol=case.tol)
    race = partial(Race, case.name, case.load, fit, rule=Rule(excess=TOL))
    raced = {"peers": peers}
    if case.tried_rows:
        raced = choose_on_few_rows(race(peers, within=WITHIN, rounds=1), case.load(case.tried_rows))
    outcome = run_race(race(**raced, within=WITHIN, rounds=1 if short else TURNS), problem)
    by_default = outcome
    if default not in outcome.seconds:
        # People call it all the same.
        by_default = run_race(race(**{**raced, "peers": {default: peers[default]}}, rounds=1), problem)
    with warnings.catch_warnings():
        # Rounding may end it above so small a tol.
        warnings.simplefilter("ignore", ConvergenceWarning)
        reference, _ = fit_fastlin(problem, tol=REFERENCE_TOL)
    record = outcome.describe()
    named = {**record["contenders"], default: by_default.describe()["contenders"][default]}
    record["contenders"] = {name: named[name] for name in dict.fromkeys((FASTLIN, default, outcome.peer))}
    of_scikit_learn = [seconds for name, seconds in outcome.seconds.items() if name.startswith("scikit-learn")] or [
        by_default.seconds[default]
    ]
    solutions = {**by_default.solutions, **outcome.solutions}
    for name, contender in record["contenders"].items():
        contender["coef_error"] = find_coef_error(solutions[name][0], reference)
    ours, theirs = (record["contenders"][name]["coef_error"] for name in (FASTLIN, outcome.peer))
    return record | {
        "group": case.group,
        "shape": list(case.shape),
        "default": default,
        "default_ratio": by_default.seconds[default] / outcome.seconds[FASTLIN],
        "scikit_learn_ratio": min(of_scikit_learn) / outcome.seconds[FASTLIN],
        "is_above": outcome.gap > EQUAL,
        "is_worse": ours > max(WORSE, theirs),
    }


def choose_on_few_rows(race, problem):
    """Return the first and the fastest peer of a race on a problem of few rows, and its threads, for a Race."""
    outcome = run_race(race, problem)
    names = dict.fromkeys((next(iter(race.peers)), outcome.peer))
    return {
        "peers": {name: race.peers[name] for name in names},
        "peer_threads": ("one" if outcome.best_threads[outcome.peer] == 1 else "all",),
    }


def find_coef_error(coef, reference):
    """Return the largest difference of coefficients from those of the minimum, over the largest of these.

    Those of several classes are compared as differences from their mean: with L1 a constant added to the classes of a
    column may change nothing.
    """
    if len(reference) > 1:
        coef, reference = (each - each.mean(axis=0) for each in (coef, reference))
    return float(np.max(np.abs(coef - reference)) / np.max(np.abs(reference)))


def measure_everyday(short=False, cases=None, report=lambda line: None):
    """Return the record of many cases, as plain values.

    Parameters
    ----------
    short : bool
        Whether the cases are those of a short measurement, in fewer turns.
    cases : sequence of Case or None
        The cases; None: all, or those of a short measurement.
    report : callable
        What is called with a line on each case as soon as it is known, or why it is left out.
    """
    problems = []
    for case in cases or [case for case in CASES if not short or case.is_short()]:
        try:
            problems.append(measure_case(case, short))
        except (NotImplementedError, RuntimeError) as error:
            # Data are missing, or no peer comes near the minimum.
            report(f"{case.name}: left out. {error}")
        else:
            report(write_everyday(problems[-1]))
    return {"kind": "everyday", "title": "everyday fits", "threads": count_threads(), "problems": problems}


def measure_named(parser, cases, is_short, measure, arguments=None):
    """Measure the cases that a program's arguments name, print each as soon as it is known, and return the record.

    is_short says whether a short measurement has a case.
    """
    parser.add_argument("--short", action="store_true", help="up to 10,000 rows, in fewer turns: about a minute")
    parser.add_argument("names", nargs="*", metavar="name", help="only cases whose group or name contains such a text")
    options = parser.parse_args(arguments)
    asked = [
        case
        for case in cases
        if (not options.short or is_short(case))
        and (not options.names or any(name in f"{case.group}: {case.name}" for name in options.names))
    ]
    if not asked:
        parser.error(f"no case is called {' or '.join(map(repr, options.names))}")
    return measure(options.short, asked, partial(print, flush=True))


def main(arguments=None):
    """Measure the cases that are asked for, and print each as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.everyday", description=__doc__.splitlines()[0])
    record = measure_named(parser, CASES, Case.is_short, measure_everyday, arguments)
    if record["problems"]:
        print_tables([tabulate_everyday([record])], make_console())


if __name__ == "__main__":
    main()
