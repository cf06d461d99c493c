"""The libraries of the comparison with baselines: one function per library, which solves fastlin's objective with it.

A function takes a `Problem` and an effort, which is a tolerance or a number of iterations. It returns coef (K, d) and
intercept (K,) in scikit-learn's shapes. Its docstring says how the library's parameters come to mean

    J(W, b) = (1/n) sum_i l_i + (l2 / 2) ||W||^2,    l2 = 1 / (C n), the intercept not penalized.

tests/test_other_libraries.py checks that each minimizes this objective. Each imports its own library, if it is installed.
"""

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.sparse import issparse
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin
from fastlin.kernels.machine.threads import count_threads
from fastlin.typing import FloatArray

TOLERANCES = tuple(10.0**-k for k in range(1, 11))
ITERATIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
NEWTON_ITERATIONS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100)
# newton-cholesky builds the whole Hessian. For more parameters than these it takes over 50 MB, and its factorization
# takes longer than the whole fits of the other libraries.
MAX_PARAMETERS_OF_A_HESSIAN = 2500


class CannotSolveError(RuntimeError):
    """A library cannot minimize the common objective on this problem; the message says why."""


@dataclass(frozen=True, eq=False)
class Problem:
    """The data and the objective that all libraries are given: scikit-learn's with C and l1_ratio.

    X (n, d) is an array in C order or CSR, float64 or float32, y (n,) labels from 0 on, int64. Few libraries take an
    l1_ratio.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    n_classes: int
    C: float
    fit_intercept: bool
    l1_ratio: float = 0.0

    @property
    def l1(self) -> float:
        """The weight of the sum of absolute values relative to the mean of the losses."""
        return self.l1_ratio / (self.C * len(self.y))

    @property
    def l2(self) -> float:
        """The weight of half the sum of squares relative to the mean of the losses."""
        return (1 - self.l1_ratio) / (self.C * len(self.y))

    @property
    def n_rows_coef(self) -> int:
        """K, the number of rows of coefficients."""
        return 1 if self.n_classes == 2 else self.n_classes

    def objective(self, coef: FloatArray, intercept: FloatArray) -> float:
        """Return J in float64, computed by NumPy from the formula, so that no library judges itself."""
        scores = self._compute_scores(coef, intercept)
        coef = np.asarray(coef, np.float64)
        losses = logsumexp(scores, axis=1) - scores[np.arange(len(self.y)), self.y]
        return float(np.mean(losses) + 0.5 * self.l2 * np.sum(coef * coef) + self.l1 * np.sum(np.abs(coef)))

    def accuracy(self, coef: FloatArray, intercept: FloatArray) -> float:
        """Return the part of the rows whose own class has the largest score."""
        return float(np.mean(self._compute_scores(coef, intercept).argmax(axis=1) == self.y))

    def _compute_scores(self, coef, intercept):
        """Return scores (n, n_classes) in float64."""
        coef, intercept = np.asarray(coef, np.float64), np.asarray(intercept, np.float64)
        if coef.shape != (self.n_rows_coef, self.X.shape[1]) or intercept.shape != (self.n_rows_coef,):
            raise ValueError(f"coef has the shape {coef.shape}, intercept {intercept.shape}")
        scores = self.X.astype(np.float64, copy=False) @ coef.T + intercept
        # The logistic loss is the softmax cross-entropy of the scores 0 and z.
        return np.hstack([np.zeros_like(scores), scores]) if self.n_classes == 2 else scores


@dataclass(frozen=True)
class Library:
    """A library's solver, with its names for pip and Python, and its efforts, the greatest last."""

    fit: Callable
    efforts: tuple
    package: str
    module: str

    def is_installed(self) -> bool:
        """Return whether the library is installed, without importing it."""
        return importlib.util.find_spec(self.module) is not None

    def solve(self, problem: Problem, effort: float) -> tuple[FloatArray, FloatArray]:
        """Return coef and intercept of a fit; whatever a library raises becomes a CannotSolveError."""
        with warnings.catch_warnings():
            # Fits that have not converged are wanted, and each library has its own class of warnings for them.
            warnings.simplefilter("ignore")
            try:
                return self.fit(problem, effort)
            except CannotSolveError:
                raise
            except Exception as error:
                raise CannotSolveError(f"{type(error).__name__}: {error}") from error


