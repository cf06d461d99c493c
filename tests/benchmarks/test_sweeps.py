"""Sweeps over C on few rows: the best C, time limits and records. No test asserts a time."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from benchmarks import sweeps
from benchmarks.comparisons import FASTLIN
from benchmarks.sweeps import (
    CASES,
    CS,
    describe_failure,
    simulate_mixture_embeddings,
    sweep_in_one_call,
    sweep_one_by_one,
)
from benchmarks.tables import format_interval

EVERY_SIXTEENTH_C = CS[8::16]


def load(name, n_rows):
    return CASES[name].load(n_rows)


def test_every_class_is_in_the_training_set_of_a_sweep():
    for name, n_rows, columns in (("sweep-embeddings-1000", 100, 384), ("sweep-digits", 150, 64)):
        problem = load(name, n_rows)
        assert problem.X.shape[1] == columns
        assert problem.X.dtype == np.float32
        assert len(problem.X) > len(problem.X_val) == len(problem.y_val) > 0
        assert len(problem.X_test) == len(problem.y_test) > 0
        assert set(problem.y_val) <= set(problem.y) == set(range(problem.n_classes))
    X, y = simulate_mixture_embeddings(400, 64, 10, 100)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, rtol=1e-5)
    # The classes overlap.
    assert 0.2 < LogisticRegression(C=10).fit(X[:400], y[:400]).score(X[400:], y[400:]) < 0.95


def test_one_call_finds_the_best_C_of_separate_fits():
    problem = load("sweep-digits", 150)
    C, best_score, (coef, _), n_measured = sweep_in_one_call(problem, EVERY_SIXTEENTH_C)
    assert n_measured == len(EVERY_SIXTEENTH_C)
    fits = [LogisticRegression(C=each, tol=1e-8, max_iter=1000).fit(problem.X, problem.y) for each in EVERY_SIXTEENTH_C]
    scores = [fit.score(problem.X_val, problem.y_val) for fit in fits]
    assert best_score == pytest.approx(max(scores), abs=2 / len(problem.y_val))
    X, y = np.concatenate([problem.X, problem.X_val]), np.concatenate([problem.y, problem.y_val])
    # In float32 lbfgs stops within a tenth of the largest coefficient.
    expected = LogisticRegression(C=C, solver="newton-cholesky").fit(X.astype(np.float64), y).coef_
    np.testing.assert_allclose(coef, expected, atol=0.1 * np.abs(expected).max())


class SlowModel:
    """A model whose fit takes C seconds per row and whose score is best at C = 2."""

    clock, coef_, intercept_ = 0.0, np.zeros((1, 1)), np.zeros(1)

    def __init__(self, C):
        self.C = C

    def fit(self, X, y):
        SlowModel.clock += self.C * len(X)
        return self

    def score(self, X, y):
        return -abs(self.C - 2)


def test_a_sweep_that_reaches_its_time_limit_is_a_lower_bound(monkeypatch):
    problem = sweeps.SweepProblem(*[np.zeros((1, 1)), np.zeros(1)] * 2, 2, np.zeros((1, 1)), np.zeros(1))
    Cs = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    monkeypatch.setattr(sweeps, "perf_counter", lambda: SlowModel.clock)
    sweep = sweep_one_by_one(problem, Cs, SlowModel)
    # Five fits to one row take 15 seconds. The chosen C is fitted again to two rows, which takes 4 seconds.
    assert (SlowModel.clock, sweep.C, sweep.n_measured) == (15 + 4, 2, 5)
    sweep = sweep_one_by_one(problem, Cs, SlowModel, time_limit=2.5)
    assert (SlowModel.clock, sweep.C, sweep.n_measured, sweep.solution) == (19 + 1 + 2, 2, 2, None)
    assert format_interval({"ratio": 57.2, "is_bound": True}) == "≥ 57"


def test_a_sweep_is_measured_with_every_method():
    record = replace(CASES["sweep-digits"], rows=100)()
    assert record["failure"] == ""
    assert list(record["libraries"]) == [
        FASTLIN,
        sweeps.ONE_BY_ONE_METHOD,
        sweeps.CHANGED_IMPORT_METHOD,
        record["baseline"],
    ]
    assert record["n_Cs"] == sweeps.N_QUICK_CS
    for way in record["libraries"].values():
        assert way["accuracy"] > 0.7
        assert way["validation"] > 0.7
        assert way["C"] in CS


def test_a_clearly_lower_score_is_a_failure():
    problem = load("sweep-digits", 1_000)
    assert describe_failure(problem, 0.90, 0.91) == ""
    assert describe_failure(problem, 0.90, 0.92) == "fastlin's best score is 0.9000, the baseline's is 0.9200"
