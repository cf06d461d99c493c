"""The comparison of fastlin with all installed libraries on problems that share fastlin's objective."""

import importlib.metadata
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.sparse import issparse

import fastlin
from fastlin.benchmarking import timing
from fastlin.benchmarking.candidate import MIN_SUBOPTIMALITY
from fastlin.benchmarking.comparison_problem import ComparisonProblem
from fastlin.benchmarking.curve_tables import explain_missing_ratios, summarize_curves, summarize_scores
from fastlin.benchmarking.objectives import LogisticObjective, read_coefficients
from fastlin.benchmarking.other_libraries import LIBRARIES, find_missing_packages
from fastlin.benchmarking.suboptimality_curves import (
    DEFAULT_COMPARISON_SECONDS,
    find_needed_seconds,
    measure_curves,
    sample_classes,
)
from fastlin.kernels.machine.threads import count_threads

FASTLIN = "fastlin"


@dataclass(frozen=True, eq=False)
class HeldOutComparison:
    """A training problem, and the held-out rows that measure its solutions. See `suboptimality_curves`."""

    train: ComparisonProblem
    test: ComparisonProblem

    @property
    def name(self) -> str:
        """The name of the training problem."""
        return self.train.name

    def make_sample(self) -> Self:
        """Return the comparison on a sample of the training rows."""
        sample = make_sample_problem(self.train)
        return replace(self, train=sample, test=sample)

    def find_optimum(self) -> float:
        """Return the minimum of the objective. An error is raised if it is not certified."""
        train = self.train
        return LogisticObjective(train.C, train.l1_ratio, train.fit_intercept).find_minimum(train.X, train.y)

    def measure(self, solution: Any) -> dict[str, float]:
        """Return the objective on the training rows, and the scores of the predictions of the held-out rows.

        The solution is a tuple of coef (K, d) and intercept (K,), or a fitted estimator with these attributes.
        """
        if not isinstance(solution, tuple):
            solution = read_coefficients(solution, self.train.X.shape[1])
        return {"objective": self.train.objective(*solution), **self.test.score_predictions(*solution)}

    def describe(self) -> dict[str, Any]:
        """Return the shape of the problem, and the names of the held-out scores."""
        train = self.train
        return {
            "samples": len(train.y),
            "held_out": len(self.test.y),
            "features": train.X.shape[1],
            "classes": train.n_classes,
            "intercept": train.fit_intercept,
            "scores": list(self.test.score_null_model(train.y)),
        }


def make_sample_problem(problem: ComparisonProblem) -> ComparisonProblem:
    """Return a ComparisonProblem with the first rows of each class. Its `l2` is the mean square of the features.

    With C = 1, a wrong penalty might change the objective too little to be detected.
    """
    rows = sample_classes(problem.y)
    X: Any = problem.X[rows]
    l2 = float((X.multiply(X) if issparse(X) else X * X).mean(dtype=np.float64))
    return replace(problem, X=X, y=problem.y[rows], C=1 / (l2 * len(rows)))


class LibraryComparison(NamedTuple):
    """The result of `compare_libraries`, as plain values."""

    parameters: dict[str, Any]  # the settings, and the versions of the libraries
    tables: dict[str, Any]  # for each problem, the seconds and the scores of each library, and reasons for missing ones
    problems: list[dict[str, Any]]  # the results of `measure_curves`


def compare_libraries(
    problems: Sequence[tuple[ComparisonProblem, ComparisonProblem]],
    seconds: float = DEFAULT_COMPARISON_SECONDS,
    n_repeats: int = timing.N_REPEATS,
    notify: Callable[[str], object] | None = None,
    announce: Callable[[str], object] | None = None,
    other_baselines: Mapping[str, Any] | None = None,
) -> LibraryComparison:
    """Compare all installed libraries on pairs of training and test problems, which share C and the type of X.

    See `measure_curves` for the other parameters. `other_baselines` are compared too. If fastlin cannot solve the
    sample of a problem, a CannotSolveError is raised.
    """
    libraries: dict[str, Any] = {name: library for name, library in LIBRARIES.items() if library.is_installed()}
    pairs = [HeldOutComparison(train, test) for train, test in problems]
    baselines = libraries | dict(other_baselines or {})
    comparisons = measure_curves(
        pairs, baselines, FASTLIN, seconds, n_repeats, notify, announce, is_reference_required=True
    )
    tables: dict[str, Any] = {}
    for pair, comparison in zip(pairs, comparisons, strict=True):
        tables[f"{comparison['name']}: seconds to suboptimality"] = summarize_curves(comparison)
        null_model = {"null model": pair.test.score_null_model(pair.train.y)}
        tables[f"{comparison['name']}: scores on {len(pair.test.y):,} held-out rows"] = null_model | summarize_scores(
            comparison
        )
        if comparison["unknown_optimum"] is not None:
            tables[f"{comparison['name']}: minimum"] = f"unknown: {comparison['unknown_optimum']}"
        for name, reason in explain_missing_ratios(comparison).items():
            tables[f"{comparison['name']}: {name}"] = reason
    needed_seconds = find_needed_seconds(comparisons)
    if needed_seconds is not None:
        tables["time for more fits"] = f"at least {needed_seconds} s instead of {seconds:g} s"
    problem, packages = problems[0][0], dict.fromkeys(library.package for library in libraries.values())
    parameters = {
        "dtype": str(problem.X.dtype),
        "C": problem.C,
        "budget": round(max(comparison["budget"] for comparison in comparisons), 1),
        "floor": MIN_SUBOPTIMALITY,
        "threads": count_threads(),
        "processors": os.cpu_count(),
        # Without an installation, fastlin has no metadata.
        "versions": {
            package: fastlin.__version__ if package == FASTLIN else importlib.metadata.version(package)
            for package in packages
        },
        "not_installed": find_missing_packages(),
    }
    return LibraryComparison(parameters, tables, comparisons)
