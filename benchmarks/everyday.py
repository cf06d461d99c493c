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
from benchmarks.comparisons import (
    FASTLIN,
    OBJECTIVE_TOL,
    Comparison,
    ComparisonRule,
    ignore_warnings,
    run_comparison,
    shorten_comparison,
)
from benchmarks.data import make_one_hot_pipeline, simulate_dataframe, standardize
from benchmarks.fits import (
    DEFAULT_TOL,
    MAX_ITER,
    C,
    format_tol,
    load_letter_problem,
    load_one_hot,
    make_cyanure_baselines,
    make_scikit_learn_baselines,
)
from benchmarks.many_fits import PathProblems, fit_skglm_path
from benchmarks.problems import count_test_rows, make_classification_problem, make_split_problem
from benchmarks.scaling import BASE_SETTINGS, make_problem
from benchmarks.tables import EVERYDAY_LAYOUT, print_tables, tabulate
from fastlin.benchmarking.other_libraries import MAX_NEWTON_PARAMETERS, fit_fastlin, fit_glum
from fastlin.kernels.machine.threads import count_threads

SOLVERS = "lbfgs", "newton-cg", "newton-cholesky"
# Coefficients count as less accurate if their relative error exceeds this value and the baseline's error.
COEF_ERROR_TOL = 1e-3
REFERENCE_TOL = 1e-13
# newton-cholesky is not a baseline if its Hessian needs more multiply-adds than this, because it would take seconds.
MAX_HESSIAN_MULTIPLY_ADDS = 100_000_000_000
MAX_BASELINE_SUBOPTIMALITY = 1e-3
GRID_GROUP, REAL_TABLES_GROUP, DATAFRAME_GROUP = "grid", "real tables", "DataFrames"
SCIKIT_LEARN_BENCH_GROUP, THREADS_GROUP, L1_GROUP = "scikit-learn_bench", "issue 32162", "L1, pull request 33160"
# The groups of a short measurement, and the maximum number of rows of their cases.
SHORT_GROUPS, MAX_SHORT_ROWS = (GRID_GROUP, REAL_TABLES_GROUP, SCIKIT_LEARN_BENCH_GROUP, THREADS_GROUP, L1_GROUP), 1_000
# How the simulated features deviate from independent standard normal features.
ILL_CONDITIONED_OPTIONS = {
    "correlated": {"correlation": 0.95},
    "unbalanced": {"imbalance": 3.0},
    "raw scales": {"std_ratio": 1e3},
}
SCIKIT_LEARN_DATASETS = {
    "iris": load_iris,
    "wine": load_wine,
    "breast cancer": load_breast_cancer,
    "digits": load_digits,
}
DEFAULT_MAX_ITER = 100
# scikit-learn takes minutes for N_LARGEST_ROWS rows, so its fastest solver is determined on N_TRIAL_ROWS rows.
N_LARGEST_ROWS, N_TRIAL_ROWS = 1_000_000, 20_000


@dataclass(frozen=True)
class Case:
    """A problem of a group."""

    group: str
    name: str
    load: Callable
    # The numbers of rows, columns and classes if the problem belongs to a grid.
    shape: tuple = ()
    # `tol` of all libraries, and `max_iter` of scikit-learn's L2 solvers.
    tol: float = DEFAULT_TOL
    max_iter: int = DEFAULT_MAX_ITER
    # The prefix of the names of the case's baselines.
    baseline_prefix: str = ""
    # If given, all baselines are fitted to this number of rows, and only the default and the fastest one to all rows.
    n_trial_rows: int | None = None

    @property
    def is_short(self):
        return self.group in SHORT_GROUPS and (not self.shape or self.shape[0] <= MAX_SHORT_ROWS)


def _load_simulated(n_rows, n, d, K, l1_ratio=0.0, **options):
    problem = make_problem(n_rows, **{**BASE_SETTINGS, "n": n, "d": d, "K": K, **options})
    X, X_test = (problem.X, problem.X_test) if "std_ratio" in options else standardize(problem.X, problem.X_test)
    return make_classification_problem("drawn", X, problem.y, C, (X_test, problem.y_test), l1_ratio=l1_ratio)


