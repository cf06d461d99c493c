"""Comparisons of inference with statsmodels and glum: an unpenalized fit with a table of standard errors."""

from functools import partial

import numpy as np

import fastlin
from benchmarks.comparisons import (
    FASTLIN,
    Case,
    Comparison,
    ComparisonRule,
    require_package,
    run_comparison,
    shorten_comparison,
)
from benchmarks.data import simulate_softmax_data
from benchmarks.problems import ClassificationProblem, count_test_rows
from benchmarks.processes import call_in_process, measure_peak_increase

RECORD_KIND = "inference"
STATSMODELS = "statsmodels"
LIKELIHOOD_TOL = 1e-8
# Maximum relative difference between the standard errors of fastlin and of the baseline.
STD_ERROR_TOL = 1e-3
# In this case, the additional memory of fastlin and of the fastest baseline is measured in separate processes.
MEMORY_CASE = "inference-mnlogit-400000"
# Short cases with few rows have fewer columns, so that the classes overlap.
MIN_ROWS_PER_COLUMN = 40
MAX_ITERATIONS = 1_000


def fit_fastlin(problem):
    """Return fastlin's coefficients and their standard errors."""
    model = fastlin.LogisticRegression(C=np.inf).fit(problem.X, problem.y)
    inference = model.inference(problem.X, problem.y)
    inference.summary()
    return _add_reference_class(problem, inference.coef[:, :-1], inference.coef[:, -1], inference.std_errors)


def fit_statsmodels(problem, method):
    """Return the estimates of statsmodels' Logit or MNLogit with a method; the first class is the reference."""
    import statsmodels.api

    model_class = statsmodels.api.Logit if problem.n_classes == 2 else statsmodels.api.MNLogit
    results = model_class(problem.y, problem.other_inputs).fit(method=method, maxiter=MAX_ITERATIONS, disp=0)
    results.summary()
    params, std_errors = (np.reshape(array, (problem.X.shape[1] + 1, -1)).T for array in (results.params, results.bse))
    return _add_reference_class(problem, params[:, 1:], params[:, 0], np.roll(std_errors, -1, axis=1))


def fit_glum(problem):
    """Return glum's estimates. Scaling by (n - p) / n removes the covariance's correction for linear models."""
    from glum import GeneralizedLinearRegressor

    model = GeneralizedLinearRegressor(family="binomial", alpha=0).fit(problem.X, problem.y)
    table = model.coef_table(problem.X, problem.y, robust=False, dispersion=1.0)
    n, p = len(problem.y), len(table)
    std_errors = table["se"].to_numpy()[None] * np.sqrt((n - p) / n)
    return _add_reference_class(
        problem, model.coef_[None], np.array([model.intercept_]), np.roll(std_errors, -1, axis=1)
    )


def _add_reference_class(problem, coef, intercept, std_errors):
    """Return coef (K, d), intercept (K,) and standard errors. If K > 2, zeros for the first class are added."""
    if problem.n_classes > 2:
        coef, intercept = np.vstack([np.zeros_like(coef[:1]), coef]), np.concatenate([[0.0], intercept])
    return coef, intercept, std_errors


def make_inference_problem(X, y, X_test=None, y_test=None):
    """Return the unpenalized problem of X and y. For statsmodels, `other_inputs` is [1, X] in C order."""
    design_matrix = np.column_stack([np.ones(len(X)), X])
    return ClassificationProblem(
        "table", X, y, int(y.max()) + 1, np.inf, True, X_test=X_test, y_test=y_test, other_inputs=design_matrix
    )


def simulate_table(n_rows, n_all, d, n_classes):
    """Return a problem with normally distributed columns, labels drawn from the model, and overlapping classes."""
    n = n_rows or n_all
    d = d if n == n_all else min(d, max(1, n // MIN_ROWS_PER_COLUMN))
    X, y = simulate_softmax_data(n + count_test_rows(n), d, n_classes, 1 / np.sqrt(d))
    return make_inference_problem(X[:n], y[:n], X[n:], y[n:])


def measure_inference(problem, is_full_run, name):
    """Return the record of a comparison, with differences between the libraries' estimates."""
    for package in (STATSMODELS, "glum"):
        require_package(package)
    comparison = COMPARISONS[name] if is_full_run else shorten_comparison(COMPARISONS[name])
    outcome = run_comparison(comparison, problem)
    record = outcome.describe() | {"kind": RECORD_KIND}
    fastlin_estimates = _stack_estimates(outcome.points[FASTLIN]["solution"])
    for library, values in record["libraries"].items():
        coef, std_errors = _stack_estimates(outcome.points[library]["solution"])
        values["coef_difference"] = float(np.max(np.abs(coef - fastlin_estimates[0]) / fastlin_estimates[1]))
        values["error_difference"] = float(np.max(np.abs(std_errors / fastlin_estimates[1] - 1)))
        if name == MEMORY_CASE and library in (FASTLIN, record["baseline"]):
            values["additional_bytes"] = call_in_process(measure_memory, problem.X, problem.y, name, library)
    error_difference = record["libraries"][record["baseline"]]["error_difference"]
    if not record["failure"] and not error_difference <= STD_ERROR_TOL:
        record["failure"] = (
            f"the standard errors of {record['baseline']} differ from fastlin's by {error_difference:.1e}, relatively"
        )
    return record


def _stack_estimates(solution):
    """Return the estimates that have standard errors, and the standard errors. Both have d + 1 columns."""
    coef, intercept, std_errors = solution
    return np.concatenate([coef, intercept[..., None]], axis=-1)[-len(std_errors) :], std_errors


def measure_memory(X, y, case, library):
    """Return the bytes by which a library's fit increases the peak memory of this process."""
    comparison, problem = COMPARISONS[case], make_inference_problem(X, y)
    solve = comparison.solve if library == FASTLIN else comparison.baselines[library]
    # The first call loads compiled kernels. Baselines are loaded with few rows.
    solve(problem if library == FASTLIN else comparison.load(comparison.n_warm_up_rows))
    return measure_peak_increase(partial(solve, problem))


def _list_comparisons():
    for name, title, (n, d, n_classes), rounds in (
        ("inference-logit-1000000", "standard errors", (1_000_000, 20, 2), 3),
        (MEMORY_CASE, "standard errors of softmax", (400_000, 30, 5), 1),
        ("inference-wide-30000", "standard errors, wide", (30_000, 2_048, 2), 1),
    ):
        baselines = {
            f"{STATSMODELS} {method}": partial(fit_statsmodels, method=method) for method in ("newton", "lbfgs")
        }
        if n_classes == 2:
            baselines["glum"] = fit_glum
        load = partial(simulate_table, n_all=n, d=d, n_classes=n_classes)
        rule = {"within": LIKELIHOOD_TOL, "rule": ComparisonRule(suboptimality=LIKELIHOOD_TOL)}
        yield name, Comparison(title, load, fit_fastlin, baselines, 4_000, **rule, rounds=rounds, n_warm_up_rows=400)


COMPARISONS = dict(_list_comparisons())
CASES = {
    name: Case(RECORD_KIND, comparison.title, comparison.load, partial(measure_inference, name=name), comparison.rows)
    for name, comparison in COMPARISONS.items()
}
