"""The solver for benchopt minimizes the objective of each benchmark."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

FILE = Path(__file__).parents[2] / "benchmarks" / "benchopt" / "fastlin.py"
PENALTY = 0.1


@pytest.fixture
def solver(monkeypatch):
    # No extra installs benchopt. The solver imports two names from it.
    names = SimpleNamespace(BaseSolver=object, SufficientProgressCriterion=dict)
    for module in ("benchopt", "benchopt.stopping_criterion"):
        monkeypatch.setitem(sys.modules, module, names)
    spec = importlib.util.spec_from_file_location("benchopt_solver", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Solver()


def sample_data(n_classes):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(200, 5))
    return X, np.argmax(X @ generator.normal(size=(5, n_classes)) + generator.gumbel(size=(200, n_classes)), axis=1)


def solve(solver, X, y, **parameters):
    solver.set_objective(X=X, y=y, lmbd=PENALTY, **parameters)
    solver.warm_up()
    # benchopt starts with a huge tolerance.
    for tolerance in (1e38, 1e-10):
        solver.run(tolerance)
    return solver.get_result()["beta"]


def fit(X, y, fit_intercept):
    return LogisticRegression(C=1 / PENALTY, fit_intercept=fit_intercept, tol=1e-10).fit(X, y)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_the_solver_minimizes_the_objective_of_each_benchmark(solver, make):
    X, y = sample_data(2)
    for fit_intercept in (False, True):
        expected = fit(X, y, fit_intercept)
        expected = np.append(expected.coef_, expected.intercept_[:fit_intercept])
        beta = solve(solver, make(X), 2.0 * y - 1, fit_intercept=fit_intercept)
        np.testing.assert_allclose(beta, expected, rtol=1e-3, atol=1e-4)
    for n_classes in (2, 3):
        X, y = sample_data(n_classes)
        beta = solve(solver, make(X), y, name="drawn")
        np.testing.assert_allclose(beta, fit(X, y, False).coef_.T, rtol=1e-3, atol=1e-4)
