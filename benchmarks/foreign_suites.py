"""Two suites of other projects, run by `fastlin.benchmarking.compare` with data that are generated again.

`python -m benchmarks.publish scikit-learn-suite` runs the cases of scikit-learn's asv suite for linear models
(asv_benchmarks/benchmarks/linear_model.py of scikit-learn 1.6): the same shapes, penalties and solvers, with tolerances
as efforts. `python -m benchmarks.publish lasso-suite` compares the lasso of scikit-learn, celer and skglm. Baselines
whose package is not installed are omitted.
"""

import importlib
import importlib.util
import sys
from functools import partial
from itertools import islice

import numpy as np
import sklearn
from scipy import sparse
from sklearn.datasets import make_regression
from sklearn.decomposition import TruncatedSVD
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from benchmarks.sparse_data import make_text
from fastlin.benchmarking import Baseline, BenchmarkProblem, LeastSquaresObjective, LogisticObjective, compare
from fastlin.benchmarking.curve_tables import explain_missing_ratios, summarize_curves

RECORD_KIND = "suite"
# The names of the held-out scores of classifiers and of regressions.
SUITE_SCORES = "accuracy", "R²"
SCIKIT_LEARN_SUITE, LASSO_SUITE = "scikit-learn-suite", "lasso-suite"
# A short run makes the first problem of a suite with at most this number of rows.
MAX_SHORT_ROWS = 1_000
SECONDS_PER_PROBLEM, SHORT_SECONDS_PER_PROBLEM = 150.0, 1.0
TOLERANCES = tuple(10.0**-k for k in range(1, 9))
MAX_ITER = 10_000
LASSO_ALPHA, RIDGE_ALPHA, SGD_ALPHA = 0.001, 1.0, 1e-4
SGD_EPOCHS = (1, 3, 10, 30, 100, 300, 1_000)
# The suite's dense text has the leading components of the documents.
N_TEXT_COMPONENTS = 100
# The class, and the shape and density of the rows of each regression in scikit-learn's suite.
REGRESSIONS = (
    ("Ridge", "dense", (500_000, 100), None),
    ("Ridge", "sparse", (100_000, 10_000), 0.005),
    ("LinearRegression", "dense", (1_000_000, 100), None),
    ("LinearRegression", "sparse", (10_000, 100_000), 0.01),
    ("SGDRegressor", "dense", (100_000, 200), None),
    ("SGDRegressor", "sparse", (100_000, 1_000), 0.01),
    ("ElasticNet", "dense", (1_000_000, 100), None),
    ("ElasticNet", "sparse", (50_000, 5_000), 0.01),
    ("Lasso", "dense", (1_000_000, 100), None),
    ("Lasso", "sparse", (50_000, 5_000), 0.01),
)
LASSO_SHAPES = (
    ("dense and wide", (1_000, 10_000), None),
    ("dense and tall", (100_000, 200), None),
    ("sparse", (20_000, 50_000), 0.002),
)
# The penalties of the lasso suite, as fractions of the smallest penalty that makes all coefficients zero.
LASSO_FRACTIONS = (0.1, 0.01)
SCIKIT_LEARN, MIN_SCIKIT_LEARN_VERSION = "sklearn.linear_model", "1.8"
LASSO_MODULES = {"scikit-learn": SCIKIT_LEARN, "celer": "celer", "skglm": "skglm"}


def score_held_out_rows(model, X, y):
    """Return the accuracy of a classifier or the R² score of a regression."""
    return model.score(X, y)


def _make_problem(X, y, objective, name):
    """Return the problem with every tenth row held out."""
    is_test = np.arange(len(y)) % 10 == 9
    score = SUITE_SCORES[isinstance(objective, LeastSquaresObjective)]
    scores = {score: score_held_out_rows}
    return BenchmarkProblem(X[~is_test], y[~is_test], objective, X[is_test], y[is_test], scores, name=name)


