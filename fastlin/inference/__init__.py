"""What the coefficients of a fitted model are worth: standard errors, tests and intervals.

`LogisticRegression.inference` returns an `Inference`, and `LogisticRegression.bootstrap` a `Bootstrap`.
"""

from fastlin.inference.bootstrap import Bootstrap
from fastlin.inference.hypotheses import TestResult
from fastlin.inference.inference import Inference

__all__ = ["Bootstrap", "Inference", "TestResult"]
