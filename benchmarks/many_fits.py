"""The races of many fits: paths over C and cross-validation, and many small fits in tools that take any estimator.

Each fit of a path or of a fold has to reach the peer's objective. Where a tool returns models, each has to reach it
too, and where it returns scores, these have to agree. Both libraries' LogisticRegression runs in the same tools, each
in its best way: one fit after the other, or as many processes or threads as there are, each with one thread of BLAS.
scikit-learn's is found anew in each race, with the better of two solvers; fastlin's is the one that was best when it
was measured, and stands in the title.
"""

from dataclasses import dataclass
from functools import partial

import joblib
import numpy as np
from scipy.sparse import csr_matrix, issparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.linear_model import LogisticRegressionCV as ScikitLearnLogisticRegressionCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, permutation_test_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_limits

import fastlin
from benchmarks.data import load_data
from benchmarks.problems import KEPT, ManyProblems, Scores, TriedProblem, pose, take_mean
from benchmarks.races import EQUAL, PROVEN, Race, Rule
from benchmarks.sparse_data import make_one_hot
from fastlin.kernels.machine.threads import count_threads

N_CS = 50
# A path goes from the smallest C with a coefficient that is not zero to so many times that.
SPAN = 1e3
CV_ROWS, N_FOLDS = 10_000, 5
# These are scikit-learn's default.
CV_CS = np.logspace(-4, 4, 10)
# Of the small fits.
N_ROWS, N_FEATURES = 1_000, 20
# Of the whole races. The short ones have a twentieth of them.
N_BOOTSTRAP, N_BAGGED, N_PERMUTED, PART = 1_000, 200, 100, 20
CS = np.logspace(-3, 3, 7)
# Losses of held-out rows agree so far where scikit-learn's fits lie within 1e-4 of their minimum.
SAME_SCORES = Rule(tol=EQUAL, same_steps=1e-2)
SOLVERS = "lbfgs", "newton-cholesky"
IN_TURN, PROCESSES, IN_THREADS = WAYS = "one after the other", "processes", "threads"


@dataclass(frozen=True, eq=False)
class Grid(ManyProblems):
    """Problems that differ in C, ascending, and in rows: of each stratified fold the rows to train on, or all rows."""

    name: str
    X: np.ndarray | csr_matrix
    y: np.ndarray
    X_test: np.ndarray | csr_matrix
    y_test: np.ndarray
    n_classes: int
    Cs: np.ndarray
    fit_intercept: bool = True
    l1_ratio: float = 0.0
    n_folds: int = 1

    def problems(self):
        folds = StratifiedKFold(self.n_folds).split(self.y, self.y) if self.n_folds > 1 else [(slice(None), None)]
        for rows, _ in folds:
            data, test = (self.X[rows], self.y[rows], self.n_classes), (self.X_test, self.y_test)
            for C in self.Cs:
                yield TriedProblem(self.name, *data, float(C), self.fit_intercept, self.l1_ratio, *test)

    def test(self, *solution):
        """Return the Scores of the C that a search chooses, the one of least log loss, on the rows to test on.

        They are means over the folds. A mean over all C would be led by those that nobody chooses, where the rows of a
        fold are fitted too well.
        """
        scores = self._judge_each(TriedProblem.test, *solution)
        by_C = [take_mean(scores[place :: len(self.Cs)]) for place in range(len(self.Cs))]
        return min(by_C, key=lambda scores: scores.log_loss)


def fit_path(grid, tol):
    """Run fastlin's path to tol."""
    path = fastlin.logistic_path(
        grid.X, grid.y, Cs=grid.Cs, l1_ratio=grid.l1_ratio, tol=tol, fit_intercept=grid.fit_intercept
    )
    return path.coefs, path.intercepts


