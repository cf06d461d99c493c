"""The cases that scikit-learn's own issues and suites publish, for those that a generator can make.

`python -m benchmarks.scikit_learn_cases` measures them as everyday.py measures its own, and prints them; `--short`
takes those of up to 10,000 rows. There are three groups:

- scikit-learn_bench, `configs/regular/logreg.json`: 200,000 rows, of which one half is trained on, with 200 iterations;
- the table of threads of scikit-learn's issue 32162. The generator's other arguments are ours;
- L1 with tol 1e-5 of scikit-learn's pull request 33160, with its data.
"""

import argparse
from functools import partial
from itertools import product

from sklearn.datasets import make_classification

from benchmarks.everyday import MOST_SHORT_ROWS, Case, measure_everyday, measure_named
from benchmarks.fits import C
from benchmarks.problems import count_test_rows, pose, pose_first
from benchmarks.tables import make_console, print_tables, tabulate_everyday, tabulate_everyday_problems

KIND = "scikit-learn's cases"
BENCH, THREADS_TABLE, L1 = "scikit-learn_bench", "issue 32162", "L1, pull request 33160"
# The peers are scikit-learn's solvers alone.
SCIKIT_LEARN = "scikit-learn"
BENCH_ROWS = 200_000
# scikit-learn takes minutes for so many rows with 100 columns and several classes; its fastest solver is found on
# fewer.
MANY_ROWS, TRIED_ROWS = 1_000_000, 20_000
# The most rows of a case that pytest measures.
MOST_FEW_ROWS = 100


def _load_bench(n_rows, d, K):
    n = n_rows or BENCH_ROWS // 2
    X, y = make_classification(2 * n, d, n_informative=d // 2, n_classes=K, class_sep=0.75, random_state=42)
    return pose_first("scikit-learn_bench", X, y, C, n)


def _load_threads(n_rows, n, d, K):
    n = n_rows or n
    # With one cluster a class, half of 10 columns are enough for 32 classes.
    X, y = make_classification(
        n + count_test_rows(n), d, n_informative=d // 2, n_classes=K, n_clusters_per_class=1, random_state=0
    )
    return pose_first("threads", X, y, C, n)


def _load_l1(n_rows, K, fit_intercept):
    X, y = make_classification(10_000, 10, n_informative=5, n_redundant=1, n_classes=K, random_state=42)
    return pose("L1", X[:n_rows], y[:n_rows], C, l1_ratio=1.0, fit_intercept=fit_intercept)


def _list_cases():
    for d, K in product((50, 500), (2, 5)):
        name, load = f"{BENCH}, {BENCH_ROWS // 2:,} × {d}, {K} classes", partial(_load_bench, d=d, K=K)
        yield Case(BENCH, name, load, (BENCH_ROWS // 2, d, K), max_iter=200, among=SCIKIT_LEARN)
    for n, d, K in product((100, 10_000, MANY_ROWS), (10, 100), (2, 8, 32)):
        name, load = f"{THREADS_TABLE}, {n:,} × {d}, {K} classes", partial(_load_threads, n=n, d=d, K=K)
        few = {"tried_rows": TRIED_ROWS} if n == MANY_ROWS else {}
        yield Case(THREADS_TABLE, name, load, (n, d, K), among=SCIKIT_LEARN, **few)
    for fit_intercept, K in product((False, True), (2, 3, 10)):
        name = f"{L1}, 10,000 × 10, {K} classes, {'with' if fit_intercept else 'without'} intercept"
        load = partial(_load_l1, K=K, fit_intercept=fit_intercept)
        yield Case(L1, name, load, (10_000, 10, K), tol=1e-5, among=SCIKIT_LEARN)


CASES = tuple(_list_cases())
FEW = tuple(case for case in CASES if case.shape[0] <= MOST_FEW_ROWS)


def measure_scikit_learn_cases(short=False, cases=CASES, report=lambda line: None):
    """Return the record of cases, as plain values; `measure_everyday` says what the arguments are."""
    return measure_everyday(short, cases, report) | {"kind": KIND, "title": "cases of scikit-learn's issues and suites"}


def main(arguments=None):
    """Measure the cases that are asked for, and print each as soon as it is known."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scikit_learn_cases", description=__doc__.splitlines()[0]
    )
    record = measure_named(parser, CASES, _is_short, measure_scikit_learn_cases, arguments)
    if record["problems"]:
        print_tables([tabulate_everyday([record]), tabulate_everyday_problems([record])], make_console())


def _is_short(case):
    return case.shape[0] <= MOST_SHORT_ROWS


if __name__ == "__main__":
    main()
