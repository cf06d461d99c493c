"""Additional memory of a fit: the increase of the peak memory during a second fit in a new process."""

import warnings
from functools import partial

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

import fastlin
from benchmarks.comparisons import Case
from benchmarks.data import simulate_softmax_data
from benchmarks.fits import LOAD_MNIST_L1, load_mnist, load_text
from benchmarks.many_fits import LABEL_PROBLEM_SIZE, load_label_problems
from benchmarks.problems import make_classification_problem
from benchmarks.processes import call_in_process, measure_peak_increase
from fastlin.benchmarking.timing import fit_without_convergence_warning
from fastlin.objective.budget import Budget
from fastlin.objective.problem_batch import MAX_BATCH_BYTES

N_CV_ROWS = 4_000
MAX_FRACTION_OF_X = 0.2
MAX_SCORES_BYTES = 64 << 20
# Memory allowed for a small X: for the preconditioner, the matrices that it needs, and the accumulators of a pass.
MIN_ALLOWED_BYTES = 32 << 20
# Number of float64 vectors with the size of the coefficients.
N_SOLVER_VECTORS = 16
# Bytes per entry of a full Hessian: the Hessian, a copy, and its triangular factor in float64.
HESSIAN_BYTES_PER_ENTRY = 20
SCIKIT_LEARN, N_BASELINE_ITERATIONS = "scikit-learn", 20


def _load_overlapping_classes(n_rows):
    # The classes overlap strongly, so there is a minimum without a penalty.
    return make_classification_problem("noise", *simulate_softmax_data(n_rows or 40_000, 150, 10, 0.04), np.inf)


def _fit_scikit_learn(X, y, parameters):
    solver = "saga" if parameters.get("l1_ratio") else "lbfgs"
    model = ScikitLearnLogisticRegression(solver=solver, max_iter=N_BASELINE_ITERATIONS, **parameters)
    fit_without_convergence_warning(model, X, y)


FIT_FUNCTIONS = {
    "LogisticRegression": lambda X, y, parameters: fastlin.LogisticRegression(**parameters).fit(X, y),
    "LogisticRegressionCV": lambda X, y, parameters: fastlin.LogisticRegressionCV(**parameters).fit(X, y),
    "logistic_path": lambda X, y, parameters: fastlin.logistic_path(X, y, **parameters),
    SCIKIT_LEARN: _fit_scikit_learn,
}


def count_bytes(X):
    """Return the bytes of an array or a CSR matrix."""
    return X.data.nbytes + X.indices.nbytes + X.indptr.nbytes if issparse(X) else X.nbytes


