"""Benchmarks for asv and pytest-benchmark."""

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from fastlin.benchmarking import Baseline, BenchmarkProblem, LogisticObjective, make_asv_class, make_pytest_benchmark

X, Y = load_iris(return_X_y=True)
SCORES = {"accuracy": lambda model, X, y: model.score(X, y)}
PROBLEM = BenchmarkProblem(X[::2], Y[::2], LogisticObjective(), X[1::2], Y[1::2], SCORES)
BASELINES = [
    Baseline("lbfgs", lambda tol: LogisticRegression(tol=tol, max_iter=1000), [1e-2, 1e-6]),
    Baseline("newton-cg", lambda tol: LogisticRegression(tol=tol, solver="newton-cg"), [1e-6]),
]


def test_an_asv_class_times_and_measures_each_baseline():
    kind = make_asv_class(PROBLEM, BASELINES)
    assert (kind.params, kind.param_names, kind.version) == (["lbfgs", "newton-cg"], ["baseline"], "1")
    minimum = PROBLEM.find_optimum()
    for name in kind.params:
        benchmark = kind()
        benchmark.setup(name)
        benchmark.time_fit(name)
        assert benchmark.track_objective(name) == pytest.approx(minimum, rel=1e-4)
        assert 0.8 < benchmark.track_accuracy(name) <= 1
    assert not hasattr(make_asv_class(BenchmarkProblem(X, Y), BASELINES), "track_objective")


test_iris = make_pytest_benchmark(PROBLEM, BASELINES)


def test_a_pytest_benchmark_stores_the_measures():
    (mark,) = test_iris.pytestmark
    assert mark.kwargs["ids"] == ["lbfgs", "newton-cg"]

    class Fixture:
        """A fixture of pytest-benchmark that calls the function once."""

        extra_info: dict = {}

        def __call__(self, function):
            return function()

    fixture = Fixture()
    test_iris(fixture, BASELINES[0])
    assert fixture.extra_info["objective"] == pytest.approx(PROBLEM.find_optimum(), rel=1e-4)
    assert fixture.extra_info["accuracy"] > 0.8
