"""What the coefficients of a fitted model are worth: standard errors, tests and intervals.

`LogisticRegression.inference` returns an `Inference`.
"""

from fastlin.inference.hypotheses import TestResult
from fastlin.inference.inference import Inference

__all__ = ["Inference", "TestResult"]
