"""What coefficients are worth: how far they may lie from those of all data there might be."""

from fastlin.inference.bootstrap import Bootstrap
from fastlin.inference.prior_correction import correct_prior

__all__ = ["Bootstrap", "correct_prior"]
