"""Statistical inference for fitted models: standard errors, tests, confidence intervals and the bootstrap."""

from fastlin.inference.bootstrap import Bootstrap
from fastlin.inference.firth_inference import FirthInference
from fastlin.inference.hypotheses import TestResult
from fastlin.inference.inference import Inference
from fastlin.inference.influence import Influence
from fastlin.inference.marginal_effects import MarginalEffects
from fastlin.inference.predictions import PredictedProbabilities
from fastlin.inference.prior_correction import correct_prior

__all__ = [
    "Bootstrap",
    "FirthInference",
    "Inference",
    "Influence",
    "MarginalEffects",
    "PredictedProbabilities",
    "TestResult",
    "correct_prior",
]