def _refuse_where(is_unable, reason):
    if is_unable:
        raise CannotSolveError(reason)


def _fit(model_class, problem, **parameters):
    """Fit a class that has scikit-learn's C and objective."""
    model = model_class(C=problem.C, fit_intercept=problem.fit_intercept, **parameters)
    model.fit(problem.X, problem.y)
    # Without an intercept scikit-learn's liblinear has a number.
    return model.coef_, np.atleast_1d(model.intercept_)


def fit_fastlin(problem: Problem, tol: float, solver: str = "auto") -> tuple[FloatArray, FloatArray]:
    """Fit fastlin.LogisticRegression, with its default solver or another."""
    parameters = {"l1_ratio": problem.l1_ratio, "solver": solver, "tol": tol, "max_iter": 10_000}
    return _fit(fastlin.LogisticRegression, problem, **parameters)


def fit_scikit_learn(problem: Problem, max_iter: int, solver: str, tol: float = 0) -> tuple[FloatArray, FloatArray]:
    """Fit scikit-learn's LogisticRegression, whose objective this is; with tol = 0 only max_iter ends the fit."""
    size = problem.n_rows_coef * (problem.X.shape[1] + problem.fit_intercept)
    is_large = size > MAX_PARAMETERS_OF_A_HESSIAN
    _refuse_where(solver == "newton-cholesky" and is_large, f"its Hessian would have {size:,} × {size:,} entries")
    parameters = {"l1_ratio": problem.l1_ratio, "solver": solver, "tol": tol, "max_iter": max_iter, "random_state": 0}
    return _fit(ScikitLearnLogisticRegression, problem, **parameters)


def fit_scikit_learn_intelex(problem: Problem, max_iter: int) -> tuple[FloatArray, FloatArray]:
    """Fit the LogisticRegression of sklearnex, which is a class of its own, so that scikit-learn is not patched."""
    from sklearnex.linear_model import LogisticRegression

    return _fit(LogisticRegression, problem, tol=0, max_iter=max_iter, n_jobs=count_threads())


def fit_cyanure(problem: Problem, max_iter: int, tol: float = 0) -> tuple[FloatArray, FloatArray]:
    """Fit Cyanure's Classifier, which minimizes the mean loss and lambda_1 / 2 ||W||^2, so that lambda_1 = l2.

    For three classes and more, "logistic" would fit one class against the rest. Its tol bounds the duality gap.
    """
    from cyanure.estimators import Classifier

    model = Classifier(
        loss="logistic" if problem.n_classes == 2 else "multiclass-logistic",
        penalty="l2",
        lambda_1=problem.l2,
        fit_intercept=problem.fit_intercept,
        tol=tol,
        max_iter=max_iter,
        n_threads=count_threads(),
        verbose=False,
    )
    model.fit(problem.X, problem.y)
    # Features are its rows; for two classes it returns a vector.
    coef = model.coef_.reshape(problem.X.shape[1], problem.n_rows_coef).T
    return coef, model.intercept_.ravel() if problem.fit_intercept else np.zeros(len(coef))


def fit_snapml(problem: Problem, max_iter: int) -> tuple[FloatArray, FloatArray]:
    """Fit Snap ML's LogisticRegression in float32: the sum of losses and regularizer / 2 ||w||^2, which is 1 / C."""
    _refuse_where(problem.n_classes > 2, "it fits one class against the rest, no softmax")
    _refuse_where(problem.fit_intercept, "it penalizes the intercept")
    from snapml import LogisticRegression

    model = LogisticRegression(
        regularizer=1 / problem.C,
        fit_intercept=False,
        tol=0.0,
        max_iter=max_iter,
        n_jobs=count_threads(),
        random_state=0,
    )
    model.fit(problem.X, problem.y)
    return model.coef_.reshape(1, -1), np.zeros(1)


