"""Everyday fits: tables of a few hundred to a hundred thousand rows, with the defaults of all libraries.

`python -m benchmarks.everyday` prints the results. Other cases use simulated data from published benchmarks of
scikit-learn: scikit-learn_bench's `configs/regular/logreg.json`, with half of the 200,000 rows for training; the table
of threads in issue 32162, with different generator arguments; and L1 with tol 1e-5 from pull request 33160.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from itertools import product

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine, make_classification
from sklearn.linear_model import LogisticRegression

import fastlin
from benchmarks.comparisons import EQUAL, FASTLIN, REPETITIONS, Comparison, Rule, run, run_comparison
from benchmarks.data import draw_dataframe, encode_before, standardize
from benchmarks.fits import MAX_ITER, TOL, C, by_cyanure, by_scikit_learn, load_one_hot, pose_letter, write_tol
from benchmarks.many_fits import Grid, fit_skglm_path
from benchmarks.problems import count_test_rows, pose, pose_first
from benchmarks.scaling import BASE, make_problem
from benchmarks.tables import PROBLEMS, print_tables, tabulate
from fastlin.kernels.machine.threads import count_threads
from fastlin.other_libraries import MAX_PARAMETERS_OF_A_HESSIAN, fit_fastlin, fit_glum

SOLVERS = "lbfgs", "newton-cg", "newton-cholesky"
# Coefficients count as less accurate if their relative error exceeds this value and the baseline's error.
MIN_WORSE_ERROR = 1e-3
REFERENCE_TOL = 1e-13
# newton-cholesky is not a baseline if its Hessian needs more multiply-adds than this, because it would take seconds.
MAX_HESSIAN_WORK = 100_000_000_000
WITHIN = 1e-3
GRID, REAL, DATAFRAMES = "grid", "real tables", "dataframes"
BENCH, THREADS_TABLE, L1 = "scikit-learn_bench", "issue 32162", "L1, pull request 33160"
# The groups of a short measurement, and the maximum number of rows of their cases.
SHORT_GROUPS, MAX_SHORT_ROWS = (GRID, REAL, BENCH, THREADS_TABLE, L1), 1_000
# How the simulated features deviate from independent standard normal features.
HARD = {"correlated": {"correlation": 0.95}, "unbalanced": {"imbalance": 3.0}, "raw scales": {"spread": 1e3}}
BUNDLED = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer, "digits": load_digits}
DEFAULT_ITERATIONS = 100
# scikit-learn takes minutes for MANY_ROWS rows, so its fastest solver is determined on TRIED_ROWS rows.
MANY_ROWS, TRIED_ROWS = 1_000_000, 20_000


@dataclass(frozen=True)
class Case:
    """A problem of a group."""

    group: str
    name: str
    load: Callable
    # The numbers of rows, columns and classes if the problem belongs to a grid.
    shape: tuple = ()
    # `tol` of all libraries, and `max_iter` of scikit-learn's L2 solvers.
    tol: float = TOL
    max_iter: int = DEFAULT_ITERATIONS
    # The prefix of the names of the case's baselines.
    among: str = ""
    # If given, all baselines are fitted to this number of rows, and only the default and the fastest one to all rows.
    tried_rows: int | None = None

    @property
    def is_short(self):
        return self.group in SHORT_GROUPS and (not self.shape or self.shape[0] <= MAX_SHORT_ROWS)


def _load_simulated(n_rows, n, d, K, l1_ratio=0.0, **options):
    problem = make_problem(n_rows, **{**BASE, "n": n, "d": d, "K": K, **options})
    X, X_test = (problem.X, problem.X_test) if "spread" in options else standardize(problem.X, problem.X_test)
    return pose("drawn", X, problem.y, C, (X_test, problem.y_test), l1_ratio=l1_ratio)


def _load_real(n_rows, load, is_standardized):
    X, y = load(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(y))[:n_rows]
    (X,) = standardize(X[rows]) if is_standardized else (X[rows],)
    return pose("table", X, y[rows], C)


def _list_cases():
    for K, n, d in product((2, 4, 10), (300, 1_000, 3_000, 10_000, 30_000, 100_000), (5, 20, 100)):
        yield Case(GRID, f"{n:,} × {d}, {K} classes", partial(_load_simulated, n=n, d=d, K=K), (n, d, K))
    for (name, load), scaling in product(BUNDLED.items(), ("raw", "standardized")):
        yield Case(
            REAL, f"{name}, {scaling}", partial(_load_real, load=load, is_standardized=scaling == "standardized")
        )
    for scaling in ("raw", "standardized"):
        load = partial(pose_letter, is_standardized=scaling == "standardized")
        yield Case("larger tables", f"Letter, {scaling}", load)
    for name, n in (("one-hot", 16_000), ("one-hot of a9a's shape", 32_561)):
        yield Case("larger tables", name, partial(load_one_hot, n_all=n))
    for (name, numbers), n, K in product(HARD.items(), (1_000, 10_000), (2, 4)):
        load = partial(_load_simulated, n=n, d=20, K=K, **numbers)
        yield Case("ill-conditioned", f"{name}, {n:,} × 20, {K} classes", load)
    penalties = {"L1": 1.0, "elastic net": 0.5}
    for (n, d), K, name in product(((1_000, 20), (10_000, 10), (10_000, 100)), (2, 4), penalties):
        load = partial(_load_simulated, n=n, d=d, K=K, l1_ratio=penalties[name])
        yield Case("L1 and elastic net", f"{name}, {n:,} × {d}, {K} classes", load)
    for n in (1_000, 10_000, 100_000):
        yield Case(DATAFRAMES, f"frame with categories, {n:,} rows", partial(draw_dataframe, n_all=n))


def _load_bench(n_rows, d, K):
    n = n_rows or 100_000
    X, y = make_classification(2 * n, d, n_informative=d // 2, n_classes=K, class_sep=0.75, random_state=42)
    return pose_first(BENCH, X, y, C, n)


def _load_threads(n_rows, n, d, K):
    n = n_rows or n
    X, y = make_classification(
        n + count_test_rows(n), d, n_informative=d // 2, n_classes=K, n_clusters_per_class=1, random_state=0
    )
    return pose_first("threads", X, y, C, n)


def _load_l1(n_rows, K, fit_intercept):
    X, y = make_classification(10_000, 10, n_informative=5, n_redundant=1, n_classes=K, random_state=42)
    return pose("L1", X[:n_rows], y[:n_rows], C, l1_ratio=1.0, fit_intercept=fit_intercept)


def _list_scikit_learn_cases():
    # Only scikit-learn's solvers are baselines.
    def make(group, n, d, K, load, suffix="", **options):
        name = f"{group}, {n:,} × {d}, {K} classes{suffix}"
        return Case(group, name, partial(load, K=K), (n, d, K), among="scikit-learn", **options)

    for d, K in product((50, 500), (2, 5)):
        yield make(BENCH, 100_000, d, K, partial(_load_bench, d=d), max_iter=200)
    for n, d, K in product((100, 10_000, MANY_ROWS), (10, 100), (2, 8, 32)):
        tried_rows = TRIED_ROWS if n == MANY_ROWS else None
        yield make(THREADS_TABLE, n, d, K, partial(_load_threads, n=n, d=d), tried_rows=tried_rows)
    for fit_intercept, K in product((False, True), (2, 3, 10)):
        suffix = ", with intercept" if fit_intercept else ", without intercept"
        yield make(L1, 10_000, 10, K, partial(_load_l1, fit_intercept=fit_intercept), suffix, tol=1e-5)


CASES, SCIKIT_LEARN_CASES = tuple(_list_cases()), tuple(_list_scikit_learn_cases())


def fit_by_default(problem, tol=TOL):
    """Fit fastlin.LogisticRegression with the problem's penalty and tol, or with defaults for a DataFrame."""
    X, parameters = problem.other_inputs, {"categorical_features": "from_dtype"}
    if X is None:
        X, parameters = problem.X, {"C": problem.C, "l1_ratio": problem.l1_ratio, "tol": tol}
        parameters["fit_intercept"] = problem.fit_intercept
    model = fastlin.LogisticRegression(**parameters).fit(X, problem.y)
    return model.coef_, model.intercept_


