"""Everyday fits: tables of a few hundred to a hundred thousand rows, defaults against defaults.

`python -m benchmarks.everyday` measures a grid of rows, columns and classes and real tables, and prints them. `--short`
takes the shapes of up to 10,000 rows and about a minute. The peers are scikit-learn's solvers with their defaults, each
on one thread and on all. Beside the seconds stands how far the coefficients of the default fits are from the minimum:
a drop-in is compared by its coefficients.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

import fastlin
from benchmarks.fits import C, by_scikit_learn, pose
from benchmarks.races import FASTLIN, Race, describe_data, run_race
from benchmarks.scaling import BASE, make_problem
from benchmarks.tables import format_ratio, format_seconds
from fastlin.studies.contenders import fit_fastlin

ROWS = 300, 1_000, 3_000, 10_000, 30_000, 100_000
COLUMNS = 5, 20, 100
CLASSES = 2, 4, 10
# The largest shapes of a short measurement.
MOST_SHORT_ROWS = 10_000
# scikit-learn's default, which also counts where others are faster: it is what people call.
DEFAULT = "scikit-learn lbfgs"
SOLVERS = "lbfgs", "newton-cg", "newton-cholesky"
DEFAULT_ITERATIONS = 100
# Coefficients that are further from the minimum than this part of the largest, and further than the peer's, are worse.
WORSE = 1e-3
# What the reference minimum is fitted to.
REFERENCE_TOL = 1e-13
# newton-cholesky is no peer where its Hessians take more multiply-adds than this: it takes seconds there.
MOST_HESSIAN_WORK = {True: 1_000_000_000, False: 100_000_000_000}
# Peers whose default stops further than this above the minimum do not count: on raw columns some stop 5 % above.
WITHIN = 1e-3
ROUNDS = {True: 2, False: 3}


@dataclass(frozen=True)
class Table:
    """A problem of everyday.

    Attributes
    ----------
    group : str
        What it is part of: "grid" or "tables".
    name : str
        What tables call it.
    load : callable
        The function from a number of rows, or None for all, to the problem.
    """

    group: str
    name: str
    load: Callable


def standardise(problem_or_X):
    """Return X with columns of mean 0 and deviation 1; columns of one value stay zero."""
    X = problem_or_X - problem_or_X.mean(axis=0)
    deviations = X.std(axis=0)
    return X / np.where(deviations > 0, deviations, 1)


def _load_drawn(n_rows, n, d, K):
    drawn = make_problem(n_rows, **{**BASE, "n": n, "d": d, "K": K})
    return pose("grid", standardise(drawn.X), drawn.y, C)


def _load_real(n_rows, load, is_standardised):
    X, y = load(return_X_y=True)
    if n_rows is not None:
        # The rows of iris and wine lie class by class.
        rows = np.random.default_rng(0).permutation(len(y))[:n_rows]
        X, y = X[rows], y[rows]
    return pose("table", standardise(X) if is_standardised else X, y, C)


GRID = [
    Table("grid", f"{n:,} × {d}, {K} classes", partial(_load_drawn, n=n, d=d, K=K))
    for K, n, d in product(CLASSES, ROWS, COLUMNS)
]
TABLES = [
    Table("tables", f"{name}, {how}", partial(_load_real, load=load, is_standardised=how == "standardised"))
    for name, load in (
        ("iris", load_iris),
        ("wine", load_wine),
        ("breast cancer", load_breast_cancer),
        ("digits", load_digits),
    )
    for how in ("raw", "standardised")
]


def fit_by_default(problem):
    """Fit fastlin.LogisticRegression with its defaults but for the penalty."""
    model = fastlin.LogisticRegression(C=problem.C, l1_ratio=problem.l1_ratio).fit(problem.X, problem.y)
    return model.coef_, model.intercept_


def measure_table(table, short):
    """Return the record of a Table, as plain values: the race and the distances of coefficients from the minimum."""
    problem = table.load(None)
    n, d = problem.X.shape
    work = n * (problem.n_rows_coef * (d + 1)) ** 2
    solvers = [solver for solver in SOLVERS if solver != "newton-cholesky" or work <= MOST_HESSIAN_WORK[short]]
    race = Race(
        table.name,
        table.load,
        fit_by_default,
        by_scikit_learn(*solvers, max_iter=DEFAULT_ITERATIONS),
        within=WITHIN,
        rounds=ROUNDS[short],
    )
    outcome = run_race(race, problem)
    reference, _ = fit_fastlin(problem, tol=REFERENCE_TOL)
    record = outcome.describe()
    for name, contender in record["contenders"].items():
        contender["coef_error"] = find_coef_error(outcome.solutions[name][0], reference)
    errors = {name: contender["coef_error"] for name, contender in record["contenders"].items()}
    is_worse = errors[FASTLIN] > max(WORSE, errors[outcome.peer])
    return record | {"group": table.group, "data": describe_data(problem), "is_worse": is_worse}


def find_coef_error(coef, reference):
    """Return the largest difference of coefficients from those of the minimum, over the largest of these."""
    return float(np.max(np.abs(coef - reference)) / np.max(np.abs(reference)))


def summarise(records):
    """Return what several records say together, as plain values: ratios to the fastest peer, and coefficients."""
    ratios = np.array([record["ratio"] for record in records])
    return {
        "n": len(records),
        "mean": float(np.exp(np.mean(np.log(ratios)))),
        "worst": float(ratios.min()),
        "worst_title": records[int(ratios.argmin())]["title"],
        "n_slower": int(np.sum(ratios < 1)),
        "n_worse": sum(record["is_worse"] for record in records),
        "median_error": float(np.median([record["contenders"][FASTLIN]["coef_error"] for record in records])),
        "median_peer_error": float(np.median([r["contenders"][r["peer"]]["coef_error"] for r in records])),
    }


def main(arguments=None):
    """Measure the tables that are asked for, and print each as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.everyday", description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="shapes of up to 10,000 rows: about a minute")
    parser.add_argument("names", nargs="*", metavar="name", help="only those whose names contain one of these texts")
    options = parser.parse_args(arguments)
    records = []
    for table in (*GRID, *TABLES):
        n = int(table.name.split(" ×")[0].replace(",", "")) if table.group == "grid" else 0
        if (options.short and n > MOST_SHORT_ROWS) or not any(name in table.name for name in options.names or [""]):
            continue
        record = measure_table(table, options.short)
        records.append(record)
        ours, theirs = (record["contenders"][name] for name in (FASTLIN, record["peer"]))
        peer = f"{record['peer'].removeprefix('scikit-learn ')}/{theirs['threads']}"
        print(
            f"{record['title']:28} {format_seconds(ours['seconds']):>8} "
            f"{format_seconds(theirs['seconds']):>8} "
            f"{peer:>17} {format_ratio(record['ratio']):>5} gap {record['gap']:+.0e} "
            f"coef {ours['coef_error']:.0e} {theirs['coef_error']:.0e} {record['fault']}",
            flush=True,
        )
    for group in dict.fromkeys(record["group"] for record in records):
        print(group, summarise([record for record in records if record["group"] == group]))


if __name__ == "__main__":
    main()