def fit_skglm(problem: Problem, max_iter: int) -> tuple[FloatArray, FloatArray]:
    """Minimize skglm's Logistic, the mean loss, and its L2, alpha / 2 ||w||^2 with alpha = l2, by its L-BFGS."""
    _refuse_where(problem.n_classes > 2, "it has no softmax")
    _refuse_where(problem.fit_intercept, "its L-BFGS has no intercept")
    _refuse_where(problem.X.dtype == np.float32, "its logistic loss does not compile for float32")
    from skglm.datafits import Logistic
    from skglm.penalties import L2
    from skglm.solvers import LBFGS

    coef, *_ = LBFGS(max_iter=max_iter, tol=0).solve(problem.X, 2.0 * problem.y - 1.0, Logistic(), L2(problem.l2))
    return coef.reshape(1, -1), np.zeros(1)


def fit_glum(problem: Problem, max_iter: int, tol: float = 1e-300) -> tuple[FloatArray, FloatArray]:
    """Fit glum's binomial family: half the mean deviance, the mean loss, and alpha times an elastic net.

    Its parts are l1_ratio ||w||_1 and (1 - l1_ratio) / 2 ||w||^2, so that alpha = l1 + l2.
    """
    _refuse_where(problem.n_classes > 2, "it has no softmax")
    # On the digits' pixels in float32, glum 3.4.1 ends 1e-3 above the optimum with each of its solvers. On twice
    # the pixels, or without the columns that are zero in all but four rows or fewer, it reaches 1e-14.
    _refuse_where(problem.X.dtype == np.float32, "in float32 it loses columns that hardly vary")
    from glum import GeneralizedLinearRegressor

    model = GeneralizedLinearRegressor(
        family="binomial",
        alpha=problem.l1 + problem.l2,
        l1_ratio=problem.l1_ratio,
        fit_intercept=problem.fit_intercept,
        solver="irls-ls" if problem.l1_ratio == 0 else "irls-cd",
        gradient_tol=tol,
        max_iter=max_iter,
    )
    model.fit(problem.X, problem.y.astype(problem.X.dtype))
    return model.coef_.reshape(1, -1), np.array([model.intercept_])


def fit_adelie(problem: Problem, tol: float) -> tuple[FloatArray, FloatArray]:
    """Fit adelie's grouped elastic net with alpha = 0: its loss and lambda / 2 sum_g w_g ||W_g||^2, with weights of 1.

    Its softmax loss is the mean loss over the number of classes, so that lambda is l2 over that number there. Version
    1.1.52 asks pip for NumPy before 2, but works with NumPy 2, after `pip install --no-deps adelie ipython`.
    """
    _refuse_where(issparse(problem.X), "its sparse columns are no CSR")
    import adelie

    X, n_rows_coef = np.asfortranarray(problem.X), problem.n_rows_coef
    if problem.n_classes == 2:
        family = adelie.glm.binomial(y=problem.y.astype(X.dtype), dtype=X.dtype.type)
    else:
        targets = np.eye(problem.n_classes, dtype=X.dtype)[problem.y]
        family = adelie.glm.multinomial(y=targets, dtype=X.dtype.type)
    # Below the rounding of float32 its iterations find no end.
    tol = max(tol, 1e-3 * float(np.finfo(X.dtype).eps))
    path = adelie.grpnet(
        X,
        family,
        alpha=0.0,
        penalty=np.ones(X.shape[1]),
        lmda_path=[problem.l2 / n_rows_coef],
        intercept=problem.fit_intercept,
        tol=tol,
        irls_tol=tol,
        early_exit=False,
        n_threads=count_threads(),
        progress_bar=False,
    )
    _refuse_where(path.betas.shape[0] == 0, "its iterations end far from the tolerance")
    coef = path.betas.toarray().reshape(-1, n_rows_coef).T
    return coef, np.ravel(path.intercepts) if problem.fit_intercept else np.zeros(n_rows_coef)


