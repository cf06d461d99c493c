"""Benchmarks as classes for asv and as tests for pytest-benchmark."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fastlin.benchmarking.baseline import Baseline
from fastlin.benchmarking.benchmark import BenchmarkProblem
from fastlin.environment.interruption import import_uninterrupted


def make_asv_class(problem: BenchmarkProblem, baselines: Sequence[Baseline]) -> type:
    """Return an asv benchmark of the fits with the last effort of each baseline.

    Parameters
    ----------
    problem : BenchmarkProblem
        The data and the measures.
    baselines : sequence of Baseline
        The estimators. Their names are the values of the parameter of the benchmark.

    Returns
    -------
    benchmark : type
        A class with the benchmark ``time_fit`` and, for each measure of the problem (the objective and the held-out
        scores), the benchmark ``track_<measure>``. The name of the problem must be unique in a module of the asv suite.
        asv compares results of the same ``version``, an attribute; change it when the problem changes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fastlin.benchmarking import Baseline, BenchmarkProblem, LogisticObjective, make_asv_class
    >>> problem = BenchmarkProblem(*load_iris(return_X_y=True), LogisticObjective())
    >>> Iris = make_asv_class(problem, [Baseline("lbfgs", lambda tol: LogisticRegression(tol=tol), [1e-4])])
    >>> Iris.params, hasattr(Iris, "track_objective")
    (['lbfgs'], True)
    """
    by_name = {baseline.name: baseline for baseline in baselines}

    def setup(self, name):
        # The first fit loads and compiles code.
        self.fit = _make_fit(problem, by_name[name])
        self.measures = problem.measure(self.fit())

    def fit(self, name):
        self.fit()

    methods: dict[str, Any] = {"setup": setup, "time_fit": fit}
    for measure in [*(["objective"] if problem.objective is not None else []), *problem.scores]:
        methods[f"track_{_make_identifier(measure)}"] = lambda self, name, measure=measure: self.measures[measure]
    # By default, the version is a hash of the functions above, which do not contain the problem.
    attributes = {"params": list(by_name), "param_names": ["baseline"], "version": "1", **methods}
    # asv identifies a benchmark by the name of its class.
    return type(f"Benchmark_{_make_identifier(problem.name)}", (), attributes)


def make_pytest_benchmark(problem: BenchmarkProblem, baselines: Sequence[Baseline]) -> Callable[..., None]:
    """Return a pytest-benchmark test of the fits with the last effort of each baseline.

    Parameters
    ----------
    problem : BenchmarkProblem
        The data and the measures. The measures of the last fit are stored in ``extra_info``.
    baselines : sequence of Baseline
        The estimators. Their names are the identifiers of the test's parameters.

    Returns
    -------
    test : callable
        A test function. Assign it to a name that begins with ``test_``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fastlin.benchmarking import Baseline, BenchmarkProblem, LogisticObjective, make_pytest_benchmark
    >>> problem = BenchmarkProblem(*load_iris(return_X_y=True), LogisticObjective())
    >>> test_iris = make_pytest_benchmark(
    ...     problem, [Baseline("lbfgs", lambda tol: LogisticRegression(tol=tol), [1e-4])]
    ... )
    """
    (pytest,) = import_uninterrupted("pytest")

    @pytest.mark.parametrize("baseline", baselines, ids=[baseline.name for baseline in baselines])
    def test(benchmark, baseline):
        fit = _make_fit(problem, baseline)
        fit()
        benchmark.extra_info.update(problem.measure(benchmark(fit)))

    untyped: Callable[..., None] = test
    return untyped


def _make_identifier(name):
    """Return a name in which underscores replace all characters that an identifier cannot contain."""
    return re.sub(r"\W", "_", name)


def _make_fit(problem, baseline):
    """Return a function that fits a baseline with its last effort."""
    return partial(baseline.solve, problem.train, baseline.efforts[-1])
