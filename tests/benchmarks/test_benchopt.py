"""The solver for benchopt: it minimises each benchmark's objective, called as benchopt calls it."""

import importlib.util
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

FILE = Path(__file__).parents[2] / "benchmarks" / "benchopt" / "fastlin.py"
LMBD = 0.1


def load_solver():
    pytest.importorskip("benchopt", reason="benchopt is of no extra: pip install benchopt.")
    spec = importlib.util.spec_from_file_location("benchopt_solver", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Solver()


def draw(n_classes):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(200, 5))
    return X, np.argmax(X @ generator.normal(size=(5, n_classes)) + generator.gumbel(size=(200, n_classes)), axis=1)


def solve(solver, X, y, **parameters):
    """Return what a solver makes of a problem, called as benchopt calls it."""
    solver.set_objective(X=X, y=y, lmbd=LMBD, **parameters)
    solver.warm_up()
    # benchopt begins with a huge tolerance.
    for tolerance in (1e38, 1e-10):
        solver.run(tolerance)
    return solver.get_result()["beta"]


def gradient(X, y, beta, fit_intercept):
    """Return the gradient of sum log(1 + exp(-y (X w + c))) + LMBD / 2 ||w||^2 by beta = (w, c)."""
    w, c = (beta[:-1], beta[-1]) if fit_intercept else (beta, 0.0)
    slopes = -y / (1 + np.exp(y * (X @ w + c)))
    by_coef = X.T @ slopes + LMBD * w
    return np.append(by_coef, slopes.sum()) if fit_intercept else by_coef


def test_the_solver_of_two_classes_minimises_the_objective_of_the_benchmark():
    solver = load_solver()
    X, y = draw(2)
    y = 2.0 * y - 1
    for fit_intercept, make in product((False, True), (np.asarray, sparse.csr_matrix)):
        beta = solve(solver, make(X), y, fit_intercept=fit_intercept)
        assert beta.shape == (5 + fit_intercept,)
        at_zero = gradient(X, y, np.zeros(5 + fit_intercept), fit_intercept)
        assert np.abs(gradient(X, y, beta, fit_intercept)).max() < 1e-4 * np.abs(at_zero).max()


def test_the_solver_of_many_classes_minimises_the_objective_of_the_benchmark():
    solver = load_solver()
    for n_classes, make in product((2, 3), (np.asarray, sparse.csr_matrix)):
        X, y = draw(n_classes)
        beta = solve(solver, make(X), y, name="drawn")
        expected = LogisticRegression(C=1 / LMBD, fit_intercept=False, tol=1e-10).fit(X, y).coef_.T
        assert beta.shape == expected.shape
        np.testing.assert_allclose(beta, expected, rtol=1e-3, atol=1e-4)