def fit_skglm_path(grid, tol):
    """Fit at each C by skglm's ProxNewton, the solver of its SparseLogisticRegression, from the last solution on.

    Its Logistic is the mean of the losses, so that alpha = l1. It runs on one thread, and so does BLAS. With two a path
    takes as long, and up to ten times as long where another process runs.
    """
    from skglm.datafits import Logistic
    from skglm.penalties import L1
    from skglm.solvers import ProxNewton

    X = grid.X.tocsc() if issparse(grid.X) else np.asfortranarray(grid.X)
    targets = 2.0 * grid.y - 1.0
    n, d = X.shape
    parameters, scores = np.zeros(d + grid.fit_intercept), np.zeros(n)
    solutions = np.zeros((len(grid.Cs), 1, d + 1))
    with threadpool_limits(1):
        for solution, C in zip(solutions, grid.Cs, strict=True):
            solver = ProxNewton(
                # As in its own path, the features that were selected before are worked on first.
                p0=max(10, np.count_nonzero(parameters[:d])),
                max_iter=50,
                tol=tol,
                fit_intercept=grid.fit_intercept,
            )
            # The solver changes parameters and scores in place.
            parameters, _, _ = solver.solve(X, targets, Logistic(), L1(1 / (C * n)), parameters, scores)
            solution[0, : len(parameters)] = parameters
    return solutions[..., :-1], solutions[..., -1]


def fit_celer_path(grid, tol):
    """Run celer's path, whose objective is the sum of the losses and alpha ||w||_1, so that alpha = 1 / C.

    It has no intercept. It runs on one thread, and so does BLAS, as for skglm.
    """
    from celer.homotopy import celer_path

    # The path begins with the largest alpha, which is the smallest C.
    with threadpool_limits(1):
        _, coef, _ = celer_path(
            grid.X.tocsc(), 2.0 * grid.y - 1.0, "logreg", alphas=1 / grid.Cs, tol=tol, max_iter=50, use_PN=True
        )
    return coef.T[:, None, :], np.zeros((len(grid.Cs), 1))


def fit_liblinear_path(grid, tol):
    """Fit liblinear anew at each C on one thread; it would penalise an intercept."""
    parameters = {"l1_ratio": grid.l1_ratio, "tol": tol, "fit_intercept": grid.fit_intercept, "max_iter": 10_000}
    model = ScikitLearnLogisticRegression(solver="liblinear", random_state=0, **parameters)
    coef = [model.set_params(C=C).fit(grid.X, grid.y).coef_.copy() for C in grid.Cs]
    return np.stack(coef), np.zeros((len(coef), 1))


def fit_cross_validation(grid, tol):
    """Run LogisticRegressionCV of fastlin to tol on all folds, and its last fit."""
    return _take_paths(fastlin.LogisticRegressionCV(tol=tol, **_ask_for(grid)).fit(grid.X, grid.y))


def fit_scikit_learn_cross_validation(grid):
    """Run scikit-learn's LogisticRegressionCV with its default max_iter and the folds in as many processes as threads.

    This is faster than the folds one after the other on as many threads of BLAS.
    """
    model = ScikitLearnLogisticRegressionCV(n_jobs=count_threads(), **_ask_for(grid))
    # BLAS would give each process as many threads again.
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        return _take_paths(model.fit(grid.X, grid.y))


def _ask_for(grid):
    """Return the parameters that both estimators are given."""
    return {
        "Cs": grid.Cs,
        "cv": grid.n_folds,
        "l1_ratios": (grid.l1_ratio,),
        "fit_intercept": grid.fit_intercept,
        "scoring": "neg_log_loss",
        "use_legacy_attributes": False,
    }


def _take_paths(model):
    """Return coef (n_fits, K, d) and intercept (n_fits, K) of all folds; there is one l1_ratio."""
    n_folds, _, n_Cs, K, size = model.coefs_paths_.shape
    solutions = model.coefs_paths_.reshape(n_folds * n_Cs, K, size)
    return solutions[..., :-1], solutions[..., -1]


