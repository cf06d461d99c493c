"""The parameters that a network begins with, drawn layer by layer."""

import numpy as np

from fastlin.networks.network import Network


def initialize(network: Network, init: str, random_state: np.random.RandomState, scale: float | None = None) -> None:
    """Draw the coefficients and intercepts of a network.

    "xavier" draws coefficients and intercepts uniformly within +-sqrt(6 / (fan in + fan out)), with 2 in place of 6 for
    logistic units, in the order in which scikit-learn draws them (Glorot and Bengio 2010, equation 16). "he" draws
    coefficients from a normal distribution with variance 2 / fan in (He et al. 2015, equation 10), "normal" with
    standard deviation `scale`; the intercepts of these two are zero.
    """
    numerator = 2 if network.activation == "logistic" else 6
    for coef, intercept in zip(network.coefs, network.intercepts, strict=True):
        if init == "xavier":
            bound = np.sqrt(numerator / sum(coef.shape))
            coef[:] = random_state.uniform(-bound, bound, coef.shape)
            intercept[:] = random_state.uniform(-bound, bound, intercept.shape)
        else:
            deviation = np.sqrt(2 / len(coef)) if init == "he" else scale
            assert deviation is not None
            coef[:] = random_state.normal(0, deviation, coef.shape)
            intercept[:] = 0
