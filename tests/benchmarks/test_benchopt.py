"""The solver for benchopt: it minimises the benchmark's objective, with and without an intercept."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

SOLVER = Path(__file__).parents[2] / "benchmarks" / "benchopt" / "fastlin.py"


@pytest.fixture
def solver():
    pytest.importorskip("benchopt", reason="benchopt is of no extra: pip install benchopt.")
    spec = importlib.util.spec_from_file_location("benchopt_solver_fastlin", SOLVER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Solver()


def gradient(X, y, beta, lmbd, fit_intercept):
    """Return the gradient of sum log(1 + exp(-y (X w + c))) + lmbd / 2 ||w||^2 by beta = (w, c)."""
    w, c = (beta[:-1], beta[-1]) if fit_intercept else (beta, 0.0)
    slopes = -y / (1 + np.exp(y * (X @ w + c)))
    by_coef = X.T @ slopes + lmbd * w
    return np.append(by_coef, slopes.sum()) if fit_intercept else by_coef


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_the_solver_minimises_the_objective_of_the_benchmark(solver, make, fit_intercept):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(200, 5))
    y = np.where(X @ generator.normal(size=5) + generator.normal(size=200) > 0.5, 1.0, -1.0)
    lmbd = 0.1
    solver.set_objective(X=make(X), y=y, lmbd=lmbd, fit_intercept=fit_intercept)
    solver.warm_up()
    solver.run(1e-10)
    beta = solver.get_result()["beta"]
    assert beta.shape == (5 + fit_intercept,)
    at_zero = gradient(X, y, np.zeros(5 + fit_intercept), lmbd, fit_intercept)
    assert np.abs(gradient(X, y, beta, lmbd, fit_intercept)).max() < 1e-4 * np.abs(at_zero).max()
    # benchopt begins with a huge tolerance.
    solver.run(1e38)