def _load_table(n_rows, load, is_standardized):
    X, y = load(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(y))[:n_rows]
    (X,) = standardize(X[rows]) if is_standardized else (X[rows],)
    return make_classification_problem("table", X, y[rows], C)


def _list_cases():
    for K, n, d in product((2, 4, 10), (300, 1_000, 3_000, 10_000, 30_000, 100_000), (5, 20, 100)):
        yield Case(GRID_GROUP, f"{n:,} × {d}, {K} classes", partial(_load_simulated, n=n, d=d, K=K), (n, d, K))
    for (name, load), feature_scaling in product(SCIKIT_LEARN_DATASETS.items(), ("raw", "standardized")):
        yield Case(
            REAL_TABLES_GROUP,
            f"{name}, {feature_scaling}",
            partial(_load_table, load=load, is_standardized=feature_scaling == "standardized"),
        )
    for feature_scaling in ("raw", "standardized"):
        load = partial(load_letter_problem, is_standardized=feature_scaling == "standardized")
        yield Case("larger tables", f"Letter, {feature_scaling}", load)
    for name, n in (("one-hot", 16_000), ("one-hot of a9a's shape", 32_561)):
        yield Case("larger tables", name, partial(load_one_hot, n_all=n))
    for (name, simulation_options), n, K in product(ILL_CONDITIONED_OPTIONS.items(), (1_000, 10_000), (2, 4)):
        load = partial(_load_simulated, n=n, d=20, K=K, **simulation_options)
        yield Case("ill-conditioned", f"{name}, {n:,} × 20, {K} classes", load)
    penalties = {"L1": 1.0, "elastic net": 0.5}
    for (n, d), K, name in product(((1_000, 20), (10_000, 10), (10_000, 100)), (2, 4), penalties):
        load = partial(_load_simulated, n=n, d=d, K=K, l1_ratio=penalties[name])
        yield Case("L1 and elastic net", f"{name}, {n:,} × {d}, {K} classes", load)
    for n in (1_000, 10_000, 100_000):
        yield Case(DATAFRAME_GROUP, f"DataFrame with categories, {n:,} rows", partial(simulate_dataframe, n_all=n))


