"""Benchmarks of estimators at equal accuracy, in interleaved fits, with confidence intervals.

`compare` fits `Baseline` objects of any library to a `BenchmarkProblem`. `LogisticObjective` and
`LeastSquaresObjective` are objectives of common models. `make_asv_class` and `make_pytest_benchmark` return benchmarks
for asv and pytest-benchmark.
"""

from fastlin.benchmarking.baseline import Baseline
from fastlin.benchmarking.benchmark import BenchmarkProblem, BenchmarkResult, compare
from fastlin.benchmarking.objectives import LeastSquaresObjective, LogisticObjective
from fastlin.benchmarking.suites import make_asv_class, make_pytest_benchmark

__all__ = [
    "Baseline",
    "BenchmarkProblem",
    "BenchmarkResult",
    "LeastSquaresObjective",
    "LogisticObjective",
    "compare",
    "make_asv_class",
    "make_pytest_benchmark",
]
