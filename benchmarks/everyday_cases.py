"""The problems of everyday.py: its own, and those that scikit-learn's issues and suites publish.

Of the latter these are the ones that a generator can make:

- scikit-learn_bench, `configs/regular/logreg.json`: 200,000 rows, of which one half is trained on, with 200 iterations;
- the table of threads of scikit-learn's issue 32162. The generator's other arguments are ours;
- L1 with tol 1e-5 of scikit-learn's pull request 33160, with its data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine, make_classification

from benchmarks.data import draw_frame, load_letter
from benchmarks.fits import TOL, C, load_one_hot
from benchmarks.problems import count_test_rows, pose, pose_first
from benchmarks.scaling import BASE, make_problem

ROWS = 300, 1_000, 3_000, 10_000, 30_000, 100_000
COLUMNS = 5, 20, 100
CLASSES = 2, 4, 10
GRID, REAL, BENCH, THREADS_TABLE, L1 = (
    "grid",
    "real tables",
    "scikit-learn_bench",
    "issue 32162",
    "L1, pull request 33160",
)
# The groups of a short measurement, and the most rows of its cases.
SHORT_GROUPS, MOST_SHORT_ROWS = (GRID, REAL, BENCH, THREADS_TABLE, L1), 10_000
FRAMES = "frames"
A9A_ROWS = 32_561
# L1 and elastic net: rows, columns, classes and the part of L1.
SPARSE_MODELS = product(((1_000, 20), (10_000, 10), (10_000, 100)), (2, 4), (1.0, 0.5))
# How drawn columns differ from standardised normal ones.
HARD = {"correlated": {"correlation": 0.95}, "unbalanced": {"imbalance": 3.0}, "raw scales": {"spread": 1e3}}
BUNDLED = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer, "digits": load_digits}
DEFAULT_ITERATIONS = 100
BENCH_ROWS = 200_000
# scikit-learn takes minutes for so many rows with 100 columns and several classes; its fastest solver is found on
# fewer.
MANY_ROWS, TRIED_ROWS = 1_000_000, 20_000


@dataclass(frozen=True)
class Case:
    """A problem of a group."""

    group: str
    # What tables call it.
    name: str
    # From a number of rows, or None for all, to the problem.
    load: Callable
    # Rows, columns and classes where it is one of a grid.
    shape: tuple = ()
    # The tol of all contenders, and the most iterations of scikit-learn's solvers of L2.
    tol: float = TOL
    max_iter: int = DEFAULT_ITERATIONS
    # What the names of its peers begin with.
    among: str = ""
    # The number of rows on which the fastest peer is found, where a fit of all rows takes minutes: on all rows only
    # this and the default are raced, on its number of threads. None: all rows.
    tried_rows: int | None = None

    def is_short(self, most_rows=MOST_SHORT_ROWS):
        """Return whether a short measurement has it, one of up to so many rows."""
        return self.group in SHORT_GROUPS and (not self.shape or self.shape[0] <= most_rows)


def standardise(X, *others):
    """Return arrays with the columns of the first shifted and scaled to mean 0 and deviation 1, others likewise."""
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    # A column of one value stays zero.
    deviation = np.where(deviation > 0, deviation, 1)
    return [(each - mean) / deviation for each in (X, *others)]


def _load_drawn(n_rows, n, d, K, l1_ratio=0.0, **numbers):
    drawn = make_problem(n_rows, **{**BASE, "n": n, "d": d, "K": K, **numbers})
    X, X_test = (drawn.X, drawn.X_test) if "spread" in numbers else standardise(drawn.X, drawn.X_test)
    return pose("drawn", X, drawn.y, C, (X_test, drawn.y_test), l1_ratio=l1_ratio)


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


def _load_frame(n_rows, n):
    return draw_frame(n_rows or n)


def _list_cases():
    for K, n, d in product(CLASSES, ROWS, COLUMNS):
        yield Case(GRID, f"{n:,} × {d}, {K} classes", partial(_load_drawn, n=n, d=d, K=K), (n, d, K))
    for (name, load), how in product(BUNDLED.items(), ("raw", "standardised")):
        yield Case(REAL, f"{name}, {how}", partial(_load_real, load=load, is_standardised=how == "standardised"))
    # Their rows are too many for a short measurement.
    larger = "larger tables"
    for how in ("raw", "standardised"):
        yield Case(larger, f"Letter, {how}", partial(_load_letter, is_standardised=how == "standardised"))
    for name, n in (("one-hot", 16_000), ("one-hot of a9a's shape", A9A_ROWS)):
        yield Case(larger, name, partial(load_one_hot, n_all=n))
    for (name, numbers), n, K in product(HARD.items(), (1_000, 10_000), (2, 4)):
        load = partial(_load_drawn, n=n, d=20, K=K, **numbers)
        yield Case("hard columns", f"{name}, {n:,} × 20, {K} classes", load)
    for (n, d), K, l1_ratio in SPARSE_MODELS:
        penalty, load = "L1" if l1_ratio == 1 else "elastic net", partial(_load_drawn, n=n, d=d, K=K, l1_ratio=l1_ratio)
        yield Case("L1 and elastic net", f"{penalty}, {n:,} × {d}, {K} classes", load)
    for n in (1_000, 10_000, 100_000):
        yield Case(FRAMES, f"frame with categories, {n:,} rows", partial(_load_frame, n=n))


def _load_bench(n_rows, d, K):
    n = n_rows or BENCH_ROWS // 2
    X, y = make_classification(2 * n, d, n_informative=d // 2, n_classes=K, class_sep=0.75, random_state=42)
    return pose_first(BENCH, X, y, C, n)


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


def _list_scikit_learn_cases():
    # The peers are scikit-learn's solvers alone.
    def make(group, n, d, K, load, what="", **options):
        name = f"{group}, {n:,} × {d}, {K} classes{what}"
        return Case(group, name, partial(load, K=K), (n, d, K), among="scikit-learn", **options)

    for d, K in product((50, 500), (2, 5)):
        yield make(BENCH, BENCH_ROWS // 2, d, K, partial(_load_bench, d=d), max_iter=200)
    for n, d, K in product((100, 10_000, MANY_ROWS), (10, 100), (2, 8, 32)):
        few = TRIED_ROWS if n == MANY_ROWS else None
        yield make(THREADS_TABLE, n, d, K, partial(_load_threads, n=n, d=d), tried_rows=few)
    for fit_intercept, K in product((False, True), (2, 3, 10)):
        words, load = "with" if fit_intercept else "without", partial(_load_l1, fit_intercept=fit_intercept)
        yield make(L1, 10_000, 10, K, load, f", {words} intercept", tol=1e-5)


CASES, SCIKIT_LEARN_CASES = tuple(_list_cases()), tuple(_list_scikit_learn_cases())