def fit_pipeline(problem):
    """Fit scikit-learn's one-hot encoder and LogisticRegression with their defaults."""
    model = encode_before(LogisticRegression()).fit(problem.other_inputs, problem.y)[-1]
    return model.coef_, model.intercept_


def fit_skglm(problem, tol):
    """Fit L1 for two classes with skglm, as a path with one value of C."""
    arrays = problem.X, problem.y, problem.X_test, problem.y_test
    grid = Grid(problem.name, *arrays, 2, np.array([problem.C]), problem.fit_intercept, problem.l1_ratio)
    coef, intercept = fit_skglm_path(grid, tol)
    return coef[0], intercept[0]


def choose_baselines(problem, tol=TOL, max_iter=DEFAULT_ITERATIONS):
    """Return the baselines of a problem by name, scikit-learn's default first."""
    if problem.other_inputs is not None:
        return {"scikit-learn's encoder and lbfgs": fit_pipeline}
    baselines, n, d = {}, *problem.X.shape
    if problem.l1_ratio == 0:
        n_parameters = problem.n_rows_coef * (d + 1)
        fits_hessian = n_parameters <= MAX_PARAMETERS_OF_A_HESSIAN and n * n_parameters**2 <= MAX_HESSIAN_WORK
        solvers = [solver for solver in SOLVERS if solver != "newton-cholesky" or fits_hessian]
        baselines |= by_scikit_learn(*solvers, tol=tol, max_iter=max_iter)
        if find_spec("cyanure"):
            baselines |= by_cyanure(tol)
    else:
        solvers = ["saga"]
        if problem.n_classes == 2 and problem.l1_ratio == 1 and not problem.fit_intercept:
            # liblinear would penalize an intercept.
            solvers.append("liblinear")
        # With the default of 100 iterations, the fits stop far from the minimum.
        baselines |= by_scikit_learn(*solvers, tol=tol, max_iter=10 * MAX_ITER)
        if problem.n_classes == 2 and problem.l1_ratio == 1 and find_spec("skglm"):
            baselines[f"skglm, tol {write_tol(tol)}"] = partial(fit_skglm, tol=tol)
    if problem.n_classes == 2 and find_spec("glum"):
        baselines["glum"] = partial(fit_glum, max_iter=DEFAULT_ITERATIONS, tol=tol)
    return baselines


