"""Every library minimizes the same objective. Otherwise, a comparison of fit times would be meaningless."""

import warnings
from dataclasses import replace
from functools import lru_cache
from importlib import import_module

import numpy as np
import pytest
import reference
from conftest import assert_raises
from threadpoolctl import threadpool_limits

from fastlin.benchmarking.comparison_problem import ComparisonProblem
from fastlin.benchmarking.other_libraries import LIBRARIES, CannotSolveError

# Relative tolerance for the objective.
OBJECTIVE_TOL = 1e-4
# The values are the number of classes, and whether there is an intercept.
KINDS = {"softmax": (3, True), "logistic": (2, True), "logistic without intercept": (2, False)}
UNSUPPORTED_PROBLEMS = {
    ("snapml", "softmax"): "softmax",
    ("snapml", "logistic"): "penalizes the intercept",
    ("skglm", "softmax"): "softmax",
    ("skglm", "logistic"): "no intercept",
    ("glum", "softmax"): "softmax",
    ("statsmodels", "softmax"): "softmax",
}
UNSUPPORTED_DTYPES = {("skglm", "float32"), ("glum", "float32")}
LARGE = np.zeros((300, 1000))


@lru_cache
def make(kind, dtype="float64"):
    """Return a problem whose optimum depends on C, the intercept and the intercept's penalty."""
    n_classes, fit_intercept = KINDS[kind]
    generator = np.random.default_rng(0)
    centers = generator.normal(0, 0.7, (n_classes, 8))
    # Unbalanced classes and features far from the origin result in a large intercept.
    y = generator.choice(n_classes, 300, p=[0.7, 0.2, 0.1] if n_classes == 3 else [0.8, 0.2])
    X = (centers[y] + generator.normal(0.5, 1, (300, 8))).astype(dtype)
    return ComparisonProblem(kind, X, y, n_classes, C=0.05, fit_intercept=fit_intercept)


@lru_cache
def solve(kind):
    problem = make(kind)
    l2 = 1 / (problem.C * len(problem.X))
    return reference.minimum(problem.X, problem.y, problem.n_classes, l2, fit_intercept=problem.fit_intercept)


def fit(name, problem):
    """Fit with the largest effort. Ignore the intended warnings about iteration limits, and warnings from imports."""
    with warnings.catch_warnings(action="ignore"):
        return LIBRARIES[name].fit(problem, LIBRARIES[name].efforts[-1])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name in LIBRARIES for kind in KINDS if (name, kind) not in UNSUPPORTED_PROBLEMS]
)
def test_every_library_reaches_the_optimum_of_the_common_objective(name, kind, dtype):
    if not LIBRARIES[name].is_installed():
        pytest.skip(f"{LIBRARIES[name].package} is not installed")
    if (name, dtype) in UNSUPPORTED_DTYPES:
        assert_raises("float32", fit, name, make(kind, dtype), error=CannotSolveError)
        return
    # While other tests run, OpenMP threads that wait for each other would make glum many times slower.
    import_module(LIBRARIES[name].module)
    with threadpool_limits(1, user_api="openmp"):
        coef, intercept = fit(name, make(kind, dtype))
    optimum, best_coef, best_intercept = solve(kind)
    # `ComparisonProblem.objective` agrees with the reference.
    assert make(kind).objective(best_coef, best_intercept) == pytest.approx(float(optimum), rel=1e-12)
    assert make(kind).objective(coef, intercept) == pytest.approx(float(optimum), rel=OBJECTIVE_TOL)
    tolerance = 1e-3 if dtype == "float64" else 1e-2
    np.testing.assert_allclose(coef, best_coef, atol=tolerance)
    # Softmax is invariant to a constant added to all intercepts.
    shift = np.mean(intercept) - np.mean(best_intercept) if kind == "softmax" else 0
    np.testing.assert_allclose(intercept - shift, best_intercept, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "kind", "changes", "reason"),
    [
        *((name, kind, {}, reason) for (name, kind), reason in UNSUPPORTED_PROBLEMS.items()),
        pytest.param("scikit-learn newton-cholesky", "softmax", {"X": LARGE}, "3,003 × 3,003", id="a large Hessian"),
    ],
)
def test_unsupported_problems_raise_with_the_reason(name, kind, changes, reason):
    assert_raises(reason, fit, name, replace(make(kind), **changes), error=CannotSolveError)
