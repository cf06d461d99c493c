"""The races of many fits at once: fastlin's path over C and its cross-validation beside their peers.

Each of the fits has to reach the peer's objective.
"""

from dataclasses import dataclass
from functools import partial

import joblib
import numpy as np
from scipy.sparse import csr_matrix, issparse
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression
from sklearn.linear_model import LogisticRegressionCV as ScikitLearnLogisticRegressionCV
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

import fastlin
from benchmarks.data import load_data
from benchmarks.problems import ManyProblems, score, take_mean
from benchmarks.races import PROVEN, Race
from benchmarks.sparse_data import make_one_hot
from fastlin.contenders import Problem
from fastlin.kernels.machine.threads import count_threads

N_CS = 50
# A path goes from the smallest C with a coefficient that is not zero to so many times that.
SPAN = 1e3
CV_ROWS, N_FOLDS = 10_000, 5
# These are scikit-learn's default.
CV_CS = np.logspace(-4, 4, 10)


@dataclass(frozen=True, eq=False)
class Grid(ManyProblems):
    """Problems that differ in C and rows, solved by coef (n_fits, K, d) and intercept (n_fits, K), fold by fold.

    Attributes
    ----------
    name : str
        What the data are called.
    X : ndarray or csr_matrix of shape (n, d)
        All rows.
    y : ndarray of shape (n,), int64
        The labels, from 0 to n_classes - 1.
    X_test : ndarray or csr_matrix of shape (n_test, d)
        Rows to test all fits on.
    y_test : ndarray of shape (n_test,), int64
        Their labels.
    n_classes : int
        The number of classes.
    Cs : ndarray of shape (n_Cs,)
        The values of C, ascending.
    fit_intercept : bool
        Whether there is an intercept; it is not penalised.
    l1_ratio : float
        The part of the L1 penalty, as in scikit-learn.
    n_folds : int
        The number of stratified folds, as in scikit-learn; each fit has the training rows of one. With 1, each fit has
        all rows.
    """

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
        """Yield the Problem of each fit."""
        folds = StratifiedKFold(self.n_folds).split(self.y, self.y) if self.n_folds > 1 else [(slice(None), None)]
        for rows, _ in folds:
            X, y = self.X[rows], self.y[rows]
            for C in self.Cs:
                yield Problem(self.name, X, y, self.n_classes, float(C), self.fit_intercept, self.l1_ratio)

    def test(self, coef, intercept):
        """Return the Scores of the C that a search chooses, the one of least log loss, on the rows to test on.

        They are means over the folds. A mean over all C would be led by those that nobody chooses, where the rows of a
        fold are fitted too well.
        """
        fits = zip(coef, intercept, strict=True)
        scores = [score(self.X_test, self.y_test, self.n_classes, *solution) for solution in fits]
        by_C = [take_mean(scores[place :: len(self.Cs)]) for place in range(len(self.Cs))]
        return min(by_C, key=lambda scores: scores.log_loss)


def fit_path(grid, tol):
    """Compute the path by fastlin to tol; return coef (n_fits, K, d) and intercept (n_fits, K)."""
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
    model = ScikitLearnLogisticRegression(
        solver="liblinear",
        l1_ratio=grid.l1_ratio,
        tol=tol,
        fit_intercept=grid.fit_intercept,
        max_iter=10_000,
        random_state=0,
    )
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


def _race_on_one_hot(fit_intercept, peer, solve, **options):
    return Race(
        f"path of {N_CS} C, L1, one-hot, {'with' if fit_intercept else 'without'} intercept",
        partial(_load_one_hot, fit_intercept=fit_intercept),
        fit_path,
        {f"{peer}, tol 1e-4": partial(solve, tol=1e-4)},
        rows=4_000,
        rule=PROVEN,
        # A few rows do not lead skglm and celer through everything that they compile.
        warm_up_rows=4_000,
        **options,
    )


RACES = {
    "path-liblinear": _race_on_one_hot(False, "scikit-learn liblinear", fit_liblinear_path),
    "path-skglm": _race_on_one_hot(True, "skglm", fit_skglm_path, package="skglm"),
    "path-skglm-without-intercept": _race_on_one_hot(False, "skglm", fit_skglm_path, package="skglm"),
    "path-celer": _race_on_one_hot(False, "celer", fit_celer_path, package="celer"),
    "cross-validation": Race(
        f"cross-validation, {len(CV_CS)} C × {N_FOLDS} folds, MNIST, tol 1e-6",
        _load_mnist,
        fit_cross_validation,
        {"scikit-learn LogisticRegressionCV, max_iter 100": fit_scikit_learn_cross_validation},
        rows=1_000,
        rule=PROVEN,
        warm_up_rows=150,
    ),
}
