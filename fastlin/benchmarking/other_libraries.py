"""The libraries of the comparison with baselines. For each library, a function minimizes fastlin's objective.

Each function takes a `ComparisonProblem` and an effort, and returns coef (K, d) and intercept (K,) in scikit-learn's
shapes. The effort is a tolerance or a maximum number of iterations. The docstring of each function explains how the
parameters of the library express

    J(W, b) = (1/n) sum_i l_i + (l2 / 2) ||W||^2,    l2 = 1 / (C n), the intercept not penalized.

tests/benchmarking/test_other_libraries.py checks that each function minimizes this objective. A function imports its
library only when it is called.
"""

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.sparse import issparse
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin
from fastlin.benchmarking.baseline import ITERATION_LIMITS, TOLERANCES
from fastlin.benchmarking.candidate import CannotSolveError
from fastlin.benchmarking.comparison_problem import ComparisonProblem
from fastlin.kernels.machine.threads import count_threads
from fastlin.typing import FloatArray

NEWTON_ITERATION_LIMITS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100)
# newton-cholesky computes the full Hessian. If there are more parameters than this, the Hessian uses more than 50 MB,
# and its factorization takes longer than the fits of the other libraries.
MAX_NEWTON_PARAMETERS = 2500


@dataclass(frozen=True)
class Library:
    """A solver of a library, the names of the package and the module, and the efforts in increasing order."""

    # A library that does not reach the minimum of J on a small sample is excluded.
    minimizes_objective = True

    fit: Callable
    efforts: tuple
    package: str
    module: str
    # Whether the library itself uses one thread if that is faster, without threads that spin.
    chooses_threads: bool = False

    def is_installed(self) -> bool:
        """Return whether the library is installed, without importing it."""
        return importlib.util.find_spec(self.module) is not None

    def solve(self, problem: ComparisonProblem, effort: float) -> tuple[FloatArray, FloatArray]:
        """Return coef and intercept of a fit."""
        with warnings.catch_warnings():
            # Fits are deliberately stopped before convergence. Each library has its own class of warnings for this.
            warnings.simplefilter("ignore")
            solution: tuple[FloatArray, FloatArray] = self.fit(problem, effort)
            return solution


def _raise_if_unsupported(is_unsupported, reason):
    if is_unsupported:
        raise CannotSolveError(reason)


def _fit_estimator(model_class, problem, **parameters):
    """Fit an estimator with scikit-learn's C and objective."""
    model = model_class(C=problem.C, fit_intercept=problem.fit_intercept, **parameters)
    model.fit(problem.X, problem.y)
    # Without an intercept, scikit-learn's liblinear returns a scalar.
    return model.coef_, np.atleast_1d(model.intercept_)


def fit_fastlin(problem: ComparisonProblem, tol: float, solver: str = "auto") -> tuple[FloatArray, FloatArray]:
    """Fit fastlin.LogisticRegression, by default with its default solver."""
    parameters = {"l1_ratio": problem.l1_ratio, "solver": solver, "tol": tol, "max_iter": 10_000}
    return _fit_estimator(fastlin.LogisticRegression, problem, **parameters)


def fit_scikit_learn(
    problem: ComparisonProblem, max_iter: int, solver: str, tol: float = 0
) -> tuple[FloatArray, FloatArray]:
    """Fit scikit-learn's LogisticRegression, which has the common objective. If tol = 0, only max_iter stops it."""
    size = problem.n_rows_coef * (problem.X.shape[1] + problem.fit_intercept)
    is_large = size > MAX_NEWTON_PARAMETERS
    _raise_if_unsupported(
        solver == "newton-cholesky" and is_large, f"its Hessian would have {size:,} × {size:,} entries"
    )
    parameters = {"l1_ratio": problem.l1_ratio, "solver": solver, "tol": tol, "max_iter": max_iter, "random_state": 0}
    return _fit_estimator(ScikitLearnLogisticRegression, problem, **parameters)


def fit_scikit_learn_intelex(problem: ComparisonProblem, max_iter: int) -> tuple[FloatArray, FloatArray]:
    """Fit the LogisticRegression class of sklearnex, without patching scikit-learn."""
    from sklearnex.linear_model import LogisticRegression

    return _fit_estimator(LogisticRegression, problem, tol=0, max_iter=max_iter, n_jobs=count_threads())


