"""Passes over dense rows for loss and gradient: comparisons with NumPy and BLAS, and scaling with problem size."""

from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np

from benchmarks.comparisons import FASTLIN, N_REPETITIONS, Comparison, ComparisonRule, measure_interleaved_calls
from benchmarks.data import load_mnist_pixels
from benchmarks.problems import Scores
from fastlin.kernels.machine.threads import count_threads
from fastlin.matrices import as_matrix
from fastlin.objective.coordinates import choose_coordinates
from fastlin.objective.objective import Objective
from fastlin.objective.penalty import Penalty
from fastlin.objective.rows import Rows, make_samples

N_ROWS = 60_000
N_CLASSES = 10
L2_PENALTY = 1 / N_ROWS
N_PASSES = 5
# Most code stores scores in C order, although NumPy is faster in F order.
NUMPY_F_ORDER = "NumPy, scores in F order"
# Maximum relative difference of J. float32 passes accumulate rows in float64, but NumPy accumulates in float32.
SAME_STEPS_TOLS = {"float64": 1e-11, "float32": 2e-5, "uint8": 2e-5}
# X has 48 MB, more than the processor's caches, so the pass reads from memory.
BASE_SIZES = {"n": 60_000, "d": 100, "K": 10}
SMALL_BASE_SIZES = {"n": 6_000, "d": 20, "K": 3}
SIZE_FACTORS = (1, 2, 3, 5, 10)


def find_precision(X):
    """Return the dtype in which solvers compute most passes: float64 for float64 data, otherwise float32."""
    return np.float64 if X.dtype == np.float64 else np.float32


def sample_coef(X, n_classes=N_CLASSES):
    """Return random coefficients that give scores of order 1, and an intercept of zeros."""
    n_coef_rows = 1 if n_classes == 2 else n_classes
    coef = np.random.default_rng(0).normal(0, 0.05, (n_coef_rows, X.shape[1])) / max(1, X.max())
    dtype = find_precision(X)
    return coef.astype(dtype), np.zeros(n_coef_rows, dtype)


class FusedPass:
    """fastlin's pass over X for J and its gradient at coef (K, d) and intercept (K,), in its internal coordinates."""

    def __init__(self, X, labels, n_classes, coef, intercept):
        matrix, penalty_factors = as_matrix(X), np.ones(X.shape[1])
        coordinates = choose_coordinates(matrix.measure(), L2_PENALTY, penalty_factors, fit_intercept=True)
        rows = Rows(matrix, make_samples(labels), n_classes, coordinates, fit_intercept=True)
        self.objective = Objective(rows, Penalty.of(rows, L2_PENALTY, 0.0, penalty_factors, group_lasso=False))
        self.parameters = self.objective.coordinates.to_parameters(
            coef.astype(np.float64), intercept.astype(np.float64)
        )
        self.precision = find_precision(X)

    def __call__(self):
        return self.objective.at(self.parameters, self.precision)

    def value_and_gradient(self):
        """Return J and its gradients with respect to coef (K, d) and intercept (K,), in the original coordinates."""
        point = self()
        gradient = self.objective.coordinates.convert_gradient(point.gradient)
        return point.value, gradient[:, :-1], gradient[:, -1]


def make_numpy_pass(X, labels, n_classes, coef, intercept, order="C"):
    """Return the same pass with NumPy, in the dtype of fastlin's computation; `order` applies to scores (n, K)."""
    X, n, row_indices = X.astype(find_precision(X), copy=False), len(X), np.arange(len(X))
    scores = np.empty((n, n_classes), X.dtype, order=order)

    def value_and_gradient():
        np.matmul(X, coef.T, out=scores)
        np.add(scores, intercept, out=scores)
        np.subtract(scores, scores.max(axis=1, keepdims=True), out=scores)
        loss = -scores[row_indices, labels].sum(dtype=np.float64)
        np.exp(scores, out=scores)
        row_sums = scores.sum(axis=1, keepdims=True)
        loss += np.log(row_sums).sum(dtype=np.float64)
        np.divide(scores, row_sums, out=scores)
        scores[row_indices, labels] -= 1
        coef_gradient = scores.T @ X
        coef_gradient /= n
        coef_gradient += L2_PENALTY * coef
        return loss / n + 0.5 * L2_PENALTY * np.sum(coef * coef), coef_gradient, scores.sum(axis=0) / n

    return value_and_gradient


@dataclass(frozen=True, eq=False)
class PassProblem:
    """Rows, and each library's pass for value and gradient at the same coefficients. There are no predictions."""

    X: np.ndarray
    y: np.ndarray
    n_classes: int
    passes: dict

    def objective(self, value, *_):
        return float(value)

    def accuracy(self, *_):
        return float("nan")

    def score_test_rows(self, *_):
        return Scores()


def load_pass_problem(n_rows, dtype):
    """Return the PassProblem of MNIST with scores of order 1."""
    data = load_mnist_pixels(n_rows or N_ROWS, dtype)
    X = data.X_train
    arguments = X, data.y_train, N_CLASSES, *sample_coef(X)
    numpy_pass, f_ordered_pass = make_numpy_pass(*arguments), make_numpy_pass(*arguments, order="F")
    return PassProblem(
        X,
        data.y_train,
        N_CLASSES,
        {FASTLIN: FusedPass(*arguments).value_and_gradient, "NumPy": numpy_pass, NUMPY_F_ORDER: f_ordered_pass},
    )


def run_passes(pass_problem, name):
    """Run passes of a library one after another, like a solver."""
    for _ in range(N_PASSES):
        solution = pass_problem.passes[name]()
    return solution


def make_pass(X, n_classes=N_CLASSES):
    """Return a pass over X. The coefficients give scores of order 1. The labels do not affect the time."""
    return FusedPass(X, np.arange(len(X)) % n_classes, n_classes, *sample_coef(X, n_classes))


def measure_pass_scaling(is_full_run=False):
    """Return the median seconds of a pass for each size and factor, measured interleaved."""
    seconds, base_sizes = {}, BASE_SIZES if is_full_run else SMALL_BASE_SIZES
    for size in base_sizes:
        shapes = {factor: {**base_sizes, size: factor * base_sizes[size]} for factor in SIZE_FACTORS}
        passes = {
            factor: make_pass(np.random.default_rng(0).standard_normal((shape["n"], shape["d"])), shape["K"])
            for factor, shape in shapes.items()
        }
        seconds[size] = [median(times) for times in measure_interleaved_calls(passes, N_REPETITIONS).values()]
    settings = {"base": dict(base_sizes), "factors": list(SIZE_FACTORS), "threads": count_threads()}
    return {"kind": "passes", **settings, "seconds": seconds}


COMPARISONS = {
    f"pass-{dtype}": Comparison(
        f"{N_PASSES} passes for loss and gradient",
        partial(load_pass_problem, dtype=dtype),
        partial(run_passes, name=FASTLIN),
        {name: partial(run_passes, name=name) for name in ("NumPy", NUMPY_F_ORDER)},
        rows=10_000,
        rule=ComparisonRule(same_steps_tol=SAME_STEPS_TOLS[dtype]),
    )
    for dtype in SAME_STEPS_TOLS
}