def measure_case(case, whole=True):
    """Return the record of a Case as plain values: the comparison and the errors of the coefficients."""
    problem = case.load(None)
    baselines = choose_baselines(problem, case.tol, case.max_iter)
    baselines = {name: baseline for name, baseline in baselines.items() if name.startswith(case.among)}
    fit, default = partial(fit_by_default, tol=case.tol), next(iter(baselines))
    comparison = Comparison(
        case.name,
        case.load,
        fit,
        baselines,
        within=WITHIN,
        rule=Rule(suboptimality=TOL),
        rounds=REPETITIONS if whole else 1,
    )
    if case.tried_rows:
        tried = run_comparison(replace(comparison, rounds=1), case.load(case.tried_rows))
        threads = "one" if tried.best_threads[tried.baseline] == 1 else "all"
        comparison = replace(
            comparison,
            baselines={name: baselines[name] for name in (default, tried.baseline)},
            baseline_threads=(threads,),
        )
    outcome = run_comparison(comparison, problem)
    reference, _ = run(partial(fit_fastlin, tol=REFERENCE_TOL), problem).solution
    names = dict.fromkeys((FASTLIN, default, outcome.baseline))
    libraries = {name: outcome.describe_library(name) for name in names}
    for name, library in libraries.items():
        library["coef_error"] = find_coef_error(outcome.runs[name][-1].solution[0], reference)
    seconds, by_default = outcome.seconds, libraries[default]["seconds"]
    by_scikit_learn = [seconds[name] for name in seconds if name.startswith("scikit-learn")] or [by_default]
    ours, theirs = (libraries[name]["coef_error"] for name in (FASTLIN, outcome.baseline))
    return outcome.describe() | {
        "libraries": libraries,
        "group": case.group,
        "shape": list(case.shape),
        "default": default,
        "default_ratio": by_default / seconds[FASTLIN],
        "scikit_learn_ratio": min(by_scikit_learn) / seconds[FASTLIN],
        "is_above": outcome.gap > EQUAL,
        "is_worse": ours > max(MIN_WORSE_ERROR, theirs),
    }


def find_coef_error(coef, reference):
    """Return the largest error of the coefficients, relative to the largest coefficient at the minimum."""
    # With L1 the solution may be determined only up to a constant added to all classes.
    if len(reference) > 1:
        coef, reference = (array - array.mean(axis=0) for array in (coef, reference))
    return float(np.max(np.abs(coef - reference)) / np.max(np.abs(reference)))


@dataclass(frozen=True)
class Collection:
    """Cases that are stored in one record."""

    kind: str
    title: str
    cases: tuple

    def measure(self, whole=False, report=lambda line: None):
        """Return the record of all cases, or of the short cases, and report a line for each case."""
        problems = []
        for case in self.cases:
            if not whole and not case.is_short:
                continue
            try:
                problems.append(measure_case(case, whole))
            except (NotImplementedError, RuntimeError) as error:
                report(f"{case.name}: skipped. {error}")
            else:
                report(",  ".join(PROBLEMS.tabulate([{"problems": problems[-1:]}]).rows[0]))
        return {"kind": self.kind, "title": self.title, "threads": count_threads(), "problems": problems}


EVERYDAY = Collection("everyday", "everyday fits", CASES)
SCIKIT_LEARN = Collection("scikit-learn's cases", "cases of scikit-learn's issues and suites", SCIKIT_LEARN_CASES)


def main(arguments=None):
    """Measure the everyday cases, and print each result when it is available."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.everyday", description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="up to 1,000 rows and one repetition: about a minute")
    options = parser.parse_args(arguments)
    print_tables(tabulate({"everyday": EVERYDAY.measure(not options.short, partial(print, flush=True))}))


if __name__ == "__main__":
    main()
