"""The memory that a fit takes beside X: the peak of a process of its own.

The process loads X and fits it twice; the first fit loads the compiled kernels. The fit takes what the peak rises by
during the second one. `count_allowed_bytes` states what a fit may take. Only Linux lets a process reset its peak.
scikit-learn's lbfgs, or saga with L1, fits the same rows; its few iterations take the memory of many.
"""

import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ScikitLearnLogisticRegression

from benchmarks.data import load_data
from benchmarks.processes import run_python
from benchmarks.sparse_data import make_text
from fastlin.budget import Budget

N_ROWS = 60_000
L1_ROWS = 10_000
CV_ROWS = 4_000
SHARE_OF_X = 0.2
MOST_SCORES = 64 << 20
# What a fit may take beside a small X, of which a fifth is less: the preconditioner (14 MB), matrices that it is made
# from (3 MB or one) and the partial sums of a pass (8 MB). A fit of MNIST takes 36 MB, of which 5 to 10 MB are
# coefficients and probabilities.
SMALLEST_SHARE = 32 << 20
# Vectors of the size of the coefficients that solvers hold in float64 beside the pairs of L-BFGS.
N_VECTORS = 16
# For each entry of a whole Hessian: the Hessian, a copy and the half of it that is its factor, in float64.
HESSIAN_BYTES = 20
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
SCIKIT_LEARN, PEER_ITERATIONS = "scikit-learn", 20
# Arrays of a megabyte and more go back to the system when they are freed. malloc would learn to keep those below 32.
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}


@dataclass(frozen=True)
class Case:
    """A fit whose memory is measured.

    Attributes
    ----------
    title : str
        What tables call it.
    load : callable
        The function from a number of rows, or None for all, to X, y and the parameters of the estimator.
    rows : int
        The number of rows of a short measurement.
    fit : str
        The name of a function of FITS.
    peer : str
        That of scikit-learn's fit, or "" where there is none.
    n_fits : int
        How many fits run side by side.
    """

    title: str
    load: Callable
    rows: int = 1_000
    fit: str = "LogisticRegression"
    peer: str = SCIKIT_LEARN
    n_fits: int = 1


def _load_mnist(n_rows, dtype, n_all=N_ROWS, C=1.0, **parameters):
    """Return X and y of MNIST, and a C that means the same for pixels from 0 to 255 as for pixels from 0 to 1."""
    data = load_data("mnist", n_rows or n_all, dtype)
    if C is not None:
        parameters["C"] = C / 255**2 if dtype == "uint8" else C
    return data.X_train, data.y_train, parameters


def _load_text(n_rows, **parameters):
    data = make_text(n_rows) if n_rows else make_text()
    return data.X_train, data.y_train, parameters