def simulate_dense_regression(n, d):
    """Return standardized float32 rows (n, d) and targets of informative features: a tenth, or with n < d only 20."""
    X, y = make_regression(n, d, n_informative=20 if n < d else max(1, d // 10), noise=50, random_state=0)
    return StandardScaler().fit_transform(X.astype(np.float32)), y


def simulate_sparse_regression(n, d, density):
    """Return sparse float32 rows (n, d) with normal entries, and targets in which half of the features are used."""
    generator = np.random.default_rng(0)
    X = sparse.random_array((n, d), density=density, format="csr", rng=0, data_sampler=generator.standard_normal)
    coef = generator.standard_normal(d) * (generator.random(d) < 0.5)
    y = X @ coef
    return sparse.csr_matrix(X.astype(np.float32)), y + 0.2 * y.std() * generator.standard_normal(n)


def _simulate_regression(shape, density, max_rows):
    n, d = min(shape[0], max_rows), shape[1]
    return simulate_dense_regression(n, d) if density is None else simulate_sparse_regression(n, d, density)


def _make_text_problem(n, is_dense, l1_ratio):
    text = make_text(n)
    X = text.X_train.astype(np.float32)
    if is_dense:
        X = TruncatedSVD(N_TEXT_COMPONENTS, random_state=0).fit_transform(X).astype(np.float32)
    penalty, storage = "L1" if l1_ratio else "L2", "dense" if is_dense else "sparse"
    name = f"LogisticRegression, {storage} text, {penalty}"
    return _make_problem(X, text.y_train, LogisticObjective(l1_ratio=l1_ratio), name)


def _make_estimator(module, class_name, parameters, effort_name, effort):
    """Return an estimator. `effort_name` is the parameter that receives the effort, or None for a direct solver."""
    model_class = getattr(importlib.import_module(module), class_name)
    return model_class(**parameters, **({} if effort_name is None else {effort_name: effort}))


def _make_baseline(name, class_name, efforts=TOLERANCES, effort_name="tol", module=SCIKIT_LEARN, **parameters):
    return Baseline(name, partial(_make_estimator, module, class_name, parameters, effort_name), efforts)


def _make_logistic_baselines(solver, l1_ratio):
    options = {"l1_ratio": l1_ratio, "max_iter": MAX_ITER}
    return [
        _make_baseline(solver, "LogisticRegression", solver=solver, random_state=0, **options),
        _make_baseline("fastlin", "LogisticRegression", module="fastlin", **options),
    ]


def _make_ridge_baselines(alpha, is_dense):
    options = {"alpha": alpha, "fit_intercept": False, "random_state": 0}
    return [
        *(
            _make_baseline(solver, "Ridge", (None,), None, solver=solver, **options)
            for solver in (("cholesky", "svd") if is_dense else ("cholesky",))
        ),
        *(
            _make_baseline(solver, "Ridge", solver=solver, max_iter=MAX_ITER, **options)
            for solver in ("lsqr", "sparse_cg", "sag", "saga")
        ),
    ]


def _make_sgd_baselines(n_train_rows):
    sgd = {"alpha": SGD_ALPHA, "tol": None, "random_state": 0}
    return [
        _make_baseline("SGDRegressor", "SGDRegressor", SGD_EPOCHS, "max_iter", **sgd),
        _make_baseline("Ridge", "Ridge", (None,), None, alpha=SGD_ALPHA * n_train_rows),
    ]


def _make_coordinate_descent_baselines(class_name, is_dense):
    options = {"alpha": LASSO_ALPHA, "max_iter": MAX_ITER}
    return [
        _make_baseline(f"precompute={precompute}", class_name, precompute=precompute, **options)
        for precompute in ((True, False) if is_dense else (True,))
    ]


def iterate_scikit_learn_cases(max_rows=sys.maxsize):
    """Yield pairs of a problem and its baselines: the cases of scikit-learn's asv suite for linear models."""
    for is_dense, n in ((True, 11_314), (False, 10_000)):
        for solver, l1_ratio in (("lbfgs", 0.0), ("saga", 1.0)):
            problem = _make_text_problem(min(n, max_rows), is_dense, l1_ratio)
            yield problem, _make_logistic_baselines(solver, l1_ratio)
    for class_name, storage, shape, density in REGRESSIONS:
        X, y = _simulate_regression(shape, density, max_rows)
        n_train_rows, is_dense = len(y) - len(y) // 10, density is None
        if class_name == "Ridge":
            objective = LeastSquaresObjective(RIDGE_ALPHA / n_train_rows, l1_ratio=0.0)
            baselines = _make_ridge_baselines(RIDGE_ALPHA, is_dense)
        elif class_name == "SGDRegressor":
            objective, baselines = LeastSquaresObjective(SGD_ALPHA, l1_ratio=0.0), _make_sgd_baselines(n_train_rows)
        elif class_name == "LinearRegression":
            objective, baselines = LeastSquaresObjective(0.0), [_make_baseline("default", class_name, (None,), None)]
        else:
            objective = LeastSquaresObjective(LASSO_ALPHA, l1_ratio=1.0 if class_name == "Lasso" else 0.5)
            baselines = _make_coordinate_descent_baselines(class_name, is_dense)
        yield _make_problem(X, y, objective, f"{class_name}, {storage}"), baselines


def iterate_lasso_cases(max_rows=sys.maxsize):
    """Yield pairs of a problem and its baselines: the lasso of scikit-learn, celer and skglm."""
    for name, shape, density in LASSO_SHAPES:
        X, y = _simulate_regression(shape, density, max_rows)
        X, y = X.astype(np.float64), y - y.mean()
        train = _make_problem(X, y, None, name)
        largest_alpha = float(np.abs(train.X.T @ train.y).max()) / len(train.y)
        for fraction in LASSO_FRACTIONS:
            options = {"alpha": fraction * largest_alpha, "fit_intercept": False, "max_iter": MAX_ITER}
            baselines = [
                _make_baseline(package, "Lasso", module=module, **options)
                for package, module in LASSO_MODULES.items()
                if importlib.util.find_spec(module.partition(".")[0]) is not None
            ]
            objective = LeastSquaresObjective(options["alpha"])
            yield _make_problem(X, y, objective, f"{name}, {fraction:g} × the largest alpha"), baselines


SUITES = {SCIKIT_LEARN_SUITE: iterate_scikit_learn_cases, LASSO_SUITE: iterate_lasso_cases}
TITLES = {
    SCIKIT_LEARN_SUITE: "scikit-learn's asv suite for linear models",
    LASSO_SUITE: "the lasso of scikit-learn, celer and skglm",
}


def measure_suite(name, is_full_run=False):
    """Return the record of a suite: for each problem, a row per baseline, and reasons for missing ratios."""
    if parse_version(sklearn.__version__) < parse_version(MIN_SCIKIT_LEARN_VERSION):
        raise NotImplementedError("scikit-learn before 1.8 ignores l1_ratio without penalty='elasticnet'.")
    seconds = SECONDS_PER_PROBLEM if is_full_run else SHORT_SECONDS_PER_PROBLEM
    cases = SUITES[name]() if is_full_run else islice(SUITES[name](MAX_SHORT_ROWS), 1)
    problems = {}
    for problem, baselines in cases:
        (result,) = compare(problem, baselines, seconds).problems
        problems[problem.name] = {
            "samples": result["samples"],
            "features": result["features"],
            "reference": result["reference"],
            "scores": {baseline: points[-1] for baseline, points in result["points"].items() if points},
            "rows": summarize_curves(result),
            "reasons": explain_missing_ratios(result),
        }
    return {"kind": RECORD_KIND, "title": TITLES[name], "problems": problems}


CASES = {name: partial(measure_suite, name) for name in SUITES}
