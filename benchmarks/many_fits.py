"""The races of many small fits that scikit-learn's tools make: resampling, cross-validation, searches, one-vs-rest.

Both libraries' LogisticRegression runs in the same tools, each in its best way: one fit after the other, or as many
processes or threads as there are, each with one thread of BLAS. scikit-learn's is found anew in each race, with the
better of two solvers; fastlin's is the one that was best when it was measured, and stands in the title. Where a tool
returns models, each has to reach the peer's objective, and where it returns scores, these have to agree.
"""

from dataclasses import dataclass
from functools import partial

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, permutation_test_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_limits

import fastlin
from benchmarks.fits import pose
from benchmarks.problems import KEPT, ManyProblems, Scores, score, take_mean
from benchmarks.races import EQUAL, PROVEN, Race, Rule
from fastlin.kernels.machine.threads import count_threads

N_ROWS, N_FEATURES = 1_000, 20
# Of the whole races. The short ones have a twentieth of them.
N_BOOTSTRAP, N_BAGGED, N_PERMUTED, PART = 1_000, 200, 100, 20
CS = np.logspace(-3, 3, 7)
# Losses of held-out rows agree so far where scikit-learn's fits lie within 1e-4 of their minimum.
SAME_SCORES = Rule(tol=EQUAL, same_steps=1e-2)
SOLVERS = "lbfgs", "newton-cholesky"
WAYS = {"one after the other": None, "processes": "loky", "threads": "threading"}


@dataclass(frozen=True, eq=False)
class Fits(ManyProblems):
    """Fits of parts of the same data, solved by coef (n_fits, K, d) and intercept (n_fits, K).

    Attributes
    ----------
    X : ndarray of shape (n, d)
        All rows.
    y : ndarray of shape (n,), int64
        The labels, from 0 to n_classes - 1.
    n_classes : int
        The number of classes.
    n_fits : int
        The number of fits.
    rows : ndarray of shape (n_fits, m), or None
        The rows of each fit. None: all rows, and the labels of fit k say whether the class is k.
    test_rows : tuple of X and y, or None
        The rows to test on. None: those of X that a fit has not drawn.
    """

    X: np.ndarray
    y: np.ndarray
    n_classes: int
    n_fits: int
    rows: np.ndarray | None = None
    test_rows: tuple[np.ndarray, np.ndarray] | None = None

    def problems(self):
        """Yield the Problem of each fit."""
        for number in range(self.n_fits):
            if self.rows is None:
                yield pose("one class", self.X, self.y == number, C=1.0)
            else:
                yield pose("drawn rows", self.X[self.rows[number]], self.y[self.rows[number]], C=1.0)

    def test(self, coef, intercept):
        """Return the means over the fits of the Scores of rows that they were not trained on."""
        found = []
        for number, solution in enumerate(zip(coef, intercept, strict=True)):
            if self.rows is None:
                X, y = self.test_rows
                y = y == number
            else:
                left = np.setdiff1d(np.arange(len(self.X)), self.rows[number])
                X, y = self.X[left], self.y[left]
            found.append(score(X, y.astype(np.int64), 2, *solution))
        return take_mean(found)


@dataclass(frozen=True, eq=False)
class HeldOutLosses:
    """Fits of which a tool returns losses of held-out rows alone; n_fits counts permutations, or is 1."""

    X: np.ndarray
    y: np.ndarray
    n_classes: int
    n_fits: int = 1

    def objective(self, losses):
        """Return the losses."""
        return losses

    def accuracy(self, losses):
        """Return NaN: the tools are asked for losses."""
        return np.nan

    def test(self, losses):
        """Return the Scores of the tool: its losses are those of rows that were held out."""
        return Scores(log_loss=float(np.mean(losses)))


def fit_bootstrap(fits, model):
    """Fit the model to each drawing of rows."""
    calls = (joblib.delayed(_fit_rows)(model, fits.X, fits.y, rows) for rows in fits.rows)
    return stack(joblib.Parallel()(calls))


def fit_bagging(fits, model):
    """Fit BaggingClassifier, which draws the rows of `fits`."""
    bagging = BaggingClassifier(model, fits.n_fits, random_state=0).fit(fits.X, fits.y)
    return stack([(each.coef_, each.intercept_) for each in bagging.estimators_])


def fit_one_vs_rest(fits, model):
    """Fit OneVsRestClassifier."""
    fitted = OneVsRestClassifier(model).fit(fits.X, fits.y)
    return stack([(each.coef_, each.intercept_) for each in fitted.estimators_])


def score_folds(problem, model):
    """Return the losses that cross_val_score gives for ten folds."""
    return (-cross_val_score(model, problem.X, problem.y, cv=10, scoring="neg_log_loss"),)