def fit_statsmodels(problem: Problem, effort: int) -> tuple[FloatArray, FloatArray]:
    """Fit statsmodels' binomial GLM with a ridge: the mean loss and sum_j alpha_j / 2 w_j^2, alpha_j = l2.

    The intercept is the column of ones, whose alpha is 0. Its BFGS takes no tolerance and no number of iterations.
    """
    _refuse_where(problem.n_classes > 2, "it has no softmax with a penalty")
    _refuse_where(issparse(problem.X), "it takes no sparse rows")
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    n, d = problem.X.shape
    X = np.column_stack([problem.X, np.ones(n)]) if problem.fit_intercept else problem.X
    alpha = np.full(X.shape[1], problem.l2)
    alpha[d:] = 0
    params = GLM(problem.y, X, family=Binomial()).fit_regularized(alpha=alpha, L1_wt=0).params
    return params[None, :d], params[d:] if problem.fit_intercept else np.zeros(1)


def fit_torch(
    problem: Problem, max_iter: int, observe: Callable[[float, FloatArray, FloatArray], None] | None = None
) -> tuple[FloatArray, FloatArray]:
    """Minimize J, written in PyTorch, by its L-BFGS with 10 pairs and strong Wolfe; errors of observe end the fit."""
    _refuse_where(issparse(problem.X), "its loop here takes no sparse rows")
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

    torch.set_num_threads(count_threads())
    X, y = torch.from_numpy(problem.X), torch.from_numpy(problem.y)
    coef = torch.zeros((problem.n_rows_coef, X.shape[1]), dtype=X.dtype, requires_grad=True)
    intercept = torch.zeros(problem.n_rows_coef, dtype=X.dtype, requires_grad=problem.fit_intercept)
    optimizer = torch.optim.LBFGS(
        [coef, intercept] if problem.fit_intercept else [coef],
        max_iter=max_iter,
        # The default allows a quarter more evaluations than iterations, which would end the fit early.
        max_eval=100 * max_iter,
        history_size=10,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    targets = y.to(X.dtype) if problem.n_classes == 2 else y

    def evaluate():
        optimizer.zero_grad()
        scores = X @ coef.T + intercept
        if problem.n_classes == 2:
            loss = binary_cross_entropy_with_logits(scores[:, 0], targets)
        else:
            loss = cross_entropy(scores, targets)
        objective = loss + 0.5 * problem.l2 * coef.square().sum()
        if observe is not None:
            observe(float(objective), coef.detach().numpy(), intercept.detach().numpy())
        objective.backward()
        return objective

    optimizer.step(evaluate)
    return coef.detach().numpy(), intercept.detach().numpy()


def _make_scikit_learn(solver, efforts):
    return Library(partial(fit_scikit_learn, solver=solver), efforts, "scikit-learn", "sklearn")


LIBRARIES = {
    "fastlin": Library(fit_fastlin, TOLERANCES, "fastlin", "fastlin"),
    "scikit-learn lbfgs": _make_scikit_learn("lbfgs", ITERATIONS),
    "scikit-learn newton-cg": _make_scikit_learn("newton-cg", NEWTON_ITERATIONS),
    "scikit-learn newton-cholesky": _make_scikit_learn("newton-cholesky", NEWTON_ITERATIONS),
    "scikit-learn-intelex": Library(fit_scikit_learn_intelex, ITERATIONS, "scikit-learn-intelex", "sklearnex"),
    "cyanure": Library(fit_cyanure, ITERATIONS, "cyanure", "cyanure"),
    "snapml": Library(fit_snapml, ITERATIONS, "snapml", "snapml"),
    "skglm": Library(fit_skglm, ITERATIONS, "skglm", "skglm"),
    "glum": Library(fit_glum, NEWTON_ITERATIONS, "glum", "glum"),
    "adelie": Library(fit_adelie, (*TOLERANCES, 1e-12), "adelie", "adelie"),
    "statsmodels": Library(fit_statsmodels, (0,), "statsmodels", "statsmodels"),
    "torch": Library(fit_torch, ITERATIONS, "torch", "torch"),
}
