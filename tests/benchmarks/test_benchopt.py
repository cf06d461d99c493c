"""The solver for benchopt: it minimises each benchmark's objective, alone and when benchopt runs it."""

import importlib.util
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

FILE = Path(__file__).parents[2] / "benchmarks" / "benchopt" / "fastlin.py"
LMBD = 0.1
# Stand-ins for the public benchmarks: an objective with the same interface, and data to try it on.
DATA = """
from benchopt import BaseDataset
from sklearn.datasets import make_classification

class Dataset(BaseDataset):
    name = "drawn"

    def get_data(self):
        X, y = make_classification(150, 8, n_informative=5, n_classes={n_classes}, random_state=0)
        return dict(X=X, y={y})
"""
OBJECTIVE = """
import numpy as np
from benchopt import BaseObjective
from scipy.special import logsumexp

class Objective(BaseObjective):
    name = "stand-in"
    parameters = {parameters}

    def set_data(self, X, y):
        self.X, self.y = X, y

    def get_objective(self):
        return dict(X=self.X, y=self.y, lmbd=self.lmbd, {passed})

    def get_one_result(self):
        return dict(beta=np.zeros({shape}))

    def evaluate_result(self, beta):
        {loss}
        return dict(value=loss + self.lmbd / 2 * np.sum(weights**2))
"""
TWO_CLASSES = {
    "n_classes": 2,
    "y": "2 * y - 1",
    "parameters": {"lmbd": [LMBD], "fit_intercept": [False, True]},
    "passed": "fit_intercept=self.fit_intercept",
    "shape": "self.X.shape[1] + self.fit_intercept",
    "loss": """weights, intercept = (beta[:-1], beta[-1]) if self.fit_intercept else (beta, 0)
        loss = np.sum(np.logaddexp(0, -self.y * (self.X @ weights + intercept)))""",
}
MANY_CLASSES = {
    "n_classes": 3,
    "y": "y",
    "parameters": {"lmbd": [LMBD]},
    "passed": "name='drawn'",
    "shape": "(self.X.shape[1], 3)",
    "loss": """weights, scores = beta, self.X @ beta
        loss = np.sum(logsumexp(scores, axis=1) - scores[np.arange(len(self.y)), self.y])""",
}


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


@pytest.mark.thorough
def test_benchopt_runs_the_solvers_to_the_minimum(tmp_path):
    pytest.importorskip("benchopt", reason="benchopt is of no extra: pip install benchopt.")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    for benchmark, words in {"logreg_l2": TWO_CLASSES, "logreg_l2_multiclass": MANY_CLASSES}.items():
        folder = tmp_path / f"benchmark_{benchmark}"
        for part, file, text in (("datasets", "drawn.py", DATA), ("", "objective.py", OBJECTIVE)):
            (folder / part).mkdir(parents=True, exist_ok=True)
            (folder / part / file).write_text(text.format(**words))
        (folder / "solvers").mkdir()
        shutil.copy(FILE, folder / "solvers")
        output = folder / "outputs" / "curve.parquet"
        command = ["run", folder, "--max-runs", "20", "--n-repetitions", "1", "--timeout", "60", "--no-plot"]
        subprocess.run([sys.executable, "-m", "benchopt", *command, "--output", output], check=True)
        curve = pandas.read_parquet(output)
        for name, points in curve.groupby("objective_name"):
            minimum = find_minimum(words["n_classes"], "fit_intercept=True" in name)
            assert points["objective_value"].min() == pytest.approx(minimum, rel=1e-6), name


def find_minimum(n_classes, fit_intercept):
    """Return the minimum of the objective on the data of DATA, by scikit-learn."""
    X, y = make_classification(150, 8, n_informative=5, n_classes=n_classes, random_state=0)
    model = LogisticRegression(C=1 / LMBD, fit_intercept=fit_intercept, tol=1e-8, max_iter=1000).fit(X, y)
    return log_loss(y, model.predict_proba(X), normalize=False) + LMBD / 2 * np.sum(model.coef_**2)