def score_grid(problem, model):
    """Return the mean losses that GridSearchCV gives for CS and five folds."""
    search = GridSearchCV(model, {"C": CS}, cv=5, scoring="neg_log_loss").fit(problem.X, problem.y)
    return (-search.cv_results_["mean_test_score"],)


def score_permutations(problem, model):
    """Return the losses that permutation_test_score gives for permuted labels."""
    found = permutation_test_score(
        model, problem.X, problem.y, cv=5, n_permutations=problem.n_fits, scoring="neg_log_loss", random_state=0
    )
    return (-found[1],)


def solve_by_fastlin(problem, run, way, tol):
    """Return what a tool makes of fastlin's fits to tol."""
    return run_in(way, run, problem, fastlin.LogisticRegression(tol=tol))


def solve_by_scikit_learn(problem, run, way, solver):
    """Return what a tool makes of scikit-learn's fits."""
    return run_in(way, run, problem, ScikitLearnLogisticRegression(solver=solver))


def run_in(way, run, problem, model):
    """Run a tool in one of WAYS. BLAS has one thread, which is as fast as more for tables of this size."""
    backend = WAYS[way]
    with threadpool_limits(1):
        if backend is None:
            return run(problem, model)
        inner = {"inner_max_num_threads": 1} if backend == "loky" else {}
        with joblib.parallel_config(backend, n_jobs=count_threads(), **inner):
            return run(problem, model)


def _fit_rows(model, X, y, rows):
    fitted = clone(model).fit(X[rows], y[rows])
    return fitted.coef_.copy(), fitted.intercept_.copy()


def stack(models):
    """Return the coef (n_fits, K, d) and intercept (n_fits, K) of pairs of them."""
    return tuple(np.stack(parts) for parts in zip(*models, strict=True))


def _make_rows(n_rows):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(n_rows or N_ROWS, N_FEATURES))
    scores = X @ generator.normal(size=N_FEATURES)
    return X, (generator.random(len(X)) < 1 / (1 + np.exp(-scores))).astype(np.int64)


def _load_bootstrap(n_rows):
    X, y = _make_rows(n_rows)
    n_fits = N_BOOTSTRAP // PART if n_rows else N_BOOTSTRAP
    return Fits(X, y, 2, n_fits, np.random.default_rng(1).integers(0, len(X), (n_fits, len(X))))


def _load_bagging(n_rows):
    X, y = _make_rows(n_rows)
    n_fits = N_BAGGED // PART if n_rows else N_BAGGED
    drawn = BaggingClassifier(DummyClassifier(), n_fits, random_state=0).fit(X, y)
    return Fits(X, y, 2, n_fits, np.array(drawn.estimators_samples_))


def _load_one_vs_rest(n_rows):
    X, y = load_digits(return_X_y=True)
    X, kept = scale(X), np.arange(len(y)) % KEPT == KEPT - 1
    return Fits(X[~kept][:n_rows], y[~kept][:n_rows], 10, 10, test_rows=(X[kept], y[kept]))


def _load_held_out(n_rows, n_fits=1):
    return HeldOutLosses(*_make_rows(n_rows), 2, -(-n_fits // PART) if n_rows else n_fits)


def _race(title, load, run, way="processes", rule=SAME_SCORES):
    """Return the Race of a tool with fastlin's fits, in its best way, and with scikit-learn's."""
    peers = {
        f"scikit-learn {solver}, {theirs}": partial(solve_by_scikit_learn, run=run, way=theirs, solver=solver)
        for solver in SOLVERS
        for theirs in WAYS
    }
    return Race(
        f"{title} (fastlin: {way})",
        load,
        partial(solve_by_fastlin, run=run, way=way),
        peers,
        rows=N_ROWS,
        rule=rule,
        # They are the processes or threads of the way, and BLAS has one all the same.
        peer_threads=("all",),
    )


RACES = {
    "many-bootstrap": _race(f"bootstrap of {N_BOOTSTRAP:,} fits", _load_bootstrap, fit_bootstrap, rule=PROVEN),
    "many-bagging": _race(f"BaggingClassifier of {N_BAGGED}", _load_bagging, fit_bagging, rule=PROVEN),
    "many-one-vs-rest": _race(
        "OneVsRestClassifier, digits", _load_one_vs_rest, fit_one_vs_rest, "one after the other", PROVEN
    ),
    "many-folds": _race("cross_val_score, 10 folds", _load_held_out, score_folds, "one after the other"),
    "many-grid": _race(f"GridSearchCV, {len(CS)} C × 5 folds", _load_held_out, score_grid, "one after the other"),
    "many-permutations": _race(
        f"permutation_test_score, {N_PERMUTED} × 5 folds",
        partial(_load_held_out, n_fits=N_PERMUTED),
        score_permutations,
    ),
}