def _load_one_hot(n_rows, fit_intercept):
    data = make_one_hot(n_rows) if n_rows else make_one_hot()
    X, y = data.X_train, data.y_train
    # 1 / C is the largest slope of the sum of the losses where all coefficients are zero.
    smallest = 1 / np.abs(X.T @ (y - (y.mean() if fit_intercept else 0.5))).max()
    Cs = np.geomspace(smallest, SPAN * smallest, N_CS)
    return Grid("one-hot", X, y, data.X_test, data.y_test, 2, Cs, fit_intercept, l1_ratio=1.0)


def _load_mnist(n_rows):
    data = load_data("mnist", n_rows or CV_ROWS, "float64")
    y_train, y_test = (y.astype(np.int64) for y in (data.y_train, data.y_test))
    return Grid("MNIST", data.X_train, y_train, data.X_test, y_test, 10, CV_CS, n_folds=N_FOLDS)


def _race_on_one_hot(peer, solve, fit_intercept=False, package=""):
    return Race(
        f"path of {N_CS} C, L1, one-hot, {'with' if fit_intercept else 'without'} intercept",
        partial(_load_one_hot, fit_intercept=fit_intercept),
        fit_path,
        {f"{peer}, tol 1e-4": partial(solve, tol=1e-4)},
        rows=4_000,
        rule=PROVEN,
        # A few rows do not lead skglm and celer through everything that they compile.
        warm_up_rows=4_000,
        package=package,
    )


@dataclass(frozen=True, eq=False)
class Drawn(ManyProblems):
    """Fits of drawn rows (n_fits, m) of the same data, each tried on the rows of X_test, or on those not drawn."""

    X: np.ndarray
    y: np.ndarray
    rows: np.ndarray
    C: float = 1.0
    X_test: np.ndarray | None = None
    y_test: np.ndarray | None = None
    n_classes: int = 2

    def problems(self):
        for rows in self.rows:
            test = self.X_test, self.y_test
            if self.X_test is None:
                left = np.setdiff1d(np.arange(len(self.X)), rows)
                test = self.X[left], self.y[left]
            yield pose("drawn rows", self.X[rows], self.y[rows], self.C, test)