def _load_overlapping(n_rows):
    """Return noise in 150 columns and 10 classes that it hardly tells apart, so that there is a minimum without C."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(n_rows or 40_000, 150))
    scores = X[:, :10] + generator.gumbel(scale=2.0, size=(len(X), 10))
    return X, scores.argmax(axis=1), {"C": np.inf}


CASES = {
    **{
        f"memory-mnist-{dtype}": Case("a fit of MNIST", partial(_load_mnist, dtype=dtype))
        for dtype in ("float64", "float32", "uint8")
    },
    "memory-mnist-l1": Case(
        "a fit of MNIST, L1",
        partial(_load_mnist, dtype="float64", n_all=L1_ROWS, C=0.1, l1_ratio=1.0),
        rows=300,
    ),
    "memory-text": Case("a fit of generated text", _load_text),
    "memory-text-l1": Case("a fit of generated text, L1", partial(_load_text, l1_ratio=1.0)),
    "memory-unpenalised": Case("a fit of noise, unpenalised", _load_overlapping, rows=5_000),
    "memory-cross-validation": Case(
        "cross-validation of MNIST",
        partial(
            _load_mnist,
            dtype="float64",
            n_all=CV_ROWS,
            C=None,
            **{"Cs": [1e-3, 1e-2], "cv": 2, "scoring": "accuracy", "use_legacy_attributes": False, "n_jobs": 2},
        ),
        rows=300,
        fit="LogisticRegressionCV",
        peer="",
        n_fits=2,
    ),
    "memory-path": Case(
        "a path of MNIST",
        partial(_load_mnist, dtype="float32", n_all=CV_ROWS, C=None, Cs=[1e-3, 1e-2, 1e-1], l1_ratio=0.0),
        rows=300,
        fit="logistic_path",
        peer="",
    ),
}
FITS = {
    "LogisticRegression": lambda fastlin, X, y, parameters: fastlin.LogisticRegression(**parameters).fit(X, y),
    "LogisticRegressionCV": lambda fastlin, X, y, parameters: fastlin.LogisticRegressionCV(**parameters).fit(X, y),
    "logistic_path": lambda fastlin, X, y, parameters: fastlin.logistic_path(X, y, **parameters),
    SCIKIT_LEARN: lambda fastlin, X, y, parameters: _fit_scikit_learn(X, y, parameters),
}


def _fit_scikit_learn(X, y, parameters):
    solver = "saga" if parameters.get("l1_ratio") else "lbfgs"
    model = ScikitLearnLogisticRegression(solver=solver, max_iter=PEER_ITERATIONS, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)


def check_system():
    """Raise NotImplementedError where no process can reset its peak; asv and pytest then skip the benchmark."""
    if not RESET.exists():
        raise NotImplementedError("Only Linux can reset the peak of a process.")


def reset_peak():
    """Reset the peak of this process to the memory that it holds now."""
    RESET.write_text("5", "ascii")


def read_peak():
    """Return the most bytes of memory that this process has held since the last reset."""
    return (
        int(next(line.split()[1] for line in STATUS.read_text("utf-8").splitlines() if line.startswith("VmHWM"))) << 10
    )


def count_bytes(X):
    """Return the bytes of an array or of a CSR matrix."""
    return X.data.nbytes + X.indices.nbytes + X.indptr.nbytes if issparse(X) else X.nbytes


def count_allowed_bytes(X, n_classes, parameters, n_fits=1):
    """Return the most bytes that fits may take beside X.

    Each of `n_fits` fits that run side by side may take a fifth of X, or 32 MB where that is more; an array (n, K)
    where that is no more than 64 MB or than X; and the solver's vectors of the size of the coefficients, among them the
    pairs of L-BFGS, and blocks for each class, as the budget allows. A fit without a penalty may take its Hessian where
    the budget allows one. All fits together may take a transposed copy of X where X is sparse or the penalty L1.
    """
    n, d = X.shape
    n_rows_coef = 1 if n_classes == 2 else n_classes
    n_parameters = n_rows_coef * (d + 1)
    size = count_bytes(X)
    budget = Budget.beside(size)
    has_l1 = parameters.get("l1_ratio", 0.0) > 0
    scores = n * n_rows_coef * (4 if X.dtype == np.float32 else 8)
    vectors = N_VECTORS * n_parameters * 8
    if not has_l1:
        n_pairs, precision = budget.choose_pairs(n_parameters)
        vectors += 2 * n_pairs * n_parameters * np.dtype(precision).itemsize
    # Blocks for each class of a dense X.
    blocks = 4 * n_rows_coef * (d + 1) * (d + 2) // 2
    is_quick = not issparse(X) and (d + 1) ** 2 <= 2 * X.size
    has_blocks = is_quick and budget.holds(blocks) and not budget.holds_preconditioner(blocks)
    has_hessian = parameters.get("C") == np.inf and budget.holds_hessian(n_parameters, n * n_parameters**2 // 2)
    of_each = (
        max(SHARE_OF_X * size, SMALLEST_SHARE)
        + (scores if scores <= max(MOST_SCORES, size) else 0)
        + vectors
        + has_blocks * blocks
        + has_hessian * HESSIAN_BYTES * n_parameters**2
    )
    return int((issparse(X) or has_l1) * size + n_fits * of_each)


def measure(X, y, parameters, fit="LogisticRegression"):
    """Return the bytes that a fit of FITS takes beside X at its peak, measured in another process."""
    check_system()
    arrays = {"data": X.data, "indices": X.indices, "indptr": X.indptr} if issparse(X) else {"X": X}
    with tempfile.TemporaryDirectory() as folder:
        case = {"shape": X.shape, "parameters": parameters, "fit": fit}
        # The process reads X from a file straight into place. Making X would need more memory than the fit.
        for name, array in {**arrays, "y": y}.items():
            np.save(f"{folder}/{name}.npy", array)
        Path(folder, "case.json").write_text(json.dumps(case), "ascii")
        return int(run_python("-m", "benchmarks.memory", folder, **GIVE_BACK))


def measure_here(folder):
    """Fit the X and y of a folder in this process, and return the bytes by which the peak rises."""
    import fastlin

    case = json.loads(Path(folder, "case.json").read_text("ascii"))
    arrays = {path.stem: np.load(path) for path in Path(folder).glob("*.npy")}
    if "X" in arrays:
        X = arrays["X"]
    else:
        X = csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=case["shape"])
    fit, parameters = FITS[case["fit"]], case["parameters"]
    # A fit that was cut short would take less.
    warnings.simplefilter("error", ConvergenceWarning)
    fit(fastlin, X, arrays["y"], parameters)
    reset_peak()
    before = read_peak()
    fit(fastlin, X, arrays["y"], parameters)
    return read_peak() - before


def measure_case(case, whole=False):
    """Return what the fit of a Case takes beside X and what it may take, as plain values."""
    X, y, parameters = case.load(None if whole else case.rows)
    return {
        "kind": "memory",
        "title": case.title,
        "data": f"{X.shape[0]:,} × {X.shape[1]:,}, {X.dtype}",
        "X_bytes": count_bytes(X),
        "fit_bytes": measure(X, y, parameters, case.fit),
        "allowed_bytes": count_allowed_bytes(X, len(np.unique(y)), parameters, case.n_fits),
        "peer_bytes": measure(X, y, parameters, case.peer) if case.peer else None,
    }


if __name__ == "__main__":
    # For `measure`, which runs this module in a process of its own.
    print(measure_here(sys.argv[1]))