def _load_scikit_learn_bench(n_rows, d, K):
    n = n_rows or 100_000
    X, y = make_classification(2 * n, d, n_informative=d // 2, n_classes=K, class_sep=0.75, random_state=42)
    return make_split_problem(SCIKIT_LEARN_BENCH_GROUP, X, y, C, n)


def _load_threads_benchmark(n_rows, n, d, K):
    n = n_rows or n
    X, y = make_classification(
        n + count_test_rows(n), d, n_informative=d // 2, n_classes=K, n_clusters_per_class=1, random_state=0
    )
    return make_split_problem("threads", X, y, C, n)


def _load_l1_benchmark(n_rows, K, fit_intercept):
    X, y = make_classification(10_000, 10, n_informative=5, n_redundant=1, n_classes=K, random_state=42)
    return make_classification_problem("L1", X[:n_rows], y[:n_rows], C, l1_ratio=1.0, fit_intercept=fit_intercept)


def _list_scikit_learn_cases():
    # Only scikit-learn's solvers are baselines.
    def make_case(group, n, d, K, load, name_suffix="", **options):
        name = f"{group}, {n:,} × {d}, {K} classes{name_suffix}"
        return Case(group, name, partial(load, K=K), (n, d, K), baseline_prefix="scikit-learn", **options)

    for d, K in product((50, 500), (2, 5)):
        yield make_case(SCIKIT_LEARN_BENCH_GROUP, 100_000, d, K, partial(_load_scikit_learn_bench, d=d), max_iter=200)
    for n, d, K in product((100, 10_000, N_LARGEST_ROWS), (10, 100), (2, 8, 32)):
        n_trial_rows = N_TRIAL_ROWS if n == N_LARGEST_ROWS else None
        yield make_case(THREADS_GROUP, n, d, K, partial(_load_threads_benchmark, n=n, d=d), n_trial_rows=n_trial_rows)
    for fit_intercept, K in product((False, True), (2, 3, 10)):
        name_suffix = ", with intercept" if fit_intercept else ", without intercept"
        yield make_case(
            L1_GROUP, 10_000, 10, K, partial(_load_l1_benchmark, fit_intercept=fit_intercept), name_suffix, tol=1e-5
        )


CASES, SCIKIT_LEARN_CASES = tuple(_list_cases()), tuple(_list_scikit_learn_cases())


def fit_with_defaults(problem, tol=DEFAULT_TOL):
    """Fit fastlin.LogisticRegression with the problem's penalty and tol, or with defaults for a DataFrame."""
    X, parameters = problem.other_inputs, {"categorical_features": "from_dtype"}
    if X is None:
        X, parameters = problem.X, {"C": problem.C, "l1_ratio": problem.l1_ratio, "tol": tol}
        parameters["fit_intercept"] = problem.fit_intercept
    model = fastlin.LogisticRegression(**parameters).fit(X, problem.y)
    return model.coef_, model.intercept_


def fit_pipeline(problem):
    """Fit scikit-learn's one-hot encoder and LogisticRegression with their defaults."""
    model = make_one_hot_pipeline(LogisticRegression()).fit(problem.other_inputs, problem.y)[-1]
    return model.coef_, model.intercept_


def fit_skglm(problem, tol):
    """Fit L1 for two classes with skglm, as a path with one value of C."""
    arrays = problem.X, problem.y, problem.X_test, problem.y_test
    path_problems = PathProblems(
        problem.name, *arrays, 2, np.array([problem.C]), problem.fit_intercept, problem.l1_ratio
    )
    coef, intercept = fit_skglm_path(path_problems, tol)
    return coef[0], intercept[0]


def choose_baselines(problem, tol=DEFAULT_TOL, max_iter=DEFAULT_MAX_ITER):
    """Return the baselines of a problem by name, scikit-learn's default first."""
    if problem.other_inputs is not None:
        return {"scikit-learn's encoder and lbfgs": fit_pipeline}
    baselines, n, d = {}, *problem.X.shape
    if problem.l1_ratio == 0:
        n_parameters = problem.n_rows_coef * (d + 1)
        is_hessian_feasible = n_parameters <= MAX_NEWTON_PARAMETERS and n * n_parameters**2 <= MAX_HESSIAN_MULTIPLY_ADDS
        solvers = [solver for solver in SOLVERS if solver != "newton-cholesky" or is_hessian_feasible]
        baselines |= make_scikit_learn_baselines(*solvers, tol=tol, max_iter=max_iter)
        if find_spec("cyanure"):
            baselines |= make_cyanure_baselines(tol)
    else:
        solvers = ["saga"]
        if problem.n_classes == 2 and problem.l1_ratio == 1 and not problem.fit_intercept:
            # liblinear would penalize an intercept.
            solvers.append("liblinear")
        # With the default of 100 iterations, the fits stop far from the minimum.
        baselines |= make_scikit_learn_baselines(*solvers, tol=tol, max_iter=10 * MAX_ITER)
        if problem.n_classes == 2 and problem.l1_ratio == 1 and find_spec("skglm"):
            baselines[f"skglm, tol {format_tol(tol)}"] = partial(fit_skglm, tol=tol)
    if problem.n_classes == 2 and find_spec("glum"):
        baselines["glum"] = partial(fit_glum, max_iter=DEFAULT_MAX_ITER, tol=tol)
    return baselines


def measure_case(case, is_full_run=True):
    """Return the record of a Case as plain values: the comparison and the errors of the coefficients."""
    problem = case.load(None)
    baselines = choose_baselines(problem, case.tol, case.max_iter)
    baselines = {name: baseline for name, baseline in baselines.items() if name.startswith(case.baseline_prefix)}
    fit, default = partial(fit_with_defaults, tol=case.tol), next(iter(baselines))
    comparison = Comparison(
        case.name,
        case.load,
        fit,
        baselines,
        within=MAX_BASELINE_SUBOPTIMALITY,
        rule=ComparisonRule(suboptimality=DEFAULT_TOL),
    )
    if not is_full_run:
        comparison = shorten_comparison(comparison)
    if case.n_trial_rows:
        trial_outcome = run_comparison(replace(comparison, rounds=1), case.load(case.n_trial_rows))
        threads = "one" if trial_outcome.points[trial_outcome.baseline]["threads"] == 1 else "all"
        comparison = replace(
            comparison,
            baselines={name: baselines[name] for name in (default, trial_outcome.baseline)},
            baseline_threads=(threads,),
        )
    outcome = run_comparison(comparison, problem)
    with ignore_warnings():
        reference_coef, _ = fit_fastlin(problem, REFERENCE_TOL)
    # The default solver is shown even if it does not reach the objective.
    record = outcome.describe(dict.fromkeys((FASTLIN, default, outcome.baseline)))
    libraries = record["libraries"]
    for name, library in libraries.items():
        library["coef_error"] = find_coef_error(outcome.points[name]["solution"][0], reference_coef)
    seconds, default_seconds = outcome.seconds, libraries[default]["seconds"]
    scikit_learn_seconds = [seconds[name] for name in seconds if name.startswith("scikit-learn")] or [default_seconds]
    fastlin_error, baseline_error = (libraries[name]["coef_error"] for name in (FASTLIN, outcome.baseline))
    return record | {
        "group": case.group,
        "shape": list(case.shape),
        "default": default,
        "default_ratio": default_seconds / seconds[FASTLIN],
        "scikit_learn_ratio": min(scikit_learn_seconds) / seconds[FASTLIN],
        "is_above": outcome.objective_difference > OBJECTIVE_TOL,
        "is_worse": fastlin_error > max(COEF_ERROR_TOL, baseline_error),
    }


def find_coef_error(coef, reference_coef):
    """Return the largest error of the coefficients, relative to the largest coefficient at the minimum."""
    # With L1 the solution may be determined only up to a constant added to all classes.
    if len(reference_coef) > 1:
        coef, reference_coef = (array - array.mean(axis=0) for array in (coef, reference_coef))
    return float(np.max(np.abs(coef - reference_coef)) / np.max(np.abs(reference_coef)))


@dataclass(frozen=True)
class CaseCollection:
    """Cases that are stored in one record."""

    kind: str
    title: str
    cases: tuple

    def measure(self, is_full_run=False, report=lambda line: None):
        """Return the record of all cases, or of the short cases, and report a line for each case."""
        problems = []
        for case in self.cases:
            if not is_full_run and not case.is_short:
                continue
            try:
                problems.append(measure_case(case, is_full_run))
            except (NotImplementedError, RuntimeError) as error:
                report(f"{case.name}: skipped. {error}")
            else:
                report(",  ".join(EVERYDAY_LAYOUT.tabulate([{"problems": problems[-1:]}]).rows[0]))
        return {"kind": self.kind, "title": self.title, "threads": count_threads(), "problems": problems}


EVERYDAY_FITS = CaseCollection("everyday", "everyday fits", CASES)
SCIKIT_LEARN_COLLECTION = CaseCollection(
    "scikit-learn's cases", "cases of scikit-learn's issues and suites", SCIKIT_LEARN_CASES
)


def main(arguments=None):
    """Measure the everyday cases, and print each result when it is available."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.everyday", description=__doc__.splitlines()[0])
    short_help = "up to 1,000 rows, one repetition, baselines on one thread: a minute"
    parser.add_argument("--short", action="store_true", help=short_help)
    options = parser.parse_args(arguments)
    print_tables(tabulate({"everyday": EVERYDAY_FITS.measure(not options.short, partial(print, flush=True))}))


if __name__ == "__main__":
    main()