@dataclass(frozen=True, eq=False)
class Classes(ManyProblems):
    """Fits of all rows, of which the labels of fit k say whether the class is k."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    n_classes: int

    def problems(self):
        for label in range(self.n_classes):
            yield pose("one class", self.X, self.y == label, 1.0, (self.X_test, self.y_test == label))


@dataclass(frozen=True, eq=False)
class HeldOutLosses:
    """Fits of which a tool returns losses of held-out rows alone; n_fits counts permutations, or is 1."""

    X: np.ndarray
    y: np.ndarray
    n_classes: int
    n_fits: int = 1

    def objective(self, losses):
        return losses

    def accuracy(self, losses):
        """Return NaN: the tools are asked for losses."""
        return np.nan

    def test(self, losses):
        return Scores(log_loss=float(np.mean(losses)))


def fit_drawn(fits, fit):
    """Fit each drawing of rows by a function of X and y that returns coef and intercept."""
    calls = (joblib.delayed(_fit_rows)(fit, fits.X, fits.y, rows) for rows in fits.rows)
    return stack(joblib.Parallel()(calls))


def fit_bootstrap(fits, model):
    """Fit the model to each drawing of rows."""
    return fit_drawn(fits, partial(_fit_clone, model))


def fit_bagging(fits, model):
    """Fit BaggingClassifier, which draws the rows of `fits`."""
    bagging = BaggingClassifier(model, len(fits.rows), random_state=0).fit(fits.X, fits.y)
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


def solve(problem, run, way, make_model, **options):
    """Return what a tool makes of models, of options such as tol."""
    return run_in(way, run, problem, make_model(**options))


def run_in(way, run, problem, model):
    """Run a tool in one of WAYS. BLAS has one thread, which is as fast as more for tables of this size."""
    with threadpool_limits(1):
        if way == IN_TURN:
            return run(problem, model)
        backend, inner = ("loky", {"inner_max_num_threads": 1}) if way == PROCESSES else ("threading", {})
        with joblib.parallel_config(backend, n_jobs=count_threads(), **inner):
            return run(problem, model)


def _fit_rows(fit, X, y, rows):
    return fit(X[rows], y[rows])


def _fit_clone(model, X, y):
    fitted = clone(model).fit(X, y)
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
    return Drawn(X, y, np.random.default_rng(1).integers(0, len(X), (n_fits, len(X))))


def _load_bagging(n_rows):
    X, y = _make_rows(n_rows)
    n_fits = N_BAGGED // PART if n_rows else N_BAGGED
    drawn = BaggingClassifier(DummyClassifier(), n_fits, random_state=0).fit(X, y)
    return Drawn(X, y, np.array(drawn.estimators_samples_))


def _load_one_vs_rest(n_rows):
    X, y = load_digits(return_X_y=True)
    X, kept = scale(X), np.arange(len(y)) % KEPT == KEPT - 1
    return Classes(X[~kept][:n_rows], y[~kept][:n_rows], X[kept], y[kept], 10)


def _load_held_out(n_rows, n_fits=1):
    return HeldOutLosses(*_make_rows(n_rows), 2, -(-n_fits // PART) if n_rows else n_fits)


def _race(title, load, run, way=PROCESSES, rule=SAME_SCORES):
    """Return the Race of a tool with fastlin's fits, in its best way, and with scikit-learn's."""
    ours = partial(solve, run=run, way=way, make_model=fastlin.LogisticRegression)
    theirs = partial(solve, run=run, make_model=ScikitLearnLogisticRegression)
    peers = {f"scikit-learn {each}, {how}": partial(theirs, way=how, solver=each) for each in SOLVERS for how in WAYS}
    # They are the processes or threads of the way, and BLAS has one all the same.
    return Race(f"{title} (fastlin: {way})", load, ours, peers, N_ROWS, rule=rule, peer_threads=("all",))


RACES = {
    "path-liblinear": _race_on_one_hot("scikit-learn liblinear", fit_liblinear_path),
    "path-skglm": _race_on_one_hot("skglm", fit_skglm_path, True, "skglm"),
    "path-skglm-without-intercept": _race_on_one_hot("skglm", fit_skglm_path, package="skglm"),
    "path-celer": _race_on_one_hot("celer", fit_celer_path, package="celer"),
    "cross-validation": Race(
        f"cross-validation, {len(CV_CS)} C × {N_FOLDS} folds, MNIST, tol 1e-6",
        _load_mnist,
        fit_cross_validation,
        {"scikit-learn LogisticRegressionCV, max_iter 100": fit_scikit_learn_cross_validation},
        rows=1_000,
        rule=PROVEN,
        warm_up_rows=150,
    ),
    "many-bootstrap": _race(f"bootstrap of {N_BOOTSTRAP:,} fits", _load_bootstrap, fit_bootstrap, rule=PROVEN),
    "many-bagging": _race(f"BaggingClassifier of {N_BAGGED}", _load_bagging, fit_bagging, rule=PROVEN),
    "many-one-vs-rest": _race("OneVsRestClassifier, digits", _load_one_vs_rest, fit_one_vs_rest, IN_TURN, PROVEN),
    "many-folds": _race("cross_val_score, 10 folds", _load_held_out, score_folds, IN_TURN),
    "many-grid": _race(f"GridSearchCV, {len(CS)} C × 5 folds", _load_held_out, score_grid, IN_TURN),
    "many-permutations": _race(
        f"permutation_test_score, {N_PERMUTED} × 5 folds",
        partial(_load_held_out, n_fits=N_PERMUTED),
        score_permutations,
    ),
}
