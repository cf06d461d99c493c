"""What the coefficients of a fitted model are worth: standard errors, tests and intervals.

`inference` of an estimator returns an `Inference`, `bootstrap` a `Bootstrap`. `correct_prior` corrects intercepts.
"""

from fastlin.inference.bootstrap import Bootstrap
from fastlin.inference.firth_inference import FirthInference
from fastlin.inference.hypotheses import TestResult
from fastlin.inference.inference import Inference
from fastlin.inference.marginal_effects import MarginalEffects
from fastlin.inference.prior_correction import correct_prior

__all__ = ["Bootstrap", "FirthInference", "Inference", "MarginalEffects", "TestResult", "correct_prior"]