def count_allowed_bytes(X, n_classes, parameters, n_fits=1):
    """Return the maximum additional memory of fits in bytes.

    Each of `n_fits` parallel fits may use a fifth of X, or 32 MB if that is more. It may also use an array (n, K) of up
    to 64 MB or the size of X, and, within the budget, the solver's vectors, pairs and class blocks, or the Hessian of
    an unpenalized fit. All fits together may use a transposed copy of X if X is sparse or the penalty is L1.
    """
    n, d = X.shape
    n_rows_coef = 1 if n_classes == 2 else n_classes
    n_parameters = n_rows_coef * (d + 1)
    data_bytes = count_bytes(X)
    memory_budget = Budget.from_data_size(data_bytes)
    has_l1 = parameters.get("l1_ratio", 0.0) > 0
    score_bytes = n * n_rows_coef * (4 if X.dtype == np.float32 else 8)
    vector_bytes = N_SOLVER_VECTORS * n_parameters * 8
    if not has_l1:
        n_lbfgs_pairs, precision = memory_budget.choose_lbfgs_pair_storage(n_parameters)
        vector_bytes += 2 * n_lbfgs_pairs * n_parameters * np.dtype(precision).itemsize
    # If X is dense, the preconditioner has a block for each class.
    block_bytes = 4 * n_rows_coef * (d + 1) * (d + 2) // 2
    has_cheap_blocks = not issparse(X) and (d + 1) ** 2 <= 2 * X.nbytes
    has_class_blocks = (
        has_cheap_blocks
        and memory_budget.allows_array_bytes(block_bytes)
        and not memory_budget.allows_preconditioner(block_bytes)
    )
    has_hessian = parameters.get("C") == np.inf and memory_budget.allows_hessian(n_parameters, n * n_parameters**2 // 2)
    bytes_per_fit = (
        max(MAX_FRACTION_OF_X * data_bytes, MIN_ALLOWED_BYTES)
        + (score_bytes if score_bytes <= max(MAX_SCORES_BYTES, data_bytes) else 0)
        + vector_bytes
        + has_class_blocks * block_bytes
        + has_hessian * HESSIAN_BYTES_PER_ENTRY * n_parameters**2
    )
    return int((issparse(X) or has_l1) * data_bytes + n_fits * bytes_per_fit)


def measure(X, y, parameters, fit="LogisticRegression"):
    """Return the bytes by which one of FITS increases the peak memory of this process."""
    # A fit that stops early would need less memory.
    warnings.simplefilter("error", ConvergenceWarning)
    call = partial(FIT_FUNCTIONS[fit], X, y, parameters)
    call()
    return measure_peak_increase(call)


def measure_case(problem, is_full_run, fit, baseline, n_fits, parameters):
    """Return the additional memory of one of FITS, the memory allowed for n_fits fits, and the baseline's memory."""
    X, y, parameters = problem.X, problem.y, parameters or {"C": problem.C, "l1_ratio": problem.l1_ratio}
    # A batch of labels stores no array of scores.
    allowed_batch_bytes, allowed_fit_bytes = (
        MAX_BATCH_BYTES + MIN_ALLOWED_BYTES,
        count_allowed_bytes(X, len(np.unique(y)), parameters, n_fits),
    )
    return {
        "data": f"{X.shape[0]:,} × {X.shape[1]:,}, {X.dtype}",
        "X_bytes": count_bytes(X),
        "fit_bytes": call_in_process(measure, X, y, parameters, fit),
        "allowed_bytes": allowed_batch_bytes if y.ndim > 1 else allowed_fit_bytes,
        "baseline_bytes": call_in_process(measure, X, y, parameters, baseline) if baseline else None,
    }


def _make_case(title, load, rows=1_000, fit="LogisticRegression", baseline=SCIKIT_LEARN, n_fits=1, parameters=None):
    measure = partial(measure_case, fit=fit, baseline=baseline, n_fits=n_fits, parameters=parameters)
    return Case("memory", title, load, measure, rows)


CV_PARAMETERS = {"Cs": [1e-3, 1e-2], "cv": 2, "scoring": "accuracy", "use_legacy_attributes": False, "n_jobs": 2}
PATH_PARAMETERS = {"Cs": [1e-3, 1e-2, 1e-1], "l1_ratio": 0.0}
LOAD_SMALL_MNIST = partial(load_mnist, n_all=N_CV_ROWS)
LOAD_MANY_LABELS = partial(load_label_problems, size=LABEL_PROBLEM_SIZE)
CASES = {
    **{
        f"memory-mnist-{dtype}": _make_case("a fit of MNIST", partial(load_mnist, dtype=dtype))
        for dtype in ("float64", "float32", "uint8")
    },
    "memory-mnist-l1": _make_case("a fit of MNIST, L1", LOAD_MNIST_L1, 300),
    "memory-text": _make_case("a fit of generated text", load_text),
    "memory-text-l1": _make_case("a fit of generated text, L1", partial(load_text, l1_ratio=1.0)),
    "memory-unpenalized": _make_case("a fit of noise, unpenalized", _load_overlapping_classes, 5_000),
    "memory-many-labels": _make_case(
        f"a fit of {LABEL_PROBLEM_SIZE[-1]} labels", LOAD_MANY_LABELS, baseline="", parameters={"C": 1.0}
    ),
    "memory-cross-validation": _make_case(
        "cross-validation of MNIST",
        LOAD_SMALL_MNIST,
        300,
        "LogisticRegressionCV",
        "",
        n_fits=2,
        parameters=CV_PARAMETERS,
    ),
    "memory-path": _make_case(
        "a path of MNIST",
        partial(LOAD_SMALL_MNIST, dtype="float32"),
        300,
        "logistic_path",
        "",
        parameters=PATH_PARAMETERS,
    ),
}