def fit_cyanure(problem: ComparisonProblem, max_iter: int, tol: float = 0) -> tuple[FloatArray, FloatArray]:
    """Fit Cyanure's Classifier, which minimizes the mean loss plus lambda_1 / 2 ||W||^2, so lambda_1 = l2.

    For three or more classes, the loss "logistic" would be one-vs-rest. The parameter `tol` bounds the duality gap.
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
    # Cyanure's coefficients have shape (features, classes), or are a vector for two classes.
    coef = model.coef_.reshape(problem.X.shape[1], problem.n_rows_coef).T
    return coef, model.intercept_.ravel() if problem.fit_intercept else np.zeros(len(coef))


def fit_snapml(problem: ComparisonProblem, max_iter: int) -> tuple[FloatArray, FloatArray]:
    """Fit Snap ML's LogisticRegression in float32.

    It minimizes the sum of losses plus regularizer / 2 ||w||^2, so regularizer = 1 / C.
    """
    _raise_if_unsupported(problem.n_classes > 2, "it is one-vs-rest and has no softmax")
    _raise_if_unsupported(problem.fit_intercept, "it penalizes the intercept")
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


def fit_skglm(problem: ComparisonProblem, max_iter: int) -> tuple[FloatArray, FloatArray]:
    """Minimize the sum of skglm's Logistic and L2 with skglm's L-BFGS.

    Logistic is the mean loss. L2 is alpha / 2 ||w||^2, so alpha = l2.
    """
    _raise_if_unsupported(problem.n_classes > 2, "it has no softmax")
    _raise_if_unsupported(problem.fit_intercept, "its L-BFGS has no intercept")
    _raise_if_unsupported(problem.X.dtype == np.float32, "its logistic loss does not compile for float32")
    from skglm.datafits import Logistic
    from skglm.penalties import L2
    from skglm.solvers import LBFGS

    coef, *_ = LBFGS(max_iter=max_iter, tol=0).solve(problem.X, 2.0 * problem.y - 1.0, Logistic(), L2(problem.l2))
    return coef.reshape(1, -1), np.zeros(1)


def fit_glum(problem: ComparisonProblem, max_iter: int, tol: float = 1e-300) -> tuple[FloatArray, FloatArray]:
    """Fit glum's regressor with the binomial family.

    It minimizes half the mean deviance, which is the mean loss, plus alpha times an elastic net. The elastic net is
    l1_ratio ||w||_1 + (1 - l1_ratio) / 2 ||w||^2, so alpha = l1 + l2.
    """
    _raise_if_unsupported(problem.n_classes > 2, "it has no softmax")
    # In float32, glum 3.4.1 does not reach the optimum if some columns are nearly constant
    # (docs/benchmarks/design-choices.md: glum in float32).
    _raise_if_unsupported(problem.X.dtype == np.float32, "in float32 it ignores nearly constant columns")
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


def fit_adelie(problem: ComparisonProblem, tol: float) -> tuple[FloatArray, FloatArray]:
    """Fit adelie's grouped elastic net with alpha = 0 and unit weights w_g.

    It minimizes its loss plus lambda / 2 sum_g w_g ||W_g||^2. The softmax loss is the mean loss divided by the number
    of classes, so lambda is l2 divided by this number. Version 1.1.52 requires NumPy < 2, but works with NumPy 2 after
    `pip install --no-deps adelie ipython`.
    """
    _raise_if_unsupported(issparse(problem.X), "it does not support CSR")
    import adelie

    X, n_rows_coef = np.asfortranarray(problem.X), problem.n_rows_coef
    if problem.n_classes == 2:
        family = adelie.glm.binomial(y=problem.y.astype(X.dtype), dtype=X.dtype.type)
    else:
        targets = np.eye(problem.n_classes, dtype=X.dtype)[problem.y]
        family = adelie.glm.multinomial(y=targets, dtype=X.dtype.type)
    # With a tolerance below rounding error, adelie's iterations do not terminate.
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
    _raise_if_unsupported(path.betas.shape[0] == 0, "it did not converge")
    coef = path.betas.toarray().reshape(-1, n_rows_coef).T
    return coef, np.ravel(path.intercepts) if problem.fit_intercept else np.zeros(n_rows_coef)


def fit_statsmodels(problem: ComparisonProblem, effort: int) -> tuple[FloatArray, FloatArray]:
    """Fit statsmodels' binomial GLM with a ridge penalty.

    It minimizes the mean loss plus sum_j alpha_j / 2 w_j^2, so alpha_j = l2. The intercept is a column of ones with
    alpha = 0. The solver, BFGS, has no parameters for the tolerance or the number of iterations.
    """
    _raise_if_unsupported(problem.n_classes > 2, "it does not support penalized softmax regression")
    _raise_if_unsupported(issparse(problem.X), "it does not support sparse rows")
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    n, d = problem.X.shape
    X = np.column_stack([problem.X, np.ones(n)]) if problem.fit_intercept else problem.X
    alpha = np.full(X.shape[1], problem.l2)
    alpha[d:] = 0
    params = GLM(problem.y, X, family=Binomial()).fit_regularized(alpha=alpha, L1_wt=0).params
    return params[None, :d], params[d:] if problem.fit_intercept else np.zeros(1)


def fit_torch(
    problem: ComparisonProblem,
    max_iter: int,
    on_evaluation: Callable[[float, FloatArray, FloatArray], None] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Minimize J with PyTorch's L-BFGS (10 pairs, strong Wolfe line search). Errors in `on_evaluation` stop the fit."""
    _raise_if_unsupported(issparse(problem.X), "its objective here does not support sparse rows")
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

    torch.set_num_threads(count_threads())
    X, y = torch.from_numpy(problem.X), torch.from_numpy(problem.y)
    coef = torch.zeros((problem.n_rows_coef, X.shape[1]), dtype=X.dtype, requires_grad=True)
    intercept = torch.zeros(problem.n_rows_coef, dtype=X.dtype, requires_grad=problem.fit_intercept)
    optimizer = torch.optim.LBFGS(
        [coef, intercept] if problem.fit_intercept else [coef],
        max_iter=max_iter,
        # The default, 1.25 evaluations per iteration, would end the fit early.
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
        if on_evaluation is not None:
            on_evaluation(objective.item(), coef.detach().numpy(), intercept.detach().numpy())
        objective.backward()
        return objective

    optimizer.step(evaluate)
    return coef.detach().numpy(), intercept.detach().numpy()


def _make_scikit_learn_library(solver, efforts):
    return Library(partial(fit_scikit_learn, solver=solver), efforts, "scikit-learn", "sklearn")


LIBRARIES = {
    "fastlin": Library(fit_fastlin, TOLERANCES, "fastlin", "fastlin", chooses_threads=True),
    "scikit-learn lbfgs": _make_scikit_learn_library("lbfgs", ITERATION_LIMITS),
    "scikit-learn newton-cg": _make_scikit_learn_library("newton-cg", NEWTON_ITERATION_LIMITS),
    "scikit-learn newton-cholesky": _make_scikit_learn_library("newton-cholesky", NEWTON_ITERATION_LIMITS),
    "scikit-learn-intelex": Library(fit_scikit_learn_intelex, ITERATION_LIMITS, "scikit-learn-intelex", "sklearnex"),
    "cyanure": Library(fit_cyanure, ITERATION_LIMITS, "cyanure", "cyanure"),
    "snapml": Library(fit_snapml, ITERATION_LIMITS, "snapml", "snapml"),
    "skglm": Library(fit_skglm, ITERATION_LIMITS, "skglm", "skglm"),
    "glum": Library(fit_glum, NEWTON_ITERATION_LIMITS, "glum", "glum"),
    "adelie": Library(fit_adelie, (*TOLERANCES, 1e-12), "adelie", "adelie"),
    "statsmodels": Library(fit_statsmodels, (0,), "statsmodels", "statsmodels"),
    "torch": Library(fit_torch, ITERATION_LIMITS, "torch", "torch"),
}


def find_missing_packages() -> list[str]:
    """Return the names of the libraries' packages that are not installed."""
    missing = (library.package for library in LIBRARIES.values() if not library.is_installed())
    return list(dict.fromkeys(missing))
